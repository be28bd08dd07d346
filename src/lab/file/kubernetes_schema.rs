//! The JSON Schema of `[kubernetes]`, `[cilium]` and a Kubernetes node's own keys, see [`super::schema`].

use schemars::JsonSchema;

use super::schema::AddressWithPrefix;

/// What a node is in its cluster.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum RoleWord {
    /// It runs the cluster's own programs.
    ControlPlane,
    /// It runs pods only.
    Worker,
}

/// The Kubernetes cluster.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct KubernetesTable {
    /// Its name.
    cluster: Option<String>,
    /// What the nodes' pod networks are cut from: a subnet, or one of each family.
    pod_subnet: Option<SubnetsValue>,
    /// What services' addresses are from.
    service_subnet: Option<SubnetsValue>,
    /// The prefix length of a node's pod network (default 24).
    #[schemars(range(min = 1, max = 32))]
    node_mask_v4: Option<u8>,
    /// The same for IPv6 (default 64).
    #[schemars(range(min = 1, max = 128))]
    node_mask_v6: Option<u8>,
    /// Where Kubernetes' programs are, before PATH. Engine kubelet.
    bin_dir: Option<String>,
    /// Where etcd keeps what it knows beyond the lab's life (default: in memory). Engine kubelet.
    etcd_dir: Option<String>,
    /// Images that every node has: files as `docker save` writes them, or names of images. Engine kubelet.
    images: Option<Vec<String>>,
    /// Where images are pulled from in place of every registry. Engine kubelet.
    registry_mirror: Option<String>,
    /// Whether every node runs kube-proxy (default: no). Engine kubelet.
    kube_proxy: Option<bool>,
    /// Who joins pods to the network. Engine kubelet.
    cni: Option<CniWord>,
    /// Whether nslab answers for the names of services and pods (default: yes), or somebody who is installed.
    dns: Option<DnsValue>,
}

/// Who answers for the names of services and pods.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum DnsValue {
    /// nslab, or nobody.
    Own(bool),
    /// Somebody else.
    Other(DnsWord),
}

/// Who answers for them in place of nslab.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum DnsWord {
    /// Somebody who is installed at the tenth address of `service_subnet`.
    External,
}

/// Who joins pods to the network.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum CniWord {
    /// nslab's own plugin.
    Nslab,
    /// Nobody yet: the place is left to what is installed.
    None,
}

/// A subnet, or one of each family.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum SubnetsValue {
    /// One.
    One(AddressWithPrefix),
    /// One of each family.
    Each(Vec<AddressWithPrefix>),
}

/// The pods' network.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct CiliumTable {
    /// Files of objects, applied once the lab is up.
    manifests: Option<Vec<String>>,
    /// How pods reach pods of other nodes.
    routing: Option<RoutingWord>,
    /// Where pods go to by their own address, or none.
    ipv4_native_cidr: Option<String>,
    /// The same for IPv6.
    ipv6_native_cidr: Option<String>,
    /// Who gives pods their addresses.
    ipam: Option<IpamWord>,
    /// Whose agent speaks BGP.
    agent: Option<AgentWord>,
    /// Whether the BGP control plane runs.
    bgp_control_plane: Option<bool>,
    /// Whether pods leave the native network by their node's address.
    ipv4_masquerade: Option<bool>,
    /// The same for IPv6.
    ipv6_masquerade: Option<bool>,
    /// Whether pods have IPv4.
    ipv4: Option<bool>,
    /// Whether pods have IPv6.
    ipv6: Option<bool>,
}

/// Whose agent speaks BGP.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum AgentWord {
    /// nslab's.
    Builtin,
    /// Cilium's own, which is installed in the cluster. Engine kubelet.
    External,
}

/// How pods reach pods of other nodes.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum RoutingWord {
    /// By the routes of the network they are in.
    Native,
    /// In tunnels between nodes.
    Tunnel,
}

/// Who gives pods their addresses.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
enum IpamWord {
    /// The node, from its pod network.
    Kubernetes,
    /// The node, from what Cilium's operator cut for it.
    ClusterPool,
    /// Cilium's pools, several a node.
    MultiPool,
}
