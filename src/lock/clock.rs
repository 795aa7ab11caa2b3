//! Time, as far as a lock needs it: how much has passed.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
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

/// A clock for tests: time passes only when nobody has anything else to do, and then at once.
#[derive(Debug, Default)]
pub struct Virtual(Mutex<Sleepers>);

#[derive(Debug, Default)]
struct Sleepers {
    now: Duration,
    /// When to wake whom; the number keeps those apart who wake at the same time, in the order in which they lay down.
    waiting: BTreeMap<(Duration, u64), Waker>,
    count: u64,
}

/// How often everybody who can run has had a turn before time passes. Whoever is woken by somebody who is woken needs more
/// than one; whoever needs more than these was slow, which a schedule may be.
const TURNS: u32 = 8;

impl Virtual {
    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work, and lets time pass whenever everybody waits. It wants a runtime of one thread.
    pub async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut idle = 0;
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            idle += 1;
            if idle >= TURNS {
                idle = 0;
                self.pass();
            }
            // Back to the end of the queue: everybody else who can run goes first.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// Goes on to the next moment for which somebody waits.
    fn pass(&self) {
        let mut sleepers = self.lock();
        if let Some(((at, _), waker)) = sleepers.waiting.pop_first() {
            sleepers.now = sleepers.now.max(at);
            drop(sleepers);
            waker.wake();
        }
    }
}

impl Clock for Virtual {
    fn now(&self) -> Moment {
        let now = self.lock().now;
        Moment { steady: now, calendar: now }
    }

    fn sleep(&self, how_long: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let at = self.lock().now.saturating_add(how_long);
        Box::pin(Nap { clock: self, at, place: None })
    }
}

/// Somebody who sleeps; whoever does not wait any more is not woken either.
struct Nap<'a> {
    clock: &'a Virtual,
    at: Duration,
    place: Option<(Duration, u64)>,
}

impl Future for Nap<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let mut sleepers = self.clock.lock();
        match self.place {
            Some(place) if !sleepers.waiting.contains_key(&place) => return Poll::Ready(()),
            Some(place) => {
                sleepers.waiting.insert(place, cx.waker().clone());
            }
            None => {
                sleepers.count += 1;
                let place = (self.at, sleepers.count);
                sleepers.waiting.insert(place, cx.waker().clone());
                drop(sleepers);
                self.place = Some(place);
            }
        }
        Poll::Pending
    }
}

impl Drop for Nap<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.clock.lock().waiting.remove(&place);
        }
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
