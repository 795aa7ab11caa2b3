//! Rules of Classic Load Balancing that moto lacks, each with the page that it comes from. `deviations.rs` says when moto
//! needs one no longer.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use super::http::{Request, all_between, between, document, is_fine, plain, with_members};

/// The zone of every balancer's name
/// (<https://docs.aws.amazon.com/general/latest/gr/elb.html>).
const ZONE: &str = "Z32O12XQLNTSW2";
/// How many names `DescribeTags` takes.
const TAGGED: usize = 20;

/// What has to be remembered between calls: what instances are spoken to in, by balancer and port.
#[derive(Default)]
pub struct Balancers(Mutex<BTreeMap<(String, String), String>>);

impl Balancers {
    fn memory(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), String>> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// The answer as AWS would give it.
    pub async fn answer(&self, request: &Request, api: &str, moto: u16) -> io::Result<Vec<u8>> {
        let name = request.field("LoadBalancerName").unwrap_or_default();
        let listed = if name.is_empty() || ["CreateLoadBalancer", "DeleteLoadBalancer"].contains(&api) {
            String::new()
        } else {
            // One that is not there is said so, whatever is asked of it
            // (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeLoadBalancerAttributes.html>).
            let answer = request.balance("DescribeLoadBalancers", &[("LoadBalancerNames.member.1", &name)]);
            let answer = answer.forward(moto).await?;
            if !is_fine(&answer) {
                return Ok(answer);
            }
            document(&answer)
        };
        match api {
            "CreateLoadBalancer" => self.create(request, &name, moto).await,
            "CreateLoadBalancerListeners" => {
                let answer = request.forward(moto).await?;
                self.remember(request, &name, is_fine(&answer));
                Ok(answer)
            }
            "DescribeLoadBalancers" => self.list(request, moto).await,
            "DeleteLoadBalancerListeners" => delete_listeners(request, &name, moto).await,
            "CreateLoadBalancerPolicy" | "CreateLBCookieStickinessPolicy" | "CreateAppCookieStickinessPolicy" => {
                create_policy(request, &listed, moto).await
            }
            "SetLoadBalancerPoliciesOfListener" => set_policies(request, &listed, moto).await,
            "RegisterInstancesWithLoadBalancer" => register(request, moto).await,
            "DescribeInstanceHealth" => health(request, moto).await,
            "DescribeTags" if request.list("LoadBalancerNames.member").len() > TAGGED => {
                Ok(request.refusal(400, "ValidationError", "A maximum of 20 load balancers can be specified."))
            }
            _ => request.forward(moto).await,
        }
    }

