//! A route: what one source says about one prefix.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use crate::wire::{Attributes, NextHop};

/// Number of a source of routes within one speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// Who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its number.
    pub id: SourceId,
    /// What it is.
    pub kind: SourceKind,
    /// A neighbor's AS; this router's for its own routes.
    pub asn: u32,
    /// A neighbor's identifier; this router's for its own routes.
    pub router_id: Ipv4Addr,
    /// A neighbor's address.
    pub address: Option<IpAddr>,
}

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// This router: `network`, `redistribute`, `aggregate-address`.
    Local,
    /// A neighbor in the same AS.
    Internal,
    /// A neighbor in another AS.
    External,
}

/// Whether there is a way to a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NextHopState {
    /// There is none: the route cannot be used.
    Unreachable,
    /// There is one of this cost; 0 for networks this router is in.
    Reachable(u32),
}

/// A route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Who says so.
    pub source: Arc<Source>,
    /// Which of several routes of one source; 0 where it tells only one.
    pub path_id: u32,
    /// What is said about it.
    pub attributes: Arc<Attributes>,
    /// The way.
    pub next_hop: NextHop,
    /// Whether there is a way to that.
    pub next_hop_state: NextHopState,
    /// Cisco's weight: the first thing that counts, and never told to others.
    pub weight: u32,
    /// The tag, which route-maps set and ask for.
    pub tag: u32,
    /// The administrative distance, where a route-map has set it.
    pub distance: Option<NonZeroU8>,
    /// The kernel's table, where a route-map has set it.
    pub table: Option<NonZeroU32>,
    /// Kept over its source's restart (RFC 4724), until the source says it again.
    pub stale: bool,
    /// When it came.
    pub since: Duration,
}

impl Route {
    /// What makes it another than those of its prefix.
    pub fn key(&self) -> (SourceId, u32) {
        (self.source.id, self.path_id)
    }

    /// Whether it differs from another in nothing but when it came, and whether it was to be told again.
    pub(super) fn says_the_same(&self, other: &Route) -> bool {
        self.attributes == other.attributes
            && self.next_hop == other.next_hop
            && self.next_hop_state == other.next_hop_state
            && self.weight == other.weight
            && self.tag == other.tag
            && self.distance == other.distance
            && self.table == other.table
            && self.source == other.source
    }
}
