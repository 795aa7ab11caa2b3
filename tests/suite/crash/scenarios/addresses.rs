//! Elastic IPs.

use super::{Scenario, Way, changed, made};

/// Two machines and an address that answers for the first.
const PAIR: &str = r#"
[instance.a]
image = "ami-00000001"
type = "t3.small"
[instance.b]
image = "ami-00000001"
type = "t3.small"
[elastic_ip.edge]
instance = "a"
"#;

pub(super) const ALL: &[Scenario] = &[
    made(
        "an address is allocated for a new machine, and a rule names it",
        r#"
        [instance.web]
        image = "ami-00000001"
        type = "t3.small"
        [elastic_ip.edge]
        instance = "web"
        [security_group.db]
        ingress = [{ ports = 5432, from = "elastic_ip.edge" }]
        "#,
    ),
    changed("an address moves to another machine", PAIR, "[elastic_ip.edge]\ninstance = \"b\"\n"),
    changed("an address leaves the spec", PAIR, "[elastic_ip.edge]\nenabled = false\n"),
    changed(
        "an address moves from a machine that is left to others",
        r#"
        [instance.a]
        image = "ami-00000001"
        type = "t3.small"
        keep = true
        [instance.b]
        image = "ami-00000001"
        type = "t3.small"
        [elastic_ip.edge]
        instance = "a"
        "#,
        "[instance.a]\nenabled = false\n[elastic_ip.edge]\ninstance = \"b\"\n",
    ),
    changed("the machine of an address is replaced", PAIR, "[instance.a]\nimage = \"ami-00000002\"\n"),
    changed(
        "two addresses take each other's machine",
        r#"
        [instance.a]
        image = "ami-00000001"
        type = "t3.small"
        [instance.b]
        image = "ami-00000001"
        type = "t3.small"
        [elastic_ip.one]
        instance = "a"
        [elastic_ip.two]
        "#,
        "[elastic_ip.one]\nenabled = false\n[elastic_ip.two]\ninstance = \"a\"\n",
    ),
    changed(
        "an address that is to be kept leaves the spec with its machine",
        "[security_group.other]\n[instance.a]\nimage = \"ami-00000001\"\ntype = \"t3.small\"\n[elastic_ip.edge]\ninstance = \"a\"\nkeep = true\n",
        "[instance.a]\nenabled = false\n[elastic_ip.edge]\nenabled = false\n",
    ),
    Scenario { way: Way::Destroy, ..changed("machines and their address are destroyed", PAIR, "") },
];
