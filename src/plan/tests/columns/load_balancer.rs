//! What each field of a load balancer does, as text.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::super::at;
use super::super::spec::{Lab, Resources, With, box_, check, front, group, refusals, stack, told};
use super::{Case, case, here};
use crate::model::duration::Seconds;
use crate::model::id::{SubnetId, ZoneName};
use crate::model::net::Cidr;
use crate::model::{CloudId, Reference, Tags};
use crate::plan::Plan;
use crate::resources::Choice;
use crate::resources::load_balancer::state::{AccessLog, Listener, Protocol, Registration, Scheme, Stickiness};
use crate::resources::load_balancer::{self, Desired as Front};
use crate::resources::place::Within;
use crate::resources::registry::{Body, Desired};
use crate::resources::snapshot::Subnet;

mod members;

const ADDRESS: &str = "load_balancer.front";
const SECOND: &str = "subnet-0000000a";

/// A world whose first zone has two subnets.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.sim.meddle(|world| {
        let mut facts = world.region(&here()).facts().clone();
        let cidr = Cidr::listed("172.31.64.0/20").unwrap();
        let second = Subnet { id: SubnetId::new(SECOND), cidr, default: false, ..facts.subnets[0].clone() };
        facts.subnets.push(second);
        world.region_mut(&here()).set_facts(facts);
    });
    lab
}

/// Three instances, each in a zone of its own, and a group.
fn others() -> Resources {
    let mut others: Resources = vec![("security_group.other", group())];
    for (name, index) in [("instance.a", 0), ("instance.b", 1), ("instance.c", 2)] {
        others.push((name, box_().machine(|want| want.index = index)));
    }
    others
}

fn with(front: Desired) -> Resources {
    let mut all = others();
    all.push((ADDRESS, front));
    all
}

/// What a plan says, with what the reader is told of each change.
fn whole(lab: &Lab, plan: &Plan) -> String {
    let mut out = told(plan);
    for change in plan.changes() {
        for note in &change.notes {
            let _ = writeln!(out, "    {}: {}", note.impact.word(), note.text);
        }
    }
    lab.named(&format!("{out}{}", refusals(plan)))
}

/// Applies one balancer, then shows what each change would do to it.
fn table(start: &Desired, cases: Vec<Case>) -> String {
    let mut out = String::new();
    for (name, edit) in cases {
        let lab = lab();
        lab.apply(&stack(with(start.clone())));
        let second = with(edit(start.clone()));
        let plan = lab.plan(second.clone());
        let _ = write!(out, "{name}\n{}", whole(&lab, &plan));
        if plan.refusals().is_empty() {
            lab.apply(&stack(second));
        }
    }
    out
}

fn on(edit: impl Fn(&mut Front) + 'static) -> impl Fn(Desired) -> Desired {
    move |want| want.front(|want| edit(want))
}

fn zones(letters: &'static str) -> impl Fn(&mut Front) + Clone + 'static {
    move |want| {
        let zones = letters.chars().map(|letter| ZoneName::new(format!("eu-west-1{letter}")));
        want.place.within = Within::Zones(zones.collect());
    }
}

/// Subnets by their place in the world's list.
fn subnets(which: &'static [usize]) -> impl Fn(&mut Front) + 'static {
    move |want| {
        let world = lab().sim.world();
        let region = world.region(&here());
        let chosen = which.iter().map(|nth| Choice::Id(region.facts().subnets[*nth].id.clone()));
        want.place.within = Within::Subnets(chosen.collect());
    }
}

fn members(names: &'static [&'static str]) -> impl Fn(&mut Front) + 'static {
    move |want| want.instances = names.iter().map(|name| Reference::Address(at(name))).collect()
}

fn certificate(which: u32) -> String {
    format!("arn:aws:acm:eu-west-1:123456789012:certificate/{which}")
}

fn listener(protocol: Protocol, instance_protocol: Protocol, instance_port: u16) -> Listener {
    let certificate = protocol.is_secure().then(|| certificate(1));
    Listener { protocol, instance_port, instance_protocol, certificate, ssl_policy: None, stickiness: None }
}

fn adds(port: u16, listener: &Listener) -> impl Fn(&mut Front) + 'static {
    let listener = listener.clone();
    move |want| drop(want.listeners.insert(port, listener.clone()))
}

/// Changes the listener on 443.
fn secure(edit: impl Fn(&mut Listener) + 'static) -> impl Fn(&mut Front) + 'static {
    move |want| edit(want.listeners.get_mut(&443).unwrap())
}

fn stick(stickiness: Stickiness) -> impl Fn(&mut Front) + 'static {
    secure(move |listener| listener.stickiness = Some(stickiness.clone()))
}

