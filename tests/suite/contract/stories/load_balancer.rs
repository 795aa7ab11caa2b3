//! Classic Load Balancers, and who is registered with them.

use std::collections::BTreeSet;

use portcullis::model::duration::Seconds;
use portcullis::model::id::SubnetId;
use portcullis::resources::load_balancer::action::Create;
use portcullis::resources::load_balancer::state::{
    AccessLog, Attributes, DEFAULT_SSL_POLICY, HealthCheck, Listener, Protocol, Scheme, Stickiness,
};

use super::*;

const AT: &str = "load_balancer.a";
const CERTIFICATE: &str = "arn:aws:iam::123456789012:server-certificate/one";
const OTHER_CERTIFICATE: &str = "arn:aws:iam::123456789012:server-certificate/two";

pub(super) fn listener(protocol: Protocol, instance_port: u16) -> Listener {
    Listener {
        protocol,
        instance_port,
        instance_protocol: protocol,
        certificate: None,
        ssl_policy: None,
        stickiness: None,
    }
}

pub(super) fn http(instance_port: u16) -> Listener {
    listener(Protocol::Http, instance_port)
}

/// TLS that ends at the balancer.
fn https(instance_port: u16) -> Listener {
    let certificate = Some(CERTIFICATE.to_owned());
    Listener { protocol: Protocol::Https, certificate, ..http(instance_port) }
}

pub(super) fn check(target: &str) -> HealthCheck {
    HealthCheck {
        target: target.to_owned(),
        interval: Seconds(10),
        timeout: Seconds(3),
        unhealthy_after: 3,
        healthy_after: 2,
    }
}

fn new(s: &Seen, generation: u32) -> Create {
    Create {
        name: s.name("b"),
        scheme: Scheme::Internal,
        subnets: [s.subnet().id].into(),
        security_groups: vec![link("security_group.a")],
        listeners: [(80, http(8000)), (9000, listener(Protocol::Tcp, 9000))].into(),
        tags: s.tags_of(AT, generation),
    }
}

fn make(s: &Seen, at: &str, new: Create) -> Call {
    s.call(at, Action::LoadBalancer(OfBalancer::Create(Box::new(new))), 60)
}

fn on(s: &Seen, action: OfBalancer) -> Call {
    s.call(AT, Action::LoadBalancer(action), 60)
}

/// With little patience.
fn hasty(s: &Seen, action: OfBalancer) -> Call {
    s.call(AT, Action::LoadBalancer(action), 2)
}

/// On a balancer that is not there.
pub(super) fn nobody(s: &Seen, action: OfBalancer) -> Call {
    let id = portcullis::resources::load_balancer::id(&s.place.region, &s.name("nobody"));
    Call { on: Some(id), ..on(s, action) }
}

pub(super) fn leave(ids: &[&str], keep: u32) -> OfBalancer {
    OfBalancer::Deregister { instances: ids.iter().map(|id| CloudId::new(*id)).collect(), keep }
}

fn listeners(s: &Seen) -> Vec<u16> {
    s.load_balancer(AT).map(|one| one.listeners.keys().copied().collect()).unwrap_or_default()
}

fn registered(s: &Seen, wanted: &[&str]) -> bool {
    let wanted: BTreeSet<CloudId> = wanted.iter().map(|at| s.id(at)).collect();
    s.load_balancer(AT).is_some_and(|one| one.instances == wanted)
}

fn subnet(s: &Seen, index: usize) -> BTreeSet<SubnetId> {
    [s.subnets()[index].id.clone()].into()
}

/// The end of a story with a balancer in a group.
fn gone() -> Vec<Step> {
    vec![
        does(&[], |s| on(s, OfBalancer::Delete)),
        holds("it is gone", |s| s.object(AT).is_none()),
        does(&[], |s| on(s, OfBalancer::Delete)),
        does(&[], |s| s.call(AT, Action::LoadBalancer(OfBalancer::AwaitInterfacesGone), 900)),
        does(&[], |s| delete_group(s, "security_group.a")),
    ]
}

