//! Next hops that lead over other routes of BGP's, and what stands in the kernel beside routes of other kinds.

use super::line::{A, B, C, D, Words, line};
use super::*;
use crate::speaker::Way;

/// Three routers in one AS: `near` tells `far` about a network behind itself, and `far` has a router on that which tells it
/// of another network, with a next hop in the first.
const FIRST: usize = 0;
const SECOND: usize = 1;
const THIRD: usize = 2;

fn internal(id: &str, neighbors: &[&str], family: &str) -> String {
    let neighbors: String = neighbors
        .iter()
        .map(|it| format!(" neighbor {it} remote-as internal\n"))
        .collect();
    format!(
        "router bgp 65001\n bgp router-id {id}\n no bgp network import-check\n{neighbors} address-family ipv4 unicast\n{family}"
    )
}

/// `first` and `third` are neighbors of `second` in the middle; `third` sets next hops in networks of `first`'s.
fn chain(first: &str, third: &str) -> Network {
    let mut network = Network::new();
    let texts = [
        internal("1.1.1.1", &["10.0.12.2"], first),
        internal("2.2.2.2", &["10.0.12.1", "10.0.23.3"], ""),
        format!(
            "route-map FAR permit 10\n set ip next-hop 10.1.0.9\nroute-map DEEP permit 10\n set ip next-hop 10.3.0.9\n{}",
            internal("3.3.3.3", &["10.0.23.2"], third)
        ),
    ];
    for (name, text) in ["first", "second", "third"].into_iter().zip(&texts) {
        network.node(name, text, &[]);
    }
    network.link(
        (FIRST, "net0", &["10.0.12.1/24"]),
        (SECOND, "net0", &["10.0.12.2/24"]),
    );
    network.link(
        (SECOND, "net1", &["10.0.23.2/24"]),
        (THIRD, "net0", &["10.0.23.3/24"]),
    );
    network.start();
    network.run(10);
    network
}

/// Where packets from the router in the middle go.
fn way(network: &Network, node: usize, prefix: &str) -> Option<Vec<String>> {
    let way = network.nodes[node]
        .speaker
        .forwarded()
        .get(&prefix.parse().unwrap())?;
    let vias = way.hops().iter().filter_map(|hop| hop.via);
    Some(vias.map(|via| via.to_string()).collect())
}

#[test]
fn next_hops_are_found_over_routes_of_bgp() {
    let network = chain(
        "  network 10.1.0.0/16\n",
        "  network 10.3.0.0/16\n  network 10.4.0.0/16\n  neighbor 10.0.23.2 route-map FAR out\n",
    );
    assert_eq!(
        way(&network, SECOND, "10.1.0.0/16"),
        Some(vec!["10.0.12.1".to_owned()])
    );
    assert_eq!(
        way(&network, SECOND, "10.4.0.0/16"),
        Some(vec!["10.0.12.1".to_owned()])
    );
    let network = chain(
        "",
        "  network 10.4.0.0/16\n  neighbor 10.0.23.2 route-map FAR out\n",
    );
    assert_eq!(way(&network, SECOND, "10.4.0.0/16"), None);
}

#[test]
fn routes_go_with_what_their_next_hops_were_found_over_and_come_back() {
    let mut network = chain(
        "  network 10.1.0.0/16\n",
        "  network 10.4.0.0/16\n  neighbor 10.0.23.2 route-map FAR out\n",
    );
    network.reconfigure(FIRST, &internal("1.1.1.1", &["10.0.12.2"], ""));
    assert_eq!(way(&network, SECOND, "10.4.0.0/16"), None);
    network.reconfigure(
        FIRST,
        &internal("1.1.1.1", &["10.0.12.2"], "  network 10.1.0.0/24\n"),
    );
    assert_eq!(
        way(&network, SECOND, "10.4.0.0/16"),
        Some(vec!["10.0.12.1".to_owned()])
    );
    network.set(0, false);
    network.run(20);
    assert_eq!(way(&network, SECOND, "10.4.0.0/16"), None);
}

/// Two routes that lead over each other lead nowhere, though the kernel had them both before.
#[test]
fn routes_do_not_hold_each_other() {
    let both = "  network 10.1.0.0/16\n  network 10.3.0.0/16\n";
    let maps = "ip prefix-list ONE permit 10.1.0.0/16\nroute-map SWAP permit 10\n match ip address prefix-list ONE\n \
        set ip next-hop 10.3.0.9\nroute-map SWAP permit 20\n set ip next-hop 10.1.0.9\n";
    let mut network = chain(both, "");
    assert!(way(&network, SECOND, "10.1.0.0/16").is_some());
    let swapped = internal(
        "1.1.1.1",
        &["10.0.12.2"],
        &format!("{both}  neighbor 10.0.12.2 route-map SWAP out\n"),
    );
    network.reconfigure(FIRST, &format!("{maps}{swapped}"));
    assert_eq!(way(&network, SECOND, "10.1.0.0/16"), None);
    assert_eq!(way(&network, SECOND, "10.3.0.0/16"), None);
}

