//! Credentials that lack an action: each action of the policies in turn, by the real binary before moto. What is refused is
//! named with the resource and the line that the policy lacks, the rest goes on, and what is granted afterwards finishes it.
//!
//! That the policies are enough is seen where every example and every field is applied by somebody who has no more
//! (`examples.rs`, `fields.rs`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::binary::Stage;
use crate::support::moto;
use crate::support::proxy::{Fault, Proxy};

const REGION: &str = "eu-west-3";

/// One kind with somebody beside it who is nobody's business, as it is made, changed and removed.
pub struct Scene {
    /// What it is called.
    pub name: &'static str,
    /// The kind, as it is made.
    pub made: String,
    /// The same, changed.
    pub changed: String,
    /// Which calls make it, change it there and back, and remove it.
    calls: [&'static [&'static str]; 3],
    /// Somebody beside it, in two versions, and its address.
    bystander: [&'static str; 3],
}

const KEY: &str = "[key_pair.beside]\npublic_key = \"ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me\"\n";
const KEY_TAGGED: &str = "[key_pair.beside]\ntags = { b = \"2\" }\npublic_key = \"ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me\"\n";
const GROUP: &str = "[security_group.beside]\ningress = [{ ports = 22, from = \"10.0.0.0/8\" }]\n";
const GROUP_WIDER: &str = "[security_group.beside]\ningress = [{ ports = [22, 23], from = \"10.0.0.0/8\" }]\n";

/// Every scene.
pub fn scenes() -> Vec<Scene> {
    let mut all = plain();
    all.extend(balancers());
    all
}

fn plain() -> Vec<Scene> {
    let key = [KEY, KEY_TAGGED, "key_pair.beside"];
    let group = [GROUP, GROUP_WIDER, "security_group.beside"];
    vec![
        Scene {
            name: "keys",
            made: KEY.replace("beside", "own"),
            changed: KEY.replace("beside", "own").replace("public_key", "tags = { a = \"1\" }\npublic_key"),
            calls: [&["ImportKeyPair"], &["CreateTags", "DeleteTags"], &["DeleteKeyPair"]],
            bystander: group,
        },
        Scene {
            name: "groups",
            made: "[security_group.own]\ningress = [{ ports = 80, from = \"10.0.0.0/8\", description = \"a\" }]\n\
                   egress = [{ ports = 80, to = \"10.0.0.0/8\", description = \"a\" }]\n"
                .to_owned(),
            changed: "[security_group.own]\ningress = [{ ports = 80, from = \"10.0.0.0/8\", description = \"b\" },\n\
                      { ports = 81, from = \"10.0.0.0/8\" }]\n\
                      egress = [{ ports = 80, to = \"10.0.0.0/8\", description = \"b\" }, { ports = 81, to = \"10.0.0.0/8\" }]\n"
                .to_owned(),
            calls: [
                &["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupEgress"],
                &[
                    "AuthorizeSecurityGroupEgress",
                    "RevokeSecurityGroupIngress",
                    "UpdateSecurityGroupRuleDescriptionsEgress",
                    "UpdateSecurityGroupRuleDescriptionsIngress",
                ],
                &["DeleteSecurityGroup"],
            ],
            bystander: key,
        },
        Scene {
            name: "addresses",
            made: format!("[elastic_ip.own]\ninstance = \"one\"\n{}{}", instance("one", ""), instance("two", "")),
            changed: format!("[elastic_ip.own]\n{}{}", instance("one", ""), instance("two", "")),
            calls: [
                &["AllocateAddress", "AssociateAddress", "RunInstances"],
                &["DisassociateAddress"],
                &["ReleaseAddress", "TerminateInstances"],
            ],
            bystander: group,
        },
        Scene {
            name: "machines",
            made: instance("own", "monitoring = \"basic\"\nmetadata_hops = 2\n"),
            changed: instance("own", "monitoring = \"detailed\"\nmetadata_hops = 3\niam_profile = \"permissions\"\n"),
            calls: [
                &[],
                &[
                    "AssociateIamInstanceProfile",
                    "DisassociateIamInstanceProfile",
                    "ModifyInstanceMetadataOptions",
                    "MonitorInstances",
                    "UnmonitorInstances",
                ],
                &[],
            ],
            bystander: key,
        },
        Scene {
            name: "restarts",
            made: instance("own", "type = \"t3.small\"\n"),
            changed: instance("own", "type = \"t3.large\"\n"),
            calls: [&[], &["ModifyInstanceAttribute", "StartInstances", "StopInstances"], &[]],
            bystander: key,
        },
    ]
}

