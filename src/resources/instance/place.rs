//! Where an instance may live: subnets, in the order in which members take turns.

use super::state::{Desired, Within};
use crate::model::id::SubnetId;
use crate::resources::snapshot::{Facts, LookupError, Subnet};
use crate::resources::{Choice, Context, Refusal, RefusalKind};

/// The subnets that the spec allows, or nothing after a refusal.
pub(super) fn candidates<'a>(want: &Desired, cx: &Context<'a>) -> Option<Vec<&'a Subnet>> {
    let place = &want.place;
    let vpc = cx.vpc(&place.vpc)?;
    let network = lookup(&place.network, cx)?;
    let usable = || if network.is_empty() { cx.facts.subnets_in(&vpc) } else { network.clone() };
    match &place.within {
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

/// The subnet for one that is made now: the one that holds its fixed address, else its turn.
pub(super) fn chosen<'a>(want: &Desired, cx: &Context<'a>) -> Option<&'a Subnet> {
    let candidates = candidates(want, cx)?;
    let found = match want.private_ip {
        Some(address) => candidates.iter().find(|subnet| Facts::contains(subnet, address.into())),
        None => {
            let turn = usize::try_from(want.index).unwrap_or(0).checked_rem(candidates.len());
            turn.and_then(|turn| candidates.get(turn))
        }
    };
    if found.is_none() {
        let message = match want.private_ip {
            Some(address) => format!("no subnet that it may use holds {address}"),
            None => "the network has no subnet that it may use".to_owned(),
        };
        cx.refuse(Refusal::new(RefusalKind::Lookup, cx.at, message).hint("name `subnets`, here or in `[network]`"));
    }
    found.copied()
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
