//! A provider that fails when it is told to: before a call has its effect, or after it, when the reply is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{CloudId, Kind, Region};
use crate::port::{Bindings, Class, Outputs, Provider, ProviderError, Scope};
use crate::resources::registry::{Call, Object};
use crate::resources::snapshot::{Answer, Question, Snapshot};
use crate::resources::world::World;

/// A provider that fails when it is told to, and remembers what it was asked to do.
#[derive(Debug)]
pub struct Faulty<P> {
    inner: P,
    faults: BTreeMap<usize, Fault>,
    observe_fault: Option<(usize, Class)>,
    read_fault: Option<(usize, Class)>,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    calls: Vec<Call>,
    observed: usize,
    read: usize,
    fired: usize,
}

/// One fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which call fails, counting from 1.
    pub at: usize,
    /// On which side of its effect.
    pub when: When,
    /// What sort of trouble it looks like.
    pub class: Class,
}

/// On which side of its effect a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// Nothing was done.
    Before,
    /// It was done, and the reply is lost.
    After,
}

impl<P> Faulty<P> {
    /// A provider without faults, which only remembers.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self {
            inner,
            faults: BTreeMap::new(),
            observe_fault: None,
            read_fault: None,
            record: Mutex::new(Record::default()),
        }
    }

    /// Adds a fault of one call. A later fault of the same call takes its place.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.insert(fault.at, fault);
        self
    }

    /// Lets one listing fail, counting from 1.
    #[must_use]
    pub fn with_observe(mut self, at: usize, class: Class) -> Self {
        self.observe_fault = Some((at, class));
        self
    }

    /// Lets one call fail that only reads: a listing, a round of questions, or an object that is read again; counting all of
    /// them from 1.
    #[must_use]
    pub const fn with_read(mut self, at: usize, class: Class) -> Self {
        self.read_fault = Some((at, class));
        self
    }

    /// The provider inside.
    #[must_use]
    pub const fn inner(&self) -> &P {
        &self.inner
    }

    /// The provider inside, with the faults left behind.
    #[must_use]
    pub fn into_inner(self) -> P {
        self.inner
    }

    /// Every call so far, in order, failed ones too.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// How many faults came about.
    #[must_use]
    pub fn fired(&self) -> usize {
        self.lock().fired
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a call, and finds the fault that it meets.
    fn meet(&self, call: &Call) -> Option<Fault> {
        let mut record = self.lock();
        record.calls.push(call.clone());
        self.faults.get(&record.calls.len()).copied()
    }

    /// Counts a call that only reads, and lets it fail where it is to.
    fn read(&self, doing: &str) -> Result<(), ProviderError> {
        let mut record = self.lock();
        record.read += 1;
        match self.read_fault.filter(|(at, _)| *at == record.read) {
            None => Ok(()),
            Some((_, class)) => {
                record.fired += 1;
                Err(ProviderError::new(class, doing, "an injected fault").code("InjectedFault"))
            }
        }
    }
}

impl<P: Provider> Provider for Faulty<P> {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        self.read("listing")?;
        let fault = {
            let mut record = self.lock();
            record.observed += 1;
            let fault = self.observe_fault.filter(|(at, _)| *at == record.observed);
            record.fired += usize::from(fault.is_some());
            fault
        };
        match fault {
            Some((_, class)) => Err(ProviderError::new(class, "listing", "an injected fault").code("InjectedFault")),
            None => self.inner.observe(scope).await,
        }
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        self.read("asking")?;
        self.inner.inquire(questions).await
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        self.read("reading an object again")?;
        self.inner.reread(kind, region, id).await
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        let Some(fault) = self.meet(call) else { return self.inner.perform(call, known).await };
        match fault.when {
            When::Before => {}
            // A call that is refused has no reply to lose.
            When::After => {
                self.inner.perform(call, known).await?;
            }
        }
        self.lock().fired += 1;
        let doing = format!("{} for `{}` in {}", World::api(&call.action), call.at, call.region);
        let detail = match fault.when {
            When::Before => "an injected fault before the effect",
            When::After => "an injected fault after the effect: the reply is lost",
        };
        let error = ProviderError::new(fault.class, doing, detail).code("InjectedFault");
        Err(ProviderError { ambiguous: fault.when == When::After, ..error })
    }
}

#[cfg(test)]
mod tests;
