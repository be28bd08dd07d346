//! What can be seen of a lab and done to it while it lives: cp, ps, logs, restart, events.

use crate::common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use common::{Lab, PAIR, until};
use serde_json::Value;

/// A lab with something to look at.
const BUSY: &str = r#"
name = "busy"

[groups.rack0]
labels = { rack = "rack0" }

[nodes.a]
kind = "host"
group = "rack0"
addresses = { eth0 = ["10.0.0.1/24", "fd00::1/64"] }
routes = [{ to = "192.0.2.0/24", via = "10.0.0.2" }]
exec = ["ip address add 10.7.7.7/32 dev lo"]
run = [{ name = "beat", shell = "echo started; echo troubled >&2; exec sleep infinity", restart = "always" }]

[nodes.b]
kind = "router"
addresses = { eth0 = ["10.0.0.2/24"], lo = ["10.0.1.1/32", "10.0.1.2/32", "10.0.1.3/32"] }

[[links]]
endpoints = ["a:eth0", "b:eth0"]
"#;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_are_copied_both_ways() {
    let lab = Lab::up(PAIR);
    let here = |name: &str| lab.path(name).to_str().unwrap().to_owned();
    let data: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    fs::write(here("big"), &data).unwrap();
    fs::set_permissions(here("big"), fs::Permissions::from_mode(0o640)).unwrap();

    // Under a new name, into a directory, and back.
    lab.ok(["cp", &here("big"), "a:/srv/copy"]);
    lab.ok(["cp", &here("big"), "a:/srv"]);
    assert_eq!(
        lab.sh("a", "cmp /srv/copy /srv/big && stat -c %a /srv/big"),
        "640\n"
    );
    lab.ok(["cp", "a:/srv/copy", &here("back")]);
    assert!(fs::read(here("back")).unwrap() == data);
    assert_eq!(mode(&lab.path("back")), 0o640);
    // Over one that is there.
    lab.sh("a", "echo short > /srv/copy; chmod 600 /srv/copy");
    lab.ok(["cp", "a:/srv/copy", &here("back")]);
    assert_eq!(
        (
            fs::read_to_string(here("back")).unwrap().as_str(),
            mode(&lab.path("back"))
        ),
        ("short\n", 0o600)
    );
    // From node to node, and relative to the node's root.
    lab.ok(["cp", "a:srv/copy", "b:/tmp/x"]);
    assert_eq!(lab.sh("b", "cat /tmp/x"), "short\n");
    // A path with a slash before its colon is the host's.
    fs::write(here("with:colon"), "colon").unwrap();
    lab.ok(["cp", &here("with:colon"), "a:/tmp"]);
    assert_eq!(lab.sh("a", "cat /tmp/with:colon"), "colon");
    // Nothing of this was seen by the host.
    assert!(!Path::new("/srv/copy").exists());
}

