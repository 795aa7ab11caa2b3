//! `observe`: what is there.

use super::args::{Format, Observe, PolicyArgs};
use super::console::Console;
use super::exit::Exit;
use super::plan::json;
use super::policy::policy;
use super::{load, session, world};
use crate::plan::policy::Goal;
use crate::port::{Provider, Scope};
use crate::report::snapshot;
use crate::resources::Read;

/// Runs the command.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn run(args: &Observe, console: &Console) -> Result<Exit, Exit> {
    let stack = load::stack(&args.spec.specs, &args.world, console).await?;
    let place = world::open(&args.world, &stack, 16, console).await?;
    let policy = policy(&PolicyArgs::default(), Goal::Converge);
    let scope = Scope { reads: Read::ALL.into(), ..session::scope(&stack, &policy, args.all_regions) };
    let seen = place.observe(&scope).await.map_err(|error| console.provider_error(&error))?;
    match args.format {
        Format::Text => {
            console.result(&snapshot::terminal(&stack.name, &seen, world::name(&args.world), console.style()));
        }
        Format::Json => {
            let doc = snapshot::document(&stack.name, seen, world::name(&args.world));
            console.result(&format!("{}\n", json(&doc)));
        }
    }
    Ok(Exit::Done)
}
