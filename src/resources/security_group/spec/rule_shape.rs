//! The schema of a rule: what the decoder takes, in an editor's words.

use crate::resources::shape;

shape::shapes! {
    /// Ports of a rule.
    PortsShape = {
        "description": "a port, \"a-b\", \"all\", or a list of them",
        "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": 65535 },
            { "type": "string", "pattern": "^([0-9]{1,5} *- *[0-9]{1,5}|[aA][lL][lL])$" },
            {
                "type": "array",
                "items": {
                    "anyOf": [
                        { "type": "integer", "minimum": 0, "maximum": 65535 },
                        { "type": "string", "pattern": "^([0-9]{1,5} *- *[0-9]{1,5}|[aA][lL][lL])$" }
                    ]
                }
            }
        ]
    };
    /// Protocol of a rule.
    ProtocolShape = {
        "description": "tcp (default), udp, icmp, icmpv6, all, or a number",
        "anyOf": [
            { "type": "integer", "minimum": -1, "maximum": 255 },
            { "type": "string", "pattern": "^([tT][cC][pP]|[uU][dD][pP]|[iI][cC][mM][pP]([vV]6)?|[aA][lL][lL]|-1|[0-9]{1,3})$" }
        ]
    };
    /// The other side of a rule.
    PeerShape = {
        "description": "a network (203.0.113.0/24), security_group.x, self, sg-…, sg-…@account, pl-…, elastic_ip.x, instance.x (private address), instance.x:public; or a list of them",
        "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" } }
        ]
    };
}

/// What may come in.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
pub(super) struct IngressRule {
    /// The protocol, `tcp` when absent.
    protocol: Option<ProtocolShape>,
    /// The ports; for tcp and udp, and needed there.
    ports: Option<PortsShape>,
    /// The ICMP type; every one when absent.
    #[schemars(range(max = 255))]
    icmp_type: Option<u8>,
    /// The ICMP code; every one when absent.
    #[schemars(range(max = 255))]
    icmp_code: Option<u8>,
    /// Who may come in.
    from: PeerShape,
    /// What the console shows.
    #[schemars(length(max = 255))]
    description: Option<String>,
    /// The last day, in UTC, on which the rule is open.
    expires: Option<shape::DateText>,
}

/// What may go out.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
pub(super) struct EgressRule {
    /// The protocol, `tcp` when absent.
    protocol: Option<ProtocolShape>,
    /// The ports; for tcp and udp, and needed there.
    ports: Option<PortsShape>,
    /// The ICMP type; every one when absent.
    #[schemars(range(max = 255))]
    icmp_type: Option<u8>,
    /// The ICMP code; every one when absent.
    #[schemars(range(max = 255))]
    icmp_code: Option<u8>,
    /// Whom it may reach.
    to: PeerShape,
    /// What the console shows.
    #[schemars(length(max = 255))]
    description: Option<String>,
    /// The last day, in UTC, on which the rule is open.
    expires: Option<shape::DateText>,
}
