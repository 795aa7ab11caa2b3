//! Where something may live: the subnets that a spec allows, of kinds that live in zones.

use super::snapshot::{LookupError, Subnet};
use super::{Choice, Context, Refusal, RefusalKind, VpcChoice};
use crate::model::id::{SubnetId, ZoneName};

/// Where something of a VPC may live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The VPC of the network that applies; used when neither list says more.
    pub vpc: VpcChoice,
    /// The network's own subnets, among which `zones` picks.
    pub network: Vec<Choice<SubnetId>>,
    /// What the spec says of this resource.
    pub within: Within,
}

/// What narrows the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    /// Nothing.
    Anywhere,
    /// One of these zones, in turn.
    Zones(Vec<ZoneName>),
    /// One of these subnets, in turn.
    Subnets(Vec<Choice<SubnetId>>),
}

impl Placement {
    /// The subnets that the spec allows, or nothing after a refusal.
    #[must_use]
    pub fn candidates<'a>(&self, cx: &Context<'a>) -> Option<Vec<&'a Subnet>> {
        let vpc = cx.vpc(&self.vpc)?;
        let network = lookup(&self.network, cx)?;
        let usable = || if network.is_empty() { cx.facts.subnets_in(&vpc) } else { network.clone() };
        match &self.within {
            Within::Subnets(subnets) => lookup(subnets, cx),
            Within::Anywhere => Some(usable()),
            Within::Zones(zones) => {
                let mut found = Vec::new();
                for zone in zones {
                    let Some(subnet) = usable().into_iter().find(|subnet| subnet.zone == *zone) else {
                        let known: Vec<String> = usable().iter().map(|subnet| subnet.zone.to_string()).collect();
                        cx.refuse(
                            Refusal::new(RefusalKind::Lookup, cx.at, format!("no subnet of {vpc} is in zone `{zone}`"))
                                .hint(format!("zones with a usable subnet: {}", known.join(", "))),
                        );
                        return None;
                    };
                    found.push(subnet);
                }
                Some(found)
            }
        }
    }
}

/// Looks subnets up, refusing those that are not exactly one.
fn lookup<'a>(choices: &[Choice<SubnetId>], cx: &Context<'a>) -> Option<Vec<&'a Subnet>> {
    let found: Vec<Result<&Subnet, LookupError>> = choices.iter().map(|choice| cx.facts.subnet(choice)).collect();
    let mut subnets = Vec::with_capacity(found.len());
    let mut whole = true;
    for result in found {
        match result {
            Ok(subnet) => subnets.push(subnet),
            Err(why) => {
                whole = false;
                cx.refuse(Refusal::new(RefusalKind::Lookup, cx.at, why.message).hint(why.hint));
            }
        }
    }
    whole.then_some(subnets)
}
