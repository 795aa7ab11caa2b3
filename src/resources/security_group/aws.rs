//! Security groups on AWS: listing them with their rules, and who holds them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{IpPermission, NetworkInterface, SecurityGroup as Listed, SecurityGroupRule, UserIdGroupPair};

use super::Observed;
use super::state::{Direction, ObservedRule, Peer, Rule};
use crate::model::id::{PrefixListId, VpcId};
use crate::model::net::{Cidr, Traffic};
use crate::model::{CloudId, Tags};
use crate::port::{Class, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::listing::{self, Keys, PAGE, Select};
use crate::provider::aws::retry::Ask;
use crate::resources::registry::{Body, Object};
use crate::resources::snapshot::Holder;

mod perform;

pub use perform::perform;

const KEYS: Keys = Keys { prefix: "sg-", id: "group-id", name: "group-name" };

/// Lists what is selected, each group with its rules.
///
/// # Errors
/// What AWS answers.
pub async fn list(gate: &Gate, select: Select<'_>) -> Result<Vec<Object>, ProviderError> {
    let listings = select.filters(KEYS).into_iter().map(|filters| async move { groups(gate, filters).await });
    let mut meant = BTreeMap::new();
    for listed in listing::together(listings.collect()).await {
        for group in listed? {
            let Some(object) = bare(gate, &group) else { continue };
            if select.takes(&object, group.group_name()) {
                meant.insert(object.id.clone(), (object, group));
            }
        }
    }
    let ids: Vec<CloudId> = meant.keys().cloned().collect();
    let mut rules: BTreeMap<CloudId, Vec<SecurityGroupRule>> = BTreeMap::new();
    for rule in rules_of(gate, &ids).await? {
        if let Some(group) = rule.group_id() {
            rules.entry(CloudId::new(group)).or_default().push(rule);
        }
    }
    let doing = gate.doing("DescribeSecurityGroupRules");
    meant.into_values().map(|(object, group)| with_rules(object, &group, &mut rules, &doing)).collect()
}

/// Every page of `DescribeSecurityGroups` for one set of filters.
async fn groups(gate: &Gate, filters: Vec<aws_sdk_ec2::types::Filter>) -> Result<Vec<Listed>, ProviderError> {
    let (doing, filters) = (gate.doing("DescribeSecurityGroups"), &filters);
    listing::pages(&doing, |token| async move {
        let send = || {
            let call = gate.ec2().describe_security_groups().set_filters(Some(filters.clone()));
            call.max_results(PAGE).set_next_token(token.clone()).send()
        };
        let page = gate.send(&Ask::read("DescribeSecurityGroups"), send).await?;
        Ok((page.security_groups, page.next_token))
    })
    .await
}

/// The rules of these groups, in as few listings as the limit of filter values allows.
async fn rules_of(gate: &Gate, ids: &[CloudId]) -> Result<Vec<SecurityGroupRule>, ProviderError> {
    let doing = &gate.doing("DescribeSecurityGroupRules");
    let chunks = listing::chunks("group-id", ids.iter().map(CloudId::as_str));
    let listings = chunks.into_iter().map(|filters| async move {
        let filters = &filters;
        listing::pages(doing, |token| async move {
            let send = || {
                let call = gate.ec2().describe_security_group_rules().set_filters(Some(filters.clone()));
                call.max_results(PAGE).set_next_token(token.clone()).send()
            };
            let page = gate.send(&Ask::read("DescribeSecurityGroupRules"), send).await?;
            Ok((page.security_group_rules, page.next_token))
        })
        .await
    });
    let mut rules = Vec::new();
    for listed in listing::together(listings.collect()).await {
        rules.extend(listed?);
    }
    Ok(rules)
}

/// The rules of one group.
async fn rules_now(gate: &Gate, id: &CloudId) -> Result<Vec<ObservedRule>, ProviderError> {
    let doing = gate.doing("DescribeSecurityGroupRules");
    let mine = rules_of(gate, std::slice::from_ref(id)).await?;
    mine.iter().filter(|rule| rule.group_id() == Some(id.as_str())).map(|rule| observed(rule, &doing)).collect()
}

/// A group without its rules.
fn bare(gate: &Gate, group: &Listed) -> Option<Object> {
    let body = Observed {
        name: group.group_name()?.to_owned(),
        description: group.description().unwrap_or_default().to_owned(),
        vpc: VpcId::new(group.vpc_id()?),
        rules: Vec::new(),
    };
    let tags = listing::from_wire(group.tags.as_deref());
    let id = CloudId::new(group.group_id()?);
    Some(Object { id, region: gate.region().clone(), tags, body: Body::SecurityGroup(body) })
}

/// The group with its rules. A description that the listing of rules leaves out is taken from the listing of groups.
fn with_rules(
    mut object: Object,
    group: &Listed,
    rules: &mut BTreeMap<CloudId, Vec<SecurityGroupRule>>,
    doing: &str,
) -> Result<Object, ProviderError> {
    let told = descriptions(group);
    let mine = rules.remove(&object.id).unwrap_or_default();
    let mut read = mine.iter().map(|rule| observed(rule, doing)).collect::<Result<Vec<_>, _>>()?;
    for rule in &mut read {
        if rule.description.is_none() {
            rule.description = told.get(&(rule.direction, rule.rule.clone())).cloned();
        }
    }
    read.sort_by(|a, b| a.id.cmp(&b.id));
    if let Body::SecurityGroup(body) = &mut object.body {
        body.rules = read;
    }
    Ok(object)
}

/// One rule as listed. One that cannot be read is an error: left out, it would count as absent.
fn observed(rule: &SecurityGroupRule, doing: &str) -> Result<ObservedRule, ProviderError> {
    let read = || {
        let traffic = Traffic::listed(rule.ip_protocol()?, rule.from_port(), rule.to_port())?;
        let peer = if let Some(cidr) = rule.cidr_ipv4().or(rule.cidr_ipv6()) {
            Peer::Cidr(Cidr::listed(cidr)?)
        } else if let Some(list) = rule.prefix_list_id() {
            Peer::PrefixList(PrefixListId::new(list))
        } else {
            let peer = rule.referenced_group_info()?;
            group_peer(peer.group_id()?, peer.user_id(), rule.group_owner_id())
        };
        Some(ObservedRule {
            id: CloudId::new(rule.security_group_rule_id()?),
            direction: if rule.is_egress()? { Direction::Egress } else { Direction::Ingress },
            rule: Rule { traffic, peer },
            description: rule.description().filter(|text| !text.is_empty()).map(str::to_owned),
            tags: listing::from_wire(rule.tags.as_deref()),
        })
    };
    read().ok_or_else(|| {
        let id = rule.security_group_rule_id().unwrap_or("without an id");
        ProviderError::new(Class::Invalid, doing, format!("rule `{id}` is of a shape that is not known"))
    })
}

fn group_peer(group: &str, account: Option<&str>, owner: Option<&str>) -> Peer<CloudId> {
    match account.filter(|account| Some(*account) != owner) {
        Some(account) if owner.is_some() => {
            Peer::ForeignGroup { account: account.to_owned(), group: CloudId::new(group) }
        }
        Some(_) | None => Peer::Group(CloudId::new(group)),
    }
}

/// The descriptions that the listing of groups has of rules whose peer is a group.
fn descriptions(group: &Listed) -> BTreeMap<(Direction, Rule<CloudId>), String> {
    let both = [(Direction::Ingress, group.ip_permissions()), (Direction::Egress, group.ip_permissions_egress())];
    let mut told = BTreeMap::new();
    for (direction, permissions) in both {
        for (permission, pair) in
            permissions.iter().flat_map(|one| one.user_id_group_pairs().iter().map(move |p| (one, p)))
        {
            if let Some((rule, text)) = described(permission, pair, group.owner_id()) {
                told.insert((direction, rule), text);
            }
        }
    }
    told
}

fn described(
    permission: &IpPermission,
    pair: &UserIdGroupPair,
    owner: Option<&str>,
) -> Option<(Rule<CloudId>, String)> {
    let text = pair.description().filter(|text| !text.is_empty())?;
    let traffic = Traffic::listed(permission.ip_protocol()?, permission.from_port(), permission.to_port())?;
    Some((Rule { traffic, peer: group_peer(pair.group_id()?, pair.user_id(), owner) }, text.to_owned()))
}

/// The group of this name in a VPC, whatever the case: AWS refuses names that differ only in case
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html>), while its filters see them
/// as different, so the VPC's groups are listed and compared here.
///
/// # Errors
/// What AWS answers.
pub async fn named(gate: &Gate, vpc: Option<&VpcId>, wanted: &str) -> Result<Option<CloudId>, ProviderError> {
    Ok(find(gate, vpc, wanted).await?.map(|(id, _)| id))
}

