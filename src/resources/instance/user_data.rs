//! User data: what an instance runs at its first boot, how it is compared, and what of it may be shown.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::secret::Secret;
use crate::model::text::{Part, Text};

/// The tag that holds the fingerprint.
pub const FINGERPRINT: &str = "portcullis:user-data";
/// EC2's limit before encoding
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html>).
pub const LIMIT: usize = 16 * 1024;

/// User data as the spec wants it.
///
/// It is written for readers of plans and journals: as it is where it may be seen, else only a keyed fingerprint of it. What
/// is read back from there is the same, save that sensitive data is [`Body::Withheld`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct UserData {
    /// What it is.
    pub body: Body,
    /// Who may see it.
    pub secrecy: Secrecy,
}

/// The bytes, or the text that a template leaves.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// Any bytes, gzip too.
    Bytes(Vec<u8>),
    /// A text, some of which may only be known later.
    Text(Text),
    /// Sensitive data that was left out of what this was read from, and its keyed fingerprint where there was a key.
    Withheld(Option<String>),
}

/// Who may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secrecy {
    /// Whoever reads the plan.
    Open,
    /// Nobody. Its fingerprint is keyed, as a plain digest of a short secret can be guessed; without a key it is not
    /// compared at all.
    Sensitive {
        /// The key, from the environment.
        key: Option<Secret>,
    },
}

impl UserData {
    /// The bytes to send, once every hole is filled.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes.clone()),
            Body::Text(text) => text.complete().map(String::into_bytes),
            Body::Withheld(_) => None,
        }
    }

    /// The same with holes filled by what `value` knows.
    #[must_use]
    pub fn fill(&self, value: impl FnMut(&crate::model::Address, crate::model::Output) -> Option<String>) -> Self {
        let body = match &self.body {
            Body::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Body::Text(text) => Body::Text(text.fill(value)),
            Body::Withheld(fingerprint) => Body::Withheld(fingerprint.clone()),
        };
        Self { body, secrecy: self.secrecy.clone() }
    }

    /// The same with another part in the place of every hole.
    #[must_use]
    pub fn resolve(&self, part: impl FnMut(&crate::model::Address, crate::model::Output) -> Part) -> Self {
        let body = match &self.body {
            Body::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Body::Text(text) => Body::Text(text.resolve(part)),
            Body::Withheld(fingerprint) => Body::Withheld(fingerprint.clone()),
        };
        Self { body, secrecy: self.secrecy.clone() }
    }

    /// What the tag says of these bytes: a digest, for sensitive data a keyed one, and `-` where it cannot be compared.
    #[must_use]
    pub fn fingerprint(&self, bytes: &[u8]) -> String {
        let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match &self.secrecy {
            Secrecy::Open => format!("sha256:{}", hex(&Sha256::digest(bytes))),
            Secrecy::Sensitive { key: Some(key) } => {
                // HMAC takes a key of any length, so this never fails; were it to, the data would not be compared.
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.reveal()) else { return "-".to_owned() };
                mac.update(bytes);
                format!("hmac-sha256:{}", hex(&mac.finalize().into_bytes()))
            }
            Secrecy::Sensitive { key: None } => "-".to_owned(),
        }
    }

    /// What a reader may see, as text.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        match (&self.secrecy, &self.body) {
            (Secrecy::Sensitive { .. }, _) | (Secrecy::Open, Body::Withheld(_)) => None,
            (Secrecy::Open, Body::Bytes(bytes)) => String::from_utf8(bytes.clone()).ok(),
            (Secrecy::Open, Body::Text(text)) => Some(text.preview()),
        }
    }

    /// What tells two sensitive data apart without telling either: a keyed digest, with holes as they are written; none
    /// without a key.
    fn mark(&self) -> Option<String> {
        let bytes = match &self.body {
            Body::Bytes(bytes) => bytes.clone(),
            Body::Text(text) => text.preview().into_bytes(),
            Body::Withheld(fingerprint) => return fingerprint.clone(),
        };
        Some(self.fingerprint(&bytes)).filter(|fingerprint| fingerprint != "-")
    }
}

impl std::fmt::Debug for UserData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.shown() {
            Some(text) => write!(f, "UserData({text:?})"),
            None => f.write_str("UserData(…)"),
        }
    }
}

/// The written form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// A text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// A text with holes that other resources fill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<Text>,
    /// Data that is no text, in Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// Whether nobody may see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sensitive: bool,
    /// A digest of sensitive data under `fingerprint_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

impl From<UserData> for Written {
    fn from(data: UserData) -> Self {
        if data.secrecy != Secrecy::Open {
            return Self { sensitive: true, fingerprint: data.mark(), ..Self::default() };
        }
        match data.body {
            Body::Text(text) => match text.complete() {
                Some(text) => Self { text: Some(text), ..Self::default() },
                None => Self { parts: Some(text), ..Self::default() },
            },
            Body::Bytes(bytes) => Self { base64: Some(BASE64_STANDARD.encode(bytes)), ..Self::default() },
            Body::Withheld(fingerprint) => Self { sensitive: true, fingerprint, ..Self::default() },
        }
    }
}

impl From<Written> for UserData {
    fn from(written: Written) -> Self {
        let withheld =
            |fingerprint| Self { body: Body::Withheld(fingerprint), secrecy: Secrecy::Sensitive { key: None } };
        match written {
            Written { sensitive: false, text: Some(text), .. } => {
                Self { body: Body::Text(Text::literal(text)), secrecy: Secrecy::Open }
            }
            Written { sensitive: false, parts: Some(parts), .. } => {
                Self { body: Body::Text(parts), secrecy: Secrecy::Open }
            }
            Written { sensitive: false, base64: Some(text), .. } => match BASE64_STANDARD.decode(text) {
                Ok(bytes) => Self { body: Body::Bytes(bytes), secrecy: Secrecy::Open },
                Err(_) => withheld(None),
            },
            Written { fingerprint, .. } => withheld(fingerprint),
        }
    }
}

impl JsonSchema for UserData {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UserData".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}
