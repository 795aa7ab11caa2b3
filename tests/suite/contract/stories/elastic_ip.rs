//! Elastic IP addresses.

use super::*;

pub(super) fn on_address(s: &Seen, action: OfAddress) -> Call {
    s.call("elastic_ip.a", Action::ElasticIp(action), 60)
}

pub(super) fn allocate(s: &Seen) -> Call {
    on_address(s, OfAddress::Allocate { pool: None, border_group: None, tags: s.tags("elastic_ip.a") })
}

pub(super) fn associate(s: &Seen, to: &str, from: Option<CloudId>) -> Call {
    on_address(s, OfAddress::Associate { to: link(to), from })
}

/// The association as listed.
pub(super) fn tie(s: &Seen) -> Option<CloudId> {
    s.elastic_ip("elastic_ip.a")?.association.as_ref().map(|tie| tie.id.clone())
}

pub(super) fn answers_on(s: &Seen, at: &str) -> bool {
    let tie = s.elastic_ip("elastic_ip.a").and_then(|ip| ip.association.as_ref());
    tie.is_some_and(|tie| tie.instance == Some(s.id(at)))
}

pub(super) fn elastic_ip() -> Vec<Step> {
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_INSTANCE, |s| run(s, "instance.a", launch(s, "instance.a"))),
        does(GIVES_INSTANCE, |s| run(s, "instance.b", launch(s, "instance.b"))),
        does(RUNNING, |s| on_instance(s, "instance.a", OfInstance::AwaitRunning)),
        does(RUNNING, |s| on_instance(s, "instance.b", OfInstance::AwaitRunning)),
        does(GIVES_ADDRESS, allocate),
        holds("it is listed, free", |s| {
            s.object("elastic_ip.a").is_some_and(|object| object.tags == s.tags("elastic_ip.a")) && tie(s).is_none()
        }),
        does(&[Output::PublicIp], |s| associate(s, "instance.a", None)),
        holds("the instance answers on it", |s| answers_on(s, "instance.a")),
        does(&[Output::PublicIp], |s| associate(s, "instance.a", None)),
        refuses(Class::InUse, |s| associate(s, "instance.b", None)),
        refuses(Class::InUse, |s| associate(s, "instance.b", Some(CloudId::new("eipassoc-0123456789abcdef0")))),
        holds("nobody took it away", |s| answers_on(s, "instance.a")),
        does(&[Output::PublicIp], |s| associate(s, "instance.b", tie(s))),
        holds("it is moved where the plan knew who had it", |s| answers_on(s, "instance.b")),
        holds("it is the instance's public address", |s| {
            let ip = s.elastic_ip("elastic_ip.a").map(|address| address.public_ip);
            s.instance("instance.b").is_some_and(|instance| instance.public_ip == ip && instance.public_ip_is_elastic)
        }),
        not_on_moto(
            "an address that is associated can be released",
            does(&[], |s| on_address(s, OfAddress::Disassociate { association: tie(s).expect("tied") })),
        ),
    ];
    steps.extend(tagging(Kind::ElasticIp, "elastic_ip.a"));
    steps.extend([
        does(&[], |s| {
            let association = tie(s).unwrap_or_else(|| CloudId::new("eipassoc-0123456789abcdef0"));
            on_address(s, OfAddress::Disassociate { association })
        }),
        holds("it is free", |s| tie(s).is_none()),
        does(&[], |s| {
            on_address(s, OfAddress::Disassociate { association: CloudId::new("eipassoc-0123456789abcdef0") })
        }),
        does(&[], |s| on_address(s, OfAddress::Release)),
        holds("it is gone", |s| s.object("elastic_ip.a").is_none()),
        does(&[], |s| on_address(s, OfAddress::Release)),
    ]);
    steps.extend(away("instance.a"));
    steps.extend(away("instance.b"));
    steps.push(does(&[], |s| delete_group(s, "security_group.a")));
    steps
}
