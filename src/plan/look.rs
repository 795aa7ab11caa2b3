//! Outputs that others decide: an Elastic IP that comes or goes changes what its instance tells.
//!
//! A loan of the spec says what such an output will be. Where a loan begins or ends, outputs that nobody lends are only
//! known when the instance is read again: that reading is a step of its own, and whoever uses the output waits for it.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Batch, Role};
use super::lookup::Lookup;
use super::ripple::{Fate, Ripple};
use super::select;
use crate::model::{Address, CloudId, Output};
use crate::resources::registry::{Action, Object};
use crate::resources::{After, Draft, Wave};

/// The outputs that begin or end of a loan changes, as far as the fates are known.
pub(super) fn unsettled(ripple: &Ripple<'_>) -> BTreeSet<(Address, Output)> {
    let mut unsettled = BTreeSet::new();
    let mut standing: Lookup<&CloudId, &Address> = Lookup::new();
    for address in ripple.stack.resources.keys() {
        if let Some(object) = ripple.kept(address) {
            standing.insert(&object.id, address);
        }
    }
    for object in ripple.snapshot.objects.iter().filter(|object| ripple.claims.mine.contains(&object.id)) {
        for (borrower, outputs) in object.lent() {
            let Some(address) = standing.get(&borrower).copied() else { continue };
            if ends(ripple, standing.get(&object.id).copied(), object, address) {
                unsettled.extend(outputs.into_iter().map(|output| (address.clone(), output)));
            }
        }
    }
    for (address, desired) in &ripple.stack.resources {
        if matches!(ripple.fates.get(address), Some(Fate::Frozen(_)) | None) {
            continue;
        }
        for loan in desired.want.lends() {
            let borrower = ripple.kept(&loan.of).map(|object| &object.id);
            let lent = ripple.kept(address).map(Object::lent).unwrap_or_default();
            if !lent.iter().any(|(id, _)| Some(id) == borrower) {
                unsettled.extend(loan.along.into_iter().map(|output| (loan.of.clone(), output)));
            }
        }
    }
    unsettled
}

/// Whether this plan ends the loan of an object to what stands at an address.
fn ends(ripple: &Ripple<'_>, lender: Option<&Address>, object: &Object, borrower: &Address) -> bool {
    match lender.and_then(|lender| Some((lender, ripple.stack.resources.get(lender)?))) {
        Some((lender, _)) if matches!(ripple.fates.get(lender), Some(Fate::Frozen(_))) => false,
        Some((_, desired)) => !desired.want.lends().iter().any(|loan| loan.of == *borrower),
        None => select::goes(ripple, object),
    }
}

/// Adds a reading of every object whose outputs change by others' doing, where somebody needs one.
pub(super) fn look_again(ripple: &Ripple<'_>, batches: &mut Vec<Batch<'_>>) {
    let mut needed: BTreeMap<Address, BTreeSet<Output>> = BTreeMap::new();
    for draft in batches.iter().flat_map(|batch| &batch.drafts) {
        for (address, output) in draft.action.needs().outputs {
            if ripple.unsettled.contains(&(address.clone(), output)) {
                needed.entry(address).or_default().insert(output);
            }
        }
    }
    for (address, outputs) in needed {
        let Some(desired) = ripple.stack.resources.get(&address) else { continue };
        let Some(action) = Action::look(address.kind) else { continue };
        let on = ripple.kept(&address).map(|object| object.id.clone());
        let draft = Draft {
            provides: outputs.into_iter().collect(),
            after: After::Nothing,
            ..Draft::new("read again", Wave::Update, on, action)
        };
        batches.push(Batch {
            address,
            region: desired.common.region.clone(),
            role: Role::Look,
            object: None,
            drafts: vec![draft],
            slots: BTreeSet::new(),
            group: None,
        });
    }
}
