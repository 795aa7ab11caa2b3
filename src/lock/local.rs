//! The lock on this machine: a file that is never removed, which the kernel locks for a process and frees on any death of
//! it (flock(2)). What is written in it only tells who that is.
//!
//! The file may lie where everybody makes files, so what is there may be somebody's trap: a link is not followed, nothing
//! but a plain file of one name is written to, and what is read is shown, never believed. Everybody may lock it, as whoever
//! may not would not be kept from applying either.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::Life;
use super::{Bond, Busy, Holder, Patience, place};

/// How often a lock that is held is tried before it counts as held, and how long lies between: who only looks holds it for
/// a moment, and a new holder has not said yet who it is.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(20);
/// How often whoever waits looks again.
const POLL: Duration = Duration::from_millis(250);
/// What a holder writes is a few hundred bytes.
const MOST: u64 = 64 * 1024;

/// A lock that is held until this is dropped, or the process ends.
#[derive(Debug)]
pub struct Held {
    file: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Nobody holds it from here on. A text that stays behind, as after a death, misleads nobody: the kernel knows.
        let _ = self.file.set_len(0);
        // Not by closing it alone: a child that is being started has the file open, too, until it runs its own program.
        let _ = self.file.unlock();
    }
}

/// Why a lock is not held.
#[derive(Debug)]
pub enum Refused {
    /// Somebody else holds it.
    Busy(Box<Busy>),
    /// Its file cannot be used.
    Io(PathBuf, io::Error),
    /// Its file is no plain file of one name.
    Trap(PathBuf),
    /// Its folder is on a file system of other machines.
    Remote(PathBuf, String),
}

/// Whose files other machines may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The lock protects what all machines share: its file must be this machine's own.
    Refused,
    /// The lock protects a file in the same folder.
    Borne,
}

/// Takes the lock as soon as nobody has it, for as long as patience lasts.
///
/// # Errors
/// Why it is not held.
pub async fn take(
    path: &Path,
    sharing: Sharing,
    holder: &Holder,
    patience: &mut Patience<'_>,
) -> Result<Held, Refused> {
    let failed = |why| Refused::Io(path.to_owned(), why);
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(failed)?;
    if sharing == Sharing::Refused
        && let Some(kind) = place::remote(folder).map_err(failed)?
    {
        return Err(Refused::Remote(folder.to_owned(), kind));
    }
    loop {
        match soon(path, holder).await {
            Err(Refused::Busy(busy)) if patience.wait(&busy, POLL).await => {}
            other => return other,
        }
    }
}

/// Takes the lock now.
///
/// # Errors
/// Why it is not held.
pub fn try_take(path: &Path, holder: &Holder) -> Result<Held, Refused> {
    let failed = |why| Refused::Io(path.to_owned(), why);
    loop {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Refused::Busy(Box::new(busy(path, &mut file)))),
            Err(TryLockError::Error(why)) => return Err(failed(why)),
        }
        // Somebody may have removed the file after it was opened: then this locks what nobody else will find.
        if !is_there(path, &file).map_err(failed)? {
            continue;
        }
        let held = Held { file };
        held.write(holder).map_err(failed)?;
        return Ok(held);
    }
}

/// Who holds the lock; none when nobody does.
///
/// # Errors
/// When its file cannot be used.
pub fn look(path: &Path) -> Result<Option<Busy>, Refused> {
    let Some(mut file) = existing(path)? else { return Ok(None) };
    // Two who look do not disturb each other, and whoever wants it tries more than once.
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            Ok(None)
        }
        Err(TryLockError::WouldBlock) => Ok(Some(busy(path, &mut file))),
        Err(TryLockError::Error(why)) => Err(Refused::Io(path.to_owned(), why)),
    }
}

impl Held {
    fn write(&self, holder: &Holder) -> io::Result<()> {
        let mut text = serde_json::to_string(holder)?;
        text.push('\n');
        self.file.set_len(0)?;
        (&self.file).write_all(text.as_bytes())
    }
}

/// Tries for a moment.
async fn soon(path: &Path, holder: &Holder) -> Result<Held, Refused> {
    let mut last = try_take(path, holder);
    for _ in 1..TRIES {
        if !matches!(last, Err(Refused::Busy(_))) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        last = try_take(path, holder);
    }
    last
}

/// Opens the file, and makes it where there is none.
fn open(path: &Path) -> Result<File, Refused> {
    let failed = |why| Refused::Io(path.to_owned(), why);
    loop {
        // To open another user's file with `O_CREAT` is refused in a sticky folder (`fs.protected_regular`, proc_sys_fs(5)):
        // so it is opened as it is, and only made where there is none.
        if let Some(file) = existing(path)? {
            return Ok(file);
        }
        match OpenOptions::new().read(true).write(true).create_new(true).open(path) {
            Ok(file) => {
                // Whatever the umask says: who may not open it cannot be kept away by it.
                file.set_permissions(Permissions::from_mode(0o666)).map_err(failed)?;
                return Ok(file);
            }
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(failed(why)),
        }
    }
}

/// Opens the file that is there, if it is what it should be.
fn existing(path: &Path) -> Result<Option<File>, Refused> {
    let failed = |why| Refused::Io(path.to_owned(), why);
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() || found.nlink() != 1 => return Err(Refused::Trap(path.to_owned())),
        Ok(_) => {}
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(failed(why)),
    }
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(failed(why)),
    };
    // What was looked at may have been put away for a link since: nothing is written before it is the same.
    let same = file.metadata().is_ok_and(|opened| opened.is_file()) && is_there(path, &file).map_err(failed)?;
    if same { Ok(Some(file)) } else { Err(Refused::Trap(path.to_owned())) }
}

/// Whether the file of this path is the one that is open.
fn is_there(path: &Path, file: &File) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino())),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(why) => Err(why),
    }
}

/// What the file says of its holder, and what is known of the process that it names.
fn busy(path: &Path, file: &mut File) -> Busy {
    let mut text = String::new();
    let holder: Option<Holder> = match file.take(MOST).read_to_string(&mut text) {
        Ok(_) => serde_json::from_str(&text).ok(),
        Err(_) => None,
    };
    let life = holder.as_ref().map_or(Life::Unseen, |holder| holder.process.life());
    Busy { place: path.display().to_string(), holder, bond: Bond::Local(life) }
}
