//! Kept plans by the real binary: one job plans, somebody approves, another job applies.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::binary::{Stage, Told};

/// What the first job reads.
const SPEC: &str = "stack = \"kept\"\nregion = \"eu-west-1\"\n\
    [security_group.web]\ndescription = \"web\"\ningress = [{ ports = 80, from = \"0.0.0.0/0\" }]\n\
    [instance.web]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"web\"]\n";
/// The same with data that nobody may see.
const SECRET: &str = "user_data = { file = \"secret.sh\", sensitive = true }\n";

/// Where everything happens in one simulated world.
struct Pipeline(Stage);

impl Pipeline {
    fn new(spec: &str) -> Self {
        let stage = Stage::new();
        stage.write("spec.toml", spec);
        Self(stage)
    }

    async fn run(&self, arguments: &[&str]) -> Told {
        self.0.run(&[arguments, &["--world", "world.json"]].concat()).await
    }

    /// Plans, and tells the hash that the plan goes by.
    async fn plan(&self) -> String {
        let told = self.run(&["plan", "spec.toml", "--out", "plan.json"]).await.exits(0);
        let kept: Value = serde_json::from_str(&self.0.read("plan.json")).expect("JSON");
        let hash = kept["hash"].as_str().expect("a hash").to_owned();
        assert!(told.out.ends_with(&format!("\nplan {hash}\n")), "{told}");
        hash
    }

    /// Changes an object of the world as somebody at the console would.
    fn meddle(&self, kind: &str, change: impl FnOnce(&mut Value)) {
        let mut world: Value = serde_json::from_str(&self.0.read("world.json")).expect("JSON");
        let objects = world["regions"]["eu-west-1"]["objects"].as_array_mut().expect("objects").iter_mut();
        let mut of_stack = objects.filter(|object| object["tags"]["portcullis:stack"] == "kept");
        change(of_stack.find(|object| object["body"].get(kind).is_some()).expect("an object of that kind"));
        self.0.write("world.json", &world.to_string());
    }
}

#[tokio::test]
async fn what_was_approved_is_applied_once_and_nothing_else() {
    let pipeline = Pipeline::new(SPEC);
    let hash = pipeline.plan().await;
    assert_eq!(pipeline.plan().await, hash, "the same spec on the same world is the same plan");
    for form in ["text", "json", "markdown"] {
        let shown = pipeline.0.run(&["show", "plan.json", "--format", form]).await.exits(0);
        assert!(shown.out.contains(&hash), "{shown}");
    }
    pipeline.run(&["apply", "plan.json"]).await.exits(64).says("--expect HASH");
    pipeline.run(&["apply", "plan.json", "--expect", &hash[1..]]).await.exits(64).says("64 hexadecimal digits");
    let other = format!("{:0>64}", 7);
    pipeline.run(&["apply", "plan.json", "--expect", &other]).await.exits(4).says("not the plan that was expected");
    pipeline.run(&["apply", "plan.json", "--yes", "--no-prune"]).await.exits(64).says("applied as it is");
    pipeline.run(&["apply", "spec.toml", "--spec", "spec.toml", "--yes"]).await.exits(64).says("beside a kept plan");
    assert!(!pipeline.0.has("world.json"), "nothing was made so far");

    let done = pipeline.run(&["apply", "plan.json", "--expect", &hash, "--spec", "spec.toml"]).await.exits(0);
    assert!(done.out.contains("A second plan is empty."), "{done}");
    let twice = pipeline.run(&["apply", "plan.json", "--expect", &hash]).await.exits(4);
    let twice =
        twice.says("instance.web: object was nothing, and is i-").says("if this plan was begun or applied before");
    assert!(!twice.out.contains("Applied"), "{twice}");
    // A plan that changes nothing is applied as often as one likes.
    let empty = pipeline.plan().await;
    for _ in 0..2 {
        pipeline.run(&["apply", "plan.json", "--expect", &empty]).await.exits(0);
    }
}

#[tokio::test]
async fn a_plan_of_a_spec_can_be_expected_too() {
    let pipeline = Pipeline::new(SPEC);
    let hash = pipeline.plan().await;
    pipeline.0.write("spec.toml", &SPEC.replace("80", "81"));
    pipeline.run(&["apply", "spec.toml", "--expect", &hash]).await.exits(4).says("not the plan that was expected");
    pipeline.0.write("spec.toml", SPEC);
    pipeline.run(&["apply", "spec.toml", "--expect", &hash]).await.exits(0);
}

#[tokio::test]
async fn an_end_can_be_kept_too() {
    let pipeline = Pipeline::new(SPEC);
    pipeline.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    pipeline.run(&["plan", "spec.toml", "--destroy", "--out", "plan.json"]).await.exits(0);
    let kept: Value = serde_json::from_str(&pipeline.0.read("plan.json")).expect("JSON");
    let hash = kept["hash"].as_str().expect("a hash");
    pipeline.run(&["apply", "plan.json", "--expect", hash, "--spec", "spec.toml"]).await.exits(0);
    assert!(!pipeline.0.read("world.json").contains("portcullis:stack"), "nothing of the stack is left");
}

