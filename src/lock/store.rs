//! What keeps a lease: a store of small objects that writes on a condition.

use std::fmt;
use std::future::Future;
use std::time::Duration;

/// A version of an object: what a store calls its entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(pub String);

/// An object as a store shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Its version.
    pub tag: Tag,
    /// How long ago it was written, both times by the store's own clock; absent when it does not say.
    pub age: Option<Duration>,
}

/// On which condition an object is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// There is none of its name (RFC 9110, 13.1.2: `If-None-Match: *`).
    Absent,
    /// There is, and it is of this version (RFC 9110, 13.1.1: `If-Match`).
    Is(Tag),
}

/// What a store answers to a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is written; its version.
    Written(Tag),
    /// The condition does not hold (412).
    Refused,
    /// There is no object to replace (404).
    Gone,
    /// Somebody writes at this very moment (409): ask again.
    Conflict,
}

/// Why a store did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    /// What was being done.
    pub doing: String,
    /// The store's own code.
    pub code: Option<String>,
    /// In words.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether asking again may help. A write may have had its effect then.
    pub passing: bool,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.detail)?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StoreError {}

/// A store of small objects.
pub trait Store: Send + Sync + 'static {
    /// Where an object is, for people.
    fn place(&self, name: &str) -> String;

    /// Reads an object; none when there is none.
    fn get(&self, name: &str) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// Writes an object on a condition. An error that [passes](StoreError::passing) leaves open whether it was written.
    fn put(&self, name: &str, bytes: Vec<u8>, when: When) -> impl Future<Output = Result<Put, StoreError>> + Send;
}
