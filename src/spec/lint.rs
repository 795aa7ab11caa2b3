//! Warnings about a spec as a whole; what can be said of one resource alone, its column says.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::tree::Span;
use crate::model::{Kind, Name};
use crate::resources::registry;

/// Warns of what is made and used by nothing.
pub(super) fn lint(
    resources: &[(Kind, &Name, Span)],
    is_used: impl Fn(Kind, &Name) -> bool,
    problems: &mut Diagnostics,
) {
    for (kind, name, at) in resources {
        if registry::for_others(*kind) && !is_used(*kind, name) {
            problems.push(
                Diagnostic::warning("unused", *at, format!("nothing in the spec uses `{kind}.{name}`"))
                    .hint("take it out, unless something outside the spec uses it"),
            );
        }
    }
}
