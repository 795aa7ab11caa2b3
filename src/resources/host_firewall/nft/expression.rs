//! The expressions of a rule, as far as they are understood.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use serde_json::Value;

use crate::model::net::Ports;
use crate::model::{AddressSet, Family};
use crate::resources::host_firewall::packet::Then;
use crate::resources::host_firewall::protocols;

/// One expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Piece {
    /// It looks at something.
    Test(Test),
    /// It looks at something that is not understood.
    Opaque,
    /// It decides.
    Verdict(Then),
    /// It counts, logs or marks.
    Pass,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Test {
    /// The family.
    Family(Family),
    /// The interface it came in by.
    Interface(String),
    /// The state of its connection is one of these bits.
    State(u64),
    /// Its source.
    Source(Family, Right),
    /// Its destination.
    Destination(Family, Right),
    /// Its protocol.
    Protocol(u8),
    /// Its source port, of a protocol where that is told.
    SourcePort(Option<u8>, Vec<Ports>),
    /// Its destination port.
    Port(Option<u8>, Vec<Ports>),
    /// The type of an ICMP message of this protocol.
    Type(u8, Vec<Ports>),
}

/// Addresses that something is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Right {
    /// Those of a set of this name.
    Named(String),
    /// These.
    These(AddressSet),
}

/// The bits of a connection's state, with nft's words (`NF_CT_STATE_BIT` of the kernel).
const STATES: [(&str, u64); 5] = [("invalid", 1), ("established", 2), ("related", 4), ("new", 8), ("untracked", 64)];

/// What every expression of a rule is.
pub(in super::super) fn pieces<'a>(expressions: impl Iterator<Item = &'a Value>) -> Vec<Piece> {
    expressions.map(piece).collect()
}

fn piece(expression: &Value) -> Piece {
    let Some((kind, body)) = expression.as_object().and_then(|object| object.iter().next()) else {
        return Piece::Opaque;
    };
    let target = || body.get("target").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "match" => test(body).map_or(Piece::Opaque, Piece::Test),
        "accept" => Piece::Verdict(Then::Accept),
        "drop" | "reject" => Piece::Verdict(Then::Drop),
        "return" => Piece::Verdict(Then::Return),
        "continue" => Piece::Verdict(Then::Pass),
        "jump" => Piece::Verdict(Then::Jump(target())),
        "goto" => Piece::Verdict(Then::Goto(target())),
        "counter" | "log" | "mangle" | "notrack" => Piece::Pass,
        "xt" if body.get("type").and_then(Value::as_str) == Some("match") => Piece::Opaque,
        "limit" | "quota" | "ct count" => Piece::Opaque,
        _ => Piece::Verdict(Then::Unknown),
    }
}

fn test(body: &Value) -> Option<Test> {
    let op = body.get("op")?.as_str()?;
    if op != "==" && op != "in" {
        return None;
    }
    let (left, right) = (body.get("left")?, body.get("right")?);
    if let Some(key) = left.get("meta").and_then(|meta| meta.get("key")).and_then(Value::as_str) {
        return match key {
            "nfproto" => match right {
                Value::Number(number) if number.as_u64() == Some(2) => Some(Test::Family(Family::Ipv4)),
                Value::Number(number) if number.as_u64() == Some(10) => Some(Test::Family(Family::Ipv6)),
                Value::String(word) => Family::ALL.into_iter().find(|f| f.word() == word).map(Test::Family),
                _ => None,
            },
            "iif" | "iifname" => Some(Test::Interface(right.as_str()?.to_owned())),
            "l4proto" => Some(Test::Protocol(protocol(right)?)),
            _ => None,
        };
    }
    if left.get("ct").and_then(|ct| ct.get("key")).and_then(Value::as_str) == Some("state") {
        let bits = several(right).into_iter().map(state).collect::<Option<Vec<u64>>>()?;
        return Some(Test::State(bits.into_iter().fold(0, |all, bit| all | bit)));
    }
    let payload = left.get("payload")?;
    header(payload.get("protocol")?.as_str()?, payload.get("field")?.as_str()?, right)
}

