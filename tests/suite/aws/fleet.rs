//! Every instance of some regions, for queries: what it tells, and that a region fails alone.

use std::collections::BTreeMap;

use portcullis::model::query::Regions;
use portcullis::resources::snapshot::{Fleet, Machine};

use super::*;

/// A scope that only looks at instances.
fn scope(corner: &Corner, fleet: Regions) -> Scope {
    Scope {
        stack: corner.stack.clone(),
        regions: BTreeSet::new(),
        all_regions: false,
        named: BTreeSet::new(),
        reads: BTreeSet::new(),
        fleet: [fleet].into(),
        hosts: BTreeMap::new(),
    }
}

fn these(regions: &[&str]) -> Regions {
    Regions::These(regions.iter().map(|name| moto::region(name)).collect())
}

/// Launches instances of nobody's stack, past the proxy.
fn launch(region: &str, count: usize) {
    let tag =
        "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Role&TagSpecification.1.Tag.1.Value=web";
    let form = format!("Action=RunInstances&ImageId={}&MinCount={count}&MaxCount={count}&{tag}", image());
    assert!(moto::ec2(region, &form).contains("<instanceId>"), "{region}");
}

fn machines<'a>(snapshot: &'a Snapshot, region: &str) -> &'a [Machine] {
    match snapshot.fleet.get(&moto::region(region)) {
        Some(Fleet::Seen(machines)) => machines,
        other => panic!("{region}: {other:?}"),
    }
}

fn why(snapshot: &Snapshot, region: &str) -> String {
    match snapshot.fleet.get(&moto::region(region)) {
        Some(Fleet::Unseen(why)) => why.clone(),
        other => panic!("{region}: {other:?}"),
    }
}

#[tokio::test]
async fn whoever_owns_them_they_are_listed_with_their_addresses() {
    const REGION: &str = "ap-southeast-4";
    let corner = corner(REGION).await;
    launch(REGION, 3);
    let before = corner.aws.observe(&scope(&corner, these(&[REGION]))).await.expect("listed");
    let [one, two, gone] = machines(&before, REGION) else { panic!("{before:?}") };
    assert_eq!((one.state.as_str(), one.tags.get("Role").map(String::as_str)), ("running", Some("web")));
    assert!(one.public.is_some() && one.private.is_some() && one.public != two.public, "{before:?}");
    moto::ec2(REGION, &format!("Action=TerminateInstances&InstanceId.1={}", gone.id));
    moto::ec2(REGION, &format!("Action=StopInstances&InstanceId.1={}", two.id));
    let after = corner.aws.observe(&scope(&corner, these(&[REGION]))).await.expect("listed");
    let states: Vec<(&str, bool)> =
        machines(&after, REGION).iter().map(|one| (one.state.as_str(), one.public.is_some())).collect();
    assert_eq!(states.len(), 2, "the dead are left out: {states:?}");
    assert!(states.iter().any(|(state, _)| *state == "stopped"), "{states:?}");
    assert_eq!((after.objects.len(), after.facts.len(), after.unseen.len()), (0, 0, 0), "nothing else is looked at");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_fails_or_is_silent_fails_alone() {
    let (closed, silent, fine) = ("eu-south-2", "ca-west-1", "me-south-1");
    let corner = corner(fine).await;
    launch(fine, 1);
    corner.proxy.close(closed, Fault::Refused(403, "OptInRequired"));
    corner.proxy.close(silent, Fault::Silent);
    let all = Regions::AllBut(BTreeSet::from([moto::region("us-west-1")]));
    let own = Scope { regions: BTreeSet::from([corner.region.clone()]), ..scope(&corner, all) };
    let seen = corner.aws.observe(&own).await.expect("the others are listed");
    assert!(why(&seen, closed).contains("OptInRequired"), "{}", why(&seen, closed));
    assert!(why(&seen, silent).contains("within 15 s"), "{}", why(&seen, silent));
    assert_eq!(machines(&seen, fine).len(), 1);
    assert!(seen.fleet.len() > 10 && !seen.fleet.contains_key(&moto::region("us-west-1")));
    assert_eq!((seen.unseen.len(), seen.facts.len()), (0, 1), "{:?}", seen.unseen);
}

#[tokio::test]
async fn half_a_listing_is_none() {
    const REGION: &str = "af-south-1";
    let corner = corner(REGION).await;
    launch(REGION, 2);
    let asked = scope(&corner, these(&[REGION]));
    let whole = corner.aws.observe(&asked).await.expect("listed");
    assert_eq!((machines(&whole, REGION).len(), corner.proxy.seen("DescribeInstances")), (2, 1));
    // The first page comes, and the second does not, or leads back.
    for (second, why) in [
        (Fault::Refused(403, "UnauthorizedOperation"), "UnauthorizedOperation"),
        (Fault::More, "its pages lead in a circle"),
    ] {
        corner.proxy.fault("DescribeInstances", Fault::More);
        corner.proxy.fault("DescribeInstances", second);
        let half = corner.aws.observe(&asked).await.expect("the plan does not fail");
        let told = self::why(&half, REGION);
        assert!(told.contains(why), "{told}");
    }
    assert_eq!(corner.proxy.seen("DescribeInstances"), 5);
}

#[tokio::test]
async fn nobody_guesses_which_regions_there_are() {
    let corner = corner("il-central-1").await;
    corner.proxy.always("DescribeRegions", Fault::Refused(403, "UnauthorizedOperation"));
    let all = scope(&corner, Regions::AllBut(BTreeSet::new()));
    let error = corner.aws.observe(&all).await.expect_err("regions that are not known would count as empty");
    assert_eq!((error.class, error.doing.as_str()), (Class::Denied, "ec2:DescribeRegions in il-central-1"));
    corner.aws.observe(&scope(&corner, these(&["il-central-1"]))).await.expect("named ones are known");
}

#[tokio::test]
async fn firewalls_of_hosts_are_no_business_of_aws() {
    use portcullis::model::{CloudId, Target};
    use portcullis::resources::host_firewall;
    let corner = corner("eu-west-1").await;
    let (id, hosts) = (CloudId::new("local"), Region::hosts());
    assert_eq!(corner.aws.reread(Kind::HostFirewall, &hosts, &id).await.expect("no error"), None);
    let reach = host_firewall::Action::Reach { target: Target::Local { sudo: false } };
    let call = Call { region: hosts, ..corner.call("host_firewall.a", Action::HostFirewall(reach)) };
    let error = corner.perform(&call, &Bindings::default()).await.expect_err("not here");
    assert_eq!(error.class, Class::Invalid);
}
