//! One state of the network: groups with their rules, machines, and the filters of hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cover::add;
use crate::model::{AddressSet, CloudId, TrafficSet};
use crate::resources::flow::{Filter, Grants, Machine, Party, Rules, Stance};

/// One state.
#[derive(Debug, Clone, Default)]
pub struct Net {
    rules: BTreeMap<CloudId, Arc<Rules>>,
    machines: BTreeMap<CloudId, Arc<Machine>>,
    filters: BTreeMap<CloudId, Arc<Filter>>,
    members: BTreeMap<CloudId, BTreeSet<CloudId>>,
    /// By group, the groups whose rules let its members in.
    named: BTreeMap<CloudId, BTreeSet<CloudId>>,
}

impl Net {
    /// Says what an object is now; none for one that is gone.
    pub fn set(&mut self, id: &CloudId, stance: Option<Stance>) {
        if let Some(before) = self.machines.remove(id) {
            for group in &before.groups {
                if let Some(members) = self.members.get_mut(group) {
                    members.remove(id);
                }
            }
        }
        if let Some(before) = self.rules.remove(id) {
            for group in peers(&before) {
                if let Some(named) = self.named.get_mut(group) {
                    named.remove(id);
                }
            }
        }
        match stance {
            Some(Stance::Rules(rules)) => {
                for group in peers(&rules) {
                    self.named.entry(group.clone()).or_default().insert(id.clone());
                }
                self.rules.insert(id.clone(), Arc::new(rules));
            }
            Some(Stance::Machine(machine)) => {
                for group in &machine.groups {
                    self.members.entry(group.clone()).or_default().insert(id.clone());
                }
                self.machines.insert(id.clone(), Arc::new(machine));
            }
            Some(Stance::Filter(filter)) => {
                self.filters.insert(id.clone(), Arc::new(filter));
            }
            None => {
                self.filters.remove(id);
            }
        }
    }

    pub(super) fn rules(&self, group: &CloudId) -> Option<&Rules> {
        self.rules.get(group).map(AsRef::as_ref)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &CloudId> {
        self.rules.keys()
    }

    pub(super) fn machine(&self, id: &CloudId) -> Option<&Machine> {
        self.machines.get(id).map(AsRef::as_ref)
    }

    pub(super) fn machines(&self) -> impl Iterator<Item = (&CloudId, &Machine)> {
        self.machines.iter().map(|(id, machine)| (id, machine.as_ref()))
    }

    pub(super) fn filter(&self, id: &CloudId) -> Option<&Filter> {
        self.filters.get(id).map(AsRef::as_ref)
    }

    pub(super) fn members(&self, group: &CloudId) -> impl Iterator<Item = &CloudId> {
        self.members.get(group).into_iter().flatten()
    }

    /// The groups whose rules let the members of a group in.
    pub(super) fn namers(&self, group: &CloudId) -> impl Iterator<Item = &CloudId> {
        self.named.get(group).into_iter().flatten()
    }

    /// What may come to a member of these groups that answers to this traffic. Groups that `known` does not have let in
    /// whomever they let in: nobody can tell.
    pub(super) fn ingress(&self, groups: &BTreeSet<CloudId>, of: &TrafficSet, known: &BTreeSet<CloudId>) -> Grants {
        self.grants(groups, of, known, "lets in", |rules| &rules.ingress)
    }

    /// What a member of these groups may send.
    pub(super) fn egress(&self, groups: &BTreeSet<CloudId>, known: &BTreeSet<CloudId>) -> Grants {
        self.grants(groups, &TrafficSet::all(), known, "lets out to", |rules| &rules.egress)
    }

    fn grants(
        &self,
        groups: &BTreeSet<CloudId>,
        of: &TrafficSet,
        known: &BTreeSet<CloudId>,
        does: &str,
        which: impl Fn(&Rules) -> &Grants,
    ) -> Grants {
        let mut grants = Grants::default();
        for group in groups {
            match self.rules(group) {
                Some(rules) => add(&mut grants, which(rules), of),
                None if known.contains(group) => {}
                None => grants.to_party(Party::Named(format!("whomever {group} {does}")), of),
            }
        }
        grants
    }
}

/// The groups that rules let in.
pub(super) fn peers(rules: &Rules) -> impl Iterator<Item = &CloudId> {
    rules.ingress.parties.keys().filter_map(|party| match party {
        Party::Members(group) => Some(group),
        Party::Named(_) => None,
    })
}

/// What of grants concerns one who is a member of these groups and has these addresses.
pub(super) fn to(grants: &Grants, groups: &BTreeSet<CloudId>, addresses: &AddressSet) -> TrafficSet {
    let mut traffic = TrafficSet::default();
    for group in groups {
        if let Some(granted) = grants.parties.get(&Party::Members(group.clone())) {
            traffic = traffic.union(granted);
        }
    }
    for (granted, networks) in &grants.networks {
        if !granted.is_within(&traffic) && addresses.iter().any(|address| networks.contains(address.addr())) {
            traffic = traffic.union(granted);
        }
    }
    traffic
}
