//! Listeners as written: what comes in, and where it goes.

use schemars::JsonSchema;

use super::super::state::{Listener, Protocol, Stickiness};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::duration::Seconds;
use crate::model::tree::{Node, Span, Value};
use crate::resources::decode::{At, Decode, Fields, by_rule, one_of, within, wrong_type};
use crate::resources::shape;
use crate::resources::spec::Lowering;

/// The quota of listeners a balancer
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-limits.html>).
const MOST_LISTENERS: usize = 100;

/// Listeners as written.
#[derive(Debug)]
pub(super) struct Listeners {
    /// Those that could be read, in the order written.
    pub(super) list: Vec<ListenerSpec>,
    /// Whether that is all of them.
    whole: bool,
}

/// A port that it listens to.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "listener", deny_unknown_fields)]
pub(super) struct ListenerSpec {
    /// The port that clients connect to.
    #[schemars(with = "u16", range(min = 1, max = 65535))]
    pub(super) port: At<Port>,
    /// What clients speak.
    #[schemars(with = "ListenerProtocolShape")]
    pub(super) protocol: At<Protocol>,
    /// The port that instances listen to.
    #[schemars(with = "u16", range(min = 1, max = 65535))]
    pub(super) instance_port: At<Port>,
    /// What instances are spoken to in: http for http and https, tcp for tcp and ssl when absent.
    #[schemars(with = "Option<ListenerProtocolShape>")]
    instance_protocol: Option<At<Protocol>>,
    /// The ARN of a certificate of ACM or IAM; for https and ssl.
    #[schemars(with = "Option<String>", regex(pattern = r"^arn:aws[a-z-]*:(acm|iam):"))]
    certificate: Option<At<Certificate>>,
    /// The security policy; AWS's default when absent. For https and ssl only.
    #[schemars(with = "Option<PolicyShape>")]
    ssl_policy: Option<At<Policy>>,
    /// How a client comes back to the same instance; for http and https only.
    #[schemars(with = "Option<StickinessShape>")]
    stickiness: Option<At<Stickiness>>,
}

shape::shapes! {
    /// What is spoken, in any case.
    ListenerProtocolShape = {
        "description": "http, https, tcp or ssl, in any case",
        "anyOf": [
            { "type": "string", "enum": ["http", "https", "tcp", "ssl"] },
            { "type": "string", "pattern": "^([Hh][Tt][Tt][Pp][Ss]?|[Tt][Cc][Pp]|[Ss][Ss][Ll])$" }
        ]
    };
    /// A security policy.
    PolicyShape = { "type": "string", "enum": POLICIES };
    /// How a client comes back.
    StickinessShape = {
        "description": "by a cookie of the balancer's for so long, or by a cookie of the application's",
        "anyOf": [
            {
                "type": "object",
                "properties": { "duration": { "type": "string", "pattern": "^[0-9]+[smh]$", "description": "for how long" } },
                "required": ["duration"],
                "additionalProperties": false
            },
            {
                "type": "object",
                "properties": { "cookie": { "type": "string", "minLength": 1, "description": "the name of the application's cookie" } },
                "required": ["cookie"],
                "additionalProperties": false
            }
        ]
    };
}

/// A port, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Port(pub(super) u16);

impl Decode for Port {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        within(node, "a port", 1..=65_535, problems).map(Self)
    }
}

impl Decode for Protocol {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let words = [Self::Http, Self::Https, Self::Tcp, Self::Ssl].map(|protocol| (protocol.word(), protocol));
        one_of(node, &words, problems)
    }
}

/// The ARN of a certificate.
#[derive(Debug, Clone)]
struct Certificate(String);

impl Decode for Certificate {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let text = String::decode(node, problems)?;
        if is_certificate(&text) {
            return Some(Self(text));
        }
        problems.fail(
            Diagnostic::error("certificate", node.span, format!("`{text}` is no certificate's ARN")).hint(
                "write arn:aws:acm:REGION:123456789012:certificate/ID, or arn:aws:iam::123456789012:server-certificate/NAME",
            ),
        )
    }
}

/// The forms of an ARN that name a certificate
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/ssl-server-cert.html>).
fn is_certificate(text: &str) -> bool {
    let is_account = |account: &str| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_id = |rest: &str, sort: &str| {
        rest.strip_prefix(sort).is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_graphic()))
    };
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, rest] = parts.as_slice() else { return false };
    partition.starts_with("aws")
        && is_account(account)
        && match *service {
            "acm" => !region.is_empty() && is_id(rest, "certificate/"),
            "iam" => region.is_empty() && is_id(rest, "server-certificate/"),
            _ => false,
        }
}

