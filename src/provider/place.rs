//! One provider for every world, so that whoever commands need not know which it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hosts::Hosts;
use super::sim::Sim;
use crate::model::{CloudId, Kind, Region};
use crate::port::{Bindings, Outputs, Provider, ProviderError, Scope};
use crate::resources::registry::{Call, Object};
use crate::resources::snapshot::{Answer, Question, Snapshot};

/// The simulated world, or the real one.
#[derive(Debug)]
pub enum Place {
    /// A file that plays AWS and hosts.
    Simulated(Sim),
    /// Amazon Web Services, or an endpoint that speaks like it, and hosts.
    Real(Real),
}

/// The real world: a cloud where the spec needs one, and hosts.
#[derive(Debug)]
pub struct Real {
    /// Absent when nothing of the spec is in it: then nobody needs credentials.
    #[cfg(feature = "aws")]
    pub cloud: Option<Box<super::aws::Aws>>,
    /// The hosts whose firewalls the spec speaks of.
    pub hosts: Arc<Hosts>,
}

impl Real {
    /// What a scope asks of the cloud: nothing of hosts.
    #[cfg(feature = "aws")]
    async fn cloud(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        match &self.cloud {
            Some(aws) => aws.observe(scope).await,
            None => Ok(Snapshot::default()),
        }
    }

    #[cfg(not(feature = "aws"))]
    #[expect(clippy::unused_async, reason = "it waits where there is AWS to ask")]
    async fn cloud(&self, _: &Scope) -> Result<Snapshot, ProviderError> {
        Ok(Snapshot::default())
    }
}

/// What is asked of AWS where the spec needs none.
fn without_cloud(doing: &str) -> ProviderError {
    ProviderError::new(crate::port::Class::Invalid, doing, "nothing of this spec is in the cloud")
}

impl Provider for Real {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        // A host that does not answer keeps nobody waiting longer than the slowest of all.
        let (cloud, hosts) = tokio::join!(self.cloud(scope), self.hosts.observe(scope));
        let (mut seen, hosts) = (cloud?, hosts?);
        seen.objects.extend(hosts.objects);
        seen.unreached.extend(hosts.unreached);
        seen.objects.sort_by_key(|object| (object.region.clone(), object.kind(), object.id.clone()));
        Ok(seen)
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        #[cfg(feature = "aws")]
        if let Some(aws) = &self.cloud {
            return aws.inquire(questions).await;
        }
        if questions.is_empty() { Ok(BTreeMap::new()) } else { Err(without_cloud("asking the cloud")) }
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        if region.is_hosts() {
            return self.hosts.reread(kind, region, id).await;
        }
        #[cfg(feature = "aws")]
        if let Some(aws) = &self.cloud {
            return aws.reread(kind, region, id).await;
        }
        Err(without_cloud("reading an object again"))
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        if call.region.is_hosts() {
            return self.hosts.perform(call, known).await;
        }
        #[cfg(feature = "aws")]
        if let Some(aws) = &self.cloud {
            return aws.perform(call, known).await;
        }
        Err(without_cloud("calling the cloud"))
    }
}

impl Provider for Place {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        match self {
            Self::Simulated(sim) => sim.observe(scope).await,
            Self::Real(real) => real.observe(scope).await,
        }
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        match self {
            Self::Simulated(sim) => sim.inquire(questions).await,
            Self::Real(real) => real.inquire(questions).await,
        }
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        match self {
            Self::Simulated(sim) => sim.reread(kind, region, id).await,
            Self::Real(real) => real.reread(kind, region, id).await,
        }
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        match self {
            Self::Simulated(sim) => sim.perform(call, known).await,
            Self::Real(real) => real.perform(call, known).await,
        }
    }
}
