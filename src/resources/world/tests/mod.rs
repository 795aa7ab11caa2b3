//! Tables of calls and refusals for each kind, and laws that hold for all of them.

use std::collections::BTreeMap;

use super::{Outputs, Resolve, World, WorldError};
use crate::model::duration::Seconds;
use crate::model::id::ImageId;
use crate::model::net::{Cidr, Ports, Traffic};
use crate::model::{Address, CloudId, Link, Output, Region, Tags, tags};
use crate::resources::instance::action::Run;
use crate::resources::instance::state::{Metadata, MetadataService, Shutdown};
use crate::resources::registry::{Action, Body, Call, Object};
use crate::resources::security_group::action::NewRule;
use crate::resources::security_group::state::{Peer, Rule};
use crate::resources::{elastic_ip, instance, key_pair, security_group};

mod addresses;
mod balancers;
mod groups;
mod hosts;
mod instances;
mod keys;
mod laws;
mod radius;

/// A world, with what calls have given so far.
#[derive(Debug, Default)]
struct Lab {
    world: World,
    known: Known,
}

#[derive(Debug, Clone, Default)]
struct Known(BTreeMap<Address, Outputs>);

impl Resolve for Known {
    fn id(&self, link: &Link) -> Option<CloudId> {
        match link {
            Link::Existing(id) => Some(id.clone()),
            Link::Planned(address) => self.output(address, Output::Id).map(CloudId::new),
        }
    }

    fn output(&self, address: &Address, output: Output) -> Option<String> {
        self.0.get(address)?.get(&output).cloned()
    }
}

fn here() -> Region {
    Region::new("eu-west-1").unwrap()
}

fn at(address: &str) -> Address {
    address.parse().unwrap()
}

fn planned(address: &str) -> Link {
    Link::Planned(at(address))
}

fn call(address: &str, on: Option<CloudId>, action: Action) -> Call {
    Call { at: at(address), region: here(), on, action, timeout: Seconds(600) }
}

impl Lab {
    fn step(&mut self, address: &str, action: Action) -> Result<Outputs, WorldError> {
        let outputs = self.world.step(&call(address, None, action), &self.known)?;
        assert_eq!(self.world.audit(), Vec::<String>::new());
        self.known.0.entry(at(address)).or_default().extend(outputs.clone());
        Ok(outputs)
    }

    fn fine(&mut self, address: &str, action: Action) -> Outputs {
        let outputs = self.step(address, action).unwrap_or_else(|why| panic!("{address}: {why}"));
        assert_eq!(self.world.breaches(), [""; 0]);
        outputs
    }

    /// The code with which a call is refused; it leaves no trace.
    fn refused(&mut self, address: &str, action: Action) -> &'static str {
        self.world.region_mut(&here());
        let before: Vec<Object> = self.world.objects().cloned().collect();
        let code = self.step(address, action).expect_err("is refused").code;
        assert_eq!(before, self.world.objects().cloned().collect::<Vec<_>>());
        code
    }

    fn id(&self, address: &str) -> CloudId {
        self.known.id(&planned(address)).unwrap()
    }

    fn object(&self, address: &str) -> Option<&Object> {
        self.world.object(&here(), &self.id(address))
    }

    fn instance(&self, address: &str) -> &instance::Observed {
        match &self.object(address).expect("the instance").body {
            Body::Instance(body) => body,
            other => panic!("{other:?}"),
        }
    }

    fn group(&self, address: &str) -> &security_group::Observed {
        match &self.object(address).expect("the group").body {
            Body::SecurityGroup(body) => body,
            other => panic!("{other:?}"),
        }
    }

    fn address(&self, address: &str) -> &elastic_ip::Observed {
        match &self.object(address).expect("the address").body {
            Body::ElasticIp(body) => body,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a usual instance and waits for it.
    fn running(&mut self, address: &str) {
        let run = usual(&self.world, address);
        self.fine(address, instances::run(run));
        self.fine(address, Action::Instance(instance::Action::AwaitRunning));
    }

    fn allocated(&mut self, address: &str) {
        self.fine(address, addresses::allocate(owned(address)));
    }
}

fn owned(address: &str) -> Tags {
    Tags::from([
        (tags::STACK.to_owned(), "shop".to_owned()),
        (tags::ADDRESS.to_owned(), address.to_owned()),
        (tags::GENERATION.to_owned(), "1".to_owned()),
    ])
}

/// A usual instance of the first subnet.
fn usual(world: &World, address: &str) -> Run {
    let region = world.region(&here());
    let subnet = region.facts().subnets.first().unwrap();
    Run {
        image: ImageId::new("ami-0123456789abcdef0"),
        instance_type: "t3.small".to_owned(),
        subnet: subnet.id.clone(),
        zone: subnet.zone.clone(),
        security_groups: Vec::new(),
        key: None,
        iam_profile: None,
        public_ip: None,
        private_ip: None,
        user_data: None,
        root: None,
        metadata: Metadata { service: MetadataService::V2, hops: 1 },
        detailed_monitoring: false,
        shutdown: Shutdown::Stop,
        tenancy: None,
        placement_group: None,
        termination_protection: false,
        tags: owned(address),
        token_seed: format!("shop/{address}/1"),
    }
}

fn create(world: &World, name: &str, tags: Tags) -> Action {
    Action::SecurityGroup(security_group::Action::Create {
        name: name.to_owned(),
        description: "a group".to_owned(),
        vpc: world.region(&here()).facts().vpcs.first().unwrap().id.clone(),
        tags,
    })
}

fn import(name: &str, tags: Tags) -> Action {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaeUuAyLGUdXDj5Mg4pOAvI5vM4qWpNx1Vh0yXv6F2a";
    Action::KeyPair(key_pair::Action::Import { name: name.to_owned(), public_key: key.to_owned(), tags })
}

fn port(number: u16) -> Traffic {
    Traffic::Tcp(Ports { from: number, to: number })
}

fn from_network(number: u16, network: &str) -> NewRule {
    let peer = Peer::Cidr(Cidr::read(network).unwrap());
    NewRule { rule: Rule { traffic: port(number), peer }, description: None }
}

fn from_group(number: u16, group: Link) -> NewRule {
    NewRule { rule: Rule { traffic: port(number), peer: Peer::Group(group) }, description: None }
}
