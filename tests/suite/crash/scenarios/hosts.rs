//! Host firewalls.

use super::{Scenario, Way, changed, made};

/// A gateway that lets a machine in by its own address.
const OFFICE: &str = r#"
[instance.build]
image = "ami-00000001"
type = "t3.small"
[host_firewall.gw]
transport = { ssh = "root@gw.example.com" }
rules = [{ name = "build", ports = [80, 8140], from = "instance.build:public" }]
"#;

pub(super) const ALL: &[Scenario] = &[
    made("a gateway lets a new machine in", OFFICE),
    changed("the machine that a gateway lets in is replaced", OFFICE, "[instance.build]\nimage = \"ami-00000002\"\n"),
    changed("the machine that a gateway lets in restarts", OFFICE, "[instance.build]\ntype = \"t3.large\"\n"),
    changed(
        "the machine that a gateway lets in leaves the spec",
        OFFICE,
        r#"
        [instance.build]
        enabled = false
        [host_firewall.gw]
        rules = [{ name = "office", ports = 443, from = "198.51.100.0/24" }]
        "#,
    ),
    changed(
        "a gateway of the older dialect is guarded, and lets others in",
        r#"
        [host_firewall.gw]
        transport = { ssh = "root@gw.example.com" }
        backend = "iptables"
        rules = [{ name = "web", ports = 80, from = "0.0.0.0/0" }]
        "#,
        r#"
        [host_firewall.gw]
        mode = "guard"
        always_allow = [{ ports = 22, from = "192.0.2.0/24" }]
        rules = [{ name = "web", ports = 80, from = "198.51.100.0/24" }]
        "#,
    ),
    changed(
        "what stands on a host is withdrawn",
        "[host_firewall.gw]\ntransport = { ssh = \"root@gw.example.com\" }\nrules = [{ name = \"web\", ports = 80, from = \"0.0.0.0/0\" }]\n",
        "[host_firewall.gw]\nstate = \"absent\"\n",
    ),
    Scenario { way: Way::Destroy, ..changed("a gateway and whom it lets in are destroyed", OFFICE, "") },
];
