//! The calls that one host needs, before they are drafts: who is let in at once, later, who is shut out, and what closes.

use std::collections::{BTreeMap, BTreeSet};

use super::ruleset::{Addition, Edit, Established, Mode, Origin, Removal, Rule, RuleKey, Ruleset, Settings};
use super::sources::{Resolved, Told};
use crate::model::text::Part;
use crate::model::{AddressSet, CloudId, Link};
use crate::resources::Context;

/// Everything that turns what stands into what is wanted.
pub(super) struct Steps {
    /// What opens; or everything, where nobody else's step comes between.
    pub(super) first: Option<First>,
    /// Who comes, one by one.
    pub(super) late: Vec<Late>,
    /// Who goes, one by one.
    pub(super) shut: Vec<Shut>,
    /// What closes.
    pub(super) last: Option<Last>,
    /// The rules when nobody is shut out yet. What each of those calls leaves is not kept: many may go, of many.
    pub(super) opened: Ruleset,
    /// The rules in the end, without those who come.
    pub(super) end: Ruleset,
    /// Whether the host needs a call though no rule differs.
    pub(super) repair: bool,
    /// Whether something of ours or in our chain changes that no rule says: who gets in by that may be kept out.
    pub(super) careful: bool,
}

/// The call that opens.
pub(super) struct First {
    pub(super) edit: Edit,
    /// The rules once it is done.
    pub(super) stage: Ruleset,
    /// Whether it lets nobody less in than before.
    pub(super) adds_only: bool,
    /// Whether nothing is left to close.
    pub(super) whole: bool,
    /// Whom it lets in.
    pub(super) admits: BTreeSet<Link>,
}

/// A call that lets somebody in whose address a step tells.
pub(super) struct Late {
    pub(super) edit: Edit,
    pub(super) about: String,
    pub(super) admits: BTreeSet<Link>,
}

/// A call that shuts somebody out who goes, stops, or loses the address.
pub(super) struct Shut {
    pub(super) edit: Edit,
    pub(super) about: String,
    pub(super) shuts: Vec<CloudId>,
}

/// The call that closes.
pub(super) struct Last {
    pub(super) edit: Edit,
}

impl Steps {
    /// The way from what stands to what is wanted.
    pub(super) fn between(have: Option<&Ruleset>, settings: &Settings, resolved: &Resolved, cx: &Context<'_>) -> Self {
        let end = Ruleset {
            settings: settings.clone(),
            rules: resolved.rules.iter().map(|rule| (rule.key.clone(), rule.clone())).collect(),
        };
        let new = have.is_none();
        let from = have.cloned().unwrap_or_else(|| Ruleset { settings: settings.clone(), ..Ruleset::default() });
        let gone = gone(&from, &end);
        let (general, leaving) = part(gone, cx);
        let mut close = Edit {
            settings: (from.settings != end.settings).then(|| end.settings.clone()),
            remove: general,
            drop: dropped(&from, &end),
            ..Edit::default()
        };
        let mut open = Edit { put: put(&from, &end), ..Edit::default() };
        if new {
            open.settings = Some(end.settings.clone());
        } else if end.settings.mode <= from.settings.mode {
            open.settings = close.settings.take();
        }
        let late = late(resolved, cx);
        let alone = late.is_empty() && leaving.is_empty();
        let opened = from.clone();
        let mut steps =
            Self { first: None, late, shut: Vec::new(), last: None, opened, end, repair: new, careful: false };
        if alone {
            let whole = Edit {
                settings: open.settings.or(close.settings),
                put: open.put,
                remove: close.remove,
                drop: close.drop,
                add: Vec::new(),
            };
            steps.only(&from, whole, new, &resolved.expected);
        } else {
            steps.several(&from, open, leaving, close, new, &resolved.expected);
        }
        steps
    }

