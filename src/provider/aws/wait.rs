//! Waiting for instances: one listing serves everyone who waits in a region.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_ec2::types::Instance;
use tokio::sync::watch;
use tokio::time::Instant;

use super::client::Gate;
use super::listing::{self, PAGE};
use super::retry::{Ask, Freshness};
use crate::model::CloudId;
use crate::port::{Class, ProviderError};

/// The pause before the first look after someone new waits.
const FIRST: Duration = Duration::from_secs(1);
/// The pause before the second.
const SECOND: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);
/// How many looks in a row may miss an old id before it counts as gone.
const MISSES: u32 = 3;

/// One look at everything that was waited for.
#[derive(Debug)]
struct Look {
    asked: BTreeSet<String>,
    seen: Result<BTreeMap<String, Instance>, ProviderError>,
}

/// Who waits in a region, and what was seen last.
#[derive(Debug)]
pub struct Watch {
    state: Mutex<State>,
    looks: watch::Sender<Option<Arc<Look>>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<String, usize>,
    running: bool,
    pause: Duration,
}

impl Default for Watch {
    fn default() -> Self {
        Self { state: Mutex::default(), looks: watch::Sender::new(None) }
    }
}

/// What one waiter makes of what was seen of its instance.
#[derive(Debug)]
pub enum Verdict<T> {
    /// It came about.
    Done(T),
    /// Not yet: the state it is in.
    Waiting(String),
    /// It never will.
    Never(ProviderError),
}

/// A place among those who wait, given up when dropped.
struct Place<'a> {
    watch: &'a Watch,
    id: &'a str,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.watch.lock();
        if let Some(count) = state.waiting.get_mut(self.id) {
            *count = count.saturating_sub(1);
        }
        state.waiting.retain(|_, count| *count > 0);
    }
}

impl Watch {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, and sees to it that someone looks.
    fn join<'a>(gate: &'a Arc<Gate>, id: &'a str) -> Place<'a> {
        let mut state = gate.watch.lock();
        *state.waiting.entry(id.to_owned()).or_default() += 1;
        state.pause = FIRST;
        if !state.running {
            state.running = true;
            tokio::spawn(look_on(Arc::clone(gate)));
        }
        drop(state);
        Place { watch: &gate.watch, id }
    }

    /// The pause before the next look; each is half as long again as the one before.
    fn pause(&self) -> Duration {
        let mut state = self.lock();
        let pause = state.pause;
        state.pause = (pause + pause / 2).clamp(SECOND, LONGEST);
        pause
    }

    /// Who is waited for; none when nobody waits any more, and then the looking is over.
    fn asked(&self) -> Option<BTreeSet<String>> {
        let mut state = self.lock();
        state.running = !state.waiting.is_empty();
        state.running.then(|| state.waiting.keys().cloned().collect())
    }
}

/// Looks as long as someone waits.
async fn look_on(gate: Arc<Gate>) {
    loop {
        tokio::time::sleep(gate.watch.pause()).await;
        let Some(asked) = gate.watch.asked() else { return };
        let seen = look(&gate, &asked).await;
        gate.watch.looks.send_replace(Some(Arc::new(Look { asked, seen })));
    }
}

/// One listing of instances by id, terminated ones too. The ids are a filter: an id that is gone is no error there.
async fn look(gate: &Gate, ids: &BTreeSet<String>) -> Result<BTreeMap<String, Instance>, ProviderError> {
    let mut seen = BTreeMap::new();
    for filters in listing::chunks("instance-id", ids.iter().map(String::as_str)) {
        for instance in instances(gate, &filters).await? {
            if let Some(id) = instance.instance_id() {
                seen.insert(id.to_owned(), instance);
            }
        }
    }
    Ok(seen)
}

/// Every page of `DescribeInstances` for one set of filters.
///
/// # Errors
/// What AWS answers.
pub async fn instances(gate: &Gate, filters: &[aws_sdk_ec2::types::Filter]) -> Result<Vec<Instance>, ProviderError> {
    let doing = gate.doing("DescribeInstances");
    let reservations = listing::pages(&doing, |token| async move {
        let send = || {
            let call = gate.ec2().describe_instances().set_filters(Some(filters.to_vec()));
            call.max_results(PAGE).set_next_token(token.clone()).send()
        };
        let page = gate.send(&Ask::read("DescribeInstances"), send).await?;
        Ok((page.reservations, page.next_token))
    })
    .await?;
    Ok(reservations.into_iter().flat_map(|reservation| reservation.instances.unwrap_or_default()).collect())
}

/// Waits until `judge` has a verdict on an instance, or the deadline is over. `judge` gets nothing for an instance that
/// is not listed; an id that this run did not make a moment ago is gone when several looks miss it.
///
/// # Errors
/// The verdict's own, what AWS answers, and [`Class::TimedOut`] with the state the instance is in.
pub async fn instance_until<T>(
    gate: &Arc<Gate>,
    id: &CloudId,
    deadline: Instant,
    doing: &str,
    judge: impl Fn(Option<&Instance>) -> Verdict<T>,
) -> Result<T, ProviderError> {
    let mut looks = gate.watch.looks.subscribe();
    let _place = Watch::join(gate, id.as_str());
    let mut state = "not seen".to_owned();
    let mut misses = 0;
    loop {
        if tokio::time::timeout_at(deadline, looks.changed()).await.is_err() {
            let detail = format!("`{id}` is {state} when the time is over");
            return Err(ProviderError::new(Class::TimedOut, doing, detail));
        }
        let Some(look) = looks.borrow_and_update().clone() else { continue };
        if !look.asked.contains(id.as_str()) {
            continue;
        }
        let seen = match &look.seen {
            Ok(seen) => seen.get(id.as_str()),
            Err(error) if matches!(error.class, Class::Transient | Class::Throttled) => {
                state = format!("not seen: {error}");
                continue;
            }
            Err(error) => return Err(error.clone()),
        };
        match judge(seen) {
            Verdict::Done(value) => return Ok(value),
            Verdict::Waiting(now) => state = now,
            Verdict::Never(error) => return Err(error),
        }
        misses = if seen.is_none() && gate.freshness(id.as_str()) == Freshness::Old { misses + 1 } else { 0 };
        if misses >= MISSES {
            return Err(ProviderError::new(Class::NotFound, doing, format!("`{id}` is gone")));
        }
    }
}
