//! Our rules on a host, in the one form in which they compare, and the edits that change them.
//!
//! Every rule of ours accepts, so their order does not matter; what is dropped follows from the mode. The layout of our
//! chain, whatever the dialect:
//!
//! 1. the marker: whose it is;
//! 2. `lo` is accepted, where anything is dropped;
//! 3. with `established = keep`: packets of connections that stand are accepted;
//! 4. each rule accepts its traffic from its sources;
//! 5. in mode guard, and in mode deny with `established = cut`: traffic that rules name is dropped from everyone else;
//! 6. in mode deny: packets of connections that stand, ICMP that networks cannot do without (neighbour discovery, path MTU,
//!    echo), and answers to DHCP clients are accepted, and everything else is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::addresses::plain;
use crate::model::net::{Cidr, Ports};
use crate::model::text::Part;
use crate::model::{AddressSet, Family, Region};

/// Everything of ours on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ruleset {
    /// What is true of all rules.
    pub settings: Settings,
    /// The rules.
    #[serde(default, with = "list")]
    #[schemars(with = "Vec<Rule>")]
    pub rules: BTreeMap<RuleKey, Rule>,
}

/// What is true of all rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What becomes of what no rule accepts.
    pub mode: Mode,
    /// What becomes of connections that stand when their source is withdrawn.
    pub established: Established,
    /// The families that are filtered. In the others nothing of ours stands.
    pub families: BTreeSet<Family>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mode: Mode::Allow, established: Established::Keep, families: Family::ALL.into() }
    }
}

/// What becomes of what no rule accepts, the most open first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Others decide.
    Allow,
    /// It is dropped where a rule names its traffic; of the rest others decide.
    Guard,
    /// It is dropped.
    Deny,
}

impl Mode {
    /// The word of the spec.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Guard => "guard",
            Self::Deny => "deny",
        }
    }
}

/// What becomes of connections that stand when their source is withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Established {
    /// They live on.
    Keep,
    /// They are cut.
    Cut,
}

impl Established {
    /// The word of the spec.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Cut => "cut",
        }
    }
}

/// Which rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKey {
    /// One of `always_allow`, counted from 1 in the order of their traffic.
    Always(u16),
    /// A rule by its name, `[a-z][a-z0-9-]{0,30}`.
    Named(String),
    /// What a rule of this name accepted before its traffic changed; it goes when the change is done.
    Former(String),
}

impl fmt::Display for RuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always(number) => write!(f, "always_allow {number}"),
            Self::Named(name) => f.write_str(name),
            Self::Former(name) => write!(f, "{name} (as it was)"),
        }
    }
}

/// One rule: who may send what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which.
    pub key: RuleKey,
    /// What is accepted.
    pub traffic: Traffic,
    /// From whom, by where that is known from. An origin whose set is empty is none.
    #[serde(default, with = "pairs")]
    #[schemars(with = "Vec<(Origin, Held)>")]
    pub sources: BTreeMap<Origin, Held>,
}

/// What a rule accepts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// The protocol by its IANA number; every one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// The destination ports, in order, neither overlapping nor touching; all when empty. Only for TCP, UDP, SCTP and
    /// DCCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Ports>,
    /// The destination, where it is not the host itself: a multicast group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Cidr>,
}

/// TCP's number (<https://www.iana.org/assignments/protocol-numbers>).
pub const TCP: u8 = 6;
/// UDP's number.
pub const UDP: u8 = 17;
/// The number of ICMP for IPv4.
pub const ICMP: u8 = 1;
/// The number of ICMP for IPv6.
pub const ICMPV6: u8 = 58;
/// The protocols whose packets have ports, with their words: TCP, UDP, SCTP, DCCP.
pub const WITH_PORTS: [(u8, &str); 4] = [(TCP, "tcp"), (UDP, "udp"), (132, "sctp"), (33, "dccp")];

impl Traffic {
    /// TCP to one port.
    #[must_use]
    pub fn tcp(port: u16) -> Self {
        Self { protocol: Some(TCP), ports: vec![Ports { from: port, to: port }], to: None }
    }

