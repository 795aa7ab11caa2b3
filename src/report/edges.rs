//! The graph of a plan, for Graphviz and for Mermaid.

use std::fmt::Write;

use super::document::{PlanDoc, StepDoc};
use crate::resources::Wave;

/// Writes the graph in the language of Graphviz.
#[must_use]
pub fn dot(doc: &PlanDoc) -> String {
    let mut out = String::from("digraph plan {\n  rankdir = LR;\n  node [shape = box, fontname = \"sans-serif\"];\n");
    for step in &doc.steps {
        let colour = match step.wave {
            Wave::Make => "darkgreen",
            Wave::Update => "darkorange",
            Wave::Remove => "firebrick",
        };
        let _ = writeln!(out, "  s{} [label = {}, color = {colour}];", step.step, quoted(&label(step)));
    }
    for (step, wait) in waits(doc) {
        let _ = writeln!(out, "  s{} -> s{} [label = {}];", wait.step, step.step, quoted(&wait.words));
    }
    out.push_str("}\n");
    out
}

/// Writes the graph in the language of Mermaid.
#[must_use]
pub fn mermaid(doc: &PlanDoc) -> String {
    let mut out = String::from("flowchart LR\n");
    for step in &doc.steps {
        let _ = writeln!(out, "  s{}[{}]", step.step, quoted(&label(step)));
    }
    for (step, wait) in waits(doc) {
        let _ = writeln!(out, "  s{} -->|{}| s{}", wait.step, quoted(&wait.words), step.step);
    }
    out
}

/// The graph as plain text, each edge with its reason: what tests compare.
#[must_use]
pub fn text(doc: &PlanDoc) -> String {
    let mut out = String::new();
    for step in &doc.steps {
        let about = about(step);
        let _ = writeln!(out, "{} {} {}{about}", step.step, step.address, step.title);
        for wait in &step.after {
            let _ = writeln!(out, "    after {}: {}", wait.step, wait.words);
        }
    }
    out
}

fn waits(doc: &PlanDoc) -> impl Iterator<Item = (&StepDoc, &super::document::WaitDoc)> {
    doc.steps.iter().flat_map(|step| step.after.iter().map(move |wait| (step, wait)))
}

fn about(step: &StepDoc) -> String {
    if step.about.is_empty() { String::new() } else { format!(": {}", step.about) }
}

fn label(step: &StepDoc) -> String {
    format!("{} {}{}", step.title, step.address, about(step))
}

/// A text in quotes that both languages take.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "").replace('"', "'"))
}
