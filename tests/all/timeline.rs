//! The timeline of a lab: who lost and gained which way when, as the kernel announced it in every node.

use crate::common;

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use common::{Lab, PAIR, has_frr, until};
use nix::sys::signal::{Signal, kill};
use nslab::run::directory::LabDirectory;
use nslab::run::timeline::{self, History};
use serde_json::Value;

/// Two routers with two links between them.
fn routers(engine: &str) -> String {
    let router = |name: &str, number: u8, other: u8| {
        format!(
            "[nodes.{name}]\nkind = \"router\"\nengine = \"{engine}\"\n\
             addresses = {{ lo = [\"10.255.0.{number}/32\"], up0 = [\"10.0.0.{number}/24\"], up1 = [\"10.0.1.{number}/24\"] }}\n\
             config = '''\nfrr defaults datacenter\nrouter bgp 6500{number}\n no bgp ebgp-requires-policy\n \
             neighbor 10.0.0.{other} remote-as external\n neighbor 10.0.1.{other} remote-as external\n \
             address-family ipv4 unicast\n  redistribute connected\n'''\n"
        )
    };
    format!(
        "name = \"two-{engine}\"\n{}{}[[links]]\nendpoints = [\"left:up0\", \"right:up0\"]\n\
         [[links]]\nendpoints = [\"left:up1\", \"right:up1\"]\n",
        router("left", 1, 2),
        router("right", 2, 1)
    )
}

fn changes<'a>(timeline: &'a Value, node: &str, kind: &str) -> Vec<&'a Value> {
    let all = timeline["changes"].as_array().unwrap().iter();
    all.filter(|it| it["node"] == node && it["kind"] == kind)
        .collect()
}

fn texts(changes: &[&Value]) -> Vec<String> {
    changes
        .iter()
        .map(|it| it["text"].as_str().unwrap().to_owned())
        .collect()
}

fn json(lab: &Lab, words: &[&str]) -> Value {
    lab.json([&["timeline", "--format", "json"], words].concat())
}

