//! A table shaped like the Internet's, from a seed.
//!
//! Lengths of prefixes have the mean of bgp.potaroo.net's report of November 2025 (22.93). How paths are shared is an
//! assumption, not a measurement: prefixes share their attributes in groups with a long tail, about nine prefixes a group
//! in the mean, and half of the groups have one.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use nslab::bgp::rng::Rng;
use nslab::bgp::wire::{self, AsPath, Attributes, Community, Family, NextHop, Nlri, Origin};

use crate::session::OPTIONS;

/// Of a thousand prefixes, how many have which length.
const LENGTHS: [(u8, u64); 11] = [
    (24, 628),
    (22, 112),
    (23, 100),
    (21, 50),
    (20, 45),
    (19, 26),
    (16, 14),
    (18, 14),
    (17, 8),
    (15, 2),
    (14, 1),
];
/// How many ASs a path has behind the sender's, of a hundred.
const PATHS: [(usize, u64); 7] = [(1, 8), (2, 24), (3, 32), (4, 20), (5, 10), (6, 4), (8, 2)];
/// The largest group.
const LARGEST: u64 = 3_000;

/// Prefixes with the same attributes.
struct Group {
    attributes: Attributes,
    prefixes: Vec<Ipv4Net>,
}

/// A table.
pub struct Table(Vec<Group>);

/// Makes a table of so many prefixes.
pub fn generate(total: usize, seed: u64) -> Table {
    let mut rng = Rng::new(seed);
    let mut known = HashSet::with_capacity(total);
    let mut groups = Vec::new();
    while known.len() < total {
        let size = group_size(&mut rng).min(total - known.len());
        let mut prefixes = Vec::with_capacity(size);
        while prefixes.len() < size {
            let prefix = prefix(&mut rng);
            if known.insert(prefix) {
                prefixes.push(prefix);
            }
        }
        groups.push(Group {
            attributes: attributes(&mut rng),
            prefixes,
        });
    }
    Table(groups)
}

impl Table {
    /// Shares it out; where a group does not fit, its rest goes to the next.
    pub fn split(self, shares: usize, each: usize) -> Vec<Table> {
        let mut tables = Vec::with_capacity(shares);
        let mut groups = self.0.into_iter();
        let mut rest: Option<Group> = None;
        for _ in 0..shares {
            let mut share = Vec::new();
            let mut room = each;
            while room > 0 {
                let Some(mut group) = rest.take().or_else(|| groups.next()) else {
                    break;
                };
                let more = group.prefixes.split_off(room.min(group.prefixes.len()));
                room -= group.prefixes.len();
                rest = (!more.is_empty()).then(|| Group {
                    attributes: group.attributes.clone(),
                    prefixes: more,
                });
                share.push(group);
            }
            tables.push(Table(share));
        }
        tables
    }

    /// All of it in UPDATEs that take it back.
    pub fn encode_withdrawals(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let all = self.0.iter().flat_map(|group| &group.prefixes);
        let all = all.map(|prefix| Nlri::from(IpNet::V4(*prefix)));
        wire::withdraw(Family::Ipv4Unicast, all, &OPTIONS, &mut out);
        out
    }

    /// All of it in UPDATEs from an AS.
    pub fn encode(mut self, asn: u32, next_hop: Ipv4Addr) -> Vec<u8> {
        let mut out = Vec::new();
        for group in &mut self.0 {
            group.attributes.as_path.prepend(asn, 1);
            let nlri = group.prefixes.iter().map(|prefix| Nlri {
                prefix: IpNet::V4(*prefix),
                path_id: None,
            });
            // Attributes of this size always fit.
            let _ = wire::announce(
                Family::Ipv4Unicast,
                NextHop::V4(next_hop),
                &group.attributes,
                nlri,
                &OPTIONS,
                &mut out,
            );
        }
        out
    }
}

/// Half of the groups have one prefix, a quarter two or three, and so on.
fn group_size(rng: &mut Rng) -> usize {
    let mut size = 1;
    while size < LARGEST && rng.roll(2) == 0 {
        size *= 2;
    }
    (size + rng.roll(size)).min(LARGEST) as usize
}

fn prefix(rng: &mut Rng) -> Ipv4Net {
    let length = weighted(rng, &LENGTHS);
    // 16.0.0.0 to 111.255.255.255: nothing that is special, and nothing of the benchmark's own networks.
    let address = (16 << 24) + rng.roll(96 << 24) as u32;
    Ipv4Net::new_assert(Ipv4Addr::from(address), length).trunc()
}

fn attributes(rng: &mut Rng) -> Attributes {
    let asns: Vec<u32> = (0..weighted(rng, &PATHS)).map(|_| asn(rng)).collect();
    let communities = (0..rng.roll(8))
        .map(|_| Community((asn(rng) & 0xffff) << 16 | rng.roll(1000) as u32))
        .collect();
    Attributes {
        origin: if rng.roll(10) == 0 {
            Origin::Incomplete
        } else {
            Origin::Igp
        },
        communities,
        med: (rng.roll(5) == 0).then(|| rng.roll(100) as u32),
        as_path: AsPath::sequence(asns),
        ..Attributes::default()
    }
}

/// One in three AS numbers needs more than two octets. None is reserved or one of the benchmark's.
fn asn(rng: &mut Rng) -> u32 {
    let number = if rng.roll(3) == 0 {
        196_608 + rng.roll(200_000)
    } else {
        1_000 + rng.roll(20_000)
    };
    number as u32
}

fn weighted<T: Copy + Default>(rng: &mut Rng, table: &[(T, u64)]) -> T {
    let mut roll = rng.roll(table.iter().map(|(_, weight)| weight).sum());
    for (value, weight) in table {
        if roll < *weight {
            return *value;
        }
        roll -= weight;
    }
    T::default()
}
