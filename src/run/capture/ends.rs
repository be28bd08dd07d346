//! Which interfaces of a lab are meant.

use crate::failure::Failure;
use crate::lab::file::suggest;
use crate::run::protocol::{NodeStatus, Status};

/// An interface of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The node.
    pub node: String,
    /// The interface.
    pub interface: String,
    /// Its index in the node.
    pub index: u32,
    /// The supervisor's descriptor of the node's network.
    pub network: i32,
    /// What is at its other end, where that is known.
    pub peer: Option<String>,
    /// Its address.
    pub mac: Option<[u8; 6]>,
    /// Whether its packets begin with an Ethernet header; if not, with one of IP. Known once it is open.
    pub has_ethernet: bool,
}

impl End {
    /// `node:interface`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.node, self.interface)
    }
}

/// What stands for all.
const ALL: &str = "*";
/// It is meant by its name alone: its packets are those that a node sends to itself.
const LOOPBACK: &str = "lo";
/// No more interfaces are opened at once.
const MOST: usize = 4096;

/// The interfaces that words mean: `NODE:INTERFACE`, `NODE:*`, `*:INTERFACE`, or `*` for all.
///
/// # Errors
/// A word means none, or they are too many.
pub fn choose(status: &Status, words: &[String]) -> Result<Vec<End>, Failure> {
    let mut chosen: Vec<End> = Vec::new();
    for word in words {
        for end in of_word(status, word)? {
            if !chosen.contains(&end) {
                chosen.push(end);
            }
        }
    }
    match chosen.len() {
        0 => Err(Failure::wrong("no interface is named")),
        1..=MOST => Ok(chosen),
        many => Err(Failure::wrong(format!(
            "these are {many} interfaces, and {MOST} can be captured at once"
        ))),
    }
}

fn of_word(status: &Status, word: &str) -> Result<Vec<End>, Failure> {
    let (node, interface) = match word.rsplit_once(':') {
        Some(parts) => parts,
        None if word == ALL => (ALL, ALL),
        None => {
            let failure = Failure::wrong(format!("{word:?} is no interface of a node"));
            return Err(failure.help(format!("write NODE:INTERFACE; {word}:* means all of a node's")));
        }
    };
    let is_meant = |candidate: &&NodeStatus| node == ALL || candidate.name == node;
    let nodes: Vec<&NodeStatus> = status.nodes.iter().filter(is_meant).collect();
    if nodes.is_empty() {
        let names = status.nodes.iter().map(|node| node.name.as_str());
        let help = suggest::cure(node, names, "its nodes are", "it has none");
        return Err(Failure::wrong(format!("lab {} has no node {node:?}", status.lab)).help(help));
    }
    if let [only] = nodes.as_slice()
        && only.network_fd.is_none()
        && node != ALL
    {
        let message = format!("{node} is in the host's network");
        return Err(Failure::wrong(message).help("capture there with tcpdump"));
    }
    let found: Vec<End> = nodes.iter().flat_map(|node| of_node(node, interface)).collect();
    if found.is_empty() {
        return Err(none(status, &nodes, node, interface));
    }
    Ok(found)
}

fn of_node<'s>(node: &'s NodeStatus, interface: &'s str) -> impl Iterator<Item = End> + 's {
    let is_meant = move |name: &str| match interface {
        ALL => name != LOOPBACK,
        interface => name == interface,
    };
    node.interfaces
        .iter()
        .filter(move |it| is_meant(&it.name))
        .filter_map(|it| {
            Some(End {
                node: node.name.clone(),
                interface: it.name.clone(),
                index: it.index,
                network: node.network_fd?,
                peer: it.peer.clone(),
                mac: it.mac.as_deref().and_then(mac),
                has_ethernet: true,
            })
        })
}

fn none(status: &Status, nodes: &[&NodeStatus], node: &str, interface: &str) -> Failure {
    let message = match (node, interface) {
        (ALL, ALL) => format!("no node of lab {} has an interface", status.lab),
        (ALL, interface) => format!("no node of lab {} has an interface {interface:?}", status.lab),
        (node, ALL) => format!("{node} has no interface but its loopback"),
        (node, interface) => format!("{node} has no interface {interface:?}"),
    };
    let names = nodes
        .iter()
        .flat_map(|node| &node.interfaces)
        .map(|it| it.name.as_str());
    Failure::wrong(message).help(suggest::cure(interface, names, "there are", "there are none"))
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let octets: Option<Vec<u8>> = text
        .split(':')
        .map(|it| u8::from_str_radix(it, 16).ok())
        .collect();
    octets?.try_into().ok()
}
