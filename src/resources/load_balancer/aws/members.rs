//! Who is registered with a load balancer, and who of them is in service: nobody leaves unless enough others serve.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_ec2::types::{Instance as Launched, InstanceStateName};
use aws_sdk_elasticloadbalancing::types::{Instance, InstanceState};
use tokio::time::Instant;

use super::absent_is_none;
use super::balancer::Balancer;
use crate::model::CloudId;
use crate::model::id::SubnetId;
use crate::port::{Class, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::error::Remedy;
use crate::provider::aws::health::{self, Turn};
use crate::provider::aws::listing;
use crate::provider::aws::retry::Ask;
use crate::provider::aws::wait::instances;
use crate::resources::load_balancer::state::Health;

/// The first pause between two looks.
const FIRST: Duration = Duration::from_secs(1);
/// The second.
const SECOND: Duration = Duration::from_secs(2);
/// The longest.
const LONGEST: Duration = Duration::from_secs(5);
/// How long one look may take with all its attempts.
const LOOK: Duration = Duration::from_mins(1);

/// How AWS says that requests under way are being ended
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-conn-drain.html>).
const LEAVING: &str = "deregistration currently in progress";
/// How AWS says that the zone of an instance is being given up.
const CLOSING: &str = "Disable Availability Zone is currently in progress";
/// How AWS says that an instance will not come back.
const DEAD: &str = "terminated state";

/// What is hoped for where members do not come into service.
const HINT: &str = "see what the target of its health check answers, and whether the groups let the balancer through";

/// The pauses between looks, each half as long again as the one before.
#[derive(Debug, Default)]
pub(super) struct Pauses(Duration);

impl Pauses {
    fn next(&mut self) -> Duration {
        self.0 = if self.0.is_zero() { FIRST } else { (self.0 + self.0 / 2).clamp(SECOND, LONGEST) };
        self.0
    }

    /// Waits; false when the time is over first.
    pub(super) async fn pause(&mut self, until: Instant) -> bool {
        let pause = self.next();
        let now = Instant::now();
        if now >= until {
            return false;
        }
        tokio::time::sleep_until(until.min(now + pause)).await;
        true
    }
}

/// How everyone is who is registered, by id.
///
/// # Errors
/// What AWS answers.
pub(super) async fn health_now(gate: &Gate, name: &str) -> Result<BTreeMap<CloudId, Health>, ProviderError> {
    Ok(by_id(&health::look(gate, name, &[], Instant::now() + LOOK).await?))
}

fn by_id(states: &[InstanceState]) -> BTreeMap<CloudId, Health> {
    states.iter().filter_map(|state| Some((CloudId::new(state.instance_id()?), read(state)))).collect()
}

/// How one is. While requests under way are being ended AWS still calls it `InService`, and sends it nothing new.
fn read(state: &InstanceState) -> Health {
    let reason = state.description().filter(|text| *text != "N/A").unwrap_or_default().trim_end_matches('.');
    let goes = reason.contains(LEAVING) || reason.contains(CLOSING);
    let in_service = state.state() == Some("InService") && !goes;
    Health { in_service, reason: if in_service { String::new() } else { reason.to_owned() } }
}

/// Those who are not in service, each with the reason.
fn absentees(health: &BTreeMap<CloudId, Health>) -> String {
    let words = health.iter().filter(|(_, health)| !health.in_service).map(|(id, health)| {
        let reason = if health.reason.is_empty() { "AWS gives no reason" } else { health.reason.as_str() };
        format!("`{id}`: {reason}")
    });
    words.collect::<Vec<_>>().join("; ")
}

fn wire<'a>(ids: impl IntoIterator<Item = &'a CloudId>) -> Vec<Instance> {
    ids.into_iter().map(|id| Instance::builder().instance_id(id.as_str()).build()).collect()
}

/// Whether a look may be tried again: the trouble is AWS's own.
fn passes(error: &ProviderError) -> bool {
    matches!(error.class, Class::Transient | Class::Throttled)
}

