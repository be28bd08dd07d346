//! The labs that ship prove themselves: their checks pass, in turn and side by side, and each check fails when what it
//! checks is broken by hand.

use crate::common;
use crate::common::breaking;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use breaking::break_each;
use common::{Host, Lab, Running, in_package};

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
fn failover() {
    break_each(
        "failover",
        &[
            (
                "hosta reaches hostb by both of its routers",
                [
                    "hosta",
                    "vtysh -c 'configure terminal' -c 'router bgp 65201' -c 'neighbor eth0 shutdown'",
                ],
                [
                    "hosta",
                    "vtysh -c 'configure terminal' -c 'router bgp 65201' -c 'no neighbor eth0 shutdown'",
                ],
            ),
            (
                "hosta reaches hostb",
                ["hostb", "ip address del 10.1.0.2/32 dev lo"],
                ["hostb", "ip address add 10.1.0.2/32 dev lo"],
            ),
        ],
    );
}

#[test]
fn evpn() {
    break_each(
        "evpn",
        &[
            (
                "blue0 reaches blue1 over the fabric",
                ["blue0", "ip address del 192.168.10.1/24 dev eth0"],
                ["blue0", "ip address add 192.168.10.1/24 dev eth0"],
            ),
            (
                "blue1 reaches blue2 over the fabric",
                ["blue1", "ip address del 192.168.10.2/24 dev eth0"],
                ["blue1", "ip address add 192.168.10.2/24 dev eth0"],
            ),
            (
                "blue2 reaches blue0 over the fabric",
                ["blue2", "ip address del 192.168.10.3/24 dev eth0"],
                ["blue2", "ip address add 192.168.10.3/24 dev eth0"],
            ),
            (
                "red0 reaches red1 over the fabric",
                ["red0", "ip address del 192.168.10.1/24 dev eth0"],
                ["red0", "ip address add 192.168.10.1/24 dev eth0"],
            ),
            (
                "red1 reaches red2 over the fabric",
                ["red1", "ip address del 192.168.10.2/24 dev eth0"],
                ["red1", "ip address add 192.168.10.2/24 dev eth0"],
            ),
            (
                "red2 reaches red0 over the fabric",
                ["red2", "ip address del 192.168.10.3/24 dev eth0"],
                ["red2", "ip address add 192.168.10.3/24 dev eth0"],
            ),
        ],
    );
}

#[test]
fn impair() {
    break_each(
        "impair",
        &[
            (
                "the satellite is far away",
                ["client", "ip address del 10.0.1.1/24 dev sky"],
                ["client", "ip address add 10.0.1.1/24 dev sky"],
            ),
            (
                "TCP takes seconds until it fills the satellite's link",
                ["client", "ip link set sky down"],
                ["client", "ip link set sky up"],
            ),
            (
                "TCP fills the slow line",
                ["dsl", "ip link set eth0 down"],
                ["dsl", "ip link set eth0 up"],
            ),
            (
                "and everything else waits behind it in the large buffer",
                ["dsl", "ip link set eth0 down"],
                ["dsl", "ip link set eth0 up"],
            ),
            (
                "losses keep TCP slow where the link itself is fast",
                ["client", "ip link set wifi down"],
                ["client", "ip link set wifi up"],
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
                "leaf3 loses its BGP daemon, and it is started again",
                // Nobody knows then which process it is.
                ["leaf3", "mv /run/frr/bgpd.pid /run/bgpd.aside"],
                ["leaf3", "mv /run/bgpd.aside /run/frr/bgpd.pid"],
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
    // Their scenarios wait for hold times.
    let done = Running::start(command.args(files)).wait_within(Duration::from_secs(170));
    done.expect(0);
}

/// A lab that ships is broken by a test above, or one of its neighbor's.
#[test]
fn every_lab_has_its_test() {
    let sources = [
        "tests/all/shipped.rs",
        "tests/all/shipped_cilium.rs",
        "tests/all/kubelet.rs",
    ];
    let source = sources
        .map(|it| fs::read_to_string(in_package(it)).unwrap())
        .concat();
    for path in labs() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            source.contains(&format!("\"{name}\",")),
            "no test breaks the checks of {name}"
        );
    }
}
