//! The calls that change the firewall of a host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host::Backend;
use super::ruleset::Edit;
use crate::model::duration::Seconds;
use crate::model::{TagEdit, Tags, Target};

/// The code of the error that says that the host took a change back, as it did not answer over a new connection.
pub const ROLLED_BACK: &str = "RolledBack";

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Changes our rules: one transaction per family, from what stands there then.
    Edit(Box<Change>),
    /// Takes everything of ours away: chain or table, jump, sets, and what a boot would restore.
    Withdraw {
        /// Which host.
        target: Target,
        /// How it is made sure that the host still answers.
        commit: Commit,
    },
    /// Only the ownership that the marker tells.
    Tag {
        /// What changes.
        edit: TagEdit,
    },
    /// Tries whether a host answers that did not when the plan was made. It never ends well: nothing is planned for a host
    /// that could not be read, and whoever waits for it to open must not go on.
    Reach {
        /// Which host.
        target: Target,
    },
}

impl Action {
    /// Which host, where the call says so itself.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::Edit(change) => Some(&change.target),
            Self::Withdraw { target, .. } | Self::Reach { target } => Some(target),
            Self::Tag { .. } => None,
        }
    }
}

/// A change of our rules on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Which host.
    pub target: Target,
    /// In which dialect.
    pub backend: Backend,
    /// From where our chain is called.
    pub attach: Attach,
    /// Whose it is, written in the marker.
    pub tags: Tags,
    /// What changes.
    pub edit: Edit,
    /// Rules of others that go in the same transaction, as their tool prints them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopt: Vec<String>,
    /// Whether our chain is to be called before all rules of others, also where it is called after some now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raise: bool,
    /// How it is made sure that the host still answers.
    pub commit: Commit,
    /// Whether a boot shall restore the rules as they are then.
    pub persist: bool,
}

/// From where our chain is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Attach {
    /// By the dialect's own way: a base chain of our table, or a jump at the top of `INPUT`.
    #[default]
    Input,
    /// With iptables: by a jump at the top of this chain of the `filter` table.
    Chain(String),
}

impl Attach {
    /// Whether it is the dialect's own way.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::Input
    }

    /// The same where `INPUT` by its name is the dialect's own way, too.
    #[must_use]
    pub fn normal(&self) -> Self {
        match self {
            Self::Chain(name) if name != "INPUT" => self.clone(),
            Self::Chain(_) | Self::Input => Self::Input,
        }
    }
}

/// How it is made sure that a host still answers after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Commit {
    /// It is not: the change cannot lock anybody out, or the spec says so.
    AtOnce,
    /// The host takes the change back unless it is confirmed over a new connection within this time.
    Within(Seconds),
}

/// The code of a host that answers, though nothing was planned for it.
pub const HOST_ANSWERS: &str = "HostAnswers";
/// What is said then.
pub const ANSWERS_NOW: &str = "the host answers now, and nothing was planned for it: apply again";
