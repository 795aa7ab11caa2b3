//! Elastic IP addresses on AWS: listing them, and carrying out their calls.

use std::time::Duration;

use aws_sdk_ec2::types::{Address, DomainType, ResourceType};
use tokio::time::Instant;

use super::state::Association;
use super::{Action, Observed};
use crate::model::id::VpcId;
use crate::model::{CloudId, Link, Output, StackName, Tags, tags};
use crate::port::{Bindings, Class, Outputs, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::error::Remedy;
use crate::provider::aws::listing::{self, Keys, Select};
use crate::provider::aws::retry::{Ask, Freshness, deadline};
use crate::resources::registry::{Body, Call, Object};

const KEYS: Keys = Keys { prefix: "eipalloc-", id: "allocation-id", name: "public-ip" };
/// The pauses between looks for an address that a lost answer may have allocated.
const LOOKS: [Duration; 4] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

/// Lists what is selected. `DescribeAddresses` has no pages
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAddresses.html>).
///
/// # Errors
/// What AWS answers.
pub async fn list(gate: &Gate, select: Select<'_>) -> Result<Vec<Object>, ProviderError> {
    let listings = select.filters(KEYS).into_iter().map(|filters| async move {
        let send = || gate.ec2().describe_addresses().set_filters(Some(filters.clone())).send();
        let listed = gate.send(&Ask::read("DescribeAddresses"), send).await?.addresses.unwrap_or_default();
        let objects: Vec<Object> = listed.into_iter().filter_map(|address| object(gate, address)).collect();
        Ok(objects.into_iter().filter(|object| select.takes(object, ip(object).as_deref())).collect())
    });
    listing::join(listings.collect()).await
}

fn body(object: &Object) -> Option<&Observed> {
    match &object.body {
        Body::ElasticIp(address) => Some(address),
        _ => None,
    }
}

fn ip(object: &Object) -> Option<String> {
    body(object).map(|address| address.public_ip.to_string())
}

fn object(gate: &Gate, address: Address) -> Option<Object> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let instance = filled(address.instance_id).map(CloudId::new);
    let association = filled(address.association_id).map(|id| Association { id: CloudId::new(id), instance });
    let body = Observed {
        public_ip: address.public_ip?.parse().ok()?,
        association,
        public_ip_pool: filled(address.public_ipv4_pool),
        border_group: filled(address.network_border_group),
    };
    let tags = listing::from_wire(address.tags.as_deref());
    let id = CloudId::new(address.allocation_id?);
    Some(Object { id, region: gate.region().clone(), tags, body: Body::ElasticIp(body) })
}

/// The address of exactly this text.
///
/// # Errors
/// What AWS answers.
pub async fn named(gate: &Gate, _vpc: Option<&VpcId>, wanted: &str) -> Result<Option<CloudId>, ProviderError> {
    let called = [wanted.to_owned()].into();
    Ok(list(gate, Select::Called(&called)).await?.pop().map(|object| object.id))
}

/// Carries out one call.
///
/// # Errors
/// What AWS answers.
pub async fn perform(gate: &Gate, call: &Call, action: &Action, known: &Bindings) -> Result<Outputs, ProviderError> {
    let until = deadline(call.timeout);
    match action {
        Action::Allocate { pool, border_group, tags } => {
            let wanted = Wanted { pool: pool.as_deref(), border_group: border_group.as_deref(), tags };
            allocate(gate, &wanted, until).await
        }
        Action::Associate { to, from } => associate(gate, call, to, from.as_ref(), known).await,
        Action::Disassociate { association } => disassociate(gate, association, until).await,
        Action::Tag(edit) => {
            gate.tag(&known.target(call)?, edit, until).await?;
            Ok(Outputs::new())
        }
        Action::Release => release(gate, &known.target(call)?, until).await,
    }
}

/// What is allocated.
struct Wanted<'a> {
    pool: Option<&'a str>,
    border_group: Option<&'a str>,
    tags: &'a Tags,
}

/// `AllocateAddress`, which has neither token nor name: after an answer is lost, addresses with exactly our tags are
/// looked for as long as listings may lag, and only then is another allocated.
async fn allocate(gate: &Gate, wanted: &Wanted<'_>, until: Instant) -> Result<Outputs, ProviderError> {
    let ask = Ask::until("AllocateAddress", until).once();
    let written = listing::specification(ResourceType::ElasticIp, wanted.tags);
    loop {
        let send = || {
            let allocate = gate.ec2().allocate_address().domain(DomainType::Vpc);
            allocate
                .set_public_ipv4_pool(wanted.pool.map(str::to_owned))
                .set_network_border_group(wanted.border_group.map(str::to_owned))
                .set_tag_specifications(written.clone().map(|one| vec![one]))
                .send()
        };
        let error = match gate.send(&ask, send).await {
            Ok(made) => {
                let lacks = |what| listing::incomplete(&gate.doing(ask.api), what);
                let id = made.allocation_id.ok_or_else(|| lacks("`AllocationId`"))?;
                gate.made(&id);
                return Ok(outputs(&id, &made.public_ip.ok_or_else(|| lacks("`PublicIp`"))?));
            }
            Err(error) => error,
        };
        if !error.ambiguous {
            return Err(error);
        }
        match look_for(gate, wanted.tags, until).await? {
            Found::One(id, ip) => return Ok(outputs(id.as_str(), &ip)),
            Found::Nothing => {}
            Found::Unsure => {
                return Err(error.hint("whether an address was allocated is not known: plan again in a few minutes"));
            }
        }
    }
}

