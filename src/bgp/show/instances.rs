//! What bgpd has of instances, sockets and shared sets: `show bgp vrfs`, `views`, `listeners`, `paths`, `community-info`.

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use super::View;
use super::buckets;
use super::evpn_vrf;
use super::facts::is_up;
use super::json::{Object, text};
use super::rib;
use super::scope::Scope;
use crate::config::Arguments;
use crate::table::Route;
use crate::wire::{Attributes, Family};

/// The numbers of bgpd's listening sockets, which its answer tells.
const LISTENERS: [(u8, &str); 2] = [(20, "0.0.0.0"), (21, "::")];

/// `show bgp listeners`.
pub(super) fn listeners(view: &View, _: &Arguments) -> String {
    let mut out = format!("Name             fd Address\n{:-<27}\n", "");
    if view.bgp().is_some() {
        for (number, address) in LISTENERS {
            let _ = writeln!(out, "{:<16} {number} {address}", "default");
        }
    }
    out
}

/// `show bgp mac hash`: the addresses of the interfaces' own.
pub(super) fn macs(view: &View, _: &Arguments) -> String {
    let mut out = String::new();
    for interface in view.speaker.interfaces() {
        let octets: Vec<String> = match interface.link.address.as_slice() {
            [] => vec!["00".to_owned(); 6],
            address => address.iter().map(|octet| format!("{octet:02x}")).collect(),
        };
        let _ = writeln!(out, "Mac Address: {} {} ", octets.join(":"), interface.name);
    }
    out
}

/// `show bgp peerhash`: neighbors by their addresses. bgpd's instance has no name here.
pub(super) fn peer_hash(view: &View, _: &Arguments) -> String {
    if view.bgp().is_none() {
        return String::new();
    }
    let mut out = "BGP: (null)\n".to_owned();
    for peer in view.peers() {
        if let Some(address) = peer.remote {
            let _ = writeln!(out, "\tPeer: {} {address}", peer.name);
        }
    }
    out
}

/// An instance as `show bgp vrfs` has it.
struct Instance<'s> {
    kind: (&'static str, &'static str),
    view: View<'s>,
    l3vni: u32,
    mac: String,
    interface: String,
}

fn all_instances<'s>(view: &View<'s>) -> Vec<Instance<'s>> {
    let routed = evpn_vrf::routed(view);
    let one = |kind, view: View<'s>| {
        let name = view.vrf_name();
        // (bgpd's default one has none of it, whatever its VNI.)
        let local = routed
            .iter()
            .find(|it| it.vrf == name && it.is_up && name != "default");
        let local = local.and_then(|it| it.local);
        Instance {
            kind,
            view,
            l3vni: local.map_or(0, |it| it.vni),
            mac: local.map_or("00:00:00:00:00:00".to_owned(), |it| it.bridge.2.to_string()),
            interface: local.map_or("unknown".to_owned(), |it| it.bridge.1.clone()),
        }
    };
    let default = view.bgp().map(|_| one(("DFLT", "DFLT"), *view));
    let vrfs = view.speaker.vrfs().filter_map(|(name, _)| view.within(name));
    default
        .into_iter()
        .chain(vrfs.map(|view| one((" VRF", "VRF"), view)))
        .collect()
}