/// A router loses a link: both ends tell it, and what they lose by it, in the order of cause and effect.
fn a_link_goes_down(engine: &str) {
    let lab = Lab::up(&routers(engine));
    let has_both = |node: &str, other: u8| {
        let route = lab.sh(node, &format!("ip route show 10.255.0.{other}"));
        route.contains("up0") && route.contains("up1")
    };
    until("both routers lead over both links", || {
        has_both("left", 2) && has_both("right", 1)
    });
    lab.ok(["timeline", "mark", "cut"]);
    lab.sh("left", "ip link set up0 down");
    until("both ends lead over the other link alone", || {
        let route = |node: &str, other: u8| lab.sh(node, &format!("ip route show 10.255.0.{other}"));
        !route("left", 2).contains("up0") && !route("right", 1).contains("up0")
    });
    until("both ends have told that the session is down", || {
        let timeline = json(&lab, &["--since", "cut"]);
        ["left", "right"].iter().all(|node| {
            let sessions = texts(&changes(&timeline, node, "session"));
            sessions.iter().any(|it| it.contains(" down"))
        })
    });

    let timeline = json(&lab, &["--since", "cut"]);
    let first = |node: &str, kind: &str, wanted: &str| {
        let all = changes(&timeline, node, kind);
        let found = all
            .iter()
            .find(|it| it["text"].as_str().unwrap().contains(wanted));
        let found = found.unwrap_or_else(|| panic!("{node} {kind} {wanted}: {all:?}"));
        found["monotonic"].as_u64().unwrap()
    };
    let down = first("left", "link", "up0 is down");
    let carrier = first("right", "link", "up0 has no carrier");
    let left = first("left", "route", "10.255.0.2/32");
    let right = first("right", "route", "10.255.0.1/32");
    assert!(
        down <= left && carrier <= right && down <= carrier,
        "{timeline:#}"
    );
    // The network of the link itself: the kernel takes it out without a word.
    let own = changes(&timeline, "left", "route");
    let own = own.iter().find(|it| it["prefix"] == "10.0.0.0/24").unwrap();
    assert_eq!(own["lost"][0]["interface"], "up0");
    let lost = changes(&timeline, "right", "route");
    let lost = lost.iter().find(|it| it["prefix"] == "10.255.0.1/32").unwrap();
    assert!(lost["text"].as_str().unwrap().contains("up0"), "{lost}");
    // In the order of their times.
    let times: Vec<u64> = timeline["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["number"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted());

    // One prefix, one node, one kind.
    let one = json(&lab, &["--since", "cut", "--prefix", "10.255.0.1/32"]);
    let all = one["changes"].as_array().unwrap();
    assert!(
        all.iter()
            .all(|it| it["kind"] == "mark" || it["prefix"] == "10.255.0.1/32"),
        "{one:#}"
    );
    assert!(!changes(&one, "right", "route").is_empty());
    let over = json(&lab, &["--since", "cut", "--prefix", "10.0.0.7"]);
    assert_eq!(changes(&over, "left", "route")[0]["prefix"], "10.0.0.0/24");
    let one = json(&lab, &["--since", "cut", "--node", "right", "--kind", "link"]);
    let links = texts(&changes(&one, "right", "link"));
    assert_eq!(links, ["up0 has no carrier"]);
    assert_eq!(one["changes"].as_array().unwrap().len(), 2, "{one:#}");

    // The lab comes to rest, and comes back.
    let directory = LabDirectory {
        path: lab.run_directory().join(format!("two-{engine}")),
        lab: format!("two-{engine}"),
    };
    let rest = timeline::wait_quiet(
        &directory,
        None,
        Duration::from_millis(300),
        Duration::from_secs(20),
    );
    assert!(rest.unwrap().is_quiet);
    let quiet = lab.ok(["timeline", "--since", "cut", "--quiet", "300ms"]);
    assert!(
        quiet.contains("quiet again ") || quiet.contains("300 ms"),
        "{quiet}"
    );
    lab.ok(["timeline", "mark", "mended"]);
    lab.sh("left", "ip link set up0 up");
    until("both ends have told that the session is up", || {
        let timeline = json(&lab, &["--since", "mended"]);
        let is_up = |node: &str| {
            let sessions = texts(&changes(&timeline, node, "session"));
            sessions.iter().any(|it| it.ends_with(" up"))
        };
        is_up("left") && is_up("right")
    });
    let back = json(&lab, &["--since", "mended"]);
    let routes = changes(&back, "left", "route");
    let own = routes.iter().find(|it| it["prefix"] == "10.0.0.0/24").unwrap();
    assert_eq!(
        (&own["gained"][0]["interface"], &own["protocol"]),
        (&Value::from("up0"), &Value::from("kernel"))
    );
    assert!(!texts(&changes(&back, "right", "link")).is_empty(), "{back:#}");
}

#[test]
fn a_link_that_goes_down_is_told_on_both_ends_by_the_speaker() {
    a_link_goes_down("builtin");
}

#[test]
fn a_link_that_goes_down_is_told_on_both_ends_by_frr() {
    if has_frr() {
        a_link_goes_down("frr");
    }
}

#[test]
fn marks_are_found_by_their_names() {
    let lab = Lab::up(PAIR);
    let out = lab.ok(["timeline"]);
    assert!(out.starts_with("since ready\n"), "{out}");
    lab.ok(["timeline", "mark", "one"]);
    lab.sh("a", "ip route add 192.0.2.0/24 via 10.0.0.2");
    lab.ok(["timeline", "mark", "two words"]);
    lab.sh("a", "ip route del 192.0.2.0/24");
    until("the route's end is told", || {
        lab.ok(["timeline"]).contains("lost 192.0.2.0/24")
    });
    let last = lab.ok(["timeline"]);
    assert!(
        last.starts_with("since two words\n") && !last.contains("gained 192"),
        "{last}"
    );
    assert!(
        last.contains("  a     lost 192.0.2.0/24 via eth0 (10.0.0.2)\n"),
        "{last}"
    );
    let both = lab.ok(["timeline", "--since", "one"]);
    assert!(both.contains("gained 192.0.2.0/24 via eth0 (10.0.0.2)"), "{both}");
    let first = lab.ok(["timeline", "--since", "one", "--until", "two words"]);
    assert!(
        first.contains("gained 192") && !first.contains("lost 192"),
        "{first}"
    );
    assert!(lab.ok(["timeline", "--since", "1h"]).contains("-- ready --"));

    lab.run(["timeline", "--since", "three"])
        .refused(2, &["no mark \"three\"", "two words"]);
    lab.run(["timeline", "--since", "5 parsecs"])
        .refused(2, &["is no time"]);
    lab.run(["timeline", "--node", "c"])
        .refused(2, &["has no node \"c\""]);
    lab.run(["timeline", "--prefix", "ten"])
        .refused(2, &["is no network"]);
    lab.run(["timeline", "--format", "mermaid", "-f"])
        .refused(2, &["cannot be followed"]);
    let long = "x".repeat(65);
    for name in ["5s", "start", "tab\tbed", "\u{1b}[31m", &long] {
        lab.run(["timeline", "mark", name]).refused(2, &["mark"]);
    }
}

#[test]
fn a_change_in_whatever_way_is_told() {
    let lab = Lab::up(PAIR);
    lab.ok(["timeline", "mark", "begin"]);
    lab.sh(
        "a",
        "ip link set eth0 mtu 1400 && ip link add v0 type veth peer name v1 && ip link set v1 up && ip link set v0 up && \
         ip address add 10.7.0.1/24 dev v0 && \
         ip route add 198.51.100.0/24 nexthop via 10.0.0.2 nexthop via 10.7.0.2 && \
         ip route add blackhole 203.0.113.0/24 table 77 && ip link set v0 down && ip link set v0 up && \
         ip route add 198.51.101.0/24 via 10.7.0.2 && ip link del v0 && \
         ip -6 route add 2001:db8::/32 dev eth0 && ip -6 route del 2001:db8::/32 && ping -c1 10.0.0.2 && ip neigh flush all",
    );
    let wanted = [
        "eth0 has MTU 1400",
        "v1 is new and is down",
        "v0 is new and is down",
        "gained address 10.7.0.1/24 on v0",
        "gained 10.7.0.0/24 via v0",
        "gained 198.51.100.0/24 via eth0 (10.0.0.2), v0 (10.7.0.2)",
        "gained 203.0.113.0/24 via blackhole in table 77",
        // The kernel says nothing of either.
        "lost 198.51.100.0/24 via v0 (10.7.0.2); eth0 (10.0.0.2) stays",
        "gained 198.51.100.0/24 via v0 (10.7.0.2); eth0 (10.0.0.2) stays",
        "gained 198.51.101.0/24 via v0",
        "lost 198.51.101.0/24 via v0",
        "v0 is gone",
        "gained 2001:db8::/32 via eth0",
        "lost 2001:db8::/32 via eth0",
        "found neighbor 10.0.0.2 on eth0",
        "lost neighbor 10.0.0.2 on eth0",
    ];
    let mut told = String::new();
    until("all is told", || {
        told = lab.ok(["timeline", "--kind", "all"]);
        told.contains("lost neighbor 10.0.0.2")
    });
    let mut rest = told.as_str();
    for wanted in wanted {
        let at = rest.find(wanted);
        rest = &rest[at.unwrap_or_else(|| panic!("{wanted}: {told}"))..];
    }
}

#[test]
fn names_from_nodes_are_clean() {
    let lab = Lab::up(PAIR);
    lab.sh(
        "a",
        "ip link add name 'x;#<b>' type veth peer name \"$(printf 'y\\033[3m')\"",
    );
    until("it is told", || lab.ok(["timeline"]).contains("x;#<b> is new"));
    let (table, diagram) = (lab.ok(["timeline"]), lab.ok(["timeline", "--format", "mermaid"]));
    assert!(table.contains("y\\x1b[3m is new"), "{table}");
    let body: Vec<&str> = diagram.lines().collect();
    assert_eq!(body[..2], ["sequenceDiagram", "    participant n0 as a"]);
    assert!(!diagram.contains(['<', '[', '\u{1b}']), "{diagram}");
    assert!(diagram.contains("ms x#59;#35;#60;b#62; is new"), "{diagram}");
    assert!(
        body.last().unwrap().starts_with("    Note over n0: "),
        "{diagram}"
    );
}

#[test]
fn late_interfaces_and_restarted_nodes_are_seen() {
    let lab = Lab::up(
        "name = \"again\"\n[nodes.a]\nkind = \"host\"\nrun = [{ name = \"s\", command = \"sleep infinity\" }]\n\
         exec = [\"ip link add late0 type veth peer name late1\"]\n[nodes.b]\nkind = \"host\"\n[[links]]\nendpoints = [\"a:eth0\", \"b:eth0\"]\n",
    );
    until("the interface is told", || {
        lab.ok(["timeline", "--since", "start"]).contains("late0 is new")
    });
    lab.ok(["restart", "a"]);
    lab.sh("a", "ip link set late0 up");
    until("what it does then is told", || {
        lab.ok(["timeline", "--since", "restart a"])
            .contains("late0 has no carrier")
    });
    let told = lab.ok(["timeline", "--since", "restart a"]);
    assert!(
        told.contains("  a     is started again\n") && told.contains("  a     s started\n"),
        "{told}"
    );
    // One that is stopped loses its links.
    lab.ok(["stop", "b"]);
    until("its neighbor has no carrier", || {
        lab.ok(["timeline", "--since", "stop b"])
            .contains("a     eth0 has no carrier")
    });
    // A process that is killed.
    lab.sh("a", "kill -9 $(pidof sleep)");
    until("its end is told", || {
        lab.ok(["timeline", "--since", "start"])
            .contains("s ended (status 137)")
    });
    assert!(lab.ok(["timeline", "--since", "ended a:s"]).contains("s ended"));
}

#[test]
fn it_can_be_followed() {
    let lab = Lab::up(PAIR);
    let mut lines = lab.start(["timeline", "-f", "--format", "json", "--node", "b"]);
    let mut table = lab.start(["timeline", "-f"]);
    table.until_said("since ready");
    lab.sh("a", "ip route add 192.0.2.0/24 via 10.0.0.2");
    lab.sh("b", "ip route add 192.0.2.128/25 via 10.0.0.1");
    lines.until_said("192.0.2.128/25");
    table.until_said("gained 192.0.2.128/25 via eth0");
    let out = lines.out();
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["node"], &last["change"]),
        (&Value::from("b"), &Value::from("gained"))
    );
    assert!(!out.contains("192.0.2.0/24"));
    lab.ok(["down", "pair"]);
    assert_eq!(lines.wait_within(Duration::from_secs(10)).code, 0);
    table.wait_within(Duration::from_secs(10));
}

