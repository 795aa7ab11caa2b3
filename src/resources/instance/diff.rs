//! How an instance becomes what is wanted: in place, by a restart, or by another instance.

use std::collections::{BTreeMap, BTreeSet};

use super::action::VolumeChange;
use super::compare::{self, Differences};
use super::state::{ImageChoice, KeyChoice, RootVolume, Shutdown, State};
use super::user_data::{Body, FINGERPRINT, UserData};
use super::{Action, Desired, IMAGE_QUERY, Observed, SHUTDOWN, canonical, create, flows, permits};
use crate::model::tags::PROTECT;
use crate::model::{CloudId, Kind, Link, Output, Reference, TagEdit, Tags};
use crate::resources::flow::Stance;
use crate::resources::permissions::Permits;
use crate::resources::snapshot::{Answer, Facts, Question};
use crate::resources::{
    Common, Context, Delta, Draft, Effect, Hold, Impact, Needs, Reach, Read, Refusal, RefusalKind, Resource, Seen,
    Stamps, Wave,
};

/// The kind `instance`.
#[derive(Debug)]
pub struct Instance;

impl Resource for Instance {
    const KIND: Kind = Kind::Instance;
    type Desired = Desired;
    type Observed = Observed;
    type Action = Action;

    fn references(want: &Desired) -> Vec<Reference> {
        let groups = want.security_groups.iter().flatten().cloned();
        let key = want.key_pair.iter().filter_map(|key| match key {
            KeyChoice::Resource(reference) => Some(reference.clone()),
            KeyChoice::Existing(_) => None,
        });
        let read = want.user_data.iter().flat_map(holes).map(|(address, _)| Reference::Address(address));
        groups.chain(key).chain(read).collect()
    }

    fn reads(want: &Desired) -> Vec<Read> {
        let volumes = (want.root_volume != RootVolume::default()).then_some(Read::Volumes);
        volumes.into_iter().chain(Read::of_vpc(&want.place.vpc)).collect()
    }

    fn create(want: &Desired, cx: &Context<'_>) -> Vec<Draft<Action>> {
        create::drafts(want, cx)
    }

    fn diff(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>) -> Delta<Action> {
        let found = compare::differences(want, have, cx);
        let mut delta = Delta::default();
        if found.fields.iter().any(|field| field.effect == Effect::Replace) {
            note_lost_volumes(have, cx);
        } else {
            in_place(want, have, &found, cx, &mut delta);
            restart(want, have, &found, cx, &mut delta);
        }
        delta.fields = found.fields;
        delta
    }

    fn delete(have: &Seen<'_, Observed>, cx: &Context<'_>) -> Vec<Draft<Action>> {
        refuse_termination_protection(have, cx);
        note_lost_volumes(have, cx);
        let on = Some(have.id.clone());
        let held = || have.body.security_groups.clone();
        let mut drafts = Vec::new();
        if have.body.state != State::ShuttingDown {
            if have.tags.contains_key(PROTECT) {
                // The plan made it so, and the spec says that it is over.
                let lift = Action::SetTerminationProtection(false);
                drafts.push(Draft::new("lift termination protection", Wave::Remove, on.clone(), lift));
            }
            let terminate = Draft::new("terminate", Wave::Remove, on.clone(), Action::Terminate);
            if cx.succeeded && cx.is_spared() {
                cx.note(Impact::None, "requests under way end before it goes");
            } else if cx.succeeded {
                cx.note(Impact::Reconnect, format!("connections to {} break when it goes", have.id));
            } else {
                cx.note(Impact::Downtime, format!("{} is terminated", have.id));
            }
            drafts.push(Draft { ends: true, interrupts: true, ..terminate });
        }
        let gone = Draft::new("await terminated", Wave::Remove, on, Action::AwaitTerminated);
        drafts.push(Draft {
            frees: held(),
            interrupts: true,
            timeout: cx.common.timeout.unwrap_or(create::BOOT),
            ..gone
        });
        drafts
    }

    fn stamps(want: &Desired) -> Stamps {
        let query = match &want.image {
            ImageChoice::Query(query) => Some(canonical(query)),
            ImageChoice::Id(_) => None,
        };
        let shutdown = (want.shutdown != Shutdown::Stop).then(|| want.shutdown.word().to_owned());
        Stamps::from([(IMAGE_QUERY, query), (SHUTDOWN, shutdown)])
    }

    fn retag(edit: TagEdit) -> Action {
        Action::Tag(edit)
    }