pub(super) fn balancer() -> Vec<Step> {
    let all_on = || Attributes {
        cross_zone: true,
        idle_timeout: Seconds(120),
        connection_draining: Some(Seconds(45)),
        access_log: Some(AccessLog { bucket: "logs".to_owned(), prefix: "front".to_owned(), interval: Seconds(300) }),
    };
    let all_off =
        || Attributes { cross_zone: false, idle_timeout: Seconds(60), connection_draining: None, access_log: None };
    let is =
        |wanted: fn() -> Attributes| move |s: &Seen| s.load_balancer(AT).is_some_and(|one| one.attributes == wanted());
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_GROUP, |s| create(s, "security_group.b", "b", 1)),
        does(GIVES_BALANCER, |s| make(s, AT, new(s, 1))),
        holds("it is listed as it was asked for", |s| {
            s.load_balancer(AT).is_some_and(|one| {
                one.name == s.name("b")
                    && one.scheme == Scheme::Internal
                    && one.vpc == s.vpc()
                    && one.subnets == subnet(s, 0)
                    && one.security_groups == [s.id("security_group.a")].into()
                    && one.listeners == new(s, 1).listeners
                    && one.instances.is_empty()
                    && s.known.output(&crate::contract::address(AT), Output::DnsName) == Some(&one.dns_name)
                    && s.known.output(&crate::contract::address(AT), Output::ZoneId) == one.zone_id.as_deref()
            })
        }),
        holds("with its tags", |s| s.object(AT).is_some_and(|object| object.tags == s.tags(AT))),
        does(GIVES_BALANCER, |s| make(s, AT, new(s, 1))),
        answers(
            "its name is known",
            |s| Question::Named {
                kind: Kind::LoadBalancer,
                region: s.place.region.clone(),
                vpc: None,
                name: s.name("b"),
            },
            |s, answer| *answer == Answer::Named(Some(s.id(AT))),
        ),
        answers(
            "it holds its group",
            |s| holders(s, "security_group.a"),
            |s, answer| matches!(answer, Answer::Holders(all) if all.iter().any(|one| one.object == Some(s.id(AT)))),
        ),
        refuses(Class::InUse, |s| s.call("security_group.a", Action::SecurityGroup(OfGroup::Delete), 2)),
        does(&[], |s| on(s, OfBalancer::AddListeners([(81, http(8001)), (82, http(8002))].into()))),
        does(&[], |s| on(s, OfBalancer::AddListeners([(81, http(8001))].into()))),
        holds("it listens to more", |s| listeners(s) == [80, 81, 82, 9000]),
        refuses(Class::AlreadyExists, |s| on(s, OfBalancer::AddListeners([(81, http(8005))].into()))),
        does(&[], |s| on(s, OfBalancer::RemoveListeners([81, 82].into()))),
        does(&[], |s| on(s, OfBalancer::RemoveListeners([81].into()))),
        holds("and to less", |s| listeners(s) == [80, 9000]),
        does(&[], |s| on(s, OfBalancer::AddListeners([(81, http(8005))].into()))),
        holds("a port that was given up is another's", |s| {
            s.load_balancer(AT).is_some_and(|one| one.listeners.get(&81) == Some(&http(8005)))
        }),
        does(&[], |s| on(s, OfBalancer::SetHealthCheck(check("HTTP:8000/Alive?a=B")))),
        holds("it is checked otherwise", |s| {
            s.load_balancer(AT).is_some_and(|one| one.health_check == check("HTTP:8000/Alive?a=B"))
        }),
        does(&[], move |s| on(s, OfBalancer::SetAttributes(all_on()))),
        holds("everything is on", is(all_on)),
        does(&[], move |s| on(s, OfBalancer::SetAttributes(all_off()))),
        holds("everything is off", is(all_off)),
        does(&[], |s| on(s, OfBalancer::SetProxyProtocol { port: 9000, on: true })),
        does(&[], |s| on(s, OfBalancer::SetProxyProtocol { port: 9000, on: true })),
        holds("servers are told who the client is", |s| {
            s.load_balancer(AT).is_some_and(|one| one.proxy_protocol == [9000].into())
        }),
        does(&[], |s| on(s, OfBalancer::SetProxyProtocol { port: 9000, on: false })),
        does(&[], |s| on(s, OfBalancer::SetProxyProtocol { port: 9000, on: false })),
        holds("and not any more", |s| s.load_balancer(AT).is_some_and(|one| one.proxy_protocol.is_empty())),
        does(&[], |s| on(s, OfBalancer::SetGroups(vec![link("security_group.b"), link("security_group.a")]))),
        does(&[], |s| on(s, OfBalancer::SetGroups(vec![link("security_group.b")]))),
        holds("it is in another group", |s| {
            s.load_balancer(AT).is_some_and(|one| one.security_groups == [s.id("security_group.b")].into())
        }),
    ];
    steps.extend(tagging(Kind::LoadBalancer, AT));
    steps.extend(gone());
    steps.push(does(&[], |s| delete_group(s, "security_group.b")));
    steps
}

pub(super) fn balancer_taken() -> Vec<Step> {
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_BALANCER, |s| make(s, AT, new(s, 1))),
        refuses(Class::AlreadyExists, |s| make(s, AT, new(s, 2))),
        refuses(Class::AlreadyExists, |s| {
            make(s, "load_balancer.b", Create { tags: s.tags("load_balancer.b"), ..new(s, 1) })
        }),
    ];
    steps.extend(gone());
    steps
}

