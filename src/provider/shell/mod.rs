//! Running scripts of ours on a host: on this machine, by the system's ssh, or through a command of the spec.
//!
//! Whatever the way, it ends in `sh -s`, the script comes on its standard input, and what it prints on its standard output
//! is given back. Nothing of a spec or of a script is ever part of a command line that a shell reads: user, host and the
//! arguments of a command are handed to the system as they are.

mod child;
mod command;
mod local;
mod ssh;

use std::fmt;

use crate::model::Target;
use crate::port::{Script, Shell, ShellError};

use command::Command;
use local::Local;
use ssh::Ssh;

/// Makes the shells of one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shells {
    /// Whether commands of the spec may run. The command line asks for it first; this is the lock behind that door.
    pub allow_command: bool,
}

impl Shells {
    /// The way to a target.
    ///
    /// # Errors
    /// When it is a command and those may not run, or when there is no place for the sockets of shared connections.
    pub fn open(self, target: &Target) -> Result<AnyShell, ShellError> {
        Ok(AnyShell(match target {
            Target::Local { sudo } => Way::Local(Local { sudo: *sudo }),
            Target::Ssh { user, host, port, sudo } => Way::Ssh(Ssh::new(user.as_deref(), host, *port, *sudo)?),
            Target::Command { argv } if self.allow_command => Way::Command(Command { argv: argv.clone() }),
            Target::Command { argv: _ } => {
                let why = "the spec reaches this host through a command, and commands of a spec run only with \
                           `--allow-command`";
                return Err(unreached(why));
            }
        }))
    }
}

/// A way to a host.
#[derive(Debug)]
pub struct AnyShell(Way);

#[derive(Debug)]
enum Way {
    Local(Local),
    Ssh(Ssh),
    Command(Command),
}

impl Shell for AnyShell {
    async fn run(&self, script: &Script) -> Result<Vec<u8>, ShellError> {
        match &self.0 {
            Way::Local(local) => local.run(script).await,
            Way::Ssh(ssh) => ssh.run(script).await,
            Way::Command(command) => command.run(script).await,
        }
    }

    async fn run_anew(&self, script: &Script) -> Result<Vec<u8>, ShellError> {
        match &self.0 {
            Way::Local(local) => local.run(script).await,
            Way::Ssh(ssh) => ssh.run_anew(script).await,
            // A command has no connection of ours to share: every run is a new one.
            Way::Command(command) => command.run(script).await,
        }
    }
}

/// What keeps a script from running at all.
fn unreached(why: impl fmt::Display) -> ShellError {
    ShellError { reached: false, code: None, detail: why.to_string() }
}
