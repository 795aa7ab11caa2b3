//! The order of things: which call waits for which, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Batch, Role, provided};
use super::graph::{Because, Edge, StepId};
use super::lookup::Lookup;
use super::ripple::Ripple;
use crate::model::{Address, CloudId, Link, Output, Region};
use crate::resources::registry::{Action, Object};
use crate::resources::{After, Draft, Refusal, RefusalKind, Wave};

/// All edges between the calls of all batches.
pub(super) struct Linker<'p, 'a> {
    pub(super) batches: &'p [Batch<'a>],
    starts: Vec<usize>,
    edges: BTreeSet<Edge>,
    pub(super) refusals: Vec<Refusal>,
    /// The batch that makes each address.
    makers: Lookup<&'p Address, usize>,
    /// The call that provides an output.
    providers: Lookup<(&'p Address, Output), StepId>,
    /// The batch that changes each object.
    updaters: Lookup<&'p CloudId, usize>,
    /// The batch that removes each object.
    removers: Lookup<&'p CloudId, usize>,
    /// Makers that wait for a removal, as only one object may have what they take.
    slotted: BTreeSet<usize>,
}

/// Adds what waits for objects on their way out already, where something waits for them.
pub(super) fn await_going<'a>(ripple: &Ripple<'a>, batches: &mut Vec<Batch<'a>>) {
    let removed: BTreeSet<&CloudId> = batches
        .iter()
        .filter(|batch| matches!(batch.role, Role::Remove { .. }))
        .filter_map(|batch| Some(&batch.object?.id))
        .collect();
    let slots: BTreeSet<&String> = batches.iter().flat_map(|batch| &batch.slots).collect();
    let waits = |object: &Object| {
        object.holds().iter().any(|hold| hold.firm && removed.contains(&hold.id))
            || object.occupies().iter().any(|slot| slots.contains(slot))
    };
    let found: Vec<(Address, &'a Object)> =
        ripple.claims.going.iter().filter(|(_, object)| waits(object)).cloned().collect();
    for (address, object) in found {
        let Some(action) = object.await_gone() else { continue };
        let draft = Draft::new("await gone", Wave::Remove, Some(object.id.clone()), action);
        let frees = object.holds().into_iter().map(|hold| hold.id).collect();
        batches.push(Batch {
            address,
            region: object.region.clone(),
            role: Role::Remove { succeeded: true },
            object: Some(object),
            drafts: vec![Draft { frees, timeout: crate::model::duration::Seconds(600), ..draft }],
            slots: BTreeSet::new(),
            group: None,
        });
    }
}

/// Finds every edge.
pub(super) fn link<'a>(ripple: &Ripple<'a>, batches: &[Batch<'a>]) -> (BTreeSet<Edge>, Vec<Refusal>) {
    let mut linker = Linker::new(batches);
    linker.slots(ripple);
    linker.within();
    linker.needs();
    linker.looks(ripple);
    linker.successors();
    linker.holders(ripple);
    linker.reach();
    linker.turns();
    (linker.edges, linker.refusals)
}

