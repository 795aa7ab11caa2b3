//! Rules of a group as a set: which are wanted, which are there, and the calls between.

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, DescribedRule, NewRule, OldRule};
use super::state::{Desired, Direction, Observed, ObservedRule, Peer, Rule, RuleMode};
use crate::model::net::{Cidr, Traffic};
use crate::model::tags::{ADDRESS, STACK};
use crate::model::{Address, CloudId, Known, Link, Reference, Tags};
use crate::resources::{
    After, Context, Delta, Draft, Edit, Effect, Field, Impact, Reach, Refusal, RefusalKind, Seen, Wave,
};

/// The wanted rules of a direction by identity, with their descriptions; expired ones left out.
pub(super) fn wanted(want: &Desired, direction: Direction, cx: &Context<'_>) -> BTreeMap<Rule<Link>, Option<String>> {
    let rules = match (direction, &want.egress) {
        (Direction::Ingress, _) => &want.ingress,
        (Direction::Egress, Some(egress)) => egress,
        (Direction::Egress, None) => return everything(true),
    };
    let current = rules.iter().filter(|(_, wish)| wish.expires.is_none_or(|last| last >= cx.today));
    let resolved = current.filter_map(|(rule, wish)| Some((resolve(rule, direction, cx)?, wish.description.clone())));
    resolved.collect()
}

/// What AWS lets a new group send: all traffic to everyone.
fn everything(v4: bool) -> BTreeMap<Rule<Link>, Option<String>> {
    let everyone = Cidr::listed(if v4 { "0.0.0.0/0" } else { "::/0" });
    everyone.map(|cidr| (Rule { traffic: Traffic::All, peer: Peer::Cidr(cidr) }, None)).into_iter().collect()
}

/// A rule with its peer by identity; refuses a peer that has no such address.
fn resolve(rule: &Rule<Reference>, direction: Direction, cx: &Context<'_>) -> Option<Rule<Link>> {
    let peer = match &rule.peer {
        Peer::Cidr(cidr) => Peer::Cidr(*cidr),
        Peer::Group(reference) => Peer::Group(cx.link(reference)),
        Peer::ForeignGroup { account, group } => Peer::ForeignGroup { account: account.clone(), group: group.clone() },
        Peer::PrefixList(list) => Peer::PrefixList(list.clone()),
        Peer::Output { address, output } => match cx.output(address, *output) {
            Known::Later(address, output) => Peer::Output { address, output },
            Known::Now(value) => Peer::Cidr(Cidr::host(value.parse().ok()?)),
            Known::Never(why) => {
                let message = format!("{} rule for `{address}`: {why}", direction.word());
                cx.refuse(
                    Refusal::new(RefusalKind::Lookup, cx.at, message)
                        .hint("name its private address, or give it an Elastic IP"),
                );
                return None;
            }
        },
    };
    Some(Rule { traffic: rule.traffic, peer })
}

/// The difference of one direction: authorize, then describe, then revoke.
pub(super) fn diff(
    want: &Desired,
    have: &Seen<'_, Observed>,
    direction: Direction,
    cx: &Context<'_>,
    delta: &mut Delta<Action>,
) {
    let wanted = wanted(want, direction, cx);
    let there: BTreeMap<Rule<Link>, &ObservedRule> =
        have.body.of(direction).map(|rule| (linked(&rule.rule), rule)).collect();
    let added: Vec<NewRule> = wanted
        .iter()
        .filter(|(rule, _)| !there.contains_key(*rule))
        .map(|(rule, description)| new_rule(rule.clone(), description.clone()))
        .collect();
    let described: Vec<(&ObservedRule, Option<String>)> = wanted
        .iter()
        .filter_map(|(rule, description)| Some((*there.get(rule)?, description)))
        .filter(|(rule, description)| rule.description.as_ref() != description.as_ref())
        .filter(|(rule, _)| is_ours(want, rule, cx))
        .map(|(rule, description)| (rule, description.clone()))
        .collect();
    let tolerated =
        if direction == Direction::Egress && want.egress.is_none() { everything(false) } else { BTreeMap::new() };
    let removed: Vec<&ObservedRule> = there
        .iter()
        .filter(|(rule, _)| !wanted.contains_key(*rule) && !tolerated.contains_key(*rule))
        .map(|(_, rule)| *rule)
        .filter(|rule| is_ours(want, rule, cx))
        .collect();
    note_expired(want, direction, &removed, cx);
    let stays = there.len().saturating_sub(removed.len());
    if !added.is_empty() {
        refuse_too_many(stays + added.len(), want, direction, cx);
    }
    let change = Change { direction, added, described, removed, there: there.len() };
    change.fields(&mut delta.fields);
    change.drafts(want, have, cx, &mut delta.drafts);
}

