//! What links do to packets: each key is seen to work, to be refused where it cannot be, and to leave nothing.

use crate::common;

use std::collections::BTreeSet;

use common::{Lab, Running, until};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

/// Two hosts, and what the link between them does to packets.
fn text(impair: &str) -> String {
    format!(
        "name = \"impaired\"\n[nodes.a]\nkind = \"host\"\naddresses = {{ eth1 = [\"10.0.0.1/24\"] }}\n\
         [nodes.b]\nkind = \"host\"\naddresses = {{ eth1 = [\"10.0.0.2/24\"] }}\n\
         [[links]]\nendpoints = [\"a:eth1\", \"b:eth1\"]\n{impair}\n"
    )
}

fn up(impair: &str) -> Lab {
    Lab::up(&text(&format!("impair = {impair}")))
}

/// What `ping` says at the end, of so many packets.
struct Pings {
    received: u32,
    duplicates: u32,
    least: f64,
    most: f64,
    out: String,
}

fn ping(lab: &Lab, count: u32, gap: &str) -> Pings {
    let out = lab.sh("a", &format!("ping -c {count} -i {gap} -W 1 10.0.0.2 || true"));
    let number = |unit: &str| {
        let part = out.split(", ").find_map(|part| part.strip_suffix(unit));
        part.map_or(0, |it| it.trim_start_matches('+').parse().unwrap())
    };
    let times = out.split("mdev = ").nth(1).unwrap_or("0/0/0/0");
    let times: Vec<f64> = times.split('/').filter_map(|it| it.trim().parse().ok()).collect();
    Pings {
        received: number(" received"),
        duplicates: number(" duplicates"),
        least: times.first().copied().unwrap_or_default(),
        most: times.get(2).copied().unwrap_or_default(),
        out,
    }
}

/// A number of /proc/net/snmp.
fn counter(lab: &Lab, node: &str, table: &str, name: &str) -> u64 {
    let out = lab.sh(node, "cat /proc/net/snmp");
    let mut lines = out.lines().filter(|line| line.starts_with(table));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|it| it == name).unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

/// Bits a second that arrive at b of a stream of TCP, over so many seconds.
fn throughput(lab: &Lab, seconds: f64) -> f64 {
    let sink = format!(
        "import socket,time\ns=socket.create_server(('10.0.0.2',5001));print('here',flush=True);c,_=s.accept()\n\
         b=c.recv(1<<20);t=time.monotonic();n=0\n\
         while b and time.monotonic()-t<{seconds}:\n b=c.recv(1<<20);n+=len(b)\n\
         print('rate',n*8/(time.monotonic()-t),flush=True)"
    );
    let mut sink = lab.start(["exec", "b", "python3", "-c", &sink]);
    sink.until_said("here");
    let source =
        "import socket\ns=socket.create_connection(('10.0.0.2',5001))\nwhile True: s.sendall(bytes(1<<16))";
    let _source: Running = lab.start(["exec", "a", "python3", "-c", source]);
    let out = sink.wait().out;
    let rate = out.split("rate ").nth(1).unwrap_or_else(|| panic!("{out}"));
    rate.trim().parse().unwrap()
}

fn way(lab: &Lab) -> Value {
    lab.json(["link", "show", "a:eth1", "--format", "json"])[0]["there"].clone()
}

#[test]
fn a_delay_is_on_every_packet() {
    let lab = up("{ a_to_b = { delay = \"15ms\" }, b_to_a = { delay = \"10ms\" } }");
    let pings = ping(&lab, 20, "0.02");
    assert_eq!(pings.received, 20);
    assert!(pings.least >= 25.0 && pings.least < 45.0, "{}", pings.out);
    // Another value drops nothing, under traffic.
    let mut running = lab.start([
        "exec", "a", "ping", "-c", "300", "-i", "0.005", "-W", "10", "10.0.0.2",
    ]);
    for delay in ["1ms", "20ms", "5ms", "0.5ms", "10ms"] {
        lab.ok(["link", "set", "a:eth1", "--delay", delay]);
    }
    let out = running.wait().out;
    assert!(out.contains(" 300 received"), "{out}");
    // What is sent while the kernel puts a queueing discipline in or takes it out is lost, by the kernel: very little.
    let mut running = lab.start([
        "exec", "a", "ping", "-c", "300", "-i", "0.005", "-W", "1", "10.0.0.2",
    ]);
    lab.ok(["link", "clear", "a:eth1"]);
    lab.ok(["link", "set", "a:eth1", "--rate", "50mbit"]);
    lab.ok(["link", "set", "a:eth1", "--delay", "2ms", "--jitter", "1ms"]);
    lab.ok(["link", "reset", "a:eth1"]);
    let out = running.wait().out;
    let received = out.split(", ").find_map(|part| part.strip_suffix(" received"));
    let received: u32 = received.unwrap().parse().unwrap();
    assert!(received >= 280, "{out}");
}

