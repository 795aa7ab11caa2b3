//! What stands around a command that changes something: its locks, and an ear for signals.
//!
//! The locks are taken before anything is observed, so that a plan is made of what nobody else changes, and held until the
//! second look is over. A spec is read before, as a wrong one needs no lock; so is the account asked, which is part of what
//! is locked.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::args::WorldArgs;
use super::console::Console;
use super::exit::Exit;
use super::signals::Signals;
use super::world;
use crate::apply::Stop;
use crate::lock::clock::{Clock, Machine};
use crate::lock::keeper::{self, Lease};
use crate::lock::local::{self, Held, Sharing};
use crate::lock::{Fence, Holder, Patience, Process, ci, place};
use crate::model::duration::Seconds;
use crate::model::{AccountId, LeasePlace, StackName};
use crate::provider::Place;
use crate::report::lock as words;
use crate::resources::stack::Stack;

/// What wants the locks.
pub struct Work<'a> {
    /// The command: `apply`.
    pub command: &'static str,
    /// The stack.
    pub stack: &'a Stack,
    /// Whether anything of it is in the cloud.
    pub cloud: bool,
    /// Which world.
    pub world: &'a WorldArgs,
    /// How many calls may be under way at a time.
    pub parallelism: usize,
    /// How long it waits for a lock that is held.
    pub timeout: Seconds,
}

/// The locks that a command holds.
#[derive(Debug)]
pub struct Locks {
    /// Held until it is dropped.
    _local: Held,
    lease: Option<Lease>,
}

impl Work<'_> {
    /// Takes the locks, does the work, and gives them back, whatever became of it.
    ///
    /// # Errors
    /// That of the work; [`Exit::Busy`] when somebody else holds a lock.
    pub async fn under_lock<W>(&self, console: &Console, work: W) -> Result<Exit, Exit>
    where
        W: AsyncFnOnce(&Arc<Place>, &Locks, &mut Signals) -> Result<Exit, Exit>,
    {
        let (place, locks) = Box::pin(self.open(console)).await?;
        // From here on a signal does not just end the process: a lease would outlive it.
        let mut signals = Signals::listen(*console);
        let ended = work(&Arc::new(place), &locks, &mut signals).await;
        tokio::select! {
            () = locks.release(console) => {}
            () = signals.at_once() => {}
        }
        ended
    }

    async fn open(&self, console: &Console) -> Result<(Place, Locks), Exit> {
        let clock: Arc<dyn Clock> = Arc::new(Machine::start());
        if let Some(file) = &self.world.world {
            // A world is read once and written whole: nobody may change it in between.
            let local = self.beside(file, &clock, console).await?;
            let place = world::open_where(self.world, self.stack, self.cloud, self.parallelism, console).await?;
            return Ok((place, Locks { _local: local, lease: None }));
        }
        let place = world::open_where(self.world, self.stack, self.cloud, self.parallelism, console).await?;
        let account = account(&place);
        let local = self.local(account.as_ref(), &clock, console).await?;
        let lease = match &self.stack.lock {
            Some(bucket) => Some(self.lease(bucket, account.as_ref(), &clock, console).await?),
            None => None,
        };
        Ok((place, Locks { _local: local, lease }))
    }

    async fn beside(&self, file: &std::path::Path, clock: &Arc<dyn Clock>, console: &Console) -> Result<Held, Exit> {
        let path = place::beside(file).map_err(|why| {
            let hint = "the folder of a world file must be there";
            console.error(&format!("the lock of `{}` cannot be made: {why}", file.display()), Some(hint))
        })?;
        self.take(&path, Sharing::Borne, None, clock, console).await
    }

    async fn local(
        &self,
        account: Option<&AccountId>,
        clock: &Arc<dyn Clock>,
        console: &Console,
    ) -> Result<Held, Exit> {
        let path = folder(console)?.join(place::file(account, &self.stack.name));
        self.take(&path, Sharing::Refused, account, clock, console).await
    }

    async fn take(
        &self,
        path: &std::path::Path,
        sharing: Sharing,
        account: Option<&AccountId>,
        clock: &Arc<dyn Clock>,
        console: &Console,
    ) -> Result<Held, Exit> {
        let holder = holder(self.command, account, &self.stack.name);
        let mut tell = |busy: &crate::lock::Busy| console.talk(&words::waiting(&self.stack.name, busy, self.timeout));
        let mut patience = Patience::new(clock.as_ref(), Duration::from_secs(self.timeout.0), &mut tell);
        local::take(path, sharing, &holder, &mut patience).await.map_err(|refused| match refused {
            local::Refused::Busy(busy) => say_busy(&self.stack.name, &busy, console),
            other => say_unusable(other, console),
        })
    }

    #[cfg(feature = "s3")]
    async fn lease(
        &self,
        at: &LeasePlace,
        account: Option<&AccountId>,
        clock: &Arc<dyn Clock>,
        console: &Console,
    ) -> Result<Lease, Exit> {
        let wish = keeper::Wish {
            store: Arc::new(bucket(at, self.world, self.stack).await),
            clock: Arc::clone(clock),
            name: lease_name(account, &self.stack.name),
            holder: holder(self.command, account, &self.stack.name),
            ttl: at.ttl,
        };
        let mut tell = |busy: &crate::lock::Busy| console.talk(&words::waiting(&self.stack.name, busy, self.timeout));
        let mut patience = Patience::new(clock.as_ref(), Duration::from_secs(self.timeout.0), &mut tell);
        let lease = keeper::acquire(wish, &mut patience).await;
        let lease = lease.map_err(|refused| say_refused(&self.stack.name, refused, console))?;
        if let Some(note) = lease.former().and_then(words::former) {
            console.talk(&note);
        }
        Ok(lease)
    }

    #[cfg(not(feature = "s3"))]
    #[expect(clippy::unused_async, reason = "it waits where there is a bucket to ask")]
    async fn lease(
        &self,
        _: &LeasePlace,
        _: Option<&AccountId>,
        _: &Arc<dyn Clock>,
        console: &Console,
    ) -> Result<Lease, Exit> {
        Err(without_s3(console))
    }
}

