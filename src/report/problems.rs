//! What is wrong with a spec: for the terminal, as JSON, and as SARIF for code review.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::model::tree::Span;
use crate::spec::Source;

/// Lines shown before and behind what a problem points at.
const AROUND: usize = 1;
/// The most lines of one place that are shown.
const MOST_LINES: usize = 12;

/// A place in lines and columns, both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    line: usize,
    column: usize,
}

/// The documents, with where their lines begin.
struct Files<'a> {
    files: Vec<File<'a>>,
}

struct File<'a> {
    source: &'a Source,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

impl<'a> Files<'a> {
    fn new(sources: &'a [Source]) -> Self {
        let files = sources.iter().map(|source| {
            let breaks = source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
            File { source, lines: std::iter::once(0).chain(breaks).collect() }
        });
        Self { files: files.collect() }
    }

    fn get(&self, span: Span) -> Option<&File<'a>> {
        self.files.get(span.file)
    }
}

impl File<'_> {
    /// The nearest byte at or before `at` where a character begins.
    fn floor(&self, at: usize) -> usize {
        let text = &self.source.text;
        (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    }

    /// The line, from 0, in which a byte is.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }

    fn start_of(&self, line: usize) -> usize {
        self.lines.get(line).copied().unwrap_or(self.source.text.len())
    }

    fn position(&self, at: usize) -> Position {
        let at = self.floor(at);
        let line = self.line(at);
        let before = self.source.text.get(self.start_of(line)..at).unwrap_or_default();
        Position { line: line + 1, column: before.chars().count() + 1 }
    }

    /// The span without the line break at its end, and with at least one character where there is one.
    fn trimmed(&self, span: Span) -> (usize, usize) {
        let start = self.floor(span.start);
        let end = self.floor(span.end).max(start);
        let text = self.source.text.get(start..end).unwrap_or_default();
        (start, start + text.trim_end().len())
    }

    /// The lines around a span: from which one, their text, and the span in it.
    fn excerpt(&self, span: Span) -> (usize, &str, std::ops::Range<usize>) {
        let (start, end) = self.trimmed(span);
        let first = self.line(start).saturating_sub(AROUND);
        let last = self.line(end).min(self.line(start) + MOST_LINES) + AROUND;
        let (from, to) = (self.start_of(first), self.start_of(last + 1));
        let text = self.source.text.get(from..to).unwrap_or_default().trim_end_matches(['\n', '\r']);
        let within = |at: usize| at.saturating_sub(from).min(text.len());
        (first + 1, text, within(start)..within(end))
    }
}

/// How many problems there are of each severity.
fn counts(problems: &[Diagnostic]) -> (usize, usize) {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    (errors, problems.len() - errors)
}

/// `1 problem`, `2 problems`.
fn counted(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// Every problem with its file, line, column and the text it is about, and a last line that counts them.
#[must_use]
pub fn terminal(problems: &Diagnostics, sources: &[Source], colour: bool) -> String {
    let problems = problems.sorted();
    if problems.is_empty() {
        return String::new();
    }
    let files = Files::new(sources);
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for problem in &problems {
        out.push_str(&renderer.render(&[group(problem, &files)]));
        out.push_str("\n\n");
    }
    let last = match counts(&problems) {
        (0, warnings) => format!("warning: {}\n", counted(warnings, "warning")),
        (errors, 0) => format!("error: {}\n", counted(errors, "problem")),
        (errors, warnings) => format!("error: {}, {}\n", counted(errors, "problem"), counted(warnings, "warning")),
    };
    out + &last
}

/// One problem as the renderer wants it.
fn group<'a>(problem: &'a Diagnostic, files: &'a Files<'a>) -> Group<'a> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(problem.message.as_str()).id(problem.code));
    let first = problem.at.map(|span| (span, None));
    let also = problem.also.iter().map(|(span, why)| (*span, Some(why.as_str())));
    for (span, why) in first.into_iter().chain(also) {
        let Some(file) = files.get(span) else { continue };
        let (line, text, within) = file.excerpt(span);
        let kind = if why.is_none() { AnnotationKind::Primary } else { AnnotationKind::Context };
        let snippet = Snippet::source(text)
            .path(file.source.path.as_str())
            .line_start(line)
            .fold(true)
            .annotation(kind.span(within).label(why));
        group = group.element(snippet);
    }
    if let Some(hint) = &problem.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    group
}

/// Every problem as an object of one array.
#[must_use]
pub fn json(problems: &Diagnostics, sources: &[Source]) -> Value {
    let files = Files::new(sources);
    let one = |problem: &Diagnostic| {
        let place = problem.at.and_then(|span| place(span, &files));
        let also: Vec<Value> = problem
            .also
            .iter()
            .filter_map(|(span, why)| {
                let (path, start, end) = place_of(*span, &files)?;
                Some(json!({
                    "file": path, "line": start.line, "column": start.column,
                    "end_line": end.line, "end_column": end.column, "message": why,
                }))
            })
            .collect();
        let mut object = json!({
            "severity": word(problem.severity),
            "code": problem.code,
            "message": problem.message,
            "file": null,
            "line": null,
            "column": null,
            "end_line": null,
            "end_column": null,
            "hint": problem.hint,
            "also": also,
        });
        if let (Some(object), Some(Value::Object(place))) = (object.as_object_mut(), place) {
            object.extend(place);
        }
        object
    };
    Value::Array(problems.sorted().iter().map(one).collect())
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn place_of<'a>(span: Span, files: &Files<'a>) -> Option<(&'a str, Position, Position)> {
    let file = files.get(span)?;
    let (start, end) = file.trimmed(span);
    Some((file.source.path.as_str(), file.position(start), file.position(end)))
}

