//! Lines made at random from the table of commands, so that every form of every command comes by.
//! `NSLAB_ROUNDS=100000` makes so many configurations.

use super::super::pattern::{Graph, Token};
use super::super::print_neighbors::beside;
use super::*;
use crate::rng::Rng;

/// Lines that lead to where other commands may stand.
const DOORS: [&str; 11] = [
    "address-family l2vpn evpn",
    "vni 10",
    "router bgp 65000",
    "router bgp 65000",
    "address-family ipv4 unicast",
    "address-family ipv6 unicast",
    "route-map a permit 10",
    "route-map b deny 20",
    "interface eth0",
    "neighbor 10.0.0.1 remote-as 65001",
    "neighbor a peer-group",
];

fn one<'a>(rng: &mut Rng, words: &[&'a str]) -> &'a str {
    words[rng.roll(words.len() as u64) as usize]
}

/// A word of a kind.
fn word(rng: &mut Rng, kind: Kind) -> String {
    let v4 = ["10.0.0.1", "192.0.2.7", "0.0.0.0", "255.255.255.255"];
    let v6 = ["2001:db8::1", "fe80::1", "::"];
    let nets4 = ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/24", "10.0.0.1/32"];
    let nets6 = ["2001:db8::/32", "::/0", "2001:db8::1/64"];
    let words = match kind {
        Kind::Number(low, high) => {
            let span = (high - low).saturating_add(1);
            let number = match rng.roll(4) {
                0 => low,
                1 => high,
                2 => low + rng.roll(span.min(6)),
                _ => low + rng.roll(span),
            };
            return number.to_string();
        }
        Kind::Ipv4 => &v4[..],
        Kind::Ipv6 => &v6,
        Kind::Address => {
            let v4 = rng.roll(2) == 0;
            return word(rng, if v4 { Kind::Ipv4 } else { Kind::Ipv6 });
        }
        Kind::Prefix4 => &nets4,
        Kind::Prefix6 => &nets6,
        Kind::Prefix => {
            let v4 = rng.roll(2) == 0;
            return word(rng, if v4 { Kind::Prefix4 } else { Kind::Prefix6 });
        }
        Kind::Community => &["65000:1", "no-export", "internet", "70000", "1:65535"],
        Kind::Interface => &["eth0", "lo", "net1"],
        Kind::Peer => &["10.0.0.1", "2001:db8::1", "eth0", "a"],
        // No numbers: an expanded community-list with one is printed like a standard one, by FRR 8.4 as well.
        Kind::Word => &["a", "b", "ten", "1:2:3", "65000:1", "no-export", "^1_", "x.y"],
        Kind::Line => &["a", "some words", "_65000_", "65000:1 1:2", "rt 1:2"],
    };
    one(rng, words).to_owned()
}

/// A line of a form.
fn line(rng: &mut Rng, pattern: &'static str) -> String {
    let mut graph = Graph::default();
    let mut at = graph.add(pattern);
    let mut words: Vec<String> = Vec::new();
    loop {
        let node = &graph.nodes[at];
        if node.next.is_empty() || words.len() > 12 || node.accepts && rng.roll(3) == 0 {
            return words.join(" ");
        }
        at = node.next[rng.roll(node.next.len() as u64) as usize];
        words.push(match graph.nodes[at].token {
            Some(Token::Keyword(keyword)) => keyword.to_owned(),
            Some(Token::Argument(_, kind)) => word(rng, kind),
            None => continue,
        });
    }
}

/// Neighbors on interfaces stand in the order in which they were typed, and are printed with their groups first, as FRR does.
/// So do name servers and domains of router advertisements, which FRR prints by their text.
fn sorted(mut config: Config) -> Config {
    for interface in config.interfaces.values_mut() {
        interface.neighbor_discovery.name_servers.sort();
        interface.neighbor_discovery.search_domains.sort();
    }
    if let Some(bgp) = &mut config.bgp {
        bgp.neighbors
            .sort_by_key(|neighbor| format!("{:?}", neighbor.name));
        // As with FRR a member of a group is printed with what it has besides from its group.
        let groups = bgp.groups.clone();
        for neighbor in &mut bgp.neighbors {
            let group = neighbor.group.as_ref().and_then(|group| groups.get(group));
            for family in Family::ALL {
                neighbor.own = beside(&neighbor.own, group, family);
            }
            // What hangs on the order in which lines were typed is not printed.
            if group.is_some() {
                neighbor.own.settings.solo = None;
                neighbor.own.settings.tcp_mss.take_if(|size| *size == 0);
                neighbor.own.ipv4.next_hop_kept = None;
                neighbor.own.ipv6.next_hop_kept = None;
                neighbor.own.evpn.next_hop_kept = None;
            }
        }
    }
    // Lines of an interface are printed in the order of letters.
    for interface in config.interfaces.values_mut() {
        let nd = &mut interface.neighbor_discovery;
        nd.name_servers.sort();
        nd.search_domains.sort();
    }
    config
}

#[test]
fn whatever_can_be_configured_is_printed_and_read_back() {
    let rounds = std::env::var("NSLAB_ROUNDS").ok().and_then(|it| it.parse().ok());
    let mut rng = Rng::new(11);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..rounds.unwrap_or(300u32) {
        let (mut config, mut mode) = (Config::default(), Mode::Configure);
        let mut lines = Vec::new();
        for _ in 0..rng.roll(60) {
            let forms = super::super::patterns(&mode);
            let text = match rng.roll(6) {
                0 => one(&mut rng, &DOORS).to_owned(),
                _ => {
                    let form = forms[rng.roll(forms.len() as u64) as usize];
                    line(&mut rng, form)
                }
            };
            let before = config.clone();
            match apply(&mut config, &mut mode, &Own::default(), &text) {
                Ok(_) => {
                    taken += 1;
                    lines.push(text);
                }
                Err(diagnostic) => {
                    refused += 1;
                    assert_eq!(
                        config, before,
                        "`{text}` is refused ({}) and changes something",
                        diagnostic.message
                    );
                }
            }
        }
        let printed = config.print();
        let (read, diagnostics) = Config::parse(&printed);
        let how = || {
            format!(
                "round {round}\n--- typed\n{}\n--- printed\n{printed}",
                lines.join("\n")
            )
        };
        assert!(diagnostics.is_empty(), "{diagnostics:?}\n{}", how());
        assert!(sorted(read.clone()) == sorted(config), "{}", how());
        assert_eq!(read.print(), printed, "{}", how());
    }
    assert!(taken > refused / 4, "{taken} lines taken, {refused} refused");
}
