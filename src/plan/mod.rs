//! The planner: what must be done so that the world is as the spec says, and in which order.
//!
//! Pure: `plan(stack, snapshot, policy)` gives the same bytes for the same arguments. It refuses to read a clock, a file or
//! the environment, to guess about what could not be seen, and to touch what the stack does not own.
//!
//! The way through: [`claim`] says which object stands where, [`ripple`] what becomes of each (a replaced object is a new
//! identity, so whoever links to it is compared again), [`select`] applies filters, [`change`] asks the kinds for calls,
//! [`roll`] wraps interruptions and gives members their turns, [`look`] reads again what others change, [`link`] and
//! [`reach`] and [`doors`] put them in order, [`graph`] proves that the order exists, [`audit`] looks at the result once more.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::{AccountId, Address, Region, StackName};
use crate::resources::registry::{Call, Object};
use crate::resources::snapshot::{Question, Snapshot, Unseen};
use crate::resources::stack::Stack;
use crate::resources::{Impact, Refusal, RefusalKind, Wave};

pub mod audit;
mod change;
mod claim;
mod doors;
mod fresh;
mod graph;
mod link;
mod look;
mod lookup;
pub mod policy;
mod reach;
pub mod reads;
pub mod rehearsed;
mod ripple;
mod roll;
mod select;
#[cfg(test)]
mod tests;
pub mod wire;

pub use change::{Change, LeftOver, Verb};
pub use graph::{Because, Edge, Graph, StepId};
use policy::{Consent, Goal, Policy};
pub use roll::{Passage, Roll, Turn};

/// One call in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// What it does, in words.
    pub title: Cow<'static, str>,
    /// Whom or what of the object it is about, in words; mostly nothing.
    pub about: String,
    /// When in the order of things.
    pub wave: Wave,
    /// The call.
    pub call: Call,
    /// The object as the plan saw it, for calls that must find it so.
    pub seen: Option<Object>,
}

impl Step {
    /// What it does, in words: `register load_balancer.front: instance.web-0`.
    #[must_use]
    pub fn words(&self) -> String {
        let about = if self.about.is_empty() { String::new() } else { format!(": {}", self.about) };
        format!("{} {}{about}", self.title, self.call.at)
    }
}

/// What will be done, sealed: nothing but [`plan`] makes one.
#[derive(Debug, Clone)]
pub struct Plan {
    stack: StackName,
    origin: Option<String>,
    account: Option<AccountId>,
    regions: BTreeSet<Region>,
    goal: Goal,
    changes: Vec<Change>,
    steps: Vec<Step>,
    graph: Graph,
    refusals: Vec<Refusal>,
    questions: BTreeSet<Question>,
    retained: Vec<Address>,
    rolls: Vec<Roll>,
    exposures: Vec<String>,
    given_up: Vec<Edge>,
    unseen: Vec<Unseen>,
    rehearsal: Option<rehearsed::Rehearsal>,
}

/// Plans a stack against what was observed.
#[must_use]
pub fn plan(stack: &Stack, snapshot: &Snapshot, policy: &Policy) -> Plan {
    let claims = claim::claim(stack, snapshot, policy);
    let dependents = select::references(stack);
    let ripple = select::settle(stack, snapshot, policy, &claims, &dependents);
    let mut changes = change::changes(&ripple);
    let arounds = roll::around(&ripple, &mut changes);
    link::await_going(&ripple, &mut changes.batches);
    look::look_again(&ripple, &mut changes.batches);
    let link::Linked { edges, refusals, rolls } = link::link(&ripple, &changes.batches, &arounds);
    let steps = steps(changes.batches);
    let mut plan = Plan {
        stack: stack.name.clone(),
        origin: stack.origin.clone(),
        account: snapshot.account.clone(),
        regions: stack.regions.clone(),
        goal: policy.goal,
        changes: changes.list,
        steps,
        graph: Graph::default(),
        refusals: changes.refusals,
        questions: changes.questions,
        retained: changes.retained,
        rolls,
        exposures: Vec::new(),
        given_up: Vec::new(),
        unseen: snapshot.unseen.clone(),
        rehearsal: None,
    };
    plan.refusals.extend(refusals);
    plan.order(edges, stack, policy);
    plan.guards(stack, snapshot, policy, &claims);
    plan.refusals.sort_by(|a, b| (&a.address, a.kind, &a.message).cmp(&(&b.address, b.kind, &b.message)));
    plan.refusals.dedup();
    plan
}

