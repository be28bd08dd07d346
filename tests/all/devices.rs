//! Interfaces of every type: those that this kernel has carry packets, and of the others one message says what is missing before
//! anything is made.

use std::fs;
use std::path::PathBuf;

use crate::common;

use common::{Host, Lab, has_frr, in_package, until};

/// What the kernel is asked, in a namespace of its own: the words of `ip link add x`, and the module that brings it.
const TRIALS: [(&str, &str, &str); 17] = [
    ("vlan", "type vlan id 5", "8021q"),
    ("bond", "type bond", "bonding"),
    ("vrf", "type vrf table 10", "vrf"),
    ("bridge", "type bridge", "bridge"),
    ("macvlan", "type macvlan", "macvlan"),
    ("ipvlan", "type ipvlan", "ipvlan"),
    ("vxlan", "type vxlan id 5 dstport 4789", "vxlan"),
    ("gre", "type gre local 192.0.2.1 remote 192.0.2.2", "ip_gre"),
    ("gretap", "type gretap local 192.0.2.1 remote 192.0.2.2", "ip_gre"),
    ("ipip", "type ipip local 192.0.2.1 remote 192.0.2.2", "ipip"),
    ("sit", "type sit local 192.0.2.1 remote 192.0.2.2", "sit"),
    ("ip6gre", "type ip6gre local fd00::1 remote fd00::2", "ip6_gre"),
    (
        "ip6gretap",
        "type ip6gretap local fd00::1 remote fd00::2",
        "ip6_gre",
    ),
    ("ip6tnl", "type ip6tnl local fd00::1 remote fd00::2", "ip6_tunnel"),
    ("wireguard", "type wireguard", "wireguard"),
    ("macsec", "type macsec", "macsec"),
    ("dummy", "type dummy", "dummy"),
];

/// Whether this kernel knows what `ip link add` is asked for, which may lack something else.
fn knows(host: &Host, words: &str) -> bool {
    let below = "ip link add below type veth peer name other";
    let line = format!("{below}; ip link add x {words} || ip link add x link below {words}");
    let done = common::run(host.command("unshare").args(["-n", "sh", "-c", &line]));
    done.code == 0 || !(done.err.contains("Unknown device type") || done.err.contains("not supported"))
}

/// The modules that a lab needs and this kernel has not.
fn lacking(host: &Host, text: &str) -> Vec<&'static str> {
    let wants = |name: &str| text.contains(&format!("type = \"{name}\""));
    let mut lacking: Vec<&str> = TRIALS
        .into_iter()
        .filter(|(name, words, _)| wants(name) && !knows(host, words))
        .map(|(_, _, module)| module)
        .collect();
    if text.contains("vlan_filtering = true") && !knows(host, "type bridge vlan_filtering 1") {
        lacking.push("CONFIG_BRIDGE_VLAN_FILTERING");
    }
    lacking
}

