//! The template for GitLab: the scripts of its two jobs, as GitLab hands them to a shell.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::forge::Forge;
use super::{text, yaml};

const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");
const SPEC: &str = include_str!("../../../examples/gitops/spec.toml");
const TEMPLATE: &str = "examples/gitops/gitlab/portcullis.gitlab-ci.yml";
const HEADS: [&str; 2] = ["1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"];
const MERGED: &str = "3333333333333333333333333333333333333333";

/// A project on a GitLab, and the runner that works for it.
struct Project {
    home: TempDir,
    forge: Forge,
}

/// How a job ended, and its log.
#[derive(Debug)]
struct Job {
    code: i32,
    log: String,
}

impl Job {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.log);
        self
    }

    #[track_caller]
    fn says(self, words: &str) -> Self {
        assert!(self.log.contains(words), "`{words}` is not said: {}", self.log);
        self
    }
}

impl Project {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("work")).expect("a folder");
        let forge = Forge::new(home.path().join("forge"));
        std::os::unix::fs::symlink(BINARY, forge.folder().join("bin/portcullis")).expect("a program");
        let project = Self { home, forge };
        fs::write(project.path("spec.toml"), SPEC).expect("a spec");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("work").join(name)
    }

    /// Runs a job of the template; its artifacts are kept under the number of the job.
    fn run(&self, job: &str, number: u64, variables: &[(&str, &str)]) -> Job {
        let template = yaml(TEMPLATE);
        let base = text(&template, "/.portcullis/before_script/0");
        let script = text(&template, &format!("/{job}/script/0"));
        let inherited = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", &format!("{base}\n{script}")])
            .current_dir(self.path(""))
            .stdin(Stdio::null())
            .env_clear();
        command
            .env("PATH", format!("{}/bin:{inherited}", self.forge.folder().display()))
            .env("HOME", self.home.path())
            .env("TMPDIR", self.home.path())
            .env("FORGE", self.forge.folder())
            .env("LOCK_PAUSE", "0")
            .env("STACK", "edge")
            .env("SPEC", "spec.toml")
            .env("ARGUMENTS", "--world\nworld.json")
            .env("PLAN_JOB", "plan edge")
            .env("PORTCULLIS_GITLAB_TOKEN", "glpat-canary")
            .env("PORTCULLIS_ID_TOKEN", "jwt-canary")
            .env("CI_API_V4_URL", "https://gitlab.example.com/api/v4")
            .env("CI_PROJECT_ID", "42")
            .env("CI_DEFAULT_BRANCH", "main")
            .env("CI_JOB_URL", "https://gitlab.example.com/octo/edge/-/jobs/1")
            .env("CI_PIPELINE_ID", "60")
            .envs(variables.iter().copied());
        let done = command.output().expect("a shell");
        let kept = self.forge.folder().join("artifacts").join(number.to_string()).join("portcullis/edge");
        if self.path("portcullis/edge/plan.json").exists() {
            fs::create_dir_all(&kept).expect("a folder");
            fs::copy(self.path("portcullis/edge/plan.json"), kept.join("plan.json")).expect("a copy");
            // The next job starts from a clean checkout.
            fs::remove_dir_all(self.path("portcullis")).expect("removed");
        }
        let log = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
        Job { code: done.status.code().expect("a code"), log }
    }

    fn plan(&self, commit: &str, number: u64) -> Job {
        let request = [
            ("CI_PIPELINE_SOURCE", "merge_request_event"),
            ("CI_COMMIT_SHA", commit),
            ("CI_MERGE_REQUEST_IID", "5"),
            ("CI_MERGE_REQUEST_PROJECT_ID", "42"),
            ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "42"),
            ("CI_MERGE_REQUEST_TITLE", "$(touch pwned)"),
        ];
        self.run(".portcullis-plan", number, &request)
    }

    fn apply(&self, more: &[(&str, &str)]) -> Job {
        let push = [("CI_PIPELINE_SOURCE", "push"), ("CI_COMMIT_SHA", MERGED), ("CI_COMMIT_BRANCH", "main")];
        self.run(".portcullis-apply", 80, &[&push, more].concat())
    }

    /// A plan that was made by job 71, read and merged.
    fn approved() -> Self {
        static APPROVED: OnceLock<Project> = OnceLock::new();
        let project = Self::new();
        project.forge.learn(&APPROVED.get_or_init(Self::merged).forge);
        project
    }

    fn merged() -> Self {
        let project = Self::new();
        project.plan(HEADS[0], 71).exits(0);
        project.forge.change(|state| {
            let merged = json!({
                "iid": 5, "state": "merged", "target_branch": "main", "source_project_id": 42, "sha": HEADS[0],
                "merge_commit_sha": null, "squash_commit_sha": MERGED, "merged_at": "2026-11-20T11:00:00.000Z",
            });
            state["merge_requests"][MERGED] = json!([merged]);
            state["merge_request"] = merged;
            state["merge_request"]["head_pipeline"] = json!({ "id": 60, "source": "merge_request_event" });
            state["jobs"]["60"] = json!([
                { "id": 70, "name": "lint", "status": "success", "finished_at": "2026-11-20T09:00:00.000Z" },
                { "id": 71, "name": "plan edge", "status": "success", "finished_at": "2026-11-20T10:00:00.000Z" },
            ]);
        });
        project
    }

    #[track_caller]
    fn untouched(&self) {
        assert!(!self.path("world.json").exists(), "the world was changed");
    }
}

