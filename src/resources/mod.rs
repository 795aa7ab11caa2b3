//! One folder per kind: all that is true of that kind, and what every kind must say of itself.
//!
//! To add a kind: copy a folder, add a variant to [`crate::model::Kind`] and to [`registry`], and let the compiler list
//! the rest. The files of a column:
//!
//! | file | what it says |
//! |---|---|
//! | `spec.rs` | what a user may write: fields, schema, how each is read, and what AWS would refuse |
//! | `state.rs` | desired and observed, in the one normal form in which they compare |
//! | `diff.rs` | how one becomes the other: [`Resource`] |
//! | `action.rs` | the calls there are, as data |
//! | `permits.rs` | which API actions it takes |
//! | `aws.rs` | listing and performing through the AWS SDK; of a kind that lives on hosts `hosts.rs`, through a shell |
//! | `sim.rs` | the same in the simulated world |
//! | `tests.rs` | tables of the diff |
//!
//! No column names another, and no row (spec, plan, apply, report) names a column.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::duration::Seconds;
use crate::model::id::{SubnetId, VpcId};
use crate::model::tree::Span;
use crate::model::{Address, CloudId, Kind, Link, Name, Output, Query, Reference, Region, TagEdit, Tags, Target};

mod context;
pub mod decode;
mod delta;
mod draft;
pub mod elastic_ip;
pub mod flow;
pub mod host_firewall;
pub mod instance;
pub mod key_pair;
pub mod load_balancer;
pub mod permissions;
pub mod place;
pub mod ports;
mod refusal;
pub mod registry;
pub mod scope;
pub mod security_group;
pub mod shape;
pub mod site;
pub mod snapshot;
pub mod spec;
pub mod stack;
pub mod values;
pub mod world;

pub use context::{Accepted, Context, Fresh, Ground, Identities};
pub use delta::{Delta, Edit, Effect, Field, Impact, Note};
pub use draft::{After, Crew, Draft, Reach, Wave, Wrap};
use permissions::Permits;
pub use refusal::{Refusal, RefusalKind};
use snapshot::Facts;

/// What every kind says of itself to the planner. All of it is pure. What has a default is not true of every kind: a kind
/// that says nothing has none of it.
pub trait Resource {
    /// Which kind.
    const KIND: Kind;
    /// How many characters a generated name may have.
    const LONGEST_NAME: usize = 255;
    /// What the spec wants, in normal form.
    type Desired;
    /// What was listed, in normal form.
    type Observed: Clone;
    /// One provider call, as data.
    type Action;

    /// What it names, whether an object or an output of one: a change there may be a change here.
    fn references(want: &Self::Desired) -> Vec<Reference>;

    /// What must be read to compare it, beside the listings that every plan needs.
    #[must_use]
    fn reads(_want: &Self::Desired) -> Vec<Read> {
        Vec::new()
    }

    /// Resources whose every change may be a change here, though it can do without them.
    #[must_use]
    fn watches(_want: &Self::Desired) -> Vec<Address> {
        Vec::new()
    }

    /// Questions about instances that it depends on.
    #[must_use]
    fn queries(_want: &Self::Desired) -> Vec<Query> {
        Vec::new()
    }

    /// The foreign object that it is made on, such as a host. Where that was not seen nothing is known of it.
    #[must_use]
    fn ground(_want: &Self::Desired) -> Option<CloudId> {
        None
    }

    /// What a new one brings that a reader must see before agreeing to it.
    fn introduces(_want: &Self::Desired, _cx: &Context<'_>) -> Vec<Field> {
        Vec::new()
    }

