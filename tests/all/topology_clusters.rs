//! Topologies of containerlab's whose nodes are in a cluster of kind's: where its file is found, and what its nodes are known by.

use nslab::import::{Imported, Input, Options, read};
use nslab::lab::sources::Memory;

use crate::common::until;
use crate::topologies::lab;

fn imported(files: &[(&str, &str)], beside: &[(&str, &str)]) -> (Imported, Memory) {
    let inputs = files.iter().map(|(name, text)| Input {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
        form: None,
        variables: None,
    });
    let mut sources = Memory::default();
    for (name, text) in beside {
        sources = sources.with(name, *text);
    }
    (read(inputs.collect(), &sources, &Options::default()), sources)
}

const IN_CLUSTER: &str = "name: x\ntopology:\n  defaults: { kind: linux, image: alpine }\n  nodes:\n    s0: { network-mode: \"container:demo-control-plane\" }\n    s1: { network-mode: \"container:demo-worker\" }\n";
const CLUSTER: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: demo\nnodes:\n- role: control-plane\n- role: worker\n";

#[test]
fn kinds_file_is_found_beside_the_topology_or_asked_for() {
    let (found, sources) = imported(
        &[("t.yml", IN_CLUSTER)],
        &[("kind.yaml", CLUSTER), ("other.yml", "a: b\n")],
    );
    assert_eq!(found.lab(&sources).unwrap().nodes.len(), 4);
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.starts_with("kind.yaml: a kind cluster"))
    );
    // Another cluster's file is named, and not taken.
    let other = CLUSTER.replace("demo", "elsewhere");
    let (wanting, sources) = imported(&[("t.yml", IN_CLUSTER)], &[("c.yaml", &other)]);
    let diagnostics = wanting.lab(&sources).unwrap_err();
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
    assert!(
        diagnostics[0].help.as_ref().unwrap().contains("`c.yaml`"),
        "{diagnostics:?}"
    );
}

#[test]
fn agents_know_a_node_without_an_address_by_its_management_address() {
    let topology = "name: x\ntopology:\n  nodes:\n    r: { kind: frr, startup-config: r.conf, extras: { frr: { daemons: [ bgpd ] } } }\n";
    let config = "router bgp 65000\n no bgp ebgp-requires-policy\n neighbor N peer-group\n neighbor N remote-as external\n bgp listen range 172.20.20.0/24 peer-group N\n";
    let policy = "apiVersion: v1\nkind: Namespace\nmetadata: { name: lab }\n---\napiVersion: cilium.io/v2alpha1\nkind: CiliumBGPPeeringPolicy\nmetadata: { name: all }\nspec:\n  nodeSelector: {}\n  virtualRouters:\n  - localASN: 65001\n    exportPodCIDR: true\n    neighbors: [ { peerAddress: 172.20.20.2/32, peerASN: 65000 } ]\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web, namespace: lab }\nspec: {}\n";
    let (lab, path) = lab(
        topology,
        &[("r.conf", config), ("c.yaml", CLUSTER), ("p.yaml", policy)],
    );
    let files = ["c.yaml", "p.yaml"].map(|name| lab.path(name).to_str().unwrap().to_owned());
    let done = lab.run(["up", "-d", "--engine", "builtin", &path, &files[0], &files[1]]);
    for word in ["Namespace lab has no effect", "Deployment web has no effect"] {
        assert!(
            (done.err.clone() + &done.out).contains(word),
            "{word}: {}{}",
            done.out,
            done.err
        );
    }
    done.expect(0);
    until("the pods' networks of both nodes", || {
        let routes = lab.sh("r", "ip route");
        routes.contains("10.244.0.0/24") && routes.contains("10.244.1.0/24")
    });
    lab.ok(["down", "x"]);
}

#[test]
fn the_same_kind_file_twice_is_one_cluster_and_another_is_a_second() {
    let both = [("t.yml", IN_CLUSTER), ("c.yaml", CLUSTER), ("c.yaml", CLUSTER)];
    let (once, sources) = imported(&both, &[]);
    assert_eq!(once.lab(&sources).unwrap().nodes.len(), 4);
    let other = CLUSTER.replace("demo", "elsewhere");
    let (two, sources) = imported(
        &[("t.yml", IN_CLUSTER), ("c.yaml", CLUSTER), ("d.yaml", &other)],
        &[],
    );
    let diagnostics = two.lab(&sources).unwrap_err();
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
    assert_eq!(
        diagnostics[0].message,
        "`elsewhere` is a second cluster, and a lab has one: `demo`"
    );
    let started = "name: x\ntopology:\n  nodes:\n    demo: { kind: k8s-kind, startup-config: c.yaml }\n    s0: { kind: ext-container }\n";
    let started = started.replace("s0: { kind", "demo-worker: { kind");
    let (one, sources) = imported(
        &[("t.yml", &started), ("c.yaml", CLUSTER)],
        &[("c.yaml", CLUSTER)],
    );
    let lab = one.lab(&sources).unwrap();
    assert_eq!(
        lab.nodes.iter().filter(|node| node.kubernetes.is_some()).count(),
        2
    );
}
