//! The real SDK path, against moto: the contract, and what a client must bear.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use portcullis::model::duration::Seconds;
use portcullis::model::id::ImageId;
use portcullis::model::{AccountId, Kind, Output, Owner, Region, StackName, Tags};
use portcullis::port::{Bindings, Class, Outputs, Provider, ProviderError, Scope};
use portcullis::provider::aws::Aws;
use portcullis::resources::registry::{Action, Call};
use portcullis::resources::snapshot::{Question, Snapshot};
use portcullis::resources::{Read, elastic_ip, instance, key_pair, security_group};

use crate::contract::{Place, Subject, address, contract};
use crate::support::moto;
use crate::support::proxy::{Fault, Proxy};

mod fleet;
mod holders;
mod load_balancer;

/// One test's own corner: a region, a stack, and a proxy of its own.
struct Corner {
    aws: Aws,
    proxy: Proxy,
    region: Region,
    stack: StackName,
}

async fn corner(region: &str) -> Corner {
    let proxy = Proxy::before(moto::port()).await;
    let aws = moto::aws(proxy.port, region).await;
    Corner { aws, proxy, region: moto::region(region), stack: StackName::new("faulty").expect("a stack") }
}

impl Corner {
    fn tags(&self, at: &str) -> Tags {
        Owner { stack: self.stack.to_string(), address: address(at), generation: 1, origin: None }.tags()
    }

    fn call(&self, at: &str, action: Action) -> Call {
        Call { at: address(at), region: self.region.clone(), on: None, action, timeout: Seconds(60) }
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        self.aws.perform(call, known).await
    }

    async fn observe(&self) -> Result<Snapshot, ProviderError> {
        let regions = BTreeSet::from([self.region.clone()]);
        let scope = Scope {
            stack: self.stack.clone(),
            regions,
            all_regions: false,
            named: BTreeSet::new(),
            reads: [Read::Vpcs, Read::Volumes].into(),
            fleet: BTreeSet::new(),
            hosts: std::collections::BTreeMap::new(),
        };
        self.aws.observe(&scope).await
    }

    async fn create_group(&self) -> Call {
        let snapshot = self.observe().await.expect("listed");
        let vpc = snapshot.facts[&self.region].vpcs.iter().find(|vpc| vpc.default).expect("a VPC").id.clone();
        let (name, tags) = ("faulty-a-1".to_owned(), self.tags("security_group.a"));
        let create = security_group::Action::Create { name, description: "a".to_owned(), vpc, tags };
        self.call("security_group.a", Action::SecurityGroup(create))
    }

    fn allocate(&self) -> Call {
        let tags = self.tags("elastic_ip.a");
        let allocate = elastic_ip::Action::Allocate { pool: None, border_group: None, tags };
        self.call("elastic_ip.a", Action::ElasticIp(allocate))
    }

    fn import(&self) -> Call {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl".to_owned();
        let tags = self.tags("key_pair.a");
        let import = key_pair::Action::Import { name: "faulty-key-1".to_owned(), public_key: key, tags };
        self.call("key_pair.a", Action::KeyPair(import))
    }

    async fn run(&self) -> Call {
        use instance::action::Run;
        use instance::state::{Metadata, MetadataService, Shutdown};
        let snapshot = self.observe().await.expect("listed");
        let subnet = snapshot.facts[&self.region].subnets.iter().find(|one| one.default).expect("a subnet").clone();
        let run = Run {
            image: image(),
            instance_type: "t3.small".to_owned(),
            subnet: subnet.id,
            zone: subnet.zone,
            security_groups: Vec::new(),
            key: None,
            iam_profile: None,
            public_ip: None,
            private_ip: None,
            user_data: None,
            root: None,
            metadata: Metadata { service: MetadataService::V2, hops: 1 },
            detailed_monitoring: false,
            shutdown: Shutdown::Stop,
            tenancy: None,
            placement_group: None,
            termination_protection: false,
            tags: self.tags("instance.a"),
            token_seed: "seed".to_owned(),
        };
        self.call("instance.a", Action::Instance(instance::Action::Run(Box::new(run))))
    }

    async fn count(&self, kind: Kind) -> usize {
        self.observe().await.expect("listed").objects.iter().filter(|object| object.kind() == kind).count()
    }
}

