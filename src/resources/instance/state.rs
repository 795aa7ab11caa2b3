//! Instances, desired and observed.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::user_data::UserData;
use crate::model::duration::Gibibytes;
use crate::model::id::{ImageId, SubnetId, VpcId, ZoneName};
use crate::model::{CloudId, Reference};
use crate::resources::ImageQuery;
use crate::resources::place::Placement;

/// What the spec wants of one instance, a single one or a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// What it boots.
    pub image: ImageChoice,
    /// `t3.small`.
    pub instance_type: String,
    /// What a change of the type does.
    pub on_type_change: OnChange,
    /// Where it may live.
    pub place: Placement,
    /// Its groups; absent means the VPC's default group.
    pub security_groups: Option<Vec<Reference>>,
    /// The key it is launched with.
    pub key_pair: Option<KeyChoice>,
    /// An instance profile's name or ARN.
    pub iam_profile: Option<String>,
    /// Whether it gets a public address of its own; absent means as the subnet says.
    pub public_ip: Option<bool>,
    /// A fixed private address.
    pub private_ip: Option<Ipv4Addr>,
    /// What it runs at its first boot.
    pub user_data: Option<UserData>,
    /// What a change of the user data does.
    pub on_user_data_change: OnChange,
    /// The volume it boots from, as far as the spec says.
    pub root_volume: RootVolume,
    /// The metadata service.
    pub metadata: Metadata,
    /// Whether the network drops packets that are not its own.
    pub source_dest_check: bool,
    /// Whether metrics come every minute.
    pub detailed_monitoring: bool,
    /// What a shutdown from inside does.
    pub shutdown: Shutdown,
    /// `dedicated` or `host`.
    pub tenancy: Option<String>,
    /// A placement group's name.
    pub placement_group: Option<String>,
    /// Which member it is; 0 for a single one.
    pub index: u32,
}

/// Which image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageChoice {
    /// This one.
    Id(ImageId),
    /// The newest that matches when the instance is made. The query is kept in a tag, and only another query replaces.
    Query(ImageQuery),
}

/// Which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyChoice {
    /// A key pair of the spec.
    Resource(Reference),
    /// A foreign one, by name.
    Existing(String),
}

/// What a change of something that is fixed at boot does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    /// A new instance.
    Replace,
    /// Stop, change, start.
    Restart,
    /// Nothing; new instances get the new value.
    Ignore,
}

/// The boot volume. An absent field takes what the image says and is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RootVolume {
    /// Its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Gibibytes>,
    /// `gp3`, `io2`, …
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub volume_type: Option<String>,
    /// Operations a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iops: Option<u32>,
    /// MiB a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<u32>,
    /// Whether it is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// With which key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Whether it goes with the instance; absent in a spec means it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_on_termination: Option<bool>,
}

/// The instance metadata service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Which version answers.
    pub service: MetadataService,
    /// How many network hops an answer may travel.
    pub hops: u8,
}

/// Which metadata service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MetadataService {
    /// Session tokens are required.
    V2,
    /// Session tokens are optional.
    V1,
    /// It does not answer.
    Off,
}

/// What a shutdown from inside the instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shutdown {
    /// It is stopped and can be started again.
    Stop,
    /// It is gone.
    Terminate,
}

/// The life of an instance. Terminated ones are never listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Starting.
    Pending,
    /// Up.
    Running,
    /// Going down, to come back.
    Stopping,
    /// Down.
    Stopped,
    /// Going for good: no one's member any more, yet it still holds its groups and addresses.
    ShuttingDown,
}

/// What AWS lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Its life.
    pub state: State,
    /// What it booted.
    pub image: ImageId,
    /// `t3.small`.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// Its zone.
    pub zone: ZoneName,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its VPC.
    pub vpc: VpcId,
    /// The groups of its first interface, sorted: AWS keeps no order.
    #[serde(default)]
    pub security_groups: Vec<CloudId>,
    /// The name of the key it was launched with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// The ARN of its instance profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iam_profile: Option<String>,
    /// Its private address.
    pub private_ip: Ipv4Addr,
    /// Its private name.
    #[serde(default)]
    pub private_dns: String,
    /// Its public address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<Ipv4Addr>,
    /// Its public name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_dns: Option<String>,
    /// Whether that address is an Elastic IP's.
    #[serde(default)]
    pub public_ip_is_elastic: bool,
    /// The volume it boots from; absent for an instance-store root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RootDisk>,
    /// Volumes beside the root, with whether each would go with the instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_volumes: Vec<FurtherVolume>,
    /// The metadata service.
    pub metadata: Metadata,
    /// Whether the network drops packets that are not its own.
    pub source_dest_check: bool,
    /// Whether metrics come every minute.
    #[serde(default)]
    pub detailed_monitoring: bool,
    /// `default`, `dedicated` or `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenancy: Option<String>,
    /// Its placement group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement_group: Option<String>,
}

/// A boot volume as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RootDisk {
    /// `vol-…`.
    pub id: CloudId,
    /// What is known of it; a listing that could not see the volume leaves fields out.
    pub volume: RootVolume,
}

/// A volume beside the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FurtherVolume {
    /// `vol-…`.
    pub id: CloudId,
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
}

impl State {
    /// The word of AWS.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
        }
    }
}

impl MetadataService {
    /// The word of the spec.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V1 => "v1",
            Self::Off => "off",
        }
    }
}

impl Shutdown {
    /// The word of AWS.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Terminate => "terminate",
        }
    }
}
