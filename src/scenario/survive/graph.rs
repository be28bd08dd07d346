//! What is physically connected, given what has failed. Pure.

use std::collections::BTreeSet;

use crate::lab::model::{Kind, Lab, LinkShape, Network, Node};
use crate::lab::scenario::End;

/// The nodes and links of a lab as a graph.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The names of its nodes.
    pub nodes: Vec<String>,
    /// Whether each passes on what is not for it.
    pub forwards: Vec<bool>,
    /// The node whose network each is in: another's, where it shares that.
    pub owners: Vec<usize>,
    /// Its links: the nodes at both ends, by number, and the interfaces.
    pub links: Vec<Link>,
}

/// A link between two nodes.
#[derive(Debug, Clone)]
pub struct Link {
    /// The nodes at its ends.
    pub nodes: [usize; 2],
    /// The interfaces there.
    pub ends: [End; 2],
}

/// What has failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failed {
    /// Links, by number.
    pub links: Vec<usize>,
    /// Nodes, by number.
    pub nodes: Vec<usize>,
}

impl Graph {
    /// That of a lab. Nodes that share a network are one.
    pub fn of(lab: &Lab) -> Graph {
        let owner = |at: usize| match lab.nodes[at].network {
            Network::Shared(other) => other,
            Network::Own | Network::Host => at,
        };
        let links = lab.links.iter().filter_map(|link| match &link.shape {
            LinkShape::Veth(a, b) => Some(Link {
                nodes: [owner(a.node), owner(b.node)],
                ends: [a, b].map(|port| End {
                    node: lab.nodes[port.node].name.clone(),
                    interface: port.interface.clone(),
                }),
            }),
            _ => None,
        });
        Graph {
            nodes: lab.nodes.iter().map(|node| node.name.clone()).collect(),
            forwards: lab.nodes.iter().map(forwards).collect(),
            owners: (0..lab.nodes.len()).map(owner).collect(),
            links: links.filter(|link| link.nodes[0] != link.nodes[1]).collect(),
        }
    }

    /// The nodes that a node is connected with, over nodes that forward, by what has not failed.
    pub fn reached_from(&self, from: usize, failed: &Failed) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        if failed.nodes.contains(&from) {
            return reached;
        }
        let mut waiting = vec![from];
        reached.insert(from);
        while let Some(at) = waiting.pop() {
            if at != from && !self.forwards[at] {
                continue;
            }
            for (number, link) in self.links.iter().enumerate() {
                if failed.links.contains(&number) {
                    continue;
                }
                let [a, b] = link.nodes;
                let other = if a == at {
                    b
                } else if b == at {
                    a
                } else {
                    continue;
                };
                if !failed.nodes.contains(&other) && reached.insert(other) {
                    waiting.push(other);
                }
            }
        }
        reached
    }

    /// What failed, in words.
    pub fn describe(&self, failed: &Failed) -> String {
        let links = failed.links.iter().map(|at| {
            let [a, b] = &self.links[*at].ends;
            format!("link {a} – {b}")
        });
        let nodes = failed.nodes.iter().map(|at| format!("node {}", self.nodes[*at]));
        let all: Vec<String> = links.chain(nodes).collect();
        all.join(" + ")
    }

    /// One end of each link that these nodes have.
    pub fn ends_at<'g>(&'g self, nodes: &'g [usize]) -> impl Iterator<Item = &'g End> {
        let links = self.links.iter();
        let links = links.filter(|link| link.nodes.iter().any(|node| nodes.contains(node)));
        links.map(|link| &link.ends[0])
    }

    /// What failed, as `--only` takes it.
    pub fn only(&self, failed: &Failed) -> String {
        let links = failed.links.iter().map(|at| self.links[*at].ends[0].to_string());
        let nodes = failed.nodes.iter().map(|at| self.nodes[*at].clone());
        links.chain(nodes).collect::<Vec<_>>().join(",")
    }

    /// The nodes that may fail: those that others depend on.
    pub fn that_forward(&self) -> Vec<usize> {
        let linked = |at: &usize| self.links.iter().any(|link| link.nodes.contains(at));
        (0..self.nodes.len())
            .filter(|at| self.forwards[*at])
            .filter(linked)
            .collect()
    }
}

/// Whether a node passes packets on. What an image does nobody knows; most that are not hosts do.
fn forwards(node: &Node) -> bool {
    let says = |key: &str| {
        node.sysctls
            .iter()
            .any(|(name, value)| name.contains(key) && value.trim() == "1")
    };
    node.kind != Kind::Host || node.image.is_some() || says("ip_forward") || says("forwarding")
}
