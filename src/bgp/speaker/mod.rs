//! A speaker: sessions with its neighbours, the routes they tell, and what it tells and does about them.
//!
//! A function of state, event and time. Whoever runs it carries bytes and connections, knows the kernel's interfaces, and
//! puts routes into it; in a test that is another function, on a clock of its own.

mod aggregate;
mod aggregate_path;
mod change;
mod dynamic;
mod export;
mod import;
mod inbound;
mod limits;
mod local;
mod outbound;
mod peer;
mod record;
mod resolve;

#[cfg(test)]
pub(super) mod network;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

pub use aggregate::AGGREGATE;
pub use inbound::Received;
pub use limits::Overflow;
pub use peer::{Peer, Told};
pub use record::{Messages, Record};

use super::config::{self, Bgp, Config, PeerName};
use super::policy::Policy;
use super::session::{self, ConnectionId, Time};
use super::table::{MultipathRule, Rules, SourceId, Table};
use super::wire::{Family, Notification, PerFamily, error_code::cease};

/// An interface as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether packets pass.
    pub up: bool,
    /// Its addresses with their networks' lengths, link-local ones included.
    pub addresses: Vec<IpNet>,
}

impl Interface {
    /// Its link-local address.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
            _ => None,
        })
    }

    fn global_v6(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V6(address) if !address.is_unicast_link_local() => Some(address),
            _ => None,
        })
    }

    fn v4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }
}

/// A route of the kernel's that is not the speaker's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRoute {
    /// Where to.
    pub to: IpNet,
    /// The ways; none for one that drops.
    pub hops: Vec<Hop>,
    /// Its priority.
    pub metric: u32,
    /// Whether somebody configured it on this router (`redistribute static`); else it is `kernel`.
    pub is_static: bool,
}

/// A way of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hop {
    /// The next router; none where the destination is on the link.
    pub via: Option<IpAddr>,
    /// The interface's index.
    pub interface: u32,
}

/// What happens to a speaker.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It is to do as this configuration says.
    Configure(Box<Config>),
    /// All of the kernel's interfaces, as they are now.
    Interfaces(Vec<Interface>),
    /// All of the kernel's routes that are not connected networks and not the speaker's own, as they are now.
    Routes(Vec<KernelRoute>),
    /// A router has made itself known on an interface (RFC 4861 section 4.2).
    Discovered(u32, Ipv6Addr),
    /// Somebody has opened a connection. For link-local addresses the interface's index says which link.
    Accepted(ConnectionId, Endpoints),
    /// A connection that was dialled is open.
    Dialled(SourceId, ConnectionId, Endpoints),
    /// Dialling failed.
    DialFailed(SourceId),
    /// Octets came.
    Received(ConnectionId, Vec<u8>),
    /// A connection is over.
    Closed(ConnectionId),
    /// A neighbour's session is to begin anew.
    Reset(SourceId),
    /// A neighbour's routes are to pass policy again, of a family or all.
    SoftIn(SourceId, Option<Family>),
    /// A neighbour is to be told everything again, of a family or all.
    SoftOut(SourceId, Option<Family>),
    /// Only time has passed.
    Tick,
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// This side's address.
    pub local: IpAddr,
    /// The neighbour's.
    pub remote: IpAddr,
    /// The interface of link-local addresses.
    pub interface: Option<u32>,
    /// The ports, this side's first.
    pub ports: (u16, u16),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Open a connection to a neighbour.
    Dial(SourceId, Dial),
    /// Give up the one that is being opened.
    HangUp(SourceId),
    /// Send octets.
    Send(ConnectionId, Vec<u8>),
    /// Close a connection once all is sent.
    Close(ConnectionId),
    /// Put a route into the kernel, in the place of the one there is; without hops, take it out.
    Forward(IpNet, Vec<Hop>),
    /// Something a router's log tells.
    Log(String),
}

/// How a connection is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// To where.
    pub remote: IpAddr,
    /// The port.
    pub port: u16,
    /// The interface, for link-local addresses.
    pub interface: Option<u32>,
    /// From where, if that is said.
    pub local: Option<IpAddr>,
    /// How far packets may travel.
    pub hops: u8,
    /// The neighbour is at most so many hops away, and proves it (RFC 5082).
    pub security_hops: Option<u8>,
    /// The key of TCP MD5 signatures (RFC 2385).
    pub password: Option<String>,
}

