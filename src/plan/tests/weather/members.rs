//! Members that do not come up, and members that end behind our back.

use super::*;

#[test]
fn a_bad_image_stops_at_the_first_member() {
    let lab = Lab::with(site(4, image("ami-00000001")));
    let bad = BTreeSet::from([ImageId::new("ami-00000002")]);
    lab.sim.meddle(|world| world.region_mut(&here()).set_unhealthy_images(bad.clone()));
    let wished = site(4, image("ami-00000002"));
    let end = lab.in_part(&wished, None);
    let (call, error) = end.failure();
    assert_eq!((call.as_str(), error.class), ("load_balancer.front await in service", Class::TimedOut));
    let member = lab.id("instance.web-0");
    let why = format!("not in service at `eu-west-1/shop-front-1` after 320s: `{member}` ({FAILED})");
    assert_eq!(error.detail, why);
    assert!(end.report().contains(&why), "{}", end.report());
    let all = names(&["instance.web-0#1", "instance.web-1#1", "instance.web-2#1", "instance.web-3#1"]);
    assert_eq!(lab.serving(), all, "nobody was taken out");
    let skipped = "run skipped, await running skipped, terminate skipped, await terminated skipped";
    assert_eq!(end.calls("instance.web-1"), skipped);
    assert_eq!(
        end.calls("instance.web-0"),
        "run done, await running done, terminate skipped, await terminated skipped"
    );
    // Tried again it comes no further.
    let end = lab.in_part(&wished, None);
    assert_eq!(end.failure().1.class, Class::TimedOut);
    assert_eq!(lab.serving(), all, "nobody was taken out the second time");
    let machines = lab.sim.world().objects().filter(|object| object.kind() == Kind::Instance).count();
    assert_eq!(machines, 5, "nor is another made");
    // The old image goes back to where everybody was; a good one gets through.
    lab.made_good(&site(4, image("ami-00000003")));
    assert_eq!(lab.front().1.instances.len(), 4);
}

/// Instances that are started fail every check from then on.
fn sick(address: &'static str) -> Hook {
    Box::new(move |call, sim| {
        if call.at == at(address) && matches!(call.action, Action::Instance(instance::Action::Start)) {
            let id = call.on.clone().unwrap();
            sim.meddle(|world| world.region_mut(&here()).unlisted_mut(&id).unhealthy = true);
        }
        Ok(())
    })
}

#[test]
fn a_member_that_does_not_come_back_stops_the_restarts() {
    let lab = Lab::with(site(4, same));
    let wished = site(4, larger);
    let end = lab.in_part(&wished, Some(sick("instance.web-0")));
    let (call, error) = end.failure();
    assert_eq!((call.as_str(), error.class), ("load_balancer.front await in service", Class::TimedOut));
    let member = lab.id("instance.web-0");
    assert!(error.detail.ends_with(&format!("`{member}` ({FAILED})")), "{error}");
    assert!(end.report().contains(&error.detail), "{}", end.report());
    let others = names(&["instance.web-1#1", "instance.web-2#1", "instance.web-3#1"]);
    assert_eq!(lab.serving(), others);
    assert_eq!(
        end.calls("instance.web-0"),
        "stop done, await stopped done, set type done, start done, await running done"
    );
    assert!(!end.calls("instance.web-1").contains("done"), "{}", end.calls("instance.web-1"));
    // Tried again the others stay as long as that one does not serve.
    let end = lab.in_part(&wished, None);
    assert_eq!(end.failure().1.class, Class::TimedOut);
    assert_eq!(lab.serving(), others);
    lab.sim.meddle(|world| world.region_mut(&here()).unlisted_mut(&member).unhealthy = false);
    lab.made_good(&wished);
    assert_eq!(lab.id("instance.web-0"), member);
}

/// A stranger ends an instance: nobody can ask it to mind who sends it traffic.
fn end_by_hand(sim: &Sim, id: &CloudId) {
    let call = Call {
        at: "instance.nobody".parse::<Address>().unwrap(),
        region: here(),
        on: Some(id.clone()),
        action: Action::Instance(instance::Action::Terminate),
        timeout: Seconds(60),
    };
    sim.meddle(|world| {
        let tags = world.object(&here(), id).unwrap().tags.clone();
        world.meddle(&here(), id, |object| object.tags = Tags::new());
        world.step(&call, &Bindings::default()).unwrap();
        world.meddle(&here(), id, |object| object.tags = tags);
    });
}

