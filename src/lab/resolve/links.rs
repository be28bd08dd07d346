//! Links: which interface they make where.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use super::diagnostics::DiagnosticList;
use super::{Scene, devices, impair, interfaces};
use crate::Diagnostic;
use crate::file::{EndpointSpec, LinkSpec, LinkType, Span, Spanned, keys_of_link, suggest};
use crate::links::bridge::Bridge;
use crate::links::{Setting, Shape};
use crate::model::{Kind, LateInterface, Link, LinkShape, Mac, Port};
use crate::names::Macs;

/// More the kernel's bridge does not take.
const BRIDGE_PORTS: usize = 1023;
/// The least MTU that IPv6 runs over (RFC 8200).
const IPV6_MTU: u32 = 1280;
const HOST: &str = "host";

/// The links, and what they bring into the nodes.
#[derive(Default)]
pub(super) struct Links {
    pub links: Vec<Link>,
    /// Addresses given at the ends: node, interface, address.
    pub addresses: Vec<(usize, Spanned<String>, Spanned<IpNet>)>,
    /// Interfaces by the node that owns their namespace, and where they were made.
    interfaces: Vec<HashMap<String, Span>>,
    /// Interfaces that are ports of a bridge or a bond, by owner and name, and what that is called.
    pub bridge_ports: HashMap<(usize, String), String>,
    /// MTUs below what IPv6 needs: by owner and name, the value and its place.
    pub narrow: HashMap<(usize, String), Spanned<u32>>,
    /// Interfaces of ends whose node is unknown: they may be the ones that seem to be missing elsewhere.
    doubtful: HashSet<String>,
    ports: Vec<usize>,
    /// Links between two nodes by their ends, in alphabetical order.
    pairs: HashMap<[(String, String); 2], Span>,
    pub on_host: HashMap<String, Span>,
    pub tunnels: HashMap<(Option<usize>, u32, u16), Span>,
    /// What is set on interfaces, by owner.
    pub settings: Vec<Vec<Setting<String>>>,
    /// Interfaces that nodes' own commands make, by owner.
    pub late: Vec<Vec<LateInterface>>,
    /// Those that each node says, by node.
    pub waits_for_late: Vec<Vec<String>>,
    /// What bridges of nodes of kind bridge are like, by owner.
    pub bridges: HashMap<usize, Bridge>,
    /// The VRF of an interface, by owner and name.
    pub vrfs: HashMap<(usize, String), String>,
    macs: Macs,
}

impl Links {
    /// Whether the namespace of a node has the interface, or may have it for all that could be read.
    pub fn has(&self, scene: &Scene, node: usize, interface: &str) -> bool {
        let owner = scene.owners[node];
        self.built_in(scene, owner).any(|name| name == interface)
            || self.interfaces[owner].contains_key(interface)
            || self.doubtful.contains(interface)
            || scene.spec.partial_links
    }

    /// The MAC address that derives from an interface's names.
    pub fn mac(&mut self, scene: &Scene, node: &str, interface: &str) -> Mac {
        let lab = scene.spec.name.as_ref().map_or("", |name| name.value.as_str());
        self.macs.derive(lab, node, interface)
    }

    /// Makes an interface's name taken; false when it was, which is told.
    pub fn claim(
        &mut self,
        scene: &Scene,
        node: usize,
        name: &Spanned<String>,
        diagnostics: &mut DiagnosticList,
    ) -> bool {
        claim(scene, node, name, self, diagnostics)
    }

    /// The interfaces of a node's namespace, in alphabetical order after those that every such node has.
    pub fn of(&self, scene: &Scene, node: usize) -> Vec<String> {
        let owner = scene.owners[node];
        let mut names: Vec<_> = self.interfaces[owner].keys().cloned().collect();
        names.sort();
        self.built_in(scene, owner)
            .map(str::to_owned)
            .chain(names)
            .collect()
    }

    /// What a namespace has without any link.
    fn built_in(&self, scene: &Scene, owner: usize) -> impl Iterator<Item = &'static str> + use<> {
        let bridge = (scene.kind(owner) == Kind::Bridge).then_some("br0");
        let mgmt = scene.has_mgmt(owner).then_some("eth0");
        std::iter::once("lo").chain(bridge).chain(mgmt)
    }
}

