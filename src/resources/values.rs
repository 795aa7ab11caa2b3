//! Values that more than one kind reads: the fields of every resource, tags, ids and lookups, durations and texts.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use schemars::JsonSchema;

use super::decode::{At, Decode, Fields, by_rule, wrong_type};
use super::shape;
use super::{Choice, SubnetChoice, VpcChoice};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::duration::{Gibibytes, Seconds};
use crate::model::id::{SubnetId, VpcId, well_formed};
use crate::model::tags::OURS;
use crate::model::tree::{Node, Span, Value};
use crate::model::{Name, Region, Tags};

/// EC2's limit of tags on one object, less the eight that may be ours
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html>).
const MOST_TAGS: usize = 50 - 8;

/// The fields that every resource has.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(rename = "Common")]
pub struct CommonSpec {
    /// Where it lives; the top level's region when absent.
    #[schemars(with = "Option<shape::RegionText>")]
    pub region: Option<At<Region>>,
    /// Tags, beside the stack's; these win.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub tags: Option<TagTable>,
    /// Refuses to replace or delete it.
    pub protect: Option<bool>,
    /// `false` drops the resource, so that an overlay can take it out.
    pub enabled: Option<bool>,
    /// The name it had before: renames it without making it anew.
    #[schemars(with = "Option<shape::NameText>")]
    pub previously: Option<At<Name>>,
    /// The id or name of a foreign object to take over.
    #[schemars(with = "Option<String>")]
    pub adopt: Option<At<String>>,
    /// Releases the object instead of deleting it when it leaves the spec.
    pub keep: Option<bool>,
    /// How long one step may wait.
    #[schemars(with = "Option<shape::DurationText>")]
    pub timeout: Option<Seconds>,
}

/// The fields of [`CommonSpec`] that mean nothing on a host, with why, and what to do instead.
const NOT_ON_HOSTS: [(&str, &str, &str); 4] = [
    ("region", "a host is in no region of AWS", "leave it out: the regions of instances stand in `rules`"),
    ("tags", "nothing on a host has tags", "leave it out: what is ours is marked on the host"),
    ("protect", "nothing on a host can be protected", "leave it out: `commit` takes a change back that cuts you off"),
    (
        "keep",
        "what is ours on a host stays when it is taken out of the spec",
        "leave it out: `state = \"absent\"` takes it away",
    ),
];

impl CommonSpec {
    /// Reads those that mean something on a host; the kind reads its own `adopt`.
    pub fn read_on_host(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Self {
        for (key, why, hint) in NOT_ON_HOSTS {
            fields.refuse(key, why, hint, problems);
        }
        Self {
            region: None,
            tags: None,
            protect: None,
            enabled: fields.optional("enabled", problems),
            previously: fields.optional("previously", problems),
            adopt: None,
            keep: None,
            timeout: read_timeout(fields, problems),
        }
    }

    /// Whether a field means something on a host.
    #[must_use]
    pub fn is_on_hosts(key: &str) -> bool {
        key != "adopt" && NOT_ON_HOSTS.iter().all(|(other, ..)| *other != key)
    }

    /// Reads them.
    pub fn read(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Self {
        Self {
            region: fields.optional("region", problems),
            tags: fields.optional("tags", problems),
            protect: fields.optional("protect", problems),
            enabled: fields.optional("enabled", problems),
            previously: fields.optional("previously", problems),
            adopt: fields.optional("adopt", problems),
            keep: fields.optional("keep", problems),
            timeout: read_timeout(fields, problems),
        }
    }
}

fn read_timeout(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Seconds> {
    fields.node("timeout").and_then(|node| seconds_within(node, "a timeout", 1..=86_400, problems))
}

/// Tags as written, each one with its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagTable {
    /// The tags.
    pub tags: Tags,
    /// Where they stand.
    pub span: Span,
    /// Where each key and each value stands.
    places: BTreeMap<String, (Span, Span)>,
}

/// What a service takes in tags, where that is less than EC2's own rules.
#[derive(Debug, Clone, Copy)]
pub struct TagCharacters {
    /// Whose tags, with the article.
    pub whose: &'static str,
    /// Whether it takes a character.
    pub takes: fn(char) -> bool,
    /// What it takes, in words.
    pub words: &'static str,
}

impl TagCharacters {
    /// Refuses a text of a tag that has another character; `why` says how it came to be one.
    pub fn check(&self, text: &str, at: Span, why: &str, problems: &mut Diagnostics) {
        if let Some(wrong) = text.chars().find(|c| !(self.takes)(*c)) {
            let message = format!("AWS takes no `{}` in the tags of {}{why}", wrong.escape_debug(), self.whose);
            problems.push(Diagnostic::error("tag", at, message).hint(format!("it takes {}", self.words)));
        }
    }
}

impl TagTable {
    /// Refuses every tag with other characters, those that `over` replaces apart.
    pub fn check(&self, over: Option<&Self>, characters: &TagCharacters, problems: &mut Diagnostics) {
        for (key, value) in &self.tags {
            let replaced = over.is_some_and(|over| over.tags.contains_key(key));
            let Some((key_at, value_at)) = self.places.get(key).filter(|_| !replaced) else { continue };
            characters.check(key, *key_at, "", problems);
            characters.check(value, *value_at, "", problems);
        }
    }

    /// These tags with others over them; says so when that is more than AWS takes.
    #[must_use]
    pub fn under(&self, over: Option<&Self>, problems: &mut Diagnostics) -> Tags {
        let mut tags = self.tags.clone();
        let mut span = self.span;
        if let Some(over) = over {
            tags.extend(over.tags.iter().map(|(key, value)| (key.clone(), value.clone())));
            span = over.span;
        }
        if tags.len() > MOST_TAGS {
            let message = format!("{} tags are too many: AWS takes 50, and 8 of them may be ours", tags.len());
            problems.push(Diagnostic::error("too-many", span, message).hint(format!("keep {MOST_TAGS} at most")));
        }
        tags
    }
}

impl Decode for TagTable {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            return problems.fail(wrong_type(node.span, "a table of tags", &node.value));
        };
        let (mut tags, mut places) = (Tags::new(), BTreeMap::new());
        for entry in entries {
            if let Err(why) = tag_key(&entry.key) {
                problems.push(Diagnostic::error("tag", entry.key_span, why));
            }
            let value = String::decode(&entry.node, problems);
            if let Some(value) = value {
                if value.chars().count() > 256 {
                    problems.push(Diagnostic::error(
                        "tag",
                        entry.node.span,
                        "a tag's value has at most 256 characters",
                    ));
                }
                tags.insert(entry.key.clone(), value);
                places.insert(entry.key.clone(), (entry.key_span, entry.node.span));
            }
        }
        Some(Self { tags, span: node.span, places })
    }
}

