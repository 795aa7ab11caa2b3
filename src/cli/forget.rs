//! `forget`: takes our tags off the objects at an address, and leaves them where they are.

use std::path::PathBuf;

use super::args::{Forget, PolicyArgs};
use super::console::Console;
use super::exit::Exit;
use super::policy::policy;
use super::{load, session, world};
use crate::model::duration::Seconds;
use crate::model::tags::OURS;
use crate::model::{Address, TagEdit, Tags};
use crate::plan::policy::Goal;
use crate::port::{Bindings, Provider};
use crate::resources::registry::{Action, Call, Object};

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
    let place = world::open(&args.world, &stack, 16, console).await?;
    let policy = policy(&PolicyArgs::default(), Goal::Converge);
    let seen =
        place.observe(&session::scope(&stack, &policy, false)).await.map_err(|error| console.provider_error(&error))?;
    let is_there = |object: &&Object| {
        object.owner().is_some_and(|owner| owner.stack == stack.name.as_str() && owner.address == address)
    };
    let found: Vec<&Object> = seen.objects.iter().filter(is_there).collect();
    if found.is_empty() {
        let hint = "`portcullis observe` lists what it owns";
        return Err(console.error(&format!("stack `{}` owns nothing at `{address}`", stack.name), Some(hint)));
    }
    consent(args, &address, &found, console)?;
    for object in found {
        place.perform(&untag(&address, object), &Bindings::default()).await.map_err(|error| {
            console.refused(&error);
            Exit::Partial
        })?;
        console.result(&format!("forgot {} ({address})\n", object.id));
    }
    if stack.resources.contains_key(&address) {
        console.talk(&format!("note: the spec still names `{address}`: the next apply makes a new one, unless it is taken out or adopts this one"));
    }
    Ok(Exit::Done)
}

fn consent(args: &Forget, address: &Address, found: &[&Object], console: &Console) -> Result<(), Exit> {
    let ids: Vec<String> = found.iter().map(|object| object.id.to_string()).collect();
    console.talk(&format!("Takes our tags off {} ({address}); nothing else changes.", ids.join(", ")));
    if args.yes {
        return Ok(());
    }
    if !console.can_ask() {
        console.complain("nobody is there to ask, and nothing was accepted beforehand", Some("say `--yes`"));
        return Err(Exit::Usage);
    }
    if console.ask("Forget it? Type `yes` to go on:").as_deref() == Some("yes") {
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
