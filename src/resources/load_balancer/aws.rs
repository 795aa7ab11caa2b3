//! Load balancers on AWS: listing them with tags, attributes and who is in service.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::NetworkInterface;
use aws_sdk_elasticloadbalancing::types::{LoadBalancerAttributes, LoadBalancerDescription as Listed};

use super::{id, name};
use crate::model::id::VpcId;
use crate::model::{CloudId, Tags};
use crate::port::{Class, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::listing::{self, Select};
use crate::provider::aws::retry::Ask;
use crate::resources::registry::{Body, Object};
use crate::resources::snapshot::Holder;

mod balancer;
mod create;
mod listeners;
mod members;
mod perform;
mod policies;
mod read;

pub use perform::perform;

/// How many balancers a page has at most
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeLoadBalancers.html>).
const PAGE: i32 = 400;
/// How many balancers' tags one call tells
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeTags.html>).
const TAGGED: usize = 20;

/// Lists what is selected. No filter knows tags: a stack's own are found among all of the region.
///
/// # Errors
/// What AWS answers.
pub async fn list(gate: &Gate, select: Select<'_>) -> Result<Vec<Object>, ProviderError> {
    let listed = match select {
        Select::Owned(_) => every(gate).await?,
        Select::Ids(ids) => called(gate, ids.iter().map(CloudId::as_str)).await?,
        Select::Called(names) => called(gate, names.iter().map(String::as_str)).await?,
    };
    let mut tags = tags(gate, &listed).await?;
    let meant = listed.into_iter().filter_map(|listed| {
        let name = listed.load_balancer_name()?.to_owned();
        let tags = tags.remove(&name)?;
        select.means(&id(gate.region(), &name), &tags, Some(&name)).then_some((name, listed, tags))
    });
    let whole = meant.map(|(name, listed, tags)| async move {
        let (attributes, proxying) =
            tokio::try_join!(attributes(gate, &name), policies::proxying(gate, &name, policies::on_servers(&listed)))?;
        let Some((attributes, proxying)) = attributes.zip(proxying) else { return Ok(None) };
        let body = read::observed(gate, &listed, &attributes, &proxying)?;
        let region = gate.region().clone();
        Ok(Some(Object { id: id(&region, &name), region, tags, body: Body::LoadBalancer(body) }))
    });
    listing::together(whole.collect()).await.into_iter().filter_map(Result::transpose).collect()
}

/// Every balancer of the region.
async fn every(gate: &Gate) -> Result<Vec<Listed>, ProviderError> {
    let doing = gate.doing("DescribeLoadBalancers");
    let listed = listing::pages(&doing, |marker| async move {
        let send = || gate.elb().describe_load_balancers().page_size(PAGE).set_marker(marker.clone()).send();
        let page = gate.send(&Ask::read("DescribeLoadBalancers"), send).await?;
        Ok((page.load_balancer_descriptions, page.next_marker))
    });
    Ok(listed.await?.into_iter().filter(is_in_a_vpc).collect())
}

/// Balancers by id or name, each asked for alone: asked for together, one that is not there would fail them all.
async fn called<'a>(gate: &Gate, texts: impl Iterator<Item = &'a str>) -> Result<Vec<Listed>, ProviderError> {
    let names: BTreeSet<&str> = texts.map(|text| here(gate, text).unwrap_or(text)).collect();
    let asked = names.into_iter().map(|name| one(gate, name));
    let found = listing::together(asked.collect()).await.into_iter().filter_map(Result::transpose);
    found.collect()
}

/// The name in an id of this region.
fn here<'a>(gate: &Gate, text: &'a str) -> Option<&'a str> {
    text.strip_prefix(gate.region().as_str())?.strip_prefix('/')
}

/// The balancer of exactly this name.
async fn one(gate: &Gate, wanted: &str) -> Result<Option<Listed>, ProviderError> {
    if !is_name(wanted) {
        return Ok(None);
    }
    let send = || gate.elb().describe_load_balancers().load_balancer_names(wanted).send();
    let listed = absent_is_none(gate.send(&Ask::read("DescribeLoadBalancers"), send).await)?;
    let mut found = listed.and_then(|page| page.load_balancer_descriptions).unwrap_or_default().into_iter();
    Ok(found.find(|listed| listed.load_balancer_name() == Some(wanted) && is_in_a_vpc(listed)))
}

/// What no balancer can be called is not asked for: AWS calls the request itself wrong
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_CreateLoadBalancer.html>).
fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// One of EC2-Classic has neither VPC nor groups: nothing here fits it.
fn is_in_a_vpc(listed: &Listed) -> bool {
    listed.vpc_id().is_some_and(|vpc| !vpc.is_empty())
}

