//! Secrets that no output may show: where one of these words appears, a secret leaked.

/// In user data that is `sensitive`.
pub const USER_DATA: &str = "canary-user-data-7f3a9c";
/// The environment variable with the key of the fingerprints.
pub const KEY_VARIABLE: &str = "PORTCULLIS_CANARY_KEY";
/// What it holds.
pub const KEY: &str = "canary-fingerprint-key-51d2e0";
/// The secret access key of the runs.
pub const SECRET_ACCESS_KEY: &str = "canary-secret-access-key-0b7e44";
/// The session token of the runs.
pub const SESSION_TOKEN: &str = "canary-session-token-c19f6d";

/// All of them.
pub const ALL: [&str; 4] = [USER_DATA, KEY, SECRET_ACCESS_KEY, SESSION_TOKEN];

/// Demands that a text shows none of them, neither as it is nor in base64.
#[track_caller]
pub fn demand_absent(place: &str, text: &str) {
    for canary in ALL {
        assert!(!text.contains(canary), "`{canary}` is in {place}:\n{text}");
        for coded in coded(canary) {
            assert!(!text.contains(&coded), "`{canary}` is in {place}, in base64:\n{text}");
        }
    }
}

/// What of a word stands in the base64 of every text that it is part of: three ways, by where it begins. The characters at
/// both ends depend on what stands beside it, and are left out.
fn coded(word: &str) -> [String; 3] {
    use base64::Engine;
    [0, 1, 2].map(|before| {
        let text = [&"   "[..before], word].concat();
        let code = base64::engine::general_purpose::STANDARD_NO_PAD.encode(text);
        let whole = code.len() - 2;
        code.get(if before == 0 { 0 } else { 4 }..whole).expect("a word is longer than that").to_owned()
    })
}

#[test]
fn a_secret_is_found_wherever_it_stands() {
    use base64::Engine;
    for before in ["", "a", "ab", "abc", "#!/bin/sh\n"] {
        let text = format!("{before}{USER_DATA} more");
        let coded = base64::engine::general_purpose::STANDARD.encode(&text);
        for text in [text, coded] {
            assert!(std::panic::catch_unwind(|| demand_absent("a test", &text)).is_err(), "{text}");
        }
    }
    demand_absent("a test", "nothing of the kind");
}
