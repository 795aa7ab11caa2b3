//! What no listing says of an object, and what a deleted one leaves behind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::CloudId;
use crate::model::id::SubnetId;
use crate::resources::instance::state::Shutdown;

/// What no listing says of an object. Each kind uses what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unlisted {
    /// What an instance was given to run, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Bytes>,
    /// Whether AWS refuses to terminate it.
    #[serde(default)]
    pub termination_protection: bool,
    /// What a shutdown from inside does.
    #[serde(default = "Unlisted::usual_shutdown")]
    pub shutdown: Shutdown,
    /// Whether its interface gets a public address whenever it starts; absent means that it does if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<bool>,
    /// When what is under way with it ends, in seconds of the world's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Since when it runs; absent means since ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<u64>,
    /// Whether it fails every health check.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unhealthy: bool,
    /// Its IPv6 addresses, which only queries over instances look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv6: Vec<Ipv6Addr>,
    /// Since when a balancer's members are registered; one that is not named here is so since ever.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registered: BTreeMap<CloudId, u64>,
    /// When members had passed the health checks, for those who did before the checks changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub passed: BTreeMap<CloudId, u64>,
    /// Until when those who left a balancer have requests under way.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub draining: BTreeMap<CloudId, u64>,
    /// Until when ports whose listeners a balancer gave up are not free yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub closing: BTreeMap<u16, u64>,
    /// Until when subnets that a balancer gave up still count as their zone's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detaching: BTreeMap<SubnetId, u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Unlisted {
    const fn usual_shutdown() -> Shutdown {
        Shutdown::Stop
    }
}

impl Default for Unlisted {
    fn default() -> Self {
        Self {
            user_data: None,
            termination_protection: false,
            shutdown: Self::usual_shutdown(),
            public_ip: None,
            until: None,
            running_since: None,
            unhealthy: false,
            ipv6: Vec::new(),
            registered: BTreeMap::new(),
            passed: BTreeMap::new(),
            draining: BTreeMap::new(),
            closing: BTreeMap::new(),
            detaching: BTreeMap::new(),
        }
    }
}

/// Bytes, written in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Bytes(pub Vec<u8>);

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        STANDARD.decode(&text).map(Self).map_err(|why| format!("the base64 cannot be read: {why}"))
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        STANDARD.encode(bytes.0)
    }
}

/// What a deleted object leaves behind for a while: interfaces that keep groups from going.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remnant {
    /// Which object it was.
    pub of: CloudId,
    /// What it is, in words: "the interfaces of the deleted load balancer `front`".
    pub what: String,
    /// What it keeps from going.
    pub holds: BTreeSet<CloudId>,
    /// When it is gone, in seconds of the world's clock.
    pub until: u64,
}
