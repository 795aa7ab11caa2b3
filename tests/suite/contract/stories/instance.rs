//! Instances.

use super::*;

pub(super) fn user_data(text: &str) -> UserData {
    UserData { body: Body::Text(Text::literal(text)), secrecy: Secrecy::Open }
}

/// A launch in the group of the stack.
pub(super) fn launch(s: &Seen, at: &str) -> Run {
    let subnet = s.subnet();
    Run {
        image: s.place.image.clone(),
        instance_type: "t3.small".to_owned(),
        subnet: subnet.id,
        zone: subnet.zone,
        security_groups: vec![link("security_group.a")],
        key: None,
        iam_profile: None,
        public_ip: Some(true),
        private_ip: None,
        user_data: Some(user_data("#!/bin/sh\necho one\n")),
        root: None,
        metadata: Metadata { service: MetadataService::V2, hops: 2 },
        detailed_monitoring: false,
        shutdown: Shutdown::Stop,
        tenancy: None,
        placement_group: None,
        termination_protection: false,
        tags: s.tags(at),
        token_seed: format!("{}/{at}/1", s.stack),
    }
}

pub(super) fn run(s: &Seen, at: &str, run: Run) -> Call {
    s.call(at, Action::Instance(OfInstance::Run(Box::new(run))), 60)
}

pub(super) fn on_instance(s: &Seen, at: &str, action: OfInstance) -> Call {
    s.call(at, Action::Instance(action), 60)
}

/// The end of a story with an instance in a group.
pub(super) fn away(at: &'static str) -> Vec<Step> {
    vec![
        does(&[], move |s| on_instance(s, at, OfInstance::Terminate)),
        does(&[], move |s| on_instance(s, at, OfInstance::AwaitTerminated)),
        holds("a terminated instance is not listed", move |s| s.object(at).is_none()),
        does(&[], move |s| on_instance(s, at, OfInstance::Terminate)),
    ]
}

pub(super) fn group_in_use() -> Vec<Step> {
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_INSTANCE, |s| run(s, "instance.a", launch(s, "instance.a"))),
        answers(
            "the instance's interface holds the group",
            |s| holders(s, "security_group.a"),
            |s, answer| {
                matches!(answer, Answer::Holders(all)
                if all.len() == 1 && all[0].object == Some(s.id("instance.a")))
            },
        ),
        refuses(Class::InUse, |s| s.call("security_group.a", Action::SecurityGroup(OfGroup::Delete), 2)),
    ];
    steps.extend(away("instance.a"));
    steps.push(does(&[], |s| delete_group(s, "security_group.a")));
    steps
}

