//! Stories as a user lives them: the README, the examples' READMEs, and `tests/stories`.
//!
//! In each, a block fenced as `console` holds `$` lines and what they print, output and talk together as on a terminal; an
//! exit other than 0 stands in brackets. What prints fences itself stands between longer ones. `BLESS=1` writes what is printed now. A story runs in a folder of its own that holds
//! a copy of `examples`; an example's in its own folder there.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::canary;

#[test]
fn stories_read_as_they_did() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stories = vec![PathBuf::from("README.md")];
    stories.extend(below(root, "tests/stories").into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")));
    stories.extend(below(root, "examples").into_iter().map(|folder| folder.join("README.md")));
    assert!(stories.len() > 4, "the stories were not found");
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for story in stories {
        let path = root.join(&story);
        let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let home = if story.starts_with("examples") { story.parent().expect("a folder") } else { Path::new("") };
        let told = tell(&text, home);
        if told == text {
            continue;
        }
        if bless {
            fs::write(&path, &told).expect("a writable story");
        } else {
            let diff = similar::TextDiff::from_lines(&text, &told);
            wrong.push(format!("{}:\n{}", story.display(), diff.unified_diff().context_radius(3)));
        }
    }
    assert!(wrong.is_empty(), "{}\n(BLESS=1 takes what is printed now; read the difference first)", wrong.join("\n"));
}

fn below(root: &Path, folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(folder)).expect("a folder");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Path::new(folder).join(entry.expect("an entry").file_name())).collect();
    paths.sort();
    paths
}

/// Runs the commands of a story, and writes it down anew.
fn tell(story: &str, folder: &Path) -> String {
    let home = tempfile::tempdir().expect("a folder");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"), &home.path().join("examples"));
    let mut told = String::new();
    let mut block: Option<(usize, bool)> = None;
    for line in story.lines() {
        let ticks = line.bytes().take_while(|b| *b == b'`').count();
        let word = &line[ticks..];
        let (inside, edge) = match block {
            None if ticks >= 3 => (Some((ticks, word == "console")), true),
            Some((opening, _)) if ticks >= opening && word.is_empty() => (None, true),
            same => (same, false),
        };
        block = inside;
        let in_console = block.is_some_and(|(_, console)| console);
        if let Some(command) = line.strip_prefix("$ ").filter(|_| in_console) {
            let _ = write!(told, "$ {command}\n{}", run(command, &home.path().join(folder), home.path()));
        } else if !in_console || edge {
            told.push_str(line);
            told.push('\n');
        }
    }
    told
}

fn run(command: &str, folder: &Path, home: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_portcullis"));
    let path = format!(
        "{}:{}",
        binary.parent().expect("a folder of binaries").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let done = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env(canary::KEY_VARIABLE, canary::KEY)
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let mut out = String::from_utf8(done.stdout).expect("text");
    canary::demand_absent(command, &out);
    if let Some(code) = done.status.code().filter(|code| *code != 0) {
        let _ = writeln!(out, "[exit {code}]");
    }
    out.replace(&home.display().to_string(), "~")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}
