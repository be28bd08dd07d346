//! EVPN with real kernels and real peers: a fabric whose routers are FRR, nslab's own speaker, or both.

use std::collections::BTreeSet;
use std::fs;

use crate::common;

use common::{Host, Lab, has_frr, in_package, until};

const ROUTERS: [&str; 5] = ["spine0", "spine1", "leaf0", "leaf1", "leaf2"];

/// The lab that ships, with FRR on these nodes and nslab's own speaker on the others.
fn fabric(with_frr: &[&str]) -> String {
    let mut text = fs::read_to_string(in_package("labs/evpn.toml")).unwrap();
    for node in ROUTERS {
        let head = format!("[nodes.{node}]\n");
        assert!(text.contains(&head));
        let engine = if with_frr.contains(&node) {
            "frr"
        } else {
            "builtin"
        };
        text = text.replace(&head, &format!("{head}engine = \"{engine}\"\n"));
    }
    text
}

fn passes(with_frr: &[&str]) {
    let lab = Lab::new(&fabric(with_frr)).on(Host::new());
    let done = lab.run(["test", lab.file()]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
}

#[test]
fn a_fabric_of_builtin() {
    passes(&[]);
}

#[test]
fn a_leaf_of_frr_among_builtin() {
    if has_frr() {
        passes(&["leaf1"]);
    }
}

#[test]
fn a_leaf_of_builtin_among_frr() {
    if has_frr() {
        passes(&["spine0", "spine1", "leaf0", "leaf2"]);
    }
}

/// Routes of types 2, 3 and 5 go from FRR to builtin and back, and both show them alike.
#[test]
fn all_types_of_routes_go_both_ways() {
    if !has_frr() {
        return;
    }
    let text = fabric(&["leaf1"]).replace(
        "  advertise-all-vni\n",
        "  advertise-all-vni\n  advertise ipv4 unicast\n",
    );
    let text = text.replace(
        "frr defaults datacenter\n!\nrouter bgp 6510",
        "frr defaults datacenter\n!\nvni 900\n!\nrouter bgp 6510",
    );
    let l3 = |leaf: u8| {
        format!(
            "br900 = {{ type = \"bridge\" }}\nvx900 = {{ type = \"vxlan\", vni = 900, local = \"10.0.1.{leaf}\", learning = false, \
             master = \"br900\" }}\n"
        )
    };
    let mut text = text;
    for leaf in 0..3 {
        let head = format!("[nodes.leaf{leaf}.interfaces]\n");
        text = text.replace(&head, &format!("{head}{}", l3(leaf)));
    }
    let lab = Lab::new(&text).on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    let says = |node: &str, command: &str| lab.ok(["exec", node, "vtysh", "-c", command]);
    for (leaf, other) in [("leaf0", 1), ("leaf1", 0)] {
        lab.ok(["exec", "blue0", "ping", "-c", "1", "-W", "5", "192.168.10.2"]);
        until("routes of all types are there", || {
            let table = says(leaf, "show bgp l2vpn evpn");
            let has = |route: &str| table.contains(route);
            has(&format!("[3]:[0]:[32]:[10.0.1.{other}]\n"))
                && has(&format!("Route Distinguisher: 10.0.1.{other}:1\n"))
                && has(&format!("[5]:[0]:[32]:[10.0.1.{other}]\n"))
                && table.contains("[2]:[0]:[48]:")
        });
    }
    // Hosts and routers are the same in both tables; of prefixes each leaves out those with its own AS in the path.
    let routes = |node: &str| -> BTreeSet<String> {
        let table = says(node, "show bgp l2vpn evpn");
        let names = table.split_whitespace();
        let of_hosts = |word: &&str| word.starts_with("[2]:") || word.starts_with("[3]:");
        names.filter(of_hosts).map(str::to_owned).collect()
    };
    until("both know the same routes", || {
        let (own, theirs) = (routes("leaf0"), routes("leaf1"));
        own == theirs && !own.is_empty()
    });
    // A host that goes silent is forgotten on both sides once its entry is deleted by hand.
    lab.ok(["exec", "leaf1", "ip", "link", "set", "blue", "down"]);
    until("its route is withdrawn", || {
        let macs = says("leaf0", "show evpn mac vni 10");
        !macs.contains("10.0.1.1")
    });
}
