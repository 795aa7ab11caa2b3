//! As much of IAM as it takes to hold somebody to a policy: each resource of a request must be allowed by a statement whose
//! actions, resources and conditions fit
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>).

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use super::http::Request;

const ACCOUNT: &str = "123456789012";

/// One thing that a request is about, with what conditions may ask of it.
struct Subject {
    action: String,
    arn: String,
    context: BTreeMap<String, String>,
}

/// What a policy does not allow of a request: action and resource. None when it allows it all.
pub async fn refused(policy: &Value, request: &Request, api: &str, moto: u16) -> io::Result<Option<String>> {
    let subjects =
        if request.is_balancing() { balancing(request, api, moto).await? } else { ec2(request, api, moto).await? };
    let denied = subjects.into_iter().find(|subject| !allowed(policy, subject));
    Ok(denied.map(|subject| format!("{} on resource: {}", subject.action, subject.arn)))
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn allowed(policy: &Value, subject: &Subject) -> bool {
    let statements = policy["Statement"].as_array().expect("statements");
    statements.iter().any(|statement| {
        assert_eq!(statement["Effect"], "Allow", "{statement}");
        texts(&statement["Action"]).contains(&subject.action.as_str())
            && texts(&statement["Resource"]).iter().any(|pattern| fits(pattern, &subject.arn))
            && conditions(&statement["Condition"], &subject.context)
    })
}

fn conditions(all: &Value, context: &BTreeMap<String, String>) -> bool {
    let Some(all) = all.as_object() else { return true };
    all.iter().all(|(operator, keys)| {
        keys.as_object().expect("keys").iter().all(|(key, values)| {
            let (values, is) = (texts(values), context.get(key));
            match operator.as_str() {
                "StringEquals" => is.is_some_and(|is| values.contains(&is.as_str())),
                "StringNotEquals" => is.is_none_or(|is| !values.contains(&is.as_str())),
                other => panic!("no test knows `{other}`"),
            }
        })
    })
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|left| {
            (0..=left.len()).filter(|at| left.is_char_boundary(*at)).any(|at| fits(rest, &left[at..]))
        }),
    }
}

/// The tags that a request writes on what it makes.
fn written(request: &Request, prefix: &str) -> BTreeMap<String, String> {
    let fields: BTreeMap<String, String> = request.fields().collect();
    let keys = fields.iter().filter(|(name, _)| name.starts_with(prefix) && name.ends_with(".Key"));
    keys.map(|(name, key)| (key.clone(), fields.get(&name.replace(".Key", ".Value")).cloned().unwrap_or_default()))
        .collect()
}

fn with_tags(
    mut context: BTreeMap<String, String>,
    kind: &str,
    tags: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    context.extend(tags.iter().map(|(key, value)| (format!("aws:{kind}/{key}"), value.clone())));
    context
}

/// The type of a thing of EC2's, by its id.
fn kind_of(id: &str) -> &'static str {
    const KINDS: [(&str, &str); 10] = [
        ("i-", "instance"),
        ("sgr-", "security-group-rule"),
        ("sg-", "security-group"),
        ("eipalloc-", "elastic-ip"),
        ("key-", "key-pair"),
        ("vol-", "volume"),
        ("eni-", "network-interface"),
        ("subnet-", "subnet"),
        ("vpc-", "vpc"),
        ("ami-", "image"),
    ];
    KINDS.iter().find(|(prefix, _)| id.starts_with(prefix)).map_or("unknown", |(_, kind)| kind)
}

/// What an API of EC2's makes, and therefore tags.
fn makes(api: &str) -> &'static [&'static str] {
    match api {
        "RunInstances" => &["instance", "volume", "network-interface"],
        "CreateSecurityGroup" => &["security-group"],
        "AllocateAddress" => &["elastic-ip"],
        "ImportKeyPair" => &["key-pair"],
        "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress" => &["security-group-rule"],
        _ => &[],
    }
}

