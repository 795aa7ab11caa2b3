//! From fates to changes: what becomes of each address, and the calls it takes, before they are put in order.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fresh::wanted_tags;
use super::policy::Goal;
use super::ripple::{Fate, Finding, Ripple, Said};
use super::select;
use crate::model::tags::{KEEP, OURS, PROTECT, matches};
use crate::model::tree::Span;
use crate::model::{Address, CloudId, Kind, Output, Region, TagEdit, Tags};
use crate::resources::registry::{Action, Desired, Object};
use crate::resources::snapshot::Question;
use crate::resources::{
    After, Common, Delta, Draft, Edit, Effect, Field, Group, Impact, Note, Refusal, RefusalKind, Wave,
};

/// What becomes of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// It is as it should be.
    NoOp,
    /// It is made.
    Create,
    /// A foreign object is taken over.
    Adopt,
    /// It is changed where it stands.
    Update,
    /// Another takes its place.
    Replace,
    /// It is removed.
    Delete,
    /// Our tags are taken off, and the object stays.
    Release,
    /// What it stands on could not be seen: nothing is planned but to try again.
    Unknown,
}

/// What becomes of one address, or of one left-over object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which resource.
    pub address: Address,
    /// Where.
    pub region: Region,
    /// What becomes of it.
    pub verb: Verb,
    /// The object that is there now.
    pub object: Option<CloudId>,
    /// What will be there, in one line.
    pub summary: String,
    /// Why the object is left over, where it is.
    pub left_over: Option<LeftOver>,
    /// Whether a filter keeps the plan from touching it.
    pub left_out: bool,
    /// Every difference.
    pub fields: Vec<Field>,
    /// How hard it hits.
    pub impact: Impact,
    /// What the reader must know.
    pub notes: Vec<Note>,
    /// Resources that name this one and are not changed themselves.
    pub affected: Vec<Address>,
}

/// Why an object goes though its address may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOver {
    /// The spec does not name it.
    Orphan,
    /// Another generation stands at its address.
    Superseded,
}

/// The calls of one list of drafts, and what they are about.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) address: Address,
    pub(super) region: Region,
    pub(super) role: Role,
    /// The object they change or remove.
    pub(super) object: Option<&'a Object>,
    pub(super) drafts: Vec<Draft<Action>>,
    /// What the made object takes that only one may have.
    pub(super) slots: BTreeSet<String>,
    /// Whose turn they wait for.
    pub(super) group: Option<(Kind, Group)>,
}

/// What the calls of a batch do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// They make an object.
    Make,
    /// They change one.
    Update,
    /// They go around an interruption of another object.
    Around,
    /// They only read what one tells.
    Look,
    /// They leave one to others.
    Release,
    /// They remove one.
    Remove {
        /// Whether another takes its place at the same address.
        succeeded: bool,
    },
}

/// Everything that changes.
#[derive(Debug, Default)]
pub(super) struct Changes<'a> {
    pub(super) list: Vec<Change>,
    pub(super) batches: Vec<Batch<'a>>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) questions: BTreeSet<Question>,
    /// Protected objects that a destroy leaves, with what they need.
    pub(super) retained: Vec<Address>,
}

/// Lists every change and its calls.
pub(super) fn changes<'a>(ripple: &Ripple<'a>) -> Changes<'a> {
    let mut all = Changes { refusals: ripple.claims.refusals.clone(), ..Changes::default() };
    if ripple.policy.goal == Goal::Converge {
        for (address, desired) in &ripple.stack.resources {
            all.wanted(ripple, address, desired);
        }
        for (address, objects) in &ripple.claims.others {
            let current = ripple.kept(address).map(|object| &object.id);
            let replaced = match ripple.fates.get(address) {
                Some(Fate::Replaced(object)) => Some(&object.id),
                _ => None,
            };
            if matches!(ripple.fates.get(address), Some(Fate::Frozen(_)) | None) {
                continue;
            }
            let newest = ripple.claims.current.get(address).copied();
            for object in objects.iter().copied().chain(newest) {
                if Some(&object.id) != current && Some(&object.id) != replaced {
                    all.removal(ripple, address, object, LeftOver::Superseded);
                }
            }
        }
    }
    all.orphans(ripple);
    all.unreached(ripple);
    all.list.sort_by(|a, b| (&a.address, a.left_over, &a.object).cmp(&(&b.address, b.left_over, &b.object)));
    all
}

