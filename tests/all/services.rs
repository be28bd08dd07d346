//! Services of clusters without a Kubernetes: who is sent to at their addresses, and which nodes announce them.

use crate::common;

use std::fs;

use common::{Lab, until};
use serde_json::Value;

/// A router, two nodes with a pod each that tells its name on port 8080, a pod that asks, and a computer outside.
const LAB: &str = r#"
name = "services"

[kubernetes]
pod_subnet = "10.1.0.0/16"

[defaults]
engine = "builtin"

[nodes.tor]
kind = "router"
addresses = { eth1 = ["10.0.1.1/24"], eth2 = ["10.0.2.1/24"], eth3 = ["10.0.3.1/24"] }
config = """
router bgp 65000
 no bgp ebgp-requires-policy
 neighbor 10.0.1.2 remote-as 65010
 neighbor 10.0.2.2 remote-as 65010
"""

[nodes.a]
kind = "k8s"
addresses = { eth0 = ["10.0.1.2/24"] }
routes = [{ to = "default", via = "10.0.1.1" }]
pods = [
    { name = "web", labels = { app = "web" }, ports = { tells = 8080 }, files = { "/web.py" = { content = WEB } }, run = [{ name = "web", command = "python3 /web.py a" }] },
    { name = "asks", labels = { app = "asks" } },
]

[nodes.b]
kind = "k8s"
addresses = { eth0 = ["10.0.2.2/24"] }
routes = [{ to = "default", via = "10.0.2.1" }]
pods = [{ name = "web", labels = { app = "web" }, ports = { tells = 8080 }, files = { "/web.py" = { content = WEB } }, run = [{ name = "web", command = "python3 /web.py b" }] }]

[nodes.outside]
kind = "host"
addresses = { eth0 = ["10.0.3.2/24"] }
routes = [{ to = "default", via = "10.0.3.1" }]

[[links]]
endpoints = ["tor:eth1", "a:eth0"]
[[links]]
endpoints = ["tor:eth2", "b:eth0"]
[[links]]
endpoints = ["tor:eth3", "outside:eth0"]
"#;

/// Tells everybody who connects, and everybody who sends a datagram, its name and the other's address.
const WEB: &str = r#"import socket, sys, threading
def datagrams():
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("", 8080))
    while True:
        _, p = u.recvfrom(100)
        u.sendto((sys.argv[1] + " " + p[0]).encode(), p)
threading.Thread(target=datagrams, daemon=True).start()
s = socket.create_server(("", 8080))
while True:
    c, p = s.accept()
    c.sendall((sys.argv[1] + " " + p[0]).encode())
    c.close()
"#;

const BGP: &str = "
apiVersion: cilium.io/v2alpha1
kind: CiliumBGPPeeringPolicy
metadata: { name: all }
spec:
  nodeSelector: {}
  virtualRouters:
  - localASN: 65010
    exportPodCIDR: true
    serviceSelector: { matchExpressions: [{ key: none, operator: NotIn, values: [none] }] }
    neighbors:
    - { peerAddress: 10.0.1.1/32, peerASN: 65000 }
    - { peerAddress: 10.0.2.1/32, peerASN: 65000 }
---
apiVersion: cilium.io/v2alpha1
kind: CiliumLoadBalancerIPPool
metadata: { name: pool }
spec: { blocks: [{ cidr: 192.0.2.0/28 }] }
";

fn service(app: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: web }}\nspec:\n  type: LoadBalancer\n  selector: {{ app: {app} }}\n  \
         ports: [{{ port: 80, targetPort: 8080, nodePort: 30080 }}]\n{more}"
    )
}

fn up() -> Lab {
    // A string of TOML is one of Rust's, as far as this one goes.
    let lab = Lab::up(&LAB.replace("= WEB", &format!("= {WEB:?}")));
    apply(&lab, BGP);
    lab
}

fn apply(lab: &Lab, text: &str) {
    let file = lab.run_directory().with_file_name("objects.yaml");
    fs::write(&file, text).unwrap();
    lab.ok(["apply", "-f", file.to_str().unwrap()]);
}

/// What a node hears of an address and a port: who answers and as whom it is seen, or that it is refused or hears nothing.
fn ask(lab: &Lab, node: &str, address: &str, port: u16) -> String {
    let asking = format!(
        "import socket\ntry:\n print(socket.create_connection(('{address}', {port}), timeout=3).recv(100).decode())\n\
         except ConnectionRefusedError:\n print('refused')\nexcept OSError:\n print('nothing')"
    );
    lab.ok(["exec", node, "python3", "-c", &asking]).trim().to_owned()
}

