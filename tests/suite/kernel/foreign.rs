//! What others have on the way in: it is understood as far as it goes, and never touched.

use std::net::IpAddr;

use portcullis::model::{Family, Tags};
use portcullis::resources::host_firewall::host::Backend;
use portcullis::resources::host_firewall::packet::{Fate, Foreign, Packet, Then};
use portcullis::resources::host_firewall::ruleset::Ruleset;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::{BACKENDS, everything, make, names, random, read, same};
use crate::support::netns::Netns;

/// What docker and fail2ban make, as far as it matters here.
const OTHERS: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n:f2b-sshd - [0:0]\n\
    -A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd\n\
    -A INPUT -i lo -j ACCEPT\n\
    -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
    -A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"it's \\\"ssh\\\"\" -j ACCEPT\n\
    -A INPUT -p tcp -m tcp --dport 80 -m limit --limit 3/min -j ACCEPT\n\
    -A INPUT -p tcp -m tcp --dport 81 ! -s 10.0.0.1/32 -j ACCEPT\n\
    -A INPUT -s 10.1.0.0/16 -p tcp -m tcp --dport 8000:8010 -g DOCKER-USER\n\
    -A FORWARD -j DOCKER-USER\n\
    -A DOCKER-USER -m mark --mark 0x1 -j RETURN\n\
    -A DOCKER-USER -p tcp -j ACCEPT\n\
    -A f2b-sshd -s 203.0.113.5/32 -j REJECT --reject-with icmp-port-unreachable\n\
    -A f2b-sshd -j RETURN\nCOMMIT\n";

/// A table of nftables, with what nft alone can say.
const NATIVE: &str = "table inet site {\n set bad {\n  type ipv4_addr\n  flags interval\n  elements = { 198.51.100.0/24 }\n }\n\
    map ports {\n  type inet_service : verdict\n  elements = { 9000 : drop }\n }\n\
    chain in {\n  type filter hook input priority 10; policy accept;\n  ip saddr @bad drop\n  jump more\n }\n\
    chain more {\n  meta nfproto ipv6 tcp dport { 443, 8443 } reject\n  ct state invalid drop\n  ip saddr 192.0.2.0/24 tcp dport vmap @ports\n }\n}\n";

fn set_up() -> Netns {
    let netns = Netns::new();
    netns.must(&["iptables-nft-restore"], OTHERS);
    netns.must(&["ip6tables-nft-restore"], "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n");
    netns.must(&["nft", "-f", "-"], NATIVE);
    netns
}

#[test]
fn what_others_have_is_never_touched() {
    let netns = set_up();
    let saved = |tool: &str| {
        let text = netns.must(&[tool], "");
        let kept = text.lines().filter(|line| !line.starts_with('#') && !line.contains(&names().chain()));
        kept.collect::<Vec<_>>().join("\n")
    };
    let native = || netns.must(&["nft", "list", "table", "inet", "site"], "");
    let before = (saved("iptables-nft-save"), saved("ip6tables-nft-save"), native());
    let clean = everything(&netns);
    let mut runner = TestRunner::deterministic();
    for backend in BACKENDS {
        for _ in 0..4 {
            let rules = random::rulesets().new_tree(&mut runner).expect("rules").current();
            // fail2ban bans meanwhile, at the top.
            netns.must(&["iptables-nft", "-I", "INPUT", "1", "-s", "192.0.2.9", "-j", "DROP"], "");
            make(&netns, backend, &rules, &Tags::new());
            netns.must(&["iptables-nft", "-D", "INPUT", "-s", "192.0.2.9", "-j", "DROP"], "");
            let now = (saved("iptables-nft-save"), saved("ip6tables-nft-save"), native());
            assert_eq!(now, before);
        }
        netns.apply(&read(&netns).change(backend, None, &[]));
        same(&everything(&netns), &clean, "nothing of ours is left");
    }
}

#[test]
fn another_program_that_writes_all_the_time_loses_nothing_and_we_neither() {
    let netns = set_up();
    let before = netns.must(&["iptables-nft-save"], "");
    let mut runner = TestRunner::deterministic();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..60 {
                let source = format!("192.0.2.{number}");
                netns.must(&["iptables-nft", "-w", "10", "-I", "INPUT", "1", "-s", &source, "-j", "DROP"], "");
            }
        });
        while !writer.is_finished() {
            let mut rules = random::rulesets().new_tree(&mut runner).expect("rules").current();
            rules.settings.families = Family::ALL.into();
            make(&netns, Backend::Iptables, &rules, &Tags::new());
        }
    });
    let saved = netns.must(&["iptables-nft-save"], "");
    let count = |what: &str| saved.lines().filter(|line| line.starts_with("-A INPUT") && line.contains(what)).count();
    assert_eq!((count("-s 192.0.2."), count(&names().chain())), (60, 1), "{saved}");
    let kept = |line: &&str| saved.lines().any(|other| other == *line);
    assert!(before.lines().filter(|line| line.starts_with('-')).all(|line| kept(&line)), "{saved}");
}

