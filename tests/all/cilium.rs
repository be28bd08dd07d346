//! Cilium's BGP in living labs: objects are applied, changed and deleted, and the routers beside the nodes see it.

use crate::common;

use std::fs;
use std::path::PathBuf;

use common::{Host, Lab, in_package, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A router and two Kubernetes nodes, in one AS with the first and in another than the second.
const LAB: &str = r#"
name = "cilium"

[kubernetes]
pod_subnet = ["10.1.0.0/16", "fd00:10::/56"]

[nodes.tor]
kind = "router"
engine = "builtin"
addresses = { eth1 = ["10.0.1.1/24", "fd00:1::1/64"], eth2 = ["10.0.2.1/24", "fd00:2::1/64"] }
config = """
frr defaults datacenter
router bgp 65010
 bgp router-id 10.0.0.1
 no bgp ebgp-requires-policy
 neighbor 10.0.1.2 remote-as 65010
 neighbor 10.0.2.2 remote-as 65020
 address-family ipv6 unicast
  neighbor 10.0.1.2 activate
 exit-address-family
"""

[nodes.near]
kind = "k8s"
labels = { rack = "near" }
addresses = { eth0 = ["10.0.1.2/24", "fd00:1::2/64"] }
routes = [{ to = "default", via = "10.0.1.1" }]

[nodes.far]
kind = "k8s"
labels = { rack = "far" }
addresses = { eth0 = ["10.0.2.2/24"] }
routes = [{ to = "default", via = "10.0.2.1" }]

[[links]]
endpoints = ["tor:eth1", "near:eth0"]
[[links]]
endpoints = ["tor:eth2", "far:eth0"]
"#;

/// A policy for one of the nodes; `more` belongs to the neighbor.
fn policy(rack: &str, asn: u32, peer: &str, more: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2alpha1
kind: CiliumBGPPeeringPolicy
metadata: {{ name: {rack} }}
spec:
  nodeSelector: {{ matchLabels: {{ rack: {rack} }} }}
  virtualRouters:
  - localASN: {asn}
    exportPodCIDR: true
    neighbors:
    - peerAddress: {peer}/32
      peerASN: 65010
{more}"
    )
}

fn near(more: &str) -> String {
    policy("near", 65010, "10.0.1.1", more)
}

/// Gives a manifest to `apply` or `delete`.
fn give(lab: &Lab, verb: &str, manifest: &str) -> String {
    let done = lab.feed([verb, "-f", "-"], manifest.as_bytes());
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    done.out
}

fn asked(lab: &Lab, command: &str) -> Value {
    serde_json::from_str(&lab.ok(["exec", "tor", "vtysh", "-c", command])).unwrap_or_default()
}

/// What the router knows of a prefix.
fn path(lab: &Lab, prefix: &str) -> Value {
    let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
    asked(lab, &format!("show bgp {family} unicast {prefix} json"))["paths"][0].clone()
}

fn state(lab: &Lab, neighbor: &str) -> String {
    let peers = asked(lab, "show bgp summary json");
    let state = &peers["ipv4Unicast"]["peers"][neighbor]["state"];
    state.as_str().unwrap_or_default().to_owned()
}

fn is_known(lab: &Lab, prefix: &str) -> bool {
    path(lab, prefix).is_object()
}

