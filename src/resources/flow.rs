//! Who may talk to whom, in the one vocabulary in which every kind says it: parties, what is granted to them, and what an
//! object is to flows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::{AddressSet, CloudId, TrafficSet};

/// The other end of a flow, where it is no network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// The members of a group, whoever they are.
    Members(CloudId),
    /// Those that only AWS can tell: a managed prefix list, a group of another account, whomever a group lets in of which
    /// nothing is known.
    Named(String),
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members(group) => write!(f, "members of {group}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// What is granted in one direction: networks with the same traffic together, and parties by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// By traffic, to which networks.
    pub networks: BTreeMap<TrafficSet, AddressSet>,
    /// By party, which traffic.
    pub parties: BTreeMap<Party, TrafficSet>,
}

impl Grants {
    /// Everything, to everybody.
    #[must_use]
    pub fn everything() -> Self {
        let mut grants = Self::default();
        grants.to_networks(&everyone(), TrafficSet::all());
        grants
    }

    /// Grants traffic to networks.
    pub fn to_networks(&mut self, networks: &AddressSet, traffic: TrafficSet) {
        if networks.is_empty() || traffic.is_empty() {
            return;
        }
        match self.networks.get_mut(&traffic) {
            Some(there) => *there = there.union(networks),
            None => {
                self.networks.insert(traffic, networks.clone());
            }
        }
    }

    /// Grants traffic to a party.
    pub fn to_party(&mut self, party: Party, traffic: &TrafficSet) {
        if traffic.is_empty() {
            return;
        }
        let there = self.parties.entry(party).or_default();
        *there = there.union(traffic);
    }
}

/// Every address of both families.
#[must_use]
pub fn everyone() -> AddressSet {
    [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())].into_iter().collect()
}

/// What an object is to flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stance {
    /// Rules for whoever is a member.
    Rules(Rules),
    /// Something on the network.
    Machine(Machine),
    /// A filter on the way into a host.
    Filter(Filter),
}

/// Rules for the members of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// What may come to them.
    pub ingress: Grants,
    /// What they may send.
    pub egress: Grants,
}

/// Something on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The groups whose member it is.
    pub groups: BTreeSet<CloudId>,
    /// Its own addresses.
    pub addresses: AddressSet,
    /// What it answers to, whoever may come.
    pub listens: TrafficSet,
}

/// A filter on the way into a host: what it accepts itself, and what it does not keep from going on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Accepted here.
    pub accepts: Grants,
    /// Not dropped here: accepted, or left to whoever decides next.
    pub passes: Grants,
}
