//! What a load balancer is to those who talk to each other.

use super::Observed;
use crate::model::{AddressSet, TrafficSet};
use crate::resources::flow::Machine;

/// The balancer on the network: it answers where it has a listener, from addresses that AWS changes as it likes.
pub(super) fn machine(have: &Observed) -> Machine {
    let ports = have.listeners.keys().map(|port| TrafficSet::tcp(*port));
    Machine {
        groups: have.security_groups.clone(),
        addresses: AddressSet::default(),
        listens: ports.fold(TrafficSet::default(), |all, port| all.union(&port)),
    }
}
