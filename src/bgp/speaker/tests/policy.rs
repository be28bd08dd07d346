//! Policy between neighbors. The figures are what FRR 8.4.4 showed on the same line of routers, but for the tests that
//! say otherwise.

use super::line::{A, B, C, D, Words, line, line_with};
use super::*;
use crate::wire::NextHop;
use std::sync::Arc;

const FROM_A: [&str; 4] = ["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/25", "10.2.0.0/16"];

fn family(text: &str) -> Words<'_> {
    Words {
        family: text,
        ..Words::default()
    }
}

#[test]
fn without_policy_everything_passes() {
    let network = line(Words::default());
    assert_eq!(
        network.paths(C),
        [
            "10.1.0.0/24 65002 65001",
            "10.1.1.0/24 65002 65001 64512 65009",
            "10.1.2.0/25 65002 65001 65003",
            "10.2.0.0/16 65002 65001",
            "10.9.0.0/16 65002"
        ]
    );
    // What is meant for the own AS alone is not told to others.
    let route = network.best(C, "10.1.0.0/24").unwrap();
    assert_eq!((route.attributes.med, route.attributes.local_pref), (None, None));
    assert_eq!(route.next_hop, NextHop::V4([10, 0, 23, 2].into()));
    let own = network.best(C, "10.9.0.0/16").unwrap();
    assert_eq!(own.attributes.med, Some(0));
    assert_eq!(
        network.best(D, "10.9.0.0/16").unwrap().attributes.local_pref,
        Some(100)
    );
}

#[test]
fn lists_that_do_not_exist_let_nothing_through() {
    for kind in ["prefix-list", "distribute-list", "filter-list", "route-map"] {
        let words = format!("  neighbor 10.0.12.1 {kind} NOPE in\n");
        let network = line(family(&words));
        assert!(network.told_by(B, "10.0.12.1").is_empty(), "{kind} in");
        let words = format!("  neighbor 10.0.23.3 {kind} NOPE out\n");
        let network = line(family(&words));
        assert!(network.paths(C).is_empty(), "{kind} out");
        assert_eq!(network.told_by(B, "10.0.12.1"), FROM_A);
    }
}

/// Not seen on FRR: from what its code and the RFCs say.
#[test]
fn lists_filter_in_and_out() {
    let before = "ip prefix-list P permit 10.1.0.0/16 le 24\naccess-list L permit 10.1.0.0/16\n\
        bgp as-path access-list F permit _65009$\n";
    for (kind, passes) in [
        ("prefix-list P", &FROM_A[..2]),
        ("distribute-list L", &FROM_A[..3]),
        ("filter-list F", &FROM_A[1..2]),
    ] {
        let words = format!("  neighbor 10.0.12.1 {kind} in\n");
        let network = line(Words {
            before,
            ..family(&words)
        });
        assert_eq!(network.told_by(B, "10.0.12.1"), passes, "{kind}");
        let words = format!("  neighbor 10.0.23.3 {kind} out\n");
        let network = line(Words {
            before,
            ..family(&words)
        });
        assert_eq!(network.told_by(C, "10.0.23.2"), passes, "{kind}");
    }
}

#[test]
fn route_maps_change_what_comes_and_what_goes() {
    let before = "route-map M permit 10\n set community no-export additive\n set local-preference 300\n set metric 44\n \
        set ip next-hop peer-address\n set as-path prepend 7 8\n";
    let network = line(Words {
        before,
        ..family("  neighbor 10.0.23.3 route-map M out\n  neighbor 10.0.24.4 route-map M out\n")
    });
    let external = network.best(C, "10.1.0.0/24").unwrap();
    let attributes = &external.attributes;
    assert_eq!(attributes.as_path.to_string(), "65002 7 8 65001");
    assert_eq!((attributes.med, attributes.local_pref), (Some(44), None));
    let communities: Vec<String> = attributes.communities.iter().map(ToString::to_string).collect();
    assert_eq!(communities, ["65001:1", "65001:2", "no-export"]);
    let internal = network.best(D, "10.1.0.0/24").unwrap();
    assert_eq!(internal.next_hop, NextHop::V4([10, 0, 24, 2].into()));
    assert_eq!(internal.attributes.local_pref, Some(300));
    assert_eq!(internal.attributes.as_path.to_string(), "7 8 65001");

    let before =
        "route-map M permit 10\n set weight 5\n set ip next-hop 10.0.23.3\n set local-preference 50\n";
    let network = line(Words {
        before,
        ..family("  neighbor 10.0.12.1 route-map M in\n  neighbor 10.0.12.1 weight 9\n")
    });
    let route = network.best(B, "10.2.0.0/16").unwrap();
    assert_eq!((route.weight, route.attributes.local_pref), (5, Some(50)));
    assert_eq!(route.next_hop, NextHop::V4([10, 0, 23, 3].into()));
    // Routes that were changed alike share what is said about them.
    let other = network.best(B, "10.1.0.0/24").unwrap();
    assert!(!Arc::ptr_eq(&route.attributes, &other.attributes));
}

