//! Instances.

use super::{Lab, at, create, here, import, owned, planned, usual};
use crate::model::duration::{Gibibytes, Seconds};
use crate::model::id::{ImageId, SubnetId};
use crate::model::text::{Part, Text};
use crate::model::{CloudId, Link, Output, Tags};
use crate::resources::instance::Action as On;
use crate::resources::instance::action::{Key, Root, Run, VolumeChange};
use crate::resources::instance::state::{RootVolume, Shutdown, State};
use crate::resources::instance::user_data::{self, FINGERPRINT, Secrecy, UserData};
use crate::resources::registry::Action;
use crate::resources::snapshot::{Answer, Question};
use crate::resources::world::{Trouble, World};

pub(super) fn run(run: Run) -> Action {
    Action::Instance(On::Run(Box::new(run)))
}

fn act(action: On) -> Action {
    Action::Instance(action)
}

fn lab() -> Lab {
    let mut lab = Lab::default();
    lab.running("instance.web");
    lab
}

#[test]
fn it_is_pending_until_it_is_awaited_or_time_has_passed() {
    let mut lab = Lab::default();
    let usual = usual(&lab.world, "instance.web");
    let told = lab.fine("instance.web", run(usual));
    assert_eq!(
        told.keys().copied().collect::<Vec<_>>(),
        [Output::Id, Output::PrivateIp, Output::PrivateDns, Output::Zone]
    );
    assert_eq!((lab.instance("instance.web").state, lab.instance("instance.web").public_ip), (State::Pending, None));
    let told = lab.fine("instance.web", act(On::AwaitRunning));
    assert!(told.contains_key(&Output::PublicIp) && told.contains_key(&Output::PublicDns));
    let private_ip = told.get(&Output::PrivateIp).unwrap().replace('.', "-");
    assert_eq!(told.get(&Output::PrivateDns), Some(&format!("ip-{private_ip}.eu-west-1.compute.internal")));
    lab.fine("instance.web", act(On::Stop));
    lab.world.pass(1000);
    assert_eq!(lab.instance("instance.web").state, State::Stopped);
    lab.fine("instance.web", act(On::Terminate));
    lab.world.pass(1000);
    assert!(lab.object("instance.web").is_none());
}

#[test]
fn waiting_has_an_end() {
    let mut lab = Lab::default();
    let usual = usual(&lab.world, "instance.web");
    lab.fine("instance.web", run(usual));
    let mut call = super::call("instance.web", None, act(On::AwaitRunning));
    call.timeout = Seconds(1);
    assert_eq!(lab.world.step(&call, &lab.known).unwrap_err().trouble, Trouble::TimedOut);
}

#[test]
fn one_call_makes_one_instance() {
    let mut lab = Lab::default();
    let usual = usual(&lab.world, "instance.web");
    let first = lab.fine("instance.web", run(usual.clone()));
    assert_eq!(lab.fine("instance.web", run(usual.clone())), first);
    let mut other = usual.clone();
    other.instance_type = "t3.large".to_owned();
    assert_ne!(lab.fine("instance.web", run(other)).get(&Output::Id), first.get(&Output::Id));
    let on = first.get(&Output::Id).map(|id| CloudId::new(id.as_str()));
    lab.world.step(&super::call("instance.web", on, act(On::Terminate)), &lab.known).unwrap();
    assert_ne!(lab.fine("instance.web", run(usual)).get(&Output::Id), first.get(&Output::Id));
}

/// What makes a launch impossible.
type Spoil = Box<dyn Fn(&mut Run)>;

#[test]
fn what_it_is_launched_with_must_be_there() {
    let mut lab = lab();
    let key = |name: &str| Some(Key { name: name.to_owned(), of: None });
    let cases: [(&str, Spoil); 9] = [
        ("InvalidSubnetID.NotFound", Box::new(|run| run.subnet = SubnetId::new("subnet-00000000"))),
        ("InvalidParameterValue", Box::new(|run| run.zone = crate::model::id::ZoneName::new("eu-west-1z"))),
        ("InvalidKeyPair.NotFound", Box::new(move |run| run.key = key("none"))),
        (
            "InvalidGroup.NotFound",
            Box::new(|run| run.security_groups = vec![Link::Existing(CloudId::new("sg-00000000"))]),
        ),
        ("MissingParameter", Box::new(|run| run.security_groups = vec![planned("security_group.none")])),
        ("InvalidParameterValue", Box::new(|run| run.private_ip = Some([10, 0, 0, 9].into()))),
        ("InvalidParameterValue", Box::new(|run| run.private_ip = Some([172, 31, 0, 3].into()))),
        ("InvalidParameterValue", Box::new(|run| run.instance_type = "huge".to_owned())),
        (
            "SecurityGroupsPerInterfaceLimitExceeded",
            Box::new(|run| run.security_groups = vec![planned("security_group.none"); 6]),
        ),
    ];
    for (code, change) in cases {
        let mut usual = usual(&lab.world, "instance.new");
        change(&mut usual);
        assert_eq!(lab.refused("instance.new", run(usual)), code);
    }
    let mut taken = usual(&lab.world, "instance.new");
    taken.private_ip = Some(lab.instance("instance.web").private_ip);
    assert_eq!(lab.refused("instance.new", run(taken)), "InvalidIPAddress.InUse");
}

