//! The ways out to the world: AWS, its simulation, and what makes either fail for a test.

pub mod faulty;
pub mod sim;