/// An answer about a balancer that went meanwhile.
fn absent_is_none<T>(answer: Result<T, ProviderError>) -> Result<Option<T>, ProviderError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.class == Class::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The tags of these balancers, by name; of one that went meanwhile there is no entry.
async fn tags(gate: &Gate, listed: &[Listed]) -> Result<BTreeMap<String, Tags>, ProviderError> {
    let names: Vec<&str> = listed.iter().filter_map(Listed::load_balancer_name).collect();
    let asked = names.chunks(TAGGED).map(|chunk| async move {
        match tags_of(gate, chunk).await? {
            Some(tags) => Ok(tags),
            // One is gone, and nothing is said of the others.
            None => {
                let each =
                    listing::together(chunk.iter().map(|name| async { tags_of(gate, &[*name]).await }).collect());
                let found = each.await.into_iter().filter_map(Result::transpose);
                Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
        }
    });
    let chunks = listing::together(asked.collect()).await.into_iter();
    Ok(chunks.collect::<Result<Vec<Vec<_>>, ProviderError>>()?.into_iter().flatten().collect())
}

async fn tags_of(gate: &Gate, names: &[&str]) -> Result<Option<Vec<(String, Tags)>>, ProviderError> {
    let wanted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let send = || gate.elb().describe_tags().set_load_balancer_names(Some(wanted.clone())).send();
    let answer = absent_is_none(gate.send(&Ask::read("DescribeTags"), send).await)?;
    let read = |one: aws_sdk_elasticloadbalancing::types::TagDescription| {
        let pairs = one.tags.unwrap_or_default().into_iter();
        let tags: Tags = pairs.map(|tag| (tag.key, tag.value.unwrap_or_default())).collect();
        Some((one.load_balancer_name?, tags))
    };
    Ok(answer.map(|answer| answer.tag_descriptions.unwrap_or_default().into_iter().filter_map(read).collect()))
}

/// What AWS calls attributes; none of a balancer that went meanwhile.
async fn attributes(gate: &Gate, name: &str) -> Result<Option<LoadBalancerAttributes>, ProviderError> {
    let ask = Ask::read("DescribeLoadBalancerAttributes");
    let send = || gate.elb().describe_load_balancer_attributes().load_balancer_name(name).send();
    let Some(answer) = absent_is_none(gate.send(&ask, send).await)? else { return Ok(None) };
    let lacks = || listing::incomplete(&gate.doing(ask.api), &format!("attributes of `{name}`"));
    answer.load_balancer_attributes.map(Some).ok_or_else(lacks)
}

/// The balancer of exactly this name.
///
/// # Errors
/// What AWS answers.
pub async fn named(gate: &Gate, _vpc: Option<&VpcId>, wanted: &str) -> Result<Option<CloudId>, ProviderError> {
    Ok(one(gate, wanted).await?.map(|_| id(gate.region(), wanted)))
}

/// The same balancers with who is in service; of one that went meanwhile nothing is said.
///
/// # Errors
/// What AWS answers.
pub async fn with_health(gate: &Gate, objects: Vec<Object>) -> Result<Vec<Object>, ProviderError> {
    let looks = objects.into_iter().map(|mut object| async move {
        if let Body::LoadBalancer(body) = &mut object.body
            && let Some(health) = absent_is_none(members::health_now(gate, name(&object.id)).await)?
        {
            body.health = health;
        }
        Ok(object)
    });
    listing::together(looks.collect()).await.into_iter().collect()
}

/// Says of a network interface that it is a balancer's: AWS writes the balancer's name into its description
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html>). Those of newer kinds of
/// balancers have a path there.
#[must_use]
pub fn holder(gate: &Gate, interface: &NetworkInterface) -> Option<Holder> {
    let name = interface.description()?.strip_prefix("ELB ").filter(|name| is_name(name))?;
    (interface.requester_id() == Some("amazon-elb")).then(|| Holder {
        id: CloudId::new(interface.network_interface_id().unwrap_or_default()),
        what: format!("network interface of load balancer {name}"),
        object: Some(id(gate.region(), name)),
    })
}

/// Which of these objects are balancers that are gone. Their interfaces linger for some minutes.
///
/// # Errors
/// What AWS answers.
pub async fn gone(gate: &Gate, objects: &BTreeSet<CloudId>) -> Result<BTreeSet<CloudId>, ProviderError> {
    let names = objects.iter().filter_map(|id| here(gate, id.as_str()));
    let there: BTreeSet<CloudId> = called(gate, names.clone())
        .await?
        .iter()
        .filter_map(Listed::load_balancer_name)
        .map(|name| id(gate.region(), name))
        .collect();
    Ok(names.map(|name| id(gate.region(), name)).filter(|id| !there.contains(id)).collect())
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn only_names_are_asked_for() {
        assert!(is_name("shop-front-1") && is_name(&"a".repeat(32)));
        for text in ["", "app/front/50dc6c495c0c9188", "front*", "fr?nt", "a b", &"a".repeat(33)] {
            assert!(!is_name(text), "{text}");
        }
    }
}