#[expect(clippy::too_many_lines, reason = "a story is told in one go")]
pub(super) fn instance() -> Vec<Step> {
    const AT: &str = "instance.a";
    let wanted = |s: &Seen| Run {
        key: Some(Key { name: s.name("key"), of: Some(link("key_pair.a")) }),
        user_data: Some(UserData {
            body: Body::Text(Text(vec![
                Part::Literal("#!/bin/sh\necho ".to_owned()),
                Part::Hole { address: crate::contract::address("elastic_ip.a"), output: Output::PublicIp },
                Part::Literal("\n".to_owned()),
            ])),
            secrecy: Secrecy::Open,
        }),
        root: Some(Root {
            device: "/dev/sda1".to_owned(),
            volume: RootVolume {
                size: Some(Gibibytes(20)),
                volume_type: Some("gp3".to_owned()),
                encrypted: Some(true),
                ..RootVolume::default()
            },
        }),
        ..launch(s, AT)
    };
    let script = |s: &Seen| format!("#!/bin/sh\necho {}\n", s.elastic_ip("elastic_ip.a").expect("made").public_ip);
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_GROUP, |s| import(s, "key_pair.a", KEY, 1)),
        does(GIVES_ADDRESS, allocate),
        does(GIVES_INSTANCE, move |s| run(s, AT, wanted(s))),
        does(RUNNING, |s| on_instance(s, AT, OfInstance::AwaitRunning)),
        holds("it is listed as it was asked for", |s| {
            s.instance(AT).is_some_and(|instance| {
                instance.state == State::Running
                    && instance.image == s.place.image
                    && instance.instance_type == "t3.small"
                    && instance.subnet == s.subnet().id
                    && instance.zone == s.subnet().zone
                    && instance.vpc == s.vpc()
                    && instance.security_groups == [s.id("security_group.a")]
                    && instance.key_name == Some(s.name("key"))
                    && instance.public_ip.is_some()
                    && instance.source_dest_check
                    && instance.metadata == Metadata { service: MetadataService::V2, hops: 2 }
                    && s.subnet().cidr.contains(IpAddr::V4(instance.private_ip))
            })
        }),
        holds("its address is none of ours", |s| s.instance(AT).is_some_and(|one| !one.public_ip_is_elastic)),
        holds("its boot volume is listed", |s| {
            let root = s.instance(AT).and_then(|instance| instance.root.as_ref()).map(|root| &root.volume);
            root.is_some_and(|root| {
                root.size == Some(Gibibytes(20))
                    && root.volume_type.as_deref() == Some("gp3")
                    && root.encrypted == Some(true)
                    && root.delete_on_termination == Some(true)
            })
        }),
        holds("its tags are those of the plan, and a fingerprint of what was sent", move |s| {
            let mut tags = s.tags(AT);
            tags.insert(FINGERPRINT.to_owned(), user_data("").fingerprint(script(s).as_bytes()));
            s.object(AT).is_some_and(|object| object.tags == tags)
        }),
        answers(
            "the user data is whole",
            |s| ask_user_data(s, AT),
            move |s, answer| *answer == Answer::UserData(Some(script(s).into_bytes())),
        ),
        refuses(Class::Invalid, move |s| {
            let hole = Part::Hole { address: crate::contract::address("instance.unknown"), output: Output::PrivateIp };
            let body = Body::Text(Text(vec![hole]));
            run(s, "instance.b", Run { user_data: Some(UserData { body, secrecy: Secrecy::Open }), ..launch(s, AT) })
        }),
        does(GIVES_GROUP, |s| create(s, "security_group.b", "b", 1)),
        does(&[], |s| {
            on_instance(s, AT, OfInstance::SetGroups(vec![link("security_group.a"), link("security_group.b")]))
        }),
        holds("it is in both groups", |s| {
            let mut ids = vec![s.id("security_group.a"), s.id("security_group.b")];
            ids.sort();
            s.instance(AT).is_some_and(|instance| instance.security_groups == ids)
        }),
        does(&[], |s| on_instance(s, AT, OfInstance::SetSourceDestCheck(false))),
        holds("packers may pass", |s| s.instance(AT).is_some_and(|instance| !instance.source_dest_check)),
        does(&[], |s| on_instance(s, AT, OfInstance::SetMonitoring(true))),
        holds("it is watched", |s| s.instance(AT).is_some_and(|instance| instance.detailed_monitoring)),
        does(&[], |s| on_instance(s, AT, OfInstance::SetMonitoring(false))),
        holds("and not any more", |s| s.instance(AT).is_some_and(|instance| !instance.detailed_monitoring)),
        does(&[], |s| on_instance(s, AT, OfInstance::SetMetadata(Metadata { service: MetadataService::V1, hops: 3 }))),
        holds("the metadata service changed", |s| {
            let wanted = Metadata { service: MetadataService::V1, hops: 3 };
            s.instance(AT).is_some_and(|instance| instance.metadata == wanted)
        }),
    ];
    steps.extend(tagging(Kind::Instance, AT));
    steps.extend(away(AT));
    steps.extend([
        does(&[], |s| on_address(s, OfAddress::Release)),
        does(&[], |s| s.call("key_pair.a", Action::KeyPair(OfKey::Delete), 60)),
        does(&[], |s| delete_group(s, "security_group.b")),
        does(&[], |s| delete_group(s, "security_group.a")),
        holds("nothing is left", |s| s.now.objects.is_empty()),
    ]);
    steps
}

