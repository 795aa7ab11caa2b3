//! What differs within one change, folded.

use std::fmt::Write;

use super::budget::{Piece, Rank};
use super::escape::{fence, html, line, prose};
use super::{listed, weight};
use crate::report::document::ChangeDoc;
use crate::report::words::{Line, changed_lines, mark, range};
use crate::resources::{Edit, Effect, Field, Impact};

/// The details of members of a group to which the same happens; none where the table says it all.
pub(super) fn piece(change: &ChangeDoc, same: &[ChangeDoc]) -> Option<Piece> {
    let quiet: Vec<&str> =
        change.notes.iter().filter(|note| note.impact == Impact::None).map(|note| note.text.as_str()).collect();
    if change.fields.is_empty() && quiet.is_empty() && change.affected.is_empty() {
        return None;
    }
    let (_, word, _) = mark(change.verb);
    let who = range(&change.address, same.last().map(|last| &last.address), same.len() + 1);
    let mut text = format!("<details><summary>{word} {}", html(&who));
    if let Some(object) = change.object.as_ref().filter(|_| same.is_empty()) {
        let _ = write!(text, " {}", html(object.as_str()));
    }
    text.push_str("</summary>\n\n");
    if !change.fields.is_empty() {
        text.push_str(&fence("diff", &fields(&change.fields)));
        text.push('\n');
    }
    for note in &quiet {
        let _ = writeln!(text, "- note: {}", prose(note));
    }
    if !change.affected.is_empty() {
        let _ = writeln!(text, "- also for {}", listed(&change.affected));
    }
    if !(quiet.is_empty() && change.affected.is_empty()) {
        text.push('\n');
    }
    text.push_str("</details>\n\n");
    let impact = std::iter::once(change).chain(same).map(|change| change.impact).max().unwrap_or_default();
    Some(Piece { rank: Rank::Details(impact, weight(change.verb)), text, count: same.len() + 1 })
}

/// Every difference as lines that come and go.
fn fields(fields: &[Field]) -> String {
    let mut out = String::new();
    let mut last = "";
    for field in fields {
        let Field { name, edit, effect } = field;
        let effect = match effect {
            Effect::InPlace => "",
            Effect::Restart => " (restarts)",
            Effect::Replace => " (replaces)",
        };
        let hidden = if matches!(edit, Edit::Hidden) { " (sensitive, not shown)" } else { "" };
        if name != last {
            let _ = writeln!(out, "  {}:{hidden}{effect}", line(name));
        }
        last = name;
        match edit {
            Edit::Value { before, after } => {
                out.extend(before.iter().map(|text| entry('-', text)));
                out.extend(after.iter().map(|text| entry('+', text)));
            }
            Edit::Added(text) => out.push_str(&entry('+', text)),
            Edit::Removed(text) => out.push_str(&entry('-', text)),
            Edit::Text { before, after } => out.push_str(&lines(before.as_deref(), after.as_deref())),
            Edit::Hidden => {}
        }
    }
    out
}

/// One line behind its mark: a break within it must not begin a line that seems to be ours.
fn entry(mark: char, text: &str) -> String {
    let line = format!("{mark}   {}", line(text));
    format!("{}\n", line.trim_end())
}

/// The lines of a text that differ.
fn lines(before: Option<&str>, after: Option<&str>) -> String {
    let Some(lines) = changed_lines(before, after) else {
        return "    (not text, or it could not be read)\n".to_owned();
    };
    let show = |change: Line| match change {
        Line::Gap => "    …\n".to_owned(),
        Line::Same(text) => entry(' ', &text),
        Line::Added(text) => entry('+', &text),
        Line::Removed(text) => entry('-', &text),
    };
    lines.into_iter().map(show).collect()
}
