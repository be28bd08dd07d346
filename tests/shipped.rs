//! The labs that ship prove themselves: their checks pass, in turn and side by side, and each check fails when what it
//! checks is broken by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use common::{Host, Lab, in_package, run, until};
use serde_json::Value;

/// A lab, what has to be on the host for it, and for each check: the node and line that break it, and those that mend it.
type Breakers = &'static [(&'static str, [&'static str; 2], [&'static str; 2])];

/// Brings a shipped lab up, breaks each of its checks once, and sees that one fail and pass again.
fn break_each(name: &str, breakers: Breakers) {
    // With a host of its own, whose networks are nobody else's.
    let lab = Lab::of_file(&in_package(&format!("labs/{name}.toml"))).on(Host::new());
    lab.ok(["up", "-d", "--hold-manifests", lab.file()]);
    let state = fs::read_to_string(lab.run_directory().join(name).join("checks.json")).unwrap();
    let checks: Vec<Value> = serde_json::from_str(&state).unwrap();
    let known: BTreeSet<&str> = checks
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    let broken: BTreeSet<&str> = breakers.iter().map(|(check, ..)| *check).collect();
    assert_eq!(known, broken, "each check of {name} has something that breaks it");
    for phase in ["before", "after"] {
        let of_phase = |name: &str| {
            let mut checks = checks.iter();
            checks.any(|check| check["name"] == name && check["phase"] == phase)
        };
        if phase == "after" {
            lab.ok(["apply"]);
        }
        if !checks.iter().any(|check| check["phase"] == phase) {
            continue;
        }
        lab.run(["check", "--phase", phase]).expect(0);
        for (check, [node, line], [mender, mend]) in breakers.iter().filter(|(check, ..)| of_phase(check)) {
            lab.sh(node, line);
            until(&format!("the failing of {check:?}"), || {
                let words = ["check", "--phase", phase, "--within", "0s", "--name", check];
                lab.run(words).code == 1
            });
            if !mend.is_empty() {
                lab.sh(mender, mend);
            }
            let done = lab.run(["check", "--phase", phase, "--name", check]);
            assert_eq!(done.code, 0, "{check:?} after `{mend}`: {}{}", done.out, done.err);
        }
    }
}

#[test]
fn quickstart() {
    break_each(
        "quickstart",
        &[
            (
                "the switch joins the desks",
                ["a", "ip address del 10.0.1.11/24 dev eth0"],
                [
                    "a",
                    "ip address add 10.0.1.11/24 dev eth0; ip route replace default via 10.0.1.1",
                ],
            ),
            (
                "the router leads to the server",
                ["r", "sysctl -qw net.ipv4.ip_forward=0"],
                ["r", "sysctl -qw net.ipv4.ip_forward=1"],
            ),
            (
                "by IPv6 too",
                ["r", "sysctl -qw net.ipv6.conf.all.forwarding=0"],
                ["r", "sysctl -qw net.ipv6.conf.all.forwarding=1"],
            ),
            (
                "the default route is the router's",
                ["a", "ip route replace default via 10.0.1.12"],
                ["a", "ip route replace default via 10.0.1.1"],
            ),
        ],
    );
}