pub(super) fn ask_user_data(s: &Seen, at: &str) -> Question {
    Question::UserData { region: s.place.region.clone(), id: s.id(at) }
}

pub(super) fn restart() -> Vec<Step> {
    const AT: &str = "instance.a";
    let private = |s: &Seen| s.instance(AT).map(|instance| instance.private_ip.to_string());
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_INSTANCE, |s| run(s, AT, launch(s, AT))),
        does(RUNNING, |s| on_instance(s, AT, OfInstance::AwaitRunning)),
        refuses(Class::WrongState, |s| on_instance(s, AT, OfInstance::SetType("t3.large".to_owned()))),
        does(&[], |s| on_instance(s, AT, OfInstance::Stop)),
        does(&[], |s| on_instance(s, AT, OfInstance::AwaitStopped)),
        holds("it is down", |s| s.instance(AT).is_some_and(|instance| instance.state == State::Stopped)),
        does(&[], |s| on_instance(s, AT, OfInstance::SetType("t3.large".to_owned()))),
        does(&[], |s| on_instance(s, AT, OfInstance::SetUserData(Some(user_data("two"))))),
        holds("type and fingerprint are new", |s| {
            let tag = s.object(AT).and_then(|object| object.tags.get(FINGERPRINT));
            s.instance(AT).is_some_and(|instance| instance.instance_type == "t3.large")
                && tag == Some(&user_data("").fingerprint(b"two"))
        }),
        answers(
            "and so is the user data",
            |s| ask_user_data(s, AT),
            |_, answer| *answer == Answer::UserData(Some(b"two".to_vec())),
        ),
        does(&[], |s| on_instance(s, AT, OfInstance::SetUserData(None))),
        holds("no user data, no fingerprint", |s| {
            s.object(AT).is_some_and(|object| !object.tags.contains_key(FINGERPRINT))
        }),
        does(&[], |s| on_instance(s, AT, OfInstance::Start)),
        does(RUNNING, |s| on_instance(s, AT, OfInstance::AwaitRunning)),
        holds("it is up, at its private address", move |s| {
            let before = s.known.output(&crate::contract::address(AT), Output::PrivateIp).map(str::to_owned);
            private(s) == before && s.instance(AT).is_some_and(|instance| instance.state == State::Running)
        }),
    ];
    steps.extend(away(AT));
    steps.push(does(&[], |s| delete_group(s, "security_group.a")));
    steps
}

pub(super) fn launched_twice() -> Vec<Step> {
    const AT: &str = "instance.a";
    let mut steps = vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_INSTANCE, |s| run(s, AT, launch(s, AT))),
        does(GIVES_INSTANCE, |s| run(s, AT, launch(s, AT))),
        holds("there is one", |s| s.now.objects.iter().filter(|one| one.kind() == Kind::Instance).count() == 1),
    ];
    steps.extend(away(AT));
    steps.extend([
        does(GIVES_INSTANCE, |s| run(s, AT, launch(s, AT))),
        holds("the token of the dead gives another", |s| s.instance(AT).is_some()),
    ]);
    steps.extend(away(AT));
    steps.push(does(&[], |s| delete_group(s, "security_group.a")));
    steps
}

pub(super) fn protected() -> Vec<Step> {
    const AT: &str = "instance.a";
    vec![
        does(GIVES_GROUP, |s| create(s, "security_group.a", "a", 1)),
        does(GIVES_INSTANCE, |s| run(s, AT, Run { termination_protection: true, ..launch(s, AT) })),
        answers(
            "it is protected",
            |s| Question::TerminationProtection { region: s.place.region.clone(), id: s.id(AT) },
            |_, answer| *answer == Answer::TerminationProtection(true),
        ),
        refuses(Class::Denied, |s| on_instance(s, AT, OfInstance::Terminate)),
    ]
}