    /// One call for it all.
    fn only(&mut self, from: &Ruleset, mut edit: Edit, new: bool, expected: &BTreeSet<Link>) {
        // A former rule that this very call makes is none: nobody needs it in between.
        for rule in &edit.put {
            if from.rules.get(&rule.key).is_some_and(|there| there.traffic != rule.traffic) {
                edit.drop.insert(rule.key.former());
            }
        }
        let adds_only = edit.remove.is_empty() && edit.drop.is_empty() && opens_only(from, &edit, new);
        if !edit.is_empty() || new {
            let admits = expected.clone();
            self.first = Some(First { edit, stage: self.end.clone(), adds_only, whole: true, admits });
        }
    }

    fn several(
        &mut self,
        from: &Ruleset,
        open: Edit,
        leaving: Leaving,
        close: Edit,
        new: bool,
        expected: &BTreeSet<Link>,
    ) {
        self.opened = carried(from, &open);
        if !open.is_empty() || new {
            let adds_only = opens_only(from, &open, new);
            let (stage, admits) = (self.opened.clone(), expected.clone());
            self.first = Some(First { edit: open, stage, adds_only, whole: false, admits });
        }
        for (shuts, remove) in leaving {
            let edit = Edit { remove, ..Edit::default() };
            let gone: AddressSet = edit.remove.iter().flat_map(|removal| removal.addresses.iter().copied()).collect();
            self.shut.push(Shut { edit, about: gone.to_string(), shuts });
        }
        // A rule whose traffic changed is still there as it was.
        let mut close = close;
        close.drop.extend(self.opened.rules.keys().filter(|key| !self.end.rules.contains_key(key)).cloned());
        if !close.is_empty() {
            self.last = Some(Last { edit: close });
        }
    }

    /// The call that opens; where none does and something has to be mended, one that mends.
    pub(super) fn first_or_repair(&mut self) -> Option<First> {
        let mends = || First {
            edit: Edit::default(),
            stage: self.end.clone(),
            adds_only: self.end.settings.mode == Mode::Allow,
            whole: true,
            admits: BTreeSet::new(),
        };
        let idle = self.late.is_empty() && self.shut.is_empty() && self.last.is_none();
        let mend = (self.careful || (self.repair && idle)).then(mends);
        let first = self.first.take().or(mend);
        first.map(|first| First { adds_only: first.adds_only && !self.careful, ..first })
    }
}

impl RuleKey {
    /// The key under which a rule stands until what replaces it has closed it.
    #[must_use]
    pub fn former(&self) -> Self {
        match self {
            Self::Always(number) => Self::Former(format!("always-{number}")),
            Self::Named(name) | Self::Former(name) => Self::Former(name.clone()),
        }
    }
}

/// What an edit without holes makes of rules.
fn carried(rules: &Ruleset, edit: &Edit) -> Ruleset {
    let mut next = rules.clone();
    carry(&mut next, edit);
    next
}

/// Carries an edit without holes out.
pub(super) fn carry(rules: &mut Ruleset, edit: &Edit) {
    let done = rules.edit(edit, |_| None);
    debug_assert!(done.is_ok(), "only holes can fail");
}

/// Whether an edit lets nobody less in than before. In modes that drop, a new rule closes its traffic to everyone else.
fn opens_only(from: &Ruleset, edit: &Edit, new: bool) -> bool {
    let settings = edit.settings.as_ref().unwrap_or(&from.settings);
    // Answers to what the host itself began come in by connections that stand.
    let cuts = settings.established == Established::Cut && from.settings.established == Established::Keep;
    let adds = edit.put.iter().all(|rule| from.rules.get(&rule.key).is_some_and(|there| there.traffic == rule.traffic));
    (settings.mode == Mode::Allow && !cuts) || (!new && edit.settings.is_none() && adds)
}

