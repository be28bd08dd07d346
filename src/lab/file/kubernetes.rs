//! What a file says of a cluster and of its pods' network.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::reader::{Reader, Table, Value, Wrong};
use super::{NodeSpec, Span, Spanned, values};

/// What a node is in its cluster, by name.
pub const ROLES: &[(&str, NodeRole)] = &[
    ("control-plane", NodeRole::ControlPlane),
    ("worker", NodeRole::Worker),
];
/// How pods are routed, by name.
pub const ROUTINGS: &[(&str, Routing)] = &[("native", Routing::Native), ("tunnel", Routing::Tunnel)];
/// Who gives addresses, by name.
pub const IPAMS: &[(&str, Ipam)] = &[
    ("kubernetes", Ipam::Kubernetes),
    ("cluster-pool", Ipam::ClusterPool),
    ("multi-pool", Ipam::MultiPool),
];

/// Who joins pods to the network, by name.
pub const CNIS: &[(&str, Cni)] = &[("nslab", Cni::Nslab), ("none", Cni::None)];
/// Who answers for the cluster's names, by name; `true` and `false` say it as well.
pub const DNS: &[(&str, Dns)] = &[("external", Dns::External)];
/// Whose agent speaks BGP, by name.
pub const AGENTS: &[(&str, Agent)] = &[("builtin", Agent::Builtin), ("external", Agent::External)];

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
    /// Where Kubernetes' programs are, before PATH.
    pub bin_dir: Option<Spanned<String>>,
    /// Where etcd keeps what it knows beyond the lab's life; in memory, and gone with the lab, where none is given.
    pub etcd_dir: Option<Spanned<String>>,
    /// Archives of images that every node has.
    pub images: Vec<Spanned<String>>,
    /// Where images are pulled from in place of every registry.
    pub registry_mirror: Option<Spanned<String>>,
    /// Whether every node runs kube-proxy.
    pub kube_proxy: Option<Spanned<bool>>,
    /// Who joins pods to the network.
    pub cni: Option<Spanned<Cni>>,
    /// Who answers for the cluster's names.
    pub dns: Option<Spanned<Dns>>,
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
    /// Whose agent speaks BGP.
    pub agent: Option<Spanned<Agent>>,
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

/// Who joins pods of a real cluster to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cni {
    /// nslab's own plugin.
    Nslab,
    /// Nobody yet: the place is left to what is installed.
    None,
}

/// Who answers for the names of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dns {
    /// nslab's own server.
    Own,
    /// Somebody who is installed at the usual address.
    External,
    /// Nobody.
    None,
}

/// Whose agent speaks BGP on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// nslab's.
    Builtin,
    /// Cilium's own, which is installed in the cluster.
    External,
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

/// `[kubernetes]`.
pub(super) fn kubernetes(reader: &mut Reader, value: &Value, span: Span) -> Option<KubernetesSpec> {
    let mut table = reader.table(value, "kubernetes", "kubernetes", "`[kubernetes]`", span.clone())?;
    let spec = KubernetesSpec {
        span,
        cluster: table
            .get("cluster")
            .and_then(|value| reader.string(value, "cluster", "kind")),
        pod_subnet: subnets(reader, &mut table, "pod_subnet", "10.1.0.0/16"),
        service_subnet: subnets(reader, &mut table, "service_subnet", "10.96.0.0/16"),
        node_mask_v4: table
            .get("node_mask_v4")
            .and_then(|value| reader.integer(value, "node_mask_v4", 1..=32)),
        node_mask_v6: table
            .get("node_mask_v6")
            .and_then(|value| reader.integer(value, "node_mask_v6", 1..=128)),
        bin_dir: table
            .get("bin_dir")
            .and_then(|value| reader.string(value, "bin_dir", "/opt/kubernetes/bin")),
        etcd_dir: table
            .get("etcd_dir")
            .and_then(|value| reader.string(value, "etcd_dir", "etcd/")),
        images: table
            .get("images")
            .and_then(|value| {
                reader.list(value, "images", "\"app.tar\"", |reader, value| {
                    reader.string(value, "images", "app.tar")
                })
            })
            .unwrap_or_default(),
        registry_mirror: table
            .get("registry_mirror")
            .and_then(|value| reader.parsed(value, "registry_mirror", "http://172.20.20.1:5000", mirror)),
        kube_proxy: table
            .get("kube_proxy")
            .and_then(|value| reader.boolean(value, "kube_proxy")),
        cni: table.get("cni").and_then(|value| reader.word(value, "cni", CNIS)),
        dns: table.get("dns").and_then(|value| dns(reader, value)),
    };
    table.finish(reader);
    Some(spec)
}

