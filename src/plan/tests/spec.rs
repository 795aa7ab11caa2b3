//! Small stacks, written down in a line each, and what a plan says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use super::generate::material;
use super::{apply_on, at, common, graph, here, plan_on, policy, trouble, world};
use crate::model::duration::Seconds;
use crate::model::id::ImageId;
use crate::model::net::{Cidr, Ports, Traffic};
use crate::model::text::{Part, Text};
use crate::model::{Name, Output, Reference, StackName};
use crate::plan::policy::Policy;
use crate::plan::{Plan, Verb};
use crate::provider::sim::Sim;
use crate::resources::instance::state as machine;
use crate::resources::instance::user_data::{Body, Secrecy, UserData};
use crate::resources::load_balancer::state as balancer;
use crate::resources::place::{Placement, Within};
use crate::resources::registry::{Desired, Want};
use crate::resources::security_group::state::{Peer, Rule, RuleMode, Wish};
use crate::resources::stack::Stack;
use crate::resources::{
    Choice, Common, Edit, Group, Impact, elastic_ip, instance, key_pair, load_balancer, security_group,
};

pub(super) type Resources = Vec<(&'static str, Desired)>;

pub(super) fn stack(resources: Resources) -> Stack {
    Stack {
        name: StackName::new("shop").unwrap(),
        origin: None,
        account: None,
        region: Some(here()),
        regions: std::collections::BTreeSet::from([here()]),
        ignore_tags: Vec::new(),
        lock: None,
        hosts: BTreeMap::new(),
        resources: resources.into_iter().map(|(address, desired)| (at(address), desired)).collect(),
    }
}

fn of(want: Want) -> Desired {
    Desired { common: common(), want }
}

pub(super) fn key() -> Desired {
    of(Want::KeyPair(key_pair::Desired { public_key: material(0), name: None }))
}

pub(super) fn group() -> Desired {
    of(Want::SecurityGroup(security_group::Desired {
        name: None,
        description: "a group".to_owned(),
        vpc: Choice::Default,
        mode: RuleMode::Exclusive,
        ingress: BTreeMap::new(),
        egress: None,
        rule_quota: 60,
    }))
}

pub(super) fn eip(instance: Option<&str>) -> Desired {
    let instance = instance.map(|address| Reference::Address(at(address)));
    of(Want::ElasticIp(elastic_ip::Desired { instance, public_ip_pool: None, border_group: None }))
}

pub(super) fn box_() -> Desired {
    of(Want::Instance(instance::Desired {
        image: machine::ImageChoice::Id(ImageId::new("ami-00000001")),
        instance_type: "t3.small".to_owned(),
        on_type_change: machine::OnChange::Restart,
        place: anywhere(),
        security_groups: None,
        key_pair: None,
        iam_profile: None,
        public_ip: None,
        private_ip: None,
        user_data: None,
        on_user_data_change: machine::OnChange::Replace,
        root_volume: machine::RootVolume::default(),
        metadata: machine::Metadata { service: machine::MetadataService::V2, hops: 1 },
        source_dest_check: true,
        detailed_monitoring: false,
        shutdown: machine::Shutdown::Stop,
        tenancy: None,
        placement_group: None,
        index: 0,
    }))
}

/// A balancer on port 80 before these, of which all but one are always in service.
pub(super) fn front(members: &[&str]) -> Desired {
    let listener = balancer::Listener {
        protocol: balancer::Protocol::Http,
        instance_port: 8000,
        instance_protocol: balancer::Protocol::Http,
        certificate: None,
        ssl_policy: None,
        stickiness: None,
    };
    let check = balancer::HealthCheck {
        target: "TCP:8000".to_owned(),
        interval: Seconds(5),
        timeout: Seconds(2),
        unhealthy_after: 2,
        healthy_after: 2,
    };
    of(Want::LoadBalancer(load_balancer::Desired {
        name: None,
        scheme: balancer::Scheme::InternetFacing,
        place: anywhere(),
        security_groups: None,
        listeners: BTreeMap::from([(80, listener)]),
        health_check: check,
        instances: members.iter().map(|member| Reference::Address(at(member))).collect(),
        registration: balancer::Registration::Exclusive,
        min_healthy: u32::try_from(members.len()).unwrap().saturating_sub(1),
        attributes: balancer::Attributes {
            cross_zone: true,
            idle_timeout: Seconds(60),
            connection_draining: Some(Seconds(300)),
            access_log: None,
        },
        proxy_protocol: BTreeSet::new(),
    }))
}

fn anywhere() -> Placement {
    Placement { vpc: Choice::Default, network: Vec::new(), within: Within::Anywhere }
}

/// The same with something else about it.
pub(super) trait With: Sized {
    fn common(self, edit: impl FnOnce(&mut Common)) -> Self;
    fn group(self, edit: impl FnOnce(&mut security_group::Desired)) -> Self;
    fn machine(self, edit: impl FnOnce(&mut instance::Desired)) -> Self;
    fn key(self, edit: impl FnOnce(&mut key_pair::Desired)) -> Self;
    fn eip(self, edit: impl FnOnce(&mut elastic_ip::Desired)) -> Self;
    fn front(self, edit: impl FnOnce(&mut load_balancer::Desired)) -> Self;

    /// A member of a group of machines.
    fn member(self, of: &str, index: u32, max_unavailable: u32) -> Self {
        let group = Group { name: Name::written(of).unwrap(), max_unavailable };
        self.common(|common| common.group = Some(group)).machine(|want| want.index = index)
    }

    fn groups(self, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|group| Reference::Address(at(group))).collect();
        self.machine(|want| want.security_groups = Some(groups))
    }

    fn runs(self, parts: Vec<Part>) -> Self {
        self.machine(|want| want.user_data = Some(UserData { body: Body::Text(Text(parts)), secrecy: Secrecy::Open }))
    }

    fn ingress(self, port: u16, peer: Peer<Reference>) -> Self {
        self.group(|want| {
            want.ingress.insert(rule(port, peer), Wish::default());
        })
    }
}

