//! Load balancers in the simulated world: how each call finds them, and what it leaves.

use super::{Action, Observed};
use crate::model::{CloudId, Kind, Output, TagEdit, Tags};
use crate::resources::registry::Body;
use crate::resources::world::{Outputs, RegionWorld, Slot, Trouble, Turn, WorldError};

mod end;
mod health;
mod listen;
mod make;
mod members;
mod network;
mod settings;

pub use health::{ailing, health, outlook};

/// The most tags of a balancer (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/add-remove-tags.html>).
const MOST_TAGS: usize = 50;

/// The API operation that an action is.
#[must_use]
pub const fn api(action: &Action) -> &'static str {
    match action {
        Action::Create(_) => "elasticloadbalancing:CreateLoadBalancer",
        Action::AddListeners(_) => "elasticloadbalancing:CreateLoadBalancerListeners",
        Action::RemoveListeners(_) => "elasticloadbalancing:DeleteLoadBalancerListeners",
        Action::SetCertificate { .. } => "elasticloadbalancing:SetLoadBalancerListenerSSLCertificate",
        Action::SetPolicies { .. } => "elasticloadbalancing:SetLoadBalancerPoliciesOfListener",
        Action::SetProxyProtocol { .. } => "elasticloadbalancing:SetLoadBalancerPoliciesForBackendServer",
        Action::SetHealthCheck(_) => "elasticloadbalancing:ConfigureHealthCheck",
        Action::SetAttributes(_) => "elasticloadbalancing:ModifyLoadBalancerAttributes",
        Action::AttachSubnets(_) => "elasticloadbalancing:AttachLoadBalancerToSubnets",
        Action::DetachSubnets { .. } => "elasticloadbalancing:DetachLoadBalancerFromSubnets",
        Action::SetGroups(_) => "elasticloadbalancing:ApplySecurityGroupsToLoadBalancer",
        Action::Register(_) => "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
        Action::AwaitInService(_) | Action::AwaitDrained(_) => "elasticloadbalancing:DescribeInstanceHealth",
        Action::Deregister { .. } => "elasticloadbalancing:DeregisterInstancesFromLoadBalancer",
        Action::Tag(_) => "elasticloadbalancing:AddTags",
        Action::Delete => "elasticloadbalancing:DeleteLoadBalancer",
        Action::AwaitInterfacesGone => "ec2:DescribeNetworkInterfaces",
    }
}

/// What a balancer has that lookups go by: its name.
#[must_use]
pub fn slots(body: &Observed) -> Vec<Slot> {
    vec![name_slot(&body.name)]
}

fn name_slot(name: &str) -> Slot {
    Slot::Name { kind: Kind::LoadBalancer, vpc: None, name: name.to_owned() }
}

/// What a balancer keeps from going: its groups. Instances end also while they are registered.
#[must_use]
pub fn holds(body: &Observed) -> Vec<CloudId> {
    body.security_groups.iter().cloned().collect()
}

/// How many members an action leaves in service, for those that may take some out.
#[must_use]
pub const fn keeps(action: &Action) -> Option<u32> {
    match action {
        Action::Deregister { instances: _, keep } | Action::DetachSubnets { subnets: _, keep } => Some(*keep),
        Action::Create(_)
        | Action::AddListeners(_)
        | Action::RemoveListeners(_)
        | Action::SetCertificate { .. }
        | Action::SetPolicies { .. }
        | Action::SetProxyProtocol { .. }
        | Action::SetHealthCheck(_)
        | Action::SetAttributes(_)
        | Action::AttachSubnets(_)
        | Action::SetGroups(_)
        | Action::Register(_)
        | Action::AwaitInService(_)
        | Action::AwaitDrained(_)
        | Action::Tag(_)
        | Action::Delete
        | Action::AwaitInterfacesGone => None,
    }
}

/// Forgets what a hand-written balancer says of health: that follows from everything else.
pub fn settle(place: &mut RegionWorld, id: &CloudId) {
    if balancer(place, id).is_ok_and(|body| !body.health.is_empty()) {
        change(place, id, |body| body.health.clear());
    }
}

