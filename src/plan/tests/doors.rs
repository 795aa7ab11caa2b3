//! Hosts beside machines: who is let in before what, and who is shut out.

use super::spec::{Lab, Resources, With, box_, check, eip, front, stack};
use super::{at, common, policy};
use crate::model::duration::Seconds;
use crate::model::id::ImageId;
use crate::model::query::{AddressOf, Regions};
use crate::model::{Address, Output, Query, Region, Tags, Target};
use crate::plan::policy::{Goal, Policy};
use crate::plan::{Plan, Verb};
use crate::resources::host_firewall::action::{Attach, Commit};
use crate::resources::host_firewall::host::Backend;
use crate::resources::host_firewall::ruleset::{Established, Mode, RuleKey, Settings, Traffic};
use crate::resources::host_firewall::state::{OnRegionError, Source, Wanted};
use crate::resources::host_firewall::{self};
use crate::resources::instance::state::ImageChoice;
use crate::resources::registry::{Action, Desired, Want};
use crate::resources::stack::Stack;
use crate::resources::{Accepted, Common};

fn target() -> Target {
    Target::Ssh { user: Some("root".to_owned()), host: "gw.example.com".to_owned(), port: None, sudo: false }
}

/// A gateway that lets the operator's network in on 22, and these in on 443.
pub(super) fn gate(from: Vec<Source>) -> Desired {
    let always = Source::Network("192.0.2.0/24".parse().unwrap());
    let want = host_firewall::Desired {
        target: target(),
        backend: None,
        settings: Settings { mode: Mode::Guard, ..Settings::default() },
        rules: vec![
            Wanted { key: RuleKey::Always(1), traffic: Traffic::tcp(22), from: vec![always] },
            Wanted { key: RuleKey::Named("fleet".to_owned()), traffic: Traffic::tcp(443), from },
        ],
        attach: Attach::Input,
        confirm_within: None,
        persist: true,
        adopt: None,
        on_region_error: OnRegionError::Keep,
        stale_after: Seconds(86_400),
        max_shrink: 50,
    };
    Desired { common: Common { region: Region::hosts(), ..common() }, want: Want::HostFirewall(want) }
}

pub(super) fn public(address: &str) -> Source {
    Source::Output { address: at(address), output: Output::PublicIp }
}

fn query(own: &[&str]) -> Source {
    let query = Query {
        regions: Regions::AllBut([].into()),
        states: ["pending".to_owned(), "running".to_owned()].into(),
        tags: Tags::new(),
        address: AddressOf::Public,
    };
    Source::Query { query, own: own.iter().map(|address| at(address)).collect::<Vec<Address>>() }
}

fn image(want: Desired) -> Desired {
    want.machine(|want| want.image = ImageChoice::Id(ImageId::new("ami-00000002")))
}

fn host(edit: impl FnOnce(&mut host_firewall::Desired), mut want: Desired) -> Desired {
    if let Want::HostFirewall(want) = &mut want.want {
        edit(want);
    }
    want
}

/// A stack with the gateway among the hosts that are looked at.
pub(super) fn site(resources: Resources) -> Stack {
    Stack { hosts: [(at("host_firewall.gw"), target())].into(), ..stack(resources) }
}

fn plan(lab: &Lab, resources: Resources) -> Plan {
    super::plan_on(lab.sim.as_ref(), &site(resources), &policy()).0
}

fn notes(plan: &Plan) -> String {
    let notes = plan.changes().iter().flat_map(|change| {
        change.notes.iter().map(|note| format!("{:?} {}: {}\n", change.verb, change.address, note.text))
    });
    notes.collect()
}

#[test]
fn the_gateway_opens_before_a_known_address_boots_and_before_an_unknown_one_serves() {
    let lab = Lab::new();
    let plan = plan(
        &lab,
        vec![
            ("elastic_ip.e", eip(Some("instance.a"))),
            ("instance.a", box_()),
            ("instance.b", box_()),
            ("load_balancer.front", front(&["instance.b"])),
            ("host_firewall.gw", gate(vec![public("instance.a"), public("instance.b")])),
        ],
    );
    check(
        &lab.graph(&plan),
        r#"
1 elastic_ip.e allocate
2 elastic_ip.e associate
    after 1: the same object
    after 4: needs instance.a
3 instance.a run
    after 13: host_firewall.gw lets it in first
4 instance.a await running
    after 3: the same object
5 instance.b run
6 instance.b await running
    after 5: the same object
7 load_balancer.front create
8 load_balancer.front set health check
    after 7: the same object
9 load_balancer.front set attributes
    after 8: the same object
10 load_balancer.front register: instance.b
    after 6: needs instance.b
    after 9: the same object
11 load_balancer.front await in service: instance.b
    after 6: needs instance.b
    after 10: the same object
    after 14: host_firewall.gw lets it in first
12 host_firewall.gw open
13 host_firewall.gw let in: instance.a
    after 1: reads elastic_ip.e.public_ip
    after 12: the same object
14 host_firewall.gw let in: instance.b
    after 6: reads instance.b.public_ip
    after 12: the same object
"#,
    );
}

