//! Whole networks of speakers on virtual time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;

use ipnet::IpNet;

use super::*;
use crate::bgp::dice::Dice;
use crate::bgp::session::State;

/// Speakers, the links between them, and what is on its way.
struct Network {
    nodes: Vec<Node>,
    /// Both ends of each link: node, interface.
    links: Vec<[(usize, u32); 2]>,
    /// What is on its way, in order.
    wire: BTreeMap<(Time, u64), (usize, Event)>,
    /// Where octets of a connection go: node and number there.
    connections: HashMap<(usize, ConnectionId), (usize, ConnectionId)>,
    count: u64,
    now: Time,
}

struct Node {
    speaker: Speaker,
    interfaces: Vec<Interface>,
}

const DELAY: Time = Time::from_millis(2);

impl Network {
    fn new() -> Network {
        Network {
            nodes: Vec::new(),
            links: Vec::new(),
            wire: BTreeMap::new(),
            connections: HashMap::new(),
            count: 0,
            now: Time::ZERO,
        }
    }

    fn node(&mut self, name: &str, text: &str, loopback: &[&str]) -> usize {
        let (config, mistakes) = Config::parse(text);
        assert!(mistakes.is_empty(), "{name}: {mistakes:?}");
        let mut speaker = Speaker::new(name, self.nodes.len() as u64 + 1);
        speaker.config = config;
        let lo = Interface {
            index: 1,
            name: "lo".into(),
            up: true,
            addresses: loopback.iter().map(|net| net.parse().unwrap()).collect(),
        };
        self.nodes.push(Node {
            speaker,
            interfaces: vec![lo],
        });
        self.nodes.len() - 1
    }

    /// An interface, with a link-local address of its own beside those given.
    fn interface(&mut self, node: usize, name: &str, addresses: &[&str]) -> u32 {
        let index = self.nodes[node].interfaces.len() as u32 + 1;
        let local = format!("fe80::{:x}:{index:x}/64", node + 1);
        let addresses = addresses.iter().copied().chain([local.as_str()]);
        self.nodes[node].interfaces.push(Interface {
            index,
            name: name.into(),
            up: true,
            addresses: addresses.map(|net| net.parse().unwrap()).collect(),
        });
        index
    }

    fn link(&mut self, a: (usize, &str, &[&str]), b: (usize, &str, &[&str])) -> usize {
        let ends = [a, b].map(|(node, name, addresses)| (node, self.interface(node, name, addresses)));
        self.links.push(ends);
        self.links.len() - 1
    }

    fn start(&mut self) {
        for node in 0..self.nodes.len() {
            let config = self.nodes[node].speaker.config.clone();
            self.happen(node, Event::Interfaces(self.nodes[node].interfaces.clone()));
            self.happen(node, Event::Configure(Box::new(config)));
        }
        for link in 0..self.links.len() {
            self.advertise(link);
        }
    }

    /// Both ends of a link hear of each other.
    fn advertise(&mut self, link: usize) {
        let [a, b] = self.links[link];
        for (from, to) in [(a, b), (b, a)] {
            let address = self.nodes[from.0].interfaces[from.1 as usize - 1]
                .link_local()
                .unwrap();
            self.later(to.0, Event::Discovered(to.1, address));
        }
    }

    /// Takes a link down or brings it up. What was on connections over it is lost, and both ends see that.
    fn set(&mut self, link: usize, up: bool) {
        for (node, index) in self.links[link] {
            self.nodes[node].interfaces[index as usize - 1].up = up;
            let interfaces = self.nodes[node].interfaces.clone();
            self.happen(node, Event::Interfaces(interfaces));
        }
        if up {
            self.advertise(link);
        }
    }

    fn later(&mut self, node: usize, event: Event) {
        self.count += 1;
        self.wire.insert((self.now + DELAY, self.count), (node, event));
    }

