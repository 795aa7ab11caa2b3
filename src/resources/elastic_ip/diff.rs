//! How an Elastic IP becomes what is wanted. An address never moves unless the plan says from whom.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Action, Desired, Observed, permits};
use crate::model::{CloudId, Kind, Link, Output, Reference, TagEdit, TrafficSet};
use crate::resources::flow::{Machine, Stance};
use crate::resources::permissions::Permits;
use crate::resources::{
    Common, Context, Delta, Draft, Edit, Effect, Field, Hold, Impact, Loan, Needs, Resource, Seen, Wave,
};

/// The kind `elastic_ip`.
#[derive(Debug)]
pub struct ElasticIp;

impl Resource for ElasticIp {
    const KIND: Kind = Kind::ElasticIp;
    type Desired = Desired;
    type Observed = Observed;
    type Action = Action;

    fn references(want: &Desired) -> Vec<Reference> {
        let Desired { instance, public_ip_pool: _, border_group: _ } = want;
        instance.iter().cloned().collect()
    }

    fn create(want: &Desired, cx: &Context<'_>) -> Vec<Draft<Action>> {
        let allocate = Action::Allocate {
            pool: want.public_ip_pool.clone(),
            border_group: want.border_group.clone(),
            tags: cx.fresh().tags,
        };
        let mut drafts = vec![Draft {
            provides: vec![Output::Id, Output::PublicIp],
            readies: true,
            ..Draft::new("allocate", Wave::Make, None, allocate)
        }];
        if let Some(instance) = &want.instance {
            let associate = Action::Associate { to: cx.link(instance), from: None };
            drafts.push(Draft::new("associate", Wave::Update, None, associate));
        }
        drafts
    }

    fn diff(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>) -> Delta<Action> {
        let mut delta = Delta::default();
        let Observed { public_ip: _, association: _, public_ip_pool, border_group } = have.body;
        for (name, want, have) in [
            ("public_ip_pool", &want.public_ip_pool, public_ip_pool),
            ("border_group", &want.border_group, border_group),
        ] {
            if want.is_some() && want != have {
                delta.fields.push(Field {
                    name: name.to_owned(),
                    edit: Edit::Value { before: have.clone(), after: want.clone() },
                    effect: Effect::Replace,
                });
            }
        }
        diff_instance(want, have, cx, &mut delta);
        delta
    }

    fn delete(have: &Seen<'_, Observed>, cx: &Context<'_>) -> Vec<Draft<Action>> {
        let mut drafts = Vec::new();
        if let Some(association) = &have.body.association {
            let action = Action::Disassociate { association: association.id.clone() };
            drafts.push(Draft {
                frees: association.instance.iter().cloned().collect(),
                ..Draft::new("disassociate", Wave::Remove, Some(have.id.clone()), action)
            });
        }
        cx.note(
            Impact::Downtime,
            format!("{} is given back: it belongs to a stranger soon after", have.body.public_ip),
        );
        let release = Draft::new("release", Wave::Remove, Some(have.id.clone()), Action::Release);
        drafts.push(Draft { ends: true, ..release });
        drafts
    }

    fn retag(edit: TagEdit) -> Action {
        Action::Tag(edit)
    }

    fn needs(action: &Action) -> Needs {
        match action {
            Action::Associate { to, from: _ } => Needs { links: vec![to.clone()], outputs: Vec::new() },
            Action::Allocate { .. } | Action::Disassociate { .. } | Action::Tag(_) | Action::Release => {
                Needs::default()
            }
        }
    }

    fn outputs(have: &Seen<'_, Observed>) -> BTreeMap<Output, String> {
        BTreeMap::from([(Output::Id, have.id.to_string()), (Output::PublicIp, have.body.public_ip.to_string())])
    }

    fn lends(want: &Desired) -> Vec<Loan> {
        match &want.instance {
            Some(Reference::Address(of)) => {
                let along = vec![Output::PublicDns];
                vec![Loan { of: of.clone(), output: Output::PublicIp, mine: Output::PublicIp, along }]
            }
            Some(Reference::Existing(_)) | None => Vec::new(),
        }
    }

    fn lent(have: &Observed) -> Vec<(CloudId, Vec<Output>)> {
        let instance = have.association.as_ref().and_then(|association| association.instance.clone());
        instance.map(|id| (id, vec![Output::PublicIp, Output::PublicDns])).into_iter().collect()
    }