#[test]
fn directories_are_copied_with_all_they_hold() {
    let lab = Lab::up(PAIR);
    let site = lab.path("site");
    fs::create_dir_all(site.join("deep/empty")).unwrap();
    fs::write(site.join("index"), "hello").unwrap();
    fs::write(site.join("deep/tool"), "#!/bin/sh\necho tool\n").unwrap();
    fs::set_permissions(site.join("deep/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../index", site.join("deep/link")).unwrap();
    symlink("/nowhere", site.join("dangling")).unwrap();
    let site = site.to_str().unwrap();

    // Into a directory that is there; under a new name; with a slash at the end.
    lab.ok(["cp", site, "a:/srv"]);
    lab.ok(["cp", site, "a:/srv/other"]);
    lab.ok(["cp", &format!("{site}/"), "b:/srv"]);
    for (node, place) in [("a", "/srv/site"), ("a", "/srv/other"), ("b", "/srv/site")] {
        let seen = lab.sh(
            node,
            &format!("cd {place}; cat deep/link; readlink deep/link dangling; deep/tool; ls deep"),
        );
        assert_eq!(
            seen, "hello../index\n/nowhere\ntool\nempty\nlink\ntool\n",
            "{place}"
        );
    }
    lab.ok(["cp", "a:/srv/site", lab.path("back").to_str().unwrap()]);
    let back = lab.path("back");
    assert_eq!(
        fs::read_link(back.join("deep/link")).unwrap(),
        Path::new("../index")
    );
    assert_eq!(mode(&back.join("deep/tool")), 0o755);
    assert!(back.join("deep/empty").is_dir());
    let written = |path: &Path| fs::metadata(path).unwrap().mtime();
    assert_eq!(written(&back.join("index")), written(&lab.path("site/index")));
    // A link that is itself copied brings what it points to.
    lab.sh("a", "ln -s /srv/site/index /srv/pointer");
    lab.ok(["cp", "a:/srv/pointer", lab.path("pointed").to_str().unwrap()]);
    assert!(fs::symlink_metadata(lab.path("pointed")).unwrap().is_file());
    assert_eq!(fs::read_to_string(lab.path("pointed")).unwrap(), "hello");
}

#[test]
fn what_cannot_be_copied_is_named() {
    let lab = Lab::up(PAIR);
    let here = lab.path("here").to_str().unwrap().to_owned();
    fs::write(&here, "x").unwrap();
    lab.run(["cp", "a:/no/such", &here])
        .refused(1, &["a:/no/such", "No such file"]);
    assert_eq!(fs::read_to_string(&here).unwrap(), "x");
    lab.run(["cp", &format!("{here}-not"), "a:/tmp"])
        .refused(1, &["here-not", "No such file"]);
    lab.run(["cp", &here, "a:/no/such/place"])
        .refused(1, &["there is no directory a:/no/such"]);
    lab.run(["cp", &here, "c:/tmp"])
        .refused(2, &["lab pair has no node \"c\""]);
    lab.run(["cp", &here, "/tmp/other"])
        .refused(2, &["neither side is in a node", "NODE:PATH"]);
    lab.run(["cp", "a:/", &here])
        .refused(2, &["has no name of its own"]);
    lab.ok(["exec", "a", "true"]);
}

#[test]
fn ps_shows_the_nodes() {
    let lab = Lab::up(BUSY);
    until("the beat", || lab.node("a")["services"][0]["state"] == "running");
    let text = lab.ok(["ps"]);
    let rows: Vec<&str> = text.lines().collect();
    let words = |row: &str| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let head = [
        "NODE",
        "KIND",
        "ENGINE",
        "STATE",
        "UPTIME",
        "PROCS",
        "MEMORY",
        "ADDRESSES",
    ];
    assert_eq!(words(rows[0]), head);
    assert_eq!(words(rows[1])[..4], ["a", "host", "kernel", "ready"]);
    assert_eq!(words(rows[2])[..4], ["b", "router", "kernel", "idle"]);
    assert!(rows[1].contains("eth0 10.0.0.1/24, eth0 fd00::1/64"), "{text}");
    assert!(rows[2].contains("and 1 more") && rows.len() == 3, "{text}");
    let wide = lab.ok(["ps", "--wide"]);
    for word in [
        "RESTARTS",
        "PID",
        "GROUP",
        "LABELS",
        "PROCESSES",
        "rack=rack0",
        "beat (running)",
        "10.0.1.3/32",
    ] {
        assert!(wide.contains(word), "no {word} in\n{wide}");
    }
    // The widths of columns follow what is in them, which changes.
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        lab.ok(["inspect"]).lines().next().map(words),
        Some(words(rows[0]))
    );

    let status = lab.json(["ps", "--format", "json"]);
    assert_eq!(status["lab"], "busy");
    let node = &status["nodes"][0];
    for (field, value) in [
        ("name", Value::from("a")),
        ("kind", "host".into()),
        ("engine", "kernel".into()),
        ("stage", "ready".into()),
        ("state", "ready".into()),
        ("restarts", 0.into()),
        ("processes", 1.into()),
        ("group", "rack0".into()),
    ] {
        assert_eq!(node[field], value, "{field}");
    }
    assert!(
        node["uptime"].as_f64().unwrap() > 0.0 && node["memory"].as_u64().unwrap() > 0,
        "{node}"
    );
    assert_eq!(node["labels"]["rack"], "rack0");
    assert_eq!(node["addresses"][0], serde_json::json!(["eth0", "10.0.0.1/24"]));
    let comm = fs::read_to_string(format!("/proc/{}/cmdline", node["init_pid"])).unwrap();
    assert!(comm.contains("nslab: a"), "{comm}");
    assert!(status["nodes"][1]["init_pid"].is_null());
    // A process more is a process more.
    let mut sleeping = lab.start(["exec", "a", "sh", "-c", "echo ready; exec sleep 1000"]);
    sleeping.until_said("ready");
    assert_eq!(lab.node("a")["processes"], 2);
}

