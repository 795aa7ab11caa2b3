//! Asking again: which faults, how often, after how long.
//!
//! Full jitter over an exponential bound, as AWS advises
//! (<https://docs.aws.amazon.com/prescriptive-guidance/latest/cloud-design-patterns/retry-backoff.html>). The SDK's own
//! retries are off: they know neither our buckets nor which calls may be sent twice.

use std::time::Duration;

use tokio::time::Instant;

use super::error::{Fault, Remedy};
use crate::model::duration::Seconds;

/// The bound of the first pause.
const BASE: Duration = Duration::from_secs(1);
/// The bound of every pause.
const CAP: Duration = Duration::from_secs(20);
/// How long a reading call may take with all its attempts.
const READING: Duration = Duration::from_mins(2);
/// How long a fresh id may stay unseen: "up to five minutes"
/// (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>), and one pause more, so that the last look
/// falls behind them.
pub const CONSISTENCY: Duration = Duration::from_mins(5).saturating_add(CAP);

/// The pause before attempt `tries + 1`: `chance` (0 to 1) of a bound that doubles up to the cap.
#[must_use]
pub fn backoff(tries: u32, chance: f64) -> Duration {
    let bound = BASE.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))).min(CAP);
    bound.mul_f64(chance.clamp(0.0, 1.0))
}

/// Whether a call may be sent again when nobody knows whether it had its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// It reads, has a token, or its second run finds the effect of the first.
    Safely,
    /// It would make a second object.
    Never,
}

/// One call: what, on which ids, until when.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The API: `DescribeInstances`.
    pub api: &'static str,
    /// Ids it names, which may be too fresh to be seen.
    pub uses: Vec<&'a str>,
    /// Whether it may be sent twice.
    pub resend: Resend,
    /// When to stop asking.
    pub deadline: Instant,
    patient: Vec<Remedy>,
}

impl<'a> Ask<'a> {
    /// A call that reads.
    #[must_use]
    pub fn read(api: &'static str) -> Self {
        Self::until(api, Instant::now() + READING)
    }

    /// A call that may be sent again safely, until a deadline.
    #[must_use]
    pub const fn until(api: &'static str, deadline: Instant) -> Self {
        Self { api, uses: Vec::new(), resend: Resend::Safely, deadline, patient: Vec::new() }
    }

    /// Names ids that may be too fresh.
    #[must_use]
    pub fn uses(mut self, ids: impl IntoIterator<Item = &'a str>) -> Self {
        self.uses.extend(ids);
        self
    }

    /// A second effect would be a second object.
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.resend = Resend::Never;
        self
    }

    /// Waits for a trouble to pass that is reported at once otherwise.
    #[must_use]
    pub fn patient(mut self, remedy: Remedy) -> Self {
        self.patient.push(remedy);
        self
    }

    /// How many attempts a fault is worth.
    fn attempts(&self, remedy: Remedy, fresh: Freshness) -> u32 {
        match (remedy, fresh) {
            (Remedy::Report, _) | (Remedy::Fresh, Freshness::Old) => 1,
            (Remedy::SlowDown, _) => 20,
            (Remedy::Again, _) => 5,
            (Remedy::Reconnect, _) => 3,
            (Remedy::Fresh, Freshness::New) => u32::MAX,
            (Remedy::Released | Remedy::Settled, _) => {
                if self.patient.contains(&remedy) {
                    u32::MAX
                } else {
                    1
                }
            }
        }
    }
}

/// When a call with this timeout is to be given up.
#[must_use]
pub fn deadline(timeout: Seconds) -> Instant {
    let now = Instant::now();
    now.checked_add(Duration::from_secs(timeout.0)).unwrap_or(now + CONSISTENCY)
}

/// Whether a call names an id that this run made within the window of [`CONSISTENCY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It does.
    New,
    /// It does not: "not found" means gone.
    Old,
}

/// The attempts at one call so far.
#[derive(Debug, Default)]
pub struct Tries {
    count: u32,
    ambiguous: bool,
}