/// Whether a rule may be changed: in an exclusive group every one, else those that carry our tags, and what AWS lets
/// every new group send where the spec says what it shall.
fn is_ours(want: &Desired, rule: &ObservedRule, cx: &Context<'_>) -> bool {
    match want.mode {
        RuleMode::Exclusive => true,
        RuleMode::Additive => {
            let marked = rule.tags.get(STACK).map(String::as_str) == Some(cx.stack.as_str())
                && rule.tags.get(ADDRESS) == Some(&cx.at.to_string());
            marked || (want.egress.is_some() && is_usual(rule))
        }
    }
}

/// Whether it is a rule that AWS itself gave the group when it was made.
fn is_usual(rule: &ObservedRule) -> bool {
    let everyone = matches!(rule.rule.peer, Peer::Cidr(network) if network.is_everyone());
    let bare = rule.tags.is_empty() && rule.description.is_none();
    rule.direction == Direction::Egress && rule.rule.traffic == Traffic::All && everyone && bare
}

/// Says why a rule that still stands in the spec goes.
fn note_expired(want: &Desired, direction: Direction, removed: &[&ObservedRule], cx: &Context<'_>) {
    let rules = match direction {
        Direction::Ingress => Some(&want.ingress),
        Direction::Egress => want.egress.as_ref(),
    };
    let gone: BTreeSet<Rule<Link>> = removed.iter().map(|rule| linked(&rule.rule)).collect();
    for (rule, wish) in rules.into_iter().flatten() {
        if let Some(last) = wish.expires.filter(|last| *last < cx.today)
            && let Some(resolved) = resolve(rule, direction, cx)
            && gone.contains(&resolved)
        {
            cx.note(Impact::None, format!("{} expired: its last day was {last}", resolved.words(direction)));
        }
    }
}

/// How many rules go and come at a time where the quota cannot hold both sets.
const BATCH: usize = 20;

/// Refuses more rules than the account allows, before anything is changed.
pub(super) fn refuse_too_many(count: usize, want: &Desired, direction: Direction, cx: &Context<'_>) {
    let quota = usize::try_from(want.rule_quota).unwrap_or(usize::MAX);
    if count > quota {
        let message = format!("it would have {count} {} rules, and {quota} are allowed", direction.word());
        let hint =
            "take rules together, spread them over several groups, or write the account's own limit as `rule_quota`";
        cx.refuse(Refusal::new(RefusalKind::Quota, cx.at, message).hint(hint));
    }
}

/// What changes in one direction.
struct Change<'a> {
    direction: Direction,
    added: Vec<NewRule>,
    described: Vec<(&'a ObservedRule, Option<String>)>,
    removed: Vec<&'a ObservedRule>,
    there: usize,
}

