//! What networks of speakers come to.

mod add_path;
mod aggregates;
mod evpn;
mod evpn_hostile;
mod evpn_vrf;
mod flow;
mod hierarchies;
mod hostile;
mod limits;
mod line;
mod mrai;
mod next_hops;
mod policy;
mod reactions;
mod reconfigured;
mod restarts;

use std::collections::VecDeque;

use ipnet::IpNet;

use super::simulator::*;
use super::*;
use crate::rng::Rng;
use crate::session::State;

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
    let way = network.nodes[tor0]
        .speaker
        .forwarded()
        .get(&"10.0.3.0/24".parse().unwrap())
        .unwrap();
    assert!(
        matches!(
            way.hops(),
            [Hop {
                via: Some(IpAddr::V6(_)),
                ..
            }]
        ),
        "{way:?}"
    );
    let default = network.nodes[tor0]
        .speaker
        .forwarded()
        .get(&"0.0.0.0/0".parse().unwrap())
        .unwrap();
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
fn a_neighbor_that_was_not_heard_is_met_when_it_dials() {
    let mut network = published();
    network.start();
    network
        .wire
        .retain(|_, (to, event)| *to != 0 || !matches!(event, Event::Discovered(..)));
    network.run(1);
    for name in ["net0", "net1"] {
        assert_eq!(network.peer(0, name).session.state(), State::Established);
    }
}

#[test]
fn a_clos_shares_its_load() {
    let (mut network, leaves) = clos();
    network.start();
    network.run(1);
    let far: IpNet = "10.1.3.0/24".parse().unwrap();
    let hops = |network: &Network| {
        let speaker = &network.nodes[leaves[0]].speaker;
        speaker.forwarded().get(&far).unwrap().hops().len()
    };
    assert_eq!(hops(&network), 2);
    // One way less when a link breaks.
    network.set(7, false);
    network.run(1);
    assert_eq!(hops(&network), 1);
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
        let mut rng = Rng::new(seed);
        let mut network = random(&mut rng);
        network.start();
        let mut up: Vec<bool> = vec![true; network.links.len()];
        for _ in 0..rng.roll(12) {
            network.run(rng.roll(4));
            let link = rng.roll(up.len() as u64) as usize;
            up[link] = !up[link];
            network.set(link, up[link]);
        }
        network.run(200);
        check(&network, &up, seed);
    }
}

/// A tree and some links more, every node in an AS of its own.
fn random(rng: &mut Rng) -> Network {
    let mut network = Network::new();
    let count = 3 + rng.roll(12) as usize;
    let mut ends = Vec::new();
    for node in 1..count {
        ends.push((rng.roll(node as u64) as usize, node));
    }
    for _ in 0..rng.roll(count as u64) {
        let (a, b) = (rng.roll(count as u64) as usize, rng.roll(count as u64) as usize);
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

#[test]
fn each_family_shares_packets_among_as_many_paths_as_it_says() {
    let text = "router bgp 65000\n address-family ipv6 unicast\n  maximum-paths 3\n exit-address-family\n";
    let (config, diagnostics) = Config::parse(text);
    assert_eq!(diagnostics, []);
    let mut speaker = Speaker::new("r", 1);
    speaker.handle_event(Event::Configure(Box::new(config)), Time::ZERO);
    assert_eq!(speaker.rules(Family::Ipv6Unicast).maximum_paths, 3);
    let usual = usize::from(crate::config::MAXIMUM_PATHS);
    assert_eq!(speaker.rules(Family::Ipv4Unicast).maximum_paths, usual);
}
