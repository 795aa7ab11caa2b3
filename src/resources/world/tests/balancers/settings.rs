//! What a balancer is made with, and what is set of it.

use super::*;

#[test]
fn a_new_one_tells_its_names_and_has_what_aws_gives() {
    let mut lab = Lab::default();
    let told = lab.made();
    let body = lab.balancer().clone();
    assert_eq!(told.get(&Output::Id).map(String::as_str), Some("eu-west-1/front"));
    assert_eq!(told.get(&Output::Name).map(String::as_str), Some("front"));
    assert_eq!(told.get(&Output::DnsName), Some(&body.dns_name));
    assert_eq!(told.get(&Output::ZoneId), body.zone_id.as_ref());
    let number = body.dns_name.strip_prefix("front-").unwrap().strip_suffix(".eu-west-1.elb.amazonaws.com").unwrap();
    assert!(number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit()), "{number}");
    assert_eq!(body.zone_id.as_ref().map(String::len), Some(14));
    assert_eq!((body.health_check.target.as_str(), body.health_check.patience()), ("TCP:8000", Seconds(300)));
    assert_eq!((body.attributes.cross_zone, body.attributes.connection_draining), (false, None));
    let default = lab.world.answer(&Question::Named {
        kind: Kind::SecurityGroup,
        region: here(),
        vpc: Some(body.vpc.clone()),
        name: "default".to_owned(),
    });
    assert_eq!(default, Ok(Answer::Named(body.security_groups.first().cloned())));
    let mut inner = front(&lab.world, "load_balancer.inner");
    inner.scheme = Scheme::Internal;
    let told = lab.fine("load_balancer.inner", create(inner));
    let name = told.get(&Output::DnsName).unwrap();
    assert!(name.starts_with("internal-inner-") && !name.contains(number), "{name}");
    assert_eq!(told.get(&Output::ZoneId), body.zone_id.as_ref());
}

#[test]
fn a_name_is_taken_unless_the_same_call_took_it() {
    let mut lab = Lab::default();
    let first = lab.made();
    assert_eq!(lab.made(), first);
    let other = Create { tags: owned("load_balancer.other"), ..front(&lab.world, FRONT) };
    assert_eq!(lab.refused("load_balancer.other", create(other)), "DuplicateLoadBalancerName");
    let foreign = Create { tags: Tags::new(), ..front(&lab.world, FRONT) };
    assert_eq!(lab.refused("load_balancer.other", create(foreign)), "DuplicateLoadBalancerName");
    let question = Question::Named { kind: Kind::LoadBalancer, region: here(), vpc: None, name: "front".to_owned() };
    assert_eq!(lab.world.answer(&question), Ok(Answer::Named(Some(lab.id(FRONT)))));
}

/// What makes a creation impossible.
type Spoil = Box<dyn Fn(&mut Create)>;

