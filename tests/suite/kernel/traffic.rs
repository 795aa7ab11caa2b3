//! What becomes of connections, new ones and such as stand, while rules are replaced again and again.

use portcullis::model::net::Ports;
use portcullis::model::{AddressSet, Family};
use portcullis::port::Bindings;
use portcullis::resources::host_firewall::Action;
use portcullis::resources::host_firewall::action::Commit;
use portcullis::resources::host_firewall::host::Backend;
use portcullis::resources::host_firewall::ruleset::{
    Edit, Established, Mode, Origin, Removal, Rule, RuleKey, Settings, Traffic, UDP,
};

use super::hosts::{BACKENDS, One, put, rule};
use crate::support::host::{Host, cable, until};

/// A server with a client that has these addresses beside 10.200.0.1.
fn pair() -> (Host, Host) {
    let (client, server) = (Host::new(), Host::new());
    cable(&client, &server);
    for last in [7, 9] {
        client.sh(&format!("ip addr add 10.200.0.{last}/24 dev c0; ip addr add fd20::{last}/64 dev c0 nodad"));
    }
    server.serve("80 443");
    (client, server)
}

fn probe(last: u8, port: u16) -> String {
    format!("10.200.0.{last} 10.200.0.2 tcp {port}")
}

fn nets(texts: &[&str]) -> AddressSet {
    texts.iter().map(|text| text.parse::<ipnet::IpNet>().expect("a network")).collect()
}

/// What takes an address out of the rule `web`.
fn without(address: &str) -> Edit {
    let removal = Removal {
        rule: RuleKey::Named("web".to_owned()),
        origin: Origin::Spec,
        addresses: nets(&[address]),
        seen: None,
    };
    Edit { remove: vec![removal], ..Edit::default() }
}

fn settings(mode: Mode, established: Established) -> Edit {
    let settings = Settings { mode, established, families: Family::ALL.into() };
    Edit { settings: Some(settings), ..Edit::default() }
}

/// Counts the packets of those who always get in, before every rule and after.
const COUNTS: &str = "table inet count {
 chain here {
  ip saddr . tcp dport { 10.200.0.7 . 443, 10.200.0.1 . 80 } counter
  ip saddr 10.200.0.7 udp dport { 9, 25 } counter
 }
 chain before { type filter hook input priority -400; jump here; }
 chain there {
  ip saddr . tcp dport { 10.200.0.7 . 443, 10.200.0.1 . 80 } counter
  ip saddr 10.200.0.7 udp dport { 9, 25 } counter
 }
 chain after { type filter hook input priority 400; jump there; }
}
";

/// How many packets came, and how many of them got past all rules: of those by TCP and by UDP.
fn counted(server: &Host) -> ([u64; 2], [u64; 2]) {
    let listed = server.sh("nft list table inet count | sed -n 's/.*counter packets \\([0-9]*\\).*/\\1/p'");
    let numbers: Vec<u64> = listed.lines().map(|line| line.parse().expect("a number")).collect();
    let [tcp, udp, tcp_passed, udp_passed] = numbers[..] else { panic!("{listed}") };
    ([tcp, udp], [tcp_passed, udp_passed])
}

/// What a flood of packets without an answer needs, so that every one of them is a new connection: single ports and a range.
fn flooded(nets: &[&str]) -> Rule {
    let ports = [(9, 9), (20, 30)].map(|(from, to)| Ports { from, to });
    let traffic = Traffic { protocol: Some(UDP), ports: ports.into(), to: None };
    Rule { traffic: traffic.normal(), ..rule("flood", 9, nets) }
}

/// How often rules are replaced under traffic.
const TIMES: u32 = 200;

