//! Rules as iptables-save prints them.

use ipnet::IpNet;

use super::Names;
use crate::model::AddressSet;
use crate::resources::host_firewall::iptables::{Saved, SavedRule, Table, ranges};
use crate::resources::host_firewall::packet::{Match, Rule, Then};
use crate::resources::host_firewall::protocols;

/// Targets after which the next rule follows (iptables-extensions(8)).
const PASSING: [&str; 19] = [
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DSCP",
    "HMARK",
    "IDLETIMER",
    "LED",
    "LOG",
    "MARK",
    "NFLOG",
    "RATEEST",
    "SECMARK",
    "SET",
    "TCPMSS",
    "TOS",
    "TRACE",
];
/// Modules of which every option is understood below.
const MODULES: [&str; 8] = ["comment", "conntrack", "multiport", "sctp", "set", "state", "tcp", "udp"];

/// The rules of a chain.
pub(super) fn rules(names: &Names, saved: &Saved, table: &Table, chain: &str, doubts: &mut Vec<String>) -> Vec<Rule> {
    let rules = table.rules_of(chain).map(|rule| {
        if rule.text.contains(char::is_control) {
            doubts.push(format!("{chain}: a comment has a line break in it, which iptables-save does not escape"));
        }
        self::rule(names, saved, table, rule)
    });
    rules.collect()
}

fn rule(names: &Names, saved: &Saved, table: &Table, rule: &SavedRule) -> Rule {
    let mut read = Rule { text: rule.text.clone(), when: Match::default(), then: Then::Pass, comment: None };
    let mut words = rule.words.iter().map(String::as_str).peekable();
    let mut negated = false;
    while let Some(word) = words.next() {
        if word == "!" {
            negated = true;
            continue;
        }
        if !word.starts_with('-') {
            // A value that nobody took, of an option that is not understood.
            continue;
        }
        let value = words.peek().copied().unwrap_or_default();
        match word {
            "--comment" => read.comment = words.next().map(str::to_owned),
            "-j" => {
                read.then = target(names, table, value);
                // What follows belongs to the target.
                break;
            }
            "-g" => {
                read.then = if table.chains.contains_key(value) && value != names.chain() {
                    Then::Goto(value.to_owned())
                } else {
                    Then::Unknown
                };
                break;
            }
            "-m" => read.when.opaque |= !MODULES.contains(&value),
            _ if negated => read.when.opaque = true,
            "--match-set" => {
                let name = words.next().unwrap_or_default();
                let direction = words.peek().copied().unwrap_or_default();
                source(&mut read.when, saved.plain_set(name).filter(|_| direction == "src"));
            }
            _ => option(&mut read.when, word, value),
        }
        negated = false;
    }
    read
}

/// One option with its value.
fn option(when: &mut Match, word: &str, value: &str) {
    match word {
        "-s" => {
            let address = || value.parse::<std::net::IpAddr>().ok().map(IpNet::from);
            let net = value.parse::<IpNet>().ok().or_else(address);
            source(when, net.map(|net| [net].into_iter().collect()));
        }
        "-i" => when.interface = Some(value.to_owned()),
        "-p" => match (value, protocols::number(value)) {
            ("all" | "0", _) => {}
            (_, Some(number)) => when.protocol = Some(number),
            (_, None) => when.opaque = true,
        },
        "--dport" | "--dports" => match ranges(value) {
            Some(ports) if when.ports.is_empty() => when.ports = ports,
            _ => when.opaque = true,
        },
        "--ctstate" | "--state" => {
            let states: Vec<&str> = value.split(',').collect();
            if states.iter().all(|state| ["ESTABLISHED", "RELATED", "INVALID"].contains(state)) {
                when.new = Some(false);
            } else if states.contains(&"NEW") {
                when.new = when.new.or(Some(true));
            } else {
                when.opaque = true;
            }
        }
        _ => when.opaque = true,
    }
}

/// The source is one of these; not understood when that is not known, or said twice.
fn source(when: &mut Match, set: Option<AddressSet>) {
    match (&when.source, set) {
        (None, Some(set)) => when.source = Some(set),
        _ => when.opaque = true,
    }
}

fn target(names: &Names, table: &Table, target: &str) -> Then {
    match target {
        "ACCEPT" => Then::Accept,
        "DROP" | "REJECT" => Then::Drop,
        "RETURN" => Then::Return,
        own if own == names.chain() => Then::Ours,
        passing if PASSING.contains(&passing) => Then::Pass,
        chain if table.chains.contains_key(chain) => Then::Jump(chain.to_owned()),
        _ => Then::Unknown,
    }
}
