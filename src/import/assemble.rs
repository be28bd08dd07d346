//! What several files say, put together: the nodes of clusters beside those of a topology, and the topology's nodes
//! that live in a cluster's.

use super::containerlab::Topology;
use super::kind::Cluster;
use super::{Context, Parts, beside};
use crate::lab::Diagnostic;
use crate::lab::file::{KubernetesSpec, Spanned, Spec, suggest};

/// The lab of all files.
pub(super) fn spec(parts: Parts, context: &mut Context) -> Spec {
    let mut topologies = parts.topologies.into_iter();
    let mut topology = topologies
        .next()
        .map(|(_, topology)| topology)
        .unwrap_or_default();
    for (name, other) in topologies {
        let span = other.name.map_or(0..0, |name| name.span);
        let message = format!("{name} is a second topology, and a lab has one");
        context
            .reader
            .wrong(span, message, "bring it up as a lab of its own");
    }
    // Those that the topology starts itself go first: their names are the topology's.
    let mut clusters = std::mem::take(&mut topology.clusters);
    let named = clusters.len();
    clusters.extend(parts.clusters);
    once(&mut clusters, named, context);
    let mut spec = Spec {
        name: topology
            .name
            .clone()
            .or_else(|| clusters.first().map(|cluster| cluster.name.clone())),
        mgmt: topology.mgmt.take(),
        nodes: std::mem::take(&mut topology.nodes),
        links: std::mem::take(&mut topology.links),
        partial_links: topology.partial_links,
        partial_addresses: true,
        ..Spec::default()
    };
    let members = add_clusters(clusters, parts.pools, &mut spec, context);
    join(&topology, &members, &mut spec, context);
    if parts.cilium.is_some() || !parts.manifests.is_empty() {
        let mut cilium = parts.cilium.unwrap_or_default();
        cilium.manifests = parts.manifests;
        // What disabled kind's own network made room for Cilium's, for which nslab stands.
        if let Some(kubernetes) = &mut spec.kubernetes {
            kubernetes.cni = None;
        }
        spec.cilium = Some(cilium);
    }
    spec
}

/// Leaves out clusters that are the same in the same words as one before: kind's file was named twice. The first ones stay: the
/// topology gives each its name.
fn once(clusters: &mut Vec<Cluster>, named: usize, context: &Context) {
    let mut seen = Vec::new();
    let mut at = 0;
    clusters.retain(|cluster| {
        at += 1;
        let span = &cluster.kubernetes.span;
        // One that nobody has written down has no place.
        let file = context.files.at(span.start).filter(|_| !span.is_empty());
        let Some(file) = file else { return true };
        let place = (&file.text, span.start - file.begin);
        let is_new = at <= named || !seen.contains(&place);
        seen.push(place);
        is_new
    });
}

/// Adds the nodes of clusters; their names.
fn add_clusters(
    clusters: Vec<Cluster>,
    pools: KubernetesSpec,
    spec: &mut Spec,
    context: &mut Context,
) -> Vec<String> {
    let mut members = Vec::new();
    let mut first = String::new();
    for (at, cluster) in clusters.into_iter().enumerate() {
        if at > 0 {
            let message = format!(
                "`{}` is a second cluster, and a lab has one: `{}`",
                cluster.name.value.escape_debug(),
                first.escape_debug()
            );
            let help = "bring one of the two up as a lab of its own, or leave its file out";
            context.reader.wrong(cluster.name.span, message, help);
            continue;
        }
        first.clone_from(&cluster.name.value);
        for (end, node) in cluster.nodes {
            let name = end.map(|end| format!("{}-{end}", cluster.name.value));
            members.push(name.value.clone());
            spec.nodes.push((name, node));
        }
        let mut kubernetes = cluster.kubernetes;
        kubernetes.cluster = Some(cluster.name);
        if !pools.pod_subnet.is_empty() {
            kubernetes.pod_subnet.clone_from(&pools.pod_subnet);
        }
        kubernetes.node_mask_v4 = pools.node_mask_v4.clone().or(kubernetes.node_mask_v4);
        kubernetes.node_mask_v6 = pools.node_mask_v6.clone().or(kubernetes.node_mask_v6);
        spec.kubernetes = Some(kubernetes);
    }
    members
}

