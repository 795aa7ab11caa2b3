//! A way from the loopback of a host in a network namespace to a port of this machine.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use tempfile::TempDir;
use tokio::net::{TcpStream, UnixListener};

use super::host::Host;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/support/relay.py");

/// A relay, as long as it lives.
pub struct Relay {
    /// The port of the host's loopback.
    pub port: u16,
    child: Child,
    task: tokio::task::JoinHandle<()>,
    _folder: TempDir,
}

impl Relay {
    /// From a host to a port of this machine's loopback.
    pub fn new(host: &Host, to: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("relay");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let task = tokio::spawn(async move {
            while let Ok((mut one, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(mut other) = TcpStream::connect(("127.0.0.1", to)).await {
                        // Whoever goes away first is no failure of the relay.
                        tokio::io::copy_bidirectional(&mut one, &mut other).await.ok();
                    }
                });
            }
        });
        let mut command = host.command("python3");
        command.arg(SCRIPT).arg(&socket).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        Self { port: line.trim().parse().expect("a port"), child, task, _folder: folder }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
        // The script itself ends with its host.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
