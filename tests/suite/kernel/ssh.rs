//! Over ssh, across a cable between two hosts. What connects must run on the host that it connects from, so each test has
//! two halves: the outer one lays the cable, and runs the inner one by this very binary on the other side.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use portcullis::model::Target;
use portcullis::model::duration::Seconds;
use portcullis::port::{Bindings, Script, Shell};
use portcullis::provider::shell::{AnyShell, Shells};
use portcullis::resources::host_firewall::Action;
use portcullis::resources::host_firewall::action::{Change, Commit};
use portcullis::resources::host_firewall::dialect::{Input, Program};
use portcullis::resources::host_firewall::host::{Backend, Boot};
use portcullis::resources::host_firewall::script::change::{Ended, Job, State, Verdict, Which};

use super::commit::{apply, decide, decided, told};
use super::hosts::{BACKENDS, One, put, rule};
use crate::support::host::{Host, cable, until};

/// Says to an inner half that it is meant, and for whom the ssh configuration has a key.
const INNER: &str = "PORTCULLIS_INNER";

/// A login by hand.
pub const LOGIN: &str = "ssh -F /etc/ssh/ssh_config -o BatchMode=yes -o ConnectTimeout=2 root@10.200.0.2 true";

/// A host with sshd, and another from which one may log in.
pub struct Pair {
    pub client: Host,
    pub server: Host,
}

impl Pair {
    pub fn new() -> Self {
        let pair = Self { client: Host::new(), server: Host::new() };
        cable(&pair.client, &pair.server);
        let (client, server) = (&pair.client, &pair.server);
        client.sh("ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/key");
        let key = client.sh("cat /etc/ssh/key.pub");
        server.sh("rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key");
        server.feed("cat >/etc/ssh/authorized", &key);
        let config = "Port 22\nHostKey /etc/ssh/ssh_host_ed25519_key\nAuthorizedKeysFile /etc/ssh/authorized\nStrictModes no\n\
                      UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\n";
        server.feed("cat >/etc/ssh/sshd_config", config);
        let host_key = server.sh("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub");
        client.feed("cat >/etc/ssh/known", &format!("10.200.0.2 {host_key}"));
        let config = "Host *\n IdentityFile /etc/ssh/key\n IdentitiesOnly yes\n UserKnownHostsFile /etc/ssh/known\n\
                      \x20StrictHostKeyChecking yes\n";
        client.feed("cat >/etc/ssh/ssh_config", config);
        pair.listen();
        pair
    }

    fn listen(&self) {
        self.server.sh("/usr/sbin/sshd -E /run/sshd.log");
        until("sshd answers", || self.client.try_sh(LOGIN).0);
    }

    #[cfg(feature = "aws")]
    /// Starts the server anew; `boot` is what its system does before anybody can log in.
    pub fn restart(self, boot: &str) -> Self {
        let pair = Self { client: self.client, server: self.server.restart() };
        pair.server.sh(boot);
        cable(&pair.client, &pair.server);
        pair.listen();
        pair
    }

