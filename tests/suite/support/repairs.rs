//! Rules of AWS that moto lacks, restored one by one, each with the page that it comes from. `deviations.rs` says when moto
//! needs one no longer.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Mutex;

use super::balancers::{self, Balancers};
use super::http::{Request, all_between, between, document, done, is_fine, plain, refusal};

/// What has to be remembered between calls.
#[derive(Default)]
pub struct Repairs {
    memory: Mutex<Memory>,
    balancers: Balancers,
}

#[derive(Default)]
struct Memory {
    /// Client tokens: the request that came with each, and what it was answered.
    launched: BTreeMap<String, (String, Vec<u8>)>,
    terminated: BTreeSet<String>,
    /// Descriptions of rules that moto drops: by the rule's id, or by what the rule is.
    descriptions: BTreeMap<String, String>,
}

impl Repairs {
    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().expect("no test panics while it holds this")
    }

    /// The answer as AWS would give it.
    pub async fn answer(&self, request: &Request, api: &str, moto: u16) -> io::Result<Vec<u8>> {
        if request.is_balancing() {
            return self.balancers.answer(request, api, moto).await;
        }
        match api {
            "DescribeNetworkInterfaces" => balancers::interfaces(request, moto).await,
            "RunInstances" => self.run(request, moto).await,
            "TerminateInstances" => self.terminate(request, moto).await,
            "ModifyInstanceAttribute" => modify(request, moto).await,
            "MonitorInstances" => monitor(request, api, "enabled", moto).await,
            "UnmonitorInstances" => monitor(request, api, "disabled", moto).await,
            "DescribeInstances" => instances(request, moto).await,
            "ReplaceIamInstanceProfileAssociation" => swap_profile(request, api, moto).await,
            "DeleteKeyPair" => delete_key_pair(request, moto).await,
            "CreateSecurityGroup" => create_group(request, moto).await,
            "DeleteSecurityGroup" => delete_group(request, moto).await,
            "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress" => self.authorize(request, moto).await,
            "UpdateSecurityGroupRuleDescriptionsIngress" | "UpdateSecurityGroupRuleDescriptionsEgress" => {
                self.describe(request);
                Ok(done(api))
            }
            "DescribeSecurityGroupRules" => self.rules(request, moto).await,
            _ => request.forward(moto).await,
        }
    }

    /// A client token makes one instance, however often it is sent
    /// (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>), and `DisableApiTermination` counts
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>), and so does a volume's throughput
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html>).
    async fn run(&self, request: &Request, moto: u16) -> io::Result<Vec<u8>> {
        let token = request.field("ClientToken").unwrap_or_default();
        if let Some(known) = self.repeated(&token, request) {
            return Ok(known);
        }
        let answer = request.forward(moto).await?;
        if let Some(id) = between(&document(&answer), "<instanceId>", "</instanceId>") {
            if request.field("DisableApiTermination").as_deref() == Some("true") {
                let protect = [("DisableApiTermination.Value", "true"), ("InstanceId", id.as_str())];
                request.call("ModifyInstanceAttribute", &protect).forward(moto).await?;
            }
            if let Some(throughput) = request.field("BlockDeviceMapping.1.Ebs.Throughput") {
                let by = [("Filter.1.Name", "attachment.instance-id"), ("Filter.1.Value.1", id.as_str())];
                let listed = request.call("DescribeVolumes", &by).ask(moto).await?;
                let volume = between(&listed, "<volumeId>", "</volumeId>").unwrap_or_default();
                let set = [("VolumeId", volume.as_str()), ("Throughput", &throughput)];
                request.call("ModifyVolume", &set).forward(moto).await?;
            }
            self.memory().launched.insert(token, (request.body.clone(), answer.clone()));
        }
        Ok(answer)
    }

    /// What AWS answers to a token that it knows.
    fn repeated(&self, token: &str, request: &Request) -> Option<Vec<u8>> {
        let memory = self.memory();
        let (body, answer) = memory.launched.get(token)?;
        let id = between(&document(answer), "<instanceId>", "</instanceId>").unwrap_or_default();
        Some(if *body != request.body {
            refusal(400, "IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent.")
        } else if memory.terminated.contains(&id) {
            refusal(
                400,
                "IdempotentInstanceTerminated",
                "The request uses the same client token as a terminated instance.",
            )
        } else {
            answer.clone()
        })
    }

    /// A terminated instance gives back its Elastic IP and its primary interface
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html>).
    async fn terminate(&self, request: &Request, moto: u16) -> io::Result<Vec<u8>> {
        let answer = request.forward(moto).await?;
        if !is_fine(&answer) {
            return Ok(answer);
        }
        for id in request.list("InstanceId") {
            let by = |filter| [("Filter.1.Name", filter), ("Filter.1.Value.1", id.as_str())];
            let addresses = request.call("DescribeAddresses", &by("instance-id")).ask(moto).await?;
            for association in all_between(&addresses, "<associationId>", "</associationId>") {
                request.call("DisassociateAddress", &[("AssociationId", &association)]).forward(moto).await?;
            }
            let listed = request.call("DescribeNetworkInterfaces", &by("attachment.instance-id")).ask(moto).await?;
            for interface in all_between(&listed, "<networkInterfaceId>", "</networkInterfaceId>") {
                request.call("DeleteNetworkInterface", &[("NetworkInterfaceId", &interface)]).forward(moto).await?;
            }
            self.memory().terminated.insert(id);
        }
        Ok(answer)
    }

    /// Every protocol but four has no ports, and they are listed as -1; a rule whose peer is no network has a description
    /// too (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html>).
    async fn authorize(&self, request: &Request, moto: u16) -> io::Result<Vec<u8>> {
        let fields: BTreeMap<String, String> = request.fields().collect();
        let (mut body, mut told) = (request.body.clone(), Vec::new());
        for number in 1.. {
            let of = |name: &str| fields.get(&format!("IpPermissions.{number}.{name}")).cloned();
            let Some(protocol) = of("IpProtocol") else { break };
            if protocol.parse::<u8>().is_ok() && of("FromPort").is_none() {
                body.push_str(&format!("&IpPermissions.{number}.FromPort=-1&IpPermissions.{number}.ToPort=-1"));
            }
            let peer = of("PrefixListIds.1.PrefixListId").zip(of("PrefixListIds.1.Description"));
            let Some((peer, text)) = peer.or_else(|| of("Groups.1.GroupId").zip(of("Groups.1.Description"))) else {
                continue;
            };
            let direction = fields.get("Action").is_some_and(|api| api.ends_with("Egress")).to_string();
            let group = fields.get("GroupId").cloned().unwrap_or_default();
            let port = |name| of(name).unwrap_or_else(|| "-1".to_owned());
            told.push(([group, direction, protocol, port("FromPort"), port("ToPort"), peer].join(" "), text));
        }
        let answer = request.with(body).forward(moto).await?;
        if is_fine(&answer) {
            self.memory().descriptions.extend(told);
        }
        Ok(answer)
    }

    /// A description is updated by the rule's id, and cleared where none is given
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UpdateSecurityGroupRuleDescriptionsIngress.html>).
    fn describe(&self, request: &Request) {
        let fields: BTreeMap<String, String> = request.fields().collect();
        for number in 1.. {
            let of = |name: &str| fields.get(&format!("SecurityGroupRuleDescription.{number}.{name}")).cloned();
            let Some(id) = of("SecurityGroupRuleId") else { break };
            self.memory().descriptions.insert(id, of("Description").unwrap_or_default());
        }
    }

    /// The listing of rules has every description, and says which account owns the group
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html>).
    async fn rules(&self, request: &Request, moto: u16) -> io::Result<Vec<u8>> {
        const MARK: &str = "<securityGroupRuleId>";
        let answer = request.forward(moto).await?;
        if !is_fine(&answer) {
            return Ok(answer);
        }
        let text = document(&answer);
        let mut parts = text.split(MARK);
        let mut told = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            told.push_str(MARK);
            let owned = format!("</securityGroupRuleId><groupOwnerId>{}</groupOwnerId>", request.account());
            told.push_str(&self.with_description(part).replacen("</securityGroupRuleId>", &owned, 1));
        }
        Ok(plain(200, "text/xml", &told))
    }

    fn with_description(&self, rule: &str) -> String {
        let of = |name: &str| between(rule, &format!("<{name}>"), &format!("</{name}>"));
        let Some((id, _)) = rule.split_once('<') else { return rule.to_owned() };
        let referred = of("referencedGroupInfo").and_then(|info| between(&info, "<groupId>", "</groupId>"));
        let peer = of("prefixListId").or(referred).unwrap_or_default();
        let own = ["groupId", "isEgress", "ipProtocol", "fromPort", "toPort"].map(|name| of(name).unwrap_or_default());
        let memory = self.memory();
        let known =
            memory.descriptions.get(id).or_else(|| memory.descriptions.get(&[&own.join(" "), peer.as_str()].join(" ")));
        let Some(text) = known else { return rule.to_owned() };
        let bare = match of("description") {
            Some(old) => rule.replacen(&format!("<description>{old}</description>"), "", 1),
            None => rule.to_owned(),
        };
        let end = "</securityGroupRuleId>";
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        bare.replacen(end, &format!("{end}<description>{text}</description>"), 1)
    }
}

