//! Carrying out a change, and what becomes of it: by the scripts alone, whatever the dialect writes into them.

use portcullis::model::StackName;
use portcullis::model::duration::Seconds;
use portcullis::port::{Script, Shell};
use portcullis::resources::host_firewall::dialect::{Input, Program};
use portcullis::resources::host_firewall::script::change::{self, Boot, Decision, Ended, Job, State, Verdict, Which};
use portcullis::resources::host_firewall::script::facts::{Told, facts};
use portcullis::resources::host_firewall::script::{Sections, Setting};

use crate::support::host::{Host, read, until};

const TABLE: &str = "table inet ours {\n chain in {\n  type filter hook input priority 0; policy drop;\n }\n}\n";
const NO_TABLE: &str = "table inet ours\ndelete table inet ours\n";

fn nft(text: &str) -> Vec<Input> {
    vec![Input::new(Program::Nft, text.to_owned())]
}

/// A table that was not there, and the way back to that.
fn job(id: &str, within: Option<u64>) -> Job {
    Job {
        id: id.to_owned(),
        by: "a test".to_owned(),
        forward: nft(TABLE),
        back: nft(NO_TABLE),
        within: within.map(Seconds),
        ..Job::default()
    }
}

/// A change that waits for long.
pub fn waiting_job() -> Job {
    job("t1", Some(600))
}

fn stack() -> StackName {
    StackName::new("web").expect("a stack")
}