fn balancers() -> Vec<Scene> {
    let key = [KEY, KEY_TAGGED, "key_pair.beside"];
    vec![
        Scene {
            name: "fronts",
            made: format!("{}{}", instance("one", ""), front(FIRST_FRONT)),
            changed: format!("{}{}", instance("one", ""), front(SECOND_FRONT)),
            calls: [
                &["CreateLoadBalancer", "ConfigureHealthCheck", "RegisterInstancesWithLoadBalancer"],
                &["AddTags", "ModifyLoadBalancerAttributes", "RemoveTags"],
                &["DeleteLoadBalancer"],
            ],
            bystander: key,
        },
        fronts(
            "places",
            &[
                "ApplySecurityGroupsToLoadBalancer",
                "AttachLoadBalancerToSubnets",
                "DeregisterInstancesFromLoadBalancer",
                "DetachLoadBalancerFromSubnets",
            ],
        ),
        fronts(
            "listeners",
            &[
                "CreateLoadBalancerListeners",
                "DeleteLoadBalancerListeners",
                "SetLoadBalancerListenerSSLCertificate",
                "SetLoadBalancerPoliciesOfListener",
            ],
        ),
        fronts(
            "policies",
            &[
                "CreateAppCookieStickinessPolicy",
                "CreateLBCookieStickinessPolicy",
                "CreateLoadBalancerPolicy",
                "SetLoadBalancerPoliciesForBackendServer",
            ],
        ),
    ]
}

