use super::*;
use crate::engines::Engine;
use crate::plan::Facts;
use crate::sources::Memory;

#[test]
fn labs_that_ship_are_right() {
    for file in ["quickstart", "cilium-bgp"] {
        let path = format!("{}/../../labs/{file}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let sources = Memory::default()
            .with("cilium-bgp-policy.yaml", "")
            .with("cilium-bgp-graceful-policy.yaml", "");
        match load(&text, &sources) {
            Ok(lab) => {
                let plan = crate::planner::plan(&lab, &Facts::default());
                assert_eq!(plan.nodes.len(), lab.nodes.len());
            }
            Err(diagnostics) => panic!("{file}: {diagnostics:#?}"),
        }
    }
}

fn lab(text: &str) -> Lab {
    let sources = Memory::default()
        .with("site/index.html", "hello")
        .with("router.conf", "router bgp 1\n");
    match load(text, &sources) {
        Ok(lab) => lab,
        Err(diagnostics) => panic!("{diagnostics:#?}"),
    }
}

#[test]
fn kubernetes_nodes_have_their_place_in_the_cluster() {
    let lab = lab(r#"
name = "x"
[kubernetes]
pod_subnet = ["10.1.0.0/16", "fd00:10::/56"]
[cilium]
manifests = ["site/index.html"]
[nodes.a]
kind = "k8s"
role = "control-plane"
node_ips = ["10.0.1.2"]
[nodes.b]
kind = "host"
[nodes.c]
kind = "k8s"
labels = { rack = "rack0" }
addresses = { lo = ["10.9.0.1/32"], eth0 = ["10.0.2.2/24", "10.0.2.3/24", "fd00::2/64"] }
[[links]]
endpoints = ["b:eth0", "c:eth0"]
"#);
    let of = |at: usize| lab.nodes[at].kubernetes.clone();
    let (a, c) = (of(0).unwrap(), of(2).unwrap());
    assert_eq!(of(1), None);
    let texts = |list: Vec<String>| list.join(" ");
    let cidrs =
        |it: &crate::model::KubernetesNode| texts(it.pod_cidrs.iter().map(ToString::to_string).collect());
    assert_eq!(cidrs(&a), "10.1.0.0/24 fd00:10::/64");
    assert_eq!(cidrs(&c), "10.1.1.0/24 fd00:10:0:1::/64");
    let addresses = c.addresses.iter().map(ToString::to_string);
    assert_eq!(texts(addresses.collect()), "10.0.2.2 fd00::2");
    assert_eq!(a.addresses[0].to_string(), "10.0.1.2");
    assert!(a.labels.contains_key("node-role.kubernetes.io/control-plane"));
    assert_eq!(
        (
            c.labels["rack"].as_str(),
            c.labels["kubernetes.io/hostname"].as_str()
        ),
        ("rack0", "c")
    );
    assert!(a.bgp);
    assert_eq!(lab.manifests[0].text, "hello");
}

#[test]
fn a_node_inherits_from_defaults_then_kind_then_group() {
    let lab = lab(r#"
name = "x"
[defaults]
kind = "host"
env = { A = "defaults", B = "defaults", C = "defaults", D = "defaults" }
exec = ["defaults"]
binds = ["site:/one", "site:/two"]
startup_delay = "1s"
[kinds.host]
env = { B = "kind", C = "kind", D = "kind" }
exec = ["kind"]
[groups.g]
env = { C = "group", D = "group" }
binds = ["site/:/two:ro"]
startup_delay = "500ms"
[nodes.a]
group = "g"
env = { D = "node" }
binds = ["site:/three"]
[nodes.b]
exec = []
"#);
    let node = &lab.nodes[0];
    let env: Vec<_> = node.env.values().map(String::as_str).collect();
    assert_eq!(env, ["defaults", "kind", "group", "node"]);
    assert_eq!(node.exec.len(), 1);
    assert_eq!(node.exec[0].command.to_string(), "kind");
    let binds: Vec<_> = node
        .binds
        .iter()
        .map(|bind| (bind.target.as_str(), bind.read_only))
        .collect();
    assert_eq!(binds, [("/one", false), ("/two", true), ("/three", false)]);
    assert_eq!(node.startup_delay, Duration::from_millis(500));
    assert_eq!(node.group.as_deref(), Some("g"));
    assert_eq!(lab.nodes[1].exec, Vec::new());
    assert_eq!(lab.nodes[1].startup_delay, Duration::from_secs(1));
}

#[test]
fn an_engine_for_all_concerns_the_routers() {
    let lab = lab(
        "name = \"x\"\n[defaults]\nengine = \"frr\"\n[nodes.a]\nkind = \"host\"\n[nodes.r]\nkind = \"router\"\nconfig = { file = \"router.conf\" }\n",
    );
    assert_eq!(lab.nodes[0].engine, EngineChoice::Auto);
    assert_eq!(lab.nodes[1].engine, EngineChoice::Engine(Engine::Frr));
    assert_eq!(lab.nodes[1].config.as_deref(), Some("router bgp 1\n"));
}

#[test]
fn what_a_node_says_of_a_shared_network_is_its_owners() {
    let lab = lab(r#"
name = "x"
[nodes.tap]
kind = "host"
network = "node:side"
addresses = { eth1 = ["10.0.1.2/24"] }
routes = [{ to = "default", via = "10.0.1.1" }]
sysctls = { "net/ipv4/conf/eth1/arp_notify" = 1 }
[nodes.side]
kind = "host"
network = "node:web"
[nodes.web]
kind = "host"
addresses = { lo = ["10.0.0.1/32"] }
[nodes.far]
kind = "host"
[[links]]
endpoints = ["tap:eth1", "far:eth0"]
"#);
    assert_eq!(lab.nodes[0].network, Network::Shared(2));
    assert_eq!(lab.nodes[1].network, Network::Shared(2));
    assert!(
        lab.nodes[0].addresses.is_empty()
            && lab.nodes[0].routes.is_empty()
            && lab.nodes[0].sysctls.is_empty()
    );
    let addresses: Vec<_> = lab.nodes[2].addresses.iter().map(|a| a.net.to_string()).collect();
    assert_eq!(addresses, ["10.0.1.2/24", "10.0.0.1/32"]);
    assert_eq!(lab.nodes[2].routes.len(), 1);
    assert_eq!(lab.nodes[2].sysctls["net.ipv4.conf.eth1.arp_notify"], "1");
    // The end stays the one that the file names.
    assert_eq!(lab.links[0].ports().next().map(|port| port.node), Some(0));
}

#[test]
fn a_default_route_is_of_its_gateways_family() {
    let lab = lab(r#"
name = "x"
[nodes.a]
kind = "host"
addresses = { eth0 = ["10.0.0.2/24", "fd00::2/64"] }
routes = [
  { to = "default", via = "fd00::1" },
  { to = "default", via = "10.0.0.1" },
  { to = "default", dev = "eth0", metric = 5 },
  { to = "192.0.2.0/24", via = "fe80::1", dev = "eth0" },
  { to = "198.51.100.1", nexthops = [{ via = "10.0.0.1" }, { via = "fe80::1", dev = "eth0", weight = 2 }] },
]
[nodes.b]
kind = "host"
[[links]]
endpoints = ["a:eth0", "b:eth0"]
"#);
    let to: Vec<_> = lab.nodes[0]
        .routes
        .iter()
        .map(|route| route.to.to_string())
        .collect();
    assert_eq!(
        to,
        [
            "::/0",
            "0.0.0.0/0",
            "0.0.0.0/0",
            "192.0.2.0/24",
            "198.51.100.1/32"
        ]
    );
}

#[test]
fn an_address_may_stand_twice_in_a_lab() {
    lab(
        "name = \"x\"\n[defaults]\nkind = \"host\"\naddresses = { lo = [\"10.0.0.1/32\"] }\n[nodes.a]\n[nodes.b]\n",
    );
}

#[test]
fn waiting_for_an_early_stage_is_no_cycle() {
    let lab = lab(
        "name = \"x\"\n[defaults]\nkind = \"host\"\n[nodes.a]\nwait_for = [\"b\"]\n[nodes.b]\nwait_for = [\"a:links\"]\n",
    );
    assert_eq!(lab.nodes[0].wait_for.len(), 1);
    assert_eq!(lab.nodes[1].wait_for.len(), 1);
}

#[test]
fn a_node_does_not_wait_for_itself_with_its_group() {
    let lab = lab("name = \"x\"\n[defaults]\nkind = \"host\"\nwait_for = [\"db\"]\n[nodes.a]\n[nodes.db]\n");
    assert_eq!(lab.nodes[0].wait_for.len(), 1);
    assert_eq!(lab.nodes[1].wait_for.len(), 0);
}

#[test]
fn a_management_network_needs_only_a_node_that_wants_it() {
    let lab = lab(
        "name = \"x\"\n[nodes.a]\nkind = \"host\"\nmgmt = true\nroutes = [{ to = \"10.0.0.0/8\", via = \"172.20.20.1\", dev = \"eth0\" }]\n",
    );
    let mgmt = lab.mgmt.unwrap();
    assert_eq!(mgmt.ipv4_gw.unwrap().to_string(), "172.20.20.1");
    assert_eq!(mgmt.ipv6_gw.unwrap().to_string(), "2001:172:20:20::1");
    assert!(mgmt.nat && !mgmt.nat6);
    assert!(lab.nodes[0].mgmt.is_some());
}

#[test]
fn a_bridge_takes_1023_ports() {
    let text = |ports: usize| {
        let mut text = "name = \"x\"\n[nodes.s]\nkind = \"bridge\"\n[nodes.a]\nkind = \"host\"\n".to_owned();
        for port in 0..ports {
            text += &format!("[[links]]\nendpoints = [\"s:p{port}\", \"a:e{port}\"]\n");
        }
        text
    };
    assert!(load(&text(1023), &Memory::default()).is_ok());
    let diagnostics = load(&text(1025), &Memory::default()).unwrap_err();
    assert_eq!(diagnostics.len(), 1);
    assert!(diagnostics[0].message.contains("more than 1023 ports"));
}

#[test]
fn every_link_type_resolves() {
    let lab = lab(r#"
name = "x"
[nodes.a]
kind = "host"
[[links]]
endpoints = ["a:eth1", "host:lab0"]
[[links]]
type = "host"
endpoints = ["a:eth2"]
host_interface = "lab1"
[[links]]
type = "macvlan"
endpoints = ["a:eth3"]
host_interface = "eth0"
mode = "private"
[[links]]
type = "vxlan"
endpoints = ["a:vx0"]
vni = 100
remote = "192.0.2.1"
underlay = "node"
[[links]]
type = "dummy"
endpoints = [{ node = "a", interface = "d0", mac = "02:00:00:00:00:01", ipv4 = "10.1.0.1/32" }]
offload = false
mtu = 1400
"#);
    assert_eq!(lab.links.len(), 5);
    assert_eq!(lab.nodes[0].addresses.len(), 1);
    let last = lab.links[4].ports().next().unwrap();
    assert_eq!(last.mac.unwrap().to_string(), "02:00:00:00:00:01");
}

/// A lab that uses most of the format, to be broken at random.
const RICH: &str = r#"name = "rich"
requires = ["true"]
[mgmt]
ipv4_subnet = "172.20.20.0/24"
ipv4_gw = "172.20.20.1"
nat = true
[defaults]
kind = "host"
sysctls = { "net.ipv4.tcp_ecn" = "1" }
[groups.g]
labels = { rack = "one" }
wait_for = ["sw:links", "r:configured"]
[nodes.sw]
kind = "bridge"
[nodes.r]
kind = "router"
mgmt = { ipv4 = "172.20.20.9" }
addresses = { lo = ["10.0.0.1/32"], lan = ["10.0.1.1/24", "fd00::1/64"] }
routes = [
  { to = "10.0.0.0/8", type = "blackhole", metric = 7 },
  { to = "192.0.2.0/24", nexthops = [{ via = "10.0.1.2", weight = 2 }, { via = "fe80::1", dev = "lan" }] },
]
config = "router bgp 1"
[nodes.a]
group = "g"
addresses = { eth0 = ["10.0.1.2/24"] }
routes = [{ to = "default", via = "10.0.1.1" }]
files = { "/srv" = { from = "site/", mode = "0640", owner = "root:root" }, "/x" = { content = "x" } }
binds = ["site:/site:ro"]
exec = ["true", { shell = "true | true", may_fail = true }]
run = [{ name = "web", command = "httpd -f", ready = { tcp = 80 }, restart = "always", env = { A = "b" } }]
startup_delay = "10ms"
cpu = 0.5
memory = "64M"
[nodes.tap]
network = "node:a"
[[links]]
endpoints = ["r:lan", "sw:p1"]
mtu = 9000
[[links]]
endpoints = ["a:eth0", { node = "sw", interface = "p2", mac = "02:00:00:00:00:07" }]
[[links]]
type = "vxlan"
endpoints = ["tap:vx0"]
vni = 9
remote = "192.0.2.7"
"#;

#[test]
fn the_rich_lab_is_right() {
    assert_eq!(lab(RICH).nodes.len(), 4);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    /// However a file is broken, there is an answer, and it can be shown.
    #[test]
    fn a_file_broken_at_random_is_refused_or_accepted(
        cuts in proptest::collection::vec((0usize..2000, 0usize..30, "[a-z0-9:./\"\\[\\]{}=, \\n\u{e9}-]{0,6}"), 1..4),
    ) {
        let mut text = RICH.to_owned();
        for (at, length, put) in cuts {
            let floor = |mut at: usize| {
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let start = floor(at % text.len());
            let end = floor((start + length).min(text.len())).max(start);
            text.replace_range(start..end, &put);
        }
        let sources = Memory::default().with("site/index.html", "");
        if let Err(diagnostics) = load(&text, &sources) {
            assert!(!diagnostics.is_empty());
            for diagnostic in &diagnostics {
                assert!(diagnostic.help.as_ref().is_some_and(|help| !help.is_empty()), "{diagnostic:?}");
                for label in &diagnostic.labels {
                    assert!(text.get(label.span.clone()).is_some(), "{diagnostic:?}");
                }
            }
        }
    }
}

/// The kernel takes no IPv6 address where a sysctl has turned IPv6 off; management addresses are left out there.
#[test]
fn ipv6_addresses_need_ipv6() {
    let text = |sysctls: &str, addresses: &str| {
        format!(
            "name = \"x\"\n[nodes.a]\nkind = \"host\"\nmgmt = true\nsysctls = {{ {sysctls} }}\n\
             addresses = {{ {addresses} }}\n[nodes.b]\nkind = \"host\"\n[[links]]\nendpoints = [\"a:eth1\", \"b:eth1\"]\n"
        )
    };
    let all = "\"net.ipv6.conf.all.disable_ipv6\" = \"1\"";
    let default = "\"net/ipv6/conf/default/disable_ipv6\" = 1";
    let one = "\"net.ipv6.conf.eth1.disable_ipv6\" = 1";
    let but_one = format!("{all}, \"net.ipv6.conf.eth1.disable_ipv6\" = 0");
    let (v6, v4) = ("eth1 = [\"fd00::1/64\"]", "eth1 = [\"10.0.0.1/24\"]");
    let errors_of = |text: &str| load(text, &Memory::default()).unwrap_err();
    for sysctls in [all, default, one] {
        let diagnostics = errors_of(&text(sysctls, v6));
        assert_eq!(diagnostics.len(), 1, "{sysctls}");
        assert!(diagnostics[0].message.contains("IPv6 is off on `eth1` of `a`"));
        lab(&text(sysctls, v4));
    }
    lab(&text(&but_one, v6));
    lab(&text(default, "lo = [\"fd00::1/128\"]"));
    assert_eq!(errors_of(&text(all, "lo = [\"fd00::1/128\"]")).len(), 1);
}

/// What a scenario speaks of must be there; each error is told with its cure.
#[test]
fn scenarios_speak_of_what_is_there() {
    let with = |scenario: &str| {
        format!(
            "name = \"x\"\n[defaults]\nkind = \"host\"\n[nodes.a]\n[nodes.b]\n[[links]]\nendpoints = [\"a:eth1\", \"b:eth1\"]\n\
             [[checks]]\nname = \"a reaches b\"\nnode = \"a\"\nrun = \"true\"\n[[scenarios]]\nname = \"s\"\n{scenario}"
        )
    };
    let right = lab(&with(
        r#"steps = [{ link_down = ["a:eth1"] }, { wait = "a reaches b", within = "3s" }, { kill = "b", process = "bgpd", signal = "TERM" },
                 { wait = "200ms" }, { wait = "quiet", quiet = "1s" }, { exec = ["a", "b"], shell = "true; true" }]
expect = { healed_within = "1s", checks = "*" }"#,
    ));
    assert_eq!(right.scenarios.len(), 1);
    let scenario = &right.scenarios[0];
    let steps: Vec<String> = scenario.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps[0], "link a:eth1 down");
    assert_eq!(steps[2], "signal 15 to bgpd of b");
    for (wrong, told) in [
        (r#"steps = []"#, "the scenario has no steps"),
        (r#"steps = [{}]"#, "the step does nothing"),
        (r#"steps = [{ link_dwn = "a:eth1" }]"#, "link_dwn"),
        (
            r#"steps = [{ link_down = "a" }]"#,
            "`a` is not a node and an interface",
        ),
        (r#"steps = [{ link_down = "a:eth9" }]"#, "has no interface `eth9`"),
        (r#"steps = [{ link_down = "c:eth1" }]"#, "`c` is not in the lab"),
        (
            r#"steps = [{ link_down = "a:eth1", link_up = "a:eth1" }]"#,
            "both",
        ),
        (r#"steps = [{ link_down = "a:eth1", count = 3 }]"#, "count"),
        (
            r#"steps = [{ kill = "a", signal = "BOO" }]"#,
            "there is no signal `BOO`",
        ),
        (
            r#"steps = [{ kill = "a", process = "a/b" }]"#,
            "not the name of a process",
        ),
        (r#"steps = [{ flap = "a:eth1", count = 0 }]"#, "out of range"),
        (r#"steps = [{ exec = "a" }]"#, "has no `run`"),
        (r#"steps = [{ wait = "b reaches a" }]"#, "there is no check"),
        (r#"steps = [{ wait = "2 hours" }]"#, "2 hours"),
        (
            r#"steps = [{ wait = "2s", quiet = "1s" }]"#,
            "`quiet` has no meaning here",
        ),
        (r#"steps = [{ apply = "x.yaml" }]"#, "no Kubernetes node"),
        (
            "steps = [{ wait = \"1s\" }]\nexpect = { outage = \"1s\" }",
            "expects something of flows",
        ),
        (
            "steps = [{ wait = \"1s\" }]\nexpect = { checks = \"c\" }",
            "there is no check",
        ),
        (
            "steps = [{ wait = \"1s\" }]\nexpect = { healed_within = 3 }",
            "no unit",
        ),
        (
            "steps = [{ wait = \"1s\" }]\n[[scenarios]]\nname = \"s\"\nsteps = [{ wait = \"1s\" }]",
            "two scenarios",
        ),
    ] {
        let diagnostics = load(&with(wrong), &Memory::default()).expect_err(wrong);
        let text = format!("{diagnostics:?}");
        assert!(text.contains(told), "{wrong}: {diagnostics:#?}");
        assert!(
            diagnostics.iter().all(|diagnostic| diagnostic.help.is_some()),
            "{diagnostics:#?}"
        );
    }
}
