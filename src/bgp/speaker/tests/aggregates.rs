//! Aggregates, as FRR 8.4.4 makes them of the same routes.

use super::line::{A, B, C, Words, line, line_with};
use super::*;

/// Their names, for what is hidden and let out again.
const MAPS: &str = "ip prefix-list P permit 10.1.0.0/24\nroute-map U permit 10\n match ip address prefix-list P\n set metric 88\n\
    route-map G permit 10\n set metric 66\n set community 1:1\n";

fn aggregated(how: &str) -> Network {
    let family = format!("  aggregate-address 10.1.0.0/16 {how}\n");
    line(Words {
        before: MAPS,
        family: &family,
        ..Words::default()
    })
}

#[test]
fn an_aggregate_stands_beside_its_parts() {
    let network = aggregated("");
    let route = network.best(B, "10.1.0.0/16").unwrap();
    let attributes = &route.attributes;
    assert!(attributes.atomic_aggregate);
    assert_eq!(attributes.aggregator, Some((65002, [2, 2, 2, 2].into())));
    assert_eq!(
        (attributes.med, attributes.local_pref, route.weight),
        (Some(0), None, 32768)
    );
    assert_eq!(network.paths(C).len(), 6);
    assert_eq!(network.paths(C)[0], "10.1.0.0/16 65002");
    let network = aggregated("origin egp");
    assert_eq!(
        network.best(C, "10.1.0.0/16").unwrap().attributes.origin.name(),
        "egp"
    );
}

#[test]
fn a_summary_hides_its_parts_and_shows_their_ases() {
    let network = aggregated("as-set summary-only");
    assert_eq!(
        network.paths(C),
        [
            "10.1.0.0/16 65002 65001 {64512,65003,65009}",
            "10.2.0.0/16 65002 65001",
            "10.9.0.0/16 65002"
        ]
    );
    let attributes = &network.best(C, "10.1.0.0/16").unwrap().attributes;
    assert!(!attributes.atomic_aggregate);
    let communities: Vec<String> = attributes.communities.iter().map(ToString::to_string).collect();
    assert_eq!(communities, ["65001:1", "65001:2"]);
    assert_eq!(attributes.extended_communities[0].to_string(), "RT:65001:7");
    assert_eq!(attributes.large_communities[0].to_string(), "1:2:3");
}

#[test]
fn parts_are_hidden_and_let_out_by_maps() {
    let network = aggregated("as-set suppress-map U route-map G");
    let prefixes: Vec<String> = network.told_by(C, "10.0.23.2");
    assert_eq!(
        prefixes,
        [
            "10.1.0.0/16",
            "10.1.1.0/24",
            "10.1.2.0/25",
            "10.2.0.0/16",
            "10.9.0.0/16"
        ]
    );
    let attributes = &network.best(C, "10.1.0.0/16").unwrap().attributes;
    assert_eq!(
        (attributes.med, attributes.communities[0].to_string().as_str()),
        (Some(66), "1:1")
    );
    let network = aggregated("as-set summary-only\n  neighbor 10.0.23.3 unsuppress-map U");
    assert_eq!(network.told_by(C, "10.0.23.2").len(), 4);
    assert_eq!(network.best(C, "10.1.0.0/24").unwrap().attributes.med, Some(88));
}

#[test]
fn parts_that_do_not_go_together_stay_as_they_are() {
    let network = aggregated("matching-MED-only summary-only");
    assert!(network.best(B, "10.1.0.0/16").is_none());
    assert_eq!(network.told_by(C, "10.0.23.2").len(), 5);
    assert!(aggregated("route-map NOPE").best(B, "10.1.0.0/16").is_none());
}

#[test]
fn an_aggregate_goes_with_its_last_part_and_lets_the_others_out() {
    let words = Words {
        family: "  aggregate-address 10.1.0.0/16 summary-only\n",
        ..Words::default()
    };
    let mut network = line_with("", words, "");
    assert_eq!(
        network.told_by(C, "10.0.23.2"),
        ["10.1.0.0/16", "10.2.0.0/16", "10.9.0.0/16"]
    );
    network.set(0, false);
    network.run(12);
    assert_eq!(network.told_by(C, "10.0.23.2"), ["10.9.0.0/16"]);
    network.set(0, true);
    network.run(20);
    assert_eq!(network.told_by(C, "10.0.23.2").len(), 3);
    network.reconfigure(B, &super::line::b(Words::default()));
    assert_eq!(network.told_by(C, "10.0.23.2").len(), 5);
    assert_eq!(network.told_by(A, "10.0.12.2"), ["10.9.0.0/16"]);
}

/// One part that changes decides about all the others. The change itself was not seen on FRR.
#[test]
fn parts_that_come_to_go_together_are_hidden_and_let_out_again() {
    let mut network = aggregated("matching-MED-only summary-only");
    let export_cache = "frr defaults datacenter\nroute-map A permit 10\n set metric 0\nrouter bgp 65001\n bgp router-id 1.1.1.1\n \
        no bgp network import-check\n neighbor 10.0.12.2 remote-as external\n address-family ipv4 unicast\n  \
        network 10.1.0.0/24 route-map A\n  network 10.1.1.0/24\n  network 10.1.2.0/25\n";
    network.reconfigure(A, export_cache);
    assert_eq!(network.told_by(C, "10.0.23.2"), ["10.1.0.0/16", "10.9.0.0/16"]);
    network.reconfigure(A, &export_cache.replace("metric 0", "metric 1"));
    assert_eq!(
        network.told_by(C, "10.0.23.2"),
        ["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/25", "10.9.0.0/16"]
    );
}
