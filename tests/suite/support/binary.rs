//! The real binary, in a folder of its own, with an environment of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::canary;

/// A folder in which the binary runs. In its environment are secrets, and none of them may be in what it says or writes:
/// every run is looked through.
pub struct Stage {
    home: TempDir,
    variables: Vec<(String, String)>,
    /// What the test put there, and worlds: those are AWS itself, and know what they were told.
    given: Mutex<BTreeSet<PathBuf>>,
    /// The command that leads to where it runs.
    prefix: Vec<String>,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Told {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub talk: String,
}

impl Told {
    /// What a command that ended said.
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let told = Self { code: output.status.code(), out: text(output.stdout), talk: text(output.stderr) };
        canary::demand_absent("what the binary said", &told.to_string());
        told
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|why| panic!("{why}: {self}"))
    }

    /// Demands an exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Demands that standard error says something.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.talk.contains(words), "`{words}` is not said: {self}");
        self
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {:?}\n{}\n{}", self.code, self.out, self.talk)
    }
}

impl Stage {
    /// An empty folder, and neither credentials nor configuration.
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let stage = Self { home, variables: Vec::new(), given: Mutex::default(), prefix: Vec::new() };
        // Whoever is killed leaves what is temporary, and it goes with the folder.
        let home = stage.home.path().display().to_string();
        let stage = stage.with("TMPDIR", &home);
        // Two stages are two machines: no lock of this one keeps them apart.
        let stage = stage.with("PORTCULLIS_LOCK_DIR", &home);
        // There is no instance metadata to ask for credentials, and nobody shall wait for it.
        stage.with("AWS_EC2_METADATA_DISABLED", "true").with(canary::KEY_VARIABLE, canary::KEY)
    }

    /// The same, before an endpoint on this port, with credentials that nobody checks.
    #[cfg(feature = "aws")]
    pub fn before(port: u16) -> Self {
        let stage = Self::new().with("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}"));
        let stage = stage.with("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
        let stage = stage.with("AWS_SECRET_ACCESS_KEY", canary::SECRET_ACCESS_KEY);
        stage.with("AWS_SESSION_TOKEN", canary::SESSION_TOKEN)
    }

    /// With an environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, run by a command: on a host in namespaces of its own.
    pub fn inside(mut self, mut prefix: Vec<String>) -> Self {
        // Whoever enters the mounts of another host stands in its root.
        prefix.extend(["env", "-C"].map(str::to_owned));
        prefix.push(self.home.path().display().to_string());
        self.prefix = prefix;
        self
    }

    /// Copies the files of a folder.
    pub fn copy(&self, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let name = path.file_name().expect("a name");
                std::fs::copy(&path, self.home.path().join(name)).expect("a copy");
                self.give(Path::new(name));
            }
        }
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).expect("a file");
        self.give(Path::new(name));
    }

    fn give(&self, name: &Path) {
        self.given.lock().expect("no test panics while it holds this").insert(self.home.path().join(name));
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).expect("a file")
    }

    /// Whether a file is there.
    pub fn has(&self, name: &str) -> bool {
        self.home.path().join(name).exists()
    }

    /// A command that is not run yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        for world in arguments.windows(2).filter(|two| two[0] == "--world") {
            self.give(Path::new(world[1]));
        }
        let mut words = self.prefix.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_portcullis")]);
        let mut command = Command::new(words.next().expect("the binary is one"));
        command.args(words).args(arguments).current_dir(self.home.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.home.path()).envs(self.variables.iter().cloned());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// The policy that `permissions` prints of these specs.
    #[cfg(feature = "aws")]
    pub async fn policy(&self, purpose: &str, specs: &[&str]) -> Value {
        self.run(&[&["permissions", "--for", purpose], specs].concat()).await.exits(0).json()
    }

    /// Runs the binary to its end.
    pub async fn run(&self, arguments: &[&str]) -> Told {
        let told = Told::of(self.command(arguments).output().await.expect("the binary"));
        self.shows_no_secret();
        told
    }

    /// Demands that nothing that was written shows a secret: no journal, no plan.
    pub fn shows_no_secret(&self) {
        let given = self.given.lock().expect("no test panics while it holds this").clone();
        for path in files(self.home.path()).into_iter().filter(|path| !given.contains(path)) {
            // A file that others have taken away meanwhile is none.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            canary::demand_absent(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.shows_no_secret();
        }
    }
}

/// Every file below a folder; links and sockets are none.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut all = Vec::new();
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => all.push(entry.path()),
            Ok(_) | Err(_) => {}
        }
    }
    all
}
