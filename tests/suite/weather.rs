//! Bad weather: the real binary before moto, with everything missing, refused, slow or broken that a pipeline meets.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::support::binary::{Stage, Told};
use crate::support::canary;
use crate::support::moto;
use crate::support::proxy::{Fault, Hold, Proxy};

/// A stack of its own: two groups, an address, two machines that take nothing from each other, one of which is told a secret.
fn spec(stack: &str, region: &str) -> String {
    format!(
        "stack = \"{stack}\"\nregion = \"{region}\"\nfingerprint_key = {{ env = \"{}\" }}\n\
         [security_group.web]\ningress = [{{ ports = 80, from = \"0.0.0.0/0\" }}]\n\
         [security_group.db]\ningress = [{{ ports = 5432, from = \"security_group.web\" }}]\n\
         [elastic_ip.edge]\ninstance = \"web\"\n\
         [instance.web]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"web\"]\n\
         [instance.db]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"db\"]\n\
         user_data = {{ file = \"boot.sh\", sensitive = true }}\n",
        canary::KEY_VARIABLE
    )
}

/// Writes the spec, and what it names.
fn write(stage: &Stage, stack: &str, region: &str) {
    stage.write("spec.toml", &spec(stack, region));
    stage.write("boot.sh", &format!("#!/bin/sh\necho {}\n", canary::USER_DATA));
}

/// The addresses of [`spec`].
const ADDRESSES: [&str; 5] =
    ["elastic_ip.edge", "instance.db", "instance.web", "security_group.db", "security_group.web"];

/// A stage with the spec, before a proxy of its own.
struct Scene {
    proxy: Proxy,
    stage: Stage,
}

impl Scene {
    async fn new(stack: &str) -> Self {
        let proxy = Proxy::before(moto::port()).await;
        let stage = Stage::before(proxy.port);
        write(&stage, stack, "eu-west-2");
        Self { proxy, stage }
    }

    async fn apply(&self) -> Told {
        self.stage.run(&["apply", "spec.toml", "--yes"]).await
    }

    /// Demands that every address has one object, and that nothing is to be done.
    async fn is_whole(&self) {
        self.stage.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);
        let seen = self.stage.run(&["observe", "spec.toml", "--format", "json"]).await.exits(0).json();
        assert_eq!(addresses(&seen), ADDRESSES, "one each");
    }

    /// Starts an apply and does not wait for it.
    fn start(&self) -> Child {
        let mut command = self.stage.command(&["apply", "spec.toml", "--yes", "--format", "json"]);
        command.stdin(Stdio::null()).spawn().expect("the binary")
    }
}

/// The address of every owned object, sorted.
fn addresses(snapshot: &Value) -> Vec<String> {
    let objects = snapshot["snapshot"]["objects"].as_array().expect("objects").iter();
    let mut all: Vec<String> =
        objects.filter_map(|object| Some(object["tags"]["portcullis:address"].as_str()?.to_owned())).collect();
    all.sort();
    all
}

/// Sends a signal.
pub fn signal(child: &Child, name: &str) {
    let id = child.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").args([name, &id]).status().expect("kill").success());
}

