//! Finding what a template prints, without the engine: its syntax tree is not public.

/// The template with every printed expression handed to a function first.
pub(super) fn wrap_prints(template: &str, function: &str) -> String {
    let mut out = String::with_capacity(template.len() + template.len() / 4);
    let mut rest = template;
    while let Some((at, tag)) = next_tag(rest) {
        let (before, behind) = rest.split_at(at);
        out.push_str(before);
        let length = match tag {
            Tag::Comment => behind.find("#}").map(|end| end + 2),
            Tag::Block => block_end(behind),
            Tag::Print => tag_end(behind, "}}"),
        };
        // A tag without an end is the engine's to report.
        let Some((whole, after)) = length.and_then(|length| behind.split_at_checked(length)) else {
            rest = behind;
            break;
        };
        match tag {
            Tag::Comment | Tag::Block => out.push_str(whole),
            Tag::Print => out.push_str(&wrapped(whole, function)),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What begins a tag.
#[derive(Clone, Copy)]
enum Tag {
    Comment,
    Block,
    Print,
}

fn next_tag(text: &str) -> Option<(usize, Tag)> {
    text.match_indices('{').find_map(|(at, _)| {
        let tag = match text.get(at + 1..at + 2)? {
            "#" => Tag::Comment,
            "%" => Tag::Block,
            "{" => Tag::Print,
            _ => return None,
        };
        Some((at, tag))
    })
}

/// Where a tag ends, strings and brackets in it skipped.
fn tag_end(text: &str, end: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(2) {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, _) if depth == 0 && text.get(at..).is_some_and(|rest| rest.starts_with(end)) => {
                return Some(at + end.len());
            }
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (Some(_) | None, _) => {}
        }
    }
    None
}

/// Where a block tag ends; for `raw` all that it keeps from being read belongs to it.
fn block_end(text: &str) -> Option<usize> {
    let end = tag_end(text, "%}")?;
    let word = |tag: &str| {
        tag.trim_start_matches("{%").trim_end_matches("%}").trim_matches(['-', '+', ' ', '\n', '\t', '\r']).to_owned()
    };
    if text.get(..end).map(word).as_deref() != Some("raw") {
        return Some(end);
    }
    let mut from = end;
    loop {
        let at = from + text.get(from..)?.find("{%")?;
        let length = text.get(at..)?.find("%}")? + 2;
        if text.get(at..at + length).map(word).as_deref() == Some("endraw") {
            return Some(at + length);
        }
        from = at + 2;
    }
}

/// `{{- a -}}` as `{{- function((a)) -}}`.
fn wrapped(tag: &str, function: &str) -> String {
    let inner = tag.get(2..tag.len().saturating_sub(2)).unwrap_or_default();
    let (front, inner) =
        inner.strip_prefix(['-', '+']).map_or(("", inner), |rest| (inner.get(..1).unwrap_or(""), rest));
    let (back, inner) =
        inner.strip_suffix(['-', '+']).map_or(("", inner), |rest| (inner.get(rest.len()..).unwrap_or(""), rest));
    format!("{{{{{front} {function}(({inner})) {back}}}}}")
}

#[cfg(test)]
mod tests {
    use super::wrap_prints;

    #[test]
    fn printed_expressions_are_found() {
        for (template, wanted) in [
            ("a {{ b }} c", "a {{ p(( b )) }} c"),
            ("{{- b -}}", "{{- p(( b )) -}}"),
            ("{{ {\"a\": {\"b\": \"}}\"}} }}x", "{{ p(( {\"a\": {\"b\": \"}}\"}} )) }}x"),
            ("{# {{ a }} #}{% if '{{' %}{{a}}{% endif %}", "{# {{ a }} #}{% if '{{' %}{{ p((a)) }}{% endif %}"),
            ("{% raw %}{{ a }}{% x %}{% endraw %}{{ a }}", "{% raw %}{{ a }}{% x %}{% endraw %}{{ p(( a )) }}"),
            ("{{ 'it\\'s }}' }}{", "{{ p(( 'it\\'s }}' )) }}{"),
            ("{{ a", "{{ a"),
            ("${x} ä {", "${x} ä {"),
        ] {
            assert_eq!(wrap_prints(template, "p"), wanted);
        }
    }
}
