//! The words every layer shares: addresses, ids, networks, tags and text, as plain data.
//!
//! Nothing here knows a kind's rules, a provider or the planner.

pub mod address;
pub mod addresses;
pub mod duration;
pub mod id;
pub mod lease;
pub mod link;
pub mod net;
pub mod place;
pub mod query;
pub mod secret;
pub mod tags;
pub mod target;
pub mod text;
pub mod traffic;
pub mod tree;

pub use address::{Address, Kind, Name};
pub use addresses::{AddressSet, Family};
pub use id::CloudId;
pub use lease::LeasePlace;
pub use link::{Known, Link, Output, Reference};
pub use place::{AccountId, Region, StackName};
pub use query::Query;
pub use tags::{Owner, TagEdit, Tags};
pub use target::Target;
pub use traffic::TrafficSet;
