//! `apply` and `destroy`: a plan made now, or one that was kept, is shown, agreed to and carried out under the stack's lock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{Apply, ConsentArgs, Destroy, Format, LockArgs, PolicyArgs, WorldArgs};
use super::carry::{Errand, Errands, Site};
use super::console::Console;
use super::exit::Exit;
use super::kept::{self, Kept, Ready};
use super::load::Specified;
use super::locking::{Locks, Work};
use super::plan::{check_addresses, check_targets};
use super::policy::policy;
use super::session::Asked;
use super::signals::Signals;
use super::{load, session, world};
use crate::plan::policy::Goal;
use crate::provider::Place;
use crate::report::document;

/// What `apply` and `destroy` have in common.
struct Job<'a> {
    world: &'a WorldArgs,
    policy: &'a PolicyArgs,
    consent: &'a ConsentArgs,
    lock: &'a LockArgs,
    format: Format,
    goal: Goal,
}

/// Runs `apply`.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn run(args: &Apply, console: &Console) -> Result<Exit, Exit> {
    let job = Job {
        world: &args.world,
        policy: &args.policy,
        consent: &args.consent,
        lock: &args.lock,
        format: args.format,
        goal: Goal::Converge,
    };
    match args.specs.as_slice() {
        [file] if kept::is_plan(file) => Box::pin(job.kept(file, &args.spec, console)).await,
        specs if args.spec.is_empty() => Box::pin(job.planned(specs, console)).await,
        _ => {
            console.complain("`--spec` stands beside a kept plan", Some("name specs without it: `apply SPEC...`"));
            Err(Exit::Usage)
        }
    }
}

/// Runs `destroy`.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn destroy(args: &Destroy, console: &Console) -> Result<Exit, Exit> {
    let policy = PolicyArgs { risks: args.risks.clone(), ..PolicyArgs::default() };
    let job = Job {
        world: &args.world,
        policy: &policy,
        consent: &args.consent,
        lock: &args.lock,
        format: args.format,
        goal: Goal::Destroy,
    };
    Box::pin(job.planned(&args.spec.specs, console)).await
}

impl Job<'_> {
    /// Carries out a plan that is made now.
    async fn planned(&self, specs: &[PathBuf], console: &Console) -> Result<Exit, Exit> {
        let specified = load::specified(specs, self.world, console).await?;
        let stack = &specified.stack;
        check_addresses(self.policy, stack, console)?;
        let work = Work {
            command: if self.goal == Goal::Destroy { "destroy" } else { "apply" },
            stack,
            cloud: world::needs_cloud(stack),
            world: self.world,
            parallelism: usize::from(self.consent.parallelism),
            timeout: self.lock.lock_timeout,
        };
        let under_lock = async |place: &Arc<Place>, locks: &Locks, signals: &mut Signals| {
            let errand = tokio::select! {
                errand = Box::pin(self.plan(&specified, place, console)) => errand?,
                () = signals.asked() => return Err(signals.caught().unwrap_or(Exit::Interrupted)),
            };
            // Whoever was suspended between two looks has seen half of what somebody else did.
            locks.still_held(console).await?;
            self.errands().show(&errand.doc, console);
            let mut site = Site { place, locks, signals, console };
            self.errands().run(&errand, &mut site).await
        };
        Box::pin(work.under_lock(console, under_lock)).await
    }

    async fn plan(&self, specified: &Specified, place: &Place, console: &Console) -> Result<Errand, Exit> {
        let Specified { stack, digest } = specified;
        let (policy, all_regions) = (policy(self.policy, self.goal), self.policy.all_regions);
        let rehearse = !self.policy.risks.no_rehearsal;
        let planned = session::rehearsed_plan_for(stack, &policy, all_regions, rehearse, place).await;
        let (plan, snapshot) = planned.map_err(|error| console.provider_error(&error))?;
        check_targets(self.policy, stack, &plan, console)?;
        let asked = Asked { policy: &policy, today: self.policy.today, all_regions };
        let basis = session::basis(&plan, stack, &snapshot, digest, &asked);
        let doc = document::document(&plan, world::name(self.world)).sealed(Some(basis));
        Ok(Errand { plan, doc, stack: stack.clone(), again: Some(policy), all_regions })
    }

    /// Carries out a plan that was made before.
    async fn kept(&self, file: &Path, specs: &[PathBuf], console: &Console) -> Result<Exit, Exit> {
        if *self.policy != PolicyArgs::default() {
            let hint = "give it to `plan`, and apply what that keeps";
            console.complain("a kept plan is applied as it is: no filter or consent changes it", Some(hint));
            return Err(Exit::Usage);
        }
        let kept = Kept::open(file, self.world, console)?;
        self.errands().show(&kept.doc, console);
        // Another plan than the one that was approved is not even compared with the world.
        self.errands().expected(kept.doc.hash.as_ref(), console)?;
        let kept = Box::pin(kept.specify(specs, self.world, console)).await?;
        let (stack, doc, all_regions) = (kept.stack(), kept.doc.clone(), kept.all_regions());
        let work = Work {
            command: "apply",
            stack: &stack,
            cloud: kept.needs_cloud(),
            world: self.world,
            parallelism: usize::from(self.consent.parallelism),
            timeout: self.lock.lock_timeout,
        };
        let under_lock = async |place: &Arc<Place>, locks: &Locks, signals: &mut Signals| {
            let ready = tokio::select! {
                ready = Box::pin(kept.check(place, console)) => ready?,
                () = signals.asked() => return Err(signals.caught().unwrap_or(Exit::Interrupted)),
            };
            locks.still_held(console).await?;
            let Ready { plan, again } = ready;
            let errand = Errand { plan, doc, stack: stack.clone(), again, all_regions };
            let mut site = Site { place, locks, signals, console };
            self.errands().run(&errand, &mut site).await
        };
        Box::pin(work.under_lock(console, under_lock)).await
    }

    const fn errands(&self) -> Errands<'_> {
        Errands { world: self.world, consent: self.consent, format: self.format }
    }
}
