//! Who is sent traffic, as written: groups are taken apart, and what cannot work is said.

use std::collections::BTreeSet;

use super::super::state::Registration;
use super::Spec;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::id::{ZoneName, well_formed};
use crate::model::tree::{Node, Span, Value};
use crate::model::{CloudId, Kind, Reference};
use crate::resources::decode::{At, Decode, wrong_type};
use crate::resources::spec::{Listed, Lowering};

/// Names as written.
#[derive(Debug)]
pub(super) struct MemberList {
    /// Those that could be read.
    names: Vec<At<String>>,
    /// Whether that is all of them.
    whole: bool,
    /// Where they stand.
    span: Span,
}

impl MemberList {
    /// Reads it, as far as it can be: what is wrong must not look like nobody.
    pub(super) fn read(node: &Node, problems: &mut Diagnostics) -> Self {
        let Value::Array(items) = &node.value else {
            problems.push(wrong_type(node.span, "a list of instances", &node.value));
            return Self { names: Vec::new(), whole: false, span: node.span };
        };
        let names: Vec<At<String>> = items.iter().filter_map(|item| At::decode(item, problems)).collect();
        Self { whole: names.len() == items.len(), names, span: node.span }
    }
}

/// Members as far as their names could be resolved.
pub(super) struct Members {
    /// Every member by itself.
    pub(super) all: BTreeSet<Reference>,
    /// Whether a name could not be read or resolved, so that there are more.
    partial: bool,
}

/// Takes groups apart; `served` are the zones of the balancer, where the spec says so.
pub(super) fn lower(
    spec: &Spec,
    served: Option<&[ZoneName]>,
    cx: &Lowering<'_>,
    problems: &mut Diagnostics,
) -> Members {
    let partial = spec.instances.as_ref().is_some_and(|list| !list.whole);
    let mut members = Members { all: BTreeSet::new(), partial };
    let names = spec.instances.as_ref().map_or(&[][..], |list| list.names.as_slice());
    for name in names {
        let Some(found) = references(name, cx, problems) else {
            members.partial = true;
            continue;
        };
        let twice: Vec<&Reference> = found.iter().filter(|one| members.all.contains(one)).collect();
        if let Some(first) = twice.first() {
            let message = match first {
                Reference::Address(address) => format!("`{}` stands here twice", address.name),
                Reference::Existing(id) => format!("`{id}` stands here twice"),
            };
            let problem = Diagnostic::error("twice", name.span, message);
            problems.push(problem.hint("a group is all of its members: name the group, or members of it"));
        }
        members.all.extend(found);
        if let Some(served) = served {
            check_zones(spec, name, served, cx, problems);
        }
    }
    members
}

/// Every instance that a name stands for.
fn references(name: &At<String>, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Option<Vec<Reference>> {
    if well_formed(&name.value, "i-") {
        return Some(vec![Reference::Existing(CloudId::new(name.value.as_str()))]);
    }
    cx.same_region(Kind::Instance, &name.as_deref(), problems);
    let addresses = cx.all(Kind::Instance, &name.as_deref(), problems)?;
    Some(addresses.into_iter().map(Reference::Address).collect())
}

/// A member in a zone that the balancer does not serve is never in service
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/enable-disable-az.html>).
fn check_zones(spec: &Spec, name: &At<String>, served: &[ZoneName], cx: &Lowering<'_>, problems: &mut Diagnostics) {
    let Some((listed, member)) = cx.names.find(Kind::Instance, &name.value) else { return };
    if listed.region != *cx.region {
        return;
    }
    for zone in zones_of(listed, member).into_iter().filter(|zone| !served.contains(zone)) {
        let who = match (listed.outline.count, member) {
            (Some(_), None) => format!("members of `{}` are", name.value),
            (_, _) => format!("`{}` is", name.value),
        };
        let mut problem =
            Diagnostic::error("other-zone", name.span, format!("{who} in {zone}, which this balancer does not serve"))
                .hint(format!("add \"{zone}\" to its `zones`: nobody is in service in a zone that it does not serve"));
        if let Some(zones) = &spec.zones {
            problem = problem.also(zones.span, "the zones it serves");
        }
        problems.push(problem.also(listed.at, "the instances"));
    }
}

/// Where the members that are meant are made: they take turns.
fn zones_of(listed: &Listed, member: Option<u32>) -> BTreeSet<&ZoneName> {
    let zones = listed.outline.zones.as_deref().unwrap_or_default();
    let turn = |index: u32| zones.iter().cycle().nth(usize::try_from(index).unwrap_or(0));
    match (member, listed.outline.count) {
        (Some(index), _) => turn(index).into_iter().collect(),
        (None, count) => zones.iter().take(usize::try_from(count.unwrap_or(1)).unwrap_or(usize::MAX)).collect(),
    }
}

/// How many members are never fewer in service: all but one, where the spec says nothing.
pub(super) fn min_healthy(spec: &Spec, members: &Members, problems: &mut Diagnostics) -> u32 {
    let count = u32::try_from(members.all.len()).unwrap_or(u32::MAX);
    let usual = count.saturating_sub(1);
    let Some(wanted) = &spec.min_healthy else { return usual };
    if members.partial {
        return wanted.value;
    }
    let there_are = match count {
        1 => "the 1 member there is".to_owned(),
        count => format!("the {count} members there are"),
    };
    if wanted.value > count {
        let message = match count {
            0 => "`min_healthy` needs members, and there are none".to_owned(),
            _ => format!("`min_healthy` is more than {there_are}"),
        };
        let missing = wanted.value.saturating_sub(count).saturating_add(1);
        let more = if missing == 1 { "a member".to_owned() } else { format!("{missing} members") };
        problems.push(
            Diagnostic::error("out-of-range", wanted.span, message)
                .hint(format!("add {more} to `instances`, or write `min_healthy = {usual}`")),
        );
    } else if wanted.value == count && count > 0 {
        problems.push(
            Diagnostic::warning(
                "no-room",
                wanted.span,
                format!("{there_are} must stay in service: none may be restarted"),
            )
            .hint(format!("add a member, or write `min_healthy = {usual}`")),
        );
    }
    wanted.value
}

/// Nobody is there to answer, and nobody else will register anyone.
pub(super) fn warn_of_nobody(spec: &Spec, members: &Members, cx: &Lowering<'_>, problems: &mut Diagnostics) {
    let others = spec.registration == Some(Registration::Additive);
    if members.all.is_empty() && !members.partial && !others {
        let at = spec.instances.as_ref().map_or(cx.at, |list| list.span);
        problems.push(
            Diagnostic::warning("no-members", at, "nobody answers behind this balancer")
                .hint("name `instances`, or say `registration = \"additive\"` where others register them"),
        );
    }
}
