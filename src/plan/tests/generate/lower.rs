//! From a blueprint to what the spec would say: names that lead nowhere are left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::duration::{Gibibytes, Seconds};
use crate::model::id::{ImageId, ZoneName};
use crate::model::net::{Cidr, Ports, Traffic};
use crate::model::text::{Part, Text};
use crate::model::{Address, Name, Output, Reference, StackName, Tags};
use crate::resources::instance::state as instance;
use crate::resources::instance::user_data::{Body, Secrecy, UserData};
use crate::resources::load_balancer::state as front;
use crate::resources::place::{Placement, Within};
use crate::resources::registry::{Desired, Want};
use crate::resources::security_group::state as group;
use crate::resources::stack::Stack;
use crate::resources::{Choice, Common, Group, elastic_ip, key_pair, load_balancer, security_group};

use super::super::{at, common, here};
use super::{Balancer, Blueprint, Data, Elastic, Extra, Firewall, Hole, Key, Machine, Opening, Other, material};

/// What is lowered, with what was used up on the way: two may not have one name, one address, one instance.
struct Lowering<'a> {
    print: &'a Blueprint,
    taken: BTreeSet<String>,
}

impl Blueprint {
    /// What the spec would say.
    pub(in crate::plan::tests) fn lower(&self) -> Stack {
        let mut lowering = Lowering { print: self, taken: BTreeSet::new() };
        let mut resources = BTreeMap::new();
        for (which, key) in &self.keys {
            resources.insert(at(&format!("key_pair.k{which}")), lowering.key(key));
        }
        for (which, group) in &self.groups {
            resources.insert(at(&format!("security_group.g{which}")), lowering.group(*which, group));
        }
        for (which, address) in &self.addresses {
            resources.insert(at(&format!("elastic_ip.e{which}")), lowering.address(address));
        }
        for (which, machine) in &self.machines {
            let whole = lowering.machine(*which, machine);
            for (index, address) in machine.members(*which).into_iter().enumerate() {
                let mut member = whole.clone();
                if let Want::Instance(want) = &mut member.want {
                    want.index = u32::try_from(index).unwrap();
                }
                resources.insert(address, member);
            }
        }
        for (which, balancer) in &self.balancers {
            resources.insert(at(&format!("load_balancer.b{which}")), lowering.balancer(balancer));
        }
        for (which, gate) in &self.hosts {
            resources.insert(at(&format!("host_firewall.h{which}")), gate.lower(*which, self));
        }
        // One that the spec wants nothing of any more is still looked at, as `state = "absent"` says.
        let hosts = (0..2).map(|which| (at(&format!("host_firewall.h{which}")), super::hosts::Gate::target(which)));
        Stack {
            name: StackName::new("shop").unwrap(),
            origin: None,
            account: None,
            region: Some(here()),
            regions: BTreeSet::from([here()]),
            ignore_tags: Vec::new(),
            lock: None,
            hosts: hosts.collect(),
            resources,
        }
    }
}

