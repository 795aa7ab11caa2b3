//! What a plan stands on, and whether that is still so: a kept plan is carried out only where everything that it read is
//! found again. What it did not read may change as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Plan, Verb};
use crate::model::{Address, CloudId, Link, Query, Region, StackName};
use crate::resources::registry::Object;
use crate::resources::snapshot::{Answer, Fleet, Question, Snapshot};
use crate::resources::stack::Stack;

/// What a plan stands on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reads {
    /// The addresses that change, with every object of the stack that stood there. None means that nothing did.
    pub stands: BTreeMap<Address, BTreeSet<CloudId>>,
    /// The objects that it changes, removes, or takes over.
    pub objects: Vec<Read>,
    /// Objects that its calls name and leave as they are: they must be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<Named>,
    /// What was asked beyond the listings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Asked>,
    /// Which addresses of instances were found, for hosts that let them in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
}

/// One object, as it must be found again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// For which address.
    pub address: Address,
    /// SHA-256 of the object below, in hexadecimal.
    pub fingerprint: String,
    /// The object, without what changes by itself.
    pub object: Object,
}

/// An object that is only named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Where.
    pub region: Region,
    /// Which.
    pub id: CloudId,
    /// What it tells others, as far as it was known: an address, a name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What was asked.
    pub question: Question,
    /// What was answered.
    pub answer: Answer,
}

/// What a query found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// For which address.
    pub address: Address,
    /// What was asked.
    pub query: Query,
    /// The addresses, per region; none for a region that could not be listed.
    pub addresses: BTreeMap<Region, Option<BTreeSet<std::net::IpAddr>>>,
}

/// Something that is not as the plan read it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Whose: an address, or an id.
    pub what: String,
    /// Which field of it.
    pub field: String,
    /// As the plan read it.
    pub before: String,
    /// As it is.
    pub now: String,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} was {}, and is {}", self.what, self.field, self.before, self.now)
    }
}

impl Reads {
    /// What a plan stands on.
    #[must_use]
    pub fn of(plan: &Plan, stack: &Stack, snapshot: &Snapshot) -> Self {
        let by_id: BTreeMap<(&Region, &CloudId), &Object> =
            snapshot.objects.iter().map(|object| ((&object.region, &object.id), object)).collect();
        let changed = || plan.changes().iter().filter(|change| change.verb != Verb::NoOp);
        let objects = objects(plan, &by_id);
        let read: BTreeSet<&CloudId> = objects.iter().map(|read| &read.object.id).collect();
        let named = named(plan, &by_id, &read);
        let addresses: BTreeSet<Address> = changed().map(|change| change.address.clone()).collect();
        let queries = addresses.iter().filter_map(|address| Some((address, stack.resources.get(address)?)));
        let found = queries.flat_map(|(address, desired)| {
            desired.want.queries().into_iter().map(move |query| (address.clone(), query))
        });
        Self {
            stands: stands(snapshot, plan.stack(), &addresses),
            named,
            asked: asked(plan, snapshot),
            found: found
                .map(|(address, query)| Found { address, addresses: answered(&query, snapshot), query })
                .collect(),
            objects,
        }
    }

    /// The questions that must be asked again.
    #[must_use]
    pub fn questions(&self) -> BTreeSet<Question> {
        self.asked.iter().map(|asked| asked.question.clone()).collect()
    }

    /// Everything that is not as it was read. The snapshot is of the same scope, with the answers to
    /// [`Reads::questions`].
    #[must_use]
    pub fn moved(&self, stack: &StackName, now: &Snapshot) -> Vec<Moved> {
        let mut moved = self.elsewhere(stack, now);
        let by_id: BTreeMap<(&Region, &CloudId), &Object> =
            now.objects.iter().map(|object| ((&object.region, &object.id), object)).collect();
        for read in &self.objects {
            let what = format!("{} {}", read.address, read.object.id);
            match by_id.get(&(&read.object.region, &read.object.id)) {
                None => moved.push(Moved::gone(what)),
                Some(object) => differences(&what, &read.object, &object.settled(), &mut moved),
            }
        }
        for named in &self.named {
            match by_id.get(&(&named.region, &named.id)) {
                None => moved.push(Moved::gone(named.id.to_string())),
                Some(object) => moved.extend(named.told_otherwise(object)),
            }
        }
        for asked in &self.asked {
            let answer = now.answers.get(&asked.question);
            if answer != Some(&asked.answer) {
                let now = answer.map_or_else(|| "not answered".to_owned(), text);
                moved.push(Moved {
                    what: question(&asked.question),
                    field: "answer".into(),
                    before: text(&asked.answer),
                    now,
                });
            }
        }
        for found in &self.found {
            moved.extend(found.otherwise(now));
        }
        moved.sort();
        moved.dedup();
        moved
    }