/// The group of this name with its tags.
async fn find(gate: &Gate, vpc: Option<&VpcId>, wanted: &str) -> Result<Option<(CloudId, Tags)>, ProviderError> {
    let filters = vpc.map(|vpc| listing::filter("vpc-id", [vpc.as_str()])).into_iter().collect();
    let same = |group: &Listed| group.group_name().is_some_and(|name| name.to_lowercase() == wanted.to_lowercase());
    let found = groups(gate, filters).await?.into_iter().find(same);
    Ok(found.and_then(|group| Some((CloudId::new(group.group_id()?), listing::from_wire(group.tags.as_deref())))))
}

/// Who keeps each of these groups from going: interfaces in them, and other groups whose rules name them. `whose` says of
/// an interface to which object of another kind it belongs, where that is not an instance.
///
/// # Errors
/// What AWS answers.
pub async fn holders(
    gate: &Gate,
    ids: &BTreeSet<CloudId>,
    whose: impl Fn(&NetworkInterface) -> Option<Holder> + Sync,
) -> Result<BTreeMap<CloudId, BTreeSet<Holder>>, ProviderError> {
    let mut all: BTreeMap<CloudId, BTreeSet<Holder>> = BTreeMap::new();
    let (interfaces, ingress, egress) = tokio::try_join!(
        interfaces(gate, ids, &whose),
        referring(gate, "ip-permission.group-id", ids),
        referring(gate, "egress.ip-permission.group-id", ids),
    )?;
    for (held, holder) in interfaces.into_iter().chain(ingress).chain(egress) {
        if held != holder.id && ids.contains(&held) {
            all.entry(held).or_default().insert(holder);
        }
    }
    Ok(all)
}

