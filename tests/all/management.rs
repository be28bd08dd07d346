//! The management network: eth0 on the nodes that ask for it, reached from the host, whatever else the host has.

use crate::common;
use crate::common::host;

use common::{Host, Lab};
use host::{host_reaches, interfaces, ip, reaches, until_gone};

/// Two managed nodes and one that is not; the second's address is fixed.
fn text(name: &str, mgmt: &str) -> String {
    format!(
        "name = \"{name}\"\n[mgmt]\nnat = false\n{mgmt}\n[nodes.a]\nkind = \"host\"\nmgmt = true\n\
         [nodes.b]\nkind = \"router\"\nmgmt = {{ ipv4 = \"172.20.20.2\" }}\n[nodes.c]\nkind = \"host\"\n\
         [[links]]\nendpoints = [\"b:net0\", \"c:net0\"]\n"
    )
}

fn lab(name: &str, mgmt: &str) -> Lab {
    Lab::new(&text(name, mgmt)).on(Host::new())
}

fn ours(host: &Host) -> Vec<String> {
    let mut names = interfaces(host);
    names.retain(|name| name.starts_with("nslab-"));
    names
}

#[test]
fn nodes_have_eth0_and_reach_each_other_and_the_host() {
    let lab = lab("one", "");
    lab.ok(["up", "-d", lab.file()]);
    // The gateway is .1, b's address is fixed, so a has the next.
    let shown = lab.sh("a", "ip -br address show eth0");
    assert!(
        shown.contains("172.20.20.3/24") && shown.contains("2001:172:20:20::2/64"),
        "{shown}"
    );
    assert!(lab.sh("b", "ip -br address show eth0").contains("172.20.20.2/24"));
    assert!(!lab.sh("c", "ip -br link").contains("eth0"));
    assert_eq!(
        lab.sh("a", "ip route show default").trim(),
        "default via 172.20.20.1 dev eth0 proto static"
    );
    for address in [
        "172.20.20.1",
        "172.20.20.2",
        "2001:172:20:20::1",
        "2001:172:20:20::3",
    ] {
        reaches(&lab, "a", address);
    }
    // By name, through /etc/hosts.
    reaches(&lab, "a", "b");
    // The host's own end, and from the host into the network.
    let own = ip(lab.host(), &format!("-4 -o address show {}", ours(lab.host())[0]));
    let own = own
        .split_whitespace()
        .nth(3)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    reaches(&lab, "a", &own);
    for address in ["172.20.20.2", "172.20.20.3", "2001:172:20:20::2"] {
        host_reaches(lab.host(), address);
    }
    assert!(lab.node("a")["addresses"].to_string().contains("172.20.20.3/24"));
    lab.ok(["down"]);
    assert_eq!(ours(lab.host()), Vec::<String>::new());
    assert_eq!(ip(lab.host(), "route show 172.20.20.0/24"), "");
}

#[test]
fn the_default_route_is_the_labs_to_change() {
    let text = text("own", "").replace(
        "mgmt = true",
        "mgmt = true\nexec = [\"ip route delete default\", \"ip -6 route delete default\"]",
    );
    let lab = Lab::new(&text).on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(lab.sh("a", "ip route show default; ip -6 route show default"), "");
    // A node's own default route in the file stands instead.
    let text = text_with_route();
    let lab = Lab::new(&text).on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(
        lab.sh("a", "ip route show default").trim(),
        "default via 10.0.0.2 dev net0 proto static"
    );
}

fn text_with_route() -> String {
    "name = \"route\"\n[mgmt]\nnat = false\n[nodes.a]\nkind = \"host\"\nmgmt = true\naddresses = { net0 = [\"10.0.0.1/24\"] }\n\
     routes = [{ to = \"default\", via = \"10.0.0.2\" }, { to = \"192.0.2.0/24\", dev = \"eth0\" }]\n\
     [nodes.b]\nkind = \"host\"\naddresses = { net0 = [\"10.0.0.2/24\"] }\n[[links]]\nendpoints = [\"a:net0\", \"b:net0\"]\n"
        .to_owned()
}

#[test]
fn a_route_may_name_eth0() {
    let lab = Lab::new(&text_with_route()).on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    assert!(lab.sh("a", "ip route show 192.0.2.0/24").contains("dev eth0"));
}

#[test]
fn subnets_gateway_bridge_and_mtu_are_the_files() {
    let mgmt = "ipv4_subnet = \"10.99.0.0/24\"\nipv4_gw = \"10.99.0.254\"\nipv6_subnet = \"none\"\nmtu = 1400\nbridge = \"br-x\"";
    let text = text("own", mgmt).replace("172.20.20.2", "10.99.0.9");
    let lab = Lab::new(&text).on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    assert!(
        lab.sh("a", "ip -br -4 address show eth0")
            .contains("10.99.0.1/24")
    );
    assert!(lab.sh("a", "ip route show default").contains("via 10.99.0.254"));
    assert_eq!(lab.sh("a", "cat /sys/class/net/eth0/mtu").trim(), "1400");
    assert_eq!(lab.sh("a", "ip -6 address show eth0 scope global"), "");
    host_reaches(lab.host(), "10.99.0.9");
}

