//! The stand-in for GitHub and GitLab: a folder with its state, and programs on the path that answer from it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

/// The program, in Python.
const PROGRAM: &str = include_str!("forge.py");

/// Where Python is: a name on the path may lead there by way of a script that takes longer than Python itself.
fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable, end='')"]).output();
        String::from_utf8(asked.expect("python3").stdout).expect("a path")
    })
}

/// A forge that knows nothing yet.
pub struct Forge {
    folder: PathBuf,
}

impl Forge {
    /// A new one, in a folder.
    pub fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(folder.join("bin")).expect("a folder");
        let forge = Self { folder };
        for program in ["gh", "curl"] {
            forge.program(program, &format!("#!{} -IS\n{PROGRAM}", python()));
        }
        let empty = json!({
            "comments": [], "pulls": {}, "artifacts": [], "runs": {},
            "notes": [], "merge_requests": {}, "merge_request": {}, "jobs": {}, "user": { "id": 7 }, "token": "glpat-canary",
        });
        forge.write(&empty);
        forge
    }

    /// Learns all that another knows.
    pub fn learn(&self, other: &Self) {
        self.write(&other.state());
        for artifact in fs::read_dir(other.folder.join("artifacts")).into_iter().flatten() {
            copy(&artifact.expect("an artifact").path(), &self.folder.join("artifacts"));
        }
    }

    /// Where its state is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts a script of ours on the path.
    pub fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.folder.join("bin").join(name);
        fs::write(&path, script).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable");
        path
    }

    /// What it knows.
    pub fn state(&self) -> Value {
        let text = fs::read_to_string(self.folder.join("state.json")).expect("the state");
        serde_json::from_str(&text).expect("JSON")
    }

    fn write(&self, state: &Value) {
        fs::write(self.folder.join("state.json"), state.to_string()).expect("the state");
    }

    /// Changes what it knows.
    pub fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        change(&mut state);
        self.write(&state);
    }

    /// Every call since the last time this was asked.
    pub fn calls(&self) -> Vec<String> {
        let path = self.folder.join("calls.log");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    /// What is written on the page of a pull request or merge request: who wrote it, and what.
    pub fn page(&self, of: &str) -> Vec<String> {
        let state = self.state();
        let all = state[of].as_array().expect("a list");
        all.iter().map(|one| one["body"].as_str().expect("a text").to_owned()).collect()
    }
}

/// Copies a file or a folder into another folder.
fn copy(from: &Path, into: &Path) {
    let to = into.join(from.file_name().expect("a name"));
    fs::create_dir_all(into).expect("a folder");
    if from.is_file() {
        fs::copy(from, to).expect("a copy");
        return;
    }
    for entry in fs::read_dir(from).expect("a folder") {
        copy(&entry.expect("an entry").path(), &to);
    }
}
