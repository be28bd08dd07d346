//! The order in which bgpd shows what it keeps in hash tables: that of their buckets.

use std::net::IpAddr;

/// bgpd's first number of the hash of a prefix.
const PREFIX: u32 = 0x55aa_5a5a;
/// How many buckets a table has as long as little is in it.
const BUCKETS: u32 = 256;
const GOLDEN_RATIO: u32 = 0x9e37_79b9;

/// The bucket of an address in the table of bgpd's own addresses.
pub(super) fn of_address(address: IpAddr) -> u32 {
    // As `struct prefix` lies in memory: the family, the length, and after eight octets the address.
    let mut key = vec![0; 8];
    match address {
        IpAddr::V4(address) => {
            (key[0], key[2]) = (2, 32);
            key.extend(address.octets());
        }
        IpAddr::V6(address) => {
            (key[0], key[2]) = (10, 128);
            key.extend(address.octets());
        }
    }
    hash(&key, PREFIX) % BUCKETS
}

/// Bob Jenkins' hash of 1996, which FRR has.
fn hash(key: &[u8], first: u32) -> u32 {
    let (mut a, mut b, mut c) = (GOLDEN_RATIO, GOLDEN_RATIO, first);
    let mut blocks = key.chunks_exact(12);
    for block in &mut blocks {
        a = a.wrapping_add(word(&block[..4]));
        b = b.wrapping_add(word(&block[4..8]));
        c = c.wrapping_add(word(&block[8..]));
        [a, b, c] = mixed(a, b, c);
    }
    let rest = blocks.remainder();
    let part = |from: usize, to: usize| rest.get(from..to.min(rest.len())).unwrap_or_default();
    a = a.wrapping_add(word(part(0, 4)));
    b = b.wrapping_add(word(part(4, 8)));
    // The lowest octet of the third is the length's.
    c = c.wrapping_add(u32::try_from(key.len()).unwrap_or(u32::MAX));
    c = c.wrapping_add(word(part(8, 11)) << 8);
    let [.., c] = mixed(a, b, c);
    c
}

/// Up to four octets, the lowest first.
fn word(octets: &[u8]) -> u32 {
    let octets = octets.iter().rev();
    octets.fold(0, |word, octet| word << 8 | u32::from(*octet))
}

fn mixed(mut a: u32, mut b: u32, mut c: u32) -> [u32; 3] {
    for [right, left, last] in [[13, 8, 13], [12, 16, 5], [3, 10, 15]] {
        a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> right);
        b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << left);
        c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> last);
    }
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As FRR 8.4.4 showed them.
    #[test]
    fn addresses_stand_where_bgpd_has_them() {
        let shown = [
            "10.7.2.1",
            "10.7.3.1",
            "10.50.0.1",
            "2001:db8:9::9",
            "10.7.6.1",
            "10.7.1.1",
            "10.0.0.1",
            "10.7.4.1",
            "10.7.7.1",
            "10.7.5.1",
            "10.7.9.1",
            "10.7.8.1",
            "2001:db8::1",
        ]
        .map(|text| text.parse::<IpAddr>().unwrap());
        let mut sorted = shown;
        sorted.sort();
        sorted.sort_by_key(|address| of_address(*address));
        assert_eq!(sorted, shown);
    }
}
