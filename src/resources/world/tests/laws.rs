//! What holds whatever is done: the audit stays empty, a world survives its file, and the same calls give the same world.

use proptest::prelude::*;

use super::addresses::{allocate, associate};
use super::balancers::{create as balance, front, register};
use super::{Lab, create, from_group, here, import, owned, planned, usual};
use crate::model::{CloudId, Output, Tags};
use crate::resources::registry::Action;
use crate::resources::security_group::state::Direction;
use crate::resources::world::World;
use crate::resources::{elastic_ip, instance, key_pair, load_balancer, security_group};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// One of the calls there are, on one of a few names.
fn nth(world: &World, which: u8, name: &str, other: &str) -> (String, Action) {
    let group = |action| (format!("security_group.{name}"), Action::SecurityGroup(action));
    let address = |action| (format!("elastic_ip.{name}"), Action::ElasticIp(action));
    let on = |action| (format!("instance.{name}"), Action::Instance(action));
    let machine = format!("instance.{name}");
    let balancer = format!("load_balancer.{name}");
    let sends = |action| (format!("load_balancer.{name}"), Action::LoadBalancer(action));
    match which {
        0 => (format!("key_pair.{name}"), import(name, owned(&format!("key_pair.{name}")))),
        1 => (format!("key_pair.{name}"), Action::KeyPair(key_pair::Action::Delete)),
        2 => (format!("security_group.{name}"), create(world, name, owned(&format!("security_group.{name}")))),
        3 => group(security_group::Action::RevokeDefaultEgress),
        4 => group(security_group::Action::Authorize {
            direction: Direction::Ingress,
            rules: vec![from_group(22, planned(&format!("security_group.{other}")))],
            tags: Tags::new(),
        }),
        5 => group(security_group::Action::Delete),
        6 => (format!("elastic_ip.{name}"), allocate(owned(&format!("elastic_ip.{name}")))),
        7 => (format!("elastic_ip.{name}"), associate(&format!("instance.{other}"), None)),
        8 => address(elastic_ip::Action::Disassociate { association: CloudId::new("eipassoc-00000000") }),
        9 => address(elastic_ip::Action::Release),
        10 | 11 => {
            let mut run = usual(world, &machine);
            if which == 11 {
                run.security_groups = vec![planned(&format!("security_group.{other}"))];
            }
            on(instance::Action::Run(Box::new(run)))
        }
        12 => on(instance::Action::AwaitRunning),
        13 => on(instance::Action::Stop),
        14 => on(instance::Action::AwaitStopped),
        15 => on(instance::Action::Start),
        16 => on(instance::Action::Terminate),
        17 => on(instance::Action::AwaitTerminated),
        19 => (balancer.clone(), balance(front(world, &balancer))),
        20 => (balancer, register(&format!("instance.{other}"))),
        21 => sends(load_balancer::Action::AwaitInService(vec![planned(&format!("instance.{other}"))])),
        22 => sends(load_balancer::Action::SetGroups(vec![planned(&format!("security_group.{other}"))])),
        23 => sends(load_balancer::Action::Delete),
        _ => on(instance::Action::SetGroups(vec![planned(&format!("security_group.{other}"))])),
    }
}

fn play(moves: &[(u8, usize, usize)]) -> World {
    let mut lab = Lab::default();
    for (which, name, other) in moves {
        let (address, action) = nth(&lab.world, *which, NAMES[*name], NAMES[*other]);
        let _ = lab.step(&address, action);
    }
    lab.world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_calls_leave_a_sound_world(moves in prop::collection::vec((0_u8..25, 0_usize..3, 0_usize..3), 0..60)) {
        let world = play(&moves);
        prop_assert_eq!(world.audit(), Vec::<String>::new());
        prop_assert_eq!(&play(&moves), &world);
        let text = serde_json::to_string(&world).unwrap();
        let again: World = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&again, &world);
    }
}

