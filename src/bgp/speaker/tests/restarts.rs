//! Restarts of a neighbor (RFC 4724): what is kept, and until when.

use super::line::{A, B, C};
use super::*;

const A_TO_B: usize = 0;
const FAR: &str = "10.1.0.0/24";

/// A line whose first router keeps what it forwards by over its restarts.
fn network(how: &str) -> Network {
    let mut network = Network::new();
    let restart = " bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n";
    let texts = [
        format!(
            "frr defaults datacenter\nrouter bgp 65001\n bgp router-id 1.1.1.1\n no bgp network import-check\n{restart} \
             neighbor 10.0.12.2 remote-as external\n address-family ipv4 unicast\n  network {FAR}\n  network 10.2.0.0/16\n"
        ),
        format!(
            "frr defaults datacenter\nrouter bgp 65002\n bgp router-id 2.2.2.2\n{how} neighbor 10.0.12.1 remote-as external\n \
             neighbor 10.0.23.3 remote-as external\n"
        ),
        "frr defaults datacenter\nrouter bgp 65003\n bgp router-id 3.3.3.3\n neighbor 10.0.23.2 remote-as external\n".to_owned(),
    ];
    for (name, text) in ["a", "b", "c"].into_iter().zip(&texts) {
        network.node(name, text, &[]);
    }
    network.link((A, "net0", &["10.0.12.1/24"]), (B, "net1", &["10.0.12.2/24"]));
    network.link((B, "net3", &["10.0.23.2/24"]), (C, "net0", &["10.0.23.3/24"]));
    network.start();
    network.run(10);
    assert_eq!(network.told_by(C, "10.0.23.2"), [FAR, "10.2.0.0/16"]);
    network
}

/// Whether a router has a route, and whether that is one which has to be told again.
fn has(network: &Network, node: usize, prefix: &str) -> Option<bool> {
    network.best(node, prefix).map(|route| route.is_stale())
}

fn forwards(network: &Network, node: usize, prefix: &str) -> bool {
    let prefix: IpNet = prefix.parse().unwrap();
    network.nodes[node].speaker.forwarded().contains_key(&prefix)
}

#[test]
fn routes_of_a_neighbor_that_promised_to_come_back_stay_until_it_has_told_them_again() {
    let mut network = network("");
    network.silence(A);
    network.run(5);
    assert_eq!(has(&network, B, FAR), Some(true));
    assert!(forwards(&network, B, FAR));
    // Others hear nothing of it.
    assert_eq!(network.told_by(C, "10.0.23.2"), [FAR, "10.2.0.0/16"]);
    let without = "frr defaults datacenter\nrouter bgp 65001\n bgp router-id 1.1.1.1\n no bgp network import-check\n bgp graceful-restart\n \
        bgp graceful-restart preserve-fw-state\n neighbor 10.0.12.2 remote-as external\n address-family ipv4 unicast\n  network 10.1.0.0/24\n";
    network.begin_anew(A, without, false);
    network.run(30);
    assert_eq!(has(&network, B, FAR), Some(false));
    // What it does not tell any more is gone once it has told everything.
    assert_eq!(has(&network, B, "10.2.0.0/16"), None);
    assert_eq!(network.told_by(C, "10.0.23.2"), [FAR]);
}

#[test]
fn one_that_does_not_come_back_in_time_is_forgotten() {
    let mut network = network("");
    network.silence(A);
    network.run(110);
    assert!(forwards(&network, B, FAR));
    network.run(20);
    assert_eq!(has(&network, B, FAR), None);
    assert!(!forwards(&network, B, FAR));
    assert!(network.told_by(C, "10.0.23.2").is_empty());
}

#[test]
fn nothing_is_kept_of_one_that_is_shut_down_or_with_whom_nothing_was_agreed() {
    let mut silent = network(" bgp graceful-restart-disable\n");
    silent.silence(A);
    silent.run(2);
    assert_eq!(has(&silent, B, FAR), None);
    let mut shut = network("");
    let text = "frr defaults datacenter\nrouter bgp 65002\n bgp router-id 2.2.2.2\n neighbor 10.0.12.1 remote-as external\n \
        neighbor 10.0.12.1 shutdown\n neighbor 10.0.23.3 remote-as external\n";
    shut.reconfigure(B, text);
    assert_eq!(has(&shut, B, FAR), None);
    // Nor does it wait for one that it shuts down while it is away.
    let mut away = network("");
    away.silence(A);
    away.run(2);
    assert_eq!(has(&away, B, FAR), Some(true));
    away.reconfigure(B, text);
    assert_eq!(has(&away, B, FAR), None);
}

#[test]
fn a_reset_that_is_meant_to_end_all_does() {
    let mut network = network("");
    let id = network.peer(B, "10.0.12.1").id;
    network.handle_event(B, Event::Reset(id));
    assert_eq!(has(&network, B, FAR), None);
    network.run(30);
    assert_eq!(has(&network, B, FAR), Some(false));
}

#[test]
fn what_comes_back_without_having_forwarded_begins_at_nothing() {
    let mut network = network("");
    network.silence(A);
    network.run(2);
    let forgetful = "frr defaults datacenter\nrouter bgp 65001\n bgp router-id 1.1.1.1\n bgp graceful-restart\n \
        neighbor 10.0.12.2 remote-as external\n";
    network.begin_anew(A, forgetful, false);
    network.run(30);
    assert_eq!(has(&network, B, FAR), None);
}

#[test]
fn a_router_that_comes_back_says_nothing_before_it_has_heard_everything() {
    let mut network = network("");
    let text = "frr defaults datacenter\nrouter bgp 65002\n bgp router-id 2.2.2.2\n bgp graceful-restart\n \
        bgp graceful-restart preserve-fw-state\n neighbor 10.0.12.1 remote-as external\n neighbor 10.0.23.3 remote-as external\n";
    network.reconfigure(B, text);
    let id = network.peer(B, "10.0.23.3").id;
    network.handle_event(B, Event::Reset(id));
    network.run(200);
    assert_eq!(has(&network, C, FAR), Some(false));
    network.silence(B);
    // While it is away what it knew of does not reach it.
    network.set(A_TO_B, false);
    network.begin_anew(B, text, true);
    network.run(60);
    assert_eq!(network.peer(B, "10.0.23.3").session.state(), State::Established);
    assert!(network.nodes[B].speaker.is_returning());
    assert_eq!(
        has(&network, C, FAR),
        Some(true),
        "c has not been told that this was all"
    );
    network.set(A_TO_B, true);
    network.run(30);
    assert!(!network.nodes[B].speaker.is_returning());
    assert_eq!(has(&network, C, FAR), Some(false));
    assert!(forwards(&network, B, FAR));
}

#[test]
fn it_waits_for_nobody_for_ever() {
    let mut network = network("");
    let text = "frr defaults datacenter\nrouter bgp 65002\n bgp router-id 2.2.2.2\n bgp graceful-restart\n \
        bgp graceful-restart restart-time 40\n neighbor 10.0.12.1 remote-as external\n neighbor 10.0.23.3 remote-as external\n";
    network.silence(B);
    network.set(A_TO_B, false);
    network.begin_anew(B, text, true);
    network.run(30);
    assert!(network.nodes[B].speaker.is_returning());
    network.run(15);
    assert!(!network.nodes[B].speaker.is_returning());
    assert_eq!(has(&network, C, FAR), None);
}
