//! Questions beyond the listings: those of one sort and region in one call where the API allows it, the others at once.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{
    AttributeBooleanValue, Filter, Image as ListedImage, InstanceAttributeName, NetworkInterface,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Aws;
use super::client::Gate;
use super::listing::{self, PAGE};
use super::retry::Ask;
use crate::model::id::{ImageId, VpcId};
use crate::model::tags::matches;
use crate::model::{CloudId, Kind, Region};
use crate::port::{Class, ProviderError};
use crate::resources::snapshot::{Answer, Holder, Image, InstanceType, Question};
use crate::resources::{ImageQuery, elastic_ip, instance, key_pair, load_balancer, security_group};

/// How many types a page has at most; `DescribeInstanceTypes` takes no more.
const TYPES: i32 = 100;

/// What is asked of one region, by sort.
#[derive(Default)]
struct Batch {
    groups: BTreeSet<CloudId>,
    images: BTreeSet<ImageId>,
    types: BTreeSet<String>,
    single: Vec<Question>,
    answers: BTreeMap<Question, Answer>,
}

/// Answers every question.
///
/// # Errors
/// The first that AWS refuses to answer.
pub(super) async fn inquire(
    aws: &Aws,
    questions: &BTreeSet<Question>,
) -> Result<BTreeMap<Question, Answer>, ProviderError> {
    let mut batches: BTreeMap<Region, Batch> = BTreeMap::new();
    for question in questions {
        batches.entry(region(question).clone()).or_default().add(question);
    }
    let asked = batches.into_iter().map(|(region, batch)| async move {
        let gate = aws.gate(&region);
        Box::pin(batch.ask(&gate, &region)).await
    });
    let mut answers = BTreeMap::new();
    for region in listing::together(asked.collect()).await {
        answers.extend(region?);
    }
    Ok(answers)
}

fn region(question: &Question) -> &Region {
    match question {
        Question::Holders { region, .. }
        | Question::Named { region, .. }
        | Question::Image { region, .. }
        | Question::NewestImage { region, .. }
        | Question::UserData { region, .. }
        | Question::TerminationProtection { region, .. }
        | Question::InstanceType { region, .. } => region,
    }
}

impl Batch {
    fn add(&mut self, question: &Question) {
        match question {
            Question::Holders { kind: Kind::SecurityGroup, region: _, id } => {
                self.groups.insert(id.clone());
            }
            // Nothing keeps these from going: AWS takes an address from an instance that is terminated, a key pair is no
            // more than a name at launch, and of what is on a host AWS knows nothing.
            Question::Holders {
                kind: Kind::KeyPair | Kind::ElasticIp | Kind::Instance | Kind::LoadBalancer | Kind::HostFirewall,
                region: _,
                id: _,
            } => {
                self.answers.insert(question.clone(), Answer::Holders(Vec::new()));
            }
            Question::Image { region: _, id } => {
                self.images.insert(id.clone());
            }
            Question::InstanceType { region: _, name } => {
                self.types.insert(name.clone());
            }
            Question::Named { .. }
            | Question::NewestImage { .. }
            | Question::UserData { .. }
            | Question::TerminationProtection { .. } => self.single.push(question.clone()),
        }
    }

    async fn ask(mut self, gate: &Gate, region: &Region) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        let single = self.single.iter().map(|question| async move { single(gate, question).await });
        let (groups, images, types, single) = tokio::join!(
            Box::pin(group_holders(gate, &self.groups)),
            images_by_id(gate, &self.images),
            types_by_name(gate, &self.types),
            listing::together(single.collect()),
        );
        let (mut groups, mut images, types) = (groups?, images?, types?);
        for id in self.groups {
            let holders = groups.remove(&id).unwrap_or_default().into_iter().collect();
            let question = Question::Holders { kind: Kind::SecurityGroup, region: region.clone(), id };
            self.answers.insert(question, Answer::Holders(holders));
        }
        for id in self.images {
            let image = images.remove(&id);
            self.answers.insert(Question::Image { region: region.clone(), id }, Answer::Image(image));
        }
        for name in self.types {
            let answer = Answer::InstanceType(types.get(&name).copied());
            self.answers.insert(Question::InstanceType { region: region.clone(), name }, answer);
        }
        for (question, answer) in self.single.into_iter().zip(single) {
            if let Some(answer) = answer? {
                self.answers.insert(question, answer);
            }
        }
        Ok(self.answers)
    }
}

