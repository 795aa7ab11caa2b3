//! The least IAM policy of a stack: permissions that are granted alike become one statement.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::{Grant, Need, On, Permit, Permits, api};
use crate::model::query::Regions;
use crate::model::{Kind, LeasePlace, Region, tags};
use crate::resources::registry::{self, Want};
use crate::resources::stack::Stack;

/// The version of IAM's policy language
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html>).
const VERSION: &str = "2012-10-17";

/// What somebody with a policy may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Plan and observe.
    Plan,
    /// That, and apply.
    Apply,
    /// Remove everything, wherever it is.
    Destroy,
}

impl Purpose {
    fn needs(self, need: Need) -> bool {
        match self {
            Self::Plan => need == Need::Read,
            Self::Apply => need != Need::Survey,
            Self::Destroy => matches!(need, Need::Read | Need::Survey | Need::Remove),
        }
    }
}

/// Everything that a stack needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    stack: String,
    account: String,
    partition: &'static str,
    regions: BTreeSet<Region>,
    permits: BTreeSet<Permit>,
    lock: Option<LeasePlace>,
}

/// A policy document, as IAM takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    sid: String,
    effect: &'static str,
    action: Few,
    resource: Few,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<String, Few>>,
}

/// One text or several: IAM takes one as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Few(BTreeSet<String>);

impl Few {
    fn one(text: impl Into<String>) -> Self {
        Self([text.into()].into())
    }
}

impl Serialize for Few {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match (self.0.first(), self.0.len()) {
            (Some(only), 1) => to.serialize_str(only),
            (_, _) => self.0.serialize(to),
        }
    }
}

/// What is granted under one set of conditions.
#[derive(Debug, Default)]
struct Group<'a> {
    actions: BTreeSet<&'static str>,
    on: BTreeSet<&'a On>,
    calls: BTreeSet<&'static str>,
}

impl Permissions {
    /// What a stack needs. Nothing of AWS is needed by a stack that is on hosts alone.
    #[must_use]
    pub fn of(stack: &Stack) -> Self {
        let regions: BTreeSet<Region> = stack.regions.iter().filter(|region| !region.is_hosts()).cloned().collect();
        let mut permits = Permits::default();
        if !regions.is_empty() {
            permits.read(Need::Read, &["ec2:DescribeSubnets", "ec2:DescribeVpcs"]);
            for kind in Kind::ALL {
                registry::listing(kind, &mut permits);
            }
            permits.along(Need::Survey, "DescribeRegions", &["ec2:DescribeRegions"], &Grant::Regions, &[On::Anything]);
        }
        for desired in stack.resources.values() {
            desired.want.permits(&desired.common, &mut permits);
            fleet(&desired.want, &mut permits);
        }
        let partition = partition(stack.region.as_ref().or(regions.first()));
        Self {
            stack: stack.name.to_string(),
            account: stack.account.as_ref().map_or("*".to_owned(), ToString::to_string),
            partition,
            regions,
            permits: permits.into_inner().into_iter().collect(),
            lock: stack.lock.clone(),
        }
    }

