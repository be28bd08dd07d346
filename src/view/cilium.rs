//! What agents say, in the layout of Cilium's command line.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::table;
use crate::cilium::state::{Answer, NodeAnswer, PeerState, RouteState};

/// Answers by node, as `cilium bgp … -o json` has them.
pub fn json(answers: &[NodeAnswer]) -> Value {
    let mut nodes: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for answer in answers {
        let entries = nodes.entry(&answer.node).or_default();
        match &answer.answer {
            Answer::Peers(peers) => entries.extend(peers.iter().map(|peer| json!(peer))),
            Answer::Routes(routes) => entries.extend(routes.iter().map(|route| json!(route))),
        }
    }
    json!(nodes)
}

/// Answers as tables.
pub fn text(answers: &[NodeAnswer], advertised: bool) -> String {
    let is_peers = answers
        .iter()
        .all(|answer| matches!(answer.answer, Answer::Peers(_)));
    if is_peers {
        peers(answers)
    } else {
        routes(answers, advertised)
    }
}

/// Nodes in the order of their names, each with what its routers say together.
fn by_node<'a, T: 'a>(
    answers: &'a [NodeAnswer],
    entries: impl Fn(&'a Answer) -> &'a [T],
) -> BTreeMap<&'a str, Vec<&'a T>> {
    let mut nodes: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
    for answer in answers {
        nodes
            .entry(&answer.node)
            .or_default()
            .extend(entries(&answer.answer));
    }
    nodes
}

fn peers(answers: &[NodeAnswer]) -> String {
    let nodes = by_node(answers, |answer| match answer {
        Answer::Peers(peers) => peers.as_slice(),
        Answer::Routes(_) => &[],
    });
    let mut rows = table::table(&[
        "Node",
        "Local AS",
        "Peer AS",
        "Peer Address",
        "Session State",
        "Uptime",
        "Family",
        "Received",
        "Advertised",
    ]);
    for (node, peers) in nodes {
        for (at, peer) in peers.into_iter().enumerate() {
            for row in peer_rows(if at == 0 { node } else { "" }, peer) {
                rows.add_row(row);
            }
        }
    }
    table::render(&mut rows)
}

/// A line a family; the first names the peer.
fn peer_rows(node: &str, peer: &PeerState) -> Vec<Vec<String>> {
    let head = vec![
        node.to_owned(),
        peer.local_asn.to_string(),
        peer.peer_asn.to_string(),
        peer.peer_address.to_string(),
        peer.session_state.clone(),
        duration(peer.uptime_nanoseconds),
    ];
    let families = peer.families.iter().enumerate().map(|(at, family)| {
        let mut row = if at == 0 {
            head.clone()
        } else {
            vec![String::new(); head.len()]
        };
        row.extend([
            format!("{}/{}", family.afi, family.safi),
            family.received.to_string(),
            family.advertised.to_string(),
        ]);
        row
    });
    families.collect()
}

fn routes(answers: &[NodeAnswer], advertised: bool) -> String {
    let nodes = by_node(answers, |answer| match answer {
        Answer::Routes(routes) => routes.as_slice(),
        Answer::Peers(_) => &[],
    });
    let head: &[&str] = match advertised {
        true => &["Node", "VRouter", "Peer", "Prefix", "NextHop", "Age", "Attrs"],
        false => &["Node", "VRouter", "Prefix", "NextHop", "Age", "Attrs"],
    };
    let mut rows = table::table(head);
    for (node, routes) in nodes {
        let mut before: Option<&RouteState> = None;
        for route in routes {
            let is_new = before.is_none_or(|before| before.router_asn != route.router_asn);
            let mut row = vec![
                before.map_or(node, |_| "").to_owned(),
                if is_new {
                    route.router_asn.to_string()
                } else {
                    String::new()
                },
            ];
            if advertised {
                row.push(route.neighbor.map_or_else(String::new, |peer| peer.to_string()));
            }
            row.extend([
                route.prefix.to_string(),
                route.next_hop.to_string(),
                duration(route.age_nanoseconds),
                format!("[{}]", route.path_attributes.join(" ")),
            ]);
            rows.add_row(row);
            before = Some(route);
        }
    }
    table::render(&mut rows)
}

/// As Go writes a duration, to the second: `1h2m3s`.
fn duration(nanoseconds: u64) -> String {
    let seconds = Duration::from_nanos(nanoseconds).as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cilium::state::{FamilyState, RestartState};

    fn peer(address: &str) -> PeerState {
        let family = |afi: &str, count| FamilyState {
            afi: afi.to_owned(),
            safi: "unicast".to_owned(),
            received: count,
            accepted: count,
            advertised: 1,
        };
        PeerState {
            local_asn: 65010,
            peer_asn: 65010,
            peer_address: address.parse().unwrap(),
            peer_port: 179,
            session_state: "established".to_owned(),
            uptime_nanoseconds: 3_723_000_000_000,
            ebgp_multihop_ttl: 0,
            connect_retry_time_seconds: 120,
            configured_hold_time_seconds: 90,
            applied_hold_time_seconds: 9,
            configured_keep_alive_time_seconds: 30,
            applied_keep_alive_time_seconds: 3,
            graceful_restart: RestartState {
                enabled: false,
                restart_time_seconds: 0,
            },
            tcp_password_enabled: false,
            families: vec![family("ipv4", 11), family("ipv6", 0)],
        }
    }

    #[test]
    fn peers_as_cilium_lists_them() {
        let answers = [NodeAnswer {
            node: "worker".to_owned(),
            answer: Answer::Peers(vec![peer("10.0.0.1"), peer("10.0.0.3")]),
        }];
        let text = text(&answers, false);
        let words: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            words[1],
            [
                "worker",
                "65010",
                "65010",
                "10.0.0.1",
                "established",
                "1h2m3s",
                "ipv4/unicast",
                "11",
                "1"
            ]
        );
        assert_eq!(words[2], ["ipv6/unicast", "0", "1"]);
        assert_eq!(words[3][0], "65010");
        assert_eq!(json(&answers)["worker"][1]["peer-address"], "10.0.0.3");
    }

    #[test]
    fn routes_as_cilium_lists_them() {
        let route = |prefix: &str| RouteState {
            router_asn: 65010,
            neighbor: Some("10.0.0.1".parse().unwrap()),
            prefix: prefix.parse().unwrap(),
            next_hop: "10.0.1.2".parse().unwrap(),
            age_nanoseconds: 61_000_000_000,
            best: true,
            path_attributes: vec!["{Origin: i}".to_owned(), "{Nexthop: 10.0.1.2}".to_owned()],
        };
        let answers = [NodeAnswer {
            node: "worker".to_owned(),
            answer: Answer::Routes(vec![route("10.1.0.0/24"), route("10.1.1.0/24")]),
        }];
        assert_eq!(
            text(&answers, true),
            "Node    VRouter  Peer      Prefix       NextHop   Age   Attrs\n\
             worker  65010    10.0.0.1  10.1.0.0/24  10.0.1.2  1m1s  [{Origin: i} {Nexthop: 10.0.1.2}]\n                 \
             10.0.0.1  10.1.1.0/24  10.0.1.2  1m1s  [{Origin: i} {Nexthop: 10.0.1.2}]\n"
        );
    }
}
