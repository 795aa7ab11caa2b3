//! What outlives a balancer, what is a breach, and what a file keeps.

use super::*;

#[test]
fn interfaces_hold_groups_for_a_while() {
    let delete = || Action::SecurityGroup(security_group::Action::Delete);
    let lab = || {
        let mut lab = Lab::default();
        let group = create_group(&lab.world, "web", owned("security_group.web"));
        lab.fine("security_group.web", group);
        let groups = vec![planned("security_group.web")];
        let front = Create { security_groups: groups, ..front(&lab.world, FRONT) };
        lab.fine(FRONT, create(front));
        lab.fine(FRONT, act(On::Delete));
        assert!(lab.object(FRONT).is_none());
        lab
    };
    let mut impatient = lab();
    let question =
        Question::Holders { kind: Kind::SecurityGroup, region: here(), id: impatient.id("security_group.web") };
    assert_eq!(impatient.world.answer(&question), Ok(Answer::Holders(Vec::new())));
    let error = impatient.within(10, "security_group.web", delete()).unwrap_err();
    assert_eq!((error.trouble, error.code), (Trouble::InUse, "DependencyViolation"));
    assert!(error.message.ends_with("is held by the interfaces of the deleted load balancer `front`"), "{error}");
    let error = impatient.within(10, FRONT, act(On::AwaitInterfacesGone)).unwrap_err();
    assert_eq!(error.trouble, Trouble::TimedOut);
    let text = serde_json::to_string(&impatient.world).unwrap();
    assert!(text.contains("\"remnants\""), "{text}");
    impatient.world = serde_json::from_str(&text).unwrap();
    let clock = impatient.world.clock();
    impatient.fine("security_group.web", delete());
    assert!((clock + 30..clock + 60).contains(&impatient.world.clock()));
    assert!(impatient.world.region(&here()).remnants().is_empty());
    let mut patient = lab();
    patient.fine(FRONT, act(On::AwaitInterfacesGone));
    patient.fine(FRONT, act(On::AwaitInterfacesGone));
    let clock = patient.world.clock();
    patient.fine("security_group.web", delete());
    assert_eq!(patient.world.clock(), clock + 1);
}

#[test]
fn one_of_the_same_name_can_follow_at_once() {
    let mut lab = serving();
    let before = lab.balancer().dns_name.clone();
    lab.fine(FRONT, act(On::Delete));
    lab.made();
    assert_ne!(lab.balancer().dns_name, before);
    assert_eq!(lab.balancer().instances, BTreeSet::new());
    lab.fine(FRONT, register("instance.a"));
    assert_ne!(lab.reason("instance.a"), "", "it is checked anew");
}

#[test]
fn taking_out_who_serves_is_a_breach() {
    for action in [instance::Action::Terminate, instance::Action::Stop] {
        let mut lab = serving();
        let api = World::api(&machine(action.clone()));
        lab.step("instance.a", machine(action)).unwrap();
        let second = lab.world.clock();
        let id = lab.id("instance.a");
        let expected = format!(
            "{api} for `instance.a` took `{id}` out of service at `eu-west-1/front` at second {second}, which left 1"
        );
        assert_eq!(lab.world.breaches(), [expected]);
        assert_eq!(lab.world.audit(), Vec::<String>::new(), "the world is sound all the same");
        let text = serde_json::to_string(&lab.world).unwrap();
        assert_eq!(serde_json::from_str::<World>(&text).unwrap(), lab.world);
    }
}

#[test]
fn what_is_no_breach() {
    let mut lab = serving();
    lab.fine("instance.c", machine(instance::Action::Stop));
    let leave = lab.deregister("instance.a", 1);
    lab.fine(FRONT, leave);
    lab.fine("instance.a", machine(instance::Action::Terminate));
    lab.fine("instance.a", machine(instance::Action::AwaitTerminated));
    let (front, b) = (lab.id(FRONT), lab.id("instance.b"));
    lab.fine(FRONT, act(On::Delete));
    assert_eq!(lab.world.object(&here(), &front), None);
    lab.made();
    // Of another stack, the instance or the balancer: whatever becomes of it is none of ours.
    for strange in [&b, &front] {
        lab.fine(FRONT, act(On::SetHealthCheck(check(5, 2))));
        lab.fine(FRONT, register("instance.b"));
        lab.fine(FRONT, await_in_service(&["instance.b"]));
        let before = lab.world.object(&here(), strange).unwrap().tags.clone();
        lab.world.meddle(&here(), strange, |object| object.tags.clear());
        for action in [instance::Action::Stop, instance::Action::AwaitStopped, instance::Action::Start] {
            lab.fine("instance.b", machine(action));
        }
        lab.fine("instance.b", machine(instance::Action::AwaitRunning));
        lab.world.meddle(&here(), strange, |object| object.tags = before);
    }
    let other = Tags::from([(crate::model::tags::STACK.to_owned(), "other".to_owned())]);
    lab.world.pass(10);
    lab.world.meddle(&here(), &b, |object| object.tags.extend(other));
    lab.fine("instance.b", machine(instance::Action::Terminate));
}

