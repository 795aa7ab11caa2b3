//! A thousand objects of every kind that look like the stack's and are not: whatever becomes of the stack, they stay as they
//! are, to the letter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::date;
use portcullis::apply::journal::Nowhere;
use portcullis::apply::{self, Limits, Stop};
use portcullis::cli::session;
use portcullis::model::id::VpcId;
use portcullis::model::{CloudId, Kind, Region, Tags};
use portcullis::plan::policy::{Goal, Policy};
use portcullis::provider::sim::Sim;
use portcullis::resources::registry::{Body, Object};
use portcullis::resources::snapshot::Vpc;
use portcullis::resources::world::{self, World};
use portcullis::spec::Stack;
use serde_json::{Value, json};

use crate::crash::stack;

/// How many strangers there are of each kind.
const MANY: usize = 1000;

const SPEC: &str = r#"
stack = "shop"
region = "eu-west-1"
[key_pair.ops]
public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaeUuAyLGUdXDj5Mg4pOAvI5vM4qWpNx1Vh0yXv6F2a"
[security_group.web]
ingress = [{ ports = 80, from = "0.0.0.0/0" }, { ports = 22, from = "self" }]
[instance.web]
image = "ami-00000001"
type = "t3.small"
security_groups = ["web"]
key_pair = "ops"
zones = ["eu-west-1a"]
tags = { Name = "web" }
[elastic_ip.edge]
instance = "web"
[load_balancer.front]
security_groups = ["web"]
zones = ["eu-west-1a"]
listeners = [{ port = 80, protocol = "http", instance_port = 80 }]
instances = ["web"]
min_healthy = 0
[host_firewall.gw]
transport = { ssh = "root@gw.example.com" }
rules = [{ name = "web", ports = 8140, from = "instance.web:public" }]
"#;

/// What changes: everything that can be is replaced, and the rest is changed where it is.
const CHANGE: &str = r#"
tags = { team = "web" }
[key_pair.ops]
public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
[security_group.web]
description = "another"
ingress = [{ ports = 443, from = "0.0.0.0/0" }]
[load_balancer.front]
scheme = "internal"
"#;

fn here() -> Region {
    Region::new("eu-west-1").expect("a region")
}

fn gateway() -> CloudId {
    CloudId::new("root@gw.example.com")
}

/// The tags of the how-manieth stranger, who stands beside an object with these.
fn likeness(number: usize, ours: &Tags) -> Tags {
    let mut tags = ours.clone();
    let mut set = |key: &str, value: &str| drop(tags.insert(format!("portcullis:{key}"), value.to_owned()));
    let address = &ours["portcullis:address"];
    match number % 16 {
        // A stack of nearly the same name; some would match as a filter's pattern.
        0 => set("stack", "shop2"),
        1 => set("stack", "Shop"),
        2 => set("stack", "shop "),
        3 => set("stack", " shop"),
        4 => set("stack", "shop*"),
        5 => set("stack", "sho?"),
        6 => set("stack", "*"),
        7 => set("stack", ""),
        // This stack, and an address that is none, or another kind's.
        8 => set("address", &address.replace('.', "-")),
        9 => set("address", &address.to_uppercase()),
        10 => set("address", &format!("{address} ")),
        11 => set("address", if address == "instance.web" { "security_group.web" } else { "instance.web" }),
        // Half of what it takes.
        12 => drop(tags.remove("portcullis:stack")),
        13 => drop(tags.remove("portcullis:address")),
        // Another stack's, and newer.
        14 => {
            set("stack", "other");
            set("generation", "99");
            set("origin", "https://example.com/other");
        }
        // A key that only looks like it.
        _ => {
            let value = tags.remove("portcullis:stack").unwrap_or_default();
            tags.insert("Portcullis:Stack".to_owned(), value);
        }
    }
    tags
}

/// A name that is ours in other letters: `number` says which of them are large, and never none.
fn other_case(name: &str, number: usize) -> String {
    let large = |at: usize| ((number % 15) + 1) >> (at % 4) & 1 == 1;
    let letters = name.chars().enumerate();
    letters.map(|(at, letter)| if large(at) { letter.to_ascii_uppercase() } else { letter }).collect()
}

