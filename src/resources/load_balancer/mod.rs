//! The kind `load_balancer`: a Classic Load Balancer and who is registered with it.

pub mod action;
#[cfg(feature = "aws")]
pub mod aws;
mod compare;
pub mod diff;
mod flows;
mod health;
mod members;
mod permits;
pub mod sim;
pub mod spec;
pub mod state;

use crate::model::{CloudId, Region};

pub use action::Action;
pub use diff::LoadBalancer;
pub use state::{Desired, Observed};

/// The id of a balancer. AWS gives it none: it is its name, which is its own within a region only, so the region stands
/// before it: `eu-west-1/shop-front-1`.
#[must_use]
pub fn id(region: &Region, name: &str) -> CloudId {
    CloudId::new(format!("{region}/{name}"))
}

/// The name in an id.
#[must_use]
pub fn name(id: &CloudId) -> &str {
    id.as_str().split_once('/').map_or(id.as_str(), |(_, name)| name)
}