/// Replaces rules under traffic, now and then by a deeper change than of a set, while a shell script runs beside.
async fn replaced_under_traffic(backend: Backend, times: u32, beside: &str) -> (Host, Host) {
    let (client, server) = pair();
    // Two who always get in: one by name, one only as one of many. And one who never does.
    let mut many = vec!["10.200.0.7/32".to_owned()];
    many.extend((1..250).map(|n| format!("192.0.2.{n}/32")));
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let one = One::on(&server);
    let rules = [rule("web", 443, &many), rule("here", 80, &["10.200.0.1/32"]), flooded(&many)];
    one.edit(one.change(backend, put(&rules))).await.expect("made");
    server.feed("nft -f -", COUNTS);
    if !beside.is_empty() {
        server.sh(&format!("setsid sh -c '{beside}' >/run/beside 2>&1 </dev/null & echo $! >/run/beside.pid"));
        until("the other writes", || server.try_sh("iptables-nft-save | grep -q beside").0);
    }
    let watch = client.watch(&[
        format!("long {}", probe(7, 443)),
        format!("long {}", probe(1, 80)),
        format!("short {}", probe(9, 443)),
        format!("short {}", probe(9, 80)),
    ]);
    let mut session = client.hold(&probe(7, 443));
    let flood = client.flood(&[9, 25].map(|port| format!("10.200.0.7 10.200.0.2 udp {port}")));
    for turn in 0..times {
        let edit = match turn % 4 {
            // Addresses come and go; a rule comes and goes; what becomes of sessions changes, and with it the chain.
            0 => put(&[rule("web", 443, &["198.51.100.0/24"]), rule("more", 8080, &["198.51.100.1/32"])]),
            1 => without("198.51.100.0/24"),
            2 => settings(Mode::Guard, Established::Cut),
            _ => Edit { drop: [RuleKey::Named("more".to_owned())].into(), ..settings(Mode::Guard, Established::Keep) },
        };
        one.edit(one.change(backend, edit)).await.unwrap_or_else(|why| panic!("{backend}, turn {turn}: {why}"));
    }
    assert!(session.lives(30), "{backend}: a session of somebody who is let in all the time");
    let [web, here, stranger, other] = watch.end()[..] else { panic!("four probes") };
    drop(flood);
    let (came, passed) = counted(&server);
    assert!(came[1] > 10_000, "{came:?}");
    assert_eq!(came, passed, "{backend}: packets of those who are let in were dropped");
    assert!(
        web.open > 50 && here.open > 50 && stranger.closed > 50 && other.closed > 50,
        "{backend}: too few: {web:?} {here:?} {stranger:?} {other:?}"
    );
    assert_eq!((web.closed, here.closed), (0, 0), "{backend}: who is let in was kept out");
    assert_eq!((stranger.open, other.open), (0, 0), "{backend}: who is kept out got in");
    drop(session);
    (client, server)
}

#[tokio::test]
async fn nobody_is_kept_out_or_let_in_by_mistake_while_a_table_of_nftables_is_replaced_again_and_again() {
    replaced_under_traffic(Backend::Nftables, TIMES, "").await;
}

#[tokio::test]
async fn nobody_is_kept_out_or_let_in_by_mistake_while_chains_are_replaced_and_others_write_at_the_top() {
    // What bans and unbans all the time, at the top of the chain that calls ours.
    let beside = "n=0; ban() { iptables-nft -w 10 \"$1\" INPUT -s 203.0.113.$2 -m comment --comment beside -j DROP || echo lost; }; \
         while [ ! -e /run/enough ]; do n=$((n + 1)); ban -I $((n % 200)); [ $n -lt 20 ] || ban -D $(((n - 15) % 200)); done; echo $n";
    let (_client, server) = replaced_under_traffic(Backend::Iptables, TIMES, beside).await;
    server.sh("touch /run/enough");
    until("the other has ended", || server.try_sh("grep -qE \"^[0-9]+$\" /run/beside").0);
    let said = server.sh("cat /run/beside");
    assert!(!said.contains("lost"), "{said}");
    let one = One::on(&server);
    let ours = one.observed().await.ours.expect("ours");
    assert!(ours.edited.is_empty(), "{:?}", ours.edited);
    let saved = server.sh("iptables-nft-save");
    assert_eq!(
        saved.lines().filter(|line| line.contains("-A INPUT") && line.contains("-j portcullis-")).count(),
        1,
        "{saved}"
    );
    assert!(saved.matches("--comment beside").count() >= 14, "{saved}");
    // Bans above us are no reason to move: the same rules again are no change.
    let before = server.filter();
    one.edit(one.change(Backend::Iptables, settings(Mode::Guard, Established::Keep))).await.expect("nothing");
    assert!(server.filter() == before, "it is written again");
}

#[tokio::test]
async fn who_is_withdrawn_keeps_the_session_or_loses_it_as_the_spec_says() {
    for backend in BACKENDS {
        for established in [Established::Keep, Established::Cut] {
            let (client, server) = pair();
            let one = One::on(&server);
            let edit = Edit {
                put: vec![rule("web", 443, &["10.200.0.7/32", "10.200.0.9/32"])],
                ..settings(Mode::Guard, established)
            };
            one.edit(one.change(backend, edit)).await.expect("made");
            let (mut goes, mut stays) = (client.hold(&probe(9, 443)), client.hold(&probe(7, 443)));
            assert!(goes.lives(30) && stays.lives(30), "{backend}");
            one.edit(one.change(backend, without("10.200.0.9/32"))).await.expect("withdrawn");
            assert!(!client.connects(&probe(9, 443)), "{backend}: a new connection");
            assert!(stays.lives(30), "{backend}: the other's");
            match established {
                Established::Keep => assert!(goes.lives(30), "{backend}: it lives on"),
                Established::Cut => assert!(!goes.lives(2), "{backend}: it is cut"),
            }
        }
    }
}

#[tokio::test]
async fn a_session_lives_on_where_connections_were_not_tracked_before() {
    for backend in BACKENDS {
        let (client, server) = pair();
        let one = One::on(&server);
        // Nothing on this host has looked at connections yet, and these stand already.
        let (mut allowed, mut elsewhere) = (client.hold(&probe(7, 443)), client.hold(&probe(9, 80)));
        assert!(allowed.lives(30) && elsewhere.lives(30));
        one.edit(one.change(backend, put(&[rule("web", 443, &["10.200.0.7/32"])]))).await.expect("made");
        assert!(allowed.lives(30), "{backend}: who is let in anew is let in as he stands");
        assert!(elsewhere.lives(30), "{backend}: no rule is about that port");
        assert!(!client.connects(&probe(9, 443)));
    }
}

