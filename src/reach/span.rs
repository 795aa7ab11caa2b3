//! A way from one state to another, and what the states between them must not be.

use std::collections::{BTreeMap, BTreeSet};

use super::cover::{Whom, beyond, both};
use super::net::{Net, peers, to};
use crate::model::addresses::plain;
use crate::model::{AddressSet, CloudId, TrafficSet};
use crate::resources::flow::{Grants, Machine, Party};

/// How many members of a group are looked at one by one where pairs matter: mostly they are alike.
const MEMBERS: usize = 200;
/// Networks that are named in words.
const NETWORKS: usize = 3;

/// A way from a state to another.
#[derive(Debug)]
pub struct Span<'n> {
    start: &'n Net,
    end: &'n Net,
    /// Groups of which start or end know the rules.
    known: BTreeSet<CloudId>,
    /// Machines of start and end that may send otherwise in the end than at the start.
    movers: BTreeSet<CloudId>,
    /// Addresses that machines of the end have and none has at the start: nobody comes from there before.
    fresh: AddressSet,
    /// What was looked at since rules changed last.
    seen: BTreeSet<Class>,
}

/// What decides who reaches a machine and whom it reaches: its groups at the start, now and in the end, and what it answers
/// to in each.
type Class = [Option<(BTreeSet<CloudId>, TrafficSet)>; 3];

/// What is wrong about a flow between start and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is open, and neither of the two allows it.
    Opened,
    /// It is closed, and both allow it.
    Closed,
}

/// A flow that is open or closed between start and end, and must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Which of both.
    pub change: Change,
    /// Which traffic.
    pub traffic: TrafficSet,
    /// The machine or the host whose rules say so.
    pub at: CloudId,
    /// Whether it comes to that or goes from there.
    pub comes: bool,
    /// The other end.
    pub whom: Whom,
    /// Whether both ends move, each by a call of its own: then no order may help.
    pub both_move: bool,
    /// Whether it can be claimed: of the rules of every group that matters something is known.
    pub certain: bool,
}

impl Gap {
    /// The objects that it is between.
    pub fn ends(&self) -> impl Iterator<Item = &CloudId> {
        let other = match &self.whom {
            Whom::Machine(id) | Whom::Party(Party::Members(id)) => Some(id),
            Whom::Networks(_) | Whom::Party(Party::Named(_)) => None,
        };
        std::iter::once(&self.at).chain(other)
    }

    /// The flow in words: "tcp 22 from 0.0.0.0/0 to instance.web".
    #[must_use]
    pub fn words(&self, name: impl Fn(&CloudId) -> String) -> String {
        let whom = match &self.whom {
            Whom::Networks(networks) => few(networks),
            Whom::Party(Party::Members(group)) => format!("the members of {}", name(group)),
            Whom::Party(Party::Named(party)) => party.clone(),
            Whom::Machine(id) => name(id),
        };
        let (traffic, at) = (&self.traffic, name(&self.at));
        if self.comes { format!("{traffic} from {whom} to {at}") } else { format!("{traffic} from {at} to {whom}") }
    }
}

/// What a machine answers to, whoever may come, compared by itself.
fn answers(id: &CloudId, class: &Class) -> Vec<Gap> {
    let [Some((_, before)), Some((_, now)), Some((_, after))] = class else { return Vec::new() };
    let gap = |change, traffic| Gap {
        change,
        traffic,
        at: id.clone(),
        comes: true,
        whom: Whom::Party(Party::Named("whoever may".to_owned())),
        both_move: false,
        certain: true,
    };
    let opened = gap(Change::Opened, now.beyond(&before.union(after)));
    let closed = gap(Change::Closed, before.intersection(after).beyond(now));
    [opened, closed].into_iter().filter(|gap| !gap.traffic.is_empty()).collect()
}

