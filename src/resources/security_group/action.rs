//! The calls that change a security group.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::state::{Direction, Rule};
use crate::model::id::VpcId;
use crate::model::{CloudId, Link, TagEdit, Tags};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `CreateSecurityGroup`, which gives the id.
    Create {
        /// The physical name.
        name: String,
        /// The description.
        description: String,
        /// Where.
        vpc: VpcId,
        /// Written in the same call.
        tags: Tags,
    },
    /// Takes away the rules that AWS gives a new group: all traffic to everyone, in IPv4 and, in a VPC with IPv6, in IPv6.
    RevokeDefaultEgress,
    /// `AuthorizeSecurityGroupIngress` or `-Egress`. Rules that are there already are no error.
    Authorize {
        /// In or out.
        direction: Direction,
        /// What to let through.
        rules: Vec<NewRule>,
        /// Written on each rule in the same call.
        tags: Tags,
    },
    /// `RevokeSecurityGroupIngress` or `-Egress`, by rule id. Rules that are gone already are no error.
    Revoke {
        /// In or out.
        direction: Direction,
        /// Which, with what they say for whoever reads the plan.
        rules: Vec<OldRule>,
    },
    /// `UpdateSecurityGroupRuleDescriptionsIngress` or `-Egress`.
    Describe {
        /// In or out.
        direction: Direction,
        /// The new descriptions.
        rules: Vec<DescribedRule>,
    },
    /// `CreateTags` and `DeleteTags`.
    Tag(TagEdit),
    /// `DeleteSecurityGroup`.
    Delete,
}

/// A rule to authorize.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NewRule {
    /// What it says.
    pub rule: Rule<Link>,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A rule to revoke.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct OldRule {
    /// `sgr-…`.
    pub id: CloudId,
    /// What it says.
    pub rule: Rule<CloudId>,
}

/// A rule whose description changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DescribedRule {
    /// `sgr-…`.
    pub id: CloudId,
    /// What it says.
    pub rule: Rule<CloudId>,
    /// The new description; absent clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
