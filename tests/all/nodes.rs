//! What is put into a node is there, as the file says: files, binds, commands, processes, names, limits; and
//! nothing a node does is seen by the host.

use crate::common;
use crate::common::host;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use common::{Host, Lab, run, until};
use host::do_aside;

#[test]
fn files_have_their_content_mode_and_owner() {
    let lab = Lab::new(
        r#"
name = "files"
[nodes.a]
kind = "host"
exec = ["cat /etc/web.conf"]
[nodes.a.files]
"/etc/web.conf" = { content = "x=1\n", mode = "0640", owner = "nobody:root" }
"/etc/deep/er/plain" = { content = "" }
"/etc/hostname" = { content = "other\n" }
"/srv" = { from = "site/" }
"/opt/tool" = { from = "tool.sh" }
"/tmp/early" = { content = "in /tmp" }
"/run/early" = { content = "in /run" }
"/var/log/early" = { content = "in /var/log", owner = "65534" }
"#,
    );
    let site = lab.path("site");
    fs::create_dir_all(site.join("sub/deeper")).unwrap();
    fs::write(site.join("index.html"), "<p>hello").unwrap();
    fs::write(site.join("sub/deeper/page"), vec![0, 255, 10]).unwrap();
    symlink("../index.html", site.join("sub/home")).unwrap();
    fs::write(lab.path("tool.sh"), "#!/bin/sh\necho tool\n").unwrap();
    fs::set_permissions(lab.path("tool.sh"), fs::Permissions::from_mode(0o751)).unwrap();
    lab.ok(["up", "-d", lab.file()]);

    assert_eq!(lab.sh("a", "cat /etc/web.conf"), "x=1\n");
    let stat = |path: &str| {
        lab.ok(["exec", "a", "stat", "-c", "%a %U:%G %s", path])
            .trim()
            .to_owned()
    };
    assert_eq!(stat("/etc/web.conf"), "640 nobody:root 4");
    assert_eq!(stat("/etc/deep/er/plain"), "644 root:root 0");
    assert_eq!(stat("/opt/tool"), "751 root:root 20");
    assert_eq!(stat("/var/log/early"), "644 nobody:root 11");
    assert_eq!(
        lab.sh("a", "cat /tmp/early /run/early /etc/hostname"),
        "in /tmpin /runother\n"
    );
    assert_eq!(lab.sh("a", "cat /srv/sub/home; /opt/tool"), "<p>hellotool\n");
    assert_eq!(
        lab.run(["exec", "a", "cat", "/srv/sub/deeper/page"]).bytes,
        [0, 255, 10]
    );
    // They are copies.
    lab.sh("a", "echo changed > /srv/index.html");
    assert_eq!(fs::read_to_string(site.join("index.html")).unwrap(), "<p>hello");
}

#[test]
fn binds_show_the_hosts_files() {
    let lab = Lab::new(
        r#"
name = "binds"
[nodes.a]
kind = "host"
binds = ["data/:/data", "data:/mnt/same:ro", "one.txt:/etc/one.txt", "one.txt:/tmp/deep/er/one:ro"]
"#,
    );
    fs::create_dir(lab.path("data")).unwrap();
    fs::write(lab.path("data/there"), "from the host").unwrap();
    fs::write(lab.path("one.txt"), "one").unwrap();
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(
        lab.sh(
            "a",
            "cat /data/there /mnt/same/there /etc/one.txt /tmp/deep/er/one"
        ),
        "from the hostfrom the hostoneone"
    );
    lab.sh("a", "echo back > /data/new; echo two > /etc/one.txt");
    assert_eq!(fs::read_to_string(lab.path("data/new")).unwrap(), "back\n");
    assert_eq!(fs::read_to_string(lab.path("one.txt")).unwrap(), "two\n");
    for path in ["/mnt/same/x", "/tmp/deep/er/one"] {
        let done = lab.run(["exec", "a", "sh", "-c", &format!("echo no > {path}")]);
        assert!(
            done.code != 0 && done.err.contains("Read-only"),
            "{path}: {done:?}"
        );
    }
    lab.ok(["down"]);
    assert!(
        lab.path("data/there").exists(),
        "down leaves the host's files alone"
    );
}

