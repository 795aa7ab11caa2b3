//! How a host is reached.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CloudId;

/// How a host is reached. It comes from the spec, which others may write: nothing of it is ever given to a shell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// This machine.
    Local {
        /// Whether `sudo -n` goes before what is run.
        #[serde(default)]
        sudo: bool,
    },
    /// Another, by the system's ssh.
    Ssh {
        /// Who logs in; the ssh configuration's choice when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// The name or address, or a `Host` of the ssh configuration. It never begins with `-`.
        host: String,
        /// The port; the ssh configuration's choice when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// Whether `sudo -n` goes before what is run.
        #[serde(default)]
        sudo: bool,
    },
    /// Through a command, to which `sh -s` is appended. Runs only with `--allow-command`.
    Command {
        /// The command and its arguments, as they are given to the system.
        argv: Vec<String>,
    },
}

impl Target {
    /// The host's id among objects: `local`, `root@gw.example.com:22`, or the command.
    #[must_use]
    pub fn id(&self) -> CloudId {
        CloudId::new(self.to_string())
    }

    /// Whether a connection leads to it, so that a new one can prove that it still answers.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        !matches!(self, Self::Local { .. })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { sudo: _ } => f.write_str("local"),
            Self::Ssh { user, host, port, sudo: _ } => {
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                if host.contains(':') {
                    write!(f, "[{host}]")?;
                } else {
                    f.write_str(host)?;
                }
                match port {
                    Some(port) => write!(f, ":{port}"),
                    None => Ok(()),
                }
            }
            Self::Command { argv } => f.write_str(&argv.join(" ")),
        }
    }
}
