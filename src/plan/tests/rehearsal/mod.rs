//! The rehearsal: it lets good plans through, agrees with what an apply comes to, and finds what is wrong with bad ones.

mod bad;
mod strangers;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::properties::{End, cases, converge, pair, run};
use super::{graph, plan_on, policy, world};
use crate::plan::Plan;
use crate::plan::rehearsed::{Finding, Rehearsal, Trouble, Verdict};
use crate::provider::sim::Sim;
use crate::rehearsal::rehearse;

/// What is wrong with the rehearsal of a good plan. Machines that change places one after the other may meet on the way, which
/// the planner cannot help: that is refused, and told apart.
fn trouble(plan: &Plan, rehearsal: &Rehearsal) -> Result<bool, String> {
    let meet = |finding: &Finding| {
        let last = finding.steps.last().and_then(|number| plan.steps().get(number - 1));
        finding.trouble == Trouble::Exposed && last.is_some_and(|step| step.title == "set security groups")
    };
    match rehearsal.findings.as_slice() {
        [] if rehearsal.verdict == Verdict::Sound => Ok(false),
        [one] if meet(one) => Ok(true),
        _ => Err(format!("{rehearsal:#?}\n{}\n{:#?}", graph(plan), plan.exposures())),
    }
}

#[test]
fn a_good_plan_rehearses_clean_and_so_it_ends() {
    let left_out = RefCell::new(BTreeSet::new());
    let (rehearsed, met) = (Cell::new(0), Cell::new(0));
    run(cases(250), |tape| {
        let (first, second) = pair(tape);
        let sim = Arc::new(Sim::in_memory(world()));
        for stack in [first, second] {
            let (plan, snapshot) = plan_on(sim.as_ref(), &stack, &policy());
            if let Some(rehearsal) = rehearse(&stack, &snapshot, &policy(), false, &plan) {
                rehearsed.set(rehearsed.get() + 1);
                met.set(met.get() + usize::from(trouble(&plan, &rehearsal)?));
                left_out.borrow_mut().extend(rehearsal.not_modelled);
            }
            // What the rehearsal says of the end is what an apply comes to.
            let refused = !plan.refusals().is_empty();
            if (converge(&sim, &stack)? == End::Converged) == refused {
                return Err("the rehearsal and the apply do not agree".to_owned());
            }
        }
        Ok(())
    });
    assert!(rehearsed.get() > 300 && met.get() * 100 <= rehearsed.get(), "{} of {}", met.get(), rehearsed.get());
    let released = "addresses that machines get when they are released".to_owned();
    assert!(left_out.borrow().iter().all(|what| *what == released), "{left_out:?}");
}
