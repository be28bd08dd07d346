//! Routers that run nslab's own speaker: sessions and routes as FRR has them, alone and with FRR at the other end.

use crate::common;
use crate::common::host;

use std::time::{Duration, Instant};

use common::{Lab, has_frr, until};
use host::{do_aside, ip_json, reaches};

/// A router; `more` are further lines of its table.
fn router(name: &str, engine: &str, more: &str, config: &str) -> String {
    format!("[nodes.{name}]\nkind = \"router\"\nengine = \"{engine}\"\n{more}\nconfig = '''\n{config}'''\n")
}

fn lab(name: &str, nodes: &[String], links: &[[&str; 2]]) -> Lab {
    let links = links
        .iter()
        .map(|[a, b]| format!("[[links]]\nendpoints = [\"{a}\", \"{b}\"]\n"));
    let text = format!(
        "name = \"{name}\"\n{}{}",
        nodes.concat(),
        links.collect::<String>()
    );
    Lab::up(&text)
}

/// A router in a data center that peers on these interfaces.
fn fabric(asn: u32, interfaces: &[&str]) -> String {
    let neighbors = interfaces
        .iter()
        .map(|name| format!(" neighbor {name} interface remote-as external\n"));
    format!(
        "frr defaults datacenter\nrouter bgp {asn}\n bgp bestpath as-path multipath-relax\n{} \
         address-family ipv4 unicast\n  redistribute connected\n",
        neighbors.collect::<String>()
    )
}

/// Two routers with a network between them, 10.0.0.1 and 10.0.0.2, of which each also has 10.255.0.1/32 or .2/32 to tell.
fn pair(name: &str, engines: [&str; 2], left: &str, right: &str) -> Lab {
    let one = |number: u8, engine: &str, session: &str| {
        let other = 3 - number;
        let config = format!(
            "frr defaults datacenter\nrouter bgp 6500{number}\n neighbor 10.0.0.{other} remote-as 6500{other}\n{session} \
             address-family ipv4 unicast\n  redistribute connected\n"
        );
        let addresses =
            format!("addresses = {{ lo = [\"10.255.0.{number}/32\"], net0 = [\"10.0.0.{number}/24\"] }}");
        let node = ["a", "b"][usize::from(number) - 1];
        router(node, engine, &addresses, &config)
    };
    let nodes = [one(1, engines[0], left), one(2, engines[1], right)];
    lab(name, &nodes, &[["a:net0", "b:net0"]])
}

/// The routes of a protocol in a node: destination and, in order, interfaces.
fn routes(lab: &Lab, node: &str, protocol: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for family in ["-4", "-6"] {
        let all = ip_json(lab, node, &format!("{family} route show proto {protocol}"));
        for route in all.as_array().unwrap() {
            let hops = route["nexthops"].as_array().cloned();
            let hops = hops.unwrap_or_else(|| vec![route.clone()]);
            let names = hops
                .iter()
                .filter_map(|hop| Some(hop["dev"].as_str()?.to_owned()));
            let mut names: Vec<String> = names.collect();
            names.sort();
            found.push((route["dst"].as_str().unwrap().to_owned(), names));
        }
    }
    found
}

fn learned(lab: &Lab, node: &str) -> Vec<String> {
    routes(lab, node, "bgp").into_iter().map(|(to, _)| to).collect()
}

fn knows(lab: &Lab, node: &str, destination: &str) -> bool {
    learned(lab, node).iter().any(|to| to == destination)
}

fn until_known(lab: &Lab, node: &str, destination: &str) {
    until(&format!("{destination} on {node}"), || {
        knows(lab, node, destination)
    });
}

fn until_forgotten(lab: &Lab, node: &str, destination: &str) {
    until(&format!("{node} to forget {destination}"), || {
        !knows(lab, node, destination)
    });
}

/// Sends a signal to the speaker of a node.
fn signal(lab: &Lab, node: &str, signal: &str) {
    let line = format!(
        "for it in /proc/[0-9]*; do tr '\\0' ' ' <$it/cmdline | grep -q '^/usr/lib/nslab/nslab speaker' \
         && kill -{signal} ${{it#/proc/}}; done; true"
    );
    lab.sh(node, &line);
}