    /// Runs the inner half of a test on the client.
    fn inner(&self, name: &str) -> Command {
        let binary = std::env::current_exe().expect("this binary");
        let mut command = self.client.command(&binary.display().to_string());
        command.args(["--exact", &format!("kernel::ssh::{name}"), "--ignored", "--nocapture"]);
        // Whoever is killed leaves what is temporary, and it goes with the disk.
        command.env(INNER, "yes").env("TMPDIR", self.client.disk.path("etc")).stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, name: &str) -> String {
        let output = self.inner(name).output().expect("the inner half");
        let said = said(&output);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        said
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn target(user: &str, sudo: bool) -> Target {
    Target::Ssh { user: Some(user.to_owned()), host: "10.200.0.2".to_owned(), port: None, sudo }
}

fn shell(user: &str, sudo: bool) -> AnyShell {
    assert!(std::env::var_os(INNER).is_some(), "an inner half runs only within its outer one");
    Shells::default().open(&target(user, sudo)).expect("a way there")
}

/// A change after which nobody gets in.
fn lockout(id: &str, within: u64) -> Job {
    let forward = "table inet ours {\n chain in {\n  type filter hook input priority 0; policy drop;\n }\n}\n";
    change(id, within, forward)
}

fn change(id: &str, within: u64, forward: &str) -> Job {
    let input = |text: &str| vec![Input::new(Program::Nft, text.to_owned())];
    Job {
        id: id.to_owned(),
        by: "a test".to_owned(),
        forward: input(forward),
        back: input("table inet ours\ndelete table inet ours\n"),
        within: Some(Seconds(within)),
        ..Job::default()
    }
}

#[test]
fn a_confirmation_comes_over_a_new_connection() {
    let pair = Pair::new();
    // Counts the first packets of connections.
    pair.server.sh("nft 'table inet count { chain in { type filter hook input priority -50; tcp dport 22 tcp flags & (syn | ack) == syn counter; }; }'");
    pair.run("inner_confirms");
    let counted = pair.server.sh("nft list table inet count | grep -o 'packets [0-9]*'");
    // Two that shared one, then a confirmation and a look that had one each.
    assert_eq!(counted, "packets 3\n");
    assert!(pair.server.filter().contains("table inet ours"));
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_confirms() {
    let shell = shell("root", false);
    let told = told_shared(&shell).await;
    assert!(told.contains("10.200.0.1"), "{told}");
    assert!(told_shared(&shell).await.contains("10.200.0.1"));
    let open = "table inet ours {\n chain in {\n  type filter hook input priority 0; policy accept;\n }\n}\n";
    // `apply` of this module's neighbour goes over a new connection: that is one of three.
    assert!(matches!(apply(&shell, &change("t1", 600, open)).await, Ended::Waits { .. }));
    assert_eq!(decide(&shell, Which::Id("t1"), Verdict::Confirm).await.state, State::Confirmed);
}

async fn told_shared(shell: &AnyShell) -> String {
    let script = Script { doing: String::new(), text: "echo \"$1\"\n".to_owned(), timeout: Seconds(20) };
    String::from_utf8(shell.run(&script).await.expect("an answer")).expect("text")
}

#[test]
fn who_is_locked_out_gets_in_again() {
    let pair = Pair::new();
    pair.run("inner_locks_itself_out");
    assert_eq!(pair.server.filter(), "");
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_locks_itself_out() {
    let shell = shell("root", false);
    // Whether the session that carries it out sees the end of it is left open: it may be cut off by then.
    let script = script_of(&lockout("t1", 3));
    let _ = shell.run_anew(&script).await;
    let script = Script { doing: String::new(), text: "true\n".to_owned(), timeout: Seconds(30) };
    for _ in 0..60 {
        if shell.run_anew(&script).await.is_ok() {
            assert_eq!(decided(&shell, "t1").await, State::RolledBack);
            return;
        }
    }
    panic!("locked out for ever");
}

fn script_of(job: &Job) -> Script {
    let stack = portcullis::model::StackName::new("web").expect("a stack");
    let setting = portcullis::resources::host_firewall::script::Setting {
        nonce: "0123456789abcdef",
        stack: &stack,
        local: false,
    };
    let text = portcullis::resources::host_firewall::script::change::apply(&setting, job);
    Script { doing: String::new(), text, timeout: Seconds(4) }
}

#[test]
fn whoever_is_killed_in_the_middle_leaves_the_decision_to_the_host() {
    let pair = Pair::new();
    let mut inner = pair.inner("inner_waits").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a half");
    until("the change stands", || pair.server.filter().contains("policy drop"));
    inner.kill().expect("killed");
    inner.wait().expect("an end");
    until("the host takes it back", || pair.server.filter().is_empty());
    until("one gets in again", || pair.client.try_sh(LOGIN).0);
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_waits() {
    let shell = shell("root", false);
    let _ = shell.run(&script_of(&lockout("t1", 4))).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
}

#[test]
fn a_cable_that_is_cut_takes_the_change_back() {
    let pair = Pair::new();
    pair.run("inner_applies_what_is_fine");
    pair.server.sh("ip link set c0 down");
    assert!(pair.server.filter().contains("table inet ours"));
    until("the host takes it back", || pair.server.filter().is_empty());
    pair.server.sh("ip link set c0 up");
    until("the cable is back", || pair.client.try_sh(LOGIN).0);
    pair.run("inner_is_too_late");
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_applies_what_is_fine() {
    let open = "table inet ours {\n chain in {\n  type filter hook input priority 0; policy accept;\n }\n}\n";
    assert!(matches!(apply(&shell("root", false), &change("t1", 5, open)).await, Ended::Waits { .. }));
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_is_too_late() {
    let decision = decide(&shell("root", false), Which::Id("t1"), Verdict::Confirm).await;
    assert_eq!(decision.state, State::RolledBack);
}

#[test]
fn a_login_may_print_what_it_likes_and_lack_a_path() {
    let pair = Pair::new();
    // Its home is among what is this host's own. Read by bash when sshd starts it, also without a terminal.
    pair.server.sh("mkdir /etc/loud && useradd -p '*' -M -d /etc/loud -s /bin/bash loud && chown loud /etc/loud");
    pair.server.feed("cat >/etc/loud/.bashrc", "echo 'Welcome!'; echo '@@x begin host'; set -eu; PATH=/usr/bin:/bin\n");
    pair.server.feed("cat >/etc/sudoers.d/loud", "loud ALL=(ALL) NOPASSWD: ALL\n");
    pair.run("inner_meets_a_banner");
    // Nothing of what a login shell reads is in the language of this one.
    pair.server.sh("usermod -s $(command -v fish) loud");
    pair.run("inner_meets_a_banner");
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_meets_a_banner() {
    let told = told(&shell("loud", true)).await;
    assert!(told.root && told.nft.is_some() && told.iptables.is_some());
    assert_eq!(told.peer.map(|peer| peer.address.to_string()).as_deref(), Some("10.200.0.1"));
}

#[test]
fn what_keeps_us_out_is_said() {
    let pair = Pair::new();
    pair.server.sh("for u in nosudo password terminal; do useradd -p '*' -M -d /etc -s /bin/sh $u; done");
    pair.server.feed("cat >/etc/sudoers.d/password", "password ALL=(ALL) ALL\n");
    let asks = "Defaults:terminal requiretty\nterminal ALL=(ALL) NOPASSWD: ALL\n";
    pair.server.feed("cat >/etc/sudoers.d/terminal", asks);
    pair.run("inner_is_kept_out");
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_is_kept_out() {
    let script = Script { doing: String::new(), text: "id -u\n".to_owned(), timeout: Seconds(20) };
    for user in ["nosudo", "password", "terminal"] {
        let error = shell(user, true).run(&script).await.expect_err("no rights");
        assert!(error.reached && error.detail.contains("sudo"), "{error:?}");
        assert!(!told(&shell(user, false)).await.root);
    }
    let error = shell("nobody-at-all", false).run(&script).await.expect_err("no login");
    assert!(!error.reached && error.detail.contains("Permission denied"), "{error:?}");
    let nowhere = Target::Ssh { user: None, host: "10.200.0.9".to_owned(), port: None, sudo: false };
    let error = Shells::default().open(&nowhere).expect("a way").run(&script).await.expect_err("nobody there");
    assert!(!error.reached && !error.detail.is_empty(), "{error:?}");
}

#[test]
fn every_way_reads_the_same() {
    let pair = Pair::new();
    pair.server.sh("iptables-nft -A INPUT -s 192.0.2.1 -j DROP; nft add table inet other");
    let over_ssh = pair.run("inner_reads");
    let on_it = said(&pair.on_server("inner_reads_locally").output().expect("a half"));
    let through = said(&pair.on_server("inner_reads_through").output().expect("a half"));
    let read = |text: &str| text.split("<<<").nth(1).and_then(|rest| rest.split(">>>").next()).map(str::to_owned);
    let first = read(&over_ssh).unwrap_or_else(|| panic!("{over_ssh}"));
    assert!(first.contains("192.0.2.1") && first.contains("other"), "{first}");
    assert_eq!(Some(&first), read(&on_it).as_ref(), "{on_it}");
    assert_eq!(Some(&first), read(&through).as_ref(), "{through}");
}

impl Pair {
    /// The same half on the server itself.
    fn on_server(&self, name: &str) -> Command {
        let binary = std::env::current_exe().expect("this binary");
        let mut command = self.server.command(&binary.display().to_string());
        command.args(["--exact", &format!("kernel::ssh::{name}"), "--ignored", "--nocapture"]);
        command.env(INNER, "yes").stdin(Stdio::null());
        command
    }
}

async fn print_told(shell: &AnyShell) {
    let mut told = told(shell).await;
    (told.clock, told.peer) = (0, None);
    // iptables-save says when it was called, and counts the packets of chains.
    let kept = |text: &str| -> String {
        let rules = text.lines().filter(|line| !line.starts_with('#'));
        rules.map(|line| line.split(" [").next().unwrap_or(line).to_owned() + "\n").collect()
    };
    told.ip6tables = kept(&told.ip6tables);
    if let Some(tool) = &mut told.iptables {
        tool.listed = kept(&tool.listed);
    }
    writeln!(std::io::stdout(), "<<<{told:?}>>>").expect("a reader");
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_reads() {
    print_told(&shell("root", false)).await;
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_reads_locally() {
    print_told(&Shells::default().open(&Target::Local { sudo: false }).expect("here")).await;
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_reads_through() {
    let target = Target::Command { argv: vec!["env".to_owned(), "A=B".to_owned()] };
    assert!(Shells::default().open(&target).is_err(), "commands of a spec do not run unasked");
    print_told(&Shells { allow_command: true }.open(&target).expect("a command")).await;
}

#[test]
fn whoever_would_lock_himself_out_over_ssh_does_not() {
    let pair = Pair::new();
    pair.run("inner_changes_rules");
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_changes_rules() {
    assert!(std::env::var_os(INNER).is_some(), "an inner half runs only within its outer one");
    for backend in BACKENDS {
        let one = One::reached(target("root", false));
        let wanted = |nets: &[&str], within| Change {
            commit: Commit::Within(Seconds(within)),
            persist: true,
            ..one.change(backend, put(&[rule("ssh", 22, nets)]))
        };
        let error = one.edit(wanted(&["203.0.113.0/24"], 4)).await.expect_err("nobody gets in");
        assert_eq!(error.code.as_deref(), Some("RolledBack"), "{error}");
        assert!(error.detail.contains("did not answer over a new connection"), "{error}");
        let observed = one.observed().await;
        assert_eq!(observed.ours, None, "{backend}");
        assert_eq!(
            observed.facts.peer.map(|peer| (peer.address.to_string(), peer.port)),
            Some(("10.200.0.1".to_owned(), 22))
        );
        one.edit(wanted(&["10.200.0.0/24"], 60)).await.expect("we get in");
        let ours = one.observed().await.ours.expect("ours");
        assert_eq!((ours.backend, ours.boot, ours.rules.addresses()), (backend, Boot::Current, 1));
        let withdraw = Action::Withdraw { target: one.target.clone(), commit: Commit::Within(Seconds(60)) };
        one.perform(withdraw, &Bindings::default()).await.expect("gone");
        assert_eq!(one.observed().await.ours, None);
    }
}

#[test]
fn on_this_machine_somebody_who_logs_in_anew_confirms() {
    let pair = Pair::new();
    let connected = |command: &mut Command, port: u16| {
        command.env("SSH_CONNECTION", format!("10.200.0.1 {port} 10.200.0.2 22"));
    };
    let mut waits = pair.on_server("inner_waits_for_another_login");
    connected(&mut waits, 50_000);
    let waits = waits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a half");
    until("it waits", || pair.server.try_sh("ls /run/portcullis/*/*/applied").0);
    for (half, port) in [("inner_is_the_same_login", 50_000), ("inner_is_another_login", 50_001)] {
        let mut confirms = pair.on_server(half);
        connected(&mut confirms, port);
        let output = confirms.output().expect("a half");
        assert!(output.status.success(), "{}", said(&output));
    }
    let output = waits.wait_with_output().expect("an end");
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_waits_for_another_login() {
    let one = One::reached(Target::Local { sudo: false });
    let change = one.change(Backend::Nftables, put(&[rule("ssh", 22, &["10.200.0.0/24"])]));
    one.edit(Change { commit: Commit::Within(Seconds(600)), ..change }).await.expect("confirmed");
    let said = one.said.lock().expect("a list").join("\n");
    assert!(said.contains("portcullis firewall confirm"), "{said}");
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_is_the_same_login() {
    let one = One::reached(Target::Local { sudo: false });
    let decision = one.hosts.decide(&one.target, Verdict::Confirm).await.expect("a decision");
    assert_eq!(decision.state, State::SameSession);
}

#[tokio::test]
#[ignore = "the inner half of another"]
async fn inner_is_another_login() {
    let one = One::reached(Target::Local { sudo: false });
    let decision = one.hosts.decide(&one.target, Verdict::Confirm).await.expect("a decision");
    assert_eq!(decision.state, State::Confirmed);
}
