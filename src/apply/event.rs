//! What happens while a plan is carried out, for whoever watches.

use super::StepOutcome;
use crate::plan::Step;

/// One event. Events of one apply are told in one order.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A step begins.
    Started(&'a Step),
    /// A step came to its end.
    Ended(&'a Step, &'a StepOutcome),
}
