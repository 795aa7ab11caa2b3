//! `CreateLoadBalancer`
//! (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_CreateLoadBalancer.html>).

use std::collections::{BTreeMap, BTreeSet};

use super::super::action::Create;
use super::super::state::{Attributes, HealthCheck, Listener, Observed, Scheme};
use super::{balancer, check_tags, invalid, listen, name_slot, network, told};
use crate::model::duration::Seconds;
use crate::model::{Kind, Region};
use crate::resources::registry::Body;
use crate::resources::world::{Outputs, Trouble, Turn, WorldError};

/// Makes a balancer, or finds the one that the same call has made.
pub(super) fn create(turn: &mut Turn<'_>, create: &Create) -> Result<Outputs, WorldError> {
    let Create { name, scheme, subnets, security_groups, listeners, tags } = create;
    check_name(name)?;
    if listeners.is_empty() {
        return Err(invalid(format!("`{name}` must have a listener at least")));
    }
    let listeners = listeners
        .iter()
        .map(|(port, listener)| Ok((*port, listen::fresh(*port, listener)?)))
        .collect::<Result<BTreeMap<u16, Listener>, WorldError>>()?;
    let vpc = network::subnets(turn.place, subnets.iter())?;
    let security_groups = network::groups(turn, &vpc, security_groups)?;
    check_tags(tags)?;
    if let Some(there) = turn.place.first(&name_slot(name)).cloned() {
        if turn.made_before(Kind::LoadBalancer, tags).as_ref() == Some(&there) {
            return Ok(told(&there, balancer(turn.place, &there)?));
        }
        let why = format!("the load balancer `{name}` already exists");
        return Err(WorldError::new(Trouble::AlreadyExists, "DuplicateLoadBalancerName", why));
    }
    let limit = turn.limits.balancers;
    if turn.place.count(Kind::LoadBalancer) >= limit {
        let why = format!("the region has {limit} load balancers, and no more are allowed");
        return Err(WorldError::new(Trouble::Quota, "TooManyLoadBalancers", why));
    }
    let waits = listen::certificates_seen(turn.place, listeners.values());
    turn.outlast_all(waits)?;
    let id = super::super::id(turn.place.name(), name);
    let body = Observed {
        name: name.clone(),
        dns_name: dns_name(turn, name, *scheme),
        zone_id: Some(zone_id(turn.place.name())),
        scheme: *scheme,
        vpc,
        subnets: subnets.clone(),
        security_groups,
        health_check: usual_check(&listeners),
        listeners,
        instances: BTreeSet::new(),
        attributes: usual_attributes(),
        proxy_protocol: BTreeSet::new(),
        health: BTreeMap::new(),
    };
    let outputs = told(&id, &body);
    turn.add(&id, tags.clone(), Body::LoadBalancer(body))?;
    Ok(outputs)
}

fn check_name(name: &str) -> Result<(), WorldError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let edge = name.starts_with('-') || name.ends_with('-');
    if plain && !edge && (1..=32).contains(&name.len()) {
        return Ok(());
    }
    Err(invalid(format!(
        "`{name}` is not a load balancer's name: 1 to 32 letters, digits and hyphens, no hyphen at either end"
    )))
}

/// What is checked before `ConfigureHealthCheck` says otherwise: whether the first instance port takes connections.
fn usual_check(listeners: &BTreeMap<u16, Listener>) -> HealthCheck {
    let port = listeners.values().next().map_or(80, |listener| listener.instance_port);
    HealthCheck {
        target: format!("TCP:{port}"),
        interval: Seconds(30),
        timeout: Seconds(5),
        unhealthy_after: 2,
        healthy_after: 10,
    }
}

/// The attributes of one that the API has made
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/enable-disable-crosszone-lb.html>).
const fn usual_attributes() -> Attributes {
    Attributes { cross_zone: false, idle_timeout: Seconds(60), connection_draining: None, access_log: None }
}

/// The name that clients use, with a number that no other has
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-internet-facing-load-balancers.html>).
fn dns_name(turn: &mut Turn<'_>, name: &str, scheme: Scheme) -> String {
    let prefix = match scheme {
        Scheme::InternetFacing => "",
        Scheme::Internal => "internal-",
    };
    let number = hash(turn.place.fresh_id("elb-").as_str()) % 10_000_000_000;
    format!("{prefix}{name}-{number:010}.{}.elb.amazonaws.com", turn.place.name())
}

/// The Route 53 zone of the balancers of a region: one each, that looks like AWS's.
fn zone_id(region: &Region) -> String {
    let letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut rest = hash(region.as_str());
    let mut zone = "Z".to_owned();
    for _ in 0..13 {
        let nth = usize::try_from(rest % 36).unwrap_or_default();
        zone.extend(letters.chars().nth(nth));
        rest = hash(&format!("{rest}"));
    }
    zone
}

/// A number that follows from a text alone.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
