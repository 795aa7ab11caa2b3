//! The real binary, in a folder of its own, with an environment of its own.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// A folder in which the binary runs.
pub struct Stage {
    home: TempDir,
    variables: Vec<(String, String)>,
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
        Self { code: output.status.code(), out: text(output.stdout), talk: text(output.stderr) }
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
        let stage = Self { home: tempfile::tempdir().expect("a folder"), variables: Vec::new(), prefix: Vec::new() };
        // Whoever is killed leaves what is temporary, and it goes with the folder.
        let home = stage.home.path().display().to_string();
        let stage = stage.with("TMPDIR", &home);
        // Two stages are two machines: no lock of this one keeps them apart.
        let stage = stage.with("PORTCULLIS_LOCK_DIR", &home);
        // There is no instance metadata to ask for credentials, and nobody shall wait for it.
        stage.with("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// The same, before an endpoint on this port, with credentials that nobody checks.
    #[cfg(feature = "aws")]
    pub fn before(port: u16) -> Self {
        let stage = Self::new().with("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}"));
        stage.with("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").with("AWS_SECRET_ACCESS_KEY", "secret")
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
                std::fs::copy(&path, self.home.path().join(path.file_name().expect("a name"))).expect("a copy");
            }
        }
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).expect("a file");
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
        let mut words = self.prefix.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_portcullis")]);
        let mut command = Command::new(words.next().expect("the binary is one"));
        command.args(words).args(arguments).current_dir(self.home.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.home.path()).envs(self.variables.iter().cloned());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs the binary to its end.
    pub async fn run(&self, arguments: &[&str]) -> Told {
        Told::of(self.command(arguments).output().await.expect("the binary"))
    }
}
