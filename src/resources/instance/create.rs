//! What it takes to make an instance.

use super::PUBLIC_IP;
use super::action::{Action, Key, Root, Run};
use super::place;
use super::state::{Desired, ImageChoice, KeyChoice};
use crate::model::duration::Seconds;
use crate::model::id::ImageId;
use crate::model::{Known, Link, Output, Reference, Tags};
use crate::resources::snapshot::{Answer, Image, Question};
use crate::resources::{Context, Draft, ImageQuery, Reach, Refusal, RefusalKind, Wave};

/// How long an instance may take to run, or to stop.
pub(super) const BOOT: Seconds = Seconds(600);

/// Run, adjust, and wait until it runs.
pub(super) fn drafts(want: &Desired, cx: &Context<'_>) -> Vec<Draft<Action>> {
    let Some(run) = run(want, cx) else { return Vec::new() };
    let born = run.security_groups.iter().cloned().map(Reach::BornInto).collect();
    let mut drafts = vec![Draft {
        provides: vec![Output::Id, Output::PrivateIp, Output::PrivateDns, Output::Zone],
        reach: born,
        ..Draft::new("run", Wave::Make, None, Action::Run(Box::new(run)))
    }];
    if !want.source_dest_check {
        let action = Action::SetSourceDestCheck(false);
        drafts.push(Draft::new("turn source/dest check off", Wave::Make, None, action));
    }
    drafts.push(await_running(None, Wave::Make, cx));
    drafts
}

/// Waits until it runs, which tells its public address.
pub(super) fn await_running(on: Option<crate::model::CloudId>, wave: Wave, cx: &Context<'_>) -> Draft<Action> {
    Draft {
        provides: vec![Output::PublicIp, Output::PublicDns],
        readies: true,
        timeout: cx.common.timeout.unwrap_or(BOOT),
        ..Draft::new("await running", wave, on, Action::AwaitRunning)
    }
}

fn run(want: &Desired, cx: &Context<'_>) -> Option<Run> {
    let image = image(want, cx);
    let subnet = place::chosen(want, cx);
    let (image, subnet) = (image?, subnet?);
    let mentions_root = want.root_volume != super::state::RootVolume::default();
    Some(Run {
        image: image.id,
        instance_type: want.instance_type.clone(),
        subnet: subnet.id.clone(),
        zone: subnet.zone.clone(),
        security_groups: want.security_groups.iter().flatten().map(|group| cx.link(group)).collect(),
        key: want.key_pair.as_ref().map(|key| launch_key(key, cx)),
        iam_profile: want.iam_profile.clone(),
        public_ip: want.public_ip,
        private_ip: want.private_ip,
        user_data: want.user_data.as_ref().map(|data| data.resolve(|address, output| cx.part(address, output))),
        root: mentions_root.then(|| Root { device: image.root_device, volume: want.root_volume.clone() }),
        metadata: want.metadata,
        detailed_monitoring: want.detailed_monitoring,
        shutdown: want.shutdown,
        tenancy: want.tenancy.clone(),
        placement_group: want.placement_group.clone(),
        termination_protection: cx.common.protect,
        tags: launch_tags(want, cx),
        token_seed: format!("{}/{}/{}/{}/{}", cx.account, cx.common.region, cx.stack, cx.at, cx.fresh().generation),
    })
}

/// The tags of a new instance, with what only its launch knows.
fn launch_tags(want: &Desired, cx: &Context<'_>) -> Tags {
    let mut tags = cx.fresh().tags;
    tags.extend(want.public_ip.map(|wanted| (PUBLIC_IP.to_owned(), wanted.to_string())));
    tags
}

/// The key's name, and the object that must be there before the call.
fn launch_key(key: &KeyChoice, cx: &Context<'_>) -> Key {
    let name = key_name(key, cx).unwrap_or_default();
    let of = match key {
        KeyChoice::Resource(reference @ Reference::Address(_)) => Some(cx.link(reference)),
        KeyChoice::Resource(Reference::Existing(_)) | KeyChoice::Existing(_) => None,
    };
    Key { name, of: of.filter(|link| matches!(link, Link::Planned(_))) }
}

/// The name of the key that a new instance would be launched with: names are known before keys are made.
pub(super) fn key_name(key: &KeyChoice, cx: &Context<'_>) -> Option<String> {
    match key {
        KeyChoice::Existing(name) => Some(name.clone()),
        KeyChoice::Resource(Reference::Existing(id)) => Some(id.to_string()),
        KeyChoice::Resource(Reference::Address(address)) => match cx.output(address, Output::Name) {
            Known::Now(name) => Some(name),
            Known::Later(..) | Known::Never(_) => None,
        },
    }
}

/// The image a new instance would boot; its root device matters only where the spec speaks of the root volume.
fn image(want: &Desired, cx: &Context<'_>) -> Option<Image> {
    match &want.image {
        ImageChoice::Query(query) => newest(query, cx),
        ImageChoice::Id(id) if want.root_volume == super::state::RootVolume::default() => Some(unread(id)),
        ImageChoice::Id(id) => {
            let question = Question::Image { region: cx.common.region.clone(), id: id.clone() };
            match cx.ask(question) {
                Some(Answer::Image(Some(image))) => Some(image.clone()),
                Some(Answer::Image(None)) => {
                    let message = format!("there is no image `{id}` in {}", cx.common.region);
                    cx.refuse(
                        Refusal::new(RefusalKind::Lookup, cx.at, message)
                            .hint("image ids differ from region to region; name one of this region, or a query"),
                    );
                    None
                }
                // Not answered yet: the plan is made again with the answer.
                _ => Some(unread(id)),
            }
        }
    }
}

/// The newest image that a query finds.
pub(super) fn newest(query: &ImageQuery, cx: &Context<'_>) -> Option<Image> {
    let question = Question::NewestImage { region: cx.common.region.clone(), query: query.clone() };
    match cx.ask(question) {
        Some(Answer::Image(Some(image))) => Some(image.clone()),
        Some(Answer::Image(None)) => {
            let message = format!("no image in {} is named `{}`{}", cx.common.region, query.name, narrowed(query));
            cx.refuse(
                Refusal::new(RefusalKind::Lookup, cx.at, message)
                    .hint("check name, owner and architecture, or name the image by its id"),
            );
            None
        }
        _ => None,
    }
}

fn narrowed(query: &ImageQuery) -> String {
    let owner = query.owner.as_ref().map(|owner| format!(" owned by {owner}"));
    let architecture = query.architecture.as_ref().map(|arch| format!(" for {arch}"));
    [owner, architecture].into_iter().flatten().collect()
}

/// An image of which only the id counts.
fn unread(id: &ImageId) -> Image {
    Image {
        id: id.clone(),
        name: String::new(),
        owner: String::new(),
        architecture: String::new(),
        created: String::new(),
        root_device: String::new(),
    }
}
