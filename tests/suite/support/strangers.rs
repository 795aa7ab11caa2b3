//! What an account of moto lists, whoever owns it, and objects there that only look like a stack's.

use std::collections::BTreeMap;

use super::canary;
use super::http::{all_between, between};
use super::moto;

/// Where they all are.
pub const REGION: &str = "eu-west-1";

/// One object as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id; a balancer's name.
    pub id: String,
    /// Its name, where it has one.
    pub name: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Everything that is said of it.
    pub text: String,
}

impl Listed {
    /// Whether nobody made it: the network's own group.
    pub fn is_usual(&self) -> bool {
        self.name == "default"
    }
}

/// Asks EC2 past every proxy.
fn ec2(account: &str, action: &str) -> String {
    moto::ask_in(account, "ec2", REGION, &format!("Version=2016-11-15&Action={action}"))
}

/// Asks load balancing past every proxy.
fn elb(account: &str, action: &str) -> String {
    moto::ask_in(account, "elasticloadbalancing", REGION, &format!("Version=2012-06-01&Action={action}"))
}

/// The members of a list that stand in it, and not in a list of a member.
fn members<'a>(document: &'a str, list: &str, member: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{member}>"), format!("</{member}>"));
    let Some((_, mut rest)) = document.split_once(&format!("<{list}>")) else { return Vec::new() };
    let mut all = Vec::new();
    while let Some(inside) = rest.trim_start().strip_prefix(&open) {
        let (mut depth, mut at) = (1, 0);
        while depth > 0 {
            let after = &inside[at..];
            let (opens, closes) = (after.find(&open), after.find(&close).expect("an end"));
            if opens.is_some_and(|opens| opens < closes) {
                (depth, at) = (depth + 1, at + opens.unwrap_or(0) + open.len());
            } else {
                (depth, at) = (depth - 1, at + closes + close.len());
            }
        }
        all.push(&inside[..at - close.len()]);
        rest = &inside[at..];
    }
    all
}

fn tags(text: &str, key: &str, value: &str) -> BTreeMap<String, String> {
    let of = |name: &str| all_between(text, &format!("<{name}>"), &format!("</{name}>"));
    of(key).into_iter().zip(of(value)).collect()
}

/// Everything that an account lists and that lives, of the kinds that there are. No tag of it tells a secret.
pub fn listed(account: &str) -> Vec<Listed> {
    let mut all = Vec::new();
    for (action, list, id, name) in [
        ("DescribeSecurityGroups", "securityGroupInfo", "groupId", "groupName"),
        ("DescribeAddresses", "addressesSet", "allocationId", "publicIp"),
        ("DescribeKeyPairs", "keySet", "keyPairId", "keyName"),
        ("DescribeVolumes", "volumeSet", "volumeId", ""),
    ] {
        let document = ec2(account, action);
        all.extend(members(&document, list, "item").into_iter().map(|item| one(item, id, name)));
    }
    let instances = ec2(account, "DescribeInstances&MaxResults=1000");
    for reservation in members(&instances, "reservationSet", "item") {
        let items = members(reservation, "instancesSet", "item").into_iter();
        all.extend(
            items.filter(|item| !item.contains("<name>terminated</name>")).map(|item| one(item, "instanceId", "")),
        );
    }
    let balancers = elb(account, "DescribeLoadBalancers");
    for member in members(&balancers, "LoadBalancerDescriptions", "member") {
        let name = between(member, "<LoadBalancerName>", "</LoadBalancerName>").unwrap_or_default();
        let told = elb(account, &format!("DescribeTags&LoadBalancerNames.member.1={name}"));
        let text = format!("{member}{}", between(&told, "<Tags>", "</Tags>").unwrap_or_default());
        all.push(Listed { id: name.clone(), name, tags: tags(&told, "Key", "Value"), text });
    }
    for one in &all {
        canary::demand_absent("what AWS lists", &one.text);
    }
    all
}

fn one(item: &str, id: &str, name: &str) -> Listed {
    // The tags of an instance's parts are the instance's.
    let of = |field: &str| between(item, &format!("<{field}>"), &format!("</{field}>")).unwrap_or_default();
    let set = all_between(item, "<tagSet>", "</tagSet>").pop().unwrap_or_default();
    // Of two who list keys at once moto shows both the key that one asked for; its fingerprint stays.
    let text = item.replace(&format!("<publicKey>{}</publicKey>", of("publicKey")), "");
    Listed { id: of(id), name: of(name), tags: tags(&set, "key", "value"), text }
}

