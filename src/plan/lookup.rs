//! A map that can be asked and not walked: what a plan looks up a million times, in constant time, without an order that
//! could leak into the plan.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};

/// A map without iteration. Its hasher has fixed keys: the same plan does the same work.
#[derive(Debug)]
pub(super) struct Lookup<K, V>(HashMap<K, V, BuildHasherDefault<DefaultHasher>>);

impl<K: Eq + Hash, V> Lookup<K, V> {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self(HashMap::default())
    }

    /// What is kept under a key.
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    /// Whether anything is kept under a key.
    pub(super) fn contains<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// Keeps a value under a key; whether nothing was there before.
    pub(super) fn insert(&mut self, key: K, value: V) -> bool {
        self.0.insert(key, value).is_none()
    }
}