    /// What it takes to make one. The first draft is the call that makes it.
    fn create(want: &Self::Desired, cx: &Context<'_>) -> Vec<Draft<Self::Action>>;

    /// What it takes to make `have` what is wanted, tags apart.
    fn diff(want: &Self::Desired, have: &Seen<'_, Self::Observed>, cx: &Context<'_>) -> Delta<Self::Action>;

    /// What it takes to remove one.
    fn delete(have: &Seen<'_, Self::Observed>, cx: &Context<'_>) -> Vec<Draft<Self::Action>>;

    /// Tags of ours that say what no listing tells: they are part of what is desired. None means the tag must be absent.
    fn stamps(_want: &Self::Desired) -> Stamps {
        Stamps::new()
    }

    /// The call that changes an object's tags.
    fn retag(edit: TagEdit) -> Self::Action;

    /// What must exist before an action: objects by link, and outputs that fill its holes.
    fn needs(action: &Self::Action) -> Needs;

    /// What it tells.
    fn outputs(have: &Seen<'_, Self::Observed>) -> BTreeMap<Output, String>;

    /// Outputs that a resource has before it is made: generated or literal names.
    fn foretold(_want: &Self::Desired, _cx: &Context<'_>) -> BTreeMap<Output, String> {
        BTreeMap::new()
    }

    /// Outputs of *other* resources that this one decides: an associated address is the instance's public address.
    fn lends(_want: &Self::Desired) -> Vec<Loan> {
        Vec::new()
    }

    /// Objects whose outputs it decides now, with all outputs that change when it no longer does.
    fn lent(_have: &Self::Observed) -> Vec<(CloudId, Vec<Output>)> {
        Vec::new()
    }

    /// Outputs that one made as wanted never has, unless another lends them.
    fn withholds(_want: &Self::Desired) -> Vec<Output> {
        Vec::new()
    }

    /// Outputs that an object never has of its own, whatever is done to it in place.
    #[must_use]
    fn lacks(_have: &Seen<'_, Self::Observed>, _facts: &Facts) -> Vec<Output> {
        Vec::new()
    }

    /// The action that only reads what an object tells, for kinds whose outputs others change.
    #[must_use]
    fn look() -> Option<Self::Action> {
        None
    }

    /// The action that only tries whether a host answers, for kinds that stand on hosts.
    #[must_use]
    fn reach(_: &Target) -> Option<Self::Action> {
        None
    }

    /// What it keeps from going.
    fn holds(_have: &Self::Observed) -> Vec<Hold> {
        Vec::new()
    }

    /// Whom it sends traffic to, and how each of them is.
    #[must_use]
    fn members(_have: &Self::Observed) -> Vec<Member> {
        Vec::new()
    }

    /// What it is to those who talk to each other; none where it is nothing.
    #[must_use]
    fn stance(_have: &Seen<'_, Self::Observed>) -> Option<flow::Stance> {
        None
    }

    /// What is to be said of it beyond its outputs and members, line by line, for whoever only looks.
    #[must_use]
    fn describe(_have: &Self::Observed) -> Vec<String> {
        Vec::new()
    }

    /// Whether it is on its way out already: nobody's member, yet still holding.
    fn going(_have: &Self::Observed) -> bool {
        false
    }

    /// The action that waits until one on its way out is gone.
    #[must_use]
    fn await_gone() -> Option<Self::Action> {
        None
    }

    /// What only one object at a time may have, that `want` would take.
    fn slots(_want: &Self::Desired, _cx: &Context<'_>) -> BTreeSet<String> {
        BTreeSet::new()
    }

    /// What only one object at a time may have, that `have` has.
    #[must_use]
    fn occupies(_have: &Seen<'_, Self::Observed>) -> BTreeSet<String> {
        BTreeSet::new()
    }

    /// What goes around an interruption of an object that this one sends traffic to; none when it sends it none.
    #[must_use]
    fn wraps(
        _want: &Self::Desired,
        _have: &Seen<'_, Self::Observed>,
        _member: &CloudId,
        _cx: &Context<'_>,
    ) -> Option<Wrap<Self::Action>> {
        None
    }

    /// Those it sends traffic to; none when it sends none.
    #[must_use]
    fn crew(_want: &Self::Desired) -> Option<Crew> {
        None
    }

    /// Whether a foreign object is the one an `adopt` clause names, beside its id.
    fn is_called(have: &Seen<'_, Self::Observed>, adopt: &str) -> bool;

    /// Whether the object is read again before an action: what destroys or takes away must find what the plan saw.
    fn rechecks(action: &Self::Action) -> bool;

    /// Why an action must not be carried out on the object as it is now, when the plan saw `seen`. Ownership is checked by
    /// the caller.
    fn stale(action: &Self::Action, seen: &Self::Observed, now: &Self::Observed) -> Option<String>;

    /// The object without what changes by itself: what a plan that stands on it must find again.
    fn settled(have: &Self::Observed) -> Self::Observed {
        have.clone()
    }

    /// Whether an action was read from a place that leaves secrets out, and lacks one.
    #[must_use]
    fn withholds_secret(_: &Self::Action) -> bool {
        false
    }
    /// Which API actions it takes to list its objects, whether a spec has one or not.
    fn listing(_permits: &mut Permits) {}

    /// Which API actions it takes to make one as wanted, to change it, and to remove it.
    fn permits(_want: &Self::Desired, _common: &Common, _permits: &mut Permits) {}

    /// What will become of the object, in one line for people.
    fn summary(want: &Self::Desired) -> String;
}

/// Tags of ours with what each shall say; none means that it shall not be there.
pub type Stamps = BTreeMap<&'static str, Option<String>>;

/// What every resource has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// Where it lives.
    pub region: Region,
    /// The user's tags, the stack's and its own merged.
    pub tags: Tags,
    /// May be neither replaced nor deleted.
    pub protect: bool,
    /// Is released, not deleted, when it leaves the spec.
    pub keep: bool,
    /// The name it had before.
    pub previously: Option<Name>,
    /// A foreign object to take over: id or name.
    pub adopt: Option<String>,
    /// How long one step may wait, where the kind's own limit does not do.
    pub timeout: Option<Seconds>,
    /// The resource that `count` made several of, with how many members may be down at a time.
    pub group: Option<Group>,
    /// Where the spec says so.
    pub span: Span,
}

/// A group of members.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The name in the spec.
    pub name: Name,
    /// How many members may be down at a time.
    pub max_unavailable: u32,
}

/// An object with what every object has.
#[derive(Debug)]
pub struct Seen<'a, T> {
    /// Its id.
    pub id: &'a CloudId,
    /// Where it lives.
    pub region: &'a Region,
    /// Its tags.
    pub tags: &'a Tags,
    /// What its kind lists of it.
    pub body: &'a T,
}