impl<'a> Changes<'a> {
    pub(super) fn hear(&mut self, said: Said) -> Vec<Note> {
        self.refusals.extend(said.refusals);
        self.questions.extend(said.questions);
        said.notes
    }

    /// A resource of the spec.
    fn wanted(&mut self, ripple: &Ripple<'a>, address: &'a Address, desired: &'a Desired) {
        let mut change = Change {
            address: address.clone(),
            region: desired.common.region.clone(),
            verb: Verb::NoOp,
            object: None,
            summary: desired.want.summary(),
            left_over: None,
            left_out: false,
            fields: Vec::new(),
            impact: Impact::None,
            notes: Vec::new(),
            affected: Vec::new(),
        };
        match ripple.fates.get(address) {
            Some(Fate::Made) => {
                change.verb = if ripple.is_unseen(desired) { Verb::Unknown } else { Verb::Create };
                change.fields = ripple.ask(address, &desired.common, |cx| desired.want.introduces(cx)).0;
                change.notes = self.make(ripple, address, desired);
            }
            Some(Fate::Kept(object)) => {
                change.object = Some(object.id.clone());
                self.kept(ripple, address, desired, object, &mut change);
            }
            Some(Fate::Replaced(object)) => {
                change.object = Some(object.id.clone());
                self.replaced(ripple, address, desired, object, &mut change);
            }
            Some(Fate::Frozen(object)) => {
                change.left_out = true;
                change.object = object.map(|object| object.id.clone());
            }
            None => {}
        }
        change.impact = change.notes.iter().map(|note| note.impact).max().unwrap_or_default();
        if change.verb != Verb::NoOp {
            change.affected = affected(ripple, address);
        }
        self.list.push(change);
    }

    fn make(&mut self, ripple: &Ripple<'a>, address: &Address, desired: &Desired) -> Vec<Note> {
        let ((drafts, slots), said) =
            ripple.ask(address, &desired.common, |cx| (desired.want.create(cx), desired.want.slots(cx)));
        self.batches.push(Batch {
            address: address.clone(),
            region: desired.common.region.clone(),
            role: Role::Make,
            object: None,
            drafts,
            slots,
            group: None,
        });
        self.hear(said)
    }

    fn kept(
        &mut self,
        ripple: &Ripple<'a>,
        address: &Address,
        desired: &Desired,
        object: &'a Object,
        change: &mut Change,
    ) {
        let (delta, said) = finding(ripple, address);
        change.notes = self.hear(said);
        let generation = object.owner().map(|owner| owner.generation);
        let generation_now = generation.unwrap_or_else(|| ripple.generation(address));
        let edit = tag_edit(ripple, address, desired, object, generation_now);
        change.fields.extend(tag_fields(&object.tags, &edit));
        change.fields.extend(delta.fields.iter().cloned());
        change.verb = match (generation, change.fields.is_empty()) {
            (None, _) => Verb::Adopt,
            (Some(_), false) => Verb::Update,
            (Some(_), true) => Verb::NoOp,
        };
        // A stamp says what no listing tells, protection too, so it is written when that is so, and not before.
        let stamps = desired.want.stamps();
        let stamp = |key: &str| stamps.contains_key(key) || key == PROTECT;
        let (late, early) = split(edit, |key| !delta.drafts.is_empty() && stamp(key));
        let tag = |title, edit: TagEdit| {
            let action = (!edit.is_empty()).then(|| Action::retag(address.kind, edit));
            action.map(|action| Draft::new(title, Wave::Update, Some(object.id.clone()), action))
        };
        let mut drafts = behind(tag("tag", early), &delta.drafts, change.verb == Verb::Adopt);
        drafts.extend(tag("tag what was set", late));
        if !drafts.is_empty() {
            self.batches.push(Batch {
                address: address.clone(),
                region: object.region.clone(),
                role: Role::Update,
                object: Some(object),
                drafts,
                slots: BTreeSet::new(),
                group: desired.common.group.clone().map(|group| (address.kind, group)),
            });
        }
    }

