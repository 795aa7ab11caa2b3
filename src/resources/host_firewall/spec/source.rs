//! Whom a rule accepts, as written.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::state::Source;
use super::query;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::net::Cidr;
use crate::model::tree::{Node, Value};
use crate::model::{Kind, Output, Query};
use crate::resources::decode::{At, Decode, Fields, nearest, wrong_type};
use crate::resources::spec::Lowering;

/// Who is accepted, as written.
#[derive(Debug)]
pub(super) enum SourceSpec {
    Network(IpNet),
    Output { kind: Kind, name: String, output: Output },
    Host(String),
    Query(Query),
}

/// What is wrong, and what to write where that is known.
type Wrong = (String, Option<String>);

impl Decode for SourceSpec {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::String(text) => match read(text) {
                Ok(source) => Some(source),
                Err((why, hint)) => {
                    let problem = Diagnostic::error("source", node.span, why);
                    problems.fail(match hint {
                        Some(hint) => problem.hint(hint),
                        None => problem,
                    })
                }
            },
            Value::Table(_) => {
                let mut fields = Fields::of(node, "a source", problems)?;
                let instances = match fields.node("instances") {
                    Some(node) => query::read(node, problems),
                    None => problems.fail(
                        Diagnostic::error("missing-key", node.span, "a source that is a table needs `instances`")
                            .hint("write { instances = { regions = \"all\" } }"),
                    ),
                };
                fields.finish(problems);
                instances.map(Self::Query)
            }
            other => problems.fail(wrong_type(node.span, "an address, a name or { instances = … }", other)),
        }
    }
}

/// What a text means, or why it means nothing and what to write.
fn read(text: &str) -> Result<SourceSpec, Wrong> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return plain(address).map(SourceSpec::Network);
    }
    if text == "self" || ["sg-", "security_group.", "pl-"].iter().any(|prefix| text.starts_with(prefix)) {
        return Err((
            "a host knows no security groups nor prefix lists".to_owned(),
            Some("name the instances: \"instance.NAME\", or { instances = … }".to_owned()),
        ));
    }
    if text.contains('/') {
        return network(text).map(SourceSpec::Network).map_err(|why| (why, None));
    }
    match text.split_once('.') {
        Some((kind, name)) if kind.starts_with(|c: char| c.is_ascii_lowercase()) => named(kind, name),
        _ if ["all", "any", "anyone", "everyone", "*"].contains(&text) => {
            Err((format!("`{text}` is no source"), Some("everyone is [\"0.0.0.0/0\", \"::/0\"]".to_owned())))
        }
        _ if text.starts_with("i-") => Err((
            format!("`{text}` is no source"),
            Some("of foreign instances write the address, or ask for them: { instances = … }".to_owned()),
        )),
        _ => Err((
            format!("`{}` is no source", text.escape_debug()),
            Some(
                "write \"203.0.113.0/24\", \"instance.NAME\", \"elastic_ip.NAME\" or \"host_firewall.NAME\"".to_owned(),
            ),
        )),
    }
}

/// One address, which needs no prefix length here.
fn plain(address: IpAddr) -> Result<IpNet, Wrong> {
    if let IpAddr::V6(six) = address
        && let Some(four) = six.to_ipv4_mapped()
    {
        return Err(("an IPv4 address is written as IPv4".to_owned(), Some(format!("write \"{four}\""))));
    }
    if address.is_unspecified() {
        return Err((format!("nobody has the address {address}"), Some(format!("everyone is \"{address}/0\""))));
    }
    sender(IpNet::from(address)).map_err(|why| (why, None))
}

fn network(text: &str) -> Result<IpNet, String> {
    sender(IpNet::from(Cidr::read(text)?))
}

/// No packet comes from a group.
fn sender(net: IpNet) -> Result<IpNet, String> {
    if net.addr().is_multicast() {
        return Err("no packet comes from a multicast address: `to` takes it, and `from` who sends to it".to_owned());
    }
    Ok(net)
}