    /// Puts ports in order and joins those that overlap or touch; all ports are none named.
    #[must_use]
    pub fn normal(mut self) -> Self {
        self.ports.sort();
        let mut joined: Vec<Ports> = Vec::with_capacity(self.ports.len());
        for ports in self.ports {
            match joined.last_mut() {
                Some(last) if ports.from <= last.to.saturating_add(1) => last.to = last.to.max(ports.to),
                _ => joined.push(ports),
            }
        }
        self.ports = if joined == [Ports::ALL] { Vec::new() } else { joined };
        self
    }

    /// Whether it can occur in a family at all.
    #[must_use]
    pub fn fits(&self, family: Family) -> bool {
        let protocol = match self.protocol {
            Some(ICMP) => family == Family::Ipv4,
            Some(ICMPV6) => family == Family::Ipv6,
            Some(_) | None => true,
        };
        protocol && self.to.is_none_or(|to| to.is_v4() == (family == Family::Ipv4))
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            None => f.write_str("everything")?,
            Some(ICMP) => f.write_str("icmp")?,
            Some(ICMPV6) => f.write_str("icmpv6")?,
            Some(number) => match WITH_PORTS.iter().find(|(known, _)| *known == number) {
                Some((_, word)) => f.write_str(word)?,
                None => write!(f, "protocol {number}")?,
            },
        }
        for (at, ports) in self.ports.iter().enumerate() {
            write!(f, "{}{ports}", if at == 0 { " " } else { ", " })?;
        }
        match self.to {
            Some(to) => write!(f, " to {}", plain(&to.into())),
            None => Ok(()),
        }
    }
}

/// Where the addresses of a rule are known from. Each is compared, and kept when it cannot be seen, by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// From the spec and the stack's own resources.
    Spec,
    /// From the instances that a region lists.
    Region(Region),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec => f.write_str("the spec"),
            Self::Region(region) => region.fmt(f),
        }
    }
}

/// Addresses, and since when they are so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The addresses.
    pub addresses: AddressSet,
    /// When they were written, in UTC; a region's alone. It is never compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub seen: Option<Timestamp>,
}

/// A change of our rules. Carried out twice it is as if it had been carried out once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edit {
    /// What shall be true of all rules; as it is when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Rules to be there with these sources at least. One of the same key with other traffic becomes a former one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put: Vec<Rule>,
    /// Addresses to be there, some of which earlier steps tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Addition>,
    /// Addresses to go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<Removal>,
    /// Rules to go.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub drop: BTreeSet<RuleKey>,
}

/// One address to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Addition {
    /// In which rule.
    pub rule: RuleKey,
    /// In which of its sets.
    pub origin: Origin,
    /// The address, or what will tell it.
    pub address: Part,
    /// When this was planned; a region's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub seen: Option<Timestamp>,
}

/// Addresses to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Removal {
    /// From which rule.
    pub rule: RuleKey,
    /// From which of its sets.
    pub origin: Origin,
    /// Which.
    pub addresses: AddressSet,
    /// When this was planned; a region's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub seen: Option<Timestamp>,
}

impl Edit {
    /// Whether it changes nothing, whatever is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { settings, put, add, remove, drop } = self;
        settings.is_none() && put.is_empty() && add.is_empty() && remove.is_empty() && drop.is_empty()
    }
}

impl Ruleset {
    /// The rules after an edit, when `tell` says what stands for an address that was not known when it was planned.
    ///
    /// # Errors
    /// When an address is still not known, or is none.
    pub fn edited(&self, edit: &Edit, tell: impl Fn(&Part) -> Option<String>) -> Result<Self, String> {
        let mut next = self.clone();
        next.edit(edit, tell)?;
        Ok(next)
    }

