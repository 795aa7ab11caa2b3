//! One child process that reads a script: its time limit, and what is made of its end.

use std::io::{Read, Seek, SeekFrom};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::unreached;
use crate::port::{Script, ShellError};

/// How many bytes of standard error are kept: its end says why something ended.
const TAIL: u64 = 4096;

/// Runs a script by a command that reads it from its standard input, and gives what was printed.
///
/// The child is the head of a process group of its own: an interrupt from the terminal is for us, who then decide what is
/// awaited, and a limit that passes ends everything that the child began.
///
/// # Errors
/// When the command cannot be started, takes too long, or does not end with 0. `lost` tells from the exit code whether
/// it is the transport's own, which means that the host was not reached.
pub(super) async fn run(
    mut command: Command,
    script: &Script,
    lost: impl Fn(i32) -> bool,
) -> Result<Vec<u8>, ShellError> {
    // A file, not a pipe: whatever stays behind with the other end of it, such as ssh's shared connection, would keep a
    // pipe open for ever.
    let mut errors = tempfile::tempfile().map_err(|why| unreached(format!("no temporary file: {why}")))?;
    let stderr = errors.try_clone().map_err(|why| unreached(format!("no temporary file: {why}")))?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(stderr));
    command.process_group(0).kill_on_drop(true);
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|why| unreached(format!("`{program}` cannot be started: {why}")))?;
    let group = child.id();
    let limit = Duration::from_secs(script.timeout.0);
    let ended = tokio::time::timeout(limit, talk(&mut child, script.text.as_bytes())).await;
    let said = tail(&mut errors);
    match ended {
        Ok(Ok((code, printed))) => match code {
            Some(0) => Ok(printed),
            Some(code) if lost(code) => Err(ShellError { reached: false, code: Some(code), detail: said }),
            code => Err(ShellError { reached: true, code, detail: said }),
        },
        Ok(Err(why)) => {
            end(group, &mut child).await;
            Err(ShellError {
                reached: true,
                code: None,
                detail: with(&format!("talking to `{program}`: {why}"), &said),
            })
        }
        Err(_) => {
            end(group, &mut child).await;
            let why = format!("no answer within {}", script.timeout);
            // The script may have begun: only who answers proves that it did not.
            Err(ShellError { reached: true, code: None, detail: with(&why, &said) })
        }
    }
}

/// Feeds the script, reads what is printed, and waits for the end.
async fn talk(child: &mut Child, text: &[u8]) -> std::io::Result<(Option<i32>, Vec<u8>)> {
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let feed = async {
        if let Some(mut input) = input {
            // A script that ends early, or a login that is refused, closes the pipe: the exit code says what happened.
            let _ = input.write_all(text).await;
            let _ = input.shutdown().await;
        }
    };
    let read = async {
        let mut printed = Vec::new();
        if let Some(mut output) = output {
            output.read_to_end(&mut printed).await?;
        }
        Ok::<_, std::io::Error>(printed)
    };
    let ((), printed) = tokio::join!(feed, read);
    let status = child.wait().await?;
    Ok((status.code(), printed?))
}

/// Ends the child and what it began: its process group.
async fn end(group: Option<u32>, child: &mut Child) {
    if let Some(group) = group {
        let mut kill = Command::new("kill");
        kill.args(["-s", "KILL", "--", &format!("-{group}")]);
        kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = kill.status().await;
    }
    let _ = child.start_kill();
    let _ = child.wait().await;
}

/// The end of what was written to standard error, as one line: ssh ends its own with a carriage return too, and what a host
/// prints may hold orders for a terminal.
fn tail(file: &mut std::fs::File) -> String {
    let length = file.metadata().map(|about| about.len()).unwrap_or_default();
    let mut text = Vec::new();
    if file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).is_ok() {
        let _ = file.take(TAIL).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(|line| line.replace(char::is_control, " ").trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

fn with(why: &str, said: &str) -> String {
    if said.is_empty() { why.to_owned() } else { format!("{why}; it said: {said}") }
}
