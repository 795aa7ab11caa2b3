//! From what was written of a load balancer to what is wanted.

use std::collections::BTreeMap;

use super::super::state::{Attributes, Desired, Registration, Scheme};
use super::listener::ListenerSpec;
use super::members;
use super::setting::Draining;
use super::{AccessLogSpec, HealthCheckSpec, Spec};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::duration::Seconds;
use crate::model::id::ZoneName;
use crate::resources::spec::{Claim, Lowered, Lowering};

/// Ports behind which somebody mostly wants to know who the client is.
const WEB_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// The balancer that is wanted.
pub(super) fn lower(spec: &Spec, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Desired>> {
    let site = spec.site();
    let zones = site.zones(cx, problems);
    let members = members::lower(spec, zones.as_deref(), cx, problems);
    members::warn_of_nobody(spec, &members, cx, problems);
    warn_of_one_zone(spec, zones.as_deref(), cx, problems);
    warn_of_hidden_clients(spec, problems);
    warn_of_idle_check(spec, problems);
    let min_healthy = members::min_healthy(spec, &members, problems);
    let listeners: BTreeMap<_, _> =
        spec.listeners.list.iter().map(|listener| (listener.port.value.0, listener.lower(cx, problems))).collect();
    // Without a listener nothing is wanted, and that is an error already.
    let Some(first) = spec.listeners.list.first() else { return Vec::new() };
    let usual = HealthCheckSpec::default();
    let want = Desired {
        name: spec.name.as_ref().map(|name| name.value.clone()),
        scheme: spec.scheme.unwrap_or(Scheme::InternetFacing),
        place: site.placement(zones.as_deref(), cx),
        security_groups: spec.security_groups.as_ref().map(|groups| site.groups(groups, cx, problems)),
        listeners,
        health_check: spec.health_check.as_ref().unwrap_or(&usual).lower(first.instance_port.value.0),
        instances: members.all,
        registration: spec.registration.unwrap_or(Registration::Exclusive),
        min_healthy,
        attributes: Attributes {
            cross_zone: spec.cross_zone.unwrap_or(true),
            idle_timeout: spec.idle_timeout.unwrap_or(Seconds(60)),
            connection_draining: spec.connection_draining.unwrap_or(Draining::USUAL).seconds(),
            access_log: spec.access_log.as_ref().map(AccessLogSpec::lower),
        },
        proxy_protocol: spec.proxy_protocol.iter().flat_map(|list| &list.value).map(|port| port.value.0).collect(),
    };
    let claims = spec
        .name
        .iter()
        .map(|name| Claim { what: format!("the load balancer name `{}` in {}", name.value, cx.region), at: name.span });
    let claims = claims.collect();
    vec![Lowered { name: cx.name.clone(), region: None, want, claims }]
}

/// One outage of a zone takes the balancer with it.
fn warn_of_one_zone(spec: &Spec, zones: Option<&[ZoneName]>, cx: &Lowering<'_>, problems: &mut Diagnostics) {
    if let Some((what, span)) = spec.site().in_one(zones, cx) {
        problems.push(
            Diagnostic::warning("one-zone", span, format!("this balancer serves only one {what}"))
                .hint("name a second one, so that one outage does not take all"),
        );
    }
}

/// Where bytes are passed, instances see the balancer's address
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/x-forwarded-headers.html>).
fn warn_of_hidden_clients(spec: &Spec, problems: &mut Diagnostics) {
    let proxied = |listener: &ListenerSpec| {
        let ports = spec.proxy_protocol.iter().flat_map(|list| &list.value);
        ports.into_iter().any(|port| port.value == listener.instance_port.value)
    };
    for listener in &spec.listeners.list {
        let (port, protocol) = (listener.port.value.0, &listener.protocol);
        if protocol.value.is_http() || !WEB_PORTS.contains(&port) || proxied(listener) {
            continue;
        }
        let http = if protocol.value.is_secure() || [443, 8443].contains(&port) { "https" } else { "http" };
        let back = listener.instance_port.value.0;
        problems.push(
            Diagnostic::warning(
                "hidden-client",
                protocol.span,
                format!("behind {} the instances do not see the client's address", protocol.value.word()),
            )
            .hint(format!("write `protocol = \"{http}\"`, or `proxy_protocol = [{back}]` where instances speak it")),
        );
    }
}

/// What is checked is mostly what is sent traffic.
fn warn_of_idle_check(spec: &Spec, problems: &mut Diagnostics) {
    let Some(target) = spec.health_check.as_ref().and_then(HealthCheckSpec::target) else { return };
    let port = target.value.port;
    if spec.listeners.none_to(port) {
        problems.push(
            Diagnostic::warning(
                "other-port",
                target.span,
                format!("no listener sends to port {port}, which is checked"),
            )
            .hint(format!("listeners send to {}", spec.listeners.instance_ports())),
        );
    }
}
