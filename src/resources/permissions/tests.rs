//! What policies say, and what they leave out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Permissions, Purpose};
use crate::resources::stack::Stack;
use crate::spec::{self, Environment, Files, Format, Inputs, Source};

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

impl Files for Nothing {
    fn read(&self, _: usize, _: &str) -> Result<Vec<u8>, String> {
        Err("there are no files".to_owned())
    }
}

fn stack(text: &str) -> Stack {
    let source = Source { path: "spec.toml".to_owned(), text: text.to_owned(), format: Format::Toml };
    let (stack, problems) = spec::load(&[source], &Inputs { files: &Nothing, environment: &Nothing, region: None });
    stack.unwrap_or_else(|| panic!("{problems:?}"))
}

/// Every kind, and every field that leads to an action of its own.
const ALL: &str = r#"
stack = "shop"
region = "eu-west-1"
account = "123456789012"
[key_pair.ops]
public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me"
[security_group.web]
adopt = "sg-0123456789abcdef0"
[elastic_ip.edge]
instance = "web"
public_ip_pool = "ipv4pool-ec2-0123456789abcdef0"
[instance.web]
image = "ami-0123456789abcdef0"
type = "t3.small"
security_groups = ["web"]
key_pair = "ops"
iam_profile = "web"
placement_group = "near"
root_volume = { size = "20GiB", encrypted = true, kms_key = "alias/web" }
[load_balancer.front]
adopt = "old-front"
instances = ["web"]
listeners = [
  { port = 80, protocol = "http", instance_port = 8000, stickiness = { duration = "10m" } },
  { port = 443, protocol = "https", instance_port = 8000, certificate = "arn:aws:acm:eu-west-1:123456789012:certificate/a", stickiness = { cookie = "s" } },
]
"#;

fn policy(text: &str, purpose: Purpose) -> Value {
    serde_json::to_value(Permissions::of(&stack(text)).policy(purpose)).expect("JSON")
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        other => panic!("{other}"),
    }
}

fn statements(policy: &Value) -> Vec<Value> {
    policy["Statement"].as_array().expect("statements").clone()
}

fn actions(policy: &Value) -> BTreeSet<String> {
    statements(policy).iter().flat_map(|one| texts(&one["Action"])).collect()
}

fn named(policy: &Value, sid: &str) -> Value {
    let found = statements(policy).into_iter().find(|one| one["Sid"] == sid);
    found.unwrap_or_else(|| panic!("no `{sid}`: {policy:#}"))
}

#[test]
fn every_statement_has_a_name_of_its_own_that_iam_takes() {
    for purpose in [Purpose::Plan, Purpose::Apply, Purpose::Destroy] {
        let policy = policy(ALL, purpose);
        let sids: Vec<String> = statements(&policy).iter().map(|one| texts(&one["Sid"]).concat()).collect();
        assert_eq!(sids.iter().collect::<BTreeSet<_>>().len(), sids.len(), "{sids:?}");
        assert!(sids.iter().all(|sid| sid.bytes().all(|byte| byte.is_ascii_alphanumeric())), "{sids:?}");
    }
}

#[test]
fn a_plan_changes_nothing() {
    let plan = actions(&policy(ALL, Purpose::Plan));
    assert!(plan.len() > 15, "{plan:?}");
    let reading = |action: &String| action.split(':').nth(1).is_some_and(|api| api.starts_with("Describe"));
    assert!(plan.iter().all(reading), "{plan:?}");
    assert!(plan.is_subset(&actions(&policy(ALL, Purpose::Apply))));
}

#[test]
fn nothing_is_changed_or_made_without_the_tag_of_the_stack() {
    let apply = policy(ALL, Purpose::Apply);
    for one in statements(&apply) {
        let equals = &one["Condition"]["StringEquals"];
        let kept = ["aws:RequestTag/portcullis:stack", "aws:ResourceTag/portcullis:stack"]
            .iter()
            .any(|key| equals[key] == "shop");
        let resources = texts(&one["Resource"]);
        let ids = resources.iter().all(|arn| !arn.ends_with('*'));
        let reads = texts(&one["Action"]).iter().all(|action| action.contains(":Describe"));
        let new = !equals["ec2:CreateAction"].is_null() || !equals["elasticloadbalancing:CreateAction"].is_null();
        let sid = texts(&one["Sid"]).concat();
        // What stands beside an object of ours, or is no object of ours at all.
        let beside = [
            "AllocateFrom",
            "CreateGroupsIn",
            "DefaultGroupOfBalancers",
            "GiveAddressTo",
            "LaunchInto",
            "LendKey",
            "ModifyInterfacesWith",
            "ModifyWith",
            "PassRole",
            "RulesOfGroups",
            "TakeAddressFrom",
            "UseKey",
        ];
        assert!(kept || ids || reads || new || beside.contains(&sid.as_str()), "{one:#}");
    }
    // Whatever stands beside is no object of ours by itself: none of these makes or removes one.
    let remove = ["ec2:TerminateInstances", "ec2:ReleaseAddress", "ec2:DeleteSecurityGroup", "ec2:DeleteKeyPair"];
    for one in statements(&apply).into_iter().filter(|one| one["Sid"] != "ChangeOwn") {
        assert!(!texts(&one["Action"]).iter().any(|action| remove.contains(&action.as_str())), "{one:#}");
    }
}

