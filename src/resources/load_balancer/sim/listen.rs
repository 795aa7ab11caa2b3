//! What a balancer listens to
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-listener-config.html>).

use std::collections::{BTreeMap, BTreeSet};

use super::super::state::{DEFAULT_SSL_POLICY, Listener, Stickiness};
use super::{balancer, change, clash, invalid};
use crate::model::CloudId;
use crate::resources::world::{Outputs, RegionWorld, Trouble, Turn, WorldError};

/// How long a port is not free after its listener is gone, in seconds.
const CLOSING: u64 = 5;

/// A listener as it is when it was just made: its policies follow in calls of their own.
pub(super) fn fresh(port: u16, asked: &Listener) -> Result<Listener, WorldError> {
    let Listener { protocol, instance_port, instance_protocol, certificate, ssl_policy: _, stickiness: _ } = asked;
    if port == 0 || *instance_port == 0 {
        return Err(invalid("a listener's ports are 1 to 65535"));
    }
    if protocol.is_http() != instance_protocol.is_http() {
        let why = format!(
            "the listener on port {port} speaks {}, which cannot be passed on as {}",
            protocol.word(),
            instance_protocol.word()
        );
        return Err(invalid(why));
    }
    let secure = protocol.is_secure();
    match certificate {
        None if secure => {
            return Err(invalid(format!(
                "the listener on port {port} speaks {} without a certificate",
                protocol.word()
            )));
        }
        Some(arn) if secure => check_certificate(arn)?,
        Some(_) | None => {}
    }
    Ok(Listener {
        protocol: *protocol,
        instance_port: *instance_port,
        instance_protocol: *instance_protocol,
        // AWS drops the certificate of a listener without TLS and says nothing.
        certificate: certificate.clone().filter(|_| secure),
        ssl_policy: secure.then(|| DEFAULT_SSL_POLICY.to_owned()),
        stickiness: None,
    })
}

fn check_certificate(arn: &str) -> Result<(), WorldError> {
    if arn.starts_with("arn:") && arn.contains("certificate/") { Ok(()) } else { Err(no_certificate(arn)) }
}

fn no_certificate(arn: &str) -> WorldError {
    WorldError::new(Trouble::NotFound, "CertificateNotFound", format!("the certificate `{arn}` does not exist"))
}

/// From when on a certificate is seen, and what AWS answers before: one that was uploaded a moment ago takes its time
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>).
fn certificate_seen(place: &RegionWorld, arn: &str) -> (u64, WorldError) {
    (place.certificate(arn).unwrap_or(u64::MAX), no_certificate(arn))
}

/// The same for the certificates of listeners.
pub(super) fn certificates_seen<'a>(
    place: &RegionWorld,
    listeners: impl Iterator<Item = &'a Listener>,
) -> Vec<(u64, WorldError)> {
    listeners.filter_map(|listener| Some(certificate_seen(place, listener.certificate.as_ref()?))).collect()
}

/// Adds listeners, all or none, once their ports are free and their certificates are seen. One that is there already in the
/// same form is left as it is
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_CreateLoadBalancerListeners.html>).
pub(super) fn add(turn: &mut Turn<'_>, listeners: &BTreeMap<u16, Listener>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = balancer(turn.place, &id)?;
    let mut added = BTreeMap::new();
    for (port, asked) in listeners {
        let new = fresh(*port, asked)?;
        match body.listeners.get(port) {
            None => {
                added.insert(*port, new);
            }
            Some(there) if is_same(there, asked) => {}
            Some(there) => return Err(duplicate(format!("`{id}` has another listener on port {port}: {there}"))),
        }
    }
    let mut waits = certificates_seen(turn.place, added.values());
    let closing = turn.place.unlisted(&id).map(|unlisted| &unlisted.closing).into_iter().flatten();
    waits.extend(closing.filter(|(port, _)| added.contains_key(port)).map(|(port, until)| {
        let why = format!("`{id}` still has the listener on port {port} that was removed a moment ago");
        (*until, duplicate(why))
    }));
    turn.outlast_all(waits)?;
    change(turn.place, &id, |body| body.listeners.extend(added));
    Ok(Outputs::new())
}

fn duplicate(message: String) -> WorldError {
    WorldError::new(Trouble::AlreadyExists, "DuplicateListener", message)
}

