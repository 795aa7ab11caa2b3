//! What a snapshot does not hold is no reason against a plan, and nothing is claimed of it.

use crate::model::{CloudId, Kind, Reference, StackName};
use crate::plan::rehearsed::{Rehearsal, Verdict};
use crate::plan::tests::spec::{Lab, Resources, With, box_, eip, from_group, front, group, key, net, stack};
use crate::plan::tests::{apply_on, at, plan_on, policy};
use crate::rehearsal::rehearse;
use crate::resources::instance::state::KeyChoice;
use crate::resources::registry::Desired;
use crate::resources::security_group::state::Peer;
use crate::resources::snapshot::{Fleet, Machine};
use crate::resources::stack::Stack;

/// Applies a stack after it was rehearsed.
#[track_caller]
fn rehearsed(lab: &Lab, stack: &Stack) -> Rehearsal {
    let (plan, snapshot) = plan_on(lab.sim.as_ref(), stack, &policy());
    assert_eq!(plan.refusals(), []);
    let rehearsal = rehearse(stack, &snapshot, &policy(), false, &plan).unwrap();
    let outcome = apply_on(&lab.sim, &plan, 4);
    assert!(outcome.complete(), "{:#?}", crate::plan::tests::trouble(&plan, &outcome));
    rehearsal
}

/// A world in which another stack has a group, a key and a machine.
fn with_neighbours() -> (Lab, CloudId, CloudId) {
    let lab = Lab::new();
    let theirs: Resources = vec![
        ("security_group.x", group().ingress(22, net("0.0.0.0/0"))),
        ("key_pair.k", key().key(|want| want.name = Some("theirs".to_owned()))),
        ("instance.m", box_()),
    ];
    lab.apply(&Stack { name: StackName::new("other").unwrap(), ..stack(theirs) });
    let world = lab.sim.world();
    let id = |address: &str, kind| {
        let is = |object: &&crate::resources::registry::Object| {
            object.kind() == kind && object.owner().is_some_and(|owner| owner.address == at(address))
        };
        world.objects().find(is).unwrap().id.clone()
    };
    let (group, machine) = (id("security_group.x", Kind::SecurityGroup), id("instance.m", Kind::Instance));
    (lab, group, machine)
}

/// A stack all over what the other one has.
fn leaning(group_id: &CloudId, machine: &CloudId, image: &str, port: u16) -> Stack {
    let named = |want: Desired| {
        want.machine(|want| {
            want.image = crate::resources::instance::state::ImageChoice::Id(crate::model::id::ImageId::new(image));
            let web = Reference::Address(at("security_group.web"));
            want.security_groups = Some(vec![Reference::Existing(group_id.clone()), web]);
            want.key_pair = Some(KeyChoice::Existing("theirs".to_owned()));
        })
    };
    stack(vec![
        ("security_group.web", group().ingress(port, Peer::Group(Reference::Existing(group_id.clone())))),
        ("instance.a", named(box_())),
        ("instance.b", named(box_())),
        ("elastic_ip.e", eip(None).eip(|want| want.instance = Some(Reference::Existing(machine.clone())))),
        (
            "load_balancer.front",
            front(&["instance.a", "instance.b"]).front(|want| {
                want.instances.insert(Reference::Existing(machine.clone()));
                want.security_groups = Some(vec![Reference::Existing(group_id.clone())]);
            }),
        ),
    ])
}

#[test]
fn a_plan_that_leans_on_others_rehearses() {
    let (lab, group, machine) = with_neighbours();
    for (image, port) in [("ami-00000001", 80), ("ami-00000001", 81), ("ami-00000002", 81)] {
        let rehearsal = rehearsed(&lab, &leaning(&group, &machine, image, port));
        assert_eq!((rehearsal.verdict, rehearsal.findings), (Verdict::Sound, Vec::new()));
        // Who is in a group of whose rules nothing is known may be reached by anybody all the time: that is told, not claimed.
        assert!(rehearsal.not_modelled.len() <= 1, "{:?}", rehearsal.not_modelled);
    }
}

#[test]
fn a_flow_is_not_claimed_to_be_opened_where_a_foreign_group_may_open_it() {
    // A member leaves after a group opens, which a group of the stack alone makes an exposure.
    let (lab, foreign, _) = with_neighbours();
    let resources = |of: &'static str, open: bool, lean: bool| -> Stack {
        let a = if open { group().ingress(22, net("0.0.0.0/0")) } else { group() };
        let x = box_().groups(&[of]).machine(|want| {
            want.security_groups.get_or_insert_default().extend(lean.then(|| Reference::Existing(foreign.clone())));
        });
        stack(vec![("security_group.a", a), ("security_group.b", group()), ("instance.x", x)])
    };
    for lean in [false, true] {
        rehearsed(&lab, &resources("security_group.a", false, lean));
        let after = resources("security_group.b", true, lean);
        let (mut plan, snapshot) = plan_on(lab.sim.as_ref(), &after, &policy());
        let edges = std::collections::BTreeSet::new();
        plan.graph = crate::plan::graph::Graph::order(plan.steps.len(), edges).unwrap().0;
        let rehearsal = rehearse(&after, &snapshot, &policy(), false, &plan).unwrap();
        let verdict = if lean { Verdict::Sound } else { Verdict::Unsound };
        assert_eq!(rehearsal.verdict, verdict, "{rehearsal:#?}");
        let left_out = ["who reaches the members of groups of whose rules nothing is known"];
        assert_eq!(rehearsal.not_modelled, if lean { left_out.as_slice() } else { &[] });
    }
}

#[test]
fn machines_of_others_are_there_for_queries() {
    let lab = Lab::new();
    let stack = stack(vec![("security_group.db", group().ingress(80, from_group("security_group.db")))]);
    let (_, mut snapshot) = plan_on(lab.sim.as_ref(), &stack, &policy());
    let machine = Machine {
        id: CloudId::new("i-0strange"),
        state: "running".to_owned(),
        tags: crate::model::Tags::new(),
        public: Some([203, 0, 113, 9].into()),
        private: None,
        ipv6: Vec::new(),
    };
    let region = crate::plan::tests::here();
    snapshot.fleet.insert(region.clone(), Fleet::Seen(vec![machine.clone()]));
    let unseen = crate::model::Region::new("us-west-1").unwrap();
    snapshot.fleet.insert(unseen.clone(), Fleet::Unseen("OptInRequired".to_owned()));
    let world = crate::resources::world::World::from_snapshot(&snapshot, &stack.name);
    assert_eq!(world.fleet(&region), Ok(vec![machine]));
    assert_eq!(world.fleet(&unseen), Err("OptInRequired".to_owned()));
}

#[test]
fn a_plan_with_open_questions_is_not_rehearsed() {
    let lab = Lab::new();
    let stack = stack(vec![("security_group.db", group())]);
    let (_, mut snapshot) = plan_on(lab.sim.as_ref(), &stack, &policy());
    assert!(!snapshot.answers.is_empty());
    snapshot.answers.clear();
    let plan = crate::plan::plan(&stack, &snapshot, &policy());
    let rehearsal = rehearse(&stack, &snapshot, &policy(), false, &plan).unwrap();
    assert_eq!((rehearsal.verdict, rehearsal.orders, rehearsal.not_modelled.len()), (Verdict::NotRehearsed, 0, 1));
}