/// What is wanted and does not stand: whole rules, and addresses of those that do.
fn put(from: &Ruleset, end: &Ruleset) -> Vec<Rule> {
    let mut put = Vec::new();
    for rule in end.rules.values() {
        let Some(there) = from.rules.get(&rule.key).filter(|there| there.traffic == rule.traffic) else {
            put.push(rule.clone());
            continue;
        };
        let mut more = Rule::new(rule.key.clone(), rule.traffic.clone());
        for (origin, held) in &rule.sources {
            let stands = there.sources.get(origin).map(|held| held.addresses.clone()).unwrap_or_default();
            let beyond = held.addresses.beyond(&stands);
            if !beyond.is_empty() {
                let held = super::ruleset::Held { addresses: beyond, seen: held.seen };
                more.sources.insert(origin.clone(), held);
            }
        }
        if !more.sources.is_empty() {
            put.push(more);
        }
    }
    put
}

/// What stands and is not wanted, of one set.
struct Gone {
    rule: RuleKey,
    origin: Origin,
    addresses: AddressSet,
    /// Whether the whole rule goes, so that nothing of it has to be taken away by itself.
    with_rule: bool,
}

/// What stands and is not wanted. A rule whose traffic changes stands as a former one by then.
fn gone(from: &Ruleset, end: &Ruleset) -> Vec<Gone> {
    let mut gone = Vec::new();
    for (key, rule) in &from.rules {
        let wanted = end.rules.get(key);
        let stays = wanted.filter(|wanted| wanted.traffic == rule.traffic);
        let key = if wanted.is_some() && stays.is_none() { key.former() } else { key.clone() };
        for (origin, held) in &rule.sources {
            let wanted = stays.and_then(|rule| rule.sources.get(origin)).map(|held| held.addresses.clone());
            let addresses = held.addresses.beyond(&wanted.unwrap_or_default());
            if !addresses.is_empty() {
                gone.push(Gone { rule: key.clone(), origin: origin.clone(), addresses, with_rule: stays.is_none() });
            }
        }
    }
    gone
}

/// Rules that are not wanted at all.
fn dropped(from: &Ruleset, end: &Ruleset) -> BTreeSet<RuleKey> {
    from.rules.keys().filter(|key| !end.rules.contains_key(key)).cloned().collect()
}

/// Who goes by this plan's own doing, with what is shut to them.
type Leaving = BTreeMap<Vec<CloudId>, Vec<Removal>>;

/// Parts what goes: addresses of objects of the stack wait for what becomes of those; the others wait for nobody.
fn part(gone: Vec<Gone>, cx: &Context<'_>) -> (Vec<Removal>, Leaving) {
    let (mut general, mut leaving) = (Vec::new(), Leaving::new());
    for Gone { rule, origin, addresses, with_rule } in gone {
        let mut by: BTreeMap<Vec<CloudId>, Vec<ipnet::IpNet>> = BTreeMap::new();
        for net in addresses.iter() {
            by.entry(cx.identities.tellers(net.addr())).or_default().push(*net);
        }
        for (ids, nets) in by {
            let seen = matches!(origin, Origin::Region(_)).then_some(cx.now);
            let addresses = nets.into_iter().collect();
            let removal = Removal { rule: rule.clone(), origin: origin.clone(), addresses, seen };
            match ids.is_empty() {
                true if with_rule => {}
                true => general.push(removal),
                false => leaving.entry(ids).or_default().push(removal),
            }
        }
    }
    (general, leaving)
}

/// One call for each address that a step tells.
fn late(resolved: &Resolved, cx: &Context<'_>) -> Vec<Late> {
    let mut late = Vec::new();
    for (Told { whom, by, output }, places) in &resolved.later {
        let add = places.iter().map(|(rule, origin)| Addition {
            rule: rule.clone(),
            origin: origin.clone(),
            address: Part::Hole { address: by.clone(), output: *output },
            seen: matches!(origin, Origin::Region(_)).then_some(cx.now),
        });
        late.push(Late {
            edit: Edit { add: add.collect(), ..Edit::default() },
            about: whom.to_string(),
            admits: cx.identities.link(whom).into_iter().collect(),
        });
    }
    late
}
