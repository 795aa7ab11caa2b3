//! Kept plans: what is written is read back as the same plan, is carried out like it, and is stale exactly when something
//! that it stands on has moved.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::reads::Reads;
use super::super::{Plan, Verb};
use super::likeness::likeness;
use super::properties::{cases, pair, run};
use super::{apply_on, block, graph, plan_on, policy, trouble, world};
use crate::cli::session::{self, Asked};
use crate::model::{Region, Tags};
use crate::port::Provider;
use crate::provider::sim::Sim;
use crate::report::document::{self, PlanDoc, World};
use crate::report::restore;
use crate::resources::registry::Object;
use crate::resources::scope::Scope;
use crate::resources::snapshot::Snapshot;
use crate::resources::stack::Stack;

/// A plan as a file would keep it.
fn keep(plan: &Plan, stack: &Stack, snapshot: &Snapshot) -> PlanDoc {
    let policy = policy();
    let asked = Asked { policy: &policy, today: None, all_regions: false };
    document::document(plan, World::Simulated).sealed(Some(session::basis(plan, stack, snapshot, "0", &asked)))
}

/// What a file gives back; secrets are looked for in the first plan, as `--spec` would.
fn reread(doc: &PlanDoc, first: &Plan) -> Result<Plan, String> {
    let read: PlanDoc = serde_json::from_str(&doc.text()).map_err(|why| why.to_string())?;
    if read != *doc || !read.is_whole() || read.text() != doc.text() {
        return Err(format!("it is read otherwise than it was written:\n{}\n{}", doc.text(), read.text()));
    }
    let plan = restore::plan(&read, read.basis.as_ref().ok_or("no basis")?)?;
    match plan.lacks_secret() {
        Some(_) => plan.completed_by(first),
        None => Ok(plan),
    }
}

/// Everything of a scope, with the answers that a plan depends on.
fn look(sim: &Sim, scope: &Scope, reads: &Reads) -> Snapshot {
    let mut snapshot = block(sim.observe(scope)).unwrap();
    snapshot.answers.extend(block(sim.inquire(&reads.questions())).unwrap());
    snapshot
}

/// The names of what moved.
fn moved(sim: &Sim, doc: &PlanDoc) -> Vec<String> {
    let basis = doc.basis.as_ref().unwrap();
    let moved = basis.reads.moved(&doc.stack, &look(sim, &basis.scope, &basis.reads));
    moved.iter().map(ToString::to_string).collect()
}

/// Changes an object as somebody at the console would.
fn meddle(sim: &Sim, object: &Object) {
    let name = |object: &mut Object| {
        object.tags.insert("Name".to_owned(), "changed by hand".to_owned());
    };
    assert!(sim.meddle(|world| world.meddle(&object.region, &object.id, name)), "{object:?}");
}

/// A kept plan comes to the same end as the plan, and stands on nothing that it does not need.
fn keeps(sim: &Arc<Sim>, stack: &Stack, checked: &mut usize) -> Result<(), String> {
    let (plan, snapshot) = plan_on(sim.as_ref(), stack, &policy());
    if !plan.refusals().is_empty() || plan.is_empty() {
        return Ok(());
    }
    let doc = keep(&plan, stack, &snapshot);
    let again = reread(&doc, &plan)?;
    if (again.steps().len(), again.graph().edges()) != (plan.steps().len(), plan.graph().edges()) {
        return Err(format!("another plan comes back\n{}\n{}", graph(&plan), graph(&again)));
    }
    let untouched = moved(sim, &doc);
    if !untouched.is_empty() {
        return Err(format!("nothing moved, and yet {untouched:#?}\n{}", graph(&plan)));
    }
    let basis = doc.basis.as_ref().unwrap();
    let read: BTreeSet<(&Region, _)> =
        basis.reads.objects.iter().map(|read| (&read.object.region, &read.object.id)).collect();
    let named: BTreeSet<(&Region, _)> = basis.reads.named.iter().map(|named| (&named.region, &named.id)).collect();
    // Each object moves once, in a world of its own.
    for object in snapshot.objects.iter().filter(|object| !object.region.is_hosts()) {
        let elsewhere = Sim::in_memory(sim.world());
        meddle(&elsewhere, object);
        let key = (&object.region, &object.id);
        let stale = moved(&elsewhere, &doc);
        if read.contains(&key) != stale.iter().any(|one| one.contains("tags.Name"))
            || read.contains(&key) == stale.is_empty()
        {
            return Err(format!("{}: {stale:#?}\n{}", object.id, graph(&plan)));
        }
        let gone = Sim::in_memory(sim.world());
        gone.meddle(|world| world.take(&object.region, &object.id));
        if (read.contains(&key) || named.contains(&key)) && moved(&gone, &doc).is_empty() {
            return Err(format!("{} is gone, and nobody notices\n{}", object.id, graph(&plan)));
        }
        *checked += 1;
    }
    // What it gives back does what the plan does.
    let twin = Arc::new(Sim::in_memory(sim.world()));
    block(twin.observe(&basis.scope)).unwrap();
    let outcome = apply_on(&twin, &again, 4);
    if !outcome.complete() {
        return Err(format!("{:#?}\n{}", trouble(&again, &outcome), graph(&again)));
    }
    let makes = plan.changes().iter().any(|change| change.verb != Verb::Release && change.verb != Verb::Unknown);
    if makes && moved(&twin, &doc).is_empty() {
        return Err(format!("it would be applied twice\n{}", graph(&plan)));
    }
    apply_on(sim, &plan, 4);
    if likeness(&twin.world(), stack) != likeness(&sim.world(), stack) {
        return Err(format!("it ends elsewhere\n{}", graph(&plan)));
    }
    Ok(())
}

