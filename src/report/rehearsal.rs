//! What a rehearsal found, in words: one line when all is well, and the order of calls where something is not.

use super::document::PlanDoc;
use crate::plan::rehearsed::{Finding, Rehearsal, Verdict};

/// What could not be rehearsed that is listed before the rest is only counted.
const LISTED: usize = 3;
/// Calls of an order that are listed; the last ones matter most.
const CALLS: usize = 40;

/// One line of what it came to, and one for each thing that was left out.
pub(super) fn lines(doc: &PlanDoc) -> Vec<String> {
    let Some(rehearsal) = &doc.rehearsal else { return Vec::new() };
    let mut lines = Vec::new();
    if rehearsal.verdict != Verdict::NotRehearsed {
        let orders = count(rehearsal.orders, "order");
        let states = count(rehearsal.states, "state");
        lines.push(format!("Rehearsed in {orders}, {states}: {}.", end(rehearsal, doc)));
    }
    lines.extend(rehearsal.not_modelled.iter().take(LISTED).map(|what| format!("Not rehearsed: {what}.")));
    if let Some(more) = rehearsal.not_modelled.len().checked_sub(LISTED).filter(|more| *more > 0) {
        lines.push(format!("Not rehearsed: {more} more, see the JSON."));
    }
    lines
}

fn end(rehearsal: &Rehearsal, doc: &PlanDoc) -> String {
    let refused = rehearsal.findings.iter().filter(|finding| !finding.accepted).count();
    match (refused, rehearsal.findings.len()) {
        (0, 0) if doc.exposures.is_empty() => {
            "converges, nothing exposed, cut off or out of service on the way".to_owned()
        }
        (0, 0) => {
            "converges, nothing exposed, cut off or out of service on the way beyond the exposures above".to_owned()
        }
        (0, accepted) => format!("converges, with {} that {} accepted", count(accepted, "exposure"), are(accepted)),
        (refused, _) => format!("{} must not be", count(refused, "state")),
    }
}

const fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn count(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// The calls that lead to what was found, one a line, in the order in which they were made.
pub(super) fn order(finding: &Finding, doc: &PlanDoc) -> Vec<String> {
    let passed = finding.steps.len().saturating_sub(CALLS);
    let mut lines = Vec::new();
    if passed > 0 {
        lines.push(format!("{}, and then", count(passed, "call")));
    }
    let step = |number: &usize| doc.steps.get(number.checked_sub(1)?);
    for (at, step) in finding.steps.iter().filter_map(step).enumerate().skip(passed) {
        let about = if step.about.is_empty() { String::new() } else { format!(": {}", step.about) };
        lines.push(format!("{:>3}. {} {}{about}", at + 1, step.title, step.address));
    }
    lines
}