    /// A new balancer has a health check of the first instance port
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-healthchecks.html>).
    async fn create(&self, request: &Request, name: &str, moto: u16) -> io::Result<Vec<u8>> {
        let answer = request.forward(moto).await?;
        self.remember(request, name, is_fine(&answer));
        if is_fine(&answer) {
            let port = request.field("Listeners.member.1.InstancePort").unwrap_or_default();
            let target = format!("TCP:{port}");
            let check = [
                ("LoadBalancerName", name),
                ("HealthCheck.Target", &target),
                ("HealthCheck.Interval", "30"),
                ("HealthCheck.Timeout", "5"),
                ("HealthCheck.UnhealthyThreshold", "2"),
                ("HealthCheck.HealthyThreshold", "10"),
            ];
            request.balance("ConfigureHealthCheck", &check).forward(moto).await?;
        }
        Ok(answer)
    }

    fn remember(&self, request: &Request, name: &str, is_fine: bool) {
        for number in 1.. {
            let of = |field: &str| request.field(&format!("Listeners.member.{number}.{field}"));
            let Some(port) = of("LoadBalancerPort") else { return };
            if let Some(protocol) = of("InstanceProtocol").filter(|_| is_fine) {
                self.memory().insert((name.to_owned(), port), protocol);
            }
        }
    }

    /// What instances are spoken to in is listed as it was asked for
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_Listener.html>), and so is the zone of
    /// the name (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_LoadBalancerDescription.html>).
    async fn list(&self, request: &Request, moto: u16) -> io::Result<Vec<u8>> {
        let answer = request.forward(moto).await?;
        if !is_fine(&answer) {
            return Ok(answer);
        }
        let mut told = String::new();
        for (count, piece) in document(&answer).split("<LoadBalancerName>").enumerate() {
            if count == 0 {
                told.push_str(piece);
                continue;
            }
            let name = piece.split('<').next().unwrap_or_default();
            let mut piece = piece.replacen(
                "<ListenerDescriptions>",
                &format!("<CanonicalHostedZoneNameID>{ZONE}</CanonicalHostedZoneNameID><ListenerDescriptions>"),
                1,
            );
            for listener in all_between(&piece, "<Listener>", "</Listener>") {
                let of = |field: &str| between(&listener, &format!("<{field}>"), &format!("</{field}>"));
                let port = of("LoadBalancerPort").unwrap_or_default();
                let is = of("InstanceProtocol").unwrap_or_default();
                if let Some(wanted) = self.memory().get(&(name.to_owned(), port)) {
                    let right =
                        listener.replace(&format!("<InstanceProtocol>{is}<"), &format!("<InstanceProtocol>{wanted}<"));
                    piece = piece.replace(&listener, &right);
                }
            }
            told.push_str("<LoadBalancerName>");
            told.push_str(&piece);
        }
        Ok(plain(200, "text/xml", &told))
    }
}

/// Several listeners go in one call, and the others stay
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DeleteLoadBalancerListeners.html>).
async fn delete_listeners(request: &Request, name: &str, moto: u16) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    for port in request.list("LoadBalancerPorts.member") {
        let one = [("LoadBalancerName", name), ("LoadBalancerPorts.member.1", port.as_str())];
        answer = request.balance("DeleteLoadBalancerListeners", &one).forward(moto).await?;
    }
    Ok(answer)
}

/// A balancer's policies have different names
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_CreateLoadBalancerPolicy.html>).
async fn create_policy(request: &Request, listed: &str, moto: u16) -> io::Result<Vec<u8>> {
    let name = request.field("PolicyName").unwrap_or_default();
    if policies(listed).contains(&format!(">{name}<")) {
        return Ok(request.refusal(400, "DuplicatePolicyName", "A policy with the specified name already exists."));
    }
    request.forward(moto).await
}

fn policies(listed: &str) -> String {
    between(listed, "<Policies>", "</Policies>").unwrap_or_default()
}

/// Only policies that are there can be set, and only where something listens
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_SetLoadBalancerPoliciesOfListener.html>).
async fn set_policies(request: &Request, listed: &str, moto: u16) -> io::Result<Vec<u8>> {
    let port = request.field("LoadBalancerPort").unwrap_or_default();
    if !listed.contains(&format!("<LoadBalancerPort>{port}<")) {
        return Ok(request.refusal(400, "ListenerNotFound", "The load balancer has no listener at this port."));
    }
    let there = policies(listed);
    if request.list("PolicyNames.member").iter().any(|name| !there.contains(&format!(">{name}<"))) {
        return Ok(request.refusal(400, "PolicyNotFound", "One or more of the specified policies do not exist."));
    }
    request.forward(moto).await
}

/// The state of instances, by id; of those that are not there, nothing.
async fn states(request: &Request, ids: &[String], moto: u16) -> io::Result<BTreeMap<String, String>> {
    // Unfiltered, moto gives the first hundred.
    let names: Vec<String> = (1..=ids.len()).map(|number| format!("Filter.1.Value.{number}")).collect();
    let mut by = vec![("Filter.1.Name", "instance-id")];
    by.extend(names.iter().map(String::as_str).zip(ids.iter().map(String::as_str)));
    let listed = request.call("DescribeInstances", &by).ask(moto).await?;
    let mut states = BTreeMap::new();
    for part in listed.split("<instanceId>").skip(1) {
        let id = part.split('<').next().unwrap_or_default().to_owned();
        let state = between(part, "<instanceState>", "</instanceState>").unwrap_or_default();
        if ids.contains(&id) {
            states.entry(id).or_insert(between(&state, "<name>", "</name>").unwrap_or_default());
        }
    }
    Ok(states)
}