fn steps(batches: Vec<change::Batch<'_>>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(batches.iter().map(|batch| batch.drafts.len()).sum());
    for batch in batches {
        let region = link::region(&batch).clone();
        for draft in batch.drafts {
            steps.push(Step {
                id: StepId(steps.len()),
                title: Cow::Borrowed(draft.title),
                about: draft.about,
                wave: draft.wave,
                seen: batch.object.filter(|_| draft.action.rechecks()).cloned(),
                call: Call {
                    at: batch.address.clone(),
                    region: region.clone(),
                    on: draft.on,
                    action: draft.action,
                    timeout: draft.timeout,
                },
            });
        }
    }
    steps
}

impl Plan {
    /// Brings the steps into an order, or says why there is none.
    fn order(&mut self, edges: BTreeSet<Edge>, stack: &Stack, policy: &Policy) {
        match Graph::order(self.steps.len(), edges) {
            Ok((graph, given_up)) => {
                self.graph = graph;
                for edge in &given_up {
                    self.give_up(edge, stack, policy);
                }
                self.given_up = given_up;
            }
            Err(graph::Cycle(edges)) => {
                let chain: Vec<String> = edges.iter().map(|edge| self.words(edge)).collect();
                let at = edges.first().and_then(|edge| self.step(edge.to)).map(|step| step.call.at.clone());
                self.refusals.push(Refusal {
                    kind: RefusalKind::Cycle,
                    address: at,
                    message: format!("these steps wait for each other: {}", chain.join("; ")),
                    hint: Some("make the change in two applies, or drop a literal `name` or `private_ip` so that old and new can stand side by side".to_owned()),
                });
            }
        }
    }

    /// An order that had to be given up: some are worth a word, one needs consent.
    fn give_up(&mut self, edge: &Edge, stack: &Stack, policy: &Policy) {
        let words = self.words(edge);
        match &edge.because {
            Because::LeaveFirst(_) => {
                self.exposures.push(words.clone());
                if policy.exposure == Consent::Withheld {
                    self.refusals.push(Refusal {
                        kind: RefusalKind::Exposure,
                        address: self.step(edge.to).map(|step| step.call.at.clone()),
                        message: format!("for a moment more is reachable than before and after: {words}"),
                        hint: Some("make the change in two applies, or accept it with `--accept exposure`".to_owned()),
                    });
                }
            }
            Because::OpenFirst(_)
            | Because::CloseLast(_)
            | Because::Serves(_)
            | Because::Admitted(_)
            | Because::Idle(_)
            | Because::Followed(_) => {
                self.exposures.push(format!("for a moment less is reachable than before and after: {words}"));
            }
            Because::ShutOut(_) => {
                self.exposures.push(format!("for a moment more is reachable than before and after: {words}"));
            }
            Because::Relieved(_) => self.serve_fewer(edge, stack, &words),
            Because::BornOpen(_)
            | Because::Proven(_)
            | Because::Drained(_)
            | Because::Reader(_)
            | Because::SameObject
            | Because::Needs(_)
            | Because::Reads(..)
            | Because::Holds(_)
            | Because::Successor(_)
            | Because::Slot(_)
            | Because::Turn(_) => {}
        }
    }

    /// Somebody leaves before another serves: there must be enough others.
    fn serve_fewer(&mut self, edge: &Edge, stack: &Stack, words: &str) {
        let server = self.step(edge.to).map(|step| step.call.at.clone());
        let crew = server.as_ref().and_then(|server| stack.resources.get(server)?.want.crew());
        self.exposures.push(format!("for a moment fewer serve than before and after: {words}"));
        if crew.is_some_and(|crew| crew.spare() == 0) {
            self.refusals.push(Refusal {
                kind: RefusalKind::Capacity,
                address: server,
                message: format!("too few would be left in service: {words}"),
                hint: Some("add a member, or lower `min_healthy`".to_owned()),
            });
        }
    }