impl With for Desired {
    fn common(mut self, edit: impl FnOnce(&mut Common)) -> Self {
        edit(&mut self.common);
        self
    }

    fn group(mut self, edit: impl FnOnce(&mut security_group::Desired)) -> Self {
        if let Want::SecurityGroup(want) = &mut self.want {
            edit(want);
        }
        self
    }

    fn machine(mut self, edit: impl FnOnce(&mut instance::Desired)) -> Self {
        if let Want::Instance(want) = &mut self.want {
            edit(want);
        }
        self
    }

    fn key(mut self, edit: impl FnOnce(&mut key_pair::Desired)) -> Self {
        if let Want::KeyPair(want) = &mut self.want {
            edit(want);
        }
        self
    }

    fn front(mut self, edit: impl FnOnce(&mut load_balancer::Desired)) -> Self {
        if let Want::LoadBalancer(want) = &mut self.want {
            edit(want);
        }
        self
    }

    fn eip(mut self, edit: impl FnOnce(&mut elastic_ip::Desired)) -> Self {
        if let Want::ElasticIp(want) = &mut self.want {
            edit(want);
        }
        self
    }
}

pub(super) fn text(text: &str) -> Part {
    Part::Literal(text.to_owned())
}

pub(super) fn hole(address: &str, output: Output) -> Part {
    Part::Hole { address: at(address), output }
}

pub(super) fn rule(port: u16, peer: Peer<Reference>) -> Rule<Reference> {
    Rule { traffic: Traffic::Tcp(Ports { from: port, to: port }), peer }
}

pub(super) fn net(text: &str) -> Peer<Reference> {
    Peer::Cidr(Cidr::read(text).unwrap())
}

pub(super) fn from_group(address: &str) -> Peer<Reference> {
    Peer::Group(Reference::Address(at(address)))
}