/// A route to the network its own next hop is in leads nowhere, though it is good for BGP (zebra); one to the next hop alone
/// is good for nothing.
#[test]
fn a_route_does_not_lead_over_itself() {
    let maps = "route-map SELF permit 10\n set ip next-hop 10.0.12.1\n";
    let mut network = chain("", "");
    let text = internal(
        "1.1.1.1",
        &["10.0.12.2"],
        "  network 10.0.12.0/28\n  network 10.0.12.1/32\n  neighbor 10.0.12.2 route-map SELF out\n",
    );
    network.reconfigure(FIRST, &format!("{maps}{text}"));
    assert_eq!(way(&network, SECOND, "10.0.12.0/28"), None);
    assert!(network.best(SECOND, "10.0.12.0/28").is_some());
    assert_eq!(way(&network, SECOND, "10.0.12.1/32"), None);
    assert!(network.best(SECOND, "10.0.12.1/32").is_none());
}

/// What leads to a next hop that is dropped is dropped as well: so unwanted traffic is got rid of (RFC 5635).
#[test]
fn routes_over_a_blackhole_drop() {
    let mut network = chain(
        "  network 10.5.0.0/16\n",
        "  network 10.4.0.0/16\n  neighbor 10.0.23.2 route-map FAR out\n",
    );
    assert_eq!(way(&network, SECOND, "10.4.0.0/16"), None);
    let mut route = static_route(1, 0);
    route.to = "10.1.0.9/32".parse().unwrap();
    network.handle_event(SECOND, Event::Routes(vec![route]));
    let forwarded = network.nodes[SECOND].speaker.forwarded();
    assert_eq!(
        forwarded.get(&"10.4.0.0/16".parse().unwrap()),
        Some(&Way::Blackhole)
    );
}

#[test]
fn an_aggregate_drops_what_is_not_in_it() {
    let network = line(Words {
        family: "  aggregate-address 10.1.0.0/16\n",
        ..Words::default()
    });
    let forwarded = network.nodes[B].speaker.forwarded();
    assert_eq!(
        forwarded.get(&"10.1.0.0/16".parse().unwrap()),
        Some(&Way::Blackhole)
    );
    assert!(
        !network.nodes[A]
            .speaker
            .forwarded()
            .contains_key(&"10.1.0.0/24".parse().unwrap())
    );
    assert!(matches!(
        network.nodes[D]
            .speaker
            .forwarded()
            .get(&"10.1.0.0/16".parse().unwrap()),
        Some(Way::Hops(_))
    ));
}

fn static_route(distance: u8, tag: u32) -> KernelRoute {
    KernelRoute {
        to: "10.2.0.0/16".parse().unwrap(),
        hops: Vec::new(),
        drop: Default::default(),
        metric: 0,
        is_static: true,
        distance,
        tag,
    }
}

/// FRR's distances: 20 for what another AS told, 200 within the own.
#[test]
fn the_nearer_of_a_static_route_and_one_of_bgp_is_used() {
    let mut network = line(Words {
        family: "  neighbor 10.0.24.4 next-hop-self\n",
        ..Words::default()
    });
    for (node, distance, learned) in [(B, 1, false), (B, 210, true), (D, 150, false), (D, 250, true)] {
        network.handle_event(node, Event::Routes(vec![static_route(distance, 0)]));
        let is_used = way(&network, node, "10.2.0.0/16").is_some();
        assert_eq!(is_used, learned, "{distance}");
        network.handle_event(node, Event::Routes(Vec::new()));
        assert!(way(&network, node, "10.2.0.0/16").is_some());
    }
}

#[test]
fn tags_of_static_routes_reach_route_maps() {
    let mut network = line(Words {
        before: "route-map TAG permit 10\n match tag 11\n set metric 211\n",
        family: "  redistribute static route-map TAG\n",
        ..Words::default()
    });
    let mut route = static_route(1, 11);
    route.to = "10.7.0.0/16".parse().unwrap();
    network.handle_event(B, Event::Routes(vec![route, static_route(1, 12)]));
    network.run(2);
    assert_eq!(network.best(C, "10.7.0.0/16").unwrap().attributes.med, Some(211));
    assert_ne!(
        network
            .best(C, "10.2.0.0/16")
            .unwrap()
            .attributes
            .as_path
            .to_string(),
        "65002"
    );
}