    /// Carries an edit out on the rules themselves, which costs as much as the edit is large. Where it fails, a part of it
    /// may be done.
    ///
    /// # Errors
    /// As [`Ruleset::edited`].
    pub fn edit(&mut self, edit: &Edit, tell: impl Fn(&Part) -> Option<String>) -> Result<(), String> {
        let Edit { settings, put, add, remove, drop } = edit;
        if let Some(settings) = settings {
            self.settings = settings.clone();
        }
        for rule in put {
            self.put(rule);
        }
        for Addition { rule, origin, address, seen } in add {
            let text = tell(address).ok_or_else(|| "an address is not known yet".to_owned())?;
            let address = text.parse::<std::net::IpAddr>().map_err(|_| format!("`{text}` is no address"))?;
            let Some(rule) = self.rules.get_mut(rule) else { continue };
            let held = rule.sources.entry(origin.clone()).or_default();
            held.addresses.insert(address.into());
            held.seen = seen.or(held.seen);
        }
        for Removal { rule, origin, addresses, seen } in remove {
            let Some(rule) = self.rules.get_mut(rule) else { continue };
            if let Some(held) = rule.sources.get_mut(origin) {
                held.addresses.remove(addresses);
                held.seen = seen.or(held.seen);
            }
        }
        self.rules.retain(|key, _| !drop.contains(key));
        for rule in self.rules.values_mut() {
            rule.sources.retain(|_, held| !held.addresses.is_empty());
        }
        Ok(())
    }

    /// Adds a rule, or its sources to the one that is there.
    fn put(&mut self, rule: &Rule) {
        match self.rules.remove(&rule.key) {
            Some(mut there) if there.traffic == rule.traffic => {
                for (origin, held) in &rule.sources {
                    let mine = there.sources.entry(origin.clone()).or_default();
                    mine.addresses = mine.addresses.union(&held.addresses);
                    mine.seen = held.seen.or(mine.seen);
                }
                self.rules.insert(rule.key.clone(), there);
            }
            Some(there) => {
                let former = match &rule.key {
                    RuleKey::Always(number) => RuleKey::Former(format!("always-{number}")),
                    RuleKey::Named(name) | RuleKey::Former(name) => RuleKey::Former(name.clone()),
                };
                self.rules.insert(former.clone(), Rule { key: former, ..there });
                self.rules.insert(rule.key.clone(), rule.clone());
            }
            None => {
                self.rules.insert(rule.key.clone(), rule.clone());
            }
        }
    }

    /// Whether both let the same through, whenever their addresses were written.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.settings == other.settings
            && self.rules.len() == other.rules.len()
            && self.rules.values().zip(other.rules.values()).all(|(a, b)| a.same_as(b))
    }

    /// How many addresses it holds.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.rules.values().flat_map(|rule| rule.sources.values()).map(|held| held.addresses.len()).sum()
    }
}

impl Rule {
    /// A rule for nobody yet.
    #[must_use]
    pub const fn new(key: RuleKey, traffic: Traffic) -> Self {
        Self { key, traffic, sources: BTreeMap::new() }
    }

    /// Whether both accept the same, origin by origin.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.key == other.key
            && self.traffic == other.traffic
            && self.sources.len() == other.sources.len()
            && self
                .sources
                .iter()
                .zip(&other.sources)
                .all(|((origin, held), (theirs, there))| origin == theirs && held.addresses.same_as(&there.addresses))
    }
}

/// Rules as a list: their key stands in them.
mod list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Rule, RuleKey};

    pub(super) fn serialize<S: Serializer>(rules: &BTreeMap<RuleKey, Rule>, out: S) -> Result<S::Ok, S::Error> {
        rules.values().collect::<Vec<_>>().serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<RuleKey, Rule>, D::Error> {
        let rules = Vec::<Rule>::deserialize(input)?;
        Ok(rules.into_iter().map(|rule| (rule.key.clone(), rule)).collect())
    }
}

/// Maps whose keys are no texts, as pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Held, Origin};

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<Origin, Held>, out: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<Origin, Held>, D::Error> {
        Ok(Vec::<(Origin, Held)>::deserialize(input)?.into_iter().collect())
    }
}
