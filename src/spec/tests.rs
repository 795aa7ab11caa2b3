//! Tables: what is written, and what becomes of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Environment, Files, Format, Inputs, Source, Stack, load};
use crate::diagnostic::{Diagnostics, Severity};
use crate::model::tree::Span;
use crate::model::{Address, Region};
use crate::report::problems;
use crate::resources::registry::Want;

pub(super) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me";

/// Files and variables of a test.
#[derive(Default)]
pub(super) struct Given(pub(super) BTreeMap<String, Vec<u8>>);

impl Given {
    pub(super) fn file(path: &str, text: &str) -> Self {
        Self(BTreeMap::from([(path.to_owned(), text.as_bytes().to_vec())]))
    }
}

impl Files for Given {
    fn read(&self, _: usize, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }
}

impl Environment for Given {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "KEY").then(|| "secret".to_owned())
    }
}

pub(super) fn source(path: &str, text: &str) -> Source {
    let json = std::path::Path::new(path).extension().is_some_and(|ending| ending == "json");
    let format = if json { Format::Json } else { Format::Toml };
    Source { path: path.to_owned(), text: text.to_owned(), format }
}

pub(super) fn resolve_all(sources: &[Source], given: &Given) -> (Option<Stack>, Diagnostics) {
    load(sources, &Inputs { files: given, environment: given, region: None })
}

/// Every problem as `severity code line:column message (hint)`.
pub(super) fn said(sources: &[Source], given: &Given) -> Vec<String> {
    let (_, found) = resolve_all(sources, given);
    problems::json(&found, sources)
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            let text = |key: &str| p[key].as_str().unwrap_or_default().to_owned();
            let hint = if p["hint"].is_null() { String::new() } else { format!(" ({})", text("hint")) };
            format!("{} {} {}:{} {}{hint}", text("severity"), text("code"), p["line"], p["column"], text("message"))
        })
        .collect()
}

pub(super) fn errors_of(text: &str) -> Vec<String> {
    let all = said(&[source("spec.toml", text)], &Given::default());
    all.into_iter().filter(|line| line.starts_with("error")).collect()
}

pub(super) fn stack_of(text: &str, given: &Given) -> Stack {
    let sources = [source("spec.toml", text)];
    let (stack, found) = resolve_all(&sources, given);
    stack.unwrap_or_else(|| panic!("{}", problems::terminal(&found, &sources, false)))
}

pub(super) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

pub(super) const HEAD: &str = "stack = \"shop\"\nregion = \"eu-west-1\"\n";

