//! The ways out to the world: AWS and hosts, their simulation, and what makes either fail for a test.

#[cfg(feature = "aws")]
pub mod aws;
pub mod faulty;
pub mod hosts;
mod place;
pub mod shell;
pub mod sim;

pub use place::{Place, Real};
