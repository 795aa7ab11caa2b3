//! What was read of a host: ours, what others have there, and what it can do.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::Attach;
use super::packet::Foreign;
use super::ruleset::Ruleset;
use crate::model::{Family, Target};

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// How it was reached.
    pub target: Target,
    /// What it can do, and what others have there.
    pub facts: Facts,
    /// What is ours; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<Ours>,
}

/// What a host can do, and what others have there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Facts {
    /// The version of `nft`; absent when it is missing or cannot print JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nft: Option<String>,
    /// The version of `iptables` and `ip6tables` in their nft flavour; absent when either is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iptables: Option<String>,
    /// The version of `ipset`, which iptables needs for sets; absent when it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipset: Option<String>,
    /// Whether iptables-legacy has rules in this host's kernel.
    pub legacy: bool,
    /// Programs that manage the packet filter as their own and are active: `firewalld`, `ufw`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<String>,
    /// Who is connected: where the host sees us come from, and on which port of its own. Absent without a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
    /// What others have on the way in, per family.
    pub foreign: Foreign,
    /// A change that waits to be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// What is to be said of the host, in words: ports that are forwarded to containers, and so never come here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// Who is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Where the host sees it come from.
    pub address: IpAddr,
    /// The port of the host that it is connected to.
    pub port: u16,
}

/// A change that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The change's own id.
    pub id: String,
    /// Who made it: user, machine and program, as far as they told.
    pub by: String,
    /// When it is rolled back, in UTC by the host's clock.
    #[schemars(with = "String")]
    pub until: Timestamp,
}

/// What is ours on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ours {
    /// In which dialect it stands.
    pub backend: Backend,
    /// From where our chain is to be called.
    #[serde(default, skip_serializing_if = "Attach::is_usual")]
    pub attach: Attach,
    /// The rules.
    pub rules: Ruleset,
    /// Where our chain is called from, per family that is filtered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jumps: BTreeMap<Family, Jump>,
    /// What stands in our chain and is none of ours, as the tool prints it: somebody edited it by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edited: Vec<String>,
    /// What a boot would restore.
    #[serde(default)]
    pub boot: Boot,
}

/// Where our chain is called from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Jump {
    /// Nowhere: nothing of ours has any effect.
    Missing,
    /// Once, after this many rules of others; always 0 for a table of our own.
    After(u32),
    /// More than once.
    Several,
}

/// What a boot would restore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    /// Nothing of ours.
    #[default]
    Nothing,
    /// The rules as they stand.
    Current,
    /// Other rules, or a file that somebody edited, or one that nothing would load.
    Other,
}

/// A dialect of the kernel's packet filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// A table of our own.
    Nftables,
    /// A chain of our own in the `filter` table of iptables' nft flavour, with one jump to it, and ipsets.
    Iptables,
}

impl Backend {
    /// The word of the spec.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
