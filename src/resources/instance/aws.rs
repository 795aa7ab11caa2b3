//! Instances on AWS: listing them with their boot volumes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use aws_sdk_ec2::types::{
    Filter, HttpTokensState, Instance as Listed, InstanceMetadataEndpointState, InstanceMetadataOptionsResponse,
    InstanceStateName, InstanceType, MonitoringState, Volume,
};

use super::state::{FurtherVolume, Metadata, MetadataService, Observed, RootDisk, RootVolume, State};
use crate::model::CloudId;
use crate::model::duration::Gibibytes;
use crate::model::id::{ImageId, SubnetId, VpcId, ZoneName};
use crate::port::ProviderError;
use crate::provider::aws::client::Gate;
use crate::provider::aws::listing::{self, Keys, PAGE, Select};
use crate::provider::aws::retry::Ask;
use crate::provider::aws::wait::instances;
use crate::resources::registry::{Body, Object};

mod change;
mod perform;
mod run;

pub use perform::perform;

const KEYS: Keys = Keys { prefix: "i-", id: "instance-id", name: "tag:Name" };

/// Every state but `terminated`: AWS lists the dead for an hour, tags and all
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html>).
const LIVING: [State; 5] = [State::Pending, State::Running, State::Stopping, State::Stopped, State::ShuttingDown];

/// Lists what is selected; what volumes say of themselves is read by [`with_volumes`].
///
/// # Errors
/// What AWS answers.
pub async fn list(gate: &Gate, select: Select<'_>) -> Result<Vec<Object>, ProviderError> {
    let listings = select.filters(KEYS).into_iter().map(|mut filters| async move {
        filters.push(listing::filter("instance-state-name", LIVING.map(State::word)));
        instances(gate, &filters).await
    });
    let mut meant = BTreeMap::new();
    for instances in listing::together(listings.collect()).await {
        for listed in instances? {
            let Some(object) = object(gate, &listed)? else { continue };
            if select.takes(&object, object.tags.get("Name").map(String::as_str)) {
                meant.insert(object.id.clone(), object);
            }
        }
    }
    Ok(meant.into_values().collect())
}

/// The instances with what the volumes that they boot from say of themselves.
///
/// # Errors
/// What AWS answers.
pub async fn with_volumes(gate: &Gate, mut objects: Vec<Object>) -> Result<Vec<Object>, ProviderError> {
    let ids: Vec<CloudId> = objects.iter().filter_map(root).map(|root| root.id.clone()).collect();
    let chunks = listing::chunks("volume-id", ids.iter().map(CloudId::as_str));
    let mut volumes = BTreeMap::new();
    for read in listing::together(chunks.into_iter().map(|filters| read_volumes(gate, filters)).collect()).await {
        volumes.append(&mut read?);
    }
    for object in &mut objects {
        settle_root(object, &volumes);
    }
    Ok(objects)
}

/// Which of these objects are instances that are terminated. Listings of their interfaces may lag.
///
/// # Errors
/// What AWS answers.
pub async fn ended(gate: &Gate, objects: &BTreeSet<CloudId>) -> Result<BTreeSet<CloudId>, ProviderError> {
    let ids = objects.iter().map(CloudId::as_str).filter(|id| id.starts_with(KEYS.prefix));
    let mut ended = BTreeSet::new();
    for mut filters in listing::chunks(KEYS.id, ids) {
        filters.push(listing::filter("instance-state-name", ["terminated"]));
        ended.extend(instances(gate, &filters).await?.into_iter().filter_map(|one| one.instance_id).map(CloudId::new));
    }
    Ok(ended)
}

async fn read_volumes(gate: &Gate, filters: Vec<Filter>) -> Result<BTreeMap<CloudId, Volume>, ProviderError> {
    let (doing, filters) = (gate.doing("DescribeVolumes"), &filters);
    let listed = listing::pages(&doing, |token| async move {
        let send = || {
            let call = gate.ec2().describe_volumes().set_filters(Some(filters.clone()));
            call.max_results(PAGE).set_next_token(token.clone()).send()
        };
        let page = gate.send(&Ask::read("DescribeVolumes"), send).await?;
        Ok((page.volumes, page.next_token))
    });
    let volumes = listed.await?;
    Ok(volumes.into_iter().filter_map(|volume| Some((CloudId::new(volume.volume_id()?), volume))).collect())
}

