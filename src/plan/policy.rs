//! What the command line says of a plan: the day, filters, and what the operator accepts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// What of a policy was asked for, and so is written down with a plan: neither the moment nor the account.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The day that was named, as `2026-03-01`; absent where it was the day on which the plan was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub today: Option<String>,
    /// Whether orphans are let alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_prune: bool,
    /// Only these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub targets: BTreeSet<Address>,
    /// Not these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub excludes: BTreeSet<Address>,
    /// Another object, though nothing differs.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub replaces: BTreeSet<Address>,
    /// Whether what has no bulk API was read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub verify: bool,
    /// Whether a moment's exposure is accepted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exposure: bool,
    /// Which risks of host firewalls are accepted.
    pub accepted: Accepted,
    /// Whether everything of the stack may go though the spec shares nothing with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replace_stack: bool,
}

impl Options {
    /// What a policy asks for; with the day where one was named.
    #[must_use]
    pub fn of(policy: &Policy, today: Option<Date>) -> Self {
        Self {
            today: today.map(|day| day.to_string()),
            no_prune: policy.orphans == Orphans::Leave,
            targets: policy.targets.clone(),
            excludes: policy.excludes.clone(),
            replaces: policy.replaces.clone(),
            verify: policy.verify,
            exposure: policy.exposure == Consent::Given,
            accepted: policy.accepted,
            replace_stack: policy.replace_stack == Consent::Given,
        }
    }

    /// The policy that asks for this at a moment, or on the day that was named.
    ///
    /// # Errors
    /// When that is no day.
    pub fn policy(&self, goal: Goal, now: Timestamp) -> Result<Policy, String> {
        let consent = |given: bool| if given { Consent::Given } else { Consent::Withheld };
        let plain = match &self.today {
            Some(day) => Policy::on(day.parse().map_err(|_| format!("`{day}` is no day"))?),
            None => Policy { now, ..Policy::on(now.to_zoned(TimeZone::UTC).date()) },
        };
        Ok(Policy {
            goal,
            orphans: if self.no_prune { Orphans::Leave } else { Orphans::Prune },
            targets: self.targets.clone(),
            excludes: self.excludes.clone(),
            replaces: self.replaces.clone(),
            verify: self.verify,
            exposure: consent(self.exposure),
            accepted: self.accepted,
            replace_stack: consent(self.replace_stack),
            ..plain
        })
    }
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