impl Change<'_> {
    fn fields(&self, fields: &mut Vec<Field>) {
        let mut field = |edit| {
            fields.push(Field { name: self.direction.word().to_owned(), edit, effect: Effect::InPlace });
        };
        for new in &self.added {
            field(Edit::Added(with_description(&new.rule.words(self.direction), new.description.as_ref())));
        }
        for old in &self.removed {
            field(Edit::Removed(with_description(&old.rule.words(self.direction), old.description.as_ref())));
        }
        for (old, description) in &self.described {
            let words = old.rule.words(self.direction);
            field(Edit::Value {
                before: Some(with_description(&words, old.description.as_ref())),
                after: Some(with_description(&words, description.as_ref())),
            });
        }
    }

    /// Authorize before revoke. Where the quota cannot hold both sets, just as many as needed go first.
    fn drafts(&self, want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, drafts: &mut Vec<Draft<Action>>) {
        let quota = usize::try_from(want.rule_quota).unwrap_or(usize::MAX);
        let room = quota.saturating_sub(self.there);
        let short = self.added.len().saturating_sub(room).min(self.removed.len());
        let (first, second) = self.added.split_at_checked(self.added.len() - short).unwrap_or((&self.added, &[]));
        let (early, late) = self.removed.split_at_checked(short).unwrap_or((&[], &self.removed));
        let (told, plain): (Vec<NewRule>, Vec<NewRule>) = first.iter().cloned().partition(|new| told_by(new).is_some());
        self.authorize(&plain, have, cx, drafts);
        // One call for each address that is told later, so that whoever comes back first does not wait for the last.
        for rules in told.chunk_by(|a, b| told_by(a) == told_by(b)) {
            let start = drafts.len();
            self.authorize(rules, have, cx, drafts);
            drafts.iter_mut().skip(start).for_each(|draft| draft.after = After::Nothing);
        }
        if !self.described.is_empty() {
            let rules = self.described.iter().map(|(rule, description)| DescribedRule {
                id: rule.id.clone(),
                rule: rule.rule.clone(),
                description: description.clone(),
            });
            let action = Action::Describe { direction: self.direction, rules: rules.collect() };
            drafts.push(Draft::new("describe rules", Wave::Update, Some(have.id.clone()), action));
        }
        if short > 0 {
            cx.note(
                Impact::Reconnect,
                format!("{short} old rules go before their successors come: the quota of {quota} cannot hold both"),
            );
        }
        // In turns, so that the fewest are gone at a time.
        for (old, new) in early.chunks(BATCH).zip(second.chunks(BATCH)) {
            self.revoke(old, have, drafts);
            self.authorize(new, have, cx, drafts);
        }
        let start = drafts.len();
        self.revoke(late, have, drafts);
        drafts.iter_mut().skip(start).for_each(|draft| draft.after = After::All);
    }

    fn authorize(
        &self,
        rules: &[NewRule],
        have: &Seen<'_, Observed>,
        cx: &Context<'_>,
        drafts: &mut Vec<Draft<Action>>,
    ) {
        if rules.is_empty() {
            return;
        }
        let action = authorize(self.direction, rules.to_vec(), cx);
        drafts.push(Draft {
            reach: opening(&Link::Existing(have.id.clone()), rules),
            ..Draft::new(authorize_title(self.direction), Wave::Update, Some(have.id.clone()), action)
        });
    }

    fn revoke(&self, rules: &[&ObservedRule], have: &Seen<'_, Observed>, drafts: &mut Vec<Draft<Action>>) {
        if rules.is_empty() {
            return;
        }
        let gone: BTreeSet<&CloudId> = rules.iter().map(|rule| &rule.id).collect();
        let kept: BTreeSet<&CloudId> = have
            .body
            .rules
            .iter()
            .filter(|rule| !gone.contains(&rule.id))
            .filter_map(|rule| group_of(&rule.rule))
            .collect();
        let frees: BTreeSet<&CloudId> = rules.iter().filter_map(|rule| group_of(&rule.rule)).collect();
        let action =
            Action::Revoke { direction: self.direction, rules: rules.iter().map(|rule| old_rule(rule)).collect() };
        drafts.push(Draft {
            frees: frees.difference(&kept).map(|id| (*id).clone()).collect(),
            reach: closing(have.id, rules.iter().copied()),
            ..Draft::new(revoke_title(self.direction), Wave::Update, Some(have.id.clone()), action)
        });
    }
}

/// Who will tell the address that a rule names.
const fn told_by(new: &NewRule) -> Option<&Address> {
    match &new.rule.peer {
        Peer::Output { address, output: _ } => Some(address),
        Peer::Cidr(_) | Peer::Group(_) | Peer::ForeignGroup { .. } | Peer::PrefixList(_) => None,
    }
}