impl Tries {
    /// The pause after which to ask again; none when the fault is to be reported. A call whose effect was unknown once
    /// stays so, whatever the later attempts say.
    pub fn after(
        &mut self,
        fault: &mut Fault,
        ask: &Ask<'_>,
        fresh: Freshness,
        now: Instant,
        chance: f64,
    ) -> Option<Duration> {
        self.count = self.count.saturating_add(1);
        self.ambiguous |= fault.error.ambiguous;
        fault.error.ambiguous = self.ambiguous;
        if self.ambiguous && ask.resend == Resend::Never {
            return None;
        }
        let pause = backoff(self.count, chance);
        // What this run made is seen by everyone in the end, and giving it up would leave it half made: that has its own time.
        let in_time = now + pause < ask.deadline || (fault.remedy == Remedy::Fresh && fresh == Freshness::New);
        (self.count < ask.attempts(fault.remedy, fresh) && in_time).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::{Class, ProviderError};

    fn fault(remedy: Remedy, ambiguous: bool) -> Fault {
        let mut error = ProviderError::new(Class::Transient, "x", "y");
        error.ambiguous = ambiguous;
        Fault { error, remedy, lacks: None }
    }

    fn tries(ask: &Ask<'_>, remedy: Remedy, fresh: Freshness) -> u32 {
        let (mut tries, now) = (Tries::default(), Instant::now());
        let mut count = 1;
        while count < 100 && tries.after(&mut fault(remedy, false), ask, fresh, now, 0.5).is_some() {
            count += 1;
        }
        count
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let pauses: Vec<f64> = (1..=7).map(|n| backoff(n, 1.0).as_secs_f64()).collect();
        assert_eq!(pauses, [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]);
        assert_eq!(backoff(u32::MAX, 0.5), Duration::from_secs(10));
        assert_eq!(backoff(3, 0.0), Duration::ZERO);
    }

    #[test]
    fn every_remedy_has_its_limit() {
        let plain = Ask::read("DescribeInstances");
        assert_eq!(tries(&plain, Remedy::Report, Freshness::New), 1);
        assert_eq!(tries(&plain, Remedy::Again, Freshness::Old), 5);
        assert_eq!(tries(&plain, Remedy::SlowDown, Freshness::Old), 20);
        assert_eq!(tries(&plain, Remedy::Fresh, Freshness::Old), 1);
        assert_eq!(tries(&plain, Remedy::Fresh, Freshness::New), 100);
        assert_eq!(tries(&plain, Remedy::Released, Freshness::Old), 1);
        assert_eq!(tries(&plain.clone().patient(Remedy::Released), Remedy::Released, Freshness::Old), 100);
    }

    #[test]
    fn nothing_is_asked_behind_the_deadline() {
        let ask = Ask::until("RunInstances", Instant::now() + Duration::from_millis(100));
        assert_eq!(tries(&ask, Remedy::Again, Freshness::Old), 1);
        assert_eq!(tries(&ask, Remedy::Fresh, Freshness::Old), 1);
        assert_eq!(tries(&ask, Remedy::Fresh, Freshness::New), 100, "what is fresh has a time of its own");
    }

    #[test]
    fn a_call_without_a_token_is_not_sent_twice() {
        let ask = Ask::read("AllocateAddress").once();
        let mut first = Tries::default();
        assert!(first.after(&mut fault(Remedy::Again, true), &ask, Freshness::Old, Instant::now(), 0.1).is_none());
        let mut second = Tries::default();
        assert!(second.after(&mut fault(Remedy::SlowDown, false), &ask, Freshness::Old, Instant::now(), 0.1).is_some());
    }

    #[test]
    fn doubt_stays() {
        let (mut tries, ask) = (Tries::default(), Ask::read("CreateSecurityGroup"));
        let _ = tries.after(&mut fault(Remedy::Again, true), &ask, Freshness::Old, Instant::now(), 0.1);
        let mut last = fault(Remedy::Report, false);
        let _ = tries.after(&mut last, &ask, Freshness::Old, Instant::now(), 0.1);
        assert!(last.error.ambiguous);
    }
}
