//! What AWS takes its time for: certificates, ports, subnets.

use super::*;
use crate::model::id::SubnetId;
use crate::model::net::Cidr;
use crate::resources::Choice;
use crate::resources::place::Within;
use crate::resources::snapshot::Subnet;

fn https(which: u32) -> Listener {
    Listener {
        protocol: Protocol::Https,
        instance_port: 8000,
        instance_protocol: Protocol::Http,
        certificate: Some(certificate(which)),
        ssl_policy: None,
        stickiness: None,
    }
}

fn certificate(which: u32) -> String {
    format!("arn:aws:acm:eu-west-1:123456789012:certificate/{which}")
}

/// Says from which second on certificates are seen.
fn certificates(lab: &Lab, seen: &[(u32, u64)]) {
    let seen = seen.iter().map(|(which, second)| (certificate(*which), *second)).collect();
    lab.sim.meddle(|world| world.region_mut(&here()).set_certificates(seen));
}

#[test]
fn a_late_certificate_is_waited_for() {
    let lab = Lab::new();
    certificates(&lab, &[(1, 250)]);
    let secure = |which| edited(site(2, same), move |want| drop(want.listeners.insert(443, https(which))));
    lab.apply(&stack(secure(1)));
    assert!(lab.sim.world().clock() >= 250);
    let later = lab.sim.world().clock() + 200;
    certificates(&lab, &[(1, 250), (2, later)]);
    lab.apply(&stack(secure(2)));
    assert!(lab.sim.world().clock() >= later);
    assert_eq!(lab.front().1.listeners[&443].certificate, Some(certificate(2)));
}

#[test]
fn a_certificate_that_does_not_come_fails_its_call_alone() {
    let lab = Lab::new();
    certificates(&lab, &[(1, 5000), (2, 0)]);
    let secure = |which| edited(site(2, same), move |want| drop(want.listeners.insert(443, https(which))));
    let end = lab.in_part(&secure(1), None);
    let (call, error) = end.failure();
    assert_eq!((call.as_str(), error.class), ("load_balancer.front create", Class::NotFound));
    assert_eq!(
        error.to_string(),
        format!(
            "elasticloadbalancing:CreateLoadBalancer for `load_balancer.front` in eu-west-1: the certificate `{}` does not exist (CertificateNotFound)",
            certificate(1)
        )
    );
    assert!(end.report().contains(&error.to_string()), "{}", end.report());
    assert_eq!(end.calls("instance.web-0"), "run done, await running done");
    assert!(end.calls(FRONT).ends_with("await in service skipped"), "{}", end.calls(FRONT));
    lab.made_good(&secure(2));
    // Another that is not there: the listener keeps the one it has.
    let end = lab.in_part(&secure(3), None);
    assert_eq!(end.calls(FRONT), "set certificate failed");
    assert_eq!(lab.front().1.listeners[&443].certificate, Some(certificate(2)));
    certificates(&lab, &[(2, 0), (3, 0)]);
    lab.made_good(&secure(3));
}

#[test]
fn a_port_of_our_own_is_waited_for_and_a_strangers_is_not() {
    let lab = Lab::with(site(2, same));
    let moved =
        |port: u16| edited(site(2, same), move |want| want.listeners.get_mut(&80).unwrap().instance_port = port);
    let clock = lab.sim.world().clock();
    lab.apply(&stack(moved(9000)));
    assert_eq!(lab.sim.world().clock(), clock + 6, "the port is free after five seconds");
    // Somebody takes the port as soon as it is free.
    let stranger: Hook = Box::new(|call, sim| {
        if on_front(call, |action| matches!(action, load_balancer::Action::AddListeners(_))) {
            let id = call.on.clone().unwrap();
            sim.meddle(|world| {
                world.pass(60);
                world.meddle(&call.region, &id, |object| {
                    if let Body::LoadBalancer(body) = &mut object.body {
                        body.listeners.insert(80, Listener { certificate: None, protocol: Protocol::Http, ..https(1) });
                    }
                })
            });
        }
        Ok(())
    });
    let clock = lab.sim.world().clock();
    let end = lab.in_part(&moved(9001), Some(stranger));
    let (call, error) = end.failure();
    assert_eq!(
        (call.as_str(), error.code.as_deref()),
        ("load_balancer.front add listeners", Some("DuplicateListener"))
    );
    assert_eq!(lab.sim.world().clock(), clock + 62, "it is refused at once");
    lab.made_good(&moved(9001));
    assert_eq!(lab.front().1.listeners[&80].instance_port, 9001);
}

#[test]
fn a_subnet_that_was_given_up_a_moment_ago_is_waited_for() {
    let lab = Lab::new();
    let second = SubnetId::new("subnet-0000000a");
    lab.sim.meddle(|world| {
        let mut facts = world.region(&here()).facts().clone();
        let cidr = Cidr::listed("172.31.64.0/20").unwrap();
        facts.subnets.push(Subnet { id: second.clone(), cidr, default: false, ..facts.subnets[0].clone() });
        world.region_mut(&here()).set_facts(facts);
    });
    let world = lab.sim.world();
    let region = world.region(&here());
    let [first, other] = [0, 1].map(|nth| region.facts().subnets[nth].id.clone());
    let within = |first: &SubnetId| {
        let chosen = [first, &other].map(|id| Choice::Id(id.clone())).to_vec();
        edited(site(2, same), move |want| want.place.within = Within::Subnets(chosen.clone()))
    };
    lab.apply(&stack(within(&first)));
    let clock = lab.sim.world().clock();
    lab.made_good(&within(&second));
    assert_eq!(lab.sim.world().clock(), clock + 6, "the zone is free after five seconds");
    assert_eq!(lab.front().1.subnets, BTreeSet::from([second, other.clone()]));
}
