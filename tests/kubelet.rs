//! A real Kubernetes in the nodes: kubelets, containerd and a control plane, with nslab wiring the pods. Skipped where
//! Kubernetes' programs are not; `scripts/kubernetes-binaries` builds them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use common::{Host, Lab, in_package, run, until};
use nslab::run::directory::LabDirectory;
use serde_json::{Value, json};

/// Whether all programs are here. Prints why the test is skipped where they are not.
fn has_kubernetes() -> bool {
    let found = nslab::engine::kubelet::check();
    if let Err(failure) = &found {
        eprintln!("skipped: {failure}");
    }
    found.is_ok()
}

fn kubectl(lab: &Lab, node: &str, line: &str) -> String {
    lab.sh(node, &format!("kubectl --request-timeout 10s {line}"))
}

/// Pods that wait, by name, each on its node.
fn pods(places: &[(&str, &str)]) -> String {
    let pod = |(name, node): &(&str, &str)| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
            "spec": {
                "nodeName": node, "terminationGracePeriodSeconds": 1,
                "containers": [{ "name": "pause", "image": "nslab.local/pause:1", "imagePullPolicy": "Never" }],
            },
        })
    };
    json!({ "apiVersion": "v1", "kind": "List", "items": places.iter().map(pod).collect::<Vec<_>>() })
        .to_string()
}

/// The address of a pod that runs.
fn address(lab: &Lab, node: &str, pod: &str) -> String {
    let pod =
        || -> Value { serde_json::from_str(&kubectl(lab, node, &format!("get pod {pod} -o json"))).unwrap() };
    until("the pod runs", || pod()["status"]["phase"] == "Running");
    pod()["status"]["podIP"].as_str().unwrap().to_owned()
}

fn cgroups(lab: &Lab, name: &str) -> Vec<PathBuf> {
    let directory = LabDirectory {
        path: lab.run_directory().join(name),
        lab: name.to_owned(),
    };
    common::traces::cgroups(Path::new("/sys/fs/cgroup"), &directory.cgroup())
}

