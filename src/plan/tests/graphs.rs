//! Whole plans as text: steps, what each waits for, and why.

use super::generate::material;
use super::spec::{Lab, Resources, With, box_, check, eip, from_group, group, hole, key, net, text};
use super::{at, policy};
use crate::model::id::ImageId;
use crate::model::{Output, Reference, Region};
use crate::plan::policy::{Consent, Goal, Orphans, Policy};
use crate::resources::instance::state::{ImageChoice, KeyChoice};
use crate::resources::registry::Desired;
use crate::resources::security_group::state::Peer;

fn image(which: &str) -> impl Fn(Desired) -> Desired {
    move |want| want.machine(|want| want.image = ImageChoice::Id(ImageId::new(which)))
}

fn keyed(want: Desired) -> Desired {
    want.machine(|want| want.key_pair = Some(KeyChoice::Resource(Reference::Address(at("key_pair.k")))))
}

#[test]
fn a_small_stack_is_made() {
    let lab = Lab::new();
    let plan = lab.plan(vec![
        ("key_pair.k", key()),
        ("security_group.web", group().ingress(80, from_group("security_group.edge"))),
        ("security_group.edge", group().ingress(443, net("0.0.0.0/0")).ingress(22, from_group("security_group.web"))),
        ("instance.web", keyed(box_()).groups(&["security_group.web"])),
        ("elastic_ip.e", eip(Some("instance.web"))),
    ]);
    check(
        &lab.graph(&plan),
        r#"
1 key_pair.k import
2 security_group.edge create
3 security_group.edge authorize ingress
    after 2: the same object
    after 4: needs security_group.web
4 security_group.web create
5 security_group.web authorize ingress
    after 2: needs security_group.edge
    after 4: the same object
6 elastic_ip.e allocate
7 elastic_ip.e associate
    after 6: the same object
    after 9: needs instance.web
8 instance.web run
    after 1: needs key_pair.k
    after 4: needs security_group.web
    after 5: security_group.web is open before somebody boots into it
9 instance.web await running
    after 8: the same object
"#,
    );
}

#[test]
fn a_group_is_replaced_under_instances() {
    let stack = |about: &'static str| -> Resources {
        vec![
            ("security_group.web", group().group(|want| want.description = about.to_owned())),
            ("security_group.db", group().ingress(5432, from_group("security_group.web"))),
            ("instance.a", box_().groups(&["security_group.web"])),
            ("instance.b", box_().groups(&["security_group.web"])),
        ]
    };
    let lab = Lab::with(stack("one"));
    let plan = lab.plan(stack("two"));
    check(
        &lab.graph(&plan),
        r#"
1 security_group.db authorize ingress
    after 3: needs security_group.web
2 security_group.db revoke ingress
    after 1: the same object
    after 5: instance.a leaves before something is closed
    after 6: instance.b leaves before something is closed
3 security_group.web create
4 security_group.web delete
    after 1: the successor of security_group.web comes first
    after 2: <security_group.web#1> is held until then
    after 3: the successor of security_group.web comes first
    after 5: <security_group.web#1> is held until then
    after 5: the successor of security_group.web comes first
    after 6: <security_group.web#1> is held until then
    after 6: the successor of security_group.web comes first
5 instance.a set security groups
    after 1: security_group.db opens before somebody joins
    after 3: needs security_group.web
6 instance.b set security groups
    after 1: security_group.db opens before somebody joins
    after 3: needs security_group.web
"#,
    );
}