    /// Whether nothing is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.permits.is_empty() && self.lock.is_none()
    }

    /// What is needed for a purpose, permit by permit.
    pub fn permits(&self, purpose: Purpose) -> impl Iterator<Item = &Permit> {
        self.permits.iter().filter(move |permit| purpose.needs(permit.need))
    }

    /// The policy for a purpose. What is destroyed may be in any region.
    #[must_use]
    pub fn policy(&self, purpose: Purpose) -> Policy {
        let everywhere = BTreeSet::new();
        let within = if purpose == Purpose::Destroy { &everywhere } else { &self.regions };
        let mut statement = self.statements(within, |permit| purpose.needs(permit.need));
        // Who only plans takes no lock.
        statement.extend(self.lock.as_ref().filter(|_| purpose != Purpose::Plan).map(|lock| self.lease(lock)));
        Policy { version: VERSION, statement }
    }

    /// What the lock in a bucket takes: conditional writes need no more than the writes themselves
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>). The bucket may be in any region.
    fn lease(&self, lock: &LeasePlace) -> Statement {
        let below = if lock.prefix.is_empty() { String::new() } else { format!("{}/", lock.prefix) };
        Statement {
            sid: "Lock".to_owned(),
            effect: "Allow",
            action: Few(["s3:GetObject", "s3:PutObject"].map(str::to_owned).into()),
            resource: Few::one(format!("arn:{}:s3:::{}/{below}*", self.partition, lock.bucket)),
            condition: BTreeMap::new(),
        }
    }

    /// The statements that a call in a region needs, each of them with no other action. When AWS named the action that it
    /// missed, only those that allow it: what a call of EC2's is refused for may be the tags that it writes.
    #[must_use]
    pub fn missing(&self, call: &str, action: Option<&str>, region: &str) -> Vec<Statement> {
        let everywhere = BTreeSet::new();
        let is_here = self.regions.iter().any(|here| here.as_str() == region);
        let within = if is_here { &self.regions } else { &everywhere };
        let named = |permit: &Permit| action.is_none_or(|action| permit.action == action);
        let found = self.statements(within, |permit| permit.call == call && named(permit));
        if found.is_empty() && action.is_some() { self.statements(within, named) } else { found }
    }

    fn statements(&self, within: &BTreeSet<Region>, wanted: impl Fn(&Permit) -> bool) -> Vec<Statement> {
        let mut groups: BTreeMap<&Grant, Group<'_>> = BTreeMap::new();
        for permit in self.permits.iter().filter(|permit| wanted(permit)) {
            let group = groups.entry(&permit.grant).or_default();
            group.actions.insert(permit.action);
            group.on.insert(&permit.on);
            group.calls.insert(permit.call);
        }
        let mut said: BTreeMap<&str, usize> = BTreeMap::new();
        let mut statements = Vec::with_capacity(groups.len());
        for (grant, group) in groups {
            let times = said.entry(sid(grant)).or_default();
            *times += 1;
            let number = if *times > 1 { times.to_string() } else { String::new() };
            statements.push(Statement {
                sid: format!("{}{number}", sid(grant)),
                effect: "Allow",
                action: Few(group.actions.iter().map(|action| (*action).to_owned()).collect()),
                resource: Few(group.on.iter().map(|on| self.arn(on)).collect()),
                condition: self.conditions(grant, &group.calls, within),
            });
        }
        statements
    }

    /// The ARN. The region is left to the condition on [`AWS:RequestedRegion`], which says it once for all.
    ///
    /// [`AWS:RequestedRegion`]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    fn arn(&self, on: &On) -> String {
        let Self { account, partition, .. } = self;
        match on {
            On::Anything => "*".to_owned(),
            On::Ec2("*") => format!("arn:{partition}:ec2:*:{account}:*/*"),
            On::Ec2(what) => format!("arn:{partition}:ec2:*:{account}:{what}/*"),
            On::Ec2One(what, id) => format!("arn:{partition}:ec2:*:{account}:{what}/{id}"),
            On::Images => format!("arn:{partition}:ec2:*::image/*"),
            On::Balancers => format!("arn:{partition}:elasticloadbalancing:*:{account}:loadbalancer/*"),
            On::Balancer(name) => format!("arn:{partition}:elasticloadbalancing:*:{account}:loadbalancer/{name}"),
            On::Role(path) => format!("arn:{partition}:iam::{account}:role/{path}"),
            On::Key(id) => format!("arn:{partition}:kms:*:{account}:key/{id}"),
            On::Arn(arn) => arn.clone(),
        }
    }

    fn conditions(
        &self,
        grant: &Grant,
        calls: &BTreeSet<&'static str>,
        within: &BTreeSet<Region>,
    ) -> BTreeMap<&'static str, BTreeMap<String, Few>> {
        let mut all: BTreeMap<&'static str, BTreeMap<String, Few>> = BTreeMap::new();
        let mut set = |operator, key: String, values: Few| {
            all.entry(operator).or_default().insert(key, values);
        };
        let calls = || Few(calls.iter().map(|call| (*call).to_owned()).collect());
        match grant {
            Grant::Read | Grant::Beside(_) | Grant::Regions => {}
            Grant::Fleet(Regions::AllBut(except)) if except.is_empty() => {}
            Grant::Fleet(Regions::AllBut(except)) => set("StringNotEquals", REGION.to_owned(), regions(except)),
            Grant::Fleet(Regions::These(these)) => set("StringEquals", REGION.to_owned(), regions(these)),
            Grant::Create | Grant::Adopt => {
                set("StringEquals", format!("aws:RequestTag/{}", tags::STACK), Few::one(&self.stack));
            }
            Grant::Own => set("StringEquals", format!("aws:ResourceTag/{}", tags::STACK), Few::one(&self.stack)),
            Grant::TagNew => set("StringEquals", "ec2:CreateAction".to_owned(), calls()),
            Grant::TagNewBalancer => set("StringEquals", "elasticloadbalancing:CreateAction".to_owned(), calls()),
            Grant::PassRole => set("StringEquals", "iam:PassedToService".to_owned(), Few::one(self.service("ec2"))),
            Grant::LinkedRole => {
                let service = Few::one("elasticloadbalancing.amazonaws.com");
                set("StringEquals", "iam:AWSServiceName".to_owned(), service);
            }
            Grant::UseKey | Grant::LendKey => {
                set("StringLike", "kms:ViaService".to_owned(), Few::one(self.service("ec2.*")));
                if *grant == Grant::LendKey {
                    set("Bool", "kms:GrantIsForAWSResource".to_owned(), Few::one("true"));
                }
            }
        }
        let global = matches!(grant, Grant::PassRole | Grant::LinkedRole | Grant::Fleet(_));
        if !global && !within.is_empty() {
            set("StringEquals", REGION.to_owned(), regions(within));
        }
        all
    }

    /// The name of a service for others.
    fn service(&self, name: &str) -> String {
        let end = if self.partition == "aws-cn" { ".cn" } else { "" };
        format!("{name}.amazonaws.com{end}")
    }
}