#[test]
fn a_member_that_ends_before_it_serves_is_named_and_made_again() {
    let lab = Lab::with(site(3, image("ami-00000001")));
    let wished = site(3, image("ami-00000002"));
    let ended = Arc::new(Mutex::new(None));
    let told = Arc::clone(&ended);
    let hook: Hook = Box::new(move |call, sim| {
        if let Action::LoadBalancer(load_balancer::Action::AwaitInService(_)) = &call.action
            && told.lock().unwrap().is_none()
        {
            let newest = sim
                .world()
                .objects()
                .find(|object| {
                    object.owner().is_some_and(|owner| owner.address == at("instance.web-0") && owner.generation == 2)
                })
                .unwrap()
                .id
                .clone();
            end_by_hand(sim, &newest);
            *told.lock().unwrap() = Some(newest);
        }
        Ok(())
    });
    let end = lab.in_part(&wished, Some(hook));
    let (call, error) = end.failure();
    let member = ended.lock().unwrap().clone().unwrap();
    assert_eq!((call.as_str(), error.class), ("load_balancer.front await in service", Class::WrongState));
    assert_eq!(error.detail, format!("`{member}` was terminated while it was being registered"));
    assert!(end.report().contains(&error.detail), "{}", end.report());
    assert_eq!(lab.serving(), names(&["instance.web-0#1", "instance.web-1#1", "instance.web-2#1"]));
    lab.made_good(&wished);
    assert_eq!(lab.serving(), names(&["instance.web-0#3", "instance.web-1#2", "instance.web-2#2"]));
    assert!(!lab.front().1.instances.contains(&member));
}

/// How a member goes behind our back.
type Gone = fn(&Sim, &CloudId);

#[test]
fn members_that_ended_behind_our_back_are_made_again() {
    let ways: [(Gone, &str); 3] = [
        (|sim, id| end_by_hand(sim, id), "it is still shown with its tags"),
        (
            |sim, id| {
                end_by_hand(sim, id);
                sim.meddle(|world| world.pass(3600));
            },
            "it is not shown any more",
        ),
        (|sim, id| drop(sim.meddle(|world| world.take(&here(), id))), "it is gone without a word"),
    ];
    for (gone, way) in ways {
        for dead in [
            &["instance.web-1"][..],
            &["instance.web-0", "instance.web-2"],
            &["instance.web-0", "instance.web-1", "instance.web-2"],
        ] {
            let lab = Lab::with(site(3, same));
            let ids: Vec<CloudId> = dead.iter().map(|address| lab.id(address)).collect();
            for id in &ids {
                gone(&lab.sim, id);
            }
            assert_eq!(lab.serving().len(), 3 - dead.len(), "{way}");
            lab.made_good(&site(3, same));
            assert!(ids.iter().all(|id| !lab.front().1.instances.contains(id)), "{way}");
        }
    }
}

#[test]
fn tried_again_a_bad_one_does_not_take_the_place_of_a_good_one() {
    let lab = Lab::with(site(4, image("ami-00000001")));
    let bad = BTreeSet::from([ImageId::new("ami-00000002")]);
    lab.sim.meddle(|world| world.region_mut(&here()).set_unhealthy_images(bad));
    // One member alone changes: none of the others waits to be proven.
    let mut wished = site(4, image("ami-00000001"));
    wished[0].1 = image("ami-00000002")(wished[0].1.clone());
    lab.in_part(&wished, None);
    assert_eq!(lab.serving().len(), 4);
    for _ in 0..2 {
        let end = lab.in_part(&wished, None);
        assert_eq!(end.failure().1.class, Class::TimedOut);
        assert_eq!(lab.serving().len(), 4, "{}", end.report());
    }
    // The image that everybody else has gets back at once.
    lab.made_good(&site(4, image("ami-00000001")));
}
