//! Durations and sizes as a spec writes them: `"30s"`, `"20GiB"`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A span of whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seconds(pub u64);

impl Seconds {
    /// Reads `"90s"`, `"5m"`, `"2h"`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "" | "ms" | "d" => return Err("a duration has a unit: s, m or h, as in \"30s\"".to_owned()),
            other => return Err(format!("`{other}` is not a unit of time: s, m or h")),
        };
        let number: u64 =
            digits.parse().map_err(|_| "a duration is a whole number and a unit, as in \"30s\"".to_owned())?;
        number.checked_mul(factor).map(Self).ok_or_else(|| "that is too long".to_owned())
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s > 0 && s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s > 0 && s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

/// A size in whole gibibytes, the unit of EBS volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Gibibytes(pub u32);

impl Gibibytes {
    /// Reads `"20GiB"` or `"2TiB"`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let factor = match unit {
            "GiB" => 1,
            "TiB" => 1024,
            "GB" | "G" | "gb" | "gib" => return Err("volumes are measured in GiB: write \"20GiB\"".to_owned()),
            _ => return Err("a size is a whole number and GiB or TiB, as in \"20GiB\"".to_owned()),
        };
        let number: u32 =
            digits.parse().map_err(|_| "a size is a whole number and GiB or TiB, as in \"20GiB\"".to_owned())?;
        number.checked_mul(factor).map(Self).ok_or_else(|| "that is too large".to_owned())
    }
}

impl fmt::Display for Gibibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}GiB", self.0)
    }
}
