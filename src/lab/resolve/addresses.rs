//! Addresses: on interfaces that exist, of machines and not of networks, and once on a node and on a link.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::diagnostics::DiagnosticList;
use super::links::Links;
use super::{Scene, pods};
use crate::Diagnostic;
use crate::file::{Span, Spanned, suggest};
use crate::links::Shape;
use crate::model::{Address, Mgmt, Port};

/// An address in the namespace it ends up in.
pub(super) struct Placed {
    pub address: Address,
    pub span: Span,
}

/// For each node that owns a namespace, all addresses in it.
pub(super) fn resolve(
    scene: &Scene,
    links: &Links,
    mgmt: Option<&Mgmt>,
    diagnostics: &mut DiagnosticList,
) -> Vec<Vec<Placed>> {
    let mut placed: Vec<Vec<Placed>> = scene.nodes.iter().map(|_| Vec::new()).collect();
    for (at, node) in scene.nodes.iter().enumerate() {
        for addresses in &node.addresses {
            if !interface_is_there(scene, links, at, &addresses.interface, diagnostics) {
                continue;
            }
            for net in &addresses.nets {
                place(
                    scene,
                    links,
                    at,
                    &addresses.interface,
                    net,
                    &mut placed,
                    diagnostics,
                );
            }
        }
    }
    for (at, node) in scene.nodes.iter().enumerate() {
        for interface in node.interfaces.iter().filter(|_| !scene.is_on_host(at)) {
            if links.has(scene, at, &interface.name.value) {
                for net in &interface.addresses {
                    place(scene, links, at, &interface.name, net, &mut placed, diagnostics);
                }
            }
        }
    }
    for (at, interface, net) in &links.addresses {
        place(scene, links, *at, interface, net, &mut placed, diagnostics);
    }
    for (at, placed) in placed.iter().enumerate() {
        once(scene, links, at, placed, mgmt, diagnostics);
    }
    wide_enough(links, &placed, diagnostics);
    on_links(scene, links, &placed, diagnostics);
    placed
}

/// Tells an interface that the node does not have.
pub(super) fn interface_is_there(
    scene: &Scene,
    links: &Links,
    node: usize,
    interface: &Spanned<String>,
    diagnostics: &mut DiagnosticList,
) -> bool {
    if links.has(scene, node, &interface.value) {
        return true;
    }
    let has = links.of(scene, node);
    let names = suggest::list(has.iter().map(String::as_str));
    let message = format!(
        "node `{}` has no interface `{}`",
        scene.name(node),
        interface.value
    );
    let help = match suggest::nearest(
        &interface.value,
        has.iter().map(String::as_str).filter(|name| *name != "lo"),
    ) {
        Some(near) => format!("it has {names}; did you mean `{near}`?"),
        None => format!("it has {names}; links make interfaces"),
    };
    diagnostics.add_for(
        node,
        Diagnostic::new(message, interface.span.clone(), "unknown interface").help(help),
    );
    false
}

fn place(
    scene: &Scene,
    links: &Links,
    node: usize,
    interface: &Spanned<String>,
    net: &Spanned<IpNet>,
    placed: &mut [Vec<Placed>],
    diagnostics: &mut DiagnosticList,
) {
    let owner = scene.owners[node];
    if let Some((message, help)) = unfit(&net.value, &interface.value) {
        diagnostics.add_for(node, Diagnostic::new(message, net.span.clone(), "").help(help));
    } else if let Some(master) = links.bridge_ports.get(&(owner, interface.value.clone())) {
        let (message, help) = match master.as_str() {
            "br0" => (
                format!(
                    "`{}` is a port of the bridge and has no address of its own",
                    interface.value
                ),
                format!(
                    "give the address to the bridge: `addresses = {{ br0 = [\"{}\"] }}`",
                    net.value
                ),
            ),
            master => (
                format!(
                    "`{}` is in `{master}` and has no address of its own",
                    interface.value
                ),
                format!(
                    "give the address to `{master}`: `addresses = {{ {master} = [\"{}\"] }}`",
                    net.value
                ),
            ),
        };
        diagnostics.add_for(node, Diagnostic::new(message, net.span.clone(), "").help(help));
    } else {
        placed[owner].push(Placed {
            address: Address {
                interface: interface.value.clone(),
                net: net.value,
            },
            span: net.span.clone(),
        });
    }
}

/// Why no machine can have an address, and the cure.
fn unfit(net: &IpNet, interface: &str) -> Option<(String, String)> {
    let address = net.addr();
    let other = "choose another address".to_owned();
    if interface == "lo" && matches!(net.to_string().as_str(), "127.0.0.1/8" | "::1/128") {
        return Some((
            format!("{address} is on every loopback interface already"),
            "remove it".into(),
        ));
    }
    if address.is_unspecified() {
        return Some((format!("{address} means no address at all"), other));
    }
    if address.is_multicast() {
        let message = format!("{address} is a multicast address, which no interface can have");
        return Some((message, other));
    }
    if address.is_loopback() && interface != "lo" {
        let help = "give it to `lo`, or choose another address".into();
        return Some((format!("{address} is an address of the loopback interface"), help));
    }
    if net.prefix_len() == 0 {
        let longer = if address.is_ipv4() { 24 } else { 64 };
        let help = format!("give it the length of its network: `{address}/{longer}`");
        return Some((
            format!("{net} puts every address there is behind this interface"),
            help,
        ));
    }
    // A /31 and a /32 (RFC 3021), a /127 and a /128 (RFC 6164) are made of machines only.
    if net.max_prefix_len() - net.prefix_len() < 2 {
        return None;
    }
    let first = net
        .hosts()
        .next()
        .map(|first| format!("{first}/{}", net.prefix_len()));
    if address == net.network() {
        let help = format!("choose a machine's address, like `{}`", first.unwrap_or_default());
        return Some((format!("{net} is the address of the network itself"), help));
    }
    if address.is_ipv4() && address == net.broadcast() {
        let help = format!("choose a machine's address, like `{}`", first.unwrap_or_default());
        return Some((format!("{net} is the broadcast address of its network"), help));
    }
    None
}

