//! Another machine, by the system's ssh: its configuration, agent, known hosts and jump hosts are the user's own.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use tokio::process::Command;

use super::{child, unreached};
use crate::port::{Script, ShellError};

/// ssh's own exit code: whatever the remote command ends with, this one is ssh's (`man 1 ssh`, "EXIT STATUS").
const SSH_FAILED: i32 = 255;
/// How long a connection may take to come about, in seconds.
const CONNECT: u64 = 10;

/// What the login shell of the other side reads, whichever shell it is: a fixed text that sh, fish and csh understand
/// alike. It becomes the plain `sh` that reads the script, so that nothing of a profile is left; `sudo` keeps no
/// environment, so how we are connected is handed over as an argument.
const SHELL: &str = r#"exec sh -s -- "$SSH_CONNECTION""#;
const SUDO_SHELL: &str = r#"exec sudo -n -- sh -s -- "$SSH_CONNECTION""#;

/// A shell on another machine.
#[derive(Debug)]
pub(super) struct Ssh {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    sudo: bool,
    /// Where the sockets of shared connections are; only we may enter it.
    sockets: TempDir,
    /// Counts shared connections: one that broke is not used again.
    generation: AtomicU32,
}

/// Over which connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    /// The one that earlier scripts used, if it stands.
    Shared,
    /// One of its own.
    New,
}

impl Ssh {
    /// The way to a host.
    ///
    /// # Errors
    /// When there is no place for the sockets of shared connections.
    pub(super) fn new(user: Option<&str>, host: &str, port: Option<u16>, sudo: bool) -> Result<Self, ShellError> {
        // The spec's reader refuses both; ssh would take them for options.
        if host.starts_with('-') || user.is_some_and(|user| user.starts_with('-')) {
            return Err(unreached("a host or user that begins with `-` is no host or user"));
        }
        // Whoever reaches a socket logs in as we do.
        let private = Permissions::from_mode(0o700);
        let sockets = tempfile::Builder::new().prefix("portcullis-").permissions(private).tempdir();
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            sudo,
            sockets: sockets.map_err(|why| unreached(format!("no temporary folder: {why}")))?,
            generation: AtomicU32::new(0),
        })
    }

    /// Runs a script over the shared connection.
    ///
    /// # Errors
    /// As [`child::run`].
    pub(super) async fn run(&self, script: &Script) -> Result<Vec<u8>, ShellError> {
        let ended = child::run(self.command(Connection::Shared), script, |code| code == SSH_FAILED).await;
        if ended.as_ref().is_err_and(|error| !error.reached || error.code.is_none()) {
            // The connection behind it may be dead, and everyone who shares it would wait for it in vain.
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        ended
    }

    /// Runs a script over a connection of its own.
    ///
    /// # Errors
    /// As [`child::run`].
    pub(super) async fn run_anew(&self, script: &Script) -> Result<Vec<u8>, ShellError> {
        // Who asks for a new connection has changed what connections may do: the shared one may be cut, and whoever uses it
        // next would wait for it in vain.
        self.generation.fetch_add(1, Ordering::Relaxed);
        child::run(self.command(Connection::New), script, |code| code == SSH_FAILED).await
    }

    fn command(&self, connection: Connection) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.arguments(connection));
        command
    }

    fn arguments(&self, connection: Connection) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["-T".into(), "-x".into(), "-a".into()];
        let mut option = |text: String| arguments.extend(["-o".into(), text.into()]);
        // Nobody is there to answer a question.
        option("BatchMode=yes".to_owned());
        option(format!("ConnectTimeout={CONNECT}"));
        option("ServerAliveInterval=3".to_owned());
        option("ServerAliveCountMax=3".to_owned());
        option("PermitLocalCommand=no".to_owned());
        option("ForwardX11=no".to_owned());
        option("ClearAllForwardings=yes".to_owned());
        option("RemoteCommand=none".to_owned());
        match connection {
            Connection::Shared => {
                let generation = self.generation.load(Ordering::Relaxed);
                option("ControlMaster=auto".to_owned());
                // Long enough for the steps of one run to share it, short enough to leave nothing behind.
                option("ControlPersist=15".to_owned());
                let mut path = OsString::from("ControlPath=");
                path.push(self.sockets.path().join(format!("s{generation}")));
                arguments.extend(["-o".into(), path]);
            }
            Connection::New => {
                option("ControlMaster=no".to_owned());
                option("ControlPath=none".to_owned());
            }
        }
        if let Some(user) = &self.user {
            arguments.extend(["-l".into(), user.into()]);
        }
        if let Some(port) = self.port {
            arguments.extend(["-p".into(), port.to_string().into()]);
        }
        let shell = if self.sudo { SUDO_SHELL } else { SHELL };
        arguments.extend(["--".into(), self.host.as_str().into(), shell.into()]);
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(ssh: &Ssh, connection: Connection) -> Vec<String> {
        ssh.arguments(connection).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn the_host_stands_behind_the_options_and_alone() {
        let ssh = Ssh::new(Some("admin"), "2001:db8::1", Some(2222), true).unwrap();
        let words = words(&ssh, Connection::New);
        let tail: Vec<&str> = words.iter().rev().take(3).rev().map(String::as_str).collect();
        assert_eq!(tail, ["--", "2001:db8::1", SUDO_SHELL]);
        assert!(words.windows(2).any(|pair| pair == ["-l", "admin"]));
        assert!(words.windows(2).any(|pair| pair == ["-p", "2222"]));
    }

    #[test]
    fn a_new_connection_shares_nothing() {
        let ssh = Ssh::new(None, "gw", None, false).unwrap();
        let anew = words(&ssh, Connection::New);
        assert!(anew.contains(&"ControlPath=none".to_owned()) && anew.contains(&"ControlMaster=no".to_owned()));
        assert!(words(&ssh, Connection::Shared).contains(&"ControlMaster=auto".to_owned()));
    }

    #[test]
    fn nobody_else_reaches_the_shared_connection() {
        let ssh = Ssh::new(None, "gw", None, false).unwrap();
        let mode = ssh.sockets.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn what_looks_like_an_option_is_no_host() {
        assert!(Ssh::new(None, "-oProxyCommand=reboot", None, false).is_err());
        assert!(Ssh::new(Some("-x"), "gw", None, false).is_err());
    }
}