pub(super) fn resolve(scene: &Scene, diagnostics: &mut DiagnosticList) -> Links {
    let mut links = Links {
        interfaces: vec![HashMap::new(); scene.nodes.len()],
        ports: vec![0; scene.nodes.len()],
        settings: vec![Vec::new(); scene.nodes.len()],
        late: vec![Vec::new(); scene.nodes.len()],
        waits_for_late: vec![Vec::new(); scene.nodes.len()],
        ..Links::default()
    };
    let fixed = scene.spec.links.iter().flat_map(|link| &link.endpoints);
    for mac in fixed.filter_map(|end| end.mac.as_ref()) {
        links.macs.take(mac.value);
    }
    let own = scene.nodes.iter().flat_map(|node| &node.interfaces);
    for mac in own.filter_map(|interface| interface.mac.as_ref()) {
        links.macs.take(mac.value);
    }
    for link in &scene.spec.links {
        if let Some(link) = one(scene, link, &mut links, diagnostics) {
            links.links.push(link);
        }
    }
    interfaces::resolve(scene, &mut links, diagnostics);
    links
}

/// One link, `None` when something is wrong with it.
fn one(scene: &Scene, spec: &LinkSpec, links: &mut Links, diagnostics: &mut DiagnosticList) -> Option<Link> {
    let kind = kind(spec);
    let fitting = keys_fit(spec, kind, diagnostics);
    let (inside, outside): (Vec<_>, Vec<_>) = spec.endpoints.iter().partition(|end| end.node.value != HOST);
    let counted = count(spec, kind, &inside, &outside, diagnostics);
    let looped = same_ends(&inside, diagnostics);
    if !looped && again(&inside, &spec.span, links, diagnostics) {
        return None;
    }
    // Every end is looked at, even when another is wrong; the same end twice has been told.
    let looked_at = if looped { 1 } else { inside.len() };
    let ports: Vec<_> = inside[..looked_at]
        .iter()
        .map(|end| port(scene, end, links, diagnostics))
        .collect();
    if let Some(mtu) = spec.mtu.as_ref().filter(|mtu| mtu.value < IPV6_MTU) {
        for port in ports.iter().flatten() {
            let key = (scene.owners[port.node], port.interface.clone());
            links.narrow.insert(key, mtu.clone());
        }
    }
    let shape = shape(scene, spec, kind, ports, &outside, links, diagnostics);
    (fitting && counted).then_some(())?;
    Some(Link {
        shape: shape?,
        mtu: spec.mtu.as_ref().map(|mtu| mtu.value),
        offload: spec.offload.as_ref().is_none_or(|offload| offload.value),
        impair: impair::resolve(spec, kind, diagnostics)?,
    })
}

/// What was said, or what the ends say.
fn kind(spec: &LinkSpec) -> LinkType {
    let to_host = spec.endpoints.iter().any(|end| end.node.value == HOST);
    match spec.kind.as_ref().map(|kind| kind.value) {
        None | Some(LinkType::Veth) if to_host => LinkType::Host,
        None => LinkType::Veth,
        Some(kind) => kind,
    }
}

/// Whether every key given belongs to a link of this type.
fn keys_fit(spec: &LinkSpec, kind: LinkType, diagnostics: &mut DiagnosticList) -> bool {
    if spec.given.is_empty() {
        return true;
    }
    let own = keys_of_link(kind);
    let mut fit = true;
    for (key, span) in spec.given.iter().filter(|(key, _)| !own.contains(key)) {
        fit = false;
        let others = [LinkType::Host]
            .into_iter()
            .chain(LinkType::DEVICES.map(LinkType::Device));
        let wanted: Vec<_> = others
            .filter(|other| keys_of_link(*other).contains(key))
            .map(|other| format!("`type = \"{}\"`", other.name()))
            .collect();
        let message = format!("a link of type {} has no `{key}`", kind.name());
        let help = format!("remove it, or write {}", wanted.join(" or "));
        diagnostics.add(Diagnostic::new(message, span.clone(), "").help(help));
    }
    fit
}

