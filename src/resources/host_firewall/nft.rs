//! Nftables: a table of our own, written as text and read as JSON.
//!
//! Text tells where it is wrong, JSON needs no parser of ours and shows every element exactly. Our table has one base chain
//! on the input hook, a chain that nothing calls for the marker, and one set per rule, origin and family. Its policy is
//! accept and everything that it drops it drops by a rule, so that an empty table is no harm.
//!
//! The sets are intervals without auto-merge: nft 1.0.6 does not tell that flag, and with it prints other elements than it was
//! given.

mod change;
mod expression;
mod found;
mod listed;
mod text;

pub(super) use change::{change, whole};
pub(super) use expression::{Piece, Right, Test, addresses, pieces};
pub(super) use found::Found;
pub(super) use listed::{Chain, Listed, Rule};

/// Where our base chain stands among others on the hook: before those at the usual priority 0, so that what we drop costs
/// nothing more, and behind connection tracking at -200 (<https://wiki.nftables.org/wiki-nftables/index.php/Netfilter_hooks>).
const PRIORITY: i32 = -10;
/// Our base chain.
const INPUT: &str = "input";
/// The chain that holds the marker.
const MARKER: &str = "marker";
