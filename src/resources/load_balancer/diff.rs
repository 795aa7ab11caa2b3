//! How a load balancer becomes what is wanted: almost everything changes where it stands, and its members one after the
//! other.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Create;
use super::compare;
use super::flows;
use super::health;
use super::members;
use super::state::Listener;
use super::{Action, Desired, Observed, permits};
use crate::model::duration::Seconds;
use crate::model::{CloudId, Kind, Link, Output, Reference, TagEdit};
use crate::resources::flow::Stance;
use crate::resources::permissions::Permits;
use crate::resources::snapshot::{Answer, Question, Subnet};
use crate::resources::{
    Common, Context, Crew, Delta, Draft, Edit, Effect, Field, Hold, Impact, Member, Needs, Reach, Read, Refusal,
    RefusalKind, Resource, Seen, Wave, Wrap,
};

/// How long the interfaces of a deleted balancer may linger: minutes, as everybody finds who deletes its groups next.
const INTERFACES: Seconds = Seconds(900);

/// The kind `load_balancer`.
#[derive(Debug)]
pub struct LoadBalancer;

impl Resource for LoadBalancer {
    const KIND: Kind = Kind::LoadBalancer;
    const LONGEST_NAME: usize = 32;
    type Desired = Desired;
    type Observed = Observed;
    type Action = Action;

    fn references(want: &Desired) -> Vec<Reference> {
        want.security_groups.iter().flatten().chain(&want.instances).cloned().collect()
    }

    fn reads(want: &Desired) -> Vec<Read> {
        Read::of_vpc(&want.place.vpc).into_iter().collect()
    }

    fn introduces(want: &Desired, _: &Context<'_>) -> Vec<Field> {
        let listener = |(port, listener): (&u16, &Listener)| Field {
            name: format!("listeners.{port}"),
            edit: Edit::Value { before: None, after: Some(listener.to_string()) },
            effect: Effect::InPlace,
        };
        want.listeners.iter().map(listener).collect()
    }

    fn create(want: &Desired, cx: &Context<'_>) -> Vec<Draft<Action>> {
        let Some(subnets) = subnets(want, cx) else { return Vec::new() };
        let name = physical_name(want, cx);
        refuse_taken(&name, cx);
        let groups: Vec<Link> = want.security_groups.iter().flatten().map(|group| cx.link(group)).collect();
        let reach = groups.iter().cloned().map(Reach::BornInto).collect();
        let create = Action::Create(Box::new(Create {
            name,
            scheme: want.scheme,
            subnets: subnets.iter().map(|subnet| subnet.id.clone()).collect(),
            security_groups: groups,
            listeners: want.listeners.clone(),
            tags: cx.fresh().tags,
        }));
        let mut drafts = vec![Draft {
            provides: vec![Output::Id, Output::Name, Output::DnsName, Output::ZoneId],
            reach,
            timeout: cx.common.timeout.unwrap_or(compare::CERTIFICATE),
            ..Draft::new("create", Wave::Make, None, create)
        }];
        let mut set = |title, action| drafts.push(Draft::new(title, Wave::Make, None, action));
        for (port, listener) in &want.listeners {
            if listener.ssl_policy.is_some() || listener.stickiness.is_some() {
                set("set listener policies", compare::policies(*port, listener));
            }
        }
        for port in &want.proxy_protocol {
            set("set proxy protocol", Action::SetProxyProtocol { port: *port, on: true });
        }
        set("set health check", Action::SetHealthCheck(want.health_check.clone()));
        set("set attributes", Action::SetAttributes(want.attributes.clone()));
        if let Some(last) = drafts.last_mut() {
            last.readies = true;
        }
        drafts.extend(members::first(want, cx));
        drafts
    }

    fn diff(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>) -> Delta<Action> {
        compare::diff(want, have, cx)
    }

    fn delete(have: &Seen<'_, Observed>, cx: &Context<'_>) -> Vec<Draft<Action>> {
        let on = Some(have.id.clone());
        if !cx.succeeded {
            cx.note(Impact::Downtime, format!("nobody answers on {} any more", have.body.dns_name));
        }
        let delete = Draft::new("delete", Wave::Remove, on.clone(), Action::Delete);
        let gone = Draft::new("await its interfaces gone", Wave::Remove, on, Action::AwaitInterfacesGone);
        vec![
            Draft { ends: true, frees: have.body.instances.iter().cloned().collect(), ..delete },
            Draft {
                frees: have.body.security_groups.iter().cloned().collect(),
                timeout: cx.common.timeout.unwrap_or(INTERFACES),
                ..gone
            },
        ]
    }

    fn retag(edit: TagEdit) -> Action {
        Action::Tag(edit)
    }

