//! Answers of a session beside those that FRR 8.4.4 gave in the same lab (tests/data/frr-8.4.4/terminal.r1): a router with
//! static and kernel routes, lists and route-maps, and three sessions with another.

use super::{Request, Terminal};
use crate::recorded::{self, Mask, data, view};
use crate::speaker::simulator::Network;
use crate::speaker::{Event, Hop, KernelRoute};

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
        drop: Default::default(),
        metric,
        is_static: false,
        distance: 0,
        tag: 0,
    };
    let hop = Hop {
        via: Some("192.0.2.2".parse().unwrap()),
        interface: 2,
    };
    let routes = vec![
        route("10.99.0.0/16", Vec::new(), 0),
        route("10.98.0.0/16", vec![hop], 50),
    ];
    network.handle_event(r1, Event::Routes(routes));
    network.run(12);
    network
}

/// What differs from one run to the next: times, and numbers that FRR and the kernel give.
const MASKS: &[Mask] = &[
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\bfe80:[0-9a-f:]+[0-9a-f]\b", "fe80::LOCAL"),
    (
        r#""(nexthopGroupId|installedNexthopGroupId|interfaceIndex|invoked)":\d+"#,
        "\"$1\":0",
    ),
    (r"(Invoked:?) \d+", "$1 0"),
    (r"\(hit count: \d+, refcount: \d+\)", "(USES)"),
];

#[test]
fn a_router_answers_as_frr_does() {
    let network = lab();
    let view = view(&network, 0);
    let mut terminal = Terminal::default();
    recorded::compare("terminal.r1", MASKS, |command| {
        let reply = terminal.line(&view, Request::Run(command.to_owned()).encode().trim_end());
        reply.answer.output
    });
}
