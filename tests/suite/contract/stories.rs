//! The stories.

use std::net::IpAddr;

use portcullis::model::duration::Gibibytes;
use portcullis::model::net::{Cidr, Icmp, Ports, Traffic};
use portcullis::model::text::{Part, Text};
use portcullis::model::{CloudId, Kind, Output, TagEdit};
use portcullis::port::Class;
use portcullis::resources::ImageQuery;
use portcullis::resources::elastic_ip::Action as OfAddress;
use portcullis::resources::instance::Action as OfInstance;
use portcullis::resources::instance::action::{Key, Root, Run};
use portcullis::resources::instance::state::{Metadata, MetadataService, RootVolume, Shutdown, State};
use portcullis::resources::instance::user_data::{Body, FINGERPRINT, Secrecy, UserData};
use portcullis::resources::key_pair::Action as OfKey;
use portcullis::resources::load_balancer::Action as OfBalancer;
use portcullis::resources::registry::{Action, Call};
use portcullis::resources::security_group::Action as OfGroup;
use portcullis::resources::security_group::action::{DescribedRule, NewRule, OldRule};
use portcullis::resources::security_group::state::{Direction, Peer, Rule};
use portcullis::resources::snapshot::{Answer, Question};

use super::{Seen, Step, Story, answers, does, holds, link, not_on_moto, pairs, refuses};

mod elastic_ip;
mod group;
mod instance;
mod key_pair;
mod load_balancer;

use elastic_ip::*;
use group::*;
use instance::*;
use key_pair::*;
use load_balancer::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const GIVES_GROUP: &[Output] = &[Output::Id, Output::Name];
const GIVES_ADDRESS: &[Output] = &[Output::Id, Output::PublicIp];
const GIVES_BALANCER: &[Output] = &[Output::Id, Output::Name, Output::DnsName, Output::ZoneId];
const GIVES_INSTANCE: &[Output] = &[Output::Id, Output::PrivateIp, Output::PrivateDns, Output::Zone];
const RUNNING: &[Output] =
    &[Output::Id, Output::PrivateIp, Output::PublicIp, Output::PrivateDns, Output::PublicDns, Output::Zone];

/// Every story.
pub fn all() -> Vec<Story> {
    let plain = |name, steps| Story { name, named: Vec::new(), steps };
    vec![
        plain("the life of a key pair", key_pair()),
        plain("a key pair's name is taken", key_pair_taken()),
        plain("the life of a security group", group()),
        plain("a group's name is taken", group_taken()),
        plain("rules between groups", group_peers()),
        plain("a group in use", group_in_use()),
        plain("the life of an address", elastic_ip()),
        plain("the life of an instance", instance()),
        plain("an instance stops and changes", restart()),
        plain("a launch is sent twice", launched_twice()),
        plain("a protected instance", protected()),
        plain("the life of a load balancer", balancer()),
        plain("a balancer's name is taken", balancer_taken()),
        plain("listeners with certificates and policies", policies()),
        plain("members of a balancer", members()),
        plain("zones of a balancer", zones()),
        Story {
            name: "a foreign balancer by name",
            named: vec![(Kind::LoadBalancer, "STACK-b"), (Kind::LoadBalancer, "STACK-*")],
            steps: foreign_balancer(),
        },
        plain("questions", questions()),
        plain("what is not there", absent()),
        Story {
            name: "foreign objects by name",
            named: vec![
                (Kind::SecurityGroup, "STACK-foreign"),
                (Kind::SecurityGroup, "default"),
                (Kind::KeyPair, "STACK-key"),
                (Kind::ElasticIp, "{elastic_ip.a}"),
                (Kind::SecurityGroup, "STACK-*"),
                (Kind::SecurityGroup, "STACK-?oreign"),
            ],
            steps: foreign(),
        },
    ]
}

fn tag(edit: TagEdit, kind: Kind) -> Action {
    match kind {
        Kind::KeyPair => Action::KeyPair(OfKey::Tag(edit)),
        Kind::SecurityGroup => Action::SecurityGroup(OfGroup::Tag(edit)),
        Kind::ElasticIp => Action::ElasticIp(OfAddress::Tag(edit)),
        Kind::Instance => Action::Instance(OfInstance::Tag(edit)),
        Kind::LoadBalancer => Action::LoadBalancer(OfBalancer::Tag(edit)),
        Kind::HostFirewall => unreachable!("hosts have no tags of the user"),
    }
}

/// One tag is changed, one taken away, one added; ours stay.
fn tagging(kind: Kind, at: &'static str) -> [Step; 4] {
    let first = || TagEdit { set: pairs(&[("team", "b/c"), ("extra", "")]), unset: [].into() };
    let second = || TagEdit { set: pairs(&[]), unset: ["team".to_owned()].into() };
    let expected = move |s: &Seen, more: &[(&str, &str)]| {
        let mut tags = s.tags(at);
        tags.remove("team");
        tags.extend(pairs(more));
        s.object(at).is_some_and(|object| {
            let mut found = object.tags.clone();
            found.remove(FINGERPRINT);
            found == tags
        })
    };
    [
        does(&[], move |s| s.call(at, tag(first(), kind), 60)),
        holds("tags are written", move |s| expected(s, &[("team", "b/c"), ("extra", "")])),
        does(&[], move |s| s.call(at, tag(second(), kind), 60)),
        holds("one tag is taken away, the others stay", move |s| expected(s, &[("extra", "")])),
    ]
}

