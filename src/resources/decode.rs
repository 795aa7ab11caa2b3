//! Reading a kind's fields out of a tree: every field alone, so that every problem is found and pointed at.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::tree::{Entry, Node, Span, Value};

/// A type that can be read from one node.
pub trait Decode: Sized {
    /// Reads it, or says what is wrong in `problems` and gives nothing.
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self>;
}

/// A value with the place it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T: Decode> Decode for At<T> {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        Some(Self { value: T::decode(node, problems)?, span: node.span })
    }
}

/// The fields of one table, taken one by one; what is left at the end is unknown.
pub struct Fields<'a> {
    /// What the table is, for messages: "a rule".
    what: &'static str,
    entries: &'a [Entry],
    asked: Vec<&'static str>,
    refused: Vec<&'static str>,
    span: Span,
}

impl<'a> Fields<'a> {
    /// The fields of a table.
    pub fn of(node: &'a Node, what: &'static str, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::Table(entries) => {
                Some(Self { what, entries, asked: Vec::new(), refused: Vec::new(), span: node.span })
            }
            other => problems.fail(wrong_type(node.span, what, other)),
        }
    }

    /// Where the table stands.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// The node of a field, if it is there.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// A field that may be absent. A wrong one is reported and counts as absent.
    pub fn optional<T: Decode>(&mut self, key: &'static str, problems: &mut Diagnostics) -> Option<T> {
        self.node(key).and_then(|node| T::decode(node, problems))
    }

    /// A field that must be there.
    pub fn required<T: Decode>(&mut self, key: &'static str, problems: &mut Diagnostics) -> Option<T> {
        match self.node(key) {
            Some(node) => T::decode(node, problems),
            None => problems.fail(Diagnostic::error("missing-key", self.span, format!("{} needs `{key}`", self.what))),
        }
    }

    /// A field that the table does not take: why, and what to do instead. It is not among those that it is said to take.
    pub fn refuse(&mut self, key: &'static str, why: &str, hint: &str, problems: &mut Diagnostics) {
        if let Some(entry) = self.entries.iter().find(|entry| entry.key == key) {
            problems.push(Diagnostic::error("unknown-key", entry.key_span, why).hint(hint));
        }
        self.refused.push(key);
    }

    /// Reports every key that nobody asked for, with the nearest known one.
    pub fn finish(self, problems: &mut Diagnostics) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if !self.asked.contains(&key) && !self.refused.contains(&key) {
                problems.push(unknown_key(entry, self.what, &self.asked));
            }
        }
    }
}

/// Says that a key is unknown, and which one is probably meant.
#[must_use]
pub fn unknown_key(entry: &Entry, what: &str, known: &[&str]) -> Diagnostic {
    let problem = Diagnostic::error("unknown-key", entry.key_span, format!("{what} has no `{}`", entry.key));
    match nearest(&entry.key, known) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => {
            let mut known = known.to_vec();
            known.sort_unstable();
            problem.hint(format!("it takes {}", known.join(", ")))
        }
    }
}

/// The known word that a word was probably meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate));
    scored.filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4).min().map(|(_, candidate)| candidate)
}

/// Says that something of another type stands there.
#[must_use]
pub fn wrong_type(span: Span, wanted: &str, found: &Value) -> Diagnostic {
    Diagnostic::error("wrong-type", span, format!("{wanted} is wanted here, not {}", found.what()))
}

impl Decode for bool {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            other => problems.fail(wrong_type(node.span, "true or false", other)),
        }
    }
}

impl Decode for String {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::String(value) => Some(value.clone()),
            other => problems.fail(wrong_type(node.span, "a string", other)),
        }
    }
}

impl Decode for i64 {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::Integer(value) => Some(*value),
            other => problems.fail(wrong_type(node.span, "a whole number", other)),
        }
    }
}

/// A list, each entry of which is read alone. One wrong entry does not hide the others.
impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::Array(items) => Some(items.iter().filter_map(|item| T::decode(item, problems)).collect()),
            other => problems.fail(wrong_type(node.span, "a list", other)),
        }
    }
}

/// `T | T[]`: one, or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Decode> Decode for OneOrMany<T> {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::Array(_) => Vec::decode(node, problems).map(Self),
            _ => T::decode(node, problems).map(|one| Self(vec![one])),
        }
    }
}

/// Reads a string by a rule that says in words what is wrong.
pub fn by_rule<T>(
    node: &Node,
    code: &'static str,
    rule: impl FnOnce(&str) -> Result<T, String>,
    problems: &mut Diagnostics,
) -> Option<T> {
    let text = String::decode(node, problems)?;
    match rule(&text) {
        Ok(value) => Some(value),
        Err(why) => problems.fail(Diagnostic::error(code, node.span, why)),
    }
}

/// Reads a whole number between two bounds.
pub fn within<T: TryFrom<i64>>(
    node: &Node,
    what: &str,
    bounds: std::ops::RangeInclusive<i64>,
    problems: &mut Diagnostics,
) -> Option<T> {
    let number = i64::decode(node, problems)?;
    match T::try_from(number) {
        Ok(value) if bounds.contains(&number) => Some(value),
        _ => problems.fail(Diagnostic::error(
            "out-of-range",
            node.span,
            format!("{what} is a whole number from {} to {}", bounds.start(), bounds.end()),
        )),
    }
}

/// Reads one of a closed list of words, in any case.
pub fn one_of<T: Copy>(node: &Node, words: &[(&str, T)], problems: &mut Diagnostics) -> Option<T> {
    let text = String::decode(node, problems)?;
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text)).map(|(_, value)| *value);
    if found.is_none() {
        let near = nearest(&text.to_ascii_lowercase(), &known);
        let problem = Diagnostic::error("unknown-word", node.span, format!("`{text}` is none of {}", known.join(", ")));
        problems.push(match near {
            Some(near) => problem.hint(format!("did you mean \"{near}\"?")),
            None => problem,
        });
    }
    found
}
