//! Two to eight applies of one stack at once, under a schedule that a seed chooses: every call, every write of the lock and
//! every wait takes a time by chance, holders are suspended for longer than their lease holds, and some are killed.
//!
//! At every call that changes something, whoever makes it holds the newest lease, and nobody else's call is under way; in the
//! end every address owns one object, and a plan is empty. A failure names its seed: `SEED=17` runs that one alone, with its
//! story; `SEEDS=10000` runs so many.
//!
//! Time is virtual, and of what a machine does between its last look at the clock and the departure of a request nothing
//! is suspended: that gap is real, a few instructions wide, and no lock can close it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use jiff::civil::date;
use portcullis::apply::journal::Nowhere;
use portcullis::apply::{self, Limits, Stop};
use portcullis::cli::session;
use portcullis::lock::clock::{Clock, Virtual};
use portcullis::lock::keeper::{self, Lease, Wish};
use portcullis::lock::lease::{Former, Record, Terms};
use portcullis::lock::memory::Memory;
use portcullis::lock::{Fence, Fenced, Holder, Patience, Process};
use portcullis::model::duration::Seconds;
use portcullis::model::{Address, Owner, StackName};
use portcullis::plan::policy::Policy;
use portcullis::provider::sim::Sim;
use portcullis::resources::registry::Call;
use portcullis::resources::stack::Stack;
use portcullis::resources::world::World;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::examples::Example;
use crate::faults::{load, owned};

mod ways;

use ways::{Far, Slow, Watch};

const NAME: &str = "123456789012-pair.lock";
const TTL: Seconds = Seconds(60);
/// How many seeds run when nobody says so, for each sort of lock.
const SEEDS: u64 = 400;

/// What keeps the applies apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// A lease in a store.
    Lease,
    /// What a lock on one machine is: nobody else has it, and it ends with whoever has it.
    Local,
    /// Nothing.
    Not,
}

/// What all applies share.
struct Site {
    kept: Kept,
    clock: Arc<Virtual>,
    sim: Sim,
    store: Memory,
    local: Arc<tokio::sync::Mutex<()>>,
    stack: Stack,
    policy: Policy,
    state: Mutex<State>,
}

struct State {
    chance: fastrand::Rng,
    story: Vec<String>,
    faults: Vec<String>,
    /// Whose calls are under way.
    calls: BTreeMap<usize, usize>,
}

/// One apply, and until when it is suspended.
struct Runner {
    number: usize,
    site: Arc<Site>,
    until: Mutex<Duration>,
    /// What kills it.
    axe: OnceLock<AbortHandle>,
}

