//! Who holds a stack's lock, in words.

use core::fmt::Write;
use core::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::style::safe;
use crate::lock::lease::{Former, Sight, Terms};
use crate::lock::process::Life;
use crate::lock::{Bond, Busy, Holder};
use crate::model::duration::Seconds;
use crate::model::{AccountId, StackName};

/// The version of the document.
pub const FORMAT_VERSION: u32 = 1;

/// What `lock show --format json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockDoc {
    /// The version of this document.
    pub format_version: u32,
    /// The stack.
    pub stack: StackName,
    /// The account; absent for a stack of hosts alone, and in a simulated world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The lock on this machine.
    pub local: LockStateDoc,
    /// The lock that several machines share; absent where the spec names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LockStateDoc>,
}

/// One lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockStateDoc {
    /// What is locked: the path of a file, or the name of an object.
    pub place: String,
    /// Whether somebody holds it.
    pub held: bool,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderDoc>,
    /// Of a lease: its number among all holders so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Of a lease that is held: in how many seconds it ends unless it is renewed; 0 when the next apply takes it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_in: Option<u64>,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HolderDoc {
    /// What `lock break --id` takes.
    pub id: String,
    /// The command.
    pub command: String,
    /// The user.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The number of its process; absent when no process that can be seen from here is the one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Since when (RFC 3339).
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// The page of its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// The lock on this machine.
#[must_use]
pub fn local(place: String, busy: Option<&Busy>) -> LockStateDoc {
    let holder = busy.and_then(|busy| Some((busy.holder.as_ref()?, busy.bond)));
    let holder = holder.map(|(holder, bond)| doc(holder, matches!(bond, Bond::Local(Life::Runs | Life::Suspended))));
    LockStateDoc { place, held: busy.is_some(), holder, epoch: None, ends_in: None }
}

/// The lock that several machines share.
#[must_use]
pub fn lease(place: String, seen: Option<&Sight>) -> LockStateDoc {
    let held = seen.filter(|sight| sight.record.released.is_none());
    LockStateDoc {
        place,
        held: held.is_some(),
        holder: held.map(|sight| doc(&sight.record.holder, true)),
        epoch: seen.map(|sight| sight.record.epoch),
        ends_in: held.and_then(|sight| {
            let left = Terms::of(sight.record.ttl).over().saturating_sub(sight.age?);
            Some(left.as_secs())
        }),
    }
}

fn doc(holder: &Holder, with_process: bool) -> HolderDoc {
    HolderDoc {
        id: holder.id.clone(),
        command: holder.command.clone(),
        user: holder.user.clone(),
        host: holder.host.clone(),
        pid: with_process.then_some(holder.process.pid),
        since: holder.since,
        run: holder.run.clone(),
    }
}

/// The document for people.
#[must_use]
pub fn terminal(doc: &LockDoc) -> String {
    let account = doc.account.as_ref().map(|account| format!(" of account {account}")).unwrap_or_default();
    let mut text = format!("Locks of stack {}{account}\n\n  on this machine: {}", doc.stack, state(&doc.local));
    if let Some(lease) = &doc.lease {
        text.push_str("  in the bucket: ");
        text.push_str(&state(lease));
    }
    text
}

fn state(lock: &LockStateDoc) -> String {
    let place = safe(&lock.place);
    let Some(holder) = &lock.holder else {
        let word = if lock.held { "held by somebody who does not say who" } else { "free" };
        return format!("{word}\n    {place}\n");
    };
    let process = holder.pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
    let mut text = format!(
        "held by {}@{}{process}, which runs `{}` since {}\n",
        holder.user,
        holder.host,
        holder.command,
        at(holder.since)
    );
    if let Some(run) = &holder.run {
        let _ = writeln!(text, "    {run}");
    }
    let _ = writeln!(text, "    {place}");
    if lock.epoch.is_some() {
        let end = match lock.ends_in {
            Some(0) => "its time is over: the next apply takes it over".to_owned(),
            Some(left) => format!("it ends in {left}s unless it is renewed"),
            None => "the store does not say when it was renewed".to_owned(),
        };
        let _ = writeln!(text, "    id {}; {end}", holder.id);
    }
    safe(&text)
}

