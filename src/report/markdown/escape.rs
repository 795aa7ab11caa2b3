//! Text that others wrote, made to stay text on a page of GitHub's Markdown (<https://github.github.com/gfm/>): it ends no
//! code span, table cell, fence or HTML element, and calls nobody.

use std::fmt::Write;

use super::super::style::safe;

/// A character of no width: `@` and `#` with one behind them call nobody and link nowhere. GitHub looks for mentions after
/// it has decoded entities, so that an entity for the sign itself would not do.
const NOTHING: &str = "&#8203;";

/// A text on one line, its breaks shown.
pub(super) fn line(text: &str) -> String {
    let shown = |c| match c {
        '\n' | '\u{2028}' | '\u{2029}' => '↵',
        '\t' => ' ',
        c => c,
    };
    safe(&text.replace("\r\n", "\n")).chars().map(shown).collect()
}

/// A text as code within a line, also in the cell of a table.
pub(super) fn code(text: &str) -> String {
    let line = line(text);
    let plain = !line.is_empty() && line.trim() == line && !line.contains(['`', '|', '\\']);
    if plain { format!("`{line}`") } else { format!("<code>{}</code>", entities(&line)) }
}

/// Every sign that may mean something as an entity, which never does
/// (<https://github.github.com/gfm/#entity-and-numeric-character-references>).
fn entities(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_ascii_punctuation() && !matches!(c, '-' | '/' | ',' | '=' | '(' | ')' | '%') {
            let _ = write!(out, "&#{};", u32::from(c));
            // An address is found after entities are decoded, and would become a link.
            out.push_str(if c == '@' { NOTHING } else { "" });
        } else {
            out.push(c);
        }
    }
    out
}

/// A text as code within HTML, where Markdown is not read.
pub(super) fn html(text: &str) -> String {
    let mut out = String::from("<code>");
    for c in line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out + "</code>"
}

/// A sentence within a line: what stands between two backticks is code, all else is text. Something else must stand before
/// it on its line, or it could begin a list or a heading.
pub(super) fn prose(text: &str) -> String {
    let line = line(&text.replace("\r\n", "\n").replace('\n', " "));
    let parts: Vec<&str> = line.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return words(&line);
    }
    let turn = |(number, part): (usize, &&str)| if number.is_multiple_of(2) { words(part) } else { code(part) };
    parts.iter().enumerate().map(turn).collect()
}

fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut behind = text;
    while let Some(c) = behind.chars().next() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' => out.push_str("&#124;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '$' | '!' => out.extend(['\\', c]),
            '@' | '#' => {
                out.push(c);
                out.push_str(NOTHING);
            }
            // What looks like a link is none: a plan is no place to be led elsewhere from.
            ':' if behind.starts_with("://") => {
                out.push(c);
                out.push_str(NOTHING);
            }
            'w' | 'W' if behind.get(..4).is_some_and(|four| four.eq_ignore_ascii_case("www.")) => {
                out.push(c);
                out.push_str(NOTHING);
            }
            c => out.push(c),
        }
        behind = behind.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

/// Lines between two fences that none of them can close.
pub(super) fn fence(language: &str, lines: &str) -> String {
    let longest = lines.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let ticks = "`".repeat(longest.max(2) + 1);
    format!("{ticks}{language}\n{}\n{ticks}\n", lines.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_a_span_where_it_can_be_and_entities_where_not() {
        for (text, expected) in [
            ("instance.web-0", "`instance.web-0`"),
            ("<b>@octocat #1", "`<b>@octocat #1`"),
            ("a`b", "<code>a&#96;b</code>"),
            ("a | b", "<code>a &#124; b</code>"),
            ("a\\", "<code>a&#92;</code>"),
            (" a", "<code> a</code>"),
            ("", "<code></code>"),
            ("`</code>@octocat", "<code>&#96;&#60;/code&#62;&#64;&#8203;octocat</code>"),
            ("one\r\ntwo\tthree\rfour", "`one↵two three\u{fffd}four`"),
            ("a\u{202e}b\u{1b}[31m", "`a\u{fffd}b\u{fffd}[31m`"),
        ] {
            assert_eq!(code(text), expected);
        }
    }

    #[test]
    fn prose_is_text_but_for_what_backticks_hold() {
        for (text, expected) in [
            ("set `min_healthy = 1` first", "set `min_healthy = 1` first"),
            ("a `b|c` d", "a <code>b&#124;c</code> d"),
            ("an odd ` one", "an odd \\` one"),
            ("*b* _i_ ~s~ [l](u) ![p](u)", "\\*b\\* \\_i\\_ \\~s\\~ \\[l\\](u) \\!\\[p\\](u)"),
            ("</details><script> & | \\", "&lt;/details&gt;&lt;script&gt; &amp; &#124; \\\\"),
            ("@octocat, see #1", "@&#8203;octocat, see #&#8203;1"),
            ("http://evil.example or WWW.evil.example", "http:&#8203;//evil.example or W&#8203;WW.evil.example"),
            ("one\n# two\n\n- three", "one #&#8203; two  - three"),
        ] {
            assert_eq!(prose(text), expected);
        }
    }

    #[test]
    fn html_ends_no_element() {
        assert_eq!(
            html("a</code></summary>\n\n# b & \"c\""),
            "<code>a&lt;/code&gt;&lt;/summary&gt;↵↵# b &amp; &quot;c&quot;</code>"
        );
    }

    #[test]
    fn a_fence_is_longer_than_any_in_it() {
        assert_eq!(fence("diff", "+ a\n"), "```diff\n+ a\n```\n");
        assert_eq!(fence("", "```\n````\n```"), "`````\n```\n````\n```\n`````\n");
    }
}
