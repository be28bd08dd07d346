//! `show bgp peer-group`.

use std::fmt::Write;

use ipnet::IpNet;

use super::View;
use super::json::{Json, Object, text};
use super::neighbor_family::group_of;
use super::scope::Scope;
use super::summary::state_name;
use crate::config::{Arguments, Bgp, Group, RemoteAs};
use crate::speaker::Peer;
use crate::wire::Family;

/// `show bgp peer-group [NAME] [json]`.
pub(super) fn groups(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    let refusal = scope
        .refusal_of_named("BGP instance not found")
        .or_else(|| scope.refusal(view));
    let Some(bgp) = view.bgp().filter(|_| refusal.is_none()) else {
        return refusal.unwrap_or_default();
    };
    let wanted = arguments.get("group");
    let json = arguments.has("json");
    let found: Vec<(&String, &Group)> = bgp
        .groups
        .iter()
        .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name.as_str()))
        .collect();
    if found.is_empty() && wanted.is_some() && !json {
        return "% No such peer-group\n".to_owned();
    }
    if json {
        let object = found.into_iter().fold(Object::new(), |object, (name, group)| {
            object.with(name.as_str(), as_json(view, bgp, name, group))
        });
        return object.pretty() + "\n";
    }
    let lines = found
        .into_iter()
        .map(|(name, group)| lines(view, bgp, name, group));
    lines.collect()
}

fn members<'s>(view: &View<'s>, name: &str) -> Vec<&'s Peer> {
    let mut peers = view.peers();
    peers.retain(|peer| group_of(view, peer) == Some(name));
    // In the order in which they came; those that dialed in are the last.
    peers.sort_by_key(|peer| {
        let neighbor = view.bgp().and_then(|bgp| bgp.neighbor(&peer.name));
        neighbor.map_or(u32::MAX, |neighbor| neighbor.made.joined)
    });
    peers
}

fn families(bgp: &Bgp, group: &Group) -> Vec<Family> {
    let active = |family: &Family| {
        let said = group.family(*family).activate;
        said.unwrap_or(bgp.activates(*family))
    };
    Family::UNICAST.into_iter().filter(active).collect()
}

/// The ranges that a group lets neighbors in from, by family.
fn ranges(bgp: &Bgp, name: &str) -> Vec<(&'static str, Vec<IpNet>)> {
    let of = |is: fn(&IpNet) -> bool| {
        let own = bgp
            .listen_ranges
            .iter()
            .filter(|(_, group)| group.as_str() == name);
        own.map(|(range, _)| *range).filter(is).collect::<Vec<IpNet>>()
    };
    let all = [
        ("IPv4", of(|range| range.addr().is_ipv4())),
        ("IPv6", of(|range| range.addr().is_ipv6())),
    ];
    all.into_iter().filter(|(_, ranges)| !ranges.is_empty()).collect()
}

/// The AS, 0 for any other than the own, and whether it is the own.
fn remote_as(bgp: &Bgp, group: &Group) -> Option<(u32, bool)> {
    Some(match group.settings.remote_as? {
        RemoteAs::Number(asn) => (asn, asn == bgp.asn),
        RemoteAs::Internal => (bgp.asn, true),
        RemoteAs::External => (0, false),
    })
}

fn kind(bgp: &Bgp, group: &Group) -> &'static str {
    match remote_as(bgp, group) {
        Some((_, true)) => "internal",
        _ => "external",
    }
}

fn lines(view: &View, bgp: &Bgp, name: &str, group: &Group) -> String {
    let mut out = match remote_as(bgp, group) {
        Some((asn, _)) => format!("\nBGP peer-group {name}, remote AS {asn}\n"),
        None => format!("\nBGP peer-group {name}\n"),
    };
    out += &format!(
        "  Peer-group type is {}\n  Configured address-families:",
        kind(bgp, group)
    );
    let families = families(bgp, group);
    if families.is_empty() {
        out += " none";
    }
    for family in families {
        out += &format!(" {family};");
    }
    out += "\n";
    for (word, ranges) in ranges(bgp, name) {
        let _ = writeln!(out, "  {} {word} listen range(s)", ranges.len());
        for range in ranges {
            let _ = writeln!(out, "    {range}");
        }
    }
    let members = members(view, name);
    if !members.is_empty() {
        out += "  Peer-group members:\n";
    }
    for peer in members {
        let dynamic = if peer.is_dynamic() { "(dynamic)" } else { "" };
        let _ = writeln!(out, "    {} {dynamic} {} ", peer.name, state_name(view, peer));
    }
    out
}

fn as_json(view: &View, bgp: &Bgp, name: &str, group: &Group) -> Object {
    let mut object = Object::new();
    object.put_some("remoteAs", remote_as(bgp, group).map(|(asn, _)| asn));
    object.put("type", kind(bgp, group));
    let families = families(bgp, group)
        .into_iter()
        .map(|family| Json::Text(family.to_string()));
    object.put("addressFamiliesConfigured", families.collect::<Vec<Json>>());
    let ranges = ranges(bgp, name)
        .into_iter()
        .fold(Object::new(), |object, (word, ranges)| {
            let of_family = Object::new()
                .with("count", ranges.len())
                .with("ranges", ranges.iter().map(text).collect::<Vec<Json>>());
            object.with(word, of_family)
        });
    if !ranges.is_empty() {
        object.put("dynamicRanges", ranges);
    }
    let members = members(view, name);
    if !members.is_empty() {
        let members = members.into_iter().fold(Object::new(), |object, peer| {
            let mut status = Object::new().with("status", state_name(view, peer));
            status.put_if("dynamic", peer.is_dynamic());
            object.with(peer.name.to_string(), status)
        });
        object.put("members", members);
    }
    object
}
