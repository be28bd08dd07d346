//! Numbers for what routes lead to: a prefix is looked up once, where it comes in, and is a small number from then on.

use std::hash::{BuildHasher, Hash};
use std::net::{Ipv4Addr, Ipv6Addr};

use hashbrown::{DefaultHashBuilder, HashTable};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::wire::Family;

/// The number of a prefix in the table of its family. It is given to another one once nobody needs it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrefixId(pub(crate) u32);

impl PrefixId {
    /// Its place in vectors.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Keys of one kind and their numbers.
#[derive(Debug)]
pub(super) struct Numbers<K> {
    /// Hashes have a random seed: neighbors choose the keys.
    hasher: DefaultHashBuilder,
    index: HashTable<u32>,
    keys: Vec<K>,
    free: Vec<u32>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Numbers {
            hasher: DefaultHashBuilder::default(),
            index: HashTable::new(),
            keys: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> Numbers<K> {
    fn find(&self, key: K) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        let is_it = |number: &u32| self.keys[*number as usize] == key;
        self.index.find(hash, is_it).copied()
    }

    fn number(&mut self, key: K) -> u32 {
        let (hasher, keys) = (&self.hasher, &mut self.keys);
        let entry = self.index.entry(
            hasher.hash_one(key),
            |number| keys[*number as usize] == key,
            |number| hasher.hash_one(keys[*number as usize]),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(known) => *known.get(),
            hashbrown::hash_table::Entry::Vacant(place) => {
                let number = match self.free.pop() {
                    Some(number) => {
                        keys[number as usize] = key;
                        number
                    }
                    None => {
                        keys.push(key);
                        (keys.len() - 1) as u32
                    }
                };
                place.insert(number);
                number
            }
        }
    }

    fn release(&mut self, number: u32) {
        let hash = self.hasher.hash_one(self.keys[number as usize]);
        if let Ok(found) = self.index.find_entry(hash, |it| *it == number) {
            found.remove();
            self.free.push(number);
        }
    }
}

/// A prefix as octets in the order of prefixes: the address, then the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Packed<const N: usize>([u8; N]);

impl Hash for Packed<5> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let [a, b, c, d, length] = self.0;
        state.write_u64(u64::from(u32::from_be_bytes([a, b, c, d])) << 8 | u64::from(length));
    }
}

impl Hash for Packed<17> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let (address, length) = self.v6();
        state.write_u128(address.to_bits());
        state.write_u8(length);
    }
}

impl From<Ipv4Net> for Packed<5> {
    fn from(net: Ipv4Net) -> Self {
        let [a, b, c, d] = net.addr().octets();
        Packed([a, b, c, d, net.prefix_len()])
    }
}

impl From<Ipv6Net> for Packed<17> {
    fn from(net: Ipv6Net) -> Self {
        let mut octets = [0; 17];
        octets[..16].copy_from_slice(&net.addr().octets());
        octets[16] = net.prefix_len();
        Packed(octets)
    }
}

impl Packed<5> {
    fn net(self) -> IpNet {
        let [a, b, c, d, length] = self.0;
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
    }
}

impl Packed<17> {
    fn v6(&self) -> (Ipv6Addr, u8) {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.0[..16]);
        (Ipv6Addr::from(octets), self.0[16])
    }

    fn net(self) -> IpNet {
        let (address, length) = self.v6();
        IpNet::V6(Ipv6Net::new_assert(address, length))
    }
}

/// The prefixes of a family.
#[derive(Debug)]
pub(super) enum Prefixes {
    V4(Numbers<Packed<5>>),
    V6(Numbers<Packed<17>>),
}

impl Prefixes {
    pub(super) fn new(family: Family) -> Prefixes {
        match family {
            Family::Ipv4Unicast => Prefixes::V4(Numbers::default()),
            Family::Ipv6Unicast => Prefixes::V6(Numbers::default()),
        }
    }

    /// The number of a prefix, if it has one.
    pub(super) fn find(&self, prefix: &IpNet) -> Option<PrefixId> {
        match (self, prefix) {
            (Prefixes::V4(all), IpNet::V4(net)) => all.find((*net).into()),
            (Prefixes::V6(all), IpNet::V6(net)) => all.find((*net).into()),
            _ => None,
        }
        .map(PrefixId)
    }

    /// The number of a prefix, which it is given if it has none; none for a prefix of another family.
    pub(super) fn number(&mut self, prefix: &IpNet) -> Option<PrefixId> {
        match (self, prefix) {
            (Prefixes::V4(all), IpNet::V4(net)) => Some(all.number((*net).into())),
            (Prefixes::V6(all), IpNet::V6(net)) => Some(all.number((*net).into())),
            _ => None,
        }
        .map(PrefixId)
    }

    pub(super) fn prefix(&self, id: PrefixId) -> IpNet {
        match self {
            Prefixes::V4(all) => all.keys[id.index()].net(),
            Prefixes::V6(all) => all.keys[id.index()].net(),
        }
    }

    /// Takes a number back.
    pub(super) fn release(&mut self, id: PrefixId) {
        match self {
            Prefixes::V4(all) => all.release(id.0),
            Prefixes::V6(all) => all.release(id.0),
        }
    }

    /// Puts numbers into the order of their prefixes.
    pub(super) fn sort(&self, ids: &mut [PrefixId]) {
        match self {
            Prefixes::V4(all) => ids.sort_unstable_by_key(|id| all.keys[id.index()]),
            Prefixes::V6(all) => ids.sort_unstable_by_key(|id| all.keys[id.index()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_given_again_once_it_is_free() {
        let mut all = Prefixes::new(Family::Ipv4Unicast);
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let first = all.number(&net("10.0.0.0/8")).unwrap();
        let second = all.number(&net("10.0.0.0/9")).unwrap();
        assert_eq!(all.number(&net("10.0.0.0/8")), Some(first));
        all.release(first);
        assert_eq!(all.find(&net("10.0.0.0/8")), None);
        assert_eq!(all.find(&net("10.0.0.0/9")), Some(second));
        assert_eq!(all.number(&net("0.0.0.0/0")), Some(first));
        assert_eq!(all.prefix(first), net("0.0.0.0/0"));
        assert_eq!(all.number(&net("::/0")), None);
    }

    fn any_prefix(v4: bool) -> impl Strategy<Value = IpNet> {
        (any::<u128>(), 0..=128u8).prop_map(move |(bits, length)| match v4 {
            true => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_bits(bits as u32), length % 33)).trunc(),
            false => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), length)).trunc(),
        })
    }

    proptest! {
        #[test]
        fn prefixes_stand_in_their_order(
            (v4, nets) in any::<bool>().prop_flat_map(|v4| (Just(v4), prop::collection::vec(any_prefix(v4), 1..40)))
        ) {
            let mut all = Prefixes::new(if v4 { Family::Ipv4Unicast } else { Family::Ipv6Unicast });
            let mut ids: Vec<PrefixId> = nets.iter().filter_map(|net| all.number(net)).collect();
            prop_assert!(ids.iter().zip(&nets).all(|(id, net)| all.prefix(*id) == *net));
            all.sort(&mut ids);
            let mut sorted = nets.clone();
            sorted.sort();
            prop_assert_eq!(ids.iter().map(|id| all.prefix(*id)).collect::<Vec<_>>(), sorted);
        }
    }
}
