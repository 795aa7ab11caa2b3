//! The layering of the house: which module may name which, and who is the only door to which library.

use std::fs;
use std::path::{Path, PathBuf};

/// One row of the table: a part of the tree, and the crate's modules it may name.
struct Layer {
    /// Files whose path below `src` begins so; the first row that fits applies.
    of: &'static str,
    may_name: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer { of: "main.rs", may_name: &["cli"] },
    Layer { of: "lib.rs", may_name: &[] },
    Layer { of: "model/", may_name: &["model"] },
    Layer { of: "diagnostic.rs", may_name: &["model"] },
    Layer { of: "resources/", may_name: &["resources", "model", "diagnostic"] },
    Layer { of: "port.rs", may_name: &["resources", "model"] },
    Layer { of: "spec/", may_name: &["spec", "resources", "model", "diagnostic"] },
    Layer { of: "plan/", may_name: &["plan", "resources", "model", "diagnostic"] },
    Layer { of: "reach/", may_name: &["reach", "resources", "model"] },
    Layer { of: "rehearsal/", may_name: &["rehearsal", "plan", "reach", "resources", "model", "diagnostic"] },
    Layer { of: "provider/", may_name: &["provider", "port", "resources", "model"] },
    Layer { of: "apply/", may_name: &["apply", "plan", "port", "resources", "model"] },
    // The fence stands before a provider.
    Layer { of: "lock/", may_name: &["lock", "port", "resources", "model"] },
    // Of port, the report names the types of what went wrong; of spec, the sources that problems point into.
    Layer {
        of: "report/",
        may_name: &["report", "plan", "apply", "lock", "port", "spec", "resources", "diagnostic", "model"],
    },
    Layer {
        of: "cli/",
        may_name: &[
            "cli",
            "report",
            "apply",
            "lock",
            "provider",
            "rehearsal",
            "plan",
            "port",
            "spec",
            "resources",
            "diagnostic",
            "model",
        ],
    },
];

/// Libraries with one door each: the parts of the tree that may name them.
const DOORS: &[(&str, &[&str])] = &[
    ("aws_sdk_s3", &["lock/s3"]),
    ("aws_", &["provider/aws", "resources/*/aws", "lock/s3"]),
    ("petgraph", &["plan/"]),
    ("similar", &["report/"]),
    ("clap", &["cli/"]),
    ("tokio", &["apply/", "cli/", "provider/", "lock/"]),
    ("minijinja", &["spec/"]),
    ("toml", &["spec/"]),
    ("jsonc_parser", &["spec/"]),
    ("annotate_snippets", &["report/"]),
];

/// What the pure parts must not touch: the outside world.
const OUTSIDE: &[&str] =
    &["std::fs", "std::env", "std::time", "std::process", "std::net::Tcp", "Timestamp::now", "async fn", "HashMap"];
const PURE: &[&str] = &[
    "model/",
    "diagnostic.rs",
    "resources/",
    "spec/",
    "plan/",
    "reach/",
    "rehearsal/",
    "report/",
    "lock/lease.rs",
    "lock/ci.rs",
];

const COLUMNS: &[&str] = &["key_pair", "security_group", "elastic_ip", "instance", "load_balancer", "host_firewall"];
const KINDS: &[&str] = &[
    "Kind::KeyPair",
    "Kind::SecurityGroup",
    "Kind::ElasticIp",
    "Kind::Instance",
    "Kind::LoadBalancer",
    "Kind::HostFirewall",
];
/// Where kinds meet: everything else under `resources` belongs to one column or to none.
/// The provider's dispatch matches on the registry's list.
const MEETING_PLACES: &[&str] = &[
    "resources/mod.rs",
    "resources/registry.rs",
    "resources/world/",
    "provider/aws/mod.rs",
    "provider/aws/inquire.rs",
    "provider/hosts.rs",
];

