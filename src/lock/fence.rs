//! What every call passes that changes something: is the lock still ours?

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::clock::{Clock, Moment};
use super::lease::Loss;
use crate::model::{CloudId, Kind, Region};
use crate::port::{Bindings, Class, Outputs, Provider, ProviderError, Scope};
use crate::resources::registry::{Call, Object};
use crate::resources::snapshot::{Answer, Question, Snapshot};

/// What a keeper knows of its lease.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// It was ours when a write that succeeded was sent.
    Ours(Moment),
    /// It is not ours any more.
    Lost(Loss),
}

/// Tells whether a lock is still held. Without a lease it always is: the kernel frees a lock on this machine only when the
/// process ends.
#[derive(Clone, Default)]
pub struct Fence(Option<Watched>);

#[derive(Clone)]
struct Watched {
    state: watch::Receiver<State>,
    clock: Arc<dyn Clock>,
    sure: Duration,
    hurry: Arc<Notify>,
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fence").field(&self.0.as_ref().map(|watched| watched.state.borrow().clone())).finish()
    }
}

impl Fence {
    pub(super) fn new(
        state: watch::Receiver<State>,
        clock: Arc<dyn Clock>,
        sure: Duration,
        hurry: Arc<Notify>,
    ) -> Self {
        Self(Some(Watched { state, clock, sure, hurry }))
    }

    /// Lets pass whoever is sure to hold the lock; whoever is not, as a machine that slept, waits until its keeper knows.
    ///
    /// # Errors
    /// When the lock is lost, and why.
    pub async fn pass(&self) -> Result<(), Loss> {
        let Some(Watched { state, clock, sure, hurry }) = &self.0 else { return Ok(()) };
        let mut state = state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Lost(loss) => return Err(loss.clone()),
                State::Ours(sent) if clock.now().since(sent) < *sure => return Ok(()),
                State::Ours(_) => hurry.notify_one(),
            }
            if state.changed().await.is_err() {
                return Err(Loss::Unreachable("nobody renews it any more".to_owned()));
            }
        }
    }

    /// Why the lock is lost, if it is known to be.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        match &*self.0.as_ref()?.state.borrow() {
            State::Lost(loss) => Some(loss.clone()),
            State::Ours(_) => None,
        }
    }

    /// Waits until the lock is lost; without end where it cannot be.
    pub async fn lost(&self) -> Loss {
        if let Some(watched) = &self.0 {
            let mut state = watched.state.clone();
            if let Ok(found) = state.wait_for(|state| matches!(state, State::Lost(_))).await
                && let State::Lost(loss) = &*found
            {
                return loss.clone();
            }
        }
        std::future::pending().await
    }
}

/// A provider that changes nothing once the lock is lost.
#[derive(Debug)]
pub struct Fenced<P> {
    inner: Arc<P>,
    fence: Fence,
}

impl<P> Fenced<P> {
    /// The provider behind a fence.
    #[must_use]
    pub const fn new(inner: Arc<P>, fence: Fence) -> Self {
        Self { inner, fence }
    }
}

impl<P: Provider> Provider for Fenced<P> {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        self.inner.observe(scope).await
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        self.inner.inquire(questions).await
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        self.inner.reread(kind, region, id).await
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        self.fence.pass().await.map_err(|loss| {
            let doing = format!("changing `{}` under the stack's lock", call.at);
            ProviderError::new(Class::Denied, doing, format!("the lock is lost: {loss}"))
                .hint("nothing was called; apply again")
        })?;
        self.inner.perform(call, known).await
    }
}
