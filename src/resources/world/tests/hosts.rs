//! Hosts: what calls to them do, what they refuse, and what holds whatever is done.

use super::{Known, at, owned};
use crate::model::duration::Seconds;
use crate::model::net::Ports;
use crate::model::text::Part;
use crate::model::{Address, AddressSet, CloudId, Family, Output, Region, StackName, TagEdit, Tags, Target};
use crate::resources::host_firewall::action::{Action as Act, Attach, Change, Commit, ROLLED_BACK};
use crate::resources::host_firewall::host::{Backend, Boot, Jump, Observed, Pending};
use crate::resources::host_firewall::packet::{Chain, Match, Rule as Theirs, Then};
use crate::resources::host_firewall::ruleset::{
    Addition, Edit, Held, Mode, Origin, Removal, Rule, RuleKey, Settings, TCP, Traffic,
};
use crate::resources::registry::{Action, Body, Call};
use crate::resources::world::{Outputs, World, WorldError};

mod laws;

const AT: &str = "host_firewall.gw";
const SSH: &str = "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT";

/// A world of hosts, with what calls have given so far.
#[derive(Debug, Default)]
struct Hosts {
    world: World,
    known: Known,
}

fn gateway() -> Target {
    Target::Ssh { user: Some("root".to_owned()), host: "gw.example.com".to_owned(), port: None, sudo: false }
}

fn shop() -> StackName {
    StackName::new("shop").unwrap()
}

fn call(action: Act) -> Call {
    let on = Some(gateway().id());
    Call { at: at(AT), region: Region::hosts(), on, action: Action::HostFirewall(action), timeout: Seconds(120) }
}

fn set(nets: &[&str]) -> AddressSet {
    nets.iter().map(|net| net.parse().unwrap()).collect()
}

/// A rule that accepts a TCP port from networks of the spec.
fn rule(name: &str, port: u16, nets: &[&str]) -> Rule {
    let mut rule = Rule::new(RuleKey::Named(name.to_owned()), Traffic::tcp(port));
    rule.sources.insert(Origin::Spec, Held { addresses: set(nets), seen: None });
    rule
}

fn put(rules: &[Rule], mode: Mode) -> Edit {
    Edit { settings: Some(Settings { mode, ..Settings::default() }), put: rules.to_vec(), ..Edit::default() }
}

fn change(backend: Backend, edit: Edit) -> Change {
    Change {
        target: gateway(),
        backend,
        attach: Attach::Input,
        tags: owned(AT),
        edit,
        adopt: Vec::new(),
        raise: false,
        commit: Commit::Within(Seconds(60)),
        persist: true,
    }
}

/// A rule of somebody else about a TCP port.
fn theirs(port: u16, then: Then) -> Theirs {
    let word = if then == Then::Accept { "ACCEPT" } else { "DROP" };
    let when = Match { protocol: Some(TCP), ports: vec![Ports { from: port, to: port }], ..Match::default() };
    Theirs { text: format!("-A INPUT -p tcp -m tcp --dport {port} -j {word}"), when, then, comment: None }
}

fn input(drops: bool, rules: Vec<Theirs>) -> Chain {
    Chain { table: "ip filter".to_owned(), name: "INPUT".to_owned(), priority: 0, drops, rules }
}

impl Hosts {
    fn step(&mut self, action: Act) -> Result<Outputs, WorldError> {
        let outputs = self.world.step(&call(action), &self.known)?;
        assert_eq!(self.world.audit(), Vec::<String>::new());
        Ok(outputs)
    }

    fn fine(&mut self, action: Act) {
        let outputs = self.step(action).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(outputs.get(&Output::Id), Some(&"root@gw.example.com".to_owned()));
        assert_eq!(self.world.breaches(), [""; 0]);
    }

    fn edit(&mut self, change: Change) {
        self.fine(Act::Edit(Box::new(change)));
    }

    /// The code with which a call is refused; it leaves no trace.
    /// Why a host that answers, or not, is not gone on with.
    fn reach(&mut self) -> String {
        self.step(Act::Reach { target: gateway() }).unwrap_err().code.to_string()
    }

