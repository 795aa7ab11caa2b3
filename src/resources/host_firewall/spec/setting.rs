//! What is true of a whole firewall, as written.

use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::JsonSchema;

use super::super::action::Attach;
use super::super::host::Backend;
use super::super::ruleset::Mode;
use super::shapes::{ChainShape, PatternShape};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Family;
use crate::model::duration::Seconds;
use crate::model::tree::{Node, Value};
use crate::resources::decode::{At, Decode, Fields, OneOrMany, by_rule, one_of, wrong_type};
use crate::resources::shape;
use crate::resources::values::seconds_within;

/// The longest name of a chain is 28 bytes: `XT_EXTENSION_MAXNAMELEN` less its end.
const LONGEST_CHAIN: usize = 28;
/// What iptables keeps of a comment (iptables-extensions(8): up to 256 characters with the end).
const LONGEST_COMMENT: usize = 255;
/// What the chains of ours begin with.
const OURS: &str = "portcullis";

/// The dialect, or none for the one that fits the host.
pub(super) fn backend(node: &Node, problems: &mut Diagnostics) -> Option<At<Option<Backend>>> {
    const WORDS: [(&str, Option<Backend>); 4] = [
        ("auto", None),
        ("nftables", Some(Backend::Nftables)),
        ("iptables", Some(Backend::Iptables)),
        ("iptables-nft", Some(Backend::Iptables)),
    ];
    if matches!(&node.value, Value::String(word) if word.eq_ignore_ascii_case("iptables-legacy")) {
        let problem = Diagnostic::error("backend", node.span, "iptables-legacy is not supported");
        return problems.fail(problem.hint(
            "switch the host to iptables' nft flavour (on Debian: update-alternatives --set iptables \
             /usr/sbin/iptables-nft), and write \"iptables\"",
        ));
    }
    Some(At { value: one_of(node, &WORDS, problems)?, span: node.span })
}

/// What becomes of what no rule accepts.
pub(super) fn mode(node: &Node, problems: &mut Diagnostics) -> Option<Mode> {
    const WORDS: [(&str, Mode); 3] = [("allow", Mode::Allow), ("guard", Mode::Guard), ("deny", Mode::Deny)];
    if matches!(&node.value, Value::String(word) if word.eq_ignore_ascii_case("audit")) {
        let problem = Diagnostic::error("mode", node.span, "the mode `audit` is not there yet");
        return problems.fail(problem.hint("write \"allow\", which drops nothing, or \"guard\""));
    }
    one_of(node, &WORDS, problems)
}

/// The families that are filtered.
pub(super) fn families(node: &Node, problems: &mut Diagnostics) -> Option<At<BTreeSet<Family>>> {
    const WORDS: [(&str, Family); 2] = [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];
    let items = match &node.value {
        Value::Array(items) if items.is_empty() => {
            let problem = Diagnostic::error("empty", node.span, "a firewall filters at least one family");
            return problems.fail(problem.hint("leave it out for both; `state = \"absent\"` takes the firewall away"));
        }
        Value::Array(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut value = BTreeSet::new();
    for item in items {
        let Some(family) = one_of(item, &WORDS, problems) else { continue };
        if !value.insert(family) {
            problems.push(Diagnostic::error("twice", item.span, format!("{family} stands here twice")));
        }
    }
    Some(At { value, span: node.span })
}

/// Where the host is, for the rules of others.
pub(super) fn addresses(node: &Node, problems: &mut Diagnostics) -> Vec<IpAddr> {
    let written: Option<OneOrMany<At<HostAddress>>> = Decode::decode(node, problems);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for At { value: HostAddress(address), span } in written.into_iter().flat_map(|list| list.0) {
        if addresses.contains(&address) {
            problems.push(Diagnostic::error("twice", span, format!("{address} stands here twice")));
        } else {
            addresses.push(address);
        }
    }
    if matches!(&node.value, Value::Array(items) if items.is_empty()) {
        problems.push(Diagnostic::error("empty", node.span, "`address` is empty").hint("leave it out"));
    }
    addresses
}

/// One address of a host.
struct HostAddress(IpAddr);

impl Decode for HostAddress {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        by_rule(node, "address", host_address, problems).map(Self)
    }
}

/// An address that packets of a host can come from.
fn host_address(text: &str) -> Result<IpAddr, String> {
    if let Some((address, _)) = text.split_once('/') {
        return Err(format!("a host has an address, not a network: write \"{address}\""));
    }
    let address: IpAddr = text.parse().map_err(|_| format!("`{text}` is no address"))?;
    if let IpAddr::V6(six) = address
        && let Some(four) = six.to_ipv4_mapped()
    {
        return Err(format!("an IPv4 address is written as IPv4: write \"{four}\""));
    }
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
        return Err(format!("{address} is no address that other hosts see"));
    }
    Ok(address)
}

