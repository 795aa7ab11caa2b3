//! The keeper on a virtual clock: time passes only when everybody waits, and at once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use super::holder;
use crate::lock::clock::{Clock, Moment, Virtual};
use crate::lock::keeper::{Broken, Lease, Refused, Wish, acquire, break_open, look};
use crate::lock::lease::{Former, Loss};
use crate::lock::memory::{Ignores, Memory};
use crate::lock::store::{Put, Store, StoreError, Stored, When};
use crate::lock::{Bond, Patience};
use crate::model::duration::Seconds;

const NAME: &str = "123456789012-shop.lock";
const TTL: u64 = 60;

thread_local! {
    /// The clock of the test that runs here.
    static CLOCK: Arc<Virtual> = Arc::default();
}

fn clock() -> Arc<Virtual> {
    CLOCK.with(Arc::clone)
}

/// Runs a test on its clock.
fn virtually(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(clock().drive(work));
}

/// A store whose way is disturbed.
struct Way {
    memory: Memory,
    /// Nothing arrives.
    cut: AtomicBool,
    /// So many writes take effect, and their answers are lost.
    lost: AtomicU8,
    /// So many writes meet a conflict.
    conflicts: AtomicU8,
}

impl Way {
    fn fault() -> StoreError {
        StoreError {
            doing: "asking".to_owned(),
            code: None,
            detail: "the cable is cut".to_owned(),
            hint: None,
            passing: true,
        }
    }

    fn takes(count: &AtomicU8) -> bool {
        count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

impl Store for Way {
    fn place(&self, name: &str) -> String {
        self.memory.place(name)
    }

    async fn get(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        if self.cut.load(Ordering::SeqCst) { Err(Self::fault()) } else { self.memory.get(name).await }
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, when: When) -> Result<Put, StoreError> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(Self::fault());
        }
        if name == NAME && Self::takes(&self.conflicts) {
            return Ok(Put::Conflict);
        }
        let answer = self.memory.put(name, bytes, when).await?;
        if name == NAME && Self::takes(&self.lost) { Err(Self::fault()) } else { Ok(answer) }
    }
}

/// A store, and everybody's clock.
struct Site {
    way: Arc<Way>,
    clock: Arc<dyn Clock>,
}

impl Site {
    fn new() -> Self {
        Self::of(|memory| memory)
    }

    fn of(with: impl FnOnce(Memory) -> Memory) -> Self {
        let clock: Arc<dyn Clock> = clock();
        let memory = with(Memory::new(Arc::clone(&clock)));
        let way = Way { memory, cut: AtomicBool::new(false), lost: AtomicU8::new(0), conflicts: AtomicU8::new(0) };
        Self { way: Arc::new(way), clock }
    }

    async fn take(&self, name: &str, patience: u64) -> Result<Lease, Refused> {
        let wish = Wish {
            store: Arc::clone(&self.way),
            clock: Arc::clone(&self.clock),
            name: NAME.to_owned(),
            holder: holder(name),
            ttl: Seconds(TTL),
        };
        let mut tell = |_: &crate::lock::Busy| ();
        let mut patience = Patience::new(self.clock.as_ref(), Duration::from_secs(patience), &mut tell);
        acquire(wish, &mut patience).await
    }

    async fn holds(&self, name: &str) -> bool {
        let seen = look(self.way.as_ref(), NAME).await.unwrap();
        seen.is_some_and(|seen| seen.record.holder.user == name && seen.record.released.is_none())
    }
}

async fn pass(seconds: u64) {
    clock().sleep(Duration::from_secs(seconds)).await;
}

#[test]
fn one_holds_it_and_the_others_hear_who() {
    virtually(async {
        let site = Site::new();
        let first = site.take("ann", 0).await.unwrap();
        assert_eq!((first.epoch(), first.former()), (1, None));
        let Err(Refused::Busy(busy)) = site.take("bob", 0).await else { panic!("two hold it") };
        assert_eq!(busy.holder.as_ref().unwrap().user, "ann");
        assert_eq!(busy.holder.as_ref().unwrap().run.as_deref(), Some("https://ci.example/ann"));
        assert_eq!(busy.bond, Bond::Lease(Some(Duration::from_secs(70))));
        first.release().await.unwrap();
        let second = site.take("bob", 0).await.unwrap();
        assert_eq!((second.epoch(), second.former()), (2, Some(&Former::Released)));
    });
}

