//! What an agent is to do: its virtual routers, with nothing left to look up but the node's default gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::bgp::wire::Family;

/// A virtual router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name, unique on a node.
    pub name: String,
    /// Its AS.
    pub asn: u32,
    /// Its identifier.
    pub router_id: Ipv4Addr,
    /// Where it listens, if it does.
    pub local_port: Option<u16>,
    /// Its neighbors.
    pub peers: Vec<Peer>,
}

/// A neighbor of a virtual router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Who it is.
    pub address: PeerAddress,
    /// Its port.
    pub port: u16,
    /// Its AS.
    pub asn: u32,
    /// How far it may be, if it is in another AS.
    pub multihop: u8,
    /// Seconds between attempts to connect.
    pub connect_retry: u32,
    /// Seconds until it is down when it is silent.
    pub hold: u16,
    /// Seconds between keepalives.
    pub keepalive: u16,
    /// Seconds it keeps routes while this side restarts; none if it does not.
    pub restart: Option<u16>,
    /// The key of its connections' signatures.
    pub password: Option<String>,
    /// Where connections to it come from.
    pub source: Option<Source>,
    /// Families of routes.
    pub families: BTreeSet<AddressFamily>,
    /// What it is told.
    pub routes: BTreeMap<IpNet, Announced>,
}

/// Where a neighbor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerAddress {
    /// There.
    Fixed(IpAddr),
    /// At the node's default gateway of this family.
    DefaultGateway(AddressFamily),
}

/// Where connections come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// An address of the node.
    Address(IpAddr),
    /// The address of an interface.
    Interface(String),
}

/// A family of unicast routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl AddressFamily {
    /// The family of an address.
    pub fn of(address: IpAddr) -> AddressFamily {
        match address {
            IpAddr::V4(_) => AddressFamily::Ipv4,
            IpAddr::V6(_) => AddressFamily::Ipv6,
        }
    }

    /// As Cilium writes it.
    pub fn name(self) -> &'static str {
        match self {
            AddressFamily::Ipv4 => "ipv4",
            AddressFamily::Ipv6 => "ipv6",
        }
    }
}

impl From<AddressFamily> for Family {
    fn from(family: AddressFamily) -> Family {
        match family {
            AddressFamily::Ipv4 => Family::Ipv4Unicast,
            AddressFamily::Ipv6 => Family::Ipv6Unicast,
        }
    }
}

impl From<Family> for AddressFamily {
    fn from(family: Family) -> AddressFamily {
        match family {
            // (The agent has no sessions for EVPN.)
            Family::Ipv4Unicast | Family::L2vpnEvpn => AddressFamily::Ipv4,
            Family::Ipv6Unicast => AddressFamily::Ipv6,
        }
    }
}

/// What goes with a route that is announced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Announced {
    /// Communities.
    pub communities: BTreeSet<u32>,
    /// Large communities.
    pub large_communities: BTreeSet<(u32, u32, u32)>,
    /// The local preference, for neighbors in the own AS.
    pub local_preference: Option<u32>,
}

impl Announced {
    /// Adds what another rule says of the same route: communities add up, and the higher preference holds.
    pub fn add(&mut self, other: &Announced) {
        self.communities.extend(&other.communities);
        self.large_communities.extend(&other.large_communities);
        self.local_preference = self.local_preference.max(other.local_preference);
    }
}
