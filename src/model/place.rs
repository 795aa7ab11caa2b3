//! Where and whose: accounts, regions, stacks.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands where a region would for what is in none: the firewalls of hosts.
const HOSTS: &str = "hosts";

/// Makes one checked text newtype.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a text.
            ///
            /// # Errors
            /// The rule that the text breaks, in words.
            pub fn new(text: &str) -> Result<Self, String> {
                let rule: fn(&str) -> bool = $rule;
                if rule(text) { Ok(Self(text.into())) } else { Err($what.to_owned()) }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked! {
    /// An AWS region, `eu-west-1`.
    Region, "a region is like `eu-west-1` or `us-gov-east-1`", |text| {
        if text == HOSTS {
            return true;
        }
        let parts: Vec<&str> = text.split('-').collect();
        let word = |s: &&str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase());
        match parts.split_last() {
            Some((last, words)) => {
                (2..=4).contains(&words.len()) && words.iter().all(word)
                    && (1..=2).contains(&last.len()) && last.bytes().all(|b| b.is_ascii_digit())
            }
            None => false,
        }
    }
}

checked! {
    /// An AWS account, twelve digits.
    AccountId, "an account is twelve digits", |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

checked! {
    /// A stack: the owner of everything it made. `sg` is refused, as names that begin with `sg-` are AWS's own.
    StackName, "a stack is a lower-case letter, then at most 31 of a-z, 0-9 and -, and not `sg`", |text| {
        let mut bytes = text.bytes();
        text != "sg" && text.len() <= 32
            && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
}

impl Region {
    /// Takes a region as a spec or the environment may name it: one of AWS.
    ///
    /// # Errors
    /// The rule that the text breaks, in words.
    pub fn written(text: &str) -> Result<Self, String> {
        match Self::new(text) {
            Ok(region) if region.is_hosts() => Err("a region is like `eu-west-1` or `us-gov-east-1`".to_owned()),
            read => read,
        }
    }

    /// Where the firewalls of hosts are: in no region.
    #[must_use]
    pub fn hosts() -> Self {
        Self(HOSTS.into())
    }

    /// Whether it is no region at all, but where the firewalls of hosts are.
    #[must_use]
    pub fn is_hosts(&self) -> bool {
        self.as_str() == HOSTS
    }
}
