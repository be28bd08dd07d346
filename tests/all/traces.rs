//! What nslab says of its own work: the trace of a start, and lines.

use std::fs;

use serde_json::Value;

use crate::common::{Lab, PAIR};

/// The complete spans of a trace: name, row's name, fields.
fn spans(path: &std::path::Path) -> Vec<(String, String, Value)> {
    let trace: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let row = |event: &Value| {
        let named = events
            .iter()
            .find(|it| it["name"] == "thread_name" && it["pid"] == event["pid"] && it["tid"] == event["tid"]);
        named.unwrap()["args"]["name"].as_str().unwrap().to_owned()
    };
    let complete = events.iter().filter(|event| event["ph"] == "X");
    complete
        .map(|event| {
            assert!(event["ts"].is_u64() && event["dur"].is_u64(), "{event}");
            (
                event["name"].as_str().unwrap().to_owned(),
                row(event),
                event["args"].clone(),
            )
        })
        .collect()
}

#[test]
fn a_trace_has_the_parts_of_the_start_and_a_row_for_each_node() {
    let text = r#"
name = "traced"
[nodes.a]
kind = "host"
exec = ["true"]
run = [{ name = "sleep", command = "sleep 1000" }]
[nodes.b]
kind = "host"
exec = ["true"]
[[links]]
endpoints = ["a:eth0", "b:eth0"]
"#;
    let lab = Lab::new(text);
    let path = lab.path("trace.json");
    lab.ok(["up", "-d", "--trace", path.to_str().unwrap(), lab.file()]);
    let spans = spans(&path);
    let has = |name: &str, row: &str| spans.iter().any(|(it, at, _)| it == name && at == row);
    for name in [
        "up",
        "read the files",
        "plan",
        "lab",
        "network",
        "namespaces",
        "links",
        "addresses",
    ] {
        assert!(has(name, "lab"), "{name}: {spans:#?}");
    }
    for node in ["a", "b"] {
        for name in ["node", "root", "exec"] {
            assert!(has(name, node), "{name} of {node}: {spans:#?}");
        }
    }
    assert!(has("process", "a") && !has("process", "b"), "{spans:#?}");
}

#[test]
fn a_lab_that_fails_leaves_its_trace() {
    let lab = Lab::new("name = \"failing\"\n[nodes.a]\nkind = \"host\"\nexec = [\"false\"]\n");
    let path = lab.path("trace.json");
    lab.run(["up", "-d", "--trace", path.to_str().unwrap(), lab.file()])
        .refused(1, &["`false` failed in a"]);
    assert!(
        spans(&path)
            .iter()
            .any(|(name, row, _)| name == "exec" && row == "a")
    );
}

#[test]
fn a_trace_that_cannot_be_written_is_told_before_anything_is_made() {
    let lab = Lab::new(PAIR);
    lab.run(["up", "-d", "--trace", "/nowhere/at/all.json", lab.file()])
        .refused(3, &["/nowhere/at/all.json"]);
    assert!(lab.ok(["labs"]).contains("no lab is running"));
}

#[test]
fn lines_are_told_on_request() {
    let lab = Lab::new(PAIR);
    let quiet = lab.run(["up", "-d", lab.file()]);
    assert!(!quiet.err.contains("INFO"), "{}", quiet.err);
    quiet.expect(0);
    assert_eq!(lab.ok(["logs", "--supervisor"]), "");
    lab.ok(["down", "--all"]);
    let told = lab.run(["-v", "up", "-d", lab.file()]);
    assert!(told.err.contains("INFO up:plan"), "{}", told.err);
    told.expect(0);
    assert!(lab.ok(["logs", "--supervisor"]).contains("network"));
}

#[test]
fn the_environment_says_more_exactly_what_is_told() {
    let lab = Lab::new(PAIR);
    let mut up = lab.nslab(["up", "-d", lab.file()]);
    crate::common::run(up.env("NSLAB_LOG", "nslab=trace").env("NSLAB_LOG_FORMAT", "json")).expect(0);
    let said = lab.ok(["logs", "--supervisor"]);
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string(), "{line}");
    }
    assert!(said.contains("netlink requests"), "{said}");
    let mut wrong = lab.nslab(["labs"]);
    crate::common::run(wrong.env("NSLAB_LOG", "nslab=loud")).refused(2, &["NSLAB_LOG", "loud"]);
}