/// A simulated world with what was applied to it.
pub(super) struct Lab {
    pub(super) sim: Arc<Sim>,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self { sim: Arc::new(Sim::in_memory(world())) }
    }

    /// A world in which these were applied.
    pub(super) fn with(resources: Resources) -> Self {
        let lab = Self::new();
        lab.apply(&stack(resources));
        lab
    }

    /// Applies a stack, after which nothing is left to do.
    pub(super) fn apply(&self, stack: &Stack) {
        self.carry_out(stack, &policy());
        let (second, _) = plan_on(self.sim.as_ref(), stack, &policy());
        assert_eq!((graph(&second), second.refusals()), (String::new(), [].as_slice()));
    }

    pub(super) fn carry_out(&self, stack: &Stack, policy: &Policy) -> Plan {
        let (plan, _) = plan_on(self.sim.as_ref(), stack, policy);
        assert_eq!(plan.refusals(), []);
        let outcome = apply_on(&self.sim, &plan, 4);
        assert_eq!(trouble(&plan, &outcome), Vec::<String>::new());
        assert_eq!(self.sim.world().audit(), Vec::<String>::new());
        assert_eq!(self.sim.world().breaches(), [""; 0]);
        plan
    }

    pub(super) fn plan(&self, resources: Resources) -> Plan {
        self.plan_by(resources, &policy())
    }

    pub(super) fn plan_by(&self, resources: Resources, policy: &Policy) -> Plan {
        plan_on(self.sim.as_ref(), &stack(resources), policy).0
    }

    /// Ids by what they stand for, so that a test can be read.
    pub(super) fn named(&self, text: &str) -> String {
        let world = self.sim.world();
        let mut named = text.to_owned();
        for object in world.objects() {
            let name =
                object.owner().map_or("foreign".to_owned(), |owner| format!("{}#{}", owner.address, owner.generation));
            for id in object
                .outputs()
                .values()
                .chain([&object.id.to_string()])
                .filter(|text| text.len() > 9 && !text.starts_with("eu-"))
            {
                named = named.replace(id.as_str(), &format!("<{name}>"));
            }
        }
        let vpc = world.region(&here()).facts().vpcs[0].id.to_string();
        named.replace(&vpc, "<vpc>")
    }

    pub(super) fn graph(&self, plan: &Plan) -> String {
        self.named(&format!(
            "{}{}{}",
            graph(plan),
            refusals(plan),
            plan.exposures().iter().map(|e| format!("exposure: {e}\n")).collect::<String>()
        ))
    }
}

pub(super) fn refusals(plan: &Plan) -> String {
    let mut out = String::new();
    for refusal in plan.refusals() {
        let at = refusal.address.as_ref().map_or(String::new(), |address| format!(" {address}"));
        writeln!(out, "refused{at} ({:?}): {}", refusal.kind, refusal.message).unwrap();
        writeln!(out, "    hint: {}", refusal.hint.clone().unwrap_or_default()).unwrap();
    }
    out
}

/// What becomes of every address that changes: verb, fields with their effect, impact, calls.
pub(super) fn told(plan: &Plan) -> String {
    let mut out = String::new();
    for change in plan.changes().iter().filter(|change| change.verb != Verb::NoOp) {
        let fields: Vec<String> = change
            .fields
            .iter()
            .map(|field| {
                let edit = match &field.edit {
                    Edit::Value { .. } => "",
                    Edit::Added(_) => "+",
                    Edit::Removed(_) => "-",
                    Edit::Text { .. } => " (text)",
                    Edit::Hidden => " (hidden)",
                };
                format!("{edit}{} {:?}", field.name, field.effect)
            })
            .collect();
        let steps: Vec<&str> =
            plan.steps().iter().filter(|step| step.call.at == change.address).map(|step| &*step.title).collect();
        let impact = if change.impact == Impact::None { "" } else { change.impact.word() };
        let left = change.left_over.map_or(String::new(), |why| format!(" {why:?}"));
        writeln!(
            out,
            "  {} {:?}{left} [{}] {impact}: {}",
            change.address,
            change.verb,
            fields.join(", "),
            steps.join(", ")
        )
        .unwrap();
    }
    out
}

/// Compares with what a test says, telling where.
#[track_caller]
pub(super) fn check(is: &str, says: &str) {
    let is = format!("\n{}\n", is.trim_end());
    let place = std::panic::Location::caller();
    assert!(is == says, "<<<{}:{}{is}>>>", place.file(), place.line());
}
