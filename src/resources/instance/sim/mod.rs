//! Instances in the simulated world: how each call finds them, and what it leaves.

use std::net::Ipv4Addr;

use super::state::State;
use super::{Action, Observed};
use crate::model::{CloudId, Kind};
use crate::resources::Seen;
use crate::resources::registry::Body;
use crate::resources::world::{Life, Outputs, PublicPool, RegionWorld, Slot, Trouble, Turn, Unlisted, WorldError};

mod life;
mod modify;
mod run;

/// The API operation that an action is.
#[must_use]
pub const fn api(action: &Action) -> &'static str {
    match action {
        Action::Run(_) => "ec2:RunInstances",
        Action::AwaitRunning | Action::AwaitStopped | Action::AwaitTerminated => "ec2:DescribeInstances",
        Action::SetGroups(_)
        | Action::SetType(_)
        | Action::SetUserData(_)
        | Action::SetSourceDestCheck(_)
        | Action::SetShutdown(_)
        | Action::SetRootDeletion(_)
        | Action::SetTerminationProtection(_) => "ec2:ModifyInstanceAttribute",
        Action::SetMetadata(_) => "ec2:ModifyInstanceMetadataOptions",
        Action::SetMonitoring(true) => "ec2:MonitorInstances",
        Action::SetMonitoring(false) => "ec2:UnmonitorInstances",
        Action::SetProfile(Some(_)) => "ec2:AssociateIamInstanceProfile",
        Action::SetProfile(None) => "ec2:DisassociateIamInstanceProfile",
        Action::SetVolume { .. } => "ec2:ModifyVolume",
        Action::Start => "ec2:StartInstances",
        Action::Stop => "ec2:StopInstances",
        Action::Tag(_) => "ec2:CreateTags",
        Action::Terminate => "ec2:TerminateInstances",
    }
}

/// What an instance has that lookups go by.
#[must_use]
pub fn slots(body: &Observed) -> Vec<Slot> {
    let mut slots = vec![Slot::PrivateIp { vpc: body.vpc.clone(), address: body.private_ip }];
    if !body.public_ip_is_elastic {
        slots.extend(body.public_ip.map(Slot::PublicIp));
    }
    slots
}

/// What an instance keeps from going, in every state: its groups.
#[must_use]
pub fn holds(body: &Observed) -> Vec<CloudId> {
    body.security_groups.clone()
}

/// Whether it is on its way out.
#[must_use]
pub fn is_going(body: &Observed) -> bool {
    body.state == State::ShuttingDown
}

/// How far it is in its life, for those who send it traffic.
#[must_use]
pub fn life(body: &Observed, unlisted: Option<&Unlisted>) -> Life {
    match body.state {
        State::Pending => Life::Pending { until: unlisted.and_then(|unlisted| unlisted.until) },
        State::Running => Life::Running { since: unlisted.and_then(|unlisted| unlisted.running_since) },
        State::Stopping | State::Stopped => Life::Stopped,
        State::ShuttingDown => Life::Terminated,
    }
}

/// Carries out an action.
///
/// # Errors
/// What AWS would answer instead of doing it.
pub fn perform(turn: &mut Turn<'_>, action: &Action) -> Result<Outputs, WorldError> {
    match action {
        Action::Run(run) => run::run(turn, run),
        Action::AwaitRunning => life::await_running(turn),
        Action::AwaitStopped => life::await_stopped(turn),
        Action::AwaitTerminated => life::await_terminated(turn),
        Action::Start => life::start(turn),
        Action::Stop => life::stop(turn),
        Action::Terminate => life::terminate(turn),
        Action::Tag(edit) => turn.retag(edit),
        Action::SetGroups(groups) => modify::set_groups(turn, groups),
        Action::SetType(name) => modify::set_type(turn, name),
        Action::SetUserData(data) => modify::set_user_data(turn, data.as_ref()),
        Action::SetSourceDestCheck(check) => modify::set(turn, |body| body.source_dest_check = *check),
        Action::SetShutdown(shutdown) => modify::set_shutdown(turn, *shutdown),
        Action::SetMetadata(metadata) => modify::set(turn, |body| body.metadata = *metadata),
        Action::SetMonitoring(detailed) => modify::set(turn, |body| body.detailed_monitoring = *detailed),
        Action::SetProfile(profile) => modify::set_profile(turn, profile.as_deref()),
        Action::SetRootDeletion(gone) => modify::set(turn, |body| {
            if let Some(root) = &mut body.root {
                root.volume.delete_on_termination = Some(*gone);
            }
        }),
        Action::SetTerminationProtection(on) => modify::set_termination_protection(turn, *on),
        Action::SetVolume { volume, to } => modify::set_volume(turn, volume, to),
    }
}

/// Says of an instance that was observed whether its interface gets a public address whenever it starts, as far as its tags
/// and its subnet tell.
pub fn recall(place: &mut RegionWorld, id: &CloudId) {
    let has = place.object(id).and_then(|object| match &object.body {
        Body::Instance(body) => {
            let seen = Seen { id, region: &object.region, tags: &object.tags, body };
            super::compare::has_public_ip(&seen, place.facts())
        }
        _ => None,
    });
    if let Some(has) = has {
        place.unlisted_mut(id).public_ip = Some(has);
    }
}

pub use life::{answer_on, ripen, settle, takes_address, wear};

/// The instance of an id.
fn instance<'a>(place: &'a RegionWorld, id: &CloudId) -> Result<&'a Observed, WorldError> {
    match place.object(id).map(|object| &object.body) {
        Some(Body::Instance(body)) => Ok(body),
        Some(_) | None => Err(WorldError::missing(Kind::Instance, id)),
    }
}

/// Changes an instance that is there.
fn change(place: &mut RegionWorld, id: &CloudId, edit: impl FnOnce(&mut Observed)) {
    place.change(id, |object| {
        if let Body::Instance(body) = &mut object.body {
            edit(body);
        }
    });
}

/// The refusal of something that the state does not allow.
fn wrong_state(id: &CloudId, body: &Observed) -> WorldError {
    let why = format!("the instance `{id}` is {}", body.state.word());
    WorldError::new(Trouble::WrongState, "IncorrectInstanceState", why)
}

/// Gives an instance a public address that is not an Elastic IP, or takes it away.
fn show(place: &mut RegionWorld, id: &CloudId, public_ip: Option<Ipv4Addr>) {
    let public_dns = public_ip.map(|address| place.public_dns(address));
    change(place, id, |body| {
        body.public_ip = public_ip;
        body.public_dns = public_dns;
        body.public_ip_is_elastic = false;
    });
}

/// Gives an instance a fresh public address, if its interface gets one.
fn renew(place: &mut RegionWorld, pool: &mut PublicPool, id: &CloudId) {
    if place.unlisted(id).is_some_and(|unlisted| unlisted.public_ip == Some(true)) {
        let address = pool.give(place);
        show(place, id, Some(address));
    }
}