    fn words(&self, edge: &Edge) -> String {
        let name = |id| self.step(id).map_or_else(String::new, Step::words);
        format!("{} waits for {} ({})", name(edge.to), name(edge.from), edge.because)
    }

    /// What is refused whatever the steps are.
    fn guards(&mut self, stack: &Stack, snapshot: &Snapshot, policy: &Policy, claims: &claim::Claims<'_>) {
        // A host that the spec still names, to say that nothing shall stand there, is none that it forgot.
        let forgotten =
            |change: &&Change| change.left_over == Some(LeftOver::Orphan) && !stack.hosts.contains_key(&change.address);
        let deletes = self.changes.iter().filter(forgotten).count();
        let strangers = claims.current.is_empty() && !stack.resources.is_empty();
        if policy.goal == Goal::Converge && deletes > 0 && strangers && policy.replace_stack == Consent::Withheld {
            let message = format!(
                "the spec shares no address with what stack `{}` owns, and all {deletes} of its objects would go",
                stack.name
            );
            self.refusals.push(Refusal {
                kind: RefusalKind::Guard,
                address: None,
                message,
                hint: Some("if two specs use one stack name, rename one; if this is meant, say `--replace-stack`; to add only, `--no-prune`".to_owned()),
            });
        }
        if let (Some(wanted), Some(is)) = (&stack.account, &snapshot.account)
            && wanted != is
        {
            self.refusals.push(Refusal {
                kind: RefusalKind::Guard,
                address: None,
                message: format!("the spec is for account {wanted}, and these credentials belong to {is}"),
                hint: Some("use that account's credentials (`--profile`), or correct `account`".to_owned()),
            });
        }
        for unseen in snapshot.unseen.iter().filter(|unseen| stack.regions.contains(&unseen.region)) {
            self.refusals.push(Refusal {
                kind: RefusalKind::Guard,
                address: None,
                message: format!("{} could not be seen: {}", unseen.region, unseen.why),
                hint: Some(
                    "nothing is planned where something cannot be seen: try again, or take the region out".to_owned(),
                ),
            });
        }
    }

    /// The stack.
    #[must_use]
    pub const fn stack(&self) -> &StackName {
        &self.stack
    }

    /// Where the spec comes from.
    #[must_use]
    pub const fn origin(&self) -> Option<&String> {
        self.origin.as_ref()
    }

    /// The account that was observed.
    #[must_use]
    pub const fn account(&self) -> Option<&AccountId> {
        self.account.as_ref()
    }

    /// The regions that were looked at.
    #[must_use]
    pub const fn regions(&self) -> &BTreeSet<Region> {
        &self.regions
    }

    /// What the plan is for.
    #[must_use]
    pub const fn goal(&self) -> Goal {
        self.goal
    }

    /// What becomes of each address; unchanged ones too.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The calls.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// One call.
    #[must_use]
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(id.0)
    }

    /// The order of the calls.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Why the plan must not be carried out; empty when it may.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// What must be asked before the plan is whole. With the answers in the snapshot, plan again.
    #[must_use]
    pub const fn questions(&self) -> &BTreeSet<Question> {
        &self.questions
    }

    /// Protected addresses that a destroy leaves, with what they need.
    #[must_use]
    pub fn retained(&self) -> &[Address] {
        &self.retained
    }

    /// Members that change in turns, by who sends them traffic.
    #[must_use]
    pub fn rolls(&self) -> &[Roll] {
        &self.rolls
    }

    /// Moments at which more or less is reachable than before and after.
    #[must_use]
    pub fn exposures(&self) -> &[String] {
        &self.exposures
    }

    /// Orders that had to be given up, as steps would have waited for each other.
    #[must_use]
    pub fn given_up(&self) -> &[Edge] {
        &self.given_up
    }

    /// What could not be seen.
    #[must_use]
    pub fn unseen(&self) -> &[Unseen] {
        &self.unseen
    }

    /// How hard the whole plan hits.
    #[must_use]
    pub fn impact(&self) -> Impact {
        self.changes.iter().map(|change| change.impact).max().unwrap_or_default()
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}