    fn refused(&mut self, action: Act) -> &'static str {
        self.world.host_mut(&gateway().id());
        let before = self.world.host(&gateway().id()).cloned();
        let code = self.step(action).expect_err("is refused").code;
        assert_eq!(before.as_ref(), self.world.host(&gateway().id()));
        assert_eq!(self.world.breaches(), [""; 0]);
        code
    }

    fn seen_by(&mut self, stack: &StackName) -> (Tags, Observed) {
        let object = self.world.read_host(&gateway(), stack).expect("it answers");
        match object.body {
            Body::HostFirewall(body) => (object.tags, body),
            other => panic!("{other:?}"),
        }
    }

    fn seen(&mut self) -> Observed {
        self.seen_by(&shop()).1
    }

    fn host(&mut self) -> &mut crate::resources::host_firewall::sim::Host {
        self.world.host_mut(&gateway().id())
    }
}

#[test]
fn a_host_that_nobody_touched_is_a_debian() {
    let mut lab = Hosts::default();
    let (tags, seen) = lab.seen_by(&shop());
    assert_eq!((tags, seen.ours), (Tags::new(), None));
    assert_eq!(seen.facts.nft.as_deref(), Some("1.0.6"));
    assert_eq!(seen.facts.peer.map(|peer| (peer.address.to_string(), peer.port)), Some(("192.0.2.10".to_owned(), 22)));
    for target in [Target::Local { sudo: false }, Target::Command { argv: vec!["ip".to_owned(), "netns".to_owned()] }] {
        let object = lab.world.read_host(&target, &shop()).unwrap();
        let Body::HostFirewall(body) = object.body else { panic!("a host") };
        assert_eq!((object.id, body.facts.peer), (target.id(), None));
    }
    assert_eq!((lab.world.hosts().count(), lab.world.regions().count()), (0, 0), "who only looks leaves nothing");
}

#[test]
fn an_edit_stands_and_a_second_one_changes_nothing() {
    for backend in [Backend::Nftables, Backend::Iptables] {
        let mut lab = Hosts::default();
        let web = change(backend, put(&[rule("web", 80, &["10.0.0.0/8"])], Mode::Guard));
        lab.edit(web.clone());
        let (tags, seen) = lab.seen_by(&shop());
        let ours = seen.ours.expect("it stands");
        assert_eq!(tags, owned(AT));
        assert_eq!((ours.backend, ours.boot, ours.rules.addresses()), (backend, Boot::Current, 1));
        let jumps: Vec<Jump> = ours.jumps.values().copied().collect();
        assert_eq!(jumps, [Jump::After(0), Jump::After(0)]);
        let host = lab.host().clone();
        lab.edit(web);
        assert_eq!(*lab.host(), host);
        assert_eq!(lab.world.regions().count(), 0, "hosts are in no region");
    }
}

#[test]
fn addresses_come_from_earlier_steps_and_go() {
    let mut lab = Hosts::default();
    let key = RuleKey::Named("web".to_owned());
    let of: Address = at("instance.web");
    let hole = Part::Hole { address: of.clone(), output: Output::PublicIp };
    let add = vec![Addition { rule: key.clone(), origin: Origin::Spec, address: hole, seen: None }];
    let edit = Edit { add, ..put(&[Rule::new(key.clone(), Traffic::tcp(80))], Mode::Allow) };
    let open = Act::Edit(Box::new(change(Backend::Nftables, edit)));
    assert_eq!(lab.refused(open.clone()), "InvalidParameterValue");
    let told = |text: &str| Outputs::from([(Output::PublicIp, text.to_owned())]);
    lab.known.0.insert(of.clone(), told("198.51.100.7; flush ruleset"));
    assert_eq!(lab.refused(open.clone()), "InvalidParameterValue");
    lab.known.0.insert(of, told("198.51.100.7"));
    lab.fine(open);
    let held = |seen: Observed| seen.ours.map(|ours| ours.rules.addresses());
    assert_eq!(held(lab.seen()), Some(1));
    let addresses = set(&["198.51.100.7/32"]);
    let remove = vec![Removal { rule: key, origin: Origin::Spec, addresses, seen: None }];
    lab.edit(change(Backend::Nftables, Edit { remove, ..Edit::default() }));
    assert_eq!(held(lab.seen()), Some(0));
}

