//! Policies: what a listener and a server do beyond moving bytes. AWS keeps them by name on each balancer; ours are named by
//! what they say, so that a name tells it and a policy is never changed.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancing::types::{LoadBalancerDescription as Listed, Policies, PolicyAttribute};
use sha2::{Digest, Sha256};

use super::balancer::Balancer;
use super::{absent_is_none, read};
use crate::model::duration::Seconds;
use crate::port::{Class, ProviderError};
use crate::provider::aws::client::Gate;
use crate::provider::aws::error::Remedy;
use crate::provider::aws::retry::Ask;
use crate::resources::load_balancer::state::{DEFAULT_SSL_POLICY, Stickiness};

/// Before the name of AWS's security policy that one of ours refers to.
const SECURITY: &str = "portcullis-ssl-";
/// The policy that tells servers who the client is.
const PROXY: &str = "portcullis-proxy-protocol";
/// AWS's word for that sort of policy.
const PROXY_TYPE: &str = "ProxyProtocolPolicyType";
/// How many characters of a cookie's name a policy's name takes as they are.
const LONGEST: usize = 64;

/// The cookies of a balancer, by the policy that sets them.
pub(super) struct Cookies(BTreeMap<String, Stickiness>);

impl Cookies {
    /// The cookies as listed.
    pub(super) fn of(policies: Option<&Policies>) -> Self {
        let Some(policies) = policies else { return Self(BTreeMap::new()) };
        let own = policies.lb_cookie_stickiness_policies().iter().filter_map(|policy| {
            // One without an end lasts as long as the browser: no duration of ours.
            let seconds = policy.cookie_expiration_period().and_then(|period| u64::try_from(period).ok());
            Some((policy.policy_name()?.to_owned(), Stickiness::Duration(Seconds(seconds.unwrap_or_default()))))
        });
        let others = policies.app_cookie_stickiness_policies().iter().filter_map(|policy| {
            Some((policy.policy_name()?.to_owned(), Stickiness::Cookie(policy.cookie_name()?.to_owned())))
        });
        Self(own.chain(others).collect())
    }

    /// How clients come back, by a listener's policies.
    pub(super) fn stickiness(&self, names: &[String]) -> Option<Stickiness> {
        names.iter().find_map(|name| self.0.get(name).cloned())
    }

    /// The security policy among a listener's policies: AWS's own by its name, another by the name that somebody gave it.
    pub(super) fn security_policy(&self, names: &[String]) -> Option<String> {
        let name = names.iter().find(|name| !self.0.contains_key(*name))?;
        Some(name.strip_prefix(SECURITY).unwrap_or(name).to_owned())
    }
}

/// The name of the policy for a stickiness. Names are letters, digits and hyphens
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_CreateAppCookieStickinessPolicy.html>);
/// a cookie's name that is not is told by its digest.
fn sticky(stickiness: &Stickiness) -> String {
    match stickiness {
        Stickiness::Duration(seconds) => format!("portcullis-lb-cookie-{}", seconds.0),
        Stickiness::Cookie(cookie) => {
            let plain = cookie.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if plain && cookie.len() <= LONGEST {
                return format!("portcullis-app-cookie-{cookie}");
            }
            let digest = Sha256::digest(cookie.as_bytes());
            let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("portcullis-app-cookie-sha256-{short}")
        }
    }
}

/// The policies of a balancer's servers, by instance port.
pub(super) fn on_servers(listed: &Listed) -> BTreeMap<u16, BTreeSet<String>> {
    let read = |server: &aws_sdk_elasticloadbalancing::types::BackendServerDescription| {
        let port = u16::try_from(server.instance_port()?).ok()?;
        Some((port, server.policy_names().iter().cloned().collect()))
    };
    listed.backend_server_descriptions().iter().filter_map(read).collect()
}

/// The instance ports that these policies stand on.
pub(super) fn proxied(listed: &Listed, proxying: &BTreeSet<String>) -> BTreeSet<u16> {
    let servers = on_servers(listed).into_iter();
    servers.filter(|(_, names)| !names.is_disjoint(proxying)).map(|(port, _)| port).collect()
}