pub(super) fn strange_network(lab: &mut Lab) {
    let mut facts = lab.world.region(&here()).facts().clone();
    let first = facts.subnets.first().unwrap().clone();
    let cidr = Cidr::listed("172.31.64.0/20").unwrap();
    let zone = ZoneName::new("eu-west-1c");
    facts.subnets.push(Subnet { id: SubnetId::new("subnet-0000000a"), cidr, ..first.clone() });
    let vpc = VpcId::new("vpc-00000009");
    facts.vpcs.push(crate::resources::snapshot::Vpc { id: vpc.clone(), default: false, ..facts.vpcs[0].clone() });
    facts.subnets.push(Subnet { id: SubnetId::new("subnet-0000000b"), vpc, zone, default: false, ..first });
    lab.world.region_mut(&here()).set_facts(facts);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut lab = Lab::default();
    strange_network(&mut lab);
    let subnet = |id: &str| SubnetId::new(id.to_owned());
    let cases: [(&str, Spoil); 16] = [
        ("ValidationError", Box::new(|new| new.name = "-front".to_owned())),
        ("ValidationError", Box::new(|new| new.name = "front-".to_owned())),
        ("ValidationError", Box::new(|new| new.name = "front_end".to_owned())),
        ("ValidationError", Box::new(|new| new.name = "f".repeat(33))),
        ("ValidationError", Box::new(|new| new.name = String::new())),
        ("ValidationError", Box::new(|new| new.listeners.clear())),
        ("ValidationError", Box::new(|new| new.subnets.clear())),
        ("SubnetNotFound", Box::new(move |new| new.subnets = [subnet("subnet-00000000")].into())),
        (
            "InvalidConfigurationRequest",
            Box::new(move |new| {
                new.subnets.insert(subnet("subnet-0000000a"));
            }),
        ),
        (
            "InvalidConfigurationRequest",
            Box::new(move |new| {
                new.subnets.insert(subnet("subnet-0000000b"));
            }),
        ),
        (
            "InvalidSecurityGroup",
            Box::new(|new| {
                new.security_groups = vec![Link::Existing(CloudId::new("sg-00000000"))];
            }),
        ),
        (
            "InvalidConfigurationRequest",
            Box::new(|new| {
                new.security_groups = vec![Link::Existing(CloudId::new("sg-00000000")); 6];
            }),
        ),
        ("MissingParameter", Box::new(|new| new.security_groups = vec![planned("security_group.none")])),
        (
            "ValidationError",
            Box::new(|new| {
                let bare = Listener { certificate: None, ..listener(Protocol::Https, Protocol::Http) };
                new.listeners.insert(443, bare);
            }),
        ),
        (
            "CertificateNotFound",
            Box::new(|new| {
                let strange = Some("web".to_owned());
                let strange = Listener { certificate: strange, ..listener(Protocol::Ssl, Protocol::Tcp) };
                new.listeners.insert(443, strange);
            }),
        ),
        (
            "ValidationError",
            Box::new(|new| {
                new.tags.insert("note".to_owned(), "<none>".to_owned());
            }),
        ),
    ];
    for (n, (code, spoil)) in cases.into_iter().enumerate() {
        let mut new = front(&lab.world, FRONT);
        spoil(&mut new);
        assert_eq!(lab.refused(FRONT, create(new)), code, "case {n}");
    }
    let mut mixed = front(&lab.world, FRONT);
    mixed.listeners.insert(443, listener(Protocol::Https, Protocol::Tcp));
    assert_eq!(lab.refused(FRONT, create(mixed)), "ValidationError");
    let mut tagged = front(&lab.world, FRONT);
    tagged.tags.extend((0..50).map(|n| (format!("tag-{n}"), String::new())));
    assert_eq!(lab.refused(FRONT, create(tagged)), "TooManyTags");
}

#[test]
fn a_region_has_a_limit_of_balancers() {
    let mut lab = Lab::default();
    lab.world.set_limits(Limits { balancers: 1, ..Limits::default() });
    lab.made();
    lab.made();
    let second = front(&lab.world, "load_balancer.second");
    assert_eq!(lab.refused("load_balancer.second", create(second)), "TooManyLoadBalancers");
    assert_eq!(Limits::default().balancers, 20);
}

#[test]
fn nothing_can_be_done_with_one_that_is_not_there() {
    let mut lab = serving();
    lab.fine(FRONT, act(On::Delete));
    lab.fine(FRONT, act(On::Delete));
    let subnet = subnets(&lab.world).remove(0).id;
    let attributes =
        Attributes { cross_zone: true, idle_timeout: Seconds(60), connection_draining: None, access_log: None };
    let calls = [
        On::AddListeners(BTreeMap::new()),
        On::RemoveListeners(BTreeSet::new()),
        On::SetCertificate { port: 443, certificate: CERTIFICATE.to_owned() },
        On::SetPolicies { port: 80, ssl_policy: None, stickiness: None },
        On::SetProxyProtocol { port: 8000, on: true },
        On::SetHealthCheck(check(5, 2)),
        On::SetAttributes(attributes),
        On::AttachSubnets([subnet.clone()].into()),
        On::DetachSubnets { subnets: [subnet].into(), keep: 0 },
        On::SetGroups(Vec::new()),
        On::Register(vec![planned("instance.a")]),
        On::AwaitInService(vec![planned("instance.a")]),
        On::Tag(TagEdit::default()),
    ];
    for action in calls {
        assert_eq!(lab.refused(FRONT, act(action)), "LoadBalancerNotFound");
    }
    // Nobody is registered with what is not there.
    lab.fine(FRONT, act(On::Deregister { instances: BTreeSet::new(), keep: 0 }));
    lab.fine(FRONT, act(On::AwaitDrained(BTreeSet::new())));
    assert_eq!(lab.healths(), BTreeMap::new());
}

