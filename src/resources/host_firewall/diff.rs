//! How the firewall of a host becomes what is wanted: open, let in whom the plan makes, shut out whom it removes, close.

use std::collections::BTreeMap;

use super::action::{Attach, Change, Commit};
use super::host::{self, Backend, Boot, Ours};
use super::lockout::{self, Waiting};
use super::packet::Foreign;
use super::ruleset::{Mode, Ruleset};
use super::state::Source;
use super::steps::{Steps, carry};
use super::{Action, Desired, Observed, backend, describe, differences, flows, sources};
use crate::model::duration::Seconds;
use crate::model::tags::GENERATION;
use crate::model::text::Part;
use crate::model::{Address, CloudId, Kind, Link, Output, Query, Reference, TagEdit, Tags, Target};
use crate::resources::flow::Stance;
use crate::resources::{
    After, Context, Delta, Draft, Edit, Effect, Field, Ground, Impact, Needs, Refusal, RefusalKind, Resource, Seen,
    Wave,
};

/// The kind `host_firewall`.
#[derive(Debug)]
pub struct HostFirewall;

impl Resource for HostFirewall {
    const KIND: Kind = Kind::HostFirewall;
    type Desired = Desired;
    type Observed = Observed;
    type Action = Action;

    fn references(want: &Desired) -> Vec<Reference> {
        let named = sources_of(want).filter_map(|source| match source {
            Source::Output { address, output: _ } => Some(Reference::Address(address.clone())),
            Source::Network(_) | Source::Host { .. } | Source::Query { .. } => None,
        });
        named.collect()
    }

    fn watches(want: &Desired) -> Vec<Address> {
        let own = sources_of(want).filter_map(|source| match source {
            Source::Query { query: _, own } => Some(own.clone()),
            Source::Network(_) | Source::Host { .. } | Source::Output { .. } => None,
        });
        own.flatten().collect()
    }

    fn queries(want: &Desired) -> Vec<Query> {
        let queries = sources_of(want).filter_map(|source| match source {
            Source::Query { query, own: _ } => Some(query.clone()),
            Source::Network(_) | Source::Host { .. } | Source::Output { .. } => None,
        });
        queries.collect()
    }

    fn ground(want: &Desired) -> Option<CloudId> {
        Some(want.target.id())
    }

    fn introduces(want: &Desired, cx: &Context<'_>) -> Vec<Field> {
        match host(cx) {
            Ok(host) => change(want, host, Tags::new(), cx).fields,
            Err(_) => Vec::new(),
        }
    }

    fn create(want: &Desired, cx: &Context<'_>) -> Vec<Draft<Action>> {
        if let Some(whose) = taken(cx) {
            let message = format!("the rules on {} are those of `{whose}`", want.target);
            let hint = format!("if that is the name this firewall had before, write `previously = \"{}\"`", whose.name);
            cx.refuse(Refusal::new(RefusalKind::Taken, cx.at, message).hint(hint));
            return Vec::new();
        }
        match host(cx) {
            Ok(host) => {
                let mut drafts = change(want, host, cx.fresh().tags, cx).drafts;
                if let Some(first) = drafts.first_mut() {
                    first.wave = Wave::Make;
                    first.provides = vec![Output::Id];
                }
                drafts
            }
            Err(why) => {
                cx.note(
                    Impact::None,
                    format!("{} could not be reached, and nothing is planned for it: {why}", want.target),
                );
                let whom = Self::references(want).into_iter().filter_map(|reference| match reference {
                    Reference::Address(address) => cx.identities.link(&address),
                    Reference::Existing(_) => None,
                });
                let watched = Self::watches(want).into_iter().filter_map(|address| cx.identities.link(&address));
                let planned = |link: &Link| matches!(link, Link::Planned(_));
                let reach = reach(&want.target);
                let admits = whom.chain(watched).filter(planned).collect();
                vec![Draft { admits, ..Draft::new("reach", Wave::Make, None, reach) }]
            }
        }
    }