/// `show bgp vrfs`.
pub(super) fn vrfs(view: &View, arguments: &Arguments) -> String {
    let all = all_instances(view);
    let counts = |view: &View| {
        let peers = view.peers();
        (peers.len(), peers.iter().filter(|peer| is_up(peer)).count())
    };
    if arguments.has("json") {
        let mut vrfs = Object::new();
        for it in &all {
            let (peers, up) = counts(&it.view);
            let vrf = Object::new()
                .with("type", it.kind.1)
                .with("vrfId", it.view.vrf_id().map_or(-1, i64::from))
                .with("routerId", text(it.view.speaker.router_id()))
                .with("numConfiguredPeers", peers)
                .with("numEstablishedPeers", up)
                .with("l3vni", it.l3vni)
                .with("rmac", it.mac.clone())
                .with("interface", it.interface.clone());
            vrfs.put(it.view.vrf_name(), vrf);
        }
        return Object::new()
            .with("vrfs", vrfs)
            .with("totalVrfs", all.len())
            .pretty()
            + "\n";
    }
    let mut out = String::new();
    let row = |cells: [&str; 6]| {
        let [kind, id, router, configured, up, name] = cells;
        format!("{kind:4}  {id:<5}  {router:<16}  {configured:<9}  {up:<10}  {name:<37}\n")
    };
    let mac = |id: &str, mac: &str, interface: &str| format!("{:11}  {id:<16}  {mac:<21}  {interface}\n", "");
    if !all.is_empty() {
        out += &row(["Type", "Id", "routerId", "#PeersCfg", "#PeersEstb", "Name"]);
        out += &mac("L3-VNI", "RouterMAC", "Interface");
    }
    for it in &all {
        let (peers, up) = counts(&it.view);
        let id = it.view.vrf_id().map_or("-".to_owned(), |id| id.to_string());
        let router_id = it.view.speaker.router_id().to_string();
        out += &row([
            it.kind.0,
            &id,
            &router_id,
            &peers.to_string(),
            &up.to_string(),
            it.view.vrf_name(),
        ]);
        out += &mac(&it.l3vni.to_string(), &it.mac, &format!("{:<20}", it.interface));
    }
    let _ = writeln!(out, "\nTotal number of VRFs (including default): {}", all.len());
    out
}

/// `show bgp views`. The one instance has no name.
pub(super) fn views(view: &View, _: &Arguments) -> String {
    let instance = view.bgp().map(|bgp| format!("\t(null) (AS{})\n", bgp.asn));
    format!("Defined BGP views:\n{}", instance.unwrap_or_default())
}

/// Sets of attributes that routes share.
fn sets<'s>(view: &View<'s>) -> Vec<&'s Attributes> {
    let speaker = view.speaker;
    let tables = Family::UNICAST
        .into_iter()
        .map(move |family| speaker.table(family));
    let routes = tables.flat_map(|table| table.iter().flat_map(|(_, destination)| destination.routes()));
    let mut known: HashMap<*const Attributes, &Route> = HashMap::new();
    for route in routes {
        known.entry(Arc::as_ptr(&route.attributes)).or_insert(route);
    }
    known.into_values().map(|route| &*route.attributes).collect()
}

/// A line for each different value: where it is, how often it is used, and what it is.
fn shared(values: impl Iterator<Item = String>, with_key: bool) -> String {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.cmp(a));
    let lines = counts.into_iter().map(|(value, count)| {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let hash = hasher.finish();
        let key = if with_key {
            format!(":{}", hash as u32)
        } else {
            String::new()
        };
        format!("[0x{:x}{key}] ({count}) {value}\n", hash >> 16)
    });
    lines.collect()
}

/// `show bgp paths`.
pub(super) fn paths(view: &View, _: &Arguments) -> String {
    let paths = sets(view).into_iter().map(|it| it.as_path.to_string());
    format!("Address Refcnt Path\n{}", shared(paths, true))
}

/// `show bgp community-info`.
pub(super) fn communities(view: &View, _: &Arguments) -> String {
    let sets = sets(view).into_iter();
    let communities = sets.filter(|it| !it.communities.is_empty()).map(|it| {
        let words: Vec<String> = it.communities.iter().map(ToString::to_string).collect();
        words.join(" ")
    });
    format!("Address Refcnt Community\n{}", shared(communities, false))
}

/// `show bgp import-check-table`: networks that are told only if there is a route to them, the widest first.
pub(super) fn import_check(view: &View, arguments: &Arguments) -> String {
    if let Some(refusal) = Scope::of(arguments).refusal_of_named("No such BGP instance exist") {
        return refusal;
    }
    let mut out = "Current BGP import check cache:\n".to_owned();
    let bgp = view.bgp().filter(|bgp| bgp.flags.import_check);
    for family in Family::UNICAST {
        let mut networks: Vec<_> = bgp
            .iter()
            .flat_map(|bgp| bgp.family(family).networks.keys())
            .copied()
            .collect();
        networks.sort_by_key(|it| (it.prefix_len(), it.addr()));
        let rib = rib::of(view, family);
        for network in networks {
            let mut routes = rib.get(&network).into_iter().flatten();
            let own = |it: &&rib::Entry| it.selected && it.protocol < rib::Protocol::External;
            out += &imported(view, network, routes.find(own));
        }
    }
    out
}

