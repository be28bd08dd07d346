//! Policy against what FRR 8.4.4 was seen to do in a lab, but for the tests that say otherwise.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::config::{List, PeerName, PrefixRule};
use crate::wire::{Attributes, NextHop};

fn policy(text: &str) -> Policy {
    let (config, diagnostics) = Config::parse(text);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    Policy::compile(&config)
}

fn context(direction: Direction, peer: &PeerName) -> Context<'_> {
    Context {
        direction,
        own_as: 65002,
        peer: Some(peer),
        peer_address: Some(IpAddr::from([10, 0, 12, 1])),
        interface: None,
        blackhole: false,
        seed: 7,
    }
}

fn peer() -> PeerName {
    PeerName::Address(IpAddr::from([10, 0, 12, 1]))
}

fn subject(prefix: &str, attributes: Attributes) -> Subject {
    Subject {
        prefix: prefix.parse().unwrap(),
        attributes: Arc::new(attributes),
        next_hop: NextHop::V4([10, 0, 12, 1].into()),
        next_hop_change: NextHopChange::None,
        weight: 0,
        tag: 0,
        distance: None,
        table: None,
        source: None,
    }
}

/// The routes of the lab: prefix, path, communities, metric.
fn routes() -> Vec<Subject> {
    let rows = [
        ("10.1.0.0/24", "65001", vec!["65001:1", "65001:2"], 5),
        ("10.1.1.0/24", "65001 64512 65009", vec!["65001:1"], 7),
        ("10.1.2.0/25", "65001 65003", vec![], 0),
        ("10.2.0.0/16", "65001", vec![], 0),
    ];
    let made = rows.into_iter().map(|(prefix, path, communities, med)| {
        let attributes = Attributes {
            as_path: path.parse().unwrap(),
            communities: communities.iter().map(|it| it.parse().unwrap()).collect(),
            med: Some(med),
            ..Attributes::default()
        };
        subject(prefix, attributes)
    });
    made.collect()
}

/// What passes the route-map M on its way in.
fn passing(text: &str) -> Vec<Subject> {
    let (policy, peer) = (policy(text), peer());
    let context = context(Direction::In, &peer);
    let mut all = routes();
    all.retain_mut(|route| policy.apply("M", route, &context) == Verdict::Permit);
    all
}

fn prefixes(text: &str) -> Vec<String> {
    passing(text)
        .iter()
        .map(|route| route.prefix.to_string())
        .collect()
}

const ALL: [&str; 4] = ["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/25", "10.2.0.0/16"];

#[test]
fn the_last_entry_that_was_looked_at_decides() {
    let lists = "ip prefix-list P permit 10.1.0.0/24\nip prefix-list Q permit 10.2.0.0/16\n";
    let next = "route-map M permit 10\n on-match next\n set metric 11\n";
    let then = format!(
        "{lists}{next}route-map M permit 20\n match ip address prefix-list Q\n set local-preference 77\n"
    );
    let passed = passing(&then);
    assert_eq!(passed.len(), 1);
    assert_eq!(
        (passed[0].attributes.med, passed[0].attributes.local_pref),
        (Some(11), Some(77))
    );
    assert_eq!(prefixes(next), ALL);
    let goto = "route-map M permit 10\n on-match goto 30\nroute-map M deny 20\n";
    assert_eq!(prefixes(goto), ALL);
    let denied = format!("{lists}{goto}route-map M deny 40\n match ip address prefix-list Q\n");
    assert!(prefixes(&denied).is_empty());
}

#[test]
fn a_map_that_is_called_may_deny_and_changes_last() {
    let lists = "ip prefix-list P permit 10.1.0.0/24\n";
    let called =
        "route-map S deny 5\n match ip address prefix-list P\nroute-map S permit 10\n set metric 99\n";
    let passed = passing(&format!(
        "{lists}{called}route-map M permit 10\n call S\n set metric 13\n"
    ));
    assert_eq!(passed.len(), 3);
    assert!(passed.iter().all(|route| route.attributes.med == Some(99)));
    assert_eq!(prefixes("route-map M permit 10\n call NOPE\n"), ALL);
    assert!(prefixes("route-map M permit 10\n call N\nroute-map N permit 10\n call M\n").is_empty());
}

