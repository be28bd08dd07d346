//! Links are what the file says: kind, MTU, MAC address, both ends up at once; and those that reach the host leave
//! it when the lab does.

use crate::common;
use crate::common::host;

use std::time::{Duration, Instant};

use common::{Host, Lab, PAIR};
use host::{host_reaches, interface, interfaces, ip, ip_json, reaches, resident, until_gone};
use nix::sys::signal::{Signal, kill};

/// What the design promises for everything that a lab has on the host.
const SOON: Duration = Duration::from_secs(5);

const ON_HOST: &str = r#"
name = "outward"

[nodes.h]
kind = "host"
addresses = { eth0 = ["10.9.0.2/24"] }

[[links]]
type = "host"
endpoints = ["h:eth0"]
host_interface = "lab0"
mtu = 1400
"#;

#[test]
fn a_veth_has_its_mtu_and_mac_on_both_ends() {
    let lab = Lab::up(
        r#"
name = "wired"
[nodes.a]
kind = "host"
[nodes.b]
kind = "host"
[[links]]
endpoints = [{ node = "a", interface = "left", mac = "02:00:00:00:00:0a" }, { node = "b", interface = "right" }]
mtu = 9000
"#,
    );
    let (left, right) = (interface(&lab, "a", "left"), interface(&lab, "b", "right"));
    assert_eq!(left["address"], "02:00:00:00:00:0a");
    for end in [left, right] {
        assert_eq!(end["mtu"], 9000);
        assert_eq!(end["linkinfo"]["info_kind"], "veth");
    }
}

#[test]
fn both_ends_are_up_the_moment_the_lab_is_ready() {
    let lab = Lab::up(PAIR);
    // No waiting: whoever is told that the lab is ready may send at once.
    for node in ["a", "b"] {
        assert_eq!(interface(&lab, node, "eth0")["operstate"], "UP", "{node}");
    }
    reaches(&lab, "a", "10.0.0.2");
}

#[test]
fn the_same_file_gives_the_same_macs() {
    let macs = |lab: &Lab| ["a", "b"].map(|node| interface(lab, node, "eth0")["address"].clone());
    let (one, other) = (Lab::up(PAIR), Lab::up(PAIR));
    assert_eq!(macs(&one), macs(&other));
    assert_ne!(macs(&one)[0], macs(&one)[1]);
}

#[test]
fn checksums_are_computed_where_offload_is_off() {
    let lab = Lab::up(
        r#"
name = "sums"
[nodes.a]
kind = "host"
addresses = { plain = ["10.0.0.1/24"], exact = ["10.0.1.1/24"] }
[nodes.b]
kind = "host"
addresses = { plain = ["10.0.0.2/24"], exact = ["10.0.1.2/24"] }
[[links]]
endpoints = ["a:plain", "b:plain"]
[[links]]
endpoints = ["a:exact", "b:exact"]
offload = false
"#,
    );
    // Where it is off, segments cannot be left whole for the other side to cut: the kernel turns TSO off with it.
    let offloads = "import array,fcntl,socket,struct,sys\n\
        b = array.array('B', struct.pack('II', 0x16, 0))\n\
        r = struct.pack('16sP', sys.argv[1].encode(), b.buffer_info()[0])\n\
        fcntl.ioctl(socket.socket(), 0x8946, r)\n\
        print(struct.unpack('II', b)[1])";
    let asked = |device: &str| {
        lab.ok(["exec", "a", "/usr/bin/python3", "-c", offloads, device])
            .trim()
            .to_owned()
    };
    if common::has("/usr/bin/python3") {
        assert_eq!(asked("plain"), "1");
        assert_eq!(asked("exact"), "0");
    }
    reaches(&lab, "a", "10.0.1.2");
}

