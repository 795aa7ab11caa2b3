//! Who holds a group, where listings lag.

use std::collections::BTreeSet;

use portcullis::model::{CloudId, Kind};
use portcullis::port::Provider;
use portcullis::resources::snapshot::{Answer, Question};

use crate::support::http::between;
use crate::support::moto;

const REGION: &str = "eu-south-2";

#[tokio::test]
async fn interfaces_of_terminated_instances_hold_nothing() {
    let vpc = between(&moto::ec2(REGION, "Action=DescribeVpcs"), "<vpcId>", "</vpcId>").expect("a VPC");
    let form = format!("Action=CreateSecurityGroup&GroupName=held&GroupDescription=d&VpcId={vpc}");
    let group = between(&moto::ec2(REGION, &form), "<groupId>", "</groupId>").expect("a group");
    let form = format!(
        "Action=RunInstances&ImageId=ami-0123456789abcdef0&InstanceType=t3.small&MinCount=1&MaxCount=1&SecurityGroupId.1={group}"
    );
    let instance = between(&moto::ec2(REGION, &form), "<instanceId>", "</instanceId>").expect("an instance");
    // moto itself lists the interfaces of the dead for ever, as AWS may for a moment.
    let aws = moto::aws(moto::port(), REGION).await;
    let question =
        Question::Holders { kind: Kind::SecurityGroup, region: moto::region(REGION), id: CloudId::new(group) };
    let questions = BTreeSet::from([question.clone()]);
    let holders = async || match aws.inquire(&questions).await.expect("answered").remove(&question) {
        Some(Answer::Holders(holders)) => holders.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(holders().await, 1);
    moto::ec2(REGION, &format!("Action=TerminateInstances&InstanceId.1={instance}"));
    assert_eq!(holders().await, 0);
}
