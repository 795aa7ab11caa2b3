//! The matrix of faults: every call that goes to AWS × every class of fault that AWS is known for, with the real SDK, our own
//! waits and moto, under a clock that only moves when everything waits.
//!
//! A life is a kind that is made, changed, changed back and removed. In CI each life is lived once for each class, every call
//! of it meeting the class at its first coming (reading calls in one life, writing calls in another); where that does not
//! heal, each call meets it alone and the table says which. `PORTCULLIS_MATRIX=each` lets each call meet each class alone
//! from the start: one command for a night.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use portcullis::apply::journal::Nowhere;
use portcullis::apply::{self, Limits, Outcome, StepOutcome, Stop};
use portcullis::cli::session;
use portcullis::plan::Plan;
use portcullis::plan::policy::{Consent, Policy};
use portcullis::port::{Class as Trouble, Provider, ProviderError};
use portcullis::provider::aws::Aws;
use portcullis::resources::scope::Scope;
use portcullis::resources::stack::Stack;
use portcullis::spec::{self, Environment, Files, Format, Inputs, Source};
use tokio::sync::watch;

use crate::permissions::{Scene, scenes};
use crate::support::moto;
use crate::support::wire::{Arm, Class, Wire};

const REGION: &str = "eu-north-1";
/// How long a listing may lag until "not empty" is believed, as `apply` itself waits.
const SETTLE: [u64; 8] = [0, 1, 2, 5, 12, 30, 70, 240];

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

impl Files for Nothing {
    fn read(&self, _: usize, _: &str) -> Result<Vec<u8>, String> {
        Err("there are no files".to_owned())
    }
}

fn stack(name: &str, text: &str) -> Stack {
    let text = format!("stack = \"{name}\"\nregion = \"{REGION}\"\n{}", text.replace("eu-west-3", REGION));
    let source = Source { path: "spec.toml".to_owned(), text, format: Format::Toml };
    let (stack, problems) = spec::load(&[source], &Inputs { files: &Nothing, environment: &Nothing, region: None });
    stack.unwrap_or_else(|| panic!("{problems:?}"))
}

/// Which calls meet a class.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// All of them, each at its first coming.
    All,
    /// This one.
    One(String),
}

fn reads(api: &str) -> bool {
    api.starts_with("Describe") || api.starts_with("Get")
}

/// A kind with a name of its own, and the wire to it.
struct Life {
    wire: Wire,
    aws: Arc<Aws>,
    name: String,
    states: Vec<String>,
    /// Every call of it.
    calls: BTreeSet<String>,
}

impl Life {
    async fn new(scene: &Scene, class: &str) -> Self {
        let wire = Wire::new();
        let aws = Arc::new(wire.aws(REGION).await);
        let [made, changed] = [scene.made.clone(), scene.changed.clone()];
        let states = vec![made.clone(), changed, made, String::new()];
        Self { wire, aws, name: format!("wire-{}-{class}", scene.name), states, calls: BTreeSet::new() }
    }

    async fn plan(&self, stack: &Stack) -> Result<Plan, ProviderError> {
        let mut policy = Policy::on("2026-06-01".parse().expect("a day"));
        policy.replace_stack = Consent::Given;
        Ok(session::plan_for(stack, &policy, false, self.aws.as_ref()).await?.0)
    }

    async fn apply(&self, plan: &Plan) -> Outcome {
        let (_keep, mut stop) = watch::channel(Stop::No);
        let limits = Limits { parallelism: 16 };
        apply::apply(plan, &self.aws, &mut Nowhere, limits, &mut stop, &mut |_| {}).await.expect("no journal")
    }

    /// Whether a plan is empty, soon or after a while.
    async fn settled(&self, stack: &Stack) -> Result<(), String> {
        let mut last = String::new();
        for wait in SETTLE {
            tokio::time::sleep(Duration::from_secs(wait)).await;
            match self.plan(stack).await {
                Ok(plan) if plan.is_empty() && plan.refusals().is_empty() => return Ok(()),
                Ok(plan) => {
                    let differ = plan.changes().iter().filter(|change| change.verb != portcullis::plan::Verb::NoOp);
                    let differ: Vec<String> =
                        differ.map(|change| format!("{:?} {}", change.verb, change.address)).collect();
                    last = format!("a second plan is not empty: {differ:?} {:?}", plan.refusals());
                }
                Err(why) => last = format!("no second plan: {why}"),
            }
        }
        Err(last)
    }