    fn holds(have: &Observed) -> Vec<Hold> {
        let instance = have.association.as_ref().and_then(|association| association.instance.clone());
        // AWS lets an instance go that an address points at; the order still matters to whoever uses the address.
        instance.map(|id| Hold { id, firm: false }).into_iter().collect()
    }

    /// Whoever comes from the address is told from others by it; it answers through the instance that has it.
    fn stance(have: &Seen<'_, Observed>) -> Option<Stance> {
        let addresses = [IpAddr::from(have.body.public_ip).into()].into_iter().collect();
        Some(Stance::Machine(Machine { groups: BTreeSet::new(), addresses, listens: TrafficSet::default() }))
    }

    fn is_called(have: &Seen<'_, Observed>, adopt: &str) -> bool {
        have.body.public_ip.to_string() == adopt
    }

    fn rechecks(action: &Action) -> bool {
        match action {
            Action::Associate { .. } | Action::Disassociate { .. } | Action::Release => true,
            Action::Allocate { .. } | Action::Tag(_) => false,
        }
    }

    fn stale(action: &Action, _: &Observed, now: &Observed) -> Option<String> {
        let current = now.association.as_ref();
        let holder =
            || current.and_then(|a| a.instance.as_ref()).map_or("something else".to_owned(), ToString::to_string);
        match action {
            // Gone already is what was wanted; the end is looked at again after the apply.
            Action::Disassociate { association } => current
                .is_some_and(|current| current.id != *association)
                .then(|| format!("it is associated with {} now", holder())),
            Action::Associate { to, from: None } => current
                .is_some_and(|current| !matches!(to, Link::Existing(id) if current.instance.as_ref() == Some(id)))
                .then(|| format!("it is associated with {} now", holder())),
            Action::Associate { to: _, from: Some(from) } => current
                .is_some_and(|current| current.id != *from)
                .then(|| format!("it is associated with {} now", holder())),
            Action::Release => current.is_some().then(|| format!("it is associated with {} now", holder())),
            Action::Allocate { .. } | Action::Tag(_) => None,
        }
    }

    fn listing(permits: &mut Permits) {
        permits::listing(permits);
    }

    fn permits(want: &Desired, common: &Common, permits: &mut Permits) {
        permits::of(want, common, permits);
    }

    fn summary(want: &Desired) -> String {
        match &want.instance {
            Some(Reference::Address(address)) => format!("for {address}"),
            Some(Reference::Existing(id)) => format!("for {id}"),
            None => "not associated".to_owned(),
        }
    }
}

/// Associates, moves or disassociates.
fn diff_instance(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, delta: &mut Delta<Action>) {
    let current = have.body.association.as_ref();
    let holder = current.and_then(|association| association.instance.clone());
    let target = want.instance.as_ref().map(|instance| cx.link(instance));
    let on = Some(have.id.clone());
    let ip = have.body.public_ip;
    let draft = match (&target, current) {
        (None, None) => return,
        (Some(Link::Existing(id)), Some(_)) if holder.as_ref() == Some(id) => return,
        (None, Some(association)) => {
            cx.note(Impact::Downtime, format!("nobody answers on {ip} any more"));
            let action = Action::Disassociate { association: association.id.clone() };
            Draft { frees: holder.iter().cloned().collect(), ..Draft::new("disassociate", Wave::Update, on, action) }
        }
        (Some(to), None) => Draft::new("associate", Wave::Update, on, Action::Associate { to: to.clone(), from: None }),
        (Some(to), Some(association)) => {
            let from = holder.as_ref().map_or("another interface".to_owned(), ToString::to_string);
            cx.note(Impact::Reconnect, format!("{ip} moves from {from} to {to}: its connections break once"));
            let action = Action::Associate { to: to.clone(), from: Some(association.id.clone()) };
            Draft { frees: holder.iter().cloned().collect(), ..Draft::new("move", Wave::Update, on, action) }
        }
    };
    delta.fields.push(Field {
        name: "instance".to_owned(),
        edit: Edit::Value {
            before: current.map(|_| holder.map_or("another interface".to_owned(), |id| id.to_string())),
            after: target.map(|link| link.to_string()),
        },
        effect: Effect::InPlace,
    });
    delta.drafts.push(draft);
}