/// A test of a header's field.
fn header(of: &str, field: &str, right: &Value) -> Option<Test> {
    let family = match of {
        "ip" => Some(Family::Ipv4),
        "ip6" => Some(Family::Ipv6),
        _ => None,
    };
    if let Some(family) = family {
        return match field {
            "saddr" => Some(Test::Source(family, compared(right)?)),
            "daddr" => Some(Test::Destination(family, compared(right)?)),
            "protocol" | "nexthdr" => Some(Test::Protocol(protocol(right)?)),
            _ => None,
        };
    }
    let protocol = if of == "th" { None } else { Some(protocols::number(of)?) };
    match (field, protocol) {
        ("dport", protocol) => Some(Test::Port(protocol, ranges(right)?)),
        ("sport", protocol) => Some(Test::SourcePort(protocol, ranges(right)?)),
        ("type", Some(protocol)) => Some(Test::Type(protocol, ranges(right)?)),
        _ => None,
    }
}

fn protocol(right: &Value) -> Option<u8> {
    match right {
        Value::Number(number) => number.as_u64().and_then(|number| u8::try_from(number).ok()),
        Value::String(word) => protocols::number(word),
        _ => None,
    }
}

fn state(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| STATES.iter().find(|(word, _)| value.as_str() == Some(word)).map(|(_, bit)| *bit))
}

/// The members of a set, a list or a union of flags; a single value alone.
fn several(right: &Value) -> Vec<&Value> {
    let inner = right.get("set").or_else(|| right.get("|")).unwrap_or(right);
    match inner {
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}

/// Numbers and ranges of them.
fn ranges(right: &Value) -> Option<Vec<Ports>> {
    let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
    let one = |value: &Value| match value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([from, to]) => Some(Ports { from: number(from)?, to: number(to)? }),
        _ => number(value).map(|port| Ports { from: port, to: port }),
    };
    let mut ranges: Vec<Ports> = several(right).into_iter().map(one).collect::<Option<_>>()?;
    ranges.sort();
    Some(ranges)
}

fn compared(right: &Value) -> Option<Right> {
    if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@')) {
        return Some(Right::Named(name.to_owned()));
    }
    let values = several(right);
    Some(Right::These(addresses(values.into_iter())?.0))
}

/// The addresses of elements, and whether each element is one network and none lies within another; none when one of them
/// is no address.
pub(in super::super) fn addresses<'a>(elements: impl Iterator<Item = &'a Value>) -> Option<(AddressSet, bool)> {
    let mut all: Vec<IpNet> = Vec::new();
    let mut exact = true;
    for element in elements {
        let value = element.get("elem").and_then(|elem| elem.get("val"));
        exact &= value.is_none();
        let nets = networks(value.unwrap_or(element))?;
        exact &= nets.len() == 1;
        all.extend(nets);
    }
    let count = all.len();
    let set: AddressSet = all.into_iter().collect();
    let exact = exact && set.len() == count;
    Some((set, exact))
}

fn networks(value: &Value) -> Option<Vec<IpNet>> {
    let address = |value: &Value| value.as_str()?.parse::<IpAddr>().ok();
    if let Some(prefix) = value.get("prefix") {
        let length = prefix.get("len")?.as_u64().and_then(|length| u8::try_from(length).ok())?;
        return Some(vec![IpNet::new(address(prefix.get("addr")?)?, length).ok()?.trunc()]);
    }
    if let Some([from, to]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return match (address(from)?, address(to)?) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Some(Ipv4Subnets::new(from, to, 0).map(IpNet::V4).collect()),
            (IpAddr::V6(from), IpAddr::V6(to)) => Some(Ipv6Subnets::new(from, to, 0).map(IpNet::V6).collect()),
            _ => None,
        };
    }
    Some(vec![address(value)?.into()])
}
