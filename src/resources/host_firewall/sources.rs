//! From what the spec names to addresses: those known now, those that steps of the plan will tell, and those that stay
//! because a region could not be seen.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::host::Ours;
use super::ruleset::{Origin, Rule, RuleKey, Ruleset};
use super::state::{Desired, OnRegionError, Source, Wanted};
use crate::model::query::Regions;
use crate::model::{Address, AddressSet, CloudId, Known, Link, Output, Query, Region};
use crate::resources::snapshot::{Fleet, Machine};
use crate::resources::{Context, Impact, Refusal, RefusalKind};

/// What the rules of a host come to.
pub(super) struct Resolved {
    /// The rules with every address that is known.
    pub(super) rules: Vec<Rule>,
    /// Addresses that steps of this plan tell.
    pub(super) later: BTreeMap<Told, BTreeSet<Place>>,
    /// Those whom this plan makes, and whose address is known before.
    pub(super) expected: BTreeSet<Link>,
}

/// An output that is known later, and of whom it is asked: the same, save where another lends it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    /// Who is let in.
    pub(super) whom: Address,
    /// Who tells the address.
    pub(super) by: Address,
    /// Which output of it.
    pub(super) output: Output,
}

/// A set of a rule.
pub(super) type Place = (RuleKey, Origin);

/// Resolves the rules of a host against what is known of everybody.
pub(super) fn resolve(want: &Desired, ours: Option<&Ours>, cx: &Context<'_>) -> Resolved {
    let mut work = Work {
        want,
        ours,
        cx,
        machines: OnceCell::new(),
        later: BTreeMap::new(),
        expected: BTreeSet::new(),
        kept: BTreeMap::new(),
    };
    let rules = want.rules.iter().map(|rule| work.rule(rule)).collect();
    work.say_kept();
    let resolved = Resolved { rules, later: work.later, expected: work.expected };
    if let Some(ours) = ours {
        guard_shrink(want, &ours.rules, &resolved, cx);
    }
    resolved
}

struct Work<'a, 'c> {
    want: &'a Desired,
    ours: Option<&'a Ours>,
    cx: &'a Context<'c>,
    /// Everybody whom regions list, once that is asked.
    machines: OnceCell<BTreeMap<(&'c Region, &'c CloudId), &'c Machine>>,
    later: BTreeMap<Told, BTreeSet<Place>>,
    expected: BTreeSet<Link>,
    /// How many addresses stay because their region could not be seen, since when, and why it could not.
    kept: BTreeMap<Region, Kept>,
}

#[derive(Default)]
struct Kept {
    addresses: AddressSet,
    seen: Option<jiff::Timestamp>,
    why: String,
}

impl Work<'_, '_> {
    fn rule(&mut self, wanted: &Wanted) -> Rule {
        let mut rule = Rule::new(wanted.key.clone(), wanted.traffic.clone());
        for source in &wanted.from {
            match source {
                Source::Network(net) => add(&mut rule, Origin::Spec, *net),
                Source::Host { of: _, at } => add(&mut rule, Origin::Spec, IpNet::from(*at)),
                Source::Output { address, output } => self.output(&mut rule, address, *output, Origin::Spec, true),
                Source::Query { query, own } => self.query(&mut rule, wanted, query, own),
            }
        }
        // What cannot occur in a family that is filtered would stand nowhere, and differ for ever.
        let families = &self.want.settings.families;
        for held in rule.sources.values_mut() {
            let fits = |net: &&IpNet| {
                let family = crate::model::Family::of(net);
                families.contains(&family) && wanted.traffic.fits(family)
            };
            held.addresses = held.addresses.iter().filter(fits).copied().collect();
        }
        rule.sources.retain(|_, held| !held.addresses.is_empty());
        for (origin, held) in &mut rule.sources {
            held.seen = match origin {
                Origin::Spec => None,
                Origin::Region(region) => self.kept.get(region).map_or(Some(self.cx.now), |kept| kept.seen),
            };
        }
        rule
    }

    /// An address that a resource of the spec tells.
    fn output(&mut self, rule: &mut Rule, address: &Address, output: Output, origin: Origin, named: bool) {
        match self.cx.output(address, output) {
            Known::Now(text) => match text.parse::<IpAddr>() {
                Ok(ip) => {
                    add(rule, origin, IpNet::from(ip));
                    let link = self.cx.identities.link(address);
                    self.expected.extend(link.filter(|link| matches!(link, Link::Planned(_))));
                }
                Err(_) => self.cx.note(Impact::None, format!("`{address}.{output}` is no address: {text}")),
            },
            Known::Later(by, output) => {
                let told = Told { whom: address.clone(), by, output };
                self.later.entry(told).or_default().insert((rule.key.clone(), origin));
            }
            Known::Never(why) if named => {
                self.cx.note(Impact::None, format!("nothing is opened for `{address}` by `{}`: {why}", rule.key));
            }
            Known::Never(_) => {}
        }
    }