#[test]
fn a_change_that_would_lock_the_operator_out_is_taken_back() {
    for backend in [Backend::Nftables, Backend::Iptables] {
        let mut lab = Hosts::default();
        lab.edit(change(backend, put(&[rule("web", 80, &["10.0.0.0/8"])], Mode::Guard)));
        let shut = change(backend, put(&[rule("ssh", 22, &["10.0.0.0/8"])], Mode::Guard));
        assert_eq!(lab.refused(Act::Edit(Box::new(shut.clone()))), ROLLED_BACK);
        let mut open = shut.clone();
        open.edit.put = vec![rule("ssh", 22, &["192.0.2.0/24"])];
        lab.edit(open);

        let mut lab = Hosts::default();
        lab.step(Act::Edit(Box::new(Change { commit: Commit::AtOnce, ..shut }))).unwrap();
        assert!(matches!(lab.world.breaches(), [one] if one.contains("locked its own operator out")));
        let gone = lab.step(Act::Reach { target: gateway() }).expect_err("nobody gets in");
        assert_eq!(gone.code, "HostUnreachable");
        assert!(lab.world.read_host(&gateway(), &shop()).is_err_and(|why| why.contains("192.0.2.10")));
    }
}

#[test]
fn what_others_drop_counts_as_well() {
    let mut lab = Hosts::default();
    // Others let nobody in but by our chain.
    lab.host().facts.foreign.ipv4 = vec![input(true, vec![theirs(22, Then::Accept)])];
    lab.edit(change(Backend::Iptables, put(&[rule("ssh", 22, &["192.0.2.10/32"])], Mode::Allow)));
    let mut takes = change(Backend::Iptables, Edit::default());
    takes.adopt = vec![SSH.to_owned(), SSH.to_owned()];
    lab.edit(takes);
    let [chain] = lab.seen().facts.foreign.ipv4.try_into().expect("one chain");
    assert!(matches!(chain.rules.as_slice(), [Theirs { then: Then::Ours, .. }]), "{chain:?}");
    let withdraw = Act::Withdraw { target: gateway(), commit: Commit::Within(Seconds(60)) };
    assert_eq!(lab.refused(withdraw), ROLLED_BACK);
    // A table of our own cannot open what others drop, and so it cannot take over what opens it.
    let mut lab = Hosts::default();
    lab.host().facts.foreign.ipv4 = vec![input(true, vec![theirs(22, Then::Accept)])];
    let edit = put(&[rule("ssh", 22, &["192.0.2.10/32"])], Mode::Allow);
    let takes = Change { adopt: vec![SSH.to_owned()], ..change(Backend::Nftables, edit) };
    assert_eq!(lab.refused(Act::Edit(Box::new(takes))), ROLLED_BACK);
}

#[test]
fn adoption_deletes_as_many_as_it_names() {
    let mut lab = Hosts::default();
    let (twice, once) = (theirs(80, Then::Accept), theirs(443, Then::Accept));
    lab.host().facts.foreign.ipv4 = vec![input(false, vec![twice.clone(), once.clone(), twice.clone()])];
    let mut takes = change(Backend::Iptables, put(&[], Mode::Allow));
    takes.adopt = vec![twice.text.clone(), "-A INPUT -j GONE".to_owned()];
    lab.edit(takes);
    let left: Vec<String> = lab.host().foreign_texts().map(str::to_owned).collect();
    assert_eq!(left, [once.text, twice.text]);
}

