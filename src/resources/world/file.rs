//! The world as a file: what users keep, and write by hand for examples.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Limits, PublicPool, RegionWorld, Remnant, Unlisted, World};
use crate::model::id::ImageId;
use crate::model::{AccountId, CloudId, Region};
use crate::resources::host_firewall::sim::Host;
use crate::resources::registry::Object;
use crate::resources::snapshot::{Facts, Image};

/// The version of the file's form that this program reads and writes.
const FORMAT_VERSION: u32 = 1;

/// A world file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorldFile {
    /// The version of this form: 1.
    pub format_version: u32,
    /// Whose world it is.
    #[serde(default = "usual_account")]
    pub account: AccountId,
    /// Seconds since it began.
    #[serde(default)]
    pub clock: u64,
    /// The account's quotas.
    #[serde(default)]
    pub limits: Limits,
    /// How many public addresses were given.
    #[serde(default)]
    pub addresses_given: PublicPool,
    /// The regions that were used.
    #[serde(default)]
    pub regions: BTreeMap<Region, RegionFile>,
    /// The hosts that were used, by how they are reached: `local`, `root@gw.example.com`, or a command.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<CloudId, Host>,
    /// Every call that did what no call may, in words: that took a member of a load balancer out of service unasked, changed
    /// what is not its stack's, or did to a host what no call may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaches: Vec<String>,
}

/// One region of a world file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionFile {
    /// Why it cannot be listed; absent when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// Its network; absent means the default VPC with three subnets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// Its images. A region that names none has every image that is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// The images whose instances never pass a health check.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unhealthy_images: BTreeSet<ImageId>,
    /// Its certificates, with the second of the world's clock from which each is seen. A region that names none knows every
    /// one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub certificates: BTreeMap<String, u64>,
    /// Its objects, owned and foreign.
    #[serde(default)]
    pub objects: Vec<Object>,
    /// What no listing says of an object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unlisted: BTreeMap<CloudId, Unlisted>,
    /// What deleted objects left behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remnants: Vec<Remnant>,
    /// The client tokens that were used, and the instance that each made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, CloudId>,
    /// How many ids were given.
    #[serde(default)]
    pub made: u64,
}

/// The account of a world that does not say another.
pub(super) fn usual_account() -> AccountId {
    AccountId::new("123456789012").expect("twelve digits are an account")
}

impl TryFrom<WorldFile> for World {
    type Error = String;

    fn try_from(file: WorldFile) -> Result<Self, String> {
        let WorldFile { format_version, account, clock, limits, addresses_given, regions, mut hosts, breaches } = file;
        if format_version != FORMAT_VERSION {
            return Err(format!("format version {format_version} is not {FORMAT_VERSION}, the one this program reads"));
        }
        for (id, host) in &mut hosts {
            host.settle(id);
        }
        let regions_of_file = regions;
        let regions = BTreeMap::new();
        let pool = addresses_given;
        let mut world = Self { account, clock, limits, pool, regions, hosts, breaches, recall: Arc::default() };
        for (name, region) in regions_of_file {
            if name.is_hosts() {
                return Err("`hosts` is no region: hosts stand beside the regions".to_owned());
            }
            let place = RegionWorld::read(name.clone(), region, clock)?;
            world.regions.insert(name, place);
        }
        world.pool.skip_past(world.regions.values().flat_map(RegionWorld::objects));
        Ok(world)
    }
}

impl From<World> for WorldFile {
    fn from(world: World) -> Self {
        let World { account, clock, limits, pool, regions, hosts, breaches, recall: _ } = world;
        Self {
            format_version: FORMAT_VERSION,
            account,
            clock,
            limits,
            addresses_given: pool,
            regions: regions.into_iter().map(|(name, region)| (name, region.into())).collect(),
            hosts,
            breaches,
        }
    }
}
