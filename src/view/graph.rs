//! The topology of a lab as text for the terminal, DOT (Graphviz) or Mermaid.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;

use super::terminal;
use crate::lab::Lab;
use crate::lab::links::{Carrier, Device};
use crate::lab::model::{Kind, Link, LinkShape, Node, Port};
use crate::run::protocol::LinkState;

/// What is known of a lab that lives.
#[derive(Debug, Default)]
pub struct Alive {
    /// The states of interfaces, by node; nothing of nodes that have none of their own.
    pub interfaces: HashMap<String, HashMap<String, LinkState>>,
    /// BGP sessions, by node.
    pub sessions: HashMap<String, Vec<Session>>,
}

/// A BGP session, as one of its ends has it.
#[derive(Debug)]
pub struct Session {
    /// The neighbor: an address or an interface.
    pub neighbor: String,
    /// Its AS.
    pub remote_as: u64,
    /// `Established`, `Active`, ….
    pub state: String,
}

impl Alive {
    /// What is wrong with a port, in a word; none where nothing is or nothing is known.
    fn trouble(&self, lab: &Lab, port: &Port) -> Option<&'static str> {
        let owner = &lab.nodes[lab.owner(port.node)].name;
        match self.interfaces.get(owner)?.get(&port.interface) {
            None => Some("deleted"),
            Some(LinkState::Up) => None,
            Some(state) => Some(state.word()),
        }
    }

    fn is_broken(&self, lab: &Lab, link: &Link) -> bool {
        link.ports().any(|port| self.trouble(lab, port).is_some())
    }

    /// The sessions between nodes of the lab, each once: the two nodes, and the state.
    fn pairs(&self, lab: &Lab) -> Vec<(usize, usize, String)> {
        let mut pairs: BTreeMap<(usize, usize), String> = BTreeMap::new();
        for (at, node) in lab.nodes.iter().enumerate() {
            for session in self.sessions.get(&node.name).into_iter().flatten() {
                if let Some(peer) = peer(lab, at, &session.neighbor) {
                    let state = pairs.entry((at.min(peer), at.max(peer))).or_default();
                    // What one end does not have established is not.
                    if state.is_empty() || session.state != ESTABLISHED {
                        state.clear();
                        state.push_str(known(&session.state));
                    }
                }
            }
        }
        pairs.into_iter().map(|((a, b), state)| (a, b, state)).collect()
    }
}

const ESTABLISHED: &str = "Established";

/// A state of a session (RFC 4271 section 8.2.2). What a router says goes into a diagram only where it is one of these.
fn known(state: &str) -> &'static str {
    let all = [
        "Idle",
        "Connect",
        "Active",
        "OpenSent",
        "OpenConfirm",
        ESTABLISHED,
    ];
    all.into_iter().find(|it| *it == state).unwrap_or("?")
}

/// The node that a neighbor's address or an interface leads to.
fn peer(lab: &Lab, node: usize, neighbor: &str) -> Option<usize> {
    if let Ok(address) = neighbor.parse::<IpAddr>() {
        let has = |node: &Node| node.addresses.iter().any(|it| it.net.addr() == address);
        return lab.nodes.iter().position(has);
    }
    lab.links.iter().find_map(|link| match &link.shape {
        LinkShape::Veth(a, b) if a.node == node && a.interface == neighbor => Some(b.node),
        LinkShape::Veth(a, b) if b.node == node && b.interface == neighbor => Some(a.node),
        _ => None,
    })
}

fn kind(node: &Node) -> &str {
    if let Some(of_kind) = &node.of_kind {
        return &of_kind.kind;
    }
    match node.kind {
        Kind::Host => "host",
        Kind::Router => "router",
        Kind::Bridge => "bridge",
        Kind::K8s => "k8s",
        Kind::Pod => "pod",
    }
}

