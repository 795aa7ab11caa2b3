//! What rules do with a packet, as far as that can be known.
//!
//! The rules of others are read only as far as a verdict on one packet needs. What is not understood may match or not, so
//! that a verdict is a set of what may happen.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ruleset::{Established, Mode, Ruleset, TCP, Traffic, UDP};
use crate::model::net::Ports;
use crate::model::{AddressSet, Family};

/// What others have on the way in, in each family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Foreign {
    /// For IPv4: the base chains on the input hook in the order in which packets pass them. Those of `inet` stand in both
    /// families.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv4: Vec<Chain>,
    /// For IPv6.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv6: Vec<Chain>,
    /// The chains that those call, by `TABLE CHAIN`, as `ip filter DOCKER`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub called: BTreeMap<String, Vec<Rule>>,
    /// What could not be read faithfully, in words; no verdict is certain then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// A base chain on the input hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Its table, as `ip filter`, `inet firewalld`.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its priority on the hook; iptables' is 0.
    #[serde(default)]
    pub priority: i32,
    /// Whether what reaches its end is dropped.
    #[serde(default)]
    pub drops: bool,
    /// Its rules, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// A rule of somebody else, or our jump among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// As its tool prints it: `-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT`.
    pub text: String,
    /// What it matches.
    #[serde(default, skip_serializing_if = "Match::is_everything")]
    pub when: Match,
    /// What it does.
    pub then: Then,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What a rule matches: everything that is said, at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// The source is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<AddressSet>,
    /// The protocol, by its IANA number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// The destination port is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Ports>,
    /// It came in here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Whether packets that begin a connection match; not looked at when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<bool>,
    /// Something more is looked at that is not understood here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub opaque: bool,
}

impl Match {
    /// Whether it matches whatever comes.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// What a rule does with what it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// The packet has passed this hook's chain.
    Accept,
    /// It is dropped or rejected.
    Drop,
    /// Back to whoever called; at a base chain its policy.
    Return,
    /// Through this chain of the same table, and on.
    Jump(String),
    /// Through this chain, and not back here.
    Goto(String),
    /// Through our own chain, and on.
    Ours,
    /// On to the next: counting, logging, marking.
    Pass,
    /// Not understood: anything.
    Unknown,
}

/// A packet that begins a connection over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from.
    pub source: IpAddr,
    /// Its protocol, by its IANA number.
    pub protocol: u8,
    /// The port it goes to.
    pub port: u16,
}

impl Packet {
    /// The first packet of a TCP connection.
    #[must_use]
    pub const fn tcp(source: IpAddr, port: u16) -> Self {
        Self { source, protocol: TCP, port }
    }

    /// Its family.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.source {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }
}

/// What may become of a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fate {
    /// It may pass.
    pub passes: bool,
    /// It may be dropped.
    pub drops: bool,
    /// It may go on to what comes next.
    pub falls: bool,
}

impl Fate {
    /// It passes.
    pub const PASSES: Self = Self { passes: true, drops: false, falls: false };
    /// It is dropped.
    pub const DROPS: Self = Self { passes: false, drops: true, falls: false };
    /// It goes on.
    pub const FALLS: Self = Self { passes: false, drops: false, falls: true };
    /// Nobody knows.
    pub const UNKNOWN: Self = Self { passes: true, drops: true, falls: true };

    /// Either this or that.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self { passes: self.passes || other.passes, drops: self.drops || other.drops, falls: self.falls || other.falls }
    }

    /// This, and that where it goes on.
    #[must_use]
    pub const fn then(self, next: Self) -> Self {
        if self.falls { Self { falls: false, ..self }.or(next) } else { self }
    }
}

/// Whether a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matches {
    Yes,
    No,
    Perhaps,
}

impl Match {
    fn matches(&self, packet: &Packet) -> Matches {
        let Self { source, protocol, ports, interface, new, opaque } = self;
        let within = |ports: &[Ports]| ports.iter().any(|p| (p.from..=p.to).contains(&packet.port));
        let no = source.as_ref().is_some_and(|set| !set.contains(packet.source))
            || protocol.is_some_and(|number| number != packet.protocol)
            || (!ports.is_empty() && !within(ports))
            || *new == Some(false)
            // Who comes over the network does not come in through the loopback.
            || interface.as_deref() == Some("lo");
        match (no, *opaque || interface.is_some()) {
            (true, _) => Matches::No,
            (false, true) => Matches::Perhaps,
            (false, false) => Matches::Yes,
        }
    }
}

/// How deep chains call each other at most; the kernel's own limit is the same.
const DEEPEST: u8 = 16;