    fn needs(action: &Action) -> Needs {
        let links = match action {
            Action::Create(create) => create.security_groups.clone(),
            Action::SetGroups(links) | Action::Register(links) | Action::AwaitInService(links) => links.clone(),
            Action::AddListeners(_)
            | Action::RemoveListeners(_)
            | Action::SetCertificate { .. }
            | Action::SetPolicies { .. }
            | Action::SetProxyProtocol { .. }
            | Action::SetHealthCheck(_)
            | Action::SetAttributes(_)
            | Action::AttachSubnets(_)
            | Action::DetachSubnets { .. }
            | Action::Deregister { .. }
            | Action::AwaitDrained(_)
            | Action::Tag(_)
            | Action::Delete
            | Action::AwaitInterfacesGone => Vec::new(),
        };
        Needs { links, outputs: Vec::new() }
    }

    fn outputs(have: &Seen<'_, Observed>) -> BTreeMap<Output, String> {
        let mut outputs = BTreeMap::from([
            (Output::Id, have.id.to_string()),
            (Output::Name, have.body.name.clone()),
            (Output::DnsName, have.body.dns_name.clone()),
        ]);
        outputs.extend(have.body.zone_id.clone().map(|id| (Output::ZoneId, id)));
        outputs
    }

    fn foretold(want: &Desired, cx: &Context<'_>) -> BTreeMap<Output, String> {
        BTreeMap::from([(Output::Name, physical_name(want, cx))])
    }

    fn holds(have: &Observed) -> Vec<Hold> {
        let held = have.security_groups.iter().chain(&have.instances);
        held.map(|id| Hold { id: id.clone(), firm: true }).collect()
    }

    fn members(have: &Observed) -> Vec<Member> {
        health::members(have)
    }

    fn slots(want: &Desired, cx: &Context<'_>) -> BTreeSet<String> {
        BTreeSet::from([slot(&physical_name(want, cx), cx.common.region.as_str())])
    }

    fn occupies(have: &Seen<'_, Observed>) -> BTreeSet<String> {
        BTreeSet::from([slot(&have.body.name, have.region.as_str())])
    }

    fn wraps(want: &Desired, have: &Seen<'_, Observed>, member: &CloudId, cx: &Context<'_>) -> Option<Wrap<Action>> {
        members::wrap(want, have, member, cx)
    }

    fn crew(want: &Desired) -> Option<Crew> {
        Some(members::crew(want))
    }

    fn stance(have: &Seen<'_, Observed>) -> Option<Stance> {
        Some(Stance::Machine(flows::machine(have.body)))
    }

    fn is_called(have: &Seen<'_, Observed>, adopt: &str) -> bool {
        have.body.name == adopt
    }

    fn rechecks(action: &Action) -> bool {
        matches!(action, Action::Delete)
    }

    /// How its members are changes by itself, and is asked again by the calls that depend on it.
    fn settled(have: &Observed) -> Observed {
        Observed { health: BTreeMap::new(), ..have.clone() }
    }

    fn stale(_: &Action, seen: &Observed, now: &Observed) -> Option<String> {
        if let Some(port) = now.listeners.keys().find(|port| !seen.listeners.contains_key(port)) {
            return Some(format!("somebody added a listener on port {port}"));
        }
        let fresh = now.instances.difference(&seen.instances).next();
        fresh.map(|id| format!("somebody registered {id} with it"))
    }

    fn listing(permits: &mut Permits) {
        permits::listing(permits);
    }

    fn permits(want: &Desired, common: &Common, permits: &mut Permits) {
        permits::of(want, common, permits);
    }

    fn summary(want: &Desired) -> String {
        let listeners: Vec<String> =
            want.listeners.iter().map(|(port, listener)| format!("{} {port}", listener.protocol.word())).collect();
        let count = want.instances.len();
        format!("{} for {count} instance{}", listeners.join(", "), if count == 1 { "" } else { "s" })
    }
}

/// The subnets of a new one: one in each zone.
fn subnets<'a>(want: &Desired, cx: &Context<'a>) -> Option<Vec<&'a Subnet>> {
    let chosen = compare::one_a_zone(&want.place.candidates(cx)?);
    if chosen.is_empty() {
        let message = "the network has no subnet that it may use";
        cx.refuse(Refusal::new(RefusalKind::Lookup, cx.at, message).hint("name `subnets`, here or in `[network]`"));
        return None;
    }
    Some(chosen)
}

pub(super) fn physical_name(want: &Desired, cx: &Context<'_>) -> String {
    want.name.clone().unwrap_or_else(|| cx.fresh().name)
}

fn slot(name: &str, region: &str) -> String {
    format!("the load balancer name `{name}` in {region}")
}

/// A name is the region's: a foreign balancer that has it must be taken over, or another name be chosen.
fn refuse_taken(name: &str, cx: &Context<'_>) {
    let question = Question::Named {
        kind: Kind::LoadBalancer,
        region: cx.common.region.clone(),
        vpc: None,
        name: name.to_owned(),
    };
    if let Some(Answer::Named(Some(holder))) = cx.ask(question)
        && !cx.mine.contains(holder)
    {
        let message = format!("the load balancer name `{name}` belongs to one that this stack does not own");
        cx.refuse(
            Refusal::new(RefusalKind::Taken, cx.at, message)
                .hint(format!("take it over with `adopt = \"{name}\"`, or give another `name`")),
        );
    }
}