/// An image that moto has in every region.
fn image() -> ImageId {
    ImageId::new("ami-12c6146b")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_on_moto() {
    let proxy = Proxy::before(moto::port()).await;
    let region = moto::region("eu-west-1");
    let aws = moto::aws(proxy.port, region.as_str()).await;
    let place = Place { subject: Subject::Moto, region, image: image(), prefix: "story".to_owned() };
    contract(&aws, &place).await;
}

#[tokio::test]
async fn the_account_is_guarded() {
    let aws = moto::aws(moto::port(), "eu-west-1").await;
    assert_eq!((aws.account().as_str(), aws.region().as_str()), ("123456789012", "eu-west-1"));
    let other = AccountId::new("999999999999").expect("an account");
    let error = moto::connect(moto::port(), "eu-west-1", Some(other)).await.expect_err("another account");
    assert_eq!(error.class, Class::Denied);
    assert!(error.detail.contains("123456789012") && error.detail.contains("999999999999"), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port").port();
    let error = moto::connect(free, "eu-west-1", None).await.expect_err("nobody is there");
    assert_eq!((error.class, error.ambiguous), (Class::Transient, false), "{error:?}");
    assert!(
        error.to_string().starts_with("sts:GetCallerIdentity in eu-west-1: the endpoint cannot be reached"),
        "{error}"
    );
    assert!(error.hint.is_some_and(|hint| hint.contains("AWS_ENDPOINT_URL")));
}

#[tokio::test]
async fn lost_replies_leave_one_object_each() {
    let corner = corner("eu-west-2").await;
    let (none, group, run) = (Bindings::default(), corner.create_group().await, corner.run().await);
    for (api, fault) in [
        ("CreateSecurityGroup", Fault::LostReply),
        ("RunInstances", Fault::LostReply),
        ("AllocateAddress", Fault::LostReply),
        ("ImportKeyPair", Fault::LostReply),
        ("CreateLoadBalancer", Fault::LostReply),
    ] {
        corner.proxy.fault(api, fault);
    }
    let balancer = corner.balancer().await;
    for call in [&group, &run, &corner.allocate(), &corner.import(), &balancer] {
        let outputs = corner.perform(call, &none).await.expect("recovered");
        assert!(outputs.contains_key(&Output::Id));
    }
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::HostFirewall) {
        assert_eq!(corner.count(kind).await, 1, "{kind}");
    }
    assert_eq!(corner.proxy.seen("AllocateAddress"), 1);
    assert_eq!(corner.proxy.seen("RunInstances"), 2);
}

#[tokio::test]
async fn torn_answers_leave_one_object_each() {
    let corner = corner("eu-west-3").await;
    let (none, group, run) = (Bindings::default(), corner.create_group().await, corner.run().await);
    for api in ["CreateSecurityGroup", "RunInstances", "AllocateAddress", "ImportKeyPair", "CreateLoadBalancer"] {
        corner.proxy.fault(api, Fault::Torn);
    }
    let balancer = corner.balancer().await;
    for call in [&group, &run, &corner.allocate(), &corner.import(), &balancer] {
        corner.perform(call, &none).await.expect("recovered");
    }
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::HostFirewall) {
        assert_eq!(corner.count(kind).await, 1, "{kind}");
    }
}

#[tokio::test]
async fn a_lost_request_is_sent_again() {
    let corner = corner("eu-central-1").await;
    let none = Bindings::default();
    let (group, run) = (corner.create_group().await, corner.run().await);
    for api in ["CreateSecurityGroup", "RunInstances", "ImportKeyPair"] {
        corner.proxy.fault(api, Fault::LostRequest);
    }
    for call in [&group, &run, &corner.import()] {
        corner.perform(call, &none).await.expect("sent again");
    }
    assert_eq!(corner.observe().await.expect("listed").objects.len(), 3);
}

#[tokio::test]
async fn an_address_is_allocated_again_only_after_looking() {
    let corner = corner("eu-north-1").await;
    corner.proxy.fault("AllocateAddress", Fault::LostRequest);
    let start = Instant::now();
    corner.perform(&corner.allocate(), &Bindings::default()).await.expect("allocated");
    assert!(start.elapsed() > Duration::from_secs(15), "it waits out what listings may lag");
    assert_eq!(corner.proxy.seen("AllocateAddress"), 2);
    assert_eq!(corner.count(Kind::ElasticIp).await, 1);
}

