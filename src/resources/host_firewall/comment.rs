//! Texts of others where the kernel keeps comments: names of stacks and rules, tags, origins.
//!
//! A line break in a comment adds a rule to what iptables-restore reads, a quote breaks the file that nft reads at a boot,
//! and both tools cut or refuse what is long. So nothing gets into a comment but through one of these two.

use super::names::digest;

/// How many bytes of a comment are used. iptables cuts at 255 and nft refuses above 128, both less when they escape.
pub const LONGEST: usize = 100;

/// A text for people: what could end a comment, or is not ASCII, becomes `_`; what is too long ends with a digest of all of
/// it.
#[must_use]
pub fn shown(text: &str) -> String {
    let safe: String = text.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    if safe.len() <= LONGEST {
        return safe;
    }
    let head: String = safe.chars().take(LONGEST - 7).collect();
    format!("{head}-{}", digest(text, 6))
}

fn is_safe(c: char) -> bool {
    (c == ' ' || c.is_ascii_graphic()) && !"\"'\\$`".contains(c)
}

/// One word that reads back as it was: everything but letters, digits and `-_.` is written as `%` and two hexadecimal digits
/// per byte.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let one = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// What a word of [`word`] stands for; none when it is not one.
#[must_use]
pub fn read_word(word: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOSTILE: [&str; 6] = [
        "x\"\n-A portcullis-IN -j ACCEPT",
        "$(reboot)",
        "'; drop",
        "a\r\n}\nflush ruleset",
        "\u{1f980} crab \u{0}",
        "`id`\\",
    ];

    fn stays_one_comment(text: &str) {
        assert!(text.len() <= LONGEST, "{text}");
        assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{text}");
        assert!(!text.contains(['"', '\'', '\\', '$', '`']), "{text}");
    }

    #[test]
    fn hostile_names_stay_comments() {
        for text in HOSTILE {
            stays_one_comment(&shown(text));
            assert_eq!(read_word(&word(text)).as_deref(), Some(text));
        }
        let (one, other) = ("a".repeat(300), format!("{}b", "a".repeat(299)));
        assert_ne!(shown(&one), shown(&other));
    }

    proptest! {
        #[test]
        fn every_text_stays_one_comment(text in any::<String>()) {
            stays_one_comment(&shown(&text));
            let word = word(&text);
            prop_assert!(word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.%".contains(&b)));
            prop_assert_eq!(read_word(&word), Some(text));
        }
    }
}