#[test]
fn a_port_has_one_listener() {
    let mut lab = Lab::default();
    lab.made();
    let https = listener(Protocol::Https, Protocol::Http);
    let add = |port, listener: &Listener| act(On::AddListeners(BTreeMap::from([(port, listener.clone())])));
    lab.fine(FRONT, add(443, &https));
    lab.fine(FRONT, add(443, &https));
    lab.fine(FRONT, add(80, &http()));
    assert_eq!(lab.balancer().listeners.get(&443).unwrap().ssl_policy.as_deref(), Some(DEFAULT_SSL_POLICY));
    assert_eq!(lab.refused(FRONT, add(80, &https)), "DuplicateListener");
    let other = Listener { instance_port: 9000, ..http() };
    assert_eq!(lab.refused(FRONT, add(80, &other)), "DuplicateListener");
    // AWS drops the certificate without a word, and then finds another listener than the call says.
    let dropped = Listener { certificate: Some(CERTIFICATE.to_owned()), ..listener(Protocol::Tcp, Protocol::Tcp) };
    lab.fine(FRONT, add(25, &dropped));
    assert_eq!(lab.refused(FRONT, add(25, &dropped)), "DuplicateListener");
    lab.fine(FRONT, act(On::RemoveListeners(BTreeSet::from([25, 26, 443]))));
    assert_eq!(lab.balancer().listeners.keys().copied().collect::<Vec<_>>(), [80]);
}

#[test]
fn policies_fit_the_protocol() {
    let mut lab = Lab::default();
    let mut new = front(&lab.world, FRONT);
    new.listeners.insert(443, listener(Protocol::Https, Protocol::Http));
    new.listeners.insert(25, listener(Protocol::Tcp, Protocol::Tcp));
    lab.fine(FRONT, create(new));
    let set = |port, ssl_policy: Option<&str>, stickiness| {
        act(On::SetPolicies { port, ssl_policy: ssl_policy.map(str::to_owned), stickiness })
    };
    let cookie = || Some(Stickiness::Cookie("session".to_owned()));
    lab.fine(FRONT, set(443, Some("ELBSecurityPolicy-TLS-1-2-2017-01"), cookie()));
    let there = lab.balancer().listeners.get(&443).unwrap().clone();
    assert_eq!(there.ssl_policy.as_deref(), Some("ELBSecurityPolicy-TLS-1-2-2017-01"));
    assert_eq!(there.stickiness, cookie());
    lab.fine(FRONT, set(443, None, None));
    let there = lab.balancer().listeners.get(&443).unwrap().clone();
    assert_eq!((there.ssl_policy.as_deref(), there.stickiness), (Some(DEFAULT_SSL_POLICY), None));
    assert_eq!(lab.refused(FRONT, set(80, Some("ELBSecurityPolicy-2016-08"), None)), "InvalidConfigurationRequest");
    assert_eq!(lab.refused(FRONT, set(25, None, cookie())), "InvalidConfigurationRequest");
    assert_eq!(lab.refused(FRONT, set(81, None, None)), "ListenerNotFound");
    let certificate = |port, arn: &str| act(On::SetCertificate { port, certificate: arn.to_owned() });
    let other = "arn:aws:iam::123456789012:server-certificate/web";
    lab.fine(FRONT, certificate(443, other));
    assert_eq!(lab.balancer().listeners.get(&443).unwrap().certificate.as_deref(), Some(other));
    assert_eq!(lab.refused(FRONT, certificate(443, "web")), "CertificateNotFound");
    assert_eq!(lab.refused(FRONT, certificate(80, other)), "InvalidConfigurationRequest");
    assert_eq!(lab.refused(FRONT, certificate(81, other)), "ListenerNotFound");
}

#[test]
fn the_proxy_protocol_is_an_instance_ports() {
    let mut lab = Lab::default();
    lab.made();
    let proxy = |port, on| act(On::SetProxyProtocol { port, on });
    lab.fine(FRONT, proxy(8000, true));
    lab.fine(FRONT, proxy(8000, true));
    assert_eq!(lab.balancer().proxy_protocol, BTreeSet::from([8000]));
    assert_eq!(lab.refused(FRONT, proxy(80, true)), "InvalidConfigurationRequest");
    lab.fine(FRONT, proxy(8000, false));
    lab.fine(FRONT, proxy(8000, false));
    assert_eq!(lab.balancer().proxy_protocol, BTreeSet::new());
}

