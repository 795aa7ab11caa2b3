//! The ways out to the world: AWS, its simulation, and what makes either fail for a test.

#[cfg(feature = "aws")]
pub mod aws;
pub mod faulty;
mod place;
pub mod sim;

pub use place::Place;