#[tokio::test]
async fn throttling_heals() {
    let corner = corner("us-east-1").await;
    let group = corner.create_group().await;
    for api in ["CreateSecurityGroup", "CreateSecurityGroup", "AllocateAddress", "DescribeInstances"] {
        corner.proxy.fault(api, Fault::Throttled);
    }
    corner.perform(&group, &Bindings::default()).await.expect("healed");
    corner.perform(&corner.allocate(), &Bindings::default()).await.expect("healed");
    assert_eq!(corner.observe().await.expect("healed").objects.len(), 2);
    assert_eq!((corner.proxy.seen("CreateSecurityGroup"), corner.proxy.seen("AllocateAddress")), (3, 2));
}

#[tokio::test]
async fn a_page_of_html_is_an_error_and_no_crash() {
    let corner = corner("us-east-2").await;
    for _ in 0..5 {
        corner.proxy.fault("DescribeSecurityGroups", Fault::Html);
    }
    let error = corner.observe().await.expect_err("it never answers");
    assert_eq!(error.class, Class::Transient);
    let text = error.to_string();
    assert!(
        text.starts_with("ec2:DescribeSecurityGroups in us-east-2: an answer that cannot be read (HTTP 500)"),
        "{text}"
    );
    assert_eq!(corner.proxy.seen("DescribeSecurityGroups"), 5);
}

#[tokio::test]
async fn a_bad_page_is_read_again() {
    let corner = corner("us-west-1").await;
    corner.proxy.fault("DescribeInstances", Fault::Torn);
    corner.proxy.fault("DescribeVpcs", Fault::Html);
    corner.observe().await.expect("read again");
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let corner = corner("us-west-2").await;
    let run = corner.run().await;
    corner.proxy.fault("RunInstances", Fault::Refused(403, "UnauthorizedOperation"));
    let error = corner.perform(&run, &Bindings::default()).await.expect_err("refused");
    assert_eq!((error.class, error.ambiguous), (Class::Denied, false));
    assert_eq!(error.doing, "ec2:RunInstances in us-west-2");
    assert_eq!(error.hint.as_deref(), Some("allow the IAM action `ec2:RunInstances` for these credentials"));
    assert_eq!(error.request_id.as_deref(), Some("7a62c49f-347e-4fc4-9331-6e8eEXAMPLE"));
    assert_eq!(corner.proxy.seen("RunInstances"), 1);
}

#[tokio::test]
async fn a_lack_of_capacity_is_reported_at_once() {
    let corner = corner("ca-central-1").await;
    let run = corner.run().await;
    corner.proxy.fault("RunInstances", Fault::Refused(500, "InsufficientInstanceCapacity"));
    let error = corner.perform(&run, &Bindings::default()).await.expect_err("refused");
    assert_eq!((error.class, error.ambiguous), (Class::Quota, false));
    assert_eq!(corner.proxy.seen("RunInstances"), 1);
}

#[tokio::test]
async fn other_regions_may_be_unseen_and_named_ones_may_not() {
    let corner = corner("ap-southeast-1").await;
    let scope = Scope {
        stack: corner.stack.clone(),
        regions: BTreeSet::from([corner.region.clone()]),
        all_regions: true,
        named: BTreeSet::new(),
        reads: [Read::Vpcs, Read::Volumes].into(),
        fleet: BTreeSet::new(),
        hosts: std::collections::BTreeMap::new(),
    };
    let whole = corner.aws.observe(&scope).await.expect("listed");
    assert!(whole.unseen.is_empty() && whole.facts.len() > 10, "{:?}", whole.unseen);
    // One refusal: it meets whichever region asks first, so every region but ours is looked at alone.
    let elsewhere = Scope { regions: BTreeSet::new(), ..scope };
    corner.proxy.fault("DescribeKeyPairs", Fault::Refused(403, "UnauthorizedOperation"));
    let part = corner.aws.observe(&elsewhere).await.expect("listed in part");
    let unseen: Vec<_> = part.unseen.iter().map(|one| one.kind).collect();
    assert_eq!(unseen, [Some(Kind::KeyPair)]);
    assert!(part.unseen[0].why.contains("ec2:DescribeKeyPairs"), "{:?}", part.unseen);
}