#[test]
fn a_jitter_differs_and_stays_in_its_bounds() {
    let lab = up("{ a_to_b = { delay = \"10ms\", jitter = \"8ms\" } }");
    let pings = ping(&lab, 60, "0.02");
    assert_eq!(pings.received, 60);
    assert!(pings.least >= 2.0 && pings.least < 8.0, "{}", pings.out);
    assert!(pings.most > 12.0, "{}", pings.out);
}

#[test]
fn a_loss_is_within_what_chance_allows() {
    let lab = up("{ a_to_b = { loss = \"10%\" } }");
    assert!(way(&lab)["attached"].to_string().contains("clsact"));
    // 2,000 packets: all but one draw in a million are within 200 ± 4.9 · √180.
    let lost = 2000 - ping(&lab, 2000, "0.002").received;
    assert!((134..=266).contains(&lost), "{lost}");
    lab.ok(["link", "set", "a:eth1", "--loss", "100%", "--out"]);
    assert_eq!(ping(&lab, 5, "0.02").received, 0);
    lab.ok(["link", "clear", "a:eth1"]);
    assert_eq!(ping(&lab, 5, "0.02").received, 5);
}

#[test]
fn the_same_seed_loses_the_same_packets() {
    let lab = Lab::up(&text(""));
    // Neighbors are known first: their packets would be drawn for, too.
    lab.sh("a", "ip neigh replace 10.0.0.2 lladdr $(ip neigh | grep -o 'lladdr [^ ]*' | cut -d' ' -f2 || true) dev eth1 || ping -c1 10.0.0.2");
    lab.sh(
        "a",
        "ping -c1 10.0.0.2; ip neigh change 10.0.0.2 dev eth1 nud permanent",
    );
    lab.sh(
        "b",
        "ip neigh change 10.0.0.1 dev eth1 nud permanent; sysctl -qw net.ipv6.conf.eth1.disable_ipv6=1",
    );
    lab.sh("a", "sysctl -qw net.ipv6.conf.eth1.disable_ipv6=1");
    let lost = |seed: &str| {
        lab.ok(["link", "clear", "a:eth1"]);
        lab.ok(["link", "set", "a:eth1", "--loss", "50%", "--seed", seed, "--out"]);
        let out = ping(&lab, 40, "0.01").out;
        let heard = out.lines().filter_map(|line| line.split("icmp_seq=").nth(1));
        let numbers = heard.map(|it| it.split(' ').next().unwrap().to_owned());
        numbers.collect::<BTreeSet<String>>()
    };
    let first = lost("7");
    assert!(first.len() > 5 && first.len() < 35, "{first:?}");
    assert_eq!(first, lost("7"));
    assert_ne!(first, lost("8"));
}

#[test]
fn a_rate_is_what_passes() {
    let lab = up("{ a_to_b = { rate = \"20mbit\" } }");
    assert!(way(&lab)["attached"].to_string().contains("a:tbf"));
    let rate = throughput(&lab, 2.0);
    // Headers take 4.4 % of each frame. A busy machine may pass less, never more.
    assert!((10.0e6..20.0e6).contains(&rate), "{rate}");
    lab.ok([
        "link", "set", "a:eth1", "--rate", "20mbit", "--delay", "1ms", "--out",
    ]);
    assert!(way(&lab)["attached"].to_string().contains("a:tap"));
    let rate = throughput(&lab, 2.0);
    assert!((10.0e6..20.0e6).contains(&rate), "{rate}");
}

