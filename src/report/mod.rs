//! From results to text.

pub mod problems;
pub mod style;