impl Balancer<'_> {
    /// Registers instances; one that was launched a moment ago may not be known everywhere yet.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn register(&self, ids: &[CloudId]) -> Result<(), ProviderError> {
        let ask = self.ask("RegisterInstancesWithLoadBalancer").uses(ids.iter().map(CloudId::as_str));
        let send = || {
            let call = self.elb().register_instances_with_load_balancer().load_balancer_name(self.name());
            call.set_instances(Some(wire(ids))).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }

    /// Waits until all of these are in service.
    ///
    /// # Errors
    /// What AWS answers, [`Class::TimedOut`] with who is not in service and why, and [`Class::WrongState`] for one that is
    /// terminated meanwhile.
    pub(super) async fn in_service(&self, ids: &[CloudId]) -> Result<(), ProviderError> {
        let doing = format!("waiting for members of `{}` to serve in {}", self.name(), self.gate.region());
        let (since, mut pauses) = (Instant::now(), Pauses::default());
        let mut left = "nobody was seen".to_owned();
        loop {
            let look = health::shared(self.gate, self.name(), since, self.until);
            match tokio::time::timeout_at(self.until + SECOND, look).await {
                Ok(Ok(states)) => {
                    let mut now = by_id(&states);
                    let unlisted = || Health { in_service: false, reason: "it is not registered".to_owned() };
                    let mine: BTreeMap<CloudId, Health> =
                        ids.iter().map(|id| (id.clone(), now.remove(id).unwrap_or_else(unlisted))).collect();
                    if mine.values().all(|health| health.in_service) {
                        return Ok(());
                    }
                    self.refuse_the_dead(&mine, &states, &doing).await?;
                    left = absentees(&mine);
                }
                Ok(Err(error)) if passes(&error) => left = format!("who serves was not seen: {error}"),
                Ok(Err(error)) => return Err(error),
                Err(_) => {}
            }
            if !pauses.pause(self.until).await {
                let detail = format!("not all are in service when the time is over: {left}");
                return Err(ProviderError::new(Class::TimedOut, doing, detail).hint(HINT));
            }
        }
    }

    /// One that is terminated never serves. AWS does not list its state
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeInstanceHealth.html>), so those
    /// that are missing are looked up.
    async fn refuse_the_dead(
        &self,
        mine: &BTreeMap<CloudId, Health>,
        states: &[InstanceState],
        doing: &str,
    ) -> Result<(), ProviderError> {
        let is_listed = |id: &&CloudId| states.iter().any(|state| state.instance_id() == Some(id.as_str()));
        let missing: Vec<&str> = mine.keys().filter(|id| !is_listed(id)).map(CloudId::as_str).collect();
        let told = mine.iter().filter(|(_, health)| health.reason.contains(DEAD)).map(|(id, _)| id.to_string());
        let mut dead: BTreeSet<String> = told.collect();
        for filters in listing::chunks("instance-id", missing) {
            let launched = instances(self.gate, &filters).await?.into_iter();
            dead.extend(launched.filter(is_ending).filter_map(|one| one.instance_id));
        }
        if dead.is_empty() {
            return Ok(());
        }
        let words: Vec<String> = dead.iter().map(|id| format!("`{id}`")).collect();
        let detail = format!("{} was terminated meanwhile", words.join(", "));
        Err(ProviderError::new(Class::WrongState, doing, detail).hint("plan again: another takes its place"))
    }

    /// Takes instances out, once enough others are in service, where one of these is. Those that are out already are no
    /// error.
    ///
    /// # Errors
    /// What AWS answers, and [`Class::TimedOut`] when never enough others are in service.
    pub(super) async fn deregister(&self, ids: &BTreeSet<CloudId>, keep: u32) -> Result<(), ProviderError> {
        let doing = format!("taking members out of `{}` in {}", self.name(), self.gate.region());
        let Some(_turn) = absent_is_none(self.once_enough_stay(ids, keep, &doing).await)? else { return Ok(()) };
        let together: Vec<&CloudId> = ids.iter().collect();
        if absent_is_none(self.take_out(&together).await)?.is_some() {
            return Ok(());
        }
        // One is not known any more, and then none was taken out.
        for id in together {
            absent_is_none(self.take_out(&[id]).await)?;
        }
        Ok(())
    }

    async fn take_out(&self, ids: &[&CloudId]) -> Result<(), ProviderError> {
        let ask = Ask::until("DeregisterInstancesFromLoadBalancer", self.until.max(Instant::now() + SECOND));
        let send = || {
            let call = self.elb().deregister_instances_from_load_balancer().load_balancer_name(self.name());
            call.set_instances(Some(wire(ids.iter().copied()))).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }

    /// Waits until `keep` others are in service, or none of these is. The turn is held when it returns, so that nobody else
    /// of this run counts on the same members.
    async fn once_enough_stay(&self, leave: &BTreeSet<CloudId>, keep: u32, doing: &str) -> Result<Turn, ProviderError> {
        let mut pauses = Pauses::default();
        loop {
            let turn = self.gate.turn(self.name()).await;
            let detail = match health::look(self.gate, self.name(), &[], self.until).await {
                Ok(states) => {
                    let now = by_id(&states);
                    let serving = |id: &&CloudId| now.get(*id).is_some_and(|health| health.in_service);
                    let others = now.iter().filter(|(id, health)| health.in_service && !leave.contains(*id)).count();
                    if !leave.iter().any(|id| serving(&id)) || u32::try_from(others).unwrap_or(u32::MAX) >= keep {
                        return Ok(turn);
                    }
                    too_few(&now, leave, others, keep)
                }
                Err(error) if passes(&error) => format!("who serves is not seen: {error}"),
                Err(error) => return Err(error),
            };
            drop(turn);
            if !pauses.pause(self.until).await {
                return Err(ProviderError::new(Class::TimedOut, doing, detail).hint(HINT));
            }
        }
    }

    /// Waits until requests under way have ended, at most until the deadline: AWS itself cuts them then.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn drained(&self, ids: &BTreeSet<CloudId>) -> Result<(), ProviderError> {
        let (mut left, mut pauses): (Vec<&CloudId>, _) = (ids.iter().collect(), Pauses::default());
        loop {
            let still = match self.state_of(&left).await {
                Ok(states) => states,
                Err(error) if passes(&error) => left.iter().map(|id| (*id).clone()).collect(),
                Err(error) => return Err(error),
            };
            left.retain(|id| still.contains(id));
            if left.is_empty() || !pauses.pause(self.until).await {
                return Ok(());
            }
        }
    }

    /// Who of these is not out yet. A listing that lags still calls one `InService` without any reason.
    async fn state_of(&self, ids: &[&CloudId]) -> Result<BTreeSet<CloudId>, ProviderError> {
        let until = self.until.max(Instant::now() + SECOND);
        let together = absent_is_none(health::look(self.gate, self.name(), ids, until).await)?;
        let states = match together {
            Some(states) => states,
            // The balancer is gone, or one of these is.
            None => {
                let mut states = Vec::new();
                for id in ids {
                    let alone = absent_is_none(health::look(self.gate, self.name(), &[id], until).await)?;
                    states.extend(alone.unwrap_or_default());
                }
                states
            }
        };
        let stays = |state: &&InstanceState| {
            state.state() == Some("InService") || state.description().is_some_and(|text| text.contains(LEAVING))
        };
        Ok(states.iter().filter(stays).filter_map(|state| state.instance_id()).map(CloudId::new).collect())
    }

    /// Gives subnets up, once enough members are in service in the zones that stay.
    ///
    /// # Errors
    /// What AWS answers, and [`Class::TimedOut`] when never enough others are in service.
    pub(super) async fn detach(&self, subnets: &BTreeSet<SubnetId>, keep: u32) -> Result<(), ProviderError> {
        let listed = self.listed().await?;
        let standing: Vec<String> =
            listed.subnets().iter().filter(|id| subnets.contains(&SubnetId::new(id.as_str()))).cloned().collect();
        if standing.is_empty() {
            return Ok(());
        }
        let zones = self.zones(&standing).await?;
        let members: Vec<&str> = listed.instances().iter().filter_map(Instance::instance_id).collect();
        let mut leave = BTreeSet::new();
        for filters in listing::chunks("instance-id", members) {
            let launched = instances(self.gate, &filters).await?.into_iter();
            let inside = launched.filter(|one| zone(one).is_some_and(|zone| zones.contains(zone)));
            leave.extend(inside.filter_map(|one| one.instance_id).map(CloudId::new));
        }
        let doing = format!("giving up subnets of `{}` in {}", self.name(), self.gate.region());
        let _turn = self.once_enough_stay(&leave, keep, &doing).await?;
        let ask = self.ask("DetachLoadBalancerFromSubnets").patient(Remedy::Released);
        let send = || {
            let call = self.elb().detach_load_balancer_from_subnets().load_balancer_name(self.name());
            call.set_subnets(Some(standing.clone())).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }

    /// The zones of these subnets: an instance serves as long as its balancer stands in its zone, in whatever subnet.
    async fn zones(&self, subnets: &[String]) -> Result<BTreeSet<String>, ProviderError> {
        let filters = vec![listing::filter("subnet-id", subnets.iter().map(String::as_str))];
        let send = || self.gate.ec2().describe_subnets().set_filters(Some(filters.clone())).send();
        let listed = self.gate.send(&Ask::until("DescribeSubnets", self.until), send).await?;
        Ok(listed.subnets.unwrap_or_default().into_iter().filter_map(|subnet| subnet.availability_zone).collect())
    }
}