#[test]
fn some_packets_come_twice() {
    let lab = up("{ a_to_b = { duplicate = \"50%\" } }");
    let pings = ping(&lab, 100, "0.01");
    assert_eq!(pings.received, 100);
    assert!((20..80).contains(&pings.duplicates), "{}", pings.out);
}

#[test]
fn some_packets_overtake_others() {
    let lab = up("{ a_to_b = { delay = \"50ms\", reorder = \"50%\" } }");
    let pings = ping(&lab, 60, "0.01");
    assert_eq!(pings.received, 60);
    let order: Vec<u32> = pings
        .out
        .lines()
        .filter_map(|line| line.split("icmp_seq=").nth(1)?.split(' ').next()?.parse().ok())
        .collect();
    assert!(!order.is_sorted(), "{order:?}");
}

#[test]
fn a_spoiled_packet_fails_its_checksum() {
    let lab = up("{ a_to_b = { corrupt = \"100%\", only = \"icmp\" } }");
    let before = counter(&lab, "b", "Icmp:", "InCsumErrors");
    // A bit of the sender's MAC address is missed by nobody.
    assert!(ping(&lab, 100, "0.005").received < 40);
    let after = counter(&lab, "b", "Icmp:", "InCsumErrors");
    // Some bits are of other headers.
    assert!(after - before > 30, "{before} {after}");
}

#[test]
fn only_those_are_impaired_that_a_filter_matches() {
    let lab = up("{ a_to_b = { loss = \"100%\", only = \"icmp[icmptype] == icmp-echo and greater 500\" } }");
    assert_eq!(ping(&lab, 5, "0.02").received, 5);
    let large = lab.sh("a", "ping -q -s 1000 -c 5 -i 0.02 -W 0.3 10.0.0.2 || true");
    assert!(large.contains(" 0 received"), "{large}");
    lab.ok([
        "link", "set", "a:eth1", "--delay", "30ms", "--only", "udp", "--out",
    ]);
    assert!(ping(&lab, 5, "0.02").least < 20.0);
    lab.ok([
        "link", "set", "a:eth1", "--delay", "30ms", "--only", "icmp", "--out",
    ]);
    assert!(ping(&lab, 5, "0.02").least >= 30.0);
}

#[test]
fn what_cannot_be_is_told_with_its_place() {
    for (impair, words) in [
        ("\"10ms\"", "table"),
        ("{}", "nothing"),
        ("{ delay = 10 }", "string"),
        ("{ delay = \"10\" }", "no unit"),
        ("{ delay = \"61s\" }", "minute"),
        ("{ loss = \"101%\" }", "more than all"),
        ("{ loss = \"0.1\" }", "no unit"),
        ("{ rate = \"10mb\" }", "no rate"),
        ("{ jitter = \"1ms\" }", "more than the delay"),
        ("{ reorder = \"1%\" }", "overtake"),
        ("{ dely = \"1ms\" }", "did you mean `delay`"),
        ("{ loss = \"1%\", only = \"tcp prot 179\" }", "no filter"),
        (
            "{ loss = \"1%\", a_to_b = { delay = \"1ms\" } }",
            "each direction",
        ),
        ("{ a_to_b = { rate = \"1bit\" } }", "out of range"),
        ("{ a_to_b = { seed = -1, loss = \"1%\" } }", "out of range"),
    ] {
        let lab = Lab::new(&text(&format!("impair = {impair}")));
        lab.run(["validate", lab.file()])
            .refused(2, &["lab.toml:", words]);
    }
    // A long and hostile filter ends in an error, too.
    let deep = "(".repeat(20_000);
    let lab = Lab::new(&text(&format!("impair = {{ loss = \"1%\", only = \"{deep}\" }}")));
    lab.run(["validate", lab.file()]).refused(2, &["no filter"]);
    let dummy = "name = \"d\"\n[nodes.a]\nkind = \"host\"\n[[links]]\ntype = \"dummy\"\nendpoints = [\"a:eth1\"]\nimpair = { loss = \"1%\" }\n";
    let lab = Lab::new(dummy);
    lab.run(["validate", lab.file()]).refused(2, &["leads nowhere"]);
    let host = "name = \"h\"\n[nodes.a]\nkind = \"host\"\n[[links]]\nendpoints = [\"a:eth1\", \"host:x\"]\nimpair = { delay = \"1ms\" }\n";
    let lab = Lab::new(host);
    lab.run(["validate", lab.file()])
        .refused(2, &["`delay`", "a_to_b"]);
}

