//! The calls that change an instance.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::state::{Metadata, RootVolume, Shutdown};
use super::user_data::{FINGERPRINT, UserData};
use crate::model::duration::Gibibytes;
use crate::model::id::{ImageId, SubnetId, ZoneName};
use crate::model::{CloudId, Link, TagEdit, Tags};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `RunInstances` for exactly one, which gives the id, the private address and the zone.
    Run(Box<Run>),
    /// Waits until it is running; gives the public address and the names.
    AwaitRunning,
    /// Waits until it is stopped.
    AwaitStopped,
    /// Waits until it is terminated.
    AwaitTerminated,
    /// `ModifyInstanceAttribute`: the groups of its interface, all at once.
    SetGroups(Vec<Link>),
    /// `ModifyInstanceAttribute`; only while it is stopped.
    SetType(String),
    /// `ModifyInstanceAttribute`; only while it is stopped. Its fingerprint is written to the tag afterwards.
    SetUserData(Option<UserData>),
    /// `ModifyInstanceAttribute`.
    SetSourceDestCheck(bool),
    /// `ModifyInstanceAttribute`.
    SetShutdown(Shutdown),
    /// `ModifyInstanceMetadataOptions`.
    SetMetadata(Metadata),
    /// `MonitorInstances` or `UnmonitorInstances`.
    SetMonitoring(bool),
    /// `Associate-`, `Replace-` or `DisassociateIamInstanceProfile`.
    SetProfile(Option<String>),
    /// `ModifyVolume` of the boot volume.
    SetVolume {
        /// `vol-…`.
        volume: CloudId,
        /// What changes.
        to: VolumeChange,
    },
    /// `ModifyInstanceAttribute`: whether the boot volume goes with the instance.
    SetRootDeletion(bool),
    /// `ModifyInstanceAttribute`: whether AWS itself refuses to terminate it.
    SetTerminationProtection(bool),
    /// `StartInstances`.
    Start,
    /// `StopInstances`.
    Stop,
    /// `CreateTags` and `DeleteTags`.
    Tag(TagEdit),
    /// `TerminateInstances`, one instance a call: one bad id in a batch would stop all.
    Terminate,
}

/// What `RunInstances` is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// What it boots.
    pub image: ImageId,
    /// `t3.small`.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// Where.
    pub subnet: SubnetId,
    /// The zone of that subnet.
    pub zone: ZoneName,
    /// Its groups; empty means the VPC's default group.
    pub security_groups: Vec<Link>,
    /// The key it is launched with.
    pub key: Option<Key>,
    /// An instance profile's name or ARN.
    pub iam_profile: Option<String>,
    /// Whether it gets a public address of its own; absent means as the subnet says.
    pub public_ip: Option<bool>,
    /// A fixed private address.
    pub private_ip: Option<Ipv4Addr>,
    /// What it runs at its first boot.
    pub user_data: Option<UserData>,
    /// The boot volume's device name and settings; absent when the spec says nothing of it.
    pub root: Option<Root>,
    /// The metadata service.
    pub metadata: Metadata,
    /// Whether metrics come every minute.
    pub detailed_monitoring: bool,
    /// What a shutdown from inside does.
    pub shutdown: Shutdown,
    /// `dedicated` or `host`.
    pub tenancy: Option<String>,
    /// A placement group's name.
    pub placement_group: Option<String>,
    /// Whether AWS itself shall refuse to terminate it.
    pub termination_protection: bool,
    /// Written on the instance, its volumes and its interface in the same call.
    pub tags: Tags,
    /// What the client token is made from, beside the parameters: account, region, stack, address, generation.
    pub token_seed: String,
}

/// The key an instance is launched with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// The name that it has, or that the plan gives it.
    pub name: String,
    /// The object that must exist first, where it is one of the stack's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Link>,
}

/// The boot volume in `RunInstances`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Root {
    /// `/dev/xvda`.
    pub device: String,
    /// Its settings.
    pub volume: RootVolume,
}

/// A change of a volume. Absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeChange {
    /// Its size.
    pub size: Option<Gibibytes>,
    /// `gp3`, `io2`, …
    #[serde(rename = "type")]
    pub volume_type: Option<String>,
    /// Operations a second.
    pub iops: Option<u32>,
    /// MiB a second.
    pub throughput: Option<u32>,
}

impl Run {
    /// The client token: 64 hexadecimal digits over the seed and every parameter, with the user data as it will be sent.
    /// The same call has the same token, so a resent call launches nothing; other parameters have another, so that
    /// `IdempotentParameterMismatch` cannot happen
    /// (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>). `attempt` is above 0 only after AWS
    /// answered that the token belongs to an instance that is terminated.
    #[must_use]
    pub fn token(&self, user_data: Option<&[u8]>, security_groups: &[CloudId], attempt: u32) -> String {
        // What is only known by link or text while planning counts by what it became: a plan made again after a crash
        // knows more, and must still come to the same token.
        let settled = Self {
            security_groups: Vec::new(),
            user_data: None,
            key: self.key.clone().map(|key| Key { of: None, ..key }),
            ..self.clone()
        };
        let parameters = serde_json::to_string(&settled).unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(parameters.as_bytes());
        for group in security_groups {
            hash.update(group.as_str().as_bytes());
            hash.update([0]);
        }
        hash.update(user_data.unwrap_or_default());
        hash.update(attempt.to_be_bytes());
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The tags to launch with: its own, and the fingerprint of its user data as it will be sent; without user data there
    /// is none.
    #[must_use]
    pub fn settled_tags(&self, bytes: Option<&[u8]>) -> Tags {
        let mut tags = self.tags.clone();
        fingerprint_edit(self.user_data.as_ref(), bytes).apply(&mut tags);
        tags
    }
}

/// What user data as it will be sent does to the tag that holds its fingerprint.
#[must_use]
pub fn fingerprint_edit(data: Option<&UserData>, bytes: Option<&[u8]>) -> TagEdit {
    let mut edit = TagEdit::default();
    match (data, bytes) {
        (Some(data), Some(bytes)) => {
            edit.set.insert(FINGERPRINT.to_owned(), data.fingerprint(bytes));
        }
        (Some(_) | None, Some(_) | None) => {
            edit.unset.insert(FINGERPRINT.to_owned());
        }
    }
    edit
}
