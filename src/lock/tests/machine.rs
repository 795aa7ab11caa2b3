//! The state machine of a lease: one holder at a time, whatever is seen and however much time has passed.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::holder;
use crate::lock::lease::{
    Former, Look, Loss, Record, Released, Sight, Terms, Turn, acquire, break_open, looked, release, renewal,
};
use crate::lock::store::Tag;
use crate::model::duration::Seconds;

const TTL: Seconds = Seconds(60);

fn now() -> Timestamp {
    "2026-06-01T01:00:00Z".parse().unwrap()
}

fn record(name: &str, epoch: u64) -> Record {
    let Turn::Create(first) = acquire(None, &holder(name), TTL) else { panic!("there was one") };
    Record { epoch, ..first }
}

fn sight(record: Record, age: Option<u64>) -> Sight {
    Sight { record, tag: Tag("\"t\"".to_owned()), age: age.map(Duration::from_secs) }
}

/// What somebody makes of a lease, in a word and with the epoch that is written.
fn word(turn: &Turn) -> String {
    match turn {
        Turn::Create(record) => format!("create {}", record.epoch),
        Turn::TakeOver { record, former, .. } => match former {
            Former::Released => format!("released {}", record.epoch),
            Former::Broken(..) => format!("broken {}", record.epoch),
            Former::Expired(_) => format!("expired {}", record.epoch),
        },
        Turn::Mine(record, _) => format!("mine {}", record.epoch),
        Turn::Wait { left: Some(left), .. } => format!("wait {}", left.as_secs()),
        Turn::Wait { left: None, .. } => "wait".to_owned(),
    }
}

#[test]
fn what_somebody_does_who_wants_it() {
    let released = |broken_by: Option<&str>| Some(Released { at: now(), broken_by: broken_by.map(str::to_owned) });
    let other = |released| Record { released, ..record("other", 7) };
    let cases: &[(Option<Sight>, &str)] = &[
        (None, "create 1"),
        (Some(sight(other(None), Some(0))), "wait 70"),
        (Some(sight(other(None), Some(60))), "wait 10"),
        (Some(sight(other(None), Some(70))), "wait 0"),
        (Some(sight(other(None), Some(71))), "expired 8"),
        // A store that tells no ages lets nothing expire.
        (Some(sight(other(None), None)), "wait"),
        (Some(sight(other(released(None)), Some(0))), "released 8"),
        (Some(sight(other(released(None)), None)), "released 8"),
        (Some(sight(other(released(Some("root@a"))), Some(0))), "broken 8"),
        // The time that counts is the holder's, whatever the spec says here.
        (Some(sight(Record { ttl: Seconds(600), ..other(None) }, Some(71))), "wait 629"),
        (Some(sight(record("me", 7), Some(3))), "mine 7"),
        (Some(sight(Record { released: released(None), ..record("me", 7) }, Some(3))), "released 8"),
    ];
    for (seen, wanted) in cases {
        assert_eq!(word(&acquire(seen.as_ref(), &holder("me"), TTL)), *wanted, "{seen:?}");
    }
}

#[test]
fn what_a_holder_finds_whose_write_was_refused() {
    let mine = record("me", 3);
    let end = |broken_by: Option<&str>| Some(Released { at: now(), broken_by: broken_by.map(str::to_owned) });
    let tag = Tag("\"t\"".to_owned());
    let cases = [
        (None, Look::Lost(Loss::Gone)),
        (Some(renewal(&mine)), Look::Mine(renewal(&mine), tag)),
        (Some(Record { released: end(Some("root@a")), ..mine.clone() }), Look::Lost(Loss::Broken("root@a".to_owned()))),
        (Some(release(&mine, now())), Look::Released),
        (Some(record("other", 4)), Look::Lost(Loss::Taken(Box::new(holder("other"))))),
        // It came and went.
        (
            Some(Record { released: end(None), ..record("other", 4) }),
            Look::Lost(Loss::Taken(Box::new(holder("other")))),
        ),
    ];
    for (seen, wanted) in cases {
        let seen = seen.map(|record| sight(record, Some(1)));
        assert_eq!(looked(seen.as_ref(), &mine), wanted, "{seen:?}");
    }
}

#[test]
fn every_write_is_another_version_and_no_epoch_falls() {
    let held = record("me", 3);
    let next = renewal(&held);
    assert_eq!((next.epoch, next.beat), (3, held.beat + 1));
    assert_ne!(release(&held, now()).beat, held.beat);
    let broken = break_open(&held, now(), "root@a".to_owned());
    assert_eq!((broken.epoch, &broken.holder), (3, &held.holder), "whose it was can still be read");
}

#[test]
fn the_object_reads_as_it_was_written() {
    let broken = break_open(&record("me", 3), now(), "root@a".to_owned());
    let text = serde_json::to_string(&broken).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), broken);
    // What a later version adds is left aside by this one.
    let more = text.replacen('{', "{\"colour\":\"red\",", 1);
    assert_eq!(serde_json::from_str::<Record>(&more).unwrap(), broken);
}

proptest! {
    #[test]
    fn nobody_takes_over_what_its_holder_may_still_use(
        ttl in 15_u64..=3600,
        // How long ago the holder sent its last write, and how much later the store wrote it.
        sent in 0_u64..10_000_000,
        way in 0_u64..30_000,
        // How far servers of the store are apart, in milliseconds.
        skew in 0_i64..=1_000,
    ) {
        let terms = Terms::of(Seconds(ttl));
        let elapsed = Duration::from_millis(sent);
        prop_assume!(sent >= way);
        // Both times are told in whole seconds.
        let age = (sent - way).saturating_add_signed(skew) / 1000 + 1;
        let seen = sight(Record { ttl: Seconds(ttl), ..record("other", 1) }, Some(age));
        let taken = matches!(acquire(Some(&seen), &holder("me"), Seconds(ttl)), Turn::TakeOver { .. });
        prop_assert!(!(taken && elapsed < terms.sure()), "both may act");
        // Whoever takes it over finds nobody who could still be in a call of less than two margins.
        prop_assert!(!taken || elapsed >= terms.sure() + terms.margin());
    }

    #[test]
    fn a_lease_is_renewed_twice_before_it_is_in_doubt(ttl in 15_u64..=3600) {
        let terms = Terms::of(Seconds(ttl));
        prop_assert!(terms.period() * 2 < terms.sure());
        prop_assert!(terms.margin() >= Duration::from_millis(2_500));
    }
}
