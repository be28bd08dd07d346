//! Tests of the dialect as a whole.

use proptest::prelude::*;

use super::*;

mod every_command;

/// FRR 8.4.4's own `show running-config` of nearly everything this engine has.
const RUNNING: &str = include_str!("running.conf");

fn parsed(text: &str) -> Config {
    let (config, diagnostics) = Config::parse(text);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    config
}

fn diagnostics(text: &str) -> Vec<(usize, String, DiagnosticKind)> {
    let lines: Vec<&str> = text.lines().collect();
    let (_, diagnostics) = Config::parse(text);
    let told = |diagnostic: Diagnostic| {
        let word = lines[diagnostic.line - 1][diagnostic.span.clone()].to_owned();
        (diagnostic.line, word, diagnostic.kind)
    };
    diagnostics.into_iter().map(told).collect()
}

/// The lines of `router bgp` that a text prints.
fn bgp_lines(text: &str) -> Vec<String> {
    let printed = parsed(text).print();
    let lines = printed.lines().skip_while(|line| !line.starts_with("router bgp"));
    lines
        .take_while(|line| *line != "exit")
        .skip(1)
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn what_frr_prints_is_read_and_printed_alike() {
    let config = parsed(RUNNING);
    let printed = config.print();
    for (at, (ours, theirs)) in printed.lines().zip(RUNNING.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {}", at + 1);
    }
    assert_eq!(printed, RUNNING);
    assert_eq!(parsed(&printed), config);
}

#[test]
fn the_labs_are_read() {
    let labs = [
        include_str!("../../../labs/clos.toml"),
        include_str!("../../../labs/cilium-bgp.toml"),
        include_str!("../../../labs/interop-gobgp.toml"),
    ];
    let texts = labs.iter().flat_map(|lab| lab.split("config = \"\"\"").skip(1));
    let texts = texts
        .filter_map(|text| text.split("\"\"\"").next())
        .filter(|text| text.contains("router bgp"));
    let mut count = 0;
    for text in texts {
        let config = parsed(text);
        assert_eq!(parsed(&config.print()), config);
        count += 1;
    }
    assert_eq!(count, 12);
}

#[test]
fn a_lab_is_understood() {
    let config = parsed(
        "frr defaults traditional\n!\nrouter bgp 65000\n bgp router-id 10.0.0.0\n no bgp ebgp-requires-policy\n \
         neighbor ROUTERS peer-group\n neighbor ROUTERS remote-as external\n neighbor ROUTERS default-originate\n \
         neighbor net0 interface peer-group ROUTERS\n neighbor net1 interface peer-group ROUTERS\n \
         address-family ipv4 unicast\n   redistribute connected\n  exit-address-family\n!\n",
    );
    let bgp = config.bgp.as_ref().unwrap();
    assert!(bgp.ipv4.redistribute.contains_key(&Source::Connected));
    assert_eq!(bgp.neighbors.len(), 2);
    let effective = config.effective(bgp, &bgp.neighbors[0]);
    assert_eq!(effective.remote_as, Some(RemoteAs::External));
    assert_eq!(
        effective.timers,
        Timers {
            keepalive: 60,
            hold: 180
        }
    );
    assert_eq!(effective.connect_retry, 120);
    assert!(effective.extended_nexthop && effective.ipv4.activate && !effective.ipv6.activate);
    assert!(effective.ipv4.default_originate.is_some() && effective.ipv4.send_community);
    let datacenter = parsed("frr defaults datacenter\nrouter bgp 1\n neighbor 1.1.1.1 remote-as 2\n");
    let bgp = datacenter.bgp.as_ref().unwrap();
    let effective = datacenter.effective(bgp, &bgp.neighbors[0]);
    assert_eq!((effective.timers.hold, effective.connect_retry), (9, 10));
    assert!(!bgp.flags.ebgp_requires_policy && bgp.flags.log_neighbor_changes);
}

#[test]
fn own_settings_come_before_the_groups() {
    let config = parsed(
        "router bgp 1\n neighbor G peer-group\n neighbor G remote-as internal\n neighbor G timers 1 3\n \
         neighbor G passive\n neighbor 1.1.1.1 peer-group G\n neighbor 1.1.1.1 timers 2 6\n \
         address-family ipv4\n no neighbor G send-community\n neighbor G route-map r in\n \
         neighbor 1.1.1.1 send-community\n neighbor 1.1.1.1 route-map own in\n no neighbor 1.1.1.1 activate\n",
    );
    let bgp = config.bgp.as_ref().unwrap();
    let effective = config.effective(bgp, &bgp.neighbors[0]);
    assert_eq!(
        effective.timers,
        Timers {
            keepalive: 2,
            hold: 6
        }
    );
    assert_eq!(effective.remote_as, Some(RemoteAs::Internal));
    assert!(effective.passive && effective.ipv4.send_community && !effective.ipv4.activate);
    assert_eq!(effective.ipv4.route_map_in.as_deref(), Some("own"));
    let group = config.effective_of_group(bgp, &bgp.groups["G"]);
    assert_eq!(group.ipv4.route_map_in.as_deref(), Some("r"));
}

#[test]
fn defaults_are_not_printed() {
    let lines = bgp_lines(
        "frr defaults datacenter\nrouter bgp 65000\n no bgp ebgp-requires-policy\n bgp log-neighbor-changes\n \
         timers bgp 3 9\n bgp network import-check\n bgp listen limit 100\n maximum-paths 256\n \
         neighbor 10.0.0.1 remote-as 5\n neighbor 10.0.0.1 port 179\n neighbor 10.0.0.1 timers 3 9\n \
         neighbor 10.0.0.1 activate\n neighbor 10.0.0.1 send-community all\n",
    );
    assert_eq!(
        lines,
        ["neighbor 10.0.0.1 remote-as 5", "neighbor 10.0.0.1 timers 3 9"]
    );
}

#[test]
fn neighbors_stay_active_when_the_default_changes() {
    let lines = bgp_lines(
        "router bgp 1\n neighbor G peer-group\n neighbor 1.1.1.1 remote-as 4\n neighbor 1.1.1.1 peer-group G\n \
         neighbor 1.1.1.2 remote-as external\n no bgp default ipv4-unicast\n neighbor 1.1.1.3 remote-as 3\n",
    );
    let family: Vec<_> = lines.iter().filter(|line| line.ends_with("activate")).collect();
    assert_eq!(family, ["neighbor G activate", "neighbor 1.1.1.2 activate"]);
}

#[test]
fn every_line_can_be_taken_back() {
    // What a line opens, or what stands or falls with another line.
    let structure = [
        "interface",
        "router bgp",
        "route-map",
        "exit",
        "address-family",
        "frr",
        "neighbor",
        "bgp listen",
    ];
    let mut outer: Vec<&str> = Vec::new();
    let (mut config, mut mode) = (Config::default(), Mode::Configure);
    for line in RUNNING.lines() {
        let text = line.trim();
        apply(&mut config, &mut mode, &Own::default(), line).unwrap();
        if text.is_empty() || text == "!" || text == "end" {
            continue;
        }
        let is_structure = structure.iter().any(|word| text.starts_with(word));
        let is_setting = text.starts_with("neighbor")
            && !["peer-group", "remote-as", "interface"]
                .iter()
                .any(|word| text.contains(word));
        // FRR takes these back without what they say.
        let is_bare = ["password", "enable password", "on-match goto"]
            .iter()
            .any(|word| text.starts_with(word));
        if is_structure && !is_setting || is_bare {
            outer.push(text);
            continue;
        }
        let back = match text.strip_prefix("no ") {
            Some(text) => text.to_owned(),
            None => format!("no {text}"),
        };
        let (mut other, mut there) = (config.clone(), mode.clone());
        apply(&mut other, &mut there, &Own::default(), &back)
            .unwrap_or_else(|diagnostic| panic!("{back}: {diagnostic}"));
        assert_ne!(other, config, "{back} changes nothing");
        apply(&mut other, &mut there, &Own::default(), line)
            .unwrap_or_else(|diagnostic| panic!("{line}: {diagnostic}"));
        assert_eq!(other, config, "{back}, then {line}");
    }
    assert!(!outer.is_empty());
}

#[test]
fn things_can_be_removed() {
    let mut config = parsed(RUNNING);
    for (inside, line) in [
        (Mode::Configure, "no interface lo"),
        (Mode::Configure, "no route-map A permit 5"),
        (Mode::Configure, "no route-map Z"),
        (Mode::Configure, "no ip prefix-list b seq 7"),
        (Mode::Configure, "no ip prefix-list a"),
        (Mode::Configure, "no bgp as-path access-list p"),
        (Mode::Configure, "no bgp community-list standard s"),
        (Mode::Configure, "no bgp large-community-list expanded le"),
        (Mode::Configure, "no access-list foo"),
        (Mode::Bgp, "no neighbor 10.0.0.9"),
        (Mode::Bgp, "no neighbor 10.0.0.8 remote-as internal"),
        (Mode::Bgp, "no neighbor net2 interface remote-as 65005"),
        (Mode::Bgp, "no neighbor 10.0.0.5 peer-group G"),
        (Mode::Bgp, "no bgp listen range 10.5.0.0/16 peer-group G"),
        (Mode::Bgp, "no neighbor A peer-group"),
        (Mode::Configure, "no router bgp 65000"),
    ] {
        let before = config.clone();
        let mut mode = inside;
        apply(&mut config, &mut mode, &Own::default(), line)
            .unwrap_or_else(|diagnostic| panic!("{line}: {diagnostic}"));
        assert_ne!(config, before, "{line}");
        assert_eq!(parsed(&config.print()), config, "{line}");
    }
}

#[test]
fn routes_may_follow_an_interface_that_nobody_closed() {
    let text = "interface net0\n ip address 192.0.2.1/24\n!\nip route 10.0.0.0/8 192.0.2.2\nipv6 route ::/0 fe80::1 net0\n";
    let (config, diagnostics) = Config::parse(text);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(config.static_routes.len(), 2);
    let (_, diagnostics) = Config::parse("interface net0\n ip router isis core\n ipv6 router isis core\n");
    assert!(
        diagnostics.len() == 2 && Config::needs_frr(&diagnostics),
        "{diagnostics:?}"
    );
}

#[test]
fn what_frr_alone_has_is_told_once_for_a_block() {
    let text = "hostname r\nrouter ospf\n network 10.0.0.0/8 area 0\n area 1 stub\nexit\n!\nrouter isis x\nnet 49.1\n\
                is-type level-1\nrouter bgp 65000\n neighbor 1.1.1.1 remote-as 2\n neighbor 1.1.1.1 bfd\n \
                address-family l2vpn evpn\n  neighbor 1.1.1.1 activate\n  advertise-all-vni\n  advertise-svi-ip\n exit-address-family\n \
                bgp confederation identifier 5\n address-family ipv4 vpn\n  neighbor 1.1.1.1 activate\n \
                exit-address-family\nexit\nrouter bgp 3 vrf x\n neighbor 2.2.2.2 remote-as 3\n \
                address-family ipv4 unicast\n  network 1.0.0.0/8\n exit-address-family\nexit\nvrf x\n \
                ip route 1.0.0.0/8 2.2.2.2\nexit-vrf\ninterface eth0\n ip ospf area 0\n";
    let told = diagnostics(text);
    let lines: Vec<(usize, &str)> = told
        .iter()
        .map(|(line, word, _)| (*line, word.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            (2, "router ospf"),
            (7, "router isis x"),
            (12, "neighbor 1.1.1.1 bfd"),
            (16, "advertise-svi-ip"),
            (18, "bgp confederation identifier 5"),
            (19, "address-family ipv4 vpn"),
            (24, "neighbor 2.2.2.2 remote-as 3"),
            (30, "ip route 1.0.0.0/8 2.2.2.2"),
            (33, "ip ospf area 0"),
        ]
    );
    assert!(told.iter().all(|(_, _, kind)| *kind == DiagnosticKind::NeedsFrr));
    let (config, _) = Config::parse(text);
    let bgp = config.bgp.unwrap();
    assert_eq!(bgp.neighbors.len(), 1);
    assert!(bgp.ipv4.networks.is_empty() && config.static_routes.is_empty());
}

#[test]
fn all_errors_are_told_with_their_places() {
    let told = diagnostics(
        "hostname r\nrouter bgp 65000\n neighbr 1.1.1.1 remote-as 2\n neighbor 1.1.1.1 remote-as 0\n \
         neighbor 1.1.1.1 passive\n neighbor 1.1.1.2 remote-as 3\n neighbor 1.1.1.2 timers 3\n \
         neighbor 1.1.1.2 ad 3\n neighbor 1.1.1.2 timers 1 2\n address-family ipv4\n  network 10.0.0.0/33\n",
    );
    let places: Vec<(usize, &str)> = told
        .iter()
        .map(|(line, word, _)| (*line, word.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (3, "neighbr"),
            (4, "0"),
            (5, "1.1.1.1"),
            (7, ""),
            (9, "2"),
            (11, "10.0.0.0/33")
        ]
    );
    assert_eq!(told[0].2, DiagnosticKind::Unknown);
    assert!(matches!(told[2].2, DiagnosticKind::Invalid(_)));
    let (_, diagnostics) = Config::parse("router bgp 1\n neighbr 1.1.1.1 remote-as 2\n");
    assert_eq!(diagnostics[0].help, "did you mean `neighbor`?");
}

#[test]
fn frr_refuses_these_too() {
    for line in [
        "router bgp 2",
        "neighbor 1.1.1.1 route-reflector-client",
        "neighbor 1.1.1.1 local-as 1",
        "neighbor 1.1.1.9 passive",
        "neighbor 1.1.1.9 peer-group H",
        "neighbor 1.1.1.2 remote-as 4",
        "neighbor x remote-as 4",
        "no neighbor net0 capability extended-nexthop",
        "bgp listen range 10.0.0.0/8 peer-group H",
    ] {
        let mut config = parsed(
            "router bgp 1\n neighbor G peer-group\n neighbor M peer-group\n neighbor M remote-as 7\n \
             neighbor 1.1.1.1 remote-as 2\n neighbor 1.1.1.2 peer-group M\n neighbor net0 interface\n",
        );
        let before = config.clone();
        let refused = apply(&mut config, &mut Mode::Bgp, &Own::default(), line);
        assert!(
            matches!(
                refused,
                Err(Diagnostic {
                    kind: DiagnosticKind::Invalid(_),
                    ..
                })
            ),
            "{line}: {refused:?}"
        );
        assert_eq!(config, before, "{line}");
    }
}

#[test]
fn a_denying_entry_goes_nowhere() {
    let told = diagnostics(
        "route-map a deny 5\n on-match goto 7\nroute-map a permit 6\n continue 8\nroute-map a deny 6\n",
    );
    let lines: Vec<usize> = told.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [2, 5]);
}

