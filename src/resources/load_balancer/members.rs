//! Who is registered: new ones serve before old ones leave, and nobody is interrupted while it is sent traffic.

use std::collections::{BTreeMap, BTreeSet};

use super::state::Registration;
use super::{Action, Desired, Observed};
use crate::model::duration::Seconds;
use crate::model::{CloudId, Link, Reference};
use crate::resources::{
    After, Context, Crew, Delta, Draft, Edit, Effect, Field, Impact, Refusal, RefusalKind, Seen, Wave, Wrap,
};

/// What a boot, or an answer of AWS's, may take beside the health checks themselves.
const SLACK: u64 = 300;
/// Members that are named before the rest is only counted.
const NAMED: usize = 4;
/// What it takes to be seen as drained.
const DRAINED: u64 = 60;

/// How many there are, and how many must be in service.
pub(super) fn crew(want: &Desired) -> Crew {
    let members = u32::try_from(want.instances.len()).unwrap_or(u32::MAX);
    Crew { members, min_healthy: want.min_healthy }
}

/// Registers everybody with a new balancer, and waits until they are in service.
pub(super) fn first(want: &Desired, cx: &Context<'_>) -> Vec<Draft<Action>> {
    let links: Vec<Link> = want.instances.iter().map(|instance| cx.link(instance)).collect();
    if links.is_empty() { Vec::new() } else { put_in(want, links, None, Wave::Make, After::Previous, cx).into() }
}

/// Registers, and waits until it serves.
fn put_in(
    want: &Desired,
    links: Vec<Link>,
    on: Option<&CloudId>,
    wave: Wave,
    after: After,
    cx: &Context<'_>,
) -> [Draft<Action>; 2] {
    let register = Draft::new("register", wave, on.cloned(), Action::Register(links.clone()));
    let serve = Draft::new("await in service", wave, on.cloned(), Action::AwaitInService(links.clone()));
    let about = names(links.iter().map(|link| who(link, want, cx)));
    [
        Draft { after, about: about.clone(), ..register },
        Draft { about, serves: links, timeout: into_service(want, cx), ..serve },
    ]
}

/// Who a link is, by the name that the spec gives it.
fn who(link: &Link, want: &Desired, cx: &Context<'_>) -> String {
    let named = want.instances.iter().find(|instance| cx.link(instance) == *link);
    match (named, link) {
        (Some(Reference::Address(address)), _) | (_, Link::Planned(address)) => address.to_string(),
        (_, Link::Existing(id)) => id.to_string(),
    }
}