#[test]
fn two_groups_are_replaced_while_two_instances_swap_them() {
    let stack = |about: &'static str, one: &'static str, two: &'static str| -> Resources {
        let group = |other| group().ingress(80, from_group(other)).group(|want| want.description = about.to_owned());
        vec![
            ("security_group.x", group("security_group.y")),
            ("security_group.y", group("security_group.x")),
            ("instance.a", box_().groups(&[one])),
            ("instance.b", box_().groups(&[two])),
        ]
    };
    let lab = Lab::with(stack("one", "security_group.x", "security_group.y"));
    let plan = lab.plan(stack("two", "security_group.y", "security_group.x"));
    check(
        &lab.graph(&plan),
        r#"
1 security_group.x create
2 security_group.x authorize ingress
    after 1: the same object
    after 5: needs security_group.y
3 security_group.x revoke ingress
    after 1: the successor of security_group.x comes first
    after 2: the successor of security_group.x comes first
    after 5: the successor of security_group.x comes first
    after 6: the successor of security_group.x comes first
    after 9: instance.a leaves before something is closed
    after 10: the successor of security_group.x comes first
    after 10: instance.b leaves before something is closed
4 security_group.x delete
    after 3: the same object
    after 7: <security_group.x#1> is held until then
    after 9: <security_group.x#1> is held until then
5 security_group.y create
6 security_group.y authorize ingress
    after 1: needs security_group.x
    after 5: the same object
7 security_group.y revoke ingress
    after 1: the successor of security_group.y comes first
    after 2: the successor of security_group.y comes first
    after 5: the successor of security_group.y comes first
    after 6: the successor of security_group.y comes first
    after 9: the successor of security_group.y comes first
    after 9: instance.a leaves before something is closed
    after 10: instance.b leaves before something is closed
8 security_group.y delete
    after 3: <security_group.y#1> is held until then
    after 7: the same object
    after 10: <security_group.y#1> is held until then
9 instance.a set security groups
    after 2: security_group.x opens before somebody joins
    after 5: needs security_group.y
    after 6: security_group.y opens before somebody joins
10 instance.b set security groups
    after 1: needs security_group.x
    after 2: security_group.x opens before somebody joins
    after 6: security_group.y opens before somebody joins
"#,
    );
}

fn fleet(image_id: &'static str, members: &[(&'static str, u32)], max_unavailable: u32) -> Resources {
    let members = members
        .iter()
        .map(|(address, index)| (*address, image(image_id)(box_().member("web", *index, max_unavailable))));
    members.collect()
}

#[test]
fn a_new_image_of_members_that_a_proxy_names() {
    let stack = |image_id: &'static str| {
        let mut all = fleet(image_id, &[("instance.web-0", 0), ("instance.web-1", 1)], 1);
        let names = ["instance.web-0", "instance.web-1"].map(|member| hole(member, Output::PrivateIp));
        all.push(("instance.proxy", box_().runs(vec![text("to "), names[0].clone(), text(" "), names[1].clone()])));
        all
    };
    let lab = Lab::with(stack("ami-00000001"));
    let plan = lab.plan(stack("ami-00000002"));
    check(
        &lab.graph(&plan),
        r#"
1 instance.proxy run
    after 5: reads instance.web-0.private_ip
    after 9: reads instance.web-1.private_ip
2 instance.proxy await running
    after 1: the same object
3 instance.proxy terminate
    after 2: the successor of instance.proxy comes first
4 instance.proxy await terminated
    after 3: the same object
5 instance.web-0 run
6 instance.web-0 await running
    after 5: the same object
7 instance.web-0 terminate
    after 2: the successor of instance.web-0 comes first
    after 3: the old instance.proxy was told of it
    after 6: the successor of instance.web-0 comes first
8 instance.web-0 await terminated
    after 7: the same object
9 instance.web-1 run
10 instance.web-1 await running
    after 9: the same object
11 instance.web-1 terminate
    after 2: the successor of instance.web-1 comes first
    after 3: the old instance.proxy was told of it
    after 8: its turn comes after instance.web-0
    after 10: the successor of instance.web-1 comes first
12 instance.web-1 await terminated
    after 11: the same object
"#,
    );
}

#[test]
fn an_elastic_ip_moves_and_the_old_holder_is_read_again() {
    let stack = |holder: &'static str| -> Resources {
        let reads = Peer::Output { address: at("instance.a"), output: Output::PublicIp };
        vec![
            ("instance.a", box_()),
            ("instance.b", box_()),
            ("elastic_ip.e", eip(Some(holder))),
            ("security_group.g", group().ingress(80, reads)),
        ]
    };
    let lab = Lab::with(stack("instance.a"));
    let plan = lab.plan(stack("instance.b"));
    check(
        &lab.graph(&plan),
        r#"
1 security_group.g authorize ingress
    after 4: reads instance.a.public_ip
2 security_group.g revoke ingress
    after 1: the same object
3 elastic_ip.e move
4 instance.a read again
    after 3: needs elastic_ip.e
"#,
    );
}

