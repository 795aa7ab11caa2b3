//! One rule as written: what it lets through, whom, and until when.

use jiff::civil::Date;

use super::super::state::{Direction, Rule, Wish};
use super::check_text;
use super::peer::{PeerSpec, lower_peer};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Reference;
use crate::model::net::{Icmp, Ports, Traffic};
use crate::model::tree::{Node, Span, Value};
use crate::resources::decode::{At, Decode, Fields, OneOrMany, nearest, within, wrong_type};
use crate::resources::spec::Lowering;

/// A rule as written.
#[derive(Debug)]
pub(super) struct RuleSpec {
    traffic: Vec<Traffic>,
    peers: Vec<At<PeerSpec>>,
    description: Option<String>,
    expires: Option<Date>,
    direction: Direction,
}

/// A protocol by number; none means every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Protocol(Option<u8>);

/// The words for protocols, beside their numbers.
const PROTOCOLS: [(&str, Protocol); 6] = [
    ("tcp", Protocol(Some(6))),
    ("udp", Protocol(Some(17))),
    ("icmp", Protocol(Some(1))),
    ("icmpv6", Protocol(Some(58))),
    ("all", Protocol(None)),
    ("-1", Protocol(None)),
];

impl Decode for Protocol {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let wrong =
            || Diagnostic::error("protocol", node.span, "a protocol is tcp, udp, icmp, icmpv6, all, or 0 to 255");
        match &node.value {
            Value::Integer(-1) => Some(Self(None)),
            Value::Integer(number) => match u8::try_from(*number) {
                Ok(number) => Some(Self(Some(number))),
                Err(_) => problems.fail(wrong()),
            },
            Value::String(text) => {
                let word = text.to_ascii_lowercase();
                let named = PROTOCOLS.iter().find(|(known, _)| *known == word).map(|(_, protocol)| *protocol);
                let found = named.or_else(|| word.parse().ok().map(|number| Self(Some(number))));
                if found.is_none() {
                    let known: Vec<&str> = PROTOCOLS.iter().map(|(word, _)| *word).collect();
                    problems.push(match nearest(&word, &known) {
                        Some(near) => wrong().hint(format!("did you mean \"{near}\"?")),
                        None => wrong(),
                    });
                }
                found
            }
            other => problems.fail(wrong_type(node.span, "a protocol", other)),
        }
    }
}

/// A date as a string, or as TOML's own.
#[derive(Debug)]
struct Day(Date);

impl Decode for Day {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let text = match &node.value {
            Value::String(text) | Value::Datetime(text) => text,
            other => return problems.fail(wrong_type(node.span, "a date", other)),
        };
        match (text.len(), text.parse()) {
            (10, Ok(day)) => Some(Self(day)),
            (_, _) => problems.fail(
                Diagnostic::error("date", node.span, format!("`{text}` is no date"))
                    .hint("write \"2027-01-31\": the rule is open through that day, in UTC"),
            ),
        }
    }
}

impl RuleSpec {
    /// Reads one rule of a direction.
    pub(super) fn read(node: &Node, direction: Direction, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a rule", problems)?;
        let protocol = fields.optional("protocol", problems);
        let traffic = read_traffic(&mut fields, protocol, problems);
        let (key, other) = match direction {
            Direction::Ingress => ("from", "to"),
            Direction::Egress => ("to", "from"),
        };
        let peers: Option<OneOrMany<At<PeerSpec>>> = if let Some(peers) = fields.node(key) {
            Decode::decode(peers, problems)
        } else {
            let message = format!("an {} rule needs `{key}`", direction.word());
            let missing = Diagnostic::error("missing-key", node.span, message);
            problems.fail(match fields.node(other) {
                Some(_) => missing.hint(format!("say `{key}` instead of `{other}`")),
                None => missing,
            })
        };
        let description: Option<At<String>> = fields.optional("description", problems);
        if let Some(text) = &description {
            check_text(text, "a description", problems);
        }
        let expires: Option<Day> = fields.optional("expires", problems);
        fields.finish(problems);
        if peers.as_ref().is_some_and(|peers| peers.0.is_empty()) {
            problems.push(Diagnostic::warning(
                "empty",
                node.span,
                format!("`{key}` is empty: this rule lets nothing through"),
            ));
        }
        Some(Self {
            traffic: traffic?,
            peers: peers?.0,
            description: description.map(|text| text.value).filter(|text| !text.is_empty()),
            expires: expires.map(|day| day.0),
            direction,
        })
    }
}

