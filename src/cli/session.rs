//! From a spec to a plan: observe, plan, ask what the plan depends on, and plan again.

use std::collections::BTreeSet;

use crate::plan::policy::{Goal, Policy};
use crate::plan::{self, Plan};
use crate::port::{Class, Provider, ProviderError, Scope};
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
    let mut snapshot = world.observe(&scope(stack, policy, all_regions)).await?;
    if let Some(unseen) = snapshot.unseen.iter().find(|unseen| stack.regions.contains(&unseen.region)) {
        let doing = format!("observing {}", unseen.region);
        let hint = "nothing is planned where something cannot be seen: try again, or take the region out of the spec";
        return Err(ProviderError::new(Class::Denied, doing, unseen.why.clone()).hint(hint));
    }
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
