//! A host in namespaces of its own: network, processes, mounts, with `/etc` and `/run` of its own. Needs root.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis::model::Target;
use portcullis::provider::shell::{AnyShell, Shells};
use tempfile::TempDir;

/// What persists over a restart.
pub struct Disk(TempDir);

impl Disk {
    /// A copy of this machine's `/etc`, and of the places where packages put what a boot runs.
    pub fn new() -> Self {
        let disk = tempfile::tempdir().expect("a folder");
        for (from, to) in [("/etc", "etc"), ("/usr/share/netfilter-persistent", "netfilter-persistent")] {
            let status = Command::new("cp").args(["-a", from]).arg(disk.path().join(to)).status().expect("cp");
            assert!(status.success(), "{from} is needed: install netfilter-persistent and nftables");
        }
        Self(disk)
    }

    /// A file or folder below `/`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name.trim_start_matches('/'))
    }
}

/// A host that runs. It ends, with everything that runs on it, when it is dropped.
pub struct Host {
    keeper: Child,
    pid: String,
    pub disk: Disk,
}

impl Host {
    /// A host that has just been installed and started.
    pub fn new() -> Self {
        Self::boot(Disk::new())
    }

    /// Starts a host; nothing of a firewall is there.
    pub fn boot(disk: Disk) -> Self {
        for tool in [
            "nft",
            "iptables-nft",
            "ip6tables-nft",
            "iptables-legacy-save",
            "ipset",
            "ssh",
            "ssh-keygen",
            "sshd",
            "sudo",
            "fish",
            "netfilter-persistent",
            "setsid",
            "flock",
            "nsenter",
            "unshare",
        ] {
            let found = Command::new("sh").args(["-c", &format!("PATH=$PATH:/usr/sbin command -v {tool}")]).output();
            assert!(found.expect("sh").status.success(), "`{tool}` is needed for these tests");
        }
        let disk_root = disk.0.path().display();
        let script = format!(
            "mount --make-rprivate / && mount --bind {disk_root}/etc /etc && mount -t tmpfs -o mode=755 tmpfs /run \
             && mount --bind {disk_root}/netfilter-persistent /usr/share/netfilter-persistent \
             && mkdir -p /run/sshd /run/lock && ip link set lo up && echo ready && exec sleep infinity"
        );
        let mut keeper = Command::new("unshare");
        keeper.args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", &script]);
        keeper.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().expect("unshare");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().expect("output")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "these tests make namespaces: they need root");
        let children = format!("/proc/{0}/task/{0}/children", keeper.id());
        let pid = fs::read_to_string(children).expect("children").trim().to_owned();
        Self { keeper, pid, disk }
    }

    /// Ends everything and starts anew: what is on the disk stays, the kernel's rules and `/run` do not.
    pub fn restart(mut self) -> Self {
        self.end();
        // The disk moves on, so it must not be dropped with the host that was.
        let disk = std::mem::replace(&mut self.disk, Disk(tempfile::tempdir().expect("a folder")));
        drop(self);
        Self::boot(disk)
    }

    fn end(&mut self) {
        let _ = Command::new("kill").args(["-9", &self.pid]).stderr(Stdio::null()).status();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }

    /// What leads a command onto the host.
    pub fn prefix(&self) -> Vec<String> {
        ["nsenter", "-t", &self.pid, "-n", "-m", "-p"].map(str::to_owned).into()
    }

    /// A command on the host.
    pub fn command(&self, program: &str) -> Command {
        let prefix = self.prefix();
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).arg(program);
        command
    }

    /// The transport that leads there.
    pub fn target(&self) -> Target {
        Target::Command { argv: self.prefix() }
    }

    /// A shell of ours there.
    pub fn shell(&self) -> AnyShell {
        Shells { allow_command: true }.open(&self.target()).expect("a way there")
    }

    /// Runs a script, and gives what it prints, both streams.
    pub fn try_sh(&self, script: &str) -> (bool, String) {
        let mut child = self.command("sh");
        child.args(["-c", &format!("PATH=/usr/sbin:/sbin:$PATH; exec 2>&1\n{script}")]).stdin(Stdio::null());
        let output = child.output().expect("sh");
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    }

    /// The same, when it must go well.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let (ok, said) = self.try_sh(script);
        assert!(ok, "{script}: {said}");
        said
    }

    /// Feeds a text to a command.
    #[track_caller]
    pub fn feed(&self, command: &str, text: &str) {
        let mut child = self.command("sh");
        child.args(["-c", &format!("PATH=/usr/sbin:/sbin:$PATH; {command}")]).stdin(Stdio::piped());
        let mut child = child.spawn().expect("sh");
        child.stdin.take().expect("input").write_all(text.as_bytes()).expect("a reader");
        assert!(child.wait().expect("an end").success(), "{command}");
    }

    /// Everything that the packet filter holds, counters apart.
    pub fn filter(&self) -> String {
        let nft = self.sh("nft -s list ruleset");
        let sets = self.sh("ipset save");
        nft + &sets
    }

    fn inside(&self) -> &str {
        &self.pid
    }
}

/// Lays a cable between two hosts: the first gets 10.200.0.1 and `fd20::1`, the second 10.200.0.2 and `fd20::2`.
pub fn cable(one: &Host, other: &Host) {
    let ip = |host: &Host, words: &[&str]| {
        let mut ip = Command::new("nsenter");
        ip.args(["-t", host.inside(), "-n", "ip"]).args(words);
        assert!(ip.status().expect("ip").success(), "{words:?}");
    };
    ip(one, &["link", "add", "c0", "type", "veth", "peer", "name", "c0", "netns", other.inside()]);
    for (host, number) in [(one, 1), (other, 2)] {
        ip(host, &["addr", "add", &format!("10.200.0.{number}/24"), "dev", "c0"]);
        ip(host, &["-6", "addr", "add", &format!("fd20::{number}/64"), "dev", "c0", "nodad"]);
        ip(host, &["link", "set", "c0", "up"]);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until something is true, for as long as the slowest machine may need.
#[track_caller]
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A text file.
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}
