//! What one stack sees of a simulated host.

use std::collections::{BTreeMap, BTreeSet};

use super::{Host, Stand, chain_of, chains_mut, filter, lists, stack_of};
use crate::model::net::Ports;
use crate::model::{AddressSet, Family, StackName, Tags, Target};
use crate::resources::flow::Stance;
use crate::resources::host_firewall::flows;
use crate::resources::host_firewall::host::{Backend, Boot, Facts, Jump, Observed, Ours};
use crate::resources::host_firewall::packet::{Chain, Fate, Foreign, Match, Packet, Rule, Then};
use crate::resources::host_firewall::ruleset::{Established, ICMP, ICMPV6, Mode, Ruleset, Traffic, UDP};

/// The priority of the base chain of our own tables: before `filter`, at 0.
const OWN_TABLE: i32 = -10;

/// What a stack sees of a host, with the tags of what is its own there.
#[must_use]
pub fn observed(host: &Host, target: &Target, stack: &StackName) -> (Tags, Observed) {
    let stand = host.stacks.get(stack);
    let facts = Facts { foreign: foreign(host, Some(stack)), ..host.facts.clone() };
    let ours = stand.map(|stand| Ours {
        backend: stand.backend,
        attach: stand.attach.clone(),
        rules: stand.rules.clone(),
        jumps: jumps(stand, &facts.foreign),
        edited: stand.edited.clone(),
        boot: match host.boot.get(stack) {
            None => Boot::Nothing,
            Some(saved) if saved.same_as(stand) => Boot::Current,
            Some(_) => Boot::Other,
        },
    });
    let tags = stand.map(|stand| stand.tags.clone()).unwrap_or_default();
    (tags, Observed { target: target.clone(), facts, ours })
}

impl Host {
    /// What becomes of a packet that comes to it, by the rules of everybody.
    #[must_use]
    pub fn fate(&self, packet: &Packet) -> Fate {
        foreign(self, None).fate(packet, Fate::FALLS)
    }
}

impl Host {
    /// The host that a stack saw: the way back from [`observed`]. What stands of other stacks is there as rules of others.
    #[must_use]
    pub fn recalled(tags: &Tags, body: &Observed, stack: &StackName) -> Self {
        let mut facts = body.facts.clone();
        for chains in [&mut facts.foreign.ipv4, &mut facts.foreign.ipv6] {
            chains.retain(|chain| chain.table != table_of(stack));
        }
        for rule in lists(&mut facts.foreign).flatten().filter(|rule| rule.then == Then::Ours) {
            rule.then = Then::Jump(chain_of(stack));
        }
        let mut host = Self { facts, ..Self::default() };
        let Some(ours) = &body.ours else { return host };
        let Ours { backend, attach, rules, jumps: _, edited, boot } = ours.clone();
        let stand = Stand { tags: tags.clone(), backend, attach, rules, edited };
        match boot {
            Boot::Nothing => {}
            Boot::Current => {
                host.boot.insert(stack.clone(), stand.clone());
            }
            // Nobody read what it is: only that it is something else.
            Boot::Other => {
                host.boot.insert(stack.clone(), Stand { tags: Tags::new(), ..stand.clone() });
            }
        }
        host.stacks.insert(stack.clone(), stand);
        host
    }
}

/// What the rules of a stack let into a host.
#[must_use]
pub fn stance(host: &Host, stack: &StackName) -> Stance {
    Stance::Filter(flows::filter(host.stacks.get(stack).map(|stand| &stand.rules)))
}

/// The rules of everybody but `own`, whose chain is only marked where it is called from.
fn foreign(host: &Host, own: Option<&StackName>) -> Foreign {
    let mut foreign = host.facts.foreign.clone();
    if let Some(own) = own {
        for rule in lists(&mut foreign).flatten() {
            if stack_of(rule).as_ref() == Some(own) {
                rule.then = Then::Ours;
            }
        }
    }
    for (stack, stand) in &host.stacks {
        let is_own = own == Some(stack);
        for family in &stand.rules.settings.families {
            match stand.backend {
                Backend::Iptables if is_own => {}
                Backend::Iptables => {
                    let name = format!("{} {}", filter(*family), chain_of(stack));
                    foreign.called.insert(name, rendered(&stand.rules, *family));
                }
                Backend::Nftables => {
                    let rules = if is_own { vec![own_chain()] } else { rendered(&stand.rules, *family) };
                    add_table(chains_mut(&mut foreign, *family), stack, rules);
                }
            }
        }
    }
    foreign
}