#[test]
fn cilium_bgp() {
    if !common::has_frr() {
        return;
    }
    const UP: &str = "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor net0 shutdown' -c 'no neighbor net1 shutdown'";
    const RACK_0_DOWN: &str = "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor net0 shutdown'";
    const RACK_1_DOWN: &str = "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor net1 shutdown'";
    break_each(
        "cilium-bgp",
        &[
            (
                "the spine has every network, and has redistributed or heard all of them",
                ["router0", RACK_0_DOWN],
                ["router0", UP],
            ),
            (
                "rack 0 announces itself to the spine",
                ["tor0", "ip link set net1 down"],
                ["tor0", "ip link set net1 up"],
            ),
            (
                "rack 1 announces itself to the spine",
                ["tor1", "ip link set net1 down"],
                ["tor1", "ip link set net1 up"],
            ),
            (
                "a rack learns the rest",
                [
                    "router0",
                    "ip link add spare type bridge; ip address add 10.0.9.1/24 dev spare; ip link set spare up",
                ],
                ["router0", "ip link delete spare"],
            ),
            (
                "the spine shows interfaces, the racks the spine's name",
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'bgp default show-hostname'",
                ],
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no bgp default show-hostname'",
                ],
            ),
            (
                "a rack's router names the spine",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no bgp default show-hostname'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'bgp default show-hostname'",
                ],
            ),
            (
                "rack 0 waits for its servers",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "rack 1 waits for its servers",
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'neighbor 10.0.3.2 shutdown'",
                ],
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'no neighbor 10.0.3.2 shutdown'",
                ],
            ),
            (
                "the racks reach each other",
                ["router0", RACK_1_DOWN],
                ["router0", UP],
            ),
            (
                "the spine has every node's pod network too",
                ["router0", RACK_0_DOWN],
                ["router0", UP],
            ),
            (
                "a rack's router learns and tells more",
                [
                    "router0",
                    "ip link add spare type bridge; ip address add 10.0.9.1/24 dev spare; ip link set spare up",
                ],
                ["router0", "ip link delete spare"],
            ),
            (
                "10.0.1.2 announces its pods' network to tor0",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "10.0.2.2 announces its pods' network to tor0",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor 10.0.2.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor 10.0.2.2 shutdown'",
                ],
            ),
            (
                "10.0.3.2 announces its pods' network to tor1",
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'neighbor 10.0.3.2 shutdown'",
                ],
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'no neighbor 10.0.3.2 shutdown'",
                ],
            ),
            (
                "10.0.4.2 announces its pods' network to tor1",
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'neighbor 10.0.4.2 shutdown'",
                ],
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'no neighbor 10.0.4.2 shutdown'",
                ],
            ),
            (
                "a rack's router names its servers",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no bgp default show-hostname'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'bgp default show-hostname'",
                ],
            ),
            (
                "what Cilium learns is not the kernel's",
                ["server0", "ip route add 10.9.0.0/16 via 10.0.1.1 proto bgp"],
                ["server0", "ip route delete 10.9.0.0/16"],
            ),
        ],
    );
}

#[test]
fn all_ibgp() {
    if !common::has_frr() {
        return;
    }
    break_each(
        "all-ibgp",
        &[
            (
                "a rack's router knows the pods of its rack",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "so does the other's",
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor 10.0.3.2 shutdown'",
                ],
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor 10.0.3.2 shutdown'",
                ],
            ),
            (
                "the spine knows the racks' own networks",
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor net0 shutdown'",
                ],
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor net0 shutdown'",
                ],
            ),
            (
                "the spine learns no pod route",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'address-family ipv4 unicast' -c 'neighbor SERVERS route-reflector-client'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'address-family ipv4 unicast' -c 'no neighbor SERVERS route-reflector-client'",
                ],
            ),
        ],
    );
}

#[test]
fn all_ibgp_reflector() {
    if !common::has_frr() {
        return;
    }
    break_each(
        "all-ibgp-reflector",
        &[
            (
                "everybody knows all pods",
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor net0 shutdown'",
                ],
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor net0 shutdown'",
                ],
            ),
            (
                "a reflected route says who began it, and who passed it on",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "packets to the pods of the other rack go by the spine",
                ["tor0", "ip route add 10.1.2.1/32 via 10.0.1.2"],
                ["tor0", "ip route delete 10.1.2.1/32"],
            ),
        ],
    );
}

#[test]
fn cilium_bgp_v2() {
    if !common::has_frr() {
        return;
    }
    break_each(
        "cilium-bgp-v2",
        &[
            (
                "the spine knows the pods' networks and the service",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "and the pods' networks of IPv6",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor fd00:0:1::2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor fd00:0:1::2 shutdown'",
                ],
            ),
            (
                "the service has its community, from both racks",
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor net0 shutdown'",
                ],
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor net0 shutdown'",
                ],
            ),
            (
                "a rack has both servers' word for the service",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "the racks reach each other by IPv6",
                ["server0", "ip -6 route delete default"],
                ["server0", "ip -6 route add default via fd00:0:1::1"],
            ),
        ],
    );
}

