//! Which dialect a host is spoken to in, and what stands in the way of speaking to it at all.

use super::action::Attach;
use super::host::{Backend, Facts, Ours};
use super::packet::{Fate, Foreign, Packet};
use super::ruleset::{Mode, Ruleset, TCP};
use super::state::Desired;
use crate::model::Family;
use crate::resources::{Context, Impact, Refusal, RefusalKind};

/// The dialect for a host; refuses when there is none. What is owned already decides, then the spec, then what others use.
pub(super) fn choose(want: &Desired, facts: &Facts, ours: Option<&Ours>, cx: &Context<'_>) -> Option<Backend> {
    let refuse = |message: String, hint: &str| {
        cx.refuse(Refusal::new(RefusalKind::Guard, cx.at, message).hint(hint));
        None
    };
    if facts.legacy {
        let message =
            format!("iptables-legacy has rules on {}, and they cannot be reasoned about beside nft's", want.target);
        return refuse(
            message,
            "move them to iptables-nft: `iptables-legacy-save | iptables-restore`, the same for ip6tables, flush the legacy \
             tables, and `update-alternatives --set iptables /usr/sbin/iptables-nft`",
        );
    }
    if let Some(ours) = ours {
        return match want.backend {
            Some(wanted) if wanted != ours.backend => {
                let message =
                    format!("our rules stand in {} on {}, and the spec wants {wanted}", ours.backend, want.target);
                let hint = "apply once with `state = \"absent\"`, then with the new `backend`; or take `backend` away";
                refuse(message, hint)
            }
            Some(_) | None => able(ours.backend, facts, want, cx),
        };
    }
    if let (None, Some(manager)) = (want.backend, facts.managers.first()) {
        let message =
            format!("{manager} manages the packet filter of {} and rewrites it at its own times", want.target);
        let hint = format!(
            "stop and disable {manager}; or name a `backend` to stand beside it, and apply after each of its reloads"
        );
        return refuse(message, &hint);
    }
    let backend = want.backend.unwrap_or_else(|| fitting(want, facts));
    able(backend, facts, want, cx)
}

/// The dialect that others use already, else nftables.
fn fitting(want: &Desired, facts: &Facts) -> Backend {
    let used = Family::ALL.into_iter().flat_map(|family| facts.foreign.chains(family)).any(|chain| {
        let iptables = ["ip filter", "ip6 filter"].contains(&chain.table.as_str());
        iptables && (chain.drops || !chain.rules.is_empty())
    });
    if used || want.attach != Attach::Input || facts.nft.is_none() { Backend::Iptables } else { Backend::Nftables }
}

/// A dialect, if the host has the tools for it.
fn able(backend: Backend, facts: &Facts, want: &Desired, cx: &Context<'_>) -> Option<Backend> {
    let missing = match backend {
        Backend::Nftables if facts.nft.is_none() => Some("nft with JSON (Debian: nftables)"),
        Backend::Iptables if facts.iptables.is_none() => {
            Some("iptables and ip6tables of the nft flavour (Debian: iptables)")
        }
        Backend::Iptables if facts.ipset.is_none() => Some("ipset (Debian: ipset)"),
        Backend::Nftables | Backend::Iptables => None,
    };
    if let Some(missing) = missing {
        let message = format!("{} lacks {missing}, which `backend = \"{backend}\"` needs", want.target);
        let hint = "install it there, or choose the other backend";
        cx.refuse(Refusal::new(RefusalKind::Guard, cx.at, message).hint(hint));
        return None;
    }
    Some(backend)
}

/// Where rules of ours would stand without effect: a table of our own cannot open what another base chain drops, as every
/// one of them decides for itself (<https://wiki.nftables.org/wiki-nftables/index.php/Configuring_chains>).
pub(super) fn check_effect(backend: Backend, rules: &Ruleset, facts: &Facts, want: &Desired, cx: &Context<'_>) {
    if backend != Backend::Nftables {
        return;
    }
    for family in &rules.settings.families {
        let Some(chain) = closed_by(rules, &facts.foreign, *family) else { continue };
        let message = format!("rules of ours open nothing on {}: {chain} drops what they accept", want.target);
        let hint = "write `backend = \"iptables\"` if that chain is iptables' own, or open it there by hand";
        if rules.settings.mode == Mode::Allow {
            cx.refuse(Refusal::new(RefusalKind::Guard, cx.at, message).hint(hint));
        } else {
            cx.note(Impact::None, format!("{message} ({family})"));
        }
        return;
    }
}

/// The foreign chain that surely drops something that our rules accept.
fn closed_by(rules: &Ruleset, foreign: &Foreign, family: Family) -> Option<String> {
    let packets = samples(rules, family);
    foreign.chains(family).iter().find_map(|chain| {
        let alone =
            Foreign { ipv4: vec![chain.clone()], ipv6: vec![chain.clone()], doubts: Vec::new(), ..foreign.clone() };
        let drops = packets.iter().any(|packet| alone.fate(packet, Fate::FALLS) == Fate::DROPS);
        drops.then(|| format!("chain `{}` of table `{}`", chain.name, chain.table))
    })
}

/// How many packets of each rule are tried.
const SAMPLES: usize = 4;

/// Packets that our rules accept: the first sources of each rule, to the first port of each of its ranges.
pub(super) fn samples(rules: &Ruleset, family: Family) -> Vec<Packet> {
    let mut packets = Vec::new();
    for rule in rules.rules.values().filter(|rule| rule.traffic.to.is_none()) {
        let protocol = rule.traffic.protocol.unwrap_or(TCP);
        let mut ports: Vec<u16> = rule.traffic.ports.iter().map(|ports| ports.from).collect();
        if ports.is_empty() {
            ports.push(1);
        }
        for net in rule.sources.values().flat_map(|held| held.addresses.of(family)).take(SAMPLES) {
            packets.extend(ports.iter().map(|port| Packet { source: net.addr(), protocol, port: *port }));
        }
    }
    packets
}
