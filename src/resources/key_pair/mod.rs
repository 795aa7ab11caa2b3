//! The kind `key_pair`.

pub mod action;
#[cfg(feature = "aws")]
pub mod aws;
pub mod diff;
mod permits;
pub mod public_key;
pub mod sim;
pub mod spec;
pub mod state;

pub use action::Action;
pub use diff::KeyPair;
pub use state::{Desired, Observed};