/// Protocol, ports and ICMP messages together.
fn read_traffic(
    fields: &mut Fields<'_>,
    protocol: Option<Protocol>,
    problems: &mut Diagnostics,
) -> Option<Vec<Traffic>> {
    let protocol = protocol.unwrap_or(Protocol(Some(6)));
    let span = fields.span();
    let (ports, kind, code) = (fields.node("ports"), fields.node("icmp_type"), fields.node("icmp_code"));
    let is_icmp = matches!(protocol.0, Some(1 | 58));
    for node in [kind, code].into_iter().flatten().filter(|_| !is_icmp) {
        problems.push(Diagnostic::error("icmp", node.span, "only icmp and icmpv6 have types and codes"));
    }
    match protocol.0 {
        Some(number @ (6 | 17)) => {
            let Some(ports) = ports else {
                let problem = Diagnostic::error("missing-key", span, "a tcp or udp rule needs `ports`");
                return problems.fail(problem.hint("write `ports = \"all\"` for every port"));
            };
            let ports: OneOrMany<Ports> = Decode::decode(ports, problems)?;
            Some(ports.0.into_iter().map(if number == 6 { Traffic::Tcp } else { Traffic::Udp }).collect())
        }
        other => {
            if let Some(ports) = ports {
                let problem = Diagnostic::error("ports", ports.span, "only tcp and udp have ports");
                problems.push(problem.hint("leave `ports` out, or say which protocol"));
            }
            Some(vec![match other {
                None => Traffic::All,
                Some(1) => Traffic::Icmp(read_icmp(kind, code, problems)),
                Some(58) => Traffic::Icmpv6(read_icmp(kind, code, problems)),
                Some(number) => Traffic::Number(number),
            }])
        }
    }
}

fn read_icmp(kind: Option<&Node>, code: Option<&Node>, problems: &mut Diagnostics) -> Icmp {
    if let (None, Some(code)) = (kind, code) {
        let problem = Diagnostic::error("icmp", code.span, "a code needs a type");
        problems.push(problem.hint("say `icmp_type` too, or leave both out for every message"));
    }
    Icmp {
        kind: kind.and_then(|node| within(node, "an ICMP type", 0..=255, problems)),
        code: code.and_then(|node| within(node, "an ICMP code", 0..=255, problems)),
    }
}

/// Every rule that one written rule stands for, with the place of its peer.
pub(super) fn lower_rule(
    spec: &RuleSpec,
    cx: &Lowering<'_>,
    problems: &mut Diagnostics,
) -> Vec<(Rule<Reference>, Wish, Span)> {
    let wish = Wish { description: spec.description.clone(), expires: spec.expires };
    let mut rules = Vec::new();
    for peer in &spec.peers {
        warn_of_open_doors(spec, peer, problems);
        for lowered in lower_peer(peer, cx, problems) {
            for traffic in &spec.traffic {
                rules.push((Rule { traffic: *traffic, peer: lowered.clone() }, wish.clone(), peer.span));
            }
        }
    }
    rules
}

/// Warns of remote logins that anyone may try.
fn warn_of_open_doors(spec: &RuleSpec, peer: &At<PeerSpec>, problems: &mut Diagnostics) {
    let PeerSpec::Cidr(cidr) = &peer.value else { return };
    let opens = |port: u16| {
        spec.traffic.iter().any(|traffic| match traffic {
            Traffic::All => true,
            Traffic::Tcp(ports) => (ports.from..=ports.to).contains(&port),
            Traffic::Udp(_) | Traffic::Icmp(_) | Traffic::Icmpv6(_) | Traffic::Number(_) => false,
        })
    };
    if cidr.is_everyone() && spec.direction == Direction::Ingress {
        for (port, what) in [(22, "SSH"), (3389, "Remote Desktop")] {
            if opens(port) {
                let message = format!("anyone on the internet may try {what}, port {port}");
                problems.push(
                    Diagnostic::warning("open-to-the-world", peer.span, message).hint("name the networks that need it"),
                );
            }
        }
    }
}
