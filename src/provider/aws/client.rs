//! One region's way to EC2 and to load balancing: every request of every worker goes through a [`Gate`].

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Options;
use super::error::{Fault, Remedy};
use super::health::{Looks, Turn};
use super::listing;
use super::retry::{Ask, CONSISTENCY, Freshness, Tries};
use super::service::Service;
use super::throttle::{Buckets, Share};
use super::wait::Watch;
use super::whole::Whole;
use crate::model::{CloudId, Region, TagEdit};
use crate::port::ProviderError;
use crate::resources::permissions::Permissions;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// What all regions share.
#[derive(Debug)]
pub struct Shared {
    fresh: Mutex<BTreeMap<String, Instant>>,
    workers: Semaphore,
    share: Share,
    permissions: Option<Arc<Permissions>>,
}

/// One region's way to EC2 and to load balancing.
#[derive(Debug)]
pub struct Gate {
    region: Region,
    ec2: Client,
    elb: aws_sdk_elasticloadbalancing::Client,
    buckets: Buckets,
    shared: Arc<Shared>,
    pub(super) watch: Watch,
    pub(super) looks: Looks,
}

/// The SDK's settings as we want them: one attempt, with a time limit.
pub(super) fn settings(config: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
    config.to_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts).build()
}

impl Shared {
    pub(super) fn new(options: &Options) -> Arc<Self> {
        let workers = Semaphore::new(options.parallelism.clamp(1, Semaphore::MAX_PERMITS));
        let (share, permissions) = (options.request_share, options.permissions.clone());
        Arc::new(Self { fresh: Mutex::new(BTreeMap::new()), workers, share, permissions })
    }

    pub(super) const fn share(&self) -> Share {
        self.share
    }

    fn freshness(&self, ids: &[&str]) -> Freshness {
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        let new = ids.iter().any(|id| fresh.get(*id).is_some_and(|made| made.elapsed() < CONSISTENCY));
        if new { Freshness::New } else { Freshness::Old }
    }

    /// Sends one call until it succeeds or asking again does not help.
    pub(super) async fn send<T, E, F, Fut>(
        &self,
        region: &Region,
        buckets: &Buckets,
        ask: &Ask<'_>,
        attempt: F,
    ) -> Result<T, ProviderError>
    where
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + Error + 'static,
    {
        let mut tries = Tries::default();
        loop {
            buckets.take(ask.api).await;
            let answer = {
                let _worker = self.workers.acquire().await;
                attempt().await
            };
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let mut fault = Fault::read(ask.api, region.as_str(), &error);
            if fault.remedy == Remedy::SlowDown {
                buckets.drain(ask.api);
            }
            let fresh = self.freshness(&ask.uses);
            let Some(pause) = tries.after(&mut fault, ask, fresh, Instant::now(), fastrand::f64()) else {
                return Err(fault.explained(self.permissions.as_deref(), ask.api, region.as_str()));
            };
            tokio::time::sleep(pause).await;
        }
    }
}

impl Gate {
    pub(super) fn new(region: Region, config: &SdkConfig, shared: Arc<Shared>) -> Self {
        let here = config.to_builder().region(aws_config::Region::new(region.as_str().to_owned())).build();
        let ec2 = aws_sdk_ec2::config::Builder::from(&here).interceptor(Whole).build();
        let elb = aws_sdk_elasticloadbalancing::config::Builder::from(&here).interceptor(Whole).build();
        Self {
            ec2: Client::from_conf(ec2),
            elb: aws_sdk_elasticloadbalancing::Client::from_conf(elb),
            region,
            buckets: Buckets::new(shared.share),
            shared,
            watch: Watch::default(),
            looks: Looks::default(),
        }
    }

    /// The region.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// The SDK's client, to build requests with; they are sent by [`Gate::send`].
    #[must_use]
    pub const fn ec2(&self) -> &Client {
        &self.ec2
    }

    /// The SDK's client for Classic Load Balancers, to build requests with; they are sent by [`Gate::send`].
    #[must_use]
    pub const fn elb(&self) -> &aws_sdk_elasticloadbalancing::Client {
        &self.elb
    }

    /// What a call is doing, for errors: `ec2:RunInstances in eu-west-1`.
    #[must_use]
    pub fn doing(&self, api: &str) -> String {
        format!("{}:{api} in {}", Service::of(api).word(), self.region)
    }

    /// Notes an id that this run made: until it is seen everywhere, "not found" means "not yet".
    pub fn made(&self, id: &str) {
        let mut fresh = self.shared.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.insert(id.to_owned(), Instant::now());
    }

    /// Notes an id that this run removed: from now on, "not found" means "gone".
    pub fn removed(&self, id: &str) {
        self.shared.fresh.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Whether this run made an object so recently that listings may lack it.
    #[must_use]
    pub fn freshness(&self, id: &str) -> Freshness {
        self.shared.freshness(&[id])
    }

    /// Waits for the turn at a balancer: who counts its members and then takes some out does so alone.
    pub async fn turn(&self, name: &str) -> Turn {
        self.looks.turn(name).await
    }

    /// Sends one call until it succeeds or asking again does not help.
    ///
    /// # Errors
    /// What the last attempt met.
    pub async fn send<T, E, F, Fut>(&self, ask: &Ask<'_>, attempt: F) -> Result<T, ProviderError>
    where
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.shared.send(&self.region, &self.buckets, ask, attempt).await
    }

    /// Changes the tags of an object of EC2's. Keys are taken away whatever their value; an empty list is never sent, as `DeleteTags`
    /// reads it as "all" (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html>).
    ///
    /// # Errors
    /// What AWS answers.
    pub async fn tag(&self, id: &CloudId, edit: &TagEdit, deadline: Instant) -> Result<(), ProviderError> {
        if !edit.set.is_empty() {
            let ask = Ask::until("CreateTags", deadline).uses([id.as_str()]);
            let tags = listing::to_wire(&edit.set);
            let send = || self.ec2.create_tags().resources(id.as_str()).set_tags(Some(tags.clone())).send();
            self.send(&ask, send).await?;
        }
        if !edit.unset.is_empty() {
            let ask = Ask::until("DeleteTags", deadline).uses([id.as_str()]);
            let keys = listing::keys(&edit.unset);
            let send = || self.ec2.delete_tags().resources(id.as_str()).set_tags(Some(keys.clone())).send();
            self.send(&ask, send).await?;
        }
        Ok(())
    }
}
