//! What becomes of steps when something fails, is not as it was, or is stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::journal::{Entry, Lines, Nowhere, What};
use super::{Event, Journal, Limits, Outcome, StepOutcome, Stop, apply};
use crate::cli::session;
use crate::model::tree::Span;
use crate::model::{Address, Region, Tags};
use crate::plan::Plan;
use crate::plan::policy::{Goal, Policy};
use crate::port::{Class, Provider};
use crate::provider::faulty::{Fault, Faulty, When};
use crate::provider::sim::Sim;
use crate::resources::registry::{Body, Desired, Object, Want};
use crate::resources::security_group::state::RuleMode;
use crate::resources::stack::Stack;
use crate::resources::world::World;
use crate::resources::{Choice, Common, elastic_ip, security_group};

fn at(address: &str) -> Address {
    address.parse().unwrap()
}

fn here() -> Region {
    Region::new("eu-west-1").unwrap()
}

fn of(want: Want) -> Desired {
    let common = Common {
        region: here(),
        tags: Tags::new(),
        protect: false,
        keep: false,
        previously: None,
        adopt: None,
        timeout: None,
        group: None,
        span: Span::default(),
    };
    Desired { common, want }
}

fn group(about: &str) -> Desired {
    of(Want::SecurityGroup(security_group::Desired {
        name: None,
        description: about.to_owned(),
        vpc: Choice::Default,
        mode: RuleMode::Exclusive,
        ingress: BTreeMap::new(),
        egress: Some(BTreeMap::new()),
        rule_quota: 60,
    }))
}

fn address() -> Desired {
    of(Want::ElasticIp(elastic_ip::Desired { instance: None, public_ip_pool: None, border_group: None }))
}

fn stack(resources: Vec<(&str, Desired)>) -> Stack {
    Stack {
        name: crate::model::StackName::new("shop").unwrap(),
        origin: None,
        account: None,
        region: Some(here()),
        regions: [here()].into(),
        ignore_tags: Vec::new(),
        lock: None,
        hosts: BTreeMap::new(),
        resources: resources.into_iter().map(|(address, desired)| (at(address), desired)).collect(),
    }
}

/// Two groups of two calls each, and an address of one.
fn several() -> Stack {
    stack(vec![("security_group.a", group("a")), ("security_group.b", group("b")), ("elastic_ip.e", address())])
}

async fn planned<P: Provider>(world: &P, stack: &Stack, goal: Goal) -> Plan {
    let policy = Policy { goal, ..Policy::on("2026-06-01".parse().unwrap()) };
    session::plan_for(stack, &policy, false, world).await.unwrap().0
}

async fn carry_out<P: Provider + 'static>(world: &Arc<P>, plan: &Plan) -> Outcome {
    let (_keep, mut stop) = watch::channel(Stop::No);
    apply(plan, world, &mut Nowhere, Limits { parallelism: 4 }, &mut stop, &mut |_| {}).await.unwrap()
}

/// Each step with what became of it, in a word.
fn words(plan: &Plan, outcome: &Outcome) -> Vec<String> {
    let step = |id| plan.step(id).map(|step| format!("{} {}", step.call.at, step.title)).unwrap();
    let word = |end: &StepOutcome| match end {
        StepOutcome::Done(_) => "done".to_owned(),
        StepOutcome::Failed(error) => format!("failed: {:?}", error.class),
        StepOutcome::Stale(why) => format!("stale: {why}"),
        StepOutcome::Unknown(error) => format!("unknown: {:?}", error.class),
        StepOutcome::Skipped { because } => format!("skipped for {because}"),
        StepOutcome::NotStarted => "not started".to_owned(),
    };
    outcome.steps.iter().map(|(id, end)| format!("{}: {}", step(*id), word(end))).collect()
}

