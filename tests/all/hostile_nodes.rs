//! Root in a node does what it can: the lab and the host lose neither memory nor time nor their configuration by it.

use crate::common;
use crate::common::host;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use common::{Host, Lab, PAIR, Running, eventually, run, until};
use host::ip;

/// A router advertisement that offers itself as the default router and a network for addresses, sent to all who listen.
const ADVERTISE: &str = r#"
import socket, struct
out = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
prefix = struct.pack("!BBBBIII16s", 3, 4, 64, 0xc0, 86400, 14400, 0, socket.inet_pton(socket.AF_INET6, "2001:db8:666::"))
advertisement = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix
for interface in INTERFACES:
    out.sendto(advertisement, ("ff02::1", 0, 0, socket.if_nametoindex(interface)))
"#;

const ON_HOST: &str = r#"
name = "onhost"
[mgmt]
[nodes.a]
kind = "host"
mgmt = true
addresses = { eth1 = ["10.9.0.2/24"] }
[[links]]
type = "host"
endpoints = ["a:eth1"]
host_interface = "lab0"
"#;

fn sysctl(host: &Host, name: &str) -> String {
    run(host.command("sysctl").args(["-n", name]))
        .expect(0)
        .trim()
        .to_owned()
}

#[test]
fn a_router_in_a_node_does_not_configure_the_host() {
    let lab = Lab::new(ON_HOST).on(Host::new());
    // What the test relies on: this host would listen.
    assert_eq!(sysctl(lab.host(), "net.ipv6.conf.default.accept_ra"), "1");
    lab.ok(["up", "-d", lab.file()]);
    let uplink = host::interfaces(lab.host())
        .into_iter()
        .find(|name| name.starts_with("nslab-"))
        .unwrap();
    for interface in ["lab0", &uplink] {
        for name in [
            "ipv6.conf.IF.accept_ra",
            "ipv6.conf.IF.autoconf",
            "ipv6.conf.IF.accept_redirects",
            "ipv4.conf.IF.accept_redirects",
        ] {
            let name = format!("net.{}", name.replace("IF", interface));
            assert_eq!(sysctl(lab.host(), &name), "0", "{name}");
        }
    }
    ip(lab.host(), "address add 10.9.0.1/24 dev lab0");
    until("a link-local address to send from", || {
        lab.sh("a", "ip -6 -o address show dev eth1 scope link")
            .contains("fe80")
    });
    let script = ADVERTISE.replace("INTERFACES", "[\"eth1\"]");
    lab.ok(["exec", "a", "python3", "-c", &script]);
    // Sent after it on the same link: once this is answered, the advertisement has arrived.
    for _ in 0..2 {
        // Where other labs have filled the kernel's one table of neighbors, there is no room for a moment.
        until("an answer", || {
            run(lab.host().command("ping").args(["-c1", "-W5", "10.9.0.2"])).code == 0
        });
    }
    assert_eq!(ip(lab.host(), "-6 route show default"), "");
    assert!(!ip(lab.host(), "-6 address").contains("2001:db8:666"));
}

