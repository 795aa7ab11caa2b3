//! The first look: every region and every kind at once, in listings and their pages, never one call an object.

use std::collections::{BTreeMap, BTreeSet};

use super::client::Gate;
use super::fleet::fleet;
use super::listing::{self, PAGE, Select};
use super::retry::Ask;
use super::{Aws, completed, list};
use crate::model::id::{SubnetId, VpcId, ZoneName};
use crate::model::net::Cidr;
use crate::model::query::Regions;
use crate::model::{Kind, Region, StackName, Tags};
use crate::port::{Class, ProviderError, Scope};
use crate::resources::Read;
use crate::resources::registry::Object;
use crate::resources::snapshot::{Facts, Snapshot, Subnet, Unseen, Vpc};

/// Lists what a scope asks for, and beside it the instances that queries look at. A listing that fails fails the whole in a region that the scope names; in one that is only
/// looked at because every region is, it is noted as unseen.
///
/// # Errors
/// The first listing that fails in a region that the scope names, or that nobody says which regions there are where that is
/// asked: a region that is not even known would count as empty.
pub(super) async fn observe(aws: &Aws, scope: &Scope) -> Result<Snapshot, ProviderError> {
    let every = scope.fleet.iter().any(|asked| matches!(asked, Regions::AllBut(_)));
    let enabled =
        if scope.all_regions || every { enabled_regions(&aws.gate(&aws.region)).await? } else { BTreeSet::new() };
    let mut regions = scope.regions.clone();
    if scope.all_regions {
        regions.extend(enabled.iter().cloned());
    }
    regions.retain(|region| !region.is_hosts());
    let looks = regions.iter().map(|region| async move { (region, look(aws, region, scope).await) });
    let mut snapshot = Snapshot { account: Some(aws.account.clone()), ..Snapshot::default() };
    let (looks, fleet) = tokio::join!(listing::together(looks.collect()), fleet(aws, &scope.fleet, &enabled));
    snapshot.fleet = fleet;
    for (region, look) in looks {
        let named = scope.regions.contains(region);
        match look.facts {
            Ok(facts) => {
                snapshot.facts.insert(region.clone(), facts);
            }
            Err(error) if named => return Err(error),
            Err(error) => {
                snapshot.unseen.push(Unseen { region: region.clone(), kind: None, why: error.to_string() });
            }
        }
        for (kind, listed) in look.kinds {
            match listed {
                Ok(objects) => snapshot.objects.extend(objects),
                Err(error) if named => return Err(error),
                Err(error) => {
                    let why = error.to_string();
                    snapshot.unseen.push(Unseen { region: region.clone(), kind: Some(kind), why });
                }
            }
        }
    }
    let place = |object: &Object| (object.region.clone(), object.kind(), object.id.clone());
    snapshot.objects.sort_by_key(place);
    Ok(snapshot)
}

/// What one region showed.
struct Look {
    kinds: Vec<(Kind, Result<Vec<Object>, ProviderError>)>,
    facts: Result<Facts, ProviderError>,
}

async fn look(aws: &Aws, region: &Region, scope: &Scope) -> Look {
    let gate = &aws.gate(region);
    let kinds = Kind::ALL.into_iter().map(|kind| async move {
        let wanted = scope.named.iter().filter(|wanted| wanted.kind == kind && wanted.region == *region);
        let called: BTreeSet<String> = wanted.map(|wanted| wanted.called.clone()).collect();
        (kind, kept(gate, kind, scope, &called).await)
    });
    let (kinds, facts) = tokio::join!(listing::together(kinds.collect()), facts(gate, &scope.reads));
    Look { kinds, facts }
}

/// A kind's objects, with what is read of them where that is asked.
async fn kept(gate: &Gate, kind: Kind, scope: &Scope, called: &BTreeSet<String>) -> Result<Vec<Object>, ProviderError> {
    let objects = owned_and_called(gate, kind, &scope.stack, called).await?;
    completed(gate, kind, &scope.reads, objects).await
}