/// What is wrong with a balancer, in words.
#[must_use]
pub fn problems(place: &RegionWorld, id: &CloudId, body: &Observed) -> Vec<String> {
    let mut problems = Vec::new();
    let own = super::id(place.name(), &body.name);
    if *id != own {
        problems.push(format!("`{id}` is called `{}`, so its id is `{own}`", body.name));
    }
    match network::subnets(place, body.subnets.iter()) {
        Err(why) => problems.push(format!("`{id}`: {}", why.message)),
        Ok(vpc) if vpc != body.vpc => problems.push(format!("`{id}` is in another VPC than its subnets")),
        Ok(_) => {}
    }
    if body.security_groups.is_empty() {
        problems.push(format!("`{id}` has no group"));
    }
    problems
}

/// Carries out an action.
///
/// # Errors
/// What AWS would answer instead of doing it.
pub fn perform(turn: &mut Turn<'_>, action: &Action) -> Result<Outputs, WorldError> {
    match action {
        Action::Create(create) => make::create(turn, create),
        Action::AddListeners(listeners) => listen::add(turn, listeners),
        Action::RemoveListeners(ports) => listen::remove(turn, ports),
        Action::SetCertificate { port, certificate } => listen::set_certificate(turn, *port, certificate),
        Action::SetPolicies { port, ssl_policy, stickiness } => {
            listen::set_policies(turn, *port, ssl_policy.as_deref(), stickiness.as_ref())
        }
        Action::SetProxyProtocol { port, on } => listen::set_proxy_protocol(turn, *port, *on),
        Action::SetHealthCheck(check) => settings::set_health_check(turn, check),
        Action::SetAttributes(attributes) => settings::set_attributes(turn, attributes),
        Action::AttachSubnets(subnets) => network::attach(turn, subnets),
        Action::DetachSubnets { subnets, keep } => network::detach(turn, subnets, *keep),
        Action::SetGroups(groups) => network::set_groups(turn, groups),
        Action::Register(links) => members::register(turn, links),
        Action::AwaitInService(links) => members::await_in_service(turn, links),
        Action::Deregister { instances, keep } => members::deregister(turn, instances, *keep),
        Action::AwaitDrained(ids) => members::await_drained(turn, ids),
        Action::Tag(edit) => retag(turn, edit),
        Action::Delete => end::delete(turn),
        Action::AwaitInterfacesGone => end::await_interfaces_gone(turn),
    }
}

/// The balancer of an id.
fn balancer<'a>(place: &'a RegionWorld, id: &CloudId) -> Result<&'a Observed, WorldError> {
    match place.object(id).map(|object| &object.body) {
        Some(Body::LoadBalancer(body)) => Ok(body),
        Some(_) | None => Err(WorldError::missing(Kind::LoadBalancer, id)),
    }
}

/// Changes a balancer that is there.
fn change(place: &mut RegionWorld, id: &CloudId, edit: impl FnOnce(&mut Observed)) {
    place.change(id, |object| {
        if let Body::LoadBalancer(body) = &mut object.body {
            edit(body);
        }
    });
}

/// The refusal of a parameter that has no sense.
fn invalid(message: impl Into<String>) -> WorldError {
    WorldError::new(Trouble::Invalid, "ValidationError", message)
}

/// The refusal of what does not go together.
fn clash(message: impl Into<String>) -> WorldError {
    WorldError::new(Trouble::Invalid, "InvalidConfigurationRequest", message)
}

/// What a balancer tells.
fn told(id: &CloudId, body: &Observed) -> Outputs {
    let mut outputs = Outputs::from([
        (Output::Id, id.to_string()),
        (Output::Name, body.name.clone()),
        (Output::DnsName, body.dns_name.clone()),
    ]);
    outputs.extend(body.zone_id.clone().map(|zone| (Output::ZoneId, zone)));
    outputs
}

fn retag(turn: &mut Turn<'_>, edit: &TagEdit) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    balancer(turn.place, &id)?;
    let mut tags = turn.place.object(&id).map(|object| object.tags.clone()).unwrap_or_default();
    edit.apply(&mut tags);
    check_tags(&tags)?;
    turn.retag(edit)
}

/// Refuses tags that EC2 takes and ELB does not
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_Tag.html>).
fn check_tags(tags: &Tags) -> Result<(), WorldError> {
    if tags.len() > MOST_TAGS {
        let why = format!("a load balancer has at most {MOST_TAGS} tags");
        return Err(WorldError::new(Trouble::Quota, "TooManyTags", why));
    }
    let allowed = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    match tags.iter().find(|(key, value)| !key.chars().chain(value.chars()).all(allowed)) {
        None => Ok(()),
        Some((key, _)) => Err(invalid(format!(
            "the tag `{key}` has characters other than letters, digits, spaces and `_ . : / = + - @`"
        ))),
    }
}
