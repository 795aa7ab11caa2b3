//! Who is registered, who serves, and who waits for whom.

use super::*;

#[test]
fn only_running_instances_of_its_vpc_are_registered() {
    let mut lab = serving();
    lab.fine(FRONT, register("instance.a"));
    assert_eq!(lab.balancer().instances.len(), 2);
    let strange = act(On::Register(vec![Link::Existing(CloudId::new("i-00000000"))]));
    assert_eq!(lab.refused(FRONT, strange), "InvalidInstance");
    assert_eq!(lab.refused(FRONT, register("instance.none")), "MissingParameter");
    lab.fine("instance.c", machine(instance::Action::Stop));
    assert_eq!(lab.refused(FRONT, register("instance.c")), "InvalidInstance");
    lab.fine("instance.c", machine(instance::Action::AwaitStopped));
    lab.fine("instance.c", machine(instance::Action::Start));
    assert_eq!(lab.refused(FRONT, register("instance.c")), "InvalidInstance");
    lab.fine("instance.c", machine(instance::Action::AwaitRunning));
    let id = lab.id("instance.c");
    lab.world.meddle(&here(), &id, |object| {
        if let Body::Instance(body) = &mut object.body {
            body.vpc = VpcId::new("vpc-00000009");
        }
    });
    let call = call(FRONT, None, register("instance.c"));
    assert_eq!(lab.world.step(&call, &lab.known).unwrap_err().code, "InvalidInstance");
}

#[test]
fn members_serve_after_so_many_checks() {
    let mut lab = serving();
    assert_eq!(lab.reason("instance.a"), "");
    lab.fine(FRONT, register("instance.c"));
    assert_eq!(lab.reason("instance.c"), "Instance registration is still in progress.");
    lab.world.pass(9);
    assert_eq!(lab.reason("instance.c"), "Instance registration is still in progress.");
    lab.world.pass(1);
    assert_eq!(lab.reason("instance.c"), "");
    // Whoever serves goes on when the checks become slower; whoever comes has to pass the new ones.
    lab.fine(FRONT, act(On::SetHealthCheck(check(300, 10))));
    assert_eq!(lab.reason("instance.c"), "");
    let leave = lab.deregister("instance.c", 1);
    lab.fine(FRONT, leave);
    lab.fine(FRONT, register("instance.c"));
    lab.world.pass(2999);
    assert_ne!(lab.reason("instance.c"), "");
    lab.world.pass(1);
    assert_eq!(lab.reason("instance.c"), "");
}

#[test]
fn who_stops_is_checked_again() {
    let mut lab = serving();
    lab.step("instance.a", machine(instance::Action::Stop)).unwrap();
    assert_eq!(lab.reason("instance.a"), "Instance is in stopped state.");
    lab.step("instance.a", machine(instance::Action::AwaitStopped)).unwrap();
    assert_eq!(lab.reason("instance.a"), "Instance is in stopped state.");
    lab.step("instance.a", machine(instance::Action::Start)).unwrap();
    assert_eq!(lab.reason("instance.a"), "Instance is in pending state.");
    lab.world.pass(20);
    assert_eq!(lab.reason("instance.a"), "Instance registration is still in progress.");
    lab.world.pass(10);
    assert_eq!(lab.reason("instance.a"), "");
}

#[test]
fn a_zone_without_a_subnet_is_not_served() {
    let mut lab = serving();
    let second = subnets(&lab.world).remove(1).id;
    let detach = act(On::DetachSubnets { subnets: [second.clone()].into(), keep: 1 });
    lab.fine(FRONT, detach);
    assert!(lab.reason("instance.b").contains("is not configured to route traffic to"));
    lab.fine(FRONT, act(On::AttachSubnets([second].into())));
    assert_eq!(lab.reason("instance.b"), "");
}

#[test]
fn the_unhealthy_fail_after_so_many_checks() {
    let mut lab = serving();
    let bad = lab.id("instance.c");
    lab.world.region_mut(&here()).unlisted_mut(&bad).unhealthy = true;
    lab.fine(FRONT, register("instance.c"));
    assert_eq!(lab.reason("instance.c"), "Instance registration is still in progress.");
    lab.world.pass(10);
    assert!(lab.reason("instance.c").contains("failed at least the UnhealthyThreshold"));
    let image = BTreeSet::from([ImageId::new("ami-0123456789abcdef0")]);
    lab.world.region_mut(&here()).set_unhealthy_images(image);
    assert!(lab.healths().values().all(|health| !health.in_service));
    lab.world.region_mut(&here()).set_unhealthy_images(BTreeSet::new());
    lab.world.region_mut(&here()).unlisted_mut(&bad).unhealthy = false;
    assert!(lab.healths().values().all(|health| health.in_service));
}

