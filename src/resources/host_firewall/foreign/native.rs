//! Rules as nft lists them.

use ipnet::IpNet;
use serde_json::Value;

use super::{Names, Piece, Right, Test, pieces};
use crate::model::{AddressSet, Family};
use crate::resources::host_firewall::nft::{self, Listed, addresses};
use crate::resources::host_firewall::packet::{Match, Rule, Then};

/// The state of a connection that begins, among the bits of a state, and of one that is not tracked.
const NEW: u64 = 8;
const UNTRACKED: u64 = 64;

/// Whether what iptables-save prints of a rule has in it everything that nft knows of it. iptables-save leaves out, without
/// a word, what nft wrote and iptables does not know: of `ip saddr @bad drop` it prints `-j DROP`. What iptables itself hands to
/// the kernel as its own matches nft does not know; so much iptables-save may know better.
pub(super) fn agrees(names: &Names, listed: &Listed, rule: &nft::Rule, saved: &Rule) -> bool {
    let known = rule.expressions.iter().filter(|expression| expression.get("xt").is_none());
    let (when, then) = fold(names, listed, &rule.table, known);
    let Match { source, protocol, ports, interface, new, opaque } = when;
    let wildcard = |name: &str| name.replace('+', "*");
    let told = &saved.when;
    let source_told = source.is_none_or(|set| told.source.as_ref() == Some(&set) || is_whole(&set));
    source_told
        && protocol.is_none_or(|number| told.protocol == Some(number))
        && (ports.is_empty() || told.ports == ports)
        && interface.is_none_or(|name| told.interface.as_deref().map(wildcard) == Some(wildcard(&name)))
        && new.is_none_or(|new| told.new == Some(new))
        && (!opaque || told.opaque)
        && (then == Then::Pass || then == saved.then)
}

/// One rule.
pub(super) fn rule(names: &Names, listed: &Listed, rule: &nft::Rule) -> Rule {
    let (when, then) = fold(names, listed, &rule.table, rule.expressions.iter());
    Rule { text: rule.text(), when, then, comment: rule.comment.clone() }
}

fn fold<'a>(
    names: &Names,
    listed: &Listed,
    table: &str,
    expressions: impl Iterator<Item = &'a Value>,
) -> (Match, Then) {
    let mut when = Match::default();
    let mut then = Then::Pass;
    for piece in pieces(expressions) {
        match piece {
            Piece::Test(test) => add(&mut when, test, listed, table),
            Piece::Opaque => when.opaque = true,
            Piece::Pass => {}
            Piece::Verdict(Then::Jump(name)) if name == names.chain() && table.ends_with(" filter") => {
                then = Then::Ours;
            }
            Piece::Verdict(_) if then == Then::Unknown => {}
            Piece::Verdict(verdict) => then = verdict,
        }
    }
    (when, then)
}

fn add(when: &mut Match, test: Test, listed: &Listed, table: &str) {
    match test {
        Test::Family(family) => narrow(when, whole(family)),
        Test::Interface(name) => {
            when.opaque |= when.interface.is_some();
            when.interface = Some(name);
        }
        Test::State(bits) if bits & NEW != 0 => when.new = when.new.or(Some(true)),
        Test::State(bits) if bits & UNTRACKED != 0 => when.opaque = true,
        Test::State(_) => when.new = Some(false),
        Test::Source(_, Right::These(set)) => narrow(when, set),
        Test::Source(family, Right::Named(name)) => match named(listed, table, &name) {
            Some(set) => narrow(when, set),
            None => {
                narrow(when, whole(family));
                when.opaque = true;
            }
        },
        Test::Destination(family, _) => {
            narrow(when, whole(family));
            when.opaque = true;
        }
        Test::Protocol(number) => protocol(when, number),
        Test::SourcePort(number, _) => {
            if let Some(number) = number {
                protocol(when, number);
            }
            when.opaque = true;
        }
        Test::Port(number, ports) => {
            if let Some(number) = number {
                protocol(when, number);
            }
            when.opaque |= !when.ports.is_empty();
            when.ports = ports;
        }
        Test::Type(number, _) => {
            protocol(when, number);
            when.opaque = true;
        }
    }
}

/// Every address of a family.
fn whole(family: Family) -> AddressSet {
    let net = match family {
        Family::Ipv4 => IpNet::V4(ipnet::Ipv4Net::default()),
        Family::Ipv6 => IpNet::V6(ipnet::Ipv6Net::default()),
    };
    [net].into_iter().collect()
}

/// Whether it is all addresses of a family, or of both.
fn is_whole(set: &AddressSet) -> bool {
    !set.is_empty() && set.iter().all(|net| net.prefix_len() == 0)
}

/// The source is also one of these.
fn narrow(when: &mut Match, set: AddressSet) {
    let both = match &when.source {
        None => set,
        Some(there) => {
            let mut both = there.clone();
            both.remove(&there.beyond(&set));
            both
        }
    };
    when.source = Some(both);
}

fn protocol(when: &mut Match, number: u8) {
    // Two that differ never come together; nobody writes that, so nothing is made of it.
    when.opaque |= when.protocol.is_some_and(|there| there != number);
    when.protocol = Some(number);
}

/// What a set holds, where it is a plain one of addresses.
fn named(listed: &Listed, table: &str, name: &str) -> Option<AddressSet> {
    let set = listed.set(table, name)?;
    if !["ipv4_addr", "ipv6_addr"].contains(&set.kind.as_deref()?) {
        return None;
    }
    Some(addresses(set.elements.iter())?.0)
}
