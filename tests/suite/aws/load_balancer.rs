//! Load balancers: what a client must bear of Classic Load Balancing.

use std::collections::BTreeMap;

use portcullis::model::{CloudId, Link};
use portcullis::resources::load_balancer::action::Create;
use portcullis::resources::load_balancer::state::{Listener, Protocol, Scheme};
use portcullis::resources::load_balancer::{self, Action as Of};
use portcullis::resources::registry::Body;
use portcullis::resources::snapshot::Answer;

use super::*;

const AT: &str = "load_balancer.a";

fn listener(port: u16) -> BTreeMap<u16, Listener> {
    let (protocol, instance_protocol) = (Protocol::Http, Protocol::Http);
    let (certificate, ssl_policy, stickiness) = (None, None, None);
    let of = Listener { protocol, instance_port: 8000, instance_protocol, certificate, ssl_policy, stickiness };
    [(port, of)].into()
}

impl Corner {
    pub(super) async fn balancer(&self) -> Call {
        self.balancer_called("faulty-a-1").await
    }

    async fn balancer_called(&self, name: &str) -> Call {
        let snapshot = self.observe().await.expect("listed");
        let subnet = snapshot.facts[&self.region].subnets.iter().find(|one| one.default).expect("a subnet").clone();
        let create = Create {
            name: name.to_owned(),
            scheme: Scheme::InternetFacing,
            subnets: [subnet.id].into(),
            security_groups: Vec::new(),
            listeners: listener(80),
            tags: self.tags(AT),
        };
        self.call(AT, Action::LoadBalancer(Of::Create(Box::new(create))))
    }

    fn on(&self, action: Of, seconds: u64) -> Call {
        Call { timeout: Seconds(seconds), ..self.call(AT, Action::LoadBalancer(action)) }
    }

    /// So many running instances behind a balancer.
    async fn with_members(&self, count: usize) -> (Vec<CloudId>, Bindings) {
        let (balancer, run, mut known) = (self.balancer().await, self.run().await, Bindings::default());
        known.bind(&balancer.at, self.perform(&balancer, &known).await.expect("made"));
        let mut ids = Vec::new();
        for number in 0..count {
            let mut call = run.clone();
            if let Action::Instance(instance::Action::Run(run)) = &mut call.action {
                run.token_seed = format!("seed {number}");
            }
            let outputs = self.perform(&call, &known).await.expect("launched");
            ids.push(CloudId::new(outputs[&Output::Id].as_str()));
        }
        self.perform(&self.on(Of::Register(links(&ids)), 60), &known).await.expect("registered");
        self.perform(&self.on(Of::AwaitInService(links(&ids)), 60), &known).await.expect("serving");
        (ids, known)
    }

    async fn registered(&self) -> BTreeSet<CloudId> {
        let objects = self.observe().await.expect("listed").objects;
        let balancer = objects.into_iter().find(|object| object.kind() == Kind::LoadBalancer).expect("a balancer");
        let Body::LoadBalancer(body) = balancer.body else { panic!("{balancer:?}") };
        body.instances
    }
}

fn links(ids: &[CloudId]) -> Vec<Link> {
    ids.iter().cloned().map(Link::Existing).collect()
}

fn leave(id: &CloudId, keep: u32) -> Of {
    Of::Deregister { instances: [id.clone()].into(), keep }
}

#[tokio::test]
async fn balancers_cost_a_page_tags_by_the_twenty_and_one_call_each() {
    let corner = corner("me-south-1").await;
    for number in 0..23 {
        let call = corner.balancer_called(&format!("faulty-{number}")).await;
        corner.perform(&call, &Bindings::default()).await.expect("made");
    }
    corner.proxy.count();
    assert_eq!(corner.count(Kind::LoadBalancer).await, 23);
    let calls = corner.proxy.count();
    let of = |api: &str| calls.get(api).copied().unwrap_or(0);
    let costs = ["DescribeLoadBalancers", "DescribeTags", "DescribeLoadBalancerAttributes"].map(of);
    assert_eq!((costs, of("DescribeLoadBalancerPolicies"), of("DescribeInstanceHealth")), ([1, 2, 23], 0, 0));
}

