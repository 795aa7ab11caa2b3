//! Addresses: `kind.name`, unique in a stack.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of resource. The order is the order of plans and listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An EC2 key pair.
    KeyPair,
    /// A VPC security group.
    SecurityGroup,
    /// An Elastic IP address.
    ElasticIp,
    /// An EC2 instance.
    Instance,
    /// A Classic Load Balancer.
    LoadBalancer,
    /// The firewall of a host.
    HostFirewall,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 6] =
        [Self::KeyPair, Self::SecurityGroup, Self::ElasticIp, Self::Instance, Self::LoadBalancer, Self::HostFirewall];

    /// The word of the spec and of addresses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::KeyPair => "key_pair",
            Self::SecurityGroup => "security_group",
            Self::ElasticIp => "elastic_ip",
            Self::Instance => "instance",
            Self::LoadBalancer => "load_balancer",
            Self::HostFirewall => "host_firewall",
        }
    }

    /// The kind that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A resource's name: `[a-z][a-z0-9-]{0,30}`, for a member with `-<index>` behind it, and for a key pair that is
/// imported in several regions with `@<region>` behind it. Plans hold it many times over, so its text is shared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name a user may write.
    pub const LONGEST: usize = 31;

    /// Takes a name as it may stand in a spec: `[a-z][a-z0-9-]{0,30}`.
    ///
    /// # Errors
    /// The rule that the text breaks, in words.
    pub fn written(text: &str) -> Result<Self, String> {
        let mut bytes = text.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        if starts
            && text.len() <= Self::LONGEST
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Ok(Self(text.into()));
        }
        Err("a name is a lower-case letter, then at most 30 of a-z, 0-9 and -".to_owned())
    }

    /// The name of member `index` of the group that has this name.
    #[must_use]
    pub fn member(&self, index: u32) -> Self {
        Self(format!("{}-{index}", self.0).into())
    }

    /// The name of the copy of this resource in one of several regions.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self(format!("{}@{region}", self.0).into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    /// Takes any name that an address can hold, members' and regional ones too.
    fn try_from(text: String) -> Result<Self, String> {
        let (base, region) = text.split_once('@').map_or((text.as_str(), ""), |(base, region)| (base, region));
        let safe = |s: &str| s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if base.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) && safe(base) && safe(region) && text.len() <= 80
        {
            return Ok(Self(text.into()));
        }
        Err(format!("`{text}` is not a resource name"))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `kind.name`: one resource of a stack, or one member of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Address {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub name: Name,
}

impl Address {
    /// The address of `name` of a kind.
    #[must_use]
    pub const fn new(kind: Kind, name: Name) -> Self {
        Self { kind, name }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) =
            text.split_once('.').ok_or_else(|| format!("`{text}` is not an address: write `kind.name`"))?;
        let kind = Kind::from_word(kind).ok_or_else(|| {
            let words: Vec<_> = Kind::ALL.iter().map(|k| k.word()).collect();
            format!("`{kind}` is not a kind: one of {}", words.join(", "))
        })?;
        Ok(Self { kind, name: Name::try_from(name.to_owned())? })
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.name)
    }
}
