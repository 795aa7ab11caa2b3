//! What a kind sees of the world while it carries out one call, and what every kind does alike.

use std::net::Ipv4Addr;

use super::dispatch;
use super::{Limits, Outputs, PublicPool, RegionWorld, Resolve, Slot, Trouble, WorldError};
use crate::model::{AccountId, Address, CloudId, Kind, Link, Output, Owner, TagEdit, Tags};
use crate::resources::registry::{Body, Call, Object};

/// The most tags of one object (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html>).
const MOST_TAGS: usize = 50;

/// One call and the world around it.
pub struct Turn<'a> {
    /// Whose world it is.
    pub account: &'a AccountId,
    /// The time, in seconds.
    pub clock: &'a mut u64,
    /// The quotas.
    pub limits: &'a Limits,
    /// Where public addresses come from.
    pub pool: &'a mut PublicPool,
    /// The region.
    pub place: &'a mut RegionWorld,
    /// The call.
    pub call: &'a Call,
    /// What earlier calls made.
    pub known: &'a dyn Resolve,
}

impl Turn<'_> {
    /// The object that a link points at, whether it still exists or not.
    ///
    /// # Errors
    /// When it was never made.
    pub fn link(&self, link: &Link) -> Result<CloudId, WorldError> {
        self.known.id(link).ok_or_else(|| {
            WorldError::new(
                Trouble::Invalid,
                "MissingParameter",
                format!("`{link}` was not made, so nothing can use it"),
            )
        })
    }

    /// The id of the object that the call acts on.
    ///
    /// # Errors
    /// When it was never made.
    pub fn target(&self) -> Result<CloudId, WorldError> {
        match &self.call.on {
            Some(id) => Ok(id.clone()),
            None => self.link(&Link::Planned(self.call.at.clone())),
        }
    }

    /// A value that may fill a hole.
    ///
    /// # Errors
    /// When it is not known, or has characters that could end a string of a script.
    pub fn value(&self, address: &Address, output: Output) -> Result<String, WorldError> {
        let value = self
            .known
            .output(address, output)
            .ok_or_else(|| WorldError::invalid(format!("`{address}.{output}` is not known yet")))?;
        if crate::model::text::fits_a_hole(&value) {
            return Ok(value);
        }
        Err(WorldError::invalid(format!("the value of `{address}.{output}` has characters that may not fill a hole")))
    }

    /// Lets the time pass until then, if the call may wait so long; otherwise as long as it may, and false.
    #[must_use]
    pub fn outlast(&mut self, until: u64) -> bool {
        let patience = self.clock.saturating_add(self.call.timeout.0);
        *self.clock = until.clamp(*self.clock, patience);
        until <= patience
    }

    /// Lets the time pass until the last of these times, each with what AWS answers until then.
    ///
    /// # Errors
    /// What AWS answers for the last of them, when the call may not wait so long.
    pub fn outlast_all(&mut self, waits: impl IntoIterator<Item = (u64, WorldError)>) -> Result<(), WorldError> {
        match waits.into_iter().max_by_key(|(until, _)| *until) {
            Some((until, answer)) if !self.outlast(until) => Err(answer),
            Some(_) | None => Ok(()),
        }
    }

    /// Changes the tags of the object that the call acts on.
    ///
    /// # Errors
    /// When the object is gone or the tags are not allowed.
    pub fn retag(&mut self, edit: &TagEdit) -> Result<Outputs, WorldError> {
        let id = self.target()?;
        let kind = self.call.action.kind();
        let object = self.place.object(&id).filter(|object| object.kind() == kind);
        let tags = object.ok_or_else(|| WorldError::missing(kind, &id))?.tags.clone();
        let theirs = |key: &String| key.starts_with("aws:");
        let (given, mut written): (Tags, Tags) = tags.into_iter().partition(|(key, _)| theirs(key));
        edit.apply(&mut written);
        // AWS's own tags are neither counted nor changed.
        check_tags(&written)?;
        let tags: Tags = given.into_iter().chain(written).collect();
        self.place.change(&id, |object| object.tags = tags);
        Ok(Outputs::new())
    }

    /// The object that carries the ownership tags of one to be made: what a call made whose reply was lost.
    #[must_use]
    pub fn made_before(&self, kind: Kind, tags: &Tags) -> Option<CloudId> {
        let Owner { stack, address, generation, origin: _ } = Owner::read(tags)?;
        self.place.first(&Slot::Owned { kind, stack, address, generation }).cloned()
    }

    /// Adds an object of this region.
    ///
    /// # Errors
    /// When its tags are not allowed.
    pub fn add(&mut self, id: &CloudId, tags: Tags, body: Body) -> Result<(), WorldError> {
        check_tags(&tags)?;
        let region = self.place.name().clone();
        self.place.insert(Object { id: id.clone(), region, tags, body });
        Ok(())
    }

    /// Whether an instance's interface takes an Elastic IP in the state it is in.
    ///
    /// # Errors
    /// When it does not.
    pub fn takes_address(&self, id: &CloudId) -> Result<(), WorldError> {
        dispatch::takes_address(self.place, id)
    }

    /// Gives an instance's interface an Elastic IP, or takes it away.
    pub fn wear(&mut self, id: &CloudId, elastic: Option<Ipv4Addr>) {
        dispatch::wear(self.place, self.pool, id, elastic);
    }

    /// Loosens the Elastic IP that answers for an instance, if there is one; the instance then has no address.
    pub fn unseat(&mut self, instance: &CloudId) {
        if let Some(address) = self.place.first(&Slot::Seat(instance.clone())).cloned() {
            dispatch::loosen(self.place, &address);
        }
    }
}

/// Refuses what EC2 refuses of tags.
fn check_tags(tags: &Tags) -> Result<(), WorldError> {
    if tags.len() > MOST_TAGS {
        let why = format!("an object has at most {MOST_TAGS} tags");
        return Err(WorldError::new(Trouble::Quota, "TagLimitExceeded", why));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || key.to_lowercase().starts_with("aws:") {
            let why = format!("`{key}` is not a tag key that a user may write");
            return Err(WorldError::new(Trouble::Invalid, "InvalidTagKey.Malformed", why));
        }
        if value.chars().count() > 256 {
            return Err(WorldError::invalid(format!("the value of tag `{key}` is longer than 256 characters")));
        }
    }
    Ok(())
}