/// Adds the base chain of a table of ours where its priority puts it.
fn add_table(chains: &mut Vec<Chain>, stack: &StackName, rules: Vec<Rule>) {
    let table = table_of(stack);
    let at = chains.iter().take_while(|chain| chain.priority <= OWN_TABLE).count();
    chains.insert(at, Chain { table, name: "input".to_owned(), priority: OWN_TABLE, drops: false, rules });
}

/// The table of our own that a stack has in nftables.
fn table_of(stack: &StackName) -> String {
    format!("inet portcullis_{}", stack.as_str().replace('-', "_"))
}

fn own_chain() -> Rule {
    Rule { text: "our rules".to_owned(), when: Match::default(), then: Then::Ours, comment: None }
}

/// From where our chain is called, in each family that is filtered.
fn jumps(stand: &Stand, foreign: &Foreign) -> BTreeMap<Family, Jump> {
    let families: &BTreeSet<Family> = &stand.rules.settings.families;
    let jump = |family: Family| {
        if stand.backend == Backend::Nftables {
            return Jump::After(0);
        }
        let of_family = |name: &String| name.starts_with(filter(family));
        let called = foreign.called.iter().filter(|(name, _)| of_family(name)).map(|(_, rules)| rules);
        let chains = foreign.chains(family).iter().map(|chain| &chain.rules).chain(called);
        let found = chains.flat_map(|rules| rules.iter().enumerate().filter(|(_, rule)| rule.then == Then::Ours));
        match found.map(|(at, _)| at).collect::<Vec<_>>().as_slice() {
            [] => Jump::Missing,
            [at] => Jump::After(u32::try_from(*at).unwrap_or(u32::MAX)),
            _ => Jump::Several,
        }
    };
    families.iter().map(|family| (*family, jump(*family))).collect()
}

/// The rules of a stack as another one reads them, in the layout of [`Ruleset`].
fn rendered(rules: &Ruleset, family: Family) -> Vec<Rule> {
    let settings = &rules.settings;
    let stands = Match { new: Some(false), ..Match::default() };
    let mut all = vec![rule("marker", Match::default(), Then::Pass)];
    if settings.mode != Mode::Allow {
        all.push(rule("loopback", Match { interface: Some("lo".to_owned()), ..Match::default() }, Then::Accept));
    }
    if settings.established == Established::Keep {
        all.push(rule("what stands", stands.clone(), Then::Accept));
    }
    let fitting = || rules.rules.values().filter(|one| one.traffic.fits(family));
    for one in fitting() {
        for held in one.sources.values() {
            let sources: AddressSet = held.addresses.of(family).copied().collect();
            if !sources.is_empty() {
                let when = Match { source: Some(sources), ..matched(&one.traffic) };
                all.push(rule(&one.key.to_string(), when, Then::Accept));
            }
        }
    }
    let cuts = settings.mode == Mode::Deny && settings.established == Established::Cut;
    if settings.mode == Mode::Guard || cuts {
        all.extend(fitting().map(|one| rule(&format!("{} drop", one.traffic), matched(&one.traffic), Then::Drop)));
    }
    if settings.mode == Mode::Deny {
        let icmp = if family == Family::Ipv4 { ICMP } else { ICMPV6 };
        let vital = Match { protocol: Some(icmp), opaque: true, ..Match::default() };
        let dhcp = if family == Family::Ipv4 { 68 } else { 546 };
        let ports = vec![Ports { from: dhcp, to: dhcp }];
        let dhcp = Match { protocol: Some(UDP), ports, opaque: true, ..Match::default() };
        let end = [(stands, Then::Accept), (vital, Then::Accept), (dhcp, Then::Accept), (Match::default(), Then::Drop)];
        all.extend(end.into_iter().map(|(when, then)| rule("deny", when, then)));
    }
    all
}

fn matched(traffic: &Traffic) -> Match {
    // A destination is more than packets are followed by here.
    let Traffic { protocol, ports, to } = traffic;
    Match { protocol: *protocol, ports: ports.clone(), opaque: to.is_some(), ..Match::default() }
}

fn rule(what: &str, when: Match, then: Then) -> Rule {
    Rule { text: what.to_owned(), when, then, comment: None }
}
