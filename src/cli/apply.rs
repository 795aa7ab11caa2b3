//! `apply` and `destroy`: plan, ask, carry out, and look again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::args::{Apply, ConsentArgs, Destroy, Format, PolicyArgs, WorldArgs};
use super::console::Console;
use super::exit::Exit;
use super::kept::{self, Kept, Ready};
use super::load::Specified;
use super::plan::{check_addresses, check_targets, json};
use super::policy::policy;
use super::session::Asked;
use super::signals::Signals;
use super::{journal, load, session, world};
use crate::apply::{self, Limits, Outcome};
use crate::plan::policy::{Goal, Policy};
use crate::plan::{Plan, Verb};
use crate::provider::Place;
use crate::report::document::{self, PlanDoc, World};
use crate::report::outcome::OutcomeDoc;
use crate::report::{outcome, terminal};
use crate::resources::Impact;
use crate::resources::stack::Stack;

/// How long a world may take to show what was done to it, before "not empty" is believed: the time EC2's listings may lag
/// (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>).
const SETTLE: [u64; 7] = [0, 1, 2, 5, 12, 30, 70];

/// After which wait the operator is told that there is more of it.
const PATIENCE: u64 = 2;

/// What `apply` and `destroy` have in common.
struct Job<'a> {
    world: &'a WorldArgs,
    policy: &'a PolicyArgs,
    consent: &'a ConsentArgs,
    format: Format,
    goal: Goal,
}

/// A plan that is to be carried out.
struct Errand {
    plan: Plan,
    /// What a reader approves.
    hash: Option<String>,
    /// The stack, and whether it is whole, so that a second plan can be made of it.
    stack: Stack,
    again: Option<Policy>,
    place: Arc<Place>,
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
        format: args.format,
        goal: Goal::Converge,
    };
    let errand = match args.specs.as_slice() {
        [file] if kept::is_plan(file) => job.kept(file, &args.spec, console).await?,
        specs if args.spec.is_empty() => job.planned(specs, console).await?,
        _ => {
            console.complain("`--spec` stands beside a kept plan", Some("name specs without it: `apply SPEC...`"));
            return Err(Exit::Usage);
        }
    };
    job.run(errand, console).await
}

/// Runs `destroy`.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn destroy(args: &Destroy, console: &Console) -> Result<Exit, Exit> {
    let policy = PolicyArgs { risks: args.risks.clone(), ..PolicyArgs::default() };
    let job =
        Job { world: &args.world, policy: &policy, consent: &args.consent, format: args.format, goal: Goal::Destroy };
    let errand = job.planned(&args.spec.specs, console).await?;
    job.run(errand, console).await
}