#[test]
fn it_is_launched_as_it_was_asked_for() {
    let mut lab = Lab::default();
    lab.fine("key_pair.deploy", import("deploy", Tags::new()));
    let group = create(&lab.world, "web", Tags::new());
    lab.fine("security_group.web", group);
    let mut asked = usual(&lab.world, "instance.web");
    asked.key = Some(Key { name: "deploy".to_owned(), of: Some(planned("key_pair.deploy")) });
    asked.security_groups = vec![planned("security_group.web")];
    asked.private_ip = Some([172, 31, 0, 77].into());
    asked.public_ip = Some(false);
    asked.iam_profile = Some("web".to_owned());
    let volume = RootVolume { size: Some(Gibibytes(20)), ..RootVolume::default() };
    asked.root = Some(Root { device: "/dev/xvda".to_owned(), volume });
    lab.fine("instance.web", run(asked));
    lab.fine("instance.web", act(On::AwaitRunning));
    let body = lab.instance("instance.web");
    assert_eq!(body.security_groups, [lab.id("security_group.web")]);
    assert_eq!((body.key_name.as_deref(), body.public_ip), (Some("deploy"), None));
    assert_eq!(body.iam_profile.as_deref(), Some("arn:aws:iam::123456789012:instance-profile/web"));
    let volume = &body.root.as_ref().unwrap().volume;
    assert_eq!(
        (volume.size, volume.volume_type.as_deref(), volume.iops),
        (Some(Gibibytes(20)), Some("gp3"), Some(3000))
    );
}

#[test]
fn a_stop_loses_its_own_address_and_keeps_an_elastic_one() {
    let mut lab = lab();
    let before = lab.instance("instance.web").clone();
    for action in [On::Stop, On::Stop, On::AwaitStopped, On::AwaitStopped] {
        lab.fine("instance.web", act(action));
        assert_eq!(lab.instance("instance.web").public_ip, None);
    }
    for action in [On::Start, On::Start, On::AwaitRunning] {
        lab.fine("instance.web", act(action));
    }
    let after = lab.instance("instance.web").clone();
    assert_eq!(before.private_ip, after.private_ip);
    assert!(after.public_ip.is_some() && before.public_ip != after.public_ip);
    lab.allocated("elastic_ip.edge");
    lab.fine("elastic_ip.edge", super::addresses::associate("instance.web", None));
    lab.fine("instance.web", act(On::Stop));
    lab.fine("instance.web", act(On::AwaitStopped));
    assert_eq!(lab.instance("instance.web").public_ip, Some(lab.address("elastic_ip.edge").public_ip));
}

#[test]
fn states_refuse_what_does_not_fit_them() {
    let mut lab = lab();
    let kind = || "t3.large".to_owned();
    for action in [On::SetType(kind()), On::SetUserData(None), On::AwaitStopped, On::AwaitTerminated] {
        assert_eq!(lab.refused("instance.web", act(action)), "IncorrectInstanceState");
    }
    lab.fine("instance.web", act(On::Stop));
    for action in [On::SetType(kind()), On::Start, On::AwaitRunning] {
        assert_eq!(lab.refused("instance.web", act(action)), "IncorrectInstanceState");
    }
    lab.fine("instance.web", act(On::AwaitStopped));
    lab.fine("instance.web", act(On::SetType(kind())));
    assert_eq!(lab.instance("instance.web").instance_type, "t3.large");
    lab.fine("instance.web", act(On::Terminate));
    for action in [On::Start, On::Stop, On::SetSourceDestCheck(false), On::SetShutdown(Shutdown::Stop)] {
        assert_eq!(lab.refused("instance.web", act(action)), "IncorrectInstanceState");
    }
    lab.fine("instance.web", act(On::AwaitTerminated));
    for action in [On::Start, On::Stop, On::AwaitRunning, On::SetGroups(Vec::new()), On::SetMonitoring(true)] {
        assert_eq!(lab.refused("instance.web", act(action)), "InvalidInstanceID.NotFound");
    }
    for action in [On::Terminate, On::AwaitTerminated] {
        lab.fine("instance.web", act(action));
    }
}

