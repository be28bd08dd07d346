//! Pods of Kubernetes nodes: namespaces of their own, joined to their node as Cilium joins them, and known by name wherever
//! nodes are.

use crate::common;

use common::{Lab, until};

/// Two nodes with pods and of both families, and a router between them that knows the way to the pods.
const LAB: &str = r#"
name = "pods"

[kubernetes]
pod_subnet = ["10.1.0.0/16", "fd00:10::/56"]

[cilium]
ipv4_native_cidr = "10.0.0.0/8"

[nodes.r]
kind = "router"
addresses = { lo = ["192.0.2.1/32"] }
routes = [
  { to = "10.1.0.0/24", via = "10.0.1.2" },
  { to = "10.1.1.0/24", via = "10.0.2.2" },
  { to = "fd00:10::/64", via = "fd00:1::2" },
  { to = "fd00:10:0:1::/64", via = "fd00:2::2" },
]

[nodes.a]
kind = "k8s"
pods = 2
routes = [{ to = "default", via = "10.0.1.1" }, { to = "default", via = "fd00:1::1" }]

[nodes.b]
kind = "k8s"
routes = [{ to = "default", via = "10.0.2.1" }, { to = "default", via = "fd00:2::1" }]
pods = ["web", { name = "db", env = { SIZE = "5" }, exec = ["touch /run/made"], run = [
  { name = "store", restart = "always", shell = "echo size $SIZE; exec sleep infinity" },
] }]

[[links]]
endpoints = [
  { node = "r", interface = "eth1", ipv4 = "10.0.1.1/24", ipv6 = "fd00:1::1/64" },
  { node = "a", interface = "eth0", ipv4 = "10.0.1.2/24", ipv6 = "fd00:1::2/64" },
]
[[links]]
endpoints = [
  { node = "r", interface = "eth2", ipv4 = "10.0.2.1/24", ipv6 = "fd00:2::1/64" },
  { node = "b", interface = "eth0", ipv4 = "10.0.2.2/24", ipv6 = "fd00:2::2/64" },
]

[[checks]]
name = "pods know each other by name"
node = "b/web"
ping = "a/pod1"
"#;

fn lab(text: &str) -> Lab {
    let lab = Lab::new(text);
    lab.ok(["up", "-d", lab.file()]);
    lab
}

#[test]
fn pods_reach_their_node_each_other_and_everybody() {
    let lab = lab(LAB);
    let ping = |from: &str, to: &str| lab.sh(from, &format!("ping -c 1 -W 2 {to}"));
    // Their gateway, the neighbor on the node, a pod on another node, that node, and the router.
    for to in ["10.1.0.1", "10.1.0.3", "10.1.1.2", "10.0.2.2", "192.0.2.1"] {
        ping("a/pod0", to);
    }
    for to in ["fd00:10::1", "fd00:10::3", "fd00:10:0:1::3", "fd00:2::2"] {
        ping("a/pod0", to);
    }
    ping("a", "10.1.0.2");
    ping("r", "10.1.1.3");
    lab.ok(["check"]);
    // As Cilium has it: one address, and everything by way of the node's.
    let addresses = lab.sh("b/web", "ip -br address show eth0");
    assert!(
        addresses.contains("10.1.1.2/32") && addresses.contains("fd00:10:0:1::2/128"),
        "{addresses}"
    );
    let routes = lab.sh("b/web", "ip route");
    assert!(routes.contains("default via 10.1.1.1 dev eth0"), "{routes}");
    let node = lab.sh("b", "ip -br address show cilium_host");
    assert!(node.contains("10.1.1.1/32"), "{node}");
}

/// The source of a ping, as the router sees it.
fn source_of(lab: &Lab, from: &str, to: &str) -> String {
    lab.sh(
        "r",
        "nft 'add table ip seen; flush table ip seen; add chain ip seen every { type filter hook prerouting priority 0; }; \
         add rule ip seen every icmp type echo-request ip saddr 10.1.0.0/16 counter comment \"pod\"; \
         add rule ip seen every icmp type echo-request ip saddr 10.0.1.2 counter comment \"node\"'",
    );
    lab.sh(from, &format!("ping -c 1 -W 2 {to}"));
    let rules = lab.sh("r", "nft list table ip seen");
    let seen = rules.lines().filter(|line| line.contains("packets 1 "));
    seen.map(|line| if line.contains("\"pod\"") { "pod " } else { "node " })
        .collect()
}

