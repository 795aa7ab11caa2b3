//! Which world a command is about: AWS, or a file that plays it.

use std::sync::Arc;

use super::args::WorldArgs;
use super::console::Console;
use super::exit::Exit;
use crate::model::Region;
#[cfg(feature = "aws")]
use crate::provider::aws::Aws;
use crate::provider::hosts::Hosts;
use crate::provider::shell::Shells;
use crate::provider::sim::Sim;
use crate::provider::{Place, Real};
use crate::report::document::World;
use crate::resources::stack::Stack;

/// The region that the environment names, for specs that name none.
#[must_use]
pub fn ambient_region() -> Option<Region> {
    ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| Region::written(&std::env::var(name).ok()?).ok())
}

/// The region that the AWS configuration names, for specs that name none.
#[cfg(feature = "aws")]
pub async fn configured_region(args: &WorldArgs) -> Option<Region> {
    match args.world {
        Some(_) => None,
        None => crate::provider::aws::configured_region(args.profile.as_deref()).await,
    }
}

/// The region that the AWS configuration names: without AWS there is none.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "it waits where there is an AWS configuration to read")]
pub async fn configured_region(_: &WorldArgs) -> Option<Region> {
    None
}

/// Opens the world that a command is about.
///
/// # Errors
/// When it cannot be opened; it is said on the console.
pub async fn open(args: &WorldArgs, stack: &Stack, parallelism: usize, console: &Console) -> Result<Place, Exit> {
    open_where(args, stack, needs_cloud(stack), parallelism, console).await
}

/// As [`open`], where it is known otherwise whether anything is in the cloud.
///
/// # Errors
/// As [`open`].
pub async fn open_where(
    args: &WorldArgs,
    stack: &Stack,
    cloud: bool,
    parallelism: usize,
    console: &Console,
) -> Result<Place, Exit> {
    match &args.world {
        Some(path) => Sim::open(path).map(Place::Simulated).map_err(|error| {
            let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
            let hint = "a world file is JSON; `portcullis schema world` describes it";
            console.error(&format!("{error}{why}"), Some(hint))
        }),
        None => real(args, stack, cloud, parallelism, console).await.map(Place::Real),
    }
}

/// Whether anything of a stack is in the cloud. A stack of hosts alone needs no account, and no credentials.
#[must_use]
pub fn needs_cloud(stack: &Stack) -> bool {
    let asks = stack.resources.values().any(|desired| !desired.want.queries().is_empty());
    !stack.regions.is_empty() || asks || stack.hosts.is_empty()
}

#[cfg(feature = "aws")]
async fn real(
    args: &WorldArgs,
    stack: &Stack,
    cloud: bool,
    parallelism: usize,
    console: &Console,
) -> Result<Real, Exit> {
    let cloud = if cloud { Some(Box::new(aws(args, stack, parallelism, console).await?)) } else { None };
    Ok(Real { cloud, hosts: hosts(args, stack, console) })
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "it waits where there is AWS to connect to")]
async fn real(args: &WorldArgs, stack: &Stack, cloud: bool, _: usize, console: &Console) -> Result<Real, Exit> {
    if cloud {
        return Err(without_aws(console));
    }
    Ok(Real { hosts: hosts(args, stack, console) })
}

/// The hosts that a stack speaks of.
#[must_use]
pub fn hosts(args: &WorldArgs, stack: &Stack, console: &Console) -> Arc<Hosts> {
    let console = *console;
    let shells = Shells { allow_command: args.allow_command };
    let tell = Arc::new(move |text: &str| console.talk(text));
    Arc::new(Hosts::new(stack.name.clone(), stack.hosts.values().cloned(), myself(), shells, tell))
}

/// Who we are, for whoever finds a change of ours waiting: user, machine, program and process.
fn myself() -> String {
    let named = |names: &[&str]| names.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}@{} (portcullis, process {})", named(&["USER", "LOGNAME"]), machine.trim(), std::process::id())
}

#[cfg(feature = "aws")]
async fn aws(args: &WorldArgs, stack: &Stack, parallelism: usize, console: &Console) -> Result<Aws, Exit> {
    let options = crate::provider::aws::Options {
        profile: args.profile.clone(),
        default_region: stack.region.clone().or_else(|| stack.regions.first().cloned()),
        account_guard: stack.account.clone(),
        parallelism,
        request_share: crate::provider::aws::throttle::Share::percent(args.request_share),
        permissions: Some(Arc::new(crate::resources::permissions::Permissions::of(stack))),
    };
    match Aws::connect(options).await {
        Ok(aws) => Ok(aws),
        Err(error) if error.code.as_deref() == Some(crate::provider::aws::ACCOUNT_GUARD) => {
            console.refused(&error);
            Err(Exit::Refused)
        }
        Err(error) => Err(console.provider_error(&error)),
    }
}

#[cfg(not(feature = "aws"))]
fn without_aws(console: &Console) -> Exit {
    let hint = "name a world file (`--world world.json`), or build with the default features";
    console.error("this portcullis was built without AWS", Some(hint))
}

/// How documents name a world.
#[must_use]
pub const fn name(args: &WorldArgs) -> World {
    match args.world {
        Some(_) => World::Simulated,
        None => World::Aws,
    }
}
