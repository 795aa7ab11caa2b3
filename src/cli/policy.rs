//! From options to the planner's policy.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::args::{PolicyArgs, Risk};
use crate::model::Address;
use crate::plan::Plan;
use crate::plan::policy::{Consent, Goal, Orphans, Policy};
use crate::resources::stack::Stack;

/// The policy that options ask for.
#[must_use]
pub fn policy(args: &PolicyArgs, goal: Goal) -> Policy {
    let today = args.today.unwrap_or_else(|| Timestamp::now().to_zoned(TimeZone::UTC).date());
    let consent = |given: bool| if given { Consent::Given } else { Consent::Withheld };
    Policy {
        goal,
        orphans: if args.no_prune { Orphans::Leave } else { Orphans::Prune },
        targets: args.target.iter().cloned().collect(),
        excludes: args.exclude.iter().cloned().collect(),
        verify: args.verify,
        replaces: args.replace.iter().cloned().collect(),
        exposure: consent(args.accept.contains(&Risk::Exposure)),
        replace_stack: consent(args.replace_stack),
        ..Policy::on(today)
    }
}

/// Addresses on the command line that name nothing in the spec: probably a slip of the pen.
#[must_use]
pub fn unknown_addresses(args: &PolicyArgs, stack: &Stack) -> Vec<Address> {
    args.exclude.iter().chain(&args.replace).filter(|address| !is_known(address, stack)).cloned().collect()
}

/// Targets that name nothing in the spec, nor an orphan that the plan deletes.
#[must_use]
pub fn unknown_targets(args: &PolicyArgs, stack: &Stack, plan: &Plan) -> Vec<Address> {
    let planned = |address: &Address| plan.changes().iter().any(|change| change.address == *address);
    let unknown = args.target.iter().filter(|address| !is_known(address, stack) && !planned(address));
    unknown.cloned().collect()
}

/// Whether an address is a resource of the spec, or a group of members.
fn is_known(address: &Address, stack: &Stack) -> bool {
    stack.resources.contains_key(address)
        || stack.resources.iter().any(|(member, desired)| {
            member.kind == address.kind && desired.common.group.as_ref().is_some_and(|group| group.name == address.name)
        })
}