#[test]
fn the_published_lab_holds_on_real_kubelets() {
    if !has_kubernetes() {
        return;
    }
    let lab = Lab::of_file(&in_package("labs/cilium-bgp.toml")).on(Host::new());
    let up = ["up", "-d", "--hold-manifests", "--timeout", "170s"];
    lab.ok(up
        .into_iter()
        .chain(["--engine", "builtin", "--engine", "kubelet", lab.file()]));
    lab.ok(["check", "--phase", "before"]);
    lab.ok(["apply"]);
    lab.ok(["check"]);
    // All nodes are Ready, and have the networks that the lab gives them.
    let nodes: Value = serde_json::from_str(&kubectl(&lab, "server2", "get nodes -o json")).unwrap();
    let told: Vec<(&str, &str)> = nodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            (
                node["metadata"]["name"].as_str().unwrap(),
                node["spec"]["podCIDR"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("server0", "10.1.0.0/24"),
            ("server1", "10.1.1.0/24"),
            ("server2", "10.1.2.0/24"),
            ("server3", "10.1.3.0/24")
        ]
    );
    // Real pods reach each other across the racks, and the lab's own pods them.
    let manifest = pods(&[("left", "server0"), ("right", "server3")]);
    lab.feed(
        ["exec", "server1", "kubectl", "apply", "-f", "-"],
        manifest.as_bytes(),
    )
    .expect(0);
    let (left, right) = (
        address(&lab, "server0", "left"),
        address(&lab, "server0", "right"),
    );
    assert!(
        left.starts_with("10.1.0.") && right.starts_with("10.1.3."),
        "{left} {right}"
    );
    lab.sh("server0/pod0", &format!("ping -c 1 -W 2 {right}"));
    lab.sh("router0", &format!("ping -c 1 -W 2 {left}"));
    let links = || lab.sh("server3", "ip -br link").matches("lxc").count();
    assert_eq!(links(), 2);
    kubectl(&lab, "server0", "delete pod right --wait");
    until("the pod's link is gone", || links() == 1);
    // A kubelet has an identity of its own, with which it may not read what is not its node's.
    let line = "kubectl --kubeconfig /etc/kubernetes/kubelet.conf get secrets -A";
    assert_ne!(lab.run(["exec", "server1", "sh", "-c", line]).code, 0);
    assert_eq!(
        lab.sh(
            "server1",
            "stat -c %a /etc/kubernetes/kubelet.conf /root/.kube/config"
        ),
        "600\n600\n"
    );
    let before = cgroups(&lab, "cilium-bgp");
    assert!(!before.is_empty());
    lab.ok(["down", "cilium-bgp"]);
    assert_eq!(cgroups(&lab, "cilium-bgp"), Vec::<PathBuf>::new());
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

const PAIR: &str = r#"
name = "cluster"
[defaults]
engine = "kubelet"
[nodes.one]
kind = "k8s"
mgmt = true
addresses = { eth1 = ["10.0.0.1/24"] }
[nodes.two]
kind = "k8s"
role = "control-plane"
taints = ["node-role.kubernetes.io/control-plane:NoSchedule"]
mgmt = true
addresses = { eth1 = ["10.0.0.2/24"] }
[[links]]
endpoints = ["one:eth1", "two:eth1"]
"#;

#[test]
fn a_cluster_is_reached_from_the_host_and_a_node_comes_back() {
    if !has_kubernetes() {
        return;
    }
    let lab = Lab::new(PAIR).on(Host::new());
    lab.ok(["up", "-d", "--timeout", "170s", lab.file()]);
    let path = lab.path("kube/config");
    lab.ok(["kubeconfig", "-o", path.to_str().unwrap()]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let kubectl_here = lab.sh("one", "readlink -f /usr/local/bin/kubectl");
    let mut command = lab.host().command(kubectl_here.trim());
    let done = run(command
        .arg("--kubeconfig")
        .arg(&path)
        .args(["get", "nodes", "-o", "name"]));
    assert_eq!(done.out, "node/one\nnode/two\n", "{}", done.err);
    // The control plane is where it was said to be, and keeps others away.
    let line = "get node two -o jsonpath='{.spec.taints[0].key} {.spec.taints[0].effect} {.metadata.labels}'";
    let told = kubectl(&lab, "one", line);
    assert!(
        told.starts_with("node-role.kubernetes.io/control-plane NoSchedule "),
        "{told}"
    );
    assert!(told.contains("node-role.kubernetes.io/control-plane"), "{told}");
    assert!(lab.ok(["ps"]).contains("kubelet"));
    let logs = lab.ok(["logs", "two"]);
    assert!(logs.contains("kube-apiserver: ") && logs.contains("etcd: "));
    assert!(!lab.ok(["logs", "one"]).contains("kube-apiserver: "));
    lab.ok(["restart", "one"]);
    until("the node is Ready again", || {
        let nodes = kubectl(&lab, "two", "get nodes --no-headers");
        nodes
            .lines()
            .filter(|line| line.split_whitespace().nth(1) == Some("Ready"))
            .count()
            == 2
    });
    lab.ok(["down", "cluster"]);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn what_cannot_be_played_is_told() {
    if !has_kubernetes() {
        return;
    }
    let two = PAIR.replace("[nodes.one]\n", "[nodes.one]\nrole = \"control-plane\"\n");
    let lab = Lab::new(&two).on(Host::new());
    lab.run(["up", "-d", lab.file()])
        .refused(2, &["both control planes", "not yet supported"]);
    let frr = PAIR.replace("engine = \"kubelet\"", "").replace(
        "mgmt = true\naddresses = { eth1 = [\"10.0.0.1",
        "engine = \"frr\"\naddresses = { eth1 = [\"10.0.0.1",
    );
    let lab = Lab::new(&frr);
    lab.run(["validate", lab.file()])
        .refused(2, &["a Kubernetes node is no router"]);
    let lab = Lab::up("name = \"none\"\n[nodes.a]\nkind = \"host\"\n");
    lab.run(["kubeconfig"]).refused(1, &["has no control plane"]);
}
