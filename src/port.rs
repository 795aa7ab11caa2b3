//! The one way out to the world: what a provider must be able to do, and what can go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::duration::Seconds;
use crate::model::{Address, CloudId, Kind, Link, Output, Region};
use crate::resources::registry::{Call, Object};
use crate::resources::snapshot::{Answer, Question, Snapshot};

pub use crate::resources::scope::{Scope, Wanted};

/// The cloud, or the simulated world.
pub trait Provider: Send + Sync {
    /// Lists what a scope asks for. Reads only.
    fn observe(&self, scope: &Scope) -> impl Future<Output = Result<Snapshot, ProviderError>> + Send;

    /// Answers questions that go beyond the listings. Reads only. Every question is answered.
    fn inquire(
        &self,
        questions: &BTreeSet<Question>,
    ) -> impl Future<Output = Result<BTreeMap<Question, Answer>, ProviderError>> + Send;

    /// Reads one object again; none when it is gone. Reads only.
    fn reread(
        &self,
        kind: Kind,
        region: &Region,
        id: &CloudId,
    ) -> impl Future<Output = Result<Option<Object>, ProviderError>> + Send;

    /// Carries out one call. A call whose effect is there already is no error.
    fn perform(&self, call: &Call, known: &Bindings) -> impl Future<Output = Result<Outputs, ProviderError>> + Send;
}

/// A way to run something on a host. What runs is text of ours for a POSIX shell; nothing of a spec is ever part of it
/// unescaped.
pub trait Shell: Send + Sync {
    /// Runs a script with this standard input, and gives what it printed.
    ///
    /// # Errors
    /// When the host cannot be reached, or the script does not end with 0.
    fn run(&self, script: &Script) -> impl Future<Output = Result<Vec<u8>, ShellError>> + Send;

    /// The same over a connection of its own, so that what it proves is true of whoever connects next.
    ///
    /// # Errors
    /// As [`Shell::run`].
    fn run_anew(&self, script: &Script) -> impl Future<Output = Result<Vec<u8>, ShellError>> + Send;
}

/// What runs on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What it does, in words: "reading the packet filter".
    pub doing: String,
    /// The text, for `sh -s`.
    pub text: String,
    /// How long it may take.
    pub timeout: Seconds,
}

/// Why a script gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellError {
    /// Whether the host was reached at all: whether the script may have run.
    pub reached: bool,
    /// Its exit code, where it ended by itself.
    pub code: Option<i32>,
    /// What it wrote to standard error, or why it was not reached.
    pub detail: String,
}

/// What a call gave: outputs of the object it made or changed.
pub type Outputs = BTreeMap<Output, String>;

/// What the calls of one apply have given so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bindings(BTreeMap<Address, Outputs>);

impl Bindings {
    /// Adds what a call gave.
    pub fn bind(&mut self, address: &Address, outputs: Outputs) {
        self.0.entry(address.clone()).or_default().extend(outputs);
    }

    /// What these addresses have told.
    #[must_use]
    pub fn of<'a>(&self, addresses: impl Iterator<Item = &'a Address>) -> Self {
        Self(addresses.filter_map(|address| Some((address.clone(), self.0.get(address)?.clone()))).collect())
    }

    /// An output of an address.
    #[must_use]
    pub fn output(&self, address: &Address, output: Output) -> Option<&str> {
        self.0.get(address)?.get(&output).map(String::as_str)
    }

    /// The id that a link points at.
    ///
    /// # Errors
    /// When the object should have been made and was not: the graph lets no such call start.
    pub fn id(&self, link: &Link) -> Result<CloudId, ProviderError> {
        match link {
            Link::Existing(id) => Ok(id.clone()),
            Link::Planned(address) => match self.output(address, Output::Id) {
                Some(id) => Ok(CloudId::new(id)),
                None => {
                    Err(ProviderError::new(Class::Invalid, "resolving a link", format!("`{address}` was not made")))
                }
            },
        }
    }

    /// The id of the object that a call acts on.
    ///
    /// # Errors
    /// As [`Bindings::id`].
    pub fn target(&self, call: &Call) -> Result<CloudId, ProviderError> {
        match &call.on {
            Some(id) => Ok(id.clone()),
            None => self.id(&Link::Planned(call.at.clone())),
        }
    }
}

/// What the world answered instead of doing it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderError {
    /// What sort of trouble.
    pub class: Class,
    /// What was being done: "authorizing 2 rules", "ec2:DescribeInstances in eu-west-1".
    pub doing: String,
    /// The world's own code, `UnauthorizedOperation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The request's id, for support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The world's own words.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the call may have had its effect all the same.
    #[serde(default)]
    pub ambiguous: bool,
}

/// Sorts of trouble, by what can be done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The object is not there, or not seen yet.
    NotFound,
    /// Something of that name is there already.
    AlreadyExists,
    /// Something else holds it.
    InUse,
    /// Not allowed: credentials, permission, protection.
    Denied,
    /// The request itself is wrong.
    Invalid,
    /// The object is in a state that does not allow it.
    WrongState,
    /// A limit or a lack of capacity.
    Quota,
    /// Too many requests.
    Throttled,
    /// The network, or the world's own fault.
    Transient,
    /// It did not come about in the time given.
    TimedOut,
}

impl ProviderError {
    /// An error that had no effect.
    #[must_use]
    pub fn new(class: Class, doing: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            class,
            doing: doing.into(),
            code: None,
            request_id: None,
            detail: detail.into(),
            hint: None,
            ambiguous: false,
        }
    }

    /// Adds the world's code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.detail)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ProviderError {}