impl<'p, 'a> Linker<'p, 'a> {
    fn new(batches: &'p [Batch<'a>]) -> Self {
        let mut linker = Self {
            batches,
            starts: Vec::with_capacity(batches.len()),
            edges: BTreeSet::new(),
            refusals: Vec::new(),
            makers: Lookup::new(),
            providers: Lookup::new(),
            updaters: Lookup::new(),
            removers: Lookup::new(),
            slotted: BTreeSet::new(),
        };
        let mut start = 0;
        for (number, batch) in batches.iter().enumerate() {
            linker.starts.push(start);
            match batch.role {
                Role::Make => {
                    linker.makers.insert(&batch.address, number);
                }
                Role::Update => {
                    if let Some(object) = batch.object {
                        linker.updaters.insert(&object.id, number);
                    }
                }
                Role::Look => {}
                Role::Remove { .. } => {
                    if let Some(object) = batch.object {
                        linker.removers.insert(&object.id, number);
                    }
                }
            }
            if !matches!(batch.role, Role::Remove { .. }) {
                for (output, at) in provided(batch) {
                    linker.providers.insert((&batch.address, output), StepId(start + at));
                }
            }
            start += batch.drafts.len();
        }
        linker
    }

    pub(super) fn step(&self, batch: usize, draft: usize) -> StepId {
        StepId(self.starts.get(batch).copied().unwrap_or_default() + draft)
    }

    pub(super) fn drafts(&self) -> impl Iterator<Item = (StepId, usize, &'p Draft<Action>)> + use<'p, 'a> {
        let starts = self.starts.clone();
        let batches = self.batches.iter().zip(starts).enumerate();
        batches.flat_map(|(number, (batch, start))| {
            batch.drafts.iter().enumerate().map(move |(at, draft)| (StepId(start + at), number, draft))
        })
    }

    pub(super) fn edge(&mut self, from: StepId, to: StepId, because: Because) {
        if from != to {
            self.edges.insert(Edge { from, to, because });
        }
    }

    /// The call after which others may use what a batch makes.
    fn ready(&self, batch: usize) -> Option<StepId> {
        let drafts = &self.batches.get(batch)?.drafts;
        let last = drafts.iter().rposition(|draft| draft.readies).unwrap_or(0);
        (!drafts.is_empty()).then(|| self.step(batch, last))
    }

    /// The call that brings an object back which a batch takes down.
    fn readied(&self, batch: usize) -> Option<StepId> {
        let drafts = &self.batches.get(batch)?.drafts;
        drafts.iter().rposition(|draft| draft.readies).map(|at| self.step(batch, at))
    }

    fn first(&self, batch: usize) -> Option<StepId> {
        self.batches.get(batch).filter(|batch| !batch.drafts.is_empty()).map(|_| self.step(batch, 0))
    }

    pub(super) fn last(&self, batch: usize) -> Option<StepId> {
        let count = self.batches.get(batch)?.drafts.len();
        count.checked_sub(1).map(|at| self.step(batch, at))
    }

    /// The call from which on an object serves nobody.
    fn end(&self, batch: usize) -> Option<StepId> {
        let drafts = &self.batches.get(batch)?.drafts;
        drafts.iter().position(|draft| draft.ends).map(|at| self.step(batch, at))
    }

    pub(super) fn address(&self, batch: usize) -> Option<&'p Address> {
        self.batches.get(batch).map(|batch| &batch.address)
    }

    /// The order among the calls of one object.
    fn within(&mut self) {
        for (number, batch) in self.batches.iter().enumerate() {
            for (at, draft) in batch.drafts.iter().enumerate() {
                let before = match draft.after {
                    After::All => {
                        for before in 0..at {
                            self.edge(self.step(number, before), self.step(number, at), Because::SameObject);
                        }
                        None
                    }
                    After::Nothing => None,
                    After::Previous => at.checked_sub(1),
                    After::Ready => {
                        let readied = batch.drafts.iter().take(at).rposition(|draft| draft.readies);
                        at.checked_sub(1).map(|_| readied.unwrap_or(0))
                    }
                };
                if let Some(before) = before {
                    self.edge(self.step(number, before), self.step(number, at), Because::SameObject);
                }
            }
        }
    }

    /// Objects and outputs that a call needs.
    fn needs(&mut self) {
        for (step, batch, draft) in self.drafts() {
            let own = self.address(batch);
            let needs = draft.action.needs();
            for link in needs.links {
                match link {
                    Link::Planned(address) if own == Some(&address) => {}
                    Link::Planned(address) => {
                        if let Some(ready) = self.makers.get(&address).and_then(|maker| self.ready(*maker)) {
                            self.edge(ready, step, Because::Needs(address));
                        }
                    }
                    Link::Existing(id) => {
                        // It stays, yet it may be down for a while.
                        let updater = self.updaters.get(&id).copied().filter(|updater| *updater != batch);
                        let ready = updater.and_then(|updater| Some((self.readied(updater)?, self.address(updater)?)));
                        if let Some((ready, address)) = ready {
                            self.edge(ready, step, Because::Needs(address.clone()));
                        }
                    }
                }
            }
            for (address, output) in needs.outputs {
                if let Some(provider) = self.providers.get(&(&address, output)).copied() {
                    self.edge(provider, step, Because::Reads(address, output));
                }
            }
        }
    }

    /// What others change is read after they did.
    fn looks(&mut self, ripple: &Ripple<'a>) {
        let looks: Vec<usize> =
            self.batches.iter().enumerate().filter(|(_, batch)| batch.role == Role::Look).map(|(at, _)| at).collect();
        if looks.is_empty() {
            return;
        }
        let mut turns: BTreeMap<Link, Vec<(StepId, usize)>> = BTreeMap::new();
        for (step, batch, draft) in self.drafts() {
            let links = draft.action.needs().links.into_iter().chain(draft.frees.iter().cloned().map(Link::Existing));
            for link in links {
                turns.entry(link).or_default().push((step, batch));
            }
        }
        for number in looks {
            let (Some(address), Some(look)) = (self.address(number), self.first(number)) else { continue };
            let standing = ripple.kept(address).map(|object| object.id.clone());
            let maker = self.makers.get(address).and_then(|maker| self.ready(*maker));
            let updater = standing.as_ref().and_then(|id| self.updaters.get(id)).and_then(|at| self.readied(*at));
            for ready in maker.into_iter().chain(updater) {
                self.edge(ready, look, Because::Needs(address.clone()));
            }
            let link = standing.map_or_else(|| Link::Planned(address.clone()), Link::Existing);
            for (step, batch) in turns.get(&link).into_iter().flatten() {
                if let Some(other) = self.address(*batch) {
                    self.edge(*step, look, Because::Needs(other.clone()));
                }
            }
        }
    }

    /// An object goes after its successor is there, and after everything that binds to the successor has bound.
    fn successors(&mut self) {
        let mut binders: BTreeMap<Address, BTreeSet<usize>> = BTreeMap::new();
        let replaced: BTreeSet<&Address> = self
            .batches
            .iter()
            .filter(|batch| batch.role == Role::Remove { succeeded: true })
            .map(|batch| &batch.address)
            .collect();
        for (_, batch, draft) in self.drafts() {
            // What is new altogether never used the old object.
            let new = self
                .batches
                .get(batch)
                .is_none_or(|batch| batch.role == Role::Make && !replaced.contains(&batch.address));
            if new {
                continue;
            }
            let needs = draft.action.needs();
            let links = needs.links.into_iter().filter_map(|link| match link {
                Link::Planned(address) => Some(address),
                Link::Existing(_) => None,
            });
            for address in links.chain(needs.outputs.into_iter().map(|(address, _)| address)) {
                binders.entry(address).or_default().insert(batch);
            }
        }
        for (number, batch) in self.batches.iter().enumerate() {
            let Role::Remove { succeeded: true } = batch.role else { continue };
            let Some(first) = self.first(number) else { continue };
            let Some(maker) = self.makers.get(&batch.address).copied() else { continue };
            if self.slotted.contains(&maker) {
                continue;
            }
            let mut waits: BTreeSet<StepId> = self.ready(maker).into_iter().collect();
            for binder in binders.get(&batch.address).into_iter().flatten() {
                waits.extend(self.last(*binder).filter(|_| *binder != number));
                waits.extend(self.ready(*binder).filter(|_| *binder != number));
            }
            waits.extend(self.last(maker));
            for step in waits {
                self.edge(step, first, Because::Successor(batch.address.clone()));
            }
        }
    }

    /// Who holds what must go lets go before; where nobody makes them, the plan is refused.
    fn holders(&mut self, ripple: &Ripple<'a>) {
        let mut freed: BTreeSet<(&CloudId, &CloudId)> = BTreeSet::new();
        for (step, batch, draft) in self.drafts() {
            let holder = self.batches.get(batch).and_then(|batch| batch.object);
            let loose: BTreeSet<CloudId> =
                holder.map(|holder| holder.lent().into_iter().map(|(id, _)| id).collect()).unwrap_or_default();
            for id in &draft.frees {
                if let Some(holder) = holder {
                    freed.insert((&holder.id, id));
                }
                let end = self.removers.get(id).and_then(|remover| self.end(*remover));
                if let Some(end) = end {
                    let because =
                        if loose.contains(id) { Because::Serves(id.clone()) } else { Because::Holds(id.clone()) };
                    self.edge(step, end, because);
                }
            }
        }
        if !self.batches.iter().any(|batch| matches!(batch.role, Role::Remove { .. })) {
            return;
        }
        for object in &ripple.snapshot.objects {
            for hold in object.holds().iter().filter(|hold| hold.firm && hold.id != object.id) {
                let Some(remover) = self.removers.get(&hold.id) else { continue };
                if !freed.contains(&(&object.id, &hold.id)) {
                    self.refuse_held(*remover, object, &hold.id);
                }
            }
        }
    }

    fn refuse_held(&mut self, remover: usize, holder: &Object, held: &CloudId) {
        let Some(address) = self.address(remover) else { return };
        let who = match holder.owner() {
            Some(owner) => format!("`{}` ({})", owner.address, holder.id),
            None => format!("{}, which this stack does not own", holder.id),
        };
        let message = format!("{held} cannot go: it is held by {who}, which this plan does not change");
        let hint = "take it along (`--target`), or take the group off what holds it";
        self.refusals.push(Refusal::new(RefusalKind::Holder, address, message).hint(hint));
    }

    /// What only one object may have is given up before another takes it.
    fn slots(&mut self, ripple: &Ripple<'a>) {
        if self.batches.iter().all(|batch| batch.slots.is_empty()) {
            return;
        }
        let mut occupied: BTreeMap<String, &Object> = BTreeMap::new();
        for object in ripple.snapshot.objects.iter().filter(|object| ripple.claims.mine.contains(&object.id)) {
            occupied.extend(object.occupies().into_iter().map(|slot| (slot, object)));
        }
        for (number, batch) in self.batches.iter().enumerate() {
            for slot in &batch.slots {
                let Some(object) = occupied.get(slot) else { continue };
                let gone = self.removers.get(&object.id).and_then(|remover| self.last(*remover));
                match (gone, self.first(number)) {
                    (Some(gone), Some(first)) => {
                        self.slotted.insert(number);
                        self.edge(gone, first, Because::Slot(slot.clone()));
                    }
                    (None, _) => {
                        let message = format!("{slot} belongs to {}, which stays", object.id);
                        let refusal = Refusal::new(RefusalKind::Taken, &batch.address, message);
                        self.refusals.push(refusal.hint("give one of the two another"));
                    }
                    (Some(_), None) => {}
                }
            }
        }
    }
}

/// The region a batch's calls go to: where the object is, else where it is made.
pub(super) fn region<'p>(batch: &'p Batch<'_>) -> &'p Region {
    batch.object.map_or(&batch.region, |object| &object.region)
}
