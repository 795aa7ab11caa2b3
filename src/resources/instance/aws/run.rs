//! Launching an instance: one token, one instance.

use aws_sdk_ec2::operation::run_instances::RunInstancesOutput;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification, Instance as Listed,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceNetworkInterfaceSpecification,
    InstanceStateName, InstanceType, Placement, ResourceType, RunInstancesMonitoringEnabled, ShutdownBehavior, Tenancy,
    VolumeType,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use super::list;
use crate::model::text::fits_a_hole;
use crate::model::{CloudId, Output, StackName, tags};
use crate::port::{Bindings, Class, Outputs, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::error::Remedy;
use crate::provider::aws::listing::{self, Select};
use crate::provider::aws::retry::Ask;
use crate::resources::instance::action::{Root, Run};
use crate::resources::instance::state::{Metadata, MetadataService, State};
use crate::resources::instance::user_data::{LIMIT, UserData};
use crate::resources::registry::{Body, Object};

/// How many tokens are tried when those before belong to instances that are terminated: AWS knows a token for a day or more
/// after its instance is gone, and a stack may come and go many times on one day.
const ATTEMPTS: u32 = 64;

/// `RunInstances` for one. The token makes it safe to send again
/// (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>); a token whose instance is terminated,
/// as the answer's code or the answer itself says, is given up for the next.
///
/// # Errors
/// What AWS answers.
pub(super) async fn run(gate: &Gate, run: &Run, known: &Bindings, until: Instant) -> Result<Outputs, ProviderError> {
    let groups = run.security_groups.iter().map(|link| known.id(link)).collect::<Result<Vec<CloudId>, _>>()?;
    let bytes = run.user_data.as_ref().map(|user_data| fill(gate, "RunInstances", user_data, known)).transpose()?;
    let uses = groups.iter().map(CloudId::as_str);
    let ask = Ask::until("RunInstances", until).uses(uses).patient(Remedy::Settled);
    let mut last = listing::incomplete(&gate.doing(ask.api), "instance");
    for attempt in 0..ATTEMPTS {
        let token = run.token(bytes.as_deref(), &groups, attempt);
        let send = || request(gate, run, &groups, bytes.as_deref()).client_token(&token).send();
        match gate.send(&ask, send).await {
            Ok(made) => match launched(&made) {
                Some(instance) if is_over(instance) => {
                    let id = instance.instance_id().unwrap_or_default();
                    last = ProviderError::new(Class::WrongState, gate.doing(ask.api), format!("`{id}` is terminated"));
                }
                Some(instance) => {
                    instance.instance_id().inspect(|id| gate.made(id));
                    return outputs(instance).ok_or(last);
                }
                None => return Err(last),
            },
            Err(error) if error.code.as_deref() == Some("IdempotentInstanceTerminated") => last = error,
            Err(error) if error.code.as_deref() == Some("IdempotentParameterMismatch") => {
                return mismatch(gate, run, error).await;
            }
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn launched(made: &RunInstancesOutput) -> Option<&Listed> {
    made.instances().first()
}

fn is_over(instance: &Listed) -> bool {
    let name = instance.state().and_then(|state| state.name());
    matches!(name, Some(InstanceStateName::Terminated | InstanceStateName::ShuttingDown))
}

/// What a launch tells. The public address comes later, and may not come at all.
fn outputs(instance: &Listed) -> Option<Outputs> {
    let zone = instance.placement().and_then(|place| place.availability_zone());
    let mut outputs = Outputs::from([(Output::Id, instance.instance_id()?.to_owned())]);
    let told = [
        (Output::PrivateIp, instance.private_ip_address()),
        (Output::PrivateDns, instance.private_dns_name()),
        (Output::Zone, zone),
    ];
    for (output, value) in told {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            outputs.insert(output, value.to_owned());
        }
    }
    Some(outputs)
}

/// Another version of this program sent other parameters under the same token: what it launched is ours when its tags
/// say so.
async fn mismatch(gate: &Gate, run: &Run, error: ProviderError) -> Result<Outputs, ProviderError> {
    let stack = run.tags.get(tags::STACK).and_then(|text| StackName::new(text).ok());
    let owned = match &stack {
        Some(stack) => list(gate, Select::Owned(stack)).await?,
        None => Vec::new(),
    };
    let ours = |object: &&Object| listing::same_owner(&object.tags, &run.tags);
    let told = owned.iter().filter(ours).find_map(|object| match &object.body {
        Body::Instance(instance) if instance.state != State::ShuttingDown => Some(Outputs::from([
            (Output::Id, object.id.as_str().to_owned()),
            (Output::PrivateIp, instance.private_ip.to_string()),
            (Output::PrivateDns, instance.private_dns.clone()),
            (Output::Zone, instance.zone.to_string()),
        ])),
        _ => None,
    });
    told.ok_or_else(|| error.hint("the launch was sent before with other parameters: plan again in a few minutes"))
}

/// The bytes of user data as they are sent, every hole filled by a value that cannot end a line or a string.
///
/// # Errors
/// When a hole cannot be filled, or the result is longer than EC2 takes.
pub(super) fn fill(gate: &Gate, api: &str, user_data: &UserData, known: &Bindings) -> Result<Vec<u8>, ProviderError> {
    let invalid = |detail: String| ProviderError::new(Class::Invalid, gate.doing(api), detail);
    let mut unfit = None;
    let filled = user_data.fill(|address, output| {
        let value = known.output(address, output).filter(|value| fits_a_hole(value));
        if value.is_none() {
            unfit = Some(format!("`{address}.{output}` of the user data has no value that may fill it"));
        }
        value.map(str::to_owned)
    });
    if let Some(detail) = unfit {
        return Err(invalid(detail));
    }
    let bytes = filled.bytes().ok_or_else(|| invalid("the user data is not complete".to_owned()))?;
    if bytes.len() > LIMIT {
        return Err(invalid(format!("the user data has {} bytes, and EC2 takes {LIMIT}", bytes.len())));
    }
    Ok(bytes)
}

/// The request, without its token.
fn request(gate: &Gate, run: &Run, groups: &[CloudId], bytes: Option<&[u8]>) -> RunInstancesFluentBuilder {
    let profile = run.iam_profile.as_deref().map(profile);
    let call = gate.ec2().run_instances().min_count(1).max_count(1);
    let call = call
        .image_id(run.image.as_str())
        .instance_type(InstanceType::from(run.instance_type.as_str()))
        .set_key_name(run.key.as_ref().map(|key| key.name.clone()))
        .set_iam_instance_profile(profile)
        .set_user_data(bytes.map(|bytes| STANDARD.encode(bytes)))
        .set_block_device_mappings(run.root.as_ref().map(|root| vec![boot_volume(root)]))
        .metadata_options(metadata(run.metadata))
        .set_monitoring(run.detailed_monitoring.then(|| RunInstancesMonitoringEnabled::builder().enabled(true).build()))
        .instance_initiated_shutdown_behavior(ShutdownBehavior::from(run.shutdown.word()))
        .set_placement(placement(run))
        .set_disable_api_termination(run.termination_protection.then_some(true));
    let specifications = [
        listing::specification(ResourceType::Instance, &run.settled_tags(bytes)),
        listing::specification(ResourceType::Volume, &run.tags),
        listing::specification(ResourceType::NetworkInterface, &run.tags),
    ];
    place(call, run, groups).set_tag_specifications(Some(specifications.into_iter().flatten().collect()))
}

/// Where it lives and who its groups are. Whether it gets a public address can only be said of an interface, and then
/// subnet, groups and address must be said there too
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>).
fn place(call: RunInstancesFluentBuilder, run: &Run, groups: &[CloudId]) -> RunInstancesFluentBuilder {
    let ids: Vec<String> = groups.iter().map(|id| id.as_str().to_owned()).collect();
    let ids = (!ids.is_empty()).then_some(ids);
    let private = run.private_ip.map(|ip| ip.to_string());
    let Some(public) = run.public_ip else {
        return call.subnet_id(run.subnet.as_str()).set_security_group_ids(ids).set_private_ip_address(private);
    };
    let interface = InstanceNetworkInterfaceSpecification::builder().device_index(0).delete_on_termination(true);
    let interface = interface.subnet_id(run.subnet.as_str()).set_groups(ids).set_private_ip_address(private);
    call.network_interfaces(interface.associate_public_ip_address(public).build())
}

/// An instance profile by name or ARN.
#[must_use]
pub(super) fn profile(text: &str) -> IamInstanceProfileSpecification {
    let built = IamInstanceProfileSpecification::builder();
    if text.starts_with("arn:") { built.arn(text).build() } else { built.name(text).build() }
}

fn boot_volume(root: &Root) -> BlockDeviceMapping {
    let (volume, number) = (&root.volume, |value: u32| i32::try_from(value).unwrap_or(i32::MAX));
    let ebs = EbsBlockDevice::builder()
        .set_volume_size(volume.size.map(|size| number(size.0)))
        .set_volume_type(volume.volume_type.as_deref().map(VolumeType::from))
        .set_iops(volume.iops.map(number))
        .set_throughput(volume.throughput.map(number))
        .set_encrypted(volume.encrypted)
        .set_kms_key_id(volume.kms_key.clone())
        .delete_on_termination(volume.delete_on_termination.unwrap_or(true));
    BlockDeviceMapping::builder().device_name(&root.device).ebs(ebs.build()).build()
}

/// The settings of the metadata service: tokens are only said where it answers.
#[must_use]
pub(super) fn tokens(metadata: Metadata) -> (InstanceMetadataEndpointState, Option<HttpTokensState>) {
    match metadata.service {
        MetadataService::V2 => (InstanceMetadataEndpointState::Enabled, Some(HttpTokensState::Required)),
        MetadataService::V1 => (InstanceMetadataEndpointState::Enabled, Some(HttpTokensState::Optional)),
        MetadataService::Off => (InstanceMetadataEndpointState::Disabled, None),
    }
}

fn metadata(metadata: Metadata) -> InstanceMetadataOptionsRequest {
    let (endpoint, tokens) = tokens(metadata);
    let hops = tokens.is_some().then_some(i32::from(metadata.hops));
    let built = InstanceMetadataOptionsRequest::builder().http_endpoint(endpoint);
    built.set_http_tokens(tokens).set_http_put_response_hop_limit(hops).build()
}

fn placement(run: &Run) -> Option<Placement> {
    if run.tenancy.is_none() && run.placement_group.is_none() {
        return None;
    }
    let built = Placement::builder().set_tenancy(run.tenancy.as_deref().map(Tenancy::from));
    Some(built.set_group_name(run.placement_group.clone()).build())
}
