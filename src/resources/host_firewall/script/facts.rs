//! Reading a host: the script, and what it printed, before a dialect understands it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::change::{Waiting, all_waiting};
use super::{BOOT, Sections, Setting};
use crate::resources::host_firewall::host::Peer;

const FACTS: &str = include_str!("facts.sh");
/// What the listing ends with where nft was built without JSON.
const WITHOUT_JSON: i32 = 77;

/// The script that reads everything a plan needs. `sets` is what the names of our ipsets begin with.
#[must_use]
pub fn facts(setting: &Setting<'_>, sets: &str) -> String {
    [setting.head(&[("SETS", sets)]).as_str(), BOOT, FACTS].join("\n")
}

/// What a host told, in the words of its tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Whether we may look and change: whether the script ran as root.
    pub root: bool,
    /// What its clock says, in seconds since 1970.
    pub clock: i64,
    /// Who is connected.
    pub peer: Option<Peer>,
    /// The last change that portcullis carried out there since it was started.
    pub serial: String,
    /// nft: its version, and its listing as JSON. None where it is missing or cannot print JSON.
    pub nft: Option<Tool>,
    /// iptables in its nft flavour, and what it saves for IPv4. None where either family's is missing.
    pub iptables: Option<Tool>,
    /// What it saves for IPv6.
    pub ip6tables: String,
    /// ipset, and our sets.
    pub ipset: Option<Tool>,
    /// Whether iptables-legacy has rules, or what it has cannot be read.
    pub legacy: bool,
    /// Programs that manage the packet filter as their own and are active.
    pub managers: Vec<String>,
    /// Changes that wait to be confirmed.
    pub waiting: Vec<Waiting>,
    /// What a boot would restore.
    pub boot: BootFiles,
    /// What could not be read, in words.
    pub doubts: Vec<String>,
    /// What is to be said of it.
    pub remarks: Vec<String>,
}

/// A tool with what it told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tool {
    /// Its version, as `1.0.6`.
    pub version: String,
    /// What it listed.
    pub listed: String,
}

/// What a boot would restore, as far as it is ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootFiles {
    /// Our files with their SHA-256.
    pub files: BTreeMap<String, String>,
    /// Whether the host's nftables loads ours.
    pub nft_loads: bool,
    /// Whether something loads our files of iptables.
    pub iptables_loads: bool,
}

impl Told {
    /// Reads what [`facts`] printed.
    ///
    /// # Errors
    /// When something that is there cannot be read: no plan is made from half a view.
    pub fn read(sections: &Sections) -> Result<Self, String> {
        let host = sections.pairs("host");
        let word = |key: &str| host.get(key).copied().unwrap_or_default().trim();
        let clock = word("clock").parse().map_err(|_| "its clock cannot be read".to_owned())?;
        if word("uid") != "0" {
            return Ok(Self { clock, peer: peer(word("peer")), ..Self::default() });
        }
        let (ipv4, ipv6) = (sections.get("save4"), sections.get("save6"));
        let refused = [ipv4, ipv6].into_iter().flatten().any(|saved| saved.code != 0);
        let iptables = match (version(sections, "iptables-version"), ipv4) {
            (Some(version), Some(saved)) if !refused && ipv6.is_some() => {
                Some(Tool { version, listed: saved.text.clone() })
            }
            _ => None,
        };
        let told = Self {
            root: true,
            clock,
            peer: peer(word("peer")),
            serial: word("serial").to_owned(),
            nft: nft(sections)?,
            ip6tables: if iptables.is_some() {
                ipv6.map(|saved| saved.text.clone()).unwrap_or_default()
            } else {
                String::new()
            },
            iptables,
            ipset: match (version(sections, "ipset-version"), sections.get("sets")) {
                (Some(version), Some(sets)) if sets.code == 0 => Some(Tool { version, listed: sets.text.clone() }),
                _ => None,
            },
            legacy: legacy(sections.get("legacy").map(|section| section.text.as_str()).unwrap_or_default()),
            managers: lines(sections, "managers"),
            waiting: all_waiting(sections.get("pending").map(|section| section.text.as_str()).unwrap_or_default()),
            boot: boot(sections),
            doubts: if refused {
                vec!["iptables-nft-save does not read all that stands there".to_owned()]
            } else {
                Vec::new()
            },
            remarks: Vec::new(),
        };
        Ok(Self { remarks: forwarded(&told), ..told })
    }
}

fn nft(sections: &Sections) -> Result<Option<Tool>, String> {
    match (version(sections, "nft-version"), sections.get("nft")) {
        (Some(version), Some(listed)) if listed.code == 0 => Ok(Some(Tool { version, listed: listed.text.clone() })),
        (Some(_), Some(listed)) if listed.code != WITHOUT_JSON => {
            Err("`nft list ruleset` fails there, so nobody knows what stands".to_owned())
        }
        _ => Ok(None),
    }
}

/// The version among the words of a tool: `nftables v1.0.6 (Lester Gooch #5)`, `ipset v7.17, protocol version: 7`.
fn version(sections: &Sections, name: &str) -> Option<String> {
    let text = sections.text(name)?;
    let mut words = text.split(|c: char| c.is_whitespace() || c == ',');
    let number =
        words.find_map(|word| word.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))?;
    Some(number.to_owned())
}

/// The first and the fourth word of `SSH_CONNECTION` (`man 1 ssh`, "ENVIRONMENT"). A link-local address has its interface
/// behind a `%`.
fn peer(connection: &str) -> Option<Peer> {
    let words: Vec<&str> = connection.split_whitespace().collect();
    let [from, _, _, port] = words.as_slice() else { return None };
    let address: IpAddr = from.split('%').next()?.parse().ok()?;
    // A daemon that listens for both families at once shows IPv4 as mapped; the packets are IPv4's.
    Some(Peer { address: address.to_canonical(), port: port.parse().ok()? })
}

