//! Who is in service. It follows from what members are and from the time: nothing of it is stored.

use std::collections::BTreeMap;

use super::super::state::{Health, Observed};
use super::{balancer, network};
use crate::model::CloudId;
use crate::resources::world::{Life, RegionWorld};

// The words of AWS (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_InstanceState.html>).
const IN_PROGRESS: &str = "Instance registration is still in progress.";
const FAILED: &str = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.";
const ELSEWHERE: &str =
    "Instance is in the EC2 Availability Zone for which LoadBalancer is not configured to route traffic to.";
const PENDING: &str = "Instance is in pending state.";
const STOPPED: &str = "Instance is in stopped state.";
const TERMINATED: &str = "Instance is in terminated state.";
const STRANGER: &str = "Instance is not currently registered with the LoadBalancer.";

/// How every member of a balancer is at a time.
#[must_use]
pub fn health(place: &RegionWorld, id: &CloudId, now: u64) -> BTreeMap<CloudId, Health> {
    let Ok(body) = balancer(place, id) else { return BTreeMap::new() };
    let of = |member: &CloudId| match why_not(place, id, body, member, now) {
        None => Health { in_service: true, reason: String::new() },
        Some(reason) => Health { in_service: false, reason: reason.to_owned() },
    };
    body.instances.iter().map(|member| (member.clone(), of(member))).collect()
}

/// The members that fail their checks, as a listing says. Who is only not checked often enough yet is none of them.
#[must_use]
pub fn ailing(body: &Observed) -> Vec<CloudId> {
    let fails = |health: &Health| !health.in_service && health.reason == FAILED;
    body.health.iter().filter(|(_, health)| fails(health)).map(|(member, _)| member.clone()).collect()
}

/// From when on each member of a balancer is in service, if nothing more is done to it; those who never will be are left
/// out.
#[must_use]
pub fn outlook(place: &RegionWorld, id: &CloudId) -> BTreeMap<CloudId, u64> {
    let Ok(body) = balancer(place, id) else { return BTreeMap::new() };
    let from = |member: &CloudId| Some((member.clone(), serves_from(place, id, body, member)?));
    body.instances.iter().filter_map(from).collect()
}

/// Why an instance is not in service, in AWS's words; none for one that is.
pub(super) fn why_not(
    place: &RegionWorld,
    id: &CloudId,
    body: &Observed,
    member: &CloudId,
    now: u64,
) -> Option<&'static str> {
    if !body.instances.contains(member) {
        return Some(STRANGER);
    }
    if place.is_stranger(member) {
        return None;
    }
    let Some(machine) = place.machine(member) else { return Some(TERMINATED) };
    let running = match machine.life {
        Life::Terminated => return Some(TERMINATED),
        Life::Stopped => return Some(STOPPED),
        Life::Pending { until } if until.is_none_or(|until| now < until) => return Some(PENDING),
        Life::Pending { until } => until,
        Life::Running { since } => since,
    };
    if !network::serves(place, body, &machine.zone) {
        return Some(ELSEWHERE);
    }
    if machine.passes {
        return (now < passes_at(place, id, body, member, running)).then_some(IN_PROGRESS);
    }
    let check = &body.health_check;
    let tries = check.interval.0.saturating_mul(u64::from(check.unhealthy_after));
    let failed = checked_since(place, id, member, running).map_or(0, |since| since.saturating_add(tries));
    Some(if now < failed { IN_PROGRESS } else { FAILED })
}

/// From when on a member is in service; none when that will not come by itself.
fn serves_from(place: &RegionWorld, id: &CloudId, body: &Observed, member: &CloudId) -> Option<u64> {
    // Of a stranger nothing is known, and so nothing bad.
    if place.is_stranger(member) {
        return Some(0);
    }
    let machine = place.machine(member)?;
    let running = match machine.life {
        Life::Terminated | Life::Stopped => return None,
        Life::Pending { until } => Some(until?),
        Life::Running { since } => since,
    };
    let able = machine.passes && network::serves(place, body, &machine.zone);
    able.then(|| passes_at(place, id, body, member, running))
}

/// Since when a member is checked: it is registered, and it runs. None means since ever.
fn checked_since(place: &RegionWorld, id: &CloudId, member: &CloudId, running: Option<u64>) -> Option<u64> {
    let registered = place.unlisted(id).and_then(|unlisted| unlisted.registered.get(member)).copied();
    running.max(registered)
}

/// When a member has passed enough checks: the ones there are now, or those before them.
fn passes_at(place: &RegionWorld, id: &CloudId, body: &Observed, member: &CloudId, running: Option<u64>) -> u64 {
    let Some(since) = checked_since(place, id, member, running) else { return 0 };
    let now = since.saturating_add(body.health_check.patience().0);
    let before = place.unlisted(id).and_then(|unlisted| unlisted.passed.get(member)).copied();
    before.filter(|passed| since <= *passed).map_or(now, |passed| now.min(passed))
}