fn zone(instance: &Launched) -> Option<&str> {
    instance.placement()?.availability_zone()
}

fn is_ending(instance: &Launched) -> bool {
    let name = instance.state().and_then(|state| state.name());
    matches!(name, Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated))
}

/// Why nobody leaves now.
fn too_few(now: &BTreeMap<CloudId, Health>, leave: &BTreeSet<CloudId>, others: usize, keep: u32) -> String {
    let rest: BTreeMap<CloudId, Health> =
        now.iter().filter(|(id, _)| !leave.contains(*id)).map(|(id, health)| (id.clone(), health.clone())).collect();
    let why = absentees(&rest);
    let why = if why.is_empty() { "there are no more".to_owned() } else { why };
    let others = if others == 1 { "1 other is".to_owned() } else { format!("{others} others are") };
    format!("{others} in service, and {keep} must be: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(id: &str, word: &str, description: &str) -> InstanceState {
        InstanceState::builder().instance_id(id).state(word).description(description).build()
    }

    #[test]
    fn one_that_is_being_drained_is_not_in_service() {
        let cases = [
            ("InService", "N/A", true, ""),
            (
                "InService",
                "Instance deregistration currently in progress.",
                false,
                "Instance deregistration currently in progress",
            ),
            ("OutOfService", "Instance is in stopped state.", false, "Instance is in stopped state"),
            ("OutOfService", "N/A", false, ""),
            (
                "Unknown",
                "A transient error occurred. Please try again later.",
                false,
                "A transient error occurred. Please try again later",
            ),
        ];
        for (word, description, in_service, reason) in cases {
            let expected = Health { in_service, reason: reason.to_owned() };
            assert_eq!(read(&state("i-1", word, description)), expected, "{word}: {description}");
        }
    }

    #[test]
    fn who_is_missing_is_named_with_the_reason() {
        let now = by_id(&[
            state("i-a", "InService", "N/A"),
            state("i-b", "OutOfService", "Instance registration is still in progress."),
            state("i-c", "InService", "N/A"),
        ]);
        let leave = [CloudId::new("i-a")].into();
        assert_eq!(
            too_few(&now, &leave, 1, 2),
            "1 other is in service, and 2 must be: `i-b`: Instance registration is still in progress"
        );
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let mut pauses = Pauses::default();
        let seen: Vec<u128> = (0..6).map(|_| pauses.next().as_millis()).collect();
        assert_eq!(seen, [1000, 2000, 3000, 4500, 5000, 5000]);
    }
}
