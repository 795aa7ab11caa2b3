//! The words every layer shares: addresses, ids, networks, tags and text, as plain data.
//!
//! Nothing here knows a kind's rules, a provider or the planner.

pub mod address;
pub mod duration;
pub mod id;
pub mod link;
pub mod net;
pub mod place;
pub mod secret;
pub mod tags;
pub mod text;
pub mod tree;

pub use address::{Address, Kind, Name};
pub use id::CloudId;
pub use link::{Known, Link, Output, Reference};
pub use place::{AccountId, Region, StackName};
pub use tags::{Owner, TagEdit, Tags};
