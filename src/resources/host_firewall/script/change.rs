//! Changing a host: the script that carries a change out, and those that decide what becomes of it.

use std::collections::BTreeMap;

use super::{BOOT, PLAY, Sections, Setting};
use crate::model::duration::Seconds;
use crate::resources::host_firewall::dialect::{Input, Program};

const APPLY: &str = include_str!("apply.sh");
const GUARD: &str = include_str!("guard.sh");
const DECIDE: &str = include_str!("decide.sh");

/// What ends the names of a program's files; the scripts go by it.
const fn ending(program: Program) -> &'static str {
    match program {
        Program::Nft => "nft",
        Program::NftJson => "json",
        Program::IpsetRestore => "ipset",
        Program::IptablesRestore => "v4",
        Program::Ip6tablesRestore => "v6",
    }
}

/// What ends the names of the files that ipset, iptables and ip6tables restore at a boot. Those with `again` are for a host on
/// which our chain is called already, and are tried first.
pub const IPTABLES_FILES: [&str; 5] = ["ipset", "v4", "v4-again", "v6", "v6-again"];

/// What a boot shall restore afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Boot {
    /// As before.
    #[default]
    AsItIs,
    /// This file of nft.
    Nftables(String),
    /// These files of ipset, iptables and ip6tables, by what ends their names: one for each of [`IPTABLES_FILES`].
    Iptables(BTreeMap<&'static str, String>),
    /// Nothing of ours.
    Nothing,
}

/// A change of a host's packet filter, as texts for the tools that read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// Its id: letters and digits.
    pub id: String,
    /// Who makes it, in words.
    pub by: String,
    /// The last change that was carried out when the rules were read; another since then means reading again.
    pub serial: String,
    /// What carries it out, in order.
    pub forward: Vec<Input>,
    /// What brings back what stood before, wherever `forward` came to a stop: all of it, in order.
    pub back: Vec<Input>,
    /// Within which time it must be confirmed; not at all when absent.
    pub within: Option<Seconds>,
    /// What a boot shall restore afterwards.
    pub boot: Boot,
}

/// The script that carries a change out. It prints one section, [`Ended`].
#[must_use]
pub fn apply(setting: &Setting<'_>, job: &Job) -> String {
    let within = job.within.map_or(0, |within| within.0.max(1)).to_string();
    let by: String = job.by.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '_' }).take(200).collect();
    let about = format!("by={by}\nstack={}\n", setting.stack);
    let inputs = job.forward.iter().chain(&job.back);
    let mut tools: Vec<&str> = inputs.filter_map(|input| input.program.argv().first().copied()).collect();
    tools.sort_unstable();
    tools.dedup();
    let more = [
        ("TX", job.id.as_str()),
        ("SERIAL", &job.serial),
        ("WITHIN", &within),
        ("BOOT", boot_word(&job.boot)),
        ("ABOUT", &about),
        ("TOOLS", &tools.join(" ")),
    ];
    let bundle = bundle(setting, job, &within);
    [setting.head(&more), BOOT.to_owned(), PLAY.to_owned(), bundle, APPLY.to_owned()].join("\n")
}

const fn boot_word(boot: &Boot) -> &'static str {
    match boot {
        Boot::AsItIs => "none",
        Boot::Nftables(_) => "nftables",
        Boot::Iptables(_) => "iptables",
        Boot::Nothing => "remove",
    }
}

