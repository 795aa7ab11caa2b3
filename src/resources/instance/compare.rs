//! Which fields of an instance differ, and what each difference does to it.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::create;
use super::state::{Desired, ImageChoice, Observed, OnChange, RootVolume, State};
use super::user_data::{FINGERPRINT, UserData};
use super::{IMAGE_QUERY, PUBLIC_IP, SHUTDOWN};
use crate::model::tags::PROTECT;
use crate::model::{CloudId, Kind, Link, Owner};
use crate::resources::place::Within;
use crate::resources::snapshot::{Answer, Facts, Question};
use crate::resources::{Context, Edit, Effect, Field, Impact, Seen};

/// The differences found so far.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) fields: Vec<Field>,
    /// The fingerprint that its tag shall say: its user data is what is wanted, and no tag says so.
    pub(super) mark: Option<String>,
    /// What AWS's own termination protection shall become.
    pub(super) termination_protection: Option<bool>,
}

impl Differences {
    /// One value instead of another.
    fn value(&mut self, name: &str, effect: Effect, before: Option<&dyn Display>, after: Option<&dyn Display>) {
        let edit = Edit::Value { before: before.map(ToString::to_string), after: after.map(ToString::to_string) };
        self.fields.push(Field { name: name.to_owned(), edit, effect });
    }

    /// Whether a field differs.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// Whether a field differs in a way that restarts.
    pub(super) fn restarts(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name && field.effect == Effect::Restart)
    }
}

/// Compares what is wanted with what is there.
pub(super) fn differences(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>) -> Differences {
    let mut found = Differences::default();
    image(want, have, cx, &mut found);
    launch(want, have, cx, &mut found);
    network(want, have, cx, &mut found);
    root_volume(&want.root_volume, have.body, &mut found);
    groups(want, have, cx, &mut found);
    attributes(want, have, &mut found);
    user_data(want, have, cx, &mut found);
    termination_protection(have, cx, &mut found);
    if matches!(have.body.state, State::Stopped | State::Stopping | State::Pending) {
        found.value("state", Effect::InPlace, Some(&have.body.state.word()), Some(&"running"));
    }
    found
}

fn image(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, found: &mut Differences) {
    match &want.image {
        ImageChoice::Id(id) if *id != have.body.image => {
            found.value("image", Effect::Replace, Some(&have.body.image), Some(id));
        }
        ImageChoice::Id(_) => {}
        ImageChoice::Query(query) => match have.tags.get(IMAGE_QUERY) {
            // A newer image alone changes nothing: only another query does.
            Some(tag) if *tag == super::canonical(query) => {}
            Some(tag) => found.value("image", Effect::Replace, Some(tag), Some(&super::canonical(query))),
            None if Owner::read(have.tags).is_none() => {}
            None => {
                let newest = create::newest(query, cx).filter(|newest| newest.id != have.body.image);
                if let Some(newest) = newest {
                    found.value("image", Effect::Replace, Some(&have.body.image), Some(&newest.id));
                }
            }
        },
    }
}

/// What is fixed at launch, beside image and network.
fn launch(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, found: &mut Differences) {
    if want.instance_type != have.body.instance_type {
        let effect = match want.on_type_change {
            OnChange::Replace => Effect::Replace,
            OnChange::Restart | OnChange::Ignore => Effect::Restart,
        };
        found.value("type", effect, Some(&have.body.instance_type), Some(&want.instance_type));
    }
    let key = want.key_pair.as_ref().and_then(|key| create::key_name(key, cx));
    if key != have.body.key_name {
        found.value("key_pair", Effect::Replace, shown(have.body.key_name.as_ref()), shown(key.as_ref()));
    }
    let shared = |tenancy: &Option<String>| tenancy.clone().filter(|word| word != "default");
    if shared(&want.tenancy) != shared(&have.body.tenancy) {
        let (before, after) = (&have.body.tenancy, &want.tenancy);
        found.value("tenancy", Effect::Replace, shown(before.as_ref()), shown(after.as_ref()));
    }
    if want.placement_group != have.body.placement_group {
        let (before, after) = (&have.body.placement_group, &want.placement_group);
        found.value("placement_group", Effect::Replace, shown(before.as_ref()), shown(after.as_ref()));
    }
}

