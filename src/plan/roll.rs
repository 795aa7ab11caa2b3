//! Members change while the site stays up: whoever sends traffic to an object stops before that one is interrupted and
//! goes on afterwards; new ones serve before old ones leave; and never more are out at a time than the site can do
//! without.
//!
//! What goes around an interruption the kind that sends the traffic says; here it is only chained. Members take turns in
//! one order for everyone who sends them traffic, so that two chains cannot wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{Batch, Changes, Role};
use super::graph::{Because, StepId};
use super::link::Linker;
use super::ripple::{Fate, Ripple};
use crate::model::duration::Seconds;
use crate::model::{Address, CloudId, Link, Reference};
use crate::resources::registry::Object;
use crate::resources::{Crew, Refusal, RefusalKind, Wrap};

/// Members of one that sends them traffic, in the turns in which they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// Who sends the traffic.
    pub by: Address,
    /// How many members it has in the end.
    pub members: u32,
    /// How many of them are never fewer in service by our doing.
    pub min_healthy: u32,
    /// Who changes together; each turn begins when the one before it is over.
    pub turns: Vec<Vec<Turn>>,
}

/// One member's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Which member.
    pub member: Address,
    /// How it changes.
    pub change: Passage,
    /// The longest that all its steps may take together, in seconds; it usually takes much less.
    pub at_most: Seconds,
}

/// How a member changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Passage {
    /// It is taken out, stopped, started and put in again.
    Restart,
    /// Another is put in, then it is taken out.
    Replace,
    /// It is taken out, and another is put in: both want what only one may have.
    Swap,
}

impl Passage {
    /// The word of plans.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Replace => "replace",
            Self::Swap => "swap",
        }
    }
}

/// The calls around one interruption.
#[derive(Debug)]
pub(super) struct Around {
    /// Their batch.
    batch: usize,
    /// How many of them come before.
    before: usize,
    /// The object that is interrupted.
    member: CloudId,
    /// Where it stands.
    of: Address,
}

/// Asks everyone who sends traffic to an object that is interrupted what goes around it.
pub(super) fn around<'a>(ripple: &Ripple<'a>, changes: &mut Changes<'a>) -> Vec<Around> {
    let interrupted: Vec<(Address, &'a Object)> = changes
        .batches
        .iter()
        .filter(|batch| batch.role == Role::Update && batch.drafts.iter().any(|draft| draft.interrupts))
        .filter_map(|batch| Some((batch.address.clone(), batch.object?)))
        .collect();
    let mut all = Vec::new();
    for (of, member) in interrupted {
        for by in ripple.servers(&member.id).iter().copied() {
            let (Some(desired), Some(server)) = (ripple.stack.resources.get(by), standing(ripple, by)) else {
                continue;
            };
            let (wrap, said) = ripple.ask(by, &desired.common, |cx| desired.want.wraps(server, &member.id, cx));
            changes.hear(said);
            let Some(Wrap { before, after }) = wrap else { continue };
            let around = Around {
                batch: changes.batches.len(),
                before: before.len(),
                member: member.id.clone(),
                of: of.clone(),
            };
            all.push(around);
            changes.batches.push(Batch {
                address: by.clone(),
                region: server.region.clone(),
                role: Role::Around,
                object: Some(server),
                drafts: before.into_iter().chain(after).collect(),
                slots: BTreeSet::new(),
                group: None,
            });
        }
    }
    all
}

/// What stands at an address until the end of the plan or until its successor does.
fn standing<'a>(ripple: &Ripple<'a>, address: &Address) -> Option<&'a Object> {
    match ripple.fates.get(address)? {
        Fate::Kept(object) | Fate::Replaced(object) | Fate::Frozen(Some(object)) => Some(object),
        Fate::Made | Fate::Frozen(None) => None,
    }
}

