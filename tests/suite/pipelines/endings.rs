//! How an apply by the action ends, and how a cancelled one does; and where its portcullis comes from.

use std::process::Stdio;

use super::github::{HEADS, MERGED, approved, here, inputs};
use super::runner::Event;

#[test]
fn a_lock_that_another_holds_is_waited_for_and_then_explained() {
    let runner = approved();
    let busy = "#!/bin/sh\n[ \"$1\" = --version ] && exec true\necho run >>\"$HOME/runs\"\n[ \"$(wc -l <\"$HOME/runs\")\" -ge 3 ] && exit 0\nexit 75\n";
    let busy = runner.forge.program("busy", busy).display().to_string();
    let event = Event::on_main("push", MERGED, 90);
    let held = runner.run(&event, &inputs("apply", &[("binary", &busy), ("lock-attempts", "2")])).exits(75);
    assert!(held.explains("another apply of stack edge").summary.contains("after 2 attempts"));
    runner.run(&event, &inputs("apply", &[("binary", &busy)])).exits(0);
}

#[test]
fn every_ending_is_explained() {
    let runner = approved();
    for (code, words) in
        [(1, "nothing was changed"), (5, "in part"), (6, "is not empty"), (9, "ended with 9"), (143, "interrupted")]
    {
        let script = format!("#!/bin/sh\n[ \"$1\" = --version ] && exec true\nexit {code}\n");
        let ends = runner.forge.program("ends", &script).display().to_string();
        let ran = runner.run(&Event::on_main("push", MERGED, 90), &inputs("apply", &[("binary", &ends)]));
        assert_eq!(ran.exits(code).explains(words).outputs["exitcode"], code.to_string());
    }
}

/// Says when it listens, and ends by a signal alone. It is no shell, as a shell cannot listen for an interrupt where the one
/// that started it beside itself does not.
const PATIENT: &str = "#!/usr/bin/env python3
import os, signal, time
for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
    signal.signal(number, lambda *_, code=code: os._exit(code))
open('listening', 'w').close()
while True:
    time.sleep(0.05)
";

/// A job that is cancelled gets signals, of which only the process that the runner started hears.
#[test]
fn a_cancelled_job_is_heard_of_by_portcullis() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let runner = here();
        let patient = runner.forge.program("patient", PATIENT);
        std::fs::write(runner.path("plan.json"), "{}").expect("a file");
        let mut child = runner
            .command(&Event::on_main("push", MERGED, 90), "bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", "exec sh \"$GITHUB_ACTION_PATH/apply.sh\""])
            .env("PORTCULLIS", &patient)
            .env("STACK", "edge")
            .env("SPEC", "spec.toml")
            .env("ARGUMENTS", "")
            .env("FOLDER", ".")
            .env("PLAN", "plan.json")
            .env("HASH", "0".repeat(64))
            .env("ATTEMPTS", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        while !runner.path("listening").exists() {
            assert!(child.try_wait().expect("a state").is_none(), "it ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let sent = runner
            .command(&Event::on_main("push", MERGED, 90), "sh")
            .args(["-c", &format!("kill -{signal} {}", child.id())])
            .status();
        assert!(sent.expect("kill").success());
        assert_eq!(child.wait().expect("an end").code(), Some(code));
    }
}

#[test]
fn portcullis_is_built_from_the_source_that_the_action_came_with() {
    let runner = here();
    let cargo = "#!/bin/sh\nprintf '%s\\n' \"$*\" >>\"$HOME/built\"\nwhile [ \"$1\" != --root ]; do shift; done\nmkdir -p \"$2/bin\"\nprintf '#!/bin/sh\\nexit 0\\n' >\"$2/bin/portcullis\"\nchmod +x \"$2/bin/portcullis\"\n";
    runner.forge.program("cargo", cargo);
    runner.forge.program("rustup", "#!/bin/sh\nprintf 'rustup %s\\n' \"$*\" >>\"$HOME/built\"\n");
    // What it built makes no plan, which is not what this is about.
    for _ in 0..2 {
        runner.run(&Event::pull_request(HEADS[0], 11), &inputs("plan", &[("binary", "")]));
    }
    let built = std::fs::read_to_string(runner.path("../home/built")).expect("a note");
    let source = env!("CARGO_MANIFEST_DIR");
    assert!(built.starts_with("rustup toolchain install 1.95 --profile minimal\ninstall --locked --path "), "{built}");
    assert!(built.contains(source), "{built}");
    assert_eq!(built.lines().count(), 2, "what is built is not built again: {built}");
}
