//! From paths on the command line to a stack, with every problem of the spec on standard error.

use std::path::PathBuf;

use super::args::WorldArgs;
use super::console::Console;
use super::exit::Exit;
use super::files::Disk;
use super::world;
use crate::diagnostic::Diagnostics;
use crate::model::{Region, Target};
use crate::report::problems;
use crate::report::style::Style;
use crate::resources::stack::Stack;
use crate::spec::{self, Environment, Format, Inputs, Source};

/// The process's environment variables.
struct Variables;

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// What reading a spec gave.
pub struct Loaded {
    /// The files, for whoever shows problems.
    pub sources: Vec<Source>,
    /// The stack, unless something is wrong.
    pub stack: Option<Stack>,
    /// Problems and warnings.
    pub problems: Diagnostics,
}

/// Reads and resolves a spec.
///
/// # Errors
/// When a file cannot be read; it is said on the console.
pub fn read(paths: &[PathBuf], region: Option<Region>, console: &Console) -> Result<Loaded, Exit> {
    let (sources, disk) = Disk::read(paths).map_err(|error| console.error(&error.message, error.hint.as_deref()))?;
    if let Some(plan) = sources.iter().find(|source| is_plan(source)) {
        let hint = "`show` and `graph` read kept plans; plans and applies are made from specs";
        return Err(console.error(&format!("`{}` is a kept plan, not a spec", plan.path), Some(hint)));
    }
    let (stack, problems) = spec::load(&sources, &Inputs { files: &disk, environment: &Variables, region });
    Ok(Loaded { sources, stack, problems })
}

/// Whether a file is what `plan --out` wrote: a spec in JSON has neither of these keys.
#[must_use]
pub fn is_plan(source: &Source) -> bool {
    source.format == Format::Json
        && serde_json::from_str::<serde_json::Value>(&source.text)
            .is_ok_and(|value| value.get("format_version").is_some() && value.get("steps").is_some())
}

/// A stack that can be planned; its problems are said on the console. A spec that names no region takes the
/// environment's, and on AWS the profile's, which is only looked for when it is needed.
///
/// # Errors
/// When the spec is wrong.
pub async fn stack(paths: &[PathBuf], world: &WorldArgs, console: &Console) -> Result<Stack, Exit> {
    let mut loaded = read(paths, world::ambient_region(), console)?;
    if loaded.problems.iter().any(|problem| problem.code == spec::NO_REGION)
        && let Some(region) = world::configured_region(world).await
    {
        loaded = read(paths, Some(region), console)?;
    }
    let stack = checked(loaded, console)?;
    check_commands(&stack, world, console)?;
    Ok(stack)
}

/// Refuses to run what a spec says, unless the command line allows it. In a simulated world nothing runs.
fn check_commands(stack: &Stack, world: &WorldArgs, console: &Console) -> Result<(), Exit> {
    if world.allow_command || world.world.is_some() {
        return Ok(());
    }
    let command = |target: &Target| matches!(target, Target::Command { .. });
    let Some((address, target)) = stack.hosts.iter().find(|(_, target)| command(target)) else { return Ok(()) };
    let message = format!("`{address}` is reached by running `{target}`, and a spec is input, not code");
    console.complain(&message, Some("if you trust the spec as you trust a script: --allow-command"));
    Err(Exit::Usage)
}

/// The stack of a spec without errors; its problems are said on the console.
///
/// # Errors
/// When the spec is wrong.
pub fn checked(loaded: Loaded, console: &Console) -> Result<Stack, Exit> {
    if !loaded.problems.is_empty() {
        let colour = console.talk_style() == Style::Colour;
        console.talk(problems::terminal(&loaded.problems, &loaded.sources, colour).trim_end());
    }
    loaded.stack.ok_or(Exit::Error)
}
