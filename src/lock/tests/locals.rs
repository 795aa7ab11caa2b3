//! The lock on this machine, with files of its own.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::holder;
use crate::lock::clock::Machine;
use crate::lock::local::{Refused, Sharing, look, take, try_take};
use crate::lock::process::Life;
use crate::lock::{Bond, Patience, Process};

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis-hosts-shop.lock");
    (folder, path)
}

#[test]
fn one_holds_it_and_it_ends_with_the_holder() {
    let (_folder, path) = file();
    assert_eq!(look(&path).unwrap(), None, "nobody made it yet");
    let held = try_take(&path, &holder("ann")).unwrap();
    let Err(Refused::Busy(busy)) = try_take(&path, &holder("bob")) else { panic!("two hold it") };
    assert_eq!(busy.holder.as_ref(), Some(&holder("ann")));
    assert_eq!(busy.bond, Bond::Local(Life::Runs));
    assert_eq!(look(&path).unwrap(), Some(*busy));
    let inode = std::fs::metadata(&path).unwrap().ino();
    drop(held);
    assert_eq!(look(&path).unwrap(), None);
    drop(try_take(&path, &holder("bob")).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode, "it is never removed");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0, "it names nobody who does not hold it");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666, "everybody may lock it");
}

#[test]
fn what_a_dead_holder_wrote_holds_nothing() {
    let (_folder, path) = file();
    std::fs::write(&path, serde_json::to_string(&holder("ann")).unwrap()).unwrap();
    assert_eq!(look(&path).unwrap(), None);
    let _held = try_take(&path, &holder("bob")).unwrap();
    assert_eq!(look(&path).unwrap().unwrap().holder, Some(holder("bob")));
}

#[test]
fn a_number_that_is_used_again_names_nobody() {
    let (_folder, path) = file();
    // The number is ours, and the beginning is another's.
    let own = Process::own();
    let forged = Process { started: own.started.map(|ticks| ticks + 1), ..own };
    let _held = try_take(&path, &crate::lock::Holder { process: forged, ..holder("ann") }).unwrap();
    assert_eq!(look(&path).unwrap().unwrap().bond, Bond::Local(Life::Unseen));
}

#[test]
fn what_cannot_be_read_names_nobody() {
    let (_folder, path) = file();
    let _held = try_take(&path, &holder("ann")).unwrap();
    for text in [&b""[..], b"{", b"\xff\xfe", b"{\"id\": 4}"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(look(&path).unwrap().unwrap().holder, None);
    }
}

#[test]
fn a_child_does_not_inherit_it() {
    let (_folder, path) = file();
    let held = try_take(&path, &holder("ann")).unwrap();
    let mut child =
        Command::new("sh").args(["-c", "echo here; cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It runs, and has had its program's own files since.
    let mut word = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).unwrap();
    drop(held);
    drop(try_take(&path, &holder("bob")).unwrap());
    child.stdin.take().unwrap().write_all(b"end\n").unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn traps_are_not_stepped_into() {
    let (folder, path) = file();
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "keep me").unwrap();
    std::os::unix::fs::symlink(&precious, &path).unwrap();
    assert!(matches!(try_take(&path, &holder("ann")), Err(Refused::Trap(_))), "a link");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &path).unwrap();
    assert!(matches!(try_take(&path, &holder("ann")), Err(Refused::Trap(_))), "a link to nothing");
    assert!(!folder.path().join("nowhere").exists());
    std::fs::remove_file(&path).unwrap();
    std::fs::hard_link(&precious, &path).unwrap();
    assert!(matches!(try_take(&path, &holder("ann")), Err(Refused::Trap(_))), "another name of a file");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(try_take(&path, &holder("ann")), Err(Refused::Trap(_))), "a folder");
    std::fs::remove_dir(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(matches!(try_take(&path, &holder("ann")), Err(Refused::Trap(_))), "a pipe, which nobody waits for");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "keep me");
}

#[tokio::test]
async fn whoever_waits_gets_it_and_hears_of_it_once() {
    let (folder, _) = file();
    let path = folder.path().join("made/on/the/way/x.lock");
    let clock = Machine::start();
    let mut nobody = |_: &crate::lock::Busy| panic!("nobody holds it");
    let mut none = Patience::new(&clock, Duration::ZERO, &mut nobody);
    let held = take(&path, Sharing::Refused, &holder("ann"), &mut none).await.unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let mut tell = |busy: &crate::lock::Busy| tell.send(busy.holder.as_ref().unwrap().user.clone()).unwrap();
    let mut patience = Patience::new(&clock, Duration::from_mins(10), &mut tell);
    let bob = holder("bob");
    let wait = take(&path, Sharing::Refused, &bob, &mut patience);
    tokio::pin!(wait);
    // It is let go only once somebody is known to wait.
    let heard = loop {
        tokio::select! {
            _ = &mut wait => panic!("two hold it"),
            () = tokio::task::yield_now() => {}
        }
        if let Ok(name) = told.try_recv() {
            break name;
        }
    };
    assert_eq!(heard, "ann");
    drop(held);
    let second = wait.await.unwrap();
    assert!(told.try_recv().is_err(), "it is said once");
    drop(second);
}