    fn happen(&mut self, node: usize, event: Event) {
        let actions = self.nodes[node].speaker.happen(event, self.now);
        for action in actions {
            self.perform(node, action);
        }
    }

    fn perform(&mut self, node: usize, action: Action) {
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
            Action::HangUp(_) | Action::Forward(..) | Action::Log(_) => {}
        }
    }

    fn dial(&mut self, node: usize, peer: SourceId, dial: &Dial) {
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
        };
        let other = Endpoints {
            local: dial.remote,
            remote: local,
            interface,
        };
        self.later(there, Event::Accepted(ids[1], other));
        self.later(node, Event::Dialled(peer, ids[0], here));
    }

    /// The node on one of the links that has an address, this side's address, and for link-local ones the interface there.
    fn find(&self, node: usize, dial: &Dial) -> Option<(usize, IpAddr, Option<u32>)> {
        let is_local = matches!(dial.remote, IpAddr::V6(it) if it.is_unicast_link_local());
        self.links.iter().find_map(|[a, b]| {
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
            Some((there.0, same.or(any)?.addr(), is_local.then_some(theirs.index)))
        })
    }

    /// Lets time pass, from one thing that happens to the next.
    fn run(&mut self, seconds: u64) {
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
                    self.happen(node, event);
                }
                None => self.happen(deadline.unwrap().1, Event::Tick),
            }
        }
    }

    fn peer(&self, node: usize, name: &str) -> &Peer {
        self.nodes[node]
            .speaker
            .peers()
            .find(|peer| peer.name.to_string() == name)
            .unwrap()
    }

    /// How many prefixes a neighbour has told, and how many it was told.
    fn prefixes(&self, node: usize, name: &str) -> (usize, usize) {
        let peer = self.peer(node, name);
        let table = self.nodes[node].speaker.table(Family::Ipv4Unicast);
        let told_by =
            |routes: &[crate::bgp::table::Route]| routes.iter().filter(|it| it.source.id == peer.id).count();
        let received = table.iter().map(|(_, it)| told_by(it.routes())).sum();
        (received, peer.told.ipv4.len())
    }
}

/// The configuration of a node in a lab that ships.
fn config_of(lab: &str, node: &str) -> String {
    let path = format!("{}/labs/{lab}.toml", env!("CARGO_MANIFEST_DIR"));
    let file: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    file["nodes"][node]["config"].as_str().unwrap().to_owned()
}

