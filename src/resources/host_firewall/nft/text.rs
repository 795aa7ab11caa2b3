//! Our rules in nft's language (nft(8)).

use super::{INPUT, MARKER, PRIORITY};
use crate::model::net::Ports;
use crate::model::{AddressSet, Family};
use crate::resources::host_firewall::comment::shown;
use crate::resources::host_firewall::layout::{Line, Scope, Verdict, Written};
use crate::resources::host_firewall::names::Names;
use crate::resources::host_firewall::ruleset::{ICMP, Ruleset};

/// Everything that our chain lets through and drops.
pub(super) fn lines(rules: &Ruleset) -> Vec<Written> {
    let set = |rule: &_, origin: &_, family| Names::set(rule, origin, family);
    let scope = Scope { passing: &Family::ALL, slots: None, many_types: true, least_protocol: 0, set: &set };
    scope.lines(rules)
}

/// The sets of our rules, by name: those that have anything in them.
pub(super) fn sets(rules: &Ruleset) -> Vec<(String, Family, &AddressSet)> {
    let mut sets = Vec::new();
    for (key, rule) in &rules.rules {
        for (origin, held) in &rule.sources {
            for family in Family::ALL {
                if held.addresses.of(family).next().is_some() {
                    sets.push((Names::set(key, origin, family), family, &held.addresses));
                }
            }
        }
    }
    sets
}

/// The elements of one family, as they stand in a statement.
pub(super) fn elements<'a>(nets: impl Iterator<Item = &'a ipnet::IpNet>) -> String {
    nets.map(crate::model::addresses::plain).collect::<Vec<_>>().join(", ")
}

/// Our table with all that is in it.
pub(super) fn table(names: &Names, rules: &Ruleset, marker: &[String]) -> String {
    block(names, [set_blocks(rules), chain_blocks(rules, marker)].concat())
}

/// Our table with the sets alone.
pub(super) fn table_of_sets(names: &Names, rules: &Ruleset) -> String {
    block(names, set_blocks(rules))
}

/// Our table with the chains alone.
pub(super) fn table_of_chains(names: &Names, rules: &Ruleset, marker: &[String]) -> String {
    block(names, chain_blocks(rules, marker))
}

fn block(names: &Names, inside: Vec<String>) -> String {
    let mut text = vec![format!("table inet {} {{", names.table())];
    text.extend(inside);
    text.push("}\n".to_owned());
    text.join("\n")
}

/// What a set of a family holds.
pub(super) const fn kind(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4_addr",
        Family::Ipv6 => "ipv6_addr",
    }
}

fn set_blocks(rules: &Ruleset) -> Vec<String> {
    let block = |(name, family, addresses): (String, Family, &AddressSet)| {
        let (kind, elements) = (kind(family), elements(addresses.of(family)));
        format!(" set {name} {{\n  type {kind}\n  flags interval\n  elements = {{ {elements} }}\n }}")
    };
    sets(rules).into_iter().map(block).collect()
}

fn chain_blocks(rules: &Ruleset, marker: &[String]) -> Vec<String> {
    let mut text = vec![format!(" chain {MARKER} {{")];
    text.extend(marker.iter().map(|line| format!("  {}", note(line))));
    text.push(" }".to_owned());
    if !rules.settings.families.is_empty() {
        text.push(format!(" chain {INPUT} {{\n  type filter hook input priority {PRIORITY}; policy accept;"));
        text.extend(lines(rules).iter().map(|one| format!("  {}", written(one))));
        text.push(" }".to_owned());
    }
    text
}

/// One rule with its comment.
pub(super) fn written((line, comment): &Written) -> String {
    let comment = comment.as_ref().map(|text| format!(" comment \"{}\"", shown(text))).unwrap_or_default();
    format!("{}{comment}", rule(line))
}

/// A rule that does nothing but hold a line of the marker.
pub(super) fn note(line: &str) -> String {
    format!("continue comment \"{}\"", shown(line))
}

/// One rule without its comment.
pub(super) fn rule(line: &Line) -> String {
    let Line { family, loopback, established, from, to, protocol, sport, ports, types, verdict } = line;
    let mut words: Vec<String> = Vec::new();
    if let Some(family) = family {
        words.push(format!("meta nfproto {family}"));
    }
    if *loopback {
        words.push("iifname \"lo\"".to_owned());
    }
    if *established {
        words.push("ct state established,related".to_owned());
    }
    if let Some(set) = from {
        let header = if set.ends_with("v4") { "ip" } else { "ip6" };
        words.push(format!("{header} saddr @{set}"));
    }
    if let Some(to) = to {
        words.push(format!("{} daddr {to}", if to.is_v4() { "ip" } else { "ip6" }));
    }
    match protocol {
        Some(number) if !types.is_empty() => {
            let list: Vec<String> = types.iter().map(u8::to_string).collect();
            let header = if *number == ICMP { "icmp" } else { "icmpv6" };
            words.push(format!("{header} type {{ {} }}", list.join(", ")));
        }
        Some(number) => words.push(format!("meta l4proto {number}")),
        None => {}
    }
    words.extend(sport.map(|port| format!("th sport {port}")));
    match ports.as_slice() {
        [] => {}
        [only] if only.from != only.to => words.push(format!("th dport {}", range(only))),
        several => {
            let list: Vec<String> = several.iter().map(range).collect();
            words.push(format!("th dport {{ {} }}", list.join(", ")));
        }
    }
    words.push("counter".to_owned());
    words.push(match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Return => "return".to_owned(),
    });
    words.join(" ")
}

fn range(ports: &Ports) -> String {
    if ports.from == ports.to { ports.from.to_string() } else { format!("{}-{}", ports.from, ports.to) }
}
