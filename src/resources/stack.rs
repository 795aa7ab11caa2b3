//! A stack as the spec wants it: every resource in normal form, names resolved.

use std::collections::{BTreeMap, BTreeSet};

use super::registry::Desired;
use crate::model::{AccountId, Address, LeasePlace, Region, StackName, Target};

/// The whole of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The owner of everything it makes.
    pub name: StackName,
    /// Where the spec comes from.
    pub origin: Option<String>,
    /// The only account it may touch.
    pub account: Option<AccountId>,
    /// The default region.
    pub region: Option<Region>,
    /// Every region that is looked at: the default, those that resources name, and those the spec adds.
    pub regions: BTreeSet<Region>,
    /// Patterns of tags that others may add.
    pub ignore_tags: Vec<String>,
    /// Where the lock is kept that runners on several machines share; absent where the one on this machine is enough.
    pub lock: Option<LeasePlace>,
    /// How the hosts are reached whose firewalls it speaks of, also of those that shall have nothing of ours any more.
    pub hosts: BTreeMap<Address, Target>,
    /// The resources; of a group each member.
    pub resources: BTreeMap<Address, Desired>,
}