/// A balancer before a machine, without some of the calls that change it. Each waits for machines and for who serves, so
/// they are played side by side.
fn fronts(name: &'static str, change: &'static [&'static str]) -> Scene {
    Scene {
        name,
        made: format!("{}{}", instance("one", ""), front(FIRST_FRONT)),
        changed: format!("{}{}", instance("one", ""), front(SECOND_FRONT)),
        calls: [&[], change, &[]],
        bystander: [KEY, KEY_TAGGED, "key_pair.beside"],
    }
}

fn instance(name: &str, fields: &str) -> String {
    let kind = if fields.contains("type =") { "" } else { "type = \"t3.small\"\n" };
    format!("[instance.{name}]\nimage = \"ami-0123456789abcdef0\"\nzones = [\"{REGION}a\"]\n{kind}{fields}")
}

const FIRST_FRONT: &str = "zones = [\"eu-west-3a\", \"eu-west-3b\"]\nsecurity_groups = [\"one\"]\ninstances = [\"one\"]\n\
    tags = { a = \"1\" }\nproxy_protocol = [9000]\nidle_timeout = \"60s\"\nlisteners = [\n\
    { port = 80, protocol = \"http\", instance_port = 8000, stickiness = { duration = \"10m\" } },\n\
    { port = 443, protocol = \"https\", instance_port = 8000, certificate = \"CERTone\" },\n\
    { port = 8080, protocol = \"tcp\", instance_port = 9000 },\n]\n";
const SECOND_FRONT: &str = "zones = [\"eu-west-3a\", \"eu-west-3c\"]\nsecurity_groups = [\"two\"]\n\
    tags = { b = \"2\" }\nidle_timeout = \"90s\"\nlisteners = [\n\
    { port = 80, protocol = \"http\", instance_port = 8000, stickiness = { cookie = \"own\" } },\n\
    { port = 443, protocol = \"https\", instance_port = 8000, certificate = \"CERTtwo\" },\n\
    { port = 8081, protocol = \"tcp\", instance_port = 9000 },\n]\n";

fn front(fields: &str) -> String {
    let fields = fields.replace("CERT", "arn:aws:iam::123456789012:server-certificate/");
    format!("[security_group.one]\n[security_group.two]\n[load_balancer.own]\n{fields}")
}

/// What a scene is played on.
struct Run {
    scene: Scene,
    proxy: Proxy,
    stage: Stage,
    seen: BTreeSet<String>,
}

impl Run {
    async fn new(scene: Scene) -> Self {
        let proxy = Proxy::before(moto::port()).await;
        let stage = Stage::before(proxy.port);
        let head = format!("stack = \"perm-{}\"\nregion = \"{REGION}\"\n", scene.name);
        let [first, second, _] = scene.bystander;
        stage.write("made.toml", &format!("{head}{}{first}", scene.made));
        stage.write("changed.toml", &format!("{head}{}{second}", scene.changed));
        Self { scene, proxy, stage, seen: BTreeSet::new() }
    }

    /// Runs a command without a call, then with it.
    async fn without(&mut self, api: &'static str, command: &str, spec: &str) {
        let name = self.scene.name;
        self.proxy.count();
        self.proxy.always(api, Fault::Refused(403, "UnauthorizedOperation"));
        let words = [command, spec, "--yes", "--format", "json", "--max-impact", "data-loss"];
        let told = self.stage.run(&words).await;
        self.proxy.heal();
        assert!(self.proxy.seen(api) > 0, "{name}: `{command} {spec}` does not call `{api}`: {told}");
        let told = told.exits(5);
        let outcome = told.json();
        let policy = self.stage.policy("apply", &[spec]).await;
        let (mut failed, mut beside) = (0, 0);
        for step in outcome["steps"].as_array().expect("steps") {
            let [.., bystander] = self.scene.bystander;
            if let Some(error) = step["result"].get("failed") {
                failed += 1;
                explains(&error["error"], api, &policy);
                let named = told.talk.contains(step["address"].as_str().expect("an address"));
                assert!(named, "{name}: who failed is not named: {told}");
            } else if step["address"] == bystander {
                beside += 1;
                assert!(step["result"].get("done").is_some(), "{name} without {api}: {step:#}");
            }
        }
        assert!(failed > 0, "{name}: nothing failed without `{api}`: {outcome:#}");
        assert!(beside > 0, "{name}: nothing was to be done beside `{api}`: {outcome:#}");
        self.with(command, spec).await;
    }

    /// Runs a command that must do everything.
    async fn with(&mut self, command: &str, spec: &str) {
        let told = self.stage.run(&[command, spec, "--yes", "--max-impact", "data-loss"]).await;
        if told.code == Some(6) {
            panic!("{told}\n{}", self.stage.run(&["plan", spec]).await);
        }
        told.exits(0);
        self.seen.extend(self.proxy.count().into_keys());
    }

    /// Plays the scene: every call that makes is missing once, then every one that changes, then every one that removes.
    async fn play(mut self) -> BTreeSet<String> {
        let [make, change, remove] = self.scene.calls;
        for round in 0..make.len().max(remove.len()).max(1) {
            match make.get(round) {
                Some(api) => self.without(api, "apply", "made.toml").await,
                None => self.with("apply", "made.toml").await,
            }
            if round == 0 {
                self.change(change).await;
            }
            match remove.get(round) {
                Some(api) => self.without(api, "destroy", "made.toml").await,
                None => self.with("destroy", "made.toml").await,
            }
        }
        self.seen
    }

    /// There and back, as often as it takes: each call is missing where it comes.
    async fn change(&mut self, calls: &'static [&'static str]) {
        let mut left: Vec<&str> = calls.to_vec();
        let mut spec = "changed.toml";
        // What the two ways call, as the plan of neither says it.
        let mut ways: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for way in ["changed.toml", "made.toml"] {
            self.proxy.count();
            self.with_count(way, &mut ways).await;
        }
        while !left.is_empty() {
            let at = left.iter().position(|api| ways[spec].contains(*api));
            match at {
                Some(at) => self.without(left.remove(at), "apply", spec).await,
                None if left.iter().any(|api| ways.values().any(|calls| calls.contains(*api))) => {
                    self.with("apply", spec).await;
                }
                None => panic!("{}: nobody calls {left:?}: {ways:#?}", self.scene.name),
            }
            spec = if spec == "changed.toml" { "made.toml" } else { "changed.toml" };
        }
    }

    async fn with_count(&mut self, spec: &'static str, ways: &mut BTreeMap<&str, BTreeSet<String>>) {
        let before = std::mem::take(&mut self.seen);
        self.with("apply", spec).await;
        ways.insert(spec, self.seen.clone());
        self.seen.extend(before);
    }
}