    /// Objects of the stack that stand where none stood, and none where one did.
    fn elsewhere(&self, stack: &StackName, now: &Snapshot) -> Vec<Moved> {
        let addresses = self.stands.keys().cloned().collect();
        let there = stands(now, stack, &addresses);
        let list = |ids: Option<&BTreeSet<CloudId>>| match ids {
            Some(ids) if !ids.is_empty() => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Some(_) | None => "nothing".to_owned(),
        };
        let differs = self.stands.iter().filter(|(address, ids)| there.get(address) != Some(ids));
        differs
            .map(|(address, ids)| Moved {
                what: address.to_string(),
                field: "object".to_owned(),
                before: list(Some(ids)),
                now: list(there.get(address)),
            })
            .collect()
    }
}

impl Moved {
    fn gone(what: String) -> Self {
        Self { what, field: "object".to_owned(), before: "there".to_owned(), now: "gone".to_owned() }
    }
}

impl Named {
    fn told_otherwise(&self, object: &Object) -> Vec<Moved> {
        let now = outputs(object);
        let differs = self.outputs.iter().filter(|(output, value)| now.get(*output) != Some(value));
        differs
            .map(|(output, value)| Moved {
                what: self.id.to_string(),
                field: output.clone(),
                before: value.clone(),
                now: now.get(output).cloned().unwrap_or_else(|| "nothing".to_owned()),
            })
            .collect()
    }
}