#[test]
fn a_hand_written_one_serves_at_once() {
    let lab = serving();
    let ids = [lab.id("instance.a"), lab.id("instance.b")];
    let mut region: serde_json::Value = serde_json::to_value(&lab.world).unwrap();
    let place = region.pointer_mut("/regions/eu-west-1").unwrap().as_object_mut().unwrap();
    place.remove("unlisted");
    region["clock"] = 0.into();
    let world: World = serde_json::from_value(region).unwrap();
    assert_eq!(world.audit(), Vec::<String>::new());
    let health = world.health(&here(), &lab.id(FRONT));
    assert!(ids.iter().all(|id| health.get(id).is_some_and(|health| health.in_service)), "{health:?}");
}

#[test]
fn a_file_keeps_who_is_on_the_way() {
    let mut lab = serving();
    let draining = Attributes {
        cross_zone: true,
        idle_timeout: Seconds(60),
        connection_draining: Some(Seconds(300)),
        access_log: None,
    };
    lab.fine(FRONT, act(On::SetAttributes(draining)));
    lab.fine(FRONT, act(On::SetHealthCheck(check(30, 10))));
    lab.fine(FRONT, register("instance.c"));
    let leave = lab.deregister("instance.a", 1);
    lab.fine(FRONT, leave);
    let images = BTreeSet::from([ImageId::new("ami-00000009")]);
    lab.world.region_mut(&here()).set_unhealthy_images(images);
    let text = serde_json::to_string(&lab.world).unwrap();
    for word in ["registered", "passed", "draining", "running_since", "unhealthy_images"] {
        assert!(text.contains(&format!("\"{word}\"")), "{word} in {text}");
    }
    assert!(!text.contains("in_service") && !text.contains("breaches"), "{text}");
    let again: World = serde_json::from_str(&text).unwrap();
    assert_eq!(again, lab.world);
    assert_eq!(again.health(&here(), &lab.id(FRONT)), lab.healths());
}

#[test]
fn health_is_told_where_it_is_asked_for() {
    let lab = serving();
    let object = lab.object(FRONT).unwrap().clone();
    assert!(lab.balancer().health.is_empty());
    let told = lab.world.with_health(object.clone());
    let Body::LoadBalancer(body) = &told.body else { panic!("{told:?}") };
    assert_eq!(body.health, lab.healths());
    let mut world = World::default();
    let machine = lab.object("instance.a").unwrap().clone();
    assert_eq!(lab.world.with_health(machine.clone()), machine);
    world.put(told);
    assert_eq!(world.object(&here(), &object.id), Some(&object), "what was told is not kept");
}

#[test]
fn the_audit_sees_what_cannot_be() {
    let spoil: [fn(&mut Object); 5] = [
        |object| object.id = CloudId::new("eu-west-1/back"),
        |object| edit(object, |body| body.subnets.clear()),
        |object| edit(object, |body| body.subnets = [SubnetId::new("subnet-00000000")].into()),
        |object| edit(object, |body| body.vpc = VpcId::new("vpc-00000009")),
        |object| edit(object, |body| body.security_groups.clear()),
    ];
    for spoil in spoil {
        let mut lab = Lab::default();
        lab.made();
        let id = lab.id(FRONT);
        let mut object = lab.world.take(&here(), &id).unwrap();
        spoil(&mut object);
        lab.world.put(object);
        assert_eq!(lab.world.audit().len(), 1, "{:?}", lab.world.audit());
    }
    let mut lab = Lab::default();
    lab.made();
    let group = lab.balancer().security_groups.first().unwrap().clone();
    lab.fine(FRONT, act(On::Delete));
    lab.world.take(&here(), &group);
    assert_eq!(lab.world.audit().len(), 1, "{:?}", lab.world.audit());
    assert_eq!(load_balancer::name(&lab.id(FRONT)), "front");
}

fn edit(object: &mut Object, edit: impl FnOnce(&mut Observed)) {
    let Body::LoadBalancer(body) = &mut object.body else { panic!("{object:?}") };
    edit(body);
}
