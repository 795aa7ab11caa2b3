//! What differs between an object and what is wanted of it, and how hard a change hits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Draft;
use crate::model::Output;

/// What turns what is there into what is wanted.
#[derive(Debug, Clone)]
pub struct Delta<A> {
    /// Every difference.
    pub fields: Vec<Field>,
    /// The calls that change it where it stands. Not used when any field replaces.
    pub drafts: Vec<Draft<A>>,
    /// Outputs that these calls renew while the object stays the same.
    pub renews: Vec<Output>,
}

impl<A> Default for Delta<A> {
    fn default() -> Self {
        Self { fields: Vec::new(), drafts: Vec::new(), renews: Vec::new() }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Field {
    /// The field of the spec.
    pub name: String,
    /// What becomes of it.
    pub edit: Edit,
    /// What that does to the object.
    pub effect: Effect,
}

/// A change of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Edit {
    /// One value instead of another.
    Value {
        /// As it is; absent when there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// As it will be; absent when there is to be none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// One entry more.
    Added(String),
    /// One entry less.
    Removed(String),
    /// A text of several lines.
    Text {
        /// As it is; absent when it could not be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// As it will be; absent when there is to be none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// It changes, and nobody may see how.
    Hidden,
}

/// What a change does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Changed where it stands.
    InPlace,
    /// Stopped, changed, started.
    Restart,
    /// Another object.
    Replace,
}

/// How hard a change hits, mildest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// Nobody notices.
    #[default]
    None,
    /// Connections break and can be made again.
    Reconnect,
    /// Something does not answer for a while.
    Downtime,
    /// Data that the spec does not describe is lost.
    DataLoss,
}

impl Impact {
    /// The word of options and output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reconnect => "reconnect",
            Self::Downtime => "downtime",
            Self::DataLoss => "data-loss",
        }
    }
}

/// Something the reader of a plan must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// How hard it hits.
    pub impact: Impact,
    /// What happens, in words.
    pub text: String,
}

impl Note {
    /// A note.
    #[must_use]
    pub fn new(impact: Impact, text: impl Into<String>) -> Self {
        Self { impact, text: text.into() }
    }
}
