//! NAT and published ports: nodes reach what the host reaches, whatever firewall the host has; nobody reaches them but by
//! the ports they publish; and the host is as it was when the last lab is gone.

use crate::common;
use crate::common::host;

use std::fs;
use std::io::Write;

use common::{Done, Host, Lab, Running, in_package, run, until};
use host::{host_reaches, ip, reaches, words};
use nix::sys::signal::{Signal, kill};

/// The far end of the host's only uplink, and the host's own end.
const FAR: &str = "198.51.100.2";
const NEAR: &str = "198.51.100.1";
const FAR6: &str = "2001:db8::2";

/// A host with an uplink, and what is at the other end of it, which knows no way back to any lab.
fn connected() -> (Host, Host) {
    let (host, outside) = (Host::new(), Host::new());
    // New networks take this from the machine's own, on which Docker may have turned it on.
    let off = "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0";
    on_host(&host, off).expect(0);
    ip(&host, "link add up0 type veth peer name far0");
    let there = format!("link set far0 netns {}", outside.path());
    ip(&host, &there);
    ip(&host, "address add 198.51.100.1/24 dev up0");
    ip(&host, "address add 2001:db8::1/64 dev up0 nodad");
    ip(&host, "link set up0 up");
    ip(&outside, "address add 198.51.100.2/24 dev far0");
    ip(&outside, "address add 2001:db8::2/64 dev far0 nodad");
    ip(&outside, "link set far0 up");
    ip(&host, &format!("route add default via {FAR}"));
    ip(&host, &format!("-6 route add default via {FAR6}"));
    (host, outside)
}

/// A network behind the host, of which the outside knows once it is told.
fn another_network(host: &Host) {
    ip(host, "link add other type veth peer name behind");
    ip(host, "address add 203.0.113.1/24 dev other");
    ip(host, "link set other up");
    ip(host, "link set behind up");
}

fn text(name: &str, mgmt: &str, node: &str) -> String {
    format!("name = \"{name}\"\n[mgmt]\n{mgmt}\n[nodes.a]\nkind = \"host\"\nmgmt = true\n{node}\n")
}

fn on_host(host: &Host, line: &str) -> Done {
    let mut words = words(line).into_iter();
    run(host.command(words.next().unwrap()).args(words))
}

/// Everything a lab may change of a host.
fn state(host: &Host) -> String {
    let sysctls = on_host(
        host,
        "sysctl -ar net.ipv[46].conf.[^.]*.(forwarding|accept_ra|route_localnet)",
    )
    .out;
    let rules = on_host(host, "nft list ruleset").out;
    let (v4, v6) = (ip(host, "route"), ip(host, "-6 route show default"));
    format!("{sysctls}{rules}{v4}{v6}")
}

fn sysctl(host: &Host, name: &str) -> String {
    on_host(host, &format!("sysctl -n {name}")).out.trim().to_owned()
}

#[test]
fn nodes_reach_the_outside_and_the_host_is_as_it_was() {
    let (host, outside) = connected();
    let before = state(&host);
    let lab = Lab::new(&text("nat", "", "")).on(host);
    lab.ok(["up", "-d", lab.file()]);
    reaches(&lab, "a", FAR);
    // The host forwards for labs only, and its other half is left alone.
    assert_eq!(sysctl(lab.host(), "net.ipv4.ip_forward"), "0");
    assert_eq!(sysctl(lab.host(), "net.ipv6.conf.all.forwarding"), "0");
    another_network(lab.host());
    ip(&outside, &format!("route add 203.0.113.0/24 via {NEAR}"));
    let seen = on_host(&outside, "ping -c1 -W1 203.0.113.7");
    assert!(seen.code == 1 && !seen.out.contains("Unreachable"), "{seen:?}");
    ip(&outside, &format!("route add 172.20.20.0/24 via {NEAR}"));
    let seen = on_host(&outside, "ping -c1 -W1 172.20.20.2");
    assert_eq!(
        seen.code, 1,
        "nobody outside opens a connection to a node: {seen:?}"
    );
    host_reaches(lab.host(), "172.20.20.2");
    ip(lab.host(), "link delete other");
    lab.ok(["down"]);
    assert_eq!(state(lab.host()), before);
}

