//! A store in memory, for tests: it keeps to conditions as S3 does, or does not when it is told so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::{Clock, Moment};
use super::store::{Put, Store, StoreError, Stored, Tag, When};

/// A store in memory.
pub struct Memory {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (Vec<u8>, u64, Moment)>,
    writes: u64,
    ignores: Option<Ignores>,
}

/// Which condition a store takes and does not keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignores {
    /// `If-None-Match: *`.
    Absence,
    /// `If-Match`.
    Versions,
}

impl Memory {
    /// An empty store whose ages this clock tells.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// The same, with a fault.
    #[must_use]
    pub fn that_ignores(self, what: Ignores) -> Self {
        self.lock().ignores = Some(what);
        self
    }

    /// How many writes took effect.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Removes an object, as somebody with a broom might.
    pub fn remove(&self, name: &str) {
        self.lock().objects.remove(name);
    }

    /// Writes an object whatever is there.
    pub fn overwrite(&self, name: &str, bytes: &[u8]) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.writes += 1;
        let tag = state.writes;
        state.objects.insert(name.to_owned(), (bytes.to_vec(), tag, now));
    }

    /// What is in an object.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().objects.get(name).map(|(bytes, ..)| bytes.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tag(number: u64) -> Tag {
    Tag(format!("\"{number:032x}\""))
}

impl Store for Memory {
    fn place(&self, name: &str) -> String {
        format!("memory:{name}")
    }

    async fn get(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        let now = self.clock.now();
        let found = self.lock().objects.get(name).cloned();
        Ok(found.map(|(bytes, number, written)| Stored { bytes, tag: tag(number), age: Some(now.since(&written)) }))
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, when: When) -> Result<Put, StoreError> {
        let now = self.clock.now();
        let mut state = self.lock();
        let found = state.objects.get(name).map(|(_, number, _)| tag(*number));
        let answer = match (when, found) {
            (When::Absent, Some(_)) if state.ignores != Some(Ignores::Absence) => Some(Put::Refused),
            (When::Is(_), None) => Some(Put::Gone),
            (When::Is(wanted), Some(found)) if wanted != found && state.ignores != Some(Ignores::Versions) => {
                Some(Put::Refused)
            }
            _ => None,
        };
        if let Some(answer) = answer {
            return Ok(answer);
        }
        // No write ever gives a version that was there before: tags count from 1.
        state.writes += 1;
        let number = state.writes;
        state.objects.insert(name.to_owned(), (bytes, number, now));
        Ok(Put::Written(tag(number)))
    }
}
