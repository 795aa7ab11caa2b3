//! What AWS would refuse of a load balancer, each with what is said and where.

use super::super::tests::errors_of;
use super::{ACM, front, text};

/// A balancer with one listener in line 4 and further fields of it.
fn listening(protocol: &str, more: &str) -> String {
    text(&format!("listeners = [{{ port = 80, instance_port = 8000, protocol = \"{protocol}\"{more} }}]"))
}

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

#[test]
fn what_no_listener_is() {
    let many: String =
        (1..=101).map(|port| format!("{{ port = {port}, protocol = \"tcp\", instance_port = 25 }}, ")).collect();
    refused_for(vec![
        (text(""), "missing-key 3:1 a load balancer needs `listeners`"),
        (text("listeners = []"), "empty 4:13 a load balancer has at least one listener"),
        (text("listeners = {}"), "wrong-type 4:13 a list of listeners is wanted here, not a table"),
        (text(&format!("listeners = [{many}]")), "too-many 4:13 a load balancer has at most 100 listeners"),
        (text("listeners = [{ port = 80, instance_port = 80 }]"), "missing-key 4:14 a listener needs `protocol`"),
        (text("listeners = [{ port = 80, protocol = \"http\" }]"), "missing-key 4:14 a listener needs `instance_port`"),
        (
            text("listeners = [{ port = 0, protocol = \"http\", instance_port = 1 }]"),
            "out-of-range 4:23 a port is a whole number from 1 to 65535",
        ),
        (
            text("listeners = [{ port = 80, protocol = \"http\", instance_port = \"80\" }]"),
            "wrong-type 4:62 a whole number is wanted here, not a string",
        ),
        (
            text("listeners = [{ port = 80, protocol = \"htp\", instance_port = 80 }]"),
            "unknown-word 4:38 `htp` is none of http, https, tcp, ssl (did you mean \"http\"?)",
        ),
        (
            text("listeners = [{ port = 80, protocol = \"http\", instance_port = 80, instance_prot = \"http\" }]"),
            "unknown-key 4:66 a listener has no `instance_prot` (did you mean `instance_port`?)",
        ),
        (
            text(
                "listeners = [{ port = 80, protocol = \"http\", instance_port = 80 }, { port = 80, protocol = \"tcp\", instance_port = 81 }]",
            ),
            "twice 4:77 port 80 has a listener already",
        ),
        (
            listening("http", ", instance_protocol = \"tcp\""),
            "combination 4:88 behind http instances are spoken to in http or https, not tcp",
        ),
        (
            listening("tcp", ", instance_protocol = \"https\""),
            "combination 4:87 behind tcp instances are spoken to in tcp or ssl, not https",
        ),
        (
            listening("tcp", ", stickiness = { duration = \"1h\" }"),
            "combination 4:80 `stickiness` is for http and https, not for tcp",
        ),
        (listening("http", ", stickiness = {}"), "missing-key 4:81 stickiness needs one of `duration` and `cookie`"),
        (
            listening("http", ", stickiness = { duration = \"1h\", cookie = \"a\" }"),
            "combination 4:81 stickiness is one of",
        ),
        (listening("http", ", stickiness = { duration = \"0s\" }"), "out-of-range 4:94 stickiness lasts 1s at least"),
        (listening("http", ", stickiness = { cookie = \"\" }"), "cookie 4:92 a cookie needs a name"),
        (listening("http", ", stickiness = { cookie = \"a b\" }"), "cookie 4:92 `a b` is no cookie's name"),
        (listening("http", ", stickiness = \"1h\""), "wrong-type 4:81"),
    ]);
}