#[test]
fn ipv6_passes_where_it_was_asked_for() {
    let (host, _outside) = connected();
    let before = state(&host);
    let lab = Lab::new(&text("nat6", "nat6 = true", "")).on(host);
    lab.ok(["up", "-d", lab.file()]);
    reaches(&lab, "a", FAR6);
    reaches(&lab, "a", FAR);
    lab.ok(["down"]);
    assert_eq!(state(lab.host()), before);
    let without = Lab::new(&text("nat4", "", "")).on(Host::new());
    without.ok(["up", "-d", without.file()]);
    assert_eq!(sysctl(without.host(), "net.ipv6.conf.all.forwarding"), "0");
}

#[test]
fn ipv6_is_refused_where_it_would_cut_the_host_off() {
    let (host, _outside) = connected();
    ip(&host, "-6 route delete default");
    ip(
        &host,
        &format!("-6 route add default via {FAR6} dev up0 proto ra"),
    );
    let lab = Lab::new(&text("nat6", "nat6 = true", "")).on(host);
    lab.run(["up", "-d", lab.file()]).refused(
        3,
        &["router advertisements", "up0", "nat6 = false", "accept_ra=2"],
    );
    on_host(lab.host(), "sysctl -qw net.ipv6.conf.up0.accept_ra=2").expect(0);
    lab.ok(["up", "-d", lab.file()]);
    assert!(ip(lab.host(), "-6 route show default").contains("proto ra"));
    reaches(&lab, "a", FAR6);
}

/// As Docker and ufw leave a host: what is forwarded is dropped, by native rules and by those of iptables.
#[test]
fn a_firewall_that_drops_lets_the_lab_through_and_is_as_it_was_afterwards() {
    let (host, _outside) = connected();
    let rules = r#"
table ip filter {
    chain FORWARD {
        type filter hook forward priority 0; policy drop;
        ip saddr 192.0.2.1 accept
    }
}
table inet firewalld {
    chain forward {
        type filter hook forward priority 10; policy accept;
        ct state established,related accept
        reject
    }
}
"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), rules).unwrap();
    on_host(&host, &format!("nft -f {}", file.path().display())).expect(0);
    let before = state(&host);
    let lab = Lab::new(&text("fire", "", "")).on(host);
    lab.ok(["up", "-d", lab.file()]);
    reaches(&lab, "a", FAR);
    lab.ok(["down"]);
    assert_eq!(state(lab.host()), before);
    // And when nobody is there to tidy up: the next command does.
    lab.ok(["up", "-d", lab.file()]);
    kill(lab.supervisor("fire"), Signal::SIGKILL).unwrap();
    until("the host as it was", || {
        lab.run(["ps"]);
        state(lab.host()) == before
    });
}

#[test]
fn a_host_that_forwards_already_keeps_doing_so() {
    let (host, outside) = connected();
    on_host(&host, "sysctl -qw net.ipv4.ip_forward=1").expect(0);
    another_network(&host);
    let before = state(&host);
    let lab = Lab::new(&text("already", "", "")).on(host);
    lab.ok(["up", "-d", lab.file()]);
    reaches(&lab, "a", FAR);
    // What the host routed before, it routes now: the far side gets an answer about an address behind it.
    ip(&outside, &format!("route add 203.0.113.0/24 via {NEAR}"));
    let seen = on_host(&outside, "ping -c1 -W5 203.0.113.7");
    assert!(seen.out.contains("Unreachable"), "{seen:?}");
    lab.ok(["down"]);
    assert_eq!(state(lab.host()), before);
}

#[test]
fn two_labs_with_one_subnet_both_reach_the_outside_and_the_last_puts_back() {
    let (host, _outside) = connected();
    let before = state(&host);
    let first = Lab::new(&text("one", "", "")).on(host);
    first.ok(["up", "-d", first.file()]);
    let second = first.path("two.toml");
    fs::write(&second, text("two", "", "")).unwrap();
    let done = first.run(["up", "-d", second.to_str().unwrap()]);
    assert_eq!(done.code, 0, "{done:?}");
    for lab in ["one", "two"] {
        first.ok(["exec", "--lab", lab, "a", "ping", "-c1", "-W5", FAR]);
        // The host's own address, too.
        first.ok(["exec", "--lab", lab, "a", "ping", "-c1", "-W5", NEAR]);
    }
    first.ok(["down", "one"]);
    first.ok(["exec", "--lab", "two", "a", "ping", "-c1", "-W5", FAR]);
    first.ok(["down", "two"]);
    assert_eq!(state(first.host()), before);
}

