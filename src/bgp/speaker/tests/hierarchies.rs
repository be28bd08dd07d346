//! Random hierarchies of providers, customers and peers whose policies are safe (Gao and Rexford, "Stable Internet Routing
//! Without Global Coordination"), in a time full of faults. Left alone they come to the one stable state there is, which is
//! computed here without any BGP.
//!
//! Each run hangs on its seed alone. `NSLAB_SEED=7` makes just that one, `NSLAB_ROUNDS=2000` so many, and `NSLAB_NODES=200` lets
//! networks be that large.

use std::collections::BTreeMap;

use super::*;
use crate::session::State;

/// What a neighbor is to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Customer,
    Peer,
    Provider,
}

impl Role {
    fn seen_from_the_other_side(self) -> Role {
        match self {
            Role::Customer => Role::Provider,
            Role::Peer => Role::Peer,
            Role::Provider => Role::Customer,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Role::Customer => "CUSTOMER",
            Role::Peer => "PEER",
            Role::Provider => "PROVIDER",
        }
    }
}

/// A link, and what its second node is to its first.
type Link = (usize, usize, Role);

struct World {
    network: Network,
    links: Vec<Link>,
    up: Vec<bool>,
    /// Which nodes tell their prefix.
    tells: Vec<bool>,
    /// Which keep what they forward by over a restart.
    restarts: Vec<bool>,
}

const POLICIES: &str = "bgp community-list standard CUSTOMERS seq 5 permit 1:1\n\
    bgp as-path access-list OWN seq 5 permit ^$\n\
    route-map CUSTOMER-IN permit 10\n set local-preference 200\n set community 1:1\n\
    route-map PEER-IN permit 10\n set local-preference 150\n set community 1:2\n\
    route-map PROVIDER-IN permit 10\n set local-preference 100\n set community 1:3\n\
    route-map CUSTOMER-OUT permit 10\n\
    route-map PEER-OUT permit 10\n match community CUSTOMERS\n\
    route-map PEER-OUT permit 20\n match as-path OWN\n\
    route-map PROVIDER-OUT permit 10\n match community CUSTOMERS\n\
    route-map PROVIDER-OUT permit 20\n match as-path OWN\n";

fn prefix(node: usize) -> IpNet {
    IpNet::from(IpAddr::from([10, 1, (node / 250) as u8, (node % 250) as u8]))
}

impl World {
    fn new(rng: &mut Rng, most: u64) -> World {
        let count = 3 + rng.roll(most - 2) as usize;
        let mut world = World {
            network: Network::new(),
            links: hierarchy(rng, count),
            up: Vec::new(),
            tells: vec![true; count],
            restarts: (0..count).map(|_| rng.roll(4) == 0).collect(),
        };
        world.up = vec![true; world.links.len()];
        world.network.jitter = Some(Rng::new(rng.roll(u64::from(u32::MAX))));
        for node in 0..count {
            let text = world.text(node);
            world.network.node(&format!("n{node}"), &text, &[]);
        }
        for (at, (a, b, _)) in world.links.clone().into_iter().enumerate() {
            let name = format!("l{at}");
            world.network.link((a, &name, &[]), (b, &name, &[]));
        }
        world
    }

    /// The configuration of a node.
    fn text(&self, node: usize) -> String {
        let restart = match self.restarts[node] {
            true => {
                " bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n bgp graceful-restart select-defer-time 30\n"
            }
            false => "",
        };
        let mut text = format!(
            "frr defaults datacenter\n{POLICIES}router bgp {}\n bgp router-id 10.0.{}.{}\n bgp bestpath compare-routerid\n \
             no bgp network import-check\n{restart}",
            65000 + node,
            node / 250,
            node % 250 + 1
        );
        let mut policies = String::new();
        for (name, _, role) in self.neighbors(node) {
            text += &format!(" neighbor l{name} interface remote-as external\n");
            let role = role.name();
            policies += &format!(
                "  neighbor l{name} route-map {role}-IN in\n  neighbor l{name} route-map {role}-OUT out\n"
            );
        }
        text += " address-family ipv4 unicast\n";
        if self.tells[node] {
            text += &format!("  network {}\n", prefix(node));
        }
        text + &policies
    }

    /// The links of a node: number, the node behind it and what that is.
    fn neighbors(&self, node: usize) -> Vec<(usize, usize, Role)> {
        let all = self.links.iter().enumerate();
        let own = all.filter_map(|(at, (a, b, role))| match node {
            _ if node == *a => Some((at, *b, *role)),
            _ if node == *b => Some((at, *a, role.seen_from_the_other_side())),
            _ => None,
        });
        own.collect()
    }