/// A type is changed while an instance is stopped; a shutdown's behaviour can be changed; and an interface is in exactly
/// the groups that its instance is put into
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html>).
async fn modify(request: &Request, moto: u16) -> io::Result<Vec<u8>> {
    let id = request.field("InstanceId").unwrap_or_default();
    if request.field("InstanceType.Value").is_some() {
        let by = [("Filter.1.Name", "instance-id"), ("Filter.1.Value.1", id.as_str())];
        let listed = request.call("DescribeInstances", &by).ask(moto).await?;
        let state = between(&listed, "<instanceState>", "</instanceState>").unwrap_or_default();
        if !state.contains("<name>stopped</name>") {
            let why = format!("The instance '{id}' is not in the 'stopped' state.");
            return Ok(refusal(400, "IncorrectInstanceState", &why));
        }
    }
    if let Some(behaviour) = request.field("InstanceInitiatedShutdownBehavior.Value") {
        let set =
            [("InstanceId", id.as_str()), ("Attribute", "instanceInitiatedShutdownBehavior"), ("Value", &behaviour)];
        return request.call("ModifyInstanceAttribute", &set).forward(moto).await;
    }
    let answer = request.forward(moto).await?;
    let groups = request.list("GroupId");
    if is_fine(&answer) && !groups.is_empty() {
        let by = [("Filter.1.Name", "attachment.instance-id"), ("Filter.1.Value.1", id.as_str())];
        let listed = request.call("DescribeNetworkInterfaces", &by).ask(moto).await?;
        let interface = between(&listed, "<networkInterfaceId>", "</networkInterfaceId>").unwrap_or_default();
        let keys: Vec<String> = (1..=groups.len()).map(|number| format!("SecurityGroupId.{number}")).collect();
        let mut set: Vec<(&str, &str)> = vec![("NetworkInterfaceId", &interface)];
        set.extend(keys.iter().map(String::as_str).zip(groups.iter().map(String::as_str)));
        request.call("ModifyNetworkInterfaceAttribute", &set).forward(moto).await?;
    }
    Ok(answer)
}

