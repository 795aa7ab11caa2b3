//! The ways of a runner to the world, to the store and to the clock: each takes its time, and none is gone while the runner is
//! suspended.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis::lock::clock::{Clock, Moment};
use portcullis::lock::store::{Put, Store, StoreError, Stored, When};
use portcullis::model::{CloudId, Kind, Region};
use portcullis::port::{Bindings, Outputs, Provider, ProviderError, Scope};
use portcullis::resources::registry::{Call, Object};
use portcullis::resources::snapshot::{Answer, Question, Snapshot};
use portcullis::resources::world::World;

use super::{NAME, Runner};

/// Ends with whoever holds it: a call that is given up is not under way any more.
struct UnderWay(Arc<Runner>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.arrived();
    }
}

/// The world as one runner reaches it.
pub(super) struct Slow(pub(super) Arc<Runner>);

impl Slow {
    async fn asked<T>(&self, answer: impl Future<Output = T>) -> T {
        self.0.site.way(Duration::from_secs(3)).await;
        let answer = answer.await;
        self.0.site.way(Duration::from_secs(3)).await;
        self.0.turn().await;
        answer
    }
}

impl Provider for Slow {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        self.asked(self.0.site.sim.observe(scope)).await
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        self.asked(self.0.site.sim.inquire(questions)).await
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        self.asked(self.0.site.sim.reread(kind, region, id)).await
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        let (runner, site) = (Arc::clone(&self.0), Arc::clone(&self.0.site));
        runner.sends(call);
        let under_way = UnderWay(Arc::clone(&runner));
        let (call, known) = (call.clone(), known.clone());
        let effect = async move {
            let longest = site.longest();
            if longest > Duration::from_secs(1) {
                site.way(longest).await;
            }
            let answer = site.sim.perform(&call, &known).await;
            let word = if answer.is_ok() { "done" } else { "refused" };
            site.tell(&format!("{} {word} {} of {}", under_way.0.number, World::api(&call.action), call.at));
            drop(under_way);
            answer
        };
        // What has left takes effect though its sender is killed; what has not, does not.
        let answer = if runner.site.chance(fastrand::Rng::bool) {
            tokio::spawn(effect).await.expect("the world does not panic")
        } else {
            effect.await
        };
        runner.site.way(Duration::from_secs(3)).await;
        runner.turn().await;
        answer
    }
}

/// The store as one runner reaches it; now and then an answer is lost.
pub(super) struct Far(pub(super) Arc<Runner>);

impl Store for Far {
    fn place(&self, name: &str) -> String {
        self.0.site.store.place(name)
    }

    async fn get(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        self.0.site.way(Duration::from_secs(4)).await;
        let answer = self.0.site.store.get(name).await;
        self.0.site.way(Duration::from_secs(4)).await;
        self.0.turn().await;
        answer
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, when: When) -> Result<Put, StoreError> {
        self.0.site.way(Duration::from_secs(4)).await;
        let answer = self.0.site.store.put(name, bytes, when).await?;
        if name == NAME && matches!(answer, Put::Written(_)) {
            self.0.tell("writes the lease");
        }
        self.0.site.way(Duration::from_secs(4)).await;
        self.0.turn().await;
        if self.0.site.chance(|chance| chance.u8(..20)) == 0 {
            return Err(StoreError {
                doing: "writing".to_owned(),
                code: None,
                detail: "the answer was lost".to_owned(),
                hint: None,
                passing: true,
            });
        }
        Ok(answer)
    }
}

/// The clock of one runner: whoever is suspended does not wake.
pub(super) struct Watch(pub(super) Arc<Runner>);

impl Clock for Watch {
    fn now(&self) -> Moment {
        self.0.site.clock.now()
    }

    fn sleep(&self, how_long: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.0.site.clock.sleep(how_long).await;
            self.0.turn().await;
        })
    }
}
