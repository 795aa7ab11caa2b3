//! Takes a lease, keeps it, and gives it back. What to do is [`lease`]'s to say; here it is done.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use super::clock::{Clock, Moment};
use super::fence::{Fence, State};
use super::lease::{self, FORMAT_VERSION, Former, Look, Loss, Record, Sight, Terms, Turn};
use super::probe::probe;
use super::store::{Put, Store, StoreError, Tag, When};
use super::{Bond, Busy, Holder, Patience};
use crate::model::duration::Seconds;

/// How often a write whose fate is open, or that met another, is tried before it counts as a fault.
const TRIES: usize = 5;
/// How long lies between two of them.
const PAUSE: Duration = Duration::from_millis(400);

/// A lease that is wanted.
pub struct Wish<S> {
    /// What keeps it.
    pub store: Arc<S>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The name of its object.
    pub name: String,
    /// Who wants it.
    pub holder: Holder,
    /// How long it shall hold from each write.
    pub ttl: Seconds,
}

/// Why there is no lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Somebody has it.
    Busy(Box<Busy>),
    /// The store does not answer, or does not let us.
    Store(StoreError),
    /// The store does not keep to conditions.
    Unsound {
        /// What was tried with.
        place: String,
        /// What it did.
        why: String,
    },
    /// There is an object of the name, and it is no lease that we know.
    Foreign {
        /// The object.
        place: String,
        /// Why it cannot be read as one.
        why: String,
    },
}

/// A lease that is held. Dropped without [`Lease::release`] it holds on until its time is over, as after a crash.
#[derive(Debug)]
pub struct Lease {
    epoch: u64,
    former: Option<Former>,
    fence: Fence,
    order: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), StoreError>>,
}

impl Lease {
    /// Its number among all holders.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How the lease before ended, where there was one.
    #[must_use]
    pub const fn former(&self) -> Option<&Former> {
        self.former.as_ref()
    }

