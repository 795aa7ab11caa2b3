//! Where a stack's lock is kept when runners on several machines share it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Region;
use super::duration::Seconds;

/// `lock = { s3 = "bucket/prefix" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeasePlace {
    /// The bucket.
    pub bucket: String,
    /// What the names of its objects begin with, without a slash at either end; empty for none.
    pub prefix: String,
    /// Where the bucket is; the default region when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// How long a lease holds that nobody renews.
    pub ttl: Seconds,
}

impl LeasePlace {
    /// How long a lease holds when the spec does not say.
    pub const TTL: Seconds = Seconds(60);
    /// The shortest: its margins are seconds, and clocks of servers are told in whole ones.
    pub const SHORTEST: u64 = 15;
    /// The longest: whoever comes after a crash waits for it.
    pub const LONGEST: u64 = 3600;

    /// Reads `"bucket/prefix"`: gives bucket and prefix.
    ///
    /// Names of buckets: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>; characters that are safe in
    /// names of objects: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(text: &str) -> Result<(String, String), String> {
        if text.contains("://") {
            return Err("write the bucket and a prefix alone: \"bucket/prefix\"".to_owned());
        }
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let well = (3..=63).contains(&bucket.len()) && bucket.chars().all(inside);
        if !well || !end(bucket.chars().next()) || !end(bucket.chars().next_back()) || bucket.contains("..") {
            let rule = "3 to 63 of a-z, 0-9, - and ., with a letter or a digit at either end";
            return Err(format!("`{bucket}` is no name of a bucket: {rule}"));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let safe = |c: char| c.is_ascii_alphanumeric() || "!_.*'()-".contains(c);
        let segment = |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(safe);
        if prefix.len() > 512 || !(prefix.is_empty() || prefix.split('/').all(segment)) {
            let rule = "at most 512 of A-Z, a-z, 0-9 and !_.*'()-, in parts between single slashes";
            return Err(format!("`{prefix}` cannot begin the names of objects: {rule}"));
        }
        Ok((bucket.to_owned(), prefix.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::LeasePlace;

    #[test]
    fn places_are_read() {
        let good = |text: &str| LeasePlace::read(text).map(|(bucket, prefix)| format!("{bucket} {prefix}"));
        assert_eq!(good("locks/shop/prod"), Ok("locks shop/prod".to_owned()));
        assert_eq!(good("my.bucket-1/a/"), Ok("my.bucket-1 a".to_owned()));
        assert_eq!(good("locks"), Ok("locks ".to_owned()));
        for wrong in [
            "",
            "ab",
            "Locks",
            "-locks/a",
            "locks-/a",
            "a..b/c",
            "s3://locks/a",
            "locks//a",
            "locks/a//b",
            "locks/../a",
            "locks/ä",
            "locks/a b",
            "locks/a?x",
        ] {
            assert!(LeasePlace::read(wrong).is_err(), "{wrong}");
        }
    }
}
