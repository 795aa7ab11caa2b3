//! The lock of a stack: one apply at a time changes what the stack owns.
//!
//! There are two. The [`local`] one is always taken: the kernel holds it for a process and frees it on any death. The
//! [`lease`] is taken too where the spec names a bucket, for runners on several machines: an object that its holder renews,
//! and that others take over when nobody does.
//!
//! Neither decides whether an apply is *right*: owners, generations and client tokens do that, and hold without a lock.
//! A lock keeps two applies from undoing each other in good faith.

pub mod ci;
pub mod clock;
mod fence;
pub mod keeper;
pub mod lease;
pub mod local;
pub mod memory;
mod patience;
pub mod place;
mod probe;
pub mod process;
#[cfg(feature = "s3")]
pub mod s3;
pub mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{AccountId, StackName};

pub use fence::{Fence, Fenced};
pub use patience::{Patience, Tell};
pub use process::Process;

/// Who holds a lock: for whoever finds it held. Others may have written it, so it is believed as far as the kernel or the
/// store bear it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Chance, by which this one is told from all others: `lock break --id` names it.
    pub id: String,
    /// What it does: `apply`.
    pub command: String,
    /// The stack.
    pub stack: StackName,
    /// The account; absent for a stack of hosts alone, and in a simulated world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The user.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process on that machine.
    pub process: Process,
    /// Since when.
    pub since: Timestamp,
    /// The page of the run, where a CI system says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// A lock that somebody else holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// What is locked: the path of a file, or the name of an object.
    pub place: String,
    /// Who says to hold it; absent when that cannot be read.
    pub holder: Option<Holder>,
    /// What is known of it.
    pub bond: Bond,
}

/// By what a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// By the kernel, for a process; and what is known of the one that the holder names.
    Local(process::Life),
    /// By a lease that holds for so long still unless it is renewed; absent when that cannot be told.
    Lease(Option<Duration>),
}
