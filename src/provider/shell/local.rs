//! This machine.

use tokio::process::Command;

use super::child;
use crate::port::{Script, ShellError};

/// A shell on this machine.
#[derive(Debug)]
pub(super) struct Local {
    /// Whether `sudo -n` goes before it.
    pub(super) sudo: bool,
}

impl Local {
    /// Runs a script. Its first argument is how this process's own user is connected, where that is known.
    ///
    /// # Errors
    /// As [`child::run`].
    pub(super) async fn run(&self, script: &Script) -> Result<Vec<u8>, ShellError> {
        let mut command = if self.sudo { Command::new("sudo") } else { Command::new("sh") };
        if self.sudo {
            command.args(["-n", "--", "sh"]);
        }
        command.args(["-s", "--"]).arg(std::env::var_os("SSH_CONNECTION").unwrap_or_default());
        child::run(command, script, |_| false).await
    }
}