#[test]
fn what_tls_needs() {
    let tls = |more: &str| listening("https", &format!(", certificate = \"{ACM}\"{more}"));
    refused_for(vec![
        (listening("https", ""), "missing-key 4:14 an https listener needs `certificate`"),
        (listening("ssl", ""), "missing-key 4:14 an ssl listener needs `certificate`"),
        (
            listening("http", &format!(", certificate = \"{ACM}\"")),
            "combination 4:82 `certificate` is for https and ssl, not for http (write `protocol = \"https\"`, or leave it out)",
        ),
        (
            listening("tcp", ", ssl_policy = \"ELBSecurityPolicy-2016-08\""),
            "combination 4:80 `ssl_policy` is for https and ssl, not for tcp (write `protocol = \"ssl\"`",
        ),
        (
            listening("https", ", certificate = \"front\""),
            "certificate 4:83 `front` is no certificate's ARN (write arn:aws:acm:REGION",
        ),
        (listening("https", ", certificate = \"arn:aws:acm:eu-west-1:1:certificate/a\""), "certificate 4:83"),
        (listening("https", ", certificate = \"arn:aws:s3:::bucket\""), "certificate 4:83"),
        (
            listening("https", ", certificate = \"arn:aws:acm:us-east-1:123456789012:certificate/a\""),
            "other-region 4:83 this certificate is in us-east-1, and the balancer in eu-west-1",
        ),
        (
            tls(", ssl_policy = \"ELBSecurityPolicy-TLS-1-3-2017-01\""),
            "unknown-word 4:151 `ELBSecurityPolicy-TLS-1-3-2017-01` is none of",
        ),
    ]);
}

#[test]
fn where_it_cannot_stand() {
    refused_for(vec![
        (front("name = \"\""), "name 5:8 a load balancer's name has 1 to 32 characters"),
        (front("name = \"abcdefghijklmnopqrstuvwxyz0123456\""), "name 5:8 a load balancer's name has 1 to 32"),
        (front("name = \"front_1\""), "name 5:8 a load balancer's name has letters, digits and hyphens only"),
        (front("name = \"front-\""), "name 5:8 a load balancer's name has no hyphens at its ends"),
        (front("scheme = \"private\""), "unknown-word 5:10 `private` is none of internet-facing, internal"),
        (front("zones = [\"eu-west-1a\"]\nsubnets = [\"subnet-0123abcd\"]"), "combination 5:9 `zones` and `subnets`"),
        (front("zones = []"), "empty 5:9"),
        (front("zones = [\"us-east-1a\"]"), "zone 5:10 `us-east-1a` is no zone of eu-west-1"),
        (front("zones = [\"eu-west-1a\", \"eu-west-1a\"]"), "twice 5:24"),
        (front("subnets = [\"subnet-0123abcd\", \"subnet-0123abcd\"]"), "twice 5:31 this subnet stands here twice"),
        (front("security_groups = []"), "empty 5:19 a load balancer has at least one group"),
        (
            front(
                "security_groups = [\"sg-00000001\", \"sg-00000002\", \"sg-00000003\", \"sg-00000004\", \"sg-00000005\", \"sg-00000006\"]",
            ),
            "too-many 5:19 a load balancer has at most 5 groups",
        ),
        (
            front("security_groups = [\"prxy\"]"),
            "unknown-name 5:20 there is no security_group `prxy` in the spec (did you mean `proxy`?)",
        ),
        (front("security_groups = [\"proxy\", \"proxy\"]"), "twice 5:29"),
        (
            format!("{}region = \"us-east-1\"\n", front("security_groups = [\"proxy\"]")),
            "other-region 5:20 `proxy` lives in us-east-1",
        ),
        (
            format!(
                "{}vpc = \"vpc-00000001\"\n[network]\nvpc = \"vpc-00000002\"\n",
                front("security_groups = [\"proxy\"]")
            ),
            "other-vpc 5:20 `proxy` lives in vpc-00000001, and this in vpc-00000002 (a load balancer and its groups live in one VPC)",
        ),
    ]);
}

