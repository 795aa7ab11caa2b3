//! Which API actions a Classic Load Balancer needs. What load balancing asks of EC2 it asks in our name, and AWS lists it
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html>).

use super::Desired;
use super::state::{Listener, Stickiness};
use crate::resources::Common;
use crate::resources::permissions::{Grant, Need, On, Permits};

/// What is done to one that is there, whatever the spec says: somebody may have changed it by hand.
const CHANGE: [&str; 12] = [
    "elasticloadbalancing:ApplySecurityGroupsToLoadBalancer",
    "elasticloadbalancing:AttachLoadBalancerToSubnets",
    "elasticloadbalancing:ConfigureHealthCheck",
    "elasticloadbalancing:CreateLoadBalancerListeners",
    "elasticloadbalancing:DeleteLoadBalancerListeners",
    "elasticloadbalancing:DeregisterInstancesFromLoadBalancer",
    "elasticloadbalancing:DetachLoadBalancerFromSubnets",
    "elasticloadbalancing:ModifyLoadBalancerAttributes",
    "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
    "elasticloadbalancing:RemoveTags",
    "elasticloadbalancing:SetLoadBalancerPoliciesForBackendServer",
    "elasticloadbalancing:SetLoadBalancerPoliciesOfListener",
];
/// What it asks of EC2 when it is made.
const MADE: [&str; 5] = [
    "ec2:DescribeAccountAttributes",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
];
/// What it asks of EC2 when instances come.
const REGISTERED: [&str; 4] = [
    "ec2:DescribeAccountAttributes",
    "ec2:DescribeClassicLinkInstances",
    "ec2:DescribeInstances",
    "ec2:DescribeVpcClassicLink",
];

/// What listing takes.
pub(super) fn listing(permits: &mut Permits) {
    let listed = [
        "elasticloadbalancing:DescribeInstanceHealth",
        "elasticloadbalancing:DescribeLoadBalancerAttributes",
        "elasticloadbalancing:DescribeLoadBalancerPolicies",
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeTags",
    ];
    permits.read(Need::Read, &listed);
    along(Need::Read, "DescribeLoadBalancers", &["ec2:DescribeSecurityGroups"], permits);
    along(
        Need::Read,
        "DescribeInstanceHealth",
        &["ec2:DescribeClassicLinkInstances", "ec2:DescribeInstances"],
        permits,
    );
}

/// What one takes.
pub(super) fn of(want: &Desired, common: &Common, permits: &mut Permits) {
    create(want, permits);
    permits.own(Need::Change, &CHANGE, &[On::Balancers]);
    permits.own(Need::Change, &policies(want), &[On::Balancers]);
    along(Need::Change, "RegisterInstancesWithLoadBalancer", &REGISTERED, permits);
    let leave = ["ec2:DescribeClassicLinkInstances", "ec2:DescribeInstances"];
    along(Need::Change, "DeregisterInstancesFromLoadBalancer", &leave, permits);
    along(Need::Change, "AttachLoadBalancerToSubnets", &["ec2:DescribeSubnets"], permits);
    let groups = ["ec2:DescribeAccountAttributes", "ec2:DescribeSecurityGroups"];
    along(Need::Change, "ApplySecurityGroupsToLoadBalancer", &groups, permits);
    permits.own(Need::Change, &["elasticloadbalancing:AddTags"], &[On::Balancers]);
    if let Some(name) = &common.adopt {
        permits.along(
            Need::Change,
            "AddTags",
            &["elasticloadbalancing:AddTags"],
            &Grant::Adopt,
            &[On::Balancer(name.clone())],
        );
    }
    let remove = ["elasticloadbalancing:DeleteLoadBalancer", "elasticloadbalancing:RemoveTags"];
    permits.own(Need::Remove, &remove, &[On::Balancers]);
    // The interfaces of one that is gone hold its groups for a while.
    permits.read(Need::Remove, &["ec2:DescribeNetworkInterfaces"]);
}

fn create(want: &Desired, permits: &mut Permits) {
    permits.create("elasticloadbalancing:CreateLoadBalancer", &[On::Balancers]);
    let tags = ["elasticloadbalancing:AddTags"];
    permits.along(Need::Make, "CreateLoadBalancer", &tags, &Grant::TagNewBalancer, &[On::Balancers]);
    along(Need::Make, "CreateLoadBalancer", &MADE, permits);
    let role = "aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing";
    let make = ["iam:CreateServiceLinkedRole"];
    permits.along(Need::Make, "CreateLoadBalancer", &make, &Grant::LinkedRole, &[On::Role(role)]);
    if want.security_groups.is_none() {
        // AWS's list has this for every balancer; one that is given its groups has none made for it.
        let into = [On::Ec2("security-group"), On::Ec2("vpc")];
        let make = ["ec2:CreateSecurityGroup"];
        permits.along(Need::Make, "CreateLoadBalancer", &make, &Grant::Beside("DefaultGroupOfBalancers"), &into);
    }
}

/// What makes the policies of the spec.
fn policies(want: &Desired) -> Vec<&'static str> {
    let any = |is: fn(&Listener) -> bool| want.listeners.values().any(is);
    let secure = any(|listener| listener.protocol.is_secure());
    let by_time = any(|listener| matches!(listener.stickiness, Some(Stickiness::Duration(_))));
    let by_cookie = any(|listener| matches!(listener.stickiness, Some(Stickiness::Cookie(_))));
    let list = [
        (secure || !want.proxy_protocol.is_empty(), "elasticloadbalancing:CreateLoadBalancerPolicy"),
        (by_time, "elasticloadbalancing:CreateLBCookieStickinessPolicy"),
        (by_cookie, "elasticloadbalancing:CreateAppCookieStickinessPolicy"),
        (secure, "elasticloadbalancing:SetLoadBalancerListenerSSLCertificate"),
    ];
    list.into_iter().filter(|(needed, _)| *needed).map(|(_, action)| action).collect()
}

fn along(need: Need, call: &'static str, actions: &[&'static str], permits: &mut Permits) {
    permits.along(need, call, actions, &Grant::Read, &[On::Anything]);
}