impl Lowering<'_> {
    fn common(extra: &Extra) -> Common {
        let tags = extra.team.map(|team| ("team".to_owned(), format!("t{team}")));
        Common { tags: Tags::from_iter(tags), keep: extra.keep, protect: extra.protect, ..common() }
    }

    /// The first to take something has it.
    fn take(&mut self, what: String) -> bool {
        self.taken.insert(what)
    }

    fn key(&mut self, key: &Key) -> Desired {
        let name = key.literal.map(|which| format!("key-{which}")).filter(|name| self.take(format!("key {name}")));
        let public_key = material(key.material);
        Desired { common: Self::common(&key.extra), want: Want::KeyPair(key_pair::Desired { public_key, name }) }
    }

    fn group(&mut self, own: usize, group: &Firewall) -> Desired {
        let name =
            group.literal.map(|which| format!("Group-{which}")).filter(|name| self.take(format!("group {name}")));
        let want = security_group::Desired {
            name,
            description: format!("group {}", group.description),
            vpc: Choice::Default,
            mode: if group.additive { group::RuleMode::Additive } else { group::RuleMode::Exclusive },
            ingress: self.rules(own, &group.ingress),
            egress: group.egress.as_ref().map(|rules| self.rules(own, rules)),
            rule_quota: 60,
        };
        Desired { common: Self::common(&group.extra), want: Want::SecurityGroup(want) }
    }

    fn rules(&self, own: usize, rules: &[Opening]) -> group::Rules {
        rules.iter().filter_map(|rule| self.rule(own, rule)).collect()
    }

    fn rule(&self, own: usize, rule: &Opening) -> Option<(group::Rule<Reference>, group::Wish)> {
        let group = |which: usize| {
            let address = at(&format!("security_group.g{which}"));
            self.print.groups.contains_key(&which).then_some(group::Peer::Group(Reference::Address(address)))
        };
        let peer = match rule.peer {
            Other::Net(which) => {
                let nets = ["0.0.0.0/0", "10.0.0.0/8", "203.0.113.0/24", "::/0"];
                group::Peer::Cidr(Cidr::listed(nets[which]).unwrap())
            }
            Other::Group(which) => group(which)?,
            Other::Own => group(own)?,
            Other::Private(which, member) => {
                group::Peer::Output { address: self.member(which, member)?, output: Output::PrivateIp }
            }
            Other::Public(which, member) => {
                group::Peer::Output { address: self.public(which, member)?, output: Output::PublicIp }
            }
            Other::Elastic(which) => {
                self.print.addresses.get(&which)?;
                group::Peer::Output { address: at(&format!("elastic_ip.e{which}")), output: Output::PublicIp }
            }
        };
        let port = [22, 80, 443, 8000][rule.port];
        let traffic = Traffic::Tcp(Ports { from: port, to: port });
        let day = |past: bool| if past { "2026-01-31" } else { "2027-01-31" };
        let wish = group::Wish {
            description: rule.description.map(|which| format!("rule {which}")),
            expires: rule.expires.map(|past| day(past).parse().unwrap()),
        };
        Some((group::Rule { traffic, peer }, wish))
    }

    fn member(&self, which: usize, member: usize) -> Option<Address> {
        let members = self.print.machines.get(&which)?.members(which);
        members.get(member % members.len()).cloned()
    }

    /// A member that has a public address.
    fn public(&self, which: usize, member: usize) -> Option<Address> {
        let machine = self.print.machines.get(&which)?;
        if machine.no_public_ip { None } else { self.member(which, member) }
    }

    fn address(&mut self, address: &Elastic) -> Desired {
        let member = address.machine.and_then(|(which, member)| self.member(which, member));
        let instance = member.filter(|member| self.take(format!("seat {member}"))).map(Reference::Address);
        let want = elastic_ip::Desired {
            instance,
            public_ip_pool: address.pool.map(|which| format!("pool-{which}")),
            border_group: None,
        };
        Desired { common: Self::common(&address.extra), want: Want::ElasticIp(want) }
    }

    fn machine(&mut self, own: usize, machine: &Machine) -> Desired {
        let groups = machine.groups.as_ref().map(|groups| self.there(groups));
        let key = machine.key.filter(|which| self.print.keys.contains_key(which));
        let zones: BTreeSet<usize> = machine.zones.iter().copied().collect();
        let zones: Vec<ZoneName> = zones.into_iter().map(zone).collect();
        let private_ip = machine.private_ip.filter(|_| machine.count.is_none() && zones.is_empty());
        let private_ip = private_ip.filter(|which| self.take(format!("private {which}")));
        let on_change = |which: usize| {
            [instance::OnChange::Replace, instance::OnChange::Restart, instance::OnChange::Ignore][which]
        };
        let [hops, no_check, monitoring, terminate, v1] = machine.plain;
        let want = instance::Desired {
            image: instance::ImageChoice::Id(ImageId::new(format!("ami-0000000{}", machine.image))),
            instance_type: ["t3.small", "m5.large", "c5.large"][machine.size].to_owned(),
            on_type_change: on_change(1 - machine.size_change),
            place: Placement {
                vpc: Choice::Default,
                network: Vec::new(),
                within: if zones.is_empty() { Within::Anywhere } else { Within::Zones(zones) },
            },
            security_groups: groups.filter(|groups: &Vec<Reference>| !groups.is_empty()),
            key_pair: key
                .map(|which| instance::KeyChoice::Resource(Reference::Address(at(&format!("key_pair.k{which}"))))),
            iam_profile: machine.profile.map(|which| format!("profile-{which}")),
            public_ip: machine.no_public_ip.then_some(false),
            private_ip: private_ip.map(|which| format!("172.31.9.{}", 200 + which).parse().unwrap()),
            user_data: machine.data.as_ref().map(|data| self.data(own, data)),
            on_user_data_change: on_change(machine.data_change),
            root_volume: instance::RootVolume {
                size: machine.disk.map(|which| Gibibytes([8, 20, 40][which])),
                volume_type: machine.disk_kind.map(|which| ["gp3", "gp2"][which].to_owned()),
                encrypted: machine.encrypted,
                ..instance::RootVolume::default()
            },
            metadata: instance::Metadata {
                service: if v1 { instance::MetadataService::V1 } else { instance::MetadataService::V2 },
                hops: if hops { 2 } else { 1 },
            },
            source_dest_check: !no_check,
            detailed_monitoring: monitoring,
            shutdown: if terminate { instance::Shutdown::Terminate } else { instance::Shutdown::Stop },
            tenancy: None,
            placement_group: None,
            index: 0,
        };
        let group = machine.count.map(|_| Group {
            name: Name::written(&format!("m{own}")).unwrap(),
            max_unavailable: machine.max_unavailable,
        });
        Desired { common: Common { group, ..Self::common(&machine.extra) }, want: Want::Instance(want) }
    }

    fn balancer(&mut self, balancer: &Balancer) -> Desired {
        let mut members: BTreeSet<Address> = BTreeSet::new();
        let mut zones: BTreeSet<usize> = BTreeSet::new();
        for (which, one) in &balancer.members {
            let Some(machine) = self.print.machines.get(which) else { continue };
            let all = machine.members(*which);
            match one {
                Some(one) => members.extend(all.get(one % all.len()).cloned()),
                None => members.extend(all),
            }
            // Nobody is in service in a zone that the balancer does not serve.
            if machine.zones.is_empty() { zones.extend(0..3) } else { zones.extend(&machine.zones) }
        }
        if balancer.further_zones || zones.is_empty() {
            zones.extend(0..3);
        }
        let name =
            balancer.literal.map(|which| format!("front-{which}")).filter(|name| self.take(format!("lb {name}")));
        let count = u32::try_from(members.len()).unwrap();
        let usual = if count < 2 { 0 } else { count - 1 };
        let min_healthy = balancer.spare.map_or(usual, |spare| count.saturating_sub(u32::try_from(spare).unwrap()));
        let groups = balancer.groups.as_ref().map(|groups| self.there(groups)).filter(|groups| !groups.is_empty());
        let [cross_zone, idle, log] = balancer.plain;
        let listeners: BTreeMap<u16, front::Listener> =
            balancer.listeners.iter().map(|listener| lower_listener(*listener)).collect();
        let told = listeners.values().find(|listener| log && !listener.protocol.is_http());
        let proxy_protocol = told.map(|listener| listener.instance_port).into_iter().collect();
        let want = load_balancer::Desired {
            name,
            scheme: if balancer.internal { front::Scheme::Internal } else { front::Scheme::InternetFacing },
            place: Placement {
                vpc: Choice::Default,
                network: Vec::new(),
                within: Within::Zones(zones.into_iter().map(zone).collect()),
            },
            security_groups: groups,
            listeners,
            health_check: front::HealthCheck {
                target: ["TCP:8000", "HTTP:8000/up", "TCP:80"][balancer.check].to_owned(),
                interval: Seconds(5),
                timeout: Seconds(2),
                unhealthy_after: 2,
                healthy_after: 2,
            },
            instances: members.into_iter().map(Reference::Address).collect(),
            registration: if balancer.additive {
                front::Registration::Additive
            } else {
                front::Registration::Exclusive
            },
            min_healthy,
            attributes: front::Attributes {
                cross_zone: !cross_zone,
                idle_timeout: Seconds(if idle { 120 } else { 60 }),
                connection_draining: balancer.draining.map(|which| Seconds([300, 20][which])),
                access_log: log.then(|| front::AccessLog {
                    bucket: "logs".to_owned(),
                    prefix: String::new(),
                    interval: Seconds(3600),
                }),
            },
            proxy_protocol,
        };
        Desired { common: Self::common(&balancer.extra), want: Want::LoadBalancer(want) }
    }

    fn there(&self, groups: &[usize]) -> Vec<Reference> {
        let there: BTreeSet<usize> =
            groups.iter().copied().filter(|which| self.print.groups.contains_key(which)).collect();
        there.into_iter().map(|which| Reference::Address(at(&format!("security_group.g{which}")))).collect()
    }

    /// Templates name machines of lower number only, so that they make no circle.
    fn data(&self, own: usize, data: &Data) -> UserData {
        let mut parts = vec![Part::Literal(format!("#!/bin/sh\necho {}\n", data.text))];
        for hole in &data.holes {
            let found = match *hole {
                Hole::Machine { which, member, output } if which < own => match output {
                    Output::PublicIp | Output::PublicDns => self.public(which, member),
                    _ => self.member(which, member),
                }
                .map(|address| (address, output)),
                Hole::Machine { .. } => None,
                Hole::Elastic(which) => (self.print.addresses.contains_key(&which))
                    .then(|| (at(&format!("elastic_ip.e{which}")), Output::PublicIp)),
                Hole::GroupId(which) => (self.print.groups.contains_key(&which))
                    .then(|| (at(&format!("security_group.g{which}")), Output::Id)),
                Hole::KeyName(which) => {
                    (self.print.keys.contains_key(&which)).then(|| (at(&format!("key_pair.k{which}")), Output::Name))
                }
            };
            parts.extend(found.map(|(address, output)| Part::Hole { address, output }));
            parts.push(Part::Literal("\n".to_owned()));
        }
        let key = Some(crate::model::secret::Secret::new(b"pepper".to_vec()));
        let secrecy = if data.sensitive { Secrecy::Sensitive { key } } else { Secrecy::Open };
        UserData { body: Body::Text(Text(parts)), secrecy }
    }
}

fn zone(which: usize) -> ZoneName {
    ZoneName::new(["eu-west-1a", "eu-west-1b", "eu-west-1c"][which])
}

/// A port with what it does, each sort of protocol among them.
fn lower_listener((port, instance_port, sort): (usize, usize, usize)) -> (u16, front::Listener) {
    let (protocol, instance_protocol) = [
        (front::Protocol::Http, front::Protocol::Http),
        (front::Protocol::Tcp, front::Protocol::Tcp),
        (front::Protocol::Https, front::Protocol::Http),
        (front::Protocol::Ssl, front::Protocol::Tcp),
    ][sort];
    let secure = protocol.is_secure();
    let listener = front::Listener {
        protocol,
        instance_port: [8000, 80][instance_port],
        instance_protocol,
        certificate: secure.then(|| format!("arn:aws:acm:eu-west-1:123456789012:certificate/{instance_port}")),
        ssl_policy: (secure && instance_port == 1).then(|| "ELBSecurityPolicy-TLS-1-2-2017-01".to_owned()),
        stickiness: protocol.is_http().then_some(front::Stickiness::Duration(Seconds(600))).filter(|_| port == 1),
    };
    ([80, 443, 8080][port], listener)
}
