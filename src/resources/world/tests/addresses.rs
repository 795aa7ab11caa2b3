//! Elastic IPs.

use super::{Lab, owned, planned, usual};
use crate::model::{CloudId, Output, Tags};
use crate::resources::elastic_ip::Action as On;
use crate::resources::instance;
use crate::resources::registry::Action;
use crate::resources::world::Limits;

fn act(action: On) -> Action {
    Action::ElasticIp(action)
}

pub(super) fn allocate(tags: Tags) -> Action {
    act(On::Allocate { pool: None, border_group: None, tags })
}

pub(super) fn associate(to: &str, from: Option<CloudId>) -> Action {
    act(On::Associate { to: planned(to), from })
}

fn association(lab: &Lab, address: &str) -> CloudId {
    lab.address(address).association.as_ref().unwrap().id.clone()
}

fn lab() -> Lab {
    let mut lab = Lab::default();
    lab.allocated("elastic_ip.edge");
    lab.allocated("elastic_ip.spare");
    lab.running("instance.web");
    lab.running("instance.other");
    lab
}

#[test]
fn a_region_gives_so_many() {
    let mut lab = Lab::default();
    lab.world.set_limits(Limits { addresses: 1, ..Limits::default() });
    let told = lab.fine("elastic_ip.edge", allocate(owned("elastic_ip.edge")));
    assert_eq!(lab.fine("elastic_ip.edge", allocate(owned("elastic_ip.edge"))), told, "its reply was lost");
    assert_eq!(lab.refused("elastic_ip.spare", allocate(owned("elastic_ip.spare"))), "AddressLimitExceeded");
    assert_eq!(told.get(&Output::PublicIp).map(String::as_str), Some("198.18.0.1"));
}

#[test]
fn an_instance_loses_its_own_address_and_gets_a_new_one_afterwards() {
    let mut lab = lab();
    let own = lab.instance("instance.web").public_ip;
    lab.fine("elastic_ip.edge", associate("instance.web", None));
    let elastic = lab.address("elastic_ip.edge").public_ip;
    assert_eq!(lab.instance("instance.web").public_ip, Some(elastic));
    assert!(lab.instance("instance.web").public_ip_is_elastic);
    let first = association(&lab, "elastic_ip.edge");
    lab.fine("elastic_ip.edge", associate("instance.web", None));
    assert_eq!(association(&lab, "elastic_ip.edge"), first);
    lab.fine("elastic_ip.edge", act(On::Disassociate { association: first.clone() }));
    lab.fine("elastic_ip.edge", act(On::Disassociate { association: first }));
    let after = lab.instance("instance.web").public_ip;
    assert!(after.is_some() && after != own && after != Some(elastic));
}

#[test]
fn it_moves_only_from_where_the_plan_saw_it() {
    let mut lab = lab();
    lab.fine("elastic_ip.edge", associate("instance.web", None));
    let first = association(&lab, "elastic_ip.edge");
    for from in [None, Some(CloudId::new("eipassoc-00000000"))] {
        let code = lab.refused("elastic_ip.edge", associate("instance.other", from));
        assert_eq!(code, "Resource.AlreadyAssociated");
    }
    lab.fine("elastic_ip.edge", associate("instance.other", Some(first)));
    assert!(!lab.instance("instance.web").public_ip_is_elastic);
    assert_eq!(lab.instance("instance.other").public_ip, Some(lab.address("elastic_ip.edge").public_ip));
}

#[test]
fn a_second_one_displaces_the_first() {
    let mut lab = lab();
    lab.fine("elastic_ip.edge", associate("instance.web", None));
    lab.fine("elastic_ip.spare", associate("instance.web", None));
    assert_eq!(lab.address("elastic_ip.edge").association, None);
    assert_eq!(lab.instance("instance.web").public_ip, Some(lab.address("elastic_ip.spare").public_ip));
}

#[test]
fn it_waits_for_a_running_instance() {
    let mut lab = lab();
    let run = usual(&lab.world, "instance.late");
    lab.fine("instance.late", super::instances::run(run));
    assert_eq!(lab.refused("elastic_ip.edge", associate("instance.late", None)), "IncorrectInstanceState");
    lab.fine("instance.late", Action::Instance(instance::Action::Terminate));
    lab.fine("instance.late", Action::Instance(instance::Action::AwaitTerminated));
    assert_eq!(lab.refused("elastic_ip.edge", associate("instance.late", None)), "InvalidInstanceID.NotFound");
}

#[test]
fn it_is_released_once_it_answers_for_nobody() {
    let mut lab = lab();
    lab.fine("elastic_ip.edge", associate("instance.web", None));
    assert_eq!(lab.refused("elastic_ip.edge", act(On::Release)), "InvalidIPAddress.InUse");
    lab.fine("instance.web", Action::Instance(instance::Action::Terminate));
    assert_eq!(lab.instance("instance.web").public_ip, None);
    lab.fine("elastic_ip.edge", act(On::Release));
    lab.fine("elastic_ip.edge", act(On::Release));
    assert_eq!(lab.refused("elastic_ip.edge", associate("instance.other", None)), "InvalidAllocationID.NotFound");
}
