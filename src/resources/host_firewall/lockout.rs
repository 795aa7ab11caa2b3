//! Whether whoever carries out the plan still gets in: a *new* connection from where the host sees us come from must be
//! accepted. One that stands proves nothing: where connections were not tracked before, its next packet is new, too.

use std::borrow::Cow;

use super::action::{Attach, Commit};
use super::host::{Backend, Facts, Peer};
use super::packet::{Chain, Fate, Foreign, Packet, Rule, Then};
use super::ruleset::{Origin, Ruleset};
use super::state::Desired;
use crate::model::Target;
use crate::model::duration::Seconds;
use crate::resources::{Context, Impact, Refusal, RefusalKind};

/// How long a change waits to be confirmed where the spec does not say.
const USUAL_WAIT: Seconds = Seconds(60);

/// What becomes of a new connection of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is nobody who could be locked out, as far as is known.
    Nobody,
    /// It is accepted.
    Open,
    /// It is dropped.
    Closed,
    /// Nobody knows.
    Unclear,
}

/// What becomes of a new connection of the peer when these rules stand.
pub(super) fn verdict(facts: &Facts, backend: Backend, attach: &Attach, rules: &Ruleset) -> Verdict {
    let Some(Peer { address, port }) = facts.peer else { return Verdict::Nobody };
    let packet = Packet::tcp(address, port);
    let foreign = facts.foreign.with_ours(backend, attach, &packet);
    match foreign.fate(&packet, rules.fate(&packet)) {
        fate if fate == Fate::PASSES => Verdict::Open,
        fate if fate == Fate::DROPS => Verdict::Closed,
        _ => Verdict::Unclear,
    }
}

impl Foreign {
    /// The same with our chain where it will be called from, if it is not yet.
    fn with_ours(&self, backend: Backend, attach: &Attach, packet: &Packet) -> Cow<'_, Self> {
        let ours =
            || Rule { text: String::new(), when: super::packet::Match::default(), then: Then::Ours, comment: None };
        let is_ours = |rule: &Rule| rule.then == Then::Ours;
        let called = self.chains(packet.family()).iter().flat_map(|chain| &chain.rules).any(is_ours)
            || self.called.values().flatten().any(is_ours);
        if called {
            return Cow::Borrowed(self);
        }
        let mut next = self.clone();
        let chains = match packet.family() {
            crate::model::Family::Ipv4 => &mut next.ipv4,
            crate::model::Family::Ipv6 => &mut next.ipv6,
        };
        let table = match packet.family() {
            crate::model::Family::Ipv4 => "ip filter",
            crate::model::Family::Ipv6 => "ip6 filter",
        };
        let name = match attach {
            Attach::Input => "INPUT",
            Attach::Chain(name) => name,
        };
        let host = chains.iter_mut().find(|chain| chain.table == table && chain.name == name);
        match (backend, host) {
            (Backend::Iptables, Some(chain)) => chain.rules.insert(0, ours()),
            (Backend::Iptables, None) if *attach != Attach::Input => {
                next.called.entry(format!("{table} {name}")).or_default().insert(0, ours());
            }
            (Backend::Iptables, None) | (Backend::Nftables, _) => {
                let alone = Chain {
                    table: table.to_owned(),
                    name: name.to_owned(),
                    priority: 0,
                    drops: false,
                    rules: vec![ours()],
                };
                chains.push(alone);
            }
        }
        Cow::Owned(next)
    }
}

/// How a change is made sure of; refuses one that surely locks out whoever carries it out. `stages` are the rules after each
/// of its steps; `adds_only` says that nobody who gets in now could be kept out by them.
pub(super) fn commit(
    want: &Waiting<'_>,
    facts: &Facts,
    stages: &[&Ruleset],
    adds_only: bool,
    cx: &Context<'_>,
) -> Commit {
    if adds_only {
        return Commit::AtOnce;
    }
    let verdicts = stages.iter().map(|rules| verdict(facts, want.backend, want.attach, rules));
    let worst = verdicts.max_by_key(|verdict| match verdict {
        Verdict::Nobody => 0,
        Verdict::Open => 1,
        Verdict::Unclear => 2,
        Verdict::Closed => 3,
    });
    let worst = worst.unwrap_or(Verdict::Nobody);
    let refuse = |message: String, hint: &str| {
        cx.refuse(Refusal::new(RefusalKind::Lockout, cx.at, message).hint(hint));
    };
    let who = facts.peer.map(|peer| format!("{} to port {}", peer.address, peer.port)).unwrap_or_default();
    let within = match want.confirm_within {
        Some(Seconds(0)) => None,
        Some(within) => Some(within),
        None if want.target.is_remote() || facts.peer.is_some() => Some(USUAL_WAIT),
        None => {
            let message =
                format!("a change on {} can keep somebody out, and nobody is there to confirm it", want.target);
            refuse(
                message,
                "write `commit = { confirm_within = \"0s\" }` if it shall be carried out unconfirmed, as from cron",
            );
            None
        }
    };
    match (worst, within) {
        (Verdict::Closed, _) if !cx.accepted.lockout => {
            let message = format!("this would lock out whoever carries it out: {who} would be dropped");
            refuse(
                message,
                "open it in `always_allow`; or accept it with `--accept lockout`: unconfirmed it is taken back",
            );
        }
        (Verdict::Closed | Verdict::Unclear, None) => {
            let what = if worst == Verdict::Closed { "would be dropped" } else { "may be dropped" };
            let message = format!("{who} {what}, and `confirm_within` is 0s: nothing would take the change back");
            refuse(
                message,
                "let the change be confirmed (`commit = { confirm_within = \"60s\" }`), or open it in `always_allow`",
            );
        }
        (Verdict::Unclear, Some(_)) => {
            let because = facts.foreign.doubts.first().map(|doubt| format!(" ({doubt})")).unwrap_or_default();
            cx.note(
                Impact::None,
                format!("whether {who} still gets in cannot be told{because}: a new connection will show it"),
            );
        }
        (Verdict::Closed, Some(within)) => {
            let text =
                format!("{who} is dropped: unless somebody confirms the change within {within}, it is taken back");
            cx.note(Impact::Downtime, text);
        }
        (Verdict::Open, _) => warn_of_dynamic(want, facts, stages, &who, cx),
        (Verdict::Nobody, _) => {}
    }
    within.map_or(Commit::AtOnce, Commit::Within)
}

/// What decides how a change is made sure of.
pub(super) struct Waiting<'a> {
    /// Which host.
    pub(super) target: &'a Target,
    /// In which dialect.
    pub(super) backend: Backend,
    /// From where our chain is called.
    pub(super) attach: &'a Attach,
    /// What the spec says.
    pub(super) confirm_within: Option<Seconds>,
}

impl<'a> Waiting<'a> {
    /// What the spec wants of a host.
    pub(super) const fn of(want: &'a Desired, backend: Backend) -> Self {
        Self { target: &want.target, backend, attach: &want.attach, confirm_within: want.confirm_within }
    }
}

/// Whoever gets in only because a region lists an instance is out when that instance goes.
fn warn_of_dynamic(want: &Waiting<'_>, facts: &Facts, stages: &[&Ruleset], who: &str, cx: &Context<'_>) {
    let Some(last) = stages.last() else { return };
    let mut fixed = (*last).clone();
    for rule in fixed.rules.values_mut() {
        rule.sources.retain(|origin, _| *origin == Origin::Spec);
    }
    if verdict(facts, want.backend, want.attach, &fixed) == Verdict::Closed {
        cx.note(Impact::None, format!("{who} gets in only as long as a region lists it: name it in `always_allow`"));
    }
}