#[test]
fn interop_gobgp() {
    if !common::has_frr() || !common::has("gobgpd") {
        return;
    }
    const WITHDRAW_0: &str = "gobgp global rib del 10.1.0.0/24";
    const ANNOUNCE_0: &str = "gobgp global rib add 10.1.0.0/24 origin igp";
    break_each(
        "interop-gobgp",
        &[
            (
                "the spine has every network",
                ["server0", WITHDRAW_0],
                ["server0", ANNOUNCE_0],
            ),
            (
                "the pods' networks come from where they are",
                ["server2", "gobgp global rib add 10.1.2.0/24 origin egp"],
                ["server2", "gobgp global rib add 10.1.2.0/24 origin igp"],
            ),
            (
                "server0 announces its pods",
                ["server0", WITHDRAW_0],
                ["server0", ANNOUNCE_0],
            ),
            (
                "server1 announces its pods",
                ["server1", "gobgp global rib del 10.1.1.0/24"],
                ["server1", "gobgp global rib add 10.1.1.0/24 origin igp"],
            ),
            (
                "rack 0 learns the other",
                ["server2", "gobgp global rib del 10.1.2.0/24"],
                ["server2", "gobgp global rib add 10.1.2.0/24 origin igp"],
            ),
            (
                "server2 announces its pods",
                ["server2", "gobgp global rib del 10.1.2.0/24"],
                ["server2", "gobgp global rib add 10.1.2.0/24 origin igp"],
            ),
            (
                "server3 announces its pods",
                ["server3", "gobgp global rib del 10.1.3.0/24"],
                ["server3", "gobgp global rib add 10.1.3.0/24 origin igp"],
            ),
            (
                "rack 1 learns the other",
                ["server0", WITHDRAW_0],
                ["server0", ANNOUNCE_0],
            ),
            (
                "the kernel of a rack's router leads to its pods",
                ["server0", WITHDRAW_0],
                ["server0", ANNOUNCE_0],
            ),
            (
                "a pod reaches one in the other rack",
                ["server0", WITHDRAW_0],
                ["server0", ANNOUNCE_0],
            ),
        ],
    );
}

#[test]
fn clos() {
    if !common::has_frr() {
        return;
    }
    const DOWN: &str = "ip link set up1 down";
    const UP: &str = "ip link set up1 up";
    break_each(
        "clos",
        &[
            ("all spines and leaves agree", ["leaf2", DOWN], ["leaf2", UP]),
            (
                "leaf0 has two ways to the last rack",
                ["leaf3", DOWN],
                ["leaf3", UP],
            ),
            (
                "the last host is reached",
                ["host3", "ip link set eth0 down"],
                [
                    "host3",
                    "ip link set eth0 up; ip route replace default via 10.1.3.1",
                ],
            ),
            (
                "leaf3 loses its BGP daemon",
                ["leaf3", "rm /run/bgpd.before; mkdir /run/bgpd.before"],
                ["leaf3", "rmdir /run/bgpd.before"],
            ),
            (
                "it is started again",
                // Once the daemon of the step before answers, nothing is under way that would start another.
                [
                    "leaf3",
                    "until vtysh -d bgpd -c 'show version' > /dev/null 2>&1; do sleep 0.1; done; \
                     kill -STOP $(pidof watchfrr); while pidof bgpd; do kill -9 $(pidof bgpd); sleep 0.1; done",
                ],
                ["leaf3", "kill -CONT $(pidof watchfrr)"],
            ),
            ("the fabric is whole again", ["leaf3", DOWN], ["leaf3", UP]),
            (
                "the last rack answers again",
                ["host3", "ip link set eth0 down"],
                [
                    "host3",
                    "ip link set eth0 up; ip route replace default via 10.1.3.1",
                ],
            ),
        ],
    );
}

