//! Beside bgpd and zebra of FRR: the same lines said to both engines, and then the same answers.

use crate::common;
use crate::common::both;

use both::Both;
use common::has_frr;

/// The rows of a table, without times and numbers of messages.
fn rows(answer: &str) -> String {
    let is_row = |line: &&str| line.starts_with(['*', ' ']) || line.starts_with("Displayed");
    answer
        .lines()
        .filter(is_row)
        .map(|line| line.to_owned() + "\n")
        .collect()
}

/// Lines that hold no times.
fn timeless(answer: &str) -> String {
    let changes = ["Last update", "version", "Last read"];
    let stays = |line: &&str| !changes.iter().any(|word| line.contains(word));
    let cut = |line: &str| line.split(", 0").next().unwrap_or(line).to_owned() + "\n";
    answer.lines().filter(stays).map(cut).collect()
}

/// What a configuration says of neighbors, sorted: the order is that of the lines.
fn neighbors(answer: &str) -> String {
    let lines = answer.lines().filter(|line| line.contains("neighbor "));
    let mut lines: Vec<String> = lines.map(|line| line.trim().to_owned() + "\n").collect();
    lines.sort();
    lines.concat()
}

fn router(name: &str, addresses: &str, config: &str) -> String {
    format!("[nodes.{name}]\nkind = \"router\"\naddresses = {{ {addresses} }}\nconfig = '''\n{config}'''\n")
}

fn link(a: &str, b: &str) -> String {
    format!("[[links]]\nendpoints = [\"{a}\", \"{b}\"]\n")
}

/// How the sessions of a node stand: the number of prefixes, or the state.
const STATES: &str = "vtysh -c 'show bgp ipv4 unicast summary' | awk '/^10[.]/ { print $1, $10 $11 }' | sed 's/N.A$//' | \
                      grep -v -e OpenSent | tr '\\n' ' '";

/// A router that tells four prefixes to one neighbor for each of these ways of limiting them.
fn limited(ways: &[&str]) -> String {
    let mut text = "name = \"limited\"\n".to_owned();
    let (mut addresses, mut sessions) = (String::new(), String::new());
    for (at, way) in ways.iter().enumerate() {
        addresses += &format!("l{at} = [\"10.50.{at}.1/24\"], ");
        sessions +=
            &format!(" neighbor 10.50.{at}.2 remote-as 64901\n neighbor 10.50.{at}.2 timers connect 1\n");
        let way = way.replace("PEER", &format!("10.50.{at}.1"));
        let config = format!("router bgp 64901\n no bgp ebgp-requires-policy\n{way}\n");
        text += &router(&format!("b{at}"), &format!("h = [\"10.50.{at}.2/24\"]"), &config);
        text += &link(&format!("a:l{at}"), &format!("b{at}:h"));
    }
    let networks: String = (1..5).map(|at| format!("  network 10.64.{at}.0/24\n")).collect();
    let config = format!(
        "router bgp 64900\n no bgp ebgp-requires-policy\n no bgp network import-check\n{sessions} address-family ipv4 \
         unicast\n{networks}"
    );
    text + &router("a", &addresses, &config)
}

const OWN: &str = " neighbor PEER remote-as 64900\n neighbor PEER timers connect 1\n address-family ipv4 unicast\n  neighbor \
                   PEER maximum-prefix 2";
const OF_GROUP: &str = " neighbor G peer-group\n neighbor G remote-as 64900\n neighbor G timers connect 1\n neighbor PEER \
                        peer-group G\n address-family ipv4 unicast\n  neighbor G maximum-prefix 2";
const IN_GROUP: &str = " neighbor G peer-group\n neighbor G remote-as 64900\n neighbor G timers connect 1\n neighbor PEER \
                        peer-group G\n address-family ipv4 unicast\n  neighbor PEER maximum-prefix 2";
const IPV4: &str = "address-family ipv4 unicast";
const BGP: &str = "router bgp 64901";

