//! The calls that change a load balancer.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::state::{Attributes, HealthCheck, Listener, Scheme, Stickiness};
use crate::model::id::SubnetId;
use crate::model::{CloudId, Link, TagEdit, Tags};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `CreateLoadBalancer`, which tells the DNS name.
    Create(Box<Create>),
    /// `CreateLoadBalancerListeners`; policies follow.
    AddListeners(BTreeMap<u16, Listener>),
    /// `DeleteLoadBalancerListeners`.
    RemoveListeners(BTreeSet<u16>),
    /// `SetLoadBalancerListenerSSLCertificate`.
    SetCertificate {
        /// Which listener.
        port: u16,
        /// The ARN.
        certificate: String,
    },
    /// `SetLoadBalancerPoliciesOfListener`, after the policies were made that it names: all policies of one listener.
    SetPolicies {
        /// Which listener.
        port: u16,
        /// The security policy; none for a listener without TLS, or for AWS's default.
        ssl_policy: Option<String>,
        /// How clients come back.
        stickiness: Option<Stickiness>,
    },
    /// `SetLoadBalancerPoliciesForBackendServer`, after the policy was made.
    SetProxyProtocol {
        /// Which instance port.
        port: u16,
        /// Whether it is told who the client is.
        on: bool,
    },
    /// `ConfigureHealthCheck`.
    SetHealthCheck(HealthCheck),
    /// `ModifyLoadBalancerAttributes`.
    SetAttributes(Attributes),
    /// `AttachLoadBalancerToSubnets`.
    AttachSubnets(BTreeSet<SubnetId>),
    /// `DetachLoadBalancerFromSubnets`.
    DetachSubnets {
        /// Which.
        subnets: BTreeSet<SubnetId>,
        /// How many members must be in service in the other zones.
        keep: u32,
    },
    /// `ApplySecurityGroupsToLoadBalancer`: all groups at once.
    SetGroups(Vec<Link>),
    /// `RegisterInstancesWithLoadBalancer`.
    Register(Vec<Link>),
    /// Waits until these are in service.
    AwaitInService(Vec<Link>),
    /// `DeregisterInstancesFromLoadBalancer`, once enough others are in service: looking and taking out are one, so that two
    /// that leave at once do not count on each other.
    Deregister {
        /// Which.
        instances: BTreeSet<CloudId>,
        /// How many others must be in service, where one of these is.
        keep: u32,
    },
    /// Waits until requests under way have ended, or the draining timeout cut them.
    AwaitDrained(BTreeSet<CloudId>),
    /// `AddTags` and `RemoveTags`.
    Tag(TagEdit),
    /// `DeleteLoadBalancer`.
    Delete,
    /// Waits until the interfaces of a deleted balancer are gone, which hold its groups.
    AwaitInterfacesGone,
}

/// What `CreateLoadBalancer` is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Create {
    /// At most 32 letters, digits and hyphens.
    pub name: String,
    /// Who may reach it.
    pub scheme: Scheme,
    /// One a zone.
    pub subnets: BTreeSet<SubnetId>,
    /// Its groups; empty means the VPC's default group.
    pub security_groups: Vec<Link>,
    /// What it listens to, by port; policies follow.
    pub listeners: BTreeMap<u16, Listener>,
    /// Written in the same call.
    pub tags: Tags,
}
