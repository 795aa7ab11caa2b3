//! The real binary: exit codes, streams, a closed pipe, signals.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::binary::Told;
use crate::support::canary;

const SPEC: &str = "stack = \"smoke\"\nregion = \"eu-west-1\"\n[security_group.web]\ningress = [{ ports = 80, from = \"0.0.0.0/0\" }]\n[instance.web]\ncount = 2\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"web\"]\n";

fn folder(spec: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("spec.toml"), spec).expect("a spec");
    folder
}

fn portcullis(folder: &TempDir, arguments: &[&str]) -> Output {
    let output = command(folder, arguments).output().expect("the binary");
    Told::of(output.clone());
    output
}

fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).current_dir(folder.path()).stdin(Stdio::null());
    command.env_clear().env("HOME", folder.path()).env(canary::KEY_VARIABLE, canary::KEY);
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("a code")
}

#[test]
fn each_ending_has_its_code() {
    let here = folder(SPEC);
    let world = ["--world", "world.json"];
    let run = |arguments: &[&str]| portcullis(&here, &[arguments, &world[..]].concat());
    assert_eq!(code(&run(&["plan", "spec.toml"])), 0);
    assert_eq!(code(&run(&["plan", "spec.toml", "--detailed-exitcode"])), 2);
    assert!(!here.path().join("world.json").exists(), "plan writes nothing");
    assert_eq!(code(&run(&["apply", "spec.toml"])), 64, "nobody to ask");
    assert_eq!(code(&run(&["apply", "spec.toml", "--yes", "--max-impact", "none"])), 0);
    assert_eq!(code(&run(&["plan", "spec.toml", "--detailed-exitcode"])), 0);
    assert_eq!(code(&run(&["destroy", "spec.toml", "--yes", "--max-impact", "reconnect"])), 3, "impact");
    assert_eq!(code(&run(&["destroy", "spec.toml", "--yes"])), 0);
    assert_eq!(code(&run(&["plan", "missing.toml"])), 1);
    assert_eq!(code(&run(&["plan"])), 64);
    assert_eq!(code(&run(&["plan", "spec.toml", "--exclude", "instance.nobody"])), 64);
    assert_eq!(code(&run(&["plan", "spec.toml", "--target", "instance.nobody"])), 64);
    assert_eq!(code(&run(&["plan", "spec.toml", "--target", "instance.web", "--out", "plan.json"])), 0);
    assert_eq!(code(&portcullis(&here, &["show", "plan.json"])), 0);
    assert_eq!(code(&run(&["plan", "plan.json"])), 1, "a kept plan is not a spec");
    assert_eq!(code(&run(&["apply", "plan.json", "--yes"])), 0);
    assert_eq!(code(&run(&["apply", "plan.json", "--yes"])), 4, "it was applied already");
    assert_eq!(code(&run(&["destroy", "spec.toml", "--yes"])), 0);
    assert_eq!(code(&portcullis(&here, &["--version"])), 0);
    assert_eq!(code(&portcullis(&here, &["--help"])), 0);
}

const COMMAND: &str = "stack = \"smoke\"\n[host_firewall.gw]\ntransport = { command = [\"sh\", \"-c\", \"echo run >> ran\"] }\nrules = [{ name = \"web\", ports = 80, from = \"0.0.0.0/0\" }]\n[host_firewall.old]\ntransport = \"local\"\nstate = \"absent\"\n";

#[test]
fn what_a_spec_says_is_not_run_unasked() {
    for text in [COMMAND.to_owned(), COMMAND.replacen("rules", "state = \"absent\"\nrules", 1)] {
        let here = folder(&text);
        for arguments in [
            &["plan", "spec.toml"][..],
            &["apply", "spec.toml", "--yes"],
            &["destroy", "spec.toml", "--yes", "--accept", "lockout"],
            &["observe", "spec.toml"],
            &["forget", "spec.toml", "host_firewall.gw", "--yes"],
            &["graph", "spec.toml"],
        ] {
            // Nobody's environment allows it.
            let output = command(&here, arguments).env("PORTCULLIS_ALLOW_COMMAND", "1").output().expect("the binary");
            assert_eq!(code(&output), 64, "{arguments:?}");
            let talk = String::from_utf8_lossy(&output.stderr).into_owned();
            for word in ["`host_firewall.gw`", "sh -c echo run >> ran", "a spec is input, not code", "--allow-command"]
            {
                assert!(talk.contains(word), "{arguments:?}: {talk}");
            }
            assert!(!here.path().join("ran").exists(), "{arguments:?}");
        }
        // Where nothing runs, nothing is refused.
        assert_eq!(code(&portcullis(&here, &["validate", "spec.toml"])), 0);
        assert_eq!(code(&portcullis(&here, &["observe", "spec.toml", "--world", "world.json"])), 0);
        assert!(!here.path().join("ran").exists());
    }
}