async fn ec2(request: &Request, api: &str, moto: u16) -> io::Result<Vec<Subject>> {
    let region = request.region();
    let here = BTreeMap::from([("aws:RequestedRegion".to_owned(), region.clone())]);
    let action = format!("ec2:{api}");
    if api == "GetCallerIdentity" {
        return Ok(Vec::new());
    }
    if api.starts_with("Describe") {
        return Ok(vec![Subject { action, arn: "*".to_owned(), context: here }]);
    }
    let arn = |kind: &str, id: &str| match kind {
        "image" => format!("arn:aws:ec2:{region}::image/{id}"),
        _ => format!("arn:aws:ec2:{region}:{ACCOUNT}:{kind}/{id}"),
    };
    let tags = written(request, "TagSpecification.");
    let mut subjects = Vec::new();
    for kind in makes(api) {
        let context = with_tags(here.clone(), "RequestTag", &tags);
        subjects.push(Subject { action: action.clone(), arn: arn(kind, "new"), context: context.clone() });
        if !tags.is_empty() {
            let mut context = context;
            context.insert("ec2:CreateAction".to_owned(), api.to_owned());
            subjects.push(Subject { action: "ec2:CreateTags".to_owned(), arn: arn(kind, "new"), context });
        }
    }
    let written = written(request, "Tag.");
    for id in named(request, moto).await? {
        let listed = request.call("DescribeTags", &[("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", &id)]);
        let listed = pairs(&listed.ask(moto).await?, "key", "value");
        let context = with_tags(with_tags(here.clone(), "ResourceTag", &listed), "RequestTag", &written);
        subjects.push(Subject { action: action.clone(), arn: arn(kind_of(&id), &id), context });
    }
    if request.fields().any(|(name, _)| name.starts_with("IamInstanceProfile.")) {
        let context = BTreeMap::from([("iam:PassedToService".to_owned(), "ec2.amazonaws.com".to_owned())]);
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/any");
        subjects.push(Subject { action: "iam:PassRole".to_owned(), arn, context });
    }
    assert!(!subjects.is_empty(), "nobody knows what `{api}` is about: {}", request.body);
    Ok(subjects)
}

/// The ids that a request is about. An association stands for those that it ties together.
async fn named(request: &Request, moto: u16) -> io::Result<Vec<String>> {
    // The peers of a rule are no part of what is changed, and names and texts are no ids.
    let texts = ["IpPermissions", "Tag", "GroupName", "GroupDescription", "KeyName", "ClientToken", "UserData"];
    let about = |name: &str| !texts.iter().any(|text| name.starts_with(text));
    let mut ids: Vec<String> =
        request.fields().filter(|(name, value)| about(name) && kind_of(value) != "unknown").map(|(_, id)| id).collect();
    for association in request.fields().filter(|(name, _)| name == "AssociationId").map(|(_, id)| id) {
        let (api, filter, tags) = if association.starts_with("eipassoc-") {
            ("DescribeAddresses", "association-id", &["<allocationId>", "<instanceId>", "<networkInterfaceId>"][..])
        } else {
            ("DescribeIamInstanceProfileAssociations", "association-id", &["<instanceId>"][..])
        };
        let by = [("Filter.1.Name", filter), ("Filter.1.Value.1", association.as_str())];
        let by = if api == "DescribeAddresses" { &by[..] } else { &[("AssociationId.1", association.as_str())][..] };
        let listed = request.call(api, by).ask(moto).await?;
        for open in tags {
            let close = open.replace('<', "</");
            ids.extend(super::http::between(&listed, open, &close).filter(|id| !id.is_empty()));
        }
    }
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// Pairs of neighbours in a document.
fn pairs(text: &str, key: &str, value: &str) -> BTreeMap<String, String> {
    let of = |name: &str| super::http::all_between(text, &format!("<{name}>"), &format!("</{name}>"));
    of(key).into_iter().zip(of(value)).collect()
}

async fn balancing(request: &Request, api: &str, moto: u16) -> io::Result<Vec<Subject>> {
    let region = request.region();
    let here = BTreeMap::from([("aws:RequestedRegion".to_owned(), region.clone())]);
    let action = format!("elasticloadbalancing:{api}");
    if api.starts_with("Describe") {
        return Ok(vec![Subject { action, arn: "*".to_owned(), context: here }]);
    }
    let single = request.field("LoadBalancerName");
    let name = single.or_else(|| request.list("LoadBalancerNames.member").pop()).expect("every call names one");
    let arn = format!("arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:loadbalancer/{name}");
    let tags = written(request, "Tags.");
    let context = with_tags(here, "RequestTag", &tags);
    if api == "CreateLoadBalancer" {
        let mut new = context.clone();
        new.insert("elasticloadbalancing:CreateAction".to_owned(), api.to_owned());
        let tagging = Subject { action: "elasticloadbalancing:AddTags".to_owned(), arn: arn.clone(), context: new };
        return Ok(vec![Subject { action, arn, context }, tagging]);
    }
    let listed = request.balance("DescribeTags", &[("LoadBalancerNames.member.1", &name)]).ask(moto).await?;
    let context = with_tags(context, "ResourceTag", &pairs(&listed, "Key", "Value"));
    Ok(vec![Subject { action, arn, context }])
}