#[test]
fn words_may_be_short_and_modes_are_left_by_themselves() {
    let config = parsed(
        "rou bgp 1\n neigh 1.1.1.1 remote 2\n addr ipv6 uni\n  neigh 1.1.1.1 activ\n neigh 1.1.1.1 passiv\n\
         int lo\n ip addr 10.0.0.1/32\nip prefix-list a perm any\n",
    );
    let bgp = config.bgp.as_ref().unwrap();
    assert_eq!(bgp.neighbors[0].own.settings.passive, Some(true));
    assert_eq!(bgp.neighbors[0].own.ipv6.activate, Some(true));
    assert_eq!(config.interfaces["lo"].addresses.len(), 1);
    assert!(config.prefix_lists.get("a").is_some());
}

#[test]
fn a_line_can_be_completed_and_explained() {
    let texts = |candidates: Vec<grammar::Candidate>| -> Vec<String> {
        candidates.into_iter().map(|candidate| candidate.text).collect()
    };
    // As the terminal completes a word: to those that are keywords.
    let complete = |mode: &Mode, line: &str| -> Vec<grammar::Candidate> {
        let all = help(mode, line).into_iter();
        all.filter(|candidate| candidate.is_keyword).collect()
    };
    assert_eq!(
        texts(complete(&Mode::Configure, "rou")),
        ["route-map", "router", "router-id"]
    );
    assert_eq!(
        texts(help(&Mode::Bgp, "neighbor x remote-as ")),
        ["(1-4294967295)", "external", "internal"]
    );
    assert_eq!(
        texts(complete(&Mode::Family(Family::Ipv4Unicast), "neighbor x next")),
        ["next-hop-self"]
    );
}