#[test]
fn a_bridge_switches_and_has_addresses_of_its_own() {
    let lab = Lab::up(
        r#"
name = "switched"
[nodes.sw]
kind = "bridge"
addresses = { br0 = ["10.0.0.254/24"] }
[nodes.a]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24"] }
[nodes.b]
kind = "host"
addresses = { eth0 = ["10.0.0.2/24"] }
[[links]]
endpoints = ["a:eth0", "sw:p1"]
[[links]]
endpoints = ["b:eth0", "sw:p2"]
"#,
    );
    reaches(&lab, "a", "10.0.0.2");
    reaches(&lab, "a", "10.0.0.254");
    for port in ["p1", "p2"] {
        let port = interface(&lab, "sw", port);
        assert_eq!(port["master"], "br0");
        assert_eq!(port["linkinfo"]["info_slave_data"]["state"], "forwarding");
    }
    assert_eq!(interface(&lab, "sw", "br0")["operstate"], "UP");
    // It has learned behind which port a is.
    let mac = interface(&lab, "a", "eth0")["address"]
        .as_str()
        .unwrap()
        .to_owned();
    let known = lab.sh("sw", "bridge fdb show dev p1");
    assert!(known.contains(&mac), "{mac} is not in:\n{known}");
}

#[test]
fn a_link_to_the_host_joins_both_and_goes_with_the_lab() {
    let lab = Lab::new(ON_HOST).on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    ip(lab.host(), "address add 10.9.0.1/24 dev lab0");
    host_reaches(lab.host(), "10.9.0.2");
    reaches(&lab, "h", "10.9.0.1");
    let text = ip(lab.host(), "link show lab0");
    assert!(text.contains("mtu 1400") && text.contains("state UP"), "{text}");
    lab.ok(["down"]);
    // "down" means down: no waiting for the kernel.
    assert_eq!(interfaces(lab.host()), ["lo"]);
}

