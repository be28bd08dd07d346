//! Several routes to one prefix (RFC 7911): `r3` has three, one from AS 65002 and two from AS 65001, and tells all of them
//! to `r4` in its own AS, to `r5` the best of each AS. What is told, and under which identifiers, is as FRR 8.4.4 had it.

use super::*;
use crate::config::Addpath;

const R3: usize = 2;
const R4: usize = 3;
const R5: usize = 4;

fn r3(to_r4: &str, to_r5: &str) -> String {
    format!(
        "route-map ONCE permit 10\n set as-path prepend 65001\nroute-map TWICE permit 10\n set as-path prepend 65001 65001\n\
         router bgp 65003\n bgp router-id 10.0.0.3\n no bgp ebgp-requires-policy\n neighbor 10.0.1.1 remote-as 65001\n \
         neighbor 10.0.2.1 remote-as 65001\n neighbor 10.0.23.2 remote-as 65002\n neighbor 10.0.34.4 remote-as internal\n \
         neighbor 10.0.35.5 remote-as 65005\n address-family ipv4 unicast\n  neighbor 10.0.1.1 route-map ONCE in\n  \
         neighbor 10.0.2.1 route-map TWICE in\n  neighbor 10.0.34.4 next-hop-self\n{to_r4}{to_r5}"
    )
}

fn sender(asn: u32, id: &str, neighbors: &[&str]) -> String {
    let neighbors: String = neighbors
        .iter()
        .map(|it| format!(" neighbor {it} remote-as 65003\n"))
        .collect();
    format!(
        "router bgp {asn}\n bgp router-id {id}\n no bgp ebgp-requires-policy\n no bgp network import-check\n{neighbors} \
         address-family ipv4 unicast\n  network 10.1.0.0/24\n"
    )
}

fn network(to_r4: &str, to_r5: &str) -> Network {
    let mut network = Network::new();
    let receiver = |asn: u32, id: &str, neighbor: &str| {
        format!(
            "router bgp {asn}\n bgp router-id {id}\n no bgp ebgp-requires-policy\n neighbor {neighbor} remote-as 65003\n"
        )
    };
    for (name, text) in [
        ("r1", sender(65001, "10.0.0.1", &["10.0.1.3", "10.0.2.3"])),
        ("r2", sender(65002, "10.0.0.2", &["10.0.23.3"])),
        ("r3", r3(to_r4, to_r5)),
        ("r4", receiver(65003, "10.0.0.4", "10.0.34.3")),
        ("r5", receiver(65005, "10.0.0.5", "10.0.35.3")),
    ] {
        network.node(name, &text, &[]);
    }
    network.link((0, "a", &["10.0.1.1/24"]), (R3, "a", &["10.0.1.3/24"]));
    network.link((0, "b", &["10.0.2.1/24"]), (R3, "b", &["10.0.2.3/24"]));
    network.link((1, "r3", &["10.0.23.2/24"]), (R3, "r2", &["10.0.23.3/24"]));
    network.link((R4, "r3", &["10.0.34.4/24"]), (R3, "r4", &["10.0.34.3/24"]));
    network.link((R5, "r3", &["10.0.35.5/24"]), (R3, "r5", &["10.0.35.3/24"]));
    network.start();
    network.run(20);
    network
}

const ALL: &str = "  neighbor 10.0.34.4 addpath-tx-all-paths\n";
const BEST: &str = "  neighbor 10.0.35.5 addpath-tx-bestpath-per-AS\n";

/// A node's paths to the prefix, in order.
fn known(network: &Network, node: usize) -> Vec<String> {
    let mut paths = network.paths(node);
    paths.sort();
    paths
        .iter()
        .map(|it| it.trim_start_matches("10.1.0.0/24 ").to_owned())
        .collect()
}

/// The identifiers under which a node knows paths, by path.
fn ids(network: &Network, node: usize) -> BTreeMap<String, u32> {
    let table = network.nodes[node].speaker.table(Family::Ipv4Unicast);
    let routes = table.iter().flat_map(|(_, destination)| destination.routes());
    routes
        .map(|it| (it.attributes.as_path.to_string(), it.path_id))
        .collect()
}

