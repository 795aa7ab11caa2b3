//! From results to text: one document per result, and renderers that see nothing else.
//!
//! Pure: no renderer prints, reads a clock or asks for the terminal's width.

pub mod document;
pub mod edges;
pub mod lock;
pub mod markdown;
pub mod outcome;
pub mod problems;
mod rehearsal;
pub mod restore;
pub mod snapshot;
pub mod style;
pub mod terminal;
mod words;
