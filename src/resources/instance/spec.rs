//! What a user may write of an instance or a group of them, and what AWS would refuse of it.

mod choice;
mod lower;
mod volume;

use std::net::Ipv4Addr;

use schemars::JsonSchema;

use super::state::{Desired, MetadataService, OnChange, Shutdown};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Output;
use crate::model::tree::Node;
use crate::resources::decode::{At, Decode, Fields, by_rule, one_of, within};
use crate::resources::shape;
use crate::resources::site::{self, GroupList, Site, SubnetList, ZoneList};
use crate::resources::spec::{Lowered, Lowering, Outline, Written};
use choice::{ImageShape, ImageSpec, KeyShape, KeySpec, UserDataShape, UserDataSpec};
use volume::VolumeSpec;

/// The most members of a group.
const MOST_MEMBERS: i64 = 500;
/// AWS never lets an interface have more groups, whatever the quota
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html>).
const MOST_GROUPS: usize = 16;
/// The quota of groups an interface, unless the account has another.
const USUAL_GROUPS: usize = 5;

/// An instance, or with `count` a group of them.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "instance", deny_unknown_fields)]
pub struct Spec {
    /// How many members; a single instance when absent.
    #[schemars(with = "Option<u32>", range(min = 1, max = 500))]
    count: Option<At<u32>>,
    /// What it boots: an id, or a query whose newest match is taken when the instance is made.
    #[schemars(with = "ImageShape")]
    image: ImageSpec,
    /// The instance type.
    #[schemars(with = "String", regex(pattern = r"^[a-z0-9-]+\.[a-z0-9-]+$"))]
    #[schemars(rename = "type")]
    instance_type: InstanceType,
    /// What a change of the type does: `restart` (default) or `replace`.
    #[schemars(with = "Option<OnTypeChangeShape>")]
    on_type_change: Option<OnChange>,
    /// The zones that members take turns in; not beside `subnets`.
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    zones: Option<ZoneList>,
    /// The subnets that members take turns in; not beside `zones`.
    #[schemars(with = "Option<Vec<shape::SubnetText>>", length(min = 1))]
    subnets: Option<SubnetList>,
    /// Its security groups, by name or id; the VPC's default group when absent.
    #[schemars(with = "Option<Vec<String>>", length(min = 1, max = 16))]
    security_groups: Option<GroupList>,
    /// The key pair it is launched with.
    #[schemars(with = "Option<KeyShape>")]
    key_pair: Option<KeySpec>,
    /// The name or ARN of an instance profile.
    #[schemars(with = "Option<String>")]
    iam_profile: Option<At<String>>,
    /// Whether it gets a public address of its own; as the subnet says when absent.
    public_ip: Option<bool>,
    /// A fixed private address; for a single instance only.
    #[schemars(with = "Option<String>", extend("format" = "ipv4"))]
    private_ip: Option<At<Ipv4Addr>>,
    /// What it runs at its first boot.
    #[schemars(with = "Option<UserDataShape>")]
    user_data: Option<UserDataSpec>,
    /// What a change of the user data does: `replace` (default), `restart` or `ignore`.
    #[schemars(with = "Option<OnUserDataChangeShape>")]
    on_user_data_change: Option<OnChange>,
    /// The volume it boots from; what is left out is as the image says.
    root_volume: Option<VolumeSpec>,
    /// The metadata service: `v2` (default), `v1` or `off`.
    #[schemars(with = "Option<MetadataShape>")]
    metadata_service: Option<MetadataService>,
    /// How many network hops an answer of the metadata service may travel.
    #[schemars(range(min = 1, max = 64))]
    metadata_hops: Option<u8>,
    /// Whether the network drops packets that are not its own; true when absent.
    source_dest_check: Option<bool>,
    /// `basic` (default) or `detailed` monitoring.
    #[schemars(with = "Option<MonitoringShape>")]
    monitoring: Option<Monitoring>,
    /// What a shutdown from inside does: `stop` (default) or `terminate`.
    #[schemars(with = "Option<ShutdownShape>")]
    shutdown: Option<Shutdown>,
    /// `default`, `dedicated` or `host`.
    #[schemars(with = "Option<TenancyShape>")]
    tenancy: Option<Tenancy>,
    /// A placement group's name.
    #[schemars(with = "Option<String>", length(min = 1, max = 255))]
    placement_group: Option<At<String>>,
    /// How many members may be replaced or restarted at a time; 1 when absent.
    #[schemars(with = "Option<u32>", range(min = 1, max = 500))]
    max_unavailable: Option<At<u32>>,
}

