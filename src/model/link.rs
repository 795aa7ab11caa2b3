//! References between resources, before and after they are resolved by identity.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Address, CloudId};

/// What a spec means by a name: a resource of this stack, or a foreign object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// A resource of the spec.
    Address(Address),
    /// A foreign object, read and never changed.
    Existing(CloudId),
}

/// A reference by identity: what it points at now, or what this plan will make.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// An object that exists and stays.
    Existing(CloudId),
    /// The object that this plan makes at an address.
    Planned(Address),
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Existing(id) => id.fmt(f),
            Self::Planned(address) => write!(f, "{address} (new)"),
        }
    }
}

/// Something a resource tells once it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The AWS id.
    Id,
    /// The physical name.
    Name,
    /// The private IPv4 address.
    PrivateIp,
    /// The public IPv4 address.
    PublicIp,
    /// The private DNS name.
    PrivateDns,
    /// The public DNS name.
    PublicDns,
    /// The availability zone.
    Zone,
    /// The DNS name that clients use.
    DnsName,
    /// The Route 53 zone of that name, for alias records.
    ZoneId,
}

impl Output {
    /// Every output, in order.
    pub const ALL: [Self; 9] = [
        Self::Id,
        Self::Name,
        Self::PrivateIp,
        Self::PublicIp,
        Self::PrivateDns,
        Self::PublicDns,
        Self::Zone,
        Self::DnsName,
        Self::ZoneId,
    ];

    /// The word of templates.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::PrivateIp => "private_ip",
            Self::PublicIp => "public_ip",
            Self::PrivateDns => "private_dns",
            Self::PublicDns => "public_dns",
            Self::Zone => "zone",
            Self::DnsName => "dns_name",
            Self::ZoneId => "zone_id",
        }
    }

    /// The output that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|output| output.word() == word)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is known of an output while planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Its value, which this plan does not change.
    Now(String),
    /// Known when a step of that address is done.
    Later(Address, Output),
    /// The object exists and has no such value (an instance without a public address).
    Never(String),
}
