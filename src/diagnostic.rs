//! Problems in what the user wrote: collected, each with its place, never thrown one by one.

use crate::model::tree::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The spec cannot be used.
    Error,
    /// The spec can be used, and probably means something else.
    Warning,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for machines, `unknown-key`.
    pub code: &'static str,
    /// What is wrong: a lower-case fragment without a full stop, literals in backticks.
    pub message: String,
    /// Where; none only for what has no place in a file.
    pub at: Option<Span>,
    /// What to write instead, or to do.
    pub hint: Option<String>,
    /// Other places that belong to it, each with a word on why.
    pub also: Vec<(Span, String)>,
}

impl Diagnostic {
    /// An error at a place.
    #[must_use]
    pub fn error(code: &'static str, at: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), at: Some(at), hint: None, also: Vec::new() }
    }

    /// A warning at a place.
    #[must_use]
    pub fn warning(code: &'static str, at: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, at, message) }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, at: Span, why: impl Into<String>) -> Self {
        self.also.push((at, why.into()));
        self
    }
}

/// All problems found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds an error and gives nothing, so that a decoder can end with it.
    pub fn fail<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.0.push(diagnostic);
        None
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Whether any of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// In the order of the files, errors and warnings together, each once.
    #[must_use]
    pub fn sorted(&self) -> Vec<Diagnostic> {
        let mut all = self.0.clone();
        all.sort_by(|a, b| (a.at, a.severity, a.code, &a.message).cmp(&(b.at, b.severity, b.code, &b.message)));
        all.dedup();
        all
    }

    /// As found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
