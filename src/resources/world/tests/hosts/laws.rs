//! What holds of hosts whatever is done to them.

use proptest::prelude::*;

use super::*;
use crate::resources::host_firewall::packet::Packet;
use crate::resources::host_firewall::ruleset::{Established, Ruleset, UDP};

fn edits() -> impl Strategy<Value = Edit> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let nets = prop::sample::subsequence(vec!["192.0.2.0/28", "10.0.0.0/8", "192.0.2.10/32", "2001:db8::/32"], 0..4);
    let rule =
        (name, prop::sample::select(vec![22_u16, 80]), nets).prop_map(|(name, port, nets)| rule(name, port, &nets));
    let mode = prop::option::of(prop::sample::select(vec![Mode::Allow, Mode::Guard, Mode::Deny]));
    let families = prop::sample::subsequence(Family::ALL.to_vec(), 1..=2);
    let drop = prop::sample::subsequence(vec!["a", "b", "c"], 0..2);
    (prop::collection::vec(rule, 0..3), mode, any::<bool>(), families, drop).prop_map(
        |(put, mode, cut, families, drop)| {
            let established = if cut { Established::Cut } else { Established::Keep };
            let families = families.into_iter().collect();
            let settings = mode.map(|mode| Settings { mode, established, families });
            let drop = drop.into_iter().map(|name| RuleKey::Named(name.to_owned())).collect();
            Edit { settings, put, drop, ..Edit::default() }
        },
    )
}

fn actions() -> impl Strategy<Value = Act> {
    let backend = prop::sample::select(vec![Backend::Nftables, Backend::Iptables]);
    let commit = || prop::sample::select(vec![Commit::AtOnce, Commit::Within(Seconds(60)), Commit::Within(Seconds(5))]);
    let adopt =
        prop::sample::subsequence(vec![SSH, "-A INPUT -p tcp -m tcp --dport 80 -j DROP", "-A INPUT -j NO"], 0..3);
    let other = any::<bool>();
    let edit = (backend, edits(), commit(), adopt, any::<bool>(), other).prop_map(
        |(backend, edit, commit, adopt, persist, other)| {
            let mut tags = owned(AT);
            if other {
                tags.extend([
                    ("portcullis:stack".to_owned(), "other".to_owned()),
                    ("portcullis:address".to_owned(), "host_firewall.theirs".to_owned()),
                ]);
            }
            let adopt = adopt.into_iter().map(str::to_owned).collect();
            Act::Edit(Box::new(Change { tags, adopt, commit, persist, ..change(backend, edit) }))
        },
    );
    let tag = prop::sample::select(vec!["x", "y"]).prop_map(|value| Act::Tag {
        edit: TagEdit { set: Tags::from([("k".to_owned(), value.to_owned())]), ..TagEdit::default() },
    });
    let withdraw = commit().prop_map(|commit| Act::Withdraw { target: gateway(), commit });
    prop_oneof![6 => edit, 1 => tag, 1 => withdraw, 1 => Just(Act::Reach { target: gateway() })]
}

fn start(drops: bool, writes: bool) -> Hosts {
    let mut lab = Hosts::default();
    let rules = vec![theirs(22, Then::Accept), theirs(80, Then::Drop)];
    lab.host().facts.foreign.ipv4 = vec![input(drops, rules)];
    lab.host().writer = writes.then(|| theirs(25, Then::Drop));
    lab
}

proptest! {
    #[test]
    fn any_calls_leave_a_sound_world(
        drops: bool, writes: bool, reboots: bool, moves in prop::collection::vec(actions(), 0..12),
    ) {
        let mut lab = start(drops, writes);
        for action in moves {
            let before = lab.host().clone();
            let safe = !matches!(&action, Act::Edit(change) if change.commit == Commit::AtOnce)
                && !matches!(&action, Act::Withdraw { commit: Commit::AtOnce, .. });
            let breached = lab.world.breaches().len();
            let result = lab.world.step(&call(action), &lab.known);
            prop_assert_eq!(lab.world.audit(), Vec::<String>::new());
            if safe {
                prop_assert_eq!(lab.world.breaches().len(), breached, "{:?}", lab.world.breaches());
                prop_assert!(lab.host().answers() || !before.answers());
            }
            if result.is_err() && !writes {
                prop_assert_eq!(&before, &*lab.host());
            }
            for what in lab.world.breaches() {
                prop_assert!(what.contains("locked its own operator out"), "{}", what);
            }
        }
        let text = serde_json::to_string(&lab.world).unwrap();
        prop_assert_eq!(&serde_json::from_str::<World>(&text).unwrap(), &lab.world);
        if reboots {
            lab.world.reboot(&gateway().id());
            prop_assert_eq!(lab.world.audit(), Vec::<String>::new());
            let host = lab.host();
            prop_assert_eq!(&host.stacks, &host.boot);
        }
    }

    #[test]
    fn others_read_our_rules_as_we_mean_them(
        moves in prop::collection::vec(edits(), 1..4), port in prop::sample::select(vec![22_u16, 80, 443]),
        source in prop::sample::select(vec!["192.0.2.10", "10.1.1.1", "8.8.8.8", "2001:db8::1", "::9"]), udp: bool,
    ) {
        let rules = moves.iter().fold(Ruleset::default(), |rules, edit| rules.edited(edit, |_| None).unwrap());
        let packet = Packet { source: source.parse().unwrap(), protocol: if udp { UDP } else { TCP }, port };
        let other = StackName::new("other").unwrap();
        for backend in [Backend::Nftables, Backend::Iptables] {
            let mut lab = Hosts::default();
            let edit = Edit { put: rules.rules.values().cloned().collect(), settings: Some(rules.settings.clone()), ..Edit::default() };
            let commit = Commit::AtOnce;
            lab.step(Act::Edit(Box::new(Change { commit, ..change(backend, edit) }))).unwrap();
            lab.host().facts.peer = None;
            let (mine, theirs) = (lab.seen(), lab.seen_by(&other).1);
            let ours = mine.facts.foreign.fate(&packet, rules.fate(&packet));
            let read = theirs.facts.foreign.fate(&packet, crate::resources::host_firewall::packet::Fate::FALLS);
            prop_assert_eq!(ours, read);
        }
    }
}