#[test]
fn exec_lines_run_in_order_with_the_nodes_environment() {
    let lab = Lab::up(
        r#"
name = "lines"
[defaults]
env = { MODE = "lab", SIDE = "all" }
[nodes.a]
kind = "host"
env = { SIDE = "left" }
exec = [
  "printf '%s|' 'two words' \"$HOME\" *",
  { shell = "echo $MODE $SIDE $HOME $PWD > /run/seen" },
  { command = "false", may_fail = true },
  { shell = "echo last >> /run/seen; grep SigBlk /proc/self/status >> /run/seen" },
]
"#,
    );
    let seen = lab.sh("a", "cat /run/seen");
    assert_eq!(seen, "lab left /root /\nlast\nSigBlk:\t0000000000000000\n");
    // Without a shell, nothing is expanded.
    assert!(lab.ok(["logs", "a"]).contains("two words|$HOME|*|"));
}

#[test]
fn processes_run_as_told_and_start_again_as_told() {
    let lab = Lab::up(
        r#"
name = "services"
[nodes.a]
kind = "host"
[[nodes.a.run]]
name = "steady"
shell = "echo $KIND $(id -un) $PWD $HOME $USER; grep SigBlk /proc/self/status; exec sleep infinity"
user = "nobody"
workdir = "/usr"
env = { KIND = "mine" }
[[nodes.a.run]]
name = "again"
shell = "echo x >> /run/again; sleep 0.05"
restart = "always"
[[nodes.a.run]]
name = "failing"
shell = "echo x >> /run/failing; [ $(wc -l < /run/failing) -ge 3 ]"
restart = "on-failure"
[[nodes.a.run]]
name = "once"
shell = "echo x >> /run/once; sleep 0.05"
restart = "no"
"#,
    );
    until("what steady says", || lab.ok(["logs", "a"]).contains("SigBlk"));
    let logs = lab.ok(["logs", "a"]);
    assert!(logs.contains("mine nobody /usr"), "{logs}");
    assert!(logs.contains("SigBlk:\t0000000000000000"), "{logs}");
    let lines = |name: &str| {
        lab.sh("a", &format!("wc -l < /run/{name}"))
            .trim()
            .parse::<u32>()
            .unwrap()
    };
    until("restarts", || lines("again") >= 3 && lines("failing") >= 3);
    assert_eq!((lines("once"), lines("failing")), (1, 3));
    // One that is killed is started again.
    lab.sh("a", "pkill -f '^sleep infinity'");
    until("steady's second life", || {
        lab.ok(["logs", "a"]).matches("mine nobody").count() == 2
    });
}

#[test]
fn ready_means_that_probes_hold() {
    let lab = Lab::up(
        r#"
name = "probes"
[nodes.a]
kind = "host"
[[nodes.a.run]]
name = "tcp"
command = "/usr/bin/python3 -c 'import socket, time; time.sleep(0.1); s = socket.create_server((\"\", 8080)); time.sleep(1000)'"
ready = { tcp = 8080 }
[[nodes.a.run]]
name = "file"
shell = "sleep 0.1; touch /run/there; exec sleep infinity"
ready = { file = "/run/there" }
[[nodes.a.run]]
name = "exec"
shell = "sleep 0.1; mkdir /run/made; exec sleep infinity"
ready = { exec = "test -d /run/made" }
"#,
    );
    // At once, without waiting.
    lab.sh(
        "a",
        "test -e /run/there && test -d /run/made && grep -q ':1F90 .* 0A ' /proc/net/tcp",
    );
    let states = lab.node("a")["services"].clone();
    for service in states.as_array().unwrap() {
        assert_eq!(service["state"], "ready", "{states}");
    }
}