/// A rule for the group at `security_group.a`.
fn authorize(corner: &Corner, port: u16) -> Call {
    use portcullis::model::net::{Cidr, Ports, Traffic};
    use security_group::action::NewRule;
    use security_group::state::{Direction, Peer, Rule};
    let peer = Peer::Cidr(Cidr::read("0.0.0.0/0").expect("a network"));
    let rule = Rule { traffic: Traffic::Tcp(Ports { from: port, to: port }), peer };
    let rules = vec![NewRule { rule, description: None }];
    let (direction, tags) = (Direction::Ingress, corner.tags("security_group.a"));
    let action = security_group::Action::Authorize { direction, rules, tags };
    corner.call("security_group.a", Action::SecurityGroup(action))
}

#[tokio::test]
async fn a_fresh_id_is_asked_for_again_and_an_old_one_is_gone() {
    let corner = corner("ap-southeast-2").await;
    let (group, mut known) = (corner.create_group().await, Bindings::default());
    known.bind(&group.at, corner.perform(&group, &known).await.expect("made"));
    for _ in 0..2 {
        corner.proxy.fault("AuthorizeSecurityGroupIngress", Fault::Refused(400, "InvalidGroup.NotFound"));
    }
    corner.perform(&authorize(&corner, 80), &known).await.expect("seen at last");
    assert_eq!(corner.proxy.seen("AuthorizeSecurityGroupIngress"), 3);
    // Another run did not make it: not found means gone.
    let later = moto::aws(corner.proxy.port, "ap-southeast-2").await;
    corner.proxy.fault("AuthorizeSecurityGroupIngress", Fault::Refused(400, "InvalidGroup.NotFound"));
    let error = later.perform(&authorize(&corner, 81), &known).await.expect_err("gone");
    assert_eq!((error.class, corner.proxy.seen("AuthorizeSecurityGroupIngress")), (Class::NotFound, 4));
}

#[tokio::test]
async fn a_batch_of_rules_whose_reply_is_lost_is_there_once() {
    let corner = corner("ap-northeast-2").await;
    let (group, mut known) = (corner.create_group().await, Bindings::default());
    known.bind(&group.at, corner.perform(&group, &known).await.expect("made"));
    corner.proxy.fault("AuthorizeSecurityGroupIngress", Fault::LostReply);
    corner.perform(&authorize(&corner, 80), &known).await.expect("recovered");
    let snapshot = corner.observe().await.expect("listed");
    let portcullis::resources::registry::Body::SecurityGroup(listed) = &snapshot.objects[0].body else {
        panic!("{:?} is no group", snapshot.objects)
    };
    assert_eq!(listed.of(security_group::state::Direction::Ingress).count(), 1);
}

#[tokio::test]
async fn a_group_in_use_is_waited_for_until_the_time_is_over() {
    let corner = corner("ap-northeast-3").await;
    let (group, mut known) = (corner.create_group().await, Bindings::default());
    known.bind(&group.at, corner.perform(&group, &known).await.expect("made"));
    let delete = corner.call("security_group.a", Action::SecurityGroup(security_group::Action::Delete));
    for _ in 0..4 {
        corner.proxy.fault("DeleteSecurityGroup", Fault::Refused(400, "DependencyViolation"));
    }
    let hasty = Call { timeout: Seconds(0), ..delete.clone() };
    let error = corner.perform(&hasty, &known).await.expect_err("held");
    assert_eq!((error.class, error.code.as_deref()), (Class::InUse, Some("DependencyViolation")));
    corner.perform(&delete, &known).await.expect("let go at last");
    assert_eq!(corner.proxy.seen("DeleteSecurityGroup"), 5);
    assert_eq!(corner.count(Kind::SecurityGroup).await, 0);
}