#[tokio::test]
async fn health_is_told_where_it_is_asked_for() {
    let corner = corner("me-central-1").await;
    let (ids, none) = (corner.with_members(2).await.0, Bindings::default());
    let stop = Call { on: Some(ids[0].clone()), ..corner.call("instance.a", Action::Instance(instance::Action::Stop)) };
    corner.perform(&stop, &none).await.expect("stopped");
    let regions = BTreeSet::from([corner.region.clone()]);
    let stack = corner.stack.clone();
    let scope = Scope {
        stack,
        regions,
        all_regions: false,
        named: BTreeSet::new(),
        reads: portcullis::resources::Read::ALL.into(),
        fleet: BTreeSet::new(),
        hosts: std::collections::BTreeMap::new(),
    };
    let objects = corner.aws.observe(&scope).await.expect("listed").objects;
    let health = objects.iter().find_map(|object| match &object.body {
        Body::LoadBalancer(body) => Some(&body.health),
        _ => None,
    });
    let told: Vec<(bool, &str)> = ids
        .iter()
        .map(|id| &health.expect("a balancer")[id])
        .map(|one| (one.in_service, one.reason.as_str()))
        .collect();
    assert_eq!(told, [(false, "Instance is in stopped state"), (true, "")]);
}

#[tokio::test]
async fn those_who_leave_at_once_do_not_count_on_each_other() {
    let corner = corner("af-south-1").await;
    let (ids, known) = corner.with_members(3).await;
    // Each of the two would be right alone: two others serve.
    let calls = [corner.on(leave(&ids[0], 2), 2), corner.on(leave(&ids[1], 2), 2)];
    let (first, second) = tokio::join!(corner.perform(&calls[0], &known), corner.perform(&calls[1], &known));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let error = first.err().or(second.err()).expect("one is refused");
    assert_eq!(error.class, Class::TimedOut);
    assert_eq!(error.detail, "1 other is in service, and 2 must be: there are no more");
    assert_eq!(corner.registered().await.len(), 2);
}

#[tokio::test]
async fn who_does_not_serve_is_named_with_the_reason() {
    let corner = corner("ap-east-1").await;
    let (ids, known) = corner.with_members(2).await;
    let stop = Call { on: Some(ids[0].clone()), ..corner.call("instance.a", Action::Instance(instance::Action::Stop)) };
    corner.perform(&stop, &known).await.expect("stopped");
    let error = corner.perform(&corner.on(Of::AwaitInService(links(&ids)), 2), &known).await.expect_err("one is down");
    assert_eq!((error.class, error.hint.is_some()), (Class::TimedOut, true));
    let why = format!("not all are in service when the time is over: `{}`: Instance is in stopped state", ids[0]);
    assert_eq!(error.detail, why);
    let error = corner.perform(&corner.on(leave(&ids[1], 1), 2), &known).await.expect_err("nobody else serves");
    let why = format!("0 others are in service, and 1 must be: `{}`: Instance is in stopped state", ids[0]);
    assert_eq!((error.class, error.detail), (Class::TimedOut, why));
    assert_eq!(corner.registered().await.len(), 2);
}

#[tokio::test]
async fn those_who_wait_at_one_balancer_share_a_look() {
    let corner = corner("ap-southeast-2").await;
    let (ids, known) = corner.with_members(3).await;
    corner.proxy.count();
    let waits: Vec<Call> =
        ids.iter().map(|id| corner.on(Of::AwaitInService(vec![Link::Existing(id.clone())]), 60)).collect();
    let (a, b, c) = tokio::join!(
        corner.perform(&waits[0], &known),
        corner.perform(&waits[1], &known),
        corner.perform(&waits[2], &known),
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok(), "{a:?} {b:?} {c:?}");
    let looks = corner.proxy.seen("DescribeInstanceHealth");
    assert!(looks < 3, "{looks} looks for three");
}

