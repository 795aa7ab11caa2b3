//! Load balancers.

use super::{Scenario, Way, changed, made};

/// Two machines in service behind a balancer.
const SITE: &str = r#"
[security_group.web]
ingress = [{ ports = 80, from = "0.0.0.0/0" }]
[instance.web]
count = 2
image = "ami-00000001"
type = "t3.small"
security_groups = ["web"]
zones = ["eu-west-1a"]
[load_balancer.front]
security_groups = ["web"]
zones = ["eu-west-1a"]
listeners = [{ port = 80, protocol = "http", instance_port = 80 }]
health_check = { target = "TCP:80", interval = "5s", timeout = "2s", unhealthy_after = 2, healthy_after = 2 }
instances = ["web"]
min_healthy = 1
connection_draining = "20s"
"#;

/// A balancer that nobody is behind.
const BARE: &str = r#"
[load_balancer.front]
zones = ["eu-west-1a"]
listeners = [{ port = 80, protocol = "http", instance_port = 80 }, { port = 8080, protocol = "tcp", instance_port = 8080 }]
"#;

pub(super) const ALL: &[Scenario] = &[
    made("a balancer is made with those behind it", SITE),
    changed("those behind a balancer are replaced in turn", SITE, "[instance.web]\nimage = \"ami-00000002\"\n"),
    changed("those behind a balancer restart in turn", SITE, "[instance.web]\ntype = \"t3.large\"\n"),
    changed(
        "a balancer serves for others",
        SITE,
        r#"
        [instance.other]
        image = "ami-00000001"
        type = "t3.small"
        security_groups = ["web"]
        zones = ["eu-west-1a"]
        [load_balancer.front]
        instances = ["web-0", "other"]
        "#,
    ),
    changed(
        "a balancer listens elsewhere: a port is given up and taken again",
        BARE,
        r#"
        [load_balancer.front]
        listeners = [
          { port = 80, protocol = "tcp", instance_port = 8000 },
          { port = 443, protocol = "https", instance_port = 80, certificate = "arn:aws:acm:eu-west-1:123456789012:certificate/a", stickiness = { cookie = "id" } },
        ]
        "#,
    ),
    changed(
        "a balancer changes in all that it can where it is",
        BARE,
        r#"
        [load_balancer.front]
        health_check = { target = "HTTP:80/up", interval = "10s", timeout = "3s", unhealthy_after = 3, healthy_after = 3 }
        cross_zone = false
        idle_timeout = "120s"
        connection_draining = "off"
        proxy_protocol = [8080]
        tags = { team = "web" }
        "#,
    ),
    changed(
        "a balancer moves to other zones",
        BARE,
        "[load_balancer.front]\nzones = [\"eu-west-1b\", \"eu-west-1c\"]\n",
    ),
    changed(
        "a balancer is replaced with those behind it in service, and its group with it",
        SITE,
        "[load_balancer.front]\nscheme = \"internal\"\n[security_group.web]\ndescription = \"another\"\n",
    ),
    changed(
        "a balancer leaves the spec, and with it the group that its interfaces hold",
        r#"
        [security_group.other]
        [security_group.edge]
        ingress = [{ ports = 80, from = "0.0.0.0/0" }]
        [load_balancer.front]
        security_groups = ["edge"]
        zones = ["eu-west-1a"]
        listeners = [{ port = 80, protocol = "http", instance_port = 80 }]
        "#,
        "[load_balancer.front]\nenabled = false\n[security_group.edge]\nenabled = false\n",
    ),
    Scenario { way: Way::Destroy, ..changed("a balancer and those behind it are destroyed", SITE, "") },
];