#[test]
fn beyond_the_native_network_a_pod_is_known_by_its_node() {
    let lab = lab(LAB);
    assert_eq!(source_of(&lab, "a/pod0", "10.1.1.2"), "pod ");
    assert_eq!(source_of(&lab, "a/pod0", "192.0.2.1"), "node ");
    // Unless that is not wanted.
    let lab = self::lab(
        &LAB.replace("[cilium]", "[cilium]\nipv4_masquerade = false")
            .replace("\"pods\"", "\"plain\""),
    );
    assert_eq!(source_of(&lab, "a/pod0", "192.0.2.1"), "pod ");
}

#[test]
fn packets_for_a_pod_that_is_not_there_are_dropped() {
    let lab = lab(LAB);
    let done = lab.run(["exec", "r", "ping", "-c", "1", "-W", "1", "10.1.0.200"]);
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    // They do not go round and round until their time is over.
    assert!(!done.out.contains("exceeded"), "{}", done.out);
}

#[test]
fn a_pod_is_known_wherever_nodes_are() {
    let lab = lab(LAB);
    let status = lab.json(["ps", "--format", "json"]);
    let nodes = status["nodes"].as_array().unwrap();
    let kinds: Vec<(&str, &str)> = nodes
        .iter()
        .map(|node| (node["name"].as_str().unwrap(), node["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("r", "router"),
            ("a", "k8s"),
            ("b", "k8s"),
            ("a/pod0", "pod"),
            ("a/pod1", "pod"),
            ("b/web", "pod"),
            ("b/db", "pod")
        ]
    );
    assert_eq!(lab.sh("b/db", "hostname; ls /run/made").trim(), "db\n/run/made");
    until("the pod's process has spoken", || {
        lab.ok(["logs", "b/db"]).contains("store: size 5")
    });
    let file = lab.path("note");
    std::fs::write(&file, "hello").unwrap();
    lab.ok(["cp", file.to_str().unwrap(), "b/db:/tmp/note"]);
    assert_eq!(lab.sh("b/db", "cat /tmp/note"), "hello");
    // Its processes are its own.
    lab.ok(["restart", "b/db"]);
    until("it has spoken again", || {
        lab.ok(["logs", "b/db"]).matches("store: size 5").count() == 2
    });
    let graph = lab.ok(["graph", lab.file()]);
    assert!(
        graph.contains("b/db (pod)") && graph.contains("lxc1") && !graph.contains("cilium_net"),
        "{graph}"
    );
    lab.ok(["down", "pods"]);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn errors_with_pods_are_told() {
    let node = "name = \"x\"\n[nodes.a]\nkind = \"k8s\"\n";
    for (text, told) in [
        (format!("{node}pods = 111\n"), "from 0 to 110"),
        (format!("{node}pods = [\"Web\"]\n"), "`Web` is no name for a pod"),
        (format!("{node}pods = [\"../../x\"]\n"), "is no name for a pod"),
        (format!("{node}pods = [{{ run = [] }}]\n"), "`name`"),
        (
            format!("{node}pods = [{{ name = \"a\", addresses = {{}} }}]\n"),
            "`addresses`",
        ),
        (
            format!("{node}pods = [\"web\", \"web\"]\n"),
            "two pods of node `a`",
        ),
        (
            format!("{node}pods = 7\n[kubernetes]\npod_subnet = \"10.1.0.0/29\"\nnode_mask_v4 = 29\n"),
            "no address left for pod `pod5`",
        ),
        (
            format!("{node}pods = 1\n[cilium]\nrouting = \"tunnel\"\n"),
            "not reached through tunnels",
        ),
        (
            "name = \"x\"\n[nodes.a]\nkind = \"host\"\npods = 1\n".to_owned(),
            "is no Kubernetes node",
        ),
    ] {
        let lab = Lab::new(&text);
        let done = lab.run(["validate", lab.file()]);
        assert_eq!(done.code, 2, "{text}{}{}", done.out, done.err);
        assert!(done.err.contains(told), "{told} in\n{}", done.err);
    }
}
