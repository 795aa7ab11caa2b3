//! What differs on a host, in words.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::action::Attach;
use super::backend::samples;
use super::diff::field;
use super::host::{Facts, Jump, Observed, Ours, Pending};
use super::packet::{Fate, Rule as ForeignRule, Then};
use super::ruleset::{Established, Mode, Origin, Rule, RuleKey, Ruleset};
use super::sources::Resolved;
use super::state::Desired;
use crate::model::addresses::plain;
use crate::model::net::Ports;
use crate::model::tags::matches;
use crate::model::{AddressSet, Family};
use crate::resources::{Context, Edit, Field, Impact, Refusal, RefusalKind};

/// How many addresses of a rule are listed before the rest is counted.
const LISTED: usize = 8;

/// A change of somebody's waits to be confirmed: nothing is planned on top of it.
pub(super) fn refuse_pending(want: &Desired, pending: &Pending, cx: &Context<'_>) {
    let Pending { id: _, by, until } = pending;
    let message = format!("a change of {by} on {} waits to be confirmed until {until}", want.target);
    let hint =
        format!("`portcullis firewall confirm SPEC {0}` or `portcullis firewall rollback SPEC {0}`, or wait", cx.at);
    cx.refuse(Refusal::new(RefusalKind::Pending, cx.at, message).hint(hint));
}

/// The rules of others that are taken over, as their tool prints them: those that the comment names, that do nothing but
/// accept, and accept nothing that no rule of ours is about.
pub(super) fn adopted(want: &Desired, host: &Observed) -> Vec<String> {
    let Some(pattern) = &want.adopt else { return Vec::new() };
    let all = Family::ALL.into_iter().flat_map(|family| host.facts.foreign.chains(family));
    let iptables = all.filter(|chain| ["ip filter", "ip6 filter"].contains(&chain.table.as_str()));
    let rules = iptables.flat_map(|chain| &chain.rules);
    let named = rules.filter(|rule| rule.comment.as_ref().is_some_and(|comment| matches(pattern, comment)));
    named.filter(|rule| is_covered(rule, want)).map(|rule| rule.text.clone()).collect()
}

/// Whether a rule of somebody else accepts only what rules of ours are about.
fn is_covered(rule: &ForeignRule, want: &Desired) -> bool {
    let when = &rule.when;
    let about = want.rules.iter().any(|ours| {
        let ports = &ours.traffic.ports;
        let inside = |wanted: &Ports| {
            ports.is_empty() || ports.iter().any(|ours| ours.from <= wanted.from && wanted.to <= ours.to)
        };
        let protocol = ours.traffic.protocol.is_none_or(|number| when.protocol == Some(number));
        protocol
            && ours.traffic.to.is_none()
            && (ports.is_empty() || !when.ports.is_empty())
            && when.ports.iter().all(inside)
    });
    rule.then == Then::Accept && !when.opaque && when.interface.is_none() && when.source.is_some() && about
}

/// The fields that say which rules of others go: first those that let somebody in whom ours do not.
pub(super) fn adoptions(adopted: &[String], end: &Ruleset, host: &Observed, cx: &Context<'_>) -> Vec<Field> {
    let all = Family::ALL.into_iter().flat_map(|family| host.facts.foreign.chains(family));
    let named: BTreeMap<&str, &ForeignRule> =
        all.flat_map(|chain| &chain.rules).map(|rule| (rule.text.as_str(), rule)).collect();
    let closes = |text: &&String| named.get(text.as_str()).is_some_and(|rule| !is_said(rule, end));
    let (closing, said): (Vec<&String>, Vec<&String>) = adopted.iter().partition(closes);
    if !closing.is_empty() {
        let (let_in, they) = if closing.len() == 1 { ("lets", "it stands") } else { ("let", "they stand") };
        let count = closing.len();
        let text = format!("{count} of the rules taken over {let_in} somebody in whom ours do not: {they} first");
        cx.note(Impact::None, text);
    }
    let more = adopted.len().saturating_sub(LISTED);
    let shown = closing.iter().chain(&said).take(LISTED);
    let mut fields: Vec<Field> = shown.map(|text| field("adopt", Edit::Removed((*text).clone()))).collect();
    if more > 0 {
        let also = if closing.len() <= LISTED { ", which ours say too" } else { "" };
        fields.push(field("adopt", Edit::Removed(format!("and {more} more{also}"))));
    }
    fields
}

