//! The marker: what the kernel keeps no place for, in the comments of rules that nothing passes.
//!
//! One record per line, of words that [`super::comment::word`] wrote:
//!
//! ```text
//! portcullis 1
//! settings mode=guard established=keep families=ipv4,ipv6 attach=INPUT
//! tag portcullis%3Astack=shop
//! rule n=web protocol=6 ports=80,8000-8100 to=224.0.0.0/4
//! from spec
//! from eu-west-1 2026-11-20T17:00:00Z
//! change 4be2a7c0d1
//! ```
//!
//! `from` belongs to the rule before it. A record that is too long for a comment goes on in lines that begin with `+`. The
//! last one names the change that wrote it, so that a text can tell whether that change is in place.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::action::Attach;
use super::comment::{LONGEST, read_word, word};
use super::dialect::Wanted;
use super::ruleset::{Established, Held, Mode, Origin, Rule, RuleKey, Ruleset, Settings, Traffic};
use crate::model::net::{Cidr, Ports};
use crate::model::{AddressSet, Family, Region, Tags};

/// What is written first, with the version of the format.
const FIRST: &str = "portcullis 1";

/// What a marker tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marker {
    /// Whose it is.
    pub(super) tags: Tags,
    /// From where our chain is called; absent when that is not told.
    pub(super) attach: Option<Attach>,
    /// The rules, with every origin and since when it is known, but without addresses.
    pub(super) rules: Ruleset,
    /// The change that wrote it.
    pub(super) change: Option<String>,
    /// Lines that are no records.
    pub(super) strange: Vec<String>,
}

/// The lines of a marker, save the one that names the change.
pub(super) fn write(wanted: &Wanted<'_>) -> Vec<String> {
    let mut records = vec![FIRST.to_owned(), settings(&wanted.rules.settings, wanted.attach)];
    for (key, value) in wanted.tags {
        records.push(format!("tag {}={}", word(key), word(value)));
    }
    for (key, rule) in &wanted.rules.rules {
        records.push(rule_record(key, &rule.traffic));
        // An origin without addresses is none.
        for (origin, held) in rule.sources.iter().filter(|(_, held)| !held.addresses.is_empty()) {
            let seen = held.seen.map(|at| format!(" {}", word(&at.to_string()))).unwrap_or_default();
            records.push(format!("from {}{seen}", word(&origin_word(origin))));
        }
    }
    records.iter().flat_map(|record| pieces(record)).collect()
}

/// The line that names a change.
pub(super) fn change(id: &str) -> String {
    format!("change {}", word(id))
}

fn settings(settings: &Settings, attach: &Attach) -> String {
    let families: Vec<&str> = settings.families.iter().map(|family| family.word()).collect();
    let attach = match attach {
        Attach::Input => String::new(),
        Attach::Chain(name) => format!(" attach={}", word(name)),
    };
    format!(
        "settings mode={} established={} families={}{attach}",
        settings.mode.word(),
        settings.established.word(),
        families.join(",")
    )
}

fn rule_record(key: &RuleKey, traffic: &Traffic) -> String {
    let mut words = vec![match key {
        RuleKey::Always(number) => format!("rule a={number}"),
        RuleKey::Named(name) => format!("rule n={}", word(name)),
        RuleKey::Former(name) => format!("rule f={}", word(name)),
    }];
    words.extend(traffic.protocol.map(|number| format!("protocol={number}")));
    if !traffic.ports.is_empty() {
        let ports: Vec<String> = traffic.ports.iter().map(|p| format!("{}-{}", p.from, p.to)).collect();
        words.push(format!("ports={}", ports.join(",")));
    }
    words.extend(traffic.to.map(|to| format!("to={to}")));
    words.join(" ")
}

fn origin_word(origin: &Origin) -> String {
    match origin {
        Origin::Spec => "spec".to_owned(),
        Origin::Region(region) => region.as_str().to_owned(),
    }
}

/// A record in pieces that fit a comment. It is ASCII throughout.
fn pieces(record: &str) -> Vec<String> {
    let (head, mut rest) = record.split_at_checked(LONGEST).unwrap_or((record, ""));
    let mut pieces = vec![head.to_owned()];
    while !rest.is_empty() {
        let (next, after) = rest.split_at_checked(LONGEST - 1).unwrap_or((rest, ""));
        pieces.push(format!("+{next}"));
        rest = after;
    }
    pieces
}

