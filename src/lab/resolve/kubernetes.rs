//! What nodes of kind `k8s` are to their cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::diagnostics::DiagnosticList;
use super::{Scene, pods};
use crate::Diagnostic;
use crate::file::{self, Agent, Cni, KubernetesSpec, NodeRole, Spanned, Spec};
use crate::model::{Address, Cluster, Dns, Kind, KubernetesNode, Masquerade, Node};
use crate::pod_cidr::{self, Uncut};
use crate::sources::Entry;
use nslab_image::source::Source;

/// The pods' subnet of a cluster that says none, as kind has it.
const POD_SUBNET: &str = "10.244.0.0/16";

/// Fills in what the nodes of kind `k8s` are, in the order in which they register.
pub(super) fn fill(nodes: &mut [Node], scene: &Scene) {
    let members: Vec<usize> = (0..nodes.len())
        .filter(|at| nodes[*at].kind == Kind::K8s)
        .collect();
    let cilium = scene.spec.cilium.as_ref();
    let bgp = cilium.and_then(|cilium| cilium.bgp_control_plane.as_ref());
    let bgp = bgp.is_none_or(|it| it.value) && !has_external_agent(scene);
    for (at, pod_cidrs) in members.into_iter().zip(&scene.pod_cidrs) {
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
            masquerade: masquerade(scene.spec, pod_cidrs),
        });
    }
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
pub(super) fn networks(spec: &Spec, nodes: usize, diagnostics: &mut DiagnosticList) -> Vec<Vec<IpNet>> {
    let subnets = subnets(spec);
    let spec = spec.kubernetes.as_ref();
    let said = spec.map_or(&[][..], |spec| &spec.pod_subnet);
    let mask = |mask: Option<&crate::file::Spanned<u8>>| mask.map(|mask| mask.value);
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
        diagnostics.add(Diagnostic::new(message, span, "").help(help));
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

fn has_external_agent(scene: &Scene) -> bool {
    let agent = scene
        .spec
        .cilium
        .as_ref()
        .and_then(|cilium| cilium.agent.as_ref());
    agent.is_some_and(|it| it.value == Agent::External)
}

/// What a real cluster is like.
pub(super) fn settings(scene: &Scene, diagnostics: &mut DiagnosticList) -> Cluster {
    let none = KubernetesSpec::default();
    let spec = scene.spec.kubernetes.as_ref().unwrap_or(&none);
    let mut there = |written: &Spanned<String>, wanted: Entry| {
        let path = scene.sources.locate(Path::new(&written.value));
        let reason = match scene.sources.entry(&path) {
            Ok(found) if found == wanted => return Some(path),
            Ok(_) if wanted == Entry::File => "it is no file".to_owned(),
            Ok(_) => "it is no directory".to_owned(),
            Err(reason) => reason,
        };
        let message = format!("cannot use `{}`: {reason}", written.value.escape_debug());
        let help = "paths are relative to the directory of the lab file";
        diagnostics.add(Diagnostic::new(message, written.span.clone(), "").help(help));
        None
    };
    let external_agent = has_external_agent(scene);
    let (named, files): (Vec<_>, Vec<_>) = spec.images.iter().partition(|it| is_name(&it.value));
    let mut cluster = Cluster {
        bin_dir: spec.bin_dir.as_ref().and_then(|it| there(it, Entry::Directory)),
        etcd_dir: spec.etcd_dir.as_ref().and_then(|it| there(it, Entry::Directory)),
        images: files
            .into_iter()
            .filter_map(|it| there(it, Entry::File))
            .collect(),
        pulled: Vec::new(),
        registry_mirror: spec.registry_mirror.as_ref().map(|it| it.value.clone()),
        kube_proxy: spec.kube_proxy.as_ref().is_some_and(|it| it.value),
        service_subnets: spec.service_subnet.iter().map(|it| it.value.trunc()).collect(),
        pod_subnets: subnets(scene.spec).into_iter().collect(),
        leaves_network: external_agent || spec.cni.as_ref().is_some_and(|it| it.value == Cni::None),
        external_agent,
        dns: match spec.dns.as_ref().map(|it| it.value) {
            None | Some(file::Dns::Own) => Dns::Own,
            Some(file::Dns::External) => Dns::External,
            Some(file::Dns::None) => Dns::None,
        },
    };
    cluster.pulled = named
        .into_iter()
        .filter_map(|it| pulled(scene, it, diagnostics))
        .collect();
    if cluster.dns != Dns::None && cluster.dns_address().is_none() {
        if let Some(said) = &spec.dns {
            let message = "`service_subnet` has no tenth address, at which the cluster's DNS would be";
            let help = "choose a larger `service_subnet`, or say `dns = false`";
            diagnostics.add(Diagnostic::new(message, said.span.clone(), "").help(help));
        }
        cluster.dns = Dns::None;
    }
    cluster
}

/// Whether an image is named, and not a file of it. Short names have no dot before a slash or colon that a file's ending would be.
fn is_name(text: &str) -> bool {
    let is_path = text.starts_with(['/', '.', '~']);
    let is_file = [".tar", ".tgz", ".gz", ".xz", ".zst", ".bz2"]
        .iter()
        .any(|end| text.ends_with(end));
    let has_place = [
        "oci:",
        "oci-archive:",
        "docker-archive:",
        "docker-daemon:",
        "containers-storage:",
    ]
    .iter()
    .any(|place| text.starts_with(place));
    has_place || !(is_path || is_file)
}

/// Where a named image comes from, seen from the lab file.
fn pulled(scene: &Scene, written: &Spanned<String>, diagnostics: &mut DiagnosticList) -> Option<Source> {
    let source = file::image::source(&written.value);
    let refuse =
        |message: String, help: String| Diagnostic::new(message, written.span.clone(), "").help(help);
    match source {
        Ok(mut source) => {
            if let Some(path) = source.path_mut() {
                *path = scene.sources.locate(Path::new(path));
            }
            Some(source)
        }
        Err(wrong) => {
            diagnostics.add(refuse(wrong.message, wrong.help));
            None
        }
    }
}
