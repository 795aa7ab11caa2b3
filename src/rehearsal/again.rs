//! The second plan, made on the world that the first one leaves.

use std::collections::BTreeSet;

use super::run::Run;
use crate::model::Address;
use crate::plan::policy::{Goal, Policy};
use crate::plan::{self, Change, Plan, Verb};
use crate::resources::scope::Scope;
use crate::resources::stack::Stack;
use crate::resources::world::World;

/// Rounds of questions, as when a plan is made.
const ROUNDS: usize = 6;
/// Addresses that a message names.
const NAMED: usize = 5;

/// What a second plan is made of.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) stack: &'a Stack,
    pub(super) policy: &'a Policy,
    pub(super) all_regions: bool,
}

impl Asked<'_> {
    /// Plans once more; none when something cannot be asked.
    fn plan(&self, world: &mut World) -> Option<Plan> {
        let policy = Policy { replaces: BTreeSet::new(), ..self.policy.clone() };
        let scope = Scope::of(self.stack, self.all_regions || policy.goal == Goal::Destroy);
        let mut snapshot = world.observe(&scope);
        for _ in 0..ROUNDS {
            let plan = plan::plan(self.stack, &snapshot, &policy);
            let open = plan.questions().iter().filter(|question| !snapshot.answers.contains_key(*question));
            let open: Vec<_> = open.cloned().collect();
            if open.is_empty() {
                return Some(plan);
            }
            for question in open {
                let answer = world.answer(&question).ok()?;
                snapshot.answers.insert(question, answer);
            }
        }
        None
    }

    /// What a second plan would still do, in words; none when it is empty.
    pub(super) fn left(&self, first: &Plan, run: &mut Run<'_>) -> Option<String> {
        let Some(second) = self.plan(&mut run.world) else {
            run.not_modelled.insert("a second plan, which asks what nobody can answer".to_owned());
            return None;
        };
        // What waited for something that could not be rehearsed has not happened.
        let skipped = run.skipped.iter().filter_map(|id| first.step(*id));
        let excused: BTreeSet<&Address> = skipped.map(|step| &step.call.at).collect();
        if let Some(refusal) = second
            .refusals()
            .iter()
            .find(|refusal| refusal.address.as_ref().is_none_or(|address| !excused.contains(address)))
        {
            return Some(format!("a second plan would be refused: {}", refusal.message));
        }
        let changes = second
            .changes()
            .iter()
            .filter(|change| !matches!(change.verb, Verb::NoOp | Verb::Unknown) && !excused.contains(&change.address));
        let addresses: Vec<String> = changes.map(told).collect();
        if addresses.is_empty() {
            return None;
        }
        if is_news(first, &second) {
            run.not_modelled.insert("addresses that machines get when they are released".to_owned());
            return None;
        }
        let shown = addresses.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = addresses.len().saturating_sub(NAMED);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("a second plan would still change {shown}{rest}"))
    }
}

/// A change in words: whose, and which fields.
fn told(change: &Change) -> String {
    let fields: BTreeSet<&str> = change.fields.iter().map(|field| field.name.as_str()).collect();
    match fields.into_iter().collect::<Vec<_>>().join(", ") {
        fields if fields.is_empty() => change.address.to_string(),
        fields => format!("{} ({fields})", change.address),
    }
}

/// A machine that is released, and loses its Elastic IP with that, gets an address that no call of the plan tells; a query of
/// a host finds it afterwards.
fn is_news(first: &Plan, second: &Plan) -> bool {
    first.changes().iter().any(|change| change.verb == Verb::Release)
        && second.steps().iter().all(|step| step.call.region.is_hosts())
}
