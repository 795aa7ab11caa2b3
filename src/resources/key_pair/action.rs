//! The calls that change a key pair.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{TagEdit, Tags};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `ImportKeyPair`, which gives the id and the name.
    Import {
        /// The physical name.
        name: String,
        /// The OpenSSH line.
        public_key: String,
        /// Written in the same call.
        tags: Tags,
    },
    /// `CreateTags` and `DeleteTags`.
    Tag(TagEdit),
    /// `DeleteKeyPair`.
    Delete,
}
