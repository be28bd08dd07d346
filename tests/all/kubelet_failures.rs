//! A Kubernetes that cannot come up says why, in the words of the program that knows. Skipped where Kubernetes' programs are
//! not; `scripts/kubernetes-binaries` builds them.

use crate::common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use common::{Host, Lab, has_kubernetes, run};

/// A cluster of one node, with something in front of it and something in its table.
fn one(before: &str, inside: &str) -> Lab {
    let text = format!(
        r#"
name = "one"
{before}
[nodes.one]
kind = "k8s"
engine = "kubelet"
addresses = {{ lo = ["10.0.0.1/32"] }}
node_ips = ["10.0.0.1"]
{inside}
"#
    );
    Lab::new(&text).on(Host::new())
}

/// Fails, says these words, and leaves nothing.
fn fails(lab: &Lab, code: i32, timeout: &str, words: &[&str]) {
    lab.run(["up", "-d", "--timeout", timeout, lab.file()])
        .refused(code, words);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn missing_and_mismatched_programs_are_told_before_anything_is_made() {
    if !has_kubernetes() {
        return;
    }
    let lab = one("", "");
    let mut up = lab.nslab(["up", "-d", lab.file()]);
    let missing = run(up.env("XDG_CACHE_HOME", "/nowhere").env("PATH", "/usr/bin:/bin"));
    missing.refused(
        3,
        &["needs kubelet,", "kube-apiserver", "scripts/kubernetes-binaries"],
    );
    let lab = one("[kubernetes]\nbin_dir = \"bin\"", "");
    lab.run(["validate", lab.file()])
        .refused(2, &["cannot use `bin`"]);
    let program = lab.path("bin/kubelet");
    fs::create_dir(program.parent().unwrap()).unwrap();
    for (says, words) in [
        ("Kubernetes v1.99.0", "the kubelet of 1.99"),
        ("Kubernetes v1.19.7", "1.20 is the oldest"),
        (
            "kubelet: cannot execute: wrong architecture",
            "wrong architecture",
        ),
    ] {
        fs::write(&program, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fails(
            &lab,
            3,
            "60s",
            &[words, "bin_dir"].map(|word| if says.contains("1.19") { words } else { word }),
        );
    }
}

#[test]
fn a_taken_port_is_told_in_the_words_of_whoever_wanted_it() {
    if !has_kubernetes() {
        return;
    }
    let other = "[nodes.other]\nkind = \"host\"\nnetwork = \"node:one\"\n\
                 run = [{ name = \"nc\", command = \"busybox nc -ll -p 2379 -e true\", ready = { tcp = 2379 } }]";
    let lab = one(other, "wait_for = [\"other\"]");
    fails(
        &lab,
        1,
        "60s",
        &["etcd of one keeps ending", "address already in use"],
    );
}

#[test]
fn too_little_memory_is_told() {
    if !has_kubernetes() {
        return;
    }
    fails(
        &one("", "memory = \"48M\""),
        1,
        "100s",
        &["of one keeps ending", "memory"],
    );
}

#[test]
fn a_kubelet_that_never_gets_ready_says_why() {
    if !has_kubernetes() {
        return;
    }
    let damaged = r#"files = { "/etc/cni/net.d/10-nslab.conflist" = { content = "{" } }"#;
    let words = [
        "one waits for its kubelet to be Ready",
        "cni plugin not initialized",
    ];
    fails(&one("", damaged), 1, "30s", &words);
}

#[test]
fn a_network_that_is_left_to_others_is_not_waited_for() {
    if !has_kubernetes() {
        return;
    }
    let lab = one("[kubernetes]\ncni = \"none\"", "");
    lab.ok(["up", "-d", "--timeout", "100s", lab.file()]);
    assert_eq!(lab.run(["exec", "one", "ls", "/etc/cni/net.d"]).out, "");
    let line = "kubectl get node one -o jsonpath='{.status.conditions[?(@.type==\"Ready\")].status}'";
    assert_eq!(lab.sh("one", line), "False");
    lab.ok(["down", "one"]);
    // Kubernetes' programs may be where nodes have something of their own, as /tmp.
    let lab = one(
        "[kubernetes]\nbin_dir = \"bin\"\n[cilium]\nagent = \"external\"",
        "",
    );
    fs::create_dir(lab.path("bin")).unwrap();
    for (name, path) in nslab::engine::kubelet::Programs::of(&Default::default())
        .all()
        .unwrap()
    {
        fs::copy(path, lab.path("bin").join(name)).unwrap();
    }
    lab.ok(["up", "-d", "--timeout", "100s", lab.file()]);
    // What Cilium's own agent looks for; and nslab's is not there.
    assert_eq!(
        lab.sh("one", "stat -fc %T /sys/fs/bpf /run/cilium/cgroupv2"),
        "bpf_fs\ncgroup2fs\n"
    );
    lab.sh("one", "test -f /root/.kube/config");
    assert!(!lab.ok(["ps", "--wide"]).contains("cilium-agent"));
    lab.ok(["down", "one"]);
    let pods = one("[kubernetes]\ncni = \"none\"", "pods = 1");
    fails(&pods, 2, "60s", &["pod one/pod0 has no network"]);
}