/// In two zones, with two members, on 80 and 443.
fn usual() -> Desired {
    let https = listener(Protocol::Https, Protocol::Http, 8000);
    front(&["instance.a", "instance.b"]).front(zones("ab")).front(adds(443, &https))
}

#[test]
fn made_and_replaced() {
    check(
        &table(
            &usual(),
            vec![
                case("nothing", |want| want),
                case("name", on(|want| want.name = Some("edge".to_owned()))),
                case("scheme", on(|want| want.scheme = Scheme::Internal)),
                case("protect", |want| want.common(|common| common.protect = true)),
                case("protect and scheme", |want| {
                    want.common(|common| common.protect = true).front(|want| want.scheme = Scheme::Internal)
                }),
                case("keep", |want| want.common(|common| common.keep = true)),
                case("tags", |want| want.common(|common| drop(common.tags.insert("a".to_owned(), "b".to_owned())))),
                case("min_healthy", on(|want| want.min_healthy = 0)),
                case("registration", on(|want| want.registration = Registration::Additive)),
                case("timeout", |want| want.common(|common| common.timeout = Some(Seconds(900)))),
            ],
        ),
        r#"
nothing
name
  load_balancer.front Replace [name Replace] downtime: create, set health check, set attributes, register, await in service, delete, await its interfaces gone
    downtime: another DNS name takes the place of <load_balancer.front#1>-5840177755.eu-west-1.elb.amazonaws.com: point your records to the new one
scheme
  load_balancer.front Replace [scheme Replace] downtime: create, set health check, set attributes, register, await in service, delete, await its interfaces gone
    downtime: another DNS name takes the place of <load_balancer.front#1>-5840177755.eu-west-1.elb.amazonaws.com: point your records to the new one
protect
  load_balancer.front Update [protect InPlace] : tag
protect and scheme
  load_balancer.front Replace [scheme Replace] downtime: create, set health check, set attributes, register, await in service, delete, await its interfaces gone
    downtime: another DNS name takes the place of <load_balancer.front#1>-5840177755.eu-west-1.elb.amazonaws.com: point your records to the new one
refused load_balancer.front (Protected): eu-west-1/<load_balancer.front#1> is protected, and `scheme` cannot change without replacing it
    hint: take the change back, or set `protect = false` first
keep
  load_balancer.front Update [keep InPlace] : tag
tags
  load_balancer.front Update [tags.a InPlace] : tag
min_healthy
registration
timeout
"#,
    );
}