/// Who holds the lock that an apply wants, and what to do about it.
#[must_use]
pub fn busy(stack: &StackName, busy: &Busy) -> (String, String) {
    (format!("stack `{stack}` is locked {}", by(busy)), hint(busy))
}

/// What is said when somebody waits for it.
#[must_use]
pub fn waiting(stack: &StackName, busy: &Busy, timeout: Seconds) -> String {
    format!("waiting for at most {timeout}: stack `{stack}` is locked {}", by(busy))
}

fn by(busy: &Busy) -> String {
    let place = &busy.place;
    let text = match (&busy.holder, busy.bond) {
        (None, _) => format!("by somebody who does not say who (`{place}`)"),
        (Some(holder), Bond::Local(Life::Unseen)) => format!(
            "by somebody who cannot be seen from here: `{place}` names process {} of {}@{}, which does not run here any \
             more, or runs in another namespace",
            holder.process.pid, holder.user, holder.host
        ),
        (Some(holder), Bond::Local(life)) => {
            let suspended = if life == Life::Suspended { " (suspended)" } else { "" };
            format!(
                "by {}@{}, process {}{suspended}, which runs `{}` since {}{}",
                holder.user,
                holder.host,
                holder.process.pid,
                holder.command,
                at(holder.since),
                run(holder)
            )
        }
        (Some(holder), Bond::Lease(_)) => format!(
            "by {}@{}, which runs `{}` since {}{} (`{place}`)",
            holder.user,
            holder.host,
            holder.command,
            at(holder.since),
            run(holder)
        ),
    };
    safe(&text)
}

fn hint(busy: &Busy) -> String {
    const WAIT: &str = "wait for it with `--lock-timeout 10m`";
    match (&busy.holder, busy.bond) {
        (Some(holder), Bond::Local(Life::Runs)) => {
            format!("{WAIT}, or end process {}: the lock ends with it", holder.process.pid)
        }
        (Some(holder), Bond::Local(Life::Suspended)) => {
            let pid = holder.process.pid;
            format!("`kill -CONT {pid}` lets it go on, `kill -9 {pid}` ends it, and the lock with it")
        }
        (_, Bond::Local(_)) => {
            let place = safe(&busy.place);
            format!("{WAIT}; as root, `fuser {place}` tells which process has it, and the lock ends with that process")
        }
        (holder, Bond::Lease(left)) => {
            let end = match left {
                Some(left) => format!("; it ends in {} unless it is renewed", whole(left)),
                None => String::new(),
            };
            let id = holder.as_ref().map(|holder| holder.id.as_str()).unwrap_or_default();
            let force = format!("`portcullis lock break SPEC... --id {}`", safe(id));
            format!("{WAIT}{end}; if that run is certainly dead, {force} ends it now")
        }
    }
}

/// What is said of the lease that this one follows, where it did not end well.
#[must_use]
pub fn former(former: &Former) -> Option<String> {
    let text = match former {
        Former::Released => return None,
        Former::Broken(holder, who) => {
            format!("note: {who} broke the lock of {}@{}{}", holder.user, holder.host, run(holder))
        }
        Former::Expired(holder) => format!(
            "note: took the lock over from {}@{}{}, which did not renew it: what that run began is in this plan",
            holder.user,
            holder.host,
            run(holder)
        ),
    };
    Some(safe(&text))
}

fn run(holder: &Holder) -> String {
    holder.run.as_ref().map(|run| format!(", {run}")).unwrap_or_default()
}

/// A moment, to the second.
fn at(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A duration in whole seconds, none of them lost.
fn whole(left: Duration) -> Seconds {
    Seconds(left.as_secs() + u64::from(left.subsec_nanos() > 0))
}

/// What is said when a lease was broken.
#[must_use]
pub fn broken(stack: &StackName, holder: &Holder) -> String {
    let whose = format!("{}@{}{}", holder.user, holder.host, run(holder));
    safe(&format!("broke the lock {} of stack `{stack}`, which {whose} held since {}\n", holder.id, at(holder.since)))
}
