//! What a rehearsal found of a plan, as the plan carries it from then on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::model::Address;
use crate::resources::{Refusal, RefusalKind};

/// What a rehearsal of a plan found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rehearsal {
    /// In how many orders the calls were made.
    pub orders: usize,
    /// How many states were looked at, each after a call.
    pub states: usize,
    /// What it comes to.
    pub verdict: Verdict,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Moments at which less is reachable than before and after, that no order of the calls avoids; the plan lists them among
    /// its exposures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposures: Vec<String>,
    /// What could not be rehearsed, in words. It speaks neither for the plan nor against it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_modelled: Vec<String>,
}

/// What a rehearsal comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing was found, or nothing that is not accepted.
    Sound,
    /// Something was found.
    Unsound,
    /// Nothing could be rehearsed.
    NotRehearsed,
}

/// Something that a rehearsal found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What sort of trouble.
    pub trouble: Trouble,
    /// Whose call led there, if it was one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// What is wrong then, in words.
    pub message: String,
    /// The numbers of the calls that lead there, in the order in which they were made.
    pub steps: Vec<usize>,
    /// Whether the operator accepts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
}

/// Sorts of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// A call is refused that is made in a legal order.
    Stuck,
    /// Too few serve, or a host is treated as no host may be.
    Broken,
    /// A flow is open that neither start nor end allows.
    Exposed,
    /// A flow is closed that start and end both allow.
    Cut,
    /// An address answers for nobody though it does at start and end.
    Loose,
    /// A second plan would not be empty.
    Unfinished,
}

impl Trouble {
    /// What it means, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Stuck => "a call would be refused",
            Self::Broken => "a law would be broken",
            Self::Exposed => "for a moment more would be reachable than before and after",
            Self::Cut => "for a moment less would be reachable than before and after",
            Self::Loose => "for a moment an address would answer for nobody",
            Self::Unfinished => "the plan would not come to its end",
        }
    }
}

impl Plan {
    /// Takes down what a rehearsal found; what is not accepted refuses the plan.
    pub fn rehearsed(&mut self, rehearsal: Rehearsal) {
        let refusals: Vec<Refusal> =
            rehearsal.findings.iter().filter(|finding| !finding.accepted).map(Self::refusal).collect();
        self.refusals.extend(refusals);
        self.exposures.extend(rehearsal.exposures.iter().cloned());
        self.rehearsal = Some(rehearsal);
    }

    /// What a rehearsal found; none when there was none.
    #[must_use]
    pub const fn rehearsal(&self) -> Option<&Rehearsal> {
        self.rehearsal.as_ref()
    }

    fn refusal(finding: &Finding) -> Refusal {
        let Finding { trouble, address, message, steps: _, accepted: _ } = finding;
        let hint = match trouble {
            Trouble::Exposed => "make the change in two applies, or accept it with `--accept exposure`",
            Trouble::Stuck | Trouble::Broken | Trouble::Cut | Trouble::Loose | Trouble::Unfinished => {
                "make the change in two applies; if the rehearsal is wrong, `--no-rehearsal` leaves it out (please report it)"
            }
        };
        Refusal {
            kind: RefusalKind::Rehearsal,
            address: address.clone(),
            message: format!("{}: {message}", trouble.words()),
            hint: Some(hint.to_owned()),
        }
    }
}
