//! The laws of the planner on the simulated world: random stacks, faults, and tables that a reader can check.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use super::policy::Policy;
use super::{Plan, audit};
use crate::apply::journal::Nowhere;
use crate::apply::{self, Limits, Outcome, Stop};
use crate::cli::session;
use crate::model::tree::Span;
use crate::model::{Address, Region, Tags};
use crate::port::Provider;
use crate::provider::sim::Sim;
use crate::report::{document, edges};
use crate::resources::Common;
use crate::resources::snapshot::Snapshot;
use crate::resources::stack::Stack;
use crate::resources::world::World;

mod columns;
mod doors;
mod faults;
mod generate;
mod graphs;
mod kept;
mod likeness;
mod ownership;
mod properties;
mod rehearsal;
mod rolls;
mod seeds;
mod spec;
mod weather;

fn here() -> Region {
    Region::new("eu-west-1").unwrap()
}

fn at(address: &str) -> Address {
    address.parse().unwrap()
}

fn common() -> Common {
    Common {
        region: here(),
        tags: Tags::new(),
        protect: false,
        keep: false,
        previously: None,
        adopt: None,
        timeout: None,
        group: None,
        span: Span::default(),
    }
}

fn policy() -> Policy {
    Policy::on("2026-06-01".parse().unwrap())
}

/// Runs what waits, on this thread.
fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A world whose limits do not get in the way.
fn world() -> World {
    let mut world = World::default();
    world.set_limits(crate::resources::world::Limits { addresses: 1000, ..*world.limits() });
    world
}

/// Observes and plans; the plan is sound whatever it says.
fn plan_on<P: Provider>(world: &P, stack: &Stack, policy: &Policy) -> (Plan, Snapshot) {
    let (plan, snapshot) = block(session::plan_for(stack, policy, false, world)).unwrap();
    assert_eq!(audit::audit(&plan), Vec::<String>::new());
    (plan, snapshot)
}

/// Carries a plan out.
fn apply_on<P: Provider + 'static>(world: &Arc<P>, plan: &Plan, parallelism: usize) -> Outcome {
    let (_keep, mut stop) = watch::channel(Stop::No);
    let limits = Limits { parallelism };
    block(apply::apply(plan, world, &mut Nowhere, limits, &mut stop, &mut |_| {})).unwrap()
}

/// The steps of a plan with what each waits for.
fn graph(plan: &Plan) -> String {
    edges::text(&document::document(plan, document::World::Simulated))
}

/// What is wrong with an outcome, in words.
fn trouble(plan: &Plan, outcome: &Outcome) -> Vec<String> {
    let steps = outcome.steps.iter().filter(|(_, end)| !matches!(end, apply::StepOutcome::Done(_)));
    steps
        .map(|(id, end)| format!("{id} {} {}: {end:?}", plan.step(*id).unwrap().title, plan.step(*id).unwrap().call.at))
        .collect()
}

/// Everything in a simulated world that carries the stack's tag.
fn owned(sim: &Sim) -> BTreeSet<String> {
    let mine = |object: &crate::resources::registry::Object| object.owner().is_some_and(|owner| owner.stack == "shop");
    sim.world().objects().filter(|object| mine(object)).map(|object| object.id.to_string()).collect()
}
