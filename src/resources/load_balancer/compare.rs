//! Which fields of a load balancer differ, and the calls for each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::members;
use super::state::{Listener, Registration};
use super::{Action, Desired, Observed};
use crate::model::duration::Seconds;
use crate::model::id::{SubnetId, ZoneName};
use crate::model::{Known, Link, Output, Reference};
use crate::resources::place::Within;
use crate::resources::snapshot::Subnet;
use crate::resources::{
    After, Context, Delta, Draft, Edit, Effect, Field, Impact, Reach, Refusal, RefusalKind, Seen, Wave,
};

/// How long a certificate that was uploaded a moment ago may take to be seen, and a listener's port to be free again.
pub(super) const CERTIFICATE: Seconds = Seconds(300);

/// The calls that set all policies of a listener.
pub(super) fn policies(port: u16, listener: &Listener) -> Action {
    Action::SetPolicies { port, ssl_policy: listener.ssl_policy.clone(), stickiness: listener.stickiness.clone() }
}

/// The first of each zone: a balancer stands in one subnet a zone.
pub(super) fn one_a_zone<'a>(candidates: &[&'a Subnet]) -> Vec<&'a Subnet> {
    let mut zones: BTreeMap<&ZoneName, &Subnet> = BTreeMap::new();
    for subnet in candidates {
        zones.entry(&subnet.zone).or_insert(subnet);
    }
    zones.into_values().collect()
}

/// Compares what is wanted with what is there.
pub(super) fn diff(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>) -> Delta<Action> {
    let mut delta = Delta::default();
    let zones = zones(want, have, cx);
    identity(want, have, zones.as_ref(), &mut delta);
    if delta.fields.iter().any(|field| field.effect == Effect::Replace) {
        let name = &have.body.dns_name;
        cx.note(
            Impact::Downtime,
            format!("another DNS name takes the place of {name}: point your records to the new one"),
        );
        return delta;
    }
    groups(want, have, cx, &mut delta);
    if let Some(zones) = &zones {
        open_zones(want, have, zones, cx, &mut delta);
    }
    listeners(want, have, cx, &mut delta);
    settings(want, have, &mut delta);
    members::change(want, have, cx, &mut delta);
    close_listeners(want, have, &mut delta);
    if let Some(zones) = &zones {
        close_zones(want, have, zones, cx, &mut delta);
    }
    delta
}

fn value(delta: &mut Delta<Action>, name: &str, effect: Effect, before: Option<String>, after: Option<String>) {
    delta.fields.push(Field { name: name.to_owned(), edit: Edit::Value { before, after }, effect });
}

/// One entry more or less of a list.
fn entry(delta: &mut Delta<Action>, name: &str, edit: Edit) {
    delta.fields.push(Field { name: name.to_owned(), edit, effect: Effect::InPlace });
}

fn push(delta: &mut Delta<Action>, have: &Seen<'_, Observed>, title: &'static str, action: Action) {
    delta.drafts.push(Draft::new(title, Wave::Update, Some(have.id.clone()), action));
}

fn words<T: Display>(list: impl IntoIterator<Item = T>) -> String {
    list.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

/// What AWS never changes.
fn identity(want: &Desired, have: &Seen<'_, Observed>, zones: Option<&Zones<'_>>, delta: &mut Delta<Action>) {
    let is = have.body;
    if let Some(literal) = want.name.as_ref().filter(|literal| **literal != is.name) {
        value(delta, "name", Effect::Replace, Some(is.name.clone()), Some(literal.clone()));
    }
    if want.scheme != is.scheme {
        let (before, after) = (is.scheme.word().to_owned(), want.scheme.word().to_owned());
        value(delta, "scheme", Effect::Replace, Some(before), Some(after));
    }
    let Some(zones) = zones else { return };
    // AWS takes no second subnet in a zone and gives the last one up to nobody
    // (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-manage-subnets.html>).
    let only = is.subnets.len() == 1 && zones.opened.is_empty() && zones.swapped.len() == 1;
    let moves = zones.all.first().is_some_and(|subnet| subnet.vpc != is.vpc);
    if only || moves {
        let after = words(zones.all.iter().map(|subnet| &subnet.id));
        value(delta, "subnets", Effect::Replace, Some(words(&is.subnets)), Some(after));
    }
}

/// What becomes of the zones.
struct Zones<'a> {
    /// Every subnet that is wanted.
    all: Vec<&'a Subnet>,
    /// In zones that are new.
    opened: BTreeSet<SubnetId>,
    /// One instead of another in the same zone: the old, the new, the zone.
    swapped: Vec<(SubnetId, SubnetId, ZoneName)>,
    /// In zones that are not wanted any more.
    closed: BTreeSet<SubnetId>,
}