/// Objects that look like a stack's, and are not.
pub struct Strangers {
    account: &'static str,
    before: Vec<Listed>,
}

impl Strangers {
    /// Makes so many of each kind beside a stack. Their stacks are called nearly as it is, or they say only half of what it
    /// takes to be owned.
    pub fn settle(account: &'static str, stack: &str, count: usize) -> Self {
        for number in 0..count {
            let name = format!("{}-{number}", stack.to_uppercase());
            let of = |kind: &str, address: &str| specification(kind, &pairs(number, stack, address));
            let group = of("security-group", "security_group.web");
            ec2(account, &format!("CreateSecurityGroup&GroupName={name}&GroupDescription=x{group}"));
            ec2(account, &format!("AllocateAddress&Domain=vpc{}", of("elastic-ip", "elastic_ip.edge")));
            ec2(account, &format!("CreateKeyPair&KeyName={name}{}", of("key-pair", "key_pair.ops")));
            let launch = "RunInstances&ImageId=ami-0123456789abcdef0&MinCount=1&MaxCount=1";
            ec2(account, &format!("{launch}{}", of("instance", "instance.web")));
            let tags = pairs(number, stack, "load_balancer.front");
            let tags = tags
                .iter()
                .enumerate()
                .map(|(at, (key, value))| format!("&Tags.member.{0}.Key={key}&Tags.member.{0}.Value={value}", at + 1));
            let listener = "Listeners.member.1.Protocol=http&Listeners.member.1.LoadBalancerPort=80\
                            &Listeners.member.1.InstancePort=80&AvailabilityZones.member.1=eu-west-1a";
            let tags: String = tags.collect();
            elb(account, &format!("CreateLoadBalancer&LoadBalancerName={name}&{listener}{tags}"));
            // Without a word AWS checks the first instance port, and moto nothing.
            let check = "HealthCheck.Target=TCP:80&HealthCheck.Interval=30&HealthCheck.Timeout=5\
                         &HealthCheck.UnhealthyThreshold=2&HealthCheck.HealthyThreshold=10";
            elb(account, &format!("ConfigureHealthCheck&LoadBalancerName={name}&{check}"));
        }
        let before: Vec<Listed> = listed(account).into_iter().filter(|one| !one.is_usual()).collect();
        assert!(before.len() >= 5 * count, "{} strangers", before.len());
        Self { account, before }
    }

    /// Whether an object is one of them.
    pub fn contain(&self, one: &Listed) -> bool {
        self.before.iter().any(|stranger| stranger.id == one.id)
    }

    /// Demands that each is as it was, to the letter.
    pub fn are_as_they_were(&self) {
        let now = listed(self.account);
        for before in &self.before {
            assert_eq!(now.iter().find(|one| one.id == before.id), Some(before));
        }
    }
}

/// The tags of the how-manieth stranger, as they stand in a form.
fn pairs(number: usize, stack: &str, address: &str) -> Vec<(String, String)> {
    let (mut owner, mut at) = (Some(stack.to_owned()), Some(address.to_owned()));
    match number % 8 {
        0 => owner = Some(format!("{stack}2")),
        1 => owner = Some(stack.to_uppercase()),
        2 => owner = Some(format!("{stack}%20")),
        3 => owner = Some(format!("{stack}%2A")),
        4 => owner = Some("%2A".to_owned()),
        5 => owner = None,
        6 => at = None,
        _ => at = Some(address.to_uppercase()),
    }
    let pair = |key: &str, value: String| (format!("portcullis:{key}"), value);
    let name = Some(("Name".to_owned(), format!("{stack}-web")));
    let generation = Some(pair("generation", "1".to_owned()));
    let all = [owner.map(|owner| pair("stack", owner)), at.map(|at| pair("address", at)), generation, name];
    all.into_iter().flatten().collect()
}

fn specification(kind: &str, pairs: &[(String, String)]) -> String {
    let tags = pairs.iter().enumerate().map(|(at, (key, value))| {
        let tag = format!("&TagSpecification.1.Tag.{}", at + 1);
        format!("{tag}.Key={key}{tag}.Value={value}")
    });
    format!("&TagSpecification.1.ResourceType={kind}{}", tags.collect::<String>())
}
