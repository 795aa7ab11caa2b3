//! What templates see of other resources: lists of members, and outputs that may only be printed.
//!
//! An output is not known while a template is rendered. Printed, it becomes a hole; used in any other way it would
//! silently decide something by a value that is not there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind};

use super::index::NameTable;
use crate::model::text::{Part, Text};
use crate::model::{Address, Kind, Output};
use crate::resources::decode::nearest;
use crate::resources::registry;

/// What stands before a hole in rendered text: a private-use character, which no address contains.
pub(super) const OPEN: char = '\u{F0D01}';
/// What stands behind it.
pub(super) const CLOSE: char = '\u{F0D02}';

/// One rendering: the names it may see, and what it did with outputs.
#[derive(Debug)]
pub(super) struct View {
    /// Every name of the spec.
    pub(super) names: Arc<NameTable>,
    /// Whether outputs are undefined, so that any use but printing fails.
    pub(super) blank: bool,
    /// Whether an output was taken at all.
    pub(super) taken: AtomicBool,
    /// Whether one was compared, tested or turned into text by something else than printing.
    pub(super) misused: AtomicBool,
}

/// `instance`: the resources of a kind, by name.
#[derive(Debug)]
pub(super) struct Resources {
    pub(super) kind: Kind,
    pub(super) view: Arc<View>,
}

/// `instance.web`: the members that a name stands for.
#[derive(Debug)]
struct Members {
    addresses: Vec<(Address, u32)>,
    /// Whether the name stands for one thing, so that its outputs may be asked without an index.
    single: bool,
    view: Arc<View>,
}

/// `instance["web-0"]`: one member.
#[derive(Debug)]
struct Member {
    address: Address,
    index: u32,
    view: Arc<View>,
}

/// `instance["web-0"].private_ip`: an output.
#[derive(Debug)]
pub(super) struct Printable {
    address: Address,
    output: Output,
    view: Arc<View>,
}

/// A value that fails with these words as soon as it is looked at.
fn wrong(message: String) -> Value {
    Value::from(Error::new(ErrorKind::InvalidOperation, message))
}

impl Object for Resources {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let kind = self.kind;
        let Some((listed, member)) = self.view.names.find(kind, name) else {
            let near = self.view.names.near(kind, name);
            let near = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            return Some(wrong(format!("there is no {kind} `{name}` in the spec{near}")));
        };
        let view = || Arc::clone(&self.view);
        Some(match (listed.outline.count, member) {
            (Some(_), Some(index)) => {
                let address = Address::new(kind, listed.name.member(index));
                Value::from_object(Member { address, index, view: view() })
            }
            (Some(count), None) => {
                let addresses = (0..count).map(|at| (Address::new(kind, listed.name.member(at)), at)).collect();
                Value::from_object(Members { addresses, single: false, view: view() })
            }
            (None, _) if registry::many(kind) => {
                let addresses = vec![(Address::new(kind, listed.name.clone()), 0)];
                Value::from_object(Members { addresses, single: true, view: view() })
            }
            (None, _) => {
                Value::from_object(Member { address: Address::new(kind, listed.name.clone()), index: 0, view: view() })
            }
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

impl Members {
    fn member(&self, place: usize) -> Option<Member> {
        let (address, index) = self.addresses.get(place)?;
        Some(Member { address: address.clone(), index: *index, view: Arc::clone(&self.view) })
    }
}

impl Object for Members {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if let Some(place) = key.as_usize() {
            return self.member(place).map(Value::from_object);
        }
        let name = key.as_str()?;
        match self.addresses.first() {
            Some((address, _)) if !self.single => {
                let group = address.name.as_str().rsplit_once('-').map_or("", |(group, _)| group);
                Some(wrong(format!(
                    "`{}.{group}` is a list: write `{}[\"{group}-0\"].{name}`, or loop over it",
                    address.kind, address.kind
                )))
            }
            Some(_) | None => Some(self.member(0)?.output(name)),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.addresses.len())
    }
}

impl Member {
    /// What it tells: its name and index are known, everything else may only be printed.
    fn output(&self, word: &str) -> Value {
        let kind = self.address.kind;
        if registry::many(kind) {
            match word {
                "name" => return Value::from(self.address.name.as_str()),
                "index" => return Value::from(self.index),
                _ => {}
            }
        }
        let outputs = registry::printable(kind);
        let Some(output) = Output::from_word(word).filter(|output| outputs.contains(output)) else {
            let mut words: Vec<&str> = outputs.iter().map(|output| output.word()).collect();
            if registry::many(kind) {
                words.extend(["name", "index"]);
            }
            let hint = match nearest(word, &words) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", words.join(", ")),
            };
            return wrong(format!("{} has no output `{word}`: {hint}", registry::what(kind)));
        };
        self.view.taken.store(true, Ordering::Relaxed);
        if self.view.blank {
            return Value::UNDEFINED;
        }
        let view = Arc::clone(&self.view);
        Value::from_object(Printable { address: self.address.clone(), output, view })
    }
}

impl Object for Member {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(self.output(key.as_str()?))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<std::cmp::Ordering> {
        Some(self.address.cmp(&other.downcast_ref::<Self>()?.address))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view.misused.store(true, Ordering::Relaxed);
        write!(f, "{}", self.address)
    }
}

impl Printable {
    /// The hole, as it stands in rendered text.
    pub(super) fn mark(&self) -> String {
        format!("{OPEN}{}/{}{CLOSE}", self.address, self.output)
    }

