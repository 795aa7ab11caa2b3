//! The kind `security_group`.

pub mod action;
#[cfg(feature = "aws")]
pub mod aws;
pub mod diff;
mod flows;
mod permits;
mod rules;
pub mod sim;
pub mod spec;
pub mod state;

pub use action::Action;
pub use diff::SecurityGroup;
pub use state::{Desired, Observed};
