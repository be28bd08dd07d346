//! A route: what one source says about one prefix.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU8, NonZeroU32};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::wire::{Attributes, NextHop};

/// Number of a source of routes within one speaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// Who says so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

/// All of a route but its prefix and its own history: routes that came together share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    /// Who says so.
    pub source: Arc<Source>,
    /// What is said about it.
    pub attributes: Arc<Attributes>,
    /// The way.
    pub next_hop: NextHop,
    /// Cisco's weight: the first thing that counts, and never told to others.
    pub weight: u32,
    /// The tag, which route-maps set and ask for.
    pub tag: u32,
    /// The administrative distance, where a route-map has set it.
    pub distance: Option<NonZeroU8>,
    /// The kernel's table, where a route-map has set it.
    pub table: Option<NonZeroU32>,
}

/// A route. There are millions of them: each takes 24 octets, and what it shares with others is found through it.
#[derive(Debug, Clone)]
pub struct Route {
    path: Arc<Path>,
    /// When it came, in nanoseconds, and whether it is stale.
    since: u64,
    /// Which of several routes of one source; 0 where it tells only one.
    pub path_id: u32,
    /// The cost of the way to its next hop.
    cost: u32,
}

/// Kept over its source's restart (RFC 4724), until the source says it again.
const STALE: u64 = 1 << 63;
/// The cost of what cannot be reached.
const UNREACHABLE: u32 = u32::MAX;

impl Deref for Route {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Route {
    /// A route that came at a moment.
    pub fn new(path: Arc<Path>, path_id: u32, state: NextHopState, since: Duration) -> Route {
        let mut route = Route {
            path,
            since: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX) & !STALE,
            path_id,
            cost: 0,
        };
        route.set_next_hop_state(state);
        route
    }

    /// What it shares with others.
    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// When it came.
    pub fn since(&self) -> Duration {
        Duration::from_nanos(self.since & !STALE)
    }

    /// Whether there is a way to its next hop.
    pub fn next_hop_state(&self) -> NextHopState {
        match self.cost {
            UNREACHABLE => NextHopState::Unreachable,
            cost => NextHopState::Reachable(cost),
        }
    }

    /// Whether there is a way to its next hop, of whatever cost.
    pub fn is_reachable(&self) -> bool {
        self.cost != UNREACHABLE
    }

    /// The highest cost there is counts as one less.
    pub(crate) fn set_next_hop_state(&mut self, state: NextHopState) {
        self.cost = match state {
            NextHopState::Unreachable => UNREACHABLE,
            NextHopState::Reachable(cost) => cost.min(UNREACHABLE - 1),
        };
    }

    /// Whether it is kept over its source's restart, until the source says it again.
    pub fn is_stale(&self) -> bool {
        self.since & STALE != 0
    }

    pub(crate) fn set_stale(&mut self, stale: bool) {
        self.since = self.since & !STALE | if stale { STALE } else { 0 };
    }

    /// What makes it another than those of its prefix.
    pub fn key(&self) -> (SourceId, u32) {
        (self.source.id, self.path_id)
    }

    /// Whether it differs from another in nothing but when it came, and whether it was to be told again.
    pub(crate) fn says_the_same(&self, other: &Route) -> bool {
        self.cost == other.cost && (Arc::ptr_eq(&self.path, &other.path) || self.path == other.path)
    }
}
