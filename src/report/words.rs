//! Words that every renderer of a plan shares: marks of verbs, sums, members of a group told once, and what differs in a
//! text.

use std::collections::BTreeSet;
use std::fmt::Write;

use similar::{ChangeTag, TextDiff};

use super::document::{ChangeDoc, GoalDoc, PlanDoc, Risk};
use super::style::Ink;
use crate::model::duration::Seconds;
use crate::model::{Address, Kind};
use crate::plan::{LeftOver, Turn, Verb};
use crate::resources::Impact;

/// Lines of a text that are shown around a changed one.
const CONTEXT: usize = 2;

/// The mark and the word of a verb.
pub(super) const fn mark(verb: Verb) -> (&'static str, &'static str, Ink) {
    match verb {
        Verb::NoOp => ("", "no-op", Ink::Faint),
        Verb::Create => ("+", "create", Ink::Good),
        Verb::Adopt => ("<-", "adopt", Ink::Change),
        Verb::Update => ("~", "update", Ink::Change),
        Verb::Replace => ("-/+", "replace", Ink::Bad),
        Verb::Delete => ("-", "delete", Ink::Bad),
        Verb::Release => ("->", "release", Ink::Change),
        Verb::Unknown => ("?", "unknown", Ink::Bad),
    }
}

/// Why an object is left over, where that is not what the plan is for.
pub(super) fn left_over(change: &ChangeDoc, goal: GoalDoc) -> Option<&'static str> {
    match (change.left_over, goal) {
        (Some(LeftOver::Superseded), _) => Some("superseded: another generation stands at its address"),
        // A host is only known from the spec, which names it to say that nothing shall stand there.
        (Some(LeftOver::Orphan), GoalDoc::Converge) if change.region.is_hosts() => Some("absent in the spec"),
        (Some(LeftOver::Orphan), GoalDoc::Converge) => Some("no longer in the spec"),
        (Some(LeftOver::Orphan), GoalDoc::Destroy) | (None, _) => None,
    }
}

/// What happens, in numbers.
pub(super) fn sums(doc: &PlanDoc) -> String {
    let sums = &doc.summary;
    let mut unchanged = format!("{} unchanged", sums.unchanged);
    if sums.left_out > 0 {
        let _ = write!(unchanged, ", {} left out", sums.left_out);
    }
    if !doc.retained.is_empty() {
        let _ = write!(unchanged, ", {} kept", doc.retained.len());
    }
    if sums.steps == 0 && doc.changes.is_empty() {
        let why = if doc.refusals.is_empty() { "Nothing to do" } else { "Nothing is planned" };
        return format!("{why}: {unchanged}.");
    }
    let parts: Vec<String> = [
        (sums.create, "to create"),
        (sums.adopt, "to adopt"),
        (sums.update, "to update"),
        (sums.replace, "to replace"),
        (sums.delete, "to delete"),
        (sums.release, "to release"),
        (sums.unknown, "unknown"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    format!(
        "{}, {unchanged}. {} call{}, at most {} in a row. Impact: {}.",
        parts.join(", "),
        sums.steps,
        if sums.steps == 1 { "" } else { "s" },
        sums.longest_chain,
        sums.impact.word()
    )
}

/// Neighbours that are members of one group to which the same happens: the first, and the others.
pub(super) fn stories(changes: &[ChangeDoc]) -> Vec<(&ChangeDoc, &[ChangeDoc])> {
    let mut stories = Vec::new();
    let mut rest = changes;
    while let Some((first, others)) = rest.split_first() {
        let alike = others.iter().take_while(|next| same_story(first, next)).count();
        let (same, behind) = others.split_at_checked(alike).unwrap_or((others, &[]));
        stories.push((first, same));
        rest = behind;
    }
    stories
}

/// Whether two neighbours are members of one group to which the same happens.
fn same_story(a: &ChangeDoc, b: &ChangeDoc) -> bool {
    let quiet = |change: &ChangeDoc| {
        let told = change.notes.iter().filter(|note| note.impact == Impact::None);
        told.map(|note| note.text.clone()).collect::<Vec<_>>()
    };
    stem(&a.address).is_some()
        && stem(&a.address) == stem(&b.address)
        && (a.verb, &a.region, &a.summary, &a.fields, a.left_over)
            == (b.verb, &b.region, &b.summary, &b.fields, b.left_over)
        && (quiet(a), &a.affected) == (quiet(b), &b.affected)
}

/// The group that an address is probably a member of: its kind, and its name without the number.
fn stem(address: &Address) -> Option<(Kind, String)> {
    let (stem, index) = address.name.as_str().rsplit_once('-')?;
    index.bytes().all(|b| b.is_ascii_digit()).then(|| (address.kind, stem.to_owned()))
}

/// Several addresses of one group in a few words: `instance.web-0 … web-3 (4)`.
pub(super) fn range(first: &Address, last: Option<&Address>, count: usize) -> String {
    match last {
        Some(last) => format!("{first} … {} ({count})", last.name),
        None => first.to_string(),
    }
}

/// Risks, those of members that share one told once.
pub(super) fn risk_rows(risks: &[Risk]) -> Vec<(Impact, String, &str)> {
    let mut rows = Vec::new();
    let mut rest = risks;
    while let Some((first, others)) = rest.split_first() {
        let alike = |next: &&Risk| {
            (next.impact, &next.text) == (first.impact, &first.text)
                && stem(&first.address).is_some()
                && stem(&next.address) == stem(&first.address)
        };
        let same: Vec<&Risk> = others.iter().take_while(alike).collect();
        rows.push((
            first.impact,
            range(&first.address, same.last().map(|last| &last.address), same.len() + 1),
            first.text.as_str(),
        ));
        rest = others.get(same.len()..).unwrap_or_default();
    }
    rows
}

/// A line of a text that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Lines that stay the same are left out here.
    Gap,
    /// It stays.
    Same(String),
    /// It comes.
    Added(String),
    /// It goes.
    Removed(String),
}

/// The lines that differ, with a little of what stands around them; none when neither text is known.
pub(super) fn changed_lines(before: Option<&str>, after: Option<&str>) -> Option<Vec<Line>> {
    let (before, after) = match (before, after) {
        (None, None) => return None,
        (before, after) => (before.unwrap_or_default(), after.unwrap_or_default()),
    };
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for (number, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if number > 0 {
            lines.push(Line::Gap);
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches(['\n', '\r']).to_owned();
            lines.push(match change.tag() {
                ChangeTag::Insert => Line::Added(line),
                ChangeTag::Delete => Line::Removed(line),
                ChangeTag::Equal => Line::Same(line),
            });
        }
    }
    Some(lines)
}

/// One turn of a roll in words: who, how, and how long at most.
pub(super) fn in_turn(turn: &[Turn]) -> String {
    let who: Vec<String> = turn.iter().map(|one| one.member.to_string()).collect();
    let longest = turn.iter().map(|one| one.at_most).max().unwrap_or(Seconds(0));
    let how: BTreeSet<&str> = turn.iter().map(|one| one.change.word()).collect();
    let how: Vec<&str> = how.into_iter().collect();
    format!("{}: {}, up to {} min", who.join(", "), how.join(" and "), longest.0.div_ceil(60))
}
