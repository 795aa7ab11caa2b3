//! A second look at a finished plan, by rules of its own: what it finds is a fault of the planner, never the user's.

use super::graph::Because;
use super::{Plan, Step};
use crate::resources::{RefusalKind, Wave};

/// What is wrong with a plan; nothing, if the planner did its work.
#[must_use]
pub fn audit(plan: &Plan) -> Vec<String> {
    let mut findings = Vec::new();
    let step = |id: super::StepId| plan.step(id);
    for edge in plan.graph().edges() {
        let (Some(from), Some(to)) = (step(edge.from), step(edge.to)) else {
            findings.push(format!("an edge from {} to {} ends nowhere", edge.from, edge.to));
            continue;
        };
        let exempt = matches!(edge.because, Because::Slot(_) | Because::Turn(_));
        if from.wave == Wave::Remove && to.wave == Wave::Make && !exempt {
            findings.push(format!("a removal comes before a make: {} before {}", words(from), words(to)));
        }
    }
    let circular = plan.refusals().iter().any(|refusal| refusal.kind == RefusalKind::Cycle);
    if plan.graph().sequence().len() != plan.steps().len() && !circular {
        findings.push("not every step has its place in the order".to_owned());
    }
    for step in plan.steps() {
        if step.wave == Wave::Remove && step.call.on.is_none() {
            findings.push(format!("{} removes an object that is not there", words(step)));
        }
    }
    findings
}

fn words(step: &Step) -> String {
    step.words()
}
