//! Random rules, tags and edits.

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;
use portcullis::model::net::{Cidr, Ports};
use portcullis::model::{Family, Region, Tags};
use portcullis::resources::host_firewall::ruleset::{
    Established, Held, Mode, Origin, Rule, RuleKey, Ruleset, Settings, Traffic,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

/// Rules of every sort that the types allow.
pub fn rulesets() -> impl Strategy<Value = Ruleset> {
    (settings(), btree_map(keys(), (traffics(), sources()), 0..5)).prop_map(|(settings, rules)| {
        let rules = rules.into_iter().map(|(key, (traffic, sources))| {
            let rule = Rule { key: key.clone(), traffic, sources };
            (key, rule)
        });
        Ruleset { settings, rules: rules.collect() }
    })
}

pub fn settings() -> impl Strategy<Value = Settings> {
    let families = prop_oneof![
        6 => Just(Family::ALL.to_vec()),
        1 => Just(vec![Family::Ipv4]),
        1 => Just(vec![Family::Ipv6]),
        1 => Just(Vec::new()),
    ];
    (select(vec![Mode::Allow, Mode::Guard, Mode::Deny]), select(vec![Established::Keep, Established::Cut]), families)
        .prop_map(|(mode, established, families)| Settings {
            mode,
            established,
            families: families.into_iter().collect(),
        })
}

fn keys() -> impl Strategy<Value = RuleKey> {
    prop_oneof![
        (1..4_u16).prop_map(RuleKey::Always),
        select(vec![
            "web",
            "accept",
            "a-rule-with-the-longest-name-ab",
            "x\"\n-A INPUT -j ACCEPT",
            "'; drop $(x) \u{1f980}"
        ])
        .prop_map(|name| RuleKey::Named(name.into())),
        select(vec!["web", "always-1"]).prop_map(|name| RuleKey::Former(name.into())),
    ]
}

fn traffics() -> impl Strategy<Value = Traffic> {
    let port = (any::<u16>(), prop_oneof![Just(0_u16), 0..300_u16]);
    let ports = port.prop_map(|(from, more)| Ports { from, to: from.saturating_add(more) });
    let to = select(vec!["224.0.0.18/32", "224.0.0.0/4", "ff02::/16", "ff02::12/128"]);
    let to = proptest::option::weighted(0.2, to.prop_map(|text| Cidr::read(text).expect("a network")));
    let ported =
        (select(vec![6_u8, 17, 132, 33]), vec(ports, 0..20)).prop_map(|(protocol, ports)| (Some(protocol), ports));
    let plain = prop_oneof![Just(None), select(vec![1_u8, 58, 112, 0, 43]).prop_map(Some), any::<u8>().prop_map(Some)];
    let what = prop_oneof![3 => ported, 2 => plain.prop_map(|protocol| (protocol, Vec::new()))];
    (what, to).prop_map(|((protocol, ports), to)| Traffic { protocol, ports, to }.normal())
}

/// Networks of both families, near to each other, so that they touch and overlap.
pub fn networks() -> impl Strategy<Value = IpNet> {
    let v4 = (0..64_u8, 24..=32_u8).prop_map(|(low, length)| format!("10.0.{}.{}/{length}", low / 32, low % 32 * 8));
    let v6 = (0..16_u16, 60..=64_u8).prop_map(|(low, length)| format!("2001:db8:0:{low:x}::/{length}"));
    let host = (any::<u32>(), any::<u128>(), any::<bool>()).prop_map(|(v4, v6, six)| {
        if six { std::net::Ipv6Addr::from(v6).to_string() } else { std::net::Ipv4Addr::from(v4).to_string() }
    });
    let host = host.prop_map(|text| if text.contains(':') { format!("{text}/128") } else { format!("{text}/32") });
    let wide = select(vec!["0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "8000::/1", "::/1", "::ffff:0:0/96"]);
    let text = prop_oneof![4 => v4, 4 => v6, 2 => host, 1 => wide.prop_map(str::to_owned)];
    text.prop_map(|text| text.parse::<IpNet>().expect("a network").trunc())
}

fn origins() -> impl Strategy<Value = Origin> {
    let region = |name: &str| Origin::Region(Region::new(name).expect("a region"));
    select(vec![Origin::Spec, region("eu-west-1"), region("us-gov-east-1")])
}

fn sources() -> impl Strategy<Value = BTreeMap<Origin, Held>> {
    btree_map(origins(), helds(), 0..3)
}

fn helds() -> impl Strategy<Value = Held> {
    let seen = proptest::option::of((0..4_000_000_000_i64).prop_map(|at| Timestamp::from_second(at).expect("a time")));
    (btree_set(networks(), 1..12), seen).prop_map(|(nets, seen)| Held { addresses: nets.into_iter().collect(), seen })
}

/// Tags as an owner has them, with an origin of any characters.
pub fn tags() -> impl Strategy<Value = Tags> {
    let text = vec(any::<char>(), 0..256).prop_map(String::from_iter);
    (text, any::<u32>(), any::<String>()).prop_map(|(origin, generation, odd)| {
        Tags::from([
            ("portcullis:stack".to_owned(), "shop".to_owned()),
            ("portcullis:address".to_owned(), "host_firewall.web".to_owned()),
            ("portcullis:generation".to_owned(), generation.to_string()),
            ("portcullis:origin".to_owned(), origin),
            (format!("odd {odd}"), odd),
        ])
    })
}

/// The same rules with other addresses, none of whose sets gets empty.
pub fn moved(rules: &Ruleset, nets: &[IpNet]) -> Ruleset {
    let mut next = rules.clone();
    let mut nets = nets.iter().cycle();
    for held in next.rules.values_mut().flat_map(|rule| rule.sources.values_mut()) {
        let first: Vec<IpNet> =
            Family::ALL.iter().filter_map(|family| held.addresses.of(*family).next().copied()).collect();
        for net in nets.by_ref().take(3) {
            if first.iter().any(|kept| Family::of(kept) == Family::of(net)) {
                held.addresses.insert(*net);
            }
        }
        let alone = |net: &&IpNet| held.addresses.of(Family::of(net)).count() > 1;
        let gone = held.addresses.iter().find(alone).copied();
        if let Some(gone) = gone {
            held.addresses = held.addresses.iter().copied().filter(|net| *net != gone).collect();
        }
    }
    next
}
