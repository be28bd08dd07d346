//! Flows: what is lost is counted, for how long is measured, and nothing of them outlives the lab.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGKILL;
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::{Lab, eventually, has, until};

/// Two hosts behind a router and a bridge, in both families; `far` is behind another router, by two ways.
const LAB: &str = r#"
name = "flows"

[nodes.a]
kind = "host"
addresses = { eth0 = ["10.0.1.2/24", "fd00:1::2/64"] }
routes = [{ to = "default", via = "10.0.1.1" }, { to = "default", via = "fd00:1::1" }]

[nodes.r]
kind = "router"
addresses = { lo = ["10.9.0.1/32"], a = ["10.0.1.1/24", "fd00:1::1/64"], up0 = ["10.1.0.1/30"], up1 = ["10.1.1.1/30"], s = ["10.0.3.1/24", "fd00:3::1/64"] }
routes = [{ to = "10.0.2.0/24", nexthops = [{ via = "10.1.0.2" }, { via = "10.1.1.2" }] }]

[nodes.q]
kind = "router"
addresses = { far = ["10.0.2.1/24"], up0 = ["10.1.0.2/30"], up1 = ["10.1.1.2/30"] }
routes = [{ to = "default", nexthops = [{ via = "10.1.0.1" }, { via = "10.1.1.1" }] }]

[nodes.far]
kind = "host"
addresses = { eth0 = ["10.0.2.2/24"] }
routes = [{ to = "default", via = "10.0.2.1" }]

[nodes.s]
kind = "bridge"

[nodes.b]
kind = "host"
addresses = { eth0 = ["10.0.3.2/24", "fd00:3::2/64"] }
routes = [{ to = "default", via = "10.0.3.1" }, { to = "default", via = "fd00:3::1" }]

[nodes.none]
kind = "bridge"

[[links]]
endpoints = ["a:eth0", "r:a"]

[[links]]
endpoints = ["r:up0", "q:up0"]

[[links]]
endpoints = ["r:up1", "q:up1"]

[[links]]
endpoints = ["q:far", "far:eth0"]

[[links]]
endpoints = ["r:s", "s:p0"]

[[links]]
endpoints = ["b:eth0", "s:p1"]

[[flows]]
name = "a-b"
from = "a"
to = "b"
pps = 200

[[flows]]
name = "beat"
from = "b"
to = "a"
pps = 20
start = true
"#;

/// A flow, as `flow show` has it.
#[track_caller]
fn flow(lab: &Lab, name: &str) -> Value {
    let found = lab.json(["flow", "show", name, "--format", "json"]);
    found[0].clone()
}

/// Stops a flow.
#[track_caller]
fn stopped(lab: &Lab, name: &str) -> Value {
    lab.json(["flow", "stop", name, "--format", "json"])[0].clone()
}

fn number(flow: &Value, key: &str) -> u64 {
    flow[key].as_u64().unwrap_or_else(|| panic!("no {key} in {flow}"))
}

/// Waits until so many more packets of a flow have arrived.
#[track_caller]
fn until_more(lab: &Lab, name: &str, more: u64) {
    let before = number(&flow(lab, name), "received");
    until("packets", || {
        number(&flow(lab, name), "received") >= before + more
    });
}

fn start(lab: &Lab, words: &[&str]) {
    lab.ok([["flow", "start"].as_slice(), words].concat());
}