pub(super) fn policies() -> Vec<Step> {
    let set = |ssl_policy: Option<&str>, stickiness: Option<Stickiness>| OfBalancer::SetPolicies {
        port: 443,
        ssl_policy: ssl_policy.map(str::to_owned),
        stickiness,
    };
    let has = |ssl_policy: &'static str, stickiness: Option<Stickiness>| {
        move |s: &Seen| {
            let listener = s.load_balancer(AT).and_then(|one| one.listeners.get(&443));
            listener.is_some_and(|one| {
                one.ssl_policy.as_deref().unwrap_or(DEFAULT_SSL_POLICY) == ssl_policy && one.stickiness == stickiness
            })
        }
    };
    let strict = "ELBSecurityPolicy-TLS-1-2-2017-01";
    let hour = || Some(Stickiness::Duration(Seconds(3600)));
    let cookie = || Some(Stickiness::Cookie("my_session".to_owned()));
    let certified = |s: &Seen| s.load_balancer(AT)?.listeners.get(&443)?.certificate.clone();
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_BALANCER, |s| {
            make(s, AT, Create { listeners: [(80, http(8000)), (443, https(8000))].into(), ..new(s, 1) })
        }),
        holds("TLS ends at the balancer", |s| {
            let listener = s.load_balancer(AT).and_then(|one| one.listeners.get(&443));
            listener.is_some_and(|one| (one.protocol, one.instance_protocol) == (Protocol::Https, Protocol::Http))
        }),
        holds("with AWS's policy", has(DEFAULT_SSL_POLICY, None)),
        does(&[], move |s| on(s, set(Some(strict), hour()))),
        holds("a policy and a cookie", has(strict, hour())),
        does(&[], move |s| on(s, set(Some(strict), hour()))),
        does(&[], move |s| on(s, set(Some(strict), cookie()))),
        holds("another cookie", has(strict, cookie())),
        does(&[], move |s| on(s, set(None, cookie()))),
        holds("AWS's policy again", has(DEFAULT_SSL_POLICY, cookie())),
        does(&[], move |s| on(s, set(None, None))),
        holds("and no cookie", has(DEFAULT_SSL_POLICY, None)),
        does(&[], move |s| on(s, OfBalancer::SetPolicies { port: 80, ssl_policy: None, stickiness: hour() })),
        holds("a cookie without TLS", move |s| {
            let listener = s.load_balancer(AT).and_then(|one| one.listeners.get(&80));
            listener.is_some_and(|one| one.ssl_policy.is_none() && one.stickiness == hour())
        }),
        refuses(Class::NotFound, move |s| {
            hasty(s, OfBalancer::SetPolicies { port: 444, ssl_policy: None, stickiness: hour() })
        }),
        holds("it has its certificate", move |s| certified(s).as_deref() == Some(CERTIFICATE)),
        does(&[], |s| on(s, OfBalancer::SetCertificate { port: 443, certificate: OTHER_CERTIFICATE.to_owned() })),
        holds("it has another", move |s| certified(s).as_deref() == Some(OTHER_CERTIFICATE)),
    ];
    steps.extend(gone());
    steps
}

