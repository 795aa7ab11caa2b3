//! From the text of a spec to what is desired: read, merged, resolved and checked, with every problem found at once.
//!
//! Nothing here opens a file, reads the environment or a clock: [`Files`] and [`Environment`] give what a spec names.

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod balancer_tests;
#[cfg(test)]
mod host_firewall_tests;
mod lint;
pub mod read;
mod resolve;
mod schema;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;

use crate::diagnostic::Diagnostics;
use crate::model::Region;

pub use crate::resources::stack::Stack;
pub use read::{Format, Source, read};
pub use resolve::resolve;
pub use schema::schema;

/// The code of the problem that a resource has no region, which a caller's profile may solve.
pub const NO_REGION: &str = "no-region";

/// What a spec may ask for from outside.
pub struct Inputs<'a> {
    /// The files it names.
    pub files: &'a dyn Files,
    /// The variables it names.
    pub environment: &'a dyn Environment,
    /// The region that applies where the spec names none, as the caller's profile says.
    pub region: Option<Region>,
}

/// Files that a spec names.
pub trait Files {
    /// The bytes of a file, its path relative to the document that names it.
    ///
    /// # Errors
    /// Why it cannot be read, or may not be, in words.
    fn read(&self, from_source: usize, path: &str) -> Result<Vec<u8>, String>;
}

/// Variables that a spec names.
pub trait Environment {
    /// The value of a variable, if it is set.
    fn variable(&self, name: &str) -> Option<String>;
}

/// Reads, merges and resolves documents. There is a stack only when nothing is wrong; warnings stand beside it.
#[must_use]
pub fn load(sources: &[Source], inputs: &Inputs<'_>) -> (Option<Stack>, Diagnostics) {
    let (root, mut problems) = read(sources);
    let Some(root) = root else { return (None, problems) };
    let (stack, more) = resolve(&root, inputs);
    problems.extend(more);
    (stack, problems)
}