/// A speaker.
pub struct Speaker {
    /// The name neighbours are told.
    hostname: String,
    config: Config,
    /// Lists and route-maps of the configuration.
    policy: Policy,
    seed: u64,
    interfaces: Vec<Interface>,
    routes: Vec<KernelRoute>,
    peers: BTreeMap<SourceId, Peer>,
    next_peer: u32,
    connections: BTreeMap<ConnectionId, SourceId>,
    tables: PerFamily<Table>,
    /// Routes of this router's own that are in the tables.
    own: BTreeMap<IpNet, local::Own>,
    /// Aggregates that are in the tables.
    aggregates: PerFamily<BTreeSet<IpNet>>,
    /// What is in the kernel.
    forwarded: BTreeMap<IpNet, Vec<Hop>>,
}

/// The source of this router's own routes.
pub const OWN: SourceId = SourceId(0);

impl Speaker {
    /// A speaker that knows nothing yet. The seed decides its jitter.
    pub fn new(hostname: &str, seed: u64) -> Speaker {
        Speaker {
            hostname: hostname.to_owned(),
            config: Config::default(),
            policy: Policy::default(),
            seed,
            interfaces: Vec::new(),
            routes: Vec::new(),
            peers: BTreeMap::new(),
            next_peer: 1,
            connections: BTreeMap::new(),
            tables: PerFamily::default(),
            own: BTreeMap::new(),
            aggregates: PerFamily::default(),
            forwarded: BTreeMap::new(),
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

    /// The neighbours, in the order in which they were configured.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// What the speaker has in the kernel.
    pub fn forwarded(&self) -> &BTreeMap<IpNet, Vec<Hop>> {
        &self.forwarded
    }

    /// The name neighbours are told.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// The kernel's interfaces.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The kernel's routes that are not connected networks and not the speaker's own, static ones among them.
    pub fn routes(&self) -> &[KernelRoute] {
        &self.routes
    }

    /// The identifier: as configured, else the highest address of the loopback, else of all (as FRR chooses it).
    pub fn router_id(&self) -> Ipv4Addr {
        let configured = self
            .config
            .bgp
            .as_ref()
            .and_then(|bgp| bgp.router_id)
            .or(self.config.router_id);
        let addresses = |loopback: bool| {
            let interfaces = self
                .interfaces
                .iter()
                .filter(move |it| (it.name == "lo") == loopback);
            let nets = interfaces.flat_map(|it| &it.addresses).map(IpNet::addr);
            let v4 = nets.filter_map(|address| match address {
                IpAddr::V4(address) if !address.is_loopback() => Some(address),
                _ => None,
            });
            v4.max()
        };
        let found = configured
            .or_else(|| addresses(true))
            .or_else(|| addresses(false));
        found.unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// When something is to be done though nothing happens.
    pub fn deadline(&self) -> Option<Time> {
        self.peers
            .values()
            .filter_map(|peer| peer.session.deadline())
            .chain(self.end_of_overflow())
            .min()
    }

    /// Takes note of an event.
    pub fn happen(&mut self, event: Event, now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut resolve = false;
        match event {
            Event::Configure(config) => {
                self.configure(*config, now, &mut actions);
                resolve = true;
            }
            Event::Interfaces(interfaces) => {
                self.interfaces = interfaces;
                self.configure_peers(now, &mut actions);
                resolve = true;
            }
            Event::Routes(routes) => {
                self.routes = routes;
                resolve = true;
            }
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
                    self.tell(peer, session::Event::Closed(id), now, &mut actions);
                    self.part(peer);
                }
            }
            Event::Reset(peer) => self.reset(peer, now, &mut actions),
            Event::SoftIn(peer, family) => {
                for family in chosen(family) {
                    self.soft_in(peer, family, now, &mut actions);
                }
            }
            Event::SoftOut(peer, family) => {
                for family in chosen(family) {
                    self.soft_out(peer, family, &mut actions);
                }
            }
            Event::Tick => {
                let ids: Vec<SourceId> = self.peers.keys().copied().collect();
                for id in ids {
                    self.tell(id, session::Event::Tick, now, &mut actions);
                }
                self.end_overflows(now, &mut actions);
            }
        }
        if resolve {
            self.originate(now);
            self.resolve_all();
        }
        self.settle(resolve, now, &mut actions);
        self.note_sent(&actions, now);
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

    /// Decides about whatever has changed, and tells it.
    fn settle(&mut self, configured: bool, now: Time, actions: &mut Vec<Action>) {
        let rules = self.rules();
        for family in Family::ALL {
            let mut changed = self.tables.get_mut(family).decide(&rules);
            let also = self.aggregate(family, &changed, configured, now);
            changed.extend(also);
            changed.extend(self.tables.get_mut(family).decide(&rules));
            changed.sort_unstable();
            changed.dedup();
            self.forward(&changed, actions);
            self.export(family, &changed, configured, actions);
        }
    }

    fn rules(&self) -> Rules {
        let Some(bgp) = &self.config.bgp else {
            return Rules::default();
        };
        let table = &bgp.ipv4;
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

    /// Makes the neighbours those of the configuration, and starts and stops their sessions as interfaces allow.
    fn configure_peers(&mut self, now: Time, actions: &mut Vec<Action>) {
        let bgp = self.config.bgp.clone();
        let wanted: Vec<config::Neighbor> = bgp.iter().flat_map(|bgp| bgp.neighbors.clone()).collect();
        let names: BTreeSet<&PeerName> = wanted.iter().map(|it| &it.name).collect();
        let gone: Vec<SourceId> = self
            .peers
            .values()
            .filter(|peer| !names.contains(&peer.name) && !self.is_welcome(peer, bgp.as_ref()))
            .map(|peer| peer.id)
            .collect();
        for id in gone {
            let why = Notification::cease(cease::PEER_DE_CONFIGURED);
            self.tell(id, session::Event::Stop(why), now, actions);
            self.peers.remove(&id);
        }
        let Some(bgp) = bgp else { return };
        for neighbor in &wanted {
            let effective = self.config.effective(&bgp, neighbor);
            let known = self
                .peers
                .values()
                .find(|peer| peer.name == neighbor.name)
                .map(|peer| peer.id);
            let id = known.unwrap_or(SourceId(self.next_peer));
            let settings = self.session_settings(&bgp, &effective);
            match self.peers.get_mut(&id) {
                // What is agreed on with a neighbour holds for a session: with other settings it begins anew.
                Some(peer) => {
                    let (before, agreed) = (&peer.effective, peer.session.settings());
                    let resets = change::must_reset((before, agreed), (&effective, &settings));
                    peer.effective = effective;
                    peer.session.configure(settings);
                    if !resets {
                        continue;
                    }
                    let why = Notification::cease(cease::OTHER_CONFIGURATION_CHANGE);
                    self.tell(id, session::Event::Stop(why), now, actions);
                }
                None => {
                    self.next_peer += 1;
                    let peer = Peer::new(id, neighbor.name.clone(), effective, settings, self.seed);
                    self.peers.insert(id, peer);
                }
            }
        }
        let ids: Vec<SourceId> = self.peers.keys().copied().collect();
        for id in ids {
            self.allow(id, &bgp, now, actions);
        }
    }

    /// Starts a session that can be, and stops one that cannot.
    fn allow(&mut self, id: SourceId, bgp: &Bgp, now: Time, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if let PeerName::Interface(name) = &peer.name {
            let interface = self.interfaces.iter().find(|it| it.name == *name && it.up);
            if interface.map(|it| it.index) != peer.interface {
                peer.interface = interface.map(|it| it.index);
                peer.remote = None;
            }
        }
        let event = if peer.effective.shutdown.is_some() || bgp.flags.shutdown {
            let text = peer
                .effective
                .shutdown
                .as_ref()
                .and_then(|it| it.message.as_deref());
            let text = text.unwrap_or_default();
            session::Event::Stop(match text {
                "" => Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN),
                text => Notification::shutdown(cease::ADMINISTRATIVE_SHUTDOWN, text),
            })
        } else if peer.remote.is_none()
            || peer.intake.overflow.is_some()
            || !resolve::is_near_enough(peer, bgp, &self.interfaces)
        {
            session::Event::Stop(Notification::cease(cease::OTHER_CONFIGURATION_CHANGE))
        } else {
            session::Event::Start
        };
        self.tell(id, event, now, actions);
    }

    fn discover(&mut self, interface: u32, address: Ipv6Addr, now: Time, actions: &mut Vec<Action>) {
        let found = self
            .peers
            .values_mut()
            .find(|peer| matches!(peer.name, PeerName::Interface(_)) && peer.interface == Some(interface));
        let Some(peer) = found.filter(|peer| peer.remote != Some(address.into())) else {
            return;
        };
        let id = peer.id;
        let moved = peer.remote.replace(address.into()).is_some();
        if moved {
            let why = Notification::cease(cease::OTHER_CONFIGURATION_CHANGE);
            self.tell(id, session::Event::Stop(why), now, actions);
        }
        if let Some(bgp) = self.config.bgp.clone() {
            self.allow(id, &bgp, now, actions);
        }
    }

    /// A neighbour is known by its address, whatever address of this router's it dials.
    fn accept(&mut self, id: ConnectionId, endpoints: Endpoints, now: Time, actions: &mut Vec<Action>) {
        let known = self.peer_at(&endpoints).map(|peer| peer.id);
        match known.or_else(|| self.welcome(&endpoints, now, actions)) {
            Some(peer) => {
                self.connect(peer, id, endpoints, session::Event::Accepted(id), now, actions);
            }
            None => actions.push(Action::Close(id)),
        }
    }

    fn connect(
        &mut self,
        peer: SourceId,
        id: ConnectionId,
        endpoints: Endpoints,
        event: session::Event,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return actions.push(Action::Close(id));
        };
        known.begin(id, endpoints);
        self.connections.insert(id, peer);
        self.tell(peer, event, now, actions);
    }

    fn reset(&mut self, id: SourceId, now: Time, actions: &mut Vec<Action>) {
        let mut outcome = Vec::new();
        if let Some(peer) = self.peers.get_mut(&id) {
            let why = Notification::cease(cease::ADMINISTRATIVE_RESET);
            peer.session.fail(why, now, &mut outcome);
        }
        self.perform(id, outcome, now, actions);
        self.forgive(id, now, actions);
    }

    /// Tells a session what happened, and does what it asks for.
    fn tell(&mut self, id: SourceId, event: session::Event, now: Time, actions: &mut Vec<Action>) {
        let mut outcome = Vec::new();
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.session.happen(event, now, &mut outcome);
        }
        self.perform(id, outcome, now, actions);
    }

