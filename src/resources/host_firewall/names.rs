//! What our things are called on a host, by stack.
//!
//! A name is all that tells ours from others' before its marker is read, so two stacks never share one, and nothing in it
//! needs quoting anywhere.

use sha2::{Digest, Sha256};

use super::ruleset::{Origin, RuleKey};
use crate::model::{Family, StackName};

/// The names of one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    stack: String,
    /// At most eight characters of the stack, and six of a digest of all of it.
    short: String,
}

impl Names {
    /// Those of a stack.
    #[must_use]
    pub fn of(stack: &StackName) -> Self {
        let stack = stack.as_str();
        let slug: String = stack.chars().take(8).collect();
        Self { stack: stack.to_owned(), short: format!("{}-{}", slug.trim_end_matches('-'), digest(stack, 6)) }
    }

    /// The stack.
    #[must_use]
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// Our table of nftables, of the family `inet`: at most 43 characters.
    #[must_use]
    pub fn table(&self) -> String {
        format!("portcullis_{}", self.stack)
    }

    /// Our chain in iptables' table `filter`: at most 26 characters, where 28 fit (iptables-extensions(8)).
    #[must_use]
    pub fn chain(&self) -> String {
        format!("portcullis-{}", self.short)
    }

    /// The chain beside it that nothing calls, whose rules hold the marker: at most 28 characters.
    #[must_use]
    pub fn marker_chain(&self) -> String {
        format!("{}-m", self.chain())
    }

    /// What the name of every ipset of ours begins with.
    #[must_use]
    pub fn ipset_prefix(&self) -> String {
        format!("pc-{}-", self.short)
    }

    /// The ipset of a rule, origin and family: at most 30 characters, where 31 fit (ipset(8)).
    #[must_use]
    pub fn ipset(&self, rule: &RuleKey, origin: &Origin, family: Family) -> String {
        let number = if family == Family::Ipv4 { 4 } else { 6 };
        format!("{}{number}{}", self.ipset_prefix(), digest(&set(rule, origin, family), 10))
    }

    /// The set in our table of a rule, origin and family.
    #[must_use]
    pub fn set(rule: &RuleKey, origin: &Origin, family: Family) -> String {
        set(rule, origin, family)
    }
}

/// `n_web.eu-west-1.v4`. It begins with a letter and is no word of nft's language, whatever the rule's name.
fn set(rule: &RuleKey, origin: &Origin, family: Family) -> String {
    let rule = match rule {
        RuleKey::Always(number) => format!("a_{number}"),
        RuleKey::Named(name) => format!("n_{name}"),
        RuleKey::Former(name) => format!("f_{name}"),
    };
    let origin = match origin {
        Origin::Spec => "spec",
        Origin::Region(region) => region.as_str(),
    };
    let family = if family == Family::Ipv4 { "v4" } else { "v6" };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    // The spec refuses names that would not do; a name that came from elsewhere is not trusted for it.
    let rule = if rule.chars().all(plain) && rule.len() <= 64 { rule } else { format!("x_{}", digest(&rule, 16)) };
    format!("{rule}.{origin}.{family}")
}

/// The first hexadecimal digits of a text's SHA-256.
pub(super) fn digest(text: &str, digits: usize) -> String {
    let hex: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.chars().take(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Region;

    #[test]
    fn names_fit_where_they_go() {
        for stack in ["a", "web", "a-very-long-name-of-a-stack-12345", "abcdefg-hi"] {
            let Ok(stack) = StackName::new(&stack.chars().take(32).collect::<String>()) else { panic!("{stack}") };
            let names = Names::of(&stack);
            assert!(names.marker_chain().len() < 29, "{}", names.marker_chain());
            let longest = RuleKey::Former("a".repeat(31));
            let origin = Origin::Region(Region::new("ap-southeast-1").unwrap());
            // One more character marks a set that takes another's place.
            assert!(names.ipset(&longest, &origin, Family::Ipv6).len() < 31);
            assert!(names.table().len() < 256 && Names::set(&longest, &origin, Family::Ipv4).len() < 256);
        }
    }

    #[test]
    fn no_two_share_a_name() {
        let keys = [
            RuleKey::Always(1),
            RuleKey::Named("1".into()),
            RuleKey::Former("1".into()),
            RuleKey::Named("web".into()),
            RuleKey::Named("w\"; flush ruleset #".into()),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for key in &keys {
            for origin in [Origin::Spec, Origin::Region(Region::new("eu-west-1").unwrap())] {
                for family in Family::ALL {
                    let name = Names::set(key, &origin, family);
                    assert!(name.starts_with(|c: char| c.is_ascii_lowercase()));
                    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{name}");
                    assert!(seen.insert(name));
                }
            }
        }
    }
}