/// A network, and the route that there is to it.
fn imported(view: &View, network: ipnet::IpNet, route: Option<&rib::Entry>) -> String {
    let address = network.addr();
    let mut out = match route {
        Some(route) => format!(" {address} valid [IGP metric {}], #paths 1\n", route.metric),
        None => format!(" {address} invalid, #paths 1\n"),
    };
    for way in route
        .iter()
        .flat_map(|route| &route.ways)
        .filter(|way| way.active)
    {
        out += &match way.to {
            rib::To::Link(index) => format!("  if {}\n", super::ip_route::interface(view, index)),
            rib::To::Router(gate, _) => format!("  gate {gate}\n"),
            rib::To::Blackhole | rib::To::Unreachable | rib::To::Prohibited => "  blackhole\n".to_owned(),
        };
    }
    let since = route.and_then(|route| route.since).unwrap_or_default();
    let at = view.unix.saturating_sub(view.now.saturating_sub(since));
    out + &format!("  Last update: {}\n\n", super::clock::date(at))
}

/// `show bgp martian next-hop`: the router's own addresses, which are no next hops.
pub(super) fn own_addresses(view: &View, arguments: &Arguments) -> String {
    if Scope::of(arguments).refusal(view).is_some() {
        return "% No BGP process is configured\n".to_owned();
    }
    let mut lines = Vec::new();
    for interface in view.speaker.interfaces().iter().filter(|it| it.up) {
        let addresses = interface.addresses.iter().map(ipnet::IpNet::addr);
        let shown = addresses.filter(|it| !it.is_loopback());
        let shown = shown.filter(|it| !matches!(it, IpAddr::V6(it) if it.is_unicast_link_local()));
        lines.extend(shown.map(|address| {
            let line = format!("addr: {address}, count: 1 :  {},\n", interface.name);
            (buckets::of_address(address), line)
        }));
    }
    lines.sort();
    let lines: String = lines.into_iter().map(|(_, line)| line).collect();
    format!("self nexthop database:\n{lines}Tunnel-ip database:\n")
}

/// `show bgp neighbors NEIGHBOR received prefix-filter`: none is spoken of in OPENs.
pub(super) fn no_prefix_filter(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    if let Some(refusal) = scope.refusal_of_routes(view) {
        return refusal;
    }
    let name = arguments.get("peer").unwrap_or_default();
    let json = arguments.has("json");
    match (view.peer(name).is_some(), json) {
        (true, true) => "{}\n".to_owned(),
        (true, false) => "No functional output\n".to_owned(),
        (false, _) => super::advertised::unknown(name, json),
    }
}

/// Answers about what nobody has switched on here.
pub(super) fn nothing(_: &View, _: &Arguments) -> String {
    String::new()
}

/// `show mac access-list`.
pub(super) fn no_mac_lists(_: &View, _: &Arguments) -> String {
    "ZEBRA:\nBGP:\n".to_owned()
}

/// `summary` of a family in which nobody is active.
pub(super) fn no_neighbors(_: &View, _: &Arguments) -> String {
    "% No BGP neighbors found in VRF default\n".to_owned()
}

/// `show bgp dampening parameters`.
pub(super) fn no_dampening(_: &View, arguments: &Arguments) -> String {
    let family = match arguments.has("ipv6") {
        true => Family::Ipv6Unicast,
        false => Family::Ipv4Unicast,
    };
    format!("dampening not enabled for {family}\n")
}

/// `show bgp route-leak`.
pub(super) fn no_leaks(_: &View, arguments: &Arguments) -> String {
    let family = match arguments.has("ipv6") {
        true => Family::Ipv6Unicast,
        false => Family::Ipv4Unicast,
    };
    format!(
        "This VRF is not importing {family} routes from any other VRF\n\
         This VRF is not exporting {family} routes to any other VRF\n"
    )
}
