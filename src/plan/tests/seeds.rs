//! Random stacks in random weather: several faults an apply, interrupts, somebody else who changes things in between. All of it
//! follows from a number, the seed, and can be told again: `SEED=17 cargo test --lib seeds`. A night's worth of others is
//! `SEEDS=100000 cargo test --release --lib seeds`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::likeness::likeness;
use super::properties::{End, converge, pair};
use super::{apply_on, block, graph, policy, trouble, world};
use crate::apply::journal::Nowhere;
use crate::apply::{self, Event, Limits, Outcome, Stop};
use crate::cli::session;
use crate::model::{Address, CloudId, Link, Output};
use crate::plan::Plan;
use crate::port::Class;
use crate::provider::faulty::{Fault, Faulty, When};
use crate::provider::sim::Sim;
use crate::resources::registry::{Action, Body, Call, Object};
use crate::resources::security_group::action::OldRule;
use crate::resources::stack::Stack;
use crate::resources::world::{Resolve, World};
use crate::resources::{elastic_ip, instance, key_pair, load_balancer, security_group};

/// How many seeds every run of the tests tells.
const USUAL: u64 = 500;
/// How many applies without a fault may follow the last one with some.
const CALM: usize = 3;
const CLASSES: [Class; 6] =
    [Class::Throttled, Class::Transient, Class::Denied, Class::Quota, Class::TimedOut, Class::WrongState];

/// Numbers that follow from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of so many.
    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(count.max(1)).unwrap()).unwrap()
    }

    /// Yes in so many of a hundred.
    fn chance(&mut self, percent: usize) -> bool {
        self.pick(100) < percent
    }

    fn tape(&mut self) -> Vec<u16> {
        let length = self.pick(500);
        (0..length).map(|_| u16::try_from(self.roll() % 0x1_0000).unwrap()).collect()
    }
}

/// What happened, for whoever reads of a failure.
type Told = Vec<String>;

/// How a seed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    /// Its stacks cannot be had.
    Refused,
    /// There was nothing to do.
    Idle,
    /// So many faults came about.
    Healed(usize),
}

/// A stack that comes true in bad weather.
struct Storm<'a> {
    dice: &'a mut Dice,
    stack: &'a Stack,
    told: &'a mut Told,
    fired: usize,
    meddled: bool,
}

