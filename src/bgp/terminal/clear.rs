//! `clear bgp`: sessions that begin anew, or routes that are told again.

use std::net::IpAddr;

use super::Terminal;
use super::outcome::Outcome;
use crate::config::Arguments;
use crate::show::{View, remote_as};
use crate::speaker::{Event, Peer};
use crate::table::SourceId;
use crate::wire::Family;

/// As with FRR a neighbor that is not there is told, and is no failure.
pub(super) fn clear(_: &mut Terminal, view: &View, arguments: &Arguments) -> Outcome {
    if let Some(instance) = arguments.get("instance").filter(|name| *name != "default") {
        return Outcome::printed(format!("Can't find BGP instance {instance}\n"));
    }
    let family = family(arguments);
    match peers(view, arguments, family) {
        Ok(peers) => Outcome {
            events: peers
                .into_iter()
                .flat_map(|peer| events(peer, family, arguments))
                .collect(),
            ..Outcome::default()
        },
        Err(message) => Outcome::printed(message),
    }
}

/// How often a list was asked is not counted here.
pub(super) fn prefix_list(_: &mut Terminal, view: &View, arguments: &Arguments) -> Outcome {
    let config = view.speaker.config();
    let lists = match arguments.has("ipv6") {
        true => &config.prefix_lists6,
        false => &config.prefix_lists,
    };
    match arguments.get("name") {
        Some(name) if lists.get(name).is_none() => Outcome::printed("% Can't find specified prefix-list\n"),
        _ => Outcome::default(),
    }
}

/// Without a name FRR 8.4 finds none.
pub(super) fn route_map(_: &mut Terminal, _: &View, arguments: &Arguments) -> Outcome {
    match arguments.has("name") {
        true => Outcome::default(),
        false => {
            Outcome::printed("ZEBRA: 'route-map counters' not found\nBGP: 'route-map counters' not found\n")
        }
    }
}

pub(super) fn vrf(_: &mut Terminal, _: &View, arguments: &Arguments) -> Outcome {
    let name = arguments.get("name").unwrap_or_default();
    Outcome::printed(format!("VRF \"{name}\" appears not to be configured.\n"))
}

fn family(arguments: &Arguments) -> Option<Family> {
    match arguments.one_of(&["l2vpn", "ipv4", "ipv6"]) {
        Some("l2vpn") => Some(Family::L2vpnEvpn),
        Some("ipv4") => Some(Family::Ipv4Unicast),
        Some(_) => Some(Family::Ipv6Unicast),
        None => None,
    }
}

fn events(peer: SourceId, family: Option<Family>, arguments: &Arguments) -> Vec<Event> {
    let soft = arguments.has("soft");
    let (inward, outward) = (arguments.has("in"), arguments.has("out"));
    match (soft, inward, outward) {
        // What is counted is not taken back.
        _ if arguments.has("message-stats") => Vec::new(),
        (_, true, _) => vec![Event::SoftIn(peer, family)],
        (_, _, true) => vec![Event::SoftOut(peer, family)],
        (true, ..) => vec![Event::SoftIn(peer, family), Event::SoftOut(peer, family)],
        _ => vec![Event::Reset(peer)],
    }
}

/// Which neighbors are meant.
///
/// # Errors
/// There are none, in FRR's words.
fn peers(view: &View, arguments: &Arguments, family: Option<Family>) -> Result<Vec<SourceId>, String> {
    let all = |takes: &dyn Fn(&Peer) -> bool| -> Vec<SourceId> {
        let active = |peer: &&Peer| family.is_none_or(|family| peer.family(family).activate);
        let peers = view.speaker.peers().filter(active).filter(|peer| takes(peer));
        peers.map(|peer| peer.id).collect()
    };
    let which = family.map_or("Unknown".to_owned(), |family| family.to_string());
    let some = |peers: Vec<SourceId>, message: String| match peers.is_empty() {
        true => Err(message),
        false => Ok(peers),
    };
    if arguments.has("*") {
        return Ok(all(&|_| true));
    }
    if arguments.has("external") {
        let peers = all(&|peer| !view.is_internal(peer));
        return some(peers, format!("% BGP: No external {which} peer is configured\n"));
    }
    if let Some(group) = arguments.get("group") {
        return group_members(view, group, &which);
    }
    if let Some(asn) = arguments.get("asn") {
        let peers = all(&|peer| remote_as(peer).to_string() == asn);
        return some(
            peers,
            format!("% BGP: No {which} peer is configured with AS {asn}\n"),
        );
    }
    let name = arguments.get("peer").unwrap_or_default();
    let known = view.peer(name);
    let is_off = known.is_some_and(|peer| family.is_some_and(|family| !peer.family(family).activate));
    if let (true, Some(family)) = (is_off, family) {
        return Err(format!(
            "% BGP: Enable {family} address family for the neighbor {name}\n"
        ));
    }
    let known = known.map(|peer| peer.id);
    known
        .map(|peer| vec![peer])
        .ok_or_else(|| match name.parse::<IpAddr>() {
            Ok(_) => format!("% BGP: Unknown neighbor - \"{name}\"\n"),
            Err(_) => format!("Malformed address or name: {name}\n"),
        })
}

fn group_members(view: &View, group: &str, which: &str) -> Result<Vec<SourceId>, String> {
    let bgp = view.speaker.config().bgp.as_ref();
    let Some(bgp) = bgp.filter(|bgp| bgp.groups.contains_key(group)) else {
        return Err(format!("% BGP: No such peer-group {group}\n"));
    };
    let is_in = |peer: &&Peer| {
        let configured = bgp.neighbors.iter().find(|it| it.name == peer.name);
        peer.let_in_by.as_deref() == Some(group)
            || configured.is_some_and(|it| it.group.as_deref() == Some(group))
    };
    let members = view.speaker.peers().filter(is_in);
    let members: Vec<SourceId> = members.map(|peer| peer.id).collect();
    match members.is_empty() {
        true => Err(format!(
            "% BGP: No {which} peer belonging to peer-group {group} is configured\n"
        )),
        false => Ok(members),
    }
}
