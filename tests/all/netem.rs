//! The kernel's netem, as an oracle for nslab's own way where there is one; and impairments in containerlab's words.

use crate::common;

use common::{Lab, run};
use serde_json::Value;

const PAIR: &str = r#"
name = "netem"
[defaults]
kind = "host"
[nodes.a]
addresses = { eth1 = ["10.0.0.1/24"] }
[nodes.b]
addresses = { eth1 = ["10.0.0.2/24"] }
[[links]]
endpoints = ["a:eth1", "b:eth1"]
"#;

/// One lab file brought up by one way.
fn by(way: &str, impair: &str) -> Lab {
    let lab = Lab::new(&format!("{PAIR}impair = {impair}\n"));
    run(lab.nslab(["up", "-d", lab.file()]).env("NSLAB_IMPAIR", way)).expect(0);
    let shown = &lab.json(["link", "show", "--format", "json"])[0]["there"];
    assert_eq!(shown["a_to_b"]["way"], way, "{shown}");
    lab
}

fn has_netem() -> bool {
    let lab = Lab::up(PAIR);
    let done = lab.run([
        "exec", "a", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms",
    ]);
    if done.code != 0 {
        eprintln!("skipped: this kernel has no netem");
    }
    done.code == 0
}

/// Of so many echo requests: how many were answered, how many answers came twice, and the times in milliseconds, in order.
fn ping(lab: &Lab, count: u32, gap: &str) -> (u32, u32, Vec<f64>) {
    let out = lab.sh("a", &format!("ping -c {count} -i {gap} -W 1 10.0.0.2 || true"));
    let times: Vec<(bool, f64)> = out
        .lines()
        .filter_map(|line| {
            let time = line.split("time=").nth(1)?.split(' ').next()?;
            Some((line.contains("DUP!"), time.parse().ok()?))
        })
        .collect();
    let twice = times.iter().filter(|it| it.0).count();
    let mut first: Vec<f64> = times.iter().filter(|it| !it.0).map(|it| it.1).collect();
    first.sort_by(f64::total_cmp);
    (first.len() as u32, twice as u32, first)
}

/// Bits a second of what b takes.
fn rate(lab: &Lab) -> f64 {
    lab.ok(["flow", "start", "a", "b", "--name", "t", "--proto", "tcp"]);
    std::thread::sleep(std::time::Duration::from_secs(6));
    lab.ok(["flow", "stop", "t"]);
    let shown = lab.json(["flow", "show", "t", "--format", "json"]);
    let flow = shown.as_array().map_or(&shown, |all| &all[0]);
    flow["throughput"]["bits_per_second"]
        .as_f64()
        .or(flow["bits_per_second"].as_f64())
        .unwrap_or_else(|| panic!("{flow:#}"))
}

