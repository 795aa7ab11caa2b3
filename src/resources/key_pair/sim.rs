//! Key pairs in the simulated world.

use super::public_key::PublicKey;
use super::{Action, Observed};
use crate::model::{CloudId, Kind, Output, Tags};
use crate::resources::registry::Body;
use crate::resources::world::{Outputs, Slot, Trouble, Turn, WorldError};

/// The API operation that an action is.
#[must_use]
pub const fn api(action: &Action) -> &'static str {
    match action {
        Action::Import { .. } => "ec2:ImportKeyPair",
        Action::Tag(_) => "ec2:CreateTags",
        Action::Delete => "ec2:DeleteKeyPair",
    }
}

/// What a key pair has that lookups go by.
#[must_use]
pub fn slots(body: &Observed) -> Vec<Slot> {
    vec![Slot::Name { kind: Kind::KeyPair, vpc: None, name: body.name.clone() }]
}

/// Carries out an action.
///
/// # Errors
/// What AWS would answer instead of doing it.
pub fn perform(turn: &mut Turn<'_>, action: &Action) -> Result<Outputs, WorldError> {
    match action {
        Action::Import { name, public_key, tags } => import(turn, name, public_key, tags),
        Action::Tag(edit) => turn.retag(edit),
        Action::Delete => {
            // AWS deletes a key pair that is not there without a word
            // (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteKeyPair.html>).
            let id = turn.target()?;
            if turn.place.object(&id).is_some_and(|object| object.kind() == Kind::KeyPair) {
                turn.place.remove(&id);
            }
            Ok(Outputs::new())
        }
    }
}

fn import(turn: &mut Turn<'_>, name: &str, public_key: &str, tags: &Tags) -> Result<Outputs, WorldError> {
    if name.is_empty() || name.len() > 255 || !name.is_ascii() {
        return Err(WorldError::invalid(format!("`{name}` is not a key pair's name: at most 255 ASCII characters")));
    }
    let key = PublicKey::read(public_key).map_err(|why| WorldError::new(Trouble::Invalid, "InvalidKey.Format", why))?;
    let slot = Slot::Name { kind: Kind::KeyPair, vpc: None, name: name.to_owned() };
    let there = turn.place.first(&slot).cloned();
    let id = match there {
        None => turn.place.fresh_id("key-"),
        // Sent again, it is the same: its tags are ours, and so is the key.
        Some(there) if turn.made_before(Kind::KeyPair, tags).as_ref() == Some(&there) && is(turn, &there, &key) => {
            return Ok(told(&there, name));
        }
        Some(_) => {
            let why = format!("the key pair `{name}` already exists");
            return Err(WorldError::new(Trouble::AlreadyExists, "InvalidKeyPair.Duplicate", why));
        }
    };
    let body =
        Observed { name: name.to_owned(), fingerprint: key.imported_fingerprint(), public_key: Some(key.line()) };
    turn.add(&id, tags.clone(), Body::KeyPair(body))?;
    Ok(told(&id, name))
}

/// Whether a key pair that is there is of this key.
fn is(turn: &Turn<'_>, id: &CloudId, key: &PublicKey) -> bool {
    match turn.place.object(id).map(|object| &object.body) {
        Some(Body::KeyPair(body)) => key.is(&body.fingerprint, body.public_key.as_deref()),
        Some(_) | None => false,
    }
}

fn told(id: &CloudId, name: &str) -> Outputs {
    Outputs::from([(Output::Id, id.to_string()), (Output::Name, name.to_owned())])
}
