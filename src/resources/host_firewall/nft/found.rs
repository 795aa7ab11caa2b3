//! Our table as a host lists it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::expression::{Piece, Right, Test, addresses, pieces};
use super::listed::{Chain, Listed, Rule};
use super::{INPUT, MARKER, PRIORITY, text};
use crate::model::{AddressSet, Family};
use crate::resources::host_firewall::action::Attach;
use crate::resources::host_firewall::dialect::Standing;
use crate::resources::host_firewall::host::{Backend, Jump};
use crate::resources::host_firewall::layout::{Line, Verdict, differences};
use crate::resources::host_firewall::marker;
use crate::resources::host_firewall::names::Names;
use crate::resources::host_firewall::packet::Then;
use crate::resources::host_firewall::ruleset::{ICMP, ICMPV6};

/// Our table.
#[derive(Debug, Clone)]
pub(in super::super) struct Found {
    /// The marker's lines.
    pub(super) notes: Vec<String>,
    /// The sets that are as we make them: their addresses, and whether the elements are exactly those of [`AddressSet`].
    pub(super) sets: BTreeMap<String, (Family, AddressSet, bool)>,
    /// The rules of our base chain with how each was printed.
    lines: Vec<(Option<Line>, String)>,
    /// Whether our base chain is there and on the hook.
    hooked: bool,
    /// What else is in the table.
    strange: Vec<String>,
    /// All of it, as JSON that nft takes: exactly what stands there, whoever wrote it.
    pub(super) exact: String,
}

impl Found {
    /// Our table in a listing; none when it is not there.
    pub(in super::super) fn of(names: &Names, listed: &Listed) -> Option<Self> {
        let table = format!("inet {}", names.table());
        if !listed.tables.contains(&table) {
            return None;
        }
        let mut found = Self {
            notes: Vec::new(),
            sets: BTreeMap::new(),
            lines: Vec::new(),
            hooked: false,
            strange: Vec::new(),
            exact: exact(names, &table, listed),
        };
        for chain in listed.chains.iter().filter(|chain| chain.table == table) {
            match chain.name.as_str() {
                INPUT if is_ours(chain) => found.hooked = true,
                MARKER if chain.hook.is_none() => {}
                _ => found.strange.push(format!("chain {}", chain.name)),
            }
        }
        for rule in listed.rules.iter().filter(|rule| rule.table == table) {
            match (rule.chain.as_str(), &rule.comment) {
                (INPUT, _) => found.lines.push((line(rule), rule.text())),
                (MARKER, Some(comment)) => found.notes.push(comment.clone()),
                _ => found.strange.push(rule.text()),
            }
        }
        for set in listed.sets.iter().filter(|set| set.table == table) {
            let family = match set.kind.as_deref() {
                Some("ipv4_addr") => Some(Family::Ipv4),
                Some("ipv6_addr") => Some(Family::Ipv6),
                _ => None,
            };
            match (family, addresses(set.elements.iter())) {
                (Some(family), Some((all, exact))) => {
                    found.sets.insert(set.name.clone(), (family, all, exact));
                }
                _ => found.strange.push(format!("set {}", set.name)),
            }
        }
        let others = listed.others.iter().filter(|(of, _)| *of == table);
        found.strange.extend(others.map(|(_, raw)| raw.to_string()));
        Some(found)
    }

    /// What stands there.
    ///
    /// # Errors
    /// When another version of this program wrote the marker.
    pub(in super::super) fn standing(&self) -> Result<Standing, String> {
        let marker = marker::read(&self.notes)?;
        let mut rules = marker.rules;
        let mut known = BTreeSet::new();
        for (key, rule) in &mut rules.rules {
            for (origin, held) in &mut rule.sources {
                for family in Family::ALL {
                    let name = Names::set(key, origin, family);
                    if let Some((_, addresses, _)) = self.sets.get(&name).filter(|(of, ..)| *of == family) {
                        held.addresses = held.addresses.union(addresses);
                        known.insert(name);
                    }
                }
            }
            rule.sources.retain(|_, held| !held.addresses.is_empty());
        }
        let wanted: Vec<Line> = text::lines(&rules).into_iter().map(|(line, _)| as_listed(line)).collect();
        let mut edited = differences(&wanted, &self.lines, text::rule);
        edited.extend(marker.strange);
        edited.extend(self.sets.keys().filter(|name| !known.contains(*name)).map(|name| format!("set {name}")));
        edited.extend(self.strange.iter().cloned());
        let jump = if self.hooked { Jump::After(0) } else { Jump::Missing };
        let jumps = rules.settings.families.iter().map(|family| (*family, jump)).collect();
        let attach = marker.attach.unwrap_or(Attach::Input);
        Ok(Standing { backend: Backend::Nftables, tags: marker.tags, attach, rules, jumps, edited })
    }
}

