//! What was observed, all of one moment, *and what could not be seen*; and what is asked beyond the listings.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::registry::Object;
use super::{Choice, ImageQuery};
use crate::model::id::{ImageId, SubnetId, VpcId, ZoneName};
use crate::model::net::Cidr;
use crate::model::query::AddressOf;
use crate::model::{AccountId, CloudId, Kind, Query, Region, Tags};

/// The world as listed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Objects that carry the stack's tag, and foreign ones that the spec names; ordered by region, kind and id.
    #[serde(default)]
    pub objects: Vec<Object>,
    /// The network of each region that was looked at.
    #[serde(default)]
    pub facts: BTreeMap<Region, Facts>,
    /// What could not be listed. Nothing is deleted or made where something could not be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<Unseen>,
    /// Every instance of the regions that queries look at, whoever owns it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fleet: BTreeMap<Region, Fleet>,
    /// Hosts that could not be read, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreached: BTreeMap<CloudId, String>,
    /// What later rounds answered.
    #[serde(skip)]
    pub answers: BTreeMap<Question, Answer>,
}

/// A listing that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unseen {
    /// Where.
    pub region: Region,
    /// What; absent means everything there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Why, in words.
    pub why: String,
}

/// The instances of one region, for queries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fleet {
    /// Every one of them: half a listing is none.
    Seen(Vec<Machine>),
    /// It could not be listed, and why.
    Unseen(String),
}

/// An instance, as queries see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its id.
    pub id: CloudId,
    /// Its state, in EC2's word.
    pub state: String,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Its public IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Ipv4Addr>,
    /// Its private IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<Ipv4Addr>,
    /// Its IPv6 addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv6: Vec<Ipv6Addr>,
}

impl Machine {
    /// Whether a query asks for it.
    #[must_use]
    pub fn fits(&self, query: &Query) -> bool {
        query.states.contains(&self.state) && query.tags.iter().all(|(key, value)| self.tags.get(key) == Some(value))
    }

    /// Those of its addresses.
    #[must_use]
    pub fn addresses(&self, which: AddressOf) -> Vec<IpAddr> {
        match which {
            AddressOf::Public => self.public.into_iter().map(IpAddr::from).collect(),
            AddressOf::Private => self.private.into_iter().map(IpAddr::from).collect(),
            AddressOf::Ipv6 => self.ipv6.iter().copied().map(IpAddr::from).collect(),
        }
    }
}

/// A region's network, as far as planning needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Every VPC.
    #[serde(default)]
    pub vpcs: Vec<Vpc>,
    /// Every subnet.
    #[serde(default)]
    pub subnets: Vec<Subnet>,
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// Whether it is the region's default.
    #[serde(default)]
    pub default: bool,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Whether it has an IPv6 block.
    #[serde(default)]
    pub ipv6: bool,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its zone.
    pub zone: ZoneName,
    /// Its IPv4 network.
    pub cidr: Cidr,
    /// Whether it is the zone's default.
    #[serde(default)]
    pub default: bool,
    /// Whether instances get a public address unless they say otherwise.
    #[serde(default)]
    pub public_ip: bool,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

/// A question that goes beyond the listings: asked only when a plan depends on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Who keeps this object from going, foreign holders too.
    Holders {
        /// What kind.
        kind: Kind,
        /// Where.
        region: Region,
        /// Which.
        id: CloudId,
    },
    /// Whether an object of this name is there, whoever owns it.
    Named {
        /// What kind.
        kind: Kind,
        /// Where.
        region: Region,
        /// In which VPC, for kinds whose names are a VPC's.
        vpc: Option<VpcId>,
        /// The name.
        name: String,
    },
    /// An image by id: its root device.
    Image {
        /// Where.
        region: Region,
        /// Which.
        id: ImageId,
    },
    /// The newest image that matches.
    NewestImage {
        /// Where.
        region: Region,
        /// The query.
        query: ImageQuery,
    },
    /// The user data of one instance.
    UserData {
        /// Where.
        region: Region,
        /// Which.
        id: CloudId,
    },
    /// Whether AWS itself refuses to terminate one instance.
    TerminationProtection {
        /// Where.
        region: Region,
        /// Which.
        id: CloudId,
    },
    /// What an instance type is.
    InstanceType {
        /// Where.
        region: Region,
        /// Its name.
        name: String,
    },
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Who holds it.
    Holders(Vec<Holder>),
    /// The object of that name, if there is one.
    Named(Option<CloudId>),
    /// The image; absent when there is none.
    Image(Option<Image>),
    /// The bytes; absent when there are none.
    UserData(Option<Vec<u8>>),
    /// Yes or no.
    TerminationProtection(bool),
    /// The type; absent when the region does not know it.
    InstanceType(Option<InstanceType>),
}

