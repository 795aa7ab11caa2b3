//! The ipsets of our rules. A set grows before the rules change and shrinks after, so that a change never closes in passing
//! what stays open.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::saved::{IpSet, MOST_ELEMENTS};
use crate::model::{AddressSet, Family};
use crate::resources::host_firewall::names::Names;
use crate::resources::host_firewall::ruleset::Ruleset;

/// The sets that rules need, by name.
pub(super) type Needed = BTreeMap<String, (Family, BTreeSet<IpNet>)>;

/// The sets that rules need.
pub(super) fn needed(names: &Names, rules: &Ruleset) -> Needed {
    let mut needed = Needed::new();
    for (key, rule) in &rules.rules {
        for (origin, held) in &rule.sources {
            for family in Family::ALL {
                let nets: BTreeSet<IpNet> = held.addresses.of(family).flat_map(storable).collect();
                if !nets.is_empty() {
                    needed.insert(names.ipset(key, origin, family), (family, nets));
                }
            }
        }
    }
    needed
}

/// A network as `hash:net` stores it: all addresses only as two halves (ipset(8)).
fn storable(net: &IpNet) -> Vec<IpNet> {
    let halves = match net {
        IpNet::V4(net) if net.prefix_len() == 0 => {
            Ipv4Net::subnets(net, 1).map(|nets| nets.map(IpNet::V4).collect()).ok()
        }
        IpNet::V6(net) if net.prefix_len() == 0 => {
            Ipv6Net::subnets(net, 1).map(|nets| nets.map(IpNet::V6).collect()).ok()
        }
        _ => None,
    };
    halves.unwrap_or_else(|| vec![*net])
}

/// The addresses of stored networks, where two halves are all addresses again.
pub(super) fn addresses(nets: &BTreeSet<IpNet>) -> AddressSet {
    let all: AddressSet = nets.iter().copied().collect();
    let whole = |family: Family| {
        let mut halves = all.of(family).filter(|net| net.prefix_len() == 1);
        let two = (halves.next()?, halves.next()?);
        two.0.supernet()
    };
    let wholes: Vec<IpNet> = Family::ALL.into_iter().filter_map(whole).collect();
    all.iter().copied().chain(wholes).collect()
}

/// What ipset is told around a change.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Before the rules change.
    pub(super) before: Vec<String>,
    /// After.
    pub(super) after: Vec<String>,
    /// To undo, before the rules are as they were.
    pub(super) back: Vec<String>,
    /// To undo, after.
    pub(super) back_after: Vec<String>,
}

/// What turns the sets that stand into those that are needed.
pub(super) fn steps(standing: &BTreeMap<String, IpSet>, left_over: &[String], needed: &Needed) -> Steps {
    let mut steps = Steps::default();
    steps.before.extend(left_over.iter().map(|name| format!("destroy {name}")));
    for (name, (family, nets)) in needed {
        match standing.get(name) {
            None => {
                steps.before.push(create(name, *family));
                steps.before.extend(nets.iter().map(|net| format!("add {name} {net}")));
                steps.back_after.push(format!("destroy {name}"));
            }
            Some(there) if there.family == Some(*family) => {
                let come: Vec<_> = nets.difference(&there.nets).collect();
                let gone: Vec<_> = there.nets.difference(nets).collect();
                steps.before.extend(come.iter().map(|net| format!("add {name} {net}")));
                steps.after.extend(gone.iter().map(|net| format!("del {name} {net}")));
                steps.back.extend(gone.iter().map(|net| format!("add {name} {net}")));
                steps.back.extend(come.iter().map(|net| format!("del {name} {net}")));
            }
            // Made with other options by somebody else: another takes its place while rules look at it.
            Some(there) => {
                steps.before.extend(replaced(name, *family, nets));
                steps.back.extend(there.nets.iter().map(|net| format!("add {name} {net}")));
                steps.back.extend(nets.difference(&there.nets).map(|net| format!("del {name} {net}")));
            }
        }
    }
    for (name, there) in standing.iter().filter(|(name, _)| !needed.contains_key(*name)) {
        steps.after.push(format!("destroy {name}"));
        if let Some(family) = there.family {
            steps.back.push(create(name, family));
            steps.back.extend(there.nets.iter().map(|net| format!("add {name} {net}")));
        }
    }
    steps
}

/// The sets as a whole, whatever stands there.
pub(super) fn whole(needed: &Needed) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, (family, nets)) in needed {
        lines.push(create(name, *family));
        lines.extend(replaced(name, *family, nets));
    }
    lines
}

/// A set with these elements in the place of one that is there.
fn replaced(name: &str, family: Family, nets: &BTreeSet<IpNet>) -> Vec<String> {
    let other = temporary(name);
    let mut lines = vec![create(&other, family), format!("flush {other}")];
    lines.extend(nets.iter().map(|net| format!("add {other} {net}")));
    lines.push(format!("swap {other} {name}"));
    lines.push(format!("destroy {other}"));
    lines
}

fn create(name: &str, family: Family) -> String {
    let family = if family == Family::Ipv4 { "inet" } else { "inet6" };
    format!("create {name} hash:net family {family} maxelem {MOST_ELEMENTS}")
}

/// The name of a set that is to take another's place.
fn temporary(name: &str) -> String {
    format!("{name}t")
}

/// Whether a set was to take another's place, and whoever made it never got there.
pub(super) fn is_temporary(name: &str) -> bool {
    name.ends_with('t')
}

/// The text that ipset reads; none when there is nothing to do.
pub(super) fn text(lines: &[String]) -> Option<String> {
    (!lines.is_empty()).then(|| format!("{}\n", lines.join("\n")))
}
