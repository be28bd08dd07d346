//! Whole networks of speakers on virtual time, for tests.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::*;
use crate::rng::Rng;

/// Speakers, the links between them, and what is on its way.
pub(crate) struct Network {
    pub(crate) nodes: Vec<Node>,
    /// Both ends of each link: node, interface.
    pub(crate) links: Vec<[(usize, u32); 2]>,
    /// What is on its way, in order.
    pub(crate) wire: BTreeMap<(Time, u64), (usize, Event)>,
    /// Where octets of a connection go: node and number there.
    connections: HashMap<(usize, ConnectionId), (usize, ConnectionId)>,
    count: u64,
    /// Makes what is on its way take differently long.
    pub(crate) jitter: Option<Rng>,
    /// When what is on its way on a connection arrives last.
    latest: HashMap<(usize, ConnectionId), Time>,
    pub(crate) now: Time,
}

pub(crate) struct Node {
    pub(crate) speaker: Speaker,
    pub(crate) interfaces: Vec<Interface>,
}

const DELAY: Time = Time::from_millis(2);

impl Network {
    pub(crate) fn new() -> Network {
        Network {
            nodes: Vec::new(),
            links: Vec::new(),
            wire: BTreeMap::new(),
            connections: HashMap::new(),
            count: 0,
            jitter: None,
            latest: HashMap::new(),
            now: Time::ZERO,
        }
    }

    pub(crate) fn node(&mut self, name: &str, text: &str, loopback: &[&str]) -> usize {
        let (config, diagnostics) = Config::parse(text);
        assert!(diagnostics.is_empty(), "{name}: {diagnostics:?}");
        let mut speaker = Speaker::new(name, self.nodes.len() as u64 + 1);
        speaker.config = config;
        let lo = Interface {
            index: 1,
            name: "lo".into(),
            up: true,
            addresses: loopback.iter().map(|net| net.parse().unwrap()).collect(),
            ..Interface::default()
        };
        self.nodes.push(Node {
            speaker,
            interfaces: vec![lo],
        });
        self.nodes.len() - 1
    }

    /// An interface, with a link-local address of its own beside those given.
    pub(crate) fn interface(&mut self, node: usize, name: &str, addresses: &[&str]) -> u32 {
        let index = self.nodes[node].interfaces.len() as u32 + 1;
        let local = format!("fe80::{:x}:{index:x}/64", node + 1);
        let addresses = addresses.iter().copied().chain([local.as_str()]);
        self.nodes[node].interfaces.push(Interface {
            index,
            name: name.into(),
            up: true,
            addresses: addresses.map(|net| net.parse().unwrap()).collect(),
            ..Interface::default()
        });
        index
    }

    pub(crate) fn link(&mut self, a: (usize, &str, &[&str]), b: (usize, &str, &[&str])) -> usize {
        let ends = [a, b].map(|(node, name, addresses)| (node, self.interface(node, name, addresses)));
        self.links.push(ends);
        self.links.len() - 1
    }

    pub(crate) fn start(&mut self) {
        for node in 0..self.nodes.len() {
            let config = self.nodes[node].speaker.config.clone();
            self.handle_event(node, Event::Interfaces(self.nodes[node].interfaces.clone()));
            self.handle_event(node, Event::Configure(Box::new(config)));
        }
        for link in 0..self.links.len() {
            self.advertise(link);
        }
    }

    /// Both ends of a link hear of each other.
    pub(crate) fn advertise(&mut self, link: usize) {
        let [a, b] = self.links[link];
        for (from, to) in [(a, b), (b, a)] {
            let address = self.nodes[from.0].interfaces[from.1 as usize - 1]
                .link_local()
                .unwrap();
            self.later(to.0, Event::Discovered(to.1, address));
        }
    }

    /// Takes a link down or brings it up. What was on connections over it is lost, and both ends see that.
    pub(crate) fn set(&mut self, link: usize, up: bool) {
        for (node, index) in self.links[link] {
            self.nodes[node].interfaces[index as usize - 1].up = up;
            let interfaces = self.nodes[node].interfaces.clone();
            self.handle_event(node, Event::Interfaces(interfaces));
        }
        if up {
            self.advertise(link);
        }
    }

    /// A node's speaker is gone from one moment to the next. Those it was connected with see their connections end.
    pub(crate) fn silence(&mut self, node: usize) {
        let name = self.nodes[node].speaker.hostname().to_owned();
        self.nodes[node].speaker = Speaker::new(&name, 0);
        self.wire.retain(|_, (to, _)| *to != node);
        let mut ended: Vec<_> = self
            .connections
            .extract_if(|(here, _), _| *here == node)
            .map(|(_, other)| other)
            .collect();
        ended.sort();
        for (other, there) in ended {
            self.connections.remove(&(other, there));
            self.later(other, Event::Closed(there));
        }
    }