/// Not seen on FRR: from what its code and the RFCs say.
#[test]
fn a_next_hop_of_this_routers_own_is_none() {
    let before = "route-map M permit 10\n set ip next-hop 10.0.23.2\n";
    let network = line(Words {
        before,
        ..family("  neighbor 10.0.12.1 route-map M in\n")
    });
    assert!(network.told_by(B, "10.0.12.1").is_empty());
}

#[test]
fn private_numbers_are_taken_out_of_paths() {
    let paths = |how: &str| line(family(&format!("  neighbor 10.0.23.3 {how}\n"))).paths(C);
    let removed = [
        "10.1.0.0/24 65002",
        "10.1.1.0/24 65002",
        "10.1.2.0/25 65002 65003",
        "10.2.0.0/16 65002",
        "10.9.0.0/16 65002",
    ];
    assert_eq!(paths("remove-private-AS"), removed);
    assert_eq!(paths("remove-private-AS all"), removed);
    assert_eq!(
        paths("remove-private-AS all replace-AS"),
        [
            "10.1.0.0/24 65002 65002",
            "10.1.1.0/24 65002 65002 65002 65002",
            "10.1.2.0/25 65002 65002 65003",
            "10.2.0.0/16 65002 65002",
            "10.9.0.0/16 65002"
        ]
    );
    assert_eq!(paths("as-override")[2], "10.1.2.0/25 65002 65001 65002");
}

/// Seen on FRR without `no-prepend` and `replace-as`.
#[test]
fn another_as_is_shown_and_seen() {
    let shown = |how: &str| {
        let words = format!(" neighbor 10.0.12.1 local-as 65100{how}\n");
        line(Words {
            router: &words,
            ..Words::default()
        })
    };
    let network = shown("");
    assert_eq!(network.paths(B)[0], "10.1.0.0/24 65100 65001");
    assert_eq!(network.paths(C)[0], "10.1.0.0/24 65002 65100 65001");
    assert_eq!(network.told_by(A, "10.0.12.2"), ["10.9.0.0/16"]);
    assert!(network.paths(A).contains(&"10.9.0.0/16 65100 65002".to_owned()));
    let network = shown(" no-prepend");
    assert_eq!(network.paths(B)[0], "10.1.0.0/24 65001");
    let network = shown(" no-prepend replace-as");
    assert!(network.paths(A).contains(&"10.9.0.0/16 65100".to_owned()));
}

/// Not seen on FRR: from what its code and the RFCs say.
#[test]
fn the_own_as_may_be_in_a_path_as_often_as_is_allowed() {
    let count = |c: &str| {
        let network = line_with("", Words::default(), c);
        network.told_by(C, "10.0.23.2").len()
    };
    // The line's own configuration allows it three times.
    assert_eq!(count(""), 5);
    assert_eq!(count("  no neighbor 10.0.23.2 allowas-in\n"), 4);
    assert_eq!(count("  neighbor 10.0.23.2 allowas-in 1\n"), 5);
    assert_eq!(count("  neighbor 10.0.23.2 allowas-in origin\n"), 5);
    let network = line(Words {
        router: " neighbor 10.0.23.3 sender-as-path-loop-detection\n",
        ..Words::default()
    });
    assert_eq!(network.told_by(C, "10.0.23.2").len(), 4);
}

#[test]
fn communities_are_sent_unless_that_is_taken_back() {
    let counts = |how: &str| {
        let network = line(family(how));
        let found = network
            .best(C, "10.1.0.0/24")
            .unwrap()
            .attributes
            .communities
            .len();
        let other = &network.best(C, "10.1.2.0/25").unwrap().attributes;
        (
            found,
            other.large_communities.len(),
            other.extended_communities.len(),
        )
    };
    assert_eq!(counts(""), (2, 1, 1));
    assert_eq!(counts("  no neighbor 10.0.23.3 send-community\n"), (0, 1, 1));
    assert_eq!(counts("  no neighbor 10.0.23.3 send-community all\n"), (0, 0, 0));
    assert_eq!(
        counts("  no neighbor 10.0.23.3 send-community extended\n"),
        (2, 1, 0)
    );
}

