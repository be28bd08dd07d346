//! What nodes of kind `k8s` are to their cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::mistakes::Mistakes;
use super::{Scene, pods};
use crate::lab::Diagnostic;
use crate::lab::model::{Address, Kind, KubernetesNode, Masquerade, Node};
use crate::lab::pod_cidr::{self, Uncut};
use crate::lab::spec::{NodeRole, Spec};

/// The pods' subnet of a cluster that says none, as kind has it.
const POD_SUBNET: &str = "10.244.0.0/16";

/// Fills in what the nodes of kind `k8s` are, in the order in which they register.
pub(super) fn fill(nodes: &mut [Node], scene: &Scene) {
    let members: Vec<usize> = (0..nodes.len())
        .filter(|at| nodes[*at].kind == Kind::K8s)
        .collect();
    let cilium = scene.spec.cilium.as_ref();
    let bgp = cilium.and_then(|cilium| cilium.bgp_control_plane.as_ref());
    let bgp = bgp.is_none_or(|it| it.value);
    for (at, pod_cidrs) in members.into_iter().zip(&scene.pod_cidrs) {
        let has_pods = scene.nodes[at].pods.as_ref().is_some_and(|pods| !pods.is_empty());
        let node = &mut nodes[at];
        node.kubernetes = Some(KubernetesNode {
            labels: labels(scene, at, node),
            addresses: addresses(scene, at, node),
            pod_cidrs: pod_cidrs.clone(),
            bgp,
            taints: scene.nodes[at]
                .taints
                .iter()
                .flatten()
                .map(|it| it.value.clone())
                .collect(),
            light_pods: light_pods(scene, at),
            masquerade: match has_pods {
                true => masquerade(scene.spec, pod_cidrs),
                false => Vec::new(),
            },
        });
    }
}

/// The addresses of a node's pods, which are the nodes with its name in front of theirs.
fn light_pods(scene: &Scene, at: usize) -> Vec<IpNet> {
    let whose = format!("{}/", scene.name(at));
    let pods = (0..scene.nodes.len()).filter(|pod| scene.name(*pod).starts_with(&whose));
    pods.flat_map(|pod| scene.nodes[pod].addresses.iter().flat_map(|it| &it.nets))
        .map(|net| net.value)
        .collect()
}

/// What the pods' networks are cut from.
fn subnets(spec: &Spec) -> Vec<IpNet> {
    let said = spec.kubernetes.iter().flat_map(|spec| &spec.pod_subnet);
    let mut subnets: Vec<IpNet> = said.map(|net| net.value).collect();
    if subnets.is_empty() {
        subnets.extend(POD_SUBNET.parse::<IpNet>());
    }
    subnets
}

/// What leaves a node by the node's address: all that goes beyond the network in which pods are known by their own
/// (`ipv4NativeRoutingCIDR`); nobody said which, that is the pods' subnet.
fn masquerade(spec: &Spec, pod_cidrs: &[IpNet]) -> Vec<Masquerade> {
    let cilium = spec.cilium.as_ref();
    let (v4, v6) = match cilium {
        Some(it) => (it.ipv4_masquerade.as_ref(), it.ipv6_masquerade.as_ref()),
        None => (None, None),
    };
    let native4 = cilium.and_then(|it| it.ipv4_native_cidr.as_ref()?.value);
    let native6 = cilium.and_then(|it| it.ipv6_native_cidr.as_ref()?.value);
    let subnets = subnets(spec);
    let one = |source: &IpNet| {
        let (wanted, said) = match source {
            IpNet::V4(_) => (v4, native4.map(IpNet::V4)),
            IpNet::V6(_) => (v6, native6.map(IpNet::V6)),
        };
        let native = said.or_else(|| subnets.iter().find(|net| net.contains(source)).copied());
        wanted.is_none_or(|it| it.value).then_some(Masquerade {
            source: *source,
            native: native.unwrap_or(*source),
        })
    };
    pod_cidrs.iter().filter_map(one).collect()
}

/// The pod networks of so many nodes; none where they cannot be cut, which is told.
pub(super) fn networks(spec: &Spec, nodes: usize, mistakes: &mut Mistakes) -> Vec<Vec<IpNet>> {
    let subnets = subnets(spec);
    let spec = spec.kubernetes.as_ref();
    let said = spec.map_or(&[][..], |spec| &spec.pod_subnet);
    let mask = |mask: Option<&crate::lab::spec::Spanned<u8>>| mask.map(|mask| mask.value);
    let (v4, v6) = (
        mask(spec.and_then(|spec| spec.node_mask_v4.as_ref())),
        mask(spec.and_then(|spec| spec.node_mask_v6.as_ref())),
    );
    let cut = pod_cidr::of_nodes(&subnets, v4, v6, nodes);
    cut.unwrap_or_else(|(subnet, uncut)| {
        let net = subnets[subnet];
        let length = pod_cidr::mask(net, v4, v6);
        let message = match uncut {
            Uncut::Mask => format!("{net} cannot be cut into networks of length {length}"),
            Uncut::TooMany => format!("{net} has too many networks of length {length} to count"),
            Uncut::TooFew => format!("{net} has fewer networks of length {length} than there are nodes"),
        };
        let span = said.get(subnet).map_or(0..0, |net| net.span.clone());
        let help = "choose another `pod_subnet`, or say the length by `node_mask_v4` and `node_mask_v6`";
        mistakes.add(Diagnostic::new(message, span, "").help(help));
        Vec::new()
    })
}

/// Its own labels, and those that the kubelet and kubeadm give.
fn labels(scene: &Scene, at: usize, node: &Node) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = [
        ("kubernetes.io/hostname", node.name.as_str()),
        ("kubernetes.io/os", "linux"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let role = scene.nodes[at].role.as_ref().map(|role| role.value);
    if role == Some(NodeRole::ControlPlane) {
        labels.insert("node-role.kubernetes.io/control-plane".into(), String::new());
    }
    labels.extend(node.labels.clone());
    labels
}

/// The node's addresses: as they are said, or the first of each family that it has beyond its loopback.
fn addresses(scene: &Scene, at: usize, node: &Node) -> Vec<IpAddr> {
    if let Some(said) = &scene.nodes[at].node_ips {
        return said.iter().map(|address| address.value).collect();
    }
    let mut found: Vec<IpAddr> = Vec::new();
    let outward = |address: &&Address| address.interface != "lo" && !pods::is_inward(&address.interface);
    for address in node.addresses.iter().filter(outward) {
        let address = address.net.addr();
        if found.iter().all(|known| known.is_ipv4() != address.is_ipv4()) {
            found.push(address);
        }
    }
    found
}
