//! What became of every step.

use std::collections::BTreeMap;

use crate::plan::StepId;
use crate::port::{Outputs, ProviderError};

/// The result of an apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Every step of the plan.
    pub steps: BTreeMap<StepId, StepOutcome>,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// It took effect, or its effect was there.
    Done(Outputs),
    /// It had no effect.
    Failed(ProviderError),
    /// The object is not as the plan saw it; nothing was done.
    Stale(String),
    /// Whether it took effect is not known. The next plan looks.
    Unknown(ProviderError),
    /// Something it waits for did not come about.
    Skipped {
        /// Which step.
        because: StepId,
    },
    /// The apply was stopped before.
    NotStarted,
}

impl Outcome {
    /// Whether every step is done.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.steps.values().all(|outcome| matches!(outcome, StepOutcome::Done(_)))
    }
}