/// Seen on FRR for `no-export` alone.
#[test]
fn well_known_communities_hold_routes_back() {
    let told = |community: &str| {
        let before = format!("route-map M permit 10\n set community {community}\n");
        let network = line(Words {
            before: &before,
            ..family("  neighbor 10.0.12.1 route-map M in\n  neighbor 10.0.24.4 next-hop-self\n")
        });
        (
            network.told_by(C, "10.0.23.2").len(),
            network.told_by(D, "10.0.24.2").len(),
        )
    };
    assert_eq!(told("1:1"), (5, 5));
    assert_eq!(told("no-export"), (1, 5));
    assert_eq!(told("local-AS"), (1, 5));
    assert_eq!(told("no-advertise"), (1, 1));
}

#[test]
fn a_router_that_shuts_down_says_so() {
    let network = line(Words {
        router: " bgp graceful-shutdown\n",
        ..Words::default()
    });
    for prefix in ["10.9.0.0/16", "10.2.0.0/16"] {
        let here = network.best(B, prefix).unwrap();
        assert_eq!(here.attributes.local_pref, Some(0), "{prefix}");
        let there = network.best(C, prefix).unwrap();
        assert_eq!(there.attributes.local_pref, Some(0), "{prefix}");
        assert_eq!(there.attributes.communities[0].to_string(), "graceful-shutdown");
    }
    assert_eq!(
        network.best(D, "10.9.0.0/16").unwrap().attributes.local_pref,
        Some(0)
    );
}

/// Not seen on FRR: from what its code and the RFCs say.
#[test]
fn a_route_server_does_not_show() {
    let network = line(family(
        "  neighbor 10.0.12.1 route-server-client\n  neighbor 10.0.23.3 route-server-client\n",
    ));
    let table = network.nodes[C].speaker.table(Family::Ipv4Unicast);
    let route = &table.get(&"10.1.0.0/24".parse().unwrap()).unwrap().routes()[0];
    assert_eq!(route.attributes.as_path.to_string(), "65001");
    assert_eq!(route.attributes.med, Some(5));
    assert_eq!(route.next_hop, NextHop::V4([10, 0, 12, 1].into()));
    // What the server has from no client goes by itself.
    let own = &table.get(&"10.9.0.0/16".parse().unwrap()).unwrap().routes()[0];
    assert_eq!(own.next_hop, NextHop::V4([10, 0, 23, 2].into()));
}

/// Not seen on FRR: from what its code and the RFCs say.
#[test]
fn attributes_may_stay_as_they_are() {
    let network = line(family("  neighbor 10.0.23.3 attribute-unchanged\n"));
    let table = network.nodes[C].speaker.table(Family::Ipv4Unicast);
    let route = &table.get(&"10.1.0.0/24".parse().unwrap()).unwrap().routes()[0];
    assert_eq!(
        (
            route.attributes.as_path.to_string().as_str(),
            route.attributes.med
        ),
        ("65001", Some(5))
    );
    assert_eq!(route.next_hop, NextHop::V4([10, 0, 12, 1].into()));
    // A path in which nobody is yet begins here.
    assert_eq!(
        network
            .best(C, "10.9.0.0/16")
            .unwrap()
            .attributes
            .as_path
            .to_string(),
        "65002"
    );
}

#[test]
fn a_default_route_hangs_on_another() {
    let before = "ip prefix-list P permit 10.1.0.0/24\nroute-map D permit 10\n match ip address prefix-list P\n \
        set metric 123\n set community 9:9\n";
    let words = Words {
        before,
        ..family(
            "  neighbor 10.0.23.3 default-originate route-map D\n  neighbor 10.0.23.3 prefix-list P out\n",
        )
    };
    let mut network = line(words);
    assert_eq!(network.paths(C), ["0.0.0.0/0 65002", "10.1.0.0/24 65002 65001"]);
    let default = &network.best(C, "0.0.0.0/0").unwrap().attributes;
    assert_eq!(
        (default.med, default.communities[0].to_string().as_str()),
        (Some(123), "9:9")
    );
    // It goes when the other goes, and comes with it.
    network.set(0, false);
    network.run(12);
    assert!(network.paths(C).is_empty());
    network.set(0, true);
    network.run(20);
    assert_eq!(network.paths(C).len(), 2);
    let network = line(Words {
        before,
        ..family(
            "  neighbor 10.0.23.3 default-originate route-map NOPE\n  neighbor 10.0.23.3 prefix-list P out\n",
        )
    });
    assert_eq!(network.paths(C), ["10.1.0.0/24 65002 65001"]);
}

