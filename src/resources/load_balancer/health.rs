//! How the members of a load balancer are, in AWS's words
//! (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_InstanceState.html>).

use std::collections::BTreeSet;

use super::Observed;
use super::state::Health;
use crate::model::CloudId;
use crate::resources::Member;

/// Whoever is registered, with what the balancer says of it.
pub(super) fn members(have: &Observed) -> Vec<Member> {
    let all: BTreeSet<&CloudId> = have.instances.iter().chain(have.health.keys()).collect();
    all.into_iter().map(|id| Member { id: id.clone(), state: state(have.health.get(id)) }).collect()
}

fn state(health: Option<&Health>) -> String {
    match health {
        Some(Health { in_service: true, reason: _ }) => "InService".to_owned(),
        Some(Health { in_service: false, reason }) if reason.is_empty() => "OutOfService".to_owned(),
        Some(Health { in_service: false, reason }) => format!("OutOfService: {reason}"),
        // It is registered, and the balancer was not asked or does not know it any more.
        None => "registered, its health is not known".to_owned(),
    }
}