#[test]
fn what_does_not_exist_matches_nothing() {
    for line in [
        "ip address prefix-list NOPE",
        "ip address NOPE",
        "as-path NOPE",
        "community NOPE",
        "large-community NOPE",
        "extcommunity NOPE",
        "ip next-hop prefix-list NOPE",
    ] {
        assert!(
            prefixes(&format!("route-map M permit 10\n match {line}\n")).is_empty(),
            "{line}"
        );
    }
    let policy = policy("ip prefix-list E description without rules\n");
    let (prefix, family) = ("10.1.0.0/24".parse().unwrap(), Family::Ipv4Unicast);
    assert!(!policy.prefix_list_permits("NOPE", family, &prefix));
    assert!(!policy.access_list_permits("NOPE", family, &prefix));
    assert!(!policy.as_path_list_permits("NOPE", &AsPath::default()));
    // A prefix-list without rules lets everything through to a neighbor, and matches nothing in a route-map.
    assert!(policy.prefix_list_permits("E", family, &prefix));
    let empty = "ip prefix-list E description x\nroute-map M permit 10\n match ip address prefix-list E\n";
    assert!(prefixes(empty).is_empty());
    let mut route = routes().remove(0);
    let peer = peer();
    assert_eq!(
        policy.apply("NOPE", &mut route, &context(Direction::In, &peer)),
        Verdict::Deny
    );
}

#[test]
fn communities_match_as_standard_expanded_and_exact() {
    let with = |list: &str, line: &str| {
        prefixes(&format!(
            "{list}\nroute-map M permit 10\n match community {line}\n"
        ))
    };
    let standard = "bgp community-list 10 permit 65001:1";
    assert_eq!(with(standard, "10"), ALL[..2]);
    assert_eq!(with(standard, "10 exact-match"), ALL[1..2]);
    assert_eq!(with("bgp community-list 11 permit internet", "11"), ALL);
    assert_eq!(with("bgp community-list 110 permit ^$", "110"), ALL[2..]);
    assert_eq!(
        with("bgp community-list 111 permit 65001:1", "111 exact-match"),
        ALL[..2]
    );
    assert_eq!(
        with("bgp community-list 112 permit _65001:1_65001:2_", "112"),
        ALL[..1]
    );
}

#[test]
fn numbers_that_are_not_there_count_as_zero() {
    let passed = passing("route-map M permit 10\n set local-preference +10\n set metric +3\n");
    let found: Vec<_> = passed
        .iter()
        .map(|it| (it.attributes.local_pref, it.attributes.med))
        .collect();
    assert_eq!(found, [8, 10, 3, 3].map(|med| (Some(10), Some(med))));
    assert!(prefixes("route-map M permit 10\n match local-preference 100\n").is_empty());
    assert_eq!(
        prefixes("route-map M permit 10\n match local-preference 0\n"),
        ALL
    );
    let down = passing("route-map M permit 10\n set metric -6\n");
    assert_eq!(down[0].attributes.med, Some(0));
}

#[test]
fn paths_are_changed() {
    let paths = |set: &str| -> Vec<String> {
        let passed = passing(&format!("route-map M permit 10\n set as-path {set}\n"));
        passed
            .iter()
            .map(|route| route.attributes.as_path.to_string())
            .collect()
    };
    assert_eq!(
        paths("prepend last-as 2"),
        [
            "65001 65001 65001",
            "65001 65001 65001 64512 65009",
            "65001 65001 65001 65003",
            "65001 65001 65001"
        ]
    );
    assert_eq!(
        paths("replace any"),
        ["65002", "65002 65002 65002", "65002 65002", "65002"]
    );
    assert_eq!(paths("exclude 64512 65001"), ["", "65009", "65003", ""]);
    assert_eq!(paths("prepend 7 8")[0], "7 8 65001");
    let mut own = subject("10.9.0.0/16", Attributes::default());
    let (policy, peer) = (
        policy("route-map M permit 10\n set as-path prepend last-as 2\n"),
        peer(),
    );
    policy.apply("M", &mut own, &context(Direction::Out, &peer));
    assert_eq!(own.attributes.as_path.to_string(), "");
}

