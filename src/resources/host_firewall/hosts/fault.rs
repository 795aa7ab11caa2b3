//! What went wrong on a host, in the port's words.

use jiff::Timestamp;

use super::Host;
use crate::port::{Class, ProviderError, ShellError};
use crate::resources::host_firewall::script::change::Waiting;

/// The code of a host that was not reached.
pub const UNREACHABLE: &str = "HostUnreachable";
/// The code of a change that was taken back, as nobody confirmed it.
pub const ROLLED_BACK: &str = "RolledBack";
/// The code of a host on which another change waits to be confirmed.
pub const PENDING: &str = "CommitPending";

/// What sudo says when it would ask, or does not let us (sudo(8), sudoers(5)).
const SUDO_REFUSES: [&str; 5] =
    ["a password is required", "a terminal is required", "you must have a tty", "sudoers", "not allowed to execute"];
/// What ssh says when the other side does not let us in.
const LOGIN_REFUSED: [&str; 2] = ["Permission denied (", "Too many authentication failures"];

impl<S> Host<'_, S> {
    /// An error of this host.
    pub(super) fn fault(&self, class: Class, doing: &str, detail: impl Into<String>) -> ProviderError {
        ProviderError::new(class, format!("{doing} of {}", self.target), detail)
    }

    /// What a shell's error comes to. It had no effect as far as the shell knows.
    pub(super) fn shell_fault(&self, doing: &str, error: &ShellError) -> ProviderError {
        let ShellError { reached, code, detail } = error;
        let says = |words: &[&str]| words.iter().any(|word| detail.contains(word));
        let fault = |class, detail: &str| self.fault(class, doing, detail);
        if says(&SUDO_REFUSES) || (detail.contains("sudo") && *code == Some(127)) {
            let hint = "let that user run `sh` by sudo without a password and without a terminal, or log in as root";
            return fault(Class::Denied, detail).code("SudoDenied").hint(hint);
        }
        if says(&LOGIN_REFUSED) {
            let hint = "nobody is asked for a password: a key must do, from an agent or the ssh configuration";
            return fault(Class::Denied, detail).code("LoginDenied").hint(hint);
        }
        if detail.contains("Host key verification failed") {
            let hint = "the host's key must be known: log in by hand once, or add it to `known_hosts`";
            return fault(Class::Denied, detail).code("UnknownHostKey").hint(hint);
        }
        let detail = match (detail.is_empty(), code) {
            (false, _) => detail.clone(),
            (true, Some(code)) => format!("the shell ended with {code} and said nothing"),
            (true, None) => "a signal ended it".to_owned(),
        };
        if *reached {
            return fault(Class::Transient, &detail);
        }
        fault(Class::Transient, &detail).code(UNREACHABLE).hint("try `ssh` by hand: it is reached the same way")
    }

    /// Another change waits.
    pub(super) fn pending(&self, doing: &str, waiting: &Waiting) -> ProviderError {
        let Waiting { id, stack, by, until } = waiting;
        let detail = format!("change {id} of stack `{stack}` waits to be confirmed, by {by}, until {}", time(*until));
        let hint = "wait, or look with `portcullis firewall pending`, and end it with `confirm` or `rollback`";
        self.fault(Class::InUse, doing, detail).code(PENDING).hint(hint)
    }

    /// It was taken back.
    pub(super) fn rolled_back(&self, doing: &str, why: &str, hint: &str) -> ProviderError {
        let detail = format!("the change was taken back: {why}");
        let hint = format!("the host is as it was before; {hint}");
        self.fault(Class::TimedOut, doing, detail).code(ROLLED_BACK).hint(hint)
    }

    /// Nobody knows.
    pub(super) fn unknown(&self, doing: &str, detail: &str, decided: Option<i64>) -> ProviderError {
        let when = match decided {
            Some(second) => format!("; the host itself will have decided by {} of its clock", time(second)),
            None => String::new(),
        };
        let error = self.fault(Class::Transient, doing, format!("{detail}{when}"));
        let hint = "unless it was confirmed the host takes the change back by itself: plan again after that time";
        ProviderError { ambiguous: true, ..error.hint(hint) }
    }
}

/// A second since 1970, for people.
pub(super) fn time(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| "an unknown time".to_owned(), |time| time.to_string())
}