impl Storm<'_> {
    /// One apply with faults; the world after it.
    fn gust(&mut self, start: World) -> Result<World, String> {
        let mut faulty = Faulty::new(Sim::in_memory(start));
        if self.dice.chance(10) {
            let (at, class) = (1 + self.dice.pick(12), CLASSES[self.dice.pick(CLASSES.len())]);
            self.told.push(format!("read {at} fails: {class:?}"));
            faulty = faulty.with_read(at, class);
        }
        let looked = block(session::plan_for(self.stack, &policy(), false, &faulty));
        let plan = match looked {
            Ok((plan, _)) => plan,
            Err(why) => {
                self.told.push(format!("no plan: {why}"));
                self.fired += faulty.fired();
                return Ok(faulty.into_inner().world());
            }
        };
        if let Some(refusal) = plan.refusals().first() {
            return Err(format!("refused: {refusal:?}"));
        }
        self.told.push(format!("a plan of {} steps", plan.steps().len()));
        if self.dice.chance(20) {
            faulty.inner().meddle(|world| self.meddle(world));
        }
        for _ in 0..=self.dice.pick(6) {
            let at = 1 + self.dice.pick(plan.steps().len() + 2);
            let when = if self.dice.chance(50) { When::Before } else { When::After };
            let class = CLASSES[self.dice.pick(CLASSES.len())];
            self.told.push(format!("call {at} fails, {when:?}: {class:?}"));
            faulty = faulty.with(Fault { at, when, class });
        }
        let breaches = faulty.inner().world().breaches().len();
        let faulty = Arc::new(faulty);
        let (outcome, stopped) = self.apply(&faulty, &plan);
        self.told.extend(trouble(&plan, &outcome));
        self.fired += faulty.fired();
        if outcome.complete() && faulty.fired() > 0 && !stopped {
            return Err("a fault was not reported".to_owned());
        }
        let world = faulty.inner().world();
        sound(&world, breaches)?;
        Ok(world)
    }

    /// Carries a plan out, and may be asked to stop. Whether it was.
    fn apply(&mut self, faulty: &Arc<Faulty<Sim>>, plan: &Plan) -> (Outcome, bool) {
        let (ask, mut stop) = watch::channel(Stop::No);
        let interrupt = self.dice.chance(20).then(|| {
            let at = 1 + self.dice.pick(2 * plan.steps().len() + 1);
            (at, if self.dice.chance(50) { Stop::Drain } else { Stop::Now })
        });
        if let Some((at, how)) = interrupt {
            self.told.push(format!("at event {at}: {how:?}"));
        }
        let mut events = 0;
        let mut hear = |_: Event<'_>| {
            events += 1;
            if let Some((_, how)) = interrupt.filter(|(at, _)| *at == events) {
                let _ = ask.send(how);
            }
        };
        let limits = Limits { parallelism: 1 + self.dice.pick(5) };
        let outcome = block(apply::apply(plan, faulty, &mut Nowhere, limits, &mut stop, &mut hear)).unwrap();
        (outcome, interrupt.is_some_and(|(at, _)| at <= events))
    }

    /// Somebody else does something to what the stack owns.
    fn meddle(&mut self, world: &mut World) {
        let ours: Vec<Object> = world
            .objects()
            .filter(|object| object.owner().is_some_and(|owner| owner.stack == "shop"))
            .cloned()
            .collect();
        let hosts: Vec<CloudId> = world.hosts().map(|(id, _)| id.clone()).collect();
        if ours.is_empty() || (!hosts.is_empty() && self.dice.chance(15)) {
            if let Some(host) = hosts.get(self.dice.pick(hosts.len())) {
                world.reboot(host);
                self.told.push(format!("somebody boots {host}"));
            }
            return;
        }
        let object = &ours[self.dice.pick(ours.len())];
        let action = self.mischief(object);
        let address = object.owner().unwrap().address;
        let timeout = crate::model::duration::Seconds(60);
        let call =
            Call { at: address.clone(), region: object.region.clone(), on: Some(object.id.clone()), action, timeout };
        let done = world.step(&call, &Stranger).map(|_| ());
        self.meddled |= done.is_ok();
        self.told.push(format!("somebody: {} on {address}: {done:?}", World::api(&call.action)));
    }

    /// Something that may be done to an object.
    fn mischief(&mut self, object: &Object) -> Action {
        match &object.body {
            Body::KeyPair(_) => Action::KeyPair(key_pair::Action::Delete),
            Body::SecurityGroup(body) => {
                let rule = body.rules.get(self.dice.pick(body.rules.len()));
                Action::SecurityGroup(match rule.filter(|_| self.dice.chance(80)) {
                    Some(rule) => {
                        let direction = rule.direction;
                        let old = OldRule { id: rule.id.clone(), rule: rule.rule.clone() };
                        security_group::Action::Revoke { direction, rules: vec![old] }
                    }
                    None => security_group::Action::Delete,
                })
            }
            Body::ElasticIp(body) => Action::ElasticIp(match &body.association {
                Some(tie) => elastic_ip::Action::Disassociate { association: tie.id.clone() },
                None => elastic_ip::Action::Release,
            }),
            Body::Instance(_) => Action::Instance(
                [
                    instance::Action::Stop,
                    instance::Action::Terminate,
                    instance::Action::SetSourceDestCheck(false),
                    instance::Action::SetMonitoring(true),
                ][self.dice.pick(4)]
                .clone(),
            ),
            Body::LoadBalancer(body) => Action::LoadBalancer(match self.dice.pick(3) {
                0 => load_balancer::Action::Delete,
                1 => load_balancer::Action::RemoveListeners(body.listeners.keys().take(1).copied().collect()),
                _ => load_balancer::Action::Deregister {
                    instances: body.instances.iter().take(1).cloned().collect(),
                    keep: 0,
                },
            }),
            Body::HostFirewall(_) => unreachable!("hosts are in no region"),
        }
    }
}

/// Whoever changes things from elsewhere: nothing is known of them.
struct Stranger;

impl Resolve for Stranger {
    fn id(&self, link: &Link) -> Option<CloudId> {
        match link {
            Link::Existing(id) => Some(id.clone()),
            Link::Planned(_) => None,
        }
    }

    fn output(&self, _: &Address, _: Output) -> Option<String> {
        None
    }
}

/// Demands that a world is whole, and that no law was broken after the first so many.
fn sound(world: &World, breaches: usize) -> Result<(), String> {
    let problems = [&world.audit(), &world.breaches()[breaches..]].concat();
    if problems.is_empty() { Ok(()) } else { Err(format!("{problems:#?}")) }
}

