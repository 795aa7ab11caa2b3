//! One region: its objects by id, and the indexes that keep every call short however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::file::RegionFile;
use super::radius::Before;
use super::{Remnant, Unlisted, dispatch, place};
use crate::model::id::{ImageId, SubnetId, VpcId};
use crate::model::{Address, CloudId, Kind, Region, Tags};
use crate::resources::registry::Object;
use crate::resources::snapshot::{Facts, Image, Subnet, Vpc};

/// Something that lookups go by. All but [`Slot::Owned`] only one object may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// A name, where it is unique.
    Name {
        /// Of which kind.
        kind: Kind,
        /// In which VPC, for kinds whose names are a VPC's.
        vpc: Option<VpcId>,
        /// The name; in lower case where case does not count.
        name: String,
    },
    /// A private address.
    PrivateIp {
        /// In which VPC.
        vpc: VpcId,
        /// The address.
        address: Ipv4Addr,
    },
    /// A public address.
    PublicIp(Ipv4Addr),
    /// The Elastic IP of an instance.
    Seat(CloudId),
    /// Ownership, as the tags say.
    Owned {
        /// Of which kind.
        kind: Kind,
        /// By which stack.
        stack: String,
        /// For which address.
        address: Address,
        /// Which of those made there.
        generation: u32,
    },
}

/// From where a region that is known in part counts the ids that it gives.
const TOLD: u64 = 1 << 48;

/// A region of which a listing is all that is known.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    /// Everything that was ever told of.
    known: BTreeSet<CloudId>,
    /// What changed since somebody looked.
    changed: BTreeSet<CloudId>,
}

/// A region of the simulated world.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionWorld {
    name: Region,
    unavailable: Option<String>,
    facts: Facts,
    images: Vec<Image>,
    unhealthy_images: BTreeSet<ImageId>,
    certificates: BTreeMap<String, u64>,
    objects: BTreeMap<CloudId, Object>,
    unlisted: BTreeMap<CloudId, Unlisted>,
    remnants: Vec<Remnant>,
    tokens: BTreeMap<String, CloudId>,
    made: u64,
    slots: BTreeMap<Slot, BTreeSet<CloudId>>,
    holders: BTreeMap<CloudId, BTreeSet<CloudId>>,
    counts: BTreeMap<Kind, usize>,
    due: BTreeSet<(u64, CloudId)>,
    /// What the objects were that a call has touched; none while nobody watches.
    touched: Option<BTreeMap<CloudId, Before>>,
    /// What is known of the region, where that is not everything there is.
    part: Option<Part>,
}

impl RegionWorld {
    /// A region that nobody used yet.
    pub(super) fn fresh(name: Region) -> Self {
        Self::empty(name, RegionFile::default())
    }

    /// Reads a region of a file, and completes what it leaves out.
    pub(super) fn read(name: Region, mut file: RegionFile, clock: u64) -> Result<Self, String> {
        let objects = std::mem::take(&mut file.objects);
        let mut place = Self::bare(name, file);
        for object in objects {
            if object.region != place.name {
                return Err(format!("`{}` says it is in {}, and stands in {}", object.id, object.region, place.name));
            }
            if place.objects.contains_key(&object.id) {
                return Err(format!("`{}` is there twice", object.id));
            }
            place.insert(object);
        }
        place.add_default_groups();
        place.settle(clock);
        Ok(place)
    }

    fn empty(name: Region, file: RegionFile) -> Self {
        let mut place = Self::bare(name, file);
        place.add_default_groups();
        place
    }

    fn bare(name: Region, file: RegionFile) -> Self {
        let RegionFile {
            unavailable,
            facts,
            images,
            unhealthy_images,
            certificates,
            objects: _,
            unlisted,
            remnants,
            tokens,
            made,
        } = file;
        Self {
            facts: facts.unwrap_or_else(|| place::usual_network(&name)),
            name,
            unavailable,
            images,
            unhealthy_images,
            certificates,
            objects: BTreeMap::new(),
            unlisted,
            remnants,
            tokens,
            made,
            slots: BTreeMap::new(),
            holders: BTreeMap::new(),
            counts: BTreeMap::new(),
            due: BTreeSet::new(),
            touched: None,
            part: None,
        }
    }

