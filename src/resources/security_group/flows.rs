//! What a group's rules let through.

use super::Observed;
use super::state::{Direction, Peer};
use crate::model::TrafficSet;
use crate::resources::flow::{Grants, Party, Rules};

/// The rules of both directions.
pub(super) fn rules(have: &Observed) -> Rules {
    Rules { ingress: grants(have, Direction::Ingress), egress: grants(have, Direction::Egress) }
}

fn grants(have: &Observed, direction: Direction) -> Grants {
    let mut grants = Grants::default();
    for rule in have.of(direction) {
        let traffic = TrafficSet::from(rule.rule.traffic);
        match &rule.rule.peer {
            Peer::Cidr(network) => grants.to_networks(&[(*network).into()].into_iter().collect(), traffic),
            Peer::Group(group) => grants.to_party(Party::Members(group.clone()), &traffic),
            Peer::ForeignGroup { account, group } => {
                grants.to_party(Party::Named(format!("members of {group} of account {account}")), &traffic);
            }
            Peer::PrefixList(list) => grants.to_party(Party::Named(format!("networks of {list}")), &traffic),
            // What AWS lists names no output.
            Peer::Output { .. } => {}
        }
    }
    grants
}
