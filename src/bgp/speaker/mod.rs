//! A speaker: sessions with its neighbors, the routes they tell, and what it tells and does about them.
//!
//! A function of state, event and time. Whoever runs it carries bytes and connections, knows the kernel's interfaces, and
//! puts routes into it; in a test that is another function, on a clock of its own.

mod adj_rib_out;
mod aggregate;
mod aggregate_path;
mod behavior;
mod change;
mod dynamic;
mod event;
mod evpn;
mod evpn_out;
mod evpn_overlay;
mod evpn_own;
mod export;
mod export_cache;
mod export_paths;
mod flow;
mod forwarding;
mod id_set;
mod import_policy;
mod interner;
mod limits;
mod link;
mod local;
mod mrai;
mod next_hops;
mod outbound;
mod own_next_hop;
mod path_ids;
mod peer;
mod peers;
mod policy_query;
mod record;
mod resolve;
mod restart;
mod session_input;
mod sessions;
mod update_groups;
mod vrf;
mod vrf_routes;

#[cfg(test)]
pub(super) mod simulated_vrfs;
#[cfg(test)]
pub(super) mod simulator;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use rustc_hash::FxHashMap;

pub use aggregate::AGGREGATE;
pub use behavior::Behavior;
pub use event::{Action, Dial, Drop, Endpoints, Event, Hop, Interface, KernelRoute, Special, Way};
pub use forwarding::Forwarded;
pub use import_policy::Received;
pub use limits::Overflow;
pub use link::{Link, LinkChanges, LinkKind};
use next_hops::NextHops;
pub use outbound::Kept;
pub use own_next_hop::OwnAddresses;
use path_ids::PathIds;
pub use peer::{Advertised, Peer};
pub use policy_query::Filtered;
pub use record::{Loss, LostRoutes, Messages, Record, TcpFigures};
pub use restart::Away;
pub use vrf::VrfDevice;

use super::config::{self, Config, Own};
use super::policy::Policy;
use super::session::{self, ConnectionId, Time};
use super::table::{MultipathRule, Path, PrefixId, Rules, SourceId, Table};
use super::wire::{Family, PerFamily};

/// A speaker.
pub struct Speaker {
    /// The name neighbors are told.
    hostname: String,
    behavior: Behavior,
    config: Config,
    /// Lists and route-maps of the configuration.
    policy: Policy,
    seed: u64,
    interfaces: Vec<Interface>,
    /// Their places by their indexes.
    interface_places: FxHashMap<u32, usize>,
    link_changes: BTreeMap<u32, LinkChanges>,
    /// Router advertisements that were sent and heard, by interface.
    advertisements: BTreeMap<u32, (u64, u64)>,
    routes: Vec<KernelRoute>,
    /// When `router bgp` began.
    begun: Option<Time>,
    /// How far it is in the time of `bgp max-med on-startup`.
    startup: mrai::Startup,
    /// What is waited for after a restart of this router's.
    returning: Option<restart::Return>,
    peers: peers::Peers,
    next_peer: u32,
    connections: BTreeMap<ConnectionId, SourceId>,
    tables: PerFamily<Table>,
    /// Routes of this router's own that are in the tables.
    own: local::Owns,
    /// The router's identifier where none is configured.
    own_id: Ipv4Addr,
    /// Aggregates that are in the tables.
    aggregates: PerFamily<BTreeSet<IpNet>>,
    /// What is in the kernel.
    fib: forwarding::Fib,
    /// The distances of what is not BGP's: of two routes to a place the nearer one is used.
    nearer: HashMap<IpNet, u8>,
    /// Next hops of routes, and the ways to them.
    next_hops: NextHops,
    /// Identifiers of routes for those who are told several to one prefix.
    path_ids: PerFamily<PathIds>,
    /// What routes share, each kept once.
    paths: interner::Shared<Path>,
    /// Neighbors that are told the same; none where it is to be found anew.
    update_groups: Option<update_groups::UpdateGroups>,
    /// What neighbors were told, each kept once.
    announcements: export::Announcements,
    /// Routes of EVPN, and what hangs on them.
    evpn: evpn::Evpn,
    /// VRFs by name.
    vrfs: BTreeMap<String, vrf::Vrf>,
    /// Interfaces of VRFs, their devices among them.
    enslaved: Vec<Interface>,
    /// What makes it the speaker of a VRF.
    inner: vrf::Inner,
}

