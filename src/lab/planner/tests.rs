use std::collections::HashSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::plan::{Device, Uplink};
use crate::resolve::load;
use crate::sources::Memory;

fn planned(text: &str) -> Plan {
    let lab = match load(text, &Memory::default()) {
        Ok(lab) => lab,
        Err(diagnostics) => panic!("{diagnostics:#?}"),
    };
    let facts = Facts {
        auto_engine: Engine::Frr,
        dns_servers: vec![IpAddr::from([192, 0, 2, 53])],
        uplink: Some(Uplink {
            interface: "nslab-0".to_owned(),
            net: "100.127.0.0/30".parse().unwrap(),
        }),
        memory: 8 << 30,
        images: Default::default(),
    };
    plan(&lab, &facts)
}

fn paths(sysctls: &[(String, String)]) -> Vec<String> {
    sysctls
        .iter()
        .map(|(path, value)| format!("{path}={value}"))
        .collect()
}

const LAB: &str = r#"
name = "x"
[nodes.sw]
kind = "bridge"
[nodes.r]
kind = "router"
config = "router bgp 1"
addresses = { lo = ["10.0.0.1/32"], lan = ["10.0.1.1/24", "fe80::1/64"] }
routes = [{ to = "default", via = "10.0.1.2", dev = "lan" }]
sysctls = { "net.ipv4.tcp_ecn" = 1, "net.ipv4.conf.lan.proxy_arp" = 1 }
[nodes.tap]
kind = "host"
network = "node:sw"
[[links]]
endpoints = ["r:lan", "sw:p1"]
offload = false
[[links]]
type = "dummy"
endpoints = ["tap:d0"]
"#;

#[test]
fn decides_everything() {
    let plan = planned(LAB);
    assert_eq!(plan.namespaces.len(), 2);
    let (switch, router) = (&plan.namespaces[0], &plan.namespaces[1]);
    let bridge = switch.bridge.as_ref().unwrap();
    let Device::Veth(lan, p1) = &plan.links[0].device else {
        panic!("not a pair")
    };
    assert_eq!(plan.links[0].label, "r:lan -- sw:p1");
    assert_eq!((lan.namespace, p1.namespace), (1, 0));
    // The interface of a node in the bridge's network is no port of the bridge.
    assert_eq!(bridge.ports, [p1.index]);
    assert_eq!(switch.up.len(), 4);
    assert_eq!(router.up, [1, lan.index]);
    assert_eq!(router.no_offload, ["lan"]);
    assert_eq!(router.addresses[0].0, 1);
    assert_eq!(router.addresses[1].0, lan.index);
    let RouteStepAction::Forward(hops) = &router.routes[0].action else {
        panic!("not forwarded")
    };
    assert_eq!(hops[0].dev, Some(lan.index));
    assert_eq!(plan.nodes[1].engine, Some(Engine::Frr));
    assert_eq!(
        (plan.nodes[0].idle, plan.nodes[1].idle, plan.nodes[2].idle),
        (true, false, true)
    );
    assert_eq!(plan.nodes[2].namespace, Some(0));
}

#[test]
fn sets_sysctls_in_order() {
    let plan = planned(LAB);
    let router = &plan.namespaces[1];
    assert_eq!(
        paths(&router.sysctls),
        [
            "net/ipv4/ip_forward=1",
            "net/ipv6/conf/all/forwarding=1",
            "net/ipv4/conf/all/rp_filter=0",
            "net/ipv4/conf/default/rp_filter=0",
            "net/ipv4/conf/all/arp_ignore=0",
            "net/ipv4/conf/default/arp_ignore=0",
            "net/ipv6/conf/all/accept_dad=0",
            "net/ipv6/conf/default/accept_dad=0",
            "net/ipv4/tcp_ecn=1",
        ]
    );
    assert_eq!(paths(&router.late_sysctls), ["net/ipv4/conf/lan/proxy_arp=1"]);
    assert_eq!(
        plan.namespaces[0].sysctls[0],
        ("net/ipv4/ip_forward".into(), "0".into())
    );
    let with_dad = planned("name = \"x\"\n[nodes.a]\nkind = \"host\"\ndad = true\n");
    assert_eq!(with_dad.namespaces[0].sysctls.len(), 6);
}

#[test]
fn names_every_node_once_an_address() {
    let plan = planned(LAB);
    assert_eq!(
        plan.hosts,
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n10.0.1.1 r\n10.0.0.1 r\n"
    );
    assert!(plan.resolv_conf.starts_with('#'));
    let managed = planned("name = \"x\"\n[nodes.a]\nkind = \"host\"\nmgmt = true\n");
    assert_eq!(managed.resolv_conf, "nameserver 192.0.2.53\n");
}

