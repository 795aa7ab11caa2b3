//! How a security group becomes what is wanted: rules as a set, opened before others are closed.

use std::collections::{BTreeMap, BTreeSet};

use super::flows;
use super::rules;
use super::state::{Direction, Peer};
use super::{Action, Desired, Observed, permits};
use crate::model::{Kind, Link, Output, Reference, TagEdit};
use crate::resources::flow::Stance;
use crate::resources::permissions::Permits;
use crate::resources::snapshot::{Answer, Question};
use crate::resources::{
    After, Common, Context, Delta, Draft, Edit, Effect, Field, Hold, Needs, Read, Refusal, RefusalKind, Resource, Seen,
    Wave,
};

/// The kind `security_group`.
#[derive(Debug)]
pub struct SecurityGroup;

impl Resource for SecurityGroup {
    const KIND: Kind = Kind::SecurityGroup;
    type Desired = Desired;
    type Observed = Observed;
    type Action = Action;

    fn references(want: &Desired) -> Vec<Reference> {
        let rules = want.ingress.keys().chain(want.egress.iter().flat_map(BTreeMap::keys));
        rules
            .filter_map(|rule| match &rule.peer {
                Peer::Group(group) => Some(group.clone()),
                Peer::Output { address, output: _ } => Some(Reference::Address(address.clone())),
                Peer::Cidr(_) | Peer::ForeignGroup { .. } | Peer::PrefixList(_) => None,
            })
            .collect()
    }

    fn reads(want: &Desired) -> Vec<Read> {
        Read::of_vpc(&want.vpc).into_iter().collect()
    }

    fn introduces(want: &Desired, cx: &Context<'_>) -> Vec<Field> {
        let mut fields = rules::introduced(want, Direction::Ingress, cx);
        if want.egress.is_some() {
            fields.extend(rules::introduced(want, Direction::Egress, cx));
        }
        fields
    }

    fn create(want: &Desired, cx: &Context<'_>) -> Vec<Draft<Action>> {
        let Some(vpc) = cx.vpc(&want.vpc) else { return Vec::new() };
        let name = physical_name(want, cx);
        refuse_taken(&name, &vpc, cx);
        let create = Action::Create { name, description: want.description.clone(), vpc, tags: cx.fresh().tags };
        let mut drafts = vec![Draft {
            provides: vec![Output::Id, Output::Name],
            readies: true,
            ..Draft::new("create", Wave::Make, None, create)
        }];
        if want.egress.is_some() {
            // Before anything is attached: until then the group lets everything out.
            let revoke = Action::RevokeDefaultEgress;
            drafts.push(Draft { readies: true, ..Draft::new("revoke default egress", Wave::Make, None, revoke) });
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            if direction == Direction::Egress && want.egress.is_none() {
                continue;
            }
            let rules = rules::wanted(want, direction, cx);
            rules::refuse_too_many(rules.len(), want, direction, cx);
            let rules: Vec<_> =
                rules.into_iter().map(|(rule, description)| rules::new_rule(rule, description)).collect();
            if !rules.is_empty() {
                drafts.push(Draft {
                    after: After::Ready,
                    reach: rules::opening(&Link::Planned(cx.at.clone()), &rules),
                    ..Draft::new(
                        rules::authorize_title(direction),
                        Wave::Make,
                        None,
                        rules::authorize(direction, rules, cx),
                    )
                });
            }
        }
        drafts
    }

    fn diff(want: &Desired, have: &Seen<'_, Observed>, cx: &Context<'_>) -> Delta<Action> {
        let mut delta = Delta::default();
        let Observed { name, description, vpc, rules: _ } = have.body;
        let mut replaced = |field: &str, before: &str, after: &str| {
            delta.fields.push(Field {
                name: field.to_owned(),
                edit: Edit::Value { before: Some(before.to_owned()), after: Some(after.to_owned()) },
                effect: Effect::Replace,
            });
        };
        if let Some(literal) = want.name.as_ref().filter(|literal| *literal != name) {
            replaced("name", name, literal);
        }
        if want.description != *description {
            replaced("description", description, &want.description);
        }
        if let Some(wanted) = cx.vpc(&want.vpc).filter(|wanted| wanted != vpc) {
            replaced("vpc", vpc.as_str(), wanted.as_str());
        }
        rules::diff(want, have, Direction::Ingress, cx, &mut delta);
        rules::diff(want, have, Direction::Egress, cx, &mut delta);
        delta
    }

