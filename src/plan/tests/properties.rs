//! Properties over random pairs of stacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::super::policy::{Goal, Policy};
use super::super::{Change, Plan, Step, Verb, plan};
use super::generate::{Blueprint, Tape};
use super::likeness::likeness;
use super::{apply_on, graph, plan_on, policy, trouble, world};
use crate::model::{CloudId, Kind, Region};
use crate::port::{Bindings, Outputs, Provider, ProviderError, Scope};
use crate::provider::sim::Sim;
use crate::resources::RefusalKind;
use crate::resources::registry::{Body, Call, Object};
use crate::resources::snapshot::{Answer, Question, Snapshot};
use crate::resources::stack::Stack;
use crate::resources::world::World;

/// What a pair came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Converged,
    Refused(RefusalKind),
}

/// Applies a stack and looks whether one apply was enough.
pub(super) fn converge(sim: &Arc<Sim>, stack: &Stack) -> Result<End, String> {
    let policy = policy();
    let (plan, _) = plan_on(sim.as_ref(), stack, &policy);
    if let Some(refusal) = plan.refusals().first() {
        // Without something that only one may have, there is always an order; an address that moves is such a thing.
        let circle = plan.refusals().iter().find(|refusal| refusal.kind == RefusalKind::Cycle);
        let single = |message: &str| message.contains("only one may have") || message.contains("move elastic_ip");
        if let Some(circle) = circle.filter(|circle| !single(&circle.message)) {
            return Err(format!("{}\n{}", circle.message, graph(&plan)));
        }
        return Ok(End::Refused(refusal.kind));
    }
    if !plan.questions().is_empty() {
        return Err(format!("questions are left open: {:?}", plan.questions()));
    }
    let outcome = apply_on(sim, &plan, 4);
    if !outcome.complete() {
        return Err(format!("{:#?}\n{}", trouble(&plan, &outcome), graph(&plan)));
    }
    let world = sim.world();
    let problems = [&world.audit(), world.breaches()].concat();
    if !problems.is_empty() {
        return Err(format!("{problems:?}\n{}{:?}", graph(&plan), plan.exposures()));
    }
    let (mut second, _) = plan_on(sim.as_ref(), stack, &policy);
    if is_news(&plan, &second) {
        apply_on(sim, &second, 4);
        second = plan_on(sim.as_ref(), stack, &policy).0;
    }
    if !second.is_empty() || !second.refusals().is_empty() {
        let fields: Vec<_> = second.changes().iter().filter(|c| c.verb != Verb::NoOp).collect();
        return Err(format!(
            "FIRST\n{}\nSECOND\n{}\n{:#?}\n{:?}",
            graph(&plan),
            graph(&second),
            fields,
            second.refusals()
        ));
    }
    Ok(End::Converged)
}

/// A machine that is released, and loses its Elastic IP with that, gets an address that no step of the plan tells. A query
/// finds it afterwards; nothing else may be left to do.
fn is_news(first: &Plan, second: &Plan) -> bool {
    let released = |change: &Change| change.verb == Verb::Release && change.address.kind == Kind::Instance;
    let at_host = |step: &Step| step.call.at.kind == Kind::HostFirewall;
    first.changes().iter().any(released) && !second.is_empty() && second.steps().iter().all(at_host)
}

pub(super) fn pair(tape: &[u16]) -> (Stack, Stack) {
    let mut tape = Tape::new(tape);
    let first = Blueprint::draw(&mut tape);
    let second = first.vary(&mut tape);
    (first.lower(), second.lower())
}

pub(super) fn run(cases: u32, check: impl Fn(&[u16]) -> Result<(), String>) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 600,
        max_shrink_time: 15_000,
        ..ProptestConfig::default()
    };
    let rng = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(config, rng);
    let tapes = prop::collection::vec(any::<u16>(), 0..700);
    let result = runner.run(&tapes, |tape| check(&tape).map_err(TestCaseError::fail));
    if let Err(proptest::test_runner::TestError::Fail(why, tape)) = &result {
        let mut tape = Tape::new(tape);
        let first = Blueprint::draw(&mut tape);
        panic!("{why}\nfrom {first:?}\nto {:?}", first.vary(&mut tape));
    }
    result.unwrap();
}

