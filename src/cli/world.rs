//! Which world a command is about: AWS, or a file that plays it.

use super::args::WorldArgs;
use super::console::Console;
use super::exit::Exit;
use crate::model::Region;
use crate::provider::Place;
use crate::provider::sim::Sim;
use crate::report::document::World;
use crate::resources::stack::Stack;

/// The region that the environment names, for specs that name none.
#[must_use]
pub fn ambient_region() -> Option<Region> {
    ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| Region::new(&std::env::var(name).ok()?).ok())
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
    match &args.world {
        Some(path) => Sim::open(path).map(Place::Simulated).map_err(|error| {
            let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
            let hint = "a world file is JSON; `portcullis schema world` describes it";
            console.error(&format!("{error}{why}"), Some(hint))
        }),
        None => aws(args, stack, parallelism, console).await,
    }
}

#[cfg(feature = "aws")]
async fn aws(args: &WorldArgs, stack: &Stack, parallelism: usize, console: &Console) -> Result<Place, Exit> {
    let options = crate::provider::aws::Options {
        profile: args.profile.clone(),
        default_region: stack.region.clone().or_else(|| stack.regions.first().cloned()),
        account_guard: stack.account.clone(),
        parallelism,
        request_share: crate::provider::aws::throttle::Share::percent(args.request_share),
    };
    match crate::provider::aws::Aws::connect(options).await {
        Ok(aws) => Ok(Place::Aws(Box::new(aws))),
        Err(error) if error.code.as_deref() == Some(crate::provider::aws::ACCOUNT_GUARD) => {
            console.refused(&error);
            Err(Exit::Refused)
        }
        Err(error) => Err(console.provider_error(&error)),
    }
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "it waits where there is AWS to connect to")]
async fn aws(_: &WorldArgs, _: &Stack, _: usize, console: &Console) -> Result<Place, Exit> {
    Err(without_aws(console))
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