    /// It begins anew, with routes of its earlier life in the kernel or without.
    pub(crate) fn begin_anew(&mut self, node: usize, text: &str, has_stale: bool) {
        let (config, diagnostics) = Config::parse(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let name = self.nodes[node].speaker.hostname().to_owned();
        self.count += 1;
        self.nodes[node].speaker = Speaker::new(&name, self.count);
        self.handle_event(node, Event::Interfaces(self.nodes[node].interfaces.clone()));
        self.handle_event(node, Event::Configure(Box::new(config)));
        if has_stale {
            self.handle_event(node, Event::Returned);
        }
    }

    /// Breaks a connection, whichever the rng chooses: what is on its way is lost, and each end sees that in its own time.
    pub(crate) fn cut(&mut self, rng: &mut Rng) {
        let mut all: Vec<_> = self.connections.keys().copied().collect();
        all.sort();
        let Some(one) = all.get(rng.roll(all.len() as u64) as usize).copied() else {
            return;
        };
        let Some(other) = self.connections.remove(&one) else {
            return;
        };
        self.connections.remove(&other);
        for (node, id) in [one, other] {
            self.wire.retain(|_, (to, event)| {
                let is_lost = matches!(event, Event::Received(of, _) if *of == id);
                *to != node || !is_lost
            });
            self.later(node, Event::Closed(id));
        }
    }

    /// What happens to a node soon. Of one connection everything arrives in order; connections overtake each other.
    pub(crate) fn later(&mut self, node: usize, event: Event) {
        self.count += 1;
        let mut at = self.now + DELAY;
        if let Some(rng) = &mut self.jitter {
            at += Time::from_millis(rng.roll(40));
        }
        let of = match &event {
            Event::Received(id, _)
            | Event::Closed(id)
            | Event::Accepted(id, _)
            | Event::Dialled(_, id, _) => Some(*id),
            _ => None,
        };
        if let Some(id) = of {
            let latest = self.latest.entry((node, id)).or_default();
            at = at.max(*latest);
            *latest = at;
        }
        self.wire.insert((at, self.count), (node, event));
    }

    pub(crate) fn handle_event(&mut self, node: usize, event: Event) {
        let actions = self.nodes[node].speaker.handle_event(event, self.now);
        for action in actions {
            self.perform(node, action);
        }
    }

    pub(crate) fn perform(&mut self, node: usize, action: Action) {
        match action {
            Action::Dial(peer, dial) => self.dial(node, peer, &dial),
            Action::Send(id, octets) => {
                if let Some((other, there)) = self.connections.get(&(node, id)).copied() {
                    self.later(other, Event::Received(there, octets));
                }
            }
            Action::Close(id) => {
                if let Some((other, there)) = self.connections.remove(&(node, id)) {
                    self.later(other, Event::Closed(there));
                }
            }
            Action::Report(id) => self.later(node, Event::Sent(id)),
            Action::HangUp(_)
            | Action::Forward(..)
            | Action::ForwardIn(..)
            | Action::Log(_)
            | Action::Place(_)
            | Action::TakeOut(_) => {}
        }
    }

    pub(crate) fn dial(&mut self, node: usize, peer: SourceId, dial: &Dial) {
        let Some((there, local, interface)) = self.find(node, dial) else {
            return self.later(node, Event::DialFailed(peer));
        };
        self.count += 1;
        let ids = [ConnectionId(2 * self.count), ConnectionId(2 * self.count + 1)];
        self.connections.insert((node, ids[0]), (there, ids[1]));
        self.connections.insert((there, ids[1]), (node, ids[0]));
        let here = Endpoints {
            local,
            remote: dial.remote,
            interface: dial.interface,
            ports: (40000, dial.port),
        };
        let other = Endpoints {
            local: dial.remote,
            remote: local,
            interface,
            ports: (dial.port, 40000),
        };
        self.later(there, Event::Accepted(ids[1], other));
        self.later(node, Event::Dialled(peer, ids[0], here));
    }

    /// The node on one of the links that has an address, this side's address, and for link-local ones the interface there.
    pub(crate) fn find(&self, node: usize, dial: &Dial) -> Option<(usize, IpAddr, Option<u32>)> {
        let is_local = matches!(dial.remote, IpAddr::V6(it) if it.is_unicast_link_local());
        let ways = self.links.iter().filter_map(|[a, b]| {
            let (here, there) = if a.0 == node {
                (a, b)
            } else if b.0 == node {
                (b, a)
            } else {
                return None;
            };
            let interface = |end: &(usize, u32)| &self.nodes[end.0].interfaces[end.1 as usize - 1];
            let (mine, theirs) = (interface(here), interface(there));
            // A router answers at all its addresses, but for link-local ones.
            let all = self.nodes[there.0].interfaces.iter().flat_map(|it| &it.addresses);
            let has = if is_local {
                theirs.addresses.iter().any(|net| net.addr() == dial.remote)
            } else {
                all.into_iter().any(|net| net.addr() == dial.remote)
            };
            let right = dial.interface.is_none_or(|index| index == mine.index);
            if !has || !right || !mine.up || !theirs.up {
                return None;
            }
            let same = mine.addresses.iter().find(|net| net.contains(&dial.remote));
            let any = mine
                .addresses
                .iter()
                .find(|net| net.addr().is_ipv4() == dial.remote.is_ipv4());
            let way = (there.0, same.or(any)?.addr(), is_local.then_some(theirs.index));
            Some((same.is_some(), way))
        });
        // The link that is in the address's network comes first.
        ways.min_by_key(|(near, _)| !near).map(|(_, way)| way)
    }

    /// Lets time pass, from one thing that happens to the next.
    pub(crate) fn run(&mut self, seconds: u64) {
        let end = self.now + Time::from_secs(seconds);
        loop {
            let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
            let deadlines = self.nodes.iter().enumerate();
            let deadline = deadlines
                .filter_map(|(at, node)| Some((node.speaker.deadline()?, at)))
                .min();
            let next = arrival.into_iter().chain(deadline.map(|(at, _)| at)).min();
            let Some(at) = next.filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            match self.wire.first_entry().filter(|entry| entry.key().0 <= at) {
                Some(entry) => {
                    let (node, event) = entry.remove();
                    self.handle_event(node, event);
                }
                None => self.handle_event(deadline.unwrap().1, Event::Tick),
            }
        }
    }

    pub(crate) fn peer(&self, node: usize, name: &str) -> &Peer {
        self.nodes[node]
            .speaker
            .peers()
            .find(|peer| peer.name.to_string() == name)
            .unwrap()
    }

    /// How many prefixes a neighbor has told, and how many it was told.
    pub(crate) fn prefixes(&self, node: usize, name: &str) -> (usize, usize) {
        let peer = self.peer(node, name);
        let table = self.nodes[node].speaker.table(Family::Ipv4Unicast);
        let told_by =
            |routes: &[crate::table::Route]| routes.iter().filter(|it| it.source.id == peer.id).count();
        let received = table.iter().map(|(_, it)| told_by(it.routes())).sum();
        (received, peer.advertised_count(Family::Ipv4Unicast))
    }
}

/// The configuration of a node in a lab that ships.
pub(crate) fn config_of(lab: &str, node: &str) -> String {
    let path = format!("{}/../../labs/{lab}.toml", env!("CARGO_MANIFEST_DIR"));
    let file: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    file["nodes"][node]["config"].as_str().unwrap().to_owned()
}

/// The published lab: a spine, two racks' routers, and servers that open no sessions.
pub(crate) fn published() -> Network {
    let mut network = Network::new();
    let [spine, tor0, tor1] = [
        ("router0", "10.0.0.0/32"),
        ("tor0", "10.0.0.1/32"),
        ("tor1", "10.0.0.2/32"),
    ]
    .map(|(name, lo)| network.node(name, &config_of("cilium-bgp", name), &[lo]));
    network.interface(spine, "eth0", &["172.20.20.2/24"]);
    network.link((spine, "net0", &[]), (tor0, "net0", &[]));
    network.link((spine, "net1", &[]), (tor1, "net0", &[]));
    network.interface(tor0, "net1", &["10.0.1.1/24"]);
    network.interface(tor0, "net2", &["10.0.2.1/24"]);
    network.interface(tor1, "net1", &["10.0.3.1/24"]);
    network.interface(tor1, "net2", &["10.0.4.1/24"]);
    network
}

/// The Clos fabric that ships; the numbers of its leaves.
pub(crate) fn clos() -> (Network, Vec<usize>) {
    let mut network = Network::new();
    let spines = [("spine0", "10.0.0.1/32"), ("spine1", "10.0.0.2/32")]
        .map(|(name, lo)| network.node(name, &config_of("clos", name), &[lo]));
    let leaves: Vec<usize> = (0..4)
        .map(|number| {
            let lo = format!("10.0.1.{number}/32");
            let leaf = network.node(
                &format!("leaf{number}"),
                &config_of("clos", &format!("leaf{number}")),
                &[&lo],
            );
            network.interface(leaf, "hosts", &[&format!("10.1.{number}.1/24")]);
            leaf
        })
        .collect();
    for (number, leaf) in leaves.iter().enumerate() {
        for (up, spine) in spines.iter().enumerate() {
            network.link(
                (*spine, &format!("down{number}"), &[]),
                (*leaf, &format!("up{up}"), &[]),
            );
        }
    }
    (network, leaves)
}
