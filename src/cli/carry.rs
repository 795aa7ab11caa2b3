//! A plan that is agreed to is carried out, and the world is looked at again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::args::{ConsentArgs, Format, WorldArgs};
use super::console::Console;
use super::exit::Exit;
use super::locking::{self, Locks};
use super::plan::json;
use super::signals::Signals;
use super::{journal, session, world};
use crate::apply::{self, Limits, Outcome};
use crate::lock::Fenced;
use crate::plan::policy::{Goal, Policy};
use crate::plan::{Plan, Verb};
use crate::provider::Place;
use crate::report::document::PlanDoc;
use crate::report::outcome::OutcomeDoc;
use crate::report::{outcome, terminal};
use crate::resources::Impact;
use crate::resources::stack::Stack;

/// How long a world may take to show what was done to it, before "not empty" is believed: the time EC2's listings may lag
/// (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>).
const SETTLE: [u64; 7] = [0, 1, 2, 5, 12, 30, 70];

/// After which wait the operator is told that there is more of it.
const PATIENCE: u64 = 2;

/// A plan that is to be carried out.
#[derive(Debug)]
pub struct Errand {
    /// The plan.
    pub plan: Plan,
    /// The same as a reader approves it.
    pub doc: PlanDoc,
    /// The stack; of a kept plan without its spec only what a plan tells of it.
    pub stack: Stack,
    /// With which policy a second plan is made; none where nobody knows what to compare with.
    pub again: Option<Policy>,
    /// Whether every enabled region is looked at.
    pub all_regions: bool,
}

/// Where it is carried out.
pub struct Site<'a> {
    /// The world.
    pub place: &'a Arc<Place>,
    /// What keeps others away.
    pub locks: &'a Locks,
    /// Who may ask for an end.
    pub signals: &'a mut Signals,
    /// Where it is told.
    pub console: &'a Console,
}

/// What the command line says of how plans are carried out.
#[derive(Debug, Clone, Copy)]
pub struct Errands<'a> {
    /// Which world.
    pub world: &'a WorldArgs,
    /// What is agreed to beforehand.
    pub consent: &'a ConsentArgs,
    /// The form of the result.
    pub format: Format,
}

