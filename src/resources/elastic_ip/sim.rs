//! Elastic IP addresses in the simulated world.

use super::state::Association;
use super::{Action, Observed};
use crate::model::{CloudId, Kind, Link, Output, Tags};
use crate::resources::registry::Body;
use crate::resources::world::{Outputs, RegionWorld, Slot, Trouble, Turn, WorldError};

/// The API operation that an action is.
#[must_use]
pub const fn api(action: &Action) -> &'static str {
    match action {
        Action::Allocate { .. } => "ec2:AllocateAddress",
        Action::Associate { .. } => "ec2:AssociateAddress",
        Action::Disassociate { .. } => "ec2:DisassociateAddress",
        Action::Tag(_) => "ec2:CreateTags",
        Action::Release => "ec2:ReleaseAddress",
    }
}

/// What an Elastic IP has that lookups go by: the address, and the instance that it answers for.
#[must_use]
pub fn slots(body: &Observed) -> Vec<Slot> {
    let mut slots = vec![Slot::PublicIp(body.public_ip)];
    slots.extend(seat(body).cloned().map(Slot::Seat));
    slots
}

fn seat(body: &Observed) -> Option<&CloudId> {
    body.association.as_ref()?.instance.as_ref()
}

/// Loosens an address from whatever it answers for. Whoever had it must be told by the caller.
pub fn loosen(place: &mut RegionWorld, id: &CloudId) {
    place.change(id, |object| {
        if let Body::ElasticIp(body) = &mut object.body {
            body.association = None;
        }
    });
}

/// Carries out an action.
///
/// # Errors
/// What AWS would answer instead of doing it.
pub fn perform(turn: &mut Turn<'_>, action: &Action) -> Result<Outputs, WorldError> {
    match action {
        Action::Allocate { pool, border_group, tags } => allocate(turn, pool.as_deref(), border_group.as_deref(), tags),
        Action::Associate { to, from } => associate(turn, to, from.as_ref()),
        Action::Disassociate { association } => disassociate(turn, association),
        Action::Tag(edit) => turn.retag(edit),
        Action::Release => release(turn),
    }
}

/// The Elastic IP of an id.
fn address<'a>(turn: &'a Turn<'_>, id: &CloudId) -> Result<&'a Observed, WorldError> {
    match turn.place.object(id).map(|object| &object.body) {
        Some(Body::ElasticIp(body)) => Ok(body),
        Some(_) | None => Err(WorldError::missing(Kind::ElasticIp, id)),
    }
}

fn allocate(
    turn: &mut Turn<'_>,
    pool: Option<&str>,
    border_group: Option<&str>,
    tags: &Tags,
) -> Result<Outputs, WorldError> {
    if let Some(there) = turn.made_before(Kind::ElasticIp, tags) {
        let public_ip = address(turn, &there)?.public_ip;
        return Ok(told(&there, public_ip));
    }
    let limit = turn.limits.addresses;
    if turn.place.count(Kind::ElasticIp) >= limit {
        let why = format!("the region has {limit} addresses, and no more are allowed");
        return Err(WorldError::new(Trouble::Quota, "AddressLimitExceeded", why));
    }
    let id = turn.place.fresh_id("eipalloc-");
    let public_ip = turn.pool.give(turn.place);
    let body = Observed {
        public_ip,
        association: None,
        public_ip_pool: Some(pool.unwrap_or("amazon").to_owned()),
        border_group: Some(border_group.unwrap_or(turn.place.name().as_str()).to_owned()),
    };
    turn.add(&id, tags.clone(), Body::ElasticIp(body))?;
    Ok(told(&id, public_ip))
}

fn told(id: &CloudId, public_ip: std::net::Ipv4Addr) -> Outputs {
    Outputs::from([(Output::Id, id.to_string()), (Output::PublicIp, public_ip.to_string())])
}

/// Reassociation only from the association that is named; an address that the instance has already is displaced without
/// a word (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateAddress.html>).
fn associate(turn: &mut Turn<'_>, to: &Link, from: Option<&CloudId>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let instance = turn.link(to)?;
    let body = address(turn, &id)?;
    let public_ip = body.public_ip;
    let now = body.association.clone();
    let outputs = Outputs::from([(Output::PublicIp, public_ip.to_string())]);
    if now.as_ref().is_some_and(|now| now.instance.as_ref() == Some(&instance)) {
        return Ok(outputs);
    }
    turn.takes_address(&instance)?;
    match &now {
        Some(now) if from != Some(&now.id) => {
            let holder = now.instance.as_ref().map_or("a service's interface", CloudId::as_str);
            let why = format!("`{id}` is associated with `{holder}` by `{}`", now.id);
            return Err(WorldError::new(Trouble::InUse, "Resource.AlreadyAssociated", why));
        }
        Some(_) | None => {}
    }
    leave(turn, &id);
    turn.unseat(&instance);
    let association = Association { id: turn.place.fresh_id("eipassoc-"), instance: Some(instance.clone()) };
    turn.place.change(&id, |object| {
        if let Body::ElasticIp(body) = &mut object.body {
            body.association = Some(association);
        }
    });
    turn.wear(&instance, Some(public_ip));
    Ok(outputs)
}

/// Loosens an address, and takes it from the instance that has it.
fn leave(turn: &mut Turn<'_>, id: &CloudId) {
    let before = address(turn, id).ok().and_then(|body| seat(body).cloned());
    loosen(turn.place, id);
    if let Some(before) = before {
        turn.wear(&before, None);
    }
}

fn disassociate(turn: &mut Turn<'_>, association: &CloudId) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let now = address(turn, &id).ok().and_then(|body| body.association.as_ref());
    if now.is_some_and(|now| now.id == *association) {
        leave(turn, &id);
    }
    Ok(Outputs::new())
}

/// An address that is associated stays (`InvalidIPAddress.InUse`, as outside default VPCs): the plan disassociates first
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReleaseAddress.html>).
fn release(turn: &mut Turn<'_>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let Ok(body) = address(turn, &id) else { return Ok(Outputs::new()) };
    if let Some(association) = &body.association {
        let why = format!("`{id}` is still associated by `{}`", association.id);
        return Err(WorldError::new(Trouble::InUse, "InvalidIPAddress.InUse", why));
    }
    turn.place.remove(&id);
    Ok(Outputs::new())
}
