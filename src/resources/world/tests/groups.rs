//! Security groups.

use super::{Lab, at, create, from_group, from_network, here, owned, planned, usual};
use crate::model::net::Cidr;
use crate::model::{CloudId, Kind, Link, Output, Tags};
use crate::resources::instance;
use crate::resources::registry::{Action, Body};
use crate::resources::security_group::Action as On;
use crate::resources::security_group::action::{DescribedRule, NewRule, OldRule};
use crate::resources::security_group::state::{Direction, Peer, Rule};
use crate::resources::snapshot::{Answer, Question};
use crate::resources::world::Limits;

fn act(action: On) -> Action {
    Action::SecurityGroup(action)
}

fn authorize(rules: Vec<NewRule>) -> Action {
    act(On::Authorize { direction: Direction::Ingress, rules, tags: Tags::new() })
}

fn lab() -> Lab {
    let mut lab = Lab::default();
    for name in ["a", "b"] {
        let create = create(&lab.world, name, owned(&format!("security_group.{name}")));
        lab.fine(&format!("security_group.{name}"), create);
    }
    lab
}

#[test]
fn a_new_group_lets_everything_out_until_that_is_revoked() {
    let mut lab = lab();
    let everyone = Cidr::read("0.0.0.0/0").unwrap();
    let rules = &lab.group("security_group.a").rules;
    assert_eq!(rules.iter().map(|rule| &rule.rule.peer).collect::<Vec<_>>(), [&Peer::Cidr(everyone)]);
    lab.fine("security_group.a", act(On::RevokeDefaultEgress));
    lab.fine("security_group.a", act(On::RevokeDefaultEgress));
    assert!(lab.group("security_group.a").rules.is_empty());
}

#[test]
fn with_ipv6_it_lets_everything_out_there_too() {
    let mut lab = Lab::default();
    let mut facts = lab.world.region(&here()).facts().clone();
    facts.vpcs.iter_mut().for_each(|vpc| vpc.ipv6 = true);
    lab.world.region_mut(&here()).set_facts(facts);
    let create = create(&lab.world, "six", Tags::new());
    lab.fine("security_group.six", create);
    assert_eq!(lab.group("security_group.six").rules.len(), 2);
    lab.fine("security_group.six", act(On::RevokeDefaultEgress));
    assert!(lab.group("security_group.six").rules.is_empty());
}

#[test]
fn names_are_unique_in_a_vpc_whatever_the_case() {
    let mut lab = lab();
    for (name, code) in
        [("A", "InvalidGroup.Duplicate"), ("Default", "InvalidGroup.Reserved"), ("sg-mine", "InvalidParameterValue")]
    {
        let create = create(&lab.world, name, Tags::new());
        assert_eq!(lab.refused("security_group.c", create), code, "{name}");
    }
    let again = create(&lab.world, "a", owned("security_group.a"));
    let told = lab.fine("security_group.a", again);
    assert_eq!(told.get(&Output::Name).map(String::as_str), Some("a"));
    let question = Question::Named {
        kind: Kind::SecurityGroup,
        region: here(),
        vpc: Some(lab.group("security_group.a").vpc.clone()),
        name: "A".to_owned(),
    };
    assert_eq!(lab.world.answer(&question), Ok(Answer::Named(Some(lab.id("security_group.a")))));
}

#[test]
fn authorizing_adds_only_what_is_missing() {
    let mut lab = lab();
    let rules = vec![from_network(80, "10.0.0.0/8"), from_group(22, planned("security_group.b"))];
    lab.fine("security_group.a", authorize(rules.clone()));
    let once = lab.group("security_group.a").clone();
    lab.fine("security_group.a", authorize(rules));
    assert_eq!(*lab.group("security_group.a"), once);
    let strange = vec![from_group(22, Link::Existing(CloudId::new("sg-0000000000")))];
    assert_eq!(lab.refused("security_group.a", authorize(strange)), "InvalidGroup.NotFound");
}

