//! What is there, and whose it is, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::World;
use super::style::{Ink, Style, safe};
use crate::model::{Address, CloudId, Output, Owner, StackName};
use crate::resources::Member;
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
        let own: BTreeMap<&CloudId, Address> =
            objects.iter().filter_map(|object| Some((&object.id, owner(stack, object)?.address))).collect();
        let mut rows: Vec<(Row, Vec<Row>)> =
            objects.iter().map(|object| (row(stack, object), members(object, &own))).collect();
        rows.sort();
        let widths = widths(rows.iter().map(|(row, _)| row));
        for (row, members) in &rows {
            row.write(&mut out, 2, widths);
            let widths = self::widths(members);
            for member in members {
                member.write(&mut out, 6, widths);
            }
        }
    }
    for unseen in &snapshot.unseen {
        let text = format!("could not see {}: {}", unseen.region, safe(&unseen.why));
        let _ = writeln!(out, "{}", style.paint(Ink::Bad, &text));
    }
    let owned = snapshot.objects.iter().filter(|object| owner(stack, object).is_some()).count();
    let foreign = snapshot.objects.len() - owned;
    let _ = writeln!(out, "{owned} owned by stack {stack}, {foreign} others that the spec names.");
    out
}

/// Who owns an object, where that is this stack.
fn owner(stack: &StackName, object: &Object) -> Option<Owner> {
    object.owner().filter(|owner| owner.stack == stack.as_str())
}

/// A line of three columns.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    who: String,
    id: String,
    what: String,
}

impl Row {
    fn write(&self, out: &mut String, indent: usize, (first, second): (usize, usize)) {
        let line = format!("{:indent$}{:<first$}  {:<second$}  {}", "", self.who, self.id, self.what);
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// How wide the first two columns are.
fn widths<'a>(rows: impl IntoIterator<Item = &'a Row>) -> (usize, usize) {
    rows.into_iter().fold((0, 0), |(first, second), row| (first.max(row.who.len()), second.max(row.id.len())))
}

fn row(stack: &StackName, object: &Object) -> Row {
    let who = match owner(stack, object) {
        Some(owner) => format!("{} (generation {})", owner.address, owner.generation),
        None => format!("{} (not owned)", object.kind()),
    };
    let outputs = object.outputs();
    let told = [Output::Name, Output::DnsName, Output::PrivateIp, Output::PublicIp, Output::Zone];
    let mut what: Vec<String> = told.iter().filter_map(|output| outputs.get(output)).map(|text| safe(text)).collect();
    if object.going() {
        what.push("on its way out".to_owned());
    }
    Row { who, id: safe(object.id.as_str()), what: what.join("  ") }
}

/// Whom an object sends traffic to: by address where it is the stack's own, and how each of them is.
fn members(object: &Object, own: &BTreeMap<&CloudId, Address>) -> Vec<Row> {
    let row = |member: Member| Row {
        who: own.get(&member.id).map_or_else(|| "(not owned)".to_owned(), ToString::to_string),
        id: safe(member.id.as_str()),
        what: safe(&member.state),
    };
    let mut rows: Vec<Row> = object.members().into_iter().map(row).collect();
    rows.sort();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let tags = |address: &str| {
            serde_json::json!({
                "portcullis:stack": "shop", "portcullis:address": address, "portcullis:generation": "1",
            })
        };
        let address = |id: &str, name: &str| {
            serde_json::json!({
                "id": id, "region": "eu-west-1", "tags": tags(name),
                "body": { "elastic_ip": { "public_ip": "198.18.0.1" } },
            })
        };
        let listener = serde_json::json!({ "protocol": "http", "instance_port": 8000, "instance_protocol": "http" });
        let check = serde_json::json!({
            "target": "TCP:8000", "interval": 30, "timeout": 5, "unhealthy_after": 2, "healthy_after": 10,
        });
        let out = |reason: &str| serde_json::json!({ "in_service": false, "reason": reason });
        let balancer = serde_json::json!({
            "id": "eu-west-1/shop-front-1", "region": "eu-west-1", "tags": tags("load_balancer.front"),
            "body": { "load_balancer": {
                "name": "shop-front-1", "dns_name": "shop-front-1.elb.example", "scheme": "internet-facing",
                "vpc": "vpc-1", "subnets": ["subnet-1"], "security_groups": ["sg-1"],
                "listeners": { "80": listener }, "health_check": check,
                "instances": ["i-9", "i-1", "i-2", "i-3"],
                "attributes": { "cross_zone": true, "idle_timeout": 60 },
                "health": { "i-1": { "in_service": true }, "i-2": out("Instance has failed\u{1b}[31m"), "i-9": out("") },
            } },
        });
        // What is registered is known by its id alone, so an address stands here for an instance.
        let (first, second) = (address("i-1", "elastic_ip.b"), address("i-2", "elastic_ip.a"));
        serde_json::from_value(serde_json::json!({ "objects": [balancer, first, second] })).unwrap()
    }

    const OBSERVED: &str = "simulated world
eu-west-1
  elastic_ip.a (generation 1)         i-2                     198.18.0.1
  elastic_ip.b (generation 1)         i-1                     198.18.0.1
  load_balancer.front (generation 1)  eu-west-1/shop-front-1  shop-front-1  shop-front-1.elb.example
      (not owned)   i-3  registered, its health is not known
      (not owned)   i-9  OutOfService
      elastic_ip.a  i-2  OutOfService: Instance has failed\u{fffd}[31m
      elastic_ip.b  i-1  InService
3 owned by stack shop, 0 others that the spec names.
";

    #[test]
    fn members_stand_below_the_one_that_sends_them_traffic() {
        let stack = StackName::new("shop").unwrap();
        assert_eq!(terminal(&stack, &snapshot(), World::Simulated, Style::Plain), OBSERVED);
    }
}
