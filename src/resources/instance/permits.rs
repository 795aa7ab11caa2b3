//! Which API actions an instance needs.

use super::Desired;
use super::state::RootVolume;
use crate::resources::Common;
use crate::resources::permissions::{Grant, Need, On, Permits};

const INSTANCE: &str = "instance";
const INTERFACE: &str = "network-interface";
const VOLUME: &str = "volume";
const GROUPS: On = On::Ec2("security-group");

/// What is done to one that is there, whatever the spec says: somebody may have changed it by hand.
const CHANGE: [&str; 6] = [
    "ec2:ModifyInstanceAttribute",
    "ec2:ModifyInstanceMetadataOptions",
    "ec2:MonitorInstances",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:UnmonitorInstances",
];
/// What a key that encrypts volumes is used for
/// (<https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html>).
const KEY: [&str; 5] =
    ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"];

/// What listing takes.
pub(super) fn listing(permits: &mut Permits) {
    permits.read(Need::Read, &["ec2:DescribeInstances"]);
}

/// What one takes.
pub(super) fn of(want: &Desired, common: &Common, permits: &mut Permits) {
    // Its image, what a change of type loses, and what no listing tells: user data and termination protection.
    let asked = ["ec2:DescribeImages", "ec2:DescribeInstanceAttribute", "ec2:DescribeInstanceTypes"];
    permits.read(Need::Read, &asked);
    launch(want, permits);
    permits.own(Need::Change, &CHANGE, &[On::Ec2(INSTANCE)]);
    // The groups it gets, and the volume that goes with it or stays.
    permits.beside(Need::Change, "ModifyWith", &["ec2:ModifyInstanceAttribute"], &[GROUPS, On::Ec2(VOLUME)]);
    interface(common, permits);
    volume(&want.root_volume, common, permits);
    profile(want, permits);
    permits.own(Need::Remove, &["ec2:ModifyInstanceAttribute", "ec2:TerminateInstances"], &[On::Ec2(INSTANCE)]);
    permits.tags(INSTANCE, "i-", common);
}

/// `RunInstances`. Only what is made can be asked to carry our tag. The interface is left without that condition, as AWS's
/// own examples leave it (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html>).
fn launch(want: &Desired, permits: &mut Permits) {
    let run = "ec2:RunInstances";
    permits.create(run, &[On::Ec2(INSTANCE), On::Ec2(VOLUME)]);
    permits.tag_new(Need::Make, "RunInstances");
    let mut into = vec![On::Images, On::Ec2("subnet"), GROUPS, On::Ec2(INTERFACE)];
    into.extend(want.key_pair.iter().map(|_| On::Ec2("key-pair")));
    into.extend(want.placement_group.iter().map(|name| On::Ec2One("placement-group", name.clone())));
    permits.beside(Need::Make, "LaunchInto", &[run], &into);
}

/// An instance with several interfaces is changed by its first one, which carries our tag where we launched it.
fn interface(common: &Common, permits: &mut Permits) {
    let modify = ["ec2:ModifyNetworkInterfaceAttribute"];
    permits.own(Need::Change, &modify, &[On::Ec2(INTERFACE)]);
    permits.beside(Need::Change, "ModifyInterfacesWith", &modify, &[On::Ec2(INSTANCE), GROUPS]);
    if common.adopt.is_some() {
        permits.beside(Need::Change, "ModifyInterfacesWith", &modify, &[On::Ec2(INTERFACE)]);
    }
}

fn volume(root: &RootVolume, common: &Common, permits: &mut Permits) {
    if *root == RootVolume::default() {
        return;
    }
    permits.read(Need::Read, &["ec2:DescribeVolumes"]);
    permits.read(Need::Change, &["ec2:DescribeVolumesModifications"]);
    permits.own(Need::Change, &["ec2:ModifyVolume"], &[On::Ec2(VOLUME)]);
    if common.adopt.is_some() {
        permits.beside(Need::Change, "ModifyVolumes", &["ec2:ModifyVolume"], &[On::Ec2(VOLUME)]);
    }
    if let Some(key) = &root.kms_key {
        // Whoever launches or starts an instance lends the key to EC2.
        for call in ["RunInstances", "StartInstances"] {
            permits.along(Need::Make, call, &KEY, &Grant::UseKey, &[kms(key)]);
            permits.along(Need::Make, call, &["kms:CreateGrant"], &Grant::LendKey, &[kms(key)]);
        }
    }
}

/// A key by ARN or by id. An alias has no place in a key's ARN, so it stands for all keys, through EC2 alone.
fn kms(key: &str) -> On {
    match key {
        arn if arn.starts_with("arn:") && arn.contains(":key/") => On::Arn(arn.to_owned()),
        alias if alias.contains("alias/") => On::Key("*".to_owned()),
        id => On::Key(id.to_owned()),
    }
}

/// The profile, whose role is given to the instance. Which role that is only IAM knows.
fn profile(want: &Desired, permits: &mut Permits) {
    let instance = [On::Ec2(INSTANCE)];
    permits.read(Need::Change, &["ec2:DescribeIamInstanceProfileAssociations"]);
    permits.own(Need::Change, &["ec2:DisassociateIamInstanceProfile"], &instance);
    if want.iam_profile.is_none() {
        return;
    }
    let give = ["ec2:AssociateIamInstanceProfile", "ec2:ReplaceIamInstanceProfileAssociation"];
    permits.own(Need::Change, &give, &instance);
    for call in ["RunInstances", "AssociateIamInstanceProfile", "ReplaceIamInstanceProfileAssociation"] {
        permits.along(Need::Make, call, &["iam:PassRole"], &Grant::PassRole, &[On::Role("*")]);
    }
}
