//! Templates that need each other: nobody could be made first.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::template::Need;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Address;
use crate::model::tree::Span;
use crate::resources::spec::Names;

/// Who needs whom, and where the spec says so.
type Graph<'a> = BTreeMap<&'a Address, (Span, &'a [Address])>;

/// How far the search from one address has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It is on the path that is being looked at.
    OnPath,
    /// Nothing behind it leads back.
    Clear,
}

/// Reports templates that need their own group, and circles of templates, each with its path.
pub(super) fn check(needs: &[Need], index: &Index, problems: &mut Diagnostics) {
    let mut graph = Graph::new();
    for (address, at, wanted) in needs {
        let own = wanted.iter().find(|other| same_group(address, other, index));
        if let Some(own) = own {
            let path = if own == address {
                format!("{address} -> {own}")
            } else {
                format!("{address} -> {own} (the same group)")
            };
            let said = problems.iter().last().is_some_and(|last| last.at == Some(*at) && last.code == "circle");
            if !said {
                problems.push(
                    Diagnostic::error("circle", *at, format!("this template needs its own group: {path}"))
                        .hint("a member's own addresses are known to itself: ask the metadata service"),
                );
            }
        } else {
            graph.insert(address, (*at, wanted));
        }
    }
    let mut marks: BTreeMap<&Address, Mark> = BTreeMap::new();
    let mut said = BTreeSet::new();
    for start in graph.keys() {
        search(start, &graph, &mut marks, &mut said, problems);
    }
}

/// Whether two addresses are members of one group, or one thing.
fn same_group(one: &Address, other: &Address, index: &Index) -> bool {
    let group =
        |address: &Address| index.find(address.kind, address.name.as_str()).map(|(listed, _)| listed.name.clone());
    one.kind == other.kind && group(one) == group(other)
}

/// Searches depth first without recursion, as a chain may be as long as the spec.
fn search<'a>(
    start: &'a Address,
    graph: &Graph<'a>,
    marks: &mut BTreeMap<&'a Address, Mark>,
    said: &mut BTreeSet<Span>,
    problems: &mut Diagnostics,
) {
    if marks.contains_key(start) {
        return;
    }
    marks.insert(start, Mark::OnPath);
    let mut path: Vec<(&Address, usize)> = vec![(start, 0)];
    while let Some((address, next)) = path.last_mut() {
        let (here, at) = (*address, *next);
        *next += 1;
        match graph.get(here).and_then(|(_, wanted)| wanted.get(at)) {
            None => {
                marks.insert(here, Mark::Clear);
                path.pop();
            }
            Some(wanted) => match marks.get(wanted) {
                Some(Mark::Clear) => {}
                Some(Mark::OnPath) => report(&path, wanted, graph, said, problems),
                None => {
                    marks.insert(wanted, Mark::OnPath);
                    path.push((wanted, 0));
                }
            },
        }
    }
}

fn report(
    path: &[(&Address, usize)],
    back_to: &Address,
    graph: &Graph<'_>,
    said: &mut BTreeSet<Span>,
    problems: &mut Diagnostics,
) {
    let circle: Vec<&Address> = path.iter().map(|(address, _)| *address).skip_while(|a| *a != back_to).collect();
    let Some((at, _)) = graph.get(back_to) else { return };
    // The members of two groups go round in as many circles as there are members.
    if !said.insert(*at) {
        return;
    }
    let words: Vec<String> = circle.iter().copied().chain([back_to]).map(ToString::to_string).collect();
    let mut problem = Diagnostic::error("circle", *at, format!("templates need each other: {}", words.join(" -> ")))
        .hint("let one of them ask for the other when it runs");
    for (address, (other, _)) in circle.iter().filter_map(|a| Some((a, graph.get(*a)?))).filter(|(_, (o, _))| o != at) {
        problem = problem.also(*other, format!("the template of `{address}`"));
    }
    problems.push(problem);
}
