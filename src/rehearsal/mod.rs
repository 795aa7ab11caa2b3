//! The rehearsal: a plan is run on the world that its snapshot shows, in several legal orders, before anyone approves it.
//!
//! It asks whether a second plan would be empty, and whether any state on the way is one that must not be. What a snapshot
//! does not tell of is no reason against a plan: the rehearsal says what it left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::policy::Policy;
use crate::plan::rehearsed::{Finding, Rehearsal, Trouble, Verdict};
use crate::plan::{Plan, Step, StepId};
use crate::resources::snapshot::Snapshot;
use crate::resources::stack::Stack;
use crate::resources::world::World;
use again::Asked;
use film::{Film, Ruling, Scene, ruling};
use run::Run;

mod again;
mod film;
mod order;
mod run;

/// Up to how many calls and resources together the end of every order is planned again; beyond it that of the first.
const EVERY_END: usize = 300;
/// Exposures that the plan is told of.
const TOLD: usize = 5;

/// Rehearses a plan that was made for `stack` from `snapshot` by `policy`, looking at all regions or not.
///
/// Pure: the same arguments give the same findings. A plan that is refused already, or that does nothing, is not rehearsed:
/// then there is none.
#[must_use]
pub fn rehearse(
    stack: &Stack,
    snapshot: &Snapshot,
    policy: &Policy,
    all_regions: bool,
    plan: &Plan,
) -> Option<Rehearsal> {
    if plan.is_empty() || !plan.refusals().is_empty() {
        return None;
    }
    if !plan.questions().is_subset(&snapshot.answers.keys().cloned().collect()) {
        return Some(not_rehearsed("the plan depends on questions that were not asked"));
    }
    let account = snapshot.account.as_ref().map(ToString::to_string).unwrap_or_default();
    let policy = Policy { account, ..policy.clone() };
    let asked = Asked { stack, policy: &policy, all_regions };
    let (start, scene) = (World::from_snapshot(snapshot, &stack.name), Scene::new(snapshot));
    Some(Stage { plan, asked, start, scene }.rehearse())
}

fn not_rehearsed(why: &str) -> Rehearsal {
    Rehearsal {
        orders: 0,
        states: 0,
        verdict: Verdict::NotRehearsed,
        findings: Vec::new(),
        exposures: Vec::new(),
        not_modelled: vec![why.to_owned()],
    }
}

struct Stage<'a> {
    plan: &'a Plan,
    asked: Asked<'a>,
    start: World,
    scene: Scene,
}

/// What all orders came to so far.
#[derive(Default)]
struct Sums {
    findings: Vec<Finding>,
    not_modelled: BTreeSet<String>,
    told: BTreeSet<String>,
    /// Calls that were carried out in some order.
    done: BTreeSet<StepId>,
    /// Calls that were not, in some order: up to where, and why.
    refused: BTreeMap<StepId, (Vec<StepId>, String)>,
}

impl Sums {
    /// One order that shows a trouble is enough.
    fn add(&mut self, finding: Finding) {
        if self.findings.iter().all(|other| other.trouble != finding.trouble) {
            self.findings.push(finding);
        }
    }

    fn take(&mut self, run: Run<'_>, order: &[StepId]) {
        self.not_modelled.extend(run.not_modelled);
        self.told.extend(run.told);
        self.done.extend(order.iter().filter(|id| !run.skipped.contains(id)));
        for (id, why) in run.refused {
            let until = order.iter().position(|other| *other == id).and_then(|at| order.get(..=at)).unwrap_or_default();
            self.refused.entry(id).or_insert_with(|| (until.to_vec(), why));
        }
    }

    /// What is refused in one order and carried out in another is the fault of the order, whatever the reason.
    fn compare(&mut self, plan: &Plan) {
        for (id, (until, why)) in std::mem::take(&mut self.refused) {
            if self.done.contains(&id) {
                self.add(finding(Trouble::Stuck, plan.step(id), why, &until));
            } else {
                self.not_modelled.insert(why);
            }
        }
    }
}

impl Stage<'_> {
    fn rehearse(&self) -> Rehearsal {
        let orders = order::orders(self.plan);
        let every_end = self.plan.steps().len() + self.asked.stack.resources.len() <= EVERY_END;
        let mut whole = not_rehearsed("");
        let mut sums = Sums::default();
        for (number, order) in orders.iter().enumerate() {
            let mut run = Run::new(self.plan, self.start.clone());
            whole.orders += 1;
            whole.states += order.len();
            for finding in self.play(&mut run, order, number == 0 || every_end) {
                sums.add(finding);
            }
            sums.take(run, order);
        }
        sums.compare(self.plan);
        let refused = sums.findings.iter().any(|finding| !finding.accepted);
        whole.verdict = if refused { Verdict::Unsound } else { Verdict::Sound };
        whole.findings = sums.findings;
        whole.not_modelled = sums.not_modelled.into_iter().collect();
        whole.exposures = sums.told.into_iter().take(TOLD).collect();
        whole
    }

    /// Makes the calls in an order, up to the first that leads where none may, and looks at the end and at all that was on the
    /// way.
    fn play(&self, run: &mut Run<'_>, order: &[StepId], look_at_end: bool) -> Vec<Finding> {
        let mut film = Film::new(self.scene.clone());
        for (at, step) in order.iter().enumerate().filter_map(|(at, id)| Some((at, self.plan.step(*id)?))) {
            if let Err(bad) = run.make(step) {
                return vec![finding(bad.trouble, Some(step), bad.message, order.get(..=at).unwrap_or_default())];
            }
            film.shoot(at, step, &mut run.world, self.plan.stack());
        }
        let mut findings = self.watch(&film, run, order);
        let left = if look_at_end { self.asked.left(self.plan, run) } else { None };
        findings.extend(left.map(|left| finding(Trouble::Unfinished, None, left, &[])));
        findings
    }

    /// Looks at what was on the way: only once it is over is it known where it leads.
    fn watch(&self, film: &Film, run: &mut Run<'_>, order: &[StepId]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for shot in film.look() {
            let Some(step) = order.get(shot.at).and_then(|id| self.plan.step(*id)) else { continue };
            let ruling = ruling(&shot, step, self.plan, self.asked.policy);
            match ruling {
                Ruling::Printed => {}
                Ruling::Told => {
                    let words = Trouble::Cut.words();
                    run.told.insert(format!("{words}: {}", shot.message));
                }
                Ruling::Uncertain => {
                    let what = "who reaches the members of groups of whose rules nothing is known";
                    run.not_modelled.insert(what.to_owned());
                }
                Ruling::Accepted | Ruling::Refused => {
                    let steps = order.get(..=shot.at).unwrap_or_default();
                    let told = finding(shot.trouble, Some(step), shot.message, steps);
                    findings.push(Finding { accepted: ruling == Ruling::Accepted, ..told });
                }
            }
        }
        findings
    }
}

fn finding(trouble: Trouble, step: Option<&Step>, message: String, order: &[StepId]) -> Finding {
    let steps = order.iter().map(|id| id.0 + 1).collect();
    Finding { trouble, address: step.map(|step| step.call.at.clone()), message, steps, accepted: false }
}
