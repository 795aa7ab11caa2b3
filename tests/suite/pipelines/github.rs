//! The action: what it tells on a pull request, and what it takes for approved.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::expression::Context;
use super::runner::{Event, Ran, Runner, WORKFLOW};
use super::{text, yaml};

const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");
const SPEC: &str = include_str!("../../../examples/gitops/spec.toml");
const CHANGE: &str = include_str!("../../../examples/gitops/change.toml");
/// The commits of a branch, and what it is merged as.
pub const HEADS: [&str; 2] = ["1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"];
pub const MERGED: &str = "3333333333333333333333333333333333333333";

/// What a workflow says of the action, and of the simulated world.
pub fn inputs<'a>(mode: &'a str, others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let usual = [("stack", "edge"), ("spec", "spec.toml"), ("arguments", "--world\nworld.json"), ("binary", BINARY)];
    [&[("mode", mode)], usual.as_slice(), others].concat()
}

pub fn plan(runner: &Runner, head: &str, run: u64) -> Ran {
    runner.run(&Event::pull_request(head, run), &inputs("plan", &[]))
}

fn apply(runner: &Runner) -> Ran {
    runner.run(&Event::on_main("push", MERGED, 90), &inputs("apply", &[]))
}

pub fn here() -> Runner {
    Runner::with(&[("spec.toml", SPEC)])
}

/// GitHub's answer to which pull requests a commit is of.
fn merge(runner: &Runner, change: impl FnOnce(&mut Value)) {
    let mut pull = json!({ "number": 5, "merged_at": "2026-11-20T11:00:00Z", "merge_commit_sha": MERGED,
        "head": { "sha": HEADS[0], "repo": { "full_name": "octo/edge" } } });
    change(&mut pull);
    runner.forge.change(|state| state["pulls"][MERGED] = json!([pull]));
}

/// A plan that was made, read and merged.
pub fn approved() -> Runner {
    static APPROVED: OnceLock<Runner> = OnceLock::new();
    let model = APPROVED.get_or_init(|| {
        let runner = here();
        plan(&runner, HEADS[0], 11).exits(0);
        merge(&runner, |_| {});
        runner
    });
    let runner = here();
    runner.forge.learn(&model.forge);
    runner
}

/// Where the plan of a runner's only artifact is.
pub fn kept(runner: &Runner) -> PathBuf {
    runner.forge.folder().join(text(&runner.forge.state(), "/artifacts/0/file"))
}

/// Nothing was made in the world.
#[track_caller]
fn untouched(runner: &Runner) {
    assert!(!runner.path("world.json").exists(), "the world was changed");
}

#[test]
fn one_comment_is_written_and_then_kept_up_to_date() {
    let runner = here();
    // Somebody else's comment with our marker is not ours; nor is ours about another stack.
    let others = ["<!-- portcullis:plan edge -->\nnot by the bot", "<!-- portcullis:plan edge-two -->\nby the bot"];
    runner.forge.change(|state| {
        state["comments"] = json!([
            { "id": 1, "issue": 5, "user": { "login": "mallory" }, "body": others[0] },
            { "id": 2, "issue": 5, "user": { "login": "github-actions[bot]" }, "body": others[1] },
            { "id": 3, "issue": 5, "user": { "login": "alice" }, "body": "please review" },
        ]);
    });
    let first = plan(&runner, HEADS[0], 11).exits(0);
    assert!(runner.forge.calls().contains(&"POST repos/octo/edge/issues/5/comments".to_owned()));
    let page = runner.forge.page("comments");
    assert_eq!(page.len(), 4);
    let lines: Vec<&str> = page[3].lines().collect();
    let hash = &first.outputs["hash"];
    assert_eq!(hash.len(), 64);
    assert_eq!(lines[0], "<!-- portcullis:plan edge -->");
    assert_eq!(lines[1], format!("<!-- portcullis:hash {hash} commit {} -->", HEADS[0]));
    for words in ["3 to create", "https://github.com/octo/edge/actions/runs/11", hash, "security_group.web"] {
        assert!(page[3].contains(words), "{words}: {}", page[3]);
        assert!(first.summary.contains(words), "{words}: {}", first.summary);
    }
    assert_eq!((first.outputs["changes"].as_str(), first.outputs["exitcode"].as_str()), ("3", "2"));

    runner.write("spec.toml", &SPEC.replace("ports = 80,", "ports = 8080,"));
    let second = plan(&runner, HEADS[1], 12).exits(0);
    assert!(runner.forge.calls().contains(&"PATCH repos/octo/edge/issues/comments/103".to_owned()));
    let page = runner.forge.page("comments");
    assert_eq!((page.len(), &page[0][..], &page[1][..]), (4, others[0], others[1]));
    assert!(page[3].contains("8080") && page[3].contains(&second.outputs["hash"]) && !page[3].contains(hash));
    // Each commit's plan is kept under its own name.
    let state = runner.forge.state();
    let names: Vec<&str> = state["artifacts"].as_array().expect("a list").iter().map(|a| text(a, "/name")).collect();
    assert_eq!(names, HEADS.map(|head| format!("portcullis-edge-{head}")));
    let kept: Value = serde_json::from_slice(
        &std::fs::read(runner.forge.folder().join(text(&state, "/artifacts/1/file"))).expect("a file"),
    )
    .expect("JSON");
    assert_eq!(kept["hash"], second.outputs["hash"].as_str());
    untouched(&runner);
}

