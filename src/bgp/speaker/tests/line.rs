//! A line of routers: `a` in AS 65001 tells four routes, `b` in 65002 passes them on, `c` in 65003 hears of them, and so
//! does `d`, in b's AS.

use super::*;
use crate::table::Route;

/// The line's nodes.
pub(super) const A: usize = 0;
pub(super) const B: usize = 1;
pub(super) const C: usize = 2;
pub(super) const D: usize = 3;

/// What `a` tells, as in the lab in which FRR was asked.
const ROUTES: &str = "ip route 10.1.0.0/24 Null0\nip route 10.1.1.0/24 Null0\nip route 10.1.2.0/25 Null0\nip route 10.2.0.0/16 Null0\n\
    route-map A permit 10\n set community 65001:1 65001:2\n set metric 5\n\
    route-map B permit 10\n set community 65001:1\n set as-path prepend 64512 65009\n set metric 7\n\
    route-map C permit 10\n set as-path prepend 65003\n set large-community 1:2:3\n set extcommunity rt 65001:7\n";
const NETWORKS: &str = "  network 10.1.0.0/24 route-map A\n  network 10.1.1.0/24 route-map B\n  \
    network 10.1.2.0/25 route-map C\n  network 10.2.0.0/16\n";

/// What is said of `b` beside its neighbors: lines before `router bgp`, within it, and within its address family.
#[derive(Clone, Copy, Default)]
pub(super) struct Words<'a> {
    pub(super) before: &'a str,
    pub(super) router: &'a str,
    pub(super) family: &'a str,
}

pub(super) fn b(words: Words) -> String {
    let neighbors = " neighbor 10.0.12.1 remote-as 65001\n neighbor 10.0.23.3 remote-as 65003\n neighbor 10.0.24.4 remote-as 65002\n";
    format!(
        "frr defaults datacenter\n{}router bgp 65002\n bgp router-id 2.2.2.2\n no bgp network import-check\n{neighbors}{} \
         address-family ipv4 unicast\n  network 10.9.0.0/16\n{}",
        words.before, words.router, words.family
    )
}

/// The line, with what is said of `a`, `b` and `c`.
pub(super) fn line_with(a: &str, words: Words, c: &str) -> Network {
    let mut network = Network::new();
    let texts = [
        format!(
            "frr defaults datacenter\n{ROUTES}router bgp 65001\n bgp router-id 1.1.1.1\n no bgp network import-check\n \
             neighbor 10.0.12.2 remote-as external\n{a} address-family ipv4 unicast\n{NETWORKS}"
        ),
        b(words),
        format!(
            "frr defaults datacenter\nrouter bgp 65003\n bgp router-id 3.3.3.3\n neighbor 10.0.23.2 remote-as external\n \
             address-family ipv4 unicast\n  neighbor 10.0.23.2 allowas-in\n{c}"
        ),
        "frr defaults datacenter\nrouter bgp 65002\n bgp router-id 4.4.4.4\n neighbor 10.0.24.2 remote-as internal\n".to_owned(),
    ];
    for (name, text) in ["a", "b", "c", "d"].into_iter().zip(&texts) {
        network.node(name, text, &[]);
    }
    network.link((A, "net0", &["10.0.12.1/24"]), (B, "net1", &["10.0.12.2/24"]));
    network.link((B, "net3", &["10.0.23.2/24"]), (C, "net0", &["10.0.23.3/24"]));
    network.link((B, "net4", &["10.0.24.2/24"]), (D, "net0", &["10.0.24.4/24"]));
    network.start();
    network.run(10);
    network
}

/// The line, with what is said of `b`.
pub(super) fn line(words: Words) -> Network {
    line_with("", words, "")
}

impl Network {
    /// Gives a node another configuration.
    pub(super) fn reconfigure(&mut self, node: usize, text: &str) {
        let (config, diagnostics) = Config::parse(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        self.handle_event(node, Event::Configure(Box::new(config)));
        self.run(2);
    }

    /// A node's best route to a prefix.
    pub(super) fn best(&self, node: usize, prefix: &str) -> Option<&Route> {
        let table = self.nodes[node].speaker.table(Family::Ipv4Unicast);
        table.get(&prefix.parse().unwrap())?.best()
    }

    /// A node's routes, as `PREFIX path`.
    pub(super) fn paths(&self, node: usize) -> Vec<String> {
        let table = self.nodes[node].speaker.table(Family::Ipv4Unicast);
        let all = table.iter().flat_map(|(prefix, destination)| {
            let routes = destination.routes().iter();
            routes.map(move |route| format!("{prefix} {}", route.attributes.as_path))
        });
        all.collect()
    }

    /// The paths of what a neighbor has told.
    pub(super) fn told_by(&self, node: usize, neighbor: &str) -> Vec<String> {
        let id = self.peer(node, neighbor).id;
        let table = self.nodes[node].speaker.table(Family::Ipv4Unicast);
        let all = table
            .iter()
            .filter(|(_, it)| it.routes().iter().any(|route| route.source.id == id));
        all.map(|(prefix, _)| prefix.to_string()).collect()
    }
}