#[tokio::test]
async fn a_failure_stops_its_dependents_only() {
    for (when, word) in [(When::Before, "failed"), (When::After, "unknown")] {
        let world = Faulty::new(Sim::in_memory(World::default())).with(Fault { at: 1, when, class: Class::Denied });
        let world = Arc::new(world);
        let plan = planned(world.as_ref(), &several(), Goal::Converge).await;
        let outcome = carry_out(&world, &plan).await;
        assert!(!outcome.complete());
        assert_eq!(
            words(&plan, &outcome),
            [
                format!("security_group.a create: {word}: Denied"),
                "security_group.a revoke default egress: skipped for #1".to_owned(),
                "security_group.b create: done".to_owned(),
                "security_group.b revoke default egress: done".to_owned(),
                "elastic_ip.e allocate: done".to_owned(),
            ]
        );
    }
}

async fn stopped(how: Stop) -> Vec<String> {
    let world = Arc::new(Sim::in_memory(World::default()));
    let plan = planned(world.as_ref(), &several(), Goal::Converge).await;
    let (send, mut stop) = watch::channel(Stop::No);
    let mut tell = |event: Event<'_>| {
        if matches!(event, Event::Started(_)) {
            send.send_replace(how);
        }
    };
    let limits = Limits { parallelism: 2 };
    let outcome = apply(&plan, &world, &mut Nowhere, limits, &mut stop, &mut tell).await.unwrap();
    words(&plan, &outcome)
}

#[tokio::test]
async fn a_drain_awaits_what_runs_and_starts_nothing() {
    assert_eq!(
        stopped(Stop::Drain).await,
        [
            "security_group.a create: done",
            "security_group.a revoke default egress: not started",
            "security_group.b create: done",
            "security_group.b revoke default egress: not started",
            "elastic_ip.e allocate: not started",
        ]
    );
}

#[tokio::test]
async fn a_hard_stop_says_what_is_unknown() {
    assert_eq!(
        stopped(Stop::Now).await,
        [
            "security_group.a create: unknown: TimedOut",
            "security_group.a revoke default egress: not started",
            "security_group.b create: unknown: TimedOut",
            "security_group.b revoke default egress: not started",
            "elastic_ip.e allocate: not started",
        ]
    );
}

/// Plans to take everything away, lets somebody change the world, and carries the plan out.
async fn meddled(edit: impl Fn(&mut World, &Object)) -> Vec<String> {
    let sim = Arc::new(Sim::in_memory(World::default()));
    let spec = stack(vec![("security_group.a", group("a")), ("elastic_ip.e", address())]);
    let first = planned(sim.as_ref(), &spec, Goal::Converge).await;
    assert!(carry_out(&sim, &first).await.complete());
    let plan = planned(sim.as_ref(), &spec, Goal::Destroy).await;
    let owned: Vec<Object> = sim.world().objects().filter(|object| object.owner().is_some()).cloned().collect();
    for object in owned {
        sim.meddle(|world| edit(world, &object));
    }
    let before = sim.counts().perform;
    let outcome = carry_out(&sim, &plan).await;
    let stale = outcome.steps.values().filter(|end| !matches!(end, StepOutcome::Done(_))).count();
    assert!(sim.counts().perform + stale <= before + plan.steps().len(), "a stale step makes no call");
    words(&plan, &outcome)
}

#[tokio::test]
async fn what_changed_since_the_plan_is_let_alone() {
    let retagged = meddled(|world, object| {
        world.meddle(&here(), &object.id, |object| {
            object.tags.insert("portcullis:stack".to_owned(), "theirs".to_owned());
        });
    });
    let retagged = retagged.await;
    assert!(retagged.iter().all(|line| line.ends_with("does not belong to stack `shop` any more")), "{retagged:?}");
    let generation = meddled(|world, object| {
        world.meddle(&here(), &object.id, |object| {
            object.tags.insert("portcullis:generation".to_owned(), "9".to_owned());
        });
    });
    let generation = generation.await;
    assert!(generation.iter().all(|line| line.ends_with("is of generation 9 now")), "{generation:?}");
    let rules = meddled(|world, object| {
        let text = serde_json::json!({"id": "sgr-0000000a", "direction": "ingress",
            "rule": {"traffic": "all", "peer": {"cidr": "10.0.0.0/8"}}});
        world.meddle(&here(), &object.id, |object| {
            if let Body::SecurityGroup(body) = &mut object.body {
                body.rules.push(serde_json::from_value(text).unwrap());
            }
        });
    });
    assert_eq!(
        rules.await,
        [
            "security_group.a delete: stale: somebody added a rule to it: all traffic from 10.0.0.0/8",
            "elastic_ip.e release: done",
        ]
    );
    let associated = meddled(|world, object| {
        world.meddle(&here(), &object.id, |object| {
            if let Body::ElasticIp(body) = &mut object.body {
                let text = serde_json::json!({"id": "eipassoc-0000000a", "instance": null});
                body.association = Some(serde_json::from_value(text).unwrap());
            }
        });
    });
    assert_eq!(
        associated.await,
        ["security_group.a delete: done", "elastic_ip.e release: stale: it is associated with something else now"]
    );
}