impl Locks {
    /// What every call passes that changes something.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.lease.as_ref().map(Lease::fence).unwrap_or_default()
    }

    /// Refuses to begin what the lock does not cover any more.
    ///
    /// # Errors
    /// When the lock was lost, as while nobody answered the question.
    pub async fn still_held(&self, console: &Console) -> Result<(), Exit> {
        self.fence().pass().await.map_err(|loss| {
            let message = format!("the stack's lock was lost before anything was changed: {loss}");
            console.complain(&message, Some("run it again: the plan may be another one now"));
            Exit::Busy
        })
    }

    /// From now until what it gives is dropped, the loss of the lock asks for an end as a first signal does.
    #[must_use]
    pub fn watch(&self, signals: &Signals, console: &Console) -> Watch {
        let (fence, orders, console) = (self.fence(), signals.orders(), *console);
        Watch(tokio::spawn(async move {
            let loss = fence.lost().await;
            let message =
                format!("the stack's lock is lost: {loss}; nothing new is started, what is under way is awaited");
            console.complain(&message, Some("apply again: what is left is planned anew"));
            orders.send_if_modified(|stop| {
                let first = *stop == Stop::No;
                if first {
                    *stop = Stop::Drain;
                }
                first
            });
        }))
    }

    async fn release(self, console: &Console) {
        let Some(lease) = self.lease else { return };
        if let Err(why) = lease.release().await {
            let hint = "others wait until its time is over";
            console.complain(&format!("the stack's lock could not be given back: {why}"), Some(hint));
        }
    }
}

/// Ends with whoever watches.
#[derive(Debug)]
pub struct Watch(tokio::task::JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks, and hears signals meanwhile: a terminal cannot be read otherwise than by a thread that waits for it.
///
/// # Errors
/// When a signal came instead of an answer.
pub async fn ask(question: String, signals: &mut Signals, console: &Console) -> Result<Option<String>, Exit> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let asking = *console;
    // It is left behind when a signal comes, and ends with the process.
    std::thread::spawn(move || {
        let _ = tell.send(asking.ask(&question));
    });
    tokio::select! {
        answer = told => Ok(answer.unwrap_or_default()),
        () = signals.asked() => Err(signals.caught().unwrap_or(Exit::Interrupted)),
    }
}

/// Whose account a world is; none of a simulated one, and of one that is hosts alone.
#[must_use]
pub fn account(place: &Place) -> Option<AccountId> {
    match place {
        Place::Simulated(_) => None,
        #[cfg(feature = "aws")]
        Place::Real(real) => real.cloud.as_ref().map(|aws| aws.account().clone()),
        #[cfg(not(feature = "aws"))]
        Place::Real(_) => None,
    }
}

/// Who wants a lock: this process.
fn holder(command: &str, account: Option<&AccountId>, stack: &StackName) -> Holder {
    Holder {
        id: format!("{:016x}", fastrand::u64(..)),
        command: command.to_owned(),
        stack: stack.clone(),
        account: account.cloned(),
        user: user(),
        host: host(),
        process: Process::own(),
        since: Timestamp::now(),
        run: ci::run(&variable),
    }
}