shape::shapes! {
    /// What a change of the type does.
    OnTypeChangeShape = { "type": "string", "enum": ["restart", "replace"] };
    /// What a change of the user data does.
    OnUserDataChangeShape = { "type": "string", "enum": ["replace", "restart", "ignore"] };
    /// Which metadata service.
    MetadataShape = { "type": "string", "enum": ["v2", "v1", "off"] };
    /// How often metrics come.
    MonitoringShape = { "type": "string", "enum": ["basic", "detailed"] };
    /// What a shutdown does.
    ShutdownShape = { "type": "string", "enum": ["stop", "terminate"] };
    /// On whose hardware.
    TenancyShape = { "type": "string", "enum": ["default", "dedicated", "host"] };
}

/// How often metrics come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Monitoring {
    Basic,
    Detailed,
}

/// On whose hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tenancy {
    Default,
    Dedicated,
    Host,
}

/// `t3.small`.
#[derive(Debug, Clone)]
struct InstanceType(String);

impl Decode for InstanceType {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        by_rule(
            node,
            "instance-type",
            |text| {
                let word = |word: &str| {
                    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                };
                match text.split_once('.') {
                    Some((family, size)) if word(family) && word(size) => Ok(Self(text.to_owned())),
                    Some(_) | None => Err(format!("`{text}` is no instance type: one is like `t3.small`")),
                }
            },
            problems,
        )
    }
}

/// A private address that is nobody's special one.
fn read_private_ip(node: &Node, problems: &mut Diagnostics) -> Option<At<Ipv4Addr>> {
    let value = by_rule(
        node,
        "address",
        |text| match text.parse::<Ipv4Addr>() {
            Ok(ip)
                if ip.is_loopback()
                    || ip.is_multicast()
                    || ip.is_unspecified()
                    || ip.is_broadcast()
                    || ip.is_link_local() =>
            {
                Err(format!("`{text}` cannot be the address of an instance"))
            }
            Ok(ip) => Ok(ip),
            Err(_) => Err(format!("`{text}` is no IPv4 address")),
        },
        problems,
    )?;
    Some(At { value, span: node.span })
}

fn read_count(node: &Node, what: &str, problems: &mut Diagnostics) -> Option<At<u32>> {
    within(node, what, 1..=MOST_MEMBERS, problems).map(|value| At { value, span: node.span })
}

impl Written for Spec {
    type Desired = Desired;
    const WHAT: &'static str = "an instance";
    const OUTPUTS: &'static [Output] =
        &[Output::Id, Output::PrivateIp, Output::PublicIp, Output::PrivateDns, Output::PublicDns, Output::Zone];
    const MANY: bool = true;
    const FOR_OTHERS: bool = false;