pub(super) fn members() -> Vec<Step> {
    let links = |ats: &[&str]| ats.iter().map(|at| link(at)).collect::<Vec<_>>();
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_INSTANCE, |s| run(s, "instance.a", launch(s, "instance.a"))),
        does(GIVES_INSTANCE, |s| run(s, "instance.b", launch(s, "instance.b"))),
        does(RUNNING, |s| on_instance(s, "instance.a", OfInstance::AwaitRunning)),
        does(RUNNING, |s| on_instance(s, "instance.b", OfInstance::AwaitRunning)),
        does(GIVES_BALANCER, |s| make(s, AT, new(s, 1))),
        does(&[], |s| on(s, OfBalancer::SetHealthCheck(check("TCP:80")))),
        does(&[], move |s| on(s, OfBalancer::Register(links(&["instance.a", "instance.b"])))),
        does(&[], move |s| on(s, OfBalancer::AwaitInService(links(&["instance.a", "instance.b"])))),
        holds("both are registered", |s| registered(s, &["instance.a", "instance.b"])),
        does(&[], move |s| on(s, OfBalancer::Register(links(&["instance.a"])))),
        holds("nobody is registered twice", |s| registered(s, &["instance.a", "instance.b"])),
        refuses(Class::TimedOut, |s| hasty(s, leave(&[s.id("instance.a").as_str()], 2))),
        holds("nobody left while too few would stay", |s| registered(s, &["instance.a", "instance.b"])),
        does(&[], |s| on(s, leave(&[s.id("instance.a").as_str()], 1))),
        does(&[], |s| on(s, OfBalancer::AwaitDrained([s.id("instance.a")].into()))),
        holds("one is left", |s| registered(s, &["instance.b"])),
        does(&[], |s| on(s, leave(&[s.id("instance.a").as_str()], 1))),
        does(&[], move |s| on(s, OfBalancer::Register(links(&["instance.a"])))),
        does(&[], |s| on_instance(s, "instance.a", OfInstance::Stop)),
        does(&[], |s| on_instance(s, "instance.a", OfInstance::AwaitStopped)),
        refuses(Class::TimedOut, move |s| hasty(s, OfBalancer::AwaitInService(links(&["instance.a"])))),
        does(&[], |s| on(s, leave(&[s.id("instance.a").as_str()], 2))),
        holds("one that does not serve may always leave", |s| registered(s, &["instance.b"])),
        refuses(Class::NotFound, |s| {
            hasty(s, OfBalancer::Register(vec![portcullis::model::Link::Existing(CloudId::new("i-0123456789abcdef0"))]))
        }),
        does(&[], |s| on_instance(s, "instance.b", OfInstance::Terminate)),
        does(&[], |s| on_instance(s, "instance.b", OfInstance::AwaitTerminated)),
        refuses(Class::WrongState, move |s| on(s, OfBalancer::AwaitInService(links(&["instance.b"])))),
        does(&[], |s| on(s, leave(&[s.id("instance.b").as_str()], 1))),
        does(&[], |s| on(s, OfBalancer::AwaitDrained([s.id("instance.b")].into()))),
    ];
    steps.extend(away("instance.a"));
    steps.extend(gone());
    steps
}

pub(super) fn zones() -> Vec<Step> {
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_INSTANCE, |s| run(s, "instance.a", launch(s, "instance.a"))),
        does(RUNNING, |s| on_instance(s, "instance.a", OfInstance::AwaitRunning)),
        does(GIVES_BALANCER, |s| make(s, AT, new(s, 1))),
        does(&[], |s| on(s, OfBalancer::SetHealthCheck(check("TCP:80")))),
        does(&[], |s| on(s, OfBalancer::Register(vec![link("instance.a")]))),
        does(&[], |s| on(s, OfBalancer::AwaitInService(vec![link("instance.a")]))),
        does(&[], |s| on(s, OfBalancer::AttachSubnets(subnet(s, 1)))),
        does(&[], |s| on(s, OfBalancer::AttachSubnets(subnet(s, 1)))),
        holds("it stands in two zones", |s| {
            let both: BTreeSet<SubnetId> = s.subnets().into_iter().take(2).map(|subnet| subnet.id).collect();
            s.load_balancer(AT).is_some_and(|one| one.subnets == both)
        }),
        refuses(Class::TimedOut, |s| hasty(s, OfBalancer::DetachSubnets { subnets: subnet(s, 0), keep: 1 })),
        does(&[], |s| on(s, OfBalancer::DetachSubnets { subnets: subnet(s, 1), keep: 1 })),
        does(&[], |s| on(s, OfBalancer::DetachSubnets { subnets: subnet(s, 1), keep: 1 })),
        holds("it stands in one", |s| s.load_balancer(AT).is_some_and(|one| one.subnets == subnet(s, 0))),
    ];
    steps.extend(away("instance.a"));
    steps.extend(gone());
    steps
}

/// A balancer of another stack is seen only when it is named, and a name is no pattern.
pub(super) fn foreign_balancer() -> Vec<Step> {
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_BALANCER, |s| {
            let mut strange = new(s, 1);
            strange.tags.insert("portcullis:stack".to_owned(), format!("{}-and-more", s.stack));
            make(s, AT, strange)
        }),
        holds("the one that is named is seen", |s| s.object(AT).is_some()),
        does(GIVES_BALANCER, |s| {
            let mut other = Create { name: s.name("c"), ..new(s, 1) };
            other.tags.insert("portcullis:stack".to_owned(), format!("{}-and-more", s.stack));
            make(s, "load_balancer.c", other)
        }),
        holds("the other is not", |s| s.object("load_balancer.c").is_none() && s.now.objects.len() == 2),
        does(&[], |s| s.call("load_balancer.c", Action::LoadBalancer(OfBalancer::Delete), 60)),
        does(&[], |s| s.call("load_balancer.c", Action::LoadBalancer(OfBalancer::AwaitInterfacesGone), 900)),
    ];
    steps.extend(gone());
    steps
}