/// For the terminal: each node with its interfaces, addresses and what is at their other ends.
pub fn text(lab: &Lab, alive: &Alive) -> String {
    let mut lines: Vec<Vec<String>> = vec![Vec::new(); lab.nodes.len()];
    for link in shown(lab) {
        for (here, there) in ends(lab, link) {
            let trouble = alive.trouble(lab, here).map(|word| format!(" ({word})"));
            lines[here.node].push(format!(
                "{}{} ── {there}{}",
                interface(lab, here),
                addresses(lab, here),
                trouble.unwrap_or_default()
            ));
        }
    }
    for (lines, node) in lines.iter_mut().zip(&lab.nodes) {
        for session in alive.sessions.get(&node.name).into_iter().flatten() {
            let Session {
                neighbor,
                remote_as,
                state,
            } = session;
            lines.push(format!("BGP with {neighbor}, AS {remote_as}: {state}"));
        }
    }
    let mut text = format!("{}\n", lab.name);
    for (number, (node, lines)) in lab.nodes.iter().zip(&lines).enumerate() {
        let last = number + 1 == lab.nodes.len();
        let (branch, stem) = if last {
            ("└── ", "    ")
        } else {
            ("├── ", "│   ")
        };
        let _ = writeln!(
            text,
            "{branch}{} ({}{})",
            node.name,
            kind(node),
            own_addresses(node)
        );
        for (position, line) in lines.iter().enumerate() {
            let twig = if position + 1 == lines.len() {
                "└── "
            } else {
                "├── "
            };
            let _ = writeln!(text, "{stem}{twig}{line}");
        }
    }
    match terminal::is_ascii() {
        true => ascii(&text),
        false => text,
    }
}

/// The same tree where the locale has no other characters.
fn ascii(tree: &str) -> String {
    tree.replace("└──", "`--")
        .replace("├──", "|--")
        .replace('│', "|")
        .replace("──", "--")
}

/// The links but for those from a node to itself, as a Kubernetes node has one.
fn shown(lab: &Lab) -> impl Iterator<Item = &Link> {
    let loops = |link: &&Link| matches!(&link.shape, LinkShape::Veth(a, b) if a.node == b.node);
    lab.links.iter().filter(move |link| !loops(link))
}

/// The links that are drawn as lines: devices in a node's own network lead to no other place.
fn drawn(lab: &Lab) -> impl Iterator<Item = &Link> {
    let is_inside = |link: &&Link| matches!(&link.shape, LinkShape::Device { carrier: Carrier::Node(_), device, .. } if !matches!(device, Device::Dummy(_) | Device::Vxlan(_)));
    shown(lab).filter(move |link| !is_inside(link))
}

/// Pairs of interfaces that name each other, each once: the nodes, and the type.
fn tunnels(lab: &Lab) -> Vec<(usize, usize, &'static str)> {
    let mut found = Vec::new();
    for link in &lab.links {
        let LinkShape::Device { port, device, .. } = &link.shape else {
            continue;
        };
        let here = lab.owner(port.node);
        for end in device.clone().ends() {
            let there = lab.nodes.iter().position(|node| node.name == end.node);
            let pair = there.map(|there| (here.min(there), here.max(there), device.name()));
            if let Some(pair) = pair.filter(|pair| !found.contains(pair)) {
                found.push(pair);
            }
        }
    }
    found
}

/// The name by which people know an interface.
fn interface<'a>(lab: &'a Lab, port: &'a Port) -> &'a str {
    let of_kind = lab.nodes[port.node].of_kind.as_ref();
    let known = of_kind.and_then(|of_kind| of_kind.interfaces.get(&port.interface));
    known.unwrap_or(&port.interface)
}

/// Each end of a link that is in a node, with a name for the other end.
fn ends<'a>(lab: &Lab, link: &'a Link) -> Vec<(&'a Port, String)> {
    let name = |port: &Port| format!("{}:{}", lab.nodes[port.node].name, interface(lab, port));
    match (&link.shape, link.shape.outside()) {
        (LinkShape::Veth(a, b), _) => vec![(a, name(b)), (b, name(a))],
        (
            LinkShape::Device {
                port,
                carrier: Carrier::Node(Some(below)),
                device,
            },
            _,
        ) => {
            vec![(port, format!("({} on {below})", device.label()))]
        }
        (_, Some(there)) => link.ports().map(|port| (port, there.clone())).collect(),
        (_, None) => Vec::new(),
    }
}

fn addresses(lab: &Lab, port: &Port) -> String {
    let owner = &lab.nodes[lab.owner(port.node)];
    let found = owner
        .addresses
        .iter()
        .filter(|address| address.interface == port.interface);
    found.map(|address| format!(" {}", address.net)).collect()
}

