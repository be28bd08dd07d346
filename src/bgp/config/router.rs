//! `router bgp` as plain data.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::evpn::Evpn;
use super::model::Profile;
use super::policy::{Family, Origin, PROTOCOLS};
use super::settings::{FamilySettings, Settings, Timers};

/// How many paths FRR uses where `maximum-paths` says nothing.
pub const MAXIMUM_PATHS: u16 = 256;
/// The MED of `bgp max-med` where none is given, as bgpd has it.
pub const MAX_MED: u32 = u32::MAX - 1;

/// `router bgp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bgp {
    /// The own AS.
    pub asn: u32,
    /// `bgp router-id`.
    pub router_id: Option<Ipv4Addr>,
    /// `bgp cluster-id`.
    pub cluster_id: Option<Ipv4Addr>,
    /// `timers bgp`; the profile's where none are given.
    pub timers: Timers,
    /// `bgp minimum-holdtime`.
    pub minimum_hold: Option<u16>,
    /// What is on or off.
    pub flags: Flags,
    /// `bgp default local-preference`.
    pub local_preference: u32,
    /// `bgp default subgroup-pkt-queue-max`.
    pub subgroup_queue: Option<u8>,
    /// `coalesce-time`, milliseconds.
    pub coalesce_time: Option<u32>,
    /// `read-quanta`.
    pub read_quanta: Option<u8>,
    /// `write-quanta`.
    pub write_quanta: Option<u8>,
    /// `bgp bestpath as-path multipath-relax`, with `true` for `as-set`.
    pub multipath_relax: Option<bool>,
    /// `bgp max-med administrative`.
    pub max_med: Option<u32>,
    /// `bgp max-med on-startup`: seconds and metric.
    pub max_med_on_startup: Option<(u32, u32)>,
    /// `bgp graceful-restart` and its times.
    pub graceful_restart: Restart,
    /// `bgp listen limit`.
    pub listen_limit: u16,
    /// `bgp listen range`: the group of neighbors that connect from a prefix.
    pub listen_ranges: BTreeMap<IpNet, String>,
    /// Peer-groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Neighbors: those by interface in the order of their making, then those by address.
    pub neighbors: Vec<Neighbor>,
    /// IPv4 unicast.
    pub ipv4: FamilyTable,
    /// IPv6 unicast.
    pub ipv6: FamilyTable,
    /// What all families have, of L2VPN EVPN.
    pub l2vpn: FamilyTable,
    /// What only `address-family l2vpn evpn` has.
    pub evpn: Evpn,
}

impl Bgp {
    /// A router as FRR makes it.
    pub fn new(asn: u32, profile: Profile) -> Self {
        let defaults = profile.defaults();
        Bgp {
            asn,
            router_id: None,
            cluster_id: None,
            timers: Timers {
                keepalive: defaults.keepalive,
                hold: defaults.hold,
            },
            minimum_hold: None,
            flags: Flags::new(profile),
            local_preference: 100,
            subgroup_queue: None,
            coalesce_time: None,
            read_quanta: None,
            write_quanta: None,
            multipath_relax: None,
            max_med: None,
            max_med_on_startup: None,
            graceful_restart: Restart::default(),
            listen_limit: 100,
            listen_ranges: BTreeMap::new(),
            groups: BTreeMap::new(),
            neighbors: Vec::new(),
            ipv4: FamilyTable::default(),
            ipv6: FamilyTable::default(),
            l2vpn: FamilyTable::default(),
            evpn: Evpn::default(),
        }
    }

    /// What was otherwise in earlier versions, as FRR 8.4 keeps it for their configurations.
    pub(super) fn be_of(&mut self, version: (u16, u16), profile: Profile) {
        let flags = &mut self.flags;
        if version < (7, 4) {
            flags.ebgp_requires_policy = false;
            flags.import_check &= profile != Profile::Traditional;
        }
        flags.suppress_duplicates &= version >= (7, 6);
        flags.hard_administrative_reset &= version >= (8, 3);
        self.graceful_restart.notification &= version >= (8, 3);
    }

