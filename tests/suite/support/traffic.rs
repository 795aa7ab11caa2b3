//! Connections between hosts: who serves, who asks, and who goes on asking while something else happens.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::host::{Host, until};

const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/kernel/probe.py");

impl Host {
    /// Serves on these ports from now on, by TCP and UDP.
    pub fn serve(&self, ports: &str) {
        self.sh(&format!("setsid python3 {PROBE} serve {ports} >/run/serves 2>&1 </dev/null &"));
        until("it serves", || self.try_sh("grep -qx ready /run/serves").0);
    }

    /// What becomes of connections: `SOURCE DESTINATION PROTOCOL PORT` each.
    pub fn ask(&self, probes: &[String]) -> Vec<bool> {
        let mut probe = Probe::start(self, &["ask"]);
        probe.say(&probes.join("\n"));
        let said = probe.end();
        let open: Vec<bool> = said.lines().map(|line| line == "OPEN").collect();
        assert_eq!(open.len(), probes.len(), "{said}");
        open
    }

    /// Whether a connection comes about.
    pub fn connects(&self, probe: &str) -> bool {
        self.ask(&[probe.to_owned()])[0]
    }

    /// Goes on connecting. Each probe has its patience before it: `long` for who must always get in, `short` for who never may.
    pub fn watch(&self, probes: &[String]) -> Watch {
        let mut probe = Probe::start(self, &["watch"]);
        probe.say(&format!("{}\n\n", probes.join("\n")));
        assert_eq!(probe.line(), "ready");
        Watch(probe)
    }

    /// Sends by UDP, some thousand times a second, until it is dropped.
    pub fn flood(&self, probes: &[String]) -> Flood {
        let words: Vec<&str> = ["flood"].into_iter().chain(probes.iter().map(String::as_str)).collect();
        let mut probe = Probe::start(self, &words);
        assert_eq!(probe.line(), "ready");
        Flood(probe)
    }

    /// A connection that stays.
    pub fn hold(&self, probe: &str) -> Session {
        let words: Vec<&str> = ["hold"].into_iter().chain(probe.split(' ')).collect();
        let mut probe = Probe::start(self, &words);
        assert_eq!(probe.line(), "ready");
        Session(probe)
    }
}

/// A script that asks.
struct Probe {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Probe {
    fn start(host: &Host, words: &[&str]) -> Self {
        let mut command = host.command("python3");
        command.arg(PROBE).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { input: child.stdin.take(), child, output }
    }

    fn say(&mut self, text: &str) {
        self.input.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("a reader");
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Closes its input, and reads what it still says.
    fn end(mut self) -> String {
        self.input = None;
        let mut said = String::new();
        self.output.read_to_string(&mut said).expect("text");
        said
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Without input it ends by itself; `nsenter` stands between, so that nothing else would end it.
        self.input = None;
        self.child.wait().ok();
    }
}

/// Someone who goes on connecting.
pub struct Watch(Probe);

/// How often a connection came about, and how often it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub open: u32,
    pub closed: u32,
}

impl Watch {
    /// Stops, and tells of each probe in order.
    pub fn end(self) -> Vec<Count> {
        let said = self.0.end();
        let number = |word: Option<&str>| word.and_then(|word| word.parse().ok());
        let count = |line: &str| {
            let mut words = line.split(' ');
            Some(Count { open: number(words.next())?, closed: number(words.next())? })
        };
        said.lines().map(|line| count(line).unwrap_or_else(|| panic!("{said}"))).collect()
    }
}

/// Packets that come all the time.
pub struct Flood(#[expect(dead_code, reason = "it ends when it is dropped")] Probe);

/// A connection that stands.
pub struct Session(Probe);

impl Session {
    /// Whether it still answers within this many seconds.
    pub fn lives(&mut self, seconds: u32) -> bool {
        self.0.say(&format!("{seconds}\n"));
        match self.0.line().as_str() {
            "alive" => true,
            "dead" => false,
            other => panic!("{other}"),
        }
    }
}
