//! Every instance of some regions, whoever owns it: what queries are answered from. Regions are asked at once, and one that
//! fails, or takes too long, fails alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use aws_sdk_ec2::types::{Instance, InstanceNetworkInterface, InstanceStateName};
use tokio::time::{Instant, timeout_at};

use super::Aws;
use super::client::Gate;
use super::listing::{self, PAGE};
use super::retry::Ask;
use crate::model::query::Regions;
use crate::model::{CloudId, Region};
use crate::port::{Class, ProviderError};
use crate::resources::snapshot::{Fleet, Machine};

/// How long the listing of one region may take with all its pages and attempts. A region that is out of order keeps the
/// others waiting no longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Lists the instances of every region that is asked for; `enabled` are those of the account.
pub(super) async fn fleet(aws: &Aws, asked: &BTreeSet<Regions>, enabled: &BTreeSet<Region>) -> BTreeMap<Region, Fleet> {
    let regions = asked.iter().flat_map(|asked| match asked {
        Regions::These(these) => these.clone(),
        Regions::AllBut(_) => enabled.iter().filter(|region| asked.contains(region)).cloned().collect(),
    });
    let regions: BTreeSet<Region> = regions.filter(|region| !region.is_hosts()).collect();
    let looks = regions.into_iter().map(|region| async move {
        let fleet = match machines(&aws.gate(&region), Instant::now() + PATIENCE).await {
            Ok(machines) => Fleet::Seen(machines),
            Err(error) => Fleet::Unseen(error.to_string()),
        };
        (region, fleet)
    });
    listing::together(looks.collect()).await.into_iter().collect()
}

/// Every instance of a region that is not terminated, by id. Half a listing is none: a page or an instance that cannot be
/// read fails them all.
async fn machines(gate: &Gate, deadline: Instant) -> Result<Vec<Machine>, ProviderError> {
    let doing = gate.doing("DescribeInstances");
    let reservations = listing::pages(&doing, |token| async move {
        let send = || gate.ec2().describe_instances().max_results(PAGE).set_next_token(token.clone()).send();
        let page = gate.send(&Ask::until("DescribeInstances", deadline), send).await?;
        Ok((page.reservations, page.next_token))
    });
    let late = |_| {
        let detail = format!("the region was not listed to the end within {} s", PATIENCE.as_secs());
        ProviderError::new(Class::TimedOut, doing.clone(), detail)
    };
    let reservations = timeout_at(deadline, reservations).await.map_err(late)??;
    let listed = reservations.into_iter().flat_map(|reservation| reservation.instances.unwrap_or_default());
    let machines = listed.map(|instance| machine(&doing, &instance)).collect::<Result<Vec<_>, _>>()?;
    let by_id: BTreeMap<CloudId, Machine> =
        machines.into_iter().flatten().map(|machine| (machine.id.clone(), machine)).collect();
    Ok(by_id.into_values().collect())
}

/// An instance as listed; none for one that is terminated: AWS lists the dead for an hour
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html>).
fn machine(doing: &str, listed: &Instance) -> Result<Option<Machine>, ProviderError> {
    let id = listed.instance_id().ok_or_else(|| listing::incomplete(doing, "id of an instance"))?;
    let lacks = |what: &str| listing::incomplete(doing, &format!("{what} of `{id}` that can be read"));
    let state = listed.state().and_then(|state| state.name()).ok_or_else(|| lacks("state"))?;
    if *state == InstanceStateName::Terminated {
        return Ok(None);
    }
    let address = |text: Option<&str>, what: &str| -> Result<Option<Ipv4Addr>, ProviderError> {
        text.filter(|text| !text.is_empty()).map(|text| text.parse().map_err(|_| lacks(what))).transpose()
    };
    let six = listed.network_interfaces().iter().flat_map(InstanceNetworkInterface::ipv6_addresses);
    let mut ipv6 = six
        .filter_map(|entry| entry.ipv6_address())
        .map(|text| text.parse().map_err(|_| lacks("IPv6 address")))
        .collect::<Result<Vec<_>, _>>()?;
    ipv6.sort_unstable();
    ipv6.dedup();
    Ok(Some(Machine {
        id: CloudId::new(id),
        state: state.as_str().to_owned(),
        tags: listing::from_wire(listed.tags.as_deref()),
        public: address(listed.public_ip_address(), "public address")?,
        private: address(listed.private_ip_address(), "private address")?,
        ipv6,
    }))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{InstanceIpv6Address, InstanceState, Tag};

    use super::*;

    fn listed(state: InstanceStateName) -> aws_sdk_ec2::types::builders::InstanceBuilder {
        Instance::builder().instance_id("i-1").state(InstanceState::builder().name(state).build())
    }

    #[test]
    fn every_address_is_read_or_the_listing_is_none() {
        let six = |text: &str| InstanceIpv6Address::builder().ipv6_address(text).build();
        let interface = InstanceNetworkInterface::builder().ipv6_addresses(six("2001:db8::2"));
        let second = InstanceNetworkInterface::builder().ipv6_addresses(six("2001:db8::1")).build();
        let whole = listed(InstanceStateName::Stopped)
            .public_ip_address("198.51.100.7")
            .private_ip_address("10.0.0.4")
            .network_interfaces(interface.ipv6_addresses(six("2001:db8::1")).build())
            .network_interfaces(second)
            .tags(Tag::builder().key("Role").value("web").build());
        let machine = machine("x", &whole.build()).unwrap().expect("it lives");
        assert_eq!((machine.id.as_str(), machine.state.as_str()), ("i-1", "stopped"));
        assert_eq!(machine.public.map(|address| address.to_string()).as_deref(), Some("198.51.100.7"));
        assert_eq!(machine.ipv6.len(), 2);
        for torn in [
            Instance::builder().build(),
            Instance::builder().instance_id("i-1").build(),
            listed(InstanceStateName::Running).public_ip_address("198.51.100").build(),
        ] {
            assert!(super::machine("x", &torn).is_err(), "{torn:?}");
        }
    }

    #[test]
    fn the_dead_do_not_count_and_unknown_states_do() {
        assert_eq!(machine("x", &listed(InstanceStateName::Terminated).build()), Ok(None));
        let new = machine("x", &listed(InstanceStateName::from("hibernating")).build()).unwrap();
        assert_eq!(new.map(|machine| machine.state).as_deref(), Some("hibernating"));
    }
}
