//! Links of a living lab: taken down and up, silenced, flapped, cleared, and looked at.

use crate::common;

use common::{Lab, until};
use serde_json::Value;

const PAIR: &str = r#"
name = "pair"
[nodes.a]
kind = "host"
addresses = { eth1 = ["10.0.0.1/24", "fd00::1/64"] }
routes = [{ to = "10.9.0.0/16", via = "10.0.0.2" }]
[nodes.b]
kind = "host"
addresses = { eth1 = ["10.0.0.2/24", "fd00::2/64"] }
[[links]]
endpoints = ["a:eth1", "b:eth1"]
"#;

/// How many of so many packets come back.
fn pings(lab: &Lab, count: u32) -> u32 {
    let line = format!("ping -q -c {count} -i 0.02 -W 2 10.0.0.2 || true");
    let out = lab.sh("a", &line);
    let received = out.split(", ").find_map(|part| part.strip_suffix(" received"));
    received.unwrap_or_else(|| panic!("{out}")).parse().unwrap()
}

fn link(lab: &Lab, end: &str) -> Value {
    lab.json(["link", "show", end, "--format", "json"])[0].clone()
}

/// The flags of an interface as iproute2 has them.
fn flags(lab: &Lab, node: &str, interface: &str) -> Vec<String> {
    let shown: Value = serde_json::from_str(&lab.sh(node, &format!("ip -j link show {interface}"))).unwrap();
    let flags = shown[0]["flags"].as_array().unwrap();
    flags.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

fn has(flags: &[String], flag: &str) -> bool {
    flags.iter().any(|it| it == flag)
}

/// How many events of an action there were.
fn events(lab: &Lab, action: &str) -> usize {
    let out = lab.ok(["events", "--format", "json"]);
    let events = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["event"] == "link" && event["action"] == action)
        .count()
}

/// What is left of the lab's own at interfaces.
fn attached(lab: &Lab) -> String {
    let lines = "tc qdisc show | grep -v noqueue; ip -br link | grep impair-; true";
    lab.sh("a", lines) + &lab.sh("b", lines)
}

#[test]
fn a_link_that_is_down_has_no_carrier_at_both_ends() {
    let lab = Lab::up(PAIR);
    assert_eq!(pings(&lab, 3), 3);
    lab.ok(["link", "down", "b:eth1"]);
    for node in ["a", "b"] {
        let flags = flags(&lab, node, "eth1");
        assert!(
            has(&flags, "NO-CARRIER") && has(&flags, "UP"),
            "{node}: {flags:?}"
        );
    }
    assert_eq!(pings(&lab, 3), 0);
    // The node's addresses and routes stay, as those of a machine whose cable was pulled.
    assert!(lab.sh("a", "ip addr show eth1").contains("fd00::1/64"));
    assert!(lab.sh("a", "ip route").contains("10.9.0.0/16"));
    let shown = link(&lab, "a:eth1");
    assert_eq!(shown["asked"]["down"], true);
    assert_eq!(shown["there"]["a"], "no-carrier");
    assert_eq!(shown["as_planned"], false);
    lab.ok(["link", "up", "a:eth1"]);
    assert!(!has(&flags(&lab, "a", "eth1"), "NO-CARRIER"));
    assert!(!has(&flags(&lab, "b", "eth1"), "NO-CARRIER"));
    assert_eq!(pings(&lab, 3), 3);
    assert_eq!(link(&lab, "b:eth1")["as_planned"], true);
    assert_eq!((events(&lab, "down"), events(&lab, "up")), (1, 1));
    assert_eq!(attached(&lab), "");
    // Asked for once more it is no event.
    lab.ok(["link", "up", "a:eth1"]);
    assert_eq!(events(&lab, "up"), 1);
}

#[test]
fn a_silent_link_loses_everything_and_keeps_its_carrier() {
    let lab = Lab::up(PAIR);
    lab.ok(["link", "silence", "a:eth1"]);
    assert!(!has(&flags(&lab, "a", "eth1"), "NO-CARRIER"));
    assert_eq!(pings(&lab, 3), 0);
    assert_eq!(link(&lab, "a:eth1")["asked"]["silent"], true);
    // The sender is not told.
    let sent = "python3 -c 'import socket; s = socket.socket(2, 2); s.sendto(b\"x\", (\"10.0.0.2\", 9))'";
    lab.sh("a", sent);
    lab.ok(["link", "clear", "b:eth1"]);
    // The kernel asks for a neighbor that did not answer once a second.
    until("the other end's answers", || pings(&lab, 3) == 3);
    assert_eq!(attached(&lab), "");
    assert_eq!((events(&lab, "silence"), events(&lab, "clear")), (1, 1));
}

