//! Who is registered: coming in, being in service, going out.

use std::collections::BTreeSet;

use super::{balancer, change, health};
use crate::model::{CloudId, Link};
use crate::resources::world::{Life, Outputs, RegionWorld, Trouble, Turn, WorldError};

/// When requests end that were under way as a member left, in seconds.
const REQUESTS: u64 = 20;
/// How many members a message names.
const SHOWN: usize = 5;

/// Registers instances, which must run in the balancer's VPC
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_RegisterInstancesWithLoadBalancer.html>).
pub(super) fn register(turn: &mut Turn<'_>, links: &[Link]) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = balancer(turn.place, &id)?;
    let mut new = Vec::new();
    for link in links {
        let member = turn.link(link)?;
        if body.instances.contains(&member) {
            continue;
        }
        if turn.place.is_stranger(&member) {
            new.push(member);
            continue;
        }
        let machine = turn.place.machine(&member).ok_or_else(|| unknown(&member))?;
        if machine.vpc != body.vpc {
            return Err(not_taken(format!("`{member}` is not in `{}`", body.vpc)));
        }
        if !matches!(machine.life, Life::Running { .. }) {
            return Err(not_taken(format!("`{member}` is not running")));
        }
        new.push(member);
    }
    let clock = *turn.clock;
    let unlisted = turn.place.unlisted_mut(&id);
    for member in &new {
        unlisted.registered.insert(member.clone(), clock);
        unlisted.draining.remove(member);
    }
    change(turn.place, &id, |body| body.instances.extend(new));
    Ok(Outputs::new())
}

fn not_taken(message: String) -> WorldError {
    WorldError::new(Trouble::Invalid, "InvalidInstance", message)
}

fn unknown(member: &CloudId) -> WorldError {
    WorldError { trouble: Trouble::NotFound, ..not_taken(format!("the instance `{member}` does not exist")) }
}

/// Lets the time pass until all of these are in service.
pub(super) fn await_in_service(turn: &mut Turn<'_>, links: &[Link]) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = balancer(turn.place, &id)?;
    let members = links.iter().map(|link| turn.link(link)).collect::<Result<BTreeSet<CloudId>, WorldError>>()?;
    for member in &members {
        let machine = turn.place.machine(member);
        let gone = || machine.as_ref().is_none_or(|machine| machine.life == Life::Terminated);
        if !turn.place.is_stranger(member) && gone() {
            let why = format!("`{member}` was terminated while it was being registered");
            return Err(WorldError::new(Trouble::WrongState, "InvalidInstance", why));
        }
        if !body.instances.contains(member) {
            let why = format!("`{member}` is not registered with `{id}` any more");
            return Err(WorldError::new(Trouble::WrongState, "InvalidInstance", why));
        }
    }
    let outlook = health::outlook(turn.place, &id);
    let last = members.iter().try_fold(0, |last: u64, member| Some(last.max(*outlook.get(member)?)));
    if turn.outlast(last.unwrap_or(u64::MAX)) {
        return Ok(Outputs::new());
    }
    let waiting = reasons(turn.place, &id, members.iter(), *turn.clock);
    Err(timed_out(format!("not in service at `{id}` after {}: {waiting}", turn.call.timeout)))
}

fn timed_out(message: String) -> WorldError {
    WorldError::new(Trouble::TimedOut, "TimedOut", message)
}

/// Who of these is not in service, and why.
fn reasons<'a>(place: &RegionWorld, id: &CloudId, members: impl Iterator<Item = &'a CloudId>, now: u64) -> String {
    let Ok(body) = balancer(place, id) else { return String::new() };
    let all: Vec<String> = members
        .filter_map(|member| Some((member, health::why_not(place, id, body, member, now)?)))
        .map(|(member, why)| format!("`{member}` ({})", why.trim_end_matches('.')))
        .collect();
    let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Lets the time pass until so many are in service beside those who leave. Where none of these serves, nothing is lost.
pub(super) fn await_enough(
    turn: &mut Turn<'_>,
    id: &CloudId,
    leaving: &BTreeSet<CloudId>,
    keep: u32,
) -> Result<(), WorldError> {
    let outlook = health::outlook(turn.place, id);
    let serves = |from: &u64| *from <= *turn.clock;
    if !leaving.iter().any(|member| outlook.get(member).is_some_and(serves)) {
        return Ok(());
    }
    let mut others: Vec<u64> =
        outlook.iter().filter(|(member, _)| !leaving.contains(*member)).map(|(_, from)| *from).collect();
    others.sort_unstable();
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let enough = keep.checked_sub(1).map_or(Some(0), |last| others.get(last).copied());
    if turn.outlast(enough.unwrap_or(u64::MAX)) {
        return Ok(());
    }
    let now = *turn.clock;
    let serving = others.iter().filter(|from| **from <= now).count();
    let leave = leaving.iter().take(SHOWN).map(|member| format!("`{member}`")).collect::<Vec<_>>().join(", ");
    let are = if serving == 1 { "member is" } else { "members are" };
    let mut why = format!(
        "beside {leave}, {serving} {are} in service at `{id}` after {}, and {keep} must be before any leaves",
        turn.call.timeout
    );
    let body = balancer(turn.place, id)?;
    let waiting = reasons(turn.place, id, body.instances.iter().filter(|member| !leaving.contains(*member)), now);
    if !waiting.is_empty() {
        why = format!("{why}; not in service: {waiting}");
    }
    Err(timed_out(why))
}

/// Deregisters instances, once enough others are in service. Those who are not registered are no trouble, as long as they
/// are instances.
pub(super) fn deregister(turn: &mut Turn<'_>, instances: &BTreeSet<CloudId>, keep: u32) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    // Who is not registered, at a balancer that may be gone, has left already.
    let Ok(body) = balancer(turn.place, &id) else { return Ok(Outputs::new()) };
    let leaving: BTreeSet<CloudId> = instances.intersection(&body.instances).cloned().collect();
    let draining = body.attributes.connection_draining;
    await_enough(turn, &id, &leaving, keep)?;
    let (outlook, clock) = (health::outlook(turn.place, &id), *turn.clock);
    let unlisted = turn.place.unlisted_mut(&id);
    unlisted.draining.retain(|_, until| clock < *until);
    for member in &leaving {
        unlisted.registered.remove(member);
        unlisted.passed.remove(member);
        // Only who is in service has requests.
        if let Some(draining) = draining
            && outlook.get(member).is_some_and(|from| *from <= clock)
        {
            let until = clock.saturating_add(draining.0.min(REQUESTS));
            unlisted.draining.insert(member.clone(), until);
        }
    }
    change(turn.place, &id, |body| body.instances.retain(|member| !leaving.contains(member)));
    Ok(Outputs::new())
}

/// Lets the time pass until the requests of those who left have ended
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-conn-drain.html>).
pub(super) fn await_drained(turn: &mut Turn<'_>, ids: &BTreeSet<CloudId>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let draining = turn.place.unlisted(&id).map(|unlisted| &unlisted.draining);
    let until = draining.and_then(|draining| ids.iter().filter_map(|member| draining.get(member)).max()).copied();
    let Some(until) = until else { return Ok(Outputs::new()) };
    if !turn.outlast(until) {
        let why = format!("requests of members that left `{id}` are still under way after {}", turn.call.timeout);
        return Err(timed_out(why));
    }
    turn.place.unlisted_mut(&id).draining.retain(|member, _| !ids.contains(member));
    Ok(Outputs::new())
}