/// `set distance` of what comes in counts more than `distance bgp`; 255 keeps a route out of the kernel.
#[test]
fn distances_are_what_the_configuration_says() {
    let set = |distance: &str, map: &str| {
        let before = format!("route-map IN permit 10\n set distance {map}\n");
        let family = format!("  distance bgp {distance}\n  neighbor 10.0.12.1 route-map IN in\n");
        let mut network = line(Words {
            before: &before,
            family: &family,
            ..Words::default()
        });
        network.handle_event(B, Event::Routes(vec![static_route(100, 0)]));
        way(&network, B, "10.2.0.0/16").is_some()
    };
    assert!(set("90 200 200", "0"), "nothing is set");
    assert!(!set("110 200 200", "0"));
    assert!(set("110 200 200", "95"));
    assert!(!set("90 200 200", "105"));
    let network = line(Words {
        before: "route-map IN permit 10\n set distance 255\n",
        family: "  neighbor 10.0.12.1 route-map IN in\n",
        ..Words::default()
    });
    assert!(way(&network, B, "10.2.0.0/16").is_none());
    assert!(network.best(C, "10.2.0.0/16").is_some());
}

/// `set table` of what comes in, and a route-map on the way to the kernel, which keeps one route out and gives the others a
/// source address.
#[test]
fn route_maps_say_what_stands_in_the_kernel() {
    let maps = "ip prefix-list ONE permit 10.1.0.0/24\nip prefix-list TWO permit 10.1.1.0/24\n\
        route-map IN permit 10\n match ip address prefix-list ONE\n set table 100\nroute-map IN permit 20\n\
        route-map KERNEL deny 10\n match ip address prefix-list TWO\nroute-map KERNEL permit 20\n set src 10.9.9.9\n\
        ip protocol bgp route-map KERNEL\n";
    let network = line(Words {
        before: maps,
        family: "  neighbor 10.0.12.1 route-map IN in\n",
        ..Words::default()
    });
    let special = |prefix: &str| {
        let way = network.nodes[B]
            .speaker
            .forwarded()
            .get(&prefix.parse().unwrap())?;
        match way {
            Way::Special(special) => Some((special.table, special.source.map(|it| it.to_string()))),
            _ => panic!("{way:?}"),
        }
    };
    let source = || Some("10.9.9.9".to_owned());
    assert_eq!(special("10.1.0.0/24"), Some((Some(100), source())));
    assert_eq!(special("10.1.1.0/24"), None);
    assert_eq!(special("10.2.0.0/16"), Some((None, source())));
    // That is nothing to neighbors.
    assert_eq!(network.told_by(C, "10.0.23.2").len(), 5);
}

/// Whatever comes and goes, in whatever order: what stands in the kernel is what would be put there from nothing. Two
/// routers tell networks that lie in each other, each with a next hop in one of those before it.
#[test]
fn what_is_followed_is_what_would_be_found_anew() {
    const NETS: [(&str, &[&str]); 6] = [
        ("10.1.0.0/16", &["10.0.12.9", "10.0.23.9"]),
        ("10.1.0.0/24", &["10.0.12.9", "10.0.23.9", "10.1.0.9"]),
        ("10.3.0.0/16", &["10.1.0.9", "10.1.9.9", "10.3.0.9"]),
        ("10.3.0.0/24", &["10.1.0.9", "10.0.12.9", "10.9.9.9"]),
        ("10.4.0.0/16", &["10.3.0.9", "10.3.9.9", "10.1.9.9"]),
        ("10.5.0.0/16", &["10.4.9.9", "10.3.0.9", "10.5.0.9"]),
    ];
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut network = chain("", "");
        for _ in 0..12 {
            let ends = [(FIRST, "1.1.1.1", "10.0.12.2"), (THIRD, "3.3.3.3", "10.0.23.2")];
            let (node, id, neighbor) = ends[rng.roll(2) as usize];
            let mut maps = String::new();
            let mut family = format!("  neighbor {neighbor} route-map OUT out\n");
            for (at, (net, hops)) in (1..).zip(&NETS) {
                if rng.roll(2) == 0 {
                    continue;
                }
                let hop = hops[rng.roll(hops.len() as u64) as usize];
                maps += &format!(
                    "ip prefix-list P{at} permit {net}\nroute-map OUT permit {at}\n \
                     match ip address prefix-list P{at}\n set ip next-hop {hop}\n"
                );
                family += &format!("  network {net}\n");
            }
            maps += "route-map OUT permit 99\n";
            network.reconfigure(node, &format!("{maps}{}", internal(id, &[neighbor], &family)));
            let middle = &mut network.nodes[SECOND];
            let interfaces = Event::Interfaces(middle.interfaces.clone());
            let mut again = middle.speaker.handle_event(interfaces, network.now);
            again.retain(|it| matches!(it, Action::Forward(..)));
            assert!(again.is_empty(), "seed {seed}: {again:?}");
        }
    }
}