/// The first few, and how many more.
fn names(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let shown = all.take(NAMED).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Deregisters, and waits until requests under way have ended.
fn take_out(
    want: &Desired,
    ids: BTreeSet<CloudId>,
    draining: Option<Seconds>,
    on: &CloudId,
    after: After,
    cx: &Context<'_>,
) -> [Draft<Action>; 2] {
    let action = Action::Deregister { instances: ids.clone(), keep: want.min_healthy };
    let leave = Draft::new("deregister", Wave::Update, Some(on.clone()), action);
    let drained = Draft::new("await drained", Wave::Update, Some(on.clone()), Action::AwaitDrained(ids.clone()));
    let about = names(ids.iter().map(ToString::to_string));
    let longest = Seconds(draining.map_or(0, |draining| draining.0).saturating_add(DRAINED));
    [
        // It waits until enough others are in service.
        Draft {
            after,
            about: about.clone(),
            quits: ids.iter().cloned().collect(),
            timeout: into_service(want, cx),
            ..leave
        },
        Draft { about, frees: ids.into_iter().collect(), timeout: longest, ..drained },
    ]
}

/// How long it may take until a member is in service.
fn into_service(want: &Desired, cx: &Context<'_>) -> Seconds {
    let patience = want.health_check.patience().0;
    cx.common.timeout.unwrap_or(Seconds(patience.saturating_mul(2).saturating_add(SLACK)))
}

/// Puts in who is missing and takes out who is too many, behind the `setup` drafts that the delta has so far.
pub(super) fn change(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, delta: &mut Delta<Action>) {
    let setup = After::These(delta.drafts.len().checked_sub(1).into_iter().collect());
    let wanted: BTreeMap<Link, &Reference> = want.instances.iter().map(|one| (cx.link(one), one)).collect();
    let is = &have.body.instances;
    let stays = |id: &CloudId| wanted.contains_key(&Link::Existing(id.clone()));
    let ours = |id: &CloudId| want.registration == Registration::Exclusive || cx.mine.contains(id);
    let mut surplus: BTreeSet<CloudId> = is.iter().filter(|id| !stays(id) && ours(id)).cloned().collect();
    let (mut pairs, mut new) = (Vec::new(), Vec::new());
    for (link, reference) in &wanted {
        let registered = matches!(link, Link::Existing(id) if is.contains(id));
        let formers: BTreeSet<CloudId> = formers(reference, cx).into_iter().filter(|id| surplus.remove(id)).collect();
        if !formers.is_empty() {
            pairs.push(Pair { link: link.clone(), registered, formers });
        } else if !registered {
            new.push(link.clone());
        }
    }
    fields(&pairs, &new, &surplus, delta);
    for Pair { link, registered, formers } in pairs {
        let [register, serve] = put_in(want, vec![link], Some(have.id), Wave::Update, setup.clone(), cx);
        if registered {
            // A roll that broke off left it so: it is still to show that it serves.
            delta.drafts.push(Draft { after: setup.clone(), ..serve });
        } else {
            delta.drafts.extend([register, serve]);
        }
        let draining = have.body.attributes.connection_draining;
        delta.drafts.extend(take_out(want, formers, draining, have.id, setup.clone(), cx));
    }
    if !new.is_empty() {
        delta.drafts.extend(put_in(want, new, Some(have.id), Wave::Update, setup.clone(), cx));
    }
    if !surplus.is_empty() {
        if want.instances.is_empty() {
            cx.note(Impact::Downtime, "nobody is registered any more: it answers 503");
        }
        let draining = have.body.attributes.connection_draining;
        delta.drafts.extend(take_out(want, surplus, draining, have.id, setup, cx));
    }
}

/// A member, and who leaves once it serves.
struct Pair {
    link: Link,
    registered: bool,
    formers: BTreeSet<CloudId>,
}

/// The objects that a member takes the place of.
fn formers(reference: &Reference, cx: &Context<'_>) -> Vec<CloudId> {
    match reference {
        Reference::Address(address) => cx.identities.formers(address),
        Reference::Existing(_) => Vec::new(),
    }
}

fn fields(pairs: &[Pair], new: &[Link], surplus: &BTreeSet<CloudId>, delta: &mut Delta<Action>) {
    let mut push = |edit| {
        delta.fields.push(Field { name: "instances".to_owned(), edit, effect: Effect::InPlace });
    };
    for Pair { link, registered, formers } in pairs {
        let relieved = formers.iter().take(usize::from(!registered));
        for former in relieved {
            push(Edit::Value { before: Some(former.to_string()), after: Some(link.to_string()) });
        }
        for former in formers.iter().skip(usize::from(!registered)) {
            push(Edit::Removed(former.to_string()));
        }
    }
    for link in new {
        push(Edit::Added(link.to_string()));
    }
    for id in surplus {
        push(Edit::Removed(id.to_string()));
    }
}

/// What goes around an interruption of a member; refused where it would leave too few.
pub(super) fn wrap(
    want: &Desired,
    have: &Seen<'_, Observed>,
    member: &CloudId,
    cx: &Context<'_>,
) -> Option<Wrap<Action>> {
    let link = Link::Existing(member.clone());
    let stays = want.instances.iter().any(|instance| cx.link(instance) == link);
    if !stays || !have.body.instances.contains(member) {
        return None;
    }
    if crew(want).spare() == 0 {
        refuse_no_room(want, cx);
    }
    let draining = have.body.attributes.connection_draining;
    let ids = [member.clone()].into();
    Some(Wrap {
        before: take_out(want, ids, draining, have.id, After::Nothing, cx).into(),
        after: put_in(want, vec![link], Some(have.id), Wave::Update, After::Nothing, cx).into(),
    })
}

/// Capacity that no order of things can give is a matter for the spec.
fn refuse_no_room(want: &Desired, cx: &Context<'_>) {
    let count = want.instances.len();
    let message = format!(
        "a member must stop for a while, and `min_healthy = {}` of {count} leaves no room for that",
        want.min_healthy
    );
    let hint = format!(
        "add a member, set `min_healthy = {}`, or let the change replace instead of restart (`on_type_change`, `on_user_data_change`)",
        want.min_healthy.saturating_sub(1)
    );
    cx.refuse(Refusal::new(RefusalKind::Capacity, cx.at, message).hint(hint));
}
