//! The order of things: which call waits for which, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Batch, Role, provided};
use super::graph::{Because, Edge, StepId};
use super::lookup::Lookup;
use super::ripple::Ripple;
use super::roll::{Around, Roll};
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
    pub(super) removers: Lookup<&'p CloudId, usize>,
    /// The batch that leaves each object to others.
    releasers: Lookup<&'p CloudId, usize>,
    /// The batch that removes the object at an address in whose place another comes.
    succeeded: Lookup<&'p Address, usize>,
    /// Makers that wait for a removal, as only one object may have what they take.
    slotted: BTreeSet<usize>,
}

/// A call that binds to something new.
struct Binder {
    batch: usize,
    step: StepId,
    /// Whether it is told an output, and not only the object's id.
    reads: bool,
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

/// What the order of things comes to.
pub(super) struct Linked {
    /// Which call waits for which.
    pub(super) edges: BTreeSet<Edge>,
    /// Why there is no order that could be carried out.
    pub(super) refusals: Vec<Refusal>,
    /// Who changes in turns.
    pub(super) rolls: Vec<Roll>,
}

/// Finds every edge.
pub(super) fn link<'a>(ripple: &Ripple<'a>, batches: &[Batch<'a>], arounds: &[Around]) -> Linked {
    let mut linker = Linker::new(batches);
    linker.slots(ripple);
    linker.within();
    linker.needs();
    linker.looks(ripple);
    linker.successors();
    linker.holders(ripple);
    linker.reach();
    linker.doors(ripple);
    let (rolls, rolling) = linker.roll(ripple, arounds);
    linker.turns(&rolling);
    Linked { edges: linker.edges, refusals: linker.refusals, rolls }
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
            releasers: Lookup::new(),
            succeeded: Lookup::new(),
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
                Role::Release => {
                    if let Some(object) = batch.object {
                        linker.releasers.insert(&object.id, number);
                    }
                }
                Role::Around | Role::Look => {}
                Role::Remove { succeeded } => {
                    if let Some(object) = batch.object {
                        linker.removers.insert(&object.id, number);
                    }
                    if succeeded {
                        linker.succeeded.insert(&batch.address, number);
                    }
                }
            }
            if !matches!(batch.role, Role::Remove { .. } | Role::Around) {
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
    pub(super) fn ready(&self, batch: usize) -> Option<StepId> {
        let drafts = &self.batches.get(batch)?.drafts;
        let last = drafts.iter().rposition(|draft| draft.readies).unwrap_or(0);
        (!drafts.is_empty()).then(|| self.step(batch, last))
    }

    /// The call that brings an object back which a batch takes down.
    fn readied(&self, batch: usize) -> Option<StepId> {
        let drafts = &self.batches.get(batch)?.drafts;
        drafts.iter().rposition(|draft| draft.readies).map(|at| self.step(batch, at))
    }

    /// The call that makes an object ours: nobody does anything to it before.
    fn adopts(&self, batch: usize) -> Option<StepId> {
        let nobodys = self.batches.get(batch)?.object.is_some_and(|object| object.owner().is_none());
        self.first(batch).filter(|_| nobodys)
    }

    pub(super) fn first(&self, batch: usize) -> Option<StepId> {
        self.batches.get(batch).filter(|batch| !batch.drafts.is_empty()).map(|_| self.step(batch, 0))
    }

    pub(super) fn last(&self, batch: usize) -> Option<StepId> {
        let count = self.batches.get(batch)?.drafts.len();
        count.checked_sub(1).map(|at| self.step(batch, at))
    }

    /// The call from which on an object serves nobody.
    pub(super) fn end(&self, batch: usize) -> Option<StepId> {
        let drafts = &self.batches.get(batch)?.drafts;
        drafts.iter().position(|draft| draft.ends).map(|at| self.step(batch, at))
    }

    /// The batch that makes an address.
    pub(super) fn maker(&self, address: &Address) -> Option<usize> {
        self.makers.get(address).copied()
    }

    /// Whether what is made at an address waits for a removal, as only one object may have what it takes.
    pub(super) fn is_slotted(&self, address: &Address) -> bool {
        self.maker(address).is_some_and(|maker| self.slotted.contains(&maker))
    }

    /// The batch that changes an object.
    pub(super) fn updater(&self, id: &CloudId) -> Option<usize> {
        self.updaters.get(id).copied()
    }

    /// The address of an object that another takes the place of, and the batch that removes it.
    pub(super) fn replaced(&self, id: &CloudId) -> Option<(&'p Address, usize)> {
        let remover = self.removers.get(id).copied()?;
        let succeeded = self.batches.get(remover)?.role == (Role::Remove { succeeded: true });
        succeeded.then_some((self.address(remover)?, remover))
    }

    /// The first call that interrupts an object which stays.
    pub(super) fn interrupts(&self, id: &CloudId) -> Option<StepId> {
        let updater = self.updater(id)?;
        let drafts = &self.batches.get(updater)?.drafts;
        drafts.iter().position(|draft| draft.interrupts).map(|at| self.step(updater, at))
    }

    pub(super) fn address(&self, batch: usize) -> Option<&'p Address> {
        self.batches.get(batch).map(|batch| &batch.address)
    }

