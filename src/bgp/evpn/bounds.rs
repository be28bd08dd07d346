//! How much neighbors may fill by EVPN, and which of what they say is never put into the kernel.
//!
//! Whatever is looked through when a route changes has a bound of its own, so that nobody makes each change cost more than the
//! last one: distinguishers of a route, routes of a MAC address, MAC addresses of an IP address.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use crate::wire::Mac;

/// Routes that one neighbor says.
pub const ROUTES: usize = 1 << 18;
/// Ends of tunnels that all routes lead to.
pub const VTEPS: usize = 4096;
/// Distinguishers under which one route is said: each router of a network has one.
pub const DISTINGUISHERS: usize = VTEPS;
/// Routes of one MAC address, with all IP addresses and under all distinguishers.
pub const ROUTES_OF_MAC: usize = 1 << 14;
/// MAC addresses that one IP address is said to have.
pub const MACS_OF_ADDRESS: usize = 128;
/// Entries of forwarding databases, and as many of neighbor tables.
pub const ENTRIES: usize = 1 << 17;
/// VNIs: each has a number of its own at the end of its distinguisher.
pub const VNIS: usize = 1 << 14;

/// A bound that is reached: what is said beyond it is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// [`ROUTES`].
    Routes,
    /// [`VTEPS`].
    Vteps,
    /// [`DISTINGUISHERS`].
    Distinguishers,
    /// [`ROUTES_OF_MAC`].
    RoutesOfMac,
    /// [`MACS_OF_ADDRESS`].
    MacsOfAddress,
    /// [`ENTRIES`].
    Entries,
    /// [`VNIS`].
    Vnis,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (most, what) = match self {
            Bound::Routes => (ROUTES, "routes of one neighbor"),
            Bound::Vteps => (VTEPS, "tunnel ends"),
            Bound::Distinguishers => (DISTINGUISHERS, "distinguishers of one route"),
            Bound::RoutesOfMac => (ROUTES_OF_MAC, "routes of one MAC address"),
            Bound::MacsOfAddress => (MACS_OF_ADDRESS, "MAC addresses of one IP address"),
            Bound::Entries => (ENTRIES, "entries in the kernel"),
            Bound::Vnis => (VNIS, "VNIs"),
        };
        write!(
            f,
            "there are {most} {what} already; what is beyond that is left out"
        )
    }
}

/// What was said of bounds already: each is told once, until its neighbor begins anew.
#[derive(Debug, Default)]
pub struct Told<S>(BTreeSet<(S, Bound)>);

impl<S: Ord + Copy> Told<S> {
    /// Whether a bound is to be told: not before now.
    pub fn is_news(&mut self, source: S, bound: Bound) -> bool {
        self.0.insert((source, bound))
    }

    /// Forgets what was said of a neighbor.
    pub fn forget(&mut self, source: S) {
        self.0.retain(|(it, _)| *it != source);
    }
}

impl Mac {
    /// Whether a host can have it: it is neither a group's (IEEE 802, the lowest bit of the first octet) nor zero, which a VXLAN
    /// device would take for "everybody".
    pub fn is_of_host(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

/// Whether an address can be a tunnel's end.
pub fn is_of_router(address: IpAddr) -> bool {
    let is_wrong = match address {
        IpAddr::V4(it) => {
            it.is_link_local() || it.is_broadcast() || it.octets()[0] == 0 || it.octets()[0] >= 240
        }
        IpAddr::V6(it) => it.is_unicast_link_local() || it.to_ipv4_mapped().is_some(),
    };
    !(is_wrong || address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

/// Whether a host can have an address on a network that is not this router's alone.
pub fn is_of_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V6(it) if it.is_unicast_link_local() => true,
        address => is_of_router(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_host_or_router_has_is_told_from_what_one_may_have() {
        for (mac, is_fine) in [
            ("02:00:00:00:00:01", true),
            ("00:00:00:00:00:01", true),
            ("00:00:00:00:00:00", false),
            ("ff:ff:ff:ff:ff:ff", false),
            ("01:00:5e:00:00:01", false),
            ("33:33:00:00:00:01", false),
        ] {
            assert_eq!(mac.parse::<Mac>().unwrap().is_of_host(), is_fine, "{mac}");
        }
        for (address, router, host) in [
            ("10.0.1.1", true, true),
            ("2001:db8::1", true, true),
            ("fe80::1", false, true),
            ("169.254.0.1", false, false),
            ("0.0.0.0", false, false),
            ("0.1.2.3", false, false),
            ("127.0.0.1", false, false),
            ("224.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("250.0.0.1", false, false),
            ("::", false, false),
            ("::1", false, false),
            ("ff02::1", false, false),
            ("::ffff:10.0.0.1", false, false),
        ] {
            let it: IpAddr = address.parse().unwrap();
            assert_eq!((is_of_router(it), is_of_host(it)), (router, host), "{address}");
        }
    }
}
