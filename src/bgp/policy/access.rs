//! Access-lists, as `distribute-list` and route-maps use them.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::config::{AccessRule, Action, List};

/// An access-list.
#[derive(Debug)]
pub(super) struct AccessList(Vec<(Action, AccessRule)>);

impl AccessList {
    pub(super) fn new(list: &List<AccessRule>) -> AccessList {
        AccessList(list.rules.values().copied().collect())
    }

    /// The first rule that matches decides; where none does the prefix is denied.
    pub(super) fn permits(&self, prefix: &IpNet) -> bool {
        let found = self.0.iter().find(|(_, rule)| matches(rule, prefix));
        found.is_some_and(|(action, _)| *action == Action::Permit)
    }
}

fn matches(rule: &AccessRule, prefix: &IpNet) -> bool {
    match rule {
        AccessRule::Any => true,
        AccessRule::Prefix {
            prefix: known,
            exact: true,
        } => known.trunc() == *prefix,
        AccessRule::Prefix { prefix: known, .. } => known.contains(prefix),
        // Only the address counts, whatever the prefix's length.
        AccessRule::Wildcard(address, wildcard) => match prefix.addr() {
            IpAddr::V4(other) => fixed(other, *wildcard) == fixed(*address, *wildcard),
            IpAddr::V6(_) => false,
        },
    }
}

/// The bits in which an address may not differ.
fn fixed(address: Ipv4Addr, wildcard: Ipv4Addr) -> u32 {
    address.to_bits() & !wildcard.to_bits()
}
