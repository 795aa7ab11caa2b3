//! Key pairs, desired and observed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::public_key::PublicKey;

/// What the spec wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The key that is imported.
    pub public_key: PublicKey,
    /// A literal name; absent means a generated one.
    pub name: Option<String>,
}

/// What AWS lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Its name, unique in the region.
    pub name: String,
    /// As AWS prints it; which digest it is depends on how the key got there.
    pub fingerprint: String,
    /// The public key as an OpenSSH line, where AWS still has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}
