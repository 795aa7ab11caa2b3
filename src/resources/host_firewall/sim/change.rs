//! What the calls do to a simulated host.

use std::collections::BTreeSet;

use super::{Host, Stand, lists, stack_of};
use crate::model::text::{Part, fits_a_hole};
use crate::model::{CloudId, Output, Owner, StackName, TagEdit, tags};
use crate::resources::host_firewall::action::{ANSWERS_NOW, Action, Attach, Change, Commit, HOST_ANSWERS, ROLLED_BACK};
use crate::resources::host_firewall::host::Backend;
use crate::resources::host_firewall::packet::{Foreign, Rule};
use crate::resources::host_firewall::ruleset::Ruleset;
use crate::resources::registry::Call;
use crate::resources::world::{Outputs, Resolve, Trouble, WorldError};

/// One call to a host.
pub struct Order<'a> {
    /// Which host.
    pub id: &'a CloudId,
    /// The call.
    pub call: &'a Call,
    /// What is to be done.
    pub action: &'a Action,
    /// What earlier calls made, and on whose behalf this one is made.
    pub known: &'a dyn Resolve,
}

/// Carries out a call. A refused call, and one that is taken back, changes nothing.
///
/// # Errors
/// What the host answers instead of doing it, or that it does not answer.
pub fn perform(host: &mut Host, order: &Order<'_>) -> Result<Outputs, WorldError> {
    host.knock().map_err(|why| WorldError::new(Trouble::Unreachable, "HostUnreachable", why))?;
    if let Some(rule) = host.writer.clone()
        && let Some(rules) = host.rules_mut(crate::model::Family::Ipv4, &Attach::Input)
    {
        rules.insert(0, rule);
    }
    match order.action {
        Action::Edit(change) => edit(host, order, change)?,
        Action::Withdraw { target: _, commit } => withdraw(host, order, *commit)?,
        Action::Tag { edit } => retag(host, order, edit)?,
        Action::Reach { target: _ } => return Err(WorldError::new(Trouble::WrongState, HOST_ANSWERS, ANSWERS_NOW)),
    }
    Ok(Outputs::from([(Output::Id, order.id.to_string())]))
}

fn edit(host: &mut Host, order: &Order<'_>, change: &Change) -> Result<(), WorldError> {
    let Change { target: _, backend, attach, tags, edit, adopt, raise, commit, persist } = change;
    let stack = tags.get(tags::STACK).and_then(|name| StackName::new(name).ok());
    let stack = stack.ok_or_else(|| WorldError::invalid("the tags do not say whose the rules are"))?;
    not_pending(host)?;
    let before = host.stacks.get(&stack).map(|stand| stand.rules.clone()).unwrap_or_default();
    let rules = before.edited(edit, |part| tell(order.known, part)).map_err(WorldError::invalid)?;
    has_tools(host, *backend, attach, &rules)?;
    let stand = Stand { tags: tags.clone(), backend: *backend, attach: attach.clone(), rules, edited: Vec::new() };
    confirmed(host, *commit, |host| {
        adopt_rules(&mut host.facts.foreign, adopt);
        host.stand(&stack, stand.clone(), *raise);
    })?;
    if *persist {
        host.boot.insert(stack, stand);
    } else {
        host.boot.remove(&stack);
    }
    Ok(())
}

fn withdraw(host: &mut Host, order: &Order<'_>, commit: Commit) -> Result<(), WorldError> {
    not_pending(host)?;
    let Some(stack) = whose(host, order) else { return Ok(()) };
    confirmed(host, commit, |host| host.withdraw(&stack))?;
    host.boot.remove(&stack);
    Ok(())
}

fn retag(host: &mut Host, order: &Order<'_>, edit: &TagEdit) -> Result<(), WorldError> {
    not_pending(host)?;
    let stack = whose(host, order);
    let stand = stack.as_ref().and_then(|stack| host.stacks.get_mut(stack));
    let (Some(stack), Some(stand)) = (&stack, stand) else {
        return Err(WorldError::missing(crate::model::Kind::HostFirewall, order.id));
    };
    let before = stand.clone();
    edit.apply(&mut stand.tags);
    // What a boot restores says whose it is as well.
    if let Some(saved) = host.boot.get_mut(stack).filter(|saved| saved.same_as(&before)) {
        saved.tags = stand.tags.clone();
    }
    Ok(())
}

