//! Limits hold, are shown, and when one is hit it is said why.

#![allow(clippy::unwrap_used, reason = "a test says so by panicking")]

mod common;

use common::{Lab, until};
use serde_json::Value;

/// A line for the shell that wants ever more memory.
const HOG: &str = "a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done";

fn lab(lines: &str) -> Lab {
    Lab::new(&format!(
        "name = \"limits\"\n[nodes.a]\nkind = \"host\"\nmemory = \"32M\"\n{lines}\n"
    ))
}

/// The events of one sort.
fn events(lab: &Lab, kind: &str) -> Vec<Value> {
    let text = lab.ok(["events", "--format", "json"]);
    let all = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["event"] == kind).collect()
}

#[test]
fn a_process_killed_for_its_memory_is_started_again_and_it_is_said_why() {
    // It asks for too much the first time only.
    let line = format!("test -e /run/once && exec sleep infinity; touch /run/once; {HOG}");
    let lab = lab(&format!(
        "run = [{{ name = \"hog\", shell = \"{line}\", ready = {{ exec = \"pgrep sleep\" }} }}]"
    ));
    lab.ok(["up", "-d", lab.file()]);
    let ended = events(&lab, "process-ended");
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0]["restarting"], true);
    assert_eq!(ended[0]["reason"], "the node reached its memory limit of 32 MiB");
    until("the kernel's signal", || events(&lab, "out-of-memory").len() == 1);
    // The node itself has lost nothing.
    assert!(events(&lab, "node-died").is_empty());
    let said = lab.ok(["events"]);
    assert!(said.contains("its memory limit of 32.0 MiB"), "{said}");
}

#[test]
fn one_that_is_not_started_again_fails_the_lab_with_the_reason() {
    let lab = lab(&format!(
        "run = [{{ name = \"hog\", restart = \"no\", shell = \"{HOG}\", ready = {{ file = \"/run/never\" }} }}]"
    ));
    let words = [
        "process hog of a ended with status 137",
        "memory limit of 32 MiB",
        "more `memory`",
    ];
    lab.run(["up", "-d", lab.file()]).refused(1, &words);
}

#[test]
fn what_is_run_by_hand_counts_as_well() {
    let lab = lab("");
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(lab.run(["exec", "a", "sh", "-c", HOG]).code, 137);
    until("the event", || {
        events(&lab, "out-of-memory")
            .iter()
            .any(|event| event["node"] == "a" && event["killed"] == 1)
    });
    // The node lives on.
    assert_eq!(lab.sh("a", "echo here"), "here\n");
}

#[test]
fn a_node_that_may_use_little_of_a_cpu_is_held_back() {
    let lab = lab("cpu = 0.05\nrun = [{ name = \"busy\", shell = \"while :; do :; done\" }]");
    lab.ok(["up", "-d", lab.file()]);
    // Each period in which the kernel made it wait is counted.
    until("the node's being held back", || {
        let text = lab.limit("a", "cpu", "cpu.stat", "cpu.stat");
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        line.is_some_and(|count| count.trim().parse::<u64>().unwrap() > 2)
    });
}

#[test]
fn limits_are_shown() {
    let lab = lab("cpu = 0.5\nrun = [{ name = \"s\", command = \"sleep infinity\" }]");
    lab.ok(["up", "-d", lab.file()]);
    let node = lab.node("a");
    assert_eq!(node["memory_limit"], 32 << 20);
    assert_eq!(node["cpu"], 0.5);
    let table = lab.ok(["ps", "--wide"]);
    assert!(
        table.contains(" of 32.0 MiB") && table.contains("CPU") && table.contains("0.5"),
        "{table}"
    );
}