impl Site {
    fn new(seed: u64, kept: Kept, start: World, stack: Stack) -> Arc<Self> {
        let clock = Arc::new(Virtual::default());
        let time: Arc<dyn Clock> = Arc::<Virtual>::clone(&clock);
        let (chance, story) = (fastrand::Rng::with_seed(seed), Vec::new());
        Arc::new(Self {
            kept,
            sim: Sim::in_memory(start),
            store: Memory::new(time),
            clock,
            local: Arc::default(),
            stack,
            policy: Policy::on(date(2026, 1, 15)),
            state: Mutex::new(State { chance, story, faults: Vec::new(), calls: BTreeMap::new() }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    fn chance<T>(&self, choose: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        choose(&mut self.lock().chance)
    }

    fn now(&self) -> Duration {
        self.clock.now().steady
    }

    fn tell(&self, text: &str) {
        let line = format!("{:>9.3} {text}", self.now().as_secs_f64());
        self.lock().story.push(line);
    }

    fn fault(&self, text: &str) {
        self.tell(&format!("FAULT {text}"));
        self.lock().faults.push(text.to_owned());
    }

    /// Waits for as long as an answer may take: mostly no time, sometimes long.
    async fn way(&self, most: Duration) {
        let most = u64::try_from(most.as_millis()).expect("short");
        let how_long = self.chance(|chance| match chance.u8(..8) {
            0 => chance.u64(..most),
            _ => chance.u64(..300.min(most)),
        });
        self.clock.sleep(Duration::from_millis(how_long)).await;
    }

    /// How long a call may be under way after it was sent: less than lies between a holder's last call and a take-over. A
    /// lock on one machine ends with its holder at once, so there a call has its effect when it is sent.
    fn longest(&self) -> Duration {
        match self.kept {
            Kept::Local => Duration::from_millis(1),
            Kept::Lease | Kept::Not => (Terms::of(TTL).margin() * 2).saturating_sub(Duration::from_secs(1)),
        }
    }
}

impl Runner {
    fn new(number: usize, site: &Arc<Site>) -> Arc<Self> {
        Arc::new(Self { number, site: Arc::clone(site), until: Mutex::default(), axe: OnceLock::new() })
    }

    /// Whoever is suspended does nothing until it may go on.
    async fn turn(&self) {
        loop {
            let until = *self.until.lock().expect("whole");
            let left = until.saturating_sub(self.site.now());
            if left.is_zero() {
                return;
            }
            self.site.clock.sleep(left).await;
        }
    }

    fn tell(&self, text: &str) {
        self.site.tell(&format!("{} {text}", self.number));
    }

    /// A call leaves: now its sender must have the right to it, and nobody else's may be under way.
    fn sends(&self, call: &Call) {
        self.tell(&format!("sends {} of {}", World::api(&call.action), call.at));
        let newest = self.site.store.read(NAME).map(|bytes| serde_json::from_slice::<Record>(&bytes).expect("a lease"));
        let mine = newest.as_ref().is_some_and(|record| record.holder.id == self.id() && record.released.is_none());
        if self.site.kept == Kept::Lease && !mine {
            let other = newest.map(|record| format!("{} has epoch {}", record.holder.id, record.epoch));
            self.site.fault(&format!("{} changes {}, and {other:?}", self.number, call.at));
        }
        let mut state = self.site.lock();
        let others: Vec<usize> = state.calls.keys().copied().filter(|other| *other != self.number).collect();
        *state.calls.entry(self.number).or_default() += 1;
        drop(state);
        if !others.is_empty() && self.site.kept != Kept::Not {
            self.site.fault(&format!("calls of {} and of {others:?} are under way at once", self.number));
        }
    }

    fn arrived(&self) {
        let mut state = self.site.lock();
        let count = state.calls.entry(self.number).or_default();
        *count -= 1;
        if *count == 0 {
            state.calls.remove(&self.number);
        }
    }

    fn id(&self) -> String {
        format!("runner-{}", self.number)
    }
}

/// What a runner holds while it acts.
enum Hold {
    Lease(Lease),
    Local(#[expect(dead_code, reason = "it is held")] tokio::sync::OwnedMutexGuard<()>),
    Nothing,
}

/// How an apply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// A second plan is empty.
    Converged,
    /// It lost its lease on the way.
    Lost,
    /// The store did not answer often enough.
    NoLock(String),
    /// It was done, and something is still to do.
    Differs(String),
    /// A plan was refused.
    Refused(String),
}

impl Runner {
    async fn hold(self: &Arc<Self>) -> Result<Hold, String> {
        match self.site.kept {
            Kept::Not => Ok(Hold::Nothing),
            Kept::Local => Ok(Hold::Local(Arc::clone(&self.site.local).lock_owned().await)),
            Kept::Lease => {
                let clock: Arc<dyn Clock> = Arc::new(Watch(Arc::clone(self)));
                let wish = Wish {
                    store: Arc::new(Far(Arc::clone(self))),
                    clock: Arc::clone(&clock),
                    name: NAME.to_owned(),
                    holder: Holder {
                        id: self.id(),
                        command: "apply".to_owned(),
                        stack: StackName::new("pair").expect("a name"),
                        account: None,
                        user: self.id(),
                        host: "host".to_owned(),
                        process: Process { pid: 1, started: None, boot: None },
                        since: jiff::Timestamp::UNIX_EPOCH,
                        run: None,
                    },
                    ttl: TTL,
                };
                let mut tell = |_: &portcullis::lock::Busy| self.tell("waits");
                let mut patience = Patience::new(clock.as_ref(), Duration::from_secs(100_000), &mut tell);
                let lease = keeper::acquire(wish, &mut patience).await.map_err(|why| format!("{why:?}"))?;
                let over = if matches!(lease.former(), Some(Former::Expired(_))) { ", taken over" } else { "" };
                self.tell(&format!("has epoch {}{over}", lease.epoch()));
                Ok(Hold::Lease(lease))
            }
        }
    }

    async fn run(self: Arc<Self>) -> End {
        let hold = match self.hold().await {
            Ok(hold) => hold,
            Err(why) => return End::NoLock(why),
        };
        self.meets_its_fate(Duration::from_secs(15));
        let fence = match &hold {
            Hold::Lease(lease) => lease.fence(),
            Hold::Local(_) | Hold::Nothing => Fence::default(),
        };
        let end = self.act(&fence).await;
        let end = if fence.pass().await.is_err() { End::Lost } else { end };
        self.tell(&format!("ends: {end:?}"));
        if let Hold::Lease(lease) = hold
            && let Err(why) = lease.release().await
        {
            self.tell(&format!("cannot release: {why}"));
        }
        end
    }

    /// Some are suspended before so much time has passed, mostly for longer than a lease holds, and some are killed.
    fn meets_its_fate(self: &Arc<Self>, within: Duration) {
        let Some(axe) = self.axe.get().cloned() else { return };
        let within = u64::try_from(within.as_millis()).expect("short");
        let site = &self.site;
        // The most telling end shortly before or after somebody may take over.
        let (fate, after, long) = site.chance(|chance| {
            let long = if chance.bool() { chance.u64(..200_000) } else { chance.u64(25_000..75_000) };
            (chance.u8(..10), chance.u64(..within), long)
        });
        let runner = Arc::clone(self);
        tokio::task::spawn_local(async move {
            runner.site.clock.sleep(Duration::from_millis(after)).await;
            if axe.is_finished() {
                return;
            }
            match fate {
                0..=1 => {
                    runner.tell("is killed");
                    axe.abort();
                }
                2..=4 => {
                    runner.tell(&format!("is suspended for {}s", long / 1000));
                    *runner.until.lock().expect("whole") = runner.site.now() + Duration::from_millis(long);
                }
                _ => {}
            }
        });
    }

    async fn act(self: &Arc<Self>, fence: &Fence) -> End {
        let world = Arc::new(Slow(Arc::clone(self)));
        let site = &self.site;
        let plan = session::plan_for(&site.stack, &site.policy, false, world.as_ref()).await.expect("observed").0;
        if fence.pass().await.is_err() {
            return End::Lost;
        }
        if !plan.refusals().is_empty() {
            return End::Refused(format!("{:?}", plan.refusals()));
        }
        self.tell(&format!("has a plan of {} calls", plan.steps().len()));
        let (orders, mut stop) = watch::channel(Stop::No);
        let fenced = Arc::new(Fenced::new(Arc::clone(&world), fence.clone()));
        let applied = async {
            let limits = Limits { parallelism: 4 };
            apply::apply(&plan, &fenced, &mut Nowhere, limits, &mut stop, &mut |_| ())
                .await
                .expect("no journal to fail")
        };
        let mut applied = std::pin::pin!(applied);
        let outcome = tokio::select! {
            biased;
            outcome = &mut applied => outcome,
            _ = fence.lost() => {
                self.tell("has lost the lease");
                orders.send_replace(Stop::Drain);
                applied.await
            }
        };
        if !outcome.complete() {
            return End::Differs(format!("{:?}", outcome.steps));
        }
        let again = session::plan_for(&site.stack, &site.policy, false, world.as_ref()).await.expect("observed").0;
        if again.is_empty() && again.refusals().is_empty() {
            End::Converged
        } else {
            End::Differs(format!("{:?} {:?}", again.changes(), again.refusals()))
        }
    }
}

/// Where the applies begin, what they want, and what there is when they are through.
struct Story {
    start: World,
    stack: Stack,
    wanted: BTreeMap<Address, usize>,
}

/// Two machines behind one address: made from nothing, changed, and replaced.
async fn stories() -> Vec<Story> {
    let example = Example::all().into_iter().find(|example| example.name == "elastic-ip-pair").expect("the example");
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("other.toml");
    std::fs::write(&other, "[instance.node]\nimage = \"ami-0fedcba9876543210\"\n").expect("a file");
    let other = other.to_str().expect("text");
    let mut start = World::default();
    let mut stories = Vec::new();
    for specs in [&["spec.toml"][..], &["spec.toml", "change.toml"], &["spec.toml", "change.toml", other]] {
        let stack = load(&example, specs);
        let site = Site::new(0, Kept::Local, start.clone(), stack.clone());
        let end = site.clock.drive(Runner::new(0, &site).run()).await;
        assert_eq!(end, End::Converged);
        let world = site.sim.world();
        stories.push(Story { start, stack, wanted: owned(&world) });
        start = world;
    }
    stories
}

/// Runs one schedule to its end, and gives its site.
async fn explore(seed: u64, kept: Kept, story: &Story) -> Arc<Site> {
    let site = Site::new(seed, kept, story.start.clone(), story.stack.clone());
    site.clock.drive(perform(Arc::clone(&site), story)).await;
    site
}

async fn perform(site: Arc<Site>, story: &Story) {
    let count = site.chance(|chance| chance.usize(2..=8));
    let runners: Vec<Arc<Runner>> = (1..=count).map(|number| Runner::new(number, &site)).collect();
    let mut tasks = Vec::new();
    for runner in &runners {
        let began = Duration::from_millis(site.chance(|chance| chance.u64(..40_000)));
        let mine = Arc::clone(runner);
        let task = tokio::task::spawn_local(async move {
            mine.site.clock.sleep(began).await;
            // Whoever waits for a lock is not spared either.
            mine.meets_its_fate(Duration::from_mins(2));
            mine.run().await
        });
        runner.axe.set(task.abort_handle()).expect("one task");
        tasks.push(task);
    }
    for (runner, task) in runners.iter().zip(tasks) {
        match task.await {
            Ok(End::Converged | End::Lost | End::NoLock(_)) => {}
            Ok(End::Differs(why) | End::Refused(why)) => site.fault(&format!("{} ended with {why}", runner.number)),
            Err(why) if why.is_cancelled() => {}
            Err(why) => site.fault(&format!("{} panicked: {why}", runner.number)),
        }
    }
    // What had left has arrived by then.
    site.clock.sleep(Duration::from_mins(2)).await;
    judge(&site, story).await;
}

/// What must be true in the end: also after one more apply, which nothing befalls.
async fn judge(site: &Arc<Site>, story: &Story) {
    // Two generations at one address are the middle of a replacement; two of one generation are a mistake.
    let world = site.sim.world();
    let mut seen = BTreeMap::new();
    for owner in world.objects().filter_map(|object| Owner::read(&object.tags)) {
        *seen.entry((owner.address, owner.generation)).or_insert(0) += 1;
    }
    seen.retain(|_, count| *count > 1);
    if !seen.is_empty() {
        site.fault(&format!("duplicates: {seen:?}"));
    }
    let last = Runner::new(99, site).run().await;
    if last != End::Converged && !matches!(last, End::NoLock(_)) {
        site.fault(&format!("the last apply ended with {last:?}"));
    }
    let world = site.sim.world();
    if owned(&world) != story.wanted && last == End::Converged {
        site.fault(&format!("{:?} is there, and {:?} is wanted", owned(&world), story.wanted));
    }
    for problem in world.audit().into_iter().chain(world.breaches().iter().map(ToString::to_string)) {
        site.fault(&problem);
    }
}

/// The seeds of this run.
fn seeds() -> Vec<u64> {
    let number =
        |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")));
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

/// Runs on this thread alone, in an order that nothing but the seed decides.
fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(tokio::task::LocalSet::new().run_until(work))
}

/// Shows a story, to whoever runs with `--nocapture`.
#[expect(clippy::print_stderr, reason = "whoever names a seed wants its story")]
fn tell(story: &str) {
    eprintln!("{story}");
}

/// What schedules came to.
#[derive(Debug, Default)]
struct Findings {
    /// The first fault, with its seed and its story.
    fault: Option<String>,
    /// How often these words were said.
    said: BTreeMap<&'static str, usize>,
}

/// What must happen in schedules that are worth something.
const EVENTS: [&str; 4] = ["taken over", "ends: Lost", "is killed", "a plan of 9 calls"];

/// Runs schedules until one has a fault.
fn explored(kept: Kept, seeds: &[u64]) -> Findings {
    let alone = std::env::var_os("SEED").is_some();
    on_one_thread(async {
        let stories = stories().await;
        let mut findings = Findings::default();
        for seed in seeds {
            let story = &stories[usize::try_from(seed % 3).expect("small")];
            let site = explore(*seed, kept, story).await;
            let state = site.lock();
            let story = state.story.join("\n");
            for event in EVENTS {
                *findings.said.entry(event).or_default() += story.matches(event).count();
            }
            if !state.faults.is_empty() {
                let faults = state.faults.join("\n");
                findings.fault = Some(format!("SEED={seed} {kept:?}\n{faults}\n\nThe story:\n{story}"));
                break;
            }
            if alone {
                tell(&format!("SEED={seed} {kept:?}\n{story}"));
            }
        }
        findings
    })
}

#[test]
fn applies_at_once_change_one_after_the_other_under_a_lease() {
    let seeds = seeds();
    let Findings { fault, said } = explored(Kept::Lease, &seeds);
    if let Some(fault) = fault {
        panic!("{fault}");
    }
    // Schedules in which nothing happens prove nothing.
    for (event, count) in said {
        assert!(seeds.len() < 100 || count >= seeds.len() / 10, "`{event}` came about {count} times only");
    }
}

#[test]
fn applies_at_once_change_one_after_the_other_under_a_lock_of_one_machine() {
    if let Some(fault) = explored(Kept::Local, &seeds()).fault {
        panic!("{fault}");
    }
}

#[test]
fn without_a_lock_the_explorer_finds_what_goes_wrong() {
    let found = explored(Kept::Not, &(0..40).collect::<Vec<u64>>()).fault.expect("two applies at once do harm");
    assert!(found.contains("duplicates") || found.contains("ended with"), "{found}");
}

#[test]
fn a_seed_is_a_story() {
    on_one_thread(async {
        let stories = stories().await;
        for seed in [3, 4] {
            let (one, other) =
                (explore(seed, Kept::Lease, &stories[2]).await, explore(seed, Kept::Lease, &stories[2]).await);
            assert!(one.lock().story.len() > 20);
            assert_eq!(one.lock().story, other.lock().story);
        }
    });
}