    fn misuse(&self) {
        self.view.misused.store(true, Ordering::Relaxed);
    }
}

impl Object for Printable {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.misuse();
        true
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<std::cmp::Ordering> {
        self.misuse();
        let other = other.downcast_ref::<Self>()?;
        Some((&self.address, self.output).cmp(&(&other.address, other.output)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.misuse();
        f.write_str(&self.mark())
    }
}

/// Whether a value is an output, holds one, or is text in which one was printed.
pub(super) fn holds_output(value: &Value, depth: u8) -> bool {
    if value.downcast_object_ref::<Printable>().is_some() {
        return true;
    }
    if let Some(text) = value.as_str() {
        return text.contains([OPEN, CLOSE]);
    }
    let known = value.downcast_object_ref::<Members>().is_some()
        || value.downcast_object_ref::<Member>().is_some()
        || value.downcast_object_ref::<Resources>().is_some();
    let Some(object) = value.as_object().filter(|_| !known && depth > 0) else { return false };
    match object.repr() {
        ObjectRepr::Map => object.try_iter_pairs().is_some_and(|mut pairs| {
            pairs.any(|(key, value)| holds_output(&key, depth - 1) || holds_output(&value, depth - 1))
        }),
        ObjectRepr::Seq | ObjectRepr::Iterable => {
            object.try_iter().is_some_and(|mut items| items.any(|item| holds_output(&item, depth - 1)))
        }
        // Plain ones hold nothing; the crate may add others, which are not looked into.
        _ => false,
    }
}

/// Rendered text with its holes; nothing when a mark was cut or changed.
pub(super) fn holes(rendered: &str) -> Option<Text> {
    let mut parts = Vec::new();
    let mut rest = rendered;
    while let Some((before, behind)) = rest.split_once(OPEN) {
        let (mark, after) = behind.split_once(CLOSE)?;
        let (address, output) = mark.split_once('/')?;
        if !before.is_empty() {
            parts.push(Part::Literal(before.to_owned()));
        }
        parts.push(Part::Hole { address: address.parse().ok()?, output: Output::from_word(output)? });
        rest = after;
    }
    if rest.contains(CLOSE) || parts.iter().any(|part| matches!(part, Part::Literal(text) if text.contains(CLOSE))) {
        return None;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    Some(Text(parts))
}

/// Rendered text with every hole reduced to one mark, to compare two renderings.
pub(super) fn shape(rendered: &str) -> String {
    let mut out = String::with_capacity(rendered.len());
    let mut inside = false;
    for c in rendered.chars() {
        match c {
            OPEN => inside = true,
            CLOSE => {
                inside = false;
                out.push(CLOSE);
            }
            other if !inside => out.push(other),
            _ => {}
        }
    }
    out
}
