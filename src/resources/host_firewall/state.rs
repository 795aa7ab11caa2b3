//! The firewall of a host, as the spec wants it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::action::Attach;
use super::host::Backend;
use super::ruleset::{RuleKey, Settings, Traffic};
use crate::model::duration::Seconds;
use crate::model::{Address, Output, Query, Target};

/// What the spec wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// How the host is reached.
    pub target: Target,
    /// Which dialect; absent for the one that fits the host.
    pub backend: Option<Backend>,
    /// Mode, families, and what becomes of connections that stand.
    pub settings: Settings,
    /// The rules, in the order of their keys; each key once.
    pub rules: Vec<Wanted>,
    /// From where our chain is called.
    pub attach: Attach,
    /// How long a change waits to be confirmed; 0 for not at all; absent for the default of the transport.
    pub confirm_within: Option<Seconds>,
    /// Whether a boot restores the rules.
    pub persist: bool,
    /// Whose rules are taken over: those whose comment matches this pattern.
    pub adopt: Option<String>,
    /// What becomes of the addresses of a region that cannot be listed.
    pub on_region_error: OnRegionError,
    /// After how long kept addresses are worth a warning on each run.
    pub stale_after: Seconds,
    /// How much of a rule's addresses may go at once, in percent.
    pub max_shrink: u8,
}

/// One rule, as the spec wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub key: RuleKey,
    /// What is accepted.
    pub traffic: Traffic,
    /// From whom, in order, each once.
    pub from: Vec<Source>,
}

/// Whom a rule accepts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A network.
    Network(IpNet),
    /// What a resource of this spec tells: the public address of `instance.web-0`.
    Output {
        /// Whose.
        address: Address,
        /// Which.
        output: Output,
    },
    /// The address of another host of this spec.
    Host {
        /// Which.
        of: Address,
        /// Where it is.
        at: IpAddr,
    },
    /// Instances, of this spec and others.
    Query {
        /// Which.
        query: Query,
        /// The instances of this spec that lie in its regions, whether or not their tags fit.
        own: Vec<Address>,
    },
}

/// What becomes of the addresses of a region that cannot be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnRegionError {
    /// They stay as they are, dated and said aloud.
    Keep,
    /// Nothing is planned for the host.
    Fail,
}