/// `true`, `false`, or a word.
fn dns(reader: &mut Reader, value: &Value) -> Option<Spanned<Dns>> {
    match value.get_ref().as_bool() {
        Some(true) => Some(Spanned::new(Dns::Own, value.span())),
        Some(false) => Some(Spanned::new(Dns::None, value.span())),
        None if value.get_ref().is_str() => reader.word(value, "dns", DNS),
        None => {
            reader.mistyped(value, "dns", "true, false or \"external\"", "dns = false");
            None
        }
    }
}

/// A URL of a registry: it stands in containerd's configuration as it is.
fn mirror(text: &str) -> Result<String, Wrong> {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%@".contains(c);
    match rest {
        Some(rest) if !rest.is_empty() && rest.chars().all(legal) => Ok(text.to_owned()),
        _ => Err(Wrong::new(
            format!("`{}` is no URL of a registry", text.escape_debug()),
            "for example `registry_mirror = \"http://172.20.20.1:5000\"`",
        )),
    }
}

/// One subnet, or a list of one of each family.
fn subnets(reader: &mut Reader, table: &mut Table, key: &'static str, example: &str) -> Vec<Spanned<IpNet>> {
    let one = |reader: &mut Reader, value: &Value| {
        reader.parsed(value, key, example, |text| {
            let net = values::net(text)?;
            values::destination(text).map(|_| net)
        })
    };
    match table.get(key) {
        None => Vec::new(),
        Some(value) if value.get_ref().is_str() => one(reader, value).into_iter().collect(),
        Some(value) => reader
            .list(value, key, &format!("\"{example}\""), one)
            .unwrap_or_default(),
    }
}

/// `[cilium]`.
pub(super) fn cilium(reader: &mut Reader, value: &Value, span: Span) -> Option<CiliumSpec> {
    let mut table = reader.table(value, "cilium", "cilium", "`[cilium]`", span.clone())?;
    let truth = |reader: &mut Reader, table: &mut Table, key: &'static str| {
        table.get(key).and_then(|value| reader.boolean(value, key))
    };
    let manifests = table.get("manifests").and_then(|value| {
        reader.list(value, "manifests", "\"policy.yaml\"", |reader, value| {
            reader.string(value, "manifests", "policy.yaml")
        })
    });
    let spec = CiliumSpec {
        span,
        manifests: manifests.unwrap_or_default(),
        routing: table
            .get("routing")
            .and_then(|value| reader.word(value, "routing", ROUTINGS)),
        ipv4_native_cidr: table.get("ipv4_native_cidr").and_then(|value| {
            reader.parsed(value, "ipv4_native_cidr", "10.0.0.0/8", |text| {
                values::subnet(text, values::ipv4_net, Ipv4Net::trunc)
            })
        }),
        ipv6_native_cidr: table.get("ipv6_native_cidr").and_then(|value| {
            reader.parsed(value, "ipv6_native_cidr", "fd00::/48", |text| {
                values::subnet(text, values::ipv6_net, Ipv6Net::trunc)
            })
        }),
        ipam: table
            .get("ipam")
            .and_then(|value| reader.word(value, "ipam", IPAMS)),
        agent: table
            .get("agent")
            .and_then(|value| reader.word(value, "agent", AGENTS)),
        bgp_control_plane: truth(reader, &mut table, "bgp_control_plane"),
        ipv4_masquerade: truth(reader, &mut table, "ipv4_masquerade"),
        ipv6_masquerade: truth(reader, &mut table, "ipv6_masquerade"),
        ipv4: truth(reader, &mut table, "ipv4"),
        ipv6: truth(reader, &mut table, "ipv6"),
    };
    table.finish(reader);
    Some(spec)
}

/// What a node's table says of its place in a cluster.
pub(super) fn node(reader: &mut Reader, table: &mut Table, node: &mut NodeSpec) {
    node.role = table
        .get("role")
        .and_then(|value| reader.word(value, "role", ROLES));
    node.taints = table.get("taints").and_then(|value| {
        reader.list(value, "taints", "\"key=value:NoSchedule\"", |reader, value| {
            reader.string(value, "taints", "key=value:NoSchedule")
        })
    });
    node.node_ips = table.get("node_ips").and_then(|value| {
        reader.list(value, "node_ips", "\"10.0.1.2\"", |reader, value| {
            reader.parsed(value, "node_ips", "10.0.1.2", values::ip)
        })
    });
}
