//! A plan that was written down becomes a plan again. What is read from a file is input: its order is proven anew, and a
//! document that no planner can have written is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Graph;
use super::policy::Goal;
use super::{Change, Edge, Plan, Roll, Step, StepId, audit};
use crate::model::{AccountId, Address, Region, StackName};
use crate::resources::Refusal;
use crate::resources::registry::Call;
use crate::resources::snapshot::Unseen;

/// What is written of a plan.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The stack.
    pub stack: StackName,
    /// Where the spec comes from.
    pub origin: Option<String>,
    /// The account.
    pub account: Option<AccountId>,
    /// The regions that were looked at.
    pub regions: BTreeSet<Region>,
    /// What the plan is for.
    pub goal: Goal,
    /// What changes.
    pub changes: Vec<Change>,
    /// The calls, numbered from 0 without a gap.
    pub steps: Vec<Step>,
    /// What waits for what.
    pub edges: BTreeSet<Edge>,
    /// Why it must not be carried out.
    pub refusals: Vec<Refusal>,
    /// Protected addresses that a destroy leaves.
    pub retained: Vec<Address>,
    /// Members that change in turns.
    pub rolls: Vec<Roll>,
    /// Moments at which more or less is reachable.
    pub exposures: Vec<String>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
}

impl Plan {
    /// The plan of these parts.
    ///
    /// # Errors
    /// When they are none: steps out of number, edges to nowhere, steps that wait for each other, or an order that the
    /// planner never makes.
    pub fn rebuild(parts: Parts) -> Result<Self, String> {
        let numbered = parts.steps.iter().enumerate().all(|(place, step)| step.id == StepId(place));
        if !numbered {
            return Err("its steps are not numbered one by one".to_owned());
        }
        let count = parts.steps.len();
        if let Some(edge) = parts.edges.iter().find(|edge| edge.from.0 >= count || edge.to.0 >= count) {
            return Err(format!("{} waits for {}, and one of them is not there", edge.to, edge.from));
        }
        let graph = match Graph::order(count, parts.edges) {
            Ok((graph, given_up)) if given_up.is_empty() => graph,
            Ok(_) | Err(_) => return Err("its steps wait for each other".to_owned()),
        };
        let plan = Self {
            stack: parts.stack,
            origin: parts.origin,
            account: parts.account,
            regions: parts.regions,
            goal: parts.goal,
            changes: parts.changes,
            steps: parts.steps,
            graph,
            refusals: parts.refusals,
            questions: BTreeSet::new(),
            retained: parts.retained,
            rolls: parts.rolls,
            exposures: parts.exposures,
            unseen: parts.unseen,
            rehearsal: None,
            given_up: Vec::new(),
        };
        match audit::audit(&plan).first() {
            Some(finding) => Err(finding.clone()),
            None => Ok(plan),
        }
    }

    /// The same plan with the calls of another that says the same: where this one was read from a file that leaves secrets
    /// out, the other has them.
    ///
    /// # Errors
    /// The first thing in which they differ.
    pub fn completed_by(self, other: &Self) -> Result<Self, String> {
        if let Some(why) = difference(&self, other) {
            return Err(why);
        }
        Ok(Self { steps: other.steps.clone(), ..self })
    }

    /// The first step that lacks a secret.
    #[must_use]
    pub fn lacks_secret(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.call.action.withholds_secret())
    }
}

/// In what two plans differ, by what is written of them.
fn difference(a: &Plan, b: &Plan) -> Option<String> {
    let written = |call: &Call| serde_json::to_string(call).unwrap_or_default();
    let calls = |plan: &Plan| -> BTreeMap<StepId, (String, String)> {
        plan.steps.iter().map(|step| (step.id, (step.words(), written(&step.call)))).collect()
    };
    let (mine, theirs) = (calls(a), calls(b));
    for (id, (words, call)) in &mine {
        match theirs.get(id) {
            None => return Some(format!("{words}: it would not be done any more")),
            Some((_, other)) if other != call => return Some(format!("{words}: it would be done otherwise")),
            Some(_) => {}
        }
    }
    if let Some((_, (words, _))) = theirs.iter().find(|(id, _)| !mine.contains_key(id)) {
        return Some(format!("{words}: it would be done too"));
    }
    (a.graph.edges() != b.graph.edges()).then(|| "the same steps would be done in another order".to_owned())
}
