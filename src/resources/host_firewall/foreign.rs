//! What others have on the way in.
//!
//! Tables that iptables keeps are listed twice: by iptables-save, which knows its own extensions, and by nft, which does not
//! but forgets nothing. iptables-save may print a rule of nft without what it looks at, so its word counts only for chains
//! in which nft sees just as many rules and knows nothing of any of them that iptables-save does not tell, too.

mod native;
mod saved;

use std::collections::BTreeSet;

use super::iptables::{Saved, Table};
use super::names::Names;
use super::nft::{Listed, Piece, Right, Test, pieces};
use super::packet::{Chain, Foreign, Rule, Then};
use crate::model::Family;

/// The built-in chains of iptables on the input hook: table and priority (`nf_ip_hook_priorities` of the kernel).
const BUILT_IN: [(&str, i32); 4] = [("mangle", -150), ("filter", 0), ("security", 50), ("nat", 100)];

/// Reads both listings.
pub(super) fn read(names: &Names, listed: Option<&Listed>, saved: &Saved) -> Foreign {
    let mut foreign = Foreign::default();
    let Some(listed) = listed else {
        foreign.doubts.push("nft is missing, so tables of nftables are not seen".to_owned());
        built_in(names, saved, &mut foreign);
        return foreign;
    };
    let mut bases: Vec<_> = listed.chains.iter().filter(|chain| chain.hook.as_deref() == Some("input")).collect();
    bases.sort_by_key(|chain| chain.priority);
    let own = format!("inet {}", names.table());
    let mut tables = BTreeSet::new();
    for base in bases {
        let rules = if base.table == own {
            vec![Rule {
                text: base.name.clone(),
                when: super::packet::Match::default(),
                then: Then::Ours,
                comment: None,
            }]
        } else {
            tables.insert(base.table.clone());
            rules(names, listed, saved, (&base.table, &base.name), &mut foreign.doubts)
        };
        let chain = Chain {
            table: base.table.clone(),
            name: base.name.clone(),
            priority: base.priority,
            drops: base.drops,
            rules,
        };
        match base.table.split(' ').next() {
            Some("ip") => foreign.ipv4.push(chain),
            Some("ip6") => foreign.ipv6.push(chain),
            Some("inet") => {
                foreign.ipv4.push(chain.clone());
                foreign.ipv6.push(chain);
            }
            // What is bridged and what is no IP does not come in by this hook.
            _ => {}
        }
    }
    for chain in listed.chains.iter().filter(|chain| chain.hook.is_none() && tables.contains(&chain.table)) {
        if !is_own_chain(names, &chain.name) {
            let rules = rules(names, listed, saved, (&chain.table, &chain.name), &mut foreign.doubts);
            foreign.called.insert(format!("{} {}", chain.table, chain.name), rules);
        }
    }
    foreign.doubts.dedup();
    foreign
}

/// What iptables-save alone tells.
fn built_in(names: &Names, saved: &Saved, foreign: &mut Foreign) {
    for (family, tables) in &saved.families {
        let word = if *family == Family::Ipv4 { "ip" } else { "ip6" };
        for (name, priority) in BUILT_IN {
            let Some(table) = tables.tables.get(name) else { continue };
            let key = format!("{word} {name}");
            for (chain, policy) in &table.chains {
                if is_own_chain(names, chain) {
                    continue;
                }
                let rules = saved::rules(names, saved, table, chain, &mut foreign.doubts);
                match policy {
                    Some(drops) if chain == "INPUT" => {
                        let (table, name, drops) = (key.clone(), chain.clone(), *drops);
                        let chain = Chain { table, name, priority, drops, rules };
                        match family {
                            Family::Ipv4 => foreign.ipv4.push(chain),
                            Family::Ipv6 => foreign.ipv6.push(chain),
                        }
                    }
                    Some(_) => {}
                    None => {
                        foreign.called.insert(format!("{key} {chain}"), rules);
                    }
                }
            }
        }
    }
}

fn is_own_chain(names: &Names, chain: &str) -> bool {
    chain == names.chain() || chain == names.marker_chain()
}

/// The rules of a chain, from the listing that tells most of it.
fn rules(
    names: &Names,
    listed: &Listed,
    saved: &Saved,
    (table, chain): (&str, &str),
    doubts: &mut Vec<String>,
) -> Vec<Rule> {
    if let Some(known) = table_of(saved, table) {
        let told = saved::rules(names, saved, known, chain, doubts);
        let count = listed.rules_of(table, chain).count();
        let mut both = listed.rules_of(table, chain).zip(&told);
        if told.len() == count && both.all(|(rule, told)| native::agrees(names, listed, rule, told)) {
            return told;
        }
        doubts.push(format!("{table} {chain}: iptables-save does not tell everything that its rules look at"));
    }
    listed.rules_of(table, chain).map(|rule| native::rule(names, listed, rule)).collect()
}

/// The table of iptables that nft lists as `ip filter`.
fn table_of<'a>(saved: &'a Saved, table: &str) -> Option<&'a Table> {
    let (family, name) = table.split_once(' ')?;
    let family = match family {
        "ip" => Family::Ipv4,
        "ip6" => Family::Ipv6,
        _ => return None,
    };
    saved.families.get(&family)?.tables.get(name)
}
