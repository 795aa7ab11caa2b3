//! A load balancer that is changed, until a deadline: what all of its calls have in common.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_elasticloadbalancing::Client;
use aws_sdk_elasticloadbalancing::error::BuildError;
use aws_sdk_elasticloadbalancing::types::{LoadBalancerDescription as Listed, Tag, TagKeyOnly};
use tokio::time::Instant;

use super::is_in_a_vpc;
use crate::model::{CloudId, TagEdit, Tags};
use crate::port::{Class, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::listing;
use crate::provider::aws::retry::Ask;
use crate::resources::load_balancer::name;

/// The pauses before what was changed a moment ago is read again.
const LOOKS: [Duration; 4] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(8)];

/// A load balancer that is changed.
pub(super) struct Balancer<'a> {
    /// The way to load balancing.
    pub gate: &'a Gate,
    /// Which balancer.
    pub id: CloudId,
    /// When to stop trying.
    pub until: Instant,
}

impl Balancer<'_> {
    /// The name, by which AWS knows it.
    pub(super) fn name(&self) -> &str {
        name(&self.id)
    }

    /// The SDK's client.
    pub(super) const fn elb(&self) -> &Client {
        self.gate.elb()
    }

    /// A call on it.
    pub(super) fn ask(&self, api: &'static str) -> Ask<'_> {
        Ask::until(api, self.until).uses([self.id.as_str()])
    }

    /// What AWS lists of it.
    ///
    /// # Errors
    /// What AWS answers, [`Class::NotFound`] when it is not there.
    pub(super) async fn listed(&self) -> Result<Listed, ProviderError> {
        let ask = self.ask("DescribeLoadBalancers");
        let send = || self.elb().describe_load_balancers().load_balancer_names(self.name()).send();
        let page = self.gate.send(&ask, send).await?;
        let found = page.load_balancer_descriptions.unwrap_or_default().into_iter().find(is_in_a_vpc);
        let absent = || {
            let detail = format!("`{}` is not there", self.name());
            ProviderError::new(Class::NotFound, self.gate.doing(ask.api), detail)
        };
        found.ok_or_else(absent)
    }

    /// What `find` finds in what is listed; it is read several times, as a listing may lag behind a change.
    ///
    /// # Errors
    /// What AWS answers, and the errors of `find`.
    pub(super) async fn until_listed<T>(
        &self,
        find: impl Fn(&Listed) -> Result<Option<T>, ProviderError> + Sync,
    ) -> Result<Option<T>, ProviderError> {
        for pause in LOOKS {
            if Instant::now() + pause > self.until {
                break;
            }
            tokio::time::sleep(pause).await;
            if let Some(found) = find(&self.listed().await?)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What the SDK's builder made; one that lacks something is a fault of ours, and is told as one.
    ///
    /// # Errors
    /// What is lacking.
    pub(super) fn built<T>(&self, api: &str, built: Result<T, BuildError>) -> Result<T, ProviderError> {
        complete(self.gate, api, built)
    }

    /// Changes its tags: those that are set, then those that go, whatever their value.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn tag(&self, edit: &TagEdit) -> Result<(), ProviderError> {
        if !edit.set.is_empty() {
            let ask = self.ask("AddTags");
            let tags = self.built(ask.api, to_wire(&edit.set))?;
            let send = || self.elb().add_tags().load_balancer_names(self.name()).set_tags(Some(tags.clone())).send();
            self.gate.send(&ask, send).await?;
        }
        if !edit.unset.is_empty() {
            let keys = keys(&edit.unset);
            let send = || self.elb().remove_tags().load_balancer_names(self.name()).set_tags(Some(keys.clone())).send();
            self.gate.send(&self.ask("RemoveTags"), send).await?;
        }
        Ok(())
    }

    /// Deletes it; one that is gone is no error.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn delete(&self) -> Result<(), ProviderError> {
        let ask = Ask::until("DeleteLoadBalancer", self.until);
        let send = || self.elb().delete_load_balancer().load_balancer_name(self.name()).send();
        super::absent_is_none(self.gate.send(&ask, send).await)?;
        self.gate.removed(self.id.as_str());
        Ok(())
    }

    /// Waits until the interfaces that it stood in its subnets with are gone. They go some minutes after it, and hold its
    /// groups as long.
    ///
    /// # Errors
    /// What AWS answers, and [`Class::TimedOut`] with the interfaces that are left.
    pub(super) async fn interfaces_gone(&self) -> Result<(), ProviderError> {
        let doing = format!("waiting for the interfaces of `{}` to go in {}", self.name(), self.gate.region());
        let mut pauses = super::members::Pauses::default();
        loop {
            let left = self.interfaces().await?;
            if left.is_empty() {
                return Ok(());
            }
            if !pauses.pause(self.until).await {
                let detail = format!("{} still there when the time is over", listed_words(&left));
                return Err(ProviderError::new(Class::TimedOut, doing, detail)
                    .hint("AWS removes them by itself within minutes: apply again later"));
            }
        }
    }

    async fn interfaces(&self) -> Result<BTreeSet<String>, ProviderError> {
        let description = format!("ELB {}", self.name());
        let filters = vec![listing::filter("description", [description.as_str()])];
        let (doing, filters) = (self.gate.doing("DescribeNetworkInterfaces"), &filters);
        let listed = listing::pages(&doing, |token| async move {
            let send = || {
                let call = self.gate.ec2().describe_network_interfaces().set_filters(Some(filters.clone()));
                call.max_results(listing::PAGE).set_next_token(token.clone()).send()
            };
            let page = self.gate.send(&Ask::until("DescribeNetworkInterfaces", self.until), send).await?;
            Ok((page.network_interfaces, page.next_token))
        });
        let same = |one: &aws_sdk_ec2::types::NetworkInterface| one.description() == Some(description.as_str());
        Ok(listed.await?.into_iter().filter(same).filter_map(|one| one.network_interface_id).collect())
    }
}

fn listed_words(ids: &BTreeSet<String>) -> String {
    let words: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
    format!("{} {}", words.join(", "), if ids.len() == 1 { "is" } else { "are" })
}

/// What the SDK's builder made.
///
/// # Errors
/// What is lacking.
pub(super) fn complete<T>(gate: &Gate, api: &str, built: Result<T, BuildError>) -> Result<T, ProviderError> {
    built.map_err(|why| ProviderError::new(Class::Invalid, gate.doing(api), why.to_string()))
}

/// Tags to write.
///
/// # Errors
/// The builder's.
pub(super) fn to_wire(tags: &Tags) -> Result<Vec<Tag>, BuildError> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn keys(keys: &BTreeSet<String>) -> Vec<TagKeyOnly> {
    keys.iter().map(|key| TagKeyOnly::builder().key(key).build()).collect()
}
