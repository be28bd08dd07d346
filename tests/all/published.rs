//! The published lab's network runs on FRR as it was published: its routes, its sessions, and what they survive.

use crate::common;

use std::collections::BTreeSet;

use common::{Host, Lab, eventually, has_frr, in_package, until};
use serde_json::Value;

/// What router0 knows: its loopback, the racks' loopbacks, the servers' networks, and the management network.
const ROUTES: [&str; 8] = [
    "10.0.0.0/32",
    "10.0.0.1/32",
    "10.0.0.2/32",
    "10.0.1.0/24",
    "10.0.2.0/24",
    "10.0.3.0/24",
    "10.0.4.0/24",
    "172.20.20.0/24",
];

fn published() -> Lab {
    let lab = Lab::of_file(&in_package("labs/cilium-bgp.toml")).on(Host::new());
    lab.ok(["up", "-d", "--engine", "frr", "--hold-manifests", lab.file()]);
    lab
}

fn vtysh(lab: &Lab, node: &str, command: &str) -> String {
    lab.ok(["exec", node, "vtysh", "-c", command])
}

/// Best routes by prefix; nothing while bgpd does not answer.
fn routes(lab: &Lab, node: &str) -> Value {
    let told = lab.run(["exec", node, "vtysh", "-c", "show bgp ipv4 unicast json"]);
    serde_json::from_str(&told.out).unwrap_or_default()
}

/// Waits until a router knows the eight routes, and no others.
#[track_caller]
fn has_converged(lab: &Lab, node: &str) {
    let expected: BTreeSet<&str> = ROUTES.into_iter().collect();
    until(&format!("eight routes on {node}"), || {
        let told = routes(lab, node);
        let known = told["routes"]
            .as_object()
            .map(|all| all.keys().map(String::as_str).collect::<BTreeSet<_>>());
        let mut known = known.unwrap_or_default();
        // The racks have been told of a default route too.
        known.remove("0.0.0.0/0");
        known == expected
    });
}

/// The line of a neighbor in `show bgp summary`, as words: name, version, AS, messages…, up time, state or
/// prefixes received, prefixes sent, description.
fn neighbor(summary: &str, name: &str) -> Option<Vec<String>> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    summary
        .lines()
        .map(words)
        .find(|words| words.first().is_some_and(|first| first == name))
}

/// Waits until a session has received and sent so many prefixes.
#[track_caller]
fn session(lab: &Lab, node: &str, name: &str, asn: &str, received: &str, sent: &str) {
    eventually(
        &format!("{name} on {node}: {received} received, {sent} sent"),
        || {
            let words = neighbor(&vtysh(lab, node, "show bgp summary"), name)?;
            (words[2] == asn && words[9] == received && words[10] == sent && words[8] != "never")
                .then_some(())
        },
    );
}

/// Waits until a server is answered by another: routes reach the kernel a moment after bgpd has them.
#[track_caller]
fn reaches(lab: &Lab, from: &str, to: &str) {
    until(&format!("{from} to reach {to}"), || {
        lab.run(["exec", from, "ping", "-c1", "-W1", to]).code == 0
    });
}

fn pid_of(lab: &Lab, node: &str, daemon: &str) -> Option<i32> {
    let told = lab.run(["exec", node, "cat", &format!("/run/frr/{daemon}.pid")]);
    told.out.trim().parse().ok()
}

#[test]
fn the_published_table_and_sessions() {
    if !has_frr() {
        return;
    }
    let lab = published();
    for node in ["router0", "tor0", "tor1"] {
        has_converged(&lab, node);
        assert_eq!(lab.node(node)["engine"], "frr");
    }

    let table = vtysh(&lab, "router0", "show bgp ipv4 all");
    let lines: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("*>"))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let expected = [
        ("10.0.0.0/32", "0.0.0.0", ""),
        ("10.0.0.1/32", "net0", "65010"),
        ("10.0.0.2/32", "net1", "65011"),
        ("10.0.1.0/24", "net0", "65010"),
        ("10.0.2.0/24", "net0", "65010"),
        ("10.0.3.0/24", "net1", "65011"),
        ("10.0.4.0/24", "net1", "65011"),
        ("172.20.20.0/24", "0.0.0.0", ""),
    ];
    assert_eq!(lines.len(), expected.len(), "{table}");
    for (line, (prefix, next_hop, path)) in lines.iter().zip(expected) {
        let known_path = line
            .iter()
            .rev()
            .nth(1)
            .filter(|word| word.starts_with("6501"))
            .unwrap_or(&"");
        assert_eq!(
            (line[1], line[2], *known_path, *line.last().unwrap()),
            (prefix, next_hop, path, "?"),
            "{table}"
        );
    }
    assert!(table.contains("Displayed  8 routes and 8 total paths"), "{table}");

    // FRR counts the default route it originates among what it sends.
    session(&lab, "router0", "net0", "65010", "3", "9");
    session(&lab, "router0", "net1", "65011", "3", "9");
    for (tor, servers) in [
        ("tor0", ["10.0.1.2", "10.0.2.2"]),
        ("tor1", ["10.0.3.2", "10.0.4.2"]),
    ] {
        session(&lab, tor, "router0(net0)", "65000", "6", "9");
        for server in servers {
            let waiting = eventually(&format!("{tor} to wait for {server}"), || {
                neighbor(&vtysh(&lab, tor, "show bgp summary"), server).filter(|words| words[9] == "Active")
            });
            assert_eq!(waiting[8], "never", "{waiting:?}");
        }
    }

    // From rack to rack by way of the spine, and what nobody has ends there.
    reaches(&lab, "server0", "server3");
    reaches(&lab, "server2", "server1");
    let told = lab.run(["exec", "server0", "ping", "-c1", "-W5", "10.9.9.9"]);
    assert_eq!(told.code, 1, "{}", told.out);

    let traces = lab.traces("cilium-bgp");
    lab.ok(["down", "--all"]);
    traces.gone();
    assert!(lab.left().is_empty());
}

