//! Instances.

use super::{Scenario, Way, changed, made};

const ONE: &str = r#"
[security_group.web]
ingress = [{ ports = 80, from = "0.0.0.0/0" }]
[instance.web]
image = "ami-00000001"
type = "t3.small"
security_groups = ["web"]
"#;

pub(super) const ALL: &[Scenario] = &[
    made(
        "a machine is told another's address, and a secret",
        r#"
        [instance.db]
        image = "ami-00000001"
        type = "t3.small"
        [instance.web]
        image = "ami-00000001"
        type = "t3.small"
        user_data = { template = "boot.sh", sensitive = true }
        "#,
    ),
    changed("a machine is replaced", ONE, "[instance.web]\nimage = \"ami-00000002\"\n"),
    Scenario { way: Way::Replace("instance.web"), ..changed("a machine is replaced though nothing differs", ONE, "") },
    changed("a machine grows, which takes a restart", ONE, "[instance.web]\ntype = \"t3.large\"\n"),
    changed(
        "a machine is told something else, which takes a restart",
        r#"
        [instance.web]
        image = "ami-00000001"
        type = "t3.small"
        user_data = { file = "boot", sensitive = true }
        on_user_data_change = "restart"
        "#,
        "[instance.web]\nuser_data = { file = \"boot-2\", sensitive = true }\n",
    ),
    changed(
        "a machine changes in all that needs no restart",
        ONE,
        r#"
        [instance.web]
        root_volume = { size = "40GiB" }
        monitoring = "detailed"
        metadata_service = "v1"
        source_dest_check = false
        shutdown = "terminate"
        iam_profile = "web"
        tags = { team = "web" }
        "#,
    ),
    changed(
        "a machine with an address of its own is replaced: the old one goes first",
        "[instance.web]\nimage = \"ami-00000001\"\ntype = \"t3.small\"\nzones = [\"eu-west-1a\"]\nprivate_ip = \"172.31.0.50\"\n",
        "[instance.web]\nimage = \"ami-00000002\"\n",
    ),
    changed(
        "there are more machines of a group",
        "[instance.web]\ncount = 1\nimage = \"ami-00000001\"\ntype = \"t3.small\"\n",
        "[instance.web]\ncount = 3\n",
    ),
    changed(
        "there are fewer machines of a group, and those who stay are of another image",
        "[instance.web]\ncount = 3\nimage = \"ami-00000001\"\ntype = \"t3.small\"\n",
        "[instance.web]\ncount = 1\nimage = \"ami-00000002\"\n",
    ),
    changed(
        "a single machine becomes the first of a group",
        "[instance.web]\nimage = \"ami-00000001\"\ntype = \"t3.small\"\n",
        "[instance.web]\nenabled = false\n[instance.node]\ncount = 2\npreviously = \"web\"\nimage = \"ami-00000001\"\ntype = \"t3.small\"\n",
    ),
    Scenario {
        by_hand: "[instance.web]\nimage = \"ami-00000001\"\ntype = \"t3.small\"\ntags = { Name = \"hand-web\" }\n",
        ..made(
            "a machine that was launched by hand is adopted, and gets an address",
            r#"
            [instance.web]
            adopt = "hand-web"
            image = "ami-00000001"
            type = "t3.small"
            source_dest_check = false
            tags = { Name = "hand-web" }
            [elastic_ip.edge]
            instance = "web"
            "#,
        )
    },
    Scenario { way: Way::Destroy, ..changed("a machine and its group are destroyed", ONE, "") },
];