#[test]
fn a_replaced_machine_is_let_in_before_it_serves_and_shut_out_once_drained() {
    let resources = |edit: fn(Desired) -> Desired| -> Resources {
        vec![
            ("instance.a", edit(box_())),
            ("load_balancer.front", front(&["instance.a"])),
            ("host_firewall.gw", gate(vec![query(&["instance.a"])])),
        ]
    };
    let lab = Lab::new();
    lab.apply(&site(resources(|want| want)));
    let plan = plan(&lab, resources(image));
    check(
        &lab.graph(&plan),
        r#"
1 instance.a run
2 instance.a await running
    after 1: the same object
3 instance.a terminate
    after 2: the successor of instance.a comes first
    after 5: the successor of instance.a comes first
    after 6: the successor of instance.a comes first
    after 8: <instance.a#1> is held until then
    after 9: the successor of instance.a comes first
    after 10: host_firewall.gw shuts it out first
4 instance.a await terminated
    after 3: the same object
5 load_balancer.front register: instance.a
    after 2: needs instance.a
6 load_balancer.front await in service: instance.a
    after 2: needs instance.a
    after 5: the same object
    after 9: host_firewall.gw lets it in first
7 load_balancer.front deregister: <instance.a#1>
    after 6: instance.a serves before the old one leaves
8 load_balancer.front await drained: <instance.a#1>
    after 7: the same object
9 host_firewall.gw let in: instance.a
    after 2: reads instance.a.public_ip
10 host_firewall.gw shut out: <instance.a#1>
    after 2: the new instance.a is there before the old one is shut out
    after 7: load_balancer.front sends it nothing any more
    after 9: the new instance.a is there before the old one is shut out
"#,
    );
    lab.apply(&site(resources(image)));
}

#[test]
fn a_machine_that_leaves_the_spec_is_shut_out_before_it_ends() {
    let with: Resources = vec![("instance.a", box_()), ("host_firewall.gw", gate(vec![query(&["instance.a"])]))];
    let lab = Lab::new();
    lab.apply(&site(with));
    let without: Resources = vec![("host_firewall.gw", gate(vec![query(&[])]))];
    check(
        &lab.graph(&plan(&lab, without.clone())),
        r#"
1 host_firewall.gw shut out: <instance.a#1>
2 instance.a terminate
    after 1: host_firewall.gw shuts it out first
3 instance.a await terminated
    after 2: the same object
"#,
    );
    lab.apply(&site(without));
}

#[test]
fn one_transaction_does_what_nobody_else_waits_for() {
    let with = |nets: &[&str]| -> Resources {
        let nets = nets.iter().map(|net| Source::Network(net.parse().unwrap()));
        vec![("host_firewall.gw", gate(nets.collect()))]
    };
    let lab = Lab::new();
    lab.apply(&site(with(&["203.0.113.0/24"])));
    check(
        &lab.graph(&plan(&lab, with(&["198.51.100.0/24"]))),
        r#"
1 host_firewall.gw change
"#,
    );
    lab.apply(&site(with(&["198.51.100.0/24"])));
}

