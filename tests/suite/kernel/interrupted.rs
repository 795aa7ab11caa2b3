//! The real binary, killed, interrupted and in its own way: the host decides by itself, and says what it did.

use std::process::Stdio;

use tokio::process::Child;

use super::ssh::{LOGIN, Pair};
use crate::support::binary::{Stage, Told};
use crate::support::host::{Host, until};

/// A pair of hosts, and the binary on the client.
struct Desk {
    pair: Pair,
    stage: Stage,
}

/// A spec of one host and nothing else.
fn spec(transport: &str, within: &str, from: &str) -> String {
    format!(
        "stack = \"office\"\n[host_firewall.gw]\ntransport = {transport}\nmode = \"guard\"\n\
         commit = {{ confirm_within = \"{within}\" }}\nalways_allow = [{{ from = \"{from}\", ports = 22 }}]\n"
    )
}

const OVER_SSH: &str = "{ ssh = \"root@10.200.0.2\" }";
/// Who is not there: with this rule alone the operator is cut off.
const ELSEWHERE: &str = "203.0.113.0/24";
/// Where the operator is.
const HERE: &str = "10.200.0.0/24";
const CUT_OFF: [&str; 5] = ["apply", "spec.toml", "--yes", "--accept", "lockout"];

impl Desk {
    fn new() -> Self {
        let pair = Pair::new();
        let stage = Stage::new().inside(pair.client.prefix());
        Self { pair, stage }
    }

    fn write(&self, within: &str, from: &str) {
        self.stage.write("spec.toml", &spec(OVER_SSH, within, from));
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.stage.command(arguments).spawn().expect("the binary")
    }

    /// Whether a change waits on the server.
    fn waits(&self) -> bool {
        self.pair.server.try_sh("ls /run/portcullis/*/*/pending").0
    }

    fn stands(&self) -> bool {
        self.pair.server.filter().contains("portcullis")
    }

    /// Whether one gets in by hand.
    fn login(&self) -> bool {
        self.pair.client.try_sh(LOGIN).0
    }
}

/// Sends a signal to the binary, which stands behind the command that leads to it.
fn signal(child: &Child, name: &str) {
    let id = child.id().expect("it runs");
    let inside = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("children");
    let status = std::process::Command::new("kill").args([name, inside.trim()]).status();
    assert!(status.expect("kill").success(), "{name} {inside}");
}