/// The function that writes the folder of a change: inputs, what a boot restores, and the two scripts that may run when
/// nobody is connected any more.
fn bundle(setting: &Setting<'_>, job: &Job, within: &str) -> String {
    let numbered = |what: &str, inputs: &[Input]| -> Vec<(String, String)> {
        let alternatives = inputs.iter().enumerate().flat_map(|(at, input)| {
            let first = std::iter::once((input.program, &input.text));
            let all = first.chain(input.otherwise.iter().map(|(program, text)| (*program, text)));
            all.enumerate().map(move |(turn, (program, text))| (at, turn, program, text.clone()))
        });
        let named = |(at, turn, program, text): (usize, usize, Program, String)| {
            (format!("{what}.{at:03}.{turn}.{}", ending(program)), text)
        };
        alternatives.map(named).collect()
    };
    let mut files = numbered("forward", &job.forward);
    files.extend(numbered("back", &job.back));
    match &job.boot {
        Boot::AsItIs | Boot::Nothing => {}
        Boot::Nftables(text) => files.push(("boot.nft".to_owned(), text.clone())),
        Boot::Iptables(texts) => files.extend(
            IPTABLES_FILES.map(|ending| (format!("boot.{ending}"), texts.get(ending).cloned().unwrap_or_default())),
        ),
    }
    let head = setting.head(&[("WITHIN", within), ("BOOT", boot_word(&job.boot))]) + "\ntx=${0%/*}\n";
    files.push(("guard".to_owned(), [head.as_str(), BOOT, PLAY, GUARD].join("\n")));
    files.push(("settle".to_owned(), [head.as_str(), BOOT, "boot_settle\n"].join("\n")));
    let end = format!("end-of-{}", setting.nonce);
    let written = files.iter().map(|(name, text)| {
        let (text, newline) = (text.as_str(), if text.is_empty() || text.ends_with('\n') { "" } else { "\n" });
        format!("cat >\"$tx/{name}\" <<'{end}' || return 1\n{text}{newline}{end}\n")
    });
    // Nothing is carried out that could not be taken back: what has no way back is written as a way that does nothing.
    let nothing = if job.back.is_empty() { ": >\"$tx/back.000.0.none\" || return 1\n" } else { "" };
    format!("write_bundle() {{\n{}{nothing}}}\n", written.collect::<String>())
}

/// Which change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// The one of this id.
    Id(&'a str),
    /// Whichever waits.
    Waiting,
}

/// What shall become of a change that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is only looked at.
    Ask,
    /// It stays, and a boot restores it if it was to be so.
    Confirm,
    /// It is taken back now.
    TakeBack,
}

/// The script that decides what becomes of a change. It prints one section, [`Decision`].
#[must_use]
pub fn decide(setting: &Setting<'_>, which: Which<'_>, verdict: Verdict) -> String {
    let mode = match verdict {
        Verdict::Ask => "ask",
        Verdict::Confirm => "confirm",
        Verdict::TakeBack => "rollback",
    };
    let id = match which {
        Which::Id(id) => id,
        Which::Waiting => "any",
    };
    [setting.head(&[("TX", id), ("MODE", mode), ("BOOT", "none")]).as_str(), BOOT, PLAY, DECIDE].join("\n")
}

/// How carrying out a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It stands.
    Applied,
    /// It stands, and waits to be confirmed until this second of the host's clock.
    Waits {
        /// Seconds since 1970.
        until: Option<i64>,
    },
    /// It stands, yet what a boot restores could not be changed, and why.
    Unsettled(String),
    /// Another change was made since the rules were read. Nothing was done.
    Changed,
    /// Another waits to be confirmed. Nothing was done.
    Pending(Waiting),
    /// Another is being carried out, for longer than is waited. Nothing was done.
    Busy,
    /// A program is missing. Nothing was done.
    Missing(String),
    /// The host has no room, or a place that is read-only, and why. Nothing was done.
    Unwritable(String),
    /// Nothing would take the change back, and why. Nothing was done.
    Unarmed(String),
    /// A program refused its input; what stood before stands again.
    Failed {
        /// Which, by the ending of its input: `nft`, `ipset`, `v4`, `v6`.
        program: String,
        /// What it said.
        why: String,
    },
    /// A program refused its input, and what stood before could not be brought back.
    Stuck(String),
}

/// A change that waits to be confirmed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Its id.
    pub id: String,
    /// Whose rules it changes.
    pub stack: String,
    /// Who made it.
    pub by: String,
    /// When it is taken back: seconds since 1970 by the host's clock.
    pub until: i64,
}