    fn replaced(
        &mut self,
        ripple: &Ripple<'a>,
        address: &Address,
        desired: &Desired,
        object: &'a Object,
        change: &mut Change,
    ) {
        let (delta, said) = finding(ripple, address);
        change.verb = Verb::Replace;
        change.notes = self.hear(said);
        change.fields = delta.fields.iter().filter(|field| field.effect == Effect::Replace).cloned().collect();
        if object.owner().is_none() {
            let message = format!("{} cannot be adopted as it is: another would have to take its place", object.id);
            let differs: Vec<String> = change.fields.iter().map(|field| format!("`{}`", field.name)).collect();
            let hint = format!("write {} as the object has it", differs.join(", "));
            self.refusals.push(Refusal::new(RefusalKind::Adopt, address, message).hint(hint));
            return;
        }
        if desired.common.protect {
            let differs: Vec<String> = change.fields.iter().map(|field| format!("`{}`", field.name)).collect();
            let message =
                format!("{} is protected, and {} cannot change without replacing it", object.id, differs.join(", "));
            let hint = "take the change back, or set `protect = false` first";
            self.refusals.push(Refusal::new(RefusalKind::Protected, address, message).hint(hint));
        }
        let notes = self.make(ripple, address, desired);
        change.notes.extend(notes);
        let group = desired.common.group.clone().map(|group| (address.kind, group));
        let notes = self.remove(ripple, address, object, true, group);
        change.notes.extend(notes);
        change.notes.extend(self.given_up(object));
        dedup(&mut change.notes);
    }

    /// What is briefly absent as only one object may have it: the two batches listed last are the new one's and the old's.
    fn given_up(&self, object: &Object) -> Vec<Note> {
        let [.., make, remove] = self.batches.as_slice() else { return Vec::new() };
        let interrupts = remove.drafts.iter().any(|draft| draft.interrupts);
        let impact = if interrupts { Impact::Downtime } else { Impact::None };
        let occupied = object.occupies();
        let slots = make.slots.intersection(&occupied);
        slots.map(|slot| Note::new(impact, format!("{slot} is given up before the new one has it"))).collect()
    }

    fn remove(
        &mut self,
        ripple: &Ripple<'a>,
        address: &Address,
        object: &'a Object,
        succeeded: bool,
        group: Option<(Kind, Group)>,
    ) -> Vec<Note> {
        let named = ripple.stack.resources.get(address);
        let common = Common { timeout: named.and_then(|desired| desired.common.timeout), ..bare(object) };
        let (drafts, said) = ripple.ask_about(address, &common, succeeded, |cx| object.delete(cx));
        self.batches.push(Batch {
            address: address.clone(),
            region: object.region.clone(),
            role: Role::Remove { succeeded },
            object: Some(object),
            drafts,
            slots: BTreeSet::new(),
            group,
        });
        self.hear(said)
    }

    /// An object that goes though nothing takes its place now.
    fn removal(&mut self, ripple: &Ripple<'a>, address: &Address, object: &'a Object, why: LeftOver) {
        let notes = self.remove(ripple, address, object, why == LeftOver::Superseded, None);
        self.list.push(Change {
            address: address.clone(),
            region: object.region.clone(),
            verb: Verb::Delete,
            object: Some(object.id.clone()),
            summary: String::new(),
            left_over: Some(why),
            left_out: false,
            fields: Vec::new(),
            impact: notes.iter().map(|note| note.impact).max().unwrap_or_default(),
            notes,
            affected: Vec::new(),
        });
    }

