//! Two ways to say one thing agree: TOML and JSON, schema and decoder.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::schema;
use super::tests::{Given, KEY, resolve_all, source, without_places};

/// A value as TOML, tables inline.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let pairs: Vec<String> =
                table.iter().map(|(key, value)| format!("{} = {}", json!(key), toml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn document(root: &Value) -> String {
    let table = root.as_object().unwrap();
    table.iter().map(|(key, value)| format!("{} = {}\n", json!(key), toml(value))).collect()
}

/// Some of these fields.
fn some_of(fields: Vec<(&'static str, Vec<Value>)>) -> impl Strategy<Value = Value> {
    let picks: Vec<_> =
        fields.into_iter().map(|(key, values)| (Just(key), prop::option::of(prop::sample::select(values)))).collect();
    picks.prop_map(|picked| {
        Value::Object(picked.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
    })
}

fn with(mut table: Value, fields: &Value) -> Value {
    table.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    table
}

prop_compose! {
    fn instance()(table in some_of(vec![
        ("count", vec![json!(1), json!(3), json!("3"), json!(0)]),
        ("zones", vec![json!(["eu-west-1a"]), json!(["eu-west-1b", "eu-west-1a"]), json!(["us-east-1a"])]),
        ("security_groups", vec![json!(["a"]), json!(["sg-0123abcd", "a"]), json!(["none"])]),
        ("key_pair", vec![json!("k"), json!({ "existing": "ops" })]),
        ("user_data", vec![json!("a\n\"b\" \t ä"), json!({ "file": "f" }), json!({ "template": "t", "sensitive": true })]),
        ("root_volume", vec![json!({ "size": "20GiB", "type": "gp3" }), json!({ "encrypted": true }), json!({ "size": 20 })]),
        ("tags", vec![json!({ "Name": "x", "a.b c": "" }), json!({})]),
        ("metadata_hops", vec![json!(2), json!(1.5)]),
        ("public_ip", vec![json!(true), json!("yes")]),
        ("timeout", vec![json!("5m")]),
        ("protect", vec![json!(true)]),
        ("unknown", vec![json!(1)]),
    ])) -> Value {
        with(table, &json!({ "image": { "name": "debian-*", "owner": "self" }, "type": "t3.small" }))
    }
}

prop_compose! {
    fn group()(table in some_of(vec![
        ("description", vec![json!("web servers"), json!("grün")]),
        ("rules", vec![json!("additive"), json!("Exclusive")]),
        ("egress", vec![json!([]), json!([{ "protocol": "all", "to": "10.0.0.0/8" }])]),
        ("ingress", vec![
            json!([{ "ports": [80, "8000-8100"], "from": ["10.0.0.0/8", "self", "instance.web"], "expires": "2027-01-31" }]),
            json!([{ "protocol": 17, "ports": "all", "from": "pl-0123abcd" }, { "protocol": "icmp", "from": "::/0" }]),
            json!([{ "ports": 80 }]),
        ]),
        ("vpc", vec![json!("vpc-0123abcd"), json!({ "tags": { "Name": "x" } })]),
        ("name", vec![json!("web")]),
        ("previously", vec![json!("old")]),
    ])) -> Value { table }
}

prop_compose! {
    fn balancer()(table in some_of(vec![
        ("name", vec![json!("front"), json!("-front")]),
        ("scheme", vec![json!("internal"), json!("Internet-Facing"), json!("private")]),
        ("zones", vec![json!(["eu-west-1a"]), json!(["eu-west-1a", "eu-west-1b"]), json!(["us-east-1a"])]),
        ("security_groups", vec![json!(["a"]), json!(["sg-0123abcd", "b"]), json!(["none"])]),
        ("health_check", vec![json!({ "target": "http:80/x", "interval": "6s" }), json!({}), json!({ "interval": "5s" })]),
        ("instances", vec![json!(["web"]), json!(["web", "i-0123abcd"]), json!("web"), json!(["web", 1])]),
        ("registration", vec![json!("additive")]),
        ("min_healthy", vec![json!(0), json!(1), json!(3), json!("1")]),
        ("cross_zone", vec![json!(false)]),
        ("idle_timeout", vec![json!("4000s"), json!("2h")]),
        ("connection_draining", vec![json!("off"), json!("1h"), json!(300)]),
        ("access_log", vec![json!({ "bucket": "logs" }), json!({ "bucket": "Logs", "interval": "5m" })]),
        ("proxy_protocol", vec![json!([25]), json!([8000])]),
        ("tags", vec![json!({ "a": "b#c" })]),
    ])) -> Value {
        with(table, &json!({ "listeners": [
            { "port": 80, "protocol": "HTTP", "instance_port": 8000, "stickiness": { "duration": "1h" } },
            { "port": 25, "protocol": "tcp", "instance_port": 25 },
        ] }))
    }
}

prop_compose! {
    fn firewall()(table in some_of(vec![
        ("state", vec![json!("present"), json!("absent"), json!("gone")]),
        ("address", vec![json!("203.0.113.9"), json!(["2001:db8::9", "10.0.0.9"]), json!("10.0.0.0/8")]),
        ("backend", vec![json!("iptables-nft"), json!("Auto"), json!("iptables-legacy")]),
        ("mode", vec![json!("deny"), json!("Allow"), json!("audit")]),
        ("families", vec![json!("ipv6"), json!(["ipv4", "ipv6"]), json!([])]),
        ("commit", vec![json!({ "confirm_within": "5m" }), json!({ "persist": false }), json!({ "confirm_within": 5 })]),
        ("adopt", vec![json!({ "comment": "EC2 - *" }), json!("EC2 - *")]),
        ("attach", vec![json!({ "chain": "INPUT" }), json!({ "chain": "a b" })]),
        ("max_shrink", vec![json!("5%"), json!(5)]),
        ("always_allow", vec![json!([{ "ports": 22, "from": "198.51.100.7" }]), json!([{ "name": "a" }])]),
        ("rules", vec![
            json!([{ "name": "a", "ports": [22, "80-90"], "from": ["instance.web", "::/0", "host_firewall.other"] }]),
            json!([{ "name": "a", "protocol": "Udp", "ports": "all", "from": { "instances": { "regions": "all", "tags": { "a": "b" } } } }]),
            json!([{ "name": "b", "protocol": 112, "to": "224.0.0.18", "from": "10.0.0.1/8" }, { "ports": 0 }]),
        ]),
        ("region", vec![json!("eu-west-1")]),
    ])) -> Value {
        with(table, &json!({ "transport": { "ssh": "root@[2001:db8::1]:22", "sudo": true } }))
    }
}

prop_compose! {
    fn spec()(
        top in some_of(vec![
            ("origin", vec![json!("https://example.com/x")]),
            ("account", vec![json!("123456789012"), json!("1")]),
            ("tags", vec![json!({ "team": "web" })]),
            ("ignore_tags", vec![json!(["a*", "b"])]),
            ("regions", vec![json!(["us-east-1"])]),
            ("fingerprint_key", vec![json!({ "env": "KEY" })]),
            ("lock", vec![json!({ "s3": "locks/shop" }), json!({ "s3": "locks", "region": "eu-west-1", "ttl": "2m" })]),
            ("network", vec![json!({ "vpc": "vpc-0123abcd", "region": { "us-east-1": { "subnets": ["subnet-0123abcd"] } } })]),
        ]),
        web in instance(),
        a in group(),
        b in group(),
        front in balancer(),
        gw in firewall(),
    ) -> Value {
        with(top, &json!({
            "stack": "shop",
            "region": "eu-west-1",
            "instance": { "web": web },
            "security_group": { "a": a, "b": b },
            "elastic_ip": { "e": {} },
            "key_pair": { "k": { "public_key": KEY } },
            "load_balancer": { "front": front },
            "host_firewall": { "gw": gw, "other": { "transport": "local", "address": "192.0.2.1" } },
        }))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn toml_and_json_of_one_spec_are_one_stack(root in spec()) {
        let given = Given([("f".to_owned(), vec![0x1f, 0x8b]), ("t".to_owned(), b"{{ elastic_ip.e.public_ip }}".to_vec())].into());
        let one = resolve_all(&[source("a.toml", &document(&root))], &given);
        let two = resolve_all(&[source("a.json", &root.to_string())], &given);
        let said = |problems: &crate::diagnostic::Diagnostics| {
            problems.iter().map(|p| (p.code, p.message.clone(), p.hint.clone())).collect::<BTreeSet<_>>()
        };
        prop_assert_eq!(said(&one.1), said(&two.1));
        prop_assert_eq!(one.0.map(without_places), two.0.map(without_places));
    }

    #[test]
    fn no_text_makes_it_panic(toml in "\\PC{0,60}", json in "[{}\\[\\]\",:a0-9\\\\ \n]{0,40}") {
        let given = Given::default();
        for source in [source("a.toml", &toml), source("a.toml", &format!("stack = \"a\"\n[instance.{toml}")), source("a.json", &json)] {
            let (_, problems) = resolve_all(std::slice::from_ref(&source), &given);
            let _ = crate::report::problems::terminal(&problems, &[source], false);
        }
    }
}

/// Any tree whose keys are mostly ours.
fn tree() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 67] = [
        "stack",
        "region",
        "regions",
        "tags",
        "network",
        "vpc",
        "subnets",
        "instance",
        "security_group",
        "elastic_ip",
        "key_pair",
        "web",
        "web-0",
        "count",
        "image",
        "type",
        "zones",
        "security_groups",
        "user_data",
        "file",
        "template",
        "sensitive",
        "root_volume",
        "size",
        "iops",
        "ingress",
        "egress",
        "from",
        "to",
        "ports",
        "protocol",
        "expires",
        "public_key",
        "adopt",
        "previously",
        "enabled",
        "fingerprint_key",
        "env",
        "lock",
        "s3",
        "ttl",
        "name",
        "us-east-1",
        "load_balancer",
        "listeners",
        "port",
        "instance_port",
        "stickiness",
        "health_check",
        "instances",
        "min_healthy",
        "host_firewall",
        "transport",
        "ssh",
        "command",
        "local",
        "rules",
        "always_allow",
        "protocol",
        "regions",
        "except",
        "states",
        "commit",
        "comment",
        "attach",
        "address",
        "all",
    ];
    let word = || prop::sample::select(WORDS.to_vec());
    let leaf = prop_oneof![
        word().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!(1.5)),
        "[a-z0-9.:/@*-]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_tree_makes_it_panic(one in tree(), two in tree(), three in tree()) {
        let base = json!({ "stack": "s", "region": "eu-west-1", "instance": { "web": one }, "security_group": { "web": two.clone() }, "host_firewall": { "web": two } });
        let sources = [source("a.json", &base.to_string()), source("b.json", &three.to_string())];
        let (stack, problems) = resolve_all(&sources, &Given::default());
        prop_assert_eq!(stack.is_none(), problems.has_errors());
        let _ = crate::report::problems::terminal(&problems, &sources, true);
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{a=", "}")] {
        let text = format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
        let sources = [source("a.json", &text), source("b.toml", &format!("a = {text}"))];
        assert!(resolve_all(&sources, &Given::default()).1.has_errors());
    }
    for text in [format!("{}a = 1", "a.".repeat(20_000)), format!("[{}a]", "a.".repeat(20_000))] {
        assert!(resolve_all(&[source("a.toml", &text)], &Given::default()).1.has_errors());
    }
}

/// The keys that a table takes, as the hint for an unknown one lists them.
fn taken(text: &str) -> BTreeSet<String> {
    let (_, problems) = resolve_all(&[source("a.json", text)], &Given::default());
    let unknown: Vec<_> = problems.iter().filter(|p| p.code == "unknown-key").collect();
    assert_eq!(unknown.len(), 1, "{text}: {unknown:?}");
    let hint = unknown[0].hint.clone().unwrap();
    hint.strip_prefix("it takes ").unwrap_or_else(|| panic!("{hint}")).split(", ").map(str::to_owned).collect()
}

fn properties(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().unwrap_or(&Map::new()).keys().cloned().collect()
}

/// What a reference stands for.
fn at<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

#[test]
fn schema_and_decoder_take_the_same_keys() {
    const ODD: &str = "qqqqqqqqqqqqqqqqqqqq";
    let root = schema();
    let resource = |kind: &str| at(&root, &root["properties"][kind]["additionalProperties"]).clone();
    let field = |kind: &str, key: &str| at(&root, &resource(kind)["properties"][key]).clone();
    let table = |schema: &Value, index: usize| schema["anyOf"][index].clone();
    let mut cases = vec![
        (json!({ ODD: 1 }), root.clone()),
        (json!({ "network": { ODD: 1 } }), at(&root, &root["properties"]["network"]).clone()),
        (json!({ "fingerprint_key": { ODD: 1 } }), at(&root, &root["properties"]["fingerprint_key"]).clone()),
        (json!({ "lock": { ODD: 1 } }), at(&root, &root["properties"]["lock"]).clone()),
        (json!({ "network": { "vpc": { ODD: 1 } } }), table(&field("security_group", "vpc"), 1)),
        (
            json!({ "security_group": { "a": { "ingress": [{ ODD: 1 }] } } }),
            at(&root, &field("security_group", "ingress")["items"]).clone(),
        ),
        (json!({ "instance": { "a": { "root_volume": { ODD: 1 } } } }), field("instance", "root_volume")),
        (json!({ "instance": { "a": { "image": { ODD: 1 } } } }), table(&field("instance", "image"), 1)),
        (json!({ "instance": { "a": { "key_pair": { ODD: 1 } } } }), table(&field("instance", "key_pair"), 1)),
        (json!({ "key_pair": { "a": { "public_key": { ODD: 1 } } } }), table(&field("key_pair", "public_key"), 1)),
    ];
    let network = at(&root, &root["properties"]["network"]);
    let other = at(&root, &network["properties"]["region"]["additionalProperties"]).clone();
    cases.push((json!({ "network": { "region": { "us-east-1": { ODD: 1 } } } }), other));
    let balancer = |key: &str| json!({ "load_balancer": { "a": { key: { ODD: 1 } } } });
    for key in ["health_check", "access_log"] {
        cases.push((balancer(key), field("load_balancer", key)));
    }
    let listener = at(&root, &field("load_balancer", "listeners")["items"]).clone();
    // Schemas of one name are one schema: a rule's protocol is another.
    let spoken = at(&root, &listener["properties"]["protocol"]);
    assert_eq!(table(spoken, 0)["enum"], json!(["http", "https", "tcp", "ssl"]));
    cases.push((json!({ "load_balancer": { "a": { "listeners": [{ ODD: 1 }] } } }), listener));
    let firewall = |key: &str, value: Value| json!({ "host_firewall": { "a": { key: value } } });
    for key in ["commit", "adopt", "attach"] {
        cases.push((firewall(key, json!({ ODD: 1 })), field("host_firewall", key)));
    }
    cases.push((firewall("transport", json!({ ODD: 1 })), table(&field("host_firewall", "transport"), 1)));
    for key in ["rules", "always_allow"] {
        let rule = at(&root, &field("host_firewall", key)["items"]).clone();
        let one = at(&root, &rule["properties"]["from"]["anyOf"][0]).clone();
        let source = at(&root, &one["anyOf"][1]).clone();
        let query = at(&root, &source["properties"]["instances"]).clone();
        cases.push((firewall(key, json!([{ ODD: 1 }])), rule));
        cases.push((firewall(key, json!([{ "from": { ODD: 1 } }])), source));
        cases.push((firewall(key, json!([{ "from": { "instances": { ODD: 1 } } }])), query));
    }
    for kind in ["key_pair", "security_group", "elastic_ip", "instance", "load_balancer", "host_firewall"] {
        cases.push((json!({ kind: { "a": { ODD: 1 } } }), resource(kind)));
    }
    for (text, schema) in cases {
        assert_eq!(schema["additionalProperties"], json!(false), "{text}");
        let mut known = taken(&text.to_string());
        // An ingress rule looks for `to` to say that `from` is meant.
        if text["security_group"]["a"].get("ingress").is_some() {
            known.remove("to");
        }
        assert_eq!(known, properties(&schema), "{text}");
    }
}

#[test]
fn the_schema_is_whole() {
    fn walk(root: &Value, schema: &Value) {
        match schema {
            Value::Object(object) => {
                if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                    assert!(root.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                }
                assert_ne!(object.get("type"), Some(&json!("null")));
                object.values().for_each(|value| walk(root, value));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(root, value)),
            _ => {}
        }
    }
    let root = schema();
    walk(&root, &root);
    assert_eq!(root["required"], json!(["stack"]));
    let instance = &root["properties"]["instance"]["additionalProperties"];
    assert_eq!(instance["required"], json!(["image", "type"]));
    let balancer = &root["properties"]["load_balancer"]["additionalProperties"];
    assert_eq!(balancer["required"], json!(["listeners"]));
    let firewall = &root["properties"]["host_firewall"]["additionalProperties"];
    assert_eq!(firewall["required"], json!(["transport"]));
    for kind in [instance, balancer, firewall] {
        for (name, field) in kind["properties"].as_object().unwrap() {
            assert!(field.get("description").is_some(), "{name} has no description");
        }
    }
    println!("{root:#}");
}