/// Which of the account's VPCs.
pub type VpcChoice = Choice<VpcId>;

/// A foreign object of the account's network, by id or by tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice<I> {
    /// The default one.
    Default,
    /// This one.
    Id(I),
    /// The one that has all these tags.
    Tags(Tags),
}

/// Which subnet.
pub type SubnetChoice = Choice<SubnetId>;

/// A query for a machine image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageQuery {
    /// The image's name, `*` standing for any run of characters.
    pub name: String,
    /// The account that owns it, or `amazon`, `self`, `aws-marketplace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `x86_64` or `arm64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

/// Something that is read only where somebody needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Read {
    /// VPCs, for who does not simply live in the default one: which that is, its subnets tell.
    Vpcs,
    /// The volumes that instances boot from.
    Volumes,
    /// Who is in service.
    Health,
}

impl Read {
    /// All there is.
    pub const ALL: [Self; 3] = [Self::Vpcs, Self::Volumes, Self::Health];

    /// What it takes to find a VPC.
    #[must_use]
    pub fn of_vpc(vpc: &VpcChoice) -> Option<Self> {
        (*vpc != Choice::Default).then_some(Self::Vpcs)
    }
}

/// What must exist before a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Objects.
    pub links: Vec<Link>,
    /// Outputs.
    pub outputs: Vec<(Address, Output)>,
}

/// An output of another resource that this one decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loan {
    /// Whose output.
    pub of: Address,
    /// Which.
    pub output: Output,
    /// The output of this resource that it equals.
    pub mine: Output,
    /// Other outputs that change when the loan begins or ends.
    pub along: Vec<Output>,
}

/// An object that another keeps from going.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hold {
    /// What is held.
    pub id: CloudId,
    /// Whether AWS refuses to remove it meanwhile; otherwise only the order matters.
    pub firm: bool,
}

/// An object that another sends traffic to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its id.
    pub id: CloudId,
    /// How it is, in words.
    pub state: String,
}
