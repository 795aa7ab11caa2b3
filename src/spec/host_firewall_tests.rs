//! Tables: what is written of the firewall of a host, and what becomes of it.

mod mistakes;

use std::collections::BTreeSet;

use super::tests::{Given, HEAD, address, errors_of, resolve_all, said, source, stack_of, without_places};
use crate::model::duration::Seconds;
use crate::model::query::{AddressOf, Regions};
use crate::model::{Family, Output, Query, Region, Tags, Target};
use crate::resources::host_firewall::action::Attach;
use crate::resources::host_firewall::host::Backend;
use crate::resources::host_firewall::ruleset::{Established, Mode, RuleKey, Settings};
use crate::resources::host_firewall::state::{Desired, OnRegionError, Source, Wanted};
use crate::resources::registry::Want;

/// Two members in one region, one instance in another, and an address.
const CLOUD: &str = "[instance.web]\ncount = 2\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n[instance.peer]\nregion = \"us-east-1\"\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n[elastic_ip.vip]\n";

/// The firewall's own lines begin at 4.
fn text(body: &str) -> String {
    format!("{HEAD}[host_firewall.gw]\n{body}\n{CLOUD}")
}

/// A firewall of this machine, whose transport stands in line 4; further fields begin at line 5.
fn local(more: &str) -> String {
    text(&format!("transport = \"local\"\n{more}"))
}

/// A firewall of this machine with one rule, in line 5.
fn ruled(rule: &str) -> String {
    local(&format!("rules = [{{ {rule} }}]"))
}

fn want(text: &str) -> Desired {
    match &stack_of(text, &Given::default()).resources[&address("host_firewall.gw")].want {
        Want::HostFirewall(want) => want.clone(),
        other => panic!("{other:?}"),
    }
}

fn region(text: &str) -> Region {
    Region::new(text).unwrap()
}

fn ssh(user: Option<&str>, host: &str, port: Option<u16>, sudo: bool) -> Target {
    Target::Ssh { user: user.map(str::to_owned), host: host.to_owned(), port, sudo }
}

/// What a source is, in short.
fn short(source: &Source) -> String {
    match source {
        Source::Network(net) => net.to_string(),
        Source::Output { address, output } => format!("{address}/{output}"),
        Source::Host { of, at } => format!("{of}={at}"),
        Source::Query { query, own } => {
            let own: Vec<String> = own.iter().map(ToString::to_string).collect();
            format!("{query} [{}]", own.join(" "))
        }
    }
}

fn rule(wanted: &Wanted) -> String {
    let from: Vec<String> = wanted.from.iter().map(short).collect();
    format!("{}: {} from {}", wanted.key, wanted.traffic, from.join(", "))
}

fn rules(text: &str) -> Vec<String> {
    want(text).rules.iter().map(rule).collect()
}

