//! The calls that change a security group on AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use aws_sdk_ec2::types::{
    IpPermission, IpRange, Ipv6Range, PrefixListId, ResourceType, SecurityGroupRuleDescription, UserIdGroupPair,
};
use tokio::time::Instant;

use super::{find, rules_now};
use crate::model::id::VpcId;
use crate::model::net::{Cidr, Traffic};
use crate::model::{CloudId, Output, Tags};
use crate::port::{Bindings, Class, Outputs, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::error::Remedy;
use crate::provider::aws::listing;
use crate::provider::aws::retry::{Ask, deadline};
use crate::resources::registry::Call;
use crate::resources::security_group::action::{Action, DescribedRule, NewRule, OldRule};
use crate::resources::security_group::state::{Direction, Peer, Rule};

/// The pause before rules are read again that should have changed.
const PAUSE: Duration = Duration::from_secs(2);
/// How often rules are read again that should have changed.
const ROUNDS: usize = 5;

/// Carries out one call.
///
/// # Errors
/// What AWS answers.
pub async fn perform(gate: &Gate, call: &Call, action: &Action, known: &Bindings) -> Result<Outputs, ProviderError> {
    let until = deadline(call.timeout);
    match action {
        Action::Create { name, description, vpc, tags } => {
            return create(gate, &New { name, description, vpc, tags }, until).await;
        }
        Action::RevokeDefaultEgress => revoke_default_egress(gate, &known.target(call)?, until).await?,
        Action::Authorize { direction, rules, tags } => {
            let group = Group { gate, id: known.target(call)?, direction: *direction, until };
            group.authorize(rules, tags, known).await?;
        }
        Action::Revoke { direction, rules } => {
            let group = Group { gate, id: known.target(call)?, direction: *direction, until };
            group.revoke(rules.iter().map(|rule: &OldRule| rule.id.clone()).collect()).await?;
        }
        Action::Describe { direction, rules } => {
            Group { gate, id: known.target(call)?, direction: *direction, until }.describe(rules).await?;
        }
        Action::Tag(edit) => gate.tag(&known.target(call)?, edit, until).await?,
        Action::Delete => delete(gate, &known.target(call)?, until).await?,
    }
    Ok(Outputs::new())
}

/// What a group is made from.
struct New<'a> {
    name: &'a str,
    description: &'a str,
    vpc: &'a VpcId,
    tags: &'a Tags,
}

/// `CreateSecurityGroup`. Names are unique in a VPC, so sending it again makes no second group; what is there under the
/// name is ours only when its tags say so.
async fn create(gate: &Gate, new: &New<'_>, until: Instant) -> Result<Outputs, ProviderError> {
    let ask = Ask::until("CreateSecurityGroup", until);
    let written = listing::specification(ResourceType::SecurityGroup, new.tags);
    let send = || {
        let create = gate.ec2().create_security_group().group_name(new.name).description(new.description);
        create.vpc_id(new.vpc.as_str()).set_tag_specifications(written.clone().map(|one| vec![one])).send()
    };
    let id = match gate.send(&ask, send).await {
        Ok(made) => made.group_id.ok_or_else(|| listing::incomplete(&gate.doing(ask.api), "`GroupId`"))?,
        Err(error) if error.class == Class::AlreadyExists => match find_soon(gate, new).await? {
            Some((id, tags)) if listing::same_owner(&tags, new.tags) => id.as_str().to_owned(),
            Some((id, _)) => {
                return Err(error.hint(format!("`{id}` has this name and is not this one: name another, or adopt it")));
            }
            None => return Err(error),
        },
        Err(error) => return Err(error),
    };
    gate.made(&id);
    Ok(Outputs::from([(Output::Id, id), (Output::Name, new.name.to_owned())]))
}

/// The group that has the name already. A listing may lag behind a refusal, so it is read several times.
async fn find_soon(gate: &Gate, new: &New<'_>) -> Result<Option<(CloudId, Tags)>, ProviderError> {
    for _ in 0..ROUNDS {
        let found = find(gate, Some(new.vpc), new.name).await?;
        if found.is_some() {
            return Ok(found);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(None)
}

/// Takes away what AWS gives a new group, and looks whether it is gone: where a listing lags, `Return=true` says nothing
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html>).
async fn revoke_default_egress(gate: &Gate, id: &CloudId, until: Instant) -> Result<(), ProviderError> {
    let everyone = |cidr: &str| Cidr::listed(cidr);
    let defaults: Vec<Cidr> = ["0.0.0.0/0", "::/0"].into_iter().filter_map(everyone).collect();
    for cidr in &defaults {
        let permission = permission(Traffic::All, &Peer::Cidr(*cidr), None);
        let ask = Ask::until("RevokeSecurityGroupEgress", until).uses([id.as_str()]);
        let send = || {
            let revoke = gate.ec2().revoke_security_group_egress().group_id(id.as_str());
            revoke.ip_permissions(permission.clone()).send()
        };
        match gate.send(&ask, send).await {
            Ok(_) => {}
            // In a VPC without IPv6 there is no such rule, and some answers call the range itself invalid.
            Err(error)
                if error.code.as_deref() == Some("InvalidPermission.NotFound")
                    || (!cidr.is_v4() && error.code.as_deref() == Some("InvalidParameterValue")) => {}
            Err(error) => return Err(error),
        }
    }
    for _ in 0..ROUNDS {
        let is_default = |rule: &Rule<CloudId>| {
            rule.traffic == Traffic::All && matches!(rule.peer, Peer::Cidr(cidr) if defaults.contains(&cidr))
        };
        let left = rules_now(gate, id).await?;
        let left = left.into_iter().filter(|one| one.direction == Direction::Egress && is_default(&one.rule));
        let left: BTreeSet<CloudId> = left.map(|one| one.id).collect();
        if left.is_empty() {
            return Ok(());
        }
        let group = Group { gate, id: id.clone(), direction: Direction::Egress, until };
        group.revoke(left).await?;
    }
    let doing = gate.doing("RevokeSecurityGroupEgress");
    Err(ProviderError::new(Class::TimedOut, doing, format!("the default egress of `{id}` is still listed")))
}

/// One direction of one group.
struct Group<'a> {
    gate: &'a Gate,
    id: CloudId,
    direction: Direction,
    until: Instant,
}