#[test]
fn members_are_resized_one_or_two_at_a_time() {
    let four = [("instance.web-0", 0), ("instance.web-1", 1), ("instance.web-2", 2)];
    let resized = |max_unavailable| -> Resources {
        let all = fleet("ami-00000001", &four, max_unavailable).into_iter();
        all.map(|(at, want)| (at, want.machine(|want| want.instance_type = "m5.large".to_owned()))).collect()
    };
    let lab = Lab::with(fleet("ami-00000001", &four, 1));
    check(
        &lab.graph(&lab.plan(resized(1))),
        r#"
1 instance.web-0 stop
2 instance.web-0 await stopped
    after 1: the same object
3 instance.web-0 set type
    after 2: the same object
4 instance.web-0 start
    after 3: the same object
5 instance.web-0 await running
    after 4: the same object
6 instance.web-1 stop
    after 5: its turn comes after instance.web-0
7 instance.web-1 await stopped
    after 6: the same object
8 instance.web-1 set type
    after 7: the same object
9 instance.web-1 start
    after 8: the same object
10 instance.web-1 await running
    after 9: the same object
11 instance.web-2 stop
    after 10: its turn comes after instance.web-1
12 instance.web-2 await stopped
    after 11: the same object
13 instance.web-2 set type
    after 12: the same object
14 instance.web-2 start
    after 13: the same object
15 instance.web-2 await running
    after 14: the same object
"#,
    );
    check(
        &lab.graph(&lab.plan(resized(2))),
        r#"
1 instance.web-0 stop
2 instance.web-0 await stopped
    after 1: the same object
3 instance.web-0 set type
    after 2: the same object
4 instance.web-0 start
    after 3: the same object
5 instance.web-0 await running
    after 4: the same object
6 instance.web-1 stop
7 instance.web-1 await stopped
    after 6: the same object
8 instance.web-1 set type
    after 7: the same object
9 instance.web-1 start
    after 8: the same object
10 instance.web-1 await running
    after 9: the same object
11 instance.web-2 stop
    after 5: its turn comes after instance.web-0
12 instance.web-2 await stopped
    after 11: the same object
13 instance.web-2 set type
    after 12: the same object
14 instance.web-2 start
    after 13: the same object
15 instance.web-2 await running
    after 14: the same object
"#,
    );
}

#[test]
fn a_literal_key_is_replaced_in_its_slot() {
    let stack = |which| -> Resources {
        let key = key().key(|want| {
            want.name = Some("deploy".to_owned());
            want.public_key = material(which);
        });
        vec![("key_pair.k", key), ("instance.a", keyed(box_()))]
    };
    let lab = Lab::with(stack(0));
    check(
        &lab.graph(&lab.plan(stack(1))),
        r#"
1 key_pair.k import
    after 2: only one may have the key pair name `deploy` in eu-west-1
2 key_pair.k delete
"#,
    );
}

#[test]
fn a_fixed_address_is_given_up_before_its_successor_has_it() {
    let stack = |image_id: &'static str| -> Resources {
        let fixed = box_().machine(|want| want.private_ip = Some("172.31.3.3".parse().unwrap()));
        vec![
            ("instance.a", image(image_id)(fixed)),
            ("elastic_ip.e", eip(Some("instance.a"))),
            (
                "security_group.g",
                group().ingress(80, Peer::Output { address: at("instance.a"), output: Output::PrivateIp }),
            ),
        ]
    };
    let lab = Lab::with(stack("ami-00000001"));
    let plan = lab.plan(stack("ami-00000002"));
    check(
        &lab.graph(&plan),
        r#"
1 elastic_ip.e move
    after 3: needs instance.a
2 instance.a run
    after 5: only one may have the address <instance.a#1> in <vpc>
3 instance.a await running
    after 2: the same object
4 instance.a terminate
5 instance.a await terminated
    after 4: the same object
exposure: for a moment less is reachable than before and after: terminate instance.a waits for move elastic_ip.e (<instance.a#1> answers until then)
"#,
    );
    lab.apply(&super::spec::stack(stack("ami-00000002")));
}

