//! What the world answers to questions beyond its listings.

use super::{RegionWorld, World, dispatch};
use crate::model::id::ImageId;
use crate::model::{CloudId, Kind, tags};
use crate::resources::ImageQuery;
use crate::resources::registry::Object;
use crate::resources::snapshot::{Answer, Holder, Image, InstanceType, Question};

impl World {
    /// What an instance type's name says of it; none for what is no type.
    #[must_use]
    pub fn instance_type(name: &str) -> Option<InstanceType> {
        instance_type(name)
    }

    /// Answers one question.
    ///
    /// # Errors
    /// Why the region cannot be asked.
    pub fn answer(&self, question: &Question) -> Result<Answer, String> {
        let place = self.region(question.region());
        if let Some(why) = place.unavailable() {
            return Err(why.to_owned());
        }
        if let Some(answer) = self.recall.answer(question, &place) {
            return Ok(answer.clone());
        }
        Ok(match question {
            Question::Holders { kind: _, region: _, id } => {
                Answer::Holders(place.holders(id).filter(|holder| holder.id != *id).map(holder).collect())
            }
            Question::Named { kind, region: _, vpc, name } => Answer::Named(
                dispatch::name_slot(*kind, vpc.clone(), name).and_then(|slot| place.first(&slot)).cloned(),
            ),
            Question::Image { region: _, id } => Answer::Image(place.image(id)),
            Question::NewestImage { region: _, query } => Answer::Image(place.newest(query)),
            Question::UserData { region: _, id } => Answer::UserData(place.user_data(id)),
            Question::TerminationProtection { region: _, id } => Answer::TerminationProtection(
                place.unlisted(id).is_some_and(|unlisted| unlisted.termination_protection),
            ),
            Question::InstanceType { region: _, name } => Answer::InstanceType(instance_type(name)),
        })
    }
}

impl Question {
    /// Where it is asked.
    #[must_use]
    pub const fn region(&self) -> &crate::model::Region {
        match self {
            Self::Holders { region, .. }
            | Self::Named { region, .. }
            | Self::Image { region, .. }
            | Self::NewestImage { region, .. }
            | Self::UserData { region, .. }
            | Self::TerminationProtection { region, .. }
            | Self::InstanceType { region, .. } => region,
        }
    }
}

impl RegionWorld {
    /// An image by its id. A region that names no images has every one.
    #[must_use]
    pub fn image(&self, id: &ImageId) -> Option<Image> {
        if self.images().is_empty() {
            return Some(made_up(id.clone(), id.to_string(), None, None));
        }
        self.images().iter().find(|image| image.id == *id).cloned()
    }

    /// The newest image that matches.
    fn newest(&self, query: &ImageQuery) -> Option<Image> {
        let ImageQuery { name, owner, architecture } = query;
        if self.images().is_empty() {
            let words = name.bytes().chain(architecture.iter().flat_map(|word| word.bytes()));
            let count = words.fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
            let id = super::place::digits(self.name(), ImageId::PREFIX, count);
            return Some(made_up(
                ImageId::new(id),
                name.replace('*', "simulated"),
                owner.clone(),
                architecture.clone(),
            ));
        }
        let fits = |image: &&Image| {
            tags::matches(name, &image.name)
                && owner.as_ref().is_none_or(|owner| *owner == image.owner)
                && architecture.as_ref().is_none_or(|wanted| *wanted == image.architecture)
        };
        self.images().iter().filter(fits).max_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id))).cloned()
    }

    /// The user data of an instance.
    fn user_data(&self, id: &CloudId) -> Option<Vec<u8>> {
        self.unlisted(id)?.user_data.as_ref().map(|bytes| bytes.0.clone())
    }
}

/// An image that the file does not say more of.
fn made_up(id: ImageId, name: String, owner: Option<String>, architecture: Option<String>) -> Image {
    Image {
        id,
        name,
        owner: owner.unwrap_or_else(|| "amazon".to_owned()),
        architecture: architecture.unwrap_or_else(|| "x86_64".to_owned()),
        created: "2026-01-01T00:00:00.000Z".to_owned(),
        root_device: "/dev/xvda".to_owned(),
    }
}

/// What holds something, in words.
fn holder(object: &Object) -> Holder {
    let what = match object.kind() {
        Kind::Instance => format!("network interface of instance {}", object.id),
        Kind::SecurityGroup => format!("rule of security group {}", object.id),
        Kind::ElasticIp => format!("address {}", object.id),
        Kind::KeyPair => format!("key pair {}", object.id),
        Kind::LoadBalancer => format!("network interface of load balancer {}", object.id),
        Kind::HostFirewall => format!("firewall of {}", object.id),
    };
    Holder { id: object.id.clone(), what, object: Some(object.id.clone()) }
}

/// What a type's name says of it: families `i…` and `d…`, and those with a `d` behind the generation, have disks that a
/// stop wipes (<https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html>).
#[must_use]
fn instance_type(name: &str) -> Option<InstanceType> {
    let (family, size) = name.split_once('.')?;
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let generation = family.find(|c: char| c.is_ascii_digit())?;
    if generation == 0 || size.is_empty() || !plain(family) || !plain(size) {
        return None;
    }
    let suffix = family.get(generation..).unwrap_or_default();
    let instance_store = family.starts_with(['i', 'd']) || suffix.split('-').next().is_some_and(|s| s.contains('d'));
    Some(InstanceType { instance_store })
}
