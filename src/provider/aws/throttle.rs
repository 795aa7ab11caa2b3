//! Token buckets on our side of the line, so that AWS's own are never emptied.
//!
//! EC2 counts requests by account, region and API
//! (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>). Every worker of a run shares one bucket
//! for each, filled at a [`Share`] of what AWS allows.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::service::Service;

/// How much of AWS's allowance is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

impl Share {
    /// So many hundredths: more than a hundred for accounts whose limits were raised, and for endpoints without any.
    #[must_use]
    pub fn percent(percent: u16) -> Self {
        Self(f64::from(percent) / 100.0)
    }
}

impl Default for Share {
    /// Four fifths: others use the account too.
    fn default() -> Self {
        Self(0.8)
    }
}

/// What AWS allows for one API: requests at once, and requests a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// Requests at once.
    pub burst: f64,
    /// Requests a second.
    pub refill: f64,
}

impl Allowance {
    const fn new(burst: f64, refill: f64) -> Self {
        Self { burst, refill }
    }

    /// AWS's allowance for an API, as its throttling page lists it. Load balancing has buckets of its own, of which no page
    /// gives the size: what is taken for them stays well below what others report to be refused.
    #[must_use]
    pub fn of(api: &str) -> Self {
        match api {
            read if Service::of(read) == Service::LoadBalancing && read.starts_with("Describe") => {
                Self::new(50.0, 10.0)
            }
            write if Service::of(write) == Service::LoadBalancing => Self::new(20.0, 5.0),
            "RunInstances" | "StartInstances" => Self::new(5.0, 2.0),
            "TerminateInstances" | "AssociateIamInstanceProfile" | "ModifyNetworkInterfaceAttribute" => {
                Self::new(100.0, 5.0)
            }
            "CreateTags" | "DeleteTags" => Self::new(100.0, 10.0),
            read if read.starts_with("Describe") || read.starts_with("Get") => Self::new(100.0, 20.0),
            _ => Self::new(50.0, 5.0),
        }
    }

    /// Our share of it.
    #[must_use]
    pub fn share(self, share: Share) -> Self {
        Self::new((self.burst * share.0).max(1.0), self.refill * share.0)
    }
}

/// One bucket. Time is passed in, counted from any fixed moment.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    allowance: Allowance,
    tokens: f64,
    filled: Duration,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub const fn new(allowance: Allowance, now: Duration) -> Self {
        Self { allowance, tokens: allowance.burst, filled: now }
    }

    /// Takes one token and says how long to wait before it may be used. Whoever asks next queues behind.
    pub fn take(&mut self, now: Duration) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / self.allowance.refill).unwrap_or(Duration::ZERO)
    }

    /// Empties the bucket: AWS said that its own is empty.
    pub fn drain(&mut self, now: Duration) {
        self.fill(now);
        self.tokens = self.tokens.min(0.0);
    }

    fn fill(&mut self, now: Duration) {
        let gone = now.saturating_sub(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = self.allowance.refill.mul_add(gone, self.tokens).min(self.allowance.burst);
    }
}

/// The buckets of one region.
#[derive(Debug)]
pub struct Buckets {
    start: Instant,
    share: Share,
    by_api: Mutex<BTreeMap<&'static str, Bucket>>,
}

impl Buckets {
    /// Full buckets.
    #[must_use]
    pub fn new(share: Share) -> Self {
        Self { start: Instant::now(), share, by_api: Mutex::new(BTreeMap::new()) }
    }

    /// Waits until a request may be sent.
    pub async fn take(&self, api: &'static str) {
        let wait = self.with(api, Bucket::take);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Notes that AWS throttled a request, so that every worker slows down.
    pub fn drain(&self, api: &'static str) {
        self.with(api, Bucket::drain);
    }

    fn with<T>(&self, api: &'static str, act: impl FnOnce(&mut Bucket, Duration) -> T) -> T {
        let now = self.start.elapsed();
        let mut buckets = self.by_api.lock().unwrap_or_else(PoisonError::into_inner);
        act(buckets.entry(api).or_insert_with(|| Bucket::new(Allowance::of(api).share(self.share), now)), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_queues() {
        let mut bucket = Bucket::new(Allowance::of("RunInstances").share(Share::default()), Duration::ZERO);
        for _ in 0..4 {
            assert_eq!(bucket.take(Duration::ZERO), Duration::ZERO);
        }
        // 1.6 a second: each one more waits 0.625 s longer than the one before it.
        assert_eq!(bucket.take(Duration::ZERO), Duration::from_millis(625));
        assert_eq!(bucket.take(Duration::ZERO), Duration::from_millis(1250));
    }

    #[test]
    fn a_raised_limit_may_be_used() {
        let mut bucket = Bucket::new(Allowance::of("RunInstances").share(Share::percent(1000)), Duration::ZERO);
        for _ in 0..50 {
            assert_eq!(bucket.take(Duration::ZERO), Duration::ZERO);
        }
        assert_eq!(bucket.take(Duration::ZERO), Duration::from_millis(50));
    }

    #[test]
    fn time_fills_it_up_to_its_burst() {
        let mut bucket = Bucket::new(Allowance::of("DescribeInstances").share(Share::default()), Duration::ZERO);
        for _ in 0..80 {
            bucket.take(Duration::ZERO);
        }
        assert!(bucket.take(Duration::ZERO) > Duration::ZERO);
        let later = Duration::from_hours(1);
        for _ in 0..80 {
            assert_eq!(bucket.take(later), Duration::ZERO);
        }
        assert!(bucket.take(later) > Duration::ZERO);
    }

    #[test]
    fn a_throttled_answer_empties_it() {
        let mut bucket = Bucket::new(Allowance::of("CreateTags").share(Share::default()), Duration::ZERO);
        bucket.drain(Duration::ZERO);
        assert_eq!(bucket.take(Duration::ZERO), Duration::from_millis(125));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(Allowance::new(1.0, 1.0), Duration::from_secs(10));
        assert_eq!(bucket.take(Duration::from_secs(10)), Duration::ZERO);
        assert_eq!(bucket.take(Duration::from_secs(5)), Duration::from_secs(1));
    }
}