/// Who runs this, and where, in one word.
#[must_use]
pub fn myself() -> String {
    format!("{}@{}", user(), host())
}

fn user() -> String {
    use std::os::unix::fs::MetadataExt;
    let named = ["USER", "LOGNAME"].iter().find_map(|name| variable(name).filter(|name| !name.is_empty()));
    named.unwrap_or_else(|| match std::fs::metadata("/proc/self") {
        Ok(found) => format!("user-{}", found.uid()),
        Err(_) => "unknown".to_owned(),
    })
}

fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| variable("HOSTNAME"));
    named.map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The folder of local locks.
///
/// # Errors
/// When there is none.
pub fn folder(console: &Console) -> Result<std::path::PathBuf, Exit> {
    place::folder(&variable).map_err(|why| {
        console.error(&format!("there is no folder for the stack's lock: {why}"), Some("set `PORTCULLIS_LOCK_DIR`"))
    })
}

/// The name of the object of a lease.
#[must_use]
pub fn lease_name(account: Option<&AccountId>, stack: &StackName) -> String {
    format!("{}.lock", place::key(account, stack))
}

/// The bucket that keeps a lease.
#[cfg(feature = "s3")]
pub async fn bucket(at: &LeasePlace, world: &WorldArgs, stack: &Stack) -> crate::lock::s3::Bucket {
    let endpoints = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    let options = crate::lock::s3::Options {
        profile: world.profile.clone(),
        default_region: stack.region.clone().or_else(|| stack.regions.first().cloned()),
        own_endpoint: endpoints.iter().any(|name| variable(name).is_some()),
    };
    crate::lock::s3::Bucket::open(at, &options).await
}

/// Says that a lock in a bucket is beyond this build.
#[cfg(not(feature = "s3"))]
#[must_use]
pub fn without_s3(console: &Console) -> Exit {
    let hint = "build it with the feature `s3`, or take `lock` out of the spec where one machine applies alone";
    console.error("the spec's lock is in a bucket, and this portcullis was built without S3", Some(hint))
}

/// Says who holds a lock.
fn say_busy(stack: &StackName, busy: &crate::lock::Busy, console: &Console) -> Exit {
    let (message, hint) = words::busy(stack, busy);
    console.complain(&message, Some(&hint));
    Exit::Busy
}

/// Says why there is no lease.
#[must_use]
pub fn say_refused(stack: &StackName, refused: keeper::Refused, console: &Console) -> Exit {
    match refused {
        keeper::Refused::Busy(busy) => say_busy(stack, &busy, console),
        keeper::Refused::Store(error) => {
            let message = format!("the stack's lock cannot be reached: {error}");
            console.error(&message, error.hint.as_deref())
        }
        keeper::Refused::Unsound { place, why } => {
            let hint = "such a store keeps nobody apart: use one that keeps to conditions on writes, as S3 does";
            console
                .complain(&format!("the store of the stack's lock cannot be trusted: {why} at `{place}`"), Some(hint));
            Exit::Refused
        }
        keeper::Refused::Foreign { place, why } => {
            let hint = "name another bucket or prefix in `lock`, or remove the object if it is nobody's";
            console.complain(&format!("`{place}` is no lock that this portcullis knows: {why}"), Some(hint));
            Exit::Refused
        }
    }
}

/// Says why the lock on this machine cannot be used.
#[must_use]
pub fn say_unusable(refused: local::Refused, console: &Console) -> Exit {
    match refused {
        local::Refused::Busy(busy) => {
            let (message, hint) = (format!("`{}` is locked", busy.place), "try again");
            console.complain(&message, Some(hint));
            Exit::Busy
        }
        local::Refused::Io(path, why) => {
            let message = format!("the stack's lock `{}` cannot be used: {why}", path.display());
            console
                .error(&message, Some("name a folder of this machine in `PORTCULLIS_LOCK_DIR`, the same for every run"))
        }
        local::Refused::Trap(path) => {
            let message = format!("the stack's lock `{}` is no plain file of one name", path.display());
            console.complain(&message, Some("somebody else put it there: look at it, and remove it"));
            Exit::Refused
        }
        local::Refused::Remote(folder, kind) => {
            let message = format!(
                "the stack's lock would lie in `{}`, which is {kind}: other machines share it, and locks on it are not sure",
                folder.display()
            );
            let hint = "name a folder of this machine in `PORTCULLIS_LOCK_DIR`, and for several machines write \
                        `lock = { s3 = \"bucket/prefix\" }` into the spec";
            console.complain(&message, Some(hint));
            Exit::Refused
        }
    }
}
