//! nslab as a CNI plugin: a network namespace that somebody else made is joined to its node as nslab's own pods are.

use crate::common;

use common::{Done, Lab};
use serde_json::{Value, json};

/// A node with a pod of nslab's own, and a router that knows the way to its pods.
const LAB: &str = r#"
name = "cni"

[kubernetes]
pod_subnet = ["10.1.0.0/16", "fd00:10::/56"]

[nodes.r]
kind = "router"
routes = [{ to = "10.1.0.0/24", via = "10.0.1.2" }, { to = "fd00:10::/64", via = "fd00:1::2" }]

[nodes.a]
kind = "k8s"
privileged = true
pods = 1
routes = [{ to = "default", via = "10.0.1.1" }, { to = "default", via = "fd00:1::1" }]
exec = ["ln -s /usr/lib/nslab/nslab /usr/local/bin/nslab-cni"]

[[links]]
endpoints = [
  { node = "r", interface = "eth1", ipv4 = "10.0.1.1/24", ipv6 = "fd00:1::1/64" },
  { node = "a", interface = "eth0", ipv4 = "10.0.1.2/24", ipv6 = "fd00:1::2/64" },
]
"#;

/// The node's configuration: nslab's own pod has an address already.
fn configuration(more: &Value) -> String {
    let mut whole = json!({
        "cniVersion": "1.0.0", "name": "pods", "type": "nslab-cni",
        "podCIDRs": ["10.1.0.0/24", "fd00:10::/64"],
        "reserved": { "own/pod0": ["10.1.0.2/32", "fd00:10::2/128"], "default/web": ["10.1.0.77/32"] },
    });
    for (key, value) in more.as_object().unwrap() {
        whole[key] = value.clone();
    }
    whole.to_string()
}

/// Calls the plugin in the node, for a container whose namespace is named after it.
fn call(lab: &Lab, verb: &str, container: &str, arguments: &str, more: &Value) -> Done {
    let line = format!(
        "CNI_COMMAND={verb} CNI_CONTAINERID={container} CNI_NETNS=/run/netns/{container} CNI_IFNAME=eth0 CNI_PATH=/ \
         CNI_ARGS='{arguments}' nslab-cni"
    );
    lab.feed(["exec", "a", "sh", "-c", &line], configuration(more).as_bytes())
}

fn ok(lab: &Lab, verb: &str, container: &str, more: &Value) -> Value {
    let done = call(lab, verb, container, "", more);
    assert_eq!(done.code, 0, "{verb} {container}: {}{}", done.out, done.err);
    serde_json::from_str(&done.out).unwrap_or_default()
}

