//! `RunInstances` for exactly one (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>).

use std::net::Ipv4Addr;

use super::super::Observed;
use super::super::action::Run;
use super::super::state::{RootDisk, RootVolume, State};
use super::super::user_data::{LIMIT, UserData};
use super::{instance, life, modify};
use crate::model::duration::Gibibytes;
use crate::model::{AccountId, CloudId, Kind, Link};
use crate::resources::registry::Body;
use crate::resources::snapshot::Subnet;
use crate::resources::world::{Bytes, Outputs, RegionWorld, Slot, Trouble, Turn, WorldError};

/// Launches an instance, or finds the one that the same call has launched.
pub(super) fn run(turn: &mut Turn<'_>, run: &Run) -> Result<Outputs, WorldError> {
    let subnet = turn.place.subnet(&run.subnet).cloned().ok_or_else(|| {
        let why = format!("the subnet `{}` does not exist", run.subnet);
        WorldError::new(Trouble::NotFound, "InvalidSubnetID.NotFound", why)
    })?;
    check(turn, run, &subnet)?;
    let groups = groups(turn, &subnet, &run.security_groups)?;
    let bytes = run.user_data.as_ref().map(|data| fill(turn, data)).transpose()?;
    let token = match token(turn.place, run, bytes.as_deref(), &groups) {
        Token::Fresh(token) => token,
        Token::Used(id) => return Ok(life::born(&id, instance(turn.place, &id)?)),
    };
    let private_ip = private_ip(turn.place, &subnet, run.private_ip)?;
    let id = turn.place.fresh_id("i-");
    let body = launched(turn, run, &subnet, groups, private_ip);
    let outputs = life::born(&id, &body);
    turn.add(&id, run.settled_tags(bytes.as_deref()), Body::Instance(body))?;
    turn.place.remember(token, id.clone());
    let unlisted = turn.place.unlisted_mut(&id);
    unlisted.user_data = bytes.map(Bytes);
    unlisted.termination_protection = run.termination_protection;
    unlisted.shutdown = run.shutdown;
    unlisted.public_ip = Some(run.public_ip.unwrap_or(subnet.public_ip));
    life::enter(turn.place, &id, State::Pending, *turn.clock);
    Ok(outputs)
}

/// Refuses what does not fit the subnet or the region.
fn check(turn: &Turn<'_>, run: &Run, subnet: &Subnet) -> Result<(), WorldError> {
    if run.zone != subnet.zone {
        return Err(WorldError::invalid(format!(
            "the subnet `{}` is in {}, not in {}",
            subnet.id, subnet.zone, run.zone
        )));
    }
    if turn.place.image(&run.image).is_none() {
        let why = format!("the image `{}` does not exist", run.image);
        return Err(WorldError::new(Trouble::NotFound, "InvalidAMIID.NotFound", why));
    }
    modify::check_type(&run.instance_type)?;
    if let Some(key) = &run.key {
        let slot = Slot::Name { kind: Kind::KeyPair, vpc: None, name: key.name.clone() };
        let foreign = key.of.is_none() && turn.place.is_partial();
        if turn.place.first(&slot).is_none() && !foreign {
            let why = format!("the key pair `{}` does not exist", key.name);
            return Err(WorldError::new(Trouble::NotFound, "InvalidKeyPair.NotFound", why));
        }
    }
    Ok(())
}

/// The groups of a new interface, which must be of the subnet's VPC; none means the VPC's `default` group.
pub(super) fn groups(turn: &Turn<'_>, subnet: &Subnet, links: &[Link]) -> Result<Vec<CloudId>, WorldError> {
    if links.is_empty() {
        let name = "default".to_owned();
        let slot = Slot::Name { kind: Kind::SecurityGroup, vpc: Some(subnet.vpc.clone()), name };
        return Ok(turn.place.first(&slot).cloned().into_iter().collect());
    }
    let limit = turn.limits.groups_per_interface;
    if links.len() > limit {
        let why = format!("an interface has at most {limit} groups, not {}", links.len());
        return Err(WorldError::new(Trouble::Quota, "SecurityGroupsPerInterfaceLimitExceeded", why));
    }
    let mut groups = Vec::new();
    for link in links {
        let id = turn.link(link)?;
        match turn.place.object(&id).map(|object| &object.body) {
            Some(Body::SecurityGroup(body)) if body.vpc == subnet.vpc => groups.push(id),
            None if turn.place.is_stranger(&id) => groups.push(id),
            Some(_) | None => {
                let why = format!("the security group `{id}` does not exist in `{}`", subnet.vpc);
                return Err(WorldError::new(Trouble::NotFound, "InvalidGroup.NotFound", why));
            }
        }
    }
    // Groups have no order: every provider lists them sorted.
    groups.sort();
    groups.dedup();
    Ok(groups)
}