#[test]
fn a_second_lab_with_the_same_subnet_lives_and_is_told() {
    let first = lab("first", "");
    first.ok(["up", "-d", first.file()]);
    let second = first.path("second.toml");
    std::fs::write(&second, text("second", "")).unwrap();
    let done = first.run(["up", "-d", second.to_str().unwrap()]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("on this host already"), "{done:?}");
    // The host's way leads into the first, which alone is answered.
    host_reaches(first.host(), "172.20.20.2");
    let own = ip(first.host(), "-4 -o address show");
    for (lab, answered) in [("first", true), ("second", false)] {
        let end = own.lines().find(|line| line.contains("nslab-")).unwrap();
        let end = end.split_whitespace().nth(3).unwrap().split('/').next().unwrap();
        let done = first.run(["exec", "--lab", lab, "a", "ping", "-c1", "-W2", end]);
        assert_eq!(done.code == 0, answered, "{lab}: {done:?}");
    }
    for lab in ["first", "second"] {
        first.ok(["exec", "--lab", lab, "a", "ping", "-c1", "-W5", "172.20.20.2"]);
    }
    assert_eq!(ours(first.host()).len(), 2);
    first.ok(["down", "--all"]);
    assert_eq!(ours(first.host()), Vec::<String>::new());
}

#[test]
fn a_subnet_the_host_uses_is_refused() {
    for line in [
        "address add 172.20.20.77/16 dev lo",
        "route add blackhole 172.20.20.128/25",
    ] {
        let lab = lab("taken", "");
        ip(lab.host(), "link set lo up");
        ip(lab.host(), line);
        lab.run(["up", "-d", lab.file()])
            .refused(3, &["172.20.20.0/24 is in use on this host", "ipv4_subnet"]);
        assert_eq!(ours(lab.host()), Vec::<String>::new());
    }
}

#[test]
fn what_the_host_has_elsewhere_is_not_in_the_way() {
    let lab = lab("beside", "");
    ip(lab.host(), "link set lo up");
    // A policy's own table, and a wider route.
    ip(lab.host(), "route add 172.20.20.0/24 dev lo table 77");
    ip(lab.host(), "route add 172.16.0.0/12 dev lo");
    lab.ok(["up", "-d", lab.file()]);
    host_reaches(lab.host(), "172.20.20.2");
}

#[test]
fn the_way_to_the_hub_keeps_clear_of_the_hosts_routes() {
    let lab = lab("clear", "");
    ip(lab.host(), "link set lo up");
    lab.ok(["up", "-d", lab.file()]);
    let first = ip(lab.host(), &format!("-4 -o address show {}", ours(lab.host())[0]));
    let net = first.split_whitespace().nth(3).unwrap().to_owned();
    lab.ok(["down"]);
    // The network it would choose again belongs to somebody else now.
    let address = net.split('/').next().unwrap();
    ip(lab.host(), &format!("route add {address}/32 dev lo"));
    lab.ok(["up", "-d", lab.file()]);
    let second = ip(lab.host(), &format!("-4 -o address show {}", ours(lab.host())[0]));
    assert!(!second.contains(&net), "{first}{second}");
}

#[test]
fn nothing_stays_on_the_host_when_the_lab_is_killed() {
    let lab = lab("killed", "");
    lab.ok(["up", "-d", lab.file()]);
    let name = ours(lab.host()).remove(0);
    nix::sys::signal::kill(lab.supervisor("killed"), nix::sys::signal::Signal::SIGKILL).unwrap();
    until_gone(lab.host(), &name);
    assert_eq!(ip(lab.host(), "route show 172.20.20.0/24"), "");
    lab.ok(["up", "-d", lab.file()]);
}

#[test]
fn a_link_may_lead_to_the_management_network() {
    let lab = Lab::new(
        r#"
name = "beside"
[nodes.a]
kind = "host"
mgmt = true
[nodes.b]
kind = "host"
addresses = { eth5 = ["172.20.20.77/24"] }
[[links]]
type = "mgmt"
endpoints = ["b:eth5"]
"#,
    )
    .on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    lab.sh("b", "ping -c 1 -W 2 172.20.20.2");
    lab.sh("a", "ping -c 1 -W 2 172.20.20.77");
    // Without such a network there is nowhere to lead to.
    let without =
        "name = \"x\"\n[nodes.b]\nkind = \"host\"\n[[links]]\ntype = \"mgmt\"\nendpoints = [\"b:eth5\"]\n";
    let lab = Lab::new(without);
    lab.run(["validate", lab.file()])
        .refused(2, &["the lab has none"]);
}