/// Not seen on FRR: from what its code and the RFCs say.
#[test]
fn what_is_redistributed_is_chosen_and_changed() {
    let before = "ip route 10.8.0.0/16 Null0\nip prefix-list P permit 10.0.23.0/24\nroute-map R permit 10\n \
        match interface net3\n set community 3:3\n set origin igp\nroute-map R deny 20\n";
    let network = line(Words {
        before,
        ..family("  redistribute connected metric 17 route-map R\n")
    });
    let own: Vec<String> = network
        .paths(B)
        .into_iter()
        .filter(|it| it.ends_with(' '))
        .collect();
    assert_eq!(own, ["10.0.23.0/24 ", "10.9.0.0/16 "]);
    let attributes = &network.best(B, "10.0.23.0/24").unwrap().attributes;
    assert_eq!(
        (attributes.med, attributes.communities[0].to_string().as_str()),
        (Some(17), "3:3")
    );
    assert_eq!(attributes.origin.name(), "igp");
}

/// Not seen on FRR: from what its code and the RFCs say.
#[test]
fn ipv6_has_lists_and_next_hops_of_its_own() {
    let mut network = Network::new();
    let text = |asn: u32, other: &str, before: &str, family: &str| {
        format!(
            "frr defaults datacenter\n{before}router bgp {asn}\n bgp router-id 10.0.0.{asn}\n no bgp network import-check\n \
             no bgp default ipv4-unicast\n neighbor {other} remote-as external\n address-family ipv6 unicast\n  \
             neighbor {other} activate\n{family}"
        )
    };
    let a = text(
        1,
        "2001:db8::2",
        "",
        "  network 2001:db8:1::/48\n  network 2001:db8:1:1::/64\n  network 2001:db8:2::/48\n",
    );
    let before = "ipv6 prefix-list P permit 2001:db8:1::/48 le 64\nroute-map M permit 10\n match ipv6 address prefix-list P\n \
        match ipv6 next-hop address 2001:db8::1\n set ipv6 next-hop global 2001:db8::9\n set tag 4\n";
    let b = text(
        2,
        "2001:db8::1",
        before,
        "  neighbor 2001:db8::1 route-map M in\n",
    );
    let (a, b) = (network.node("a", &a, &[]), network.node("b", &b, &[]));
    network.link((a, "net0", &["2001:db8::1/64"]), (b, "net0", &["2001:db8::2/64"]));
    network.start();
    network.run(10);
    let table = network.nodes[b].speaker.table(Family::Ipv6Unicast);
    let prefixes: Vec<String> = table.iter().map(|(prefix, _)| prefix.to_string()).collect();
    assert_eq!(prefixes, ["2001:db8:1::/48", "2001:db8:1:1::/64"]);
    let (_, destination) = table.iter().next().unwrap();
    let route = &destination.routes()[0];
    assert_eq!(route.next_hop.address().to_string(), "2001:db8::9");
    assert_eq!(route.tag, 4);
}

/// Routes that came in one message, with the same attributes.
#[test]
fn what_looks_at_prefixes_tells_routes_apart_that_are_alike() {
    let a =
        " address-family ipv4 unicast\n  network 10.3.0.0/16\n  network 10.4.0.0/16\n exit-address-family\n";
    let before = "ip prefix-list P permit 10.3.0.0/16\naccess-list L permit 10.3.0.0/16\n\
        route-map M permit 10\n match ip address prefix-list P\nroute-map CALLS permit 10\n call M\n";
    for kind in [
        "prefix-list P",
        "distribute-list L",
        "route-map M",
        "route-map CALLS",
    ] {
        let words = format!("  neighbor 10.0.23.3 {kind} out\n");
        let words = Words {
            before,
            ..family(&words)
        };
        let network = line_with(a, words, "");
        assert_eq!(network.paths(C), ["10.3.0.0/16 65002 65001"], "{kind}");
    }
    // What does not is asked once.
    let words = Words {
        before: "route-map M permit 10\n set metric 9\n",
        ..family("  neighbor 10.0.23.3 route-map M out\n")
    };
    let network = line_with(a, words, "");
    let (speaker, peer) = (&network.nodes[B].speaker, network.peer(B, "10.0.23.3"));
    let table = speaker.table(Family::Ipv4Unicast);
    let said = ["10.3.0.0/16", "10.4.0.0/16"].map(|it| {
        let id = table.id(&it.parse().unwrap()).unwrap();
        peer.adj_rib_out.ipv4.get(id).unwrap()
    });
    assert_eq!(said[0], said[1]);
    let mut told = speaker.advertised(peer, Family::Ipv4Unicast);
    let first = told.find(|(prefix, ..)| prefix.to_string() == "10.3.0.0/16");
    assert_eq!(first.unwrap().2.attributes.med, Some(9));
    assert_eq!(network.paths(C).len(), 7);
}
