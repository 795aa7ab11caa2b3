//! Plans with something wrong about them: an edge that is not there, a call that is left out. The rehearsal finds each, and
//! shows the order that leads there.

use crate::model::id::ImageId;
use crate::plan::graph::Graph;
use crate::plan::policy::{Consent, Policy};
use crate::plan::rehearsed::{Rehearsal, Trouble, Verdict};
use crate::plan::tests::doors::{gate, public, site};
use crate::plan::tests::spec::{Lab, Resources, With, box_, eip, from_group, front, group, net};
use crate::plan::tests::{plan_on, policy};
use crate::plan::{Because, Edge, Plan, Step};
use crate::rehearsal::rehearse;
use crate::resources::RefusalKind;
use crate::resources::instance::state::ImageChoice;
use crate::resources::registry::Desired;
use crate::resources::snapshot::Snapshot;
use crate::resources::stack::Stack;

/// A change of a stack, its plan, and what the plan was made from.
struct Case {
    stack: Stack,
    plan: Plan,
    snapshot: Snapshot,
}

impl Case {
    fn new(before: Resources, after: Resources) -> Self {
        let lab = Lab::new();
        lab.apply(&site(before));
        let stack = site(after);
        let (plan, snapshot) = plan_on(lab.sim.as_ref(), &stack, &policy());
        assert_eq!(plan.refusals(), []);
        Self { stack, plan, snapshot }
    }

    /// The same without some waits; there is no other way round them.
    fn without(mut self, gone: impl Fn(&Step, &Step, &Because) -> bool) -> Self {
        let all = self.plan.graph.edges().len();
        let step = |id| self.plan.step(id).unwrap();
        let stays = |edge: &&Edge| !gone(step(edge.from), step(edge.to), &edge.because);
        let edges = self.plan.graph.edges().iter().filter(stays).cloned().collect();
        let (graph, given_up) = Graph::order(self.plan.steps.len(), edges).unwrap();
        assert!(graph.edges().len() < all && given_up.is_empty());
        self.plan.graph = graph;
        self
    }

    fn rehearse_by(&self, policy: &Policy) -> Rehearsal {
        rehearse(&self.stack, &self.snapshot, policy, false, &self.plan).unwrap()
    }

    /// What the plan is refused for, after it was found to be good as it was.
    #[track_caller]
    fn finds(mut self, trouble: Trouble) -> String {
        let rehearsal = self.rehearse_by(&policy());
        assert_eq!(rehearsal.verdict, Verdict::Unsound, "{rehearsal:#?}\n{}", super::graph(&self.plan));
        let finding = rehearsal.findings.iter().find(|finding| finding.trouble == trouble);
        let finding = finding.unwrap_or_else(|| panic!("{rehearsal:#?}\n{}", super::graph(&self.plan))).clone();
        let order: String =
            finding.steps.iter().map(|number| format!("; {}", self.plan.steps[number - 1].words())).collect();
        self.plan.rehearsed(rehearsal);
        assert!(self.plan.refusals().iter().all(|refusal| refusal.kind == RefusalKind::Rehearsal));
        assert!(!self.plan.refusals().is_empty());
        format!("{}{order}", finding.message)
    }

    /// The plan as it is, which is good.
    #[track_caller]
    fn good(self) -> Self {
        let rehearsal = self.rehearse_by(&policy());
        assert_eq!(
            (rehearsal.verdict, rehearsal.findings),
            (Verdict::Sound, Vec::new()),
            "{}",
            super::graph(&self.plan)
        );
        self
    }
}

fn image(want: Desired) -> Desired {
    want.machine(|want| want.image = ImageChoice::Id(ImageId::new("ami-00000002")))
}

fn does(step: &Step, title: &str, address: &str) -> bool {
    step.title == title && step.call.at.to_string() == address
}

#[test]
fn a_rule_that_goes_before_its_successor_is_there() {
    let stack = |from| -> Resources {
        vec![
            ("security_group.web", group().ingress(22, net(from))),
            ("instance.a", box_().groups(&["security_group.web"])),
        ]
    };
    let case = Case::new(stack("10.0.0.0/8"), stack("10.1.0.0/16")).good();
    let found = case.without(|_, to, _| to.title == "revoke ingress").finds(Trouble::Cut);
    assert!(found.starts_with("tcp 22 from 10.1.0.0/16 to instance.a (i-"), "{found}");
    assert!(found.ends_with("is closed, which both start and end allow; revoke ingress security_group.web"), "{found}");
}

fn regrouped() -> Case {
    let stack = |of: &'static str, open: bool| -> Resources {
        let a = if open { group().ingress(22, net("0.0.0.0/0")) } else { group() };
        vec![("security_group.a", a), ("security_group.b", group()), ("instance.x", box_().groups(&[of]))]
    };
    Case::new(stack("security_group.a", false), stack("security_group.b", true)).good()
}

#[test]
fn a_group_that_opens_before_a_member_leaves() {
    let case = regrouped().without(|_, _, because| matches!(because, Because::LeaveFirst(_)));
    let accepting = Policy { exposure: Consent::Given, ..policy() };
    let accepted = case.rehearse_by(&accepting);
    assert_eq!((accepted.verdict, accepted.findings[0].accepted), (Verdict::Sound, true));
    let found = case.finds(Trouble::Exposed);
    assert!(found.starts_with("tcp 22 from 0.0.0.0/0 to instance.x (i-"), "{found}");
    assert!(
        found.ends_with("is open, which neither start nor end allows; authorize ingress security_group.a"),
        "{found}"
    );
}

