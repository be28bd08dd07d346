//! Lab files with something odd in the place of a value, brought up: whatever is in a file, the lab comes up or is refused, in
//! words, and the host is as it was.
//!
//! `NSLAB_ROUNDS=1000 cargo test --test hostile_up` tries a thousand.

use crate::common;

use std::fs;

use common::{Host, Lab};

const BASES: [&str; 4] = [
    r#"name = "odd"
[nodes.a]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24"], lo = ["10.255.0.1/32"] }
routes = [{ to = "192.0.2.0/24", via = "10.0.0.2" }]
sysctls = { "net.ipv4.tcp_ecn" = "1" }
env = { MODE = "lab" }
files = { "/etc/odd.conf" = { content = "x=1", mode = "0640", owner = "root:root" } }
exec = ["ip link set eth0 txqueuelen 500", { shell = "echo ready > /run/state", may_fail = true }]
[nodes.b]
kind = "host"
addresses = { eth0 = ["10.0.0.2/24"] }
run = [{ name = "sleep", command = "sleep 1000", restart = "on-failure", user = "nobody", workdir = "/tmp" }]
limits = { processes = 100, disk = "16M", log = "1M", open_files = 64 }
memory = "64M"
[[links]]
endpoints = ["a:eth0", "b:eth0"]
mtu = 9000
"#,
    r#"name = "odd"
[mgmt]
ipv4_subnet = "172.20.30.0/24"
nat = true
[nodes.a]
kind = "router"
engine = "builtin"
mgmt = true
ports = ["8080:80"]
config = "router bgp 65000\n bgp router-id 1.2.3.4\n neighbor 10.0.0.2 remote-as 65001\n"
[nodes.b]
kind = "host"
mgmt = { ipv4 = "172.20.30.9" }
binds = ["/etc/hostname:/srv/name:ro"]
capabilities = ["SYS_NICE"]
show_host = ["/home"]
"#,
    r#"name = "odd"
[nodes.s]
kind = "bridge"
[nodes.a]
kind = "host"
user_namespace = true
[nodes.b]
kind = "host"
network = "node:a"
wait_for = ["a:configured"]
startup_delay = "10ms"
[[links]]
type = "vxlan"
endpoints = [{ node = "a", interface = "vx0", mac = "02:00:00:00:00:01" }]
vni = 100
remote = "10.0.0.9"
[[links]]
endpoints = ["a:eth0", "s:p0"]
[[links]]
endpoints = ["a:h0", "host:odd0"]
"#,
    r#"name = "odd"
[kubernetes]
pod_subnet = "10.1.0.0/16"
[nodes.k]
kind = "k8s"
pods = 2
addresses = { eth0 = ["10.0.1.1/24"] }
[nodes.r]
kind = "router"
engine = "builtin"
addresses = { eth0 = ["10.0.1.2/24"] }
[[links]]
endpoints = ["k:eth0", "r:eth0"]
[[checks]]
name = "k"
node = "r"
ping = "10.0.1.1"
within = "2s"
"#,
];

/// What takes the place of a value.
const ODD: [&str; 34] = [
    "true",
    "false",
    "0",
    "-1",
    "1",
    "65535",
    "4294967295",
    "1e9",
    "[]",
    "{}",
    "\"\"",
    "\"a\"",
    "\"b\"",
    "\"lo\"",
    "\"eth0\"",
    "\"host\"",
    "\"0.0.0.0/0\"",
    "\"127.0.0.1/8\"",
    "\"10.0.0.1/24\"",
    "\"::/0\"",
    "\"fe80::1\"",
    "\"/\"",
    "\"/etc\"",
    "\"/proc/1\"",
    "\"/dev/zero\"",
    "\"../..\"",
    "\"$(touch /var/tmp/nslab-odd)\"",
    "\"a:eth0\"",
    "\"host:lo\"",
    "\"1h\"",
    "\"unlimited\"",
    "\"router\"",
    "\"SYS_ADMIN\"",
    "\"\\u001b[2J\"",
];

/// A generator that gives the same in every run.
struct Rng(u64);

impl Rng {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Where values begin and end: quoted texts, and words of digits and letters behind an equals sign.
fn values(text: &str) -> Vec<(usize, usize)> {
    let pattern = regex::Regex::new(r#""[^"\n]*"|\b(true|false|\d+)\b"#).unwrap();
    pattern
        .find_iter(text)
        .map(|found| (found.start(), found.end()))
        .collect()
}

fn odd(rng: &mut Rng) -> String {
    let mut text = BASES[rng.throw(BASES.len())].to_owned();
    // Most odd values are refused; what comes up is worth as much.
    for _ in 0..rng.throw(4) {
        let all = values(&text);
        let (start, end) = all[rng.throw(all.len())];
        match rng.throw(8) {
            // A line is there twice, or not at all.
            0 => {
                let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
                let end = text[start..].find('\n').map_or(text.len(), |at| start + at + 1);
                let copy = text[line..end].to_owned();
                match rng.throw(2) {
                    0 => text.insert_str(line, &copy),
                    _ => text.replace_range(line..end, ""),
                }
            }
            // Of the same type, or any.
            kind => {
                let is_text = text[start..end].starts_with('"');
                let fits = |odd: &&&str| kind > 4 || odd.starts_with('"') == is_text;
                let fitting: Vec<&&str> = ODD.iter().filter(fits).collect();
                text.replace_range(start..end, fitting[rng.throw(fitting.len())]);
            }
        }
    }
    text
}

/// What of the host a lab might have changed.
fn state(host: &Host) -> String {
    let links = host.ip(["-o", "link"]);
    let routes = host.ip(["route", "show", "table", "all"]);
    let lines = links.lines().chain(routes.lines());
    // Counters and what the kernel numbers anew.
    lines
        .map(|line| line.split(" qdisc").next().unwrap().to_owned() + "\n")
        .collect()
}

#[test]
fn odd_labs_come_up_or_are_refused_and_leave_the_host_as_it_was() {
    let rounds = std::env::var("NSLAB_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = std::env::var("NSLAB_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let mut rng = Rng(seed.unwrap_or(1));
    let host = Host::new();
    let before = state(&host);
    let lab = Lab::new(BASES[0]).on(host);
    let canary = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    fs::write(canary.path(), "canary").unwrap();
    let mut came_up = 0;
    for round in 0..rounds.unwrap_or(30) {
        let text = odd(&mut rng);
        fs::write(lab.file(), &text).unwrap();
        let done = lab.run(["up", "-d", "--timeout", "20s", lab.file()]);
        assert!(
            (0..=3).contains(&done.code),
            "round {round}: {}\n{text}\n{}",
            done.code,
            done.err
        );
        assert!(
            !done.err.contains("panicked"),
            "round {round}: {text}\n{}",
            done.err
        );
        if done.code == 0 {
            came_up += 1;
            lab.ok(["ps"]);
            lab.run(["check"]);
            lab.ok(["down", "--all"]);
        } else {
            assert!(!done.err.trim().is_empty(), "round {round}: no word\n{text}");
        }
        assert!(lab.left().is_empty(), "round {round}: {:?}\n{text}", lab.left());
        common::until(&format!("the host as it was, round {round}:\n{text}"), || {
            state(lab.host()) == before
        });
        assert_eq!(fs::read_to_string(canary.path()).unwrap(), "canary");
        assert!(
            !std::path::Path::new("/var/tmp/nslab-odd").exists(),
            "round {round}:\n{text}"
        );
    }
    assert!(came_up > 0, "some come up");
}