/// The published lab: a spine, two racks' routers, and servers that open no sessions.
fn published() -> Network {
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

#[test]
fn the_published_lab_has_its_published_tables_within_a_second() {
    let mut network = published();
    network.start();
    network.run(1);
    let (spine, tor0) = (0, 1);
    let table = network.nodes[spine].speaker.table(Family::Ipv4Unicast);
    let prefixes: Vec<String> = table.iter().map(|(prefix, _)| prefix.to_string()).collect();
    let expected = [
        "10.0.0.0/32",
        "10.0.0.1/32",
        "10.0.0.2/32",
        "10.0.1.0/24",
        "10.0.2.0/24",
        "10.0.3.0/24",
        "10.0.4.0/24",
        "172.20.20.0/24",
    ];
    assert_eq!(prefixes, expected);
    for name in ["net0", "net1"] {
        assert_eq!(network.peer(spine, name).session.state(), State::Established);
        assert_eq!(network.prefixes(spine, name), (3, 9));
    }
    assert_eq!(network.prefixes(tor0, "net0"), (6, 9));
    // A rack's router knows the spine's name, and waits for its servers.
    let agreement = network.peer(tor0, "net0").session.agreement().unwrap();
    assert_eq!(agreement.remote_name.as_deref(), Some("router0"));
    assert!(network.peer(tor0, "10.0.1.2").session.state() <= State::Active);
    // The way to the other rack leads over the spine's link-local address.
    let way = &network.nodes[tor0].speaker.forwarded()[&"10.0.3.0/24".parse::<IpNet>().unwrap()];
    assert!(
        matches!(
            way[..],
            [Hop {
                via: Some(IpAddr::V6(_)),
                ..
            }]
        ),
        "{way:?}"
    );
    let default = &network.nodes[tor0].speaker.forwarded()[&"0.0.0.0/0".parse::<IpNet>().unwrap()];
    assert_eq!(default, way);
}

/// The same with servers that announce their pods' networks: they dial their router's loopback, which knows them by the
/// address they come from.
#[test]
fn with_servers_it_has_the_tables_published_for_that() {
    let mut network = published();
    let [spine, tor0, tor1] = [0, 1, 2];
    for (number, (tor, asn)) in [(tor0, 65010), (tor0, 65010), (tor1, 65011), (tor1, 65011)]
        .into_iter()
        .enumerate()
    {
        let text = format!(
            "router bgp {asn}\n bgp router-id 10.0.{0}.2\n no bgp network import-check\n neighbor 10.0.0.{tor} remote-as {asn}\n \
             address-family ipv4 unicast\n  network 10.1.{number}.0/24\n",
            number + 1
        );
        let server = network.node(&format!("server{number}"), &text, &[]);
        let address = format!("10.0.{}.2/24", number + 1);
        // The racks' interfaces are there already.
        let there = network.nodes[tor].interfaces.iter().find(|it| {
            it.addresses
                .iter()
                .any(|net| net.contains(&address.parse::<IpNet>().unwrap()))
        });
        let there = (tor, there.unwrap().index);
        let here = (server, network.interface(server, "net0", &[&address]));
        network.links.push([there, here]);
    }
    network.start();
    network.run(1);
    assert_eq!(network.nodes[spine].speaker.table(Family::Ipv4Unicast).len(), 12);
    for (tor, servers) in [(tor0, ["10.0.1.2", "10.0.2.2"]), (tor1, ["10.0.3.2", "10.0.4.2"])] {
        assert_eq!(network.prefixes(tor, "net0"), (8, 13));
        for server in servers {
            assert_eq!(network.prefixes(tor, server), (1, 11));
        }
    }
    for name in ["net0", "net1"] {
        assert_eq!(network.prefixes(spine, name), (5, 13));
    }
}

#[test]
fn a_rack_that_is_cut_off_is_forgotten_and_comes_back() {
    let mut network = published();
    network.start();
    network.run(1);
    network.set(0, false);
    network.run(1);
    let count = |network: &Network| network.nodes[0].speaker.table(Family::Ipv4Unicast).len();
    assert_eq!(count(&network), 5);
    assert_eq!(network.prefixes(2, "net0").0, 3);
    network.set(0, true);
    network.run(15);
    assert_eq!(count(&network), 8);
    assert_eq!(network.prefixes(1, "net0"), (6, 9));
}

#[test]
fn a_clos_shares_its_load() {
    let mut network = Network::new();
    let spines = ["spine0", "spine1"].map(|name| network.node(name, &config_of("clos", name), &[]));
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
    network.start();
    network.run(1);
    let far: IpNet = "10.1.3.0/24".parse().unwrap();
    assert_eq!(network.nodes[leaves[0]].speaker.forwarded()[&far].len(), 2);
    // One way less when a link breaks.
    network.set(7, false);
    network.run(1);
    assert_eq!(network.nodes[leaves[0]].speaker.forwarded()[&far].len(), 1);
}

/// Nothing passes between ASs without a policy (RFC 8212), which is FRR's default under `traditional`.
#[test]
fn without_a_policy_nothing_passes_between_ases() {
    let mut network = Network::new();
    let text = |asn: u32, other: &str| {
        format!(
            "router bgp {asn}\n neighbor {other} remote-as external\n address-family ipv4 unicast\n  redistribute connected\n"
        )
    };
    let a = network.node("a", &text(65001, "192.0.2.2"), &["10.0.0.1/32"]);
    let b = network.node("b", &text(65002, "192.0.2.1"), &["10.0.0.2/32"]);
    network.link((a, "net0", &["192.0.2.1/24"]), (b, "net0", &["192.0.2.2/24"]));
    network.start();
    network.run(5);
    assert_eq!(network.peer(a, "192.0.2.2").session.state(), State::Established);
    assert_eq!(network.prefixes(a, "192.0.2.2"), (0, 0));
}

/// Random networks of ASs that tell each other everything, with links that break and mend: once left alone each knows the
/// shortest path to each other's loopback that it still can reach, and to no other.
#[test]
fn random_networks_come_to_rest_on_shortest_paths() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut network = random(&mut dice);
        network.start();
        let mut up: Vec<bool> = vec![true; network.links.len()];
        for _ in 0..dice.roll(12) {
            network.run(dice.roll(4));
            let link = dice.roll(up.len() as u64) as usize;
            up[link] = !up[link];
            network.set(link, up[link]);
        }
        network.run(200);
        check(&network, &up, seed);
    }
}