fn zones<'a>(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'a>) -> Option<Zones<'a>> {
    let candidates = want.place.candidates(cx)?;
    let known = |id: &SubnetId| cx.facts.subnets.iter().find(|subnet| subnet.id == *id);
    let standing: BTreeMap<ZoneName, &SubnetId> =
        have.body.subnets.iter().filter_map(|id| Some((known(id)?.zone.clone(), id))).collect();
    // By zone alone any subnet of the VPC will do, also one that somebody chose before.
    let lax = want.place.network.is_empty() && !matches!(want.place.within, Within::Subnets(_));
    let mut zones =
        Zones { all: one_a_zone(&candidates), opened: BTreeSet::new(), swapped: Vec::new(), closed: BTreeSet::new() };
    let mut kept: BTreeSet<&SubnetId> = BTreeSet::new();
    for subnet in &zones.all {
        match standing.get(&subnet.zone).copied() {
            None => {
                zones.opened.insert(subnet.id.clone());
            }
            Some(is) => {
                kept.insert(is);
                let same_vpc = known(is).is_some_and(|known| known.vpc == subnet.vpc);
                let fits = candidates.iter().any(|candidate| candidate.id == *is) || (lax && same_vpc);
                if !fits {
                    zones.swapped.push((is.clone(), subnet.id.clone(), subnet.zone.clone()));
                }
            }
        }
    }
    zones.closed = have.body.subnets.iter().filter(|id| !kept.contains(id)).cloned().collect();
    Some(zones)
}

/// New zones first; then one subnet for another, zone by zone.
fn open_zones(
    want: &Desired,
    have: &Seen<'_, Observed>,
    zones: &Zones<'_>,
    cx: &Context<'_>,
    delta: &mut Delta<Action>,
) {
    for subnet in &zones.opened {
        entry(delta, "subnets", Edit::Added(subnet.to_string()));
    }
    if !zones.opened.is_empty() {
        push(delta, have, "attach subnets", Action::AttachSubnets(zones.opened.clone()));
    }
    for (old, new, zone) in &zones.swapped {
        value(delta, "subnets", Effect::InPlace, Some(old.to_string()), Some(new.to_string()));
        let serving = serving_elsewhere(want, zone, cx);
        if serving < want.min_healthy {
            let message = format!(
                "{new} can only take the place of {old} in {zone} after that one is given up, and then {serving} of its members serve, less than `min_healthy = {}`",
                want.min_healthy
            );
            let hint = format!(
                "lower `min_healthy`, have more members outside {zone}, or make another balancer: `--replace {}`",
                cx.at
            );
            cx.refuse(Refusal::new(RefusalKind::Capacity, cx.at, message).hint(hint));
        }
        cx.note(
            Impact::Reconnect,
            format!("members in {zone} are out of service while {new} takes the place of {old}"),
        );
        let detach = Action::DetachSubnets { subnets: [old.clone()].into(), keep: want.min_healthy.min(serving) };
        delta.drafts.push(Draft {
            timeout: CERTIFICATE,
            ..Draft::new("detach subnet", Wave::Update, Some(have.id.clone()), detach)
        });
        let attach = Action::AttachSubnets([new.clone()].into());
        delta.drafts.push(Draft {
            timeout: CERTIFICATE,
            ..Draft::new("attach subnet", Wave::Update, Some(have.id.clone()), attach)
        });
    }
}

