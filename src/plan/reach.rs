//! The order of those who move: nobody is ever without rules that start and end both give, and members take turns.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Role;
use super::graph::{Because, StepId};
use super::link::Linker;
use crate::model::{Address, CloudId, Kind, Link};
use crate::resources::{Group, Reach};

impl Linker<'_, '_> {
    /// Open, then move, then close.
    pub(super) fn reach(&mut self) {
        let mut opens: BTreeMap<Link, Vec<(StepId, usize)>> = BTreeMap::new();
        let mut closes: BTreeMap<CloudId, Vec<StepId>> = BTreeMap::new();
        // What elsewhere lets in the members of a group, and what no longer does.
        let mut admits: BTreeMap<Link, Vec<(StepId, usize)>> = BTreeMap::new();
        let mut expels: BTreeMap<CloudId, Vec<StepId>> = BTreeMap::new();
        for (step, batch, draft) in self.drafts() {
            for reach in &draft.reach {
                match reach {
                    Reach::Opens(group) => opens.entry(group.clone()).or_default().push((step, batch)),
                    Reach::Closes(group) => closes.entry(group.clone()).or_default().push(step),
                    Reach::Admits(group) => admits.entry(group.clone()).or_default().push((step, batch)),
                    Reach::Expels(group) => expels.entry(group.clone()).or_default().push(step),
                    Reach::Joins(_) | Reach::BornInto(_) | Reach::Leaves(_) => {}
                }
            }
        }
        if opens.is_empty() && closes.is_empty() {
            return;
        }
        for (step, batch, draft) in self.drafts() {
            let Some(mover) = self.address(batch) else { continue };
            for reach in &draft.reach {
                match reach {
                    Reach::Joins(group) => {
                        self.after_opening(&opens, group, step, Because::OpenFirst);
                        self.after_opening(&admits, group, step, Because::OpenFirst);
                    }
                    Reach::BornInto(group) => self.after_opening(&opens, group, step, Because::BornOpen),
                    Reach::Leaves(group) => {
                        let link = Link::Existing(group.clone());
                        let opening = [&opens, &admits].into_iter().filter_map(|opens| opens.get(&link)).flatten();
                        for (open, _) in opening {
                            self.edge(step, *open, Because::LeaveFirst(mover.clone()));
                        }
                        for close in [&closes, &expels].into_iter().filter_map(|closes| closes.get(group)).flatten() {
                            self.edge(step, *close, Because::CloseLast(mover.clone()));
                        }
                    }
                    Reach::Opens(_) | Reach::Closes(_) | Reach::Admits(_) | Reach::Expels(_) => {}
                }
            }
        }
    }

    fn after_opening(
        &mut self,
        opens: &BTreeMap<Link, Vec<(StepId, usize)>>,
        group: &Link,
        step: StepId,
        because: impl Fn(Address) -> Because,
    ) {
        for (open, batch) in opens.get(group).into_iter().flatten() {
            if let Some(opener) = self.address(*batch) {
                self.edge(*open, step, because(opener.clone()));
            }
        }
    }

    /// Members that stop serving take turns: restarts first, then the end of those that were replaced. Those whose turns
    /// somebody else decides, who sends them traffic, are left out.
    pub(super) fn turns(&mut self, rolling: &BTreeSet<Address>) {
        let mut groups: BTreeMap<(Kind, &Group), Vec<(bool, usize)>> = BTreeMap::new();
        for (number, batch) in self.batches.iter().enumerate() {
            let Some((kind, group)) = batch.group.as_ref().filter(|_| !rolling.contains(&batch.address)) else {
                continue;
            };
            if batch.drafts.iter().any(|draft| draft.interrupts) {
                let removal = matches!(batch.role, Role::Remove { .. });
                groups.entry((*kind, group)).or_default().push((removal, number));
            }
        }
        for ((_, group), mut members) in groups {
            let index = |number: usize| self.address(number).map(|address| (address.name.as_str().len(), address));
            members.sort_by_key(|(removal, number)| (*removal, index(*number)));
            let width = usize::try_from(group.max_unavailable).unwrap_or(1).max(1);
            let numbers: Vec<usize> = members.into_iter().map(|(_, number)| number).collect();
            for (before, after) in numbers.iter().zip(numbers.iter().skip(width)) {
                let (Some(done), Some(next)) = (self.last(*before), self.interruption(*after)) else { continue };
                if let Some(address) = self.address(*before) {
                    self.edge(done, next, Because::Turn(address.clone()));
                }
            }
        }
    }

    /// The first call of a batch that interrupts.
    fn interruption(&self, batch: usize) -> Option<StepId> {
        let drafts = &self.batches.get(batch)?.drafts;
        drafts.iter().position(|draft| draft.interrupts).map(|at| self.step(batch, at))
    }
}