/// A spine, two leaves with two links to it each, and a host behind each leaf; nothing between routers has an address.
fn small_fabric(name: &str, engines: [&str; 3]) -> Lab {
    let leaf = |number: u8| {
        let addresses =
            format!("addresses = {{ lo = [\"10.255.0.{number}/32\"], hosts = [\"10.{number}.0.1/24\"] }}");
        let node = format!("leaf{number}");
        let config = fabric(65000 + u32::from(number), &["up0", "up1"]);
        let host = format!(
            "[nodes.host{number}]\nkind = \"host\"\naddresses = {{ eth0 = [\"10.{number}.0.2/24\"] }}\n\
             routes = [{{ to = \"default\", via = \"10.{number}.0.1\" }}]\n"
        );
        router(&node, engines[usize::from(number)], &addresses, &config) + &host
    };
    let spine = router(
        "spine",
        engines[0],
        "addresses = { lo = [\"10.255.0.0/32\"] }",
        &fabric(65000, &["down0", "down1", "down2", "down3"]),
    );
    lab(
        name,
        &[spine, leaf(1), leaf(2)],
        &[
            ["spine:down0", "leaf1:up0"],
            ["spine:down1", "leaf1:up1"],
            ["spine:down2", "leaf2:up0"],
            ["spine:down3", "leaf2:up1"],
            ["leaf1:hosts", "host1:eth0"],
            ["leaf2:hosts", "host2:eth0"],
        ],
    )
}

/// What leaf1 of such a fabric has learned.
fn of_leaf1() -> Vec<(String, Vec<String>)> {
    let both = || vec!["up0".to_owned(), "up1".to_owned()];
    ["10.2.0.0/24", "10.255.0.0", "10.255.0.2"]
        .map(|to| (to.to_owned(), both()))
        .to_vec()
}

fn until_converged(lab: &Lab) {
    until("all routes on leaf1", || {
        routes(lab, "leaf1", "bgp") == of_leaf1()
    });
}

#[test]
fn a_fabric_without_addresses_has_its_routes_at_once() {
    let began = Instant::now();
    let lab = small_fabric("fabric", ["builtin"; 3]);
    until_converged(&lab);
    // The lab itself takes a tenth of a second; the rest is what this is about.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    until_known(&lab, "leaf2", "10.1.0.0/24");
    reaches(&lab, "host1", "10.2.0.2");
    let node = lab.node("spine");
    assert_eq!(node["engine"], "builtin");
    assert_eq!(node["services"][0]["name"], "speaker");
    let route = &ip_json(&lab, "spine", "route show 10.255.0.1")[0];
    assert_eq!(route["metric"], 20, "{route}");
    assert_eq!(route["protocol"], "bgp", "{route}");
}

#[test]
fn engines_mix() {
    if !has_frr() {
        return;
    }
    for engines in [["frr", "builtin", "builtin"], ["builtin", "frr", "builtin"]] {
        let lab = small_fabric("mixed", engines);
        until_converged(&lab);
        until_known(&lab, "leaf2", "10.1.0.0/24");
        reaches(&lab, "host1", "10.2.0.2");
    }
}

#[test]
fn a_speaker_that_is_killed_comes_back_and_is_seen_to() {
    let lab = small_fabric("killed", ["builtin"; 3]);
    until_converged(&lab);
    signal(&lab, "spine", "KILL");
    until("its restart", || {
        lab.node("spine")["services"][0]["restarts"] == 1
    });
    until_converged(&lab);
    until_known(&lab, "spine", "10.1.0.0/24");
    let events = lab.ok(["events"]);
    assert!(events.contains("spine: process speaker"), "{events}");
}

#[test]
fn a_speaker_that_ends_says_so_and_takes_its_routes_along() {
    let lab = pair("ending", ["builtin"; 2], "", "");
    until_known(&lab, "a", "10.255.0.2");
    until_known(&lab, "b", "10.255.0.1");
    signal(&lab, "b", "TERM");
    until_forgotten(&lab, "a", "10.255.0.2");
    until("the neighbor's words", || {
        lab.ok(["logs", "a"]).contains("Notification received (Cease/")
    });
    // It is started again, as it was not asked to end by the lab.
    until_known(&lab, "a", "10.255.0.2");
}

#[test]
fn routes_of_an_earlier_life_are_swept() {
    let lab = pair("stale", ["builtin"; 2], "", "");
    until_known(&lab, "a", "10.255.0.2");
    lab.sh("a", "ip route add 192.0.2.0/24 via 10.0.0.2 proto bgp metric 20");
    signal(&lab, "a", "KILL");
    until_forgotten(&lab, "a", "192.0.2.0/24");
    until_known(&lab, "a", "10.255.0.2");
}

