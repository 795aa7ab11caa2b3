//! The seeded bugs of `tests/teeth`: each still fits the code, and the README lists them all. Whether the tests catch them
//! is seen by `tests/teeth/run`, which takes longer than a test may.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn patches() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("tests/teeth")).expect("the seeded bugs");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut patches: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "patch")).collect();
    patches.sort();
    assert!(patches.len() >= 26, "only {} bugs are seeded", patches.len());
    patches
}

#[test]
fn every_seeded_bug_fits_the_code() {
    let mut faults = Vec::new();
    for patch in patches() {
        let name = patch.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&patch).expect("a patch");
        let header = text.split("\ndiff ").next().unwrap_or_default();
        for field in ["Bug: ", "Promise: ", "Test: cargo test "] {
            if !header.lines().any(|line| line.strip_prefix(field).is_some_and(|rest| !rest.is_empty())) {
                faults.push(format!("{name} does not say `{}`", field.trim_end()));
            }
        }
        if text.lines().any(|line| line.starts_with("+++ b/tests/")) {
            faults.push(format!("{name} breaks a test, which is no bug"));
        }
        let applied = Command::new("git").args(["apply", "--check"]).arg(&patch).current_dir(root()).output();
        let applied = applied.expect("git");
        if !applied.status.success() {
            faults.push(format!("{name} does not apply: {}", String::from_utf8_lossy(&applied.stderr)));
        }
    }
    assert!(
        faults.is_empty(),
        "{}\n(make the patch anew, and see with `tests/teeth/run NAME` that it is caught)",
        faults.join("\n")
    );
}

#[test]
fn the_table_in_the_readme_is_fresh() {
    let table = Command::new("sh").args(["tests/teeth/run", "--table"]).current_dir(root()).output().expect("a shell");
    let table = String::from_utf8(table.stdout).expect("text");
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).expect("the README");
    let (before, rest) = readme.split_once("<!-- teeth -->\n").expect("the table's beginning");
    let (there, after) = rest.split_once("<!-- end of teeth -->").expect("the table's end");
    if there == table {
        return;
    }
    assert!(
        std::env::var_os("BLESS").is_some(),
        "the README's table is not what `tests/teeth/run --table` prints (BLESS=1)"
    );
    fs::write(path, format!("{before}<!-- teeth -->\n{table}<!-- end of teeth -->{after}")).expect("a README");
}
