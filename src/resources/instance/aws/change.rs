//! The calls that change one attribute of an instance. `ModifyInstanceAttribute` takes one attribute a call
//! (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html>).

use std::collections::BTreeSet;

use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{
    AttributeBooleanValue, AttributeValue, EbsInstanceBlockDeviceSpecification, IamInstanceProfileAssociation,
    Instance, InstanceAttributeName, InstanceBlockDeviceMappingSpecification, InstanceNetworkInterfaceAttachment,
    SecureBlobAttributeValue, VolumeType,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use super::run;
use crate::model::{CloudId, TagEdit, Tags};
use crate::port::{Bindings, Class, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::error::Remedy;
use crate::provider::aws::listing;
use crate::provider::aws::retry::Ask;
use crate::provider::aws::wait::instances;
use crate::resources::instance::action::VolumeChange;
use crate::resources::instance::state::{Metadata, Shutdown};
use crate::resources::instance::user_data::{FINGERPRINT, UserData};

/// An instance that is changed, until a deadline.
pub(super) struct Change<'a> {
    /// The way to EC2.
    pub gate: &'a Gate,
    /// Which instance.
    pub id: CloudId,
    /// When to stop trying.
    pub until: Instant,
}

impl Change<'_> {
    fn ask(&self, api: &'static str) -> Ask<'_> {
        Ask::until(api, self.until).uses([self.id.as_str()])
    }

    /// Sets the groups of the instance; where it has several interfaces, of the first.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn groups(&self, groups: &[CloudId]) -> Result<(), ProviderError> {
        let ids: Vec<String> = groups.iter().map(|id| id.as_str().to_owned()).collect();
        let ask = self.ask("ModifyInstanceAttribute").uses(groups.iter().map(CloudId::as_str));
        let send = || {
            let call = self.gate.ec2().modify_instance_attribute().instance_id(self.id.as_str());
            call.set_groups(Some(ids.clone())).send()
        };
        match self.gate.send(&ask, send).await {
            Err(error) if is_about_interfaces(&error) => {
                let interface = self.first_interface().await?;
                let ask = self.ask("ModifyNetworkInterfaceAttribute");
                let send = || {
                    let call = self.gate.ec2().modify_network_interface_attribute().network_interface_id(&interface);
                    call.set_groups(Some(ids.clone())).send()
                };
                self.gate.send(&ask, send).await.map(drop)
            }
            answer => answer.map(drop),
        }
    }

    /// Sets the type.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn instance_type(&self, to: &str) -> Result<(), ProviderError> {
        let send = || {
            let call = self.gate.ec2().modify_instance_attribute().instance_id(self.id.as_str());
            call.instance_type(AttributeValue::builder().value(to).build()).send()
        };
        self.gate.send(&self.ask("ModifyInstanceAttribute"), send).await.map(drop)
    }

    /// Sets the user data, then the tag that holds its fingerprint. A crash between the two leaves a tag that does not
    /// match, and the next plan sets both again.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn user_data(&self, to: Option<&UserData>, known: &Bindings) -> Result<(), ProviderError> {
        let ask = self.ask("ModifyInstanceAttribute");
        let filled = match to {
            Some(wanted) => Some((wanted, run::fill(self.gate, ask.api, wanted, known)?)),
            None => None,
        };
        let send = || {
            let call = self.gate.ec2().modify_instance_attribute().instance_id(self.id.as_str());
            match &filled {
                // The attribute by name takes base64 as it stands, with no second encoding by the SDK.
                Some((_, bytes)) => call.attribute(InstanceAttributeName::UserData).value(STANDARD.encode(bytes)),
                None => call.user_data(SecureBlobAttributeValue::builder().value(Blob::new(Vec::new())).build()),
            }
            .send()
        };
        self.gate.send(&ask, send).await?;
        let edit = match &filled {
            Some((wanted, bytes)) => {
                let set = Tags::from([(FINGERPRINT.to_owned(), wanted.fingerprint(bytes))]);
                TagEdit { set, unset: BTreeSet::new() }
            }
            None => TagEdit { set: Tags::new(), unset: [FINGERPRINT.to_owned()].into() },
        };
        self.gate.tag(&self.id, &edit, self.until).await
    }

    /// Sets whether the network drops packets that are not its own; where it has several interfaces, of the first.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn source_dest_check(&self, to: bool) -> Result<(), ProviderError> {
        let value = AttributeBooleanValue::builder().value(to).build();
        let send = || {
            let call = self.gate.ec2().modify_instance_attribute().instance_id(self.id.as_str());
            call.source_dest_check(value.clone()).send()
        };
        match self.gate.send(&self.ask("ModifyInstanceAttribute"), send).await {
            Err(error) if is_about_interfaces(&error) => {
                let interface = self.first_interface().await?;
                let ask = self.ask("ModifyNetworkInterfaceAttribute");
                let send = || {
                    let call = self.gate.ec2().modify_network_interface_attribute().network_interface_id(&interface);
                    call.source_dest_check(value.clone()).send()
                };
                self.gate.send(&ask, send).await.map(drop)
            }
            answer => answer.map(drop),
        }
    }

    /// Sets whether AWS itself refuses to terminate it.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn termination_protection(&self, to: bool) -> Result<(), ProviderError> {
        let value = AttributeBooleanValue::builder().value(to).build();
        let send = || {
            let call = self.gate.ec2().modify_instance_attribute().instance_id(self.id.as_str());
            call.disable_api_termination(value.clone()).send()
        };
        self.gate.send(&self.ask("ModifyInstanceAttribute"), send).await.map(drop)
    }

    /// Sets what a shutdown from inside does.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn shutdown(&self, to: Shutdown) -> Result<(), ProviderError> {
        let value = AttributeValue::builder().value(to.word()).build();
        let send = || {
            let call = self.gate.ec2().modify_instance_attribute().instance_id(self.id.as_str());
            call.instance_initiated_shutdown_behavior(value.clone()).send()
        };
        self.gate.send(&self.ask("ModifyInstanceAttribute"), send).await.map(drop)
    }

    /// Sets whether the boot volume goes with the instance.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn root_deletion(&self, to: bool) -> Result<(), ProviderError> {
        let listed = instances(self.gate, &[listing::filter("instance-id", [self.id.as_str()])]).await?;
        let device = listed.first().and_then(Instance::root_device_name).map(str::to_owned);
        let device = device.ok_or_else(|| listing::incomplete(&self.gate.doing("DescribeInstances"), "root device"))?;
        let volume = EbsInstanceBlockDeviceSpecification::builder().delete_on_termination(to).build();
        let mapping = InstanceBlockDeviceMappingSpecification::builder().device_name(device).ebs(volume).build();
        let send = || {
            let call = self.gate.ec2().modify_instance_attribute().instance_id(self.id.as_str());
            call.block_device_mappings(mapping.clone()).send()
        };
        self.gate.send(&self.ask("ModifyInstanceAttribute"), send).await.map(drop)
    }

    /// Sets up the metadata service.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn metadata(&self, to: Metadata) -> Result<(), ProviderError> {
        let (endpoint, tokens) = run::tokens(to);
        let hops = tokens.is_some().then_some(i32::from(to.hops));
        let send = || {
            let call = self.gate.ec2().modify_instance_metadata_options().instance_id(self.id.as_str());
            let call = call.http_endpoint(endpoint.clone()).set_http_tokens(tokens.clone());
            call.set_http_put_response_hop_limit(hops).send()
        };
        self.gate.send(&self.ask("ModifyInstanceMetadataOptions"), send).await.map(drop)
    }

    /// Sets whether metrics come every minute.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn monitoring(&self, to: bool) -> Result<(), ProviderError> {
        let (ec2, id) = (self.gate.ec2(), self.id.as_str());
        if to {
            let ask = self.ask("MonitorInstances");
            return self.gate.send(&ask, || ec2.monitor_instances().instance_ids(id).send()).await.map(drop);
        }
        let ask = self.ask("UnmonitorInstances");
        self.gate.send(&ask, || ec2.unmonitor_instances().instance_ids(id).send()).await.map(drop)
    }

    /// Sets the instance profile: an instance has at most one, and swapping it is a call of its own. A resent call meets
    /// its own effect, and then what is there is looked at.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn profile(&self, to: Option<&str>) -> Result<(), ProviderError> {
        let current = self.current_profile().await?;
        let tie = current.as_ref().and_then(IamInstanceProfileAssociation::association_id);
        let answer = match (to, tie) {
            (None, None) => return Ok(()),
            (Some(wanted), Some(_)) if current.as_ref().is_some_and(|tie| names(tie, wanted)) => return Ok(()),
            (None, Some(tie)) => self.drop_profile(tie).await,
            (Some(wanted), None) => self.add_profile(wanted).await,
            (Some(wanted), Some(tie)) => self.swap_profile(tie, wanted).await,
        };
        match (answer, to) {
            (Err(error), Some(wanted)) if matches!(error.class, Class::WrongState | Class::NotFound) => {
                let now = self.current_profile().await?;
                if now.is_some_and(|tie| names(&tie, wanted)) { Ok(()) } else { Err(error) }
            }
            (Err(error), None) if error.class == Class::NotFound => Ok(()),
            (answer, _) => answer,
        }
    }

    async fn add_profile(&self, wanted: &str) -> Result<(), ProviderError> {
        let ask = self.ask("AssociateIamInstanceProfile").patient(Remedy::Settled);
        let send = || {
            let call = self.gate.ec2().associate_iam_instance_profile().instance_id(self.id.as_str());
            call.iam_instance_profile(run::profile(wanted)).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }

    async fn swap_profile(&self, tie: &str, wanted: &str) -> Result<(), ProviderError> {
        let ask = self.ask("ReplaceIamInstanceProfileAssociation").patient(Remedy::Settled);
        let send = || {
            let call = self.gate.ec2().replace_iam_instance_profile_association().association_id(tie);
            call.iam_instance_profile(run::profile(wanted)).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }

    async fn drop_profile(&self, tie: &str) -> Result<(), ProviderError> {
        let ask = self.ask("DisassociateIamInstanceProfile");
        let send = || self.gate.ec2().disassociate_iam_instance_profile().association_id(tie).send();
        self.gate.send(&ask, send).await.map(drop)
    }

    async fn current_profile(&self) -> Result<Option<IamInstanceProfileAssociation>, ProviderError> {
        let filters = vec![
            listing::filter("instance-id", [self.id.as_str()]),
            listing::filter("state", ["associating", "associated"]),
        ];
        let send = || {
            let call = self.gate.ec2().describe_iam_instance_profile_associations();
            call.set_filters(Some(filters.clone())).send()
        };
        let listed = self.gate.send(&Ask::read("DescribeIamInstanceProfileAssociations"), send).await?;
        let ties = listed.iam_instance_profile_associations.unwrap_or_default();
        Ok(ties.into_iter().find(|tie| tie.instance_id() == Some(self.id.as_str())))
    }

    /// Changes the boot volume. A change that was sent before and is under way counts as done.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn volume(&self, volume: &CloudId, to: &VolumeChange) -> Result<(), ProviderError> {
        let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let (size, iops) = (to.size.map(|size| number(size.0)), to.iops.map(number));
        let throughput = to.throughput.map(number);
        let send = || {
            let call = self.gate.ec2().modify_volume().volume_id(volume.as_str()).set_size(size).set_iops(iops);
            let call = call.set_throughput(throughput);
            call.set_volume_type(to.volume_type.as_deref().map(VolumeType::from)).send()
        };
        let ask = Ask::until("ModifyVolume", self.until).uses([volume.as_str()]);
        let Err(error) = self.gate.send(&ask, send).await else { return Ok(()) };
        if !matches!(error.class, Class::WrongState | Class::Quota) && !error.ambiguous {
            return Err(error);
        }
        let filters = vec![listing::filter("volume-id", [volume.as_str()])];
        let send = || self.gate.ec2().describe_volumes_modifications().set_filters(Some(filters.clone())).send();
        let listed = self.gate.send(&Ask::read("DescribeVolumesModifications"), send).await?;
        let same = listed.volumes_modifications().iter().any(|change| {
            change.modification_state().is_some_and(|state| state.as_str() != "failed")
                && size.is_none_or(|size| change.target_size() == Some(size))
                && iops.is_none_or(|iops| change.target_iops() == Some(iops))
                && throughput.is_none_or(|throughput| change.target_throughput() == Some(throughput))
                && to
                    .volume_type
                    .as_deref()
                    .is_none_or(|to| change.target_volume_type().is_some_and(|target| target.as_str() == to))
        });
        if same { Ok(()) } else { Err(error.hint("AWS changes a volume once, then not for hours: try again later")) }
    }

    /// The interface that counts as the instance's own.
    async fn first_interface(&self) -> Result<String, ProviderError> {
        let listed = instances(self.gate, &[listing::filter("instance-id", [self.id.as_str()])]).await?;
        let all = listed.first().map(Instance::network_interfaces).unwrap_or_default();
        let first = all
            .iter()
            .find(|one| one.attachment().and_then(InstanceNetworkInterfaceAttachment::device_index) == Some(0));
        let id = first.and_then(|one| one.network_interface_id()).map(str::to_owned);
        id.ok_or_else(|| listing::incomplete(&self.gate.doing("DescribeInstances"), "network interface"))
    }
}

/// Whether an association is with this profile, by name or ARN.
fn names(tie: &IamInstanceProfileAssociation, wanted: &str) -> bool {
    let arn = tie.iam_instance_profile().and_then(|profile| profile.arn()).unwrap_or_default();
    arn == wanted || arn.rsplit_once('/').is_some_and(|(_, name)| name == wanted)
}

/// Whether AWS wants to be told which interface: it does for an instance that has several.
fn is_about_interfaces(error: &ProviderError) -> bool {
    error.code.as_deref() == Some("InvalidInstanceID") && error.detail.contains("interface")
}