#[test]
fn packets_that_are_on_their_way_are_lost_with_the_link() {
    let lab = Lab::up(PAIR);
    lab.ok(["link", "set", "a:eth1", "--delay", "5s", "--out"]);
    let mut ping = lab.start(["exec", "a", "ping", "-c", "1", "-W", "10", "10.0.0.2"]);
    until("a packet that is on its way", || {
        link(&lab, "a:eth1")["there"]["a_to_b"]["counts"]["taken"].as_u64() > Some(0)
    });
    lab.ok(["link", "silence", "a:eth1"]);
    assert!(ping.wait().out.contains("100% packet loss"));
}

#[test]
fn a_link_flaps_as_often_as_asked() {
    let lab = Lab::up(PAIR);
    let words = [
        "link", "flap", "a:eth1", "--count", "3", "--down", "50ms", "--up", "20ms",
    ];
    lab.ok(words);
    assert_eq!((events(&lab, "down"), events(&lab, "up")), (3, 3));
    assert_eq!(pings(&lab, 2), 2);
    // Who asks for something else ends it.
    let mut long = lab.start(["link", "flap", "a:eth1", "--count", "1000", "--down", "200ms"]);
    until("a flap", || events(&lab, "down") > 3);
    lab.ok(["link", "up", "a:eth1"]);
    long.wait().refused(1, &["something else"]);
    assert_eq!(pings(&lab, 2), 2);
    // What else it is does not leave the link down, if it is not that.
    let before = events(&lab, "down");
    let mut long = lab.start(["link", "flap", "a:eth1", "--count", "1000", "--down", "200ms"]);
    until("a flap", || events(&lab, "down") > before + 1);
    lab.ok(["link", "set", "a:eth1", "--delay", "1ms"]);
    long.wait().refused(1, &["something else"]);
    assert_eq!(pings(&lab, 2), 2);
    let before = events(&lab, "down");
    let mut long = lab.start(["link", "flap", "a:eth1", "--count", "1000", "--down", "200ms"]);
    until("a flap", || events(&lab, "down") > before + 1);
    lab.ok(["link", "down", "a:eth1"]);
    lab.ok(["link", "set", "a:eth1", "--delay", "2ms"]);
    long.wait().refused(1, &["something else"]);
    assert_eq!(pings(&lab, 2), 0);
    lab.ok(["link", "reset", "a:eth1"]);
    let before = events(&lab, "down");
    let mut long = lab.start(["link", "flap", "a:eth1", "--count", "1000", "--down", "200ms"]);
    until("a flap", || events(&lab, "down") > before + 1);
    lab.ok(["link", "silence", "a:eth1"]);
    long.wait().refused(1, &["something else"]);
    let asked = link(&lab, "a:eth1")["asked"].clone();
    assert_eq!((&asked["silent"], &asked["down"]), (&true.into(), &false.into()));
    lab.ok(["link", "reset", "a:eth1"]);
    lab.run(["link", "flap", "a:eth1", "--count", "0"])
        .refused(2, &["from once"]);
}

#[test]
fn what_is_no_link_is_refused() {
    let lab = Lab::up(PAIR);
    for (end, words) in [
        ("a:eth7", "eth1"),
        ("c:eth1", "c"),
        ("a", "NODE:INTERFACE"),
        ("a:", "NODE:INTERFACE"),
        ("host:eth0", "no link"),
        ("a:lo", "no link"),
    ] {
        lab.run(["link", "down", end]).refused(2, &[words]);
    }
    lab.ok(["exec", "a", "ip", "link", "del", "eth1"]);
    lab.run(["link", "down", "a:eth1"])
        .refused(3, &["a:eth1", "deleted"]);
}

#[test]
fn a_link_to_the_host_goes_down_at_both_ends() {
    let text = r#"
name = "out"
[nodes.a]
kind = "host"
addresses = { eth1 = ["10.77.0.2/24"] }
[[links]]
endpoints = ["a:eth1", "host:lab0"]
"#;
    let lab = Lab::new(text).on(common::Host::new());
    lab.ok(["up", "-d", lab.file()]);
    lab.host().ip(["addr", "add", "10.77.0.1/24", "dev", "lab0"]);
    let ping = || lab.run(["exec", "a", "ping", "-c1", "-W1", "10.77.0.1"]).code == 0;
    until("the way to the host", ping);
    lab.ok(["link", "down", "host:lab0"]);
    assert!(has(&flags(&lab, "a", "eth1"), "NO-CARRIER"));
    assert!(lab.host().ip(["link", "show", "lab0"]).contains("NO-CARRIER"));
    assert!(!ping());
    lab.ok(["link", "up", "a:eth1"]);
    assert!(ping());
    lab.ok(["link", "set", "a:eth1", "--loss", "100%", "--in"]);
    assert!(!ping());
    lab.run(["link", "set", "a:eth1", "--delay", "1ms"])
        .refused(2, &["`delay`", "--out"]);
    lab.ok(["link", "set", "a:eth1", "--delay", "20ms", "--out"]);
    lab.ok(["link", "clear", "a:eth1"]);
    assert!(ping());
}