fn interfaces(path: &Value) -> Vec<String> {
    let all = path["interfaces"]
        .as_array()
        .unwrap_or_else(|| panic!("no way in {path}"));
    all.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// A time in nanoseconds.
fn ns(time: Duration) -> u64 {
    time.as_nanos() as u64
}

/// Cuts a flow off for a while. Returns it, and how long at least and at most nothing can have arrived.
fn cut(lab: &Lab, name: &str) -> (Value, u64, u64) {
    start(lab, &[name]);
    until_more(lab, name, 20);
    let begun = Instant::now();
    lab.ok(["exec", "r", "ip", "link", "set", "s", "down"]);
    let down = Instant::now();
    let sent = number(&flow(lab, name), "sent");
    until("packets that are lost", || {
        number(&flow(lab, name), "sent") >= sent + 60
    });
    let least = ns(down.elapsed());
    lab.ok(["exec", "r", "ip", "link", "set", "s", "up"]);
    until_more(lab, name, 20);
    let most = ns(begun.elapsed());
    (stopped(lab, name), least, most)
}

#[test]
fn a_cut_link_is_an_outage_of_that_length() {
    let lab = Lab::up(LAB);
    // A machine that is busy elsewhere may keep the sender from sending: then no figure is given, and that is told.
    let (cut, least, most) = eventually("an outage without a gap of the sender's", || {
        let cut = cut(&lab, "a-b");
        let gaps = number(&cut.0, "sender_gap_count");
        assert!(gaps > 0 || cut.0["outage"] == "valid", "{}", cut.0);
        (cut.0["outage"] == "valid" && gaps == 0).then_some(cut)
    });
    let (sent, received, lost) = (
        number(&cut, "sent"),
        number(&cut, "received"),
        number(&cut, "lost"),
    );
    assert_eq!(sent, received + lost, "{cut}");
    assert_eq!((number(&cut, "in_flight"), number(&cut, "duplicated")), (0, 0));
    assert!(lost >= 60, "{cut}");
    let outage = &cut["longest_outage"];
    let length = number(outage, "length_ns");
    assert!(
        (least..=most).contains(&length),
        "{length} is not in {least}..{most}: {cut}"
    );
    // One packet each 5 ms at most, and fewer where the machine is busy: so many take at least so long.
    assert_eq!(number(outage, "packets"), lost, "{cut}");
    let packets_take = (lost + 1) * 5_000_000;
    assert!(length + 16_000_000 >= packets_take, "{length} for {lost} packets");
    let began = number(outage, "began_ns");
    assert!(began > number(&cut, "began_ns") && began + length < number(&cut, "last_sent_ns") + 5_000_000);
    assert_eq!(cut["trouble"], Value::Null);
    // What was over time adds up to the same.
    let points = cut["series"]["points"].as_array().unwrap();
    let sum = |key: &str| points.iter().map(|it| it[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("sent"), sum("received")), (sent, received));
    let latency = &cut["latency"];
    assert!(number(latency, "min_ns") <= number(latency, "p50_ns"));
    assert!(number(latency, "p50_ns") <= number(latency, "max_ns"));
}

#[test]
fn every_protocol_and_family_is_counted() {
    let lab = Lab::up(LAB);
    for (name, words) in [
        ("udp4", ["--proto", "udp", "--family", "4"]),
        ("udp6", ["--proto", "udp", "--family", "6"]),
        ("icmp4", ["--proto", "icmp", "--family", "4"]),
        ("icmp6", ["--proto", "icmp", "--family", "6"]),
        ("tcp4", ["--proto", "tcp", "--family", "4"]),
        ("tcp6", ["--proto", "tcp", "--family", "6"]),
    ] {
        let common = [
            "--from", "a", "--to", "b", "--pps", "100", "--size", "301", "--name", name,
        ];
        start(&lab, &[words.as_slice(), &common].concat());
        until_more(&lab, name, 30);
        let done = stopped(&lab, name);
        assert_eq!(done["state"], "stopped");
        // A message before the connection is there is refused.
        let unsent = number(&done, "refused");
        assert!(unsent == 0 || name.starts_with("tcp"), "{done}");
        assert_eq!(number(&done, "lost"), unsent, "{done}");
        assert_eq!(number(&done, "bytes"), number(&done, "received") * 301, "{done}");
        assert_eq!(done["round_trip"], name.starts_with("icmp"));
        let v6 = done["destination"].as_str().unwrap().contains(':');
        assert_eq!(v6, name.ends_with('6'));
        let path = interfaces(&done["path_before"]);
        assert_eq!(path, ["a:eth0", "r:a", "r:s", "s:p0", "s:p1", "b:eth0"], "{name}");
        assert_eq!(done["path_after"]["ends"], Value::Null);
    }
    let told = lab.ok(["flow", "show", "icmp4", "udp6"]);
    assert!(told.contains("by the replies"), "{told}");
    assert!(told.contains("fd00:1::2 to fd00:3::2"), "{told}");
}

#[test]
fn a_transfer_is_measured() {
    let lab = Lab::up(LAB);
    start(
        &lab,
        &["--from", "a", "--to", "b", "--proto", "tcp", "--name", "bulk"],
    );
    until("ten megabytes", || {
        number(&flow(&lab, "bulk"), "bytes") > 10_000_000
    });
    let done = stopped(&lab, "bulk");
    assert_eq!(done["pps"], Value::Null);
    assert!(number(&done, "bits_per_second") > 10_000_000, "{done}");
    assert_eq!(done["trouble"], Value::Null);
    let told = lab.ok(["flow", "show"]);
    assert!(told.contains("bit/s"), "{told}");
    // One that has nobody to connect to is a failure.
    lab.ok(["exec", "r", "ip", "link", "set", "s", "down"]);
    start(
        &lab,
        &["--from", "a", "--to", "b", "--proto", "tcp", "--name", "dead"],
    );
    until("an error", || flow(&lab, "dead")["trouble"] == "never-ran");
    lab.run(["flow", "stop", "dead"])
        .refused(1, &["flow dead: never ran"]);
}

#[test]
fn a_flow_that_leads_nowhere_is_a_failure() {
    let lab = Lab::up(LAB);
    start(
        &lab,
        &[
            "--from",
            "a",
            "--to",
            "10.77.0.1",
            "--proto",
            "icmp",
            "--name",
            "nowhere",
        ],
    );
    until("packets", || number(&flow(&lab, "nowhere"), "sent") > 10);
    let done = lab.run(["flow", "stop", "nowhere"]);
    done.refused(
        1,
        &["flow nowhere: nothing received", "r has no way to 10.77.0.1"],
    );
    let found = flow(&lab, "nowhere");
    assert_eq!(found["trouble"], "never-received");
    assert_eq!(number(&found, "lost"), number(&found, "sent"));
    // Where the sender's own kernel has no way, it says so.
    lab.ok(["exec", "a", "ip", "route", "del", "default"]);
    start(&lab, &["a-b"]);
    until("refusals", || number(&flow(&lab, "a-b"), "refused") > 5);
    assert_eq!(flow(&lab, "a-b")["error"], "Network is unreachable");
    lab.run(["flow", "stop", "a-b"])
        .refused(1, &["flow a-b: nothing received"]);
    // One that was never started is not zero loss, either.
    assert_eq!(
        flow(&Lab::up(&LAB.replace("start = true", "")), "beat")["trouble"],
        "never-ran"
    );
}

#[test]
fn what_cannot_be_a_flow_is_refused() {
    let lab = Lab::up(LAB);
    for (words, code, said) in [
        (vec!["start", "nosuch"], 2, "has no flow \"nosuch\""),
        (vec!["stop", "nosuch"], 2, "nosuch"),
        (vec!["show", "nosuch"], 2, "nosuch"),
        (
            vec!["start", "--from", "nosuch", "--to", "b"],
            2,
            "no node \"nosuch\"",
        ),
        (
            vec!["start", "--from", "a", "--to", "b:eth7"],
            2,
            "b has no interface eth7",
        ),
        (
            vec!["start", "--from", "a", "--to", "none"],
            2,
            "none has no address",
        ),
        (
            vec!["start", "--from", "far", "--to", "b", "--family", "6"],
            2,
            "far has no IPv6 address",
        ),
        (
            vec!["start", "--from", "a", "--to", "10.77.0.1"],
            2,
            "no node of the lab has 10.77.0.1",
        ),
        (
            vec!["start", "--from", "a", "--to", "b", "--size", "9"],
            2,
            "24 to 65507 bytes",
        ),
        (
            vec!["start", "--from", "a", "--to", "b", "--dscp", "64"],
            2,
            "0 to 63",
        ),
        (
            vec![
                "start", "--from", "a", "--to", "b", "--proto", "icmp", "--port", "7",
            ],
            2,
            "icmp has no ports",
        ),
        (
            vec!["start", "--from", "a", "--to", "b", "--name", "a b"],
            2,
            "contains ' '",
        ),
        (vec!["start", "beat"], 2, "flow beat is running"),
        (
            vec!["start", "a-b", "--from", "a", "--to", "b"],
            2,
            "cannot be used with",
        ),
    ] {
        lab.run([["flow"].as_slice(), &words].concat())
            .refused(code, &[said]);
    }
    // A port that somebody has is told, and nothing of the others is started.
    start(
        &lab,
        &["--from", "a", "--to", "b", "--port", "5000", "--name", "first"],
    );
    let again = [
        "flow", "start", "--from", "far", "--to", "b", "--port", "5000", "--name", "second",
    ];
    lab.run(again).refused(3, &["start flow second", "in use"]);
    let names = lab.json(["flow", "show", "--format", "json"]);
    assert!(names.as_array().unwrap().iter().all(|it| it["name"] != "second"));
}

#[test]
fn flows_of_the_file_start_by_themselves_or_when_asked() {
    let lab = Lab::up(LAB);
    until("the flow that starts by itself", || {
        flow(&lab, "beat")["state"] == "running"
    });
    assert_eq!(flow(&lab, "a-b")["state"], "idle");
    until_more(&lab, "beat", 5);
    start(&lab, &["a-b"]);
    until_more(&lab, "a-b", 5);
    let first = stopped(&lab, "a-b");
    // A second run begins anew, and at the same port.
    start(&lab, &["a-b"]);
    assert!(number(&flow(&lab, "a-b"), "sent") < number(&first, "sent"));
    assert_eq!(first["port"], flow(&lab, "a-b")["port"]);
    assert_eq!(
        lab.json(["flow", "stop", "--format", "json"])
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(flow(&lab, "beat")["state"], "stopped");
}

#[test]
fn the_way_is_that_of_the_packets() {
    let lab = Lab::up(LAB);
    start(
        &lab,
        &["--from", "a", "--to", "far", "--pps", "200", "--name", "x"],
    );
    until_more(&lab, "x", 20);
    let before = interfaces(&flow(&lab, "x")["path_before"]);
    let up = if before.contains(&"r:up0".to_owned()) {
        ["up0", "up1"]
    } else {
        ["up1", "up0"]
    };
    let way = |up: &str| {
        [
            "a:eth0",
            "r:a",
            &format!("r:{up}"),
            &format!("q:{up}"),
            "q:far",
            "far:eth0",
        ]
        .map(str::to_owned)
    };
    assert_eq!(before, way(up[0]));
    let sent = |interface: &str| -> u64 {
        let path = format!("/sys/class/net/{interface}/statistics/tx_packets");
        lab.sh("r", &format!("cat {path}")).trim().parse().unwrap()
    };
    let (used, unused) = (sent(up[0]), sent(up[1]));
    until_more(&lab, "x", 100);
    assert!(sent(up[0]) >= used + 100);
    assert!(
        sent(up[1]) < unused + 20,
        "nothing but what links say for themselves goes there"
    );
    lab.ok(["exec", "r", "ip", "link", "set", up[0], "down"]);
    until("the other way", || {
        let found = lab.json(["flow", "show", "x", "--path", "--format", "json"]);
        interfaces(&found[0]["path_after"]) == way(up[1])
    });
    assert_eq!(interfaces(&flow(&lab, "x")["path_before"]), way(up[0]));
    // The loopback of a router is where it is known by.
    start(&lab, &["--from", "a", "--to", "r", "--name", "to-r"]);
    assert_eq!(flow(&lab, "to-r")["destination"], "10.9.0.1");
    start(&lab, &["--from", "a", "--to", "r:s", "--name", "to-s"]);
    assert_eq!(flow(&lab, "to-s")["destination"], "10.0.3.1");
}

#[test]
fn packets_carry_their_code_point() {
    if !has("tcpdump") {
        return;
    }
    let lab = Lab::up(LAB);
    start(
        &lab,
        &[
            "--from", "a", "--to", "b", "--dscp", "ef", "--port", "5000", "--size", "400", "--name", "ef",
        ],
    );
    let line = "timeout 20 tcpdump -n -v -c 3 -i eth0 udp port 5000 2>/dev/null";
    let seen = lab.sh("b", line);
    assert_eq!(seen.matches("tos 0xb8").count(), 3, "{seen}");
    assert_eq!(seen.matches("length 400").count(), 3, "{seen}");
    start(
        &lab,
        &[
            "--from", "a", "--to", "b", "--family", "6", "--dscp", "10", "--port", "5006", "--name", "six",
        ],
    );
    let seen = lab.sh("b", &line.replace("5000", "5006"));
    // The class is the code point and two bits; and no label is made up.
    assert_eq!(seen.matches("class 0x28").count(), 3, "{seen}");
    assert!(!seen.contains("flowlabel"), "{seen}");
}

#[test]
fn five_hundred_flows_run_at_once() {
    let mut text = LAB.to_owned();
    for number in 0..500 {
        let proto = ["udp", "icmp", "tcp"][number % 3];
        let family = 4 + 2 * (number % 2);
        text += &format!(
            "\n[[flows]]\nname = \"f{number}\"\nfrom = \"a\"\nto = \"b\"\nproto = {proto:?}\npps = 5\nfamily = {family}\n"
        );
    }
    let lab = Lab::up(&text);
    until("the flow that starts by itself", || {
        flow(&lab, "beat")["state"] == "running"
    });
    until_more(&lab, "beat", 1);
    lab.ok(["flow", "stop"]);
    start(&lab, &[]);
    let all = || lab.json(["flow", "show", "--format", "json"]);
    until("packets of all", || {
        let all = all();
        all.as_array()
            .unwrap()
            .iter()
            .all(|it| number(it, "received") >= 3)
    });
    let done = lab.json(["flow", "stop", "--format", "json"]);
    let done = done.as_array().unwrap();
    assert_eq!(done.len(), 502);
    for flow in done {
        assert_eq!(
            number(flow, "received") + number(flow, "refused"),
            number(flow, "sent"),
            "{flow}"
        );
        assert_eq!(number(flow, "foreign"), 0, "{flow}");
    }
}

/// The process that runs the flows of a lab.
fn runner(lab: &Lab) -> Option<i32> {
    let supervisor = lab.supervisor("flows").as_raw();
    let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).ok()?;
    let mut children = children
        .split_whitespace()
        .filter_map(|it| it.parse::<i32>().ok());
    children.find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"nslab: flows")
    })
}