#[test]
fn both_ways_do_the_same() {
    if !has_netem() {
        return;
    }
    let ways = ["netem", "own"];
    let middle = |times: &[f64]| times[times.len() / 2];
    let delays = ways.map(|way| ping(&by(way, r#"{ a_to_b = { delay = "20ms" } }"#), 200, "0.01").2);
    eprintln!(
        "delay of 20 ms: medians {:?}",
        delays.each_ref().map(|it| middle(it))
    );
    for times in &delays {
        // Under emulation all takes its time, but never less than was asked.
        assert!(
            times[0] >= 20.0 && middle(times) < 30.0,
            "{} {}",
            times[0],
            middle(times)
        );
    }
    let spreads = ways.map(|way| {
        let times = ping(
            &by(way, r#"{ a_to_b = { delay = "20ms", jitter = "10ms" } }"#),
            300,
            "0.01",
        )
        .2;
        (times[times.len() / 20], times[times.len() * 19 / 20])
    });
    eprintln!("jitter of 10 ms: 5th and 95th percentiles {spreads:?}");
    for (low, high) in spreads {
        assert!(
            (10.0..16.0).contains(&low) && (26.0..40.0).contains(&high),
            "{low} {high}"
        );
    }
    // 2,000 packets: 99.9 % of all draws are within 3.29 standard deviations.
    let lost = ways.map(|way| 2000 - ping(&by(way, r#"{ a_to_b = { loss = "10%" } }"#), 2000, "0.002").0);
    eprintln!("loss of 10 % of 2,000: {lost:?}");
    assert!(lost.iter().all(|lost| (155..=245).contains(lost)), "{lost:?}");
    let twice = ways.map(|way| ping(&by(way, r#"{ a_to_b = { duplicate = "20%" } }"#), 1000, "0.002").1);
    eprintln!("duplicates of 20 % of 1,000: {twice:?}");
    assert!(twice.iter().all(|twice| (150..=250).contains(twice)), "{twice:?}");
    let rates = ways.map(|way| rate(&by(way, r#"{ a_to_b = { rate = "10mbit" } }"#)));
    eprintln!("rate of 10 Mbit/s: {rates:?}");
    assert!(
        rates.iter().all(|rate| (8.5e6..10.2e6).contains(rate)),
        "{rates:?}"
    );
}

#[test]
fn netem_is_changed_without_a_loss_and_refuses_what_it_cannot_do() {
    if !has_netem() {
        return;
    }
    let lab = by("netem", r#"{ delay = "5ms" }"#);
    let mut running = lab.start([
        "exec", "a", "ping", "-c", "200", "-i", "0.01", "-W", "2", "10.0.0.2",
    ]);
    for delay in ["1ms", "20ms", "0.5ms", "10ms"] {
        lab.ok(["link", "set", "a:eth1", "--delay", delay]);
    }
    let out = running.wait().out;
    assert!(out.contains(" 200 received"), "{out}");
    lab.ok(["link", "clear", "a:eth1"]);
    lab.ok(["link", "reset", "a:eth1"]);
    lab.run(["link", "set", "a:eth1", "--delay", "1ms", "--only", "icmp"])
        .refused(2, &["netem", "only"]);
    // Netem with every key it has.
    lab.ok([
        "link",
        "set",
        "a:eth1",
        "--delay",
        "3ms",
        "--jitter",
        "1ms",
        "--loss",
        "1%",
        "--reorder",
        "5%",
        "--duplicate",
        "1%",
        "--corrupt",
        "0.1%",
        "--rate",
        "50mbit",
    ]);
    let shown = lab.sh("a", "tc qdisc show dev eth1");
    for word in [
        "netem",
        "delay 3ms",
        "1ms",
        "loss 1%",
        "duplicate 1%",
        "reorder 5%",
        "corrupt 0.1%",
        "rate 50Mbit",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    lab.ok(["link", "clear", "a:eth1"]);
    assert!(!lab.sh("a", "tc qdisc show dev eth1").contains("netem"));
}

#[test]
fn impairments_are_set_in_the_words_of_containerlab() {
    let lab = Lab::up(PAIR);
    lab.ok([
        "tools",
        "netem",
        "set",
        "-n",
        "clab-netem-a",
        "-i",
        "eth1",
        "--delay",
        "20ms",
        "--jitter",
        "1ms",
        "--loss",
        "0",
    ]);
    let asked =
        |lab: &Lab| lab.json(["link", "show", "a:eth1", "--format", "json"])[0]["asked"]["impair"].clone();
    assert_eq!(asked(&lab)["a_to_b"]["delay"], "20ms");
    // What the interface sends alone.
    assert_eq!(asked(&lab)["b_to_a"], Value::Null);
    let (received, _, times) = ping(&lab, 10, "0.02");
    assert_eq!(received, 10);
    assert!(times[0] >= 19.0, "{times:?}");
    let shown = lab.json(["tools", "netem", "show", "-n", "a", "--format", "json"]);
    assert_eq!(shown["a"][0]["interface"], "eth1");
    assert_eq!(shown["a"][0]["delay"], "20ms");
    lab.ok([
        "tools",
        "netem",
        "set",
        "--node",
        "a",
        "--interface",
        "eth1",
        "--loss",
        "100",
        "--rate",
        "1000",
    ]);
    assert_eq!(asked(&lab)["a_to_b"]["loss"], "100%");
    assert_eq!(asked(&lab)["a_to_b"]["rate"], "1mbit");
    assert_eq!(ping(&lab, 3, "0.02").0, 0);
    let table = lab.ok(["tools", "netem", "show", "-n", "a"]);
    assert!(table.contains("LOSS %") && table.contains("100"), "{table}");
    lab.ok(["tools", "netem", "reset", "-n", "a", "-i", "eth1"]);
    assert_eq!(asked(&lab), serde_json::json!({}));
    assert_eq!(ping(&lab, 3, "0.02").0, 3);
    lab.run(["tools", "netem", "set", "-n", "a", "-i", "eth7", "--delay", "1ms"])
        .refused(2, &["eth7", "eth1"]);
    lab.run(["tools", "netem", "set", "-n", "a", "-i", "eth1", "--loss", "101"])
        .refused(2, &["more than all"]);
    lab.run([
        "tools", "netem", "set", "-n", "a", "-i", "eth1", "--jitter", "1ms",
    ])
    .refused(2, &["jitter"]);
    lab.run(["tools", "netem", "show", "-n", "nobody"])
        .refused(2, &["nobody"]);
}
