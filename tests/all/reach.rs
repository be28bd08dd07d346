//! What a lab file reaches on the host: every key of lab files is judged here, and the document names those that reach it.

use std::collections::BTreeSet;
use std::fs;

use crate::common::in_package;

/// Keys by which a file reaches the host's files, interfaces or ports, or other machines: they stand in docs/security.md, "What a
/// lab file can do".
const REACHING: &[(&str, &[&str])] = &[
    ("CiliumTable", &["manifests"]),
    ("ConfigTable", &["file"]),
    ("FileTable", &["from"]),
    ("ImagesTable", &["ca", "insecure", "mirrors", "registry"]),
    ("InterfaceTable", &["link", "type"]),
    (
        "KubernetesTable",
        &["bin_dir", "etcd_dir", "images", "registry_mirror"],
    ),
    ("LinkTable", &["host_interface", "type", "underlay"]),
    (
        "MgmtTable",
        &[
            "bridge",
            "ipv4_gw",
            "ipv4_subnet",
            "ipv6_gw",
            "ipv6_subnet",
            "mtu",
            "nat",
            "nat6",
            "network",
        ],
    ),
    (
        "NodeTable",
        &[
            "binds",
            "capabilities",
            "config",
            "engine",
            "files",
            "image",
            "kind",
            "license",
            "network",
            "ports",
            "privileged",
            "show_host",
        ],
    ),
    (
        "PodTable",
        &[
            "binds",
            "capabilities",
            "files",
            "ports",
            "privileged",
            "show_host",
        ],
    ),
    ("RegistryTable", &["ca", "cert", "insecure", "key"]),
    ("StepTable", &["apply", "delete"]),
    ("top", &["cilium", "images", "kinds", "kubernetes", "mgmt"]),
];
/// Keys of what is in the lab alone: its nodes, their processes with the rights of those, and the networks between them.
const INSIDE: &[(&str, &[&str])] = &[
    (
        "BgpTable",
        &["as", "family", "neighbor", "received", "sent", "state"],
    ),
    (
        "CheckTable",
        &[
            "bgp", "expect", "name", "node", "not", "phase", "ping", "route", "run", "shell", "stays", "tcp",
            "within",
        ],
    ),
    (
        "CheckedRouteTable",
        &["dev", "metric", "nexthops", "proto", "table", "to", "via"],
    ),
    (
        "CiliumTable",
        &[
            "agent",
            "bgp_control_plane",
            "ipam",
            "ipv4",
            "ipv4_masquerade",
            "ipv4_native_cidr",
            "ipv6",
            "ipv6_masquerade",
            "ipv6_native_cidr",
            "routing",
        ],
    ),
    ("CountBoundTable", &["below", "flows"]),
    (
        "DirectionTable",
        &[
            "corrupt",
            "delay",
            "duplicate",
            "jitter",
            "loss",
            "only",
            "rate",
            "reorder",
            "seed",
        ],
    ),
    ("EndpointTable", &["interface", "ipv4", "ipv6", "mac", "node"]),
    ("ExecTable", &["command", "may_fail", "shell"]),
    (
        "ExpectTable",
        &["contains", "equals", "exit", "jq", "matches", "stdout"],
    ),
    (
        "ExpectationsTable",
        &["checks", "healed_within", "lost", "outage", "routes_as_before"],
    ),
    ("FileTable", &["content", "mode", "owner"]),
    (
        "FlowTable",
        &[
            "dscp",
            "family",
            "from",
            "late_after",
            "name",
            "port",
            "pps",
            "proto",
            "size",
            "start",
            "to",
        ],
    ),
    (
        "HealthcheckTable",
        &["interval", "retries", "start_period", "test", "timeout"],
    ),
    (
        "ImpairTable",
        &[
            "a_to_b",
            "b_to_a",
            "corrupt",
            "delay",
            "duplicate",
            "jitter",
            "loss",
            "only",
            "rate",
            "reorder",
            "seed",
        ],
    ),
    (
        "InterfaceTable",
        &[
            "addresses",
            "ageing_time",
            "downdelay",
            "encrypt",
            "forward_delay",
            "fwmark",
            "group",
            "id",
            "key",
            "lacp_rate",
            "late",
            "learning",
            "listen_port",
            "local",
            "mac",
            "master",
            "mcast_snooping",
            "miimon",
            "min_links",
            "mode",
            "mtu",
            "multi_queue",
            "packet_info",
            "peers",
            "ports",
            "primary",
            "priority",
            "private_key",
            "protocol",
            "pvid",
            "remote",
            "replay_window",
            "siblings",
            "stp",
            "table",
            "tagged",
            "ttl",
            "udp_port",
            "untagged",
            "updelay",
            "user",
            "vlan_default_pvid",
            "vlan_filtering",
            "vlan_protocol",
            "vni",
            "xmit_hash_policy",
        ],
    ),
    (
        "KubernetesTable",
        &[
            "cluster",
            "cni",
            "dns",
            "kube_proxy",
            "node_mask_v4",
            "node_mask_v6",
            "pod_subnet",
            "service_subnet",
        ],
    ),
    ("LimitsTable", &["disk", "log", "open_files", "processes"]),
    (
        "LinkTable",
        &[
            "endpoints",
            "impair",
            "learning",
            "local",
            "mode",
            "mtu",
            "offload",
            "remote",
            "udp_port",
            "vni",
        ],
    ),
    ("MgmtPortTable", &["ipv4", "ipv6"]),
    ("NextHopTable", &["dev", "via", "weight"]),
    ("NodeReadyTable", &["routes"]),
    (
        "NodeTable",
        &[
            "addresses",
            "after_ready",
            "aliases",
            "cmd",
            "cpu",
            "dad",
            "entrypoint",
            "env",
            "exec",
            "group",
            "healthcheck",
            "hostname",
            "image_pull",
            "init",
            "interfaces",
            "labels",
            "limits",
            "masquerade",
            "memory",
            "mgmt",
            "node_ips",
            "pods",
            "ready",
            "restart",
            "role",
            "routes",
            "run",
            "startup_delay",
            "stop_signal",
            "sysctls",
            "taints",
            "terminal",
            "tmpfs",
            "type",
            "user",
            "user_namespace",
            "volumes",
            "wait_for",
            "workdir",
        ],
    ),
    ("PingTable", &["from", "to"]),
    (
        "PodTable",
        &[
            "after_ready",
            "cpu",
            "env",
            "exec",
            "labels",
            "limits",
            "memory",
            "name",
            "run",
            "startup_delay",
            "tmpfs",
            "volumes",
            "wait_for",
        ],
    ),
    ("ReadyTable", &["exec", "file", "tcp"]),
    (
        "RouteTable",
        &["dev", "metric", "nexthops", "table", "to", "type", "via", "vrf"],
    ),
    (
        "RunTable",
        &[
            "command", "env", "may_fail", "name", "ready", "restart", "shell", "terminal", "user", "workdir",
        ],
    ),
    ("ScenarioTable", &["capture", "expect", "flows", "name", "steps"]),
    (
        "StepTable",
        &[
            "clear",
            "continue",
            "corrupt",
            "count",
            "delay",
            "direction",
            "down",
            "duplicate",
            "exec",
            "flap",
            "impair",
            "jitter",
            "kill",
            "link_down",
            "link_up",
            "loss",
            "may_fail",
            "only",
            "process",
            "quiet",
            "rate",
            "reorder",
            "restart",
            "run",
            "seed",
            "shell",
            "signal",
            "silence",
            "stop",
            "up",
            "wait",
            "within",
        ],
    ),
    ("TimeBoundTable", &["below", "flows"]),
    (
        "top",
        &[
            "capture",
            "checks",
            "defaults",
            "flows",
            "groups",
            "links",
            "name",
            "nodes",
            "requires",
            "scenarios",
        ],
    ),
];

