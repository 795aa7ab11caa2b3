//! Who is in service behind a load balancer: one look serves everyone who waits for the same balancer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_elasticloadbalancing::types::{Instance, InstanceState};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::client::Gate;
use super::retry::Ask;
use crate::model::CloudId;
use crate::port::ProviderError;

/// For how long a look serves others than the one who looked.
const SERVES: Duration = Duration::from_secs(2);

/// What was seen last.
#[derive(Debug, Clone)]
pub struct Look {
    begun: Instant,
    states: Arc<Vec<InstanceState>>,
}

/// The turn at one balancer: nobody else of this run looks or takes members out meanwhile.
pub type Turn = OwnedMutexGuard<Option<Look>>;

/// The last look at every balancer of a region.
#[derive(Debug, Default)]
pub struct Looks(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Option<Look>>>>>);

impl Looks {
    /// Waits for the turn at a balancer.
    pub async fn turn(&self, name: &str) -> Turn {
        let place = {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(places.entry(name.to_owned()).or_default())
        };
        place.lock_owned().await
    }
}

/// The state of everyone who is registered, as it was after `since`: what another saw a moment ago, or a look of our own.
///
/// # Errors
/// What AWS answers.
pub async fn shared(
    gate: &Gate,
    name: &str,
    since: Instant,
    until: Instant,
) -> Result<Arc<Vec<InstanceState>>, ProviderError> {
    let mut last = gate.looks.turn(name).await;
    if let Some(look) = last.as_ref().filter(|look| look.begun >= since && look.begun.elapsed() < SERVES) {
        return Ok(Arc::clone(&look.states));
    }
    let begun = Instant::now();
    let states = Arc::new(look(gate, name, &[], until).await?);
    *last = Some(Look { begun, states: Arc::clone(&states) });
    Ok(states)
}

/// The state of these instances, registered or not, or of everyone who is registered when none is named
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeInstanceHealth.html>).
///
/// # Errors
/// What AWS answers.
pub async fn look(
    gate: &Gate,
    name: &str,
    ids: &[&CloudId],
    until: Instant,
) -> Result<Vec<InstanceState>, ProviderError> {
    let one = |id: &&CloudId| Instance::builder().instance_id(id.as_str()).build();
    let named: Option<Vec<Instance>> = (!ids.is_empty()).then(|| ids.iter().map(one).collect());
    let send = || {
        let call = gate.elb().describe_instance_health().load_balancer_name(name);
        call.set_instances(named.clone()).send()
    };
    let answer = gate.send(&Ask::until("DescribeInstanceHealth", until), send).await?;
    Ok(answer.instance_states.unwrap_or_default())
}
