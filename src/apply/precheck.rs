//! The last look before a step that destroys or takes away: the object must be what the plan saw, changed at most by this
//! plan's own steps.

use std::time::Duration;

use crate::plan::Step;
use crate::port::{Provider, ProviderError};
use crate::resources::Wave;
use crate::resources::registry::Object;

/// What the last look says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Do it.
    Go,
    /// There is nothing left to remove.
    Gone,
    /// Do not: it is something else now.
    Stale(String),
}

/// Whether an earlier step of this apply changed the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// None did: what is listed is what is.
    Untouched,
    /// One did, and a listing may not show it yet.
    Touched,
}

/// The pauses between looks at an object that this apply changed a moment ago and that is not listed so. A listing that lags
/// is no reason to stop; one that says the same all the while is believed.
const LOOKS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
    Duration::from_secs(20),
    Duration::from_secs(40),
];

/// Looks at the object of a step once more; several times, where a listing may lag behind what this apply did.
///
/// # Errors
/// When it cannot be read; then nothing is done either.
pub(super) async fn precheck<P: Provider>(
    stack: &str,
    step: &Step,
    before: Before,
    world: &P,
) -> Result<Verdict, ProviderError> {
    let mut verdict = look(stack, step, world).await?;
    for pause in LOOKS {
        if before == Before::Untouched || !matches!(verdict, Verdict::Stale(_)) {
            break;
        }
        tokio::time::sleep(pause).await;
        verdict = look(stack, step, world).await?;
    }
    Ok(verdict)
}

async fn look<P: Provider>(stack: &str, step: &Step, world: &P) -> Result<Verdict, ProviderError> {
    let Some(seen) = &step.seen else { return Ok(Verdict::Go) };
    let now = world.reread(seen.kind(), &seen.region, &seen.id).await?;
    Ok(match now {
        None if step.wave == Wave::Remove => Verdict::Gone,
        None => Verdict::Stale(format!("{} is gone", seen.id)),
        Some(now) => match changed(stack, step, seen, &now) {
            Some(why) => Verdict::Stale(why),
            None => Verdict::Go,
        },
    })
}

/// What is different in a way that matters.
fn changed(stack: &str, step: &Step, seen: &Object, now: &Object) -> Option<String> {
    let Some(owner) = now.owner().filter(|owner| owner.stack == stack) else {
        return Some(format!("{} does not belong to stack `{stack}` any more", now.id));
    };
    let before = seen.owner();
    let renamed = owner.address == step.call.at;
    let same = before.as_ref().is_some_and(|before| before.address == owner.address);
    if !renamed && !same {
        return Some(format!("{} is `{}` now", now.id, owner.address));
    }
    if before.is_some_and(|before| before.generation != owner.generation) {
        return Some(format!("{} is of generation {} now", now.id, owner.generation));
    }
    step.call.action.stale(seen, now)
}
