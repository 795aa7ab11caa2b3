//! From a spec to a plan: observe, plan, ask what the plan depends on, and plan again.

use std::collections::BTreeSet;

use crate::plan::policy::{Goal, Options, Policy};
use crate::plan::reads::Reads;
use crate::plan::{self, Plan};
use crate::port::{Class, Provider, ProviderError, Scope};
use crate::rehearsal;
use crate::report::document::Basis;
use crate::resources::snapshot::Snapshot;
use crate::resources::stack::Stack;

/// Rounds of questions before a plan counts as going in circles: answers only ever add knowledge, and no kind asks more
/// than two questions deep.
const ROUNDS: usize = 6;

/// What is looked at for a stack.
#[must_use]
pub fn scope(stack: &Stack, policy: &Policy, all_regions: bool) -> Scope {
    Scope::of(stack, all_regions || policy.goal == Goal::Destroy)
}

/// Looks at everything of a scope.
///
/// # Errors
/// When one of its regions could not be observed.
pub async fn observe<P: Provider>(scope: &Scope, world: &P) -> Result<Snapshot, ProviderError> {
    let snapshot = world.observe(scope).await?;
    if let Some(unseen) = snapshot.unseen.iter().find(|unseen| scope.regions.contains(&unseen.region)) {
        let doing = format!("observing {}", unseen.region);
        let hint = "nothing is planned where something cannot be seen: try again, or take the region out of the spec";
        return Err(ProviderError::new(Class::Denied, doing, unseen.why.clone()).hint(hint));
    }
    Ok(snapshot)
}

/// What a plan stands on, to be kept with it.
#[must_use]
pub fn basis(plan: &Plan, stack: &Stack, snapshot: &Snapshot, digest: &str, asked: &Asked<'_>) -> Basis {
    Basis {
        spec: digest.to_owned(),
        lock: stack.lock.clone(),
        options: Options::of(asked.policy, asked.today),
        scope: scope(stack, asked.policy, asked.all_regions),
        reads: Reads::of(plan, stack, snapshot),
    }
}

/// What was asked of the planner.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The day, where one was named.
    pub today: Option<jiff::civil::Date>,
    /// Whether every enabled region was looked at.
    pub all_regions: bool,
}

/// Observes and plans.
///
/// # Errors
/// When something could not be observed: no plan is made from half a view.
pub async fn plan_for<P: Provider>(
    stack: &Stack,
    policy: &Policy,
    all_regions: bool,
    world: &P,
) -> Result<(Plan, Snapshot), ProviderError> {
    let mut snapshot = observe(&scope(stack, policy, all_regions), world).await?;
    let policy =
        Policy { account: snapshot.account.as_ref().map(ToString::to_string).unwrap_or_default(), ..policy.clone() };
    let mut plan = plan::plan(stack, &snapshot, &policy);
    for _ in 0..ROUNDS {
        let open: BTreeSet<_> =
            plan.questions().iter().filter(|question| !snapshot.answers.contains_key(*question)).cloned().collect();
        if open.is_empty() {
            break;
        }
        // A plan of a hundred thousand resources is large: the old one goes before the new one is made.
        drop(plan);
        let answers = world.inquire(&open).await?;
        snapshot.answers.extend(answers);
        plan = plan::plan(stack, &snapshot, &policy);
    }
    Ok((plan, snapshot))
}

/// Observes, plans, and rehearses the plan unless it is told not to.
///
/// # Errors
/// As [`plan_for`].
pub async fn rehearsed_plan_for<P: Provider>(
    stack: &Stack,
    policy: &Policy,
    all_regions: bool,
    rehearse: bool,
    world: &P,
) -> Result<(Plan, Snapshot), ProviderError> {
    let (mut plan, snapshot) = plan_for(stack, policy, all_regions, world).await?;
    let told = if rehearse { rehearsal::rehearse(stack, &snapshot, policy, all_regions, &plan) } else { None };
    if let Some(told) = told {
        plan.rehearsed(told);
    }
    Ok((plan, snapshot))
}