/// What a script printed of a change that waits, by key.
fn waiting(pairs: &BTreeMap<&str, &str>) -> Waiting {
    let text = |key: &str| pairs.get(key).copied().unwrap_or_default();
    Waiting {
        id: text("id").to_owned(),
        stack: text("stack").to_owned(),
        by: text("by").to_owned(),
        until: text("until").parse().unwrap_or_default(),
    }
}

/// The changes that facts told of.
pub(super) fn all_waiting(text: &str) -> Vec<Waiting> {
    let mut all: Vec<BTreeMap<&str, &str>> = Vec::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        if key == "id" {
            all.push(BTreeMap::new());
        }
        if let Some(last) = all.last_mut() {
            last.insert(key, value);
        }
    }
    all.iter().map(waiting).collect()
}

impl Ended {
    /// Reads what [`apply`] printed.
    ///
    /// # Errors
    /// When it is not understood.
    pub fn read(sections: &Sections) -> Result<Self, String> {
        let pairs = sections.pairs("outcome");
        let why = || pairs.get("why").copied().unwrap_or_default().trim().to_owned();
        Ok(match pairs.get("outcome").copied().unwrap_or_default() {
            "applied" => Self::Applied,
            "pending-confirm" => Self::Waits { until: pairs.get("until").and_then(|text| text.parse().ok()) },
            "unsettled" => Self::Unsettled(why()),
            "changed" => Self::Changed,
            "pending" => Self::Pending(waiting(&pairs)),
            "busy" => Self::Busy,
            "missing" => Self::Missing(why()),
            "unwritable" => Self::Unwritable(why()),
            "unarmed" => Self::Unarmed(why()),
            "failed" => {
                Self::Failed { program: pairs.get("program").copied().unwrap_or_default().to_owned(), why: why() }
            }
            "stuck" => Self::Stuck(why()),
            other => return Err(format!("`{other}` is no outcome")),
        })
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its state.
    pub state: State,
    /// Which change, where one was found.
    pub waiting: Waiting,
    /// What the host's clock says: seconds since 1970.
    pub clock: i64,
    /// Why a boot restores something else than what stands, where it does.
    pub unsettled: Option<String>,
    /// Why it could not be taken back, where it could not.
    pub why: String,
}

/// The state of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none that waits.
    None,
    /// It is being carried out still.
    Applying,
    /// It waits to be confirmed.
    Pending,
    /// It stays.
    Confirmed,
    /// It is being taken back.
    RollingBack,
    /// It was taken back.
    RolledBack,
    /// It could not be taken back.
    Stuck,
    /// It failed, and what stood before stands.
    Undone,
    /// The host knows nothing of it any more.
    Gone,
    /// Whoever would confirm it is connected as whoever made it was: that proves nothing.
    SameSession,
}

impl Decision {
    /// Reads what [`decide`] printed.
    ///
    /// # Errors
    /// When it is not understood.
    pub fn read(sections: &Sections) -> Result<Self, String> {
        let pairs = sections.pairs("decision");
        let state = match pairs.get("state").copied().unwrap_or_default() {
            "none" => State::None,
            "applying" => State::Applying,
            "pending" => State::Pending,
            "confirmed" => State::Confirmed,
            "rolling-back" => State::RollingBack,
            "rolled-back" => State::RolledBack,
            "stuck" => State::Stuck,
            "undone" => State::Undone,
            "gone" => State::Gone,
            "same-session" => State::SameSession,
            other => return Err(format!("`{other}` is no state")),
        };
        let why = pairs.get("why").copied().unwrap_or_default().trim().to_owned();
        let unsettled = (pairs.get("boot") == Some(&"unsettled")).then(|| why.clone());
        let clock = pairs.get("clock").and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok(Self { state, waiting: waiting(&pairs), clock, unsettled, why })
    }
}