/// A kind's objects: the stack's own, and those that the spec names.
async fn owned_and_called(
    gate: &Gate,
    kind: Kind,
    stack: &StackName,
    called: &BTreeSet<String>,
) -> Result<Vec<Object>, ProviderError> {
    let mut selects = vec![Select::Owned(stack)];
    if !called.is_empty() {
        selects.push(Select::Called(called));
    }
    listing::join(selects.into_iter().map(|select| list(gate, kind, select)).collect()).await
}

/// Every region that is enabled for the account.
async fn enabled_regions(gate: &Gate) -> Result<BTreeSet<Region>, ProviderError> {
    let ask = Ask::read("DescribeRegions");
    let listed = gate.send(&ask, || gate.ec2().describe_regions().all_regions(false).send()).await?;
    let read = |name: &str| {
        let detail = |why| ProviderError::new(Class::Invalid, gate.doing(ask.api), format!("`{name}`: {why}"));
        Region::new(name).map_err(detail)
    };
    listed.regions().iter().filter_map(|region| region.region_name()).map(read).collect()
}

/// The region's network.
async fn facts(gate: &Gate, reads: &BTreeSet<Read>) -> Result<Facts, ProviderError> {
    let (mut vpcs, mut subnets) = if reads.contains(&Read::Vpcs) {
        tokio::try_join!(vpcs(gate), subnets(gate))?
    } else {
        let subnets = subnets(gate).await?;
        match default_vpc(&subnets) {
            Some(vpc) => (vec![vpc], subnets),
            None => (vpcs(gate).await?, subnets),
        }
    };
    vpcs.sort_by(|a, b| a.id.cmp(&b.id));
    subnets.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Facts { vpcs, subnets })
}

/// The default VPC, by its subnets: only it has default ones
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/default-subnet.html>).
fn default_vpc(subnets: &[Subnet]) -> Option<Vpc> {
    let id = subnets.iter().find(|subnet| subnet.default).map(|subnet| subnet.vpc.clone())?;
    Some(Vpc { id, default: true, tags: Tags::new(), ipv6: false })
}

async fn vpcs(gate: &Gate) -> Result<Vec<Vpc>, ProviderError> {
    let doing = gate.doing("DescribeVpcs");
    let listed = listing::pages(&doing, |token| async move {
        let send = || gate.ec2().describe_vpcs().max_results(PAGE).set_next_token(token.clone()).send();
        let page = gate.send(&Ask::read("DescribeVpcs"), send).await?;
        Ok((page.vpcs, page.next_token))
    });
    let read = |vpc: aws_sdk_ec2::types::Vpc| {
        let tags = listing::from_wire(vpc.tags.as_deref());
        let ipv6 = !vpc.ipv6_cidr_block_association_set().is_empty();
        Some(Vpc { default: vpc.is_default().unwrap_or(false), ipv6, tags, id: VpcId::new(vpc.vpc_id?) })
    };
    Ok(listed.await?.into_iter().filter_map(read).collect())
}

async fn subnets(gate: &Gate) -> Result<Vec<Subnet>, ProviderError> {
    let doing = gate.doing("DescribeSubnets");
    let listed = listing::pages(&doing, |token| async move {
        let send = || gate.ec2().describe_subnets().max_results(PAGE).set_next_token(token.clone()).send();
        let page = gate.send(&Ask::read("DescribeSubnets"), send).await?;
        Ok((page.subnets, page.next_token))
    });
    // A subnet without an IPv4 network is IPv6-only: nothing that we launch can live there.
    let read = |subnet: aws_sdk_ec2::types::Subnet| {
        Some(Subnet {
            cidr: Cidr::listed(subnet.cidr_block()?)?,
            default: subnet.default_for_az().unwrap_or(false),
            public_ip: subnet.map_public_ip_on_launch().unwrap_or(false),
            tags: listing::from_wire(subnet.tags.as_deref()),
            id: SubnetId::new(subnet.subnet_id?),
            vpc: VpcId::new(subnet.vpc_id?),
            zone: ZoneName::new(subnet.availability_zone?),
        })
    };
    let mut subnets: BTreeMap<SubnetId, Subnet> = BTreeMap::new();
    subnets.extend(listed.await?.into_iter().filter_map(read).map(|subnet| (subnet.id.clone(), subnet)));
    Ok(subnets.into_values().collect())
}
