//! The simulated world as a provider: its file, its listings, its errors.

use std::collections::BTreeSet;

use super::*;
use crate::model::duration::Seconds;
use crate::model::{Tags, tags};
use crate::port::Wanted;
use crate::resources::elastic_ip;
use crate::resources::registry::Action;
use crate::resources::snapshot::Unseen;

pub(crate) fn here() -> Region {
    Region::new("eu-west-1").unwrap()
}

pub(crate) fn allocate(name: &str, stack: &str) -> Call {
    let address: Address = format!("elastic_ip.{name}").parse().unwrap();
    let tags = Tags::from([
        (tags::STACK.to_owned(), stack.to_owned()),
        (tags::ADDRESS.to_owned(), address.to_string()),
        (tags::GENERATION.to_owned(), "1".to_owned()),
    ]);
    let action = Action::ElasticIp(elastic_ip::Action::Allocate { pool: None, border_group: None, tags });
    Call { at: address, region: here(), on: None, action, timeout: Seconds(60) }
}

fn release(name: &str) -> Call {
    Call { action: Action::ElasticIp(elastic_ip::Action::Release), ..allocate(name, "shop") }
}

pub(crate) fn scope() -> Scope {
    Scope {
        stack: StackName::new("shop").unwrap(),
        regions: BTreeSet::from([here()]),
        all_regions: false,
        named: BTreeSet::new(),
        reads: BTreeSet::new(),
        fleet: BTreeSet::new(),
        hosts: BTreeMap::new(),
    }
}

fn elsewhere() -> Region {
    Region::new("us-east-1").unwrap()
}

#[tokio::test]
async fn a_file_is_made_by_the_first_call_that_has_an_effect() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    let sim = Sim::open(&path).unwrap();
    sim.observe(&scope()).await.unwrap();
    sim.inquire(&BTreeSet::new()).await.unwrap();
    let mut known = Bindings::default();
    let refused = sim.perform(&release("edge"), &known).await.unwrap_err();
    assert_eq!((refused.class, refused.ambiguous), (Class::Invalid, false));
    assert!(!path.exists());
    let call = allocate("edge", "shop");
    known.bind(&call.at, sim.perform(&call, &known).await.unwrap());
    let again = Sim::open(&path).unwrap();
    assert_eq!(again.world(), sim.world());
    again.perform(&release("edge"), &known).await.unwrap();
    assert_eq!(again.observe(&scope()).await.unwrap().objects, []);
    assert_eq!(sim.counts(), Counts { observe: 1, inquire: 1, reread: 0, perform: 2 });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
}

#[tokio::test]
async fn what_is_no_world_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    for (text, why) in [
        ("{", "as a world"),
        (r#"{"format_version": 9}"#, "as a world"),
        (
            r#"{"format_version": 1, "regions": {"eu-west-1": {"objects": [
                {"id": "eipalloc-0000aaaa", "region": "eu-west-1", "body": {"elastic_ip": {
                    "public_ip": "203.0.113.9", "association": {"id": "eipassoc-0000aaaa", "instance": "i-0000aaaa"}}}}
            ]}}}"#,
            "which is no instance",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Sim::open(&path).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn it_lists_the_stack_and_what_the_spec_names() {
    let sim = Sim::in_memory(World::default());
    let known = Bindings::default();
    for (name, stack) in [("mine", "shop"), ("theirs", "other"), ("named", "other")] {
        sim.perform(&allocate(name, stack), &known).await.unwrap();
    }
    let mine = sim.observe(&scope()).await.unwrap();
    assert_eq!(mine.objects.len(), 1);
    assert_eq!(mine.facts.get(&here()).unwrap().subnets.len(), 3);
    let named = |called: &str| Wanted { kind: Kind::ElasticIp, region: here(), called: called.to_owned() };
    let by_address = Scope { named: BTreeSet::from([named("198.18.0.3")]), ..scope() };
    assert_eq!(sim.observe(&by_address).await.unwrap().objects.len(), 2);
    let one = mine.objects.first().unwrap();
    assert_eq!(sim.reread(Kind::ElasticIp, &here(), &one.id).await.unwrap().as_ref(), Some(one));
    assert_eq!(sim.reread(Kind::Instance, &here(), &one.id).await.unwrap(), None);
    let group = Wanted { kind: Kind::SecurityGroup, region: here(), called: "default".to_owned() };
    let listed = sim.observe(&Scope { named: BTreeSet::from([group]), ..scope() }).await.unwrap();
    let kinds: Vec<Kind> = listed.objects.iter().map(Object::kind).collect();
    assert_eq!(kinds, [Kind::SecurityGroup, Kind::ElasticIp]);
}

#[tokio::test]
async fn health_is_told_where_it_is_asked_for() {
    let fresh = World::default();
    let subnet = fresh.region(&here()).facts().subnets.first().unwrap().clone();
    let text = serde_json::json!({"format_version": 1, "regions": {"eu-west-1": {"objects": [
        {"id": "sg-0000aaaa", "region": "eu-west-1", "body": {"security_group": {"name": "web", "vpc": subnet.vpc}}},
        {"id": "eu-west-1/front", "region": "eu-west-1", "tags": {tags::STACK: "shop"}, "body": {"load_balancer": {
            "name": "front", "dns_name": "front-1.eu-west-1.elb.amazonaws.com", "scheme": "internet-facing",
            "vpc": subnet.vpc, "subnets": [subnet.id], "security_groups": ["sg-0000aaaa"],
            "listeners": {"80": {"protocol": "http", "instance_port": 80, "instance_protocol": "http"}},
            "health_check": {
                "target": "TCP:80", "interval": 30, "timeout": 5, "unhealthy_after": 2, "healthy_after": 10},
            "instances": ["i-0000aaaa"], "attributes": {"cross_zone": true, "idle_timeout": 60}}}}
    ]}}});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    std::fs::write(&path, text.to_string()).unwrap();
    let sim = Sim::open(&path).unwrap();
    for (reads, told) in [(None, false), (Some(crate::resources::Read::Health), true)] {
        let seen = sim.observe(&Scope { reads: reads.into_iter().collect(), ..scope() }).await.unwrap();
        let text = serde_json::to_string(&seen.objects).unwrap();
        assert_eq!(text.contains("Instance is in terminated state."), told, "{text}");
    }
}

#[tokio::test]
async fn a_closed_region_is_unseen_and_answers_nothing() {
    let mut world = World::default();
    world.region_mut(&elsewhere()).set_unavailable(Some("not enabled".to_owned()));
    let sim = Sim::in_memory(world);
    let seen = sim.observe(&Scope { all_regions: true, ..scope() }).await.unwrap();
    let unseen = Unseen { region: elsewhere(), kind: None, why: "not enabled".to_owned() };
    assert_eq!((seen.unseen, seen.facts.len()), (vec![unseen], 1));
    let call = Call { region: elsewhere(), ..allocate("edge", "shop") };
    let refused = sim.perform(&call, &Bindings::default()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "ec2:AllocateAddress for `elastic_ip.edge` in us-east-1: not enabled (OptInRequired)"
    );
    assert!(sim.reread(Kind::ElasticIp, &elsewhere(), &CloudId::new("eipalloc-00000000")).await.is_err());
}

mod hosts;
