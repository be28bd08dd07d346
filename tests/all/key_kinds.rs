//! Keys of nodes by kinds of nodes: one that has no effect on a kind is refused there, and never taken in silence. Every key of the
//! schema is judged here.

use std::collections::BTreeSet;
use std::fs;

use nslab::lab::resolve::load;
use nslab::lab::sources::Memory;

use crate::common::in_package;

const KINDS: [&str; 4] = ["host", "router", "bridge", "k8s"];
/// Kinds on which a key does something.
const ALL: &[&str] = &KINDS;
/// Nodes that are images: refused on all others.
const NO_IMAGE: &[&str] = &[];
/// What a file of a kind says.
const OF_FILE: &[&str] = &[];

/// A key, an example, and on what kinds it does something. The node has one interface, `e`.
#[rustfmt::skip]
const KEYS: &[(&str, &str, &[&str])] = &[
    ("type", "\"x\"", OF_FILE),
    ("license", "\"x.txt\"", OF_FILE),
    ("group", "\"g\"", ALL),
    ("engine", "\"builtin\"", &["router", "k8s"]),
    ("image", "\"debian\"", &["host", "router", "bridge"]),
    ("image_pull", "\"never\"", NO_IMAGE),
    ("entrypoint", "[\"sh\"]", NO_IMAGE),
    ("cmd", "[\"sh\"]", NO_IMAGE),
    ("user", "\"root\"", NO_IMAGE),
    ("workdir", "\"/\"", NO_IMAGE),
    ("healthcheck", "{ test = \"true\" }", NO_IMAGE),
    ("stop_signal", "\"SIGTERM\"", NO_IMAGE),
    ("init", "\"image\"", NO_IMAGE),
    ("restart", "\"no\"", NO_IMAGE),
    ("terminal", "true", NO_IMAGE),
    ("hostname", "\"h\"", ALL),
    ("aliases", "[\"z\"]", ALL),
    ("labels", "{ a = \"b\" }", ALL),
    ("network", "\"node:other\"", &["host", "router", "k8s"]),
    ("mgmt", "true", ALL),
    ("ports", "[\"8080:80\"]", ALL),
    ("masquerade", "[\"e\"]", &["host", "router", "k8s"]),
    ("addresses", "{ e = [\"10.0.0.1/24\"] }", &["host", "router", "k8s"]),
    ("interfaces", "{ e = { mtu = 1400 } }", ALL),
    ("routes", "[{ to = \"10.9.0.0/24\", type = \"blackhole\" }]", ALL),
    ("sysctls", "{ \"net.ipv4.ip_forward\" = 1 }", ALL),
    ("dad", "true", ALL),
    ("pods", "1", &["k8s"]),
    ("config", "\"router bgp 1\\n\"", &["router"]),
    ("env", "{ A = \"b\" }", ALL),
    ("files", "{ \"/x\" = { content = \"x\" } }", ALL),
    ("binds", "[\"x:/x\"]", ALL),
    ("tmpfs", "[\"/t\"]", ALL),
    ("volumes", "[\"/v\"]", ALL),
    ("exec", "[\"true\"]", ALL),
    ("after_ready", "[\"true\"]", ALL),
    ("run", "[\"sleep inf\"]", ALL),
    ("ready", "{ routes = [\"10.9.0.0/24\"] }", ALL),
    ("wait_for", "[\"other\"]", ALL),
    ("startup_delay", "\"1s\"", ALL),
    ("cpu", "1.0", ALL),
    ("memory", "\"1G\"", ALL),
    ("privileged", "true", ALL),
    ("capabilities", "[\"SYS_TIME\"]", ALL),
    ("show_host", "[\"/home\"]", ALL),
    ("user_namespace", "true", ALL),
    ("limits", "{ processes = 100 }", ALL),
    ("role", "\"worker\"", &["k8s"]),
    ("taints", "[\"a=b:NoSchedule\"]", &["k8s"]),
    ("node_ips", "[\"10.0.0.7\"]", &["k8s"]),
];

fn schema() -> BTreeSet<String> {
    let text = fs::read_to_string(in_package("labs/lab.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let properties = schema["$defs"]["NodeTable"]["properties"].as_object().unwrap();
    properties.keys().filter(|key| *key != "kind").cloned().collect()
}

/// A lab whose node `n` is of a kind and has this line, where `place` is.
fn lab(kind: &str, key: &str, place: &str, line: &str) -> String {
    let at = |here: &str| if here == place { line } else { "" };
    let mut text = format!(
        "name = \"keys\"\n[mgmt]\n[groups.g]\n[defaults]\n{}\n[kinds.{kind}]\n{}\n[nodes.n]\nkind = \"{kind}\"\n{}\n",
        at("defaults"),
        at("kinds"),
        at("nodes"),
    );
    if key == "ports" {
        text += "mgmt = true\n";
    }
    // An address of its own is what a node is known by.
    if key == "node_ips" && kind != "bridge" {
        text += "addresses = { e = [\"10.0.0.7/24\"] }\n";
    }
    text += "[nodes.other]\nkind = \"host\"\n[nodes.cp]\nkind = \"k8s\"\nrole = \"control-plane\"\n";
    // Who lives in another's network has no link of its own.
    if key != "network" {
        text += "[[links]]\nendpoints = [\"n:e\", \"other:e\"]\n";
    }
    text
}

fn errors(text: &str) -> Vec<String> {
    let sources = Memory::default().with("x", "").with("x.txt", "");
    let diagnostics = load(text, &sources).err().unwrap_or_default();
    diagnostics.into_iter().map(|error| error.message).collect()
}

#[test]
fn every_key_is_judged() {
    let judged: BTreeSet<String> = KEYS.iter().map(|(key, _, _)| (*key).to_owned()).collect();
    let known = schema();
    let new: Vec<_> = known.difference(&judged).collect();
    assert!(
        new.is_empty(),
        "on which kinds of nodes do these do something? {new:?}"
    );
    let gone: Vec<_> = judged.difference(&known).collect();
    assert!(gone.is_empty(), "there are no such keys any more: {gone:?}");
}

#[test]
fn a_key_without_effect_on_a_kind_is_refused() {
    for (key, example, on) in KEYS {
        for kind in KINDS {
            let errors = errors(&lab(kind, key, "nodes", &format!("{key} = {example}")));
            if on.contains(&kind) {
                assert_eq!(errors, <[String; 0]>::default(), "`{key}` on {kind}");
            } else {
                assert!(
                    !errors.is_empty(),
                    "`{key}` is taken on {kind}, where it does nothing"
                );
            }
        }
    }
}

/// What all nodes inherit concerns those that it has a meaning for; what nodes of one kind inherit was meant for that.
#[test]
fn what_a_node_is_to_its_cluster_is_inherited_by_those_in_one() {
    for (key, example) in [("role", "\"worker\""), ("taints", "[\"a=b:NoSchedule\"]")] {
        let line = format!("{key} = {example}");
        assert_eq!(
            errors(&lab("host", key, "defaults", &line)),
            <[String; 0]>::default(),
            "{key}"
        );
        let errors = errors(&lab("host", key, "kinds", &line));
        assert!(
            errors.iter().any(|error| error.contains(key)),
            "{key}: {errors:?}"
        );
    }
}
