//! One rule as written: what it accepts, and from whom.

use super::super::ruleset::{ICMP, ICMPV6, TCP, Traffic, WITH_PORTS};
use super::source::SourceSpec;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::net::{Cidr, Ports};
use crate::model::tree::{Node, Value};
use crate::model::{Family, Name};
use crate::resources::decode::{At, Decode, Fields, OneOrMany, by_rule, nearest, wrong_type};

/// The most rules of either sort: every one is looked at for every packet.
const MOST_RULES: usize = 1000;
/// How the rules of `always_allow` are called on a host, with their number.
const ALWAYS: &str = "always-";

/// A rule as written.
#[derive(Debug)]
pub(super) struct RuleSpec {
    /// What it is called; absent in `always_allow`, and where the name is wrong.
    pub(super) name: Option<At<String>>,
    /// What is accepted.
    pub(super) traffic: Traffic,
    /// From whom.
    pub(super) from: Vec<At<SourceSpec>>,
}

impl RuleSpec {
    /// Whether it accepts every address of a family.
    pub(super) fn is_for_everyone(&self) -> bool {
        self.from.iter().any(|source| matches!(&source.value, SourceSpec::Network(net) if net.prefix_len() == 0))
    }
}

/// Which list a rule stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// `always_allow`.
    Always,
    /// `rules`.
    Named,
}

/// Reads a list of rules; each that is wrong is left out, and said.
pub(super) fn read_list(node: &Node, sort: Sort, problems: &mut Diagnostics) -> Vec<RuleSpec> {
    let Value::Array(items) = &node.value else {
        problems.push(wrong_type(node.span, "a list of rules", &node.value));
        return Vec::new();
    };
    if items.len() > MOST_RULES {
        let message = format!("these are {} rules, and a firewall takes {MOST_RULES}", items.len());
        let problem = Diagnostic::error("too-many", node.span, message);
        problems.push(problem.hint("one rule takes any number of ports and sources"));
    }
    let rules: Vec<RuleSpec> = items.iter().filter_map(|item| RuleSpec::read(item, sort, problems)).collect();
    check_names(&rules, problems);
    rules
}

/// Every name stands for one rule.
fn check_names(rules: &[RuleSpec], problems: &mut Diagnostics) {
    let mut seen = std::collections::BTreeMap::new();
    for name in rules.iter().filter_map(|rule| rule.name.as_ref()) {
        if let Some(first) = seen.get(&name.value) {
            let problem = Diagnostic::error("twice", name.span, format!("there is a rule `{}` already", name.value));
            problems.push(problem.hint("one rule takes any number of ports and sources").also(*first, "here"));
        } else {
            seen.insert(&name.value, name.span);
        }
    }
}

impl RuleSpec {
    fn read(node: &Node, sort: Sort, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a rule", problems)?;
        let name = match sort {
            Sort::Named => read_name(&mut fields, problems),
            Sort::Always => {
                let hint = "leave it out: these go by what they accept";
                fields.refuse("name", "the rules of `always_allow` have no names", hint, problems);
                None
            }
        };
        let traffic = read_traffic(&mut fields, problems);
        let from = read_from(&mut fields, problems);
        fields.finish(problems);
        Some(Self { name, traffic: traffic?, from: from? })
    }
}

fn read_name(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<At<String>> {
    let span = fields.span();
    let Some(node) = fields.node("name") else {
        let problem = Diagnostic::error("missing-key", span, "a rule needs `name`");
        return problems.fail(problem.hint("its name says which rule it was when it changes: name = \"web\""));
    };
    let rule = |text: &str| {
        let digits = text.strip_prefix(ALWAYS);
        if digits.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit())) {
            return Err(format!("`{text}` is a name of the rules of `always_allow`"));
        }
        Name::written(text).map(|name| name.to_string())
    };
    let value = by_rule(node, "name", rule, problems)?;
    Some(At { value, span: node.span })
}

