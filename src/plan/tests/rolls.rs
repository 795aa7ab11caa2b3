//! Members change while the site stays up: the order as text, and worlds in which nobody goes missing on the way.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::policy;
use super::spec::{Lab, Resources, With, box_, check, front, group, hole, refusals, stack, text};
use crate::model::id::ImageId;
use crate::model::{Output, Reference};
use crate::plan::policy::{Goal, Policy};
use crate::plan::{Plan, audit};
use crate::resources::instance::state::{ImageChoice, OnChange};
use crate::resources::load_balancer::state::Scheme;
use crate::resources::registry::Desired;

mod trouble;

const WEB: [&str; 4] = ["instance.web-0", "instance.web-1", "instance.web-2", "instance.web-3"];

fn image(which: &'static str) -> impl Fn(Desired) -> Desired {
    move |want| want.machine(|want| want.image = ImageChoice::Id(ImageId::new(which)))
}

fn size(name: &'static str) -> impl Fn(Desired) -> Desired {
    move |want| want.machine(|want| want.instance_type = name.to_owned())
}

/// Members `web-0`… behind a balancer that lets one go at a time.
fn site(count: usize, edit: impl Fn(Desired) -> Desired) -> Resources {
    behind(count, edit, |front| front)
}

fn behind(count: usize, edit: impl Fn(Desired) -> Desired, balancer: impl Fn(Desired) -> Desired) -> Resources {
    let members = &WEB[..count];
    let machines = members.iter().zip(0..).map(|(name, index)| (*name, edit(box_().member("web", index, 1))));
    let mut all: Resources = machines.collect();
    all.push(("load_balancer.front", balancer(front(members))));
    all
}

fn at_least(min_healthy: u32) -> impl Fn(Desired) -> Desired {
    move |front| front.front(|want| want.min_healthy = min_healthy)
}

/// The turns of a plan.
fn turns(plan: &Plan) -> String {
    let mut out = String::new();
    for roll in plan.rolls() {
        writeln!(out, "{} never below {} of {}", roll.by, roll.min_healthy, roll.members).unwrap();
        for turn in &roll.turns {
            let turn: Vec<String> =
                turn.iter().map(|one| format!("{} {} {}", one.member, one.change.word(), one.at_most)).collect();
            writeln!(out, "  {}", turn.join(", ")).unwrap();
        }
    }
    out
}

/// Turns, then the calls in the order in which one worker makes them, then what is refused.
fn told(lab: &Lab, plan: &Plan) -> String {
    assert_eq!(audit::audit(plan), Vec::<String>::new());
    let steps = plan.graph().sequence().iter().filter_map(|id| plan.step(*id));
    let calls: String = steps.map(|step| format!("{} {}\n", step.call.at, step.title)).collect();
    lab.named(&format!("{}{calls}{}", turns(plan), refusals(plan)))
}

#[test]
fn a_new_image_rolls() {
    let lab = Lab::with(site(2, image("ami-00000001")));
    let plan = lab.plan(site(2, image("ami-00000002")));
    check(
        &format!("{}{}", turns(&plan), lab.graph(&plan)),
        r#"
load_balancer.front never below 1 of 2
  instance.web-0 replace 1160s
  instance.web-1 replace 1160s
1 instance.web-0 run
2 instance.web-0 await running
    after 1: the same object
3 instance.web-0 terminate
    after 2: the successor of instance.web-0 comes first
    after 9: the successor of instance.web-0 comes first
    after 10: the successor of instance.web-0 comes first
    after 12: <instance.web-0#1> is held until then
4 instance.web-0 await terminated
    after 3: the same object
5 instance.web-1 run
    after 11: instance.web-0 serves first, so that a bad change stops there
6 instance.web-1 await running
    after 5: the same object
7 instance.web-1 terminate
    after 6: the successor of instance.web-1 comes first
    after 13: the successor of instance.web-1 comes first
    after 14: the successor of instance.web-1 comes first
    after 16: <instance.web-1#1> is held until then
8 instance.web-1 await terminated
    after 7: the same object
9 load_balancer.front register: instance.web-0
    after 2: needs instance.web-0
10 load_balancer.front await in service: instance.web-0
    after 2: needs instance.web-0
    after 9: the same object
11 load_balancer.front deregister: <instance.web-0#1>
    after 10: instance.web-0 serves before the old one leaves
12 load_balancer.front await drained: <instance.web-0#1>
    after 11: the same object
13 load_balancer.front register: instance.web-1
    after 6: needs instance.web-1
14 load_balancer.front await in service: instance.web-1
    after 6: needs instance.web-1
    after 13: the same object
15 load_balancer.front deregister: <instance.web-1#1>
    after 14: instance.web-1 serves before the old one leaves
16 load_balancer.front await drained: <instance.web-1#1>
    after 15: the same object
"#,
    );
}

