//! Hosts, and the instances that queries look at, through the port.

use super::*;
use crate::model::query::Regions;
use crate::model::{CloudId, Target};
use crate::provider::faulty::{Fault, Faulty, When};
use crate::resources::host_firewall::action::{Action as Act, Attach, Change, Commit};
use crate::resources::host_firewall::host::Backend;
use crate::resources::host_firewall::ruleset::{Edit, Settings};
use crate::resources::registry::Body;
use crate::resources::snapshot::Fleet;

fn gateway() -> Target {
    Target::Ssh { user: None, host: "gw".to_owned(), port: None, sudo: false }
}

fn looking(stack: &str) -> Scope {
    let hosts = BTreeMap::from([("host_firewall.gw".parse().unwrap(), gateway())]);
    Scope { stack: StackName::new(stack).unwrap(), hosts, regions: BTreeSet::new(), ..scope() }
}

fn call(action: Act) -> Call {
    Call { region: Region::hosts(), action: Action::HostFirewall(action), on: Some(gateway().id()), ..edit("shop") }
}

fn edit(stack: &str) -> Call {
    let tags = Tags::from([
        (tags::STACK.to_owned(), stack.to_owned()),
        (tags::ADDRESS.to_owned(), "host_firewall.gw".to_owned()),
        (tags::GENERATION.to_owned(), "1".to_owned()),
    ]);
    let change = Change {
        target: gateway(),
        backend: Backend::Nftables,
        attach: Attach::Input,
        tags,
        edit: Edit { settings: Some(Settings::default()), ..Edit::default() },
        adopt: Vec::new(),
        raise: false,
        commit: Commit::AtOnce,
        persist: true,
    };
    let action = Action::HostFirewall(Act::Edit(Box::new(change)));
    let at = "host_firewall.gw".parse().unwrap();
    Call { at, region: Region::hosts(), on: None, action, timeout: Seconds(60) }
}

fn withdraw() -> Call {
    call(Act::Withdraw { target: gateway(), commit: Commit::AtOnce })
}

#[tokio::test]
async fn hosts_are_objects_whether_or_not_anything_of_ours_stands_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    let (sim, known) = (Sim::open(&path).unwrap(), Bindings::default());
    let before = sim.observe(&looking("shop")).await.unwrap();
    let [host] = before.objects.as_slice() else { panic!("{before:?}") };
    assert_eq!((&host.id, host.region.is_hosts(), host.owner()), (&gateway().id(), true, None));
    let place = Region::hosts();
    let reread = || sim.reread(Kind::HostFirewall, &place, &host.id);
    assert_eq!(reread().await.unwrap(), None, "nothing of ours stands there");
    sim.perform(&edit("shop"), &known).await.unwrap();
    let after = sim.observe(&looking("shop")).await.unwrap();
    assert_eq!(reread().await.unwrap().as_ref(), after.objects.first());
    assert!(after.objects.iter().all(|host| host.owner().is_some()));
    // Another program finds the same, and another stack nothing of its own.
    let again = Sim::open(&path).unwrap();
    assert_eq!(again.observe(&looking("shop")).await.unwrap(), after);
    let other = again.observe(&looking("other")).await.unwrap();
    let Some(Body::HostFirewall(body)) = other.objects.first().map(|object| &object.body) else { panic!("a host") };
    assert!(body.ours.is_none() && !body.facts.foreign.ipv4.is_empty());
    assert_eq!(again.world().regions().count(), 0, "hosts are in no region");
}

#[tokio::test]
async fn of_two_stacks_the_one_that_looked_is_meant() {
    let (sim, known) = (Sim::in_memory(World::default()), Bindings::default());
    for stack in ["shop", "other"] {
        sim.observe(&looking(stack)).await.unwrap();
        sim.perform(&edit(stack), &known).await.unwrap();
    }
    sim.observe(&looking("shop")).await.unwrap();
    sim.perform(&withdraw(), &known).await.unwrap();
    let left: Vec<String> = sim.world().host(&gateway().id()).unwrap().stacks.keys().map(ToString::to_string).collect();
    assert_eq!((left, sim.world().breaches().len()), (vec!["other".to_owned()], 0));
}