/// A security policy of AWS's.
#[derive(Debug, Clone, Copy)]
struct Policy(&'static str);

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-security-policy-table.html>
const POLICIES: [&str; 9] = [
    "ELBSecurityPolicy-TLS-1-2-2017-01",
    "ELBSecurityPolicy-TLS-1-1-2017-01",
    "ELBSecurityPolicy-2016-08",
    "ELBSecurityPolicy-2015-05",
    "ELBSecurityPolicy-2015-03",
    "ELBSecurityPolicy-2015-02",
    "ELBSecurityPolicy-2014-10",
    "ELBSecurityPolicy-2014-01",
    "ELBSecurityPolicy-2011-08",
];

impl Decode for Policy {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        one_of(node, &POLICIES.map(|policy| (policy, policy)), problems).map(Self)
    }
}

impl Decode for Stickiness {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "stickiness", problems)?;
        let (duration, cookie) = (fields.node("duration"), fields.node("cookie"));
        fields.finish(problems);
        match (duration, cookie) {
            (Some(_), Some(_)) => problems.fail(
                Diagnostic::error("combination", node.span, "stickiness is one of `duration` and `cookie`")
                    .hint("keep `cookie` where the application sets one"),
            ),
            (None, None) => {
                let message = "stickiness needs one of `duration` and `cookie`";
                problems.fail(Diagnostic::error("missing-key", node.span, message))
            }
            (None, Some(cookie)) => by_rule(cookie, "cookie", cookie_rule, problems).map(Self::Cookie),
            (Some(duration), None) => match Seconds::decode(duration, problems)? {
                Seconds(0) => {
                    problems.fail(Diagnostic::error("out-of-range", duration.span, "stickiness lasts 1s at least"))
                }
                seconds => Some(Self::Duration(seconds)),
            },
        }
    }
}

/// What may be a cookie's name (<https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1>).
fn cookie_rule(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b);
    match text {
        "" => Err("a cookie needs a name".to_owned()),
        text if text.bytes().all(fits) => Ok(text.to_owned()),
        text => Err(format!("`{text}` is no cookie's name")),
    }
}

impl Decode for ListenerSpec {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a listener", problems)?;
        let port = fields.required("port", problems);
        let protocol = fields.required("protocol", problems);
        let instance_port = fields.required("instance_port", problems);
        let instance_protocol = fields.optional("instance_protocol", problems);
        let certificate = fields.node("certificate");
        let certified = certificate.map(|node| node.span);
        let certificate = certificate.and_then(|node| At::decode(node, problems));
        let ssl_policy = fields.optional("ssl_policy", problems);
        let stickiness = fields.optional("stickiness", problems);
        fields.finish(problems);
        let listener = Self {
            port: port?,
            protocol: protocol?,
            instance_port: instance_port?,
            instance_protocol,
            certificate,
            ssl_policy,
            stickiness,
        };
        listener.check_secure(certified, node.span, problems);
        listener.check_layer(problems);
        Some(listener)
    }
}

impl ListenerSpec {
    /// A certificate is for TLS that ends at the balancer, and needed there. AWS drops one of another listener in silence.
    fn check_secure(&self, certified: Option<Span>, at: Span, problems: &mut Diagnostics) {
        let word = self.protocol.value.word();
        if self.protocol.value.is_secure() {
            if certified.is_none() {
                problems.push(
                    Diagnostic::error("missing-key", at, format!("an {word} listener needs `certificate`"))
                        .hint("give the ARN of one of ACM or IAM: certificate = \"arn:aws:acm:…\""),
                );
            }
            return;
        }
        let secure = if self.protocol.value.is_http() { "https" } else { "ssl" };
        let policy = self.ssl_policy.as_ref().map(|policy| policy.span);
        for (key, span) in [("certificate", certified), ("ssl_policy", policy)] {
            if let Some(span) = span {
                problems.push(
                    Diagnostic::error("combination", span, format!("`{key}` is for https and ssl, not for {word}"))
                        .hint(format!("write `protocol = \"{secure}\"`, or leave it out"))
                        .also(self.protocol.span, "the protocol"),
                );
            }
        }
    }