/// Where each warning stands, with its code.
fn warnings(text: &str) -> Vec<String> {
    let all = said(&[source("spec.toml", text)], &Given::default());
    all.into_iter().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn what_is_left_out_is_safe() {
    let want = want(&ruled("name = \"web\", ports = 80, from = \"203.0.113.0/24\""));
    let Desired {
        target,
        backend,
        settings,
        rules,
        attach,
        confirm_within,
        persist,
        adopt,
        on_region_error,
        stale_after,
        max_shrink,
    } = want;
    assert_eq!((target, backend, attach), (Target::Local { sudo: false }, None, Attach::Input));
    let usual = Settings { mode: Mode::Guard, established: Established::Keep, families: Family::ALL.into() };
    assert_eq!(settings, usual);
    assert_eq!(rules.iter().map(rule).collect::<Vec<_>>(), ["web: tcp 80 from 203.0.113.0/24"]);
    assert_eq!((confirm_within, persist, adopt), (None, true, None));
    assert_eq!((on_region_error, stale_after, max_shrink), (OnRegionError::Keep, Seconds(86_400), 50));
}

const WHOLE: &str = r#"
transport = { ssh = "admin@gw.example.com", port = 22, sudo = true }
state = "Present"
address = ["203.0.113.9", "2001:db8::9"]
backend = "iptables"
mode = "deny"
families = ["ipv6", "ipv4"]
always_allow = [
  { from = "198.51.100.7", ports = 22 },
  { from = ["198.51.100.0/24"], ports = [22] },
  { from = "198.51.100.0/24", protocol = "icmp" },
]
established = "cut"
commit = { confirm_within = "0s", persist = false }
adopt = { comment = "EC2 - *" }
attach = { chain = "f2b-INPUT" }
on_region_error = "fail"
stale_after = "36h"
max_shrink = "100%"
timeout = "5m"
previously = "old"
rules = [
  { name = "fleet", ports = [8140, 22, 80, 3690, 4949], from = [
    { instances = { regions = "all", except = ["us-west-1"], states = ["running", "stopped"], tags = { Role = "web" }, address = "public" } },
    "instance.web", "instance.peer:private", "elastic_ip.vip", "203.0.113.0/24", "2001:db8::/48", "203.0.113.0/24" ] },
  { name = "heartbeat", protocol = "udp", ports = 694, from = "instance.peer" },
  { name = "carp", protocol = 112, from = "100.100.100.0/26", to = "224.0.0.18" },
]
"#;

#[test]
fn every_field_is_read() {
    let whole = text(WHOLE);
    let want = want(&whole);
    assert_eq!(want.target, ssh(Some("admin"), "gw.example.com", Some(22), true));
    assert_eq!(want.backend, Some(Backend::Iptables));
    assert_eq!((want.settings.mode, want.settings.established), (Mode::Deny, Established::Cut));
    assert_eq!(want.settings.families, Family::ALL.into());
    assert_eq!(want.attach, Attach::Chain("f2b-INPUT".into()));
    assert_eq!((want.confirm_within, want.persist), (Some(Seconds(0)), false));
    assert_eq!(want.adopt.as_deref(), Some("EC2 - *"));
    assert_eq!((want.on_region_error, want.stale_after, want.max_shrink), (OnRegionError::Fail, Seconds(129_600), 100));
    assert_eq!(
        want.rules.iter().map(rule).collect::<Vec<_>>(),
        [
            "always_allow 1: icmp from 198.51.100.0/24",
            "always_allow 2: tcp 22 from 198.51.100.0/24, 198.51.100.7/32",
            "carp: protocol 112 to 224.0.0.18 from 100.100.100.0/26",
            "fleet: tcp 22, 80, 3690, 4949, 8140 from 203.0.113.0/24, 2001:db8::/48, elastic_ip.vip/public_ip, \
             instance.peer/private_ip, instance.web-0/public_ip, instance.web-1/public_ip, public addresses of instances \
             in all regions but us-west-1, Role=web [instance.peer instance.web-0 instance.web-1]",
            "heartbeat: udp 694 from instance.peer/public_ip",
        ]
    );
    let stack = stack_of(&whole, &Given::default());
    let common = &stack.resources[&address("host_firewall.gw")].common;
    assert_eq!(common.previously.as_ref().map(crate::model::Name::as_str), Some("old"));
    assert_eq!((common.timeout, common.adopt.as_deref(), common.group.as_ref()), (Some(Seconds(300)), None, None));
    assert_eq!(warnings(&whole), [""; 0]);
}

#[test]
fn a_query_asks_for_what_it_says() {
    let query = |table: &str| {
        let want = want(&ruled(&format!("name = \"a\", ports = 80, from = {{ instances = {{ {table} }} }}")));
        match want.rules[0].from.as_slice() {
            [Source::Query { query, own }] => (query.clone(), own.iter().map(ToString::to_string).collect::<Vec<_>>()),
            other => panic!("{other:?}"),
        }
    };
    let states = |states: &[&str]| states.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let usual = Query {
        regions: Regions::AllBut(BTreeSet::new()),
        states: states(&["pending", "running"]),
        tags: Tags::new(),
        address: AddressOf::Public,
    };
    let all = vec!["instance.peer".to_owned(), "instance.web-0".to_owned(), "instance.web-1".to_owned()];
    assert_eq!(query("regions = \"All\""), (usual.clone(), all));
    let here = Regions::These([region("eu-west-1")].into());
    let (asked, own) = query("regions = [\"eu-west-1\"], address = \"ipv6\", states = [\"stopping\"]");
    assert_eq!(
        asked,
        Query { regions: here, states: states(&["stopping"]), address: AddressOf::Ipv6, ..usual.clone() }
    );
    assert_eq!(own, ["instance.web-0", "instance.web-1"]);
    let (asked, own) =
        query("regions = \"all\", except = [\"eu-west-1\"], address = \"private\", tags = { \"aws:x\" = \"\" }");
    assert_eq!(asked.regions, Regions::AllBut([region("eu-west-1")].into()));
    assert_eq!(asked.tags, Tags::from([("aws:x".to_owned(), String::new())]));
    assert_eq!(own, ["instance.peer"]);
}

#[test]
fn transports_have_one_normal_form() {
    for (written, is) in [
        ("\"local\"", Target::Local { sudo: false }),
        ("\"Local\"", Target::Local { sudo: false }),
        ("{ local = true }", Target::Local { sudo: false }),
        ("{ local = true, sudo = true }", Target::Local { sudo: true }),
        ("{ ssh = \"gw\" }", ssh(None, "gw", None, false)),
        ("{ ssh = \"gw\", sudo = false }", ssh(None, "gw", None, false)),
        ("{ ssh = \"root@gw.example.com\" }", ssh(Some("root"), "gw.example.com", None, false)),
        ("{ ssh = \"_a.b-c@10.0.0.1:2222\" }", ssh(Some("_a.b-c"), "10.0.0.1", Some(2222), false)),
        ("{ ssh = \"root@gw\", port = 65535 }", ssh(Some("root"), "gw", Some(65535), false)),
        ("{ ssh = \"[2001:DB8:0::1]\" }", ssh(None, "2001:db8::1", None, false)),
        ("{ ssh = \"admin@[2001:db8::1]:22\", sudo = true }", ssh(Some("admin"), "2001:db8::1", Some(22), true)),
        (
            "{ command = [\"ip\", \"netns\", \"exec\", \"a b'$c\"] }",
            Target::Command { argv: ["ip", "netns", "exec", "a b'$c"].map(str::to_owned).into() },
        ),
    ] {
        let text = text(&format!("transport = {written}\nrules = [{{ name = \"a\", ports = 80, from = [\"::/0\"] }}]"));
        assert_eq!(want(&text).target, is, "{written}");
        assert_eq!(stack_of(&text, &Given::default()).hosts[&address("host_firewall.gw")], is);
    }
}

#[test]
fn traffic_has_one_normal_form() {
    for (written, is) in [
        ("ports = 80", "tcp 80"),
        ("protocol = \"TCP\", ports = [80]", "tcp 80"),
        ("protocol = 6, ports = \"80 - 80\"", "tcp 80"),
        ("protocol = \"17\", ports = [443, \"80-90\", 91, 85]", "udp 80-91, 443"),
        ("protocol = \"tcp\", ports = \"all\"", "tcp"),
        ("ports = \"1-65535\"", "tcp 1-65535"),
        ("protocol = \"sctp\", ports = 5060", "sctp 5060"),
        ("protocol = 33, ports = 5060", "dccp 5060"),
        ("protocol = \"ICMP\"", "icmp"),
        ("protocol = 58", "icmpv6"),
        ("protocol = \"all\"", "everything"),
        ("protocol = \"-1\"", "everything"),
        ("protocol = -1", "everything"),
        ("protocol = 112, to = \"224.0.0.18\"", "protocol 112 to 224.0.0.18"),
        ("protocol = 112, to = \"224.0.0.0/4\"", "protocol 112 to 224.0.0.0/4"),
        ("protocol = \"udp\", ports = 5353, to = \"FF02::FB\"", "udp 5353 to ff02::fb"),
    ] {
        let sources = "[\"203.0.113.0/24\", \"2001:db8::/48\"]";
        let want = want(&ruled(&format!("name = \"a\", from = {sources}, {written}")));
        assert_eq!(want.rules[0].traffic.to_string(), is, "{written}");
    }
}

#[test]
fn sources_have_one_normal_form() {
    let text = ruled(
        "name = \"a\", ports = 80, from = [\"10.0.0.1\", \"10.0.0.1/32\", \"2001:DB8:0::1\", \"0.0.0.0/0\", \"instance.web-1:public\", \"instance.web-1\"]",
    );
    let all = "a: tcp 80 from 0.0.0.0/0, 10.0.0.1/32, 2001:db8::1/128, instance.web-1/public_ip";
    assert_eq!(rules(&text), [all]);
    let Source::Output { output, .. } = &want(&text).rules[0].from[3] else { panic!() };
    assert_eq!(*output, Output::PublicIp);
    // In whatever order.
    let turned =
        ruled("name = \"a\", ports = 80, from = [\"instance.web-1\", \"0.0.0.0/0\", \"2001:db8::1\", \"10.0.0.1\"]");
    assert_eq!(rules(&turned), [all]);
}

#[test]
fn always_allow_is_numbered_by_what_it_accepts() {
    let rules = |list: &str| rules(&local(&format!("always_allow = [{list}]")));
    let (ssh, ping, web) = (
        "{ ports = 22, from = \"198.51.100.0/24\" }",
        "{ protocol = \"icmp\", from = \"198.51.100.0/24\" }",
        "{ ports = [443, 80], from = \"203.0.113.1\" }",
    );
    let numbered = [
        "always_allow 1: icmp from 198.51.100.0/24",
        "always_allow 2: tcp 22 from 198.51.100.0/24",
        "always_allow 3: tcp 80, 443 from 203.0.113.1/32",
    ];
    for list in [[ssh, ping, web], [web, ssh, ping], [ping, web, ssh]] {
        assert_eq!(rules(&list.join(", ")), numbered);
    }
    let again = "{ ports = [80, 443], from = [\"203.0.113.2\", \"203.0.113.1/32\"] }";
    assert_eq!(rules(&format!("{web}, {again}")), ["always_allow 1: tcp 80, 443 from 203.0.113.1/32, 203.0.113.2/32"]);
}

#[test]
fn other_hosts_are_where_they_say() {
    let pair = |state: &str| {
        format!(
            "stack = \"vip\"\n[host_firewall.a]\ntransport = {{ ssh = \"a\" }}\naddress = \"203.0.113.1\"\nrules = [{{ name = \"carp\", protocol = 112, from = \"host_firewall.b\", to = \"224.0.0.18\" }}]\n[host_firewall.b]\ntransport = {{ ssh = \"b\" }}\n{state}address = [\"203.0.113.2\", \"10.0.0.2\"]\nrules = [{{ name = \"carp\", protocol = 112, from = \"host_firewall.a\" }}]\n"
        )
    };
    for state in ["", "state = \"absent\"\n"] {
        let stack = stack_of(&pair(state), &Given::default());
        let Want::HostFirewall(a) = &stack.resources[&address("host_firewall.a")].want else { panic!() };
        let from = "host_firewall.b=10.0.0.2, host_firewall.b=203.0.113.2";
        assert_eq!(rule(&a.rules[0]), format!("carp: protocol 112 to 224.0.0.18 from {from}"));
        assert_eq!(stack.hosts.len(), 2);
        assert_eq!(stack.resources.contains_key(&address("host_firewall.b")), state.is_empty());
    }
}

#[test]
fn a_host_is_in_no_region_and_has_no_tags() {
    let text = "stack = \"office\"\ntags = { team = \"web\" }\n[host_firewall.gw]\ntransport = \"local\"\nrules = [{ name = \"fleet\", ports = 22, from = { instances = { regions = \"all\" } } }]\n";
    let stack = stack_of(text, &Given::default());
    let common = &stack.resources[&address("host_firewall.gw")].common;
    assert!(common.region.is_hosts());
    assert_eq!(common.tags, Tags::new());
    assert_eq!((stack.region, stack.regions), (None, BTreeSet::new()));
    assert_eq!(said(&[source("spec.toml", text)], &Given::default()), [""; 0]);
    let both = stack_of(&ruled("name = \"a\", ports = 80, from = \"::/0\""), &Given::default());
    assert_eq!(both.regions, [region("eu-west-1"), region("us-east-1")].into());
}

#[test]
fn what_shall_be_absent_is_a_host_and_no_resource() {
    let text = local("state = \"absent\"\nrules = [{ name = \"a\", ports = 80, from = \"instance.gone\" }]");
    let stack = stack_of(&text, &Given::default());
    assert_eq!(stack.hosts[&address("host_firewall.gw")], Target::Local { sudo: false });
    assert!(!stack.resources.contains_key(&address("host_firewall.gw")));
    assert_eq!(warnings(&text), [""; 0]);
    let off = stack_of(&local("enabled = false"), &Given::default());
    assert!(off.hosts.is_empty());
}

#[test]
fn backends_and_shares_have_their_words() {
    let with = |more: &str| want(&local(&format!("{more}\nrules = [{{ name = \"a\", ports = 80, from = \"::/0\" }}]")));
    for (word, backend) in [
        ("auto", None),
        ("NFTables", Some(Backend::Nftables)),
        ("iptables", Some(Backend::Iptables)),
        ("iptables-nft", Some(Backend::Iptables)),
    ] {
        assert_eq!(with(&format!("backend = \"{word}\"")).backend, backend);
    }
    assert_eq!(with("max_shrink = \"1%\"").max_shrink, 1);
    assert_eq!(with("families = \"ipv6\"").settings.families, [Family::Ipv6].into());
    assert_eq!(with("attach = { chain = \"INPUT\" }").attach, Attach::Chain("INPUT".into()));
    let commit = with("commit = { confirm_within = \"1h\" }");
    assert_eq!((commit.confirm_within, commit.persist), (Some(Seconds(3600)), true));
    assert!(!with("commit = { persist = false }").persist);
    assert_eq!(with("mode = \"Allow\"").settings.mode, Mode::Allow);
}

#[test]
fn what_probably_means_something_else_is_a_warning() {
    let ssh = |more: &str| text(&format!("transport = {{ ssh = \"gw\" }}\n{more}"));
    let port = |more: &str| text(&format!("transport = {{ ssh = \"gw:2222\" }}\n{more}"));
    let rule = "rules = [{ name = \"ssh\", ports = [22, 80], from = \"instance.web\" }]";
    let other = "rules = [{ name = \"web\", ports = 80, from = \"instance.web\" }]";
    let mine = "always_allow = [{ ports = 22, from = \"198.51.100.0/24\" }]\n";
    let cases = [
        (ssh(rule), &["warning lockout 4:13"][..]),
        (ssh(&format!("{mine}{rule}")), &[]),
        (ssh(other), &[]),
        (ssh(&format!("mode = \"deny\"\n{other}")), &["warning lockout 4:13"]),
        (ssh("mode = \"deny\""), &["warning lockout 4:13"]),
        (ssh(&format!("{mine}mode = \"deny\"\n{other}")), &[]),
        (ssh(&format!("mode = \"allow\"\n{rule}")), &[]),
        (ssh("rules = [{ name = \"all\", protocol = \"all\", from = \"instance.web\" }]"), &["warning lockout 4:13"]),
        (ssh("rules = [{ name = \"ssh\", ports = 22, from = [\"0.0.0.0/0\", \"::/0\"] }]"), &[]),
        (ssh("rules = [{ name = \"u\", protocol = \"udp\", ports = 22, from = \"instance.web\" }]"), &[]),
        (port(rule), &[]),
        (port(&rule.replace("[22, 80]", "\"2000-3000\"")), &["warning lockout 4:13"]),
        (port(&format!("{mine}{}", rule.replace("[22, 80]", "\"all\""))), &["warning lockout 4:13"]),
        (local(&format!("mode = \"deny\"\n{rule}")), &[]),
        (local(""), &["warning no-rules 3:16"]),
        (local("rules = []"), &["warning no-rules 3:16"]),
        (local(&format!("families = [\"ipv4\"]\n{other}")), &["warning open-family 5:12"]),
        (local(&format!("families = [\"ipv6\"]\n{other}")), &["warning open-family 5:12"]),
        (local(&format!("families = [\"ipv4\"]\nmode = \"allow\"\n{other}")), &[]),
        (
            local("families = [\"ipv4\"]\nrules = [{ name = \"a\", ports = 80, from = [\"10.0.0.0/8\", \"::/0\"] }]"),
            &["warning open-family 5:12", "warning no-effect 6:58"],
        ),
        (ruled("name = \"a\", protocol = \"icmpv6\", from = [\"::/0\", \"0.0.0.0/0\"]"), &["warning no-effect 5:61"]),
        (ruled("name = \"a\", protocol = 112, to = \"224.0.0.18\", from = \"::/0\""), &["warning no-effect 5:66"]),
        (ruled("name = \"a\", ports = 80, from = []"), &["warning empty 5:43"]),
    ];
    for (text, wanted) in cases {
        assert_eq!(warnings(&text), wanted, "{text}");
    }
}

#[test]
fn one_whole_firewall_is_the_same_in_both_formats() {
    let toml = text(WHOLE);
    let tree: serde_json::Value = toml::from_str(&toml).unwrap();
    let one = resolve_all(&[source("a.toml", &toml)], &Given::default()).0.map(without_places);
    let two = resolve_all(&[source("a.json", &tree.to_string())], &Given::default()).0.map(without_places);
    assert!(one.is_some());
    assert_eq!(one, two);
}

#[test]
fn documents_merge_and_a_transport_is_replaced() {
    let base = text("transport = { ssh = \"gw\", port = 22 }\ncommit = { persist = false }\nmode = \"allow\"");
    let over = r#"{ "host_firewall": { "gw": {
        "transport": { "command": ["sh"] }, "commit": { "confirm_within": "5s" },
        "rules": [{ "name": "a", "ports": 80, "from": "::/0" }] } } }"#;
    let (stack, _) = resolve_all(&[source("a.toml", &base), source("b.json", over)], &Given::default());
    let Want::HostFirewall(want) = &stack.unwrap().resources[&address("host_firewall.gw")].want else { panic!() };
    assert_eq!(want.target, Target::Command { argv: vec!["sh".into()] });
    assert_eq!((want.confirm_within, want.persist), (Some(Seconds(5)), false));
    assert_eq!(want.settings.mode, Mode::Allow);
}

