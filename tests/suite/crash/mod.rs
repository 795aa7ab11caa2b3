//! A run may end at any call, as if it were killed: nothing of it survives but the world. Whoever applies the same spec again
//! comes to the end that an undisturbed run comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::date;
use portcullis::apply::journal::Lines;
use portcullis::apply::{self, Limits, Outcome};
use portcullis::cli::session;
use portcullis::model::{CloudId, Kind};
use portcullis::plan::Plan;
use portcullis::plan::policy::{Goal, Policy};
use portcullis::provider::faulty::When;
use portcullis::resources::registry::Object;
use portcullis::resources::world::{self, World};
use portcullis::spec::{self, Environment, Files, Format, Inputs, Source, Stack};

use crate::likeness::likeness;
use crate::support::canary;

#[cfg(feature = "aws")]
mod kill;
mod scenarios;
mod stop;

pub use scenarios::{Scenario, Way, all};
use stop::{Arrived, Others, Stop, Stopping};

/// How many applies may follow the one that was stopped.
const MORE: usize = 2;

/// What stands there beside the stack, and is none of its business: another stack, of nearly the same name, on the same host.
const NEIGHBOUR: &str = r#"
stack = "shop2"
region = "eu-west-1"
[security_group.web]
ingress = [{ ports = 80, from = "0.0.0.0/0" }]
[key_pair.ops]
public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaeUuAyLGUdXDj5Mg4pOAvI5vM4qWpNx1Vh0yXv6F2a"
[instance.web]
image = "ami-00000001"
type = "t3.small"
security_groups = ["web"]
key_pair = "ops"
[elastic_ip.edge]
instance = "web"
[load_balancer.front]
security_groups = ["web"]
zones = ["eu-west-1a"]
listeners = [{ port = 80, protocol = "http", instance_port = 80 }]
instances = ["web"]
min_healthy = 0
[host_firewall.gw]
transport = { ssh = "root@gw.example.com" }
rules = [{ name = "web", ports = 80, from = "instance.web" }]
"#;

/// A file that scenarios name: a secret.
fn secret(path: &str) -> Option<String> {
    match path {
        "boot.sh" => Some(format!("{}\ndb {{{{ instance.db[0].private_ip }}}}\n", canary::USER_DATA)),
        "boot" => Some(canary::USER_DATA.to_owned()),
        "boot-2" => Some(format!("{} again", canary::USER_DATA)),
        _ => None,
    }
}

/// The files that scenarios name, all of them secret, and the key of their fingerprints.
struct Inside;

impl Files for Inside {
    fn read(&self, _: usize, path: &str) -> Result<Vec<u8>, String> {
        secret(path).map(String::into_bytes).ok_or_else(|| format!("`{path}` is not there"))
    }
}

impl Environment for Inside {
    fn variable(&self, name: &str) -> Option<String> {
        (name == canary::KEY_VARIABLE).then(|| canary::KEY.to_owned())
    }
}

/// A stack from documents that are merged.
pub fn stack(documents: &[&str]) -> Stack {
    let source = |text: &&str| Source { path: "spec.toml".to_owned(), text: (*text).to_owned(), format: Format::Toml };
    let sources: Vec<Source> = documents.iter().map(source).collect();
    let (stack, problems) = spec::load(&sources, &Inputs { files: &Inside, environment: &Inside, region: None });
    let stack = stack.unwrap_or_else(|| panic!("{problems:?}\n{}", documents.join("\n")));
    canary::demand_absent("a stack", &format!("{stack:?}"));
    stack
}

/// The policy of a way.
fn policy(way: Way) -> Policy {
    let mut policy = Policy::on(date(2026, 1, 15));
    match way {
        Way::Apply => {}
        Way::Destroy => policy.goal = Goal::Destroy,
        Way::Replace(address) => drop(policy.replaces.insert(address.parse().expect("an address"))),
    }
    policy
}

/// How a run ended.
#[derive(Debug)]
enum Run {
    /// There was nothing to do.
    Idle,
    /// It came to its end.
    Ended(Plan, Outcome),
    /// It was stopped.
    Stopped,
}

/// Plans and applies, until its end or until it is stopped. What it would have written to the journal names no secret.
async fn run(rig: &Arc<Stopping>, stack: &Stack, policy: &Policy, story: &str) -> Run {
    let mut journal = Vec::new();
    let ended = tokio::select! {
        biased;
        ended = whole(rig, stack, policy, &mut journal, story) => ended,
        () = rig.stopped() => Run::Stopped,
    };
    // The tasks of the run end when the runtime comes to them.
    tokio::task::yield_now().await;
    canary::demand_absent("the journal", &String::from_utf8(journal).expect("text"));
    if let Run::Ended(plan, outcome) = &ended {
        canary::demand_absent("a plan or an outcome", &format!("{plan:?} {outcome:?}"));
    }
    ended
}

