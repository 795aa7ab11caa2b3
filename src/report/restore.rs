//! From a plan's document back to the plan.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::document::{Basis, ChangeDoc, GoalDoc, PlanDoc, StepDoc};
use crate::model::{CloudId, Region};
use crate::plan::policy::Goal;
use crate::plan::wire::Parts;
use crate::plan::{Change, Edge, Plan, Step, StepId};
use crate::resources::registry::{Action, Call, Object};

/// The plan that a document tells.
///
/// # Errors
/// When it tells none that can be carried out, and why.
pub fn plan(doc: &PlanDoc, basis: &Basis) -> Result<Plan, String> {
    let read: BTreeMap<(&Region, &CloudId), &Object> =
        basis.reads.objects.iter().map(|read| ((&read.object.region, &read.object.id), &read.object)).collect();
    let steps = doc.steps.iter().map(|doc| step(doc, &read)).collect::<Result<Vec<_>, _>>()?;
    Plan::rebuild(Parts {
        stack: doc.stack.clone(),
        origin: doc.origin.clone(),
        account: doc.account.clone(),
        regions: doc.regions.clone(),
        goal: goal(doc.goal),
        changes: doc.changes.iter().cloned().map(change).collect(),
        steps,
        edges: edges(doc)?,
        refusals: doc.refusals.clone(),
        retained: doc.retained.clone(),
        rolls: doc.rolls.clone(),
        exposures: doc.exposures.clone(),
        unseen: doc.unseen.clone(),
    })
}

/// What a plan is for.
#[must_use]
pub const fn goal(goal: GoalDoc) -> Goal {
    match goal {
        GoalDoc::Converge => Goal::Converge,
        GoalDoc::Destroy => Goal::Destroy,
    }
}

fn change(doc: ChangeDoc) -> Change {
    let ChangeDoc { address, region, verb, object, summary, left_over, fields, impact, notes, affected } = doc;
    Change { address, region, verb, object, summary, left_over, left_out: false, fields, impact, notes, affected }
}

fn step(doc: &StepDoc, read: &BTreeMap<(&Region, &CloudId), &Object>) -> Result<Step, String> {
    let words = || format!("step {} ({} {})", doc.step, doc.title, doc.address);
    let action = Action::deserialize(&doc.call).map_err(|why| format!("{}: {why}", words()))?;
    let seen = match (&doc.on, doc.rereads) {
        (_, false) => None,
        (Some(on), true) => {
            let object = read.get(&(&doc.region, on)).copied();
            Some(object.cloned().ok_or_else(|| format!("{}: what it was planned on is not there", words()))?)
        }
        (None, true) => return Err(format!("{}: it reads an object again and names none", words())),
    };
    Ok(Step {
        id: number(doc.step).ok_or_else(words)?,
        title: Cow::Owned(doc.title.clone()),
        about: doc.about.clone(),
        wave: doc.wave,
        call: Call {
            at: doc.address.clone(),
            region: doc.region.clone(),
            on: doc.on.clone(),
            action,
            timeout: doc.timeout.ok_or_else(|| format!("{}: how long it may wait is not said", words()))?,
        },
        seen,
    })
}

fn edges(doc: &PlanDoc) -> Result<BTreeSet<Edge>, String> {
    let mut edges = BTreeSet::new();
    for step in &doc.steps {
        for wait in &step.after {
            let (Some(from), Some(to)) = (number(wait.step), number(step.step)) else {
                return Err(format!("step {} waits for step {}, and steps count from 1", step.step, wait.step));
            };
            edges.insert(Edge { from, to, because: wait.because.clone() });
        }
    }
    Ok(edges)
}

/// Documents count from 1.
fn number(step: usize) -> Option<StepId> {
    step.checked_sub(1).map(StepId)
}
