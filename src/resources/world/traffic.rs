//! What instances are to those who send them traffic, and the law that no call takes one out of service unasked.

use std::collections::BTreeMap;

use super::{RegionWorld, Resolve, World, dispatch};
use crate::model::id::{VpcId, ZoneName};
use crate::model::{CloudId, Kind, Link, Region};
use crate::resources::load_balancer::state::Health;
use crate::resources::registry::{Body, Call, Object};

/// How far an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It starts.
    Pending {
        /// When it will be running; absent when nobody knows.
        until: Option<u64>,
    },
    /// It runs.
    Running {
        /// Since when; absent means since ever.
        since: Option<u64>,
    },
    /// It is stopped, or about to be.
    Stopped,
    /// It is going for good.
    Terminated,
}

/// What those who send traffic to an instance see of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its VPC.
    pub vpc: VpcId,
    /// Its zone.
    pub zone: ZoneName,
    /// How far it is in its life.
    pub life: Life,
    /// Whether it passes health checks when it runs.
    pub passes: bool,
}

impl RegionWorld {
    /// An instance, as those see it who send it traffic.
    #[must_use]
    pub fn machine(&self, id: &CloudId) -> Option<Machine> {
        dispatch::machine(self, id)
    }
}

impl World {
    /// How the members of a load balancer are.
    #[must_use]
    pub fn health(&self, region: &Region, id: &CloudId) -> BTreeMap<CloudId, Health> {
        self.regions.get(region).map(|place| dispatch::health(place, id, self.clock)).unwrap_or_default()
    }

    /// An object with what has to be asked for: how its members are, where it has any.
    #[must_use]
    pub fn with_health(&self, mut object: Object) -> Object {
        if let Body::LoadBalancer(body) = &mut object.body {
            body.health = self.health(&object.region, &object.id);
        }
        object
    }

    /// Every call that did what no call may, in words: that took a member out of service without leaving as many there as it
    /// promised, changed what is not its stack's, gave an address up while a host still lets it in, or took a rule away that
    /// is none of ours. These are faults of the caller: the world itself is as sound as before, and [`World::audit`] says
    /// nothing of them.
    #[must_use]
    pub fn breaches(&self) -> &[String] {
        &self.breaches
    }
}

/// Who serves at the stacks' own load balancers as a call begins.
#[derive(Debug)]
pub(super) struct Watch(Vec<(CloudId, BTreeMap<CloudId, u64>)>);

impl Watch {
    /// Notes from when on each member serves if the call does nothing. Only what one stack owns counts: with members of
    /// others it must live, whatever becomes of them.
    pub(super) fn begin(place: &RegionWorld) -> Self {
        let stack = |id: &CloudId| Some(place.object(id)?.owner()?.stack);
        let watched = place.named(Kind::LoadBalancer).filter_map(|id| {
            let owner = stack(id)?;
            let mut members = dispatch::outlook(place, id);
            members.retain(|member, _| stack(member).as_ref() == Some(&owner));
            Some((id.clone(), members))
        });
        Self(watched.collect())
    }

    /// Every breach that the call made. Both sides are read at the time it ended, so that time alone takes nobody out.
    pub(super) fn end(self, place: &RegionWorld, now: u64, call: &Call, known: &dyn Resolve) -> Vec<String> {
        let mut breaches = Vec::new();
        for (id, before) in self.0 {
            // With the balancer itself everybody goes.
            if place.object(&id).is_none() {
                continue;
            }
            let after = dispatch::outlook(place, &id);
            let serves = |from: &u64| *from <= now;
            let left = after.values().filter(|from| serves(from)).count();
            let on_it = || target(call, known).as_ref() == Some(&id);
            let allowed = dispatch::keeps(&call.action)
                .is_some_and(|keep| usize::try_from(keep).is_ok_and(|keep| left >= keep) && on_it());
            let gone = |member: &CloudId| !after.get(member).is_some_and(serves);
            let lost = before.iter().filter(|(member, from)| serves(from) && gone(member));
            if !allowed {
                let api = World::api(&call.action);
                breaches.extend(lost.map(|(member, _)| {
                    format!(
                        "{api} for `{}` took `{member}` out of service at `{id}` at second {now}, which left {left}",
                        call.at
                    )
                }));
            }
        }
        breaches
    }
}

/// What a call acts on.
pub(super) fn target(call: &Call, known: &dyn Resolve) -> Option<CloudId> {
    call.on.clone().or_else(|| known.id(&Link::Planned(call.at.clone())))
}