fn root(object: &Object) -> Option<&RootDisk> {
    match &object.body {
        Body::Instance(instance) => instance.root.as_ref(),
        _ => None,
    }
}

/// Fills in what the volume says of itself.
fn settle_root(object: &mut Object, volumes: &BTreeMap<CloudId, Volume>) {
    let root = match &mut object.body {
        Body::Instance(instance) => instance.root.as_mut(),
        _ => None,
    };
    let Some(root) = root else { return };
    let Some(listed) = volumes.get(&root.id) else { return };
    let number = |value: Option<i32>| value.and_then(|number| u32::try_from(number).ok());
    root.volume = RootVolume {
        size: number(listed.size()).map(Gibibytes),
        volume_type: listed.volume_type().map(|kind| kind.as_str().to_owned()),
        iops: number(listed.iops()),
        throughput: number(listed.throughput()),
        encrypted: listed.encrypted(),
        kms_key: listed.kms_key_id().map(str::to_owned),
        delete_on_termination: root.volume.delete_on_termination,
    };
}

/// An instance as listed, its boot volume still unknown; none for one that is terminated. One that is going may have
/// lost its place in the network already and still counts: it holds its groups. Any other that lacks something is an
/// error: left out, it would count as absent.
fn object(gate: &Gate, listed: &Listed) -> Result<Option<Object>, ProviderError> {
    let Some(state) = state(listed) else { return Ok(None) };
    let lacks = |what: &str| {
        let id = listed.instance_id().unwrap_or("an instance");
        listing::incomplete(&gate.doing("DescribeInstances"), &format!("{what} of `{id}`"))
    };
    let needed = |text: Option<&str>, what: &str| match text {
        Some(text) => Ok(text.to_owned()),
        None if state == State::ShuttingDown => Ok(String::new()),
        None => Err(lacks(what)),
    };
    let filled = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let private_ip = match listed.private_ip_address().and_then(|ip| ip.parse().ok()) {
        Some(ip) => ip,
        None if state == State::ShuttingDown => Ipv4Addr::UNSPECIFIED,
        None => return Err(lacks("private address")),
    };
    let placement = listed.placement();
    let (root, further_volumes) = disks(listed);
    let body = Observed {
        state,
        image: ImageId::new(needed(listed.image_id(), "image")?),
        instance_type: needed(listed.instance_type().map(InstanceType::as_str), "type")?,
        zone: ZoneName::new(needed(placement.and_then(|place| place.availability_zone()), "zone")?),
        subnet: SubnetId::new(needed(listed.subnet_id(), "subnet")?),
        vpc: VpcId::new(needed(listed.vpc_id(), "VPC")?),
        security_groups: groups(listed),
        key_name: filled(listed.key_name()),
        iam_profile: listed.iam_instance_profile().and_then(|profile| filled(profile.arn())),
        private_ip,
        private_dns: listed.private_dns_name().unwrap_or_default().to_owned(),
        public_ip: listed.public_ip_address().and_then(|ip| ip.parse().ok()),
        public_dns: filled(listed.public_dns_name()),
        public_ip_is_elastic: is_elastic(listed),
        root,
        further_volumes,
        metadata: metadata(listed.metadata_options()),
        source_dest_check: listed.source_dest_check().unwrap_or(true),
        detailed_monitoring: is_monitored(listed),
        tenancy: placement.and_then(|place| place.tenancy()).map(|tenancy| tenancy.as_str().to_owned()),
        placement_group: placement.and_then(|place| filled(place.group_name())),
    };
    let tags = listing::from_wire(listed.tags.as_deref());
    let id = CloudId::new(listed.instance_id().ok_or_else(|| lacks("id"))?);
    Ok(Some(Object { id, region: gate.region().clone(), tags, body: Body::Instance(body) }))
}