/// Who holds groups. A balancer's interfaces stand for the balancer; those that one left behind, and those of instances
/// that have ended, go by themselves.
async fn group_holders(
    gate: &Gate,
    ids: &BTreeSet<CloudId>,
) -> Result<BTreeMap<CloudId, BTreeSet<Holder>>, ProviderError> {
    let whose = |interface: &NetworkInterface| load_balancer::aws::holder(gate, interface);
    let mut held = Box::pin(security_group::aws::holders(gate, ids, whose)).await?;
    let objects: BTreeSet<CloudId> = held.values().flatten().filter_map(|holder| holder.object.clone()).collect();
    let (mut gone, ended) =
        tokio::try_join!(load_balancer::aws::gone(gate, &objects), instance::aws::ended(gate, &objects))?;
    gone.extend(ended);
    for holders in held.values_mut() {
        holders.retain(|holder| holder.object.as_ref().is_none_or(|object| !gone.contains(object)));
    }
    Ok(held)
}

/// A question that takes a call of its own; none for the others.
async fn single(gate: &Gate, question: &Question) -> Result<Option<Answer>, ProviderError> {
    Ok(Some(match question {
        Question::Named { kind, region: _, vpc, name } => Answer::Named(named(gate, *kind, vpc.as_ref(), name).await?),
        Question::NewestImage { region: _, query } => Answer::Image(newest(gate, query).await?),
        Question::UserData { region: _, id } => Answer::UserData(user_data(gate, id).await?),
        Question::TerminationProtection { region: _, id } => {
            Answer::TerminationProtection(termination_protection(gate, id).await?)
        }
        Question::Holders { .. } | Question::Image { .. } | Question::InstanceType { .. } => return Ok(None),
    }))
}

async fn named(gate: &Gate, kind: Kind, vpc: Option<&VpcId>, name: &str) -> Result<Option<CloudId>, ProviderError> {
    match kind {
        Kind::KeyPair => key_pair::aws::named(gate, vpc, name).await,
        Kind::SecurityGroup => security_group::aws::named(gate, vpc, name).await,
        Kind::ElasticIp => elastic_ip::aws::named(gate, vpc, name).await,
        Kind::Instance => instance::aws::named(gate, vpc, name).await,
        Kind::LoadBalancer => load_balancer::aws::named(gate, vpc, name).await,
        Kind::HostFirewall => Ok(None),
    }
}

/// Every page of `DescribeImages`.
async fn images(gate: &Gate, filters: &[Filter], owner: Option<&str>) -> Result<Vec<ListedImage>, ProviderError> {
    listing::pages(&gate.doing("DescribeImages"), |token| async move {
        let send = || {
            let call = gate.ec2().describe_images().set_filters(Some(filters.to_vec()));
            let call = call.set_owners(owner.map(|owner| vec![owner.to_owned()]));
            call.max_results(PAGE).set_next_token(token.clone()).send()
        };
        let page = gate.send(&Ask::read("DescribeImages"), send).await?;
        Ok((page.images, page.next_token))
    })
    .await
}

/// Images by id. The ids are a filter: asked for by id, one that is not there would fail them all.
async fn images_by_id(gate: &Gate, ids: &BTreeSet<ImageId>) -> Result<BTreeMap<ImageId, Image>, ProviderError> {
    let mut found = BTreeMap::new();
    for filters in listing::chunks("image-id", ids.iter().map(ImageId::as_str)) {
        let listed = images(gate, &filters, None).await?;
        found.extend(listed.into_iter().filter_map(image).map(|image| (image.id.clone(), image)));
    }
    Ok(found)
}

