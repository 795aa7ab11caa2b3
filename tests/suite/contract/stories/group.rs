//! Security groups and their rules.

use super::*;

pub(super) fn create(s: &Seen, at: &str, name: &str, generation: u32) -> Call {
    let tags = s.tags_of(at, generation);
    let (name, description) = (s.name(name), "a group".to_owned());
    s.call(at, Action::SecurityGroup(OfGroup::Create { name, description, vpc: s.vpc(), tags }), 60)
}

pub(super) fn delete_group(s: &Seen, at: &str) -> Call {
    s.call(at, Action::SecurityGroup(OfGroup::Delete), 60)
}

pub(super) fn tcp(port: u16) -> Traffic {
    Traffic::Tcp(Ports { from: port, to: port })
}

pub(super) fn cidr(text: &str) -> Cidr {
    Cidr::read(text).expect("a network")
}

pub(super) fn open(traffic: Traffic, network: &str) -> NewRule {
    NewRule { rule: Rule { traffic, peer: Peer::Cidr(cidr(network)) }, description: Some("why".to_owned()) }
}

pub(super) fn rules() -> Vec<NewRule> {
    vec![
        open(tcp(443), "0.0.0.0/0"),
        open(tcp(443), "::/0"),
        open(Traffic::Udp(Ports { from: 5000, to: 5010 }), "10.0.0.0/8"),
        open(Traffic::Icmp(Icmp { kind: Some(8), code: None }), "10.0.0.0/8"),
        open(Traffic::All, "192.0.2.0/24"),
        NewRule { rule: Rule { traffic: tcp(22), peer: Peer::Group(link("security_group.a")) }, description: None },
    ]
}

pub(super) fn authorize(s: &Seen, at: &str, direction: Direction, rules: Vec<NewRule>) -> Call {
    let tags = s.tags(at);
    s.call(at, Action::SecurityGroup(OfGroup::Authorize { direction, rules, tags }), 60)
}

/// Whether the group has exactly these rules.
pub(super) fn has(s: &Seen, at: &str, direction: Direction, wanted: &[NewRule]) -> bool {
    let Some(group) = s.group(at) else { return false };
    let mut found: Vec<_> = group.of(direction).map(|rule| (rule.rule.clone(), rule.description.clone())).collect();
    let mut wanted: Vec<_> = wanted
        .iter()
        .map(|new| {
            let peer = match &new.rule.peer {
                Peer::Cidr(cidr) => Peer::Cidr(*cidr),
                Peer::Group(group) => Peer::Group(s.known.id(group).expect("made")),
                other => panic!("{other:?} is not compared"),
            };
            (Rule { traffic: new.rule.traffic, peer }, new.description.clone())
        })
        .collect();
    found.sort();
    wanted.sort();
    found == wanted
}

pub(super) fn old_rules(s: &Seen, at: &str, direction: Direction) -> Vec<OldRule> {
    let group = s.group(at).expect("made");
    group.of(direction).map(|rule| OldRule { id: rule.id.clone(), rule: rule.rule.clone() }).collect()
}

pub(super) fn group() -> Vec<Step> {
    const AT: &str = "security_group.a";
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, AT, "a", 1)),
        holds("it is listed", |s| {
            s.object(AT).is_some_and(|object| object.tags == s.tags(AT))
                && s.group(AT).is_some_and(|group| {
                    group.name == s.name("a") && group.description == "a group" && group.vpc == s.vpc()
                })
        }),
        holds("a new group lets everything out", |s| {
            s.group(AT).is_some_and(|group| group.of(Direction::Egress).any(|rule| rule.rule.traffic == Traffic::All))
        }),
        does(&[], |s| s.call(AT, Action::SecurityGroup(OfGroup::RevokeDefaultEgress), 60)),
        holds("and then nothing", |s| s.group(AT).is_some_and(|group| group.rules.is_empty())),
        does(&[], |s| s.call(AT, Action::SecurityGroup(OfGroup::RevokeDefaultEgress), 60)),
        does(&[], |s| authorize(s, AT, Direction::Ingress, rules())),
        holds("every rule is listed", |s| has(s, AT, Direction::Ingress, &rules())),
        holds("rules carry the tags", |s| {
            s.group(AT).is_some_and(|group| group.rules.iter().all(|rule| rule.tags == s.tags(AT)))
        }),
        does(&[], |s| authorize(s, AT, Direction::Ingress, rules())),
        holds("sent again, there is nothing twice", |s| has(s, AT, Direction::Ingress, &rules())),
        does(&[], |s| {
            let more = [rules(), vec![open(tcp(80), "0.0.0.0/0")]].concat();
            authorize(s, AT, Direction::Ingress, more)
        }),
        holds("what was missing is there", |s| {
            has(s, AT, Direction::Ingress, &[rules(), vec![open(tcp(80), "0.0.0.0/0")]].concat())
        }),
        does(&[], |s| authorize(s, AT, Direction::Egress, vec![open(tcp(5432), "10.0.0.0/8")])),
        holds("directions are apart", |s| has(s, AT, Direction::Egress, &[open(tcp(5432), "10.0.0.0/8")])),
        does(&[], |s| describe(s, AT, Some("because"))),
        holds("descriptions change", |s| told(s, Some("because"))),
        does(&[], |s| describe(s, AT, None)),
        holds("descriptions go", |s| told(s, None)),
    ];
    steps.extend(tagging(Kind::SecurityGroup, AT));
    steps.extend([
        does(&[], |s| revoke(s, AT, Direction::Egress, old_rules(s, AT, Direction::Egress))),
        holds("revoked", |s| s.group(AT).is_some_and(|group| group.of(Direction::Egress).next().is_none())),
        does(&[], |s| {
            let mut with_a_stranger = old_rules(s, AT, Direction::Ingress);
            with_a_stranger[0].id = CloudId::new("sgr-0123456789abcdef0");
            revoke(s, AT, Direction::Ingress, with_a_stranger)
        }),
        holds("one that is gone does not save the others", |s| s.group(AT).is_some_and(|group| group.rules.len() == 1)),
        does(&[], |s| delete_group(s, AT)),
        holds("it is gone", |s| s.now.objects.is_empty()),
        does(&[], |s| delete_group(s, AT)),
    ]);
    steps
}

