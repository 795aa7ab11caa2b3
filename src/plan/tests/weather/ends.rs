//! Interfaces that outlive their balancer.

use super::*;

/// The balancer with a group of its own.
fn grouped() -> Resources {
    let mut all = edited(site(2, same), |want| {
        want.security_groups = Some(vec![Reference::Address(at("security_group.edge"))]);
    });
    all.push(("security_group.edge", group()));
    all
}

fn destroy() -> Policy {
    Policy { goal: Goal::Destroy, ..policy() }
}

#[test]
fn a_destroy_waits_for_the_interfaces_and_leaves_nothing() {
    let lab = Lab::with(grouped());
    let end = lab.end(&stack(grouped()), &destroy(), None);
    assert!(end.outcome.complete(), "{}", end.report());
    assert_eq!(end.calls(FRONT), "delete done, await its interfaces gone done");
    assert_eq!(owned(&lab.sim), BTreeSet::new());
}

#[test]
fn interfaces_that_stay_too_long_are_named() {
    let lab = Lab::with(grouped());
    let hook: Hook = Box::new(|call, sim| {
        if on_front(call, |action| matches!(action, load_balancer::Action::AwaitInterfacesGone)) {
            sim.meddle(|world| {
                let until = world.clock() + 2000;
                let place = world.region_mut(&here());
                let remnant = place.remnants()[0].clone();
                place.leave(crate::resources::world::Remnant { until, ..remnant });
            });
        }
        Ok(())
    });
    let end = lab.end(&stack(grouped()), &destroy(), Some(hook));
    let (call, error) = end.failure();
    assert_eq!((call.as_str(), error.class), ("load_balancer.front await its interfaces gone", Class::TimedOut));
    assert_eq!(
        error.detail,
        "the interfaces of the deleted load balancer `eu-west-1/shop-front-1` are still there after 15m"
    );
    assert!(end.report().contains(&error.detail), "{}", end.report());
    assert_eq!(end.calls("security_group.edge"), "delete skipped");
    // The group still cannot go, and says why; a little later it does.
    let end = lab.end(&stack(grouped()), &destroy(), None);
    let (call, error) = end.failure();
    assert_eq!((call.as_str(), error.class), ("security_group.edge delete", Class::InUse));
    assert!(error.detail.ends_with("is held by the interfaces of the deleted load balancer `shop-front-1`"), "{error}");
    lab.sim.meddle(|world| world.pass(2000));
    let end = lab.end(&stack(grouped()), &destroy(), None);
    assert!(end.outcome.complete(), "{}", end.report());
    assert_eq!(owned(&lab.sim), BTreeSet::new());
}

#[test]
fn a_short_timeout_is_the_wait_for_the_interfaces_of_the_old_one() {
    let lab = Lab::with(grouped());
    let hasty = |mut all: Resources| {
        let front = all.iter_mut().find(|(address, _)| *address == FRONT).unwrap();
        front.1 = front.1.clone().common(|common| common.timeout = Some(Seconds(15))).front(|want| {
            want.scheme = load_balancer::state::Scheme::Internal;
        });
        all
    };
    let end = lab.in_part(&hasty(grouped()), None);
    let (call, error) = end.failure();
    assert_eq!((call.as_str(), error.class), ("load_balancer.front await its interfaces gone", Class::TimedOut));
    assert!(error.detail.ends_with("`eu-west-1/shop-front-1` are still there after 15s"), "{error}");
    lab.made_good(&hasty(grouped()));
}

#[test]
fn a_short_timeout_is_a_destroys_too() {
    let lab = Lab::with(grouped());
    let mut hasty = grouped();
    let front = hasty.iter_mut().find(|(address, _)| *address == FRONT).unwrap();
    front.1 = front.1.clone().common(|common| common.timeout = Some(Seconds(15)));
    let end = lab.end(&stack(hasty.clone()), &destroy(), None);
    let (call, error) = end.failure();
    assert_eq!((call.as_str(), error.class), ("load_balancer.front await its interfaces gone", Class::TimedOut));
    assert!(error.detail.ends_with("`eu-west-1/shop-front-1` are still there after 15s"), "{error}");
    lab.sim.meddle(|world| world.pass(60));
    let end = lab.end(&stack(hasty), &destroy(), None);
    assert!(end.outcome.complete(), "{}", end.report());
    assert_eq!(owned(&lab.sim), BTreeSet::new());
}