#[test]
fn nothing_of_a_flow_outlives_its_lab() {
    let lab = Lab::up(LAB);
    start(&lab, &["a-b"]);
    start(
        &lab,
        &["--from", "a", "--to", "b", "--proto", "tcp", "--name", "bulk"],
    );
    until_more(&lab, "a-b", 5);
    until("the process that runs flows", || runner(&lab).is_some());
    let traces = lab.traces("flows");
    nix::sys::signal::kill(lab.supervisor("flows"), SIGKILL).unwrap();
    until("the sweep", || lab.left().is_empty());
    traces.gone();
    // And by the usual way.
    lab.ok(["up", "-d", lab.file()]);
    start(&lab, &["a-b"]);
    let traces = lab.traces("flows");
    lab.ok(["down", "flows"]);
    traces.gone();
}

#[test]
fn a_killed_runner_is_told_and_replaced() {
    let lab = Lab::up(LAB);
    start(&lab, &["a-b"]);
    until_more(&lab, "a-b", 5);
    let first = eventually("the process that runs flows", || runner(&lab));
    nix::sys::signal::kill(Pid::from_raw(first), SIGKILL).unwrap();
    until("its end", || flow(&lab, "a-b")["state"] == "idle");
    assert_eq!(flow(&lab, "a-b")["trouble"], "never-ran");
    start(&lab, &["a-b"]);
    until_more(&lab, "a-b", 5);
    until("another", || runner(&lab).is_some_and(|second| second != first));
}

