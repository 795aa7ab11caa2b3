//! Tables: what is written of a load balancer, and what becomes of it.

mod mistakes;

use std::collections::{BTreeMap, BTreeSet};

use super::tests::{Given, HEAD, address, errors_of, resolve_all, said, source, stack_of, without_places};
use crate::model::duration::Seconds;
use crate::model::{CloudId, Reference};
use crate::resources::load_balancer::state::{
    AccessLog, Attributes, Desired, HealthCheck, Listener, Protocol, Registration, Scheme, Stickiness,
};
use crate::resources::place::Within;
use crate::resources::registry::Want;

/// Three members in two zones, and one by itself.
const WEB: &str = "[instance.web]\ncount = 3\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nzones = [\"eu-west-1a\", \"eu-west-1b\"]\n[instance.one]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n[security_group.proxy]\n";
const ACM: &str = "arn:aws:acm:eu-west-1:123456789012:certificate/0a1b";
const IAM: &str = "arn:aws:iam::123456789012:server-certificate/path/old";

/// The balancer's own lines begin at 4.
fn text(body: &str) -> String {
    format!("{HEAD}[load_balancer.front]\n{body}\n{WEB}")
}

/// A balancer that listens on port 80 in line 4; further fields begin at line 5.
fn front(more: &str) -> String {
    text(&format!("listeners = [{{ port = 80, protocol = \"http\", instance_port = 8000 }}]\n{more}"))
}

fn want(text: &str) -> Desired {
    match &stack_of(text, &Given::default()).resources[&address("load_balancer.front")].want {
        Want::LoadBalancer(want) => want.clone(),
        other => panic!("{other:?}"),
    }
}

fn members(names: &[&str]) -> BTreeSet<Reference> {
    names
        .iter()
        .map(|name| match name.strip_prefix("i-") {
            Some(_) => Reference::Existing(CloudId::new(*name)),
            None => Reference::Address(address(&format!("instance.{name}"))),
        })
        .collect()
}

