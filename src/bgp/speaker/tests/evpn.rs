//! EVPN between two leaves over a spine: hosts of one are known at the other, move, and go.

use std::net::IpAddr;

use super::*;
use crate::evpn::{LocalMac, LocalVni, Overlay};
use crate::wire::{EvpnRoute, Mac};

const SPINE: usize = 0;
const LEAVES: [usize; 2] = [1, 2];

fn leaf(number: usize, more: &str) -> String {
    format!(
        "frr defaults datacenter\nrouter bgp 6500{number}\n bgp router-id 10.0.1.{number}\n no bgp network import-check\n \
         neighbor 10.9.{number}.254 remote-as 65000\n address-family ipv4 unicast\n  network 10.0.1.{number}/32\n \
         exit-address-family\n address-family l2vpn evpn\n  neighbor 10.9.{number}.254 activate\n  advertise-all-vni\n{more} \
         exit-address-family\n"
    )
}

fn fabric() -> Network {
    let mut network = Network::new();
    let spine = "frr defaults datacenter\nrouter bgp 65000\n bgp router-id 10.0.0.1\n neighbor 10.9.1.1 remote-as 65001\n \
                 neighbor 10.9.2.2 remote-as 65002\n address-family l2vpn evpn\n  neighbor 10.9.1.1 activate\n  \
                 neighbor 10.9.2.2 activate\n exit-address-family\n";
    network.node("spine", spine, &[]);
    for number in LEAVES {
        let loopback = format!("10.0.1.{number}/32");
        network.node(&format!("leaf{number}"), &leaf(number, ""), &[&loopback]);
    }
    network.link((SPINE, "d1", &["10.9.1.254/24"]), (1, "up", &["10.9.1.1/24"]));
    network.link((SPINE, "d2", &["10.9.2.254/24"]), (2, "up", &["10.9.2.2/24"]));
    network.start();
    network.run(10);
    network
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

fn vtep(leaf: usize) -> IpAddr {
    format!("10.0.1.{leaf}").parse().unwrap()
}

/// What a leaf's kernel has: hosts, all with an address.
fn bridging(network: &mut Network, leaf: usize, hosts: &[u8]) {
    let address = |host: u8| IpAddr::from([192, 168, 10, host]);
    let local = LocalVni {
        vni: 10,
        device: (7, "vx10".into()),
        bridge: (6, "br10".into(), mac(200)),
        vtep: vtep(leaf),
        macs: hosts
            .iter()
            .map(|host| LocalMac {
                mac: mac(*host),
                port: "host".into(),
            })
            .collect(),
        neighbors: hosts.iter().map(|host| (address(*host), mac(*host))).collect(),
    };
    network.handle_event(leaf, Event::Bridging(vec![local]));
    network.run(1);
}

fn overlay(network: &Network, leaf: usize) -> Vec<Overlay> {
    network.nodes[leaf].speaker.overlay().collect()
}

fn all_of(leaf: usize, host: u8) -> Vec<Overlay> {
    let (vni, mac) = (10, mac(host));
    vec![
        Overlay::Flood {
            vni,
            vtep: vtep(leaf),
        },
        Overlay::Mac {
            vni,
            mac,
            vtep: vtep(leaf),
        },
        Overlay::Neighbor {
            vni,
            ip: IpAddr::from([192, 168, 10, host]),
            mac,
        },
    ]
}

#[test]
fn hosts_are_known_at_the_other_leaf_and_go() {
    let mut network = fabric();
    bridging(&mut network, 1, &[1]);
    bridging(&mut network, 2, &[2]);
    assert_eq!(overlay(&network, 1), all_of(2, 2));
    assert_eq!(overlay(&network, 2), all_of(1, 1));
    // The next hop is the other leaf, though the spine is between them and in an AS of its own.
    let table = network.nodes[2].speaker.evpn_table();
    assert_eq!(table.len(), 6);
    let of_other = table.iter().filter(|(key, _)| key.rd.to_string() == "10.0.1.1:2");
    for (key, destination) in of_other {
        let best = destination.best().unwrap_or_else(|| panic!("{key:?}"));
        assert_eq!(best.vtep(), vtep(1));
        assert_eq!(best.route.attributes.as_path.to_string(), "65000 65001");
    }
    bridging(&mut network, 1, &[]);
    assert_eq!(overlay(&network, 2), all_of(1, 1)[..1]);
    // With its device a leaf wants no more broadcasts.
    network.handle_event(1, Event::Bridging(Vec::new()));
    network.run(1);
    assert_eq!(overlay(&network, 2), []);
    assert_eq!(network.nodes[2].speaker.evpn_table().len(), 3);
}

#[test]
fn a_host_that_moves_is_where_it_was_heard_last() {
    let mut network = fabric();
    bridging(&mut network, 1, &[1]);
    bridging(&mut network, 2, &[]);
    assert_eq!(overlay(&network, 2), all_of(1, 1));
    let route = EvpnRoute::MacIp {
        tag: 0,
        mac: mac(1),
        ip: None,
    };
    for (times, at, before) in [(1, 2, 1), (2, 1, 2), (3, 2, 1)] {
        // The bridge there hears it; the one here still has it on its port.
        bridging(&mut network, at, &[1]);
        assert_eq!(network.nodes[at].speaker.host_sequence(10, mac(1)), Some(times));
        assert_eq!(network.nodes[before].speaker.host_sequence(10, mac(1)), None);
        assert_eq!(overlay(&network, before), all_of(at, 1));
        assert_eq!(overlay(&network, at)[1..], []);
        for speaker in network.nodes.iter().map(|node| &node.speaker) {
            let told: Vec<(u32, IpAddr)> = speaker
                .evpn_table()
                .of_route(&route)
                .filter_map(|(_, destination)| destination.best())
                .map(|best| (best.mobility().0, best.vtep()))
                .collect();
            assert_eq!(told, [(times, vtep(at))]);
        }
        // The entry of EVPN has taken the place of the learned one.
        bridging(&mut network, before, &[]);
        assert_eq!(overlay(&network, before), all_of(at, 1));
    }
}

#[test]
fn routes_go_with_the_session_and_with_the_way_to_the_tunnel() {
    let mut network = fabric();
    bridging(&mut network, 1, &[1]);
    bridging(&mut network, 2, &[2]);
    network.set(0, false);
    network.run(15);
    assert_eq!(overlay(&network, 2), []);
    assert_eq!(overlay(&network, 1), []);
    network.set(0, true);
    network.run(30);
    assert_eq!(overlay(&network, 2), all_of(1, 1));
    assert_eq!(overlay(&network, 1), all_of(2, 2));
}

#[test]
fn targets_that_are_said_decide_who_takes_what() {
    let mut network = fabric();
    bridging(&mut network, 1, &[1]);
    bridging(&mut network, 2, &[2]);
    let configure = |network: &mut Network, more: &str| {
        let (config, diagnostics) = Config::parse(&leaf(2, more));
        assert_eq!(diagnostics, []);
        network.handle_event(2, Event::Configure(Box::new(config)));
        network.run(1);
    };
    configure(
        &mut network,
        "  vni 10\n   rd 1.2.3.4:55\n   route-target both 7:7\n  exit-vni\n",
    );
    assert_eq!(overlay(&network, 1), []);
    assert_eq!(overlay(&network, 2), []);
    let has = |network: &Network, rd: &str| {
        let mut all = network.nodes[1].speaker.evpn_table().iter();
        all.any(|(key, _)| key.rd.to_string() == rd)
    };
    assert!(has(&network, "1.2.3.4:55") && !has(&network, "10.0.1.2:2"));
    configure(&mut network, "");
    assert_eq!(overlay(&network, 1), all_of(2, 2));
    assert_eq!(overlay(&network, 2), all_of(1, 1));
    // Without `advertise-all-vni` nothing of a VNI is told or used.
    let quiet = leaf(2, "").replace("  advertise-all-vni\n", "");
    let (config, _) = Config::parse(&quiet);
    network.handle_event(2, Event::Configure(Box::new(config)));
    network.run(1);
    assert_eq!(overlay(&network, 1), []);
    assert_eq!(overlay(&network, 2), []);
}

#[test]
fn prefixes_are_told_in_the_vni_of_the_default_vrf() {
    let mut network = fabric();
    let (mut config, diagnostics) = Config::parse(&leaf(1, "  advertise ipv4 unicast\n"));
    assert_eq!(diagnostics, []);
    config.l3vni = Some(10);
    network.handle_event(1, Event::Configure(Box::new(config)));
    bridging(&mut network, 1, &[1]);
    let table = network.nodes[2].speaker.evpn_table();
    let told: Vec<String> = table
        .iter()
        .map(|(key, destination)| {
            let best = destination.best().unwrap();
            let communities = best.route.attributes.extended_communities.iter();
            let communities: Vec<String> = communities.map(ToString::to_string).collect();
            format!("{} {} {}", key.rd, key.route, communities.join(" "))
        })
        .collect();
    let beside = "RT:65001:10 ET:8 Rmac:02:00:00:00:00:c8";
    // (What came from here has this AS in its path.)
    assert_eq!(told, [format!("10.0.1.1:1 [5]:[0]:[32]:[10.0.1.1] {beside}")]);
}

#[test]
fn route_maps_of_a_neighbor_change_and_refuse_its_routes() {
    let mut network = fabric();
    bridging(&mut network, 1, &[1]);
    bridging(&mut network, 2, &[2]);
    let configure = |network: &mut Network, direction: &str, map: &str| {
        let more = format!("  neighbor 10.9.2.254 route-map M {direction}\n");
        let (config, diagnostics) = Config::parse(&format!("{}{map}", leaf(2, &more)));
        assert_eq!(diagnostics, []);
        network.handle_event(2, Event::Configure(Box::new(config)));
        network.run(2);
    };
    let communities = |network: &Network, node: usize, rd: &str| -> Vec<String> {
        let table = network.nodes[node].speaker.evpn_table().iter();
        let of_rd = table.filter(|(key, _)| key.rd.to_string() == rd);
        let best = of_rd.map(|(_, destination)| destination.best().unwrap());
        best.flat_map(|best| {
            best.route
                .attributes
                .communities
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        })
        .collect()
    };
    let sets = "route-map M permit 10\n set community 65002:7\n";
    configure(&mut network, "in", sets);
    assert_eq!(communities(&network, 2, "10.0.1.1:2"), ["65002:7"; 3]);
    configure(&mut network, "out", sets);
    assert_eq!(communities(&network, 1, "10.0.1.2:2"), ["65002:7"; 3]);
    configure(&mut network, "in", "route-map M deny 10\n");
    assert_eq!(overlay(&network, 2), []);
    assert_eq!(overlay(&network, 1), all_of(2, 2));
    configure(&mut network, "out", "route-map M deny 10\n");
    assert_eq!(overlay(&network, 1), []);
    assert_eq!(overlay(&network, 2), all_of(1, 1));
}
