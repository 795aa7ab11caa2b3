//! What the evaluator foretells, the kernel does: shown by connections over a wire, for random rules of ours and of others.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis::model::Tags;
use portcullis::resources::host_firewall::host::Backend;
use portcullis::resources::host_firewall::packet::{Fate, Packet};
use portcullis::resources::host_firewall::ruleset::{
    Held, Mode, Origin, Rule, RuleKey, Ruleset, Settings, TCP, Traffic, UDP,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::{BACKENDS, make, random, read};
use crate::support::netns::Netns;

/// How many random hosts per dialect.
const HOSTS: usize = 6;
const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/kernel/probe.py");
const PORTS: [&str; 4] = ["22", "80", "694", "8080"];
const SOURCES: [&str; 4] = ["10.77.0.1", "10.77.0.9", "fd77::1", "fd77::9"];

/// Rules about what is probed.
fn rulesets() -> impl Strategy<Value = Ruleset> {
    let port = select(PORTS.map(|port| port.parse::<u16>().expect("a port")).to_vec());
    let traffic = prop_oneof![
        6 => (any::<bool>(), vec(port, 0..3)).prop_map(|(tcp, ports)| {
            let traffics = ports.into_iter().map(Traffic::tcp).flat_map(|traffic| traffic.ports);
            Traffic { protocol: Some(if tcp { TCP } else { UDP }), ports: traffics.collect(), to: None }.normal()
        }),
        1 => Just(Traffic { protocol: None, ports: Vec::new(), to: None }),
    ];
    let nets = vec(select(vec!["10.77.0.1/32", "10.77.0.8/29", "fd77::1/128", "fd77::/64", "0.0.0.0/0", "::/0"]), 0..3);
    (random::settings(), vec((traffic, nets), 0..4)).prop_map(|(settings, rules)| {
        let mut made = Ruleset { settings, ..Ruleset::default() };
        for (number, (traffic, nets)) in (1..).zip(rules) {
            let mut rule = Rule::new(RuleKey::Always(number), traffic);
            let addresses = nets.iter().map(|net| net.parse::<IpNet>().expect("a network")).collect();
            rule.sources.insert(Origin::Spec, Held { addresses, seen: None });
            rule.sources.retain(|_, held| !held.addresses.is_empty());
            made.rules.insert(rule.key.clone(), rule);
        }
        made
    })
}

/// Rules of others for iptables, of one family.
fn others(v6: bool) -> impl Strategy<Value = String> {
    let (one, many) = if v6 { ("fd77::1/128", "fd77::/64") } else { ("10.77.0.1/32", "10.77.0.8/29") };
    let source = select(vec![String::new(), format!("-s {one} "), format!("-s {many} "), format!("! -s {one} ")]);
    let what = select(vec![
        "",
        "-p tcp ",
        "-p tcp -m tcp --dport 22 ",
        "-p udp -m multiport --dports 80,694 ",
        "-p tcp -m tcp --dport 80:8080 -m conntrack --ctstate NEW ",
        "-m conntrack --ctstate RELATED,ESTABLISHED ",
        "-i lo ",
        "-i wire -p tcp ",
        "-p tcp -m tcp --dport 8080 -m comment --comment \"-j ACCEPT\" ",
    ]);
    let target = select(vec!["ACCEPT", "DROP", "REJECT", "RETURN", "MINE", "LOG"]);
    let rules = vec((source, what, target), 0..5);
    (select(vec!["ACCEPT", "DROP"]), rules.clone(), rules).prop_map(|(policy, input, mine)| {
        let line = |chain: &str, (source, what, target): &(String, &str, &str)| {
            let target = if chain == *target { "RETURN" } else { target };
            format!("-A {chain} {source}{what}-j {target}")
        };
        let mut lines = vec!["*filter".to_owned(), format!(":INPUT {policy} [0:0]"), ":MINE - [0:0]".to_owned()];
        // The evaluator speaks of the first packet of a connection; who lets that in lets the others in, as everybody's rules do.
        lines.push(format!("-A INPUT {ESTABLISHED} -j ACCEPT"));
        lines.extend(input.iter().map(|rule| line("INPUT", rule)));
        lines.extend(mine.iter().map(|rule| line("MINE", rule)));
        lines.push("COMMIT\n".to_owned());
        lines.join("\n")
    })
}

/// What matches the packets of connections that stand.
const ESTABLISHED: &str = "-m conntrack --ctstate RELATED,ESTABLISHED";

/// A table of nftables.
fn natives() -> impl Strategy<Value = String> {
    let rule = select(vec![
        "ip saddr @some drop",
        "ip saddr 10.77.0.1 tcp dport { 22, 8080 } accept",
        "ip6 saddr fd77::9 udp dport 80-694 reject",
        "meta nfproto ipv4 meta l4proto tcp counter goto more",
        "tcp dport 22 ct state new accept",
        "iifname \"wire\" udp dport 694 accept",
        "ip saddr != 10.77.0.1 tcp dport 80 drop",
        "tcp dport vmap { 22 : accept, 80 : drop }",
        "jump more",
    ]);
    let more = select(vec!["tcp dport 8080 drop", "th dport 80 accept", "return", "counter"]);
    (select(vec!["accept", "drop"]), select(vec![-20, 0, 20]), vec(rule, 0..4), vec(more, 0..3)).prop_map(
        |(policy, priority, rules, more)| {
            format!(
                "table inet site {{\n set some {{\n  type ipv4_addr\n  elements = {{ 10.77.0.9 }}\n }}\n chain more {{\n  {}\n }}\n \
                 chain in {{\n  type filter hook input priority {priority}; policy {policy};\n  ct state established,related accept\n  {}\n }}\n}}\n",
                more.join("\n  "),
                rules.join("\n  ")
            )
        },
    )
}

/// What is asked: every source, protocol and port.
fn probes() -> Vec<(Packet, String)> {
    let mut probes = Vec::new();
    for source in SOURCES {
        let to = if source.contains(':') { "fd77::2" } else { "10.77.0.2" };
        for (protocol, word) in [(TCP, "tcp"), (UDP, "udp")] {
            for port in PORTS {
                let address: IpAddr = source.parse().expect("an address");
                let packet = Packet { source: address, protocol, port: port.parse().expect("a port") };
                probes.push((packet, format!("{source} {to} {word} {port}")));
            }
        }
    }
    probes
}

/// A client, and a server that answers on every probed port.
fn wired() -> (Netns, Netns) {
    let client = Netns::new();
    let mut server = Netns::new();
    client.connect(&server, &["10.77.0.9/24", "fd77::9/64"]);
    server.start(&[&["python3", PROBE, "serve"], &PORTS[..]].concat());
    (client, server)
}

/// What becomes of connections.
fn ask(client: &Netns, probes: &[&str]) -> Vec<String> {
    client.must(&["python3", PROBE, "ask"], &probes.join("\n")).lines().map(|line| line[..4].to_owned()).collect()
}

fn ssh_from(nets: &[&str], mode: Mode) -> Ruleset {
    let mut rule = Rule::new(RuleKey::Named("ssh".into()), Traffic::tcp(22));
    let addresses = nets.iter().map(|net| net.parse::<IpNet>().expect("a network")).collect();
    rule.sources.insert(Origin::Spec, Held { addresses, seen: None });
    let settings = Settings { mode, ..Settings::default() };
    Ruleset { settings, rules: [(rule.key.clone(), rule)].into() }
}

#[test]
fn denying_keeps_neighbour_discovery_and_a_family_without_sources_is_closed() {
    for backend in BACKENDS {
        let (client, server) = wired();
        make(&server, backend, &ssh_from(&["fd77::1/128", "10.77.0.1/32"], Mode::Deny), &Tags::new());
        // They have to find each other again.
        for netns in [&client, &server] {
            netns.must(&["ip", "neigh", "flush", "nud", "all", "dev", "wire"], "");
        }
        let probes = [
            "fd77::1 fd77::2 tcp 22",
            "fd77::1 fd77::2 tcp 80",
            "fd77::9 fd77::2 tcp 22",
            "10.77.0.1 10.77.0.2 tcp 22",
        ];
        assert_eq!(ask(&client, &probes), ["OPEN", "CLOS", "CLOS", "OPEN"], "{backend}");

        make(&server, backend, &ssh_from(&["10.77.0.0/24"], Mode::Guard), &Tags::new());
        let probes = ["fd77::1 fd77::2 tcp 22", "fd77::1 fd77::2 tcp 80", "10.77.0.9 10.77.0.2 tcp 22"];
        assert_eq!(ask(&client, &probes), ["CLOS", "OPEN", "OPEN"], "{backend}");
    }
}

#[test]
fn what_we_accept_is_not_rejected_by_a_last_rule_of_others() {
    let (client, server) = wired();
    let others = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
        -A INPUT -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n";
    server.must(&["iptables-nft-restore"], others);
    let probes = ["10.77.0.1 10.77.0.2 tcp 22", "10.77.0.9 10.77.0.2 tcp 22"];
    assert_eq!(ask(&client, &probes), ["CLOS", "CLOS"]);
    make(&server, Backend::Iptables, &ssh_from(&["10.77.0.1/32"], Mode::Allow), &Tags::new());
    assert_eq!(ask(&client, &probes), ["OPEN", "CLOS"]);
    // A table of our own cannot do that, and the evaluator knows.
    server.apply(&read(&server).change(Backend::Iptables, None, &[]));
    let rules = ssh_from(&["10.77.0.1/32"], Mode::Allow);
    make(&server, Backend::Nftables, &rules, &Tags::new());
    assert_eq!(ask(&client, &probes), ["CLOS", "CLOS"]);
    let packet = Packet::tcp("10.77.0.1".parse().expect("an address"), 22);
    assert_eq!(read(&server).foreign.fate(&packet, rules.fate(&packet)), Fate::DROPS);
}

#[test]
fn whenever_the_evaluator_is_certain_the_kernel_agrees() {
    let mut runner = TestRunner::new(proptest::test_runner::Config { failure_persistence: None, ..Default::default() });
    let (mut opened, mut closed) = (0, 0);
    for backend in BACKENDS {
        for host in 0..HOSTS {
            let (client, server) = wired();
            let mut draw = |strategy: BoxedStrategy<String>| strategy.new_tree(&mut runner).expect("a text").current();
            let texts = [draw(others(false).boxed()), draw(others(true).boxed()), draw(natives().boxed())];
            // Every other host has others' rules.
            if host % 2 == 1 {
                server.must(&["iptables-nft-restore"], &texts[0]);
                server.must(&["ip6tables-nft-restore"], &texts[1]);
                server.must(&["nft", "-f", "-"], &texts[2]);
            }
            let rules = rulesets().new_tree(&mut runner).expect("rules").current();
            make(&server, backend, &rules, &Tags::new());
            let foreign = read(&server).foreign;
            assert!(foreign.doubts.is_empty(), "{:?}", foreign.doubts);
            let asked = probes();
            let lines: Vec<&str> = asked.iter().map(|(_, line)| line.as_str()).collect();
            let answers = client.must(&["python3", PROBE, "ask"], &lines.join("\n"));
            for ((packet, line), answer) in asked.iter().zip(answers.lines()) {
                let ours =
                    if rules.settings.families.contains(&packet.family()) { rules.fate(packet) } else { Fate::FALLS };
                let fate = foreign.fate(packet, ours);
                let said = (fate.passes, fate.drops);
                let open = answer == "OPEN";
                assert!(
                    (open && said.0) || (!open && said.1),
                    "{backend}: {line} is {answer}, foretold was {fate:?}\n{rules:#?}\n{foreign:#?}\n{}",
                    texts.join("\n")
                );
                opened += u32::from(open && said == (true, false));
                closed += u32::from(!open && said == (false, true));
            }
        }
    }
    assert!(opened > 20 && closed > 20, "{opened} certainly open and {closed} certainly closed prove little");
}
