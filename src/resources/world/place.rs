//! The network of a region that nobody used yet, and the ids, addresses and names that the world gives.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{RegionWorld, Slot, dispatch};
use crate::model::id::{SubnetId, VpcId, ZoneName};
use crate::model::net::Cidr;
use crate::model::{Region, Tags};
use crate::resources::registry::Object;
use crate::resources::snapshot::{Facts, Subnet, Vpc};

/// 198.18.0.0/15, which no real host has (RFC 2544).
const POOL: u32 = 0xc612_0000;
/// How many addresses that is.
const POOL_SIZE: u32 = 1 << 17;

/// Where public addresses come from: one after the other from 198.18.0.0/15, so that none comes back soon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PublicPool(u32);

impl PublicPool {
    /// The next address that nobody of the region has.
    pub fn give(&mut self, place: &RegionWorld) -> Ipv4Addr {
        loop {
            self.0 = self.0.wrapping_add(1) % POOL_SIZE;
            let address = Ipv4Addr::from(POOL | self.0);
            if !address.octets().ends_with(&[0]) && place.first(&Slot::PublicIp(address)).is_none() {
                return address;
            }
        }
    }

    /// Goes past every address that is in use already.
    pub(super) fn skip_past<'a>(&mut self, objects: impl Iterator<Item = &'a Object>) {
        let used = objects.filter_map(dispatch::public_ip).map(u32::from);
        let ours = used.filter(|bits| bits & !(POOL_SIZE - 1) == POOL).map(|bits| bits & (POOL_SIZE - 1));
        self.0 = self.0.max(ours.max().unwrap_or(0));
    }
}

/// An id with 17 hexadecimal digits that follow from where and the how-manieth it is.
pub(super) fn digits(region: &Region, prefix: &str, count: u64) -> String {
    let digest = Sha256::digest(format!("{region}/{prefix}/{count}"));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).take(9).collect();
    format!("{prefix}{}", hex.get(..17).unwrap_or_default())
}

/// The default VPC with a default subnet in each of three zones, as AWS makes them
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html>).
pub(super) fn usual_network(region: &Region) -> Facts {
    let vpc = VpcId::new(digits(region, VpcId::PREFIX, 0));
    let subnet = |count: u64, letter: char, cidr: &str| {
        Cidr::listed(cidr).map(|cidr| Subnet {
            id: SubnetId::new(digits(region, SubnetId::PREFIX, count)),
            vpc: vpc.clone(),
            zone: ZoneName::new(format!("{region}{letter}")),
            cidr,
            default: true,
            public_ip: true,
            tags: Tags::new(),
        })
    };
    let subnets = [subnet(0, 'a', "172.31.0.0/20"), subnet(1, 'b', "172.31.16.0/20"), subnet(2, 'c', "172.31.32.0/20")];
    Facts {
        subnets: subnets.into_iter().flatten().collect(),
        vpcs: vec![Vpc { id: vpc, default: true, tags: Tags::new(), ipv6: false }],
    }
}

/// Whether a subnet gives an address at all: AWS keeps the first four and the last
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html>).
#[must_use]
pub(super) fn is_usable(subnet: &Subnet, address: Ipv4Addr) -> bool {
    let Some(net) = network(subnet) else { return false };
    let offset = u32::from(address).checked_sub(u32::from(net.network()));
    net.contains(&address) && offset.is_some_and(|offset| offset >= 4) && address != net.broadcast()
}

/// A free address of a subnet, found from a starting point that moves on, so that the search is short.
pub(super) fn free_address(place: &RegionWorld, subnet: &Subnet, start: u64) -> Option<Ipv4Addr> {
    let net = network(subnet)?;
    let size = 1_u64.checked_shl(u32::from(net.max_prefix_len() - net.prefix_len()))?;
    let usable = size.checked_sub(5).filter(|usable| *usable > 0)?;
    (0..usable)
        .filter_map(|step| u32::try_from(4 + start.wrapping_add(step) % usable).ok())
        .filter_map(|offset| subnet.cidr.nth_v4(offset))
        .find(|address| {
            let slot = Slot::PrivateIp { vpc: subnet.vpc.clone(), address: *address };
            place.first(&slot).is_none()
        })
}

fn network(subnet: &Subnet) -> Option<Ipv4Net> {
    subnet.cidr.to_string().parse().ok()
}

/// The private name of an address (<https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html>).
#[must_use]
pub(super) fn private_dns(region: &Region, address: Ipv4Addr) -> String {
    let dashes = address.to_string().replace('.', "-");
    match region.as_str() {
        "us-east-1" => format!("ip-{dashes}.ec2.internal"),
        region => format!("ip-{dashes}.{region}.compute.internal"),
    }
}

/// The public name of an address.
#[must_use]
pub(super) fn public_dns(region: &Region, address: Ipv4Addr) -> String {
    let dashes = address.to_string().replace('.', "-");
    match region.as_str() {
        "us-east-1" => format!("ec2-{dashes}.compute-1.amazonaws.com"),
        region => format!("ec2-{dashes}.{region}.compute.amazonaws.com"),
    }
}
