//! Who is who: which object stands at which address, and what is left over.
//!
//! An object is owned when its stack *and* address tag say so, and nothing else is ever claimed, save by an `adopt`
//! clause. Several generations at one address are a normal state after a crash; two objects of one generation are not.

use std::collections::{BTreeMap, BTreeSet};

use super::policy::{Goal, Policy};
use crate::model::{Address, CloudId, Name, Owner};
use crate::resources::registry::{Desired, Object};
use crate::resources::snapshot::Snapshot;
use crate::resources::stack::Stack;
use crate::resources::{Refusal, RefusalKind};

/// Which object is whose.
#[derive(Debug, Default)]
pub(super) struct Claims<'a> {
    /// The object that stands at each wanted address, where there is one.
    pub(super) current: BTreeMap<Address, &'a Object>,
    /// Other generations at wanted addresses, newest first, on no way out.
    pub(super) others: BTreeMap<Address, Vec<&'a Object>>,
    /// Owned objects at addresses that are not wanted.
    pub(super) orphans: Vec<(Address, &'a Object)>,
    /// Owned objects on their way out already.
    pub(super) going: Vec<(Address, &'a Object)>,
    /// The highest generation seen at each address.
    pub(super) highest: BTreeMap<Address, u32>,
    /// Addresses at which nothing may be touched.
    pub(super) blocked: BTreeSet<Address>,
    /// Every owned object.
    pub(super) mine: BTreeSet<CloudId>,
    /// What stands in the way.
    pub(super) refusals: Vec<Refusal>,
}

/// Claims every object of a snapshot for a stack.
pub(super) fn claim<'a>(stack: &Stack, snapshot: &'a Snapshot, policy: &Policy) -> Claims<'a> {
    let mut claims = Claims::default();
    let mut at: BTreeMap<Address, Vec<(Owner, &Object)>> = BTreeMap::new();
    for object in &snapshot.objects {
        let Some(owner) = object.owner().filter(|owner| owner.stack == stack.name.as_str()) else { continue };
        if owner.address.kind != object.kind() {
            continue;
        }
        refuse_other_origin(stack, &owner, object, &mut claims.refusals);
        claims.mine.insert(object.id.clone());
        let highest = claims.highest.entry(owner.address.clone()).or_default();
        *highest = owner.generation.max(*highest);
        if object.going() {
            claims.going.push((owner.address.clone(), object));
        } else {
            at.entry(owner.address.clone()).or_default().push((owner, object));
        }
    }
    let wanted = match policy.goal {
        Goal::Converge => &stack.resources,
        Goal::Destroy => &BTreeMap::new(),
    };
    rename(wanted, &mut at, &mut claims);
    for (address, mut found) in at {
        found.sort_by(|(a, x), (b, y)| (b.generation, &y.id).cmp(&(a.generation, &x.id)));
        settle(address, &found, wanted, &mut claims);
    }
    adopt(stack, wanted, snapshot, &mut claims);
    claims
}

/// Another origin is another repository with the same stack name.
fn refuse_other_origin(stack: &Stack, owner: &Owner, object: &Object, refusals: &mut Vec<Refusal>) {
    let Some(theirs) = owner.origin.as_ref().filter(|theirs| stack.origin.as_ref() != Some(*theirs)) else { return };
    let message = format!("{} belongs to stack `{}` of another origin: {theirs}", object.id, stack.name);
    let hint = match &stack.origin {
        Some(ours) => format!("this spec's origin is {ours}: choose another stack name, or `forget` the object there"),
        None => format!("write `origin = \"{theirs}\"` if this is that spec, else choose another stack name"),
    };
    refusals.push(Refusal::new(RefusalKind::Origin, &owner.address, message).hint(hint));
}

/// Objects whose resource has another name now move to the new address.
fn rename<'a>(
    wanted: &BTreeMap<Address, Desired>,
    at: &mut BTreeMap<Address, Vec<(Owner, &'a Object)>>,
    claims: &mut Claims<'a>,
) {
    for (address, desired) in wanted {
        if at.contains_key(address) {
            continue;
        }
        for old in former_addresses(address, desired) {
            if wanted.contains_key(&old) {
                continue;
            }
            let Some(found) = at.remove(&old) else { continue };
            let highest = claims.highest.get(&old).copied().unwrap_or_default();
            let known = claims.highest.entry(address.clone()).or_default();
            *known = highest.max(*known);
            at.insert(address.clone(), found);
            break;
        }
    }
}