fn questions() -> Vec<Step> {
    let region = |s: &Seen| s.place.region.clone();
    vec![
        answers(
            "the image is there",
            move |s| Question::Image { region: region(s), id: s.place.image.clone() },
            |s, answer| matches!(answer, Answer::Image(Some(image)) if image.id == s.place.image && !image.root_device.is_empty()),
        ),
        answers(
            "an image that is not",
            move |s| Question::Image {
                region: region(s),
                id: portcullis::model::id::ImageId::new("ami-0fedcba9876543210"),
            },
            |_, answer| *answer == Answer::Image(None),
        ),
        answers(
            "no image has this name",
            move |s| Question::NewestImage {
                region: region(s),
                query: ImageQuery { name: "no such image *".to_owned(), owner: None, architecture: None },
            },
            |_, answer| *answer == Answer::Image(None),
        ),
        answers(
            "the newest of all is one",
            move |s| Question::NewestImage {
                region: region(s),
                query: ImageQuery { name: "*".to_owned(), owner: None, architecture: Some("x86_64".to_owned()) },
            },
            |_, answer| matches!(answer, Answer::Image(Some(image)) if image.architecture == "x86_64"),
        ),
        answers(
            "a type without disks",
            move |s| Question::InstanceType { region: region(s), name: "t3.small".to_owned() },
            |_, answer| matches!(answer, Answer::InstanceType(Some(one)) if !one.instance_store),
        ),
        answers(
            "a type that is none",
            move |s| Question::InstanceType { region: region(s), name: "nonesuch".to_owned() },
            |_, answer| *answer == Answer::InstanceType(None),
        ),
        answers(
            "a name nobody has",
            move |s| Question::Named { kind: Kind::KeyPair, region: region(s), vpc: None, name: s.name("nobody") },
            |_, answer| *answer == Answer::Named(None),
        ),
    ]
}

/// Removing what is not there is no error; using it is.
fn absent() -> Vec<Step> {
    let gone = |mut call: Call, id: &str| {
        call.on = Some(CloudId::new(id));
        call
    };
    vec![
        does(&[], move |s| gone(delete_group(s, "security_group.a"), "sg-0123456789abcdef0")),
        does(&[], move |s| gone(on_address(s, OfAddress::Release), "eipalloc-0123456789abcdef0")),
        does(&[], move |s| gone(s.call("key_pair.a", Action::KeyPair(OfKey::Delete), 60), "key-0123456789abcdef0")),
        does(&[], move |s| gone(on_instance(s, "instance.a", OfInstance::Terminate), "i-0123456789abcdef0")),
        does(&[], move |s| gone(on_instance(s, "instance.a", OfInstance::AwaitTerminated), "i-0123456789abcdef0")),
        refuses(Class::NotFound, move |s| {
            let call = authorize(s, "security_group.a", Direction::Ingress, vec![open(tcp(1), "10.0.0.0/8")]);
            gone(call, "sg-0123456789abcdef0")
        }),
        does(&[], move |s| nobody(s, OfBalancer::Delete)),
        does(&[], move |s| nobody(s, OfBalancer::AwaitInterfacesGone)),
        does(&[], move |s| nobody(s, leave(&["i-0123456789abcdef0"], 1))),
        does(&[], move |s| nobody(s, OfBalancer::AwaitDrained([CloudId::new("i-0123456789abcdef0")].into()))),
        refuses(Class::NotFound, move |s| nobody(s, OfBalancer::AddListeners([(81, http(8000))].into()))),
        refuses(Class::NotFound, move |s| nobody(s, OfBalancer::SetHealthCheck(check("TCP:8000")))),
        refuses(Class::NotFound, move |s| gone(on_instance(s, "instance.a", OfInstance::Stop), "i-0123456789abcdef0")),
        refuses(Class::NotFound, move |s| {
            gone(on_instance(s, "instance.a", OfInstance::AwaitRunning), "i-0123456789abcdef0")
        }),
    ]
}

/// Objects of another stack are seen only when they are named, and names are no patterns.
fn foreign() -> Vec<Step> {
    let strange = |mut call: Call| {
        let other = |tags: &mut portcullis::model::Tags| {
            // Another stack, whose name begins with ours.
            let stack = tags.get_mut("portcullis:stack").expect("owned");
            stack.push_str("-and-more");
        };
        match &mut call.action {
            Action::SecurityGroup(OfGroup::Create { tags, .. })
            | Action::KeyPair(OfKey::Import { tags, .. })
            | Action::ElasticIp(OfAddress::Allocate { tags, .. }) => other(tags),
            action => panic!("{action:?} makes nothing"),
        }
        call
    };
    vec![
        holds("before, there is the default group", |s| s.now.objects.len() == 1),
        does(GIVES_GROUP, move |s| strange(create(s, "security_group.a", "foreign", 1))),
        does(GIVES_GROUP, move |s| strange(create(s, "security_group.b", "unnamed", 1))),
        does(GIVES_GROUP, move |s| strange(import(s, "key_pair.a", KEY, 1))),
        does(GIVES_ADDRESS, move |s| strange(allocate(s))),
        holds("those that are named are seen, the other is not", |s| {
            let seen = ["security_group.a", "key_pair.a", "elastic_ip.a"].iter().all(|at| s.object(at).is_some());
            seen && s.object("security_group.b").is_none() && s.now.objects.len() == 4
        }),
        does(&[], |s| delete_group(s, "security_group.b")),
        does(&[], |s| delete_group(s, "security_group.a")),
        does(&[], |s| on_address(s, OfAddress::Release)),
        does(&[], |s| s.call("key_pair.a", Action::KeyPair(OfKey::Delete), 60)),
    ]
}