/// Rules of the old script: 500 with some twice, and two that only look like them.
fn old_rules() -> String {
    let rule = |n: u32, port: u16| {
        format!(
            "-A INPUT -s 10.{}.{}.1/32 -p tcp -m tcp --dport {port} -m comment --comment \"EC2 - m{n}\" -j ACCEPT\n",
            n / 250,
            n % 250
        )
    };
    let mut text = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n".to_owned();
    for n in 0..245 {
        text += &(rule(n, 80) + &rule(n, 443));
    }
    text += &(0..10).map(|n| rule(n, 443)).collect::<String>();
    text += "-A INPUT -s 10.200.0.7/32 -p tcp -m tcp --dport 443 -m comment --comment \"EC2 - me\" -j ACCEPT\n";
    text += "-A INPUT -s 10.200.0.7/32 -p tcp -m tcp --dport 80 -m comment --comment \"by hand\" -j ACCEPT\nCOMMIT\n";
    text
}

#[tokio::test]
async fn five_hundred_rules_of_the_old_script_are_taken_over_and_nobody_notices() {
    let (client, server) = pair();
    server.feed("iptables-nft-restore", &old_rules());
    let one = One::on(&server);
    let foreign = one.observed().await.facts.foreign;
    let theirs = |rule: &&portcullis::resources::host_firewall::packet::Rule| {
        rule.comment.as_deref().is_some_and(|text| text.starts_with("EC2 - "))
    };
    let adopt: Vec<String> = foreign.ipv4[0].rules.iter().filter(theirs).map(|rule| rule.text.clone()).collect();
    assert_eq!(adopt.len(), 501);
    let watch = client.watch(&[format!("long {}", probe(7, 443)), format!("short {}", probe(9, 443))]);
    let mut session = client.hold(&probe(7, 443));
    // Somebody is faster with one of them.
    server.sh("iptables-nft -D INPUT -s 10.0.17.1 -p tcp --dport 443 -m comment --comment 'EC2 - m17' -j ACCEPT");
    let edit = Edit { put: vec![rule("web", 443, &["10.200.0.7/32"])], ..settings(Mode::Allow, Established::Keep) };
    let change = portcullis::resources::host_firewall::action::Change { adopt, ..one.change(Backend::Iptables, edit) };
    one.edit(change).await.expect("taken over");
    let left = server.sh("iptables-nft-save");
    assert!(!left.contains("EC2 - ") && left.contains("by hand"), "{left}");
    assert!(session.lives(30));
    let [me, stranger] = watch.end()[..] else { panic!("two probes") };
    assert!(me.closed == 0 && me.open > 0 && stranger.open == 0, "{me:?} {stranger:?}");
    let withdraw = Action::Withdraw { target: one.target.clone(), commit: Commit::AtOnce };
    one.perform(withdraw, &Bindings::default()).await.expect("gone");
    assert!(!client.connects(&probe(7, 443)) && client.connects(&probe(7, 80)));
}

#[tokio::test]
async fn a_lock_that_somebody_holds_is_awaited_for_a_while_and_leaves_no_half() {
    let host = Host::new();
    let one = One::on(&host);
    // The lock of iptables-legacy is none of the nft flavour's, so that nobody waits for it, reading or writing; also
    // where legacy has tables.
    host.sh(
        "iptables-legacy -P FORWARD ACCEPT; setsid flock /run/xtables.lock sleep infinity </dev/null >/dev/null 2>&1 &",
    );
    until("it is held", || !host.try_sh("flock -n /run/xtables.lock true").0);
    let wanted = || one.change(Backend::Iptables, put(&[rule("web", 443, &["192.0.2.0/24", "2001:db8::/32"])]));
    one.edit(wanted()).await.expect("it is another's");
    one.perform(Action::Withdraw { target: one.target.clone(), commit: Commit::AtOnce }, &Bindings::default())
        .await
        .expect("gone");
    let before = host.filter();
    // That of portcullis is awaited, and nothing begins without it.
    let holds = "exec 9>$(echo /run/portcullis/*)/lock; flock 9; exec sleep infinity";
    host.sh(&format!("setsid sh -c '{holds}' </dev/null >/dev/null 2>&1 & echo $! >/run/holds"));
    until("it is held", || !host.try_sh("flock -n $(echo /run/portcullis/*)/lock true").0);
    let error = one.edit(wanted()).await.expect_err("another run holds it");
    assert!(error.detail.contains("another run of portcullis") && !error.ambiguous, "{error}");
    assert_eq!(host.filter(), before);
    // Whoever held it is gone, however.
    host.sh("kill -KILL $(cat /run/holds)");
    one.edit(wanted()).await.expect("it is free");
}
