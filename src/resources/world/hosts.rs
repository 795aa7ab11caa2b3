//! The hosts of the world, and the laws that calls to them keep.

use std::collections::{BTreeMap, BTreeSet};

use super::{Outputs, Resolve, World, WorldError, dispatch};
use crate::model::{CloudId, Link, Region, StackName, Target};
use crate::resources::host_firewall::sim::{Host, observed};
use crate::resources::registry::{Body, Call, Object};

impl World {
    /// The hosts that were used.
    pub fn hosts(&self) -> impl Iterator<Item = (&CloudId, &Host)> {
        self.hosts.iter()
    }

    /// A host; none for one that nobody used yet.
    #[must_use]
    pub fn host(&self, id: &CloudId) -> Option<&Host> {
        self.hosts.get(id)
    }

    /// A host to set up by hand; it is made when it is not there.
    pub fn host_mut(&mut self, id: &CloudId) -> &mut Host {
        self.hosts.entry(id.clone()).or_insert_with(|| Host::fresh(id))
    }

    /// What a stack sees of a host. An attempt to reach one that is unreachable for a while counts.
    ///
    /// # Errors
    /// Why it cannot be reached.
    pub fn read_host(&mut self, target: &Target, stack: &StackName) -> Result<Object, String> {
        let id = target.id();
        let fresh = || Host::fresh(&id);
        let (tags, body) = match self.hosts.get_mut(&id) {
            Some(host) => {
                host.knock()?;
                observed(host, target, stack)
            }
            None => observed(&fresh(), target, stack),
        };
        Ok(Object { id, region: Region::hosts(), tags, body: Body::HostFirewall(body) })
    }

    /// The host that a call is for, where it says so.
    #[must_use]
    pub fn host_of(call: &Call) -> Option<CloudId> {
        dispatch::host_of(&call.action).or_else(|| call.on.clone())
    }

    /// Boots a host.
    pub fn reboot(&mut self, id: &CloudId) {
        if let Some(host) = self.hosts.get_mut(id) {
            host.reboot();
        }
    }

    /// Carries out a call to a host.
    ///
    /// # Errors
    /// What the host answers instead of doing it.
    pub(super) fn step_host(&mut self, call: &Call, known: &dyn Resolve) -> Result<Outputs, WorldError> {
        let Some(id) = Self::host_of(call).or_else(|| known.id(&Link::Planned(call.at.clone()))) else {
            return Err(WorldError::invalid("the call does not say which host it is for"));
        };
        let host = self.hosts.entry(id.clone()).or_insert_with(|| Host::fresh(&id));
        let watch = Watch::begin(host, known.stack());
        let result = dispatch::perform_on_host(host, &id, call, known);
        let (api, at, clock) = (World::api(&call.action), &call.at, self.clock);
        let told = |what: String| format!("{api} for `{at}` {what} on host `{id}` at second {clock}");
        self.breaches.extend(watch.end(host, call).into_iter().map(told));
        result
    }
}

/// What a host is as a call begins, and on whose behalf it is made.
#[derive(Debug)]
struct Watch {
    host: Host,
    stack: Option<StackName>,
}

impl Watch {
    fn begin(host: &Host, stack: Option<StackName>) -> Self {
        Self { host: host.clone(), stack }
    }

    /// Every law that the call broke: whoever makes it still gets in, rules of others stay unless it adopts them, and what
    /// stands of other stacks stays.
    fn end(self, host: &Host, call: &Call) -> Vec<String> {
        let mut breaches = Vec::new();
        if self.host.answers() && !host.answers() {
            breaches.push("locked its own operator out".to_owned());
        }
        let mut adopted = dispatch::adopts(&call.action).to_vec();
        let mut after = texts(host);
        for (text, count) in texts(&self.host) {
            let left = after.remove(&text).unwrap_or(0);
            for _ in left..count {
                match adopted.iter().position(|named| *named == text) {
                    Some(at) => drop(adopted.swap_remove(at)),
                    None => breaches.push(format!("took away `{text}`, which is none of ours,")),
                }
            }
        }
        let touched = self.touched(host);
        if touched.len() > 1 {
            breaches.push("changed the rules of several stacks".to_owned());
        }
        if let Some(own) = &self.stack {
            let others = touched.into_iter().filter(|stack| *stack != own);
            breaches.extend(others.map(|other| format!("changed the rules of stack `{other}`")));
        }
        breaches
    }

    /// The stacks of which something else stands now, or after the next boot.
    fn touched<'a>(&'a self, host: &'a Host) -> BTreeSet<&'a StackName> {
        let stacks = |host: &'a Host| host.stacks.keys().chain(host.boot.keys());
        let changed = |stack: &&StackName| {
            let of = |host: &'a Host| (host.stacks.get(*stack), host.boot.get(*stack));
            of(&self.host) != of(host)
        };
        stacks(&self.host).chain(stacks(host)).filter(changed).collect()
    }
}

/// How often each rule of others is there, by its text.
fn texts(host: &Host) -> BTreeMap<String, usize> {
    let mut texts = BTreeMap::new();
    for text in host.foreign_texts() {
        *texts.entry(text.to_owned()).or_default() += 1;
    }
    texts
}
