//! Making a load balancer.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancing::types::Listener as Wire;
use tokio::time::Instant;

use super::balancer::{Balancer, complete, to_wire};
use super::{one, tags};
use crate::model::{CloudId, Output};
use crate::port::{Bindings, Class, Outputs, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::error::Remedy;
use crate::provider::aws::listing;
use crate::provider::aws::retry::Ask;
use crate::resources::load_balancer::action::Create;
use crate::resources::load_balancer::id;
use crate::resources::load_balancer::state::{Listener, Scheme};

/// `CreateLoadBalancer`. Names are a region's own, so sending it again makes no second one; what is there under the name is
/// ours only when its tags say so. Without groups AWS gives it the VPC's default group
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_CreateLoadBalancer.html>).
///
/// # Errors
/// What AWS answers.
pub(super) async fn create(
    gate: &Gate,
    new: &Create,
    known: &Bindings,
    until: Instant,
) -> Result<Outputs, ProviderError> {
    let id = id(gate.region(), &new.name);
    let groups = new.security_groups.iter().map(|link| known.id(link)).collect::<Result<Vec<CloudId>, _>>()?;
    // A certificate that was uploaded a moment ago is not seen at once.
    let ask = Ask::until("CreateLoadBalancer", until).uses(groups.iter().map(CloudId::as_str)).patient(Remedy::Settled);
    let listeners = complete(gate, ask.api, to_listeners(&new.listeners))?;
    let written = complete(gate, ask.api, to_wire(&new.tags))?;
    let ids: Vec<String> = groups.iter().map(|id| id.as_str().to_owned()).collect();
    let subnets: Vec<String> = new.subnets.iter().map(|subnet| subnet.as_str().to_owned()).collect();
    let send = || {
        let call = gate.elb().create_load_balancer().load_balancer_name(&new.name);
        let call = call.set_scheme((new.scheme == Scheme::Internal).then(|| new.scheme.word().to_owned()));
        let call = call.set_subnets(Some(subnets.clone())).set_security_groups((!ids.is_empty()).then(|| ids.clone()));
        let call = call.set_tags((!written.is_empty()).then(|| written.clone()));
        call.set_listeners(Some(listeners.clone())).send()
    };
    match gate.send(&ask, send).await {
        Ok(_) => gate.made(id.as_str()),
        Err(error) if error.class == Class::AlreadyExists => refuse_strangers(gate, new, error).await?,
        Err(error) => return Err(error),
    }
    let made = Balancer { gate, id, until }.listed().await?;
    let lacks = || listing::incomplete(&gate.doing("DescribeLoadBalancers"), &format!("DNS name of `{}`", new.name));
    let told = [
        (Output::Id, Some(super::id(gate.region(), &new.name).to_string())),
        (Output::Name, Some(new.name.clone())),
        (Output::DnsName, Some(made.dns_name().ok_or_else(lacks)?.to_owned())),
        (Output::ZoneId, made.canonical_hosted_zone_name_id().filter(|id| !id.is_empty()).map(str::to_owned)),
    ];
    Ok(told.into_iter().filter_map(|(output, value)| Some((output, value?))).collect())
}

/// The one of that name is ours, or the refusal stands.
async fn refuse_strangers(gate: &Gate, new: &Create, error: ProviderError) -> Result<(), ProviderError> {
    let there: Vec<_> = one(gate, &new.name).await?.into_iter().collect();
    let owned = tags(gate, &there).await?.remove(&new.name);
    if owned.is_some_and(|tags| listing::same_owner(&tags, &new.tags)) {
        return Ok(());
    }
    Err(error.hint(format!("a balancer called `{}` is there and is not this one: name another, or adopt it", new.name)))
}

/// Listeners to make.
///
/// # Errors
/// The builder's.
pub(super) fn to_listeners(
    listeners: &BTreeMap<u16, Listener>,
) -> Result<Vec<Wire>, aws_sdk_elasticloadbalancing::error::BuildError> {
    let one = |(port, listener): (&u16, &Listener)| {
        let Listener { protocol, instance_port, instance_protocol, certificate, ssl_policy: _, stickiness: _ } =
            listener;
        Wire::builder()
            .load_balancer_port(i32::from(*port))
            .protocol(protocol.word().to_uppercase())
            .instance_port(i32::from(*instance_port))
            .instance_protocol(instance_protocol.word().to_uppercase())
            .set_ssl_certificate_id(certificate.clone())
            .build()
    };
    listeners.iter().map(one).collect()
}