#[test]
fn logs_are_told_in_the_order_of_time() {
    let lab = Lab::up(BUSY);
    until("the beat", || lab.ok(["logs"]).contains("beat: troubled"));
    for (node, text) in [("b", "first"), ("a", "second"), ("b", "third"), ("a", "fourth")] {
        lab.ok(["exec", node, "logger", "-t", "test", text]);
        until("it to be written", || lab.ok(["logs"]).contains(text));
    }
    let all = lab.ok(["logs"]);
    let order: Vec<&str> = all.lines().filter(|line| line.contains("test: ")).collect();
    for (line, (node, text)) in
        order
            .iter()
            .zip([("b", "first"), ("a", "second"), ("b", "third"), ("a", "fourth")])
    {
        assert!(line.ends_with(&format!("Z  {node}  test: {text}")), "{all}");
    }
    assert!(all.contains("a  beat: started") && order.len() == 4, "{all}");
    let one = lab.ok(["logs", "b"]);
    assert!(one.contains("third") && !one.contains("second"), "{one}");
    let last = lab.ok(["logs", "--tail", "2"]);
    assert!(
        last.contains("third") && last.contains("fourth") && last.lines().count() == 2,
        "{last}"
    );
    let json = lab.ok(["logs", "--tail", "1", "--format", "json"]);
    let line: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&line["node"], &line["process"], &line["text"]),
        (&"a".into(), &"test".into(), &"fourth".into())
    );
    assert!(line["time"].as_u64().unwrap() > 1_600_000_000_000);
    lab.run(["logs", "c"])
        .refused(2, &["lab busy has no node \"c\"", "nslab ps"]);
}

#[test]
fn logs_are_followed_to_the_end() {
    let lab = Lab::up(BUSY);
    until("the beat", || lab.ok(["logs"]).contains("beat: troubled"));
    let mut all = lab.start(["logs", "-f"]);
    let mut one = lab.start(["logs", "-f", "--tail", "0", "b"]);
    all.until_said("beat: started");
    lab.ok(["exec", "a", "logger", "-t", "test", "from a"]);
    all.until_said("test: from a");
    // A log that begins only now.
    lab.ok(["exec", "b", "logger", "-t", "test", "from b"]);
    all.until_said("test: from b");
    one.until_said("test: from b");
    lab.ok(["down"]);
    let (all, one) = (all.wait().expect(0), one.wait().expect(0));
    assert_eq!(all.matches("from a").count(), 1, "{all}");
    assert!(!one.contains("from a"), "{one}");
}

#[test]
fn logs_are_followed_where_no_watches_are_left() {
    let lab = Lab::up(BUSY);
    // In a user namespace without inotify instances, as where nodes have taken all of the user's.
    let line = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" logs -f --tail 0";
    let mut command = lab.command("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        line,
        env!("CARGO_BIN_EXE_nslab"),
    ]);
    let mut follower = common::Running::start(&mut command);
    until("the following", || {
        lab.ok(["exec", "a", "logger", "-t", "test", "from a"]);
        follower.out().contains("test: from a")
    });
    // A log that begins only now.
    lab.ok(["exec", "b", "logger", "-t", "test", "from b"]);
    follower.until_said("test: from b");
    lab.ok(["down"]);
    follower.wait().expect(0);
}