    /// Whether each address has one object, and nothing else is there.
    async fn whole(&self, stack: &Stack) -> Result<(), String> {
        let seen = self.aws.observe(&Scope::of(stack, false)).await.map_err(|why| format!("nothing is seen: {why}"))?;
        let mut there: Vec<String> =
            seen.objects.iter().filter_map(|object| Some(object.owner()?.address.to_string())).collect();
        there.sort();
        let wanted: Vec<String> = stack.resources.keys().map(ToString::to_string).collect();
        let (mut wanted, foreign) = (wanted, self.wire.foreign());
        wanted.sort();
        if there != wanted {
            return Err(format!("there is {there:?}, and wanted is {wanted:?}"));
        }
        if foreign.is_empty() { Ok(()) } else { Err(format!("changed, and not its own: {foreign:?}")) }
    }

    fn arm(&self, class: Class, who: &Who) {
        let apis = match who {
            Who::One(api) => [api.clone()].into(),
            Who::All => self.calls.clone(),
        };
        self.wire.arm(Some(Arm { class, apis }));
    }

    /// From one state to the next: within one apply, whatever goes wrong for a while.
    async fn step(&mut self, text: &str, fault: Option<(Class, &Who)>) -> Result<(), String> {
        let stack = stack(&self.name, text);
        if let Some((class, who)) = fault {
            self.arm(class, who);
        }
        let plan = self.plan(&stack).await.map_err(|why| format!("no plan: {why}"))?;
        if !plan.refusals().is_empty() {
            return Err(format!("refused: {:?}", plan.refusals()));
        }
        let outcome = self.apply(&plan).await;
        if !outcome.complete() {
            return Err(trouble(&plan, &outcome));
        }
        self.settled(&stack).await?;
        self.wire.arm(None);
        self.whole(&stack).await
    }

    /// A whole life under one class; what met it, and what went wrong.
    async fn live(&mut self, fault: Option<(Class, &Who)>) -> Result<BTreeSet<String>, String> {
        let mut met = BTreeSet::new();
        let mut result = Ok(());
        for (number, text) in self.states.clone().into_iter().enumerate() {
            result = self.step(&text, fault).await.map_err(|why| format!("state {number}: {why}"));
            met.extend(self.wire.met());
            self.wire.arm(None);
            if result.is_err() {
                break;
            }
        }
        if result.is_err() {
            self.end().await;
        }
        result.map(|()| met)
    }

    /// Takes everything away, for whoever comes next.
    async fn end(&mut self) {
        self.wire.arm(None);
        tokio::time::sleep(Duration::from_mins(10)).await;
        for _ in 0..3 {
            let _ = self.step("", None).await;
        }
    }
}

/// What is wrong with an outcome, in words.
fn trouble(plan: &Plan, outcome: &Outcome) -> String {
    let mut text = String::new();
    for (id, end) in &outcome.steps {
        let step = plan.step(*id).expect("a step");
        match end {
            StepOutcome::Done(_) | StepOutcome::Skipped { .. } => {}
            StepOutcome::Failed(error) | StepOutcome::Unknown(error) => {
                let _ = write!(text, "{} {}: {error} {:?}; ", step.title, step.call.at, error.class);
            }
            other => {
                let _ = write!(text, "{} {}: {other:?}; ", step.title, step.call.at);
            }
        }
    }
    text
}

/// Runs what waits under a clock that stands still while anything runs.
fn timeless<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

/// Classes that pass, with whether reading and writing calls can meet them. Each heals within the apply that meets it.
const PASSING: &[(Class, bool, bool)] = &[
    (Class::Throttled, true, true),
    (Class::Broken, true, true),
    (Class::BrokenAfter, false, true),
    (Class::Reset, true, true),
    (Class::SilentAfter, true, true),
    (Class::Unseen(120), false, true),
    (Class::Unseen(300), false, true),
    (Class::Stale(20), true, false),
    (Class::Omitted(120), true, false),
    (Class::Torn, true, false),
    (Class::Empty, true, false),
    (Class::Lingers(60), false, true),
];
/// The shorter of those that last, for who has the time.
const SHORTER: &[(Class, bool, bool)] = &[
    (Class::Unseen(2), false, true),
    (Class::Unseen(30), false, true),
    (Class::Omitted(2), true, false),
    (Class::Omitted(30), true, false),
    (Class::Omitted(300), true, false),
];

