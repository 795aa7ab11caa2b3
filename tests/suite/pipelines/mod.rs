//! What runs in CI systems: the action for GitHub and the template for GitLab, with their shell parts executed, on the
//! simulated world, before stand-ins for the systems' own programs.

mod endings;
mod expression;
mod forge;
mod github;
mod gitlab;
mod hostile;
mod runner;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of this repository.
pub fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of YAML.
#[track_caller]
pub fn yaml(path: &str) -> Value {
    let text = std::fs::read_to_string(at(path)).unwrap_or_else(|why| panic!("{path}: {why}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// A text in a document.
#[track_caller]
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}
