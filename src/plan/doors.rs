//! Doors: who is let in somewhere is let in before it matters, and shut out before its address is somebody else's.

use std::collections::BTreeMap;

use super::graph::{Because, StepId};
use super::link::Linker;
use super::ripple::Ripple;
use crate::model::{Address, CloudId, Link};

impl<'a> Linker<'_, 'a> {
    /// Let in before traffic comes, and before the making where the address is known by then; shut out once drained, and
    /// before a stop, a move or an end.
    pub(super) fn doors(&mut self, ripple: &Ripple<'a>) {
        if self
            .batches
            .iter()
            .flat_map(|batch| &batch.drafts)
            .all(|draft| draft.admits.is_empty() && draft.shuts.is_empty())
        {
            return;
        }
        self.admit();
        self.shut(ripple);
    }

    fn admit(&mut self) {
        let mut serving: BTreeMap<Link, Vec<StepId>> = BTreeMap::new();
        for (step, _, draft) in self.drafts() {
            for link in &draft.serves {
                serving.entry(link.clone()).or_default().push(step);
            }
        }
        for (step, batch, draft) in self.drafts() {
            let Some(door) = self.address(batch).cloned() else { continue };
            let told = draft.action.needs().outputs;
            for link in &draft.admits {
                for serves in serving.get(link).into_iter().flatten() {
                    self.edge(step, *serves, Because::Admitted(door.clone()));
                }
                let Link::Planned(whom) = link else { continue };
                // A step that lets nobody in yet, such as one that only tries to reach the host, is no reason to make nothing.
                let early = draft.readies || !told.is_empty();
                let maker = self.maker(whom).filter(|_| early && told.iter().all(|(by, _)| by != whom));
                if let Some(first) = maker.and_then(|maker| self.first(maker)) {
                    self.edge(step, first, Because::Admitted(door.clone()));
                }
            }
        }
    }

    fn shut(&mut self, ripple: &Ripple<'a>) {
        let mut quitting: BTreeMap<CloudId, Vec<(StepId, Address)>> = BTreeMap::new();
        let mut loosening: BTreeMap<CloudId, Vec<StepId>> = BTreeMap::new();
        for (step, batch, draft) in self.drafts() {
            let Some(server) = self.address(batch) else { continue };
            for id in &draft.quits {
                quitting.entry(id.clone()).or_default().push((step, server.clone()));
            }
            // An address that comes takes the place of the one that was there, and one that goes leaves none.
            if self.lends(ripple, batch) {
                let links =
                    draft.action.needs().links.into_iter().chain(draft.frees.iter().cloned().map(Link::Existing));
                for link in links {
                    if let Link::Existing(id) = link {
                        loosening.entry(id).or_default().push(step);
                    }
                }
            }
        }
        for (step, batch, draft) in self.drafts() {
            let Some(door) = self.address(batch).cloned() else { continue };
            for id in &draft.shuts {
                self.follow(step, batch, id);
                for (quits, server) in quitting.get(id).into_iter().flatten() {
                    self.edge(*quits, step, Because::Idle(server.clone()));
                }
                let ends = self.removers.get(id).and_then(|remover| self.end(*remover).or_else(|| self.last(*remover)));
                let stops = self.interrupts(id);
                let moves = loosening.get(id).into_iter().flatten().copied();
                for next in ends.into_iter().chain(stops).chain(moves) {
                    self.edge(step, next, Because::ShutOut(door.clone()));
                }
            }
        }
    }

    /// Who is replaced is shut out as late as can be: once the other is there, and let in where the old one was.
    fn follow(&mut self, step: StepId, batch: usize, id: &CloudId) {
        let Some((address, _)) = self.replaced(id).filter(|(address, _)| !self.is_slotted(address)) else { return };
        let ready = self.maker(address).and_then(|maker| self.ready(maker).max(self.last(maker)));
        let successor = Link::Planned(address.clone());
        let drafts = self.batches.get(batch).map(|batch| batch.drafts.iter().enumerate()).into_iter().flatten();
        let lets_in = drafts.filter(|(_, draft)| draft.admits.contains(&successor));
        let lets_in: Vec<StepId> = lets_in.map(|(at, _)| self.step(batch, at)).collect();
        for before in ready.into_iter().chain(lets_in) {
            self.edge(before, step, Because::Followed(address.clone()));
        }
    }
}
