//! Changes of an instance that stays
//! (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html>).

use super::super::Observed;
use super::super::action::{VolumeChange, fingerprint_edit};
use super::super::state::{RootVolume, Shutdown, State};
use super::super::user_data::UserData;
use super::{change, instance, run, wrong_state};
use crate::model::duration::Gibibytes;
use crate::model::{CloudId, Link};
use crate::resources::world::{Bytes, Outputs, Trouble, Turn, WorldError};

/// The instance that the call acts on, unless it is on its way out.
fn target(turn: &Turn<'_>) -> Result<CloudId, WorldError> {
    let id = turn.target()?;
    let body = instance(turn.place, &id)?;
    match body.state {
        State::Pending | State::Running | State::Stopping | State::Stopped => Ok(id),
        State::ShuttingDown => Err(wrong_state(&id, body)),
    }
}

/// The instance that the call acts on, if it is stopped.
fn stopped(turn: &Turn<'_>) -> Result<CloudId, WorldError> {
    let id = turn.target()?;
    let body = instance(turn.place, &id)?;
    match body.state {
        State::Stopped => Ok(id),
        State::Pending | State::Running | State::Stopping | State::ShuttingDown => Err(wrong_state(&id, body)),
    }
}

/// Sets a plain field.
pub(super) fn set(turn: &mut Turn<'_>, edit: impl FnOnce(&mut Observed)) -> Result<Outputs, WorldError> {
    let id = target(turn)?;
    change(turn.place, &id, edit);
    Ok(Outputs::new())
}

/// Sets the groups of the interface, all at once.
pub(super) fn set_groups(turn: &mut Turn<'_>, links: &[Link]) -> Result<Outputs, WorldError> {
    let id = target(turn)?;
    if links.is_empty() {
        return Err(WorldError::invalid(format!("`{id}` must have a group at least")));
    }
    let subnet = instance(turn.place, &id)?.subnet.clone();
    let subnet = turn.place.subnet(&subnet).cloned().ok_or_else(|| {
        let why = format!("the subnet `{subnet}` does not exist");
        WorldError::new(Trouble::NotFound, "InvalidSubnetID.NotFound", why)
    })?;
    let groups = run::groups(turn, &subnet, links)?;
    change(turn.place, &id, |body| body.security_groups = groups);
    Ok(Outputs::new())
}

/// Refuses what is no instance type.
pub(super) fn check_type(name: &str) -> Result<(), WorldError> {
    match crate::resources::world::World::instance_type(name) {
        Some(_) => Ok(()),
        None => Err(WorldError::invalid(format!("`{name}` is no instance type"))),
    }
}

/// Sets the type of a stopped instance.
pub(super) fn set_type(turn: &mut Turn<'_>, name: &str) -> Result<Outputs, WorldError> {
    let id = stopped(turn)?;
    check_type(name)?;
    change(turn.place, &id, |body| name.clone_into(&mut body.instance_type));
    Ok(Outputs::new())
}

/// Sets the user data of a stopped instance, and its fingerprint.
pub(super) fn set_user_data(turn: &mut Turn<'_>, data: Option<&UserData>) -> Result<Outputs, WorldError> {
    let id = stopped(turn)?;
    let bytes = data.map(|data| run::fill(turn, data)).transpose()?;
    turn.retag(&fingerprint_edit(data, bytes.as_deref()))?;
    turn.place.unlisted_mut(&id).user_data = bytes.map(Bytes);
    Ok(Outputs::new())
}

/// Sets what a shutdown from inside does.
pub(super) fn set_shutdown(turn: &mut Turn<'_>, shutdown: Shutdown) -> Result<Outputs, WorldError> {
    let id = target(turn)?;
    turn.place.unlisted_mut(&id).shutdown = shutdown;
    Ok(Outputs::new())
}

/// Sets whether it may be terminated.
pub(super) fn set_termination_protection(turn: &mut Turn<'_>, on: bool) -> Result<Outputs, WorldError> {
    let id = target(turn)?;
    turn.place.unlisted_mut(&id).termination_protection = on;
    Ok(Outputs::new())
}

/// Sets or takes away the instance profile.
pub(super) fn set_profile(turn: &mut Turn<'_>, profile: Option<&str>) -> Result<Outputs, WorldError> {
    let id = target(turn)?;
    let arn = profile.map(|profile| run::profile_arn(turn.account, profile));
    change(turn.place, &id, |body| body.iam_profile = arn);
    Ok(Outputs::new())
}

/// Changes the boot volume, which only grows
/// (<https://docs.aws.amazon.com/ebs/latest/userguide/modify-volume-requirements.html>).
pub(super) fn set_volume(turn: &mut Turn<'_>, volume: &CloudId, to: &VolumeChange) -> Result<Outputs, WorldError> {
    let id = target(turn)?;
    let body = instance(turn.place, &id)?;
    let Some(disk) = body.root.as_ref().filter(|disk| disk.id == *volume) else {
        let why = format!("the volume `{volume}` does not exist at `{id}`");
        return Err(WorldError::new(Trouble::NotFound, "InvalidVolume.NotFound", why));
    };
    if to.size.is_some_and(|size| disk.volume.size.is_some_and(|before| size < before)) {
        return Err(WorldError::invalid(format!("`{volume}` cannot become smaller")));
    }
    let next = grown(&disk.volume, to);
    change(turn.place, &id, |body| {
        if let Some(disk) = &mut body.root {
            disk.volume = next;
        }
    });
    Ok(Outputs::new())
}

/// A volume after a change. Another type has that type's usual performance where the change says nothing of it.
fn grown(volume: &RootVolume, to: &VolumeChange) -> RootVolume {
    let VolumeChange { size, volume_type, iops, throughput } = to;
    let mut next = volume.clone();
    next.size = size.or(volume.size);
    next.volume_type = volume_type.clone().or_else(|| volume.volume_type.clone());
    if next.volume_type != volume.volume_type {
        let word = next.volume_type.as_deref().unwrap_or_default();
        (next.iops, next.throughput) = usual_performance(word, next.size.unwrap_or(Gibibytes(8)));
    }
    next.iops = iops.or(next.iops);
    next.throughput = throughput.or(next.throughput);
    next
}

/// The performance of a volume type that nobody says more of
/// (<https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html>).
pub(super) fn usual_performance(volume_type: &str, size: Gibibytes) -> (Option<u32>, Option<u32>) {
    match volume_type {
        "gp3" => (Some(3000), Some(125)),
        "gp2" => (Some(size.0.saturating_mul(3).clamp(100, 16_000)), None),
        _ => (None, None),
    }
}
