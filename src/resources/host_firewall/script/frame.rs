//! What a script printed, by its sections.

use std::collections::BTreeMap;

/// What one part of a script printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// The text; what is no UTF-8 is replaced.
    pub text: String,
    /// What it ended with.
    pub code: i32,
}

/// The sections of what a script printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections(BTreeMap<String, Section>);

impl Sections {
    /// Reads what a script printed, whatever a login printed before.
    ///
    /// # Errors
    /// When it did not come to its end.
    pub fn read(printed: &[u8], nonce: &str) -> Result<Self, String> {
        let text = String::from_utf8_lossy(printed);
        let mark = format!("\n@@{nonce} ");
        // What a profile prints may lack the end of its last line; every mark brings its own beginning of a line.
        let mut parts = text.split(mark.as_str());
        let _banner = parts.next();
        let (mut sections, mut open, mut whole) = (BTreeMap::new(), None::<(String, String)>, false);
        for part in parts {
            let (order, rest) = part.split_once('\n').unwrap_or((part, ""));
            match order.split_once(' ') {
                Some(("begin", name)) => open = Some((name.to_owned(), rest.to_owned())),
                Some(("end", code)) => {
                    let (name, text) = open.take().ok_or_else(|| "a part ended that had not begun".to_owned())?;
                    let code = code.trim().parse().map_err(|_| format!("`{code}` is no exit code"))?;
                    sections.insert(name, Section { text, code });
                }
                _ if order.trim() == "done" => whole = true,
                _ => return Err(format!("`{order}` is not understood")),
            }
        }
        if whole { Ok(Self(sections)) } else { Err("the script did not come to its end".to_owned()) }
    }

    /// A section, unless the host had nothing to say.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Section> {
        self.0.get(name)
    }

    /// The text of a section whose commands went well.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|section| section.code == 0).map(|section| section.text.as_str())
    }

    /// The `key=value` lines of a section; of one key the first counts.
    #[must_use]
    pub fn pairs(&self, name: &str) -> BTreeMap<&str, &str> {
        let lines = self.get(name).map(|section| section.text.lines()).into_iter().flatten();
        let mut pairs = BTreeMap::new();
        for (key, value) in lines.filter_map(|line| line.split_once('=')) {
            pairs.entry(key).or_insert(value);
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_and_what_others_print_are_no_sections() {
        let printed =
            b"Welcome!\n@@guess begin x\nmotd without an end\n@@n0 begin a\nk=v\nk=w\n@@other end 0\n\n@@n0 end 0\n\
            \n@@n0 begin b\n\n@@n0 end 3\n\n@@n0 done\n";
        let sections = Sections::read(printed, "n0").unwrap();
        assert_eq!(sections.pairs("a").get("k"), Some(&"v"));
        assert_eq!(sections.text("a"), Some("k=v\nk=w\n@@other end 0\n"));
        assert_eq!(sections.get("b").map(|b| b.code), Some(3));
        assert_eq!(sections.text("b"), None);
        assert_eq!(sections.get("x"), None);
    }

    #[test]
    fn half_an_answer_is_none() {
        assert!(Sections::read(b"\n@@n0 begin a\nk=v\n\n@@n0 end 0\n", "n0").is_err());
        assert!(Sections::read(b"", "n0").is_err());
        assert!(Sections::read(b"Permission denied\n", "n0").is_err());
    }
}
