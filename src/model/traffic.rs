//! Sets of traffic: which protocols, and of each which ports or messages.

use std::fmt;

use super::net::{Icmp, Ports, Traffic};

/// TCP's number (<https://www.iana.org/assignments/protocol-numbers>).
const TCP: u8 = 6;
/// UDP's number.
const UDP: u8 = 17;
/// The number of ICMP for IPv4.
const ICMP: u8 = 1;
/// The number of ICMP for IPv6.
const ICMPV6: u8 = 58;

/// A set of traffic. Every sort of packet is a number, its protocol before its destination port; of ICMP type and code stand
/// where a port would. The set is ranges of such numbers, in order, neither overlapping nor touching.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrafficSet(Vec<(u32, u32)>);

/// The first and the last number of a protocol's.
fn whole(protocol: u8) -> (u32, u32) {
    let first = u32::from(protocol) << 16;
    (first, first | 0xffff)
}

fn ports(protocol: u8, ports: Ports) -> (u32, u32) {
    let (first, _) = whole(protocol);
    (first | u32::from(ports.from), first | u32::from(ports.to))
}

fn messages(protocol: u8, icmp: Icmp) -> (u32, u32) {
    let (first, last) = whole(protocol);
    match (icmp.kind.map(u32::from), icmp.code.map(u32::from)) {
        (None, _) => (first, last),
        (Some(kind), None) => (first | kind << 8, first | kind << 8 | 0xff),
        (Some(kind), Some(code)) => (first | kind << 8 | code, first | kind << 8 | code),
    }
}

impl TrafficSet {
    /// Everything there is.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![(0, 0x00ff_ffff)])
    }

    /// Ports of a protocol, by its IANA number; all of it where none are named. Every protocol where none is named either.
    #[must_use]
    pub fn of(protocol: Option<u8>, only: &[Ports]) -> Self {
        match protocol {
            None => Self::all(),
            Some(protocol) if only.is_empty() => Self(vec![whole(protocol)]),
            Some(protocol) => only.iter().map(|some| ports(protocol, *some)).collect(),
        }
    }

    /// One TCP port.
    #[must_use]
    pub fn tcp(port: u16) -> Self {
        Self(vec![ports(TCP, Ports { from: port, to: port })])
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where one of its ranges begins, and behind which one ends: between two neighbours of the marks of several sets each
    /// set has everything or nothing.
    pub fn marks(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|(from, to)| [*from, to + 1])
    }

    /// What lies between two marks.
    #[must_use]
    pub fn between(from: u32, to: u32) -> Self {
        if from < to { Self(vec![(from, to - 1)]) } else { Self::default() }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some((a, b)), Some((c, d))) = (mine.peek(), theirs.peek()) {
            let (from, to) = (*a.max(c), *b.min(d));
            if from <= to {
                both.push((from, to));
            }
            if b < d {
                mine.next()
            } else {
                theirs.next()
            };
        }
        Self(both)
    }

    /// What another does not have.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for (from, to) in &self.0 {
            let mut next = *from;
            for (a, b) in other.0.iter().filter(|(a, b)| b >= from && a <= to) {
                if next < *a {
                    left.push((next, a - 1));
                }
                next = next.max(b + 1);
            }
            if next <= *to {
                left.push((next, *to));
            }
        }
        Self(left)
    }

    /// Whether another has all of it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.beyond(other).is_empty()
    }
}

impl FromIterator<(u32, u32)> for TrafficSet {
    fn from_iter<I: IntoIterator<Item = (u32, u32)>>(ranges: I) -> Self {
        let mut sorted: Vec<(u32, u32)> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
        for (from, to) in sorted {
            match joined.last_mut() {
                Some((_, last)) if from <= last.saturating_add(1) => *last = to.max(*last),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }
}

impl From<Traffic> for TrafficSet {
    fn from(traffic: Traffic) -> Self {
        Self(vec![match traffic {
            Traffic::All => return Self::all(),
            Traffic::Tcp(some) => ports(TCP, some),
            Traffic::Udp(some) => ports(UDP, some),
            Traffic::Icmp(icmp) => messages(ICMP, icmp),
            Traffic::Icmpv6(icmp) => messages(ICMPV6, icmp),
            Traffic::Number(protocol) => whole(protocol),
        }])
    }
}

impl fmt::Display for TrafficSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return f.write_str("all traffic");
        }
        let mut words = Vec::new();
        for (from, to) in &self.0 {
            let (first, last) = (from >> 16, to >> 16);
            if first == last {
                words.push(part(first, from & 0xffff, to & 0xffff));
                continue;
            }
            words.push(part(first, from & 0xffff, 0xffff));
            match last - first {
                1 => {}
                2 => words.push(part(first + 1, 0, 0xffff)),
                _ => words.push(format!("protocols {}-{}", first + 1, last - 1)),
            }
            words.push(part(last, 0, to & 0xffff));
        }
        f.write_str(&words.join(", "))
    }
}