    /// The table of a family.
    pub fn family(&self, family: Family) -> &FamilyTable {
        match family {
            Family::Ipv4Unicast => &self.ipv4,
            Family::Ipv6Unicast => &self.ipv6,
            Family::L2vpnEvpn => &self.l2vpn,
        }
    }

    /// The table of a family, to be changed.
    pub fn family_mut(&mut self, family: Family) -> &mut FamilyTable {
        match family {
            Family::Ipv4Unicast => &mut self.ipv4,
            Family::Ipv6Unicast => &mut self.ipv6,
            Family::L2vpnEvpn => &mut self.l2vpn,
        }
    }

    /// A neighbor by address or interface.
    pub fn neighbor(&self, name: &PeerName) -> Option<&Neighbor> {
        self.neighbors.iter().find(|neighbor| neighbor.name == *name)
    }

    /// The narrowest range (`bgp listen range`) around an address, and the group of those who dial from it.
    pub fn range_around(&self, address: IpAddr) -> Option<(&IpNet, &String)> {
        let ranges = self.listen_ranges.iter();
        ranges
            .filter(|(range, _)| range.contains(&address))
            .max_by_key(|(range, _)| range.prefix_len())
    }

    /// Whether neighbors outside of groups are active in a family unless told otherwise.
    pub fn activates(&self, family: Family) -> bool {
        match family {
            Family::Ipv4Unicast => self.flags.default_ipv4_unicast,
            Family::Ipv6Unicast => self.flags.default_ipv6_unicast,
            Family::L2vpnEvpn => false,
        }
    }

    /// Puts a neighbor at its place.
    pub(super) fn insert(&mut self, neighbor: Neighbor) {
        let at = self
            .neighbors
            .partition_point(|known| match (&known.name, &neighbor.name) {
                (PeerName::Interface(known), PeerName::Interface(new)) => {
                    by_number(known, new) != Ordering::Greater
                }
                (PeerName::Interface(_), _) => true,
                (_, PeerName::Interface(_)) => false,
                (PeerName::Address(known), PeerName::Address(new)) => known < new,
            });
        self.neighbors.insert(at, neighbor);
    }
}

/// The order of interfaces by their names, in which 2 comes before 10.
fn by_number(one: &str, other: &str) -> Ordering {
    let head = |name: &str| name.trim_end_matches(|digit: char| digit.is_ascii_digit()).len();
    let (one, other) = (one.split_at(head(one)), other.split_at(head(other)));
    let number = |text: &str| text.parse::<u64>().ok();
    (one.0.cmp(other.0))
        .then_with(|| number(one.1).cmp(&number(other.1)))
        .then_with(|| one.1.cmp(other.1))
}

