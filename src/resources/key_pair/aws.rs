//! Key pairs on AWS: listing them, and carrying out their calls.

use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{KeyPairInfo, ResourceType};

use super::public_key::PublicKey;
use super::{Action, Observed};
use crate::model::id::VpcId;
use crate::model::{CloudId, Output, Tags};
use crate::port::{Bindings, Class, Outputs, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::listing::{self, Keys, Select};
use crate::provider::aws::retry::{Ask, deadline};
use crate::resources::registry::{Body, Call, Object};

const KEYS: Keys = Keys { prefix: "key-", id: "key-pair-id", name: "key-name" };

/// Lists what is selected. `DescribeKeyPairs` has no pages
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeKeyPairs.html>).
///
/// # Errors
/// What AWS answers.
pub async fn list(gate: &Gate, select: Select<'_>) -> Result<Vec<Object>, ProviderError> {
    let listings = select.filters(KEYS).into_iter().map(|filters| async move {
        let send =
            || gate.ec2().describe_key_pairs().include_public_key(true).set_filters(Some(filters.clone())).send();
        let listed = gate.send(&Ask::read("DescribeKeyPairs"), send).await?.key_pairs.unwrap_or_default();
        let objects: Vec<Object> = listed.into_iter().filter_map(|key| object(gate, key)).collect();
        Ok(objects.into_iter().filter(|object| select.takes(object, name(object))).collect())
    });
    listing::join(listings.collect()).await
}

fn name(object: &Object) -> Option<&str> {
    match &object.body {
        Body::KeyPair(key) => Some(&key.name),
        _ => None,
    }
}

fn object(gate: &Gate, key: KeyPairInfo) -> Option<Object> {
    let tags = listing::from_wire(key.tags.as_deref());
    let public_key = key.public_key.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
    let fingerprint = key.key_fingerprint.unwrap_or_default();
    let body = Body::KeyPair(Observed { name: key.key_name?, fingerprint, public_key });
    Some(Object { id: CloudId::new(key.key_pair_id?), region: gate.region().clone(), tags, body })
}

/// The key pair of exactly this name.
///
/// # Errors
/// What AWS answers.
pub async fn named(gate: &Gate, _vpc: Option<&VpcId>, wanted: &str) -> Result<Option<CloudId>, ProviderError> {
    let called = [wanted.to_owned()].into();
    let found = list(gate, Select::Called(&called)).await?;
    Ok(found.into_iter().find(|object| name(object) == Some(wanted)).map(|object| object.id))
}

/// Carries out one call.
///
/// # Errors
/// What AWS answers.
pub async fn perform(gate: &Gate, call: &Call, action: &Action, known: &Bindings) -> Result<Outputs, ProviderError> {
    match action {
        Action::Import { name, public_key, tags } => import(gate, call, name, public_key, tags).await,
        Action::Tag(edit) => {
            gate.tag(&known.target(call)?, edit, deadline(call.timeout)).await?;
            Ok(Outputs::new())
        }
        Action::Delete => delete(gate, call, &known.target(call)?).await,
    }
}

fn outputs(id: &str, name: &str) -> Outputs {
    Outputs::from([(Output::Id, id.to_owned()), (Output::Name, name.to_owned())])
}

/// `ImportKeyPair`. Names are unique in a region, so sending it again makes no second key; what is there under the name
/// is ours only when its tags and its key say so.
async fn import(gate: &Gate, call: &Call, name: &str, key: &str, tags: &Tags) -> Result<Outputs, ProviderError> {
    let ask = Ask::until("ImportKeyPair", deadline(call.timeout));
    let written = listing::specification(ResourceType::KeyPair, tags);
    let send = || {
        let import = gate.ec2().import_key_pair().key_name(name).public_key_material(Blob::new(key));
        import.set_tag_specifications(written.clone().map(|one| vec![one])).send()
    };
    match gate.send(&ask, send).await {
        Ok(made) => {
            let id = made.key_pair_id.ok_or_else(|| listing::incomplete(&gate.doing(ask.api), "`KeyPairId`"))?;
            gate.made(&id);
            Ok(outputs(&id, name))
        }
        Err(error) if error.class == Class::AlreadyExists => {
            let called = [name.to_owned()].into();
            let found = list(gate, Select::Called(&called)).await?;
            let ours = found.iter().find(|object| listing::same_owner(&object.tags, tags) && holds(object, key));
            match ours {
                Some(object) => Ok(outputs(object.id.as_str(), name)),
                None => Err(error.hint("a key pair of this name is there already and is not this one: name another")),
            }
        }
        Err(error) => Err(error),
    }
}

/// Whether a listed key pair holds this public key.
fn holds(object: &Object, line: &str) -> bool {
    match (&object.body, PublicKey::read(line)) {
        (Body::KeyPair(key), Ok(wanted)) => wanted.is(&key.fingerprint, key.public_key.as_deref()),
        _ => false,
    }
}

/// `DeleteKeyPair`, which succeeds where there is none.
async fn delete(gate: &Gate, call: &Call, id: &CloudId) -> Result<Outputs, ProviderError> {
    let ask = Ask::until("DeleteKeyPair", deadline(call.timeout)).uses([id.as_str()]);
    let answer = gate.send(&ask, || gate.ec2().delete_key_pair().key_pair_id(id.as_str()).send()).await;
    match answer {
        Err(error) if error.class != Class::NotFound => Err(error),
        Ok(_) | Err(_) => {
            gate.removed(id.as_str());
            Ok(Outputs::new())
        }
    }
}
