//! `show ip route json`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::View;
use super::clock::lasted;
use super::ip_route::{age, flat, interface};
use super::json::{Json, Object, text};
use super::rib::{Entry, Protocol, Rib, To, Way};

/// Flags of a route (lib/zclient.h).
const ALLOW_RECURSION: u8 = 1;
const INTERNAL: u8 = 4;
const SELECTED: u8 = 8;
const USE_DISTANCE: u8 = 64;
/// That a route is in the kernel (zebra/rib.h).
const INSTALLED: u8 = 16;
/// Flags of a way (lib/nexthop.h).
const ACTIVE: u16 = 1;
const FIB: u16 = 2;
/// NEXTHOP_FLAG_ONLINK and NEXTHOP_FLAG_EVPN.
const ONLINK: u16 = 8;
const EVPN: u16 = 0x100;
const RECURSIVE: u16 = 4;

/// The ways of all routes. Several routes share them, and what one of them has in the kernel is there for all.
pub(super) struct Used {
    groups: BTreeMap<Vec<Way>, Group>,
}

#[derive(Clone, Copy, Default)]
struct Group {
    number: usize,
    installed: bool,
}

/// FRR's numbers of groups begin behind those of single ways, of which it has one for each interface at least.
const FIRST: usize = 10;

impl Used {
    pub(super) fn of(rib: &Rib) -> Used {
        let mut groups: BTreeMap<Vec<Way>, Group> = BTreeMap::new();
        for entry in rib.values().flatten() {
            let next = groups.len() + FIRST;
            let known = match groups.get_mut(&entry.ways) {
                Some(group) => group,
                None => groups.entry(entry.ways.clone()).or_insert(Group {
                    number: next,
                    installed: false,
                }),
            };
            known.installed |= entry.installed();
        }
        Used { groups }
    }

    fn group(&self, entry: &Entry) -> Group {
        self.groups.get(&entry.ways).copied().unwrap_or_default()
    }
}

/// `show ip route json`, of what is left of the table.
pub(super) fn table(view: &View, rib: &Rib, used: &Used) -> Json {
    let mut object = Object::new();
    for (prefix, entries) in rib {
        object.put(prefix.to_string(), routes(view, prefix, entries, used));
    }
    object.into()
}

/// The routes to one prefix.
pub(super) fn of_prefix(view: &View, prefix: &IpNet, entries: &[Entry], used: &Used) -> Json {
    let routes = routes(view, prefix, entries, used);
    Object::new().with(prefix.to_string(), routes).into()
}

fn routes(view: &View, prefix: &IpNet, entries: &[Entry], used: &Used) -> Vec<Json> {
    let routes = entries.iter().map(|entry| route(view, prefix, entry, used));
    routes.collect()
}

fn route(view: &View, prefix: &IpNet, entry: &Entry, used: &Used) -> Json {
    let group = used.group(entry);
    let ways = flat(&entry.ways);
    let active = ways.iter().filter(|(_, way)| way.active).count();
    let mut object = Object::new()
        .with("prefix", text(prefix))
        .with("prefixLen", prefix.prefix_len())
        .with("protocol", entry.protocol.name())
        .with("vrfId", view.vrf_id().unwrap_or(0))
        .with("vrfName", view.vrf_name());
    object.put_if("selected", entry.selected);
    object.put_if("destSelected", entry.selected);
    object.put("distance", entry.distance);
    object.put("metric", entry.metric);
    object.put_if("installed", entry.installed());
    object.put_some("tag", Some(entry.tag).filter(|tag| *tag != 0));
    object.put("table", view.table());
    object.put("internalStatus", if entry.installed() { INSTALLED } else { 0 });
    object.put("internalFlags", flags(entry));
    object.put("internalNextHopNum", ways.len());
    object.put("internalNextHopActiveNum", active);
    object.put("nexthopGroupId", group.number);
    object.put_some(
        "installedNexthopGroupId",
        Some(group.number).filter(|_| entry.selected),
    );
    object.put("uptime", lasted(age(view, entry)));
    let ways = ways
        .into_iter()
        .map(|(depth, way)| next_hop(view, entry, group, depth, way));
    object.put("nexthops", ways.collect::<Vec<Json>>());
    object.into()
}

fn flags(entry: &Entry) -> u8 {
    let own = match entry.protocol {
        Protocol::Kernel | Protocol::Connected | Protocol::External => 0,
        Protocol::Static => USE_DISTANCE | ALLOW_RECURSION,
        Protocol::Internal => INTERNAL | ALLOW_RECURSION,
    };
    own | if entry.selected { SELECTED } else { 0 }
}

fn next_hop(view: &View, entry: &Entry, group: Group, depth: usize, way: &Way) -> Json {
    let recursive = !way.over.is_empty();
    let fib = way.active && !recursive && group.installed;
    let mut flags = 0_u16;
    for (flag, is_set) in [(ACTIVE, way.active), (FIB, fib), (RECURSIVE, recursive)] {
        flags |= if is_set { flag } else { 0 };
    }
    if entry.is_imported {
        flags |= ONLINK | EVPN;
    }
    let mut object = Object::new().with("flags", flags);
    object.put_if("fib", fib);
    match &way.to {
        To::Link(index) => {
            object.put("directlyConnected", true);
            put_interface(view, &mut object, *index);
        }
        To::Router(address, index) => {
            object.put("ip", text(address));
            object.put(
                "afi",
                if matches!(address, IpAddr::V4(_)) {
                    "ipv4"
                } else {
                    "ipv6"
                },
            );
            if let Some(index) = index {
                put_interface(view, &mut object, *index);
            }
        }
        To::Blackhole => {
            object.put("unreachable", true);
            object.put("blackhole", true);
        }
        To::Unreachable => {
            object.put("unreachable", true);
            object.put("reject", true);
        }
        To::Prohibited => {
            object.put("unreachable", true);
            object.put("admin-prohibited", true);
        }
    }
    object.put_if("resolver", depth > 0);
    object.put_if("active", way.active);
    object.put_if("onLink", entry.is_imported);
    object.put_if("recursive", recursive);
    object.put_some("weight", entry.protocol.weighs().then_some(1));
    object.into()
}

fn put_interface(view: &View, object: &mut Object, index: u32) {
    object.put("interfaceIndex", index);
    object.put("interfaceName", interface(view, index));
}

/// `show ip route summary [prefix] json`.
pub(super) fn summary(counts: &[(&'static str, usize, usize)], of_prefixes: bool) -> Json {
    let routes = counts.iter().map(|(name, all, used)| {
        let mut object = Object::new().with("fib", *used).with("rib", *all);
        if !of_prefixes {
            object.put("fibOffLoaded", 0);
            object.put("fibTrapped", 0);
        }
        Json::from(object.with("type", *name))
    });
    let total = |count: fn(&(&'static str, usize, usize)) -> usize| counts.iter().map(count).sum::<usize>();
    let [list, sum, installed] = match of_prefixes {
        true => ["prefixRoutes", "prefixRoutesTotal", "prefixRoutesTotalFib"],
        false => ["routes", "routesTotal", "routesTotalFib"],
    };
    Object::new()
        .with(list, routes.collect::<Vec<Json>>())
        .with(sum, total(|(_, all, _)| *all))
        .with(installed, total(|(_, _, used)| *used))
        .into()
}
