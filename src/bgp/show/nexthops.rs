//! `show bgp nexthop`: the next hops of routes and the addresses of neighbours, and the ways to them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{View, clock};
use crate::config::{Arguments, PeerName};
use crate::table::{NextHopState, Route, SourceKind};
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

/// IPv4 first, then the next hops of routes, then what neighbours by interface are known by.
type Key = (bool, bool, IpAddr);

/// `show bgp nexthop`.
pub(super) fn next_hops(view: &View, _arguments: &Arguments) -> String {
    let mut out = String::from("Current BGP nexthop cache:\n");
    for ((_, _, address), entry) in entries(view) {
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
        interfaces.find(|it| it.addresses.iter().any(|net| net.contains(&address)))
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
    for family in Family::ALL {
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
                    since: route.since,
                });
            entry.paths += 1;
            if let NextHopState::Reachable(cost) = route.next_hop_state {
                entry.cost = Some(cost);
            }
        }
    }
    entries
}