#[test]
fn a_bond_sees_that_the_carrier_of_its_port_is_gone() {
    let text = r#"
name = "bonded"
[nodes.a]
kind = "host"
interfaces = { bond0 = { type = "bond", ports = ["eth1", "eth2"] } }
[nodes.b]
kind = "host"
addresses = { eth1 = ["fd00::2/64"] }
[[links]]
endpoints = ["a:eth1", "b:eth1"]
[[links]]
endpoints = ["a:eth2", "b:eth2"]
"#;
    let lab = Lab::new(text);
    let up = lab.run(["up", "-d", lab.file()]);
    if up.code != 0 {
        // Not every kernel has bonds.
        assert!(up.err.contains("bond"), "{}", up.err);
        return;
    }
    lab.ok(["link", "down", "a:eth1"]);
    until("the bond's word", || {
        lab.sh("a", "cat /proc/net/bonding/bond0")
            .contains("MII Status: down")
    });
    lab.ok(["link", "up", "a:eth1"]);
    until("the addresses of the other end", || {
        lab.sh("b", "ip -6 addr show eth1").contains("fd00::2")
    });
}

#[test]
fn the_links_of_the_management_network_are_links() {
    let text = "name = \"mgmt\"\n[mgmt]\nnat = false\n[nodes.a]\nkind = \"host\"\nmgmt = {}\n[nodes.b]\nkind = \"host\"\nmgmt = {}\n";
    let lab = Lab::new(text).on(common::Host::new());
    lab.ok(["up", "-d", lab.file()]);
    let other = lab.sh("b", "ip -4 -o addr show eth0 | awk '{print $4}' | cut -d/ -f1");
    let ping = || lab.run(["exec", "a", "ping", "-c1", "-W1", other.trim()]).code == 0;
    until("the management network", ping);
    lab.ok(["link", "down", "a:eth0"]);
    assert!(!ping());
    lab.ok(["link", "clear", "a:eth0"]);
    until("the management network again", ping);
    lab.ok(["link", "set", "a:eth0", "--delay", "30ms", "--out"]);
    let out = lab.sh("a", &format!("ping -q -c 5 -i 0.1 {}", other.trim()));
    let least = out.split("mdev = ").nth(1).and_then(|it| it.split('/').next());
    assert!(least.unwrap().parse::<f64>().unwrap() >= 30.0, "{out}");
}

#[test]
fn a_storm_of_actions_leaves_the_lab_as_planned() {
    let actions: u64 = std::env::var("NSLAB_STORM").map_or(300, |it| it.parse().unwrap());
    let file = common::in_package("labs/clos.toml");
    let lab = Lab::of_file(&file);
    lab.ok(["up", "-d", lab.file()]);
    let plan = |lab: &Lab| {
        let mut shown = lab.json(["link", "show", "--format", "json"]);
        for link in shown.as_array_mut().unwrap() {
            link["there"]["a_to_b"].take();
            link["there"]["b_to_a"].take();
        }
        shown
    };
    let before = plan(&lab);
    let ends: Vec<String> = before
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|link| [&link["a"], &link["b"]])
        .map(|end| end.as_str().unwrap().to_owned())
        .collect();
    let mut rng = common::hostile::Rng(actions);
    let kinds: [&[&str]; 9] = [
        &["down"],
        &["up"],
        &["silence"],
        &["clear"],
        &["set", "--delay", "3ms"],
        &["set", "--loss", "10%", "--out"],
        &["set", "--rate", "20mbit", "--in"],
        &["set", "--delay", "1ms", "--jitter", "1ms", "--seed", "3", "--out"],
        &["flap", "--count", "2", "--down", "5ms", "--up", "5ms"],
    ];
    let mut under_way = Vec::new();
    for _ in 0..actions {
        let kind = kinds[rng.below(kinds.len())];
        let end = &ends[rng.below(ends.len())];
        let words = ["link", kind[0], end.as_str()];
        under_way.push(lab.start(words.iter().chain(&kind[1..])));
        if under_way.len() >= 8 {
            for mut done in under_way.drain(..) {
                let done = done.wait();
                // Of a flap alone it may be that somebody has asked something else.
                assert!(
                    done.code == 0 || done.err.contains("something else"),
                    "{}",
                    done.err
                );
            }
        }
    }
    under_way.drain(..).for_each(|mut done| drop(done.wait()));
    lab.ok(["link", "reset", "--all"]);
    assert_eq!(plan(&lab), before);
    until("the routes of before", || {
        let routes = lab.sh("leaf0", "ip route show 10.1.3.0/24");
        routes.matches("nexthop").count() == 2
    });
    for node in ["spine0", "leaf3"] {
        let left = lab.sh(
            node,
            "tc qdisc show | grep -v noqueue; ip -br link | grep impair-; true",
        );
        assert_eq!(left, "");
    }
}