/// How much memory a process ever had, in kilobytes.
fn peak(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

const CLUSTER: &str = r#"
name = "endless"
[kubernetes]
pod_subnet = ["10.1.0.0/16"]
[nodes.k]
kind = "k8s"
addresses = { lo = ["10.0.0.1/32"] }
"#;

/// In the place of an agent: a line that never ends, to everybody.
const ENDLESS: &str = r#"
import os, socket
path = "/run/cilium/nslab.sock"
os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
print("listening", flush=True)
while True:
    peer, _ = listener.accept()
    try:
        while True:
            peer.sendall(b"x" * 65536)
    except OSError:
        pass
"#;

#[test]
fn an_agent_that_never_ends_its_line_is_given_up() {
    let lab = Lab::up(CLUSTER);
    let mut agent = Running::start(&mut lab.nslab(["exec", "-T", "k", "python3", "-c", ENDLESS]));
    agent.until_said("listening");
    let before = peak(lab.supervisor("endless").as_raw());
    lab.run(["cilium", "bgp", "peers"]).refused(3, &["agent"]);
    let after = peak(lab.supervisor("endless").as_raw());
    assert!(after < before + (100 << 10), "{before} kB became {after} kB");
    // The lab itself goes on.
    lab.ok(["exec", "k", "true"]);
}

#[test]
fn users_that_are_a_pipe_keep_nobody_waiting() {
    let lab = Lab::up(PAIR);
    lab.sh("a", "rm /etc/passwd /etc/group && mkfifo /etc/passwd /etc/group");
    let done = lab.run(["exec", "--user", "daemon", "a", "true"]);
    assert_ne!(done.code, 0);
    assert!(done.err.contains("daemon"), "{}", done.err);
    lab.sh("a", "rm /etc/passwd && ln -s /dev/zero /etc/passwd");
    assert_ne!(lab.run(["exec", "--user", "daemon", "a", "true"]).code, 0);
    // A number needs no entry.
    assert_eq!(lab.ok(["exec", "--user", "4711", "a", "id", "-u"]), "4711\n");
}

/// Says something to the supervisor in the place of a node's init, through a copy of its socket.
const PLAY_INIT: &str = r#"
import ctypes, os, socket, sys
pid = int(sys.argv[1])
system_call = ctypes.CDLL(None, use_errno=True).syscall
process = os.pidfd_open(pid)
for number in os.listdir(f"/proc/{pid}/fd"):
    if os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:"):
        copy = socket.socket(fileno=system_call(438, process, int(number), 0))
        if copy.family == socket.AF_UNIX and copy.type == socket.SOCK_STREAM:
            copy.setblocking(True)
            try:
                while True:
                    copy.sendall(eval(sys.argv[2]))
            except OSError:
                sys.exit()
"#;

#[test]
fn an_init_that_says_nonsense_is_replaced() {
    let lab = Lab::up(&PAIR.replace(
        "addresses = { eth0 = [\"10.0.0.1/24\"] }",
        "addresses = { eth0 = [\"10.0.0.1/24\"] }\nrun = [{ name = \"sleep\", command = \"sleep infinity\" }]",
    ));
    let before = peak(lab.supervisor("pair").as_raw());
    // A length beyond any, one that is allowed nowhere but not absurd, and a frame of no report.
    for (number, words) in [
        "b'\\xff' * 65536",
        "b'\\x00\\x00\\x10\\x00' + bytes(65536)",
        "b'\\x02\\x00\\x00\\x00\\x00\\x00\\x00\\x00{}'",
    ]
    .into_iter()
    .enumerate()
    {
        let init = eventually("an init", || lab.node("a")["init_pid"].as_i64());
        let mut player = Command::new("python3");
        player.args(["-c", PLAY_INIT, &init.to_string(), words]);
        run(&mut player).expect(0);
        until("the node's next life", || {
            let node = lab.node("a");
            node["restarts"].as_u64() > Some(number as u64)
                && node["state"] == "ready"
                && node["init_pid"] != init
        });
    }
    let after = peak(lab.supervisor("pair").as_raw());
    assert!(after < before + (50 << 10), "{before} kB became {after} kB");
}

#[test]
fn what_a_lab_file_says_is_for_root_alone() {
    let lab = Lab::up(PAIR);
    for name in ["lab.json", "checks.json"] {
        let path = lab.run_directory().join("pair").join(name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// Makes cgroups in each other, and then beside each other, until the kernel refuses; prints how many.
const NEST: &str = r#"
import os
def make(how, limit=6000):
    for count in range(limit):
        try:
            how(count)
        except OSError:
            return count
    return limit
def deeper(count):
    os.mkdir("deeper")
    os.chdir("deeper")
os.chdir("/tmp/cgroups")
depth = make(deeper)
os.chdir("/tmp/cgroups")
print(depth, make(lambda count: os.mkdir(f"wide{count}")))
"#;

#[test]
fn cgroups_in_cgroups_go_with_the_lab() {
    let lab = Lab::up(&PAIR.replace("[nodes.a]\n", "[nodes.a]\nprivileged = true\n"));
    lab.sh("a", "mkdir /tmp/cgroups && mount -t cgroup2 none /tmp/cgroups");
    let made = lab.ok(["exec", "a", "python3", "-c", NEST]);
    let made: Vec<u32> = made.split_whitespace().map(|it| it.parse().unwrap()).collect();
    assert!((1..100).contains(&made[0]), "{made:?}");
    assert!((100..6000).contains(&made[1]), "{made:?}");
    let traces = lab.traces("pair");
    lab.ok(["down"]);
    traces.gone();
}