impl Group<'_> {
    /// Authorizes rules. AWS refuses a whole batch for one rule that is there already
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html>): what is there
    /// is read, and only what is missing is sent again.
    async fn authorize(&self, rules: &[NewRule], tags: &Tags, known: &Bindings) -> Result<(), ProviderError> {
        let mut missing: BTreeMap<Rule<CloudId>, Option<String>> = BTreeMap::new();
        for new in rules {
            missing.insert(self.settle(&new.rule, known)?, new.description.clone());
        }
        let mut last = None;
        for round in 0..ROUNDS {
            if missing.is_empty() {
                return Ok(());
            }
            match self.authorize_batch(&missing, tags).await {
                Ok(()) => return Ok(()),
                Err(error) if error.class == Class::AlreadyExists => last = Some(error),
                Err(error) => return Err(error),
            }
            if round > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let there = rules_now(self.gate, &self.id).await?;
            for one in there.iter().filter(|one| one.direction == self.direction) {
                missing.remove(&one.rule);
            }
        }
        match last {
            Some(error) if !missing.is_empty() => Err(error),
            Some(_) | None => Ok(()),
        }
    }

    async fn authorize_batch(
        &self,
        rules: &BTreeMap<Rule<CloudId>, Option<String>>,
        tags: &Tags,
    ) -> Result<(), ProviderError> {
        let permissions: Vec<IpPermission> =
            rules.iter().map(|(rule, text)| permission(rule.traffic, &rule.peer, text.as_deref())).collect();
        let written = listing::specification(ResourceType::SecurityGroupRule, tags).map(|one| vec![one]);
        let peers = rules.keys().filter_map(|rule| match &rule.peer {
            Peer::Group(id) => Some(id.as_str()),
            Peer::Cidr(_) | Peer::ForeignGroup { .. } | Peer::PrefixList(_) | Peer::Output { .. } => None,
        });
        let ask = self.ask("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress").uses(peers);
        let (ec2, id) = (self.gate.ec2(), self.id.as_str());
        match self.direction {
            Direction::Ingress => {
                let send = || {
                    let call = ec2.authorize_security_group_ingress().group_id(id);
                    call.set_ip_permissions(Some(permissions.clone())).set_tag_specifications(written.clone()).send()
                };
                self.gate.send(&ask, send).await.map(drop)
            }
            Direction::Egress => {
                let send = || {
                    let call = ec2.authorize_security_group_egress().group_id(id);
                    call.set_ip_permissions(Some(permissions.clone())).set_tag_specifications(written.clone()).send()
                };
                self.gate.send(&ask, send).await.map(drop)
            }
        }
    }

    /// Revokes rules by id. One id that is gone stops the whole batch, so what is left is read and sent again.
    async fn revoke(&self, mut ids: BTreeSet<CloudId>) -> Result<(), ProviderError> {
        for _ in 0..ROUNDS {
            if ids.is_empty() {
                return Ok(());
            }
            match self.revoke_batch(&ids).await {
                Ok(()) => return Ok(()),
                Err(error) if error.class == Class::NotFound => {}
                Err(error) => return Err(error),
            }
            let there: BTreeSet<CloudId> =
                rules_now(self.gate, &self.id).await?.into_iter().map(|one| one.id).collect();
            ids.retain(|id| there.contains(id));
            if !ids.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        let doing = self.gate.doing(self.api("RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"));
        Err(ProviderError::new(Class::TimedOut, doing, "rules are listed that AWS says are not there"))
    }

    async fn revoke_batch(&self, ids: &BTreeSet<CloudId>) -> Result<(), ProviderError> {
        let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let ask = self.ask("RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress");
        let (ec2, id) = (self.gate.ec2(), self.id.as_str());
        match self.direction {
            Direction::Ingress => {
                let send = || {
                    let call = ec2.revoke_security_group_ingress().group_id(id);
                    call.set_security_group_rule_ids(Some(ids.clone())).send()
                };
                self.gate.send(&ask, send).await.map(drop)
            }
            Direction::Egress => {
                let send = || {
                    let call = ec2.revoke_security_group_egress().group_id(id);
                    call.set_security_group_rule_ids(Some(ids.clone())).send()
                };
                self.gate.send(&ask, send).await.map(drop)
            }
        }
    }

    /// Writes descriptions; one that is left out is cleared
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UpdateSecurityGroupRuleDescriptionsIngress.html>).
    async fn describe(&self, rules: &[DescribedRule]) -> Result<(), ProviderError> {
        let written: Vec<SecurityGroupRuleDescription> = rules
            .iter()
            .map(|rule| {
                let written = SecurityGroupRuleDescription::builder().security_group_rule_id(rule.id.as_str());
                written.set_description(rule.description.clone()).build()
            })
            .collect();
        let ask = self.ask("UpdateSecurityGroupRuleDescriptionsIngress", "UpdateSecurityGroupRuleDescriptionsEgress");
        let (ec2, id) = (self.gate.ec2(), self.id.as_str());
        match self.direction {
            Direction::Ingress => {
                let send = || {
                    let call = ec2.update_security_group_rule_descriptions_ingress().group_id(id);
                    call.set_security_group_rule_descriptions(Some(written.clone())).send()
                };
                self.gate.send(&ask, send).await.map(drop)
            }
            Direction::Egress => {
                let send = || {
                    let call = ec2.update_security_group_rule_descriptions_egress().group_id(id);
                    call.set_security_group_rule_descriptions(Some(written.clone())).send()
                };
                self.gate.send(&ask, send).await.map(drop)
            }
        }
    }

    /// The rule with its links and outputs filled in.
    fn settle(&self, rule: &Rule<crate::model::Link>, known: &Bindings) -> Result<Rule<CloudId>, ProviderError> {
        let peer = match &rule.peer {
            Peer::Cidr(cidr) => Peer::Cidr(*cidr),
            Peer::Group(link) => Peer::Group(known.id(link)?),
            Peer::ForeignGroup { account, group } => {
                Peer::ForeignGroup { account: account.clone(), group: group.clone() }
            }
            Peer::PrefixList(list) => Peer::PrefixList(list.clone()),
            Peer::Output { address, output } => {
                let value = known.output(address, *output);
                let ip: IpAddr = value.and_then(|text| text.parse().ok()).ok_or_else(|| {
                    let doing =
                        self.gate.doing(self.api("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"));
                    ProviderError::new(
                        Class::Invalid,
                        doing,
                        format!("`{address}.{output}` is not known as an address"),
                    )
                })?;
                Peer::Cidr(Cidr::host(ip))
            }
        };
        Ok(Rule { traffic: rule.traffic, peer })
    }

    const fn api(&self, ingress: &'static str, egress: &'static str) -> &'static str {
        match self.direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        }
    }

    fn ask(&self, ingress: &'static str, egress: &'static str) -> Ask<'_> {
        Ask::until(self.api(ingress, egress), self.until).uses([self.id.as_str()])
    }
}

