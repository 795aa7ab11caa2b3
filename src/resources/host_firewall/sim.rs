//! Hosts of the simulated world: what the kernel of each holds, and what the calls do to it.
//!
//! A host keeps the chains of others as they stand, our jumps among them by their name, and the rules of each stack beside
//! them. What one stack sees of it is made from that: its own jump, and the chains of other stacks as foreign ones.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Action;
use super::action::Attach;
use super::host::{Backend, Facts, Peer};
use super::packet::{Chain, Foreign, Packet, Rule, Then};
use super::ruleset::Ruleset;
use crate::model::{CloudId, Family, StackName, Tags};

mod audit;
mod change;
mod view;

pub use audit::problems;
pub use change::{Order, perform};
pub use view::{observed, stance};

/// Where simulated operators come from (RFC 5737).
const OPERATOR: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));
/// The port that they connect to.
const SSH: u16 = 22;

/// A simulated host. One that a world file does not name is a Debian 12 that nobody touched yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Why it cannot be reached; absent when it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// How many more attempts to reach it fail; all of them when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable_for: Option<u32>,
    /// What it can do, and what others have there. One that names none of its programs has those of Debian 12, and one
    /// that is reached by ssh and names no peer sees 192.0.2.10 come to port 22. Our jump in a chain is a rule that jumps
    /// to `portcullis-STACK`.
    pub facts: Facts,
    /// What stands of each stack.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stacks: BTreeMap<StackName, Stand>,
    /// What a boot restores of each stack.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub boot: BTreeMap<StackName, Stand>,
    /// A rule that somebody else puts on top of IPv4's `INPUT` whenever a call comes, as fail2ban would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<Rule>,
}

/// What stands of one stack on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stand {
    /// Whose it is, as the marker says.
    pub tags: Tags,
    /// In which dialect it stands.
    pub backend: Backend,
    /// From where its chain is called.
    #[serde(default = "Stand::usual_attach", skip_serializing_if = "Stand::is_usual")]
    pub attach: Attach,
    /// The rules.
    pub rules: Ruleset,
    /// What somebody added to the chain by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edited: Vec<String>,
}

impl Stand {
    const fn usual_attach() -> Attach {
        Attach::Input
    }

    fn is_usual(attach: &Attach) -> bool {
        *attach == Attach::Input
    }

    /// Whether both are the same, whenever their addresses were written.
    fn same_as(&self, other: &Self) -> bool {
        let Self { tags, backend, attach, rules, edited: _ } = self;
        (tags, backend, attach) == (&other.tags, &other.backend, &other.attach) && rules.same_as(&other.rules)
    }
}

/// What a call is, in the words of whoever carries it out.
#[must_use]
pub const fn api(action: &Action) -> &'static str {
    match action {
        Action::Edit(_) => "host:EditRules",
        Action::Withdraw { .. } => "host:WithdrawRules",
        Action::Tag { .. } => "host:TagRules",
        Action::Reach { .. } => "host:Reach",
    }
}

/// The host that an action is for, where it says so.
#[must_use]
pub fn host_of(action: &Action) -> Option<CloudId> {
    match action {
        Action::Edit(change) => Some(change.target.id()),
        Action::Withdraw { target, .. } | Action::Reach { target } => Some(target.id()),
        Action::Tag { .. } => None,
    }
}

/// The rules of others that an action takes over, by their text.
#[must_use]
pub fn adopts(action: &Action) -> &[String] {
    match action {
        Action::Edit(change) => &change.adopt,
        Action::Withdraw { .. } | Action::Tag { .. } | Action::Reach { .. } => &[],
    }
}

/// The chain of a stack in iptables' tables.
#[must_use]
pub fn chain_of(stack: &StackName) -> String {
    format!("portcullis-{stack}")
}

/// The stack that a jump leads to; none for one that is not ours.
fn stack_of(rule: &Rule) -> Option<StackName> {
    match &rule.then {
        Then::Jump(name) => StackName::new(name.strip_prefix("portcullis-")?).ok(),
        _ => None,
    }
}

/// The table that iptables filters a family in.
const fn filter(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ip filter",
        Family::Ipv6 => "ip6 filter",
    }
}

/// The base chains of a family.
const fn chains_mut(foreign: &mut Foreign, family: Family) -> &mut Vec<Chain> {
    match family {
        Family::Ipv4 => &mut foreign.ipv4,
        Family::Ipv6 => &mut foreign.ipv6,
    }
}

impl Host {
    /// A Debian 12 that nobody touched yet.
    #[must_use]
    pub fn fresh(id: &CloudId) -> Self {
        let mut host = Self::default();
        host.settle(id);
        host
    }

    /// Completes what a hand-written host leaves out.
    pub fn settle(&mut self, id: &CloudId) {
        let Facts { nft, iptables, ipset, peer, .. } = &mut self.facts;
        if nft.is_none() && iptables.is_none() && ipset.is_none() {
            *nft = Some("1.0.6".to_owned());
            *iptables = Some("1.8.9".to_owned());
            *ipset = Some("7.17".to_owned());
        }
        // Of all ids only those of ssh targets are one word that is not `local`.
        if id.as_str() != "local" && !id.as_str().contains(' ') {
            *peer = peer.or(Some(Peer { address: OPERATOR, port: SSH }));
        }
    }

    /// Every rule of others that stands there, by its text.
    pub fn foreign_texts(&self) -> impl Iterator<Item = &str> {
        let Foreign { ipv4, ipv6, called, doubts: _ } = &self.facts.foreign;
        // What stands in both families is one rule.
        let chains = ipv4.iter().chain(ipv6.iter().filter(|chain| !chain.table.starts_with("inet ")));
        let lists = chains.map(|chain| &chain.rules).chain(called.values());
        lists.flatten().filter(|rule| stack_of(rule).is_none()).map(|rule| rule.text.as_str())
    }