#[test]
fn it_is_renewed_for_as_long_as_it_is_held() {
    virtually(async {
        let site = Site::new();
        let lease = site.take("ann", 0).await.unwrap();
        pass(3600).await;
        lease.fence().pass().await.unwrap();
        assert!(matches!(site.take("bob", 0).await, Err(Refused::Busy(_))));
        let writes = site.way.memory.writes();
        assert!((180..=184).contains(&writes), "every third of its time, and no more: {writes}");
    });
}

#[test]
fn whoever_waits_gets_it_when_it_is_given_back() {
    virtually(async {
        let site = Site::new();
        let first = site.take("ann", 0).await.unwrap();
        let (second, ()) = tokio::join!(site.take("bob", 600), async {
            pass(300).await;
            first.release().await.unwrap();
        });
        assert_eq!(second.unwrap().epoch(), 2);
    });
}

#[test]
fn one_that_nobody_renews_is_taken_over_and_never_renewed_again() {
    virtually(async {
        let site = Site::new();
        let first = site.take("ann", 0).await.unwrap();
        let fence = first.fence();
        // Its keeper is gone, as with a process that was killed, or one that is suspended.
        site.way.cut.store(true, Ordering::SeqCst);
        pass(30).await;
        fence.pass().await.unwrap();
        pass(21).await;
        let loss = fence.pass().await.unwrap_err();
        assert!(matches!(&loss, Loss::Unreachable(why) if why.contains("the cable is cut")), "{loss:?}");
        site.way.cut.store(false, Ordering::SeqCst);
        assert!(
            matches!(site.take("bob", 0).await, Err(Refused::Busy(_))),
            "nobody takes it before both margins are over"
        );
        pass(20).await;
        let second = site.take("bob", 0).await.unwrap();
        assert_eq!(second.epoch(), 2);
        assert!(matches!(second.former(), Some(Former::Expired(who)) if who.user == "ann"));
        first.release().await.unwrap();
        assert!(site.holds("bob").await, "who has nothing gives nothing back");
    });
}

#[test]
fn a_lease_that_was_taken_over_is_lost_with_the_next_renewal() {
    virtually(async {
        let site = Site::new();
        let first = site.take("ann", 0).await.unwrap();
        let other = serde_json::json!({"format_version": 1, "epoch": 2, "beat": 1, "ttl": 60,
        "holder": serde_json::to_value(holder("bob")).unwrap()});
        site.way.memory.overwrite(NAME, other.to_string().as_bytes());
        assert_eq!(first.fence().lost().await, Loss::Taken(Box::new(holder("bob"))));
        assert!(first.fence().pass().await.is_err());
        first.release().await.unwrap();
        assert!(site.holds("bob").await);
    });
}

#[test]
fn what_stands_in_its_place_is_not_written_over() {
    virtually(async {
        for text in ["", "hello", "{}", r#"{"format_version": 1}"#, r#"{"format_version": 2, "epoch": "x"}"#] {
            let site = Site::new();
            site.way.memory.overwrite(NAME, text.as_bytes());
            let found = site.take("ann", 0).await;
            assert!(matches!(found, Err(Refused::Foreign { .. })), "{text}");
            assert_eq!(site.way.memory.read(NAME).unwrap(), text.as_bytes());
        }
        let site = Site::new();
        let lease = site.take("ann", 0).await.unwrap();
        site.way.memory.overwrite(NAME, b"hello");
        assert!(matches!(lease.fence().lost().await, Loss::Unreadable(_)));
        let site = Site::new();
        let lease = site.take("ann", 0).await.unwrap();
        site.way.memory.remove(NAME);
        assert_eq!(lease.fence().lost().await, Loss::Gone);
    });
}

#[test]
fn a_lost_answer_is_no_lost_lease() {
    virtually(async {
        // Each write may have been the one whose answer was lost: the first, a renewal, the release.
        let site = Site::new();
        site.way.lost.store(1, Ordering::SeqCst);
        let lease = site.take("ann", 0).await.unwrap();
        assert_eq!(lease.epoch(), 1);
        for _ in 0..5 {
            site.way.lost.store(1, Ordering::SeqCst);
            pass(40).await;
            lease.fence().pass().await.unwrap();
        }
        site.way.lost.store(1, Ordering::SeqCst);
        lease.release().await.unwrap();
        assert!(!site.holds("ann").await);
        site.way.lost.store(1, Ordering::SeqCst);
        let second = site.take("bob", 0).await.unwrap();
        assert_eq!(second.epoch(), 2);
    });
}