/// The bytes that a user data comes to.
pub(super) fn fill(turn: &Turn<'_>, data: &UserData) -> Result<Vec<u8>, WorldError> {
    let mut refused = None;
    let filled = data.fill(|address, output| match turn.value(address, output) {
        Ok(value) => Some(value),
        Err(why) => {
            refused.get_or_insert(why);
            None
        }
    });
    match (refused, filled.bytes()) {
        (Some(why), _) => Err(why),
        (None, None) => Err(WorldError::invalid("the user data has a hole that nothing fills")),
        (None, Some(bytes)) if bytes.len() > LIMIT => {
            Err(WorldError::invalid(format!("the user data has {} bytes, and {LIMIT} are allowed", bytes.len())))
        }
        (None, Some(bytes)) => Ok(bytes),
    }
}

/// What a client token leads to.
enum Token {
    /// A new instance.
    Fresh(String),
    /// The one that the same call has launched.
    Used(CloudId),
}

/// The first token of the call that does not belong to a terminated instance: upon `IdempotentInstanceTerminated` a client
/// tries again with the next attempt
/// (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>).
fn token(place: &RegionWorld, run: &Run, bytes: Option<&[u8]>, groups: &[CloudId]) -> Token {
    let mut attempt = 0;
    loop {
        let token = run.token(bytes, groups, attempt);
        let Some(id) = place.token(&token) else { return Token::Fresh(token) };
        match instance(place, id) {
            Ok(body) if body.state != State::ShuttingDown => return Token::Used(id.clone()),
            Ok(_) | Err(_) => attempt += 1,
        }
    }
}

/// The private address: the one asked for, or a free one.
fn private_ip(place: &RegionWorld, subnet: &Subnet, asked: Option<Ipv4Addr>) -> Result<Ipv4Addr, WorldError> {
    let Some(address) = asked else {
        return place.free_address(subnet).ok_or_else(|| {
            let why = format!("the subnet `{}` has no free address", subnet.id);
            WorldError::new(Trouble::Quota, "InsufficientFreeAddressesInSubnet", why)
        });
    };
    if !RegionWorld::is_usable(subnet, address) {
        return Err(WorldError::invalid(format!(
            "{address} is no address that `{}` ({}) gives",
            subnet.id, subnet.cidr
        )));
    }
    if let Some(holder) = place.first(&Slot::PrivateIp { vpc: subnet.vpc.clone(), address }) {
        let why = format!("{address} belongs to `{holder}`");
        return Err(WorldError::new(Trouble::InUse, "InvalidIPAddress.InUse", why));
    }
    Ok(address)
}

/// A new instance as it will be listed.
fn launched(
    turn: &mut Turn<'_>,
    run: &Run,
    subnet: &Subnet,
    security_groups: Vec<CloudId>,
    private_ip: Ipv4Addr,
) -> Observed {
    let asked = run.root.as_ref().map(|root| root.volume.clone()).unwrap_or_default();
    let root = RootDisk { id: turn.place.fresh_id("vol-"), volume: volume(asked) };
    Observed {
        state: State::Pending,
        image: run.image.clone(),
        instance_type: run.instance_type.clone(),
        zone: subnet.zone.clone(),
        subnet: subnet.id.clone(),
        vpc: subnet.vpc.clone(),
        security_groups,
        key_name: run.key.as_ref().map(|key| key.name.clone()),
        iam_profile: run.iam_profile.as_deref().map(|profile| profile_arn(turn.account, profile)),
        private_ip,
        private_dns: turn.place.private_dns(private_ip),
        public_ip: None,
        public_dns: None,
        public_ip_is_elastic: false,
        root: Some(root),
        further_volumes: Vec::new(),
        metadata: run.metadata,
        source_dest_check: true,
        detailed_monitoring: run.detailed_monitoring,
        tenancy: Some(run.tenancy.clone().unwrap_or_else(|| "default".to_owned())),
        placement_group: run.placement_group.clone(),
    }
}

/// A boot volume with what an image of today says where the call says nothing: 8 GiB of `gp3`, unencrypted, going with the
/// instance.
fn volume(asked: RootVolume) -> RootVolume {
    let RootVolume { size, volume_type, iops, throughput, encrypted, kms_key, delete_on_termination } = asked;
    let size = size.unwrap_or(Gibibytes(8));
    let volume_type = volume_type.unwrap_or_else(|| "gp3".to_owned());
    let (usual_iops, usual_throughput) = modify::usual_performance(&volume_type, size);
    RootVolume {
        iops: iops.or(usual_iops),
        throughput: throughput.or(usual_throughput),
        size: Some(size),
        volume_type: Some(volume_type),
        encrypted: Some(encrypted.unwrap_or(false)),
        kms_key,
        delete_on_termination: Some(delete_on_termination.unwrap_or(true)),
    }
}

/// The ARN of an instance profile that may be named by its name.
pub(super) fn profile_arn(account: &AccountId, profile: &str) -> String {
    if profile.starts_with("arn:") {
        profile.to_owned()
    } else {
        format!("arn:aws:iam::{account}:instance-profile/{profile}")
    }
}