    fn perform(&mut self, id: SourceId, outcome: Vec<session::Action>, now: Time, actions: &mut Vec<Action>) {
        let ends =
            |action: &session::Action| matches!(action, session::Action::Close(_) | session::Action::Down(_));
        let ended = outcome.iter().any(ends);
        for action in outcome {
            match action {
                session::Action::Dial => actions.extend(self.dial(id)),
                session::Action::HangUp => actions.push(Action::HangUp(id)),
                session::Action::Send(connection, message) => {
                    if let Some(peer) = self.peers.get_mut(&id) {
                        actions.push(Action::Send(connection, peer.write(&message, now)));
                    }
                }
                session::Action::Close(connection) => {
                    self.connections.remove(&connection);
                    actions.push(Action::Close(connection));
                }
                session::Action::Up(connection, agreement) => {
                    self.up(id, connection, *agreement, now, actions)
                }
                session::Action::Down(reason) => self.down(id, &reason, now, actions),
            }
        }
        if ended {
            self.part(id);
        }
    }

    fn dial(&self, id: SourceId) -> Option<Action> {
        let way = self.way_to(self.peers.get(&id)?)?;
        Some(Action::Dial(id, way))
    }

    /// How a connection to a neighbour is opened. One that it opens is to be like it.
    pub fn way_to(&self, peer: &Peer) -> Option<Dial> {
        let effective = &peer.effective;
        let settings = peer.session.settings();
        let internal = match settings.remote_as {
            config::RemoteAs::Internal => true,
            config::RemoteAs::Number(asn) => asn == settings.local_as,
            config::RemoteAs::External => false,
        };
        let local = match &effective.update_source {
            Some(config::UpdateSource::Address(address)) => Some(*address),
            Some(config::UpdateSource::Interface(name)) => {
                let found = self.interfaces.iter().find(|it| it.name == *name)?;
                // Of the loopback's own addresses none leads anywhere.
                let same = |net: &&IpNet| {
                    let v4 = peer.remote.is_some_and(|it| it.is_ipv4());
                    net.addr().is_ipv4() == v4 && !net.addr().is_loopback()
                };
                found.addresses.iter().find(same).map(IpNet::addr)
            }
            None => None,
        };
        Some(Dial {
            remote: peer.remote?,
            port: effective.port,
            interface: peer.interface,
            local,
            hops: effective.ebgp_multihop.unwrap_or(if internal { 255 } else { 1 }),
            security_hops: effective.ttl_security,
            password: effective.password.clone(),
        })
    }

    /// The neighbour at the other end of a connection, whatever address of this router's that goes to.
    pub fn peer_at(&self, endpoints: &Endpoints) -> Option<&Peer> {
        self.peers.values().find(|peer| peer.is_at(endpoints))
    }
}

/// A family, or all.
fn chosen(family: Option<Family>) -> impl Iterator<Item = Family> {
    let all = Family::ALL.into_iter();
    all.filter(move |it| family.is_none_or(|family| family == *it))
}

/// The family a prefix belongs to.
fn family_of(prefix: &IpNet) -> Family {
    match prefix {
        IpNet::V4(_) => Family::Ipv4Unicast,
        IpNet::V6(_) => Family::Ipv6Unicast,
    }
}
