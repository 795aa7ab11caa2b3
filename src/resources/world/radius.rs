//! The law that no call changes what its stack does not own, and makes nothing without saying whose it is.

use super::{RegionWorld, Resolve, Unlisted, World, dispatch, traffic};
use crate::model::{CloudId, Owner, StackName};
use crate::resources::registry::{Call, Object};

/// What an object was before a call, with what no listing says of it.
pub(super) type Before = (Option<Object>, Option<Unlisted>);

/// On whose behalf a call is made, as it begins.
#[derive(Debug)]
pub(super) struct Watch(Option<StackName>);

impl Watch {
    /// Has the region remember what every object was that the call touches. Where nobody says on whose behalf it is made,
    /// no law can be kept.
    pub(super) fn begin(place: &mut RegionWorld, known: &dyn Resolve) -> Self {
        let stack = known.stack();
        if stack.is_some() {
            place.watch();
        }
        Self(stack)
    }

    /// Every object that the call changed, removed or made though it is not the stack's.
    pub(super) fn end(self, place: &mut RegionWorld, now: u64, call: &Call, known: &dyn Resolve) -> Vec<String> {
        let touched = place.touched();
        let Some(stack) = self.0 else { return Vec::new() };
        let target = traffic::target(call, known);
        let mut breaches = Vec::new();
        for (id, (before, unlisted)) in touched {
            let after = place.object(&id);
            if before.as_ref() == after && unlisted.as_ref() == place.unlisted(&id) {
                continue;
            }
            let is_target = target.as_ref() == Some(&id);
            let what = match &before {
                None => made(&stack, call, after),
                Some(before) if freed(place, target.as_ref(), before) => None,
                Some(before) => changed(&stack, call, is_target, before, after),
            };
            let told = |what| format!("{} for `{}` {what} `{id}` at second {now}", World::api(&call.action), call.at);
            breaches.extend(what.map(told));
        }
        breaches
    }
}

/// What is wrong with an object that a call made.
fn made(stack: &StackName, call: &Call, object: Option<&Object>) -> Option<&'static str> {
    let owner = object?.owner();
    let says = owner.is_some_and(|owner| owner.stack == stack.as_str() && owner.address == call.at);
    (!says).then_some("did not say whose it is when it made")
}

/// What is wrong with a change of an object that was there.
fn changed(
    stack: &StackName,
    call: &Call,
    is_target: bool,
    before: &Object,
    after: Option<&Object>,
) -> Option<&'static str> {
    let is_here = |owner: &Owner| owner.stack == stack.as_str() && owner.address == call.at;
    // Whoever takes an object over, or gives it another address, changes nothing else of it.
    let taken = || after.is_some_and(|after| after.body == before.body && after.owner().as_ref().is_some_and(is_here));
    match before.owner() {
        Some(owner) if owner.stack != stack.as_str() => Some("changed what is another stack's:"),
        // What a call does to others of its stack is for the other laws.
        Some(owner) if !is_target || owner.address == call.at => None,
        Some(_) if taken() => None,
        Some(_) => Some("changed what is another address's:"),
        None if is_target && taken() => None,
        None => Some("changed what is nobody's of ours:"),
    }
}

/// Whether an object only lost its tie to what the call ended: whoever owns an instance may end it, whatever Elastic IP
/// somebody lent to it.
fn freed(place: &RegionWorld, target: Option<&CloudId>, before: &Object) -> bool {
    let Some((seat, _)) = dispatch::seat(before) else { return false };
    target == Some(&seat) && place.object(&seat).is_none_or(dispatch::is_going)
}
