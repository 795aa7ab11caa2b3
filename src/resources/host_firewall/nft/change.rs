//! What turns our table as it stands into the one that is wanted.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::found::Found;
use super::{INPUT, MARKER, text};
use crate::model::{AddressSet, Family};
use crate::resources::host_firewall::dialect::{Input, Program, Standing, Transaction, Wanted};
use crate::resources::host_firewall::host::Jump;
use crate::resources::host_firewall::layout::Line;
use crate::resources::host_firewall::marker;
use crate::resources::host_firewall::names::Names;

/// The change. New sets come first, and the rules that look at them in a transaction after it: in one that brings both, the
/// kernel shows the rules some microseconds before the elements, and whoever is let in by them is dropped meanwhile.
pub(in super::super) fn change(
    names: &Names,
    found: Option<&Found>,
    standing: Option<&Standing>,
    to: Option<Wanted<'_>>,
) -> Transaction {
    let mut transaction = Transaction::default();
    let from = found.zip(standing);
    let (before, text) = match (from, to) {
        (None, None) => return transaction,
        (Some(_), None) => (String::new(), gone(names)),
        (None, Some(wanted)) => (gone(names) + &text::table_of_sets(names, wanted.rules), chains(names, &wanted)),
        (Some((found, standing)), Some(wanted)) => delta(names, found, standing, &wanted)
            .map(|text| (String::new(), text))
            .or_else(|| swap(names, found, standing, &wanted))
            .unwrap_or_else(|| (String::new(), whole(names, &wanted))),
    };
    if text.is_empty() {
        return transaction;
    }
    if !before.is_empty() {
        transaction.before.push(Input::new(Program::Nft, before));
    }
    transaction.change.push(Input::new(Program::Nft, text));
    transaction.undo.push(undo(names, from));
    transaction
}

/// Our chains, beside sets that are there.
fn chains(names: &Names, wanted: &Wanted<'_>) -> String {
    text::table_of_chains(names, wanted.rules, &marker::write(wanted))
}

/// New sets, and other rules in the chain that is there, with what changes in sets that stay; none where somebody else has had
/// his hands in the table, or there is no chain on both sides.
fn swap(names: &Names, found: &Found, standing: &Standing, wanted: &Wanted<'_>) -> Option<(String, String)> {
    let both = !standing.rules.settings.families.is_empty() && !wanted.rules.settings.families.is_empty();
    let whole = both && standing.edited.is_empty() && standing.jumps.values().all(|jump| *jump == Jump::After(0));
    if !whole {
        return None;
    }
    let table = names.table();
    let (mut before, mut commands) = (Vec::new(), vec![format!("flush chain inet {table} {INPUT}")]);
    let rules = text::lines(wanted.rules).into_iter();
    commands.extend(rules.map(|written| format!("add rule inet {table} {INPUT} {}", text::written(&written))));
    let mut left: BTreeSet<&String> = found.sets.keys().collect();
    for (name, family, addresses) in text::sets(wanted.rules) {
        left.remove(&name);
        let set = format!("inet {table} {name}");
        if let Some((_, there, exact)) = found.sets.get(&name) {
            commands.extend(elements(&set, family, (there, *exact), addresses));
        } else {
            let kind = text::kind(family);
            before.push(format!("add set {set} {{ type {kind}; flags interval; }}"));
            before.push(format!("add element {set} {{ {} }}", text::elements(addresses.of(family))));
        }
    }
    commands.extend(left.into_iter().map(|name| format!("delete set inet {table} {name}")));
    commands.extend(remarked(names, &marker::write(wanted)));
    Some((lines(&before), lines(&commands)))
}

/// The commands that write the marker anew.
fn remarked(names: &Names, notes: &[String]) -> Vec<String> {
    let table = names.table();
    let notes = notes.iter().map(|line| format!("add rule inet {table} {MARKER} {}", text::note(line)));
    std::iter::once(format!("flush chain inet {table} {MARKER}")).chain(notes).collect()
}

fn lines(commands: &[String]) -> String {
    commands.iter().map(|command| format!("{command}\n")).collect()
}

/// The table as a whole, whatever stands there: at every moment the old one or the new one.
pub(in super::super) fn whole(names: &Names, wanted: &Wanted<'_>) -> String {
    format!("{}{}", gone(names), text::table(names, wanted.rules, &marker::write(wanted)))
}

/// Nothing, whatever stands there. A table must be there to be deleted, and to add one that is there is no error.
fn gone(names: &Names) -> String {
    let table = names.table();
    format!("table inet {table}\ndelete table inet {table}\n")
}

/// The way back.
fn undo(names: &Names, from: Option<(&Found, &Standing)>) -> Input {
    match from {
        None => Input::new(Program::Nft, gone(names)),
        Some((_, standing)) if standing.edited.is_empty() => Input::new(Program::Nft, whole(names, &standing.wanted())),
        // What somebody else wrote into our table comes back only in the form in which it was read; if that fails, ours does.
        Some((found, standing)) => Input {
            program: Program::NftJson,
            text: found.exact.clone(),
            otherwise: vec![(Program::Nft, whole(names, &standing.wanted()))],
        },
    }
}

/// The change as one of elements and of the marker alone, so that the counters of everything else go on; none when more is to
/// be changed.
fn delta(names: &Names, found: &Found, standing: &Standing, wanted: &Wanted<'_>) -> Option<String> {
    let lines = |rules| -> Vec<Line> { text::lines(rules).into_iter().map(|(line, _)| line).collect() };
    let sets = text::sets(wanted.rules);
    let whole = standing.edited.is_empty()
        && standing.jumps.values().all(|jump| *jump == Jump::After(0))
        && standing.rules.settings == wanted.rules.settings
        && lines(&standing.rules) == lines(wanted.rules)
        && sets.len() == found.sets.len();
    if !whole {
        return None;
    }
    let table = names.table();
    let mut commands = Vec::new();
    for (name, family, addresses) in sets {
        let (of, there, exact) = found.sets.get(&name)?;
        if *of != family {
            return None;
        }
        commands.extend(elements(&format!("inet {table} {name}"), family, (there, *exact), addresses));
    }
    let notes = marker::write(wanted);
    if notes != found.notes {
        commands.extend(remarked(names, &notes));
    }
    Some(self::lines(&commands))
}

/// What changes in one set. Elements may not overlap, so those that go go first.
fn elements(set: &str, family: Family, (there, exact): (&AddressSet, bool), wanted: &AddressSet) -> Vec<String> {
    let command = |words: &str, nets: Vec<&IpNet>| {
        let listed = text::elements(nets.into_iter());
        (!listed.is_empty()).then(|| format!("{words} element {set} {{ {listed} }}"))
    };
    if !exact {
        let all = command("add", wanted.of(family).collect());
        return [format!("flush set {set}")].into_iter().chain(all).collect();
    }
    let old: BTreeSet<&IpNet> = there.of(family).collect();
    let new: BTreeSet<&IpNet> = wanted.of(family).collect();
    let gone = command("delete", old.difference(&new).copied().collect());
    let come = command("add", new.difference(&old).copied().collect());
    gone.into_iter().chain(come).collect()
}