#[test]
fn one_note_is_written_and_then_kept_up_to_date() {
    let project = Project::new();
    let other = "<!-- portcullis:plan edge -->\nsomebody else's";
    project.forge.change(|state| {
        state["notes"] = json!([
            { "id": 1, "author": { "id": 8 }, "body": other },
            { "id": 2, "author": { "id": 7 }, "body": "<!-- portcullis:plan edge-two -->" },
            { "id": 3, "author": { "id": 9 }, "body": "please review" },
        ]);
    });
    project.plan(HEADS[0], 71).exits(0);
    assert!(project.forge.calls().contains(&"POST projects/42/merge_requests/5/notes".to_owned()));
    let page = project.forge.page("notes");
    assert_eq!(page.len(), 4);
    let lines: Vec<&str> = page[3].lines().collect();
    assert_eq!(lines[0], "<!-- portcullis:plan edge -->");
    assert!(
        lines[1].starts_with("<!-- portcullis:hash ") && lines[1].ends_with(&format!("commit {} -->", HEADS[0])),
        "{}",
        lines[1]
    );
    assert!(page[3].contains("3 to create"));

    fs::write(project.path("spec.toml"), SPEC.replace("ports = 80,", "ports = 8080,")).expect("a spec");
    project.plan(HEADS[1], 72).exits(0).says("8080");
    assert!(project.forge.calls().contains(&"PUT projects/42/merge_requests/5/notes/103".to_owned()));
    let page = project.forge.page("notes");
    assert!(page.len() == 4 && page[0] == other && page[3].contains("8080"), "{page:#?}");

    fs::write(project.path("spec.toml"), SPEC.replace("ingress", "```ingres")).expect("a spec");
    project.plan(HEADS[1], 73).exits(1).says("the spec is wrong");
    let page = project.forge.page("notes");
    assert!(
        page.len() == 4 && page[3].contains("No plan for stack `edge`") && page[3].contains("\n````text\n"),
        "{page:#?}"
    );
    assert!(!project.path("pwned").exists());
    project.untouched();
}

/// What is otherwise than it should be.
type Tamper = fn(&mut Value);

#[test]
fn what_was_approved_is_applied_when_it_is_merged_and_nothing_else() {
    let project = Project::approved();
    project.apply(&[]).exits(0).says("A second plan is empty.");
    assert!(project.forge.calls().iter().all(|call| call.starts_with("GET ")));
    assert!(project.path("portcullis-journal/edge.jsonl").exists());
    // Once more, and as a rebase or a merge commit.
    project.apply(&[]).exits(4).says("the plan is stale").says("Run a pipeline on main by hand");

    let cases: [(Tamper, i32, &str); 9] = [
        (|s| s["merge_requests"] = json!({}), 1, "nobody approved a plan"),
        (|s| s["merge_requests"][MERGED][0]["squash_commit_sha"] = json!(HEADS[1]), 1, "nobody approved a plan"),
        (|s| s["merge_requests"][MERGED][0]["target_branch"] = json!("other"), 1, "nobody approved a plan"),
        (|s| s["merge_request"]["source_project_id"] = json!(43), 1, "came from a fork"),
        (|s| s["merge_request"]["head_pipeline"]["source"] = json!("push"), 1, "no pipeline ran"),
        (|s| s["merge_request"]["sha"] = json!(HEADS[1]), 3, "no note on !5"),
        (|s| s["notes"][0]["author"]["id"] = json!(8), 3, "no note on !5"),
        (|s| s["jobs"]["60"][1]["finished_at"] = json!("2026-11-20T12:00:00.000Z"), 1, "before the merge"),
        (|s| s["jobs"]["60"][1]["status"] = json!("failed"), 1, "before the merge"),
    ];
    for (tamper, code, words) in cases {
        let project = Project::approved();
        project.forge.change(tamper);
        project.apply(&[]).exits(code).says(words).says("by hand");
        project.untouched();
    }
}

#[test]
fn a_hash_that_is_not_the_plans_is_refused() {
    let project = Project::approved();
    let kept = project.forge.folder().join("artifacts/71/portcullis/edge/plan.json");
    let plan: Value = serde_json::from_slice(&fs::read(&kept).expect("a plan")).expect("JSON");
    let text = fs::read_to_string(&kept).expect("a plan");
    fs::write(&kept, text.replace("0.0.0.0/0", "10.0.0.0/8")).expect("a file");
    let tampered = project.apply(&[]);
    assert!([1, 3].contains(&tampered.code) && tampered.log.contains("hash"), "{tampered:?}");
    fs::write(&kept, text.replace(super::text(&plan, "/hash"), &"0".repeat(64))).expect("a file");
    project.apply(&[]).exits(3).says("not the one that was approved");
    project.untouched();
}

