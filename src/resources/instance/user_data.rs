//! User data: what an instance runs at its first boot, how it is compared, and what of it may be shown.

use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use sha2::{Digest, Sha256};

use crate::model::secret::Secret;
use crate::model::text::{Part, Text};

/// The tag that holds the fingerprint.
pub const FINGERPRINT: &str = "portcullis:user-data";
/// EC2's limit before encoding
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html>).
pub const LIMIT: usize = 16 * 1024;

/// User data as the spec wants it.
#[derive(Clone, PartialEq, Eq)]
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
        }
    }

    /// The same with holes filled by what `value` knows.
    #[must_use]
    pub fn fill(&self, value: impl FnMut(&crate::model::Address, crate::model::Output) -> Option<String>) -> Self {
        let body = match &self.body {
            Body::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Body::Text(text) => Body::Text(text.fill(value)),
        };
        Self { body, secrecy: self.secrecy.clone() }
    }

    /// The same with another part in the place of every hole.
    #[must_use]
    pub fn resolve(&self, part: impl FnMut(&crate::model::Address, crate::model::Output) -> Part) -> Self {
        let body = match &self.body {
            Body::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Body::Text(text) => Body::Text(text.resolve(part)),
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
            (Secrecy::Sensitive { .. }, _) => None,
            (Secrecy::Open, Body::Bytes(bytes)) => String::from_utf8(bytes.clone()).ok(),
            (Secrecy::Open, Body::Text(text)) => Some(text.preview()),
        }
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

/// Written for readers of plans and journals: the text where it may be seen, else only what it is.
impl Serialize for UserData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("UserData", 1)?;
        match (&self.secrecy, self.shown(), &self.body) {
            (Secrecy::Sensitive { .. }, _, _) => out.serialize_field("sensitive", &true)?,
            (Secrecy::Open, Some(text), _) => out.serialize_field("text", &text)?,
            (Secrecy::Open, None, Body::Bytes(bytes)) => out.serialize_field("bytes", &bytes.len())?,
            (Secrecy::Open, None, Body::Text(_)) => {}
        }
        out.end()
    }
}

impl JsonSchema for UserData {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UserData".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "User data as far as it may be seen",
            "properties": {
                "text": { "type": "string" },
                "bytes": { "type": "integer", "description": "the length of data that is not text" },
                "sensitive": { "type": "boolean" }
            }
        })
    }
}
