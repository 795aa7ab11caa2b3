//! The health check, and what AWS calls attributes.

use super::super::state::{AccessLog, Attributes, HealthCheck};
use super::{balancer, change, health, invalid};
use crate::model::CloudId;
use crate::resources::world::{Outputs, Turn, WorldError};

/// Sets the health check. Who is in service stays so: only from now on checks are counted the new way.
pub(super) fn set_health_check(turn: &mut Turn<'_>, check: &HealthCheck) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    balancer(turn.place, &id)?;
    check_health_check(check)?;
    let clock = *turn.clock;
    let serving = |turn: &Turn<'_>| -> Vec<CloudId> {
        let outlook = health::outlook(turn.place, &id).into_iter();
        outlook.filter(|(_, from)| *from <= clock).map(|(member, _)| member).collect()
    };
    let before = serving(turn);
    change(turn.place, &id, |body| body.health_check = check.clone());
    let after = serving(turn);
    for member in before.into_iter().filter(|member| !after.contains(member)) {
        turn.place.unlisted_mut(&id).passed.insert(member, clock);
    }
    Ok(Outputs::new())
}

/// Refuses what AWS refuses
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_HealthCheck.html>).
fn check_health_check(check: &HealthCheck) -> Result<(), WorldError> {
    let HealthCheck { target, interval, timeout, unhealthy_after, healthy_after } = check;
    if !is_target(target) {
        return Err(invalid(format!("`{target}` is no target of a health check: `TCP:80`, `HTTP:80/path`")));
    }
    if !(5..=300).contains(&interval.0) || !(2..=60).contains(&timeout.0) {
        return Err(invalid("a health check has an interval of 5s to 5m and a timeout of 2s to 1m"));
    }
    if timeout >= interval {
        return Err(invalid("the timeout of a health check is shorter than its interval"));
    }
    if !(2..=10).contains(unhealthy_after) || !(2..=10).contains(healthy_after) {
        return Err(invalid("the thresholds of a health check are 2 to 10"));
    }
    Ok(())
}

fn is_target(target: &str) -> bool {
    let Some((protocol, rest)) = target.split_once(':') else { return false };
    let (port, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let fits = match protocol {
        "TCP" | "SSL" => path.is_empty(),
        "HTTP" | "HTTPS" => !path.is_empty(),
        _ => false,
    };
    fits && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Sets the attributes.
pub(super) fn set_attributes(turn: &mut Turn<'_>, attributes: &Attributes) -> Result<Outputs, WorldError> {
    let id = turn.target()?;
    balancer(turn.place, &id)?;
    let Attributes { cross_zone: _, idle_timeout, connection_draining, access_log } = attributes;
    if !(1..=4000).contains(&idle_timeout.0) {
        return Err(invalid("the idle timeout is 1s to 4000s"));
    }
    if connection_draining.is_some_and(|draining| !(1..=3600).contains(&draining.0)) {
        return Err(invalid("connections drain for 1s to 1h"));
    }
    if let Some(AccessLog { bucket, prefix: _, interval }) = access_log
        && (bucket.is_empty() || ![300, 3600].contains(&interval.0))
    {
        return Err(invalid("an access log has a bucket, and is written every 5m or 1h"));
    }
    change(turn.place, &id, |body| body.attributes = attributes.clone());
    Ok(Outputs::new())
}