#[test]
fn objects_are_obeyed_as_they_come_change_and_go() {
    let lab = Lab::up(LAB);
    let name = "ciliumbgppeeringpolicy.cilium.io/near";
    assert_eq!(give(&lab, "apply", &near("")), format!("{name} created\n"));
    until("both pod networks", || {
        is_known(&lab, "10.1.0.0/24") && is_known(&lab, "fd00:10::/64")
    });
    assert_eq!(path(&lab, "10.1.0.0/24")["origin"], "IGP");
    assert!(!is_known(&lab, "10.1.1.0/24"));
    let session =
        || asked(&lab, "show bgp neighbors 10.0.1.2 json")["10.0.1.2"]["connectionsEstablished"].clone();
    let sessions = session();
    assert_eq!(give(&lab, "apply", &near("")), format!("{name} unchanged\n"));
    let attributes = "      advertisedPathAttributes:
      - selectorType: PodCIDR
        communities: { standard: ['65010:7'], wellKnown: [no-export], large: ['65010:1:2'] }
        localPreference: 150
";
    assert_eq!(
        give(&lab, "apply", &near(attributes)),
        format!("{name} configured\n")
    );
    until("the attributes", || path(&lab, "10.1.0.0/24")["locPrf"] == 150);
    let path_now = path(&lab, "10.1.0.0/24");
    assert_eq!(path_now["community"]["string"], "65010:7 no-export");
    assert_eq!(path_now["largeCommunity"]["string"], "65010:1:2");
    // Nothing was begun anew for that.
    assert_eq!(session(), sessions);
    give(&lab, "apply", &near("").replace("true", "false"));
    until("no pod network", || !is_known(&lab, "10.1.0.0/24"));
    assert_eq!(
        (session(), state(&lab, "10.0.1.2").as_str()),
        (sessions, "Established")
    );
    let told = give(&lab, "delete", &near(""));
    assert_eq!(told, "ciliumbgppeeringpolicy.cilium.io \"near\" deleted\n");
    until("the session's end", || state(&lab, "10.0.1.2") != "Established");
    lab.feed(["delete", "-f", "-"], near("").as_bytes())
        .refused(1, &["not all of these objects were there"]);
    lab.feed(["delete", "--ignore-not-found", "-f", "-"], near("").as_bytes())
        .expect(0);
}

#[test]
fn a_neighbor_in_another_as_may_be_as_far_as_is_said() {
    let lab = Lab::up(LAB);
    give(&lab, "apply", &policy("far", 65020, "10.0.2.1", ""));
    until("the pod network of another AS", || is_known(&lab, "10.1.1.0/24"));
    assert_eq!(path(&lab, "10.1.1.0/24")["aspath"]["string"], "65020");
    let peers = lab.json(["cilium", "bgp", "peers", "--node", "far", "--format", "json"]);
    let peer = &peers["far"][0];
    assert_eq!(
        (&peer["local-asn"], &peer["peer-asn"]),
        (&65020.into(), &65010.into())
    );
    assert_eq!(peer["session-state"], "established");
    // FRR's datacenter timers are shorter, and hold.
    assert_eq!(peer["configured-hold-time-seconds"], 90);
    assert_eq!(peer["applied-hold-time-seconds"], 9);
}

#[test]
fn passwords_are_those_of_secrets() {
    let signed = LAB.replace(
        "neighbor 10.0.1.2 remote-as 65010",
        "neighbor 10.0.1.2 remote-as 65010\n neighbor 10.0.1.2 password keep-out",
    );
    let lab = Lab::up(&signed);
    let with = near("      authSecretRef: tor\n");
    let secret = "
---
apiVersion: v1
kind: Secret
metadata: { name: tor, namespace: kube-system }
data: { password: a2VlcC1vdXQ= }
";
    let done = lab.feed(["apply", "-f", "-"], with.as_bytes());
    assert!(
        done.err.contains("Warning: there is no secret tor"),
        "{}",
        done.err
    );
    assert!(!is_known(&lab, "10.1.0.0/24"));
    give(&lab, "apply", secret);
    until("a session that is signed", || is_known(&lab, "10.1.0.0/24"));
}