#[test]
fn a_host_that_cannot_be_reached_fails_alone() {
    let lab = Lab::new();
    lab.sim.meddle(|world| world.host_mut(&target().id()).unreachable = Some("no route to host".to_owned()));
    let resources: Resources = vec![
        ("instance.a", box_()),
        ("instance.b", box_()),
        ("load_balancer.front", front(&["instance.b"])),
        ("host_firewall.gw", gate(vec![query(&["instance.b"])])),
    ];
    let plan = plan(&lab, resources);
    assert_eq!(
        plan.changes().iter().find(|change| change.address == at("host_firewall.gw")).unwrap().verb,
        Verb::Unknown
    );
    check(
        &format!("{}{}", lab.graph(&plan), notes(&plan)),
        r#"
1 instance.a run
2 instance.a await running
    after 1: the same object
3 instance.b run
4 instance.b await running
    after 3: the same object
5 load_balancer.front create
6 load_balancer.front set health check
    after 5: the same object
7 load_balancer.front set attributes
    after 6: the same object
8 load_balancer.front register: instance.b
    after 4: needs instance.b
    after 7: the same object
9 load_balancer.front await in service: instance.b
    after 4: needs instance.b
    after 8: the same object
    after 10: host_firewall.gw lets it in first
10 host_firewall.gw reach
Unknown host_firewall.gw: root@gw.example.com could not be reached, and nothing is planned for it: no route to host
"#,
    );
    let outcome = super::apply_on(&lab.sim, &plan, 4);
    check(
        &lab.named(&super::trouble(&plan, &outcome).join("\n")),
        r#"
#9 await in service load_balancer.front: Skipped { because: StepId(9) }
#10 reach host_firewall.gw: Failed(ProviderError { class: Transient, doing: "host:Reach for `host_firewall.gw`", code: Some("HostUnreachable"), request_id: None, detail: "no route to host", hint: None, ambiguous: false })
"#,
    );
}

/// Three machines that nobody of the stack owns, and a region that answers or not.
fn elsewhere(lab: &Lab, answers: bool) {
    let region = Region::new("ap-south-1").unwrap();
    lab.sim.meddle(|world| {
        if world.region(&region).objects().count() < 2 {
            let mut other = stack(vec![("instance.x", box_()), ("instance.y", box_()), ("instance.z", box_())]);
            other.name = crate::model::StackName::new("other").unwrap();
            for desired in other.resources.values_mut() {
                desired.common.region = region.clone();
            }
            other.regions = [region.clone()].into();
            let sim = std::sync::Arc::new(crate::provider::sim::Sim::in_memory(world.clone()));
            let (plan, _) = super::plan_on(sim.as_ref(), &other, &policy());
            assert!(super::apply_on(&sim, &plan, 4).complete());
            *world = sim.world();
        }
        world.region_mut(&region).set_unavailable((!answers).then(|| "timed out".to_owned()));
    });
}

#[test]
fn a_region_that_cannot_be_listed_keeps_its_addresses_and_says_so() {
    let resources = || -> Resources { vec![("host_firewall.gw", gate(vec![query(&[])]))] };
    let lab = Lab::new();
    elsewhere(&lab, false);
    let first = plan(&lab, resources());
    let partial = Policy { accepted: Accepted { partial: true, ..Accepted::default() }, ..policy() };
    let (went_on, _) = super::plan_on(lab.sim.as_ref(), &site(resources()), &partial);
    assert_eq!((went_on.refusals(), went_on.is_empty()), ([].as_slice(), false));
    elsewhere(&lab, true);
    lab.apply(&site(resources()));
    elsewhere(&lab, false);
    let later = Policy { now: "2026-06-03T00:00:00Z".parse().unwrap(), ..policy() };
    let (kept, _) = super::plan_on(lab.sim.as_ref(), &site(resources()), &later);
    let strict = Policy { accepted: Accepted { nothing_kept: true, ..Accepted::default() }, ..policy() };
    let (refused, _) = super::plan_on(lab.sim.as_ref(), &site(resources()), &strict);
    let told = |plan: &Plan| format!("{}{}", super::spec::refusals(plan), notes(plan));
    check(
        &format!("{}{}{}{}", told(&first), kept.is_empty(), told(&kept), told(&refused)),
        r#"
refused host_firewall.gw (Guard): ap-south-1 could not be listed, and `fleet` was never open to it: timed out
    hint: try again; take the region out of the query; or go on without it by `--accept partial`
Create host_firewall.gw: what the rules are about, from everybody else, is dropped from now on
trueNoOp host_firewall.gw: 3 addresses of ap-south-1 kept, written 2 days ago, as it could not be listed: timed out
NoOp host_firewall.gw: the addresses of ap-south-1 are older than `stale_after` (24h): some may be a stranger's by now
refused host_firewall.gw (Guard): ap-south-1 could not be listed, and `--strict` lets no address stay unseen: timed out
    hint: try again, or leave `--strict` out
"#,
    );
}

