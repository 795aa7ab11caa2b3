//! What looking costs: listings and their pages, never a call for each object.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portcullis::model::StackName;
use portcullis::port::{Provider, Scope};

use crate::support::binary::Stage;
use crate::support::http::between;
use crate::support::moto;
use crate::support::proxy::Proxy;

fn calls(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(api, count)| ((*api).to_owned(), *count)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_of_no_change_is_listings_alone() {
    let proxy = Proxy::before(moto::port()).await;
    let stage = Stage::before(proxy.port);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/elastic-ip-pair");
    stage.copy(&example);
    let spec = std::fs::read_to_string(example.join("spec.toml")).expect("a spec");
    stage.write("spec.toml", &spec.replace("stack = \"pair\"", "stack = \"pages\""));
    stage.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    proxy.count();
    stage.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);
    let listings = [
        ("DescribeAddresses", 1),
        ("DescribeInstances", 1),
        ("DescribeKeyPairs", 1),
        ("DescribeLoadBalancers", 1),
        ("DescribeSecurityGroupRules", 1),
        ("DescribeSecurityGroups", 1),
        ("DescribeSubnets", 1),
        ("GetCallerIdentity", 1),
    ];
    let mut counted = proxy.count();
    // Balancers have no filters: while another test has some in the region, their tags are looked at.
    counted.remove("DescribeTags");
    assert_eq!(counted, calls(&listings));
    stage.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hundred_groups_are_one_listing_and_their_rules_three() {
    const REGION: &str = "ap-southeast-3";
    let vpc = between(&moto::ec2(REGION, "Action=DescribeVpcs"), "<vpcId>", "</vpcId>").expect("a VPC");
    for number in 0..401 {
        let tags = [("stack", "many"), ("address", &format!("security_group.g{number}")), ("generation", "1")];
        let mut form = format!("Action=CreateSecurityGroup&GroupName=many-{number}&GroupDescription=d&VpcId={vpc}");
        form.push_str("&TagSpecification.1.ResourceType=security-group");
        for (at, (key, value)) in tags.iter().enumerate() {
            let tag = format!("TagSpecification.1.Tag.{}", at + 1);
            form.push_str(&format!("&{tag}.Key=portcullis%3A{key}&{tag}.Value={value}"));
        }
        assert!(moto::ec2(REGION, &form).contains("<groupId>"), "group {number}");
    }
    let proxy = Proxy::before(moto::port()).await;
    let aws = moto::aws(proxy.port, REGION).await;
    let regions = BTreeSet::from([moto::region(REGION)]);
    let stack = StackName::new("many").expect("a stack");
    let scope = Scope {
        stack,
        regions,
        all_regions: false,
        named: BTreeSet::new(),
        reads: portcullis::resources::Read::ALL.into(),
        fleet: BTreeSet::new(),
        hosts: std::collections::BTreeMap::new(),
    };
    let snapshot = aws.observe(&scope).await.expect("listed");
    assert_eq!(snapshot.objects.len(), 401);
    let with_rules = snapshot.objects.iter().filter(|object| match &object.body {
        portcullis::resources::registry::Body::SecurityGroup(group) => group.rules.len() == 1,
        _ => false,
    });
    assert_eq!(with_rules.count(), 401, "each has its default egress");
    // A filter takes 200 values.
    assert_eq!((proxy.seen("DescribeSecurityGroups"), proxy.seen("DescribeSecurityGroupRules")), (1, 3));
}
