//! What the world answers instead of doing something, with the codes of EC2
//! (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>).

use std::fmt;

use crate::model::{CloudId, Kind};

/// A refusal. It had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldError {
    /// What sort of trouble.
    pub trouble: Trouble,
    /// The code of EC2.
    pub code: &'static str,
    /// What is wrong, in words.
    pub message: String,
}

/// Sorts of trouble, by what can be done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The object is not there.
    NotFound,
    /// Something of that name is there already.
    AlreadyExists,
    /// Something else holds it.
    InUse,
    /// Not allowed.
    Denied,
    /// The request itself is wrong.
    Invalid,
    /// The object is in a state that does not allow it.
    WrongState,
    /// A limit.
    Quota,
    /// It did not come about in the time given.
    TimedOut,
    /// Nobody answers.
    Unreachable,
}

impl WorldError {
    /// A refusal.
    #[must_use]
    pub fn new(trouble: Trouble, code: &'static str, message: impl Into<String>) -> Self {
        Self { trouble, code, message: message.into() }
    }

    /// An object of a kind is not there.
    #[must_use]
    pub fn missing(kind: Kind, id: &CloudId) -> Self {
        let code = match kind {
            Kind::KeyPair => "InvalidKeyPair.NotFound",
            Kind::SecurityGroup => "InvalidGroup.NotFound",
            Kind::ElasticIp => "InvalidAllocationID.NotFound",
            Kind::Instance => "InvalidInstanceID.NotFound",
            Kind::LoadBalancer => "LoadBalancerNotFound",
            Kind::HostFirewall => "HostNotFound",
        };
        Self::new(Trouble::NotFound, code, format!("`{id}` does not exist"))
    }

    /// A parameter is wrong.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Trouble::Invalid, "InvalidParameterValue", message)
    }
}

impl fmt::Display for WorldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for WorldError {}