#[test]
fn more_addresses_than_may_vanish_at_once_are_refused() {
    let lab = Lab::new();
    elsewhere(&lab, true);
    let here: Vec<&str> = vec!["instance.a", "instance.b", "instance.c", "instance.d"];
    let mut resources: Resources = here.iter().map(|name| (*name, box_())).collect();
    resources.push(("host_firewall.gw", gate(vec![query(&here)])));
    lab.apply(&site(resources));
    // A filter that asks for nothing any more.
    let none = |want: Desired| {
        host(
            |want| {
                for source in want.rules.iter_mut().flat_map(|rule| &mut rule.from) {
                    if let Source::Query { query, own: _ } = source {
                        query.tags = [("role".to_owned(), "slip".to_owned())].into();
                    }
                }
            },
            want,
        )
    };
    let mut resources: Resources = here.iter().map(|name| (*name, box_())).collect();
    resources.push(("host_firewall.gw", none(gate(vec![query(&here)]))));
    let refused = plan(&lab, resources.clone());
    let shrink = Policy { accepted: Accepted { shrink: true, ..Accepted::default() }, ..policy() };
    let (accepted, _) = super::plan_on(lab.sim.as_ref(), &site(resources), &shrink);
    assert_eq!(accepted.refusals(), []);
    check(
        &super::spec::refusals(&refused),
        r#"
refused host_firewall.gw (Guard): 7 of the 7 addresses that regions gave `fleet` would go at once, and `max_shrink` is 50%
    hint: look whether the query still asks for the right instances; if this is meant, say `--accept shrink`
"#,
    );
}

#[test]
fn whoever_carries_it_out_is_not_locked_out() {
    let lab = Lab::new();
    let closed = |edit: fn(&mut host_firewall::Desired)| -> Resources {
        let only = |want: &mut host_firewall::Desired| {
            want.rules.retain(|rule| rule.key != RuleKey::Always(1));
            want.settings.mode = Mode::Deny;
            edit(want);
        };
        vec![("host_firewall.gw", host(only, gate(vec![Source::Network("203.0.113.0/24".parse().unwrap())])))]
    };
    let refused = plan(&lab, closed(|_| {}));
    let accepts = Policy { accepted: Accepted { lockout: true, ..Accepted::default() }, ..policy() };
    let (accepted, _) = super::plan_on(lab.sim.as_ref(), &site(closed(|_| {})), &accepts);
    assert_eq!(accepted.refusals(), []);
    let outcome = super::apply_on(&lab.sim, &accepted, 4);
    let unconfirmed = |want: &mut host_firewall::Desired| want.confirm_within = Some(Seconds(0));
    let (at_once, _) = super::plan_on(lab.sim.as_ref(), &site(closed(unconfirmed)), &accepts);
    let told = format!(
        "{}{}\n{}",
        super::spec::refusals(&refused),
        super::trouble(&accepted, &outcome).join("\n"),
        super::spec::refusals(&at_once)
    );
    check(
        &told,
        r#"
refused host_firewall.gw (Lockout): this would lock out whoever carries it out: 192.0.2.10 to port 22 would be dropped
    hint: open it in `always_allow`; or accept it with `--accept lockout`: unconfirmed it is taken back
#1 change host_firewall.gw: Failed(ProviderError { class: TimedOut, doing: "host:EditRules for `host_firewall.gw`", code: Some("RolledBack"), request_id: None, detail: "the change was taken back, and the host is as it was: it did not answer over a new connection", hint: None, ambiguous: false })
refused host_firewall.gw (Lockout): 192.0.2.10 to port 22 would be dropped, and `confirm_within` is 0s: nothing would take the change back
    hint: let the change be confirmed (`commit = { confirm_within = "60s" }`), or open it in `always_allow`
"#,
    );
    assert_eq!(lab.sim.world().breaches(), [""; 0]);
}

#[test]
fn a_destroy_takes_the_gateways_rules_away_before_the_machines() {
    let resources: Resources = vec![("instance.a", box_()), ("host_firewall.gw", gate(vec![query(&["instance.a"])]))];
    let lab = Lab::new();
    lab.apply(&site(resources.clone()));
    let policy = Policy { goal: Goal::Destroy, ..policy() };
    let (plan, _) = super::plan_on(lab.sim.as_ref(), &site(resources), &policy);
    check(
        &format!("{}{}", lab.graph(&plan), notes(&plan)),
        r#"
1 instance.a terminate
    after 3: host_firewall.gw shuts it out first
2 instance.a await terminated
    after 1: the same object
3 host_firewall.gw withdraw
Delete instance.a: i-ca188d8d4df59eb72 is terminated
Delete host_firewall.gw: root@gw.example.com is open then to whatever the rules of others let in
"#,
    );
    assert!(super::apply_on(&lab.sim, &plan, 4).complete());
    assert_eq!(lab.sim.world().breaches(), [""; 0]);
    assert!(lab.sim.world().host(&target().id()).unwrap().stacks.is_empty());
}

