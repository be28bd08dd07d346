//! What the process that runs flows knows of the lab: nodes, their networks, and the links between those.

use serde::{Deserialize, Serialize};

use crate::lab::model::Kind;
use crate::lab::plan::{Device, Plan};

/// An interface: the number of its namespace, and its own.
pub type End = (usize, u32);

/// A lab's nodes and links.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Topology {
    /// The nodes with the numbers of their namespaces, those in the host's network without.
    pub nodes: Vec<(String, Option<usize>)>,
    /// The namespaces.
    pub namespaces: Vec<Network>,
    /// The ends of links, each way.
    pub links: Vec<(End, End)>,
    /// Ports on the management network.
    pub management: Vec<End>,
}

/// A namespace.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Network {
    /// The node that owns it.
    pub node: String,
    /// Whether its loopback's addresses are those by which it is known.
    pub is_router: bool,
    /// Whether somebody else makes it.
    pub is_sandbox: bool,
}

impl Topology {
    /// That of a plan.
    pub fn of(plan: &Plan) -> Topology {
        let nodes = plan.nodes.iter().map(|node| (node.name.clone(), node.namespace));
        let mut namespaces: Vec<Network> = plan
            .namespaces
            .iter()
            .map(|step| Network {
                node: step.node.clone(),
                is_router: false,
                is_sandbox: step.sandbox.is_some(),
            })
            .collect();
        for node in &plan.nodes {
            if let Some(network) = node.namespace.and_then(|at| namespaces.get_mut(at)) {
                network.is_router |= matches!(node.kind, Kind::Router | Kind::K8s);
            }
        }
        let is_nodes = |at: usize| plan.nodes.iter().any(|node| node.namespace == Some(at));
        let hubs: Vec<usize> = (0..namespaces.len()).filter(|at| !is_nodes(*at)).collect();
        let veths = plan.links.iter().filter_map(|link| match &link.device {
            Device::Veth(a, b) => Some(((a.namespace, a.index), (b.namespace, b.index))),
            _ => None,
        });
        let links: Vec<(End, End)> = veths.flat_map(|(a, b)| [(a, b), (b, a)]).collect();
        let to_hub = links.iter().filter(|(_, there)| hubs.contains(&there.0));
        let management = to_hub.map(|(here, _)| *here).collect();
        Topology {
            nodes: nodes.collect(),
            namespaces,
            links,
            management,
        }
    }
}