/// Whether ours accept all that a rule of somebody else does.
fn is_said(rule: &ForeignRule, end: &Ruleset) -> bool {
    let Some(sources) = &rule.when.source else { return false };
    let accepts = |net: &IpNet, wanted: &Ports| {
        end.rules.values().any(|ours| {
            let traffic = &ours.traffic;
            let ports = traffic.ports.is_empty()
                || traffic.ports.iter().any(|ports| ports.from <= wanted.from && wanted.to <= ports.to);
            let held = || ours.sources.values().flat_map(|held| held.addresses.iter());
            traffic.protocol.is_none_or(|number| rule.when.protocol == Some(number))
                && traffic.to.is_none()
                && ports
                && held().any(|one| one.contains(net))
        })
    };
    let every = [Ports::ALL];
    let ports = if rule.when.ports.is_empty() { &every[..] } else { &rule.when.ports };
    sources.iter().all(|net| ports.iter().all(|wanted| accepts(net, wanted)))
}

/// Everything that differs between rules that stand and rules that are wanted.
pub(super) fn differences(have: Option<&Ruleset>, end: &Ruleset, resolved: &Resolved) -> Vec<Field> {
    let mut fields = Vec::new();
    let none = Ruleset::default();
    let from = have.unwrap_or(&none);
    if let Some(have) = have {
        let families =
            |rules: &Ruleset| rules.settings.families.iter().map(|family| family.word()).collect::<Vec<_>>().join(", ");
        let mut value = |name: &str, before: String, after: String| {
            if before != after {
                fields.push(field(name, Edit::Value { before: Some(before), after: Some(after) }));
            }
        };
        value("mode", have.settings.mode.word().to_owned(), end.settings.mode.word().to_owned());
        let established = |rules: &Ruleset| rules.settings.established.word().to_owned();
        value("established", established(have), established(end));
        value("families", families(have), families(end));
    }
    for (key, rule) in &end.rules {
        match from.rules.get(key) {
            None => fields.push(field(&name(key, ""), Edit::Added(whole(rule)))),
            Some(there) => {
                if there.traffic != rule.traffic {
                    let edit =
                        Edit::Value { before: Some(there.traffic.to_string()), after: Some(rule.traffic.to_string()) };
                    fields.push(field(&name(key, ".traffic"), edit));
                }
                sources(key, there, rule, &mut fields);
            }
        }
    }
    for (key, rule) in &from.rules {
        if !end.rules.contains_key(key) {
            fields.push(field(&name(key, ""), Edit::Removed(whole(rule))));
        }
    }
    for (told, places) in &resolved.later {
        for (key, _) in places {
            let text = format!("{} of {}, once it is known", told.output, told.whom);
            fields.push(field(&name(key, ".from"), Edit::Added(text)));
        }
    }
    fields
}

/// Says whom a change hurts: those who are dropped from now on, and those whose connections are cut.
pub(super) fn warn(have: Option<&Ruleset>, end: &Ruleset, fields: &[Field], cx: &Context<'_>) {
    let before = have.map_or(Mode::Allow, |have| have.settings.mode);
    if end.settings.mode > before {
        let what = match end.settings.mode {
            Mode::Deny => "whatever no rule lets in",
            Mode::Allow | Mode::Guard => "what the rules are about, from everybody else,",
        };
        cx.note(Impact::None, format!("{what} is dropped from now on"));
    }
    let gone = |field: &Field| field.name.starts_with("rules.") && matches!(field.edit, Edit::Removed(_));
    if end.settings.established == Established::Cut && fields.iter().any(gone) {
        cx.note(Impact::Reconnect, "connections of those who are let in no more are cut");
    }
}

/// The name of a rule's field.
fn name(key: &RuleKey, part: &str) -> String {
    match key {
        RuleKey::Always(number) => format!("always_allow.{number}{part}"),
        RuleKey::Named(name) => format!("rules.{name}{part}"),
        RuleKey::Former(name) => format!("rules.{name} (as it was){part}"),
    }
}