#[tokio::test]
async fn a_certificate_that_was_uploaded_a_moment_ago_is_waited_for() {
    let corner = corner("ap-southeast-3").await;
    let (balancer, mut known) = (corner.balancer().await, Bindings::default());
    corner.proxy.fault("CreateLoadBalancer", Fault::Refused(400, "CertificateNotFound"));
    known.bind(&balancer.at, corner.perform(&balancer, &known).await.expect("made at last"));
    corner.proxy.fault("CreateLoadBalancerListeners", Fault::Refused(400, "CertificateNotFound"));
    corner.perform(&corner.on(Of::AddListeners(listener(81)), 60), &known).await.expect("made at last");
    for _ in 0..20 {
        corner.proxy.fault("SetLoadBalancerListenerSSLCertificate", Fault::Refused(400, "CertificateNotFound"));
    }
    let set = Of::SetCertificate { port: 80, certificate: "arn:aws:iam::123456789012:server-certificate/x".to_owned() };
    let error = corner.perform(&corner.on(set, 2), &known).await.expect_err("it is not there");
    assert_eq!((error.class, error.code.as_deref()), (Class::NotFound, Some("CertificateNotFound")));
    assert!(error.doing.starts_with("elasticloadbalancing:SetLoadBalancerListenerSSLCertificate in"), "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("ACM")));
}

#[tokio::test]
async fn an_instance_that_is_not_known_everywhere_yet_is_registered_at_last() {
    let corner = corner("il-central-1").await;
    let (ids, known) = corner.with_members(1).await;
    corner.proxy.fault("RegisterInstancesWithLoadBalancer", Fault::Refused(400, "InvalidInstance"));
    corner.perform(&corner.on(Of::Register(links(&ids)), 60), &known).await.expect("registered at last");
    // Taken out together they would stay, where one of them is not known any more.
    corner.proxy.fault("DeregisterInstancesFromLoadBalancer", Fault::Refused(400, "InvalidInstance"));
    corner.perform(&corner.on(leave(&ids[0], 0), 60), &known).await.expect("taken out");
    assert!(corner.registered().await.is_empty());
}

#[tokio::test]
async fn only_a_port_that_was_given_up_is_waited_for() {
    let corner = corner("ap-southeast-4").await;
    let (balancer, mut known) = (corner.balancer().await, Bindings::default());
    known.bind(&balancer.at, corner.perform(&balancer, &known).await.expect("made"));
    let add = corner.on(Of::AddListeners(listener(81)), 60);
    corner.proxy.fault("CreateLoadBalancerListeners", Fault::Refused(400, "DuplicateListener"));
    let error = corner.perform(&add, &known).await.expect_err("another has it");
    assert_eq!((error.class, corner.proxy.seen("CreateLoadBalancerListeners")), (Class::AlreadyExists, 1));
    corner.perform(&add, &known).await.expect("free");
    corner.perform(&corner.on(Of::RemoveListeners([81].into()), 60), &known).await.expect("given up");
    corner.proxy.fault("CreateLoadBalancerListeners", Fault::Refused(400, "DuplicateListener"));
    corner.perform(&add, &known).await.expect("free at last");
    assert_eq!(corner.proxy.seen("CreateLoadBalancerListeners"), 4);
}

#[tokio::test]
async fn a_missing_permission_of_load_balancing_is_named() {
    let corner = corner("ap-northeast-2").await;
    let (balancer, none) = (corner.balancer().await, Bindings::default());
    corner.proxy.fault("CreateLoadBalancer", Fault::Refused(403, "AccessDenied"));
    let error = corner.perform(&balancer, &none).await.expect_err("refused");
    assert_eq!(error.doing, "elasticloadbalancing:CreateLoadBalancer in ap-northeast-2");
    let hint = "allow the IAM action `elasticloadbalancing:CreateLoadBalancer` for these credentials";
    assert_eq!((error.class, error.hint.as_deref()), (Class::Denied, Some(hint)));
    assert_eq!(error.request_id.as_deref(), Some("7a62c49f-347e-4fc4-9331-6e8eEXAMPLE"));
}

#[tokio::test]
async fn interfaces_that_a_balancer_left_behind_hold_nothing() {
    let corner = corner("eu-south-2").await;
    let (group, mut known) = (corner.create_group().await, Bindings::default());
    known.bind(&group.at, corner.perform(&group, &known).await.expect("made"));
    let id = known.id(&Link::Planned(group.at.clone())).expect("made");
    let mut balancer = corner.balancer().await;
    if let Action::LoadBalancer(Of::Create(create)) = &mut balancer.action {
        create.security_groups = vec![Link::Existing(id.clone())];
    }
    known.bind(&balancer.at, corner.perform(&balancer, &known).await.expect("made"));
    let question = Question::Holders { kind: Kind::SecurityGroup, region: corner.region.clone(), id };
    let asked = BTreeSet::from([question.clone()]);
    let holders = async || match corner.aws.inquire(&asked).await.expect("answered").remove(&question) {
        Some(Answer::Holders(holders)) => holders,
        other => panic!("{other:?}"),
    };
    let there = holders().await;
    assert_eq!(there.len(), 1);
    assert_eq!(there[0].what, "network interface of load balancer faulty-a-1");
    assert_eq!(there[0].object, Some(load_balancer::id(&corner.region, "faulty-a-1")));
    // Its balancer is not listed any more.
    corner.proxy.fault("DescribeLoadBalancers", Fault::Refused(400, "LoadBalancerNotFound"));
    assert_eq!(holders().await, []);
}
