//! Time, as far as a lock needs it: how much has passed.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment: two clocks, of which the one may stand still while a machine sleeps, and the other may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// A clock that is never set.
    pub steady: Duration,
    /// The calendar's.
    pub calendar: Duration,
}

impl Moment {
    /// How much time has passed since an earlier one: what the clock says that saw more of it. A lease that is thought
    /// older than it is costs a renewal; one that is thought younger costs the lock.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let steady = self.steady.saturating_sub(earlier.steady);
        steady.max(self.calendar.saturating_sub(earlier.calendar))
    }
}

/// A clock that can be waited for.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Moment;
    /// Waits.
    fn sleep(&self, how_long: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    began: Instant,
}

impl Machine {
    /// The clock, from now on.
    #[must_use]
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for Machine {
    fn now(&self) -> Moment {
        let calendar = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { steady: self.began.elapsed(), calendar }
    }

    fn sleep(&self, how_long: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(how_long))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Moment;

    #[test]
    fn the_clock_that_saw_more_is_believed() {
        let at =
            |steady, calendar| Moment { steady: Duration::from_secs(steady), calendar: Duration::from_secs(calendar) };
        let earlier = at(100, 5_000);
        assert_eq!(at(110, 5_010).since(&earlier).as_secs(), 10);
        assert_eq!(at(110, 9_010).since(&earlier).as_secs(), 4_010, "the machine slept, or the calendar was set");
        assert_eq!(at(110, 1_000).since(&earlier).as_secs(), 10, "the calendar was set back");
    }
}