#[test]
fn a_new_type_rolls_out_of_traffic_and_back() {
    let lab = Lab::with(site(2, size("t3.small")));
    let plan = lab.plan(site(2, size("c5.large")));
    check(
        &format!("{}{}", turns(&plan), lab.graph(&plan)),
        r#"
load_balancer.front never below 1 of 2
  instance.web-0 restart 3640s
  instance.web-1 restart 3640s
1 instance.web-0 stop
    after 12: load_balancer.front sends it nothing any more
2 instance.web-0 await stopped
    after 1: the same object
3 instance.web-0 set type
    after 2: the same object
4 instance.web-0 start
    after 3: the same object
5 instance.web-0 await running
    after 4: the same object
6 instance.web-1 stop
    after 16: load_balancer.front sends it nothing any more
7 instance.web-1 await stopped
    after 6: the same object
8 instance.web-1 set type
    after 7: the same object
9 instance.web-1 start
    after 8: the same object
10 instance.web-1 await running
    after 9: the same object
11 load_balancer.front deregister: <instance.web-0#1>
12 load_balancer.front await drained: <instance.web-0#1>
    after 11: the same object
13 load_balancer.front register: instance.web-0
    after 5: needs instance.web-0
14 load_balancer.front await in service: instance.web-0
    after 5: needs instance.web-0
    after 13: the same object
15 load_balancer.front deregister: <instance.web-1#1>
    after 14: its turn comes after instance.web-0
16 load_balancer.front await drained: <instance.web-1#1>
    after 15: the same object
17 load_balancer.front register: instance.web-1
    after 10: needs instance.web-1
18 load_balancer.front await in service: instance.web-1
    after 10: needs instance.web-1
    after 17: the same object
"#,
    );
    lab.apply(&stack(site(2, size("c5.large"))));
}

#[test]
fn as_many_at_once_as_can_be_spared() {
    let lab = Lab::with(behind(4, size("t3.small"), at_least(2)));
    check(
        &turns(&lab.plan(behind(4, size("c5.large"), at_least(2)))),
        r#"
load_balancer.front never below 2 of 4
  instance.web-0 restart 3640s, instance.web-1 restart 3640s
  instance.web-2 restart 3640s, instance.web-3 restart 3640s
"#,
    );
    check(
        &turns(&lab.plan(behind(4, size("c5.large"), at_least(1)))),
        r#"
load_balancer.front never below 1 of 4
  instance.web-0 restart 3640s, instance.web-1 restart 3640s, instance.web-2 restart 3640s
  instance.web-3 restart 3640s
"#,
    );
    check(
        &turns(&lab.plan(behind(4, image("ami-00000002"), at_least(4)))),
        r#"
load_balancer.front never below 4 of 4
  instance.web-0 replace 1160s
  instance.web-1 replace 1160s
  instance.web-2 replace 1160s
  instance.web-3 replace 1160s
"#,
    );
    lab.apply(&stack(behind(4, size("c5.large"), at_least(2))));
    lab.apply(&stack(behind(4, image("ami-00000002"), at_least(4))));
}

#[test]
fn a_fixed_address_is_given_up_before_another_has_it() {
    let fixed = |which: &'static str, machine: Desired| {
        image(which)(machine).machine(|want| want.private_ip = Some("172.31.9.9".parse().unwrap()))
    };
    let stack_of = |which: &'static str, least: u32| -> Resources {
        vec![
            ("instance.a", fixed(which, box_())),
            ("instance.b", box_()),
            ("load_balancer.front", at_least(least)(front(&["instance.a", "instance.b"]))),
        ]
    };
    let lab = Lab::with(stack_of("ami-00000001", 1));
    let plan = lab.plan(stack_of("ami-00000002", 1));
    check(
        &format!("{}{}", told(&lab, &plan), plan.exposures().join("\n")),
        r#"
load_balancer.front never below 1 of 2
  instance.a swap 2560s
load_balancer.front deregister
load_balancer.front await drained
instance.a terminate
instance.a await terminated
instance.a run
instance.a await running
load_balancer.front register
load_balancer.front await in service
"#,
    );
    check(
        &lab.named(&refusals(&lab.plan(stack_of("ami-00000002", 2)))),
        r#"
refused load_balancer.front (Capacity): instance.a must go before another comes, and `min_healthy = 2` of 2 members leaves no room for that
    hint: add a member, or set `min_healthy = 1`
"#,
    );
    lab.apply(&stack(stack_of("ami-00000002", 1)));
}