/// Who answers, of twenty times.
fn answering(lab: &Lab, node: &str, address: &str, port: u16) -> Vec<String> {
    answering_of(20, lab, node, address, port)
}

/// Who answers, of so many times.
fn answering_of(times: usize, lab: &Lab, node: &str, address: &str, port: u16) -> Vec<String> {
    let mut all: Vec<String> = (0..times)
        .map(|_| {
            ask(lab, node, address, port)
                .split(' ')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

fn routes(lab: &Lab) -> Value {
    let told = lab.ok(["exec", "tor", "vtysh", "-c", "show ip bgp json"]);
    serde_json::from_str::<Value>(&told).unwrap()["routes"].clone()
}

fn next_hops(lab: &Lab, prefix: &str) -> usize {
    routes(lab)[prefix].as_array().map_or(0, Vec::len)
}

#[test]
fn services_lead_to_the_pods_of_their_selector() {
    let lab = up();
    apply(&lab, &service("web", ""));
    let shown = lab.json(["get", "svc", "web", "-o", "json"]);
    let (inner, outer) = ("10.96.0.11", "192.0.2.0");
    assert_eq!(shown["spec"]["clusterIP"], inner);
    assert_eq!(shown["status"]["loadBalancer"]["ingress"][0]["ip"], outer);
    until("the route", || next_hops(&lab, "192.0.2.0/32") == 2);
    until("the pods", || answering(&lab, "a/asks", inner, 80) == ["a", "b"]);
    // From everywhere: a pod, a node, outside; also a pod that is one of those who answer.
    for node in ["a/asks", "a/web", "b/web", "a", "b"] {
        assert_eq!(answering(&lab, node, inner, 80), ["a", "b"], "{node}");
    }
    for node in ["outside", "a/asks", "b"] {
        assert_eq!(answering(&lab, node, outer, 80), ["a", "b"], "{node}");
    }
    assert_eq!(answering(&lab, "outside", "10.0.1.2", 30080), ["a", "b"]);
    // A pod is known by its own address inside, and nobody beyond its node's.
    let seen = ask(&lab, "a/asks", inner, 80);
    assert!(
        seen.ends_with(" 10.1.0.3") || seen.ends_with(" 10.1.0.2"),
        "{seen}"
    );
    let seen = ask(&lab, "outside", outer, 80);
    assert!(!seen.ends_with(" 10.0.3.2"), "{seen}");
    // Nobody answers at another port.
    assert_eq!(ask(&lab, "a/asks", "10.0.2.2", 81), "refused");

    apply(&lab, &service("nobody", ""));
    for (node, address) in [("a/asks", inner), ("b", inner), ("outside", outer)] {
        assert_eq!(ask(&lab, node, address, 80), "refused", "{node}");
    }
    // The way is gone with the service.
    let file = lab.run_directory().with_file_name("objects.yaml");
    lab.ok(["delete", "-f", file.to_str().unwrap()]);
    let rules = lab.ok(["exec", "a", "nft", "list", "ruleset"]);
    assert!(!rules.contains("nslab-services"), "{rules}");
}

#[test]
fn a_local_service_is_announced_where_its_pods_are() {
    let lab = up();
    // One pod of `asks`, on one node.
    apply(&lab, &service("asks", "  externalTrafficPolicy: Local\n"));
    until("the only route", || next_hops(&lab, "192.0.2.0/32") == 1);
    apply(&lab, &service("web", "  externalTrafficPolicy: Local\n"));
    until("both routes", || next_hops(&lab, "192.0.2.0/32") == 2);
    // Who comes from outside is seen as who it is.
    until("the pods", || {
        ask(&lab, "outside", "192.0.2.0", 80).ends_with(" 10.0.3.2")
    });
    // Each node leads to its own.
    assert_eq!(answering(&lab, "outside", "10.0.1.2", 30080), ["a"]);
    assert_eq!(answering(&lab, "outside", "10.0.2.2", 30080), ["b"]);
    // Inside everybody is led to all.
    assert_eq!(answering(&lab, "a/asks", "192.0.2.0", 80), ["a", "b"]);
    apply(&lab, &service("nobody", "  externalTrafficPolicy: Local\n"));
    until("no route", || next_hops(&lab, "192.0.2.0/32") == 0);
}

/// Who answers a datagram that a node sends to an address and a port, and from where.
fn ask_by_datagram(lab: &Lab, node: &str, address: &str, port: u16) -> String {
    let asking = format!(
        "import socket\nu = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nu.settimeout(3)\nu.sendto(b'x', ('{address}', {port}))\n\
         try:\n d, p = u.recvfrom(100)\n print(d.decode().split()[0], *p)\nexcept OSError:\n print('nothing')"
    );
    lab.ok(["exec", node, "python3", "-c", &asking]).trim().to_owned()
}

#[test]
fn datagrams_are_answered_from_where_they_were_sent_to() {
    let lab = up();
    let udp = service("web", "").replace("nodePort: 30080", "nodePort: 30053, protocol: UDP");
    apply(&lab, &udp);
    until("the route", || next_hops(&lab, "192.0.2.0/32") == 2);
    until("the pods", || {
        ask_by_datagram(&lab, "a/asks", "10.96.0.11", 80) != "nothing"
    });
    for (node, address, port) in [
        ("a/asks", "10.96.0.11", 80),
        ("a/web", "10.96.0.11", 80),
        ("b/web", "10.96.0.11", 80),
        ("a", "10.96.0.11", 80),
        ("a/asks", "192.0.2.0", 80),
        ("b", "192.0.2.0", 80),
        ("outside", "192.0.2.0", 80),
        ("outside", "10.0.1.2", 30053),
        ("outside", "10.0.2.2", 30053),
        ("a/asks", "10.0.2.2", 30053),
        ("a/asks", "10.0.1.2", 30053),
    ] {
        // Often enough for both pods to have their turn.
        for _ in 0..4 {
            let told = ask_by_datagram(&lab, node, address, port);
            assert_eq!(told[1..], format!(" {address} {port}"), "{node}");
        }
    }
}

#[test]
fn a_client_stays_with_its_pod_where_the_service_says_so() {
    let lab = up();
    apply(&lab, &service("web", "  sessionAffinity: ClientIP\n"));
    let (inner, outer) = ("10.96.0.11", "192.0.2.0");
    until("the route", || next_hops(&lab, "192.0.2.0/32") == 2);
    until("the pods", || ask(&lab, "a/asks", inner, 80) != "nothing");
    // Each of these has an address of its own, and all together know both pods.
    let mut known = Vec::new();
    for (node, address) in [
        ("a/asks", inner),
        ("a/web", inner),
        ("b/web", inner),
        ("a", inner),
        ("b", inner),
        ("outside", outer),
    ] {
        let answering = answering_of(6, &lab, node, address, 80);
        assert_eq!(answering.len(), 1, "{node}: {answering:?}");
        known.extend(answering);
    }
    known.sort();
    known.dedup();
    assert_eq!(known, ["a", "b"]);
}

#[test]
fn ports_have_names_and_nodes_have_ports_that_nobody_said() {
    let lab = up();
    let named = service("web", "").replace(
        "targetPort: 8080, nodePort: 30080",
        "name: http, targetPort: tells",
    );
    apply(&lab, &named);
    until("the pods", || {
        answering(&lab, "a/asks", "10.96.0.11", 80) == ["a", "b"]
    });
    let shown = lab.json(["get", "svc", "web", "-o", "json"]);
    let port = u16::try_from(shown["spec"]["ports"][0]["nodePort"].as_u64().unwrap()).unwrap();
    assert!((30000..=32767).contains(&port), "{port}");
    assert_eq!(answering(&lab, "outside", "10.0.1.2", port), ["a", "b"]);
    assert!(lab.ok(["get", "svc"]).contains(&format!("80:{port}/TCP")));
    // Another name is no pod's.
    apply(&lab, &named.replace("targetPort: tells", "targetPort: other"));
    assert_eq!(ask(&lab, "a/asks", "10.96.0.11", 80), "refused");
}

#[test]
fn who_answers_for_a_service_without_selector_is_said_beside_it() {
    let lab = up();
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: one }\nspec: { ports: [{ port: 80 }] }\n---\n\
        apiVersion: v1\nkind: Service\nmetadata: { name: two }\nspec: { clusterIP: None, ports: [{ name: tells, port: 8080 }] }\n";
    let endpoints = "apiVersion: v1\nkind: Endpoints\nmetadata: { name: one }\nsubsets: [{ addresses: [{ ip: 10.1.1.2 }], ports: [{ port: 8080 }] }]\n---\n\
        apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: two-x, labels: { kubernetes.io/service-name: two } }\n\
        addressType: IPv4\nports: [{ name: tells, port: 8080 }]\nendpoints: [{ addresses: [10.1.0.2], hostname: first }]\n";
    apply(&lab, service);
    assert_eq!(ask(&lab, "a/asks", "10.96.0.11", 80), "nothing");
    apply(&lab, endpoints);
    until("the pod", || answering(&lab, "a/asks", "one", 80) == ["b"]);
    until("the other pod", || answering(&lab, "b/web", "two", 8080) == ["a"]);
    assert_eq!(answering(&lab, "b/web", "first.two", 8080), ["a"]);
    assert!(lab.ok(["get", "endpoints"]).contains("one"));
}
