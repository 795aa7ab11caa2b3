//! Which API actions a stack needs: each kind says its own, and [`Permissions`] makes of them the least IAM policy.
//!
//! What may be narrowed, and by which key, is AWS's own list
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html> and
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancing.html>). Where it leaves a
//! doubt the policy allows: a call that is refused in the middle of an apply is worse than a statement that is a little wide.

use super::Common;
use crate::model::id::well_formed;
use crate::model::query::Regions;

mod notes;
mod policy;
#[cfg(test)]
mod tests;

pub use policy::{Permissions, Policy, Purpose, Statement};

/// What a permission is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A plan.
    Read,
    /// Looking at every region of the account.
    Survey,
    /// Making what is not there.
    Make,
    /// Changing what is.
    Change,
    /// Removing it: it left the spec, another takes its place, or everything goes.
    Remove,
}

/// What an action is allowed on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// Anything: reading actions know no resources.
    Anything,
    /// Everything of a type of EC2's, as its ARN spells it: `security-group`.
    Ec2(&'static str),
    /// One thing of such a type.
    Ec2One(&'static str, String),
    /// Images, which belong to no account in their ARN.
    Images,
    /// Load balancers.
    Balancers,
    /// The balancer of this name.
    Balancer(String),
    /// Roles of IAM, by path and name.
    Role(&'static str),
    /// Keys of KMS, by id; `*` for all.
    Key(String),
    /// An ARN as it is written in the spec.
    Arn(String),
}

/// The conditions under which actions are allowed together: one statement each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Reading, in the regions of the stack.
    Read,
    /// Reading the instances of a query's regions.
    Fleet(Regions),
    /// Reading which regions the account has.
    Regions,
    /// Making something that carries the stack's tag in the same request.
    Create,
    /// Tagging in the call of EC2 that makes something, and in no other.
    TagNew,
    /// The same of load balancing.
    TagNewBalancer,
    /// Changing what carries the stack's tag.
    Own,
    /// What stands beside an object of ours in one request, under this name. Each resource of a request must be allowed
    /// by itself, so it is no more than a part of what [`Grant::Create`] and [`Grant::Own`] allow.
    Beside(&'static str),
    /// Giving a role to instances.
    PassRole,
    /// Using a key for volumes.
    UseKey,
    /// Lending a key to EC2.
    LendKey,
    /// The role with which load balancing works, which AWS makes with the account's first balancer.
    LinkedRole,
    /// Writing the stack's tag on what an `adopt` clause names.
    Adopt,
}

/// One API action that a stack needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permit {
    /// What for.
    pub need: Need,
    /// The API that is refused without it.
    pub call: &'static str,
    /// As IAM spells it: `ec2:RunInstances`. AWS may ask for more than the call's own name.
    pub action: &'static str,
    /// Under which conditions.
    pub grant: Grant,
    /// On what.
    pub on: On,
}

/// What kinds say they need.
#[derive(Debug, Clone, Default)]
pub struct Permits(Vec<Permit>);

impl Permits {
    /// Everything that was said.
    #[must_use]
    pub fn into_inner(self) -> Vec<Permit> {
        self.0
    }

    /// Reading actions, for a plan or for a call of an apply that looks first.
    pub fn read(&mut self, need: Need, actions: &[&'static str]) {
        for action in actions {
            self.push(need, api(action), action, &Grant::Read, &[On::Anything]);
        }
    }

    /// An action that makes something, on what it makes.
    pub fn create(&mut self, action: &'static str, on: &[On]) {
        self.push(Need::Make, api(action), action, &Grant::Create, on);
    }

    /// The tags that an action of EC2's writes on what it makes: AWS asks whether they may be written in that very call
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html>).
    pub fn tag_new(&mut self, need: Need, call: &'static str) {
        self.push(need, call, "ec2:CreateTags", &Grant::TagNew, &[On::Ec2("*")]);
    }

    /// Actions on what carries the stack's tag.
    pub fn own(&mut self, need: Need, actions: &[&'static str], on: &[On]) {
        for action in actions {
            self.push(need, api(action), action, &Grant::Own, on);
        }
    }

    /// What else a request names.
    pub fn beside(&mut self, need: Need, name: &'static str, actions: &[&'static str], on: &[On]) {
        for action in actions {
            self.push(need, api(action), action, &Grant::Beside(name), on);
        }
    }

    /// An action that AWS asks for when another is called.
    pub fn along(&mut self, need: Need, call: &'static str, actions: &[&'static str], grant: &Grant, on: &[On]) {
        for action in actions {
            self.push(need, call, action, grant, on);
        }
    }

    /// The tags of what there is, on a type of EC2's whose ids begin with `prefix`; and of what a spec takes over, where it
    /// does: by its id, or, where it goes by a name that no ARN holds, of whatever is of that type.
    pub fn tags(&mut self, what: &'static str, prefix: &str, common: &Common) {
        self.own(Need::Change, &["ec2:CreateTags", "ec2:DeleteTags"], &[On::Ec2(what)]);
        // What is kept when it leaves the spec loses our tags.
        self.own(Need::Remove, &["ec2:DeleteTags"], &[On::Ec2(what)]);
        if let Some(called) = &common.adopt {
            let on = if well_formed(called, prefix) { On::Ec2One(what, called.clone()) } else { On::Ec2(what) };
            self.push(Need::Change, "CreateTags", "ec2:CreateTags", &Grant::Adopt, &[on]);
        }
    }

    fn push(&mut self, need: Need, call: &'static str, action: &'static str, grant: &Grant, on: &[On]) {
        let one = |on: &On| Permit { need, call, action, grant: grant.clone(), on: on.clone() };
        self.0.extend(on.iter().map(one));
    }
}

/// The API of an action: what stands behind the service.
fn api(action: &'static str) -> &'static str {
    action.split_once(':').map_or(action, |(_, api)| api)
}