#[test]
fn backends_go_when_the_proxies_that_were_told_of_them_are_gone() {
    let stack_of = |which: &'static str| -> Resources {
        let mut all = site(2, image(which));
        let told = vec![hole(WEB[0], Output::PrivateIp), text(" "), hole(WEB[1], Output::PrivateIp)];
        for name in ["instance.proxy-0", "instance.proxy-1"] {
            let index = u32::from(name.ends_with('1'));
            all.push((name, box_().member("proxy", index, 1).runs(told.clone())));
        }
        all.push(("load_balancer.edge", front(&["instance.proxy-0", "instance.proxy-1"])));
        all
    };
    let lab = Lab::with(stack_of("ami-00000001"));
    let plan = lab.plan(stack_of("ami-00000002"));
    // What waits for what among the removals, which is what this is about.
    let told = lab.graph(&plan);
    let mut removals: Vec<&str> = told.split_inclusive('\n').collect();
    let mut keep = false;
    removals.retain(|line| {
        keep = if line.starts_with(' ') { keep } else { line.contains(" terminate") };
        keep
    });
    check(
        &removals.concat(),
        r#"
3 instance.proxy-0 terminate
    after 2: the successor of instance.proxy-0 comes first
    after 17: the successor of instance.proxy-0 comes first
    after 18: the successor of instance.proxy-0 comes first
    after 20: <instance.proxy-0#1> is held until then
4 instance.proxy-0 await terminated
    after 3: the same object
7 instance.proxy-1 terminate
    after 6: the successor of instance.proxy-1 comes first
    after 21: the successor of instance.proxy-1 comes first
    after 22: the successor of instance.proxy-1 comes first
    after 24: <instance.proxy-1#1> is held until then
8 instance.proxy-1 await terminated
    after 7: the same object
11 instance.web-0 terminate
    after 2: the successor of instance.web-0 comes first
    after 3: the old instance.proxy-0 was told of it
    after 6: the successor of instance.web-0 comes first
    after 7: the old instance.proxy-1 was told of it
    after 10: the successor of instance.web-0 comes first
    after 25: the successor of instance.web-0 comes first
    after 26: the successor of instance.web-0 comes first
    after 28: <instance.web-0#1> is held until then
12 instance.web-0 await terminated
    after 11: the same object
15 instance.web-1 terminate
    after 2: the successor of instance.web-1 comes first
    after 3: the old instance.proxy-0 was told of it
    after 6: the successor of instance.web-1 comes first
    after 7: the old instance.proxy-1 was told of it
    after 14: the successor of instance.web-1 comes first
    after 29: the successor of instance.web-1 comes first
    after 30: the successor of instance.web-1 comes first
    after 32: <instance.web-1#1> is held until then
16 instance.web-1 await terminated
    after 15: the same object
"#,
    );
    lab.apply(&stack(stack_of("ami-00000002")));
}

#[test]
fn another_balancer_takes_over_before_the_first_goes() {
    let lab = Lab::with(site(2, size("t3.small")));
    let internal = |front: Desired| front.front(|want| want.scheme = Scheme::Internal);
    let plan = lab.plan(behind(2, size("c5.large"), internal));
    check(
        &lab.graph(&plan),
        r#"
1 instance.web-0 stop
    after 19: load_balancer.front sends it nothing any more
2 instance.web-0 await stopped
    after 1: the same object
3 instance.web-0 set type
    after 2: the same object
4 instance.web-0 start
    after 3: the same object
5 instance.web-0 await running
    after 4: the same object
6 instance.web-1 stop
    after 23: load_balancer.front sends it nothing any more
7 instance.web-1 await stopped
    after 6: the same object
8 instance.web-1 set type
    after 7: the same object
9 instance.web-1 start
    after 8: the same object
10 instance.web-1 await running
    after 9: the same object
11 load_balancer.front create
12 load_balancer.front set health check
    after 11: the same object
13 load_balancer.front set attributes
    after 12: the same object
14 load_balancer.front register: instance.web-0, instance.web-1
    after 5: needs instance.web-0
    after 10: needs instance.web-1
    after 13: the same object
15 load_balancer.front await in service: instance.web-0, instance.web-1
    after 5: needs instance.web-0
    after 10: needs instance.web-1
    after 14: the same object
16 load_balancer.front delete
    after 13: the successor of load_balancer.front comes first
    after 15: the successor of load_balancer.front comes first
    after 21: its turn comes after instance.web-0
    after 25: its turn comes after instance.web-1
17 load_balancer.front await its interfaces gone
    after 16: the same object
18 load_balancer.front deregister: <instance.web-0#1>
19 load_balancer.front await drained: <instance.web-0#1>
    after 18: the same object
20 load_balancer.front register: instance.web-0
    after 5: needs instance.web-0
21 load_balancer.front await in service: instance.web-0
    after 5: needs instance.web-0
    after 20: the same object
22 load_balancer.front deregister: <instance.web-1#1>
    after 21: its turn comes after instance.web-0
23 load_balancer.front await drained: <instance.web-1#1>
    after 22: the same object
24 load_balancer.front register: instance.web-1
    after 10: needs instance.web-1
25 load_balancer.front await in service: instance.web-1
    after 10: needs instance.web-1
    after 24: the same object
"#,
    );
    lab.apply(&stack(behind(2, size("c5.large"), internal)));
}