/// Which of these policies tell who the client is. Ours do by their name; of another's the type is asked for. None when
/// the balancer went meanwhile.
///
/// # Errors
/// What AWS answers.
pub(super) async fn proxying(
    gate: &Gate,
    balancer: &str,
    servers: BTreeMap<u16, BTreeSet<String>>,
) -> Result<Option<BTreeSet<String>>, ProviderError> {
    let (mut found, others): (BTreeSet<String>, BTreeSet<String>) =
        servers.into_values().flatten().partition(|name| name == PROXY);
    if others.is_empty() {
        return Ok(Some(found));
    }
    let names: Vec<String> = others.into_iter().collect();
    let send = || {
        let call = gate.elb().describe_load_balancer_policies().load_balancer_name(balancer);
        call.set_policy_names(Some(names.clone())).send()
    };
    let answer = gate.send(&Ask::read("DescribeLoadBalancerPolicies"), send).await;
    let Some(answer) = absent_is_none(answer)? else { return Ok(None) };
    let theirs = answer.policy_descriptions.unwrap_or_default().into_iter();
    found.extend(theirs.filter(|one| one.policy_type_name() == Some(PROXY_TYPE)).filter_map(|one| one.policy_name));
    Ok(Some(found))
}

impl Balancer<'_> {
    /// Sets all policies of a listener, after they were made. The list replaces what is there
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_SetLoadBalancerPoliciesOfListener.html>),
    /// so AWS's default is named too where TLS ends at the listener.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn set_policies(
        &self,
        port: u16,
        ssl_policy: Option<&str>,
        stickiness: Option<&Stickiness>,
    ) -> Result<(), ProviderError> {
        let mut names = Vec::new();
        let security = match ssl_policy {
            Some(policy) => Some(policy),
            None => self.is_secure(port).await?.then_some(DEFAULT_SSL_POLICY),
        };
        if let Some(policy) = security {
            names.push(self.security(policy).await?);
        }
        if let Some(stickiness) = stickiness {
            let name = sticky(stickiness);
            self.make_sticky(&name, stickiness).await?;
            names.push(name);
        }
        let ask = self.ask("SetLoadBalancerPoliciesOfListener").patient(Remedy::Settled);
        let send = || {
            let call = self.elb().set_load_balancer_policies_of_listener().load_balancer_name(self.name());
            call.load_balancer_port(i32::from(port)).set_policy_names(Some(names.clone())).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }

    /// Whether TLS ends at the listener. One that was made a moment ago may not be listed yet.
    async fn is_secure(&self, port: u16) -> Result<bool, ProviderError> {
        let doing = self.gate.doing("DescribeLoadBalancers");
        let listed = self.until_listed(|listed| {
            let found = read::listeners(listed, &doing)?.remove(&port);
            Ok(found.map(|listener| listener.protocol.is_secure()))
        });
        let absent = || ProviderError::new(Class::NotFound, doing.as_str(), format!("nothing listens on port {port}"));
        listed.await?.ok_or_else(absent)
    }

    /// Makes the security policy that refers to one of AWS's, and tells its name; one that somebody made for this balancer
    /// goes by its own.
    async fn security(&self, policy: &str) -> Result<String, ProviderError> {
        if !policy.starts_with("ELBSecurityPolicy-") {
            return Ok(policy.to_owned());
        }
        let name = format!("{SECURITY}{policy}");
        self.make(&name, "SSLNegotiationPolicyType", "Reference-Security-Policy", policy).await?;
        Ok(name)
    }

    async fn make_sticky(&self, name: &str, stickiness: &Stickiness) -> Result<(), ProviderError> {
        let made = match stickiness {
            Stickiness::Duration(seconds) => {
                let period = i64::try_from(seconds.0).unwrap_or(i64::MAX);
                let send = || {
                    let call = self.elb().create_lb_cookie_stickiness_policy().load_balancer_name(self.name());
                    call.policy_name(name).cookie_expiration_period(period).send()
                };
                self.gate.send(&self.ask("CreateLBCookieStickinessPolicy"), send).await.map(drop)
            }
            Stickiness::Cookie(cookie) => {
                let send = || {
                    let call = self.elb().create_app_cookie_stickiness_policy().load_balancer_name(self.name());
                    call.policy_name(name).cookie_name(cookie).send()
                };
                self.gate.send(&self.ask("CreateAppCookieStickinessPolicy"), send).await.map(drop)
            }
        };
        there_already(made)
    }

    async fn make(&self, name: &str, kind: &str, attribute: &str, value: &str) -> Result<(), ProviderError> {
        let attribute = PolicyAttribute::builder().attribute_name(attribute).attribute_value(value).build();
        let send = || {
            let call = self.elb().create_load_balancer_policy().load_balancer_name(self.name());
            call.policy_name(name).policy_type_name(kind).policy_attributes(attribute.clone()).send()
        };
        there_already(self.gate.send(&self.ask("CreateLoadBalancerPolicy"), send).await.map(drop))
    }

    /// Sets whether the servers on an instance port are told who the client is. Policies of another sort stay.
    ///
    /// # Errors
    /// What AWS answers.
    pub(super) async fn set_proxy_protocol(&self, port: u16, on: bool) -> Result<(), ProviderError> {
        let listed = self.listed().await?;
        let mut names = on_servers(&listed).remove(&port).unwrap_or_default();
        let told = [(port, names.clone())].into();
        let proxying = proxying(self.gate, self.name(), told).await?.unwrap_or_default();
        if on != proxying.is_empty() {
            return Ok(());
        }
        if on {
            self.make(PROXY, PROXY_TYPE, "ProxyProtocol", "true").await?;
            names.insert(PROXY.to_owned());
        } else {
            names.retain(|name| !proxying.contains(name));
        }
        let names: Vec<String> = names.into_iter().collect();
        let ask = self.ask("SetLoadBalancerPoliciesForBackendServer").patient(Remedy::Settled);
        let send = || {
            let call = self.elb().set_load_balancer_policies_for_backend_server().load_balancer_name(self.name());
            call.instance_port(i32::from(port)).set_policy_names(Some(names.clone())).send()
        };
        self.gate.send(&ask, send).await.map(drop)
    }
}

