//! Networks, protocols and ports, each in the one spelling that compares equal.

use std::fmt;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An IPv4 or IPv6 network without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Cidr(IpNet);

impl Cidr {
    /// Reads `10.0.0.0/8` or `2001:db8::/32`; every spelling of one network is the same network.
    ///
    /// # Errors
    /// What is wrong and, where host bits are set, what is probably meant.
    pub fn read(text: &str) -> Result<Self, String> {
        if !text.contains('/') {
            let address: std::net::IpAddr =
                text.parse().map_err(|_| format!("`{text}` is neither a network nor an address"))?;
            return Err(format!("a network has a prefix length: write \"{}\"", IpNet::from(address)));
        }
        let net: IpNet =
            text.parse().map_err(|_| format!("`{text}` is not a network like 203.0.113.0/24 or 2001:db8::/32"))?;
        if let IpNet::V6(six) = net
            && six.addr().to_ipv4_mapped().is_some()
        {
            return Err("an IPv4 network is written as IPv4".to_owned());
        }
        if net.addr() != net.network() {
            return Err(format!(
                "host bits are set: write \"{}\" or \"{}/{}\"",
                net.trunc(),
                net.addr(),
                net.max_prefix_len()
            ));
        }
        Ok(Self(net))
    }

    /// The network of one address.
    #[must_use]
    pub fn host(address: std::net::IpAddr) -> Self {
        Self(IpNet::from(address))
    }

    /// Takes what AWS lists, cutting host bits as AWS does.
    #[must_use]
    pub fn listed(text: &str) -> Option<Self> {
        text.parse::<IpNet>().ok().map(|net| Self(net.trunc()))
    }

    /// Whether it is IPv4.
    #[must_use]
    pub const fn is_v4(self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(self, address: std::net::IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether every address of another is in it.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }

    /// The address that stands `offset` behind the network's own, for IPv4.
    #[must_use]
    pub fn nth_v4(self, offset: u32) -> Option<std::net::Ipv4Addr> {
        match self.0 {
            IpNet::V4(net) => u32::from(net.network()).checked_add(offset).map(std::net::Ipv4Addr::from),
            IpNet::V6(_) => None,
        }
    }

    /// Whether it is the whole internet.
    #[must_use]
    pub fn is_everyone(self) -> bool {
        self.0.prefix_len() == 0
    }
}

impl From<Cidr> for IpNet {
    fn from(cidr: Cidr) -> Self {
        cidr.0
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text)
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a rule lets through: a protocol with what narrows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Every protocol.
    All,
    /// TCP ports.
    Tcp(Ports),
    /// UDP ports.
    Udp(Ports),
    /// ICMP for IPv4.
    Icmp(Icmp),
    /// ICMP for IPv6.
    Icmpv6(Icmp),
    /// Another protocol, by its IANA number; AWS keeps no ports for it.
    Number(u8),
}

/// Ports from one through another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Ports {
    /// The first.
    pub from: u16,
    /// The last, not below the first.
    pub to: u16,
}

/// ICMP messages; absent means every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Icmp {
    /// The type.
    pub kind: Option<u8>,
    /// The code; only with a type.
    pub code: Option<u8>,
}

impl Ports {
    /// Every port.
    pub const ALL: Self = Self { from: 0, to: 65535 };
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            f.write_str("all ports")
        } else if self.from == self.to {
            self.from.fmt(f)
        } else {
            write!(f, "{}-{}", self.from, self.to)
        }
    }
}

impl Traffic {
    /// The protocol as EC2 writes it: `tcp`, `udp`, `icmp`, `icmpv6`, `-1` or a number.
    #[must_use]
    pub fn protocol(self) -> String {
        match self {
            Self::All => "-1".to_owned(),
            Self::Tcp(_) => "tcp".to_owned(),
            Self::Udp(_) => "udp".to_owned(),
            Self::Icmp(_) => "icmp".to_owned(),
            Self::Icmpv6(_) => "icmpv6".to_owned(),
            Self::Number(number) => number.to_string(),
        }
    }

    /// The port pair as EC2 writes it; for ICMP type and code, where -1 means every one.
    #[must_use]
    pub fn wire_ports(self) -> Option<(i32, i32)> {
        match self {
            Self::All | Self::Number(_) => None,
            Self::Tcp(ports) | Self::Udp(ports) => Some((i32::from(ports.from), i32::from(ports.to))),
            Self::Icmp(icmp) | Self::Icmpv6(icmp) => {
                Some((icmp.kind.map_or(-1, i32::from), icmp.code.map_or(-1, i32::from)))
            }
        }
    }

    /// Reads what EC2 lists.
    #[must_use]
    pub fn listed(protocol: &str, from: Option<i32>, to: Option<i32>) -> Option<Self> {
        let port = |value: Option<i32>, absent: u16| match value {
            None | Some(-1) => Some(absent),
            Some(number) => u16::try_from(number).ok(),
        };
        let ports = || Some(Ports { from: port(from, 0)?, to: port(to, 65535)? });
        let byte = |value: Option<i32>| value.and_then(|number| u8::try_from(number).ok());
        let icmp = Icmp { kind: byte(from), code: byte(to) };
        Some(match protocol {
            "-1" | "all" => Self::All,
            "tcp" | "6" => Self::Tcp(ports()?),
            "udp" | "17" => Self::Udp(ports()?),
            "icmp" | "1" => Self::Icmp(icmp),
            "icmpv6" | "58" => Self::Icmpv6(icmp),
            number => Self::Number(number.parse().ok()?),
        })
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let icmp = |f: &mut fmt::Formatter<'_>, word: &str, icmp: &Icmp| match (icmp.kind, icmp.code) {
            (None, _) => write!(f, "{word}"),
            (Some(kind), None) => write!(f, "{word} type {kind}"),
            (Some(kind), Some(code)) => write!(f, "{word} type {kind} code {code}"),
        };
        match self {
            Self::All => f.write_str("all traffic"),
            Self::Tcp(ports) => write!(f, "tcp {ports}"),
            Self::Udp(ports) => write!(f, "udp {ports}"),
            Self::Icmp(which) => icmp(f, "icmp", which),
            Self::Icmpv6(which) => icmp(f, "icmpv6", which),
            Self::Number(number) => write!(f, "protocol {number}"),
        }
    }
}