#[track_caller]
fn works_or_is_refused(file: &str) {
    let path: PathBuf = in_package("tests/labs/links").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let lab = Lab::new(&text);
    let lacking = lacking(&Host::new(), &text);
    if lacking.is_empty() {
        let out = lab.ok(["test", lab.file()]);
        assert!(out.contains("ok "), "{out}");
    } else {
        let done = lab.run(["up", "-d", lab.file()]);
        let mut words = vec!["this kernel cannot make"];
        words.extend(&lacking);
        done.refused(3, &words);
    }
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn bridges_tunnels_taps_and_macvlans_in_a_node() {
    works_or_is_refused("switch.toml");
}

#[test]
fn a_vlan_on_a_bond_of_two_links_in_a_vrf_behind_a_switch_with_vlans() {
    works_or_is_refused("datacenter.toml");
}

#[test]
fn bonds_take_over_and_vlans_are_in_vlans() {
    works_or_is_refused("bonds.toml");
}

#[test]
fn tunnels_of_every_type_carry_packets() {
    works_or_is_refused("tunnels.toml");
}

#[test]
fn interfaces_that_come_late_are_set_up_when_they_come() {
    works_or_is_refused("late.toml");
}

#[test]
fn bgp_of_frr_runs_in_a_vrf() {
    if has_frr() {
        works_or_is_refused("vrf-frr.toml");
    }
}

#[test]
fn an_interface_that_does_not_come_is_told_by_name() {
    let text = "name = \"waits\"\n[nodes.a]\nkind = \"host\"\nexec = [\"ip link add other type bridge\"]\n\
        interfaces = { later = { late = true } }\n";
    let lab = Lab::new(text);
    let done = lab.run(["up", "-d", lab.file()]);
    done.refused(
        1,
        &[
            "interface later of a",
            "late = true",
            "has not come within 30 s",
            "it has lo, other",
        ],
    );
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn keys_are_in_no_output() {
    let key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
    let other = "0123456789abcdef0123456789abcdef";
    let text = format!(
        "name = \"keys\"\n[nodes.a]\nkind = \"host\"\n[nodes.a.interfaces]\n\
         wg0 = {{ type = \"wireguard\", private_key = \"{key}\" }}\n\
         ms0 = {{ type = \"macsec\", link = \"eth0\", key = \"{other}\", peers = [\"b:ms0\"] }}\n\
         [nodes.b]\nkind = \"host\"\n\
         interfaces = {{ ms0 = {{ type = \"macsec\", link = \"eth0\", peers = [\"a:ms0\"] }} }}\n\
         [[links]]\nendpoints = [\"a:eth0\", \"b:eth0\"]\n"
    );
    let lab = Lab::new(&text);
    let plan = lab.ok(["up", "--dry-run", lab.file()]);
    assert!(
        plan.contains("wg0 (wireguard)") && plan.contains("ms0 (macsec with b:ms0 on eth0)"),
        "{plan}"
    );
    let json = lab.ok(["up", "--dry-run", "--format", "json", lab.file()]);
    let plan_of: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        plan_of.to_string().contains("\"private_key\":\"(secret)\""),
        "{json}"
    );
    let json = plan_of.to_string();
    let graph = lab.ok(["graph", lab.file()]);
    let up = lab.run(["up", "-d", lab.file()]);
    let octets = |said: &str| said.contains("200, 9, 243") || said.contains("200,9,243");
    for said in [&plan, &json, &graph, &up.out, &up.err] {
        assert!(
            !said.contains(key) && !said.contains(other) && !octets(said),
            "{said}"
        );
    }
    if up.code == 0 {
        let listed = lab.ok(["ps", "--interfaces"]);
        assert!(listed.contains("wg0") && !listed.contains(key), "{listed}");
        lab.ok(["down"]);
    }
}

/// All errors of a file with one of each kind, each with its cure.
#[test]
fn errors_in_interfaces_are_told_all_at_once() {
    let text = r#"
name = "bad"
[nodes.a]
kind = "router"
[nodes.a.interfaces]
v1 = { type = "vlan", id = 5000, link = "eth0" }
v2 = { type = "vlan", link = "eth9", id = 5 }
v3 = { type = "vlna", id = 5 }
v4 = { type = "vlan", link = "eth0", id = 7, table = 10 }
v5 = { type = "vlan", link = "eth0", id = 7 }
v6 = { type = "vlan", link = "v7", id = 7 }
v7 = { type = "vlan", link = "v6", id = 7 }
v8 = { type = "vlan", id = 9 }
v9 = { type = "vlan", link = "eth0" }
red = { type = "vrf", table = 254 }
blue = { type = "vrf", table = 20, ports = ["eth0", "eth7"] }
b0 = { type = "bond", ports = ["eth0"] }
b1 = { type = "bond", lacp_rate = "fast" }
w0 = { type = "wireguard", private_key = "xxxx" }
w1 = { type = "wireguard", peers = [{ allowed_ips = [] }] }
m0 = { type = "macsec", link = "eth0", peers = ["b:m0"] }
g0 = { type = "gre", local = "10.0.0.1", remote = "fd00::1" }
gre0 = { type = "gre", local = "10.0.0.1", remote = "10.0.0.2" }
l0 = { late = true, type = "dummy" }
d0 = { type = "dummy", pvid = 5 }
d2 = { type = "dummy", master = "br9" }
t0 = { type = "tun", mac = "02:00:00:00:00:01" }
sw = { type = "bridge", ports = ["t0", "d1"] }
d1 = { type = "dummy", tagged = [5] }
x1 = { mtu = 1400 }
[nodes.b]
kind = "host"
interfaces = { m0 = { type = "macsec", link = "eth0", peers = ["a:zz"] } }
[[links]]
endpoints = ["a:eth0", "b:eth0"]
"#;
    let lab = Lab::new(text);
    lab.run(["validate", lab.file()]).refused(
        2,
        &[
            "`id` is out of range: 5000",
            "node `a` has no interface `eth9`",
            "`type` cannot be `vlna`",
            "did you mean `vlan`?",
            "an interface of type vlan has no `table`",
            "`eth0` has VLAN 7 twice",
            "these interfaces are on top of each other: v6 → v7 → v6",
            "interface `v8` does not say which interface it is on",
            "interface `v9` of type vlan has no `id`",
            "table 254 is the kernel's own",
            "node `a` has no interface `eth7`",
            "interface `eth0` of node `a` is in `blue` and in `b0`",
            "`lacp_rate` is of bonds with `mode = \"802.3ad\"`",
            "this is not a key of WireGuard's",
            "this peer does not say who it is",
            "`b:m0` does not name `a:m0` as a peer",
            "the ends of gre tunnels are IPv4 addresses",
            "the kernel gives `gre0` to an interface of its own",
            "interface `l0` comes late, and has a `type`",
            "interface `d0` is in no bridge",
            "node `a` has no bridge, bond or VRF `br9`",
            "an interface of type tun has no MAC address of its own",
            "an interface of type tun cannot be in a bridge",
            "bridge `sw` does not heed VLANs",
            "node `a` has no interface `x1`",
            "there is no interface `a:zz` of type macsec",
            "`eth0` is in `b0`, which takes all that comes to it: `m0` of type macsec cannot be on it",
            "26 errors",
        ],
    );
}

/// What the kernel would refuse with a number is told by name before anything is made.
#[test]
fn interfaces_that_exclude_each_other_are_told_before() {
    let text = r#"
name = "apart"
[nodes.a]
kind = "router"
[nodes.a.interfaces]
sw = { type = "bridge", ports = ["eth0"] }
p1 = { type = "macvlan", link = "eth0" }
p2 = { type = "macvlan", link = "eth1", mode = "passthru" }
p3 = { type = "macvlan", link = "eth1" }
q1 = { type = "ipvlan", link = "eth2", mode = "l2" }
q2 = { type = "ipvlan", link = "eth2", mode = "l3" }
q3 = { type = "macvlan", link = "eth2" }
g1 = { type = "gre", local = "10.0.0.1", remote = "10.0.0.2" }
g2 = { type = "gre", local = "10.0.0.1", remote = "10.0.0.2", ttl = 9 }
m1 = { type = "macsec", link = "eth4", peers = ["b:m"] }
m2 = { type = "macsec", link = "eth4", peers = ["b:m"] }
g3 = { type = "gre", local = "10.0.0.1", remote = "10.0.0.2", key = 5 }
g4 = { type = "gretap", local = "10.0.0.1", remote = "10.0.0.2" }
i1 = { type = "ipip", local = "10.0.0.1", remote = "10.0.0.2" }
i2 = { type = "ipip", local = "10.0.0.1", remote = "10.0.0.2" }
w1 = { type = "wireguard", listen_port = 51820, peers = [{ peer = "b:w", endpoint = "10.0.0.2", allowed_ips = ["10.1.0.0/16"] }] }
w2 = { type = "wireguard", listen_port = 51820 }
c1 = { type = "bridge", master = "c2" }
c2 = { type = "bond", master = "c1" }
ok1 = { type = "macvlan", link = "eth3" }
ok2 = { type = "macvlan", link = "ok1", mode = "private" }
[nodes.b]
kind = "host"
[nodes.b.interfaces]
w = { type = "wireguard", peers = [{ peer = "a:w1", allowed_ips = [] }] }
m = { type = "macsec", link = "eth4", peers = ["a:m1", "a:m2"] }
[[links]]
endpoints = ["a:eth0", "b:eth0"]
[[links]]
endpoints = ["a:eth1", "b:eth1"]
[[links]]
endpoints = ["a:eth2", "b:eth2"]
[[links]]
endpoints = ["a:eth3", "b:eth3"]
[[links]]
endpoints = ["a:eth4", "b:eth4"]
"#;
    let lab = Lab::new(text);
    lab.run(["validate", lab.file()]).refused(
        2,
        &[
            "`eth0` is in `sw`, which takes all that comes to it: `p1` of type macvlan cannot be on it",
            "`eth1` cannot carry both `p2` and `p3`: a macvlan with `mode = \"passthru\"` is the only one",
            "`eth2` cannot carry both `q1` and `q2`: all ipvlans on an interface have the same `mode`",
            "`eth2` cannot carry both `q1` and `q3`: ipvlan and macvlan each take all",
            "`eth4` cannot carry both `m1` and `m2`: each is known by the MAC address of the interface below",
            "two gre tunnels are between 10.0.0.1 and 10.0.0.2",
            "two ipip tunnels are between 10.0.0.1 and 10.0.0.2",
            "two interfaces of type wireguard have `listen_port = 51820`",
            "the endpoint has no port, and `b:w` has no `listen_port`",
            "are in each other",
            "10 errors",
        ],
    );
}

#[test]
fn a_primary_and_a_routes_vrf_name_what_there_is() {
    let text = r#"
name = "named"
[nodes.a]
kind = "host"
routes = [
    { to = "10.1.0.0/16", via = "10.0.0.2", vrf = "rde" },
    { to = "10.2.0.0/16", via = "10.0.0.2", vrf = "red", table = 10 },
    { to = "10.3.0.0/16", via = "10.0.0.2", vrf = "red" },
    { to = "10.3.0.0/16", via = "10.0.0.2", table = 10 },
    { to = "10.4.0.0/16", via = "10.0.0.2", vrf = "b0" },
]
[nodes.a.interfaces]
eth2 = { addresses = ["10.0.0.1/24"] }
red = { type = "vrf", table = 10, ports = ["eth2"] }
b0 = { type = "bond", mode = "active-backup", ports = ["eth0"], primary = "eth1" }
b1 = { type = "bond", ports = ["eth1"], primary = "eth1" }
b2 = { type = "bond", mode = "active-backup", primary = "eth9" }
[nodes.b]
kind = "host"
[[links]]
endpoints = ["a:eth0", "b:eth0"]
[[links]]
endpoints = ["a:eth1", "b:eth1"]
[[links]]
endpoints = ["a:eth2", "b:eth2"]
"#;
    let lab = Lab::new(text);
    lab.run(["validate", lab.file()]).refused(
        2,
        &[
            "node `a` has no VRF `rde`",
            "did you mean `red`?",
            "a route is in a VRF or in a table, and this one names both",
            "there are two routes to 10.3.0.0/16 with the same metric",
            "node `a` has no VRF `b0`",
            "`eth1`, the primary of `b0`, is no port of it",
            "`primary` is of bonds that prefer one of their links",
            "`eth9`, the primary of `b2`, is no port of it",
            "7 errors",
        ],
    );
}

#[test]
fn what_an_interface_is_on_and_in_is_shown() {
    let lab = Lab::up(
        "name = \"shown\"\n[nodes.a]\nkind = \"host\"\n\
         [nodes.a.interfaces]\nbr7 = { type = \"bridge\", ports = [\"eth0\"] }\n\
         mv = { type = \"macvlan\", link = \"eth1\" }\n[nodes.b]\nkind = \"host\"\n\
         [[links]]\nendpoints = [\"a:eth0\", \"b:eth0\"]\n[[links]]\nendpoints = [\"a:eth1\", \"b:eth1\"]\n",
    );
    let table = lab.ok(["ps", "--interfaces"]);
    let row = |name: &str| {
        let of = |line: &&str| line.split_whitespace().take(2).eq(["a", name]);
        table.lines().find(of).unwrap_or_else(|| panic!("{table}"))
    };
    assert!(
        row("eth0").contains("in br7") && !row("eth0").contains(" on "),
        "{table}"
    );
    assert!(row("mv").contains("on eth1"), "{table}");
    let a = lab.node("a");
    let of = |name: &str| {
        let all = a["interfaces"].as_array().unwrap().iter();
        all.clone().find(|it| it["name"] == name).unwrap().clone()
    };
    assert_eq!(of("eth0")["master"], "br7");
    assert_eq!(of("mv")["link"], "eth1");
    assert!(
        of("eth1")["link"].is_null() && of("eth1")["master"].is_null(),
        "{a}"
    );
}

/// Many interfaces in one another, or in one, are judged at once, and more than any node has are refused.
#[test]
fn thousands_of_interfaces_are_judged_quickly() {
    let began = std::time::Instant::now();
    let judge = |interfaces: String| {
        let lab = Lab::new(&format!(
            "name = \"many\"\n[nodes.a]\nkind = \"host\"\n[nodes.a.interfaces]\n{interfaces}"
        ));
        lab.run(["validate", lab.file()])
    };
    let all = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let flat = all(6000, &|at| {
        format!("d{at} = {{ type = \"dummy\", master = \"sw\" }}\n")
    });
    let done = judge(format!("sw = {{ type = \"bridge\" }}\n{flat}"));
    assert_eq!(done.code, 0, "{}", done.err);
    let chain = all(6000, &|at| {
        let master = format!(", master = \"b{}\"", at + 1);
        let master = if at < 5999 { master.as_str() } else { "" };
        format!("b{at} = {{ type = \"bond\"{master} }}\n")
    });
    judge(chain);
    judge(all(9000, &|at| format!("d{at} = {{ type = \"dummy\" }}\n"))).refused(
        2,
        &[
            "node `a` has 9000 entries in `interfaces`",
            "a node has up to 8192",
        ],
    );
    // Each of the first two took from ten seconds to minutes alone.
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

/// One that cannot be in what it is to be in is told once and left alone; the others are set up.
#[test]
fn a_late_interface_that_does_not_fit_is_left_alone() {
    let lab = Lab::up(
        "name = \"unfit\"\n[nodes.a]\nkind = \"host\"\n\
         exec = [\"ip tuntap add t0 mode tap\", \"ip link add u0 type bridge\"]\n\
         [nodes.a.interfaces]\nt0 = { late = true }\nu0 = { late = true, mtu = 1400 }\n\
         sw = { type = \"bridge\", ports = [\"t0\"] }\n",
    );
    assert!(lab.sh("a", "ip link show t0").contains("master sw"));
    lab.sh("a", "ip link del t0; ip tuntap add t0 mode tun");
    let ups = "seen=$(mktemp); ip monitor link > $seen & monitor=$!; \
        ip link del u0; ip link add u0 type bridge; \
        for i in $(seq 300); do grep -q 1400 /sys/class/net/u0/mtu && break; sleep 0.1; done; \
        cat /sys/class/net/u0/mtu; kill $monitor; grep -c t0: $seen || true; rm $seen";
    let said = lab.sh("a", ups);
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words[0], "1400", "{said}");
    // Each attempt to put it in took it down and up.
    assert_eq!(words[1], "0", "{said}");
}

/// The others are set up around it, and so are addresses and routes; it is told by name.
#[test]
fn one_port_that_does_not_fit_costs_a_late_bridge_nothing_else() {
    let lab = Lab::up(
        "name = \"port\"\n[nodes.a]\nkind = \"host\"\n\
         exec = [\"ip link add br0 type bridge\", \"ip tuntap add t0 mode tap\", \"ip tuntap add t1 mode tap\"]\n\
         routes = [{ to = \"10.8.0.0/16\", via = \"10.7.0.2\" }, { to = \"10.9.0.0/16\", via = \"10.7.0.2\" }]\n\
         [nodes.a.interfaces]\nt0 = { late = true, master = \"br0\" }\nt1 = { late = true, master = \"br0\" }\n\
         br0 = { late = true, addresses = [\"10.7.0.1/24\", \"10.7.1.1/24\"], mtu = 1400 }\n",
    );
    let is_set_up = "for i in $(seq 300); do ip route show | grep -q ^10.9 && ip link show t1 | grep -q br0 && break; sleep 0.1; done; \
        ip -o addr show br0; ip link show t1; cat /sys/class/net/br0/mtu; ip route show";
    let words = [
        "10.7.0.1/24",
        "10.7.1.1/24",
        "master br0",
        "1400",
        "10.8.0.0/16",
        "10.9.0.0/16",
    ];
    let change = "ip link del br0; ip link del t0; ip tuntap add t0 mode tun; ip link add br0 type bridge; ";
    for before in ["", change] {
        let said = lab.sh("a", &format!("{before}{is_set_up}"));
        for word in words {
            assert!(said.contains(word), "no {word} after `{before}` in {said}");
        }
    }
    until("it is told", || {
        lab.ok(["events"])
            .contains("interface t0 of a cannot be in br0: it carries packets")
    });
    // One that fits is put in when it comes.
    lab.sh("a", "ip link del t0; ip tuntap add t0 mode tap");
    until("it is in", || {
        lab.sh("a", "ip link show t0 || true").contains("master br0")
    });
}

/// Whoever makes an interface again and again does not fill what is told.
#[test]
fn a_late_interface_that_comes_and_goes_is_told_of_once() {
    let lab = Lab::up(
        "name = \"again\"\n[nodes.a]\nkind = \"host\"\nexec = [\"ip tuntap add t0 mode tap\"]\n\
         [nodes.a.interfaces]\nt0 = { late = true }\nsw = { type = \"bridge\", ports = [\"t0\"] }\n",
    );
    let wrong = "interface t0 of a cannot be in sw";
    let told = || lab.ok(["events"]).matches(wrong).count();
    lab.sh("a", "ip link del t0; ip tuntap add t0 mode tun");
    until("it is told", || told() == 1);
    lab.sh(
        "a",
        "for i in $(seq 20); do ip link del t0; sleep 0.1; ip tuntap add t0 mode tun; sleep 0.1; done",
    );
    assert_eq!(told(), 1, "{}", lab.ok(["events"]));
    // It is news again after it was as it should be.
    lab.sh("a", "ip link del t0; ip tuntap add t0 mode tap");
    until("it is in", || {
        lab.sh("a", "ip link show t0").contains("master sw")
    });
    lab.sh("a", "ip link del t0; ip tuntap add t0 mode tun");
    until("it is told again", || told() == 2);
}

#[test]
fn the_links_of_a_stopped_node_are_down_until_it_is_started() {
    let lab = Lab::up(
        "name = \"off\"\n[nodes.a]\nkind = \"host\"\naddresses = { eth0 = [\"10.0.0.1/24\", \"fd00::1/64\"] }\n\
         routes = [{ to = \"10.9.0.0/16\", via = \"10.0.0.2\" }]\n\
         run = [{ name = \"web\", command = \"sleep infinity\" }]\n\
         [nodes.b]\nkind = \"host\"\naddresses = { eth0 = [\"10.0.0.2/24\", \"fd00::2/64\"] }\n\
         [[links]]\nendpoints = [\"a:eth0\", \"b:eth0\"]\n",
    );
    let carrier = || lab.sh("b", "cat /sys/class/net/eth0/carrier");
    assert_eq!(carrier().trim(), "1");
    lab.ok(["stop", "a"]);
    assert_eq!(carrier().trim(), "0");
    lab.ok(["start", "a"]);
    assert_eq!(carrier().trim(), "1");
    lab.ok(["exec", "b", "nslab", "ping", "-c1", "10.0.0.1"]);
    lab.ok(["exec", "b", "nslab", "ping", "-c1", "fd00::1"]);
    let routes = lab.sh("a", "ip route show 10.9.0.0/16");
    assert!(routes.contains("via 10.0.0.2"), "{routes}");
    // What idles is switched off as well.
    lab.ok(["stop", "b"]);
    assert_eq!(lab.sh("a", "cat /sys/class/net/eth0/carrier").trim(), "0");
    lab.ok(["start", "b"]);
    lab.ok(["exec", "a", "nslab", "ping", "-c1", "10.0.0.2"]);
}
