//! Several documents as one: tables merge, everything else is replaced by what comes later.

use std::collections::BTreeMap;

use crate::model::tree::{Entry, Node, Value};

/// Tables that say *which one of several*: half of one choice and half of another would be neither.
const CHOICES: [&str; 6] = ["user_data", "image", "public_key", "key_pair", "transport", "vpc"];

/// Where in a document a table stands.
#[derive(Clone, Copy)]
enum Depth {
    /// The document itself.
    Root,
    /// A kind's table: its keys are names that the user chose.
    Kind,
    /// Fields of a resource or of the network, and all that is below.
    Fields,
}

impl Depth {
    /// Whether the table under `key` is a choice.
    fn is_choice(self, key: &str) -> bool {
        match self {
            Self::Root => key == "fingerprint_key" || key == "lock",
            Self::Kind => false,
            Self::Fields => CHOICES.contains(&key),
        }
    }

    /// Where the table under `key` stands.
    fn below(self, key: &str) -> Self {
        match self {
            Self::Root if key == "network" || key == "tags" => Self::Fields,
            Self::Root => Self::Kind,
            Self::Kind | Self::Fields => Self::Fields,
        }
    }
}

/// Merges in the order given.
pub(super) fn merge(roots: Vec<Node>) -> Option<Node> {
    roots.into_iter().reduce(|base, over| node(base, over, Depth::Root))
}

fn node(base: Node, over: Node, depth: Depth) -> Node {
    match (base.value, over.value) {
        (Value::Table(under), Value::Table(entries)) => {
            Node { span: base.span, value: Value::Table(table(under, entries, depth)) }
        }
        (_, value) => Node { span: over.span, value },
    }
}

fn table(under: Vec<Entry>, over: Vec<Entry>, depth: Depth) -> Vec<Entry> {
    let places: BTreeMap<String, usize> = under.iter().enumerate().map(|(at, e)| (e.key.clone(), at)).collect();
    let mut merged: Vec<Option<Entry>> = under.into_iter().map(Some).collect();
    for entry in over {
        match places.get(&entry.key).and_then(|at| merged.get_mut(*at)) {
            Some(slot) => {
                let key = entry.key.clone();
                let next = match slot.take() {
                    Some(before) if !depth.is_choice(&key) => Entry {
                        key_span: if matches!(entry.node.value, Value::Table(_)) {
                            before.key_span
                        } else {
                            entry.key_span
                        },
                        node: node(before.node, entry.node, depth.below(&key)),
                        key,
                    },
                    Some(_) | None => entry,
                };
                *slot = Some(next);
            }
            None => merged.push(Some(entry)),
        }
    }
    merged.into_iter().flatten().collect()
}
