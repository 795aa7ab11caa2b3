//! Every example as its README tells it: apply, change, destroy, each followed by a plan that must be empty; by the real
//! binary, on the simulated world and on moto, and planned alike on both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::binary::Stage;
#[cfg(feature = "aws")]
use crate::support::moto;
#[cfg(feature = "aws")]
use crate::support::proxy::Proxy;

/// An example's folder.
pub struct Example {
    /// Where it is.
    pub folder: PathBuf,
    /// What it is called.
    pub name: String,
}

impl Example {
    /// Every example that has a spec, by name.
    pub fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let entries = std::fs::read_dir(root).expect("the examples").map(|entry| entry.expect("an entry").path());
        let mut all: Vec<Self> = entries
            .filter(|folder| folder.join("spec.toml").is_file())
            .map(|folder| Self { name: folder.file_name().expect("a name").to_string_lossy().into_owned(), folder })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(all.len() >= 3, "the examples were not found");
        all
    }

    /// The specs of each apply that the example goes through.
    pub fn stages(&self) -> Vec<Vec<&'static str>> {
        let mut stages = vec![vec!["spec.toml"]];
        if self.folder.join("change.toml").is_file() {
            stages.push(vec!["spec.toml", "change.toml"]);
        }
        stages
    }

    /// Whether it begins in a world where others have been, or has hosts: moto has none of that.
    #[cfg(feature = "aws")]
    pub fn begins_elsewhere(&self) -> bool {
        self.folder.join("world.json").is_file()
    }

    /// What the README accepts in so many words.
    fn consent(&self) -> Vec<&'static str> {
        let readme = std::fs::read_to_string(self.folder.join("README.md")).expect("a README");
        if readme.contains("--max-impact data-loss") {
            vec!["--yes", "--max-impact", "data-loss"]
        } else {
            vec!["--yes"]
        }
    }
}

/// What a plan does to each address.
fn verbs(plan: &Value) -> BTreeMap<String, String> {
    let changes = plan["changes"].as_array().expect("changes").iter();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    changes.map(|change| (word(&change["address"]), word(&change["verb"]))).collect()
}

/// Whoever is held to a policy: the one that is printed for what comes next.
#[cfg(feature = "aws")]
type Guard = Proxy;
/// Whoever is held to a policy: nobody is, without AWS.
#[cfg(not(feature = "aws"))]
enum Guard {}

/// Holds whoever comes next to the policy that `permissions` prints for it.
#[cfg(feature = "aws")]
async fn hold(guard: Option<&Guard>, stage: &Stage, purpose: &str, specs: &[&str]) {
    if let Some(proxy) = guard {
        proxy.guard(Some(stage.policy(purpose, specs).await));
    }
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "it waits where there is a policy to be held to")]
async fn hold(_: Option<&Guard>, _: &Stage, _: &str, _: &[&str]) {}

/// Tells an example, and what each of its plans does.
async fn tell(
    example: &Example,
    stage: &Stage,
    world: &[&'static str],
    guard: Option<&Guard>,
) -> Vec<BTreeMap<String, String>> {
    stage.copy(&example.folder);
    let mut plans = Vec::new();
    for specs in example.stages() {
        let words = |command, options: &[&'static str]| [&[command], specs.as_slice(), world, options].concat();
        hold(guard, stage, "plan", &specs).await;
        plans.push(verbs(&stage.run(&words("plan", &["--format", "json"])).await.exits(0).json()));
        hold(guard, stage, "apply", &specs).await;
        stage.run(&words("apply", &example.consent())).await.exits(0);
        let again = stage.run(&words("plan", &["--detailed-exitcode", "--format", "json"])).await.exits(0);
        assert!(verbs(&again.json()).is_empty(), "{}: {again}", example.name);
    }
    hold(guard, stage, "destroy", &["spec.toml"]).await;
    stage.run(&[&["destroy", "spec.toml", "--yes"], world].concat()).await.exits(0);
    let look = ["observe", "spec.toml", "--all-regions", "--format", "json"];
    let left = stage.run(&[&look, world].concat()).await.exits(0);
    let stack = left.json()["stack"].clone();
    let objects = left.json()["snapshot"]["objects"].as_array().expect("objects").clone();
    let owned: Vec<&Value> = objects.iter().filter(|object| object["tags"]["portcullis:stack"] == stack).collect();
    assert!(owned.is_empty(), "{}: {owned:#?}", example.name);
    plans
}

#[tokio::test]
async fn every_example_holds_on_the_simulated_world() {
    for example in Example::all() {
        let stage = Stage::new();
        let plans = tell(&example, &stage, &["--world", "world.json"], None).await;
        // The world notes whenever a call takes a member out of service that should have stayed.
        assert!(!stage.read("world.json").contains("\"breaches\""), "{}", example.name);
        assert!(plans.iter().all(|plan| !plan.is_empty()), "{}: {plans:?}", example.name);
    }
}

#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_holds_on_moto_and_is_planned_as_on_the_simulated_world() {
    let mut told = Vec::new();
    for example in Example::all().into_iter().filter(|example| !example.begins_elsewhere()) {
        told.push(tokio::spawn(async move {
            let proxy = Proxy::before(moto::port()).await;
            let on_moto = tell(&example, &Stage::before(proxy.port), &[], Some(&proxy)).await;
            let simulated = tell(&example, &Stage::new(), &["--world", "world.json"], None).await;
            assert_eq!(on_moto, simulated, "{}", example.name);
        }));
    }
    for one in told {
        one.await.expect("as it should be");
    }
}