#[test]
fn a_group_that_is_replaced_under_a_machine_that_talks() {
    let stack = |about: &'static str| -> Resources {
        vec![
            ("security_group.web", group().group(|want| want.description = about.to_owned())),
            ("security_group.db", group().ingress(5432, from_group("security_group.web"))),
            ("instance.web", box_().groups(&["security_group.web"])),
            ("instance.db", box_().groups(&["security_group.db"])),
        ]
    };
    let case = || Case::new(stack("one"), stack("two")).good();
    let early = case().without(|_, to, _| does(to, "revoke ingress", "security_group.db"));
    assert!(early.finds(Trouble::Cut).starts_with("tcp 5432 from instance.web"));
    let late = case().without(|from, _, _| does(from, "authorize ingress", "security_group.db"));
    assert!(late.finds(Trouble::Cut).starts_with("tcp 5432 from "));
}

fn behind_a_balancer() -> Case {
    let stack = |edit: fn(Desired) -> Desired| -> Resources {
        vec![
            ("instance.a", edit(box_())),
            ("load_balancer.front", front(&["instance.a"]).front(|want| want.min_healthy = 1)),
        ]
    };
    Case::new(stack(|want| want), stack(image)).good()
}

#[test]
fn a_member_that_leaves_before_another_serves() {
    let case = behind_a_balancer()
        .without(|_, to, because| to.title == "deregister" && !matches!(because, Because::SameObject));
    let found = case.finds(Trouble::Stuck);
    assert!(found.contains("0 members are in service") && found.contains("deregister load_balancer.front"), "{found}");
}

#[test]
fn a_member_that_ends_before_it_has_left() {
    let case = behind_a_balancer().without(|_, to, _| does(to, "terminate", "instance.a"));
    let found = case.finds(Trouble::Broken);
    assert!(found.starts_with("ec2:TerminateInstances for `instance.a` took `i-"), "{found}");
    assert!(found.ends_with("terminate instance.a"), "{found}");
}

#[test]
fn an_address_whose_machine_ends_before_it_moves() {
    let stack = |edit: fn(Desired) -> Desired| -> Resources {
        vec![("instance.a", edit(box_())), ("elastic_ip.e", eip(Some("instance.a")))]
    };
    let case = Case::new(stack(|want| want), stack(image)).good();
    let found = case.without(|_, to, _| does(to, "terminate", "instance.a")).finds(Trouble::Loose);
    assert!(found.starts_with("nobody answers on elastic_ip.e (eipalloc-"), "{found}");
    assert!(found.ends_with("terminate instance.a"), "{found}");
}

#[test]
fn an_address_that_pushes_another_out_before_it_moves() {
    let stack = |one: &'static str, two: Option<&'static str>| -> Resources {
        vec![
            ("instance.a", box_()),
            ("instance.b", box_()),
            ("elastic_ip.one", eip(Some(one))),
            ("elastic_ip.two", eip(two)),
        ]
    };
    let case = Case::new(stack("instance.a", None), stack("instance.b", Some("instance.a"))).good();
    let found = case.without(|_, to, _| does(to, "associate", "elastic_ip.two")).finds(Trouble::Loose);
    assert!(
        found.starts_with("nobody answers on elastic_ip.one (") && found.ends_with("associate elastic_ip.two"),
        "{found}"
    );
}

#[test]
fn a_door_that_is_shut_after_the_address_went() {
    let stack = |gone: bool| -> Resources {
        let from = if gone { Vec::new() } else { vec![public("elastic_ip.e")] };
        let mut all = vec![("host_firewall.gw", gate(from))];
        all.extend((!gone).then(|| ("elastic_ip.e", eip(None))));
        all
    };
    let case = Case::new(stack(false), stack(true)).good();
    let found = case.without(|_, to, _| does(to, "release", "elastic_ip.e")).finds(Trouble::Broken);
    assert!(found.contains("while host `root@gw.example.com` still lets it in; release elastic_ip.e"), "{found}");
}

#[test]
fn a_machine_that_boots_before_its_group_is_there() {
    let after: Resources =
        vec![("security_group.web", group()), ("instance.a", box_().groups(&["security_group.web"]))];
    let found = Case::new(Vec::new(), after).good().without(|_, to, _| to.title == "run").finds(Trouble::Stuck);
    assert!(found.starts_with("run instance.a: `security_group.web (new)` was not made"), "{found}");
}

#[test]
fn a_group_that_goes_before_its_member() {
    let before: Resources =
        vec![("security_group.web", group()), ("instance.a", box_().groups(&["security_group.web"]))];
    let case = Case::new(before, Vec::new());
    let found = case.without(|_, to, _| does(to, "delete", "security_group.web")).finds(Trouble::Stuck);
    assert!(found.contains("is held by `i-"), "{found}");
}

#[test]
fn a_call_that_is_left_out() {
    let stack = |port| -> Resources { vec![("security_group.web", group().ingress(port, net("10.0.0.0/8")))] };
    let mut case = Case::new(stack(22), stack(23)).good();
    let last = case.plan.steps.pop().unwrap();
    assert_eq!(last.title, "revoke ingress");
    case.plan.graph = Graph::order(case.plan.steps.len(), std::collections::BTreeSet::new()).unwrap().0;
    let found = case.finds(Trouble::Unfinished);
    assert_eq!(found, "a second plan would still change security_group.web (ingress)");
}