/// Whether a listener is what the call asks for. A certificate that AWS dropped counts: it then finds another listener.
fn is_same(there: &Listener, asked: &Listener) -> bool {
    let Listener { protocol, instance_port, instance_protocol, certificate, ssl_policy: _, stickiness: _ } = asked;
    there.protocol == *protocol
        && there.instance_port == *instance_port
        && there.instance_protocol == *instance_protocol
        && there.certificate == *certificate
}

/// Removes listeners, whose ports are free a little later; those that are not there are no trouble.
pub(super) fn remove(turn: &mut Turn<'_>, ports: &BTreeSet<u16>) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let gone: Vec<u16> =
        balancer(turn.place, &id)?.listeners.keys().filter(|port| ports.contains(port)).copied().collect();
    let clock = *turn.clock;
    let closing = &mut turn.place.unlisted_mut(&id).closing;
    closing.retain(|_, until| clock < *until);
    closing.extend(gone.into_iter().map(|port| (port, clock.saturating_add(CLOSING))));
    change(turn.place, &id, |body| {
        body.listeners.retain(|port, _| !ports.contains(port));
        let used: BTreeSet<u16> = body.listeners.values().map(|listener| listener.instance_port).collect();
        body.proxy_protocol.retain(|port| used.contains(port));
    });
    Ok(Outputs::new())
}

/// The listener on a port.
fn listener<'a>(turn: &'a Turn<'_>, id: &CloudId, port: u16) -> Result<&'a Listener, WorldError> {
    balancer(turn.place, id)?.listeners.get(&port).ok_or_else(|| {
        let why = format!("`{id}` has no listener on port {port}");
        WorldError::new(Trouble::NotFound, "ListenerNotFound", why)
    })
}

fn edit(turn: &mut Turn<'_>, id: &CloudId, port: u16, edit: impl FnOnce(&mut Listener)) {
    change(turn.place, id, |body| {
        if let Some(listener) = body.listeners.get_mut(&port) {
            edit(listener);
        }
    });
}

/// Gives a listener another certificate, once that is seen.
pub(super) fn set_certificate(turn: &mut Turn<'_>, port: u16, certificate: &str) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let there = listener(turn, &id, port)?;
    if !there.protocol.is_secure() {
        return Err(clash(format!("the listener on port {port} speaks {}, without TLS", there.protocol.word())));
    }
    check_certificate(certificate)?;
    let seen = certificate_seen(turn.place, certificate);
    turn.outlast_all([seen])?;
    edit(turn, &id, port, |listener| listener.certificate = Some(certificate.to_owned()));
    Ok(Outputs::new())
}

/// Sets all policies of a listener.
pub(super) fn set_policies(
    turn: &mut Turn<'_>,
    port: u16,
    ssl_policy: Option<&str>,
    stickiness: Option<&Stickiness>,
) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let there = listener(turn, &id, port)?;
    let (protocol, secure) = (there.protocol, there.protocol.is_secure());
    if ssl_policy.is_some() && !secure {
        return Err(clash(format!("the listener on port {port} speaks {}, without TLS", protocol.word())));
    }
    // A cookie is a header: whoever passes bytes on sees none
    // (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-sticky-sessions.html>).
    if stickiness.is_some() && !protocol.is_http() {
        return Err(clash(format!("the listener on port {port} speaks {}, which has no cookies", protocol.word())));
    }
    let policy = secure.then(|| ssl_policy.unwrap_or(DEFAULT_SSL_POLICY).to_owned());
    edit(turn, &id, port, |listener| {
        listener.ssl_policy = policy;
        listener.stickiness = stickiness.cloned();
    });
    Ok(Outputs::new())
}

/// Says whether an instance port is told who the client is. Only a port that a listener passes on to can be.
pub(super) fn set_proxy_protocol(turn: &mut Turn<'_>, port: u16, on: bool) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    let body = balancer(turn.place, &id)?;
    if on && !body.listeners.values().any(|listener| listener.instance_port == port) {
        return Err(clash(format!("no listener of `{id}` passes on to instance port {port}")));
    }
    change(turn.place, &id, |body| {
        if on {
            body.proxy_protocol.insert(port);
        } else {
            body.proxy_protocol.remove(&port);
        }
    });
    Ok(Outputs::new())
}
