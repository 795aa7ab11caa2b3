//! The schemas of what is read by hand, in an editor's words.

use schemars::JsonSchema;

use crate::resources::shape;

shape::shapes! {
    /// How a host is reached.
    TransportShape = {
        "description": "how the host is reached: \"local\", by ssh, or through a command (which runs only with --allow-command)",
        "anyOf": [
            { "type": "string", "enum": ["local"] },
            {
                "type": "object",
                "properties": {
                    "ssh": { "type": "string", "minLength": 1, "description": "`user@host`, `host:port`, `[2001:db8::1]`, or a `Host` of the ssh configuration" },
                    "port": { "type": "integer", "minimum": 1, "maximum": 65535, "description": "the port of ssh, where it does not stand in `ssh`" },
                    "command": { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 1 }, "description": "a command and its arguments, to which `sh -s` is appended" },
                    "local": { "const": true, "description": "this machine" },
                    "sudo": { "type": "boolean", "description": "whether `sudo -n` goes before what is run; for ssh and local" }
                },
                "oneOf": [{ "required": ["ssh"] }, { "required": ["command"] }, { "required": ["local"] }],
                "additionalProperties": false
            }
        ]
    };
    /// A dialect.
    BackendShape = { "type": "string", "enum": ["auto", "nftables", "iptables", "iptables-nft"] };
    /// A mode.
    ModeShape = { "type": "string", "enum": ["allow", "guard", "deny"] };
    /// Families.
    FamiliesShape = {
        "anyOf": [
            { "type": "string", "enum": ["ipv4", "ipv6"] },
            { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "string", "enum": ["ipv4", "ipv6"] } }
        ]
    };
    /// What becomes of connections that stand.
    EstablishedShape = { "type": "string", "enum": ["keep", "cut"] };
    /// What becomes of a region that cannot be listed.
    OnRegionErrorShape = { "type": "string", "enum": ["keep", "fail"] };
    /// Whether it shall be there.
    PresenceShape = { "type": "string", "enum": ["present", "absent"] };
    /// A share.
    PercentShape = { "type": "string", "pattern": "^[0-9]{1,3}%$", "description": "a share of `1%` to `100%`" };
    /// A pattern of comments.
    PatternShape = { "type": "string", "minLength": 1, "maxLength": 255 };
    /// A chain.
    ChainShape = { "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,27}$" };
    /// Addresses of a host.
    HostAddressShape = {
        "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }]
    };
    /// Ports of a rule on a host.
    HostPortsShape = {
        "description": "a port, \"a-b\", \"all\", or a list of them",
        "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 65535 },
            { "type": "string", "pattern": "^([0-9]{1,5} *- *[0-9]{1,5}|[aA][lL][lL])$" },
            {
                "type": "array",
                "minItems": 1,
                "items": {
                    "anyOf": [
                        { "type": "integer", "minimum": 1, "maximum": 65535 },
                        { "type": "string", "pattern": "^([0-9]{1,5} *- *[0-9]{1,5}|[aA][lL][lL])$" }
                    ]
                }
            }
        ]
    };
    /// Protocol of a rule on a host.
    HostProtocolShape = {
        "description": "tcp (default where ports are given), udp, sctp, dccp, icmp, icmpv6, all, or a number",
        "anyOf": [
            { "type": "integer", "minimum": -1, "maximum": 255 },
            { "type": "string", "pattern": "^([tT][cC][pP]|[uU][dD][pP]|[sS][cC][tT][pP]|[dD][cC][cC][pP]|[iI][cC][mM][pP]([vV]6)?|[aA][lL][lL]|-1|[0-9]{1,3})$" }
        ]
    };
    /// All regions, or some.
    RegionsShape = {
        "anyOf": [
            { "type": "string", "enum": ["all"] },
            { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": "^[a-z]+(-[a-z]+){1,3}-[0-9]{1,2}$" } }
        ]
    };
}

/// Whom a rule accepts.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
pub(super) enum HostSourceShape {
    /// An address or network; `instance.x` (its public address, of a group every member's), `instance.x:private`,
    /// `elastic_ip.x`; or `host_firewall.x` (that host's `address`).
    Text(String),
    /// Instances, of this spec and others, asked for each time.
    Table(InstancesShape),
}

/// Instances that are asked for.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "host_firewall_source")]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
pub(super) struct InstancesShape {
    /// Which.
    instances: QueryShape,
}

/// Which instances.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "host_firewall_query")]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
struct QueryShape {
    /// `all` that are enabled for the account, or a list of regions.
    regions: RegionsShape,
    /// Regions that are not looked at; with `all` only.
    #[schemars(length(min = 1))]
    except: Option<Vec<shape::RegionText>>,
    /// Instances in these states: `pending`, `running` (both when absent), `stopping`, `stopped`.
    #[schemars(with = "Option<Vec<StateShape>>", length(min = 1))]
    states: Option<Vec<StateShape>>,
    /// Instances that have all these tags, with these very values; all when absent.
    #[schemars(extend("minProperties" = 1))]
    tags: Option<std::collections::BTreeMap<String, String>>,
    /// Which address: `public` (default), `private` or `ipv6`.
    address: Option<AddressOfShape>,
}

shape::shapes! {
    /// A state of instances.
    StateShape = { "type": "string", "enum": ["pending", "running", "stopping", "stopped"] };
    /// An address of instances.
    AddressOfShape = { "type": "string", "enum": ["public", "private", "ipv6"] };
}

/// A rule.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "host_firewall_rule")]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
pub(super) struct NamedRuleShape {
    /// What it is called.
    name: shape::NameText,
    /// The protocol.
    protocol: Option<HostProtocolShape>,
    /// The ports; for tcp, udp, sctp and dccp, and needed there.
    ports: Option<HostPortsShape>,
    /// The multicast group that is sent to; the host itself when absent.
    to: Option<String>,
    /// Who is let in: one, or a list.
    #[schemars(with = "crate::resources::decode::OneOrMany<HostSourceShape>")]
    from: HostSourceShape,
}

/// A rule that comes before all others.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "host_firewall_always")]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
pub(super) struct AlwaysRuleShape {
    /// The protocol.
    protocol: Option<HostProtocolShape>,
    /// The ports; for tcp, udp, sctp and dccp, and needed there.
    ports: Option<HostPortsShape>,
    /// The multicast group that is sent to; the host itself when absent.
    to: Option<String>,
    /// Who is let in: one, or a list.
    #[schemars(with = "crate::resources::decode::OneOrMany<HostSourceShape>")]
    from: HostSourceShape,
}