#[tokio::test]
async fn what_is_gone_already_is_done() {
    let gone = meddled(|world, object| drop(world.take(&here(), &object.id)));
    assert_eq!(gone.await, ["security_group.a delete: done", "elastic_ip.e release: done"]);
}

/// Remembers what is recorded, and breaks when it is told to.
#[derive(Default)]
struct Memory {
    lines: Vec<String>,
    full_after: Option<usize>,
}

impl Journal for Memory {
    fn record(&mut self, entry: &Entry<'_>) -> std::io::Result<()> {
        if self.full_after.is_some_and(|most| self.lines.len() >= most) {
            return Err(std::io::Error::other("the disk is full"));
        }
        let word = match entry.what {
            What::Started { .. } => "started",
            What::Done { .. } => "done",
            What::Failed { .. } => "failed",
            What::Stale { .. } => "stale",
            What::Unknown { .. } => "unknown",
        };
        self.lines.push(format!("{} {} {word}", entry.step, entry.title));
        Ok(())
    }
}

#[tokio::test]
async fn the_journal_has_a_line_before_and_after_each_call() {
    let world = Arc::new(Sim::in_memory(World::default()));
    let plan = planned(world.as_ref(), &stack(vec![("security_group.a", group("a"))]), Goal::Converge).await;
    let mut journal = Memory::default();
    let (_keep, mut stop) = watch::channel(Stop::No);
    let limits = Limits { parallelism: 4 };
    apply(&plan, &world, &mut journal, limits, &mut stop, &mut |_| {}).await.unwrap();
    assert_eq!(
        journal.lines,
        ["1 create started", "1 create done", "2 revoke default egress started", "2 revoke default egress done"]
    );
}

#[tokio::test]
async fn nothing_starts_that_cannot_be_recorded() {
    let world = Arc::new(Sim::in_memory(World::default()));
    let plan = planned(world.as_ref(), &several(), Goal::Converge).await;
    let mut journal = Memory { full_after: Some(0), ..Memory::default() };
    let (_keep, mut stop) = watch::channel(Stop::No);
    let limits = Limits { parallelism: 4 };
    assert!(apply(&plan, &world, &mut journal, limits, &mut stop, &mut |_| {}).await.is_err());
    assert_eq!(world.counts().perform, 0);
}

#[tokio::test]
async fn journal_lines_are_json_with_a_version() {
    let world = Arc::new(Sim::in_memory(World::default()));
    let plan = planned(world.as_ref(), &stack(vec![("elastic_ip.e", address())]), Goal::Converge).await;
    let mut out = Vec::new();
    let (_keep, mut stop) = watch::channel(Stop::No);
    let mut journal = Lines::new(&mut out, || "2026-06-01T00:00:00Z".to_owned());
    apply(&plan, &world, &mut journal, Limits { parallelism: 1 }, &mut stop, &mut |_| {}).await.unwrap();
    let lines: Vec<serde_json::Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].pointer("/entry/format_version"), Some(&serde_json::json!(1)));
    assert_eq!(lines[0].pointer("/entry/what/started/call/at"), Some(&serde_json::json!("elastic_ip.e")));
    assert!(lines[1].pointer("/entry/what/done/outputs/public_ip").is_some(), "{:?}", lines[1]);
}