#[test]
fn a_link_that_breaks_takes_its_routes_and_brings_them_back() {
    let lab = small_fabric("broken", ["builtin"; 3]);
    until_converged(&lab);
    lab.sh("leaf1", "ip link set up0 down");
    let far = |ways: &[&str]| {
        let ways: Vec<String> = ways.iter().map(|way| (*way).to_owned()).collect();
        let all = routes(&lab, "leaf1", "bgp");
        all.contains(&("10.2.0.0/24".to_owned(), ways))
    };
    until("one way less", || far(&["up1"]));
    reaches(&lab, "host1", "10.2.0.2");
    lab.sh("leaf1", "ip link set up1 down");
    until("no way", || learned(&lab, "leaf1").is_empty());
    until_forgotten(&lab, "leaf2", "10.1.0.0/24");
    lab.sh("leaf1", "ip link set up0 up; ip link set up1 up");
    until_converged(&lab);
    // Down and up again before anybody could look: what the kernel has dropped in between comes back.
    lab.sh("leaf1", "ip link set up0 down; ip link set up0 up");
    until_converged(&lab);
    until_known(&lab, "leaf2", "10.1.0.0/24");
    reaches(&lab, "host1", "10.2.0.2");
}

#[test]
fn routes_that_somebody_deletes_are_put_back() {
    let lab = pair("deleted", ["builtin"; 2], "", "");
    until_known(&lab, "a", "10.255.0.2");
    lab.sh("a", "ip route del 10.255.0.2");
    until_known(&lab, "a", "10.255.0.2");
}

#[test]
fn redistribution_follows_live_changes() {
    let more =
        " address-family ipv4 unicast\n  redistribute kernel\n  redistribute static\n exit-address-family\n";
    let lab = pair("live", ["builtin"; 2], more, "");
    until_known(&lab, "b", "10.255.0.1");
    lab.sh("a", "ip address add 10.9.0.1/24 dev lo");
    until_known(&lab, "b", "10.9.0.0/24");
    lab.sh("a", "ip address del 10.9.0.1/24 dev lo");
    until_forgotten(&lab, "b", "10.9.0.0/24");
    lab.sh("a", "ip route add blackhole 10.8.0.0/16");
    until_known(&lab, "b", "10.8.0.0/16");
    lab.sh("a", "ip route del blackhole 10.8.0.0/16");
    until_forgotten(&lab, "b", "10.8.0.0/16");
}

#[test]
fn sessions_are_signed() {
    let password = |word: &str, other: u8| format!(" neighbor 10.0.0.{other} password {word}\n");
    let mut engines = vec![["builtin"; 2]];
    if has_frr() {
        engines.push(["builtin", "frr"]);
        engines.push(["frr", "builtin"]);
    }
    for engines in engines {
        let lab = pair("signed", engines, &password("secret", 2), &password("secret", 1));
        until_known(&lab, "a", "10.255.0.2");
        until_known(&lab, "b", "10.255.0.1");
    }
    let lab = pair(
        "missigned",
        ["builtin"; 2],
        &password("one", 2),
        &password("other", 1),
    );
    // Nothing tells of what does not come; a session without signatures would be up after some milliseconds.
    std::thread::sleep(Duration::from_secs(2));
    assert!(learned(&lab, "a").is_empty());
}

#[test]
fn near_neighbors_prove_that_they_are() {
    let near = |other: u8| format!(" neighbor 10.0.0.{other} ttl-security hops 1\n");
    let mut engines = vec![["builtin"; 2]];
    if has_frr() {
        engines.push(["builtin", "frr"]);
        engines.push(["frr", "builtin"]);
    }
    for engines in engines {
        let lab = pair("near", engines, &near(2), &near(1));
        until_known(&lab, "a", "10.255.0.2");
        until_known(&lab, "b", "10.255.0.1");
    }
    // One that says less than it has to is not heard.
    let lab = pair("far", ["builtin"; 2], &near(2), "");
    std::thread::sleep(Duration::from_secs(2));
    assert!(learned(&lab, "a").is_empty());
}