#[test]
fn other_conditions() {
    let with = |line: &str| prefixes(&format!("route-map M permit 10\n match {line}\n"));
    assert_eq!(with("source-protocol static"), ALL);
    assert_eq!(with("peer 10.0.12.1"), ALL);
    assert!(with("peer 10.0.23.3").is_empty());
    assert!(with("peer local").is_empty());
    assert!(with("interface net1").is_empty());
    // From here to the lists: not seen on FRR.
    assert_eq!(with("metric 7"), ALL[1..2]);
    assert_eq!(with("ip address prefix-len 25"), ALL[2..3]);
    assert_eq!(with("ip next-hop address 10.0.12.1"), ALL);
    assert_eq!(with("origin igp"), ALL);
    assert!(with("probability 0").is_empty());
    assert_eq!(with("probability 100"), ALL);
    let lists = "access-list 7 permit 10.0.12.0 0.0.0.255\naccess-list 8 permit 10.1.0.0 0.0.255.255\naccess-list 9 permit host 10.1.0.0\n";
    let listed = |line: &str| prefixes(&format!("{lists}route-map M permit 10\n match {line}\n"));
    assert_eq!(listed("ip route-source 7"), ALL);
    assert_eq!(listed("ip next-hop 7"), ALL);
    assert_eq!(listed("ip address 8"), ALL[..3]);
    assert_eq!(listed("ip address 9"), ALL[..1]);
}

#[test]
fn route_maps_for_what_goes_out_know_no_neighbor() {
    let peer = peer();
    for name in ["10.0.12.1", "local"] {
        let policy = policy(&format!("route-map M permit 10\n match peer {name}\n"));
        let mut route = routes().remove(0);
        let verdict = policy.apply("M", &mut route, &context(Direction::Out, &peer));
        assert_eq!(verdict, Verdict::Deny, "{name}");
        let own = policy.apply("M", &mut route, &context(Direction::Own, &peer));
        assert_eq!(own == Verdict::Permit, name == "local" || name == "10.0.12.1");
    }
}