/// How a change is confirmed, and whether it outlives a boot.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "host_firewall_commit", deny_unknown_fields)]
pub(super) struct CommitSpec {
    /// The host takes a change back that is not confirmed over a new connection within this time: `0s`, which is never, to
    /// `1h`; what fits the transport when absent.
    #[schemars(with = "Option<shape::DurationText>")]
    pub(super) confirm_within: Option<Seconds>,
    /// Whether a boot restores the rules; true when absent.
    pub(super) persist: Option<bool>,
}

impl CommitSpec {
    /// Reads it.
    pub(super) fn read(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a commit", problems)?;
        let spec = Self {
            confirm_within: fields
                .node("confirm_within")
                .and_then(|node| seconds_within(node, "the time to confirm", 0..=3600, problems)),
            persist: fields.optional("persist", problems),
        };
        fields.finish(problems);
        Some(spec)
    }
}

/// Whose rules are taken over.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "host_firewall_adopt", deny_unknown_fields)]
pub(super) struct AdoptSpec {
    /// Those whose comment matches this pattern, `*` standing for any run of characters: `EC2 - *`. They go in the
    /// transaction that brings ours.
    #[schemars(with = "PatternShape")]
    pub(super) comment: String,
}

impl AdoptSpec {
    /// Reads it.
    pub(super) fn read(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        if let Value::String(_) = &node.value {
            let problem = wrong_type(node.span, "a table", &node.value);
            return problems.fail(problem.hint("write { comment = \"EC2 - *\" }, by which rules are known"));
        }
        let mut fields = Fields::of(node, "an adoption", problems)?;
        let comment: Option<At<String>> = fields.required("comment", problems);
        fields.finish(problems);
        let comment = comment?;
        match pattern(&comment.value) {
            Ok(()) => Some(Self { comment: comment.value }),
            Err(why) => problems.fail(Diagnostic::error("adopt", comment.span, why)),
        }
    }
}

/// What tells the rules of one tool from those of all others.
fn pattern(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("a pattern of comments is not empty".to_owned());
    }
    if text.chars().all(|c| c == '*') {
        return Err("this is every comment: also those of docker and fail2ban".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("a comment has no control characters".to_owned());
    }
    if text.len() > LONGEST_COMMENT {
        return Err(format!("a comment has at most {LONGEST_COMMENT} bytes"));
    }
    Ok(())
}

/// From where our chain is called.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "host_firewall_attach", deny_unknown_fields)]
pub(super) struct AttachSpec {
    /// The chain of the `filter` table whose first rule jumps to ours.
    #[schemars(with = "ChainShape")]
    pub(super) chain: String,
}

impl AttachSpec {
    /// Reads it.
    pub(super) fn read(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "an attachment", problems)?;
        let chain = match fields.node("chain") {
            Some(node) => by_rule(node, "chain", chain, problems),
            None => problems.fail(Diagnostic::error("missing-key", node.span, "an attachment needs `chain`")),
        };
        fields.finish(problems);
        Some(Self { chain: chain? })
    }

    /// In normal form.
    pub(super) fn lower(&self) -> Attach {
        Attach::Chain(self.chain.clone())
    }
}

/// A chain that packets to the host itself pass.
fn chain(text: &str) -> Result<String, String> {
    if ["FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"].contains(&text) {
        return Err(format!("rules are about what comes to the host itself, and that does not pass {text}"));
    }
    if text.starts_with(OURS) {
        return Err(format!("chains that begin with `{OURS}` are ours"));
    }
    let fits = text.len() <= LONGEST_CHAIN
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:+".contains(c));
    if fits {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{}` is no chain: a letter, digit or _, then letters, digits and _-.:+, {LONGEST_CHAIN} at most",
        text.escape_debug()
    ))
}

/// A share in percent, `"50%"`.
pub(super) struct Percent(pub(super) u8);

impl Decode for Percent {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::String(text) => {
                let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
                let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| (1..=100).contains(number));
                if number.is_none() {
                    let message = format!("`{}` is no share: one is \"1%\" to \"100%\"", text.escape_debug());
                    problems.push(Diagnostic::error("percent", node.span, message));
                }
                number.map(Self)
            }
            Value::Integer(number) => problems.fail(
                Diagnostic::error("percent", node.span, "a share has its unit").hint(format!("write \"{number}%\"")),
            ),
            other => problems.fail(wrong_type(node.span, "a share such as \"50%\"", other)),
        }
    }
}
