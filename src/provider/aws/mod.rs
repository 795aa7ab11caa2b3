//! AWS behind the port. The columns' `aws.rs` say what is listed and called; here is how: clients, buckets, retries,
//! waits, and the words for what goes wrong. It decides nothing that a plan should.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::{BehaviorVersion, SdkConfig};

use crate::model::{AccountId, CloudId, Kind, Region};
use crate::port::{Bindings, Class, Outputs, Provider, ProviderError, Scope};
use crate::resources::Read;
use crate::resources::permissions::Permissions;
use crate::resources::registry::{Action, Call, Object};
use crate::resources::snapshot::{Answer, Question, Snapshot};
use crate::resources::{elastic_ip, instance, key_pair, load_balancer, security_group};

pub mod client;
pub mod error;
mod fleet;
pub mod health;
mod inquire;
pub mod listing;
mod observe;
pub mod retry;
pub mod service;
pub mod throttle;
pub mod wait;
mod whole;

use client::{Gate, Shared};
use listing::Select;
use retry::{Ask, Freshness, backoff};
use throttle::{Buckets, Share};
use whole::Whole;

/// How often a fresh object is looked for before it counts as gone.
const SIGHTINGS: u32 = 4;

/// How to reach AWS.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A profile of the shared configuration; absent means as the environment says.
    pub profile: Option<String>,
    /// The region for what belongs to none; absent means as the environment says.
    pub default_region: Option<Region>,
    /// The account that the spec demands.
    pub account_guard: Option<AccountId>,
    /// How many requests may be under way at once.
    pub parallelism: usize,
    /// How much of AWS's published request allowance may be taken.
    pub request_share: Share,
    /// What the stack needs, for whoever is told that something is not allowed.
    pub permissions: Option<Arc<Permissions>>,
}

/// The code of the error that says the account is not the one the spec demands.
pub const ACCOUNT_GUARD: &str = "AccountGuard";

/// The region that a profile or the environment sets, for specs that name none.
pub async fn configured_region(profile: Option<&str>) -> Option<Region> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    Region::new(loader.load().await.region()?.as_ref()).ok()
}

/// AWS, as one account in any number of regions.
pub struct Aws {
    config: SdkConfig,
    account: AccountId,
    region: Region,
    shared: Arc<Shared>,
    gates: Mutex<BTreeMap<Region, Arc<Gate>>>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("account", &self.account).field("region", &self.region).finish_non_exhaustive()
    }
}

impl Aws {
    /// Finds credentials by the SDK's own chain (environment, profiles, SSO, web identity, containers, IMDS) and asks whose
    /// they are (<https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>). `AWS_ENDPOINT_URL` and
    /// its kin count.
    ///
    /// # Errors
    /// Without a region or credentials, or when the account is not the one that is demanded.
    pub async fn connect(options: Options) -> Result<Self, ProviderError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &options.default_region {
            loader = loader.region(aws_config::Region::new(region.as_str().to_owned()));
        }
        Self::with_config(&loader.load().await, &options).await
    }

    /// The same with settings of the SDK that the caller made; of `options`, profile and region are not looked at.
    ///
    /// # Errors
    /// As [`Aws::connect`].
    pub async fn with_config(config: &SdkConfig, options: &Options) -> Result<Self, ProviderError> {
        let config = client::settings(config);
        let region = default_region(&config)?;
        let shared = Shared::new(options);
        let account = whose(&config, &region, &shared).await?;
        if let Some(guard) = options.account_guard.as_ref().filter(|guard| **guard != account) {
            let detail = format!("the credentials are of account `{account}`, and the spec demands `{guard}`");
            let error = ProviderError::new(Class::Denied, "sts:GetCallerIdentity", detail);
            return Err(error
                .code(ACCOUNT_GUARD)
                .hint("use credentials of that account, or correct `account` in the spec"));
        }
        Ok(Self { config, account, region, shared, gates: Mutex::default() })
    }

    /// Whose credentials they are.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// The default region.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// The way to a region.
    fn gate(&self, region: &Region) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Gate::new(region.clone(), &self.config, Arc::clone(&self.shared)));
        Arc::clone(gates.entry(region.clone()).or_insert_with(new))
    }
}