#[test]
fn every_module_names_only_what_its_layer_may() {
    let mut faults = Vec::new();
    for (file, code) in sources() {
        let layer =
            LAYERS.iter().find(|layer| file.starts_with(layer.of)).unwrap_or_else(|| panic!("{file} has no layer"));
        let door = is_door(&file);
        for named in named_modules(&code) {
            // The one column file that is allowed further: AWS's or the hosts', which stands on the port and the provider's
            // client.
            let allowed =
                layer.may_name.contains(&named.as_str()) || (door && ["port", "provider"].contains(&named.as_str()));
            if !allowed {
                faults.push(format!("{file} names crate::{named}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_library_has_its_door() {
    let mut faults = Vec::new();
    for (file, code) in sources() {
        for (library, doors) in DOORS {
            let open = doors.iter().any(|door| match door.split_once("*/") {
                Some((before, after)) => file.starts_with(before) && file.contains(&format!("/{after}")),
                None => file.starts_with(door),
            }) || (is_door(&file) && ["aws_", "tokio"].contains(library));
            if !open && names_crate(&code, library) {
                faults.push(format!("{file} names {library}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_pure_parts_touch_nothing_outside() {
    let mut faults = Vec::new();
    for (file, code) in sources() {
        if PURE.iter().any(|pure| file.starts_with(pure)) && !is_door(&file) {
            // The one map without an order cannot be walked.
            let excepted = |word: &str| word == "HashMap" && file == "plan/lookup.rs";
            faults.extend(
                OUTSIDE
                    .iter()
                    .filter(|word| !excepted(word) && code.contains(*word))
                    .map(|word| format!("{file} has {word}")),
            );
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn rows_name_no_column_and_columns_no_other() {
    let mut faults = Vec::new();
    for (file, code) in sources() {
        let meets = MEETING_PLACES.iter().any(|place| file.starts_with(place));
        if meets || file.starts_with("model/") || file.starts_with("cli/") {
            continue;
        }
        let own = file.strip_prefix("resources/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        for column in COLUMNS.iter().filter(|column| **column != own) {
            if code.contains(&format!("resources::{column}")) || code.contains(&format!("{column}::")) {
                faults.push(format!("{file} names the column {column}"));
            }
        }
        let rows = ["spec/", "plan/", "reach/", "rehearsal/", "apply/", "lock/", "report/"];
        let row = rows.iter().any(|row| file.starts_with(row));
        if row {
            faults.extend(KINDS.iter().filter(|kind| code.contains(**kind)).map(|kind| format!("{file} names {kind}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_stay_readable() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(_, code)| code.lines().count() > 600)
        .map(|(file, code)| format!("{file} has {} lines", code.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// A column's way out to the world, and AWS's.
fn is_door(file: &str) -> bool {
    let column = file.starts_with("resources/") && file.contains("/aws");
    file.starts_with("provider/aws") || column || file.starts_with("resources/host_firewall/hosts")
}

/// Every source file below `src`, its tests left out, with its path.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    assert!(files.len() > 30, "the sources were not found");
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("below src").display().to_string();
            let text = fs::read_to_string(&path).expect("readable");
            (name, without_comments(&text))
        })
        .filter(|(name, _)| !name.contains("tests") && !name.contains("testing"))
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// The code alone: no comments, and nothing behind an inline test module.
fn without_comments(text: &str) -> String {
    let code: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("mod tests {"))
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    code.join("\n")
}

fn named_modules(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let inside = list.split('}').next().unwrap_or_default();
            named.extend(inside.split(',').map(|word| word.trim().split("::").next().unwrap_or_default().to_owned()));
        } else {
            named.push(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect());
        }
    }
    named.retain(|word| !word.is_empty());
    named
}

/// Whether code names a crate: its name at the start of a path. `aws_` stands for every crate of the SDK.
fn names_crate(code: &str, library: &str) -> bool {
    code.match_indices(library).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let rest = &code[at + library.len()..];
        let path = if library == "aws_" {
            ["sdk_", "config::", "smithy_", "types::", "runtime"].iter().any(|next| rest.starts_with(next))
        } else {
            rest.starts_with("::")
        };
        path && !before.is_alphanumeric() && before != '_' && before != ':'
    })
}