/// What a lab alone has asked for goes with it, though another lives.
#[test]
fn each_lab_opens_what_it_needs_and_no_longer_than_it_needs_it() {
    let (host, _outside) = connected();
    let first = Lab::new(&text("one", "", "")).on(host);
    first.ok(["up", "-d", first.file()]);
    another_network(first.host());
    let second = first.path("two.toml");
    fs::write(&second, text("two", "", "")).unwrap();
    assert_eq!(first.run(["up", "-d", second.to_str().unwrap()]).code, 0);
    let forwards = |name: &str| sysctl(first.host(), &format!("net.ipv4.conf.{name}.forwarding"));
    // Any number but 0 is on; this one is how labs know what they turned on.
    assert_eq!((forwards("up0"), forwards("other")), ("2".into(), "2".into()));
    first.ok(["down", "two"]);
    assert_eq!((forwards("up0"), forwards("other")), ("2".into(), "0".into()));
    reaches(&first, "a", FAR);
    first.ok(["down", "one"]);
    assert_eq!(forwards("up0"), "0");
}

/// A container as Docker makes one: behind the host, which masquerades for it.
fn container(host: &Host) -> Host {
    let inside = Host::new();
    ip(host, "link add dock0 type veth peer name c0");
    ip(host, &format!("link set c0 netns {}", inside.path()));
    ip(host, "address add 172.17.0.1/16 dev dock0");
    ip(host, "address add 2001:db8:17::1/64 dev dock0 nodad");
    ip(host, "link set dock0 up");
    ip(&inside, "address add 172.17.0.2/16 dev c0");
    ip(&inside, "address add 2001:db8:17::2/64 dev c0 nodad");
    ip(&inside, "link set c0 up");
    ip(&inside, "route add default via 172.17.0.1");
    ip(&inside, "-6 route add default via 2001:db8:17::1");
    let rules = "table inet docker { chain post { type nat hook postrouting priority 100; oifname \"up0\" masquerade; }; }";
    on_host(host, &format!("nft {rules}")).expect(0);
    inside
}

