//! The one place where the simulated kinds meet. Everything here is dispatch.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{Machine, Outputs, PublicPool, RegionWorld, Resolve, Slot, Turn, WorldError};
use crate::model::{CloudId, Kind, Owner};
use crate::resources::host_firewall::sim::Host;
use crate::resources::load_balancer::state::Health;
use crate::resources::registry::{Action, Body, Call, Object};
use crate::resources::snapshot;
use crate::resources::{elastic_ip, host_firewall, instance, key_pair, load_balancer, security_group};

/// Carries out an action.
pub(super) fn perform(turn: &mut Turn<'_>, action: &Action) -> Result<Outputs, WorldError> {
    match action {
        Action::KeyPair(action) => key_pair::sim::perform(turn, action),
        Action::SecurityGroup(action) => security_group::sim::perform(turn, action),
        Action::ElasticIp(action) => elastic_ip::sim::perform(turn, action),
        Action::Instance(action) => instance::sim::perform(turn, action),
        Action::LoadBalancer(action) => load_balancer::sim::perform(turn, action),
        Action::HostFirewall(_) => Err(WorldError::invalid("the firewall of a host is in no region")),
    }
}

/// Carries out a call to a host.
pub(super) fn perform_on_host(
    host: &mut Host,
    id: &CloudId,
    call: &Call,
    known: &dyn Resolve,
) -> Result<Outputs, WorldError> {
    match &call.action {
        Action::HostFirewall(action) => {
            host_firewall::sim::perform(host, &host_firewall::sim::Order { id, call, action, known })
        }
        _ => Err(WorldError::invalid("only the firewalls of hosts are in no region")),
    }
}

/// The host that an action is for, where it says so.
pub(super) fn host_of(action: &Action) -> Option<CloudId> {
    match action {
        Action::HostFirewall(action) => host_firewall::sim::host_of(action),
        _ => None,
    }
}

/// The rules of others that an action takes over, by their text.
pub(super) fn adopts(action: &Action) -> &[String] {
    match action {
        Action::HostFirewall(action) => host_firewall::sim::adopts(action),
        _ => &[],
    }
}

/// An instance of a region, as queries see it.
pub(super) fn listed(place: &RegionWorld, object: &Object) -> Option<snapshot::Machine> {
    let Body::Instance(body) = &object.body else { return None };
    Some(snapshot::Machine {
        id: object.id.clone(),
        state: body.state.word().to_owned(),
        tags: object.tags.clone(),
        public: body.public_ip,
        private: Some(body.private_ip),
        ipv6: place.unlisted(&object.id).map(|unlisted| unlisted.ipv6.clone()).unwrap_or_default(),
    })
}

/// The API operation that an action is.
pub(super) const fn api(action: &Action) -> &'static str {
    match action {
        Action::KeyPair(action) => key_pair::sim::api(action),
        Action::SecurityGroup(action) => security_group::sim::api(action),
        Action::ElasticIp(action) => elastic_ip::sim::api(action),
        Action::Instance(action) => instance::sim::api(action),
        Action::LoadBalancer(action) => load_balancer::sim::api(action),
        Action::HostFirewall(action) => host_firewall::sim::api(action),
    }
}

/// What an object has that lookups go by.
pub(super) fn slots(object: &Object) -> Vec<Slot> {
    let mut slots = match &object.body {
        Body::KeyPair(body) => key_pair::sim::slots(body),
        Body::SecurityGroup(body) => security_group::sim::slots(body),
        Body::ElasticIp(body) => elastic_ip::sim::slots(body),
        Body::Instance(body) => instance::sim::slots(body),
        Body::LoadBalancer(body) => load_balancer::sim::slots(body),
        Body::HostFirewall(_) => Vec::new(),
    };
    if let Some(Owner { stack, address, generation, origin: _ }) = object.owner()
        && !is_going(object)
    {
        slots.push(Slot::Owned { kind: object.kind(), stack, address, generation });
    }
    slots
}

/// What an object keeps from going.
pub(super) fn holds(object: &Object) -> Vec<CloudId> {
    match &object.body {
        Body::KeyPair(_) | Body::ElasticIp(_) | Body::HostFirewall(_) => Vec::new(),
        Body::SecurityGroup(body) => security_group::sim::holds(&object.id, body),
        Body::Instance(body) => instance::sim::holds(body),
        Body::LoadBalancer(body) => load_balancer::sim::holds(body),
    }
}

/// The names that an object goes by, beside its id.
pub(super) fn names(object: &Object) -> Vec<String> {
    match &object.body {
        Body::KeyPair(body) => vec![body.name.clone()],
        Body::SecurityGroup(body) => vec![body.name.clone()],
        Body::ElasticIp(body) => vec![body.public_ip.to_string()],
        Body::LoadBalancer(body) => vec![body.name.clone()],
        Body::Instance(_) => object.tags.get("Name").cloned().into_iter().collect(),
        Body::HostFirewall(_) => Vec::new(),
    }
}

/// The slot of an object's name; none for kinds without names.
pub(super) fn name_slot(kind: Kind, vpc: Option<crate::model::id::VpcId>, name: &str) -> Option<Slot> {
    match kind {
        Kind::KeyPair | Kind::LoadBalancer => Some(Slot::Name { kind, vpc: None, name: name.to_owned() }),
        Kind::SecurityGroup => Some(Slot::Name { kind, vpc, name: name.to_lowercase() }),
        Kind::ElasticIp | Kind::Instance | Kind::HostFirewall => None,
    }
}

