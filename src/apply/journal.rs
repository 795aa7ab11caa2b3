//! The append-only log of an apply: what was about to be done, to what, and what became of it.

use std::io::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::StepOutcome;
use crate::plan::Step;
use crate::port::{Outputs, ProviderError};
use crate::resources::registry::{Call, Object};

/// The version of the lines. A reader refuses a higher one.
pub const FORMAT_VERSION: u32 = 1;

/// Keeps what an apply does.
pub trait Journal: Send {
    /// Adds one entry, and has it on its way to the disk when it returns.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn record(&mut self, entry: &Entry<'_>) -> std::io::Result<()>;
}

/// One line.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Entry<'a> {
    /// The version of the line.
    pub format_version: u32,
    /// The step's number in its plan, counting from 1.
    pub step: usize,
    /// What the step does, in words.
    pub title: &'a str,
    /// What happened.
    pub what: What<'a>,
}

/// What happened to a step.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum What<'a> {
    /// The call is about to be made.
    Started {
        /// The call.
        call: &'a Call,
        /// The object as it was, for a call that destroys or takes away.
        before: Option<&'a Object>,
    },
    /// The call took effect.
    Done {
        /// What it gave.
        outputs: &'a Outputs,
    },
    /// The call had no effect.
    Failed {
        /// Why.
        error: &'a ProviderError,
    },
    /// The call was not made, as the object is not what the plan saw.
    Stale {
        /// How it differs.
        why: &'a str,
    },
    /// Whether the call took effect is not known.
    Unknown {
        /// Why not.
        error: &'a ProviderError,
    },
}

impl<'a> Entry<'a> {
    /// A step is about to begin.
    #[must_use]
    pub fn started(step: &'a Step) -> Self {
        Self::of(step, What::Started { call: &step.call, before: step.seen.as_ref() })
    }

    /// A step came to its end.
    #[must_use]
    pub fn ended(step: &'a Step, outcome: &'a StepOutcome) -> Self {
        let none: &'static Outputs = const { &Outputs::new() };
        let what = match outcome {
            StepOutcome::Done(outputs) => What::Done { outputs },
            StepOutcome::Failed(error) => What::Failed { error },
            StepOutcome::Stale(why) => What::Stale { why },
            StepOutcome::Unknown(error) => What::Unknown { error },
            // Steps that never began have no entry; the outcome lists them.
            StepOutcome::Skipped { .. } | StepOutcome::NotStarted => What::Done { outputs: none },
        };
        Self::of(step, what)
    }

    fn of(step: &'a Step, what: What<'a>) -> Self {
        Self { format_version: FORMAT_VERSION, step: step.id.0 + 1, title: &step.title, what }
    }
}

/// A journal of JSON lines.
#[derive(Debug)]
pub struct Lines<W: Write + Send> {
    out: W,
    clock: fn() -> String,
}

impl<W: Write + Send> Lines<W> {
    /// Writes to `out`, each line with the time that `clock` tells.
    pub const fn new(out: W, clock: fn() -> String) -> Self {
        Self { out, clock }
    }
}

/// A line with its time.
#[derive(Serialize)]
struct Stamped<'a> {
    time: String,
    entry: &'a Entry<'a>,
}

impl<W: Write + Send> Journal for Lines<W> {
    fn record(&mut self, entry: &Entry<'_>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&Stamped { time: (self.clock)(), entry })?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

/// Keeps nothing: for tests, and for whoever asks for no journal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Journal for Nowhere {
    fn record(&mut self, _: &Entry<'_>) -> std::io::Result<()> {
        Ok(())
    }
}