#[test]
fn zones_and_subnets() {
    let mut out = table(
        &usual(),
        vec![
            case("zones more", on(zones("abc"))),
            case("zones fewer", on(zones("a"))),
            case("zones others", on(zones("bc"))),
            case("zones, none the same", on(zones("c"))),
            case("zone unknown", on(zones("d"))),
            case("no zones", on(|want| want.place.within = Within::Anywhere)),
            case("subnets of these zones", on(subnets(&[0, 1]))),
            case(
                "security_groups",
                on(|want| {
                    want.security_groups = Some(vec![Reference::Address(at("security_group.other"))]);
                }),
            ),
        ],
    );
    let start = usual().front(subnets(&[0, 1]));
    out += &table(
        &start,
        vec![
            case("subnet swapped", on(subnets(&[3, 1]))),
            case("subnet swapped, too few elsewhere", |want| {
                want.front(subnets(&[3, 1])).front(|want| want.min_healthy = 2)
            }),
            case(
                "subnet unknown",
                on(|want| {
                    want.place.within = Within::Subnets(vec![Choice::Id(SubnetId::new("subnet-00000000"))]);
                }),
            ),
        ],
    );
    let alone = |want: Desired| want.front(members(&["instance.a"])).front(|want| want.min_healthy = 0);
    out += &table(
        &alone(start.front(subnets(&[0]))),
        vec![
            case("the only subnet swapped", on(subnets(&[3]))),
            case("the only zone left for another", on(subnets(&[1]))),
            case("a zone beside the swapped one", on(subnets(&[3, 1]))),
        ],
    );
    check(
        &out,
        r#"
zones more
  load_balancer.front Update [+subnets InPlace] : attach subnets
zones fewer
  load_balancer.front Update [-subnets InPlace] reconnect: detach subnets
    reconnect: no traffic any more in eu-west-1b: <instance.b#1>
zones others
  load_balancer.front Update [+subnets InPlace, -subnets InPlace] reconnect: attach subnets, detach subnets
    reconnect: no traffic any more in eu-west-1a: <instance.a#1>
zones, none the same
  load_balancer.front Update [+subnets InPlace, -subnets InPlace, -subnets InPlace] reconnect: attach subnets, detach subnets
    reconnect: no traffic any more in eu-west-1a, eu-west-1b: <instance.a#1>, <instance.b#1>
refused load_balancer.front (Capacity): without eu-west-1a, eu-west-1b it can serve 0 of its members, less than `min_healthy = 1`
    hint: have more members in the zones that it serves, or set `min_healthy = 0`
zone unknown
refused load_balancer.front (Lookup): no subnet of <vpc> is in zone `eu-west-1d`
    hint: zones with a usable subnet: eu-west-1a, eu-west-1b, eu-west-1c
no zones
  load_balancer.front Update [+subnets InPlace] : attach subnets
subnets of these zones
security_groups
  load_balancer.front Update [security_groups InPlace] : set security groups
subnet swapped
  load_balancer.front Update [subnets InPlace] reconnect: detach subnet, attach subnet
    reconnect: members in eu-west-1a are out of service while subnet-0000000a takes the place of subnet-3e0e5a05d40bfa6d2
subnet swapped, too few elsewhere
  load_balancer.front Update [subnets InPlace] reconnect: detach subnet, attach subnet
    reconnect: members in eu-west-1a are out of service while subnet-0000000a takes the place of subnet-3e0e5a05d40bfa6d2
refused load_balancer.front (Capacity): subnet-0000000a can only take the place of subnet-3e0e5a05d40bfa6d2 in eu-west-1a after that one is given up, and then 1 of its members serve, less than `min_healthy = 2`
    hint: lower `min_healthy`, have more members outside eu-west-1a, or make another balancer: `--replace load_balancer.front`
subnet unknown
refused load_balancer.front (Lookup): no subnet `subnet-00000000` in this region
    hint: name one that exists: there are subnet-3e0e5a05d40bfa6d2 (eu-west-1a), subnet-92e9e22eb3ac173fd (eu-west-1b), subnet-9d9f91640e9672541 (eu-west-1c), subnet-0000000a (eu-west-1a)
the only subnet swapped
  load_balancer.front Replace [subnets Replace] downtime: create, set health check, set attributes, register, await in service, delete, await its interfaces gone
    downtime: another DNS name takes the place of <load_balancer.front#1>-5840177755.eu-west-1.elb.amazonaws.com: point your records to the new one
the only zone left for another
  load_balancer.front Update [+subnets InPlace, -subnets InPlace] reconnect: attach subnets, detach subnets
    reconnect: no traffic any more in eu-west-1a: <instance.a#1>
a zone beside the swapped one
  load_balancer.front Update [+subnets InPlace, subnets InPlace] reconnect: attach subnets, detach subnet, attach subnet
    reconnect: members in eu-west-1a are out of service while subnet-0000000a takes the place of subnet-3e0e5a05d40bfa6d2
"#,
    );
}

