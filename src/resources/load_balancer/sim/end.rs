//! The end of a balancer, and of the interfaces that outlive it.

use super::balancer;
use crate::resources::world::{Outputs, Remnant, Trouble, Turn, WorldError};

/// How long the interfaces of a deleted balancer hold its groups, in seconds.
const LINGER: u64 = 60;

/// Deletes a balancer; one that is gone is no trouble
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DeleteLoadBalancer.html>).
pub(super) fn delete(turn: &mut Turn<'_>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let Ok(body) = balancer(turn.place, &id) else { return Ok(Outputs::new()) };
    let remnant = Remnant {
        what: format!("the interfaces of the deleted load balancer `{}`", body.name),
        holds: body.security_groups.clone(),
        until: turn.clock.saturating_add(LINGER),
        of: id.clone(),
    };
    turn.place.remove(&id);
    turn.place.forget(&id);
    turn.place.leave(remnant);
    Ok(Outputs::new())
}

/// Lets the time pass until the interfaces of a deleted balancer are gone.
pub(super) fn await_interfaces_gone(turn: &mut Turn<'_>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let last = turn.place.remnants().iter().filter(|remnant| remnant.of == id).map(|remnant| remnant.until).max();
    if turn.outlast(last.unwrap_or_default()) {
        return Ok(Outputs::new());
    }
    let why = format!("the interfaces of the deleted load balancer `{id}` are still there after {}", turn.call.timeout);
    Err(WorldError::new(Trouble::TimedOut, "TimedOut", why))
}
