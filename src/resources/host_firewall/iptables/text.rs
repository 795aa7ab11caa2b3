//! Our rules in the language of iptables-restore, and of iptables-extensions(8).

use super::SLOTS;
use crate::model::Family;
use crate::resources::host_firewall::action::Attach;
use crate::resources::host_firewall::comment::shown;
use crate::resources::host_firewall::layout::{Line, Scope, Verdict, Written};
use crate::resources::host_firewall::names::Names;
use crate::resources::host_firewall::ruleset::{ICMP, Ruleset, UDP};

/// Everything that our chain of a family lets through and drops.
pub(super) fn lines(names: &Names, rules: &Ruleset, family: Family) -> Vec<Written> {
    let set = |rule: &_, origin: &_, family| names.ipset(rule, origin, family);
    // Protocol 0 means every one to iptables.
    let scope = Scope { passing: &[family], slots: Some(SLOTS), many_types: false, least_protocol: 1, set: &set };
    scope.lines(rules)
}

/// One rule, from the chain's name on, without its comment.
pub(super) fn rule(line: &Line) -> String {
    let Line { family: _, loopback, established, from, to, protocol, sport, ports, types, verdict } = line;
    let mut words: Vec<String> = Vec::new();
    words.extend(to.map(|net| format!("-d {net}")));
    if *loopback {
        words.push("-i lo".to_owned());
    }
    words.extend(protocol.map(|number| format!("-p {number}")));
    for kind in types {
        let (module, option) = if *protocol == Some(ICMP) { ("icmp", "icmp") } else { ("icmp6", "icmpv6") };
        words.push(format!("-m {module} --{option}-type {kind}"));
    }
    if let Some(port) = sport {
        // Only answers to DHCP clients look at the source port, and they are UDP.
        let ports: Vec<String> = ports.iter().map(|p| format!(" --dport {}", p.from)).collect();
        debug_assert_eq!(*protocol, Some(UDP));
        words.push(format!("-m udp --sport {port}{}", ports.concat()));
    } else if !ports.is_empty() {
        let range = |p: &crate::model::net::Ports| {
            if p.from == p.to { p.from.to_string() } else { format!("{}:{}", p.from, p.to) }
        };
        let list: Vec<String> = ports.iter().map(range).collect();
        words.push(format!("-m multiport --dports {}", list.join(",")));
    }
    words.extend(from.iter().map(|set| format!("-m set --match-set {set} src")));
    if *established {
        words.push("-m conntrack --ctstate RELATED,ESTABLISHED".to_owned());
    }
    let verdict = match verdict {
        Verdict::Accept => "ACCEPT",
        Verdict::Drop => "DROP",
        Verdict::Return => "RETURN",
    };
    words.push(format!("-j {verdict}"));
    words.join(" ")
}

/// A rule with its comment, as a line that appends it.
pub(super) fn append(chain: &str, (line, comment): &Written) -> String {
    let rule = rule(line);
    match (comment, rule.rsplit_once(" -j ").or_else(|| rule.strip_prefix("-j ").map(|verdict| ("", verdict)))) {
        (Some(comment), Some((tests, verdict))) => {
            let space = if tests.is_empty() { "" } else { " " };
            format!("-A {chain} {tests}{space}-m comment --comment \"{}\" -j {verdict}", shown(comment))
        }
        _ => format!("-A {chain} {rule}"),
    }
}

/// A rule that does nothing but hold a line of the marker, from the chain's name on.
pub(super) fn note(line: &str) -> String {
    format!("-m comment --comment \"{}\"", shown(line))
}

/// Our jump, from the calling chain's name on.
pub(super) fn jump(names: &Names) -> String {
    format!("-m comment --comment \"{}\" -j {}", shown(&format!("portcullis {}", names.stack())), names.chain())
}

/// The chain that shall call ours. A name that cannot stand in a text gives one that no host has, so that the text is refused.
pub(super) fn calling(attach: &Attach) -> &str {
    match attach {
        Attach::Input => "INPUT",
        Attach::Chain(name) if is_chain(name) => name,
        Attach::Chain(_) => "no-such-chain",
    }
}

/// Whether the name of a chain can stand in a text: fewer than 29 characters, none of which needs quotes.
fn is_chain(name: &str) -> bool {
    !name.is_empty()
        && name.len() < 29
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:+".contains(&b))
        && !name.starts_with('-')
}

/// A text for iptables-restore.
pub(super) fn restore(commands: &[String]) -> String {
    format!("*filter\n{}\nCOMMIT\n", commands.join("\n"))
}
