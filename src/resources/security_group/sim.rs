//! Security groups in the simulated world.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::action::{DescribedRule, NewRule};
use super::state::{Direction, ObservedRule, Peer, Rule};
use super::{Action, Observed};
use crate::model::id::VpcId;
use crate::model::net::{Cidr, Traffic};
use crate::model::{CloudId, Kind, Link, Output, Tags};
use crate::resources::registry::Body;
use crate::resources::world::{Outputs, Slot, Trouble, Turn, WorldError};

/// The API operation that an action is.
#[must_use]
pub const fn api(action: &Action) -> &'static str {
    match action {
        Action::Create { .. } => "ec2:CreateSecurityGroup",
        Action::Authorize { direction: Direction::Ingress, .. } => "ec2:AuthorizeSecurityGroupIngress",
        Action::Authorize { direction: Direction::Egress, .. } => "ec2:AuthorizeSecurityGroupEgress",
        Action::Revoke { direction: Direction::Ingress, .. } => "ec2:RevokeSecurityGroupIngress",
        Action::RevokeDefaultEgress | Action::Revoke { direction: Direction::Egress, .. } => {
            "ec2:RevokeSecurityGroupEgress"
        }
        Action::Describe { direction: Direction::Ingress, .. } => "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
        Action::Describe { direction: Direction::Egress, .. } => "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
        Action::Tag(_) => "ec2:CreateTags",
        Action::Delete => "ec2:DeleteSecurityGroup",
    }
}

/// What a group has that lookups go by: its name, in its VPC, whatever the case.
#[must_use]
pub fn slots(body: &Observed) -> Vec<Slot> {
    vec![name_slot(&body.vpc, &body.name)]
}

fn name_slot(vpc: &VpcId, name: &str) -> Slot {
    Slot::Name { kind: Kind::SecurityGroup, vpc: Some(vpc.clone()), name: name.to_lowercase() }
}

/// What a group keeps from going: the groups that its rules name, itself excepted.
#[must_use]
pub fn holds(id: &CloudId, body: &Observed) -> Vec<CloudId> {
    let peers = body.rules.iter().filter_map(|rule| match &rule.rule.peer {
        Peer::Group(group) => Some(group),
        Peer::Cidr(_) | Peer::ForeignGroup { .. } | Peer::PrefixList(_) | Peer::Output { .. } => None,
    });
    peers.filter(|group| *group != id).cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The group that every VPC has: its members may talk to each other, and to everyone
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html>).
#[must_use]
pub fn default_group(vpc: &VpcId, own: &CloudId, rules: [CloudId; 2], ipv6: bool) -> Observed {
    let [ingress, egress] = rules;
    let own = Rule { traffic: Traffic::All, peer: Peer::Group(own.clone()) };
    let mut all = vec![observed(ingress, Direction::Ingress, own)];
    all.extend(usual_egress(ipv6).into_iter().take(1).map(|rule| observed(egress.clone(), Direction::Egress, rule)));
    Observed {
        name: "default".to_owned(),
        description: "default VPC security group".to_owned(),
        vpc: vpc.clone(),
        rules: all,
    }
}

/// The rules that AWS gives a new group
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html>).
fn usual_egress(ipv6: bool) -> Vec<Rule<CloudId>> {
    let networks = if ipv6 { ["0.0.0.0/0", "::/0"].as_slice() } else { ["0.0.0.0/0"].as_slice() };
    let everyone = networks.iter().filter_map(|network| Cidr::listed(network));
    everyone.map(|network| Rule { traffic: Traffic::All, peer: Peer::Cidr(network) }).collect()
}

const fn observed(id: CloudId, direction: Direction, rule: Rule<CloudId>) -> ObservedRule {
    ObservedRule { id, direction, rule, description: None, tags: Tags::new() }
}