/// Only instances that live can be registered
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_RegisterInstancesWithLoadBalancer.html>).
async fn register(request: &Request, moto: u16) -> io::Result<Vec<u8>> {
    let ids = request.list("Instances.member");
    let states = states(request, &ids, moto).await?;
    if ids.iter().any(|id| states.get(id).is_none_or(|state| state == "terminated")) {
        return Ok(request.refusal(400, "InvalidInstance", "The specified endpoint is not valid."));
    }
    request.forward(moto).await
}

/// One that does not serve has a reason, and the state of one that is terminated is not told
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeInstanceHealth.html>).
async fn health(request: &Request, moto: u16) -> io::Result<Vec<u8>> {
    let answer = request.forward(moto).await?;
    let text = document(&answer);
    if !is_fine(&answer) {
        return Ok(answer);
    }
    let members = all_between(&text, "<member>", "</member>");
    let id_of = |member: &str| between(member, "<InstanceId>", "</InstanceId>").unwrap_or_default();
    let ids: Vec<String> = members.iter().map(|member| id_of(member)).collect();
    let states = states(request, &ids, moto).await?;
    let told = members.iter().filter_map(|member| {
        let state = states.get(&id_of(member)).map(String::as_str).unwrap_or_default();
        let reason = |text: &str| member.replace("<Description>N/A", &format!("<Description>{text}"));
        if member.contains("<State>Unknown<") {
            let out = reason("Instance is not currently registered with the LoadBalancer.");
            return Some(out.replace("<State>Unknown<", "<State>OutOfService<"));
        }
        match state {
            "running" => Some(member.clone()),
            "terminated" => None,
            other => Some(reason(&format!("Instance is in {other} state."))),
        }
    });
    Ok(plain(200, "text/xml", &with_members(&text, "InstanceStates", told)))
}

/// A balancer stands in its subnets with interfaces that are in its groups
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html>): as many of them as a filter by group or
/// description lets through.
pub async fn interfaces(request: &Request, moto: u16) -> io::Result<Vec<u8>> {
    let answer = request.forward(moto).await?;
    let by = request.field("Filter.1.Name").unwrap_or_default();
    if !is_fine(&answer) || !["group-id", "description"].contains(&by.as_str()) {
        return Ok(answer);
    }
    let wanted = request.list("Filter.1.Value");
    let listed = request.balance("DescribeLoadBalancers", &[("PageSize", "400")]).ask(moto).await?;
    let mut items = String::new();
    for (count, part) in listed.split("<LoadBalancerName>").skip(1).enumerate() {
        let name = part.split('<').next().unwrap_or_default();
        let groups = between(part, "<SecurityGroups>", "</SecurityGroups>").unwrap_or_default();
        let groups = all_between(&groups, "<member>", "</member>");
        let description = format!("ELB {name}");
        if by == "description" && wanted.contains(&description)
            || by == "group-id" && groups.iter().any(|group| wanted.contains(group))
        {
            let groups: String = groups.iter().map(|id| format!("<item><groupId>{id}</groupId></item>")).collect();
            items.push_str(&format!(
                "<item><networkInterfaceId>eni-{count:017x}</networkInterfaceId><description>{description}</description>\
                 <requesterId>amazon-elb</requesterId><groupSet>{groups}</groupSet></item>"
            ));
        }
    }
    let text = document(&answer).replace("<networkInterfaceSet/>", "<networkInterfaceSet></networkInterfaceSet>");
    Ok(plain(200, "text/xml", &text.replacen("</networkInterfaceSet>", &format!("{items}</networkInterfaceSet>"), 1)))
}
