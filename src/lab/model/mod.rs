//! The lab as it is meant: complete and validated, with inheritance applied and every default filled in.

mod command;
mod image;
mod link;
mod mount;
mod node;
mod of_kind;
mod route;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::flow::Flow;
use super::pod_cidr::machine;
use super::scenario::Scenario;
pub use command::{Command, Exec, Probe, Process, Restart, Stage, Wait};
pub use image::{Image, Init};
pub use link::{Link, LinkShape, Mac, Port, Underlay};
pub use mount::{Memory, Mount, Mounted, Volume};
pub use node::{
    Address, Bind, ConfigPlace, Content, EngineChoice, File, Kind, KubernetesNode, LateInterface, Limit,
    Limits, Masquerade, Network, Node,
};
use nslab_image::source::{Registries, Source};
pub use of_kind::{HostNeeds, OfKind};
pub use route::{NextHop, Route, RouteAction};

/// A whole lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lab {
    /// Its name: 1 to 48 characters of `[a-z0-9-]`, used in paths and cgroup names.
    pub name: String,
    /// The management network, if the lab has one.
    pub mgmt: Option<Mgmt>,
    /// Its nodes, in the order of the file. Other parts refer to them by index.
    pub nodes: Vec<Node>,
    /// Its links, in the order of the file.
    pub links: Vec<Link>,
    /// Programs that must be on the host's PATH.
    pub requires: Vec<String>,
    /// Whether `nslab test` keeps a capture of it should a check fail.
    #[serde(default)]
    pub capture: bool,
    /// What must be true of it once it lives.
    pub checks: Vec<Check>,
    /// What happens to it, and what must be true meanwhile.
    #[serde(default)]
    pub scenarios: Vec<Scenario>,
    /// Flows that are started in it.
    #[serde(default)]
    pub flows: Vec<Flow>,
    /// Objects for its Kubernetes nodes, applied once it lives.
    pub manifests: Vec<Manifest>,
    /// What a real Kubernetes is like, where its nodes run one.
    #[serde(default)]
    pub cluster: Cluster,
    /// How registries of images are reached.
    #[serde(default)]
    pub registries: Registries,
}

/// What a real Kubernetes is like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cluster {
    /// Where its programs are, before PATH.
    pub bin_dir: Option<PathBuf>,
    /// Where etcd keeps what it knows beyond the lab's life.
    pub etcd_dir: Option<PathBuf>,
    /// Archives of images that every node has, on the host.
    pub images: Vec<PathBuf>,
    /// Images that every node has as well, by where they come from.
    #[serde(default)]
    pub pulled: Vec<Source>,
    /// Where images are pulled from in place of every registry.
    pub registry_mirror: Option<String>,
    /// Whether every node runs kube-proxy.
    pub kube_proxy: bool,
    /// What services' addresses are from; one of each family at most.
    pub service_subnets: Vec<IpNet>,
    /// What pods' addresses are from.
    pub pod_subnets: Vec<IpNet>,
    /// Whether the place of the pods' network is left to what is installed.
    pub leaves_network: bool,
    /// Whether Cilium's own agent will run.
    pub external_agent: bool,
    /// Who answers for its names.
    #[serde(default)]
    pub dns: Dns,
}

/// Who answers for the names of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dns {
    /// nslab's own server on each node with pods.
    #[default]
    Own,
    /// Somebody who is installed at the same address.
    External,
    /// Nobody.
    None,
}

/// Which of the addresses of services is that of the cluster's DNS, as with kubeadm and kind.
const DNS_NUMBER: u128 = 10;

/// Where services get their addresses from unless the lab file says.
const SERVICE_SUBNET: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16));

impl Cluster {
    /// What services' addresses are from.
    pub fn service_subnets(&self) -> Vec<IpNet> {
        match self.service_subnets.as_slice() {
            [] => vec![SERVICE_SUBNET],
            said => said.to_vec(),
        }
    }

    /// The address at which pods ask for names; none where they ask nobody.
    pub fn dns_address(&self) -> Option<IpAddr> {
        if self.dns == Dns::None {
            return None;
        }
        let is_reached = |net: &IpNet| {
            let mut pods = self.pod_subnets.iter();
            self.pod_subnets.is_empty() || pods.any(|it| it.addr().is_ipv4() == net.addr().is_ipv4())
        };
        let first = self.service_subnets().into_iter().find(is_reached)?;
        machine(&first, DNS_NUMBER).map(|net| net.addr())
    }
}

/// A file of objects, as kubectl takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// As the user named it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// The management network: `eth0` on the nodes that ask for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mgmt {
    /// Its name, for listings.
    pub network: String,
    /// The name of its bridge in the hub namespace.
    pub bridge: String,
    /// Default 172.20.20.0/24.
    pub ipv4_subnet: Option<ipnet::Ipv4Net>,
    /// Default 2001:172:20:20::/64.
    pub ipv6_subnet: Option<ipnet::Ipv6Net>,
    /// The gateway's addresses; by default the first of each subnet.
    pub ipv4_gw: Option<std::net::Ipv4Addr>,
    /// See `ipv4_gw`.
    pub ipv6_gw: Option<std::net::Ipv6Addr>,
    /// Bytes; the kernel's default of 1500 where none is given.
    pub mtu: Option<u32>,
    /// Whether nodes reach the outside through the host (IPv4).
    pub nat: bool,
    /// The same for IPv6, which has to be asked for.
    pub nat6: bool,
}

/// A node's place on the management network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MgmtPort {
    /// A fixed address, or one chosen by the order of the nodes.
    pub ipv4: Option<std::net::Ipv4Addr>,
    /// See `ipv4`.
    pub ipv6: Option<std::net::Ipv6Addr>,
}

/// A port of a node that is reached on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Where the host listens.
    pub listen: std::net::SocketAddr,
    /// The node's port.
    pub port: u16,
    /// Whether it is a UDP port, and not TCP's.
    #[serde(default)]
    pub udp: bool,
}

impl Lab {
    /// What is odd of the names that links give interfaces of nodes whose kinds know others, a sentence for each kind.
    pub fn odd_interfaces(&self) -> Vec<String> {
        let mut ends: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for node in &self.nodes {
            let Some(kind) = &node.of_kind else { continue };
            for interface in &kind.odd_interfaces {
                let end = format!("{}:{interface}", node.name);
                ends.entry(&kind.kind).or_default().push(end);
            }
        }
        let sentence = |(kind, ends): (&str, Vec<String>)| {
            format!(
                "the kind `{kind}` knows no interfaces of these names, which its system may not use: {}",
                ends.join(", ")
            )
        };
        ends.into_iter().map(sentence).collect()
    }

    /// The index of the node whose network namespace the given node lives in.
    pub fn owner(&self, node: usize) -> usize {
        match self.nodes[node].network {
            Network::Own | Network::Host => node,
            Network::Shared(owner) => owner,
        }
    }

    /// The pods that the lab file has on a node.
    pub fn pods_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Node> {
        let is_on = |pod: &&Node| {
            let rest = pod.name.strip_prefix(&node.name);
            pod.kind == Kind::Pod && rest.is_some_and(|rest| rest.starts_with('/'))
        };
        self.nodes.iter().filter(is_on)
    }
}
