//! Exit codes, one constant for each class of ending.

use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// The spec is wrong, the world could not be observed, or an internal fault; nothing was changed.
    Error,
    /// `plan --detailed-exitcode` only: changes are pending.
    Pending,
    /// Refused: protected, impact, a twin, another origin, a foreign holder, a guard.
    Refused,
    /// The kept plan no longer fits the world or its spec, or it is not the plan that was expected; nothing was changed.
    Stale,
    /// Applied in part.
    Partial,
    /// Applied, yet the next plan is not empty or could not be made.
    NotConverged,
    /// Declined at the prompt.
    Declined,
    /// The command line is wrong.
    Usage,
    /// Somebody else holds the stack's lock; nothing was changed.
    Busy,
    /// Interrupted by SIGINT.
    Interrupted,
    /// Interrupted by SIGTERM.
    Terminated,
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Pending => 2,
            Self::Refused => 3,
            Self::Stale => 4,
            Self::Partial => 5,
            Self::NotConverged => 6,
            Self::Declined => 7,
            // 2 would read as "changes pending" to a pipeline; 64 is EX_USAGE of sysexits.h.
            Self::Usage => 64,
            // EX_TEMPFAIL of sysexits.h: try again.
            Self::Busy => 75,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