#[test]
fn limits_of_prefixes_hold_and_are_lifted_as_with_bgpd() {
    if !has_frr() {
        return;
    }
    let warned = OWN.replace("maximum-prefix 2", "maximum-prefix 2 warning-only");
    let higher = OF_GROUP.replace("maximum-prefix 2", "maximum-prefix 9");
    let both = Both::up(&limited(&[
        OWN, OF_GROUP, OF_GROUP, IN_GROUP, OWN, OWN, &warned, &higher, OWN,
    ]));
    let down = "Idle(PfxCt)";
    let stands = |node: &str, state: &str| {
        let peer = node.replace('b', "10.50.");
        both.both_say(node, STATES, &format!("{peer}.1 {state}"));
    };
    for node in ["b0", "b1", "b2", "b3", "b4", "b5", "b8"] {
        stands(node, down);
    }
    stands("b6", "44");
    stands("b7", "44");
    both.agree("b0", "show bgp neighbors 10.50.0.1", |answer| {
        let wanted = [
            "remote router",
            "Maximum prefixes",
            "Threshold",
            "exceeded",
            "Reduce",
            "Foreign host",
            "Restart Time",
        ];
        let is_wanted = |line: &&str| wanted.iter().any(|word| line.contains(word));
        let lines = answer.lines().filter(is_wanted);
        lines
            .map(|line| line.split(", Foreign port").next().unwrap_or(line).to_owned() + "\n")
            .collect()
    });
    // Another limit brings none back, nor does a warning alone.
    both.configure("b0", &[BGP, IPV4, "neighbor 10.50.0.1 maximum-prefix 9"]);
    both.configure(
        "b4",
        &[BGP, IPV4, "neighbor 10.50.4.1 maximum-prefix 2 warning-only"],
    );
    // The end of the limit does: of the group's for its members, who inherit what they do not say.
    both.configure("b1", &[BGP, IPV4, "no neighbor G maximum-prefix"]);
    both.configure("b2", &[BGP, IPV4, "no neighbor 10.50.2.1 maximum-prefix"]);
    both.configure("b3", &[BGP, IPV4, "no neighbor 10.50.3.1 maximum-prefix"]);
    both.configure("b5", &[BGP, IPV4, "no neighbor 10.50.5.1 maximum-prefix"]);
    // A lower one holds at once, also after a warning.
    both.configure("b6", &[BGP, IPV4, "neighbor 10.50.6.1 maximum-prefix 2"]);
    both.configure("b7", &[BGP, IPV4, "neighbor G maximum-prefix 3"]);
    // Whoever is shut down begins anew.
    both.configure("b8", &[BGP, IPV4, "neighbor 10.50.8.1 maximum-prefix 9"]);
    both.configure(
        "b8",
        &[
            BGP,
            "neighbor 10.50.8.1 shutdown",
            "no neighbor 10.50.8.1 shutdown",
        ],
    );
    for node in ["b1", "b5", "b8"] {
        stands(node, "44");
    }
    for node in ["b0", "b2", "b3", "b4", "b6", "b7"] {
        stands(node, down);
    }
    both.configure("b2", &[BGP, IPV4, "no neighbor G maximum-prefix"]);
    both.sh("b0", "vtysh -c 'clear bgp 10.50.0.1'");
    both.sh("b3", "vtysh -c 'clear bgp *'");
    both.sh("b4", "vtysh -c 'clear bgp external'");
    for node in ["b0", "b2", "b3", "b4"] {
        stands(node, "44");
    }
}

#[test]
fn network_and_redistribute_of_one_prefix_are_two_routes() {
    if !has_frr() {
        return;
    }
    let a = router(
        "a",
        "l = [\"10.50.0.1/24\", \"2001:db8:50::1/64\"]",
        "ip route 10.79.1.0/24 Null0\nip route 10.79.2.0/24 Null0\nip route 10.79.3.0/24 Null0\nip route 10.79.4.0/24 Null0\n\
         ipv6 route 2001:db8:79::/64 Null0\nroute-map INC permit 10\n set origin incomplete\nroute-map HIGH permit 10\n set \
         origin incomplete\n set metric 9\nroute-map LOW permit 10\n set weight 5\nrouter bgp 64900\n no bgp \
         ebgp-requires-policy\n neighbor 10.50.0.2 remote-as 64901\n address-family ipv4 unicast\n  network 10.79.1.0/24\n  \
         network 10.79.2.0/24 route-map INC\n  network 10.79.3.0/24 route-map HIGH\n  network 10.79.4.0/24 route-map LOW\n  \
         network 10.79.9.0/24\n  redistribute connected\n  redistribute static\n \
         address-family ipv6 unicast\n  network 2001:db8:79::/64\n  redistribute static\n  neighbor 10.50.0.2 activate\n",
    );
    let b = router(
        "b",
        "h = [\"10.50.0.2/24\", \"2001:db8:50::2/64\"]",
        "router bgp 64901\n no bgp ebgp-requires-policy\n neighbor 10.50.0.1 remote-as 64900\n address-family ipv6 unicast\n  \
         neighbor 10.50.0.1 activate\n",
    );
    let both = Both::up(&format!("name = \"owns\"\n{a}{b}{}", link("a:l", "b:h")));
    let agree = || {
        both.agree("a", "show bgp ipv4 unicast", rows);
        both.agree("b", "show bgp ipv4 unicast", rows);
        both.agree("a", "show bgp ipv6 unicast", rows);
        for number in 1..5 {
            both.agree(
                "a",
                &format!("show bgp ipv4 unicast 10.79.{number}.0/24"),
                timeless,
            );
        }
    };
    let count = "vtysh -c 'show bgp ipv4 unicast' | grep -c '^[*]'";
    both.both_say("b", count, "5");
    agree();
    // One goes, and the other stays.
    let address_family = ["router bgp 64900", IPV4];
    let say = |lines: &[&str]| both.configure("a", &[&address_family, lines].concat());
    say(&["no network 10.79.1.0/24", "no network 10.79.2.0/24"]);
    agree();
    say(&["network 10.79.1.0/24", "no redistribute static"]);
    both.both_say("b", count, "4");
    agree();
    say(&["redistribute static metric 5"]);
    both.both_say("b", count, "5");
    agree();
    both.configure(
        "a",
        &["no ip route 10.79.1.0/24 Null0", "no ip route 10.79.3.0/24 Null0"],
    );
    agree();
}