/// What is on or off in `router bgp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// `bgp fast-external-failover`.
    pub fast_external_failover: bool,
    /// `bgp log-neighbor-changes`.
    pub log_neighbor_changes: bool,
    /// `bgp always-compare-med`.
    pub always_compare_med: bool,
    /// `bgp ebgp-requires-policy`.
    pub ebgp_requires_policy: bool,
    /// `bgp reject-as-sets`.
    pub reject_as_sets: bool,
    /// `bgp suppress-duplicates`.
    pub suppress_duplicates: bool,
    /// `bgp hard-administrative-reset`.
    pub hard_administrative_reset: bool,
    /// `bgp default ipv4-unicast`.
    pub default_ipv4_unicast: bool,
    /// `bgp default ipv6-unicast`.
    pub default_ipv6_unicast: bool,
    /// `bgp default show-hostname`.
    pub show_hostname: bool,
    /// `bgp default show-nexthop-hostname`.
    pub show_nexthop_hostname: bool,
    /// `bgp client-to-client reflection`.
    pub client_to_client_reflection: bool,
    /// `bgp disable-ebgp-connected-route-check`.
    pub disable_connected_check: bool,
    /// `bgp deterministic-med`.
    pub deterministic_med: bool,
    /// `bgp graceful-shutdown`.
    pub graceful_shutdown: bool,
    /// `bgp bestpath as-path ignore`.
    pub ignore_as_path: bool,
    /// `bgp route-reflector allow-outbound-policy`.
    pub reflector_outbound_policy: bool,
    /// `bgp bestpath compare-routerid`.
    pub compare_router_id: bool,
    /// `bgp bestpath med missing-as-worst`.
    pub med_missing_as_worst: bool,
    /// `bgp bestpath peer-type multipath-relax`.
    pub peer_type_multipath_relax: bool,
    /// `bgp network import-check`.
    pub import_check: bool,
    /// `bgp default shutdown`: new neighbors are down.
    pub default_shutdown: bool,
    /// `bgp shutdown`: all neighbors are down.
    pub shutdown: bool,
    /// `bgp allow-martian-nexthop`.
    pub allow_martian_nexthop: bool,
    /// `bgp fast-convergence`.
    pub fast_convergence: bool,
}

impl Flags {
    /// As FRR has them under a profile.
    pub fn new(profile: Profile) -> Self {
        let defaults = profile.defaults();
        Flags {
            fast_external_failover: true,
            log_neighbor_changes: defaults.datacenter_flags,
            always_compare_med: false,
            ebgp_requires_policy: defaults.ebgp_requires_policy,
            reject_as_sets: false,
            suppress_duplicates: true,
            hard_administrative_reset: true,
            default_ipv4_unicast: true,
            default_ipv6_unicast: false,
            show_hostname: defaults.datacenter_flags,
            show_nexthop_hostname: defaults.datacenter_flags,
            client_to_client_reflection: true,
            disable_connected_check: false,
            deterministic_med: defaults.datacenter_flags,
            graceful_shutdown: false,
            ignore_as_path: false,
            reflector_outbound_policy: false,
            compare_router_id: false,
            med_missing_as_worst: false,
            peer_type_multipath_relax: false,
            import_check: true,
            default_shutdown: false,
            shutdown: false,
            allow_martian_nexthop: false,
            fast_convergence: false,
        }
    }
}

/// Graceful restart of the whole router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// `bgp graceful-restart` (`Some(true)`) or `bgp graceful-restart-disable`; helper where neither stands.
    pub enabled: Option<bool>,
    /// `restart-time`.
    pub restart_time: u16,
    /// `stalepath-time`.
    pub stalepath_time: u16,
    /// `select-defer-time`.
    pub select_defer_time: u16,
    /// `rib-stale-time`.
    pub rib_stale_time: u16,
    /// `preserve-fw-state`.
    pub preserve_forwarding: bool,
    /// `notification`.
    pub notification: bool,
}

impl Default for Restart {
    fn default() -> Self {
        Restart {
            enabled: None,
            restart_time: 120,
            stalepath_time: 360,
            select_defer_time: 360,
            rib_stale_time: 500,
            preserve_forwarding: false,
            notification: true,
        }
    }
}

/// A peer-group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Of the session.
    pub settings: Settings,
    /// In IPv4 unicast.
    pub ipv4: FamilySettings,
    /// In IPv6 unicast.
    pub ipv6: FamilySettings,
    /// In L2VPN EVPN.
    pub evpn: FamilySettings,
}

/// A neighbor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// Its address or interface.
    pub name: PeerName,
    /// `v6only`, of a neighbor by interface.
    pub v6only: bool,
    /// Its peer-group.
    pub group: Option<String>,
    /// How it came into its group.
    pub made: Made,
    /// What is said of itself.
    pub own: Group,
}