#[test]
fn what_is_missing_is_refused() {
    let web = |backend| Act::Edit(Box::new(change(backend, put(&[rule("web", 80, &["10.0.0.0/8"])], Mode::Allow))));
    let mut lab = Hosts::default();
    lab.host().facts.nft = None;
    assert_eq!(lab.refused(web(Backend::Nftables)), "ToolMissing");
    lab.host().facts.ipset = None;
    assert_eq!(lab.refused(web(Backend::Iptables)), "ToolMissing");
    lab.edit(change(Backend::Iptables, put(&[], Mode::Allow)));
    let mut docker = change(Backend::Iptables, put(&[], Mode::Allow));
    docker.attach = Attach::Chain("DOCKER-USER".to_owned());
    assert_eq!(lab.refused(Act::Edit(Box::new(docker.clone()))), "ChainNotFound");
    for table in ["ip", "ip6"] {
        lab.host().facts.foreign.called.insert(format!("{table} filter DOCKER-USER"), Vec::new());
    }
    lab.edit(docker);
    let jumps: Vec<Jump> = lab.seen().ours.expect("it stands").jumps.into_values().collect();
    assert_eq!(jumps, [Jump::After(0), Jump::After(0)]);
    let tag = Act::Tag { edit: TagEdit::default() };
    assert_eq!(Hosts::default().refused(tag), "HostNotFound");
}

#[test]
fn a_change_of_somebody_else_that_waits_stops_all_others() {
    let mut lab = Hosts::default();
    lab.edit(change(Backend::Nftables, put(&[], Mode::Allow)));
    let until = "2026-01-01T00:00:00Z".parse().unwrap();
    lab.host().facts.pending = Some(Pending { id: "1".to_owned(), by: "ops".to_owned(), until });
    let edit = Act::Edit(Box::new(change(Backend::Nftables, Edit::default())));
    let withdraw = Act::Withdraw { target: gateway(), commit: Commit::AtOnce };
    for action in [edit, withdraw, Act::Tag { edit: TagEdit::default() }] {
        assert_eq!(lab.refused(action), "CommitPending");
    }
    assert_eq!(lab.refused(Act::Reach { target: gateway() }), "HostAnswers");
}

#[test]
fn a_host_comes_back_after_so_many_attempts() {
    let mut lab = Hosts::default();
    lab.host().unreachable = Some("no route to host".to_owned());
    assert_eq!(lab.reach(), "HostUnreachable");
    lab.host().unreachable_for = Some(2);
    assert_eq!(lab.world.read_host(&gateway(), &shop()), Err("no route to host".to_owned()));
    assert_eq!(lab.reach(), "HostUnreachable");
    assert_eq!(lab.reach(), "HostAnswers");
    assert_eq!(lab.host().unreachable, None);
}

#[test]
fn another_writer_pushes_our_jump_down_and_loses_nothing() {
    let mut lab = Hosts::default();
    lab.host().writer = Some(theirs(25, Then::Drop));
    lab.edit(change(Backend::Iptables, put(&[], Mode::Allow)));
    assert_eq!(lab.reach(), "HostAnswers");
    assert_eq!(lab.reach(), "HostAnswers");
    let jump = |lab: &mut Hosts| lab.seen().ours.and_then(|ours| ours.jumps.get(&Family::Ipv4).copied());
    assert_eq!(jump(&mut lab), Some(Jump::After(2)));
    lab.edit(change(Backend::Iptables, Edit::default()));
    assert_eq!(jump(&mut lab), Some(Jump::After(3)), "nobody leap-frogs");
    lab.edit(Change { raise: true, ..change(Backend::Iptables, Edit::default()) });
    assert_eq!((jump(&mut lab), lab.host().foreign_texts().count()), (Some(Jump::After(0)), 5));
}