/// How many of the members there are now will be members throughout, those counted once in whose place another comes.
fn staying(ripple: &Ripple<'_>, batch: &Batch<'_>, pairs: &[Passing]) -> usize {
    let quitting: BTreeSet<&CloudId> = batch.drafts.iter().flat_map(|draft| &draft.quits).collect();
    let successors: BTreeSet<&CloudId> = pairs.iter().filter_map(|pair| Some(&ripple.kept(&pair.member)?.id)).collect();
    let members = batch.object.map(Object::members).unwrap_or_default();
    let stays = members.iter().filter(|one| !quitting.contains(&one.id) && !successors.contains(&one.id));
    stays.count() + pairs.len()
}

/// Whether too few would serve without those who join, once one leaves: a swap leaves before its successor comes.
fn is_short(ripple: &Ripple<'_>, batch: &Batch<'_>, there: usize, change: Passage) -> bool {
    let swap = usize::from(change == Passage::Swap);
    crew(ripple, &batch.address).is_some_and(|crew| there < swap + usize::try_from(crew.min_healthy).unwrap_or(0))
}

/// One member's change as one chain of its server sees it.
struct Passing {
    member: Address,
    change: Passage,
    /// What waits for its turn.
    start: StepId,
    /// What the next one's turn waits for.
    end: StepId,
    /// The call after which it, or its successor, serves.
    serves: StepId,
    at_most: Seconds,
}

impl<'p, 'a> Linker<'p, 'a> {
    /// Every order that keeps enough members in service. Gives the turns, and the members that take them.
    pub(super) fn roll(&mut self, ripple: &Ripple<'a>, arounds: &[Around]) -> (Vec<Roll>, BTreeSet<Address>) {
        self.shelter(arounds);
        let mut passing: BTreeMap<Address, Vec<Passing>> = BTreeMap::new();
        let mut joining: BTreeMap<Address, Vec<StepId>> = BTreeMap::new();
        for (number, batch) in self.batches.iter().enumerate() {
            if batch.role == Role::Update && batch.drafts.iter().any(|draft| !draft.serves.is_empty()) {
                let serves = self.serves(number);
                let pairs = self.relieve(ripple, number, &serves);
                let paired: BTreeSet<StepId> = pairs.iter().map(|pair| pair.serves).collect();
                let plain = serves.iter().map(|(step, _)| *step).filter(|step| !paired.contains(step));
                let plain: Vec<StepId> = plain.collect();
                let there = staying(ripple, batch, &pairs);
                for pair in pairs.iter().filter(|pair| is_short(ripple, batch, there, pair.change)) {
                    let leaves = if pair.change == Passage::Swap { pair.start } else { pair.end };
                    for join in &plain {
                        self.edge(*join, leaves, Because::Relieved(batch.address.clone()));
                    }
                }
                joining.entry(batch.address.clone()).or_default().extend(plain);
                passing.entry(batch.address.clone()).or_default().extend(pairs);
            }
        }
        for around in arounds {
            if let Some((by, one)) = self.restart(around) {
                // Whoever comes back or joins is counted before another leaves.
                for step in joining.get(&by).into_iter().flatten() {
                    self.edge(*step, one.start, Because::Relieved(by.clone()));
                }
                passing.entry(by).or_default().push(one);
            }
        }
        let (mut rolls, mut rolling) = (Vec::new(), BTreeSet::new());
        let mut depths = BTreeMap::new();
        for (by, mut members) in passing {
            let Some(crew) = crew(ripple, &by).filter(|_| !members.is_empty()) else { continue };
            members.sort_by_cached_key(|one| {
                (depth(ripple, &one.member, &mut depths), one.member.name.as_str().len(), one.member.clone())
            });
            self.refuse_swaps(&by, &members, crew);
            self.take_turns(&members, crew);
            rolling.extend(members.iter().map(|one| one.member.clone()));
            rolls.push(told(by, crew, &members));
        }
        (rolls, rolling)
    }