#[test]
fn ospf() {
    if !common::has_frr() {
        return;
    }
    const DOWN: [&str; 2] = ["r2", "ip link set r3 down"];
    const UP: [&str; 2] = ["r2", "ip link set r3 up"];
    break_each(
        "ospf",
        &[
            ("every router has two full neighbors", DOWN, UP),
            ("the way to b is the short one", DOWN, UP),
            ("the way back from b is the short one", DOWN, UP),
            (
                "a reaches b",
                ["b", "ip link set eth0 down"],
                ["b", "ip link set eth0 up; ip route replace default via 10.1.3.1"],
            ),
            (
                "the link between r2 and r3 breaks",
                [
                    "r2",
                    "ip link set r3 name elsewhere 2>/dev/null || { ip link set r3 down; ip link set r3 name elsewhere; }",
                ],
                ["r2", "ip link set elsewhere down; ip link set elsewhere name r3"],
            ),
            ("the long way takes over", ["r2", "ip link set r3 up"], DOWN),
            (
                "and so it does on the way back",
                ["r2", "ip link set r3 up"],
                DOWN,
            ),
            (
                "a still reaches b",
                ["b", "ip link set eth0 down"],
                ["b", "ip link set eth0 up; ip route replace default via 10.1.3.1"],
            ),
            (
                "the link is mended",
                ["r2", "ip link set r3 down; ip link set r3 name elsewhere"],
                ["r2", "ip link set elsewhere name r3"],
            ),
            ("the short way is taken again", DOWN, UP),
            ("the short way back is taken again", DOWN, UP),
        ],
    );
}

#[test]
fn vrrp() {
    if !common::has_frr() {
        return;
    }
    const DOWN: &str = "ip link set eth0 down";
    const UP: &str = "ip link set eth0 up";
    const LOW: &str = "vtysh -c 'conf t' -c 'interface eth0' -c 'vrrp 10 priority 50'";
    const HIGH: &str = "vtysh -c 'conf t' -c 'interface eth0' -c 'vrrp 10 priority 200'";
    break_each(
        "vrrp",
        &[
            ("r1 is the gateway", ["r1", DOWN], ["r1", UP]),
            ("r2 stands by", ["r1", LOW], ["r1", HIGH]),
            ("the gateway answers", ["pc", DOWN], ["pc", UP]),
            (
                "r1 goes",
                ["r1", "ip link set eth0 down; ip link set eth0 name elsewhere"],
                ["r1", "ip link set elsewhere name eth0; ip link set eth0 up"],
            ),
            ("r2 takes over", ["r1", UP], ["r1", DOWN]),
            ("the gateway still answers", ["pc", DOWN], ["pc", UP]),
            (
                "r1 comes back",
                ["r1", "ip link set eth0 down; ip link set eth0 name elsewhere"],
                ["r1", "ip link set elsewhere name eth0"],
            ),
            ("and is the gateway again", ["r1", DOWN], ["r1", UP]),
        ],
    );
}

/// The files of all labs; beside them stand the manifests of some.
fn labs() -> Vec<PathBuf> {
    let entries = fs::read_dir(in_package("labs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .collect()
}

/// All of them at the same time. (Each in turn is what the tests above do, one lab a test.)
#[test]
fn all_labs_pass_side_by_side() {
    if !common::has_frr() {
        return;
    }
    let lab = Lab::new("name = \"unused\"\n").on(Host::new());
    let files = labs();
    let mut command = lab.nslab(["test", "-j", "3"]);
    run(command.args(files)).expect(0);
}

/// A lab that ships is broken by a test above.
#[test]
fn every_lab_has_its_test() {
    let source = fs::read_to_string(in_package("tests/shipped.rs")).unwrap();
    for path in labs() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            source.contains(&format!("\"{name}\",")),
            "no test breaks the checks of {name}"
        );
    }
}