#[test]
fn a_plan_of_nothing_is_told_and_is_no_failure() {
    let runner = approved();
    apply(&runner).exits(0);
    let again = plan(&runner, HEADS[0], 13).exits(0);
    assert_eq!((again.outputs["changes"].as_str(), again.outputs["exitcode"].as_str()), ("0", "0"));
    assert!(runner.forge.page("comments")[0].contains("Nothing to do"));
}

#[test]
fn a_refused_plan_is_told_and_fails_the_job() {
    let runner = approved();
    apply(&runner).exits(0);
    runner.write("spec.toml", &format!("{SPEC}protect = true\n"));
    let arguments = "--world\nworld.json\n--replace\nelastic_ip.site";
    let event = Event::pull_request(HEADS[1], 14);
    let ran = runner.run(&event, &inputs("plan", &[("arguments", arguments)])).exits(3).explains("is refused");
    assert_eq!(ran.outputs["exitcode"], "3");
    let page = runner.forge.page("comments");
    assert!(page[0].contains("It is refused, and cannot be applied.") && page[0].contains("protect"), "{}", page[0]);
    merge(&runner, |pull| pull["head"]["sha"] = json!(HEADS[1]));
    apply(&runner).exits(3);
}

#[test]
fn a_wrong_spec_takes_the_place_of_the_plan_that_no_longer_holds() {
    let runner = approved();
    runner.write("spec.toml", &SPEC.replace("ingress", "```ingres"));
    let ran = plan(&runner, HEADS[1], 15).exits(1).explains("the spec is wrong");
    let page = runner.forge.page("comments");
    assert_eq!(page.len(), 1);
    assert!(page[0].starts_with("<!-- portcullis:plan edge -->\n### No plan for stack `edge`"), "{}", page[0]);
    // What it quotes does not end the quotation.
    assert!(
        page[0].contains("\n````text\n") && page[0].contains("```ingres") && page[0].ends_with("\n````\n"),
        "{}",
        page[0]
    );
    assert!(ran.summary.contains("```ingres") && ran.outputs["hash"].is_empty());
}

#[test]
fn a_workflow_that_says_something_else_than_the_spec_is_refused() {
    for (wrong, code, words) in [
        (("mode", "aply"), 64, "`plan` or `apply`"),
        (("stack", "$(touch pwned)"), 64, "the name that the spec says"),
        (("stack", "other"), 64, "another stack"),
        (("spec", ""), 64, "spec is missing"),
        (("hash", "abc"), 64, "64 hex digits"),
        (("binary", "no-such-program"), 1, "no `no-such-program`"),
        (("arguments", "--nonsense"), 64, "`arguments`"),
    ] {
        let runner = here();
        runner.run(&Event::pull_request(HEADS[0], 11), &inputs("plan", &[wrong])).exits(code).explains(words);
    }
    let runner = approved();
    runner.run(&Event::pull_request(HEADS[0], 11), &inputs("apply", &[])).exits(64).explains("on: push");
    let mut event = Event::pull_request(HEADS[0], 11);
    event.name = "pull_request_target";
    runner.run(&event, &inputs("plan", &[])).exits(64).explains("on: pull_request");
}

