//! What people and other programs do to our rules, and what is left when a change was interrupted.

use portcullis::model::{StackName, Tags};
use portcullis::resources::host_firewall::action::Attach;
use portcullis::resources::host_firewall::dialect::{Program, Reading, Wanted, boot};
use portcullis::resources::host_firewall::host::{Backend, Jump};
use portcullis::resources::host_firewall::names::Names;
use portcullis::resources::host_firewall::ruleset::{Held, Mode, Origin, Rule, RuleKey, Ruleset, Settings, Traffic};

use super::{BACKENDS, everything, make, names, read, same, standing, stands, wanted};
use crate::support::netns::Netns;

/// Web and ssh from two networks, everything else left to others.
fn rules() -> Ruleset {
    let mut rules = Ruleset::default();
    for (name, port) in [("ssh", 22), ("web", 80)] {
        let mut rule = Rule::new(RuleKey::Named(name.into()), Traffic::tcp(port));
        let nets = ["10.0.0.0/24", "2001:db8::/32"].map(|net| net.parse().expect("a network"));
        rule.sources.insert(Origin::Spec, Held { addresses: nets.into_iter().collect(), seen: None });
        rules.rules.insert(rule.key.clone(), rule);
    }
    rules
}

fn tags() -> Tags {
    Tags::from([("portcullis:stack".to_owned(), "shop".to_owned())])
}

#[test]
fn what_was_edited_by_hand_is_shown_repaired_and_restored() {
    let chain = names().chain();
    let table = names().table();
    let edits: [(Backend, &[&str]); 7] = [
        (Backend::Iptables, &["iptables-nft", "-A", &chain, "-s", "9.9.9.9", "-j", "ACCEPT"]),
        (Backend::Iptables, &["iptables-nft", "-D", &chain, "1"]),
        (Backend::Iptables, &["ip6tables-nft", "-F", &chain]),
        (Backend::Nftables, &["nft", "insert", "rule", "inet", &table, "input", "ip", "saddr", "9.9.9.9", "accept"]),
        (Backend::Nftables, &["nft", "flush", "chain", "inet", &table, "input"]),
        (Backend::Nftables, &["nft", "add", "set", "inet", &table, "x", "{ type inet_service; elements = { 22 }; }"]),
        (Backend::Nftables, &["nft", "flush", "chain", "inet", &table, "marker"]),
    ];
    for (backend, edit) in edits {
        let netns = Netns::new();
        make(&netns, backend, &rules(), &tags());
        netns.must(edit, "");
        let before = everything(&netns);
        let edited = standing(&netns, backend).expect("ours").edited;
        assert!(!edited.is_empty(), "{edit:?}");
        let change = read(&netns).change(backend, Some(wanted(backend, &rules(), &tags())), &[]);
        netns.apply(&change);
        stands(&netns, backend, &rules(), &tags());
        netns.undo(&change);
        same(&everything(&netns), &before, "the way back to what somebody made of it");
    }
}

#[test]
fn jumps_that_are_missing_or_several_or_elsewhere_become_one_at_the_top() {
    let chain = names().chain();
    let cases: [(&[&[&str]], Jump); 5] = [
        (&[&["-D", "INPUT", "1"]], Jump::Missing),
        (&[&["-A", "INPUT", "-j", &chain], &["-A", "INPUT", "-j", &chain]], Jump::Several),
        (&[&["-I", "INPUT", "1", "-s", "9.9.9.9", "-j", "DROP"]], Jump::After(1)),
        (&[&["-D", "INPUT", "1"], &["-A", "INPUT", "-i", "lo", "-j", &chain]], Jump::Missing),
        (&[&["-D", "INPUT", "1"], &["-N", "OTHER"], &["-A", "OTHER", "-j", &chain]], Jump::Missing),
    ];
    for (commands, jump) in cases {
        let netns = Netns::new();
        make(&netns, Backend::Iptables, &rules(), &tags());
        for command in commands {
            netns.must(&[&["iptables-nft"], *command].concat(), "");
        }
        let before = everything(&netns);
        let found = standing(&netns, Backend::Iptables).expect("ours");
        assert_eq!(found.jumps.values().next(), Some(&jump), "{commands:?}");
        // Others insert theirs above ours at any time: only whoever asks for it is put above them again.
        let stays = read(&netns).change(Backend::Iptables, Some(found.wanted()), &[]).is_empty();
        assert_eq!(stays, jump == Jump::After(1), "{commands:?}");
        let raised = Wanted { raise: true, ..found.wanted() };
        let change = read(&netns).change(Backend::Iptables, Some(raised), &[]);
        netns.apply(&change);
        let now = standing(&netns, Backend::Iptables).expect("ours");
        assert!(now.jumps.values().all(|jump| *jump == Jump::After(0)), "{:?}", now.jumps);
        assert!(read(&netns).change(Backend::Iptables, Some(now.wanted()), &[]).is_empty());
        netns.undo(&change);
        same(&everything(&netns), &before, "the way back");
    }
}

