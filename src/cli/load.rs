//! From paths on the command line to a stack, with every problem of the spec on standard error.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::args::WorldArgs;
use super::console::Console;
use super::exit::Exit;
use super::files::Disk;
use super::world;
use crate::diagnostic::Diagnostics;
use crate::model::{Address, Region, Target};
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
        let hint = "`show` and `graph` read a kept plan, and `apply` carries out one alone, with `--spec` beside it";
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
    Ok(specified(paths, world, console).await?.stack)
}

/// A stack, and what tells the texts it was read from apart from others.
#[derive(Debug)]
pub struct Specified {
    /// The stack.
    pub stack: Stack,
    /// SHA-256 over the texts of the spec's files in their order, in hexadecimal.
    pub digest: String,
}

/// As [`stack`], with the digest of what was read.
///
/// # Errors
/// As [`stack`].
pub async fn specified(paths: &[PathBuf], world: &WorldArgs, console: &Console) -> Result<Specified, Exit> {
    let mut loaded = read(paths, world::ambient_region(), console)?;
    if loaded.problems.iter().any(|problem| problem.code == spec::NO_REGION)
        && let Some(region) = world::configured_region(world).await
    {
        loaded = read(paths, Some(region), console)?;
    }
    let digest = digest(&loaded.sources);
    let stack = checked(loaded, console)?;
    check_commands(&stack.hosts, world, console)?;
    Ok(Specified { stack, digest })
}

fn digest(sources: &[Source]) -> String {
    let mut hash = Sha256::new();
    for source in sources {
        // The length keeps two files apart from one of both.
        hash.update(source.text.len().to_string());
        hash.update([0]);
        hash.update(&source.text);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses to run what a spec says, unless the command line allows it. In a simulated world nothing runs.
///
/// # Errors
/// [`Exit::Usage`], where one would have to run.
pub fn check_commands(hosts: &BTreeMap<Address, Target>, world: &WorldArgs, console: &Console) -> Result<(), Exit> {
    if world.allow_command || world.world.is_some() {
        return Ok(());
    }
    let command = |target: &Target| matches!(target, Target::Command { .. });
    let Some((address, target)) = hosts.iter().find(|(_, target)| command(target)) else { return Ok(()) };
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