    fn diff(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>) -> Delta<Action> {
        // What a rename changes is written here too, whichever call comes first.
        let mut tags = cx.fresh().tags;
        tags.extend(have.tags.get_key_value(GENERATION).map(|(key, value)| (key.clone(), value.clone())));
        change(want, have.body, tags, cx)
    }

    fn delete(have: &Seen<'_, Observed>, cx: &Context<'_>) -> Vec<Draft<Action>> {
        let Some(ours) = &have.body.ours else { return Vec::new() };
        let target = &have.body.target;
        match (ours.rules.settings.mode, ours.rules.addresses()) {
            (Mode::Allow, 0) => {}
            (Mode::Allow, _) => {
                let text = format!("whom only our rules let in, {target} keeps out then where others' rules drop");
                cx.note(Impact::None, text);
            }
            (Mode::Guard | Mode::Deny, _) => {
                cx.note(Impact::None, format!("{target} is open then to whatever the rules of others let in"));
            }
        }
        let waiting =
            Waiting { target: &have.body.target, backend: ours.backend, attach: &Attach::Input, confirm_within: None };
        // Where nobody is connected, nobody is there to confirm, and nobody to be locked out.
        let commit = match have.body.facts.peer {
            Some(_) => lockout::commit(&waiting, &have.body.facts, &[&Ruleset::default()], false, cx),
            None => Commit::AtOnce,
        };
        let mut shuts: Vec<CloudId> = Vec::new();
        for net in
            ours.rules.rules.values().flat_map(|rule| rule.sources.values()).flat_map(|held| held.addresses.iter())
        {
            shuts.extend(cx.identities.tellers(net.addr()));
        }
        shuts.sort();
        shuts.dedup();
        let action = Action::Withdraw { target: have.body.target.clone(), commit };
        vec![Draft { shuts, ..Draft::new("withdraw", Wave::Remove, Some(have.id.clone()), action) }]
    }

    fn retag(edit: TagEdit) -> Action {
        Action::Tag { edit }
    }

    fn reach(target: &Target) -> Option<Action> {
        Some(reach(target))
    }

    fn needs(action: &Action) -> Needs {
        let Action::Edit(change) = action else { return Needs::default() };
        let holes = change.edit.add.iter().filter_map(|addition| match &addition.address {
            Part::Hole { address, output } => Some((address.clone(), *output)),
            Part::Literal(_) => None,
        });
        Needs { links: Vec::new(), outputs: holes.collect() }
    }

    fn outputs(have: &Seen<'_, Observed>) -> BTreeMap<Output, String> {
        BTreeMap::from([(Output::Id, have.id.to_string())])
    }

    fn describe(have: &Observed) -> Vec<String> {
        describe::describe(have)
    }

    fn stance(have: &Seen<'_, Observed>) -> Option<Stance> {
        Some(Stance::Filter(flows::filter(have.body.ours.as_ref().map(|ours| &ours.rules))))
    }

    fn is_called(_: &Seen<'_, Observed>, _: &str) -> bool {
        false
    }

    // Every call begins by reading what stands on the host, and changes that: no reading before it would tell more.
    fn rechecks(_: &Action) -> bool {
        false
    }

    /// Who asks, what others have and how far a change waits are the host's own business: every change looks at them again.
    fn settled(have: &Observed) -> Observed {
        let facts = host::Facts {
            peer: None,
            foreign: Foreign::default(),
            pending: None,
            remarks: Vec::new(),
            ..have.facts.clone()
        };
        Observed { facts, ..have.clone() }
    }

    fn stale(_: &Action, _: &Observed, _: &Observed) -> Option<String> {
        None
    }

    fn summary(want: &Desired) -> String {
        let count = want.rules.len();
        let rules = if count == 1 { "rule" } else { "rules" };
        format!("{count} {rules} on {}, mode {}", want.target, want.settings.mode.word())
    }
}

fn reach(target: &Target) -> Action {
    Action::Reach { target: target.clone() }
}

fn sources_of(want: &Desired) -> impl Iterator<Item = &Source> {
    want.rules.iter().flat_map(|rule| &rule.from)
}

