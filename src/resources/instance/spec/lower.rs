//! From what was written of an instance to every member that is wanted.

use super::super::state::{Desired, ImageChoice, KeyChoice, Metadata, MetadataService, OnChange, Shutdown};
use super::super::user_data::{Body, LIMIT, Secrecy, UserData};
use super::choice::{BodySpec, KeySpec, UserDataSpec};
use super::{Monitoring, Spec, Tenancy};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::id::ZoneName;
use crate::model::text::{Part, Text};
use crate::model::{Address, Kind, Name, Reference};
use crate::resources::Choice;
use crate::resources::decode::At;
use crate::resources::spec::{Claim, Lowered, Lowering, Member};

/// Every member, or the single one.
pub(super) fn lower(spec: &Spec, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Desired>> {
    let site = spec.site();
    let zones = site.zones(cx, problems);
    warn_of_one_zone(spec, zones.as_deref(), cx, problems);
    warn_of_no_key(spec, cx, problems);
    let bytes = spec.user_data.as_ref().map(|data| shared_bytes(data, cx, problems));
    let shared = Desired {
        image: match &spec.image.0 {
            ImageChoice::Id(id) => ImageChoice::Id(id.clone()),
            ImageChoice::Query(query) => ImageChoice::Query(query.clone()),
        },
        instance_type: spec.instance_type.0.clone(),
        on_type_change: spec.on_type_change.unwrap_or(OnChange::Restart),
        place: site.placement(zones.as_deref(), cx),
        security_groups: spec.security_groups.as_ref().map(|groups| site.groups(groups, cx, problems)),
        key_pair: spec.key_pair.as_ref().and_then(|key| lower_key(key, cx, problems)),
        iam_profile: spec.iam_profile.as_ref().map(|profile| profile.value.clone()),
        public_ip: spec.public_ip,
        private_ip: spec.private_ip.as_ref().map(|ip| ip.value),
        user_data: None,
        on_user_data_change: spec.on_user_data_change.unwrap_or(OnChange::Replace),
        root_volume: spec.root_volume.as_ref().map(super::VolumeSpec::lower).unwrap_or_default(),
        metadata: Metadata {
            service: spec.metadata_service.unwrap_or(MetadataService::V2),
            hops: spec.metadata_hops.unwrap_or(1),
        },
        source_dest_check: spec.source_dest_check.unwrap_or(true),
        detailed_monitoring: spec.monitoring == Some(Monitoring::Detailed),
        shutdown: spec.shutdown.unwrap_or(Shutdown::Stop),
        tenancy: spec.tenancy.and_then(tenancy),
        placement_group: spec.placement_group.as_ref().map(|group| group.value.clone()),
        index: 0,
    };
    let names: Vec<(u32, Name)> = match &spec.count {
        None => vec![(0, cx.name.clone())],
        Some(count) => (0..count.value).map(|index| (index, cx.name.member(index))).collect(),
    };
    let mut members = Vec::with_capacity(names.len());
    for (index, name) in names {
        let address = Address::new(cx.kind, name.clone());
        let member = Member { address: &address, region: cx.region, index, zone: only_zone(zones.as_deref()) };
        let user_data = spec.user_data.as_ref().and_then(|data| match (&data.body, &bytes) {
            (BodySpec::Template(path), _) => render(data, path, &member, cx, problems),
            (BodySpec::Text(_) | BodySpec::File(_), Some(Some(body))) => Some(wanted(data, body.clone(), cx)),
            (BodySpec::Text(_) | BodySpec::File(_), _) => None,
        });
        let want = Desired { user_data, index, ..shared.clone() };
        members.push(Lowered { name, region: None, claims: claims(spec, cx), want });
    }
    members
}

/// Only the hardware that is not everyone's has a name in AWS's answers.
fn tenancy(tenancy: Tenancy) -> Option<String> {
    match tenancy {
        Tenancy::Default => None,
        Tenancy::Dedicated => Some("dedicated".to_owned()),
        Tenancy::Host => Some("host".to_owned()),
    }
}

/// A fixed address in one known subnet is one instance's.
fn claims(spec: &Spec, cx: &Lowering<'_>) -> Vec<Claim> {
    let subnets = spec.subnets.as_ref().map_or(&[][..], |subnets| subnets.value.as_slice());
    match (&spec.private_ip, subnets) {
        (Some(ip), [At { value: Choice::Id(subnet), .. }]) => {
            vec![Claim { what: format!("the private address {} in {subnet} of {}", ip.value, cx.region), at: ip.span }]
        }
        (_, _) => Vec::new(),
    }
}

/// The zone, where there is no choice.
fn only_zone(zones: Option<&[ZoneName]>) -> Option<&str> {
    match zones {
        Some([zone]) => Some(zone.as_str()),
        Some(_) | None => None,
    }
}

/// Several members in one zone fall together.
fn warn_of_one_zone(spec: &Spec, zones: Option<&[ZoneName]>, cx: &Lowering<'_>, problems: &mut Diagnostics) {
    let Some(count) = spec.count.as_ref().filter(|count| count.value > 1) else { return };
    if let Some((what, span)) = spec.site().in_one(zones, cx) {
        let message = format!("all {} members are in one {what}", count.value);
        problems.push(
            Diagnostic::warning("one-zone", span, message)
                .hint("name a second one, so that one outage does not take all"),
        );
    }
}

/// Without a key the fingerprint of a short secret could be guessed, so there is none.
fn warn_of_no_key(spec: &Spec, cx: &Lowering<'_>, problems: &mut Diagnostics) {
    if let (Some(data), None) = (spec.user_data.as_ref().filter(|data| data.sensitive), cx.fingerprint_key) {
        problems.push(
            Diagnostic::warning("not-compared", data.span, "sensitive user data is not compared without a key")
                .hint("name one at the top of the spec: fingerprint_key = { env = \"…\" }"),
        );
    }
}

/// The key pair, for one with several regions the copy in this one.
fn lower_key(key: &KeySpec, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Option<KeyChoice> {
    let name = match key {
        KeySpec::Existing(name) => return Some(KeyChoice::Existing(name.clone())),
        KeySpec::Named(name) => name,
    };
    let (pair, _) = cx.find(Kind::KeyPair, &name.as_deref(), problems)?;
    let address = match &pair.outline.regions {
        None => {
            cx.same_region(Kind::KeyPair, &name.as_deref(), problems);
            pair.name.clone()
        }
        Some(regions) if regions.contains(cx.region) => pair.name.in_region(cx.region.as_str()),
        Some(_) => {
            return problems.fail(
                Diagnostic::error(
                    "other-region",
                    name.span,
                    format!("`{}` is not imported in {}", pair.name, cx.region),
                )
                .hint(format!("add \"{}\" to its `regions`", cx.region))
                .also(pair.at, "the key pair"),
            );
        }
    };
    Some(KeyChoice::Resource(Reference::Address(Address::new(Kind::KeyPair, address))))
}

/// User data that every member has alike.
fn shared_bytes(data: &UserDataSpec, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Option<Body> {
    let bytes = match &data.body {
        BodySpec::Text(text) => text.clone().into_bytes(),
        BodySpec::File(path) => cx.texts.file(path, problems)?,
        BodySpec::Template(_) => return None,
    };
    check_size(bytes.len(), data, cx, problems);
    // A text compares and shows like a template's, whichever way it was given.
    Some(match String::from_utf8(bytes) {
        Ok(text) => Body::Text(Text::literal(text)),
        Err(error) => Body::Bytes(error.into_bytes()),
    })
}

fn render(
    data: &UserDataSpec,
    path: &At<String>,
    member: &Member<'_>,
    cx: &Lowering<'_>,
    problems: &mut Diagnostics,
) -> Option<UserData> {
    let text = cx.texts.render(path, member, problems)?;
    let literal = text.0.iter().map(|part| match part {
        Part::Literal(text) => text.len(),
        Part::Hole { .. } => 0,
    });
    check_size(literal.sum(), data, cx, problems);
    Some(wanted(data, Body::Text(text), cx))
}

fn check_size(size: usize, data: &UserDataSpec, cx: &Lowering<'_>, problems: &mut Diagnostics) {
    if size > LIMIT {
        // What nobody may see is not quoted either.
        let at = if data.sensitive { cx.at } else { data.span };
        problems.push(
            Diagnostic::error("too-long", at, format!("user data has at most {LIMIT} bytes, and this has {size}"))
                .hint("compress it with gzip, or let it fetch the rest"),
        );
    }
}

fn wanted(data: &UserDataSpec, body: Body, cx: &Lowering<'_>) -> UserData {
    let secrecy = if data.sensitive { Secrecy::Sensitive { key: cx.fingerprint_key.cloned() } } else { Secrecy::Open };
    UserData { body, secrecy }
}
