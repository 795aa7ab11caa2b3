//! What both dialects have in common for whoever changes a host: what stands, what is aimed at, the way there and back, and
//! what a boot restores.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::action::Attach;
use super::dialect::{self, Input, Listing, Program, Reading, Standing, Wanted};
use super::host::{Backend, Boot, Facts, Ours};
use super::names::Names;
use super::ruleset::Ruleset;
use super::script::change;
use super::script::facts::{BootFiles, Told, Tool};
use crate::model::{StackName, Tags};

/// What shall stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aim {
    /// The rules.
    pub rules: Ruleset,
    /// Whose they are.
    pub tags: Tags,
    /// In which dialect.
    pub backend: Backend,
    /// From where they are called.
    pub attach: Attach,
    /// Whether they are called before all rules of others, whatever is called first now.
    pub raise: bool,
}

impl Aim {
    /// What stands, as if it were aimed at.
    #[must_use]
    pub fn of(standing: &Standing) -> Self {
        let Standing { backend, tags, attach, rules, jumps: _, edited: _ } = standing;
        Self { rules: rules.clone(), tags: tags.clone(), backend: *backend, attach: attach.clone(), raise: false }
    }

    const fn wanted(&self) -> Wanted<'_> {
        Wanted { backend: self.backend, rules: &self.rules, tags: &self.tags, attach: &self.attach, raise: self.raise }
    }
}

/// Reads what stands.
///
/// # Errors
/// When it is not understood.
pub fn read(names: &Names, told: &Told) -> Result<Reading, String> {
    let listed = |tool: &Option<Tool>| tool.as_ref().map(|tool| tool.listed.clone());
    let listing = Listing {
        nft: listed(&told.nft),
        iptables: listed(&told.iptables),
        ip6tables: told.iptables.as_ref().map(|_| told.ip6tables.clone()),
        ipset: listed(&told.ipset),
    };
    Reading::of(names, &listing)
}

/// What is ours. Of two dialects, as an interrupted move between them leaves, the one that has the most addresses.
#[must_use]
pub fn standing(reading: &Reading) -> Option<&Standing> {
    reading.ours.values().max_by_key(|standing| standing.rules.addresses())
}

/// The same, what a boot restores apart, for whoever plans.
#[must_use]
pub fn ours(standing: &Standing) -> Ours {
    let Standing { backend, tags: _, attach, rules, jumps, edited } = standing.clone();
    Ours { backend, attach, rules, jumps, edited, boot: Boot::Nothing }
}

/// The way from what stands to what shall stand, and back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Motion {
    /// There, in order; empty when there is nothing to do.
    pub forward: Vec<Input>,
    /// Back, in order, wherever the way there ended.
    pub back: Vec<Input>,
}

/// The way from what stands to what is aimed at; to nothing of ours without an aim. A dialect that is left is left last, so
/// that there is no moment without rules.
#[must_use]
pub fn change(reading: &Reading, to: Option<&Aim>, adopt: &[String]) -> Motion {
    let mut parts = Vec::new();
    if let Some(aim) = to {
        parts.push(reading.change(aim.backend, Some(aim.wanted()), adopt));
    }
    let left = reading.ours.keys().filter(|backend| to.is_none_or(|aim| aim.backend != **backend));
    parts.extend(left.map(|backend| reading.change(*backend, None, &[])));
    let forward = parts.iter().flat_map(dialect::Transaction::inputs).cloned().collect();
    let back = parts.iter().rev().flat_map(|part| &part.undo).cloned().collect();
    Motion { forward, back }
}

/// What a boot restores of an aim.
#[must_use]
pub fn boot(names: &Names, aim: &Aim) -> change::Boot {
    let mut files: BTreeMap<&'static str, String> = BTreeMap::new();
    for Input { program, text, otherwise } in dialect::boot(names, &aim.wanted()) {
        let (first, again) = match program {
            Program::Nft | Program::NftJson => ("nft", "nft"),
            Program::IpsetRestore => ("ipset", "ipset"),
            Program::IptablesRestore => ("v4", "v4-again"),
            Program::Ip6tablesRestore => ("v6", "v6-again"),
        };
        if let Some((_, other)) = otherwise.first() {
            files.entry(again).or_default().push_str(&text);
            files.entry(first).or_default().push_str(other);
        } else {
            files.entry(first).or_default().push_str(&text);
        }
    }
    match aim.backend {
        Backend::Nftables => change::Boot::Nftables(files.remove("nft").unwrap_or_default()),
        Backend::Iptables => change::Boot::Iptables(files),
    }
}

/// What a host can do, and what others have there.
#[must_use]
pub fn facts(told: &Told, reading: &Reading) -> Facts {
    let version = |tool: &Option<Tool>| tool.as_ref().map(|tool| tool.version.clone());
    let mut foreign = reading.foreign.clone();
    foreign.doubts.extend(told.doubts.iter().cloned());
    if told.legacy {
        foreign.doubts.push("iptables-legacy has rules there, which are not looked at".to_owned());
    }
    Facts {
        nft: version(&told.nft),
        iptables: version(&told.iptables),
        ipset: version(&told.ipset),
        legacy: told.legacy,
        managers: told.managers.clone(),
        peer: told.peer,
        foreign,
        pending: None,
        remarks: told.remarks.clone(),
    }
}

/// What a boot would restore, when it should restore `wanted`.
#[must_use]
pub fn boot_state(wanted: &change::Boot, there: &BootFiles, stack: &StackName) -> Boot {
    if there.files.is_empty() {
        return Boot::Nothing;
    }
    let nothing = String::new();
    let (files, loads) = match wanted {
        change::Boot::AsItIs | change::Boot::Nothing => return Boot::Other,
        change::Boot::Nftables(text) => {
            (vec![(format!("/etc/nftables.d/portcullis-{stack}.nft"), text)], there.nft_loads)
        }
        change::Boot::Iptables(texts) => {
            let named = change::IPTABLES_FILES
                .map(|ending| (format!("/etc/portcullis/{stack}.{ending}"), texts.get(ending).unwrap_or(&nothing)));
            (named.into(), there.iptables_loads)
        }
    };
    let same = |(file, text): &(String, &String)| there.files.get(file).is_some_and(|is| *is == digest(text));
    if loads && there.files.len() == files.len() && files.iter().all(same) { Boot::Current } else { Boot::Other }
}

/// The SHA-256 of a file of this text, as `sha256sum` prints it.
fn digest(text: &str) -> String {
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let digest = Sha256::new().chain_update(text).chain_update(newline).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
