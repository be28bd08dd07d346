//! What every node's agent is to do, by all objects together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::instance::{AddressFamily, Instance};
use super::object::{Kind, Object};
use super::resources::{ClusterConfig, PeeringPolicy, Spec};
use super::selector::Selector;
use super::store::Store;
use super::{group, services, single};

/// Where Cilium looks for passwords.
const SECRETS: &str = "kube-system";
/// The key of a password in its secret.
const PASSWORD: &str = "password";

/// What is known of a node without its objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Its name in its cluster.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its addresses (`InternalIP`).
    pub addresses: Vec<IpAddr>,
    /// Its pods' networks.
    pub pod_cidrs: Vec<IpNet>,
    /// The services, by namespace and name, that a pod of it answers for.
    pub local_services: BTreeSet<(String, String)>,
}

/// A node with what its object adds.
pub(super) struct Node<'a> {
    pub facts: &'a Facts,
    /// Which of the nodes.
    pub number: usize,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// What an agent is to do, and what could not be done as it was said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Desired {
    /// Its virtual routers.
    pub instances: Vec<Instance>,
    /// Sentences for whoever applied the objects.
    pub warnings: Vec<String>,
}

/// What the agent of each node is to do.
///
/// # Errors
/// Objects that exclude each other, a sentence each.
pub fn desired(store: &Store, nodes: &[Facts]) -> Result<Vec<Desired>, Vec<String>> {
    let mut conflicts = services::conflicts(store);
    let mut all = Vec::with_capacity(nodes.len());
    for (number, facts) in nodes.iter().enumerate() {
        let node = Node::new(store, facts, number);
        let policy = the_one(&node, selecting(store, Kind::PeeringPolicy, Spec::policy, &node));
        let config = the_one(&node, selecting(store, Kind::ClusterConfig, Spec::cluster, &node));
        match (policy, config) {
            // As with Cilium 1.16 to 1.18 a node with a policy of the first generation obeys that alone.
            (Ok(Some((_, policy))), Ok(_)) => all.push(single::desired(store, policy, &node)),
            (Ok(None), Ok(Some((_, config)))) => all.push(group::desired(store, config, &node)),
            (Ok(None), Ok(None)) => all.push(Desired::default()),
            (policy, config) => conflicts.extend([policy.err(), config.err()].into_iter().flatten()),
        }
    }
    match conflicts.is_empty() {
        true => Ok(all),
        false => Err(conflicts),
    }
}

impl<'a> Node<'a> {
    pub(super) fn new(store: &Store, facts: &'a Facts, number: usize) -> Node<'a> {
        let mut labels = facts.labels.clone();
        let mut annotations = BTreeMap::new();
        if let Some(object) = store.named(Kind::Node, "", &facts.name) {
            labels.extend(object.labels.clone());
            annotations.clone_from(&object.annotations);
        }
        Node {
            facts,
            number,
            labels,
            annotations,
        }
    }

    /// Its first IPv4 address, which identifies its routers.
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        self.facts.addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    }
}

trait Selects {
    fn nodes(&self) -> Option<&Selector>;
}

impl Selects for PeeringPolicy {
    fn nodes(&self) -> Option<&Selector> {
        self.nodes.as_ref()
    }
}

impl Selects for ClusterConfig {
    fn nodes(&self) -> Option<&Selector> {
        self.nodes.as_ref()
    }
}

impl ClusterConfig {
    /// Whether it is for a node.
    pub(super) fn selects(&self, node: &Node) -> bool {
        self.nodes
            .as_ref()
            .is_none_or(|selector| selector.matches(&node.labels))
    }
}

/// The objects of a kind that select a node.
fn selecting<'a, T: Selects + 'a>(
    store: &'a Store,
    kind: Kind,
    says: impl Fn(&'a Spec) -> Option<&'a T> + 'a,
    node: &Node,
) -> Vec<(&'a Object, &'a T)> {
    store
        .specs(kind, says)
        .filter(|(_, it)| it.nodes().is_none_or(|selector| selector.matches(&node.labels)))
        .collect()
}

/// The only one of those that select a node.
fn the_one<'a, T>(
    node: &Node,
    selecting: Vec<(&'a Object, &'a T)>,
) -> Result<Option<(&'a Object, &'a T)>, String> {
    if let [one, other, ..] = selecting.as_slice() {
        return Err(format!(
            "{} and {} both select node {}; a node obeys one only",
            one.0.reference, other.0.reference, node.facts.name
        ));
    }
    Ok(selecting.into_iter().next())
}

impl Spec {
    fn policy(&self) -> Option<&PeeringPolicy> {
        match self {
            Spec::PeeringPolicy(policy) => Some(policy),
            _ => None,
        }
    }

    pub(super) fn cluster(&self) -> Option<&ClusterConfig> {
        match self {
            Spec::ClusterConfig(config) => Some(config),
            _ => None,
        }
    }
}

/// The password a secret holds. As with Cilium a session without one goes on unsigned where there is none.
pub(super) fn password(store: &Store, secret: Option<&str>, warnings: &mut Vec<String>) -> Option<String> {
    let name = secret?;
    let password = find_password(store, name);
    if password.is_none() {
        warnings.push(format!(
            "there is no secret {name} with a `{PASSWORD}` in namespace {SECRETS}: its sessions are not signed"
        ));
    }
    password
}

/// Whether a secret is there, and a password in it.
pub(super) fn has_password(store: &Store, secret: &str) -> bool {
    find_password(store, secret).is_some()
}

fn find_password(store: &Store, secret: &str) -> Option<String> {
    let object = store.named(Kind::Secret, SECRETS, secret)?;
    let Spec::Secret(secret) = &object.spec else {
        return None;
    };
    String::from_utf8(secret.values.get(PASSWORD)?.clone()).ok()
}

/// The prefix that is one address.
pub(super) fn host(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// Whether a prefix is of a family.
pub(super) fn is_of(prefix: &IpNet, family: AddressFamily) -> bool {
    AddressFamily::of(prefix.addr()) == family
}
