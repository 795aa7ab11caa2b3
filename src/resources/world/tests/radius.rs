//! The law that no call changes what its stack does not own.

use super::addresses::{allocate, associate};
use super::{Lab, Outputs, Resolve, at, call, create, from_network, here, import, owned, planned, usual};
use crate::model::{Address, CloudId, Link, Output, StackName, TagEdit, Tags, tags};
use crate::resources::registry::{Action, Body};
use crate::resources::security_group::state::Direction;
use crate::resources::{elastic_ip, instance, key_pair, security_group};

/// What a lab knows, on behalf of a stack.
struct For<'a>(&'a dyn Resolve, &'a str);

impl Resolve for For<'_> {
    fn id(&self, link: &Link) -> Option<CloudId> {
        self.0.id(link)
    }

    fn output(&self, address: &Address, output: Output) -> Option<String> {
        self.0.output(address, output)
    }

    fn stack(&self) -> Option<StackName> {
        StackName::new(self.1).ok()
    }
}

impl Lab {
    /// Carries out a call on behalf of a stack; what it breached, without the time.
    fn breached(&mut self, stack: &str, address: &str, action: Action) -> Vec<String> {
        let known = self.known.clone();
        let before = self.world.breaches().len();
        let outputs: Outputs = self.world.step(&call(address, None, action), &For(&known, stack)).expect("done");
        self.known.0.entry(at(address)).or_default().extend(outputs);
        let said = |breach: &String| breach.split(" at second").next().unwrap_or_default().to_owned();
        self.world.breaches().iter().skip(before).map(said).collect()
    }

    /// Gives an object other tags, as if somebody else had made it.
    fn give_away(&mut self, address: &str, tags: Tags) -> CloudId {
        let id = self.id(address);
        assert!(self.world.meddle(&here(), &id, |object| object.tags = tags));
        id
    }
}

fn of(stack: &str, address: &str) -> Tags {
    Tags::from([(tags::STACK.to_owned(), stack.to_owned()), (tags::ADDRESS.to_owned(), address.to_owned())])
}

fn tag(set: Tags) -> Action {
    Action::SecurityGroup(security_group::Action::Tag(TagEdit { set, ..TagEdit::default() }))
}

fn open() -> Action {
    let rules = vec![from_network(22, "192.0.2.0/24")];
    let (direction, tags) = (Direction::Ingress, Tags::new());
    Action::SecurityGroup(security_group::Action::Authorize { direction, rules, tags })
}

const WEB: &str = "security_group.web";

/// A world with one group.
fn lab(tags: Tags) -> (Lab, CloudId) {
    let mut lab = Lab::default();
    lab.fine(WEB, create(&lab.world, "web", owned(WEB)));
    let id = lab.give_away(WEB, tags);
    (lab, id)
}

#[test]
fn what_is_ours_may_be_changed_and_removed() {
    let (mut lab, _) = lab(of("shop", WEB));
    assert_eq!(lab.breached("shop", WEB, open()), [""; 0]);
    assert_eq!(lab.breached("shop", WEB, Action::SecurityGroup(security_group::Action::Delete)), [""; 0]);
}

#[test]
fn what_is_not_ours_may_not() {
    for (tags, whose) in [
        (of("shop2", WEB), "what is another stack's"),
        (of("Shop", WEB), "what is another stack's"),
        (of("sho*", WEB), "what is another stack's"),
        (of("shop", "security_group.db"), "what is another address's"),
        (of("shop", "nothing"), "what is nobody's of ours"),
        (Tags::from([(tags::ADDRESS.to_owned(), WEB.to_owned())]), "what is nobody's of ours"),
        (Tags::new(), "what is nobody's of ours"),
    ] {
        let (mut lab, id) = lab(tags.clone());
        let told = |api: &str| format!("{api} for `{WEB}` changed {whose}: `{id}`");
        let said = lab.breached("shop", WEB, open());
        assert_eq!(said, [told("ec2:AuthorizeSecurityGroupIngress")], "{tags:?}");
        // A call that changes nothing is none.
        assert_eq!(lab.breached("shop", WEB, open()), [""; 0], "{tags:?}");
        let said = lab.breached("shop", WEB, Action::SecurityGroup(security_group::Action::Delete));
        assert_eq!(said, [told("ec2:DeleteSecurityGroup")], "{tags:?}");
    }
}