/// One error each, by a part of what is said, and where.
#[test]
fn each_mistake_is_found_where_it_stands() {
    let instance =
        |more: &str| format!("[instance.web]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n{more}\n");
    let group = |rule: &str| format!("[security_group.web]\ningress = [{{ {rule} }}]\n");
    let cases: Vec<(String, &str)> = vec![
        ("nonsense = 1\n".into(), "unknown-key 3:1 the spec has no `nonsense`"),
        ("instnace = 1\n".into(), "unknown-key 3:1 the spec has no `instnace` (did you mean `instance`?)"),
        ("[load_balancre.front]\n".into(), "unknown-key 3:2 the spec has no `load_balancre` (did you mean `load_balancer`?)"),
        ("[instance.Web]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n".into(), "name 3:11 a name is"),
        (instance("colour = 1"), "unknown-key 6:1 an instance has no `colour`"),
        (instance("count = 0"), "out-of-range 6:9 a count is a whole number from 1 to 500"),
        (instance("count = 501"), "out-of-range 6:9"),
        (instance("count = \"4\""), "wrong-type 6:9 a whole number is wanted here, not a string"),
        (instance("key_pair = \"deploi\"\n[key_pair.deploy]\npublic_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\""), "unknown-name 6:12 there is no key_pair `deploi` in the spec (did you mean `deploy`?)"),
        (instance("security_groups = [\"sg-12\"]"), "unknown-name 6:20"),
        (instance("security_groups = []"), "empty 6:19"),
        (instance("zones = [\"eu-west-1a\"]\nsubnets = [\"subnet-0123abcd\"]"), "combination 6:9 `zones` and `subnets`"),
        (instance("zones = [\"eu-west-2a\"]"), "zone 6:10 `eu-west-2a` is no zone of eu-west-1"),
        (instance("zones = [\"eu-west-1a\", \"eu-west-1a\"]"), "twice 6:24"),
        (instance("count = 2\nprivate_ip = \"10.0.0.4\""), "combination 7:14 members of a group cannot share"),
        (instance("private_ip = \"10.0.0.400\""), "address 6:14"),
        (instance("root_volume = { size = \"20GB\" }"), "size 6:24 volumes are measured in GiB"),
        (instance("root_volume = { type = \"io2\" }"), "missing-key 6:15 a io2 volume needs `iops`"),
        (instance("root_volume = { type = \"gp3\", iops = 100 }"), "out-of-range 6:38"),
        (instance("root_volume = { type = \"gp2\", throughput = 125 }"), "combination 6:44"),
        (instance("root_volume = { kms_key = \"k\" }"), "combination 6:27"),
        (instance("root_volume = { iops = 3000 }"), "combination 6:24 `iops` needs a `type`"),
        (instance("metadata_service = \"v3\""), "unknown-word 6:20 `v3` is none of v2, v1, off (did you mean"),
        (instance("metadata_hops = 65"), "out-of-range 6:17"),
        (instance("user_data = { file = \"absent.sh\" }"), "file 6:22 `absent.sh` cannot be read: no such file"),
        (instance("user_data = { file = \"a\", template = \"b\" }"), "combination 6:13"),
        (instance("on_type_change = \"ignore\""), "unknown-word 6:18"),
        (instance("iam_profile = \"arn:aws:iam::1:role/x\""), "iam-profile 6:15"),
        (instance("timeout = 30"), "wrong-type 6:11"),
        (instance("timeout = \"30\""), "duration 6:11"),
        (instance("tags = { \"aws:x\" = \"y\" }"), "tag 6:10 keys that begin with `aws:`"),
        (instance("tags = { \"portcullis:x\" = \"y\" }"), "tag 6:10"),
        (instance("count = 2\nadopt = \"i-0123abcd\""), "combination 7:9 `adopt` names one object"),
        (instance("previously = \"web\""), "combination 6:14"),
        (instance("max_unavailable = 2"), "out-of-range 6:19"),
        (instance("image = \"x\""), "syntax 6:1"),
        ("[instance.web]\nimage = \"debian\"\n".into(), "missing-key 3:1 an instance needs `type`"),
        ("[instance.web]\nimage = \"debian\"\ntype = \"t3\"\n".into(), "instance-type 5:8"),
        (group("ports = 80, form = \"self\""), "unknown-key 4:26 a rule has no `form` (did you mean `from`?)"),
        (group("ports = 80, to = \"self\""), "missing-key 4:12 an ingress rule needs `from` (say `from` instead of `to`)"),
        (group("from = \"self\""), "missing-key 4:12 a tcp or udp rule needs `ports`"),
        (group("protocol = \"icmp\", ports = 80, from = \"self\""), "ports 4:41 only tcp and udp have ports"),
        (group("ports = 80, icmp_type = 8, from = \"self\""), "icmp 4:38"),
        (group("protocol = 1, icmp_code = 8, from = \"self\""), "icmp 4:40 a code needs a type"),
        (group("ports = \"90-80\", from = \"self\""), "ports 4:22 the ports are the wrong way round: write \"80-90\""),
        (group("ports = \"80\", from = \"self\""), "ports 4:22 a port is a number: write 80"),
        (group("ports = 65536, from = \"self\""), "out-of-range 4:22"),
        (group("ports = 80, from = \"10.0.0.1/8\""), "peer 4:33 host bits are set: write \"10.0.0.0/8\""),
        (group("ports = 80, from = \"10.0.0.1\""), "peer 4:33 a network has a prefix length"),
        (group("ports = 80, from = \"web\""), "peer 4:33 `web` is no peer (a group of the spec is \"security_group.web\""),
        (group("ports = 80, from = \"security_group.wbe\""), "unknown-name 4:33 there is no security_group `wbe` in the spec (did you mean `web`?)"),
        (group("ports = 80, from = \"instance.x:pubic\""), "peer 4:33"),
        (group("ports = 80, from = \"self\", expires = \"tomorrow\""), "date 4:51"),
        (group("ports = 80, from = \"self\", description = \"a|b\""), "character 4:55"),
        (group("protocol = \"tpc\", ports = 80, from = \"self\""), "protocol 4:25"),
        ("[security_group.a]\nname = \"sg-x\"\n".into(), "name 4:8"),
        ("[security_group.a]\nname = \"Web\"\n[security_group.b]\nname = \"web\"\n".into(), "claimed-twice 6:8 `security_group.a` and `security_group.b` both claim"),
        ("[security_group.a]\ndescription = \"grün\"\n".into(), "character 4:15"),
        ("[security_group.a]\nvpc = \"vpc\"\n".into(), "id 4:7"),
        ("[security_group.a]\nvpc = { tag = {} }\n".into(), "unknown-key 4:9"),
        ("[security_group.a]\nregion = \"mars\"\n".into(), "region 4:10"),
        ("[security_group.a]\nprotect = \"yes\"\n".into(), "wrong-type 4:11"),
        ("[key_pair.a]\npublic_key = \"x\"\n".into(), "public-key 4:14"),
        ("[key_pair.a]\n".into(), "missing-key 3:1 a key pair needs `public_key`"),
        ("[elastic_ip.a]\ninstance = \"web\"\n[instance.web]\ncount = 2\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n".into(), "group-not-member 4:12"),
        ("[elastic_ip.a]\ninstance = \"web-2\"\n[instance.web]\ncount = 2\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n".into(), "unknown-name 4:12 there is no instance `web-2` in the spec (did you mean `web-1`?)"),
        ("[elastic_ip.a]\ninstance = \"web\"\n[elastic_ip.b]\ninstance = \"web\"\n[instance.web]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n".into(), "claimed-twice 6:12"),
        ("[elastic_ip.a]\nregion = \"us-east-1\"\ninstance = \"web\"\n[instance.web]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n".into(), "other-region 5:12"),
        ("[instance.web]\ncount = 2\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n[instance.web-1]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n".into(), "name 7:11 `web-1` is also the name of a member"),
        ("[security_group.a]\npreviously = \"b\"\n[security_group.b]\n".into(), "previously 4:14 `b` is still in the spec"),
        ("[network]\nvpc = \"x\"\n".into(), "id 4:7"),
        ("[network]\nsubnets = []\n".into(), "empty 4:11"),
        ("[network.region.x]\n".into(), "region 3:17"),
        ("account = 123456789012\n".into(), "wrong-type 3:11"),
        ("[security_group.a]\nvpc = \"vpc-00000001\"\n[network]\nvpc = \"vpc-00000002\"\n[instance.web]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"a\"]\n".into(), "other-vpc 10:20 `a` lives in vpc-00000001"),
        ("[instance.a]\nadopt = \"i-0123abcd\"\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n[instance.b]\nadopt = \"i-0123abcd\"\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n".into(), "claimed-twice 8:9"),
        (instance("timeout = \"0s\""), "out-of-range 6:11"),
        ("[security_group.a]\ndescription = \"\"\n".into(), "empty 4:15"),
        ("fingerprint_key = \"secret\"\n".into(), "secret 3:19"),
        ("lock = \"locks/shop\"\n".into(), "wrong-type 3:8"),
        ("[lock]\nttl = \"60s\"\n".into(), "missing-key 3:"),
        ("lock = { s3 = \"s3://locks/shop\" }\n".into(), "lock 3:15 write the bucket and a prefix alone"),
        ("lock = { s3 = \"locks\", ttl = \"5s\" }\n".into(), "out-of-range 3:30"),
        ("lock = { s3 = \"locks\", dynamodb = \"x\" }\n".into(), "unknown-key 3:24"),
    ];
    for (text, wanted) in cases {
        let errors = errors_of(&format!("{HEAD}{text}"));
        assert!(
            errors.iter().any(|line| line.starts_with(&format!("error {wanted}"))),
            "{text}\nwanted: {wanted}\nfound: {errors:#?}"
        );
    }
}