#[tokio::test]
async fn what_moved_is_named_with_its_field_before_and_now() {
    let pipeline = Pipeline::new(SPEC);
    pipeline.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    pipeline.0.write("spec.toml", &SPEC.replace("ports = 80", "ports = 443"));
    let hash = pipeline.plan().await;
    // The instance is no part of this plan: what is done to it makes nothing stale.
    pipeline.meddle("instance", |object| object["tags"]["Name"] = json!("somebody's"));
    pipeline.meddle("security_group", |object| object["tags"]["Name"] = json!("by hand"));
    let told = pipeline.run(&["apply", "plan.json", "--expect", &hash]).await.exits(4);
    let told = told.says("tags.Name was nothing, and is `by hand`").says("plan again");
    assert!(!told.talk.contains("instance"), "{told}");
    pipeline.meddle("security_group", |object| {
        object["tags"].as_object_mut().expect("tags").remove("Name");
    });
    let done = pipeline.run(&["apply", "plan.json", "--expect", &hash]).await.exits(0);
    assert!(done.out.contains("No second plan was made: `--spec` names what to compare with."), "{done}");
}

#[tokio::test]
async fn a_plan_that_was_edited_is_none() {
    let pipeline = Pipeline::new(SPEC);
    let hash = pipeline.plan().await;
    let text = pipeline.0.read("plan.json");
    let stolen = text.replace("0.0.0.0/0", "198.51.100.0/24");
    for (edited, why) in [
        (stolen.clone(), "its hash is of something else"),
        (text.replace('\n', " "), "its hash is of something else"),
        (text.replace("\"hash\"", "\"hush\""), "unknown field `hush`"),
        (text.replace("\"format_version\": 2", "\"format_version\": 99"), "a later portcullis"),
        (text[..text.len() / 2].to_owned(), "cannot be read as JSON"),
    ] {
        assert_ne!(edited, text);
        pipeline.0.write("plan.json", &edited);
        let told = pipeline.run(&["apply", "plan.json", "--expect", &hash]).await.exits(1);
        assert!(told.talk.contains(why) || why.contains("as JSON") && !told.talk.is_empty(), "{why}: {told}");
        assert!(!pipeline.0.has("world.json"));
    }
    // Who edits and hashes anew has another plan.
    pipeline.0.write("plan.json", &stolen);
    pipeline.0.run(&["show", "plan.json"]).await.exits(0).says("was changed after it was written");
}

#[tokio::test]
async fn a_plan_of_one_world_is_not_applied_to_another() {
    let pipeline = Pipeline::new(SPEC);
    let hash = pipeline.plan().await;
    pipeline.0.run(&["apply", "plan.json", "--expect", &hash]).await.exits(64).says("about a simulated world");
    let other = pipeline.0.run(&["apply", "plan.json", "--expect", &hash, "--world", "other.json"]).await;
    other.exits(0);
    pipeline.0.write("world.json", r#"{ "format_version": 1, "account": "999999999999" }"#);
    pipeline
        .run(&["apply", "plan.json", "--expect", &hash])
        .await
        .exits(3)
        .says("the plan is for account 123456789012");
}

#[tokio::test]
async fn a_secret_is_in_no_plan_and_comes_with_the_spec() {
    for key in [None, Some("fingerprint_key = { env = \"KEY\" }\n")] {
        let spec = format!("{}{SPEC}{SECRET}", key.unwrap_or_default());
        let pipeline = Pipeline(Pipeline::new(&spec).0.with("KEY", "an open sesame"));
        pipeline.0.write("secret.sh", "#!/bin/sh\necho hunter2\n");
        let hash = pipeline.plan().await;
        let kept = pipeline.0.read("plan.json");
        assert!(!kept.contains("hunter2") && !kept.contains("open sesame") && kept.contains("\"sensitive\": true"));
        assert_eq!(kept.contains("hmac-sha256:"), key.is_some());
        let expect = ["apply", "plan.json", "--expect", hash.as_str()];
        pipeline.run(&expect).await.exits(64).says("it needs a secret, which no plan holds");
        let with_spec = [&expect[..], &["--spec", "spec.toml"]].concat();
        pipeline.0.write("spec.toml", &spec.replace("web\"]", "web\"] # another text"));
        pipeline.run(&with_spec).await.exits(4).says("made from another spec");
        pipeline.0.write("spec.toml", &spec);
        if key.is_some() {
            pipeline.0.write("secret.sh", "#!/bin/sh\necho hunter3\n");
            let told = pipeline.run(&with_spec).await.exits(4);
            told.says("a plan made from the spec now is another one: run instance.web: it would be done otherwise");
            pipeline.0.write("secret.sh", "#!/bin/sh\necho hunter2\n");
        }
        pipeline.run(&with_spec).await.exits(0);
    }
}

/// Plans of every version of the document are read, and those of this version are applied.
#[tokio::test]
async fn plans_of_every_version_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/office-firewall/world.json");
    for version in [1, 2] {
        let stage = Stage::new();
        let kept = std::fs::read_to_string(folder.join(format!("plan-{version}.json"))).expect("a golden plan");
        stage.write("plan.json", &kept);
        stage.write("world.json", &std::fs::read_to_string(&world).expect("a world"));
        let shown = stage.run(&["show", "plan.json"]).await.exits(0);
        assert_eq!(shown.talk, "");
        let golden = folder.join(format!("plan-{version}.txt"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&golden, &shown.out).expect("a writable golden text");
        }
        assert_eq!(shown.out, std::fs::read_to_string(&golden).unwrap_or_default(), "{}", golden.display());
        let apply = stage.run(&["apply", "plan.json", "--yes", "--world", "world.json"]).await;
        match version {
            1 => apply.exits(1).says("does not say what it stands on"),
            _ => apply.exits(0),
        };
    }
}
