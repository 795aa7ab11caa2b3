//! The plan as a person reads it: risk first, then only what changes, then one line of sums.

use std::fmt::Write;

use similar::{ChangeTag, TextDiff};

use super::document::{ChangeDoc, GoalDoc, PlanDoc, Risk, World};
use super::style::{Ink, Style, safe};
use crate::model::{Address, Kind};
use crate::plan::{LeftOver, Verb};
use crate::resources::{Edit, Effect, Field, Impact, Refusal};

/// Lines of a text that are shown around a changed one.
const CONTEXT: usize = 2;
/// Addresses that are listed before the rest is only counted.
const LISTED: usize = 4;

/// Writes a plan for the terminal.
#[must_use]
pub fn plan(doc: &PlanDoc, style: Style) -> String {
    let mut page = Page { out: String::new(), goal: doc.goal, style };
    page.head(doc);
    page.refusals(&doc.refusals);
    page.risks(doc);
    let mut changes = doc.changes.as_slice();
    while let Some((first, rest)) = changes.split_first() {
        let alike = rest.iter().take_while(|next| same_story(first, next)).count();
        let (same, others) = rest.split_at_checked(alike).unwrap_or((rest, &[]));
        page.change(first, same);
        changes = others;
    }
    page.foot(doc);
    page.out
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
fn range(first: &Address, last: Option<&Address>, count: usize) -> String {
    match last {
        Some(last) => format!("{first} … {} ({count})", last.name),
        None => first.to_string(),
    }
}

/// Risks, those of members that share one told once.
fn risk_rows(risks: &[Risk]) -> Vec<(Impact, String, &str)> {
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

struct Page {
    out: String,
    goal: GoalDoc,
    style: Style,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn head(&mut self, doc: &PlanDoc) {
        let what = match doc.goal {
            GoalDoc::Converge => "Plan",
            GoalDoc::Destroy => "Plan to destroy",
        };
        let regions: Vec<String> = doc.regions.iter().map(ToString::to_string).collect();
        let account = doc.account.as_ref().map(|account| format!(", account {account}")).unwrap_or_default();
        let world = match doc.world {
            World::Aws => "",
            World::Simulated => " (simulated world)",
        };
        let head = format!("{what} for stack {} in {}{account}{world}", doc.stack, regions.join(", "));
        let head = self.style.paint(Ink::Strong, &head);
        self.line(&head);
        for unseen in &doc.unseen {
            let text = format!("could not see {}: {}", unseen.region, safe(&unseen.why));
            let text = self.style.paint(Ink::Bad, &text);
            self.line(&text);
        }
        self.line("");
    }

    fn refusals(&mut self, refusals: &[Refusal]) {
        if refusals.is_empty() {
            return;
        }
        let head = self.style.paint(Ink::Bad, "Refused");
        self.line(&head);
        for refusal in refusals {
            let text = super::outcome::refusal(refusal);
            self.line(&indent(&text, 2));
        }
        self.line("");
    }

    fn risks(&mut self, doc: &PlanDoc) {
        if doc.risks.is_empty() && doc.exposures.is_empty() {
            return;
        }
        let head = self.style.paint(Ink::Strong, "Risk");
        self.line(&head);
        let rows = risk_rows(&doc.risks);
        let width = rows.iter().map(|(_, who, _)| who.chars().count()).max().unwrap_or_default();
        for (impact, who, text) in rows {
            let ink = if impact >= Impact::Downtime { Ink::Bad } else { Ink::Change };
            let word = self.style.paint(ink, &format!("{:<9}", impact.word()));
            let text = format!("  {word}  {who:<width$}  {}", safe(text));
            self.line(&text);
        }
        for exposure in &doc.exposures {
            let word = self.style.paint(Ink::Bad, "exposure ");
            let text = format!("  {word}  {}", safe(exposure));
            self.line(&text);
        }
        self.line("");
    }

    fn change(&mut self, change: &ChangeDoc, same: &[ChangeDoc]) {
        let (mark, word, ink) = mark(change.verb);
        let mark = self.style.paint(ink, &format!("{mark:>3} {word}"));
        let who = range(&change.address, same.last().map(|last| &last.address), same.len() + 1);
        let mut head = format!("{mark} {}", self.style.paint(Ink::Strong, &who));
        if let Some(object) = change.object.as_ref().filter(|_| same.is_empty()) {
            let _ = write!(head, "  {object}");
        }
        match change.left_over {
            Some(LeftOver::Orphan) if self.goal == GoalDoc::Converge => head.push_str("  (no longer in the spec)"),
            Some(LeftOver::Superseded) => head.push_str("  (superseded: another generation stands at its address)"),
            Some(LeftOver::Orphan) | None => {}
        }
        if change.verb == Verb::Create && !change.summary.is_empty() {
            let _ = write!(head, "  {}", self.style.paint(Ink::Faint, &safe(&change.summary)));
        }
        self.line(&head);
        self.fields(&change.fields);
        for note in change.notes.iter().filter(|note| note.impact == Impact::None) {
            let text = format!("      note: {}", safe(&note.text));
            self.line(&text);
        }
        if !change.affected.is_empty() {
            let text = format!("      also for {}", listed(&change.affected));
            self.line(&text);
        }
    }

    fn fields(&mut self, fields: &[Field]) {
        let mut last = "";
        for field in fields {
            let effect = match field.effect {
                Effect::InPlace => "",
                Effect::Restart => "  (restarts)",
                Effect::Replace => "  (replaces)",
            };
            let listing = matches!(field.edit, Edit::Added(_) | Edit::Removed(_));
            if listing && field.name != last {
                let head = format!("      {}:{effect}", field.name);
                self.line(&head);
            }
            last = if listing { &field.name } else { "" };
            match &field.edit {
                Edit::Value { before, after } => {
                    let show =
                        |value: &Option<String>| value.as_ref().map_or_else(|| "(none)".to_owned(), |text| safe(text));
                    let text = format!("      {}: {} -> {}{effect}", field.name, show(before), show(after));
                    self.line(&text);
                }
                Edit::Added(text) => self.entry(Ink::Good, "+", text),
                Edit::Removed(text) => self.entry(Ink::Bad, "-", text),
                Edit::Hidden => {
                    let text = format!("      {}: (sensitive, not shown){effect}", field.name);
                    self.line(&text);
                }
                Edit::Text { before, after } => {
                    let head = format!("      {}:{effect}", field.name);
                    self.line(&head);
                    self.text(before.as_deref(), after.as_deref());
                }
            }
        }
    }

    fn entry(&mut self, ink: Ink, mark: &str, text: &str) {
        let text = self.style.paint(ink, &format!("{mark} {}", safe(text)));
        let text = format!("        {text}");
        self.line(&text);
    }

    /// The lines that differ, with a little of what stands around them.
    fn text(&mut self, before: Option<&str>, after: Option<&str>) {
        let (before, after) = match (before, after) {
            (None, None) => {
                self.line("        (not text, or it could not be read)");
                return;
            }
            (before, after) => (before.unwrap_or_default(), after.unwrap_or_default()),
        };
        let diff = TextDiff::from_lines(before, after);
        for (number, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
            if number > 0 {
                self.line("        …");
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let line = change.value().trim_end_matches(['\n', '\r']);
                match change.tag() {
                    ChangeTag::Insert => self.entry(Ink::Good, "+", line),
                    ChangeTag::Delete => self.entry(Ink::Bad, "-", line),
                    ChangeTag::Equal => {
                        let text = format!("          {}", safe(line));
                        self.line(text.trim_end());
                    }
                }
            }
        }
    }

    fn foot(&mut self, doc: &PlanDoc) {
        if !doc.retained.is_empty() {
            let text = format!("  kept, as protected or needed by what is: {}", listed(&doc.retained));
            self.line(&text);
        }
        if !doc.changes.is_empty() || !doc.retained.is_empty() {
            self.line("");
        }
        let sums = sums(doc);
        let sums = self.style.paint(Ink::Strong, &sums);
        self.line(&sums);
    }
}

/// The last line: what happens, in numbers.
fn sums(doc: &PlanDoc) -> String {
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

/// The mark and the word of a verb.
const fn mark(verb: Verb) -> (&'static str, &'static str, Ink) {
    match verb {
        Verb::NoOp => ("", "no-op", Ink::Faint),
        Verb::Create => ("+", "create", Ink::Good),
        Verb::Adopt => ("<-", "adopt", Ink::Change),
        Verb::Update => ("~", "update", Ink::Change),
        Verb::Replace => ("-/+", "replace", Ink::Bad),
        Verb::Delete => ("-", "delete", Ink::Bad),
        Verb::Release => ("->", "release", Ink::Change),
    }
}

/// The first few addresses, and how many more.
fn listed(addresses: &[Address]) -> String {
    let shown: Vec<String> = addresses.iter().take(LISTED).map(ToString::to_string).collect();
    match addresses.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn indent(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    text.lines().map(|line| format!("{pad}{line}")).collect::<Vec<_>>().join("\n")
}
