//! Load balancers, desired and observed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::duration::Seconds;
use crate::model::id::{SubnetId, VpcId};
use crate::model::{CloudId, Reference};
use crate::resources::place::Placement;

/// What the spec wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// A literal name; absent means a generated one.
    pub name: Option<String>,
    /// Who may reach it.
    pub scheme: Scheme,
    /// The zones that it serves, by the subnet it stands in there.
    pub place: Placement,
    /// Its groups; absent means the VPC's default group.
    pub security_groups: Option<Vec<Reference>>,
    /// What it listens to, by port.
    pub listeners: BTreeMap<u16, Listener>,
    /// How it finds out who may be sent traffic.
    pub health_check: HealthCheck,
    /// Who is registered, every member by itself.
    pub instances: BTreeSet<Reference>,
    /// What happens to those whom others registered.
    pub registration: Registration,
    /// How many members are never fewer in service by our doing.
    pub min_healthy: u32,
    /// What AWS calls attributes.
    pub attributes: Attributes,
    /// The instance ports to which it says, in a line of its own, who the client is.
    pub proxy_protocol: BTreeSet<u16>,
}

/// What AWS lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Its name.
    pub name: String,
    /// The name that clients use.
    pub dns_name: String,
    /// The Route 53 zone of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_id: Option<String>,
    /// Who may reach it.
    pub scheme: Scheme,
    /// Where it lives.
    pub vpc: VpcId,
    /// The subnets it stands in, one a zone.
    pub subnets: BTreeSet<SubnetId>,
    /// Its groups.
    pub security_groups: BTreeSet<CloudId>,
    /// What it listens to, by port.
    pub listeners: BTreeMap<u16, Listener>,
    /// How it finds out who may be sent traffic.
    pub health_check: HealthCheck,
    /// Who is registered, also instances that are terminated meanwhile.
    #[serde(default)]
    pub instances: BTreeSet<CloudId>,
    /// What AWS calls attributes.
    pub attributes: Attributes,
    /// The instance ports with the proxy protocol.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub proxy_protocol: BTreeSet<u16>,
    /// Who is in service, where that was asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub health: BTreeMap<CloudId, Health>,
}

/// Who may reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Everyone.
    InternetFacing,
    /// The VPC.
    Internal,
}

impl Scheme {
    /// The word of the spec and of AWS.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InternetFacing => "internet-facing",
            Self::Internal => "internal",
        }
    }
}

/// The security policy of a listener that nobody gave one
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-security-policy-table.html>).
pub const DEFAULT_SSL_POLICY: &str = "ELBSecurityPolicy-2016-08";

/// What a port does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// What clients speak.
    pub protocol: Protocol,
    /// Where the instances listen.
    pub instance_port: u16,
    /// What instances are spoken to in.
    pub instance_protocol: Protocol,
    /// The certificate's ARN, for https and ssl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The security policy, `ELBSecurityPolicy-TLS-1-2-2017-01`; absent means AWS's default, or none at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_policy: Option<String>,
    /// Whether a client comes back to the same instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stickiness: Option<Stickiness>,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} {}", self.protocol.word(), self.instance_protocol.word(), self.instance_port)
    }
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP, with the client's address in `X-Forwarded-For`.
    Http,
    /// HTTP in TLS, which ends at the balancer.
    Https,
    /// Bytes.
    Tcp,
    /// Bytes in TLS, which ends at the balancer.
    Ssl,
}

impl Protocol {
    /// The word of the spec.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Ssl => "ssl",
        }
    }

    /// Whether TLS ends here, so that a certificate is needed.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Ssl)
    }

    /// Whether it reads what passes: both sides of a listener must, or neither
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-listener-config.html>).
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// How a client comes back to the same instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stickiness {
    /// A cookie of the balancer's, for so long.
    Duration(Seconds),
    /// A cookie that the application sets.
    Cookie(String),
}

impl fmt::Display for Stickiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(seconds) => write!(f, "for {seconds}"),
            Self::Cookie(name) => write!(f, "by cookie {name}"),
        }
    }
}

/// How the balancer finds out who may be sent traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// `TCP:80`, `SSL:443`, `HTTP:80/path`, `HTTPS:443/path`.
    pub target: String,
    /// Between two checks: 5 s to 300 s.
    pub interval: Seconds,
    /// For an answer: 2 s to 60 s, less than the interval.
    pub timeout: Seconds,
    /// So many failures in a row take one out of service: 2 to 10.
    pub unhealthy_after: u32,
    /// So many successes in a row put one into service: 2 to 10.
    pub healthy_after: u32,
}

impl HealthCheck {
    /// How long a healthy instance waits before it is in service.
    #[must_use]
    pub fn patience(&self) -> Seconds {
        Seconds(self.interval.0.saturating_mul(u64::from(self.healthy_after)))
    }
}

/// Whose members a balancer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Those of the spec alone.
    Exclusive,
    /// Those of the spec, beside others': an Auto Scaling group registers its own.
    Additive,
}

/// What AWS calls attributes: all of them change in one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attributes {
    /// Whether every zone's share goes to the members of all zones.
    pub cross_zone: bool,
    /// After how long a silent connection is closed.
    pub idle_timeout: Seconds,
    /// How long requests under way may go on when a member leaves; absent means that they are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_draining: Option<Seconds>,
    /// Where requests are written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLog>,
}

/// Where requests are written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// The S3 bucket.
    pub bucket: String,
    /// What the objects' names begin with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// 5 or 60 minutes.
    pub interval: Seconds,
}

/// How a registered instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Whether it is sent traffic.
    pub in_service: bool,
    /// Why it is not, in AWS's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}
