//! What is open by hand-written rules, and what a way between two states must not have.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::cover::{beyond, both};
use super::{Change, Net, Span, Whom};
use crate::model::net::{Icmp, Ports, Traffic};
use crate::model::{AddressSet, CloudId, TrafficSet};
use crate::resources::flow::{Filter, Grants, Machine, Party, Rules, Stance};

fn id(id: &str) -> CloudId {
    CloudId::new(id)
}

fn nets(nets: &[&str]) -> AddressSet {
    let read = |net: &&str| net.parse::<IpNet>().unwrap_or_else(|_| net.parse::<IpAddr>().unwrap().into());
    nets.iter().map(read).collect()
}

fn tcp(from: u16, to: u16) -> TrafficSet {
    Traffic::Tcp(Ports { from, to }).into()
}

/// Grants, written as `tcp 22-80 10.0.0.0/8`, `icmp 8 ::/0`, `all sg-a`, `udp 53-53 pl-1`.
fn grants(rules: &[&str]) -> Grants {
    let mut grants = Grants::default();
    for rule in rules {
        let words: Vec<&str> = rule.split(' ').collect();
        let ports = |text: &str| {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            Ports { from: from.parse().unwrap(), to: to.parse().unwrap() }
        };
        let traffic: Traffic = match words[0] {
            "all" => Traffic::All,
            "tcp" => Traffic::Tcp(ports(words[1])),
            "udp" => Traffic::Udp(ports(words[1])),
            "icmp" => Traffic::Icmp(Icmp { kind: words[1].parse().ok(), code: None }),
            other => Traffic::Number(other.parse().unwrap()),
        };
        match *words.last().unwrap() {
            group if group.starts_with("sg-") => grants.to_party(Party::Members(id(group)), &traffic.into()),
            list if list.starts_with("pl-") => grants.to_party(Party::Named(list.to_owned()), &traffic.into()),
            net => grants.to_networks(&nets(&[net]), traffic.into()),
        }
    }
    grants
}

fn rules(ingress: &[&str], egress: &[&str]) -> Stance {
    Stance::Rules(Rules { ingress: grants(ingress), egress: grants(egress) })
}

const OUT: &[&str] = &["all 0.0.0.0/0", "all ::/0"];

fn machine(groups: &[&str], address: &str) -> Stance {
    Stance::Machine(Machine {
        groups: groups.iter().map(|group| id(group)).collect(),
        addresses: nets(&[address]),
        listens: TrafficSet::all(),
    })
}

fn net(objects: &[(&str, Stance)]) -> Net {
    let mut net = Net::default();
    for (name, stance) in objects {
        net.set(&id(name), Some(stance.clone()));
    }
    net
}

