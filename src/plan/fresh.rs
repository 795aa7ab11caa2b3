//! What an object would be if it were made now: generation, physical name, tags.

use sha2::{Digest, Sha256};

use crate::model::tags::{KEEP, PROTECT};
use crate::model::{Address, Owner, StackName, Tags};
use crate::resources::Fresh;
use crate::resources::registry::Desired;
use crate::resources::stack::Stack;

/// An object of this generation at an address.
pub(super) fn fresh(stack: &Stack, address: &Address, desired: &Desired, generation: u32) -> Fresh {
    Fresh {
        generation,
        name: physical_name(&stack.name, address, generation, desired.want.longest_name()),
        tags: wanted_tags(stack, address, desired, generation),
    }
}

/// All tags that an object of this generation shall have, stamps included.
pub(super) fn wanted_tags(stack: &Stack, address: &Address, desired: &Desired, generation: u32) -> Tags {
    let owner =
        Owner { stack: stack.name.to_string(), address: address.clone(), generation, origin: stack.origin.clone() };
    let mut tags = desired.common.tags.clone();
    tags.extend(owner.tags());
    for (key, set) in [(KEEP, desired.common.keep), (PROTECT, desired.common.protect)] {
        if set {
            tags.insert(key.to_owned(), "true".to_owned());
        }
    }
    let stamps = desired.want.stamps();
    tags.extend(stamps.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    tags
}

/// `<stack>-<name>-<generation>`, cut to a kind's limit with six characters of a hash so that cut names stay apart.
fn physical_name(stack: &StackName, address: &Address, generation: u32, limit: usize) -> String {
    let plain = address.name.as_str().split('@').next().unwrap_or_default();
    let name = format!("{stack}-{plain}-{generation}");
    if name.len() <= limit {
        return name;
    }
    let hash: String = Sha256::digest(name.as_bytes()).iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    let kept = name.get(..limit.saturating_sub(7)).unwrap_or_default();
    format!("{}-{hash}", kept.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let stack = StackName::new("a-rather-long-stack-name").unwrap();
        let one: Address = "instance.a-rather-long-resource-name".parse().unwrap();
        let two: Address = "instance.a-rather-long-resource-nam2".parse().unwrap();
        let (one, two) = (physical_name(&stack, &one, 1, 32), physical_name(&stack, &two, 1, 32));
        assert!(one.len() <= 32 && two.len() <= 32, "{one} {two}");
        assert_ne!(one, two);
        assert_eq!(
            physical_name(&stack, &"key_pair.k@eu-west-1".parse().unwrap(), 7, 255),
            "a-rather-long-stack-name-k-7"
        );
    }
}
