//! Why a plan must not be carried out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Address;

/// Why a plan is not to be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// What sort of reason.
    pub kind: RefusalKind,
    /// Which resource, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// What stands in the way.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Sorts of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// It is protected.
    Protected,
    /// Several objects of one generation at one address.
    Twin,
    /// Another spec owns it.
    Origin,
    /// Something foreign holds what must go.
    Holder,
    /// What it would take belongs to something else.
    Taken,
    /// An `adopt` clause cannot be carried out.
    Adopt,
    /// A lookup finds none, or several.
    Lookup,
    /// A quota does not suffice.
    Quota,
    /// The steps cannot be brought into an order.
    Cycle,
    /// Something would be reachable that neither start nor end allows.
    Exposure,
    /// Too few would be left in service.
    Capacity,
    /// Whoever carries it out would be locked out.
    Lockout,
    /// A change of somebody else waits to be confirmed.
    Pending,
    /// A guard of the spec or the command line.
    Guard,
    /// A rehearsal came to a state that must not be.
    Rehearsal,
}

impl Refusal {
    /// A refusal about one resource.
    #[must_use]
    pub fn new(kind: RefusalKind, at: &Address, message: impl Into<String>) -> Self {
        Self { kind, address: Some(at.clone()), message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
