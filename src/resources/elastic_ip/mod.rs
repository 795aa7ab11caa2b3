//! The kind `elastic_ip`.

pub mod action;
#[cfg(feature = "aws")]
pub mod aws;
pub mod diff;
mod permits;
pub mod sim;
pub mod spec;
pub mod state;

pub use action::Action;
pub use diff::ElasticIp;
pub use state::{Desired, Observed};