/// A tree and some links more, every node in an AS of its own.
fn random(dice: &mut Dice) -> Network {
    let mut network = Network::new();
    let count = 3 + dice.roll(12) as usize;
    let mut ends = Vec::new();
    for node in 1..count {
        ends.push((dice.roll(node as u64) as usize, node));
    }
    for _ in 0..dice.roll(count as u64) {
        let (a, b) = (dice.roll(count as u64) as usize, dice.roll(count as u64) as usize);
        if a != b && !ends.contains(&(a.min(b), a.max(b))) {
            ends.push((a.min(b), a.max(b)));
        }
    }
    for node in 0..count {
        let mut text = format!(
            "frr defaults datacenter\nrouter bgp {}\n bgp router-id 10.0.0.{}\n bgp bestpath compare-routerid\n",
            65000 + node,
            node + 1
        );
        for (link, _) in ends
            .iter()
            .enumerate()
            .filter(|(_, (a, b))| *a == node || *b == node)
        {
            text += &format!(" neighbor l{link} interface remote-as external\n");
        }
        text += " address-family ipv4 unicast\n  redistribute connected\n";
        network.node(&format!("n{node}"), &text, &[&format!("10.0.0.{}/32", node + 1)]);
    }
    for (link, (a, b)) in ends.iter().enumerate() {
        let name = format!("l{link}");
        network.link((*a, &name, &[]), (*b, &name, &[]));
    }
    network
}

fn check(network: &Network, up: &[bool], seed: u64) {
    let count = network.nodes.len();
    for from in 0..count {
        let distances = distances(network, up, from);
        let table = network.nodes[from].speaker.table(Family::Ipv4Unicast);
        for (to, distance) in distances.iter().enumerate().filter(|(to, _)| *to != from) {
            let prefix: IpNet = format!("10.0.0.{}/32", to + 1).parse().unwrap();
            let best = table.get(&prefix).and_then(|it| it.best());
            let found = best.map(|route| route.attributes.as_path.length());
            assert_eq!(found, *distance, "seed {seed}: from n{from} to n{to}");
            let is_forwarded = network.nodes[from].speaker.forwarded().contains_key(&prefix);
            assert_eq!(
                is_forwarded,
                distance.is_some(),
                "seed {seed}: from n{from} to n{to}"
            );
        }
    }
}

/// How far each node is over links that are up.
fn distances(network: &Network, up: &[bool], from: usize) -> Vec<Option<usize>> {
    let mut found = vec![None; network.nodes.len()];
    found[from] = Some(0);
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        for ([a, b], _) in network.links.iter().zip(up).filter(|(_, up)| **up) {
            let next = if a.0 == node {
                b.0
            } else if b.0 == node {
                a.0
            } else {
                continue;
            };
            if found[next].is_none() {
                found[next] = found[node].map(|distance: usize| distance + 1);
                queue.push_back(next);
            }
        }
    }
    found
}
