//! The schemas in `schemas/` are those that the binary writes. `BLESS=1` writes them anew.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn schemas_are_fresh() {
    for document in ["spec", "plan", "snapshot", "outcome", "journal", "world"] {
        let done =
            Command::new(env!("CARGO_BIN_EXE_portcullis")).args(["schema", document]).output().expect("the binary");
        assert!(done.status.success());
        let fresh = String::from_utf8(done.stdout).expect("text");
        let value: serde_json::Value = serde_json::from_str(&fresh).expect("a schema is JSON");
        assert!(value.get("$schema").is_some(), "{document} says which JSON Schema it is written in");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{document}.schema.json"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &fresh).expect("a writable schema");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == fresh, "{} is not fresh: BLESS=1 cargo test schemas_are_fresh", path.display());
    }
}