    /// The order among the calls of one object.
    fn within(&mut self) {
        for (number, batch) in self.batches.iter().enumerate() {
            for (at, draft) in batch.drafts.iter().enumerate() {
                let before = match &draft.after {
                    After::All => {
                        for before in 0..at {
                            self.edge(self.step(number, before), self.step(number, at), Because::SameObject);
                        }
                        None
                    }
                    After::These(places) => {
                        for before in places.iter().copied().filter(|before| *before < at) {
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
                        let adopted = updater.and_then(|updater| Some((self.adopts(updater)?, self.address(updater)?)));
                        for (before, address) in ready.into_iter().chain(adopted) {
                            self.edge(before, step, Because::Needs(address.clone()));
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
            if !self.lends(ripple, batch) {
                continue;
            }
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

    /// Whether a batch is about something that decides outputs of others, now or in the end.
    pub(super) fn lends(&self, ripple: &Ripple<'a>, batch: usize) -> bool {
        let Some(batch) = self.batches.get(batch) else { return false };
        let desired = ripple.stack.resources.get(&batch.address);
        desired.is_some_and(|desired| !desired.want.lends().is_empty())
            || batch.object.is_some_and(|object| !object.lent().is_empty())
    }

    /// An object goes after its successor is there, after everything that binds to the successor has bound, and after
    /// whoever was told of it and goes too.
    fn successors(&mut self) {
        let binders = self.binders();
        for (number, batch) in self.batches.iter().enumerate() {
            let Role::Remove { succeeded: true } = batch.role else { continue };
            let Some(first) = self.first(number) else { continue };
            let Some(maker) = self.maker(&batch.address) else { continue };
            if self.slotted.contains(&maker) {
                continue;
            }
            let mut waits: BTreeSet<StepId> = self.ready(maker).into_iter().chain(self.last(maker)).collect();
            for Binder { batch: binder, step, reads } in binders.get(&batch.address).into_iter().flatten() {
                let Some(bound) = self.batches.get(*binder).filter(|_| *binder != number) else { continue };
                // One that is made anew serves from its last call on; what stays binds by this call, and what it was told
                // takes effect when it is ready again.
                if bound.role == Role::Make {
                    waits.extend(self.ready(*binder).into_iter().chain(self.last(*binder)));
                } else {
                    waits.insert(*step);
                    waits.extend(self.readied(*binder));
                }
                let reader = self.reader(bound).filter(|_| *reads);
                if let Some(gone) = reader.and_then(|remover| self.end(remover)) {
                    self.edge(gone, first, Because::Reader(bound.address.clone()));
                }
            }
            for step in waits {
                self.edge(step, first, Because::Successor(batch.address.clone()));
            }
        }
    }

    /// The removal of the object in whose place a batch makes another.
    fn reader(&self, batch: &Batch<'a>) -> Option<usize> {
        let remover = self.succeeded.get(&batch.address).copied()?;
        (batch.role == Role::Make && !self.is_slotted(&batch.address)).then_some(remover)
    }

    /// Every call that binds to something new, by its address. What is new altogether never used the old object.
    fn binders(&self) -> BTreeMap<Address, Vec<Binder>> {
        let mut binders: BTreeMap<Address, Vec<Binder>> = BTreeMap::new();
        for (step, batch, draft) in self.drafts() {
            let new = self
                .batches
                .get(batch)
                .is_none_or(|batch| batch.role == Role::Make && !self.succeeded.contains(&batch.address));
            if new {
                continue;
            }
            let needs = draft.action.needs();
            for link in needs.links {
                if let Link::Planned(address) = link {
                    binders.entry(address).or_default().push(Binder { batch, step, reads: false });
                }
            }
            for (address, _) in needs.outputs {
                binders.entry(address).or_default().push(Binder { batch, step, reads: true });
            }
        }
        binders
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
                let gone = self.removers.get(id).and_then(|remover| self.end(*remover));
                // What is nobody's from then on is let alone from then on.
                let released = self.releasers.get(id).and_then(|releaser| self.first(*releaser));
                for end in gone.into_iter().chain(released) {
                    let because =
                        if loose.contains(id) { Because::Serves(id.clone()) } else { Because::Holds(id.clone()) };
                    self.edge(step, end, because);
                }
            }
        }
        self.seats(ripple);
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

    /// Who decides outputs of an object goes elsewhere before another does: it would be pushed out, and decide nobody's.
    fn seats(&mut self, ripple: &Ripple<'a>) {
        let mut leaving: BTreeMap<CloudId, Vec<StepId>> = BTreeMap::new();
        let lenders: Vec<_> = self.drafts().filter(|(_, batch, _)| self.lends(ripple, *batch)).collect();
        for (step, _, draft) in &lenders {
            // Only who goes elsewhere: one that goes for good may be pushed out, so that another answers at once.
            let moves = draft.wave != Wave::Remove && !draft.action.needs().links.is_empty();
            for id in draft.frees.iter().filter(|_| moves) {
                leaving.entry(id.clone()).or_default().push(*step);
            }
        }
        for (step, _, draft) in lenders {
            for link in draft.action.needs().links {
                let Link::Existing(id) = link else { continue };
                for before in leaving.get(&id).into_iter().flatten() {
                    self.edge(*before, step, Because::Serves(id.clone()));
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
        let hint = format!("take it along (`--target`), or take {held} off what holds it");
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
