//! The routes of all sources beside each other, as FRR's zebra has them: which of those to a prefix is used, and by which
//! ways.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::View;
use crate::config::{StaticRoute, Via};
use crate::session::Time;
use crate::speaker::{self, AGGREGATE, Drop};
use crate::table::{Route, SourceKind};
use crate::wire::Family;

/// Where a route is from, in the order of FRR's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Kernel,
    Connected,
    Static,
    /// From a neighbor in another AS.
    External,
    /// From a neighbor in the same AS.
    Internal,
}

/// Where a way leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum To {
    /// To what is on a link.
    Link(u32),
    /// To a router, on a link where that is known.
    Router(IpAddr, Option<u32>),
    /// Nowhere.
    Blackhole,
    /// Nowhere, and the sender is told.
    Unreachable,
    /// Nowhere, and the sender is told that it is forbidden.
    Prohibited,
}

/// A way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub to: To,
    /// Whether packets can go it.
    pub active: bool,
    /// The ways to a router that is on no link.
    pub over: Vec<Way>,
}

/// A route.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub protocol: Protocol,
    pub distance: u8,
    pub metric: u32,
    pub tag: u32,
    /// When it came; none where it was there before.
    pub since: Option<Time>,
    pub ways: Vec<Way>,
    /// Whether it is the one that is used.
    pub selected: bool,
    /// Whether it came by EVPN into a VRF: its ways are tunnels.
    pub is_imported: bool,
}

/// The distance of routes that are not used.
const NEVER: u8 = 255;

/// All routes of a family: to each prefix, the newest first.
pub(super) type Rib = BTreeMap<IpNet, Vec<Entry>>;

impl Way {
    fn to(to: To) -> Way {
        Way {
            to,
            active: true,
            over: Vec::new(),
        }
    }
}

impl Entry {
    fn new(protocol: Protocol, distance: u8, mut ways: Vec<Way>) -> Entry {
        ways.sort();
        Entry {
            protocol,
            distance,
            metric: 0,
            tag: 0,
            since: None,
            ways,
            selected: false,
            is_imported: false,
        }
    }

    /// Whether packets go its ways. What a link is in stays in the kernel beside another that is used.
    pub(super) fn installed(&self) -> bool {
        self.selected || self.protocol == Protocol::Connected
    }
}

/// The routes of a family.
pub(super) fn of(view: &View, family: Family) -> Rib {
    let mut rib = Rib::new();
    let is_in = |net: &IpNet| net.addr().is_ipv4() == (family == Family::Ipv4Unicast);
    let mut put = |prefix: IpNet, entry: Entry| {
        if is_in(&prefix) {
            rib.entry(prefix).or_default().push(entry);
        }
    };
    connected(view, &mut put);
    kernel(view, &mut put);
    learned(view, family, &mut put);
    for entries in rib.values_mut() {
        select(entries);
    }
    let statics = &view.speaker.config().static_routes;
    let statics = statics.iter().filter(|route| is_in(&route.prefix));
    add_statics(view, &mut rib, statics.collect());
    for entries in rib.values_mut() {
        entries.reverse();
    }
    rib
}

fn connected(view: &View, put: &mut impl FnMut(IpNet, Entry)) {
    for interface in view.speaker.interfaces().iter().filter(|it| it.up) {
        let networks = interface.nets().filter(|net| !net.addr().is_loopback());
        let mut networks: Vec<IpNet> = networks.map(|net| net.trunc()).collect();
        networks.sort();
        networks.dedup();
        for network in networks {
            let way = Way::to(To::Link(interface.index));
            put(network, Entry::new(Protocol::Connected, 0, vec![way]));
        }
    }
}

fn kernel(view: &View, put: &mut impl FnMut(IpNet, Entry)) {
    for route in view.speaker.routes().iter().filter(|route| !route.is_static) {
        let ways = match route.hops.as_slice() {
            [] => vec![Way::to(match route.drop {
                Drop::Blackhole => To::Blackhole,
                Drop::Unreachable => To::Unreachable,
                Drop::Prohibit => To::Prohibited,
            })],
            hops => hops.iter().map(way).collect(),
        };
        let entry = Entry::new(Protocol::Kernel, 0, ways);
        let metric = route.metric;
        put(route.to, Entry { metric, ..entry });
    }
}

fn way(hop: &speaker::Hop) -> Way {
    Way::to(match hop.via {
        Some(via) => To::Router(via, Some(hop.interface)),
        None => To::Link(hop.interface),
    })
}

/// What neighbors told and BGP has chosen.
fn learned(view: &View, family: Family, put: &mut impl FnMut(IpNet, Entry)) {
    for (prefix, destination) in view.speaker.table(family).iter() {
        // What route-maps put elsewhere is in another table than this.
        let Some(best) = destination.best().filter(|best| best.table.is_none()) else {
            continue;
        };
        let is_aggregate = best.source.id == AGGREGATE;
        let protocol = match best.source.kind {
            SourceKind::Local if !is_aggregate => continue,
            SourceKind::External => Protocol::External,
            // FRR has aggregates beside what came from within the AS.
            SourceKind::Internal | SourceKind::Local => Protocol::Internal,
        };
        let mut ways: Vec<Way> = match is_aggregate {
            true => vec![Way::to(To::Blackhole)],
            false => destination
                .multipath()
                .map(|route| told(view, &prefix, route))
                .collect(),
        };
        if !is_aggregate && view.speaker.is_kept_out(&prefix, best) {
            ways.iter_mut().for_each(|way| way.active = false);
        }
        let entry = Entry::new(protocol, view.speaker.distance(family, best), ways);
        let entry = Entry {
            metric: best.attributes.med.unwrap_or(0),
            since: Some(best.since()),
            tag: best.tag,
            is_imported: best.is_imported(),
            ..entry
        };
        put(prefix, entry);
    }
}

