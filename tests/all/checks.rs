//! A lab file carries its own proof: `nslab check` makes the checks of a living lab, says what differs, and notices
//! when what it checks is broken or mended.

use crate::common;

use common::{Done, Lab};
use serde_json::Value;

/// Two hosts, a web server, a route; each kind of check that needs no router.
const SMALL: &str = r#"
name = "small"
[nodes.a]
kind = "host"
routes = [{ to = "10.9.0.0/16", via = "10.0.0.2", metric = 5 }, { to = "10.8.0.0/16", type = "blackhole" }]
[nodes.b]
kind = "host"
addresses = { lo = ["10.9.0.1/32"] }
run = [{ name = "web", command = "busybox httpd -f -p 80", ready = { tcp = 80 } }]
[[links]]
endpoints = [{ node = "a", interface = "eth0", ipv4 = "10.0.0.1/24", ipv6 = "fd00::1/64" },
             { node = "b", interface = "eth0", ipv4 = "10.0.0.2/24", ipv6 = "fd00::2/64" }]
"#;

/// The lab with checks, each `name: lines`.
fn small(checks: &[(&str, &str)]) -> Lab {
    let mut text = SMALL.to_owned();
    for (name, lines) in checks {
        text.push_str(&format!("[[checks]]\nname = \"{name}\"\nnode = \"a\"\n{lines}\n"));
    }
    Lab::up(&text)
}

fn check(lab: &Lab) -> Done {
    lab.run(["check"])
}

/// The report of the only check of that name.
#[track_caller]
fn report(lab: &Lab, name: &str) -> Value {
    let done = lab.run(["check", "--format", "json", "--name", name]);
    let all: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{done:?}"));
    all["checks"][0].clone()
}