impl Foreign {
    /// The base chains that packets of a family pass, in order.
    #[must_use]
    pub fn chains(&self, family: Family) -> &[Chain] {
        match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        }
    }

    /// What becomes of a packet on its way through every base chain, when `ours` says what our own chain does with it.
    #[must_use]
    pub fn fate(&self, packet: &Packet, ours: Fate) -> Fate {
        let mut fate = Fate::FALLS;
        for chain in self.chains(packet.family()) {
            let end = if chain.drops { Fate::DROPS } else { Fate::PASSES };
            let here = self.run(&chain.table, &chain.rules, packet, ours, DEEPEST).then(end);
            // Passing one base chain means going on to the next.
            fate = fate.then(Fate { passes: false, drops: here.drops, falls: here.passes });
        }
        let certain = fate.then(Fate::PASSES);
        if self.doubts.is_empty() { certain } else { certain.or(Fate { falls: false, ..Fate::UNKNOWN }) }
    }

    /// Takes away rules of others by their text, as an adoption does.
    pub fn forget(&mut self, texts: &[String]) {
        let gone: std::collections::BTreeSet<&String> = texts.iter().collect();
        for chain in self.ipv4.iter_mut().chain(&mut self.ipv6) {
            chain.rules.retain(|rule| !gone.contains(&rule.text));
        }
    }

    /// Takes our chain out of wherever it is called from, as when it is to be called from elsewhere.
    pub fn unhook(&mut self) {
        let chains = self.ipv4.iter_mut().chain(&mut self.ipv6).map(|chain| &mut chain.rules);
        for rules in chains.chain(self.called.values_mut()) {
            rules.retain(|rule| rule.then != Then::Ours);
        }
    }

    fn run(&self, table: &str, rules: &[Rule], packet: &Packet, ours: Fate, depth: u8) -> Fate {
        let mut fate = Fate::FALLS;
        // What may have become of it where it has left this chain for good, by a return or a goto.
        let mut left = Fate::default();
        for rule in rules {
            if !fate.falls {
                break;
            }
            let matches = rule.when.matches(packet);
            if matches == Matches::No {
                continue;
            }
            let (verdict, stays) = self.verdict(table, &rule.then, packet, ours, depth);
            match (matches, stays) {
                (Matches::Yes, false) => return Fate { falls: false, ..fate }.or(verdict).or(left),
                (_, false) => left = left.or(verdict),
                (Matches::Yes, true) => fate = fate.then(verdict),
                (_, true) => fate = fate.then(verdict.or(Fate::FALLS)),
            }
        }
        fate.or(left)
    }

    /// What a rule's verdict comes to, and whether what falls out of it goes on to the next rule.
    fn verdict(&self, table: &str, then: &Then, packet: &Packet, ours: Fate, depth: u8) -> (Fate, bool) {
        let called = |name: &String| match (depth.checked_sub(1), self.called.get(&format!("{table} {name}"))) {
            (Some(depth), Some(rules)) => self.run(table, rules, packet, ours, depth),
            (None, _) | (_, None) => Fate::UNKNOWN,
        };
        match then {
            Then::Accept => (Fate::PASSES, true),
            Then::Drop => (Fate::DROPS, true),
            Then::Return => (Fate::FALLS, false),
            Then::Jump(name) => (called(name), true),
            Then::Goto(name) => (called(name), false),
            Then::Ours => (ours, true),
            Then::Pass => (Fate::FALLS, true),
            Then::Unknown => (Fate::UNKNOWN, true),
        }
    }
}

impl Traffic {
    /// Whether a packet to the host itself is of this traffic.
    #[must_use]
    pub fn takes(&self, packet: &Packet) -> bool {
        let within = |ports: &Ports| (ports.from..=ports.to).contains(&packet.port);
        self.protocol.is_none_or(|number| number == packet.protocol)
            && (self.ports.is_empty() || self.ports.iter().any(within))
            && self.to.is_none()
    }
}

impl Ruleset {
    /// What our chain does with a packet that begins a connection, in the layout of [`Ruleset`].
    #[must_use]
    pub fn fate(&self, packet: &Packet) -> Fate {
        if !self.settings.families.contains(&packet.family()) {
            return Fate::FALLS;
        }
        let accepts = self.rules.values().any(|rule| {
            rule.traffic.takes(packet) && rule.sources.values().any(|held| held.addresses.contains(packet.source))
        });
        if accepts {
            return Fate::PASSES;
        }
        let named = self.rules.values().any(|rule| rule.traffic.takes(packet));
        let guards = match self.settings.mode {
            Mode::Allow => false,
            Mode::Guard => named,
            Mode::Deny => named && self.settings.established == Established::Cut,
        };
        let icmp = [super::ruleset::ICMP, super::ruleset::ICMPV6].contains(&packet.protocol);
        // Answers of DHCP servers are told by the port they come from, which is not known here.
        let dhcp = packet.protocol == UDP && [68, 546].contains(&packet.port);
        match self.settings.mode {
            _ if guards => Fate::DROPS,
            Mode::Deny if icmp || dhcp => Fate { falls: false, ..Fate::UNKNOWN },
            Mode::Deny => Fate::DROPS,
            Mode::Allow | Mode::Guard => Fate::FALLS,
        }
    }
}

#[cfg(test)]
mod tests;
