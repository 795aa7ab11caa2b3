//! Carries a plan out: a step starts when what it waits for is done, and a failure stops its dependents only.
//!
//! It makes no mutating call that the plan does not contain, decides nothing, and knows no provider by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use crate::model::{Address, Link, Output};
use crate::plan::{Plan, Step, StepId};
use crate::port::{Bindings, Class, Outputs, Provider, ProviderError};

mod event;
pub mod journal;
mod outcome;
mod precheck;
#[cfg(test)]
mod tests;

use precheck::Before;

pub use event::Event;
pub use journal::Journal;
pub use outcome::{Outcome, StepOutcome};

/// How an apply may be carried out.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many calls may be under way at a time.
    pub parallelism: usize,
}

/// What the operator asks of an apply that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Go on.
    No,
    /// Start nothing new, await what runs.
    Drain,
    /// Stop now.
    Now,
}

/// Carries a plan out.
///
/// `tell` hears every event as it comes; `stop` is looked at before every start.
///
/// # Errors
/// Only when the journal cannot be written: nothing is started that could not be recorded.
pub async fn apply<P: Provider + 'static>(
    plan: &Plan,
    world: &Arc<P>,
    journal: &mut dyn Journal,
    limits: Limits,
    stop: &mut watch::Receiver<Stop>,
    tell: &mut dyn FnMut(Event<'_>),
) -> std::io::Result<Outcome> {
    let mut run = Run::new(plan, world, limits);
    loop {
        let stopping = *stop.borrow_and_update();
        if stopping == Stop::No {
            run.start_ready(journal, tell)?;
        }
        if stopping == Stop::Now || run.tasks.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            finished = run.tasks.join_next_with_id() => {
                if let Some(finished) = finished {
                    run.finish(finished, journal, tell)?;
                }
            }
            changed = stop.changed() => {
                if changed.is_err() {
                    // Nobody can ask for anything any more: go on to the end.
                    let finished = run.tasks.join_next_with_id().await;
                    if let Some(finished) = finished {
                        run.finish(finished, journal, tell)?;
                    }
                }
            }
        }
    }
    run.tasks.abort_all();
    Ok(run.outcome())
}

/// What a task answers: the step's end.
type Answer = StepOutcome;

struct Run<'p, P> {
    plan: &'p Plan,
    world: Arc<P>,
    limits: Limits,
    /// Ready steps, those with the longest way behind them first.
    ready: BTreeSet<(std::cmp::Reverse<usize>, StepId)>,
    waiting: BTreeMap<StepId, usize>,
    distance: BTreeMap<StepId, usize>,
    tasks: JoinSet<Answer>,
    running: BTreeMap<Id, StepId>,
    done: BTreeMap<StepId, StepOutcome>,
    known: Bindings,
}

