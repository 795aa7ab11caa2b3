//! One provider for every world, so that whoever commands need not know which it is.

use std::collections::{BTreeMap, BTreeSet};

use super::sim::Sim;
use crate::model::{CloudId, Kind, Region};
use crate::port::{Bindings, Outputs, Provider, ProviderError, Scope};
use crate::resources::registry::{Call, Object};
use crate::resources::snapshot::{Answer, Question, Snapshot};

/// The simulated world, or AWS.
#[derive(Debug)]
pub enum Place {
    /// A file that plays AWS.
    Simulated(Sim),
    /// Amazon Web Services, or an endpoint that speaks like it.
    #[cfg(feature = "aws")]
    Aws(Box<super::aws::Aws>),
}

impl Provider for Place {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        match self {
            Self::Simulated(sim) => sim.observe(scope).await,
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.observe(scope).await,
        }
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        match self {
            Self::Simulated(sim) => sim.inquire(questions).await,
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.inquire(questions).await,
        }
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        match self {
            Self::Simulated(sim) => sim.reread(kind, region, id).await,
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.reread(kind, region, id).await,
        }
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        match self {
            Self::Simulated(sim) => sim.perform(call, known).await,
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.perform(call, known).await,
        }
    }
}