/// The codes and places of all warnings.
fn warnings(text: &str) -> Vec<String> {
    let all = said(&[source("spec.toml", text)], &Given::default());
    let own = all.into_iter().filter(|line| !line.starts_with("warning unused"));
    own.map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn what_is_left_out_is_as_aws_has_it() {
    let want = want(&front(""));
    let Desired {
        name,
        scheme,
        place,
        security_groups,
        listeners,
        health_check,
        instances,
        registration,
        min_healthy,
        attributes,
        proxy_protocol,
    } = want;
    assert_eq!((name, scheme, security_groups), (None, Scheme::InternetFacing, None));
    assert_eq!(place.within, Within::Anywhere);
    let listener = Listener {
        protocol: Protocol::Http,
        instance_port: 8000,
        instance_protocol: Protocol::Http,
        certificate: None,
        ssl_policy: None,
        stickiness: None,
    };
    assert_eq!(listeners, BTreeMap::from([(80, listener)]));
    let check = HealthCheck {
        target: "TCP:8000".into(),
        interval: Seconds(30),
        timeout: Seconds(5),
        unhealthy_after: 2,
        healthy_after: 10,
    };
    assert_eq!(health_check, check);
    assert_eq!((instances, registration, min_healthy), (BTreeSet::new(), Registration::Exclusive, 0));
    let usual = Attributes {
        cross_zone: true,
        idle_timeout: Seconds(60),
        connection_draining: Some(Seconds(300)),
        access_log: None,
    };
    assert_eq!(attributes, usual);
    assert_eq!(proxy_protocol, BTreeSet::new());
}

const WHOLE: &str = r#"
name = "Front-1"
scheme = "Internal"
zones = ["eu-west-1b", "eu-west-1a"]
security_groups = ["proxy", "sg-0123abcd"]
instances = ["web", "one", "i-0123abcd"]
registration = "additive"
min_healthy = 3
cross_zone = false
idle_timeout = "4000s"
connection_draining = "off"
proxy_protocol = [8443]
tags = { "a.b" = "größe 1:/=+-@_" }

[[load_balancer.front.listeners]]
port = 443
protocol = "HTTPS"
instance_port = 8000
certificate = "ACM"
ssl_policy = "ELBSecurityPolicy-TLS-1-2-2017-01"
stickiness = { cookie = "JSESSIONID" }

[[load_balancer.front.listeners]]
port = 80
protocol = "http"
instance_port = 8001
instance_protocol = "https"
stickiness = { duration = "1h" }

[[load_balancer.front.listeners]]
port = 465
protocol = "ssl"
instance_port = 8443
certificate = "IAM"

[load_balancer.front.health_check]
target = "https:8000/health?full=1"
interval = "6s"
timeout = "2s"
unhealthy_after = 3
healthy_after = 2

[load_balancer.front.access_log]
bucket = "shop-logs"
prefix = "front"
interval = "5m"
"#;

#[test]
fn every_field_is_read() {
    let whole = text(&WHOLE.replace("ACM", ACM).replace("IAM", IAM));
    let want = want(&whole);
    assert_eq!(want.name.as_deref(), Some("Front-1"));
    assert_eq!((want.scheme, want.registration), (Scheme::Internal, Registration::Additive));
    assert_eq!(format!("{:?}", want.place.within), "Zones([ZoneName(\"eu-west-1b\"), ZoneName(\"eu-west-1a\")])");
    let groups =
        [Reference::Address(address("security_group.proxy")), Reference::Existing(CloudId::new("sg-0123abcd"))];
    assert_eq!(want.security_groups, Some(groups.into()));
    assert_eq!(want.instances, members(&["web-0", "web-1", "web-2", "one", "i-0123abcd"]));
    assert_eq!(want.min_healthy, 3);
    let log = AccessLog { bucket: "shop-logs".into(), prefix: "front".into(), interval: Seconds(300) };
    let attributes =
        Attributes { cross_zone: false, idle_timeout: Seconds(4000), connection_draining: None, access_log: Some(log) };
    assert_eq!(want.attributes, attributes);
    assert_eq!(want.proxy_protocol, [8443].into());
    let check = HealthCheck {
        target: "HTTPS:8000/health?full=1".into(),
        interval: Seconds(6),
        timeout: Seconds(2),
        unhealthy_after: 3,
        healthy_after: 2,
    };
    assert_eq!(want.health_check, check);
    let https = Listener {
        protocol: Protocol::Https,
        instance_port: 8000,
        instance_protocol: Protocol::Http,
        certificate: Some(ACM.into()),
        ssl_policy: Some("ELBSecurityPolicy-TLS-1-2-2017-01".into()),
        stickiness: Some(Stickiness::Cookie("JSESSIONID".into())),
    };
    let http = Listener {
        protocol: Protocol::Http,
        instance_port: 8001,
        instance_protocol: Protocol::Https,
        certificate: None,
        ssl_policy: None,
        stickiness: Some(Stickiness::Duration(Seconds(3600))),
    };
    let ssl = Listener {
        protocol: Protocol::Ssl,
        instance_port: 8443,
        instance_protocol: Protocol::Tcp,
        certificate: Some(IAM.into()),
        ssl_policy: None,
        stickiness: None,
    };
    assert_eq!(want.listeners, BTreeMap::from([(80, http), (443, https), (465, ssl)]));
    assert_eq!(warnings(&whole), [""; 0]);
}

#[test]
fn the_first_listener_as_written_is_checked_when_nothing_is_said() {
    let two = "listeners = [{ port = 443, protocol = \"tcp\", instance_port = 8443 }, { port = 80, protocol = \"http\", instance_port = 8000 }]";
    assert_eq!(want(&text(two)).health_check.target, "TCP:8443");
    let partial = want(&front("health_check = { healthy_after = 3 }")).health_check;
    assert_eq!((partial.target.as_str(), partial.interval, partial.healthy_after), ("TCP:8000", Seconds(30), 3));
}

#[test]
fn targets_have_one_normal_form() {
    for (written, is) in [
        ("tcp:80", "TCP:80"),
        ("Ssl:443", "SSL:443"),
        ("http:80/", "HTTP:80/"),
        ("HTTPS:8443/a/b?c=d:e", "HTTPS:8443/a/b?c=d:e"),
        ("TCP:0080", "TCP:80"),
    ] {
        assert_eq!(want(&front(&format!("health_check = {{ target = \"{written}\" }}"))).health_check.target, is);
    }
}

#[test]
fn all_members_but_one_stay_in_service() {
    for (instances, least) in [
        ("[]", 0),
        ("[\"one\"]", 0),
        ("[\"web-0\", \"one\"]", 1),
        ("[\"web\"]", 2),
        ("[\"web\", \"one\", \"i-0123abcd\"]", 4),
    ] {
        assert_eq!(want(&front(&format!("instances = {instances}"))).min_healthy, least, "{instances}");
    }
    assert_eq!(want(&front("instances = [\"web\"]\nmin_healthy = 0")).min_healthy, 0);
}

#[test]
fn durations_of_draining_and_logs_are_what_aws_takes() {
    let attributes = |more: &str| want(&front(more)).attributes;
    assert_eq!(attributes("connection_draining = \"1h\"").connection_draining, Some(Seconds(3600)));
    assert_eq!(attributes("connection_draining = \"OFF\"").connection_draining, None);
    for (interval, seconds) in
        [("", 3600), (", interval = \"60m\"", 3600), (", interval = \"1h\"", 3600), (", interval = \"5m\"", 300)]
    {
        let log = attributes(&format!("access_log = {{ bucket = \"a.b-c\"{interval} }}")).access_log.unwrap();
        assert_eq!((log.prefix.as_str(), log.interval), ("", Seconds(seconds)));
    }
}

#[test]
fn tags_of_the_stack_are_a_balancers_too() {
    let head = "stack = \"shop\"\norigin = \"https://example.com/?x\"\nregion = \"eu-west-1\"\ntags = { a = \"<b>\", c = \"!\" }\n";
    let balancer = |name: &str| {
        format!(
            "[load_balancer.{name}]\ntags = {{ c = \"d\" }}\nlisteners = [{{ port = 80, protocol = \"http\", instance_port = 80 }}]\n"
        )
    };
    assert_eq!(errors_of(&format!("{head}[security_group.a]\n")), [""; 0], "EC2 takes them");
    // Two balancers have one tag, and a balancer's own goes before the stack's.
    let errors = errors_of(&format!("{head}{}{}", balancer("front"), balancer("back")));
    let hint = "(it takes letters, digits, space and _.:/=+-@)";
    assert_eq!(
        errors,
        [
            format!(
                "error tag 2:10 AWS takes no `?` in the tags of a load balancer, and `origin` is kept in one {hint}"
            ),
            format!("error tag 4:14 AWS takes no `<` in the tags of a load balancer {hint}"),
        ]
    );
}

#[test]
fn what_probably_means_something_else_is_a_warning() {
    let listener = |port: u16, protocol: &str, back: u16| {
        let certificate = if protocol == "ssl" { format!(", certificate = \"{ACM}\"") } else { String::new() };
        format!("listeners = [{{ port = {port}, protocol = \"{protocol}\", instance_port = {back}{certificate} }}]\n")
    };
    let served = "instances = [\"web\"]\n";
    let cases = [
        (front(served), &[][..]),
        (front(""), &["warning no-members 3:16"]),
        (front("instances = []"), &["warning no-members 5:13"]),
        (front("registration = \"additive\""), &[]),
        (front(&format!("{served}zones = [\"eu-west-1a\", \"eu-west-1b\"]")), &[]),
        (front("instances = [\"web-0\"]\nzones = [\"eu-west-1a\"]"), &["warning one-zone 6:9"]),
        (front(&format!("{served}subnets = [\"subnet-0123abcd\"]")), &["warning one-zone 6:11"]),
        (front(&format!("{served}min_healthy = 3")), &["warning no-room 6:15"]),
        (front(&format!("{served}min_healthy = 2")), &[]),
        (front("instances = [\"one\"]\nmin_healthy = 1"), &["warning no-room 6:15"]),
        (front(&format!("{served}health_check = {{ target = \"TCP:8001\" }}")), &["warning other-port 6:27"]),
        (front(&format!("{served}health_check = {{ target = \"HTTP:8000/\" }}")), &[]),
        (text(&format!("{}{served}", listener(80, "tcp", 8000))), &["warning hidden-client 4:38"]),
        (text(&format!("{}{served}", listener(443, "ssl", 8000))), &["warning hidden-client 4:39"]),
        (text(&format!("{}{served}", listener(25, "tcp", 25))), &[]),
        (text(&format!("{}{served}proxy_protocol = [8000]", listener(80, "tcp", 8000))), &[]),
    ];
    for (text, wanted) in cases {
        assert_eq!(warnings(&text), wanted, "{text}");
    }
}

#[test]
fn warnings_say_what_to_do() {
    let hidden = "listeners = [{ port = 8443, protocol = \"tcp\", instance_port = 8000 }]\ninstances = [\"web\"]\nmin_healthy = 3";
    let all = said(&[source("spec.toml", &text(hidden))], &Given::default());
    for wanted in [
        "behind tcp the instances do not see the client's address (write `protocol = \"https\"`, or `proxy_protocol = [8000]` where instances speak it)",
        "the 3 members there are must stay in service: none may be restarted (add a member, or write `min_healthy = 2`)",
    ] {
        assert!(all.iter().any(|line| line.ends_with(wanted)), "{all:#?}");
    }
}

#[test]
fn members_whose_zones_nobody_knows_are_let_alone() {
    for more in [
        "instances = [\"one\", \"i-0123abcd\"]\nzones = [\"eu-west-1c\", \"eu-west-1a\"]",
        "instances = [\"web-0\", \"web-2\"]\nzones = [\"eu-west-1c\", \"eu-west-1a\"]",
        "instances = [\"web\"]\nsubnets = [\"subnet-00000001\", \"subnet-00000002\"]",
    ] {
        assert_eq!(errors_of(&front(more)), [""; 0], "{more}");
    }
}

#[test]
fn documents_merge_and_listeners_are_replaced() {
    let over = r#"{ "load_balancer": { "front": {
        "listeners": [{ "port": 81, "protocol": "http", "instance_port": 8001 }],
        "health_check": { "interval": "10s" }, "access_log": { "interval": "5m" } } } }"#;
    let base = front("health_check = { timeout = \"3s\" }\naccess_log = { bucket = \"logs\" }");
    let (stack, _) = resolve_all(&[source("a.toml", &base), source("b.json", over)], &Given::default());
    let Want::LoadBalancer(want) = &stack.unwrap().resources[&address("load_balancer.front")].want else { panic!() };
    assert_eq!(want.listeners.keys().collect::<Vec<_>>(), [&81]);
    assert_eq!((want.health_check.interval, want.health_check.timeout), (Seconds(10), Seconds(3)));
    assert_eq!(want.attributes.access_log.as_ref().unwrap().interval, Seconds(300));
    let off = r#"{ "load_balancer": { "front": { "enabled": false } } }"#;
    let (stack, _) = resolve_all(&[source("a.toml", &base), source("b.json", off)], &Given::default());
    assert!(!stack.unwrap().resources.contains_key(&address("load_balancer.front")));
}

#[test]
fn one_whole_balancer_is_the_same_in_both_formats() {
    let toml = text(&WHOLE.replace("ACM", ACM).replace("IAM", IAM));
    let tree: serde_json::Value = toml::from_str(&toml).unwrap();
    let one = resolve_all(&[source("a.toml", &toml)], &Given::default()).0.map(without_places);
    let two = resolve_all(&[source("a.json", &tree.to_string())], &Given::default()).0.map(without_places);
    assert!(one.is_some());
    assert_eq!(one, two);
}
