//! The simulated world: an account of EC2 in memory, with its refusals. It knows no clock but its own, no chance and no
//! file, and it does nothing that AWS would not do.
//!
//! What is true of one kind stands in that kind's `sim.rs`; here is what every kind shares: regions, objects by id, who
//! holds whom, what only one may have, and time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host_firewall::sim::Host;
use super::registry::{Action, Call, Object};
use super::snapshot::{self, Facts};
use crate::model::{AccountId, Address, CloudId, Link, Output, Region, StackName};

mod answer;
mod audit;
mod dispatch;
mod doors;
mod error;
mod file;
mod hosts;
mod look;
mod place;
mod radius;
mod recall;
mod region;
#[cfg(test)]
mod tests;
mod traffic;
mod turn;
mod unlisted;

pub use error::{Trouble, WorldError};
pub use file::{RegionFile, WorldFile};
pub use place::PublicPool;
pub use region::{RegionWorld, Slot};
pub use traffic::{Life, Machine};
pub use turn::Turn;
pub use unlisted::{Bytes, Remnant, Unlisted};

/// What a call gave.
pub type Outputs = BTreeMap<Output, String>;

/// How the links and holes of a call become what earlier calls made.
pub trait Resolve {
    /// The id that a link points at; none when that object was not made.
    fn id(&self, link: &Link) -> Option<CloudId>;
    /// An output of an address, as far as it is known.
    fn output(&self, address: &Address, output: Output) -> Option<String>;
    /// On whose behalf the calls are made, where that is known.
    fn stack(&self) -> Option<StackName> {
        None
    }
}

/// The whole world: what a world file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "WorldFile", into = "WorldFile")]
#[schemars(with = "WorldFile")]
pub struct World {
    account: AccountId,
    clock: u64,
    limits: Limits,
    pool: PublicPool,
    regions: BTreeMap<Region, RegionWorld>,
    hosts: BTreeMap<CloudId, Host>,
    breaches: Vec<String>,
    recall: Arc<recall::Recall>,
}

/// The account's quotas (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html>,
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-limits.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Rules of a group in one direction.
    pub rules_per_group: usize,
    /// Elastic IPs of a region.
    pub addresses: usize,
    /// Groups of one network interface.
    pub groups_per_interface: usize,
    /// Load balancers of a region.
    pub balancers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rules_per_group: 60, addresses: 5, groups_per_interface: 5, balancers: 20 }
    }
}

/// What one region lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// Its network.
    pub facts: Facts,
    /// The objects that were asked for, by id.
    pub objects: Vec<Object>,
}

impl Default for World {
    /// An account that nobody has used yet.
    fn default() -> Self {
        Self {
            account: file::usual_account(),
            clock: 0,
            limits: Limits::default(),
            pool: PublicPool::default(),
            regions: BTreeMap::new(),
            hosts: BTreeMap::new(),
            breaches: Vec::new(),
            recall: Arc::default(),
        }
    }
}

impl World {
    /// Whose world it is.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Seconds since it began.
    #[must_use]
    pub const fn clock(&self) -> u64 {
        self.clock
    }

