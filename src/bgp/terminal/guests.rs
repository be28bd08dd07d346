//! A router with a neighbor that came by itself, beside what FRR 8.4.4 answered in the same lab (tests/data/frr-8.4.4/listen.a).

use super::{Request, Terminal};
use crate::recorded::{self, Mask, data, view};
use crate::speaker::simulator::Network;

fn lab() -> Network {
    let mut network = Network::new();
    let a = network.node("a", &data("listen.a.conf"), &[]);
    let b = network.node("b", &data("listen.b.conf"), &[]);
    network.link((a, "l", &["10.50.0.1/24"]), (b, "h", &["10.50.0.2/24"]));
    let (here, there) = (network.interface(a, "u", &[]), network.interface(b, "u", &[]));
    network.links.push([(a, here), (b, there)]);
    network.start();
    network.run(12);
    network
}

/// Times, counters, and where things are.
const MASKS: &[Mask] = &[
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"table version \d+", "table version"),
    (r"(4 +6490\d|4      64901) +\d+ +\d+ ", "$1 COUNTS "),
    (r"\[0x[0-9a-f]+(:\d+)?\] \(\d+\)", "[WHERE]"),
];

#[test]
fn guests_are_marked_and_instances_listed() {
    let network = lab();
    let view = view(&network, 0);
    let mut terminal = Terminal::default();
    recorded::compare("listen.a", MASKS, |command| {
        let reply = terminal.line(&view, Request::Run(command.to_owned()).encode().trim_end());
        reply.answer.output
    });
}

#[test]
fn router_advertisements_are_shown_where_they_are_sent() {
    let mut network = lab();
    let interfaces = network.nodes[0].speaker.interfaces();
    let index = interfaces.iter().find(|it| it.name == "u").unwrap().index;
    let counts = [(index, (9, 7))].into();
    network.nodes[0].speaker.note_advertisements(counts);
    let view = view(&network, 0);
    let mut terminal = Terminal::default();
    let mut show = |command: &str| {
        let reply = terminal.line(&view, Request::Run(command.to_owned()).encode().trim_end());
        reply.answer.output
    };
    // As FRR says it of this configuration.
    let advertisements = "  ND advertised reachable time is 0 milliseconds\n  ND advertised retransmit interval is 0 \
                          milliseconds\n  ND advertised hop-count limit is 64 hops\n  ND router advertisements sent: 9 \
                          rcvd: 7\n  ND router advertisements are sent every 5 seconds\n  ND router advertisements lifetime \
                          tracks ra-interval\n  ND router advertisement default router preference is medium\n  Hosts use \
                          stateless autoconfig for addresses.\n  Neighbor address(s):\n  inet6 fe80::";
    let shown = show("show interface u");
    assert!(shown.contains(advertisements), "{shown}");
    assert!(show("show interface u json").contains("\"neighborIpAddresses\":["));
    assert!(!show("show interface l").contains("ND "));
}