/// Detailed monitoring is switched by a call of its own
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_MonitorInstances.html>).
async fn monitor(request: &Request, api: &str, state: &str, moto: u16) -> io::Result<Vec<u8>> {
    for id in request.list("InstanceId") {
        let set = [("InstanceId", id.as_str()), ("Attribute", "monitoringState"), ("Value", state)];
        let answer = request.call("ModifyInstanceAttribute", &set).forward(moto).await?;
        if !is_fine(&answer) {
            return Ok(answer);
        }
    }
    Ok(done(api))
}

/// A public address that is no Elastic IP belongs to `amazon`
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterfaceAssociation.html>).
async fn instances(request: &Request, moto: u16) -> io::Result<Vec<u8>> {
    let answer = request.forward(moto).await?;
    let text = document(&answer);
    if !is_fine(&answer) || !text.contains("<ipOwnerId>") {
        return Ok(answer);
    }
    let addresses = request.call("DescribeAddresses", &[]).ask(moto).await?;
    let elastic = all_between(&addresses, "<publicIp>", "</publicIp>");
    let mut told = text.clone();
    for tie in all_between(&text, "<association>", "</association>") {
        let ip = between(&tie, "<publicIp>", "</publicIp>").unwrap_or_default();
        let owner = between(&tie, "<ipOwnerId>", "</ipOwnerId>").unwrap_or_default();
        if !elastic.contains(&ip) {
            told = told.replace(&tie, &tie.replace(&owner, "amazon"));
        }
    }
    Ok(plain(200, "text/xml", &told))
}

