//! Lists and route-maps as plain data.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::model::Ordered;
pub use crate::wire::{Family, Origin};

/// Where zebra's routes come from, in its order.
pub const PROTOCOLS: [&str; 32] = [
    "system",
    "kernel",
    "connected",
    "static",
    "rip",
    "ripng",
    "ospf",
    "ospf6",
    "isis",
    "bgp",
    "pim",
    "eigrp",
    "nhrp",
    "hsls",
    "olsr",
    "table",
    "ldp",
    "vnc",
    "vnc-direct",
    "vnc-rn",
    "bgp-direct",
    "bgp-direct-to-nve-groups",
    "babel",
    "sharp",
    "pbr",
    "bfd",
    "openfabric",
    "vrrp",
    "zebra",
    "srte",
    "wildcard",
    "any",
];

/// Lists of a kind, by name.
pub type Lists<T> = Ordered<List<T>>;

/// A list of rules by sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T> {
    /// `description` of a prefix-list, `remark` of an access-list.
    pub description: Option<String>,
    /// What is permitted or denied, in order.
    pub rules: BTreeMap<u32, (Action, T)>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List {
            description: None,
            rules: BTreeMap::new(),
        }
    }
}

/// What becomes of what a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is let through.
    Permit,
    /// It is not.
    Deny,
}

impl Action {
    /// The keyword.
    pub fn name(self) -> &'static str {
        match self {
            Action::Permit => "permit",
            Action::Deny => "deny",
        }
    }
}

/// What a prefix-list's rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixRule {
    /// The prefix; none is any.
    pub prefix: Option<IpNet>,
    /// Shortest length.
    pub ge: Option<u8>,
    /// Greatest length.
    pub le: Option<u8>,
}

/// What an access-list's rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessRule {
    /// Everything.
    Any,
    /// A prefix and what lies in it, or with `exact` the prefix alone.
    Prefix {
        /// The prefix.
        prefix: IpNet,
        /// `exact-match`.
        exact: bool,
    },
    /// An address, and the bits in which another may differ.
    Wildcard(Ipv4Addr, Ipv4Addr),
}

/// What a community-list's rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommunityRule<T> {
    /// All of these.
    Standard(Vec<T>),
    /// A regular expression in FRR's dialect.
    Expanded(String),
}

/// A route-map: its entries by sequence number.
pub type RouteMap = BTreeMap<u16, RouteMapEntry>;

/// An entry of a route-map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMapEntry {
    /// What becomes of a route that matches.
    pub action: Action,
    /// `description`.
    pub description: Option<String>,
    /// What a route must be, all of it.
    pub matches: Vec<Match>,
    /// What is changed.
    pub sets: Vec<Set>,
    /// The route-map that is asked as well.
    pub call: Option<String>,
    /// Where to go on.
    pub on_match: Option<OnMatch>,
}

impl RouteMapEntry {
    /// An entry without conditions.
    pub fn new(action: Action) -> Self {
        RouteMapEntry {
            action,
            description: None,
            matches: Vec::new(),
            sets: Vec::new(),
            call: None,
            on_match: None,
        }
    }
}

/// Where a route-map goes on after an entry that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMatch {
    /// At the next entry.
    Next,
    /// At an entry, or the next after it (`continue` is the same).
    Goto(u16),
}

/// By what an address is matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressMatch {
    /// An access-list.
    AccessList(String),
    /// A prefix-list.
    PrefixList(String),
    /// The prefix's length.
    PrefixLength(u8),
    /// The address itself.
    Address(IpAddr),
    /// `type blackhole`.
    Blackhole,
}

/// A condition of a route-map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// The prefix.
    Address(Family, AddressMatch),
    /// The next hop.
    NextHop(Family, AddressMatch),
    /// Who sent it.
    RouteSource(AddressMatch),
    /// An as-path access-list.
    AsPath(String),
    /// A community-list, and whether there may be no other communities.
    Community(String, bool),
    /// A large-community-list, and whether there may be no others.
    LargeCommunity(String, bool),
    /// An extcommunity-list.
    ExtCommunity(String),
    /// The interface of the next hop.
    Interface(String),
    /// The local preference.
    LocalPreference(u32),
    /// The metric (MED).
    Metric(u32),
    /// The origin.
    Origin(Origin),
    /// The neighbor: its address, its interface or `local`.
    Peer(String),
    /// A chance in percent.
    Probability(u8),
    /// The protocol the route comes from.
    SourceProtocol(String),
    /// The tag.
    Tag(u32),
}

/// A number that is set or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// To this.
    To(u32),
    /// Up by this.
    Add(u32),
    /// Down by this.
    Subtract(u32),
    /// To the round-trip time, up or down by it.
    RoundTrip(Option<bool>),
}

/// A change a route-map makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// Puts AS numbers before the path.
    AsPathPrepend(Vec<u32>),
    /// Repeats the path's first AS.
    AsPathPrependLast(u8),
    /// Takes AS numbers out of the path.
    AsPathExclude(Vec<u32>),
    /// Puts the own AS in the place of another, or of any.
    AsPathReplace(Option<u32>),
    /// Communities, beside (`true`) or in place of those there are; none takes all away.
    Community(Vec<u32>, bool),
    /// Takes away what a community-list matches.
    CommunityDelete(String),
    /// Large communities, beside (`true`) or in place of those there are; none takes all away.
    LargeCommunity(Vec<(u32, u32, u32)>, bool),
    /// Takes away what a large-community-list matches.
    LargeCommunityDelete(String),
    /// Route targets.
    RouteTarget(Vec<String>),
    /// Site of origin.
    SiteOfOrigin(Vec<String>),
    /// Takes all extended communities away.
    ExtCommunityNone,
    /// Administrative distance.
    Distance(u8),
    /// The IPv4 next hop.
    NextHop(NextHop<Ipv4Addr>),
    /// The IPv6 next hop.
    NextHop6(NextHop<Ipv6Addr>),
    /// The IPv6 link-local next hop.
    NextHop6Local(Ipv6Addr),
    /// Of both IPv6 next hops the global one is used.
    NextHop6PreferGlobal,
    /// The local preference.
    LocalPreference(Change),
    /// The metric (MED).
    Metric(Change),
    /// The origin.
    Origin(Origin),
    /// The originator.
    OriginatorId(Ipv4Addr),
    /// The source address of the kernel's route.
    Source(IpAddr),
    /// The kernel's table.
    Table(u32),
    /// The tag.
    Tag(u32),
    /// The weight.
    Weight(u32),
    /// The attribute AGGREGATOR.
    Aggregator(u32, Ipv4Addr),
    /// The attribute ATOMIC_AGGREGATE.
    AtomicAggregate,
}

/// A next hop that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHop<A> {
    /// This address.
    Address(A),
    /// The neighbor's address.
    PeerAddress,
    /// As it came.
    Unchanged,
}
