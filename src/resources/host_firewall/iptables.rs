//! iptables, in its nft flavour: a chain of our own in `filter`, one jump to it, and an ipset per rule, origin and family.
//!
//! A second chain, which nothing calls, holds the marker: so a date in it changes without the rules, and no packet passes it.
//! `iptables-restore --noflush` replaces the chains that a text declares and carries out everything else in it, all in one
//! transaction per family; chains and rules of others stay as they are (iptables-restore(8)).

mod change;
mod found;
mod saved;
mod sets;
mod text;
mod words;

pub(super) use change::boot;
pub(super) use found::Found;
pub(super) use saved::{Saved, SavedRule, Table};
pub(super) use words::ranges;

/// The table in which our chains stand.
const TABLE: &str = "filter";
/// How many ports one rule can name, where a range counts as two (`XT_MULTI_PORTS` of the kernel).
const SLOTS: usize = 15;