/// What is wrong with a state, after these changed, in words.
fn look(start: &Net, here: &Net, end: &Net, changed: &[&str]) -> Vec<String> {
    let changed: BTreeSet<CloudId> = changed.iter().map(|name| id(name)).collect();
    let gaps = Span::new(start, end).look(here, &changed);
    let words = gaps.iter().map(|gap| {
        let what = if gap.change == Change::Opened { "open" } else { "closed" };
        let sure = if gap.certain { "" } else { " (perhaps)" };
        format!("{what}: {}{sure}", gap.words(ToString::to_string))
    });
    words.collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn grants_lie_within_others_or_not() {
    let none: &[&str] = &[];
    for (one, others, left) in [
        (&["tcp 22 10.0.0.0/8"][..], &[&["tcp 0-100 0.0.0.0/0"][..]][..], none),
        (&["tcp 22 10.0.0.0/8"], &[&["all 10.0.0.0/9"], &["tcp 22 10.128.0.0/9"]], none),
        (&["tcp 20-30 10.0.0.0/8"], &[&["tcp 20-25 10.0.0.0/8"]], &["tcp 26-30 10.0.0.0/8"]),
        (&["tcp 22 10.0.0.0/8"], &[&["udp 22 0.0.0.0/0"]], &["tcp 22 10.0.0.0/8"]),
        (&["tcp 22 ::/0"], &[&["all 0.0.0.0/0"]], &["tcp 22 ::/0"]),
        (&["icmp 8 0.0.0.0/0"], &[&["icmp * 0.0.0.0/0"]], none),
        (&["icmp * 0.0.0.0/0"], &[&["icmp 8 0.0.0.0/0"]], &["icmp types 0-7, icmp types 9-255 0.0.0.0/0"]),
        (&["50 0.0.0.0/0"], &[&["all 0.0.0.0/0"]], none),
        (&["tcp 1-9 sg-a"], &[&["tcp 1-5 sg-a"], &["tcp 6-9 sg-a"]], none),
        (&["tcp 1-9 sg-a"], &[&["tcp 1-9 sg-b", "all 0.0.0.0/0"]], &["tcp 1-9 members of sg-a"]),
        (&["tcp 1 pl-1"], &[&["tcp 1 pl-2"]], &["tcp 1 pl-1"]),
    ] {
        let others: Vec<Grants> = others.iter().map(|other| grants(other)).collect();
        let found = beyond(&grants(one), &others.iter().collect::<Vec<_>>());
        let words = found.map(|(traffic, whom)| match whom {
            Whom::Networks(networks) => format!("{traffic} {networks}"),
            Whom::Party(party) => format!("{traffic} {party}"),
            Whom::Machine(id) => format!("{traffic} {id}"),
        });
        assert_eq!(words.iter().map(String::as_str).collect::<Vec<_>>(), left, "{one:?} beyond {others:?}");
    }
    let shared = both(&grants(&["tcp 1-9 10.0.0.0/8", "all sg-a"]), &grants(&["tcp 5-20 10.0.0.0/9", "udp 1 sg-a"]));
    assert_eq!(shared, grants(&["tcp 5-9 10.0.0.0/9", "udp 1 sg-a"]));
}

#[test]
fn a_state_must_not_open_what_neither_end_allows_nor_close_what_both_allow() {
    let state = |ingress: &[&str]| {
        net(&[
            ("sg-a", rules(ingress, OUT)),
            ("i-1", machine(&["sg-a"], "10.0.0.1")),
            ("i-2", machine(&["sg-a"], "10.0.0.2")),
        ])
    };
    let changed = ["sg-a"];
    let (start, end) = (state(&["tcp 22 10.0.0.0/8"]), state(&["tcp 22 10.1.0.0/16", "tcp 443 0.0.0.0/0"]));
    // Members of one group are alike, and the first is told of.
    let closed = "closed: tcp 22 from 10.1.0.0/16 to i-1".to_owned();
    assert_eq!(look(&start, &state(&["tcp 443 0.0.0.0/0"]), &end, &changed), [closed]);
    let opened = "open: tcp 80 from sg-z to i-1".to_owned().replace("sg-z", "the members of sg-z");
    assert_eq!(look(&start, &state(&["tcp 22 10.1.0.0/16", "tcp 80 sg-z"]), &end, &changed), [opened]);
    let whole = state(&["tcp 22 10.0.0.0/8", "tcp 443 0.0.0.0/0"]);
    assert_eq!(look(&start, &whole, &end, &changed), [""; 0]);
    // Nobody is a member of a group: its rules let nobody in.
    let empty = |ingress: &[&str]| net(&[("sg-a", rules(ingress, OUT))]);
    assert_eq!(look(&empty(&[]), &empty(&["all 0.0.0.0/0"]), &empty(&[]), &changed), [""; 0]);
    // What may be sent is a flow, too.
    let sends = |egress: &[&str]| net(&[("sg-a", rules(&[], egress)), ("i-1", machine(&["sg-a"], "10.0.0.1"))]);
    let found = look(&sends(&["tcp 1 ::/0"]), &sends(&["all ::/0"]), &sends(&[]), &changed);
    assert_eq!(
        found,
        ["open: all traffic from i-1 to ::/0".to_owned()].map(|words| words
            .replace("all traffic", "protocol 0, protocols 1-5, tcp 0, tcp 2-65535, protocols 7-254, protocol 255"))
    );
}

#[test]
fn who_moves_must_not_meet_whom_neither_end_lets_it_meet() {
    let groups =
        [("sg-web", rules(&[], OUT)), ("sg-old", rules(&[], OUT)), ("sg-db", rules(&["tcp 5432 sg-web"], OUT))];
    let state = |x: &[&str], y: &[&str]| {
        let mut net = net(&groups);
        net.set(&id("i-x"), Some(machine(x, "10.0.0.1")));
        net.set(&id("i-y"), Some(machine(y, "10.0.0.2")));
        net
    };
    // i-x leaves web as i-y joins db: if it leaves too late, the two can talk for a moment.
    let (start, end) = (state(&["sg-web"], &["sg-old"]), state(&["sg-old"], &["sg-db"]));
    let late = state(&["sg-web"], &["sg-db"]);
    assert_eq!(look(&start, &late, &end, &["i-y"]), ["open: tcp 5432 from i-x to i-y"]);
    assert_eq!(look(&start, &state(&["sg-old"], &["sg-old"]), &end, &["i-x"]), [""; 0]);
    // i-x is web before and after, and something else between.
    let (start, end) = (state(&["sg-web"], &["sg-db"]), state(&["sg-web", "sg-old"], &["sg-db"]));
    assert_eq!(look(&start, &state(&["sg-old"], &["sg-db"]), &end, &["i-x"]), ["closed: tcp 5432 from i-x to i-y"]);
    // It is let in by its address all the time: then nothing is closed.
    let mut by_address = state(&["sg-old"], &["sg-db"]);
    by_address.set(&id("sg-db"), Some(rules(&["tcp 5432 10.0.0.1/32"], OUT)));
    assert_eq!(look(&start, &by_address, &end, &["i-x"]), [""; 0]);
}

#[test]
fn nothing_is_claimed_where_rules_are_not_known() {
    let state =
        |groups: &[&str], ingress: &[&str]| net(&[("sg-a", rules(ingress, OUT)), ("i-1", machine(groups, "10.0.0.1"))]);
    let start = state(&["sg-a", "sg-foreign"], &[]);
    let here = state(&["sg-a", "sg-foreign"], &["tcp 22 0.0.0.0/0"]);
    assert_eq!(look(&start, &here, &start, &["sg-a"]), ["open: tcp 22 from 0.0.0.0/0 to i-1 (perhaps)"]);
    // To be a member of it for a moment is something that neither end allows.
    let known = state(&["sg-a"], &[]);
    let found = look(&known, &start, &known, &["i-1"]);
    assert_eq!(found[0], "open: all traffic from i-1 to whomever sg-foreign lets out to");
    assert_eq!(found[1], "open: all traffic from whomever sg-foreign lets in to i-1");
}

#[test]
fn a_host_is_compared_by_what_it_accepts_and_what_it_lets_pass() {
    let filter = |accepts: &[&str], passes: &[&str]| {
        let filter = Filter { accepts: grants(accepts), passes: grants(passes) };
        net(&[("gw", Stance::Filter(filter))])
    };
    let everything: &[&str] = &["all 0.0.0.0/0", "all ::/0"];
    let open = filter(&["tcp 22 10.0.0.0/8"], everything);
    let strict = filter(&["tcp 22 10.1.0.0/16"], &["tcp 22 10.1.0.0/16"]);
    let shut = filter(&[], &[]);
    assert_eq!(look(&open, &shut, &strict, &["gw"]), ["closed: tcp 22 from 10.1.0.0/16 to gw"]);
    let wide = filter(&["tcp 22 0.0.0.0/0"], everything);
    let found = look(&open, &wide, &strict, &["gw"]);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("open: tcp 22 from 0.0.0.0/5, 8.0.0.0/7, 11.0.0.0/8 and"), "{found:?}");
    assert_eq!(look(&open, &strict, &strict, &["gw"]), [""; 0]);
}

#[test]
fn a_thousand_alike_are_looked_at_once() {
    let fleet = |ingress: &[&str]| {
        let mut net = net(&[("sg-a", rules(ingress, OUT))]);
        for number in 0..1000_u32 {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string();
            net.set(&id(&format!("i-{number}")), Some(machine(&["sg-a"], &address)));
        }
        net
    };
    let start = fleet(&[]);
    let found = look(&start, &fleet(&["tcp 22 0.0.0.0/0"]), &start, &["sg-a"]);
    assert_eq!(found, ["open: tcp 22 from 0.0.0.0/0 to i-0"]);
    assert_eq!(tcp(22, 22), TrafficSet::tcp(22));
}