#[test]
fn every_problem_is_found_at_once() {
    let text = "region = \"x\"\n[instance.a]\nfoo = 1\n[instance.b]\nimage = 4\ntype = \"\"\n[security_group.c]\ningress = 1\n";
    let codes: Vec<String> =
        errors_of(text).iter().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        codes,
        [
            "error missing-key 1:1",
            "error region 1:10",
            "error missing-key 2:1",
            "error missing-key 2:1",
            "error no-region 2:11",
            "error unknown-key 3:1",
            "error wrong-type 5:9",
            "error instance-type 6:8",
            "error wrong-type 8:11",
        ]
    );
}

#[test]
fn syntax_errors_of_all_files_are_found() {
    let sources = [
        source("a.toml", "stack = \nregion = = 1\n"),
        source("b.json", "{ \"stack\": \"x\", }"),
        source("c.json", "{ \"stack\": \"x\", \"stack\": \"y\" }"),
        source("d.json", "{ // no\n}"),
    ];
    let (stack, found) = resolve_all(&sources, &Given::default());
    assert!(stack.is_none());
    let json = problems::json(&found, &sources);
    let files: Vec<&str> = json.as_array().unwrap().iter().map(|p| p["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["a.toml", "a.toml", "b.json", "c.json", "d.json"], "{json:#}");
}

#[test]
fn documents_merge() {
    let base = "stack = \"shop\"\nregion = \"eu-west-1\"\ntags = { a = \"1\", b = \"1\" }\n[instance.web]\ncount = 2\nimage = { name = \"x\", owner = \"self\" }\ntype = \"t3.small\"\nzones = [\"eu-west-1a\", \"eu-west-1b\"]\nuser_data = { file = \"a\" }\n[security_group.gone]\n[key_pair.image]\npublic_key = { file = \"a\" }\ntags = { x = \"1\" }";
    let over = "{ \"$schema\": \"x\", \"tags\": { \"b\": \"2\" }, \"instance\": { \"web\": { \"zones\": [\"eu-west-1c\", \"eu-west-1a\"], \"image\": { \"name\": \"y\", \"owner\": \"amazon\" }, \"user_data\": { \"template\": \"t\" } } }, \"security_group\": { \"gone\": { \"enabled\": false, \"nonsense\": 1 } }, \"key_pair\": { \"image\": { \"public_key\": \"KEY\", \"tags\": { \"y\": \"2\" } } } }"
        .replace("KEY", KEY);
    let given = Given::file("t", "hi");
    let sources = [source("a.toml", base), source("b.json", &over)];
    let (stack, found) = resolve_all(&sources, &given);
    let stack = stack.unwrap_or_else(|| panic!("{}", problems::terminal(&found, &sources, false)));
    let names: Vec<String> = stack.resources.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["key_pair.image", "instance.web-0", "instance.web-1"]);
    let web = &stack.resources[&address("instance.web-1")];
    assert_eq!(web.common.tags, BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]));
    assert_eq!(stack.resources[&address("key_pair.image")].common.tags.len(), 4);
    let Want::Instance(want) = &web.want else { panic!() };
    assert_eq!(format!("{:?}", want.place.within), "Zones([ZoneName(\"eu-west-1c\"), ZoneName(\"eu-west-1a\")])");
    assert!(format!("{:?}", want.image).contains("\"y\""));
}

