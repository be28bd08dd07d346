//! Static routes: interfaces that exist, gateways that are reached, families that match.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Scene;
use super::addresses::{Placed, interface_is_there};
use super::diagnostics::DiagnosticList;
use super::links::Links;
use super::reach::Reach;
use crate::Diagnostic;
use crate::file::{NextHopSpec, RouteActionSpec, RouteSpec, Span, Spanned, suggest};
use crate::links::{Device, Shape};
use crate::model::{Mgmt, NextHop, Route, RouteAction};

/// The kernel's main table, and its priority of an IPv6 route for which none is given.
const MAIN: u32 = 254;
const IPV6_METRIC: u32 = 1024;

/// For each node that owns a namespace, all routes in it.
pub(super) fn resolve(
    scene: &Scene,
    links: &Links,
    placed: &[Vec<Placed>],
    mgmt: Option<&Mgmt>,
    diagnostics: &mut DiagnosticList,
) -> Vec<Vec<Route>> {
    let owners = 0..scene.nodes.len();
    owners
        .map(|owner| {
            let mgmt = mgmt.filter(|_| scene.has_mgmt(owner));
            of_namespace(scene, links, owner, Reach::new(&placed[owner], mgmt), diagnostics)
        })
        .collect()
}

fn of_namespace<'a>(
    scene: &'a Scene,
    links: &Links,
    owner: usize,
    mut reach: Reach<'a>,
    diagnostics: &mut DiagnosticList,
) -> Vec<Route> {
    let mut routes = Vec::new();
    let mut seen: HashMap<(IpNet, u32, u32), &Span> = HashMap::new();
    for &node in &scene.members[owner] {
        for route in scene.nodes[node].routes.iter().flatten() {
            let to = destination(&route.value);
            let table = table(scene, links, node, &route.value, diagnostics);
            once(node, route, to, table, &mut seen, diagnostics);
            let action = action(scene, links, node, &route.value, to, &reach, diagnostics);
            if let RouteActionSpec::Forward(hops) = &route.value.action
                && let [
                    NextHopSpec {
                        via: None,
                        dev: Some(dev),
                        ..
                    },
                ] = hops.as_slice()
            {
                reach.add(&dev.value, to);
            }
            routes.push(Route {
                to,
                action,
                metric: route.value.metric,
                table,
            });
        }
    }
    routes
}

/// `default` is of the family of the next hop.
fn destination(route: &RouteSpec) -> IpNet {
    if let Some(to) = route.to.value {
        return to;
    }
    let hops: &[NextHopSpec] = match &route.action {
        RouteActionSpec::Forward(hops) => hops,
        _ => &[],
    };
    let mut gateways = hops.iter().filter_map(|hop| hop.via.as_ref());
    // Any IPv4 gateway makes it IPv4: there, IPv6 gateways are possible beside it; the other way they are not.
    let ipv6 = gateways.clone().next().is_some() && gateways.all(|via| via.value.is_ipv6());
    match ipv6 {
        true => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
        false => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
    }
}

/// The table that a route is in: the one it names, or that of its VRF.
fn table(
    scene: &Scene,
    links: &Links,
    node: usize,
    route: &RouteSpec,
    diagnostics: &mut DiagnosticList,
) -> Option<u32> {
    let Some(vrf) = &route.vrf else {
        return route.table;
    };
    let owner = scene.owners[node];
    let of_node = links.links.iter().filter_map(|link| match &link.shape {
        Shape::Device {
            port,
            device: Device::Vrf(device),
            ..
        } if scene.owners[port.node] == owner => Some((port.interface.as_str(), device.table)),
        _ => None,
    });
    let tables: HashMap<&str, u32> = of_node.collect();
    let found = tables.get(vrf.value.as_str()).copied();
    if found.is_none() && !scene.spec.partial_links {
        let message = format!(
            "node `{}` has no VRF `{}`",
            scene.name(node),
            vrf.value.escape_debug()
        );
        let none = "describe it in `interfaces`: `red = { type = \"vrf\", table = 10, ports = [\"eth0\"] }`; of one that commands make, \
            write `table`";
        let help = suggest::cure(&vrf.value, tables.keys().copied(), "it has", none);
        diagnostics.add_for(node, Diagnostic::new(message, vrf.span.clone(), "").help(help));
    }
    found
}

