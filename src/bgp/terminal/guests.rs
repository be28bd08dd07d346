//! A router with a neighbor that came by itself, beside what FRR 8.4.4 answered in the same lab (tests/data/frr-8.4.4/listen.a).

use super::{Request, Terminal};
use crate::bgp::recorded::{self, Mask, data, view};
use crate::bgp::speaker::network::Network;

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
