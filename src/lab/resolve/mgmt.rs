//! The management network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Scene;
use super::diagnostics::DiagnosticList;
use crate::Diagnostic;
use crate::file::{MgmtSpec, Span, Spanned};
use crate::model::{Mgmt, MgmtPort, PublishedPort};
use crate::names::HUB_PORT;

const IPV4_SUBNET: &str = "172.20.20.0/24";
const IPV6_SUBNET: &str = "2001:172:20:20::/64";

/// The management network: where the file has one, or a node asks for a port on it.
pub(super) fn resolve(scene: &Scene, diagnostics: &mut DiagnosticList) -> Option<Mgmt> {
    let wanted = (0..scene.nodes.len()).any(|at| port(scene, at).is_some());
    let default = MgmtSpec::default();
    let spec = match &scene.spec.mgmt {
        Some(spec) => spec,
        None if wanted => &default,
        None => return None,
    };
    let mgmt = filled(spec);
    if mgmt.ipv4_subnet.is_none() && mgmt.ipv6_subnet.is_none() {
        let help = "remove one of the two lines that say `none`";
        diagnostics
            .add(Diagnostic::new("the management network has no subnet", spec.span.clone(), "").help(help));
    }
    bridge(spec, diagnostics);
    subnets(spec, &mgmt, diagnostics);
    gateways(spec, &mgmt, diagnostics);
    ports(scene, spec, &mgmt, diagnostics);
    Some(mgmt)
}

/// The port of a node that asks for one.
pub(super) fn port(scene: &Scene, at: usize) -> Option<MgmtPort> {
    let port = scene.nodes[at].mgmt.as_ref().filter(|port| port.wanted)?;
    Some(MgmtPort {
        ipv4: port.ipv4.as_ref().map(|address| address.value),
        ipv6: port.ipv6.as_ref().map(|address| address.value),
    })
}

/// The published ports of a node, which leads to them over its management port.
pub(super) fn published(scene: &Scene, diagnostics: &mut DiagnosticList) -> Vec<Vec<PublishedPort>> {
    let mut seen: HashMap<(SocketAddr, bool), Span> = HashMap::new();
    let mut all = Vec::with_capacity(scene.nodes.len());
    for (at, node) in scene.nodes.iter().enumerate() {
        let ports = node.ports.as_deref().unwrap_or_default();
        if let Some(first) = ports.first().filter(|_| port(scene, at).is_none()) {
            let message = format!("{} has no management port to publish others by", scene.name(at));
            let diagnostic =
                Diagnostic::new(message, first.span.clone(), "").help("give it one: `mgmt = true`");
            diagnostics.add_for(at, diagnostic);
        }
        for published in ports {
            let listen = published.value.listen;
            if let Some(first) = seen.insert((listen, published.value.udp), published.span.clone()) {
                let message = format!("{listen} of the host is published twice");
                let diagnostic = Diagnostic::new(message, published.span.clone(), "again here")
                    .and(first, "first here")
                    .help("choose another port of the host for one of them");
                diagnostics.add_for(at, diagnostic);
            }
        }
        all.push(ports.iter().map(|published| published.value).collect());
    }
    all
}

fn filled(spec: &MgmtSpec) -> Mgmt {
    let ipv4_subnet = match &spec.ipv4_subnet {
        Some(subnet) => subnet.value,
        None => IPV4_SUBNET.parse().ok(),
    };
    let ipv6_subnet = match &spec.ipv6_subnet {
        Some(subnet) => subnet.value,
        None => IPV6_SUBNET.parse().ok(),
    };
    let text = |value: &Option<Spanned<String>>, default: &str| {
        value
            .as_ref()
            .map_or_else(|| default.to_owned(), |value| value.value.clone())
    };
    let first_v4 = |net: Ipv4Net| Ipv4Addr::from_bits(net.network().to_bits().saturating_add(1));
    let first_v6 = |net: Ipv6Net| Ipv6Addr::from_bits(net.network().to_bits().saturating_add(1));
    Mgmt {
        network: text(&spec.network, "mgmt"),
        bridge: text(&spec.bridge, "br-mgmt"),
        ipv4_subnet,
        ipv6_subnet,
        ipv4_gw: spec
            .ipv4_gw
            .as_ref()
            .map(|gw| gw.value)
            .or(ipv4_subnet.map(first_v4)),
        ipv6_gw: spec
            .ipv6_gw
            .as_ref()
            .map(|gw| gw.value)
            .or(ipv6_subnet.map(first_v6)),
        mtu: spec.mtu.as_ref().map(|mtu| mtu.value),
        nat: spec.nat.as_ref().is_none_or(|nat| nat.value),
        nat6: spec.nat6.as_ref().is_some_and(|nat| nat.value),
    }
}

/// The bridge shares its namespace with the loopback, the way to the host and the nodes' ports.
fn bridge(spec: &MgmtSpec, diagnostics: &mut DiagnosticList) {
    let Some(name) = &spec.bridge else { return };
    if name.value == "lo" || name.value.starts_with(HUB_PORT) {
        let message = format!("the bridge cannot be called `{}`", name.value);
        let help = format!("choose a name that is not `lo` and does not begin with `{HUB_PORT}`: `br-mgmt`");
        diagnostics.add(Diagnostic::new(message, name.span.clone(), "").help(help));
    }
}