/// Finds the nodes that `network-mode: container:X` and kind `ext-container` name: as containerlab does, X is first a
/// node of the lab, `<prefix>-<lab>-X`, then a container's full name.
fn join(topology: &Topology, members: &[String], spec: &mut Spec, context: &mut Context) {
    let prefix = &topology.container_prefix;
    let mut lost: Vec<&Spanned<String>> = Vec::new();
    for (at, container) in &topology.containers {
        let full = format!("{prefix}{}", container.value);
        let own = |name: &str| spec.nodes.iter().any(|(node, _)| node.value == name);
        let inside = own(&container.value).then(|| container.value.clone());
        let short = container
            .value
            .strip_prefix(prefix.as_str())
            .filter(|_| !prefix.is_empty());
        let found = members
            .iter()
            .find(|member| **member == full)
            .cloned()
            .or(inside)
            .or_else(|| short.filter(|short| own(short)).map(str::to_owned));
        match found {
            Some(name) => spec.nodes[*at].1.network = Some(Spanned::new(name, container.span.clone())),
            // All of them want for the same.
            None if members.is_empty() => lost.push(container),
            None => {
                let diagnostic = nowhere(container, &full, spec, members);
                context.reader.diagnostics.push(diagnostic);
            }
        }
    }
    // Where a cluster's file is missing, that is told, and nothing that follows from it.
    if let Some((container, others)) = lost.split_first().filter(|_| !topology.lacks_cluster) {
        let full = format!("{prefix}{}", container.value);
        let mut diagnostic = nowhere(container, &full, spec, members);
        for other in others {
            diagnostic = diagnostic.and(other.span.clone(), "nor this one");
        }
        let candidates = beside::names(context);
        if !candidates.is_empty() && suggest::nearest(&container.value, node_names(spec)).is_none() {
            diagnostic = diagnostic.help(format!(
                "if kind makes it, name the cluster's file too: beside the topology there is `{}`",
                candidates.join("`, `")
            ));
        }
        context.reader.diagnostics.push(diagnostic);
    }
    for (name, at) in &topology.external {
        match members.iter().find(|member| **member == name.value) {
            Some(member) => spec.nodes[*at].1.network = Some(Spanned::new(member.clone(), name.span.clone())),
            // No cluster could have it: a node of nslab's own stands for it.
            None if members.is_empty() => drop(context.remarks.external.insert(name.value.clone())),
            None => context
                .reader
                .diagnostics
                .push(nowhere(name, &name.value, spec, members)),
        }
    }
    rename_external(topology, spec);
}

/// A container that stands for a cluster's node has its name; the two are told apart here.
fn rename_external(topology: &Topology, spec: &mut Spec) {
    let shared = |at: &usize| {
        spec.nodes
            .get(*at)
            .is_some_and(|(_, node)| node.network.is_some())
    };
    let shared: Vec<_> = topology.external.iter().filter(|(_, at)| shared(at)).collect();
    for (name, at) in shared {
        let renamed = format!("{}-ext", name.value);
        for end in spec.links.iter_mut().flat_map(|link| &mut link.endpoints) {
            if end.node.value == name.value {
                end.node.value.clone_from(&renamed);
            }
        }
        if let Some((node, _)) = spec.nodes.get_mut(*at) {
            node.value = renamed;
        }
    }
}

fn node_names(spec: &Spec) -> impl Iterator<Item = &str> + Clone {
    spec.nodes.iter().map(|(name, _)| name.value.as_str())
}

fn nowhere(container: &Spanned<String>, full: &str, spec: &Spec, members: &[String]) -> Diagnostic {
    let shown = container.value.escape_debug();
    let message = format!(
        "there is neither a node `{shown}` nor a container `{}`",
        full.escape_debug()
    );
    let names = spec.nodes.iter().map(|(name, _)| name.value.as_str());
    let help = match members.is_empty() {
        true => match suggest::nearest(&container.value, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "if kind makes it, name the cluster's file too: `nslab up topo.yaml cluster.yaml`".into(),
        },
        false => suggest::cure(&container.value, names, "the nodes are", ""),
    };
    Diagnostic::new(message, container.span.clone(), "unknown container").help(help)
}