/// Routes may lead over each other so deep within one event. Those that take each other's way away, and so would never
/// settle, go on with the next.
const ROUNDS: usize = 32;

/// The source of this router's own routes.
pub const OWN: SourceId = SourceId(0);
/// The source of those that it redistributes.
pub const REDISTRIBUTED: SourceId = SourceId(u32::MAX - 1);

impl Speaker {
    /// A speaker that knows nothing yet. The seed decides its jitter.
    pub fn new(hostname: &str, seed: u64) -> Speaker {
        Speaker::with_manner(hostname, seed, Behavior::default())
    }

    /// The same with the habits of another implementation.
    pub fn with_manner(hostname: &str, seed: u64, behavior: Behavior) -> Speaker {
        Speaker {
            hostname: hostname.to_owned(),
            behavior,
            config: Config::default(),
            policy: Policy::default(),
            seed,
            interfaces: Vec::new(),
            interface_places: FxHashMap::default(),
            link_changes: BTreeMap::new(),
            advertisements: BTreeMap::new(),
            routes: Vec::new(),
            begun: None,
            startup: Default::default(),
            returning: None,
            peers: peers::Peers::default(),
            next_peer: 1,
            connections: BTreeMap::new(),
            tables: PerFamily {
                ipv4: Table::new(Family::Ipv4Unicast),
                ipv6: Table::new(Family::Ipv6Unicast),
                evpn: Table::new(Family::L2vpnEvpn),
            },
            own: BTreeMap::new(),
            own_id: Ipv4Addr::UNSPECIFIED,
            aggregates: PerFamily::default(),
            fib: forwarding::Fib::default(),
            nearer: HashMap::new(),
            next_hops: NextHops::default(),
            path_ids: PerFamily::default(),
            paths: interner::Shared::default(),
            update_groups: None,
            announcements: export::Announcements::default(),
            evpn: evpn::Evpn::default(),
            vrfs: BTreeMap::new(),
            enslaved: Vec::new(),
            inner: vrf::Inner::default(),
        }
    }

    /// What is configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The routes of a family.
    pub fn table(&self, family: Family) -> &Table {
        self.tables.get(family)
    }

    /// The neighbors, in the order in which they were configured.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// The name neighbors are told.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// The kernel's interfaces, but for those of VRFs.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The kernel's routes that are not connected networks and not the speaker's own, static ones among them.
    pub fn routes(&self) -> &[KernelRoute] {
        &self.routes
    }

    /// The identifier: as configured, else the highest address of the loopback, else of all (as FRR chooses it).
    pub fn router_id(&self) -> Ipv4Addr {
        let configured = self.config.bgp.as_ref().and_then(|bgp| bgp.router_id);
        configured.or(self.config.router_id).unwrap_or(self.own_id)
    }

    /// Takes the identifier from the addresses there are. With a session that is up it stays as it is, as with FRR: with another
    /// one all sessions would begin anew.
    fn choose_id(&mut self) {
        let is_up = |peer: &Peer| peer.session.established_on().is_some();
        if !self.own_id.is_unspecified() && self.peers.values().any(is_up) {
            return;
        }
        let addresses = |loopback: bool| {
            let interfaces = self
                .interfaces
                .iter()
                .filter(move |it| (it.name == "lo" || it.link.kind == LinkKind::Vrf) == loopback);
            let nets = interfaces.flat_map(|it| &it.addresses).map(IpNet::addr);
            let v4 = nets.filter_map(|address| match address {
                IpAddr::V4(address) if names_a_router(address) => Some(address),
                _ => None,
            });
            v4.max()
        };
        let found = addresses(true).or_else(|| addresses(false));
        self.own_id = found.unwrap_or(Ipv4Addr::UNSPECIFIED);
    }

    /// Its interfaces and all their addresses.
    pub fn itself(&self) -> Own {
        let nets = self.interfaces.iter().flat_map(|it| &it.addresses);
        Own {
            interfaces: self.interfaces.iter().map(|it| it.name.clone()).collect(),
            ..nets.map(IpNet::addr).collect()
        }
    }

