//! What `iptables-save` and `ipset save` print, before anything in it is understood.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::words::{ends_open, split};
use crate::model::{AddressSet, Family};
use crate::resources::host_firewall::dialect::Listing;

/// Both listings.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Saved {
    /// Per family the tables by name. A family is absent when its tool is.
    pub(in super::super) families: BTreeMap<Family, Tables>,
    /// The sets by name.
    pub(super) sets: BTreeMap<String, IpSet>,
}

/// The tables of a family.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Tables {
    /// By name.
    pub(in super::super) tables: BTreeMap<String, Table>,
    /// Those that iptables refuses to list, as nft wrote into them.
    pub(in super::super) refused: BTreeSet<String>,
}

/// One table.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Table {
    /// Its chains; of the built-in ones whether their policy is to drop.
    pub(in super::super) chains: BTreeMap<String, Option<bool>>,
    /// Its rules, each chain's in order.
    pub(in super::super) rules: Vec<SavedRule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct SavedRule {
    /// Its chain.
    pub(in super::super) chain: String,
    /// The line as it was printed: `-A INPUT ...`.
    pub(in super::super) text: String,
    /// What follows the chain, unquoted.
    pub(in super::super) words: Vec<String>,
}

/// One set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct IpSet {
    /// Its family, where it is a set of networks with the options that we give.
    pub(super) family: Option<Family>,
    /// Its elements.
    pub(super) nets: BTreeSet<IpNet>,
}

/// How many elements a set may have: one number for all, so that a set never has to be made anew to grow. It costs nothing
/// before it is used.
pub(super) const MOST_ELEMENTS: &str = "1048576";

impl Saved {
    /// Reads what was printed.
    ///
    /// # Errors
    /// When a text is none of these listings.
    pub(in super::super) fn read(listing: &Listing) -> Result<Self, String> {
        let mut families = BTreeMap::new();
        for (family, text) in [(Family::Ipv4, &listing.iptables), (Family::Ipv6, &listing.ip6tables)] {
            if let Some(text) = text {
                families.insert(family, Tables::read(text).map_err(|line| strange("iptables-save", &line))?);
            }
        }
        let mut sets: BTreeMap<String, IpSet> = BTreeMap::new();
        for line in listing.ipset.as_deref().unwrap_or_default().lines() {
            take_set(&mut sets, line);
        }
        Ok(Self { families, sets })
    }
}

impl Saved {
    /// The addresses of a set, where it is one such as ours.
    pub(in super::super) fn plain_set(&self, name: &str) -> Option<AddressSet> {
        let set = self.sets.get(name)?;
        set.family?;
        Some(super::sets::addresses(&set.nets))
    }
}

fn strange(tool: &str, line: &str) -> String {
    format!("`{tool}` printed what cannot be read: {}", line.escape_debug())
}

impl Tables {
    fn read(text: &str) -> Result<Self, String> {
        let mut read = Self::default();
        let mut current: Option<String> = None;
        for line in joined(text) {
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(name) = refused(comment) {
                    read.refused.insert(name.to_owned());
                }
            } else if let Some(name) = line.strip_prefix('*') {
                current = Some(name.to_owned());
                read.tables.insert(name.to_owned(), Table::default());
            } else if line == "COMMIT" {
                current = None;
            } else if !line.trim().is_empty() {
                let table = current.as_ref().and_then(|name| read.tables.get_mut(name));
                table.and_then(|table| table.take(&line)).ok_or(line)?;
            }
        }
        Ok(read)
    }
}

/// The table of ``# Table `filter' is incompatible, use 'nft' tool.``
fn refused(comment: &str) -> Option<&str> {
    let (name, _) = comment.trim().strip_prefix("Table `")?.split_once('\'')?;
    comment.contains("incompatible").then_some(name)
}

/// The lines of a text, where one with an open quote goes on in the next: a comment may hold a line break.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if open => {
                last.push('\n');
                last.push_str(line);
                open = ends_open(last);
            }
            _ => {
                open = line.starts_with("-A") && ends_open(line);
                lines.push(line.to_owned());
            }
        }
    }
    lines
}

impl Table {
    fn take(&mut self, line: &str) -> Option<()> {
        if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split(' ');
            let name = words.next()?;
            let drops = match words.next()? {
                "-" => None,
                policy => Some(policy == "DROP"),
            };
            self.chains.insert(name.to_owned(), drops);
            return Some(());
        }
        let mut words = split(line)?.into_iter();
        if words.next()? != "-A" {
            return None;
        }
        let chain = words.next()?;
        self.rules.push(SavedRule { chain, text: line.to_owned(), words: words.collect() });
        Some(())
    }

    /// The rules of a chain.
    pub(in super::super) fn rules_of(&self, chain: &str) -> impl Iterator<Item = &SavedRule> {
        self.rules.iter().filter(move |rule| rule.chain == chain)
    }
}

impl SavedRule {
    /// The line as another command with the same rule, `-D INPUT ...`; none where a line break in a comment would make it two.
    pub(super) fn command(&self, command: &str) -> Option<String> {
        let rest = self.text.strip_prefix("-A ")?;
        if self.text.contains(char::is_control) {
            return None;
        }
        Some(format!("{command} {rest}"))
    }

    /// The line as one that inserts the rule as the n-th of its chain, counted from 1.
    pub(super) fn insert(&self, at: usize) -> Option<String> {
        let rest = self.command("-I")?;
        let rest = rest.strip_prefix(&format!("-I {}", self.chain))?.to_owned();
        Some(format!("-I {} {at}{rest}", self.chain))
    }
}

/// Takes one line of `ipset save`. Sets of others may be of any sort; they are not looked at.
fn take_set(sets: &mut BTreeMap<String, IpSet>, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["create", name, "hash:net", "family", family, options @ ..] => {
            let family = match *family {
                "inet" => Some(Family::Ipv4),
                "inet6" => Some(Family::Ipv6),
                _ => None,
            };
            // Beside what the kernel chooses itself there is nothing but our number of elements.
            let ours = options.chunks(2).all(|pair| match pair {
                ["hashsize" | "bucketsize" | "initval", _] => true,
                ["maxelem", number] => *number == MOST_ELEMENTS,
                _ => false,
            });
            let set = IpSet { family: family.filter(|_| ours), nets: BTreeSet::new() };
            sets.insert((*name).to_owned(), set);
        }
        ["create", name, ..] => {
            sets.insert((*name).to_owned(), IpSet::default());
        }
        ["add", name, net, options @ ..] => {
            let Some(set) = sets.get_mut(*name) else { return };
            let net = net.parse().or_else(|_| net.parse::<std::net::IpAddr>().map(IpNet::from));
            match net {
                Ok(net) if options.is_empty() => {
                    set.nets.insert(net.trunc());
                }
                _ => set.family = None,
            }
        }
        _ => {}
    }
}
