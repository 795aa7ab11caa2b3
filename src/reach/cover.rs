//! Whether grants lie within others.

use std::collections::BTreeSet;

use crate::model::{AddressSet, CloudId, TrafficSet};
use crate::resources::flow::{Grants, Party};

/// The other end of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// Whoever has these addresses.
    Networks(AddressSet),
    /// A group's members, or somebody that only AWS can tell.
    Party(Party),
    /// One machine.
    Machine(CloudId),
}

/// Something of grants that others do not have; none when they have it all.
pub(super) fn beyond(grants: &Grants, others: &[&Grants]) -> Option<(TrafficSet, Whom)> {
    for (party, traffic) in &grants.parties {
        let had = others.iter().filter_map(|other| other.parties.get(party));
        let left = had.fold(traffic.clone(), |left, had| left.beyond(had));
        if !left.is_empty() {
            return Some((left, Whom::Party(party.clone())));
        }
    }
    grants.networks.iter().find_map(|(traffic, networks)| beyond_networks(traffic, networks, others))
}

fn beyond_networks(traffic: &TrafficSet, networks: &AddressSet, others: &[&Grants]) -> Option<(TrafficSet, Whom)> {
    let near: Vec<(&TrafficSet, &AddressSet)> = others.iter().flat_map(|other| &other.networks).collect();
    // Mostly one grant has it all, and nothing is to be cut.
    if near
        .iter()
        .any(|(all, there)| traffic.is_within(all) && (*there == networks || networks.beyond(there).is_empty()))
    {
        return None;
    }
    let mut marks: BTreeSet<u32> = traffic.marks().collect();
    marks.extend(near.iter().flat_map(|(traffic, _)| traffic.marks()));
    let marks: Vec<u32> = marks.into_iter().collect();
    let pieces = marks.iter().zip(marks.iter().skip(1)).map(|(from, to)| TrafficSet::between(*from, *to));
    let mut open = TrafficSet::default();
    let mut whom = AddressSet::default();
    for piece in pieces.filter(|piece| piece.is_within(traffic)) {
        let have = near.iter().filter(|(traffic, _)| piece.is_within(traffic));
        let left = have.fold(networks.clone(), |left, (_, there)| left.beyond(there));
        // Pieces that the same networks are left of are told together.
        if !left.is_empty() && (open.is_empty() || left == whom) {
            open = open.union(&piece);
            whom = left;
        }
    }
    (!open.is_empty()).then_some((open, Whom::Networks(whom)))
}

/// What both grant.
pub(super) fn both(one: &Grants, other: &Grants) -> Grants {
    let mut both = Grants::default();
    for (party, traffic) in &one.parties {
        if let Some(there) = other.parties.get(party) {
            both.to_party(party.clone(), &traffic.intersection(there));
        }
    }
    for (traffic, networks) in &one.networks {
        for (other, there) in &other.networks {
            let shared = traffic.intersection(other);
            if !shared.is_empty() {
                let left = if networks == there { networks.clone() } else { networks.beyond(&networks.beyond(there)) };
                both.to_networks(&left, shared);
            }
        }
    }
    both
}

/// Adds grants, as far as they are of this traffic.
pub(super) fn add(all: &mut Grants, more: &Grants, of: &TrafficSet) {
    for (traffic, networks) in &more.networks {
        all.to_networks(networks, traffic.intersection(of));
    }
    for (party, traffic) in &more.parties {
        all.to_party(party.clone(), &traffic.intersection(of));
    }
}