#[test]
fn stages_are_waited_for_in_the_order_the_file_asks() {
    let lab = Lab::up(
        r#"
name = "stages"
[nodes.web]
kind = "host"
wait_for = ["db", "cache:configured"]
exec = ["true"]
[nodes.cache]
kind = "host"
wait_for = ["db:links"]
startup_delay = "300ms"
exec = ["sleep 0.05"]
[nodes.db]
kind = "host"
exec = ["sleep 0.05"]
run = [{ name = "db", shell = "sleep 0.05; touch /run/up; exec sleep infinity", ready = { file = "/run/up" } }]
"#,
    );
    let text = lab.ok(["events", "--format", "json"]);
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let reached = |node: &str, stage: &str| {
        let found = events.iter().find(|event| {
            event["event"] == "stage"
                && event["stage"] == stage
                && event["nodes"].as_array().unwrap().iter().any(|it| it == node)
        });
        found.unwrap_or_else(|| panic!("{node} {stage} in {text}"))["time"]
            .as_f64()
            .unwrap()
    };
    let ran = |node: &str| {
        let found = events
            .iter()
            .find(|event| event["event"] == "exec" && event["node"] == node);
        found.unwrap()["time"].as_f64().unwrap()
    };
    for node in ["web", "cache", "db"] {
        let times = ["created", "links", "configured", "ready"].map(|stage| reached(node, stage));
        assert!(times.is_sorted(), "{node}: {times:?}");
    }
    assert!(ran("web") > reached("db", "ready") && ran("web") > reached("cache", "configured"));
    assert!(ran("cache") >= reached("db", "links") + 0.3);
    assert!(
        events
            .iter()
            .any(|event| event["event"] == "waiting" && event["node"] == "web")
    );
    let last = events.last().unwrap();
    assert_eq!(last["event"], "ready");
}

#[test]
fn a_node_may_live_in_the_network_of_another() {
    let lab = Lab::up(
        r#"
name = "shared"
[nodes.web]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24"] }
[nodes.sniffer]
kind = "host"
network = "node:web"
addresses = { lo = ["10.255.0.1/32"] }
exec = [{ shell = "ip -br address > /run/seen; hostname > /run/name" }]
[nodes.c]
kind = "host"
addresses = { eth0 = ["10.0.0.2/24"] }
[[links]]
endpoints = ["web:eth0", "c:eth0"]
"#,
    );
    let seen = lab.sh("sniffer", "cat /run/seen /run/name");
    assert!(
        seen.contains("10.0.0.1/24") && seen.contains("10.255.0.1/32"),
        "{seen}"
    );
    assert!(seen.ends_with("sniffer\n"), "{seen}");
    let network = |node: &str| lab.ok(["exec", node, "readlink", "/proc/self/ns/net"]);
    assert_eq!(network("web"), network("sniffer"));
    // The network is shared, the files are not.
    assert_ne!(lab.run(["exec", "web", "cat", "/run/seen"]).code, 0);
}

#[test]
fn a_node_may_write_anywhere_and_the_host_never_sees_it() {
    let lab = Lab::up("name = \"writer\"\n[nodes.a]\nkind = \"host\"\n[nodes.b]\nkind = \"host\"\n");
    let mark = format!("nslab-test-{}", std::process::id());
    let places = [
        "/", "/etc", "/usr/bin", "/tmp", "/run", "/var/log", "/var/lib", "/root", "/dev/shm", "/opt", "/home",
    ];
    for place in places {
        lab.sh("a", &format!("mkdir -p {place} && echo mine > {place}/{mark}"));
        assert!(!Path::new(place).join(&mark).exists(), "{place} of the host");
        lab.sh("b", &format!("test ! -e {place}/{mark}"));
    }
    lab.sh("a", "rm -rf /usr/share/doc /etc/passwd; test ! -e /etc/passwd");
    assert!(Path::new("/etc/passwd").exists() && Path::new("/usr/share/doc").exists());
    lab.sh("b", "test -e /etc/passwd");
    let own = lab.sh(
        "b",
        "ls -A /tmp; ls -A /run | grep -vx -e lock -e frr; find /var/log -type f",
    );
    assert_eq!(own, "", "/tmp, /run and /var/log begin empty");
    let modes = lab.sh(
        "b",
        "stat -c %a /tmp /run /run/lock /var/log /dev/shm | tr '\\n' ' '",
    );
    assert_eq!(modes, "1777 755 1777 755 1777 ");
}

