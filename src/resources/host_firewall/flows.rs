//! What our rules let into a host, in the layout of [`Ruleset`].

use super::ruleset::{Established, ICMP, ICMPV6, Mode, Ruleset, Traffic, UDP};
use crate::model::net::Ports;
use crate::model::{AddressSet, Family, TrafficSet};
use crate::resources::flow::{Filter, Grants, everyone};

/// What our chain does; without rules of ours nothing is accepted here, and nothing is dropped.
pub(super) fn filter(rules: Option<&Ruleset>) -> Filter {
    let Some(rules) = rules else { return Filter { accepts: Grants::default(), passes: Grants::everything() } };
    let mut filter = Filter { accepts: accepts(rules), ..Filter::default() };
    filter.passes = filter.accepts.clone();
    let filtered = &rules.settings.families;
    for family in Family::ALL {
        let all = of_family(&everyone(), family);
        let traffic = if filtered.contains(&family) { left_alone(rules, family) } else { TrafficSet::all() };
        filter.passes.to_networks(&all, traffic);
    }
    filter
}

fn accepts(rules: &Ruleset) -> Grants {
    let mut accepts = Grants::default();
    for rule in rules.rules.values() {
        let Some(traffic) = traffic(&rule.traffic) else { continue };
        for held in rule.sources.values() {
            if rules.settings.families.len() == Family::ALL.len() {
                accepts.to_networks(&held.addresses, traffic.clone());
                continue;
            }
            for family in &rules.settings.families {
                accepts.to_networks(&of_family(&held.addresses, *family), traffic.clone());
            }
        }
    }
    accepts
}

/// What our chain neither accepts nor drops, whoever sends it.
fn left_alone(rules: &Ruleset, family: Family) -> TrafficSet {
    let named = || {
        let fitting = rules.rules.values().filter(|rule| rule.traffic.fits(family));
        let sets = fitting.filter_map(|rule| traffic(&rule.traffic));
        sets.fold(TrafficSet::default(), |all, one| all.union(&one))
    };
    match rules.settings.mode {
        Mode::Allow => TrafficSet::all(),
        Mode::Guard => TrafficSet::all().beyond(&named()),
        Mode::Deny => {
            let (icmp, dhcp) = if family == Family::Ipv4 { (ICMP, 68) } else { (ICMPV6, 546) };
            let dhcp = TrafficSet::of(Some(UDP), &[Ports { from: dhcp, to: dhcp }]);
            let vital = TrafficSet::of(Some(icmp), &[]).union(&dhcp);
            if rules.settings.established == Established::Cut { vital.beyond(&named()) } else { vital }
        }
    }
}

/// Traffic to the host itself; none for what goes elsewhere, such as a multicast group.
fn traffic(traffic: &Traffic) -> Option<TrafficSet> {
    traffic.to.is_none().then(|| TrafficSet::of(traffic.protocol, &traffic.ports))
}

fn of_family(addresses: &AddressSet, family: Family) -> AddressSet {
    addresses.of(family).copied().collect()
}
