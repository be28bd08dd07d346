//! Requests without measure to a living lab, and names that nodes give: the lab answers others meanwhile, and a terminal is shown text.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use nslab::kernel::message::{self, Assembler, Received};
use serde_json::{Value, json};

use crate::common::{Lab, PAIR, has, run, until};

/// Asks for something, and returns the answer that is more than a sign of life.
fn ask(lab: &Lab, request: &Value) -> Value {
    let socket = lab.run_directory().join("pair/control.sock");
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let said = serde_json::to_vec(&json!({"protocol": 1, "request": request})).unwrap();
    assert!(said.len() < 16 << 20, "{} bytes", said.len());
    message::send(&stream, &said, &[] as &[OwnedFd]).unwrap();
    let mut assembler = Assembler::of(64 << 20, 8);
    loop {
        while let Some(frame) = assembler.frame().unwrap() {
            let answer: Value = serde_json::from_slice(&frame.bytes).unwrap();
            if answer != "alive" {
                return answer;
            }
        }
        assert!(
            !matches!(assembler.read(&stream).unwrap(), Received::End),
            "no answer"
        );
    }
}

fn failed(answer: &Value) -> &str {
    answer["failed"]["message"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn requests_without_measure_are_refused_and_hold_up_nobody() {
    let lab = Lab::up(PAIR);
    lab.ok(["flow", "start", "--from", "a", "--to", "b", "--name", "it"]);
    let names: Vec<String> = (0..1_000_000).map(|at| format!("f{at}")).collect();
    let flow = |at: usize| {
        json!({"name": format!("f{at}"), "from": {"node": "a", "interface": null},
               "to": {"node": {"node": "b", "interface": null}}, "proto": "udp", "pps": 1, "size": 64, "dscp": 0,
               "family": null, "port": null, "late_after": {"secs": 1, "nanos": 0}, "start": false})
    };
    let flows: Vec<Value> = (0..60_000).map(flow).collect();
    let mut fast = flow(0);
    fast["pps"] = json!(1_000_000_000);
    let endless: String = "(".repeat(1 << 20);
    let filter = json!({"link": {"endpoint": "a:eth0", "action": {"set": {"direction": "both",
        "impairment": {"loss": "50%", "only": endless}}}}});
    for (request, wanted) in [
        (
            json!({"flow": {"start": {"names": names}}}),
            "1000000 flows are named",
        ),
        (
            json!({"flow": {"stop": {"names": names}}}),
            "1000000 flows are named",
        ),
        (
            json!({"flow": {"report": {"names": names, "series": true, "path": true}}}),
            "1000000 flows are named",
        ),
        (
            json!({"flow": {"run": {"flows": flows}}}),
            "60001 flows; 4096 are allowed",
        ),
        (json!({"flow": {"run": {"flows": [fast]}}}), "packets a second"),
        (filter, ""),
        (
            json!({"link": {"endpoint": "a:eth0", "action": {"flap":
            {"count": u32::MAX, "down_ms": u64::MAX, "up_ms": u64::MAX}}}}),
            "no longer than a day",
        ),
        (
            json!({"link": {"endpoint": names.join(":"), "action": "down"}}),
            "",
        ),
        (json!({"mark": {"name": names.join(" ")}}), "1 to 64 characters"),
        (
            json!({"signal": {"node": "a", "whom": {"named": names.join("")}, "signal": 9}}),
            "",
        ),
    ] {
        let began = Instant::now();
        let answer = ask(&lab, &request);
        let message = failed(&answer);
        let said: String = message.chars().take(200).collect();
        assert!(message.contains(wanted), "{said}");
        assert!(message.len() < 64 << 10, "{} bytes: {said}", message.len());
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{:?}: {said}",
            began.elapsed()
        );
    }
    // All of it was refused, and what ran runs.
    let shown = lab.json(["flow", "show", "--format", "json"]);
    assert_eq!(shown.as_array().map(Vec::len), Some(1), "{shown}");
    lab.sh("a", "true");
}

/// What somebody sees who types this at a terminal.
fn on_terminal(lab: &Lab, words: &[&str]) -> String {
    let line = shell_words::join([env!("CARGO_BIN_EXE_nslab")].iter().chain(words));
    let done = run(lab.command("script").args(["-qec", &line, "/dev/null"]));
    String::from_utf8_lossy(&done.bytes).into_owned()
}

#[test]
fn names_that_nodes_give_are_text_wherever_they_are_shown() {
    if !has("script") {
        return;
    }
    let lab = Lab::up(PAIR);
    let name = "x\u{1b}]0;T\u{7}";
    lab.ok(["exec", "a", "ip", "link", "set", "eth0", "down"]);
    lab.ok(["exec", "a", "ip", "link", "set", "eth0", "name", name]);
    lab.ok(["exec", "a", "ip", "link", "set", name, "up"]);
    lab.ok([
        "exec",
        "a",
        "ip",
        "link",
        "add",
        "y\u{202e}\u{1b}[2J",
        "type",
        "bridge",
    ]);
    until("it is told", || {
        lab.ok(["timeline", "--format", "json"]).contains("]0;T")
    });
    let file = lab.path("names.pcapng");
    lab.ok(["capture", "a:*", "-w", file.to_str().unwrap(), "--duration", "1s"]);
    for words in [
        &["timeline"][..],
        &["timeline", "--format", "json"],
        &["timeline", "--format", "mermaid"],
        &["link", "show"],
        &["ps", "--wide"],
        &["capture", "a:*", "--duration", "300ms"],
        &["capture", "a:*", "--duration", "300ms", "--format", "json"],
        &["capture", "a:nothing", "--duration", "300ms"],
        &["link", "down", "a:nothing"],
    ] {
        let shown = on_terminal(&lab, words);
        for bad in ["\u{1b}]", "\u{1b}[2J", "\u{7}", "\u{202e}"] {
            assert!(!shown.contains(bad), "{words:?}: {bad:?} in {shown:?}");
        }
    }
    // What others read out of files is text, too.
    let packets = std::fs::read(&file).unwrap();
    // Packets and times may have any octet in them.
    let has = |words: &[u8]| packets.windows(words.len()).any(|it| it == words);
    assert!(!has(b"\x1b]0;T") && !has(b"\x1b[2J"), "an escape is in the file");
    let mermaid = lab.ok(["timeline", "--format", "mermaid"]);
    assert!(!mermaid.contains('\u{1b}'), "{mermaid:?}");
}

#[test]
fn lists_that_name_each_other_are_judged_in_little_time() {
    let lab = Lab::new(PAIR);
    let flows: String = (0..30_000)
        .map(|at| format!("[[flows]]\nname = \"f{at}\"\nfrom = \"a\"\nto = \"b\"\npps = 1\n"))
        .collect();
    let names = |letter: &str| {
        let names: Vec<String> = (0..16_000).map(|at| format!("\"{letter}{at}\"")).collect();
        names.join(", ")
    };
    let played = format!(
        "{PAIR}{flows}[[scenarios]]\nname = \"s\"\nflows = [{}]\nsteps = [{{ link_down = \"a:eth0\" }}]\n\
         expect = {{ outage = {{ below = \"5ms\", flows = [{}] }} }}\n",
        names("f"),
        names("g")
    );
    let scenario = |at| format!("[[scenarios]]\nname = \"s{at}\"\nsteps = [{{ wait = \"1s\" }}]\n");
    let many = format!("{PAIR}{}", (0..50_000).map(scenario).collect::<String>());
    let long = format!(
        "{PAIR}[[scenarios]]\nname = \"t\"\nflows = [{0}, {0}]\nsteps = [{{ wait = \"1s\" }}]\n",
        names("f")
    );
    for (name, text, wanted) in [
        ("played.toml", played, "the lab has 30000 flows; 4096 are allowed"),
        ("many.toml", many, "the lab has 50000 scenarios; 1000 are allowed"),
        ("long.toml", long, "`flows` names 32000; 16384 are allowed"),
    ] {
        std::fs::write(lab.path(name), text).unwrap();
        let began = Instant::now();
        let mut command: Command = lab.command(env!("CARGO_BIN_EXE_nslab"));
        let done = run(command.arg("validate").arg(lab.path(name)));
        assert_eq!(done.code, 2, "{name}");
        assert!(
            done.err.contains(wanted),
            "{name}: {}",
            done.err.chars().take(2000).collect::<String>()
        );
        assert!(done.err.len() < 256 << 10, "{name}: {} bytes", done.err.len());
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{name} took {:?}",
            began.elapsed()
        );
    }
}