#[test]
fn a_file_of_one_line_is_a_world() {
    let world: World = serde_json::from_str(r#"{"format_version": 1, "regions": {"eu-west-1": {}}}"#).unwrap();
    assert_eq!(world.region(&here()).as_ref(), World::default().region(&here()).as_ref());
    for (text, why) in [
        (r#"{"format_version": 2}"#, "format version 2"),
        (r#"{"format_version": 1, "region": {}}"#, "unknown field `region`"),
        (r#"{}"#, "missing field `format_version`"),
    ] {
        let error = serde_json::from_str::<World>(text).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_hand_written_instance_is_completed() {
    let fresh = World::default();
    let region = fresh.region(&here());
    let subnet = region.facts().subnets.first().unwrap();
    let text = serde_json::json!({"format_version": 1, "regions": {"eu-west-1": {"objects": [
        {"id": "sg-0000aaaa", "region": "eu-west-1", "body": {"security_group": {"name": "ops", "vpc": subnet.vpc}}},
        {"id": "i-0000aaaa", "region": "eu-west-1", "tags": {"Name": "old"}, "body": {"instance": {
            "state": "stopping", "image": "ami-00000001", "type": "t3.small", "zone": subnet.zone,
            "subnet": subnet.id, "vpc": subnet.vpc, "security_groups": ["sg-0000aaaa"], "private_ip": "172.31.0.9",
            "metadata": {"service": "v1", "hops": 1}, "source_dest_check": true}}},
        {"id": "eipalloc-0000aaaa", "region": "eu-west-1", "body": {"elastic_ip": {
            "public_ip": "203.0.113.9", "association": {"id": "eipassoc-0000aaaa", "instance": "i-0000aaaa"}}}}
    ]}}});
    let mut world: World = serde_json::from_value(text).unwrap();
    assert_eq!(world.audit(), Vec::<String>::new());
    world.pass(60);
    let object = world.object(&here(), &CloudId::new("i-0000aaaa")).unwrap();
    let text = serde_json::to_string(object).unwrap();
    assert!(text.contains("\"stopped\"") && text.contains("203.0.113.9"), "{text}");
    assert!(text.contains("ip-172-31-0-9.eu-west-1.compute.internal"), "{text}");
}

#[test]
fn the_audit_sees_what_dangles() {
    let mut lab = Lab::default();
    lab.running("instance.web");
    let group = lab.instance("instance.web").security_groups.first().unwrap().clone();
    lab.world.take(&here(), &group);
    assert_eq!(lab.world.audit().len(), 1, "{:?}", lab.world.audit());
}

#[test]
fn a_region_may_be_closed() {
    let mut lab = Lab::default();
    lab.world.region_mut(&here()).set_unavailable(Some("not enabled".to_owned()));
    assert_eq!(lab.refused("key_pair.a", import("a", Tags::new())), "OptInRequired");
    assert_eq!(lab.world.list(&here(), |_| true), Err("not enabled".to_owned()));
}

#[test]
fn ten_thousand_instances_are_no_trouble() {
    let mut lab = Lab::default();
    for n in 0..10_000_usize {
        let address = format!("instance.m-{n}");
        let mut run = usual(&lab.world, &address);
        let region = lab.world.region(&here());
        let subnet = &region.facts().subnets[n % 3];
        (run.subnet, run.zone) = (subnet.id.clone(), subnet.zone.clone());
        drop(region);
        let call = super::call(&address, None, super::instances::run(run));
        assert!(lab.world.step(&call, &lab.known).unwrap().contains_key(&Output::Id));
    }
    assert_eq!(lab.world.audit(), Vec::<String>::new());
}

#[test]
fn the_file_has_a_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(World)).unwrap();
    assert_eq!(schema.pointer("/title"), Some(&serde_json::json!("World")));
    assert_eq!(schema.pointer("/required"), Some(&serde_json::json!(["format_version"])));
    assert_eq!(schema.pointer("/additionalProperties"), Some(&serde_json::json!(false)));
}

#[test]
fn a_world_of_two_regions_gives_no_address_twice() {
    let mut lab = Lab::default();
    lab.allocated("elastic_ip.a");
    let there = crate::model::Region::new("us-east-1").unwrap();
    let call = |n: u32| crate::resources::registry::Call {
        region: there.clone(),
        ..super::call(&format!("elastic_ip.b-{n}"), None, allocate(owned(&format!("elastic_ip.b-{n}"))))
    };
    let text = serde_json::to_string(&lab.world).unwrap().replace("\"addresses_given\":1", "\"addresses_given\":0");
    let mut world: World = serde_json::from_str(&text).unwrap();
    for n in 0..5 {
        world.step(&call(n), &lab.known).unwrap();
    }
    assert_eq!(world.step(&call(5), &lab.known).unwrap_err().code, "AddressLimitExceeded");
    assert_eq!(world.audit(), Vec::<String>::new());
}