#[test]
fn all_paths_are_told_or_the_best_of_each_as() {
    let network = network(ALL, BEST);
    assert_eq!(known(&network, R4), ["65001 65001", "65001 65001 65001", "65002"]);
    assert_eq!(known(&network, R5), ["65003 65001 65001", "65003 65002"]);
    let mut given: Vec<u32> = ids(&network, R4).into_values().collect();
    given.sort_unstable();
    assert_eq!(given, [2, 3, 4], "the first is kept for a default route");
    assert_eq!(
        network
            .peer(R3, "10.0.34.4")
            .advertised_count(Family::Ipv4Unicast),
        3
    );
    // The others hear of the best alone.
    assert_eq!(
        network.peer(R3, "10.0.1.1").advertised_count(Family::Ipv4Unicast),
        1
    );
}

#[test]
fn without_it_the_best_alone_is_told() {
    let network = network("", "");
    assert_eq!(known(&network, R4), ["65002"]);
    assert_eq!(ids(&network, R4)["65002"], 0);
}

#[test]
fn a_path_that_goes_is_taken_back_and_the_others_keep_their_identifiers() {
    let mut network = network(ALL, BEST);
    let before = ids(&network, R4);
    network.set(0, false);
    network.run(5);
    assert_eq!(known(&network, R4), ["65001 65001 65001", "65002"]);
    assert_eq!(known(&network, R5), ["65003 65001 65001 65001", "65003 65002"]);
    let after = ids(&network, R4);
    assert!(
        after.iter().all(|(path, id)| before[path] == *id),
        "{before:?} {after:?}"
    );
    network.set(0, true);
    network.run(30);
    assert_eq!(known(&network, R4).len(), 3);
    network.set(2, false);
    network.run(5);
    assert_eq!(known(&network, R4), ["65001 65001", "65001 65001 65001"]);
    assert_eq!(known(&network, R5), ["65003 65001 65001"]);
}

#[test]
fn it_comes_and_goes_with_the_configuration() {
    let mut network = network("", "");
    network.reconfigure(R3, &r3(ALL, BEST));
    network.run(10);
    assert_eq!(known(&network, R4).len(), 3);
    assert_eq!(known(&network, R5).len(), 2);
    network.reconfigure(R3, &r3("", ""));
    network.run(10);
    assert_eq!(known(&network, R4), ["65002"]);
    let speaker = &network.nodes[R3].speaker;
    assert!(!speaker.tells_several(Family::Ipv4Unicast, Addpath::All));
}

#[test]
fn everything_is_told_again_when_asked_for() {
    let mut network = network(ALL, BEST);
    let id = network.peer(R4, "10.0.34.3").id;
    network.handle_event(R4, Event::SoftIn(id, None));
    network.run(2);
    assert_eq!(known(&network, R4).len(), 3);
    let id = network.peer(R3, "10.0.34.4").id;
    network.handle_event(R3, Event::SoftOut(id, Some(Family::Ipv4Unicast)));
    network.run(2);
    assert_eq!(known(&network, R4).len(), 3);
}

#[test]
fn a_neighbor_that_takes_one_path_is_told_the_best() {
    let mut network = network(ALL, BEST);
    let text = "router bgp 65003\n bgp router-id 10.0.0.4\n neighbor 10.0.34.3 remote-as 65003\n \
        address-family ipv4 unicast\n  neighbor 10.0.34.3 disable-addpath-rx\n";
    network.reconfigure(R4, text);
    network.run(10);
    assert_eq!(known(&network, R4), ["65002"]);
}

#[test]
fn a_default_route_made_for_a_neighbor_has_an_identifier_of_its_own() {
    let default = format!("{ALL}  neighbor 10.0.34.4 default-originate\n");
    let network = network(&default, "");
    assert_eq!(known(&network, R4).len(), 4);
    assert_eq!(ids(&network, R4)[""], 1);
}

#[test]
fn no_more_are_told_than_may_be() {
    let limited = format!("{ALL}  neighbor 10.0.34.4 maximum-prefix-out 2\n");
    let network = network(&limited, "");
    assert_eq!(known(&network, R4).len(), 2);
}
