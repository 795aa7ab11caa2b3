//! Where moto still differs from AWS: each row is one repair of `support/repairs.rs` or `support/balancers.rs`, asserted to be needed. When a row
//! fails, moto has learnt it: take the repair out, and the row with it.

use std::collections::BTreeSet;

use crate::support::http::{all_between, between};
use crate::support::moto::{ask, ec2};

/// A region that no other test uses.
const REGION: &str = "ca-west-1";
const IMAGE: &str = "ami-0123456789abcdef0";

fn one(text: &str, name: &str) -> String {
    between(text, &format!("<{name}>"), &format!("</{name}>")).unwrap_or_else(|| panic!("no {name}: {text}"))
}

fn vpc() -> String {
    one(&ec2(REGION, "Action=DescribeVpcs"), "vpcId")
}

fn group(name: &str) -> String {
    let form = format!("Action=CreateSecurityGroup&GroupName={name}&GroupDescription=d&VpcId={}", vpc());
    one(&ec2(REGION, &form), "groupId")
}

fn run(more: &str) -> String {
    ec2(REGION, &format!("Action=RunInstances&ImageId={IMAGE}&MinCount=1&MaxCount=1&InstanceType=t3.small{more}"))
}

fn instance(more: &str) -> String {
    one(&run(more), "instanceId")
}

fn filtered(api: &str, name: &str, value: &str) -> String {
    ec2(REGION, &format!("Action={api}&Filter.1.Name={name}&Filter.1.Value.1={value}"))
}

fn authorize(group: &str, permission: &str) -> String {
    ec2(REGION, &format!("Action=AuthorizeSecurityGroupIngress&GroupId={group}&IpPermissions.1.{permission}"))
}

fn elb(api: &str, fields: &str) -> String {
    ask("elasticloadbalancing", REGION, &format!("Version=2012-06-01&Action={api}{fields}"))
}

/// A balancer that listens on ports 1 and 2, and what names it.
fn balancer(name: &str) -> String {
    let subnet = one(&ec2(REGION, "Action=DescribeSubnets"), "subnetId");
    let http = |number: u8, instance: &str| {
        let of = format!("Listeners.member.{number}");
        format!(
            "&{of}.Protocol=HTTPS&{of}.LoadBalancerPort={number}&{of}.InstancePort=80&{of}.InstanceProtocol={instance}"
        )
    };
    let named = format!("&LoadBalancerName={name}");
    let listeners = format!("{}{}", http(1, "HTTP"), http(2, "HTTPS"));
    elb("CreateLoadBalancer", &format!("{named}&Subnets.member.1={subnet}{listeners}"));
    named
}

fn listed(name: &str) -> String {
    elb("DescribeLoadBalancers", &format!("&LoadBalancerNames.member.1={name}"))
}

/// The health of one instance that is registered and then meets `fate`.
fn health_after(name: &str, fate: &str) -> String {
    let (named, id) = (balancer(name), instance(""));
    elb("RegisterInstancesWithLoadBalancer", &format!("{named}&Instances.member.1.InstanceId={id}"));
    ec2(REGION, &format!("Action={fate}&InstanceId.1={id}"));
    elb("DescribeInstanceHealth", &named)
}

