//! The plan as a person reads it: risk first, then only what changes, then one line of sums.

use std::fmt::Write;

use super::document::{ChangeDoc, GoalDoc, PlanDoc, World};
use super::rehearsal;
use super::style::{Ink, Style, safe};
use super::words::{Line, changed_lines, in_turn, left_over, mark, range, risk_rows, stories, sums};
use crate::model::Address;
use crate::plan::{Roll, Verb};
use crate::resources::{Edit, Effect, Field, Impact, Refusal};

/// Turns of a roll that are listed before the rest is only counted.
const MOST_TURNS: usize = 12;
/// Addresses that are listed before the rest is only counted.
const LISTED: usize = 4;

/// Writes a plan for the terminal.
#[must_use]
pub fn plan(doc: &PlanDoc, style: Style) -> String {
    let mut page = Page { out: String::new(), goal: doc.goal, style };
    page.head(doc);
    page.refusals(&doc.refusals);
    page.risks(doc);
    for (first, same) in stories(&doc.changes) {
        page.change(first, same);
    }
    page.remarks(doc);
    page.rolls(&doc.rolls);
    page.findings(doc);
    page.foot(doc);
    page.out
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
        let place = if regions.is_empty() { String::new() } else { format!(" in {}", regions.join(", ")) };
        let head = format!("{what} for stack {}{place}{account}{world}", doc.stack);
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
        if let Some(why) = left_over(change, self.goal) {
            let _ = write!(head, "  ({why})");
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

    fn text(&mut self, before: Option<&str>, after: Option<&str>) {
        let Some(lines) = changed_lines(before, after) else {
            self.line("        (not text, or it could not be read)");
            return;
        };
        for line in lines {
            match line {
                Line::Gap => self.line("        …"),
                Line::Added(text) => self.entry(Ink::Good, "+", &text),
                Line::Removed(text) => self.entry(Ink::Bad, "-", &text),
                Line::Same(text) => {
                    let text = format!("          {}", safe(&text));
                    self.line(text.trim_end());
                }
            }
        }
    }

    /// What is to be known of what does not change.
    fn remarks(&mut self, doc: &PlanDoc) {
        for remark in &doc.remarks {
            let text = format!("    {}  note: {}", remark.address, safe(&remark.text));
            self.line(&text);
        }
    }

    /// Who changes in which turn, and how long that may take.
    fn rolls(&mut self, rolls: &[Roll]) {
        for roll in rolls {
            let head = self.style.paint(Ink::Strong, &format!("Members of {} change in turns", roll.by));
            let bound = format!("never fewer than {} of {} in service by our doing", roll.min_healthy, roll.members);
            self.line("");
            self.line(&format!("{head}, {bound}"));
            for (number, turn) in roll.turns.iter().take(MOST_TURNS).enumerate() {
                let text = format!("  {:>2}. {}", number + 1, safe(&in_turn(turn)));
                self.line(&text);
            }
            if let Some(more) = roll.turns.len().checked_sub(MOST_TURNS).filter(|more| *more > 0) {
                self.line(&format!("      and {more} more turns"));
            }
        }
    }

    /// What a rehearsal found, with the calls that lead there.
    fn findings(&mut self, doc: &PlanDoc) {
        for finding in doc.rehearsal.iter().flat_map(|rehearsal| &rehearsal.findings) {
            let words =
                if finding.accepted { "Found by the rehearsal, and accepted" } else { "Found by the rehearsal" };
            let head = self.style.paint(if finding.accepted { Ink::Change } else { Ink::Bad }, words);
            self.line("");
            let order = rehearsal::order(finding, doc);
            let then = if order.is_empty() { "" } else { ", after these calls:" };
            self.line(&format!("{head}: {}{then}", safe(&finding.message)));
            for line in order {
                self.line(&format!("  {}", safe(&line)));
            }
        }
    }

    fn foot(&mut self, doc: &PlanDoc) {
        if !doc.retained.is_empty() {
            let text = format!("  kept, as protected or needed by what is: {}", listed(&doc.retained));
            self.line(&text);
        }
        if !doc.changes.is_empty() || !doc.retained.is_empty() || !doc.remarks.is_empty() {
            self.line("");
        }
        let sums = sums(doc);
        let sums = self.style.paint(Ink::Strong, &sums);
        self.line(&sums);
        for line in rehearsal::lines(doc) {
            self.line(&safe(&line));
        }
        if let Some(hash) = &doc.hash {
            self.line(&format!("plan {hash}"));
        }
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
