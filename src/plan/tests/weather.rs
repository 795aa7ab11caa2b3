//! Bad weather: what AWS answers late, refuses for a while, or loses, and what strangers do meanwhile. Whatever it was, the
//! others serve, the report names it, and the next apply makes it good.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use super::spec::{Lab, Resources, With, box_, front, group, stack};
use super::{apply_on, at, graph, here, owned, plan_on, policy};
use crate::apply::{Outcome, StepOutcome};
use crate::model::duration::Seconds;
use crate::model::id::ImageId;
use crate::model::{Address, CloudId, Kind, Reference, Region, Tags};
use crate::plan::Plan;
use crate::plan::policy::{Goal, Policy};
use crate::port::{Bindings, Class, Outputs, Provider, ProviderError, Scope};
use crate::provider::sim::Sim;
use crate::report::document;
use crate::report::outcome;
use crate::report::style::Style;
use crate::resources::instance::state::ImageChoice;
use crate::resources::load_balancer::state::{Listener, Protocol};
use crate::resources::registry::{Action, Body, Call, Desired, Object};
use crate::resources::snapshot::{Answer, Question, Snapshot};
use crate::resources::{instance, load_balancer};

mod ends;
mod members;
mod waits;

const FRONT: &str = "load_balancer.front";
const FAILED: &str = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively";

/// What happens as a call is about to be made; an error keeps it from being made.
type Hook = Box<dyn FnMut(&Call, &Sim) -> Result<(), ProviderError> + Send>;

/// The simulated world with something that happens as calls are made.
struct Hooked {
    sim: Arc<Sim>,
    hook: Mutex<Hook>,
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked").field("sim", &self.sim).finish_non_exhaustive()
    }
}

impl Provider for Hooked {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        self.sim.observe(scope).await
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        self.sim.inquire(questions).await
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        self.sim.reread(kind, region, id).await
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        (*self.hook.lock().unwrap())(call, &self.sim)?;
        self.sim.perform(call, known).await
    }
}

/// What an apply came to.
struct End {
    plan: Plan,
    outcome: Outcome,
}

impl End {
    /// The report's words on what was not done.
    fn report(&self) -> String {
        let doc = outcome::document(&self.plan, &self.outcome, document::World::Simulated, None);
        outcome::terminal(&doc, Style::Plain)
    }

    /// The one call that failed: what it does for whom, and why it did not.
    fn failure(&self) -> (String, &ProviderError) {
        let failed: Vec<(String, &ProviderError)> = self
            .outcome
            .steps
            .iter()
            .filter_map(|(id, end)| match end {
                StepOutcome::Failed(error) => {
                    let step = self.plan.step(*id).unwrap();
                    Some((format!("{} {}", step.call.at, step.title), error))
                }
                _ => None,
            })
            .collect();
        assert_eq!(failed.len(), 1, "{failed:#?}");
        failed.into_iter().next().unwrap()
    }

    /// What became of the calls of an address, in their order.
    fn calls(&self, address: &str) -> String {
        let words = |end: &StepOutcome| match end {
            StepOutcome::Done(_) => "done",
            StepOutcome::Failed(_) => "failed",
            StepOutcome::Skipped { .. } => "skipped",
            StepOutcome::Stale(_) | StepOutcome::Unknown(_) | StepOutcome::NotStarted => "other",
        };
        let mine = self.plan.steps().iter().filter(|step| step.call.at == at(address));
        let told: Vec<String> =
            mine.map(|step| format!("{} {}", step.title, words(&self.outcome.steps[&step.id]))).collect();
        told.join(", ")
    }
}

impl Lab {
    fn end(&self, stack: &crate::resources::stack::Stack, policy: &Policy, hook: Option<Hook>) -> End {
        let (plan, _) = plan_on(self.sim.as_ref(), stack, policy);
        assert_eq!(plan.refusals(), []);
        let outcome = match hook {
            None => apply_on(&self.sim, &plan, 4),
            Some(hook) => {
                let hooked = Arc::new(Hooked { sim: Arc::clone(&self.sim), hook: Mutex::new(hook) });
                apply_on(&hooked, &plan, 4)
            }
        };
        let world = self.sim.world();
        assert_eq!((world.audit(), world.breaches()), (Vec::new(), [].as_slice()));
        End { plan, outcome }
    }

    /// Applies what cannot be done to the end.
    fn in_part(&self, resources: &Resources, hook: Option<Hook>) -> End {
        let end = self.end(&stack(resources.clone()), &policy(), hook);
        assert!(!end.outcome.complete(), "{}", graph(&end.plan));
        assert!(end.report().starts_with("Applied in part: "), "{}", end.report());
        end
    }

    /// Applies once more, after which everything is as the spec says and everybody serves.
    fn made_good(&self, resources: &Resources) {
        self.apply(&stack(resources.clone()));
        let (id, body) = self.front();
        let serving = self.serving();
        assert_eq!(serving.len(), body.instances.len(), "{:?}", self.sim.world().health(&here(), &id));
        let wanted: BTreeSet<String> = resources
            .iter()
            .map(|(address, _)| (*address).to_owned())
            .filter(|address| address.starts_with("instance."))
            .collect();
        assert_eq!(
            serving.iter().map(|name| name.split('#').next().unwrap().to_owned()).collect::<BTreeSet<_>>(),
            wanted
        );
    }

