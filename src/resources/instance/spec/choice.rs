//! Fields of an instance that say *which one of several*: image, key, user data.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::id::{ImageId, well_formed};
use crate::model::tree::{Node, Span, Value};
use crate::resources::ImageQuery;
use crate::resources::decode::{At, Decode, Fields, by_rule, one_of, wrong_type};
use crate::resources::shape;

use super::super::state::ImageChoice;

shape::shapes! {
    /// An image.
    ImageShape = {
        "description": "an image: its id, or a query whose newest match is taken when the instance is made",
        "anyOf": [
            { "type": "string", "pattern": "^ami-[0-9a-f]{8,17}$" },
            {
                "type": "object",
                "properties": {
                    "name": { "type": "string", "minLength": 1, "description": "the image's name, `*` for any run of characters" },
                    "owner": { "type": "string", "pattern": "^([0-9]{12}|self|amazon|aws-marketplace)$", "description": "the account that owns it" },
                    "architecture": { "type": "string", "enum": ["x86_64", "arm64", "i386"] }
                },
                "required": ["name"],
                "additionalProperties": false
            }
        ]
    };
    /// A key pair.
    KeyShape = {
        "description": "a key pair of the spec, or { existing = NAME } for a foreign one",
        "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "properties": { "existing": { "type": "string", "minLength": 1, "description": "the name of a key pair that others made" } },
                "required": ["existing"],
                "additionalProperties": false
            }
        ]
    };
    /// User data.
    UserDataShape = {
        "description": "what it runs at its first boot: a text, a file, or a template",
        "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "properties": {
                    "file": { "type": "string", "description": "a path, relative to this document; any bytes" },
                    "sensitive": { "type": "boolean", "description": "nobody may see it, and its fingerprint is keyed" }
                },
                "required": ["file"],
                "additionalProperties": false
            },
            {
                "type": "object",
                "properties": {
                    "template": { "type": "string", "description": "a path, relative to this document; a minijinja template" },
                    "sensitive": { "type": "boolean", "description": "nobody may see it, and its fingerprint is keyed" }
                },
                "required": ["template"],
                "additionalProperties": false
            },
            {
                "type": "object",
                "properties": {
                    "text": { "type": "string", "description": "the data itself" },
                    "sensitive": { "type": "boolean", "description": "nobody may see it, and its fingerprint is keyed" }
                },
                "required": ["text"],
                "additionalProperties": false
            }
        ]
    };
}

/// Which image.
#[derive(Debug)]
pub(super) struct ImageSpec(pub(super) ImageChoice);

impl Decode for ImageSpec {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::String(text) if well_formed(text, ImageId::PREFIX) => {
                Some(Self(ImageChoice::Id(ImageId::new(text.as_str()))))
            }
            Value::String(text) => problems.fail(
                Diagnostic::error("id", node.span, format!("`{text}` is no image's id"))
                    .hint("write \"ami-…\", or a query { name = \"debian-12-amd64-*\", owner = \"136693071363\" }"),
            ),
            Value::Table(_) => read_query(node, problems).map(|query| Self(ImageChoice::Query(query))),
            other => problems.fail(wrong_type(node.span, "an image's id or a query", other)),
        }
    }
}

fn read_query(node: &Node, problems: &mut Diagnostics) -> Option<ImageQuery> {
    let mut fields = Fields::of(node, "an image query", problems)?;
    let name: Option<At<String>> = fields.required("name", problems);
    let owner = fields.node("owner").and_then(|node| by_rule(node, "owner", owner_rule, problems));
    let architecture = fields
        .node("architecture")
        .and_then(|node| one_of(node, &[("x86_64", "x86_64"), ("arm64", "arm64"), ("i386", "i386")], problems));
    fields.finish(problems);
    let name = name?;
    if name.value.is_empty() {
        return problems.fail(Diagnostic::error("empty", name.span, "an image query needs a name"));
    }
    if owner.is_none() {
        problems.push(
            Diagnostic::warning("any-owner", node.span, "anyone can publish an image with this name")
                .hint("say whose: `owner = \"amazon\"`, `\"self\"` or an account"),
        );
    }
    Some(ImageQuery { name: name.value, owner, architecture: architecture.map(str::to_owned) })
}

fn owner_rule(text: &str) -> Result<String, String> {
    let account = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    if account || ["self", "amazon", "aws-marketplace"].contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no owner: write twelve digits, `amazon`, `self` or `aws-marketplace`"))
    }
}

/// Which key.
#[derive(Debug)]
pub(super) enum KeySpec {
    /// A key pair of the spec.
    Named(At<String>),
    /// A foreign one.
    Existing(String),
}

impl Decode for KeySpec {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::String(text) => Some(Self::Named(At { value: text.clone(), span: node.span })),
            Value::Table(_) => {
                let mut fields = Fields::of(node, "this table", problems)?;
                let existing: Option<At<String>> = fields.required("existing", problems);
                fields.finish(problems);
                let existing = existing?;
                if existing.value.is_empty() {
                    return problems.fail(Diagnostic::error("empty", existing.span, "this is empty"));
                }
                Some(Self::Existing(existing.value))
            }
            other => problems.fail(wrong_type(node.span, "a key pair's name or { existing = \"…\" }", other)),
        }
    }
}

/// User data as written.
#[derive(Debug)]
pub(super) struct UserDataSpec {
    /// What it is.
    pub(super) body: BodySpec,
    /// Whether nobody may see it.
    pub(super) sensitive: bool,
    /// Where it stands.
    pub(super) span: Span,
}

/// Where user data comes from.
#[derive(Debug)]
pub(super) enum BodySpec {
    /// The spec itself.
    Text(String),
    /// A file, any bytes.
    File(At<String>),
    /// A template.
    Template(At<String>),
}

impl Decode for UserDataSpec {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::String(text) => Some(Self { body: BodySpec::Text(text.clone()), sensitive: false, span: node.span }),
            Value::Table(_) => read_user_data(node, problems),
            other => problems.fail(wrong_type(node.span, "a string, { file = \"…\" } or { template = \"…\" }", other)),
        }
    }
}

fn read_user_data(node: &Node, problems: &mut Diagnostics) -> Option<UserDataSpec> {
    let mut fields = Fields::of(node, "user data", problems)?;
    let text: Option<At<String>> = fields.optional("text", problems);
    let file: Option<At<String>> = fields.optional("file", problems);
    let template: Option<At<String>> = fields.optional("template", problems);
    let sensitive = fields.optional("sensitive", problems).unwrap_or(false);
    fields.finish(problems);
    let body = match (text, file, template) {
        (Some(text), None, None) => BodySpec::Text(text.value),
        (None, Some(file), None) => BodySpec::File(file),
        (None, None, Some(template)) => BodySpec::Template(template),
        (None, None, None) => {
            return problems.fail(Diagnostic::error(
                "missing-key",
                node.span,
                "user data needs one of `text`, `file` and `template`",
            ));
        }
        (_, _, _) => {
            return problems.fail(
                Diagnostic::error("combination", node.span, "user data is one of `text`, `file` and `template`")
                    .hint("keep one of them"),
            );
        }
    };
    Some(UserDataSpec { body, sensitive, span: node.span })
}
