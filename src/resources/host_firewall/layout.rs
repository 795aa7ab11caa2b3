//! The rules of our chain, one by one and in order, before any dialect writes them.
//!
//! What a host lists is read back into the same form and compared with what should stand there; so nothing hangs on how a
//! version of a tool prints a rule.

use std::collections::BTreeSet;

use super::ruleset::{Established, ICMP, ICMPV6, Mode, Origin, RuleKey, Ruleset, Traffic, UDP};
use crate::model::Family;
use crate::model::net::{Cidr, Ports};

/// One rule of our chain: everything that it looks at, at once, and its verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    /// Packets of this family alone, where nothing else in the rule says so.
    pub(super) family: Option<Family>,
    /// What came in through the loopback.
    pub(super) loopback: bool,
    /// Packets of connections that stand, and those that belong to one.
    pub(super) established: bool,
    /// The source is in this set.
    pub(super) from: Option<String>,
    /// The destination lies here.
    pub(super) to: Option<Cidr>,
    /// The protocol.
    pub(super) protocol: Option<u8>,
    /// The source port.
    pub(super) sport: Option<u16>,
    /// The destination port is one of these.
    pub(super) ports: Vec<Ports>,
    /// The type of the ICMP message is one of these.
    pub(super) types: Vec<u8>,
    /// What becomes of it.
    pub(super) verdict: Verdict,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It passes.
    #[default]
    Accept,
    /// It is dropped.
    Drop,
    /// Our chain is done with it.
    Return,
}

/// A rule with the comment that tells people what it is for.
pub(super) type Written = (Line, Option<String>);

/// What one chain is to filter, and what its dialect can say.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The families whose packets pass the chain.
    pub(super) passing: &'a [Family],
    /// How many ports one rule can name, where a range counts as two; when absent any number of single ports, or one range:
    /// a set of nft's that has both is one of intervals, whose elements the kernel shows later than the rule that has it.
    pub(super) slots: Option<usize>,
    /// Whether one rule can name several types of ICMP messages.
    pub(super) many_types: bool,
    /// The least number of a protocol that it can name.
    pub(super) least_protocol: u8,
    /// What a set is called.
    pub(super) set: &'a dyn Fn(&RuleKey, &Origin, Family) -> String,
}

/// The messages of ICMP that networks cannot do without: answers to echo and echo itself, unreachable (with path MTU), time
/// exceeded, parameter problem.
const NEEDED_V4: [u8; 5] = [0, 3, 8, 11, 12];
/// The same for IPv6, with neighbour discovery and multicast listeners: RFC 4890, section 4.4.
const NEEDED_V6: [u8; 21] =
    [1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 141, 142, 143, 148, 149, 151, 152, 153];
/// From which port to which a DHCP server answers, in IPv4 (RFC 2131, section 4.1) and IPv6 (RFC 8415, section 7.2).
const DHCP: [(Family, u16, u16); 2] = [(Family::Ipv4, 67, 68), (Family::Ipv6, 547, 546)];