/// The newest available image that a query matches; of two of one moment the greater id.
async fn newest(gate: &Gate, query: &ImageQuery) -> Result<Option<Image>, ProviderError> {
    let mut filters = vec![listing::filter("name", [query.name.as_str()]), listing::filter("state", ["available"])];
    filters.extend(query.architecture.as_deref().map(|text| listing::filter("architecture", [text])));
    let listed = images(gate, &filters, query.owner.as_deref()).await?;
    let found = listed.into_iter().filter_map(image).filter(|image| {
        matches(&query.name, &image.name) && query.architecture.as_ref().is_none_or(|text| *text == image.architecture)
    });
    Ok(found.max_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id))))
}

fn image(listed: ListedImage) -> Option<Image> {
    Some(Image {
        architecture: listed.architecture().map(|arch| arch.as_str().to_owned()).unwrap_or_default(),
        id: ImageId::new(listed.image_id?),
        name: listed.name.unwrap_or_default(),
        owner: listed.owner_id.unwrap_or_default(),
        created: listed.creation_date.unwrap_or_default(),
        root_device: listed.root_device_name.unwrap_or_else(|| "/dev/xvda".to_owned()),
    })
}

/// The user data of one instance: no listing has it.
async fn user_data(gate: &Gate, id: &CloudId) -> Result<Option<Vec<u8>>, ProviderError> {
    let ask = Ask::read("DescribeInstanceAttribute").uses([id.as_str()]);
    let send = || {
        let call = gate.ec2().describe_instance_attribute().instance_id(id.as_str());
        call.attribute(InstanceAttributeName::UserData).send()
    };
    let answer = gate.send(&ask, send).await?;
    let text = answer.user_data().and_then(|value| value.value()).filter(|text| !text.is_empty());
    let read = |text| {
        let why = |_| ProviderError::new(Class::Invalid, gate.doing(ask.api), "the user data is not base64");
        STANDARD.decode(text).map_err(why)
    };
    text.map(read).transpose()
}

/// Whether AWS itself refuses to terminate one instance.
async fn termination_protection(gate: &Gate, id: &CloudId) -> Result<bool, ProviderError> {
    let ask = Ask::read("DescribeInstanceAttribute").uses([id.as_str()]);
    let send = || {
        let call = gate.ec2().describe_instance_attribute().instance_id(id.as_str());
        call.attribute(InstanceAttributeName::DisableApiTermination).send()
    };
    let answer = gate.send(&ask, send).await?;
    Ok(answer.disable_api_termination().and_then(AttributeBooleanValue::value).unwrap_or(false))
}

/// Instance types by name. The names are a filter: one that the region does not know is no error there.
async fn types_by_name(gate: &Gate, names: &BTreeSet<String>) -> Result<BTreeMap<String, InstanceType>, ProviderError> {
    let mut found = BTreeMap::new();
    for filters in &listing::chunks("instance-type", names.iter().map(String::as_str)) {
        let listed = listing::pages(&gate.doing("DescribeInstanceTypes"), |token| async move {
            let send = || {
                let call = gate.ec2().describe_instance_types().set_filters(Some(filters.clone()));
                call.max_results(TYPES).set_next_token(token.clone()).send()
            };
            let page = gate.send(&Ask::read("DescribeInstanceTypes"), send).await?;
            Ok((page.instance_types, page.next_token))
        })
        .await?;
        let read = |one: aws_sdk_ec2::types::InstanceTypeInfo| {
            let instance_store = one.instance_storage_supported().unwrap_or(false);
            Some((one.instance_type()?.as_str().to_owned(), InstanceType { instance_store }))
        };
        found.extend(listed.into_iter().filter_map(read));
    }
    Ok(found)
}
