//! What is there, and whose it is, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::World;
use super::style::{Ink, Style, safe};
use crate::model::{Output, StackName};
use crate::resources::registry::Object;
use crate::resources::snapshot::Snapshot;

/// The version of the document.
pub const FORMAT_VERSION: u32 = 1;

/// A snapshot for machines, and for `plan --snapshot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotDoc {
    /// The version of this document.
    pub format_version: u32,
    /// Which world was observed.
    pub world: World,
    /// For which stack.
    pub stack: StackName,
    /// What was there.
    pub snapshot: Snapshot,
}

/// Writes a snapshot down.
#[must_use]
pub fn document(stack: &StackName, snapshot: Snapshot, world: World) -> SnapshotDoc {
    SnapshotDoc { format_version: FORMAT_VERSION, world, stack: stack.clone(), snapshot }
}

/// Writes a snapshot for the terminal.
#[must_use]
pub fn terminal(stack: &StackName, snapshot: &Snapshot, world: World, style: Style) -> String {
    let mut out = String::new();
    if world == World::Simulated {
        out.push_str("simulated world\n");
    }
    let mut regions: BTreeMap<String, Vec<&Object>> = BTreeMap::new();
    for object in &snapshot.objects {
        regions.entry(object.region.to_string()).or_default().push(object);
    }
    for (region, objects) in regions {
        let _ = writeln!(out, "{}", style.paint(Ink::Strong, &region));
        let mut lines: Vec<(String, String, String)> = objects.iter().map(|object| row(stack, object)).collect();
        lines.sort();
        let width = |pick: fn(&(String, String, String)) -> &String| lines.iter().map(|line| pick(line).len()).max();
        let (first, second) = (width(|line| &line.0).unwrap_or(0), width(|line| &line.1).unwrap_or(0));
        for (who, id, what) in &lines {
            let line = format!("  {who:<first$}  {id:<second$}  {what}");
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    for unseen in &snapshot.unseen {
        let text = format!("could not see {}: {}", unseen.region, safe(&unseen.why));
        let _ = writeln!(out, "{}", style.paint(Ink::Bad, &text));
    }
    let owned = snapshot.objects.iter().filter(|object| owned(stack, object)).count();
    let foreign = snapshot.objects.len() - owned;
    let _ = writeln!(out, "{owned} owned by stack {stack}, {foreign} others that the spec names.");
    out
}

fn owned(stack: &StackName, object: &Object) -> bool {
    object.owner().is_some_and(|owner| owner.stack == stack.as_str())
}

fn row(stack: &StackName, object: &Object) -> (String, String, String) {
    let who = match object.owner().filter(|owner| owner.stack == stack.as_str()) {
        Some(owner) => format!("{} (generation {})", owner.address, owner.generation),
        None => format!("{} (not owned)", object.kind()),
    };
    let outputs = object.outputs();
    let told = [Output::Name, Output::PrivateIp, Output::PublicIp, Output::Zone];
    let mut what: Vec<String> = told.iter().filter_map(|output| outputs.get(output)).map(|text| safe(text)).collect();
    if object.going() {
        what.push("on its way out".to_owned());
    }
    (who, object.id.to_string(), what.join("  "))
}