/// Networks in words, the first few.
fn few(networks: &AddressSet) -> String {
    let shown: Vec<String> = networks.iter().take(NETWORKS).map(plain).collect();
    match networks.len().saturating_sub(NETWORKS) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl<'n> Span<'n> {
    /// The way from `start` to `end`.
    #[must_use]
    pub fn new(start: &'n Net, end: &'n Net) -> Self {
        let known: BTreeSet<CloudId> = start.groups().chain(end.groups()).cloned().collect();
        let sends = |net: &Net, group: &CloudId| net.rules(group).map(|rules| rules.egress.clone());
        let other: BTreeSet<&CloudId> = known.iter().filter(|group| sends(start, group) != sends(end, group)).collect();
        let sends_otherwise = |before: &Machine, after: &Machine| {
            before.groups != after.groups || before.groups.iter().any(|group| other.contains(group))
        };
        let both = start.machines().filter_map(|(id, machine)| Some((id, machine, end.machine(id)?)));
        let movers =
            both.filter(|(_, before, after)| sends_otherwise(before, after)).map(|(id, _, _)| id.clone()).collect();
        let owned = |net: &Net| net.machines().flat_map(|(_, machine)| machine.addresses.iter().copied()).collect();
        let (here, there): (AddressSet, AddressSet) = (owned(start), owned(end));
        Self { start, end, known, movers, fresh: there.beyond(&here), seen: BTreeSet::new() }
    }

    /// What must not be in the state `here`, of what these objects decide: all that changed since the last look.
    pub fn look(&mut self, here: &Net, changed: &BTreeSet<CloudId>) -> Vec<Gap> {
        let ruled: Vec<&CloudId> = changed.iter().filter(|id| self.is_group(here, id)).collect();
        if !ruled.is_empty() {
            self.seen.clear();
        }
        let mut gaps = Vec::new();
        for id in changed {
            gaps.extend(self.machine(here, id));
            gaps.extend(self.filter(here, id));
            if self.movers.contains(id) {
                gaps.extend(self.pairs_from(here, id));
                gaps.extend(self.pairs_into(here, &self.doors_of(here, id), &[id]));
            }
        }
        for group in ruled {
            let members: Vec<&CloudId> = here.members(group).collect();
            for member in &members {
                gaps.extend(self.machine(here, member));
            }
            let targets: Vec<&CloudId> = members.iter().copied().take(MEMBERS).collect();
            gaps.extend(self.pairs_into(here, &[group].into(), &targets));
            for member in members.into_iter().filter(|member| self.movers.contains(*member)).take(MEMBERS) {
                gaps.extend(self.pairs_from(here, member));
            }
        }
        gaps
    }

    fn is_group(&self, here: &Net, id: &CloudId) -> bool {
        self.known.contains(id) || here.rules(id).is_some()
    }

    fn class(&self, here: &Net, id: &CloudId) -> Class {
        let of = |net: &Net| net.machine(id).map(|machine| (machine.groups.clone(), machine.listens.clone()));
        [of(self.start), of(here), of(self.end)]
    }

    /// Compares what may come to a machine, and what it may send.
    fn machine(&mut self, here: &Net, id: &CloudId) -> Vec<Gap> {
        let class = self.class(here, id);
        let [before, Some((groups, listens)), after] = &class else { return Vec::new() };
        if self.seen.contains(&class) {
            return Vec::new();
        }
        // One that comes or goes is compared with what its like may: what matters is the rules, not that it is there.
        let now_is = (groups.clone(), listens.clone());
        let (start_groups, start_listens) = before.as_ref().or(after.as_ref()).unwrap_or(&now_is);
        let (end_groups, end_listens) = after.as_ref().or(before.as_ref()).unwrap_or(&now_is);
        // What it answers to is looked at by itself, so that who may come is compared as if it answered to the same all along.
        let listens = listens.union(start_listens).union(end_listens);
        let stays = before.is_some() && after.is_some();
        let ends = self.is_told(self.start, start_groups) && self.is_told(self.end, end_groups);
        let now = self.is_told(here, groups);
        let mut gaps = Vec::new();
        for comes in [true, false] {
            let grants = |net: &Net, groups: &BTreeSet<CloudId>| {
                if comes { net.ingress(groups, &listens, &self.known) } else { net.egress(groups, &self.known) }
            };
            let before = grants(self.start, start_groups);
            let after = grants(self.end, end_groups);
            let there = grants(here, groups);
            let gap = |change, certain, (traffic, whom)| Gap {
                change,
                traffic,
                at: id.clone(),
                comes,
                whom,
                both_move: false,
                certain,
            };
            gaps.extend(beyond(&there, &[&before, &after]).map(|flow| gap(Change::Opened, ends, flow)));
            if stays {
                gaps.extend(beyond(&self.kept(&before, &after), &[&there]).map(|flow| gap(Change::Closed, now, flow)));
            }
        }
        gaps.extend(answers(id, &class));
        self.seen.insert(class);
        gaps
    }

    /// Whether of the rules of all these groups something is known.
    fn is_told(&self, net: &Net, groups: &BTreeSet<CloudId>) -> bool {
        groups.iter().all(|group| self.is_group(net, group))
    }

    /// What both grant to those who are there all the time.
    fn kept(&self, before: &Grants, after: &Grants) -> Grants {
        let mut kept = both(before, after);
        if !self.fresh.is_empty() {
            kept.networks.values_mut().for_each(|networks| *networks = networks.beyond(&self.fresh));
            kept.networks.retain(|_, networks| !networks.is_empty());
        }
        kept
    }

    /// Compares what a host's own rules do.
    fn filter(&self, here: &Net, id: &CloudId) -> Vec<Gap> {
        let (Some(before), Some(now), Some(after)) = (self.start.filter(id), here.filter(id), self.end.filter(id))
        else {
            return Vec::new();
        };
        let gap = |change, (traffic, whom)| Gap {
            change,
            traffic,
            at: id.clone(),
            comes: true,
            whom,
            both_move: false,
            certain: true,
        };
        let pairs = [(&before.accepts, &now.accepts, &after.accepts), (&before.passes, &now.passes, &after.passes)];
        let looked = pairs.into_iter().flat_map(|(before, now, after)| {
            let opened = beyond(now, &[before, after]).map(|flow| gap(Change::Opened, flow));
            let closed = beyond(&self.kept(before, after), &[now]).map(|flow| gap(Change::Closed, flow));
            opened.into_iter().chain(closed)
        });
        looked.collect()
    }

    /// Compares whom one that moves reaches, among those who let in whom it is one of.
    fn pairs_from(&self, here: &Net, from: &CloudId) -> Vec<Gap> {
        let groups_of = |net: &Net| net.machine(from).map(|machine| machine.groups.clone()).unwrap_or_default();
        let mut doors: BTreeSet<&CloudId> = BTreeSet::new();
        for (net, groups) in [(self.start, groups_of(self.start)), (here, groups_of(here))] {
            doors.extend(groups.iter().flat_map(|group| net.namers(group)).collect::<Vec<_>>());
        }
        let mut targets: BTreeMap<Class, &CloudId> = BTreeMap::new();
        for target in doors.into_iter().flat_map(|group| here.members(group).take(MEMBERS)).filter(|id| *id != from) {
            targets.entry(self.class(here, target)).or_insert(target);
        }
        targets.into_values().flat_map(|target| self.pair(here, from, target)).collect()
    }

    /// The groups that let others in to a machine, at the start and now.
    fn doors_of<'a>(&'a self, here: &'a Net, target: &CloudId) -> BTreeSet<&'a CloudId> {
        let nets = [self.start, here].into_iter();
        nets.filter_map(|net| net.machine(target)).flat_map(|machine| &machine.groups).collect()
    }

    /// Compares who reaches these members of groups, among those who move and are let in by one of the groups.
    fn pairs_into(&self, here: &Net, doors: &BTreeSet<&CloudId>, members: &[&CloudId]) -> Vec<Gap> {
        if self.movers.is_empty() {
            return Vec::new();
        }
        let rules = [self.start, here].into_iter().flat_map(|net| doors.iter().filter_map(|group| net.rules(group)));
        let named: BTreeSet<&CloudId> = rules.flat_map(peers).collect();
        let mut sources: BTreeMap<Class, &CloudId> = BTreeMap::new();
        for net in [self.start, here] {
            let members = named.iter().flat_map(|named| net.members(named));
            for source in members.filter(|id| self.movers.contains(*id)) {
                sources.entry(self.class(here, source)).or_insert(source);
            }
        }
        let mut targets: BTreeMap<Class, &CloudId> = BTreeMap::new();
        for target in members {
            targets.entry(self.class(here, target)).or_insert(target);
        }
        let pairs = sources.values().flat_map(|from| targets.values().map(move |target| (*from, *target)));
        pairs.filter(|(from, target)| from != target).flat_map(|(from, target)| self.pair(here, from, target)).collect()
    }

    /// Compares what one machine may send another, where both live through.
    fn pair(&self, here: &Net, from: &CloudId, target: &CloudId) -> Vec<Gap> {
        let sides = [self.start, here, self.end].map(|net| Some((net, net.machine(from)?, net.machine(target)?)));
        let [Some(before), Some(now), Some(after)] = sides else { return Vec::new() };
        // Of what a group lets in of which nothing is known nobody can say that it changes.
        let told = |(net, from, target): &(&Net, &Machine, &Machine)| {
            self.is_told(net, &from.groups) && self.is_told(net, &target.groups)
        };
        if ![&before, &now, &after].into_iter().all(told) {
            return Vec::new();
        }
        let allowed = [before, after].map(|side| self.sent(side, true));
        let mut gaps = Vec::new();
        let gap = |change, traffic| Gap {
            change,
            traffic,
            at: target.clone(),
            comes: true,
            whom: Whom::Machine(from.clone()),
            both_move: self.movers.contains(target),
            certain: true,
        };
        let opened = self.sent(now, false).beyond(&allowed[0]).beyond(&allowed[1]);
        if !opened.is_empty() {
            gaps.push(gap(Change::Opened, opened));
        }
        let kept = self.sent(before, false).intersection(&self.sent(after, false));
        let closed = kept.beyond(&self.sent(now, true));
        if !closed.is_empty() {
            gaps.push(gap(Change::Closed, closed));
        }
        gaps
    }

    /// What one machine may send another; by its groups alone, or also as one that has its addresses.
    fn sent(&self, (net, from, target): (&Net, &Machine, &Machine), by_address: bool) -> TrafficSet {
        let nobody = AddressSet::default();
        let ingress: Grants = net.ingress(&target.groups, &target.listens, &self.known);
        let admitted = to(&ingress, &from.groups, if by_address { &from.addresses } else { &nobody });
        admitted.intersection(&to(&net.egress(&from.groups, &self.known), &target.groups, &target.addresses))
    }
}