#[test]
fn who_adopts_changes_the_tags_alone_and_takes_nothing_from_another_stack() {
    let (mut mine, _) = lab(Tags::from([("Name".to_owned(), "web".to_owned())]));
    assert_eq!(mine.breached("shop", WEB, tag(of("shop", WEB))), [""; 0], "it is nobody's, and is taken over");
    let (mut mine, _) = lab(of("shop", "security_group.old"));
    assert_eq!(mine.breached("shop", WEB, tag(of("shop", WEB))), [""; 0], "it moves to another address");
    let (mut theirs, id) = lab(of("other", WEB));
    let said = theirs.breached("shop", WEB, tag(of("shop", WEB)));
    assert_eq!(said, [format!("ec2:CreateTags for `{WEB}` changed what is another stack's: `{id}`")]);
    let (mut half, id) = lab(Tags::new());
    let said = half.breached("shop", WEB, tag(Tags::from([("team".to_owned(), "web".to_owned())])));
    assert_eq!(said, [format!("ec2:CreateTags for `{WEB}` changed what is nobody's of ours: `{id}`")]);
}

#[test]
fn what_is_made_says_whose_it_is() {
    let key = "key_pair.web";
    let mut lab = Lab::default();
    assert_eq!(lab.breached("shop", key, import("web", owned(key))), [""; 0]);
    for (name, tags) in [("b", Tags::new()), ("c", of("other", key)), ("d", of("shop", "key_pair.other"))] {
        let said = lab.breached("shop", key, import(name, tags));
        let id = lab.id(key);
        assert_eq!(said, [format!("ec2:ImportKeyPair for `{key}` did not say whose it is when it made `{id}`")]);
    }
    let key = Action::KeyPair(key_pair::Action::Delete);
    assert_eq!(lab.breached("shop", "key_pair.web", key).len(), 1, "the last one is another address's");
}

#[test]
fn an_address_of_others_is_not_pushed_aside_yet_goes_with_its_instance() {
    let (edge, lent, web) = ("elastic_ip.edge", "elastic_ip.lent", "instance.web");
    let mut lab = Lab::default();
    for address in [edge, lent] {
        lab.fine(address, allocate(owned(address)));
    }
    lab.running(web);
    lab.fine(lent, associate(web, None));
    let id = lab.give_away(lent, Tags::new());
    let mut other = lab.world.clone();
    let said = lab.breached("shop", edge, associate(web, None));
    assert_eq!(said, [format!("ec2:AssociateAddress for `{edge}` changed what is nobody's of ours: `{id}`")]);
    std::mem::swap(&mut lab.world, &mut other);
    assert_eq!(lab.breached("shop", web, Action::Instance(instance::Action::Terminate)), [""; 0]);
    let Some(Body::ElasticIp(body)) = lab.world.object(&here(), &id).map(|object| &object.body) else { panic!("it") };
    assert_eq!(body.association, None);
}

#[test]
fn an_instance_of_others_gets_no_address_of_ours() {
    let (edge, web) = ("elastic_ip.edge", "instance.web");
    let mut lab = Lab::default();
    lab.allocated(edge);
    lab.fine(web, super::instances::run(usual(&lab.world, web)));
    lab.fine(web, Action::Instance(instance::Action::AwaitRunning));
    let id = lab.give_away(web, of("shop2", web));
    let said =
        lab.breached("shop", edge, Action::ElasticIp(elastic_ip::Action::Associate { to: planned(web), from: None }));
    assert_eq!(said, [format!("ec2:AssociateAddress for `{edge}` changed what is another stack's: `{id}`")]);
}
