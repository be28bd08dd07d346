//! Routes, addresses and sysctls of a node are those of the file, whatever the host's are.

use crate::common;
use crate::common::host;

use common::{Host, Lab, run};
use host::{ip_json, reaches};
use serde_json::Value;

/// A node with two links, one of them to a router.
const ROUTED: &str = r#"
name = "routed"

[nodes.a]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24", "fd00::1/64"], eth1 = ["10.0.1.1/24", "fd00:1::1/64"] }
routes = [
  { to = "default", via = "10.0.0.2" },
  { to = "default", via = "fd00::2", metric = 512 },
  { to = "192.0.2.1", dev = "eth1" },
  { to = "10.1.0.0/16", via = "10.0.0.2", metric = 20 },
  { to = "10.1.0.0/16", via = "10.0.1.2", dev = "eth1", metric = 30 },
  { to = "10.2.0.0/16", via = "10.0.0.2", table = 100 },
  { to = "10.3.0.0/16", type = "blackhole" },
  { to = "10.4.0.0/16", type = "unreachable" },
  { to = "10.5.0.0/16", type = "prohibit", metric = 7 },
  { to = "fd00:5::/32", type = "blackhole" },
  { to = "fd00:6::/32", type = "unreachable" },
  { to = "10.6.0.0/16", nexthops = [{ via = "10.0.0.2" }, { via = "10.0.1.2", weight = 3 }] },
  { to = "fd00:7::/32", nexthops = [{ via = "fd00::2" }, { via = "fd00:1::2", weight = 2 }] },
  { to = "10.7.0.0/16", via = "fd00::2", dev = "eth0" },
  { to = "10.8.0.0/16", nexthops = [{ via = "10.0.1.2" }, { via = "fe80::1", dev = "eth0", weight = 2 }] },
]

[nodes.r]
kind = "router"
addresses = { lo = ["10.7.7.7/32", "10.6.6.6/32"], net0 = ["10.0.0.2/24", "fd00::2/64"], net1 = ["10.0.1.2/24", "fd00:1::2/64"] }

[[links]]
endpoints = ["a:eth0", "r:net0"]
[[links]]
endpoints = ["a:eth1", "r:net1"]
"#;

/// The routes of `a` to a destination, as ip prints them.
fn routes(lab: &Lab, words: &str) -> Vec<Value> {
    ip_json(lab, "a", words).as_array().unwrap().clone()
}

/// The only route there is.
fn route(lab: &Lab, words: &str) -> Value {
    let all = routes(lab, words);
    assert_eq!(all.len(), 1, "{words}: {all:#?}");
    all[0].clone()
}