/// The region of the SDK's settings.
fn default_region(config: &SdkConfig) -> Result<Region, ProviderError> {
    let hint = "set `region` in the spec, `AWS_REGION`, or the profile's region";
    let invalid = |detail: String| ProviderError::new(Class::Invalid, "connecting to AWS", detail).hint(hint);
    let region = config.region().ok_or_else(|| invalid("no region is set".to_owned()))?;
    Region::new(region.as_ref()).map_err(|why| invalid(format!("`{region}`: {why}")))
}

/// Whose the credentials are.
async fn whose(config: &SdkConfig, region: &Region, shared: &Shared) -> Result<AccountId, ProviderError> {
    let settings = aws_sdk_sts::config::Builder::from(config).interceptor(Whole).build();
    let sts = aws_sdk_sts::Client::from_conf(settings);
    let ask = Ask::read("GetCallerIdentity");
    let identity =
        shared.send(region, &Buckets::new(shared.share()), &ask, || sts.get_caller_identity().send()).await?;
    let lacks = || listing::incomplete("sts:GetCallerIdentity", "account that can be read");
    identity.account().and_then(|text| AccountId::new(text).ok()).ok_or_else(lacks)
}

/// The firewalls of hosts are no part of AWS: whoever carries calls out sends theirs elsewhere.
fn not_here(call: &Call) -> ProviderError {
    let doing = format!("changing the firewall of a host for `{}`", call.at);
    ProviderError::new(Class::Invalid, doing, "AWS cannot reach into a host")
}

/// Lists what is selected of a kind.
async fn list(gate: &Gate, kind: Kind, select: Select<'_>) -> Result<Vec<Object>, ProviderError> {
    match kind {
        Kind::KeyPair => key_pair::aws::list(gate, select).await,
        Kind::SecurityGroup => security_group::aws::list(gate, select).await,
        Kind::ElasticIp => elastic_ip::aws::list(gate, select).await,
        Kind::Instance => instance::aws::list(gate, select).await,
        Kind::LoadBalancer => load_balancer::aws::list(gate, select).await,
        Kind::HostFirewall => Ok(Vec::new()),
    }
}

/// The objects with what is read of their kind beside its listing.
async fn completed(
    gate: &Gate,
    kind: Kind,
    reads: &BTreeSet<Read>,
    objects: Vec<Object>,
) -> Result<Vec<Object>, ProviderError> {
    match kind {
        Kind::Instance if reads.contains(&Read::Volumes) => instance::aws::with_volumes(gate, objects).await,
        Kind::LoadBalancer if reads.contains(&Read::Health) => load_balancer::aws::with_health(gate, objects).await,
        Kind::KeyPair
        | Kind::SecurityGroup
        | Kind::ElasticIp
        | Kind::Instance
        | Kind::LoadBalancer
        | Kind::HostFirewall => Ok(objects),
    }
}

impl Provider for Aws {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        observe::observe(self, scope).await
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        inquire::inquire(self, questions).await
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        if region.is_hosts() {
            return Ok(None);
        }
        let (gate, ids) = (self.gate(region), [id.clone()]);
        for look in 1..=SIGHTINGS {
            let found = list(&gate, kind, Select::Ids(&ids)).await?.pop();
            if found.is_some() || look == SIGHTINGS || gate.freshness(id.as_str()) == Freshness::Old {
                return Ok(found);
            }
            tokio::time::sleep(backoff(look, 1.0)).await;
        }
        Ok(None)
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        if call.region.is_hosts() {
            return Err(not_here(call));
        }
        let gate = self.gate(&call.region);
        match &call.action {
            Action::KeyPair(action) => key_pair::aws::perform(&gate, call, action, known).await,
            Action::SecurityGroup(action) => security_group::aws::perform(&gate, call, action, known).await,
            Action::ElasticIp(action) => elastic_ip::aws::perform(&gate, call, action, known).await,
            Action::Instance(action) => instance::aws::perform(&gate, call, action, known).await,
            Action::LoadBalancer(action) => load_balancer::aws::perform(&gate, call, action, known).await,
            Action::HostFirewall(_) => Err(not_here(call)),
        }
    }
}