    /// When something is to be done though nothing happens.
    pub fn deadline(&self) -> Option<Time> {
        #[cfg(test)]
        self.peers.check();
        let own = self.end_of_patience().into_iter().chain(self.end_of_startup());
        let vrfs = self.vrfs.values().filter_map(|vrf| vrf.speaker.deadline());
        own.chain(self.peers.deadline()).chain(vrfs).min()
    }

    /// Takes note of an event.
    pub fn handle_event(&mut self, event: Event, now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut resolve = false;
        // Of a neighbor's messages those that end its session do this as well.
        if !matches!(
            event,
            Event::Received(..) | Event::Sent(_) | Event::Stuck(..) | Event::Tick
        ) {
            self.forget_update_groups();
        }
        match event {
            Event::Configure(config) => {
                self.choose_id();
                self.configure(*config, now, &mut actions);
                self.configure_vrfs(now, &mut actions);
                resolve = true;
            }
            Event::Interfaces(interfaces) => {
                self.note_links(&interfaces, now);
                let interfaces = self.sort_interfaces(interfaces);
                self.interfaces = interfaces;
                let places = self.interfaces.iter().map(|it| it.index).zip(0..);
                self.interface_places = places.collect();
                self.note_own_macs();
                self.choose_id();
                self.find_nearer();
                self.configure_peers(now, &mut actions);
                self.tell_vrfs_of_interfaces(now, &mut actions);
                resolve = true;
            }
            Event::Routes(routes) => {
                self.routes = routes;
                self.find_nearer();
                resolve = true;
            }
            Event::Bridging(local) => self.note_bridging(local),
            Event::Discovered(interface, address) => self.discover(interface, address, now, &mut actions),
            Event::Accepted(id, endpoints) => self.accept(id, endpoints, now, &mut actions),
            Event::Dialled(peer, id, endpoints) => {
                self.connect(
                    peer,
                    id,
                    endpoints,
                    session::Event::Dialled(id),
                    now,
                    &mut actions,
                );
            }
            Event::DialFailed(peer) => self.tell(peer, session::Event::DialFailed, now, &mut actions),
            Event::Received(id, octets) => self.receive(id, &octets, now, &mut actions),
            Event::Closed(id) => {
                if let Some(peer) = self.connections.remove(&id) {
                    self.hear_no_more(peer, id);
                    self.tell(peer, session::Event::Closed(id), now, &mut actions);
                    self.part(peer);
                }
            }
            Event::Sent(id) => self.sent(id, now, &mut actions),
            Event::Stuck(id, stuck) => self.stuck(id, stuck, now, &mut actions),
            Event::Reset(peer) => self.reset(peer, now, &mut actions),
            Event::SoftIn(peer, family) => {
                for family in chosen(family) {
                    self.soft_in(peer, family, now, &mut actions);
                }
            }
            Event::SoftOut(peer, family) => {
                for family in chosen(family) {
                    self.again(peer, family, flow::Again::Advertised, now, &mut actions);
                }
            }
            Event::Returned => self.come_back(now),
            Event::Tick => {
                let ids = self.peers.due(now);
                for id in &ids {
                    self.tell(*id, session::Event::Tick, now, &mut actions);
                }
                self.end_overflows(&ids, now, &mut actions);
                self.end_patience(&ids, now);
                self.tick_vrfs(now, &mut actions);
                if self.end_pauses(now, &mut actions) {
                    for table in [&mut self.tables.ipv4, &mut self.tables.ipv6] {
                        table.reconsider();
                    }
                }
            }
        }
        if resolve {
            self.originate(now);
            self.resolve_all();
        }
        let returned = self.has_returned(now);
        if !self.is_returning() {
            let others = self.settle(resolve || returned, now, &mut actions);
            self.settle_evpn(others, resolve || returned, &mut actions, now);
        }
        if returned {
            self.begin_all(&mut actions);
        }
        self.note_sent(&actions, now);
        self.peers.note_due();
        actions
    }

    /// Remembers to whom something was sent.
    fn note_sent(&mut self, actions: &[Action], now: Time) {
        for action in actions {
            if let Action::Send(id, _) = action
                && let Some(peer) = self.connections.get(id).and_then(|id| self.peers.get_mut(id))
            {
                peer.record.last_sent = Some(now);
            }
        }
    }

