//! Routers run FRR: the daemons their configuration asks for, which answer when the lab is ready.

use crate::common;
use crate::common::host;

use std::path::Path;

use common::{Lab, has_frr, until};
use host::{do_aside, reaches};

/// A router alone, with this configuration.
fn router(config: &str) -> Lab {
    Lab::new(&format!(
        "name = \"alone\"\n[nodes.r]\nkind = \"router\"\nengine = \"frr\"\nconfig = '''\n{config}'''\n"
    ))
}

/// The names of the daemons that run in a node.
fn daemons(lab: &Lab, node: &str) -> Vec<String> {
    // Their command lines: nothing else of theirs is to be seen in the node, as they have more rights than a command.
    let all = lab.sh(
        node,
        "for it in /proc/[0-9]*/cmdline; do tr '\\0' '\\n' <$it | head -n1; done",
    );
    let mut names: Vec<_> = all
        .lines()
        .filter_map(|path| path.strip_prefix("/usr/lib/frr/"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

fn vtysh(lab: &Lab, node: &str, command: &str) -> String {
    lab.ok(["exec", node, "vtysh", "-c", command])
}

#[test]
fn daemons_are_those_the_stanzas_are_for_and_answer_at_once() {
    if !has_frr() {
        return;
    }
    let all: [(&str, &[&str], &str); 9] = [
        ("ip route 10.0.0.0/8 blackhole\n", &[], "show ip route static"),
        (
            "router bgp 65000\n neighbor 10.0.0.1 remote-as 1\n neighbor 10.0.0.1 bfd\n",
            &["bfdd", "bgpd"],
            "show bfd peers",
        ),
        (
            "router ospf\n network 10.0.0.0/8 area 0\n",
            &["ospfd"],
            "show ip ospf",
        ),
        (
            "router ospf6\n ospf6 router-id 1.1.1.1\n",
            &["ospf6d"],
            "show ipv6 ospf6",
        ),
        (
            "router isis core\n net 49.0001.0000.0000.0001.00\n",
            &["isisd"],
            "show isis summary",
        ),
        (
            "router rip\n network 10.0.0.0/8\n",
            &["ripd"],
            "show ip rip status",
        ),
        (
            "router ripng\n network lo\n",
            &["ripngd"],
            "show ipv6 ripng status",
        ),
        (
            "router eigrp 1\n network 10.0.0.0/8\n",
            &["eigrpd"],
            "show ip eigrp topology",
        ),
        ("router babel\n network lo\n", &["babeld"], "show babel parameter"),
    ];
    let node = |(number, (config, _, _)): (usize, &(&str, &[&str], &str))| {
        format!("[nodes.r{number}]\nkind = \"router\"\nconfig = '''\n{config}'''\n")
    };
    let nodes: String = all.iter().enumerate().map(node).collect();
    let lab = Lab::up(&format!("name = \"many\"\n{nodes}"));
    for (number, (_, wanted, question)) in all.iter().enumerate() {
        let node = format!("r{number}");
        let mut expected = vec!["staticd", "watchfrr", "zebra"];
        // FRR 9 and newer have it.
        expected.extend(Path::new("/usr/lib/frr/mgmtd").exists().then_some("mgmtd"));
        expected.extend(*wanted);
        expected.sort_unstable();
        assert_eq!(daemons(&lab, &node), expected, "{node}");
        let answer = vtysh(&lab, &node, question);
        assert!(
            !answer.contains("not running") && !answer.contains("Unknown"),
            "{question}: {answer}"
        );
    }
    let route = vtysh(&lab, "r0", "show ip route static");
    assert!(
        route.contains("10.0.0.0/8") && route.contains("blackhole"),
        "{route}"
    );
}

#[test]
fn the_configuration_is_loaded_when_the_lab_is_ready() {
    if !has_frr() {
        return;
    }
    let lab =
        router("router bgp 65000\n bgp router-id 1.2.3.4\n neighbor net0 interface remote-as external\n");
    lab.ok(["up", "-d", lab.file()]);
    let running = vtysh(&lab, "r", "show running-config");
    for line in [
        "hostname r",
        "router bgp 65000",
        " bgp router-id 1.2.3.4",
        " neighbor net0 interface remote-as external",
    ] {
        assert!(
            running.lines().any(|it| it == line),
            "{line:?} is not in:\n{running}"
        );
    }
    assert_eq!(lab.node("r")["engine"], "frr");
}

#[test]
fn a_changed_configuration_can_be_written_and_read() {
    if !has_frr() {
        return;
    }
    let lab = router("router bgp 65000\n");
    lab.ok(["up", "-d", lab.file()]);
    assert!(lab.sh("r", "cat /etc/frr/frr.conf").contains("router bgp 65000"));
    assert!(lab.sh("r", "cat /etc/frr/daemons").contains("\nbgpd=yes\n"));
    lab.ok([
        "exec",
        "r",
        "vtysh",
        "-c",
        "conf t",
        "-c",
        "router bgp 65000",
        "-c",
        "bgp router-id 9.9.9.9",
    ]);
    let said = vtysh(&lab, "r", "write");
    assert!(said.contains("[OK]"), "{said}");
    let text = lab.sh("r", "cat /etc/frr/frr.conf");
    assert!(text.contains(" bgp router-id 9.9.9.9"), "{text}");
    assert_eq!(lab.sh("r", "stat -c '%U %a' /etc/frr/frr.conf"), "frr 640\n");
}

#[test]
fn ospf_routers_become_neighbors_and_learn_routes() {
    if !has_frr() {
        return;
    }
    let node = |name: &str, last: u8| {
        format!(
            r#"
[nodes.{name}]
kind = "router"
addresses = {{ lo = ["10.255.0.{last}/32"], net0 = ["10.0.0.{last}/24"] }}
config = """
interface net0
 ip ospf hello-interval 1
 ip ospf dead-interval 3
 ip ospf network point-to-point
!
router ospf
 timers throttle spf 0 10 50
 network 10.0.0.0/8 area 0
"""
"#
        )
    };
    let lab = Lab::up(&format!(
        "name = \"ospf\"\n{}{}[[links]]\nendpoints = [\"a:net0\", \"b:net0\"]\n",
        node("a", 1),
        node("b", 2)
    ));
    until("the neighbor", || {
        vtysh(&lab, "a", "show ip ospf neighbor").contains("Full/")
    });
    until("the route", || {
        lab.sh("a", "ip route show 10.255.0.2").contains("proto ospf")
    });
    reaches(&lab, "a", "10.255.0.2");
}

#[test]
fn a_daemon_that_dies_is_started_again_with_its_configuration() {
    if !has_frr() {
        return;
    }
    let lab = router("router bgp 65000\n bgp router-id 1.2.3.4\n");
    lab.ok(["up", "-d", lab.file()]);
    let pid = |lab: &Lab| lab.run(["exec", "r", "pidof", "bgpd"]).out.trim().to_owned();
    let before = pid(&lab);
    lab.sh("r", "kill -9 $(pidof bgpd)");
    until("another bgpd", || !pid(&lab).is_empty() && pid(&lab) != before);
    until("its configuration", || {
        lab.run(["exec", "r", "vtysh", "-c", "show bgp summary"])
            .out
            .contains("1.2.3.4")
            || lab
                .run(["exec", "r", "vtysh", "-c", "show running-config bgpd"])
                .out
                .contains("router-id 1.2.3.4")
    });
    assert_eq!(lab.node("r")["restarts"], 0, "the node itself lived on");
}

#[test]
fn an_error_in_a_configuration_is_told_before_anything_is_made() {
    if !has_frr() {
        return;
    }
    let lab = router("router bgp 65000\n neighbor 10.0.0.1 remote-as external\n nonsense here\n");
    let done = lab.run(["up", "-d", lab.file()]);
    done.refused(2, &["configuration of r", "line 8:", "nonsense here"]);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

/// vtysh loads these and ends with status 0, and the daemons take a part of them or nothing: each is told with its line, on
/// either engine, before anything is made.
#[test]
fn lines_that_are_cut_at_a_bar_are_told_before_anything_is_made() {
    let config = "\
frr defaults datacenter
ip route 10.9.0.0/16 blackhole
interface lo
 description north | south
exit
router bgp 65000
 bgp router-id 10.0.0.1
 timers bgp 3 9
 neighbor 192.0.2.2 remote-as external
 neighbor 192.0.2.2 description a | b
 neighbor 192.0.2.2 description c|d
 neighbor 192.0.2.3 remote-as external
 neighbor 192.0.2.3 description north | include x
bgp as-path access-list A permit ^(1|2)$
bgp as-path access-list A permit 1 | include
";
    let words = [
        "does not take the configuration of r",
        "line 9:",
        "description north | south",
        "line 15:",
        "description a | b",
        "line 18:",
        "of this line only `neighbor 192.0.2.3 description north` is taken",
        "line 20:",
        "Need a regexp to filter with",
        "Unknown action",
        "vtysh takes what is behind `|` for a filter",
        "the lab file's",
    ];
    let engines = if has_frr() {
        &["frr", "builtin"][..]
    } else {
        &["builtin"]
    };
    for engine in engines {
        let lab = Lab::new(&format!(
            "name = \"cut\"\n[nodes.r]\nkind = \"router\"\nengine = \"{engine}\"\nconfig = '''\n{config}'''\n"
        ));
        for command in [&["up", "-d", lab.file()][..], &["validate", lab.file()]] {
            let done = lab.run(command);
            let said = done.err.clone();
            done.refused(2, &words);
            let fine = ["line 7:", "line 16:", "line 19:"];
            assert!(fine.iter().all(|line| !said.contains(line)), "{engine}: {said}");
        }
    }
}

/// FRR's own script ends and starts its daemons for whoever runs it in a node, though commands there could not do so themselves.
#[test]
fn frr_is_stopped_and_started_by_its_script() {
    if !has_frr() {
        return;
    }
    let own = "[nodes.o]\nkind = \"host\"\nexec = [\"sed -i s/bgpd=no/bgpd=yes/ /etc/frr/daemons\", \"/usr/lib/frr/frrinit.sh start\"]\n";
    let config = "router bgp 65000\n bgp router-id 1.2.3.4\n";
    let lab = Lab::up(&format!(
        "name = \"init\"\n[nodes.r]\nkind = \"router\"\nengine = \"frr\"\nconfig = '''\n{config}'''\n{own}"
    ));
    for node in ["r", "o"] {
        let pid = || lab.run(["exec", node, "pidof", "bgpd"]).out.trim().to_owned();
        let script = |word: &str| lab.run(["exec", node, "/usr/lib/frr/frrinit.sh", word]);
        until("bgpd", || !pid().is_empty());
        let before = pid();
        let said = lab.ok(["exec", node, "/usr/lib/frr/frrinit.sh", "restart"]);
        assert!(
            said.contains("Stopped bgpd") && said.contains("Started watchfrr"),
            "{said}"
        );
        until("another bgpd", || !pid().is_empty() && pid() != before);
        assert_eq!(script("stop").code, 0);
        assert_eq!((pid(), script("status").code), (String::new(), 1));
        lab.ok([
            "exec",
            node,
            "sh",
            "-c",
            "service frr start && systemctl restart frr",
        ]);
        until("bgpd again", || !pid().is_empty());
        assert_eq!(script("status").code, 0);
        // The right is the daemons' alone.
        let rights = lab.sh(node, "grep CapEff /proc/self/status");
        let rights = u64::from_str_radix(rights.split_whitespace().last().unwrap(), 16).unwrap();
        assert_eq!(rights & (1 << 21), 0, "CAP_SYS_ADMIN in {node}");
    }
    until("its configuration", || {
        lab.run(["exec", "r", "vtysh", "-c", "show running-config"])
            .out
            .contains("router-id 1.2.3.4")
    });
}

/// A refused line is told by itself, whatever else was taken.
#[test]
fn lines_that_frr_refuses_are_told_by_number() {
    if !has_frr() {
        return;
    }
    let lab = router("router bgp 65000\n neighbor 192.0.2.2 remote-as 1\n neighbor 192.0.2.3 local-as 5\n");
    let said = lab.run(["up", "-d", lab.file()]);
    said.refused(1, &["line 8: neighbor 192.0.2.3 local-as 5", "Specify remote-as"]);
}

/// A group that is joined replaces a neighbor's own setting, which is no reason to enter it again.
#[test]
fn lines_that_later_ones_replace_stay_replaced() {
    if !has_frr() {
        return;
    }
    let lab = router(
        "router bgp 65000\n neighbor G peer-group\n neighbor 192.0.2.2 remote-as 65001\n \
         neighbor 192.0.2.2 ebgp-multihop 9\n neighbor G ebgp-multihop 5\n neighbor 192.0.2.2 peer-group G\n",
    );
    lab.ok(["up", "-d", lab.file()]);
    let running = lab.ok(["exec", "r", "vtysh", "-c", "show running-config"]);
    assert!(running.contains(" neighbor G ebgp-multihop 5"), "{running}");
    assert!(!running.contains("192.0.2.2 ebgp-multihop"), "{running}");
}

/// What is refused where it stands is told with the daemon's words, also where it would be taken later.
#[test]
fn lines_that_frr_would_take_later_are_told() {
    if !has_frr() {
        return;
    }
    let lab = router(
        "router bgp 65000\n neighbor 192.0.2.3 timers 1 3\n neighbor 192.0.2.3 remote-as 1\n no neighbor G peer-group\n",
    );
    let said = lab.run(["up", "-d", lab.file()]);
    said.refused(
        1,
        &[
            "line 7: neighbor 192.0.2.3 timers 1 3",
            "Specify remote-as",
            "line 9: no neighbor G peer-group",
            "Create the peer-group first",
        ],
    );
}

/// Forms that FRR shows otherwise than they were written, or not at all because they are defaults.
#[test]
fn what_frr_shows_in_forms_of_its_own_is_not_missing() {
    if !has_frr() {
        return;
    }
    let config = "\
frr version 8.4
hostname other
ip route 10.9.3.0/16 blackhole
ip route 10.8.0.0 255.255.0.0 Null0
ipv6 route 2001:DB8:0:0::/32 blackhole
ip prefix-list P permit 10.0.0.0/8 le 24
ip prefix-list P description of P
access-list A permit 10.0.0.0/8
ipv6 access-list A6 permit any
bgp as-path access-list S permit ^65001(_65002|_65003)$
bgp community-list standard C permit 65000:1 no-export
bgp large-community-list standard L permit 1:2:3
bgp community-list expanded E permit 65000:.*
ip nht resolve-via-default
vrf red
 ip route 10.7.0.0/16 blackhole
exit-vrf
interface lo
 ip address 10.0.0.9/32
 ipv6 address 2001:DB8::9/128
exit
router bgp 65000
 bgp router-id 1.1.1.1
 bgp router-id 10.0.0.1
 bgp log-neighbor-changes
 no bgp ebgp-requires-policy
 timers bgp 60 180
 neighbor G peer-group
 neighbor G remote-as 65000
 neighbor G timers connect 120
 neighbor net0 interface peer-group G
 neighbor 192.0.2.2 remote-as 65001
 neighbor 192.0.2.2 ebgp-multihop
 neighbor 192.0.2.2 password secret
 neighbor 192.0.2.2 timers 60 180
 neighbor 192.0.2.2 capability dynamic
 neighbor 2001:DB8:0::2 remote-as external
 bgp listen range 10.1.2.3/24 peer-group G
 address-family ipv4
  network 10.0.0.9/8
  aggregate-address 10.0.0.0 255.0.0.0 summary-only
  redistribute connected route-map RM
  neighbor G activate
  neighbor G next-hop-self
  neighbor 192.0.2.2 send-community both
  neighbor 192.0.2.2 soft-reconfiguration inbound
  neighbor 192.0.2.2 route-map RM in
  maximum-paths 64
 address-family ipv6 unicast
  neighbor 2001:db8::2 activate
  network 2001:DB8:1::/48
exit-address-family
exit
route-map RM permit 10
 match ip address prefix-list P
 set community 65000:2 65000:1 additive
 set local-preference 100
 on-match next
route-map RM permit 20
 match as-path S
 set as-path prepend 65000 65000
 description the last
";
    let lab = router(config);
    lab.ok(["up", "-d", lab.file()]);
}

#[test]
fn a_host_without_frr_is_told_what_to_install() {
    if !has_frr() {
        return;
    }
    // A host without it is played by hiding it from this one command.
    let lab = router("router bgp 65000\n");
    let hidden = "mount -t tmpfs none /usr/lib/frr && exec $NSLAB up -d $FILE";
    do_aside(&lab, hidden).refused(3, &["router r needs FRR", "apt-get install frr"]);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn a_daemon_that_this_frr_lacks_is_told_by_name() {
    if !has_frr() {
        return;
    }
    let lab = router("router bgp 65000\n");
    let hidden = "mkdir $TEST/frr && cp /usr/lib/frr/* $TEST/frr && rm $TEST/frr/bgpd && \
        mount --bind $TEST/frr /usr/lib/frr && exec $NSLAB up -d $FILE";
    do_aside(&lab, hidden).refused(3, &["router r", "bgpd"]);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn a_router_without_a_configuration_forwards_and_needs_no_frr() {
    let file = r#"
name = "plain"
[nodes.a]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24"] }
routes = [{ to = "default", via = "10.0.0.254" }]
[nodes.r]
kind = "router"
addresses = { x = ["10.0.0.254/24"], y = ["10.0.1.254/24"] }
[nodes.b]
kind = "host"
addresses = { eth0 = ["10.0.1.1/24"] }
routes = [{ to = "default", via = "10.0.1.254" }]
[[links]]
endpoints = ["a:eth0", "r:x"]
[[links]]
endpoints = ["b:eth0", "r:y"]
"#;
    let lab = Lab::new(file);
    let hidden = "{ test ! -d /usr/lib/frr || mount -t tmpfs none /usr/lib/frr; } && exec $NSLAB up -d $FILE";
    do_aside(&lab, hidden).expect(0);
    reaches(&lab, "a", "10.0.1.1");
    assert_eq!(lab.node("r")["engine"], "kernel");
}