/// Whether the public address is an Elastic IP: addresses of AWS's own pool belong to `amazon`
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterfaceAssociation.html>).
fn is_elastic(listed: &Listed) -> bool {
    let association = listed.network_interfaces().first().and_then(|interface| interface.association());
    association.and_then(|tie| tie.ip_owner_id()).is_some_and(|owner| owner != "amazon")
}

fn is_monitored(listed: &Listed) -> bool {
    let state = listed.monitoring().and_then(|monitoring| monitoring.state());
    matches!(state, Some(MonitoringState::Enabled | MonitoringState::Pending))
}

/// The life of an instance; none for one that is over, or of a state that AWS adds one day.
fn state(listed: &Listed) -> Option<State> {
    match listed.state()?.name()? {
        InstanceStateName::Pending => Some(State::Pending),
        InstanceStateName::Running => Some(State::Running),
        InstanceStateName::Stopping => Some(State::Stopping),
        InstanceStateName::Stopped => Some(State::Stopped),
        InstanceStateName::ShuttingDown => Some(State::ShuttingDown),
        _ => None,
    }
}

/// The groups of the first interface; AWS lists the same for the instance.
fn groups(listed: &Listed) -> Vec<CloudId> {
    let of = |groups: &[aws_sdk_ec2::types::GroupIdentifier]| -> Vec<CloudId> {
        let mut ids: Vec<CloudId> = groups.iter().filter_map(|group| group.group_id()).map(CloudId::new).collect();
        ids.sort();
        ids.dedup();
        ids
    };
    let own = of(listed.security_groups());
    if own.is_empty() {
        listed.network_interfaces().first().map(|one| of(one.groups())).unwrap_or_default()
    } else {
        own
    }
}

/// The boot volume and the others.
fn disks(listed: &Listed) -> (Option<RootDisk>, Vec<FurtherVolume>) {
    let (mut root, mut further) = (None, Vec::new());
    for mapping in listed.block_device_mappings() {
        let Some((id, ebs)) = mapping.ebs().and_then(|ebs| Some((CloudId::new(ebs.volume_id()?), ebs))) else {
            continue;
        };
        let goes = ebs.delete_on_termination();
        if mapping.device_name().is_some() && mapping.device_name() == listed.root_device_name() {
            root = Some(RootDisk { id, volume: RootVolume { delete_on_termination: goes, ..RootVolume::default() } });
        } else {
            further.push(FurtherVolume { id, delete_on_termination: goes.unwrap_or(false) });
        }
    }
    further.sort_by(|a, b| a.id.cmp(&b.id));
    (root, further)
}

/// The metadata service, with AWS's own defaults where it does not say
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-options.html>).
fn metadata(listed: Option<&InstanceMetadataOptionsResponse>) -> Metadata {
    let off = listed.and_then(|options| options.http_endpoint()) == Some(&InstanceMetadataEndpointState::Disabled);
    let tokens = listed.and_then(|options| options.http_tokens()) == Some(&HttpTokensState::Required);
    let service = match (off, tokens) {
        (true, _) => MetadataService::Off,
        (false, true) => MetadataService::V2,
        (false, false) => MetadataService::V1,
    };
    let hops = listed.and_then(InstanceMetadataOptionsResponse::http_put_response_hop_limit);
    Metadata { service, hops: hops.and_then(|hops| u8::try_from(hops).ok()).unwrap_or(1) }
}

/// An instance of this name, as its `Name` tag says.
///
/// # Errors
/// What AWS answers.
pub async fn named(gate: &Gate, _vpc: Option<&VpcId>, wanted: &str) -> Result<Option<CloudId>, ProviderError> {
    let called = [wanted.to_owned()].into();
    Ok(list(gate, Select::Called(&called)).await?.into_iter().next().map(|object| object.id))
}