#[test]
fn a_lab_can_go_without() {
    let lab = Lab::new(PAIR);
    for size in ["1", "64", "5X", "1e9", "99999999999999999999G", "-1"] {
        let size = format!("--timeline={size}");
        lab.run(["up", "-d", &size, lab.file()])
            .refused(2, &["size between 64K and 64G"]);
    }
    lab.ok(["up", "-d", "--timeline", "0", lab.file()]);
    for words in [&["timeline"][..], &["timeline", "mark", "x"]] {
        lab.run(words).refused(2, &["keeps no timeline", "--timeline 0"]);
    }
}

/// What one node does a hundred thousand times costs neither memory nor another node's past or present.
#[test]
fn a_node_that_flaps_without_end_hides_no_other() {
    let lab = Lab::new(PAIR);
    lab.ok(["up", "-d", "--timeline", "512K", lab.file()]);
    lab.sh("b", "ip route add 192.0.2.0/24 via 10.0.0.1");
    until("the first change is told", || {
        lab.ok(["timeline"]).contains("gained 192.0.2.0/24")
    });
    let before = memory(&lab);
    let mut batch = String::new();
    for number in 0..120_000u32 {
        let [_, b, c, d] = number.to_be_bytes();
        writeln!(
            batch,
            "route add blackhole 198.{}.{c}.{d}\nroute del blackhole 198.{}.{c}.{d}",
            18 + b,
            18 + b
        )
        .unwrap();
    }
    fs::write(lab.path("batch"), batch).unwrap();
    lab.ok(["cp", lab.path("batch").to_str().unwrap(), "a:/tmp/batch"]);
    let mut flood = lab.start([
        "exec",
        "a",
        "sh",
        "-c",
        "ip -batch /tmp/batch & ip -force -batch /tmp/batch 2>/dev/null; wait",
    ]);
    // Meanwhile another is heard at once.
    let mut slowest = Duration::ZERO;
    for round in 0..5 {
        let net = format!("192.0.3.{}/32", round);
        lab.sh("b", &format!("ip route add {net} via 10.0.0.1"));
        let began = Instant::now();
        until("a change of the other node is told", || {
            lab.ok(["timeline", "--node", "b", "--since", "start"])
                .contains(&format!("gained {net}"))
        });
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(20), "{slowest:?}");
    flood.wait_within(Duration::from_secs(120));
    let after = memory(&lab);
    assert!(after < before + (12 << 20), "{before} {after}");

    let b = lab.ok(["timeline", "--node", "b", "--since", "start"]);
    assert!(b.contains("gained 192.0.2.0/24") && !b.contains("dropped"), "{b}");
    let a = lab.json(["timeline", "--node", "a", "--since", "start", "--format", "json"]);
    let dropped = &a["dropped"][0];
    assert_eq!(dropped["node"], "a");
    assert!(dropped["entries"].as_u64().unwrap() > 10_000, "{dropped}");
    // What was not heard is told, and afterwards it is known again how things are.
    until("what was lost is told", || {
        let a = lab.ok(["timeline", "--node", "a", "--since", "start"]);
        a.contains("announcements of the kernel were not heard") && a.contains("oldest")
    });
    lab.sh("a", "ip route add 203.0.113.0/24 via 10.0.0.2");
    until("the node is heard again", || {
        lab.ok(["timeline", "--node", "a", "--since", "start"])
            .contains("gained 203.0.113.0/24")
    });
}

