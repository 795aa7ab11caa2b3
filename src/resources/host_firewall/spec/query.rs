//! A question about instances, as written.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::query::{AddressOf, Regions};
use crate::model::tree::{Node, Value};
use crate::model::{Query, Region};
use crate::resources::decode::{At, Decode, Fields, one_of, wrong_type};
use crate::resources::values::LookupTags;

/// The states of instances that have addresses, in EC2's words
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html>). One that shuts down gives its public
/// address back, and somebody else gets it.
const STATES: [(&str, &str); 4] =
    [("pending", "pending"), ("running", "running"), ("stopping", "stopping"), ("stopped", "stopped")];
/// Whose addresses are wanted where nothing is said.
const USUAL_STATES: [&str; 2] = ["pending", "running"];

/// Reads it.
pub(super) fn read(node: &Node, problems: &mut Diagnostics) -> Option<Query> {
    const ADDRESSES: [(&str, AddressOf); 3] = [
        (AddressOf::Public.word(), AddressOf::Public),
        (AddressOf::Private.word(), AddressOf::Private),
        (AddressOf::Ipv6.word(), AddressOf::Ipv6),
    ];
    let mut fields = Fields::of(node, "a query for instances", problems)?;
    let (regions, except) = (fields.node("regions"), fields.node("except"));
    let regions = read_regions(node, regions, except, problems);
    let states = fields.node("states").map(|node| read_states(node, problems));
    let tags: Option<LookupTags> = fields.optional("tags", problems);
    let address = fields.node("address").map(|node| one_of(node, &ADDRESSES, problems));
    fields.finish(problems);
    Some(Query {
        regions: regions?,
        states: states.unwrap_or_else(|| USUAL_STATES.map(str::to_owned).into()),
        tags: tags.map(|tags| tags.0).unwrap_or_default(),
        address: address.unwrap_or(Some(AddressOf::Public))?,
    })
}

/// Either all regions with exceptions, or a list.
fn read_regions(
    whole: &Node,
    regions: Option<&Node>,
    except: Option<&Node>,
    problems: &mut Diagnostics,
) -> Option<Regions> {
    let excepted = except.map(|node| read_list(node, problems));
    let Some(node) = regions else {
        return problems.fail(
            Diagnostic::error("missing-key", whole.span, "a query for instances needs `regions`")
                .hint("write `regions = \"all\"`, or name them: `regions = [\"eu-west-1\"]`"),
        );
    };
    match &node.value {
        Value::String(word) if word.eq_ignore_ascii_case("all") => {
            Some(Regions::AllBut(excepted.map_or(Some(BTreeSet::new()), |list| list)?))
        }
        Value::String(word) => {
            let problem = Diagnostic::error("regions", node.span, "`regions` is \"all\" or a list of regions");
            problems.fail(match Region::written(word) {
                Ok(region) => problem.hint(format!("write [\"{region}\"]")),
                Err(_) => problem,
            })
        }
        Value::Array(_) => {
            let these = read_list(node, problems);
            if let Some(except) = except {
                let problem = Diagnostic::error("combination", except.span, "`except` is for `regions = \"all\"`");
                problems.push(problem.hint("leave them out of `regions`"));
            }
            these.map(Regions::These)
        }
        other => problems.fail(wrong_type(node.span, "\"all\" or a list of regions", other)),
    }
}

/// Regions, each once and at least one.
fn read_list(node: &Node, problems: &mut Diagnostics) -> Option<BTreeSet<Region>> {
    let list: Vec<At<Region>> = Decode::decode(node, problems)?;
    if matches!(&node.value, Value::Array(items) if items.is_empty()) {
        return problems.fail(Diagnostic::error("empty", node.span, "this names no region").hint("leave it out"));
    }
    let mut regions = BTreeSet::new();
    for At { value, span } in list {
        if !regions.insert(value.clone()) {
            problems.push(Diagnostic::error("twice", span, format!("{value} stands here twice")));
        }
    }
    Some(regions)
}

/// States, at least one.
fn read_states(node: &Node, problems: &mut Diagnostics) -> BTreeSet<String> {
    let Value::Array(items) = &node.value else {
        problems.push(wrong_type(node.span, "a list of states", &node.value));
        return BTreeSet::new();
    };
    if items.is_empty() {
        let problem = Diagnostic::error("empty", node.span, "instances in no state are none");
        problems.push(problem.hint("leave it out for those that are pending or running"));
    }
    items.iter().filter_map(|item| one_of(item, &STATES, problems)).map(str::to_owned).collect()
}
