//! Every call of every example fails once before its effect and once after it: the next plans finish what was begun, with
//! no orphan and no twin. No SDK: the provider is the simulated world.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::date;
use portcullis::apply::journal::Nowhere;
use portcullis::apply::{self, Limits, Outcome, Stop};
use portcullis::cli::files::Disk;
use portcullis::cli::session;
use portcullis::model::{Address, Owner};
use portcullis::plan::policy::{Goal, Policy};
use portcullis::port::Class;
use portcullis::provider::faulty::{Fault, Faulty, When};
use portcullis::provider::sim::Sim;
use portcullis::resources::stack::Stack;
use portcullis::resources::world::World;
use portcullis::spec::{self, Environment, Inputs};

use crate::examples::Example;

/// How many applies may follow the one that a fault met.
const MORE: usize = 2;

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

/// One apply of an example: where it starts, and what it is to come to.
struct Turn {
    name: String,
    start: World,
    stack: Stack,
    policy: Policy,
}

type Rig = Arc<Faulty<Sim>>;

impl Turn {
    async fn apply(&self, rig: &Rig) -> Option<Outcome> {
        let (plan, _) = session::plan_for(&self.stack, &self.policy, false, rig.as_ref()).await.expect("observed");
        assert!(plan.refusals().is_empty(), "{}: {:?}", self.name, plan.refusals());
        if plan.is_empty() {
            return None;
        }
        let (_open, mut stop) = tokio::sync::watch::channel(Stop::No);
        let limits = Limits { parallelism: 4 };
        Some(apply::apply(&plan, rig, &mut Nowhere, limits, &mut stop, &mut |_| ()).await.expect("no journal to fail"))
    }

    fn rig(&self) -> Faulty<Sim> {
        Faulty::new(Sim::in_memory(self.start.clone()))
    }

    /// Without a fault: how many calls it takes, and the world it ends in.
    async fn plain(&self) -> (usize, World) {
        let rig = Arc::new(self.rig());
        let outcome = self.apply(&rig).await.unwrap_or_else(|| panic!("{}: nothing to do", self.name));
        assert!(outcome.complete(), "{}: {outcome:?}", self.name);
        assert!(self.apply(&rig).await.is_none(), "{}: a second plan is not empty", self.name);
        (rig.calls().len(), rig.inner().world())
    }

    /// With a fault: it is met, and what follows comes to the same objects.
    async fn with(&self, fault: Fault, wanted: &BTreeMap<Address, usize>) {
        let rig = Arc::new(self.rig().with(fault));
        let met = self.apply(&rig).await.expect("something to do");
        let story =
            || format!("{}: {fault:?}: {:?}", self.name, rig.calls().get(fault.at - 1).map(|call| call.at.clone()));
        assert_eq!(rig.fired(), 1, "{}", story());
        assert!(!met.complete(), "{}", story());
        let mut left = MORE;
        while let Some(outcome) = self.apply(&rig).await {
            assert!(left > 0, "{}: it does not come to an end: {outcome:?}", story());
            left -= 1;
        }
        let world = rig.inner().world();
        assert_eq!(world.audit(), Vec::<String>::new(), "{}", story());
        assert_eq!(world.breaches(), [""; 0], "{}", story());
        assert_eq!(owned(&world), *wanted, "{}", story());
    }
}

/// How many living objects each address owns.
pub fn owned(world: &World) -> BTreeMap<Address, usize> {
    let mut counts = BTreeMap::new();
    let going = |object: &portcullis::resources::registry::Object| match &object.body {
        portcullis::resources::registry::Body::Instance(body) => {
            body.state == portcullis::resources::instance::state::State::ShuttingDown
        }
        _ => false,
    };
    let objects = world.objects().filter(|object| !going(object)).map(|object| &object.tags);
    let stands = world.hosts().flat_map(|(_, host)| host.stacks.values()).map(|stand| &stand.tags);
    for owner in objects.chain(stands).filter_map(Owner::read) {
        *counts.entry(owner.address).or_default() += 1;
    }
    counts
}

pub fn load(example: &Example, specs: &[&str]) -> Stack {
    let paths: Vec<_> = specs.iter().map(|spec| example.folder.join(spec)).collect();
    let (sources, disk) = Disk::read(&paths).expect("the example's files");
    let (stack, problems) = spec::load(&sources, &Inputs { files: &disk, environment: &Nothing, region: None });
    stack.unwrap_or_else(|| panic!("{}: {problems:?}", example.name))
}

/// Every apply that an example goes through; each starts where the one before ends.
async fn turns(example: &Example) -> Vec<Turn> {
    let beginning = example.folder.join("world.json");
    let mut start = Sim::open(&beginning).expect("a world, or none").world();
    let policy = Policy::on(date(2026, 1, 15));
    let mut turns = Vec::new();
    let mut ways: Vec<_> = example.stages().into_iter().map(|specs| (specs, policy.clone())).collect();
    ways.push((vec!["spec.toml"], Policy { goal: Goal::Destroy, ..policy }));
    for (specs, policy) in ways {
        let name = format!("{} {specs:?} {:?}", example.name, policy.goal);
        let turn = Turn { name, start, stack: load(example, &specs), policy };
        start = turn.plain().await.1;
        turns.push(turn);
    }
    turns
}

#[tokio::test]
async fn every_fault_of_every_example_heals() {
    let mut told = 0;
    for example in Example::all() {
        for turn in turns(&example).await {
            let (calls, end) = turn.plain().await;
            let wanted = owned(&end);
            assert!(wanted.values().all(|count| *count == 1), "{}: {wanted:?}", turn.name);
            assert_eq!(turn.policy.goal == Goal::Destroy, wanted.is_empty(), "{}: {wanted:?}", turn.name);
            for at in 1..=calls {
                for when in [When::Before, When::After] {
                    turn.with(Fault { at, when, class: Class::Transient }, &wanted).await;
                    told += 1;
                }
            }
        }
    }
    assert!(told > 100, "only {told} faults were tried");
}
