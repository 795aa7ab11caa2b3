//! What the kernel makes of the texts that we give its tools. Everything happens in network namespaces of its own.

mod beside;
mod commit;
mod connections;
mod foreign;
#[cfg(feature = "aws")]
mod gateway;
mod hand;
mod hosts;
mod interrupted;
mod large;
#[cfg(feature = "aws")]
mod order;
mod random;
mod roundtrip;
mod ssh;
mod traffic;

use portcullis::model::{StackName, Tags};
use portcullis::resources::host_firewall::action::Attach;
use portcullis::resources::host_firewall::dialect::{Reading, Standing, Wanted};
use portcullis::resources::host_firewall::host::Backend;
use portcullis::resources::host_firewall::names::Names;
use portcullis::resources::host_firewall::ruleset::Ruleset;

use crate::support::netns::Netns;

/// Both dialects.
const BACKENDS: [Backend; 2] = [Backend::Nftables, Backend::Iptables];

/// The names of the stack that the tests use.
fn names() -> Names {
    Names::of(&StackName::new("shop").expect("a stack"))
}

/// What stands in a namespace.
#[track_caller]
fn read(netns: &Netns) -> Reading {
    Reading::of(&names(), &netns.listing()).unwrap_or_else(|why| panic!("{why}"))
}

/// What is ours in one dialect.
fn standing(netns: &Netns, backend: Backend) -> Option<Standing> {
    read(netns).ours.remove(&backend)
}

/// What is wanted, called from the usual chain.
fn wanted<'a>(backend: Backend, rules: &'a Ruleset, tags: &'a Tags) -> Wanted<'a> {
    Wanted { backend, rules, tags, attach: &Attach::Input, raise: true }
}

/// Makes it so.
#[track_caller]
fn make(netns: &Netns, backend: Backend, rules: &Ruleset, tags: &Tags) {
    netns.apply(&read(netns).change(backend, Some(wanted(backend, rules, tags)), &[]));
}

/// Demands that these rules stand, whoever counts.
#[track_caller]
fn stands(netns: &Netns, backend: Backend, rules: &Ruleset, tags: &Tags) {
    let standing = standing(netns, backend).expect("ours");
    assert!(standing.edited.is_empty(), "{:#?}", standing.edited);
    assert!(standing.rules.same_as(rules), "{:#?}\nis not\n{rules:#?}", standing.rules);
    assert_eq!(&standing.tags, tags);
    let seen = |rules: &Ruleset| -> Vec<_> {
        rules.rules.values().flat_map(|rule| rule.sources.values().map(|held| held.seen)).collect()
    };
    assert_eq!(seen(&standing.rules), seen(rules));
}

/// Everything that the packet filter has, without what counts and what only one run has.
fn everything(netns: &Netns) -> String {
    // Sets of ipset are listed in the order in which they were made.
    let sets = netns.must(&["ipset", "save"], "");
    let mut sets: Vec<&str> = sets.lines().collect();
    sets.sort_unstable();
    let text = [
        sorted_sets(&netns.must(&["nft", "-n", "list", "ruleset"], "")),
        netns.must(&["iptables-nft-save"], ""),
        netns.must(&["ip6tables-nft-save"], ""),
        sets.join("\n"),
    ];
    let text = text.join("\n");
    let kept = text.lines().filter(|line| !line.starts_with('#')).map(without_counts);
    kept.collect::<Vec<_>>().join("\n")
}

/// A listing of nft with the sets of each table in the order of their names: it has them in the order in which they were made.
fn sorted_sets(listing: &str) -> String {
    let (mut sorted, mut sets) = (String::new(), Vec::<String>::new());
    let mut inside = false;
    for line in listing.lines() {
        match line {
            _ if line.starts_with("\tset ") => {
                sets.push(format!("{line}\n"));
                inside = true;
            }
            _ if inside => {
                let set = sets.last_mut().expect("a set");
                set.push_str(line);
                set.push('\n');
                inside = line != "\t}";
            }
            // Between two sets there is an empty line.
            "" if !sets.is_empty() => {}
            _ => {
                sets.sort_unstable();
                sorted.extend(sets.drain(..));
                sorted.push_str(line);
                sorted.push('\n');
            }
        }
    }
    sorted
}

/// A line without numbers that differ from run to run: counters, and what the kernel chooses for a set.
fn without_counts(line: &str) -> String {
    let mut words = line.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if ["packets", "bytes", "hashsize", "bucketsize", "initval"].contains(&word) {
            words.next();
        } else {
            kept.push(word);
        }
    }
    // Which change wrote a marker is not part of what stands.
    let line = kept.join(" ");
    match line.find("\"change ") {
        Some(at) => line[..at].to_owned(),
        None => line,
    }
}

/// Demands that two texts are the same, and shows the lines that only one has.
#[track_caller]
fn same(found: &str, wanted: &str, what: &str) {
    let only = |these: &str, those: &str| -> Vec<String> {
        these.lines().filter(|line| !those.lines().any(|other| other == *line)).map(str::to_owned).collect()
    };
    assert!(found == wanted, "{what}: too much {:#?}, missing {:#?}", only(found, wanted), only(wanted, found));
}