/// How a neighbor came into its group: what follows from the order of commands alone, and only answers show. It makes no
/// configuration another one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Made {
    /// Whether it was made as the group's member.
    pub by_group: bool,
    /// When it came: the greater, the later.
    pub joined: u32,
}

impl PartialEq for Made {
    fn eq(&self, _: &Made) -> bool {
        true
    }
}

impl Eq for Made {}

/// How a neighbor is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerName {
    /// Whoever is at the other end of an interface.
    Interface(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for PeerName {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            PeerName::Interface(name) => formatter.write_str(name),
            PeerName::Address(address) => write!(formatter, "{address}"),
        }
    }
}

impl Group {
    /// Settings in a family.
    pub fn family(&self, family: Family) -> &FamilySettings {
        match family {
            Family::Ipv4Unicast => &self.ipv4,
            Family::Ipv6Unicast => &self.ipv6,
            Family::L2vpnEvpn => &self.evpn,
        }
    }

    /// Settings in a family, to be changed.
    pub fn family_mut(&mut self, family: Family) -> &mut FamilySettings {
        match family {
            Family::Ipv4Unicast => &mut self.ipv4,
            Family::Ipv6Unicast => &mut self.ipv6,
            Family::L2vpnEvpn => &mut self.evpn,
        }
    }
}

/// What is said in an address family beside its neighbors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FamilyTable {
    /// `network`.
    pub networks: BTreeMap<IpNet, Network>,
    /// `aggregate-address`.
    pub aggregates: BTreeMap<IpNet, Aggregate>,
    /// `redistribute`.
    pub redistribute: BTreeMap<Source, Redistribute>,
    /// `distance bgp`: external, internal, local.
    pub distance: Option<(u8, u8, u8)>,
    /// `maximum-paths`; [`MAXIMUM_PATHS`] where none is given.
    pub maximum_paths: Option<u16>,
    /// `maximum-paths ibgp`.
    pub maximum_paths_ibgp: Option<u16>,
    /// `maximum-paths ibgp … equal-cluster-length`.
    pub equal_cluster_length: bool,
}

/// A prefix that is announced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Changes it.
    pub route_map: Option<String>,
    /// `backdoor`.
    pub backdoor: bool,
    /// What was redistributed before this was said.
    pub earlier: Earlier,
}

/// What was redistributed before something else was said: of the routes of one prefix the older one is shown behind the newer. It
/// is no setting: whatever the order, the configuration is the same.
#[derive(Debug, Clone, Default)]
pub struct Earlier(pub BTreeSet<Source>);

impl PartialEq for Earlier {
    fn eq(&self, _: &Earlier) -> bool {
        true
    }
}

impl Eq for Earlier {}

/// A prefix that is announced where parts of it are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aggregate {
    /// `as-set`.
    pub as_set: bool,
    /// `summary-only`.
    pub summary_only: bool,
    /// `route-map`.
    pub route_map: Option<String>,
    /// `origin`.
    pub origin: Option<Origin>,
    /// `matching-MED-only`.
    pub matching_med_only: bool,
    /// `suppress-map`.
    pub suppress_map: Option<String>,
}

/// Where redistributed routes come from, in FRR's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The kernel.
    Kernel,
    /// Interfaces.
    Connected,
    /// Static routes.
    Static,
    /// A daemon that is not played, by its place among [`PROTOCOLS`], and one of its instances: there are no such routes.
    Other(usize, Option<u16>),
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Source::Kernel => formatter.write_str("kernel"),
            Source::Connected => formatter.write_str("connected"),
            Source::Static => formatter.write_str("static"),
            Source::Other(name, instance) => {
                formatter.write_str(PROTOCOLS.get(*name).copied().unwrap_or_default())?;
                instance.map_or(Ok(()), |instance| write!(formatter, " {instance}"))
            }
        }
    }
}

/// How routes are redistributed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redistribute {
    /// Their metric.
    pub metric: Option<u32>,
    /// Chooses and changes them.
    pub route_map: Option<String>,
}
