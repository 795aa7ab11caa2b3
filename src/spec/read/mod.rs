//! From text to one tree: each format is parsed into the same nodes, and several documents become one.

mod json;
mod merge;
mod toml;

use crate::diagnostic::Diagnostics;
use crate::model::tree::Node;

/// One document that the user wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path, as it is shown.
    pub path: String,
    /// What it says.
    pub text: String,
    /// How it says it.
    pub format: Format,
}

/// A language of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// TOML 1.0.
    Toml,
    /// JSON as RFC 8259 has it: no comments, no trailing commas.
    Json,
}

/// Reads every document and merges them in order; nothing when one cannot be read. The errors of all of them are found.
#[must_use]
pub fn read(sources: &[Source]) -> (Option<Node>, Diagnostics) {
    let mut problems = Diagnostics::new();
    let mut roots = Vec::with_capacity(sources.len());
    for (file, source) in sources.iter().enumerate() {
        let root = match source.format {
            Format::Toml => toml::parse(file, &source.text, &mut problems),
            Format::Json => json::parse(file, &source.text, &mut problems),
        };
        roots.extend(root);
    }
    if problems.has_errors() {
        return (None, problems);
    }
    (merge::merge(roots), problems)
}

/// The first letter small and no full stop behind: how every problem is worded here.
fn fragment(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_uppercase() => format!("{first}{}", chars.as_str()),
        (Some(first), _) => format!("{}{}", first.to_lowercase(), chars.as_str()),
        (None, _) => String::new(),
    }
}