/// The forwarding of everything but what a lab makes.
fn forwarding(host: &Host) -> String {
    let all = on_host(host, "sysctl -ar net.ipv[46].conf.[^.]*.forwarding").out;
    all.lines()
        .filter(|line| !line.contains("nslab"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Another program turns forwarding on while a lab lives, in one of the ways there are: it forwards from then on, and goes on
/// when the lab is gone. What it has set is what stays, and nothing else.
#[test]
fn what_another_program_turns_on_is_on_at_once_and_stays() {
    let ways: [(&str, &str, &[&str]); 5] = [
        ("", FAR, &["net.ipv4.ip_forward=1"]),
        (
            "",
            FAR,
            &[
                "net.ipv4.conf.up0.forwarding=1",
                "net.ipv4.conf.dock0.forwarding=1",
            ],
        ),
        ("nat6 = true", FAR, &["net.ipv4.ip_forward=1"]),
        ("nat6 = true", FAR6, &["net.ipv6.conf.all.forwarding=1"]),
        (
            "nat6 = true",
            FAR6,
            &[
                "net.ipv6.conf.default.forwarding=1",
                "net.ipv6.conf.all.forwarding=1",
            ],
        ),
    ];
    for (mgmt, far, settings) in ways {
        let turn_on = |host: &Host| {
            for setting in settings {
                on_host(host, &format!("sysctl -qw {setting}")).expect(0);
            }
        };
        // The same host without any lab is what it has to be like.
        let (plain, _there) = connected();
        let _unused = container(&plain);
        turn_on(&plain);
        let (host, _outside) = connected();
        let inside = container(&host);
        let lab = Lab::new(&text("yields", mgmt, "")).on(host);
        lab.ok(["up", "-d", lab.file()]);
        turn_on(lab.host());
        let passes = || on_host(&inside, &format!("ping -c1 -W1 {far}")).code == 0;
        until("packets of others to pass", passes);
        reaches(&lab, "a", FAR);
        lab.ok(["down"]);
        assert!(passes(), "{settings:?}");
        assert_eq!(forwarding(lab.host()), forwarding(&plain), "{settings:?}");
    }
}

#[test]
fn what_another_program_sets_for_one_interface_stays_when_all_go_back() {
    let (host, _outside) = connected();
    another_network(&host);
    let lab = Lab::new(&text("one", "nat6 = true", "")).on(host);
    lab.ok(["up", "-d", lab.file()]);
    on_host(lab.host(), "sysctl -qw net.ipv6.conf.other.forwarding=1").expect(0);
    ip(lab.host(), "link add later type veth peer name later0");
    on_host(lab.host(), "sysctl -qw net.ipv6.conf.later.forwarding=1").expect(0);
    lab.ok(["down"]);
    let v6 = |name: &str| sysctl(lab.host(), &format!("net.ipv6.conf.{name}.forwarding"));
    let now = ["all", "default", "up0", "other", "later", "later0"].map(v6);
    assert_eq!(now, ["0", "0", "0", "1", "1", "0"]);
    // Turned off by somebody else, it is not turned on again.
    lab.ok(["up", "-d", lab.file()]);
    on_host(
        lab.host(),
        "sysctl -qw net.ipv4.conf.up0.forwarding=0 net.ipv6.conf.all.forwarding=0",
    )
    .expect(0);
    lab.ok(["down"]);
    assert_eq!(
        (sysctl(lab.host(), "net.ipv4.conf.up0.forwarding"), v6("all")),
        ("0".into(), "0".into())
    );
}

/// A lab that was killed, and another that comes after the host was changed.
#[test]
fn what_another_program_turns_on_stays_on_after_a_kill_and_for_the_next_lab() {
    let (host, _outside) = connected();
    let inside = container(&host);
    let lab = Lab::new(&text("killed", "", "")).on(host);
    lab.ok(["up", "-d", lab.file()]);
    on_host(lab.host(), "sysctl -qw net.ipv4.ip_forward=1").expect(0);
    kill(lab.supervisor("killed"), Signal::SIGKILL).unwrap();
    until("the end of the lab", || lab.run(["ps"]).code != 0);
    let passes = || on_host(&inside, &format!("ping -c1 -W1 {FAR}")).code == 0;
    assert!(passes());
    lab.ok(["up", "-d", lab.file()]);
    assert!(passes(), "a lab that comes later lets pass what passed");
    reaches(&lab, "a", FAR);
    lab.ok(["down"]);
    assert!(passes());
    assert_eq!(sysctl(lab.host(), "net.ipv4.conf.up0.forwarding"), "1");
}

/// Docker, ufw and firewalld start, or load their rules again, while a lab lives.
#[test]
fn a_firewall_that_comes_later_lets_the_lab_through_too() {
    let (host, _outside) = connected();
    let lab = Lab::new(&text("later", "", "")).on(host);
    lab.ok(["up", "-d", lab.file()]);
    let rules = "table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }";
    let before = on_host(lab.host(), "nft list table ip filter").out;
    assert_eq!(before, "");
    on_host(lab.host(), &format!("nft {rules}")).expect(0);
    let passes = || lab.run(["exec", "a", "ping", "-c1", "-W1", FAR]).code == 0;
    until("a way through the firewall", passes);
    on_host(lab.host(), "nft flush table ip filter").expect(0);
    until("a way through the firewall that was loaded again", passes);
    lab.ok(["down"]);
    assert!(!on_host(lab.host(), "nft list ruleset").out.contains("nslab"));
}

#[test]
fn without_nat_nothing_of_it_is_done() {
    let (host, _outside) = connected();
    let rules = on_host(&host, "nft list ruleset").out;
    let lab = Lab::new(&text("none", "nat = false", "")).on(host);
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(on_host(lab.host(), "nft list ruleset").out, rules);
    assert_eq!(sysctl(lab.host(), "net.ipv4.conf.up0.forwarding"), "0");
    lab.run(["exec", "a", "ping", "-c1", "-W1", FAR]).expect(1);
}

#[test]
fn nodes_ask_the_hosts_dns_servers() {
    let (host, _outside) = connected();
    let lab = Lab::new(&text("dns", "", "")).on(host);
    let lines = "mkdir -p $TEST/resolve; printf 'nameserver 127.0.0.53\\nnameserver 192.0.2.53\\n' > $TEST/resolv.conf; \
                 touch /etc/resolv.conf; mount --bind $TEST/resolv.conf /etc/resolv.conf; \
                 test ! -d /run/systemd/resolve || mount --bind $TEST/resolve /run/systemd/resolve; \
                 $NSLAB up -d $FILE && $NSLAB exec a cat /etc/resolv.conf";
    let seen = host::do_aside(&lab, lines).expect(0);
    assert!(seen.contains("nameserver 192.0.2.53"), "{seen}");
    assert!(!seen.contains("127.0.0.53"), "{seen}");
}

/// A node that answers every connection on port 80 with its name.
const WEB: &str =
    "run = [{ name = \"web\", command = \"busybox nc -ll -p 80 -e hostname\", ready = { tcp = 80 } }]";

/// What is said at an address of the host.
fn said(host: &Host, address: &str, port: u16) -> String {
    on_host(host, &format!("busybox nc {address} {port}"))
        .out
        .trim()
        .to_owned()
}

#[test]
fn published_ports_are_reached_on_the_host_and_only_where_they_were_published() {
    let (host, outside) = connected();
    let node = format!("ports = [\"8080:80\", \"[::1]:8081:80\", \"198.51.100.1:8082:80\"]\n{WEB}");
    let lab = Lab::new(&text("web", "", &node)).on(host);
    let planned = lab.ok(["up", "--dry-run", lab.file()]);
    assert!(
        planned.contains("publish 127.0.0.1:8080 for 172.20.20.2:80"),
        "{planned}"
    );
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(said(lab.host(), "127.0.0.1", 8080), "a");
    assert_eq!(said(lab.host(), "::1", 8081), "a");
    assert_eq!(said(&outside, NEAR, 8082), "a");
    assert_eq!(said(&outside, NEAR, 8080), "");
    // A second lab with the same subnet publishes its own.
    let second = lab.path("two.toml");
    let node = format!("ports = [\"9090:80\"]\n{WEB}");
    fs::write(&second, text("two", "", &node).replace("nodes.a", "nodes.b")).unwrap();
    assert_eq!(lab.run(["up", "-d", second.to_str().unwrap()]).code, 0);
    assert_eq!(said(lab.host(), "127.0.0.1", 9090), "b");
    assert_eq!(said(lab.host(), "127.0.0.1", 8080), "a");
    lab.ok(["down", "--all"]);
    assert_eq!(said(lab.host(), "127.0.0.1", 8080), "");
}

#[test]
fn much_goes_through_a_published_port_both_ways() {
    let node = "ports = [\"8080:7\"]\n\
                run = [{ name = \"echo\", command = \"busybox nc -ll -p 7 -e cat\", ready = { tcp = 7 } }]";
    let lab = Lab::new(&text("echo", "nat = false", node)).on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    let sent: Vec<u8> = (0..4_000_000u32).map(|number| (number % 251) as u8).collect();
    let file = lab.path("sent");
    fs::File::create(&file).unwrap().write_all(&sent).unwrap();
    let mut client = Running::start(
        lab.host()
            .command("busybox")
            .args(["nc", "127.0.0.1", "8080"])
            .stdin(fs::File::open(&file).unwrap()),
    );
    let done = client.wait();
    assert!(
        done.bytes == sent,
        "{} of {} bytes came back",
        done.bytes.len(),
        sent.len()
    );
}

#[test]
fn a_port_in_use_is_told_and_so_is_nobody_there() {
    let host = Host::new();
    let mut other = Running::start(
        host.command("busybox")
            .args(["nc", "-ll", "-p", "8080", "-e", "true"]),
    );
    until("the other program", || {
        on_host(&host, "ss -Hltn sport = 8080").out.contains("8080")
    });
    let lab = Lab::new(&text("busy", "nat = false", "ports = [\"8080:80\"]")).on(host);
    lab.run(["up", "-d", lab.file()])
        .refused(3, &["127.0.0.1:8080", "another program", "ports"]);
    other.signal(Signal::SIGKILL);
    other.wait();
    lab.ok(["up", "-d", lab.file()]);
    // The node has nobody on that port: the connection ends at once, and the lab lives on.
    assert_eq!(said(lab.host(), "127.0.0.1", 8080), "");
    reaches(&lab, "a", "172.20.20.1");
}

/// The published lab's spine masquerades towards its eth0, so that whoever is behind it reaches the outside.
#[test]
fn the_published_lab_reaches_the_outside() {
    if !common::has_frr() {
        return;
    }
    let (host, _outside) = connected();
    let lab = Lab::of_file(&in_package("labs/cilium-bgp.toml")).on(host);
    lab.ok(["up", "-d", lab.file()]);
    lab.ok(["check"]);
    for node in ["router0", "tor1", "server0"] {
        reaches(&lab, node, FAR);
    }
}