#[test]
fn rules_have_one_normal_form() {
    let one = "[security_group.web]\ningress = [{ ports = [80, \"443\", 80], from = [\"::0/0\", \"self\"] }]";
    let one = one.replace("\"443\"", "\"443-443\"");
    let other = "[security_group.web]\negress = [{ protocol = \"-1\", to = \"0.0.0.0/0\" }]\ningress = [{ protocol = 6, ports = 443, from = [\"security_group.web\", \"::/0\"] }, { protocol = \"TCP\", ports = 80, from = [\"::/0\"] }, { protocol = \"6\", ports = 80, from = \"self\" }]";
    let group = |text: &str| match &stack_of(&format!("{HEAD}{text}"), &Given::default()).resources
        [&address("security_group.web")]
        .want
    {
        Want::SecurityGroup(group) => group.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(group(&one).ingress, group(other).ingress);
    assert_eq!(group(&one).egress, None, "absent means what AWS lets a new group do");
    assert_eq!(group(other).egress.map(|rules| rules.len()), Some(1));
    assert_eq!(group(&one).ingress.len(), 4);
    assert_eq!(group("[security_group.web]\negress = []").egress.map(|rules| rules.len()), Some(0));
    assert_eq!(group("[security_group.web]").description, "portcullis shop web");
}

#[test]
fn a_rule_may_name_addresses_in_other_regions() {
    let text = format!(
        "{HEAD}[security_group.web]\ningress = [{{ ports = 1, from = [\"instance.web\", \"instance.one:public\", \"elastic_ip.e\"] }}]\n[instance.web]\nregion = \"us-east-1\"\ncount = 2\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n[instance.one]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n[elastic_ip.e]\n"
    );
    let stack = stack_of(&text, &Given::default());
    let Want::SecurityGroup(group) = &stack.resources[&address("security_group.web")].want else { panic!() };
    let peers: Vec<String> = group.ingress.keys().map(|rule| format!("{:?}", rule.peer)).collect();
    assert_eq!(peers.len(), 4, "{peers:?}");
    assert!(peers.iter().any(|p| p.contains("web-1") && p.contains("PrivateIp")));
    assert_eq!(stack.regions.iter().map(Region::as_str).collect::<Vec<_>>(), ["eu-west-1", "us-east-1"]);
}

#[test]
fn key_pairs_are_copied_to_their_regions() {
    let text = format!(
        "{HEAD}[key_pair.deploy]\npublic_key = \"{KEY}\"\nregions = [\"eu-west-1\", \"us-east-1\"]\n[instance.a]\nregion = \"us-east-1\"\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nkey_pair = \"deploy\"\n"
    );
    let stack = stack_of(&text, &Given::default());
    let names: Vec<String> = stack.resources.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["key_pair.deploy@eu-west-1", "key_pair.deploy@us-east-1", "instance.a"]);
    assert_eq!(stack.resources[&address("key_pair.deploy@us-east-1")].common.region.as_str(), "us-east-1");
    assert!(format!("{:?}", stack.resources[&address("instance.a")].want).contains("deploy@us-east-1"));
    let wrong = text.replace("\"eu-west-1\", \"us-east-1\"]", "\"eu-west-1\"]");
    assert!(errors_of(&wrong)[0].contains("is not imported in us-east-1"));
}