/// An address is once on a node. Link-local ones belong to their interface, and may be on several; and the ends of pods' links
/// answer for their node.
fn once(
    scene: &Scene,
    links: &Links,
    owner: usize,
    placed: &[Placed],
    mgmt: Option<&Mgmt>,
    diagnostics: &mut DiagnosticList,
) {
    let mut seen: HashMap<(IpAddr, Option<&str>), &Span> = HashMap::with_capacity(placed.len());
    for one in placed {
        let address = one.address.net.addr();
        let interface = one.address.interface.as_str();
        let own = (is_link_local(&address) || pods::is_inward(interface)).then_some(interface);
        // Each VRF is a network of its own.
        let vrf = links.vrfs.get(&(owner, interface.to_owned()));
        let scope = own.or(vrf.map(String::as_str));
        if let Some(first) = seen.insert((address, scope), &one.span) {
            let message = format!(
                "address {} stands twice on node `{}`",
                one.address.net,
                scene.name(owner)
            );
            diagnostics.add_for(
                owner,
                Diagnostic::new(message, one.span.clone(), "again here")
                    .and(first.clone(), "first here")
                    .help("remove one of them, or change it"),
            );
        }
    }
    let Some(mgmt) = mgmt.filter(|_| scene.has_mgmt(owner)) else {
        return;
    };
    let fixed = scene.nodes[owner].mgmt.as_ref();
    let taken = [
        fixed
            .and_then(|port| port.ipv4.as_ref())
            .map(|ip| IpAddr::V4(ip.value)),
        fixed
            .and_then(|port| port.ipv6.as_ref())
            .map(|ip| IpAddr::V6(ip.value)),
        mgmt.ipv4_gw.map(IpAddr::V4),
        mgmt.ipv6_gw.map(IpAddr::V6),
    ];
    for one in placed {
        let address = one.address.net.addr();
        if taken.contains(&Some(address)) {
            let message = format!("address {address} is taken in the management network of this node");
            let diagnostic = Diagnostic::new(message, one.span.clone(), "").help("choose another address");
            diagnostics.add_for(owner, diagnostic);
        }
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The kernel takes IPv6 off an interface whose packets are too small for it.
fn wide_enough(links: &Links, placed: &[Vec<Placed>], diagnostics: &mut DiagnosticList) {
    if links.narrow.is_empty() {
        return;
    }
    for (owner, placed) in placed.iter().enumerate() {
        for one in placed.iter().filter(|one| one.address.net.addr().is_ipv6()) {
            let Some(mtu) = links.narrow.get(&(owner, one.address.interface.clone())) else {
                continue;
            };
            let message = format!(
                "`{}` has an mtu of {}, too little for IPv6",
                one.address.interface, mtu.value
            );
            let diagnostic = Diagnostic::new(message, one.span.clone(), "an IPv6 address")
                .and(mtu.span.clone(), "its mtu")
                .help("IPv6 needs an `mtu` of at least 1280, or remove the address");
            diagnostics.add_for(owner, diagnostic);
        }
    }
}

/// The two ends of a link do not have the same address.
fn on_links(scene: &Scene, links: &Links, placed: &[Vec<Placed>], diagnostics: &mut DiagnosticList) {
    let mut by_interface: HashMap<(usize, &str), Vec<&Placed>> = HashMap::new();
    for (owner, placed) in placed.iter().enumerate() {
        for one in placed {
            let key = (owner, one.address.interface.as_str());
            by_interface.entry(key).or_default().push(one);
        }
    }
    for link in &links.links {
        let Shape::Veth(a, b) = &link.shape else {
            continue;
        };
        // On one node it is told as twice on the node.
        if scene.owners[a.node] == scene.owners[b.node] {
            continue;
        }
        let of = |port| at_port(scene, &by_interface, port);
        let here = of(a);
        for there in of(b) {
            let same = here
                .iter()
                .find(|here| here.address.net.addr() == there.address.net.addr());
            let Some(here) = same else { continue };
            let message = format!(
                "address {} is at both ends of the link `{}:{}`, `{}:{}`",
                there.address.net.addr(),
                scene.name(a.node),
                a.interface,
                scene.name(b.node),
                b.interface
            );
            diagnostics.add(
                Diagnostic::new(message, there.span.clone(), "again here")
                    .and(here.span.clone(), "first here")
                    .help("change one of them"),
            );
        }
    }
}

/// The addresses at one end of a link.
fn at_port<'a>(
    scene: &Scene,
    by_interface: &'a HashMap<(usize, &'a str), Vec<&'a Placed>>,
    port: &'a Port,
) -> &'a [&'a Placed] {
    let found = by_interface.get(&(scene.owners[port.node], port.interface.as_str()));
    found.map(Vec::as_slice).unwrap_or_default()
}