/// The way that a neighbor told. A route to the very network its router is in leads nowhere.
fn told(view: &View, prefix: &IpNet, route: &Route) -> Way {
    let address = route.next_hop.link_local().map(IpAddr::V6);
    let address = address.unwrap_or(route.next_hop.address());
    let inactive = Way {
        active: false,
        ..Way::to(To::Router(address, None))
    };
    if view.speaker.leads_to_itself(prefix, route) {
        return inactive;
    }
    match view.speaker.ways(route) {
        None => inactive,
        Some((_, hops)) => match hops.as_slice() {
            [hop] if hop.via == Some(address) => way(hop),
            [] => Way {
                over: vec![Way::to(To::Blackhole)],
                ..Way::to(To::Router(address, None))
            },
            hops => Way {
                over: hops.iter().map(way).collect(),
                ..Way::to(To::Router(address, None))
            },
        },
    }
}

/// Static routes that lead somewhere, each distance and tag a route. One may lead over another, so as many rounds as bring
/// something are needed.
fn add_statics(view: &View, rib: &mut Rib, statics: Vec<&StaticRoute>) {
    let mut waiting: BTreeMap<(IpNet, u8, u32), Vec<&StaticRoute>> = BTreeMap::new();
    for route in statics {
        let key = (route.prefix, route.distance, route.tag);
        waiting.entry(key).or_default().push(route);
    }
    loop {
        let before = waiting.len();
        waiting.retain(|(prefix, distance, tag), routes| {
            let ways = routes.iter().filter_map(|route| static_way(view, rib, route));
            let ways: Vec<Way> = ways.collect();
            if ways.is_empty() {
                return true;
            }
            let entry = Entry::new(Protocol::Static, *distance, ways);
            let entries = rib.entry(*prefix).or_default();
            // What neighbors told came later.
            let at = entries.partition_point(|it| it.protocol <= Protocol::Static);
            entries.insert(at, Entry { tag: *tag, ..entry });
            select(entries);
            false
        });
        if waiting.is_empty() || waiting.len() == before {
            return;
        }
    }
}

fn static_way(view: &View, rib: &Rib, route: &StaticRoute) -> Option<Way> {
    let mut interfaces = view.speaker.interfaces().iter();
    let mut named = |name: &str| interfaces.find(|it| it.up && it.name == name);
    match &route.via {
        Via::Blackhole | Via::Null0 => Some(Way::to(To::Blackhole)),
        Via::Reject => Some(Way::to(To::Unreachable)),
        Via::Interface(name) => Some(Way::to(To::Link(named(name)?.index))),
        Via::Address(address, Some(name)) => {
            let interface = named(name)?;
            let is_local = matches!(address, IpAddr::V6(it) if it.is_unicast_link_local());
            let is_near = interface.nets().any(|net| net.contains(address));
            let way = Way::to(To::Router(*address, Some(interface.index)));
            (is_local || is_near || route.onlink).then_some(way)
        }
        Via::Address(address, None) => resolved(rib, route.prefix, *address),
    }
}

/// The way to a router over the route to it, other than the one in question.
fn resolved(rib: &Rib, prefix: IpNet, address: IpAddr) -> Option<Way> {
    let whole = IpNet::from(address);
    let wider = std::iter::successors(Some(whole), IpNet::supernet);
    let mut candidates = wider.filter(|net| net.prefix_len() > 0 && *net != prefix);
    let entry = candidates.find_map(|net| rib.get(&net)?.iter().find(|entry| entry.selected))?;
    let mut over: Vec<Way> = Vec::new();
    for way in entry.ways.iter().filter(|way| way.active) {
        match way.over.as_slice() {
            [] => over.push(way.clone()),
            further => over.extend(further.iter().cloned()),
        }
    }
    match over.as_slice() {
        [
            Way {
                to: To::Link(index), ..
            },
        ] if entry.protocol == Protocol::Connected => Some(Way::to(To::Router(address, Some(*index)))),
        [
            Way {
                to: To::Blackhole | To::Unreachable | To::Prohibited,
                ..
            },
            ..,
        ]
        | [] => None,
        _ => Some(Way {
            over: over.into_iter().map(|way| reached(way, address)).collect(),
            ..Way::to(To::Router(address, None))
        }),
    }
}

/// A router that is on a link is reached there.
fn reached(way: Way, address: IpAddr) -> Way {
    match way.to {
        To::Link(index) => Way::to(To::Router(address, Some(index))),
        _ => way,
    }
}

/// The nearest route is used; of equally near ones the oldest.
fn select(entries: &mut [Entry]) {
    let usable = |entry: &Entry| entry.distance != NEVER && entry.ways.iter().any(|way| way.active);
    let nearest = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| usable(entry))
        .min_by_key(|(_, entry)| entry.distance);
    let nearest = nearest.map(|(at, _)| at);
    for (at, entry) in entries.iter_mut().enumerate() {
        entry.selected = Some(at) == nearest;
    }
}