#[test]
fn networks_apply_by_region() {
    let text = format!(
        "{HEAD}[network]\nvpc = \"vpc-0123abcd\"\nsubnets = [\"subnet-0123abcd\", {{ tags = {{ Name = \"x\" }} }}]\n[network.region.us-east-1]\nvpc = {{ tags = {{ Name = \"y\" }} }}\n[security_group.a]\n[security_group.b]\nregion = \"us-east-1\"\n[security_group.c]\nregion = \"us-west-2\"\n"
    );
    let stack = stack_of(&text, &Given::default());
    let vpc = |name: &str| match &stack.resources[&address(name)].want {
        Want::SecurityGroup(group) => format!("{:?}", group.vpc),
        other => panic!("{other:?}"),
    };
    assert_eq!(vpc("security_group.a"), "Id(VpcId(\"vpc-0123abcd\"))");
    assert_eq!(vpc("security_group.b"), "Tags({\"Name\": \"y\"})");
    assert_eq!(vpc("security_group.c"), "Default");
}

#[test]
fn tags_are_counted_with_ours() {
    let many = |n: usize| (0..n).map(|i| format!("t{i} = \"\"")).collect::<Vec<_>>().join(", ");
    let text = |n: usize| format!("{HEAD}tags = {{ x = \"y\" }}\n[security_group.a]\ntags = {{ {} }}\n", many(n));
    assert_eq!(errors_of(&text(41)), [""; 0]);
    assert!(errors_of(&text(42))[0].starts_with("error too-many 5:8"));
    let long = format!("{HEAD}[security_group.a]\ntags = {{ {} = \"{}\" }}\n", "k".repeat(128), "v".repeat(257));
    assert_eq!(errors_of(&long).len(), 2);
}

