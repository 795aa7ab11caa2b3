//! Where a balancer stands, and who may reach it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::state::Observed;
use super::{balancer, change, clash, invalid, members};
use crate::model::id::{SubnetId, VpcId, ZoneName};
use crate::model::{CloudId, Kind, Link};
use crate::resources::registry::Body;
use crate::resources::world::{Outputs, RegionWorld, Slot, Trouble, Turn, WorldError};

/// How long a subnet that was given up still counts as its zone's, in seconds.
const DETACHING: u64 = 5;

/// The VPC of subnets that are there, of one VPC, and one a zone
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-manage-subnets.html>).
pub(super) fn subnets<'a>(place: &RegionWorld, ids: impl Iterator<Item = &'a SubnetId>) -> Result<VpcId, WorldError> {
    let mut zones: BTreeMap<&ZoneName, &SubnetId> = BTreeMap::new();
    let mut vpc: Option<&VpcId> = None;
    for id in ids {
        let subnet = place.subnet(id).ok_or_else(|| {
            WorldError::new(Trouble::NotFound, "SubnetNotFound", format!("the subnet `{id}` does not exist"))
        })?;
        if vpc.is_some_and(|vpc| *vpc != subnet.vpc) {
            return Err(clash(format!("the subnet `{id}` is in another VPC than the others")));
        }
        if let Some(other) = zones.insert(&subnet.zone, &subnet.id) {
            return Err(clash(format!("`{other}` and `{id}` are both in {}, and one a zone is allowed", subnet.zone)));
        }
        vpc = Some(&subnet.vpc);
    }
    vpc.cloned().ok_or_else(|| invalid("a load balancer must have a subnet at least"))
}

/// Whether a balancer serves a zone.
pub(super) fn serves(place: &RegionWorld, body: &Observed, zone: &ZoneName) -> bool {
    body.subnets.iter().any(|id| place.subnet(id).is_some_and(|subnet| subnet.zone == *zone))
}

/// The groups of a balancer, which must be of its VPC; none means the VPC's `default` group.
pub(super) fn groups(turn: &Turn<'_>, vpc: &VpcId, links: &[Link]) -> Result<BTreeSet<CloudId>, WorldError> {
    if links.is_empty() {
        let slot = Slot::Name { kind: Kind::SecurityGroup, vpc: Some(vpc.clone()), name: "default".to_owned() };
        return Ok(turn.place.first(&slot).cloned().into_iter().collect());
    }
    let limit = turn.limits.groups_per_interface;
    if links.len() > limit {
        return Err(clash(format!("a load balancer has at most {limit} groups, not {}", links.len())));
    }
    let mut groups = BTreeSet::new();
    for link in links {
        let id = turn.link(link)?;
        match turn.place.object(&id).map(|object| &object.body) {
            Some(Body::SecurityGroup(body)) if body.vpc == *vpc => groups.insert(id),
            None if turn.place.is_stranger(&id) => groups.insert(id),
            Some(_) | None => {
                let why = format!("the security group `{id}` does not exist in `{vpc}`");
                return Err(WorldError::new(Trouble::NotFound, "InvalidSecurityGroup", why));
            }
        };
    }
    Ok(groups)
}

/// Sets all groups at once.
pub(super) fn set_groups(turn: &mut Turn<'_>, links: &[Link]) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let vpc = balancer(turn.place, &id)?.vpc.clone();
    if links.is_empty() {
        return Err(invalid(format!("`{id}` must have a group at least")));
    }
    let groups = groups(turn, &vpc, links)?;
    change(turn.place, &id, |body| body.security_groups = groups);
    Ok(Outputs::new())
}

/// Adds subnets, in zones that have none yet, once those that were given up a moment ago do not count any more.
pub(super) fn attach(turn: &mut Turn<'_>, new: &BTreeSet<SubnetId>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = balancer(turn.place, &id)?;
    let all: BTreeSet<SubnetId> = body.subnets.union(new).cloned().collect();
    subnets(turn.place, all.iter())?;
    let waits = leaving(turn.place, &id, new);
    turn.outlast_all(waits)?;
    change(turn.place, &id, |body| body.subnets = all);
    Ok(Outputs::new())
}

/// Until when subnets that were given up stand in the way of others in their zones, and what AWS answers before.
fn leaving(place: &RegionWorld, id: &CloudId, new: &BTreeSet<SubnetId>) -> Vec<(u64, WorldError)> {
    let zone = |subnet: &SubnetId| place.subnet(subnet).map(|subnet| &subnet.zone);
    let detaching = place.unlisted(id).map(|unlisted| &unlisted.detaching).into_iter().flatten();
    detaching
        .filter_map(|(old, until)| {
            let other = new.iter().find(|subnet| *subnet != old && zone(subnet) == zone(old))?;
            let why = format!("`{id}` still stands in `{old}`, and `{other}` is in the same zone");
            Some((*until, WorldError::new(Trouble::WrongState, "InvalidConfigurationRequest", why)))
        })
        .collect()
}

/// Gives subnets up, once enough members serve in the zones of the others. The last one cannot be given up.
pub(super) fn detach(turn: &mut Turn<'_>, old: &BTreeSet<SubnetId>, keep: u32) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = balancer(turn.place, &id)?;
    let left: BTreeSet<SubnetId> = body.subnets.difference(old).cloned().collect();
    if left.is_empty() {
        return Err(clash(format!("`{id}` must keep a subnet at least")));
    }
    let after = Observed { subnets: left.clone(), ..body.clone() };
    let outside = |member: &&CloudId| {
        turn.place.machine(member).is_some_and(|machine| !serves(turn.place, &after, &machine.zone))
    };
    let leaving: BTreeSet<CloudId> = body.instances.iter().filter(outside).cloned().collect();
    let gone: Vec<SubnetId> = body.subnets.intersection(old).cloned().collect();
    members::await_enough(turn, &id, &leaving, keep)?;
    let clock = *turn.clock;
    let detaching = &mut turn.place.unlisted_mut(&id).detaching;
    detaching.retain(|_, until| clock < *until);
    detaching.extend(gone.into_iter().map(|subnet| (subnet, clock.saturating_add(DETACHING))));
    change(turn.place, &id, |body| body.subnets = left);
    Ok(Outputs::new())
}