#[test]
fn a_killed_bgpd_comes_back_with_its_configuration() {
    if !has_frr() {
        return;
    }
    let lab = published();
    has_converged(&lab, "router0");
    let before = pid_of(&lab, "router0", "bgpd").unwrap();
    lab.sh("router0", &format!("kill -9 {before}"));
    until("another bgpd", || {
        pid_of(&lab, "router0", "bgpd").is_some_and(|pid| pid != before)
    });
    has_converged(&lab, "router0");
    session(&lab, "router0", "net0", "65010", "3", "9");
    let node = lab.node("router0");
    assert_eq!(
        (&node["restarts"], &node["state"]),
        (&Value::from(0), &Value::from("ready"))
    );
}

#[test]
fn a_restarted_router_comes_back_with_its_configuration() {
    if !has_frr() {
        return;
    }
    let lab = published();
    has_converged(&lab, "tor1");
    // What was typed on the router is gone after a restart, as on a router that was not told to write it down.
    lab.ok([
        "exec",
        "tor1",
        "vtysh",
        "-c",
        "configure",
        "-c",
        "ip route 192.0.2.0/24 blackhole",
    ]);
    until("the typed route", || {
        lab.ok(["exec", "tor1", "ip", "route"])
            .contains("blackhole 192.0.2.0/24")
    });
    assert_eq!(lab.ok(["restart", "tor1"]), "tor1 is ready again\n");
    let running = vtysh(&lab, "tor1", "show running-config");
    assert!(
        running.contains("router bgp 65011") && !running.contains("192.0.2.0"),
        "{running}"
    );
    for node in ["router0", "tor0", "tor1"] {
        has_converged(&lab, node);
    }
    reaches(&lab, "server0", "server3");

    // Nothing of its kernel tables is left from before but what the lab file says.
    let killed = lab.node("router0")["init_pid"].as_i64().unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(killed.try_into().unwrap()),
        nix::sys::signal::SIGKILL,
    )
    .unwrap();
    until("router0's return", || {
        lab.node("router0")["restarts"] == 1 && lab.node("router0")["stage"] == "ready"
    });
    has_converged(&lab, "router0");
    assert!(
        lab.ok(["exec", "router0", "ip", "route"])
            .contains("blackhole 10.0.0.0/8")
    );
    session(&lab, "router0", "net1", "65011", "3", "9");
}

#[test]
fn a_router_is_what_a_stock_package_makes_of_it() {
    if !has_frr() {
        return;
    }
    // FRR's daemons want a right that commands do not have unless the node has it.
    let lab = Lab::up(
        "name = \"stock\"\n[nodes.server0]\nkind = \"host\"\ncapabilities = [\"SYS_ADMIN\"]\n\
         [nodes.server1]\nkind = \"host\"\n",
    );
    let start = [
        "exec",
        "server1",
        "sh",
        "-c",
        "/usr/lib/frr/zebra -d -A 127.0.0.1",
    ];
    assert_ne!(lab.run(start).code, 0, "zebra starts without it");
    // Commands written for a container work as they are.
    lab.sh(
        "server0",
        "sed -i s/bgpd=no/bgpd=yes/ /etc/frr/daemons && /usr/lib/frr/frrinit.sh start >/dev/null",
    );
    lab.ok([
        "exec",
        "server0",
        "vtysh",
        "-c",
        "configure",
        "-c",
        "router bgp 65010",
        "-c",
        "end",
    ]);
    assert!(vtysh(&lab, "server0", "show running-config").contains("router bgp 65010"));
    lab.ok(["exec", "server0", "vtysh", "-c", "write"]);
    assert!(
        lab.sh("server0", "cat /etc/frr/frr.conf")
            .contains("router bgp 65010")
    );
    assert!(!lab.sh("server1", "cat /etc/frr/frr.conf").contains("router bgp"));
}