/// The how-manieth stranger that looks like an object.
fn stranger(number: usize, of: &Object, elsewhere: &VpcId) -> Object {
    let mut value = serde_json::to_value(of).expect("an object");
    let (prefix, _) = of.id.as_str().rsplit_once('-').unwrap_or(("shop", ""));
    let id = |prefix: &str| format!("{prefix}-{:017x}", 0xa_0000 + number);
    value["id"] = json!(id(prefix));
    value["tags"] = json!(likeness(number, &of.tags));
    let (high, low) = (number / 200, number % 200 + 10);
    match &of.body {
        Body::KeyPair(body) => {
            value["body"]["key_pair"]["name"] = json!(format!("{}-{number}", other_case(&body.name, number)));
        }
        Body::SecurityGroup(body) => {
            let group = &mut value["body"]["security_group"];
            // Names are a VPC's, whatever their case.
            (group["vpc"], group["name"]) = (json!(elsewhere), json!(format!("{}{number}", body.name)));
            let own = json!({ "group": id(prefix) });
            for (at, rule) in group["rules"].as_array_mut().expect("rules").iter_mut().enumerate() {
                rule["id"] = json!(format!("sgr-{at:01x}{:016x}", 0xa_0000 + number));
                if rule["peer"].get("group").is_some() {
                    rule["peer"] = own.clone();
                }
            }
        }
        Body::ElasticIp(_) => {
            let address = &mut value["body"]["elastic_ip"];
            address["public_ip"] = json!(format!("100.64.{high}.{low}"));
            address["association"] = Value::Null;
        }
        Body::Instance(_) => {
            let machine = &mut value["body"]["instance"];
            machine["private_ip"] = json!(format!("172.31.{}.{low}", high + 2));
            machine["public_ip"] = json!(format!("100.65.{high}.{low}"));
            machine["public_ip_is_elastic"] = json!(false);
            machine["root"]["id"] = json!(id("vol"));
        }
        Body::LoadBalancer(body) => {
            let name = format!("{}{number}", other_case(&body.name, number));
            value["id"] = json!(format!("{}/{name}", of.region));
            value["body"]["load_balancer"]["name"] = json!(name);
            value["body"]["load_balancer"]["instances"] = json!([id("i")]);
        }
        Body::HostFirewall(_) => unreachable!("hosts are in no region"),
    }
    let text = value.to_string();
    serde_json::from_value(value).unwrap_or_else(|why| panic!("{why}: {text}"))
}

/// Rules of others on the host, with comments and chains of nearly our names.
fn foreign_rules(world: &mut World) {
    let comments = [
        "portcullis-shop2",
        "Portcullis-shop",
        "portcullis shop",
        "portcullis:shop:web",
        "shop web",
        "portcullis-shop web",
    ];
    let rule = |number: usize| {
        let comment = comments[number % comments.len()];
        let (high, low) = (number / 200, number % 200 + 10);
        json!({
            "text": format!("-A INPUT -s 203.{high}.113.{low}/32 -p tcp -m tcp --dport 8140 -m comment --comment \"{comment}\" -j ACCEPT"),
            "comment": comment,
            "when": { "source": [format!("203.{high}.113.{low}/32")] },
            "then": "accept",
        })
    };
    let rules: Vec<Value> = (0..MANY).map(rule).collect();
    let chain = json!({ "table": "ip filter", "name": "INPUT", "priority": 0, "drops": false, "rules": rules });
    let called = json!({ "ip filter Portcullis-shop": [], "ip filter portcullis_shop": [] });
    let foreign = json!({ "ipv4": [chain], "called": called });
    world.host_mut(&gateway()).facts.foreign = serde_json::from_value(foreign).expect("rules of others");
}

/// The world with a thousand strangers of each kind.
fn crowded(template: &World) -> (World, Vec<Object>) {
    let mut world = World::default();
    world.set_limits(world::Limits { addresses: 2 * MANY, balancers: 2 * MANY, ..*world.limits() });
    let mut facts = world.region(&here()).facts().clone();
    let elsewhere = VpcId::new("vpc-0eeeeeeeeeeeeeeee");
    facts.vpcs.push(Vpc { id: elsewhere.clone(), default: false, ..facts.vpcs[0].clone() });
    world.region_mut(&here()).set_facts(facts);
    // The strangers stand in the network's own group.
    let usual =
        world.objects().find(|object| object.kind() == Kind::SecurityGroup).expect("the default group").id.clone();
    for of in template.objects().filter(|object| object.owner().is_some()) {
        for number in 0..MANY {
            let mut object = stranger(number, of, &elsewhere);
            match &mut object.body {
                Body::Instance(body) => body.security_groups = vec![usual.clone()],
                Body::LoadBalancer(body) => body.security_groups = std::iter::once(usual.clone()).collect(),
                _ => {}
            }
            world.put(object);
        }
    }
    foreign_rules(&mut world);
    assert_eq!(world.audit(), [""; 0]);
    let strangers: Vec<Object> = world.objects().cloned().collect();
    let mut kinds = BTreeMap::<Kind, usize>::new();
    for object in &strangers {
        *kinds.entry(object.kind()).or_default() += 1;
    }
    assert!(kinds.len() == 5 && kinds.values().all(|count| *count >= MANY), "{kinds:?}");
    (world, strangers)
}

