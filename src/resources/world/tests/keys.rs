//! Key pairs.

use super::{Lab, import, owned};
use crate::model::{Output, TagEdit, Tags};
use crate::resources::key_pair;
use crate::resources::registry::Action;

fn delete() -> Action {
    Action::KeyPair(key_pair::Action::Delete)
}

#[test]
fn a_name_is_taken_once_in_a_region() {
    let mut lab = Lab::default();
    let told = lab.fine("key_pair.a", import("deploy", Tags::new()));
    assert_eq!(told.get(&Output::Name).map(String::as_str), Some("deploy"));
    assert!(told.get(&Output::Id).is_some_and(|id| crate::model::id::well_formed(id, "key-")));
    assert_eq!(lab.refused("key_pair.b", import("deploy", Tags::new())), "InvalidKeyPair.Duplicate");
    lab.fine("key_pair.b", import("Deploy", Tags::new()));
}

#[test]
fn a_repeat_whose_reply_was_lost_finds_the_first() {
    let mut lab = Lab::default();
    let first = lab.fine("key_pair.a", import("deploy", owned("key_pair.a")));
    assert_eq!(lab.fine("key_pair.a", import("deploy", owned("key_pair.a"))), first);
    assert_eq!(lab.refused("key_pair.b", import("deploy", owned("key_pair.b"))), "InvalidKeyPair.Duplicate");
}

#[test]
fn what_is_no_key_is_refused() {
    let mut lab = Lab::default();
    let bad = key_pair::Action::Import { name: "x".to_owned(), public_key: "no".to_owned(), tags: Tags::new() };
    assert_eq!(lab.refused("key_pair.a", Action::KeyPair(bad)), "InvalidKey.Format");
}

#[test]
fn deleting_twice_is_no_error_and_tagging_what_is_gone_is() {
    let mut lab = Lab::default();
    lab.fine("key_pair.a", import("deploy", Tags::new()));
    lab.fine("key_pair.a", delete());
    lab.fine("key_pair.a", delete());
    let edit = TagEdit { set: Tags::from([("a".to_owned(), "b".to_owned())]), ..TagEdit::default() };
    assert_eq!(lab.refused("key_pair.a", Action::KeyPair(key_pair::Action::Tag(edit))), "InvalidKeyPair.NotFound");
}

#[test]
fn tags_have_limits() {
    let mut lab = Lab::default();
    lab.fine("key_pair.a", import("deploy", Tags::new()));
    let tag = |set: Tags| Action::KeyPair(key_pair::Action::Tag(TagEdit { set, ..TagEdit::default() }));
    let many = (0..51).map(|n| (format!("k{n}"), String::new())).collect();
    assert_eq!(lab.refused("key_pair.a", tag(many)), "TagLimitExceeded");
    let ours = Tags::from([("aws:x".to_owned(), String::new())]);
    assert_eq!(lab.refused("key_pair.a", tag(ours)), "InvalidTagKey.Malformed");
}
