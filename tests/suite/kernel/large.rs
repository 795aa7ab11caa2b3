//! Many addresses.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use portcullis::model::{AddressSet, Tags};
use portcullis::resources::host_firewall::host::Backend;
use portcullis::resources::host_firewall::ruleset::{Held, Origin, Rule, RuleKey, Ruleset, Traffic};
use serde_json::Value;

use super::{BACKENDS, make, read, standing, stands, wanted};
use crate::support::netns::Netns;

/// How many instances a large fleet has.
const MANY: u32 = 60_000;

/// One rule from the spec, and one from nowhere else than here.
fn fleet(count: u32) -> Ruleset {
    let nets = (0..count).map(|n| IpNet::from(IpAddr::from(Ipv4Addr::from(0x0a00_0001 + n * 2))));
    let mut rule = Rule::new(RuleKey::Named("fleet".into()), Traffic::tcp(22));
    rule.sources.insert(Origin::Spec, Held { addresses: nets.collect(), seen: None });
    let mut local = Rule::new(RuleKey::Always(1), Traffic::tcp(80));
    let loopback: AddressSet = ["127.0.0.0/8".parse::<IpNet>().expect("a network")].into_iter().collect();
    local.sources.insert(Origin::Spec, Held { addresses: loopback, seen: None });
    Ruleset { rules: [(rule.key.clone(), rule), (local.key.clone(), local)].into(), ..Ruleset::default() }
}

#[test]
fn sixty_thousand_addresses_read_back_and_one_more_touches_only_one() {
    for backend in BACKENDS {
        let netns = Netns::new();
        let tags = Tags::new();
        make(&netns, backend, &fleet(MANY), &tags);
        stands(&netns, backend, &fleet(MANY), &tags);

        let mut next = fleet(MANY);
        let held =
            next.rules.get_mut(&RuleKey::Named("fleet".into())).and_then(|rule| rule.sources.get_mut(&Origin::Spec));
        held.expect("the fleet").addresses.insert("192.0.2.1/32".parse().expect("an address"));
        let change = read(&netns).change(backend, Some(wanted(backend, &next, &tags)), &[]);
        let said: usize = change.inputs().map(|input| input.text.len()).sum();
        assert!(said < 200, "{change:#?}");
        let way_back: usize = change.undo.iter().map(|input| input.text.len()).sum();
        assert!(backend == Backend::Nftables || way_back < 200);

        // A packet that a rule counts before the change is still counted after it.
        netns.must(&["python3", "-c", "import socket; s = socket.socket(); s.connect_ex(('127.0.0.1', 80))"], "");
        let before = counted(&netns);
        assert!(before > 0);
        netns.apply(&change);
        assert!(counted(&netns) >= before, "{backend}");
        stands(&netns, backend, &next, &tags);
        netns.undo(&change);
        stands(&netns, backend, &fleet(MANY), &tags);
        netns.apply(&read(&netns).change(backend, None, &[]));
        assert!(standing(&netns, backend).is_none());
    }
}

/// How many packets were counted by rules that accept.
fn counted(netns: &Netns) -> u64 {
    let listed: Value = serde_json::from_str(&netns.must(&["nft", "-j", "list", "ruleset"], "")).expect("JSON");
    let rules =
        listed["nftables"].as_array().expect("a list").iter().filter_map(|object| object["rule"]["expr"].as_array());
    let accepting = rules.filter(|expressions| expressions.iter().any(|expr| expr.get("accept").is_some()));
    accepting.flatten().filter_map(|expr| expr["counter"]["packets"].as_u64()).sum()
}