/// Lines of which any may be given in any order.
const LINES: &[&str] = &[
    "frr defaults datacenter",
    "frr defaults traditional",
    "router bgp 1",
    "address-family ipv4 unicast",
    "address-family ipv6 unicast",
    "exit",
    "neighbor G peer-group",
    "neighbor H peer-group",
    "no neighbor G peer-group",
    "neighbor G remote-as internal",
    "no neighbor G remote-as internal",
    "neighbor H remote-as 5",
    "neighbor 1.1.1.1 remote-as 2",
    "neighbor 1.1.1.1 peer-group G",
    "no neighbor 1.1.1.1 peer-group G",
    "neighbor 2001:db8::1 remote-as external",
    "neighbor 2001:db8::1 peer-group H",
    "no neighbor 1.1.1.1",
    "neighbor net1 interface",
    "neighbor net0 interface v6only peer-group G",
    "neighbor net0 interface peer-group H",
    "neighbor net0 remote-as external",
    "no neighbor net0 interface",
    "neighbor net1 peer-group H",
    "neighbor net0 activate",
    "no neighbor net0 activate",
    "neighbor G activate",
    "no neighbor G activate",
    "neighbor H activate",
    "no neighbor H activate",
    "neighbor 1.1.1.1 activate",
    "no neighbor 1.1.1.1 activate",
    "bgp default ipv4-unicast",
    "no bgp default ipv4-unicast",
    "bgp default ipv6-unicast",
    "no bgp default ipv6-unicast",
    "neighbor G send-community",
    "no neighbor G send-community all",
    "no neighbor net0 send-community extended",
    "neighbor net0 send-community both",
    "no neighbor 1.1.1.1 send-community large",
    "neighbor 1.1.1.1 timers 5 15",
    "no neighbor 1.1.1.1 timers",
    "timers bgp 3 9",
    "no timers bgp",
    "timers bgp 60 180",
    "bgp ebgp-requires-policy",
    "no bgp ebgp-requires-policy",
    "bgp log-neighbor-changes",
    "no bgp log-neighbor-changes",
    "maximum-paths 256",
    "maximum-paths 8",
    "maximum-paths ibgp 8 equal-cluster-length",
    "network 10.0.0.0/8",
    "network 2001:db8::/32 route-map x",
    "no network 10.0.0.0/8",
    "redistribute connected metric 3",
    "no redistribute connected",
    "bgp max-med administrative",
    "bgp max-med on-startup 50",
    "neighbor net0 allowas-in",
    "neighbor G route-map in in",
    "neighbor net0 weight 3",
    "neighbor G local-as 9 no-prepend",
    "bgp listen range 10.0.0.0/8 peer-group G",
    "bgp graceful-restart",
    "neighbor 1.1.1.1 ebgp-multihop",
    "neighbor 1.1.1.1 ttl-security hops 2",
    "neighbor 1.1.1.1 shutdown message a  b",
    "ip prefix-list a permit any",
    "ip prefix-list a seq 3 deny 10.0.0.0/8 le 24",
    "no ip prefix-list a permit any",
    "ip prefix-list b description x",
    "no ip prefix-list b description",
    "access-list 5 permit host 1.1.1.1",
    "bgp community-list standard c permit no-export 1:2",
    "bgp community-list 5 deny 1:3",
    "bgp community-list expanded c permit x",
    "bgp large-community-list standard l permit 1:2:3",
    "bgp as-path access-list p permit _1_",
    "no bgp as-path access-list p",
    "bgp extcommunity-list standard x permit soo 1:2 rt 1:3",
    "route-map r permit 10",
    "route-map q deny 5",
    "match ip address prefix-list a",
    "match ipv6 address a6",
    "no match ip address prefix-list",
    "set metric +5",
    "set community none",
    "set community 1:2 additive",
    "set as-path prepend 1 2",
    "set ipv6 next-hop peer-address",
    "set ipv6 next-hop global 2001::1",
    "on-match next",
    "continue 30",
    "call q",
    "interface lo",
    "ip address 10.0.0.1/8",
    "ipv6 nd ra-interval msec 1500",
    "ipv6 nd ra-interval 4",
    "no ipv6 nd suppress-ra",
    "shutdown",
    "hostname h",
    "ip route 10.0.0.0/8 1.1.1.1 5",
    "ip route 10.0.0.0/8 Null0 tag 3",
    "no ip route 10.0.0.0/8 Null0",
    "log stdout",
    "no log",
    "ipv6 route 2001:db8::/32 fe80::1 eth0 onlink",
    "no router bgp",
];

