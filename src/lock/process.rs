//! Processes, told apart though their numbers are used again.

use serde::{Deserialize, Serialize};

/// A process, as nobody else can be it: its number, when it began, and in which run of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number, where it runs.
    pub pid: u32,
    /// When it began, in ticks since the machine did (`starttime` of `proc_pid_stat(5)`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// Which run of the machine (`boot_id` of random(4)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
}

/// What is known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs, and it is the very one.
    Runs,
    /// It is the very one, and it is suspended.
    Suspended,
    /// No process that can be seen from here is the one.
    Unseen,
}

impl Process {
    /// This one.
    #[must_use]
    pub fn own() -> Self {
        let pid = std::process::id();
        Self { pid, started: stat(pid).map(|(_, started)| started), boot: boot() }
    }

    /// What is known of it: a process of its number that began at another time is another.
    #[must_use]
    pub fn life(&self) -> Life {
        if self.started.is_none() || self.boot != boot() {
            return Life::Unseen;
        }
        match stat(self.pid) {
            Some((_, started)) if Some(started) != self.started => Life::Unseen,
            Some(('T' | 't', _)) => Life::Suspended,
            Some(('Z' | 'X', _)) | None => Life::Unseen,
            Some(_) => Life::Runs,
        }
    }
}

/// Which run of the machine this is.
fn boot() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// State and beginning of a process.
fn stat(pid: u32) -> Option<(char, u64)> {
    read_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a line of `/proc/PID/stat`. The name of the program stands in parentheses and may hold any character, so
/// what follows is counted from the last one that closes.
fn read_stat(line: &str) -> Option<(char, u64)> {
    let (_, rest) = line.rsplit_once(')')?;
    let mut words = rest.split_ascii_whitespace();
    let state = words.next()?.chars().next()?;
    // The state is the third field, and the beginning is the 22nd.
    let started = words.nth(18)?.parse().ok()?;
    Some((state, started))
}

#[cfg(test)]
mod tests {
    use super::{Life, Process, read_stat};

    #[test]
    fn a_line_is_read_whatever_the_program_is_called() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20 21";
        for name in ["sh", "a) R 1 2", "", "(", "x y"] {
            assert_eq!(read_stat(&format!("42 ({name}) {rest}")), Some(('S', 987_654)), "{name}");
        }
        assert_eq!(read_stat("42 (sh"), None);
        assert_eq!(read_stat("42 (sh) S 1"), None);
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let own = Process::own();
        assert_eq!(own.life(), Life::Runs);
        let before = Process { started: own.started.map(|ticks| ticks - 1), ..own.clone() };
        assert_eq!(before.life(), Life::Unseen);
        let boot = Process { boot: Some("00000000-0000-0000-0000-000000000000".to_owned()), ..own.clone() };
        assert_eq!(boot.life(), Life::Unseen);
        let untold = Process { started: None, ..own };
        assert_eq!(untold.life(), Life::Unseen);
    }
}
