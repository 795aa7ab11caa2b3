//! The calls that change an Elastic IP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{CloudId, Link, TagEdit, Tags};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `AllocateAddress`, which gives the id and the address.
    Allocate {
        /// The pool it comes from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pool: Option<String>,
        /// The network border group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        border_group: Option<String>,
        /// Written in the same call.
        tags: Tags,
    },
    /// `AssociateAddress`. Reassociation is allowed only when the plan names who holds the address now.
    Associate {
        /// Who shall answer.
        to: Link,
        /// The association it is moved from, as the plan saw it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<CloudId>,
    },
    /// `DisassociateAddress`.
    Disassociate {
        /// The association, as the plan saw it.
        association: CloudId,
    },
    /// `CreateTags` and `DeleteTags`.
    Tag(TagEdit),
    /// `ReleaseAddress`: the address belongs to a stranger soon after.
    Release,
}