/// Octets that the supervisor has in memory.
fn memory(lab: &Lab) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", lab.supervisor("pair"))).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn nothing_is_left_of_one_that_is_killed() {
    let lab = Lab::up(PAIR);
    let mut follower = lab.start(["timeline", "-f"]);
    follower.until_said("since ready");
    lab.sh("a", "(while ip route add 192.0.2.0/24 via 10.0.0.2; do ip route del 192.0.2.0/24; done) >/dev/null 2>&1 &");
    follower.until_said("gained 192.0.2.0/24");
    let traces = lab.traces("pair");
    kill(lab.supervisor("pair"), Signal::SIGKILL).unwrap();
    follower.wait_within(Duration::from_secs(10));
    lab.swept(&traces);
}

#[test]
fn other_parts_of_nslab_read_it() {
    let lab = Lab::up(PAIR);
    let directory = LabDirectory {
        path: lab.run_directory().join("pair"),
        lab: "pair".to_owned(),
    };
    let quiet = |since, span, most| {
        timeline::wait_quiet(
            &directory,
            since,
            Duration::from_millis(span),
            Duration::from_millis(most),
        )
        .unwrap()
    };
    assert!(quiet(None, 100, 20_000).is_quiet);
    let mark = timeline::mark(&directory, "mine").unwrap();
    // It has not been quiet for so long since the mark, and there is no time to wait.
    assert!(!quiet(Some(mark), 60_000, 50).is_quiet);
    lab.sh(
        "a",
        "ip route add 192.0.2.0/24 via 10.0.0.2; sleep 0.1; ip route del 192.0.2.0/24",
    );
    let rest = quiet(Some(mark), 200, 20_000);
    assert!(
        rest.is_quiet && rest.last_change > mark && rest.now >= rest.last_change + 200_000_000,
        "{rest:?}"
    );
    let mut rows = Vec::new();
    timeline::rows_since(&directory, mark, &mut |row| rows.push(row.text)).unwrap();
    assert_eq!(
        rows,
        [
            "mark mine",
            "gained 192.0.2.0/24 via eth0 (10.0.0.2)",
            "lost 192.0.2.0/24 via eth0 (10.0.0.2)"
        ]
    );
    let judged = timeline::quiet_since(&directory, mark, Duration::from_millis(200)).unwrap();
    assert_eq!(judged.after, Some(rest.last_change - mark));
    assert!(
        judged.is_quiet && judged.after.unwrap() >= 100_000_000,
        "{judged:?}"
    );
    let marks = History::read(&directory).unwrap().marks();
    assert!(marks.contains(&("mine".to_owned(), mark)));
}