    fn needs(action: &Action) -> Needs {
        let outputs = |data: &Option<UserData>| data.iter().flat_map(holes).collect();
        match action {
            Action::Run(run) => {
                let key = run.key.iter().filter_map(|key| key.of.clone());
                Needs {
                    links: run.security_groups.iter().cloned().chain(key).collect(),
                    outputs: outputs(&run.user_data),
                }
            }
            Action::SetGroups(groups) => Needs { links: groups.clone(), outputs: Vec::new() },
            Action::SetUserData(data) => Needs { links: Vec::new(), outputs: outputs(data) },
            Action::AwaitRunning
            | Action::AwaitStopped
            | Action::AwaitTerminated
            | Action::SetType(_)
            | Action::SetSourceDestCheck(_)
            | Action::SetShutdown(_)
            | Action::SetMetadata(_)
            | Action::SetMonitoring(_)
            | Action::SetProfile(_)
            | Action::SetVolume { .. }
            | Action::SetRootDeletion(_)
            | Action::SetTerminationProtection(_)
            | Action::Start
            | Action::Stop
            | Action::Tag(_)
            | Action::Terminate => Needs::default(),
        }
    }

    fn outputs(have: &Seen<'_, Observed>) -> BTreeMap<Output, String> {
        let is = have.body;
        let mut outputs = BTreeMap::from([
            (Output::Id, have.id.to_string()),
            (Output::PrivateIp, is.private_ip.to_string()),
            (Output::PrivateDns, is.private_dns.clone()),
            (Output::Zone, is.zone.to_string()),
        ]);
        outputs.extend(is.public_ip.map(|address| (Output::PublicIp, address.to_string())));
        outputs.extend(is.public_dns.clone().filter(|name| !name.is_empty()).map(|name| (Output::PublicDns, name)));
        outputs
    }

    fn foretold(want: &Desired, _: &Context<'_>) -> BTreeMap<Output, String> {
        want.private_ip.map(|address| (Output::PrivateIp, address.to_string())).into_iter().collect()
    }

    fn withholds(want: &Desired) -> Vec<Output> {
        let bare = want.public_ip == Some(false);
        if bare { vec![Output::PublicIp, Output::PublicDns] } else { Vec::new() }
    }

    fn lacks(have: &Seen<'_, Observed>, facts: &Facts) -> Vec<Output> {
        let bare = compare::has_public_ip(have, facts) == Some(false);
        if bare { vec![Output::PublicIp, Output::PublicDns] } else { Vec::new() }
    }

    fn look() -> Option<Action> {
        Some(Action::AwaitRunning)
    }

    fn holds(have: &Observed) -> Vec<Hold> {
        have.security_groups.iter().map(|id| Hold { id: id.clone(), firm: true }).collect()
    }

    fn going(have: &Observed) -> bool {
        have.state == State::ShuttingDown
    }

    fn await_gone() -> Option<Action> {
        Some(Action::AwaitTerminated)
    }

    fn slots(want: &Desired, cx: &Context<'_>) -> BTreeSet<String> {
        let vpc = cx.facts.vpc(&want.place.vpc).ok();
        let fixed = want.private_ip.zip(vpc);
        fixed.map(|(address, vpc)| slot(address, vpc.as_str())).into_iter().collect()
    }

    fn occupies(have: &Seen<'_, Observed>) -> BTreeSet<String> {
        BTreeSet::from([slot(have.body.private_ip, have.body.vpc.as_str())])
    }

    fn stance(have: &Seen<'_, Observed>) -> Option<Stance> {
        flows::machine(have.body).map(Stance::Machine)
    }

    fn is_called(have: &Seen<'_, Observed>, adopt: &str) -> bool {
        have.tags.get("Name").is_some_and(|name| name == adopt)
    }

    fn rechecks(action: &Action) -> bool {
        matches!(action, Action::Stop | Action::Terminate)
    }

    /// An instance that starts will run: nobody has to change it for that.
    fn settled(have: &Observed) -> Observed {
        let state = match have.state {
            State::Pending => State::Running,
            State::Stopping => State::Stopped,
            State::Running | State::Stopped | State::ShuttingDown => have.state,
        };
        Observed { state, ..have.clone() }
    }

    fn withholds_secret(action: &Action) -> bool {
        let data = match action {
            Action::Run(run) => run.user_data.as_ref(),
            Action::SetUserData(data) => data.as_ref(),
            _ => None,
        };
        data.is_some_and(|data| matches!(data.body, Body::Withheld(_)))
    }

