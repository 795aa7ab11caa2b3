//! `forget`: takes our tags off the objects at an address, and leaves them where they are.

use std::path::PathBuf;
use std::sync::Arc;

use super::args::{Forget, PolicyArgs};
use super::console::Console;
use super::exit::Exit;
use super::locking::{self, Locks, Work};
use super::policy::policy;
use super::signals::Signals;
use super::{load, session};
use crate::lock::Fenced;
use crate::model::duration::Seconds;
use crate::model::tags::OURS;
use crate::model::{Address, TagEdit, Tags};
use crate::plan::policy::Goal;
use crate::port::{Bindings, Provider};
use crate::provider::Place;
use crate::resources::registry::{Action, Call, Object};
use crate::resources::stack::Stack;

/// Runs the command.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn run(args: &Forget, console: &Console) -> Result<Exit, Exit> {
    let Some((address, specs)) = args.words.split_last() else { return Err(Exit::Usage) };
    let address: Address = address.parse().map_err(|why: String| {
        console.complain(&why, Some("the address stands last: `portcullis forget spec.toml instance.web-0`"));
        Exit::Usage
    })?;
    let specs: Vec<PathBuf> = specs.iter().map(PathBuf::from).collect();
    let stack = load::stack(&specs, &args.world, console).await?;
    let work = Work {
        command: "forget",
        stack: &stack,
        cloud: super::world::needs_cloud(&stack),
        world: &args.world,
        parallelism: 16,
        timeout: args.lock.lock_timeout,
    };
    let under_lock = async |place: &Arc<Place>, locks: &Locks, signals: &mut Signals| {
        forget(args, &address, &stack, place, locks, signals, console).await
    };
    work.under_lock(console, under_lock).await
}

/// Finds the objects, asks, and takes the tags off.
async fn forget(
    args: &Forget,
    address: &Address,
    stack: &Stack,
    place: &Arc<Place>,
    locks: &Locks,
    signals: &mut Signals,
    console: &Console,
) -> Result<Exit, Exit> {
    let policy = policy(&PolicyArgs::default(), Goal::Converge);
    let seen =
        place.observe(&session::scope(stack, &policy, false)).await.map_err(|error| console.provider_error(&error))?;
    let is_there = |object: &&Object| {
        object.owner().is_some_and(|owner| owner.stack == stack.name.as_str() && owner.address == *address)
    };
    let found: Vec<&Object> = seen.objects.iter().filter(is_there).collect();
    if found.is_empty() {
        let hint = "`portcullis observe` lists what it owns";
        return Err(console.error(&format!("stack `{}` owns nothing at `{address}`", stack.name), Some(hint)));
    }
    consent(args, address, &found, signals, console).await?;
    locks.still_held(console).await?;
    let fenced = Fenced::new(Arc::clone(place), locks.fence());
    for object in found {
        fenced.perform(&untag(address, object), &Bindings::default()).await.map_err(|error| {
            console.refused(&error);
            Exit::Partial
        })?;
        console.result(&format!("forgot {} ({address})\n", object.id));
    }
    if stack.resources.contains_key(address) {
        console.talk(&format!("note: the spec still names `{address}`: the next apply makes a new one, unless it is taken out or adopts this one"));
    }
    Ok(Exit::Done)
}

async fn consent(
    args: &Forget,
    address: &Address,
    found: &[&Object],
    signals: &mut Signals,
    console: &Console,
) -> Result<(), Exit> {
    let ids: Vec<String> = found.iter().map(|object| object.id.to_string()).collect();
    console.talk(&format!("Takes our tags off {} ({address}); nothing else changes.", ids.join(", ")));
    if args.yes {
        return Ok(());
    }
    if !console.can_ask() {
        console.complain("nobody is there to ask, and nothing was accepted beforehand", Some("say `--yes`"));
        return Err(Exit::Usage);
    }
    let question = "Forget it? Type `yes` to go on:".to_owned();
    if locking::ask(question, signals, console).await?.as_deref() == Some("yes") {
        return Ok(());
    }
    console.talk("Nothing was changed.");
    Err(Exit::Declined)
}

/// The call that takes every tag of ours off an object.
fn untag(address: &Address, object: &Object) -> Call {
    let unset = object.tags.keys().filter(|key| key.starts_with(OURS)).cloned().collect();
    Call {
        at: address.clone(),
        region: object.region.clone(),
        on: Some(object.id.clone()),
        action: Action::retag(address.kind, TagEdit { set: Tags::new(), unset }),
        timeout: Seconds(120),
    }
}