#[test]
fn a_kept_plan_is_the_plan_and_is_stale_exactly_when_what_it_stands_on_moved() {
    let checked = std::cell::RefCell::new(0);
    run(cases(150), |tape| {
        let (first, second) = pair(tape);
        let sim = Arc::new(Sim::in_memory(world()));
        keeps(&sim, &first, &mut checked.borrow_mut())?;
        keeps(&sim, &second, &mut checked.borrow_mut())
    });
    assert!(*checked.borrow() > 500, "only {} objects were moved", checked.borrow());
}

#[test]
fn what_the_plan_does_not_read_may_change_as_it_likes() {
    run(cases(60), |tape| {
        let (first, second) = pair(tape);
        let sim = Arc::new(Sim::in_memory(world()));
        let (plan, _) = plan_on(sim.as_ref(), &first, &policy());
        apply_on(&sim, &plan, 4);
        let (plan, snapshot) = plan_on(sim.as_ref(), &second, &policy());
        let doc = keep(&plan, &second, &snapshot);
        // Somebody else's objects come, and those that nobody owns change.
        sim.meddle(|world| {
            let foreign: Vec<Object> = world.objects().filter(|object| object.owner().is_none()).cloned().collect();
            for object in foreign {
                world.meddle(&object.region, &object.id, |object| {
                    object.tags = Tags::from([("Name".to_owned(), "another team's".to_owned())]);
                });
            }
        });
        let named = doc.basis.as_ref().unwrap().reads.objects.iter().any(|read| read.object.owner().is_none());
        let moved = moved(&sim, &doc);
        if moved.is_empty() || named { Ok(()) } else { Err(format!("{moved:#?}\n{}", graph(&plan))) }
    });
}

#[test]
fn a_document_that_was_changed_is_no_plan() {
    let sim = Arc::new(Sim::in_memory(world()));
    let tape: Vec<u16> = (0..300).map(|number| number * 211).collect();
    let (stack, _) = pair(&tape);
    let (plan, snapshot) = plan_on(sim.as_ref(), &stack, &policy());
    let doc = keep(&plan, &stack, &snapshot);
    assert!(doc.is_whole() && !doc.steps.is_empty());
    let changes: [fn(&mut PlanDoc); 7] = [
        |doc| doc.steps.truncate(doc.steps.len() - 1),
        |doc| doc.tool_version.push('x'),
        |doc| doc.regions.clear(),
        |doc| doc.steps[0].call = serde_json::Value::Null,
        |doc| doc.basis.as_mut().unwrap().spec = "1".to_owned(),
        |doc| doc.basis.as_mut().unwrap().reads.stands.clear(),
        |doc| doc.summary.create += 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = doc.clone();
        change(&mut other);
        assert!(!other.is_whole(), "change {number} leaves the hash as it was");
    }
}

#[test]
fn a_document_that_no_planner_writes_is_refused() {
    let sim = Arc::new(Sim::in_memory(world()));
    let tape: Vec<u16> = (0..300).map(|number| number * 211).collect();
    let (stack, _) = pair(&tape);
    let (plan, snapshot) = plan_on(sim.as_ref(), &stack, &policy());
    let doc = keep(&plan, &stack, &snapshot);
    let refused = |change: &dyn Fn(&mut PlanDoc)| {
        let mut other = doc.clone();
        change(&mut other);
        restore::plan(&other, other.basis.as_ref().unwrap()).unwrap_err()
    };
    let wait = |step| document::WaitDoc { step, because: super::super::Because::SameObject, words: String::new() };
    assert_eq!(refused(&|doc| doc.steps[0].step = 2), "its steps are not numbered one by one");
    assert_eq!(refused(&|doc| doc.steps[0].after.push(wait(9999))), "#1 waits for #9999, and one of them is not there");
    assert_eq!(refused(&|doc| doc.steps[0].after.push(wait(0))), "step 1 waits for step 0, and steps count from 1");
    assert_eq!(refused(&|doc| doc.steps[0].after.push(wait(1))), "its steps wait for each other");
    assert!(refused(&|doc| doc.steps[0].timeout = None).ends_with("how long it may wait is not said"));
    assert!(refused(&|doc| doc.steps[0].rereads = true).ends_with("it reads an object again and names none"));
    assert!(refused(&|doc| doc.steps[0].call = serde_json::json!({ "moon": {} })).contains("unknown variant `moon`"));
}
