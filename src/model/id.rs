//! Identifiers that AWS gives.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The id of a real object as its API names it: `sg-…`, `i-…`, `eipalloc-…`, `key-…`.
/// Plans hold it many times over, so its text is shared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub struct CloudId(Arc<str>);

impl From<String> for CloudId {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<CloudId> for String {
    fn from(id: CloudId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// Makes one newtype for an id that is only ever read: facts of the account, not objects of a kind.
macro_rules! fact_id {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(Arc<str>);

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl $name {
            /// What such an id begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Takes an id that AWS gave, or that was checked where it was read.
            #[must_use]
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

fact_id! {
    /// A VPC, `vpc-…`.
    VpcId = "vpc-";
    /// A subnet, `subnet-…`.
    SubnetId = "subnet-";
    /// A machine image, `ami-…`.
    ImageId = "ami-";
    /// An availability zone, `eu-west-1a`.
    ZoneName = "";
    /// A managed prefix list, `pl-…`.
    PrefixListId = "pl-";
}

impl CloudId {
    /// Takes an id that AWS gave, or that was checked where it was read.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CloudId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` is an AWS id with this prefix: 8 or 17 lower-case hexadecimal digits behind it.
///
/// The two lengths are AWS's short and long ids
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html>); ids of the simulated world and of test
/// endpoints are in between, so 8 to 17 digits are taken.
#[must_use]
pub fn well_formed(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        (8..=17).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}
