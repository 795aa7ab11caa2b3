//! The health check as written: what is left out is as AWS has it.

use schemars::JsonSchema;

use super::super::state::HealthCheck;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::duration::Seconds;
use crate::model::tree::Node;
use crate::resources::decode::{At, Decode, Fields, nearest, within};
use crate::resources::shape;
use crate::resources::values::seconds_within;

/// What AWS does when it is told nothing
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-healthchecks.html>).
const INTERVAL: Seconds = Seconds(30);
const TIMEOUT: Seconds = Seconds(5);
const UNHEALTHY_AFTER: u32 = 2;
const HEALTHY_AFTER: u32 = 10;
/// The longest target
/// (<https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_HealthCheck.html>).
const LONGEST_TARGET: usize = 1024;

/// How it finds out who may be sent traffic.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "health_check", deny_unknown_fields)]
pub(super) struct HealthCheckSpec {
    /// What is asked: `TCP:8000`, `SSL:8443`, `HTTP:8000/path` or `HTTPS:8443/path`.
    #[schemars(with = "Option<TargetShape>")]
    target: Option<At<Target>>,
    /// Between two checks: `5s` to `300s`, `30s` when absent.
    #[schemars(with = "Option<shape::DurationText>")]
    interval: Option<At<Seconds>>,
    /// For an answer: `2s` to `60s` and less than the interval, `5s` when absent.
    #[schemars(with = "Option<shape::DurationText>")]
    timeout: Option<At<Seconds>>,
    /// So many failures in a row take one out of service; 2 when absent.
    #[schemars(range(min = 2, max = 10))]
    unhealthy_after: Option<u32>,
    /// So many successes in a row put one into service; 10 when absent.
    #[schemars(range(min = 2, max = 10))]
    healthy_after: Option<u32>,
}

shape::shapes! {
    /// What a health check asks.
    TargetShape = {
        "type": "string",
        "pattern": "^([Tt][Cc][Pp]|[Ss][Ss][Ll]):[0-9]{1,5}$|^[Hh][Tt][Tt][Pp][Ss]?:[0-9]{1,5}/",
        "maxLength": 1024,
        "description": "`TCP:8000`, `SSL:8443`, `HTTP:8000/path` or `HTTPS:8443/path`"
    };
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// In AWS's spelling.
    text: String,
    /// Which port.
    pub(super) port: u16,
}

impl Decode for Target {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let text = String::decode(node, problems)?;
        match read_target(&text) {
            Ok(target) => Some(target),
            Err((message, hint)) => problems.fail(Diagnostic::error("health-check", node.span, message).hint(hint)),
        }
    }
}

/// Reads a target; what is wrong comes with what to write.
fn read_target(text: &str) -> Result<Target, (String, String)> {
    const SCHEMES: [&str; 4] = ["TCP", "SSL", "HTTP", "HTTPS"];
    const EXAMPLES: &str = "write \"TCP:8000\", \"SSL:8443\", \"HTTP:8000/path\" or \"HTTPS:8443/path\"";
    let no_target = || (format!("`{text}` is no target of a health check"), EXAMPLES.to_owned());
    let (scheme, rest) = text.split_once(':').ok_or_else(no_target)?;
    let scheme = scheme.to_ascii_uppercase();
    if !SCHEMES.contains(&scheme.as_str()) {
        let near = nearest(&scheme, &SCHEMES);
        let hint = near.map_or_else(|| EXAMPLES.to_owned(), |near| format!("did you mean `{near}:{rest}`?"));
        return Err((format!("`{scheme}` is none of {}", SCHEMES.join(", ")), hint));
    }
    let end = rest.find('/').unwrap_or(rest.len());
    let (digits, path) = rest.split_at(end);
    let port = Some(digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let Some(port) = port.and_then(|digits| digits.parse::<u16>().ok()).filter(|port| *port > 0) else {
        return Err((format!("`{digits}` is no port: one is 1 to 65535"), EXAMPLES.to_owned()));
    };
    let reads = scheme.starts_with("HTTP");
    if reads && path.is_empty() {
        return Err((format!("{scheme} asks for a path"), format!("write \"{scheme}:{port}/\"")));
    }
    if !reads && !path.is_empty() {
        return Err((
            format!("{scheme} only connects, and takes no path"),
            format!("write \"{scheme}:{port}\", or ask by HTTP"),
        ));
    }
    if path.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(("a path has no spaces".to_owned(), "write %20 for one".to_owned()));
    }
    let text = format!("{scheme}:{port}{path}");
    if text.encode_utf16().count() > LONGEST_TARGET {
        return Err((format!("a target has at most {LONGEST_TARGET} characters"), "ask for a shorter path".to_owned()));
    }
    Ok(Target { text, port })
}

impl HealthCheckSpec {
    /// Reads it.
    pub(super) fn read(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a health check", problems)?;
        let (every, wait) = (fields.node("interval"), fields.node("timeout"));
        let mut duration = |node: Option<&Node>, what, bounds| {
            let node = node?;
            let value = seconds_within(node, what, bounds, problems)?;
            Some(At { value, span: node.span })
        };
        let interval = duration(every, "the interval of a health check", 5..=300);
        let timeout = duration(wait, "the timeout of a health check", 2..=60);
        let wrong = every.is_some() != interval.is_some() || wait.is_some() != timeout.is_some();
        let mut count = |key| fields.node(key).and_then(|node| within(node, "a number of checks", 2..=10, problems));
        let (unhealthy_after, healthy_after) = (count("unhealthy_after"), count("healthy_after"));
        let target = fields.optional("target", problems);
        fields.finish(problems);
        let spec = Self { target, interval, timeout, unhealthy_after, healthy_after };
        if !wrong {
            spec.check_timeout(problems);
        }
        Some(spec)
    }

    /// AWS wants an answer before it asks again.
    fn check_timeout(&self, problems: &mut Diagnostics) {
        let value = |given: &Option<At<Seconds>>, usual| given.as_ref().map_or(usual, |given| given.value);
        let (interval, timeout) = (value(&self.interval, INTERVAL), value(&self.timeout, TIMEOUT));
        if timeout < interval {
            return;
        }
        let problem = match (&self.timeout, &self.interval) {
            (Some(timeout), _) => Diagnostic::error(
                "out-of-range",
                timeout.span,
                format!("the timeout is not less than the interval of {interval}"),
            )
            .hint("wait shorter, or check less often"),
            (None, Some(interval)) => Diagnostic::error(
                "out-of-range",
                interval.span,
                format!("the interval is not more than the timeout, {TIMEOUT} when absent"),
            )
            .hint("write a shorter `timeout`: 2s at least"),
            (None, None) => return,
        };
        problems.push(problem);
    }

    /// The port it asks, where it says so.
    pub(super) fn target(&self) -> Option<&At<Target>> {
        self.target.as_ref()
    }

    /// In normal form: what is left out is as AWS has it, and asks `first`, the first listener's instance port.
    pub(super) fn lower(&self, first: u16) -> HealthCheck {
        let value = |given: &Option<At<Seconds>>, usual| given.as_ref().map_or(usual, |given| given.value);
        HealthCheck {
            target: self.target.as_ref().map_or_else(|| format!("TCP:{first}"), |target| target.value.text.clone()),
            interval: value(&self.interval, INTERVAL),
            timeout: value(&self.timeout, TIMEOUT),
            unhealthy_after: self.unhealthy_after.unwrap_or(UNHEALTHY_AFTER),
            healthy_after: self.healthy_after.unwrap_or(HEALTHY_AFTER),
        }
    }
}
