//! What AWS lists of a load balancer, in normal form.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancing::types::{
    ConnectionSettings, CrossZoneLoadBalancing, HealthCheck as ListedCheck, Listener as Wire, ListenerDescription,
    LoadBalancerAttributes, LoadBalancerDescription as Listed,
};

use super::policies::{self, Cookies};
use crate::model::CloudId;
use crate::model::duration::Seconds;
use crate::model::id::{SubnetId, VpcId};
use crate::port::{Class, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::listing;
use crate::resources::load_balancer::Observed;
use crate::resources::load_balancer::state::{AccessLog, Attributes, HealthCheck, Listener, Protocol, Scheme};

/// For how long requests may go on when AWS does not say
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-conn-drain.html>).
const DRAINING: Seconds = Seconds(300);

/// A balancer as listed; `proxying` are those of its servers' policies that say who the client is. What cannot be read is
/// an error: left out, it would count as absent.
///
/// # Errors
/// What is lacking, or of a shape that is not known.
pub(super) fn observed(
    gate: &Gate,
    listed: &Listed,
    attributes: &LoadBalancerAttributes,
    proxying: &BTreeSet<String>,
) -> Result<Observed, ProviderError> {
    let doing = gate.doing("DescribeLoadBalancers");
    let name = listed.load_balancer_name().unwrap_or_default();
    let lacks = |what: &str| listing::incomplete(&doing, &format!("{what} of `{name}`"));
    let check = listed.health_check().ok_or_else(|| lacks("health check"))?;
    let scheme = match listed.scheme() {
        Some("internal") => Scheme::Internal,
        Some(_) | None => Scheme::InternetFacing,
    };
    Ok(Observed {
        name: name.to_owned(),
        dns_name: listed.dns_name().ok_or_else(|| lacks("DNS name"))?.to_owned(),
        zone_id: listed.canonical_hosted_zone_name_id().filter(|id| !id.is_empty()).map(str::to_owned),
        scheme,
        vpc: VpcId::new(listed.vpc_id().ok_or_else(|| lacks("VPC"))?),
        subnets: listed.subnets().iter().map(|id| SubnetId::new(id.as_str())).collect(),
        security_groups: listed.security_groups().iter().map(|id| CloudId::new(id.as_str())).collect(),
        listeners: listeners(listed, &doing)?,
        health_check: health_check(check, &doing)?,
        instances: listed.instances().iter().filter_map(|one| one.instance_id()).map(CloudId::new).collect(),
        attributes: read_attributes(attributes),
        proxy_protocol: policies::proxied(listed, proxying),
        health: BTreeMap::new(),
    })
}

/// What it listens to, by port.
///
/// # Errors
/// As [`observed`].
pub(super) fn listeners(listed: &Listed, doing: &str) -> Result<BTreeMap<u16, Listener>, ProviderError> {
    let cookies = Cookies::of(listed.policies());
    listed.listener_descriptions().iter().map(|one| listener(one, &cookies, doing)).collect()
}

fn listener(listed: &ListenerDescription, cookies: &Cookies, doing: &str) -> Result<(u16, Listener), ProviderError> {
    let read = || {
        let one = listed.listener()?;
        let protocol = protocol(one.protocol())?;
        let names = listed.policy_names();
        let listener = Listener {
            protocol,
            instance_port: u16::try_from(one.instance_port()).ok()?,
            // AWS takes the front's where none is given.
            instance_protocol: one.instance_protocol().map_or(Some(protocol), self::protocol)?,
            certificate: one.ssl_certificate_id().filter(|arn| !arn.is_empty()).map(str::to_owned),
            ssl_policy: if protocol.is_secure() { cookies.security_policy(names) } else { None },
            stickiness: cookies.stickiness(names),
        };
        Some((u16::try_from(one.load_balancer_port()).ok()?, listener))
    };
    read().ok_or_else(|| {
        let port = listed.listener().map(Wire::load_balancer_port).unwrap_or_default();
        ProviderError::new(
            Class::Invalid,
            doing,
            format!("the listener on port {port} is of a shape that is not known"),
        )
    })
}

fn protocol(word: &str) -> Option<Protocol> {
    let all = [Protocol::Http, Protocol::Https, Protocol::Tcp, Protocol::Ssl];
    all.into_iter().find(|protocol| protocol.word().eq_ignore_ascii_case(word))
}

fn health_check(listed: &ListedCheck, doing: &str) -> Result<HealthCheck, ProviderError> {
    let number = |value: i32| u32::try_from(value).ok();
    let seconds = |value: i32| u64::try_from(value).ok().map(Seconds);
    let read = || {
        Some(HealthCheck {
            target: target(listed.target()),
            interval: seconds(listed.interval())?,
            timeout: seconds(listed.timeout())?,
            unhealthy_after: number(listed.unhealthy_threshold())?,
            healthy_after: number(listed.healthy_threshold())?,
        })
    };
    let unknown = || ProviderError::new(Class::Invalid, doing, "the health check is of a shape that is not known");
    read().ok_or_else(unknown)
}

/// A target with its protocol in capitals; the path stays as it is.
fn target(text: &str) -> String {
    match text.split_once(':') {
        Some((protocol, rest)) => format!("{}:{rest}", protocol.to_uppercase()),
        None => text.to_owned(),
    }
}

fn read_attributes(listed: &LoadBalancerAttributes) -> Attributes {
    let seconds = |value: i32| Seconds(u64::try_from(value).unwrap_or_default());
    let draining = listed.connection_draining().filter(|draining| draining.enabled());
    let log = listed.access_log().filter(|log| log.enabled());
    Attributes {
        cross_zone: listed.cross_zone_load_balancing().is_some_and(CrossZoneLoadBalancing::enabled),
        idle_timeout: seconds(listed.connection_settings().map_or(60, ConnectionSettings::idle_timeout)),
        connection_draining: draining.map(|draining| draining.timeout().map_or(DRAINING, seconds)),
        access_log: log.map(|log| AccessLog {
            bucket: log.s3_bucket_name().unwrap_or_default().to_owned(),
            prefix: log.s3_bucket_prefix().unwrap_or_default().to_owned(),
            interval: Seconds(seconds(log.emit_interval().unwrap_or(60)).0.saturating_mul(60)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancing::types::{AccessLog, ConnectionDraining};

    use super::*;

    #[test]
    fn a_targets_path_keeps_its_letters() {
        assert_eq!(target("http:80/Index.html?a=B"), "HTTP:80/Index.html?a=B");
        assert_eq!(target("Tcp:8000"), "TCP:8000");
    }

    #[test]
    fn what_is_off_has_no_settings() {
        let off = LoadBalancerAttributes::builder()
            .connection_draining(ConnectionDraining::builder().enabled(false).timeout(120).build())
            .access_log(AccessLog::builder().enabled(false).s3_bucket_name("logs").build())
            .build();
        let read = read_attributes(&off);
        assert_eq!((read.connection_draining, read.access_log, read.cross_zone), (None, None, false));
        let on = LoadBalancerAttributes::builder()
            .connection_draining(ConnectionDraining::builder().enabled(true).build())
            .access_log(AccessLog::builder().enabled(true).s3_bucket_name("logs").emit_interval(5).build())
            .build();
        let read = read_attributes(&on);
        assert_eq!(read.connection_draining, Some(Seconds(300)));
        assert_eq!(read.access_log.map(|log| (log.bucket, log.interval)), Some(("logs".to_owned(), Seconds(300))));
    }
}