/// Something that keeps an object from going.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// Its id: an interface, an instance, or the group whose rule names it.
    pub id: CloudId,
    /// What it is, in words: "network interface of instance i-0abc".
    pub what: String,
    /// The object of a kind that stands behind it, where there is one.
    pub object: Option<CloudId>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name.
    pub name: String,
    /// Who owns it.
    #[serde(default)]
    pub owner: String,
    /// `x86_64` or `arm64`.
    #[serde(default)]
    pub architecture: String,
    /// When it was made, as AWS prints it; the greatest is the newest.
    #[serde(default)]
    pub created: String,
    /// The device that it boots from.
    #[serde(default = "Image::usual_root")]
    pub root_device: String,
}

impl Image {
    /// What most images boot from.
    fn usual_root() -> String {
        "/dev/xvda".to_owned()
    }
}

/// An instance type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceType {
    /// Whether it has disks that a stop wipes.
    pub instance_store: bool,
}

/// A lookup that does not find exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupError {
    /// What was looked for, and what was found.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Facts {
    /// The VPC that a choice means.
    ///
    /// # Errors
    /// When it is not exactly one, with the candidates.
    pub fn vpc(&self, choice: &Choice<VpcId>) -> Result<VpcId, LookupError> {
        let found: Vec<&Vpc> = match choice {
            Choice::Default => self.vpcs.iter().filter(|vpc| vpc.default).collect(),
            Choice::Id(id) => self.vpcs.iter().filter(|vpc| vpc.id == *id).collect(),
            Choice::Tags(tags) => self.vpcs.iter().filter(|vpc| has_all(&vpc.tags, tags)).collect(),
        };
        if let [one] = found.as_slice() {
            return Ok(one.id.clone());
        }
        let what = match choice {
            Choice::Default => "default VPC".to_owned(),
            Choice::Id(id) => format!("VPC `{id}`"),
            Choice::Tags(tags) => format!("VPC with {}", words(tags)),
        };
        let all: Vec<String> = self.vpcs.iter().map(|vpc| vpc.id.to_string()).collect();
        let several: Vec<String> = found.iter().map(|vpc| vpc.id.to_string()).collect();
        Err(not_one(&what, &several, &all))
    }

    /// The subnet that a choice means, within a VPC.
    ///
    /// # Errors
    /// When it is not exactly one, with the candidates.
    pub fn subnet(&self, choice: &Choice<SubnetId>) -> Result<&Subnet, LookupError> {
        let found: Vec<&Subnet> = match choice {
            Choice::Default => self.subnets.iter().filter(|subnet| subnet.default).collect(),
            Choice::Id(id) => self.subnets.iter().filter(|subnet| subnet.id == *id).collect(),
            Choice::Tags(tags) => self.subnets.iter().filter(|subnet| has_all(&subnet.tags, tags)).collect(),
        };
        if let [one] = found.as_slice() {
            return Ok(one);
        }
        let what = match choice {
            Choice::Default => "default subnet".to_owned(),
            Choice::Id(id) => format!("subnet `{id}`"),
            Choice::Tags(tags) => format!("subnet with {}", words(tags)),
        };
        let all: Vec<String> = self.subnets.iter().map(|subnet| format!("{} ({})", subnet.id, subnet.zone)).collect();
        let several: Vec<String> = found.iter().map(|subnet| subnet.id.to_string()).collect();
        Err(not_one(&what, &several, &all))
    }

    /// The default subnet of a VPC's zone; in a VPC of one's own, its only subnet there.
    #[must_use]
    pub fn subnets_in(&self, vpc: &VpcId) -> Vec<&Subnet> {
        let mut all: Vec<&Subnet> = self.subnets.iter().filter(|subnet| subnet.vpc == *vpc).collect();
        if all.iter().any(|subnet| subnet.default) {
            all.retain(|subnet| subnet.default);
        }
        all.sort_by(|a, b| (&a.zone, &a.id).cmp(&(&b.zone, &b.id)));
        all
    }

    /// Whether an address lies in a subnet.
    #[must_use]
    pub fn contains(subnet: &Subnet, address: IpAddr) -> bool {
        subnet.cidr.contains(address)
    }
}

fn has_all(tags: &Tags, wanted: &Tags) -> bool {
    wanted.iter().all(|(key, value)| tags.get(key) == Some(value))
}

fn words(tags: &Tags) -> String {
    tags.iter().map(|(key, value)| format!("tag {key}={value}")).collect::<Vec<_>>().join(" and ")
}

fn not_one(what: &str, found: &[String], all: &[String]) -> LookupError {
    if found.is_empty() {
        let there =
            if all.is_empty() { "the region has none".to_owned() } else { format!("there are {}", all.join(", ")) };
        LookupError { message: format!("no {what} in this region"), hint: format!("name one that exists: {there}") }
    } else {
        LookupError {
            message: format!("{} objects match: {what}", found.len()),
            hint: format!("name one by its id: {}", found.join(", ")),
        }
    }
}