/// Where an object may have been made for what stands at this address now: what `previously` says, for a member the
/// member of the same index, and for the first the single one before there was a `count`; for a regional copy the plain
/// name and the reverse.
fn former_addresses(address: &Address, desired: &Desired) -> Vec<Address> {
    let mut names: Vec<Name> = Vec::new();
    if let Some(old) = &desired.common.previously {
        let region = address.name.as_str().split_once('@').map(|(_, region)| region);
        names.extend(region.map(|region| old.in_region(region)));
        match member_index(address, desired) {
            Some(0) => names.extend([old.member(0), old.clone()]),
            Some(index) => names.push(old.member(index)),
            None => names.extend([old.clone(), old.member(0)]),
        }
    }
    let text = address.name.as_str();
    match text.split_once('@') {
        Some((plain, _)) => names.extend(Name::try_from(plain.to_owned())),
        // Of a kind that is never copied to regions no such name exists, and nothing is found.
        None => names.push(address.name.in_region(desired.common.region.as_str())),
    }
    names.into_iter().map(|name| Address::new(address.kind, name)).collect()
}

/// Which member of its group an address is; none for a single resource.
fn member_index(address: &Address, desired: &Desired) -> Option<u32> {
    let group = desired.common.group.as_ref()?;
    address.name.as_str().strip_prefix(group.name.as_str())?.strip_prefix('-')?.parse().ok()
}

/// One address: the newest generation is current, unless two objects claim to be it.
fn settle<'a>(
    address: Address,
    found: &[(Owner, &'a Object)],
    wanted: &BTreeMap<Address, Desired>,
    claims: &mut Claims<'a>,
) {
    let Some(((first, newest), rest)) = found.split_first() else { return };
    let twins: Vec<&CloudId> =
        rest.iter().filter(|(owner, _)| owner.generation == first.generation).map(|(_, object)| &object.id).collect();
    if !twins.is_empty() {
        let ids: Vec<String> = std::iter::once(&newest.id).chain(twins).map(ToString::to_string).collect();
        let message =
            format!("{} all say that they are `{address}`, generation {}", ids.join(" and "), first.generation);
        let hint = "somebody copied it with its tags: take the `portcullis:` tags off the copies (or remove them); nothing is touched until then";
        claims.refusals.push(Refusal::new(RefusalKind::Twin, &address, message).hint(hint));
        claims.blocked.insert(address);
        return;
    }
    let all = found.iter().map(|(_, object)| *object);
    if wanted.contains_key(&address) {
        if !rest.is_empty() {
            claims.others.insert(address.clone(), rest.iter().map(|(_, object)| *object).collect());
        }
        claims.current.insert(address, newest);
    } else {
        claims.orphans.extend(all.map(|object| (address.clone(), object)));
    }
}

/// Foreign objects that an `adopt` clause names, for addresses at which nothing stands yet.
fn adopt<'a>(stack: &Stack, wanted: &BTreeMap<Address, Desired>, snapshot: &'a Snapshot, claims: &mut Claims<'a>) {
    for (address, desired) in wanted {
        let Some(name) = &desired.common.adopt else { continue };
        if claims.current.contains_key(address) || claims.blocked.contains(address) {
            continue;
        }
        let found: Vec<&Object> = snapshot
            .objects
            .iter()
            .filter(|object| object.kind() == address.kind && object.region == desired.common.region)
            .filter(|object| !object.going() && object.is_called(name))
            .collect();
        match found.as_slice() {
            [object] => match object.owner() {
                None => {
                    claims.mine.insert(object.id.clone());
                    claims.current.insert(address.clone(), object);
                }
                Some(owner) => claims.refusals.push(refuse_owned(stack, address, object, &owner)),
            },
            found => claims.refusals.push(refuse_not_one(address, desired, name, found)),
        }
    }
}

fn refuse_owned(stack: &Stack, address: &Address, object: &Object, owner: &Owner) -> Refusal {
    let message = format!("{} cannot be adopted: it is `{}` of stack `{}`", object.id, owner.address, owner.stack);
    let hint = if owner.stack == stack.name.as_str() {
        format!("it is this stack's own: write `previously = \"{}\"` instead of `adopt`", owner.address.name)
    } else {
        format!("run `portcullis forget` in stack `{}` first", owner.stack)
    };
    Refusal::new(RefusalKind::Adopt, address, message).hint(hint)
}

fn refuse_not_one(address: &Address, desired: &Desired, name: &str, found: &[&Object]) -> Refusal {
    let region = &desired.common.region;
    if found.is_empty() {
        let message = format!("there is no {} `{name}` in {region} to adopt", address.kind);
        return Refusal::new(RefusalKind::Adopt, address, message)
            .hint("check id and region, or take `adopt` away to make a new one");
    }
    let ids: Vec<String> = found.iter().map(|object| object.id.to_string()).collect();
    let message = format!("{} of {region} are called `{name}`", ids.join(" and "));
    Refusal::new(RefusalKind::Adopt, address, message).hint("name one by its id")
}