/// What is meant of one protocol.
fn part(protocol: u32, from: u32, to: u32) -> String {
    let word = match u8::try_from(protocol) {
        Ok(TCP) => "tcp".to_owned(),
        Ok(UDP) => "udp".to_owned(),
        Ok(ICMP) => "icmp".to_owned(),
        Ok(ICMPV6) => "icmpv6".to_owned(),
        Ok(_) | Err(_) => format!("protocol {protocol}"),
    };
    let icmp = ["icmp", "icmpv6"].contains(&word.as_str());
    let named = icmp || ["tcp", "udp"].contains(&word.as_str());
    match (from, to) {
        (0, 0xffff) if icmp || !named => word,
        (0, 0xffff) => format!("{word} all ports"),
        _ if icmp && from >> 8 == to >> 8 && from.trailing_zeros() >= 8 && to.trailing_ones() >= 8 => {
            format!("{word} type {}", from >> 8)
        }
        _ if icmp && from == to => format!("{word} type {} code {}", from >> 8, from & 0xff),
        _ if icmp => format!("{word} types {}-{}", from >> 8, to >> 8),
        _ if from == to => format!("{word} {from}"),
        _ => format!("{word} {from}-{to}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn traffic_is_told_in_words() {
        let port = |from, to| TrafficSet::from(Traffic::Tcp(Ports { from, to }));
        let icmp = |kind, code| TrafficSet::from(Traffic::Icmp(Icmp { kind, code }));
        for (set, words) in [
            (TrafficSet::all(), "all traffic"),
            (port(22, 22), "tcp 22"),
            (port(0, 65535), "tcp all ports"),
            (port(80, 81).union(&port(82, 90)).union(&port(443, 443)), "tcp 80-90, tcp 443"),
            (icmp(None, None), "icmp"),
            (icmp(Some(8), None), "icmp type 8"),
            (icmp(Some(3), Some(4)), "icmp type 3 code 4"),
            (TrafficSet::of(Some(47), &[]), "protocol 47"),
            (
                TrafficSet::all().beyond(&port(22, 22)),
                "protocol 0, protocols 1-5, tcp 0-21, tcp 23-65535, protocols 7-254, protocol 255",
            ),
            (TrafficSet::of(None, &[]), "all traffic"),
        ] {
            assert_eq!(set.to_string(), words);
        }
        assert!(icmp(Some(8), Some(0)).is_within(&icmp(Some(8), None)));
        assert!(!icmp(Some(8), None).is_within(&icmp(Some(8), Some(0))));
        assert!(port(22, 22).is_within(&TrafficSet::all()) && !TrafficSet::all().is_within(&port(0, 65535)));
        assert!(port(53, 53).intersection(&TrafficSet::from(Traffic::Udp(Ports { from: 53, to: 53 }))).is_empty());
        assert_eq!(TrafficSet::tcp(80), port(80, 80));
    }

    fn sets() -> impl Strategy<Value = (TrafficSet, BTreeSet<u32>)> {
        let range = (0_u32..40, 0_u32..6).prop_map(|(from, more)| (from, from + more));
        proptest::collection::vec(range, 0..5).prop_map(|ranges| {
            let numbers = ranges.iter().flat_map(|(from, to)| *from..=*to).collect();
            (ranges.into_iter().collect(), numbers)
        })
    }

    fn numbers(set: &TrafficSet) -> BTreeSet<u32> {
        set.0.iter().flat_map(|(from, to)| *from..=*to).collect()
    }

    proptest! {
        #[test]
        fn sets_hold_what_their_ranges_hold((a, x) in sets(), (b, y) in sets()) {
            prop_assert_eq!(numbers(&a), x.clone());
            prop_assert_eq!(numbers(&a.union(&b)), &x | &y);
            prop_assert_eq!(numbers(&a.intersection(&b)), &x & &y);
            prop_assert_eq!(numbers(&a.beyond(&b)), &x - &y);
            prop_assert_eq!(a.is_within(&b), x.is_subset(&y));
            for set in [a.union(&b), a.intersection(&b), a.beyond(&b)] {
                // Equal sets are equal values.
                prop_assert_eq!(set.0.iter().copied().collect::<TrafficSet>(), set);
            }
        }
    }
}