fn shown<T: Display>(value: Option<&T>) -> Option<&dyn Display> {
    value.map(|value| {
        let value: &dyn Display = value;
        value
    })
}

fn network(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, found: &mut Differences) {
    if let Some(candidates) = want.place.candidates(cx)
        && !candidates.iter().any(|subnet| subnet.id == have.body.subnet)
    {
        match &want.place.within {
            Within::Zones(zones) if !zones.contains(&have.body.zone) => {
                let wanted: Vec<String> = zones.iter().map(ToString::to_string).collect();
                found.value("zones", Effect::Replace, Some(&have.body.zone), Some(&wanted.join(", ")));
            }
            Within::Zones(_) | Within::Subnets(_) | Within::Anywhere => {
                let wanted: Vec<String> = candidates.iter().map(|subnet| subnet.id.to_string()).collect();
                found.value("subnets", Effect::Replace, Some(&have.body.subnet), Some(&wanted.join(", ")));
            }
        }
    }
    if let Some(address) = want.private_ip.filter(|address| *address != have.body.private_ip) {
        found.value("private_ip", Effect::Replace, Some(&have.body.private_ip), Some(&address));
    }
    if let (Some(wanted), Some(has)) = (want.public_ip, has_public_ip(have, cx.facts))
        && wanted != has
    {
        found.value("public_ip", Effect::Replace, Some(&has), Some(&wanted));
    }
}

/// Whether its interface gets a public address of its own. Such an address is lost while it is down, and an Elastic IP
/// hides it: then its tag tells, and without one the setting of its subnet; of a foreign instance nobody knows.
pub(super) fn has_public_ip(have: &Seen<'_, Observed>, facts: &Facts) -> Option<bool> {
    if have.body.state == State::Running && !have.body.public_ip_is_elastic {
        return Some(have.body.public_ip.is_some());
    }
    let told = have.tags.get(PUBLIC_IP).and_then(|text| text.parse().ok());
    let usual = || {
        let subnet = facts.subnets.iter().find(|subnet| subnet.id == have.body.subnet);
        subnet.filter(|_| Owner::read(have.tags).is_some()).map(|subnet| subnet.public_ip)
    };
    told.or_else(usual)
}

/// Volumes grow and change speed where they are; they do not shrink, and encryption is for life.
fn root_volume(want: &RootVolume, have: &Observed, found: &mut Differences) {
    let Some(disk) = &have.root else { return };
    let RootVolume { size, volume_type, iops, throughput, encrypted, kms_key, delete_on_termination } = want;
    let is = &disk.volume;
    if let (Some(wanted), Some(is)) = (size, &is.size)
        && wanted != is
    {
        let effect = if wanted > is { Effect::InPlace } else { Effect::Replace };
        found.value("root_volume.size", effect, Some(is), Some(wanted));
    }
    if let (Some(wanted), Some(is)) = (volume_type, &is.volume_type)
        && wanted != is
    {
        found.value("root_volume.type", Effect::InPlace, Some(is), Some(wanted));
    }
    for (name, wanted, is) in
        [("root_volume.iops", iops, &is.iops), ("root_volume.throughput", throughput, &is.throughput)]
    {
        if wanted.is_some() && wanted != is {
            found.value(name, Effect::InPlace, shown(is.as_ref()), shown(wanted.as_ref()));
        }
    }
    if let (Some(wanted), Some(is)) = (encrypted, &is.encrypted)
        && wanted != is
    {
        found.value("root_volume.encrypted", Effect::Replace, Some(is), Some(wanted));
    }
    if let Some(wanted) = kms_key.as_ref().filter(|wanted| is.kms_key.as_ref() != Some(*wanted)) {
        // A key may be written by id, alias or ARN; AWS lists the ARN.
        let same = is.kms_key.as_ref().is_some_and(|arn| arn.ends_with(&format!("/{wanted}")));
        let alias = wanted.contains("alias/");
        if !same && !alias {
            found.value("root_volume.kms_key", Effect::Replace, shown(is.kms_key.as_ref()), Some(wanted));
        }
    }
    if let (Some(wanted), Some(is)) = (delete_on_termination, &is.delete_on_termination)
        && wanted != is
    {
        found.value("root_volume.delete_on_termination", Effect::InPlace, Some(is), Some(wanted));
    }
}

