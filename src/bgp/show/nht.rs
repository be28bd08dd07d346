//! `show ip nht`: the addresses that BGP and static routes want to know a way to, and the routes that lead there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::View;
use super::ip_route::{self, interface};
use super::nexthops;
use super::rib::{self, Entry, Rib, To, Way};
use crate::config::{Arguments, Via};
use crate::wire::Family;

/// FRR names the connections of its daemons to zebra; here they are one process.
const BGP: &str = "bgp(fd 26)";
const STATIC: &str = "static(fd 36)";

/// An address somebody wants to know a way to.
#[derive(Default)]
struct Wanted {
    /// Only a network of this router's or a static route may lead to it.
    near: bool,
    /// The link it is on, where that is known.
    interface: Option<u32>,
    /// The network whose way is looked for.
    network: Option<IpNet>,
    by_bgp: bool,
    by_statics: bool,
}

/// `show ip nht [ADDRESS]` and `show ipv6 nht [ADDRESS]`.
pub(super) fn tracked(view: &View, arguments: &Arguments) -> String {
    let family = ip_route::family(arguments);
    if let Some(refusal) = ip_route::refusal(view, arguments) {
        return refusal;
    }
    let head = match arguments.get("vrf_name") {
        Some("all") => "\nVRF default:\n",
        _ => "",
    };
    let only: Option<IpAddr> = arguments.get("address").and_then(|it| it.parse().ok());
    let rib = rib::of(view, family);
    let wanted = wanted(view, family).into_iter();
    let shown = wanted.filter(|(address, wanted)| {
        let net = wanted.network.unwrap_or_else(|| IpNet::from(*address));
        only.is_none_or(|only| net.contains(&only))
    });
    let answers = shown.map(|(address, wanted)| answer(view, &rib, address, &wanted));
    head.to_owned() + &answers.collect::<String>()
}

fn wanted(view: &View, family: Family) -> BTreeMap<IpAddr, Wanted> {
    let mut all: BTreeMap<IpAddr, Wanted> = BTreeMap::new();
    let is_in = |address: &IpAddr| address.is_ipv4() == (family == Family::Ipv4Unicast);
    for next_hop in nexthops::known(view) {
        let it = all.entry(next_hop.address).or_default();
        it.by_bgp = true;
        it.near |= next_hop.must_be_near;
        it.interface = next_hop.interface;
    }
    for (address, near, interface) in link_local(view) {
        let it = all.entry(address).or_default();
        it.by_bgp = true;
        it.near |= near;
        it.interface = interface;
    }
    // Networks that are told only if there is a route to them.
    let imports = view.bgp().filter(|bgp| bgp.flags.import_check);
    for prefix in imports.iter().flat_map(|bgp| bgp.family(family).networks.keys()) {
        let it = all.entry(prefix.network()).or_default();
        it.by_bgp = true;
        it.network = Some(*prefix);
    }
    for route in &view.speaker.config().static_routes {
        if let Via::Address(address, _) = &route.via {
            all.entry(*address).or_default().by_statics = true;
        }
    }
    all.retain(|address, _| is_in(address));
    all
}

/// Link-local next hops, and the links they are on.
fn link_local(view: &View) -> Vec<(IpAddr, bool, Option<u32>)> {
    let destinations = Family::UNICAST.map(|family| view.speaker.table(family).iter());
    let routes = destinations
        .into_iter()
        .flatten()
        .flat_map(|(_, destination)| destination.routes());
    let found = routes.filter_map(|route| {
        let address = route.next_hop.link_local()?;
        let (_, hops) = view.speaker.ways(route)?;
        let interface = hops.first().map(|hop| hop.interface);
        Some((address.into(), view.speaker.must_be_near(route), interface))
    });
    found.collect()
}

fn answer(view: &View, rib: &Rib, address: IpAddr, wanted: &Wanted) -> String {
    let near = if wanted.near { "(Connected)" } else { "" };
    let mut out = format!("{address}{near}\n");
    let local = wanted.interface.filter(|_| is_link_local(address));
    match (local, resolving(rib, address, wanted.near)) {
        (Some(index), _) => {
            let name = interface(view, index);
            out += &format!(" resolved via connected\n is directly connected, {name}\n");
        }
        (None, Some(entry)) => {
            out += &format!(" resolved via {}\n", entry.protocol.name());
            let ways = ip_route::flat(&entry.ways).into_iter();
            let lines = ways.filter(|(_, way)| way.active && way.over.is_empty());
            out += &lines.map(|(_, way)| line(view, way)).collect::<String>();
        }
        (None, None) => out += &format!(" unresolved{near}\n"),
    }
    let clients = [(wanted.by_statics, STATIC), (wanted.by_bgp, BGP)];
    let names = clients.into_iter().filter(|(is, _)| *is).map(|(_, name)| name);
    out + &format!(" Client list: {}\n", names.collect::<Vec<_>>().join(" "))
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(it) if it.is_unicast_link_local())
}

/// The route that leads to an address, a default route excepted.
fn resolving(rib: &Rib, address: IpAddr, near: bool) -> Option<&Entry> {
    let wider = std::iter::successors(Some(IpNet::from(address)), IpNet::supernet);
    let mut candidates = wider.filter(|net| net.prefix_len() > 0);
    let leads = |entry: &&Entry| entry.selected && (!near || entry.protocol.is_near());
    candidates.find_map(|net| rib.get(&net)?.iter().find(leads))
}

fn line(view: &View, way: &Way) -> String {
    match &way.to {
        To::Link(index) => format!(" is directly connected, {}\n", interface(view, *index)),
        To::Router(address, Some(index)) => format!(" via {address}, {}\n", interface(view, *index)),
        To::Router(address, None) => format!(" via {address}\n"),
        To::Blackhole | To::Unreachable | To::Prohibited => " is directly connected, Null0\n".to_owned(),
    }
}
