//! A runner for the action: takes its steps as GitHub's does, each script in a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::expression::Context;
use super::forge::Forge;
use super::{at, text, yaml};

/// The repository of the tests.
pub const REPOSITORY: &str = "octo/edge";
/// The workflow of the tests.
pub const WORKFLOW: &str = ".github/workflows/portcullis.yml";

/// Why a run was started.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub name: &'static str,
    /// The commit that is checked out.
    pub commit: String,
    /// The number of the run.
    pub run: u64,
    /// What is known of it.
    pub payload: Value,
}

impl Event {
    /// A commit on pull request 5.
    pub fn pull_request(head: &str, run: u64) -> Self {
        let payload = json!({ "pull_request": {
            "number": 5, "title": "$(touch pwned) `touch pwned` \"; touch pwned; #", "head": {
                "sha": head, "ref": "a$(touch${IFS}pwned)", "repo": { "full_name": REPOSITORY, "fork": false },
            },
        }});
        // The commit that is checked out is a merge that nobody sees again.
        Self { name: "pull_request", commit: "e".repeat(40), run, payload }
    }

    /// The same, from a fork.
    pub fn from_fork(head: &str, run: u64) -> Self {
        let mut event = Self::pull_request(head, run);
        event.payload["pull_request"]["head"]["repo"] = json!({ "full_name": "mallory/edge", "fork": true });
        event
    }

    /// A commit on the branch that is deployed.
    pub fn on_main(name: &'static str, commit: &str, run: u64) -> Self {
        Self { name, commit: commit.to_owned(), run, payload: json!({}) }
    }
}

/// A machine on which the action runs, with the repository checked out.
pub struct Runner {
    home: TempDir,
    /// What stands in for GitHub.
    pub forge: Forge,
    /// When artifacts are uploaded, as GitHub's clock says.
    pub clock: &'static str,
}

/// What a run of the action came to.
#[derive(Debug)]
pub struct Ran {
    /// How it ended: 0, or the code of the step that failed.
    pub code: i32,
    /// What it printed.
    pub log: String,
    /// The page of the run.
    pub summary: String,
    /// What the action gives.
    pub outputs: BTreeMap<String, String>,
}

impl Ran {
    /// Demands an ending.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.log, self.summary);
        self
    }

    /// Demands that the annotation says something.
    #[track_caller]
    pub fn explains(self, words: &str) -> Self {
        let commands = self.commands();
        assert!(commands.iter().any(|line| line.starts_with("::error ") && line.contains(words)), "{}", self.log);
        self
    }

    /// The lines of the log that the runner takes for commands.
    pub fn commands(&self) -> Vec<&str> {
        let mut deaf: Option<String> = None;
        let mut commands = Vec::new();
        for line in self.log.lines().map(str::trim_start).filter(|line| line.starts_with("::")) {
            match (&deaf, line.strip_prefix("::stop-commands::")) {
                (None, Some(word)) => deaf = Some(format!("::{word}::")),
                (Some(word), _) if line == word => deaf = None,
                (Some(_), _) => {}
                (None, None) => commands.push(line),
            }
        }
        commands
    }
}