#[test]
fn conflicts_are_met_again() {
    virtually(async {
        let site = Site::new();
        site.way.conflicts.store(3, Ordering::SeqCst);
        let lease = site.take("ann", 0).await.unwrap();
        site.way.conflicts.store(3, Ordering::SeqCst);
        pass(45).await;
        lease.fence().pass().await.unwrap();
        site.way.conflicts.store(2, Ordering::SeqCst);
        lease.release().await.unwrap();
        assert!(!site.holds("ann").await);
        site.way.conflicts.store(u8::MAX, Ordering::SeqCst);
        let Err(Refused::Store(error)) = site.take("bob", 0).await else { panic!("it was written") };
        assert_eq!(error.code.as_deref(), Some("ConditionalRequestConflict"));
    });
}

#[test]
fn a_store_that_takes_conditions_for_words_is_refused() {
    virtually(async {
        for (what, header) in [(Ignores::Absence, "If-None-Match"), (Ignores::Versions, "If-Match")] {
            let site = Site::of(|memory| memory.that_ignores(what));
            for _ in 0..2 {
                let Err(Refused::Unsound { why, .. }) = site.take("ann", 0).await else { panic!("{header}: trusted") };
                assert!(why.contains(header), "{why}");
            }
            assert_eq!(site.way.memory.read(NAME), None, "{header}: nothing was taken");
        }
    });
}

#[test]
fn breaking_ends_the_lease_that_was_shown_and_no_other() {
    virtually(async {
        let site = Site::new();
        let store = site.way.as_ref();
        assert_eq!(break_open(store, NAME, "ann-id", "root@a").await, Ok(Broken::Free));
        let lease = site.take("ann", 0).await.unwrap();
        let other = break_open(store, NAME, "bob-id", "root@a").await.unwrap();
        assert!(matches!(other, Broken::Other(record) if record.holder.id == "ann-id"));
        lease.fence().pass().await.unwrap();
        // However often it was renewed, and though the answer is lost, it is the one.
        pass(100).await;
        site.way.lost.store(1, Ordering::SeqCst);
        assert!(matches!(break_open(store, NAME, "ann-id", "root@a").await, Ok(Broken::Done(_))));
        assert_eq!(lease.fence().lost().await, Loss::Broken("root@a".to_owned()));
        assert_eq!(break_open(store, NAME, "ann-id", "root@a").await, Ok(Broken::Free));
        let next = site.take("bob", 0).await.unwrap();
        assert!(matches!(next.former(), Some(Former::Broken(who, by)) if who.user == "ann" && by == "root@a"));
        assert_eq!(next.epoch(), 2);
    });
}

#[test]
fn a_keeper_that_ends_lets_nobody_pass() {
    virtually(async {
        let site = Site::new();
        let lease = site.take("ann", 0).await.unwrap();
        let fence = lease.fence();
        drop(lease);
        // It is sure for as long as it was, and asks nobody after that.
        fence.pass().await.unwrap();
        pass(55).await;
        assert!(fence.pass().await.is_err());
    });
}

/// A machine that sleeps: the calendar goes on, and nothing else does.
struct Slept(Arc<Virtual>, Arc<std::sync::Mutex<Duration>>);

impl Clock for Slept {
    fn now(&self) -> Moment {
        let now = self.0.now();
        Moment { calendar: now.calendar + *self.1.lock().unwrap(), ..now }
    }

    fn sleep(&self, how_long: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.sleep(how_long)
    }
}

#[test]
fn whoever_slept_asks_before_it_goes_on() {
    virtually(async {
        let slept = Arc::new(std::sync::Mutex::new(Duration::ZERO));
        let mut site = Site::new();
        site.clock = Arc::new(Slept(clock(), Arc::clone(&slept)));
        let lease = site.take("ann", 0).await.unwrap();
        let writes = site.way.memory.writes();
        *slept.lock().unwrap() = Duration::from_mins(10);
        // Nobody took it meanwhile: it is renewed at once, and then the call passes.
        lease.fence().pass().await.unwrap();
        assert_eq!(site.way.memory.writes(), writes + 1);
        let other = serde_json::json!({"format_version": 1, "epoch": 2, "beat": 1, "ttl": 60,
        "holder": serde_json::to_value(holder("bob")).unwrap()});
        site.way.memory.overwrite(NAME, other.to_string().as_bytes());
        *slept.lock().unwrap() = Duration::from_mins(20);
        assert!(matches!(lease.fence().pass().await, Err(Loss::Taken(_))));
    });
}
