//! Filters: what `--target` takes along, and what `--exclude` leaves out.

use std::collections::{BTreeMap, BTreeSet};

use super::claim::Claims;
use super::policy::{Goal, Orphans, Policy};
use super::ripple::{Dependents, Fate, Ripple, dependents};
use crate::model::tags::KEEP;
use crate::model::{Address, Reference};
use crate::resources::Effect;
use crate::resources::registry::Object;
use crate::resources::snapshot::Snapshot;
use crate::resources::stack::Stack;

/// The ripple under the filters of a policy, run again until filters and generations are settled.
pub(super) fn settle<'a>(
    stack: &'a Stack,
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    claims: &'a Claims<'a>,
    dependents: &'a Dependents,
) -> Ripple<'a> {
    let mut current: BTreeMap<Address, &'a Object> = claims.current.clone();
    let mut selection = Selection::of(stack, policy);
    loop {
        let frozen = |address: &Address| selection.freezes(address);
        let ripple = Ripple::run(stack, snapshot, policy, claims, &current, dependents, &frozen);
        let widened = selection.widen(&ripple);
        let turned = prefer_unchanged(&ripple, &mut current);
        if !widened && !turned {
            return ripple;
        }
    }
}

/// Who names whom in a stack.
pub(super) fn references(stack: &Stack) -> Dependents {
    dependents(stack)
}

/// What the plan may touch.
struct Selection {
    targets: Option<BTreeSet<Address>>,
    excludes: BTreeSet<Address>,
}

impl Selection {
    fn of(stack: &Stack, policy: &Policy) -> Self {
        let members = |named: &BTreeSet<Address>| -> BTreeSet<Address> {
            let all = stack.resources.iter();
            all.filter(|(address, desired)| {
                let group = desired.common.group.as_ref();
                let of_group = group.map(|group| Address::new(address.kind, group.name.clone()));
                named.contains(*address) || of_group.is_some_and(|group| named.contains(&group))
            })
            .map(|(address, _)| address.clone())
            .collect()
        };
        let targets = (!policy.targets.is_empty()).then(|| members(&policy.targets));
        Self { targets, excludes: members(&policy.excludes) }
    }

    fn freezes(&self, address: &Address) -> bool {
        self.excludes.contains(address) || self.targets.as_ref().is_some_and(|targets| !targets.contains(address))
    }

    /// Takes along what the selected need and what their ripple reaches; leaves out what cannot do without an excluded one.
    fn widen(&mut self, ripple: &Ripple<'_>) -> bool {
        let (mut more, mut less) = (Vec::new(), Vec::new());
        for (address, desired) in &ripple.stack.resources {
            let named = desired.want.references().into_iter().filter_map(|reference| match reference {
                Reference::Address(named) => Some(named),
                Reference::Existing(_) => None,
            });
            let frozen = matches!(ripple.fates.get(address), Some(Fate::Frozen(_)));
            for named in named {
                let missing = matches!(ripple.fates.get(&named), Some(Fate::Frozen(None)));
                if !frozen && missing && self.excludes.contains(&named) {
                    less.push(address.clone());
                } else if !frozen && missing {
                    more.push(named);
                } else if frozen && (replaced(ripple, &named) || ripple.renews(&named)) {
                    if self.excludes.contains(address) {
                        less.push(named);
                    } else {
                        more.push(address.clone());
                    }
                }
            }
        }
        let mut changed = false;
        for address in less {
            changed |= self.excludes.insert(address);
        }
        if let Some(targets) = &mut self.targets {
            for address in more {
                changed |= !self.excludes.contains(&address) && targets.insert(address);
            }
        }
        changed
    }
}

/// Whether filters and policy let an orphan at an address go.
pub(super) fn prunes(policy: &Policy, address: &Address) -> bool {
    let wanted = policy.orphans == Orphans::Prune || policy.goal == Goal::Destroy;
    let targeted = policy.targets.is_empty() || policy.targets.contains(address);
    wanted && targeted && !policy.excludes.contains(address)
}

/// Whether this plan removes an object that stands at no wanted address.
pub(super) fn goes(ripple: &Ripple<'_>, object: &Object) -> bool {
    let Some(owner) = object.owner() else { return false };
    match ripple.fates.get(&owner.address) {
        Some(Fate::Frozen(_)) => false,
        Some(Fate::Made | Fate::Kept(_) | Fate::Replaced(_)) => true,
        None => prunes(ripple.policy, &owner.address) && !object.tags.contains_key(KEEP),
    }
}

/// Whether this plan removes an object of the stack, wherever it stands.
pub(super) fn removes(ripple: &Ripple<'_>, object: &Object) -> bool {
    ripple.standing(object).is_none() && goes(ripple, object)
}

fn replaced(ripple: &Ripple<'_>, address: &Address) -> bool {
    matches!(ripple.fates.get(address), Some(Fate::Replaced(_)))
}

/// Where several generations stand at an address, the one that needs no replacement is current.
fn prefer_unchanged<'a>(ripple: &Ripple<'a>, current: &mut BTreeMap<Address, &'a Object>) -> bool {
    let mut turned = false;
    for (address, others) in &ripple.claims.others {
        let Some(desired) = ripple.stack.resources.get(address).filter(|_| replaced(ripple, address)) else { continue };
        let newest = ripple.claims.current.get(address).map(|object| &object.id);
        if current.get(address).map(|object| &object.id) != newest {
            continue;
        }
        let fits = others.iter().find(|object| {
            let (delta, _) = ripple.ask(address, &desired.common, |cx| desired.want.diff(object, cx));
            object.region == desired.common.region
                && delta.is_some_and(|delta| delta.fields.iter().all(|field| field.effect != Effect::Replace))
        });
        if let Some(object) = fits {
            current.insert(address.clone(), object);
            turned = true;
        }
    }
    turned
}
