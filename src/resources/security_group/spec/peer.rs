//! The other side of a rule as written.

use super::super::state::Peer;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::id::{PrefixListId, well_formed};
use crate::model::net::Cidr;
use crate::model::tree::Node;
use crate::model::{AccountId, Address, CloudId, Kind, Output, Reference};
use crate::resources::decode::{At, Decode, nearest};
use crate::resources::spec::Lowering;

/// The other side as written.
#[derive(Debug)]
pub(super) enum PeerSpec {
    Cidr(Cidr),
    Own,
    Group(String),
    GroupId(CloudId),
    ForeignGroup { account: String, group: CloudId },
    PrefixList(PrefixListId),
    Output { kind: Kind, name: String, output: Output },
}

impl Decode for PeerSpec {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let text = String::decode(node, problems)?;
        match read_peer(&text) {
            Ok(peer) => Some(peer),
            Err((why, hint)) => {
                let problem = Diagnostic::error("peer", node.span, why);
                problems.fail(match hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                })
            }
        }
    }
}

/// What a peer's text means, or why it means nothing and what to write.
fn read_peer(text: &str) -> Result<PeerSpec, (String, Option<String>)> {
    if text == "self" {
        return Ok(PeerSpec::Own);
    }
    if let Some((group, account)) = text.split_once('@') {
        return match (well_formed(group, "sg-"), AccountId::new(account)) {
            (true, Ok(account)) => Ok(PeerSpec::ForeignGroup { account: account.into(), group: CloudId::new(group) }),
            (false, _) => {
                Err((format!("`{group}` is not the id of a group"), Some("write \"sg-…@123456789012\"".to_owned())))
            }
            (true, Err(why)) => Err((why, Some("write \"sg-…@123456789012\"".to_owned()))),
        };
    }
    if text.starts_with("sg-") || text.starts_with(PrefixListId::PREFIX) {
        return if well_formed(text, "sg-") {
            Ok(PeerSpec::GroupId(CloudId::new(text)))
        } else if well_formed(text, PrefixListId::PREFIX) {
            Ok(PeerSpec::PrefixList(PrefixListId::new(text)))
        } else {
            Err((format!("`{text}` is not a whole id"), Some("an id has 8 or 17 digits of 0-9 and a-f".to_owned())))
        };
    }
    match text.split_once('.') {
        Some((kind, name))
            if kind.starts_with(|c: char| c.is_ascii_lowercase()) && (kind == "instance" || !text.contains(':')) =>
        {
            named_peer(kind, name)
        }
        _ if text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains([':', '/']) => Err((
            format!("`{text}` is no peer"),
            Some(format!("a group of the spec is \"security_group.{text}\"; a network is like \"203.0.113.0/24\"")),
        )),
        _ => Cidr::read(text).map(PeerSpec::Cidr).map_err(|why| (why, None)),
    }
}

fn named_peer(kind: &str, name: &str) -> Result<PeerSpec, (String, Option<String>)> {
    match Kind::from_word(kind) {
        Some(Kind::SecurityGroup) => Ok(PeerSpec::Group(name.to_owned())),
        Some(kind @ Kind::ElasticIp) => Ok(PeerSpec::Output { kind, name: name.to_owned(), output: Output::PublicIp }),
        Some(kind @ Kind::Instance) => match name.split_once(':') {
            None => Ok(PeerSpec::Output { kind, name: name.to_owned(), output: Output::PrivateIp }),
            Some((name, "public")) => Ok(PeerSpec::Output { kind, name: name.to_owned(), output: Output::PublicIp }),
            Some((name, "private")) => Ok(PeerSpec::Output { kind, name: name.to_owned(), output: Output::PrivateIp }),
            Some((name, other)) => Err((
                format!("`:{other}` is no address of an instance"),
                Some(format!("write \"instance.{name}:public\"")),
            )),
        },
        Some(_) | None => Err((
            format!("`{kind}.{name}` is no peer"),
            nearest(kind, &["security_group", "elastic_ip", "instance"])
                .map(|near| format!("did you mean `{near}.{name}`?")),
        )),
    }
}

/// Every peer that one written peer stands for.
pub(super) fn lower_peer(peer: &At<PeerSpec>, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Peer<Reference>> {
    let at = peer.span;
    match &peer.value {
        PeerSpec::Cidr(cidr) => vec![Peer::Cidr(*cidr)],
        PeerSpec::Own => vec![Peer::Group(Reference::Address(Address::new(cx.kind, cx.name.clone())))],
        PeerSpec::Group(name) => {
            let name = At { value: name.as_str(), span: at };
            cx.same_region(Kind::SecurityGroup, &name, problems);
            let group = cx.one(Kind::SecurityGroup, &name, problems);
            group.map(|group| Peer::Group(Reference::Address(group))).into_iter().collect()
        }
        PeerSpec::GroupId(id) => vec![Peer::Group(Reference::Existing(id.clone()))],
        PeerSpec::ForeignGroup { account, group } => {
            vec![Peer::ForeignGroup { account: account.clone(), group: group.clone() }]
        }
        PeerSpec::PrefixList(list) => vec![Peer::PrefixList(list.clone())],
        PeerSpec::Output { kind, name, output } => {
            let members = cx.all(*kind, &At { value: name.as_str(), span: at }, problems).unwrap_or_default();
            members.into_iter().map(|address| Peer::Output { address, output: *output }).collect()
        }
    }
}
