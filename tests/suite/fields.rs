//! Every shape of a rule and every attribute that changes in place, from the spec through the SDK to moto and back: each
//! apply must come to an empty plan, and what no listing shows is asked for.

use crate::support::binary::Stage;
use crate::support::http::between;
use crate::support::moto;
use crate::support::proxy::Proxy;

const REGION: &str = "eu-central-1";

/// A group of our own stands for that of another account: moto looks for it, and keeps the account that the rule names.
fn foreign_group() -> String {
    let vpcs = moto::ec2(REGION, "Action=DescribeVpcs");
    let vpc = between(&vpcs, "<vpcId>", "</vpcId>").expect("a VPC");
    let form = format!("Action=CreateSecurityGroup&GroupName=partner&GroupDescription=theirs&VpcId={vpc}");
    between(&moto::ec2(REGION, &form), "<groupId>", "</groupId>").expect("a group")
}

fn profile(name: &str) {
    let form = format!("Action=CreateInstanceProfile&Version=2010-05-08&InstanceProfileName={name}");
    let made = moto::ask("iam", "us-east-1", &form);
    assert!(made.contains(&format!(":instance-profile/{name}<")), "{made}");
}

fn shutdown(instance: &str) -> String {
    let form =
        format!("Action=DescribeInstanceAttribute&InstanceId={instance}&Attribute=instanceInitiatedShutdownBehavior");
    between(&moto::ec2(REGION, &form), "<value>", "</value>").expect("a value")
}

fn rules(foreign: &str) -> String {
    format!(
        "stack = \"fields\"\nregion = \"{REGION}\"\n[security_group.all]\ndescription = \"every shape of a rule\"\n\
         ingress = [\n\
         {{ ports = 22, from = \"{foreign}@999999999999\", description = \"another account\" }},\n\
         {{ ports = 443, from = \"pl-0123456789abcdef0\", description = \"a prefix list\" }},\n\
         {{ protocol = \"icmp\", icmp_type = 8, icmp_code = 0, from = \"10.0.0.0/8\" }},\n\
         {{ protocol = \"icmp\", icmp_type = 3, from = \"10.0.0.0/8\" }},\n\
         {{ protocol = \"icmp\", from = \"192.0.2.0/24\" }},\n\
         {{ protocol = \"icmpv6\", from = \"2001:db8::/32\", description = \"pings of IPv6\" }},\n\
         {{ protocol = 47, from = \"10.0.0.0/8\", description = \"GRE\" }},\n\
         {{ protocol = \"udp\", ports = \"all\", from = \"::/0\" }},\n\
         {{ protocol = \"all\", from = \"self\", description = \"each other\" }},\n]\n\
         egress = [\n\
         {{ protocol = 50, to = \"2001:db8::/32\", description = \"ESP\" }},\n\
         {{ ports = 443, to = \"pl-0123456789abcdef0\" }},\n\
         {{ ports = 5432, to = \"security_group.other\", description = \"the database & more\" }},\n]\n\
         [security_group.other]\ningress = [{{ ports = 5432, from = \"security_group.all\", description = \"old\" }}]\n\
         [instance.one]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"all\", \"other\"]\n"
    )
}

const FIRST: &str = "iam_profile = \"fields-first\"\nmonitoring = \"detailed\"\nshutdown = \"stop\"\n\
    root_volume = { size = \"20GiB\", type = \"gp3\", iops = 3000, throughput = 125, encrypted = true }\n";
const SECOND: &str = "iam_profile = \"fields-second\"\nmonitoring = \"basic\"\nshutdown = \"terminate\"\n\
    source_dest_check = false\nmetadata_service = \"v1\"\nmetadata_hops = 3\n\
    root_volume = { size = \"30GiB\", type = \"gp3\", iops = 4000, throughput = 250, encrypted = true, delete_on_termination = false }\n";
const THIRD: &str = "monitoring = \"detailed\"\nmetadata_service = \"off\"\nprotect = true\n\
    root_volume = { size = \"30GiB\", type = \"gp3\", iops = 5000, throughput = 250, encrypted = true }\n";

/// Applies a spec by these calls, after which a plan is empty.
async fn settle(stage: &Stage, proxy: &Proxy, text: &str, calls: &[&str]) {
    stage.write("spec.toml", text);
    proxy.count();
    // What `permissions` prints is enough.
    proxy.guard(Some(stage.policy("apply", &["spec.toml"]).await));
    let applied = stage.run(&["apply", "spec.toml", "--yes"]).await;
    if applied.code == Some(6) {
        panic!("{applied}\n{}", stage.run(&["plan", "spec.toml"]).await);
    }
    applied.exits(0);
    let made = proxy.count();
    for call in calls {
        assert!(made.contains_key(*call), "{call} was not called: {made:?}");
    }
    proxy.guard(Some(stage.policy("plan", &["spec.toml"]).await));
    stage.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);
    proxy.guard(None);
}