#[test]
fn routes_of_every_type_are_in_the_kernel() {
    let lab = Lab::up(ROUTED);
    let default = route(&lab, "route show default");
    assert_eq!(
        (&default["gateway"], &default["dev"]),
        (&"10.0.0.2".into(), &"eth0".into())
    );
    let default = route(&lab, "-6 route show default");
    assert_eq!(
        (&default["gateway"], &default["metric"]),
        (&"fd00::2".into(), &512.into())
    );
    let direct = route(&lab, "route show 192.0.2.1");
    assert_eq!((&direct["dev"], direct.get("gateway")), (&"eth1".into(), None));
    let metrics: Vec<_> = routes(&lab, "route show 10.1.0.0/16")
        .iter()
        .map(|it| {
            (
                it["metric"].as_u64().unwrap(),
                it["dev"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(metrics, [(20, "eth0".to_owned()), (30, "eth1".to_owned())]);
    assert_eq!(route(&lab, "route show table 100")["gateway"], "10.0.0.2");
    for (to, kind) in [
        ("10.3.0.0/16", "blackhole"),
        ("10.4.0.0/16", "unreachable"),
        ("10.5.0.0/16", "prohibit"),
    ] {
        assert_eq!(route(&lab, &format!("route show {to}"))["type"], kind);
    }
    assert_eq!(route(&lab, "route show 10.5.0.0/16")["metric"], 7);
    for (to, kind) in [("fd00:5::/32", "blackhole"), ("fd00:6::/32", "unreachable")] {
        assert_eq!(route(&lab, &format!("-6 route show {to}"))["type"], kind);
    }
}

#[test]
fn packets_take_all_next_hops_by_weight() {
    let lab = Lab::up(ROUTED);
    for (words, first) in [
        ("route show 10.6.0.0/16", "10.0.0.2"),
        ("-6 route show fd00:7::/32", "fd00::2"),
    ] {
        let hops = route(&lab, words)["nexthops"].clone();
        assert_eq!(hops.as_array().unwrap().len(), 2, "{hops}");
        let of = |gateway: &str| {
            let hops = hops.as_array().unwrap();
            hops.iter().find(|hop| hop["gateway"] == gateway).unwrap()["weight"].clone()
        };
        let second = if first == "fd00::2" {
            ("fd00:1::2", 2)
        } else {
            ("10.0.1.2", 3)
        };
        assert_eq!(of(first), 1);
        assert_eq!(of(second.0), second.1);
    }
    reaches(&lab, "a", "10.6.6.6");
}

#[test]
fn ipv4_travels_by_way_of_ipv6() {
    let lab = Lab::up(ROUTED);
    let by_six = route(&lab, "route show 10.7.0.0/16");
    assert_eq!(by_six["via"]["host"], "fd00::2");
    reaches(&lab, "a", "10.7.7.7");
    let mixed = route(&lab, "route show 10.8.0.0/16")["nexthops"].clone();
    assert_eq!(mixed[0]["gateway"], "10.0.1.2");
    assert_eq!(
        (&mixed[1]["via"]["host"], &mixed[1]["weight"]),
        (&"fe80::1".into(), &2.into())
    );
}

#[test]
fn an_address_may_stand_twice_in_a_lab() {
    // Two tenants with the same plan, and anycast on both routers.
    let lab = Lab::up(
        r#"
name = "tenants"
[nodes.a1]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24"] }
[nodes.b1]
kind = "host"
addresses = { eth0 = ["10.0.0.2/24"], lo = ["10.255.0.1/32"] }
[nodes.a2]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24"] }
[nodes.b2]
kind = "host"
addresses = { eth0 = ["10.0.0.3/24"], lo = ["10.255.0.1/32"] }
[[links]]
endpoints = ["a1:eth0", "b1:eth0"]
[[links]]
endpoints = ["a2:eth0", "b2:eth0"]
"#,
    );
    reaches(&lab, "a1", "10.0.0.2");
    reaches(&lab, "a2", "10.0.0.3");
    let wrong = lab.run(["exec", "a1", "ping", "-c1", "-W0.2", "10.0.0.3"]);
    assert_eq!(wrong.code, 1, "the tenants see each other");
}

/// A sysctl of a node.
#[track_caller]
fn sysctl(lab: &Lab, node: &str, path: &str) -> String {
    lab.ok(["exec", node, "cat", &format!("/proc/sys/net/{path}")])
        .trim()
        .to_owned()
}

#[test]
fn every_node_has_its_own_sysctls_whatever_the_host_says() {
    let host = Host::new();
    for setting in [
        "net.ipv4.ip_forward=1",
        "net.ipv4.conf.all.rp_filter=1",
        "net.ipv4.conf.default.rp_filter=2",
        "net.ipv4.conf.all.arp_ignore=1",
        "net.ipv6.conf.all.forwarding=1",
        "net.ipv6.conf.default.accept_dad=1",
    ] {
        run(host.command("sysctl").args(["-qw", setting])).expect(0);
    }
    let lab = Lab::new(
        r#"
name = "settings"
[nodes.h]
kind = "host"
[nodes.r]
kind = "router"
[nodes.sw]
kind = "bridge"
[[links]]
endpoints = ["h:eth0", "r:eth0"]
[[links]]
endpoints = ["r:eth1", "sw:p1"]
"#,
    )
    .on(host);
    lab.ok(["up", "-d", lab.file()]);
    for (node, forwards) in [("h", "0"), ("r", "1"), ("sw", "0")] {
        for path in [
            "ipv4/ip_forward",
            "ipv4/conf/all/forwarding",
            "ipv6/conf/all/forwarding",
        ] {
            assert_eq!(sysctl(&lab, node, path), forwards, "{path} of {node}");
        }
        for path in [
            "ipv4/conf/all/rp_filter",
            "ipv4/conf/default/rp_filter",
            "ipv4/conf/all/arp_ignore",
            "ipv6/conf/default/accept_dad",
        ] {
            assert_eq!(sysctl(&lab, node, path), "0", "{path} of {node}");
        }
    }
    for (node, interface) in [("h", "eth0"), ("r", "eth1")] {
        assert_eq!(
            sysctl(&lab, node, &format!("ipv4/conf/{interface}/rp_filter")),
            "0"
        );
        assert_eq!(
            sysctl(&lab, node, &format!("ipv6/conf/{interface}/accept_dad")),
            "0"
        );
    }
    // And the host keeps its own.
    let kept = run(lab
        .host()
        .command("sysctl")
        .args(["-n", "net.ipv4.conf.default.rp_filter"]))
    .expect(0);
    assert_eq!(kept.trim(), "2");
}

#[test]
fn addresses_are_usable_at_once_unless_detection_of_duplicates_is_asked_for() {
    let lab = Lab::up(
        r#"
name = "detection"
[nodes.quick]
kind = "host"
addresses = { eth0 = ["fd00::1/64"] }
[nodes.careful]
kind = "host"
dad = true
addresses = { eth0 = ["fd00::2/64"] }
[[links]]
endpoints = ["quick:eth0", "careful:eth0"]
"#,
    );
    let flags = lab.sh("quick", "ip -6 address show dev eth0");
    assert!(!flags.contains("tentative"), "{flags}");
    assert_eq!(sysctl(&lab, "careful", "ipv6/conf/eth0/accept_dad"), "1");
    // Once it is done with, both can talk.
    common::until("the end of detection", || {
        !lab.sh("careful", "ip -6 address show dev eth0")
            .contains("tentative")
    });
    reaches(&lab, "quick", "fd00::2");
}

#[test]
fn sysctls_of_the_file_have_the_last_word() {
    let lab = Lab::up(
        r#"
name = "tuned"
[defaults]
sysctls = { "net.ipv4.tcp_ecn" = "1", "net.ipv4.ip_default_ttl" = 33 }
[nodes.a]
kind = "host"
sysctls = { "net.ipv4.ip_forward" = 1, "net.ipv4.conf.eth0.rp_filter" = "2", "net/ipv6/conf/eth0.5/hop_limit" = 9, "net.ipv4.ip_default_ttl" = 44 }
[nodes.b]
kind = "router"
sysctls = { "net.ipv6.conf.all.forwarding" = "0", "net.ipv4.conf.default.rp_filter" = "1" }
[[links]]
endpoints = ["a:eth0", "b:eth0"]
[[links]]
endpoints = ["a:eth0.5", "b:eth1"]
"#,
    );
    assert_eq!(sysctl(&lab, "a", "ipv4/tcp_ecn"), "1");
    assert_eq!(sysctl(&lab, "b", "ipv4/ip_default_ttl"), "33");
    assert_eq!(sysctl(&lab, "a", "ipv4/ip_default_ttl"), "44");
    assert_eq!(sysctl(&lab, "a", "ipv4/ip_forward"), "1");
    assert_eq!(sysctl(&lab, "a", "ipv4/conf/eth0/rp_filter"), "2");
    assert_eq!(sysctl(&lab, "a", "ipv6/conf/eth0.5/hop_limit"), "9");
    assert_eq!(sysctl(&lab, "b", "ipv6/conf/all/forwarding"), "0");
    // A default of the node's own is what its interfaces begin with.
    assert_eq!(sysctl(&lab, "b", "ipv4/conf/eth0/rp_filter"), "1");
}

#[test]
fn a_sysctl_the_kernel_does_not_have_is_told_with_a_cure() {
    let refused = |setting: &str, words: &[&str]| {
        let lab = Lab::new(&format!(
            "name = \"odd\"\n[nodes.a]\nkind = \"host\"\nsysctls = {{ {setting} }}\n"
        ));
        lab.run(["up", "-d", lab.file()]).refused(3, words);
        assert!(lab.left().is_empty(), "{:?}", lab.left());
    };
    refused("\"net.ipv4.nosuch\" = 1", &["net.ipv4.nosuch", "no such sysctl"]);
    refused(
        "\"net.ipv4.tcp_ecn\" = \"much\"",
        &["net.ipv4.tcp_ecn", "\"much\"", "does not take this value"],
    );
}

const BEHIND: &str = r#"
name = "behind"
[nodes.inner]
kind = "host"
addresses = { eth0 = ["10.0.0.2/24", "fd00::2/64"] }
routes = [{ to = "default", via = "10.0.0.1" }, { to = "default", via = "fd00::1" }]
[nodes.gate]
kind = "router"
addresses = { in0 = ["10.0.0.1/24", "fd00::1/64"], out0 = ["192.0.2.1/24", "2001:db8::1/64"] }
masquerade = ["out0"]
[nodes.outer]
kind = "host"
addresses = { eth0 = ["192.0.2.2/24", "2001:db8::2/64"] }
[[links]]
endpoints = ["inner:eth0", "gate:in0"]
[[links]]
endpoints = ["gate:out0", "outer:eth0"]
"#;

/// The outer node has no way back to the inner one but by the address of the gate.
#[test]
fn what_leaves_by_an_interface_has_its_address_where_that_is_asked_for() {
    let lab = Lab::up(BEHIND);
    reaches(&lab, "inner", "192.0.2.2");
    reaches(&lab, "inner", "2001:db8::2");
    lab.ok(["down"]);
    let without = Lab::up(&BEHIND.replace("masquerade = [\"out0\"]\n", ""));
    without
        .run(["exec", "inner", "ping", "-c1", "-W1", "192.0.2.2"])
        .expect(1);
    let wrong = Lab::new(&BEHIND.replace("\"out0\"]", "\"out1\"]"));
    let words = ["no interface `out1`", "did you mean `out0`?"];
    wrong.run(["up", "-d", wrong.file()]).refused(2, &words);
}

#[test]
fn a_node_is_ready_when_it_has_the_routes_it_says() {
    let text = |ready: &str| {
        format!(
            "name = \"routed\"\n[nodes.a]\nkind = \"host\"\nready = {{ routes = [\"{ready}\"] }}\n\
             run = [{{ name = \"late\", restart = \"no\", shell = \"sleep 0.5; ip route add blackhole 10.6.0.0/16\" }}]\n"
        )
    };
    let lab = Lab::up(&text("10.6.0.1/16"));
    assert!(lab.sh("a", "ip route").contains("10.6.0.0/16"));
    lab.ok(["down"]);
    let never = Lab::new(&text("10.7.0.0/16"));
    let done = never.run(["up", "-d", "--timeout", "2s", never.file()]);
    done.refused(
        1,
        &["was not ready within 2 s", "a waits for routes to 10.7.0.0/16"],
    );
}

/// The management network's own IPv6 address is left out where a node does without IPv6; one of the file's is an error.
#[test]
fn a_node_may_do_without_ipv6() {
    let text = |more: &str| {
        format!(
            "name = \"v4\"\n[mgmt]\n[nodes.a]\nkind = \"host\"\nmgmt = true\n{more}\n\
             sysctls = {{ \"net.ipv6.conf.all.disable_ipv6\" = \"1\" }}\n\
             [nodes.b]\nkind = \"host\"\nmgmt = true\n[[links]]\nendpoints = [\"a:eth1\", \"b:eth1\"]\n"
        )
    };
    let lab = Lab::up(&text("addresses = { eth1 = [\"10.0.0.1/24\"] }"));
    assert_eq!(lab.sh("a", "ip -6 address"), "");
    reaches(&lab, "b", "172.20.20.2");
    lab.ok(["down"]);
    let wrong = Lab::new(&text("addresses = { eth1 = [\"fd00::1/64\"] }"));
    let done = wrong.run(["validate", wrong.file()]);
    assert!(!done.err.contains("root"), "{done:?}");
    done.refused(
        2,
        &[
            "IPv6 is off on `eth1` of `a`",
            "turned off here",
            "remove the address, or the sysctl",
        ],
    );
}

/// A route over an interface without IPv6 is no matter of rights.
#[test]
fn a_route_that_ipv6_is_off_for_says_so() {
    let lab = Lab::new(
        "name = \"v4\"\n[nodes.a]\nkind = \"host\"\nsysctls = { \"net.ipv6.conf.all.disable_ipv6\" = \"1\" }\n\
         routes = [{ to = \"2001:db8::/64\", dev = \"eth1\" }]\n[nodes.b]\nkind = \"host\"\n\
         [[links]]\nendpoints = [\"a:eth1\", \"b:eth1\"]\n",
    );
    let done = lab.run(["up", "-d", lab.file()]);
    assert!(!done.err.contains("privileged"), "{done:?}");
    done.refused(3, &["route 2001:db8::/64", "IPv6 is off on the interface"]);
}