/// Reads what a child says until it says these words; the rest is read on.
pub async fn until_it_says(child: &mut Child, words: &str) -> tokio::task::JoinHandle<String> {
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let mut told = String::new();
    while let Some(line) = lines.next_line().await.expect("text") {
        told.push_str(&line);
        told.push('\n');
        if line.contains(words) {
            return tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    told.push_str(&line);
                    told.push('\n');
                }
                told
            });
        }
    }
    panic!("`{words}` was not said:\n{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_it_says_how_to_log_in() {
    let proxy = Proxy::before(moto::port()).await;
    let stage = Stage::new().with("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{}", proxy.port));
    write(&stage, "weather-nobody", "eu-west-2");
    for command in [&["plan", "spec.toml"][..], &["apply", "spec.toml", "--yes"], &["destroy", "spec.toml", "--yes"]] {
        let told = stage.run(command).await.exits(1).says("no usable credentials").says("hint: log in");
        assert_eq!(told.out, "", "there is no plan");
    }
    assert!(proxy.count().is_empty(), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_none_has_no_endpoint() {
    let stage =
        Stage::new().with("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").with("AWS_SECRET_ACCESS_KEY", canary::SECRET_ACCESS_KEY);
    // `.invalid` is never resolved (RFC 6761), so no name server's answer matters.
    let stage = stage.with("AWS_ENDPOINT_URL", "http://ec2.eu-nowhere-9.invalid");
    write(&stage, "weather-nowhere", "eu-nowhere-9");
    let told = stage.run(&["plan", "spec.toml"]).await.exits(1);
    let told = told.says("in eu-nowhere-9: the endpoint cannot be reached").says("hint: check the network");
    assert_eq!(told.out, "", "there is no plan");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_account_is_refused_before_anything_is_read() {
    let scene = Scene::new("weather-guard").await;
    scene.stage.write("guard.toml", "account = \"999999999999\"\n");
    for command in [&["plan"][..], &["apply", "--yes"], &["destroy", "--yes"], &["observe"]] {
        let told = scene.stage.run(&[command, &["spec.toml", "guard.toml"]].concat()).await.exits(3);
        told.says("123456789012").says("999999999999").says("hint: use credentials of that account");
    }
    let asked: BTreeSet<String> = scene.proxy.count().into_keys().collect();
    assert_eq!(asked, ["GetCallerIdentity".to_owned()].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_is_denied_is_no_plan() {
    let scene = Scene::new("weather-denied").await;
    scene.proxy.always("DescribeAddresses", Fault::Refused(403, "UnauthorizedOperation"));
    for command in [&["plan", "spec.toml"][..], &["apply", "spec.toml", "--yes"]] {
        let told = scene.stage.run(command).await.exits(1).says("ec2:DescribeAddresses in eu-west-2");
        let told = told.says("hint: allow the IAM action `ec2:DescribeAddresses`");
        assert_eq!(told.out, "", "there is no plan");
    }
    assert_eq!(scene.proxy.seen("CreateSecurityGroup"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_never_comes_is_no_plan() {
    let scene = Scene::new("weather-page").await;
    scene.proxy.always("DescribeSecurityGroups", Fault::Html);
    let told = scene.stage.run(&["plan", "spec.toml"]).await.exits(1);
    let told = told.says("ec2:DescribeSecurityGroups in eu-west-2: an answer that cannot be read (HTTP 500)");
    assert_eq!(told.out, "", "there is no plan");
    // The pauses between so many attempts are fifteen seconds at most.
    assert_eq!(scene.proxy.seen("DescribeSecurityGroups"), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_denied_stops_what_needs_it_and_no_more() {
    let scene = Scene::new("weather-part").await;
    scene.proxy.always("RunInstances", Fault::Refused(403, "UnauthorizedOperation"));
    let told = scene.apply().await.exits(5).says("hint: allow the IAM action `ec2:RunInstances`");
    assert!(told.out.contains("Applied in part: 5 of 10 calls done."), "{told}");
    for words in
        ["Not done", "run instance.web", "run instance.db", "associate elastic_ip.edge: waits for #", "Run apply again"]
    {
        assert!(told.out.contains(words), "`{words}` is missing: {told}");
    }
    scene.proxy.heal();
    scene.apply().await.exits(0);
    scene.is_whole().await;
    scene.stage.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_known_is_said_and_looked_at_by_the_next_apply() {
    let scene = Scene::new("weather-unknown").await;
    // An address has neither token nor name: while nothing can be listed, nobody knows whether it is there.
    scene.proxy.fault("AllocateAddress", Fault::LostReply);
    scene.proxy.hold("AllocateAddress", Hold::After);
    let child = scene.start();
    scene.proxy.until_held(1).await;
    scene.proxy.always("DescribeAddresses", Fault::Refused(503, "Unavailable"));
    scene.proxy.release();
    let told = Told::of(child.wait_with_output().await.expect("an end"));
    let outcome = told.json();
    assert_eq!(told.code, Some(5), "{outcome:#}");
    let result = |title: &str| {
        let steps = outcome["steps"].as_array().expect("steps").iter();
        let mut found = steps.filter(|step| format!("{} {}", step["title"], step["address"]).replace('"', "") == title);
        found.next().unwrap_or_else(|| panic!("no `{title}`: {outcome:#}"))["result"].clone()
    };
    assert!(result("allocate elastic_ip.edge")["unknown"].is_object(), "{outcome:#}");
    assert!(result("run instance.db")["done"].is_object(), "the rest goes on: {outcome:#}");
    assert!(result("associate elastic_ip.edge")["skipped"].is_object(), "{outcome:#}");
    scene.proxy.heal();
    scene.apply().await.exits(0);
    scene.is_whole().await;
    assert_eq!(scene.proxy.seen("AllocateAddress"), 1, "it was there");
    scene.stage.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
}

/// A signal in the middle of a launch: the launch is awaited, nothing else is started, and the next apply finishes.
async fn interrupted(stack: &str, name: &str, code: i32) {
    let scene = Scene::new(stack).await;
    scene.proxy.hold("RunInstances", Hold::Before);
    let mut child = scene.start();
    scene.proxy.until_held(2).await;
    signal(&child, name);
    let talk = until_it_says(&mut child, "nothing new is started").await;
    scene.proxy.release();
    let ended = Told::of(child.wait_with_output().await.expect("an end"));
    let talk = talk.await.expect("text");
    assert_eq!(ended.code, Some(code), "{talk}");
    let outcome = ended.json();
    let of = |word: &str| {
        let steps = outcome["steps"].as_array().expect("steps").iter();
        let mine = steps.filter(|step| step["result"] == word || step["result"].get(word).is_some());
        mine.map(|step| step["title"].as_str().expect("a title").to_owned()).collect::<BTreeSet<_>>()
    };
    assert!(of("done").contains("run"), "what was under way was awaited: {outcome:#}");
    assert!(of("not-started").contains("await running"), "nothing new was started: {outcome:#}");
    assert!(of("unknown").is_empty() && of("failed").is_empty(), "{outcome:#}");
    assert_eq!(scene.proxy.seen("AssociateAddress"), 0);
    scene.apply().await.exits(0);
    scene.is_whole().await;
    assert_eq!(scene.proxy.seen("RunInstances"), 2, "nothing was launched again");
    scene.stage.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_lets_what_runs_end() {
    interrupted("weather-int", "-INT", 130).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_a_termination() {
    interrupted("weather-term", "-TERM", 143).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_interrupt_stops_at_once_and_says_what_is_not_known() {
    let scene = Scene::new("weather-twice").await;
    scene.proxy.hold("RunInstances", Hold::After);
    let mut child = scene.start();
    scene.proxy.until_held(2).await;
    signal(&child, "-INT");
    let talk = until_it_says(&mut child, "nothing new is started").await;
    signal(&child, "-TERM");
    let ended = Told::of(child.wait_with_output().await.expect("an end"));
    let talk = talk.await.expect("text");
    assert_eq!(ended.code, Some(130), "the first signal counts: {talk}");
    let outcome = ended.json();
    let steps = outcome["steps"].as_array().expect("steps").iter();
    let unknown = steps.filter(|step| step["result"].get("unknown").is_some() && step["title"] == "run");
    assert_eq!(unknown.count(), 2, "{outcome:#}");
    scene.proxy.release();
    scene.apply().await.exits(0);
    scene.is_whole().await;
    scene.stage.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_the_last_look_who_asks_for_an_end() {
    let scene = Scene::new("weather-last").await;
    scene.proxy.hold("AssociateAddress", Hold::After);
    let mut child = scene.start();
    scene.proxy.until_held(1).await;
    // All that is left is to look again, which now never ends by itself.
    scene.proxy.hold("DescribeVpcs", Hold::Before);
    scene.proxy.let_go("AssociateAddress");
    let talk = until_it_says(&mut child, "done associate elastic_ip.edge").await;
    signal(&child, "-INT");
    let ended = Told::of(child.wait_with_output().await.expect("an end"));
    assert_eq!(ended.code, Some(130), "{}", talk.await.expect("text"));
    let outcome = ended.json();
    assert!(outcome["converged"].is_null(), "{outcome:#}");
    scene.proxy.release();
    scene.is_whole().await;
    scene.stage.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_leaves_nothing_twice() {
    let scene = Scene::new("weather-kill").await;
    let mut kills = 0;
    for api in ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances", "AssociateAddress"] {
        // It is done, and whoever asked for it never hears of it.
        scene.proxy.hold(api, Hold::After);
        let mut child = scene.start();
        tokio::select! {
            () = scene.proxy.until_held(1) => kills += 1,
            // An earlier round did all of these.
            _ = child.wait() => {}
        }
        child.kill().await.expect("killed");
        scene.proxy.release();
    }
    assert!(kills >= 3, "only {kills} applies were killed");
    scene.apply().await.exits(0);
    scene.is_whole().await;
    let made = ["CreateSecurityGroup", "AllocateAddress"].map(|api| scene.proxy.seen(api));
    assert!(made[0] <= 3 && made[1] == 1, "each was made once: {made:?}");
    scene.stage.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_closed_does_not_hinder_a_destroy() {
    let scene = Scene::new("weather-closed").await;
    scene.apply().await.exits(0);
    for region in ["us-east-1", "ap-south-1"] {
        scene.proxy.close(region, Fault::Refused(401, "AuthFailure"));
    }
    let told = scene.stage.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
    for region in ["us-east-1", "ap-south-1"] {
        assert!(format!("{}{}", told.out, told.talk).contains(region), "{region} is not named: {told}");
    }
    assert!(scene.proxy.regions().len() > 10, "every region was asked: {:?}", scene.proxy.regions());
    let left = scene.stage.run(&["observe", "spec.toml", "--format", "json"]).await.exits(0).json();
    assert_eq!(addresses(&left), Vec::<String>::new());
}