    /// Decides about whatever has changed, and tells it. What is put into the kernel may be the way to other next hops.
    /// Returns whether anything was to be decided.
    fn settle(&mut self, configured: bool, now: Time, actions: &mut Vec<Action>) -> bool {
        let mut changed: PerFamily<Vec<PrefixId>> = PerFamily::default();
        let mut before = BTreeMap::new();
        for round in 0..ROUNDS {
            for family in Family::UNICAST {
                let more = self.decide(family, configured && round == 0, now);
                match round {
                    0 => self.forward(family, &more, actions),
                    _ => self.forward_for_now(family, &more, &mut before),
                }
                join(changed.get_mut(family), more);
            }
            if !self.follow_next_hops() {
                break;
            }
        }
        self.forward_at_last(before, actions);
        let mut others = configured;
        for family in Family::UNICAST {
            let changed = changed.get(family);
            others |= !changed.is_empty();
            if self.inner.name.is_some() {
                let table = self.tables.get(family);
                self.inner
                    .decided
                    .extend(changed.iter().map(|id| table.prefix(*id)));
            }
            self.identify(family, changed, configured);
            self.export(family, changed, configured, now, actions);
        }
        self.tidy();
        others
    }

    /// Gives back what nobody needs any more, where that may be much.
    fn tidy(&mut self) {
        self.tidy_announcements();
        for family in Family::UNICAST {
            let (peers, fib, path_ids) = (&self.peers, &self.fib, self.path_ids.get(family));
            let is_needed = |id: PrefixId| {
                let needs = |peer: &Peer| {
                    peer.adj_rib_out.get(family).has(id)
                        || peer.mrai.has(family, id)
                        || peer.intake.has(family, id)
                };
                fib.has(family, id) || path_ids.has(id) || peers.values().any(needs)
            };
            self.tables.get_mut(family).release_vacant(is_needed);
        }
    }

    /// Decides about what has changed in a family, aggregates included, and returns that.
    fn decide(&mut self, family: Family, configured: bool, now: Time) -> Vec<PrefixId> {
        let rules = self.rules(family);
        let mut changed = self.tables.get_mut(family).decide(&rules);
        let also = self.aggregate(family, &changed, configured, now);
        join(&mut changed, also);
        join(&mut changed, self.tables.get_mut(family).decide(&rules));
        changed
    }

    fn rules(&self, family: Family) -> Rules {
        let Some(bgp) = &self.config.bgp else {
            return Rules::default();
        };
        let table = bgp.family(family);
        let paths = |paths: Option<u16>| usize::from(paths.unwrap_or(config::MAXIMUM_PATHS));
        Rules {
            local_preference: bgp.local_preference,
            always_compare_med: bgp.flags.always_compare_med,
            missing_med_is_worst: bgp.flags.med_missing_as_worst,
            ignore_as_path: bgp.flags.ignore_as_path,
            compare_router_id: bgp.flags.compare_router_id,
            multipath: match bgp.multipath_relax {
                Some(_) => MultipathRule::SameLength,
                None => MultipathRule::SameNeighborAs,
            },
            maximum_paths: paths(table.maximum_paths),
            maximum_paths_internal: paths(table.maximum_paths_ibgp),
        }
    }
}

/// Puts more prefixes to others, each once.
fn join(all: &mut Vec<PrefixId>, more: Vec<PrefixId>) {
    if all.is_empty() {
        *all = more;
    } else if !more.is_empty() {
        all.extend(more);
        all.sort_unstable();
        all.dedup();
    }
}

/// A family, or all.
fn chosen(family: Option<Family>) -> impl Iterator<Item = Family> {
    let all = Family::ALL.into_iter();
    all.filter(move |it| family.is_none_or(|family| family == *it))
}

/// Whether zebra would take an address for the identifier of a router.
fn names_a_router(address: Ipv4Addr) -> bool {
    !address.is_loopback() && !address.is_link_local() && !address.is_multicast()
}

/// The family a prefix belongs to.
fn family_of(prefix: &IpNet) -> Family {
    match prefix {
        IpNet::V4(_) => Family::Ipv4Unicast,
        IpNet::V6(_) => Family::Ipv6Unicast,
    }
}