/// Not seen on FRR: from what its code and the RFCs say.
#[test]
fn communities_are_set_added_and_deleted() {
    let set = |text: &str| -> Vec<String> {
        let passed = passing(text);
        passed[0]
            .attributes
            .communities
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(set("route-map M permit 10\n set community 1:1\n"), ["1:1"]);
    assert_eq!(
        set("route-map M permit 10\n set community 65001:1 1:1 additive\n"),
        ["1:1", "65001:1", "65001:2"]
    );
    assert!(set("route-map M permit 10\n set community none\n").is_empty());
    let list = "bgp community-list standard L permit 65001:2\n";
    assert_eq!(
        set(&format!("{list}route-map M permit 10\n set comm-list L delete\n")),
        ["65001:1"]
    );
}

#[test]
fn next_hops_are_set() {
    let (peer, sent) = (peer(), NextHop::V4([10, 0, 12, 1].into()));
    let made = |line: &str, direction| {
        let policy = policy(&format!("route-map M permit 10\n set {line}\n"));
        let mut route = routes().remove(0);
        policy.apply("M", &mut route, &context(direction, &peer));
        (route.next_hop, route.next_hop_change)
    };
    let set = NextHop::V4([10, 0, 23, 3].into());
    assert_eq!(
        made("ip next-hop 10.0.23.3", Direction::In),
        (set, NextHopChange::Set)
    );
    assert_eq!(made("ip next-hop peer-address", Direction::In).0, sent);
    assert_eq!(
        made("ip next-hop peer-address", Direction::Out),
        (sent, NextHopChange::PeerAddress)
    );
    assert_eq!(
        made("ip next-hop unchanged", Direction::Out),
        (sent, NextHopChange::Unchanged)
    );
}

#[test]
fn dependence_is_found_through_maps_and_lists() {
    let config = |extra: &str| {
        let text = format!(
            "ip prefix-list P permit 10.0.0.0/8\nroute-map S permit 10\n match ip address prefix-list P\n\
             route-map M permit 10\n call S\nrouter bgp 1\n neighbor 192.0.2.1 remote-as 2\n \
             address-family ipv4 unicast\n  neighbor 192.0.2.1 route-map M in\n{extra}"
        );
        let (config, diagnostics) = Config::parse(&text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        config
    };
    let before = config("");
    let bgp = before.bgp.as_ref().unwrap();
    let settings = before.effective(bgp, &bgp.neighbors[0]).ipv4;
    let changes = |extra: &str| {
        let references = References::inbound(Family::Ipv4Unicast, &settings);
        differ(references, &before, &config(extra))
    };
    assert!(!changes(""));
    assert!(changes("ip prefix-list P permit 11.0.0.0/8\n"));
    assert!(changes("route-map S permit 20\n"));
    assert!(!changes(
        "ip prefix-list Q permit 11.0.0.0/8\nroute-map T permit 20\n"
    ));
}

/// What a prefix-list says when its rules are gone through one by one.
fn plainly(list: &List<PrefixRule>, prefix: &IpNet) -> bool {
    let found = list.rules.values().find(|(_, rule)| {
        let length = prefix.prefix_len();
        let (contains, own) = match rule.prefix {
            Some(net) => (net.contains(prefix), net.prefix_len()),
            None => (true, 0),
        };
        let (low, high) = match (rule.prefix, rule.ge, rule.le) {
            (None, None, None) => (0, 32),
            (_, None, None) => (own, own),
            (_, ge, le) => (ge.unwrap_or(own), le.unwrap_or(32)),
        };
        contains && low <= length && length <= high
    });
    list.rules.is_empty() || found.is_some_and(|(action, _)| *action == Action::Permit)
}

prop_compose! {
    fn net()(address in any::<u8>(), length in 0u8..=8) -> IpNet {
        let address = IpAddr::from([address, 0, 0, 0]);
        IpNet::new(address, length).unwrap().trunc()
    }
}

prop_compose! {
    fn rule()(net in proptest::option::of(net()), low in proptest::option::of(0u8..4), high in proptest::option::of(4u8..8), permit in any::<bool>())
        -> (Action, PrefixRule) {
        let own = net.map_or(0, |net| net.prefix_len());
        let (ge, le) = (low.map(|low| own + low), high.map(|high| own + high));
        let action = if permit { Action::Permit } else { Action::Deny };
        (action, PrefixRule { prefix: net, ge, le })
    }
}

proptest! {
    #[test]
    fn prefix_lists_say_what_their_rules_say(rules in proptest::collection::vec(rule(), 0..12), prefix in net()) {
        let rules = rules.into_iter().enumerate().map(|(at, rule)| (at as u32, rule)).collect();
        let list = List { description: None, rules };
        prop_assert_eq!(PrefixList::new(&list).permits(&prefix), plainly(&list, &prefix));
    }

    #[test]
    fn any_text_is_an_expression_or_none(text in ".{0,20}", path in "[0-9 {},]{0,20}") {
        Expression::new(&text).matches(&path);
    }

    #[test]
    fn private_numbers_go_and_others_stay(asns in proptest::collection::vec(64_500u32..64_530, 0..8)) {
        let path = AsPath::sequence(asns.clone());
        let how = crate::config::RemovePrivateAs { all: true, replace: false };
        let left: Vec<u32> = remove_private(&path, how, 1, 2).asns().collect();
        let wanted: Vec<u32> = asns.into_iter().filter(|asn| !is_private(*asn)).collect();
        prop_assert_eq!(left, wanted);
    }
}

#[test]
fn route_maps_are_known_that_look_at_prefixes() {
    let text = "ip prefix-list P permit any\nbgp community-list standard C permit 65001:1\n\
        route-map ATTRIBUTES permit 10\n match community C\n match metric 5\n set metric 7\nroute-map ATTRIBUTES deny 20\n\
        route-map PREFIXES deny 5\n match metric 5\nroute-map PREFIXES permit 10\n match ip address prefix-list P\n\
        route-map CALLS permit 10\n call ATTRIBUTES\nroute-map CHANCE permit 10\n match probability 50\n";
    let policy = policy(text);
    let looks = |name: &str| policy.looks_at_prefixes(name);
    assert!(!looks("ATTRIBUTES") && !looks("NOPE"));
    assert!(looks("PREFIXES") && looks("CALLS") && looks("CHANCE"));
}
