//! Rolls that cannot begin, or do not come to their end: nobody goes missing.

use std::collections::BTreeSet;

use super::super::spec::{Lab, check, refusals, stack};
use super::super::{apply_on, at, here, plan_on, policy, trouble};
use super::{WEB, at_least, behind, image, site, size, told};
use crate::model::CloudId;
use crate::model::id::ImageId;
use crate::plan::policy::Policy;
use crate::resources::load_balancer;

/// The id of what stands at an address.
fn id_of(lab: &Lab, address: &str) -> CloudId {
    let world = lab.sim.world();
    let found = world.objects().find(|object| object.owner().is_some_and(|owner| owner.address == at(address)));
    found.unwrap().id.clone()
}

#[test]
fn capacity_that_no_order_gives_is_refused() {
    let lab = Lab::with(behind(2, size("t3.small"), at_least(2)));
    let plan = lab.plan(behind(2, size("c5.large"), at_least(2)));
    check(
        &lab.named(&refusals(&plan)),
        r#"
refused load_balancer.front (Capacity): a member must stop for a while, and `min_healthy = 2` of 2 leaves no room for that
    hint: add a member, set `min_healthy = 1`, or let the change replace instead of restart (`on_type_change`, `on_user_data_change`)
"#,
    );
    // One that stands still needs no room.
    lab.apply(&stack(behind(2, size("t3.small"), at_least(1))));
}

#[test]
fn one_that_was_stopped_by_hand_is_started_where_nobody_can_be_spared() {
    let lab = Lab::with(behind(2, size("t3.small"), at_least(2)));
    let id = id_of(&lab, WEB[0]);
    lab.sim.meddle(|world| {
        world.meddle(&here(), &id, |object| {
            if let crate::resources::registry::Body::Instance(body) = &mut object.body {
                body.state = crate::resources::instance::state::State::Stopped;
            }
        });
    });
    let plan = lab.plan(behind(2, size("t3.small"), at_least(2)));
    check(
        &told(&lab, &plan),
        r#"
instance.web-0 start
instance.web-0 await running
"#,
    );
    lab.apply(&stack(behind(2, size("t3.small"), at_least(2))));
}

#[test]
fn a_member_is_not_taken_from_a_balancer_that_a_filter_leaves_out() {
    let lab = Lab::with(site(3, size("t3.small")));
    let targets = BTreeSet::from([at(WEB[2])]);
    let plan = lab.plan_by(site(2, size("t3.small")), &Policy { targets, ..policy() });
    check(
        &lab.named(&refusals(&plan)),
        r#"
refused instance.web-2 (Holder): <instance.web-2#1> cannot go: it is held by `load_balancer.front` (eu-west-1/<load_balancer.front#1>), which this plan does not change
    hint: take it along (`--target`), or take <instance.web-2#1> off what holds it
"#,
    );
    let targets = BTreeSet::from([at(WEB[1])]);
    let plan = lab.plan_by(site(3, size("c5.large")), &Policy { targets, ..policy() });
    check(
        &told(&lab, &plan),
        r#"
load_balancer.front never below 2 of 3
  instance.web-1 restart 3640s
load_balancer.front deregister
load_balancer.front await drained
instance.web-1 stop
instance.web-1 await stopped
instance.web-1 set type
instance.web-1 start
instance.web-1 await running
load_balancer.front register
load_balancer.front await in service
"#,
    );
}

#[test]
fn a_sick_member_keeps_its_neighbours_from_leaving() {
    let lab = Lab::with(behind(3, size("t3.small"), at_least(2)));
    let sick = id_of(&lab, WEB[2]);
    lab.sim.meddle(|world| world.region_mut(&here()).unlisted_mut(&sick).unhealthy = true);
    let (plan, _) = plan_on(lab.sim.as_ref(), &stack(behind(3, size("c5.large"), at_least(2))), &policy());
    let outcome = apply_on(&lab.sim, &plan, 4);
    let failed: Vec<String> = trouble(&plan, &outcome).into_iter().filter(|line| line.contains("Failed")).collect();
    check(
        &lab.named(&failed.join("\n")),
        r#"
#16 deregister load_balancer.front: Failed(ProviderError { class: TimedOut, doing: "elasticloadbalancing:DeregisterInstancesFromLoadBalancer for `load_balancer.front` in eu-west-1", code: Some("TimedOut"), request_id: None, detail: "beside `<instance.web-0#1>`, 1 member is in service at `eu-west-1/<load_balancer.front#1>` after 320s, and 2 must be before any leaves; not in service: `<instance.web-2#1>` (Instance has failed at least the UnhealthyThreshold number of health checks consecutively)", hint: None, ambiguous: false })
"#,
    );
    let balancer = load_balancer::id(&here(), "shop-front-1");
    let serving = lab.sim.world().health(&here(), &balancer).values().filter(|health| health.in_service).count();
    assert_eq!((serving, lab.sim.world().breaches().to_vec()), (2, Vec::new()));
}

#[test]
fn a_roll_that_broke_off_goes_on_once_the_new_member_has_shown_that_it_serves() {
    let lab = Lab::with(site(3, image("ami-00000001")));
    let bad = ImageId::new("ami-0000bad0");
    lab.sim.meddle(|world| world.region_mut(&here()).set_unhealthy_images([bad.clone()].into()));
    let wanted = stack(site(3, image("ami-0000bad0")));
    for _ in 0..3 {
        // Whoever applies it again and again loses nobody and makes no more of it.
        let (plan, _) = plan_on(lab.sim.as_ref(), &wanted, &policy());
        assert!(!apply_on(&lab.sim, &plan, 4).complete());
        let health = lab.sim.world().health(&here(), &load_balancer::id(&here(), "shop-front-1"));
        let serving = health.values().filter(|health| health.in_service).count();
        assert_eq!((health.len(), serving, lab.sim.world().breaches().to_vec()), (4, 3, Vec::new()));
    }
    check(
        &told(&lab, &lab.plan(site(3, image("ami-0000bad0")))),
        r#"
load_balancer.front never below 2 of 3
  instance.web-0 replace 640s
  instance.web-1 replace 1160s
  instance.web-2 replace 1160s
load_balancer.front await in service
load_balancer.front deregister
load_balancer.front await drained
instance.web-0 terminate
instance.web-0 await terminated
instance.web-1 run
instance.web-1 await running
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
instance.web-2 terminate
instance.web-2 await terminated
instance.web-1 terminate
instance.web-1 await terminated
"#,
    );
    lab.sim.meddle(|world| world.region_mut(&here()).set_unhealthy_images([].into()));
    lab.apply(&wanted);
}