proptest! {
    #[test]
    fn what_is_printed_is_read_back(lines in proptest::collection::vec(proptest::sample::select(LINES), 0..60)) {
        let (mut config, mut mode) = (Config::default(), Mode::Configure);
        for line in &lines {
            let before = config.clone();
            if let Err(diagnostic) = apply(&mut config, &mut mode, &Own::default(), line) {
                prop_assert_eq!(&config, &before, "{}", diagnostic.message);
            }
        }
        let printed = config.print();
        let (read, diagnostics) = Config::parse(&printed);
        prop_assert!(diagnostics.is_empty(), "{:?}\n{}", diagnostics, printed);
        prop_assert_eq!(&read, &config, "{}", printed);
        prop_assert_eq!(read.print(), printed);
    }

    #[test]
    fn no_text_is_too_odd(text in "([a-z0-9 :/.<>!|\\[\\]{}äß\t]{0,40}\n){0,5}") {
        let (config, _) = Config::parse(&text);
        prop_assert_eq!(Config::parse(&config.print()).0, config);
    }
}

/// A route-map may follow an address family that nobody has left.
#[test]
fn a_route_map_ends_an_address_family() {
    let text = "router bgp 1\n address-family ipv4 unicast\nroute-map M permit 10\n set metric 5\n";
    let (config, diagnostics) = Config::parse(text);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert!(config.route_maps.get("M").is_some());
}