/// A policy of that name says the same: its name is made of it.
fn there_already(answer: Result<(), ProviderError>) -> Result<(), ProviderError> {
    match answer {
        Err(error) if error.class != Class::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancing::types::{AppCookieStickinessPolicy, LbCookieStickinessPolicy};

    use super::*;

    #[test]
    fn names_tell_what_a_policy_says() {
        let cookie = |name: &str| sticky(&Stickiness::Cookie(name.to_owned()));
        assert_eq!(sticky(&Stickiness::Duration(Seconds(3600))), "portcullis-lb-cookie-3600");
        assert_eq!(cookie("JSESSIONID"), "portcullis-app-cookie-JSESSIONID");
        let hashed = cookie("my_session");
        assert!(hashed.starts_with("portcullis-app-cookie-sha256-"), "{hashed}");
        assert!(hashed.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{hashed}");
        assert_ne!(hashed, cookie("my_session2"));
    }

    #[test]
    fn a_listeners_policies_are_read_by_name_and_by_what_is_listed() {
        let policies = Policies::builder()
            .lb_cookie_stickiness_policies(
                LbCookieStickinessPolicy::builder().policy_name("a").cookie_expiration_period(60).build(),
            )
            .app_cookie_stickiness_policies(
                AppCookieStickinessPolicy::builder().policy_name("b").cookie_name("my_session").build(),
            )
            .build();
        let cookies = Cookies::of(Some(&policies));
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(cookies.stickiness(&names(&["x", "a"])), Some(Stickiness::Duration(Seconds(60))));
        assert_eq!(cookies.stickiness(&names(&["b"])), Some(Stickiness::Cookie("my_session".to_owned())));
        assert_eq!(cookies.stickiness(&names(&["x"])), None);
        let security = |list: &[&str]| cookies.security_policy(&names(list));
        let ours = "portcullis-ssl-ELBSecurityPolicy-TLS-1-2-2017-01";
        assert_eq!(security(&["a", ours]).as_deref(), Some("ELBSecurityPolicy-TLS-1-2-2017-01"));
        assert_eq!(security(&["ELBSecurityPolicy-2016-08"]).as_deref(), Some("ELBSecurityPolicy-2016-08"));
        assert_eq!(security(&["strict"]).as_deref(), Some("strict"));
        assert_eq!(security(&["b"]), None);
    }
}