#[test]
fn a_wrong_spec_calls_nothing_and_names_every_problem() {
    let here = folder(
        "stack = \"Smoke\"\nregion = \"eu-west-1\"\n[security_group.web]\ningres = []\n[instance.web]\nimage = \"ami-1\"\n",
    );
    let output = portcullis(&here, &["apply", "spec.toml", "--world", "world.json", "--yes"]);
    assert_eq!(code(&output), 1);
    assert!(output.stdout.is_empty());
    let talk = String::from_utf8(output.stderr).expect("text");
    for word in ["spec.toml:1:", "did you mean `ingress`?", "needs `type`", "ami-1", "4 problems"] {
        assert!(talk.contains(word), "{word} is missing:\n{talk}");
    }
    assert!(!here.path().join("world.json").exists());
}

#[test]
fn results_go_to_the_one_stream_and_talk_to_the_other() {
    let here = folder(SPEC);
    let output = portcullis(&here, &["apply", "spec.toml", "--world", "world.json", "--yes", "--format", "json"]);
    assert_eq!(code(&output), 0);
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).expect("standard output is JSON alone");
    assert_eq!(outcome["converged"], true);
    assert_eq!(outcome["world"], "simulated");
    let talk = String::from_utf8(output.stderr).expect("text");
    assert!(talk.contains("done run instance.web-0"), "{talk}");
    let plan = portcullis(&here, &["plan", "spec.toml", "--world", "world.json", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).expect("a plan in JSON");
    assert_eq!(plan["format_version"], 2);
    assert_eq!(plan["changes"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let here = folder(SPEC);
    let mut child =
        command(&here, &["schema", "spec"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
    drop(child.stdout.take());
    let mut talk = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut talk).expect("text");
    assert!(child.wait().expect("an end").success());
    assert_eq!(talk, "");
}

#[test]
fn secrets_appear_nowhere() {
    let spec = format!(
        "{SPEC}user_data = {{ template = \"boot.sh\", sensitive = true }}\n[instance.other]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"web\"]\nuser_data = {{ template = \"boot.sh\", sensitive = true }}\non_user_data_change = \"restart\"\n"
    )
    .replace("region = \"eu-west-1\"\n", &format!("region = \"eu-west-1\"\nfingerprint_key = {{ env = \"{}\" }}\n", canary::KEY_VARIABLE));
    let here = folder(&spec);
    let tell = |more: &str| {
        let text = format!("#!/bin/sh\necho {} {{{{ stack }}}} {more}\n", canary::USER_DATA);
        std::fs::write(here.path().join("boot.sh"), text).expect("a script");
    };
    tell("");
    let mut seen = String::new();
    let mut run = |arguments: &[&str], expected: i32| {
        let output = portcullis(&here, &[arguments, &["--world", "world.json"]].concat());
        assert_eq!(code(&output), expected, "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        seen.push_str(&String::from_utf8_lossy(&output.stdout));
        seen.push_str(&String::from_utf8_lossy(&output.stderr));
    };
    run(&["plan", "spec.toml", "--out", "plan.json"], 0);
    run(&["plan", "spec.toml", "--format", "json"], 0);
    run(&["plan", "spec.toml", "--format", "markdown"], 0);
    run(&["graph", "spec.toml"], 0);
    run(&["apply", "spec.toml", "--yes", "--format", "json"], 0);
    run(&["observe", "spec.toml", "--format", "json"], 0);
    run(&["plan", "spec.toml", "--verify", "--format", "json"], 0);
    run(&["apply", "spec.toml", "--yes", "--replace", "instance.other"], 0);
    // What was told, and what is to be told, is shown by neither of the two ways to change it.
    tell("again");
    run(&["plan", "spec.toml", "--verify"], 0);
    run(&["plan", "spec.toml", "--format", "markdown"], 0);
    run(&["apply", "spec.toml", "--yes"], 0);
    // A template that cannot be rendered is quoted where it is wrong, and no further than that.
    tell("{{ instance.nobody }}");
    run(&["plan", "spec.toml"], 1);
    for file in ["plan.json", "world.journal.jsonl"] {
        seen.push_str(&std::fs::read_to_string(here.path().join(file)).expect(file));
    }
    assert!(seen.contains("hmac-sha256:"), "the fingerprint is there, so the data was looked at");
    canary::demand_absent("what was said or written", &seen);
}

#[test]
fn a_prompt_that_is_answered_no_changes_nothing() {
    // No terminal, no prompt: an answer on a pipe is not consent.
    let here = folder(SPEC);
    let mut child = command(&here, &["apply", "spec.toml", "--world", "world.json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    let _ = child.stdin.take().expect("a pipe").write_all(b"yes\n");
    assert_eq!(child.wait().expect("an end").code(), Some(64));
    assert!(!here.path().join("world.json").exists());
}
