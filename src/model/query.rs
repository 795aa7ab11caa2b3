//! A question about instances that only the world can answer: those of some regions, by state and tags.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Output, Region, Tags};

/// The instances whose addresses are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Query {
    /// Where.
    pub regions: Regions,
    /// In which states, in EC2's words.
    pub states: BTreeSet<String>,
    /// With these tags, all of them; empty means any.
    pub tags: Tags,
    /// Which of their addresses.
    pub address: AddressOf,
}

/// Which regions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Regions {
    /// All that are enabled for the account, save these.
    AllBut(BTreeSet<Region>),
    /// These.
    These(BTreeSet<Region>),
}

impl Regions {
    /// Whether a region is among them, as far as the spec says.
    #[must_use]
    pub fn contains(&self, region: &Region) -> bool {
        match self {
            Self::AllBut(except) => !except.contains(region),
            Self::These(regions) => regions.contains(region),
        }
    }
}

/// Which address of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AddressOf {
    /// The public IPv4 address.
    Public,
    /// The private IPv4 address.
    Private,
    /// The IPv6 addresses.
    Ipv6,
}

impl AddressOf {
    /// The word of the spec.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Ipv6 => "ipv6",
        }
    }

    /// The output that tells it; none where an instance of the spec does not tell it.
    #[must_use]
    pub const fn output(self) -> Option<Output> {
        match self {
            Self::Public => Some(Output::PublicIp),
            Self::Private => Some(Output::PrivateIp),
            Self::Ipv6 => None,
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |regions: &BTreeSet<Region>| regions.iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
        write!(f, "{} addresses of instances in ", self.address.word())?;
        match &self.regions {
            Regions::AllBut(except) if except.is_empty() => f.write_str("all regions")?,
            Regions::AllBut(except) => write!(f, "all regions but {}", list(except))?,
            Regions::These(regions) => f.write_str(&list(regions))?,
        }
        for (key, value) in &self.tags {
            write!(f, ", {key}={value}")?;
        }
        Ok(())
    }
}
