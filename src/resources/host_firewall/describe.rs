//! What is to be said of a host, in lines for people.

use super::host::{Boot, Facts, Jump, Observed, Ours, Pending};
use super::packet::{Chain, Foreign, Match, Rule, Then};
use super::ruleset::{Established, Held, Origin};
use crate::model::addresses::plain;
use crate::model::{AddressSet, Family};

/// How many elements of a list are written out.
const WRITTEN: usize = 8;

/// Everything that is to be said of a host, line by line.
#[must_use]
pub fn describe(have: &Observed) -> Vec<String> {
    let Observed { target: _, facts, ours } = have;
    let mut lines = vec![tools(facts)];
    if let Some(peer) = facts.peer {
        lines.push(format!("sees us come from {} to port {}", peer.address, peer.port));
    }
    match ours {
        None => lines.push("nothing of this stack stands there".to_owned()),
        Some(ours) => lines.extend(standing(ours)),
    }
    for family in Family::ALL {
        lines.extend(way_in(&facts.foreign, family));
        if let Some(ours) = ours {
            lines.extend(shadows(&facts.foreign, family, ours));
        }
    }
    lines.extend(facts.pending.as_ref().map(pending));
    lines.extend(facts.foreign.doubts.iter().map(|doubt| format!("not certain: {doubt}")));
    lines.extend(facts.remarks.iter().cloned());
    lines
}

/// What it can do.
fn tools(facts: &Facts) -> String {
    let version = |name: &str, version: &Option<String>| match version {
        Some(version) => format!("{name} {version}"),
        None => format!("no {name}"),
    };
    let mut said =
        vec![version("nft", &facts.nft), version("iptables", &facts.iptables), version("ipset", &facts.ipset)];
    if facts.legacy {
        said.push("iptables-legacy has rules".to_owned());
    }
    said.extend(facts.managers.iter().map(|name| format!("{name} is active")));
    said.join(", ")
}

/// What is ours there.
fn standing(ours: &Ours) -> Vec<String> {
    let Ours { backend, attach: _, rules, jumps, edited, boot } = ours;
    let settings = &rules.settings;
    let families: Vec<&str> = settings.families.iter().map(|family| family.word()).collect();
    let established = match settings.established {
        Established::Keep => "connections that stand live on",
        Established::Cut => "connections whose source is withdrawn are cut",
    };
    let boot = match boot {
        Boot::Nothing => "a boot restores nothing of it",
        Boot::Current => "a boot restores it",
        Boot::Other => "a boot restores something else",
    };
    let mode = settings.mode.word();
    let mut lines = vec![format!("ours in {backend}, mode {mode}, {}; {established}; {boot}", families.join(" and "))];
    lines.extend(jumps.iter().filter_map(|(family, jump)| match jump {
        Jump::After(0) => None,
        Jump::After(count) => Some(format!("ours is called in {family} after {} of others", self::rules(count))),
        Jump::Missing => Some(format!("ours is called nowhere in {family}: it has no effect")),
        Jump::Several => Some(format!("ours is called more than once in {family}")),
    }));
    for rule in rules.rules.values() {
        lines.push(format!("rule {}: {}", rule.key, rule.traffic));
        if rule.sources.is_empty() {
            lines.push("  from nobody".to_owned());
        }
        lines.extend(rule.sources.iter().map(|(origin, held)| format!("  {}", source(origin, held))));
    }
    lines.extend(edited.iter().map(|text| format!("edited by hand: {text}")));
    lines
}

/// Whom a rule accepts by one origin, and since when.
fn source(origin: &Origin, held: &Held) -> String {
    let Held { addresses, seen } = held;
    let seen = seen.map(|seen| format!(", as of {seen}")).unwrap_or_default();
    format!("from {} ({origin}{seen})", listed(addresses))
}