/// Each community with a meaning on a route from another AS.
#[test]
fn communities_mean_what_bgpd_says() {
    if !has_frr() {
        return;
    }
    let communities = [
        "blackhole",
        "no-export",
        "no-advertise",
        "local-AS",
        "accept-own",
        "route-filter-v4",
        "llgr-stale",
        "no-llgr",
        "accept-own-nexthop",
        "no-peer",
        "no-export no-advertise",
        "blackhole no-advertise",
        "llgr-stale blackhole",
        "internet",
    ];
    let (mut maps, mut networks) = (String::new(), String::new());
    for (at, community) in communities.iter().enumerate() {
        maps += &format!("route-map M{at} permit 10\n set community {community}\n");
        networks += &format!("  network 10.60.{at}.0/24 route-map M{at}\n");
    }
    let a = format!(
        "{maps}router bgp 64900\n no bgp ebgp-requires-policy\n no bgp network import-check\n neighbor 10.50.0.2 remote-as \
         64901\n address-family ipv4 unicast\n{networks}"
    );
    let b = "ip prefix-list L permit 10.60.13.0/24\nroute-map BH permit 10\n match ip address prefix-list L\n set community \
             blackhole additive\nroute-map BH permit 20\nrouter bgp 64901\n no bgp ebgp-requires-policy\n neighbor 10.50.0.1 \
             remote-as 64900\n neighbor 10.51.0.2 remote-as 64901\n neighbor 10.52.0.2 remote-as 64902\n address-family ipv4 \
             unicast\n  neighbor 10.51.0.2 next-hop-self\n  neighbor 10.50.0.1 route-map BH in\n";
    let plain = |own: u32, at: &str, other: u32| {
        format!("router bgp {own}\n no bgp ebgp-requires-policy\n neighbor {at} remote-as {other}\n")
    };
    let text = [
        "name = \"meanings\"\n".to_owned(),
        router("a", "l = [\"10.50.0.1/24\"]", &a),
        router(
            "b",
            "h = [\"10.50.0.2/24\"], i = [\"10.51.0.1/24\"], e = [\"10.52.0.1/24\"]",
            b,
        ),
        router("i", "b = [\"10.51.0.2/24\"]", &plain(64901, "10.51.0.1", 64901)),
        router("e", "b = [\"10.52.0.2/24\"]", &plain(64902, "10.52.0.1", 64901)),
        link("a:l", "b:h"),
        link("b:i", "i:b"),
        link("b:e", "e:b"),
    ];
    let both = Both::up(&text.concat());
    both.both_say("i", "vtysh -c 'show bgp ipv4 unicast' | grep -c '^[*]'", "9");
    for node in ["i", "e"] {
        both.agree(node, "show bgp ipv4 unicast", rows);
    }
    for at in 0..communities.len() {
        for node in ["a", "b"] {
            let command = format!("show bgp ipv4 unicast 10.60.{at}.0/24");
            // What is told to nobody is not on `b` at all.
            both.agree(node, &command, timeless);
        }
    }
}