/// Reading calls that have pages; the others are whole in one answer.
const PAGED: &[&str] = &[
    "DescribeImages",
    "DescribeInstances",
    "DescribeInstanceTypes",
    "DescribeLoadBalancers",
    "DescribeNetworkInterfaces",
    "DescribeSecurityGroupRules",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeVolumes",
    "DescribeVpcs",
];

/// Who is refused because something holds on. A port holds on only where the same apply gave it up, and no life does that.
const HELD: &[&str] = &["AttachLoadBalancerToSubnets", "DeleteSecurityGroup", "ReleaseAddress"];

/// Whether a call can meet a class.
fn applies(class: Class, api: &str) -> bool {
    match class {
        Class::Empty | Class::LostToken => PAGED.contains(&api),
        Class::Lingers(_) => HELD.contains(&api),
        // It succeeds where there is none
        // (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DeleteLoadBalancer.html>).
        Class::Unseen(_) => api != "DeleteLoadBalancer",
        _ => true,
    }
}

fn matrix(name: &str) {
    let scene = scenes().into_iter().find(|scene| scene.name == name).expect("a scene");
    moto::ask("iam", "us-east-1", "Action=CreateInstanceProfile&Version=2010-05-08&InstanceProfileName=permissions");
    let calls = timeless(async {
        let mut life = Life::new(&scene, "plain").await;
        life.wire.seen();
        life.live(None).await.expect("nothing goes wrong");
        life.wire.seen()
    });
    assert!(calls.len() > 8, "{calls:?}");
    let each = std::env::var("PORTCULLIS_MATRIX").is_ok_and(|value| value == "each");
    let mut table: BTreeMap<(Class, Who), String> = BTreeMap::new();
    let mut lives = 0;
    let classes = PASSING.iter().chain(if each { SHORTER } else { &[] });
    for (class, reading, writing) in classes {
        let meets = |api: &&String| applies(*class, api) && if reads(api) { *reading } else { *writing };
        let able: BTreeSet<String> = calls.iter().filter(meets).cloned().collect();
        let ones = || able.iter().map(|api| Who::One(api.clone()));
        let mut left: Vec<Who> = if each { ones().collect() } else { vec![Who::All] };
        while let Some(who) = left.pop() {
            lives += 1;
            let end = timeless(async {
                let mut life = Life::new(&scene, &format!("{lives}")).await;
                life.calls.clone_from(&able);
                life.live(Some((*class, &who))).await
            });
            let Err(why) = end else { continue };
            if who == Who::All {
                left.extend(ones());
            }
            table.insert((*class, who), why);
        }
    }
    let words: String = table.iter().map(|((class, who), why)| format!("{class:?} × {who:?}: {why}\n")).collect();
    assert!(table.is_empty(), "{name}: what does not heal, of {} calls in {lives} lives:\n{words}", calls.len());
}

#[test]
fn keys_heal() {
    matrix("keys");
}

#[test]
fn groups_heal() {
    matrix("groups");
}

#[test]
fn addresses_heal() {
    matrix("addresses");
}

#[test]
fn machines_heal() {
    matrix("machines");
}

#[test]
fn restarts_heal() {
    matrix("restarts");
}

#[test]
fn balancers_heal() {
    matrix("fronts");
}

/// The scenes that are quickly played, for what ends an apply.
const QUICK: [&str; 3] = ["addresses", "groups", "keys"];

fn quick(name: &str) -> Scene {
    scenes().into_iter().find(|scene| scene.name == name).expect("a scene")
}