/// Whether the link has as many ends as its type wants.
fn count(
    spec: &LinkSpec,
    kind: LinkType,
    inside: &[&EndpointSpec],
    outside: &[&EndpointSpec],
    diagnostics: &mut DiagnosticList,
) -> bool {
    let wanted = if kind == LinkType::Veth { 2 } else { 1 };
    let hosts = if kind == LinkType::Host { 1 } else { 0 };
    if inside.len() == wanted && outside.len() <= hosts {
        return true;
    }
    let help = match kind {
        LinkType::Veth => "write two: `endpoints = [\"a:eth0\", \"b:eth0\"]`",
        LinkType::Host => {
            "write one of a node and one of the host: `endpoints = [\"web:eth1\", \"host:lab0\"]`"
        }
        _ => "write one: `endpoints = [\"web:eth1\"]`",
    };
    let message = match kind {
        LinkType::Veth => format!("a link has two ends, not {}", spec.endpoints.len()),
        LinkType::Host => "a link to the host has one end in a node and one on the host".into(),
        _ if !outside.is_empty() => format!("a link of type {} has no end on the host", kind.name()),
        _ => format!(
            "a link of type {} has one end, not {}",
            kind.name(),
            spec.endpoints.len()
        ),
    };
    diagnostics.add(Diagnostic::new(message, spec.span.clone(), "").help(help));
    false
}

/// Whether an interface is linked to itself; and the ends' MAC addresses differ.
fn same_ends(inside: &[&EndpointSpec], diagnostics: &mut DiagnosticList) -> bool {
    let [first, second] = inside else { return false };
    if first.node.value == second.node.value && first.interface.value == second.interface.value {
        let message = format!(
            "both ends of this link are `{}:{}`",
            first.node.value, first.interface.value
        );
        let help = "an interface is linked to another one: change one of the ends";
        diagnostics.add(
            Diagnostic::new(message, second.span.clone(), "the same again")
                .and(first.span.clone(), "")
                .help(help),
        );
        return true;
    }
    if let (Some(one), Some(two)) = (&first.mac, &second.mac)
        && one.value == two.value
    {
        let message = format!("both ends of this link have the MAC address {}", one.value);
        let help = format!("change one, for example to `{}`", next(one.value));
        diagnostics.add(
            Diagnostic::new(message, two.span.clone(), "again here")
                .and(one.span.clone(), "first here")
                .help(help),
        );
    }
    false
}

/// Whether the two ends were linked to each other before: the link is written twice.
fn again(inside: &[&EndpointSpec], span: &Span, links: &mut Links, diagnostics: &mut DiagnosticList) -> bool {
    let [first, second] = inside else { return false };
    let mut ends = [first, second].map(|end| (end.node.value.clone(), end.interface.value.clone()));
    ends.sort();
    let [(a, eth_a), (b, eth_b)] = ends.clone();
    let Some(before) = links.pairs.insert(ends, span.clone()) else {
        return false;
    };
    let message = format!("the link between `{a}:{eth_a}` and `{b}:{eth_b}` is written twice");
    let help = "remove one of the two, or give its ends interfaces of their own";
    diagnostics.add(
        Diagnostic::new(message, span.clone(), "again here")
            .and(before, "first here")
            .help(help),
    );
    true
}

/// The neighboring MAC address.
fn next(mac: Mac) -> Mac {
    let [a, b, c, d, e, f] = mac.0;
    Mac([a, b, c, d, e, f ^ 1])
}

/// One end: the node is there, the name is free, its addresses are noted.
fn port(
    scene: &Scene,
    end: &EndpointSpec,
    links: &mut Links,
    diagnostics: &mut DiagnosticList,
) -> Option<Port> {
    let Some(&node) = scene.index.get(end.node.value.as_str()) else {
        let help = suggest::cure(&end.node.value, scene.names(), "the nodes are", "add the node");
        let message = format!("there is no node `{}`", end.node.value.escape_debug());
        diagnostics.add(Diagnostic::new(message, end.node.span.clone(), "unknown node").help(help));
        links.doubtful.insert(end.interface.value.clone());
        return None;
    };
    if scene.is_on_host(scene.owners[node]) {
        let message = format!("node `{}` lives in the host's network", end.node.value);
        let help = format!("name the host's end: `host:{}`", end.interface.value);
        diagnostics.add(Diagnostic::new(message, end.span.clone(), "").help(help));
        return None;
    }
    let free = claim(scene, node, &end.interface, links, diagnostics);
    bridge_port(scene, node, end, links, diagnostics);
    let nets = [
        end.ipv4.clone().map(|net| net.map(IpNet::V4)),
        end.ipv6.clone().map(|net| net.map(IpNet::V6)),
    ];
    for net in nets.into_iter().flatten() {
        links.addresses.push((node, end.interface.clone(), net));
    }
    free.then(|| Port {
        node,
        interface: end.interface.value.clone(),
        mac: Some(match &end.mac {
            Some(mac) => mac.value,
            None => links.mac(scene, &end.node.value, &end.interface.value),
        }),
        mtu: None,
        bridged: scene.kind(node) == Kind::Bridge,
    })
}