#[tokio::test]
async fn a_wait_that_is_too_long_says_in_which_state_it_ends() {
    let corner = corner("eu-south-1").await;
    let (run, mut known) = (corner.run().await, Bindings::default());
    known.bind(&run.at, corner.perform(&run, &known).await.expect("launched"));
    let mut wait = corner.call("instance.a", Action::Instance(instance::Action::AwaitStopped));
    wait.timeout = Seconds(2);
    let error = corner.perform(&wait, &known).await.expect_err("it never stops");
    assert_eq!(error.class, Class::TimedOut);
    assert!(error.detail.contains("is `running` when the time is over"), "{error}");
}

#[tokio::test]
async fn a_token_that_was_used_with_other_parameters_finds_what_it_launched() {
    let corner = corner("eu-central-2").await;
    let (run, none) = (corner.run().await, Bindings::default());
    let first = corner.perform(&run, &none).await.expect("launched");
    corner.proxy.fault("RunInstances", Fault::Refused(400, "IdempotentParameterMismatch"));
    let second = corner.perform(&run, &none).await.expect("found");
    assert_eq!(first, second);
    let mut other = run.clone();
    if let Action::Instance(instance::Action::Run(run)) = &mut other.action {
        run.tags.insert("portcullis:generation".to_owned(), "2".to_owned());
    }
    corner.proxy.fault("RunInstances", Fault::Refused(400, "IdempotentParameterMismatch"));
    let error = corner.perform(&other, &none).await.expect_err("nothing of this generation is there");
    assert_eq!(error.code.as_deref(), Some("IdempotentParameterMismatch"));
}

#[tokio::test]
async fn those_who_wait_share_one_listing() {
    let corner = corner("sa-east-1").await;
    let run = corner.run().await;
    let mut calls = Vec::new();
    for index in 0..5 {
        let mut call = run.clone();
        call.at = address(&format!("instance.a-{index}"));
        if let Action::Instance(instance::Action::Run(run)) = &mut call.action {
            run.token_seed = format!("seed {index}");
        }
        let outputs = corner.perform(&call, &Bindings::default()).await.expect("launched");
        let id = portcullis::model::CloudId::new(outputs[&Output::Id].as_str());
        let action = Action::Instance(instance::Action::AwaitRunning);
        calls.push(Call { on: Some(id), action, ..call });
    }
    let before = corner.proxy.seen("DescribeInstances");
    let none = Bindings::default();
    let (a, b, c, d, e) = tokio::join!(
        corner.perform(&calls[0], &none),
        corner.perform(&calls[1], &none),
        corner.perform(&calls[2], &none),
        corner.perform(&calls[3], &none),
        corner.perform(&calls[4], &none),
    );
    assert!([a, b, c, d, e].iter().all(Result::is_ok));
    assert_eq!(corner.proxy.seen("DescribeInstances"), before + 1);
}

#[tokio::test]
async fn discovery_costs_listings_not_objects() {
    let corner = corner("ap-northeast-1").await;
    let group = corner.create_group().await;
    for index in 0..12 {
        let mut call = group.clone();
        if let Action::SecurityGroup(security_group::Action::Create { name, .. }) = &mut call.action {
            *name = format!("faulty-{index}");
        }
        corner.perform(&call, &Bindings::default()).await.expect("made");
    }
    let apis = [
        "DescribeSecurityGroups",
        "DescribeSecurityGroupRules",
        "DescribeInstances",
        "DescribeAddresses",
        "DescribeKeyPairs",
        "DescribeVpcs",
        "DescribeSubnets",
        "DescribeLoadBalancers",
    ];
    let before: Vec<usize> = apis.iter().map(|api| corner.proxy.seen(api)).collect();
    assert_eq!(corner.count(Kind::SecurityGroup).await, 12);
    let calls: Vec<usize> = apis.iter().zip(before).map(|(api, before)| corner.proxy.seen(api) - before).collect();
    assert_eq!(calls, [1; 8]);
}

#[tokio::test]
async fn questions_of_one_sort_are_one_call() {
    let corner = corner("ap-south-1").await;
    let asked = |name: &str| Question::InstanceType { region: corner.region.clone(), name: name.to_owned() };
    let questions = ["t3.small", "t3.large", "m5d.large"].map(asked).into();
    let answers = corner.aws.inquire(&questions).await.expect("answered");
    assert_eq!(answers.len(), 3);
    assert_eq!(corner.proxy.seen("DescribeInstanceTypes"), 1);
}
