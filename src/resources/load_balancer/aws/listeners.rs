//! The calls that change what a load balancer listens to.

use std::collections::{BTreeMap, BTreeSet};

use super::balancer::Balancer;
use super::create::to_listeners;
use super::{absent_is_none, read};
use crate::port::{Class, ProviderError};
use crate::provider::aws::error::Remedy;
use crate::provider::aws::retry::Freshness;
use crate::resources::load_balancer::state::Listener;

impl Balancer<'_> {
    /// Adds listeners. A port that this run gave up is waited for; one that another listener has is no place for this one
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_CreateLoadBalancerListeners.html>).
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn add_listeners(&self, wanted: &BTreeMap<u16, Listener>) -> Result<(), ProviderError> {
        let ask = self.ask("CreateLoadBalancerListeners").patient(Remedy::Settled);
        let given_up = wanted.keys().any(|port| self.gate.freshness(&self.given_up(*port)) == Freshness::New);
        let ask = if given_up { ask.patient(Remedy::Released) } else { ask };
        let listeners = self.built(ask.api, to_listeners(wanted))?;
        let send = || {
            let call = self.elb().create_load_balancer_listeners().load_balancer_name(self.name());
            call.set_listeners(Some(listeners.clone())).send()
        };
        let error = match self.gate.send(&ask, send).await {
            Ok(_) => None,
            Err(error) if error.class == Class::AlreadyExists => Some(error),
            Err(error) => return Err(error),
        };
        if let Some(error) = error
            && !self.has(wanted).await?
        {
            return Err(error);
        }
        for port in wanted.keys() {
            self.gate.removed(&self.given_up(*port));
        }
        Ok(())
    }

    /// Whether each of these is there as it is wanted, policies apart.
    async fn has(&self, wanted: &BTreeMap<u16, Listener>) -> Result<bool, ProviderError> {
        let there = read::listeners(&self.listed().await?, &self.gate.doing("DescribeLoadBalancers"))?;
        Ok(wanted.iter().all(|(port, wanted)| {
            let Listener { protocol, instance_port, instance_protocol, certificate, ssl_policy: _, stickiness: _ } =
                wanted;
            there.get(port).is_some_and(|there| {
                (*protocol, *instance_port) == (there.protocol, there.instance_port)
                    && (*instance_protocol, certificate) == (there.instance_protocol, &there.certificate)
            })
        }))
    }

    /// Takes listeners away; those that are gone are no error.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn remove_listeners(&self, ports: &BTreeSet<u16>) -> Result<(), ProviderError> {
        let numbers: Vec<i32> = ports.iter().copied().map(i32::from).collect();
        let ask = self.ask("DeleteLoadBalancerListeners");
        let send = || {
            let call = self.elb().delete_load_balancer_listeners().load_balancer_name(self.name());
            call.set_load_balancer_ports(Some(numbers.clone())).send()
        };
        absent_is_none(self.gate.send(&ask, send).await)?;
        for port in ports {
            self.gate.made(&self.given_up(*port));
        }
        Ok(())
    }

    /// Sets the certificate of a listener; one that was uploaded a moment ago is waited for.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn set_certificate(&self, port: u16, certificate: &str) -> Result<(), ProviderError> {
        let ask = self.ask("SetLoadBalancerListenerSSLCertificate").patient(Remedy::Settled);
        let send = || {
            let call = self.elb().set_load_balancer_listener_ssl_certificate().load_balancer_name(self.name());
            call.load_balancer_port(i32::from(port)).ssl_certificate_id(certificate).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }

    /// What a port is noted by that this run gave up: what made room a moment ago may not be seen everywhere.
    fn given_up(&self, port: u16) -> String {
        format!("{}:{port}", self.id)
    }
}
