//! Security groups and key pairs.

use super::{Scenario, Way, changed, made};

pub(super) const ALL: &[Scenario] = &[
    made(
        "two groups name each other",
        r#"
        [security_group.web]
        ingress = [{ ports = 80, from = "security_group.db" }, { ports = 22, from = "192.0.2.0/24" }]
        [security_group.db]
        ingress = [{ ports = 5432, from = "security_group.web" }, { protocol = "udp", ports = 694, from = "self" }]
        egress = []
        "#,
    ),
    changed(
        "rules open and close, and one is described anew",
        r#"
        [security_group.web]
        ingress = [{ ports = 80, from = "0.0.0.0/0", description = "web" }, { ports = 22, from = "192.0.2.0/24" }]
        egress = [{ ports = 443, to = "0.0.0.0/0" }]
        "#,
        r#"
        [security_group.web]
        ingress = [{ ports = 80, from = "0.0.0.0/0", description = "the site" }, { ports = 443, from = "0.0.0.0/0" }]
        egress = [{ ports = [80, 443], to = "0.0.0.0/0" }]
        tags = { team = "web" }
        "#,
    ),
    changed(
        "an additive group gets and loses rules of its own",
        "[security_group.web]\nrules = \"additive\"\ningress = [{ ports = 80, from = \"0.0.0.0/0\" }]\n",
        "[security_group.web]\ningress = [{ ports = 8080, from = \"0.0.0.0/0\" }]\n",
    ),
    changed(
        "a group is replaced under those who are in it and those who name it",
        r#"
        [security_group.web]
        description = "one"
        ingress = [{ ports = 80, from = "0.0.0.0/0" }]
        [security_group.db]
        ingress = [{ ports = 5432, from = "security_group.web" }]
        [instance.web]
        image = "ami-00000001"
        type = "t3.small"
        security_groups = ["web"]
        "#,
        "[security_group.web]\ndescription = \"another\"\n",
    ),
    changed(
        "a group with a name of its own is replaced: the old one goes first",
        "[security_group.web]\nname = \"web-edge\"\ndescription = \"one\"\ningress = [{ ports = 80, from = \"0.0.0.0/0\" }]\n",
        "[security_group.web]\ndescription = \"another\"\n",
    ),
    changed(
        "a machine moves to another group, and its old one leaves the spec",
        r#"
        [security_group.old]
        ingress = [{ ports = 22, from = "192.0.2.0/24" }]
        [instance.web]
        image = "ami-00000001"
        type = "t3.small"
        security_groups = ["old"]
        "#,
        r#"
        [security_group.old]
        enabled = false
        [security_group.new]
        ingress = [{ ports = 22, from = "192.0.2.0/24" }]
        [instance.web]
        security_groups = ["new"]
        "#,
    ),
    Scenario {
        by_hand: "[security_group.web]\nname = \"hand-web\"\ndescription = \"by hand\"\ningress = [{ ports = 23, from = \"0.0.0.0/0\" }]\n",
        ..made(
            "a group that was made by hand is adopted",
            "[security_group.web]\nadopt = \"hand-web\"\nname = \"hand-web\"\ndescription = \"by hand\"\ningress = [{ ports = 22, from = \"192.0.2.0/24\" }]\n",
        )
    },
    changed(
        "a group gets another name in the spec, and other rules",
        "[security_group.web]\ndescription = \"edge\"\ningress = [{ ports = 80, from = \"0.0.0.0/0\" }]\n",
        r#"
        [security_group.web]
        enabled = false
        [security_group.edge]
        previously = "web"
        description = "edge"
        ingress = [{ ports = 443, from = "0.0.0.0/0" }]
        "#,
    ),
    changed(
        "a group that is to be kept leaves the spec",
        "[security_group.other]\n[security_group.web]\nkeep = true\ningress = [{ ports = 80, from = \"0.0.0.0/0\" }]\n",
        "[security_group.web]\nenabled = false\n",
    ),
    changed(
        "a key changes, and so does the machine that was launched with it",
        r#"
        [key_pair.ops]
        public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaeUuAyLGUdXDj5Mg4pOAvI5vM4qWpNx1Vh0yXv6F2a"
        [instance.web]
        image = "ami-00000001"
        type = "t3.small"
        key_pair = "ops"
        "#,
        "[key_pair.ops]\npublic_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\"\n",
    ),
    changed(
        "a key with a name of its own changes: the old one goes first",
        "[key_pair.ops]\nname = \"ops-key\"\npublic_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaeUuAyLGUdXDj5Mg4pOAvI5vM4qWpNx1Vh0yXv6F2a\"\n",
        "[key_pair.ops]\npublic_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\"\n",
    ),
    Scenario {
        by_hand: "[key_pair.ops]\nname = \"hand-key\"\npublic_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaeUuAyLGUdXDj5Mg4pOAvI5vM4qWpNx1Vh0yXv6F2a\"\n",
        ..made(
            "a key that was made by hand is adopted, and a machine is launched with it",
            r#"
            [key_pair.ops]
            adopt = "hand-key"
            name = "hand-key"
            public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaeUuAyLGUdXDj5Mg4pOAvI5vM4qWpNx1Vh0yXv6F2a"
            [instance.web]
            image = "ami-00000001"
            type = "t3.small"
            key_pair = "ops"
            "#,
        )
    },
    Scenario {
        way: Way::Destroy,
        ..changed(
            "groups that name each other are destroyed",
            r#"
            [security_group.web]
            ingress = [{ ports = 80, from = "security_group.db" }]
            [security_group.db]
            ingress = [{ ports = 5432, from = "security_group.web" }]
            "#,
            "",
        )
    },
];
