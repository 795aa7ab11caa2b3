//! The scenarios: what a stack was, and what becomes of it.

mod addresses;
mod balancers;
mod groups;
mod hosts;
mod machines;
mod whole;

/// One apply.
#[derive(Debug)]
pub struct Scenario {
    /// What it shows.
    pub name: &'static str,
    /// What somebody made by hand before; nobody owns it.
    pub by_hand: &'static str,
    /// What the stack was; empty where there is nothing yet.
    pub before: &'static str,
    /// What is merged over that.
    pub change: &'static str,
    /// What is done then.
    pub way: Way,
}

/// What a plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The stack as the spec says.
    Apply,
    /// Nothing of it.
    Destroy,
    /// As the spec says, with another object at this address though nothing differs.
    Replace(&'static str),
}

impl Way {
    /// How a run that was stopped is gone on with: whoever asked for another object may have it already.
    pub const fn then(self) -> Self {
        match self {
            Self::Replace(_) => Self::Apply,
            other => other,
        }
    }
}

impl Scenario {
    /// What every spec begins with.
    pub const HEAD: &'static str = "stack = \"shop\"\nregion = \"eu-west-1\"\n\
                                    fingerprint_key = { env = \"PORTCULLIS_CANARY_KEY\" }\n";
}

/// A stack that is made.
const fn made(name: &'static str, change: &'static str) -> Scenario {
    changed(name, "", change)
}

/// A stack that is changed.
const fn changed(name: &'static str, before: &'static str, change: &'static str) -> Scenario {
    Scenario { name, by_hand: "", before, change, way: Way::Apply }
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [groups::ALL, addresses::ALL, machines::ALL, balancers::ALL, hosts::ALL, whole::ALL].into_iter().flatten()
}
