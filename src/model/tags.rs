//! Tags, and the ownership that ours say.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Address;

/// An object's tags.
pub type Tags = BTreeMap<String, String>;

/// What every tag of ours begins with.
pub const OURS: &str = "portcullis:";
/// The stack that owns the object.
pub const STACK: &str = "portcullis:stack";
/// The address it was made for.
pub const ADDRESS: &str = "portcullis:address";
/// Which of the objects made at that address it is, counting from 1.
pub const GENERATION: &str = "portcullis:generation";
/// Where the spec comes from: two repositories may not share one stack name.
pub const ORIGIN: &str = "portcullis:origin";
/// Present on objects that are released, not deleted, when they leave the spec.
pub const KEEP: &str = "portcullis:keep";
/// Present on objects that may be neither replaced nor deleted.
pub const PROTECT: &str = "portcullis:protect";

/// What our tags say of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The stack that owns it.
    pub stack: String,
    /// The address it was made for.
    pub address: Address,
    /// Which of the objects made at that address it is.
    pub generation: u32,
    /// The spec's origin, when it names one.
    pub origin: Option<String>,
}

impl Owner {
    /// Reads ownership from an object's tags. An object is owned only when the stack *and* a readable address are there;
    /// a generation that cannot be read counts as 0, so that the next one made is higher.
    #[must_use]
    pub fn read(tags: &Tags) -> Option<Self> {
        let stack = tags.get(STACK)?.clone();
        let address = tags.get(ADDRESS)?.parse().ok()?;
        let generation = tags.get(GENERATION).and_then(|text| text.parse().ok()).unwrap_or(0);
        Some(Self { stack, address, generation, origin: tags.get(ORIGIN).cloned() })
    }

    /// The tags that say so.
    #[must_use]
    pub fn tags(&self) -> Tags {
        let mut tags = Tags::from([
            (STACK.to_owned(), self.stack.clone()),
            (ADDRESS.to_owned(), self.address.to_string()),
            (GENERATION.to_owned(), self.generation.to_string()),
        ]);
        if let Some(origin) = &self.origin {
            tags.insert(ORIGIN.to_owned(), origin.clone());
        }
        tags
    }
}

/// A change of an object's tags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagEdit {
    /// Tags to write.
    #[serde(default)]
    pub set: Tags,
    /// Keys to take away. Never empty when it is sent: AWS reads an empty list as "all".
    #[serde(default)]
    pub unset: BTreeSet<String>,
}

impl TagEdit {
    /// What turns `have` into `want`, where keys that `ignore` accepts are let alone.
    #[must_use]
    pub fn between(have: &Tags, want: &Tags, ignore: impl Fn(&str) -> bool) -> Self {
        let set = want.iter().filter(|(key, value)| have.get(*key) != Some(*value));
        let unset = have.keys().filter(|key| !want.contains_key(*key) && !ignore(key));
        Self { set: set.map(|(k, v)| (k.clone(), v.clone())).collect(), unset: unset.cloned().collect() }
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty()
    }

    /// Carries it out on a set of tags.
    pub fn apply(&self, tags: &mut Tags) {
        tags.retain(|key, _| !self.unset.contains(key));
        tags.extend(self.set.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
}

/// Whether `text` matches a pattern in which `*` stands for any run of characters.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return text.is_empty() };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}
