//! The calls that change a load balancer on AWS.

use std::collections::BTreeSet;

use aws_sdk_elasticloadbalancing::types::{
    AccessLog, ConnectionDraining, ConnectionSettings, CrossZoneLoadBalancing, HealthCheck as WireCheck,
    LoadBalancerAttributes,
};

use super::balancer::Balancer;
use super::create::create;
use crate::model::duration::Seconds;
use crate::model::id::SubnetId;
use crate::model::{CloudId, Link};
use crate::port::{Bindings, Outputs, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::error::Remedy;
use crate::provider::aws::retry::deadline;
use crate::resources::load_balancer::action::Action;
use crate::resources::load_balancer::state::{Attributes, HealthCheck};
use crate::resources::registry::Call;

/// Carries out one call.
///
/// # Errors
/// What AWS answers.
pub async fn perform(gate: &Gate, call: &Call, action: &Action, known: &Bindings) -> Result<Outputs, ProviderError> {
    let until = deadline(call.timeout);
    let on = || Ok::<_, ProviderError>(Balancer { gate, id: known.target(call)?, until });
    let ids = |links: &[Link]| links.iter().map(|link| known.id(link)).collect::<Result<Vec<CloudId>, _>>();
    match action {
        Action::Create(new) => return create(gate, new, known, until).await,
        Action::AddListeners(wanted) => on()?.add_listeners(wanted).await?,
        Action::RemoveListeners(ports) => on()?.remove_listeners(ports).await?,
        Action::SetCertificate { port, certificate } => on()?.set_certificate(*port, certificate).await?,
        Action::SetPolicies { port, ssl_policy, stickiness } => {
            on()?.set_policies(*port, ssl_policy.as_deref(), stickiness.as_ref()).await?;
        }
        Action::SetProxyProtocol { port, on: is_on } => on()?.set_proxy_protocol(*port, *is_on).await?,
        Action::SetHealthCheck(to) => on()?.health_check(to).await?,
        Action::SetAttributes(to) => on()?.attributes(to).await?,
        Action::AttachSubnets(subnets) => on()?.attach(subnets).await?,
        Action::DetachSubnets { subnets, keep } => on()?.detach(subnets, *keep).await?,
        Action::SetGroups(links) => on()?.groups(&ids(links)?).await?,
        Action::Register(links) => on()?.register(&ids(links)?).await?,
        Action::AwaitInService(links) => on()?.in_service(&ids(links)?).await?,
        Action::Deregister { instances, keep } => on()?.deregister(instances, *keep).await?,
        Action::AwaitDrained(instances) => on()?.drained(instances).await?,
        Action::Tag(edit) => on()?.tag(edit).await?,
        Action::Delete => on()?.delete().await?,
        Action::AwaitInterfacesGone => on()?.interfaces_gone().await?,
    }
    Ok(Outputs::new())
}

fn number(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

impl Balancer<'_> {
    /// Sets how it finds out who may be sent traffic.
    async fn health_check(&self, to: &HealthCheck) -> Result<(), ProviderError> {
        let HealthCheck { target, interval, timeout, unhealthy_after, healthy_after } = to;
        let ask = self.ask("ConfigureHealthCheck");
        let check = WireCheck::builder().target(target).interval(number(interval.0)).timeout(number(timeout.0));
        let check = check.unhealthy_threshold(number(u64::from(*unhealthy_after)));
        let check = self.built(ask.api, check.healthy_threshold(number(u64::from(*healthy_after))).build())?;
        let send = || {
            let call = self.elb().configure_health_check().load_balancer_name(self.name());
            call.health_check(check.clone()).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }

    /// Sets all that AWS calls attributes. A draining time is only taken while draining is on
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-conn-drain.html>): both are said at once.
    async fn attributes(&self, to: &Attributes) -> Result<(), ProviderError> {
        let Attributes { cross_zone, idle_timeout, connection_draining, access_log } = to;
        let ask = self.ask("ModifyLoadBalancerAttributes");
        let idle = ConnectionSettings::builder().idle_timeout(number(idle_timeout.0)).build();
        let log = AccessLog::builder().enabled(access_log.is_some());
        let log = access_log.iter().fold(log, |log, to| {
            let minutes = number(to.interval.0 / 60);
            log.s3_bucket_name(&to.bucket).s3_bucket_prefix(&to.prefix).emit_interval(minutes)
        });
        let draining = ConnectionDraining::builder().enabled(connection_draining.is_some());
        let seconds = connection_draining.map(|Seconds(seconds)| number(seconds));
        let attributes = LoadBalancerAttributes::builder()
            .cross_zone_load_balancing(CrossZoneLoadBalancing::builder().enabled(*cross_zone).build())
            .connection_settings(self.built(ask.api, idle)?)
            .connection_draining(draining.set_timeout(seconds).build())
            .access_log(log.build())
            .build();
        let send = || {
            let call = self.elb().modify_load_balancer_attributes().load_balancer_name(self.name());
            call.load_balancer_attributes(attributes.clone()).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }

    /// Stands in these subnets too. Where another subnet of the zone is given up, AWS takes this one once that has gone.
    async fn attach(&self, subnets: &BTreeSet<SubnetId>) -> Result<(), ProviderError> {
        let listed = self.listed().await?;
        let is_there = |subnet: &SubnetId| listed.subnets().iter().any(|id| id == subnet.as_str());
        let missing: Vec<String> =
            subnets.iter().filter(|subnet| !is_there(subnet)).map(|subnet| subnet.as_str().to_owned()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let ask = self.ask("AttachLoadBalancerToSubnets").patient(Remedy::Released);
        let send = || {
            let call = self.elb().attach_load_balancer_to_subnets().load_balancer_name(self.name());
            call.set_subnets(Some(missing.clone())).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }

    /// Sets its groups, all at once.
    async fn groups(&self, groups: &[CloudId]) -> Result<(), ProviderError> {
        let ids: Vec<String> = groups.iter().map(|id| id.as_str().to_owned()).collect();
        let ask = self.ask("ApplySecurityGroupsToLoadBalancer").uses(groups.iter().map(CloudId::as_str));
        let send = || {
            let call = self.elb().apply_security_groups_to_load_balancer().load_balancer_name(self.name());
            call.set_security_groups(Some(ids.clone())).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }
}
