//! The locks of a stack, as whoever types a command meets them: on this machine, and in a bucket.

use std::path::PathBuf;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Child;

use crate::support::binary::{Stage, Told};

#[cfg(feature = "s3")]
mod bucket;

const SPEC: &str = "stack = \"single\"\nregion = \"eu-west-1\"\n[elastic_ip.edge]\n";
const APPLY: &[&str] = &["apply", "spec.toml", "--world", "world.json", "--yes"];

/// An apply that has its lock and waits to be let go on: its journal is a pipe that nobody reads yet.
struct Waiting {
    child: Child,
    journal: PathBuf,
}

impl Waiting {
    async fn start(stage: &Stage) -> Self {
        let journal = stage.path().join("journal");
        assert!(std::process::Command::new("mkfifo").arg(&journal).status().expect("mkfifo").success());
        let mut child = stage.command(&[APPLY, &["--journal", "journal"]].concat()).spawn().expect("the binary");
        // A plan is made under the lock, and what stands after it is the journal.
        let mut lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.contains("1 to create") {
                return Self { child, journal };
            }
        }
        panic!("it made no plan");
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Reads the journal, so that it goes on, and waits for its end.
    async fn let_go(mut self) -> Option<i32> {
        let journal = self.journal.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(journal).expect("lines"));
        let code = self.child.wait().await.expect("an end").code();
        assert!(read.await.expect("read").contains("elastic_ip.edge"));
        code
    }
}

fn signal(pid: u32, name: &str) {
    assert!(std::process::Command::new("kill").args([name, &pid.to_string()]).status().expect("kill").success());
}

/// Waits until a process is stopped: a signal is not delivered at once.
fn until_stopped(pid: u32) {
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
    while !stat().rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T")) {
        std::thread::yield_now();
    }
}

fn stage() -> Stage {
    let stage = Stage::new().with("USER", "ann").with("GITHUB_SERVER_URL", "https://github.com");
    let stage = stage.with("GITHUB_REPOSITORY", "o/r").with("GITHUB_RUN_ID", "7");
    stage.write("spec.toml", SPEC);
    stage
}

async fn show(stage: &Stage) -> Value {
    stage.run(&["lock", "show", "spec.toml", "--world", "world.json", "--format", "json"]).await.exits(0).json()
}

#[tokio::test]
async fn a_second_apply_names_the_first_which_only_its_death_frees() {
    let stage = stage();
    let first = Waiting::start(&stage).await;
    let pid = first.pid();
    let told = stage.run(APPLY).await.exits(75).says("error: stack `single` is locked by ann@");
    let told = told.says(&format!("process {pid}, which runs `apply` since 20"));
    let told = told.says("https://github.com/o/r/actions/runs/7").says("hint: wait for it with `--lock-timeout 10m`");
    assert_eq!(told.out, "", "no plan is made of what somebody changes");
    // Whichever way leads to the world, and whatever would change it.
    stage.write("other.toml", "stack = \"other\"\nregion = \"eu-west-1\"\n[elastic_ip.edge]\n");
    let here = stage.path().file_name().expect("a name").to_str().expect("text");
    let around = format!("../{here}/world.json");
    stage.run(&["apply", "other.toml", "--world", &around, "--yes"]).await.exits(75);
    stage.run(&["destroy", "spec.toml", "--world", "world.json", "--yes"]).await.exits(75);
    stage.run(&["forget", "spec.toml", "elastic_ip.edge", "--world", "world.json", "--yes"]).await.exits(75);
    // Whoever only looks is not kept waiting, and does not disturb.
    stage.run(&["plan", "spec.toml", "--world", "world.json", "--detailed-exitcode"]).await.exits(2);
    stage.run(&["observe", "spec.toml", "--world", "world.json"]).await.exits(0);
    let seen = show(&stage).await;
    assert_eq!(seen.pointer("/local/held"), Some(&Value::Bool(true)), "{seen}");
    assert_eq!(seen.pointer("/local/holder/pid"), Some(&pid.into()), "{seen}");
    assert_eq!(seen.pointer("/local/holder/run"), Some(&"https://github.com/o/r/actions/runs/7".into()), "{seen}");
    // Whoever is suspended keeps it.
    first.signal("-STOP");
    until_stopped(pid);
    let told = stage.run(APPLY).await.exits(75).says(&format!("process {pid} (suspended)"));
    told.says(&format!("`kill -CONT {pid}` lets it go on"));
    let told = stage.run(&["lock", "break", "spec.toml", "--world", "world.json", "--id", "x", "--yes"]).await;
    told.exits(3).says("a lock on this machine cannot be broken");
    // A death that nobody can catch frees it at once.
    first.signal("-KILL");
    let mut child = first.child;
    assert_eq!(child.wait().await.expect("an end").code(), None);
    assert_eq!(show(&stage).await.pointer("/local/held"), Some(&Value::Bool(false)));
    let text = stage.run(&["lock", "show", "spec.toml", "--world", "world.json"]).await.exits(0).out;
    assert!(text.contains("on this machine: free"), "{text}");
    stage.run(APPLY).await.exits(0);
}

