//! The life of an instance: pending, running, stopping, stopped, shutting down, gone
//! (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>).

use std::net::Ipv4Addr;

use super::super::Observed;
use super::super::state::State;
use super::{change, instance, renew, show, wrong_state};
use crate::model::{CloudId, Output};
use crate::resources::world::{Outputs, PublicPool, RegionWorld, Trouble, Turn, WorldError};

/// How long a state on the way to another lasts, in seconds.
const fn lasts(state: State) -> Option<u64> {
    match state {
        State::Pending => Some(20),
        State::Stopping => Some(30),
        State::ShuttingDown => Some(40),
        State::Running | State::Stopped => None,
    }
}

/// Puts an instance into a state, and sets when it ends.
pub(super) fn enter(place: &mut RegionWorld, id: &CloudId, state: State, clock: u64) {
    change(place, id, |body| body.state = state);
    place.set_due(id, lasts(state).map(|seconds| clock.saturating_add(seconds)));
}

/// Brings what is under way with an instance to its end.
pub fn ripen(place: &mut RegionWorld, pool: &mut PublicPool, id: &CloudId) {
    let at = place.unlisted(id).and_then(|unlisted| unlisted.until);
    place.set_due(id, None);
    let Ok(body) = instance(place, id) else { return };
    match body.state {
        State::Pending => {
            let bare = !body.public_ip_is_elastic && body.public_ip.is_none();
            change(place, id, |body| body.state = State::Running);
            place.unlisted_mut(id).running_since = at;
            if bare {
                renew(place, pool, id);
            }
        }
        State::Stopping => change(place, id, |body| body.state = State::Stopped),
        State::ShuttingDown => {
            place.remove(id);
            place.forget(id);
        }
        State::Running | State::Stopped => {}
    }
}

/// Completes what a hand-written instance leaves out.
pub fn settle(place: &mut RegionWorld, id: &CloudId, clock: u64) {
    let Ok(body) = instance(place, id) else { return };
    let (state, private_dns) = (body.state, place.private_dns(body.private_ip));
    let public_dns = body.public_ip.map(|address| place.public_dns(address));
    let auto = body.public_ip.is_some() && !body.public_ip_is_elastic;
    change(place, id, |body| {
        if body.private_dns.is_empty() {
            body.private_dns = private_dns;
        }
        body.public_dns = body.public_dns.take().or(public_dns);
    });
    let unlisted = place.unlisted_mut(id);
    unlisted.public_ip.get_or_insert(auto);
    let until = lasts(state).map(|seconds| unlisted.until.unwrap_or_else(|| clock.saturating_add(seconds)));
    place.set_due(id, until);
}

/// Whether its interface takes an Elastic IP: not before it runs, and not when it goes.
///
/// # Errors
/// When it does not.
pub fn takes_address(id: &CloudId, body: &Observed) -> Result<(), WorldError> {
    match body.state {
        State::Running | State::Stopping | State::Stopped => Ok(()),
        State::Pending | State::ShuttingDown => Err(wrong_state(id, body)),
    }
}

/// Gives an instance an Elastic IP, by which it loses its own address; or takes it away, upon which a running one whose
/// interface gets addresses has a new one
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html>).
pub fn wear(place: &mut RegionWorld, pool: &mut PublicPool, id: &CloudId, elastic: Option<Ipv4Addr>) {
    if let Some(address) = elastic {
        answer_on(place, id, address);
        return;
    }
    show(place, id, None);
    if instance(place, id).is_ok_and(|body| body.state == State::Running) {
        renew(place, pool, id);
    }
}

/// Gives an instance an Elastic IP's address instead of its own.
pub fn answer_on(place: &mut RegionWorld, id: &CloudId, address: Ipv4Addr) {
    show(place, id, Some(address));
    change(place, id, |body| body.public_ip_is_elastic = true);
}

/// Starts a stopped instance.
pub(super) fn start(turn: &mut Turn<'_>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = instance(turn.place, &id)?;
    match body.state {
        State::Pending | State::Running => {}
        State::Stopped => enter(turn.place, &id, State::Pending, *turn.clock),
        State::Stopping | State::ShuttingDown => return Err(wrong_state(&id, body)),
    }
    Ok(Outputs::new())
}

