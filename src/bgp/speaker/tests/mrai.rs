//! When neighbors are told, and with which MED at first.

use super::line::{A, B, C, Words, b, line};
use super::*;

#[test]
fn changes_within_an_interval_are_told_together_at_its_end() {
    let router = " neighbor 10.0.23.3 advertisement-interval 20\n";
    let mut network = line(Words {
        router,
        ..Words::default()
    });
    network.run(30);
    assert!(network.best(C, "10.2.0.0/16").is_some());
    let sent = |network: &Network| network.peer(B, "10.0.23.3").record.sent.updates;
    let with = |networks: &str| {
        format!(
            "frr defaults datacenter\nrouter bgp 65001\n bgp router-id 1.1.1.1\n no bgp network import-check\n \
             neighbor 10.0.12.2 remote-as external\n address-family ipv4 unicast\n{networks}"
        )
    };
    let before = sent(&network);
    // The first change passes at once, and what follows waits.
    network.reconfigure(A, &with("  network 10.2.0.0/16\n  network 10.3.0.0/16\n"));
    assert!(network.best(C, "10.3.0.0/16").is_some());
    let first = sent(&network);
    assert!(first > before);
    network.reconfigure(A, &with("  network 10.3.0.0/16\n  network 10.4.0.0/16\n"));
    network.reconfigure(A, &with("  network 10.4.0.0/16\n  network 10.5.0.0/16\n"));
    assert!(network.best(B, "10.5.0.0/16").is_some());
    assert!(network.best(C, "10.4.0.0/16").is_none());
    assert!(network.best(C, "10.2.0.0/16").is_some());
    assert_eq!(sent(&network), first);
    network.run(20);
    for (prefix, is_there) in [
        ("10.2.0.0/16", false),
        ("10.3.0.0/16", false),
        ("10.4.0.0/16", true),
        ("10.5.0.0/16", true),
    ] {
        assert_eq!(network.best(C, prefix).is_some(), is_there, "{prefix}");
    }
    // Others were told at once.
    assert_eq!(network.peer(B, "10.0.24.4").effective.advertisement_interval, 0);
}

#[test]
fn a_router_that_starts_keeps_packets_away_for_a_while() {
    let router = " bgp max-med on-startup 60 777\n";
    let mut network = line(Words {
        router,
        ..Words::default()
    });
    let med = |network: &Network| {
        network
            .best(C, "10.9.0.0/16")
            .and_then(|route| route.attributes.med)
    };
    assert_eq!(med(&network), Some(777));
    network.run(60);
    assert_eq!(med(&network), Some(0));
    // Only once.
    network.reconfigure(
        B,
        &b(Words {
            router,
            ..Words::default()
        }),
    );
    let id = network.peer(B, "10.0.23.3").id;
    network.handle_event(B, Event::Reset(id));
    network.run(30);
    assert_eq!(med(&network), Some(0));
}

/// A router with very many neighbors tells each a number of changes together, a fraction of a second later.
#[test]
fn many_neighbors_are_told_several_changes_at_once() {
    let unused: String = (1..=60)
        .map(|number| format!(" neighbor 10.99.0.{number} remote-as external\n"))
        .collect();
    let mut network = line(Words {
        router: &unused,
        ..Words::default()
    });
    let updates = |network: &Network| network.peer(B, "10.0.23.3").record.sent.updates;
    let announce = |network: &mut Network, prefixes: &[&str]| {
        let networks: String = prefixes.iter().map(|it| format!("  network {it}\n")).collect();
        network.reconfigure(
            A,
            &format!(
                "frr defaults datacenter\nrouter bgp 65001\n bgp router-id 1.1.1.1\n no bgp network import-check\n \
                 neighbor 10.0.12.2 remote-as external\n address-family ipv4 unicast\n{networks}"
            ),
        );
    };
    let all = ["10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.5.0.0/16"];
    let before = updates(&network);
    for end in 1..=all.len() {
        announce(&mut network, &all[..end]);
    }
    network.run(1);
    for prefix in all {
        assert!(network.best(C, prefix).is_some(), "{prefix}");
    }
    let sent = updates(&network) - before;
    assert!(sent < 5, "{sent}");
}
