//! What must hold of a world whatever was done to it: nothing dangles, and nothing is had twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::{RegionWorld, Slot, World, dispatch};
use crate::model::CloudId;
use crate::resources::registry::{Body, Object};
use crate::resources::{host_firewall, load_balancer};

impl World {
    /// Everything that is wrong with the world, in words; empty for a sound one.
    #[must_use]
    pub fn audit(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.regions.values().flat_map(RegionWorld::audit).collect();
        let mut public: BTreeMap<Ipv4Addr, BTreeSet<&CloudId>> = BTreeMap::new();
        for place in self.regions.values() {
            for (slot, ids) in place.taken() {
                if let Slot::PublicIp(address) = slot {
                    public.entry(*address).or_default().extend(ids);
                }
            }
        }
        let twice = public.iter().filter(|(_, ids)| ids.len() > 1);
        problems.extend(self.hosts().flat_map(|(id, host)| host_firewall::sim::problems(id, host)));
        problems.extend(twice.map(|(address, ids)| format!("{address} belongs to {}", words(ids.iter().copied()))));
        problems
    }
}

impl RegionWorld {
    fn audit(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (held, holders) in self.held().filter(|(held, _)| self.object(held).is_none()) {
            problems.push(format!("{} names `{held}`, which does not exist", words(holders.iter())));
        }
        for (slot, ids) in self.taken().filter(|(_, ids)| ids.len() > 1) {
            match slot {
                Slot::Name { name, .. } => problems.push(format!("{} are all called `{name}`", words(ids.iter()))),
                Slot::PrivateIp { address, .. } => problems.push(format!("{} all have {address}", words(ids.iter()))),
                Slot::Seat(id) => problems.push(format!("{} all answer for `{id}`", words(ids.iter()))),
                Slot::PublicIp(_) | Slot::Owned { .. } => {}
            }
        }
        for object in self.objects() {
            if let Some((seat, address)) = dispatch::seat(object) {
                problems.extend(self.seat_problem(&object.id, &seat, address));
            }
            problems.extend(self.instance_problems(object));
            if let Body::LoadBalancer(body) = &object.body {
                problems.extend(load_balancer::sim::problems(self, &object.id, body));
            }
        }
        for id in self.all_unlisted().filter(|id| self.object(id).is_none()) {
            problems.push(format!("more is known of `{id}`, which does not exist"));
        }
        for remnant in self.remnants() {
            for held in remnant.holds.iter().filter(|held| self.object(held).is_none()) {
                problems.push(format!("{} hold `{held}`, which does not exist", remnant.what));
            }
        }
        problems
    }

    /// What is wrong with an Elastic IP that answers for an instance.
    fn seat_problem(&self, id: &CloudId, seat: &CloudId, address: Ipv4Addr) -> Option<String> {
        match self.object(seat).map(|object| &object.body) {
            Some(Body::Instance(body)) if body.public_ip == Some(address) && body.public_ip_is_elastic => None,
            Some(Body::Instance(_)) => Some(format!("`{id}` answers for `{seat}`, which has another address")),
            Some(_) | None => Some(format!("`{id}` answers for `{seat}`, which is no instance")),
        }
    }

    /// What is wrong with an instance.
    fn instance_problems(&self, object: &Object) -> Vec<String> {
        let mut problems = Vec::new();
        let Object { id, region: _, tags: _, body: Body::Instance(body) } = object else { return problems };
        match self.subnet(&body.subnet) {
            None => problems.push(format!("`{id}` is in `{}`, which does not exist", body.subnet)),
            Some(subnet) => {
                if subnet.vpc != body.vpc || subnet.zone != body.zone {
                    problems.push(format!("`{id}` is in another VPC or zone than its subnet"));
                }
                if !subnet.cidr.contains(body.private_ip.into()) {
                    problems.push(format!("`{id}` has {}, which is outside its subnet", body.private_ip));
                }
            }
        }
        if body.security_groups.is_empty() {
            problems.push(format!("`{id}` has no group"));
        }
        if body.public_ip_is_elastic && self.first(&Slot::Seat(id.clone())).is_none() {
            problems.push(format!("`{id}` has an Elastic IP's address, and no Elastic IP answers for it"));
        }
        problems
    }
}

/// Ids in words.
fn words<'a>(ids: impl Iterator<Item = &'a CloudId>) -> String {
    ids.map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" and ")
}