#[test]
fn warnings_do_not_stop() {
    let text = format!(
        "{HEAD}[key_pair.idle]\npublic_key = \"{KEY}\"\n[security_group.web]\ningress = [{{ ports = \"20-30\", from = \"0.0.0.0/0\" }}, {{ protocol = \"all\", from = \"::/0\" }}]\n[instance.web]\ncount = 2\nimage = {{ name = \"x\" }}\ntype = \"t3.small\"\nzones = [\"eu-west-1a\"]\nsecurity_groups = [\"web\"]\nuser_data = {{ text = \"x\", sensitive = true }}\n"
    );
    stack_of(&text, &Given::default());
    let codes: Vec<String> = said(&[source("spec.toml", &text)], &Given::default())
        .iter()
        .map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        codes,
        [
            "warning unused 3:11",
            "warning open-to-the-world 6:38",
            "warning open-to-the-world 6:80",
            "warning open-to-the-world 6:80",
            "warning any-owner 9:9",
            "warning one-zone 11:9",
            "warning not-compared 13:13",
        ]
    );
}

#[test]
fn too_many_rules_are_refused() {
    let ports: Vec<String> = (1..=61).map(|port| port.to_string()).collect();
    let text = |quota: &str| {
        format!(
            "{HEAD}[security_group.a]\n{quota}\ningress = [{{ ports = [{}], from = \"self\" }}]\n",
            ports.join(", ")
        )
    };
    assert!(errors_of(&text(""))[0].contains("these are 61 ingress rules, and a group takes 60"));
    assert_eq!(errors_of(&text("rule_quota = 100")), [""; 0]);
}

/// Without places, two documents that mean the same give the same stack.
pub(super) fn without_places(mut stack: Stack) -> Stack {
    for desired in stack.resources.values_mut() {
        desired.common.span = Span::default();
    }
    stack
}

#[test]
fn a_hundred_thousand_resources_resolve() {
    let mut text = String::from(HEAD);
    for n in 0..50_000 {
        let _ = write!(
            text,
            "[security_group.g{n}]\ningress = [{{ ports = 80, from = \"security_group.g{}\" }}]\n[instance.i{n}]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"g{n}\"]\n",
            (n + 1) % 50_000
        );
    }
    assert_eq!(stack_of(&text, &Given::default()).resources.len(), 100_000);
}

#[test]
fn every_warning_and_error_has_a_place() {
    let (_, found) = resolve_all(&[source("a.toml", "")], &Given::default());
    assert!(found.iter().all(|problem| problem.at.is_some() && problem.severity == Severity::Error));
    assert!(found.has_errors());
}