#[test]
fn a_boot_restores_what_was_kept() {
    let mut lab = Hosts::default();
    lab.edit(change(Backend::Iptables, put(&[rule("web", 80, &["10.0.0.0/8"])], Mode::Allow)));
    let kept = lab.host().clone();
    let boot = |lab: &mut Hosts| lab.seen().ours.map(|ours| ours.boot);
    lab.host().stacks.get_mut(&shop()).unwrap().rules.rules.clear();
    assert_eq!(boot(&mut lab), Some(Boot::Other));
    lab.world.reboot(&gateway().id());
    assert_eq!(*lab.host(), kept);
    let edit = TagEdit { set: Tags::from([("portcullis:keep".to_owned(), "true".to_owned())]), ..TagEdit::default() };
    lab.fine(Act::Tag { edit });
    assert_eq!(boot(&mut lab), Some(Boot::Current), "the marker is kept as well");
    let passing = Change { persist: false, ..change(Backend::Iptables, Edit::default()) };
    lab.edit(passing);
    assert_eq!(boot(&mut lab), Some(Boot::Nothing));
    lab.world.reboot(&gateway().id());
    assert_eq!((lab.seen().ours, lab.world.audit()), (None, Vec::new()));
}

#[test]
fn two_stacks_do_not_see_each_other_as_their_own() {
    let other = StackName::new("other").unwrap();
    let theirs = Tags::from([("portcullis:stack".to_owned(), "other".to_owned())]);
    for backend in [Backend::Nftables, Backend::Iptables] {
        let mut lab = Hosts::default();
        let web = put(&[rule("web", 80, &["10.0.0.0/8"])], Mode::Guard);
        lab.edit(change(backend, put(&[rule("ssh", 22, &["192.0.2.0/24"])], Mode::Guard)));
        let tags: Tags = owned(AT).into_iter().chain(theirs.clone()).collect();
        lab.edit(Change { tags, ..change(backend, web) });
        let (mine, seen) = lab.seen_by(&shop());
        let text = serde_json::to_string(&seen.facts.foreign).unwrap();
        assert_eq!(mine, owned(AT));
        assert!(text.contains("\"web\"") && !text.contains("\"ssh\""), "{text}");
        // On whose behalf a call is made is said by nobody: both have rules for this address.
        assert_eq!(lab.refused(Act::Tag { edit: TagEdit::default() }), "HostNotFound");
        lab.fine(Act::Withdraw { target: gateway(), commit: Commit::AtOnce });
        assert!(lab.seen_by(&other).1.ours.is_some() && lab.seen().ours.is_some());
    }
}

#[test]
fn the_audit_sees_what_cannot_be() {
    for (text, why) in [
        (serde_json::json!({ "unreachable_for": 2 }), "does not say why"),
        (
            serde_json::json!({ "stacks": { "shop": { "tags": {}, "backend": "nftables", "rules": {
            "settings": { "mode": "allow", "established": "keep", "families": ["ipv4"] } } } } }),
            "do not say so",
        ),
        (
            serde_json::json!({ "facts": { "foreign": { "ipv4": [{ "table": "ip filter", "name": "INPUT", "rules": [
            { "text": "-A INPUT -j portcullis-shop", "then": { "jump": "portcullis-shop" } }] }] } } }),
            "is not there",
        ),
        (
            serde_json::json!({ "facts": { "foreign": { "ipv4": [{ "table": "ip filter", "name": "INPUT", "rules": [
            { "text": "-A INPUT -j DOCKER", "then": { "jump": "DOCKER" } }] }] } } }),
            "`ip filter DOCKER`",
        ),
        (
            serde_json::json!({ "facts": { "foreign": { "ipv6": [{ "table": "inet x", "name": "y" }] } } }),
            "both families",
        ),
        (
            serde_json::json!({ "facts": { "foreign": { "ipv6": [{ "table": "ip filter", "name": "INPUT" }] } } }),
            "ipv6",
        ),
    ] {
        let file = serde_json::json!({ "format_version": 1, "hosts": { "root@gw.example.com": text } });
        let world: World = serde_json::from_value(file).unwrap();
        assert!(matches!(world.audit().as_slice(), [one] if one.contains(why)), "{why}: {:?}", world.audit());
    }
    let file = serde_json::json!({ "format_version": 1, "regions": { "hosts": {} } });
    assert!(serde_json::from_value::<World>(file).is_err());
    let unknown = CloudId::new("nobody");
    World::default().reboot(&unknown);
}
