//! More of what tests that play a host need: interfaces, and file systems that only one command sees.

use std::process::Command;

use super::{Done, Host, Lab, Running, run, until};

/// The words of a line that has no quotes.
pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs `ip` on the host, its arguments in one line.
#[track_caller]
pub fn ip(host: &Host, line: &str) -> String {
    host.ip(words(line))
}

/// The names of the host's interfaces.
pub fn interfaces(host: &Host) -> Vec<String> {
    let all: serde_json::Value = serde_json::from_str(&host.ip(["-json", "link"])).unwrap();
    let names = all.as_array().unwrap().iter();
    names
        .map(|it| it["ifname"].as_str().unwrap().to_owned())
        .collect()
}

/// A process that lives on the host, for what names a network namespace by a process in it.
#[track_caller]
pub fn resident(host: &Host) -> Running {
    let running = Running::start(host.command("sleep").arg("infinity"));
    let name = format!("/proc/{}/comm", running.pid());
    until("a process on the host", || {
        std::fs::read_to_string(&name).is_ok_and(|name| name.trim() == "sleep")
    });
    running
}

/// Waits until the host has no interface of this name.
#[track_caller]
pub fn until_gone(host: &Host, name: &str) {
    until(&format!("the end of {name}"), || {
        !interfaces(host).iter().any(|it| it == name)
    });
}

/// Sends one echo request from the host, which must be answered.
#[track_caller]
pub fn host_reaches(host: &Host, address: &str) {
    run(host.command("ping").args(["-c1", "-W5", address])).expect(0);
}

/// Sends one echo request from a node, which must be answered.
#[track_caller]
pub fn reaches(lab: &Lab, node: &str, address: &str) {
    lab.ok(["exec", node, "ping", "-c1", "-W5", address]);
}

/// What `ip -json` prints in a node.
#[track_caller]
pub fn ip_json(lab: &Lab, node: &str, line: &str) -> serde_json::Value {
    let mut all = vec!["exec", node, "ip", "-json", "-details"];
    all.extend(words(line));
    let text = lab.ok(all);
    // ip prints nothing at all where there is nothing.
    serde_json::from_str(if text.trim().is_empty() { "[]" } else { &text }).unwrap()
}

/// One interface of a node, as `ip -json link` describes it.
#[track_caller]
pub fn interface(lab: &Lab, node: &str, name: &str) -> serde_json::Value {
    ip_json(lab, node, &format!("link show {name}"))[0].clone()
}

/// A shell's lines in a mount namespace of their own, with the lab's run directory in the environment, `$FILE` the lab
/// file, `$NSLAB` the binary and `$TEST` a directory of the test's own.
pub fn aside(lab: &Lab, lines: &str) -> Command {
    let mut command = lab.command("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", lines])
        .env("NSLAB", env!("CARGO_BIN_EXE_nslab"))
        .env("FILE", lab.file())
        .env("TEST", lab.path(""));
    command
}

/// Runs the same to its end.
#[track_caller]
pub fn do_aside(lab: &Lab, lines: &str) -> Done {
    run(&mut aside(lab, lines))
}