#[test]
fn protection_is_believed() {
    let mut lab = Lab::default();
    let mut guarded = usual(&lab.world, "instance.web");
    guarded.termination_protection = true;
    lab.fine("instance.web", run(guarded));
    assert_eq!(lab.refused("instance.web", act(On::Terminate)), "OperationNotPermitted");
    let question = Question::TerminationProtection { region: here(), id: lab.id("instance.web") };
    assert_eq!(lab.world.answer(&question), Ok(Answer::TerminationProtection(true)));
}

fn text(parts: Vec<Part>) -> UserData {
    UserData { body: user_data::Body::Text(Text(parts)), secrecy: Secrecy::Open }
}

#[test]
fn user_data_is_filled_kept_and_fingerprinted() {
    let mut lab = lab();
    let hole = Part::Hole { address: at("instance.web"), output: Output::PrivateIp };
    let data = text(vec![Part::Literal("echo ".to_owned()), hole]);
    let bytes = format!("echo {}", lab.instance("instance.web").private_ip).into_bytes();
    let mut asked = usual(&lab.world, "instance.client");
    asked.user_data = Some(data.clone());
    lab.fine("instance.client", run(asked));
    let print = |lab: &Lab| lab.object("instance.client").unwrap().tags.get(FINGERPRINT).cloned();
    assert_eq!(print(&lab), Some(data.fingerprint(&bytes)));
    let question = Question::UserData { region: here(), id: lab.id("instance.client") };
    assert_eq!(lab.world.answer(&question), Ok(Answer::UserData(Some(bytes))));
    for action in [On::AwaitRunning, On::Stop, On::AwaitStopped, On::SetUserData(None)] {
        lab.fine("instance.client", act(action));
    }
    assert_eq!(print(&lab), None);
    assert_eq!(lab.world.answer(&question), Ok(Answer::UserData(None)));
    lab.fine("instance.client", act(On::SetUserData(Some(text(vec![Part::Literal("new".to_owned())])))));
    assert!(print(&lab).is_some());
}

#[test]
fn a_hole_takes_no_text_that_could_end_a_string() {
    let mut lab = lab();
    lab.known.0.get_mut(&at("instance.web")).unwrap().insert(Output::PublicDns, "a\"; reboot".to_owned());
    let hole = Part::Hole { address: at("instance.web"), output: Output::PublicDns };
    let mut asked = usual(&lab.world, "instance.client");
    asked.user_data = Some(text(vec![hole]));
    assert_eq!(lab.refused("instance.client", run(asked)), "InvalidParameterValue");
}

#[test]
fn a_volume_only_grows() {
    let mut lab = lab();
    let volume = lab.instance("instance.web").root.as_ref().unwrap().id.clone();
    let to = |size| VolumeChange { size: Some(Gibibytes(size)), ..VolumeChange::default() };
    let set = |size| act(On::SetVolume { volume: volume.clone(), to: to(size) });
    assert_eq!(lab.refused("instance.web", set(4)), "InvalidParameterValue");
    lab.fine("instance.web", set(16));
    assert_eq!(lab.instance("instance.web").root.as_ref().unwrap().volume.size, Some(Gibibytes(16)));
    let strange = On::SetVolume { volume: CloudId::new("vol-00000000"), to: to(32) };
    assert_eq!(lab.refused("instance.web", act(strange)), "InvalidVolume.NotFound");
}

#[test]
fn types_say_whether_a_stop_wipes_disks() {
    let cases = [
        ("t3.small", Some(false)),
        ("i3.large", Some(true)),
        ("d3.xlarge", Some(true)),
        ("m5d.large", Some(true)),
        ("c6gd.medium", Some(true)),
        ("r5.24xlarge", Some(false)),
        ("u-6tb1.metal", Some(false)),
        ("huge", None),
        ("3t.small", None),
    ];
    for (name, store) in cases {
        assert_eq!(World::instance_type(name).map(|found| found.instance_store), store, "{name}");
    }
}

#[test]
fn a_region_that_names_images_has_no_others() {
    let mut lab = Lab::default();
    let any = lab.world.region(&here()).image(&ImageId::new("ami-00000000")).unwrap();
    lab.world.region_mut(&here()).set_images(vec![any]);
    let missing = usual(&lab.world, "instance.web");
    assert_eq!(lab.refused("instance.web", run(missing)), "InvalidAMIID.NotFound");
    assert_eq!(owned("instance.web").len(), 3);
}
