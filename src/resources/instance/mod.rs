//! The kind `instance`: one instance, or the members of a group.

pub mod action;
#[cfg(feature = "aws")]
pub mod aws;
mod compare;
mod create;
pub mod diff;
mod flows;
mod permits;
mod place;
pub mod sim;
pub mod spec;
pub mod state;
pub mod user_data;

use super::ImageQuery;

pub use action::Action;
pub use diff::Instance;
pub use state::{Desired, Observed};

/// The tag that holds the query the image was found by.
pub const IMAGE_QUERY: &str = "portcullis:image";
/// The tag that says what a shutdown from inside does, where that is not `stop`.
pub const SHUTDOWN: &str = "portcullis:shutdown";

/// The tag that says whether it was launched to have a public address of its own, where the spec said so: an Elastic IP
/// hides it.
pub const PUBLIC_IP: &str = "portcullis:public-ip";

/// A query as its tag holds it.
#[must_use]
pub fn canonical(query: &ImageQuery) -> String {
    let ImageQuery { name, owner, architecture } = query;
    let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
    format!("{name} owner={} architecture={}", part(owner), part(architecture))
}