/// Carries out an action.
///
/// # Errors
/// What AWS would answer instead of doing it.
pub fn perform(turn: &mut Turn<'_>, action: &Action) -> Result<Outputs, WorldError> {
    match action {
        Action::Create { name, description, vpc, tags } => create(turn, name, description, vpc, tags),
        Action::RevokeDefaultEgress => revoke(turn, |rule| {
            let everyone = matches!(rule.rule.peer, Peer::Cidr(network) if network.is_everyone());
            rule.direction == Direction::Egress && rule.rule.traffic == Traffic::All && everyone
        }),
        Action::Authorize { direction, rules, tags } => authorize(turn, *direction, rules, tags),
        Action::Revoke { direction, rules } => {
            let ids: BTreeSet<&CloudId> = rules.iter().map(|rule| &rule.id).collect();
            revoke(turn, |rule| rule.direction == *direction && ids.contains(&rule.id))
        }
        Action::Describe { direction, rules } => describe(turn, *direction, rules),
        Action::Tag(edit) => turn.retag(edit),
        Action::Delete => delete(turn),
    }
}

fn create(turn: &mut Turn<'_>, name: &str, description: &str, vpc: &VpcId, tags: &Tags) -> Result<Outputs, WorldError> {
    let Some(ipv6) = turn.place.vpc(vpc).map(|vpc| vpc.ipv6) else {
        let why = format!("the VPC `{vpc}` does not exist");
        return Err(WorldError::new(Trouble::NotFound, "InvalidVpcID.NotFound", why));
    };
    if name.eq_ignore_ascii_case("default") {
        let why = format!("the name `{name}` is reserved");
        return Err(WorldError::new(Trouble::Invalid, "InvalidGroup.Reserved", why));
    }
    if name.is_empty() || name.len() > 255 || name.to_lowercase().starts_with("sg-") {
        return Err(WorldError::invalid(format!("`{name}` is not a group's name: 1 to 255 characters, not `sg-…`")));
    }
    if description.is_empty() || description.len() > 255 {
        return Err(WorldError::invalid("a group's description has 1 to 255 characters"));
    }
    if let Some(there) = turn.place.first(&name_slot(vpc, name)).cloned() {
        if turn.made_before(Kind::SecurityGroup, tags).as_ref() == Some(&there) {
            return Ok(told(&there, name));
        }
        let why = format!("the security group `{name}` already exists in `{vpc}`");
        return Err(WorldError::new(Trouble::AlreadyExists, "InvalidGroup.Duplicate", why));
    }
    let id = turn.place.fresh_id("sg-");
    let mut rules = Vec::new();
    for rule in usual_egress(ipv6) {
        rules.push(observed(turn.place.fresh_id("sgr-"), Direction::Egress, rule));
    }
    let body = Observed { name: name.to_owned(), description: description.to_owned(), vpc: vpc.clone(), rules };
    turn.add(&id, tags.clone(), Body::SecurityGroup(body))?;
    Ok(told(&id, name))
}

fn told(id: &CloudId, name: &str) -> Outputs {
    Outputs::from([(Output::Id, id.to_string()), (Output::Name, name.to_owned())])
}

/// The group that the call acts on.
fn group<'a>(turn: &'a Turn<'_>, id: &CloudId) -> Result<&'a Observed, WorldError> {
    match turn.place.object(id).map(|object| &object.body) {
        Some(Body::SecurityGroup(body)) => Ok(body),
        Some(_) | None => Err(WorldError::missing(Kind::SecurityGroup, id)),
    }
}

/// Changes a group that is there.
fn change(turn: &mut Turn<'_>, id: &CloudId, edit: impl FnOnce(&mut Observed)) {
    turn.place.change(id, |object| {
        if let Body::SecurityGroup(body) = &mut object.body {
            edit(body);
        }
    });
}

/// Adds what is missing, all of it or nothing.
fn authorize(turn: &mut Turn<'_>, direction: Direction, rules: &[NewRule], tags: &Tags) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = group(turn, &id)?;
    let mut there: BTreeSet<Rule<CloudId>> = body.of(direction).map(|rule| rule.rule.clone()).collect();
    let vpc = body.vpc.clone();
    let mut fresh = Vec::new();
    for rule in rules {
        let resolved = Rule { traffic: rule.rule.traffic, peer: resolve(turn, &vpc, &rule.rule.peer)? };
        if there.insert(resolved.clone()) {
            fresh.push((resolved, rule.description.clone()));
        }
    }
    let limit = turn.limits.rules_per_group;
    if there.len() > limit && !fresh.is_empty() {
        let why = format!("`{id}` would have {} {} rules, and {limit} are allowed", there.len(), direction.word());
        return Err(WorldError::new(Trouble::Quota, "RulesPerSecurityGroupLimitExceeded", why));
    }
    let mut added = Vec::new();
    for (rule, description) in fresh {
        let id = turn.place.fresh_id("sgr-");
        added.push(ObservedRule { id, direction, rule, description, tags: tags.clone() });
    }
    change(turn, &id, |body| body.rules.extend(added));
    Ok(Outputs::new())
}

