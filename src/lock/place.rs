//! Where the file of a local lock is.
//!
//! All runs on a machine must come to the same file, whoever runs them and from where: a shell, a cron job, a service. So
//! neither the working directory counts, nor `XDG_RUNTIME_DIR`, which a cron job has not. The rule:
//!
//! 1. the folder that `PORTCULLIS_LOCK_DIR` names;
//! 2. else `/run/lock`, where everybody may make files and nobody may remove another's (mode 1777);
//! 3. else `locks` in the user's state directory (`XDG_STATE_HOME`, or `~/.local/state`): there, runs of one user exclude each
//!    other, and those of two users do not.
//!
//! A simulated world is a file, and its lock lies beside it: whatever the stack, two applies would write one over the other.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::{AccountId, StackName};

/// The folder that is everybody's.
const SHARED: &str = "/run/lock";

/// File systems that other machines share, by the type that `proc_pid_mountinfo(5)` shows. A lock on one is the other machine's
/// to keep, or nobody's: who holds it is not freed with the process, and some free it while the process runs.
const REMOTE: [&str; 13] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ncpfs",
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.rclone",
    "fuse.glusterfs",
    "fuse.goofys",
    "fuse.gcsfuse",
];

/// The folder of local locks.
///
/// # Errors
/// When there is none, and why.
pub fn folder(variable: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, String> {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = path("PORTCULLIS_LOCK_DIR") {
        return if named.is_absolute() {
            Ok(named)
        } else {
            Err("`PORTCULLIS_LOCK_DIR` is no absolute path".to_owned())
        };
    }
    if is_shared(Path::new(SHARED)) {
        return Ok(PathBuf::from(SHARED));
    }
    let state = path("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let home = path("HOME").map(|home| home.join(".local/state"));
    state
        .or(home)
        .map(|state| state.join("portcullis/locks"))
        .ok_or_else(|| format!("`{SHARED}` is not there for everybody, and neither `XDG_STATE_HOME` nor `HOME` is set"))
}

/// Whether everybody may make files in a folder, and nobody may remove another's.
fn is_shared(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::symlink_metadata(folder).map(|found| (found.is_dir(), found.permissions().mode()));
    mode.is_ok_and(|(is_folder, mode)| is_folder && mode & 0o1777 == 0o1777)
}

/// The name of a stack's file. Names of stacks and accounts hold neither slashes nor dots.
#[must_use]
pub fn file(account: Option<&AccountId>, stack: &StackName) -> String {
    format!("portcullis-{}.lock", key(account, stack))
}

/// What is locked: a stack of an account, or one of hosts alone.
#[must_use]
pub fn key(account: Option<&AccountId>, stack: &StackName) -> String {
    match account {
        Some(account) => format!("{account}-{stack}"),
        None => format!("hosts-{stack}"),
    }
}

/// The file of a world's lock, whichever way leads to the world.
///
/// # Errors
/// When the world's folder is not there.
pub fn beside(world: &Path) -> io::Result<PathBuf> {
    if let Ok(real) = world.canonicalize() {
        return Ok(real.with_extension("lock"));
    }
    // Nobody has used it yet.
    let folder = world.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = world.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
    Ok(folder.canonicalize()?.join(name).with_extension("lock"))
}

/// The type of the file system that a folder is on, if other machines share it.
///
/// # Errors
/// When the folder is not there.
pub fn remote(folder: &Path) -> io::Result<Option<String>> {
    let real = folder.canonicalize()?;
    // Where the system has no such table, nothing can be told, and a lock is a lock.
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Ok(filesystem(&table, &real).filter(|kind| REMOTE.contains(kind)).map(str::to_owned))
}

/// The type of the file system that a path is on: of all mounts above it, the deepest, and of those at one place the last.
fn filesystem<'a>(table: &'a str, path: &Path) -> Option<&'a str> {
    let mounts = table.lines().filter_map(|line| {
        let (mount, rest) = line.split_once(" - ")?;
        let point = PathBuf::from(unescaped(mount.split(' ').nth(4)?));
        path.starts_with(&point).then(|| (point.components().count(), rest.split(' ').next().unwrap_or_default()))
    });
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// Spaces and their like stand in octal: `\040`.
fn unescaped(text: &str) -> String {
    ["\\040= ", "\\011=\t", "\\012=\n", "\\134=\\"].iter().fold(text.to_owned(), |text, pair| {
        pair.split_once('=').map_or_else(|| text.clone(), |(code, plain)| text.replace(code, plain))
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{file, filesystem, folder, is_shared};
    use crate::model::{AccountId, StackName};

    const TABLE: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        25 22 0:23 / /run rw - tmpfs tmpfs rw\n\
        26 22 0:44 / /home rw,relatime - nfs4 files:/home rw,vers=4.2\n\
        27 26 0:45 / /home/a\\040b rw - ext4 /dev/vdb rw\n\
        28 22 0:46 / /mnt rw - ext4 /dev/vdc rw\n\
        29 28 0:47 / /mnt rw - cifs //files/share rw\n";

    #[test]
    fn the_deepest_mount_is_the_one() {
        for (path, kind) in [
            ("/etc", "ext4"),
            ("/run/lock", "tmpfs"),
            ("/runner", "ext4"),
            ("/home/me/.local/state", "nfs4"),
            ("/home/a b/c", "ext4"),
            ("/mnt/x", "cifs"),
        ] {
            assert_eq!(filesystem(TABLE, Path::new(path)), Some(kind), "{path}");
        }
        assert_eq!(filesystem("", Path::new("/")), None);
    }

    #[test]
    fn the_folder_is_one_for_all_runs() {
        let given = |name: &str| match name {
            "PORTCULLIS_LOCK_DIR" => Some("/var/locks".to_owned()),
            _ => None,
        };
        assert_eq!(folder(&given), Ok(PathBuf::from("/var/locks")));
        assert!(folder(&|_| Some("locks".to_owned())).is_err(), "a relative folder depends on who asks");
        // Whatever else differs from run to run does not count.
        let session = |name: &str| (name == "XDG_RUNTIME_DIR" || name == "HOME").then(|| "/home/me".to_owned());
        let cron = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        assert_eq!(folder(&session), folder(&cron));
    }

    #[test]
    fn only_a_sticky_folder_of_all_is_shared() {
        use std::os::unix::fs::PermissionsExt;
        let here = tempfile::tempdir().unwrap();
        for (mode, shared) in [(0o1777, true), (0o777, false), (0o1755, false), (0o700, false)] {
            std::fs::set_permissions(here.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_shared(here.path()), shared, "{mode:o}");
        }
        std::fs::set_permissions(here.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        let link = here.path().join("link");
        std::os::unix::fs::symlink(here.path(), &link).unwrap();
        assert!(!is_shared(&link), "a link may be somebody's");
    }

    #[test]
    fn a_stack_has_one_file_in_each_account() {
        let stack = StackName::new("shop").unwrap();
        let account = AccountId::new("123456789012").unwrap();
        assert_eq!(file(Some(&account), &stack), "portcullis-123456789012-shop.lock");
        assert_eq!(file(None, &stack), "portcullis-hosts-shop.lock");
    }
}