#[test]
fn an_absent_firewall_is_taken_away() {
    let lab = Lab::new();
    lab.apply(&site(vec![("host_firewall.gw", gate(Vec::new()))]));
    let key = || vec![("key_pair.k", super::spec::key())];
    lab.apply(&site(key()));
    assert!(lab.sim.world().host(&target().id()).unwrap().stacks.is_empty());
}

#[test]
fn a_destroy_says_which_host_it_could_not_reach() {
    let resources = || -> Resources { vec![("host_firewall.gw", gate(Vec::new()))] };
    let lab = Lab::new();
    lab.apply(&site(resources()));
    lab.sim.meddle(|world| world.host_mut(&target().id()).unreachable = Some("no route to host".to_owned()));
    let policy = Policy { goal: Goal::Destroy, ..policy() };
    let (plan, _) = super::plan_on(lab.sim.as_ref(), &site(resources()), &policy);
    check(
        &format!("{}{}", lab.graph(&plan), notes(&plan)),
        r#"
1 host_firewall.gw reach
Unknown host_firewall.gw: root@gw.example.com could not be reached, and whether anything of ours stands there is not known: no route to host
"#,
    );
    assert!(!super::apply_on(&lab.sim, &plan, 4).complete());
}

#[test]
fn a_renamed_firewall_says_what_it_was_called() {
    let lab = Lab::new();
    lab.apply(&site(vec![("host_firewall.gw", gate(Vec::new()))]));
    let renamed = |previously: Option<&str>| {
        let mut want = gate(vec![Source::Network("203.0.113.0/24".parse().unwrap())]);
        want.common.previously = previously.map(|name| crate::model::Name::written(name).unwrap());
        Stack { hosts: [(at("host_firewall.door"), target())].into(), ..stack(vec![("host_firewall.door", want)]) }
    };
    let (refused, _) = super::plan_on(lab.sim.as_ref(), &renamed(None), &policy());
    check(
        &super::spec::refusals(&refused),
        r#"
refused (Guard): the spec shares no address with what stack `shop` owns, and all 1 of its objects would go
    hint: if two specs use one stack name, rename one; if this is meant, say `--replace-stack`; to add only, `--no-prune`
refused host_firewall.door (Taken): the rules on root@gw.example.com are those of `host_firewall.gw`
    hint: if that is the name this firewall had before, write `previously = "gw"`
"#,
    );
    lab.apply(&renamed(Some("gw")));
    let world = lab.sim.world();
    let stand = world.host(&target().id()).unwrap().stacks.values().next().unwrap();
    assert_eq!(stand.tags.get(crate::model::tags::ADDRESS).map(String::as_str), Some("host_firewall.door"));
    assert_eq!(stand.tags.get(crate::model::tags::GENERATION).map(String::as_str), Some("1"));
}

/// How the changes of a plan's hosts are made sure of.
fn commits(plan: &Plan) -> Vec<Commit> {
    let commits = plan.steps().iter().filter_map(|step| match &step.call.action {
        Action::HostFirewall(host_firewall::Action::Edit(change)) => Some(change.commit),
        _ => None,
    });
    commits.collect()
}

#[test]
fn what_no_rule_says_is_changed_with_care_though_others_decide_about_the_rest() {
    let open = |edit: fn(&mut host_firewall::Desired)| -> Resources {
        let allow = |want: &mut host_firewall::Desired| {
            want.settings.mode = Mode::Allow;
            want.backend = Some(Backend::Iptables);
            edit(want);
        };
        vec![("host_firewall.gw", host(allow, gate(Vec::new())))]
    };
    let confirmed = vec![Commit::Within(Seconds(60))];
    let lab = Lab::new();
    assert_eq!(commits(&plan(&lab, open(|_| {}))), [Commit::AtOnce], "it only adds");
    lab.apply(&site(open(|_| {})));
    // Connections that stand may be all that somebody has, and so may a rule that was added by hand.
    assert_eq!(commits(&plan(&lab, open(|want| want.settings.established = Established::Cut))), confirmed);
    let from_elsewhere = open(|want| want.attach = Attach::Chain("DOCKER-USER".to_owned()));
    assert_eq!(commits(&plan(&lab, from_elsewhere)), confirmed);
    lab.sim.meddle(|world| {
        let stands = world.host_mut(&target().id()).stacks.values_mut();
        stands.for_each(|stand| stand.edited.push("-s 192.0.2.10/32 -j ACCEPT".to_owned()));
    });
    assert_eq!(commits(&plan(&lab, open(|_| {}))), confirmed);
}
