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
use crate::resources::snapshot::{Fleet, Snapshot};

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
        let told = |object: &&Object| (row(stack, object), members(object, &own), object.describe());
        let mut rows: Vec<(Row, Vec<Row>, Vec<String>)> = objects.iter().map(told).collect();
        rows.sort();
        let widths = widths(rows.iter().map(|(row, ..)| row));
        for (row, members, lines) in &rows {
            row.write(&mut out, 2, widths);
            let widths = self::widths(members);
            for member in members {
                member.write(&mut out, 6, widths);
            }
            for line in lines {
                let _ = writeln!(out, "      {}", one_line(line));
            }
        }
    }
    for unseen in &snapshot.unseen {
        let text = format!("could not see {}: {}", unseen.region, safe(&unseen.why));
        let _ = writeln!(out, "{}", style.paint(Ink::Bad, &text));
    }
    fleet(&mut out, snapshot, style);
    let owned = snapshot.objects.iter().filter(|object| owner(stack, object).is_some()).count();
    let foreign = snapshot.objects.len() - owned;
    let _ = writeln!(out, "{owned} owned by stack {stack}, {foreign} others that the spec names.");
    out
}

/// What could be seen of hosts and of the instances that queries look at.
fn fleet(out: &mut String, snapshot: &Snapshot, style: Style) {
    let count = |fleet: &Fleet| match fleet {
        Fleet::Seen(machines) => Some(machines.len()),
        Fleet::Unseen(_) => None,
    };
    let seen: Vec<String> = snapshot
        .fleet
        .iter()
        .filter_map(|(region, fleet)| Some(format!("{} in {region}", count(fleet).filter(|count| *count > 0)?)))
        .collect();
    if !seen.is_empty() {
        let _ = writeln!(out, "instances where queries look: {}", seen.join(", "));
    }
    for (region, fleet) in &snapshot.fleet {
        if let Fleet::Unseen(why) = fleet {
            let text = format!("could not list the instances of {region}: {}", one_line(why));
            let _ = writeln!(out, "{}", style.paint(Ink::Bad, &text));
        }
    }
    for (host, why) in &snapshot.unreached {
        let text = format!("could not reach {}: {}", one_line(host.as_str()), one_line(why));
        let _ = writeln!(out, "{}", style.paint(Ink::Bad, &text));
    }
}

/// Text from the world that must not look like several lines.
fn one_line(text: &str) -> String {
    safe(text).replace(['\n', '\t'], "\u{fffd}")
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

    #[test]
    fn hosts_and_regions_that_were_not_seen_are_named() {
        let host = serde_json::json!({
            "id": "root@gw", "region": "hosts",
            "body": { "host_firewall": {
                "target": { "ssh": { "user": "root", "host": "gw" } },
                "facts": { "nft": "1.0.6", "remarks": ["a remark\n3 owned by nobody"] },
            } },
        });
        let snapshot: Snapshot = serde_json::from_value(serde_json::json!({
            "objects": [host],
            "fleet": {
                "eu-west-1": { "seen": [{ "id": "i-1", "state": "running" }] }, "us-east-1": { "seen": [] },
                "us-west-2": { "unseen": "timed out" },
            },
            "unreached": { "root@away": "no route to host" },
        }))
        .unwrap();
        let text = "hosts
  host_firewall (not owned)  root@gw
      nft 1.0.6, no iptables, no ipset
      nothing of this stack stands there
      a remark\u{fffd}3 owned by nobody
instances where queries look: 1 in eu-west-1
could not list the instances of us-west-2: timed out
could not reach root@away: no route to host
0 owned by stack shop, 1 others that the spec names.
";
        assert_eq!(terminal(&StackName::new("shop").unwrap(), &snapshot, World::Aws, Style::Plain), text);
    }
}