/// How many members are in other zones than this one, as far as that is known.
fn serving_elsewhere(want: &Desired, zone: &ZoneName, cx: &Context<'_>) -> u32 {
    let elsewhere = |instance: &&Reference| zone_of(instance, cx).is_some_and(|there| there != zone.as_str());
    u32::try_from(want.instances.iter().filter(elsewhere).count()).unwrap_or(u32::MAX)
}

/// The zone of a member, where that is known.
fn zone_of(instance: &Reference, cx: &Context<'_>) -> Option<String> {
    let Reference::Address(address) = instance else { return None };
    let Known::Now(zone) = cx.output(address, Output::Zone) else { return None };
    Some(zone)
}

/// Zones that nobody is in any more go last.
fn close_zones(
    want: &Desired,
    have: &Seen<'_, Observed>,
    zones: &Zones<'_>,
    cx: &Context<'_>,
    delta: &mut Delta<Action>,
) {
    for subnet in &zones.closed {
        entry(delta, "subnets", Edit::Removed(subnet.to_string()));
    }
    if !zones.closed.is_empty() {
        leave_behind(want, &zones.closed, cx);
        let action = Action::DetachSubnets { subnets: zones.closed.clone(), keep: want.min_healthy };
        let draft = Draft::new("detach subnets", Wave::Update, Some(have.id.clone()), action);
        delta.drafts.push(Draft { after: After::All, timeout: CERTIFICATE, ..draft });
    }
}

/// Members in zones that are given up get no traffic any more; refused where too few are left then.
fn leave_behind(want: &Desired, closed: &BTreeSet<SubnetId>, cx: &Context<'_>) {
    let closing = cx.facts.subnets.iter().filter(|subnet| closed.contains(&subnet.id)).map(|subnet| &subnet.zone);
    let closing: BTreeSet<&str> = closing.map(ZoneName::as_str).collect();
    let outside = |instance: &&Reference| zone_of(instance, cx).is_some_and(|zone| closing.contains(zone.as_str()));
    let lost: Vec<&Reference> = want.instances.iter().filter(outside).collect();
    if lost.is_empty() {
        return;
    }
    let left = u32::try_from(want.instances.len().saturating_sub(lost.len())).unwrap_or(u32::MAX);
    // Those whom others registered may serve in their place: nobody knows that before.
    if left < want.min_healthy && want.registration == Registration::Exclusive {
        let message = format!(
            "without {} it can serve {left} of its members, less than `min_healthy = {}`",
            words(&closing),
            want.min_healthy
        );
        let hint = format!("have more members in the zones that it serves, or set `min_healthy = {left}`");
        cx.refuse(Refusal::new(RefusalKind::Capacity, cx.at, message).hint(hint));
    }
    let members = words(lost.iter().map(|instance| cx.link(instance)));
    cx.note(Impact::Reconnect, format!("no traffic any more in {}: {members}", words(&closing)));
}

fn groups(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, delta: &mut Delta<Action>) {
    let Some(groups) = &want.security_groups else { return };
    let wanted: BTreeSet<Link> = groups.iter().map(|group| cx.link(group)).collect();
    let is: BTreeSet<Link> = have.body.security_groups.iter().cloned().map(Link::Existing).collect();
    if wanted == is {
        return;
    }
    value(delta, "security_groups", Effect::InPlace, Some(words(&is)), Some(words(&wanted)));
    let (left, reach) = Reach::of_swap(&is, &wanted);
    let action = Action::SetGroups(wanted.into_iter().collect());
    let draft = Draft::new("set security groups", Wave::Update, Some(have.id.clone()), action);
    delta.drafts.push(Draft { frees: left, reach, ..draft });
}