/// What moto gets wrong, and whether it still does.
type Row = (&'static str, fn() -> bool);

const ROWS: &[Row] = &[
    ("a client token launches twice", || {
        let ids: BTreeSet<String> = (0..2).map(|_| instance("&ClientToken=same")).collect();
        ids.len() == 2
    }),
    ("`DisableApiTermination` of a launch counts for nothing", || {
        let id = instance("&DisableApiTermination=true");
        ec2(REGION, &format!("Action=TerminateInstances&InstanceId.1={id}")).contains("<TerminateInstancesResponse")
    }),
    ("the throughput of a launched volume is dropped", || {
        let device = "&BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.VolumeSize=20";
        let id = instance(&format!(
            "{device}&BlockDeviceMapping.1.Ebs.VolumeType=gp3&BlockDeviceMapping.1.Ebs.Throughput=250"
        ));
        let listed = filtered("DescribeVolumes", "attachment.instance-id", &id);
        listed.contains("<volumeId>") && !listed.contains("<throughput>250<")
    }),
    ("a terminated instance keeps its Elastic IP", || {
        let id = instance("");
        let allocation = one(&ec2(REGION, "Action=AllocateAddress&Domain=vpc"), "allocationId");
        ec2(REGION, &format!("Action=AssociateAddress&AllocationId={allocation}&InstanceId={id}"));
        ec2(REGION, &format!("Action=TerminateInstances&InstanceId.1={id}"));
        filtered("DescribeAddresses", "allocation-id", &allocation).contains("<associationId>")
    }),
    ("a terminated instance keeps its interface", || {
        let id = instance("");
        ec2(REGION, &format!("Action=TerminateInstances&InstanceId.1={id}"));
        filtered("DescribeNetworkInterfaces", "attachment.instance-id", &id).contains("<networkInterfaceId>")
    }),
    ("the type of a running instance can be changed", || {
        let id = instance("");
        let form = format!("Action=ModifyInstanceAttribute&InstanceId={id}&InstanceType.Value=t3.large");
        ec2(REGION, &form).contains("<ModifyInstanceAttributeResponse")
    }),
    ("the behaviour of a shutdown cannot be changed", || {
        let id = instance("");
        let set = format!("InstanceId={id}&InstanceInitiatedShutdownBehavior.Value=terminate");
        ec2(REGION, &format!("Action=ModifyInstanceAttribute&{set}"));
        let form =
            format!("Action=DescribeInstanceAttribute&InstanceId={id}&Attribute=instanceInitiatedShutdownBehavior");
        one(&ec2(REGION, &form), "value") == "stop"
    }),
    ("an interface stays in the groups that its instance left", || {
        let (first, second) = (group("left"), group("entered"));
        let id = instance(&format!("&SecurityGroupId.1={first}"));
        ec2(REGION, &format!("Action=ModifyInstanceAttribute&InstanceId={id}&GroupId.1={second}"));
        filtered("DescribeNetworkInterfaces", "group-id", &first).contains("<networkInterfaceId>")
    }),
    ("`MonitorInstances` is not there", || {
        let id = instance("");
        !ec2(REGION, &format!("Action=MonitorInstances&InstanceId.1={id}")).contains("<MonitorInstancesResponse")
    }),
    ("an address of the subnet's pool belongs to the account", || {
        let id = instance("");
        let listed = filtered("DescribeInstances", "instance-id", &id);
        all_between(&listed, "<ipOwnerId>", "</ipOwnerId>").contains(&"123456789012".to_owned())
    }),
    ("an instance profile that is swapped is not the instance's", || {
        for name in ["swapped-out", "swapped-in"] {
            ask(
                "iam",
                "us-east-1",
                &format!("Action=CreateInstanceProfile&Version=2010-05-08&InstanceProfileName={name}"),
            );
        }
        let id = instance("&IamInstanceProfile.Name=swapped-out");
        let tie = one(&filtered("DescribeIamInstanceProfileAssociations", "instance-id", &id), "associationId");
        let set = format!("AssociationId={tie}&IamInstanceProfile.Name=swapped-in");
        ec2(REGION, &format!("Action=ReplaceIamInstanceProfileAssociation&{set}"));
        filtered("DescribeInstances", "instance-id", &id).contains("instance-profile/swapped-out")
    }),
    ("a key pair is not deleted by its id", || {
        let id = one(&ec2(REGION, "Action=CreateKeyPair&KeyName=deviation"), "keyPairId");
        ec2(REGION, &format!("Action=DeleteKeyPair&KeyPairId={id}"));
        filtered("DescribeKeyPairs", "key-pair-id", &id).contains("<keyName>")
    }),
    ("names of groups may differ by case alone", || {
        group("case");
        group("CASE").starts_with("sg-")
    }),
    ("a group that an instance is in can be deleted", || {
        let id = group("worn");
        instance(&format!("&SecurityGroupId.1={id}"));
        ec2(REGION, &format!("Action=DeleteSecurityGroup&GroupId={id}")).contains("<DeleteSecurityGroupResponse")
    }),
    ("a group that a rule names can be deleted", || {
        let (named, other) = (group("named"), group("naming"));
        authorize(
            &other,
            &format!(
                "IpProtocol=tcp&IpPermissions.1.FromPort=1&IpPermissions.1.ToPort=1&IpPermissions.1.Groups.1.GroupId={named}"
            ),
        );
        ec2(REGION, &format!("Action=DeleteSecurityGroup&GroupId={named}")).contains("<DeleteSecurityGroupResponse")
    }),
    ("a protocol without ports is not understood", || {
        let answer = authorize(&group("numbers"), "IpProtocol=47&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8");
        !answer.contains("<AuthorizeSecurityGroupIngressResponse")
    }),
    ("the description of a rule with a prefix list is lost, and so is the group's owner", || {
        let id = group("prefix");
        let peer = "IpPermissions.1.PrefixListIds.1.PrefixListId=pl-0123456789abcdef0&IpPermissions.1.PrefixListIds.1.Description=why";
        authorize(&id, &format!("IpProtocol=tcp&IpPermissions.1.FromPort=1&IpPermissions.1.ToPort=1&{peer}"));
        let listed = filtered("DescribeSecurityGroupRules", "group-id", &id);
        listed.contains("pl-0123456789abcdef0")
            && !listed.contains("<description>why<")
            && !listed.contains("<groupOwnerId>")
    }),
    ("a description is not updated by a rule's id", || {
        let id = group("described");
        authorize(
            &id,
            "IpProtocol=tcp&IpPermissions.1.FromPort=1&IpPermissions.1.ToPort=1&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8",
        );
        let listed = filtered("DescribeSecurityGroupRules", "group-id", &id);
        let rules = all_between(&listed, "<securityGroupRuleId>", "</securityGroupRuleId>");
        for rule in rules {
            let which = format!(
                "SecurityGroupRuleDescription.1.SecurityGroupRuleId={rule}&SecurityGroupRuleDescription.1.Description=new"
            );
            ec2(REGION, &format!("Action=UpdateSecurityGroupRuleDescriptionsIngress&GroupId={id}&{which}"));
        }
        !filtered("DescribeSecurityGroupRules", "group-id", &id).contains("<description>new<")
    }),
    ("what instances are spoken to in is what clients speak", || {
        balancer("protocol");
        all_between(&listed("protocol"), "<InstanceProtocol>", "</InstanceProtocol>") == ["HTTPS", "HTTPS"]
    }),
    ("two listeners cannot go in one call", || {
        let named = balancer("ports");
        elb(
            "DeleteLoadBalancerListeners",
            &format!("{named}&LoadBalancerPorts.member.1=1&LoadBalancerPorts.member.2=2"),
        );
        listed("ports").contains("<LoadBalancerPort>")
    }),
    ("a balancer that is not there is answered in HTML", || {
        elb("DescribeLoadBalancerAttributes", "&LoadBalancerName=nobody").contains("<html")
    }),
    ("a new balancer has no health check", || {
        balancer("unchecked");
        !listed("unchecked").contains("<HealthCheck>")
    }),
    ("the name of a balancer has no zone", || {
        balancer("zoneless");
        !listed("zoneless").contains("<CanonicalHostedZoneNameID>")
    }),
    ("two policies have one name", || {
        let named = balancer("policies");
        let policy = format!("{named}&PolicyName=same&CookieExpirationPeriod=60");
        elb("CreateLBCookieStickinessPolicy", &policy);
        !elb("CreateLBCookieStickinessPolicy", &policy).contains("<Error>")
    }),
    ("a policy that is not there can be set, also where nothing listens", || {
        let named = balancer("lawless");
        ["1", "9"].iter().all(|port| {
            let fields = format!("{named}&LoadBalancerPort={port}&PolicyNames.member.1=nobody");
            !elb("SetLoadBalancerPoliciesOfListener", &fields).contains("<Error>")
        })
    }),
    ("an instance that is not there can be registered", || {
        let fields = format!("{}&Instances.member.1.InstanceId=i-0123456789abcdef0", balancer("stranger"));
        elb("RegisterInstancesWithLoadBalancer", &fields).contains("<RegisterInstancesWithLoadBalancerResponse")
    }),
    ("a terminated instance is told as out of service", || {
        health_after("dead", "TerminateInstances").contains("<State>OutOfService<")
    }),
    ("a stopped instance is out of service without a reason", || {
        health_after("stopped", "StopInstances").contains("<Description>N/A<")
    }),
    ("an instance that is not registered is in no known state", || {
        let fields = format!("{}&Instances.member.1.InstanceId=i-0123456789abcdef0", balancer("unregistered"));
        elb("DescribeInstanceHealth", &fields).contains("<State>Unknown<")
    }),
    ("tags of more than 20 balancers are told at once", || {
        balancer("tagged");
        let names: String = (1..=21).map(|number| format!("&LoadBalancerNames.member.{number}=tagged")).collect();
        elb("DescribeTags", &names).contains("<DescribeTagsResponse")
    }),
    ("a balancer has no interfaces", || {
        balancer("bodiless");
        !filtered("DescribeNetworkInterfaces", "description", "ELB%20bodiless").contains("<networkInterfaceId>")
    }),
    ("an unknown API is answered in HTML", || {
        ask("ec2", REGION, "Version=2016-11-15&Action=DescribeNothing").contains("<html")
    }),
];

#[test]
fn moto_still_needs_every_repair() {
    let learnt: Vec<&str> = ROWS.iter().filter(|(_, is_wrong)| !is_wrong()).map(|(what, _)| *what).collect();
    assert!(learnt.is_empty(), "moto has learnt this; its repair can go: {learnt:#?}");
}