    /// Nobody is interrupted before it gets no traffic any more.
    fn shelter(&mut self, arounds: &[Around]) {
        for around in arounds {
            let Some(interruption) = self.interrupts(&around.member) else { continue };
            let last = around.before.checked_sub(1).map(|at| self.step(around.batch, at));
            if let (Some(last), Some(by)) = (last, self.address(around.batch)) {
                self.edge(last, interruption, Because::Drained(by.clone()));
            }
            // One in whose place another comes lets its members go and takes them back while it stands.
            let server = self.batches.get(around.batch).and_then(|batch| batch.object);
            let gone = server.and_then(|server| self.replaced(&server.id));
            let removal = gone.and_then(|(_, remover)| self.first(remover));
            if let (Some(back), Some(removal)) = (self.last(around.batch), removal) {
                self.edge(back, removal, Because::Turn(around.of.clone()));
            }
        }
        for (step, batch, draft) in self.drafts() {
            for id in &draft.frees {
                let leaves = self.batches.get(batch).is_some_and(|batch| lets_go(batch, id));
                if let (true, Some(interruption), Some(by)) = (leaves, self.interrupts(id), self.address(batch)) {
                    self.edge(step, interruption, Because::Drained(by.clone()));
                }
            }
        }
    }

    /// The calls of a batch after which somebody serves.
    fn serves(&self, number: usize) -> Vec<(StepId, &'p Vec<Link>)> {
        let drafts = self.batches.get(number).map(|batch| batch.drafts.iter().enumerate()).into_iter().flatten();
        let serves = drafts.filter(|(_, draft)| !draft.serves.is_empty());
        serves.map(|(at, draft)| (self.step(number, at), &draft.serves)).collect()
    }

    /// New ones serve before old ones leave. Gives the members that another takes the place of.
    fn relieve(&mut self, ripple: &Ripple<'a>, number: usize, serves: &[(StepId, &Vec<Link>)]) -> Vec<Passing> {
        let Some(batch) = self.batches.get(number) else { return Vec::new() };
        let place = |at: usize| self.step(number, at);
        let quits = batch.drafts.iter().map(|draft| &draft.quits).enumerate().filter(|(_, ids)| !ids.is_empty());
        let (mut passing, mut edges) = (Vec::new(), Vec::new());
        for (at, ids) in quits {
            let out = place(at);
            let Some((member, remover, end)) = self.successor(ripple, ids, serves) else {
                edges.extend(serves.iter().map(|(serve, _)| (*serve, out, batch.address.clone())));
                continue;
            };
            let swap = self.is_slotted(member);
            if !swap {
                edges.push((end, out, member.clone()));
            }
            let maker = self.maker(member);
            let start = if swap { out } else { maker.and_then(|maker| self.first(maker)).unwrap_or(end) };
            // Whoever is relieved leaves while the next one's turn is under way already; a swap waits for that too.
            let (maker_too, own) = if swap { (Some(remover), 4) } else { (None, 2) };
            let own = batch.drafts.iter().skip(at.saturating_sub(2)).take(own).map(|draft| draft.timeout.0);
            let at_most = self.longest(&[maker, maker_too]) + own.sum::<u64>();
            passing.push(Passing {
                member: member.clone(),
                change: if swap { Passage::Swap } else { Passage::Replace },
                start,
                // The next one's turn comes when the old one leaves: where it may not, nobody runs twice for nothing.
                end: if swap { end } else { out },
                serves: end,
                at_most: Seconds(at_most),
            });
        }
        for (from, to, address) in edges {
            self.edge(from, to, Because::Relieved(address));
        }
        passing
    }

    /// The member that takes the place of who is taken out, the removal of that one, and the call after which it serves.
    fn successor(
        &self,
        ripple: &Ripple<'a>,
        ids: &[CloudId],
        serves: &[(StepId, &Vec<Link>)],
    ) -> Option<(&'p Address, usize, StepId)> {
        let (member, remover) = self.replaced(ids.first()?)?;
        let link = match ripple.kept(member) {
            Some(object) => Link::Existing(object.id.clone()),
            None => Link::Planned(member.clone()),
        };
        let (end, _) = serves.iter().find(|(_, links)| links.contains(&link))?;
        Some((member, remover, *end))
    }

