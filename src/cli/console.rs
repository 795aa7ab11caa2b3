//! The one door to standard output and error: results on the first, talk on the second.

use std::io::{BufRead, IsTerminal, Write};

use super::args::Colour;
use super::exit::Exit;
use crate::port::ProviderError;
use crate::report::outcome;
use crate::report::style::{Ink, Style};

/// Where a command speaks.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    out: Style,
    err: Style,
}

impl Console {
    /// A console that colours as asked: by itself only on a terminal, and never under `NO_COLOR`
    /// (<https://no-color.org>).
    #[must_use]
    pub fn new(colour: Colour) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = |terminal: bool| match colour {
            Colour::Always => Style::Colour,
            Colour::Auto if terminal && !plain => Style::Colour,
            Colour::Auto | Colour::Never => Style::Plain,
        };
        Self { out: style(std::io::stdout().is_terminal()), err: style(std::io::stderr().is_terminal()) }
    }

    /// How standard output is coloured.
    #[must_use]
    pub const fn style(&self) -> Style {
        self.out
    }

    /// How standard error is coloured.
    #[must_use]
    pub const fn talk_style(&self) -> Style {
        self.err
    }

    /// Writes a result. A reader that went away (`| head`) is no fault.
    pub fn result(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes a line of talk.
    pub fn talk(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "{text}");
    }

    /// Says what went wrong, and what to do about it.
    pub fn complain(&self, message: &str, hint: Option<&str>) {
        self.talk(&format!("{} {message}", self.err.paint(Ink::Bad, "error:")));
        if let Some(hint) = hint {
            self.talk(&format!("  hint: {hint}"));
        }
    }

    /// As [`Console::complain`], and gives the exit that follows.
    #[must_use]
    pub fn error(&self, message: &str, hint: Option<&str>) -> Exit {
        self.complain(message, hint);
        Exit::Error
    }

    /// Says what the world answered.
    pub fn refused(&self, error: &ProviderError) {
        let text = outcome::problem(error, 0);
        self.talk(&format!("{} {text}", self.err.paint(Ink::Bad, "error:")));
    }

    /// As [`Console::refused`], and gives the exit that follows.
    #[must_use]
    pub fn provider_error(&self, error: &ProviderError) -> Exit {
        self.refused(error);
        Exit::Error
    }

    /// Whether somebody can be asked.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    /// Asks, and gives what was answered; nothing when the input ended.
    #[must_use]
    pub fn ask(&self, question: &str) -> Option<String> {
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{question} ").and_then(|()| err.flush());
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer).ok()?;
        (read > 0).then(|| answer.trim().to_owned())
    }
}