#[test]
fn routes_that_lead_nowhere_are_those_of_zebra() {
    if !has_frr() {
        return;
    }
    let mut config = String::new();
    for (at, way) in ["reject", "blackhole", "Null0"].iter().enumerate() {
        config += &format!("ip route 10.2.{at}.0/24 {way}\nipv6 route 2001:db8:2:{at}::/64 {way}\n");
    }
    config += "router bgp 64900\n address-family ipv4 unicast\n  network 10.3.0.0/24\n  network \
               10.3.9.0/24\n  redistribute kernel\n  redistribute static\n";
    let kinds = ["unreachable", "blackhole", "prohibit"];
    let routes = kinds.iter().enumerate().map(|(at, kind)| {
        format!(
            "{{ to = \"10.3.{at}.0/24\", type = \"{kind}\" }}, {{ to = \"2001:db8:3:{at}::/64\", type = \"{kind}\" }}, "
        )
    });
    let a = router(
        "a",
        "l = [\"10.50.0.1/24\", \"169.254.7.1/24\", \"2001:db8:50::1/64\"]",
        &config,
    );
    let routes: String = routes.collect();
    let a = a.replace("config =", &format!("routes = [{routes}]\nconfig ="));
    let text = format!(
        "name = \"nowhere\"\n{a}[nodes.b]\nkind = \"host\"\n{}",
        link("a:l", "b:h")
    );
    let both = Both::up(&text);
    let agree = || {
        for command in [
            "show ip route",
            "show ipv6 route",
            "show ip route 10.2.0.0/24",
            "show ip route 10.3.2.0/24",
        ] {
            both.agree("a", command, timeless);
        }
        both.agree("a", "show bgp ipv4 unicast", rows);
        both.agree("a", "show ip route json", |answer| {
            let words = [
                "\"unreachable\"",
                "\"reject\"",
                "\"blackhole\"",
                "\"admin-prohibited\"",
                "\"prefix\"",
            ];
            let is_wanted = |line: &&str| words.iter().any(|word| line.contains(word));
            answer
                .lines()
                .filter(is_wanted)
                .map(|line| line.to_owned() + "\n")
                .collect()
        });
    };
    agree();
    both.sh(
        "a",
        "ip route add unreachable 10.4.0.0/24 metric 5; ip -6 route add prohibit 2001:db8:4::/64",
    );
    // Of the ways to drop there is one at a time.
    both.configure(
        "a",
        &[
            "ip route 10.2.1.0/24 reject",
            "no ip route 10.2.2.0/24 blackhole",
            "ip route 10.2.3.0/24 reject 200",
        ],
    );
    agree();
    both.agree("a", "show running-config", |answer| {
        let lines = answer.lines().filter(|line| line.contains(" route "));
        lines.map(|line| line.to_owned() + "\n").collect()
    });
    // 169.254.0.0/16 names no router.
    both.both_say(
        "a",
        "vtysh -c 'show bgp ipv4 unicast' | grep -o 'router ID is [0-9.]*'",
        "router ID is 10.50.0.1",
    );
}

