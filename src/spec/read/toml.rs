//! TOML into the tree, with every syntax error there is.

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::fragment;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::tree::{Entry, Node, Span, Value};

/// Parses one document.
pub(super) fn parse(file: usize, text: &str, problems: &mut Diagnostics) -> Option<Node> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let failed = !errors.is_empty();
    let mut last_line = None;
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        // What follows an error on its line is mostly its echo.
        let line = text.get(..range.start).map(|before| before.matches('\n').count());
        if line.is_none() || line != last_line {
            let message = fragment(error.message().lines().next().unwrap_or("this is not TOML"));
            problems.push(Diagnostic::error("syntax", span(file, range), message));
        }
        last_line = line;
    }
    if failed {
        return None;
    }
    let whole = Span { file, start: 0, end: text.len() };
    Some(Node { span: whole, value: table(file, root.get_ref(), problems) })
}

fn span(file: usize, range: std::ops::Range<usize>) -> Span {
    Span { file, start: range.start, end: range.end }
}

/// A table, its entries in the order written.
fn table(file: usize, table: &DeTable<'_>, problems: &mut Diagnostics) -> Value {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: span(file, key.span()),
            node: node(file, value, problems),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span);
    Value::Table(entries)
}

fn node(file: usize, value: &Spanned<DeValue<'_>>, problems: &mut Diagnostics) -> Node {
    let span = span(file, value.span());
    let value = match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => integer(span, number, problems),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::Datetime(date.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| node(file, item, problems)).collect()),
        DeValue::Table(inner) => table(file, inner, problems),
    };
    Node { span, value }
}

fn integer(span: Span, number: &DeInteger<'_>, problems: &mut Diagnostics) -> Value {
    i64::from_str_radix(number.as_str(), number.radix()).map_or_else(
        |_| {
            problems.push(Diagnostic::error("syntax", span, "this number is too large"));
            Value::Integer(0)
        },
        Value::Integer,
    )
}
