//! Objects of all kinds that a lab's manifests bring to a real Kubernetes: what becomes of them, by which names they are found, and
//! who announces services that answer only where their pods are.

use std::fs;

use serde_json::Value;

use crate::common::{Host, Lab, has_kubernetes, until};

/// A router with a node at each of two ports.
const LAB: &str = r#"
name = "objects"
[kubernetes]
pod_subnet = "10.1.0.0/16"
kube_proxy = true
[cilium]
manifests = ["objects.yaml"]
[kinds.k8s]
engine = "kubelet"
[nodes.tor]
kind = "router"
engine = "builtin"
addresses = { eth1 = ["10.0.1.1/24"], eth2 = ["10.0.2.1/24"] }
config = """
router bgp 65000
 no bgp ebgp-requires-policy
 neighbor 10.0.1.2 remote-as 65010
 neighbor 10.0.2.2 remote-as 65010
"""
[nodes.one]
kind = "k8s"
role = "control-plane"
addresses = { eth0 = ["10.0.1.2/24"] }
routes = [{ to = "default", via = "10.0.1.1" }]
pods = ["asks", { name = "web", labels = { app = "own" }, ports = { tells = 8080 }, run = [
  { name = "web", command = "python3 -m http.server 8080", ready = { tcp = 8080 } },
] }]
[nodes.two]
kind = "k8s"
addresses = { eth0 = ["10.0.2.2/24"] }
routes = [{ to = "default", via = "10.0.2.1" }]
pods = ["asks"]
[[links]]
endpoints = ["tor:eth1", "one:eth0"]
[[links]]
endpoints = ["tor:eth2", "two:eth0"]
"#;

/// Objects that mean something for BGP among others; the Deployment's pod is on `two`.
const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: { name: demo }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: demo }
data: { color: blue, "on": "yes", number: "7" }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: demo }
spec:
  replicas: 1
  strategy: { type: Recreate }
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      nodeSelector: { kubernetes.io/hostname: two }
      containers: [{ name: web, image: "nslab.local/web:1", imagePullPolicy: Never }]
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: demo }
spec: { type: LoadBalancer, externalTrafficPolicy: Local, selector: { app: web }, ports: [{ name: http, port: 80 }] }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: every, namespace: demo }
spec:
  selector: { matchLabels: { app: every } }
  template:
    metadata: { labels: { app: every } }
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{ name: web, image: "nslab.local/web:1", imagePullPolicy: Never }]
---
apiVersion: v1
kind: Service
metadata: { name: every, namespace: demo }
spec: { clusterIP: None, selector: { app: every }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: own }
spec: { selector: { app: own }, ports: [{ port: 80, targetPort: tells }] }
---
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
"#;

/// The gateways of the router's route to the service's address outside.
fn announcing(lab: &Lab) -> Vec<String> {
    let told: Value = serde_json::from_str(&lab.sh("tor", "vtysh -c 'show ip bgp json'")).unwrap();
    let paths = told["routes"]["192.0.2.0/32"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let hop = |path: &Value| path["nexthops"][0]["ip"].as_str().unwrap().to_owned();
    paths.iter().map(hop).collect()
}

/// What a web server answers.
fn fetch(lab: &Lab, node: &str, url: &str) -> String {
    let line = format!(
        "import urllib.request as u\ntry:\n print(u.urlopen('{url}', timeout=3).read().decode())\nexcept OSError as e:\n print('nothing', e)"
    );
    lab.ok(["exec", node, "python3", "-c", &line]).trim().to_owned()
}

#[test]
fn what_manifests_bring_runs_is_found_by_name_and_is_announced_where_it_is() {
    if !has_kubernetes() {
        return;
    }
    let lab = Lab::new(LAB).on(Host::new());
    fs::write(lab.path("objects.yaml"), OBJECTS).unwrap();
    lab.ok(["up", "-d", "--timeout", "240s", lab.file()]);
    let kubectl = |line: &str| lab.sh("one", &format!("kubectl --request-timeout 20s {line}"));
    assert_eq!(
        kubectl("-n demo get configmap settings -o jsonpath={.data.color}/{.data.on}/{.data.number}"),
        "blue/yes/7"
    );
    let ready =
        |what: &str, path: &str| kubectl(&format!("-n demo get {what} -o jsonpath={{.status.{path}}}"));
    until("the DaemonSet runs", || {
        ready("daemonset every", "numberReady") == "2"
    });
    until("the Deployment runs", || {
        ready("deployment web", "readyReplicas") == "1"
    });
    // Only the node with the pod announces the service.
    until("the service is announced", || announcing(&lab) == ["10.0.2.2"]);
    until("it answers outside", || {
        fetch(&lab, "tor", "http://192.0.2.0/").starts_with("web-")
    });
    // Names lead from one node to the other, by pods of the lab file as by Kubernetes' own, and from nodes.
    let dns = kubectl("-n kube-system get service kube-dns -o jsonpath={.spec.clusterIP}");
    assert_eq!(dns, "10.96.0.10");
    for pod in ["one/asks", "two/asks"] {
        until("it answers by its name", || {
            fetch(&lab, pod, "http://web.demo/").starts_with("web-")
        });
        until("the pod of the lab file does", || {
            fetch(&lab, pod, "http://own/").contains("Directory listing")
        });
        let all = super::cluster_dns::addresses(&lab, pod, "every.demo");
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all.iter().all(|it| it.starts_with("10.1.")), "{all:?}");
        assert!(super::cluster_dns::addresses(&lab, pod, "nosuch.demo").is_empty());
        assert_eq!(
            super::cluster_dns::addresses(&lab, pod, "kubernetes"),
            ["10.96.0.1"]
        );
    }
    let own = kubectl("-n demo get pods -l app=every -o jsonpath={.items[0].spec.dnsPolicy}");
    assert_eq!(own, "ClusterFirst");
    let configuration = lab.sh("two", "cat /etc/kubernetes/kubelet.json");
    let configuration: Value = serde_json::from_str(&configuration).unwrap();
    assert_eq!(configuration["clusterDNS"][0], "10.96.0.10");
    // The announcement follows the pod.
    let patch = r#"{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"one"}}}}}"#;
    kubectl(&format!("-n demo patch deployment web -p '{patch}'"));
    until("the announcement moves", || announcing(&lab) == ["10.0.1.2"]);
    // Applied again nothing changes, and deleted all is gone.
    let again = lab.ok(["apply"]);
    for line in [
        "namespace/demo unchanged",
        "configmap/settings unchanged",
        "deployment.apps/web configured",
        "daemonset.apps/every unchanged",
        "ciliumbgppeeringpolicy.cilium.io/all unchanged",
    ] {
        assert!(again.contains(line), "{line} in\n{again}");
    }
    until("the pod is back", || announcing(&lab) == ["10.0.2.2"]);
    let file = lab.path("objects.yaml");
    let deleted = lab.ok(["delete", "-f", file.to_str().unwrap()]);
    assert!(deleted.contains("deployment.apps \"web\" deleted"), "{deleted}");
    until("nobody announces it", || announcing(&lab).is_empty());
    until("it has no name", || {
        super::cluster_dns::addresses(&lab, "two/asks", "web.demo").is_empty()
    });
}