#[test]
fn credentials_that_end_at_any_call_end_the_apply_and_the_next_converges() {
    for name in QUICK {
        let scene = quick(name);
        let calls = timeless(async {
            let mut life = Life::new(&scene, "begin").await;
            life.wire.seen();
            life.step(&scene.made, None).await.expect("made");
            let calls = life.wire.seen();
            life.step("", None).await.expect("removed");
            calls
        });
        for api in calls.iter().filter(|api| *api != "GetCallerIdentity") {
            timeless(async {
                let mut life = Life::new(&scene, "expired").await;
                let stack = stack(&life.name, &scene.made);
                let arm = || life.arm(Class::Expired, &Who::One(api.clone()));
                if reads(api) {
                    arm();
                }
                match life.plan(&stack).await {
                    Err(error) => {
                        assert!(reads(api) && error.class == Trouble::Denied, "{name} without {api}: {error:?}");
                        assert!(error.hint.is_some_and(|hint| hint.contains("log in again")), "{api}");
                        assert!(life.wire.seen().iter().all(|api| reads(api)), "{name} without {api}: it was changed");
                    }
                    Ok(plan) => {
                        arm();
                        let outcome = life.apply(&plan).await;
                        // Tags of balancers are read where somebody has some.
                        let idle = api == "DescribeTags" && life.wire.met().is_empty();
                        let denied = |end: &StepOutcome| match end {
                            StepOutcome::Failed(error) => error.class == Trouble::Denied,
                            end => matches!(end, StepOutcome::Done(_) | StepOutcome::Skipped { .. }),
                        };
                        assert!(idle || !outcome.complete(), "{name} without {api}");
                        assert!(
                            outcome.steps.values().all(denied),
                            "{name} without {api}: {}",
                            trouble(&plan, &outcome)
                        );
                    }
                }
                life.wire.arm(None);
                for text in [scene.made.as_str(), ""] {
                    life.step(text, None).await.unwrap_or_else(|why| panic!("{name} after {api}: {why}"));
                }
            });
        }
    }
}

#[test]
fn a_page_whose_token_is_lost_is_no_plan() {
    timeless(async {
        let scene = quick("groups");
        let mut life = Life::new(&scene, "token").await;
        life.step(&scene.made, None).await.expect("made");
        life.wire.seen();
        for api in ["DescribeInstances", "DescribeSecurityGroupRules", "DescribeSecurityGroups", "DescribeSubnets"] {
            life.arm(Class::LostToken, &Who::One(api.to_owned()));
            let error = life.plan(&stack(&life.name, "")).await.expect_err("half a listing is none");
            assert!((error.class, error.code.as_deref()) == (Trouble::Invalid, Some("InvalidNextToken")), "{error:?}");
        }
        assert!(life.wire.seen().iter().all(|api| reads(api)), "nothing was changed");
        life.wire.arm(None);
        life.step("", None).await.expect("removed");
    });
}

#[test]
fn what_another_takes_away_between_plan_and_apply_is_made_again_or_counts_as_gone() {
    for (name, api, field, kind) in [
        ("keys", "DeleteKeyPair", "KeyPairId", "key_pair.own"),
        ("groups", "DeleteSecurityGroup", "GroupId", "security_group.own"),
    ] {
        let scene = quick(name);
        timeless(async {
            let mut life = Life::new(&scene, "taken").await;
            for next in [scene.changed.as_str(), ""] {
                life.step(&scene.made, None).await.expect("made");
                let wanted = stack(&life.name, next);
                let plan = life.plan(&wanted).await.expect("a plan");
                let seen = life.aws.observe(&Scope::of(&wanted, false)).await.expect("listed");
                let of = |object: &&portcullis::resources::registry::Object| {
                    object.owner().is_some_and(|owner| owner.address.to_string() == kind)
                };
                let id = seen.objects.iter().find(of).expect("it was made").id.to_string();
                life.wire.elsewhere(REGION, &format!("Action={api}&{field}={id}"));
                let outcome = life.apply(&plan).await;
                // What is gone is what a removal wants; a change of it is not done, and is not called so.
                if next.is_empty() {
                    assert!(outcome.complete(), "{name}: {}", trouble(&plan, &outcome));
                } else {
                    assert!(!outcome.complete() || life.settled(&wanted).await.is_err(), "{name}: it counts as done");
                }
                life.step(next, None).await.unwrap_or_else(|why| panic!("{name}: {why}"));
            }
            life.step("", None).await.expect("removed");
        });
    }
}