/// Stops an instance, which loses its own public address and keeps an Elastic IP.
pub(super) fn stop(turn: &mut Turn<'_>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = instance(turn.place, &id)?;
    match body.state {
        State::Stopping | State::Stopped => return Ok(Outputs::new()),
        State::Pending | State::ShuttingDown => return Err(wrong_state(&id, body)),
        State::Running => {}
    }
    if body.root.is_none() {
        let why = format!("the instance `{id}` boots from an instance store and cannot be stopped");
        return Err(WorldError::new(Trouble::WrongState, "UnsupportedOperation", why));
    }
    let elastic = body.public_ip_is_elastic;
    enter(turn.place, &id, State::Stopping, *turn.clock);
    if !elastic {
        show(turn.place, &id, None);
    }
    Ok(Outputs::new())
}

/// Terminates an instance: it loses its Elastic IP at once, its groups and private address when it is gone
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html>).
pub(super) fn terminate(turn: &mut Turn<'_>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let Ok(body) = instance(turn.place, &id) else { return Ok(Outputs::new()) };
    if body.state == State::ShuttingDown {
        return Ok(Outputs::new());
    }
    if turn.place.unlisted(&id).is_some_and(|unlisted| unlisted.termination_protection) {
        let why = format!("the instance `{id}` may not be terminated: modify its `disableApiTermination` attribute");
        return Err(WorldError::new(Trouble::Denied, "OperationNotPermitted", why));
    }
    turn.unseat(&id);
    show(turn.place, &id, None);
    enter(turn.place, &id, State::ShuttingDown, *turn.clock);
    Ok(Outputs::new())
}

/// Lets the time pass until what is under way ends, if the call may wait so long.
fn wait(turn: &mut Turn<'_>, id: &CloudId) -> Result<(), WorldError> {
    let until = turn.place.unlisted(id).and_then(|unlisted| unlisted.until).unwrap_or(*turn.clock);
    if !turn.outlast(until) {
        let why = format!("the instance `{id}` is not there after {}", turn.call.timeout);
        return Err(WorldError::new(Trouble::TimedOut, "TimedOut", why));
    }
    ripen(turn.place, turn.pool, id);
    Ok(())
}

/// Waits until it is running, and tells its addresses and names.
pub(super) fn await_running(turn: &mut Turn<'_>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = instance(turn.place, &id)?;
    match body.state {
        State::Running => {}
        State::Pending => wait(turn, &id)?,
        State::Stopping | State::Stopped | State::ShuttingDown => return Err(wrong_state(&id, body)),
    }
    Ok(told(&id, instance(turn.place, &id)?))
}

/// Waits until it is stopped.
pub(super) fn await_stopped(turn: &mut Turn<'_>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = instance(turn.place, &id)?;
    match body.state {
        State::Stopped => {}
        State::Stopping => wait(turn, &id)?,
        State::Pending | State::Running | State::ShuttingDown => return Err(wrong_state(&id, body)),
    }
    Ok(Outputs::new())
}

/// Waits until it is gone.
pub(super) fn await_terminated(turn: &mut Turn<'_>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let Ok(body) = instance(turn.place, &id) else { return Ok(Outputs::new()) };
    match body.state {
        State::ShuttingDown => wait(turn, &id)?,
        State::Pending | State::Running | State::Stopping | State::Stopped => return Err(wrong_state(&id, body)),
    }
    Ok(Outputs::new())
}

/// What a running instance tells.
fn told(id: &CloudId, body: &Observed) -> Outputs {
    let mut outputs = born(id, body);
    outputs.extend(body.public_ip.map(|address| (Output::PublicIp, address.to_string())));
    outputs.extend(body.public_dns.clone().map(|name| (Output::PublicDns, name)));
    outputs
}

/// What an instance tells from the start: all but its public address.
pub(super) fn born(id: &CloudId, body: &Observed) -> Outputs {
    Outputs::from([
        (Output::Id, id.to_string()),
        (Output::PrivateIp, body.private_ip.to_string()),
        (Output::PrivateDns, body.private_dns.clone()),
        (Output::Zone, body.zone.to_string()),
    ])
}
