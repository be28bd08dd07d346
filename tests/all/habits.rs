//! What people type out of habit: from containerlab, Docker, kubectl. It does what they expect.

use crate::common;

use std::fs::{self, File};
use std::process::Stdio;

use common::{Lab, PAIR, Running, run, until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Three nodes of two kinds, with labels.
const THREE: &str = r#"
name = "three"

[nodes.r]
kind = "router"
labels = { rack = "one" }
addresses = { lo = ["10.0.0.9/32"], eth0 = ["10.0.0.1/24"] }

[nodes.a]
kind = "host"
labels = { rack = "one" }
addresses = { eth0 = ["10.0.0.2/24"] }
run = [{ name = "beat", shell = "echo started; exec sleep infinity" }]

[nodes.b]
kind = "host"
labels = { rack = "two" }

[[links]]
endpoints = ["r:eth0", "a:eth0"]
"#;

fn named(name: &str) -> String {
    PAIR.replace("\"pair\"", &format!("{name:?}"))
}

/// The state of a node, from `ps`.
fn state(lab: &Lab, node: &str) -> String {
    lab.node(node)["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_command_runs_in_several_nodes() {
    let lab = Lab::up(THREE);
    let of = |words: &[&str]| {
        let command = ["sh", "-c", "echo I am $(hostname)"];
        lab.ok([["exec"].as_slice(), words, &command].concat())
    };
    assert_eq!(of(&["a,b"]), "==> a <==\nI am a\n\n==> b <==\nI am b\n");
    assert_eq!(of(&["--all"]).matches("I am").count(), 3);
    assert_eq!(of(&["-a"]).matches("I am").count(), 3);
    assert_eq!(of(&["--kind", "router"]), "==> r <==\nI am r\n");
    assert_eq!(of(&["--label", "rack=one"]).matches("I am").count(), 2);
    assert_eq!(
        of(&["--label", "rack", "--kind", "host"]).matches("I am").count(),
        2
    );
    // The status is the first that is not 0, and whose it was is told.
    let done = lab.run(["exec", "a,r", "sh", "-c", "test $(hostname) = r || exit 4"]);
    done.refused(4, &["of 2 nodes", "a (4)"]);
    lab.run(["exec", "--label", "rack=three", "true"])
        .refused(125, &["no node of lab three", "ps --wide"]);
    lab.run(["exec", "a,nosuch", "true"])
        .refused(125, &["has no node \"nosuch\""]);
    lab.run(["exec", "--all"]).refused(2, &["NODE"]);
    // As Docker has it, with a terminal of the node's.
    assert!(lab.ok(["exec", "-it", "a", "tty"]).contains("/dev/pts/"));
}

#[test]
fn nodes_stop_and_start() {
    let lab = Lab::up(THREE);
    let pid = lab.node("a")["init_pid"].as_i64().unwrap();
    assert_eq!(lab.ok(["stop", "a"]), "a is stopped\n");
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    assert_eq!(state(&lab, "a"), "stopped");
    // Its links are down, as those of a machine that is switched off.
    let ping = ["exec", "r", "ping", "-c1", "-W1", "10.0.0.2"];
    assert_eq!(lab.run(ping).code, 1);
    lab.run(["exec", "a", "true"])
        .refused(125, &["a is stopped", "nslab start a"]);
    assert_eq!(lab.ok(["stop", "a"]), "a is stopped\n");
    assert_eq!(lab.ok(["start", "a"]), "a is ready\n");
    assert_eq!(state(&lab, "a"), "ready");
    lab.ok(["exec", "r", "ping", "-c1", "-W5", "10.0.0.2"]);
    assert_eq!(lab.sh("a", "cat /proc/1/comm > /dev/null; echo up"), "up\n");
    // One that runs is ready already; one that nothing runs in can be stopped as well.
    assert_eq!(lab.ok(["start", "a"]), "a is ready\n");
    assert_eq!(lab.ok(["stop", "b"]), "b is stopped\n");
    assert_eq!(lab.ok(["restart", "b"]), "b is ready again\n");
    // Several, and what happened is told.
    assert_eq!(lab.ok(["stop", "--kind", "host"]), "a is stopped\nb is stopped\n");
    assert_eq!(lab.ok(["start", "a", "b"]), "a is ready\nb is ready\n");
    assert_eq!(lab.ok(["restart", "--all"]).lines().count(), 3);
    let told = lab.ok(["events"]);
    assert!(told.contains("a: is stopped; its links are down"), "{told}");
    lab.run(["stop", "nosuch"])
        .refused(2, &["has no node \"nosuch\""]);
    lab.run(["stop"]).refused(2, &["NODE"]);
    lab.run(["stop", "three"]).refused(
        2,
        &[
            "three is a lab, not a node",
            "nslab down three",
            "--all --lab three",
        ],
    );
    // A lab with a node that is stopped ends as any other.
    lab.ok(["stop", "a"]);
    lab.ok(["down"]);
}

#[test]
fn labs_are_meant_by_their_files() {
    let lab = Lab::up(PAIR);
    let file = lab.file().to_owned();
    for words in [
        ["ps", "-t", &file],
        ["ps", "--topo", &file],
        ["inspect", "--lab", &file],
        ["ps", "pair", "--wide"],
        ["events", "-t", &file],
        ["logs", "-t", &file],
        ["inspect", "-f", "json"],
        ["validate", "-f", &file],
    ] {
        lab.ok(words);
    }
    let relative = run(lab.nslab(["down", "lab.toml"]).current_dir(lab.path("")));
    assert_eq!(relative.expect(0), "lab pair is down\n");
    lab.run(["down", &file])
        .refused(2, &["no lab of", "lab.toml is running"]);
    lab.run(["down", "no/such.toml"])
        .refused(2, &["there is no file no/such.toml"]);
    lab.ok(["deploy", "-d", "-t", &file]);
    lab.ok(["destroy", "-t", &file, "--cleanup"]);
    lab.ok(["up", "-d", &file]);
    lab.ok(["destroy", "-a"]);
    assert_eq!(lab.ok(["down", "--all"]), "no lab is running\n");
}

#[test]
fn a_lab_comes_from_standard_input() {
    let lab = Lab::new("");
    lab.feed(["up", "-d", "-"], PAIR.as_bytes()).expect(0);
    let labs = lab.json(["ls", "--format", "json"]);
    assert_eq!(labs[0]["file"], "-");
    lab.ok(["down"]);
    // A topology as well: what it is stands in it.
    let topology = "name: t\ntopology:\n  nodes:\n    a: {kind: linux, image: alpine}\n";
    let said = lab.feed(["validate", "-"], topology.as_bytes()).expect(0);
    assert_eq!(said, "-: lab t, 1 node, 0 links\n");
    lab.feed(["graph", "-"], PAIR.as_bytes()).expect(0);
    lab.feed(["up", "-d", "-"], b"nonsense")
        .refused(2, &["this is no lab file"]);
    lab.feed(["test", "-"], PAIR.as_bytes())
        .refused(2, &["write it into a file"]);
}

#[test]
fn listings_have_all_labs() {
    let lab = Lab::up(PAIR);
    let other = lab.path("other.toml");
    fs::write(
        &other,
        named("other")
            .replace("nodes.a]", "nodes.c]")
            .replace("\"a:", "\"c:"),
    )
    .unwrap();
    let told = lab.ok(["up", "-d", other.to_str().unwrap()]);
    // A tip says which lab it means, now that there are two.
    assert!(told.contains(" ps --lab other\n"), "{told}");
    let table = lab.ok(["ps"]);
    assert!(table.starts_with("LAB "), "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with("pair ")).count(), 2);
    assert_eq!(table.lines().filter(|line| line.starts_with("other ")).count(), 2);
    assert_eq!(lab.ok(["ps", "other"]).lines().count(), 3);
    assert_eq!(lab.ok(["ps", "c"]).lines().count(), 2);
    lab.run(["ps", "a", "nosuch"])
        .refused(2, &["has no node \"nosuch\""]);
    let all = lab.json(["ps", "--all", "--format", "json"]);
    let names: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["lab"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["other", "pair"]);
    lab.run(["ps", "--format", "json"])
        .refused(2, &["several labs", "--lab"]);
    for verb in ["ls", "list", "labs"] {
        assert_eq!(lab.ok([verb]).lines().count(), 3, "{verb}");
    }
    // One that does not answer hides no other.
    let hung = lab.supervisor("other");
    nix::sys::signal::kill(hung, Signal::SIGSTOP).unwrap();
    let done = lab.run(["ps"]);
    assert_eq!(
        done.out.lines().filter(|line| line.contains("10.0.0.")).count(),
        2,
        "{}",
        done.out
    );
    done.refused(1, &["lab other does not answer"]);
    nix::sys::signal::kill(hung, Signal::SIGCONT).unwrap();
    // Events and logs say of which lab they are.
    let events = lab.ok(["events"]);
    assert!(
        events.contains("  pair: ready in") && events.contains("  other: ready in"),
        "{events}"
    );
    lab.ok(["exec", "c", "logger", "hello from c"]);
    until("the words of c", || lab.ok(["logs"]).contains("other:c  "));
    // Followed, they end with the labs.
    let mut followed = [lab.start(["events", "-f"]), lab.start(["logs", "-f"])];
    followed[0].until_said("pair: ready in");
    followed[1].until_said("hello from c");
    lab.ok(["down", "--all"]);
    for it in &mut followed {
        it.wait().expect(0);
    }
}

#[test]
fn logs_begin_where_people_ask() {
    let lab = Lab::up(THREE);
    until("what it says", || lab.ok(["logs", "a"]).contains("beat: started"));
    lab.ok(["exec", "a", "logger", "-t", "tester", "one"]);
    lab.ok(["exec", "a", "logger", "-t", "tester", "two"]);
    until("both lines", || lab.ok(["logs", "a"]).contains("two"));
    let last = lab.ok(["logs", "-n", "1", "a"]);
    assert!(last.contains("two") && last.lines().count() == 1, "{last}");
    assert_eq!(lab.ok(["logs", "--since", "1h", "a"]), lab.ok(["logs", "a"]));
    assert_eq!(lab.ok(["logs", "--since", "0s", "a"]), "");
    // The time that a line shows is one to begin from.
    let clock = last.split(' ').next().unwrap().to_owned();
    let since = lab.ok(["logs", "--since", &clock, "a"]);
    assert!(since.contains("two"), "{since}");
    assert!(lab.ok(["logs", "a/tester"]).contains("one"));
    lab.run(["logs", "a/beta"])
        .refused(2, &["a has no process \"beta\"", "did you mean `beat`?"]);
    lab.run(["logs", "--since", "yesterday"])
        .refused(2, &["is no time", "13:45"]);
}

#[test]
fn files_go_through_pipes() {
    let lab = Lab::up(PAIR);
    lab.feed(["cp", "-", "a:/srv/file"], b"one\0two\xff").expect(0);
    let done = lab.run(["cp", "a:/srv/file", "-"]);
    assert_eq!(
        (done.code, done.bytes.as_slice()),
        (0, b"one\0two\xff".as_slice())
    );
    assert!(lab.ok(["cp", "a:/proc/uptime", "-"]).contains('.'));
    lab.run(["cp", "a:/srv", "-"])
        .refused(1, &["a:/srv is not a file", "tar"]);
    lab.run(["cp", "a:/none", "-"])
        .refused(1, &["there is no a:/none"]);
    // What a node has made of it does not lead out of it, nor to a device.
    lab.sh(
        "a",
        "ln -s /dev/zero /srv/zero; ln -s ../../../../etc/hostname /srv/up",
    );
    lab.run(["cp", "a:/srv/zero", "-"]).refused(1, &["is not a file"]);
    assert_eq!(lab.ok(["cp", "a:/srv/up", "-"]), "a\n");
}

/// The kernel's own word on interfaces, whatever the lab file says.
#[test]
fn ps_shows_what_the_kernel_has() {
    let lab = Lab::up(THREE);
    let of = |node: &str| lab.node(node);
    assert_eq!(of("a")["addresses"], serde_json::json!([["eth0", "10.0.0.2/24"]]));
    // The loopback's come last.
    assert_eq!(
        of("r")["addresses"],
        serde_json::json!([["eth0", "10.0.0.1/24"], ["lo", "10.0.0.9/32"]])
    );
    let eth0 = of("a")["interfaces"][0].clone();
    assert_eq!(
        (
            &eth0["name"],
            &eth0["kind"],
            &eth0["state"],
            &eth0["peer"],
            &eth0["mtu"]
        ),
        (
            &"eth0".into(),
            &"veth".into(),
            &"up".into(),
            &"r:eth0".into(),
            &1500.into()
        )
    );
    assert_eq!(eth0["mac"].as_str().unwrap().len(), 17);
    lab.sh(
        "a",
        "ip address del 10.0.0.2/24 dev eth0; ip address add 192.0.2.7/24 dev eth0; ip link set eth0 mtu 1400",
    );
    assert_eq!(
        of("a")["addresses"],
        serde_json::json!([["eth0", "192.0.2.7/24"]])
    );
    assert_eq!(of("a")["interfaces"][0]["mtu"], 1400);
    lab.sh("a", "ip link set eth0 down");
    assert!(lab.ok(["ps", "a"]).contains("eth0 192.0.2.7/24 (down)"));
    assert!(lab.ok(["ps", "r"]).contains("eth0 10.0.0.1/24 (no-carrier)"));
    let drawn = lab.ok(["graph"]);
    assert!(drawn.contains("── a:eth0 (no-carrier)"), "{drawn}");
    assert!(drawn.contains("── r:eth0 (down)"), "{drawn}");
    assert!(
        lab.ok(["graph", "--format", "dot"])
            .contains("style=dashed, color=red")
    );
    let table = lab.ok(["ps", "--interfaces"]);
    let row = table
        .lines()
        .find(|line| line.starts_with("r ") && line.contains("eth0"))
        .unwrap();
    assert!(row.contains("a:eth0") && row.contains("no-carrier"), "{table}");
    // Each change is an event, with the other end.
    until("the event", || {
        lab.ok(["events"]).contains("a: eth0 is down (to r:eth0)")
    });
    lab.sh("a", "ip link set eth0 up");
    until("the next event", || {
        lab.ok(["events"]).contains("r: eth0 is up (to a:eth0)")
    });
    lab.sh("a", "ip link del eth0; ip link add eth0 type dummy || true");
    until("the last event", || {
        lab.ok(["events"]).contains("a: eth0 was deleted (to r:eth0)")
    });
    assert!(lab.ok(["graph"]).contains("(deleted)"));
    // An interface of the same name is not the link's end.
    let interfaces = of("a")["interfaces"].clone();
    let ends = interfaces
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| !it["peer"].is_null());
    assert_eq!(ends.count(), 0, "{interfaces}");
}

#[test]
fn traffic_is_measured() {
    let lab = Lab::up(PAIR);
    let flood = lab.start(["exec", "a", "ping", "-i", "0.01", "10.0.0.2"]);
    until("a rate", || {
        let table = lab.ok(["ps", "--interfaces", "a"]);
        let row = table.lines().find(|line| line.contains("b:eth0")).unwrap();
        row.contains("kbit/s")
    });
    flood.signal(Signal::SIGINT);
}

#[test]
fn what_does_not_arrive_is_a_failure() {
    let lab = Lab::up(PAIR);
    let verbs: [&[&str]; 16] = [
        &["labs"],
        &["ps"],
        &["ps", "--format", "json"],
        &["ps", "--interfaces"],
        &["events"],
        &["graph"],
        &["graph", "--format", "json"],
        &["version"],
        &["schema"],
        &["man"],
        &["completions", "bash"],
        &["doctor"],
        &["--help"],
        &["up", "--help"],
        &["--version"],
        &["cp", "a:/etc/hosts", "-"],
    ];
    // What a command in a node prints is nslab's to pass on, where it cannot have the caller's own output.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let lost = lab
        .nslab(["exec", "a", "echo", "hi"])
        .stdout(full)
        .status()
        .unwrap();
    assert_eq!(lost.code(), Some(1));
    for words in verbs {
        let full = lab
            .nslab(words)
            .stdout(File::options().write(true).open("/dev/full").unwrap())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(full.code(), Some(1), "{words:?} on a full disk");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = lab
            .nslab(words)
            .stdout(writer)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(closed.code(), Some(1), "{words:?} into a closed pipe");
    }
}

#[test]
fn without_utf8_frames_are_ascii() {
    let lab = Lab::new("name = \"x\"\n[nodes.a]\nkind = \"hots\"\n");
    let plain = run(lab.nslab(["validate", lab.file()]).env("LC_ALL", "C"));
    let own = plain.err.lines().filter(|line| !line.contains("help"));
    assert!(
        own.clone().count() > 3 && own.clone().all(|line| line.is_ascii()),
        "{}",
        plain.err
    );
    let usual = run(lab.nslab(["validate", lab.file()]).env("LC_ALL", "C.UTF-8"));
    assert!(usual.err.contains('╭'), "{}", usual.err);
    fs::write(lab.file(), PAIR).unwrap();
    let tree = run(lab.nslab(["graph", lab.file()]).env("LC_ALL", "POSIX")).expect(0);
    assert!(tree.is_ascii() && tree.contains("`-- b (host)"), "{tree}");
}

#[test]
fn versions_and_times_and_counts() {
    let lab = Lab::new(PAIR);
    let version = lab.ok(["version"]);
    assert_eq!(version, lab.ok(["--version"]));
    assert_eq!(
        lab.json(["version", "--format", "json"])["version"],
        version.trim().trim_start_matches("nslab ")
    );
    assert!(
        lab.ok(["validate", lab.file()])
            .ends_with("lab pair, 2 nodes, 1 link\n")
    );
    // Seconds need no unit.
    lab.ok(["up", "-d", "--timeout", "90", lab.file()]);
    // A lab without BGP has no tip about BGP.
    lab.ok(["down"]);
    let told = lab.ok(["up", "-d", lab.file()]);
    assert!(
        !told.contains("bgp") && told.contains("exec a ip -br address"),
        "{told}"
    );
}

#[test]
fn the_end_of_a_lab_is_told() {
    let lab = Lab::new(PAIR);
    let mut up: Running = lab.start(["up", lab.file()]);
    up.until_said("Ctrl-C, which takes the lab down");
    up.signal(Signal::SIGINT);
    let done = up.wait();
    assert!(done.err.contains("taking lab pair down"), "{}", done.err);
    assert_eq!(done.code, 0);
}

#[test]
fn tests_say_what_people_look_for() {
    let lab = Lab::new(PAIR);
    let checked = format!(
        "{PAIR}\n[[checks]]\nname = \"seven\"\nnode = \"a\"\nrun = \"echo '{{\\\"n\\\": 5}}'\"\nexpect = {{ jq = \".n\", equals = 7 }}\n"
    );
    fs::write(lab.file(), &checked).unwrap();
    // Where the report cannot be written is said before the labs come up.
    let done = lab.run(["test", "--junit", "/no/such/report.xml", lab.file()]);
    assert!(!done.out.contains("ready in"), "{}", done.out);
    done.refused(3, &["cannot write /no/such/report.xml"]);
    // The answer stands below what differs.
    let said = lab.run(["test", "--keep", lab.file()]).expect(1);
    assert!(said.contains("`.n` is 5, not 7"), "{said}");
    assert!(said.contains("| {\"n\": 5}"), "{said}");
    // What was kept is found as other labs are.
    assert!(lab.ok(["ls"]).contains("pair "));
    assert_eq!(lab.ok(["ps"]).lines().count(), 3);
    assert_eq!(lab.ok(["exec", "a", "hostname"]), "a\n");
    assert_eq!(lab.ok(["down", "--all"]), "lab pair is down\n");
    assert_eq!(lab.ok(["ls"]), "no lab is running\n");
    // Topologies of containerlab's are tested as lab files are.
    let topology = lab.path("t.clab.yml");
    fs::write(
        &topology,
        "name: t\ntopology:\n  nodes:\n    a: {kind: linux, image: alpine}\n",
    )
    .unwrap();
    let topology = topology.to_str().unwrap();
    let said = lab.ok(["test", topology]);
    assert!(said.contains("t.clab.yml) ready in"), "{said}");
    lab.run(["test", topology, lab.file()]).expect(1);
    // One that is interrupted says which labs it had not run.
    let other = lab.path("other.toml");
    fs::write(&other, named("other")).unwrap();
    let slow = checked.replace("equals = 7 }", "equals = 7 }\nwithin = \"5m\"");
    fs::write(lab.file(), slow).unwrap();
    let mut running = lab.start(["test", lab.file(), other.to_str().unwrap()]);
    running.until_said("ready in");
    running.signal(Signal::SIGINT);
    running.wait().refused(
        1,
        &["interrupted", "not run to the end:", "lab.toml", "other.toml"],
    );
}

#[test]
fn a_name_is_one_address() {
    let text = format!(
        "{}\n[[checks]]\nname = \"by name\"\nnode = \"a\"\nping = \"r\"\nwithin = \"10s\"\n",
        THREE
    );
    let lab = Lab::up(&text);
    let hosts = lab.sh("a", "grep -w r /etc/hosts");
    assert_eq!(hosts, "10.0.0.1 r\n10.0.0.9 r\n");
    // `a` has no way to the loopback of `r`; the check takes the same address as programs.
    let passed: Value = lab.json(["check", "--format", "json"]);
    assert_eq!(passed["checks"][0]["question"], "ping 10.0.0.1");
    lab.ok(["exec", "a", "ping", "-c1", "-W5", "r"]);
}
