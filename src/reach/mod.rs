//! Who can reach whom: what the kinds say of themselves ([`crate::resources::flow`]), put together.
//!
//! A [`Net`] is one state. A [`Span`] is a way from a state to another; it tells of a state between them what is open there
//! that neither of the two allows, and what is closed that both allow. States are compared by what machines are members of,
//! not by pairs of machines: a thousand in one group cost as much as one.

mod cover;
mod net;
mod span;
#[cfg(test)]
mod tests;

pub use cover::Whom;
pub use net::Net;
pub use span::{Change, Gap, Span};