/// Whether a base chain is as we make it.
fn is_ours(chain: &Chain) -> bool {
    chain.hook.as_deref() == Some("input")
        && chain.priority == PRIORITY
        && !chain.drops
        && chain.kind.as_deref() == Some("filter")
}

/// A rule of our base chain; none when it is not one that we write.
fn line(rule: &Rule) -> Option<Line> {
    let mut line = Line::default();
    let mut verdict = None;
    for piece in pieces(rule.expressions.iter()) {
        match piece {
            Piece::Test(test) => add(&mut line, test)?,
            Piece::Pass => {}
            Piece::Verdict(then) if verdict.is_none() => {
                verdict = Some(match then {
                    Then::Accept => Verdict::Accept,
                    Then::Drop => Verdict::Drop,
                    Then::Return => Verdict::Return,
                    _ => return None,
                });
            }
            Piece::Verdict(_) | Piece::Opaque => return None,
        }
    }
    line.verdict = verdict?;
    Some(as_listed(line))
}

/// A rule as a listing tells it: with ICMP of either family that family goes without saying.
fn as_listed(line: Line) -> Line {
    match line.protocol {
        Some(ICMP | ICMPV6) => Line { family: None, ..line },
        _ => line,
    }
}

/// Adds what one expression looks at; none when it looks twice at the same, or at what we never do.
fn add(line: &mut Line, test: Test) -> Option<()> {
    fn once<T: PartialEq>(place: &mut Option<T>, value: T) -> Option<()> {
        match place {
            Some(there) => (*there == value).then_some(()),
            None => {
                *place = Some(value);
                Some(())
            }
        }
    }
    match test {
        Test::Family(family) => once(&mut line.family, family)?,
        Test::Interface(name) if name == "lo" => line.loopback = true,
        // Established and related.
        Test::State(6) => line.established = true,
        Test::Source(_, Right::Named(set)) => once(&mut line.from, set)?,
        Test::Destination(_, Right::These(nets)) => {
            let mut nets = nets.iter();
            let (net, None) = (nets.next()?, nets.next()) else { return None };
            once(&mut line.to, crate::model::net::Cidr::listed(&net.to_string())?)?;
        }
        Test::Protocol(number) => once(&mut line.protocol, number)?,
        Test::SourcePort(protocol, ports) => {
            let [only] = ports.as_slice() else { return None };
            if only.from != only.to {
                return None;
            }
            once(&mut line.sport, only.from)?;
            protocol.map_or(Some(()), |number| once(&mut line.protocol, number))?;
        }
        Test::Port(protocol, ports) if line.ports.is_empty() => {
            line.ports = ports;
            protocol.map_or(Some(()), |number| once(&mut line.protocol, number))?;
        }
        Test::Type(protocol, types) if line.types.is_empty() => {
            // Types that follow each other may be printed as a range.
            let each = types.iter().flat_map(|range| range.from..=range.to);
            line.types = each.map(|kind| u8::try_from(kind).ok()).collect::<Option<_>>()?;
            once(&mut line.protocol, protocol)?;
        }
        _ => return None,
    }
    Some(())
}

/// A transaction that puts the table back as it is listed.
fn exact(names: &Names, table: &str, listed: &Listed) -> String {
    let name = names.table();
    let own = json!({ "table": { "family": "inet", "name": name } });
    let mut commands = vec![json!({ "add": own }), json!({ "delete": own }), json!({ "add": own })];
    let mut add = |kind: &str, raw: &Value| {
        let mut raw = raw.clone();
        if let Some(object) = raw.as_object_mut() {
            object.remove("handle");
        }
        commands.push(json!({ "add": { kind: raw } }));
    };
    for set in listed.sets.iter().filter(|set| set.table == table) {
        let mut raw = set.raw.clone();
        if let Some(object) = raw.as_object_mut() {
            object.insert("elem".to_owned(), Value::Array(set.elements.clone()));
            if set.elements.is_empty() {
                object.remove("elem");
            }
        }
        add(if raw.get("map").is_some() { "map" } else { "set" }, &raw);
    }
    for chain in listed.chains.iter().filter(|chain| chain.table == table) {
        add("chain", &chain.raw);
    }
    for rule in listed.rules.iter().filter(|rule| rule.table == table) {
        add("rule", &rule.raw);
    }
    json!({ "nftables": commands }).to_string()
}