    fn front(&self) -> (CloudId, load_balancer::Observed) {
        let world = self.sim.world();
        let found = world.objects().find_map(|object| match &object.body {
            Body::LoadBalancer(body) => Some((object.id.clone(), body.clone())),
            _ => None,
        });
        found.expect("the balancer")
    }

    /// Who is in service, by address and generation.
    fn serving(&self) -> BTreeSet<String> {
        let (id, _) = self.front();
        let health = self.sim.world().health(&here(), &id);
        health
            .into_iter()
            .filter(|(_, health)| health.in_service)
            .map(|(id, _)| self.named(id.as_str()))
            .map(|name| name.trim_matches(['<', '>']).to_owned())
            .collect()
    }

    fn id(&self, address: &str) -> CloudId {
        let world = self.sim.world();
        let found = world.objects().filter(|object| object.owner().is_some_and(|owner| owner.address == at(address)));
        found.max_by_key(|object| object.owner().unwrap().generation).expect("the object").id.clone()
    }
}

/// Members `web-0`… behind a balancer that lets one go at a time.
fn site(count: u32, edit: impl Fn(Desired) -> Desired) -> Resources {
    let names = ["instance.web-0", "instance.web-1", "instance.web-2", "instance.web-3"];
    let members: Vec<&'static str> = names.into_iter().take(usize::try_from(count).unwrap()).collect();
    let mut all: Resources =
        (0..count).zip(&members).map(|(index, name)| (*name, edit(box_().member("web", index, 1)))).collect();
    all.push((FRONT, front(&members)));
    all
}

fn same(want: Desired) -> Desired {
    want
}

fn image(which: &'static str) -> impl Fn(Desired) -> Desired {
    move |want| want.machine(|want| want.image = ImageChoice::Id(ImageId::new(which)))
}

fn larger(want: Desired) -> Desired {
    want.machine(|want| want.instance_type = "m5.large".to_owned())
}

/// The balancer of a site with something else about it.
fn edited(mut site: Resources, edit: impl Fn(&mut load_balancer::Desired)) -> Resources {
    let (_, want) = site.pop().unwrap();
    site.push((FRONT, want.front(edit)));
    site
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

/// Which calls of a balancer.
type Which = fn(&load_balancer::Action) -> bool;

/// Whether a call is one of these.
fn on_front(call: &Call, wanted: Which) -> bool {
    matches!(&call.action, Action::LoadBalancer(action) if wanted(action))
}

/// ELB answers that EC2 throttles it, the first time that such a call is made.
fn throttled(wanted: Which) -> Hook {
    let mut once = true;
    Box::new(move |call, _| {
        if !once || !on_front(call, wanted) {
            return Ok(());
        }
        once = false;
        let error =
            ProviderError::new(Class::Throttled, "asking ELB", "EC2 throttles Elastic Load Balancing on your quota");
        Err(error.code("DependencyThrottle"))
    })
}

#[test]
fn a_throttled_call_fails_and_the_next_apply_makes_it() {
    use load_balancer::Action as On;
    let calls: [(Which, &str); 5] = [
        (|action| matches!(action, On::Create(_)), "create"),
        (|action| matches!(action, On::SetHealthCheck(_)), "set health check"),
        (|action| matches!(action, On::SetAttributes(_)), "set attributes"),
        (|action| matches!(action, On::Register(_)), "register"),
        (|action| matches!(action, On::AwaitInService(_)), "await in service"),
    ];
    for (wanted, title) in calls {
        let lab = Lab::new();
        let mut wished = site(2, same);
        wished.push(("security_group.other", group()));
        let end = lab.in_part(&wished, Some(throttled(wanted)));
        let (call, error) = end.failure();
        assert_eq!((call, error.class), (format!("load_balancer.front {title}"), Class::Throttled));
        assert!(end.report().contains("(DependencyThrottle)"), "{}", end.report());
        assert_eq!(end.calls("instance.web-1"), "run done, await running done");
        assert_eq!(end.calls("security_group.other"), "create done");
        lab.apply(&stack(wished));
        assert_eq!(lab.front().1.instances.len(), 2, "{title}");
    }
}

#[test]
fn a_throttled_call_in_a_roll_takes_nobody_out() {
    use load_balancer::Action as On;
    const NOT_BEGUN: &str = "run skipped, await running skipped, terminate skipped, await terminated skipped";
    const DONE: &str = "run done, await running done, terminate done, await terminated done";
    let calls: [(Which, &str, usize); 4] = [
        (|action| matches!(action, On::Register(_)), NOT_BEGUN, 4),
        (|action| matches!(action, On::AwaitInService(_)), NOT_BEGUN, 4),
        // The one that was made serves beside the four as long as none of them may leave.
        (|action| matches!(action, On::Deregister { .. }), NOT_BEGUN, 5),
        (|action| matches!(action, On::AwaitDrained(_)), DONE, 4),
    ];
    for (wanted, last, serving) in calls {
        let lab = Lab::with(site(4, image("ami-00000001")));
        let wished = site(4, image("ami-00000002"));
        let end = lab.in_part(&wished, Some(throttled(wanted)));
        let (call, error) = end.failure();
        assert_eq!(error.code.as_deref(), Some("DependencyThrottle"));
        assert_eq!(lab.serving().len(), serving, "{call}");
        assert_eq!(end.calls("instance.web-3"), last, "{call}");
        lab.made_good(&wished);
    }
}