#[test]
fn the_command_line_refuses_the_same() {
    let lab = Lab::up(&text(""));
    for (words, said) in [
        (&["--jitter", "1ms"][..], "more than the delay"),
        (&["--loss", "1"], "no unit"),
        (&["--rate", "1"], "no unit"),
        (&["--loss", "1%", "--only", "((("], "no filter"),
        (&[], "nothing"),
    ] {
        let all = ["link", "set", "a:eth1"].iter().chain(words);
        lab.run(all).refused(2, &[said]);
    }
    let shown = lab.json(["link", "show", "a:eth1", "--format", "json"]);
    assert_eq!(shown[0]["as_planned"], true);
}

#[test]
fn a_way_can_be_forced_and_refuses_what_it_cannot_do() {
    let with = |way: &str, impair: &str| {
        let lab = Lab::new(&text(&format!("impair = {impair}")));
        let mut up = lab.nslab(["up", "-d", lab.file()]);
        let done = common::run(up.env("NSLAB_IMPAIR", way));
        (lab, done)
    };
    let (_lab, done) = with("magic", "{ loss = \"1%\" }");
    done.refused(2, &["NSLAB_IMPAIR", "own or netem"]);
    let (lab, done) = with("own", "{ delay = \"5ms\" }");
    done.expect(0);
    assert_eq!(way(&lab)["a_to_b"]["way"], "own");
    let (_lab, done) = with("netem", "{ delay = \"5ms\", only = \"icmp\" }");
    done.refused(2, &["`only`", "a:eth1"]);
    let doctor = lab.run(["doctor"]).out;
    assert!(doctor.contains("impairments"), "{doctor}");
    let (lab, done) = with("netem", "{ delay = \"5ms\" }");
    if doctor.contains("carried out by netem") {
        done.expect(0);
        assert_eq!(way(&lab)["a_to_b"]["way"], "netem");
        assert!(ping(&lab, 5, "0.02").least >= 10.0);
    } else {
        done.refused(3, &["netem"]);
    }
}

#[test]
fn nothing_is_left_after_a_kill() {
    let text = text("impair = { delay = \"5ms\", jitter = \"1ms\" }")
        + "[[links]]\nendpoints = [\"a:eth2\", \"host:killed0\"]\nimpair = { a_to_b = { delay = \"5ms\" } }\n";
    let lab = Lab::new(&text).on(common::Host::new());
    lab.ok(["up", "-d", lab.file()]);
    let traces = lab.traces("impaired");
    let _pings = lab.start(["exec", "a", "ping", "-i", "0.002", "10.0.0.2"]);
    until("packets on their way", || {
        way(&lab)["a_to_b"]["counts"]["taken"].as_u64() > Some(50)
    });
    kill(lab.supervisor("impaired"), Signal::SIGKILL).unwrap();
    lab.swept(&traces);
    // With the network of the node that it led into.
    common::host::until_gone(lab.host(), "killed0");
}

#[test]
fn the_process_that_delays_packets_is_replaced() {
    let lab = up("{ delay = \"10ms\" }");
    let helper = || {
        let children =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", lab.supervisor("impaired")));
        let children: Vec<i32> = children
            .unwrap()
            .split_whitespace()
            .map(|it| it.parse().unwrap())
            .collect();
        children.into_iter().find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.contains("delay-packets"))
        })
    };
    let first = helper().unwrap();
    kill(nix::unistd::Pid::from_raw(first), Signal::SIGKILL).unwrap();
    until("another in its place", || {
        helper().is_some_and(|pid| pid != first)
    });
    until("packets that are delayed again", || {
        let pings = ping(&lab, 3, "0.02");
        pings.received == 3 && pings.least >= 20.0
    });
    assert!(lab.ok(["events"]).contains("has taken its place"));
}