    fn delete(have: &Seen<'_, Observed>, cx: &Context<'_>) -> Vec<Draft<Action>> {
        let mut drafts = Vec::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            // Two groups that name each other can only go when the rules went first.
            let linked: Vec<_> =
                have.body.of(direction).filter(|rule| rules::names_other(&rule.rule, have.id)).collect();
            if !linked.is_empty() {
                let frees = linked.iter().filter_map(|rule| rules::group_of(&rule.rule)).cloned().collect();
                let reach = rules::closing(have.id, linked.iter().copied());
                let revoke = Action::Revoke { direction, rules: linked.into_iter().map(rules::old_rule).collect() };
                let title = rules::revoke_title(direction);
                drafts.push(Draft { frees, reach, ..Draft::new(title, Wave::Remove, Some(have.id.clone()), revoke) });
            }
        }
        refuse_foreign_holders(have, cx);
        // Interfaces linger after their instance or balancer is gone.
        let timeout = cx.common.timeout.unwrap_or(crate::model::duration::Seconds(600));
        let delete = Draft::new("delete", Wave::Remove, Some(have.id.clone()), Action::Delete);
        drafts.push(Draft { ends: true, timeout, ..delete });
        drafts
    }

    fn retag(edit: TagEdit) -> Action {
        Action::Tag(edit)
    }

    fn needs(action: &Action) -> Needs {
        let mut needs = Needs::default();
        match action {
            Action::Authorize { direction: _, rules, tags: _ } => {
                for new in rules {
                    match &new.rule.peer {
                        Peer::Group(link) => needs.links.push(link.clone()),
                        Peer::Output { address, output } => needs.outputs.push((address.clone(), *output)),
                        Peer::Cidr(_) | Peer::ForeignGroup { .. } | Peer::PrefixList(_) => {}
                    }
                }
            }
            Action::Create { .. }
            | Action::RevokeDefaultEgress
            | Action::Revoke { .. }
            | Action::Describe { .. }
            | Action::Tag(_)
            | Action::Delete => {}
        }
        needs
    }

    fn outputs(have: &Seen<'_, Observed>) -> BTreeMap<Output, String> {
        BTreeMap::from([(Output::Id, have.id.to_string()), (Output::Name, have.body.name.clone())])
    }

    fn foretold(want: &Desired, cx: &Context<'_>) -> BTreeMap<Output, String> {
        BTreeMap::from([(Output::Name, physical_name(want, cx))])
    }

    fn holds(have: &Observed) -> Vec<Hold> {
        let groups: BTreeSet<_> = have.rules.iter().filter_map(|rule| rules::group_of(&rule.rule)).collect();
        groups.into_iter().map(|id| Hold { id: id.clone(), firm: true }).collect()
    }

    fn slots(want: &Desired, cx: &Context<'_>) -> BTreeSet<String> {
        let vpc = cx.facts.vpc(&want.vpc);
        vpc.map(|vpc| slot(&physical_name(want, cx), vpc.as_str())).into_iter().collect()
    }

    fn occupies(have: &Seen<'_, Observed>) -> BTreeSet<String> {
        BTreeSet::from([slot(&have.body.name, have.body.vpc.as_str())])
    }

    fn stance(have: &Seen<'_, Observed>) -> Option<Stance> {
        Some(Stance::Rules(flows::rules(have.body)))
    }

    fn is_called(have: &Seen<'_, Observed>, adopt: &str) -> bool {
        have.body.name == adopt
    }

    fn rechecks(action: &Action) -> bool {
        matches!(action, Action::Delete)
    }

    fn stale(_: &Action, seen: &Observed, now: &Observed) -> Option<String> {
        // Rules that went are this plan's doing, or nobody's loss; new ones are somebody's work.
        let known: BTreeSet<_> = seen.rules.iter().map(|rule| (rule.direction, &rule.rule)).collect();
        let fresh = now.rules.iter().find(|rule| !known.contains(&(rule.direction, &rule.rule)));
        fresh.map(|rule| format!("somebody added a rule to it: {}", rule.rule.words(rule.direction)))
    }

    fn listing(permits: &mut Permits) {
        permits::listing(permits);
    }

    fn permits(want: &Desired, common: &Common, permits: &mut Permits) {
        permits::of(want, common, permits);
    }

    fn summary(want: &Desired) -> String {
        let count = |number: usize, word: &str| format!("{number} {word} rule{}", if number == 1 { "" } else { "s" });
        match &want.egress {
            None => count(want.ingress.len(), "ingress"),
            Some(egress) => format!("{}, {}", count(want.ingress.len(), "ingress"), count(egress.len(), "egress")),
        }
    }
}

fn physical_name(want: &Desired, cx: &Context<'_>) -> String {
    want.name.clone().unwrap_or_else(|| cx.fresh().name)
}

/// Group names are one whatever their case.
fn slot(name: &str, vpc: &str) -> String {
    format!("the group name `{}` in {vpc}", name.to_lowercase())
}

/// A name is the VPC's: a foreign group that has it must be taken over, or another name be chosen.
fn refuse_taken(name: &str, vpc: &crate::model::id::VpcId, cx: &Context<'_>) {
    let question = Question::Named {
        kind: Kind::SecurityGroup,
        region: cx.common.region.clone(),
        vpc: Some(vpc.clone()),
        name: name.to_owned(),
    };
    if let Some(Answer::Named(Some(holder))) = cx.ask(question)
        && !cx.mine.contains(holder)
    {
        let message = format!("the group name `{name}` in {vpc} belongs to {holder}, which this stack does not own");
        cx.refuse(
            Refusal::new(RefusalKind::Taken, cx.at, message)
                .hint(format!("take it over with `adopt = \"{holder}\"`, or give another `name`")),
        );
    }
}

/// Whoever else holds a group that must go is named now, not after a timeout.
fn refuse_foreign_holders(have: &Seen<'_, Observed>, cx: &Context<'_>) {
    let question = Question::Holders { kind: Kind::SecurityGroup, region: have.region.clone(), id: have.id.clone() };
    let Some(Answer::Holders(holders)) = cx.ask(question) else { return };
    let foreign: Vec<String> = holders
        .iter()
        .filter(|holder| {
            !cx.mine.contains(&holder.id) && !holder.object.as_ref().is_some_and(|id| cx.mine.contains(id))
        })
        .map(|holder| format!("{} ({})", holder.what, holder.id))
        .collect();
    if !foreign.is_empty() {
        let message = format!("{} cannot go: it is held by {}", have.id, foreign.join(", "));
        cx.refuse(
            Refusal::new(RefusalKind::Holder, cx.at, message)
                .hint("take the group off what holds it, or keep the group in the spec"),
        );
    }
}
