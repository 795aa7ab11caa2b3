//! Orders in which a plan's calls may be made.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Plan, StepId};
use crate::resources::Wave;

/// How many calls all orders together make at most, unless one order alone makes more.
const BUDGET: usize = 12_000;
/// How many orders there are at most.
const MOST: usize = 10;

/// Legal orders of a plan's calls, each once: the plan's own first, then those that put most strain on it, then any.
/// The same plan gives the same orders.
pub(super) fn orders(plan: &Plan) -> Vec<Vec<StepId>> {
    let count = (BUDGET / plan.steps().len().max(1)).clamp(1, MOST);
    let mut orders: Vec<Vec<StepId>> = Vec::new();
    for number in 0..count {
        let order = order(plan, number);
        if !orders.contains(&order) {
            orders.push(order);
        }
    }
    orders
}

fn order(plan: &Plan, number: usize) -> Vec<StepId> {
    let wave = |id: StepId| plan.step(id).map_or(Wave::Update, |step| step.wave);
    match number {
        0 => plan.graph().sequence().to_vec(),
        1 => forward(plan, |id| (Reverse(wave(id)), Reverse(id))),
        2 => backward(plan, |id| (wave(id), Reverse(id))),
        3 => forward(plan, |id| id),
        4 => forward(plan, Reverse),
        5 => backward(plan, |id| (Reverse(wave(id)), id)),
        seed => forward(plan, |id| chance(seed, id)),
    }
}

/// Makes of all calls that may be made the one with the least rank.
fn forward<R: Ord>(plan: &Plan, rank: impl Fn(StepId) -> R) -> Vec<StepId> {
    walk(plan, rank, |id| plan.graph().before(id).len(), |id| plan.graph().after(id))
}

/// Puts of all calls that may be the last the one with the least rank there.
fn backward<R: Ord>(plan: &Plan, rank: impl Fn(StepId) -> R) -> Vec<StepId> {
    let mut order = walk(plan, rank, |id| plan.graph().after(id).len(), |id| plan.graph().before(id));
    order.reverse();
    order
}

fn walk<'p, R: Ord>(
    plan: &'p Plan,
    rank: impl Fn(StepId) -> R,
    waits: impl Fn(StepId) -> usize,
    next: impl Fn(StepId) -> &'p [StepId],
) -> Vec<StepId> {
    let mut waiting: BTreeMap<StepId, usize> = plan.steps().iter().map(|step| (step.id, waits(step.id))).collect();
    let mut ready: BTreeSet<(R, StepId)> =
        waiting.iter().filter(|(_, count)| **count == 0).map(|(id, _)| (rank(*id), *id)).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some((_, id)) = ready.pop_first() {
        order.push(id);
        for after in next(id) {
            let Some(count) = waiting.get_mut(after) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0 {
                ready.insert((rank(*after), *after));
            }
        }
    }
    order
}

/// A number that looks like chance, and is the same whenever it is asked for (splitmix64, Steele and others, OOPSLA 2014).
fn chance(seed: usize, id: StepId) -> u64 {
    let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let mut state = wide(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(wide(id.0));
    for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9_u64), (27, 0x94d0_49bb_1331_11eb)] {
        state = (state ^ (state >> shift)).wrapping_mul(factor);
    }
    state ^ (state >> 31)
}
