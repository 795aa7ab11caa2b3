//! Text with holes: what a template leaves open until a step is done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Address, Output};

/// One piece of a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Text as it stands.
    Literal(String),
    /// An output of a resource.
    Hole {
        /// Whose.
        address: Address,
        /// Which.
        output: Output,
    },
}

/// A text, some of which may only be known later.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Text(pub Vec<Part>);

impl Text {
    /// A text without holes.
    #[must_use]
    pub fn literal(text: impl Into<String>) -> Self {
        Self(vec![Part::Literal(text.into())])
    }

    /// The holes, in order of appearance.
    pub fn holes(&self) -> impl Iterator<Item = (&Address, Output)> {
        self.0.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Hole { address, output } => Some((address, *output)),
        })
    }

    /// Puts in what `value` knows and leaves the other holes.
    #[must_use]
    pub fn fill(&self, mut value: impl FnMut(&Address, Output) -> Option<String>) -> Self {
        self.resolve(|address, output| {
            let hole = || Part::Hole { address: address.clone(), output };
            value(address, output).map_or_else(hole, Part::Literal)
        })
    }

    /// Puts another part in the place of every hole: its text, or a hole that waits for somebody else.
    #[must_use]
    pub fn resolve(&self, mut part: impl FnMut(&Address, Output) -> Part) -> Self {
        let mut parts: Vec<Part> = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            let next = match piece {
                Part::Literal(text) => Part::Literal(text.clone()),
                Part::Hole { address, output } => part(address, *output),
            };
            match (parts.last_mut(), next) {
                (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
                (_, next) => parts.push(next),
            }
        }
        Self(parts)
    }

    /// The text, if it has no holes.
    #[must_use]
    pub fn complete(&self) -> Option<String> {
        self.0
            .iter()
            .map(|part| match part {
                Part::Literal(text) => Some(text.as_str()),
                Part::Hole { .. } => None,
            })
            .collect()
    }

    /// The text as a reader may see it, holes written as `<address.output>`.
    #[must_use]
    pub fn preview(&self) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.clone(),
                Part::Hole { address, output } => format!("<{address}.{output}>"),
            })
            .collect()
    }
}

/// Whether a value may fill a hole: addresses, ids and DNS names have no other characters, so nothing that is filled in
/// can end a line or a string of the script it goes into.
#[must_use]
pub fn fits_a_hole(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_'))
}