/// New listeners, and those that change: a port is one listener's, so another on it waits until the first is gone.
fn listeners(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, delta: &mut Delta<Action>) {
    let (mut anew, mut added) = (BTreeSet::new(), BTreeMap::new());
    for (port, listener) in &want.listeners {
        let name = format!("listeners.{port}");
        match have.body.listeners.get(port) {
            None => {
                value(delta, &name, Effect::InPlace, None, Some(listener.to_string()));
                added.insert(*port, listener.clone());
            }
            Some(is) if !same_kind(listener, is) => {
                value(delta, &name, Effect::InPlace, Some(is.to_string()), Some(listener.to_string()));
                cx.note(
                    Impact::Downtime,
                    format!("port {port} does not answer for some seconds: its listener is made anew"),
                );
                anew.insert(*port);
                added.insert(*port, listener.clone());
            }
            Some(is) => adjust(*port, listener, is, have, delta),
        }
    }
    if !anew.is_empty() {
        push(delta, have, "remove listeners", Action::RemoveListeners(anew));
    }
    if !added.is_empty() {
        let draft =
            Draft::new("add listeners", Wave::Update, Some(have.id.clone()), Action::AddListeners(added.clone()));
        delta.drafts.push(Draft { timeout: CERTIFICATE, ..draft });
    }
    for (port, listener) in added {
        if listener.ssl_policy.is_some() || listener.stickiness.is_some() {
            push(delta, have, "set listener policies", policies(port, &listener));
        }
    }
}

/// Whether one listener can become the other where it stands. Between one with a certificate and one without it cannot.
fn same_kind(want: &Listener, have: &Listener) -> bool {
    let Listener { protocol, instance_port, instance_protocol, certificate: _, ssl_policy: _, stickiness: _ } = want;
    *protocol == have.protocol && *instance_port == have.instance_port && *instance_protocol == have.instance_protocol
}

/// Certificate and policies change where they are.
fn adjust(port: u16, want: &Listener, is: &Listener, have: &Seen<'_, Observed>, delta: &mut Delta<Action>) {
    if let Some(certificate) = want.certificate.as_ref().filter(|wanted| is.certificate.as_ref() != Some(*wanted)) {
        let name = format!("listeners.{port}.certificate");
        value(delta, &name, Effect::InPlace, is.certificate.clone(), Some(certificate.clone()));
        let action = Action::SetCertificate { port, certificate: certificate.clone() };
        let draft = Draft::new("set certificate", Wave::Update, Some(have.id.clone()), action);
        delta.drafts.push(Draft { timeout: CERTIFICATE, ..draft });
    }
    let stickiness = |listener: &Listener| listener.stickiness.as_ref().map(ToString::to_string);
    let ssl = policy(want) != policy(is);
    if ssl {
        let name = format!("listeners.{port}.ssl_policy");
        value(delta, &name, Effect::InPlace, policy(is).cloned(), policy(want).cloned());
    }
    if want.stickiness != is.stickiness {
        let name = format!("listeners.{port}.stickiness");
        value(delta, &name, Effect::InPlace, stickiness(is), stickiness(want));
    }
    if ssl || want.stickiness != is.stickiness {
        push(delta, have, "set listener policies", policies(port, want));
    }
}

/// The security policy that counts: AWS's default is what a listener has that nobody gave one.
fn policy(listener: &Listener) -> Option<&String> {
    listener.ssl_policy.as_ref().filter(|policy| *policy != super::state::DEFAULT_SSL_POLICY)
}

/// Ports that are not wanted any more go when everything else is done.
fn close_listeners(want: &Desired, have: &Seen<'_, Observed>, delta: &mut Delta<Action>) {
    let closed: BTreeSet<u16> =
        have.body.listeners.keys().filter(|port| !want.listeners.contains_key(port)).copied().collect();
    for port in &closed {
        let before = have.body.listeners.get(port).map(ToString::to_string);
        value(delta, &format!("listeners.{port}"), Effect::InPlace, before, None);
    }
    if !closed.is_empty() {
        let action = Action::RemoveListeners(closed);
        let draft = Draft::new("remove listeners", Wave::Update, Some(have.id.clone()), action);
        delta.drafts.push(Draft { after: After::All, ..draft });
    }
}

