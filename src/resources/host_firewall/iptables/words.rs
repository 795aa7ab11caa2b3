//! The words of a rule as iptables prints it, and our rules among them.

use crate::model::net::{Cidr, Ports};
use crate::resources::host_firewall::layout::{Line, Verdict};
use crate::resources::host_firewall::protocols;

/// The words of a line. A word in double quotes may hold spaces, and a backslash in it stands before what it is not to end at;
/// none where a quote is left open.
pub(super) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            ' ' => {}
            '"' => {
                let mut word = String::new();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => word.push(chars.next()?),
                        other => word.push(other),
                    }
                }
                words.push(word);
            }
            first => {
                let mut word = String::from(first);
                while let Some(more) = chars.next_if(|c| *c != ' ') {
                    word.push(more);
                }
                words.push(word);
            }
        }
    }
    Some(words)
}

/// Whether a quote is left open.
pub(super) fn ends_open(line: &str) -> bool {
    split(line).is_none()
}

/// Ports as iptables lists them, `22,80:90`.
pub(in super::super) fn ranges(text: &str) -> Option<Vec<Ports>> {
    let one = |part: &str| match part.split_once(':') {
        Some((from, to)) => Some(Ports { from: bound(from, 0)?, to: bound(to, u16::MAX)? }),
        None => part.parse().ok().map(|port| Ports { from: port, to: port }),
    };
    text.split(',').map(one).collect()
}

fn bound(text: &str, open: u16) -> Option<u16> {
    if text.is_empty() { Some(open) } else { text.parse().ok() }
}

/// The comment of a rule that has nothing else.
pub(super) fn note(words: &[String]) -> Option<&str> {
    match words {
        [m, comment, option, text] if m == "-m" && comment == "comment" && option == "--comment" => Some(text),
        _ => None,
    }
}

/// A rule of our chain; none when it is not one that we write.
pub(super) fn line(words: &[String]) -> Option<Line> {
    let mut line = Line::default();
    let mut verdict = None;
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word {
            "-m" => {
                // A module says nothing by itself; what it looks at is an option of its own.
                if !["comment", "conntrack", "icmp", "icmp6", "multiport", "set", "udp"].contains(&value) {
                    return None;
                }
            }
            "--comment" => {}
            "-d" => line.to = Some(Cidr::listed(value)?),
            "-i" if value == "lo" => line.loopback = true,
            "-p" => line.protocol = Some(protocols::number(value)?),
            "--ctstate" => {
                let mut states: Vec<&str> = value.split(',').collect();
                states.sort_unstable();
                if states != ["ESTABLISHED", "RELATED"] {
                    return None;
                }
                line.established = true;
            }
            "--match-set" if line.from.is_none() && words.next()? == "src" => line.from = Some(value.to_owned()),
            "--dports" | "--dport" if line.ports.is_empty() => line.ports = ranges(value)?,
            "--sport" => line.sport = Some(value.parse().ok()?),
            "--icmp-type" | "--icmpv6-type" if line.types.is_empty() => line.types.push(value.parse().ok()?),
            "-j" if verdict.is_none() => {
                verdict = Some(match value {
                    "ACCEPT" => Verdict::Accept,
                    "DROP" => Verdict::Drop,
                    "RETURN" => Verdict::Return,
                    _ => return None,
                });
            }
            _ => return None,
        }
    }
    line.verdict = verdict?;
    Some(line)
}