/// Counts the ports of bridges.
fn bridge_port(
    scene: &Scene,
    node: usize,
    end: &EndpointSpec,
    links: &mut Links,
    diagnostics: &mut DiagnosticList,
) {
    if scene.kind(node) != Kind::Bridge {
        return;
    }
    let owner = scene.owners[node];
    links
        .bridge_ports
        .insert((owner, end.interface.value.clone()), "br0".to_owned());
    links.ports[node] += 1;
    if links.ports[node] == BRIDGE_PORTS + 1 {
        let message = format!("bridge `{}` has more than {BRIDGE_PORTS} ports", end.node.value);
        let help = "the kernel's bridge takes no more: join a second bridge to it and spread the ports";
        diagnostics.add(Diagnostic::new(message, end.span.clone(), "one too many").help(help));
    }
}

/// Makes the interface's name taken; false when it was.
fn claim(
    scene: &Scene,
    node: usize,
    interface: &Spanned<String>,
    links: &mut Links,
    diagnostics: &mut DiagnosticList,
) -> bool {
    let owner = scene.owners[node];
    let name = &interface.value;
    let reserved = match name.as_str() {
        "lo" => Some("the loopback interface"),
        "br0" if scene.kind(owner) == Kind::Bridge => Some("the bridge itself"),
        "eth0" if scene.has_mgmt(owner) => Some("the management port"),
        _ => None,
    };
    if let Some(what) = reserved {
        let message = format!("`{name}` of node `{}` is {what}", scene.name(owner));
        let free = free_name(scene, owner, links);
        let help = format!("give this end another name, for example `{free}`");
        diagnostics.add(Diagnostic::new(message, interface.span.clone(), "taken").help(help));
        return false;
    }
    if let Some(first) = links.interfaces[owner].get(name) {
        let message = match owner == node {
            true => format!("interface `{name}` of node `{}` is used twice", scene.name(node)),
            false => format!(
                "interface `{name}` is used twice: node `{}` lives in the network of `{}`",
                scene.name(node),
                scene.name(owner)
            ),
        };
        let help = format!(
            "give one of them another name, for example `{}`",
            free_name(scene, owner, links)
        );
        diagnostics.add(
            Diagnostic::new(message, interface.span.clone(), "again here")
                .and(first.clone(), "first here")
                .help(help),
        );
        return false;
    }
    links.interfaces[owner].insert(name.clone(), interface.span.clone());
    true
}

/// The first `ethN` that is free.
fn free_name(scene: &Scene, owner: usize, links: &Links) -> String {
    let taken = &links.interfaces[owner];
    let first = usize::from(scene.has_mgmt(owner));
    let mut names = (first..).map(|at| format!("eth{at}"));
    names.find(|name| !taken.contains_key(name)).unwrap_or_default()
}

/// What the link joins.
fn shape(
    scene: &Scene,
    spec: &LinkSpec,
    kind: LinkType,
    ports: Vec<Option<Port>>,
    outside: &[&EndpointSpec],
    links: &mut Links,
    diagnostics: &mut DiagnosticList,
) -> Option<LinkShape> {
    let mut ports = ports.into_iter();
    let first = ports.next();
    match kind {
        LinkType::Veth => Some(Shape::Veth(first??, ports.next()??)),
        LinkType::Mgmt => {
            if scene.spec.mgmt.is_none() && !(0..scene.nodes.len()).any(|at| scene.has_mgmt(at)) {
                let message = "this link leads to the management network, and the lab has none";
                let help = "add a table `[mgmt]`, or `mgmt = true` to a node";
                diagnostics.add(Diagnostic::new(message, spec.span.clone(), "").help(help));
            }
            first?.map(Shape::Mgmt)
        }
        LinkType::Host => {
            let host_interface = devices::host_end(spec, outside, links, diagnostics);
            Some(Shape::Host {
                port: first??,
                host_interface: host_interface?,
            })
        }
        LinkType::Device(_) => {
            let carrier = devices::carrier(scene, spec, first.as_ref()?.as_ref(), links, diagnostics);
            Some(Shape::Device {
                port: first??,
                carrier: carrier?,
                device: spec.device.clone()?,
            })
        }
    }
}