fn three() -> Resources {
    vec![
        ("security_group.g", group()),
        ("security_group.other", group()),
        ("instance.a", box_().groups(&["security_group.g"])),
    ]
}

fn described(about: &'static str) -> Resources {
    let change = |want: Desired| want.group(|want| want.description = about.to_owned());
    three().into_iter().map(|(at, want)| (at, change(want))).collect()
}

#[test]
fn filters() {
    let lab = Lab::with(three());
    let targets = |names: &[&str]| Policy { targets: names.iter().map(|name| at(name)).collect(), ..policy() };
    let excludes = |names: &[&str]| Policy { excludes: names.iter().map(|name| at(name)).collect(), ..policy() };
    check(
        &lab.graph(&lab.plan_by(described("two"), &targets(&["security_group.other"]))),
        r#"
1 security_group.other create
2 security_group.other delete
    after 1: the successor of security_group.other comes first
"#,
    );
    // What the ripple reaches is taken along.
    check(
        &lab.graph(&lab.plan_by(described("two"), &targets(&["security_group.g"]))),
        r#"
1 security_group.g create
2 security_group.g delete
    after 1: the successor of security_group.g comes first
    after 3: <security_group.g#1> is held until then
    after 3: the successor of security_group.g comes first
3 instance.a set security groups
    after 1: needs security_group.g
"#,
    );
    check(
        &lab.graph(&lab.plan_by(described("two"), &excludes(&["security_group.other"]))),
        r#"
1 security_group.g create
2 security_group.g delete
    after 1: the successor of security_group.g comes first
    after 3: <security_group.g#1> is held until then
    after 3: the successor of security_group.g comes first
3 instance.a set security groups
    after 1: needs security_group.g
"#,
    );
    // What cannot do without an excluded one is left out too.
    check(
        &lab.graph(&lab.plan_by(described("two"), &excludes(&["instance.a"]))),
        r#"
1 security_group.other create
2 security_group.other delete
    after 1: the successor of security_group.other comes first
"#,
    );
    let replaces = Policy { replaces: [at("instance.a")].into(), ..policy() };
    check(
        &lab.graph(&lab.plan_by(three(), &replaces)),
        r#"
1 instance.a run
2 instance.a await running
    after 1: the same object
3 instance.a terminate
    after 2: the successor of instance.a comes first
4 instance.a await terminated
    after 3: the same object
"#,
    );
    let mut less = three();
    less.pop();
    check(
        &lab.graph(&lab.plan_by(less.clone(), &policy())),
        r#"
1 instance.a terminate
2 instance.a await terminated
    after 1: the same object
"#,
    );
    check(
        &lab.graph(&lab.plan_by(less, &Policy { orphans: Orphans::Leave, ..policy() })),
        r#"

"#,
    );
    // What a target needs is made.
    let fresh = Lab::new();
    check(
        &fresh.graph(&fresh.plan_by(three(), &targets(&["instance.a"]))),
        r#"
1 security_group.g create
2 instance.a run
    after 1: needs security_group.g
3 instance.a await running
    after 2: the same object
"#,
    );
}

#[test]
fn an_instance_moves_to_another_region() {
    let lab = Lab::with(vec![("instance.a", box_())]);
    let there = box_().common(|common| common.region = Region::new("us-east-1").unwrap());
    let mut stack = super::spec::stack(vec![("instance.a", there)]);
    stack.regions.insert(Region::new("us-east-1").unwrap());
    let plan = super::plan_on(lab.sim.as_ref(), &stack, &policy()).0;
    check(
        &lab.graph(&plan),
        r#"
1 instance.a run
2 instance.a await running
    after 1: the same object
3 instance.a terminate
    after 2: the successor of instance.a comes first
4 instance.a await terminated
    after 3: the same object
"#,
    );
    lab.apply(&stack);
}

