//! What no firewall of a host is, each with what is said and where.

use super::super::tests::{HEAD, errors_of};
use super::{local, ruled, text};

/// One error each, by how it begins, and where.
fn refused_for(cases: Vec<(String, &str)>) {
    let wrong: Vec<String> = cases
        .into_iter()
        .filter_map(|(text, wanted)| match errors_of(&text).as_slice() {
            [error] if error.starts_with(&format!("error {wanted}")) => None,
            errors => Some(format!("{text}\nwanted: {wanted}\nfound: {errors:#?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn over(transport: &str) -> String {
    text(&format!("transport = {transport}"))
}

#[test]
fn what_no_transport_is() {
    let ssh = |target: &str| over(&format!("{{ ssh = \"{target}\" }}"));
    refused_for(vec![
        (text(""), "missing-key 3:1 a host firewall needs `transport` (write \"local\", or { ssh = \"user@host\" })"),
        (over("\"remote\""), "transport 4:13 `remote` is no transport (write \"local\", { ssh = \"user@host\" } or"),
        (over("\"root@gw\""), "transport 4:13 `root@gw` is no transport (write { ssh = \"root@gw\" })"),
        (over("3"), "wrong-type 4:13 \"local\" or a table is wanted here, not a number"),
        (over("{}"), "missing-key 4:13 a transport needs one of `ssh`, `command` and `local`"),
        (over("{ sudo = true }"), "missing-key 4:13"),
        (over("{ ssh = \"a\", local = true }"), "combination 4:13 a transport is one of"),
        (over("{ local = false }"), "transport 4:23 `local` can only be true"),
        (over("{ local = true, port = 22 }"), "combination 4:36 `port` is for ssh"),
        (over("{ host = \"gw\", ssh = \"gw\" }"), "unknown-key 4:15 a transport has no `host`"),
        (over("{ command = \"sh\" }"), "wrong-type 4:25 a list of the command and its arguments is wanted here"),
        (over("{ command = [] }"), "empty 4:25 `command` is empty"),
        (over("{ command = [\"sh\", \"\"] }"), "empty 4:32 a word of a command is empty"),
        (over("{ command = [\"sh\", \"a\\u0000\"] }"), "character 4:32 a word of a command has no control characters"),
        (over("{ command = [\"sh\", \"a\\u001b[2J\"] }"), "character 4:32"),
        (
            over("{ command = [\"sh\"], sudo = true }"),
            "combination 4:40 `sudo` is for ssh and local (write it into the command: [\"sudo\", \"-n\", \"…\"])",
        ),
        (over("{ ssh = \"gw\", sudo = \"yes\" }"), "wrong-type 4:34"),
        (over("{ ssh = \"gw\", port = 0 }"), "out-of-range 4:34 a port is a whole number from 1 to 65535"),
        (over("{ ssh = \"gw:22\", port = 22 }"), "combination 4:37 the port stands here twice"),
        (over("{ ssh = [\"gw\"] }"), "wrong-type 4:21"),
        (ssh(""), "transport 4:21 `ssh` is empty"),
        (ssh("-oProxyCommand=x"), "transport 4:21 `ssh` takes no `=`"),
        (ssh("-lroot"), "transport 4:21 `-lroot` is no host"),
        (ssh("root@-x"), "transport 4:21 `-x` is no host"),
        (ssh("-x@gw"), "transport 4:21 `-x` is no user"),
        (ssh("@gw"), "transport 4:21 `` is no user"),
        (ssh("root@"), "transport 4:21 `` is no host"),
        (ssh("a@b@gw"), "transport 4:21 `a@b` is no user"),
        (ssh("gw rm"), "transport 4:21 `ssh` takes no ` `"),
        (ssh("gw$(id)"), "transport 4:21 `ssh` takes no `$`"),
        (ssh("gw`id`"), "transport 4:21 `ssh` takes no ```"),
        (ssh("gw'"), "transport 4:21 `ssh` takes no `\\'`"),
        (ssh("%h"), "transport 4:21 `ssh` takes no `%`"),
        (ssh("gw\\n"), "transport 4:21 `ssh` takes no `\\n`"),
        (ssh("gw\\u0000"), "transport 4:21 `ssh` takes no `\\0`"),
        (ssh("größe"), "transport 4:21 `ssh` takes no `ö`"),
        (ssh("ssh://root@gw:22"), "transport 4:21 `ssh` takes no URL (write \"root@gw:22\")"),
        (ssh("gw:"), "transport 4:21 `` is no port: one is 1 to 65535"),
        (ssh("gw:0"), "transport 4:21 `0` is no port"),
        (ssh("gw:65536"), "transport 4:21 `65536` is no port"),
        (ssh("gw:22:23"), "transport 4:21 `22:23` is no port"),
        (ssh("2001:db8::1"), "transport 4:21 an IPv6 address stands in brackets (write \"[2001:db8::1]\""),
        (ssh("[2001:db8::1"), "transport 4:21 `[2001:db8::1` is no IPv6 address in brackets"),
        (ssh("[gw]:22"), "transport 4:21 `[gw]:22` is no IPv6 address in brackets"),
        (ssh("[2001:db8::1]22"), "transport 4:21 `22` behind the address is no port"),
        (ssh(&"a".repeat(254)), "transport 4:21"),
        (
            format!("{}[host_firewall.two]\ntransport = {{ local = true, sudo = true }}\n", local("")),
            "claimed-twice 16:13 `host_firewall.gw` and `host_firewall.two` both claim the host `local`",
        ),
        (
            format!(
                "{HEAD}[host_firewall.a]\ntransport = {{ ssh = \"GW\" }}\n[host_firewall.b]\nstate = \"absent\"\ntransport = {{ ssh = \"gw\" }}\n"
            ),
            "claimed-twice 7:13 `host_firewall.a` and `host_firewall.b` both claim the host `gw`",
        ),
    ]);
}

#[test]
fn what_cannot_be_set() {
    refused_for(vec![
        (local("backend = \"pf\""), "unknown-word 5:11 `pf` is none of auto, nftables, iptables, iptables-nft"),
        (local("backend = \"iptables-legacy\""), "backend 5:11 iptables-legacy is not supported (switch the host to"),
        (local("mode = \"audit\""), "mode 5:8 the mode `audit` is not there yet (write \"allow\""),
        (local("mode = \"dney\""), "unknown-word 5:8 `dney` is none of allow, guard, deny (did you mean \"deny\"?)"),
        (local("families = []"), "empty 5:12 a firewall filters at least one family"),
        (local("families = [\"ipv4\", \"ipv4\"]"), "twice 5:21 ipv4 stands here twice"),
        (local("families = [\"inet\"]"), "unknown-word 5:13 `inet` is none of ipv4, ipv6"),
        (local("established = true"), "wrong-type 5:15"),
        (local("established = \"drop\""), "unknown-word 5:15 `drop` is none of keep, cut"),
        (local("commit = \"60s\""), "wrong-type 5:10"),
        (local("commit = { confirm_within = \"61m\" }"), "out-of-range 5:29 the time to confirm is 0s to 1h"),
        (local("commit = { confirm = \"1s\" }"), "unknown-key 5:12 a commit has no `confirm`"),
        (local("adopt = \"EC2 - *\""), "wrong-type 5:9 a table is wanted here, not a string (write { comment"),
        (local("adopt = {}"), "missing-key 5:9 an adoption needs `comment`"),
        (local("adopt = { comment = \"\" }"), "adopt 5:21 a pattern of comments is not empty"),
        (local("adopt = { comment = \"**\" }"), "adopt 5:21 this is every comment: also those of docker and fail2ban"),
        (local("adopt = { comment = \"a\\nb\" }"), "adopt 5:21 a comment has no control characters"),
        (local(&format!("adopt = {{ comment = \"{}\" }}", "a".repeat(256))), "adopt 5:21 a comment has at most 255"),
        (local("attach = {}"), "missing-key 5:10 an attachment needs `chain`"),
        (local("attach = { chain = \"FORWARD\" }"), "chain 5:20 rules are about what comes to the host itself"),
        (local("attach = { chain = \"portcullis-x\" }"), "chain 5:20 chains that begin with `portcullis` are ours"),
        (local("attach = { chain = \"-X\" }"), "chain 5:20 `-X` is no chain"),
        (local("attach = { chain = \"a b\" }"), "chain 5:20 `a b` is no chain"),
        (local("attach = { chain = \"a\\nb\" }"), "chain 5:20 `a\\nb` is no chain"),
        (local(&format!("attach = {{ chain = \"{}\" }}", "a".repeat(29))), "chain 5:20"),
        (
            local("attach = { chain = \"INPUT\" }\nbackend = \"nftables\""),
            "combination 5:10 `attach` is for iptables: a table of nftables is called by the kernel (leave it out",
        ),
        (local("on_region_error = \"empty\""), "unknown-word 5:19 `empty` is none of keep, fail"),
        (local("stale_after = \"0s\""), "out-of-range 5:15 `stale_after` is 1s to 87600h"),
        (local("max_shrink = 50"), "percent 5:14 a share has its unit (write \"50%\")"),
        (local("max_shrink = \"0%\""), "percent 5:14 `0%` is no share: one is \"1%\" to \"100%\""),
        (local("max_shrink = \"101%\""), "percent 5:14"),
        (local("max_shrink = \"+5%\""), "percent 5:14"),
        (local("max_shrink = \"50\""), "percent 5:14"),
        (local("state = \"gone\""), "unknown-word 5:9 `gone` is none of present, absent"),
        (local("address = \"203.0.113.9/32\""), "address 5:11 a host has an address, not a network"),
        (local("address = \"gw.example.com\""), "address 5:11 `gw.example.com` is no address"),
        (local("address = \"::ffff:203.0.113.9\""), "address 5:11 an IPv4 address is written as IPv4"),
        (local("address = \"127.0.0.1\""), "address 5:11 127.0.0.1 is no address that other hosts see"),
        (local("address = []"), "empty 5:11 `address` is empty"),
        (local("address = [\"::1:2\", \"0:0::1:2\"]"), "twice 5:21 ::1:2 stands here twice"),
        (
            local("colour = 1"),
            "unknown-key 5:1 a host firewall has no `colour` (it takes address, adopt, always_allow,",
        ),
        (local("rule = []"), "unknown-key 5:1 a host firewall has no `rule` (did you mean `rules`?)"),
    ]);
}

#[test]
fn what_is_true_of_the_cloud_alone() {
    refused_for(vec![
        (local("region = \"eu-west-1\""), "unknown-key 5:1 a host is in no region of AWS (leave it out"),
        (local("tags = { a = \"b\" }"), "unknown-key 5:1 nothing on a host has tags (leave it out"),
        (local("protect = true"), "unknown-key 5:1 nothing on a host can be protected (leave it out"),
        (local("keep = true"), "unknown-key 5:1 what is ours on a host stays when it is taken out of the spec (leave"),
        (format!("{HEAD}[elastic_ip.a]\nregion = \"hosts\"\n"), "region 4:10 a region is like `eu-west-1`"),
        ("stack = \"a\"\nregion = \"hosts\"\n".to_owned(), "region 2:10 a region is like `eu-west-1`"),
        (format!("{HEAD}[network.region.hosts]\n"), "region 3:17 a region is like `eu-west-1`"),
        (format!("{HEAD}regions = [\"hosts\"]\n"), "region 3:12"),
    ]);
}

#[test]
fn what_no_rule_is() {
    let from = "from = \"::/0\"";
    let rule = |more: &str| ruled(&format!("name = \"a\", {from}, {more}"));
    refused_for(vec![
        (local("rules = {}"), "wrong-type 5:9 a list of rules is wanted here, not a table"),
        (ruled("ports = 80, from = \"::/0\""), "missing-key 5:10 a rule needs `name` (its name says which rule it was"),
        (ruled("name = \"A\", ports = 80, from = \"::/0\""), "name 5:19 a name is a lower-case letter"),
        (ruled("name = \"always-1\", ports = 80, from = \"::/0\""), "name 5:19 `always-1` is a name of the rules of"),
        (
            local(
                "rules = [{ name = \"a\", ports = 80, from = \"::/0\" }, { name = \"a\", ports = 81, from = \"::/0\" }]",
            ),
            "twice 5:62 there is a rule `a` already (one rule takes any number of ports and sources)",
        ),
        (
            local("always_allow = [{ name = \"a\", ports = 80, from = \"::/0\" }]"),
            "unknown-key 5:19 the rules of `always_allow` have no names (leave it out",
        ),
        (ruled("name = \"a\", ports = 80"), "missing-key 5:10 a rule needs `from` (everyone is from = [\"0.0.0.0/0\""),
        (rule("port = 80, protocol = \"all\""), "unknown-key 5:39 a rule has no `port` (did you mean `ports`?)"),
        (
            ruled(&format!("name = \"a\", {from}")),
            "missing-key 5:10 a rule needs `ports` or `protocol` (everything is protocol = \"all\")",
        ),
        (rule("protocol = \"tcp\""), "missing-key 5:10 a rule for tcp needs `ports` (every port is ports = \"all\")"),
        (rule("protocol = 17"), "missing-key 5:10 a rule for udp needs `ports`"),
        (
            rule("protocol = \"icmpv6\", ports = 80"),
            "ports 5:68 only tcp, udp, sctp and dccp have ports (leave `ports` out, or say which protocol)",
        ),
        (rule("protocol = 112, ports = 80"), "ports 5:63"),
        (rule("protocol = \"all\", ports = 80"), "ports 5:65"),
        (
            rule("protocol = \"tpc\", ports = 80"),
            "protocol 5:50 a protocol is tcp, udp, sctp, dccp, icmp, icmpv6, all, or 1",
        ),
        (
            rule("protocol = 0"),
            "protocol 5:50 a protocol is tcp, udp, sctp, dccp, icmp, icmpv6, all, or 1 to 255 (every",
        ),
        (rule("protocol = \"0\""), "protocol 5:50"),
        (rule("protocol = 256"), "protocol 5:50"),
        (rule("protocol = true"), "wrong-type 5:50"),
        (rule("ports = 0"), "ports 5:47 nothing listens to port 0"),
        (rule("ports = [80, \"0-1023\"]"), "ports 5:52 nothing listens to port 0 (write \"1-1023\")"),
        (rule("ports = []"), "empty 5:47 `ports` is empty (every port is \"all\")"),
        (rule("ports = \"80\""), "ports 5:47 a port is a number: write 80"),
        (rule("ports = \"90-80\""), "ports 5:47 the ports are the wrong way round: write \"80-90\""),
        (rule("ports = 65536"), "out-of-range 5:47"),
        (rule("ports = \"ssh\""), "ports 5:47 `ssh` is no port"),
        (rule("protocol = 112, to = \"10.0.0.1\""), "to 5:60 rules are about the host itself: `to` is for multicast"),
        (rule("protocol = 112, to = \"224.0.0.0/3\""), "to 5:60 rules are about the host itself"),
        (rule("protocol = 112, to = \"224.0.0.18/24\""), "to 5:60 host bits are set: write \"224.0.0.0/24\""),
        (rule("protocol = 112, to = \"vrrp\""), "to 5:60 `vrrp` is neither a network nor an address"),
        (
            rule("protocol = \"icmp\", to = \"ff02::1\""),
            "combination 5:63 this protocol is not of ipv6, and the group is",
        ),
        (
            local(&format!("always_allow = [{}]", "{ protocol = \"all\", from = \"::/0\" }, ".repeat(1001))),
            "too-many 5:16 these are 1001 rules, and a firewall takes 1000",
        ),
    ]);
}

#[test]
fn who_cannot_be_let_in() {
    let from = |source: &str| ruled(&format!("name = \"a\", ports = 80, from = {source}"));
    let asked = |table: &str| from(&format!("{{ instances = {{ {table} }} }}"));
    refused_for(vec![
        (from("80"), "wrong-type 5:43 an address, a name or { instances = … } is wanted here, not a number"),
        (from("\"10.31.66.9/24\""), "source 5:43 host bits are set: write \"10.31.66.0/24\" or \"10.31.66.9/32\""),
        (from("\"10.0.0.0/33\""), "source 5:43 `10.0.0.0/33` is not a network like"),
        (from("\"::ffff:10.0.0.1\""), "source 5:43 an IPv4 address is written as IPv4 (write \"10.0.0.1\")"),
        (from("\"::ffff:10.0.0.0/104\""), "source 5:43 an IPv4 network is written as IPv4"),
        (from("\"0.0.0.0\""), "source 5:43 nobody has the address 0.0.0.0 (everyone is \"0.0.0.0/0\")"),
        (from("\"::\""), "source 5:43 nobody has the address :: (everyone is \"::/0\")"),
        (from("\"224.0.0.18\""), "source 5:43 no packet comes from a multicast address: `to` takes it"),
        (from("\"ff02::/16\""), "source 5:43 no packet comes from a multicast address"),
        (from("\"security_group.web\""), "source 5:43 a host knows no security groups nor prefix lists (name the"),
        (from("\"sg-0123abcd\""), "source 5:43 a host knows no security groups"),
        (from("\"self\""), "source 5:43 a host knows no security groups"),
        (from("\"pl-0123abcd\""), "source 5:43 a host knows no security groups nor prefix lists"),
        (from("\"i-0123abcd\""), "source 5:43 `i-0123abcd` is no source (of foreign instances write the address"),
        (from("\"any\""), "source 5:43 `any` is no source (everyone is [\"0.0.0.0/0\", \"::/0\"])"),
        (from("\"web\""), "source 5:43 `web` is no source (write \"203.0.113.0/24\", \"instance.NAME\""),
        (from("\"\""), "source 5:43 `` is no source"),
        (from("\"gw.example.com\""), "source 5:43 `gw.example.com` is no source (names of hosts are not looked up"),
        (from("\"instnace.web\""), "source 5:43 `instnace.web` is no source (did you mean `instance.web`?)"),
        (from("\"key_pair.a\""), "source 5:43 a key_pair is no source (a source is one of instance, elastic_ip, host"),
        (from("\"load_balancer.a\""), "source 5:43 a load_balancer is no source"),
        (from("\"instance.web:ipv6\""), "source 5:43 an instance of the spec does not tell its IPv6 addresses (ask"),
        (from("\"instance.web:pubic\""), "source 5:43 `:pubic` is no address of an instance (write \"instance.web\""),
        (from("\"instance.wbe\""), "unknown-name 5:43 there is no instance `wbe` in the spec (did you mean `web`?)"),
        (
            from("\"instance.web-2\""),
            "unknown-name 5:43 there is no instance `web-2` in the spec (did you mean `web-1`?)",
        ),
        (
            from("\"elastic_ip.vpi\""),
            "unknown-name 5:43 there is no elastic_ip `vpi` in the spec (did you mean `vip`?)",
        ),
        (from("\"host_firewall.gw\""), "source 5:43 a host needs no rule for itself"),
        (from("\"host_firewall.nobody\""), "unknown-name 5:43 there is no host_firewall `nobody` in the spec"),
        (
            format!("{}[host_firewall.b]\ntransport = {{ ssh = \"b\" }}\n", from("\"host_firewall.b\"")),
            "no-address 5:43 `host_firewall.b` does not say where it is (add its `address`",
        ),
        (
            format!(
                "{}[host_firewall.b]\naddress = \"x\"\ntransport = {{ ssh = \"b\" }}\n",
                from("\"host_firewall.b\"")
            ),
            "address 16:11 `x` is no address",
        ),
        (from("{}"), "missing-key 5:43 a source that is a table needs `instances`"),
        (from("{ instances = \"all\" }"), "wrong-type 5:57 a query for instances is wanted here, not a string"),
        (
            asked("address = \"public\""),
            "missing-key 5:57 a query for instances needs `regions` (write `regions = \"all\"`",
        ),
        (
            asked("regions = \"eu-west-1\""),
            "regions 5:69 `regions` is \"all\" or a list of regions (write [\"eu-west-1\"])",
        ),
        (asked("regions = []"), "empty 5:69 this names no region"),
        (asked("regions = [\"hosts\"]"), "region 5:70 a region is like `eu-west-1`"),
        (asked("regions = [\"eu-west-1\", \"eu-west-1\"]"), "twice 5:83 eu-west-1 stands here twice"),
        (
            asked("regions = [\"eu-west-1\"], except = [\"us-east-1\"]"),
            "combination 5:93 `except` is for `regions = \"all\"` (leave them out of `regions`)",
        ),
        (asked("regions = \"all\", except = \"us-west-1\""), "wrong-type 5:85 a list is wanted here, not a string"),
        (asked("regions = \"all\", states = []"), "empty 5:85 instances in no state are none"),
        (asked("regions = \"all\", states = [\"terminated\"]"), "unknown-word 5:86 `terminated` is none of pending,"),
        (asked("regions = \"all\", tags = {}"), "empty 5:83 a lookup needs at least one tag"),
        (asked("regions = \"all\", address = \"pubic\""), "unknown-word 5:86 `pubic` is none of public, private, ipv6"),
        (asked("region = \"all\", regions = \"all\""), "unknown-key 5:59 a query for instances has no `region`"),
    ]);
}

#[test]
fn every_problem_is_found_at_once() {
    let errors = errors_of(&text(
        "transport = { ssh = \"-x\", port = 0 }\nmode = \"x\"\nregion = \"eu-west-1\"\nmax_shrink = 0\nrules = [\n{ name = \"A\", protocol = \"x\", ports = 0, from = [\"10.0.0.1/8\", 4] },\n{ ports = 80, from = \"instance.nobody\" },\n{ name = \"b\", ports = 80, from = { instances = { states = [\"x\"], except = [\"y\"] } } },\n]\nalways_allow = [{ from = \"self\" }]",
    ));
    let codes: Vec<String> = errors.iter().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        codes,
        [
            "error transport 4:21",
            "error out-of-range 4:34",
            "error unknown-word 5:8",
            "error unknown-key 6:1",
            "error percent 7:14",
            "error name 9:10",
            "error protocol 9:26",
            "error ports 9:39",
            "error source 9:50",
            "error wrong-type 9:64",
            "error missing-key 10:1",
            "error unknown-name 10:22",
            "error missing-key 11:48",
            "error unknown-word 11:60",
            "error region 11:76",
            "error missing-key 13:17",
            "error source 13:26",
        ]
    );
}
