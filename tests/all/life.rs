//! A lab lives as long as its terminal, or until `down`; however it ends, nothing of it is left.

use crate::common;

use common::{Lab, PAIR, Running, until};
use nix::sys::signal::Signal;
use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGKILL, SIGTERM};
use serde_json::Value;

/// A lab that is up in the foreground.
#[track_caller]
fn foreground(lab: &Lab, options: &[&str]) -> Running {
    let mut up = lab.start([["up", lab.file()].as_slice(), options].concat());
    up.until_said("is ready in ");
    up
}

fn kill(pid: nix::unistd::Pid, signal: Signal) {
    nix::sys::signal::kill(pid, signal).unwrap();
}

/// A host whose process does not end when it is asked to.
const STUBBORN: &str = r#"
name = "stubborn"
[nodes.a]
kind = "host"
run = [{ name = "deaf", shell = "trap '' TERM; echo deaf; while :; do sleep 1000; done" }]
"#;

#[test]
fn a_signal_takes_a_lab_in_the_foreground_down() {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let lab = Lab::new(PAIR);
        let mut up = foreground(&lab, &[]);
        lab.ok(["exec", "a", "ping", "-c1", "-W5", "b"]);
        let traces = lab.traces("pair");
        up.signal(signal);
        let done = up.wait();
        // By the time `up` has returned, it is all over.
        assert!(lab.left().is_empty(), "{:?}", lab.left());
        assert!(done.out.contains("end:   Ctrl-C"), "{}", done.out);
        done.expect(0);
        traces.gone();
    }
}

#[test]
fn processes_that_end_with_their_lab_are_no_news() {
    let lab = Lab::new(
        r#"
name = "steady"
[nodes.a]
kind = "host"
run = [{ name = "steady", command = "sleep infinity", restart = "always" }]
"#,
    );
    let mut up = foreground(&lab, &[]);
    let mut events = lab.start(["events", "-f"]);
    events.until_said("ready in");
    up.signal(SIGINT);
    let told = "ready: a (1/1)\ntaking lab steady down; once more kills it\n";
    assert_eq!(up.wait().err, told);
    let told = events.wait().expect(0);
    assert!(told.contains("process steady ended with status 143\n"), "{told}");
    assert!(!told.contains("started again"), "{told}");
}

#[test]
fn progress_is_plain_lines_without_a_terminal() {
    let lab = Lab::new(PAIR);
    let mut up = foreground(&lab, &[]);
    up.signal(SIGINT);
    let done = up.wait();
    let told = "ready: a b (2/2)\ntaking lab pair down; once more kills it\n";
    assert_eq!(done.err, told);
    assert!(!done.out.contains('\u{1b}'), "{:?}", done.out);
}