    fn query(&mut self, rule: &mut Rule, wanted: &Wanted, query: &Query, own: &[Address]) {
        let mut mine: BTreeSet<CloudId> = BTreeSet::new();
        for address in own {
            let Some((region, tags)) = self.cx.identities.nature(address) else { continue };
            let link = self.cx.identities.link(address);
            let standing = match &link {
                Some(Link::Existing(id)) => {
                    mine.insert(id.clone());
                    self.machine(&region, id)
                }
                Some(Link::Planned(_)) | None => None,
            };
            let fits =
                query.regions.contains(&region) && query.tags.iter().all(|(key, tag)| tags.get(key) == Some(tag));
            if !fits || link.is_none() {
                continue;
            }
            let origin = Origin::Region(region);
            match query.address.output() {
                Some(output) => {
                    // One that is stopped and stays so keeps its address, and is still not asked for.
                    let later = matches!(self.cx.output(address, output), Known::Later(..));
                    if later || standing.is_none_or(|machine| query.states.contains(&machine.state)) {
                        self.output(rule, address, output, origin, false);
                    }
                }
                None => self.six(rule, address, standing, &origin),
            }
        }
        self.fleet(rule, wanted, query, &mine);
    }

    /// IPv6 addresses of an instance of the spec: a listing tells them once it is there.
    fn six(&self, rule: &mut Rule, address: &Address, standing: Option<&Machine>, origin: &Origin) {
        match standing {
            Some(machine) => {
                for ip in &machine.ipv6 {
                    add(rule, origin.clone(), IpNet::from(IpAddr::from(*ip)));
                }
            }
            None => self.cx.note(
                Impact::None,
                format!("the IPv6 addresses of `{address}` are known once it is listed: apply again then"),
            ),
        }
    }

    /// An instance as its region lists it.
    fn machine(&self, region: &Region, id: &CloudId) -> Option<&Machine> {
        let machines = self.machines.get_or_init(|| {
            let seen = self.cx.fleet.iter().filter_map(|(region, fleet)| match fleet {
                Fleet::Seen(machines) => Some((region, machines)),
                Fleet::Unseen(_) => None,
            });
            seen.flat_map(|(region, machines)| machines.iter().map(move |one| ((region, &one.id), one))).collect()
        });
        machines.get(&(region, id)).copied()
    }

    /// Everybody whom regions list, apart from those of the spec and those whom this plan removes.
    fn fleet(&mut self, rule: &mut Rule, wanted: &Wanted, query: &Query, mine: &BTreeSet<CloudId>) {
        let looked: BTreeSet<&Region> = match &query.regions {
            Regions::AllBut(_) => self.cx.fleet.keys().filter(|region| query.regions.contains(region)).collect(),
            Regions::These(regions) => regions.iter().collect(),
        };
        for region in looked {
            match self.cx.fleet.get(region) {
                Some(Fleet::Seen(machines)) => {
                    let asked = machines.iter().filter(|machine| machine.fits(query) && !mine.contains(&machine.id));
                    for machine in asked.filter(|machine| !self.cx.identities.goes(&machine.id)) {
                        // An address that an Elastic IP of the stack gives it goes with that, though the machine stays.
                        let stays = |ip: &IpAddr| self.cx.identities.tellers(*ip).is_empty();
                        for ip in machine.addresses(query.address).into_iter().filter(stays) {
                            add(rule, Origin::Region(region.clone()), IpNet::from(ip));
                        }
                    }
                }
                Some(Fleet::Unseen(why)) => self.keep(rule, wanted, region, why),
                None => self.keep(rule, wanted, region, "it was not looked at"),
            }
        }
    }

    /// A region that could not be seen: what stands for it on the host stays, also where the plan is refused for that.
    fn keep(&mut self, rule: &mut Rule, wanted: &Wanted, region: &Region, why: &str) {
        let there = self.ours.and_then(|ours| ours.rules.rules.get(&wanted.key));
        let origin = Origin::Region(region.clone());
        let mut held = there.and_then(|there| there.sources.get(&origin)).cloned().unwrap_or_default();
        // What this plan itself takes away is known without the region's listing.
        let stays = |net: &&IpNet| self.cx.identities.tellers(net.addr()).is_empty();
        held.addresses = held.addresses.iter().filter(stays).copied().collect();
        let mine = rule.sources.entry(origin).or_default();
        mine.addresses = mine.addresses.union(&held.addresses);
        if let Some((message, hint)) = self.objection(rule, region, why, there.is_some()) {
            self.cx.refuse(Refusal::new(RefusalKind::Guard, self.cx.at, message).hint(hint));
            return;
        }
        let kept = self.kept.entry(region.clone()).or_default();
        kept.addresses = kept.addresses.union(&held.addresses);
        kept.seen = match (kept.seen, held.seen) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        why.clone_into(&mut kept.why);
    }

