//! What is written reads back, for any rules; and there is always a way back.

use ipnet::IpNet;
use portcullis::model::Tags;
use portcullis::resources::host_firewall::host::Backend;
use portcullis::resources::host_firewall::ruleset::Ruleset;
use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};

use super::{everything, make, random, read, same, standing, stands, wanted};
use crate::support::netns::Netns;

/// How many random cases per dialect. Each takes some dozen calls of the tools.
const CASES: u32 = 14;

#[test]
fn a_table_of_nftables_reads_back_and_every_change_can_be_taken_back() {
    reads_back(Backend::Nftables);
}

#[test]
fn chains_of_iptables_read_back_and_every_change_can_be_taken_back() {
    reads_back(Backend::Iptables);
}

fn reads_back(backend: Backend) {
    let netns = Netns::new();
    // iptables makes its built-in chains with the first rule, and they stay.
    netns.must(&["iptables-nft-restore"], "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n");
    netns.must(&["ip6tables-nft-restore"], "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n");
    let nothing = everything(&netns);
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let cases = (random::rulesets(), random::tags(), random::rulesets(), vec(random::networks(), 1..9));
    let ran = TestRunner::new(config).run(&cases, |(first, tags, second, nets)| {
        one(&netns, backend, (&first, &tags), &second, &nets, &nothing);
        Ok(())
    });
    if let Err(why) = ran {
        panic!("{backend}: {why}");
    }
}

fn one(
    netns: &Netns,
    backend: Backend,
    (first, tags): (&Ruleset, &Tags),
    second: &Ruleset,
    pool: &[IpNet],
    nothing: &str,
) {
    // A case before this one may have stopped half way.
    netns.apply(&read(netns).change(backend, None, &[]));
    same(&everything(netns), nothing, "it leaves no trace");

    let change = read(netns).change(backend, Some(wanted(backend, first, tags)), &[]);
    netns.apply(&change);
    stands(netns, backend, first, tags);
    let again = read(netns).change(backend, Some(wanted(backend, first, tags)), &[]);
    assert!(again.is_empty() && again.undo.is_empty(), "{again:#?}");
    netns.undo(&change);
    same(&everything(netns), nothing, "the way back to nothing");
    netns.apply(&change);

    let before = everything(netns);
    let moved = random::moved(first, pool);
    for next in [&moved, second] {
        let change = read(netns).change(backend, Some(wanted(backend, next, tags)), &[]);
        netns.apply(&change);
        stands(netns, backend, next, tags);
        netns.undo(&change);
        same(&everything(netns), &before, "the way back");
        // From half of it, and from none of it.
        for done in change.before.iter().chain(change.change.first()) {
            netns.give(done).unwrap_or_else(|why| panic!("{why}"));
        }
        netns.undo(&change);
        same(&everything(netns), &before, "the way back from half way");
        netns.undo(&change);
        same(&everything(netns), &before, "the way back from where it began");
    }
    // Step by step as all at once.
    make(netns, backend, &moved, tags);
    make(netns, backend, second, tags);
    stands(netns, backend, second, tags);
    let stepwise = everything(netns);
    netns.apply(&read(netns).change(backend, None, &[]));
    assert!(standing(netns, backend).is_none());
    same(&everything(netns), nothing, "it leaves no trace");
    make(netns, backend, second, tags);
    same(&everything(netns), &stepwise, "step by step and all at once");
}
