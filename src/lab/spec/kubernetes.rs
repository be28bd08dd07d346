//! What a file says of a cluster and of its pods' network.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Span, Spanned};

/// `[kubernetes]`: the cluster.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KubernetesSpec {
    /// Where it stands.
    pub span: Span,
    /// Its name, which begins the names of the nodes that kind makes.
    pub cluster: Option<Spanned<String>>,
    /// What the nodes' pod networks are cut from: one subnet, or one of each family.
    pub pod_subnet: Vec<Spanned<IpNet>>,
    /// What services' addresses are from.
    pub service_subnet: Vec<Spanned<IpNet>>,
    /// How long the prefix of a node's pod network is.
    pub node_mask_v4: Option<Spanned<u8>>,
    /// The same for IPv6.
    pub node_mask_v6: Option<Spanned<u8>>,
}

/// `[cilium]`: the pods' network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CiliumSpec {
    /// Where it stands.
    pub span: Span,
    /// Files of objects, applied once the lab is up.
    pub manifests: Vec<Spanned<String>>,
    /// How pods reach pods of other nodes.
    pub routing: Option<Spanned<Routing>>,
    /// Where pods go to by their own address; `Some(None)` for "none".
    pub ipv4_native_cidr: Option<Spanned<Option<Ipv4Net>>>,
    /// The same for IPv6.
    pub ipv6_native_cidr: Option<Spanned<Option<Ipv6Net>>>,
    /// Who gives pods their addresses.
    pub ipam: Option<Spanned<Ipam>>,
    /// Whether the BGP control plane runs.
    pub bgp_control_plane: Option<Spanned<bool>>,
    /// Whether pods leave the native network by their node's address.
    pub ipv4_masquerade: Option<Spanned<bool>>,
    /// The same for IPv6.
    pub ipv6_masquerade: Option<Spanned<bool>>,
    /// Whether pods have IPv4.
    pub ipv4: Option<Spanned<bool>>,
    /// Whether pods have IPv6.
    pub ipv6: Option<Spanned<bool>>,
}

/// What a node is in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeRole {
    /// It runs the cluster's own programs.
    ControlPlane,
    /// It runs pods only.
    Worker,
}

/// How pods reach pods of other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// By the routes of the network they are in.
    Native,
    /// In tunnels between nodes.
    Tunnel,
}

/// Who gives pods their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipam {
    /// The node, from the pod network that Kubernetes cut for it.
    Kubernetes,
    /// The node, from the pod network that Cilium's operator cut for it.
    ClusterPool,
    /// Cilium's pools, several a node.
    MultiPool,
}
