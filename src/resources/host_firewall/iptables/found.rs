//! Our chains and sets as a host lists them.

use std::collections::{BTreeMap, BTreeSet};

use super::saved::{IpSet, Saved, SavedRule, Table};
use super::words::{line, note};
use super::{TABLE, sets, text};
use crate::model::Family;
use crate::resources::host_firewall::action::Attach;
use crate::resources::host_firewall::dialect::Standing;
use crate::resources::host_firewall::host::{Backend, Jump};
use crate::resources::host_firewall::layout::{Line, differences};
use crate::resources::host_firewall::marker;
use crate::resources::host_firewall::names::Names;
use crate::resources::host_firewall::nft::{Chain, Listed};

/// What is ours, and what it stands among.
#[derive(Debug, Clone)]
pub(in super::super) struct Found {
    pub(super) names: Names,
    /// Per family that the host can filter.
    pub(super) sides: BTreeMap<Family, Side>,
    /// Our sets by name, those of an interrupted change among them.
    pub(super) sets: BTreeMap<String, IpSet>,
    /// Sets that were to take another's place.
    pub(super) left_over: Vec<String>,
}

/// One family.
#[derive(Debug, Clone, Default)]
pub(super) struct Side {
    /// The rules of our chain, where it stands.
    pub(super) chain: Option<Vec<SavedRule>>,
    /// Those of the chain with the marker.
    pub(super) marker: Option<Vec<SavedRule>>,
    /// Where our chain is called from: the calling rule, and which of its chain it is, counted from 1.
    pub(super) calls: Vec<(SavedRule, usize)>,
    /// All of the table.
    pub(super) table: Table,
}

impl Found {
    /// Finds ours.
    ///
    /// # Errors
    /// When our chain stands in a table that iptables did not list.
    pub(in super::super) fn of(names: &Names, saved: Saved, listed: Option<&Listed>) -> Result<Self, String> {
        let Saved { families, sets } = saved;
        let mut sides = BTreeMap::new();
        for (family, mut tables) in families {
            if !tables.refused.contains(TABLE) {
                sides.insert(family, Side::of(names, tables.tables.remove(TABLE).unwrap_or_default()));
            }
        }
        for (family, word) in [(Family::Ipv4, "ip"), (Family::Ipv6, "ip6")] {
            let table = format!("{word} {TABLE}");
            let is_ours = |chain: &Chain| chain.table == table && chain.name == names.chain();
            if !sides.contains_key(&family) && listed.is_some_and(|listed| listed.chains.iter().any(is_ours)) {
                return Err(format!(
                    "our chain stands in the table `{table}`, which iptables cannot list: it is missing, or nft wrote into it"
                ));
            }
        }
        let mut ours = sets;
        ours.retain(|name, _| name.starts_with(&names.ipset_prefix()));
        let left_over: Vec<String> = ours.keys().filter(|name| sets::is_temporary(name)).cloned().collect();
        ours.retain(|name, _| !sets::is_temporary(name));
        Ok(Self { names: names.clone(), sides, sets: ours, left_over })
    }

