//! A router's configuration as plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::neighbor_discovery::NeighborDiscovery;
use super::policy::{AccessRule, CommunityRule, Lists, PrefixRule, RouteMap};
use super::router::Bgp;
use super::vrf::Vrf;

/// Whose defaults are in force (`frr defaults`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// Long timers and a policy for every external neighbor.
    #[default]
    Traditional,
    /// Short timers, no policy needed.
    Datacenter,
}

/// What depends on the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// Seconds between keepalives.
    pub keepalive: u16,
    /// Seconds until a silent neighbor is down.
    pub hold: u16,
    /// Seconds between attempts to connect.
    pub connect_retry: u16,
    /// `bgp default show-hostname`, `show-nexthop-hostname`, `bgp log-neighbor-changes`, `bgp deterministic-med`.
    pub datacenter_flags: bool,
    /// `bgp ebgp-requires-policy`.
    pub ebgp_requires_policy: bool,
}

impl Profile {
    /// Its name in `frr defaults`.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Traditional => "traditional",
            Profile::Datacenter => "datacenter",
        }
    }

    /// FRR 8.4's defaults under it.
    pub fn defaults(self) -> Defaults {
        match self {
            Profile::Traditional => Defaults {
                keepalive: 60,
                hold: 180,
                connect_retry: 120,
                datacenter_flags: false,
                ebgp_requires_policy: true,
            },
            Profile::Datacenter => Defaults {
                keepalive: 3,
                hold: 9,
                connect_retry: 10,
                datacenter_flags: true,
                ebgp_requires_policy: false,
            },
        }
    }
}

/// A router's configuration. The default is FRR's of an empty file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whose defaults are in force.
    pub profile: Profile,
    /// Which version of FRR answers are written like.
    pub layout: Layout,
    /// The earlier version that the configuration says it is of (`frr version`), whose defaults a router then has.
    pub version: Option<(u16, u16)>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `domainname`.
    pub domainname: Option<String>,
    /// Lines that are taken and shown again but change nothing here: `log`, `service`, `debug`, `password` ….
    pub kept: BTreeSet<String>,
    /// `ip forwarding`.
    pub ipv4_forwarding: bool,
    /// `ipv6 forwarding`.
    pub ipv6_forwarding: bool,
    /// Seconds until a changed route-map is applied (`bgp route-map delay-timer`).
    pub route_map_delay: Option<u16>,
    /// `ip router-id`.
    pub router_id: Option<std::net::Ipv4Addr>,
    /// Interfaces by name.
    pub interfaces: BTreeMap<String, Interface>,
    /// `ip protocol bgp route-map`: what of BGP's routes stands in the kernel.
    pub protocol_map: Option<String>,
    /// `ipv6 protocol bgp route-map`.
    pub protocol_map6: Option<String>,
    /// Static routes of both families.
    pub static_routes: BTreeSet<StaticRoute>,
    /// `vni` at the top: the VNI that the default VRF's packets are routed in.
    pub l3vni: Option<u32>,
    /// `router bgp`.
    pub bgp: Option<Bgp>,
    /// `vrf` and `router bgp … vrf`.
    pub vrfs: BTreeMap<String, Vrf>,
    /// `access-list`.
    pub access_lists: Lists<AccessRule>,
    /// `ipv6 access-list`.
    pub access_lists6: Lists<AccessRule>,
    /// `ip prefix-list`.
    pub prefix_lists: Lists<PrefixRule>,
    /// `ipv6 prefix-list`.
    pub prefix_lists6: Lists<PrefixRule>,
    /// `bgp as-path access-list`; regular expressions in FRR's dialect.
    pub as_path_lists: Lists<String>,
    /// `bgp community-list`.
    pub community_lists: Lists<CommunityRule<u32>>,
    /// `bgp extcommunity-list`; communities such as `rt 65000:1`.
    pub extcommunity_lists: Lists<CommunityRule<String>>,
    /// `bgp large-community-list`.
    pub large_community_lists: Lists<CommunityRule<(u32, u32, u32)>>,
    /// Route-maps by name, in the order they were made.
    pub route_maps: Ordered<RouteMap>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            profile: Profile::default(),
            layout: Layout::default(),
            version: None,
            hostname: None,
            domainname: None,
            kept: BTreeSet::new(),
            ipv4_forwarding: true,
            ipv6_forwarding: true,
            route_map_delay: None,
            router_id: None,
            interfaces: BTreeMap::new(),
            protocol_map: None,
            protocol_map6: None,
            static_routes: BTreeSet::new(),
            l3vni: None,
            bgp: None,
            vrfs: BTreeMap::new(),
            access_lists: Ordered::default(),
            access_lists6: Ordered::default(),
            prefix_lists: Ordered::default(),
            prefix_lists6: Ordered::default(),
            as_path_lists: Ordered::default(),
            community_lists: Ordered::default(),
            extcommunity_lists: Ordered::default(),
            large_community_lists: Ordered::default(),
            route_maps: Ordered::default(),
        }
    }
}