    fn stale(_: &Action, seen: &Observed, now: &Observed) -> Option<String> {
        let known: BTreeSet<&CloudId> = seen.further_volumes.iter().map(|volume| &volume.id).collect();
        let fresh = now.further_volumes.iter().find(|volume| !known.contains(&volume.id));
        fresh.map(|volume| format!("somebody attached {} to it", volume.id))
    }

    fn listing(permits: &mut Permits) {
        permits::listing(permits);
    }

    fn permits(want: &Desired, common: &Common, permits: &mut Permits) {
        permits::of(want, common, permits);
    }

    fn summary(want: &Desired) -> String {
        match &want.image {
            ImageChoice::Id(id) => format!("{}, {id}", want.instance_type),
            ImageChoice::Query(query) => format!("{}, newest {}", want.instance_type, query.name),
        }
    }
}

fn slot(address: std::net::Ipv4Addr, vpc: &str) -> String {
    format!("the address {address} in {vpc}")
}

/// The outputs that user data waits for.
fn holes(data: &UserData) -> Vec<(crate::model::Address, Output)> {
    match &data.body {
        Body::Bytes(_) | Body::Withheld(_) => Vec::new(),
        Body::Text(text) => text.holes().map(|(address, output)| (address.clone(), output)).collect(),
    }
}

/// The calls for what changes while it runs.
fn in_place(
    want: &Desired,
    have: &Seen<'_, Observed>,
    found: &Differences,
    cx: &Context<'_>,
    delta: &mut Delta<Action>,
) {
    let mut push = |title, action| {
        delta.drafts.push(Draft::new(title, Wave::Update, Some(have.id.clone()), action));
    };
    if let Some(fingerprint) = &found.mark {
        let set = Tags::from([(FINGERPRINT.to_owned(), fingerprint.clone())]);
        push("mark user data", Action::Tag(TagEdit { set, unset: BTreeSet::new() }));
    }
    if found.has("iam_profile") {
        push("set instance profile", Action::SetProfile(want.iam_profile.clone()));
    }
    if found.has("metadata_service") || found.has("metadata_hops") {
        push("set metadata options", Action::SetMetadata(want.metadata));
    }
    if found.has("source_dest_check") {
        push("set source/dest check", Action::SetSourceDestCheck(want.source_dest_check));
    }
    if found.has("monitoring") {
        push("set monitoring", Action::SetMonitoring(want.detailed_monitoring));
    }
    if found.has("shutdown") {
        push("set shutdown behaviour", Action::SetShutdown(want.shutdown));
    }
    if found.has("root_volume.delete_on_termination") {
        push("set root volume deletion", Action::SetRootDeletion(want.root_volume.delete_on_termination == Some(true)));
    }
    if let Some(on) = found.termination_protection {
        push("set termination protection", Action::SetTerminationProtection(on));
    }
    if let Some(disk) = &have.body.root {
        let changed = |name: &str| found.has(&format!("root_volume.{name}"));
        let to = VolumeChange {
            size: want.root_volume.size.filter(|_| changed("size")),
            volume_type: want.root_volume.volume_type.clone().filter(|_| changed("type")),
            iops: want.root_volume.iops.filter(|_| changed("iops")),
            throughput: want.root_volume.throughput.filter(|_| changed("throughput")),
        };
        if to != VolumeChange::default() {
            push("modify root volume", Action::SetVolume { volume: disk.id.clone(), to });
        }
    }
    if found.has("security_groups") {
        swap_groups(want, have, cx, delta);
    }
}

/// All groups change in one call, so that nothing is ever without its rules.
fn swap_groups(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>, delta: &mut Delta<Action>) {
    let Some(wanted) = compare::wanted_groups(want, have.body, cx) else { return };
    let is: BTreeSet<Link> = have.body.security_groups.iter().cloned().map(Link::Existing).collect();
    let (left, reach) = Reach::of_swap(&is, &wanted);
    let action = Action::SetGroups(wanted.into_iter().collect());
    let draft = Draft::new("set security groups", Wave::Update, Some(have.id.clone()), action);
    delta.drafts.push(Draft { frees: left, reach, ..draft });
}