async fn whole(rig: &Arc<Stopping>, stack: &Stack, policy: &Policy, journal: &mut Vec<u8>, story: &str) -> Run {
    let (plan, _) = session::plan_for(stack, policy, false, rig.as_ref()).await.expect("observed");
    assert!(plan.refusals().is_empty(), "{story}: {:#?}", plan.refusals());
    if plan.is_empty() {
        return Run::Idle;
    }
    let (_open, mut stop) = tokio::sync::watch::channel(apply::Stop::No);
    let mut journal = Lines::new(journal, String::new);
    let limits = Limits { parallelism: 4 };
    let outcome = apply::apply(&plan, rig, &mut journal, limits, &mut stop, &mut |_| ()).await.expect("written");
    Run::Ended(plan, outcome)
}

/// A run that nobody stops, which must not fail; none when there was nothing to do.
async fn undisturbed(world: &mut World, stack: &Stack, policy: &Policy, story: &str) -> Option<Plan> {
    let rig = Arc::new(Stopping::new(world.clone(), Stop::NEVER));
    let ended = run(&rig, stack, policy, story).await;
    *world = rig.world();
    match ended {
        Run::Idle => None,
        Run::Ended(plan, outcome) if outcome.complete() => Some(plan),
        other => panic!("{story}: {other:#?}"),
    }
}

/// A scenario as it is told: where it begins, and where it comes to without a stop.
struct Tale {
    name: &'static str,
    start: World,
    stack: Stack,
    /// How it is applied first, and by whoever comes after a stop.
    first: Policy,
    then: Policy,
    end: World,
    /// Every call of the undisturbed run, the last look included.
    calls: Vec<Arrived>,
    kinds: BTreeSet<Kind>,
}

impl Tale {
    async fn of(scenario: &Scenario) -> Self {
        let (name, before) = (scenario.name, [Scenario::HEAD, scenario.before].concat());
        let mut start = World::default();
        start.set_limits(world::Limits { addresses: 20, ..*start.limits() });
        let apply = policy(Way::Apply);
        undisturbed(&mut start, &stack(&[NEIGHBOUR]), &apply, name).await.expect("a neighbour");
        if !scenario.by_hand.is_empty() {
            let hand = stack(&["stack = \"hand\"\nregion = \"eu-west-1\"\n", scenario.by_hand]);
            undisturbed(&mut start, &hand, &apply, name).await.expect("something by hand");
            disown(&mut start);
        }
        if !scenario.before.is_empty() {
            undisturbed(&mut start, &stack(&[&before]), &apply, name).await.expect("something before");
        }
        start.pass(3600);
        let stack = stack(&[&before, scenario.change]);
        let (first, then) = (policy(scenario.way), policy(scenario.way.then()));
        let rig = Arc::new(Stopping::new(start.clone(), Stop::NEVER));
        let Run::Ended(plan, outcome) = run(&rig, &stack, &first, name).await else { panic!("{name}: nothing to do") };
        assert!(outcome.complete(), "{name}: {outcome:#?}");
        let mut end = rig.world();
        assert!(undisturbed(&mut end, &stack, &then, name).await.is_none(), "{name}: one apply is not enough");
        sound(&end, name);
        let kinds = plan.steps().iter().map(|step| step.call.at.kind).collect();
        Self { name, start, stack, first, then, end, calls: rig.calls(), kinds }
    }

    /// Stops one run, and applies again until there is nothing to do. Whether nothing else was under way then.
    async fn stopped(&self, stop: Stop) -> bool {
        let story = format!("{}: {stop:?} is {}", self.name, self.calls[stop.at - 1].what);
        let rig = Arc::new(Stopping::new(self.start.clone(), stop));
        let ended = run(&rig, &self.stack, &self.first, &story).await;
        assert!(matches!(ended, Run::Stopped), "{story}: {ended:?}");
        let mut world = rig.world();
        sound(&world, &story);
        // Whoever comes next comes at once, or much later.
        world.pass(if stop.at.is_multiple_of(2) { 600 } else { 0 });
        let mut left = MORE;
        while let Some(plan) = undisturbed(&mut world, &self.stack, &self.then, &story).await {
            let undone = || plan.changes().iter().map(|change| format!("{:?}", change.address)).collect::<Vec<_>>();
            assert!(left > 0, "{story}: it does not come to an end: {:?}", undone());
            left -= 1;
            sound(&world, &story);
        }
        self.is_the_end(world, &story);
        rig.calls().len() == stop.at
    }