    /// What every call passes that changes something.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Gives it back. One that is lost already has nothing to give back.
    ///
    /// # Errors
    /// When the store does not answer: the lease holds on until its time is over.
    pub async fn release(mut self) -> Result<(), StoreError> {
        if let Some(order) = self.order.take() {
            // A keeper that ended by itself hears nothing, and has nothing to release.
            let _ = order.send(());
        }
        (&mut self.task).await.unwrap_or(Ok(()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes a lease as soon as nobody has it, for as long as patience lasts.
///
/// # Errors
/// Why there is none.
pub async fn acquire<S: Store>(wish: Wish<S>, patience: &mut Patience<'_>) -> Result<Lease, Refused> {
    let store = wish.store.as_ref();
    probe(store).await?;
    let mut turn = lease::acquire(None, &wish.holder, wish.ttl);
    let (mut first, mut tries) = (None, 0);
    loop {
        let (record, when, former) = match turn {
            Turn::Create(record) => (record, When::Absent, None),
            Turn::TakeOver { record, over, former } => (record, When::Is(over), Some(former)),
            // The answer to which write was lost is not known: the earliest cannot be too late.
            Turn::Mine(record, tag) => {
                let sent = first.unwrap_or_else(|| wish.clock.now());
                return Ok(hold(wish, Held { record, tag, sent }, None));
            }
            Turn::Wait { holder, left } => {
                let bond = Bond::Lease(left);
                let busy = Busy { place: store.place(&wish.name), holder: Some(holder), bond };
                let pause = Duration::from_secs(wish.ttl.0.div_euclid(12).clamp(1, 5));
                if !patience.wait(&busy, pause).await {
                    return Err(Refused::Busy(Box::new(busy)));
                }
                turn = lease::acquire(look(store, &wish.name).await?.as_ref(), &wish.holder, wish.ttl);
                continue;
            }
        };
        let sent = wish.clock.now();
        first.get_or_insert(sent);
        let answer = store.put(&wish.name, bytes(&record), when).await;
        match answer {
            Ok(Put::Written(tag)) => return Ok(hold(wish, Held { record, tag, sent }, former)),
            Ok(Put::Refused | Put::Gone) => {}
            Ok(Put::Conflict) => again(&mut tries, &wish, None).await?,
            Err(error) => again(&mut tries, &wish, Some(error)).await?,
        }
        turn = lease::acquire(look(store, &wish.name).await?.as_ref(), &wish.holder, wish.ttl);
    }
}

/// Waits before the next try, unless there were enough of them, or trying does not help.
async fn again<S: Store>(tries: &mut usize, wish: &Wish<S>, error: Option<StoreError>) -> Result<(), Refused> {
    *tries += 1;
    let error = error.unwrap_or_else(|| StoreError {
        doing: format!("writing {}", wish.store.place(&wish.name)),
        code: Some("ConditionalRequestConflict".to_owned()),
        detail: "others write at the same time, again and again".to_owned(),
        hint: Some("try again".to_owned()),
        passing: true,
    });
    if *tries >= TRIES || !error.passing {
        return Err(Refused::Store(error));
    }
    wish.clock.sleep(PAUSE).await;
    Ok(())
}

/// Reads a lease; none when there is no object of the name.
///
/// # Errors
/// When the store does not answer, or the object is no lease that we know.
pub async fn look<S: Store>(store: &S, name: &str) -> Result<Option<Sight>, Refused> {
    let Some(stored) = store.get(name).await.map_err(Refused::Store)? else { return Ok(None) };
    let record = read(&stored.bytes).map_err(|why| Refused::Foreign { place: store.place(name), why })?;
    Ok(Some(Sight { record, tag: stored.tag, age: stored.age }))
}

/// What became of the wish to break a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// It is broken.
    Done(Record),
    /// Nobody has it.
    Free,
    /// Somebody else has it by now.
    Other(Record),
}

/// Breaks the lease of this id, and no other: its holder starts nothing more once it notices, at the next renewal.
///
/// # Errors
/// As [`look`].
pub async fn break_open<S: Store>(store: &S, name: &str, id: &str, who: &str) -> Result<Broken, Refused> {
    let mut fault = None;
    for _ in 0..TRIES {
        let Some(Sight { record, tag, .. }) = look(store, name).await? else { return Ok(Broken::Free) };
        match &record.released {
            // An earlier try, whose answer was lost.
            Some(end) if fault.is_some() && record.holder.id == id && end.broken_by.as_deref() == Some(who) => {
                return Ok(Broken::Done(record));
            }
            Some(_) => return Ok(Broken::Free),
            None if record.holder.id != id => return Ok(Broken::Other(record)),
            None => {}
        }
        let broken = lease::break_open(&record, Timestamp::now(), who.to_owned());
        match store.put(name, bytes(&broken), When::Is(tag)).await {
            Ok(Put::Written(_)) => return Ok(Broken::Done(broken)),
            // Its holder renewed it in between: that is the same lease still.
            Ok(Put::Refused | Put::Gone | Put::Conflict) => {}
            Err(error) if error.passing => fault = Some(error),
            Err(error) => return Err(Refused::Store(error)),
        }
    }
    Err(Refused::Store(fault.unwrap_or_else(|| StoreError {
        doing: format!("breaking {}", store.place(name)),
        code: None,
        detail: "its holder writes it at the same time, again and again".to_owned(),
        hint: Some("try again".to_owned()),
        passing: true,
    })))
}

/// Reads an object as a lease.
fn read(bytes: &[u8]) -> Result<Record, String> {
    #[derive(serde::Deserialize)]
    struct Version {
        format_version: u32,
    }
    let Version { format_version } = serde_json::from_slice(bytes).map_err(|why| why.to_string())?;
    if format_version > FORMAT_VERSION {
        return Err(format!("it is of version {format_version}, and this portcullis knows {FORMAT_VERSION} at most"));
    }
    serde_json::from_slice(bytes).map_err(|why| why.to_string())
}

fn bytes(record: &Record) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(record).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// What a keeper has in its hands.
struct Held {
    record: Record,
    tag: Tag,
    /// When the write was sent that made it so.
    sent: Moment,
}

/// Keeps a lease from now on.
fn hold<S: Store>(wish: Wish<S>, held: Held, former: Option<Former>) -> Lease {
    let terms = Terms::of(wish.ttl);
    let (state, seen) = watch::channel(State::Ours(held.sent));
    let (order, ordered) = oneshot::channel();
    let hurry = Arc::new(Notify::new());
    let fence = Fence::new(seen, Arc::clone(&wish.clock), terms.sure(), Arc::clone(&hurry));
    let epoch = held.record.epoch;
    let keeper = Keeper { store: wish.store, clock: wish.clock, name: wish.name, held, terms, state, hurry };
    Lease { epoch, former, fence, order: Some(order), task: tokio::spawn(keeper.keep(ordered)) }
}

struct Keeper<S> {
    store: Arc<S>,
    clock: Arc<dyn Clock>,
    name: String,
    held: Held,
    terms: Terms,
    state: watch::Sender<State>,
    hurry: Arc<Notify>,
}

/// What a renewal came to.
enum Beat {
    Kept,
    Again,
    Lost(Loss),
}

impl<S: Store> Keeper<S> {
    /// Renews until it is told to release, or until the lease is lost.
    async fn keep(mut self, mut order: oneshot::Receiver<()>) -> Result<(), StoreError> {
        let mut pause = self.terms.period();
        loop {
            tokio::select! {
                biased;
                _ = &mut order => return self.release().await,
                () = self.clock.sleep(pause) => {}
                () = self.hurry.notified() => {}
            }
            match self.beat().await {
                Beat::Kept => pause = self.terms.period(),
                Beat::Again => pause = PAUSE,
                Beat::Lost(loss) => {
                    let unreachable = matches!(loss, Loss::Unreachable(_));
                    self.state.send_replace(State::Lost(loss));
                    let _ = order.await;
                    // Whom nobody followed may still give it back.
                    return if unreachable { self.release().await } else { Ok(()) };
                }
            }
        }
    }

    async fn beat(&mut self) -> Beat {
        let record = lease::renewal(&self.held.record);
        let sent = self.clock.now();
        match self.write(&record).await {
            Ok(Put::Written(tag)) => {
                self.held = Held { record, tag, sent };
                self.state.send_replace(State::Ours(sent));
                Beat::Kept
            }
            Ok(Put::Refused | Put::Gone) => self.find_out(sent).await,
            Ok(Put::Conflict) => Beat::Again,
            Err(error) => self.in_time(&error, sent),
        }
    }

    /// Looks whose the lease is after a write was refused.
    async fn find_out(&mut self, began: Moment) -> Beat {
        match self.within(look(self.store.as_ref(), &self.name)).await {
            Ok(Ok(seen)) => match lease::looked(seen.as_ref(), &self.held.record) {
                Look::Mine(record, tag) => {
                    // When that write was sent is not known any more: what is known is earlier.
                    self.held = Held { record, tag, sent: self.held.sent };
                    Beat::Again
                }
                Look::Released => Beat::Lost(Loss::Gone),
                Look::Lost(loss) => Beat::Lost(loss),
            },
            Ok(Err(Refused::Foreign { why, .. })) => Beat::Lost(Loss::Unreadable(why)),
            Ok(Err(Refused::Store(error))) | Err(error) => self.in_time(&error, began),
            Ok(Err(Refused::Busy(_) | Refused::Unsound { .. })) => Beat::Again,
        }
    }

    /// A fault is met again, and loses the lease when the try began after there was time: one that was suspended in the
    /// middle tells nothing.
    fn in_time(&self, error: &StoreError, began: Moment) -> Beat {
        if began.since(&self.held.sent) < self.terms.sure() {
            return Beat::Again;
        }
        Beat::Lost(Loss::Unreachable(error.to_string()))
    }

    async fn release(&mut self) -> Result<(), StoreError> {
        let mut fault = None;
        for _ in 0..TRIES {
            let record = lease::release(&self.held.record, Timestamp::now());
            match self.write(&record).await {
                Ok(Put::Written(_) | Put::Gone) => return Ok(()),
                Ok(Put::Refused) => match self.within(look(self.store.as_ref(), &self.name)).await {
                    Ok(Ok(seen)) => match lease::looked(seen.as_ref(), &self.held.record) {
                        Look::Mine(record, tag) => self.held = Held { record, tag, sent: self.held.sent },
                        Look::Released | Look::Lost(_) => return Ok(()),
                    },
                    Ok(Err(Refused::Store(error))) | Err(error) => fault = Some(error),
                    Ok(Err(_)) => return Ok(()),
                },
                Ok(Put::Conflict) => {}
                Err(error) => fault = Some(error),
            }
            if fault.as_ref().is_some_and(|error| !error.passing) {
                break;
            }
            self.clock.sleep(PAUSE).await;
        }
        fault.map_or(Ok(()), Err)
    }

    async fn write(&self, record: &Record) -> Result<Put, StoreError> {
        let when = When::Is(self.held.tag.clone());
        self.within(self.store.put(&self.name, bytes(record), when)).await?
    }

    /// Waits for an answer, but not for ever: a margin is what a write may take.
    async fn within<T>(&self, answer: impl Future<Output = T>) -> Result<T, StoreError> {
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            () = self.clock.sleep(self.terms.margin()) => Err(StoreError {
                doing: format!("renewing {}", self.store.place(&self.name)),
                code: None,
                detail: format!("no answer within {:?}", self.terms.margin()),
                hint: None,
                passing: true,
            }),
        }
    }
}