#[test]
fn another_chain_may_call_ours_and_one_that_cannot_be_is_refused() {
    let netns = Netns::new();
    for tool in ["iptables-nft", "ip6tables-nft"] {
        netns.must(&[tool, "-N", "DOCKER-USER"], "");
        netns.must(&[tool, "-A", "DOCKER-USER", "-j", "RETURN"], "");
    }
    make(&netns, Backend::Iptables, &rules(), &tags());
    let before = everything(&netns);
    let (rules, tags) = (rules(), tags());
    let attach = Attach::Chain("DOCKER-USER".to_owned());
    let wanted = Wanted { attach: &attach, ..wanted(Backend::Iptables, &rules, &tags) };
    let change = read(&netns).change(Backend::Iptables, Some(wanted), &[]);
    netns.apply(&change);
    let now = standing(&netns, Backend::Iptables).expect("ours");
    assert_eq!((&now.attach, now.jumps.values().next()), (&attach, Some(&Jump::After(0))));
    assert!(!everything(&netns).contains("-A INPUT"));
    netns.undo(&change);
    same(&everything(&netns), &before, "the way back");

    let hostile = Attach::Chain("INPUT\n-A INPUT -j ACCEPT\n-A INPUT".to_owned());
    let change = read(&netns).change(Backend::Iptables, Some(Wanted { attach: &hostile, ..wanted }), &[]);
    assert!(change.inputs().any(|input| netns.give(input).is_err()));
    same(&everything(&netns), &before, "nothing came of it");
}

#[test]
fn what_an_interrupted_change_left_is_taken_up() {
    let netns = Netns::new();
    let change = read(&netns).change(Backend::Iptables, Some(wanted(Backend::Iptables, &rules(), &tags())), &[]);
    // The sets were made, one of them only in part, and one was to take another's place.
    for input in &change.before {
        netns.give(input).expect("sets");
    }
    let set = names().ipset(&RuleKey::Named("web".into()), &Origin::Spec, portcullis::model::Family::Ipv4);
    netns.must(&["ipset", "flush", &set], "");
    netns.must(&["ipset", "create", &format!("{set}t"), "hash:net"], "");
    assert!(read(&netns).ours.is_empty());
    make(&netns, Backend::Iptables, &rules(), &tags());
    stands(&netns, Backend::Iptables, &rules(), &tags());
    assert!(!everything(&netns).contains(&format!("{set}t")));

    // A set that somebody made with other options is one of ours all the same.
    let netns = Netns::new();
    netns.must(&["ipset", "create", &set, "hash:net", "maxelem", "2"], "");
    make(&netns, Backend::Iptables, &rules(), &tags());
    stands(&netns, Backend::Iptables, &rules(), &tags());

    // Nothing but sets: they go, too.
    let netns = Netns::new();
    for input in &change.before {
        netns.give(input).expect("sets");
    }
    netns.apply(&read(&netns).change(Backend::Iptables, None, &[]));
    assert_eq!(netns.must(&["ipset", "save"], ""), "");
}

#[test]
fn a_boot_restores_what_stands_and_can_be_run_again() {
    for backend in BACKENDS {
        let (rules, tags) = (rules(), tags());
        let made = Netns::new();
        make(&made, backend, &rules, &tags);
        let wanted = wanted(backend, &rules, &tags);
        let booted = Netns::new();
        for _ in 0..2 {
            for input in boot(&names(), &wanted) {
                booted.give(&input).expect("what a boot restores");
            }
            stands(&booted, backend, &rules, &tags);
            assert!(read(&booted).change(backend, Some(wanted), &[]).is_empty());
        }
        same(&everything(&booted), &everything(&made), "as it was");
        assert_eq!(boot(&names(), &standing(&made, backend).expect("ours").wanted()), boot(&names(), &wanted));
    }
}