/// What looking for an address after a lost answer gave.
enum Found {
    One(CloudId, String),
    Nothing,
    Unsure,
}

async fn look_for(gate: &Gate, wanted: &Tags, until: Instant) -> Result<Found, ProviderError> {
    let stack = wanted.get(tags::STACK).and_then(|text| StackName::new(text).ok());
    let Some(stack) = stack else { return Ok(Found::Unsure) };
    for pause in LOOKS {
        if Instant::now() + pause >= until {
            return Ok(Found::Unsure);
        }
        tokio::time::sleep(pause).await;
        let owned = list(gate, Select::Owned(&stack)).await?;
        let ours = owned.iter().find(|object| listing::same_owner(&object.tags, wanted));
        if let Some((id, ip)) = ours.and_then(|object| Some((object.id.clone(), ip(object)?))) {
            return Ok(Found::One(id, ip));
        }
    }
    Ok(Found::Nothing)
}

fn outputs(id: &str, ip: &str) -> Outputs {
    Outputs::from([(Output::Id, id.to_owned()), (Output::PublicIp, ip.to_owned())])
}

/// `AssociateAddress`. AWS moves an address unless it is told not to
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateAddress.html>): it is told not to, save where
/// the plan names the association that the address is taken from and it still is that one.
async fn associate(
    gate: &Gate,
    call: &Call,
    to: &Link,
    from: Option<&CloudId>,
    known: &Bindings,
) -> Result<Outputs, ProviderError> {
    let (id, instance, until) = (known.target(call)?, known.id(to)?, deadline(call.timeout));
    let doing = gate.doing("AssociateAddress");
    let listed = look_at(gate, &id, until).await?;
    let bound = known.output(&call.at, Output::PublicIp).map(str::to_owned);
    let Some(ip) = listed.as_ref().map(|address| address.public_ip.to_string()).or(bound) else {
        return Err(ProviderError::new(Class::NotFound, doing, format!("`{id}` is not there")));
    };
    let done = Outputs::from([(Output::PublicIp, ip)]);
    let current = listed.and_then(|address| address.association);
    if current.as_ref().is_some_and(|current| current.instance.as_ref() == Some(&instance)) {
        return Ok(done);
    }
    if let (Some(current), true) = (&current, current.as_ref().map(|current| &current.id) != from) {
        let who = current.instance.as_ref().map_or_else(|| "a network interface".to_owned(), |who| format!("`{who}`"));
        let error = ProviderError::new(Class::InUse, doing, format!("`{id}` is associated with {who} by now"));
        return Err(error.hint("plan again: someone moved the address"));
    }
    let ask = Ask::until("AssociateAddress", until).uses([id.as_str(), instance.as_str()]).patient(Remedy::Settled);
    let send = || {
        let associate = gate.ec2().associate_address().allocation_id(id.as_str()).instance_id(instance.as_str());
        associate.allow_reassociation(current.is_some()).send()
    };
    match gate.send(&ask, send).await {
        Ok(_) => Ok(done),
        Err(error) if error.class == Class::InUse => {
            // A resent call meets its own effect.
            let now = look_at(gate, &id, until).await?.and_then(|address| address.association);
            if now.is_some_and(|now| now.instance.as_ref() == Some(&instance)) { Ok(done) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// The address as it is listed now; one that this run allocated may take a while to be.
async fn look_at(gate: &Gate, id: &CloudId, until: Instant) -> Result<Option<Observed>, ProviderError> {
    let ids = [id.clone()];
    for pause in LOOKS {
        if Instant::now() + pause >= until {
            break;
        }
        tokio::time::sleep(pause).await;
        let listed = list(gate, Select::Ids(&ids)).await?.pop();
        if listed.is_some() || gate.freshness(id.as_str()) == Freshness::Old {
            return Ok(listed.as_ref().and_then(body).cloned());
        }
    }
    Ok(None)
}

/// `DisassociateAddress`; an association that is gone is no error.
async fn disassociate(gate: &Gate, association: &CloudId, until: Instant) -> Result<Outputs, ProviderError> {
    let ask = Ask::until("DisassociateAddress", until);
    let send = || gate.ec2().disassociate_address().association_id(association.as_str()).send();
    match gate.send(&ask, send).await {
        Err(error) if error.class != Class::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(Outputs::new()),
    }
}

/// `ReleaseAddress`. An address that was released already may belong to a stranger, and then the answer is `AuthFailure`
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReleaseAddress.html>): it is released only while it is
/// listed among ours.
async fn release(gate: &Gate, id: &CloudId, until: Instant) -> Result<Outputs, ProviderError> {
    let listed = look_at(gate, id, until).await?;
    if listed.is_some() {
        // Who was disassociated a moment ago may hold it a while longer.
        let ask = Ask::until("ReleaseAddress", until).uses([id.as_str()]).patient(Remedy::Released);
        let answer = gate.send(&ask, || gate.ec2().release_address().allocation_id(id.as_str()).send()).await;
        if let Err(error) = answer
            && error.class != Class::NotFound
            && (error.class == Class::InUse || look_at(gate, id, until).await?.is_some())
        {
            return Err(error);
        }
    }
    gate.removed(id.as_str());
    Ok(Outputs::new())
}