/// Every key of lab files, with the table that it is of.
fn keys() -> BTreeSet<(String, String)> {
    let text = fs::read_to_string(in_package("labs/lab.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let definitions = schema["$defs"].as_object().unwrap().iter();
    let tables = definitions.map(|(name, table)| (name.as_str(), table));
    tables
        .chain([("top", &schema)])
        .filter_map(|(name, table)| Some((name, table["properties"].as_object()?)))
        .flat_map(|(name, properties)| properties.keys().map(|key| (name.to_owned(), key.clone())))
        .collect()
}

fn all(of: &[(&str, &[&str])]) -> BTreeSet<(String, String)> {
    let pairs = of.iter();
    let pairs =
        pairs.flat_map(|(table, keys)| keys.iter().map(|key| ((*table).to_owned(), (*key).to_owned())));
    pairs.collect()
}

#[test]
fn every_key_that_reaches_the_host_is_in_the_document() {
    let (reaching, inside) = (all(REACHING), all(INSIDE));
    let judged: BTreeSet<_> = reaching.union(&inside).cloned().collect();
    let (known, both) = (keys(), reaching.intersection(&inside).next());
    assert_eq!(both, None);
    let new: Vec<_> = known.difference(&judged).collect();
    assert!(new.is_empty(), "does one of these reach the host? {new:?}");
    let gone: Vec<_> = judged.difference(&known).collect();
    assert!(gone.is_empty(), "there are no such keys any more: {gone:?}");
    let text = fs::read_to_string(in_package("docs/security.md")).unwrap();
    let (_, rest) = text.split_once("## What a lab file can do").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let missing: Vec<_> = reaching.iter().filter(|(_, key)| !names(section, key)).collect();
    assert!(missing.is_empty(), "the document does not tell of {missing:?}");
}

/// Whether a text names a key: in backquotes, by itself, in brackets, or with a value.
fn names(text: &str, key: &str) -> bool {
    let mut quoted = text.split('`').skip(1).step_by(2);
    quoted.any(|words| {
        let mut words = words.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        words.any(|word| word == key)
    })
}
