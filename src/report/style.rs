//! Colour, which only ever repeats what a word says.

/// Whether output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Plain text.
    Plain,
    /// With ANSI colours.
    Colour,
}

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Something comes.
    Good,
    /// Something goes or breaks.
    Bad,
    /// Something changes.
    Change,
    /// A heading.
    Strong,
    /// Less important.
    Faint,
}

impl Style {
    /// A text in a colour.
    #[must_use]
    pub fn paint(self, ink: Ink, text: &str) -> String {
        let code = match (self, ink) {
            (Self::Plain, _) => return text.to_owned(),
            (Self::Colour, Ink::Good) => "32",
            (Self::Colour, Ink::Bad) => "31",
            (Self::Colour, Ink::Change) => "33",
            (Self::Colour, Ink::Strong) => "1",
            (Self::Colour, Ink::Faint) => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Text from the world, which may hold what others wrote: control characters are shown, never sent to the terminal.
#[must_use]
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() || is_bidirectional(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Characters that turn the reading order round (Unicode, bidirectional formatting): they could make a plan read as
/// another.
const fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}