/// Settings of a group: what its members say themselves, what the group says, and when they join.
#[test]
fn settings_of_groups_hold_in_any_order() {
    if !has_frr() {
        return;
    }
    let settings = [
        ("ebgp-multihop 9", "ebgp-multihop 5", false),
        ("advertisement-interval 7", "advertisement-interval 8", false),
        ("timers 5 15", "timers 6 18", false),
        ("password aa", "password bb", false),
        ("update-source 10.0.0.1", "update-source 10.0.0.2", false),
        ("local-as 77", "local-as 78 no-prepend", false),
        ("disable-connected-check", "disable-connected-check", false),
        ("next-hop-self", "next-hop-self force", true),
        ("maximum-prefix 7", "maximum-prefix 8 90", true),
        ("allowas-in 2", "allowas-in 4", true),
        ("prefix-list X in", "prefix-list Y in", true),
        ("remove-private-AS", "remove-private-AS all", true),
        ("attribute-unchanged med", "attribute-unchanged as-path", true),
        ("route-server-client", "route-server-client", true),
        ("disable-addpath-rx", "disable-addpath-rx", true),
        ("unsuppress-map X", "unsuppress-map Y", true),
    ];
    // Joining, the own setting and its end, the group's and its end.
    let orders = ["gj", "jg", "ogj", "jog", "ojg", "gjoO", "jgG", "ogjG", "oj"];
    let mut lines = vec!["router bgp 64900".to_owned()];
    for (at, (own, of_group, in_family)) in settings.iter().enumerate() {
        for (number, order) in orders.iter().enumerate() {
            let (group, peer) = (format!("G{at}-{order}"), format!("10.{at}.{number}.2"));
            lines.extend([
                format!("neighbor {group} peer-group"),
                format!("neighbor {peer} remote-as 64901"),
            ]);
            for step in order.chars() {
                let line = match step {
                    'j' => {
                        lines.push(format!("neighbor {peer} peer-group {group}"));
                        continue;
                    }
                    'o' => format!("neighbor {peer} {own}"),
                    'O' => format!("no neighbor {peer} {own}"),
                    'g' => format!("neighbor {group} {of_group}"),
                    _ => format!("no neighbor {group} {of_group}"),
                };
                match in_family {
                    true => lines.extend([IPV4.to_owned(), line, "exit-address-family".to_owned()]),
                    false => lines.push(line),
                }
            }
        }
    }
    // `ttl-security` of a group, whose members have none of their own.
    for (number, order) in ["gj", "jg", "ogj", "oj"].iter().enumerate() {
        let (group, peer) = (format!("T-{order}"), format!("10.99.{number}.2"));
        lines.extend([
            format!("neighbor {group} peer-group"),
            format!("neighbor {peer} remote-as 64901"),
        ]);
        lines.extend(order.chars().map(|step| match step {
            'j' => format!("neighbor {peer} peer-group {group}"),
            'o' => format!("neighbor {peer} ttl-security hops 3"),
            _ => format!("neighbor {group} ttl-security hops 4"),
        }));
    }
    let a = router(
        "a",
        "l = [\"10.250.0.1/24\"]",
        "route-map X permit 10\nroute-map Y permit 10\nip prefix-list X permit any\nip prefix-list Y permit any\nrouter bgp \
         64900\n",
    );
    let a = a.replace(
        "config =",
        &format!(
            "files = {{ \"/tmp/lines\" = {{ content = \"{}\\n\" }} }}\nconfig =",
            lines.join("\\n")
        ),
    );
    let text = format!(
        "name = \"groups\"\n{a}[nodes.b]\nkind = \"host\"\n{}",
        link("a:l", "b:h")
    );
    let both = Both::up(&text);
    both.sh("a", "vtysh -f /tmp/lines >/tmp/said 2>&1; true");
    both.agree("a", "show running-config", neighbors);
    both.agree("a", "show bgp neighbors json", settings_of_neighbors);
}

/// What holds for each neighbor, of what groups say and their members do.
fn settings_of_neighbors(answer: &str) -> String {
    let words = [
        "MaxHopsAway",
        "localAs",
        "remoteAs",
        "Propogated",
        "privateAs",
        "PathPolicy",
    ];
    let Ok(serde_json::Value::Object(all)) = serde_json::from_str(answer) else {
        return String::new();
    };
    let mut lines = Vec::new();
    for (name, neighbor) in &all {
        let family = &neighbor["addressFamilyInfo"]["ipv4Unicast"];
        let both = [neighbor, family].into_iter().filter_map(|it| it.as_object());
        // But for a quirk of members whose group was a route server's.
        let wanted = both.flatten().filter(|(key, _)| {
            words.iter().any(|word| key.contains(word)) && !key.contains("unchangedNextHop")
        });
        lines.extend(wanted.map(|(key, value)| format!("{name} {key} {value}\n")));
    }
    lines.sort();
    lines.concat()
}

