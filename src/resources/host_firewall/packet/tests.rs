//! What may become of a packet, case by case.

use super::*;
use crate::resources::host_firewall::ruleset::{Held, Origin, Rule as Ours, RuleKey, Settings, UDP};

fn rule(then: Then) -> Rule {
    Rule { text: String::new(), when: Match::default(), then, comment: None }
}

fn when(when: Match, then: Then) -> Rule {
    Rule { when, ..rule(then) }
}

fn nets(nets: &[&str]) -> AddressSet {
    nets.iter().map(|net| net.parse::<ipnet::IpNet>().unwrap()).collect()
}

fn chain(table: &str, drops: bool, rules: Vec<Rule>) -> Chain {
    Chain { table: table.to_owned(), name: "INPUT".to_owned(), priority: 0, drops, rules }
}

fn foreign(chains: Vec<Chain>) -> Foreign {
    Foreign { ipv4: chains, ..Foreign::default() }
}

fn ssh() -> Packet {
    Packet::tcp("198.51.100.7".parse().unwrap(), 22)
}

const EITHER: Fate = Fate { passes: true, drops: true, falls: false };

#[test]
fn a_host_without_rules_lets_everybody_in() {
    assert_eq!(Foreign::default().fate(&ssh(), Fate::FALLS), Fate::PASSES);
    assert_eq!(foreign(vec![chain("ip filter", true, Vec::new())]).fate(&ssh(), Fate::FALLS), Fate::DROPS);
}

#[test]
fn what_one_base_chain_accepts_the_next_may_drop() {
    let both = foreign(vec![
        chain("inet ours", false, vec![rule(Then::Ours)]),
        chain("ip filter", true, vec![when(Match { protocol: Some(UDP), ..Match::default() }, Then::Accept)]),
    ]);
    assert_eq!(both.fate(&ssh(), Fate::PASSES), Fate::DROPS);
    assert_eq!(
        foreign(vec![chain("ip filter", true, vec![rule(Then::Ours)])]).fate(&ssh(), Fate::PASSES),
        Fate::PASSES
    );
}

#[test]
fn matches_narrow_and_what_is_not_understood_may_be_anything() {
    let with = |m: Match| foreign(vec![chain("ip filter", false, vec![when(m, Then::Drop)])]).fate(&ssh(), Fate::FALLS);
    let port = |from, to| Match { ports: vec![Ports { from, to }], protocol: Some(TCP), ..Match::default() };
    assert_eq!(with(port(20, 25)), Fate::DROPS);
    assert_eq!(with(port(80, 80)), Fate::PASSES);
    assert_eq!(with(Match { source: Some(nets(&["198.51.100.0/24"])), ..Match::default() }), Fate::DROPS);
    assert_eq!(with(Match { source: Some(nets(&["10.0.0.0/8"])), ..Match::default() }), Fate::PASSES);
    assert_eq!(with(Match { new: Some(false), ..Match::default() }), Fate::PASSES);
    assert_eq!(with(Match { interface: Some("lo".to_owned()), ..Match::default() }), Fate::PASSES);
    assert_eq!(with(Match { interface: Some("eth0".to_owned()), ..Match::default() }), EITHER);
    assert_eq!(with(Match { opaque: true, ..Match::default() }), EITHER);
    assert_eq!(with(Match { opaque: true, source: Some(nets(&["10.0.0.0/8"])), ..Match::default() }), Fate::PASSES);
}

#[test]
fn called_chains_return_and_goto_does_not() {
    let mut one = foreign(vec![chain("ip filter", false, vec![rule(Then::Jump("f2b".to_owned())), rule(Then::Drop)])]);
    one.called.insert("ip filter f2b".to_owned(), vec![rule(Then::Return), rule(Then::Accept)]);
    assert_eq!(one.fate(&ssh(), Fate::FALLS), Fate::DROPS);
    one.called.insert("ip filter f2b".to_owned(), vec![rule(Then::Accept)]);
    assert_eq!(one.fate(&ssh(), Fate::FALLS), Fate::PASSES);
    one.ipv4[0].rules[0].then = Then::Goto("f2b".to_owned());
    one.called.insert("ip filter f2b".to_owned(), Vec::new());
    assert_eq!(one.fate(&ssh(), Fate::FALLS), Fate::PASSES, "a goto that ends comes to the policy");
    one.ipv4[0].rules[0].then = Then::Jump("nobody-knows".to_owned());
    assert_eq!(one.fate(&ssh(), Fate::FALLS), EITHER);
}

#[test]
fn chains_in_a_ring_end() {
    let mut ring = foreign(vec![chain("ip filter", false, vec![rule(Then::Jump("a".to_owned()))])]);
    ring.called.insert("ip filter a".to_owned(), vec![rule(Then::Jump("a".to_owned()))]);
    assert_eq!(ring.fate(&ssh(), Fate::FALLS), EITHER);
}

#[test]
fn doubts_make_every_verdict_uncertain() {
    let doubtful = Foreign { doubts: vec!["iptables-save hides conditions".to_owned()], ..Foreign::default() };
    assert_eq!(doubtful.fate(&ssh(), Fate::FALLS), EITHER);
}

#[test]
fn our_chain_does_what_its_mode_says() {
    let with = |mode, established, source: &str| {
        let mut web = Ours::new(RuleKey::Named("web".to_owned()), Traffic::tcp(22));
        web.sources.insert(Origin::Spec, Held { addresses: nets(&[source]), seen: None });
        let settings = Settings { mode, established, ..Settings::default() };
        Ruleset { settings, rules: [(web.key.clone(), web)].into() }.fate(&ssh())
    };
    let (keep, cut) = (Established::Keep, Established::Cut);
    assert_eq!(with(Mode::Allow, keep, "198.51.100.7/32"), Fate::PASSES);
    assert_eq!(with(Mode::Allow, keep, "198.51.100.8/32"), Fate::FALLS);
    assert_eq!(with(Mode::Guard, keep, "198.51.100.8/32"), Fate::DROPS);
    assert_eq!(with(Mode::Deny, cut, "198.51.100.8/32"), Fate::DROPS);
    assert_eq!(with(Mode::Deny, cut, "198.51.100.0/24"), Fate::PASSES);
    let six = Packet::tcp("2001:db8::1".parse().unwrap(), 22);
    let only_four = Ruleset {
        settings: Settings { mode: Mode::Deny, families: [Family::Ipv4].into(), ..Settings::default() },
        ..Ruleset::default()
    };
    assert_eq!(only_four.fate(&six), Fate::FALLS);
    assert_eq!(only_four.fate(&ssh()), Fate::DROPS);
    assert_eq!(only_four.fate(&Packet { port: 80, ..ssh() }), Fate::DROPS);
}
