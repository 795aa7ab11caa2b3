//! From what was written of a host's firewall to what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::super::action::Attach;
use super::super::ruleset::{Established, Mode, RuleKey, Settings, TCP, Traffic};
use super::super::state::{Desired, OnRegionError, Source, Wanted};
use super::rule::RuleSpec;
use super::setting::AttachSpec;
use super::{Presence, Spec, source};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::duration::Seconds;
use crate::model::{Family, Target};
use crate::resources::spec::{Lowered, Lowering};

/// After how long kept addresses are worth a warning, where nothing is said: a day.
const STALE_AFTER: Seconds = Seconds(24 * 3600);
/// How much of a rule's addresses may go at once, in percent, where nothing is said.
const MAX_SHRINK: u8 = 50;
/// Where ssh listens, unless somebody says otherwise.
const SSH: u16 = 22;

/// The firewall that is wanted; nothing when it shall be absent.
pub(super) fn lower(spec: &Spec, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Desired>> {
    if spec.state == Some(Presence::Absent) {
        return Vec::new();
    }
    let settings = Settings {
        mode: spec.mode.unwrap_or(Mode::Guard),
        established: spec.established.unwrap_or(Established::Keep),
        families: spec.families.as_ref().map_or_else(|| Family::ALL.into(), |families| families.value.clone()),
    };
    let rules = lower_rules(spec, &settings, cx, problems);
    warn_of_no_rules(spec, &settings, cx, problems);
    warn_of_open_family(spec, &settings, problems);
    let Some(transport) = &spec.transport else { return Vec::new() };
    warn_of_lockout(spec, &settings, problems);
    let commit = spec.commit.as_ref();
    let want = Desired {
        target: transport.value.clone(),
        backend: spec.backend.as_ref().and_then(|backend| backend.value),
        settings,
        rules,
        attach: spec.attach.as_ref().map_or(Attach::Input, AttachSpec::lower),
        confirm_within: commit.and_then(|commit| commit.confirm_within),
        persist: commit.and_then(|commit| commit.persist).unwrap_or(true),
        adopt: spec.adopt.as_ref().map(|adopt| adopt.comment.clone()),
        on_region_error: spec.on_region_error.unwrap_or(OnRegionError::Keep),
        stale_after: spec.stale_after.unwrap_or(STALE_AFTER),
        max_shrink: spec.max_shrink.unwrap_or(MAX_SHRINK),
    };
    vec![Lowered { name: cx.name.clone(), region: None, want, claims: Vec::new() }]
}

/// All rules, each key once. Those of `always_allow` go by what they accept, so that two of one traffic are one, and the
/// order in which they are written changes nothing.
fn lower_rules(spec: &Spec, settings: &Settings, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Wanted> {
    let mut always: BTreeMap<&Traffic, BTreeSet<Source>> = BTreeMap::new();
    for rule in Spec::list(spec.always_allow.as_ref()) {
        always.entry(&rule.traffic).or_default().extend(lower_from(rule, settings, cx, problems));
    }
    let mut rules: BTreeMap<RuleKey, (&Traffic, BTreeSet<Source>)> = BTreeMap::new();
    for ((traffic, from), number) in always.into_iter().zip(1_u16..) {
        rules.insert(RuleKey::Always(number), (traffic, from));
    }
    for rule in Spec::list(spec.rules.as_ref()) {
        let from = lower_from(rule, settings, cx, problems);
        // A name that is wrong or missing is an error already.
        if let Some(name) = &rule.name {
            rules.insert(RuleKey::Named(name.value.clone()), (&rule.traffic, from));
        }
    }
    let wanted = rules.into_iter().map(|(key, (traffic, from))| Wanted {
        key,
        traffic: traffic.clone(),
        from: from.into_iter().collect(),
    });
    wanted.collect()
}

/// Everyone whom a rule accepts.
fn lower_from(rule: &RuleSpec, settings: &Settings, cx: &Lowering<'_>, problems: &mut Diagnostics) -> BTreeSet<Source> {
    let mut all = BTreeSet::new();
    for written in &rule.from {
        let sources = source::lower(written, cx, problems);
        let idle = |source: &&Source| family_of(source).is_some_and(|family| !applies(rule, settings, family));
        if let Some(family) = sources.iter().find(idle).and_then(family_of) {
            let message = format!("this is {family}, and the rule can let nothing of {family} in");
            let problem = Diagnostic::warning("no-effect", written.span, message);
            problems.push(if settings.families.contains(&family) {
                problem.hint("its protocol or its `to` is of the other family")
            } else {
                problem.hint(format!("`families` leaves {family} out"))
            });
        }
        all.extend(sources);
    }
    all
}

/// Whether a rule can accept anything of a family.
fn applies(rule: &RuleSpec, settings: &Settings, family: Family) -> bool {
    settings.families.contains(&family) && rule.traffic.fits(family)
}

/// The family of a source, where it is of one.
fn family_of(source: &Source) -> Option<Family> {
    match source {
        Source::Network(net) => Some(Family::of(net)),
        Source::Host { of: _, at } => Some(Family::of(&(*at).into())),
        Source::Output { .. } | Source::Query { .. } => None,
    }
}

/// Nothing is let in by us, and nothing is dropped.
fn warn_of_no_rules(spec: &Spec, settings: &Settings, cx: &Lowering<'_>, problems: &mut Diagnostics) {
    let some = [&spec.rules, &spec.always_allow].into_iter().flatten().any(|rules| rules.any);
    if !some && settings.mode != Mode::Deny {
        problems.push(
            Diagnostic::warning("no-rules", cx.at, "this firewall has no rules, and changes nothing")
                .hint("write `rules`, or `state = \"absent\"` to take away what is there"),
        );
    }
}

/// What is not filtered is not closed either.
fn warn_of_open_family(spec: &Spec, settings: &Settings, problems: &mut Diagnostics) {
    let Some(families) = spec.families.as_ref().filter(|_| settings.mode != Mode::Allow) else { return };
    // An empty set is one that could not be read.
    for family in
        Family::ALL.into_iter().filter(|family| !families.value.is_empty() && !families.value.contains(family))
    {
        problems.push(
            Diagnostic::warning(
                "open-family",
                families.span,
                format!("{family} is not filtered: it stays as open as it is"),
            )
            .hint("leave `families` out for both"),
        );
    }
}

/// Whether whoever connects by ssh still gets in is found out on the host; that nothing says so can be seen here.
fn warn_of_lockout(spec: &Spec, settings: &Settings, problems: &mut Diagnostics) {
    let Some(transport) = &spec.transport else { return };
    let Target::Ssh { port, .. } = &transport.value else { return };
    let ssh = port.unwrap_or(SSH);
    let always = Spec::list(spec.always_allow.as_ref());
    let kept = match port {
        Some(port) => always.iter().any(|rule| names(&rule.traffic, *port)),
        // The ssh configuration may know another port.
        None => !always.is_empty(),
    };
    let rules = Spec::list(spec.rules.as_ref());
    let closed = match settings.mode {
        Mode::Allow => false,
        Mode::Guard => rules.iter().any(|rule| names(&rule.traffic, ssh)),
        Mode::Deny => true,
    };
    let open = rules.iter().any(|rule| names(&rule.traffic, ssh) && rule.is_for_everyone());
    if closed && !kept && !open {
        let what = format!("nothing in `always_allow` lets ssh in, port {ssh}, by which this host is reached");
        let hint = format!("name your own network: always_allow = [{{ ports = {ssh}, from = \"203.0.113.0/24\" }}]");
        problems.push(Diagnostic::warning("lockout", transport.span, what).hint(hint));
    }
}

/// Whether TCP to a port of the host is part of some traffic.
fn names(traffic: &Traffic, port: u16) -> bool {
    let tcp = traffic.protocol.is_none_or(|number| number == TCP);
    let ports = traffic.ports.is_empty() || traffic.ports.iter().any(|ports| (ports.from..=ports.to).contains(&port));
    tcp && ports && traffic.to.is_none()
}