impl<'p, P: Provider + 'static> Run<'p, P> {
    fn new(plan: &'p Plan, world: &Arc<P>, limits: Limits) -> Self {
        let distance = distances(plan);
        let mut run = Self {
            plan,
            world: Arc::clone(world),
            limits,
            ready: BTreeSet::new(),
            waiting: BTreeMap::new(),
            distance,
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            done: BTreeMap::new(),
            known: Bindings::default(),
        };
        for step in plan.steps() {
            match plan.graph().before(step.id).len() {
                0 => run.make_ready(step.id),
                count => {
                    run.waiting.insert(step.id, count);
                }
            }
        }
        run
    }

    fn make_ready(&mut self, step: StepId) {
        let distance = self.distance.get(&step).copied().unwrap_or_default();
        self.ready.insert((std::cmp::Reverse(distance), step));
    }

    /// Whether a step that is done was about the same object.
    fn before(&self, step: &Step) -> Before {
        let same = |id: &StepId| self.plan.step(*id).is_some_and(|done| done.call.on == step.call.on);
        let is_done = |end: &StepOutcome| matches!(end, StepOutcome::Done(_));
        let touched = step.seen.is_some() && self.done.iter().any(|(id, end)| is_done(end) && same(id));
        if touched { Before::Touched } else { Before::Untouched }
    }

    fn start_ready(&mut self, journal: &mut dyn Journal, tell: &mut dyn FnMut(Event<'_>)) -> std::io::Result<()> {
        while self.tasks.len() < self.limits.parallelism.max(1) {
            let Some((_, id)) = self.ready.pop_first() else { break };
            let Some(step) = self.plan.step(id) else { continue };
            journal.record(&journal::Entry::started(step))?;
            tell(Event::Started(step));
            let known = self.known.of(named(step).iter());
            let before = self.before(step);
            let task = carry_out(self.plan.stack().to_string(), step.clone(), before, Arc::clone(&self.world), known);
            let handle = self.tasks.spawn(task);
            self.running.insert(handle.id(), id);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        finished: Result<(Id, Answer), tokio::task::JoinError>,
        journal: &mut dyn Journal,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> std::io::Result<()> {
        let (task, outcome) = match finished {
            Ok((task, outcome)) => (task, outcome),
            Err(fault) => {
                let error = ProviderError::new(Class::Invalid, "carrying out a step", fault.to_string());
                (fault.id(), StepOutcome::Unknown(error))
            }
        };
        let Some(id) = self.running.remove(&task) else { return Ok(()) };
        let Some(step) = self.plan.step(id) else { return Ok(()) };
        journal.record(&journal::Entry::ended(step, &outcome))?;
        tell(Event::Ended(step, &outcome));
        match &outcome {
            StepOutcome::Done(outputs) => {
                self.known.bind(&step.call.at, outputs.clone());
                self.release(id);
            }
            StepOutcome::Failed(_) | StepOutcome::Stale(_) | StepOutcome::Unknown(_) => self.skip_dependents(id),
            StepOutcome::Skipped { .. } | StepOutcome::NotStarted => {}
        }
        self.done.insert(id, outcome);
        Ok(())
    }

    fn release(&mut self, id: StepId) {
        for next in self.plan.graph().after(id) {
            let Some(count) = self.waiting.get_mut(next) else { continue };
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(next);
                self.make_ready(*next);
            }
        }
    }

    fn skip_dependents(&mut self, cause: StepId) {
        let mut next: Vec<StepId> = self.plan.graph().after(cause).to_vec();
        while let Some(id) = next.pop() {
            if self.waiting.remove(&id).is_some() {
                self.done.insert(id, StepOutcome::Skipped { because: cause });
                next.extend(self.plan.graph().after(id));
            }
        }
    }

    fn outcome(self) -> Outcome {
        let mut steps = self.done;
        for id in self.running.values() {
            let error = ProviderError::new(Class::TimedOut, "stopping", "it was under way when the apply was stopped");
            steps.insert(*id, StepOutcome::Unknown(error));
        }
        for step in self.plan.steps() {
            steps.entry(step.id).or_insert(StepOutcome::NotStarted);
        }
        Outcome { steps }
    }
}

/// Reads again what must be as the plan saw it, then makes the call.
async fn carry_out<P: Provider>(
    stack: String,
    step: Step,
    before: Before,
    world: Arc<P>,
    known: Bindings,
) -> StepOutcome {
    match precheck::precheck(&stack, &step, before, world.as_ref()).await {
        Ok(precheck::Verdict::Go) => {}
        Ok(precheck::Verdict::Gone) => return StepOutcome::Done(Outputs::new()),
        Ok(precheck::Verdict::Stale(why)) => return StepOutcome::Stale(why),
        Err(error) => return StepOutcome::Failed(error),
    }
    match world.perform(&step.call, &known).await {
        Ok(outputs) => StepOutcome::Done(with_own_id(outputs, &step)),
        Err(error) if error.ambiguous => StepOutcome::Unknown(error),
        Err(error) => StepOutcome::Failed(error),
    }
}

/// The addresses whose outputs a step may use.
fn named(step: &Step) -> BTreeSet<Address> {
    let needs = step.call.action.needs();
    let links = needs.links.into_iter().filter_map(|link| match link {
        Link::Planned(address) => Some(address),
        Link::Existing(_) => None,
    });
    let read = needs.outputs.into_iter().map(|(address, _)| address);
    links.chain(read).chain([step.call.at.clone()]).collect()
}

/// A call on an object that is there must not give its address another id.
fn with_own_id(mut outputs: Outputs, step: &Step) -> Outputs {
    if step.call.on.is_some() {
        outputs.remove(&Output::Id);
    }
    outputs
}

/// The number of steps on the longest way from each step to the end.
fn distances(plan: &Plan) -> BTreeMap<StepId, usize> {
    let mut distances = BTreeMap::new();
    for id in plan.graph().sequence().iter().rev() {
        let longest = plan.graph().after(*id).iter().filter_map(|after| distances.get(after)).max().copied();
        distances.insert(*id, longest.unwrap_or_default() + 1);
    }
    distances
}