    fn fault(&mut self, rng: &mut Rng) {
        let node = rng.roll(self.tells.len() as u64) as usize;
        match rng.roll(6) {
            0 | 1 => {
                let link = rng.roll(self.links.len() as u64) as usize;
                self.up[link] = !self.up[link];
                self.network.set(link, self.up[link]);
            }
            2 => self.network.cut(rng),
            3 => {
                self.network.silence(node);
                self.network.run(rng.roll(3));
                let text = self.text(node);
                self.network.begin_anew(node, &text, rng.roll(2) == 0);
                for (link, ..) in self.neighbors(node) {
                    if self.up[link] {
                        self.network.advertise(link);
                    }
                }
            }
            4 => {
                let peers = self.network.nodes[node].speaker.peers();
                let ids: Vec<SourceId> = peers.map(|peer| peer.id).collect();
                if let Some(id) = ids.get(rng.roll(ids.len() as u64) as usize) {
                    self.network.handle_event(node, Event::Reset(*id));
                }
            }
            _ => {
                self.tells[node] = !self.tells[node];
                let (config, diagnostics) = Config::parse(&self.text(node));
                assert!(diagnostics.is_empty(), "{diagnostics:?}");
                self.network
                    .handle_event(node, Event::Configure(Box::new(config)));
            }
        }
    }

    /// The paths all nodes have to one, as AS numbers, by the rules of the policies: customers before peers before providers,
    /// then the shorter path, then the lower identifier.
    fn stable(&self, to: usize) -> BTreeMap<usize, Vec<u32>> {
        let mut best: BTreeMap<usize, (Role, Vec<usize>)> = BTreeMap::new();
        if !self.tells[to] {
            return BTreeMap::new();
        }
        best.insert(to, (Role::Customer, Vec::new()));
        // In a safe hierarchy this comes to rest after no more rounds than there are nodes, wherever it begins.
        for _ in 0..2 * self.tells.len() + 2 {
            let mut next = BTreeMap::from([(to, (Role::Customer, Vec::new()))]);
            for node in (0..self.tells.len()).filter(|node| *node != to) {
                let offers = self.neighbors(node).into_iter().filter_map(|(link, from, role)| {
                    let (learned, path) = best.get(&from).filter(|_| self.up[link])?;
                    // A neighbor tells its customers everything, and others only its own and its customers' routes.
                    let is_told = role == Role::Provider || *learned == Role::Customer;
                    let whole: Vec<usize> = std::iter::once(from).chain(path.iter().copied()).collect();
                    (is_told && !whole.contains(&node)).then_some((role, whole.len(), from, whole))
                });
                if let Some((role, _, _, path)) = offers.min() {
                    next.insert(node, (role, path));
                }
            }
            if next == best {
                break;
            }
            best = next;
        }
        let paths = best.into_iter().filter(|(node, _)| *node != to);
        let asns = |path: Vec<usize>| path.into_iter().map(|node| 65000 + node as u32).collect();
        paths.map(|(node, (_, path))| (node, asns(path))).collect()
    }

    fn check(&self, seed: u64) {
        for (link, (a, b, _)) in self.links.iter().enumerate() {
            for node in [a, b] {
                let state = self.network.peer(*node, &format!("l{link}")).session.state();
                assert_eq!(
                    state == State::Established,
                    self.up[link],
                    "seed {seed}: n{node}, l{link} is {state:?}"
                );
            }
        }
        for to in 0..self.tells.len() {
            let stable = self.stable(to);
            for node in (0..self.tells.len()).filter(|node| *node != to) {
                let speaker = &self.network.nodes[node].speaker;
                let found = speaker.table(Family::Ipv4Unicast).get(&prefix(to));
                let best = found.and_then(|it| it.best());
                let path = best.map(|route| route.attributes.as_path.to_string());
                let wanted = stable.get(&node).map(|path| {
                    let path: Vec<String> = path.iter().map(u32::to_string).collect();
                    path.join(" ")
                });
                assert_eq!(path, wanted, "seed {seed}: from n{node} to n{to}");
                let is_clean = found.is_none_or(|it| it.routes().iter().all(|route| !route.is_stale()));
                assert!(is_clean, "seed {seed}: n{node} has stale routes to n{to}");
                let forwards = speaker.forwarded().contains_key(&prefix(to));
                assert_eq!(forwards, wanted.is_some(), "seed {seed}: from n{node} to n{to}");
            }
        }
    }
}

/// Each node has one provider or more among those before it, and now and then a peer of its own rank.
fn hierarchy(rng: &mut Rng, count: usize) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    let mut pairs = BTreeSet::new();
    let mut put = |links: &mut Vec<Link>, a: usize, b: usize, role| {
        if a != b && pairs.insert((a.min(b), a.max(b))) {
            links.push((a, b, role));
        }
    };
    for node in 1..count {
        for _ in 0..1 + rng.roll(3) {
            put(&mut links, node, rng.roll(node as u64) as usize, Role::Provider);
        }
        if rng.roll(3) == 0 {
            put(&mut links, node, rng.roll(count as u64) as usize, Role::Peer);
        }
    }
    links
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn safe_policies_come_to_their_one_stable_state() {
    let seeds = match number("NSLAB_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("NSLAB_ROUNDS").unwrap_or(24),
    };
    let most = number("NSLAB_NODES").unwrap_or(14);
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let mut world = World::new(&mut rng, most);
        world.network.start();
        for _ in 0..rng.roll(14) {
            world.network.run(rng.roll(5));
            world.fault(&mut rng);
        }
        // Longer than anybody waits for anything.
        world.network.run(400);
        world.check(seed);
    }
}
