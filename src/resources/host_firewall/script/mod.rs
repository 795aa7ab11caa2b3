//! What runs on a host: texts of POSIX shell, and what they print, read again.
//!
//! The scripts stand beside this file as they are. What is put into them is quoted by [`quoted`], or stands in a here-document
//! whose end nobody can guess. Each is one function that is called in the last line, so that a script of which only a part
//! arrived does nothing at all.

pub mod change;
pub mod facts;
mod frame;

pub use frame::{Section, Sections};

use crate::model::StackName;

const PRELUDE: &str = include_str!("prelude.sh");
const BOOT: &str = include_str!("boot.sh");
const PLAY: &str = include_str!("play.sh");

/// What makes the texts of one script its own.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// What nobody else knows: it frames what the script prints, and ends its here-documents. Letters and digits alone.
    pub nonce: &'a str,
    /// Whose rules they are.
    pub stack: &'a StackName,
    /// Whether the host is this machine, so that the processes a script comes from may tell how its user is connected.
    pub local: bool,
}

impl Setting<'_> {
    /// The assignments that every script begins with, and what all of them share.
    fn head(&self, more: &[(&str, &str)]) -> String {
        let local = if self.local { "yes" } else { "no" };
        let own = [("NONCE", self.nonce), ("STACK", self.stack.as_str()), ("LOCAL", local)];
        let assigned = own.iter().chain(more).map(|(name, value)| format!("{name}={}\n", quoted(value)));
        assigned.collect::<String>() + PRELUDE
    }
}

/// A text as one word for a POSIX shell (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_02_02>):
/// within single quotes nothing is special but their end.
#[must_use]
pub fn quoted(text: &str) -> String {
    // No word of a command line can hold a NUL, and the shell would leave it out.
    format!("'{}'", text.replace('\0', "").replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    /// What a shell says to a script.
    fn sh(text: &str) -> Vec<u8> {
        let mut child = Command::new("sh").arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_quoted_text_is_one_word(text in "[^\0]{0,40}") {
            prop_assert_eq!(sh(&format!("printf '%s' {}", quoted(&text))), text.into_bytes());
        }
    }

    #[test]
    fn hostile_texts_stay_texts() {
        for text in ["'; reboot; '", "$(id)", "`id`", "a\nb", "\\'", "'", ""] {
            assert_eq!(sh(&format!("printf '%s' {}", quoted(text))), text.as_bytes());
        }
    }
}