/// The elements of a set, the first of them written out.
fn listed(addresses: &AddressSet) -> String {
    let first: Vec<String> = addresses.iter().take(WRITTEN).map(plain).collect();
    match addresses.len().saturating_sub(WRITTEN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The chains of others on the way in.
fn way_in(foreign: &Foreign, family: Family) -> Vec<String> {
    let others = foreign.chains(family).iter().filter(|chain| !is_own(chain));
    let line = |chain: &Chain| {
        let theirs = chain.rules.iter().filter(|rule| rule.then != Then::Ours).count();
        let end = if chain.drops { "drops" } else { "accepts" };
        let count = rules(theirs);
        format!("others in {family}: `{} {}`, {count}, {end} what reaches its end", chain.table, chain.name)
    };
    others.map(line).collect()
}

/// What of others may keep a packet from what ours says of it: rules above our jump that end its way, and chains that drop.
fn shadows(foreign: &Foreign, family: Family, ours: &Ours) -> Vec<String> {
    if !ours.rules.settings.families.contains(&family) {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for chain in foreign.chains(family).iter().filter(|chain| !is_own(chain)) {
        let jumps = chain.rules.iter().any(|rule| rule.then == Then::Ours);
        let above = chain.rules.iter().take_while(|rule| rule.then != Then::Ours);
        let ends =
            above.filter(|rule| if jumps { ends(foreign, chain, rule, 16) } else { drops(foreign, chain, rule, 16) });
        let before = if jumps { "above ours" } else { "beside ours" };
        let ends: Vec<&Rule> = ends.collect();
        lines.extend(ends.iter().take(WRITTEN).map(|rule| format!("{before} in {family}: {}", rule.text)));
        if ends.len() > WRITTEN {
            lines.push(format!("{before} in {family}: {} more that end a packet's way", ends.len() - WRITTEN));
        }
        if !jumps && chain.drops {
            lines.push(format!("{before} in {family}: `{} {}` drops what ours accepts", chain.table, chain.name));
        }
    }
    lines
}

/// Whether a chain is the one of our own table.
fn is_own(chain: &Chain) -> bool {
    matches!(chain.rules.as_slice(), [Rule { then: Then::Ours, .. }]) && !chain.table.ends_with(" filter")
}

/// Whether a rule may end the way of a packet that begins a connection over the network.
fn ends(foreign: &Foreign, chain: &Chain, rule: &Rule, depth: u8) -> bool {
    concerns(&rule.when)
        && match &rule.then {
            Then::Accept | Then::Drop | Then::Return | Then::Goto(_) | Then::Unknown => true,
            Then::Jump(name) => within(foreign, chain, name, depth, ends),
            Then::Ours | Then::Pass => false,
        }
}

/// Whether a rule may drop such a packet.
fn drops(foreign: &Foreign, chain: &Chain, rule: &Rule, depth: u8) -> bool {
    concerns(&rule.when)
        && match &rule.then {
            Then::Drop | Then::Unknown => true,
            Then::Jump(name) | Then::Goto(name) => within(foreign, chain, name, depth, drops),
            Then::Accept | Then::Return | Then::Ours | Then::Pass => false,
        }
}

/// Whether that is so of a rule of a chain that is called; of one that is not known it is. A return there ends nothing.
fn within(
    foreign: &Foreign,
    chain: &Chain,
    name: &str,
    depth: u8,
    is: impl Fn(&Foreign, &Chain, &Rule, u8) -> bool,
) -> bool {
    match (depth.checked_sub(1), foreign.called.get(&format!("{} {name}", chain.table))) {
        (Some(depth), Some(rules)) => {
            rules.iter().any(|rule| rule.then != Then::Return && is(foreign, chain, rule, depth))
        }
        (None, _) | (_, None) => true,
    }
}

/// Whether a rule looks at packets that begin a connection over the network.
fn concerns(when: &Match) -> bool {
    when.new != Some(false) && when.interface.as_deref() != Some("lo")
}

fn pending(pending: &Pending) -> String {
    format!("a change of {} waits to be confirmed until {} (id {})", pending.by, pending.until, pending.id)
}

/// So many rules.
fn rules(count: impl std::fmt::Display) -> String {
    match count.to_string().as_str() {
        "1" => "1 rule".to_owned(),
        count => format!("{count} rules"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_in_lines() {
        let theirs = |text: &str, then: serde_json::Value| serde_json::json!({ "text": text, "then": then });
        let input = serde_json::json!({ "table": "ip filter", "name": "INPUT", "rules": [
            { "text": "-A INPUT -i lo -j ACCEPT", "when": { "interface": "lo" }, "then": "accept" },
            theirs("-A INPUT -j f2b", serde_json::json!({ "jump": "f2b" })),
            theirs("-A INPUT -j log", serde_json::json!({ "jump": "log" })),
            theirs("-A INPUT -s 9.9.9.9 -j DROP", serde_json::json!("drop")),
            theirs("ours", serde_json::json!("ours")),
            theirs("-A INPUT -j REJECT", serde_json::json!("drop")),
        ] });
        let closed = serde_json::json!({ "table": "inet closed", "name": "in", "priority": 10, "drops": true });
        let have: Observed = serde_json::from_value(serde_json::json!({
            "target": { "local": {} },
            "facts": {
                "nft": "1.0.6", "legacy": true, "managers": ["ufw"],
                "peer": { "address": "192.0.2.10", "port": 22 },
                "foreign": {
                    "ipv4": [input, closed], "ipv6": [closed], "doubts": ["a rule is not shown"],
                    "called": { "ip filter f2b": [theirs("-A f2b -j REJECT", serde_json::json!("drop"))],
                                "ip filter log": [theirs("-A log -j LOG", serde_json::json!("pass"))] },
                },
                "pending": { "id": "7", "by": "ops", "until": "2026-01-01T00:00:00Z" },
                "remarks": ["port 80 goes to a container"],
            },
            "ours": {
                "backend": "iptables", "boot": "other", "jumps": { "ipv4": { "after": 4 } }, "edited": ["-A x -j ACCEPT"],
                "rules": {
                    "settings": { "mode": "guard", "established": "keep", "families": ["ipv4"] },
                    "rules": [
                        { "key": { "named": "web" }, "traffic": { "protocol": 6, "ports": [{ "from": 80, "to": 80 }] },
                          "sources": [["spec", { "addresses": ["10.0.0.0/8"] }],
                                      [{ "region": "us-east-1" }, {
                                          "addresses": (0..10).map(|low| format!("198.51.100.{low}/32")).collect::<Vec<_>>(),
                                          "seen": "2026-01-01T00:00:00Z" }]] },
                        { "key": { "named": "x" }, "traffic": { "protocol": 112 } },
                    ],
                },
            },
        }))
        .unwrap();
        let lines = [
            "nft 1.0.6, no iptables, no ipset, iptables-legacy has rules, ufw is active",
            "sees us come from 192.0.2.10 to port 22",
            "ours in iptables, mode guard, ipv4; connections that stand live on; a boot restores something else",
            "ours is called in ipv4 after 4 rules of others",
            "rule web: tcp 80",
            "  from 10.0.0.0/8 (the spec)",
            "  from 198.51.100.0, 198.51.100.1, 198.51.100.2, 198.51.100.3, 198.51.100.4, 198.51.100.5, 198.51.100.6, \
             198.51.100.7 and 2 more (us-east-1, as of 2026-01-01T00:00:00Z)",
            "rule x: protocol 112",
            "  from nobody",
            "edited by hand: -A x -j ACCEPT",
            "others in ipv4: `ip filter INPUT`, 5 rules, accepts what reaches its end",
            "others in ipv4: `inet closed in`, 0 rules, drops what reaches its end",
            "above ours in ipv4: -A INPUT -j f2b",
            "above ours in ipv4: -A INPUT -s 9.9.9.9 -j DROP",
            "beside ours in ipv4: `inet closed in` drops what ours accepts",
            "others in ipv6: `inet closed in`, 0 rules, drops what reaches its end",
            "a change of ops waits to be confirmed until 2026-01-01T00:00:00Z (id 7)",
            "not certain: a rule is not shown",
            "port 80 goes to a container",
        ];
        assert_eq!(describe(&have), lines);
    }

    #[test]
    fn a_host_with_nothing_of_ours_says_so() {
        let have: Observed =
            serde_json::from_value(serde_json::json!({ "target": { "local": {} }, "facts": {} })).unwrap();
        assert_eq!(describe(&have), ["no nft, no iptables, no ipset", "nothing of this stack stands there"]);
    }
}