    /// Owned objects that the spec does not name.
    fn orphans(&mut self, ripple: &Ripple<'a>) {
        let policy = ripple.policy;
        let orphans = ripple.claims.orphans.iter().filter(|(address, _)| select::prunes(policy, address));
        let orphans: Vec<_> = orphans.collect();
        let retained = retained(ripple, &orphans);
        for (address, object) in orphans {
            if retained.contains(&object.id) {
                self.retained.push(address.clone());
            } else if object.tags.contains_key(KEEP) && policy.goal == Goal::Converge {
                self.release(address, object);
            } else {
                if object.tags.contains_key(PROTECT) {
                    let message = format!("{} is protected and the spec does not name it any more", object.id);
                    let hint =
                        "bring it back with `protect = false`, apply, and take it away then; or `portcullis forget` it";
                    self.refusals.push(Refusal::new(RefusalKind::Protected, address, message).hint(hint));
                }
                self.removal(ripple, address, object, LeftOver::Orphan);
            }
        }
        self.retained.sort();
        self.retained.dedup();
    }

    /// Hosts that shall have nothing of ours, and could not be reached: whether anything stands there nobody knows.
    fn unreached(&mut self, ripple: &Ripple<'a>) {
        let wanted =
            |address: &Address| ripple.policy.goal == Goal::Converge && ripple.stack.resources.contains_key(address);
        for (address, target) in ripple.stack.hosts.iter().filter(|(address, _)| !wanted(address)) {
            let why = ripple.snapshot.unreached.get(&target.id()).filter(|_| select::prunes(ripple.policy, address));
            let (Some(why), Some(action)) = (why, Action::reach(address.kind, target)) else { continue };
            let text =
                format!("{target} could not be reached, and whether anything of ours stands there is not known: {why}");
            self.batches.push(Batch {
                address: address.clone(),
                region: Region::hosts(),
                role: Role::Look,
                object: None,
                drafts: vec![Draft::new("reach", Wave::Update, None, action)],
                slots: BTreeSet::new(),
                group: None,
            });
            self.list.push(Change {
                address: address.clone(),
                region: Region::hosts(),
                verb: Verb::Unknown,
                object: None,
                summary: String::new(),
                left_over: None,
                left_out: false,
                fields: Vec::new(),
                impact: Impact::None,
                notes: vec![Note::new(Impact::None, text)],
                affected: Vec::new(),
            });
        }
    }

    fn release(&mut self, address: &Address, object: &'a Object) {
        let unset = object.tags.keys().filter(|key| key.starts_with(OURS)).cloned().collect();
        let action = Action::retag(address.kind, TagEdit { set: Tags::new(), unset });
        self.batches.push(Batch {
            address: address.clone(),
            region: object.region.clone(),
            role: Role::Release,
            object: Some(object),
            drafts: vec![Draft::new("release", Wave::Update, Some(object.id.clone()), action)],
            slots: BTreeSet::new(),
            group: None,
        });
        self.list.push(Change {
            address: address.clone(),
            region: object.region.clone(),
            verb: Verb::Release,
            object: Some(object.id.clone()),
            summary: String::new(),
            left_over: Some(LeftOver::Orphan),
            left_out: false,
            fields: Vec::new(),
            impact: Impact::None,
            notes: vec![Note::new(Impact::None, "it stays, and is nobody's from then on")],
            affected: Vec::new(),
        });
    }
}

/// What a destroy leaves: protected objects, and what they hold.
fn retained(ripple: &Ripple<'_>, orphans: &[&(Address, &Object)]) -> BTreeSet<CloudId> {
    let mut retained = BTreeSet::new();
    if ripple.policy.goal != Goal::Destroy {
        return retained;
    }
    let by_id: BTreeMap<&CloudId, &Object> = orphans.iter().map(|(_, object)| (&object.id, *object)).collect();
    let guarded = |address: &Address, object: &Object| {
        object.tags.contains_key(PROTECT)
            || ripple.stack.resources.get(address).is_some_and(|desired| desired.common.protect)
    };
    let mut waiting: Vec<&Object> =
        orphans.iter().filter(|(address, object)| guarded(address, object)).map(|(_, object)| *object).collect();
    while let Some(object) = waiting.pop() {
        if retained.insert(object.id.clone()) {
            waiting.extend(object.holds().iter().filter_map(|hold| by_id.get(&hold.id).copied()));
        }
    }
    retained
}