#[test]
fn the_story_of_the_manual_resolves() {
    let text = r#"
stack   = "shop"
region  = "eu-west-1"
account = "123456789012"
tags    = { team = "web" }
fingerprint_key = { env = "KEY" }

[network]
vpc = "vpc-0abc0abc"
subnets = ["subnet-0a0a0a0a", "subnet-0b0b0b0b"]

[key_pair.deploy]
public_key = { file = "deploy.pub" }

[security_group.proxy]
description = "public edge"
rules = "exclusive"
ingress = [
  { ports = [80, 443], from = ["0.0.0.0/0", "::/0"], description = "web" },
  { ports = 22, from = "203.0.113.0/24", expires = 2027-01-31 },
  { protocol = "udp", ports = 694, from = "self" },
]

[security_group.web]
description = "application servers"
ingress = [{ ports = "8000-8100", from = "security_group.proxy" }]

[instance.web]
count = 4
image = "ami-0123456789abcdef0"
type  = "t3.small"
zones = ["eu-west-1a", "eu-west-1b"]
security_groups = ["web"]
key_pair = "deploy"
user_data = { template = "web.sh.j2", sensitive = true }
on_user_data_change = "replace"
root_volume = { size = "20GiB", type = "gp3", encrypted = true }
metadata_service = "v2"
protect = false
previously = "app"

[elastic_ip.edge]
instance = "web-0"
"#;
    let given = Given(BTreeMap::from([
        ("deploy.pub".into(), KEY.as_bytes().to_vec()),
        ("web.sh.j2".into(), b"{{ member.name }} {{ elastic_ip.edge.public_ip }}".to_vec()),
    ]));
    let stack = stack_of(text, &given);
    assert_eq!(said(&[source("a.toml", text)], &given), [""; 0]);
    assert_eq!(stack.resources.len(), 8);
    let web = &stack.resources[&address("instance.web-3")];
    assert_eq!(web.common.previously.as_ref().unwrap().as_str(), "app");
    assert_eq!(web.common.group.as_ref().unwrap().max_unavailable, 1);
    let Want::Instance(want) = &web.want else { panic!() };
    assert_eq!(want.index, 3);
    let data = want.user_data.as_ref().unwrap();
    assert!(data.fingerprint(b"x").starts_with("hmac-sha256:"));
    assert_eq!(format!("{data:?}"), "UserData(…)");
    let Want::ElasticIp(edge) = &stack.resources[&address("elastic_ip.edge")].want else { panic!() };
    assert!(format!("{edge:?}").contains("web"));
}

#[test]
fn problems_are_underlined_in_both_formats() {
    let toml = "stack = \"shop\"\nregion = \"eu-west-1\"\n[instance.web]\ncuont = 4 # größer\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"wbe\"]\n[security_group.web]\nregion = \"us-east-1\"\n[elastic_ip.a]\ninstance = \"web\"\n[elastic_ip.b]\ninstance = \"web\"\n";
    let json = "{\r\n  \"stack\": \"shop\",\r\n  \"instance\": {\r\n    \"ä\": {}\r\n  }\r\n}\r\n";
    for (path, text, wanted) in [
        (
            "a.toml",
            toml,
            "error[unknown-key]: an instance has no `cuont`\n --> a.toml:4:1\n  |\n4 | cuont = 4 # größer\n  | ^^^^^\n  |\n  = help: did you mean `count`?\n",
        ),
        (
            "a.json",
            json,
            "error[name]: a name is a lower-case letter, then at most 30 of a-z, 0-9 and -\n --> a.json:4:5\n  |\n4 |     \"ä\": {}\n  |     ^^^\n",
        ),
    ] {
        let sources = [source(path, text)];
        let (_, found) = resolve_all(&sources, &Given::default());
        let shown = problems::terminal(&found, &sources, false);
        println!("{shown}");
        assert!(shown.contains(wanted), "{shown}");
    }
}