impl Scope<'_> {
    /// The rules of our chain, in the layout of [`super::ruleset`].
    pub(super) fn lines(&self, rules: &Ruleset) -> Vec<Written> {
        let settings = &rules.settings;
        let filtered: Vec<Family> = self.passing.iter().copied().filter(|f| settings.families.contains(f)).collect();
        if filtered.is_empty() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        let others = self.passing.iter().filter(|family| !filtered.contains(family));
        lines.extend(
            others.map(|family| said(Line { family: Some(*family), verdict: Verdict::Return, ..Line::default() })),
        );
        let cuts = settings.established == Established::Cut;
        if settings.mode != Mode::Allow {
            lines.push(said(Line { loopback: true, ..Line::default() }));
        }
        if !cuts {
            lines.push(said(Line { established: true, ..Line::default() }));
        }
        self.accepted(rules, &filtered, &mut lines);
        if settings.mode == Mode::Guard || (settings.mode == Mode::Deny && cuts) {
            self.guarded(rules, &filtered, &mut lines);
        }
        if settings.mode == Mode::Deny {
            if cuts {
                lines.push(said(Line { established: true, ..Line::default() }));
            }
            self.needed(&filtered, &mut lines);
            lines.push(said(Line { verdict: Verdict::Drop, ..Line::default() }));
        }
        lines
    }

    /// What the rules accept, from whom.
    fn accepted(&self, rules: &Ruleset, filtered: &[Family], lines: &mut Vec<Written>) {
        for (key, rule) in &rules.rules {
            for (origin, held) in &rule.sources {
                for family in filtered {
                    if held.addresses.of(*family).next().is_none() || !self.can_say(&rule.traffic, *family) {
                        continue;
                    }
                    let comment = format!("{key} from {origin}");
                    for ports in self.portions(&rule.traffic.ports) {
                        let from = Some((self.set)(key, origin, *family));
                        let Traffic { protocol, ports: _, to } = rule.traffic;
                        let line = Line { from, to, protocol, ports, ..Line::default() };
                        lines.push((line, Some(comment.clone())));
                    }
                }
            }
        }
    }

    /// What the rules name, from everyone else.
    fn guarded(&self, rules: &Ruleset, filtered: &[Family], lines: &mut Vec<Written>) {
        let named: BTreeSet<&Traffic> = rules.rules.values().map(|rule| &rule.traffic).collect();
        for traffic in named {
            let fitting: Vec<Family> = filtered.iter().copied().filter(|f| self.can_say(traffic, *f)).collect();
            let family = match fitting.as_slice() {
                [] => continue,
                // A destination tells the family by itself, and of one that is not filtered nothing gets here.
                [only] if filtered.len() > 1 && traffic.to.is_none() => Some(*only),
                _ => None,
            };
            for ports in self.portions(&traffic.ports) {
                let Traffic { protocol, ports: _, to } = *traffic;
                let line = Line { family, to, protocol, ports, verdict: Verdict::Drop, ..Line::default() };
                lines.push((line, Some(format!("{traffic} from others"))));
            }
        }
    }

    /// What a host cannot do without, whatever the rules say.
    fn needed(&self, filtered: &[Family], lines: &mut Vec<Written>) {
        for family in filtered {
            let (protocol, types): (u8, &[u8]) = match family {
                Family::Ipv4 => (ICMP, &NEEDED_V4),
                Family::Ipv6 => (ICMPV6, &NEEDED_V6),
            };
            let portion = if self.many_types { types.len() } else { 1 };
            for types in types.chunks(portion) {
                lines.push(said(Line { protocol: Some(protocol), types: types.to_vec(), ..Line::default() }));
            }
        }
        for (family, server, client) in DHCP.iter().filter(|(family, ..)| filtered.contains(family)) {
            let ports = vec![Ports { from: *client, to: *client }];
            let family = (self.passing.len() > 1).then_some(*family);
            let sport = Some(*server);
            lines.push(said(Line { family, protocol: Some(UDP), sport, ports, ..Line::default() }));
        }
    }

    /// Whether a traffic can occur in a family and be told in this dialect. What cannot be told is never accepted.
    fn can_say(&self, traffic: &Traffic, family: Family) -> bool {
        traffic.fits(family) && traffic.protocol.is_none_or(|number| number >= self.least_protocol)
    }

    /// Ports in portions of which each fits a rule; one empty portion for all ports.
    fn portions(&self, ports: &[Ports]) -> Vec<Vec<Ports>> {
        let Some(slots) = self.slots else { return apart(ports) };
        let mut portions = Vec::new();
        let (mut portion, mut left) = (Vec::new(), slots);
        for range in ports {
            let needs = if range.from == range.to { 1 } else { 2 };
            if needs > left {
                portions.push(std::mem::take(&mut portion));
                left = slots;
            }
            left -= needs;
            portion.push(*range);
        }
        portions.push(portion);
        portions
    }
}

/// Single ports together and each range by itself; one empty portion for all ports.
fn apart(ports: &[Ports]) -> Vec<Vec<Ports>> {
    let (single, ranges): (Vec<Ports>, Vec<Ports>) = ports.iter().copied().partition(|ports| ports.from == ports.to);
    let mut portions: Vec<Vec<Ports>> = ranges.into_iter().map(|range| vec![range]).collect();
    if !single.is_empty() || portions.is_empty() {
        portions.insert(0, single);
    }
    portions
}

fn said(line: Line) -> Written {
    (line, None)
}

/// What stands in a chain and should not, each as its tool prints it, and what should and does not.
pub(super) fn differences(
    wanted: &[Line],
    found: &[(Option<Line>, String)],
    show: impl Fn(&Line) -> String,
) -> Vec<String> {
    if wanted.len() == found.len() && wanted.iter().zip(found).all(|(line, (there, _))| Some(line) == there.as_ref()) {
        return Vec::new();
    }
    let mut missing: Vec<&Line> = wanted.iter().collect();
    let mut strange = Vec::new();
    for (line, text) in found {
        match line.as_ref().and_then(|line| missing.iter().position(|wanted| *wanted == line)) {
            Some(at) => {
                missing.remove(at);
            }
            None => strange.push(text.clone()),
        }
    }
    strange.extend(missing.into_iter().map(|line| format!("missing: {}", show(line))));
    if strange.is_empty() {
        strange.push("the rules stand in another order".to_owned());
    }
    strange
}