/// A configuration file that is the host's own, one that may only be read, and one of the node's.
#[test]
fn a_configuration_is_written_where_it_is_bound_or_it_is_said_why_not() {
    const TOPOLOGY: &str = r#"
name: bound
topology:
  defaults: { kind: linux, image: "frrouting/frr" }
  nodes:
    ro: { binds: [ "daemons:/etc/frr/daemons", "ro.conf:/etc/frr/frr.conf:ro" ] }
    rw: { binds: [ "daemons:/etc/frr/daemons", "rw.conf:/etc/frr/frr.conf" ] }
    own: { binds: [ "daemons:/etc/frr/daemons" ] }
"#;
    const CONFIG: &str = "frr defaults traditional\nhostname r1\nrouter bgp 64701\n";
    const NEIGHBOR: &str = "neighbor 10.0.0.2 remote-as 64702";
    let engines = ["frr", "builtin"];
    for engine in engines
        .into_iter()
        .filter(|engine| *engine == "builtin" || has_frr())
    {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        for (name, text) in [
            ("bound.clab.yml", TOPOLOGY),
            ("daemons", "zebra=yes\nbgpd=yes\n"),
            ("ro.conf", CONFIG),
            ("rw.conf", CONFIG),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        let lab = common::Lab::of_file(&path("bound.clab.yml"));
        lab.ok(["up", "-d", "--engine", engine, lab.file()]);
        for node in ["ro", "rw", "own"] {
            let line = format!("vtysh -c 'configure terminal' -c 'router bgp 64701' -c '{NEIGHBOR}'");
            lab.sh(node, &line);
        }
        for command in [
            "write",
            "write memory",
            "write file",
            "write integrated",
            "copy running-config startup-config",
        ] {
            for node in ["rw", "own"] {
                let said = lab.ok(["exec", node, "vtysh", "-c", command]);
                assert!(
                    said.ends_with("saved to /etc/frr/frr.conf\n[OK]\n"),
                    "{engine} {node}: {said}"
                );
            }
            let done = lab.run(["exec", "ro", "vtysh", "-c", command]);
            let said = done.out + &done.err;
            let why = "% Error: failed to open configuration file /etc/frr/frr.conf: Read-only file system\n";
            assert!(
                done.code == 1 && said.contains(why) && !said.contains("OK"),
                "{engine}: {said}"
            );
        }
        assert_eq!(lab.run(["exec", "ro", "vtysh", "-w"]).code, 13, "{engine}");
        assert!(
            read("rw.conf").contains(NEIGHBOR),
            "{engine}: {}",
            read("rw.conf")
        );
        assert_eq!(read("ro.conf"), CONFIG, "{engine}");
        lab.sh(
            "own",
            &format!("grep -q '{NEIGHBOR}' /etc/frr/frr.conf && test -e /etc/frr/frr.conf.sav"),
        );
        for node in ["ro", "rw", "own"] {
            lab.sh(node, "test ! -e /etc/frr/frr.conf.new");
        }
    }
}

/// What hosts are told by a router, in their own kernel's words.
#[test]
fn hosts_make_addresses_of_what_routers_advertise() {
    if !has_frr() {
        return;
    }
    let config = "interface e\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 1\ninterface f\n no ipv6 nd suppress-ra\n ipv6 nd \
                  ra-interval 1\n ipv6 nd prefix 2001:db8:2::/64 off-link\n ipv6 nd prefix 2001:db8:3::/64 300 200\n ipv6 nd \
                  prefix 2001:db8:4::/64 no-autoconfig\n ipv6 nd mtu 1400\n ipv6 nd ra-lifetime 77\n ipv6 nd ra-hop-limit \
                  33\ninterface g\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 1\n ipv6 nd ra-lifetime 0\n ipv6 nd \
                  managed-config-flag\n";
    let addresses = "e = [\"2001:db8:a::1/64\"], f = [\"2001:db8:b::1/64\"], g = [\"2001:db8:c::1/64\"]";
    let mut text = format!("name = \"hosts\"\n{}", router("r", addresses, config));
    for name in ["e", "f", "g"] {
        text += &format!(
            "[nodes.h{name}]\nkind = \"host\"\n{}",
            link(&format!("r:{name}"), &format!("h{name}:{name}"))
        );
    }
    let both = Both::up(&text);
    let prefixes = |name: &str| {
        format!(
            "ip -6 -o addr show dev {name} dynamic | grep -o '2001:db8:[0-9a-f]*' | sort -u | tr '\\n' ' '"
        )
    };
    both.both_say("he", &prefixes("e"), "2001:db8:a");
    both.both_say("hf", &prefixes("f"), "2001:db8:2 2001:db8:3 2001:db8:b");
    both.both_say("hg", &prefixes("g"), "2001:db8:c");
    let routes = |name: &str| {
        format!(
            "ip -6 route show dev {name} proto kernel | grep -o '^2001:db8:[0-9a-f]*::/64' | sort -u | tr '\\n' ' '; ip -6 route \
             show default dev {name} | wc -l"
        )
    };
    both.both_say(
        "hf",
        &routes("f"),
        "2001:db8:3::/64 2001:db8:4::/64 2001:db8:b::/64 1",
    );
    both.both_say("hg", &routes("g"), "2001:db8:c::/64 0");
    both.both_say(
        "hf",
        "cat /proc/sys/net/ipv6/conf/f/mtu /proc/sys/net/ipv6/conf/f/hop_limit | tr '\\n' ' '",
        "1400 33",
    );
}