/// What a new group will let through, for whoever reads the plan.
pub(super) fn introduced(want: &Desired, direction: Direction, cx: &Context<'_>) -> Vec<Field> {
    wanted(want, direction, cx)
        .iter()
        .map(|(rule, description)| Field {
            name: direction.word().to_owned(),
            edit: Edit::Added(with_description(&rule.words(direction), description.as_ref())),
            effect: Effect::InPlace,
        })
        .collect()
}

fn with_description(words: &str, description: Option<&String>) -> String {
    description.map_or_else(|| words.to_owned(), |text| format!("{words} \"{text}\""))
}

/// An observed rule, its groups as links to what exists.
fn linked(rule: &Rule<CloudId>) -> Rule<Link> {
    let peer = match &rule.peer {
        Peer::Cidr(cidr) => Peer::Cidr(*cidr),
        Peer::Group(id) => Peer::Group(Link::Existing(id.clone())),
        Peer::ForeignGroup { account, group } => Peer::ForeignGroup { account: account.clone(), group: group.clone() },
        Peer::PrefixList(list) => Peer::PrefixList(list.clone()),
        Peer::Output { address, output } => Peer::Output { address: address.clone(), output: *output },
    };
    Rule { traffic: rule.traffic, peer }
}

/// How a call that authorizes bears on who may talk to whom: it opens to the members of its own group, and lets in the
/// members of the groups that it names.
pub(super) fn opening(own: &Link, rules: &[NewRule]) -> Vec<Reach> {
    let peers: BTreeSet<&Link> = rules
        .iter()
        .filter_map(|new| match &new.rule.peer {
            Peer::Group(link) => Some(link),
            Peer::Cidr(_) | Peer::ForeignGroup { .. } | Peer::PrefixList(_) | Peer::Output { .. } => None,
        })
        .filter(|link| *link != own)
        .collect();
    let admits = peers.into_iter().cloned().map(Reach::Admits);
    std::iter::once(Reach::Opens(own.clone())).chain(admits).collect()
}

/// The same of one that revokes.
pub(super) fn closing<'a>(own: &CloudId, rules: impl Iterator<Item = &'a ObservedRule>) -> Vec<Reach> {
    let peers: BTreeSet<&CloudId> = rules.filter_map(|old| group_of(&old.rule)).filter(|peer| *peer != own).collect();
    let expels = peers.into_iter().cloned().map(Reach::Expels);
    std::iter::once(Reach::Closes(own.clone())).chain(expels).collect()
}

/// A rule to authorize.
pub(super) const fn new_rule(rule: Rule<Link>, description: Option<String>) -> NewRule {
    NewRule { rule, description }
}

/// A rule to revoke.
pub(super) fn old_rule(rule: &ObservedRule) -> OldRule {
    OldRule { id: rule.id.clone(), rule: rule.rule.clone() }
}

/// The call that authorizes, with the tags that tell our rules from others'.
pub(super) fn authorize(direction: Direction, rules: Vec<NewRule>, cx: &Context<'_>) -> Action {
    let tags = Tags::from([(STACK.to_owned(), cx.stack.to_string()), (ADDRESS.to_owned(), cx.at.to_string())]);
    Action::Authorize { direction, rules, tags }
}

/// The group that a rule names.
pub(super) const fn group_of(rule: &Rule<CloudId>) -> Option<&CloudId> {
    match &rule.peer {
        Peer::Group(id) => Some(id),
        Peer::Cidr(_) | Peer::ForeignGroup { .. } | Peer::PrefixList(_) | Peer::Output { .. } => None,
    }
}

/// Whether a rule names a group other than its own.
pub(super) fn names_other(rule: &Rule<CloudId>, own: &CloudId) -> bool {
    group_of(rule).is_some_and(|group| group != own)
}

/// The step that lets more through.
pub(super) const fn authorize_title(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "authorize ingress",
        Direction::Egress => "authorize egress",
    }
}

/// The step that lets less through.
pub(super) const fn revoke_title(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "revoke ingress",
        Direction::Egress => "revoke egress",
    }
}