#[test]
fn coming_in_is_awaited_and_has_an_end() {
    let mut lab = serving();
    lab.fine(FRONT, register("instance.c"));
    let clock = lab.world.clock();
    lab.fine(FRONT, await_in_service(&["instance.a", "instance.c"]));
    assert_eq!(lab.world.clock(), clock + 10);
    let bad = lab.id("instance.c");
    lab.world.region_mut(&here()).unlisted_mut(&bad).unhealthy = true;
    let clock = lab.world.clock();
    let error = lab.within(30, FRONT, await_in_service(&["instance.a", "instance.c"])).unwrap_err();
    assert_eq!((error.trouble, lab.world.clock()), (Trouble::TimedOut, clock + 31));
    let why = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively";
    assert_eq!(error.message, format!("not in service at `eu-west-1/front` after 30s: `{bad}` ({why})"));
    let leave = lab.deregister("instance.c", 2);
    lab.fine(FRONT, leave);
    let error = lab.step(FRONT, await_in_service(&["instance.c"])).unwrap_err();
    assert!(error.message.contains("is not registered"), "{error}");
}

#[test]
fn whoever_ends_while_it_is_awaited_is_named_at_once() {
    let mut lab = serving();
    lab.fine(FRONT, register("instance.c"));
    lab.fine("instance.c", machine(instance::Action::Terminate));
    for _ in 0..2 {
        let clock = lab.world.clock();
        let error = lab.step(FRONT, await_in_service(&["instance.c"])).unwrap_err();
        assert_eq!((error.trouble, lab.world.clock()), (Trouble::WrongState, clock + 1));
        assert!(error.message.ends_with("was terminated while it was being registered"), "{error}");
        assert_eq!(lab.reason("instance.c"), "Instance is in terminated state.");
        lab.world.pass(100);
    }
    assert_eq!(lab.world.breaches(), [""; 0]);
    let leave = lab.deregister("instance.c", 2);
    lab.fine(FRONT, leave.clone());
    lab.fine(FRONT, leave);
}

#[test]
fn nobody_leaves_before_enough_others_serve() {
    let mut lab = serving();
    lab.fine(FRONT, register("instance.c"));
    let (leave, clock) = (lab.deregister("instance.a", 2), lab.world.clock());
    lab.fine(FRONT, leave.clone());
    assert_eq!(lab.world.clock(), clock + 10, "it waits for the third");
    lab.fine(FRONT, leave);
    let bad = lab.id("instance.c");
    lab.world.region_mut(&here()).unlisted_mut(&bad).unhealthy = true;
    let leave = lab.deregister("instance.b", 1);
    let error = lab.within(60, FRONT, leave).unwrap_err();
    assert_eq!(error.trouble, Trouble::TimedOut);
    assert_eq!(
        error.message,
        format!(
            "beside `{}`, 0 members are in service at `eu-west-1/front` after 1m, and 1 must be before any leaves; \
             not in service: `{bad}` (Instance has failed at least the UnhealthyThreshold number of health checks \
             consecutively)",
            lab.id("instance.b")
        )
    );
    assert_eq!(lab.balancer().instances.len(), 2, "nobody left");
    let leave = lab.deregister("instance.c", 2);
    lab.fine(FRONT, leave);
    let error = lab.deregister("instance.b", 5);
    let error = lab.within(0, FRONT, error).unwrap_err();
    assert!(error.message.ends_with("5 must be before any leaves"), "{error}");
    let leave = lab.deregister("instance.b", 0);
    lab.fine(FRONT, leave);
    assert_eq!(lab.healths(), BTreeMap::new());
}

#[test]
fn a_zone_is_not_given_up_before_enough_serve_in_the_others() {
    let mut lab = serving();
    let first = subnets(&lab.world).remove(0).id;
    let detach = |keep| act(On::DetachSubnets { subnets: [first.clone()].into(), keep });
    let error = lab.within(30, FRONT, detach(2)).unwrap_err();
    assert!(error.message.contains("1 member is in service"), "{error}");
    assert_eq!((error.trouble, lab.balancer().subnets.len()), (Trouble::TimedOut, 2));
    lab.member("instance.d", 1);
    lab.fine(FRONT, register("instance.d"));
    let clock = lab.world.clock();
    lab.fine(FRONT, detach(2));
    assert_eq!((lab.world.clock(), lab.balancer().subnets.len()), (clock + 10, 1));
}

#[test]
fn requests_under_way_end_in_their_time() {
    let mut lab = serving();
    let drained = |lab: &Lab, address: &str| act(On::AwaitDrained(BTreeSet::from([lab.id(address)])));
    let draining = |seconds: Option<u64>| {
        act(On::SetAttributes(Attributes {
            cross_zone: true,
            idle_timeout: Seconds(60),
            connection_draining: seconds.map(Seconds),
            access_log: None,
        }))
    };
    for (seconds, takes) in [(None, 0), (Some(5), 5), (Some(300), 20)] {
        lab.fine(FRONT, draining(seconds));
        let leave = lab.deregister("instance.a", 1);
        lab.fine(FRONT, leave);
        assert_eq!(lab.balancer().instances.len(), 1, "it leaves at once");
        let clock = lab.world.clock();
        let wait = drained(&lab, "instance.a");
        lab.fine(FRONT, wait.clone());
        assert_eq!(lab.world.clock(), clock + 1.max(takes), "{seconds:?}");
        lab.fine(FRONT, wait);
        lab.fine(FRONT, register("instance.a"));
        lab.fine(FRONT, await_in_service(&["instance.a"]));
    }
    let leave = lab.deregister("instance.a", 1);
    lab.fine(FRONT, leave);
    let wait = drained(&lab, "instance.a");
    assert_eq!(lab.within(2, FRONT, wait).unwrap_err().trouble, Trouble::TimedOut);
}