fn place(span: Span, files: &Files<'_>) -> Option<Value> {
    let (path, start, end) = place_of(span, files)?;
    Some(json!({
        "file": path, "line": start.line, "column": start.column, "end_line": end.line, "end_column": end.column,
    }))
}

/// Every problem as a SARIF 2.1.0 log of one run
/// (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).
#[must_use]
pub fn sarif(problems: &Diagnostics, sources: &[Source]) -> Value {
    let files = Files::new(sources);
    let problems = problems.sorted();
    let mut codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let results: Vec<Value> = problems
        .iter()
        .map(|problem| {
            let text = match &problem.hint {
                Some(hint) => format!("{}\nhint: {hint}", problem.message),
                None => problem.message.clone(),
            };
            let locations: Vec<Value> = problem.at.iter().filter_map(|span| location(*span, None, &files)).collect();
            let related: Vec<Value> =
                problem.also.iter().filter_map(|(span, why)| location(*span, Some(why), &files)).collect();
            json!({
                "ruleId": problem.code,
                "level": word(problem.severity),
                "message": { "text": text },
                "locations": locations,
                "relatedLocations": related,
            })
        })
        .collect();
    let rules: Vec<Value> = codes.iter().map(|code| json!({ "id": code })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "portcullis",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn location(span: Span, why: Option<&str>, files: &Files<'_>) -> Option<Value> {
    let (path, start, end) = place_of(span, files)?;
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(path) },
            "region": {
                "startLine": start.line, "startColumn": start.column,
                "endLine": end.line, "endColumn": end.column,
            },
        },
    });
    if let (Some(object), Some(why)) = (location.as_object_mut(), why) {
        object.insert("message".to_owned(), json!({ "text": why }));
    }
    Some(location)
}

/// A path as a relative URI reference: bytes that a URI cannot hold are percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'\\' => out.push('/'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.extend(format!("%{other:02X}").chars()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Format;

    fn sources(text: &str) -> Vec<Source> {
        vec![Source { path: "a b.toml".to_owned(), text: text.to_owned(), format: Format::Toml }]
    }

    fn at(text: &str, what: &str) -> Span {
        let start = text.find(what).unwrap();
        Span { file: 0, start, end: start + what.len() }
    }

    #[test]
    fn columns_count_characters_and_lines_may_end_in_crlf() {
        let text = "a = 1\r\nname = \"äöü\" # bad\r\n";
        let mut problems = Diagnostics::new();
        problems.push(Diagnostic::error("test", at(text, "# bad"), "is bad").hint("make it good"));
        let json = json(&problems, &sources(text));
        assert_eq!(json[0]["line"], 2);
        assert_eq!(json[0]["column"], 14);
        assert_eq!(json[0]["end_column"], 19);
        let shown = terminal(&problems, &sources(text), false);
        assert!(shown.contains("a b.toml:2:14"), "{shown}");
        assert!(shown.contains("= help: make it good"), "{shown}");
        assert!(shown.ends_with("error: 1 problem\n"), "{shown}");
        let sarif = sarif(&problems, &sources(text));
        assert_eq!(
            sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "a%20b.toml"
        );
    }

    #[test]
    fn spans_at_odd_places_do_not_panic() {
        let text = "ä = \"ö\"\n";
        for start in 0..=text.len() + 2 {
            for end in start..=text.len() + 2 {
                let mut problems = Diagnostics::new();
                problems.push(
                    Diagnostic::warning("test", Span { file: 0, start, end }, "odd")
                        .also(Span { file: 7, start, end }, "none"),
                );
                let _ = (
                    terminal(&problems, &sources(text), true),
                    json(&problems, &sources(text)),
                    sarif(&problems, &sources(text)),
                );
            }
        }
        let mut problems = Diagnostics::new();
        problems.push(Diagnostic::error("test", Span { file: 0, start: 0, end: 0 }, "empty"));
        let _ = terminal(&problems, &sources(""), false);
    }

    #[test]
    fn only_lines_near_the_problem_are_shown() {
        let text = format!("{}bad = 1\n{}", "ok = 1\n".repeat(5000), "ok = 2\n".repeat(5000));
        let mut problems = Diagnostics::new();
        problems.push(Diagnostic::error("test", at(&text, "bad"), "is bad"));
        let shown = terminal(&problems, &sources(&text), false);
        assert!(shown.contains(":5001:1"), "{shown}");
        assert!(shown.lines().count() < 12, "{shown}");
    }
}
