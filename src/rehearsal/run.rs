//! One order of a plan's calls, made on a world.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Address, CloudId, Link, Output, StackName};
use crate::plan::rehearsed::Trouble;
use crate::plan::{Plan, Step, StepId};
use crate::resources::Wave;
use crate::resources::world::{self, Outputs, Resolve, World, WorldError};

/// A world on which a plan's calls are made one after another.
pub(super) struct Run<'p> {
    plan: &'p Plan,
    pub(super) world: World,
    known: Known,
    /// Calls that could not be rehearsed, or that wait for one that could not.
    pub(super) skipped: BTreeSet<StepId>,
    /// Calls that the world did not carry out, for reasons that may be its own.
    pub(super) refused: BTreeMap<StepId, String>,
    /// Why, in words.
    pub(super) not_modelled: BTreeSet<String>,
    /// What the plan is to tell of its way.
    pub(super) told: BTreeSet<String>,
}

/// What calls have told.
struct Known {
    told: BTreeMap<Address, Outputs>,
    stack: StackName,
}

impl Resolve for Known {
    fn id(&self, link: &Link) -> Option<CloudId> {
        match link {
            Link::Existing(id) => Some(id.clone()),
            Link::Planned(address) => self.output(address, Output::Id).map(CloudId::new),
        }
    }

    fn output(&self, address: &Address, output: Output) -> Option<String> {
        self.told.get(address)?.get(&output).cloned()
    }

    fn stack(&self) -> Option<StackName> {
        Some(self.stack.clone())
    }
}

/// Something that a call came to and that must not be.
pub(super) struct Bad {
    pub(super) trouble: Trouble,
    pub(super) message: String,
}

impl<'p> Run<'p> {
    pub(super) fn new(plan: &'p Plan, world: World) -> Self {
        let known = Known { told: BTreeMap::new(), stack: plan.stack().clone() };
        Self {
            plan,
            world,
            known,
            skipped: BTreeSet::new(),
            refused: BTreeMap::new(),
            not_modelled: BTreeSet::new(),
            told: BTreeSet::new(),
        }
    }

    /// Makes one call. One that waits for a call that could not be rehearsed cannot be, either.
    ///
    /// # Errors
    /// What is wrong in the state that it leads to.
    pub(super) fn make(&mut self, step: &Step) -> Result<(), Bad> {
        if self.plan.graph().before(step.id).iter().any(|before| self.skipped.contains(before)) {
            self.skipped.insert(step.id);
            return Ok(());
        }
        match self.precheck(step) {
            Precheck::Go => {}
            Precheck::Gone => return Ok(()),
            Precheck::Stale(why) => {
                return Err(Bad { trouble: Trouble::Stuck, message: format!("{}: {why}", step.words()) });
            }
        }
        let broken = self.world.breaches().len();
        match self.world.step(&step.call, &self.known) {
            Ok(mut outputs) => {
                // A call on an object that is there does not give its address another id.
                if step.call.on.is_some() {
                    outputs.remove(&Output::Id);
                }
                self.known.told.entry(step.call.at.clone()).or_default().extend(outputs);
            }
            Err(why) => self.refused(step, &why)?,
        }
        match self.world.breaches().get(broken) {
            Some(breach) => Err(Bad { trouble: Trouble::Broken, message: breach.clone() }),
            None => Ok(()),
        }
    }

    /// Looks at the object once more where an apply does; of hosts that is left out, which would be read as a whole.
    fn precheck(&self, step: &Step) -> Precheck {
        let Some(seen) = step.seen.as_ref().filter(|seen| !seen.region.is_hosts()) else { return Precheck::Go };
        match self.world.object(&seen.region, &seen.id) {
            None if step.wave == Wave::Remove => Precheck::Gone,
            None => Precheck::Stale(format!("{} is gone", seen.id)),
            Some(now) => step.call.action.stale(seen, now).map_or(Precheck::Go, Precheck::Stale),
        }
    }

    /// Tells what the order is to blame for from what the world cannot know.
    fn refused(&mut self, step: &Step, why: &WorldError) -> Result<(), Bad> {
        let unbound = why.code == "MissingParameter";
        match why.trouble {
            world::Trouble::NotFound
            | world::Trouble::AlreadyExists
            | world::Trouble::InUse
            | world::Trouble::WrongState
                if !step.call.region.is_hosts() =>
            {
                Err(Bad { trouble: Trouble::Stuck, message: format!("{}: {why}", step.words()) })
            }
            world::Trouble::Invalid if unbound => {
                Err(Bad { trouble: Trouble::Stuck, message: format!("{}: {why}", step.words()) })
            }
            _ => {
                self.skipped.insert(step.id);
                self.refused.insert(step.id, format!("{}: {}", step.words(), why.message));
                Ok(())
            }
        }
    }
}

enum Precheck {
    Go,
    Gone,
    Stale(String),
}
