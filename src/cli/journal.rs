//! Where the journal of an apply is kept.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;

use jiff::Timestamp;

use super::args::{ConsentArgs, WorldArgs};
use super::console::Console;
use super::exit::Exit;
use crate::apply::journal::Lines;
use crate::resources::stack::Stack;

/// Opens the journal: where the command line says, beside a world file, else in the state directory of the XDG base
/// directory specification.
///
/// # Errors
/// When it cannot be opened; nothing is started then.
pub fn open(consent: &ConsentArgs, world: &WorldArgs, stack: &Stack, console: &Console) -> Result<Lines<File>, Exit> {
    let path = path(consent, world, stack);
    let opened = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| private(&path));
    let file = opened.map_err(|why| {
        let message = format!("the journal `{}` cannot be opened: {why}", path.display());
        console.error(&message, Some("name another file with `--journal FILE`"))
    })?;
    console.talk(&format!("journal: {}", path.display()));
    Ok(Lines::new(file, || Timestamp::now().to_string()))
}

/// A file that only its owner reads: a journal holds addresses and user data.
fn private(path: &std::path::Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn path(consent: &ConsentArgs, world: &WorldArgs, stack: &Stack) -> PathBuf {
    if let Some(path) = &consent.journal {
        return path.clone();
    }
    if let Some(world) = &world.world {
        return world.with_extension("journal.jsonl");
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let folder = state.or(home).unwrap_or_else(|| PathBuf::from("."));
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    folder.join("portcullis").join(format!("{}-{time}.journal.jsonl", stack.name))
}
