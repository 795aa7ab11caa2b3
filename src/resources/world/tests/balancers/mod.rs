//! Load balancers.

use std::collections::{BTreeMap, BTreeSet};

use super::{Lab, at, call, create as create_group, here, owned, planned, usual};
use crate::model::duration::Seconds;
use crate::model::id::{ImageId, SubnetId, VpcId, ZoneName};
use crate::model::net::Cidr;
use crate::model::{CloudId, Kind, Link, Output, TagEdit, Tags};
use crate::resources::load_balancer::Action as On;
use crate::resources::load_balancer::action::Create;
use crate::resources::load_balancer::state::{
    AccessLog, Attributes, DEFAULT_SSL_POLICY, Health, HealthCheck, Listener, Protocol, Scheme, Stickiness,
};
use crate::resources::load_balancer::{self, Observed};
use crate::resources::registry::{Action, Body, Object};
use crate::resources::snapshot::{Answer, Question, Subnet};
use crate::resources::world::{Limits, Outputs, Trouble, World, WorldError};
use crate::resources::{instance, security_group};

mod end;
mod members;
mod settings;
mod weather;

const FRONT: &str = "load_balancer.front";
const CERTIFICATE: &str = "arn:aws:acm:eu-west-1:123456789012:certificate/1";

fn act(action: On) -> Action {
    Action::LoadBalancer(action)
}

fn machine(action: instance::Action) -> Action {
    Action::Instance(action)
}

fn subnets(world: &World) -> Vec<Subnet> {
    world.region(&here()).facts().subnets.clone()
}

fn listener(protocol: Protocol, instance_protocol: Protocol) -> Listener {
    Listener {
        protocol,
        instance_port: 8000,
        instance_protocol,
        certificate: protocol.is_secure().then(|| CERTIFICATE.to_owned()),
        ssl_policy: None,
        stickiness: None,
    }
}

fn http() -> Listener {
    listener(Protocol::Http, Protocol::Http)
}

/// A usual balancer in the first two zones.
pub(super) fn front(world: &World, address: &str) -> Create {
    Create {
        name: at(address).name.to_string(),
        scheme: Scheme::InternetFacing,
        subnets: subnets(world).into_iter().take(2).map(|subnet| subnet.id).collect(),
        security_groups: Vec::new(),
        listeners: BTreeMap::from([(80, http())]),
        tags: owned(address),
    }
}

pub(super) fn create(create: Create) -> Action {
    act(On::Create(Box::new(create)))
}

fn check(interval: u64, healthy_after: u32) -> HealthCheck {
    HealthCheck {
        target: "TCP:8000".to_owned(),
        interval: Seconds(interval),
        timeout: Seconds(2),
        unhealthy_after: 2,
        healthy_after,
    }
}

pub(super) fn register(address: &str) -> Action {
    act(On::Register(vec![planned(address)]))
}

fn await_in_service(addresses: &[&str]) -> Action {
    act(On::AwaitInService(addresses.iter().map(|address| planned(address)).collect()))
}

impl Lab {
    fn balancer(&self) -> &Observed {
        match &self.object(FRONT).expect("the balancer").body {
            Body::LoadBalancer(body) => body,
            other => panic!("{other:?}"),
        }
    }

    fn made(&mut self) -> Outputs {
        let front = front(&self.world, FRONT);
        self.fine(FRONT, create(front))
    }

    fn healths(&self) -> BTreeMap<CloudId, Health> {
        self.world.health(&here(), &self.id(FRONT))
    }

    /// Why a member is not in service; empty for one that is.
    fn reason(&self, address: &str) -> String {
        let health = self.healths().remove(&self.id(address)).expect("a member");
        assert_eq!(health.in_service, health.reason.is_empty());
        health.reason
    }

    fn deregister(&self, address: &str, keep: u32) -> Action {
        act(On::Deregister { instances: BTreeSet::from([self.id(address)]), keep })
    }

    /// A call that may wait only so long.
    fn within(&mut self, seconds: u64, address: &str, action: Action) -> Result<Outputs, WorldError> {
        let mut call = call(address, None, action);
        call.timeout = Seconds(seconds);
        self.world.step(&call, &self.known)
    }

    /// Runs an instance in one of the subnets.
    fn member(&mut self, address: &str, nth: usize) {
        let mut run = usual(&self.world, address);
        let subnet = subnets(&self.world).remove(nth);
        (run.subnet, run.zone) = (subnet.id, subnet.zone);
        self.fine(address, super::instances::run(run));
        self.fine(address, machine(instance::Action::AwaitRunning));
    }
}

/// A balancer with members `a` in the first zone and `b` in the second, all in service; `c`, in the first, is no member.
fn serving() -> Lab {
    let mut lab = Lab::default();
    lab.made();
    lab.fine(FRONT, act(On::SetHealthCheck(check(5, 2))));
    for (address, nth) in [("instance.a", 0), ("instance.b", 1), ("instance.c", 0)] {
        lab.member(address, nth);
    }
    lab.fine(FRONT, register("instance.a"));
    lab.fine(FRONT, register("instance.b"));
    lab.fine(FRONT, await_in_service(&["instance.a", "instance.b"]));
    lab
}
