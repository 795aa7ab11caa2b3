//! What is looked at for a plan.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Read;
use super::stack::Stack;
use crate::model::query::Regions;
use crate::model::{Address, Kind, Region, StackName, Target};

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Whose objects.
    pub stack: StackName,
    /// Where.
    pub regions: BTreeSet<Region>,
    /// Every region that is enabled for the account, beside those.
    pub all_regions: bool,
    /// Foreign objects that the spec names, by id or by name.
    pub named: BTreeSet<Wanted>,
    /// What is read beside the listings that every plan needs.
    pub reads: BTreeSet<Read>,
    /// Regions of which every instance is listed, whoever owns it; one that cannot be listed fails alone.
    pub fleet: BTreeSet<Regions>,
    /// Hosts that are read; one that cannot be reached fails alone.
    pub hosts: BTreeMap<Address, Target>,
}

/// A foreign object that the spec names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// What kind.
    pub kind: Kind,
    /// Where.
    pub region: Region,
    /// Its id, its name, or for an address the address.
    pub called: String,
}

impl Scope {
    /// What is looked at for a stack; in every region that is enabled for the account, where that is asked.
    #[must_use]
    pub fn of(stack: &Stack, all_regions: bool) -> Self {
        let adopted = stack.resources.iter().filter_map(|(address, desired)| {
            let called = desired.common.adopt.clone()?;
            Some(Wanted { kind: address.kind, region: desired.common.region.clone(), called })
        });
        Self {
            stack: stack.name.clone(),
            regions: stack.regions.clone(),
            all_regions,
            named: adopted.collect(),
            reads: stack.resources.values().flat_map(|desired| desired.want.reads()).collect(),
            fleet: stack
                .resources
                .values()
                .flat_map(|desired| desired.want.queries())
                .map(|query| query.regions)
                .collect(),
            hosts: stack.hosts.clone(),
        }
    }
}