impl Errands<'_> {
    /// Shows a plan.
    pub fn show(&self, doc: &PlanDoc, console: &Console) {
        match self.format {
            Format::Text => console.result(&terminal::plan(doc, console.style())),
            // The result is the outcome; the plan is talk.
            Format::Json => console.talk(terminal::plan(doc, console.talk_style()).trim_end()),
        }
    }

    /// Refuses every plan but the one that the command line names.
    ///
    /// # Errors
    /// [`Exit::Stale`], for another one.
    pub fn expected(&self, hash: Option<&String>, console: &Console) -> Result<(), Exit> {
        let Some(expected) = &self.consent.expect else { return Ok(()) };
        if hash == Some(expected) {
            return Ok(());
        }
        let message = format!("this is not the plan that was expected: {expected}");
        console.complain(&message, Some("read this plan; if it is right, have its hash approved"));
        Err(Exit::Stale)
    }

    /// Carries a plan out, if it may be and is agreed to.
    ///
    /// # Errors
    /// The exit that says why not.
    pub async fn run(&self, errand: &Errand, site: &mut Site<'_>) -> Result<Exit, Exit> {
        let plan = &errand.plan;
        if !plan.refusals().is_empty() {
            return Err(Exit::Refused);
        }
        self.expected(errand.doc.hash.as_ref(), site.console)?;
        if plan.is_empty() {
            let nothing = Outcome { steps: std::collections::BTreeMap::new() };
            self.result(errand, &nothing, Some(true), site.console);
            return Ok(Exit::Done);
        }
        self.agreed(plan, site).await?;
        site.locks.still_held(site.console).await?;
        self.carry_out(errand, site).await
    }

    /// Asks, unless the command line says yes; refuses what it does not cover.
    async fn agreed(&self, plan: &Plan, site: &mut Site<'_>) -> Result<(), Exit> {
        let (impact, console) = (plan.impact(), site.console);
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
        if locking::ask(question, site.signals, console).await?.as_deref() == Some(word.as_str()) {
            return Ok(());
        }
        console.talk("Nothing was changed.");
        Err(Exit::Declined)
    }

    async fn carry_out(&self, errand: &Errand, site: &mut Site<'_>) -> Result<Exit, Exit> {
        let Site { place, locks, signals, console } = site;
        let mut journal = journal::open(self.consent, self.world, &errand.stack, console)?;
        let _watch = locks.watch(signals, console);
        let fenced = Arc::new(Fenced::new(Arc::clone(place), locks.fence()));
        let limits = Limits { parallelism: usize::from(self.consent.parallelism) };
        let style = console.talk_style();
        let mut tell = |event: apply::Event<'_>| {
            if let Some(line) = outcome::event(event, style) {
                console.talk(&line);
            }
        };
        let ended = apply::apply(&errand.plan, &fenced, &mut journal, limits, signals.stop(), &mut tell).await;
        let outcome = ended.map_err(|why| {
            let message = format!("the journal cannot be written: {why}; nothing more was started");
            console.error(&message, Some("make room, or name another file with `--journal`"))
        })?;
        let whole = outcome.complete();
        let converged = match errand.again.as_ref().filter(|_| whole) {
            // Everything is done: whoever asks for an end now does not wait until the world has settled.
            Some(policy) => tokio::select! {
                converged = look_again(errand, policy, place, console) => converged,
                () = signals.asked() => None,
            },
            None => None,
        };
        let lost = signals.caught().is_none() && locks.fence().pass().await.is_err();
        self.result(errand, &outcome, converged, console);
        Ok(match (signals.caught(), whole, converged) {
            (Some(exit), _, _) => exit,
            _ if lost => Exit::Partial,
            (None, false, _) => Exit::Partial,
            (None, true, Some(true)) => Exit::Done,
            // Without the spec nobody can say more than that every call took effect.
            (None, true, None) if errand.again.is_none() => Exit::Done,
            (None, true, Some(false) | None) => Exit::NotConverged,
        })
    }

    fn result(&self, errand: &Errand, outcome: &Outcome, converged: Option<bool>, console: &Console) {
        let plan = &errand.plan;
        let doc = OutcomeDoc {
            plan: errand.doc.hash.clone(),
            without_spec: errand.again.is_none(),
            ..outcome::document(plan, outcome, world::name(self.world), converged)
        };
        match self.format {
            Format::Json => console.result(&format!("{}\n", json(&doc))),
            Format::Text if plan.is_empty() => {}
            Format::Text => console.result(&outcome::terminal(&doc, console.style())),
        }
    }
}

/// Whether a plan made now is empty; none when none can be made.
async fn look_again(errand: &Errand, policy: &Policy, place: &Place, console: &Console) -> Option<bool> {
    // What was asked for by name is done: asking again would replace it again.
    let policy = Policy { replaces: BTreeSet::new(), ..policy.clone() };
    let mut converged = None;
    for wait in SETTLE {
        if wait > 0 && matches!(place, Place::Simulated(_)) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(wait)).await;
        match session::plan_for(&errand.stack, &policy, errand.all_regions, place).await {
            Ok((plan, _)) if plan.is_empty() && plan.refusals().is_empty() => return Some(true),
            Ok((plan, _)) => {
                if wait == PATIENCE {
                    console.talk("a second plan is not empty yet; listings may lag, so looking again for two minutes");
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

/// Names what a second plan would still change.
fn still_differs(plan: &Plan, console: &Console) {
    let changes = plan.changes().iter().filter(|change| change.verb != Verb::NoOp);
    let addresses: Vec<String> = changes.map(|change| change.address.to_string()).collect();
    let shown = addresses.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let more = addresses.len().saturating_sub(5);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    console.talk(&format!("still differs: {shown}{rest}"));
}