#[test]
fn static_routes_and_addresses_are_the_configurations() {
    let config = "interface net0\n ip address 192.0.2.1/24\n ipv6 address 2001:db8::1/64\n!\n\
        ip route 10.1.0.0/16 192.0.2.2\nip route 10.2.0.0/16 10.1.0.1\nip route 10.3.0.0/16 blackhole\n\
        ip route 10.4.0.0/16 Null0\nip route 10.5.0.0/16 net0\nip route 10.6.0.0/16 203.0.113.1 net0 onlink\n\
        ip route 10.1.0.0/16 blackhole 250\nipv6 route 2001:db8:1::/48 2001:db8::2\n";
    let a = router("a", "builtin", "", config);
    let b = "[nodes.b]\nkind = \"host\"\naddresses = { eth0 = [\"192.0.2.2/24\"] }\n".to_owned();
    let lab = lab("statics", &[a, b], &[["a:net0", "b:eth0"]]);
    // In numbers: 196 is FRR's static routes, type 6 drops, and not every host has names for them.
    let shown = |line: &str| {
        let text = lab.sh("a", &format!("ip -N route show {line}"));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let first = "10.1.0.0/16 via 192.0.2.2 dev net0 proto 196 metric 20";
    until("static routes", || shown("10.1.0.0/16") == first);
    for (to, route) in [
        (
            "10.2.0.0/16",
            "10.2.0.0/16 via 192.0.2.2 dev net0 proto 196 metric 20",
        ),
        ("10.3.0.0/16", "6 10.3.0.0/16 proto 196 metric 20"),
        ("10.4.0.0/16", "6 10.4.0.0/16 proto 196 metric 20"),
        ("10.5.0.0/16", "10.5.0.0/16 dev net0 proto 196 metric 20"),
        (
            "10.6.0.0/16",
            "10.6.0.0/16 via 203.0.113.1 dev net0 proto 196 metric 20 onlink",
        ),
    ] {
        assert_eq!(shown(to), route);
    }
    let v6 = lab.sh("a", "ip -6 route show 2001:db8:1::/48");
    assert!(v6.contains("via 2001:db8::2 dev net0"), "{v6}");
    reaches(&lab, "a", "192.0.2.2");
    // They go with the link, one of a greater distance takes the place of another, and all comes back.
    lab.sh("b", "ip link set eth0 down");
    until("the next best", || {
        shown("10.1.0.0/16") == "6 10.1.0.0/16 proto 196 metric 20"
    });
    until("the others to go", || shown("10.2.0.0/16").is_empty());
    lab.sh("b", "ip link set eth0 up");
    until("the best", || shown("10.1.0.0/16") == first);
    lab.sh("a", "ip link set net0 down; ip link set net0 up");
    until("the best", || shown("10.1.0.0/16") == first);
}

#[test]
fn what_the_dialect_lacks_is_told_all_at_once_before_anything_is_made() {
    let nodes = [
        router(
            "a",
            "builtin",
            "",
            "router bgp 65000\n neighbr 10.0.0.1 remote-as 1\n neighbor 10.0.0.2 remote-as 2\n neighbor 10.0.0.2 bfd\n",
        ),
        router("b", "builtin", "", "router ospf\n network 10.0.0.0/8 area 0\n"),
    ];
    let lab = Lab::new(&format!("name = \"wrong\"\n{}", nodes.concat()));
    let words = [
        "configuration of a",
        "configuration of b",
        "line 8:  neighbr",
        "^^^^^^^ unknown",
        "line 10:  neighbor 10.0.0.2 bfd",
        "line 17: router ospf",
        "needs the frr engine",
    ];
    lab.run(["up", "-d", lab.file()]).refused(2, &words);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
    lab.run(["validate", lab.file()]).refused(2, &words);
}

#[test]
fn what_bgpd_refuses_is_told_before_anything_is_made() {
    let password = "x".repeat(81);
    let rows = [
        (
            " neighbor 10.50.0.2 remote-as 64901\n neighbor 10.50.0.2 local-as 64901 no-prepend replace-as\n",
            "AS specified for local as is the same as the remote as and this is not allowed.",
        ),
        (
            " neighbor 10.50.0.2 remote-as 64900\n neighbor 10.50.0.2 local-as 64902\n",
            "Local-AS allowed only for EBGP peers",
        ),
        (
            " neighbor 10.50.0.2 remote-as 64900\n address-family ipv4 unicast\n  neighbor 10.50.0.2 as-override\n",
            "as-override cannot be configured for IBGP peers",
        ),
        (
            " neighbor 10.50.0.1 remote-as 64901\n",
            "Can not configure the local system as neighbor",
        ),
        (
            " neighbor 127.0.0.1 remote-as 1\n neighbor ::1 remote-as 1\n neighbor l interface remote-as external\n neighbor l \
             ebgp-multihop 2\n",
            "Operation not allowed on a directly connected neighbor",
        ),
        (
            " neighbor G peer-group\n bgp listen range 10.0.0.0/24 peer-group G\n",
            "Specify remote-as or peer-group remote AS first",
        ),
        (
            " neighbor G peer-group\n neighbor G remote-as 1\n bgp listen range fe80::/64 peer-group G\n",
            "Malformed listen range (link-local address)",
        ),
        (
            " neighbor G peer-group\n neighbor G remote-as 1\n bgp listen range 10.0.0.0/24 peer-group G\n \
             bgp listen range 10.0.0.0/16 peer-group G\n",
            "Listen range overlaps with existing listen range",
        ),
        (
            &format!(" neighbor 10.50.0.2 remote-as 1\n neighbor 10.50.0.2 password {password}\n"),
            "Invalid value",
        ),
        (
            " address-family ipv6 unicast\n exit-address-family\n exit-address-family\n",
            "unknown",
        ),
        (
            "bgp as-path access-list A permit seq 5 ^65\n",
            "Invalid character in as-path access-list seq 5 ^65",
        ),
        ("debug nonsense\n", "unknown"),
        ("router nonsense\n", "unknown"),
        ("router ospf\n", "needs the frr engine"),
    ];
    let nodes = rows.iter().enumerate().map(|(at, (config, _))| {
        let head = if config.starts_with(' ') {
            "router bgp 64900\n"
        } else {
            ""
        };
        router(
            &format!("r{at}"),
            "builtin",
            "addresses = { lo = [\"10.50.0.1/24\"] }",
            &format!("{head}{config}"),
        )
    });
    let lab = Lab::new(&format!("name = \"refused\"\n{}", nodes.collect::<String>()));
    let words: Vec<&str> = rows.iter().map(|(_, message)| *message).collect();
    lab.run(["up", "-d", lab.file()]).refused(2, &words);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
    lab.run(["validate", lab.file()]).refused(2, &words);
}

#[test]
fn a_group_may_be_joined_before_anything_is_said_of_its_as() {
    let nodes = [
        router(
            "a",
            "builtin",
            "addresses = { net0 = [\"10.50.0.1/24\"] }",
            "router bgp 64900\n no bgp ebgp-requires-policy\n no bgp network import-check\n neighbor PH peer-group\n \
             neighbor PH timers 3 9\n neighbor 10.50.0.2 peer-group PH\n neighbor 10.50.0.2 remote-as 64901\n \
             address-family ipv4 unicast\n  network 10.10.0.0/24\n exit-addr\n",
        ),
        router(
            "b",
            "builtin",
            "addresses = { net0 = [\"10.50.0.2/24\"] }",
            "router bgp 64901\n no bgp ebgp-requires-policy\n neighbor 10.50.0.1 remote-as 64900\n",
        ),
    ];
    let lab = lab("joined", &nodes, &[["a:net0", "b:net0"]]);
    until_known(&lab, "b", "10.10.0.0/24");
}

#[test]
fn a_host_without_frr_takes_the_builtin_engine() {
    let text = format!(
        "name = \"auto\"\n{}",
        router("r", "auto", "", "router bgp 65000\n bgp router-id 1.2.3.4\n")
    );
    let lab = Lab::new(&text);
    let hidden = "{ test ! -d /usr/lib/frr || mount -t tmpfs none /usr/lib/frr; } && exec $NSLAB up -d $FILE";
    let said = do_aside(&lab, hidden).expect(0);
    assert!(said.contains("its routers on builtin"), "{said}");
    assert_eq!(lab.node("r")["engine"], "builtin");
    let config = lab.sh("r", "cat /etc/frr/frr.conf");
    assert!(
        config.contains("hostname r\n") && config.contains(" bgp router-id 1.2.3.4\n"),
        "{config}"
    );
    assert_eq!(lab.sh("r", "stat -c %a /run/frr/nslab.vty"), "600\n");
    assert_eq!(lab.sh("r", "readlink /usr/bin/vtysh"), "/usr/lib/nslab/nslab\n");
}
