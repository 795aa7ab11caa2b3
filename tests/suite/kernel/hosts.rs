//! Reading and changing hosts through the port, in both dialects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use portcullis::model::duration::Seconds;
use portcullis::model::text::Part;
use portcullis::model::{AddressSet, Family, Output, Owner, Region, StackName, TagEdit, Tags, Target};
use portcullis::port::{Bindings, Class, Outputs, Provider, ProviderError, Scope, Script, Shell, ShellError};
use portcullis::provider::hosts::Hosts;
use portcullis::provider::shell::{AnyShell, Shells};
use portcullis::resources::host_firewall::action::{Attach, Change, Commit};
use portcullis::resources::host_firewall::host::{Backend, Boot};
use portcullis::resources::host_firewall::hosts::Host as Remote;
use portcullis::resources::host_firewall::ruleset::{
    Addition, Edit, Established, Held, Mode, Origin, Rule, RuleKey, Settings, Traffic,
};
use portcullis::resources::host_firewall::{Action, Observed};
use portcullis::resources::registry::{self, Body, Call, Object};

use crate::support::host::Host;

pub const BACKENDS: [Backend; 2] = [Backend::Nftables, Backend::Iptables];

/// One host behind a command, as a provider.
pub struct One {
    pub hosts: Arc<Hosts>,
    pub target: Target,
    pub said: Arc<Mutex<Vec<String>>>,
}

impl One {
    pub fn on(host: &Host) -> Self {
        Self::reached(host.target())
    }

    pub fn reached(target: Target) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let tell = Arc::new(move |text: &str| heard.lock().expect("a list").push(text.to_owned()));
        let stack = StackName::new("web").expect("a stack");
        let shells = Shells { allow_command: true };
        let hosts = Hosts::new(stack, [target.clone()], "a test".to_owned(), shells, tell);
        Self { hosts: Arc::new(hosts), target, said }
    }

    async fn object(&self) -> Object {
        self.hosts.read(&self.target).await.expect("a reading")
    }

    pub async fn observed(&self) -> Observed {
        match self.object().await.body {
            Body::HostFirewall(observed) => observed,
            other => panic!("{other:?}"),
        }
    }

    pub async fn perform(&self, action: Action, known: &Bindings) -> Result<Outputs, ProviderError> {
        let call = Call {
            at: "host_firewall.gw".parse().expect("an address"),
            region: Region::hosts(),
            on: Some(self.target.id()),
            action: registry::Action::HostFirewall(action),
            timeout: Seconds(60),
        };
        self.hosts.perform(&call, known).await
    }

    pub async fn edit(&self, change: Change) -> Result<Outputs, ProviderError> {
        self.perform(Action::Edit(Box::new(change)), &Bindings::default()).await
    }

    pub fn change(&self, backend: Backend, edit: Edit) -> Change {
        Change {
            target: self.target.clone(),
            backend,
            attach: Attach::Input,
            tags: owner().tags(),
            edit,
            adopt: Vec::new(),
            raise: false,
            commit: Commit::AtOnce,
            persist: false,
        }
    }
}

fn owner() -> Owner {
    Owner {
        stack: "web".to_owned(),
        address: "host_firewall.gw".parse().expect("an address"),
        generation: 1,
        origin: Some("https://example.com/x\"y $(id)".to_owned()),
    }
}

fn set(nets: &[&str]) -> AddressSet {
    nets.iter().map(|net| net.parse::<ipnet::IpNet>().expect("a network")).collect()
}

pub fn rule(name: &str, port: u16, nets: &[&str]) -> Rule {
    let held = Held { addresses: set(nets), seen: None };
    Rule {
        sources: BTreeMap::from([(Origin::Spec, held)]),
        ..Rule::new(RuleKey::Named(name.to_owned()), Traffic::tcp(port))
    }
}

fn guard() -> Settings {
    Settings { mode: Mode::Guard, established: Established::Keep, families: Family::ALL.into() }
}

pub fn put(rules: &[Rule]) -> Edit {
    Edit { settings: Some(guard()), put: rules.to_vec(), ..Edit::default() }
}

