//! JSON into the tree: strict, and a key may stand only once.

use std::collections::BTreeMap;

use jsonc_parser::ast;
use jsonc_parser::common::Range;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::fragment;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::tree::{Entry, Node, Span, Value};

/// RFC 8259 and nothing beside it.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Parses one document, whose top level must be an object.
pub(super) fn parse(file: usize, text: &str, problems: &mut Diagnostics) -> Option<Node> {
    let whole = Span { file, start: 0, end: text.len() };
    match parse_to_ast(text, &CollectOptions::default(), &STRICT) {
        Err(error) => {
            let message = fragment(&error.kind().to_string());
            problems.fail(Diagnostic::error("syntax", span(file, error.range()), message))
        }
        Ok(parsed) => match parsed.value {
            Some(ast::Value::Object(object)) => Some(Node { span: whole, value: table(file, object, problems) }),
            Some(_) => problems.fail(Diagnostic::error("syntax", whole, "a spec is an object at its top level")),
            None => problems.fail(
                Diagnostic::error("syntax", whole, "the document is empty").hint("write at least { \"stack\": \"…\" }"),
            ),
        },
    }
}

const fn span(file: usize, range: Range) -> Span {
    Span { file, start: range.start, end: range.end }
}

const fn range_of(value: &ast::Value<'_>) -> Range {
    match value {
        ast::Value::StringLit(lit) => lit.range,
        ast::Value::NumberLit(lit) => lit.range,
        ast::Value::BooleanLit(lit) => lit.range,
        ast::Value::Object(object) => object.range,
        ast::Value::Array(array) => array.range,
        ast::Value::NullKeyword(word) => word.range,
    }
}

fn table(file: usize, object: ast::Object<'_>, problems: &mut Diagnostics) -> Value {
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    let mut entries = Vec::with_capacity(object.properties.len());
    for property in object.properties {
        let range = match &property.name {
            ast::ObjectPropName::String(name) => name.range,
            ast::ObjectPropName::Word(name) => name.range,
        };
        let (key, key_span) = (property.name.into_string(), span(file, range));
        if let Some(first) = seen.insert(key.clone(), key_span) {
            let problem = Diagnostic::error("duplicate-key", key_span, format!("`{key}` stands here a second time"));
            problems.push(problem.also(first, "the first time"));
        }
        entries.push(Entry { key, key_span, node: node(file, property.value, problems) });
    }
    Value::Table(entries)
}

fn node(file: usize, value: ast::Value<'_>, problems: &mut Diagnostics) -> Node {
    let span = span(file, range_of(&value));
    let value = match value {
        ast::Value::StringLit(lit) => Value::String(lit.value.into_owned()),
        ast::Value::NumberLit(lit) => number(span, lit.value, problems),
        ast::Value::BooleanLit(lit) => Value::Bool(lit.value),
        ast::Value::Object(object) => table(file, object, problems),
        ast::Value::Array(array) => {
            Value::Array(array.elements.into_iter().map(|item| node(file, item, problems)).collect())
        }
        ast::Value::NullKeyword(_) => Value::Null,
    };
    Node { span, value }
}

fn number(span: Span, text: &str, problems: &mut Diagnostics) -> Value {
    let whole = !text.contains(['.', 'e', 'E']);
    match (whole, text.parse::<i64>(), text.parse::<f64>()) {
        (true, Ok(number), _) => Value::Integer(number),
        (false, _, Ok(number)) => Value::Float(number),
        (true, Err(_), _) | (false, _, Err(_)) => {
            problems.push(Diagnostic::error("syntax", span, "this number is too large"));
            Value::Integer(0)
        }
    }
}