    fn read(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Self> {
        const CHANGES: [(&str, OnChange); 3] =
            [("replace", OnChange::Replace), ("restart", OnChange::Restart), ("ignore", OnChange::Ignore)];
        let image = fields.required("image", problems);
        let instance_type = fields.required("type", problems);
        let mut word = Words { fields, problems };
        let on_type_change =
            word.one("on_type_change", &[("restart", OnChange::Restart), ("replace", OnChange::Replace)]);
        let on_user_data_change = word.one("on_user_data_change", &CHANGES);
        let metadata_service = word.one(
            "metadata_service",
            &[("v2", MetadataService::V2), ("v1", MetadataService::V1), ("off", MetadataService::Off)],
        );
        let monitoring = word.one("monitoring", &[("basic", Monitoring::Basic), ("detailed", Monitoring::Detailed)]);
        let shutdown = word.one("shutdown", &[("stop", Shutdown::Stop), ("terminate", Shutdown::Terminate)]);
        let tenancy = word.one(
            "tenancy",
            &[("default", Tenancy::Default), ("dedicated", Tenancy::Dedicated), ("host", Tenancy::Host)],
        );
        let rest = Self {
            // A count that is wrong is a problem already; one member lets the others be found.
            count: fields
                .node("count")
                .map(|node| read_count(node, "a count", problems).unwrap_or(At { value: 1, span: node.span })),
            max_unavailable: fields
                .node("max_unavailable")
                .and_then(|node| read_count(node, "`max_unavailable`", problems)),
            private_ip: fields.node("private_ip").and_then(|node| read_private_ip(node, problems)),
            metadata_hops: fields
                .node("metadata_hops")
                .and_then(|node| within(node, "a number of hops", 1..=64, problems)),
            zones: fields.optional("zones", problems),
            subnets: fields.optional("subnets", problems),
            security_groups: fields.optional("security_groups", problems),
            key_pair: fields.optional("key_pair", problems),
            iam_profile: fields.optional("iam_profile", problems),
            public_ip: fields.optional("public_ip", problems),
            user_data: fields.optional("user_data", problems),
            source_dest_check: fields.optional("source_dest_check", problems),
            placement_group: fields.optional("placement_group", problems),
            root_volume: fields.node("root_volume").and_then(|node| VolumeSpec::read(node, problems)),
            on_type_change,
            on_user_data_change,
            metadata_service,
            monitoring,
            shutdown,
            tenancy,
            image: image?,
            instance_type: instance_type?,
        };
        rest.check(problems);
        Some(rest)
    }

    fn outline(&self) -> Outline {
        Outline {
            count: self.count.as_ref().map(|count| count.value),
            max_unavailable: self.max_unavailable.as_ref().map_or(1, |most| most.value),
            zones: self.site().outline(),
            ..Outline::default()
        }
    }

    fn lower(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Desired>> {
        lower::lower(self, cx, problems)
    }
}

/// Reads fields that take one of a few words.
struct Words<'f, 'a, 'p> {
    fields: &'f mut Fields<'a>,
    problems: &'p mut Diagnostics,
}

impl Words<'_, '_, '_> {
    fn one<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.fields.node(key).and_then(|node| one_of(node, words, self.problems))
    }
}

impl Spec {
    /// Combinations and texts that AWS would refuse.
    fn check(&self, problems: &mut Diagnostics) {
        self.site().check(problems);
        if let (Some(ip), Some(count)) = (&self.private_ip, &self.count) {
            problems.push(
                Diagnostic::error("combination", ip.span, "members of a group cannot share one `private_ip`")
                    .hint("leave `count` out for a single instance")
                    .also(count.span, "the count"),
            );
        }
        if let Some(most) = &self.max_unavailable {
            let members = self.count.as_ref().map_or(1, |count| count.value);
            if most.value > members {
                let message = format!("`max_unavailable` is more than the {members} there are");
                problems.push(Diagnostic::error("out-of-range", most.span, message));
            }
        }
        if let Some(groups) = &self.security_groups {
            check_groups(groups, problems);
        }
        if let Some(profile) = &self.iam_profile
            && !is_profile(&profile.value)
        {
            problems.push(
                Diagnostic::error("iam-profile", profile.span, format!("`{}` is no instance profile", profile.value))
                    .hint("write its name, or arn:aws:iam::123456789012:instance-profile/NAME"),
            );
        }
        if let Some(group) = &self.placement_group
            && (group.value.is_empty() || group.value.chars().count() > 255)
        {
            problems.push(Diagnostic::error("name", group.span, "a placement group's name has 1 to 255 characters"));
        }
    }

    /// Where members may live.
    fn site(&self) -> Site<'_> {
        Site { what: Self::WHAT, zones: self.zones.as_ref(), subnets: self.subnets.as_ref() }
    }
}

fn check_groups(groups: &GroupList, problems: &mut Diagnostics) {
    site::check_some_group(groups, Spec::WHAT, problems);
    site::check_few_groups(groups, "an interface", MOST_GROUPS, problems);
    if (USUAL_GROUPS + 1..=MOST_GROUPS).contains(&groups.value.len()) {
        let message = format!("AWS takes {USUAL_GROUPS} groups an interface unless the account's quota was raised");
        problems.push(Diagnostic::warning("quota", groups.span, message).hint("join groups, or ask AWS for more"));
    }
}

/// An instance profile's name or ARN
/// (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_InstanceProfile.html>).
fn is_profile(text: &str) -> bool {
    let name = |text: &str| {
        (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
    };
    if !text.starts_with("arn:") {
        return name(text);
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "iam", "", account, rest] => {
            partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit())
                && rest.strip_prefix("instance-profile/").is_some_and(|path| path.rsplit('/').next().is_some_and(name))
        }
        _ => false,
    }
}