#[test]
fn destroy_leaves_what_is_protected_with_what_it_needs() {
    let mut all = three();
    all.push(("instance.b", box_().groups(&["security_group.other"]).common(|common| common.protect = true)));
    let lab = Lab::with(all.clone());
    let destroy = Policy { goal: Goal::Destroy, ..policy() };
    let plan = lab.plan_by(all, &destroy);
    check(
        &lab.graph(&plan),
        r#"
1 security_group.g delete
    after 3: <security_group.g#1> is held until then
2 instance.a terminate
3 instance.a await terminated
    after 2: the same object
"#,
    );
    let retained: Vec<String> = plan.retained().iter().map(ToString::to_string).collect();
    assert_eq!(retained, ["security_group.other", "instance.b"]);
}

#[test]
fn a_circle_of_leaving_and_opening_needs_consent() {
    // Each group opens to the public what the other's leaver may not show: a swap in which nobody can leave first.
    let stack = |one: &'static str, two: &'static str, open: bool| -> Resources {
        let group =
            || if open { group().ingress(80, net("0.0.0.0/0")) } else { group().ingress(22, net("10.0.0.0/8")) };
        vec![
            ("security_group.x", group()),
            ("security_group.y", group()),
            ("instance.a", box_().groups(&[one])),
            ("instance.b", box_().groups(&[two])),
        ]
    };
    let lab = Lab::with(stack("security_group.x", "security_group.y", false));
    let second = || stack("security_group.y", "security_group.x", true);
    check(
        &lab.graph(&lab.plan(second())),
        r#"
1 security_group.x authorize ingress
    after 5: instance.a leaves before more is opened
2 security_group.x revoke ingress
    after 1: the same object
    after 5: instance.a leaves before something is closed
3 security_group.y authorize ingress
4 security_group.y revoke ingress
    after 3: the same object
    after 6: instance.b leaves before something is closed
5 instance.a set security groups
    after 3: security_group.y opens before somebody joins
6 instance.b set security groups
    after 1: security_group.x opens before somebody joins
refused security_group.y (Exposure): for a moment more is reachable than before and after: authorize ingress security_group.y waits for set security groups instance.b (instance.b leaves before more is opened)
    hint: make the change in two applies, or accept it with `--accept exposure`
exposure: authorize ingress security_group.y waits for set security groups instance.b (instance.b leaves before more is opened)
"#,
    );
    let accept = Policy { exposure: Consent::Given, ..policy() };
    assert_eq!(lab.plan_by(second(), &accept).refusals(), []);
}

#[test]
fn who_comes_and_goes_waits_for_the_listeners_though_the_tags_come_first() {
    use super::spec::front;
    let stack = |team: &'static str, members: &'static [&'static str], port: u16| -> Resources {
        let front = front(members).common(|common| drop(common.tags.insert("team".to_owned(), team.to_owned())));
        let front = front.front(|want| {
            want.min_healthy = 0;
            want.listeners = want.listeners.values().map(|listener| (port, listener.clone())).collect();
        });
        vec![("instance.a", box_()), ("instance.b", box_()), ("load_balancer.f", front)]
    };
    let lab = Lab::with(stack("one", &["instance.a"], 80));
    let plan = lab.plan(stack("two", &["instance.b"], 8080));
    check(
        &lab.graph(&plan),
        r#"
1 load_balancer.f tag
2 load_balancer.f add listeners
    after 1: the same object
3 load_balancer.f register: instance.b
    after 2: the same object
4 load_balancer.f await in service: instance.b
    after 3: the same object
5 load_balancer.f deregister: <instance.a#1>
    after 2: the same object
    after 4: load_balancer.f serves before the old one leaves
6 load_balancer.f await drained: <instance.a#1>
    after 5: the same object
7 load_balancer.f remove listeners
    after 1: the same object
    after 2: the same object
    after 3: the same object
    after 4: the same object
    after 5: the same object
    after 6: the same object
"#,
    );
}
