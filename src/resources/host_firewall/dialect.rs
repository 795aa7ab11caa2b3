//! The door to both dialects: what a host lists becomes [`Reading`], and what is wanted becomes texts for its tools.
//!
//! Everything here is computed before anything is changed, also the way back.

use std::collections::BTreeMap;

use super::action::Attach;
use super::host::{Backend, Jump};
use super::names::Names;
use super::packet::Foreign;
use super::ruleset::Ruleset;
use super::{foreign, iptables, nft};
use crate::model::{Family, Tags};

/// What a host's tools printed. What is absent is not known: its tool is missing, or failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// `nft -n -j list ruleset`.
    pub nft: Option<String>,
    /// `iptables-nft-save`.
    pub iptables: Option<String>,
    /// `ip6tables-nft-save`.
    pub ip6tables: Option<String>,
    /// `ipset save`.
    pub ipset: Option<String>,
}

impl Listing {
    /// The commands that print it, in the order of its fields. None of them changes anything.
    pub const COMMANDS: [&'static [&'static str]; 4] = [
        // Numbers, as words depend on the host's `/etc/protocols`.
        &["nft", "-n", "-j", "list", "ruleset"],
        &["iptables-nft-save"],
        &["ip6tables-nft-save"],
        &["ipset", "save"],
    ];
}

/// A tool that reads a text from its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// nft, in its own language: one transaction.
    Nft,
    /// nft, in JSON: one transaction.
    NftJson,
    /// ipset: one command per line, ended by the first that fails.
    IpsetRestore,
    /// iptables in its nft flavour: one transaction. Chains of others stay.
    IptablesRestore,
    /// The same for IPv6.
    Ip6tablesRestore,
}

impl Program {
    /// The command, which never needs a shell.
    #[must_use]
    pub const fn argv(self) -> &'static [&'static str] {
        match self {
            Self::Nft => &["nft", "-f", "-"],
            Self::NftJson => &["nft", "-j", "-f", "-"],
            // With `-exist` what is there already, or gone already, is no error.
            Self::IpsetRestore => &["ipset", "-exist", "restore"],
            Self::IptablesRestore => &["iptables-nft-restore", "--noflush"],
            Self::Ip6tablesRestore => &["ip6tables-nft-restore", "--noflush"],
        }
    }

    /// iptables' for a family.
    #[must_use]
    pub const fn restore(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::IptablesRestore,
            Family::Ipv6 => Self::Ip6tablesRestore,
        }
    }
}

/// A text for a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The tool.
    pub program: Program,
    /// What it reads.
    pub text: String,
    /// What is tried instead, one after the other, when the tool refuses the text; it has changed nothing then.
    pub otherwise: Vec<(Program, String)>,
}

impl Input {
    /// A text with no alternative.
    #[must_use]
    pub const fn new(program: Program, text: String) -> Self {
        Self { program, text, otherwise: Vec::new() }
    }
}

/// A change of a host, as texts that are run in order until one fails; then [`Transaction::undo`] is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What only opens: sets that are made or grow.
    pub before: Vec<Input>,
    /// The change itself, each text as a whole or not at all: one for nftables, one per family for iptables.
    pub change: Vec<Input>,
    /// What only closes or cleans up: addresses that go, sets that nobody needs any more.
    pub after: Vec<Input>,
    /// The way back to what stands now, wherever the change has got to, even if it has not begun. All of them are run,
    /// whether or not one fails. Empty when the change is.
    pub undo: Vec<Input>,
}

impl Transaction {
    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.before.is_empty() && self.change.is_empty() && self.after.is_empty()
    }

    /// Everything that it does, in order.
    pub fn inputs(&self) -> impl Iterator<Item = &Input> {
        self.before.iter().chain(&self.change).chain(&self.after)
    }
}

/// What shall stand on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// In which dialect.
    pub backend: Backend,
    /// The rules.
    pub rules: &'a Ruleset,
    /// Whose they are.
    pub tags: &'a Tags,
    /// From where our chain is called; nftables has a chain of its own that nobody calls.
    pub attach: &'a Attach,
    /// Whether our chain is called before all rules of others, also where it is called after some now. Where it need not be,
    /// it stays: others insert theirs on top at any time, and nobody gains by leap-frogging them.
    pub raise: bool,
}

/// What stands on a host and is ours, in one dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// In which dialect.
    pub backend: Backend,
    /// Whose it is, as the marker tells; empty when somebody took the marker away.
    pub tags: Tags,
    /// From where our chain shall be called, as the marker tells.
    pub attach: Attach,
    /// The rules.
    pub rules: Ruleset,
    /// Where our chain is called from, per family that is filtered.
    pub jumps: BTreeMap<Family, Jump>,
    /// What stands there and is none of ours, as the tool prints it, and what is missing: somebody edited it by hand.
    pub edited: Vec<String>,
}

impl Standing {
    /// The same, as something to be wanted.
    #[must_use]
    pub const fn wanted(&self) -> Wanted<'_> {
        Wanted { backend: self.backend, rules: &self.rules, tags: &self.tags, attach: &self.attach, raise: false }
    }
}

/// What was read of a host.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What is ours, by dialect. Both only where a move from one to the other was interrupted.
    pub ours: BTreeMap<Backend, Standing>,
    /// What others have on the way in.
    pub foreign: Foreign,
    names: Names,
    nft: Option<nft::Found>,
    iptables: iptables::Found,
}

impl Reading {
    /// Reads what a host's tools printed.
    ///
    /// # Errors
    /// When a listing is not one, or what stands there under our name cannot be read: another version's, or a table that
    /// iptables refuses to list.
    pub fn of(names: &Names, listing: &Listing) -> Result<Self, String> {
        let ruleset = listing.nft.as_deref().map(nft::Listed::read).transpose()?;
        let saved = iptables::Saved::read(listing)?;
        let foreign = foreign::read(names, ruleset.as_ref(), &saved);
        let nft = ruleset.as_ref().and_then(|listed| nft::Found::of(names, listed));
        let iptables = iptables::Found::of(names, saved, ruleset.as_ref())?;
        let mut ours = BTreeMap::new();
        if let Some(found) = &nft {
            ours.insert(Backend::Nftables, found.standing()?);
        }
        if let Some(standing) = iptables.standing()? {
            ours.insert(Backend::Iptables, standing);
        }
        Ok(Self { ours, foreign, names: names.clone(), nft, iptables })
    }

    /// What makes it as wanted, or takes everything of ours away in that dialect when nothing is wanted; nothing at all when
    /// it is so already.
    ///
    /// `adopt` are rules of others that go at the same time, as iptables prints them: every rule with this very text, in
    /// each family, in `filter`. Those that are gone already are no error.
    #[must_use]
    pub fn change(&self, backend: Backend, to: Option<Wanted<'_>>, adopt: &[String]) -> Transaction {
        match backend {
            Backend::Nftables => {
                let mut transaction = nft::change(&self.names, self.nft.as_ref(), self.ours.get(&backend), to);
                self.iptables.adopt(adopt, &mut transaction);
                transaction
            }
            Backend::Iptables => self.iptables.change(self.ours.get(&backend), to, adopt),
        }
    }
}

/// What a boot restores, as texts that need nothing but themselves and can be run again: sets before rules.
#[must_use]
pub fn boot(names: &Names, wanted: &Wanted<'_>) -> Vec<Input> {
    match wanted.backend {
        Backend::Nftables => vec![Input::new(Program::Nft, nft::whole(names, wanted))],
        Backend::Iptables => iptables::boot(names, wanted),
    }
}

#[cfg(test)]
mod tests;
