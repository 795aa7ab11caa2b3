//! The dependency graph: steps, and why each waits for another. The only user of petgraph.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use petgraph::algo::{has_path_connecting, tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Address, CloudId, Output};

/// A step's number, in the order in which the plan lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StepId(pub usize);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0 + 1)
    }
}

/// Why one step waits for another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// They are the calls of one object, in order.
    SameObject,
    /// It needs the object.
    Needs(Address),
    /// It needs what the object will tell.
    Reads(Address, Output),
    /// The object is held until then.
    Holds(CloudId),
    /// It answers for somebody until then.
    Serves(CloudId),
    /// The successor must be there first.
    Successor(Address),
    /// Only one object at a time may have it.
    Slot(String),
    /// Whoever was told of it goes before.
    Reader(Address),
    /// Members take turns.
    Turn(Address),
    /// It gets no traffic any more.
    Drained(Address),
    /// Another serves before it leaves.
    Relieved(Address),
    /// One that changed before it serves, so that what is wrong with the change shows on one.
    Proven(Address),
    /// Open before somebody moves in.
    OpenFirst(Address),
    /// A new object boots into rules that are there.
    BornOpen(Address),
    /// Somebody leaves before more is opened to the group.
    LeaveFirst(Address),
    /// Somebody leaves before something is closed.
    CloseLast(Address),
    /// It is let in there before.
    Admitted(Address),
    /// It is shut out there before.
    ShutOut(Address),
    /// It is shut out once it gets no traffic any more.
    Idle(Address),
    /// It is shut out once its successor is there and let in.
    Followed(Address),
}

impl Because {
    /// How easily the edge is given up where the steps would otherwise wait for each other: the lowest first; none for
    /// edges that nothing can do without.
    const fn softness(&self) -> Option<u8> {
        match self {
            Self::Proven(_) => Some(0),
            Self::BornOpen(_) => Some(1),
            Self::Admitted(_) | Self::Idle(_) | Self::Followed(_) => Some(2),
            Self::Reader(_) => Some(3),
            Self::LeaveFirst(_) => Some(4),
            Self::CloseLast(_) => Some(5),
            Self::OpenFirst(_) => Some(6),
            Self::Serves(_) => Some(7),
            Self::Relieved(_) => Some(8),
            Self::ShutOut(_) => Some(9),
            Self::SameObject
            | Self::Needs(_)
            | Self::Reads(..)
            | Self::Holds(_)
            | Self::Successor(_)
            | Self::Slot(_)
            | Self::Turn(_)
            | Self::Drained(_) => None,
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameObject => f.write_str("the same object"),
            Self::Needs(address) => write!(f, "needs {address}"),
            Self::Reads(address, output) => write!(f, "reads {address}.{output}"),
            Self::Holds(id) => write!(f, "{id} is held until then"),
            Self::Serves(id) => write!(f, "{id} answers until then"),
            Self::Successor(address) => write!(f, "the successor of {address} comes first"),
            Self::Slot(slot) => write!(f, "only one may have {slot}"),
            Self::Turn(address) => write!(f, "its turn comes after {address}"),
            Self::Drained(address) | Self::Idle(address) => write!(f, "{address} sends it nothing any more"),
            Self::Relieved(address) => write!(f, "{address} serves before the old one leaves"),
            Self::Proven(address) => write!(f, "{address} serves first, so that a bad change stops there"),
            Self::Reader(address) => write!(f, "the old {address} was told of it"),
            Self::OpenFirst(address) => write!(f, "{address} opens before somebody joins"),
            Self::BornOpen(address) => write!(f, "{address} is open before somebody boots into it"),
            Self::LeaveFirst(address) => write!(f, "{address} leaves before more is opened"),
            Self::CloseLast(address) => write!(f, "{address} leaves before something is closed"),
            Self::Followed(address) => write!(f, "the new {address} is there before the old one is shut out"),
            Self::Admitted(address) => write!(f, "{address} lets it in first"),
            Self::ShutOut(address) => write!(f, "{address} shuts it out first"),
        }
    }
}

/// How many edges that were given up are looked at once more.
const MOST_READMITTED: usize = 200;

/// One edge: `to` waits for `from`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// What comes first.
    pub from: StepId,
    /// What waits.
    pub to: StepId,
    /// Why.
    pub because: Because,
}

/// Steps in an order that works.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    edges: Vec<Edge>,
    order: Vec<StepId>,
    /// What each step waits for, by its number.
    before: Vec<Vec<StepId>>,
    /// What waits for each step, by its number.
    after: Vec<Vec<StepId>>,
}

/// Steps that wait for each other, with why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cycle(pub(super) Vec<Edge>);

