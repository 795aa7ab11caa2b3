//! What AWS calls attributes, as written.

use schemars::JsonSchema;

use super::super::state::AccessLog;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::duration::Seconds;
use crate::model::tree::{Node, Value};
use crate::resources::decode::{At, Decode, Fields, by_rule, wrong_type};
use crate::resources::shape;
use crate::resources::values::seconds_within;

shape::shapes! {
    /// How long requests under way may go on.
    DrainingShape = { "type": "string", "pattern": "^([0-9]+[smh]|off)$", "description": "a duration of `1s` to `1h`, or `off`" };
    /// How often an access log is written.
    LogIntervalShape = { "type": "string", "enum": ["5m", "60m", "1h", "300s", "3600s"] };
}

/// How long requests under way may go on when a member leaves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Draining {
    /// So long.
    For(Seconds),
    /// They are cut.
    Off,
}

impl Draining {
    /// What AWS does when it is told to drain, and no more
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-conn-drain.html>).
    pub(super) const USUAL: Self = Self::For(Seconds(300));

    /// In normal form.
    pub(super) const fn seconds(self) -> Option<Seconds> {
        match self {
            Self::For(seconds) => Some(seconds),
            Self::Off => None,
        }
    }
}

impl Decode for Draining {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::String(word) if word.eq_ignore_ascii_case("off") => Some(Self::Off),
            Value::String(word) if word.starts_with(|c: char| c.is_ascii_digit()) => {
                seconds_within(node, "connection draining", 1..=3600, problems).map(Self::For)
            }
            Value::String(word) => problems.fail(
                Diagnostic::error("duration", node.span, format!("`{word}` is no duration"))
                    .hint("write one such as \"300s\", or \"off\""),
            ),
            other => problems.fail(wrong_type(node.span, "a duration or \"off\"", other)),
        }
    }
}

/// Where requests are written down.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "access_log", deny_unknown_fields)]
pub(super) struct AccessLogSpec {
    /// An S3 bucket of the same region, whose policy lets ELB write.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"))]
    bucket: String,
    /// What the names of the log files begin with; nothing when absent.
    prefix: Option<String>,
    /// How often a log file is written: `5m` or `60m` (default).
    #[schemars(with = "Option<LogIntervalShape>")]
    interval: Option<Seconds>,
}

impl AccessLogSpec {
    /// Reads it.
    pub(super) fn read(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "an access log", problems)?;
        let bucket = match fields.node("bucket") {
            Some(node) => by_rule(node, "bucket", bucket_rule, problems),
            None => problems.fail(Diagnostic::error("missing-key", node.span, "an access log needs `bucket`")),
        };
        let prefix = fields.optional("prefix", problems);
        let interval: Option<At<Seconds>> = fields.optional("interval", problems);
        fields.finish(problems);
        if let Some(interval) =
            interval.as_ref().filter(|interval| ![Seconds(300), Seconds(3600)].contains(&interval.value))
        {
            let message = "an access log is written every 5m or 60m";
            problems.push(Diagnostic::error("out-of-range", interval.span, message));
        }
        Some(Self { bucket: bucket?, prefix, interval: interval.map(|interval| interval.value) })
    }

    /// In normal form.
    pub(super) fn lower(&self) -> AccessLog {
        AccessLog {
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone().unwrap_or_default(),
            interval: self.interval.unwrap_or(Seconds(3600)),
        }
    }
}

/// What may be a bucket's name (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
fn bucket_rule(text: &str) -> Result<String, String> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let fits = (3..=63).contains(&text.len())
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
        && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err();
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is no bucket's name: one has 3 to 63 of a-z, 0-9, . and -, a letter or digit at each end"
        ))
    }
}