/// Applies, until nothing is left to do.
async fn apply_until_done(sim: &Arc<Sim>, stack: &Stack, policy: &Policy) -> usize {
    let (plan, _) = session::plan_for(stack, policy, true, sim.as_ref()).await.expect("observed");
    assert!(plan.refusals().is_empty(), "{:#?}", plan.refusals());
    let (_open, mut stop) = tokio::sync::watch::channel(Stop::No);
    let limits = Limits { parallelism: 4 };
    let done = apply::apply(&plan, sim, &mut Nowhere, limits, &mut stop, &mut |_| ()).await.expect("no journal");
    assert!(done.complete(), "{done:#?}");
    let again = Policy { replaces: BTreeSet::new(), ..policy.clone() };
    let (second, _) = session::plan_for(stack, &again, true, sim.as_ref()).await.expect("observed");
    assert!(second.is_empty(), "{:#?}", second.changes());
    plan.steps().len()
}

#[tokio::test]
async fn a_thousand_lookalikes_of_each_kind_stay_as_they_are() {
    let (first, second) = (stack(&[SPEC]), stack(&[SPEC, CHANGE]));
    let usual = Policy::on(date(2026, 1, 15));
    let template = Arc::new(Sim::in_memory(World::default()));
    apply_until_done(&template, &first, &usual).await;
    let (world, strangers) = crowded(&template.world());
    let rules: Vec<String> = world.host(&gateway()).expect("a host").foreign_texts().map(str::to_owned).collect();
    assert_eq!(rules.len(), MANY);
    let sim = Arc::new(Sim::in_memory(world.clone()));
    let replaces = second.resources.keys().filter(|address| address.kind != Kind::HostFirewall).cloned().collect();
    for (stack, policy) in [
        (&first, usual.clone()),
        (&second, usual.clone()),
        (&second, Policy { replaces, ..usual.clone() }),
        (&first, usual.clone()),
        (&first, Policy { goal: Goal::Destroy, ..usual.clone() }),
    ] {
        let steps = apply_until_done(&sim, stack, &policy).await;
        assert!(steps >= 6, "only {steps} steps");
        let now = sim.world();
        assert_eq!((now.audit(), now.breaches()), (Vec::new(), [].as_slice()));
        for before in &strangers {
            assert_eq!(now.object(&before.region, &before.id), Some(before));
            let unlisted = |world: &World| world.region(&here()).unlisted(&before.id).cloned();
            assert_eq!(unlisted(&now), unlisted(&world), "{}", before.id);
        }
        let left: Vec<&str> = now.host(&gateway()).expect("a host").foreign_texts().collect();
        assert_eq!(left, rules, "in their order");
    }
    // What is left of the account is what was there before.
    let (now, mut then) = (sim.world(), world);
    then.pass(now.clock() - then.clock());
    assert_eq!(now.objects().collect::<Vec<_>>(), then.objects().collect::<Vec<_>>());
}

/// The same on moto, by the real binary, with a few.
#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookalikes_on_moto_stay_as_they_are() {
    use crate::support::binary::Stage;
    use crate::support::moto;
    use crate::support::proxy::Proxy;
    use crate::support::strangers::{Strangers, listed};
    const ACCOUNT: &str = "200000000011";
    let strangers = Strangers::settle(ACCOUNT, "shop", 20);
    let proxy = Proxy::in_account(moto::port(), ACCOUNT).await;
    let stage = Stage::before(proxy.port);
    let cloud = |text: &str| text.replace("ami-00000001", "ami-0123456789abcdef0");
    // Hosts are not moto's to simulate.
    let (spec, _) = SPEC.split_once("[host_firewall").expect("a host");
    stage.write("spec.toml", &cloud(spec));
    stage.write("change.toml", &cloud(CHANGE));
    for words in [
        &["apply", "spec.toml", "--yes"][..],
        &["apply", "spec.toml", "change.toml", "--yes"],
        &["apply", "spec.toml", "change.toml", "--yes", "--replace", "instance.web"],
        &["destroy", "spec.toml", "--yes"],
    ] {
        stage.run(words).await.exits(0);
        strangers.are_as_they_were();
    }
    let left = listed(ACCOUNT).into_iter().filter(|one| !one.is_usual() && !strangers.contain(one));
    assert_eq!(left.map(|one| one.id).collect::<Vec<_>>(), [""; 0]);
}
