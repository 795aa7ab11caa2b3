//! `permissions`: the least IAM policy that a spec needs, offline.

use super::args::{Permissions as Args, PermissionsFor};
use super::console::Console;
use super::exit::Exit;
use super::plan::json;
use super::{load, world};
use crate::resources::permissions::{Permissions, Purpose};

/// Runs the command: the policy on standard output, to be pasted or piped as it is, and what it cannot say as talk.
///
/// # Errors
/// The exit that says what is wrong with the spec.
pub fn run(args: &Args, console: &Console) -> Result<Exit, Exit> {
    let stack = load::checked(load::read(&args.spec.specs, world::ambient_region(), console)?, console)?;
    let (permissions, purpose) = (Permissions::of(&stack), purpose(args.purpose));
    console.result(&format!("{}\n", json(&permissions.policy(purpose))));
    for note in permissions.notes(&stack, purpose) {
        console.talk(&format!("note: {note}"));
    }
    Ok(Exit::Done)
}

const fn purpose(purpose: PermissionsFor) -> Purpose {
    match purpose {
        PermissionsFor::Plan => Purpose::Plan,
        PermissionsFor::Apply => Purpose::Apply,
        PermissionsFor::Destroy => Purpose::Destroy,
    }
}
