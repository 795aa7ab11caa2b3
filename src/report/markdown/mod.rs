//! The plan as a comment on a pull request: what goes, what is refused and what hurts first, then a table, then everything
//! else folded.
//!
//! What others wrote stays text. Within a budget of bytes the mildest details are left out first, and what goes, what is
//! lost and what is refused never.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::document::{ChangeDoc, GoalDoc, PlanDoc, Remark, Risk, World};
use super::edges;
use super::rehearsal;
use super::style::safe;
use super::words::{in_turn, left_over, mark, range, risk_rows, stories, sums};
use crate::model::Address;
use crate::plan::rehearsed::Finding;
use crate::plan::{Roll, Turn, Verb};
use crate::resources::{Edit, Effect, Field, Impact, Refusal};
use budget::{Piece, Rank, Section, fit};
use escape::{code, fence, prose};

mod budget;
mod detail;
mod escape;
#[cfg(test)]
mod tests;

/// How many bytes a page may have, unless one is told: GitHub refuses a comment of more than 65,536 characters, and
/// whoever posts one may want to add to it.
pub const BUDGET: usize = 60_000;

/// Addresses and fields that are listed before the rest is only counted.
const LISTED: usize = 4;

/// Writes a plan in GitHub's Markdown, in so many bytes where that is possible.
#[must_use]
pub fn plan(doc: &PlanDoc, budget: usize) -> String {
    let marker = format!("<!-- portcullis:plan {} -->\n", doc.stack);
    if is_empty(doc) {
        return format!("{marker}{} {}\n{}", head(doc, "**", "**."), sums(doc), hash(doc));
    }
    let mut sections = vec![Section {
        head: marker,
        pieces: vec![Piece::new(
            Rank::Never,
            format!("{}\n\n{}\n{}\n{}", head(doc, "### ", ""), sums(doc), hash(doc), told(doc)),
        )],
        foot: "",
    }];
    sections.push(Section::list("Could not be seen", unseen(doc)));
    sections.push(Section::list("Refused", doc.refusals.iter().map(refusal).collect()));
    sections.extend(findings(doc));
    sections.push(Section::list("What goes", doc.changes.iter().filter_map(|change| going(change, doc)).collect()));
    sections.push(Section::list("Risk", risks(doc)));
    sections.push(Section::list("What becomes reachable", doc.changes.iter().flat_map(opened).collect()));
    sections.extend(doc.rolls.iter().map(roll));
    sections.push(Section::list("Kept, as protected or needed by what is", kept(doc)));
    sections.push(table(doc));
    sections.push(Section::list("To be known", doc.remarks.iter().map(remark).collect()));
    sections.push(Section {
        pieces: stories(&doc.changes).into_iter().filter_map(|(change, same)| detail::piece(change, same)).collect(),
        ..Section::default()
    });
    sections.push(Section { pieces: steps(doc).into_iter().collect(), ..Section::default() });
    fit(&sections, budget)
}

/// By what name an apply knows this plan and no other.
fn hash(doc: &PlanDoc) -> String {
    doc.hash.as_ref().map(|hash| format!("Plan {}\n", code(hash))).unwrap_or_default()
}

/// Whether there is nothing to tell but that there is nothing.
fn is_empty(doc: &PlanDoc) -> bool {
    let trouble = !(doc.refusals.is_empty() && doc.unseen.is_empty());
    let risk = !(doc.risks.is_empty() && doc.exposures.is_empty());
    !trouble
        && !risk
        && doc.remarks.is_empty()
        && doc.changes.is_empty()
        && doc.retained.is_empty()
        && doc.steps.is_empty()
}

/// What the page is about, the plan's name between two marks.
fn head(doc: &PlanDoc, before: &str, behind: &str) -> String {
    let what = match doc.goal {
        GoalDoc::Converge => "Plan",
        GoalDoc::Destroy => "Plan to destroy",
    };
    let regions: Vec<String> = doc.regions.iter().map(|region| code(region.as_str())).collect();
    let place = if regions.is_empty() { String::new() } else { format!(" in {}", regions.join(", ")) };
    let account =
        doc.account.as_ref().map(|account| format!(", account {}", code(&account.to_string()))).unwrap_or_default();
    let world = match doc.world {
        World::Aws => "",
        World::Simulated => " (simulated world)",
    };
    format!("{before}{what} for stack {}{place}{account}{world}{behind}", code(doc.stack.as_str()))
}

fn unseen(doc: &PlanDoc) -> Vec<Piece> {
    let line = |unseen: &crate::resources::snapshot::Unseen| {
        Piece::new(Rank::Never, format!("- {}: {}\n", code(unseen.region.as_str()), prose(&unseen.why)))
    };
    doc.unseen.iter().map(line).collect()
}