#[test]
fn a_comment_that_may_not_be_written_says_which_permission_is_missing() {
    let runner = here();
    runner.forge.change(|state| state["denied"] = json!(["POST issues/5/comments"]));
    let ran = plan(&runner, HEADS[0], 11).exits(1).explains("pull-requests: write");
    assert!(ran.summary.contains("3 to create"));
}

#[test]
fn what_was_approved_is_applied_when_it_is_merged_and_nothing_twice() {
    let runner = approved();
    let hash = runner.run(&Event::pull_request(HEADS[0], 11), &inputs("plan", &[])).exits(0).outputs["hash"].clone();
    runner.forge.calls();
    let ran = apply(&runner).exits(0);
    assert_eq!(ran.outputs["hash"], hash);
    assert!(ran.log.contains("A second plan is empty.") && ran.summary.contains(&hash), "{}", ran.log);
    assert!(runner.forge.calls().iter().all(|call| call.starts_with("GET ")), "an apply writes to GitHub");
    let world = std::fs::read_to_string(runner.path("world.json")).expect("a world");
    // The job is started again by hand: the plan is used up.
    apply(&runner).exits(4).explains("stale");
    assert_eq!(std::fs::read_to_string(runner.path("world.json")).expect("a world"), world);
    let state = runner.forge.state();
    let journal = state["artifacts"].as_array().expect("a list").iter().find(|a| text(a, "/name").contains("journal"));
    assert!(journal.is_some(), "the journal is kept");
}

/// One thing that is otherwise than it should be.
type Tamper = fn(&Runner);

#[test]
fn a_plan_that_nobody_approved_is_not_applied() {
    // What the job says then.
    let cases: [(&str, Tamper, i32, &str); 11] = [
        ("pushed past review", |r| r.forge.change(|s| s["pulls"] = json!({})), 1, "nobody approved a plan"),
        ("merged as another commit", |r| merge(r, |p| p["merge_commit_sha"] = json!(HEADS[1])), 1, "nobody approved"),
        ("not merged", |r| merge(r, |p| p["merged_at"] = Value::Null), 1, "nobody approved a plan"),
        ("from a fork", |r| merge(r, |p| p["head"]["repo"]["full_name"] = json!("mallory/edge")), 1, "a fork"),
        ("a later commit", |r| merge(r, |p| p["head"]["sha"] = json!(HEADS[1])), 1, "no plan for stack edge was made"),
        (
            "made after the merge",
            |r| r.forge.change(|s| s["artifacts"][0]["created_at"] = json!("2026-11-20T12:00:00Z")),
            1,
            "before it was merged",
        ),
        ("expired", |r| r.forge.change(|s| s["artifacts"][0]["expired"] = json!(true)), 1, "or it has expired"),
        (
            "a fork's artifact",
            |r| r.forge.change(|s| s["artifacts"][0]["workflow_run"]["head_repository_id"] = json!(2)),
            1,
            "no plan",
        ),
        (
            "another workflow's",
            |r| r.forge.change(|s| s["runs"]["11"]["path"] = json!(".github/workflows/x.yml")),
            1,
            "no plan",
        ),
        (
            "not a pull request's",
            |r| r.forge.change(|s| s["runs"]["11"]["event"] = json!("push")),
            1,
            "no plan for stack edge",
        ),
        (
            "a comment of somebody else",
            |r| r.forge.change(|s| s["comments"][0]["user"]["login"] = json!("mallory")),
            3,
            "no comment",
        ),
    ];
    for (what, tamper, code, words) in cases {
        let runner = approved();
        tamper(&runner);
        let ran = apply(&runner).exits(code).explains(words);
        assert!(ran.commands().iter().any(|line| line.contains("Run this workflow by hand")), "{what}: {}", ran.log);
        untouched(&runner);
    }
}

#[test]
fn a_hash_that_is_not_the_plans_is_refused() {
    let other = "0".repeat(64);
    // The comment says another.
    let runner = approved();
    runner.forge.change(|state| {
        let body = text(state, "/comments/0/body").to_owned();
        let hash = body.split_whitespace().nth(6).expect("a hash").to_owned();
        state["comments"][0]["body"] = json!(body.replace(&hash, &other));
    });
    apply(&runner).exits(3).explains("not the one that was approved");
    untouched(&runner);
    // The plan says the right one, and is another.
    let runner = approved();
    let file = kept(&runner);
    let kept = std::fs::read_to_string(&file).expect("a plan");
    assert!(kept.contains("\"0.0.0.0/0\""), "{kept}");
    std::fs::write(&file, kept.replace("0.0.0.0/0", "10.0.0.0/8")).expect("a file");
    let ran = apply(&runner);
    assert!([1, 3].contains(&ran.code) && ran.log.contains("hash"), "{}: {}", ran.code, ran.log);
    untouched(&runner);
}