#[tokio::test]
async fn rules_are_made_changed_and_taken_away() {
    for backend in BACKENDS {
        let host = Host::new();
        let one = One::on(&host);
        let (before, object) = (host.filter(), one.object().await);
        assert!(object.owner().is_none() && object.region.is_hosts());
        let outputs = one.edit(one.change(backend, put(&[rule("ssh", 22, &["192.0.2.0/24", "2001:db8::/32"])]))).await;
        assert_eq!(outputs.expect("made")[&Output::Id], one.target.id().to_string());
        let object = one.object().await;
        assert_eq!(object.owner(), Some(owner()));
        let ours = one.observed().await.ours.expect("ours");
        assert_eq!((ours.backend, ours.boot, ours.edited.len()), (backend, Boot::Nothing, 0));
        assert_eq!(
            ours.rules.rules.values().next().expect("a rule"),
            &rule("ssh", 22, &["192.0.2.0/24", "2001:db8::/32"])
        );
        // The same again is nothing: the kernel's own count of changes stands still.
        let stands = host.filter();
        one.edit(one.change(backend, put(&[rule("ssh", 22, &["192.0.2.0/24"])]))).await.expect("nothing");
        assert_eq!(host.filter(), stands);
        // An address that a step before tells.
        let vip = "elastic_ip.vip".parse().expect("an address");
        let hole = Part::Hole { address: vip, output: Output::PublicIp };
        let add = Addition { rule: RuleKey::Named("ssh".to_owned()), origin: Origin::Spec, address: hole, seen: None };
        let edit = Edit { add: vec![add], ..Edit::default() };
        let unknown = one.edit(one.change(backend, edit.clone())).await.expect_err("nobody told it");
        assert_eq!(unknown.class, Class::Invalid);
        let mut known = Bindings::default();
        let told = Outputs::from([(Output::PublicIp, "198.51.100.7".to_owned())]);
        known.bind(&"elastic_ip.vip".parse().expect("an address"), told);
        one.perform(Action::Edit(Box::new(one.change(backend, edit))), &known).await.expect("an addition");
        assert_eq!(one.observed().await.ours.expect("ours").rules.addresses(), 3);
        // Tags are the marker's.
        let mut tags = Tags::new();
        tags.insert("portcullis:generation".to_owned(), "2".to_owned());
        let edit = TagEdit { set: tags, unset: [].into() };
        one.perform(Action::Tag { edit }, &Bindings::default()).await.expect("a marker");
        assert_eq!(one.object().await.owner().expect("an owner").generation, 2);
        let withdraw = Action::Withdraw { target: one.target.clone(), commit: Commit::AtOnce };
        one.perform(withdraw.clone(), &Bindings::default()).await.expect("gone");
        assert!(one.object().await.owner().is_none());
        if backend == Backend::Nftables {
            assert_eq!(host.filter(), before);
        }
        one.perform(withdraw, &Bindings::default()).await.expect("still gone");
    }
}

#[tokio::test]
async fn a_confirmed_change_is_what_a_boot_restores() {
    for backend in BACKENDS {
        let host = Host::new();
        let one = One::on(&host);
        let wanted = |rules: &[Rule]| Change {
            commit: Commit::Within(Seconds(600)),
            persist: true,
            ..one.change(backend, put(rules))
        };
        one.edit(wanted(&[rule("ssh", 22, &["192.0.2.0/24", "fd20::/64"])])).await.expect("made");
        let ours = one.observed().await.ours.expect("ours");
        assert_eq!(ours.boot, Boot::Current, "{backend}");
        let start = "nft -f /etc/nftables.conf && netfilter-persistent start";
        let host = host.restart();
        host.sh(start);
        let one = One::on(&host);
        let again = one.observed().await.ours.expect("ours again");
        assert_eq!(again, ours, "{backend}");
        // Somebody edits the file by hand.
        host.sh("for f in /etc/nftables.d/portcullis-web.nft /etc/portcullis/web.v4; do [ -e $f ] && echo '# x' >>$f; done; true");
        assert_eq!(one.observed().await.ours.expect("ours").boot, Boot::Other);
        let same = Change { target: one.target.clone(), ..wanted(&[]) };
        one.edit(same).await.expect("only the file");
        assert_eq!(one.observed().await.ours.expect("ours").boot, Boot::Current);
        let withdraw = Action::Withdraw { target: one.target.clone(), commit: Commit::Within(Seconds(600)) };
        one.perform(withdraw, &Bindings::default()).await.expect("gone");
        let host = host.restart();
        host.sh(start);
        assert!(One::on(&host).observed().await.ours.is_none());
    }
}