/// Whether an error names the action, and the statements that are lacking as the policy has them.
fn explains(error: &Value, api: &str, policy: &Value) {
    let hint = error["hint"].as_str().unwrap_or_else(|| panic!("no hint: {error:#}"));
    let (first, lines) = hint.split_once(": the policy lacks ").unwrap_or_else(|| panic!("no line: {hint}"));
    let action = first.split('`').nth(1).expect("an action");
    assert!(action.ends_with(&format!(":{api}")), "{action} is not {api}");
    assert!(error["doing"].as_str().is_some_and(|doing| doing.starts_with(action)), "{error:#}");
    let lines: Vec<Value> = serde_json::from_str(&format!("[{lines}]")).unwrap_or_else(|why| panic!("{why}: {lines}"));
    let texts = |value: &Value| match value {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    let printed = policy["Statement"].as_array().expect("statements");
    assert!(lines.iter().any(|line| texts(&line["Action"]).contains(&action.into())), "{hint}");
    for line in lines {
        let whole = printed.iter().find(|whole| whole["Sid"] == line["Sid"]);
        let whole = whole.unwrap_or_else(|| panic!("the policy has no {line}: {policy:#}"));
        for key in ["Action", "Resource"] {
            let inside = texts(&line[key]).iter().all(|text| texts(&whole[key]).contains(text));
            assert!(inside, "{line:#} is no part of {whole:#}");
        }
        // What is destroyed may be in any region; what was refused was asked of one.
        let region = "/Condition/StringEquals/aws:RequestedRegion";
        assert!(whole.pointer(region).is_none() || line.pointer(region) == whole.pointer(region), "{line:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_action_that_is_denied_is_named_and_stops_no_more_than_it_must() {
    let profile = "Action=CreateInstanceProfile&Version=2010-05-08&InstanceProfileName=permissions";
    moto::ask("iam", "us-east-1", profile);
    let mut runs = Vec::new();
    for scene in scenes() {
        runs.push(tokio::spawn(async move { Run::new(scene).await.play().await }));
    }
    let mut seen = BTreeSet::new();
    for run in runs {
        seen.extend(run.await.expect("as it should be"));
    }
    let denied: BTreeSet<&str> = scenes().iter().flat_map(|scene| scene.calls.into_iter().flatten().copied()).collect();
    let stage = Stage::new();
    for scene in scenes() {
        let head = format!("stack = \"all\"\nregion = \"{REGION}\"\n");
        stage.write("changed.toml", &format!("{head}{}", scene.changed));
        let policy = stage.policy("apply", &["changed.toml"]).await;
        for statement in policy["Statement"].as_array().expect("statements") {
            let actions = match &statement["Action"] {
                Value::Array(list) => list.clone(),
                one => vec![one.clone()],
            };
            for action in actions {
                let api = action.as_str().and_then(|action| action.split(':').nth(1)).expect("an action").to_owned();
                let known = denied.contains(api.as_str()) || READ.contains(&api.as_str());
                let reason = OTHERS.iter().any(|(other, _)| *other == api);
                assert!(known || reason, "{action} is in the policy of `{}`, and nobody denied it", scene.name);
                assert!(!(known && reason), "{action} needs no reason");
            }
        }
    }
}

/// What is read, and denied by [`what_cannot_be_read_is_no_plan`].
const READ: &[&str] = &[
    "DescribeAddresses",
    "DescribeIamInstanceProfileAssociations",
    "DescribeImages",
    "DescribeInstanceAttribute",
    "DescribeInstanceHealth",
    "DescribeInstanceTypes",
    "DescribeInstances",
    "DescribeKeyPairs",
    "DescribeLoadBalancerAttributes",
    "DescribeLoadBalancers",
    "DescribeNetworkInterfaces",
    "DescribeSecurityGroupRules",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeTags",
    "DescribeVpcs",
];

/// What a policy has that no scene denies, and why.
const OTHERS: &[(&str, &str)] = &[
    ("DescribeAccountAttributes", "load balancing asks for it in our name"),
    ("DescribeClassicLinkInstances", "load balancing asks for it in our name"),
    ("DescribeInternetGateways", "load balancing asks for it in our name"),
    ("DescribeVpcClassicLink", "load balancing asks for it in our name"),
    ("CreateServiceLinkedRole", "asked for with the account's first balancer, as what a call lacks beside itself"),
    ("PassRole", "asked for with a profile, as what a call lacks beside itself"),
    ("DescribeLoadBalancerPolicies", "where somebody else's policies stand on a server's port"),
    ("ModifyNetworkInterfaceAttribute", "where an instance has several interfaces"),
    ("ReplaceIamInstanceProfileAssociation", "denied as `AssociateIamInstanceProfile` is, by the same lines"),
];

/// Every listing at least once, and every question that a plan may lead to.
fn all(vpc: &str) -> String {
    format!(
        "stack = \"perm-reads\"\nregion = \"{REGION}\"\n[network]\nvpc = \"{vpc}\"\n{GROUP}{KEY}[elastic_ip.own]\n{}{}",
        instance("own", "root_volume = { size = \"20GiB\" }\n"),
        "[load_balancer.own]\ninstances = [\"own\"]\nlisteners = [{ port = 80, protocol = \"http\", instance_port = 80 }]\n",
    )
}

/// Runs a command without a reading call: it ends before anything is changed, and says what is lacking.
async fn blind(stage: &Stage, proxy: &Proxy, api: &str, words: &[&str]) {
    proxy.count();
    proxy.always(api, Fault::Refused(403, "UnauthorizedOperation"));
    let told = stage.run(words).await;
    proxy.heal();
    let calls = proxy.count();
    assert!(calls.contains_key(api), "{words:?} does not call `{api}`: {told}");
    let told = told.exits(1);
    assert_eq!(told.out, "", "there is no plan");
    let reads = |call: &String| call.starts_with("Describe") || call == "GetCallerIdentity";
    assert!(calls.keys().all(reads), "{api}: {calls:?}");
    let hint =
        told.talk.lines().find_map(|line| line.trim().strip_prefix("hint: ")).unwrap_or_else(|| panic!("{told}"));
    let policy = stage.policy(if words[0] == "destroy" { "destroy" } else { "plan" }, &["spec.toml"]).await;
    let action = hint.split('`').nth(1).expect("an action");
    explains(&serde_json::json!({ "hint": hint, "doing": action }), api, &policy);
    assert!(told.talk.contains(&format!("{action} in {REGION}")), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_no_plan() {
    let vpcs = moto::ec2(REGION, "Action=DescribeVpcs&Filter.1.Name=is-default&Filter.1.Value.1=true");
    let vpc = crate::support::http::between(&vpcs, "<vpcId>", "</vpcId>").expect("a VPC");
    let proxy = Proxy::before(moto::port()).await;
    let stage = Stage::before(proxy.port);
    stage.write("spec.toml", &all(&vpc));
    let apply = ["apply", "spec.toml", "--yes"];
    for api in [
        "DescribeAddresses",
        "DescribeImages",
        "DescribeInstances",
        "DescribeKeyPairs",
        "DescribeLoadBalancers",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVpcs",
    ] {
        blind(&stage, &proxy, api, &apply).await;
    }
    stage.run(&apply).await.exits(0);
    for api in ["DescribeLoadBalancerAttributes", "DescribeSecurityGroupRules", "DescribeTags", "DescribeVolumes"] {
        blind(&stage, &proxy, api, &apply).await;
    }
    blind(&stage, &proxy, "DescribeInstanceAttribute", &["plan", "spec.toml", "--verify"]).await;
    blind(&stage, &proxy, "DescribeInstanceHealth", &["observe", "spec.toml"]).await;
    blind(&stage, &proxy, "DescribeRegions", &["destroy", "spec.toml", "--yes"]).await;
    stage.write("spec.toml", &all(&vpc).replace("t3.small", "t3.large"));
    blind(&stage, &proxy, "DescribeInstanceTypes", &apply).await;
    stage.write("spec.toml", &all(&vpc));
    blind(&stage, &proxy, "DescribeNetworkInterfaces", &["destroy", "spec.toml", "--yes"]).await;
    stage.run(&["destroy", "spec.toml", "--yes", "--max-impact", "data-loss"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_call_lacks_beside_itself_is_named_too() {
    let proxy = Proxy::before(moto::port()).await;
    let stage = Stage::before(proxy.port);
    let machine =
        instance("own", "iam_profile = \"web\"\nroot_volume = { encrypted = true, kms_key = \"alias/web\" }\n");
    let balancer = "[load_balancer.own]\nlisteners = [{ port = 80, protocol = \"http\", instance_port = 80 }]\n";
    stage.write("spec.toml", &format!("stack = \"perm-beside\"\nregion = \"{REGION}\"\n{machine}{balancer}"));
    let policy = stage.policy("apply", &["spec.toml"]).await;
    for (api, action, sid) in [
        ("RunInstances", "ec2:CreateTags", "TagNew"),
        ("RunInstances", "iam:PassRole", "PassRole"),
        ("RunInstances", "kms:CreateGrant", "LendKey"),
        ("CreateLoadBalancer", "elasticloadbalancing:AddTags", "TagNewBalancer"),
        ("CreateLoadBalancer", "iam:CreateServiceLinkedRole", "ServiceLinkedRole"),
        ("CreateLoadBalancer", "ec2:DescribeInternetGateways", "Read"),
    ] {
        proxy.always("RunInstances", Fault::Lacks("ec2:RunInstances"));
        proxy.always("CreateLoadBalancer", Fault::Lacks("elasticloadbalancing:CreateLoadBalancer"));
        proxy.fault(api, Fault::Lacks(action));
        let told = stage.run(&["apply", "spec.toml", "--yes"]).await.exits(5);
        let asked = format!("hint: allow the IAM action `{action}` for these credentials: the policy lacks ");
        let line =
            told.talk.lines().find_map(|line| line.trim().strip_prefix(&asked)).unwrap_or_else(|| panic!("{told}"));
        let line: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        assert_eq!(line["Sid"], sid, "{line:#}");
        let mut printed = policy["Statement"].as_array().expect("statements").iter();
        let whole = printed.find(|whole| whole["Sid"] == sid).unwrap_or_else(|| panic!("no {sid}: {policy:#}"));
        assert_eq!(
            line["Condition"]["StringEquals"]["iam:PassedToService"],
            whole["Condition"]["StringEquals"]["iam:PassedToService"]
        );
        assert!(!told.talk.contains("aGVsbG8"), "the encoded message is nobody's business: {told}");
        proxy.heal();
    }
}