impl Job<'_> {
    /// A plan made now.
    async fn planned(&self, specs: &[PathBuf], console: &Console) -> Result<Errand, Exit> {
        let Specified { stack, digest } = load::specified(specs, self.world, console).await?;
        check_addresses(self.policy, &stack, console)?;
        let place = world::open(self.world, &stack, usize::from(self.consent.parallelism), console).await?;
        let policy = policy(self.policy, self.goal);
        let all_regions = self.policy.all_regions;
        let (plan, snapshot) = session::plan_for(&stack, &policy, all_regions, &place)
            .await
            .map_err(|error| console.provider_error(&error))?;
        check_targets(self.policy, &stack, &plan, console)?;
        let asked = Asked { policy: &policy, today: self.policy.today, all_regions };
        let basis = session::basis(&plan, &stack, &snapshot, &digest, &asked);
        let doc = document::document(&plan, world::name(self.world)).sealed(Some(basis));
        self.show(&doc, console);
        Ok(Errand { plan, hash: doc.hash, stack, again: Some(policy), place: Arc::new(place) })
    }

    /// A plan that was made before.
    async fn kept(&self, file: &Path, specs: &[PathBuf], console: &Console) -> Result<Errand, Exit> {
        if *self.policy != PolicyArgs::default() {
            let hint = "give it to `plan`, and apply what that keeps";
            console.complain("a kept plan is applied as it is: no filter or consent changes it", Some(hint));
            return Err(Exit::Usage);
        }
        let kept = Kept::open(file, specs, self.world, console).await?;
        self.show(&kept.doc, console);
        // Another plan than the one that was approved is not even compared with the world.
        self.expected(kept.doc.hash.as_ref(), console)?;
        let stack = kept.stack();
        let parallelism = usize::from(self.consent.parallelism);
        let place = world::open_where(self.world, &stack, kept.needs_cloud(), parallelism, console).await?;
        let hash = kept.doc.hash.clone();
        let Ready { plan, spec } = kept.check(&place, console).await?;
        let place = Arc::new(place);
        Ok(match spec {
            Some((stack, policy)) => Errand { plan, hash, stack, again: Some(policy), place },
            None => Errand { plan, hash, stack, again: None, place },
        })
    }

    fn show(&self, doc: &PlanDoc, console: &Console) {
        match self.format {
            Format::Text => console.result(&terminal::plan(doc, console.style())),
            // The result is the outcome; the plan is talk.
            Format::Json => console.talk(terminal::plan(doc, console.talk_style()).trim_end()),
        }
    }

    /// Refuses every plan but the one that the command line names.
    fn expected(&self, hash: Option<&String>, console: &Console) -> Result<(), Exit> {
        let Some(expected) = &self.consent.expect else { return Ok(()) };
        if hash == Some(expected) {
            return Ok(());
        }
        let message = format!("this is not the plan that was expected: {expected}");
        console.complain(&message, Some("read this plan; if it is right, have its hash approved"));
        Err(Exit::Stale)
    }

    async fn run(&self, errand: Errand, console: &Console) -> Result<Exit, Exit> {
        let plan = &errand.plan;
        if !plan.refusals().is_empty() {
            return Err(Exit::Refused);
        }
        self.expected(errand.hash.as_ref(), console)?;
        if plan.is_empty() {
            let nothing = Outcome { steps: std::collections::BTreeMap::new() };
            self.result(&errand, &nothing, Some(true), console);
            return Ok(Exit::Done);
        }
        self.consent(plan, console)?;
        self.carry_out(&errand, console).await
    }

    /// Asks, unless the command line says yes; refuses what it does not cover.
    fn consent(&self, plan: &Plan, console: &Console) -> Result<(), Exit> {
        let impact = plan.impact();
        let usual = if plan.goal() == Goal::Destroy { Impact::DataLoss } else { Impact::Downtime };
        let limit = self.consent.max_impact.map(Impact::from);
        // Who names a plan by its hash has read it, and with it what it costs.
        let named = self.consent.expect.is_some();
        let accepted = limit.unwrap_or(if named { Impact::DataLoss } else { usual });
        if (self.consent.yes || named || limit.is_some()) && impact > accepted {
            let message = format!("this plan's impact is {}, and {} is accepted", impact.word(), accepted.word());
            let hint = format!("if that is meant: --max-impact {}", impact.word());
            console.complain(&message, Some(&hint));
            return Err(Exit::Refused);
        }
        if self.consent.yes || named {
            return Ok(());
        }
        if !console.can_ask() {
            let hint = "say `--yes`, name the plan with `--expect HASH`, or run it where somebody can answer";
            console.complain("nobody is there to ask, and nothing was accepted beforehand", Some(hint));
            return Err(Exit::Usage);
        }
        let word = if impact == Impact::DataLoss { plan.stack().to_string() } else { "yes".to_owned() };
        let question = match plan.goal() {
            Goal::Converge => format!("Apply this? Type `{word}` to go on:"),
            Goal::Destroy => format!("Destroy this? Type `{word}` to go on:"),
        };
        if console.ask(&question).as_deref() == Some(word.as_str()) {
            return Ok(());
        }
        console.talk("Nothing was changed.");
        Err(Exit::Declined)
    }

    async fn carry_out(&self, errand: &Errand, console: &Console) -> Result<Exit, Exit> {
        let Errand { plan, stack, again, place, .. } = errand;
        let mut journal = journal::open(self.consent, self.world, stack, console)?;
        let mut signals = Signals::listen(*console);
        let limits = Limits { parallelism: usize::from(self.consent.parallelism) };
        let style = console.talk_style();
        let mut tell = |event: apply::Event<'_>| {
            if let Some(line) = outcome::event(event, style) {
                console.talk(&line);
            }
        };
        let ended = apply::apply(plan, place, &mut journal, limits, signals.stop(), &mut tell).await;
        let outcome = ended.map_err(|why| {
            let message = format!("the journal cannot be written: {why}; nothing more was started");
            console.error(&message, Some("make room, or name another file with `--journal`"))
        })?;
        let whole = outcome.complete();
        let converged = match again.as_ref().filter(|_| whole) {
            // Everything is done: whoever asks for an end now does not wait until the world has settled.
            Some(policy) => tokio::select! {
                converged = self.look_again(stack, policy, place, console) => converged,
                () = signals.asked() => None,
            },
            None => None,
        };
        self.result(errand, &outcome, converged, console);
        Ok(match (signals.caught(), whole, converged) {
            (Some(exit), _, _) => exit,
            (None, false, _) => Exit::Partial,
            (None, true, Some(true)) => Exit::Done,
            // Without the spec nobody can say more than that every call took effect.
            (None, true, None) if again.is_none() => Exit::Done,
            (None, true, Some(false) | None) => Exit::NotConverged,
        })
    }

    /// Whether a plan made now is empty; none when none can be made.
    async fn look_again(&self, stack: &Stack, policy: &Policy, place: &Place, console: &Console) -> Option<bool> {
        // What was asked for by name is done: asking again would replace it again.
        let policy = Policy { replaces: std::collections::BTreeSet::new(), ..policy.clone() };
        let mut converged = None;
        for wait in SETTLE {
            if wait > 0 && matches!(place, Place::Simulated(_)) {
                break;
            }
            tokio::time::sleep(Duration::from_secs(wait)).await;
            match session::plan_for(stack, &policy, self.policy.all_regions, place).await {
                Ok((plan, _)) if plan.is_empty() && plan.refusals().is_empty() => return Some(true),
                Ok((plan, _)) => {
                    if wait == PATIENCE {
                        console
                            .talk("a second plan is not empty yet; listings may lag, so looking again for two minutes");
                    }
                    if Some(&wait) == SETTLE.last() || matches!(place, Place::Simulated(_)) {
                        still_differs(&plan, console);
                    }
                    converged = Some(false);
                }
                Err(error) => {
                    converged = None;
                    console.refused(&error);
                }
            }
        }
        converged
    }

    fn result(&self, errand: &Errand, outcome: &Outcome, converged: Option<bool>, console: &Console) {
        let name: World = world::name(self.world);
        let plan = &errand.plan;
        let doc = OutcomeDoc {
            plan: errand.hash.clone(),
            without_spec: errand.again.is_none(),
            ..outcome::document(plan, outcome, name, converged)
        };
        match self.format {
            Format::Json => console.result(&format!("{}\n", json(&doc))),
            Format::Text if plan.is_empty() => {}
            Format::Text => console.result(&outcome::terminal(&doc, console.style())),
        }
    }
}

/// Names what a second plan would still change.
fn still_differs(plan: &Plan, console: &Console) {
    let changes = plan.changes().iter().filter(|change| change.verb != Verb::NoOp);
    let addresses: Vec<String> = changes.map(|change| change.address.to_string()).collect();
    let shown = addresses.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let more = addresses.len().saturating_sub(5);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    console.talk(&format!("still differs: {shown}{rest}"));
}