#[test]
fn listeners() {
    let strict = || Some("ELBSecurityPolicy-TLS-1-2-2017-01".to_owned());
    let out = table(
        &usual(),
        vec![
            case("listener more", on(adds(25, &listener(Protocol::Tcp, Protocol::Tcp, 25)))),
            case("listener more with policies", |want| {
                let listener = Listener {
                    ssl_policy: Some("ELBSecurityPolicy-2016-08".to_owned()),
                    stickiness: Some(Stickiness::Duration(Seconds(60))),
                    ..listener(Protocol::Https, Protocol::Https, 8443)
                };
                want.front(adds(8443, &listener))
            }),
            case("listener less", on(|want| drop(want.listeners.remove(&443)))),
            case("listener on another port", |want| {
                let https = listener(Protocol::Https, Protocol::Http, 8000);
                want.front(|want| drop(want.listeners.remove(&443))).front(adds(444, &https))
            }),
            case("protocol", on(adds(443, &listener(Protocol::Ssl, Protocol::Tcp, 8000)))),
            case("protocol without a certificate", on(adds(443, &listener(Protocol::Tcp, Protocol::Tcp, 8000)))),
            case("instance_port", on(secure(|listener| listener.instance_port = 9000))),
            case("instance_protocol", on(secure(|listener| listener.instance_protocol = Protocol::Https))),
            case("certificate", on(secure(|listener| listener.certificate = Some(certificate(2))))),
            case("ssl_policy", on(secure(move |listener| listener.ssl_policy = strict()))),
            case(
                "ssl_policy, AWS's own",
                on(secure(|listener| {
                    listener.ssl_policy = Some("ELBSecurityPolicy-2016-08".to_owned());
                })),
            ),
            case("stickiness duration", on(stick(Stickiness::Duration(Seconds(3600))))),
            case("stickiness cookie", on(stick(Stickiness::Cookie("session".to_owned())))),
            case(
                "instance_port with everything else",
                on(secure(|listener| {
                    listener.instance_port = 9000;
                    listener.certificate = Some(certificate(2));
                    listener.stickiness = Some(Stickiness::Cookie("session".to_owned()));
                })),
            ),
        ],
    );
    check(
        &out,
        r#"
listener more
  load_balancer.front Update [listeners.25 InPlace] : add listeners
listener more with policies
  load_balancer.front Update [listeners.8443 InPlace] : add listeners, set listener policies
listener less
  load_balancer.front Update [listeners.443 InPlace] : remove listeners
listener on another port
  load_balancer.front Update [listeners.444 InPlace, listeners.443 InPlace] : add listeners, remove listeners
protocol
  load_balancer.front Update [listeners.443 InPlace] downtime: remove listeners, add listeners
    downtime: port 443 does not answer for some seconds: its listener is made anew
protocol without a certificate
  load_balancer.front Update [listeners.443 InPlace] downtime: remove listeners, add listeners
    downtime: port 443 does not answer for some seconds: its listener is made anew
instance_port
  load_balancer.front Update [listeners.443 InPlace] downtime: remove listeners, add listeners
    downtime: port 443 does not answer for some seconds: its listener is made anew
instance_protocol
  load_balancer.front Update [listeners.443 InPlace] downtime: remove listeners, add listeners
    downtime: port 443 does not answer for some seconds: its listener is made anew
certificate
  load_balancer.front Update [listeners.443.certificate InPlace] : set certificate
ssl_policy
  load_balancer.front Update [listeners.443.ssl_policy InPlace] : set listener policies
ssl_policy, AWS's own
stickiness duration
  load_balancer.front Update [listeners.443.stickiness InPlace] : set listener policies
stickiness cookie
  load_balancer.front Update [listeners.443.stickiness InPlace] : set listener policies
instance_port with everything else
  load_balancer.front Update [listeners.443 InPlace] downtime: remove listeners, add listeners, set listener policies
    downtime: port 443 does not answer for some seconds: its listener is made anew
"#,
    );
}

#[test]
fn listeners_with_policies() {
    let strict = || Some("ELBSecurityPolicy-TLS-1-2-2017-01".to_owned());
    let start = usual().front(stick(Stickiness::Cookie("session".to_owned()))).front(secure(move |listener| {
        listener.ssl_policy = strict();
    }));
    let out = table(
        &start,
        vec![
            case("stickiness none", on(secure(|listener| listener.stickiness = None))),
            case("ssl_policy none", on(secure(|listener| listener.ssl_policy = None))),
            case("certificate beside policies", on(secure(|listener| listener.certificate = Some(certificate(2))))),
            case("instance_port beside policies", on(secure(|listener| listener.instance_port = 9000))),
        ],
    );
    check(
        &out,
        r#"
stickiness none
  load_balancer.front Update [listeners.443.stickiness InPlace] : set listener policies
ssl_policy none
  load_balancer.front Update [listeners.443.ssl_policy InPlace] : set listener policies
certificate beside policies
  load_balancer.front Update [listeners.443.certificate InPlace] : set certificate
instance_port beside policies
  load_balancer.front Update [listeners.443 InPlace] downtime: remove listeners, add listeners, set listener policies
    downtime: port 443 does not answer for some seconds: its listener is made anew
"#,
    );
}