    /// Gives every VPC that has none its `default` group.
    fn add_default_groups(&mut self) {
        for vpc in self.facts.vpcs.clone() {
            let slot = dispatch::name_slot(Kind::SecurityGroup, Some(vpc.id.clone()), "default");
            if slot.is_some_and(|slot| self.first(&slot).is_none()) {
                let id = self.fresh_id("sg-");
                let rules = [self.fresh_id("sgr-"), self.fresh_id("sgr-")];
                let body = dispatch::default_group(&vpc.id, &id, rules, vpc.ipv6);
                self.insert(Object { id, region: self.name.clone(), tags: Tags::new(), body });
            }
        }
    }

    /// Completes what hand-written objects leave out.
    pub(super) fn settle(&mut self, clock: u64) {
        let ids: Vec<CloudId> = self.objects.keys().cloned().collect();
        for id in ids {
            dispatch::settle(self, &id, clock);
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Region {
        &self.name
    }

    /// Why it cannot be listed.
    #[must_use]
    pub fn unavailable(&self) -> Option<&str> {
        self.unavailable.as_deref()
    }

    /// Says why it cannot be listed, or that it can.
    pub fn set_unavailable(&mut self, why: Option<String>) {
        self.unavailable = why;
    }

    /// Its network.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Gives it another network; each VPC gets its `default` group.
    pub fn set_facts(&mut self, facts: Facts) {
        self.facts = facts;
        self.add_default_groups();
    }

    /// Its images; none means every one.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// Gives it other images.
    pub fn set_images(&mut self, images: Vec<Image>) {
        self.images = images;
    }

    /// The images whose instances never pass a health check.
    #[must_use]
    pub const fn unhealthy_images(&self) -> &BTreeSet<ImageId> {
        &self.unhealthy_images
    }

    /// Says which images those are.
    pub fn set_unhealthy_images(&mut self, images: BTreeSet<ImageId>) {
        self.unhealthy_images = images;
    }

    /// From which second on a certificate is seen; none for one that never will be. A region that names no certificates
    /// knows every one.
    #[must_use]
    pub fn certificate(&self, arn: &str) -> Option<u64> {
        if self.certificates.is_empty() { Some(0) } else { self.certificates.get(arn).copied() }
    }

    /// Says which certificates there are, and from when on each is seen.
    pub fn set_certificates(&mut self, certificates: BTreeMap<String, u64>) {
        self.certificates = certificates;
    }

    /// One of its subnets.
    #[must_use]
    pub fn subnet(&self, id: &SubnetId) -> Option<&Subnet> {
        self.facts.subnets.iter().find(|subnet| subnet.id == *id)
    }

    /// One of its VPCs.
    #[must_use]
    pub fn vpc(&self, id: &VpcId) -> Option<&Vpc> {
        self.facts.vpcs.iter().find(|vpc| vpc.id == *id)
    }

    /// One object.
    #[must_use]
    pub fn object(&self, id: &CloudId) -> Option<&Object> {
        self.objects.get(id)
    }

    /// Every object, by id.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// How many of a kind there are.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Remembers from now on what every object was before it is touched.
    pub(super) fn watch(&mut self) {
        self.touched = Some(BTreeMap::new());
    }

    /// What the objects were that were touched since then; nobody watches any more.
    pub(super) fn touched(&mut self) -> BTreeMap<CloudId, Before> {
        self.touched.take().unwrap_or_default()
    }

    fn touch(&mut self, id: &CloudId) {
        if let Some(touched) = &mut self.touched
            && !touched.contains_key(id)
        {
            touched.insert(id.clone(), (self.objects.get(id).cloned(), self.unlisted.get(id).cloned()));
        }
    }

    /// Adds an object. One of the same id is replaced.
    pub fn insert(&mut self, object: Object) {
        self.touch(&object.id);
        self.remove(&object.id);
        self.index(&object);
        if let Some(part) = &mut self.part {
            part.known.insert(object.id.clone());
            part.changed.insert(object.id.clone());
        }
        self.objects.insert(object.id.clone(), object);
    }

    /// Says that nothing but this is known of the region, and whatever is made from now on.
    pub(super) fn know(&mut self, known: BTreeSet<CloudId>) {
        // Ids of worlds follow from how many were given: another count keeps new ones apart from those that are told of.
        self.made = self.made.max(TOLD);
        self.part = Some(Part { known, changed: BTreeSet::new() });
    }

    /// Whether there may be more than is known.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.part.is_some()
    }

    /// Whether something may exist though nothing is known of it.
    #[must_use]
    pub fn is_stranger(&self, id: &CloudId) -> bool {
        self.part.as_ref().is_some_and(|part| !part.known.contains(id))
    }

    /// What changed, came or went since the last look, of a region that is known in part.
    pub(super) fn take_changed(&mut self) -> BTreeSet<CloudId> {
        self.part.as_mut().map(|part| std::mem::take(&mut part.changed)).unwrap_or_default()
    }

    fn note_change(&mut self, id: &CloudId) {
        if let Some(part) = &mut self.part {
            part.changed.insert(id.clone());
        }
    }

    /// Changes an object; none when it is not there.
    pub fn change<T>(&mut self, id: &CloudId, edit: impl FnOnce(&mut Object) -> T) -> Option<T> {
        self.touch(id);
        let mut object = self.objects.remove(id)?;
        self.unindex(&object);
        let result = edit(&mut object);
        self.index(&object);
        self.objects.insert(id.clone(), object);
        self.note_change(id);
        Some(result)
    }

    /// Takes an object away.
    pub fn remove(&mut self, id: &CloudId) -> Option<Object> {
        self.touch(id);
        let object = self.objects.remove(id)?;
        self.unindex(&object);
        self.note_change(id);
        Some(object)
    }

    fn index(&mut self, object: &Object) {
        *self.counts.entry(object.kind()).or_default() += 1;
        for slot in dispatch::slots(object) {
            self.slots.entry(slot).or_default().insert(object.id.clone());
        }
        for held in dispatch::holds(object) {
            self.holders.entry(held).or_default().insert(object.id.clone());
        }
    }

    fn unindex(&mut self, object: &Object) {
        let left = self.count(object.kind()).saturating_sub(1);
        if left == 0 {
            self.counts.remove(&object.kind());
        } else {
            self.counts.insert(object.kind(), left);
        }
        for slot in dispatch::slots(object) {
            withdraw(&mut self.slots, &slot, &object.id);
        }
        for held in dispatch::holds(object) {
            withdraw(&mut self.holders, &held, &object.id);
        }
    }

    /// Who has a slot; the first by id, when hand-written objects share one.
    #[must_use]
    pub fn first(&self, slot: &Slot) -> Option<&CloudId> {
        self.slots.get(slot)?.first()
    }

    /// Everything of a kind whose names are its region's.
    pub fn named(&self, kind: Kind) -> impl Iterator<Item = &CloudId> {
        let from = Slot::Name { kind, vpc: None, name: String::new() };
        let of_kind = move |slot: &Slot| matches!(slot, Slot::Name { kind: this, vpc: None, name: _ } if *this == kind);
        self.slots.range(from..).take_while(move |(slot, _)| of_kind(slot)).flat_map(|(_, ids)| ids)
    }

    /// Every slot with all who have it.
    pub(super) fn taken(&self) -> impl Iterator<Item = (&Slot, &BTreeSet<CloudId>)> {
        self.slots.iter()
    }

    /// What keeps an object from going.
    pub fn holders(&self, id: &CloudId) -> impl Iterator<Item = &Object> {
        self.holders.get(id).into_iter().flatten().filter_map(|holder| self.objects.get(holder))
    }

    /// Everything that something holds.
    pub(super) fn held(&self) -> impl Iterator<Item = (&CloudId, &BTreeSet<CloudId>)> {
        self.holders.iter()
    }

    /// An id that was never given.
    pub fn fresh_id(&mut self, prefix: &str) -> CloudId {
        loop {
            let id = CloudId::new(place::digits(&self.name, prefix, self.made));
            self.made += 1;
            if !self.objects.contains_key(&id) {
                return id;
            }
        }
    }

    /// A free private address of a subnet.
    #[must_use]
    pub fn free_address(&self, subnet: &Subnet) -> Option<Ipv4Addr> {
        place::free_address(self, subnet, self.made)
    }

    /// Whether a subnet gives an address to instances at all.
    #[must_use]
    pub fn is_usable(subnet: &Subnet, address: Ipv4Addr) -> bool {
        place::is_usable(subnet, address)
    }

    /// The private name of an address.
    #[must_use]
    pub fn private_dns(&self, address: Ipv4Addr) -> String {
        place::private_dns(&self.name, address)
    }

    /// The public name of an address.
    #[must_use]
    pub fn public_dns(&self, address: Ipv4Addr) -> String {
        place::public_dns(&self.name, address)
    }

    /// What no listing says of an object.
    #[must_use]
    pub fn unlisted(&self, id: &CloudId) -> Option<&Unlisted> {
        self.unlisted.get(id)
    }

    /// The same, to change; times are changed by [`RegionWorld::set_due`].
    pub fn unlisted_mut(&mut self, id: &CloudId) -> &mut Unlisted {
        self.touch(id);
        self.unlisted.entry(id.clone()).or_default()
    }

    /// Forgets what no listing says of an object.
    pub fn forget(&mut self, id: &CloudId) {
        self.touch(id);
        self.set_due(id, None);
        self.unlisted.remove(id);
    }

    /// What deleted objects left behind.
    #[must_use]
    pub fn remnants(&self) -> &[Remnant] {
        &self.remnants
    }

    /// What deleted objects left behind that holds an object, the one that stays longest.
    #[must_use]
    pub fn remnant(&self, held: &CloudId) -> Option<&Remnant> {
        self.remnants.iter().filter(|remnant| remnant.holds.contains(held)).max_by_key(|remnant| remnant.until)
    }

    /// Leaves something behind for a while.
    pub fn leave(&mut self, remnant: Remnant) {
        self.remnants.push(remnant);
    }

    /// Clears away what stays no longer than this.
    pub(super) fn clear_away(&mut self, clock: u64) {
        self.remnants.retain(|remnant| clock < remnant.until);
    }

    /// Everything of which more is known than listings say.
    pub(super) fn all_unlisted(&self) -> impl Iterator<Item = &CloudId> {
        self.unlisted.keys()
    }

    /// Says when what is under way with an instance ends.
    pub fn set_due(&mut self, id: &CloudId, until: Option<u64>) {
        self.touch(id);
        let Some(unlisted) = self.unlisted.get_mut(id) else { return };
        if let Some(before) = std::mem::replace(&mut unlisted.until, until) {
            self.due.remove(&(before, id.clone()));
        }
        if let Some(until) = until {
            self.due.insert((until, id.clone()));
        }
    }

    /// The next object with which something ends by this time.
    pub(super) fn due(&self, clock: u64) -> Option<CloudId> {
        self.due.first().filter(|(until, _)| *until <= clock).map(|(_, id)| id.clone())
    }

    /// The instance that a client token made, whether it still exists or not.
    #[must_use]
    pub fn token(&self, token: &str) -> Option<&CloudId> {
        self.tokens.get(token)
    }

    /// Remembers the instance that a client token made.
    pub fn remember(&mut self, token: String, id: CloudId) {
        self.tokens.insert(token, id);
    }
}

/// Takes one id out of an index.
fn withdraw<K: Ord>(index: &mut BTreeMap<K, BTreeSet<CloudId>>, key: &K, id: &CloudId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

impl From<RegionWorld> for RegionFile {
    fn from(place: RegionWorld) -> Self {
        let RegionWorld {
            name: _,
            unavailable,
            facts,
            images,
            unhealthy_images,
            certificates,
            objects,
            unlisted,
            remnants,
            tokens,
            made,
            slots: _,
            holders: _,
            counts: _,
            due: _,
            touched: _,
            part: _,
        } = place;
        Self {
            unavailable,
            facts: Some(facts),
            images,
            unhealthy_images,
            certificates,
            objects: objects.into_values().collect(),
            unlisted,
            remnants,
            tokens,
            made,
        }
    }
}