#[test]
fn a_pipeline_that_was_started_by_hand_applies_its_own_plan() {
    let project = Project::new();
    let web = [
        ("CI_PIPELINE_SOURCE", "web"),
        ("CI_COMMIT_SHA", MERGED),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_PIPELINE_ID", "61"),
    ];
    project.run(".portcullis-plan", 75, &web).exits(0).says("3 to create");
    assert!(project.forge.calls().is_empty(), "there is no merge request to comment on");
    project.forge.change(|state| {
        state["jobs"]["61"] = json!([{ "id": 75, "name": "plan edge", "status": "success", "finished_at": "2026-11-20T10:00:00.000Z" }]);
    });
    project.run(".portcullis-apply", 81, &web).exits(0).says("A second plan is empty.");
}

#[test]
fn a_fork_is_checked_offline_and_tells_nobody() {
    let project = Project::new();
    let fork = [
        ("CI_PIPELINE_SOURCE", "merge_request_event"),
        ("CI_COMMIT_SHA", HEADS[0]),
        ("CI_MERGE_REQUEST_IID", "5"),
        ("CI_MERGE_REQUEST_PROJECT_ID", "42"),
        ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "43"),
    ];
    project.run(".portcullis-plan", 71, &fork).exits(0).says("checked offline");
    assert!(project.forge.calls().is_empty());
    fs::write(project.path("spec.toml"), "stack = 1\n").expect("a spec");
    project.run(".portcullis-plan", 71, &fork).exits(1);
}

#[test]
fn what_is_missing_is_named() {
    let project = Project::approved();
    for (variable, code, words) in [
        (("STACK", "$(touch pwned)"), 64, "the name that the spec says"),
        (("SPEC", ""), 64, "SPEC is missing"),
        (("PLAN_JOB", ""), 64, "PLAN_JOB is missing"),
        (("PORTCULLIS_GITLAB_TOKEN", ""), 1, "no variable PORTCULLIS_GITLAB_TOKEN"),
        (("PORTCULLIS_GITLAB_TOKEN", "other"), 1, "needs the scope api"),
    ] {
        project.apply(&[variable]).exits(code).says(words);
    }
    project.forge.change(|state| state["denied"] = json!(["PUT merge_requests/5/notes/.*"]));
    project.plan(HEADS[0], 71).exits(1).says("the role Reporter");
    project.untouched();
}

#[test]
fn a_lock_that_another_holds_is_waited_for_and_the_role_is_told_to_the_sdk() {
    let project = Project::approved();
    fs::remove_file(project.forge.folder().join("bin/portcullis")).expect("removed");
    // Notes what it is given: the role and its token, and of GitLab nothing.
    let busy = "#!/bin/sh\nenv >>\"$HOME/environment\"\ncat \"$AWS_WEB_IDENTITY_TOKEN_FILE\" >>\"$HOME/token\"\n[ \"$(wc -l <\"$HOME/environment\")\" -gt 1 ]\n[ \"$(grep -c ^AWS_ROLE_ARN= \"$HOME/environment\")\" -ge 3 ] && exit 0\nexit 75\n";
    project.forge.program("portcullis", busy);
    let role = ("PORTCULLIS_APPLY_ROLE", "arn:aws:iam::123456789012:role/apply");
    project.apply(&[("LOCK_ATTEMPTS", "2"), role]).exits(75).says("holds its lock");
    project.apply(&[role]).exits(0);
    let environment = fs::read_to_string(project.home.path().join("environment")).expect("a note");
    assert!(environment.contains("AWS_ROLE_ARN=arn:aws:iam::123456789012:role/apply"), "{environment}");
    assert!(!environment.contains("glpat-canary") && !environment.contains("jwt-canary"), "{environment}");
    assert_eq!(fs::read_to_string(project.home.path().join("token")).expect("a note"), "jwt-canary".repeat(3));
}

#[test]
fn the_examples_jobs_extend_the_template() {
    let template = yaml(TEMPLATE);
    let use_of_it = yaml("examples/gitops/gitlab/gitlab-ci.yml");
    for job in ["plan edge", "apply edge"] {
        let base = text(&use_of_it, &format!("/{job}/extends"));
        assert!(template.get(base).is_some(), "{job} extends {base}");
        assert_eq!(use_of_it[job]["variables"]["STACK"], "edge");
    }
    assert_eq!(use_of_it["apply edge"]["variables"]["PLAN_JOB"], "plan edge");
    assert_eq!(template[".portcullis-apply"]["resource_group"], "portcullis-$STACK");
    // On a push the merge request's plan is taken; only a pipeline that was started by hand asks for one more press.
    let rules = template[".portcullis-apply"]["rules"].as_array().expect("rules");
    let manual: Vec<bool> = rules.iter().map(|rule| rule["when"] == "manual").collect();
    assert_eq!(manual, [false, true]);
    assert!(rules.iter().all(|rule| text(rule, "/if").starts_with("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && ")));
}
