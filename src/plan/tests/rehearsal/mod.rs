//! The rehearsal: it lets good plans through, agrees with what an apply comes to, and finds what is wrong with bad ones.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::properties::{End, cases, converge, pair, run};
use super::{graph, plan_on, policy, world};
use crate::plan::Plan;
use crate::plan::policy::Policy;
use crate::plan::rehearsed::{Rehearsal, Verdict};
use crate::provider::sim::Sim;
use crate::rehearsal::rehearse;
use crate::resources::snapshot::Snapshot;
use crate::resources::stack::Stack;

/// Rehearses a plan; nothing of a simulated world is beyond it.
fn rehearsed(stack: &Stack, policy: &Policy, plan: &Plan, snapshot: &Snapshot) -> Option<Rehearsal> {
    rehearse(stack, snapshot, policy, false, plan)
}

/// What is wrong with the rehearsal of a good plan.
fn trouble(plan: &Plan, rehearsal: &Rehearsal) -> Result<(), String> {
    if rehearsal.verdict == Verdict::Sound && rehearsal.findings.is_empty() {
        return Ok(());
    }
    Err(format!("{rehearsal:#?}\n{}\n{:#?}", graph(plan), plan.exposures()))
}

#[test]
fn a_good_plan_rehearses_clean() {
    let left_out = RefCell::new(BTreeSet::new());
    run(cases(300), |tape| {
        let (first, second) = pair(tape);
        let sim = Arc::new(Sim::in_memory(world()));
        for stack in [first, second] {
            let (plan, snapshot) = plan_on(sim.as_ref(), &stack, &policy());
            if let Some(rehearsal) = rehearsed(&stack, &policy(), &plan, &snapshot) {
                trouble(&plan, &rehearsal)?;
                left_out.borrow_mut().extend(rehearsal.not_modelled);
            }
            let refused = !plan.refusals().is_empty();
            if (converge(&sim, &stack)? == End::Converged) == refused {
                return Err("the rehearsal and the apply do not agree".to_owned());
            }
        }
        Ok(())
    });
    assert_eq!(left_out.into_inner(), BTreeSet::new());
}

#[test]
fn zz_survey() {
    let found = RefCell::new(std::collections::BTreeMap::<String, (usize, Vec<String>)>::new());
    let count = RefCell::new((0, 0));
    run(cases(1500), |tape| {
        let (first, second) = pair(tape);
        let sim = Arc::new(Sim::in_memory(world()));
        for stack in [first, second] {
            let (plan, snapshot) = plan_on(sim.as_ref(), &stack, &policy());
            if let Some(rehearsal) = rehearsed(&stack, &policy(), &plan, &snapshot) {
                count.borrow_mut().0 += 1;
                for finding in &rehearsal.findings {
                    count.borrow_mut().1 += 1;
                    let last = finding
                        .steps
                        .last()
                        .and_then(|n| plan.steps().get(n - 1))
                        .map(|s| format!("{} {:?}", s.title, s.call.at.kind))
                        .unwrap_or_default();
                    let key = format!("{:?} after {last}", finding.trouble);
                    let mut found = found.borrow_mut();
                    let entry = found.entry(key).or_default();
                    entry.0 += 1;
                    entry.1.push(format!(
                        "{}\n{:?}\n{}{:?}",
                        finding.message,
                        finding.steps,
                        graph(&plan),
                        plan.exposures()
                    ));
                    entry.1.sort_by_key(String::len);
                    entry.1.truncate(2);
                }
            }
            converge(&sim, &stack)?;
        }
        Ok(())
    });
    for (key, (count, samples)) in found.into_inner() {
        println!("=== {count} {key}");
        for sample in samples {
            println!("{sample}");
        }
    }
    println!("{:?}", count.into_inner());
}
