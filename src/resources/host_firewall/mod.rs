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
//! | `flows.rs` | what our rules let in, in the vocabulary of all kinds |
//! | `lockout.rs` | whether whoever carries out the plan still gets in |
//! | `dialect.rs` | the door to the two dialects: what a host lists, and the texts that change it |
//! | `nft.rs`, `iptables.rs` | the two dialects: pure parse and render |
//! | `layout.rs`, `marker.rs`, `names.rs`, `comment.rs` | what both dialects write: rules, whose they are, under which names |
//! | `foreign.rs`, `protocols.rs` | what others have on the way in |
//! | `motion.rs` | what stands, what is aimed at, the way there and back, and what a boot restores: whatever the dialect |
//! | `script/` | what runs on a host: texts of POSIX shell, and what they print |
//! | `hosts/` | reading and changing a host through a shell, in place of AWS |

pub mod action;
mod backend;
pub mod comment;
pub mod describe;
pub mod dialect;
pub mod diff;
mod differences;
mod flows;
mod foreign;
pub mod host;
pub mod hosts;
mod iptables;
mod layout;
mod lockout;
mod marker;
pub mod motion;
pub mod names;
mod nft;
pub mod packet;
pub mod protocols;
pub mod ruleset;
pub mod script;
pub mod sim;
mod sources;
pub mod spec;
pub mod state;
mod steps;

pub use action::Action;
pub use diff::HostFirewall;
pub use host::Observed;
pub use state::Desired;
