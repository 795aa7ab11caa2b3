//! Key pairs.

use super::*;

pub(super) fn import(s: &Seen, at: &str, key: &str, generation: u32) -> Call {
    let tags = s.tags_of(at, generation);
    s.call(at, Action::KeyPair(OfKey::Import { name: s.name("key"), public_key: key.to_owned(), tags }), 60)
}

pub(super) fn key_pair() -> Vec<Step> {
    const AT: &str = "key_pair.a";
    let mut steps = vec![
        does(GIVES_GROUP, |s| import(s, AT, KEY, 1)),
        holds("it is listed with its tags", |s| {
            s.object(AT).is_some_and(|object| object.tags == s.tags(AT))
                && s.key_pair(AT).is_some_and(|key| key.name == s.name("key"))
        }),
        holds("it is the key that was imported", |s| {
            use portcullis::resources::key_pair::public_key::PublicKey;
            let wanted = PublicKey::read(KEY).expect("a key");
            s.key_pair(AT).is_some_and(|key| wanted.is(&key.fingerprint, key.public_key.as_deref()))
        }),
        does(GIVES_GROUP, |s| import(s, AT, KEY, 1)),
        holds("sent again, it is the same one", |s| s.now.objects.len() == 1 && s.object(AT).is_some()),
    ];
    steps.extend(tagging(Kind::KeyPair, AT));
    steps.extend([
        does(&[], |s| s.call(AT, Action::KeyPair(OfKey::Delete), 60)),
        holds("it is gone", |s| s.now.objects.is_empty()),
        does(&[], |s| s.call(AT, Action::KeyPair(OfKey::Delete), 60)),
    ]);
    steps
}

pub(super) fn key_pair_taken() -> Vec<Step> {
    vec![
        does(GIVES_GROUP, |s| import(s, "key_pair.a", KEY, 1)),
        refuses(Class::AlreadyExists, |s| import(s, "key_pair.a", KEY, 2)),
        refuses(Class::AlreadyExists, |s| import(s, "key_pair.b", KEY, 1)),
        refuses(Class::AlreadyExists, |s| import(s, "key_pair.a", OTHER_KEY, 1)),
        does(&[], |s| s.call("key_pair.a", Action::KeyPair(OfKey::Delete), 60)),
    ]
}