/// The host that a firewall is made on, or why it is not known.
fn host<'a>(cx: &Context<'a>) -> Result<&'a Observed, &'a str> {
    match cx.ground {
        Ground::Seen(object) => <&Observed>::try_from(&object.body).map_err(|_| "it is of another kind"),
        Ground::Unseen(why) => Err(why),
        Ground::None => Err("the spec names no host"),
    }
}

/// The address of this stack that owns the rules on a host already, when it is another.
fn taken(cx: &Context<'_>) -> Option<Address> {
    let Ground::Seen(object) = cx.ground else { return None };
    object.owner().map(|owner| owner.address).filter(|address| address != cx.at)
}

/// Everything that differs on a host, and the calls that change it.
fn change(want: &Desired, host: &Observed, tags: Tags, cx: &Context<'_>) -> Delta<Action> {
    let ours = host.ours.as_ref();
    if let Some(pending) = &host.facts.pending {
        differences::refuse_pending(want, pending, cx);
        return Delta::default();
    }
    let Some(backend) = backend::choose(want, &host.facts, ours, cx) else { return Delta::default() };
    let resolved = sources::resolve(want, ours, cx);
    let have = ours.map(|ours| ours.rules.clone());
    let mut steps = Steps::between(have.as_ref(), &want.settings, &resolved, cx);
    backend::check_effect(backend, &steps.end, &host.facts, want, cx);
    let adopt = adopted(want, host, backend, cx);
    let mut fields = differences::differences(have.as_ref(), &steps.end, &resolved);
    differences::warn(ours.map(|ours| &ours.rules), &steps.end, &fields, cx);
    if ours.is_none() {
        fields.insert(0, field("backend", Edit::Value { before: None, after: Some(backend.to_string()) }));
    }
    fields.extend(differences::adoptions(&adopt, &steps.end, host, cx));
    let faults = ours.map(|ours| differences::faults(ours, &steps.end, &want.attach, &host.facts));
    fields.extend(faults.unwrap_or_default());
    let boot = ours.filter(|_| fields.is_empty()).and_then(|ours| boot(want, ours));
    fields.extend(boot);
    for remark in host.facts.remarks.iter().filter(|_| ours.is_none()) {
        cx.note(Impact::None, remark.clone());
    }
    // What stands there without an owner, as after `forget`, gets one again though no rule differs.
    steps.repair |= !fields.is_empty() || matches!(cx.ground, Ground::Seen(object) if object.owner().is_none());
    let mut facts = host.facts.clone();
    facts.foreign.forget(&adopt);
    let moves = ours.is_some_and(|ours| ours.attach.normal() != want.attach.normal());
    if moves {
        facts.foreign.unhook();
    }
    steps.careful = moves || !adopt.is_empty() || ours.is_some_and(|ours| !ours.edited.is_empty());
    let raise = ours.is_some_and(|ours| {
        let mut families = steps.end.settings.families.iter();
        families.any(|family| differences::is_shadowed(ours, &steps.end, &host.facts, *family))
    });
    let frame = Frame { want, host, facts, backend, adopt, raise, tags, cx };
    Delta { fields, drafts: frame.drafts(steps), renews: Vec::new() }
}

/// The rules of others that are taken over; only iptables' own can go in the transaction that makes ours.
fn adopted(want: &Desired, host: &Observed, backend: Backend, cx: &Context<'_>) -> Vec<String> {
    let adopted = differences::adopted(want, host);
    if backend == Backend::Nftables && !adopted.is_empty() {
        let message =
            format!("{} rules of iptables cannot be taken over into a table of nftables at once", adopted.len());
        let hint = "write `backend = \"iptables\"`, or take `adopt` away and remove them by hand afterwards";
        cx.refuse(Refusal::new(RefusalKind::Adopt, cx.at, message).hint(hint));
        return Vec::new();
    }
    adopted
}

/// What a boot restores, where it is not what the spec says.
fn boot(want: &Desired, ours: &Ours) -> Option<Field> {
    let word = |boot| match boot {
        Boot::Nothing => "nothing of ours",
        Boot::Current => "the rules as they are",
        Boot::Other => "other rules",
    };
    let wanted = if want.persist { Boot::Current } else { Boot::Nothing };
    let edit = Edit::Value { before: Some(word(ours.boot).to_owned()), after: Some(word(wanted).to_owned()) };
    (ours.boot != wanted).then(|| field("commit.persist", edit))
}