/// A provider that answers each call after a while of chance, so that calls under way end in any order.
struct Jittery {
    inner: Sim,
    delays: std::sync::Mutex<u64>,
}

impl Jittery {
    async fn wait(&self) {
        let delay = {
            let mut state = self.delays.lock().unwrap();
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33) % 40
        };
        for _ in 0..delay {
            tokio::task::yield_now().await;
        }
    }
}

impl Provider for Jittery {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        self.inner.observe(scope).await
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        self.inner.inquire(questions).await
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        self.wait().await;
        self.inner.reread(kind, region, id).await
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        self.wait().await;
        self.inner.perform(call, known).await
    }
}

pub(super) fn cases(usual: u32) -> u32 {
    std::env::var("CASES").map_or(usual, |cases| cases.parse().unwrap())
}

/// The same arguments give the same plan, and so does the same snapshot in another order.
fn is_one_plan(sim: &Sim, stack: &Stack) -> Result<(), String> {
    let (whole, mut snapshot) = plan_on(sim, stack, &policy());
    let policy = Policy { account: sim.world().account().to_string(), ..policy() };
    for _ in 0..2 {
        let again = plan(stack, &snapshot, &policy);
        if (again.steps(), again.graph().edges(), again.changes())
            != (whole.steps(), whole.graph().edges(), whole.changes())
            || again.refusals() != whole.refusals()
        {
            return Err(format!("two plans of one snapshot\n{}\n{}", graph(&whole), graph(&again)));
        }
        snapshot.objects.reverse();
    }
    Ok(())
}

fn purity(tape: &[u16]) -> Result<(), String> {
    let (first, second) = pair(tape);
    let sim = Arc::new(Sim::in_memory(world()));
    is_one_plan(&sim, &first)?;
    converge(&sim, &first)?;
    is_one_plan(&sim, &second)
}

#[test]
fn one_snapshot_gives_one_plan() {
    run(cases(400), purity);
}

/// Where two stacks lead when calls end in this order.
fn reached(start: &World, stack: &Stack, seed: u64) -> Result<BTreeSet<String>, String> {
    let world = Arc::new(Jittery { inner: Sim::in_memory(start.clone()), delays: std::sync::Mutex::new(seed) });
    let (plan, _) = plan_on(world.as_ref(), stack, &policy());
    let outcome = apply_on(&world, &plan, 1 + usize::try_from(seed % 40).unwrap());
    if !outcome.complete() {
        return Err(format!("{:#?}\n{}", trouble(&plan, &outcome), graph(&plan)));
    }
    let (second, _) = plan_on(world.as_ref(), stack, &policy());
    if !second.is_empty() {
        return Err(format!("FIRST\n{}\nSECOND\n{}", graph(&plan), graph(&second)));
    }
    Ok(likeness(&world.inner.world(), stack))
}

#[test]
fn any_order_comes_to_the_same_end() {
    run(cases(400), |tape| {
        let (first, second) = pair(tape);
        let sim = Arc::new(Sim::in_memory(world()));
        converge(&sim, &first)?;
        let start = sim.world();
        if converge(&sim, &second)? != End::Converged {
            return Ok(());
        }
        let end = likeness(&sim.world(), &second);
        for seed in 1..5_u64 {
            let other = reached(&start, &second, seed * 7919)?;
            if other != end {
                return Err(format!(
                    "{:#?}\n{:#?}",
                    end.difference(&other).collect::<Vec<_>>(),
                    other.difference(&end).collect::<Vec<_>>()
                ));
            }
        }
        Ok(())
    });
}

