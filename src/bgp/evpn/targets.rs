//! Route distinguishers and route targets of VNIs, said or automatic.

use std::net::Ipv4Addr;

use crate::config::VniSettings;
use crate::wire::{ExtendedCommunity, Rd};

/// What a VNI's routes have, and which routes it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VniFacts {
    /// The distinguisher of its routes.
    pub rd: Rd,
    /// Targets of its routes.
    pub export: Vec<ExtendedCommunity>,
    /// Targets of routes that it takes.
    pub import: Vec<ExtendedCommunity>,
    /// The target it takes of any AS, where none is said.
    automatic: Option<ExtendedCommunity>,
}

/// The target that a VNI has of itself. As with FRR it has two octets of the AS.
pub fn automatic_target(asn: u32, vni: u32) -> Option<ExtendedCommunity> {
    ExtendedCommunity::route_target(asn & 0xffff, vni)
}

impl VniFacts {
    /// The facts of a VNI. `number` is the one its distinguisher ends with.
    pub fn of(asn: u32, router_id: Ipv4Addr, vni: u32, number: u16, said: Option<&VniSettings>) -> VniFacts {
        let none = VniSettings::default();
        let said = said.unwrap_or(&none);
        let automatic = automatic_target(asn, vni);
        let or_automatic = |said: &[ExtendedCommunity]| match said {
            [] => automatic.into_iter().collect(),
            said => said.to_vec(),
        };
        VniFacts {
            rd: said.rd.unwrap_or(Rd::of_address(router_id, number)),
            export: or_automatic(&said.export),
            import: or_automatic(&said.import),
            automatic: automatic.filter(|_| said.import.is_empty()),
        }
    }

    /// Whether it takes a route with these communities. Of an automatic target the AS does not count: each router has its own in
    /// a fabric of external sessions (FRR).
    pub fn imports(&self, communities: &[ExtendedCommunity]) -> bool {
        let alike = |it: &ExtendedCommunity| {
            self.automatic
                .is_some_and(|own| it.is_route_target() && it.0[..2] == own.0[..2] && it.0[4..] == own.0[4..])
        };
        communities.iter().any(|it| self.import.contains(it) || alike(it))
    }
}