/// Reads the lines of a marker; what is no record is told as strange.
///
/// # Errors
/// When another version of this program wrote it.
pub(super) fn read(lines: &[String]) -> Result<Marker, String> {
    let mut records: Vec<String> = Vec::new();
    for line in lines {
        match (line.strip_prefix('+'), records.last_mut()) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => records.push(line.clone()),
        }
    }
    let mut marker = Marker::default();
    let mut current = None;
    for record in &records {
        if let Some(version) = record.strip_prefix("portcullis ") {
            if record != FIRST {
                return Err(format!("the marker is of version {version}, which this program does not know"));
            }
        } else if marker.take(record, &mut current).is_none() {
            marker.strange.push(record.clone());
        }
    }
    Ok(marker)
}

impl Marker {
    /// Takes one record; none when it is not understood.
    fn take(&mut self, record: &str, current: &mut Option<RuleKey>) -> Option<()> {
        let (kind, rest) = record.split_once(' ')?;
        match kind {
            "settings" => {
                let (settings, attach) = read_settings(rest)?;
                self.rules.settings = settings;
                self.attach = Some(attach);
            }
            "tag" => {
                let (key, value) = rest.split_once('=')?;
                self.tags.insert(read_word(key)?, read_word(value)?);
            }
            "rule" => {
                let rule = read_rule(rest)?;
                *current = Some(rule.key.clone());
                self.rules.rules.insert(rule.key.clone(), rule);
            }
            "from" => {
                let rule = self.rules.rules.get_mut(current.as_ref()?)?;
                let (origin, seen) = rest.split_once(' ').map_or((rest, None), |(origin, seen)| (origin, Some(seen)));
                let origin = match read_word(origin)?.as_str() {
                    "spec" => Origin::Spec,
                    region => Origin::Region(Region::new(region).ok()?),
                };
                let seen = match seen {
                    Some(seen) => Some(read_word(seen)?.parse::<Timestamp>().ok()?),
                    None => None,
                };
                rule.sources.insert(origin, Held { addresses: AddressSet::default(), seen });
            }
            "change" => self.change = Some(read_word(rest)?),
            _ => return None,
        }
        Some(())
    }
}

fn read_settings(text: &str) -> Option<(Settings, Attach)> {
    let mut settings = Settings { families: BTreeSet::new(), ..Settings::default() };
    let mut attach = Attach::Input;
    for (key, value) in text.split(' ').map(|word| word.split_once('=')).collect::<Option<Vec<_>>>()? {
        match key {
            "mode" => settings.mode = [Mode::Allow, Mode::Guard, Mode::Deny].into_iter().find(|m| m.word() == value)?,
            "established" => {
                settings.established =
                    [Established::Keep, Established::Cut].into_iter().find(|word| word.word() == value)?;
            }
            "families" => {
                let named = value.split(',').filter(|word| !word.is_empty());
                let families = named.map(|word| Family::ALL.into_iter().find(|family| family.word() == word));
                settings.families = families.collect::<Option<_>>()?;
            }
            "attach" => attach = Attach::Chain(read_word(value)?),
            _ => return None,
        }
    }
    Some((settings, attach))
}

fn read_rule(text: &str) -> Option<Rule> {
    let mut key = None;
    let mut traffic = Traffic { protocol: None, ports: Vec::new(), to: None };
    for (word, value) in text.split(' ').map(|word| word.split_once('=')).collect::<Option<Vec<_>>>()? {
        match word {
            "a" => key = Some(RuleKey::Always(value.parse().ok()?)),
            "n" => key = Some(RuleKey::Named(read_word(value)?)),
            "f" => key = Some(RuleKey::Former(read_word(value)?)),
            "protocol" => traffic.protocol = Some(value.parse().ok()?),
            "ports" => traffic.ports = value.split(',').map(read_ports).collect::<Option<_>>()?,
            "to" => traffic.to = Some(Cidr::read(value).ok()?),
            _ => return None,
        }
    }
    Some(Rule::new(key?, traffic))
}

fn read_ports(text: &str) -> Option<Ports> {
    let (from, to) = text.split_once('-')?;
    Some(Ports { from: from.parse().ok()?, to: to.parse().ok()? })
}