/// The groups it shall be in, by identity; none when the spec does not say and AWS has not told its default.
pub(super) fn wanted_groups(want: &Desired, have: &Observed, cx: &Context<'_>) -> Option<BTreeSet<Link>> {
    if let Some(groups) = &want.security_groups {
        return Some(groups.iter().map(|group| cx.link(group)).collect());
    }
    let question = Question::Named {
        kind: Kind::SecurityGroup,
        region: cx.common.region.clone(),
        vpc: Some(have.vpc.clone()),
        name: "default".to_owned(),
    };
    match cx.ask(question) {
        Some(Answer::Named(Some(id))) => Some(BTreeSet::from([Link::Existing(id.clone())])),
        _ => None,
    }
}

fn groups(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, found: &mut Differences) {
    let Some(wanted) = wanted_groups(want, have.body, cx) else { return };
    let is: BTreeSet<Link> = have.body.security_groups.iter().map(|id: &CloudId| Link::Existing(id.clone())).collect();
    for gone in is.difference(&wanted) {
        let edit = Edit::Removed(gone.to_string());
        found.fields.push(Field { name: "security_groups".to_owned(), edit, effect: Effect::InPlace });
    }
    for new in wanted.difference(&is) {
        let edit = Edit::Added(new.to_string());
        found.fields.push(Field { name: "security_groups".to_owned(), edit, effect: Effect::InPlace });
    }
}

/// What changes while it runs.
fn attributes(want: &Desired, have: &Seen<'_, Observed>, found: &mut Differences) {
    let is = have.body;
    if !same_profile(want.iam_profile.as_deref(), is.iam_profile.as_deref()) {
        found.value("iam_profile", Effect::InPlace, shown(is.iam_profile.as_ref()), shown(want.iam_profile.as_ref()));
    }
    if want.metadata.service != is.metadata.service {
        let (before, after) = (is.metadata.service.word(), want.metadata.service.word());
        found.value("metadata_service", Effect::InPlace, Some(&before), Some(&after));
    }
    if want.metadata.hops != is.metadata.hops {
        found.value("metadata_hops", Effect::InPlace, Some(&is.metadata.hops), Some(&want.metadata.hops));
    }
    if want.source_dest_check != is.source_dest_check {
        found.value("source_dest_check", Effect::InPlace, Some(&is.source_dest_check), Some(&want.source_dest_check));
    }
    if want.detailed_monitoring != is.detailed_monitoring {
        let word = |detailed: bool| if detailed { "detailed" } else { "basic" };
        let (before, after) = (word(is.detailed_monitoring), word(want.detailed_monitoring));
        found.value("monitoring", Effect::InPlace, Some(&before), Some(&after));
    }
    // No listing tells it: the tag says what was set.
    let set = have.tags.get(SHUTDOWN).map_or("stop", String::as_str);
    if set != want.shutdown.word() {
        found.value("shutdown", Effect::InPlace, Some(&set), Some(&want.shutdown.word()));
    }
}