#[tokio::test]
async fn a_host_that_is_away_is_unreached_and_fails_nothing_else() {
    let mut world = World::default();
    world.host_mut(&gateway().id()).unreachable = Some("no route to host".to_owned());
    let sim = Sim::in_memory(world);
    let seen = sim.observe(&Scope { regions: scope().regions, ..looking("shop") }).await.unwrap();
    assert_eq!(seen.unreached, BTreeMap::from([(gateway().id(), "no route to host".to_owned())]));
    assert_eq!((seen.objects.len(), seen.unseen.len(), seen.facts.len()), (0, 0, 1));
    let error = sim.perform(&edit("shop"), &Bindings::default()).await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Transient, Some("HostUnreachable")));
    assert_eq!(error.doing, "host:EditRules for `host_firewall.gw`");
    let error = sim.reread(Kind::HostFirewall, &Region::hosts(), &gateway().id()).await.unwrap_err();
    assert_eq!(error.class, Class::Transient);
    assert!(sim.reread(Kind::HostFirewall, &Region::hosts(), &CloudId::new("never-seen")).await.is_err());
}

#[tokio::test]
async fn faults_meet_calls_to_hosts_like_any_other() {
    for (when, stands) in [(When::Before, false), (When::After, true)] {
        let fault = Fault { at: 1, when, class: Class::Transient };
        let provider = Faulty::new(Sim::in_memory(World::default())).with(fault);
        let error = provider.perform(&edit("shop"), &Bindings::default()).await.unwrap_err();
        assert_eq!(error.ambiguous, stands);
        let seen = provider.observe(&looking("shop")).await.unwrap();
        assert_eq!(seen.objects.iter().any(|host| host.owner().is_some()), stands);
        provider.perform(&edit("shop"), &Bindings::default()).await.unwrap();
        assert_eq!(provider.inner().world().audit(), Vec::<String>::new());
    }
}

fn fleet(asked: &[Regions]) -> Scope {
    Scope { fleet: asked.iter().cloned().collect(), ..scope() }
}

fn instance(region: &Region, id: &str, state: &str, public: Option<&str>) -> Object {
    let world = World::default();
    let place = world.region(region);
    let subnet = place.facts().subnets.first().unwrap();
    serde_json::from_value(serde_json::json!({
        "id": id, "region": region, "tags": { "Role": "web" }, "body": { "instance": {
            "state": state, "image": "ami-00000001", "type": "t3.small", "zone": subnet.zone, "subnet": subnet.id,
            "vpc": subnet.vpc, "security_groups": [], "private_ip": "172.31.0.9", "public_ip": public,
            "metadata": { "service": "v1", "hops": 1 }, "source_dest_check": true } }
    }))
    .unwrap()
}

#[tokio::test]
async fn queries_see_every_instance_and_a_region_that_fails_is_unseen_alone() {
    let (closed, far) = (Region::new("us-west-2").unwrap(), Region::new("us-east-1").unwrap());
    let mut world = World::default();
    world.put(instance(&far, "i-0000aaaa", "running", Some("203.0.113.9")));
    world.put(instance(&here(), "i-0000bbbb", "stopped", None));
    world.region_mut(&far).unlisted_mut(&CloudId::new("i-0000aaaa")).ipv6 = vec!["2001:db8::7".parse().unwrap()];
    world.region_mut(&closed).set_unavailable(Some("not enabled".to_owned()));
    let sim = Sim::in_memory(world);
    let all = Regions::AllBut(BTreeSet::new());
    let seen = sim.observe(&fleet(std::slice::from_ref(&all))).await.unwrap();
    assert_eq!(seen.fleet.keys().collect::<Vec<_>>(), [&here(), &far, &closed]);
    assert_eq!(seen.fleet.get(&closed), Some(&Fleet::Unseen("not enabled".to_owned())));
    assert!(seen.unseen.is_empty(), "nothing else is looked at there");
    assert_eq!(seen.facts.len(), 1);
    let Some(Fleet::Seen(machines)) = seen.fleet.get(&far) else { panic!("{seen:?}") };
    let [one] = machines.as_slice() else { panic!("{machines:?}") };
    assert_eq!((one.id.as_str(), one.state.as_str(), one.ipv6.len()), ("i-0000aaaa", "running", 1));
    assert_eq!(one.public.map(|address| address.to_string()).as_deref(), Some("203.0.113.9"));
    assert_eq!(one.tags.get("Role").map(String::as_str), Some("web"));
    let regions = |scope: Scope| {
        let sim = &sim;
        async move { sim.observe(&scope).await.unwrap().fleet.into_keys().collect::<Vec<_>>() }
    };
    assert_eq!(regions(fleet(&[Regions::AllBut([far.clone(), closed.clone()].into())])).await, [here()]);
    let new = Region::new("sa-east-1").unwrap();
    let one = Regions::These([new.clone()].into());
    assert_eq!(regions(fleet(std::slice::from_ref(&one))).await, [new]);
    assert_eq!(regions(fleet(&[all, one])).await.len(), 4);
    assert_eq!(regions(scope()).await, Vec::<Region>::new());
}