#[test]
fn members_go_after_the_balancer_that_sent_them_traffic() {
    let resources = || {
        let mut all = behind(
            2,
            |web| web.groups(&["security_group.g"]),
            |front| {
                front.front(|want| want.security_groups = Some(vec![Reference::Address(super::at("security_group.g"))]))
            },
        );
        all.push(("security_group.g", group()));
        all
    };
    let lab = Lab::with(resources());
    let plan = lab.plan_by(resources(), &Policy { goal: Goal::Destroy, ..policy() });
    check(
        &told(&lab, &plan),
        r#"
load_balancer.front delete
load_balancer.front await its interfaces gone
instance.web-1 terminate
instance.web-1 await terminated
instance.web-0 terminate
instance.web-0 await terminated
security_group.g delete
"#,
    );
    lab.carry_out(&stack(resources()), &Policy { goal: Goal::Destroy, ..policy() });
    assert_eq!(super::owned(&lab.sim), BTreeSet::new());
}

#[test]
fn fewer_members_leave_traffic_before_they_go() {
    let lab = Lab::with(site(4, size("t3.small")));
    let plan = lab.plan(site(2, size("t3.small")));
    check(
        &told(&lab, &plan),
        r#"
load_balancer.front deregister
load_balancer.front await drained
instance.web-3 terminate
instance.web-3 await terminated
instance.web-2 terminate
instance.web-2 await terminated
"#,
    );
    lab.apply(&stack(site(2, size("t3.small"))));
}

#[test]
fn new_user_data_by_a_restart_rolls() {
    let runs = |line: &'static str| {
        move |web: Desired| web.runs(vec![text(line)]).machine(|want| want.on_user_data_change = OnChange::Restart)
    };
    let lab = Lab::with(site(2, runs("one")));
    let plan = lab.plan(site(2, runs("two")));
    check(
        &told(&lab, &plan),
        r#"
load_balancer.front never below 1 of 2
  instance.web-0 restart 3160s
  instance.web-1 restart 3160s
load_balancer.front deregister
load_balancer.front await drained
instance.web-0 stop
instance.web-0 await stopped
instance.web-0 set user data
instance.web-0 start
instance.web-0 await running
load_balancer.front register
load_balancer.front await in service
load_balancer.front deregister
load_balancer.front await drained
instance.web-1 stop
instance.web-1 await stopped
instance.web-1 set user data
instance.web-1 start
instance.web-1 await running
load_balancer.front register
load_balancer.front await in service
"#,
    );
    lab.apply(&stack(site(2, runs("two"))));
}

#[test]
fn members_move_to_other_zones_behind_a_balancer_that_moves_too() {
    let zone = |letter: char| crate::model::id::ZoneName::new(format!("eu-west-1{letter}"));
    let within = |letters: [char; 2]| crate::resources::place::Within::Zones(letters.map(zone).into());
    let of = |letters: [char; 2]| {
        behind(
            4,
            move |web| web.machine(|want| want.place.within = within(letters)),
            move |front| front.front(|want| want.place.within = within(letters)),
        )
    };
    let lab = Lab::with(of(['a', 'b']));
    let plan = lab.plan(of(['b', 'c']));
    check(
        &told(&lab, &plan),
        r#"
load_balancer.front never below 3 of 4
  instance.web-0 replace 1160s
  instance.web-2 replace 1160s
load_balancer.front attach subnets
instance.web-0 run
instance.web-0 await running
load_balancer.front register
load_balancer.front await in service
load_balancer.front deregister
load_balancer.front await drained
instance.web-2 run
instance.web-2 await running
load_balancer.front register
load_balancer.front await in service
load_balancer.front deregister
load_balancer.front await drained
load_balancer.front detach subnets
instance.web-2 terminate
instance.web-2 await terminated
instance.web-0 terminate
instance.web-0 await terminated
"#,
    );
    lab.apply(&stack(of(['b', 'c'])));
}

#[test]
fn who_joins_serves_before_anybody_leaves_a_site_that_is_to_grow() {
    let fixed = |image_id: &'static str| {
        move |want: Desired| {
            image(image_id)(want)
                .machine(|want| want.private_ip = (want.index == 0).then(|| "172.31.9.9".parse().unwrap()))
        }
    };
    let lab = Lab::with(site(1, fixed("ami-00000001")));
    lab.apply(&stack(site(2, fixed("ami-00000002"))));
}
