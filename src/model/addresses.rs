//! Sets of addresses: networks of both families, none within another.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The word of the spec.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// The family of a network.
    #[must_use]
    pub const fn of(net: &IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::Ipv4,
            IpNet::V6(_) => Self::Ipv6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of addresses, as networks of which none lies within another. Neighbours are not merged, so that one address more
/// or less is one element more or less; [`AddressSet::same_as`] looks at the addresses alone. A copy costs nothing until one of
/// the two changes: plans hold the same addresses many times over.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Vec<IpNet>", into = "Vec<IpNet>")]
#[schemars(with = "Vec<String>")]
pub struct AddressSet(Arc<BTreeSet<IpNet>>);

impl AddressSet {
    /// A set of networks of which none lies within another.
    fn apart(nets: Vec<IpNet>) -> Self {
        Self(Arc::new(nets.into_iter().collect()))
    }

    /// Whether there is no address in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Its elements, IPv4 first, in order.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Its elements of one family.
    pub fn of(&self, family: Family) -> impl Iterator<Item = &IpNet> {
        // The least of all networks of IPv6, which all those of IPv4 sort before.
        let six = IpNet::V6(Ipv6Net::default());
        match family {
            Family::Ipv4 => self.0.range(..six),
            Family::Ipv6 => self.0.range(six..),
        }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.holder(IpNet::from(address)).is_some()
    }

    /// The element that a network is, or lies within.
    fn holder(&self, net: IpNet) -> Option<IpNet> {
        // A network sorts behind every one that it lies within. Whatever stood between the two would lie within that, too, and
        // none lies within another: so the last one before it is the only one to look at.
        self.0.range(..=net).next_back().filter(|before| before.contains(&net)).copied()
    }

    /// The elements that lie within a network, itself included.
    fn within(&self, net: IpNet) -> impl Iterator<Item = &IpNet> {
        self.0.range(net..).take_while(move |other| net.contains(*other))
    }

    /// Adds a network; those within it give way, and one that is within another adds nothing.
    pub fn insert(&mut self, net: IpNet) {
        let net = net.trunc();
        if self.holder(net).is_some() {
            return;
        }
        let within: Vec<IpNet> = self.within(net).copied().collect();
        let own = Arc::make_mut(&mut self.0);
        for other in within {
            own.remove(&other);
        }
        own.insert(net);
    }

    /// Everything of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        // To add one address to many costs no more than a copy of those.
        let (many, few) = if self.len() < other.len() { (other, self) } else { (self, other) };
        let mut all = many.clone();
        for net in few.iter() {
            all.insert(*net);
        }
        all
    }

    /// What of it another set does not have; an element that the other has a part of is cut into what is left of it.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for net in self.0.difference(&other.0) {
            left_of(*net, other, &mut left);
        }
        Self::apart(left)
    }

    /// Takes away every address of another set.
    pub fn remove(&mut self, other: &Self) {
        if other.len() > self.len() {
            *self = self.beyond(other);
            return;
        }
        for net in other.iter() {
            // The network itself may be both.
            let holder = self.holder(*net).filter(|holder| holder != net);
            let touched: Vec<IpNet> = holder.into_iter().chain(self.within(*net).copied()).collect();
            let mut left = Vec::new();
            for one in &touched {
                left_of(*one, other, &mut left);
            }
            if !touched.is_empty() {
                let own = Arc::make_mut(&mut self.0);
                for one in &touched {
                    own.remove(one);
                }
                own.extend(left);
            }
        }
    }

    /// Whether both hold the same addresses, however they are cut into networks.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self == other || (self.beyond(other).is_empty() && other.beyond(self).is_empty())
    }
}

/// Adds what is left of a network when the addresses of a set are taken away, as few networks as can be.
fn left_of(net: IpNet, set: &AddressSet, left: &mut Vec<IpNet>) {
    if set.holder(net).is_some() {
        return;
    }
    if set.within(net).next().is_none() {
        left.push(net);
        return;
    }
    let halves: Vec<IpNet> = match net {
        IpNet::V4(net) => halves_v4(net).into_iter().map(IpNet::V4).collect(),
        IpNet::V6(net) => halves_v6(net).into_iter().map(IpNet::V6).collect(),
    };
    for half in halves {
        left_of(half, set, left);
    }
}

fn halves_v4(net: Ipv4Net) -> Vec<Ipv4Net> {
    net.subnets(net.prefix_len() + 1).map(Iterator::collect).unwrap_or_default()
}

fn halves_v6(net: Ipv6Net) -> Vec<Ipv6Net> {
    net.subnets(net.prefix_len() + 1).map(Iterator::collect).unwrap_or_default()
}

