//! From a tree to a stack: each field read alone, each name looked up, each template rendered once.

mod circle;
mod index;
mod lock;
mod outputs;
mod scan;
mod template;
mod top;

pub(super) use self::top::TopShape;

use std::collections::BTreeMap;

use self::index::{Index, Record};
use self::template::Workshop;
use self::top::Top;
use super::{Inputs, Stack, lint};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::id::well_formed;
use crate::model::tree::{Node, Span};
use crate::model::{Address, Kind, Name, StackName, Tags, Target};
use crate::resources::registry::{self, Desired};
use crate::resources::spec::{Claim, Lowering};
use crate::resources::values::CommonSpec;
use crate::resources::{Common, Group};

/// Resolves a tree. There is a stack only when nothing is wrong; warnings stand beside it.
#[must_use]
pub fn resolve(root: &Node, inputs: &Inputs<'_>) -> (Option<Stack>, Diagnostics) {
    let mut problems = Diagnostics::new();
    let Some((top, tables)) = Top::read(root, inputs, &mut problems) else { return (None, problems) };
    let records = index::records(&tables, &top, &mut problems);
    let index = Index::new(&records, &mut problems);
    // Any name does while problems are collected: a stack without its own is an error already.
    let stack = top.stack.clone().or_else(|| StackName::new("unnamed").ok());
    let Some(stack) = stack else { return (None, problems) };
    let workshop = Workshop::new(inputs, stack.clone(), &index);
    let mut found = Found::default();
    for record in &records {
        found.add(record, &stack, &top, &index, &workshop, &mut problems);
    }
    check_previously(&records, &index, &mut problems);
    circle::check(&workshop.needs(), &index, &mut problems);
    if problems.has_errors() {
        return (None, problems);
    }
    // A name that is wrong may be the use of what seems unused, so this comes last.
    let named: Vec<_> = records.iter().map(|record| (record.kind, &record.name, record.at)).collect();
    lint::lint(&named, |kind, name| index.is_used(kind, name), &mut problems);
    let mut regions = top.regions.clone();
    regions.extend(top.region.clone());
    let lived_in = found.resources.values().map(|desired| &desired.common.region);
    regions.extend(lived_in.filter(|region| !region.is_hosts()).cloned());
    let stack = top.stack.map(|name| Stack {
        name,
        origin: top.origin.map(|origin| origin.value),
        account: top.account,
        regions,
        region: top.region,
        ignore_tags: top.ignore_tags,
        lock: top.lock,
        hosts: found.hosts,
        resources: found.resources,
    });
    (stack, problems)
}

/// What was resolved so far.
#[derive(Default)]
struct Found {
    resources: BTreeMap<Address, Desired>,
    /// How hosts are reached.
    hosts: BTreeMap<Address, Target>,
    /// What only one resource may have, and who has it.
    claims: BTreeMap<String, (Address, Span)>,
}

impl Found {
    /// Resolves one resource and adds all of its objects.
    fn add(
        &mut self,
        record: &Record,
        stack: &StackName,
        top: &Top,
        index: &Index,
        workshop: &Workshop<'_>,
        problems: &mut Diagnostics,
    ) {
        let cx = Lowering {
            name: &record.name,
            kind: record.kind,
            at: record.at,
            region: &record.region,
            stack,
            network: top.network(&record.region),
            names: index,
            texts: workshop,
            fingerprint_key: top.fingerprint_key.as_ref(),
        };
        let common = common(record, top, problems);
        self.add_host(record, problems);
        let Some(spec) = &record.spec else { return };
        for lowered in spec.lower(&cx, problems) {
            let address = Address::new(record.kind, lowered.name);
            self.claim(&address, lowered.claims, problems);
            let mut common = common.clone();
            if let Some(region) = lowered.region {
                common.region = region;
            }
            self.resources.insert(address, Desired { common, want: lowered.want });
        }
        // A name may be another object's in another VPC; an id is one object's.
        if let Some(adopt) = record.common.adopt.as_ref().filter(|adopt| is_id(&adopt.value)) {
            let what = format!("the {} `{}` in {}", record.kind, adopt.value, record.region);
            let address = Address::new(record.kind, record.name.clone());
            self.claim(&address, vec![Claim { what, at: adopt.span }], problems);
        }
    }

