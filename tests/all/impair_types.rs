//! Interfaces of every type: each link action works on them, or is refused with the reason.

use crate::common;

use std::collections::BTreeSet;

use common::Lab;
use serde_json::Value;

/// The types, and what a lab says of such an interface in node a. `PEER` stands for what a pair needs.
const TYPES: &[(&str, &str)] = &[
    ("vlan", "link = \"eth1\", id = 10"),
    ("bond", "mode = \"active-backup\", ports = [\"eth2\"]"),
    ("vrf", "table = 10"),
    ("bridge", ""),
    ("macvlan", "link = \"eth1\""),
    ("ipvlan", "link = \"eth1\", mode = \"l2\""),
    ("vxlan", "vni = 7, local = \"10.0.0.1\", remote = \"10.0.0.2\""),
    ("gre", "local = \"10.0.0.1\", remote = \"10.0.0.2\""),
    ("gretap", "local = \"10.0.0.1\", remote = \"10.0.0.2\""),
    ("ipip", "local = \"10.0.0.1\", remote = \"10.0.0.2\""),
    ("sit", "local = \"10.0.0.1\", remote = \"10.0.0.2\""),
    ("ip6gre", "local = \"2001:db8::1\", remote = \"2001:db8::2\""),
    ("ip6gretap", "local = \"2001:db8::1\", remote = \"2001:db8::2\""),
    ("ip6tnl", "local = \"2001:db8::1\", remote = \"2001:db8::2\""),
    (
        "wireguard",
        "listen_port = 51820, peers = [{ peer = \"b:x0\", allowed_ips = [\"10.9.0.0/24\"] }]",
    ),
    ("macsec", "link = \"eth1\", peers = [\"b:x0\"]"),
    ("tun", ""),
    ("tap", ""),
    ("dummy", ""),
    ("ifb", ""),
];

fn text(kind: &str, keys: &str) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    let other = match kind {
        "wireguard" => {
            "[nodes.b.interfaces]\nx0 = { type = \"wireguard\", listen_port = 51820, peers = [{ peer = \"a:x0\", allowed_ips = [\"10.9.0.0/24\"] }] }\n"
        }
        "macsec" => "[nodes.b.interfaces]\nx0 = { type = \"macsec\", link = \"eth1\", peers = [\"a:x0\"] }\n",
        _ => "",
    };
    format!(
        "name = \"types\"\n[nodes.a]\nkind = \"host\"\naddresses = {{ eth1 = [\"10.0.0.1/24\", \"2001:db8::1/64\"] }}\n\
         [nodes.a.interfaces]\nx0 = {{ type = \"{kind}\"{comma}{keys} }}\n\
         [nodes.b]\nkind = \"host\"\naddresses = {{ eth1 = [\"10.0.0.2/24\", \"2001:db8::2/64\"] }}\n{other}\
         [[links]]\nendpoints = [\"a:eth1\", \"b:eth1\"]\n[[links]]\nendpoints = [\"a:eth2\", \"b:eth2\"]\n"
    )
}

/// What is shown of an interface.
fn shown(lab: &Lab) -> Option<Value> {
    let links = lab.json(["link", "show", "--format", "json"]);
    let links = links.as_array().unwrap();
    links.iter().find(|link| link["a"] == "a:x0").cloned()
}

/// Tries an action. Returns whether it was done; where it was not, the reason was told.
fn is_done(lab: &Lab, words: &[&str]) -> bool {
    let done = lab.run(["link"].iter().chain(words));
    let said = format!("{words:?}: {}{}", done.out, done.err);
    match done.code {
        0 => true,
        // What is wrong with it, and what to do.
        2 => {
            assert!(done.err.contains("a:x0") || done.err.contains("\"x0\""), "{said}");
            assert!(done.err.lines().count() >= 2, "{said}");
            false
        }
        _ => panic!("{said}"),
    }
}

#[test]
fn interfaces_of_every_type_are_impaired_or_say_why_not() {
    let known: BTreeSet<&str> = TYPES.iter().map(|(kind, _)| *kind).collect();
    let all: BTreeSet<&str> = nslab::lab::links::sorts().map(|sort| sort.name).collect();
    assert_eq!(known, all);
    let (mut tried, mut missing) = (Vec::new(), Vec::new());
    for (kind, keys) in TYPES {
        let lab = Lab::new(&text(kind, keys));
        let up = lab.run(["up", "-d", lab.file()]);
        if up.code == 3 && up.err.contains(kind) {
            missing.push(*kind);
            continue;
        }
        assert_eq!(up.code, 0, "{kind}: {}", up.err);
        for (key, value) in [("--delay", "5ms"), ("--loss", "100%"), ("--rate", "8mbit")] {
            if !is_done(&lab, &["set", "a:x0", key, value, "--out"]) {
                assert!(
                    shown(&lab).is_none_or(|it| it["asked"]["impair"].as_object().unwrap().is_empty()),
                    "{kind} {key}"
                );
                continue;
            }
            let shown = shown(&lab).unwrap();
            assert!(
                shown["there"]["a_to_b"]["way"].is_string(),
                "{kind} {key}: {shown}"
            );
            assert!(
                shown["there"]["attached"]
                    .as_array()
                    .is_some_and(|it| !it.is_empty()),
                "{kind} {key}: {shown}"
            );
            lab.ok(["link", "clear", "a:x0"]);
            tried.push(format!("{kind} {key}"));
        }
        for action in ["silence", "down"] {
            if is_done(&lab, &[action, "a:x0"]) {
                lab.ok(["link", "up", "a:x0"]);
            }
        }
        if let Some(shown) = shown(&lab) {
            assert_eq!(shown["as_planned"], true, "{kind}: {shown}");
            assert_eq!(
                shown["there"]["attached"].as_array().map_or(0, Vec::len),
                0,
                "{kind}: {shown}"
            );
        }
    }
    eprintln!(
        "done: {}\nmissing in this kernel: {}",
        tried.join(", "),
        missing.join(", ")
    );
    // Every kernel that nslab runs on has bridges.
    assert!(missing.len() < TYPES.len());
}