#[tokio::test]
async fn whoever_waits_plans_on_what_the_other_left() {
    let stage = stage();
    let first = Waiting::start(&stage).await;
    let mut command = stage.command(&[APPLY, &["--lock-timeout", "10m"]].concat());
    let mut second = command.spawn().expect("the binary");
    let mut lines = BufReader::new(second.stderr.take().expect("a pipe")).lines();
    let line = lines.next_line().await.expect("text").expect("it says something");
    assert!(line.contains("waiting for at most 10m: stack `single` is locked by ann@"), "{line}");
    assert_eq!(first.let_go().await, Some(0));
    let mut out = String::new();
    second.stdout.take().expect("a pipe").read_to_string(&mut out).await.expect("text");
    assert_eq!(second.wait().await.expect("an end").code(), Some(0));
    assert!(out.contains("1 unchanged") && !out.contains("to create"), "{out}");
}

#[tokio::test]
async fn what_cannot_be_a_lock_is_refused() {
    let stage = stage();
    std::os::unix::fs::symlink("world.json", stage.path().join("world.lock")).expect("a link");
    stage.run(APPLY).await.exits(3).says("is no plain file of one name");
    assert!(!stage.path().join("world.json").exists(), "nothing was written through it");
    stage.run(&[APPLY, &["--lock-timeout", "soon"]].concat()).await.exits(64);
    let lost = stage.run(&["apply", "spec.toml", "--world", "nowhere/world.json", "--yes"]).await;
    lost.exits(1).says("the folder of a world file must be there");
}

#[tokio::test]
async fn a_stack_of_hosts_has_its_lock_where_all_runs_find_it() {
    let stage = stage();
    stage.write(
        "host.toml",
        "stack = \"gw\"\n[host_firewall.gw]\ntransport = { ssh = \"nobody@gw.invalid\" }\nrules = []\n",
    );
    let relative = Stage::new().with("PORTCULLIS_LOCK_DIR", "locks");
    relative.write("host.toml", &stage.read("host.toml"));
    let told: Told = relative.run(&["lock", "show", "host.toml"]).await;
    told.exits(1).says("`PORTCULLIS_LOCK_DIR` is no absolute path");
    let text = stage.run(&["lock", "show", "host.toml"]).await.exits(0).out;
    let wanted = stage.path().join("portcullis-hosts-gw.lock");
    assert!(text.contains(&wanted.display().to_string()) && text.contains("free"), "{text}");
}

#[cfg(not(feature = "s3"))]
#[tokio::test]
async fn without_s3_a_lock_in_a_bucket_is_refused() {
    let stage = stage();
    stage.write("host.toml", "stack = \"gw\"\nlock = { s3 = \"locks/gw\" }\n[host_firewall.gw]\ntransport = { ssh = \"nobody@gw.invalid\" }\nrules = []\n");
    let told = stage.run(&["apply", "host.toml", "--yes"]).await.exits(1);
    told.says("built without S3").says("build it with the feature `s3`");
    // A simulated world is nobody else's.
    stage.run(&["apply", "host.toml", "--yes", "--world", "world.json"]).await.exits(0);
}