#[test]
fn dev_holds_harmless_devices_only() {
    let lab = Lab::up("name = \"devices\"\n[nodes.a]\nkind = \"host\"\n");
    lab.sh("a", "echo x > /dev/null; head -c4 /dev/zero /dev/urandom > /dev/null; test -c /dev/tty -a -c /dev/net/tun");
    // The kernel's log is the host's.
    lab.sh("a", "test ! -e /dev/kmsg -a ! -e /dev/fuse");
    lab.sh(
        "a",
        "test -d /dev/pts -a -e /dev/ptmx -a -d /dev/mqueue -a -S /dev/log && echo through > /dev/fd/1",
    );
    assert_eq!(lab.sh("a", "find /dev -type b"), "", "no disks");
    // What programs log to syslog is in the node's log.
    lab.sh("a", "logger -t tagged 'a line for syslog'");
    until("the line", || {
        lab.ok(["logs", "a"])
            .lines()
            .any(|line| line.contains("tagged") && line.contains("a line for syslog"))
    });
}

#[test]
fn names_resolve() {
    let lab = Lab::up(
        r#"
name = "names"
[nodes.alpha]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24", "fd00::1/64"] }
[nodes."beta.lab"]
kind = "host"
addresses = { lo = ["10.255.0.2/32"], eth0 = ["10.0.0.2/24", "fd00::2/64"] }
[[links]]
endpoints = ["alpha:eth0", "beta.lab:eth0"]
"#,
    );
    assert_eq!(lab.sh("alpha", "hostname; cat /etc/hostname"), "alpha\nalpha\n");
    assert_eq!(lab.sh("beta.lab", "uname -n"), "beta.lab\n");
    lab.ok(["exec", "alpha", "ping", "-c1", "-W5", "-4", "beta.lab"]);
    lab.ok(["exec", "beta.lab", "ping", "-c1", "-W5", "-6", "alpha"]);
    let found = lab.ok(["exec", "alpha", "getent", "hosts", "localhost"]);
    assert!(
        found.starts_with("::1") || found.starts_with("127.0.0.1"),
        "{found}"
    );
    // There is no way out, so no server is named that could not be reached.
    assert_eq!(
        lab.sh("alpha", "grep -c ^nameserver /etc/resolv.conf || true")
            .trim(),
        "0"
    );
    lab.sh(
        "alpha",
        "test ! -L /etc/resolv.conf && grep -q ^127.0.0.1 /etc/hosts",
    );
}

#[test]
fn limits_hold_and_go_with_the_lab() {
    let lab = Lab::up(
        r#"
name = "limits"
[nodes.a]
kind = "host"
memory = "64M"
cpu = 0.5
exec = [{ shell = "/usr/bin/python3 -c 'bytearray(200 << 20)' || echo killed > /run/hog" }]
run = [{ name = "s", command = "sleep infinity" }]
"#,
    );
    let traces = lab.traces("limits");
    assert!(traces.cgroups() > 0);
    // What is asked for is what the kernel says.
    let read = |controller: &str, unified: &str, legacy: &str| lab.limit("a", controller, unified, legacy);
    assert_eq!(
        read("memory", "memory.max", "memory.limit_in_bytes").trim(),
        (64 << 20).to_string()
    );
    let quota = read("cpu", "cpu.max", "cpu.cfs_quota_us");
    assert_eq!(quota.split_whitespace().next(), Some("50000"));
    // The same for what is run in the node later.
    let groups = lab.sh("a", "cat /proc/$(pidof sleep)/cgroup");
    assert_eq!(lab.sh("a", "cat /proc/self/cgroup"), groups);
    // More than it may have: the kernel ends what asks for it, and only that.
    if common::has("/usr/bin/python3") {
        assert_eq!(lab.sh("a", "cat /run/hog"), "killed\n");
    }
    lab.ok(["down"]);
    traces.gone();
}

#[test]
fn a_lab_keeps_nothing_of_its_callers_open() {
    let lab = Lab::new(
        "name = \"calm\"\n[nodes.a]\nkind = \"host\"\nrun = [{ name = \"s\", command = \"sleep infinity\" }]\n",
    );
    // A lock that a script holds while it brings a lab up is free when the script lets go of it.
    let done = do_aside(
        &lab,
        "exec 9> $TEST/lock && flock 9 && $NSLAB up -d $FILE > /dev/null 2>&1 && exec 9>&- && flock -n $TEST/lock echo free",
    );
    assert_eq!(done.expect(0), "free\n");
}