    /// The quotas.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sets the quotas.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The regions that were used.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.keys()
    }

    /// A region; one that nobody used yet has its default network and nothing else.
    #[must_use]
    pub fn region(&self, region: &Region) -> Cow<'_, RegionWorld> {
        self.regions.get(region).map_or_else(|| Cow::Owned(RegionWorld::fresh(region.clone())), Cow::Borrowed)
    }

    /// A region to set up by hand; it is made when it is not there.
    pub fn region_mut(&mut self, region: &Region) -> &mut RegionWorld {
        self.regions.entry(region.clone()).or_insert_with(|| RegionWorld::fresh(region.clone()))
    }

    /// Puts an object there as if someone else had made it. One of the same id is replaced.
    pub fn put(&mut self, object: Object) {
        let clock = self.clock;
        let (region, id) = (object.region.clone(), object.id.clone());
        self.pool.skip_past(std::iter::once(&object));
        let place = self.region_mut(&region);
        place.insert(object);
        dispatch::settle(place, &id, clock);
    }

    /// Takes an object away as if someone else had removed it, whatever holds it.
    pub fn take(&mut self, region: &Region, id: &CloudId) -> Option<Object> {
        let place = self.regions.get_mut(region)?;
        place.forget(id);
        place.remove(id)
    }

    /// Changes an object as if someone else had; false when it is not there.
    pub fn meddle(&mut self, region: &Region, id: &CloudId, edit: impl FnOnce(&mut Object)) -> bool {
        self.regions.get_mut(region).is_some_and(|place| place.change(id, edit).is_some())
    }

    /// One object.
    #[must_use]
    pub fn object(&self, region: &Region, id: &CloudId) -> Option<&Object> {
        self.regions.get(region)?.object(id)
    }

    /// Every object of the world, by region and id.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.regions.values().flat_map(RegionWorld::objects)
    }

    /// What a region lists of the objects that `wanted` accepts.
    ///
    /// # Errors
    /// Why the region cannot be listed.
    pub fn list(&self, region: &Region, wanted: impl Fn(&Object) -> bool) -> Result<Listing, String> {
        let place = self.region(region);
        match place.unavailable() {
            Some(why) => Err(why.to_owned()),
            None => Ok(Listing {
                facts: place.facts().clone(),
                objects: place.objects().filter(|object| wanted(object)).cloned().collect(),
            }),
        }
    }

    /// Every instance of a region, whoever owns it.
    ///
    /// # Errors
    /// Why the region cannot be listed.
    pub fn fleet(&self, region: &Region) -> Result<Vec<snapshot::Machine>, String> {
        let place = self.region(region);
        match place.unavailable() {
            Some(why) => Err(why.to_owned()),
            None => {
                let known = place.objects().filter_map(|object| dispatch::listed(&place, object));
                match self.recall.fleet(region) {
                    Some(snapshot::Fleet::Unseen(why)) => Err(why.clone()),
                    Some(snapshot::Fleet::Seen(machines)) => {
                        let others = machines.iter().filter(|machine| place.is_stranger(&machine.id)).cloned();
                        Ok(known.chain(others).collect())
                    }
                    None => Ok(known.collect()),
                }
            }
        }
    }

    /// The names that a foreign object goes by, beside its id.
    #[must_use]
    pub fn names(object: &Object) -> Vec<String> {
        dispatch::names(object)
    }

    /// The API operation that a call is, in AWS's words.
    #[must_use]
    pub const fn api(action: &Action) -> &'static str {
        dispatch::api(action)
    }

    /// Carries out one call. A refused call changes nothing but the time.
    ///
    /// # Errors
    /// What AWS would answer instead of doing it.
    pub fn step(&mut self, call: &Call, known: &dyn Resolve) -> Result<Outputs, WorldError> {
        self.pass(1);
        if call.region.is_hosts() {
            return self.step_host(call, known);
        }
        self.region_mut(&call.region);
        let Self { account, clock, limits, pool, regions, hosts, breaches, recall: _ } = self;
        let Some(place) = regions.get_mut(&call.region) else { return Ok(Outputs::new()) };
        if let Some(why) = place.unavailable() {
            return Err(WorldError::new(Trouble::Denied, "OptInRequired", why));
        }
        let watch = traffic::Watch::begin(place);
        let doors = doors::Watch::begin(place, hosts);
        let radius = radius::Watch::begin(place, known);
        let mut turn = Turn { account, clock, limits, pool, place, call, known };
        let result = dispatch::perform(&mut turn, &call.action);
        breaches.extend(radius.end(place, *clock, call, known));
        breaches.extend(watch.end(place, *clock, call, known));
        breaches.extend(doors.end(place, hosts, *clock, call));
        self.pass(0);
        result
    }

    /// Lets time pass, and what was under way come to its end.
    pub fn pass(&mut self, seconds: u64) {
        self.clock = self.clock.saturating_add(seconds);
        for place in self.regions.values_mut() {
            while let Some(id) = place.due(self.clock) {
                dispatch::ripen(place, &mut self.pool, &id);
            }
            place.clear_away(self.clock);
        }
    }
}