/// Applies in calm weather until nothing is to be done.
fn calm(world: World, stack: &Stack) -> Result<World, String> {
    let sim = Arc::new(Sim::in_memory(world));
    for round in 0.. {
        let (plan, _) = super::plan_on(sim.as_ref(), stack, &policy());
        if !plan.refusals().is_empty() {
            return Err(format!("refused afterwards: {:#?}\n{}", plan.refusals(), graph(&plan)));
        }
        if plan.is_empty() {
            break;
        }
        if round == CALM {
            return Err(format!("it does not come to an end:\n{}", graph(&plan)));
        }
        let breaches = sim.world().breaches().len();
        let outcome = apply_on(&sim, &plan, 4);
        if !outcome.complete() {
            return Err(format!("afterwards: {:#?}\n{}", trouble(&plan, &outcome), graph(&plan)));
        }
        sound(&sim.world(), breaches)?;
    }
    // What is on its way out comes to its end.
    sim.meddle(|world| world.pass(3600));
    Ok(sim.world())
}

/// How many living objects of the stack each address has.
fn counts(world: &World) -> BTreeMap<Address, usize> {
    let mut counts = BTreeMap::new();
    for owner in world.objects().filter_map(Object::owner).filter(|owner| owner.stack == "shop") {
        *counts.entry(owner.address).or_default() += 1;
    }
    counts
}

/// Tells the story of a seed.
fn tell(seed: u64, told: &mut Told) -> Result<Ended, String> {
    let mut dice = Dice(seed);
    let (first, second) = pair(&dice.tape());
    let sim = Arc::new(Sim::in_memory(world()));
    let from_scratch = dice.chance(40);
    if !from_scratch && converge(&sim, &first)? != End::Converged {
        return Ok(Ended::Refused);
    }
    let stack = if from_scratch { &first } else { &second };
    let start = sim.world();
    if converge(&sim, stack)? != End::Converged {
        return Ok(Ended::Refused);
    }
    if sim.world() == start {
        return Ok(Ended::Idle);
    }
    let end = calm(sim.world(), stack)?;
    let mut world = start;
    let gusts = 1 + dice.pick(3);
    let mut storm = Storm { dice: &mut dice, stack, told, fired: 0, meddled: false };
    for gust in 0..gusts {
        storm.told.push(format!("apply {gust}:"));
        world = storm.gust(world)?;
        world.pass(storm.dice.roll() % 900);
    }
    let (fired, meddled) = (storm.fired, storm.meddled);
    told.push("calm".to_owned());
    let world = calm(world, stack)?;
    if counts(&world) != counts(&end) {
        return Err(format!("{:#?}\ninstead of\n{:#?}", counts(&world), counts(&end)));
    }
    // What somebody else took away is made anew, and may stand in another zone then.
    if !meddled {
        let (have, want) = (likeness(&world, stack), likeness(&end, stack));
        if have != want {
            let missing: Vec<_> = want.difference(&have).collect();
            let more: Vec<_> = have.difference(&want).collect();
            return Err(format!("it ends elsewhere: missing {missing:#?}, instead {more:#?}"));
        }
    }
    Ok(Ended::Healed(fired))
}

/// Tells seeds until there are none left; how they ended, or the story of one that did not.
fn some(next: &AtomicU64, count: u64) -> Result<BTreeMap<Ended, usize>, String> {
    let mut ends = BTreeMap::new();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed > count {
            return Ok(ends);
        }
        // Whoever finds a story that goes wrong has it told at once.
        let end = one(seed).inspect_err(|_| next.store(count + 1, Ordering::Relaxed))?;
        *ends.entry(end).or_default() += 1;
    }
}

fn one(seed: u64) -> Result<Ended, String> {
    let mut told = Told::new();
    tell(seed, &mut told).map_err(|why| format!("SEED={seed}\n{}\n{why}", told.join("\n")))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn seeds_heal_in_any_weather() {
    if let Some(seed) = number("SEED") {
        println!("{:?}", one(seed).unwrap_or_else(|why| panic!("{why}")));
        return;
    }
    let (next, count) = (AtomicU64::new(1), number("SEEDS").unwrap_or(USUAL));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let ended: Vec<Result<_, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| some(&next, count))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let (mut healed, mut faults) = (0, 0);
    for ends in ended {
        for (end, times) in ends.unwrap_or_else(|why| panic!("{why}")) {
            if let Ended::Healed(fired) = end {
                (healed, faults) = (healed + times, faults + fired * times);
            }
        }
    }
    let count = usize::try_from(count).unwrap();
    assert!(healed * 10 > count * 7, "only {healed} of {count} stacks were had");
    assert!(faults > healed, "only {faults} faults came about");
}