impl Policy {
    /// Its statements.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statement
    }

    /// Its length as IAM counts it: without white space.
    #[must_use]
    pub fn length(&self) -> usize {
        // It is plain text under plain keys, which can always be written.
        serde_json::to_string(self).unwrap_or_default().len()
    }
}

/// The condition key for the region that a request is sent to.
const REGION: &str = "aws:RequestedRegion";

fn regions(regions: &BTreeSet<Region>) -> Few {
    Few(regions.iter().map(ToString::to_string).collect())
}

/// What a statement is called. IAM takes letters and digits.
const fn sid(grant: &Grant) -> &'static str {
    match grant {
        Grant::Read => "Read",
        Grant::Fleet(_) => "ReadInstances",
        Grant::Regions => "ReadRegions",
        Grant::Create => "Create",
        Grant::TagNew => "TagNew",
        Grant::TagNewBalancer => "TagNewBalancer",
        Grant::Own => "ChangeOwn",
        Grant::Beside(name) => name,
        Grant::PassRole => "PassRole",
        Grant::UseKey => "UseKey",
        Grant::LendKey => "LendKey",
        Grant::LinkedRole => "ServiceLinkedRole",
        Grant::Adopt => "Adopt",
    }
}

/// What queries about instances take, whoever owns them.
fn fleet(want: &Want, permits: &mut Permits) {
    for query in want.queries() {
        let action = "ec2:DescribeInstances";
        permits.along(Need::Read, api(action), &[action], &Grant::Fleet(query.regions.clone()), &[On::Anything]);
        if matches!(query.regions, Regions::AllBut(_)) {
            permits.along(Need::Read, "DescribeRegions", &["ec2:DescribeRegions"], &Grant::Regions, &[On::Anything]);
        }
    }
}

/// The part of AWS that a region is in
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>).
fn partition(region: Option<&Region>) -> &'static str {
    match region.map(Region::as_str) {
        Some(region) if region.starts_with("cn-") => "aws-cn",
        Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
        Some(_) | None => "aws",
    }
}