/// Insists that a check fails, with words in what it says.
#[track_caller]
fn fails(lab: &Lab, name: &str, words: &[&str]) {
    let report = report(lab, name);
    assert_eq!(report["outcome"], "failed", "{report:#}");
    let said = format!(
        "{}\n{}",
        report["message"].as_str().unwrap(),
        report["detail"].as_str().unwrap()
    );
    for word in words {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
}

#[track_caller]
fn passes(lab: &Lab, name: &str) {
    let report = report(lab, name);
    assert_eq!(report["outcome"], "passed", "{report:#}");
}

#[test]
fn every_kind_passes_when_it_is_true() {
    let lab = small(&[
        ("node", "ping = \"b\""),
        ("ipv6", "ping = { to = \"fd00::2\", from = \"fd00::1\" }"),
        ("port", "tcp = \"b:80\""),
        (
            "route",
            "route = { to = \"10.9.0.0/16\", via = \"10.0.0.2\", dev = \"eth0\", proto = \"static\", metric = 5, nexthops = 1 }",
        ),
        ("blackhole", "route = { to = \"10.8.0.0/16\", nexthops = 0 }"),
        ("status", "run = \"sh -c 'exit 7'\"\nexpect = { exit = 7 }"),
        (
            "output",
            "shell = \"echo one; echo two\"\nexpect = { contains = [\"one\", \"two\"], matches = \"^two$\", stdout = \"one\\ntwo\" }",
        ),
        (
            "json",
            "shell = \"echo '{\\\"n\\\": [1, 2]}'\"\nexpect = { jq = \".n\", equals = [1, 2] }",
        ),
        ("opposite", "ping = \"10.0.0.99\"\nnot = true"),
        ("no route", "route = { to = \"10.7.0.0/16\" }\nnot = true"),
    ]);
    let said = check(&lab).expect(0);
    assert_eq!(said.matches("  ok    a: ").count(), 10, "{said}");
    assert!(said.contains("10 checks passed"), "{said}");
}

#[test]
fn every_kind_fails_when_it_is_not_and_says_what_differs() {
    let lab = small(&[
        ("c-ping", "ping = \"10.0.0.99\""),
        ("c-nowhere", "ping = \"192.0.2.1\""),
        ("c-port", "tcp = \"b:81\""),
        ("c-via", "route = { to = \"10.9.0.0/16\", via = \"10.0.0.3\" }"),
        ("c-proto", "route = { to = \"10.9.0.0/16\", proto = \"bgp\" }"),
        ("c-count", "route = { to = \"10.9.0.0/16\", nexthops = 2 }"),
        ("c-missing", "route = { to = \"10.9.1.0/24\" }"),
        ("c-status", "shell = \"echo seen; exit 3\""),
        ("c-text", "run = \"echo one\"\nexpect = { contains = \"two\" }"),
        ("c-match", "run = \"echo one\"\nexpect = { matches = \"^t\" }"),
        ("c-whole", "run = \"echo one\"\nexpect = { stdout = \"two\" }"),
        (
            "c-json",
            "shell = \"echo '{\\\"n\\\": 8}'\"\nexpect = { jq = \".n\", equals = 12 }",
        ),
        (
            "c-nojson",
            "run = \"echo one\"\nexpect = { jq = \".n\" }\nnot = true",
        ),
        ("c-command", "run = \"nosuchprogram\""),
        ("c-opposite", "ping = \"b\"\nnot = true"),
    ]);
    fails(&lab, "c-ping", &["10.0.0.99"]);
    fails(&lab, "c-nowhere", &["192.0.2.1", "unreachable"]);
    fails(&lab, "c-port", &["10.0.0.2:81", "nothing listens"]);
    fails(
        &lab,
        "c-via",
        &["no next hop is via 10.0.0.3", "via 10.0.0.2 dev eth0"],
    );
    fails(&lab, "c-proto", &["proto is static, not bgp"]);
    fails(&lab, "c-count", &["it has 1 next hops, not 2"]);
    fails(
        &lab,
        "c-missing",
        &["no route to 10.9.1.0/24", "the nearest is 10.9.0.0/16"],
    );
    fails(&lab, "c-status", &["status 3 instead of 0", "seen"]);
    fails(&lab, "c-text", &["\"two\"", "one"]);
    fails(&lab, "c-match", &["/^t/", "one"]);
    fails(&lab, "c-whole", &["wanted: two", "got: one"]);
    fails(&lab, "c-json", &["`.n` is 8, not 12"]);
    fails(&lab, "c-nojson", &["not JSON"]);
    fails(&lab, "c-command", &["status 127", "no such command"]);
    fails(&lab, "c-opposite", &["it holds, and must not"]);
    let said = check(&lab).expect(1);
    assert!(said.contains("15 failed"), "{said}");
}

#[test]
fn a_living_lab_is_checked_again_and_again() {
    let lab = small(&[("link", "ping = \"b\"\nwithin = \"2s\"")]);
    passes(&lab, "link");
    lab.sh("b", "ip link set eth0 down");
    fails(&lab, "link", &["10.0.0.2"]);
    lab.sh("b", "ip link set eth0 up");
    passes(&lab, "link");
}

#[test]
fn a_check_waits_for_what_becomes_true() {
    let lab = small(&[
        ("file", "run = \"test -e /run/there\"\nwithin = \"30s\""),
        ("route", "route = { to = \"10.7.0.0/16\" }\nwithin = \"30s\""),
    ]);
    // Once it waits it listens to the lab's events, and for routes to the node's kernel: one and two sockets more than the
    // four that signals take. Asking takes some for a moment, too, so it may be that what is waited for comes too early.
    for (name, line, back, sockets) in [
        ("file", "touch /run/there", "rm /run/there", 5),
        (
            "route",
            "ip route add blackhole 10.7.0.0/16",
            "ip route del blackhole 10.7.0.0/16",
            6,
        ),
    ] {
        let has_waited = (0..20).any(|_| {
            let mut waiting = lab.start(["check", "--format", "json", "--name", name]);
            common::until("the check's waiting", || {
                assert!(
                    !waiting.is_over(),
                    "it did not wait: {}{}",
                    waiting.out(),
                    waiting.err()
                );
                open_sockets(waiting.pid().as_raw()) >= sockets
            });
            lab.sh("a", line);
            let done = waiting.wait();
            assert_eq!(done.code, 0, "{done:?}");
            lab.sh("a", back);
            let report: Value = serde_json::from_str(&done.out).unwrap();
            report["checks"][0]["questions"].as_u64() > Some(1)
        });
        assert!(has_waited, "{name}");
    }
}

fn open_sockets(pid: i32) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn a_check_gives_up_in_the_end() {
    let lab = small(&[("never", "run = \"test -e /run/there\"\nwithin = \"300ms\"")]);
    let report = report(&lab, "never");
    assert_eq!(report["outcome"], "failed");
    assert!(report["questions"].as_u64().unwrap() > 1, "{report:#}");
}

#[test]
fn what_must_stay_is_asked_until_then() {
    let lab = small(&[
        ("stays", "ping = \"b\"\nstays = \"300ms\""),
        (
            "goes",
            "shell = \"test ! -e /run/seen; code=$?; touch /run/seen; exit $code\"\nstays = \"10s\"",
        ),
    ]);
    let stays = report(&lab, "stays");
    assert_eq!(stays["outcome"], "passed");
    assert!(stays["questions"].as_u64().unwrap() > 1, "{stays:#}");
    fails(&lab, "goes", &["it held for"]);
}

#[test]
fn the_checks_are_those_the_lab_was_started_with() {
    let lab = small(&[("first", "ping = \"b\"")]);
    let text = std::fs::read_to_string(lab.file()).unwrap();
    std::fs::write(lab.file(), text.replace("first", "second")).unwrap();
    passes(&lab, "first");
}

#[test]
fn no_checks_and_no_such_check_are_told() {
    let lab = small(&[]);
    check(&lab).refused(2, &["has no checks", "[[checks]]"]);
    let lab = small(&[("x", "ping = \"b\"")]);
    lab.run(["check", "--name", "y"]).refused(2, &["no check has"]);
}

#[test]
fn a_command_that_never_ends_is_ended() {
    let lab = small(&[(
        "hangs",
        "shell = \"sleep 1000 & echo $! > /run/pid; wait\"\nwithin = \"100ms\"",
    )]);
    fails(&lab, "hangs", &["had not ended in time"]);
}

#[test]
fn a_router_is_asked_for_its_neighbors() {
    if !common::has_frr() {
        return;
    }
    let router = |name: &str, number: u32| {
        format!(
            "[nodes.{name}]\nkind = \"router\"\nengine = \"frr\"\nconfig = \"\"\"\nfrr defaults datacenter\n\
             router bgp {number}\n bgp router-id 10.0.0.{number}\n no bgp ebgp-requires-policy\n neighbor eth0 interface remote-as external\n \
             address-family ipv4 unicast\n  network 10.{number}.0.0/16\n exit-address-family\n\"\"\"\n\
             routes = [{{ to = \"10.{number}.0.0/16\", type = \"blackhole\" }}]\n"
        )
    };
    let lab = Lab::up(&format!(
        "name = \"pair\"\n{}{}[[links]]\nendpoints = [\"r1:eth0\", \"r2:eth0\"]\n\
         [[checks]]\nname = \"session\"\nnode = \"r1\"\nwithin = \"60s\"\n\
         bgp = {{ neighbor = \"eth0\", state = \"Established\", as = 2, received = 1, sent = 2, family = \"ipv4\" }}\n\
         [[checks]]\nname = \"by name\"\nnode = \"r1\"\nbgp = {{ neighbor = \"r2\", received = 7 }}\n\
         [[checks]]\nname = \"nobody\"\nnode = \"r1\"\nbgp = {{ neighbor = \"eth9\" }}\n\
         [[checks]]\nname = \"kernel\"\nnode = \"r1\"\nroute = {{ to = \"10.2.0.0/16\", dev = \"eth0\", proto = \"bgp\" }}\n",
        router("r1", 1),
        router("r2", 2)
    ));
    passes(&lab, "session");
    passes(&lab, "kernel");
    fails(&lab, "by name", &["received is 1, not 7", "Established"]);
    fails(&lab, "nobody", &["no neighbor eth9", "its neighbors are eth0"]);
    lab.sh("r2", "pkill bgpd");
    common::until("the session's end", || {
        lab.run(["check", "--name", "kernel"]).code == 1
    });
}
