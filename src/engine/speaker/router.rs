//! A router at work: the core, and all that its events come from and its actions go to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;

use super::bridging::Bridging;
use super::connections::{Connections, PORT, endpoints};
use super::discovery::{self, Discovery};
use super::forwarding::Forwarding;
use super::network::{self, Network};
use super::process::{HostEvent, log};
use super::sessions::Sessions;
use super::{interfaces, statics};
use crate::bgp::config::{Config, Own};
use crate::bgp::session::{State, Time};
use crate::bgp::speaker::{Action, Event, KernelRoute, LinkKind, Speaker};
use crate::kernel::netlink::Netlink;
use crate::kernel::watch::Changes;
use crate::kernel::{Error, Result, tcp};

/// A look at everything is due at least this often; with nothing to do there is no cost in it.
const IDLE: Duration = Duration::from_secs(3600);

/// A router.
pub struct Router {
    pub(super) began: Instant,
    pub(super) speaker: Speaker,
    netlink: Netlink,
    pub(super) connections: Connections,
    pub(super) discovery: Option<Discovery>,
    forwarding: Forwarding,
    pub(super) sessions: Option<Sessions>,
    network: Network,
    kernel_routes: Vec<KernelRoute>,
    /// What the core knows of the kernel's routes: those, and the static ones that hold.
    routes: Vec<KernelRoute>,
    /// What happens next.
    pub(super) events: VecDeque<Event>,
    /// Whether static routes are to be looked at again.
    statics_are_due: bool,
    bridging: Bridging,
    /// Whether bridges are to be looked at again.
    bridging_is_due: bool,
    host_events: Sender<HostEvent>,
}

impl Router {
    /// A router without a configuration, which knows what the kernel has.
    ///
    /// # Errors
    /// The kernel refuses a socket, or to say what it has.
    pub fn begin(hostname: &str, host_events: Sender<HostEvent>) -> Result<Router> {
        let discovery = Discovery::begin(host_events.clone());
        if let Err(error) = &discovery {
            log(&format!("no neighbors are looked for on links: {error}"));
        }
        // Neighbors must not all dial in step.
        let seed = since_1970().as_nanos() as u64 ^ u64::from(std::process::id());
        Ok(Router {
            began: Instant::now(),
            speaker: Speaker::new(hostname, seed),
            netlink: Netlink::open()?,
            connections: Connections::new(host_events.clone()),
            discovery: discovery.ok(),
            forwarding: Forwarding::begin()?,
            sessions: None,
            network: Network::default(),
            kernel_routes: Vec::new(),
            routes: Vec::new(),
            events: VecDeque::new(),
            statics_are_due: false,
            bridging: Bridging::default(),
            bridging_is_due: true,
            host_events,
        })
    }