/// Removes everything, with what it takes and no more.
async fn destroy(stage: &Stage, proxy: &Proxy) {
    proxy.guard(Some(stage.policy("destroy", &["spec.toml"]).await));
    stage.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shape_comes_back_as_it_was_written() {
    let proxy = Proxy::before(moto::port()).await;
    let stage = Stage::before(proxy.port);
    profile("fields-first");
    profile("fields-second");
    let first = rules(&foreign_group());
    let second = first
        .replace("description = \"another account\"", "description = \"another & better account\"")
        .replace(", description = \"a prefix list\"", "")
        .replace("description = \"old\"", "description = \"new\"")
        .replace("protocol = 47", "protocol = 48")
        .replace("security_groups = [\"all\", \"other\"]", "security_groups = [\"all\"]");
    for (text, calls) in [
        (format!("{first}{FIRST}"), &["RunInstances"][..]),
        (
            format!("{second}{SECOND}"),
            &[
                "ModifyVolume",
                "ModifyInstanceAttribute",
                "UnmonitorInstances",
                "ModifyInstanceMetadataOptions",
                "ReplaceIamInstanceProfileAssociation",
                "UpdateSecurityGroupRuleDescriptionsIngress",
            ],
        ),
        (format!("{second}{THIRD}"), &["MonitorInstances", "DisassociateIamInstanceProfile"]),
    ] {
        settle(&stage, &proxy, &text, calls).await;
        let seen = stage.run(&["observe", "spec.toml", "--format", "json"]).await.exits(0).json();
        let objects = seen["snapshot"]["objects"].as_array().expect("objects").iter();
        let mut instances = objects.filter(|object| object["tags"]["portcullis:address"] == "instance.one");
        let id = instances.next().expect("the instance")["id"].as_str().expect("an id").to_owned();
        let wanted = if text.contains("shutdown = \"terminate\"") { "terminate" } else { "stop" };
        assert_eq!(shutdown(&id), wanted);
    }
    stage.write("spec.toml", &format!("{second}{SECOND}"));
    stage.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    destroy(&stage, &proxy).await;
}

fn balancer(fields: &str) -> String {
    format!(
        "stack = \"fronts\"\nregion = \"{REGION}\"\n[security_group.one]\n[security_group.two]\n\
         [instance.one]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nzones = [\"{REGION}b\"]\n\
         [load_balancer.front]\ninstances = [\"one\"]\n{fields}"
    )
}

/// Every field with a value that is not AWS's own.
fn first_front() -> String {
    let certificate = "certificate = \"arn:aws:iam::123456789012:server-certificate/one\"";
    balancer(&format!(
        "zones = [\"{REGION}a\", \"{REGION}b\"]\nsecurity_groups = [\"one\"]\ntags = {{ team = \"web\" }}\n\
         listeners = [\n\
         {{ port = 80, protocol = \"http\", instance_port = 8000, stickiness = {{ cookie = \"JSESSIONID\" }} }},\n\
         {{ port = 443, protocol = \"https\", instance_port = 8000, {certificate}, \
         ssl_policy = \"ELBSecurityPolicy-TLS-1-2-2017-01\", stickiness = {{ duration = \"10m\" }} }},\n\
         {{ port = 8080, protocol = \"tcp\", instance_port = 9000 }},\n\
         {{ port = 8443, protocol = \"ssl\", instance_port = 9000, {certificate} }},\n]\n\
         proxy_protocol = [9000]\n\
         health_check = {{ target = \"http:8000/up\", interval = \"10s\", timeout = \"3s\", unhealthy_after = 3, healthy_after = 4 }}\n\
         cross_zone = false\nidle_timeout = \"120s\"\nconnection_draining = \"100s\"\n\
         access_log = {{ bucket = \"front-logs\", prefix = \"web/front\", interval = \"5m\" }}\n"
    ))
}

/// Every one of them changed where it stands.
fn second_front() -> String {
    let certificate = "certificate = \"arn:aws:iam::123456789012:server-certificate/two\"";
    balancer(&format!(
        "zones = [\"{REGION}b\", \"{REGION}c\"]\nsecurity_groups = [\"one\", \"two\"]\ntags = {{ team = \"edge\" }}\n\
         listeners = [\n\
         {{ port = 80, protocol = \"http\", instance_port = 8001 }},\n\
         {{ port = 443, protocol = \"https\", instance_port = 8000, instance_protocol = \"https\", {certificate}, \
         stickiness = {{ cookie = \"session\" }} }},\n\
         {{ port = 8080, protocol = \"tcp\", instance_port = 9000 }},\n]\n\
         health_check = {{ target = \"SSL:9000\", interval = \"5s\", timeout = \"2s\", unhealthy_after = 2, healthy_after = 2 }}\n\
         connection_draining = \"off\"\n"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_a_balancer_comes_back_as_it_was_written() {
    let proxy = Proxy::before(moto::port()).await;
    let stage = Stage::before(proxy.port);
    for (text, calls) in [
        (
            first_front(),
            &["CreateLoadBalancer", "CreateLBCookieStickinessPolicy", "CreateAppCookieStickinessPolicy"][..],
        ),
        (
            second_front(),
            &[
                "ApplySecurityGroupsToLoadBalancer",
                "AttachLoadBalancerToSubnets",
                "DetachLoadBalancerFromSubnets",
                "CreateLoadBalancerListeners",
                "DeleteLoadBalancerListeners",
                "SetLoadBalancerPoliciesForBackendServer",
                "ConfigureHealthCheck",
                "ModifyLoadBalancerAttributes",
                "AddTags",
            ],
        ),
        (
            second_front().replace("server-certificate/two", "server-certificate/three"),
            &["SetLoadBalancerListenerSSLCertificate"],
        ),
        (first_front(), &[]),
    ] {
        settle(&stage, &proxy, &text, calls).await;
    }
    destroy(&stage, &proxy).await;
}