impl FromIterator<IpNet> for AddressSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        // Networks sort by family, first address and length: wider ones before those within them, so that one look back is
        // enough.
        let mut sorted: Vec<IpNet> = nets.into_iter().map(|net| net.trunc()).collect();
        sorted.sort_unstable();
        let mut kept: Vec<IpNet> = Vec::with_capacity(sorted.len());
        for net in sorted {
            if kept.last().is_none_or(|last| !last.contains(&net)) {
                kept.push(net);
            }
        }
        Self::apart(kept)
    }
}

impl From<Vec<IpNet>> for AddressSet {
    fn from(nets: Vec<IpNet>) -> Self {
        nets.into_iter().collect()
    }
}

impl From<AddressSet> for Vec<IpNet> {
    fn from(set: AddressSet) -> Self {
        set.iter().copied().collect()
    }
}

/// An element as people write it: an address without `/32` or `/128`.
#[must_use]
pub fn plain(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

impl fmt::Display for AddressSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(plain).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(nets: &[&str]) -> AddressSet {
        nets.iter().map(|net| net.parse::<IpNet>().unwrap()).collect()
    }

    #[test]
    fn what_lies_within_another_adds_nothing() {
        assert_eq!(set(&["10.0.0.5/32", "10.0.0.0/8", "10.1.0.0/16"]), set(&["10.0.0.0/8"]));
        let mut grown = set(&["10.0.0.5/32", "10.0.0.9/32", "11.0.0.0/32"]);
        grown.insert("10.0.0.0/24".parse().unwrap());
        assert_eq!(grown, set(&["10.0.0.0/24", "11.0.0.0/32"]));
        grown.insert("10.0.0.7/32".parse().unwrap());
        assert_eq!(grown.len(), 2);
    }

    #[test]
    fn sets_compare_by_address() {
        assert!(set(&["10.0.0.0/25", "10.0.0.128/25"]).same_as(&set(&["10.0.0.0/24"])));
        assert!(!set(&["10.0.0.0/25"]).same_as(&set(&["10.0.0.0/24"])));
        assert_eq!(set(&["10.0.0.0/24"]).beyond(&set(&["10.0.0.0/25"])), set(&["10.0.0.128/25"]));
        assert!(set(&["0.0.0.0/0"]).contains("9.9.9.9".parse().unwrap()));
        assert!(!set(&["0.0.0.0/0"]).contains("::1".parse().unwrap()));
    }

    fn nets() -> impl Strategy<Value = Vec<IpNet>> {
        let net = (any::<u8>(), 24_u8..=32, any::<bool>()).prop_map(|(low, length, six)| {
            if six {
                let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(low));
                IpNet::V6(Ipv6Net::new(address, length + 96).unwrap()).trunc()
            } else {
                IpNet::V4(Ipv4Net::new(std::net::Ipv4Addr::new(10, 0, 0, low), length).unwrap()).trunc()
            }
        });
        proptest::collection::vec(net, 0..8)
    }

    fn holds(nets: &[IpNet], address: IpAddr) -> bool {
        nets.iter().any(|net| net.contains(&address))
    }

    proptest! {
        #[test]
        fn sets_hold_what_their_networks_hold(a in nets(), b in nets()) {
            let (x, y): (AddressSet, AddressSet) = (a.iter().copied().collect(), b.iter().copied().collect());
            let mut one_by_one = AddressSet::default();
            for net in &a { one_by_one.insert(*net); }
            prop_assert_eq!(&one_by_one, &x);
            let (beyond, union) = (x.beyond(&y), x.union(&y));
            let mut removed = x.clone();
            removed.remove(&y);
            prop_assert_eq!(&removed, &beyond);
            for set in [&beyond, &union, &removed] {
                // None lies within another.
                prop_assert_eq!(set, &set.iter().copied().collect::<AddressSet>());
            }
            for family in Family::ALL {
                let of: Vec<&IpNet> = x.iter().filter(|net| Family::of(net) == family).collect();
                prop_assert_eq!(x.of(family).collect::<Vec<_>>(), of);
            }
            for low in 0..=255_u8 {
                for address in [
                    IpAddr::from([10, 0, 0, low]),
                    IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(low)]),
                ] {
                    let (in_a, in_b) = (holds(&a, address), holds(&b, address));
                    prop_assert_eq!(x.contains(address), in_a);
                    prop_assert_eq!(beyond.contains(address), in_a && !in_b);
                    prop_assert_eq!(union.contains(address), in_a || in_b);
                }
            }
        }
    }
}
