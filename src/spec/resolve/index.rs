//! Every name of a spec, and what others must know of each resource before any is resolved.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::top::{Tables, Top};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::tree::{Entry, Span, Value};
use crate::model::{Kind, Name, Region};
use crate::resources::decode::{Fields, nearest};
use crate::resources::registry::{self, Spec};
use crate::resources::spec::{Listed, Names, Outline};
use crate::resources::values::CommonSpec;

/// How many unknown names get a hint: finding the nearest looks at every name.
const MOST_HINTS: u32 = 50;

/// One resource as written.
pub(super) struct Record {
    /// Its kind.
    pub(super) kind: Kind,
    /// Its name.
    pub(super) name: Name,
    /// Where its name stands.
    pub(super) at: Span,
    /// Where it lives.
    pub(super) region: Region,
    /// The fields that every resource has.
    pub(super) common: CommonSpec,
    /// The fields of its kind; absent when they could not be read, which is an error.
    pub(super) spec: Option<Spec>,
    /// Its members and copies.
    pub(super) outline: Outline,
}

/// Reads every resource that is enabled.
pub(super) fn records(tables: &Tables<'_>, top: &Top, problems: &mut Diagnostics) -> Vec<Record> {
    let mut records = Vec::new();
    let mut no_region = None;
    for (kind, entries) in tables {
        for entry in *entries {
            if is_enabled(entry) {
                records.extend(record(*kind, entry, top, &mut no_region, problems));
            }
        }
    }
    if let Some(at) = no_region {
        problems.push(
            Diagnostic::error(crate::spec::NO_REGION, at, "this resource has no region")
                .hint("write `region = \"eu-west-1\"` at the top of the spec, or set a default in your AWS profile"),
        );
    }
    records
}

/// Whether an overlay did not drop it; a word other than false is looked at later.
fn is_enabled(entry: &Entry) -> bool {
    let Value::Table(fields) = &entry.node.value else { return true };
    !fields.iter().any(|field| field.key == "enabled" && field.node.value == Value::Bool(false))
}

fn record(
    kind: Kind,
    entry: &Entry,
    top: &Top,
    no_region: &mut Option<Span>,
    problems: &mut Diagnostics,
) -> Option<Record> {
    let name = match Name::written(&entry.key) {
        Ok(name) => Some(name),
        Err(why) => problems.fail(Diagnostic::error("name", entry.key_span, why)),
    };
    let mut fields = Fields::of(&entry.node, registry::what(kind), problems)?;
    let on_host = registry::on_host(kind);
    let common =
        if on_host { CommonSpec::read_on_host(&mut fields, problems) } else { CommonSpec::read(&mut fields, problems) };
    let spec = Spec::read(kind, &mut fields, problems);
    fields.finish(problems);
    let outline = spec.as_ref().map(Spec::outline).unwrap_or_default();
    // A key pair that says where it is copied needs no region of its own.
    let first = outline.regions.as_ref().and_then(|regions| regions.first()).cloned();
    let own = common.region.as_ref().map(|region| region.value.clone());
    let region = if on_host { Some(Region::hosts()) } else { own.or(first).or_else(|| top.region.clone()) };
    if let (Some(region), Some(_)) = (&common.region, &outline.regions) {
        problems.push(
            Diagnostic::error("combination", region.span, "`region` and `regions` say the same thing twice")
                .hint("keep `regions`"),
        );
    }
    let Some(region) = region else {
        *no_region = Some(no_region.map_or(entry.key_span, |first: Span| first.min(entry.key_span)));
        return None;
    };
    Some(Record { kind, name: name?, at: entry.key_span, region, common, spec, outline })
}

/// Every name, and who is used.
pub(super) struct Index {
    names: Arc<NameTable>,
    used: RefCell<BTreeSet<(Kind, Name)>>,
    hints: Cell<u32>,
}

/// Every name of a spec; shared with the objects that templates see.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    listed: BTreeMap<Kind, BTreeMap<String, Listed>>,
}

impl NameTable {
    /// The resource of that very name.
    pub(super) fn exact(&self, kind: Kind, name: &str) -> Option<&Listed> {
        self.listed.get(&kind)?.get(name)
    }

    /// The resource that a name stands for, and which member of it.
    pub(super) fn find(&self, kind: Kind, name: &str) -> Option<(&Listed, Option<u32>)> {
        if let Some(listed) = self.exact(kind, name) {
            return Some((listed, None));
        }
        let (group, digits) = name.rsplit_once('-')?;
        let index: u32 = digits.parse().ok().filter(|index: &u32| index.to_string() == digits)?;
        let listed = self.exact(kind, group)?;
        (index < listed.outline.count?).then_some((listed, Some(index)))
    }

    /// A name that was probably meant.
    pub(super) fn near(&self, kind: Kind, name: &str) -> Option<String> {
        let known: Vec<&str> = self.listed.get(&kind)?.keys().map(String::as_str).collect();
        if let Some((group, _)) = name.rsplit_once('-')
            && let Some(count) = self.exact(kind, group).and_then(|listed| listed.outline.count)
        {
            return Some(format!("{group}-{}", count.saturating_sub(1)));
        }
        nearest(name, &known).map(str::to_owned)
    }
}

impl Index {
    /// Indexes what was read; two things at one address are an error.
    pub(super) fn new(records: &[Record], problems: &mut Diagnostics) -> Self {
        let mut names = NameTable::default();
        for record in records {
            let listed = Listed {
                name: record.name.clone(),
                at: record.at,
                region: record.region.clone(),
                outline: record.outline.clone(),
            };
            names.listed.entry(record.kind).or_default().insert(record.name.to_string(), listed);
        }
        for record in records {
            let Some((group, digits)) = record.name.as_str().rsplit_once('-') else { continue };
            let Some((group, count)) =
                names.exact(record.kind, group).and_then(|group| Some((group, group.outline.count?)))
            else {
                continue;
            };
            if digits.parse::<u32>().is_ok_and(|index| index < count && index.to_string() == digits) {
                let message = format!("`{}` is also the name of a member of `{}`", record.name, group.name);
                problems.push(
                    Diagnostic::error("name", record.at, message)
                        .hint("rename one of them")
                        .also(group.at, "the group"),
                );
            }
        }
        Self { names: Arc::new(names), used: RefCell::default(), hints: Cell::new(0) }
    }

    /// The names, to share.
    pub(super) fn names(&self) -> Arc<NameTable> {
        Arc::clone(&self.names)
    }

    /// The resource of that very name.
    pub(super) fn listed(&self, kind: Kind, name: &str) -> Option<&Listed> {
        self.names.exact(kind, name)
    }

    /// Whether anything uses it.
    pub(super) fn is_used(&self, kind: Kind, name: &Name) -> bool {
        self.used.borrow().contains(&(kind, name.clone()))
    }
}

impl Names for Index {
    fn find(&self, kind: Kind, name: &str) -> Option<(&Listed, Option<u32>)> {
        self.names.find(kind, name)
    }

    fn of_kind(&self, kind: Kind) -> Vec<&Listed> {
        self.names.listed.get(&kind).into_iter().flat_map(BTreeMap::values).collect()
    }

    fn near(&self, kind: Kind, name: &str) -> Option<String> {
        self.hints.set(self.hints.get().saturating_add(1));
        if self.hints.get() > MOST_HINTS { None } else { self.names.near(kind, name) }
    }

    fn using(&self, kind: Kind, name: &Name) {
        self.used.borrow_mut().insert((kind, name.clone()));
    }
}