/// Health check, attributes and the proxy protocol.
fn settings(want: &Desired, have: &Seen<'_, Observed>, delta: &mut Delta<Action>) {
    let is = have.body;
    let on_only = want.proxy_protocol.difference(&is.proxy_protocol).map(|port| (*port, true));
    let off_only = is.proxy_protocol.difference(&want.proxy_protocol).map(|port| (*port, false));
    for (port, on) in on_only.chain(off_only) {
        let edit = if on { Edit::Added(port.to_string()) } else { Edit::Removed(port.to_string()) };
        entry(delta, "proxy_protocol", edit);
        push(delta, have, "set proxy protocol", Action::SetProxyProtocol { port, on });
    }
    for port in silenced(want, is) {
        push(delta, have, "set proxy protocol", Action::SetProxyProtocol { port, on: true });
    }
    let before = delta.fields.len();
    health_check(want, is, delta);
    if delta.fields.len() > before {
        push(delta, have, "set health check", Action::SetHealthCheck(want.health_check.clone()));
    }
    let before = delta.fields.len();
    attributes(want, is, delta);
    if delta.fields.len() > before {
        push(delta, have, "set attributes", Action::SetAttributes(want.attributes.clone()));
    }
}

/// Instance ports that lose the proxy protocol as long as nothing listens for them: their listener is made anew.
fn silenced(want: &Desired, is: &Observed) -> Vec<u16> {
    let stays =
        |port: &u16, listener: &Listener| want.listeners.get(port).is_none_or(|wanted| same_kind(wanted, listener));
    let staying = is.listeners.iter().filter(|(port, listener)| stays(port, listener));
    let heard: BTreeSet<u16> = staying.map(|(_, listener)| listener.instance_port).collect();
    let both = want.proxy_protocol.intersection(&is.proxy_protocol);
    both.filter(|port| !heard.contains(port)).copied().collect()
}

/// One field for each thing that differs.
fn differ<T: PartialEq + Display>(delta: &mut Delta<Action>, name: &str, want: &T, is: &T) {
    if want != is {
        value(delta, name, Effect::InPlace, Some(is.to_string()), Some(want.to_string()));
    }
}

fn health_check(want: &Desired, is: &Observed, delta: &mut Delta<Action>) {
    let super::state::HealthCheck { target, interval, timeout, unhealthy_after, healthy_after } = &want.health_check;
    let is = &is.health_check;
    differ(delta, "health_check.target", target, &is.target);
    differ(delta, "health_check.interval", interval, &is.interval);
    differ(delta, "health_check.timeout", timeout, &is.timeout);
    differ(delta, "health_check.unhealthy_after", unhealthy_after, &is.unhealthy_after);
    differ(delta, "health_check.healthy_after", healthy_after, &is.healthy_after);
}

fn attributes(want: &Desired, is: &Observed, delta: &mut Delta<Action>) {
    let super::state::Attributes { cross_zone, idle_timeout, connection_draining, access_log } = &want.attributes;
    let is = &is.attributes;
    differ(delta, "cross_zone", cross_zone, &is.cross_zone);
    differ(delta, "idle_timeout", idle_timeout, &is.idle_timeout);
    let draining = |draining: &Option<Seconds>| draining.map_or("off".to_owned(), |seconds| seconds.to_string());
    differ(delta, "connection_draining", &draining(connection_draining), &draining(&is.connection_draining));
    let log = |log: &Option<super::state::AccessLog>| match log {
        None => "off".to_owned(),
        Some(log) => format!("s3://{}/{} every {}", log.bucket, log.prefix, log.interval),
    };
    differ(delta, "access_log", &log(access_log), &log(&is.access_log));
}