/// A rule as EC2 takes it: one permission with one peer, so that each has its own description.
fn permission(traffic: Traffic, peer: &Peer<CloudId>, description: Option<&str>) -> IpPermission {
    let text = description.map(str::to_owned);
    let (from, to) = traffic.wire_ports().unzip();
    let built = IpPermission::builder().ip_protocol(traffic.protocol()).set_from_port(from).set_to_port(to);
    match peer {
        Peer::Cidr(cidr) if cidr.is_v4() => {
            built.ip_ranges(IpRange::builder().cidr_ip(cidr.to_string()).set_description(text).build())
        }
        Peer::Cidr(cidr) => {
            built.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr.to_string()).set_description(text).build())
        }
        Peer::Group(id) => {
            built.user_id_group_pairs(UserIdGroupPair::builder().group_id(id.as_str()).set_description(text).build())
        }
        Peer::ForeignGroup { account, group } => built.user_id_group_pairs(
            UserIdGroupPair::builder().group_id(group.as_str()).user_id(account).set_description(text).build(),
        ),
        Peer::PrefixList(list) => {
            built.prefix_list_ids(PrefixListId::builder().prefix_list_id(list.as_str()).set_description(text).build())
        }
        // Outputs are filled in before; a permission without a peer is refused by AWS.
        Peer::Output { .. } => built,
    }
    .build()
}

/// `DeleteSecurityGroup`. Interfaces let go of a group only a while after their instance is gone, so a refusal because
/// the group is in use is waited out; a group that is gone is no error.
async fn delete(gate: &Gate, id: &CloudId, until: Instant) -> Result<(), ProviderError> {
    let ask = Ask::until("DeleteSecurityGroup", until).uses([id.as_str()]).patient(Remedy::Released);
    match gate.send(&ask, || gate.ec2().delete_security_group().group_id(id.as_str()).send()).await {
        Err(error) if error.class != Class::NotFound => Err(error),
        Ok(_) | Err(_) => {
            gate.removed(id.as_str());
            Ok(())
        }
    }
}
