//! From options to the planner's policy.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::args::{PolicyArgs, Risk};
use crate::model::Address;
use crate::plan::Plan;
use crate::plan::policy::{Consent, Goal, Orphans, Policy};
use crate::resources::Accepted;
use crate::resources::stack::Stack;

/// The policy that options ask for.
#[must_use]
pub fn policy(args: &PolicyArgs, goal: Goal) -> Policy {
    let now = moment(args.today);
    let accepts = |risk: Risk| args.risks.accept.contains(&risk);
    let consent = |given: bool| if given { Consent::Given } else { Consent::Withheld };
    Policy {
        goal,
        orphans: if args.no_prune { Orphans::Leave } else { Orphans::Prune },
        targets: args.target.iter().cloned().collect(),
        excludes: args.exclude.iter().cloned().collect(),
        verify: args.verify,
        replaces: args.replace.iter().cloned().collect(),
        exposure: consent(accepts(Risk::Exposure)),
        accepted: Accepted {
            lockout: accepts(Risk::Lockout),
            shrink: accepts(Risk::Shrink),
            partial: accepts(Risk::Partial),
            nothing_kept: args.risks.strict,
        },
        replace_stack: consent(args.replace_stack),
        now,
        ..Policy::on(now.to_zoned(TimeZone::UTC).date())
    }
}

/// The moment at which a plan is made: the second that it is, or the midnight with which a day begins in UTC.
fn moment(today: Option<Date>) -> Timestamp {
    let now = Timestamp::now();
    let Some(day) = today else { return Timestamp::from_second(now.as_second()).unwrap_or(now) };
    // Only the very last days there are have no midnight.
    day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
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
        || stack.hosts.contains_key(address)
        || stack.resources.iter().any(|(member, desired)| {
            member.kind == address.kind && desired.common.group.as_ref().is_some_and(|group| group.name == address.name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::RiskArgs;

    #[test]
    fn a_day_begins_at_midnight() {
        for (day, now) in [("2026-03-01", "2026-03-01T00:00:00Z"), ("9999-12-31", &Timestamp::MAX.to_string())] {
            let args = PolicyArgs { today: Some(day.parse().unwrap()), ..PolicyArgs::default() };
            assert_eq!(policy(&args, Goal::Converge).now, now.parse().unwrap());
        }
        let args = PolicyArgs { today: Some("2026-03-01".parse().unwrap()), ..PolicyArgs::default() };
        assert_eq!(policy(&args, Goal::Converge).today, "2026-03-01".parse().unwrap());
        // A moment is a whole second: nobody wants to read more of it.
        let before = Timestamp::now().as_second();
        let now = policy(&PolicyArgs::default(), Goal::Converge).now;
        assert!(now.as_second() >= before && now <= Timestamp::now() && now.subsec_nanosecond() == 0);
    }

    #[test]
    fn each_risk_is_accepted_alone() {
        let accepted = |accept: &[Risk], strict| {
            let risks = RiskArgs { accept: accept.to_vec(), strict, no_rehearsal: false };
            let policy = policy(&PolicyArgs { risks, ..PolicyArgs::default() }, Goal::Converge);
            (policy.exposure == Consent::Given, policy.accepted)
        };
        let none = Accepted::default();
        assert_eq!(accepted(&[], false), (false, none));
        assert_eq!(accepted(&[Risk::Exposure], false), (true, none));
        assert_eq!(accepted(&[Risk::Lockout], false), (false, Accepted { lockout: true, ..none }));
        assert_eq!(accepted(&[Risk::Shrink], false), (false, Accepted { shrink: true, ..none }));
        assert_eq!(accepted(&[Risk::Partial], false), (false, Accepted { partial: true, ..none }));
        assert_eq!(accepted(&[], true), (false, Accepted { nothing_kept: true, ..none }));
    }
}
