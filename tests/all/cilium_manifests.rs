//! Manifests as people paste them: with a namespace too many, without a selector, beside objects that mean nothing to BGP.

use crate::common;

use std::fs;

use common::Lab;

const LAB: &str = r#"
name = "pasted"

[kubernetes]
pod_subnet = "10.98.0.0/16"

[nodes.w1]
kind = "k8s"
labels = { pool = "x", "node-role.kubernetes.io/infra" = "" }
addresses = { e = ["10.97.1.2/24"] }
pods = 1

[nodes.w2]
kind = "k8s"
addresses = { e = ["10.97.1.3/24"] }

[[links]]
endpoints = ["w1:e", "w2:e"]
"#;

const PASTED: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: cilium.io/v2alpha1
kind: CiliumBGPClusterConfig
metadata: { name: cfg, namespace: kube-system }
spec:
  bgpInstances:
  - name: inst-65010
    localASN: 65010
    peers:
    - { name: tor, peerASN: 65000, peerAddress: 10.97.1.1, peerConfigRef: { name: peer } }
---
apiVersion: cilium.io/v2alpha1
kind: CiliumBGPPeerConfig
metadata: { name: peer, namespace: kube-system }
spec:
  families:
  - { afi: ipv4, safi: unicast, advertisements: { matchLabels: { advertise: bgp } } }
---
apiVersion: cilium.io/v2alpha1
kind: CiliumBGPAdvertisement
metadata: { name: adv, namespace: kube-system, labels: { advertise: bgp } }
spec:
  advertisements:
  - advertisementType: PodCIDR
  - advertisementType: Service
    service: { addresses: [ClusterIP] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec: { replicas: 2 }
";

#[test]
fn pasted_manifests_are_taken_and_told_of() {
    let lab = Lab::up(LAB);
    let file = lab.file().replace("lab.toml", "pasted.yaml");
    fs::write(&file, PASTED).unwrap();
    let applied = lab.run(["apply", "-f", &file]);
    assert_eq!(applied.code, 0, "{}", applied.err);
    for line in [
        "ciliumbgpclusterconfig.cilium.io/cfg created",
        "ciliumbgppeerconfig.cilium.io/peer created",
        "ciliumbgpadvertisement.cilium.io/adv created",
    ] {
        assert!(applied.out.contains(line), "{}", applied.out);
    }
    for words in [
        "line 8: CiliumBGPClusterConfig is in no namespace",
        "without a `selector` this announces nothing",
        "Namespace shop has no effect",
        "Deployment web has no effect",
    ] {
        assert!(applied.err.contains(words), "{words}: {}", applied.err);
    }
    // Found by their names alone, and deleted by the same file.
    assert_eq!(
        lab.json(["get", "cbgpcluster", "cfg", "-o", "json"])["metadata"]["name"],
        "cfg"
    );
    lab.ok(["delete", "-f", &file]);
}

#[test]
fn validate_tells_what_has_no_effect() {
    let text = LAB.replace(
        "[nodes.w1]",
        "[cilium]\nmanifests = [\"pasted.yaml\"]\n[nodes.w1]",
    );
    let lab = Lab::new(&text);
    fs::write(lab.file().replace("lab.toml", "pasted.yaml"), PASTED).unwrap();
    let told = lab.run(["validate", lab.file()]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.err.contains("pasted.yaml, line 8"), "{}", told.err);
}

#[test]
fn nodes_are_shown_as_kubectl_shows_them() {
    let lab = Lab::up(LAB);
    let table = lab.ok(["get", "nodes"]);
    for words in ["w1", "w2", "Ready", "infra", "10.97.1.2", "10.98.0.0/24"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let file = lab.file().replace("lab.toml", "node.yaml");
    fs::write(
        &file,
        "apiVersion: v1\nkind: Node\nmetadata: { name: w2, labels: { extra: \"yes\" } }\n",
    )
    .unwrap();
    lab.ok(["apply", "-f", &file]);
    let shown = lab.json(["get", "nodes", "w2", "-o", "json"]);
    assert_eq!(shown["metadata"]["labels"]["extra"], "yes");
    assert_eq!(shown["metadata"]["labels"]["kubernetes.io/hostname"], "w2");
    assert_eq!(shown["status"]["conditions"][0]["status"], "True");
    lab.run(["get", "nodes", "w3"]).refused(1, &["no Node \"w3\""]);
}