/// The other side of a rule, by id.
fn resolve(turn: &Turn<'_>, vpc: &VpcId, peer: &Peer<Link>) -> Result<Peer<CloudId>, WorldError> {
    match peer {
        Peer::Cidr(network) => Ok(Peer::Cidr(*network)),
        Peer::Group(link) => {
            let id = turn.link(link)?;
            if turn.place.is_stranger(&id) || group(turn, &id)?.vpc == *vpc {
                return Ok(Peer::Group(id));
            }
            let why = format!("the security group `{id}` is not in `{vpc}`");
            Err(WorldError::new(Trouble::NotFound, "InvalidGroup.NotFound", why))
        }
        Peer::ForeignGroup { account, group } => {
            Ok(Peer::ForeignGroup { account: account.clone(), group: group.clone() })
        }
        Peer::PrefixList(list) => Ok(Peer::PrefixList(list.clone())),
        Peer::Output { address, output } => {
            let value = turn.value(address, *output)?;
            let host: IpAddr = value
                .parse()
                .map_err(|_| WorldError::invalid(format!("`{address}.{output}` is `{value}`, which is no address")))?;
            Ok(Peer::Cidr(Cidr::host(host)))
        }
    }
}

fn revoke(turn: &mut Turn<'_>, gone: impl Fn(&ObservedRule) -> bool) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    group(turn, &id)?;
    change(turn, &id, |body| body.rules.retain(|rule| !gone(rule)));
    Ok(Outputs::new())
}

fn describe(turn: &mut Turn<'_>, direction: Direction, rules: &[DescribedRule]) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let there: BTreeSet<&CloudId> = group(turn, &id)?.of(direction).map(|rule| &rule.id).collect();
    if let Some(missing) = rules.iter().find(|rule| !there.contains(&rule.id)) {
        let why = format!("the rule `{}` does not exist", missing.id);
        return Err(WorldError::new(Trouble::NotFound, "InvalidSecurityGroupRuleId.NotFound", why));
    }
    change(turn, &id, |body| {
        for rule in &mut body.rules {
            if let Some(said) = rules.iter().find(|said| said.id == rule.id) {
                rule.description.clone_from(&said.description);
            }
        }
    });
    Ok(Outputs::new())
}

/// Deletes a group that nothing holds: no interface, whatever the state of its instance, and no rule of another group
/// of the VPC (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html>).
fn delete(turn: &mut Turn<'_>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let Ok(body) = group(turn, &id) else { return Ok(Outputs::new()) };
    if body.name == "default" {
        let why = format!("`{id}` is the default group of `{}`, which goes with the VPC", body.vpc);
        return Err(WorldError::new(Trouble::Denied, "CannotDelete", why));
    }
    let holders: Vec<&str> = turn.place.holders(&id).map(|holder| holder.id.as_str()).collect();
    if !holders.is_empty() {
        let shown = holders.iter().take(5).map(|holder| format!("`{holder}`")).collect::<Vec<_>>().join(", ");
        let rest = holders.len().saturating_sub(5);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let why = format!("`{id}` is held by {shown}{more}");
        return Err(WorldError::new(Trouble::InUse, "DependencyViolation", why));
    }
    outlast_remnants(turn, &id)?;
    turn.place.remove(&id);
    Ok(Outputs::new())
}

/// Lets the time pass while only what deleted objects left behind holds the group: that goes by itself, and a client tries
/// again until it has gone.
fn outlast_remnants(turn: &mut Turn<'_>, id: &CloudId) -> Result<(), WorldError> {
    let Some(remnant) = turn.place.remnant(id).cloned() else { return Ok(()) };
    if turn.outlast(remnant.until) {
        return Ok(());
    }
    let why = format!("`{id}` is held by {}", remnant.what);
    Err(WorldError::new(Trouble::InUse, "DependencyViolation", why))
}
