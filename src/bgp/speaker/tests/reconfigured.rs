//! Configurations that change while sessions are up.

use super::line::{B, C, Words, b, line};
use super::*;
use crate::session::ConnectionId;

fn connection(network: &Network, node: usize, neighbor: &str) -> Option<ConnectionId> {
    network.peer(node, neighbor).session.established_on()
}

fn family(text: &str) -> Words<'_> {
    Words {
        family: text,
        ..Words::default()
    }
}

#[test]
fn changed_policy_holds_at_once_and_resets_nothing() {
    for soft in ["", "  neighbor 10.0.12.1 soft-reconfiguration inbound\n"] {
        let mut network = line(family(soft));
        let before = connection(&network, B, "10.0.12.1");
        assert!(before.is_some());
        let words = format!("{soft}  neighbor 10.0.12.1 prefix-list P in\n");
        let mut with = |list: &str| {
            let text = Words {
                before: list,
                ..family(&words)
            };
            network.reconfigure(B, &b(text));
            network.told_by(B, "10.0.12.1").len()
        };
        assert_eq!(with("ip prefix-list P permit 10.1.0.0/24\n"), 1);
        assert_eq!(with("ip prefix-list P permit 10.1.0.0/16 le 24\n"), 2);
        assert_eq!(with(""), 0);
        network.reconfigure(B, &b(family(soft)));
        assert_eq!(network.told_by(B, "10.0.12.1").len(), 4);
        assert_eq!(connection(&network, B, "10.0.12.1"), before, "{soft}");
    }
}

#[test]
fn what_goes_out_follows_its_policy() {
    let mut network = line(Words::default());
    let before = connection(&network, B, "10.0.23.3");
    let words = Words {
        before: "route-map M permit 10\n set metric 5\n",
        ..family("  neighbor 10.0.23.3 route-map M out\n  no neighbor 10.0.23.3 send-community all\n")
    };
    network.reconfigure(B, &b(words));
    let route = network.best(C, "10.1.0.0/24").unwrap();
    assert_eq!(route.attributes.med, Some(5));
    assert!(route.attributes.communities.is_empty());
    network.reconfigure(B, &b(family("  neighbor 10.0.23.3 default-originate\n")));
    assert!(network.best(C, "0.0.0.0/0").is_some());
    network.reconfigure(B, &b(Words::default()));
    assert!(network.best(C, "0.0.0.0/0").is_none());
    assert_eq!(connection(&network, B, "10.0.23.3"), before);
}

#[test]
fn only_what_is_agreed_on_resets() {
    let router = |line: &str| format!(" neighbor 10.0.12.1 {line}\n");
    for line_of_text in [
        "description far",
        "timers 5 15",
        "advertisement-interval 3",
        "enforce-first-as",
        "graceful-restart-disable",
        "sender-as-path-loop-detection",
    ] {
        assert!(stays_up(&router(line_of_text), ""), "{line_of_text}");
    }
    for line_of_text in [
        "password secret",
        "local-as 65100",
        "passive",
        "ebgp-multihop 3",
        "capability extended-nexthop",
    ] {
        assert!(!stays_up(&router(line_of_text), ""), "{line_of_text}");
    }
    for (line_of_text, stays) in [
        ("weight 5", true),
        ("allowas-in", true),
        ("next-hop-self", true),
        ("maximum-prefix 100", true),
        ("soft-reconfiguration inbound", true),
        ("route-server-client", false),
        ("addpath-tx-all-paths", false),
    ] {
        let text = format!("  neighbor 10.0.12.1 {line_of_text}\n");
        assert_eq!(stays_up("", &text), stays, "{line_of_text}");
    }
}

fn stays_up(router: &str, family: &str) -> bool {
    let mut network = line(Words::default());
    let before = connection(&network, B, "10.0.12.1");
    let words = Words {
        router,
        family,
        ..Words::default()
    };
    network.reconfigure(B, &b(words));
    network.run(1);
    connection(&network, B, "10.0.12.1") == before
}

#[test]
fn routes_are_kept_as_they_came() {
    let before = "ip prefix-list P permit 10.1.0.0/24\nroute-map M permit 10\n match ip address prefix-list P\n set metric 9\n";
    let words = Words {
        before,
        ..family("  neighbor 10.0.12.1 soft-reconfiguration inbound\n  neighbor 10.0.12.1 route-map M in\n")
    };
    let mut network = line(words);
    let counts = |network: &Network| {
        let (speaker, peer) = (&network.nodes[B].speaker, network.peer(B, "10.0.12.1"));
        let unicast = Family::Ipv4Unicast;
        let received = speaker.received(peer, unicast).count();
        (
            received,
            speaker.accepted(peer, unicast),
            speaker.filtered(peer, unicast),
        )
    };
    // With those four comes this router's own, which its path stops.
    assert_eq!(counts(&network), (5, 1, 4));
    let (speaker, peer) = (&network.nodes[B].speaker, network.peer(B, "10.0.12.1"));
    let (prefix, _, first) = speaker.received(peer, Family::Ipv4Unicast).next().unwrap();
    assert_eq!(
        (prefix.to_string().as_str(), first.attributes.med),
        ("10.1.0.0/24", Some(5))
    );
    network.reconfigure(B, &b(Words::default()));
    assert_eq!(counts(&network), (0, 4, 0));
    network.reconfigure(B, &b(words));
    assert_eq!(counts(&network), (5, 1, 4));
    network.set(0, false);
    network.run(12);
    assert_eq!(counts(&network), (0, 0, 0));
}

