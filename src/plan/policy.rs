//! What the command line says of a plan: the day, filters, and what the operator accepts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::Address;
use crate::resources::Accepted;

/// Everything beside spec and snapshot that a plan depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The day, in UTC.
    pub today: Date,
    /// The moment.
    pub now: Timestamp,
    /// The account, as far as it is known.
    pub account: String,
    /// Whether the plan makes the stack what the spec says, or takes it away.
    pub goal: Goal,
    /// What becomes of owned objects that the spec does not name.
    pub orphans: Orphans,
    /// Only these, with what they need and what their ripple reaches; empty means everything.
    pub targets: BTreeSet<Address>,
    /// Not these, nor what cannot do without a change of theirs.
    pub excludes: BTreeSet<Address>,
    /// Another object, though nothing differs.
    pub replaces: BTreeSet<Address>,
    /// Whether what has no bulk API is read and compared too.
    pub verify: bool,
    /// Whether something may be reachable for a moment that neither start nor end allows.
    pub exposure: Consent,
    /// Which risks of host firewalls are accepted.
    pub accepted: Accepted,
    /// Whether a plan may delete everything of a stack it shares nothing with.
    pub replace_stack: Consent,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The stack is as the spec says.
    Converge,
    /// Nothing of the stack is left, protected objects apart.
    Destroy,
}

/// What becomes of orphans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// They are deleted, or released where they are to be kept.
    Prune,
    /// They are let alone.
    Leave,
}

/// Whether the operator accepts a risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Not said.
    Withheld,
    /// Said on the command line.
    Given,
}

impl Policy {
    /// The plain policy of a day, at its midnight: converge, prune, no filter, no risk accepted.
    #[must_use]
    pub fn on(today: Date) -> Self {
        Self {
            today,
            now: today.to_zoned(TimeZone::UTC).map_or(Timestamp::UNIX_EPOCH, |midnight| midnight.timestamp()),
            account: String::new(),
            goal: Goal::Converge,
            orphans: Orphans::Prune,
            targets: BTreeSet::new(),
            excludes: BTreeSet::new(),
            replaces: BTreeSet::new(),
            verify: false,
            exposure: Consent::Withheld,
            accepted: Accepted { lockout: false, shrink: false, partial: false, nothing_kept: false },
            replace_stack: Consent::Withheld,
        }
    }
}