#[test]
fn strangers_do_not_count() {
    let lab = Lab::up(LAB);
    start(
        &lab,
        &["--from", "a", "--to", "b", "--port", "5000", "--name", "x"],
    );
    until_more(&lab, "x", 5);
    // Text, packets with the flow's beginning, and a packet of another flow's: none of it is the flow's.
    let line = "for n in 1 2 3; do printf 'nsFl and what somebody likes to say here %s' $n > /dev/udp/10.0.3.2/5000; done";
    lab.ok(["exec", "a", "bash", "-c", line]);
    until("strangers", || number(&flow(&lab, "x"), "foreign") == 3);
    let done = stopped(&lab, "x");
    assert_eq!(number(&done, "lost"), 0, "{done}");
    assert_eq!(number(&done, "duplicated"), 0, "{done}");
}

/// Flows that are more than the machine can send: what is asked of them is answered all the same.
#[test]
fn a_flow_that_cannot_keep_up_can_be_stopped() {
    let lab = Lab::up(LAB);
    for number in 0..3 {
        let name = format!("fast{number}");
        start(
            &lab,
            &["--from", "a", "--to", "far", "--pps", "50000", "--name", &name],
        );
    }
    until_more(&lab, "fast2", 100);
    let done = stopped(&lab, "fast2");
    assert!(number(&done, "received") > 0, "{done}");
    lab.ok(["flow", "stop"]);
    assert_eq!(flow(&lab, "fast0")["state"], "stopped");
}