fn refusal(refusal: &Refusal) -> Piece {
    let Refusal { kind: _, address, message, hint } = refusal;
    let at = address.as_ref().map_or_else(|| "**the plan**".to_owned(), |address| code(&address.to_string()));
    let hint = hint.as_ref().map(|hint| format!("<br>hint: {}", prose(hint))).unwrap_or_default();
    Piece::new(Rank::Never, format!("- {at}: {}{hint}\n", prose(message)))
}

/// What a rehearsal came to.
fn told(doc: &PlanDoc) -> String {
    let lines: Vec<String> = rehearsal::lines(doc).iter().map(|line| prose(line)).collect();
    if lines.is_empty() { String::new() } else { format!("{}\n\n", lines.join("<br>\n")) }
}

/// What a rehearsal found, with the calls that lead there.
fn findings(doc: &PlanDoc) -> Option<Section> {
    let found = doc.rehearsal.as_ref().map(|rehearsal| &rehearsal.findings).filter(|found| !found.is_empty())?;
    let piece = |finding: &Finding| {
        let accepted = if finding.accepted { "Accepted: " } else { "" };
        let order = rehearsal::order(finding, doc).join("\n");
        let then = if order.is_empty() { "" } else { ", after these calls:" };
        let order = if order.is_empty() { order } else { fence("text", &safe(&order)) };
        Piece::new(Rank::Never, format!("{accepted}{}{then}\n\n{order}\n", prose(&finding.message)))
    };
    Some(Section {
        head: "#### Found by the rehearsal\n\n".to_owned(),
        pieces: found.iter().map(piece).collect(),
        foot: "",
    })
}

/// A line for an object that goes; none for any other change. Nobody shall have to look for these.
fn going(change: &ChangeDoc, doc: &PlanDoc) -> Option<Piece> {
    if !matches!(change.verb, Verb::Replace | Verb::Delete) {
        return None;
    }
    let (_, word, _) = mark(change.verb);
    let mut line = format!("- **{word}** {}", code(&change.address.to_string()));
    if let Some(object) = &change.object {
        let _ = write!(line, " {}", code(object.as_str()));
    }
    if doc.regions.len() > 1 {
        let _ = write!(line, " in {}", code(change.region.as_str()));
    }
    let why: BTreeSet<&str> =
        change.fields.iter().filter(|field| field.effect == Effect::Replace).map(|field| field.name.as_str()).collect();
    if !why.is_empty() {
        let why: Vec<String> = why.into_iter().map(code).collect();
        let _ = write!(line, " for {}", why.join(", "));
    }
    if let Some(why) = left_over(change, doc.goal) {
        let _ = write!(line, ", {why}");
    }
    Some(Piece::new(Rank::Never, line + "\n"))
}

/// Everything that hurts somebody. Who loses data is named one by one.
fn risks(doc: &PlanDoc) -> Vec<Piece> {
    let line = |impact: Impact, who: &str, text: &str| {
        let rank = if impact == Impact::DataLoss { Rank::Never } else { Rank::Risk(impact) };
        Piece::new(rank, format!("- **{}** {}: {}\n", impact.word(), code(who), prose(text)))
    };
    let (lost, others): (Vec<Risk>, Vec<Risk>) =
        doc.risks.iter().cloned().partition(|risk| risk.impact == Impact::DataLoss);
    let mut pieces: Vec<Piece> =
        lost.iter().map(|risk| line(risk.impact, &risk.address.to_string(), &risk.text)).collect();
    pieces.extend(risk_rows(&others).into_iter().map(|(impact, who, text)| line(impact, &who, text)));
    let exposure = |text: &String| Piece::new(Rank::Exposure, format!("- **exposure** {}\n", prose(text)));
    pieces.extend(doc.exposures.iter().map(exposure));
    pieces
}

/// What a change lets in: a field that says who may come in has an entry more, or something listens where nothing did.
fn opened(change: &ChangeDoc) -> Vec<Piece> {
    let entry = |field: &Field| match &field.edit {
        Edit::Added(text) => opens(&field.name).then(|| text.clone()),
        Edit::Value { before, after } => {
            let port = field.name.strip_prefix("listeners.")?;
            let fresh = before.is_none() && port.bytes().all(|b| b.is_ascii_digit());
            after.as_ref().filter(|_| fresh).map(|text| format!("port {port}: {text}"))
        }
        Edit::Removed(_) | Edit::Text { .. } | Edit::Hidden => None,
    };
    let line =
        |text: String| Piece::new(Rank::Opened, format!("- {} {}\n", code(&change.address.to_string()), code(&text)));
    change.fields.iter().filter_map(entry).map(line).collect()
}