fn read_from(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Vec<At<SourceSpec>>> {
    let span = fields.span();
    let Some(node) = fields.node("from") else {
        let problem = Diagnostic::error("missing-key", span, "a rule needs `from`");
        return problems.fail(problem.hint("everyone is from = [\"0.0.0.0/0\", \"::/0\"]"));
    };
    let from: OneOrMany<At<SourceSpec>> = Decode::decode(node, problems)?;
    if matches!(&node.value, Value::Array(items) if items.is_empty()) {
        problems.push(Diagnostic::warning("empty", node.span, "`from` is empty: this rule lets nobody in"));
    }
    Some(from.0)
}

/// A protocol by number; none means every one.
#[derive(Debug, Clone, Copy)]
struct Protocol(Option<u8>);

impl Decode for Protocol {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        const WORDS: [&str; 7] = ["tcp", "udp", "sctp", "dccp", "icmp", "icmpv6", "all"];
        let wrong =
            || Diagnostic::error("protocol", node.span, format!("a protocol is {}, or 1 to 255", WORDS.join(", ")));
        let number = match &node.value {
            Value::Integer(number) => *number,
            Value::String(text) => {
                let word = text.to_ascii_lowercase();
                match (word_of(&word), word.parse()) {
                    (Some(protocol), _) => return Some(protocol),
                    (None, Ok(number)) => number,
                    (None, Err(_)) => {
                        return problems.fail(match nearest(&word, &WORDS) {
                            Some(near) => wrong().hint(format!("did you mean \"{near}\"?")),
                            None => wrong(),
                        });
                    }
                }
            }
            other => return problems.fail(wrong_type(node.span, "a protocol", other)),
        };
        match (number, u8::try_from(number)) {
            (-1, _) => Some(Self(None)),
            // The kernel's tools take 0 for every protocol: whoever means that says so.
            (0, _) => problems.fail(wrong().hint("every one is \"all\"")),
            (_, Ok(number)) => Some(Self(Some(number))),
            (_, Err(_)) => problems.fail(wrong()),
        }
    }
}

/// The protocol that a lower-case word names.
fn word_of(word: &str) -> Option<Protocol> {
    match word {
        "all" => Some(Protocol(None)),
        "icmp" => Some(Protocol(Some(ICMP))),
        "icmpv6" => Some(Protocol(Some(ICMPV6))),
        _ => WITH_PORTS.iter().find(|(_, known)| *known == word).map(|(number, _)| Protocol(Some(*number))),
    }
}

/// Protocol, ports and destination together.
fn read_traffic(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Traffic> {
    let span = fields.span();
    let (protocol, ports, to) = (fields.node("protocol"), fields.node("ports"), fields.node("to"));
    let number = protocol.map(|node| Protocol::decode(node, problems));
    let named = ports.map(|node| read_ports(node, problems));
    let group = to.map(|node| by_rule(node, "to", read_group, problems));
    let protocol = match (number, ports) {
        (Some(number), _) => number?.0,
        (None, Some(_)) => Some(TCP),
        (None, None) => {
            let problem = Diagnostic::error("missing-key", span, "a rule needs `ports` or `protocol`");
            return problems.fail(problem.hint("everything is protocol = \"all\""));
        }
    };
    let with_ports = WITH_PORTS.iter().find(|(number, _)| protocol == Some(*number));
    match (ports, with_ports) {
        (Some(ports), None) => {
            let problem = Diagnostic::error("ports", ports.span, "only tcp, udp, sctp and dccp have ports");
            problems.push(problem.hint("leave `ports` out, or say which protocol"));
        }
        (None, Some((_, word))) => {
            let problem = Diagnostic::error("missing-key", span, format!("a rule for {word} needs `ports`"));
            problems.push(problem.hint("every port is ports = \"all\""));
        }
        (_, _) => {}
    }
    let traffic = Traffic {
        protocol,
        ports: named.map_or(Some(Vec::new()), |ports| ports)?,
        to: group.map_or(Some(None), |group| group.map(Some))?,
    };
    if let (Some(to), Some(group)) = (to, traffic.to)
        && Family::ALL.into_iter().all(|family| !traffic.fits(family))
    {
        let of = if group.is_v4() { Family::Ipv4 } else { Family::Ipv6 };
        let message = format!("this protocol is not of {of}, and the group is");
        problems.push(Diagnostic::error("combination", to.span, message));
    }
    Some(traffic.normal())
}

/// Ports, at least one of them, and never port 0, which nothing listens to.
fn read_ports(node: &Node, problems: &mut Diagnostics) -> Option<Vec<Ports>> {
    let ports: OneOrMany<At<Ports>> = Decode::decode(node, problems)?;
    if matches!(&node.value, Value::Array(items) if items.is_empty()) {
        let problem = Diagnostic::error("empty", node.span, "`ports` is empty");
        return problems.fail(problem.hint("every port is \"all\""));
    }
    for At { value, span } in &ports.0 {
        if value.from == 0 && *value != Ports::ALL {
            let problem = Diagnostic::error("ports", *span, "nothing listens to port 0");
            problems.push(if value.to == 0 { problem } else { problem.hint(format!("write \"1-{}\"", value.to)) });
        }
    }
    Some(ports.0.into_iter().map(|ports| ports.value).collect())
}

/// A multicast group, or several as a network.
fn read_group(text: &str) -> Result<Cidr, String> {
    let net = match text.parse() {
        Ok(address) => Cidr::host(address),
        Err(_) => Cidr::read(text)?,
    };
    let within = |all: &str| Cidr::read(all).is_ok_and(|all| all.covers(net));
    if within("224.0.0.0/4") || within("ff00::/8") {
        return Ok(net);
    }
    Err("rules are about the host itself: `to` is for multicast, 224.0.0.0/4 and ff00::/8".to_owned())
}
