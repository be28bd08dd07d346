//! Parts of tables, and what leads to next hops, beside what FRR 8.4.4 answered in the same lab
//! (tests/data/frr-8.4.4/parts.r1): two routers with three sessions, lists and route-maps.

use super::{Request, Terminal};
use crate::recorded::{self, Mask, data, view};
use crate::speaker::simulator::Network;
use crate::speaker::{Event, Hop, KernelRoute};

fn lab() -> Network {
    let mut network = Network::new();
    let r1 = network.node("r1", &data("parts.r1.conf"), &["10.255.0.1/32"]);
    let r2 = network.node("r2", &data("parts.r2.conf"), &[]);
    network.link(
        (r1, "net0", &["192.0.2.1/24", "2001:db8:12::1/64"]),
        (r2, "net0", &["192.0.2.2/24", "2001:db8:12::2/64"]),
    );
    network.link(
        (r1, "net1", &["198.51.100.1/24"]),
        (r2, "net1", &["198.51.100.2/24"]),
    );
    network.start();
    let route = |to: &str, hops: Vec<Hop>, tag: u32| KernelRoute {
        to: to.parse().unwrap(),
        hops,
        drop: Default::default(),
        metric: 0,
        is_static: true,
        distance: 1,
        tag,
    };
    let hop = Hop {
        via: Some("192.0.2.2".parse().unwrap()),
        interface: 2,
    };
    let statics = vec![
        route("10.8.0.0/16", Vec::new(), 7),
        route("10.9.0.0/16", vec![hop], 0),
    ];
    network.handle_event(r1, Event::Routes(statics));
    network.run(12);
    network
}

/// What differs from one run to the next: times, addresses, versions, what was counted on the way, and names of sockets.
const MASKS: &[Mask] = &[
    (r"\bfe80:[0-9a-f:]+[0-9a-f]", "fe80::LOCAL"),
    (r"\n? +(\d+ +0 65002 i)", " $1"),
    (r"table version is \d+", "table version is 0"),
    (r#""(version|tableVersion|bgpTableVersion)": ?\d+"#, "\"$1\":0"),
    (
        r#""selectionReason":"(Neighbor IP|Older Path)""#,
        "\"selectionReason\":\"\"",
    ),
    (r"\(fd \d+\)", "(fd)"),
    (r"Created: .*", "Created:"),
    (
        r"(events|triggered|Time|Version|enqueued|watermark|roup \d|count): ?\d*",
        "$1:",
    ),
];

#[test]
fn parts_are_shown_as_frr_shows_them() {
    let network = lab();
    let view = view(&network, 0);
    let mut terminal = Terminal::default();
    recorded::compare("parts.r1", MASKS, |command| {
        let reply = terminal.line(&view, Request::Run(command.to_owned()).encode().trim_end());
        reply.answer.output
    });
}

#[test]
fn sets_of_attributes_are_counted() {
    let network = lab();
    let view = view(&network, 0);
    let mut terminal = Terminal::default();
    let request = Request::Run("show bgp attribute-info".to_owned()).encode();
    let reply = terminal.line(&view, request.trim_end());
    let answer = reply.answer.output;
    // As FRR has them, which adds those of what was told.
    for expected in [
        "attr[1] nexthop 192.0.2.2\n\tflags: 2147483791 distance: 0 med: 0 ",
        "attr[1] nexthop 198.51.100.2\n\tflags: 143 distance: 0 med: 77 ",
        "attr[1] nexthop 0.0.0.0\n\tflags: 2147491979 distance: 0 med: 0 ",
    ] {
        assert!(answer.contains(expected), "{expected} in {answer}");
    }
}
