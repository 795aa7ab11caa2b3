//! A call that a kind proposes, with all that decides its place among the others.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::duration::Seconds;
use crate::model::{CloudId, Link, Output};

/// One call that a kind proposes, before it has its place in the graph.
#[derive(Debug, Clone)]
pub struct Draft<A> {
    /// What it does, in words: "authorize ingress".
    pub title: &'static str,
    /// Whom or what of the object it is about, in words: a member, a port; mostly nothing.
    pub about: String,
    /// The call.
    pub action: A,
    /// On which object; absent for the one that is made at this address.
    pub on: Option<CloudId>,
    /// When in the order of things.
    pub wave: Wave,
    /// Which drafts of the same list come before it.
    pub after: After,
    /// Outputs that are known, or known anew, when it is done.
    pub provides: Vec<Output>,
    /// Objects that it no longer holds when it is done.
    pub frees: Vec<CloudId>,
    /// How it bears on who may talk to whom.
    pub reach: Vec<Reach>,
    /// Whether others may use the object only when this is done: it completes the making of it.
    pub readies: bool,
    /// Whether the object serves nobody from here on: who holds it must let go before.
    pub ends: bool,
    /// Whether the object does not serve while this goes on.
    pub interrupts: bool,
    /// Objects that are sent traffic from here on.
    pub serves: Vec<Link>,
    /// Objects that are sent no traffic from here on.
    pub quits: Vec<CloudId>,
    /// Whom it lets in somewhere: they are let in before they are sent traffic, and before they are made where that can be.
    pub admits: Vec<Link>,
    /// Objects that are let in nowhere any more when it is done: so before they stop, go, or lose their address.
    pub shuts: Vec<CloudId>,
    /// How long it may wait.
    pub timeout: Seconds,
}

impl<A> Draft<A> {
    /// A draft that follows the one before it, and may take two minutes, the time AWS's changes take to be seen everywhere.
    #[must_use]
    pub const fn new(title: &'static str, wave: Wave, on: Option<CloudId>, action: A) -> Self {
        Self {
            title,
            about: String::new(),
            action,
            on,
            wave,
            after: After::Previous,
            provides: Vec::new(),
            frees: Vec::new(),
            reach: Vec::new(),
            readies: false,
            ends: false,
            interrupts: false,
            serves: Vec::new(),
            quits: Vec::new(),
            admits: Vec::new(),
            shuts: Vec::new(),
            timeout: Seconds(120),
        }
    }
}

/// The three waves. No edge runs from a removal back to a make, save for slots and interruptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wave {
    /// Something new.
    Make,
    /// Something changed.
    Update,
    /// Something gone.
    Remove,
}

/// What comes before a draft among the drafts of its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// The one before it.
    Previous,
    /// The last one that readies the object, or the first.
    Ready,
    /// None.
    Nothing,
    /// All before it.
    All,
    /// These, by their place in the list.
    These(Vec<usize>),
}

/// How a call bears on who may talk to whom. The planner orders calls by it: open, then move, then close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It opens something to the members of this group.
    Opens(Link),
    /// It closes something to the members of this group.
    Closes(CloudId),
    /// It lets the members of this group in where they were not.
    Admits(Link),
    /// It lets the members of this group in no more where they were.
    Expels(CloudId),
    /// It makes something that exists a member of this group.
    Joins(Link),
    /// It makes a new object a member of this group.
    BornInto(Link),
    /// It takes something out of this group.
    Leaves(CloudId),
}

impl Reach {
    /// What it means to be in these groups instead of those, and which are left.
    #[must_use]
    pub fn of_swap(is: &BTreeSet<Link>, wanted: &BTreeSet<Link>) -> (Vec<CloudId>, Vec<Self>) {
        let left: Vec<CloudId> = is
            .difference(wanted)
            .filter_map(|link| match link {
                Link::Existing(id) => Some(id.clone()),
                Link::Planned(_) => None,
            })
            .collect();
        let joins = wanted.difference(is).cloned().map(Self::Joins);
        let reach = joins.chain(left.iter().cloned().map(Self::Leaves)).collect();
        (left, reach)
    }
}

/// What goes around the interruption of an object that is sent traffic.
#[derive(Debug, Clone)]
pub struct Wrap<A> {
    /// Before it stops serving.
    pub before: Vec<Draft<A>>,
    /// Once it can serve again.
    pub after: Vec<Draft<A>>,
}

/// Those that an object sends traffic to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crew {
    /// How many there are in the end.
    pub members: u32,
    /// How many of them are never fewer in service by our doing.
    pub min_healthy: u32,
}

impl Crew {
    /// How many may be out of service at a time by our doing.
    #[must_use]
    pub const fn spare(self) -> u32 {
        self.members.saturating_sub(self.min_healthy)
    }

    /// How many change at a time: where none can be spared, one, if another takes its place first.
    #[must_use]
    pub fn abreast(self) -> u32 {
        self.spare().max(1)
    }
}
