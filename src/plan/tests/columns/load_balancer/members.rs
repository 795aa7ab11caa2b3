//! Who is registered, and whose the balancer is.

use super::*;

#[test]
fn instances() {
    check(
        &table(
            &usual().front(zones("abc")),
            vec![
                case("instances more", on(members(&["instance.a", "instance.b", "instance.c"]))),
                case("instances fewer", on(members(&["instance.a"]))),
                case("instances others", on(members(&["instance.b", "instance.c"]))),
                case(
                    "instances none",
                    on(|want| {
                        want.instances.clear();
                        want.min_healthy = 0;
                    }),
                ),
                case("instances and checks", |want| {
                    want.front(members(&["instance.a", "instance.c"]))
                        .front(|want| want.health_check.interval = Seconds(10))
                }),
            ],
        ),
        r#"
instances more
  load_balancer.front Update [+instances InPlace] : register, await in service
instances fewer
  load_balancer.front Update [-instances InPlace] : deregister, await drained
instances others
  load_balancer.front Update [+instances InPlace, -instances InPlace] : register, await in service, deregister, await drained
instances none
  load_balancer.front Update [-instances InPlace, -instances InPlace] downtime: deregister, await drained
    downtime: nobody is registered any more: it answers 503
instances and checks
  load_balancer.front Update [health_check.interval InPlace, +instances InPlace, -instances InPlace] : set health check, register, await in service, deregister, await drained
"#,
    );
}

/// The balancer, and what it is called.
fn balancer(lab: &Lab) -> (CloudId, load_balancer::Observed) {
    let world = lab.sim.world();
    let mut all = world.objects().filter_map(|object| match &object.body {
        Body::LoadBalancer(body) => Some((object.id.clone(), body.clone())),
        _ => None,
    });
    all.next().expect("the balancer")
}

fn id(lab: &Lab, address: &str) -> CloudId {
    let world = lab.sim.world();
    let found = world.objects().find(|object| object.owner().is_some_and(|owner| owner.address == at(address)));
    found.expect("the object").id.clone()
}

#[test]
fn a_group_grows_and_shrinks() {
    let site = |count: usize| {
        let names = ["instance.web-0", "instance.web-1", "instance.web-2"];
        let names = names.get(..count).unwrap();
        let mut all: Resources =
            (0..).zip(names).map(|(index, name)| (*name, box_().member("web", index, 1))).collect();
        all.push((ADDRESS, front(names)));
        all
    };
    let lab = lab();
    lab.apply(&stack(site(2)));
    let mut out = String::new();
    for count in [3, 2] {
        let plan = lab.plan(site(count));
        let _ = write!(out, "{count}\n{}", whole(&lab, &plan));
        lab.apply(&stack(site(count)));
        assert_eq!(balancer(&lab).1.instances.len(), count);
    }
    check(
        &out,
        r#"
3
  instance.web-2 Create [] : run, await running
  load_balancer.front Update [+instances InPlace] : register, await in service
2
  instance.web-2 Delete Orphan [] downtime: terminate, await terminated
  load_balancer.front Update [-instances InPlace] : deregister, await drained
    downtime: <instance.web-2#1> is terminated
"#,
    );
}

#[test]
fn beside_others_only_ours_leave() {
    let lab = lab();
    let additive = usual().front(|want| want.registration = Registration::Additive);
    lab.apply(&stack(with(additive.clone())));
    let (id_of_front, _) = balancer(&lab);
    // Somebody else's group registers its own.
    let c = id(&lab, "instance.c");
    let strange = CloudId::new("i-0000000a");
    lab.sim.meddle(|world| {
        let mut foreign = world.object(&here(), &c).unwrap().clone();
        (foreign.id, foreign.tags) = (strange.clone(), Tags::new());
        if let Body::Instance(body) = &mut foreign.body {
            body.private_ip = "172.31.40.40".parse().unwrap();
            (body.public_ip, body.public_dns) = (None, None);
        }
        world.put(foreign);
        world.meddle(&here(), &id_of_front, |object| {
            if let Body::LoadBalancer(body) = &mut object.body {
                body.instances.insert(strange.clone());
            }
        });
    });
    assert!(lab.plan(with(additive.clone())).is_empty());
    let fewer = additive.clone().front(members(&["instance.a"]));
    let plan = lab.plan(with(fewer.clone()));
    let first = whole(&lab, &plan);
    lab.apply(&stack(with(fewer)));
    assert_eq!(balancer(&lab).1.instances, BTreeSet::from([id(&lab, "instance.a"), strange.clone()]));
    let exclusive = with(usual());
    let plan = lab.plan(exclusive.clone());
    check(
        &format!("fewer\n{first}exclusive\n{}", whole(&lab, &plan)),
        r#"
fewer
  load_balancer.front Update [-instances InPlace] : deregister, await drained
exclusive
  load_balancer.front Update [+instances InPlace, -instances InPlace] : register, await in service, deregister, await drained
"#,
    );
    lab.apply(&stack(exclusive));
    assert!(!balancer(&lab).1.instances.contains(&strange));
}

#[test]
fn one_made_by_hand_is_adopted() {
    let lab = lab();
    lab.apply(&stack(with(usual())));
    let (id, body) = balancer(&lab);
    lab.sim.meddle(|world| world.meddle(&here(), &id, |object| object.tags.clear()));
    let refused = lab.plan(with(usual().front(|want| want.name = Some(body.name.clone()))));
    let adopted = with(usual().common(|common| common.adopt = Some(body.name.clone())));
    let plan = lab.plan(adopted.clone());
    check(
        &format!("{}{}", lab.named(&refusals(&refused)), whole(&lab, &plan)),
        r#"
refused load_balancer.front (Taken): the load balancer name `<foreign>` belongs to one that this stack does not own
    hint: take it over with `adopt = "<foreign>"`, or give another `name`
  load_balancer.front Adopt [tags.portcullis:address InPlace, tags.portcullis:generation InPlace, tags.portcullis:stack InPlace] : tag
"#,
    );
    lab.apply(&stack(adopted));
    lab.apply(&stack(with(usual())));
    assert_eq!(balancer(&lab), (id, body));
}

#[test]
fn one_to_be_kept_is_released() {
    let lab = lab();
    let kept = usual().common(|common| common.keep = true);
    lab.apply(&stack(with(kept)));
    let before = balancer(&lab);
    let plan = lab.plan(others());
    check(
        &whole(&lab, &plan),
        r#"
  load_balancer.front Release Orphan [] : release
    none: it stays, and is nobody's from then on
"#,
    );
    lab.apply(&stack(others()));
    assert_eq!(balancer(&lab), before);
    assert_eq!(lab.sim.world().object(&here(), &before.0).unwrap().tags, Tags::new());
}
