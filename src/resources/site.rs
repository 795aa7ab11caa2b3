//! Where something may live and which groups it has, as a spec says it: what every kind that lives in zones reads alike.
//!
//! What becomes of it while planning is in [`super::place`].

use super::decode::At;
use super::place::{Placement, Within};
use super::spec::Lowering;
use super::{Choice, SubnetChoice};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::id::{ZoneName, well_formed};
use crate::model::tree::Span;
use crate::model::{CloudId, Kind, Reference};

/// Zones as written.
pub type ZoneList = At<Vec<At<String>>>;
/// Subnets as written.
pub type SubnetList = At<Vec<At<SubnetChoice>>>;
/// Security groups as written, by name or id.
pub type GroupList = At<Vec<At<String>>>;

/// What a spec says of where something may live.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// What lives there, with the article.
    pub what: &'static str,
    /// Its zones; not beside `subnets`.
    pub zones: Option<&'a ZoneList>,
    /// Its subnets; not beside `zones`.
    pub subnets: Option<&'a SubnetList>,
}

impl Site<'_> {
    /// Refuses both lists at once, empty ones, and a subnet that stands there twice.
    pub fn check(&self, problems: &mut Diagnostics) {
        if let (Some(zones), Some(subnets)) = (self.zones, self.subnets) {
            problems.push(
                Diagnostic::error("combination", zones.span, "`zones` and `subnets` say the same thing twice")
                    .hint("a subnet is in one zone: keep `subnets`, or `zones` alone")
                    .also(subnets.span, "the subnets"),
            );
        }
        let lists = [
            ("zones", self.zones.map(|list| (list.value.len(), list.span))),
            ("subnets", self.subnets.map(|list| (list.value.len(), list.span))),
        ];
        for (key, list) in lists {
            if let Some((0, span)) = list {
                let problem = Diagnostic::error("empty", span, format!("`{key}` is empty"));
                problems.push(problem.hint("leave it out for any place in the network"));
            }
        }
        let Some(subnets) = self.subnets else { return };
        for (at, subnet) in subnets.value.iter().enumerate() {
            if subnets.value.iter().take(at).any(|before| before.value == subnet.value) {
                problems.push(Diagnostic::error("twice", subnet.span, "this subnet stands here twice"));
            }
        }
    }

    /// The zones as others see them, checked or not.
    #[must_use]
    pub fn outline(&self) -> Option<Vec<ZoneName>> {
        let zones = self.zones?;
        Some(zones.value.iter().map(|zone| ZoneName::new(zone.value.as_str())).collect())
    }

    /// The zones, each once; refuses those of other regions.
    pub fn zones(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Option<Vec<ZoneName>> {
        let zones = self.zones?;
        let region = cx.region.as_str();
        let mut seen: Vec<ZoneName> = Vec::with_capacity(zones.value.len());
        for zone in &zones.value {
            let name = ZoneName::new(zone.value.as_str());
            if !is_zone_of(&zone.value, region) {
                problems.push(
                    Diagnostic::error("zone", zone.span, format!("`{}` is no zone of {region}", zone.value))
                        .hint(format!("its zones are like `{region}a`")),
                );
            } else if seen.contains(&name) {
                problems.push(Diagnostic::error("twice", zone.span, format!("`{name}` stands here twice")));
            } else {
                seen.push(name);
            }
        }
        Some(seen)
    }

    /// The place, for the planner.
    #[must_use]
    pub fn placement(&self, zones: Option<&[ZoneName]>, cx: &Lowering<'_>) -> Placement {
        let within = match (zones, self.subnets) {
            (_, Some(subnets)) => Within::Subnets(subnets.value.iter().map(|subnet| subnet.value.clone()).collect()),
            (Some(zones), None) => Within::Zones(zones.to_vec()),
            (None, None) => Within::Anywhere,
        };
        Placement { vpc: cx.network.vpc.clone(), network: cx.network.subnets.clone(), within }
    }

    /// What makes it all one zone, in words, and where that is said; nothing where there is a choice.
    #[must_use]
    pub fn in_one(&self, zones: Option<&[ZoneName]>, cx: &Lowering<'_>) -> Option<(String, Span)> {
        match (zones, self.zones, self.subnets) {
            (Some([zone]), Some(list), _) => Some((format!("zone {zone}"), list.span)),
            (_, None, Some(list)) if list.value.len() == 1 => Some(("subnet, thus one zone".to_owned(), list.span)),
            (None, None, None) if cx.network.subnets.len() == 1 => {
                Some(("subnet, that of the network, thus one zone".to_owned(), cx.at))
            }
            (_, _, _) => None,
        }
    }

    /// The groups of something that lives here, sorted; refuses those that are unknown or live elsewhere.
    pub fn groups(&self, groups: &GroupList, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Reference> {
        let mut found: Vec<Reference> = Vec::with_capacity(groups.value.len());
        for group in &groups.value {
            let reference = if well_formed(&group.value, "sg-") {
                Some(Reference::Existing(CloudId::new(group.value.as_str())))
            } else {
                cx.same_region(Kind::SecurityGroup, &group.as_deref(), problems);
                self.check_vpc(group, cx, problems);
                cx.one(Kind::SecurityGroup, &group.as_deref(), problems).map(Reference::Address)
            };
            match reference {
                Some(reference) if found.contains(&reference) => {
                    problems.push(Diagnostic::error(
                        "twice",
                        group.span,
                        format!("`{}` stands here twice", group.value),
                    ));
                }
                Some(reference) => found.push(reference),
                None => {}
            }
        }
        found.sort();
        found
    }

    /// One and its groups live in one VPC; what a subnet's VPC is, only AWS knows.
    fn check_vpc(&self, group: &At<String>, cx: &Lowering<'_>, problems: &mut Diagnostics) {
        let Some((listed, _)) = cx.names.find(Kind::SecurityGroup, &group.value) else { return };
        if let (None, Choice::Id(mine), Some(Choice::Id(theirs))) = (self.subnets, &cx.network.vpc, &listed.outline.vpc)
            && mine != theirs
            && listed.region == *cx.region
        {
            problems.push(
                Diagnostic::error(
                    "other-vpc",
                    group.span,
                    format!("`{}` lives in {theirs}, and this in {mine}", listed.name),
                )
                .hint(format!("{} and its groups live in one VPC", self.what))
                .also(listed.at, "the group"),
            );
        }
    }
}

/// Whether a text is like a zone of a region: `eu-west-1a`, `us-west-2-lax-1a`.
fn is_zone_of(text: &str, region: &str) -> bool {
    text.strip_prefix(region).is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '-')
            && rest.ends_with(|c: char| c.is_ascii_lowercase())
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

/// Refuses an empty list of groups, which AWS would fill.
pub fn check_some_group(groups: &GroupList, what: &str, problems: &mut Diagnostics) {
    if groups.value.is_empty() {
        problems.push(
            Diagnostic::error("empty", groups.span, format!("{what} has at least one group"))
                .hint("leave `security_groups` out for the VPC's default group"),
        );
    }
}

/// Refuses more groups than AWS ever takes.
pub fn check_few_groups(groups: &GroupList, what: &str, most: usize, problems: &mut Diagnostics) {
    if groups.value.len() > most {
        let message = format!("{what} has at most {most} groups");
        problems.push(Diagnostic::error("too-many", groups.span, message));
    }
}
