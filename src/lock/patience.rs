//! How long somebody waits for a lock.

use std::time::Duration;

use super::Busy;
use super::clock::{Clock, Moment};

/// Waits for as long as was asked, and says so once.
pub struct Patience<'a> {
    clock: &'a dyn Clock,
    began: Moment,
    timeout: Duration,
    tell: Option<Tell<'a>>,
}

/// Who is told that a lock is waited for.
pub type Tell<'a> = &'a mut (dyn FnMut(&Busy) + Send);

impl<'a> Patience<'a> {
    /// Waits for this long from now on; whoever is told hears of the first holder only.
    #[must_use]
    pub fn new(clock: &'a dyn Clock, timeout: Duration, tell: Tell<'a>) -> Self {
        Self { clock, began: clock.now(), timeout, tell: Some(tell) }
    }

    /// Waits before somebody looks again, and gives whether they shall.
    pub async fn wait(&mut self, busy: &Busy, pause: Duration) -> bool {
        let left = self.timeout.saturating_sub(self.clock.now().since(&self.began));
        if left.is_zero() {
            return false;
        }
        if let Some(tell) = self.tell.take() {
            tell(busy);
        }
        self.clock.sleep(pause.min(left)).await;
        true
    }
}
