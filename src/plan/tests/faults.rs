//! Every call of many plans fails once, before its effect and after it: the next plans come to the same end.

use std::sync::Arc;

use super::likeness::likeness;
use super::properties::{End, cases, converge, pair, run};
use super::{apply_on, graph, plan_on, policy, world};
use crate::port::Class;
use crate::provider::faulty::{Fault, Faulty, When};
use crate::provider::sim::Sim;
use crate::resources::stack::Stack;
use crate::resources::world::World;

const CLASSES: [Class; 5] = [Class::Throttled, Class::Transient, Class::Denied, Class::Quota, Class::TimedOut];

/// Applies with one fault, then again without, at most twice.
fn recover(start: &World, stack: &Stack, fault: Fault) -> Result<Option<World>, String> {
    let faulty = Arc::new(Faulty::new(Sim::in_memory(start.clone())).with(fault));
    let (plan, _) = plan_on(faulty.as_ref(), stack, &policy());
    let outcome = apply_on(&faulty, &plan, 3);
    if faulty.fired() == 0 {
        return Ok(None);
    }
    if outcome.complete() {
        return Err(format!("{fault:?} was not reported"));
    }
    let sim = Arc::new(Sim::in_memory(faulty.inner().world()));
    for round in 0..3 {
        let (next, _) = plan_on(sim.as_ref(), stack, &policy());
        if !next.refusals().is_empty() {
            return Err(format!("{fault:?}: {:#?}\nFIRST\n{}\nNEXT\n{}", next.refusals(), graph(&plan), graph(&next)));
        }
        if next.is_empty() {
            // What is on its way out comes to its end.
            sim.meddle(|world| world.pass(3600));
            return Ok(Some(sim.world()));
        }
        let outcome = apply_on(&sim, &next, 3);
        if round == 2 || !outcome.complete() {
            let trouble = super::trouble(&next, &outcome);
            return Err(format!("{fault:?}: {trouble:#?}\nFIRST\n{}\nNEXT\n{}", graph(&plan), graph(&next)));
        }
        let world = sim.world();
        let problems = [&world.audit(), world.breaches()].concat();
        if !problems.is_empty() {
            return Err(format!("{fault:?}: {problems:?}"));
        }
    }
    Err(format!("{fault:?} was never made good"))
}

/// Tries every call of the plan that leads from a world to a stack.
fn every_fault(start: &World, stack: &Stack, runs: &mut usize) -> Result<(), String> {
    let sim = Arc::new(Sim::in_memory(start.clone()));
    if converge(&sim, stack)? != End::Converged {
        return Ok(());
    }
    let (end, calls) = (likeness(&sim.world(), stack), sim.counts().perform);
    for at in 1..=calls {
        for when in [When::Before, When::After] {
            let fault = Fault { at, when, class: CLASSES[(at + *runs) % CLASSES.len()] };
            let Some(world) = recover(start, stack, fault)? else { continue };
            *runs += 1;
            let reached = likeness(&world, stack);
            if reached != end {
                let missing: Vec<_> = end.difference(&reached).collect();
                let more: Vec<_> = reached.difference(&end).collect();
                return Err(format!("{fault:?} ends elsewhere: missing {missing:#?} instead {more:#?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn a_fault_at_any_call_is_made_good() {
    let runs = std::cell::RefCell::new(0);
    run(cases(120), |tape| {
        let (first, second) = pair(tape);
        let sim = Arc::new(Sim::in_memory(world()));
        every_fault(&sim.world(), &first, &mut runs.borrow_mut())?;
        if converge(&sim, &first)? == End::Converged {
            every_fault(&sim.world(), &second, &mut runs.borrow_mut())?;
        }
        Ok(())
    });
    assert!(*runs.borrow() > 1000, "only {} faults came about", runs.borrow());
}