fn fate(foreign: &Foreign, source: &str, port: u16) -> Fate {
    foreign.fate(&Packet::tcp(source.parse::<IpAddr>().expect("an address"), port), Fate::FALLS)
}

#[test]
fn what_others_have_is_understood() {
    let foreign = read(&set_up()).foreign;
    assert_eq!(foreign.doubts, Vec::<String>::new());
    let either = Fate { passes: true, drops: true, falls: false };
    let cases = [
        ("203.0.113.5", 22, Fate::DROPS),
        ("203.0.113.6", 22, Fate::PASSES),
        ("198.51.100.7", 22, Fate::DROPS),
        ("203.0.113.6", 80, either),
        ("203.0.113.6", 81, either),
        ("203.0.113.6", 82, Fate::DROPS),
        ("10.1.2.3", 8005, either),
        ("10.2.2.3", 8005, Fate::DROPS),
        ("2001:db8::1", 8443, Fate::DROPS),
        ("2001:db8::1", 9000, Fate::PASSES),
        ("192.0.2.1", 22, either),
    ];
    for (source, port, expected) in cases {
        assert_eq!(fate(&foreign, source, port), expected, "{source} to {port}");
    }
    let rule = &foreign.ipv4[0].rules[3];
    assert_eq!(rule.comment.as_deref(), Some("it's \"ssh\""));
    assert!(foreign.called.contains_key("ip filter f2b-sshd") && foreign.called.contains_key("inet site more"));
}

#[test]
fn ours_is_known_among_the_others() {
    let netns = set_up();
    for (backend, table) in BACKENDS.into_iter().zip([names().table(), "filter".to_owned()]) {
        make(&netns, backend, &Ruleset::default(), &Tags::new());
        let foreign = read(&netns).foreign;
        for chains in [&foreign.ipv4, &foreign.ipv6] {
            let ours = chains.iter().filter(|chain| chain.rules.iter().any(|rule| rule.then == Then::Ours));
            let tables: Vec<&str> = ours.map(|chain| chain.table.as_str()).collect();
            assert!(tables.iter().any(|name| name.ends_with(&table)), "{tables:?}");
        }
        assert!(foreign.doubts.is_empty() && !foreign.called.keys().any(|name| name.contains("portcullis")));
        netns.apply(&read(&netns).change(backend, None, &[]));
    }
}

#[test]
fn what_iptables_does_not_list_faithfully_is_not_believed() {
    // Of each of these iptables 1.8.9 prints something else, or refuses the table.
    let rules = [
        "ip saddr @bad drop",
        "ct state invalid drop",
        "tcp dport { 80, 443 } drop",
        "ip saddr { 192.0.2.1, 192.0.2.2 } drop",
        "tcp dport vmap { 80 : drop }",
        "limit rate 3/second drop",
        "fib saddr type local drop",
        "meta skuid 0 drop",
        "ip saddr 192.0.2.1-192.0.2.6 drop",
        "th dport 80 drop",
        "ct mark 4 drop",
        "ip length 40 drop",
        "ip dscp 4 drop",
        "quota over 10 bytes drop",
        "tcp option maxseg exists drop",
        "@th,0,16 22 drop",
        "meta hour \"12:00\" drop",
        "ct state != new drop",
        "jhash ip saddr mod 2 0 drop",
        "meta iifgroup 1 drop",
    ];
    for rule in rules {
        let netns = Netns::new();
        netns.must(&["iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"], "");
        netns.must(&["nft", "add", "set", "ip", "filter", "bad", "{ type ipv4_addr; elements = { 192.0.2.1 }; }"], "");
        netns.must(&["nft", "add", "rule", "ip", "filter", "INPUT", rule], "");
        let foreign = read(&netns).foreign;
        // It may match or not, or it is certain that it does not: never that it drops everything.
        assert!(fate(&foreign, "192.0.2.7", 23).passes, "{rule}: {foreign:#?}");
        assert!(foreign.doubts.is_empty() || fate(&foreign, "192.0.2.7", 22).drops, "{rule}");
    }
    // And where iptables refuses to list a table, our chain in it is not taken for one that is gone.
    let netns = Netns::new();
    make(&netns, Backend::Iptables, &Ruleset::default(), &Tags::new());
    netns.must(
        &["nft", "add", "rule", "ip", "filter", "INPUT", "tcp", "dport", "{ 22, 80 }", "ct", "state", "new", "accept"],
        "",
    );
    let listing = netns.listing();
    let refused = listing.iptables.as_deref().is_some_and(|text| text.contains("incompatible"));
    let read = portcullis::resources::host_firewall::dialect::Reading::of(&names(), &listing);
    assert!(if refused { read.is_err() } else { !read.expect("a reading").foreign.doubts.is_empty() });
}

#[test]
fn reading_changes_nothing() {
    let netns = Netns::new();
    read(&netns);
    assert_eq!(netns.must(&["nft", "list", "tables"], ""), "");
    assert_eq!(netns.must(&["cat", "/proc/net/ip_tables_names"], ""), "");
}