#[test]
fn what_the_spec_names_narrows_the_policy() {
    let apply = policy(ALL, Purpose::Apply);
    assert_eq!(named(&apply, "Read")["Condition"]["StringEquals"]["aws:RequestedRegion"], "eu-west-1");
    let adopt = texts(&named(&apply, "Adopt")["Resource"]);
    assert!(adopt.contains(&"arn:aws:ec2:*:123456789012:security-group/sg-0123456789abcdef0".to_owned()), "{adopt:?}");
    assert!(adopt.contains(&"arn:aws:elasticloadbalancing:*:123456789012:loadbalancer/old-front".to_owned()));
    let into = texts(&named(&apply, "LaunchInto")["Resource"]);
    assert!(into.contains(&"arn:aws:ec2:*:123456789012:placement-group/near".to_owned()), "{into:?}");
    assert!(into.contains(&"arn:aws:ec2:*::image/*".to_owned()), "{into:?}");
    let bare = "stack = \"shop\"\nregion = \"us-gov-east-1\"\n[security_group.web]\n";
    let apply = policy(bare, Purpose::Apply);
    assert_eq!(named(&apply, "CreateGroupsIn")["Resource"], "arn:aws-us-gov:ec2:*:*:vpc/*");
    let never = ["ec2:RunInstances", "ec2:AllocateAddress", "iam:PassRole", "ec2:DescribeVolumes"];
    assert!(never.iter().all(|action| !actions(&apply).contains(*action)), "{apply:#}");
}

#[test]
fn queries_ask_where_they_say() {
    let host = |regions: &str| {
        format!(
            "stack = \"office\"\n[host_firewall.gate]\ntransport = \"local\"\n\
             rules = [{{ name = \"fleet\", ports = 22, from = [{{ instances = {{ regions = {regions} }} }}] }}]\n"
        )
    };
    let all = policy(&host("\"all\", except = [\"us-west-1\"]"), Purpose::Plan);
    let elsewhere = json!({ "StringNotEquals": { "aws:RequestedRegion": "us-west-1" } });
    assert_eq!(named(&all, "ReadInstances")["Condition"], elsewhere);
    assert_eq!(named(&all, "ReadRegions")["Action"], "ec2:DescribeRegions");
    let two = policy(&host("[\"eu-west-1\", \"eu-west-2\"]"), Purpose::Plan);
    assert_eq!(actions(&two), ["ec2:DescribeInstances".to_owned()].into());
}

#[test]
fn what_is_destroyed_may_be_anywhere() {
    let destroy = policy(ALL, Purpose::Destroy);
    assert_eq!(named(&destroy, "Read").get("Condition"), None);
    assert!(actions(&destroy).contains("ec2:DescribeRegions"));
    assert!(!actions(&destroy).contains("ec2:RunInstances"));
}

#[test]
fn a_missing_line_is_a_line_of_the_policy() {
    let permissions = Permissions::of(&stack(ALL));
    let printed = statements(&policy(ALL, Purpose::Apply));
    for permit in permissions.permits(Purpose::Apply) {
        let missing = permissions.missing(permit.call, Some(permit.action), "eu-west-1");
        assert!(!missing.is_empty(), "{permit:?}");
        for one in missing {
            let one = serde_json::to_value(one).expect("JSON");
            assert_eq!(one["Action"], permit.action);
            let whole = printed.iter().find(|whole| whole["Sid"] == one["Sid"]).expect("a statement of that name");
            let inside = |key: &str| texts(&one[key]).iter().all(|text| texts(&whole[key]).contains(text));
            assert!(inside("Action") && inside("Resource"), "{one:#}\n{whole:#}");
        }
    }
    let run = permissions.missing("RunInstances", None, "eu-west-1");
    let run = serde_json::to_value(run).expect("JSON");
    let along: BTreeSet<String> =
        run.as_array().expect("a list").iter().flat_map(|one| texts(&one["Action"])).collect();
    for action in ["ec2:RunInstances", "ec2:CreateTags", "iam:PassRole", "kms:CreateGrant"] {
        assert!(along.contains(action), "{along:?}");
    }
}

#[test]
fn a_lock_in_a_bucket_is_read_and_written_by_who_changes_something() {
    for (place, objects) in [("locks/all", "locks/all/*"), ("locks", "locks/*")] {
        let text = format!("lock = {{ s3 = {place:?} }}\n{ALL}");
        let lock = json!({
            "Sid": "Lock",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": format!("arn:aws:s3:::{objects}"),
        });
        assert_eq!(named(&policy(&text, Purpose::Apply), "Lock"), lock);
        assert_eq!(named(&policy(&text, Purpose::Destroy), "Lock"), lock);
        assert!(!policy(&text, Purpose::Plan).to_string().contains("s3:"));
    }
}
