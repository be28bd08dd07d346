//! What a route-map looks at and changes.

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::PeerName;
use crate::table::{Path, Source};
use crate::wire::{Attributes, Family, NextHop};

/// A route on its way through policy.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where to.
    pub prefix: IpNet,
    /// What is said about it.
    pub attributes: Arc<Attributes>,
    /// The way.
    pub next_hop: NextHop,
    /// What was made of the way.
    pub next_hop_change: NextHopChange,
    /// Cisco's weight.
    pub weight: u32,
    /// The tag.
    pub tag: u32,
    /// The administrative distance, where a route-map has set it.
    pub distance: Option<NonZeroU8>,
    /// The kernel's table, where a route-map has set it.
    pub table: Option<NonZeroU32>,
    /// The source address of packets that this router itself sends that way, where a route-map has set it.
    pub source: Option<IpAddr>,
}

/// What a route-map has made of a next hop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NextHopChange {
    /// Nothing.
    #[default]
    None,
    /// It was set.
    Set,
    /// It is to be the neighbor's address: this router's, of what goes out.
    PeerAddress,
    /// It is to go out as it came.
    Unchanged,
}

/// Where a route-map stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// For what a neighbor tells.
    In,
    /// For what a neighbor is told.
    Out,
    /// For this router's own routes: `network`, `redistribute`, `aggregate-address`, `default-originate`.
    Own,
}

/// What a route-map may ask about beside the route.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Where the route-map stands.
    pub direction: Direction,
    /// The AS this router shows.
    pub own_as: u32,
    /// The neighbor that tells or is told.
    pub peer: Option<&'a PeerName>,
    /// The neighbor's address.
    pub peer_address: Option<IpAddr>,
    /// The interface of the next hop.
    pub interface: Option<&'a str>,
    /// Whether packets to the prefix are dropped.
    pub blackhole: bool,
    /// A number of which chance is made.
    pub seed: u64,
}

impl Subject {
    /// A route that is to be judged.
    pub fn of(prefix: IpNet, route: &Path) -> Subject {
        Subject {
            prefix,
            attributes: Arc::clone(&route.attributes),
            next_hop: route.next_hop,
            next_hop_change: NextHopChange::None,
            weight: route.weight,
            tag: route.tag,
            distance: route.distance,
            table: route.table,
            source: None,
        }
    }

    /// The route as a table has it.
    pub fn into_path(self, source: Arc<Source>) -> Path {
        Path {
            source,
            attributes: self.attributes,
            next_hop: self.next_hop,
            weight: self.weight,
            tag: self.tag,
            distance: self.distance,
            table: self.table,
        }
    }

    /// The family of its prefix.
    pub fn family(&self) -> Family {
        match self.prefix {
            IpNet::V4(_) => Family::Ipv4Unicast,
            IpNet::V6(_) => Family::Ipv6Unicast,
        }
    }

    /// The attributes, to be changed.
    pub(super) fn attributes_mut(&mut self) -> &mut Attributes {
        Arc::make_mut(&mut self.attributes)
    }
}