impl Runner {
    /// One with these files in its repository.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        for folder in ["work", "temp", "home"] {
            fs::create_dir(home.path().join(folder)).expect("a folder");
        }
        let forge = Forge::new(home.path().join("forge"));
        let runner = Self { home, forge, clock: "2026-11-20T10:00:00Z" };
        for (name, text) in files {
            runner.write(name, text);
        }
        runner
    }

    /// Writes a file of the repository.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// Where a file of the repository is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("work").join(name)
    }

    /// A command as the runner gives it its environment.
    pub fn command(&self, event: &Event, program: &str) -> Command {
        let payload = self.home.path().join("event.json");
        fs::write(&payload, event.payload.to_string()).expect("the event");
        let mut command = Command::new(program);
        let inherited = std::env::var("PATH").unwrap_or_default();
        command.current_dir(self.home.path().join("work")).stdin(Stdio::null()).env_clear();
        command
            .env("PATH", format!("{}/bin:{inherited}", self.forge.folder().display()))
            .env("HOME", self.home.path().join("home"))
            .env("FORGE", self.forge.folder())
            .env("PAUSE", "0")
            .env("RUNNER_TEMP", self.home.path().join("temp"))
            .env("GITHUB_ACTION_PATH", at(".github/actions/portcullis"))
            .env("GITHUB_EVENT_NAME", event.name)
            .env("GITHUB_EVENT_PATH", payload)
            .env("GITHUB_SHA", &event.commit)
            .env("GITHUB_REPOSITORY", REPOSITORY)
            .env("GITHUB_SERVER_URL", "https://github.com")
            .env("GITHUB_RUN_ID", event.run.to_string())
            .env("GITHUB_RUN_ATTEMPT", "1")
            .env("GITHUB_WORKFLOW_REF", format!("{REPOSITORY}/{WORKFLOW}@refs/heads/main"))
            .env("GITHUB_STEP_SUMMARY", self.home.path().join("summary.md"))
            .env("GITHUB_OUTPUT", self.home.path().join("output"));
        command
    }

    /// Runs the action.
    pub fn run(&self, event: &Event, inputs: &[(&str, &str)]) -> Ran {
        let action = yaml(".github/actions/portcullis/action.yml");
        let mut context = Context::default();
        context.set("github.token", "ghs-canary");
        context.set("runner.temp", &self.home.path().join("temp").display().to_string());
        let known = action["inputs"].as_object().expect("inputs");
        for (name, input) in known {
            let default = context.fill(input["default"].as_str().unwrap_or_default());
            context.set(&format!("inputs.{name}"), &default);
        }
        for (name, value) in inputs {
            assert!(known.contains_key(*name), "the action has no input `{name}`");
            context.set(&format!("inputs.{name}"), value);
        }
        let summary = self.home.path().join("summary.md");
        fs::write(&summary, "").expect("a summary");
        let (mut code, mut log) = (0, String::new());
        for step in action["runs"]["steps"].as_array().expect("steps") {
            let condition = step["if"].as_str().unwrap_or("success()");
            if !context.holds(condition) || (code != 0 && !condition.contains("always()")) {
                continue;
            }
            match step["uses"].as_str() {
                Some(uses) if uses.starts_with("actions/upload-artifact@") => self.upload(event, step, &context),
                Some(uses) => assert!(uses.starts_with("actions/cache@"), "{uses}"),
                None => {
                    let ended = self.step(event, step, &mut context, &mut log);
                    code = if code == 0 { ended } else { code };
                }
            }
        }
        let outputs = action["outputs"].as_object().expect("outputs").iter();
        let outputs = outputs.map(|(name, output)| (name.clone(), context.fill(text(output, "/value")))).collect();
        Ran { code, log, summary: fs::read_to_string(summary).expect("a summary"), outputs }
    }

    fn step(&self, event: &Event, step: &Value, context: &mut Context, log: &mut String) -> i32 {
        let output = self.home.path().join("output");
        fs::write(&output, "").expect("a file");
        let script = text(step, "/run");
        assert!(!script.contains("${{"), "an expression in a script is code: {script}");
        let mut command = self.command(event, text(step, "/shell"));
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
        if let Some(variables) = step["env"].as_object() {
            command.envs(variables.iter().map(|(name, value)| (name, context.fill(value.as_str().expect("a text")))));
        }
        let done = command.output().expect("a shell");
        log.push_str(&String::from_utf8_lossy(&done.stdout));
        log.push_str(&String::from_utf8_lossy(&done.stderr));
        for line in fs::read_to_string(output).expect("the outputs").lines() {
            let (name, value) = line.split_once('=').expect("an output");
            context.set(&format!("steps.{}.outputs.{name}", text(step, "/id")), value);
        }
        done.status.code().unwrap_or(-1)
    }

    /// What `actions/upload-artifact` does: takes the file, under a name, for this run. With `overwrite` the earlier one goes.
    fn upload(&self, event: &Event, step: &Value, context: &Context) {
        let field = |name: &str| context.fill(text(step, &format!("/with/{name}")));
        let from = PathBuf::from(field("path"));
        if !from.is_file() {
            assert_eq!(field("if-no-files-found"), "ignore", "{}", from.display());
            return;
        }
        let (name, run, clock) = (field("name"), event.run, self.clock);
        let head = event.payload["pull_request"]["head"]["sha"].as_str().unwrap_or(&event.commit).to_owned();
        let fork = event.payload["pull_request"]["head"]["repo"]["fork"] == true;
        self.forge.change(|state| {
            let artifacts = state["artifacts"].as_array_mut().expect("a list");
            artifacts.retain(|old| old["name"] != name || old["workflow_run"]["id"] != run);
            let id = artifacts.iter().filter_map(|old| old["id"].as_u64()).max().unwrap_or(700) + 1;
            let file = Path::new("artifacts").join(id.to_string()).join(from.file_name().expect("a name"));
            let to = self.forge.folder().join(&file);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(&from, &to).expect("a copy");
            artifacts.push(json!({
                "id": id, "name": name, "expired": false, "created_at": clock, "file": file,
                "workflow_run": { "id": run, "head_sha": head, "repository_id": 1, "head_repository_id": if fork { 2 } else { 1 } },
            }));
            let path = format!("{WORKFLOW}@refs/pull/5/merge");
            state["runs"][run.to_string()] = json!({ "event": event.name, "head_sha": head, "path": path });
        });
    }

    /// Whether a file lies anywhere on the machine.
    pub fn has_anywhere(&self, name: &str) -> bool {
        fn search(folder: &Path, name: &str) -> bool {
            fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).any(|path| {
                path.file_name().is_some_and(|found| found == name)
                    || (path.is_dir() && !path.is_symlink() && search(&path, name))
            })
        }
        search(self.home.path(), name)
    }
}