    /// Remembers how the host of a resource is reached, whatever shall be there: two resources on one host would undo each
    /// other.
    fn add_host(&mut self, record: &Record, problems: &mut Diagnostics) {
        let Some(host) = &record.outline.host else { return };
        let address = Address::new(record.kind, record.name.clone());
        let id = match &host.target {
            // Names of hosts are the same in any case (RFC 4343).
            Target::Ssh { .. } => host.target.to_string().to_lowercase(),
            Target::Local { .. } | Target::Command { .. } => host.target.to_string(),
        };
        let what = format!("the host `{id}`");
        self.claim(&address, vec![Claim { what, at: host.at }], problems);
        self.hosts.insert(address, host.target.clone());
    }

    fn claim(&mut self, address: &Address, claims: Vec<Claim>, problems: &mut Diagnostics) {
        for claim in claims {
            match self.claims.get(&claim.what) {
                Some((first, at)) if first != address => problems.push(
                    Diagnostic::error(
                        "claimed-twice",
                        claim.at,
                        format!("`{first}` and `{address}` both claim {}", claim.what),
                    )
                    .hint("only one of them can have it")
                    .also(*at, format!("`{first}` claims it here")),
                ),
                Some(_) => {}
                None => {
                    self.claims.insert(claim.what, (address.clone(), claim.at));
                }
            }
        }
    }
}

/// Whether a text is an AWS id, of whatever sort.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(sort, _)| well_formed(text, &format!("{sort}-")))
}

/// Tags that the service of a kind does not take, wherever they are written.
fn check_tags(record: &Record, top: &Top, problems: &mut Diagnostics) {
    let Some(characters) = registry::tag_characters(record.kind) else { return };
    let own = record.common.tags.as_ref();
    top.tags.check(own, &characters, problems);
    if let Some(own) = own {
        own.check(None, &characters, problems);
    }
    if let Some(origin) = &top.origin {
        characters.check(&origin.value, origin.span, ", and `origin` is kept in one", problems);
    }
}

/// What every object of a resource has.
fn common(record: &Record, top: &Top, problems: &mut Diagnostics) -> Common {
    let CommonSpec { region: _, tags, protect, enabled: _, previously, adopt, keep, timeout } = &record.common;
    let several = record.outline.count.is_some_and(|count| count > 1);
    let copies = record.outline.regions.as_ref().is_some_and(|regions| regions.len() > 1);
    if let Some(adopt) = adopt {
        if adopt.value.is_empty() {
            problems.push(Diagnostic::error("empty", adopt.span, "`adopt` needs an id or a name"));
        } else if several || copies {
            problems.push(
                Diagnostic::error("combination", adopt.span, "`adopt` names one object, and this makes several")
                    .hint("write the one to adopt as a resource of its own"),
            );
        }
    }
    if let Some(before) = previously
        && before.value == record.name
    {
        problems.push(Diagnostic::error("combination", before.span, "`previously` is the name it has now"));
    }
    check_tags(record, top, problems);
    Common {
        region: record.region.clone(),
        tags: if registry::on_host(record.kind) { Tags::new() } else { top.tags.under(tags.as_ref(), problems) },
        protect: protect.unwrap_or(false),
        keep: keep.unwrap_or(false),
        previously: previously.as_ref().map(|before| before.value.clone()),
        adopt: adopt.as_ref().map(|adopt| adopt.value.clone()),
        timeout: *timeout,
        group: record
            .outline
            .count
            .map(|_| Group { name: record.name.clone(), max_unavailable: record.outline.max_unavailable }),
        span: record.at,
    }
}

/// A resource cannot have had the name that another has now, nor two the same one.
fn check_previously(records: &[Record], index: &Index, problems: &mut Diagnostics) {
    let mut taken: BTreeMap<(Kind, &Name), Span> = BTreeMap::new();
    for record in records {
        let Some(before) = &record.common.previously else { continue };
        if let Some(other) = index.listed(record.kind, before.value.as_str())
            && other.name != record.name
        {
            problems.push(
                Diagnostic::error("previously", before.span, format!("`{}` is still in the spec", before.value))
                    .hint("take the old one out: its object becomes this one's")
                    .also(other.at, "here it is"),
            );
        }
        if let Some(first) = taken.insert((record.kind, &before.value), before.span) {
            problems.push(
                Diagnostic::error("previously", before.span, format!("two resources were `{}` before", before.value))
                    .also(first, "the other one"),
            );
        }
    }
}
