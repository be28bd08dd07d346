//! `show bgp nexthop`: the next hops of routes and the addresses of neighbors, and the ways to them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::scope::Scope;
use super::{View, clock};
use crate::config::{Arguments, PeerName};
use crate::table::{Destination, NextHopState, Route, SourceKind};
use crate::wire::Family;

/// A next hop.
struct Entry {
    cost: Option<u32>,
    paths: usize,
    peer: Option<String>,
    interface: Option<String>,
    /// The lines of what leads there, where it is on no link.
    over: String,
    must_be_connected: bool,
    since: Duration,
}

/// IPv4 first, then the next hops of routes, then what neighbors by interface are known by.
type Key = (bool, bool, IpAddr);

/// `show bgp nexthop`.
pub(super) fn next_hops(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    let of_all = arguments.get("instance") == Some("all") && !arguments.has("address");
    let refusal = scope.refusal_of_named("No such BGP instance exist");
    if let Some(refusal) = refusal.filter(|_| !of_all) {
        return refusal;
    }
    if let Some(address) = arguments.get("address").and_then(|it| it.parse().ok()) {
        return one(view, address);
    }
    let mut out = format!("{}Current BGP nexthop cache:\n", scope.heading());
    out += &lines(view, |_| true);
    out
}

/// `show bgp nexthop ADDRESS`, with the routes that lead over it.
fn one(view: &View, address: IpAddr) -> String {
    let mut out = lines(view, |it| it == address);
    if out.is_empty() {
        return "specified nexthop does not have entry\n".to_owned();
    }
    out += "  Paths:\n";
    // bgpd puts each before those it knows.
    let mut paths = Vec::new();
    for family in Family::UNICAST {
        let number = if family == Family::Ipv4Unicast { 1 } else { 2 };
        for (prefix, destination) in view.speaker.table(family).iter() {
            let over = |route: &&Route| {
                route.source.kind != SourceKind::Local && route.next_hop.address() == address
            };
            for route in destination.routes().iter().filter(over) {
                let flags = flags(route, destination);
                paths.push(format!("    {number}/1 {prefix} VRF default flags {flags:#x}\n"));
            }
        }
    }
    out.extend(paths.into_iter().rev());
    out
}

/// bgpd's bits of a route: selected, valid, counted.
fn flags(route: &Route, destination: &Destination) -> u16 {
    let is_best = destination.best().is_some_and(|best| std::ptr::eq(best, route));
    let is_valid = route.is_reachable();
    0x400 | if is_best { 0x8 } else { 0 } | if is_valid { 0x10 } else { 0 }
}

fn lines(view: &View, takes: impl Fn(IpAddr) -> bool) -> String {
    let mut out = String::new();
    for ((_, _, address), entry) in entries(view) {
        if !takes(address) {
            continue;
        }
        out += &match entry.cost {
            Some(cost) => format!(" {address} valid [IGP metric {cost}], #paths {}", entry.paths),
            None => format!(" {address} invalid, #paths {}", entry.paths),
        };
        if let Some(peer) = &entry.peer {
            out += &format!(", peer {peer}");
        }
        out += "\n";
        if entry.cost.is_none() && entry.must_be_connected {
            out += "  Must be Connected\n";
        }
        match &entry.interface {
            Some(interface) => out += &format!("  if {interface}\n"),
            None => out += &entry.over,
        }
        let at = view.unix.saturating_sub(view.now.saturating_sub(entry.since));
        out += &format!("  Last update: {}\n\n", clock::date(at));
    }
    out
}

/// An address that BGP wants to know a way to.
pub(super) struct Known {
    pub(super) address: IpAddr,
    pub(super) must_be_near: bool,
    /// The link it is on.
    pub(super) interface: Option<u32>,
}

/// What BGP wants to know ways to.
pub(super) fn known(view: &View) -> Vec<Known> {
    let index = |name: &String| {
        let mut interfaces = view.speaker.interfaces().iter();
        interfaces.find(|it| it.name == *name).map(|it| it.index)
    };
    let entries = entries(view).into_iter();
    let known = entries.map(|((.., address), entry)| Known {
        address,
        must_be_near: entry.must_be_connected,
        interface: entry.interface.as_ref().and_then(index),
    });
    known.collect()
}

fn over(view: &View, route: &Route) -> String {
    match view.speaker.ways(route) {
        None => String::new(),
        Some((_, hops)) if hops.is_empty() => "  blackhole\n".to_owned(),
        Some((_, hops)) => {
            let gates = hops.iter().filter_map(|hop| hop.via);
            gates.map(|gate| format!("  gate {gate}\n")).collect()
        }
    }
}

fn entries(view: &View) -> BTreeMap<Key, Entry> {
    let mut entries: BTreeMap<Key, Entry> = BTreeMap::new();
    let interface_at = |address: IpAddr| {
        let mut interfaces = view.speaker.interfaces().iter().filter(|it| it.up);
        interfaces.find(|it| it.nets().any(|net| net.contains(&address)))
    };
    for peer in view.peers() {
        let Some(address) = peer.remote else { continue };
        let by_interface = matches!(peer.name, PeerName::Interface(_));
        let interface = interface_at(address).filter(|_| !by_interface);
        let entry = Entry {
            cost: view.speaker.is_in_reach(peer).then_some(0),
            paths: 0,
            peer: Some(peer.name.to_string()),
            interface: interface.map(|it| it.name.clone()),
            over: String::new(),
            must_be_connected: !view.is_internal(peer) && peer.effective.ebgp_multihop.is_none(),
            since: peer.record.changed.unwrap_or_default(),
        };
        entries.insert((address.is_ipv6(), by_interface, address), entry);
    }
    for family in Family::UNICAST {
        let destinations = view.speaker.table(family).iter();
        let routes = destinations.flat_map(|(_, destination)| destination.routes());
        for route in routes.filter(|route| route.source.kind != SourceKind::Local) {
            let address = route.next_hop.address();
            let peer = view.speaker.peers().find(|peer| peer.id == route.source.id);
            let by_interface = peer.and_then(|peer| peer.interface);
            let interfaces = view.speaker.interfaces();
            let interface = match by_interface {
                Some(index) => interfaces.iter().find(|it| it.index == index),
                None => interface_at(address),
            };
            let entry = entries
                .entry((address.is_ipv6(), false, address))
                .or_insert(Entry {
                    cost: None,
                    paths: 0,
                    peer: None,
                    interface: interface.map(|it| it.name.clone()),
                    over: over(view, route),
                    must_be_connected: view.speaker.must_be_near(route),
                    since: route.since(),
                });
            entry.paths += 1;
            if let NextHopState::Reachable(cost) = route.next_hop_state() {
                entry.cost = Some(cost);
            }
        }
    }
    entries
}