/// A rule in one line.
fn whole(rule: &Rule) -> String {
    let mut room = LISTED;
    let mut parts: Vec<String> = Vec::new();
    for (origin, held) in &rule.sources {
        let shown: Vec<String> = held.addresses.iter().take(room).map(plain).collect();
        room -= shown.len();
        if !shown.is_empty() {
            parts.push(with_origin(&shown.join(", "), origin));
        }
    }
    let all: usize = rule.sources.values().map(|held| held.addresses.len()).sum();
    let more = all.saturating_sub(LISTED);
    let mut from = if parts.is_empty() { "nobody yet".to_owned() } else { parts.join("; ") };
    if more > 0 {
        from = format!("{from} and {more} more");
    }
    format!("{} from {from}", rule.traffic)
}

fn with_origin(text: &str, origin: &Origin) -> String {
    match origin {
        Origin::Spec => text.to_owned(),
        Origin::Region(region) => format!("{text} ({region})"),
    }
}

/// Addresses more and less, origin by origin.
fn sources(key: &RuleKey, there: &Rule, rule: &Rule, fields: &mut Vec<Field>) {
    let none = AddressSet::default();
    let set = |rule: &'_ Rule, origin: &Origin| {
        rule.sources.get(origin).map_or_else(|| none.clone(), |held| held.addresses.clone())
    };
    let mut origins: Vec<&Origin> = there.sources.keys().chain(rule.sources.keys()).collect();
    origins.sort();
    origins.dedup();
    for origin in origins {
        let (before, after) = (set(there, origin), set(rule, origin));
        list(key, origin, &after.beyond(&before), Edit::Added, fields);
        list(key, origin, &before.beyond(&after), Edit::Removed, fields);
    }
}

fn list(key: &RuleKey, origin: &Origin, set: &AddressSet, edit: fn(String) -> Edit, fields: &mut Vec<Field>) {
    let name = name(key, ".from");
    fields.extend(set.iter().take(LISTED).map(|net| field(&name, edit(with_origin(&plain(net), origin)))));
    if set.len() > LISTED {
        fields.push(field(&name, edit(with_origin(&format!("and {} more", set.len() - LISTED), origin))));
    }
}

/// What is wrong with our chain, beside its rules: edited by hand, not called, called twice, or overtaken.
pub(super) fn faults(ours: &Ours, end: &Ruleset, attach: &Attach, facts: &Facts) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for line in ours.edited.iter().take(LISTED) {
        fields.push(field("edited by hand", Edit::Removed(line.clone())));
    }
    if ours.edited.len() > LISTED {
        let more = format!("and {} more", ours.edited.len() - LISTED);
        fields.push(field("edited by hand", Edit::Removed(more)));
    }
    let word = |attach: &Attach| match attach.normal() {
        Attach::Input => "INPUT".to_owned(),
        Attach::Chain(name) => name,
    };
    if ours.attach.normal() != attach.normal() {
        let edit = Edit::Value { before: Some(word(&ours.attach)), after: Some(word(attach)) };
        fields.push(field("attach.chain", edit));
    }
    for family in &end.settings.families {
        let jump = ours.jumps.get(family);
        let before = match jump {
            Some(Jump::Several) => format!("{family}: called more than once"),
            Some(Jump::After(_)) if is_shadowed(ours, end, facts, *family) => {
                format!("{family}: below rules of others that decide first")
            }
            Some(Jump::Missing) | None if ours.rules.settings.families.contains(family) => {
                format!("{family}: called from nowhere")
            }
            Some(Jump::After(_) | Jump::Missing) | None => continue,
        };
        let after = Some(format!("{family}: called once, first"));
        fields.push(field("attach", Edit::Value { before: Some(before), after }));
    }
    fields
}

/// Whether a rule of others, above our jump, surely drops what one of ours accepts.
pub(super) fn is_shadowed(ours: &Ours, end: &Ruleset, facts: &Facts, family: Family) -> bool {
    let below = matches!(ours.jumps.get(&family), Some(Jump::After(count)) if *count > 0);
    below && samples(end, family).iter().any(|packet| facts.foreign.fate(packet, Fate::PASSES) == Fate::DROPS)
}
