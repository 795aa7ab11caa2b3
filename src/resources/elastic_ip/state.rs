//! Elastic IP addresses, desired and observed.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{CloudId, Reference};

/// What the spec wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The instance that answers on it.
    pub instance: Option<Reference>,
    /// The pool it comes from.
    pub public_ip_pool: Option<String>,
    /// The network border group it is announced from.
    pub border_group: Option<String>,
}

/// What AWS lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// The address.
    pub public_ip: Ipv4Addr,
    /// Who answers on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub association: Option<Association>,
    /// The pool it comes from; `amazon` unless it is one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ip_pool: Option<String>,
    /// The network border group, the region's own unless another was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub border_group: Option<String>,
}

/// An address's tie to a network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Association {
    /// `eipassoc-…`.
    pub id: CloudId,
    /// The instance behind the interface; absent for one that belongs to a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<CloudId>,
}