/// Whether an entry more in a field lets somebody in.
fn opens(field: &str) -> bool {
    field == "ingress" || ["rules.", "always_allow."].iter().any(|start| field.starts_with(start))
}

/// What is to be known of what does not change.
fn remark(remark: &Remark) -> Piece {
    Piece::new(Rank::Never, format!("- {}: {}\n", code(&remark.address.to_string()), prose(&remark.text)))
}

/// Who changes in which turn, and how long that may take.
fn roll(roll: &Roll) -> Section {
    let turns = roll.turns.iter().enumerate();
    let head = format!(
        "#### Members of {} change in turns\n\nNever fewer than {} of {} in service by our doing.\n\n",
        code(&roll.by.to_string()),
        roll.min_healthy,
        roll.members
    );
    let piece = |(number, turn): (usize, &Vec<Turn>)| {
        Piece::new(Rank::Turns, format!("{}. {}\n", number + 1, prose(&in_turn(turn))))
    };
    Section { head, pieces: turns.map(piece).collect(), foot: "\n" }
}

fn kept(doc: &PlanDoc) -> Vec<Piece> {
    if doc.retained.is_empty() {
        return Vec::new();
    }
    vec![Piece::new(Rank::Never, format!("- {}\n", listed(&doc.retained)))]
}

fn table(doc: &PlanDoc) -> Section {
    let row = |(change, same): (&ChangeDoc, &[ChangeDoc])| {
        let (mark, word, _) = mark(change.verb);
        let who = range(&change.address, same.last().map(|last| &last.address), same.len() + 1);
        let place = if doc.regions.len() > 1 { format!(" in {}", code(change.region.as_str())) } else { String::new() };
        let impact = std::iter::once(change).chain(same).map(|change| change.impact).max().unwrap_or_default();
        let hard = if impact == Impact::None { "" } else { impact.word() };
        Piece {
            rank: Rank::Row(impact, weight(change.verb)),
            text: format!("| `{mark}` {word} | {}{place} | {} | {hard} |\n", code(&who), gist(change, doc.goal)),
            count: same.len() + 1,
        }
    };
    Section {
        head: "#### Changes\n\n| | resource | what | impact |\n|---|---|---|---|\n".to_owned(),
        pieces: stories(&doc.changes).into_iter().map(row).collect(),
        foot: "\n",
    }
}

/// How much a verb does, the least first.
const fn weight(verb: Verb) -> u8 {
    match verb {
        Verb::NoOp => 0,
        Verb::Adopt => 1,
        Verb::Create => 2,
        Verb::Update => 3,
        Verb::Release => 4,
        Verb::Replace => 5,
        Verb::Delete => 6,
        Verb::Unknown => 7,
    }
}

/// What a change is about, in a table's cell.
fn gist(change: &ChangeDoc, goal: GoalDoc) -> String {
    if change.verb == Verb::Create || (change.verb == Verb::Adopt && change.fields.is_empty()) {
        return prose(&change.summary);
    }
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for field in &change.fields {
        let (added, removed) = counts.entry(field.name.as_str()).or_default();
        match field.edit {
            Edit::Added(_) => *added += 1,
            Edit::Removed(_) => *removed += 1,
            Edit::Value { .. } | Edit::Text { .. } | Edit::Hidden => {}
        }
    }
    let more = counts.len().saturating_sub(LISTED);
    let mut parts: Vec<String> = counts
        .into_iter()
        .take(LISTED)
        .map(|(name, count)| match count {
            (0, 0) => code(name),
            (added, 0) => format!("{} +{added}", code(name)),
            (0, removed) => format!("{} -{removed}", code(name)),
            (added, removed) => format!("{} +{added} -{removed}", code(name)),
        })
        .collect();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    parts.extend(left_over(change, goal).map(str::to_owned));
    parts.join(", ")
}

/// The order of the calls, folded.
fn steps(doc: &PlanDoc) -> Option<Piece> {
    let count = doc.steps.len();
    if count == 0 {
        return None;
    }
    let calls = if count == 1 { "call" } else { "calls" };
    let text = format!(
        "<details><summary>The order of {count} {calls}</summary>\n\n{}\n</details>\n",
        fence("text", &safe(&edges::text(doc)))
    );
    Some(Piece { rank: Rank::Steps, text, count })
}

/// The first few addresses, and how many more.
fn listed(addresses: &[Address]) -> String {
    let shown: Vec<String> = addresses.iter().take(LISTED).map(|address| code(&address.to_string())).collect();
    match addresses.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
