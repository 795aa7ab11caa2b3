//! What a policy cannot say, or cannot know offline.

use super::{Grant, On, Permissions, Permit, Purpose};
use crate::resources::stack::Stack;

/// How long a managed policy may be, and those of a role in line
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
const MANAGED: usize = 6144;
const IN_LINE: usize = 10240;

impl Permissions {
    /// What somebody who pastes the policy must know beside it, line by line.
    #[must_use]
    pub fn notes(&self, stack: &Stack, purpose: Purpose) -> Vec<String> {
        let mut notes = Vec::new();
        let mut say = |text: String| notes.push(text);
        if !stack.hosts.is_empty() {
            say(
                "hosts are no part of IAM: there the stack needs root, or sudo without a password, and nft or iptables"
                    .to_owned(),
            );
        }
        if self.is_empty() {
            say("the stack needs nothing of AWS".to_owned());
            return notes;
        }
        if stack.account.is_none() {
            say("the spec names no `account`, so the ARNs are of any: name it, and they are of that one".to_owned());
        }
        match purpose {
            Purpose::Plan => {
                say("with `--all-regions` a plan reads every region, which `--for destroy` allows".to_owned());
            }
            Purpose::Apply => {
                say("what leaves the spec is removed, as long as the spec has others of its kind: apply an edit that drops \
                     the last of a kind with the policy of the spec before it"
                    .to_owned());
            }
            Purpose::Destroy => {}
        }
        let any = |is: &dyn Fn(&Permit) -> bool| self.permits(purpose).any(is);
        if any(&|permit| permit.grant == Grant::PassRole) {
            say("which role an instance profile holds only IAM knows: put its ARN in the place of `role/*`".to_owned());
        }
        if any(&|permit| permit.grant == Grant::UseKey && permit.on == On::Key("*".to_owned())) {
            say("a key that goes by an alias may be any: write its ARN in the spec, and the policy is of that one"
                .to_owned());
        }
        if any(&|permit| permit.grant == Grant::Adopt && matches!(permit.on, On::Ec2(_))) {
            say("what `adopt` names by name may be any of its type: write its id, and the policy is of that one"
                .to_owned());
        }
        let length = self.policy(purpose).length();
        if length > MANAGED {
            say(format!(
                "the policy has {length} characters without white space, and a managed one takes {MANAGED}: put it in line \
                 on a role, which takes {IN_LINE}"
            ));
        }
        notes
    }
}