#[test]
fn a_link_to_the_host_goes_within_five_seconds_of_sigkill() {
    let lab = Lab::new(ON_HOST).on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    let began = Instant::now();
    kill(lab.supervisor("outward"), Signal::SIGKILL).unwrap();
    until_gone(lab.host(), "lab0");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn a_lab_that_reaches_the_host_can_be_replaced_again_and_again() {
    let file = ON_HOST.to_owned()
        + r#"
[nodes.x]
kind = "host"
addresses = { tun0 = ["10.7.0.2/24"] }
[[links]]
type = "vxlan"
endpoints = ["x:tun0"]
vni = 7
remote = "10.5.0.2"
underlay = "host"
"#;
    let lab = Lab::new(&file).on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    for _ in 0..3 {
        lab.ok(["up", "-d", "--reconfigure", lab.file()]);
    }
    lab.ok(["down"]);
    assert_eq!(interfaces(lab.host()), ["lo"]);
}

#[test]
fn a_lab_comes_up_right_after_its_supervisor_was_killed() {
    let lab = Lab::new(ON_HOST).on(Host::new());
    for _ in 0..3 {
        lab.ok(["up", "-d", lab.file()]);
        kill(lab.supervisor("outward"), Signal::SIGKILL).unwrap();
        let ended = || !lab.ok(["labs"]).contains("outward");
        common::until("the end of the supervisor", ended);
    }
    lab.ok(["up", "-d", lab.file()]);
}

#[test]
fn an_interface_that_took_the_name_since_is_not_deleted() {
    let lab = Lab::new(ON_HOST).on(Host::new());
    lab.ok(["up", "-d", lab.file()]);
    ip(lab.host(), "link set lab0 down");
    ip(lab.host(), "link set lab0 name mine0");
    ip(lab.host(), "link add lab0 type bridge");
    lab.ok(["down"]);
    assert_eq!(interfaces(lab.host()), ["lo", "lab0"]);
}

#[test]
fn a_macvlan_joins_the_network_of_its_parent() {
    let host = Host::new();
    ip(&host, "link add parent type veth peer name outside");
    ip(&host, "link set parent up");
    ip(&host, "link set outside up");
    ip(&host, "address add 10.8.0.1/24 dev outside");
    let lab = Lab::new(
        r#"
name = "above"
[nodes.m]
kind = "host"
addresses = { eth0 = ["10.8.0.2/24"] }
[nodes.n]
kind = "host"
addresses = { eth0 = ["10.8.0.3/24"] }
[nodes.p]
kind = "host"
[[links]]
type = "macvlan"
endpoints = ["m:eth0"]
host_interface = "parent"
[[links]]
type = "macvlan"
endpoints = ["n:eth0"]
host_interface = "parent"
[[links]]
type = "macvlan"
endpoints = ["p:eth0"]
host_interface = "parent"
mode = "private"
"#,
    )
    .on(host);
    lab.ok(["up", "-d", lab.file()]);
    reaches(&lab, "m", "10.8.0.1");
    reaches(&lab, "m", "10.8.0.3");
    let mode = |node| interface(&lab, node, "eth0")["linkinfo"]["info_data"]["mode"].clone();
    assert_eq!(mode("m"), "bridge");
    assert_eq!(mode("p"), "private");
    lab.ok(["down"]);
    assert_eq!(interfaces(lab.host()).len(), 3, "the parent stays");
}

#[test]
fn a_tunnel_between_two_nodes_carries_packets() {
    let end = |node: &str, other: &str| {
        format!(
            "[[links]]\ntype = \"vxlan\"\nendpoints = [\"{node}:tun0\"]\nvni = 42\nremote = \"{other}\"\nunderlay = \"node\"\n"
        )
    };
    let file = r#"
name = "tunnel"
[nodes.a]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24"], tun0 = ["10.42.0.1/24"] }
[nodes.b]
kind = "host"
addresses = { eth0 = ["10.0.0.2/24"], tun0 = ["10.42.0.2/24"] }
[[links]]
endpoints = ["a:eth0", "b:eth0"]
"#
    .to_owned()
        + &end("a", "10.0.0.2")
        + &end("b", "10.0.0.1");
    let lab = Lab::up(&file);
    reaches(&lab, "a", "10.42.0.2");
    let data = &interface(&lab, "a", "tun0")["linkinfo"]["info_data"];
    assert_eq!((&data["id"], &data["port"]), (&42.into(), &4789.into()));
}

#[test]
fn a_tunnel_over_the_host_reaches_what_the_host_reaches() {
    let host = Host::new();
    ip(&host, "link add over type veth peer name far");
    let far = Host::new();
    let inside = resident(&far);
    ip(&host, &format!("link set far netns {}", inside.pid()));
    ip(&host, "address add 10.5.0.1/24 dev over");
    ip(&host, "link set over up");
    for line in [
        "address add 10.5.0.2/24 dev far",
        "link set far up",
        "link add vx type vxlan id 7 remote 10.5.0.1 local 10.5.0.2 dstport 4790",
        "address add 10.7.0.1/24 dev vx",
        "link set vx up",
    ] {
        ip(&far, line);
    }
    let lab = Lab::new(
        r#"
name = "across"
[nodes.x]
kind = "host"
addresses = { tun0 = ["10.7.0.2/24"] }
[[links]]
type = "vxlan"
endpoints = ["x:tun0"]
vni = 7
remote = "10.5.0.2"
local = "10.5.0.1"
udp_port = 4790
underlay = "host"
"#,
    )
    .on(host);
    lab.ok(["up", "-d", lab.file()]);
    reaches(&lab, "x", "10.7.0.1");
}

#[test]
fn a_kind_of_link_this_kernel_lacks_is_told_by_name() {
    let host = Host::new();
    let trial = common::run(host.command("ip").args(["link", "add", "d", "type", "dummy"]));
    if trial.code == 0 {
        eprintln!("skipped: this kernel has dummy devices");
        return;
    }
    let file =
        "name = \"quiet\"\n[nodes.a]\nkind = \"host\"\n[[links]]\ntype = \"dummy\"\nendpoints = [\"a:d0\"]\n";
    let lab = Lab::new(file);
    let done = lab.run(["up", "-d", lab.file()]);
    done.refused(3, &["dummy", "a:d0", "modprobe dummy"]);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn a_dummy_carries_addresses_where_the_kernel_has_it() {
    let file = "name = \"quiet\"\n[nodes.a]\nkind = \"host\"\naddresses = { d0 = [\"10.3.0.1/32\"] }\n[[links]]\n\
        type = \"dummy\"\nendpoints = [\"a:d0\"]\n";
    let lab = Lab::new(file);
    if lab.run(["up", "-d", lab.file()]).code == 3 {
        eprintln!("skipped: this kernel has no dummy devices");
        return;
    }
    assert_eq!(
        ip_json(&lab, "a", "address show d0")[0]["addr_info"][0]["local"],
        "10.3.0.1"
    );
}
