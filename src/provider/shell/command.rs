//! A command of the spec that leads to a host, as `ip netns exec gw` or `docker exec -i web`.

use tokio::process;

use super::{child, unreached};
use crate::port::{Script, ShellError};

/// The command, to which `sh -s` is appended.
#[derive(Debug)]
pub(super) struct Command {
    /// The command and its arguments, as they are given to the system: no shell reads them.
    pub(super) argv: Vec<String>,
}

impl Command {
    /// Runs a script.
    ///
    /// # Errors
    /// As [`child::run`].
    pub(super) async fn run(&self, script: &Script) -> Result<Vec<u8>, ShellError> {
        let Some((program, arguments)) = self.argv.split_first() else {
            return Err(unreached("the command is empty"));
        };
        let mut command = process::Command::new(program);
        command.args(arguments).args(["sh", "-s"]);
        // How we are connected to this machine says nothing of the host behind the command; if that is reached by ssh,
        // its own daemon sets this.
        command.env_remove("SSH_CONNECTION");
        child::run(command, script, |_| false).await
    }
}