#[tokio::test]
async fn a_move_to_the_other_dialect_leaves_nothing_behind() {
    let host = Host::new();
    let one = One::on(&host);
    let rules = [rule("ssh", 22, &["192.0.2.0/24"])];
    for backend in [Backend::Nftables, Backend::Iptables, Backend::Nftables] {
        let change = Change { persist: true, ..one.change(backend, put(&rules)) };
        one.edit(change).await.expect("moved");
        let ours = one.observed().await.ours.expect("ours");
        assert_eq!((ours.backend, ours.boot, ours.rules.addresses()), (backend, Boot::Current, 1));
    }
    assert!(!host.sh("iptables-nft-save; ipset save").contains("ort"), "{}", host.sh("iptables-nft-save; ipset save"));
}

#[tokio::test]
async fn another_change_that_waits_is_named() {
    let host = Host::new();
    let one = One::on(&host);
    let first = super::commit::waiting_job();
    super::commit::apply(&host.shell(), &first).await;
    let error = one.edit(one.change(Backend::Nftables, put(&[rule("ssh", 22, &["192.0.2.1/32"])]))).await;
    let error = error.expect_err("another waits");
    assert_eq!((error.class, error.code.as_deref(), error.ambiguous), (Class::InUse, Some("CommitPending"), false));
    assert!(error.detail.contains("a test") && error.detail.contains("until 2"), "{error}");
    assert_eq!(one.observed().await.facts.pending.expect("it is seen").id, first.id);
}

#[tokio::test]
async fn rules_of_others_are_taken_over_though_somebody_is_faster() {
    for backend in [Backend::Iptables] {
        let host = Host::new();
        host.sh("for i in 1 2 3; do iptables-nft -A INPUT -s 192.0.2.$i -p tcp --dport 22 -m comment --comment \"EC2 - $i\" -j ACCEPT; done");
        let one = One::on(&host);
        let foreign = one.observed().await.facts.foreign;
        let adopt: Vec<String> = foreign.ipv4[0].rules.iter().map(|rule| rule.text.clone()).collect();
        assert_eq!(adopt.len(), 3);
        host.sh("iptables-nft -D INPUT -s 192.0.2.2 -p tcp --dport 22 -m comment --comment 'EC2 - 2' -j ACCEPT");
        let change = Change { adopt, ..one.change(backend, put(&[rule("ssh", 22, &["192.0.2.0/24"])])) };
        one.edit(change).await.expect("taken over");
        assert!(!host.sh("iptables-nft-save").contains("EC2"), "{backend}");
        assert_eq!(one.observed().await.ours.expect("ours").rules.addresses(), 1);
    }
}

#[tokio::test]
async fn one_host_that_does_not_answer_fails_alone() {
    let host = Host::new();
    let gone = Target::Command { argv: vec!["false".to_owned()] };
    let missing = Target::Command { argv: vec!["/no/such/program".to_owned()] };
    let stack = StackName::new("web").expect("a stack");
    let targets = [host.target(), gone.clone(), missing.clone()];
    let shells = Shells { allow_command: true };
    let hosts = Arc::new(Hosts::new(stack.clone(), targets.clone(), String::new(), shells, Arc::new(|_| {})));
    let named = ["host_firewall.a", "host_firewall.b", "host_firewall.c"].map(|at| at.parse().expect("an address"));
    let scope = Scope {
        stack: stack.clone(),
        regions: [].into(),
        all_regions: false,
        named: [].into(),
        reads: [].into(),
        fleet: [].into(),
        hosts: named.into_iter().zip(targets.clone()).collect(),
    };
    let seen = hosts.observe(&scope).await.expect("a snapshot");
    assert_eq!(seen.objects.len(), 1);
    assert_eq!(seen.unreached.keys().cloned().collect::<Vec<_>>(), [missing.id(), gone.id()]);
    let unasked = Arc::new(Hosts::new(stack, targets, String::new(), Shells::default(), Arc::new(|_| {})));
    let seen = unasked.observe(&scope).await.expect("a snapshot");
    assert!(seen.objects.is_empty() && seen.unreached.values().all(|why| why.contains("--allow-command")), "{seen:?}");
}

/// A way to a host on which new connections come about only when no change waits.
struct CutOff<'a> {
    shell: AnyShell,
    host: &'a Host,
}