    /// Both sides read what passes, or neither does; only one that reads knows cookies
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-listener-config.html>).
    fn check_layer(&self, problems: &mut Diagnostics) {
        let front = self.protocol.value;
        if let Some(back) = self.instance_protocol.as_ref().filter(|back| back.value.is_http() != front.is_http()) {
            let (plain, secure) = if front.is_http() { ("http", "https") } else { ("tcp", "ssl") };
            let message = format!(
                "behind {} instances are spoken to in {plain} or {secure}, not {}",
                front.word(),
                back.value.word()
            );
            problems.push(
                Diagnostic::error("combination", back.span, message)
                    .hint("leave it out, or change `protocol`")
                    .also(self.protocol.span, "the protocol"),
            );
        }
        if let Some(stickiness) = self.stickiness.as_ref().filter(|_| !front.is_http()) {
            let message = format!("`stickiness` is for http and https, not for {}", front.word());
            problems.push(
                Diagnostic::error("combination", stickiness.span, message)
                    .hint("a balancer that passes bytes sees no cookies: leave it out, or change `protocol`")
                    .also(self.protocol.span, "the protocol"),
            );
        }
    }

    /// In normal form; refuses a certificate of another region, which the balancer cannot see.
    pub(super) fn lower(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Listener {
        if let Some(certificate) = &self.certificate {
            let region = certificate.value.0.split(':').nth(3).unwrap_or_default();
            if !region.is_empty() && region != cx.region.as_str() {
                let message = format!("this certificate is in {region}, and the balancer in {}", cx.region);
                let problem = Diagnostic::error("other-region", certificate.span, message);
                problems.push(problem.hint(format!("ask ACM for one in {}", cx.region)));
            }
        }
        let plain = if self.protocol.value.is_http() { Protocol::Http } else { Protocol::Tcp };
        Listener {
            protocol: self.protocol.value,
            instance_port: self.instance_port.value.0,
            instance_protocol: self.instance_protocol.as_ref().map_or(plain, |protocol| protocol.value),
            certificate: self.certificate.as_ref().map(|certificate| certificate.value.0.clone()),
            ssl_policy: self.ssl_policy.as_ref().map(|policy| policy.value.0.to_owned()),
            stickiness: self.stickiness.as_ref().map(|stickiness| stickiness.value.clone()),
        }
    }
}

impl Decode for Listeners {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let Value::Array(items) = &node.value else {
            return problems.fail(wrong_type(node.span, "a list of listeners", &node.value));
        };
        if items.is_empty() {
            let problem = Diagnostic::error("empty", node.span, "a load balancer has at least one listener");
            let example = "{ port = 80, protocol = \"http\", instance_port = 8000 }";
            return problems.fail(problem.hint(format!("one is like {example}")));
        }
        if items.len() > MOST_LISTENERS {
            let message = format!("a load balancer has at most {MOST_LISTENERS} listeners");
            problems.push(Diagnostic::error("too-many", node.span, message));
        }
        let list: Vec<ListenerSpec> = items.iter().filter_map(|item| ListenerSpec::decode(item, problems)).collect();
        for (at, listener) in list.iter().enumerate() {
            if let Some(first) = list.iter().take(at).find(|before| before.port.value == listener.port.value) {
                let message = format!("port {} has a listener already", listener.port.value.0);
                problems.push(Diagnostic::error("twice", listener.port.span, message).also(first.port.span, "here"));
            }
        }
        Some(Self { whole: list.len() == items.len(), list })
    }
}

impl Listeners {
    /// Who sends to an instance port.
    pub(super) fn to(&self, port: u16) -> impl Iterator<Item = &ListenerSpec> {
        self.list.iter().filter(move |listener| listener.instance_port.value.0 == port)
    }

    /// Whether no listener sends to an instance port; not where one could not be read, which might.
    pub(super) fn none_to(&self, port: u16) -> bool {
        self.whole && self.to(port).next().is_none()
    }

    /// Every instance port, once.
    pub(super) fn instance_ports(&self) -> String {
        let mut ports: Vec<u16> = self.list.iter().map(|listener| listener.instance_port.value.0).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// A port of the proxy protocol is one that bytes are sent to
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/enable-proxy-protocol.html>).
    pub(super) fn check_proxied(&self, port: &At<Port>, problems: &mut Diagnostics) {
        let number = port.value.0;
        if self.none_to(number) {
            problems.push(
                Diagnostic::error("proxy-protocol", port.span, format!("no listener sends to instance port {number}"))
                    .hint(format!("listeners send to {}", self.instance_ports())),
            );
        } else if let Some(first) = self.to(number).next()
            && self.to(number).all(|listener| listener.protocol.value.is_http())
        {
            let word = first.protocol.value.word();
            problems.push(
                Diagnostic::error(
                    "proxy-protocol",
                    port.span,
                    format!("the proxy protocol is for tcp and ssl, and {number} is sent {word}"),
                )
                .hint("leave it out: instances find the client's address in `X-Forwarded-For`")
                .also(first.protocol.span, "the listener"),
            );
        }
    }
}
