//! `lock`: where the lock of a stack is kept when runners on several machines share it.

use schemars::JsonSchema;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::tree::{Node, Value};
use crate::model::{LeasePlace, Region};
use crate::resources::decode::{Decode, Fields, by_rule};
use crate::resources::shape;
use crate::resources::values::seconds_within;

/// Reads `lock = { s3 = "bucket/prefix" }`.
pub(super) fn read(node: &Node, problems: &mut Diagnostics) -> Option<LeasePlace> {
    if let Value::String(_) = &node.value {
        return problems.fail(
            Diagnostic::error("wrong-type", node.span, "a lock says what keeps it")
                .hint("lock = { s3 = \"bucket/prefix\" }; a lock on this machine alone needs no word in the spec"),
        );
    }
    let mut fields = Fields::of(node, "a lock", problems)?;
    let s3 = if let Some(node) = fields.node("s3") {
        by_rule(node, "lock", LeasePlace::read, problems)
    } else {
        let problem = Diagnostic::error("missing-key", fields.span(), "a lock needs `s3`");
        problems.fail(problem.hint("name a bucket and a prefix: { s3 = \"bucket/prefix\" }"))
    };
    let region = fields.node("region").and_then(|node| Region::decode(node, problems));
    let bounds = LeasePlace::SHORTEST..=LeasePlace::LONGEST;
    let ttl = match fields.node("ttl") {
        Some(node) => seconds_within(node, "the `ttl` of a lock", bounds, problems),
        None => Some(LeasePlace::TTL),
    };
    fields.finish(problems);
    let (bucket, prefix) = s3?;
    Some(LeasePlace { bucket, prefix, region, ttl: ttl? })
}

/// Where the lock is kept.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Lock")]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
pub(super) struct LockShape {
    /// A bucket, and what the names of objects in it begin with: `bucket/prefix`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$"))]
    s3: String,
    /// Where the bucket is; the default region when absent.
    region: Option<shape::RegionText>,
    /// How long the lock of a runner that died holds up the others: 15 seconds to an hour; `60s` when absent.
    ttl: Option<shape::DurationText>,
}