    /// The number of the socket that routes are changed by.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn own_port(&self) -> Result<u32> {
        self.forwarding.port()
    }

    /// Takes sessions of vtysh from now on.
    pub fn take_sessions(&mut self, sessions: Sessions) {
        self.sessions = Some(sessions);
    }

    /// Begins with a configuration, which is loaded for its own addresses.
    pub fn start(&mut self, load: impl FnOnce(&Own) -> Config) {
        self.look(&Changes {
            interfaces: true,
            routes: true,
            ..Changes::default()
        });
        let interfaces = self.network.interfaces.iter();
        let own = interfaces.flat_map(|it| &it.addresses).map(IpNet::addr);
        let own = Own {
            interfaces: self.network.interfaces.iter().map(|it| it.name.clone()).collect(),
            ..own.collect()
        };
        let config = load(&own);
        self.events.push_back(Event::Configure(Box::new(config)));
        if self.forwarding.has_stale() {
            self.events.push_back(Event::Returned);
        }
        self.tick();
    }

    /// When something is to be done though nothing happens.
    pub fn deadline(&self) -> Instant {
        let speaker = self.speaker.deadline().map(|time| self.began + time);
        let discovery = self.discovery.as_ref().and_then(Discovery::deadline);
        let all = [speaker, discovery];
        let first = all.into_iter().flatten().min();
        first.unwrap_or_else(|| Instant::now() + IDLE)
    }

    fn now(&self) -> Time {
        self.began.elapsed()
    }

    /// Takes note of something that happened.
    pub fn take(&mut self, host_event: HostEvent) {
        match host_event {
            HostEvent::Connection(event) => self.events.extend(self.connections.event(event)),
            HostEvent::Accepted(stream) => self.accept(stream),
            HostEvent::Bridging => self.bridging_is_due = true,
            HostEvent::Network(changes) => self.look(&changes),
            HostEvent::Heard(heard) => {
                let discovery = self.discovery.as_mut();
                if let Some((interface, address)) = discovery.and_then(|it| it.hear(heard)) {
                    self.discover(interface, address);
                }
            }
            HostEvent::SessionBegan(stream) => {
                if let Some(sessions) = &mut self.sessions {
                    sessions.accept(stream);
                }
            }
            HostEvent::SessionLine(id, line) => self.obey(id, &line),
            HostEvent::SessionTook(id) => self.go_on(id),
            HostEvent::SessionEnded(id) => {
                if let Some(sessions) = &mut self.sessions {
                    sessions.end(id);
                }
            }
        }
        self.settle();
    }

    fn accept(&mut self, stream: TcpStream) {
        let Ok(ends) = endpoints(&stream) else { return };
        let id = self.connections.next();
        let actions = self.speaker.handle_event(Event::Accepted(id, ends), self.now());
        // Only now it is known whose it is: a neighbor may be one that comes by itself.
        let peer = self.speaker.peer_at(&ends);
        if let Some(dial) = peer.and_then(|peer| self.speaker.way_to(peer)) {
            tell(Connections::suit(&stream, &ends, &dial));
        }
        self.connections.take(id, stream);
        self.perform(actions);
    }

    /// Lets the core decide about all that happened.
    pub(super) fn settle(&mut self) {
        while let Some(event) = self.events.pop_front() {
            match event {
                Event::Configure(config) => self.configure(*config),
                event => {
                    let actions = self.speaker.handle_event(event, self.now());
                    self.perform(actions);
                }
            }
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Dial(peer, dial) => {
                    // It may succeed later: the core tries again.
                    if self.connections.dial(peer, &dial).is_err() {
                        self.events.push_back(Event::DialFailed(peer));
                    }
                }
                Action::HangUp(peer) => self.connections.hang_up(peer),
                Action::Send(id, octets) => self.connections.send(id, octets),
                Action::Report(id) => self.connections.report(id),
                Action::Close(id) => self.connections.close(id),
                Action::Forward(to, way) => {
                    self.forwarding.forward(to, way.as_deref());
                    if self.forwarding.is_full() {
                        self.note_learned();
                        tell_all(self.forwarding.flush());
                    }
                }
                Action::ForwardIn(table, to, way) => {
                    self.forwarding.forward_in(table, to, way.as_deref());
                    if self.forwarding.is_full() {
                        tell_all(self.forwarding.flush());
                    }
                }
                Action::Place(overlay) => self.bridging.place(overlay, true),
                Action::TakeOut(overlay) => self.bridging.place(overlay, false),
                Action::Log(text) => log(&text),
            }
        }
    }

    /// Does what time brings, and puts into the kernel what was decided.
    pub fn tick(&mut self) {
        let now = Instant::now();
        if self.speaker.deadline().is_some_and(|time| time <= self.now()) {
            self.events.push_back(Event::Tick);
        }
        self.settle();
        if let Some(discovery) = &mut self.discovery {
            discovery.tick(now);
        }
        self.look_at_bridges();
        self.follow_learned();
        tell_all(self.forwarding.flush());
        tell_all(self.bridging.flush(&mut self.netlink));
        // What an earlier life has left leads where it did until it is learned again, if that was agreed on.
        if !self.speaker.is_returning() && self.forwarding.has_stale() {
            tell_all(self.forwarding.sweep());
        }
        self.connections.tidy();
    }

    /// Static routes may lead over what BGP learned, and yield to it.
    fn follow_learned(&mut self) {
        self.note_learned();
        if self.statics_are_due {
            self.choose_statics();
            self.settle();
        }
    }

    fn note_learned(&mut self) {
        if self.forwarding.has_waiting() && !self.speaker.config().static_routes.is_empty() {
            self.statics_are_due = true;
        }
    }

    fn configure(&mut self, config: Config) {
        let before = self.speaker.config().clone();
        tell_all(interfaces::forward(&before, &config));
        tell_all(interfaces::apply(
            &mut self.netlink,
            &before,
            &config,
            &self.network,
        ));
        self.tell_of_vrfs(&before, &config);
        let has_bgp = config.bgp.is_some();
        if !has_bgp {
            tell(self.connections.listen(None));
        }
        let actions = self
            .speaker
            .handle_event(Event::Configure(Box::new(config)), self.now());
        self.perform(actions);
        // Addresses that were just given are announced; with them known at once nothing has to begin twice.
        self.look(&Changes {
            interfaces: true,
            ..Changes::default()
        });
        self.meet();
        // Nobody comes in before it is known who has to sign.
        if has_bgp {
            tell(self.connections.listen(Some(PORT)));
        }
        self.choose_statics();
    }

    /// Says which VRFs have no device: until there is one nothing of them is in the kernel.
    fn tell_of_vrfs(&self, before: &Config, config: &Config) {
        let has_device = |name: &str| {
            let mut all = self.network.interfaces.iter();
            all.any(|it| it.name == name && it.link.kind == LinkKind::Vrf)
        };
        let new = config.vrfs.keys().filter(|name| !before.vrfs.contains_key(*name));
        for name in new.filter(|name| !has_device(name)) {
            log(&format!(
                "vrf {name}: there is no such device. `{name} = {{ type = \"vrf\", table = 1001 }}` among the node's interfaces makes one \
                 where the kernel has the module vrf (CONFIG_NET_VRF)"
            ));
        }
    }

    /// Looks for neighbors where the configuration wants it, and knows those again that were met before.
    fn meet(&mut self) {
        self.sign();
        let Some(discovery) = &mut self.discovery else {
            return;
        };
        let (config, network) = (self.speaker.config(), &self.network);
        let wanted = discovery::wanted(config, &network.interfaces, &network.link_layer);
        discovery.set(wanted, Instant::now());
        let routers: Vec<_> = discovery.routers().collect();
        for (interface, address) in routers {
            self.discover(interface, address);
        }
    }

    /// A router was heard on a link. The session with another on the same link stays as it is.
    fn discover(&mut self, interface: u32, address: std::net::Ipv6Addr) {
        let mut peers = self.speaker.peers();
        let known = peers.find(|peer| peer.interface == Some(interface));
        let is_up = known.is_some_and(|peer| peer.session.state() == State::Established);
        if !is_up {
            drop(peers);
            self.events.push_back(Event::Discovered(interface, address));
            self.settle();
            self.sign();
        }
    }

    /// Signs the connections of those neighbors that have a password.
    fn sign(&mut self) {
        let config = self.speaker.config();
        let mut keys = BTreeMap::new();
        if let Some(bgp) = &config.bgp {
            for (range, group) in &bgp.listen_ranges {
                let group = bgp.groups.get(group);
                let password = group.and_then(|group| config.effective_of_group(bgp, group).password);
                keys.extend(password.map(|password| (*range, password)));
            }
        }
        for peer in self.speaker.peers() {
            if let (Some(remote), Some(password)) = (peer.remote, &peer.effective.password) {
                keys.insert(IpNet::from(remote), password.clone());
            }
        }
        tell(self.connections.sign(keys));
        tell(self.connections.require_hops(self.hops()));
    }

    /// How many hops the packets of neighbors must have left, from the first one on (`ttl-security`). Where a range of addresses
    /// has such a limit, neighbors within it that have none are told apart from it.
    fn hops(&self) -> BTreeMap<IpNet, u8> {
        let config = self.speaker.config();
        let least = |hops: Option<u8>| hops.map_or(0, tcp::hops_left);
        let mut all = BTreeMap::new();
        if let Some(bgp) = &config.bgp {
            for (range, group) in &bgp.listen_ranges {
                if let Some(group) = bgp.groups.get(group) {
                    let effective = config.effective_of_group(bgp, group);
                    all.insert(*range, least(effective.ttl_security));
                }
            }
        }
        let has_limit = all.values().any(|least| *least > 0);
        for peer in self.speaker.peers().filter(|peer| !peer.is_dynamic()) {
            let least = least(peer.effective.ttl_security);
            if let Some(remote) = peer.remote {
                // Link-local addresses on several links are one here: of several limits the farthest counts.
                let known = all.entry(IpNet::from(remote)).or_insert(least);
                *known = least.min(*known);
            }
        }
        all.retain(|_, least| has_limit || *least > 0);
        all
    }

    /// Looks at the kernel's interfaces and routes again, and tells the core what has changed.
    fn look(&mut self, changes: &Changes) {
        let network = match Network::look(&mut self.netlink) {
            Ok(network) => network,
            Err(error) => return log(&error.to_string()),
        };
        let before = std::mem::replace(&mut self.network, network);
        self.let_fall(&before, &changes.fallen);
        let has_changed = before != self.network;
        self.bridging_is_due |= has_changed || changes.interfaces;
        if has_changed {
            let config = self.speaker.config();
            tell_all(interfaces::apply(
                &mut self.netlink,
                config,
                config,
                &self.network,
            ));
            self.events
                .push_back(Event::Interfaces(self.network.interfaces.clone()));
            self.settle();
            self.meet();
        }
        if has_changed || changes.routes {
            match network::routes(&mut self.netlink, &self.network.interfaces) {
                Ok(routes) => self.kernel_routes = routes,
                Err(error) => log(&error.to_string()),
            }
            self.choose_statics();
            self.settle();
        }
        tell_all(self.forwarding.flush());
        for interface in self.network.without_ipv4_since(&before) {
            tell_all(self.forwarding.restore_over(interface, self.speaker.forwarded()));
        }
        tell_all(
            self.forwarding
                .restore(&changes.removed, self.speaker.forwarded()),
        );
    }

    /// Looks at VXLAN devices and bridges, where EVPN wants to know of them and something may have changed.
    fn look_at_bridges(&mut self) {
        let bgp = self.speaker.config().bgp.as_ref();
        if !bgp.is_some_and(|bgp| bgp.evpn.advertise_all_vni) {
            self.bridging_is_due = true;
            return;
        }
        if !std::mem::take(&mut self.bridging_is_due) {
            return;
        }
        let found = self
            .bridging
            .look(&mut self.netlink, &self.network, &self.host_events);
        match found {
            Ok(None) => {}
            Ok(Some(local)) => {
                self.events.push_back(Event::Bridging(local));
                self.settle();
            }
            Err(error) => log(&error.to_string()),
        }
    }

    /// Interfaces that were down for a moment and are up again: the kernel has forgotten what led over them, and so has to be
    /// told everything anew.
    fn let_fall(&mut self, before: &Network, fallen: &BTreeSet<u32>) {
        let up = |network: &Network, index: u32| {
            let mut interfaces = network.interfaces.iter();
            interfaces.any(|it| it.index == index && it.up)
        };
        let flapped = |index: u32| fallen.contains(&index) && up(before, index) && up(&self.network, index);
        let interfaces = before.without(flapped);
        if interfaces == before.interfaces {
            return;
        }
        let now = std::mem::take(&mut self.network);
        self.network = Network {
            interfaces: interfaces.clone(),
            ..now.clone()
        };
        self.events.push_back(Event::Interfaces(interfaces));
        self.settle();
        self.meet();
        self.choose_statics();
        self.settle();
        tell_all(self.forwarding.flush());
        self.network = now;
        self.events
            .push_back(Event::Interfaces(self.network.interfaces.clone()));
        self.settle();
        self.meet();
    }

    /// Puts the static routes that hold into the kernel, and tells the core of them and of the kernel's.
    fn choose_statics(&mut self) {
        self.statics_are_due = false;
        let distance = |prefix: &IpNet| self.speaker.learned_distance(prefix);
        let forwarded = self.speaker.forwarded();
        let learned = |prefix: &IpNet| forwarded.get(prefix);
        let chosen = statics::choose(
            &self.speaker.config().static_routes,
            &statics::Surroundings {
                interfaces: &self.network.interfaces,
                kernel: &self.kernel_routes,
                learned: &learned,
                distance: &distance,
            },
        );
        let own = chosen
            .iter()
            .map(|(to, chosen)| statics::as_kernel_route(*to, chosen));
        let routes: Vec<KernelRoute> = self.kernel_routes.iter().cloned().chain(own).collect();
        let ways = chosen.into_iter().map(|(to, chosen)| (to, chosen.way));
        tell_all(self.forwarding.set_statics(ways.collect()));
        if routes != self.routes {
            self.routes.clone_from(&routes);
            self.events.push_back(Event::Routes(routes));
        }
    }

    /// Ends everything: neighbors are told, routes are taken out. A router that is to come back (`bgp graceful-restart`) goes
    /// without a word and leaves its routes, as its neighbors do (RFC 4724 section 4).
    pub async fn end(mut self, patience: Duration) {
        let restart = self.speaker.config().bgp.as_ref().map(|bgp| bgp.graceful_restart);
        if restart.is_none_or(|it| it.enabled != Some(true)) {
            let mut config = self.speaker.config().clone();
            config.bgp = None;
            let actions = self
                .speaker
                .handle_event(Event::Configure(Box::new(config)), self.now());
            self.perform(actions);
            self.forwarding.clear();
            tell_all(self.bridging.flush(&mut self.netlink));
        }
        if let Some(discovery) = &mut self.discovery {
            discovery.end();
        }
        self.connections.end(patience).await;
    }
}

pub(super) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Says in the log what could not be done.
fn tell(done: Result<()>) {
    tell_all(done.err().into_iter().collect());
}

fn tell_all(failures: Vec<Error>) {
    for failure in failures {
        log(&failure.to_string());
    }
}