#[test]
fn a_container_s_own_commands_start_frr_unedited() {
    if !common::has_frr() {
        return;
    }
    let lab = Lab::up(
        r#"
name = "unedited"
[nodes.r]
kind = "router"
exec = [
  "ip addr add 10.0.0.9/32 dev lo",
  "touch /etc/frr/vtysh.conf",
  "sed -i -e 's/bgpd=no/bgpd=yes/g' /etc/frr/daemons",
  "usr/lib/frr/frrinit.sh start",
  "vtysh -c 'conf t' -c 'router bgp 65009' -c ' bgp router-id 10.0.0.9' -c ' no bgp ebgp-requires-policy' -c ' address-family ipv4 unicast' -c '  redistribute connected' -c ' exit-address-family' -c '!'",
]
"#,
    );
    until("the route", || {
        lab.run(["exec", "r", "vtysh", "-c", "show bgp ipv4 unicast 10.0.0.9/32"])
            .out
            .contains("best")
    });
    let owner = lab.sh("r", "stat -c %U /etc/frr /etc/frr/daemons /run/frr | sort -u");
    assert_eq!(owner, "frr\n");
    lab.sh("r", "/usr/lib/frr/frrinit.sh stop");
}

#[test]
fn a_process_may_have_a_terminal_of_its_own() {
    let lab = Lab::up(
        r#"
name = "terminals"
[nodes.a]
kind = "host"
run = [
  { name = "shell", command = "bash", terminal = true },
  { name = "asks", shell = "tty; id -un; exit 3", terminal = true, user = "nobody", restart = "no" },
]
"#,
    );
    until("it has told where it is, and as whom", || {
        let logs = lab.ok(["logs", "a"]);
        logs.contains("asks: /dev/pts/") && logs.contains("asks: nobody")
    });
    until("its status is its own", || {
        let services = lab.node("a")["services"].to_string();
        services.contains("{\"ended\":3}")
    });
    // With nothing to read, the shell waits on.
    let services = lab.node("a")["services"].clone();
    let shell = services
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "shell")
        .unwrap();
    assert_eq!(
        (shell["state"].as_str(), shell["restarts"].as_u64()),
        (Some("running"), Some(0)),
        "{services}"
    );
    lab.ok(["down"]);
    assert!(lab.left().is_empty());
}

#[test]
fn a_node_may_live_in_the_hosts_network() {
    let lab = Lab::new("name = \"here\"\n[nodes.a]\nkind = \"host\"\nnetwork = \"host\"\n").on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    let ours = run(lab.host().command("readlink").arg("/proc/self/ns/net")).out;
    assert_eq!(lab.sh("a", "readlink /proc/self/ns/net"), ours);
    // Its root is its own all the same.
    lab.sh("a", "touch /etc/only-here");
    assert!(!std::path::Path::new("/etc/only-here").exists());
    lab.ok(["down"]);
    for (more, told) in [
        ("addresses = { lo = [\"10.0.0.1/32\"] }\n", "no `addresses` of it"),
        ("mgmt = true\n", "no `mgmt` of it"),
        (
            "[nodes.b]\nkind = \"host\"\n[[links]]\nendpoints = [\"a:eth1\", \"b:eth1\"]\n",
            "host:eth1",
        ),
    ] {
        let text = format!("name = \"here\"\n[nodes.a]\nkind = \"host\"\nnetwork = \"host\"\n{more}");
        let lab = Lab::new(&text);
        lab.run(["validate", lab.file()]).refused(2, &[told]);
    }
}

/// People write `run` as they write `exec`: each line is a process named after its program.
#[test]
fn a_line_of_run_is_a_process_named_after_its_program() {
    let lab = Lab::up(
        r#"
name = "lines"
[nodes.a]
kind = "host"
run = [
    "sleep infinity",
    "/bin/sleep 100000",
    { name = "sleep-2", command = "sleep infinity" },
    "sh -c 'exec sleep infinity'",
    "'/bin/[' 1 -eq 1 ]",
]
"#,
    );
    let node = lab.node("a");
    let services = node["services"].as_array().unwrap();
    let names: Vec<&str> = services.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["sleep", "sleep-3", "sleep-2", "sh", "process"]);
    let lab = Lab::new("name = \"x\"\n[nodes.a]\nkind = \"host\"\nrun = [\"\", \"echo 'x\", 5]\n");
    lab.run(["validate", lab.file()]).refused(
        2,
        &[
            "the command is empty",
            "a quote is opened and not closed",
            "a process must be a table, not a whole number",
            "3 errors",
        ],
    );
}