async fn ended(child: Child) -> Told {
    Told::of(child.wait_with_output().await.expect("an end"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_what_cuts_the_operator_off_it_leaves_a_host_that_opens_again() {
    let desk = Desk::new();
    desk.write("8s", ELSEWHERE);
    let before = desk.pair.server.filter();
    let told = desk.stage.run(&["plan", "spec.toml"]).await.exits(3);
    assert!(told.to_string().contains("10.200.0.1 to port 22 would be dropped"), "{told}");
    let child = desk.start(&CUT_OFF);
    until("the change stands", || desk.stands());
    signal(&child, "-KILL");
    ended(child).await;
    let got_in = desk.login();
    // Whoever tried while it waited was cut off; afterwards nothing is said.
    assert!(!(got_in && desk.waits()), "the operator is cut off");
    until("one gets in again", || desk.login());
    assert_eq!(desk.pair.server.filter(), before);
    assert!(!desk.waits());
    // What was to be done is still to be done, and the way that lets the operator in is taken.
    desk.write("60s", HERE);
    desk.stage.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    assert!(desk.login() && desk.stands());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cuts_himself_off_is_told_that_it_was_taken_back() {
    let desk = Desk::new();
    // The session that carries it out lives on, or is cut off in the middle of its answer.
    for established in ["keep", "cut"] {
        let spec = spec(OVER_SSH, "4s", ELSEWHERE) + &format!("established = \"{established}\"\n");
        desk.stage.write("spec.toml", &spec);
        let told = desk.stage.run(&CUT_OFF).await.exits(5);
        assert!(told.to_string().contains("was taken back: the host did not answer over a new connection"), "{told}");
        assert!(!desk.stands() && desk.login());
    }
    desk.stage.run(&["plan", "spec.toml", "--detailed-exitcode", "--accept", "lockout"]).await.exits(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_while_a_change_waits_it_ends_and_the_host_takes_it_back() {
    let desk = Desk::new();
    desk.write("5s", ELSEWHERE);
    let child = desk.start(&CUT_OFF);
    until("the change stands", || desk.stands());
    signal(&child, "-INT");
    let told = ended(child).await;
    assert!(matches!(told.code, Some(5 | 130)), "{told}");
    until("one gets in again", || desk.login());
    assert!(!desk.stands());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_at_once_one_changes_the_host_and_the_other_says_why_not_or_has_nothing_to_do() {
    let desk = Desk::new();
    desk.write("60s", HERE);
    // From two machines: on one of them the stack's lock keeps them apart.
    let machine = |name: &str| {
        let locks = desk.stage.path().join(name);
        std::fs::create_dir(&locks).expect("a folder");
        let mut command = desk.stage.command(&["apply", "spec.toml", "--yes"]);
        command.env("PORTCULLIS_LOCK_DIR", locks).spawn().expect("the binary")
    };
    let both = [machine("one"), machine("other")];
    let mut codes = Vec::new();
    for child in both {
        let told = ended(child).await;
        if told.code != Some(0) {
            assert!(
                ["waits to be confirmed", "another run of portcullis"].iter().any(|why| told.to_string().contains(why)),
                "{told}"
            );
        }
        codes.push(told.code);
    }
    assert!(codes.contains(&Some(0)) && codes.iter().all(|code| matches!(code, Some(0 | 3 | 5))), "{codes:?}");
    assert!(desk.login() && desk.stands() && !desk.waits());
    desk.stage.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);
}

/// On the host itself, logged in over a connection from this port.
fn local(host: &Host, port: u16, within: &str) -> Stage {
    let stage = Stage::new().inside(host.prefix()).with("SSH_CONNECTION", &format!("10.200.0.1 {port} 10.200.0.2 22"));
    stage.write("spec.toml", &spec("\"local\"", within, HERE));
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_waits_is_shown_confirmed_from_a_new_login_and_not_twice() {
    let host = Host::new();
    let (first, second) = (local(&host, 50_000, "10m"), local(&host, 50_001, "10m"));
    let asks = |word: &'static str| [word, "spec.toml", "host_firewall.gw"];
    let none = first.run(&[&["firewall"], &asks("pending")[..]].concat()).await.exits(0);
    assert_eq!(none.out, "host_firewall.gw: no change waits\n");
    let child = first.command(&["apply", "spec.toml", "--yes"]).stdin(Stdio::null()).spawn().expect("the binary");
    until("it waits", || host.try_sh("ls /run/portcullis/*/*/applied").0);
    let shown = second.run(&[&["firewall"], &asks("pending")[..]].concat()).await.exits(0);
    assert!(shown.out.contains("of stack `office`") && shown.out.contains("waits to be confirmed until 2"), "{shown}");
    // Another plan says what is in its way, and so does another apply.
    let told = second.run(&["apply", "spec.toml", "--yes"]).await.exits(3);
    assert!(told.to_string().contains("waits to be confirmed"), "{told}");
    let same = first.run(&[&["firewall"], &asks("confirm")[..]].concat()).await.exits(3);
    assert!(same.talk.contains("log in anew"), "{same}");
    let confirmed = second.run(&[&["firewall"], &asks("confirm")[..]].concat()).await.exits(0);
    assert!(confirmed.out.contains("host_firewall.gw: confirmed change"), "{confirmed}");
    let told = ended(child).await.exits(0);
    assert!(
        told.talk.contains("log in anew") && told.talk.contains("firewall confirm SPEC host_firewall.gw`"),
        "{told}"
    );
    for word in ["confirm", "rollback"] {
        let late = second.run(&[&["firewall"], &asks(word)[..]].concat()).await.exits(3);
        assert!(late.talk.contains("no change waits"), "{late}");
    }
    assert!(host.filter().contains("portcullis"));
    second.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_waits_is_taken_back_by_hand() {
    let host = Host::new();
    let (first, second) = (local(&host, 50_000, "10m"), local(&host, 50_001, "10m"));
    let child = first.command(&["apply", "spec.toml", "--yes"]).stdin(Stdio::null()).spawn().expect("the binary");
    until("it waits", || host.try_sh("ls /run/portcullis/*/*/applied").0);
    let back = second.run(&["firewall", "rollback", "spec.toml", "host_firewall.gw"]).await.exits(0);
    assert!(back.out.contains("took back change"), "{back}");
    assert_eq!(host.filter(), "");
    let told = ended(child).await.exits(5);
    assert!(told.to_string().contains("was taken back"), "{told}");
    assert!(!told.to_string().contains("nobody confirmed it in time"), "somebody took it back: {told}");
    second.run(&["firewall", "rollback", "spec.toml", "host_firewall.gw"]).await.exits(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_job_without_a_login_nothing_is_changed_that_somebody_had_to_confirm() {
    let host = Host::new();
    let stage = Stage::new().inside(host.prefix());
    let written = spec("\"local\"", "10m", HERE);
    stage.write("spec.toml", &written.replace("commit = { confirm_within = \"10m\" }\n", ""));
    let told = stage.run(&["apply", "spec.toml", "--yes"]).await.exits(3);
    assert!(told.to_string().contains("confirm_within = \"0s\""), "{told}");
    assert_eq!(host.filter(), "");
    stage.write("spec.toml", &written.replace("10m", "0s"));
    stage.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    assert!(host.filter().contains("portcullis"));
}