#[test]
fn checks_and_attributes() {
    let log = |interval: u64| {
        Some(AccessLog { bucket: "logs".to_owned(), prefix: "front".to_owned(), interval: Seconds(interval) })
    };
    let mut out = table(
        &usual(),
        vec![
            case("health_check.target", on(|want| want.health_check.target = "HTTP:8000/alive".to_owned())),
            case("health_check.interval", on(|want| want.health_check.interval = Seconds(30))),
            case("health_check.timeout", on(|want| want.health_check.timeout = Seconds(3))),
            case("health_check.unhealthy_after", on(|want| want.health_check.unhealthy_after = 3)),
            case("health_check.healthy_after", on(|want| want.health_check.healthy_after = 10)),
            case(
                "health_check, everything",
                on(|want| {
                    want.health_check.interval = Seconds(30);
                    want.health_check.timeout = Seconds(5);
                }),
            ),
            case("cross_zone", on(|want| want.attributes.cross_zone = false)),
            case("idle_timeout", on(|want| want.attributes.idle_timeout = Seconds(120))),
            case("connection_draining", on(|want| want.attributes.connection_draining = Some(Seconds(20)))),
            case("connection_draining off", on(|want| want.attributes.connection_draining = None)),
            case("access_log", on(move |want| want.attributes.access_log = log(300))),
        ],
    );
    let start = usual().front(|want| want.attributes.access_log = log(300));
    out += &table(
        &start,
        vec![
            case("access_log.interval", on(move |want| want.attributes.access_log = log(3600))),
            case("access_log off", on(|want| want.attributes.access_log = None)),
        ],
    );
    check(
        &out,
        r#"
health_check.target
  load_balancer.front Update [health_check.target InPlace] : set health check
health_check.interval
  load_balancer.front Update [health_check.interval InPlace] : set health check
health_check.timeout
  load_balancer.front Update [health_check.timeout InPlace] : set health check
health_check.unhealthy_after
  load_balancer.front Update [health_check.unhealthy_after InPlace] : set health check
health_check.healthy_after
  load_balancer.front Update [health_check.healthy_after InPlace] : set health check
health_check, everything
  load_balancer.front Update [health_check.interval InPlace, health_check.timeout InPlace] : set health check
cross_zone
  load_balancer.front Update [cross_zone InPlace] : set attributes
idle_timeout
  load_balancer.front Update [idle_timeout InPlace] : set attributes
connection_draining
  load_balancer.front Update [connection_draining InPlace] : set attributes
connection_draining off
  load_balancer.front Update [connection_draining InPlace] : set attributes
access_log
  load_balancer.front Update [access_log InPlace] : set attributes
access_log.interval
  load_balancer.front Update [access_log InPlace] : set attributes
access_log off
  load_balancer.front Update [access_log InPlace] : set attributes
"#,
    );
}

#[test]
fn the_proxy_protocol() {
    let mut out = table(
        &usual(),
        vec![
            case(
                "proxy_protocol",
                on(|want| {
                    want.proxy_protocol.insert(8000);
                }),
            ),
            case("proxy_protocol of a new listener", |want| {
                want.front(adds(25, &listener(Protocol::Tcp, Protocol::Tcp, 25))).front(|want| {
                    want.proxy_protocol.insert(25);
                })
            }),
        ],
    );
    let start = usual().front(adds(25, &listener(Protocol::Tcp, Protocol::Tcp, 25))).front(|want| {
        want.proxy_protocol.insert(25);
    });
    out += &table(
        &start,
        vec![
            case("proxy_protocol none", on(|want| want.proxy_protocol.clear())),
            case(
                "proxy_protocol of a listener that goes",
                on(|want| {
                    want.proxy_protocol.clear();
                    want.listeners.remove(&25);
                }),
            ),
            case("proxy_protocol of a listener made anew", on(adds(25, &listener(Protocol::Ssl, Protocol::Tcp, 25)))),
            case("proxy_protocol of a listener that moves", |want| {
                want.front(|want| drop(want.listeners.remove(&25)))
                    .front(adds(26, &listener(Protocol::Tcp, Protocol::Tcp, 25)))
            }),
        ],
    );
    check(
        &out,
        r#"
proxy_protocol
  load_balancer.front Update [+proxy_protocol InPlace] : set proxy protocol
proxy_protocol of a new listener
  load_balancer.front Update [listeners.25 InPlace, +proxy_protocol InPlace] : add listeners, set proxy protocol
proxy_protocol none
  load_balancer.front Update [-proxy_protocol InPlace] : set proxy protocol
proxy_protocol of a listener that goes
  load_balancer.front Update [-proxy_protocol InPlace, listeners.25 InPlace] : set proxy protocol, remove listeners
proxy_protocol of a listener made anew
  load_balancer.front Update [listeners.25 InPlace] downtime: remove listeners, add listeners, set proxy protocol
    downtime: port 25 does not answer for some seconds: its listener is made anew
proxy_protocol of a listener that moves
  load_balancer.front Update [listeners.26 InPlace, listeners.25 InPlace] : add listeners, remove listeners
"#,
    );
}