    /// Demands that a world is as the undisturbed run left it: the stack's part in other ids, the rest to the letter.
    fn is_the_end(&self, mut world: World, story: &str) {
        let mut wanted = self.end.clone();
        // What is on its way comes to its end.
        for world in [&mut world, &mut wanted] {
            world.pass(3600);
        }
        let (have, want) = (likeness(&world, &self.stack), likeness(&wanted, &self.stack));
        let missing: Vec<_> = want.difference(&have).collect();
        let more: Vec<_> = have.difference(&want).collect();
        assert!(missing.is_empty() && more.is_empty(), "{story}: missing {missing:#?}, instead {more:#?}");
        assert_eq!(owned(&world), owned(&wanted), "{story}");
        assert_eq!(foreign(&world), foreign(&wanted), "{story}");
        assert_eq!(hosts(&world), hosts(&wanted), "{story}");
    }
}

fn sound(world: &World, story: &str) {
    assert_eq!(world.audit(), [""; 0], "{story}");
    assert_eq!(world.breaches(), [""; 0], "{story}");
}

/// Takes the tags of the stack `hand` off everything, as if it had been made by hand.
fn disown(world: &mut World) {
    let made: Vec<Object> =
        world.objects().filter(|object| object.owner().is_some_and(|owner| owner.stack == "hand")).cloned().collect();
    for object in made {
        world.meddle(&object.region, &object.id, |object| object.tags.retain(|key, _| !key.starts_with("portcullis:")));
    }
}

fn is_ours(object: &Object) -> bool {
    object.owner().is_some_and(|owner| owner.stack == "shop")
}

/// How many objects each address has: none is there twice, and none is left over.
fn owned(world: &World) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for owner in world.objects().filter_map(Object::owner).filter(|owner| owner.stack == "shop") {
        *counts.entry(owner.address.to_string()).or_default() += 1;
    }
    counts
}

/// What is not the stack's.
fn foreign(world: &World) -> BTreeMap<&CloudId, &Object> {
    world.objects().filter(|object| !is_ours(object)).map(|object| (&object.id, object)).collect()
}

/// What stands on each host of others, and of whom.
fn hosts(world: &World) -> BTreeMap<String, String> {
    let told = world.hosts().map(|(id, host)| {
        let rules: Vec<&str> = host.foreign_texts().collect();
        let others = |stacks: &BTreeMap<_, _>| {
            let others = stacks.iter().filter(|(stack, _)| format!("{stack}") != "shop");
            others.map(|(stack, stand)| format!("{stack}: {stand:?}")).collect::<Vec<_>>()
        };
        (id.to_string(), format!("{rules:?} {:?} {:?}", others(&host.stacks), others(&host.boot)))
    });
    told.collect()
}

/// Stops the runs of some scenarios everywhere.
async fn sweep(share: usize) {
    for (_, scenario) in all().enumerate().filter(|(number, _)| number % SHARES == share) {
        let tale = Tale::of(scenario).await;
        for (at, call) in (1..).zip(&tale.calls) {
            // A call that only reads has no effect to stop behind.
            let sides: &[When] = if call.acts { &[When::Before, When::After] } else { &[When::Before] };
            for when in sides {
                let alone = tale.stopped(Stop { at, when: *when, others: Others::Lost }).await;
                if !alone {
                    tale.stopped(Stop { at, when: *when, others: Others::Done }).await;
                }
            }
        }
    }
}

/// How many tests share the scenarios, so that they run beside each other.
const SHARES: usize = 4;

#[tokio::test]
async fn a_stop_at_any_call_is_made_good() {
    sweep(0).await;
}

#[tokio::test]
async fn so_is_it_in_the_second_share() {
    sweep(1).await;
}

#[tokio::test]
async fn so_is_it_in_the_third_share() {
    sweep(2).await;
}

#[tokio::test]
async fn so_is_it_in_the_last_share() {
    sweep(3).await;
}

#[tokio::test]
async fn the_scenarios_are_many_and_touch_every_kind() {
    let names: BTreeSet<&str> = all().map(|scenario| scenario.name).collect();
    assert!(names.len() >= 30, "{}", names.len());
    assert_eq!(names.len(), all().count(), "two are called alike");
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut calls = 0;
    for scenario in all() {
        let tale = Tale::of(scenario).await;
        calls += tale.calls.len();
        for kind in tale.kinds {
            *kinds.entry(kind).or_default() += 1;
        }
    }
    assert!(Kind::ALL.iter().all(|kind| kinds.get(kind).is_some_and(|count| *count >= 3)), "{kinds:?}");
    assert!(calls > 300, "only {calls} calls to stop at");
}
