//! The law that no address is given up while a host of the same stack still lets it in: it is a stranger's soon after.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::{RegionWorld, World, dispatch};
use crate::model::{CloudId, StackName};
use crate::resources::host_firewall::sim::Host;
use crate::resources::registry::Call;

/// Which stack has which public addresses as a call begins.
#[derive(Debug)]
pub(super) struct Watch(BTreeSet<(String, Ipv4Addr)>);

impl Watch {
    pub(super) fn begin(place: &RegionWorld, hosts: &BTreeMap<CloudId, Host>) -> Self {
        // Without a host there is no door that could stay open.
        Self(if hosts.is_empty() { BTreeSet::new() } else { held(place) })
    }

    /// Every address that the call gave up too early.
    pub(super) fn end(
        self,
        place: &RegionWorld,
        hosts: &BTreeMap<CloudId, Host>,
        now: u64,
        call: &Call,
    ) -> Vec<String> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let left: BTreeSet<Ipv4Addr> = place.objects().filter_map(dispatch::public_ip).collect();
        let mut breaches = Vec::new();
        for (stack, address) in self.0.iter().filter(|(_, address)| !left.contains(address)) {
            let open = hosts.iter().filter(|(_, host)| lets_in(host, stack, *address));
            breaches.extend(open.map(|(id, _)| {
                let api = World::api(&call.action);
                format!("{api} for `{}` gave {address} up at second {now} while host `{id}` still lets it in", call.at)
            }));
        }
        breaches
    }
}

/// Who has which public address.
fn held(place: &RegionWorld) -> BTreeSet<(String, Ipv4Addr)> {
    let owned = place.objects().filter_map(|object| Some((object.owner()?.stack, dispatch::public_ip(object)?)));
    owned.collect()
}

/// Whether a stack's rules name an address by itself; networks are the spec's own words.
fn lets_in(host: &Host, stack: &str, address: Ipv4Addr) -> bool {
    let Some(stand) = StackName::new(stack).ok().and_then(|stack| host.stacks.get(&stack)) else { return false };
    let net = ipnet::IpNet::from(IpAddr::from(address));
    let sets = stand.rules.rules.values().flat_map(|rule| rule.sources.values());
    sets.into_iter().any(|held| held.addresses.iter().any(|one| *one == net))
}