#[test]
fn a_router_without_a_configuration_runs_nothing() {
    let plan = planned("name = \"x\"\n[nodes.r]\nkind = \"router\"\nengine = \"frr\"\n");
    assert_eq!(plan.nodes[0].engine, None);
    assert!(plan.nodes[0].idle);
}

#[test]
fn the_same_file_gives_the_same_plan() {
    assert_eq!(planned(LAB), planned(LAB));
}

/// A lab of so many nodes, and of links between the given pairs of them.
fn generated(nodes: usize, bridges: &[bool], pairs: &[(usize, usize)]) -> String {
    let mut text = "name = \"gen\"\n".to_owned();
    for at in 0..nodes {
        let kind = if bridges.get(at).copied().unwrap_or(false) {
            "bridge"
        } else {
            "host"
        };
        let _ = writeln!(
            text,
            "[nodes.n{at}]\nkind = \"{kind}\"\naddresses = {{ lo = [\"10.{}.{}.1/32\"] }}",
            at / 250,
            at % 250
        );
    }
    for (at, (a, b)) in pairs.iter().enumerate() {
        let _ = writeln!(
            text,
            "[[links]]\nendpoints = [\"n{}:a{at}\", \"n{}:b{at}\"]",
            a % nodes,
            b % nodes
        );
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn indexes_and_addresses_are_unique(
        nodes in 1usize..20,
        bridges in prop::collection::vec(any::<bool>(), 0..20),
        pairs in prop::collection::vec((0usize..20, 0usize..20), 0..40),
    ) {
        let plan = planned(&generated(nodes, &bridges, &pairs));
        let mut indexes = HashSet::new();
        let mut macs = HashSet::new();
        for bridge in plan.namespaces.iter().filter_map(|step| step.bridge.as_ref()) {
            prop_assert!(indexes.insert(bridge.index) && macs.insert(bridge.mac));
        }
        for link in &plan.links {
            let Device::Veth(a, b) = &link.device else { continue };
            for port in [a, b] {
                prop_assert!(port.index > 1 && indexes.insert(port.index) && port.mac.is_none_or(|mac| macs.insert(mac)));
                prop_assert!(plan.namespaces[port.namespace].up.contains(&port.index));
            }
        }
        prop_assert_eq!(plan.links.len(), pairs.len());
        prop_assert_eq!(plan.namespaces.len(), nodes);
    }
}

#[test]
fn a_thousand_nodes_take_no_time() {
    let pairs: Vec<_> = (0..1000).map(|at| (at, (at + 1) % 1000)).collect();
    let text = generated(1000, &[], &pairs);
    let start = std::time::Instant::now();
    let plan = planned(&text);
    let taken = start.elapsed();
    assert_eq!(plan.nodes.len(), 1000);
    // Unoptimized, on a busy machine; a quadratic step would take many seconds.
    assert!(taken.as_secs() < 2, "{taken:?}");
    println!("{taken:?}");
}

#[test]
fn a_bond_prefers_its_primary_and_routes_are_in_the_table_of_their_vrf() {
    let plan = planned(
        r#"
name = "x"
[nodes.a]
kind = "host"
routes = [{ to = "10.9.0.0/16", via = "10.0.0.2", vrf = "red" }, { to = "10.9.0.0/16", via = "10.0.0.2", vrf = "blue" }]
[nodes.a.interfaces]
red = { type = "vrf", table = 10, ports = ["bond0"] }
blue = { type = "vrf", table = 20 }
bond0 = { type = "bond", mode = "active-backup", ports = ["eth0", "eth1"], primary = "eth1", addresses = ["10.0.0.1/24"] }
[nodes.b]
kind = "host"
[[links]]
endpoints = ["a:eth0", "b:eth0"]
[[links]]
endpoints = ["a:eth1", "b:eth1"]
"#,
    );
    let a = plan.namespaces.iter().find(|it| it.node == "a").unwrap();
    let index = |name: &str| {
        let mut ports = plan.links.iter().flat_map(|link| link.device.ports());
        ports.find(|port| port.name == name).unwrap().index
    };
    let of = |name: &str| {
        let settings = a.settings.iter();
        settings.clone().find(|it| it.interface == index(name)).unwrap()
    };
    assert_eq!(
        [of("eth0").primary, of("eth1").primary, of("bond0").primary],
        [false, true, false]
    );
    let tables: Vec<_> = a.routes.iter().map(|route| route.table).collect();
    assert_eq!(tables, [Some(10), Some(20)]);
}