/// A profile that takes another's place is the instance's from then on
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceIamInstanceProfileAssociation.html>).
async fn swap_profile(request: &Request, api: &str, moto: u16) -> io::Result<Vec<u8>> {
    let tie = request.field("AssociationId").unwrap_or_default();
    let listed = request.call("DescribeIamInstanceProfileAssociations", &[("AssociationId.1", &tie)]).ask(moto).await?;
    let id = between(&listed, "<instanceId>", "</instanceId>").unwrap_or_default();
    request.call("DisassociateIamInstanceProfile", &[("AssociationId", &tie)]).forward(moto).await?;
    let fields: Vec<(String, String)> =
        request.fields().filter(|(key, _)| key.starts_with("IamInstanceProfile")).collect();
    let mut set: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    set.push(("InstanceId", &id));
    let answer = request.call("AssociateIamInstanceProfile", &set).forward(moto).await?;
    Ok(if is_fine(&answer) { done(api) } else { answer })
}

/// A key pair is deleted by its id too
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteKeyPair.html>).
async fn delete_key_pair(request: &Request, moto: u16) -> io::Result<Vec<u8>> {
    let Some(id) = request.field("KeyPairId") else { return request.forward(moto).await };
    let by = [("Filter.1.Name", "key-pair-id"), ("Filter.1.Value.1", id.as_str())];
    let listed = request.call("DescribeKeyPairs", &by).ask(moto).await?;
    match between(&listed, "<keyName>", "</keyName>") {
        Some(name) => request.call("DeleteKeyPair", &[("KeyName", &name)]).forward(moto).await,
        None => request.forward(moto).await,
    }
}

/// Names of groups differ by more than case
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html>).
async fn create_group(request: &Request, moto: u16) -> io::Result<Vec<u8>> {
    let (name, vpc) = (request.field("GroupName").unwrap_or_default(), request.field("VpcId").unwrap_or_default());
    let by = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc.as_str())];
    let listed = request.call("DescribeSecurityGroups", &by).ask(moto).await?;
    let names = all_between(&listed, "<groupName>", "</groupName>");
    if names.iter().any(|there| *there != name && there.eq_ignore_ascii_case(&name)) {
        let why = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Ok(refusal(400, "InvalidGroup.Duplicate", &why));
    }
    request.forward(moto).await
}

/// A group that an instance or a balancer is in, or that another group's rule names, stays
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html>).
async fn delete_group(request: &Request, moto: u16) -> io::Result<Vec<u8>> {
    let id = request.field("GroupId").unwrap_or_default();
    let held = refusal(400, "DependencyViolation", &format!("resource {id} has a dependent object"));
    let by = |filter| [("Filter.1.Name", filter), ("Filter.1.Value.1", id.as_str())];
    let interfaces = request.call("DescribeNetworkInterfaces", &by("group-id"));
    let interfaces = document(&balancers::interfaces(&interfaces, moto).await?);
    if interfaces.contains("<networkInterfaceId>") {
        return Ok(held);
    }
    for filter in ["ip-permission.group-id", "egress.ip-permission.group-id"] {
        let listed = request.call("DescribeSecurityGroups", &by(filter)).ask(moto).await?;
        if all_between(&listed, ":security-group/", "</securityGroupArn>").iter().any(|group| *group != id) {
            return Ok(held);
        }
    }
    request.forward(moto).await
}