#[test]
fn the_newer_resources_find_the_gateway_and_announce_services() {
    let lab = Lab::up(LAB);
    let objects = "
apiVersion: cilium.io/v2
kind: CiliumBGPClusterConfig
metadata: { name: near }
spec:
  nodeSelector: { matchLabels: { rack: near } }
  bgpInstances:
  - name: near
    localASN: 65010
    peers:
    - name: tor
      peerASN: 65010
      autoDiscovery: { mode: DefaultGateway, defaultGateway: { addressFamily: ipv4 } }
      peerConfigRef: { name: tor }
---
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: { name: tor }
spec:
  families:
  - { afi: ipv4, safi: unicast, advertisements: { matchLabels: { advertise: bgp } } }
---
apiVersion: cilium.io/v2
kind: CiliumBGPAdvertisement
metadata: { name: bgp, labels: { advertise: bgp } }
spec:
  advertisements:
  - advertisementType: Service
    service: { addresses: [LoadBalancerIP] }
    selector: { matchLabels: { app: web } }
    attributes: { communities: { standard: ['65010:99'] } }
---
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: { name: blue }
spec: { blocks: [{ cidr: 192.0.2.16/28 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, labels: { app: web } }
spec: { type: LoadBalancer, ports: [{ port: 80 }] }
";
    give(&lab, "apply", objects);
    until("the service's address", || is_known(&lab, "192.0.2.16/32"));
    assert_eq!(path(&lab, "192.0.2.16/32")["community"]["string"], "65010:99");
    assert!(!is_known(&lab, "10.1.0.0/24"));
    assert!(lab.ok(["get", "svc"]).contains("192.0.2.16"));
    // A node whose gateway goes has nobody to talk to.
    lab.sh("near", "ip route delete default");
    until("the session's end", || state(&lab, "10.0.1.2") != "Established");
    lab.sh("near", "ip route add default via 10.0.1.1");
    until("the session's return", || is_known(&lab, "192.0.2.16/32"));
}

#[test]
fn what_is_wrong_changes_nothing() {
    let lab = Lab::up(LAB);
    give(&lab, "apply", &near(""));
    let refused = |manifest: &str, words: &[&str]| {
        lab.feed(["apply", "-f", "-"], manifest.as_bytes())
            .refused(2, words);
    };
    refused(&near("      peerPrt: 179\n"), &["peerPrt", "12"]);
    refused(
        &format!(
            "{}---\n{}",
            near("").replace("true", "false"),
            near("").replace("name: near", "name: b")
        ),
        &["both select node near"],
    );
    refused("a: [\n", &["not YAML"]);
    assert_eq!(
        give(&lab, "apply", &near("")),
        "ciliumbgppeeringpolicy.cilium.io/near unchanged\n"
    );
    let shown = lab.json(["get", "bgpp", "near", "-o", "json"]);
    assert_eq!(shown["spec"]["virtualRouters"][0]["localASN"], 65010);
    lab.run(["get", "bgpp", "other"])
        .refused(1, &["there is no CiliumBGPPeeringPolicy"]);
    lab.run(["get", "pods"]).refused(2, &["no objects of kind"]);
}

#[test]
fn an_agent_that_is_killed_and_a_node_that_is_started_again_know_what_to_do() {
    let lab = Lab::up(LAB);
    give(&lab, "apply", &near(""));
    until("the pod network", || is_known(&lab, "10.1.0.0/24"));
    let established = || {
        let told = asked(&lab, "show bgp neighbors 10.0.1.2 json");
        told["10.0.1.2"]["connectionsEstablished"].as_u64().unwrap_or(0)
    };
    let before = established();
    kill(Pid::from_raw(lab.program("near")), Signal::SIGKILL).unwrap();
    until("another session", || {
        established() > before && state(&lab, "10.0.1.2") == "Established"
    });
    let before = established();
    lab.ok(["restart", "near"]);
    until("a session of the new life", || {
        established() > before && is_known(&lab, "10.1.0.0/24")
    });
}

/// Kilobytes of memory and the number of descriptors of a node's agent.
fn cost(lab: &Lab, node: &str) -> (u64, usize) {
    let pid = lab.program(node);
    let memory = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = memory.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    (
        kilobytes,
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
    )
}

#[test]
fn a_policy_that_comes_changes_and_goes_again_and_again_leaves_nothing() {
    // The whole thousand takes a minute; what leaks shows in less.
    let rounds: usize = std::env::var("NSLAB_ROUNDS").map_or(100, |rounds| rounds.parse().unwrap());
    let lab = Lab::up(LAB);
    let changed = near("      eBGPMultihopTTL: 2\n").replace("true", "false");
    let round = || {
        give(&lab, "apply", &near(""));
        give(&lab, "apply", &changed);
        give(&lab, "delete", &changed);
    };
    for _ in 0..rounds / 4 {
        round();
    }
    let (memory, descriptors) = cost(&lab, "near");
    for _ in 0..rounds {
        round();
    }
    until("as many descriptors as before", || {
        cost(&lab, "near").1 <= descriptors
    });
    let now = cost(&lab, "near").0;
    assert!(now < memory + 1024, "{memory} kB before, {now} kB after");
    give(&lab, "apply", &near(""));
    until("the session as it was", || is_known(&lab, "10.1.0.0/24"));
}

/// The published lab's own files, where they are.
fn article() -> Option<PathBuf> {
    let place = in_package("../shared/article");
    let found = place.is_dir().then_some(place);
    if found.is_none() {
        println!("skipped: ../shared/article is not here");
    }
    found
}

/// Whether a router's table has these routes, and a default route at most.
pub fn has_routes(lab: &Lab, node: &str, wanted: &Value) -> bool {
    let told = lab.run(["exec", node, "vtysh", "-c", "show bgp ipv4 unicast json"]);
    let told: Value = serde_json::from_str(&told.out).unwrap_or_default();
    let routes = told["routes"]
        .as_object()
        .map(|all| all.keys().cloned().collect::<Vec<_>>());
    let mut routes = routes.unwrap_or_default();
    routes.sort();
    let mut wanted: Vec<String> = serde_json::from_value(wanted.clone()).unwrap();
    wanted.sort();
    routes == wanted
}

fn has_neighbors(lab: &Lab, node: &str, wanted: &Value) -> bool {
    let told = lab.run(["exec", node, "vtysh", "-c", "show bgp summary json"]);
    let told: Value = serde_json::from_str(&told.out).unwrap_or_default();
    let peers = &told["ipv4Unicast"]["peers"];
    let keys = [
        ("as", "remoteAs"),
        ("state", "state"),
        ("received", "pfxRcd"),
        ("sent", "pfxSnt"),
    ];
    wanted.as_object().unwrap().iter().all(|(name, wanted)| {
        let known = &peers[name];
        keys.iter()
            .all(|(key, theirs)| wanted.get(key).is_none_or(|value| known[theirs] == *value))
    })
}

#[test]
fn the_published_lab_from_its_own_files_on_frr() {
    if common::has_frr() {
        published_lab("frr");
    }
}

/// Its own commands start FRR, edit FRR's files and configure it: they work with the built-in speaker in its place.
#[test]
fn the_published_lab_from_its_own_files_without_frr() {
    published_lab("builtin");
}

fn published_lab(engine: &str) {
    let Some(article) = article() else {
        return;
    };
    let expected = fs::read_to_string(article.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let files: Vec<String> = ["topo.yaml", "cluster.yaml", "values.yaml", "bgp-policy.yaml"]
        .map(|name| article.join(name).to_str().unwrap().to_owned())
        .to_vec();
    let lab = Lab::new("").on(Host::new());
    let options = ["up", "-d", "--hold-manifests", "--engine", engine];
    let mut words: Vec<String> = options.map(str::to_owned).to_vec();
    words.extend(files.clone());
    lab.ok(&words);
    let played = lab.json(["ps", "--format", "json"]);
    let routers = played["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["kind"] == "router");
    let engines: Vec<&Value> = routers.map(|node| &node["engine"]).collect();
    assert_eq!(engines, [engine; 3]);
    for phase in ["before", "after"] {
        if phase == "after" {
            lab.ok(["apply", "-f", &files[3]]);
        }
        for (node, wanted) in expected[phase].as_object().unwrap() {
            if let Some(routes) = wanted.get("routes") {
                until(&format!("the routes of {node} {phase}"), || {
                    has_routes(&lab, node, routes)
                });
            }
            if let Some(neighbors) = wanted.get("neighbors") {
                until(&format!("the neighbors of {node} {phase}"), || {
                    has_neighbors(&lab, node, neighbors)
                });
            }
        }
    }
}

/// `NSLAB_ROUNDS=1000` makes so many rounds.
#[test]
fn policies_come_change_and_go_again_and_again_and_leave_nothing() {
    let rounds = std::env::var("NSLAB_ROUNDS").ok().and_then(|it| it.parse().ok());
    let lab = Lab::up(LAB);
    let slower = near("      connectRetryTimeSeconds: 5\n");
    let round = || {
        give(&lab, "apply", &near(""));
        give(&lab, "apply", &slower);
        give(&lab, "delete", &slower);
    };
    // KiB of the node's own processes: what they share with others hangs on the others.
    let memory = || -> u64 {
        let status = lab.sh("near", "cat /proc/[0-9]*/status");
        let lines = status.lines().filter_map(|line| line.strip_prefix("RssAnon:"));
        lines
            .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            .sum()
    };
    for _ in 0..10 {
        round();
    }
    let before = memory();
    for _ in 0..rounds.unwrap_or(30u32) {
        round();
    }
    let now = memory();
    assert!(
        now < before + 1024,
        "the node has grown from {before} to {now} KiB"
    );
    give(&lab, "apply", &near(""));
    until("the session is up as at first", || {
        state(&lab, "10.0.1.2") == "Established"
    });
    assert!(is_known(&lab, "10.1.0.0/24"));
}