/// The stack whose rules a call is about that does not say so: the one that has rules there for this address, and of
/// several the one on whose behalf the calls are made.
fn whose(host: &Host, order: &Order<'_>) -> Option<StackName> {
    let at = &order.call.at;
    let for_it = |stand: &Stand| Owner::read(&stand.tags).is_some_and(|owner| owner.address == *at);
    let mut fitting = host.stacks.iter().filter(|(_, stand)| for_it(stand)).map(|(stack, _)| stack);
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => order.known.stack().filter(|stack| host.stacks.contains_key(stack)),
    }
}

/// Changes a host, and takes the change back when it does not answer any more and that is asked for.
fn confirmed(host: &mut Host, commit: Commit, change: impl FnOnce(&mut Host)) -> Result<(), WorldError> {
    let before = host.clone();
    change(host);
    match commit {
        Commit::Within(_) if !host.answers() => {
            *host = before;
            let why = "the change was taken back, and the host is as it was: it did not answer over a new connection";
            Err(WorldError::new(Trouble::TimedOut, ROLLED_BACK, why))
        }
        Commit::Within(_) | Commit::AtOnce => Ok(()),
    }
}

fn not_pending(host: &Host) -> Result<(), WorldError> {
    match &host.facts.pending {
        None => Ok(()),
        Some(pending) => {
            let why = format!("a change of {} waits to be confirmed until {}", pending.by, pending.until);
            Err(WorldError::new(Trouble::InUse, "CommitPending", why))
        }
    }
}

/// Refuses what the host has no programs or no chain for.
fn has_tools(host: &Host, backend: Backend, attach: &Attach, rules: &Ruleset) -> Result<(), WorldError> {
    let missing = |what: &str| Err(WorldError::new(Trouble::WrongState, "ToolMissing", format!("{what}: not found")));
    let facts = &host.facts;
    match backend {
        Backend::Nftables if facts.nft.is_none() => missing("nft"),
        Backend::Iptables if facts.iptables.is_none() => missing("iptables"),
        Backend::Iptables if facts.ipset.is_none() && rules.addresses() > 0 => missing("ipset"),
        Backend::Nftables if *attach != Attach::Input => {
            Err(WorldError::invalid("a table of its own is called from no other chain"))
        }
        Backend::Iptables if rules.settings.families.iter().any(|family| !host.has_chain(*family, attach)) => {
            let why = "there is no such chain to call ours from";
            Err(WorldError::new(Trouble::WrongState, "ChainNotFound", why))
        }
        Backend::Nftables | Backend::Iptables => Ok(()),
    }
}

/// Deletes rules of others by their text: of each text as many as it is named times. One that is not there any more is
/// passed over, as the transaction is made anew from what stands.
fn adopt_rules(foreign: &mut Foreign, adopt: &[String]) {
    for text in adopt {
        let is_it = |rule: &Rule| rule.text == *text && stack_of(rule).is_none();
        let both: BTreeSet<(String, String)> = foreign
            .ipv4
            .iter()
            .chain(&foreign.ipv6)
            .filter(|chain| chain.table.starts_with("inet ") && chain.rules.iter().any(is_it))
            .map(|chain| (chain.table.clone(), chain.name.clone()))
            .collect();
        if let Some((table, name)) = both.first() {
            // What stands in both families is one rule.
            let chains = foreign.ipv4.iter_mut().chain(&mut foreign.ipv6);
            for chain in chains.filter(|chain| chain.table == *table && chain.name == *name) {
                take_first(&mut chain.rules, is_it);
            }
            continue;
        }
        for rules in lists(foreign) {
            if take_first(rules, is_it) {
                break;
            }
        }
    }
}

fn take_first(rules: &mut Vec<Rule>, is_it: impl Fn(&Rule) -> bool) -> bool {
    let at = rules.iter().position(is_it);
    if let Some(at) = at {
        rules.remove(at);
    }
    at.is_some()
}

/// What stands for an address that was not known when it was planned.
fn tell(known: &dyn Resolve, part: &Part) -> Option<String> {
    match part {
        Part::Literal(text) => Some(text.clone()),
        Part::Hole { address, output } => known.output(address, *output).filter(|text| fits_a_hole(text)),
    }
}
