//! The simulated world behind a door that closes at one call: from then on nobody is answered, as when the process is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use portcullis::model::{CloudId, Kind, Region};
use portcullis::port::{Bindings, Outputs, Provider, ProviderError, Scope};
use portcullis::provider::faulty::When;
use portcullis::provider::sim::Sim;
use portcullis::resources::registry::{Call, Object};
use portcullis::resources::snapshot::{Answer, Question, Snapshot};
use portcullis::resources::world::World;
use tokio::sync::Notify;

/// What became of the calls that were under way beside the one at which it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They never arrived.
    Lost,
    /// They took effect, and nobody heard of it.
    Done,
}

/// Where a run stops.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// At which call of the port, counting from 1; at none when it is higher than there are.
    pub at: usize,
    /// On which side of its effect.
    pub when: When,
    /// And the others that are under way then.
    pub others: Others,
}

impl Stop {
    /// The end of a run that nobody stops.
    pub const NEVER: Self = Self { at: usize::MAX, when: When::Before, others: Others::Lost };
}

/// A call that arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Which, in words.
    pub what: String,
    /// Whether it is one that changes something.
    pub acts: bool,
}

/// The world as far as a run can reach it.
#[derive(Debug)]
pub struct Stopping {
    sim: Sim,
    stop: Stop,
    calls: Mutex<Vec<Arrived>>,
    stopped: Notify,
}

impl Stopping {
    /// A world that stops answering here.
    pub fn new(world: World, stop: Stop) -> Self {
        Self { sim: Sim::in_memory(world), stop, calls: Mutex::default(), stopped: Notify::new() }
    }

    /// The world as it is now.
    pub fn world(&self) -> World {
        self.sim.world()
    }

    /// Every call that arrived.
    pub fn calls(&self) -> Vec<Arrived> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arrived>> {
        self.calls.lock().expect("no test panics while it holds this")
    }

    /// Waits until it has stopped, and until nothing moves any more: all that can still arrive has.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
        let mut seen = 0;
        while seen != self.lock().len() {
            seen = self.lock().len();
            // A task that has something to do gets its turn with each of these.
            for _ in 0..32 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Lets a call through as far as it comes.
    async fn meet<T>(&self, what: String, acts: bool, call: impl Future<Output = T>) -> T {
        let number = {
            let mut calls = self.lock();
            calls.push(Arrived { what, acts });
            calls.len()
        };
        let Stop { at, when, others } = self.stop;
        let (goes, answered) = match number.cmp(&at) {
            std::cmp::Ordering::Less => (true, true),
            std::cmp::Ordering::Equal => (when == When::After, false),
            // Who only looked may go on to the call that has an effect.
            std::cmp::Ordering::Greater => (others == Others::Done, others == Others::Done && !acts),
        };
        let answer = if goes { Some(call.await) } else { None };
        if number == at {
            self.stopped.notify_one();
        }
        match answer {
            Some(answer) if answered => answer,
            _ => std::future::pending().await,
        }
    }
}

impl Provider for Stopping {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        self.meet("observe".to_owned(), false, self.sim.observe(scope)).await
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        self.meet(format!("inquire {}", questions.len()), false, self.sim.inquire(questions)).await
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        self.meet(format!("reread {id}"), false, self.sim.reread(kind, region, id)).await
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        let what = format!("{} for {}", World::api(&call.action), call.at);
        self.meet(what, true, self.sim.perform(call, known)).await
    }
}