/// Both sides stay where they are when one asks for everything, or tells it, once more.
#[test]
fn soft_resets_change_nothing_that_is_right() {
    let mut network = line(Words::default());
    let (before, paths) = (
        connection(&network, B, "10.0.12.1"),
        [B, C].map(|node| network.paths(node)),
    );
    let ids: Vec<SourceId> = network.nodes[B].speaker.peers().map(|peer| peer.id).collect();
    for id in ids {
        network.handle_event(B, Event::SoftIn(id, None));
        network.handle_event(B, Event::SoftOut(id, Some(Family::Ipv4Unicast)));
    }
    network.run(5);
    assert_eq!([B, C].map(|node| network.paths(node)), paths);
    assert_eq!(connection(&network, B, "10.0.12.1"), before);
}

/// However a router has come to a configuration, it does what it would do had it begun with that.
#[test]
fn the_way_to_a_configuration_does_not_count() {
    for seed in 0..25 {
        let mut rng = Rng::new(seed);
        let (mut before, mut family) = random(&mut rng);
        let mut network = line(Words {
            before: &before,
            family: &family,
            ..Words::default()
        });
        for _ in 0..4 {
            (before, family) = random(&mut rng);
            let words = Words {
                before: &before,
                family: &family,
                ..Words::default()
            };
            network.reconfigure(B, &b(words));
        }
        let fresh = line(Words {
            before: &before,
            family: &family,
            ..Words::default()
        });
        for node in [B, C, 3] {
            assert_eq!(
                network.paths(node),
                fresh.paths(node),
                "seed {seed}:\n{before}{family}"
            );
        }
    }
}

/// Lists and route-maps, and lines of neighbors that use them; none of them resets a session.
fn random(rng: &mut Rng) -> (String, String) {
    let mut pick = |words: &[&str]| words[rng.roll(words.len() as u64) as usize].to_owned();
    let mut before = String::new();
    before += &pick(&[
        "",
        "ip prefix-list P permit 10.1.0.0/16 le 32\n",
        "ip prefix-list P deny 10.2.0.0/16\nip prefix-list P permit any\n",
    ]);
    before += &pick(&[
        "",
        "bgp as-path access-list F permit _65001_\n",
        "bgp as-path access-list F deny _65009$\nbgp as-path access-list F permit .*\n",
    ]);
    before += &pick(&["", "bgp community-list standard L permit 65001:2\n"]);
    before += "route-map M permit 10\n";
    before += &pick(&[
        "",
        " match ip address prefix-list P\n",
        " match community L\n",
        " match as-path F\n",
    ]);
    before += &pick(&["", " set as-path prepend 7\n", " set as-path exclude 65001\n"]);
    before += &pick(&["", " on-match next\n"]);
    before += &pick(&[
        "",
        "route-map M permit 20\n",
        "route-map M permit 20\n set as-path prepend 8\n",
    ]);
    let mut family = String::new();
    for neighbor in ["10.0.12.1", "10.0.23.3", "10.0.24.4"] {
        for way in ["in", "out"] {
            let lines = ["", "prefix-list P", "filter-list F", "route-map M", "route-map M"];
            let what = pick(&lines);
            if !what.is_empty() {
                family += &format!("  neighbor {neighbor} {what} {way}\n");
            }
        }
        let what = pick(&[
            "",
            "",
            "soft-reconfiguration inbound",
            "as-override",
            "remove-private-AS all",
            "next-hop-self",
        ]);
        // A neighbor in the same AS has no private numbers to lose.
        if !what.is_empty() && (neighbor != "10.0.24.4" || what == "next-hop-self") {
            family += &format!("  neighbor {neighbor} {what}\n");
        }
    }
    family += &pick(&[
        "",
        "  aggregate-address 10.1.0.0/16\n",
        "  aggregate-address 10.1.0.0/16 as-set summary-only\n",
        "  aggregate-address 10.1.0.0/16 suppress-map M\n",
    ]);
    family += &pick(&[
        "",
        "  neighbor 10.0.23.3 default-originate\n",
        "  neighbor 10.0.23.3 default-originate route-map M\n",
    ]);
    (before, family)
}

/// As FRR does: a higher address names the router only once no session is up, and 169.254.0.0/16 names none.
#[test]
fn an_identifier_taken_from_an_address_stays_while_a_session_is_up() {
    let mut network = Network::new();
    let text = |own: u32, other: u32, peer: &str| {
        format!("router bgp {own}\n no bgp ebgp-requires-policy\n neighbor {peer} remote-as {other}\n")
    };
    let a = network.node("a", &text(65001, 65002, "10.0.0.2"), &[]);
    let b = network.node("b", &text(65002, 65001, "10.0.0.1"), &[]);
    network.link(
        (a, "net0", &["10.0.0.1/24", "169.254.7.1/24"]),
        (b, "net0", &["10.0.0.2/24"]),
    );
    network.start();
    network.run(5);
    let id = |network: &Network| network.nodes[a].speaker.router_id().to_string();
    let up = |network: &Network| network.peer(a, "10.0.0.2").session.established_on();
    let before = up(&network);
    assert_eq!(id(&network), "10.0.0.1");
    assert!(before.is_some());
    let mut interfaces = network.nodes[a].interfaces.clone();
    interfaces[1].addresses.push("10.9.0.1/24".parse().unwrap());
    network.handle_event(a, Event::Interfaces(interfaces.clone()));
    network.run(30);
    assert_eq!((id(&network), up(&network)), ("10.0.0.1".to_owned(), before));
    // Without a session the highest address counts.
    let shut = text(65001, 65002, "10.0.0.2") + " neighbor 10.0.0.2 shutdown\n";
    network.reconfigure(a, &shut);
    network.handle_event(a, Event::Interfaces(interfaces));
    assert_eq!(id(&network), "10.9.0.1");
}