impl Shell for CutOff<'_> {
    async fn run(&self, script: &Script) -> Result<Vec<u8>, ShellError> {
        self.shell.run(script).await
    }

    async fn run_anew(&self, script: &Script) -> Result<Vec<u8>, ShellError> {
        if self.host.try_sh("ls /run/portcullis/*/*/pending").0 {
            return Err(ShellError { reached: false, code: Some(255), detail: "Connection timed out".to_owned() });
        }
        self.shell.run_anew(script).await
    }
}

/// A way to a host on which the answer to every change is lost.
struct Deaf(AnyShell);

impl Shell for Deaf {
    async fn run(&self, script: &Script) -> Result<Vec<u8>, ShellError> {
        let answer = self.0.run(script).await;
        if script.doing.starts_with("changing") {
            return Err(ShellError { reached: true, code: None, detail: "no answer".to_owned() });
        }
        answer
    }

    async fn run_anew(&self, script: &Script) -> Result<Vec<u8>, ShellError> {
        self.0.run_anew(script).await
    }
}

/// Carries out a change by a shell of one's own.
async fn edit_through<S: Shell>(shell: &S, change: Change) -> Result<Outputs, ProviderError> {
    let (stack, target) = (StackName::new("web").expect("a stack"), change.target.clone());
    let host = Remote { shell, target: &target, stack: &stack, by: "a test", tell: &|_| {} };
    let action = Action::Edit(Box::new(change));
    let call = Call {
        at: "host_firewall.gw".parse().expect("an address"),
        region: Region::hosts(),
        on: None,
        action: registry::Action::HostFirewall(action.clone()),
        timeout: Seconds(60),
    };
    host.perform(&call, &action, &Bindings::default()).await
}

#[tokio::test]
async fn what_stood_before_comes_back_exactly() {
    for backend in BACKENDS {
        let host = Host::new();
        // A table of iptables that is empty stays when ours is gone from it, so both families have one before.
        host.sh(
            "ip6tables-nft -A INPUT -s 2001:db8::9 -j DROP
             iptables-nft -A INPUT -s 192.0.2.1 -m comment --comment 'EC2 - a' -j ACCEPT; iptables-nft -A INPUT -s 192.0.2.2 -j DROP
             iptables-nft -A INPUT -s 192.0.2.3 -m comment --comment 'EC2 - b' -j ACCEPT",
        );
        let one = One::on(&host);
        let rules = one.observed().await.facts.foreign.ipv4[0].rules.clone();
        let adopt: Vec<String> =
            rules.into_iter().filter(|rule| rule.comment.is_some()).map(|rule| rule.text).collect();
        assert_eq!(adopt.len(), 2);
        let (absent, of_others) = (one.observed().await, host.sh("iptables-nft-save -t filter | grep -e -A"));
        let cut = CutOff { shell: host.shell(), host: &host };
        let change = |name: &str, adopt: Vec<String>| Change {
            commit: Commit::Within(Seconds(1)),
            persist: true,
            adopt,
            ..one.change(backend, put(&[rule(name, 80, &["198.51.100.0/24"])]))
        };
        let error = edit_through(&cut, change("web", adopt)).await.expect_err("nobody can confirm");
        assert_eq!((error.code.as_deref(), error.ambiguous), (Some("RolledBack"), false), "{error}");
        assert!(error.detail.contains("Connection timed out"), "{error}");
        assert_eq!(one.observed().await, absent, "{backend}");
        assert_eq!(host.sh("iptables-nft-save -t filter | grep -e -A"), of_others, "{backend}");
        // And over rules of ours that stood.
        one.edit(Change { persist: true, ..one.change(backend, put(&[rule("ssh", 22, &["192.0.2.0/24"])])) })
            .await
            .expect("made");
        let stands = one.observed().await;
        edit_through(&cut, change("web", Vec::new())).await.expect_err("nobody can confirm");
        assert_eq!(one.observed().await, stands, "{backend}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again() {
    for backend in BACKENDS {
        for commit in [Commit::AtOnce, Commit::Within(Seconds(600))] {
            let host = Host::new();
            let one = One::on(&host);
            let change =
                Change { commit, persist: true, ..one.change(backend, put(&[rule("ssh", 22, &["192.0.2.0/24"])])) };
            edit_through(&Deaf(host.shell()), change).await.expect("it stands");
            let observed = one.observed().await;
            assert_eq!(observed.ours.expect("ours").boot, Boot::Current);
            assert_eq!(observed.facts.pending, None);
        }
    }
}