/// Whether what iptables-legacy saved does anything: a rule, or a policy that drops.
fn legacy(text: &str) -> bool {
    text.lines().any(|line| {
        line.starts_with("-A ") || line == "unreadable" || (line.starts_with(':') && line.contains(" DROP "))
    })
}

fn lines(sections: &Sections, name: &str) -> Vec<String> {
    let text = sections.get(name).map(|section| section.text.as_str()).unwrap_or_default();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn boot(sections: &Sections) -> BootFiles {
    let mut boot = BootFiles::default();
    for line in lines(sections, "boot") {
        match line.split_once("  ") {
            Some((digest, file)) => {
                boot.files.insert(file.trim().to_owned(), digest.to_owned());
            }
            None if line == "nft-loads" => boot.nft_loads = true,
            None if line == "iptables-loads" => boot.iptables_loads = true,
            None => {}
        }
    }
    boot
}

/// Ports that are forwarded elsewhere before they come to the host's own rules, in words.
fn forwarded(told: &Told) -> Vec<String> {
    let saved = told.iptables.iter().flat_map(|tool| tool.listed.lines()).chain(told.ip6tables.lines());
    let mut remarks: Vec<String> = saved.filter_map(forward).collect();
    remarks.sort();
    remarks.dedup();
    remarks
}

/// Of one rule of iptables: `-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80`.
fn forward(rule: &str) -> Option<String> {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let after = |word: &str| words.iter().position(|w| *w == word).and_then(|at| words.get(at + 1)).copied();
    if words.first() != Some(&"-A") || after("-j") != Some("DNAT") {
        return None;
    }
    let (port, to) = (after("--dport")?, after("--to-destination")?);
    let protocol = after("-p").unwrap_or("ip");
    Some(format!("{protocol} {port} is forwarded to {to}, so that rules for the host itself never see it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Told, String> {
        let mut framed = String::new();
        for part in text.split("== ").skip(1) {
            let (name, rest) = part.split_once('\n').unwrap();
            let (name, code) = name.split_once(' ').unwrap_or((name, "0"));
            framed.extend(["\n@@n begin ", name, "\n", rest, "\n@@n end ", code, "\n"]);
        }
        Told::read(&Sections::read(format!("{framed}\n@@n done\n").as_bytes(), "n").unwrap())
    }

    const HOST: &str = "== host\nuid=0\nclock=1700000000\npeer=::ffff:192.0.2.1 50000 10.0.0.1 2222\nserial=ab\n";

    #[test]
    fn a_host_tells_what_it_has() {
        let text = format!(
            "{HOST}== nft-version\nnftables v1.0.6 (Lester Gooch #5)\n== nft\n{{}}\n== iptables-version\niptables v1.8.9 (nf_tables)\n\
             == save4\n-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n== save6\n\n\
             == ipset-version\nipset v7.17, protocol version: 7\n== sets\n\n== legacy\ntables\n:INPUT ACCEPT [0:0]\n\
             == managers\nufw\n== pending\nid=t1\nby=me\nstack=web\nuntil=1700000060\nsession=\n== boot\nabc  /etc/portcullis/web.v4\nnft-loads\n"
        );
        let told = told(&text).unwrap();
        assert!(told.root && !told.legacy);
        assert_eq!(told.peer, Some(Peer { address: "192.0.2.1".parse().unwrap(), port: 2222 }));
        let versions = [told.nft, told.iptables, told.ipset].map(|tool| tool.unwrap().version);
        assert_eq!(versions, ["1.0.6", "1.8.9", "7.17"]);
        assert_eq!(
            told.remarks,
            ["tcp 8080 is forwarded to 172.17.0.2:80, so that rules for the host itself never see it"]
        );
        assert_eq!((told.waiting[0].id.as_str(), told.waiting[0].until), ("t1", 1_700_000_060));
        assert_eq!(told.boot.files["/etc/portcullis/web.v4"], "abc");
        assert!(told.boot.nft_loads && !told.boot.iptables_loads);
        assert_eq!((told.managers, told.serial), (vec!["ufw".to_owned()], "ab".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_what_is_missing_is_none() {
        assert!(told(&format!("{HOST}== nft-version\nnftables v1.0.6\n== nft 1\n\n")).is_err());
        assert_eq!(told(&format!("{HOST}== nft-version\nnftables v1.0.6\n== nft 77\n\n")).unwrap().nft, None);
        assert!(told("== host\nuid=0\nclock=\npeer=\nserial=\n").is_err());
        assert_eq!(told(HOST).unwrap().iptables, None);
    }

    #[test]
    fn legacy_rules_count_and_empty_tables_do_not() {
        assert!(legacy("tables\n-A INPUT -j DROP\n"));
        assert!(legacy("tables\n:INPUT DROP [0:0]\n"));
        assert!(legacy("tables\nunreadable\n"));
        assert!(!legacy("tables\n:INPUT ACCEPT [0:0]\nCOMMIT\n"));
    }

    #[test]
    fn a_peer_has_an_address_and_a_port() {
        assert_eq!(peer("fe80::1%eth0 5 fe80::2%eth0 22").unwrap().address, "fe80::1".parse::<IpAddr>().unwrap());
        for wrong in ["", "UNKNOWN 1 2 3", "10.0.0.1 1 10.0.0.2"] {
            assert_eq!(peer(wrong), None);
        }
    }
}
