//! Network namespaces: a host's packet filter of one's own, gone when it is dropped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis::resources::host_firewall::dialect::{Input, Listing, Program, Transaction};

/// A namespace, in which loopback is up.
pub struct Netns {
    name: String,
    children: Vec<Child>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Whether it succeeded.
    pub well: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Netns {
    /// A new one. Without root, or without a tool, the test fails: a kernel that was not asked proves nothing.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pc{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = Self { name, children: Vec::new() };
        must(&["ip", "netns", "add", &made.name]);
        made.must(&["ip", "link", "set", "lo", "up"], "");
        made
    }

    /// Runs a command in it.
    pub fn run(&self, argv: &[&str], input: &str) -> Said {
        let mut command = vec!["ip", "netns", "exec", &self.name];
        command.extend(argv);
        run(&command, input)
    }

    /// Runs a command that succeeds, and tells what it printed.
    #[track_caller]
    pub fn must(&self, argv: &[&str], input: &str) -> String {
        let said = self.run(argv, input);
        assert!(said.well, "{argv:?} said {} to\n{input}", said.err);
        said.out
    }

    /// Starts a command that runs until the namespace goes, and waits for the line that says that it is ready.
    pub fn start(&mut self, argv: &[&str]) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).args(argv).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|why| panic!("{argv:?}: {why}"));
        let out = child.stdout.take().expect("piped");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "{argv:?}");
        self.children.push(child);
    }

    /// Connects it with another: `10.77.0.1` and `fd77::1` here, `.2` and `::2` there, each knowing the other's hardware
    /// address, so that no filter can take that away.
    pub fn connect(&self, other: &Self, more: &[&str]) {
        must(&[
            "ip",
            "link",
            "add",
            "wire",
            "address",
            "02:00:00:00:00:01",
            "netns",
            &self.name,
            "type",
            "veth",
            "peer",
            "name",
            "wire",
            "address",
            "02:00:00:00:00:02",
            "netns",
            &other.name,
        ]);
        let address = |netns: &Self, address: &str| {
            let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
            netns.must(&[&["ip", "addr", "add", address, "dev", "wire"], nodad].concat(), "");
        };
        for (netns, last) in [(self, 1), (other, 2)] {
            address(netns, &format!("10.77.0.{last}/24"));
            address(netns, &format!("fd77::{last}/64"));
            netns.must(&["ip", "link", "set", "wire", "up"], "");
        }
        for text in more {
            address(self, text);
        }
        let ours = more.iter().map(|text| text.split('/').next().expect("an address")).chain(["10.77.0.1", "fd77::1"]);
        for one in ours {
            let known = ["lladdr", "02:00:00:00:00:01", "dev", "wire", "nud", "permanent"];
            other.must(&[&["ip", "neigh", "replace", one], &known[..]].concat(), "");
        }
        for one in ["10.77.0.2", "fd77::2"] {
            let known = ["lladdr", "02:00:00:00:00:02", "dev", "wire", "nud", "permanent"];
            self.must(&[&["ip", "neigh", "replace", one], &known[..]].concat(), "");
        }
    }

    /// What its packet filter lists.
    pub fn listing(&self) -> Listing {
        let [nft, iptables, six, ipset] = Listing::COMMANDS.map(|argv| {
            let said = self.run(argv, "");
            said.well.then_some(said.out)
        });
        Listing { nft, iptables, ip6tables: six, ipset }
    }

    /// Gives a tool a text, and the others where it refuses that.
    pub fn give(&self, input: &Input) -> Result<(), String> {
        let first = (input.program, input.text.clone());
        let mut why = String::new();
        for (program, text) in [first].iter().chain(&input.otherwise) {
            let said = self.run(Program::argv(*program), text);
            if said.well {
                return Ok(());
            }
            why = format!("{why}{program:?}: {}\n", said.err);
        }
        Err(why)
    }

    /// Carries out a change.
    #[track_caller]
    pub fn apply(&self, transaction: &Transaction) {
        for input in transaction.inputs() {
            if let Err(why) = self.give(input) {
                panic!("{why}\n{}", input.text);
            }
        }
    }

    /// Takes a change back, from wherever it has got to.
    pub fn undo(&self, transaction: &Transaction) {
        for input in &transaction.undo {
            if let Err(why) = self.give(input) {
                panic!("{why}\n{}", input.text);
            }
        }
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        for child in &mut self.children {
            // `ip netns exec` becomes the command, so that this ends the command itself.
            child.kill().ok();
            child.wait().ok();
        }
        run(&["ip", "netns", "del", &self.name], "");
    }
}

#[track_caller]
fn must(argv: &[&str]) {
    let said = run(argv, "");
    assert!(said.well, "{argv:?}: {} (the kernel tests need root and iproute2)", said.err);
}

fn run(argv: &[&str], input: &str) -> Said {
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("LC_ALL", "C");
    let mut child = command.spawn().unwrap_or_else(|why| panic!("{argv:?}: {why}"));
    let mut stdin = child.stdin.take().expect("piped");
    let text = input.to_owned();
    // A tool that ends early does not read the rest; what it said tells why.
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).ok());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("an end");
    writer.join().ok();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { well: status.success(), out: text(stdout), err: text(stderr) }
}
