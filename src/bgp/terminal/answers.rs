//! Answers of a session beside those that FRR 8.4.4 gave in the same lab (tests/data/frr-8.4.4/terminal.r1): a router with
//! static and kernel routes, lists and route-maps, and three sessions with another.

use std::time::Duration;

use regex::Regex;

use super::{Answer, Request, Terminal};
use crate::bgp::show::View;
use crate::bgp::speaker::network::Network;
use crate::bgp::speaker::{Event, Hop, KernelRoute};

const OTHER: &str = "
frr defaults datacenter
router bgp 65002
 bgp bestpath as-path multipath-relax
 neighbor 192.0.2.1 remote-as 65001
 neighbor 198.51.100.1 remote-as 65001
 neighbor net2 interface remote-as external
 address-family ipv4 unicast
  redistribute connected
 exit-address-family
 address-family ipv6 unicast
  redistribute connected
  neighbor 192.0.2.1 activate
  neighbor net2 activate
";

fn data(file: &str) -> String {
    let path = format!("{}/tests/data/frr-8.4.4/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// The commands and FRR's answers.
fn recorded() -> Vec<(String, String)> {
    let path = format!("{}/tests/data/frr-8.4.4/terminal.r1", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let answers = text.split("\n>>>>").filter_map(|part| part.split_once('\n'));
    answers
        .map(|(command, answer)| (command.to_owned(), answer.to_owned()))
        .collect()
}

/// The lab.
fn lab() -> Network {
    let mut network = Network::new();
    let r1 = network.node(
        "r1",
        &data("terminal.r1.conf"),
        &["10.255.0.1/32", "2001:db8:ff::1/128"],
    );
    let loopback = [
        "10.255.0.2/32",
        "2001:db8:ff::2/128",
        "10.55.0.1/24",
        "10.77.0.1/32",
    ];
    let r2 = network.node("r2", OTHER, &loopback);
    // There the third link's address came before the others'.
    let third = network.interface(r2, "net2", &[]);
    network.link(
        (r1, "net0", &["192.0.2.1/24", "2001:db8:12::1/64"]),
        (r2, "net0", &["192.0.2.2/24", "2001:db8:12::2/64"]),
    );
    network.link(
        (r1, "net1", &["198.51.100.1/24"]),
        (r2, "net1", &["198.51.100.2/24"]),
    );
    let here = network.interface(r1, "net2", &[]);
    network.links.push([(r1, here), (r2, third)]);
    network.start();
    let route = |to: &str, hops: Vec<Hop>, metric: u32| KernelRoute {
        to: to.parse().unwrap(),
        hops,
        metric,
        is_static: false,
    };
    let hop = Hop {
        via: Some("192.0.2.2".parse().unwrap()),
        interface: 2,
    };
    let routes = vec![
        route("10.99.0.0/16", Vec::new(), 0),
        route("10.98.0.0/16", vec![hop], 50),
    ];
    network.happen(r1, Event::Routes(routes));
    network.run(12);
    network
}

/// An answer without what differs from one run to the next: times, and numbers that FRR and the kernel give.
fn masked(answer: &str) -> String {
    let masks = [
        (r"\b\d\d:\d\d:\d\d\b", "TIME"),
        (r"\bfe80:[0-9a-f:]+[0-9a-f]\b", "fe80::LOCAL"),
        (
            r#""(nexthopGroupId|installedNexthopGroupId|interfaceIndex|invoked)":\d+"#,
            "\"$1\":0",
        ),
        (r"(Invoked:?) \d+", "$1 0"),
        (r"\(hit count: \d+, refcount: \d+\)", "(USES)"),
    ];
    let mut text = answer.to_owned();
    for (pattern, replacement) in masks {
        let pattern = Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, replacement).into_owned();
    }
    text
}

#[test]
fn a_router_answers_as_frr_does() {
    let network = lab();
    let view = View {
        speaker: &network.nodes[0].speaker,
        now: network.now,
        unix: Duration::from_secs(1_795_573_800) + network.now,
    };
    let mut terminal = Terminal::default();
    let mut wrong = Vec::new();
    for (command, expected) in recorded() {
        let reply = terminal.line(&view, Request::Run(command.clone()).encode().trim_end());
        let answer = Answer::decode(&reply.output).unwrap().output;
        if masked(&answer) != masked(&expected) {
            wrong.push(format!(
                "=== {command}\n--- FRR\n{}\n--- nslab\n{}",
                masked(&expected),
                masked(&answer)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} answers differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
