//! What an instance is to those who talk to each other.

use std::net::IpAddr;

use super::Observed;
use super::state::State;
use crate::model::TrafficSet;
use crate::resources::flow::Machine;

/// The instance on the network; none for one that goes for good, which answers nobody any more.
pub(super) fn machine(have: &Observed) -> Option<Machine> {
    let Observed { state, security_groups, private_ip, public_ip, .. } = have;
    let addresses = std::iter::once(*private_ip).chain(*public_ip).map(|address| IpAddr::from(address).into());
    (*state != State::ShuttingDown).then(|| Machine {
        groups: security_groups.iter().cloned().collect(),
        addresses: addresses.collect(),
        listens: TrafficSet::all(),
    })
}
