//! Stacks of every kind.

use super::{Scenario, Way, changed, made};

const ALL_KINDS: &str = r#"
[key_pair.ops]
public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaeUuAyLGUdXDj5Mg4pOAvI5vM4qWpNx1Vh0yXv6F2a"
[security_group.web]
ingress = [{ ports = 80, from = "0.0.0.0/0" }]
[instance.web]
image = "ami-00000001"
type = "t3.small"
security_groups = ["web"]
key_pair = "ops"
zones = ["eu-west-1a"]
[elastic_ip.edge]
instance = "web"
[load_balancer.front]
zones = ["eu-west-1a"]
listeners = [{ port = 80, protocol = "http", instance_port = 80 }]
instances = ["web"]
min_healthy = 0
[host_firewall.gw]
transport = { ssh = "root@gw.example.com" }
rules = [{ name = "web", ports = 8140, from = "instance.web:public" }]
"#;

pub(super) const ALL: &[Scenario] = &[
    made("a stack of every kind is made", ALL_KINDS),
    changed("every kind is tagged", ALL_KINDS, "[tags]\nteam = \"web\"\n"),
    Scenario { way: Way::Destroy, ..changed("a stack of every kind is destroyed", ALL_KINDS, "") },
];