fn refused(lab: &Lab, verb: &str, container: &str, more: &Value) -> (u64, String) {
    let done = call(lab, verb, container, "", more);
    assert_eq!(done.code, 1, "{verb} {container}: {}{}", done.out, done.err);
    let fault: Value = serde_json::from_str(&done.out).unwrap();
    (
        fault["code"].as_u64().unwrap(),
        fault["msg"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn a_namespace_is_joined_to_its_node_and_leaves_nothing() {
    let lab = Lab::up(LAB);
    let none = json!({});
    let before = lab.sh("a", "ip -br link | grep -c lxc");
    for name in ["c1", "c2"] {
        lab.sh("a", &format!("ip netns add {name}"));
    }
    let added = ok(&lab, "ADD", "c1", &none);
    // The lowest addresses that nobody has or is to have.
    assert_eq!(added["ips"][0]["address"], "10.1.0.3/32");
    assert_eq!(added["ips"][1]["address"], "fd00:10::3/128");
    assert_eq!(added["ips"][0]["gateway"], "10.1.0.1");
    assert_eq!(added["interfaces"][1]["name"], "eth0");
    assert_eq!(added["interfaces"][1]["sandbox"], "/run/netns/c1");
    let second = ok(&lab, "ADD", "c2", &none);
    assert_eq!(second["ips"][0]["address"], "10.1.0.4/32");
    // Its node, its neighbors, the router; and they it.
    for to in [
        "10.1.0.1",
        "10.1.0.4",
        "10.1.0.2",
        "10.0.1.1",
        "fd00:10::4",
        "fd00:1::1",
    ] {
        lab.sh("a", &format!("ip netns exec c1 ping -c 1 -W 2 {to}"));
    }
    lab.sh("r", "ping -c 1 -W 2 10.1.0.3");
    lab.sh("a/pod0", "ping -c 1 -W 2 fd00:10::3");
    ok(&lab, "CHECK", "c1", &none);
    lab.sh("a", "ip -n c2 address del 10.1.0.4/32 dev eth0");
    let (code, message) = refused(&lab, "CHECK", "c2", &none);
    assert!(code == 3 && message.contains("10.1.0.4/32"), "{code} {message}");
    // Once more is an error, and changes nothing.
    assert_eq!(refused(&lab, "ADD", "c1", &none).0, 7);
    lab.sh("a", "ip netns exec c1 ping -c 1 -W 2 10.1.0.1");
    for _ in 0..2 {
        ok(&lab, "DEL", "c1", &none);
    }
    assert_eq!(refused(&lab, "CHECK", "c1", &none).0, 3);
    // What it had is free again.
    lab.sh("a", "ip netns add c3");
    assert_eq!(ok(&lab, "ADD", "c3", &none)["ips"][0]["address"], "10.1.0.3/32");
    // All but those in use; c2's namespace has even gone.
    lab.sh("a", "ip netns del c2");
    let valid = json!({ "cni.dev/valid-attachments": [{ "containerID": "c3", "ifname": "eth0" }] });
    ok(&lab, "GC", "c3", &valid);
    ok(&lab, "CHECK", "c3", &none);
    ok(&lab, "GC", "c3", &none);
    assert_eq!(lab.sh("a", "ip -br link | grep -c lxc"), before);
    assert_eq!(lab.sh("a", "ls /run/nslab-cni"), "lock\n");
}

/// Container runtimes ask for a plugin of this name, whatever the network is.
#[test]
fn the_loopback_is_raised() {
    let lab = Lab::up(LAB);
    lab.sh(
        "a",
        "ln -s /usr/lib/nslab/nslab /usr/local/bin/loopback; ip netns add c1",
    );
    let line = "CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=lo CNI_PATH=/ loopback";
    let configuration = "{\"cniVersion\":\"0.3.1\",\"name\":\"lo\",\"type\":\"loopback\"}";
    let call = |verb: &str| {
        let words = ["exec", "a", "sh", "-c", &format!("CNI_COMMAND={verb} {line}")];
        lab.feed(words, configuration.as_bytes()).expect(0)
    };
    let added: Value = serde_json::from_str(&call("ADD")).unwrap();
    assert_eq!(added["interfaces"][0]["name"], "lo");
    lab.sh("a", "ip netns exec c1 ping -c 1 -W 2 127.0.0.1");
    call("DEL");
}

#[test]
fn a_pod_of_a_name_has_the_address_that_is_kept_for_it() {
    let lab = Lab::up(LAB);
    lab.sh("a", "ip netns add c1");
    let arguments = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web";
    let done = call(&lab, "ADD", "c1", arguments, &json!({ "cniVersion": "0.4.0" }));
    let added: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(added["ips"][0]["address"], "10.1.0.77/32", "{}", done.out);
    assert_eq!(added["ips"][0]["version"], "4");
    assert_eq!(added["ips"][1]["address"], "fd00:10::3/128");
}

#[test]
fn errors_have_the_numbers_of_the_specification() {
    let lab = Lab::up(LAB);
    let versions = ok(&lab, "VERSION", "x", &json!({}));
    assert!(
        versions["supportedVersions"]
            .as_array()
            .unwrap()
            .contains(&json!("1.1.0"))
    );
    ok(&lab, "STATUS", "x", &json!({}));
    let small = json!({ "podCIDRs": ["10.1.0.0/30"] });
    for (verb, container, more, code) in [
        ("ADD", "x", json!({ "cniVersion": "7.0.0" }), 1),
        ("ADD", "../x", json!({}), 4),
        ("ADD", "nowhere", json!({}), 5),
        ("FLY", "x", json!({}), 4),
        ("ADD", "x", json!({ "podCIDRs": [] }), 7),
        ("ADD", "x", small, 50),
        // Another node's network.
        ("STATUS", "x", json!({ "podCIDRs": ["10.9.0.0/24"] }), 50),
    ] {
        let (found, message) = refused(&lab, verb, container, &more);
        assert_eq!(found, code, "{verb} {container} {more}: {message}");
    }
    assert_eq!(lab.sh("a", "ls /run/nslab-cni"), "lock\n");
}