#[test]
fn a_second_signal_does_not_wait_for_the_stubborn() {
    let lab = Lab::new(STUBBORN);
    let mut up = foreground(&lab, &[]);
    until("the trap", || lab.ok(["logs"]).contains("deaf: deaf"));
    let traces = lab.traces("stubborn");
    up.signal(SIGINT);
    until("the end to begin", || {
        lab.run(["events"]).out.contains("the lab is taken down")
    });
    up.signal(SIGINT);
    up.wait().expect(0);
    traces.gone();
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn what_does_not_end_when_asked_ends_all_the_same() {
    let lab = Lab::up(STUBBORN);
    until("the trap", || lab.ok(["logs"]).contains("deaf: deaf"));
    let traces = lab.traces("stubborn");
    assert_eq!(lab.ok(["down", "stubborn"]), "lab stubborn is down\n");
    traces.gone();
    assert!(lab.left().is_empty());
}

#[test]
fn processes_are_asked_to_end_first() {
    let lab = Lab::new(
        r#"
name = "polite"
[nodes.a]
kind = "host"
binds = ["kept:/kept"]
run = [{ name = "polite", shell = "trap 'echo bye > /kept/word; exit' TERM; echo set; while :; do sleep 0.01; done" }]
"#,
    );
    std::fs::create_dir(lab.path("kept")).unwrap();
    lab.ok(["up", "-d", lab.file()]);
    until("the trap", || lab.ok(["logs"]).contains("polite: set"));
    lab.ok(["down"]);
    assert_eq!(std::fs::read_to_string(lab.path("kept/word")).unwrap(), "bye\n");
}

#[test]
fn a_lab_that_is_not_ready_in_time_says_what_it_waited_for() {
    let lab = Lab::new(
        r#"
name = "late"
[nodes.a]
kind = "host"
run = [{ name = "web", command = "sleep 1000", ready = { tcp = 80 } }]
[nodes.b]
kind = "host"
wait_for = ["a"]
"#,
    );
    let done = lab.run(["up", "-d", "--timeout", "300ms", lab.file()]);
    done.refused(
        1,
        &[
            "not ready within 0.3 s",
            "a waits for process web",
            "b waits for a to be ready",
            "--timeout",
        ],
    );
    assert!(lab.left().is_empty(), "{:?}", lab.left());
    lab.run(["up", "--timeout", "soon", lab.file()])
        .refused(2, &["\"soon\" is not a time up to a day; write 500ms, 90s or 5m"]);
}

#[test]
fn a_lab_is_taken_down_while_it_comes_up() {
    let lab = Lab::new(
        r#"
name = "slow"
[nodes.a]
kind = "host"
exec = ["sleep 1000"]
"#,
    );
    // By its terminal, by `down`, and by a kill of the terminal's process.
    for way in ["signal", "down", "kill"] {
        let mut up = lab.start(["up", "-d", lab.file()]);
        until("a to start", || {
            lab.run(["ps", "--format", "json"]).out.contains("`sleep 1000`")
        });
        let traces = lab.traces("slow");
        match way {
            "signal" => up.signal(SIGTERM),
            "down" => drop(lab.ok(["down", "slow"])),
            _ => up.signal(SIGKILL),
        }
        let done = up.wait();
        match way {
            "kill" => assert_eq!(done.code, -9),
            _ => done.refused(1, &["interrupted before the lab was ready"]),
        }
        traces.processes_gone();
        lab.swept(&traces);
    }
}

#[test]
fn a_killed_supervisor_leaves_nothing() {
    let lab = Lab::new(PAIR);
    let mut up = foreground(&lab, &[]);
    lab.ok(["exec", "a", "true"]);
    let traces = lab.traces("pair");
    kill(lab.supervisor("pair"), SIGKILL);
    up.wait().refused(
        1,
        &["the supervisor of lab pair was killed; nothing of the lab is left"],
    );
    assert!(lab.left().is_empty(), "{:?}", lab.left());
    traces.gone();

    // In the background the lab's watcher sweeps, unasked.
    lab.ok(["up", "-d", lab.file()]);
    lab.ok(["exec", "a", "true"]);
    let traces = lab.traces("pair");
    kill(lab.supervisor("pair"), SIGKILL);
    until("the sweep", || lab.left().is_empty());
    traces.gone();
    lab.ok(["up", "-d", lab.file()]);
}

#[test]
fn a_killed_terminal_takes_its_lab_with_it_and_gc_sweeps() {
    let lab = Lab::new(PAIR);
    let mut up = foreground(&lab, &[]);
    lab.ok(["exec", "a", "true"]);
    let traces = lab.traces("pair");
    up.signal(SIGKILL);
    up.wait();
    traces.processes_gone();
    assert_eq!(lab.left().len(), 1, "files outlive a crash until they are swept");
    // The lock is free only when the last process that inherited it has ended, which a busy machine takes its time with.
    until("the sweep", || lab.ok(["gc"]) == "swept what lab pair left\n");
    assert!(lab.left().is_empty());
    traces.gone();
    assert_eq!(lab.ok(["gc"]), "nothing was left\n");
    // A living lab is nothing to sweep.
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(lab.ok(["gc"]), "nothing was left\n");
    lab.ok(["exec", "a", "ping", "-c1", "-W5", "b"]);
}

#[test]
fn a_killed_template_is_replaced() {
    let lab = Lab::new(PAIR);
    lab.ok(["up", "-d", lab.file()]);
    // The first node that runs something begins it.
    assert_eq!(lab.sh("a", "echo here"), "here\n");
    let template = || common::traces::template(&lab, "pair");
    let first = template().unwrap();
    kill(nix::unistd::Pid::from_raw(first), SIGKILL);
    until("its end", || template().is_none());
    // What lives lives on, and what begins has another.
    assert_eq!(lab.sh("a", "echo still here"), "still here\n");
    assert_eq!(lab.sh("b", "cat /etc/hostname"), "b\n");
    assert!(template().is_some_and(|second| second != first));
    lab.ok(["restart", "a"]);
    lab.ok(["exec", "a", "ping", "-c1", "-W5", "b"]);
    let traces = lab.traces("pair");
    lab.ok(["down", "pair"]);
    traces.gone();
}

#[test]
fn a_killed_node_comes_back_with_its_links() {
    let lab = Lab::new(&PAIR.replace(
        "[nodes.b]",
        "run = [{ name = \"beat\", command = \"sleep infinity\" }]\n[nodes.b]",
    ));
    lab.ok(["up", "-d", lab.file()]);
    let index = || {
        lab.ok([
            "exec",
            "a",
            "cat",
            "/sys/class/net/eth0/ifindex",
            "/sys/class/net/eth0/address",
        ])
    };
    let before = (index(), lab.ok(["exec", "a", "ip", "-br", "address"]));
    let (node, other) = (lab.node("a"), lab.node("b"));
    assert_eq!(node["restarts"], 0);
    let init = i32::try_from(node["init_pid"].as_i64().unwrap()).unwrap();
    kill(nix::unistd::Pid::from_raw(init), SIGKILL);
    until("a's return", || {
        lab.node("a")["restarts"] == 1 && lab.node("a")["state"] == "ready"
    });
    assert_eq!(before, (index(), lab.ok(["exec", "a", "ip", "-br", "address"])));
    let node = lab.node("a");
    assert_ne!(node["init_pid"], i64::from(init));
    assert_eq!(
        (&node["processes"], &node["services"][0]["state"]),
        (&Value::from(1), &Value::from("running"))
    );
    lab.ok(["exec", "b", "ping", "-c1", "-W5", "a"]);
    assert_eq!(
        lab.node("b")["restarts"],
        other["restarts"],
        "nobody else was touched"
    );
    let events = lab.ok(["events"]);
    assert!(events.contains("a: its init ended with status 137"), "{events}");
    assert!(
        events.contains("a: is started again; its links have stayed"),
        "{events}"
    );
}

#[test]
fn events_are_json_a_line() {
    let lab = Lab::new(PAIR);
    let mut up = lab.start(["up", "--format", "json", lab.file()]);
    up.until_said("\"event\":\"ready\"");
    up.signal(SIGINT);
    let done = up.wait();
    let events: Vec<Value> = done
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        (names[0], *names.last().unwrap()),
        ("starting", "stopping"),
        "{names:?}"
    );
    assert_eq!(
        (&events[0]["nodes"], &events[0]["links"]),
        (&Value::from(2), &Value::from(1))
    );
    for (event, nodes) in [("stage", "nodes"), ("network", "part"), ("ready", "seconds")] {
        let found = events.iter().find(|it| it["event"] == event).unwrap();
        assert!(
            !found[nodes].is_null() && found["time"].as_f64().unwrap() > 1e9,
            "{found}"
        );
    }
    assert!(
        events
            .windows(2)
            .all(|two| two[0]["time"].as_f64() <= two[1]["time"].as_f64())
    );
    assert_eq!(done.err, "");

    // Of a lab that fails, the failure is the last event.
    std::fs::write(
        lab.file(),
        "name = \"bad\"\n[nodes.a]\nkind = \"host\"\nexec = [\"false\"]\n",
    )
    .unwrap();
    let done = lab.run(["up", "-d", "--format", "json", lab.file()]);
    let last: Value = serde_json::from_str(done.out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["failure"]["code"]),
        (&Value::from("failed"), &Value::from("NotReady"))
    );
    done.refused(1, &["`false` failed in a with status 1 (line 4 of the lab file)"]);
}

#[test]
fn a_dry_run_makes_nothing() {
    let lab = Lab::new(PAIR);
    let plan = lab.ok(["up", "--dry-run", lab.file()]);
    assert!(plan.contains("10.0.0.1/24") && plan.contains("eth0"), "{plan}");
    assert!(lab.json(["up", "--dry-run", "--format", "json", lab.file()])["nodes"].is_array());
    assert!(!lab.run_directory().exists());
}