/// Two routes to one place need different metrics or tables.
fn once<'a>(
    node: usize,
    route: &'a Spanned<RouteSpec>,
    to: IpNet,
    table: Option<u32>,
    seen: &mut HashMap<(IpNet, u32, u32), &'a Span>,
    diagnostics: &mut DiagnosticList,
) {
    let metric = match (route.value.metric, to) {
        (None | Some(0), IpNet::V6(_)) => IPV6_METRIC,
        (metric, _) => metric.unwrap_or(0),
    };
    let key = (to, metric, table.unwrap_or(MAIN));
    if let Some(first) = seen.insert(key, &route.span) {
        let message = format!("there are two routes to {to} with the same metric");
        let help = "put both gateways into one route's `nexthops`, or give one a higher `metric`";
        diagnostics.add_for(
            node,
            Diagnostic::new(message, route.span.clone(), "again here")
                .and(first.clone(), "first here")
                .help(help),
        );
    }
}

fn action(
    scene: &Scene,
    links: &Links,
    node: usize,
    route: &RouteSpec,
    to: IpNet,
    reach: &Reach,
    diagnostics: &mut DiagnosticList,
) -> RouteAction {
    let hops = match &route.action {
        RouteActionSpec::Blackhole => return RouteAction::Blackhole,
        RouteActionSpec::Unreachable => return RouteAction::Unreachable,
        RouteActionSpec::Prohibit => return RouteAction::Prohibit,
        RouteActionSpec::Forward(hops) => hops,
    };
    let next_hops = hops.iter().map(|hop| {
        let there = hop
            .dev
            .as_ref()
            .is_none_or(|dev| interface_is_there(scene, links, node, dev, diagnostics));
        if let Some(via) = hop.via.as_ref().filter(|_| there) {
            gateway(scene, node, route, to, hop, via, reach, diagnostics);
        }
        NextHop {
            via: hop.via.as_ref().map(|via| via.value),
            dev: hop.dev.as_ref().map(|dev| dev.value.clone()),
            weight: hop.weight,
        }
    });
    RouteAction::Forward(next_hops.collect())
}

#[allow(
    clippy::too_many_arguments,
    reason = "one question about one hop, asked in one place"
)]
fn gateway(
    scene: &Scene,
    node: usize,
    route: &RouteSpec,
    to: IpNet,
    hop: &NextHopSpec,
    via: &Spanned<IpAddr>,
    reach: &Reach,
    diagnostics: &mut DiagnosticList,
) {
    let dev = hop.dev.as_ref().map(|dev| dev.value.as_str());
    let mut diagnostic = match refusal(scene, node, to, via.value, dev, reach) {
        Some((message, help)) => Diagnostic::new(message, via.span.clone(), "").help(help),
        None => return,
    };
    if to.addr().is_ipv6() && via.value.is_ipv4() {
        diagnostic = diagnostic.and(route.to.span.clone(), "an IPv6 destination");
    }
    diagnostics.add_for(node, diagnostic);
}

/// Why the kernel would refuse a gateway, and the cure.
fn refusal(
    scene: &Scene,
    node: usize,
    to: IpNet,
    via: IpAddr,
    dev: Option<&str>,
    reach: &Reach,
) -> Option<(String, String)> {
    let name = scene.name(node);
    if to.addr().is_ipv6() && via.is_ipv4() {
        let message = format!("the gateway {via} is IPv4, but the destination {to} is IPv6");
        let help = "give an IPv6 gateway (the other way round, IPv4 by way of IPv6, is possible)";
        return Some((message, help.into()));
    }
    if via.is_unspecified() || via.is_multicast() {
        let help = "write the address of the next router";
        return Some((format!("{via} cannot be a gateway"), help.into()));
    }
    if reach.is_own(&via) {
        let help = "a gateway is the neighbor's address, not the node's own";
        return Some((format!("the gateway {via} is node `{name}` itself"), help.into()));
    }
    if let IpAddr::V6(address) = via
        && address.is_unicast_link_local()
    {
        let help = "add the interface behind which it is: `dev = \"eth0\"`".to_owned();
        return dev.is_none().then(|| {
            (
                format!("the gateway {via} is on every link: it says nothing without `dev`"),
                help,
            )
        });
    }
    if reach.reaches(&via, dev) || scene.spec.partial_addresses || scene.spec.partial_links {
        return None;
    }
    let message = match dev {
        Some(dev) => format!("the gateway {via} is not on a network of `{dev}` of node `{name}`"),
        None => format!("the gateway {via} is not on a network of node `{name}`"),
    };
    let nets = reach.list(via.is_ipv4(), None);
    let help = match nets.is_empty() {
        true => {
            "the node has no address in a network with this gateway: add one under `addresses`".to_owned()
        }
        false => format!("its networks are {nets}"),
    };
    Some((message, help))
}