impl Graph {
    /// Orders `steps` steps. Soft edges that would close a circle are given up and returned.
    pub(super) fn order(steps: usize, edges: BTreeSet<Edge>) -> Result<(Self, Vec<Edge>), Cycle> {
        let mut edges: Vec<Edge> = edges.into_iter().collect();
        let mut given_up = Vec::new();
        loop {
            let graph = build(steps, &edges);
            if let Ok(order) = toposort(&graph, None) {
                if given_up.is_empty() {
                    return Ok((Self::new(edges, &order), given_up));
                }
                return Ok(Self::readmit(graph, edges, given_up));
            }
            let ring = rings(&graph);
            let inside = |edge: &Edge| ring.get(&edge.from).is_some_and(|number| ring.get(&edge.to) == Some(number));
            let softest = edges.iter().filter(|edge| inside(edge)).filter_map(|edge| edge.because.softness()).min();
            let Some(softest) = softest else { return Err(Cycle(circle(&edges, &inside))) };
            let (gone, kept) =
                edges.into_iter().partition(|edge| inside(edge) && edge.because.softness() == Some(softest));
            edges = kept;
            given_up.extend::<Vec<Edge>>(gone);
        }
    }

    /// Takes back what was given up and closes no circle after all, the hardest to do without first.
    fn readmit(mut graph: DiGraph<(), ()>, mut edges: Vec<Edge>, mut given_up: Vec<Edge>) -> (Self, Vec<Edge>) {
        let mut lost = Vec::new();
        given_up.sort_by_key(|edge| std::cmp::Reverse(edge.because.softness()));
        for (number, edge) in given_up.into_iter().enumerate() {
            let (from, to) = (NodeIndex::new(edge.from.0), NodeIndex::new(edge.to.0));
            // Each look costs a walk through the graph: enough for what a reader could follow, and no more.
            if number >= MOST_READMITTED || has_path_connecting(&graph, to, from, None) {
                lost.push(edge);
            } else {
                graph.add_edge(from, to, ());
                edges.push(edge);
            }
        }
        edges.sort();
        lost.sort();
        let order = toposort(&graph, None).unwrap_or_default();
        (Self::new(edges, &order), lost)
    }

    fn new(edges: Vec<Edge>, order: &[NodeIndex]) -> Self {
        let mut graph = Self {
            edges: Vec::new(),
            order: order.iter().map(|node| StepId(node.index())).collect(),
            before: vec![Vec::new(); order.len()],
            after: vec![Vec::new(); order.len()],
        };
        for edge in &edges {
            let (Some(before), Some(after)) = (graph.before.get_mut(edge.to.0), graph.after.get_mut(edge.from.0))
            else {
                continue;
            };
            // Edges are ordered, so two reasons for one wait stand side by side.
            if before.last() != Some(&edge.from) {
                before.push(edge.from);
                after.push(edge.to);
            }
        }
        graph.edges = edges;
        graph
    }

    /// Every edge, ordered.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// A legal order of all steps.
    #[must_use]
    pub fn sequence(&self) -> &[StepId] {
        &self.order
    }

    /// What a step waits for.
    #[must_use]
    pub fn before(&self, step: StepId) -> &[StepId] {
        self.before.get(step.0).map_or(&[], Vec::as_slice)
    }

    /// What waits for a step.
    #[must_use]
    pub fn after(&self, step: StepId) -> &[StepId] {
        self.after.get(step.0).map_or(&[], Vec::as_slice)
    }

    /// The number of steps in the longest chain.
    #[must_use]
    pub fn depth(&self) -> usize {
        let mut depth: BTreeMap<StepId, usize> = BTreeMap::new();
        for step in &self.order {
            let longest = self.before(*step).iter().filter_map(|before| depth.get(before)).max();
            let here = longest.copied().unwrap_or_default() + 1;
            depth.insert(*step, here);
        }
        depth.into_values().max().unwrap_or_default()
    }
}

fn build(steps: usize, edges: &[Edge]) -> DiGraph<(), ()> {
    let mut graph = DiGraph::with_capacity(steps, edges.len());
    for _ in 0..steps {
        graph.add_node(());
    }
    for edge in edges {
        graph.add_edge(NodeIndex::new(edge.from.0), NodeIndex::new(edge.to.0), ());
    }
    graph
}

/// The number of the ring each step is in, for steps that wait for each other.
fn rings(graph: &DiGraph<(), ()>) -> BTreeMap<StepId, usize> {
    let mut rings = BTreeMap::new();
    for (number, component) in tarjan_scc(graph).into_iter().enumerate() {
        let looped = component.iter().any(|node| graph.edges(*node).any(|edge| edge.target() == *node));
        if component.len() > 1 || looped {
            rings.extend(component.into_iter().map(|node| (StepId(node.index()), number)));
        }
    }
    rings
}

/// One circle among the edges of a ring, shortest first found.
fn circle(edges: &[Edge], inside: &dyn Fn(&Edge) -> bool) -> Vec<Edge> {
    let mut next: BTreeMap<StepId, Vec<&Edge>> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| inside(edge)) {
        next.entry(edge.from).or_default().push(edge);
    }
    let Some(start) = next.keys().next().copied() else { return Vec::new() };
    // Within a ring every step can be left, so the walk must come back to a step it knows.
    let mut path: Vec<Edge> = Vec::new();
    let mut at = start;
    let mut seen: BTreeMap<StepId, usize> = BTreeMap::new();
    while !seen.contains_key(&at) {
        seen.insert(at, path.len());
        let Some(edge) = next.get(&at).and_then(|edges| edges.first()) else { return path };
        path.push((*edge).clone());
        at = edge.to;
    }
    let from = seen.get(&at).copied().unwrap_or_default();
    path.split_off(from)
}
