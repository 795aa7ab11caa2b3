//! The calls that move an instance through its life, and the waits between them.

use std::sync::Arc;

use aws_sdk_ec2::types::{Instance as Listed, InstanceStateName};
use tokio::time::Instant;

use super::change::Change;
use super::run;
use crate::model::{CloudId, Output};
use crate::port::{Bindings, Class, Outputs, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::error::Remedy;
use crate::provider::aws::retry::{Ask, deadline};
use crate::provider::aws::wait::{Verdict, instance_until};
use crate::resources::instance::action::Action;
use crate::resources::registry::Call;

/// Carries out one call.
///
/// # Errors
/// What AWS answers.
pub async fn perform(
    gate: &Arc<Gate>,
    call: &Call,
    action: &Action,
    known: &Bindings,
) -> Result<Outputs, ProviderError> {
    let until = deadline(call.timeout);
    let on = || Ok::<_, ProviderError>(Change { gate, id: known.target(call)?, until });
    match action {
        Action::Run(what) => return run::run(gate, what, known, until).await,
        Action::AwaitRunning => return await_running(gate, &known.target(call)?, until).await,
        Action::AwaitStopped => await_stopped(gate, &known.target(call)?, until).await?,
        Action::AwaitTerminated => await_terminated(gate, &known.target(call)?, until).await?,
        Action::SetGroups(links) => {
            let groups = links.iter().map(|link| known.id(link)).collect::<Result<Vec<CloudId>, _>>()?;
            on()?.groups(&groups).await?;
        }
        Action::SetType(to) => on()?.instance_type(to).await?,
        Action::SetUserData(to) => on()?.user_data(to.as_ref(), known).await?,
        Action::SetSourceDestCheck(to) => on()?.source_dest_check(*to).await?,
        Action::SetShutdown(to) => on()?.shutdown(*to).await?,
        Action::SetRootDeletion(to) => on()?.root_deletion(*to).await?,
        Action::SetTerminationProtection(to) => on()?.termination_protection(*to).await?,
        Action::SetMetadata(to) => on()?.metadata(*to).await?,
        Action::SetMonitoring(to) => on()?.monitoring(*to).await?,
        Action::SetProfile(to) => on()?.profile(to.as_deref()).await?,
        Action::SetVolume { volume, to } => on()?.volume(volume, to).await?,
        Action::Start => start(gate, &known.target(call)?, until).await?,
        Action::Stop => stop(gate, &known.target(call)?, until).await?,
        Action::Tag(edit) => gate.tag(&known.target(call)?, edit, until).await?,
        Action::Terminate => terminate(gate, &known.target(call)?, until).await?,
    }
    Ok(Outputs::new())
}

/// `StartInstances`. Behind a change of type it may be refused for a while; one that runs is no error.
async fn start(gate: &Gate, id: &CloudId, until: Instant) -> Result<(), ProviderError> {
    let ask = Ask::until("StartInstances", until).uses([id.as_str()]).patient(Remedy::Settled);
    gate.send(&ask, || gate.ec2().start_instances().instance_ids(id.as_str()).send()).await.map(drop)
}

/// `StopInstances`; one that is stopped is no error.
async fn stop(gate: &Gate, id: &CloudId, until: Instant) -> Result<(), ProviderError> {
    let ask = Ask::until("StopInstances", until).uses([id.as_str()]);
    gate.send(&ask, || gate.ec2().stop_instances().instance_ids(id.as_str()).send()).await.map(drop)
}

/// `TerminateInstances`; one that is gone is no error.
async fn terminate(gate: &Gate, id: &CloudId, until: Instant) -> Result<(), ProviderError> {
    let ask = Ask::until("TerminateInstances", until).uses([id.as_str()]);
    match gate.send(&ask, || gate.ec2().terminate_instances().instance_ids(id.as_str()).send()).await {
        Err(error) if error.class != Class::NotFound => Err(error),
        Ok(_) | Err(_) => {
            gate.removed(id.as_str());
            Ok(())
        }
    }
}

fn name(instance: &Listed) -> Option<&InstanceStateName> {
    instance.state().and_then(|state| state.name())
}

/// The state in words, for whoever waits.
fn waiting<T>(instance: Option<&Listed>) -> Verdict<T> {
    let state = instance.and_then(name).map_or("not listed", InstanceStateName::as_str);
    Verdict::Waiting(format!("`{state}`"))
}

/// An instance that went down instead: what AWS says of the reason.
fn fallen<T>(instance: &Listed, doing: &str) -> Verdict<T> {
    let reason = instance.state_reason();
    let code = reason.and_then(|reason| reason.code()).unwrap_or_default();
    let words = reason.and_then(|reason| reason.message()).unwrap_or("AWS gives no reason");
    let state = name(instance).map_or("unknown", InstanceStateName::as_str);
    let class = if code.contains("Capacity") || code.contains("Limit") { Class::Quota } else { Class::WrongState };
    let id = instance.instance_id().unwrap_or_default();
    let error = ProviderError::new(class, doing, format!("`{id}` is {state}: {words}"));
    Verdict::Never(if code.is_empty() { error } else { error.code(code) })
}

/// Waits until an instance runs, and tells what it has then.
async fn await_running(gate: &Arc<Gate>, id: &CloudId, until: Instant) -> Result<Outputs, ProviderError> {
    let doing = format!("waiting for `{id}` to run in {}", gate.region());
    instance_until(gate, id, until, &doing, |seen| match (seen, seen.and_then(name)) {
        (Some(instance), Some(InstanceStateName::Running)) => Verdict::Done(outputs(instance)),
        (Some(instance), Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated)) => {
            fallen(instance, &doing)
        }
        (seen, _) => waiting(seen),
    })
    .await
}

fn outputs(instance: &Listed) -> Outputs {
    let told = [
        (Output::Id, instance.instance_id()),
        (Output::PrivateIp, instance.private_ip_address()),
        (Output::PublicIp, instance.public_ip_address()),
        (Output::PrivateDns, instance.private_dns_name()),
        (Output::PublicDns, instance.public_dns_name()),
        (Output::Zone, instance.placement().and_then(|place| place.availability_zone())),
    ];
    let filled = |(output, value): (Output, Option<&str>)| Some((output, value.filter(|v| !v.is_empty())?.to_owned()));
    told.into_iter().filter_map(filled).collect()
}

/// Waits until an instance is stopped.
async fn await_stopped(gate: &Arc<Gate>, id: &CloudId, until: Instant) -> Result<(), ProviderError> {
    let doing = format!("waiting for `{id}` to stop in {}", gate.region());
    instance_until(gate, id, until, &doing, |seen| match (seen, seen.and_then(name)) {
        (_, Some(InstanceStateName::Stopped)) => Verdict::Done(()),
        (Some(instance), Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated)) => {
            fallen(instance, &doing)
        }
        (seen, _) => waiting(seen),
    })
    .await
}

/// Waits until an instance is terminated, or no longer listed.
async fn await_terminated(gate: &Arc<Gate>, id: &CloudId, until: Instant) -> Result<(), ProviderError> {
    let doing = format!("waiting for `{id}` to terminate in {}", gate.region());
    instance_until(gate, id, until, &doing, |seen| match (seen, seen.and_then(name)) {
        (None, _) | (Some(_), Some(InstanceStateName::Terminated)) => Verdict::Done(()),
        (Some(_), _) => waiting(seen),
    })
    .await
}