#[test]
fn a_plan_of_this_run_is_applied_by_the_hash_of_its_job() {
    let runner = here();
    let event = Event::on_main("workflow_dispatch", MERGED, 20);
    let planned = runner.run(&event, &inputs("plan", &[])).exits(0);
    assert!(runner.forge.calls().is_empty(), "there is no pull request to comment on");
    let hash = planned.outputs["hash"].clone();
    let wrong = "f".repeat(64);
    runner.run(&event, &inputs("apply", &[("hash", &wrong)])).exits(3).explains("not the one that was approved");
    let elsewhere = Event::on_main("workflow_dispatch", MERGED, 21);
    runner.run(&elsewhere, &inputs("apply", &[("hash", &hash)])).exits(1).explains("no job of this run");
    untouched(&runner);
    runner.run(&event, &inputs("apply", &[("hash", &hash)])).exits(0);
}

#[test]
fn a_stale_plan_and_another_spec_change_nothing_and_say_what_to_do() {
    let runner = approved();
    // In the meantime somebody applied something else.
    runner.write("change.toml", CHANGE);
    let done = runner
        .command(&Event::on_main("push", MERGED, 1), BINARY)
        .args(["apply", "spec.toml", "change.toml", "--world", "world.json", "--yes"])
        .output()
        .expect("the binary");
    assert!(done.status.success());
    let world = std::fs::read_to_string(runner.path("world.json")).expect("a world");
    let ran = apply(&runner).exits(4).explains("the plan is stale");
    assert!(ran.log.contains("security_group.web") && ran.summary.contains("Run this workflow by hand"), "{}", ran.log);
    assert_eq!(std::fs::read_to_string(runner.path("world.json")).expect("a world"), world);

    // What is merged is not what was planned: another pull request came between.
    let runner = approved();
    runner.write("spec.toml", &SPEC.replace("ports = 80,", "ports = 8080,"));
    apply(&runner).exits(4);
    untouched(&runner);
}

/// The workflow of the example, job by job: what runs when, with which permissions, and with which inputs.
#[test]
fn the_examples_workflow_runs_the_action_as_it_is() {
    let workflow = yaml("examples/gitops/github/portcullis.yml");
    assert_eq!(workflow["permissions"], json!({}));
    let action = yaml(".github/actions/portcullis/action.yml");
    let mut seen = Vec::new();
    for (event, branch) in [
        ("pull_request", "refs/pull/5/merge"),
        ("push", "refs/heads/main"),
        ("workflow_dispatch", "refs/heads/main"),
        ("workflow_dispatch", "refs/heads/other"),
    ] {
        let mut context = Context::default();
        context.set("github.event_name", event);
        context.set("github.ref", branch);
        for (name, job) in workflow["jobs"].as_object().expect("jobs") {
            if !context.holds(text(job, "/if")) {
                continue;
            }
            let steps = job["steps"].as_array().expect("steps");
            let ours =
                steps.iter().find(|step| text(step, "/uses").contains("/actions/portcullis@")).expect("the action");
            let with = ours["with"].as_object().expect("inputs");
            assert!(with.keys().all(|input| action["inputs"].get(input).is_some()), "{with:?}");
            assert_eq!(with["mode"], name.as_str());
            seen.push(format!("{event} on {branch}: {name}"));
        }
    }
    assert_eq!(
        seen,
        [
            "pull_request on refs/pull/5/merge: plan",
            "push on refs/heads/main: apply",
            "workflow_dispatch on refs/heads/main: apply",
            "workflow_dispatch on refs/heads/main: plan",
            "workflow_dispatch on refs/heads/other: plan",
        ]
        .map(str::to_owned)
    );
    let permissions = |job: &str| workflow["jobs"][job]["permissions"].clone();
    assert_eq!(permissions("plan"), json!({ "contents": "read", "id-token": "write", "pull-requests": "write" }));
    assert_eq!(
        permissions("apply"),
        json!({ "actions": "read", "contents": "read", "id-token": "write", "pull-requests": "read" })
    );
    assert!(WORKFLOW.ends_with("portcullis.yml"));
}