/// Whether an object is on its way out.
pub(super) fn is_going(object: &Object) -> bool {
    match &object.body {
        Body::KeyPair(_)
        | Body::SecurityGroup(_)
        | Body::ElasticIp(_)
        | Body::LoadBalancer(_)
        | Body::HostFirewall(_) => false,
        Body::Instance(body) => instance::sim::is_going(body),
    }
}

/// Brings what was under way with an object to its end.
pub(super) fn ripen(place: &mut RegionWorld, pool: &mut PublicPool, id: &CloudId) {
    // The kind is told first: it remembers when that was.
    instance::sim::ripen(place, pool, id);
    place.set_due(id, None);
}

/// Takes what a listing says between the lines of an object that was observed.
pub(super) fn recall(place: &mut RegionWorld, id: &CloudId) {
    instance::sim::recall(place, id);
}

/// The members of an object that fail its health checks.
pub(super) fn ailing(object: &Object) -> Vec<CloudId> {
    match &object.body {
        Body::LoadBalancer(body) => load_balancer::sim::ailing(body),
        _ => Vec::new(),
    }
}

/// The VPC that an object lies in.
pub(super) fn vpc(object: &Object) -> Option<&crate::model::id::VpcId> {
    match &object.body {
        Body::SecurityGroup(body) => Some(&body.vpc),
        Body::Instance(body) => Some(&body.vpc),
        Body::LoadBalancer(body) => Some(&body.vpc),
        Body::KeyPair(_) | Body::ElasticIp(_) | Body::HostFirewall(_) => None,
    }
}

/// Whether the object takes an Elastic IP.
pub(super) fn takes_address(place: &RegionWorld, id: &CloudId) -> Result<(), WorldError> {
    match place.object(id).map(|object| &object.body) {
        Some(Body::Instance(body)) => instance::sim::takes_address(id, body),
        None if place.is_stranger(id) => Ok(()),
        Some(_) | None => Err(WorldError::missing(Kind::Instance, id)),
    }
}

/// Gives an instance's interface an Elastic IP, or takes it away.
pub(super) fn wear(place: &mut RegionWorld, pool: &mut PublicPool, id: &CloudId, elastic: Option<Ipv4Addr>) {
    instance::sim::wear(place, pool, id, elastic);
}

/// An instance, as those see it who send it traffic.
pub(super) fn machine(place: &RegionWorld, id: &CloudId) -> Option<Machine> {
    let Body::Instance(body) = &place.object(id)?.body else { return None };
    let unlisted = place.unlisted(id);
    let marked = unlisted.is_some_and(|unlisted| unlisted.unhealthy);
    Some(Machine {
        vpc: body.vpc.clone(),
        zone: body.zone.clone(),
        life: instance::sim::life(body, unlisted),
        passes: !marked && !place.unhealthy_images().contains(&body.image),
    })
}

/// How the members of a load balancer are at a time.
pub(super) fn health(place: &RegionWorld, id: &CloudId, now: u64) -> BTreeMap<CloudId, Health> {
    load_balancer::sim::health(place, id, now)
}

/// From when on each member of a load balancer serves; those who never will are left out.
pub(super) fn outlook(place: &RegionWorld, id: &CloudId) -> BTreeMap<CloudId, u64> {
    load_balancer::sim::outlook(place, id)
}

/// How many an action leaves in service, for those that may take some out.
pub(super) const fn keeps(action: &Action) -> Option<u32> {
    match action {
        Action::KeyPair(_)
        | Action::SecurityGroup(_)
        | Action::ElasticIp(_)
        | Action::Instance(_)
        | Action::HostFirewall(_) => None,
        Action::LoadBalancer(action) => load_balancer::sim::keeps(action),
    }
}

/// Loosens an Elastic IP from whatever it answers for.
pub(super) fn loosen(place: &mut RegionWorld, id: &CloudId) {
    elastic_ip::sim::loosen(place, id);
}

/// The instance that an Elastic IP answers for, and the address.
pub(super) fn seat(object: &Object) -> Option<(CloudId, Ipv4Addr)> {
    match &object.body {
        Body::ElasticIp(body) => Some((body.association.as_ref()?.instance.clone()?, body.public_ip)),
        _ => None,
    }
}

/// The group that every VPC has.
pub(super) fn default_group(vpc: &crate::model::id::VpcId, own: &CloudId, rules: [CloudId; 2], ipv6: bool) -> Body {
    Body::SecurityGroup(security_group::sim::default_group(vpc, own, rules, ipv6))
}

/// Completes what a hand-written object leaves out, and says when what is under way with it ends.
pub(super) fn settle(place: &mut RegionWorld, id: &CloudId, clock: u64) {
    instance::sim::settle(place, id, clock);
    load_balancer::sim::settle(place, id);
    let seat = place.object(id).and_then(seat).map_or_else(|| id.clone(), |(instance, _)| instance);
    let elastic = place.first(&Slot::Seat(seat.clone())).and_then(|address| place.object(address)).and_then(public_ip);
    if let Some(address) = elastic {
        instance::sim::answer_on(place, &seat, address);
    }
}

/// The public address of an object.
pub(super) fn public_ip(object: &Object) -> Option<Ipv4Addr> {
    match &object.body {
        Body::KeyPair(_) | Body::SecurityGroup(_) | Body::LoadBalancer(_) | Body::HostFirewall(_) => None,
        Body::ElasticIp(body) => Some(body.public_ip),
        Body::Instance(body) => body.public_ip,
    }
}
