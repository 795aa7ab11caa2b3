//! Security groups, desired and observed. A rule has one shape and three kinds of peer: by reference in what is
//! desired, by link in what is planned, by id in what is observed.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::id::{PrefixListId, VpcId};
use crate::model::net::{Cidr, Traffic};
use crate::model::{Address, CloudId, Output, Reference, Tags};
use crate::resources::VpcChoice;

/// What the spec wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// A literal name; absent means a generated one.
    pub name: Option<String>,
    /// AWS never changes it: another description is another group.
    pub description: String,
    /// Where it lives.
    pub vpc: VpcChoice,
    /// What happens to rules that others made.
    pub mode: RuleMode,
    /// What may come in.
    pub ingress: Rules,
    /// What may go out; absent means everything, as AWS lets a new group do.
    pub egress: Option<Rules>,
    /// The account's limit of rules a direction.
    pub rule_quota: u32,
}

/// Desired rules of one direction.
pub type Rules = BTreeMap<Rule<Reference>, Wish>;

/// Whose rules a group holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleMode {
    /// Those of the spec alone.
    Exclusive,
    /// Those of the spec, beside others'.
    Additive,
}

/// What is said of a rule, beside what it lets through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Shown in the console.
    pub description: Option<String>,
    /// The last day, in UTC, on which the rule is desired.
    pub expires: Option<Date>,
}

/// What is let through, and whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule<R> {
    /// What.
    pub traffic: Traffic,
    /// From or to whom.
    pub peer: Peer<R>,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Peer<R> {
    /// A network.
    Cidr(Cidr),
    /// The members of a group.
    Group(R),
    /// The members of a group of another account.
    ForeignGroup {
        /// Whose.
        account: String,
        /// Which.
        group: CloudId,
    },
    /// A managed prefix list.
    PrefixList(PrefixListId),
    /// The one address that an output of a resource will say.
    Output {
        /// Whose.
        address: Address,
        /// Which.
        output: Output,
    },
}

/// In or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the peer.
    Ingress,
    /// To the peer.
    Egress,
}

/// What AWS lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Its name, unique in the VPC whatever the case.
    pub name: String,
    /// Its description.
    #[serde(default)]
    pub description: String,
    /// Where it lives.
    pub vpc: VpcId,
    /// Its rules, both directions.
    #[serde(default)]
    pub rules: Vec<ObservedRule>,
}

/// A rule that AWS lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservedRule {
    /// `sgr-…`.
    pub id: CloudId,
    /// In or out.
    pub direction: Direction,
    /// What it says.
    pub rule: Rule<CloudId>,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its own tags, which say whose it is in an additive group.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

impl Direction {
    /// The word of the spec.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl<R: fmt::Display> fmt::Display for Peer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cidr(cidr) => cidr.fmt(f),
            Self::Group(group) => group.fmt(f),
            Self::ForeignGroup { account, group } => write!(f, "{group}@{account}"),
            Self::PrefixList(list) => list.fmt(f),
            Self::Output { address, output } => write!(f, "{address}.{output}"),
        }
    }
}

impl<R: fmt::Display> Rule<R> {
    /// The rule in words: `tcp 443 from 0.0.0.0/0`.
    #[must_use]
    pub fn words(&self, direction: Direction) -> String {
        let way = match direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        format!("{} {way} {}", self.traffic, self.peer)
    }
}

impl Observed {
    /// The rules of one direction.
    pub fn of(&self, direction: Direction) -> impl Iterator<Item = &ObservedRule> {
        self.rules.iter().filter(move |rule| rule.direction == direction)
    }
}