#[test]
fn a_restarted_node_keeps_its_network() {
    let lab = Lab::up(BUSY);
    let network = || {
        lab.sh(
            "a",
            "ip -o address; ip route; ip -6 route; cat /sys/class/net/eth0/address",
        )
    };
    lab.sh(
        "a",
        "ip address add 10.8.8.8/32 dev lo; touch /srv/written; logger -t test before",
    );
    let before = network();
    let pid = lab.sh("a", "pgrep -x sleep");
    assert_eq!(lab.ok(["restart", "a"]), "a is ready again\n");
    assert_eq!(network(), before);
    assert!(
        before.contains("192.0.2.0/24 via 10.0.0.2") && before.contains("10.8.8.8"),
        "{before}"
    );
    // Its root is fresh, its processes are started anew, its log goes on.
    lab.ok(["exec", "a", "test", "!", "-e", "/srv/written"]);
    assert_eq!(lab.node("a")["restarts"], 1);
    until("the beat", || lab.node("a")["services"][0]["state"] == "running");
    assert_ne!(lab.node("a")["services"], Value::Null);
    assert!(!pid.trim().is_empty());
    let logs = lab.ok(["logs", "a"]);
    assert!(
        logs.contains("test: before") && logs.matches("beat: started").count() == 2,
        "{logs}"
    );
    // The command of its `exec` found its address there already, which stops nothing.
    let events = lab.ok(["events"]);
    assert!(
        events.contains("`ip address add 10.7.7.7/32 dev lo` ended with status 2 (may fail)"),
        "{events}"
    );
    lab.ok(["exec", "b", "ping", "-c1", "-W5", "a"]);
    // An idle one can be restarted too.
    assert_eq!(lab.ok(["restart", "b"]), "b is ready again\n");
    lab.ok(["exec", "b", "ping", "-c1", "-W5", "a"]);
    lab.run(["restart", "bb"])
        .refused(2, &["lab busy has no node \"bb\""]);
}

#[test]
fn the_last_word_on_an_interface_is_told_however_many_came_before() {
    let lab = Lab::up(
        "name = \"flaps\"\n[nodes.a]\nkind = \"host\"\n[nodes.b]\nkind = \"host\"\nexec = [\"ip link add gone type veth peer name other\"]\n\
         [[links]]\nendpoints = [\"a:eth0\", \"b:eth0\"]\n",
    );
    // Many more than the kernel keeps for whoever does not read.
    let flaps = "{ for i in $(seq 3000); do echo link set dev eth0 down; echo link set dev eth0 up; done; \
        echo link set dev eth0 down; } | ip -batch -";
    let mtus = "{ for i in $(seq 3000); do echo link set dev other mtu $((1000 + i % 2)); done; echo link delete dev gone; } | ip -batch -";
    lab.sh("a", flaps);
    lab.sh("b", mtus);
    for (interface, state) in [("eth0", "down"), ("gone", "deleted"), ("other", "deleted")] {
        until("the last word", || {
            let events = lab.ok(["events", "--format", "json"]);
            let events = events
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            let of_it: Vec<Value> = events
                .filter(|event| {
                    event["interface"] == interface
                        && event["node"] == if interface == "eth0" { "a" } else { "b" }
                })
                .collect();
            of_it.last().is_some_and(|event| event["state"] == state)
        });
    }
}

#[test]
fn events_are_told_and_followed() {
    let lab = Lab::up(BUSY);
    let told = lab.ok(["events"]);
    for words in [
        "lab busy starts: 2 nodes, 1 link",
        "a: process beat started",
        "ready in ",
    ] {
        assert!(told.contains(words), "no {words} in\n{told}");
    }
    for line in lab.ok(["events", "--format", "json"]).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["event"].is_string() && event["time"].is_number(), "{line}");
    }
    let mut follower = lab.start(["events", "-f"]);
    follower.until_said("ready in ");
    lab.sh("a", "pkill -x sleep");
    follower.until_said("a: process beat ended with status 143, it is started again");
    lab.ok(["restart", "a"]);
    follower.until_said("a: is started again; its links have stayed");
    lab.ok(["down"]);
    let told = follower.wait().expect(0);
    assert!(told.contains("the lab is taken down"), "{told}");
}
