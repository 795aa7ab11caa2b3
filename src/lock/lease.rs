//! What to do about a lease, given what the store shows and how much time has passed. No clock, no store, no waiting.
//!
//! A lease is one object. Whoever takes it writes it on the condition that nobody else did since; its holder writes it again
//! and again; whoever finds one that was not written for longer than it holds takes it over, with the next **epoch**.
//!
//! # Time
//!
//! No machine's calendar is compared with another's. How old an object is, is told by the store alone, as the difference of
//! two of its own times. How much time a holder has left, it reckons on its own clock from *before* it sent its last write,
//! which is earlier than the store wrote it. Between the moment when a holder starts nothing more and the one when others take
//! over lie two [margins](Terms::margin): for times that are told in whole seconds, servers of a store that do not quite agree,
//! and calls that were under way.

use core::time::Duration;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Holder;
use super::store::Tag;
use crate::model::duration::Seconds;

/// The version of the object. A higher one is neither read nor written over.
pub const FORMAT_VERSION: u32 = 1;

/// The object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this object's form.
    pub format_version: u32,
    /// Counts the holders; it never falls.
    pub epoch: u64,
    /// Counts the writes of one holder, so that each is another version.
    pub beat: u64,
    /// How long it holds from its last write.
    pub ttl: Seconds,
    /// Who has it, or had it last.
    pub holder: Holder,
    /// How it ended; absent while it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Released>,
}

/// How a lease ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// When, by the calendar of whoever ended it.
    pub at: Timestamp,
    /// Who broke it; absent when its holder ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_by: Option<String>,
}

/// How long a lease holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// From its last write.
    pub ttl: Duration,
}

impl Terms {
    /// Terms of a time in seconds.
    #[must_use]
    pub const fn of(ttl: Seconds) -> Self {
        Self { ttl: Duration::from_secs(ttl.0) }
    }

    /// How often it is renewed.
    #[must_use]
    pub fn period(self) -> Duration {
        self.ttl / 3
    }

    /// What lies between its end and what either side takes for it.
    #[must_use]
    pub fn margin(self) -> Duration {
        self.ttl / 6
    }

    /// For how long after it sent its last write a holder may start something.
    #[must_use]
    pub fn sure(self) -> Duration {
        self.ttl.saturating_sub(self.margin())
    }

    /// From which age on others may take it over.
    #[must_use]
    pub fn over(self) -> Duration {
        self.ttl.saturating_add(self.margin())
    }
}

/// A lease as the store shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The object.
    pub record: Record,
    /// Its version.
    pub tag: Tag,
    /// How long ago it was written; absent when the store does not say.
    pub age: Option<Duration>,
}

/// What whoever wants the lease does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Write this, if there is still none.
    Create(Record),
    /// Write this, if it is still that version.
    TakeOver {
        /// What to write.
        record: Record,
        /// In whose place.
        over: Tag,
        /// How the lease before ended.
        former: Former,
    },
    /// It was written already, by an attempt whose answer was lost.
    Mine(Record, Tag),
    /// Somebody has it.
    Wait {
        /// Who.
        holder: Holder,
        /// For how long still unless it is renewed; absent when the store tells no ages.
        left: Option<Duration>,
    },
}

/// How the lease before ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Former {
    /// Its holder released it.
    Released,
    /// Somebody broke it.
    Broken(Holder, String),
    /// Nobody renewed it.
    Expired(Holder),
}

/// What to do about a lease that one wants.
#[must_use]
pub fn acquire(seen: Option<&Sight>, me: &Holder, ttl: Seconds) -> Turn {
    let mine =
        |epoch| Record { format_version: FORMAT_VERSION, epoch, beat: 1, ttl, holder: me.clone(), released: None };
    let Some(seen) = seen else { return Turn::Create(mine(1)) };
    let before = &seen.record;
    if before.holder.id == me.id && before.released.is_none() {
        return Turn::Mine(before.clone(), seen.tag.clone());
    }
    let over = Terms::of(before.ttl).over();
    let former = match (&before.released, seen.age) {
        (Some(Released { broken_by: Some(who), .. }), _) => Former::Broken(before.holder.clone(), who.clone()),
        (Some(_), _) => Former::Released,
        (None, Some(age)) if age > over => Former::Expired(before.holder.clone()),
        (None, age) => {
            let left = age.map(|age| over.saturating_sub(age));
            return Turn::Wait { holder: before.holder.clone(), left };
        }
    };
    Turn::TakeOver { record: mine(before.epoch.saturating_add(1)), over: seen.tag.clone(), former }
}

/// What a holder writes next.
#[must_use]
pub fn renewal(held: &Record) -> Record {
    Record { beat: held.beat.saturating_add(1), ..held.clone() }
}

/// What a holder writes last.
#[must_use]
pub fn release(held: &Record, at: Timestamp) -> Record {
    Record { released: Some(Released { at, broken_by: None }), ..renewal(held) }
}

/// What somebody writes who breaks it.
#[must_use]
pub fn break_open(seen: &Record, at: Timestamp, who: String) -> Record {
    Record { released: Some(Released { at, broken_by: Some(who) }), ..renewal(seen) }
}

/// What a holder makes of the object after a write of its own was refused.
#[must_use]
pub fn looked(seen: Option<&Sight>, held: &Record) -> Look {
    let Some(seen) = seen else { return Look::Lost(Loss::Gone) };
    let (now, id) = (&seen.record, &held.holder.id);
    match &now.released {
        Some(Released { broken_by: Some(who), .. }) if now.holder.id == *id => Look::Lost(Loss::Broken(who.clone())),
        None if now.holder.id == *id && now.epoch == held.epoch => Look::Mine(now.clone(), seen.tag.clone()),
        Some(_) if now.holder.id == *id => Look::Released,
        _ => Look::Lost(Loss::Taken(Box::new(now.holder.clone()))),
    }
}

/// What a holder finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// A write of its own, whose answer was lost.
    Mine(Record, Tag),
    /// Its own release, whose answer was lost.
    Released,
    /// It does not have it any more.
    Lost(Loss),
}

/// Why a lease is not held any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// Somebody took it over.
    Taken(Box<Holder>),
    /// Somebody broke it.
    Broken(String),
    /// Its object is not there any more.
    Gone,
    /// Its object cannot be read as a lease any more.
    Unreadable(String),
    /// It could not be renewed in time.
    Unreachable(String),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(holder) => {
                write!(f, "{}@{} took it over when it was not renewed in time", holder.user, holder.host)
            }
            Self::Broken(who) => write!(f, "{who} broke it"),
            Self::Gone => f.write_str("its object was removed"),
            Self::Unreadable(why) => write!(f, "its object was overwritten: {why}"),
            Self::Unreachable(why) => write!(f, "it could not be renewed in time: {why}"),
        }
    }
}