fn named(kind: &str, name: &str) -> Result<SourceSpec, Wrong> {
    const KINDS: [&str; 3] = ["instance", "elastic_ip", "host_firewall"];
    match Kind::from_word(kind) {
        Some(Kind::HostFirewall) => Ok(SourceSpec::Host(name.to_owned())),
        Some(kind @ Kind::ElasticIp) => {
            Ok(SourceSpec::Output { kind, name: name.to_owned(), output: Output::PublicIp })
        }
        Some(kind @ Kind::Instance) => match name.split_once(':') {
            None => Ok(SourceSpec::Output { kind, name: name.to_owned(), output: Output::PublicIp }),
            Some((name, "public")) => Ok(SourceSpec::Output { kind, name: name.to_owned(), output: Output::PublicIp }),
            Some((name, "private")) => {
                Ok(SourceSpec::Output { kind, name: name.to_owned(), output: Output::PrivateIp })
            }
            Some((_, "ipv6")) => Err((
                "an instance of the spec does not tell its IPv6 addresses".to_owned(),
                Some("ask for them: { instances = { regions = […], tags = {…}, address = \"ipv6\" } }".to_owned()),
            )),
            Some((name, other)) => Err((
                format!("`:{}` is no address of an instance", other.escape_debug()),
                Some(format!("write \"instance.{name}\" for the public one, or \"instance.{name}:private\"")),
            )),
        },
        Some(_) => Err((format!("a {kind} is no source"), Some(format!("a source is one of {}", KINDS.join(", "))))),
        None => {
            let near = nearest(kind, &KINDS).map(|near| format!("did you mean `{near}.{name}`?"));
            let hint = near.unwrap_or_else(|| "names of hosts are not looked up: write the address".to_owned());
            Err((format!("`{kind}.{}` is no source", name.escape_debug()), Some(hint)))
        }
    }
}

/// Everyone that one written source stands for.
pub(super) fn lower(source: &At<SourceSpec>, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Source> {
    match &source.value {
        SourceSpec::Network(net) => vec![Source::Network(*net)],
        SourceSpec::Output { kind, name, output } => {
            let name = At { value: name.as_str(), span: source.span };
            let members = cx.all(*kind, &name, problems).unwrap_or_default();
            members.into_iter().map(|address| Source::Output { address, output: *output }).collect()
        }
        SourceSpec::Host(name) => host(&At { value: name.as_str(), span: source.span }, cx, problems),
        SourceSpec::Query(query) => {
            let instances = cx.names.of_kind(Kind::Instance).into_iter();
            let there = instances.filter(|listed| query.regions.contains(&listed.region));
            let own = there.flat_map(|listed| listed.addresses(Kind::Instance)).collect();
            vec![Source::Query { query: query.clone(), own }]
        }
    }
}

/// The addresses that another host says it has.
fn host(name: &At<&str>, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Source> {
    if name.value == cx.name.as_str() {
        problems.push(
            Diagnostic::error("source", name.span, "a host needs no rule for itself")
                .hint("what it sends to itself comes in by `lo`, which is never dropped"),
        );
        return Vec::new();
    }
    let Some(of) = cx.one(Kind::HostFirewall, name, problems) else { return Vec::new() };
    let Some((listed, _)) = cx.names.find(Kind::HostFirewall, name.value) else { return Vec::new() };
    // A host that could not be read has its own problem.
    let Some(outline) = &listed.outline.host else { return Vec::new() };
    if outline.addresses.is_none() {
        problems.push(
            Diagnostic::error("no-address", name.span, format!("`{of}` does not say where it is"))
                .hint("add its `address`, as this host sees it: address = \"203.0.113.9\"")
                .also(listed.at, "the other host"),
        );
    }
    let addresses = outline.addresses.iter().flatten();
    addresses.map(|at| Source::Host { of: of.clone(), at: *at }).collect()
}