/// Addresses that belong to no link: the loopback's, and a bridge's own.
fn own_addresses(node: &Node) -> String {
    let own = node
        .addresses
        .iter()
        .filter(|address| matches!(address.interface.as_str(), "lo" | "br0"));
    own.map(|address| format!(", {} {}", address.interface, address.net))
        .collect()
}

/// For Graphviz: `nslab graph --format dot FILE | dot -Tsvg`.
pub fn dot(lab: &Lab, alive: &Alive) -> String {
    let mut text = format!(
        "graph \"{}\" {{\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n",
        lab.name
    );
    for node in &lab.nodes {
        let shape = match node.kind {
            Kind::Router => "ellipse",
            Kind::Host => "box",
            Kind::Bridge => "hexagon",
            Kind::K8s => "component",
            Kind::Pod => "box, style=rounded",
        };
        let _ = writeln!(text, "  \"{}\" [shape={shape}];", node.name);
    }
    for link in drawn(lab) {
        let tail = link.ports().next();
        let Some(tail) = tail else { continue };
        let broken = match alive.is_broken(lab, link) {
            true => ", style=dashed, color=red",
            false => "",
        };
        match (&link.shape, link.shape.outside()) {
            (LinkShape::Veth(a, b), _) => {
                let (left, right) = (&lab.nodes[a.node].name, &lab.nodes[b.node].name);
                let _ = writeln!(
                    text,
                    "  \"{left}\" -- \"{right}\" [taillabel=\"{}\", headlabel=\"{}\"{broken}];",
                    interface(lab, a),
                    interface(lab, b)
                );
            }
            (_, Some(there)) => {
                let name = &lab.nodes[tail.node].name;
                let _ = writeln!(
                    text,
                    "  \"{there}\" [shape=plaintext];\n  \"{name}\" -- \"{there}\" [taillabel=\"{}\"{broken}];",
                    interface(lab, tail)
                );
            }
            (_, None) => {}
        }
    }
    for (a, b, name) in tunnels(lab) {
        let (a, b) = (&lab.nodes[a].name, &lab.nodes[b].name);
        let _ = writeln!(text, "  \"{a}\" -- \"{b}\" [style=dashed, label=\"{name}\"];");
    }
    for (a, b, state) in alive.pairs(lab) {
        let color = if state == ESTABLISHED { "darkgreen" } else { "red" };
        let (a, b) = (&lab.nodes[a].name, &lab.nodes[b].name);
        let _ = writeln!(
            text,
            "  \"{a}\" -- \"{b}\" [style=dotted, constraint=false, color={color}, fontcolor={color}, label=\"BGP {state}\"];"
        );
    }
    text.push_str("}\n");
    text
}

/// For Mermaid, which GitHub and GitLab draw in Markdown. Nodes are numbered, as names may hold anything.
pub fn mermaid(lab: &Lab, alive: &Alive) -> String {
    let mut text = "graph TD\n".to_owned();
    for (number, node) in lab.nodes.iter().enumerate() {
        let (open, close) = match node.kind {
            Kind::Router => ("([", "])"),
            Kind::Host => ("[", "]"),
            Kind::Bridge => ("{{", "}}"),
            Kind::K8s => ("[[", "]]"),
            Kind::Pod => ("(", ")"),
        };
        let _ = writeln!(text, "  n{number}{open}\"{}\"{close}", node.name);
    }
    for (number, link) in drawn(lab).enumerate() {
        let line = if alive.is_broken(lab, link) { "-.-" } else { "---" };
        match (&link.shape, link.shape.outside(), link.ports().next()) {
            (LinkShape::Veth(a, b), _, _) => {
                let _ = writeln!(
                    text,
                    "  n{} {line}|\"{} - {}\"| n{}",
                    a.node,
                    interface(lab, a),
                    interface(lab, b),
                    b.node
                );
            }
            (_, Some(there), Some(port)) => {
                let _ = writeln!(
                    text,
                    "  o{number}[\"{there}\"]\n  n{} {line}|\"{}\"| o{number}",
                    port.node,
                    interface(lab, port)
                );
            }
            _ => {}
        }
    }
    for (a, b, name) in tunnels(lab) {
        let _ = writeln!(text, "  n{a} -. \"{name}\" .- n{b}");
    }
    for (a, b, state) in alive.pairs(lab) {
        let _ = writeln!(text, "  n{a} -. \"BGP {state}\" .- n{b}");
    }
    text
}
