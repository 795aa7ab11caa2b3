//! What strangers write is no code: titles, branches, texts of a spec, comments, archives.

use portcullis::report::document::PlanDoc;
use serde_json::json;

use super::github::{HEADS, MERGED, approved, here, inputs, kept, plan};
use super::runner::{Event, Runner};
use super::{at, text, yaml};

const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");

/// A spec whose texts try to be commands of the runner, of a shell, and of ours.
fn hostile_spec() -> String {
    let data = [
        "#!/bin/sh",
        "::set-output name=hash::0000000000000000000000000000000000000000000000000000000000000000",
        "  ::add-mask::edge",
        "<!-- portcullis:plan edge -->",
        "<!-- portcullis:hash 0000000000000000000000000000000000000000000000000000000000000000 commit 1111111111111111111111111111111111111111 -->",
        "$(touch pwned) `touch pwned` ${{ github.token }}",
        "````` </details> @octocat /merge",
    ];
    let data = serde_json::to_string(&format!("{}\n", data.join("\n"))).expect("a text");
    format!(
        "stack = \"edge\"\nregion = \"eu-west-1\"\n[security_group.web]\ndescription = \"$(touch pwned)\"\n[instance.web]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"web\"]\nuser_data = {data}\n"
    )
}

#[test]
fn texts_of_strangers_are_texts() {
    let runner = Runner::with(&[("spec.toml", &hostile_spec())]);
    let planned = plan(&runner, HEADS[0], 11).exits(0);
    assert_eq!(planned.commands(), [""; 0], "{}", planned.log);
    let page = runner.forge.page("comments");
    let second = page[0].lines().nth(1).expect("a line");
    assert!(second.contains(&planned.outputs["hash"]), "{second}");

    // A spec that is wrong is quoted, line by line.
    runner.write("spec.toml", &format!("{}::error::x = 1\n\"::add-mask::y\" = 1\n", hostile_spec()));
    let wrong = plan(&runner, HEADS[1], 12).exits(1);
    assert_eq!(wrong.commands().len(), 1, "ours alone: {}", wrong.log);
    assert!(!runner.has_anywhere("pwned"));
}

#[test]
fn a_comment_or_an_archive_with_more_than_ours_changes_nothing() {
    let runner = approved();
    // Further down, where users' texts are, another hash; and beside the plan, files that want to be somewhere else.
    runner.forge.change(|state| {
        let body = text(state, "/comments/0/body").to_owned();
        let forged = format!("{body}\n<!-- portcullis:hash {} commit {} -->\n", "0".repeat(64), HEADS[0]);
        state["comments"][0]["body"] = json!(forged.replace('\n', "\r\n"));
        state["artifacts"][0]["beside"] = json!(["../../pwned", "/tmp/pwned-by-zip", "pwned"]);
    });
    let event = Event::on_main("push", MERGED, 90);
    runner.run(&event, &inputs("apply", &[])).exits(0);
    assert!(!runner.has_anywhere("pwned") && !std::path::Path::new("/tmp/pwned-by-zip").exists());
}

/// Whoever may push a branch may make a run of the workflow keep and tell what he likes, hash and all: even then nothing is
/// applied but what the merged spec asks for.
#[test]
fn a_forged_plan_is_no_more_than_the_merged_spec_asks_for() {
    let runner = approved();
    let file = kept(&runner);
    let text = std::fs::read_to_string(&file).expect("a plan");
    let forged = text.replace("\"0.0.0.0/0\"", "\"192.0.2.0/24\"");
    assert_ne!(text, forged);
    let forged: PlanDoc = serde_json::from_str(&forged).expect("a plan");
    let basis = forged.basis.clone();
    let (was, forged) = (forged.hash.clone().expect("a hash"), forged.sealed(basis));
    let hash = forged.hash.clone().expect("a hash");
    std::fs::write(&file, forged.text()).expect("a file");
    runner.forge.change(|state| {
        let body = state["comments"][0]["body"].as_str().expect("a text").replace(&was, &hash);
        state["comments"][0]["body"] = json!(body);
    });
    let event = Event::on_main("push", MERGED, 90);
    let ran = runner.run(&event, &inputs("apply", &[])).exits(4);
    assert!(ran.log.contains("a plan made from the spec now is another one"), "{}", ran.log);
    assert!(!runner.path("world.json").exists(), "the world was changed");
}

#[test]
fn a_fork_is_checked_offline_and_tells_nobody() {
    let runner = here();
    // Whatever is asked of portcullis is noted: a fork's spec is looked at, and nothing else.
    let spy = format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >>\"$HOME/asked\"\nexec {BINARY} \"$@\"\n");
    let spy = runner.forge.program("spy", &spy).display().to_string();
    let inputs = inputs("plan", &[("binary", &spy)]);
    let ran = runner.run(&Event::from_fork(HEADS[0], 11), &inputs).exits(0);
    assert!(ran.summary.contains("comes from a fork"), "{}", ran.summary);
    assert_eq!(ran.outputs["hash"], "");
    assert!(runner.forge.calls().is_empty() && runner.forge.state()["artifacts"] == json!([]));
    let asked = std::fs::read_to_string(runner.path("../home/asked")).expect("a note");
    assert_eq!(asked, "--version\nvalidate -- spec.toml\n");
    runner.write("spec.toml", "stack = 1\n");
    runner.run(&Event::from_fork(HEADS[0], 12), &inputs).exits(1);
}

#[test]
fn secrets_are_seen_by_nobody_who_does_not_need_them() {
    let runner = approved();
    let nosy = format!("#!/bin/sh\nenv >>\"$HOME/environment\"\nexec {BINARY} \"$@\"\n");
    let nosy = runner.forge.program("nosy", &nosy).display().to_string();
    let nosy = [("binary", nosy.as_str())];
    let planned = runner.run(&Event::pull_request(HEADS[0], 11), &inputs("plan", &nosy)).exits(0);
    let applied = runner.run(&Event::on_main("push", MERGED, 90), &inputs("apply", &nosy)).exits(0);
    let environment = std::fs::read_to_string(runner.path("../home/environment")).expect("a note");
    for seen in [
        environment,
        planned.log,
        planned.summary,
        applied.log,
        applied.summary,
        runner.forge.page("comments").concat(),
    ] {
        assert!(!seen.contains("ghs-canary"), "{seen}");
    }
}

/// An expression inside a script is code before the shell sees it; and whatever is used is named with a version.
#[test]
fn workflows_never_put_text_into_scripts() {
    for path in
        [".github/actions/portcullis/action.yml", "examples/gitops/github/portcullis.yml", ".github/workflows/ci.yml"]
    {
        let document = yaml(path);
        let mut steps = document["runs"]["steps"].as_array().cloned().unwrap_or_default();
        for job in document["jobs"].as_object().into_iter().flat_map(|jobs| jobs.values()) {
            steps.extend(job["steps"].as_array().expect("steps").clone());
        }
        assert!(!steps.is_empty(), "{path}");
        for step in steps {
            assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{path}: {step:#}");
            let uses = step["uses"].as_str();
            assert!(
                uses.is_none_or(|uses| uses.split_once('@').is_some_and(|(_, version)| version.starts_with('v'))),
                "{path}: {step:#}"
            );
        }
    }
    // What a title or a branch is called is not even asked for.
    for entry in std::fs::read_dir(at(".github/actions/portcullis")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let script = std::fs::read_to_string(&path).expect("a text");
        for word in [".title", "head.ref", "GITHUB_HEAD_REF", "eval "] {
            assert!(!script.contains(word), "{} has {word}", path.display());
        }
    }
}