/// A profile may be written by name or ARN; AWS lists the ARN.
fn same_profile(want: Option<&str>, have: Option<&str>) -> bool {
    match (want, have) {
        (None, None) => true,
        (Some(want), Some(have)) => want == have || have.rsplit('/').next() == Some(want),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// User data compares by the fingerprint in a tag; it is read only to show what a known difference is.
fn user_data(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, found: &mut Differences) {
    let effect = match want.on_user_data_change {
        OnChange::Replace => Effect::Replace,
        OnChange::Restart => Effect::Restart,
        OnChange::Ignore => return,
    };
    let tag = have.tags.get(FINGERPRINT).map(String::as_str);
    let filled = want.user_data.as_ref().map(|data| data.resolve(|address, output| cx.part(address, output)));
    let wanted = filled.as_ref().map(|data| data.bytes().map(|bytes| data.fingerprint(&bytes)));
    match (&wanted, tag) {
        (None, None) if !cx.verify || current_user_data(have, cx).is_none() => return,
        (Some(wanted), None) => match unmarked(have, filled.as_ref(), wanted.as_deref(), cx) {
            Unmarked::Unread => return,
            Unmarked::Same(fingerprint) => {
                found.value("tags.portcullis:user-data", Effect::InPlace, None, Some(&fingerprint));
                found.mark = Some(fingerprint);
                return;
            }
            Unmarked::Other => {}
        },
        (Some(Some(fingerprint)), Some(tag)) if fingerprint == tag => {
            if fingerprint == "-" {
                cx.note(Impact::None, "sensitive user data is not compared: give the spec a `fingerprint_key`");
            }
            if !cx.verify || !drifted(have, filled.as_ref(), fingerprint, cx) {
                return;
            }
        }
        _ => {}
    }
    let open = tag.is_none_or(|tag| tag.starts_with("sha256:"));
    let after = filled.as_ref().map(UserData::shown);
    let edit = match (after, open) {
        (Some(None), _) | (_, false) => Edit::Hidden,
        (after, true) => Edit::Text {
            before: (tag.is_some() || cx.verify).then(|| current_user_data(have, cx)).flatten(),
            after: after.flatten(),
        },
    };
    found.fields.push(Field { name: "user_data".to_owned(), edit, effect });
}

/// What user data is that no tag tells of: that of an adopted instance, or of one whose tag somebody took away.
enum Unmarked {
    /// Nobody has looked yet.
    Unread,
    /// What is wanted, with its fingerprint.
    Same(String),
    /// Something else, or nothing.
    Other,
}

/// Reads the user data itself where no tag says what it is.
fn unmarked(have: &Seen<'_, Observed>, want: Option<&UserData>, wanted: Option<&str>, cx: &Context<'_>) -> Unmarked {
    let question = Question::UserData { region: have.region.clone(), id: have.id.clone() };
    match cx.ask(question) {
        None => Unmarked::Unread,
        Some(Answer::UserData(Some(bytes))) => {
            let is = want.map(|data| data.fingerprint(bytes));
            is.filter(|is| Some(is.as_str()) == wanted).map_or(Unmarked::Other, Unmarked::Same)
        }
        Some(_) => Unmarked::Other,
    }
}

/// Whether the user data itself is not what its tag says.
fn drifted(have: &Seen<'_, Observed>, want: Option<&UserData>, fingerprint: &str, cx: &Context<'_>) -> bool {
    let question = Question::UserData { region: have.region.clone(), id: have.id.clone() };
    match (cx.ask(question), want) {
        (Some(Answer::UserData(Some(bytes))), Some(want)) => want.fingerprint(bytes) != fingerprint,
        (Some(Answer::UserData(None)), Some(_)) => true,
        _ => false,
    }
}

/// What AWS's own termination protection is to become, where it differs: it goes with `protect`, and is read itself only
/// when everything is verified.
fn termination_protection(have: &Seen<'_, Observed>, cx: &Context<'_>, found: &mut Differences) {
    let want = cx.common.protect;
    let marked = have.tags.contains_key(PROTECT);
    if marked != want {
        found.termination_protection = Some(want);
    } else if cx.verify {
        let question = Question::TerminationProtection { region: have.region.clone(), id: have.id.clone() };
        if let Some(Answer::TerminationProtection(is)) = cx.ask(question)
            && *is != want
        {
            found.value("termination protection", Effect::InPlace, Some(is), Some(&want));
            found.termination_protection = Some(want);
        }
    }
}

/// What the instance was told, for the reader of the plan.
fn current_user_data(have: &Seen<'_, Observed>, cx: &Context<'_>) -> Option<String> {
    let question = Question::UserData { region: have.region.clone(), id: have.id.clone() };
    match cx.ask(question) {
        Some(Answer::UserData(Some(bytes))) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}
