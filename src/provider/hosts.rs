//! Hosts as a provider: the firewall of each, reached the way the spec says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::shell::{AnyShell, Shells};
use crate::model::{CloudId, Kind, Region, StackName, Target};
use crate::port::{Bindings, Class, Outputs, Provider, ProviderError, Scope};
use crate::resources::host_firewall::hosts::{Host, UNREACHABLE};
use crate::resources::host_firewall::script::change::{Decision, Verdict};
use crate::resources::registry::{Action, Call, Object};
use crate::resources::snapshot::{Answer, Question, Snapshot};

/// How long a host may take to be read, connection and all.
const DEADLINE: Duration = Duration::from_secs(45);

/// Who is told what a change waits for.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// The hosts of one stack.
pub struct Hosts {
    stack: StackName,
    by: String,
    shells: Shells,
    tell: Tell,
    targets: BTreeMap<CloudId, Target>,
    /// One way to each host, so that its steps share a connection.
    open: Mutex<BTreeMap<CloudId, Arc<Way>>>,
}

/// The way to a host. Its changes come one after the other, as each waits to be confirmed before the next may begin.
struct Way {
    shell: AnyShell,
    turn: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts").field("stack", &self.stack).field("targets", &self.targets).finish_non_exhaustive()
    }
}

impl Hosts {
    /// The hosts that a stack speaks of. `by` says in words who makes changes.
    #[must_use]
    pub fn new(
        stack: StackName,
        targets: impl IntoIterator<Item = Target>,
        by: String,
        shells: Shells,
        tell: Tell,
    ) -> Self {
        let targets = targets.into_iter().map(|target| (target.id(), target)).collect();
        Self { stack, by, shells, tell, targets, open: Mutex::default() }
    }

    /// Reads a host.
    ///
    /// # Errors
    /// When it cannot be reached or read.
    pub async fn read(&self, target: &Target) -> Result<Object, ProviderError> {
        let way = self.way(target)?;
        let host = self.host(target, &way.shell);
        let reading = host.observe();
        tokio::time::timeout(DEADLINE, reading).await.unwrap_or_else(|_| {
            let detail = format!("no answer within {} seconds", DEADLINE.as_secs());
            let error = ProviderError::new(Class::TimedOut, format!("reading the packet filter of {target}"), detail);
            Err(error.code(UNREACHABLE))
        })
    }

    /// Looks at the change that waits on a host, confirms it over a new connection, or takes it back.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn decide(&self, target: &Target, verdict: Verdict) -> Result<Decision, ProviderError> {
        let way = self.way(target)?;
        self.host(target, &way.shell).decide(verdict).await
    }

    fn host<'a>(&'a self, target: &'a Target, shell: &'a AnyShell) -> Host<'a, AnyShell> {
        Host { shell, target, stack: &self.stack, by: &self.by, tell: &*self.tell }
    }

    /// The way to a host.
    fn way(&self, target: &Target) -> Result<Arc<Way>, ProviderError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = open.get(&target.id()) {
            return Ok(Arc::clone(way));
        }
        let shell = self
            .shells
            .open(target)
            .map_err(|error| ProviderError::new(Class::Denied, format!("reaching {target}"), error.detail))?;
        let way = Arc::new(Way { shell, turn: tokio::sync::Mutex::default() });
        open.insert(target.id(), Arc::clone(&way));
        Ok(way)
    }

    /// The way to the host of an id.
    fn target(&self, id: &CloudId) -> Result<&Target, ProviderError> {
        self.targets.get(id).ok_or_else(|| {
            let detail = "the spec does not say how it is reached";
            ProviderError::new(Class::NotFound, format!("reaching the host `{id}`"), detail)
        })
    }

    /// The host that a call is about: what it acts on, or what it says itself where nothing of ours stands yet.
    fn of<'a>(&'a self, call: &'a Call) -> Result<&'a Target, ProviderError> {
        let named = match &call.action {
            Action::HostFirewall(action) => action.target(),
            _ => None,
        };
        match (named, &call.on) {
            (Some(target), _) => Ok(target),
            (None, Some(id)) => self.target(id),
            (None, None) => {
                let detail = "the call names no host";
                Err(ProviderError::new(Class::Invalid, format!("changing `{}`", call.at), detail))
            }
        }
    }
}

impl Provider for Arc<Hosts> {
    /// Reads every host of the scope at once. One that cannot be read fails alone.
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        let mut reads = JoinSet::new();
        let targets: BTreeMap<CloudId, &Target> = scope.hosts.values().map(|target| (target.id(), target)).collect();
        for (id, target) in targets {
            let (hosts, target) = (Self::clone(self), target.clone());
            reads.spawn(async move { (id, hosts.read(&target).await) });
        }
        let mut snapshot = Snapshot::default();
        while let Some(read) = reads.join_next().await {
            let fault = |why| ProviderError::new(Class::Invalid, "reading hosts", format!("{why}"));
            match read.map_err(fault)? {
                (_, Ok(object)) => snapshot.objects.push(object),
                (id, Err(error)) => {
                    snapshot.unreached.insert(id, error.detail);
                }
            }
        }
        snapshot.objects.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(snapshot)
    }

    /// Nothing is asked of hosts beyond reading them.
    async fn inquire(&self, _: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        Ok(BTreeMap::new())
    }

    async fn reread(&self, _: Kind, _: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        self.read(self.target(id)?).await.map(Some)
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        let Action::HostFirewall(action) = &call.action else {
            let detail = format!("`{}` is no host's", call.at);
            return Err(ProviderError::new(Class::Invalid, "changing a host", detail));
        };
        let target = self.of(call)?;
        let way = self.way(target)?;
        let _turn = way.turn.lock().await;
        self.host(target, &way.shell).perform(call, action, known).await
    }
}