pub(super) fn revoke(s: &Seen, at: &str, direction: Direction, rules: Vec<OldRule>) -> Call {
    s.call(at, Action::SecurityGroup(OfGroup::Revoke { direction, rules }), 60)
}

pub(super) fn describe(s: &Seen, at: &str, text: Option<&str>) -> Call {
    let rules = old_rules(s, at, Direction::Egress).into_iter();
    let rules = rules.map(|old| DescribedRule { id: old.id, rule: old.rule, description: text.map(str::to_owned) });
    let direction = Direction::Egress;
    s.call(at, Action::SecurityGroup(OfGroup::Describe { direction, rules: rules.collect() }), 60)
}

pub(super) fn told(s: &Seen, text: Option<&str>) -> bool {
    let group = s.group("security_group.a");
    group.is_some_and(|group| group.of(Direction::Egress).all(|rule| rule.description.as_deref() == text))
}

pub(super) fn group_taken() -> Vec<Step> {
    vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        holds("sent again, it is the same one", |s| s.now.objects.len() == 1),
        refuses(Class::AlreadyExists, |s| create(s, "security_group.a", "a", 2)),
        refuses(Class::AlreadyExists, |s| create(s, "security_group.b", "a", 1)),
        refuses(Class::AlreadyExists, |s| create(s, "security_group.b", "A", 1)),
        answers(
            "the name is found whatever its case",
            |s| Question::Named {
                kind: Kind::SecurityGroup,
                region: s.place.region.clone(),
                vpc: Some(s.vpc()),
                name: s.name("A"),
            },
            |s, answer| *answer == Answer::Named(Some(s.id("security_group.a"))),
        ),
        does(&[], |s| delete_group(s, "security_group.a")),
    ]
}

pub(super) fn group_peers() -> Vec<Step> {
    let peer = || NewRule {
        rule: Rule { traffic: tcp(8000), peer: Peer::Group(link("security_group.b")) },
        description: Some("from b".to_owned()),
    };
    vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_GROUP, |s| create(s, "security_group.b", "b", 1)),
        does(&[], move |s| authorize(s, "security_group.a", Direction::Ingress, vec![peer()])),
        holds("the rule and its description are listed", move |s| {
            has(s, "security_group.a", Direction::Ingress, &[peer()])
        }),
        answers(
            "the group that names it holds it",
            |s| holders(s, "security_group.b"),
            |s, answer| {
                matches!(answer, Answer::Holders(all)
                if all.len() == 1 && all[0].object == Some(s.id("security_group.a")))
            },
        ),
        answers(
            "nobody holds the other",
            |s| holders(s, "security_group.a"),
            |_, answer| *answer == Answer::Holders(Vec::new()),
        ),
        refuses(Class::InUse, |s| s.call("security_group.b", Action::SecurityGroup(OfGroup::Delete), 2)),
        does(&[], |s| {
            revoke(s, "security_group.a", Direction::Ingress, old_rules(s, "security_group.a", Direction::Ingress))
        }),
        does(&[], |s| delete_group(s, "security_group.b")),
        does(&[], |s| delete_group(s, "security_group.a")),
    ]
}

pub(super) fn holders(s: &Seen, at: &str) -> Question {
    Question::Holders { kind: Kind::SecurityGroup, region: s.place.region.clone(), id: s.id(at) }
}