/// A subnet is a place for at least a gateway and a node.
fn subnets(spec: &MgmtSpec, mgmt: &Mgmt, diagnostics: &mut DiagnosticList) {
    let spans = [
        spec.ipv4_subnet.as_ref().map(|subnet| subnet.span.clone()),
        spec.ipv6_subnet.as_ref().map(|subnet| subnet.span.clone()),
    ];
    let nets = [mgmt.ipv4_subnet.map(IpNet::V4), mgmt.ipv6_subnet.map(IpNet::V6)];
    for (span, net) in spans.into_iter().zip(nets) {
        let (Some(span), Some(net)) = (span, net) else {
            continue;
        };
        let spare = net.max_prefix_len() - net.prefix_len();
        let problem = if spare < 2 {
            "is too small for a gateway and a node"
        } else if net.prefix_len() < 8 || net.addr().is_multicast() || net.addr().is_loopback() {
            "cannot be a management network"
        } else {
            continue;
        };
        let help = format!("take a private one, like `{IPV4_SUBNET}` or `{IPV6_SUBNET}`");
        diagnostics.add(Diagnostic::new(format!("the subnet {net} {problem}"), span, "").help(help));
    }
}

fn gateways(spec: &MgmtSpec, mgmt: &Mgmt, diagnostics: &mut DiagnosticList) {
    let given = [
        spec.ipv4_gw
            .as_ref()
            .map(|gw| (IpAddr::V4(gw.value), gw.span.clone())),
        spec.ipv6_gw
            .as_ref()
            .map(|gw| (IpAddr::V6(gw.value), gw.span.clone())),
    ];
    let nets = [mgmt.ipv4_subnet.map(IpNet::V4), mgmt.ipv6_subnet.map(IpNet::V6)];
    for (given, net) in given.into_iter().zip(nets) {
        if let Some((address, span)) = given {
            inside("the gateway", address, net, span, None, diagnostics);
        }
    }
}

/// Whether an address can be one of a subnet's machines.
fn inside(
    what: &str,
    address: IpAddr,
    net: Option<IpNet>,
    span: Span,
    node: Option<usize>,
    diagnostics: &mut DiagnosticList,
) {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let (message, help) = match net {
        None => (
            format!("the management network has no {family} subnet for {what} {address}"),
            format!("remove the address, or give `[mgmt]` an {family} subnet"),
        ),
        Some(net) if !net.contains(&address) => (
            format!("{what} {address} is outside of the management network {net}"),
            format!("choose an address from {net}"),
        ),
        Some(net) if address == net.network() || (address.is_ipv4() && address == net.broadcast()) => (
            format!("{what} {address} is the network or broadcast address of {net}"),
            format!("choose another address from {net}"),
        ),
        Some(_) => return,
    };
    let diagnostic = Diagnostic::new(message, span, "").help(help);
    match node {
        Some(node) => diagnostics.add_for(node, diagnostic),
        None => diagnostics.add(diagnostic),
    }
}

/// The fixed addresses of nodes, and whether there is room for all of them.
fn ports(scene: &Scene, spec: &MgmtSpec, mgmt: &Mgmt, diagnostics: &mut DiagnosticList) {
    let mut seen = HashMap::new();
    let mut count: u64 = 0;
    for (at, node) in scene.nodes.iter().enumerate() {
        let Some(port) = node.mgmt.as_ref().filter(|port| port.wanted) else {
            continue;
        };
        count += 1;
        let v4 = port.ipv4.clone().map(|address| address.map(IpAddr::V4));
        let v6 = port.ipv6.clone().map(|address| address.map(IpAddr::V6));
        for address in v4.into_iter().chain(v6) {
            let (net, gateway) = match address.value {
                IpAddr::V4(_) => (mgmt.ipv4_subnet.map(IpNet::V4), mgmt.ipv4_gw.map(IpAddr::V4)),
                IpAddr::V6(_) => (mgmt.ipv6_subnet.map(IpNet::V6), mgmt.ipv6_gw.map(IpAddr::V6)),
            };
            let span = address.span.clone();
            inside("the address", address.value, net, span, Some(at), diagnostics);
            let is_gateway = gateway == Some(address.value);
            once(scene, at, &mut seen, &address, is_gateway, diagnostics);
        }
    }
    let room = mgmt
        .ipv4_subnet
        .map(|net| (1u64 << (32 - net.prefix_len())).saturating_sub(2));
    if let Some(room) = room.filter(|room| count + 1 > *room && *room > 1) {
        let span = match &spec.ipv4_subnet {
            Some(subnet) => subnet.span.clone(),
            None => spec.span.clone(),
        };
        let message =
            format!("{count} nodes and a gateway do not fit into a management network of {room} addresses");
        diagnostics
            .add(Diagnostic::new(message, span, "").help("make `ipv4_subnet` larger, like `172.20.0.0/16`"));
    }
}

/// An address is one node's only, and not the gateway's.
fn once(
    scene: &Scene,
    at: usize,
    seen: &mut HashMap<IpAddr, (usize, Span)>,
    address: &Spanned<IpAddr>,
    gateway: bool,
    diagnostics: &mut DiagnosticList,
) {
    if gateway {
        let message = format!("{} is the gateway of the management network", address.value);
        let diagnostic = Diagnostic::new(message, address.span.clone(), "").help("choose another address");
        diagnostics.add_for(at, diagnostic);
    }
    if let Some((other, first)) = seen.insert(address.value, (at, address.span.clone())) {
        let message = format!(
            "nodes `{}` and `{}` have the same management address {}",
            scene.name(other),
            scene.name(at),
            address.value
        );
        let diagnostic = Diagnostic::new(message, address.span.clone(), "again here")
            .and(first, "first here")
            .help("choose another address for one of them, or let nslab choose: `mgmt = true`");
        diagnostics.add(diagnostic);
    }
}
