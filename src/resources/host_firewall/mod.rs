//! The kind `host_firewall`: our part of a host's packet filter, among that of others.
//!
//! Beside the files of every column:
//!
//! | file | what it says |
//! |---|---|
//! | `ruleset.rs` | our rules, in the one form in which they compare, and the edits that change them |
//! | `host.rs` | what was read of a host: ours, what others have, what it can do |
//! | `packet.rs` | what rules do with a packet, as far as that can be known |
//! | `sources.rs` | from what the spec names to addresses, now and later |
//! | `steps.rs` | the calls that one host needs, before they are drafts |
//! | `backend.rs` | which dialect a host is spoken to in |
//! | `differences.rs` | what differs on a host, in words |
//! | `describe.rs` | what stands on a host, in words |
//! | `lockout.rs` | whether whoever carries out the plan still gets in |

pub mod action;
mod backend;
pub mod describe;
pub mod diff;
mod differences;
pub mod host;
mod lockout;
pub mod packet;
pub mod ruleset;
pub mod sim;
mod sources;
pub mod spec;
pub mod state;
mod steps;

pub use action::Action;
pub use diff::HostFirewall;
pub use host::Observed;
pub use state::Desired;