/// Drafts behind one that comes before them: what they say of places in their list is true of the longer one too. Where the
/// first makes an object ours, nothing is done to the object before.
fn behind(first: Option<Draft<Action>>, drafts: &[Draft<Action>], ours_from_then: bool) -> Vec<Draft<Action>> {
    let Some(first) = first else { return drafts.to_vec() };
    let moved = drafts.iter().map(|draft| {
        let after = match &draft.after {
            After::These(places) => {
                let before = ours_from_then.then_some(0);
                After::These(before.into_iter().chain(places.iter().map(|place| place + 1)).collect())
            }
            After::Nothing if ours_from_then => After::These(vec![0]),
            After::Previous | After::Ready | After::Nothing | After::All => draft.after.clone(),
        };
        Draft { after, ..draft.clone() }
    });
    std::iter::once(first).chain(moved).collect()
}

/// What the ripple found of an address.
fn finding(ripple: &Ripple<'_>, address: &Address) -> (Delta<Action>, Said) {
    let Some(Finding { delta, said }) = ripple.findings.get(address) else { return Default::default() };
    let said = Said { notes: said.notes.clone(), refusals: said.refusals.clone(), questions: said.questions.clone() };
    (delta.clone(), said)
}

/// What every resource has, of an object that no spec speaks of.
fn bare(object: &Object) -> Common {
    Common {
        region: object.region.clone(),
        tags: Tags::new(),
        protect: false,
        keep: false,
        previously: None,
        adopt: None,
        timeout: None,
        group: None,
        span: Span::default(),
    }
}

/// What makes an object's tags what they should be. Tags of AWS, those the spec leaves to others, and those of ours that
/// no row writes are let alone.
fn tag_edit(ripple: &Ripple<'_>, address: &Address, desired: &Desired, object: &Object, generation: u32) -> TagEdit {
    let want = wanted_tags(ripple.stack, address, desired, generation);
    let stamps = desired.want.stamps();
    TagEdit::between(&object.tags, &want, |key| {
        let ours = key.starts_with(OURS) && ![KEEP, PROTECT].contains(&key) && !stamps.contains_key(key);
        ours || key.starts_with("aws:") || ripple.stack.ignore_tags.iter().any(|pattern| matches(pattern, key))
    })
}

/// Parts an edit in two: the keys that `first` accepts, and the others.
fn split(edit: TagEdit, first: impl Fn(&str) -> bool) -> (TagEdit, TagEdit) {
    let (set, other_set) = edit.set.into_iter().partition(|(key, _)| first(key));
    let (unset, other_unset) = edit.unset.into_iter().partition(|key| first(key));
    (TagEdit { set, unset }, TagEdit { set: other_set, unset: other_unset })
}

fn tag_fields(have: &Tags, edit: &TagEdit) -> Vec<Field> {
    let keys: BTreeSet<&String> = edit.set.keys().chain(&edit.unset).collect();
    keys.into_iter()
        .map(|key| Field {
            name: match key.as_str() {
                KEEP => "keep".to_owned(),
                PROTECT => "protect".to_owned(),
                key => format!("tags.{key}"),
            },
            edit: Edit::Value { before: have.get(key).cloned(), after: edit.set.get(key).cloned() },
            effect: Effect::InPlace,
        })
        .collect()
}

/// Resources that name a changed one, and do not change themselves.
fn affected(ripple: &Ripple<'_>, address: &Address) -> Vec<Address> {
    let quiet = |address: &&Address| match ripple.fates.get(*address) {
        Some(Fate::Kept(_)) => ripple.findings.get(*address).is_none_or(|finding| finding.delta.fields.is_empty()),
        Some(Fate::Frozen(object)) => object.is_some(),
        Some(Fate::Made | Fate::Replaced(_)) | None => false,
    };
    ripple.dependents_of(address).iter().filter(quiet).cloned().collect()
}

/// Says nothing twice.
fn dedup(notes: &mut Vec<Note>) {
    let mut said = BTreeSet::new();
    notes.retain(|note| said.insert(note.text.clone()));
}

/// The outputs that a batch's calls provide, with the place of the call among its drafts.
pub(super) fn provided(batch: &Batch<'_>) -> BTreeMap<Output, usize> {
    let outputs = batch.drafts.iter().enumerate().flat_map(|(at, draft)| draft.provides.iter().map(move |o| (*o, at)));
    outputs.collect()
}
