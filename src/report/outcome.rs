//! What an apply did, for the terminal and for machines.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::World;
use super::style::{Ink, Style, safe};
use crate::apply::{Event, Outcome, StepOutcome};
use crate::model::{Address, CloudId, Region, StackName};
use crate::plan::{Plan, Step, StepId};
use crate::port::{Outputs, ProviderError};
use crate::resources::Refusal;

/// The version of the document.
pub const FORMAT_VERSION: u32 = 1;

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutcomeDoc {
    /// The version of this document.
    pub format_version: u32,
    /// Which world it acted on.
    pub world: World,
    /// The stack.
    pub stack: StackName,
    /// Whether a plan made afterwards is empty; absent when none could be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converged: Option<bool>,
    /// The plan's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Whether a kept plan was applied without its spec, so that no plan could be made afterwards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_spec: bool,
    /// Every step.
    pub steps: Vec<StepOutcomeDoc>,
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepOutcomeDoc {
    /// Its number in the plan, counting from 1.
    pub step: usize,
    /// What it does, in words.
    pub title: String,
    /// Whom or what of the object it is about, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// For which resource.
    pub address: Address,
    /// Where.
    pub region: Region,
    /// On which object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<CloudId>,
    /// What became of it.
    pub result: ResultDoc,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResultDoc {
    /// It took effect.
    Done {
        /// What it gave.
        outputs: Outputs,
    },
    /// It had no effect.
    Failed {
        /// Why.
        error: ProviderError,
    },
    /// The object is not as the plan saw it; nothing was done.
    Stale {
        /// How it differs.
        why: String,
    },
    /// Whether it took effect is not known.
    Unknown {
        /// Why not.
        error: ProviderError,
    },
    /// Something it waits for did not come about.
    Skipped {
        /// The number of that step.
        because: usize,
    },
    /// The apply was stopped before.
    NotStarted,
}

/// Writes an outcome down.
#[must_use]
pub fn document(plan: &Plan, outcome: &Outcome, world: World, converged: Option<bool>) -> OutcomeDoc {
    let steps = outcome.steps.iter().filter_map(|(id, outcome)| Some((plan.step(*id)?, outcome)));
    OutcomeDoc {
        format_version: FORMAT_VERSION,
        world,
        stack: plan.stack().clone(),
        converged,
        plan: None,
        without_spec: false,
        steps: steps
            .map(|(step, outcome)| StepOutcomeDoc {
                step: number(step.id),
                title: step.title.to_string(),
                about: step.about.clone(),
                address: step.call.at.clone(),
                region: step.call.region.clone(),
                on: step.call.on.clone(),
                result: result(outcome),
            })
            .collect(),
    }
}

fn result(outcome: &StepOutcome) -> ResultDoc {
    match outcome.clone() {
        StepOutcome::Done(outputs) => ResultDoc::Done { outputs },
        StepOutcome::Failed(error) => ResultDoc::Failed { error },
        StepOutcome::Stale(why) => ResultDoc::Stale { why },
        StepOutcome::Unknown(error) => ResultDoc::Unknown { error },
        StepOutcome::Skipped { because } => ResultDoc::Skipped { because: number(because) },
        StepOutcome::NotStarted => ResultDoc::NotStarted,
    }
}

const fn number(id: StepId) -> usize {
    id.0 + 1
}

/// One event as a line.
#[must_use]
pub fn event(event: Event<'_>, style: Style) -> Option<String> {
    match event {
        Event::Started(_) => None,
        Event::Ended(step, outcome) => Some(match outcome {
            StepOutcome::Done(outputs) => {
                // A step about somebody tells the id of the object that an earlier one made.
                let made = outputs.get(&crate::model::Output::Id).filter(|_| step.about.is_empty());
                let id = made.map(|id| format!(" {id}")).unwrap_or_default();
                format!("{} {}{id}", style.paint(Ink::Good, "done"), words(step))
            }
            StepOutcome::Failed(error) => {
                format!("{} {}\n{}", style.paint(Ink::Bad, "failed"), words(step), problem(error, 2))
            }
            StepOutcome::Stale(why) => format!("{} {}: {}", style.paint(Ink::Bad, "stale"), words(step), safe(why)),
            StepOutcome::Unknown(error) => {
                format!("{} {}\n{}", style.paint(Ink::Bad, "unknown"), words(step), problem(error, 2))
            }
            StepOutcome::Skipped { because } => format!("skipped {} (after {because})", words(step)),
            StepOutcome::NotStarted => format!("not started {}", words(step)),
        }),
    }
}

fn words(step: &Step) -> String {
    let on = step.call.on.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    let about = about(&step.about);
    format!("{} {}{on}{about}", step.title, step.call.at)
}

fn about(about: &str) -> String {
    if about.is_empty() { String::new() } else { format!(": {}", safe(about)) }
}

/// A provider's error with its hint on a line of its own.
#[must_use]
pub fn problem(error: &ProviderError, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let hint = error.hint.as_ref().map(|hint| format!("\n{pad}hint: {}", safe(hint))).unwrap_or_default();
    let request = error.request_id.as_ref().map(|id| format!(" [request {}]", safe(id))).unwrap_or_default();
    format!("{pad}{}{request}{hint}", safe(&error.to_string()))
}

/// A refusal with its hint on a line of its own.
#[must_use]
pub fn refusal(refusal: &Refusal) -> String {
    let at = refusal.address.as_ref().map(|address| format!("{address}: ")).unwrap_or_default();
    let hint = refusal.hint.as_ref().map(|hint| format!("\n  hint: {}", safe(hint))).unwrap_or_default();
    format!("{at}{}{hint}", safe(&refusal.message))
}

/// The end of an apply: what is done, what is not, what is not known.
#[must_use]
pub fn terminal(doc: &OutcomeDoc, style: Style) -> String {
    let mut out = String::new();
    let of = |wanted: fn(&ResultDoc) -> bool| doc.steps.iter().filter(move |step| wanted(&step.result));
    let done = of(|result| matches!(result, ResultDoc::Done { .. })).count();
    let unknown: Vec<_> = of(|result| matches!(result, ResultDoc::Unknown { .. })).collect();
    let not: Vec<_> = of(|result| {
        matches!(
            result,
            ResultDoc::Failed { .. } | ResultDoc::Stale { .. } | ResultDoc::Skipped { .. } | ResultDoc::NotStarted
        )
    })
    .collect();
    if not.is_empty() && unknown.is_empty() {
        let calls = if done == 1 { "1 call".to_owned() } else { format!("{done} calls") };
        let text = match doc.converged {
            Some(true) => format!("Applied: {calls}. A second plan is empty."),
            Some(false) => format!("Applied: {calls}, but a second plan is not empty: run `plan` to see why."),
            None if doc.without_spec => {
                format!("Applied: {calls}. No second plan was made: `--spec` names what to compare with.")
            }
            None => format!("Applied: {calls}. No second plan could be made."),
        };
        out.push_str(&style.paint(Ink::Strong, &text));
        out.push('\n');
        return out;
    }
    out.push_str(&style.paint(Ink::Bad, &format!("Applied in part: {done} of {} calls done.", doc.steps.len())));
    out.push('\n');
    section(&mut out, "Not done", &not, style);
    section(&mut out, "Not known", &unknown, style);
    out.push_str("Run apply again: it looks at what is there and finishes the work.\n");
    out
}

fn section(out: &mut String, title: &str, steps: &[&StepOutcomeDoc], style: Style) {
    if steps.is_empty() {
        return;
    }
    out.push_str(&style.paint(Ink::Strong, title));
    out.push('\n');
    for step in steps {
        let on = step.on.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
        let why = match &step.result {
            ResultDoc::Failed { error } | ResultDoc::Unknown { error } => format!("\n{}", problem(error, 6)),
            ResultDoc::Stale { why } => format!(": stale, {}", safe(why)),
            ResultDoc::Skipped { because } => format!(": waits for #{because}"),
            ResultDoc::NotStarted => ": not started".to_owned(),
            ResultDoc::Done { .. } => String::new(),
        };
        let about = about(&step.about);
        let _ = writeln!(out, "  #{} {} {}{on}{about}{why}", step.step, step.title, step.address);
    }
}