#[test]
fn what_cannot_be_checked() {
    let long = format!("health_check = {{ target = \"HTTP:80/{}\" }}", "a".repeat(1017));
    refused_for(vec![
        (
            front("health_check = { target = \"80\" }"),
            "health-check 5:27 `80` is no target of a health check (write \"TCP:8000\"",
        ),
        (
            front("health_check = { target = \"htpp:80/\" }"),
            "health-check 5:27 `HTPP` is none of TCP, SSL, HTTP, HTTPS (did you mean `HTTP:80/`?)",
        ),
        (front("health_check = { target = \"TCP:65536\" }"), "health-check 5:27 `65536` is no port"),
        (front("health_check = { target = \"TCP:0\" }"), "health-check 5:27 `0` is no port"),
        (front("health_check = { target = \"TCP:+80\" }"), "health-check 5:27 `+80` is no port"),
        (
            front("health_check = { target = \"HTTP:80\" }"),
            "health-check 5:27 HTTP asks for a path (write \"HTTP:80/\")",
        ),
        (
            front("health_check = { target = \"SSL:80/x\" }"),
            "health-check 5:27 SSL only connects, and takes no path (write \"SSL:80\"",
        ),
        (front("health_check = { target = \"HTTP:80/a b\" }"), "health-check 5:27 a path has no spaces"),
        (front(&long), "health-check 5:27 a target has at most 1024 characters"),
        (front("health_check = { interval = \"4s\" }"), "out-of-range 5:29 the interval of a health check is 5s to 5m"),
        (front("health_check = { interval = \"301s\" }"), "out-of-range 5:29"),
        (front("health_check = { timeout = \"1s\" }"), "out-of-range 5:28 the timeout of a health check is 2s to 1m"),
        (
            front("health_check = { timeout = \"30s\" }"),
            "out-of-range 5:28 the timeout is not less than the interval of 30s",
        ),
        (
            front("health_check = { interval = \"5s\" }"),
            "out-of-range 5:29 the interval is not more than the timeout, 5s when absent (write a shorter `timeout`",
        ),
        (
            front("health_check = { unhealthy_after = 1 }"),
            "out-of-range 5:36 a number of checks is a whole number from 2 to 10",
        ),
        (front("health_check = { healthy_after = 11 }"), "out-of-range 5:34"),
        (front("health_check = { path = \"/\" }"), "unknown-key 5:18 a health check has no `path`"),
    ]);
}

#[test]
fn who_cannot_be_a_member() {
    refused_for(vec![
        (front("instances = \"web\""), "wrong-type 5:13 a list of instances is wanted here, not a string"),
        (
            front("instances = [\"wbe\"]"),
            "unknown-name 5:14 there is no instance `wbe` in the spec (did you mean `web`?)",
        ),
        (
            front("instances = [\"web-3\"]"),
            "unknown-name 5:14 there is no instance `web-3` in the spec (did you mean `web-2`?)",
        ),
        (front("instances = [\"i-012\"]"), "unknown-name 5:14"),
        (front("instances = [\"web\", \"web-1\"]"), "twice 5:21 `web-1` stands here twice"),
        (front("instances = [\"i-0123abcd\", \"i-0123abcd\"]"), "twice 5:28 `i-0123abcd` stands here twice"),
        (
            front("instances = [\"one\"]\nregion = \"us-east-1\""),
            "other-region 5:14 `one` lives in eu-west-1, and this in us-east-1",
        ),
        (
            front("instances = [\"web\"]\nzones = [\"eu-west-1a\"]"),
            "other-zone 5:14 members of `web` are in eu-west-1b, which this balancer does not serve (add \"eu-west-1b\" to its `zones`",
        ),
        (front("instances = [\"web-1\"]\nzones = [\"eu-west-1a\"]"), "other-zone 5:14 `web-1` is in eu-west-1b"),
        (front("registration = \"all\""), "unknown-word 5:16 `all` is none of exclusive, additive"),
        (front("min_healthy = -1"), "out-of-range 5:15 `min_healthy` is a whole number from 0 to 1000"),
        (
            front("min_healthy = 1"),
            "out-of-range 5:15 `min_healthy` needs members, and there are none (add 2 members to `instances`, or write `min_healthy = 0`)",
        ),
        (
            front("min_healthy = 2\ninstances = [\"one\"]"),
            "out-of-range 5:15 `min_healthy` is more than the 1 member there is (add 2 members to `instances`, or write `min_healthy = 0`)",
        ),
        (
            front("min_healthy = 4\ninstances = [\"web\"]"),
            "out-of-range 5:15 `min_healthy` is more than the 3 members there are (add 2 members to `instances`, or write `min_healthy = 2`)",
        ),
    ]);
}