/// Objects that look like the stack's and are not.
fn strangers(world: &mut World) -> Vec<Object> {
    let seed = Arc::new(Sim::in_memory(world.clone()));
    let numbers: Vec<u16> = (0..600).map(|n: u16| n.wrapping_mul(40_503).rotate_left(7)).collect();
    converge(&seed, &Blueprint::draw(&mut Tape::new(&numbers)).lower()).unwrap();
    let mut copies = Vec::new();
    for (stack, prefix) in [("shop2", "aa"), ("sho?", "bb"), ("*", "cc"), ("Shop", "dd")] {
        let mut text = serde_json::to_string(&seed.world()).unwrap();
        text = text.replace("\"portcullis:stack\":\"shop\"", &format!("\"portcullis:stack\":\"{stack}\""));
        for (from, to) in [("\"i-", "\"i-"), ("\"sg-", "\"sg-"), ("\"eipalloc-", "\"eipalloc-"), ("\"key-", "\"key-")] {
            text = text.replace(from, &format!("{to}{prefix}"));
        }
        let other: Value = serde_json::from_str(&text).unwrap();
        for object in other.pointer("/regions/eu-west-1/objects").and_then(Value::as_array).unwrap() {
            let mut object: Object = serde_json::from_value(object.clone()).unwrap();
            match &mut object.body {
                Body::SecurityGroup(body) if body.name == "default" => continue,
                Body::SecurityGroup(body) => body.name = format!("{prefix}-{}", body.name),
                Body::KeyPair(body) => body.name = format!("{prefix}-{}", body.name),
                // Addresses are one to an object: a stranger's network is elsewhere.
                Body::ElasticIp(_) | Body::Instance(_) | Body::LoadBalancer(_) | Body::HostFirewall(_) => continue,
            }
            copies.push(object);
        }
    }
    for object in &copies {
        world.put(object.clone());
    }
    copies
}

#[test]
fn foreign_objects_never_change_and_destroy_leaves_nothing() {
    run(cases(250), |tape| {
        let mut numbers = Tape::new(tape);
        let mut first = Blueprint::draw(&mut numbers);
        let mut second = first.vary(&mut numbers);
        first.unprotect();
        second.unprotect();
        let mut world = world();
        let strangers = strangers(&mut world);
        if strangers.len() < 4 {
            return Err(format!("only {} strangers", strangers.len()));
        }
        let sim = Arc::new(Sim::in_memory(world));
        for stack in [first.lower(), second.lower()] {
            converge(&sim, &stack)?;
        }
        let policy = Policy { goal: Goal::Destroy, ..policy() };
        let (plan, _) = plan_on(sim.as_ref(), &second.lower(), &policy);
        let outcome = apply_on(&sim, &plan, 4);
        let foreign = plan.refusals().iter().any(|refusal| refusal.kind == RefusalKind::Holder);
        if !foreign && (!outcome.complete() || !super::owned(&sim).is_empty()) {
            return Err(format!("{:#?}\n{:?}\n{}", trouble(&plan, &outcome), super::owned(&sim), graph(&plan)));
        }
        let now = sim.world();
        match strangers.iter().find(|stranger| now.object(&stranger.region, &stranger.id) != Some(stranger)) {
            Some(changed) => Err(format!("{changed:?} became {:?}", now.object(&changed.region, &changed.id))),
            None => Ok(()),
        }
    });
}

#[test]
fn one_apply_is_enough() {
    let ends = std::cell::RefCell::new(BTreeMap::<End, usize>::new());
    let drawn = std::cell::RefCell::new(BTreeSet::new());
    run(cases(3000), |tape| {
        let (first, second) = pair(tape);
        let sim = Arc::new(Sim::in_memory(world()));
        for stack in [first, second] {
            drawn.borrow_mut().extend(stack.resources.keys().map(|address| address.kind));
            let end = converge(&sim, &stack)?;
            *ends.borrow_mut().entry(end).or_default() += 1;
        }
        Ok(())
    });
    let ends = ends.into_inner();
    let all: usize = ends.values().sum();
    let converged = ends.get(&End::Converged).copied().unwrap_or_default();
    assert!(converged * 10 > all * 9, "too much is refused: {ends:?}");
    assert_eq!(drawn.into_inner(), Kind::ALL.into());
    let unexpected = ends.keys().find(|end| {
        matches!(end, End::Refused(RefusalKind::Twin | RefusalKind::Origin | RefusalKind::Adopt | RefusalKind::Quota))
    });
    assert_eq!(unexpected, None, "{ends:?}");
}