#[test]
fn health_checks_and_attributes_have_limits() {
    let mut lab = Lab::default();
    lab.made();
    let target = |text: &str| HealthCheck { target: text.to_owned(), ..check(5, 2) };
    let wrong = [
        check(4, 2),
        check(301, 2),
        check(5, 1),
        check(5, 11),
        HealthCheck { timeout: Seconds(5), ..check(5, 2) },
        HealthCheck { unhealthy_after: 1, ..check(5, 2) },
        target("TCP:0"),
        target("TCP:80/"),
        target("HTTP:80"),
        target("UDP:80"),
        target("80"),
    ];
    for check in wrong {
        assert_eq!(lab.refused(FRONT, act(On::SetHealthCheck(check.clone()))), "ValidationError", "{check:?}");
    }
    lab.fine(FRONT, act(On::SetHealthCheck(target("HTTP:8000/alive"))));
    let usual = Attributes { cross_zone: true, idle_timeout: Seconds(60), connection_draining: None, access_log: None };
    let log = |interval| Some(AccessLog { bucket: "logs".to_owned(), prefix: String::new(), interval });
    let wrong = [
        Attributes { idle_timeout: Seconds(0), ..usual.clone() },
        Attributes { idle_timeout: Seconds(4001), ..usual.clone() },
        Attributes { connection_draining: Some(Seconds(0)), ..usual.clone() },
        Attributes { connection_draining: Some(Seconds(3601)), ..usual.clone() },
        Attributes { access_log: log(Seconds(60)), ..usual.clone() },
    ];
    for attributes in wrong {
        assert_eq!(lab.refused(FRONT, act(On::SetAttributes(attributes))), "ValidationError");
    }
    let fine = Attributes { access_log: log(Seconds(300)), connection_draining: Some(Seconds(300)), ..usual };
    lab.fine(FRONT, act(On::SetAttributes(fine.clone())));
    assert_eq!(lab.balancer().attributes, fine);
}

#[test]
fn a_zone_has_one_subnet_and_the_last_one_stays() {
    let mut lab = Lab::default();
    strange_network(&mut lab);
    lab.made();
    let all = subnets(&lab.world);
    let id = |nth: usize| all[nth].id.clone();
    let attach = |id: SubnetId| act(On::AttachSubnets([id].into()));
    let detach = |ids: &[SubnetId]| act(On::DetachSubnets { subnets: ids.iter().cloned().collect(), keep: 0 });
    lab.fine(FRONT, attach(id(2)));
    lab.fine(FRONT, attach(id(2)));
    assert_eq!(lab.balancer().subnets.len(), 3);
    assert_eq!(lab.refused(FRONT, attach(SubnetId::new("subnet-0000000a"))), "InvalidConfigurationRequest");
    assert_eq!(lab.refused(FRONT, attach(SubnetId::new("subnet-0000000b"))), "InvalidConfigurationRequest");
    assert_eq!(lab.refused(FRONT, attach(SubnetId::new("subnet-00000000"))), "SubnetNotFound");
    assert_eq!(lab.refused(FRONT, detach(&[id(0), id(1), id(2)])), "InvalidConfigurationRequest");
    lab.fine(FRONT, detach(&[id(0), id(1)]));
    lab.fine(FRONT, detach(&[id(0)]));
    lab.fine(FRONT, attach(SubnetId::new("subnet-0000000a")));
    assert_eq!(lab.balancer().subnets.len(), 2);
}

#[test]
fn its_groups_are_of_its_vpc_and_stay_with_it() {
    let mut lab = Lab::default();
    lab.made();
    let group = create_group(&lab.world, "web", owned("security_group.web"));
    lab.fine("security_group.web", group);
    let set = |links| act(On::SetGroups(links));
    lab.fine(FRONT, set(vec![planned("security_group.web")]));
    assert_eq!(lab.balancer().security_groups, BTreeSet::from([lab.id("security_group.web")]));
    assert_eq!(lab.refused(FRONT, set(Vec::new())), "ValidationError");
    let web = planned("security_group.web");
    assert_eq!(lab.refused(FRONT, set(vec![web; 6])), "InvalidConfigurationRequest");
    let strange = Link::Existing(CloudId::new("sg-00000000"));
    assert_eq!(lab.refused(FRONT, set(vec![strange])), "InvalidSecurityGroup");
    let delete = Action::SecurityGroup(security_group::Action::Delete);
    assert_eq!(lab.refused("security_group.web", delete), "DependencyViolation");
}

#[test]
fn tags_are_elbs() {
    let mut lab = Lab::default();
    lab.made();
    let tag = |key: &str, value: &str| {
        let set = Tags::from([(key.to_owned(), value.to_owned())]);
        act(On::Tag(TagEdit { set, unset: BTreeSet::new() }))
    };
    lab.fine(FRONT, tag("team", "größe"));
    assert_eq!(lab.object(FRONT).unwrap().tags.get("team").map(String::as_str), Some("größe"));
    assert_eq!(lab.refused(FRONT, tag("team", "a,b")), "ValidationError");
    assert_eq!(lab.refused(FRONT, tag("aws:team", "a")), "InvalidTagKey.Malformed");
}