#[test]
fn configurations_of_earlier_versions_have_their_defaults() {
    let flags = |head: &str| {
        let (config, diagnostics) = Config::parse(&format!("{head}\nrouter bgp 65001\n"));
        assert_eq!(diagnostics, []);
        let bgp = config.bgp.unwrap();
        let flags = bgp.flags;
        [
            flags.ebgp_requires_policy,
            flags.import_check,
            flags.suppress_duplicates,
            flags.hard_administrative_reset,
            bgp.graceful_restart.notification,
        ]
    };
    assert_eq!(flags(""), [true; 5]);
    assert_eq!(flags("frr version 8.4.2"), [true; 5]);
    assert_eq!(flags("frr version 10.3"), [true; 5]);
    assert_eq!(flags("frr version 8.1"), [true, true, true, false, false]);
    assert_eq!(flags("frr version 7.5_git"), [true, true, false, false, false]);
    assert_eq!(flags("frr version 7.3.1"), [false; 5]);
    let datacenter = "frr version 7.3\nfrr defaults datacenter";
    assert_eq!(flags(datacenter), [false, true, false, false, false]);
}

#[test]
fn one_blank_is_left_between_words_of_descriptions() {
    let text = "interface e\n description  a   b \nrouter bgp 1\n neighbor 192.0.2.1 remote-as 2\n neighbor 192.0.2.1 \
        description   c\t d\n neighbor 192.0.2.1 shutdown message e   f\n";
    let (config, diagnostics) = Config::parse(text);
    assert_eq!(diagnostics, []);
    let printed = config.print();
    for line in ["description a b\n", "description c d\n", "shutdown message e f\n"] {
        assert!(printed.contains(line), "{printed}");
    }
}