#[test]
fn what_cannot_be_set() {
    let tcp =
        |more: &str| text(&format!("listeners = [{{ port = 25, protocol = \"tcp\", instance_port = 25 }}]\n{more}"));
    refused_for(vec![
        (front("cross_zone = \"yes\""), "wrong-type 5:14"),
        (front("idle_timeout = \"0s\""), "out-of-range 5:16 an idle timeout is 1s to 4000s"),
        (front("idle_timeout = \"4001s\""), "out-of-range 5:16"),
        (front("idle_timeout = 60"), "wrong-type 5:16"),
        (
            front("connection_draining = \"none\""),
            "duration 5:23 `none` is no duration (write one such as \"300s\", or \"off\")",
        ),
        (front("connection_draining = \"3601s\""), "out-of-range 5:23 connection draining is 1s to 1h"),
        (front("connection_draining = false"), "wrong-type 5:23 a duration or \"off\" is wanted here, not a boolean"),
        (front("access_log = {}"), "missing-key 5:14 an access log needs `bucket`"),
        (front("access_log = { bucket = \"Logs\" }"), "bucket 5:25 `Logs` is no bucket's name"),
        (front("access_log = { bucket = \"10.0.0.1\" }"), "bucket 5:25"),
        (front("access_log = { bucket = \"a..b\" }"), "bucket 5:25"),
        (
            front("access_log = { bucket = \"logs\", interval = \"10m\" }"),
            "out-of-range 5:44 an access log is written every 5m or 60m",
        ),
        (
            front("proxy_protocol = [8000]"),
            "proxy-protocol 5:19 the proxy protocol is for tcp and ssl, and 8000 is sent http",
        ),
        (
            tcp("proxy_protocol = [25, 8000]"),
            "proxy-protocol 5:23 no listener sends to instance port 8000 (listeners send to 25)",
        ),
        (tcp("proxy_protocol = [25, 25]"), "twice 5:23 25 stands here twice"),
        (tcp("proxy_protocol = 25"), "wrong-type 5:18"),
        (
            front("tags = { \"a\" = \"b#c\" }"),
            "tag 5:16 AWS takes no `#` in the tags of a load balancer (it takes letters, digits, space and _.:/=+-@)",
        ),
        (front("tags = { \"a,b\" = \"c\" }"), "tag 5:10 AWS takes no `,`"),
        (front("tags = { \"a\" = \"b\\tc\" }"), "tag 5:16 AWS takes no `\\t`"),
        (front("count = 2"), "unknown-key 5:1 a load balancer has no `count`"),
        (
            front(
                "name = \"a\"\n[load_balancer.other]\nname = \"a\"\nlisteners = [{ port = 80, protocol = \"http\", instance_port = 80 }]",
            ),
            "claimed-twice 7:8 `load_balancer.front` and `load_balancer.other` both claim the load balancer name `a` in eu-west-1",
        ),
    ]);
}

#[test]
fn every_problem_is_found_at_once() {
    let errors = errors_of(&text(
        "name = \"-\"\nlisteners = [{ port = 0 }, 4, { port = 80, protocol = \"ssl\", instance_port = 80 }]\nhealth_check = { target = \"x\", interval = \"1s\" }\nproxy_protocol = [9]\nmin_healthy = 9\ninstances = [1, \"nobody\"]",
    ));
    let codes: Vec<String> = errors.iter().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    // A listener that cannot be read may be the one of port 9, and an instance that cannot be read one of nine.
    assert_eq!(
        codes,
        [
            "error name 4:8",
            "error missing-key 5:14",
            "error missing-key 5:14",
            "error out-of-range 5:23",
            "error wrong-type 5:28",
            "error missing-key 5:31",
            "error health-check 6:27",
            "error out-of-range 6:43",
            "error wrong-type 9:14",
            "error unknown-name 9:17",
        ]
    );
}