#[test]
fn an_output_becomes_the_network_of_one_address() {
    let mut lab = lab();
    lab.allocated("elastic_ip.edge");
    let peer = Peer::Output { address: at("elastic_ip.edge"), output: Output::PublicIp };
    let rule = NewRule { rule: Rule { traffic: super::port(22), peer }, description: None };
    lab.fine("security_group.a", authorize(vec![rule.clone()]));
    let host = Cidr::host(lab.address("elastic_ip.edge").public_ip.into());
    assert!(lab.group("security_group.a").rules.iter().any(|rule| rule.rule.peer == Peer::Cidr(host)));
    lab.known.0.get_mut(&at("elastic_ip.edge")).unwrap().insert(Output::PublicIp, "1.2.3.4; rm".to_owned());
    assert_eq!(lab.refused("security_group.b", authorize(vec![rule])), "InvalidParameterValue");
}

#[test]
fn a_direction_has_a_limit_of_rules() {
    let mut lab = lab();
    lab.world.set_limits(Limits { rules_per_group: 2, ..Limits::default() });
    lab.fine("security_group.a", authorize(vec![from_network(1, "10.0.0.0/8"), from_network(2, "10.0.0.0/8")]));
    let third = authorize(vec![from_network(3, "10.0.0.0/8")]);
    assert_eq!(lab.refused("security_group.a", third), "RulesPerSecurityGroupLimitExceeded");
}

#[test]
fn rules_are_revoked_and_described_by_id() {
    let mut lab = lab();
    lab.fine("security_group.a", authorize(vec![from_network(80, "10.0.0.0/8")]));
    let rule = lab.group("security_group.a").of(Direction::Ingress).next().unwrap().clone();
    let said = DescribedRule { id: rule.id.clone(), rule: rule.rule.clone(), description: Some("web".to_owned()) };
    let describe = act(On::Describe { direction: Direction::Ingress, rules: vec![said] });
    lab.fine("security_group.a", describe.clone());
    assert_eq!(
        lab.group("security_group.a").of(Direction::Ingress).next().unwrap().description.as_deref(),
        Some("web")
    );
    let old = OldRule { id: rule.id, rule: rule.rule };
    let revoke = act(On::Revoke { direction: Direction::Ingress, rules: vec![old] });
    lab.fine("security_group.a", revoke.clone());
    lab.fine("security_group.a", revoke);
    assert_eq!(lab.group("security_group.a").of(Direction::Ingress).count(), 0);
    assert_eq!(lab.refused("security_group.a", describe), "InvalidSecurityGroupRuleId.NotFound");
}

#[test]
fn a_group_that_others_name_stays() {
    let mut lab = lab();
    let own = vec![from_group(22, planned("security_group.a"))];
    lab.fine("security_group.a", authorize(own));
    lab.fine("security_group.b", authorize(vec![from_group(22, planned("security_group.a"))]));
    assert_eq!(lab.refused("security_group.a", act(On::Delete)), "DependencyViolation");
    lab.fine("security_group.b", act(On::Delete));
    lab.fine("security_group.a", act(On::Delete));
    lab.fine("security_group.a", act(On::Delete));
    assert!(lab.object("security_group.a").is_none());
}

#[test]
fn a_group_of_an_instance_stays_until_that_is_gone() {
    let mut lab = lab();
    let mut run = usual(&lab.world, "instance.web");
    run.security_groups = vec![planned("security_group.a")];
    lab.fine("instance.web", super::instances::run(run));
    let go = |action| Action::Instance(action);
    lab.fine("instance.web", go(instance::Action::AwaitRunning));
    for action in [instance::Action::Stop, instance::Action::AwaitStopped, instance::Action::Terminate] {
        assert_eq!(lab.refused("security_group.a", act(On::Delete)), "DependencyViolation");
        lab.fine("instance.web", go(action));
    }
    assert_eq!(lab.refused("security_group.a", act(On::Delete)), "DependencyViolation");
    let question = Question::Holders { kind: Kind::SecurityGroup, region: here(), id: lab.id("security_group.a") };
    let Ok(Answer::Holders(holders)) = lab.world.answer(&question) else { panic!("no holders") };
    assert_eq!(holders.len(), 1);
    lab.fine("instance.web", go(instance::Action::AwaitTerminated));
    lab.fine("security_group.a", act(On::Delete));
}

#[test]
fn the_default_group_stays() {
    let mut lab = lab();
    let id = lab
        .world
        .objects()
        .find(|object| matches!(&object.body, Body::SecurityGroup(body) if body.name == "default"))
        .map(|object| object.id.clone());
    let call = super::call("security_group.a", id, act(On::Delete));
    assert_eq!(lab.world.step(&call, &lab.known).unwrap_err().code, "CannotDelete");
}
