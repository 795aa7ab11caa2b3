//! Which API actions a security group needs.

use super::Desired;
use crate::model::id::VpcId;
use crate::resources::permissions::{Need, On, Permits};
use crate::resources::{Choice, Common};

const GROUP: &str = "security-group";
const AUTHORIZE: [&str; 2] = ["ec2:AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupIngress"];
const REVOKE: [&str; 2] = ["ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"];
const DESCRIBE: [&str; 2] =
    ["ec2:UpdateSecurityGroupRuleDescriptionsEgress", "ec2:UpdateSecurityGroupRuleDescriptionsIngress"];

/// What listing takes.
pub(super) fn listing(permits: &mut Permits) {
    permits.read(Need::Read, &["ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups"]);
}

/// What one takes. Both directions count whatever the spec says: who made a rule by hand may have made it in either.
pub(super) fn of(want: &Desired, common: &Common, permits: &mut Permits) {
    let Desired { name: _, description: _, vpc, mode: _, ingress: _, egress: _, rule_quota: _ } = want;
    let group = [On::Ec2(GROUP)];
    // Who holds a group that must go.
    permits.read(Need::Read, &["ec2:DescribeNetworkInterfaces"]);
    permits.create("ec2:CreateSecurityGroup", &group);
    permits.beside(Need::Make, "CreateGroupsIn", &["ec2:CreateSecurityGroup"], &[place(vpc)]);
    for api in ["CreateSecurityGroup", "AuthorizeSecurityGroupEgress", "AuthorizeSecurityGroupIngress"] {
        permits.tag_new(Need::Make, api);
    }
    let rules = [On::Ec2("security-group-rule")];
    for actions in [AUTHORIZE, REVOKE, DESCRIBE] {
        permits.own(Need::Change, &actions, &group);
        // A rule is asked for beside the group that it is on.
        permits.beside(Need::Change, "RulesOfGroups", &actions, &rules);
    }
    permits.own(Need::Remove, &REVOKE, &group);
    permits.beside(Need::Remove, "RulesOfGroups", &REVOKE, &rules);
    permits.own(Need::Remove, &["ec2:DeleteSecurityGroup"], &group);
    permits.tags(GROUP, "sg-", common);
}

fn place(vpc: &Choice<VpcId>) -> On {
    match vpc {
        Choice::Id(id) => On::Ec2One("vpc", id.to_string()),
        Choice::Default | Choice::Tags(_) => On::Ec2("vpc"),
    }
}
