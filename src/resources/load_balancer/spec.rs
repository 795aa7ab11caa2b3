//! What a user may write of a load balancer, and what AWS would refuse of it.

mod health_check;
mod listener;
mod lower;
mod members;
mod setting;

use schemars::JsonSchema;

use super::state::{Desired, Registration, Scheme};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Output;
use crate::model::duration::Seconds;
use crate::resources::decode::{At, Fields, one_of, within};
use crate::resources::shape;
use crate::resources::site::{self, GroupList, Site, SubnetList, ZoneList};
use crate::resources::spec::{Lowered, Lowering, Outline, Written};
use crate::resources::values::{TagCharacters, seconds_within};
use health_check::HealthCheckSpec;
use listener::{ListenerSpec, Listeners, Port};
use members::MemberList;
use setting::{AccessLogSpec, Draining, DrainingShape};

/// The quota of groups a balancer
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-limits.html>).
const MOST_GROUPS: usize = 5;
/// The quota of registered instances a balancer, of the same page.
const MOST_MEMBERS: i64 = 1000;

/// A Classic Load Balancer.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "load_balancer", deny_unknown_fields)]
pub struct Spec {
    /// A literal name; a generated one when absent.
    #[schemars(with = "Option<String>", regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?$"))]
    name: Option<At<String>>,
    /// Who may reach it: everyone (`internet-facing`, default), or the VPC alone (`internal`).
    #[schemars(with = "Option<SchemeShape>")]
    scheme: Option<Scheme>,
    /// The zones that it serves, all of the network when absent; not beside `subnets`.
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    zones: Option<ZoneList>,
    /// The subnets that it stands in, one a zone; not beside `zones`.
    #[schemars(with = "Option<Vec<shape::SubnetText>>", length(min = 1))]
    subnets: Option<SubnetList>,
    /// Its security groups, by name or id; the VPC's default group when absent.
    #[schemars(with = "Option<Vec<String>>", length(min = 1, max = 5))]
    security_groups: Option<GroupList>,
    /// What it listens to, and where it sends that.
    #[schemars(with = "Vec<ListenerSpec>", length(min = 1, max = 100))]
    listeners: Listeners,
    /// How it finds out who may be sent traffic; a connection to the first listener's instance port when absent.
    health_check: Option<HealthCheckSpec>,
    /// Who is sent traffic: groups of instances, single ones, members, or ids of foreign ones.
    #[schemars(with = "Option<Vec<String>>")]
    instances: Option<MemberList>,
    /// What happens to those whom others registered: `exclusive` (default) takes them out, `additive` leaves them.
    #[schemars(with = "Option<RegistrationShape>")]
    registration: Option<Registration>,
    /// How many members are never fewer in service by our doing; all but one when absent.
    #[schemars(with = "Option<u32>", range(min = 0, max = 1000))]
    min_healthy: Option<At<u32>>,
    /// Whether every zone's share goes to the members of all zones; true when absent.
    cross_zone: Option<bool>,
    /// After how long a silent connection is closed: `1s` to `4000s`, `60s` when absent.
    #[schemars(with = "Option<shape::DurationText>")]
    idle_timeout: Option<Seconds>,
    /// How long requests under way may go on when a member leaves: `1s` to `1h`, or `off`; `300s` when absent.
    #[schemars(with = "Option<DrainingShape>")]
    connection_draining: Option<Draining>,
    /// Where requests are written down; nowhere when absent.
    access_log: Option<AccessLogSpec>,
    /// The instance ports that are told, in a line before everything else, who the client is; for tcp and ssl only.
    #[schemars(with = "Option<Vec<u16>>", inner(range(min = 1, max = 65535)))]
    proxy_protocol: Option<At<Vec<At<Port>>>>,
}

shape::shapes! {
    /// Who may reach a balancer.
    SchemeShape = { "type": "string", "enum": ["internet-facing", "internal"] };
    /// Whose members a balancer has.
    RegistrationShape = { "type": "string", "enum": ["exclusive", "additive"] };
}