impl Found {
    fn otherwise(&self, now: &Snapshot) -> Vec<Moved> {
        let answer = answered(&self.query, now);
        let regions: BTreeSet<&Region> = self.addresses.keys().chain(answer.keys()).collect();
        let words = |addresses: Option<&Option<BTreeSet<std::net::IpAddr>>>| match addresses {
            None => "not looked at".to_owned(),
            Some(None) => "not listed".to_owned(),
            Some(Some(all)) if all.is_empty() => "none".to_owned(),
            Some(Some(all)) => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let differs = regions.into_iter().filter(|region| self.addresses.get(*region) != answer.get(*region));
        differs
            .map(|region| Moved {
                what: self.address.to_string(),
                field: format!("{} in {region}", self.query),
                before: words(self.addresses.get(region)),
                now: words(answer.get(region)),
            })
            .collect()
    }
}

/// Which objects of a stack stand at these addresses.
fn stands(
    snapshot: &Snapshot,
    stack: &StackName,
    addresses: &BTreeSet<Address>,
) -> BTreeMap<Address, BTreeSet<CloudId>> {
    let mut stands: BTreeMap<Address, BTreeSet<CloudId>> =
        addresses.iter().map(|address| (address.clone(), BTreeSet::new())).collect();
    for object in &snapshot.objects {
        let Some(owner) = object.owner().filter(|owner| owner.stack == stack.as_str()) else { continue };
        if let Some(ids) = stands.get_mut(&owner.address) {
            ids.insert(object.id.clone());
        }
    }
    stands
}

/// The objects that a plan changes, and those that its calls look at once more.
fn objects(plan: &Plan, by_id: &BTreeMap<(&Region, &CloudId), &Object>) -> Vec<Read> {
    let touched = plan.changes().iter().filter(|change| change.verb != Verb::NoOp).filter_map(|change| {
        let object = *by_id.get(&(&change.region, change.object.as_ref()?))?;
        Some((&change.address, object))
    });
    let again = plan.steps().iter().filter_map(|step| Some((&step.call.at, step.seen.as_ref()?)));
    let all: BTreeMap<(&Region, &CloudId), (&Address, &Object)> =
        touched.chain(again).map(|(address, object)| ((&object.region, &object.id), (address, object))).collect();
    let mut objects: Vec<Read> = all
        .into_values()
        .map(|(address, object)| {
            let object = object.settled();
            Read { address: address.clone(), fingerprint: fingerprint(&object), object }
        })
        .collect();
    objects.sort_by(|a, b| (&a.address, &a.object.id).cmp(&(&b.address, &b.object.id)));
    objects
}

/// Objects that calls name and leave as they are.
fn named(plan: &Plan, by_id: &BTreeMap<(&Region, &CloudId), &Object>, read: &BTreeSet<&CloudId>) -> Vec<Named> {
    let mut named = BTreeSet::new();
    for step in plan.steps() {
        let links = step.call.action.needs().links.into_iter();
        let linked = links.filter_map(|link| match link {
            Link::Existing(id) => Some(id),
            Link::Planned(_) => None,
        });
        for id in linked.chain(step.call.on.clone()).filter(|id| !read.contains(id)) {
            let told = by_id.get(&(&step.call.region, &id)).map(|object| outputs(object));
            named.extend(told.map(|outputs| Named { region: step.call.region.clone(), id, outputs }));
        }
    }
    named.into_iter().collect()
}

fn outputs(object: &Object) -> BTreeMap<String, String> {
    object.outputs().into_iter().map(|(output, value)| (output.to_string(), value)).collect()
}

/// The questions whose other answer would have made another plan. A newer image changes nothing that was reviewed: the plan
/// names the one it found. User data is no business of a document that many read.
fn asked(plan: &Plan, snapshot: &Snapshot) -> Vec<Asked> {
    let counts = |question: &&Question| match question {
        Question::NewestImage { .. } | Question::UserData { .. } => false,
        Question::Holders { .. }
        | Question::Named { .. }
        | Question::Image { .. }
        | Question::TerminationProtection { .. }
        | Question::InstanceType { .. } => true,
    };
    let answered = |question: &Question| {
        Some(Asked { question: question.clone(), answer: snapshot.answers.get(question)?.clone() })
    };
    plan.questions().iter().filter(counts).filter_map(answered).collect()
}

/// What a query finds.
fn answered(query: &Query, snapshot: &Snapshot) -> BTreeMap<Region, Option<BTreeSet<std::net::IpAddr>>> {
    let regions = snapshot.fleet.iter().filter(|(region, _)| query.regions.contains(region));
    regions
        .map(|(region, fleet)| {
            let addresses = match fleet {
                Fleet::Unseen(_) => None,
                Fleet::Seen(machines) => {
                    let fit = machines.iter().filter(|machine| machine.fits(query));
                    Some(fit.flat_map(|machine| machine.addresses(query.address)).collect())
                }
            };
            (region.clone(), addresses)
        })
        .collect()
}

/// SHA-256 of an object's JSON, in hexadecimal.
fn fingerprint(object: &Object) -> String {
    let bytes = serde_json::to_vec(object).unwrap_or_default();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every field in which two forms of one object differ.
fn differences(what: &str, before: &Object, now: &Object, moved: &mut Vec<Moved>) {
    // The kind is no field: what it lists stands beside the tags.
    let value = |object: &Object| {
        let mut fields = serde_json::Map::new();
        if let Ok(Value::Object(body)) = serde_json::to_value(&object.body) {
            fields.extend(body.into_iter().filter_map(|(_, of_kind)| of_kind.as_object().cloned()).flatten());
        }
        fields.insert("tags".to_owned(), serde_json::to_value(&object.tags).unwrap_or_default());
        Value::Object(fields)
    };
    let mut found = Vec::new();
    compare("", &value(before), &value(now), &mut found);
    moved.extend(found.into_iter().map(|(field, before, now)| Moved { what: what.to_owned(), field, before, now }));
}

/// Walks two values side by side. Lists are compared as sets: their order tells nothing.
fn compare(path: &str, before: &Value, now: &Value, found: &mut Vec<(String, String, String)>) {
    match (before, now) {
        (before, now) if before == now => {}
        (Value::Object(before), Value::Object(now)) => {
            let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            for key in keys {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let side = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                compare(&below, &side(before), &side(now), found);
            }
        }
        (Value::Array(before), Value::Array(now)) => {
            if let (Some(before), Some(now)) = (by_own_id(before), by_own_id(now)) {
                return compare(path, &before, &now, found);
            }
            for gone in before.iter().filter(|one| !now.contains(one)) {
                found.push((path.to_owned(), plain(gone), "gone".to_owned()));
            }
            for fresh in now.iter().filter(|one| !before.contains(one)) {
                found.push((path.to_owned(), "not there".to_owned(), plain(fresh)));
            }
        }
        (before, now) => found.push((path.to_owned(), plain(before), plain(now))),
    }
}

/// A list of things that have ids, each under its id; none where one has none.
fn by_own_id(list: &[Value]) -> Option<Value> {
    let entries = list.iter().map(|one| Some((one.get("id")?.as_str()?.to_owned(), one.clone())));
    entries.collect::<Option<serde_json::Map<String, Value>>>().map(Value::Object)
}

/// A value for people.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => other.to_string(),
    }
}

fn text(answer: &Answer) -> String {
    serde_json::to_value(answer).map(|value| plain(&value)).unwrap_or_default()
}

/// A question in words.
fn question(question: &Question) -> String {
    match question {
        Question::Holders { id, .. } => format!("who holds {id}"),
        Question::Named { kind, region, name, .. } => format!("who has the {kind} name `{name}` in {region}"),
        Question::Image { region, id } => format!("the image {id} in {region}"),
        Question::NewestImage { region, query } => format!("the newest image {} in {region}", query.name),
        Question::UserData { id, .. } => format!("the user data of {id}"),
        Question::TerminationProtection { id, .. } => format!("the termination protection of {id}"),
        Question::InstanceType { region, name } => format!("the instance type {name} in {region}"),
    }
}