    /// What stands there; none when no chain of ours does.
    ///
    /// # Errors
    /// When another version of this program wrote the marker.
    pub(in super::super) fn standing(&self) -> Result<Option<Standing>, String> {
        let Some(first) = self.sides.values().find(|side| side.stands()) else { return Ok(None) };
        let notes: Vec<&Side> = self.sides.values().filter(|side| !side.notes().is_empty()).collect();
        let marker = marker::read(&notes.first().copied().unwrap_or(first).notes())?;
        let mut rules = marker.rules;
        let mut edited = marker.strange;
        for (key, rule) in &mut rules.rules {
            for (origin, held) in &mut rule.sources {
                for family in Family::ALL {
                    if let Some(set) = self.sets.get(&self.names.ipset(key, origin, family)) {
                        held.addresses = held.addresses.union(&sets::addresses(&set.nets));
                    }
                }
            }
            rule.sources.retain(|_, held| !held.addresses.is_empty());
        }
        let attach = marker.attach.unwrap_or(Attach::Input);
        let mut jumps = BTreeMap::new();
        let unwanted = super::change::families(&rules);
        for (family, side) in &self.sides {
            if rules.settings.families.contains(family) {
                jumps.insert(*family, side.jump(text::calling(&attach)));
            }
            if unwanted.contains(family) || side.stands() {
                let written = text::lines(&self.names, &rules, *family);
                let wanted: Vec<Line> = written.into_iter().map(|(line, _)| line).collect();
                edited.extend(side.edits(&wanted));
            }
            if unwanted.contains(family) && side.told() != notes.first().map(|side| side.told()).unwrap_or_default() {
                edited.push(format!("the marker for {family} is another, or missing"));
            }
            if !unwanted.contains(family) && side.stands() {
                edited.push(format!("a chain for {family}"));
            }
        }
        Ok(Some(Standing { backend: Backend::Iptables, tags: marker.tags, attach, rules, jumps, edited }))
    }
}

impl Side {
    fn of(names: &Names, table: Table) -> Self {
        let rules =
            |chain: &str| table.chains.contains_key(chain).then(|| table.rules_of(chain).cloned().collect::<Vec<_>>());
        let (chain, marker) = (rules(&names.chain()), rules(&names.marker_chain()));
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut calls = Vec::new();
        for rule in &table.rules {
            let count = counts.entry(&rule.chain).or_default();
            *count += 1;
            if calls_chain(rule, &names.chain()) {
                calls.push((rule.clone(), *count));
            }
        }
        Self { chain, marker, calls, table }
    }

    /// Whether anything of ours is there.
    pub(super) const fn stands(&self) -> bool {
        self.chain.is_some() || self.marker.is_some()
    }

    /// The lines of the marker.
    pub(super) fn notes(&self) -> Vec<String> {
        let rules = self.marker.iter().flatten();
        rules.filter_map(|rule| note(&rule.words)).map(str::to_owned).collect()
    }

    /// The lines of the marker, save which change wrote it: that differs with each.
    pub(super) fn told(&self) -> Vec<String> {
        self.notes().into_iter().filter(|line| !line.starts_with("change ")).collect()
    }

    /// Our rules as they are read.
    pub(super) fn lines(&self) -> Vec<(Option<Line>, String)> {
        self.chain.iter().flatten().map(|rule| (line(&rule.words), rule.text.clone())).collect()
    }

    fn edits(&self, wanted: &[Line]) -> Vec<String> {
        let mut edits = differences(wanted, &self.lines(), text::rule);
        let strange = self.marker.iter().flatten().filter(|rule| note(&rule.words).is_none());
        edits.extend(strange.map(|rule| rule.text.clone()));
        edits
    }

    /// From where our chain is called, when it shall be from this one.
    pub(super) fn jump(&self, calling: &str) -> Jump {
        match self.calls.as_slice() {
            [(rule, at)] if rule.chain == calling && is_plain(rule) => {
                Jump::After(u32::try_from(at.saturating_sub(1)).unwrap_or(u32::MAX))
            }
            // One that calls it from elsewhere, or not always, is none.
            [] | [_] => Jump::Missing,
            _ => Jump::Several,
        }
    }
}

/// Whether a rule calls a chain.
fn calls_chain(rule: &SavedRule, chain: &str) -> bool {
    let mut words = rule.words.iter().zip(rule.words.iter().skip(1));
    words.any(|(option, value)| (option == "-j" || option == "-g") && value == chain)
}

/// Whether a call is like ours: for every packet, and back.
fn is_plain(rule: &SavedRule) -> bool {
    let options: BTreeSet<&str> = rule.words.iter().map(String::as_str).filter(|word| word.starts_with('-')).collect();
    options.iter().all(|option| ["-m", "--comment", "-j"].contains(option))
        && rule.words.iter().filter(|word| *word == "-m").count() <= 1
}