pub async fn say(shell: &impl Shell, text: impl Fn(&Setting<'_>) -> String) -> Sections {
    let stack = stack();
    let setting = Setting { nonce: "0123456789abcdef", stack: &stack, local: false };
    let script = Script { doing: "a test".to_owned(), text: text(&setting), timeout: Seconds(60) };
    let printed = shell.run_anew(&script).await.expect("an answer");
    Sections::read(&printed, setting.nonce).expect("sections")
}

pub async fn apply(shell: &impl Shell, job: &Job) -> Ended {
    Ended::read(&say(shell, |setting| change::apply(setting, job)).await).expect("an outcome")
}

pub async fn decide(shell: &impl Shell, which: Which<'_>, verdict: Verdict) -> Decision {
    Decision::read(&say(shell, |setting| change::decide(setting, which, verdict)).await).expect("a decision")
}

pub async fn told(shell: &impl Shell) -> Told {
    Told::read(&say(shell, |setting| facts(setting, "pc-web-")).await).expect("facts")
}

/// Waits until a change is decided.
pub async fn decided(shell: &impl Shell, id: &str) -> State {
    for _ in 0..600 {
        let state = decide(shell, Which::Id(id), Verdict::Ask).await.state;
        if ![State::Pending, State::RollingBack, State::Applying].contains(&state) {
            return state;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{id} is never decided");
}

#[tokio::test]
async fn reading_changes_nothing() {
    let host = Host::new();
    let told = told(&host.shell()).await;
    assert!(told.root && told.nft.is_some() && told.iptables.is_some() && told.ipset.is_some(), "{told:?}");
    assert!(!told.legacy && told.peer.is_none() && told.waiting.is_empty());
    assert_eq!(
        host.sh("cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null; nft list tables; ls -d /run/portcullis 2>/dev/null; true"),
        ""
    );
}

#[tokio::test]
async fn legacy_rules_are_seen_where_there_are_some() {
    let host = Host::new();
    host.sh("iptables-legacy -A INPUT -s 192.0.2.1 -j DROP");
    assert!(told(&host.shell()).await.legacy);
}

#[tokio::test]
async fn what_nobody_confirms_goes_back_to_absence() {
    let host = Host::new();
    let (shell, before) = (host.shell(), host.filter());
    assert!(matches!(apply(&shell, &job("t1", Some(2))).await, Ended::Waits { until: Some(_) }));
    assert!(host.filter().contains("policy drop"));
    assert_eq!(decided(&shell, "t1").await, State::RolledBack);
    assert_eq!(host.filter(), before);
}

#[tokio::test]
async fn what_is_confirmed_stays() {
    let host = Host::new();
    let shell = host.shell();
    apply(&shell, &job("t1", Some(2))).await;
    assert_eq!(decide(&shell, Which::Id("t1"), Verdict::Confirm).await.state, State::Confirmed);
    until("the guard ends", || !host.sh("ps ax").contains("guard"));
    assert!(host.filter().contains("policy drop"));
    assert_eq!(decide(&shell, Which::Waiting, Verdict::Ask).await.state, State::None);
    assert_eq!(told(&shell).await.serial, "t1");
}

#[tokio::test]
async fn another_change_waits_for_the_first() {
    let host = Host::new();
    let shell = host.shell();
    apply(&shell, &job("t1", Some(600))).await;
    let second = Job { serial: "t1".to_owned(), ..job("t2", None) };
    let Ended::Pending(waiting) = apply(&shell, &second).await else { panic!("it went on") };
    assert_eq!((waiting.id.as_str(), waiting.by.as_str(), waiting.stack.as_str()), ("t1", "a test", "web"));
    assert!(waiting.until > 1_600_000_000);
    assert_eq!(told(&shell).await.waiting, [waiting]);
    assert_eq!(decide(&shell, Which::Waiting, Verdict::TakeBack).await.state, State::RolledBack);
    assert_eq!(host.filter(), "");
    assert!(matches!(apply(&shell, &second).await, Ended::Changed), "what was read is old");
    assert_eq!(apply(&shell, &Job { serial: "t1-back".to_owned(), ..second }).await, Ended::Applied);
}

#[tokio::test]
async fn a_guard_that_was_killed_is_replaced_by_the_next_change() {
    let host = Host::new();
    let shell = host.shell();
    apply(&shell, &job("t1", Some(600))).await;
    host.sh("kill -9 $(cat /run/portcullis/*/t1/armed)");
    let next = Job { serial: "t1".to_owned(), ..job("t2", None) };
    assert_eq!(apply(&shell, &next).await, Ended::Changed, "the dead one's change was taken back first");
    assert_eq!(host.filter(), "");
    assert_eq!(apply(&shell, &Job { serial: "t1-back".to_owned(), ..next }).await, Ended::Applied);
}

#[tokio::test]
async fn a_change_is_confirmed_or_taken_back_and_never_both() {
    let host = Host::new();
    let shell = host.shell();
    let stack = stack();
    let setting = Setting { nonce: "n", stack: &stack, local: false };
    let folder = host.disk.path("/etc/race");
    std::fs::create_dir(&folder).expect("a folder");
    for (name, verdict) in [("confirm", Verdict::Confirm), ("take-back", Verdict::TakeBack)] {
        let text = change::decide(&setting, Which::Id("t1"), verdict);
        std::fs::write(folder.join(name), text).expect("a script");
    }
    apply(&shell, &job("t1", Some(600))).await;
    // The folder of one change that waits, a hundred times, and both at once each time.
    let said = host.sh("d=$(echo /run/portcullis/*/t1); kill $(cat $d/armed); cp -a $d /run/model; n=0
         while [ $n -lt 100 ]; do
           rm -rf $d; cp -a /run/model $d; nft -f $d/forward.000.0.nft
           sh -s </etc/race/confirm >/run/one & sh -s </etc/race/take-back >/run/two & wait
           ls $d | grep -E '^(confirmed|rolled-back|rolling-back|pending|stuck)$' | tr '\\n' ' '
           nft list tables | grep -q ours && echo stands || echo gone
           nft 'table inet ours; delete table inet ours'; n=$((n + 1))
         done");
    let rounds: Vec<&str> = said.lines().collect();
    assert_eq!(rounds.len(), 100);
    for round in rounds {
        assert!(["confirmed stands", "rolled-back gone"].contains(&round), "{round}");
    }
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_not_begun() {
    let spoil = [
        ("setsid is missing", "mount --bind /dev/null /usr/bin/setsid"),
        (
            "the disk is full",
            "mount -t tmpfs -o size=8k tmpfs /run && head -c 8192 /dev/zero >/run/full 2>/dev/null; true",
        ),
        ("flock is missing", "mount --bind /dev/null /usr/bin/flock"),
        ("systemd does not run it", "mkdir -p /run/systemd/system; mount --bind /bin/false /usr/bin/systemd-run"),
        ("nft is missing", "mount --bind /dev/null /usr/sbin/nft"),
    ];
    for (what, how) in spoil {
        let host = Host::new();
        host.sh(how);
        let ended = apply(&host.shell(), &job("t1", Some(600))).await;
        assert!(matches!(ended, Ended::Unarmed(_) | Ended::Unwritable(_) | Ended::Missing(_)), "{what}: {ended:?}");
        host.try_sh("umount /usr/sbin/nft");
        assert_eq!(host.filter(), "", "{what}");
    }
}

#[tokio::test]
async fn a_folder_that_runs_nothing_does() {
    let host = Host::new();
    host.sh("mount -t tmpfs -o noexec,mode=755 tmpfs /run");
    let shell = host.shell();
    apply(&shell, &job("t1", Some(1))).await;
    assert_eq!(decided(&shell, "t1").await, State::RolledBack);
}

#[tokio::test]
async fn systemd_runs_the_guard_where_it_runs() {
    let host = Host::new();
    // What systemd-run does, as far as it is looked at: the command goes on in a session of its own.
    let stand_in = "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in --*) shift ;; *) break ;; esac; done\n\
                    touch /run/asked\nsetsid \"$@\" </dev/null >/dev/null 2>&1 &\n";
    std::fs::write(host.disk.path("/etc/stand-in"), stand_in).expect("a file");
    host.sh("mkdir -p /run/systemd/system; chmod +x /etc/stand-in; mount --bind /etc/stand-in /usr/bin/systemd-run");
    let shell = host.shell();
    assert!(matches!(apply(&shell, &job("t1", Some(1))).await, Ended::Waits { .. }));
    host.sh("test -e /run/asked");
    assert_eq!(decided(&shell, "t1").await, State::RolledBack);
    assert_eq!(host.filter(), "");
}

#[tokio::test]
async fn one_family_that_fails_takes_the_other_with_it() {
    let host = Host::new();
    host.sh("iptables-nft -A INPUT -s 192.0.2.1 -j DROP; ip6tables-nft -A INPUT -s 2001:db8::1 -j DROP");
    let before = host.filter();
    let rules = |chain: &str| format!("*filter\n:ours - [0:0]\n-A ours -j {chain}\n-I INPUT 1 -j ours\nCOMMIT\n");
    let none = "*filter\n:ours - [0:0]\n-D INPUT -j ours\n-X ours\nCOMMIT\n";
    // Undone before it was begun there is no jump to take away.
    let gone = "*filter\n:ours - [0:0]\n-X ours\nCOMMIT\n";
    let back = |program| Input { program, text: none.to_owned(), otherwise: vec![(program, gone.to_owned())] };
    for within in [None, Some(600)] {
        let job = Job {
            forward: vec![
                Input::new(Program::IptablesRestore, rules("ACCEPT")),
                Input::new(Program::Ip6tablesRestore, rules("NOSUCH")),
            ],
            back: vec![back(Program::IptablesRestore), back(Program::Ip6tablesRestore)],
            ..job("t1", within)
        };
        let ended = apply(&host.shell(), &job).await;
        assert!(matches!(&ended, Ended::Failed { program, .. } if program == "v6"), "{ended:?}");
        assert_eq!(host.filter(), before);
        until("the guard ends", || !host.sh("ps ax").contains("guard"));
    }
}

#[tokio::test]
async fn a_boot_restores_what_was_confirmed_and_nothing_else() {
    let host = Host::new();
    let shell = host.shell();
    host.sh("nft 'add table inet docker-like'");
    let whole = format!("{NO_TABLE}{TABLE}");
    let wanted = Job { boot: Boot::Nftables(whole.clone()), ..job("t1", Some(600)) };
    apply(&shell, &wanted).await;
    assert!(told(&shell).await.boot.files.is_empty(), "not yet");
    assert_eq!(decide(&shell, Which::Id("t1"), Verdict::Confirm).await.state, State::Confirmed);
    let boot = told(&shell).await.boot;
    assert!(boot.nft_loads && boot.files.len() == 1, "{boot:?}");
    assert_eq!(read(&host.disk.path("/etc/nftables.d/portcullis-web.nft")), whole);
    // Again, and nothing is included twice.
    apply(&shell, &Job { id: "t2".to_owned(), serial: "t1".to_owned(), forward: Vec::new(), within: None, ..wanted })
        .await;
    assert_eq!(read(&host.disk.path("/etc/nftables.conf")).matches("portcullis-").count(), 1);
    assert_eq!(host.sh("ls -A /etc/nftables.d; ls /etc | grep portcullis; true"), "portcullis-web.nft\n");
    let host = host.restart();
    assert_eq!(host.filter(), "");
    host.sh("nft -f /etc/nftables.conf");
    let stands = host.filter();
    assert!(stands.contains("policy drop") && !stands.contains("docker-like"), "{stands}");
    let shell = host.shell();
    let gone = Job { forward: nft(NO_TABLE), back: nft(&whole), boot: Boot::Nothing, ..job("t3", None) };
    assert_eq!(apply(&shell, &gone).await, Ended::Applied);
    assert!(told(&shell).await.boot.files.is_empty());
}

#[tokio::test]
async fn a_restart_while_a_change_waits_takes_it_back() {
    let host = Host::new();
    let shell = host.shell();
    let first = Job {
        boot: Boot::Nftables("table inet first\n".to_owned()),
        forward: nft("table inet first\n"),
        ..job("t1", None)
    };
    assert_eq!(apply(&shell, &first).await, Ended::Applied);
    let second = Job { boot: Boot::Nftables(TABLE.to_owned()), serial: "t1".to_owned(), ..job("t2", Some(600)) };
    assert!(matches!(apply(&shell, &second).await, Ended::Waits { .. }));
    let host = host.restart();
    host.sh("nft -f /etc/nftables.conf");
    let stands = host.filter();
    assert!(stands.contains("first") && !stands.contains("ours"), "{stands}");
    assert_eq!(decide(&host.shell(), Which::Waiting, Verdict::Ask).await.state, State::None);
}

#[tokio::test]
async fn netfilter_persistent_restores_sets_and_rules_beside_those_of_others() {
    let host = Host::new();
    let shell = host.shell();
    host.feed(
        "cat >/etc/iptables/rules.v4",
        "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 192.0.2.9/32 -j DROP\nCOMMIT\n",
    );
    host.sh("iptables-nft -N f2b; iptables-nft -A f2b -s 192.0.2.7 -j DROP");
    let sets = "create pc-web-4 hash:net family inet\nadd pc-web-4 192.0.2.0/24\n";
    let v4 = "*filter\n:ours - [0:0]\n-A ours -m set --match-set pc-web-4 src -j ACCEPT\n-I INPUT 1 -j ours\nCOMMIT\n";
    let v6 = "*filter\n:ours - [0:0]\n-A ours -j ACCEPT\n-I INPUT 1 -j ours\nCOMMIT\n";
    let again = |text: &str| text.replace("-I INPUT", "-D INPUT -j ours\n-I INPUT");
    let texts = [
        ("ipset", sets.to_owned()),
        ("v4", v4.to_owned()),
        ("v4-again", again(v4)),
        ("v6", v6.to_owned()),
        ("v6-again", again(v6)),
    ];
    let boot = Boot::Iptables(texts.into());
    let forward = vec![
        Input::new(Program::IpsetRestore, sets.to_owned()),
        Input::new(Program::IptablesRestore, v4.to_owned()),
        Input::new(Program::Ip6tablesRestore, v6.to_owned()),
    ];
    let wanted = Job { boot, forward, back: Vec::new(), ..job("t1", None) };
    assert_eq!(apply(&shell, &wanted).await, Ended::Applied);
    let boot = told(&shell).await.boot;
    assert!(boot.iptables_loads && boot.files.len() == 5, "{boot:?}");
    let host = host.restart();
    // Twice is as good as once.
    host.sh("netfilter-persistent start; /usr/share/netfilter-persistent/plugins.d/50-portcullis start");
    let rules = host.sh("iptables-nft-save; ip6tables-nft-save");
    assert!(
        rules.contains("--match-set pc-web-4 src") && rules.contains("192.0.2.9") && !rules.contains("f2b"),
        "{rules}"
    );
    assert_eq!(rules.matches("-A INPUT -j ours").count(), 2, "{rules}");
    let gone = Job { boot: Boot::Nothing, forward: Vec::new(), back: Vec::new(), ..job("t2", None) };
    assert_eq!(apply(&host.shell(), &gone).await, Ended::Applied);
    assert_eq!(
        host.sh("ls /etc/portcullis /usr/share/netfilter-persistent/plugins.d 2>/dev/null | grep portcullis; true"),
        ""
    );
}

#[tokio::test]
async fn what_a_boot_could_not_restore_is_not_begun() {
    let host = Host::new();
    let shell = host.shell();
    let broken = Job { boot: Boot::Nftables("table inet {".to_owned()), ..job("t1", None) };
    assert!(matches!(apply(&shell, &broken).await, Ended::Unwritable(_)));
    host.sh("mount -o remount,ro,bind /etc");
    let fine = Job { boot: Boot::Nftables(TABLE.to_owned()), ..job("t1", None) };
    assert!(matches!(apply(&shell, &fine).await, Ended::Unwritable(_)));
    assert_eq!(host.filter(), "");
    host.sh("mount -o remount,rw,bind /etc");
    assert_eq!(host.sh("ls -A /etc/nftables.d 2>/dev/null; ls /etc | grep portcullis; true"), "");
    assert_eq!(apply(&shell, &fine).await, Ended::Applied);
}

#[tokio::test]
async fn half_a_script_does_nothing() {
    let host = Host::new();
    let stack = stack();
    let setting = Setting { nonce: "n", stack: &stack, local: false };
    let text = change::apply(&setting, &job("t1", None));
    for part in [text.len() / 4, text.len() / 2, text.len() - 20] {
        let script = Script { doing: String::new(), text: text[..part].to_owned(), timeout: Seconds(20) };
        let _ = host.shell().run(&script).await;
    }
    assert_eq!(host.sh("nft list ruleset; ls -d /run/portcullis 2>/dev/null; true"), "");
}

#[tokio::test]
async fn every_posix_shell_understands_the_scripts() {
    for other in ["/bin/bash", "/bin/busybox"] {
        let host = Host::new();
        host.sh(&format!("mount --bind {other} $(readlink -f /bin/sh)"));
        let shell = host.shell();
        let whole = Job { boot: Boot::Nftables(format!("{NO_TABLE}{TABLE}")), ..job("t1", Some(1)) };
        assert!(matches!(apply(&shell, &whole).await, Ended::Waits { .. }), "{other}");
        assert_eq!(decided(&shell, "t1").await, State::RolledBack, "{other}");
        assert_eq!(host.filter(), "", "{other}");
        let again = Job { id: "t2".to_owned(), serial: "t1-back".to_owned(), within: Some(Seconds(600)), ..whole };
        assert!(matches!(apply(&shell, &again).await, Ended::Waits { .. }), "{other}");
        assert_eq!(decide(&shell, Which::Waiting, Verdict::Confirm).await.state, State::Confirmed, "{other}");
        let told = told(&shell).await;
        assert!(told.boot.nft_loads && told.boot.files.len() == 1 && told.iptables.is_some(), "{other}: {told:?}");
    }
}