/// The rules of a tag's key.
fn tag_key(key: &str) -> Result<(), String> {
    let reserved = |prefix: &str| key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if key.is_empty() {
        Err("a tag needs a key".to_owned())
    } else if key.chars().count() > 127 {
        Err("a tag's key has at most 127 characters".to_owned())
    } else if reserved("aws:") {
        Err("keys that begin with `aws:` are AWS's own".to_owned())
    } else if reserved(OURS) {
        Err(format!("keys that begin with `{OURS}` are ours"))
    } else {
        Ok(())
    }
}

impl Decode for Region {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        by_rule(node, "region", Self::written, problems)
    }
}

impl Decode for Name {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        by_rule(node, "name", Self::written, problems)
    }
}

impl Decode for Seconds {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        by_rule(node, "duration", Self::read, problems)
    }
}

/// Reads a duration between two bounds, in seconds.
pub fn seconds_within(
    node: &Node,
    what: &str,
    bounds: RangeInclusive<u64>,
    problems: &mut Diagnostics,
) -> Option<Seconds> {
    let duration = Seconds::decode(node, problems)?;
    if bounds.contains(&duration.0) {
        return Some(duration);
    }
    let (least, most) = (Seconds(*bounds.start()), Seconds(*bounds.end()));
    problems.fail(Diagnostic::error("out-of-range", node.span, format!("{what} is {least} to {most}")))
}

impl Decode for Gibibytes {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        by_rule(node, "size", Self::read, problems)
    }
}

impl Decode for VpcChoice {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        choice(node, VpcId::PREFIX, "a VPC", |id| VpcId::new(id), problems)
    }
}

impl Decode for SubnetChoice {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        choice(node, SubnetId::PREFIX, "a subnet", |id| SubnetId::new(id), problems)
    }
}

/// A foreign object by id, or by the tags that only it has.
fn choice<I>(
    node: &Node,
    prefix: &str,
    what: &'static str,
    id: impl FnOnce(&str) -> I,
    problems: &mut Diagnostics,
) -> Option<Choice<I>> {
    match &node.value {
        Value::String(text) if well_formed(text, prefix) => Some(Choice::Id(id(text))),
        Value::String(text) => problems.fail(
            Diagnostic::error("id", node.span, format!("`{text}` is not the id of {what}"))
                .hint(format!("write \"{prefix}…\", or a lookup {{ tags = {{ Name = \"…\" }} }}")),
        ),
        Value::Table(_) => {
            let mut fields = Fields::of(node, what, problems)?;
            let tags: Option<LookupTags> = fields.required("tags", problems);
            fields.finish(problems);
            Some(Choice::Tags(tags?.0))
        }
        other => problems.fail(wrong_type(node.span, &format!("an id or a lookup of {what}"), other)),
    }
}

/// The tags of a lookup: any key, AWS's own too, and at least one.
pub(crate) struct LookupTags(pub(crate) Tags);

impl Decode for LookupTags {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            return problems.fail(wrong_type(node.span, "a table of tags", &node.value));
        };
        if entries.is_empty() {
            return problems.fail(Diagnostic::error("empty", node.span, "a lookup needs at least one tag"));
        }
        let pairs = entries.iter().filter_map(|e| Some((e.key.clone(), String::decode(&e.node, problems)?)));
        Some(Self(pairs.collect()))
    }
}

/// A text, or a file that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextOrFile {
    /// As it stands in the spec.
    Text(At<String>),
    /// The path of a file.
    File(At<String>),
}

impl Decode for TextOrFile {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::String(text) => Some(Self::Text(At { value: text.clone(), span: node.span })),
            Value::Table(_) => {
                let mut fields = Fields::of(node, "this table", problems)?;
                let file = fields.required("file", problems);
                fields.finish(problems);
                Some(Self::File(file?))
            }
            other => problems.fail(wrong_type(node.span, "a string or { file = \"…\" }", other)),
        }
    }
}

/// Characters that EC2 takes in the names and descriptions of groups and rules
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html>).
#[must_use]
pub fn plain_text(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c))
}

/// The first character that [`plain_text`] does not take.
#[must_use]
pub fn not_plain(text: &str) -> Option<char> {
    text.chars().find(|c| !plain_text(&c.to_string()))
}
