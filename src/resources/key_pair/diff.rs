//! How a key pair becomes what is wanted: AWS changes nothing of it but its tags.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Desired, Observed, permits};
use crate::model::{Kind, Output, Reference, TagEdit};
use crate::resources::permissions::Permits;
use crate::resources::snapshot::{Answer, Question};
use crate::resources::{
    Common, Context, Delta, Draft, Edit, Effect, Field, Impact, Needs, Refusal, RefusalKind, Resource, Seen, Wave,
};

/// The kind `key_pair`.
#[derive(Debug)]
pub struct KeyPair;

impl Resource for KeyPair {
    const KIND: Kind = Kind::KeyPair;
    type Desired = Desired;
    type Observed = Observed;
    type Action = Action;

    fn references(want: &Desired) -> Vec<Reference> {
        let Desired { public_key: _, name: _ } = want;
        Vec::new()
    }

    fn create(want: &Desired, cx: &Context<'_>) -> Vec<Draft<Action>> {
        let name = physical_name(want, cx);
        refuse_taken(&name, cx);
        let import = Action::Import { name, public_key: want.public_key.line(), tags: cx.fresh().tags };
        vec![Draft { provides: vec![Output::Id, Output::Name], ..Draft::new("import", Wave::Make, None, import) }]
    }

    fn diff(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>) -> Delta<Action> {
        let mut delta = Delta::default();
        let Observed { name, fingerprint, public_key } = have.body;
        if !want.public_key.is(fingerprint, public_key.as_deref()) {
            let after = format!("{} {}", want.public_key.kind(), want.public_key.imported_fingerprint());
            delta.fields.push(Field {
                name: "public_key".to_owned(),
                edit: Edit::Value { before: Some(fingerprint.clone()), after: Some(after) },
                effect: Effect::Replace,
            });
            if want.name.is_some() {
                cx.note(Impact::None, "running instances keep the old key; only new ones get this one");
            }
        }
        if let Some(literal) = want.name.as_ref().filter(|literal| *literal != name) {
            delta.fields.push(Field {
                name: "name".to_owned(),
                edit: Edit::Value { before: Some(name.clone()), after: Some(literal.clone()) },
                effect: Effect::Replace,
            });
        }
        delta
    }

    fn delete(have: &Seen<'_, Observed>, _: &Context<'_>) -> Vec<Draft<Action>> {
        vec![Draft { ends: true, ..Draft::new("delete", Wave::Remove, Some(have.id.clone()), Action::Delete) }]
    }

    fn retag(edit: TagEdit) -> Action {
        Action::Tag(edit)
    }

    fn needs(action: &Action) -> Needs {
        match action {
            Action::Import { .. } | Action::Tag(_) | Action::Delete => Needs::default(),
        }
    }

    fn outputs(have: &Seen<'_, Observed>) -> BTreeMap<Output, String> {
        BTreeMap::from([(Output::Id, have.id.to_string()), (Output::Name, have.body.name.clone())])
    }

    fn foretold(want: &Desired, cx: &Context<'_>) -> BTreeMap<Output, String> {
        BTreeMap::from([(Output::Name, physical_name(want, cx))])
    }

    fn slots(want: &Desired, cx: &Context<'_>) -> BTreeSet<String> {
        BTreeSet::from([slot(&physical_name(want, cx), cx.common.region.as_str())])
    }

    fn occupies(have: &Seen<'_, Observed>) -> BTreeSet<String> {
        BTreeSet::from([slot(&have.body.name, have.region.as_str())])
    }

    fn is_called(have: &Seen<'_, Observed>, adopt: &str) -> bool {
        have.body.name == adopt
    }

    fn rechecks(action: &Action) -> bool {
        matches!(action, Action::Delete)
    }

    fn stale(_: &Action, seen: &Observed, now: &Observed) -> Option<String> {
        (seen.fingerprint != now.fingerprint).then(|| "it holds another key now".to_owned())
    }

    fn listing(permits: &mut Permits) {
        permits::listing(permits);
    }

    fn permits(want: &Desired, common: &Common, permits: &mut Permits) {
        permits::of(want, common, permits);
    }

    fn summary(want: &Desired) -> String {
        want.public_key.kind().to_owned()
    }
}

fn physical_name(want: &Desired, cx: &Context<'_>) -> String {
    want.name.clone().unwrap_or_else(|| cx.fresh().name)
}

fn slot(name: &str, region: &str) -> String {
    format!("the key pair name `{name}` in {region}")
}

/// A name is the region's: a foreign key that has it must be taken over, or another name be chosen.
fn refuse_taken(name: &str, cx: &Context<'_>) {
    let question =
        Question::Named { kind: Kind::KeyPair, region: cx.common.region.clone(), vpc: None, name: name.to_owned() };
    if let Some(Answer::Named(Some(holder))) = cx.ask(question)
        && !cx.mine.contains(holder)
    {
        let message = format!("the key pair name `{name}` belongs to {holder}, which this stack does not own");
        cx.refuse(
            Refusal::new(RefusalKind::Taken, cx.at, message)
                .hint(format!("take it over with `adopt = \"{name}\"`, or give another `name`")),
        );
    }
}
