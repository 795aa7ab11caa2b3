//! What must hold of a simulated host whatever was done to it.

use std::collections::BTreeSet;

use super::{Host, Stand, filter, stack_of};
use crate::model::{CloudId, Family, Owner, StackName};
use crate::resources::host_firewall::host::{Backend, Facts};
use crate::resources::host_firewall::packet::{Chain, Foreign, Rule, Then};

/// Everything that is wrong with a host, in words; empty for a sound one.
#[must_use]
pub fn problems(id: &CloudId, host: &Host) -> Vec<String> {
    let mut problems = Vec::new();
    if host.unreachable_for.is_some() && host.unreachable.is_none() {
        problems.push("it is unreachable for a while and does not say why".to_owned());
    }
    for (stack, stand) in host.stacks.iter().chain(&host.boot) {
        problems.extend(stand_problems(&host.facts, stack, stand));
    }
    problems.extend(foreign_problems(host));
    problems.into_iter().map(|what| format!("host `{id}`: {what}")).collect()
}

fn stand_problems(facts: &Facts, stack: &StackName, stand: &Stand) -> Vec<String> {
    let mut problems = Vec::new();
    if Owner::read(&stand.tags).is_none_or(|owner| owner.stack != stack.as_str()) {
        problems.push(format!("what stands of stack `{stack}` has tags that do not say so"));
    }
    let has = match stand.backend {
        Backend::Nftables => facts.nft.is_some(),
        Backend::Iptables => facts.iptables.is_some(),
    };
    if !has {
        problems.push(format!("stack `{stack}` has rules in {}, which is not there", stand.backend));
    }
    problems
}

fn foreign_problems(host: &Host) -> Vec<String> {
    let foreign = &host.facts.foreign;
    let mut problems = Vec::new();
    for family in Family::ALL {
        let chains = foreign.chains(family);
        let mut names = BTreeSet::new();
        for chain in chains {
            let Chain { table, name, .. } = chain;
            if !names.insert((table, name)) {
                problems.push(format!("chain `{table} {name}` is there twice in {family}"));
            }
            let fits = table.starts_with("inet ") || table.starts_with(filter(family).trim_end_matches("filter"));
            if !fits {
                problems.push(format!("chain `{table} {name}` does not filter {family}"));
            }
            if table.starts_with("inet ") && Family::ALL.iter().any(|other| !foreign.chains(*other).contains(chain)) {
                problems.push(format!("chain `{table} {name}` is not the same in both families"));
            }
            problems.extend(chain.rules.iter().filter_map(|rule| rule_problem(host, table, rule)));
        }
        if !chains.is_sorted_by_key(|chain| chain.priority) {
            problems.push(format!("the chains of {family} are not in the order of their priorities"));
        }
    }
    for (name, rules) in &foreign.called {
        let table = name.rsplit_once(' ').map_or("", |(table, _)| table);
        problems.extend(rules.iter().filter_map(|rule| rule_problem(host, table, rule)));
    }
    problems
}

/// What is wrong with a rule of somebody else, or with a jump of ours.
fn rule_problem(host: &Host, table: &str, rule: &Rule) -> Option<String> {
    let Foreign { called, .. } = &host.facts.foreign;
    let text = &rule.text;
    if let Some(stack) = stack_of(rule) {
        let stands = host.stacks.get(&stack).is_some_and(|stand| {
            let family = Family::ALL.into_iter().find(|family| filter(*family) == table);
            let filters = |family| stand.rules.settings.families.contains(&family);
            stand.backend == Backend::Iptables && family.is_some_and(filters)
        });
        return (!stands)
            .then(|| format!("`{text}` in `{table}` leads to a chain of stack `{stack}` that is not there"));
    }
    match &rule.then {
        Then::Ours => {
            Some(format!("`{text}` is to be a jump to `portcullis-STACK`: several stacks may have rules here"))
        }
        Then::Jump(name) | Then::Goto(name) if !called.contains_key(&format!("{table} {name}")) => {
            Some(format!("`{text}` leads to `{table} {name}`, which is not there"))
        }
        _ => None,
    }
}