impl Config {
    /// All of BGP: that of the default VRF, and those of others.
    pub fn instances_mut(&mut self) -> impl Iterator<Item = &mut Bgp> {
        let others = self.vrfs.values_mut().filter_map(|vrf| vrf.bgp.as_mut());
        self.bgp.iter_mut().chain(others)
    }

    /// The VRF that a VNI is said to route packets of; none for the default one.
    pub fn vrf_of_l3vni(&self, vni: u32) -> Option<Option<&str>> {
        if self.l3vni == Some(vni) {
            return Some(None);
        }
        let mut vrfs = self.vrfs.iter();
        let found = vrfs.find(|(_, vrf)| vrf.l3vni.is_some_and(|it| it.vni == vni));
        found.map(|(name, _)| Some(name.as_str()))
    }
}

/// Which version of FRR answers are written like (`frr version`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// 8.4.4.
    #[default]
    Eight,
    /// 10.3, where scripts are known to read what it has otherwise.
    Ten,
}

impl Layout {
    /// The version as `frr version` says it.
    pub fn version(self) -> &'static str {
        match self {
            Layout::Eight => "8.4.4",
            Layout::Ten => "10.3",
        }
    }
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// `description`.
    pub description: Option<String>,
    /// Addresses with their networks' lengths.
    pub addresses: BTreeSet<IpNet>,
    /// `ip address … peer`: the own one, and what is at the other end of the link.
    pub peers: BTreeSet<(Ipv4Addr, Ipv4Net)>,
    /// `shutdown`.
    pub shutdown: bool,
    /// `bandwidth` in Mbit/s.
    pub bandwidth: Option<u32>,
    /// `link-detect`.
    pub link_detect: bool,
    /// `no ipv6 nd suppress-ra`: router advertisements are sent.
    pub router_advertisements: bool,
    /// `ipv6 nd ra-interval` in milliseconds.
    pub ra_interval: Option<u32>,
    /// `ipv6 nd ra-lifetime` in seconds.
    pub ra_lifetime: Option<u16>,
    /// What else is said with `ipv6 nd`.
    pub neighbor_discovery: NeighborDiscovery,
}

impl Default for Interface {
    fn default() -> Self {
        Interface {
            description: None,
            addresses: BTreeSet::new(),
            peers: BTreeSet::new(),
            shutdown: false,
            bandwidth: None,
            link_detect: true,
            router_advertisements: false,
            ra_interval: None,
            ra_lifetime: None,
            neighbor_discovery: NeighborDiscovery::default(),
        }
    }
}

/// A static route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StaticRoute {
    /// Where to.
    pub prefix: IpNet,
    /// Administrative distance, 1 where none is given.
    pub distance: u8,
    /// Which way.
    pub via: Via,
    /// `onlink`.
    pub onlink: bool,
    /// 0 is none.
    pub tag: u32,
}

/// Which way a static route goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// A router, on the interface if one is given.
    Address(IpAddr, Option<String>),
    /// An interface.
    Interface(String),
    /// Dropped.
    Blackhole,
    /// Dropped; FRR's name for the interface that does it.
    Null0,
    /// Refused with an ICMP message.
    Reject,
}

/// Things by name, in an order that counts when they are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered<T>(Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered(Vec::new())
    }
}

impl<T> Ordered<T> {
    /// The thing of this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, thing)| thing)
    }

    /// The thing of this name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let mut things = self.0.iter_mut();
        things.find(|(known, _)| known == name).map(|(_, thing)| thing)
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, thing)| (name.as_str(), thing))
    }

    /// Takes one out.
    pub fn remove(&mut self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }
}

impl<T: Default> Ordered<T> {
    /// The thing of this name, made at the end if there is none.
    pub fn last_or_default(&mut self, name: &str) -> &mut T {
        let end = self.0.len();
        self.at(name, end)
    }

    /// The thing of this name, made at its place if there is none: numbers first, then names.
    pub fn sorted_or_default(&mut self, name: &str) -> &mut T {
        let end = self.0.partition_point(|(known, _)| rank(known) < rank(name));
        self.at(name, end)
    }

    fn at(&mut self, name: &str, new: usize) -> &mut T {
        let at = self
            .0
            .iter()
            .position(|(known, _)| known == name)
            .unwrap_or_else(|| {
                self.0.insert(new, (name.to_owned(), T::default()));
                new
            });
        &mut self.0[at].1
    }
}

fn rank(name: &str) -> (bool, u32, &str) {
    let number = name.parse::<u32>().ok();
    (number.is_none(), number.unwrap_or(0), name)
}
