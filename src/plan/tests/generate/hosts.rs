//! Random hosts: gateways whose rules name machines, addresses and queries.

use std::collections::BTreeSet;

use super::{Blueprint, Tape};
use crate::model::duration::Seconds;
use crate::model::query::{AddressOf, Regions};
use crate::model::{Address, Family, Output, Query, Region, Tags, Target};
use crate::plan::tests::{at, common, here};
use crate::resources::Common;
use crate::resources::host_firewall::Desired as Gateway;
use crate::resources::host_firewall::action::Attach;
use crate::resources::host_firewall::host::Backend;
use crate::resources::host_firewall::ruleset::{Established, Mode, RuleKey, Settings, Traffic};
use crate::resources::host_firewall::state::{OnRegionError, Source, Wanted};
use crate::resources::registry::{Desired, Want};

#[derive(Debug, Clone)]
pub(super) struct Gate {
    mode: usize,
    cut: bool,
    only_four: bool,
    persist: bool,
    rules: Vec<Opening>,
}

#[derive(Debug, Clone)]
struct Opening {
    port: usize,
    from: Vec<From>,
}

#[derive(Debug, Clone, Copy)]
enum From {
    Net(usize),
    Private(usize, usize),
    Public(usize, usize),
    Elastic(usize),
    Query { team: Option<usize>, private: bool },
}

impl Gate {
    pub(super) fn draw(tape: &mut Tape<'_>) -> Self {
        Self {
            mode: tape.pick(3),
            cut: tape.chance(20),
            only_four: tape.chance(20),
            persist: !tape.chance(20),
            rules: Self::rules(tape),
        }
    }

    fn rules(tape: &mut Tape<'_>) -> Vec<Opening> {
        let from = |tape: &mut Tape<'_>| match tape.pick(9) {
            0 => From::Net(tape.pick(4)),
            1 => From::Private(tape.pick(3), tape.pick(3)),
            2 | 3 => From::Public(tape.pick(3), tape.pick(3)),
            4 => From::Elastic(tape.pick(3)),
            _ => From::Query { team: tape.maybe(30, |tape| tape.pick(3)), private: tape.chance(20) },
        };
        let several = |tape: &mut Tape<'_>| (0..=tape.pick(2)).map(|_| from(tape)).collect();
        (0..tape.pick(3)).map(|_| Opening { port: tape.pick(4), from: several(tape) }).collect()
    }

    pub(super) fn change(&mut self, tape: &mut Tape<'_>) {
        match tape.pick(6) {
            0..=2 => self.rules = Self::rules(tape),
            3 => self.mode = tape.pick(3),
            4 => self.cut = !self.cut,
            _ => self.persist = !self.persist,
        }
    }

    /// How it is reached.
    pub(super) fn target(which: usize) -> Target {
        Target::Ssh { user: Some("root".to_owned()), host: format!("gw{which}"), port: None, sudo: false }
    }

    /// What the spec would say of it, names that lead nowhere left out.
    pub(super) fn lower(&self, which: usize, print: &Blueprint) -> Desired {
        let mut rules = vec![Wanted {
            key: RuleKey::Always(1),
            traffic: Traffic::tcp(22),
            from: vec![Source::Network("192.0.2.0/24".parse().unwrap())],
        }];
        for (number, rule) in self.rules.iter().enumerate() {
            rules.push(Wanted {
                key: RuleKey::Named(format!("r{number}")),
                traffic: Traffic::tcp([22, 80, 443, 694][rule.port]),
                from: rule.from.iter().flat_map(|from| from.lower(print)).collect(),
            });
        }
        let families: BTreeSet<Family> = if self.only_four { [Family::Ipv4].into() } else { Family::ALL.into() };
        let want = Gateway {
            target: Self::target(which),
            // A dialect is never changed: that is refused.
            backend: (which == 1).then_some(Backend::Iptables),
            settings: Settings {
                mode: [Mode::Allow, Mode::Guard, Mode::Deny][self.mode],
                established: if self.cut { Established::Cut } else { Established::Keep },
                families,
            },
            rules,
            attach: Attach::Input,
            confirm_within: Some(Seconds(60)),
            persist: self.persist,
            adopt: None,
            on_region_error: OnRegionError::Keep,
            stale_after: Seconds(86_400),
            max_shrink: 100,
        };
        Desired { common: Common { region: Region::hosts(), ..common() }, want: Want::HostFirewall(want) }
    }
}

impl From {
    fn lower(self, print: &Blueprint) -> Vec<Source> {
        let member = |which: usize, member: usize, output: Output| {
            let machine = print.machines.get(&which)?;
            // What never gets a public address is an error of the spec.
            if output == Output::PublicIp && machine.no_public_ip {
                return None;
            }
            let members = machine.members(which);
            let address = members.get(member % members.len())?.clone();
            Some(Source::Output { address, output })
        };
        match self {
            Self::Net(which) => {
                let net = ["10.0.0.0/8", "203.0.113.0/24", "2001:db8::/32", "198.51.100.7/32"][which];
                vec![Source::Network(net.parse().unwrap())]
            }
            Self::Private(which, index) => member(which, index, Output::PrivateIp).into_iter().collect(),
            Self::Public(which, index) => member(which, index, Output::PublicIp).into_iter().collect(),
            Self::Elastic(which) => {
                let there = print.addresses.contains_key(&which);
                let address = at(&format!("elastic_ip.e{which}"));
                there.then_some(Source::Output { address, output: Output::PublicIp }).into_iter().collect()
            }
            Self::Query { team, private } => {
                let own: Vec<Address> =
                    print.machines.iter().flat_map(|(which, machine)| machine.members(*which)).collect();
                let query = Query {
                    regions: Regions::These([here()].into()),
                    states: ["pending".to_owned(), "running".to_owned()].into(),
                    tags: team.map(|team| ("team".to_owned(), format!("t{team}"))).into_iter().collect::<Tags>(),
                    address: if private { AddressOf::Private } else { AddressOf::Public },
                };
                vec![Source::Query { query, own }]
            }
        }
    }
}