/// The network interfaces in these groups.
async fn interfaces(
    gate: &Gate,
    ids: &BTreeSet<CloudId>,
    whose: &(impl Fn(&NetworkInterface) -> Option<Holder> + Sync),
) -> Result<Vec<(CloudId, Holder)>, ProviderError> {
    let doing = &gate.doing("DescribeNetworkInterfaces");
    let mut holders = Vec::new();
    for filters in &listing::chunks("group-id", ids.iter().map(CloudId::as_str)) {
        let listed = listing::pages(doing, |token| async move {
            let send = || {
                let call = gate.ec2().describe_network_interfaces().set_filters(Some(filters.clone()));
                call.max_results(PAGE).set_next_token(token.clone()).send()
            };
            let page = gate.send(&Ask::read("DescribeNetworkInterfaces"), send).await?;
            Ok((page.network_interfaces, page.next_token))
        });
        for interface in listed.await? {
            let holder = whose(&interface).unwrap_or_else(|| holder(&interface));
            let groups = interface.groups().iter().filter_map(|group| group.group_id());
            holders.extend(groups.map(|group| (CloudId::new(group), holder.clone())));
        }
    }
    Ok(holders)
}

/// What is known of an interface by itself.
fn holder(interface: &NetworkInterface) -> Holder {
    let instance = interface.attachment().and_then(|tie| tie.instance_id()).filter(|id| !id.is_empty());
    let what = match (instance, interface.description().filter(|text| !text.is_empty())) {
        (Some(instance), _) => format!("network interface of instance {instance}"),
        (None, Some(text)) => format!("network interface \"{text}\""),
        (None, None) => {
            let whose = interface.requester_id().or(interface.owner_id()).unwrap_or("nobody");
            format!("network interface of {whose}")
        }
    };
    let id = CloudId::new(interface.network_interface_id().unwrap_or_default());
    Holder { id, what, object: instance.map(CloudId::new) }
}

/// The groups whose rules name these groups.
async fn referring(
    gate: &Gate,
    filter: &str,
    ids: &BTreeSet<CloudId>,
) -> Result<Vec<(CloudId, Holder)>, ProviderError> {
    let mut holders = Vec::new();
    for filters in listing::chunks(filter, ids.iter().map(CloudId::as_str)) {
        for group in groups(gate, filters).await? {
            let Some(id) = group.group_id().map(CloudId::new) else { continue };
            let what = format!("a rule of security group \"{}\"", group.group_name().unwrap_or_default());
            let holder = Holder { id: id.clone(), what, object: Some(id) };
            let permissions = group.ip_permissions().iter().chain(group.ip_permissions_egress());
            let peers = permissions.flat_map(IpPermission::user_id_group_pairs).filter_map(UserIdGroupPair::group_id);
            holders.extend(peers.map(|peer| (CloudId::new(peer), holder.clone())));
        }
    }
    Ok(holders)
}