/// The office's gateway, which opens itself to every instance; and two machines behind one virtual address.
#[test]
fn the_old_scripts_can_be_said() {
    let office = r#"
stack = "office"
[host_firewall.gateway]
transport = { ssh = "root@gw.example.com" }
backend = "iptables"
mode = "allow"
adopt = { comment = "EC2 - *" }
always_allow = [{ ports = 22, from = "198.51.100.0/24" }]
rules = [
  { name = "fleet", ports = [22, 80, 3690, 4949, 8140], from = { instances = { regions = "all", except = ["us-west-1"] } } },
]
"#;
    let vip = r#"
stack = "vip"
[host_firewall.left]
transport = { ssh = "root@left.example.com" }
address = "198.51.100.11"
rules = [
  { name = "carp", protocol = 112, to = "224.0.0.18", from = "host_firewall.right" },
  { name = "bgp", ports = 179, from = "198.51.100.1" },
  { name = "web", ports = 80, from = ["0.0.0.0/0", "::/0"] },
]
[host_firewall.right]
transport = { ssh = "root@right.example.com" }
address = "198.51.100.12"
rules = [
  { name = "carp", protocol = 112, to = "224.0.0.18", from = "host_firewall.left" },
  { name = "bgp", ports = 179, from = "198.51.100.1" },
  { name = "web", ports = 80, from = ["0.0.0.0/0", "::/0"] },
]
"#;
    for (text, hosts) in [(office, 1), (vip, 2)] {
        let stack = stack_of(text, &Given::default());
        assert_eq!((stack.hosts.len(), stack.resources.len()), (hosts, hosts));
        assert_eq!(said(&[source("a.toml", text)], &Given::default()), [""; 0]);
        let keys: Vec<&RuleKey> = stack
            .resources
            .values()
            .flat_map(|d| match &d.want {
                Want::HostFirewall(want) => want.rules.iter().map(|rule| &rule.key),
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(keys.len() >= 2);
    }
    assert_eq!(errors_of(office), [""; 0]);
}