/// Stop, change, start, or only start one that was stopped by hand.
fn restart(
    want: &Desired,
    have: &Seen<'_, Observed>,
    found: &Differences,
    cx: &Context<'_>,
    delta: &mut Delta<Action>,
) {
    let changes = found.restarts("type") || found.restarts("user_data");
    let down = matches!(have.body.state, State::Stopped | State::Stopping);
    if have.body.state == State::Pending {
        // A call that was cut off launched it, or somebody started it: nothing else can be done to it before it runs.
        let runs = create::await_running(Some(have.id.clone()), Wave::Update, cx);
        delta.drafts.insert(0, runs);
        renew(have, delta);
    }
    if !changes && !down {
        return;
    }
    if changes && have.body.root.is_none() {
        let message = "it boots from instance store and cannot be stopped";
        let hint = "set `on_type_change` and `on_user_data_change` to \"replace\"";
        cx.refuse(Refusal::new(RefusalKind::Guard, cx.at, message).hint(hint));
        return;
    }
    let on = Some(have.id.clone());
    let mut push = |title, action, timeout: bool| {
        let draft = Draft { interrupts: !down, ..Draft::new(title, Wave::Update, on.clone(), action) };
        let timeout = if timeout { cx.common.timeout.unwrap_or(create::BOOT) } else { draft.timeout };
        delta.drafts.push(Draft { timeout, ..draft });
    };
    if !down {
        note_stop(have, cx);
        push("stop", Action::Stop, false);
    }
    if !down || have.body.state == State::Stopping {
        push("await stopped", Action::AwaitStopped, true);
    }
    if found.restarts("type") {
        push("set type", Action::SetType(want.instance_type.clone()), true);
    }
    if found.restarts("user_data") {
        let data = want.user_data.as_ref().map(|data| data.resolve(|address, output| cx.part(address, output)));
        push("set user data", Action::SetUserData(data), false);
    }
    push("start", Action::Start, true);
    delta.drafts.push(Draft { interrupts: !down, ..create::await_running(Some(have.id.clone()), Wave::Update, cx) });
    renew(have, delta);
}

/// An address of its own is another after a start. An Elastic IP's stays, and one that runs without an address gets none.
fn renew(have: &Seen<'_, Observed>, delta: &mut Delta<Action>) {
    let bare = have.body.state == State::Running && have.body.public_ip.is_none();
    if !have.body.public_ip_is_elastic && !bare {
        delta.renews.extend([Output::PublicIp, Output::PublicDns]);
    }
}

/// What a stop costs.
fn note_stop(have: &Seen<'_, Observed>, cx: &Context<'_>) {
    if cx.is_spared() {
        cx.note(Impact::None, "whoever sends it traffic stops before it stops, and goes on once it is healthy");
    } else {
        cx.note(Impact::Downtime, "it does not answer between stop and start");
    }
    if let Some(address) = have.body.public_ip.filter(|_| !have.body.public_ip_is_elastic) {
        let text = format!("its public address {address} is lost and another comes; {} stays", have.body.private_ip);
        cx.note(Impact::Reconnect, text);
    }
    let question = Question::InstanceType { region: have.region.clone(), name: have.body.instance_type.clone() };
    if let Some(Answer::InstanceType(Some(kind))) = cx.ask(question)
        && kind.instance_store
    {
        let text = format!("a stop wipes the instance-store disks of a {}", have.body.instance_type);
        cx.note(Impact::DataLoss, text);
    }
}

/// Volumes beside the root are nothing the spec could make again.
fn note_lost_volumes(have: &Seen<'_, Observed>, cx: &Context<'_>) {
    let (lost, kept): (Vec<_>, Vec<_>) =
        have.body.further_volumes.iter().partition(|volume| volume.delete_on_termination);
    let names = |volumes: &[&super::state::FurtherVolume]| {
        volumes.iter().map(|volume| volume.id.to_string()).collect::<Vec<_>>().join(", ")
    };
    if !lost.is_empty() {
        cx.note(Impact::DataLoss, format!("{} goes with {}", names(&lost), have.id));
    }
    if !kept.is_empty() {
        cx.note(Impact::Downtime, format!("{} stays behind, attached to nothing", names(&kept)));
    }
}

/// Protection that was set outside the spec is never lifted silently.
fn refuse_termination_protection(have: &Seen<'_, Observed>, cx: &Context<'_>) {
    if have.body.state == State::ShuttingDown || have.tags.contains_key(PROTECT) {
        return;
    }
    let question = Question::TerminationProtection { region: have.region.clone(), id: have.id.clone() };
    if let Some(Answer::TerminationProtection(true)) = cx.ask(question) {
        let message = format!("{} has termination protection", have.id);
        let hint = format!(
            "if it is to go: aws ec2 modify-instance-attribute --region {} --instance-id {} --no-disable-api-termination",
            have.region, have.id
        );
        cx.refuse(Refusal::new(RefusalKind::Protected, cx.at, message).hint(hint));
    }
}