/// A difference that is mended where it stands.
pub(super) fn field(name: &str, edit: Edit) -> Field {
    Field { name: name.to_owned(), edit, effect: Effect::InPlace }
}

/// What all calls of one host share.
struct Frame<'a, 'c> {
    want: &'a Desired,
    host: &'a Observed,
    /// What the host will be like once what is adopted is gone.
    facts: super::host::Facts,
    backend: Backend,
    adopt: Vec<String>,
    /// Whether rules of others stand above ours and decide first.
    raise: bool,
    /// Whose it is.
    tags: Tags,
    cx: &'a Context<'c>,
}

impl Frame<'_, '_> {
    /// The calls in order: the first opens, or does it all; then one for each who comes and each who goes; the last closes.
    fn drafts(&self, mut steps: Steps) -> Vec<Draft<Action>> {
        let on = self.host.ours.as_ref().map(|_| self.want.target.id());
        let mut drafts: Vec<Draft<Action>> = Vec::new();
        let waiting = Waiting::of(self.want, self.backend);
        let facts = &self.facts;
        if let Some(first) = steps.first_or_repair() {
            let commit = lockout::commit(&waiting, facts, &[&first.stage], first.adds_only, self.cx);
            let action = self.call(first.edit, self.adopt.clone(), commit);
            let title = if first.whole { "change" } else { "open" };
            let admits = first.admits.into_iter().collect();
            drafts.push(Draft {
                readies: true,
                after: After::Nothing,
                admits,
                ..Draft::new(title, Wave::Update, on.clone(), action)
            });
        }
        let opened = drafts.len();
        for late in steps.late {
            let action = self.call(late.edit, Vec::new(), Commit::AtOnce);
            drafts.push(Draft {
                about: late.about,
                after: After::These((0..opened).collect()),
                admits: late.admits.into_iter().collect(),
                ..Draft::new("let in", Wave::Update, on.clone(), action)
            });
        }
        let mut stage = steps.opened;
        for shut in steps.shut {
            carry(&mut stage, &shut.edit);
            let commit = lockout::commit(&waiting, facts, &[&stage], false, self.cx);
            drafts.push(Draft {
                about: shut.about,
                after: After::These((0..opened).collect()),
                shuts: shut.shuts,
                ..Draft::new("shut out", Wave::Remove, on.clone(), self.call(shut.edit, Vec::new(), commit))
            });
        }
        if let Some(last) = steps.last {
            carry(&mut stage, &last.edit);
            let commit = lockout::commit(&waiting, facts, &[&stage], false, self.cx);
            drafts.push(Draft {
                after: After::These((0..opened).collect()),
                ..Draft::new("close", Wave::Remove, on, self.call(last.edit, Vec::new(), commit))
            });
        }
        for draft in &mut drafts {
            draft.timeout = self.patience(&draft.action);
        }
        drafts
    }

    /// How long a call may take: what the spec says or the usual two minutes, and what waits to be confirmed beside that.
    fn patience(&self, action: &Action) -> Seconds {
        let usual = self.cx.common.timeout.unwrap_or(Seconds(120));
        match action {
            Action::Edit(change) => match change.commit {
                Commit::Within(within) => Seconds(usual.0.saturating_add(within.0)),
                Commit::AtOnce => usual,
            },
            Action::Withdraw { .. } | Action::Tag { .. } | Action::Reach { .. } => usual,
        }
    }

    fn call(&self, edit: super::ruleset::Edit, adopt: Vec<String>, commit: Commit) -> Action {
        Action::Edit(Box::new(Change {
            target: self.want.target.clone(),
            backend: self.backend,
            attach: self.want.attach.normal(),
            tags: self.tags.clone(),
            edit,
            adopt,
            raise: self.raise,
            commit,
            persist: self.want.persist,
        }))
    }
}
