//! `show bgp neighbors`.

use super::json::{Json, Object};
use super::neighbor::Neighbor;
use super::scope::Scope;
use super::{View, neighbor_json, neighbor_text};
use crate::config::Arguments;

/// `show bgp neighbors [NEIGHBOR] [json]`.
pub(super) fn neighbors(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    let json = arguments.has("json");
    if let Some(refusal) = scope.refusal(view) {
        return match json {
            true => "{\n}\n".to_owned(),
            false => refusal,
        };
    }
    let family = arguments.one_of(&["ipv4", "ipv6"]).map(|_| scope.table());
    let is_in = |peer: &&crate::speaker::Peer| family.is_none_or(|family| peer.family(family).activate);
    let peers = match (arguments.get("peer"), family) {
        (Some(name), _) => view.peer(name).filter(is_in).into_iter().collect(),
        (None, Some(family)) => view.peers_in(family),
        (None, None) => view.peers(),
    };
    if peers.is_empty() && arguments.has("peer") {
        return match json {
            true => "{\n  \"bgpNoSuchNeighbor\":true\n}\n".to_owned(),
            false => "% No such neighbor in this view/vrf\n\n".to_owned(),
        };
    }
    if peers.is_empty() && !json {
        return "% No BGP neighbors found\n\n".to_owned();
    }
    let neighbors = peers.into_iter().map(|peer| Neighbor::new(view, peer));
    if json {
        let object = neighbors.fold(Object::new(), |object, it| {
            object.with(it.peer.name.to_string(), neighbor_json::object(&it))
        });
        return Json::from(object).pretty_escaped() + "\n";
    }
    let lines = neighbors.map(|it| neighbor_text::lines(&it));
    lines.collect::<String>() + "\n"
}

/// What is above the neighbors of the next answer.
const LEGEND: &str = "
Codes: GR - Graceful Restart, * -  Inheriting Global GR Config,
       Restart - GR Mode-Restarting, Helper - GR Mode-Helper,
       Disable - GR Mode-Disable.

";

/// `show bgp ipv4 neighbors graceful-restart`.
pub(super) fn graceful_restart(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    if let Some(refusal) = scope.refusal(view) {
        return refusal;
    }
    let peers = match (arguments.get("peer"), arguments.one_of(&["ipv4", "ipv6"])) {
        (Some(name), _) => view.peer(name).into_iter().collect(),
        (None, Some(_)) => view.peers_in(scope.table()),
        (None, None) => view.peers(),
    };
    if arguments.has("json") {
        let objects = peers.into_iter().map(|peer| {
            let it = Neighbor::new(view, peer);
            let address = peer
                .remote
                .map_or_else(|| peer.name.to_string(), |it| it.to_string());
            let roles = Object::new().with("neighborAddr", address);
            (peer.name.to_string(), neighbor_json::with_roles(&it, roles))
        });
        let object = objects.fold(Object::new(), |all, (name, object)| all.with(name, object));
        return object.pretty() + "\n";
    }
    let enabled = view.bgp().and_then(|bgp| bgp.graceful_restart.enabled);
    let mode = match enabled {
        Some(true) => "Restart",
        Some(false) => "Disable",
        None => "Helper",
    };
    let mut out = format!("{LEGEND}Global BGP GR Mode :  {mode}\n\n");
    for peer in peers {
        let it = Neighbor::new(view, peer);
        let name = match (&peer.name, peer.remote) {
            (crate::config::PeerName::Interface(name), Some(address)) => format!("on {name}: {address}"),
            (name, _) => format!("is {name}"),
        };
        out += &format!("BGP neighbor {name}\n{}", neighbor_text::roles(&it));
    }
    out + "\n"
}
