//! What derives from names: MAC addresses, and the names of files and machines. The same file gives the same lab.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{Address, Mac};

/// How the names of the management hub's ports begin.
pub const HUB_PORT: &str = "to-";

/// A node's name as that of a file or cgroup. A pod's has a slash, and no name has a tilde.
pub fn place(node: &str) -> String {
    node.replace('/', "~")
}

/// What a node calls itself: a pod leaves out its node.
pub fn hostname(node: &str) -> &str {
    node.rsplit_once('/').map_or(node, |(_, pod)| pod)
}

/// Hands out MAC addresses that derive from names, never the same one twice.
#[derive(Debug, Default)]
pub struct Macs {
    taken: HashSet<Mac>,
}

impl Macs {
    /// Marks an address as taken, for example one that the lab file fixes.
    pub fn take(&mut self, mac: Mac) {
        self.taken.insert(mac);
    }

    /// The address of a node's interface: locally administered, unicast, and the same whenever the same names
    /// are asked for in the same order.
    pub fn derive(&mut self, lab: &str, node: &str, interface: &str) -> Mac {
        // Two of 1,000 interfaces collide once in two million labs; the next attempt is as deterministic.
        let mut attempt = 0;
        loop {
            let mac = derived(lab, node, interface, attempt);
            if self.taken.insert(mac) {
                return mac;
            }
            attempt += 1;
        }
    }
}

/// The address for an attempt: 40 bits of a hash behind 02.
fn derived(lab: &str, node: &str, interface: &str, attempt: u32) -> Mac {
    // A byte that is in no name separates them, so that ("ab", "c") and ("a", "bc") differ.
    let mut bytes = [lab, node, interface].join("\0").into_bytes();
    if attempt > 0 {
        bytes.extend(attempt.to_be_bytes());
    }
    let [_, _, _, a, b, c, d, e] = hash(&bytes).to_be_bytes();
    Mac([0x02, a, b, c, d, e])
}

/// A stable hash of some bytes, to tell names apart: FNV-1a, 64 bits, which is short, well spread and the same
/// everywhere (the standard library's hasher does not promise that). Folded, so that the high bits count in the
/// low ones.
pub fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

/// The addresses that a node's name stands for, in the order of /etc/hosts; the first is the one that checks mean. Those on
/// links come first, then those on the management network, and the loopback's, which others may have no way to, last.
pub fn addresses<'a>(own: &'a [Address], managed: &'a [IpNet]) -> impl Iterator<Item = IpAddr> + 'a {
    let on = |loopback: bool| {
        own.iter()
            .filter(move |address| (address.interface == "lo") == loopback)
            .map(|address| address.net)
    };
    on(false)
        .chain(managed.iter().copied())
        .chain(on(true))
        .map(|net| net.addr())
        .filter(names_a_machine)
}

/// Link-local addresses say nothing without an interface, loopback ones mean everyone.
fn names_a_machine(ip: &IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !link_local && !ip.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_names_give_the_same_address() {
        let one = Macs::default().derive("lab", "a", "eth0");
        let two = Macs::default().derive("lab", "a", "eth0");
        assert_eq!(one, two);
        assert_ne!(one, Macs::default().derive("lab", "ae", "th0"));
        assert_eq!(one.0[0], 0x02);
    }

    #[test]
    fn a_taken_address_is_not_given_again() {
        let mut macs = Macs::default();
        let first = Macs::default().derive("lab", "a", "eth0");
        macs.take(first);
        let second = macs.derive("lab", "a", "eth0");
        assert_ne!(first, second);
        let mut again = Macs::default();
        again.take(first);
        assert_eq!(second, again.derive("lab", "a", "eth0"));
    }
}