#[test]
fn two_stacks_and_both_dialects_live_side_by_side() {
    let netns = Netns::new();
    let other = Names::of(&StackName::new("shop-2").expect("a stack"));
    for backend in BACKENDS {
        make(&netns, backend, &rules(), &tags());
        let before = everything(&netns);
        let reading = Reading::of(&other, &netns.listing()).expect("a reading");
        assert!(reading.ours.is_empty());
        let change = reading.change(backend, Some(wanted(backend, &rules(), &Tags::new())), &[]);
        netns.apply(&change);
        stands(&netns, backend, &rules(), &tags());
        let reading = Reading::of(&other, &netns.listing()).expect("a reading");
        netns.apply(&reading.change(backend, None, &[]));
        same(&everything(&netns), &before, "the other stack is gone");
    }
    assert_eq!(read(&netns).ours.len(), 2);
}

#[test]
fn rules_are_adopted_in_the_same_transaction_and_come_back_where_they_were() {
    for backend in BACKENDS {
        let netns = Netns::new();
        let foreign = "*filter\n:INPUT ACCEPT [0:0]\n:EC2 - [0:0]\n\
            -A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 22 -m comment --comment \"EC2 - a \\\"b\\\"\" -j ACCEPT\n\
            -A INPUT -s 10.0.0.9/32 -j DROP\n\
            -A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 22 -m comment --comment \"EC2 - a \\\"b\\\"\" -j ACCEPT\n\
            -A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 23 -m comment --comment \"EC2 - a \\\"b\\\"\" -j ACCEPT\n\
            -A EC2 -s 10.0.0.2/32 -m comment --comment \"EC2 - c\" -j ACCEPT\n\
            -A INPUT -j REJECT --reject-with icmp-port-unreachable\nCOMMIT\n";
        netns.must(&["iptables-nft-restore"], foreign);
        netns.must(&["ip6tables-nft-restore"], "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n");
        let before = everything(&netns);
        let reading = read(&netns);
        let texts =
            reading.foreign.ipv4.iter().flat_map(|chain| &chain.rules).chain(reading.foreign.called.values().flatten());
        let adopt: Vec<String> = texts
            .filter(|rule| rule.comment.as_deref().is_some_and(|text| text.starts_with("EC2 - ")))
            .filter(|rule| rule.when.ports != Traffic::tcp(23).ports)
            .map(|rule| rule.text.clone())
            .chain(["-A INPUT -s 1.1.1.1/32 -j ACCEPT".to_owned(), "-A INPUT -j ACCEPT\n-F".to_owned()])
            .collect();
        assert_eq!(adopt.len(), 5);
        let change = reading.change(backend, Some(wanted(backend, &rules(), &tags())), &adopt);
        netns.apply(&change);
        stands(&netns, backend, &rules(), &tags());
        let left = netns.must(&["iptables-nft-save"], "");
        assert!(!left.contains("10.0.0.1/32 -p tcp -m tcp --dport 22") && left.contains("--dport 23"), "{left}");
        netns.undo(&change);
        same(&everything(&netns), &before, "the way back");
        netns.undo(&change);
        same(&everything(&netns), &before, "the way back from where it began");
        netns.apply(&change);
        let again = read(&netns).change(backend, Some(wanted(backend, &rules(), &tags())), &adopt);
        assert!(again.is_empty(), "{again:#?}");
    }
}

#[test]
fn a_change_that_fails_in_one_family_changes_nothing_there() {
    let netns = Netns::new();
    make(&netns, Backend::Iptables, &rules(), &tags());
    let before = everything(&netns);
    let mut next = rules();
    next.settings = Settings { mode: Mode::Deny, ..Settings::default() };
    let change = read(&netns).change(Backend::Iptables, Some(wanted(Backend::Iptables, &next, &tags())), &[]);
    for input in change.before.iter().chain(change.change.first()) {
        netns.give(input).expect("IPv4");
    }
    let broken = change.change[1].text.replace("COMMIT", "-D INPUT -s 1.1.1.1/32 -j ACCEPT\nCOMMIT");
    assert!(!netns.run(Program::argv(change.change[1].program), &broken).well);
    netns.undo(&change);
    same(&everything(&netns), &before, "IPv4 is as it was, too");
}
