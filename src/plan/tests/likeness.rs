//! A world with everything taken out that depends on when something was made: two worlds that look alike are alike.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use serde_json::Value;

use crate::model::{Address, StackName, tags};
use crate::resources::instance::state::OnChange;
use crate::resources::instance::user_data::FINGERPRINT;
use crate::resources::registry::{Body, Object, Want};
use crate::resources::stack::Stack;
use crate::resources::world::World;

/// What the stack owns, each object in words that hold in every world.
pub(super) fn likeness(world: &World, stack: &Stack) -> BTreeSet<String> {
    let owned: Vec<&Object> =
        world.objects().filter(|object| object.owner().is_some_and(|o| o.stack == "shop")).collect();
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for object in &owned {
        let label = format!("<{}>", object.owner().unwrap().address);
        let told = object.outputs();
        for (output, text) in told {
            if !matches!(output, crate::model::Output::Zone) {
                labels.insert(text, format!("{label}.{output}"));
            }
        }
        if let Body::Instance(body) = &object.body {
            labels.insert(body.private_ip.to_string(), format!("{label}.private_ip"));
            // Through a rule or a text, an Elastic IP is one whoever is asked for it.
            if body.public_ip_is_elastic {
                labels.remove(&body.public_ip.unwrap().to_string());
            }
        }
    }
    for object in &owned {
        if let Body::ElasticIp(body) = &object.body {
            labels.insert(body.public_ip.to_string(), format!("<{}>.address", object.owner().unwrap().address));
        }
    }
    let mut labels: Vec<(String, String)> = labels.into_iter().collect();
    labels.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    let objects = owned.iter().map(|object| words(world, stack, object, &labels));
    objects.chain(hosts(world, &labels)).collect()
}

/// What stands of the stack on each host, whenever it was written.
fn hosts(world: &World, labels: &[(String, String)]) -> Vec<String> {
    let shop = StackName::new("shop").unwrap();
    let stands = world.hosts().filter_map(|(id, host)| Some((id, host.stacks.get(&shop)?, host.boot.get(&shop))));
    let told = stands.map(|(id, stand, boot)| {
        let mut rules = stand.rules.clone();
        for held in rules.rules.values_mut().flat_map(|rule| rule.sources.values_mut()) {
            held.seen = None;
        }
        let mut words: Vec<String> = Vec::new();
        for rule in rules.rules.values() {
            for (origin, held) in &rule.sources {
                let like = |net: &ipnet::IpNet| {
                    let text = crate::model::addresses::plain(net);
                    labels.iter().find(|(from, _)| *from == text).map_or(text.clone(), |(_, to)| to.clone())
                };
                words.extend(
                    held.addresses.iter().map(|net| format!("{} {} {origin} {}", rule.key, rule.traffic, like(net))),
                );
            }
            words.push(format!("{} {}", rule.key, rule.traffic));
        }
        words.sort();
        format!("{id} {:?} {:?} boots {}: {words:?}", stand.backend, rules.settings, boot.is_some())
    });
    told.collect()
}

fn words(world: &World, stack: &Stack, object: &Object, labels: &[(String, String)]) -> String {
    let mut value = serde_json::to_value(object).unwrap();
    for tag in [FINGERPRINT, tags::GENERATION] {
        value.pointer_mut("/tags").and_then(Value::as_object_mut).unwrap().remove(tag);
    }
    let like = |text: String| labels.iter().fold(text, |text, (from, to)| text.replace(from, to));
    let mut rules: Vec<String> = Vec::new();
    if let Some(list) = value.pointer_mut("/body/security_group/rules").and_then(Value::as_array_mut) {
        for mut rule in list.drain(..) {
            rule.as_object_mut().unwrap().remove("id");
            rules.push(like(rule.to_string()));
        }
    }
    rules.sort();
    if let Some(tie) = value.pointer_mut("/body/elastic_ip/association").and_then(Value::as_object_mut) {
        tie.remove("id");
    }
    if let Some(root) = value.pointer_mut("/body/instance/root").and_then(Value::as_object_mut) {
        root.remove("id");
    }
    let mut groups: Vec<String> = Vec::new();
    if let Some(list) = value.pointer_mut("/body/instance/security_groups").and_then(Value::as_array_mut) {
        groups.extend(list.drain(..).map(|group| like(group.to_string())));
    }
    for list in ["instances", "security_groups"] {
        let list = value.pointer_mut(&format!("/body/load_balancer/{list}")).and_then(Value::as_array_mut);
        groups.extend(list.into_iter().flat_map(|list| list.drain(..)).map(|one| like(one.to_string())));
    }
    groups.sort();
    let address = object.owner().unwrap().address;
    let unlisted = world.region(&object.region).unlisted(&object.id).cloned();
    let unlisted =
        unlisted.map(|unlisted| (unlisted.shutdown, unlisted.termination_protection, said(&unlisted, stack, &address)));
    like(format!("{address} {unlisted:?} {value} {rules:?} {groups:?}"))
}

/// What an instance was told, unless nobody cares.
fn said(unlisted: &crate::resources::world::Unlisted, stack: &Stack, address: &Address) -> Option<String> {
    let desired = stack.resources.get(address)?;
    let Want::Instance(want) = &desired.want else { return None };
    if want.on_user_data_change == OnChange::Ignore {
        return None;
    }
    let text: String = unlisted.user_data.clone()?.into();
    Some(String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap())
}