    /// Why a rule may not go on without a region, and what to do; `stands` says whether the host has the rule already.
    fn objection(&self, rule: &Rule, region: &Region, why: &str, stands: bool) -> Option<(String, &'static str)> {
        let accepted = &self.cx.accepted;
        if self.want.on_region_error == OnRegionError::Fail {
            let message = format!("{region} could not be listed, and `on_region_error` is `fail`: {why}");
            return Some((message, "try again, or write `on_region_error = \"keep\"`"));
        }
        if !stands && !accepted.partial {
            let message = format!("{region} could not be listed, and `{}` was never open to it: {why}", rule.key);
            return Some((
                message,
                "try again; take the region out of the query; or go on without it by `--accept partial`",
            ));
        }
        if stands && accepted.nothing_kept {
            let message = format!("{region} could not be listed, and `--strict` lets no address stay unseen: {why}");
            return Some((message, "try again, or leave `--strict` out"));
        }
        None
    }

    /// Says aloud what stays unseen.
    fn say_kept(&self) {
        for (region, Kept { addresses, seen, why }) in &self.kept {
            let count = addresses.len();
            let many = if count == 1 { "address" } else { "addresses" };
            if count == 0 {
                let text = format!("{region} could not be listed, and no address of it is let in: {why}");
                self.cx.note(Impact::None, text);
                continue;
            }
            let since = seen.map(|seen| format!(", written {}", age(self.cx.now, seen))).unwrap_or_default();
            self.cx.note(
                Impact::None,
                format!("{count} {many} of {region} kept{since}, as it could not be listed: {why}"),
            );
            let stale = seen.is_some_and(|seen| elapsed(self.cx.now, seen) > self.want.stale_after.0);
            if stale {
                let text = format!(
                    "the addresses of {region} are older than `stale_after` ({}): some may be a stranger's by now",
                    self.want.stale_after
                );
                self.cx.note(Impact::None, text);
            }
        }
    }
}

/// Seconds from one moment to another; none when it lies in the future.
fn elapsed(now: jiff::Timestamp, then: jiff::Timestamp) -> u64 {
    u64::try_from(now.as_second().saturating_sub(then.as_second())).unwrap_or(0)
}

/// How long ago something was, in words.
fn age(now: jiff::Timestamp, then: jiff::Timestamp) -> String {
    match elapsed(now, then) {
        seconds if seconds < 60 => "just now".to_owned(),
        seconds if seconds < 3600 => format!("{} min ago", seconds / 60),
        seconds if seconds < 48 * 3600 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86400),
    }
}

fn add(rule: &mut Rule, origin: Origin, net: IpNet) {
    rule.sources.entry(origin).or_default().addresses.insert(net);
}

/// So few addresses may always go at once: one machine that ends is no accident.
const FEW: usize = 3;

/// More addresses must not vanish at once than the spec allows: a wrong filter or half an answer looks just like that. What
/// this plan itself removes does not count, nor what the spec itself named.
fn guard_shrink(want: &Desired, have: &Ruleset, resolved: &Resolved, cx: &Context<'_>) {
    if cx.accepted.shrink {
        return;
    }
    for rule in &resolved.rules {
        let Some(there) = have.rules.get(&rule.key) else { continue };
        let (mut stood, mut vanished) = (0, 0);
        for (origin, held) in there.sources.iter().filter(|(origin, _)| **origin != Origin::Spec) {
            let stays = rule.sources.get(origin).map(|held| held.addresses.clone()).unwrap_or_default();
            let gone = held.addresses.beyond(&stays);
            let by_us = gone.iter().filter(|net| !cx.identities.tellers(net.addr()).is_empty()).count();
            stood += held.addresses.len();
            vanished += gone.len() - by_us.min(gone.len());
        }
        if vanished > FEW && vanished * 100 > stood * usize::from(want.max_shrink) {
            let message = format!(
                "{vanished} of the {stood} addresses that regions gave `{}` would go at once, and `max_shrink` is {}%",
                rule.key, want.max_shrink
            );
            let hint =
                "look whether the query still asks for the right instances; if this is meant, say `--accept shrink`";
            cx.refuse(Refusal::new(RefusalKind::Guard, cx.at, message).hint(hint));
        }
    }
}