    /// A member that is taken out, restarted and put in again.
    fn restart(&self, around: &Around) -> Option<(Address, Passing)> {
        let by = self.address(around.batch)?.clone();
        let (start, end) = (self.first(around.batch)?, self.last(around.batch)?);
        let at_most = Seconds(self.longest(&[Some(around.batch), self.updater(&around.member)]));
        let member = around.of.clone();
        Some((by, Passing { member, change: Passage::Restart, start, end, serves: end, at_most }))
    }

    /// One that must go before another comes leaves a gap, which nobody else may have to fill.
    fn refuse_swaps(&mut self, by: &Address, members: &[Passing], crew: Crew) {
        for one in members.iter().filter(|one| one.change == Passage::Swap && crew.spare() == 0) {
            let message = format!(
                "{} must go before another comes, and `min_healthy = {}` of {} members leaves no room for that",
                one.member, crew.min_healthy, crew.members
            );
            let hint = format!("add a member, or set `min_healthy = {}`", crew.min_healthy.saturating_sub(1));
            self.refusals.push(Refusal::new(RefusalKind::Capacity, by, message).hint(hint));
        }
    }

    /// As many at once as the site can do without.
    fn take_turns(&mut self, members: &[Passing], crew: Crew) {
        let width = usize::try_from(crew.abreast()).unwrap_or(1).max(1);
        for (before, after) in members.iter().zip(members.iter().skip(width)) {
            let because = match after.change {
                // It is made while all others serve: a turn is only asked for so that a bad one stops the roll.
                Passage::Replace => Because::Proven(before.member.clone()),
                Passage::Restart | Passage::Swap => Because::Turn(before.member.clone()),
            };
            self.edge(before.end, after.start, because);
        }
    }

    /// The longest that all calls of some batches may take together.
    fn longest(&self, batches: &[Option<usize>]) -> u64 {
        let drafts = batches.iter().flatten().filter_map(|at| self.batches.get(*at)).flat_map(|batch| &batch.drafts);
        drafts.map(|draft| draft.timeout.0).sum()
    }
}

/// Whether a batch ends the traffic to an object for good, by taking it out or by going itself.
fn lets_go(batch: &Batch<'_>, id: &CloudId) -> bool {
    match batch.role {
        Role::Update => batch.drafts.iter().any(|draft| draft.quits.contains(id)),
        Role::Remove { succeeded: false } => {
            batch.object.is_some_and(|server| server.holds().iter().any(|hold| hold.firm && hold.id == *id))
        }
        Role::Make | Role::Around | Role::Look | Role::Release | Role::Remove { succeeded: true } => false,
    }
}

fn crew(ripple: &Ripple<'_>, by: &Address) -> Option<Crew> {
    ripple.stack.resources.get(by)?.want.crew()
}

/// How many of its own kind an object hears of, one through the other: whoever is heard of goes first.
fn depth(ripple: &Ripple<'_>, address: &Address, known: &mut BTreeMap<Address, usize>) -> usize {
    if let Some(depth) = known.get(address) {
        return *depth;
    }
    // A circle of the same kind is refused where the spec is read; this ends all the same.
    known.insert(address.clone(), 0);
    let named = ripple.stack.resources.get(address).map(|desired| desired.want.references()).unwrap_or_default();
    let same = named.into_iter().filter_map(|reference| match reference {
        Reference::Address(named) if named.kind == address.kind => Some(named),
        Reference::Address(_) | Reference::Existing(_) => None,
    });
    let deepest = same.map(|named| depth(ripple, &named, known) + 1).max().unwrap_or(0);
    known.insert(address.clone(), deepest);
    deepest
}

fn told(by: Address, crew: Crew, members: &[Passing]) -> Roll {
    let width = usize::try_from(crew.abreast()).unwrap_or(1).max(1);
    let turn = |one: &Passing| Turn { member: one.member.clone(), change: one.change, at_most: one.at_most };
    Roll {
        by,
        members: crew.members,
        min_healthy: crew.min_healthy,
        turns: members.chunks(width).map(|turns| turns.iter().map(turn).collect()).collect(),
    }
}