impl Written for Spec {
    type Desired = Desired;
    const WHAT: &'static str = "a load balancer";
    const OUTPUTS: &'static [Output] = &[Output::DnsName, Output::ZoneId, Output::Name];
    const MANY: bool = false;
    const FOR_OTHERS: bool = false;
    /// <https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_Tag.html>
    const TAG_CHARACTERS: Option<TagCharacters> = Some(TagCharacters {
        whose: Self::WHAT,
        takes: |c| c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c),
        words: "letters, digits, space and _.:/=+-@",
    });

    fn read(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Self> {
        const REGISTRATIONS: [(&str, Registration); 2] =
            [("exclusive", Registration::Exclusive), ("additive", Registration::Additive)];
        const SCHEMES: [(&str, Scheme); 2] =
            [(Scheme::InternetFacing.word(), Scheme::InternetFacing), (Scheme::Internal.word(), Scheme::Internal)];
        let listeners: Option<Listeners> = fields.required("listeners", problems);
        let (name, zones, subnets) = (
            fields.optional("name", problems),
            fields.optional("zones", problems),
            fields.optional("subnets", problems),
        );
        let rest = Self {
            name,
            zones,
            subnets,
            security_groups: fields.optional("security_groups", problems),
            scheme: fields.node("scheme").and_then(|node| one_of(node, &SCHEMES, problems)),
            health_check: fields.node("health_check").and_then(|node| HealthCheckSpec::read(node, problems)),
            instances: fields.node("instances").map(|node| MemberList::read(node, problems)),
            registration: fields.node("registration").and_then(|node| one_of(node, &REGISTRATIONS, problems)),
            min_healthy: fields.node("min_healthy").and_then(|node| {
                let value = within(node, "`min_healthy`", 0..=MOST_MEMBERS, problems)?;
                Some(At { value, span: node.span })
            }),
            cross_zone: fields.optional("cross_zone", problems),
            idle_timeout: fields
                .node("idle_timeout")
                .and_then(|node| seconds_within(node, "an idle timeout", 1..=4000, problems)),
            connection_draining: fields.optional("connection_draining", problems),
            access_log: fields.node("access_log").and_then(|node| AccessLogSpec::read(node, problems)),
            proxy_protocol: fields.optional("proxy_protocol", problems),
            listeners: listeners?,
        };
        rest.check(problems);
        Some(rest)
    }

    fn outline(&self) -> Outline {
        Outline::default()
    }

    fn lower(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Desired>> {
        lower::lower(self, cx, problems)
    }
}

impl Spec {
    /// Where it stands.
    fn site(&self) -> Site<'_> {
        Site { what: Self::WHAT, zones: self.zones.as_ref(), subnets: self.subnets.as_ref() }
    }

    /// Combinations and texts that AWS would refuse.
    fn check(&self, problems: &mut Diagnostics) {
        self.site().check(problems);
        if let Some(name) = &self.name {
            check_name(name, problems);
        }
        if let Some(groups) = &self.security_groups {
            site::check_some_group(groups, Self::WHAT, problems);
            site::check_few_groups(groups, Self::WHAT, MOST_GROUPS, problems);
        }
        self.check_proxy_protocol(problems);
    }

    /// Every port of the proxy protocol is one that bytes are sent to.
    fn check_proxy_protocol(&self, problems: &mut Diagnostics) {
        let ports = self.proxy_protocol.as_ref().map_or(&[][..], |list| list.value.as_slice());
        for (at, port) in ports.iter().enumerate() {
            if ports.iter().take(at).any(|before| before.value == port.value) {
                problems.push(Diagnostic::error("twice", port.span, format!("{} stands here twice", port.value.0)));
            }
            self.listeners.check_proxied(port, problems);
        }
    }
}

/// What AWS says of a balancer's name
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_CreateLoadBalancer.html>).
fn check_name(name: &At<String>, problems: &mut Diagnostics) {
    let text = name.value.as_str();
    let wrong = if text.is_empty() || text.chars().count() > 32 {
        "a load balancer's name has 1 to 32 characters"
    } else if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        "a load balancer's name has letters, digits and hyphens only"
    } else if text.starts_with('-') || text.ends_with('-') {
        "a load balancer's name has no hyphens at its ends"
    } else {
        return;
    };
    problems.push(Diagnostic::error("name", name.span, wrong));
}