    /// One attempt to reach it.
    ///
    /// # Errors
    /// Why it cannot be reached.
    pub fn knock(&mut self) -> Result<(), String> {
        if self.unreachable_for == Some(0) {
            (self.unreachable, self.unreachable_for) = (None, None);
        }
        if let Some(why) = &self.unreachable {
            self.unreachable_for = self.unreachable_for.map(|left| left - 1);
            return Err(why.clone());
        }
        match self.facts.peer {
            Some(peer) if !self.answers() => {
                Err(format!("the connection timed out: the host drops what comes from {}", peer.address))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether its rules let a new connection of its peer through. Where that is not certain they do.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.facts.peer.is_none_or(|peer| {
            let fate = self.fate(&Packet::tcp(peer.address, peer.port));
            fate.passes || !fate.drops
        })
    }

    /// The host after a boot: nothing stands of ours but what it restores. What others have is theirs to restore.
    pub fn reboot(&mut self) {
        for stack in std::mem::take(&mut self.stacks).into_keys() {
            self.unjump(&stack);
        }
        self.facts.pending = None;
        for (stack, stand) in self.boot.clone() {
            self.stand(&stack, stand, true);
        }
    }

    /// Puts the rules of a stack there in the place of what stood of it, its jump on top. A chain to attach to that is not
    /// there is passed over: nothing of ours has an effect then.
    pub fn stand(&mut self, stack: &StackName, stand: Stand, raise: bool) {
        let calls = stand.backend == Backend::Iptables;
        let families = stand.rules.settings.families.iter().filter(|_| calls);
        let places = families.map(|family| (*family, self.place(stack, *family, &stand.attach, raise)));
        let places: Vec<(Family, usize)> = places.collect();
        self.unjump(stack);
        for (family, place) in places {
            self.jump(stack, family, &stand.attach, place);
        }
        self.stacks.insert(stack.clone(), Stand { edited: Vec::new(), ..stand });
    }

    /// After how many rules of others a stack's chain is to be called: as it is where it is called once, else before all.
    fn place(&mut self, stack: &StackName, family: Family, attach: &Attach, raise: bool) -> usize {
        let rules = self.rules_mut(family, attach).map(|rules| rules.iter().map(stack_of).collect::<Vec<_>>());
        let rules = rules.unwrap_or_default();
        let mut ours = rules.iter().enumerate().filter(|(_, caller)| caller.as_ref() == Some(stack));
        match (ours.next(), ours.next()) {
            (Some((place, _)), None) if !raise => place,
            _ => 0,
        }
    }

    /// Takes away what stands of a stack.
    pub fn withdraw(&mut self, stack: &StackName) {
        self.unjump(stack);
        self.stacks.remove(stack);
    }

    /// The rules of a chain that ours can be called from; iptables makes `INPUT` when it is first used.
    pub fn rules_mut(&mut self, family: Family, attach: &Attach) -> Option<&mut Vec<Rule>> {
        let table = filter(family);
        let name = match attach {
            Attach::Input => "INPUT",
            Attach::Chain(name) => name,
        };
        let foreign = &mut self.facts.foreign;
        if foreign.called.contains_key(&format!("{table} {name}")) {
            return foreign.called.get_mut(&format!("{table} {name}"));
        }
        let chains = chains_mut(foreign, family);
        if name == "INPUT" && !chains.iter().any(|chain| is(chain, table, name)) {
            let (table, name) = (table.to_owned(), name.to_owned());
            let at = chains.iter().take_while(|chain| chain.priority <= 0).count();
            chains.insert(at, Chain { table, name, priority: 0, drops: false, rules: Vec::new() });
        }
        chains.iter_mut().find(|chain| is(chain, table, name)).map(|chain| &mut chain.rules)
    }

    /// Whether there is a chain that ours can be called from.
    fn has_chain(&self, family: Family, attach: &Attach) -> bool {
        let table = filter(family);
        match attach {
            Attach::Input => true,
            Attach::Chain(name) if name == "INPUT" => true,
            Attach::Chain(name) => {
                self.facts.foreign.called.contains_key(&format!("{table} {name}"))
                    || self.facts.foreign.chains(family).iter().any(|chain| is(chain, table, name))
            }
        }
    }

    fn jump(&mut self, stack: &StackName, family: Family, attach: &Attach, place: usize) {
        let (name, at) = (chain_of(stack), attach.clone());
        let from = match &at {
            Attach::Input => "INPUT",
            Attach::Chain(name) => name,
        };
        let text = format!("-A {from} -j {name}");
        if let Some(rules) = self.rules_mut(family, attach) {
            let place = place.min(rules.len());
            rules.insert(
                place,
                Rule { text, then: Then::Jump(name), when: super::packet::Match::default(), comment: None },
            );
        }
    }

    /// Takes every jump to a stack's chain away.
    fn unjump(&mut self, stack: &StackName) {
        for rules in lists(&mut self.facts.foreign) {
            rules.retain(|rule| stack_of(rule).as_ref() != Some(stack));
        }
    }
}

fn is(chain: &Chain, table: &str, name: &str) -> bool {
    chain.table == table && chain.name == name
}

/// Every list of rules there is.
fn lists(foreign: &mut Foreign) -> impl Iterator<Item = &mut Vec<Rule>> {
    let chains = foreign.ipv4.iter_mut().chain(&mut foreign.ipv6).map(|chain| &mut chain.rules);
    chains.chain(foreign.called.values_mut())
}
